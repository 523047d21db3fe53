"""Hero SGD: one worker does it all."""

from asyncsim.jobs import LocalSteps
from asyncsim.parameters import Count, Stepsize, WholeOrTheory, parameters
from asyncsim.server import Server
from asyncsim.theory import Knowledge, batch_stepsize, fastest_worker
from asyncsim.verify import Invariants


@parameters
class HeroSGD:
    """Hero SGD: plain SGD on one worker, the others idle.

    The m = 1 end of the bounds of Tyurin & Richtárik 2023 (arXiv:2305.12387); by this name in the study of
    Local SGD's time complexity (arXiv:2509.23207). The hero makes `local_steps` steps of SGD from x^k and
    sends the sum of their gradients, the server steps with it, the hero goes on at x^{k+1}: every delay is 0.

    Parameters:
        stepsize: γ of one gradient. "theory": min{1/L, ε/(2Lσ²)}.
        worker: the hero, 0…n−1. "theory" takes the one whose answers take the least mean time, messages included.
        local_steps: gradients between two messages. The paper's hero computes without any exchange: with
            communication times make it large; without them it changes nothing but how often x is known.

    When not to use it: where σ² is large against ε, so that averaging over many workers pays; it is best
    when one worker is much faster than all others together, or when σ² = 0 and communication is dear.

    >>> from asyncsim import Constant, Quadratic, Stop, Workers, simulate
    >>> workers = Workers(2, [Constant(3.0), Constant(0.5)])
    >>> run = simulate(HeroSGD(stepsize=0.5), Quadratic(10), workers, stop=Stop(time=10.0))
    >>> run.parameters["worker"], run.iterations
    (1, 20)
    """

    stepsize: Stepsize
    worker: WholeOrTheory = "theory"
    local_steps: Count = 1

    def run(self, server: Server) -> None:
        γ, K = self.stepsize, self.local_steps
        while True:
            server.send(self.worker, LocalSteps(server.x, K, γ))
            server.step(γ, server.receive().gradient_sum)

    def invariants(self, n: int) -> Invariants:
        return Invariants(largest_delay=0, tree=True, tree_distance=self.local_steps - 1)

    def theory(self, knowledge: Knowledge) -> dict[str, float]:
        knowledge.need_for(self, stepsize=("L", "sigma2", "epsilon"), worker=("mean_times",))
        found: dict[str, float] = {}
        if self.worker == "theory":
            found["worker"] = fastest_worker(knowledge, self.local_steps)
        if self.stepsize == "theory":
            L, sigma2, epsilon = knowledge.need("L", "sigma2", "epsilon")
            found["stepsize"] = batch_stepsize(L, sigma2, epsilon, S=1)
        return found
