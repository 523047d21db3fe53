"""Naive Optimal ASGD: Asynchronous SGD on the fastest workers only."""

from typing import Any, Literal

from asyncsim.jobs import Gradient
from asyncsim.parameters import Stepsize, Whole, parameters
from asyncsim.server import Server
from asyncsim.theory import Knowledge, fastest_workers, largest_delay, ringmaster_stepsize
from asyncsim.verify import Invariants


@parameters
class NaiveOptimalASGD:
    """Naive Optimal ASGD: Asynchronous SGD on the fastest workers, chosen before the run; the others stay idle.

    Maranjyan, Tyurin & Richtárik 2025 (arXiv:2501.16168), Algorithm 3. Optimal time complexity for homogeneous
    data as long as the speeds are known and never change.

    The m workers that minimise the bound on the time, m = argmin_m (1/m Σ_{i≤m} 1/τ_i)⁻¹·(1 + σ²/(mε)) with
    τ_1 ≤ … ≤ τ_n, run Asynchronous SGD: every arrival is a step, and its worker starts anew at the new point.

    Parameters:
        stepsize: γ of one gradient. "theory" needs constant times, as of Asynchronous SGD: min{1/(2RL), ε/(4Lσ²)}
            with R above the largest delay among the chosen workers.
        workers: those that work, 0…n−1. "theory" takes the m fastest by the mean time of a gradient.

    When not to use it: when speeds are unknown or change, as the choice is made once (Ringmaster ASGD needs no
    choice); on heterogeneous data, of which the idle workers' share is never seen.

    >>> from asyncsim import Constant, Quadratic, Stop, Workers, simulate
    >>> workers = Workers(4, [Constant(9.0), Constant(1.0), Constant(1.5), Constant(50.0)])
    >>> method = NaiveOptimalASGD(stepsize=0.1)
    >>> run = simulate(method, Quadratic(10), workers, stop=Stop(time=9.0), target={"squared_gradient_norm": 1e-3})
    >>> run.parameters["workers"], run.iterations
    ((1, 2), 15)
    """

    stepsize: Stepsize
    workers: tuple[Whole, ...] | Literal["theory"] = "theory"

    def __post_init__(self) -> None:
        if len(self.workers) == 0 or (self.workers != "theory" and len(set(self.workers)) < len(self.workers)):
            raise ValueError(f"NaiveOptimalASGD: workers = {self.workers!r}, but at least one is needed, and each once")

    def run(self, server: Server) -> None:
        free = server.state.get("free", ())
        while True:
            if server.busy + len(free) < len(self.workers):  # at the beginning, and when one was away
                gone = set(range(server.n)) - set(server.idle)
                here = [worker for worker in self.workers if worker not in gone]
                free = here if here or server.busy else self.workers  # with nobody there the server says why
            for worker in free:
                server.send(worker, Gradient(server.x))
            arrival = server.receive()
            free = [arrival.worker]
            server.step(self.stepsize, arrival.gradient, free=free)

    def invariants(self, n: int) -> Invariants:
        return Invariants(tree=True)

    def theory(self, knowledge: Knowledge) -> dict[str, Any]:
        noise = ("sigma2", "epsilon", "mean_times")
        knowledge.need_for(self, stepsize=("L", *noise), workers=noise)
        chosen = self.workers
        found: dict[str, Any] = {}
        if chosen == "theory":
            sigma2, epsilon, times = knowledge.need("sigma2", "epsilon", "mean_times")
            chosen = found["workers"] = fastest_workers(times, sigma2, epsilon)
        if self.stepsize == "theory":
            L, sigma2, epsilon, times = knowledge.need("L", "sigma2", "epsilon", "mean_times")
            if not knowledge.constant_times:
                raise ValueError("delays are bounded only for constant compute times; tune the stepsize instead")
            R = largest_delay(times[list(chosen)]) + 1
            found["stepsize"] = ringmaster_stepsize(L, sigma2, epsilon, R)
        return found
