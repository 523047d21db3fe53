"""Malenia SGD: batches that weigh all workers alike."""

from fractions import Fraction
from typing import Any, Literal

import numpy as np

from asyncsim.jobs import Arrival, Gradient, mean
from asyncsim.parameters import CountOrTheory, Stepsize, parameters
from asyncsim.server import Server
from asyncsim.theory import Knowledge, batch_stepsize, collected_gradients, harmonic_mean_reaches
from asyncsim.verify import Invariants


@parameters
class MaleniaSGD:
    """Malenia SGD: batches in which all workers weigh alike, with or without stops at each step.

    Tyurin & Richtárik 2023 (arXiv:2305.12387). Optimal time complexity for heterogeneous data,
    f = (1/n)Σf_i, among methods that know no similarity of the f_i.

    All workers compute at x^k, again and again. The server collects their gradients until the harmonic mean
    of the counts, (1/n Σ 1/B_i)⁻¹, is at least S/n, and steps with the mean over workers of each worker's mean.
    Those still computing at the step finish their old gradient, which is dropped when it arrives; with `stops`
    they are stopped at once and start at x^{k+1}.

    Parameters:
        stepsize: γ of the mean over workers of their means. "theory": min{1/L, εS/(2Lσ²)}.
        batch_size: S; the variance of a step's direction is at most σ²/S. "every" waits for one gradient of
            each worker, which any S ≤ n comes to. "theory": max{⌈σ²/ε⌉, n}.
        stops: true stops the workers at each step, at no cost; the figures of Ringleader ASGD's paper show
            this form with "every".

    When not to use it: on homogeneous data, where it waits for the slowest worker without need (Rennala SGD), or
    with a worker that may never return, for which it waits for ever. Ringleader ASGD throws no gradient away.

    >>> from asyncsim import Constant, Quadratic, Stop, Workers, simulate
    >>> workers = Workers(2, [Constant(1.0), Constant(3.0)])
    >>> run = simulate(MaleniaSGD(stepsize=0.5, batch_size=3), Quadratic(10), workers, stop=Stop(iterations=1))
    >>> run.time, run.used  # (1/2 (1/3 + 1/1))⁻¹ = 3/2: three gradients and one
    (3.0, 4)
    """

    stepsize: Stepsize
    batch_size: CountOrTheory | Literal["every"] = "every"
    stops: bool = False

    def run(self, server: Server) -> None:
        n = server.n
        S = n if self.batch_size == "every" else int(self.batch_size)
        while True:
            x = server.x
            if self.stops:
                server.stop_all()
            server.broadcast(Gradient(x))
            batches: list[list[Arrival]] = [[] for _ in server.workers]
            B = np.zeros(n, np.int64)
            enough = False
            while not enough:
                arrival = server.receive()
                if arrival.delay == 0:  # computed at x^k, not at an older point
                    batches[arrival.worker].append(arrival)
                    B[arrival.worker] += 1
                    enough = harmonic_mean_reaches(B, Fraction(S, n))
                if not enough:
                    server.send(arrival.worker, Gradient(x))
            rows: Any = sum(mean(batch) for batch in batches)
            server.step(self.stepsize, rows / n)

    def invariants(self, n: int) -> Invariants:
        return Invariants(largest_delay=0)

    def theory(self, knowledge: Knowledge) -> dict[str, float]:
        knowledge.need_for(self, stepsize=("L", "sigma2", "epsilon"), batch_size=("sigma2", "epsilon"))
        S: Any = self.batch_size
        if S == "theory":
            S = collected_gradients(*knowledge.need("sigma2", "epsilon"))
        S = knowledge.n if S == "every" else max(S, knowledge.n)  # one gradient of each worker is always collected
        found = {"batch_size": S}
        if self.stepsize == "theory":
            L, sigma2, epsilon = knowledge.need("L", "sigma2", "epsilon")
            found["stepsize"] = batch_stepsize(L, sigma2, epsilon, S)
        return found
