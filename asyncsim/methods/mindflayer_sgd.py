"""MindFlayer SGD: trials that are given up when they take too long."""

import math
from typing import Annotated, Any, Literal

import annotated_types as at
import numpy as np

from asyncsim.jobs import Gradient, total
from asyncsim.parameters import Count, NonNegative, Stepsize, Whole, parameters
from asyncsim.server import Server
from asyncsim.theory import Knowledge, mindflayer_stepsize, mindflayer_trials
from asyncsim.verify import Invariants

LAWS = ("compute_laws", "communication_times")
NEEDS = {
    "allotted_times": LAWS,
    "success_probabilities": LAWS,
    "trials": ("sigma2", "epsilon"),
    "stepsize": ("L", "sigma2", "epsilon"),
}

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
            all workers, or a list. "theory": the medians of the times, and 0 for a worker whose median is infinite;
            communication times must then be constant.
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
    >>> run.parameters["allotted_times"], run.parameters["success_probabilities"], run.used + run.timed_out
    (1.0, 0.5, 1000)
    """

    stepsize: Stepsize
    allotted_times: NonNegative | tuple[NonNegative, ...] | Literal["theory"] = "theory"
    trials: Count | tuple[Whole, ...] | Literal["theory"] = "theory"
    success_probabilities: Chance | tuple[Chance, ...] | Literal["theory"] = "theory"

    def run(self, server: Server) -> None:
        T, trials, p = (
            one_each(self, name, server.n) for name in ("allotted_times", "trials", "success_probabilities")
        )
        B = gradients_expected(p, trials)
        while True:
            left = trials.copy()
            for i in np.flatnonzero(left).tolist():
                attempt(server, i, T[i], left)
            done = []
            for _ in range(trials.sum()):
                done.append(server.receive())
                i = done[-1].worker
                if left[i]:
                    attempt(server, i, T[i], left)
            server.step(self.stepsize, total(done) / B)  # a trial that was given up adds nothing

    def invariants(self, n: int) -> Invariants:
        return Invariants(largest_delay=0)

    def theory(self, knowledge: Knowledge) -> dict[str, Any]:
        asked = [name for name in NEEDS if getattr(self, name) == "theory"]
        knowledge.need(*dict.fromkeys(needed for name in asked for needed in NEEDS[name]))
        n = knowledge.n
        T = medians(knowledge) if "allotted_times" in asked else one_each(self, "allotted_times", n)
        p = chances(knowledge, T) if "success_probabilities" in asked else one_each(self, "success_probabilities", n)
        if "trials" in asked:
            sigma2, epsilon = knowledge.need("sigma2", "epsilon")
            trials = mindflayer_trials(T, p, S=max(1.0, sigma2 / epsilon))
        else:
            trials = one_each(self, "trials", n)
        found = {"allotted_times": brief(T), "success_probabilities": brief(p), "trials": brief(trials)}
        if "stepsize" in asked:
            L, sigma2, epsilon = knowledge.need("L", "sigma2", "epsilon")
            found["stepsize"] = mindflayer_stepsize(L, sigma2, epsilon, gradients_expected(p, trials))
        return found


def attempt(server: Server, i: int, T: float, left: np.ndarray) -> None:
    """One trial of worker i at x^k, given up after T seconds."""
    left[i] -= 1
    server.send(i, Gradient(server.x), deadline=float(T), at_deadline="drop")


def gradients_expected(p: np.ndarray, trials: np.ndarray) -> float:
    """B = Σp_iB_i; the theory, and the estimate's variance, need B ≥ 1."""
    B = math.fsum((p * trials).tolist())
    if B < 1 - 1e-9:  # 1 but for rounding is 1
        raise ValueError(
            f"MindFlayerSGD: these trials and success probabilities let {B:g} gradients be expected in a step, but at "
            "least 1 is needed: give more trials, or longer allotted_times"
        )
    return B


def one_each(method: MindFlayerSGD, name: str, n: int) -> np.ndarray:
    """The parameter `name` as an array (n,), from a list of n numbers or from one number for all."""
    value = np.asarray(getattr(method, name))
    if value.ndim and len(value) != n:
        raise ValueError(f"MindFlayerSGD: {name} has {len(value)} numbers, but there are {n} workers")
    return np.broadcast_to(value, (n,))


def brief(values: np.ndarray) -> Any:
    """One number when all are equal, else all of them: what `one_each` reads, as short as it can be."""
    return values[0].item() if (values == values[0]).all() else tuple(values.tolist())


def medians(knowledge: Knowledge) -> np.ndarray:
    """The median seconds (n,) of each worker's whole trip; 0, no time at all, where the median is never."""
    (communication,) = knowledge.need("communication_times")
    compute = np.array([law(knowledge, worker).quantile(0.5) for worker in range(knowledge.n)])
    if not (compute + communication > 0).all():
        raise ValueError(
            f"half of the times of worker {int(np.argmin(compute + communication))} are 0: give allotted_times"
        )
    # the parts of a trip are added one by one: a time that equals its median must not miss it by rounding
    found = np.where(communication > 0, (compute + communication) * (1 + 1e-9), compute)
    return np.where(np.isfinite(found), found, 0.0)


def chances(knowledge: Knowledge, T: np.ndarray) -> np.ndarray:
    """The probability (n,) that a worker's whole trip takes at most T[worker] seconds."""
    (communication,) = knowledge.need("communication_times")
    left = (T - communication).tolist()
    return np.array([law(knowledge, worker).cdf(left[worker]) for worker in range(knowledge.n)])


def law(knowledge: Knowledge, worker: int) -> Any:
    """The law of the worker's compute time; ValueError if it tells neither quantiles nor probabilities."""
    (laws,) = knowledge.need("compute_laws")
    found = laws(worker)
    if not (hasattr(found, "quantile") and hasattr(found, "cdf")):
        raise ValueError(
            f"the law of worker {worker}, {found!r:.60}, has no quantile and cdf: give allotted_times and "
            "success_probabilities as numbers"
        )
    return found
