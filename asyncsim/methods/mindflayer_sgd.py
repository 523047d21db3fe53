"""MindFlayer SGD: trials that are given up when they take too long."""

import math
from typing import Annotated, Any, Literal

import annotated_types as at
import numpy as np

from asyncsim.jobs import Gradient, total
from asyncsim.parameters import Count, Positive, Stepsize, Whole, parameters
from asyncsim.server import Server
from asyncsim.theory import Knowledge, mindflayer_stepsize, mindflayer_trials

Allotted = Positive | Literal[math.inf]  # type: ignore[valid-type]
Chance = Annotated[float, at.Ge(0), at.Le(1)]


@parameters
class MindFlayerSGD:
    """MindFlayer SGD, for heavy-tailed random compute times.

    Maranjyan, Shaikh Omar & Richtárik 2024 (arXiv:2410.04285), for homogeneous data.

    In each iteration every worker i makes B_i trials at x^k, one after the other. A trial is a gradient that is
    given up, with nothing delivered, when it takes longer than its allotted time T_i = τ_i + t_i. When all trials
    are done the server steps with the sum of what was delivered, divided by B = Σp_iB_i, the number of gradients
    expected; p_i is the chance that a trial succeeds. So the estimate has no bias, whatever came.

    Parameters:
        stepsize: γ. "theory": min{1, εB/σ²}/(2L).
        allotted_times: T_i, seconds of a trial from sending the point to receiving the gradient: one number for
            all workers, or a list. "theory": the medians of the times; communication times must then be constant.
        trials: B_i, one whole number for all workers, or a list; workers with 0 stay idle. "theory":
            ⌈T/T_i − 1⌉ for the workers that are worth it, with the T at which Σp_iB_i ≥ max{1, σ²/ε}.
        success_probabilities: p_i, one number for all workers, or a list. "theory": P(time ≤ T_i) by the
            workers' laws.

    When not to use it: with light tails or constant times: a trial given up is lost work, about half of all
    with the medians; Rennala or Ringmaster ASGD waste less. Where the laws of the times are unknown or change, a
    wrong p_i acts as a wrong stepsize.

    >>> from asyncsim import LogNormal, Quadratic, Stop, Workers, simulate
    >>> workers = Workers(5, LogNormal(0.0, 100.0))
    >>> method = MindFlayerSGD(stepsize=0.5, trials=4)
    >>> run = simulate(method, Quadratic(10), workers, stop=Stop(iterations=50))
    >>> run.parameters["allotted_times"][0], run.time <= 4 * 50, run.used + run.timed_out
    (1.0, True, 1000)
    """

    stepsize: Stepsize
    allotted_times: Allotted | tuple[Allotted, ...] | Literal["theory"] = "theory"
    trials: Count | tuple[Whole, ...] | Literal["theory"] = "theory"
    success_probabilities: Chance | tuple[Chance, ...] | Literal["theory"] = "theory"

    def run(self, server: Server) -> None:
        T, B, p = (one_each(self, name, server.n) for name in ("allotted_times", "trials", "success_probabilities"))
        gradients_expected = expected(p, B)
        while True:
            left = B.copy()
            for i in np.flatnonzero(B).tolist():
                try_once(server, i, T[i], left)
            trials = []
            for _ in range(B.sum()):
                trials.append(server.receive())
                i = trials[-1].worker
                if left[i]:
                    try_once(server, i, T[i], left)
            server.step(self.stepsize, total(trials) / gradients_expected)  # a trial given up adds nothing

    def theory(self, knowledge: Knowledge) -> dict[str, Any]:
        asked = [name for name in ("allotted_times", "success_probabilities") if getattr(self, name) == "theory"]
        of_the_problem = [*(["L"] if self.stepsize == "theory" else []), "sigma2", "epsilon"]
        needs = of_the_problem if "theory" in (self.stepsize, self.trials) else []
        knowledge.need(*(["compute_laws", "communication_times"] if asked else []), *needs)
        T = medians(knowledge) if "allotted_times" in asked else one_each(self, "allotted_times", knowledge.n)
        p = chances(knowledge, T) if len(asked) and asked[-1] == "success_probabilities" else one_each(
            self, "success_probabilities", knowledge.n
        )
        return {}


def one_each(method: MindFlayerSGD, name: str, n: int) -> np.ndarray:
    """The parameter `name` as an array (n,), from a list of n numbers or one number for all."""
    value = np.asarray(getattr(method, name))
    if value.ndim and len(value) != n:
        raise ValueError(f"MindFlayerSGD: {name} has {len(value)} numbers, but there are {n} workers")
    return np.broadcast_to(value, (n,))
