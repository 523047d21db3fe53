"""Freya PAGE: variance reduction whose sums are collected from whoever is fast."""

from typing import Any

import numpy as np

from asyncsim.allocation import Allocation, AllocationRun, Greedy, collect
from asyncsim.jobs import ComponentGradient, GradientDifference, Point, mean
from asyncsim.methods._page import drawn, page_theory
from asyncsim.parameters import CountOrTheory, ProbabilityOrTheory, Stepsize, parameters
from asyncsim.server import Server
from asyncsim.theory import Knowledge
from asyncsim.verify import Invariants


@parameters
class FreyaPAGE:
    """Freya PAGE: variance reduction for finite sums, collected from whoever is fast.

    For f = (1/m)Σf_j whose components every worker can compute. Tyurin, Gruntkowska & Richtárik 2024 (arXiv:2405.15545), with ComputeGradient and
    ComputeBatchDifference as published there. It needs no knowledge of the workers' speeds, and a worker
    that never returns does not hold it up.

    The server steps with its estimate g of ∇f, x⁺ = x − γg. With probability p the next estimate is the
    exact gradient at x⁺, each worker computing components not received yet, whichever; else it is g plus
    the mean of the first S differences ∇f_j(x⁺) − ∇f_j(x) that come, with j uniform. A difference costs
    two gradients; what is still computed when a sum is complete is stopped.

    Parameters:
        stepsize: γ. "theory": 1/(L₋ + L±·√((1 − p)/(pS))).
        batch_size: S, differences in a cheap estimate. "theory": ⌈√m⌉.
        probability: p of the exact gradient. "theory": S/(S + m).
        components: m, the functions of the sum. "theory": as the problem says.
        allocation: who computes the S differences: greedy (everybody, the paper's), uniform, fixed_optimal, ata or
            ata_empirical, which spend less of the workers' time.

    When not to use it: where moderate accuracy will do (the first full pass over m components costs time
    that Rennala SGD or Freya SGD already makes progress in), without a finite sum, or with more than √m
    workers, of whom the cheap estimate cannot use many.

    >>> from asyncsim import Constant, NoProblem, Stop, Workers, simulate
    >>> workers = Workers(2, [Constant(1.0), Constant(3.0)])
    >>> method = FreyaPAGE(stepsize=1.0, components=6, batch_size=3, probability=1.0)
    >>> run = simulate(method, NoProblem(), workers, stop=Stop(iterations=2))
    >>> run.used, run.used + run.discarded + run.stopped == run.sent
    (12, True)
    """

    stepsize: Stepsize
    batch_size: CountOrTheory = "theory"
    probability: ProbabilityOrTheory = "theory"
    components: CountOrTheory = "theory"
    allocation: Allocation = Greedy()

    # a task of the allocation is a difference; the exact gradient is not its to give out
    gradients_of_a_task = 2

    def run(self, server: Server) -> None:
        γ, S, p, m = self.stepsize, self.batch_size, self.probability, self.components
        allocation = self.allocation.start(server.n, server.rng, server.state.get("allocation"))
        while True:
            g = server.state.get("g")
            if g is None or server.rng.random() < p:
                g = compute_gradient(server, m)
            else:
                g = g + compute_batch_difference(server, S, m, server.state["x_prev"], allocation)
            server.step(γ, g, x_prev=server.x, g=g, allocation=allocation.state())

    def invariants(self, n: int) -> Invariants:
        return Invariants(largest_delay=0)

    def theory(self, knowledge: Knowledge) -> dict[str, Any]:
        return page_theory(self, knowledge)


def compute_gradient(server: Server, m: int) -> np.ndarray:
    """ComputeGradient: the exact (1/m)Σ∇f_j(x), each component from whoever is the first to send it."""
    x, rng = server.x, server.rng
    M = Remaining(m)  # indices not yet received; they may well be in flight
    server.expect(m)
    server.broadcast(lambda _: ComponentGradient(x, M.draw(rng)))
    received = []
    while M:
        arrival = server.receive()
        if arrival.job.j in M:  # else another worker was first: never read
            M.remove(arrival.job.j)
            received.append(arrival)
        if M:
            server.send(arrival.worker, ComponentGradient(x, M.draw(rng)))
    server.stop_all()
    return mean(received)


def compute_batch_difference(server: Server, S: int, m: int, x_prev: Point, allocation: AllocationRun) -> np.ndarray:
    """ComputeBatchDifference: the mean of the first S differences ∇f_j(x) − ∇f_j(x_prev), j uniform."""
    x, rng = server.x, server.rng

    def differences(count: int) -> GradientDifference:
        return GradientDifference(x, x_prev, drawn(rng, m, count))

    received = collect(server, differences, S, allocation)
    server.stop_all()
    return mean(received)


class Remaining:
    """A set of 0…m−1 that only shrinks; drawing, looking up and removing take O(1).

    >>> remaining = Remaining(3)
    >>> remaining.remove(1)
    >>> len(remaining), 1 in remaining, 2 in remaining
    (2, False, True)
    """

    def __init__(self, m: int) -> None:
        self._left = list(range(m))
        self._place = list(range(m))  # of an index in _left; −1 once removed

    def __len__(self) -> int:
        return len(self._left)

    def __contains__(self, j: int) -> bool:
        return self._place[j] >= 0

    def draw(self, rng: np.random.Generator) -> int:
        """One of them, uniformly."""
        return self._left[int(rng.random() * len(self._left))]  # integers() takes four times as long

    def remove(self, j: int) -> None:
        """Take j out; the last one takes its place."""
        last = self._left.pop()
        if last != j:
            self._left[self._place[j]] = last
            self._place[last] = self._place[j]
        self._place[j] = -1
