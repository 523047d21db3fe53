"""Dual Local SGD: Local SGD with two stepsizes, a local and a global one."""

import math

from asyncsim.methods._local import local_theory, sum_of_a_round
from asyncsim.parameters import CountOrTheory, Stepsize, parameters
from asyncsim.server import Server
from asyncsim.theory import Knowledge
from asyncsim.verify import Invariants


@parameters
class DualLocalSGD:
    """Dual Local SGD: Local SGD with two stepsizes, a local and a global one.

    Preprint of 2025 (arXiv:2509.23207), section 3. With Hero SGD it has the optimal time complexity for
    homogeneous data on equal workers: Hero where an exchange takes longer than max{1, σ²/ε} gradients of one
    worker, Dual Local SGD or Minibatch SGD else.

    In each round every worker makes K local steps from x^k with η_l = √n·η_g. The server waits for all n workers
    and steps with the sum of all gradients, x − η_g·ΣΣg, which is x + (1/√n)·Σ(z_i^K − x): canonical Local SGD
    has 1/n there.

    Parameters:
        stepsize: η_g of one gradient in the sum of nK. "theory": min{1/(2L), 1/(2(nK − 1)L), ε/(4σ²L)}.
        local_steps: K of each worker in a round. "theory": max{1, ⌈σ²/(nε)⌉}.

    When not to use it: on unequal workers (a round waits for the slowest; Rennala SGD, Async-Local SGD), on
    heterogeneous data, or where communication is so dear that Hero SGD is faster.

    >>> from asyncsim import Constant, Quadratic, Stop, Workers, simulate
    >>> workers = Workers(4, compute_time=1.0, uplink=20.0)
    >>> run = simulate(DualLocalSGD(stepsize=0.02, local_steps=10), Quadratic(10), workers, stop=Stop(iterations=2))
    >>> run.time, run.used
    (60.0, 80)
    """

    stepsize: Stepsize
    local_steps: CountOrTheory

    def run(self, server: Server) -> None:
        η_g, K = self.stepsize, self.local_steps
        η_local = math.sqrt(server.n) * η_g
        while True:
            server.step(η_g, sum_of_a_round(server, K, stepsizes=η_local))

    def invariants(self, n: int) -> Invariants:
        return Invariants(largest_delay=0, tree=True, tree_distance=n * self.local_steps - 1)

    def theory(self, knowledge: Knowledge) -> dict[str, float]:
        return local_theory(self, knowledge)
