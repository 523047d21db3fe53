"""Decaying Local SGD: Local SGD whose local steps begin large and decay within each round."""

from typing import Literal

from asyncsim.methods._local import local_theory, sum_of_a_round
from asyncsim.parameters import CountOrTheory, Stepsize, parameters
from asyncsim.server import Server
from asyncsim.theory import Knowledge, decaying_stepsizes
from asyncsim.verify import Invariants


@parameters
class DecayingLocalSGD:
    """Decaying Local SGD: local steps that begin large and decay within each round.

    Preprint of 2025 (arXiv:2509.23207), section 4: the global step of Dual Local SGD and its time complexity,
    with larger local steps at the beginning of a round.

    In each round every worker makes K local steps from x^k with η_{l,j} = η_g·√(nK/((j + 1)(ln K + 1))),
    j = 0…K−1. The server waits for all n workers and steps with the sum of all gradients, x − η_g·ΣΣg. This
    closed form is derived from the drift that the theory allows a round, Ση_{l,j}² ≤ nK·η_g².

    Parameters:
        stepsize: η_g of one gradient in the sum of nK. "theory": min{1/(2L), 1/(2(nK − 1)L), ε/(4σ²L)}.
        local_steps: K of each worker in a round. "theory": max{1, ⌈σ²/(nε)⌉}.
        log_of: whose logarithm bounds the sum of 1/(j + 1): "K", the local steps, or "b" = nK, the gradients
            of a round, which makes the local steps a little smaller.

    When not to use it: where Dual Local SGD is not the right one either; in our trials it gained nothing
    over Dual Local SGD.

    >>> from asyncsim import Constant, Quadratic, Stop, Workers, simulate
    >>> workers = Workers(4, compute_time=1.0, uplink=20.0)
    >>> method = DecayingLocalSGD(stepsize=0.02, local_steps=10)
    >>> run = simulate(method, Quadratic(10), workers, stop=Stop(iterations=2))
    >>> run.time, run.used
    (60.0, 80)
    """

    stepsize: Stepsize
    local_steps: CountOrTheory
    log_of: Literal["K", "b"] = "K"

    def run(self, server: Server) -> None:
        η_g, K = self.stepsize, self.local_steps
        η_local = decaying_stepsizes(η_g, server.n, K, self.log_of)
        while True:
            server.step(η_g, sum_of_a_round(server, K, stepsizes=η_local))

    def invariants(self, n: int) -> Invariants:
        return Invariants(largest_delay=0, tree=True, tree_distance=n * self.local_steps - 1)

    def theory(self, knowledge: Knowledge) -> dict[str, float]:
        return local_theory(self, knowledge)
