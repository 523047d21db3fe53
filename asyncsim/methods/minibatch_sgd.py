"""Minibatch SGD: all workers, in step."""

from asyncsim.jobs import Gradient, mean
from asyncsim.parameters import Count, Stepsize, parameters
from asyncsim.server import Server
from asyncsim.theory import Knowledge, batch_stepsize
from asyncsim.verify import Invariants


@parameters
class MinibatchSGD:
    """Minibatch SGD, synchronous ("naive minibatch"): the mean of a gradient of everybody.

    The baseline of Tyurin & Richtárik 2023 (arXiv:2305.12387): in each round every worker
    computes b gradients at x^k, the server waits for all n workers and steps with the mean of the nb
    gradients.

    Parameters:
        stepsize: γ of the mean of n·b gradients. "theory": min{1/L, εnb/(2Lσ²)}.
        batch_size: b, gradients of each worker in a round.

    When not to use it: a round lasts as long as its slowest worker, and one that never returns ends it
    all. On unequal workers Rennala SGD makes the same step sooner.

    >>> from asyncsim import Constant, Quadratic, Stop, Workers, simulate
    >>> workers = Workers(3, [Constant(1.0), Constant(2.0), Constant(4.0)])
    >>> run = simulate(MinibatchSGD(stepsize=0.5), Quadratic(10), workers, stop=Stop(iterations=5))
    >>> run.time, run.used
    (20.0, 15)
    """

    stepsize: Stepsize
    batch_size: Count = 1

    def run(self, server: Server) -> None:
        while True:
            server.broadcast(Gradient(server.x, count=self.batch_size))
            batch = [server.receive() for _ in server.workers]
            server.step(self.stepsize, mean(batch))

    def invariants(self, n: int) -> Invariants:
        return Invariants(largest_delay=0, tree=True, tree_distance=n * self.batch_size - 1)

    def theory(self, knowledge: Knowledge) -> dict[str, float]:
        L, sigma2, epsilon = knowledge.need("L", "sigma2", "epsilon")
        return {"stepsize": batch_stepsize(L, sigma2, epsilon, S=knowledge.n * self.batch_size)}
