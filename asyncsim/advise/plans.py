"""Which methods are worth trying on which machines, with which parameters.

A candidate's threshold or batch size is tried at B*/4, B* and 4B*. On a quadratic the drift of local steps does no harm,
which flatters methods that make them; they are tried only where messages cost something, and the advice says so where one
wins. Running gradients are never stopped (not every program can), but where times have heavy tails: then a method that
can give up a gradient (MindFlayer SGD), and the forms of Ringmaster and Rennala that stop workers, are tried as well. For
machines with data of their own other methods are right: those that weigh all machines alike.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asyncsim.advise.model import Model
from asyncsim.advise.question import LIGHT, Data, Group, six_digits
from asyncsim.methods import METHODS
from asyncsim.theory import fastest_workers, mindflayer_trials
from asyncsim.times import Workers

STOPS = {"stops": True}


@dataclass(frozen=True)
class Plan:
    """A method with its parameters; `stepsize` stands apart as it is tuned."""

    method: str
    parameters: dict[str, Any]
    stepsize: float

    def built(self) -> Any:
        """The method as an object."""
        return METHODS[self.method](stepsize=self.stepsize, **self.parameters)

    def times(self, factor: float) -> Plan:
        """The plan with another stepsize, told in four digits."""
        return dataclasses.replace(self, stepsize=float(f"{self.stepsize * factor:.4g}"))

    def section(self) -> dict[str, Any]:
        """The method as a scenario has it."""
        return {"name": self.method, "stepsize": self.stepsize, **self.parameters}


def candidates(groups: Sequence[Group], B: int, data: Data = "same") -> dict[str, list[Plan]]:
    """Every method worth trying on these machines, with the variants of its parameters and stepsizes to begin at.

    Where theory knows the parameter (R = S = B*) it stands first.
    """
    return _for_different_data(groups, B) if data == "different" else _for_the_same_data(groups, B)


def _for_different_data(groups: Sequence[Group], B: int) -> dict[str, list[Plan]]:
    n = sum(group.count for group in groups)
    γ = min(0.5, 2 / B)
    unequal = max(group.trip for group in groups) / min(group.trip for group in groups)
    return {
        "minibatch_sgd": [
            Plan("minibatch_sgd", {"batch_size": b}, min(0.5, n * b * γ))
            for b in dict.fromkeys([max(1, math.ceil(B / n)), max(1, math.ceil(4 * B / n)), 1])
        ],
        "malenia_sgd": [
            Plan("malenia_sgd", {"batch_size": S}, min(0.5, S * γ))
            for S in dict.fromkeys([max(B, n), n, max(4 * B, n)])
        ],
        "ringleader_asgd": [
            Plan("ringleader_asgd", {"harmonic_mean": float(b)}, min(0.5, n * b * γ) / n)
            for b in dict.fromkeys([1, max(1, math.ceil(B / n)), max(1, math.ceil(4 * B / n))])
        ],
        # its oldest row is about as many updates old as arrive while the slowest machine computes
        "ia2_sgd": [Plan("ia2_sgd", {}, min(0.5, n * γ) / max(1.0, n * unequal) ** 0.5)],
        "rescaled_asgd": [Plan("rescaled_asgd", {}, min(γ, 0.5 / n))],
        "random_assignment_asgd": [Plan("random_assignment_asgd", {}, min(γ, 0.5 / n))],
    }


def _for_the_same_data(groups: Sequence[Group], B: int) -> dict[str, list[Plan]]:
    n = sum(group.count for group in groups)
    trips = np.repeat([g.trip for g in groups], [g.count for g in groups])
    hero = min(groups, key=lambda group: group.seconds)
    fastest = sum(group.count for group in groups[: groups.index(hero)])
    around = list(dict.fromkeys([B, max(1, B // 4), 4 * B]))
    γ = min(0.5, 2 / B)  # about half the best one of a single machine: its noise floor ‖∇f‖² ≈ γσ²/4 must be below ε

    def delayed(delays: int) -> float:
        return min(γ, 0.5 / max(1, min(delays, n)))

    # in a scenario the hero sends so rarely that messages cost it a tenth of the time
    K = max(1, math.ceil(10 * hero.communication / hero.seconds))
    found = {
        "hero_sgd": [Plan("hero_sgd", {"worker": fastest} | ({"local_steps": K} if K > 1 else {}), γ)],
        "ringmaster_asgd": [Plan("ringmaster_asgd", {"threshold": R}, delayed(R)) for R in around],
        "rennala_sgd": [Plan("rennala_sgd", {"batch_size": S}, min(0.5, S * γ)) for S in around],
        "asynchronous_sgd": [Plan("asynchronous_sgd", {"delay_adaptive": a}, delayed(n)) for a in (True, False)],
        "minibatch_sgd": [
            Plan("minibatch_sgd", {"batch_size": b}, min(0.5, n * b * γ))
            for b in dict.fromkeys([max(1, round(B / n)), 1])
        ],
    }
    chosen = fastest_workers(trips, float(B), 1.0)
    if len(chosen) < n:
        found["naive_optimal_asgd"] = [Plan("naive_optimal_asgd", {"workers": list(chosen)}, delayed(len(chosen)))]
    if any(group.law is not None for group in groups):
        # to stop everybody at each gradient can pay: of many a first one comes soon
        stopping = list(dict.fromkeys([*around, 1]))
        found["ringmaster_asgd"] += [Plan("ringmaster_asgd", {"threshold": R} | STOPS, delayed(R)) for R in stopping]
        found["rennala_sgd"] += [Plan("rennala_sgd", {"batch_size": S} | STOPS, min(0.5, S * γ)) for S in stopping]
        found["mindflayer_sgd"] = [
            mindflayer(groups, S, q, min(0.5, S * γ)) for q in (0.5, 0.25, 0.8) for S in stopping
        ]
    messages = max(g.communication / g.seconds for g in groups)
    if messages > 0 and n > 1:
        M = sorted({max(1, min(B, math.ceil(messages))), max(1, math.ceil(B / n))})
        lots = [(m, max(B, m * k)) for m in M for k in (1, n) if m > 1]  # k = n: a whole round may pass
        for name, key in (("async_batch_sgd", "batch_size"), ("async_local_sgd", "local_steps")):
            plans = [Plan(name, {key: m, "threshold": T}, min(γ, 0.5 / min(T, n * m))) for m, T in dict.fromkeys(lots)]
            found |= {name: plans} if plans else {}
        steps = [m for m in (*M, 2 * M[-1]) if m > 1]
        found |= {"local_sgd": [Plan("local_sgd", {"local_steps": m}, min(0.5, n * γ)) for m in steps]} if steps else {}
        found["dual_local_sgd"] = [Plan("dual_local_sgd", {"local_steps": m}, min(γ, 0.5 / (n * m))) for m in M]
    return found


def mindflayer(groups: Sequence[Group], S: int, q: float, stepsize: float) -> Plan:
    """MindFlayer SGD that gives a gradient up after the time that a part q of those that ever come takes, S expected in a step."""
    times, chances = [], []
    for group in groups:
        law = Workers(1, Model(S, LIGHT, 1e-4).law(group)).compute_time.law(0)
        ever = float(law.cdf(1e300))
        allotted = float(law.quantile(q * ever)) * (
            1 + 1e-6
        )  # a constant time that equals it must not miss it by rounding
        times += [six_digits(allotted + group.communication)] * group.count
        chances += [six_digits(float(law.cdf(allotted)))] * group.count
    trials = mindflayer_trials(np.array(times), np.array(chances), float(S))
    given = {"allotted_times": times, "success_probabilities": chances, "trials": trials.tolist()}
    return Plan("mindflayer_sgd", given, stepsize)
