"""Freya SGD: SGD for finite sums whose batches are collected from whoever is fast."""

from typing import Any

from asyncsim.allocation import Allocation, Greedy, collect
from asyncsim.jobs import ComponentGradient, mean
from asyncsim.methods._page import drawn
from asyncsim.parameters import CountOrTheory, Stepsize, parameters
from asyncsim.server import Server
from asyncsim.theory import Knowledge, batch_stepsize, collected_gradients
from asyncsim.verify import Invariants


@parameters
class FreyaSGD:
    """Freya SGD: SGD for finite sums, whose batches are collected from whoever is fast.

    For f = (1/m)Σf_j whose components every worker can compute; the method without variance reduction of Tyurin, Gruntkowska & Richtárik 2024 (arXiv:2405.15545):
    Rennala SGD for finite sums, with stops.

    All workers compute ∇f_j(x^k), each with a fresh j, uniform on all m components. The server steps with
    the mean of the first S of them, whoever sends them, and stops everybody.

    Parameters:
        stepsize: γ of the mean of S gradients. "theory": min{1/L, εS/(2Lσ²)}.
        batch_size: S, gradients in a step. "theory": max{1, ⌈σ²/ε⌉}. Here σ² bounds the spread of the
            components, (1/m)Σ‖∇f_j − ∇f‖², which is not the variance of a worker's minibatch.
        components: m, the functions of the sum. "theory": as the problem says.
        allocation: who computes the S gradients: greedy (everybody, the paper's), uniform, fixed_optimal, ata or
            ata_empirical, which spend less of the workers' time.

    When not to use it: for high accuracy, where S grows as 1/ε and the noise of sampling j stays (Freya PAGE).

    >>> from asyncsim import Constant, NoProblem, Stop, Workers, simulate
    >>> workers = Workers(2, [Constant(1.0), Constant(3.0)])
    >>> method = FreyaSGD(stepsize=1.0, components=6, batch_size=2)
    >>> run = simulate(method, NoProblem(), workers, stop=Stop(iterations=3))
    >>> run.time, run.used, run.stopped
    (6.0, 6, 3)
    """

    stepsize: Stepsize
    batch_size: CountOrTheory = "theory"
    components: CountOrTheory = "theory"
    allocation: Allocation = Greedy()

    def run(self, server: Server) -> None:
        γ, S, m, rng = self.stepsize, self.batch_size, self.components, server.rng
        allocation = self.allocation.start(server.n, rng, server.state.get("allocation"))

        def gradients(count: int) -> ComponentGradient:
            return ComponentGradient(server.x, drawn(rng, m, count))

        while True:
            batch = collect(server, gradients, S, allocation)
            server.stop_all()
            server.step(γ, mean(batch), allocation=allocation.state())

    def invariants(self, n: int) -> Invariants:
        return Invariants(largest_delay=0, tree=True, tree_distance=self.batch_size - 1)

    def theory(self, knowledge: Knowledge) -> dict[str, Any]:
        noise = ("components_sigma2", "epsilon")
        knowledge.need_for(self, components=("components",), batch_size=noise, stepsize=("L", *noise))
        S = self.batch_size
        if S == "theory":
            S = collected_gradients(*knowledge.need(*noise))
        found = {"components": knowledge.components, "batch_size": S}
        if self.stepsize == "theory":
            L, sigma2, epsilon = knowledge.need("L", *noise)
            found["stepsize"] = batch_stepsize(L, sigma2, epsilon, S)
        return found
