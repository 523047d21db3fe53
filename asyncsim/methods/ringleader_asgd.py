"""Ringleader ASGD: asynchronous rounds in which every worker makes one update."""

from typing import Annotated, Any, Literal, cast

import annotated_types as at
import numpy as np

from asyncsim.jobs import Gradient
from asyncsim.parameters import Stepsize, parameters
from asyncsim.server import Server
from asyncsim.theory import (
    Knowledge,
    harmonic_mean_reaches,
    ringleader_fullness,
    ringleader_harmonic_mean,
    ringleader_stepsize,
)
from asyncsim.verify import Invariants


class Table:
    """Row i holds b_i and the mean of b_i gradients of worker i; `mean` is the mean of all n rows. O(d) a gradient."""

    def __init__(self, n: int) -> None:
        self.b = np.zeros(n, np.int64)
        self.rows: list[Any] = [0.0] * n
        self.mean: Any = 0.0

    def add(self, i: int, gradient: np.ndarray) -> None:
        self.b[i] += 1
        change = (gradient - self.rows[i]) / int(self.b[i])  # numpy's int64 would make float64 of float32
        self.rows[i] = self.rows[i] + change
        self.mean = self.mean + change / len(self.rows)

    def state(self) -> dict[str, Any]:
        return {"b": self.b, "rows": self.rows, "mean": self.mean}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Table":
        table = cls(0)
        table.b, table.rows, table.mean = state["b"], state["rows"], state["mean"]
        return table


@parameters
class RingleaderASGD:
    """Ringleader ASGD: asynchronous rounds with a table of gradients; every worker makes one update in each.

    Maranjyan & Richtárik 2025 (arXiv:2509.22860). Optimal time complexity for heterogeneous data,
    f = (1/n)Σf_i, without idle workers and without discarding a gradient.

    The server works in rounds. In phase 1 it fills a table of gradients, one row a worker, without updating,
    until every row holds one (and the harmonic mean of their numbers b_i is high enough); the worker that filled
    it makes the first update, x ← x − γ·(mean over the rows of each row's mean). In phase 2 each other worker
    makes one update when its next gradient arrives. A worker receives the new point only when it makes its
    update; else it goes on at the point it holds, and gradients that arrive after its update are the beginning
    of the next round's table. So a round has exactly n updates, and no row is more than 2n − 2 updates old.

    Parameters:
        stepsize: γ of the mean of the rows. "theory": min{1/(8nL), εB/(10Lσ²)}, where B bounds the harmonic mean
            of the b_i from below: the parameter `harmonic_mean`, or τ_n/(3τ_avg) if times are constant and this is
            larger (the paper is remembered with a 2, which is false: `theory.ringleader_fullness`). L is max L_{f_i} where the problem tells it, else that of f, which is right if all f_i are equal.
        harmonic_mean: phase 1 lasts until (1/n Σ 1/b_i)⁻¹ is at least this; 1 means until every worker has
            delivered. "theory", for speeds that change: max{1, 5σ²/(4nε)}, and then γ = 1/(8nL).
        resend: "own" is the paper's rule. "latest" gives a worker the newest point at each of its arrivals,
            as the code behind the paper's figures seems to; a row then mixes gradients of several points.

    When not to use it: on homogeneous data (Ringmaster ASGD need not wait for the slowest worker), or with a worker
    that may never return: phase 1 waits for it for ever.

    >>> from asyncsim import Constant, Quadratic, Stop, Workers, simulate
    >>> workers = Workers(3, [Constant(41.5), Constant(60.0), Constant(87.0)])
    >>> run = simulate(RingleaderASGD(stepsize=0.1), Quadratic(10), workers, stop=Stop(iterations=6))
    >>> run.time, run.used, run.discarded
    (261.0, 13, 0)
    """

    stepsize: Stepsize
    harmonic_mean: Annotated[float, at.Ge(1)] | Literal["theory"] = 1.0
    resend: Literal["own", "latest"] = "own"

    def run(self, server: Server) -> None:
        n = server.n
        least = float(self.harmonic_mean)
        start: dict[str, Any] = {"G": Table(n), "G_next": Table(n), "owes": np.zeros(n, np.bool_)}
        G, G_next, owes = ((server.state or start)[key] for key in start)
        while True:
            server.broadcast(Gradient(server.x))  # x⁰ to all; later only to who made the last update
            phase_1 = not owes.any()
            if phase_1:  # a new round: G⁺ becomes G
                G, G_next = G_next, Table(n)
            update = False
            while not update:
                arrival = server.receive()
                i = arrival.worker
                if phase_1 or owes[i]:
                    G.add(i, arrival.gradient)
                    update = not phase_1 or harmonic_mean_reaches(G.b, least)
                else:  # it has made its update of this round
                    G_next.add(i, arrival.gradient)
                if not update:
                    server.send(i, arrival.job if self.resend == "own" else Gradient(server.x))
            if phase_1:
                owes[:] = True  # phase 2 begins, with the update of the worker that ended phase 1
            owes[i] = False
            server.step(self.stepsize, G.mean, G=G, G_next=G_next, owes=owes)

    def invariants(self, n: int) -> Invariants:
        return Invariants(largest_delay=2 * n - 2, one_update_each=True)

    def theory(self, knowledge: Knowledge) -> dict[str, float]:
        which_L = "L" if knowledge.L_max is None else "L_max"
        knowledge.need_for(self, stepsize=(which_L, "sigma2", "epsilon"), harmonic_mean=("sigma2", "epsilon"))
        n, B = knowledge.n, cast(Any, self.harmonic_mean)
        if B == "theory":
            sigma2, epsilon = knowledge.need("sigma2", "epsilon")
            B = ringleader_harmonic_mean(sigma2, epsilon, n)
        found = {"harmonic_mean": B}
        if self.stepsize == "theory":
            times = knowledge.mean_times if knowledge.constant_times else None
            if times is not None and np.isfinite(times).all():
                B = max(B, ringleader_fullness(times))
            L, sigma2, epsilon = knowledge.need(which_L, "sigma2", "epsilon")
            found["stepsize"] = ringleader_stepsize(L, sigma2, epsilon, n, B)
        return found
