"""Rennala SGD: synchronised batches of asynchronous gradients."""

from functools import partial

from asyncsim.allocation import Allocation, Greedy, collect
from asyncsim.jobs import Gradient, mean
from asyncsim.parameters import CountOrTheory, Stepsize, parameters
from asyncsim.server import Server
from asyncsim.theory import Knowledge, batch_stepsize, collected_gradients
from asyncsim.verify import Invariants


@parameters
class RennalaSGD:
    """Rennala SGD: batches of gradients at one point, from whoever is fast, with or without stops at each step.

    Tyurin & Richtárik 2023 (arXiv:2305.12387). Optimal time complexity for homogeneous data, and it needs no
    knowledge of the workers' speeds.

    All workers compute at x^k. The server collects the first S gradients computed at x^k, whoever sends
    them, and steps with their mean. Those still computing at the step finish their old gradient, which
    is dropped when it arrives; with `stops` they are stopped at once and start at x^{k+1}.

    Parameters:
        stepsize: γ of the mean of S gradients. "theory": min{1/L, εS/(2Lσ²)}.
        batch_size: S, gradients in a step. "theory": max{1, ⌈σ²/ε⌉}.
        stops: true stops the workers at each step, at no cost; the papers' figures do so, and with S < n it
            gives visibly more steps in the same time.
        allocation: who computes the S gradients: greedy (everybody, the paper's), uniform, fixed_optimal, ata or
            ata_empirical (arXiv:2502.00775), which trade time for less work.

    When not to use it: on heterogeneous data (fast workers count more; Malenia SGD), or where S is so small
    that most of the work is thrown away (Ringmaster ASGD uses gradients with small delays too).

    >>> from asyncsim import Constant, Quadratic, Stop, Workers, simulate
    >>> workers = Workers(2, [Constant(1.0), Constant(3.0)])
    >>> run = simulate(RennalaSGD(stepsize=0.5, batch_size=2), Quadratic(10), workers, stop=Stop(iterations=3))
    >>> run.time, run.used, run.discarded
    (6.0, 6, 2)
    """

    stepsize: Stepsize
    batch_size: CountOrTheory
    stops: bool = False
    allocation: Allocation = Greedy()

    def run(self, server: Server) -> None:
        allocation = self.allocation.start(server.n, server.rng, server.state.get("allocation"))
        while True:
            if self.stops:
                server.stop_all()
            batch = collect(server, partial(Gradient, server.x), self.batch_size, allocation)
            server.step(self.stepsize, mean(batch), allocation=allocation.state())

    def invariants(self, n: int) -> Invariants:
        return Invariants(largest_delay=0, tree=True, tree_distance=self.batch_size - 1)

    def theory(self, knowledge: Knowledge) -> dict[str, float]:
        knowledge.need_for(self, stepsize=("L", "sigma2", "epsilon"), batch_size=("sigma2", "epsilon"))
        S = self.batch_size
        if S == "theory":
            S = collected_gradients(*knowledge.need("sigma2", "epsilon"))
        found = {"batch_size": S}
        if self.stepsize == "theory":
            L, sigma2, epsilon = knowledge.need("L", "sigma2", "epsilon")
            found["stepsize"] = batch_stepsize(L, sigma2, epsilon, S)
        return found
