"""Hero PAGE: variance reduction on one worker."""

from typing import Any

from asyncsim.methods._page import dealt_out, drawn, page_theory
from asyncsim.parameters import CountOrTheory, ProbabilityOrTheory, Stepsize, WholeOrTheory, parameters
from asyncsim.server import Server
from asyncsim.theory import Knowledge, fastest_worker
from asyncsim.verify import Invariants


@parameters
class HeroPAGE:
    """Hero PAGE: PAGE on one worker, the others idle.

    A baseline of Tyurin, Gruntkowska & Richtárik 2024 (arXiv:2405.15545) by this name; the recursion is
    PAGE of Li, Bao, Zhang & Richtárik 2021 (arXiv:2008.10898).

    With probability p the hero computes the exact gradient, in m gradients; else S differences
    ∇f_j(x⁺) − ∇f_j(x), in 2S gradients, whose mean is added to the estimate. The server steps with the
    estimate. With p = 1 it is gradient descent on one worker.

    Parameters:
        stepsize: γ. "theory": 1/(L₋ + L±·√((1 − p)/(pS))).
        batch_size: S, differences in a cheap estimate. "theory": ⌈√m⌉.
        probability: p of the exact gradient. "theory": S/(S + m).
        components: m, the functions of the sum. "theory": as the problem says.
        worker: the hero, 0…n−1. "theory" takes the one whose answers take the least mean time, messages included.

    When not to use it: unless one worker is faster than all others together; a sum over many components is
    what several workers are good at (Freya PAGE).

    >>> from asyncsim import Constant, NoProblem, Stop, Workers, simulate
    >>> workers = Workers(2, [Constant(1.0), Constant(3.0)])
    >>> method = HeroPAGE(stepsize=1.0, components=6, batch_size=2, probability=1.0)
    >>> run = simulate(method, NoProblem(), workers, stop=Stop(iterations=2))
    >>> run.time, run.used
    (12.0, 12)
    """

    stepsize: Stepsize
    batch_size: CountOrTheory = "theory"
    probability: ProbabilityOrTheory = "theory"
    components: CountOrTheory = "theory"
    worker: WholeOrTheory = "theory"

    def run(self, server: Server) -> None:
        γ, S, p, m = self.stepsize, self.batch_size, self.probability, self.components
        hero, rng = [self.worker], server.rng
        while True:
            x, x_prev, g = server.x, server.state.get("x_prev"), server.state.get("g")
            if g is None or rng.random() < p:
                g = dealt_out(server, hero, range(m), x)
            else:
                g = g + dealt_out(server, hero, drawn(rng, m, S), x, x_prev)
            server.step(γ, g, x_prev=x, g=g)

    def invariants(self, n: int) -> Invariants:
        return Invariants(largest_delay=0)

    def theory(self, knowledge: Knowledge) -> dict[str, Any]:
        found = page_theory(self, knowledge, *(("mean_times",) if self.worker == "theory" else ()))
        if self.worker == "theory":
            m, S, p = (found[name] for name in ("components", "batch_size", "probability"))
            found["worker"] = fastest_worker(knowledge, p * m + (1 - p) * 2 * S)
        return found
