"""PAGE: variance reduction by a recursive estimate, in step."""

from math import isqrt
from typing import Any

from asyncsim.methods._page import dealt_out, drawn
from asyncsim.parameters import CountOrTheory, ProbabilityOrTheory, Stepsize, parameters
from asyncsim.server import Server
from asyncsim.theory import Knowledge, page_probability, page_stepsize
from asyncsim.verify import Invariants


@parameters
class PAGE:
    """PAGE as in its own paper: a probabilistic recursive estimate from two sizes of minibatches.

    Li, Bao, Zhang & Richtárik 2021 (arXiv:2008.10898), for finite sums f = (1/m)Σf_j. Each
    minibatch is dealt out round-robin to the workers 0…n−1, and the server waits for all of it.

    The server steps with its estimate g. With probability p the next g is the mean of b gradients
    ∇f_j(x⁺), which is exact with b = m; else it is g plus the mean of b' differences ∇f_j(x⁺) − ∇f_j(x).
    Indices are drawn with replacement.

    Parameters:
        stepsize: γ. "theory": 1/(L₊(1 + √((1 − p)/(pb')))), proved for b = m.
        batch_size: b, gradients in a fresh estimate; m or more is the exact gradient. "theory": m.
        difference_batch_size: b', differences in a cheap estimate. "theory": ⌊√b⌋.
        probability: p of a fresh estimate. "theory": b'/(b + b').
        components: m, the functions of the sum. "theory": as the problem says.

    When not to use it: on unequal workers each minibatch waits for the slowest, and one that never returns
    ends it all (Freya PAGE). Soviet PAGE is this with b = m, shuffled shares and the stepsize of L₋ and L±,
    which is never smaller.

    >>> from asyncsim import Constant, NoProblem, Stop, Workers, simulate
    >>> workers = Workers(2, [Constant(1.0), Constant(3.0)])
    >>> run = simulate(PAGE(1.0, 4, 2, probability=1.0, components=6), NoProblem(), workers, stop=Stop(iterations=2))
    >>> run.time, run.used
    (12.0, 8)
    """

    stepsize: Stepsize
    batch_size: CountOrTheory = "theory"
    difference_batch_size: CountOrTheory = "theory"
    probability: ProbabilityOrTheory = "theory"
    components: CountOrTheory = "theory"

    def run(self, server: Server) -> None:
        γ, p, m, rng = self.stepsize, self.probability, self.components, server.rng
        b, b_prime = self.batch_size, self.difference_batch_size
        while True:
            x, x_prev, g = server.x, server.state.get("x_prev"), server.state.get("g")
            if g is None or rng.random() < p:
                g = dealt_out(server, server.workers, range(m) if b >= m else drawn(rng, m, b), x)
            else:
                g = g + dealt_out(server, server.workers, drawn(rng, m, b_prime), x, x_prev)
            server.step(γ, g, x_prev=x, g=g)

    def invariants(self, n: int) -> Invariants:
        return Invariants(largest_delay=0)

    def theory(self, knowledge: Knowledge) -> dict[str, Any]:
        asked = {"components": "components", "stepsize": "L_plus"}
        knowledge.need(*(name for field, name in asked.items() if getattr(self, field) == "theory"))
        m: Any = knowledge.components if self.components == "theory" else self.components
        b = m if self.batch_size == "theory" else self.batch_size
        b_prime = isqrt(b) if self.difference_batch_size == "theory" else self.difference_batch_size
        p = page_probability(b_prime, b) if self.probability == "theory" else self.probability
        found = {"components": m, "batch_size": b, "difference_batch_size": b_prime, "probability": p}
        if self.stepsize == "theory":
            (L_plus,) = knowledge.need("L_plus")
            found["stepsize"] = page_stepsize(L_plus, L_plus, b_prime, p)
        return found
