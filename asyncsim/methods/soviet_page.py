"""Soviet PAGE: variance reduction in step, equal work for everybody."""

from typing import Any

from asyncsim.methods._page import dealt_out, drawn, page_theory
from asyncsim.parameters import CountOrTheory, ProbabilityOrTheory, Stepsize, parameters
from asyncsim.server import Server
from asyncsim.theory import Knowledge
from asyncsim.verify import Invariants


@parameters
class SovietPAGE:
    """Soviet PAGE, the synchronous baseline of Freya PAGE: PAGE with equal shares for all workers.

    Tyurin, Gruntkowska & Richtárik 2024 (arXiv:2405.15545) by this name; the recursion is PAGE of Li, Bao,
    Zhang & Richtárik 2021 (arXiv:2008.10898).

    With probability p the server computes the exact gradient, else it adds the mean of S differences
    ∇f_j(x⁺) − ∇f_j(x) to its estimate. Either way the indices are dealt out round-robin to the workers in
    an order shuffled each time, and the server waits for all: about ⌈m/n⌉ gradients, or 2⌈S/n⌉, of the
    slowest worker. With S < n only S random workers compute differences.

    Parameters:
        stepsize: γ. "theory": 1/(L₋ + L±·√((1 − p)/(pS))).
        batch_size: S, differences in a cheap estimate. "theory": ⌈√m⌉.
        probability: p of the exact gradient. "theory": S/(S + m).
        components: m, the functions of the sum. "theory": as the problem says.

    When not to use it: on unequal workers, where each sum waits for the slowest; one that never returns ends
    it all (Freya PAGE).

    >>> from asyncsim import Constant, NoProblem, Stop, Workers, simulate
    >>> workers = Workers(2, [Constant(1.0), Constant(3.0)])
    >>> method = SovietPAGE(stepsize=1.0, components=6, batch_size=2, probability=1.0)
    >>> run = simulate(method, NoProblem(), workers, stop=Stop(iterations=2))
    >>> run.time, run.used
    (18.0, 12)
    """

    stepsize: Stepsize
    batch_size: CountOrTheory = "theory"
    probability: ProbabilityOrTheory = "theory"
    components: CountOrTheory = "theory"

    def run(self, server: Server) -> None:
        γ, S, p, m = self.stepsize, self.batch_size, self.probability, self.components
        rng = server.rng
        while True:
            x, x_prev, g = server.x, server.state.get("x_prev"), server.state.get("g")
            if g is None or rng.random() < p:
                g = dealt_out(server, rng.permutation(server.n).tolist(), range(m), x)
            else:
                g = g + dealt_out(server, rng.permutation(server.n).tolist(), drawn(rng, m, S), x, x_prev)
            server.step(γ, g, x_prev=x, g=g)

    def invariants(self, n: int) -> Invariants:
        return Invariants(largest_delay=0)

    def theory(self, knowledge: Knowledge) -> dict[str, Any]:
        return page_theory(self, knowledge)
