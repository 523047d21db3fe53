"""Stepsizes: each plan's own, found on the model problem.

A candidate's stepsize is climbed in factors of 2 and then refined, on seeds that are used for nothing else; five other seeds
then measure the winners. Stepsizes are told relative to γ₁, the best one of a single machine, and carry over to other
problems to a factor of 2 or so.

A single machine that works alone sends no messages. It is measured so, whatever messages cost; a scenario cannot say that,
so there it makes many local steps between two messages.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from asyncsim.advise.model import TUNING_POINTS, Model
from asyncsim.advise.plans import Plan
from asyncsim.advise.question import Group

TUNING_SEEDS = (1000, 1001, 1002)
MOST_DOUBLINGS = 9
FINER = (2**0.5, 2**0.25)  # the last factors by which stepsizes are tried


def played(model: Model, groups: Sequence[Group], plan: Plan, seeds: Iterable[int], **how: Any) -> list[float]:
    """Simulated seconds of a plan, as `Model.times`; the hero without messages."""
    if plan.method == "hero_sgd":
        alone = min(groups, key=lambda group: group.seconds)
        plan = Plan("hero_sgd", {"worker": 0}, plan.stepsize)
        groups = [dataclasses.replace(alone, count=1, communication=0.0)]
    return model.times(plan.built(), groups, seeds, **how)


def tuned(model: Model, groups: Sequence[Group], plans: Sequence[Plan], cap: float = math.inf) -> tuple[Plan, float]:
    """The best of `plans` with its stepsize, and its mean time on the tuning seeds; inf where none met `cap`."""

    def time(plan: Plan, cap: float) -> float:
        """Mean seconds, or inf as soon as it is sure to be above `cap` or a seed is far above."""
        left = len(TUNING_SEEDS) * cap
        found: list[float] = []
        for seed in TUNING_SEEDS:
            found += played(model, groups, plan, [seed], cap=min(1.5 * cap, left - sum(found)), points=TUNING_POINTS)
            if not math.isfinite(found[-1]):
                return math.inf
        return statistics.fmean(found)

    best, least = plans[0], math.inf
    for plan in plans:
        found, seconds = _climbed(plan, time, min(cap, least))
        if seconds < least:
            best, least = found, seconds
    if math.isinf(least):
        return best, least
    # a factor of 2 may be a factor of 2 in time, which would drown what a kind of machine adds
    for factor in FINER:
        for neighbour in (best.times(factor), best.times(1 / factor)):
            seconds = time(neighbour, least)
            if seconds < least:
                best, least = neighbour, seconds
                break
    return best, least


def _climbed(plan: Plan, time: Callable[[Plan, float], float], cap: float) -> tuple[Plan, float]:
    """`plan` with the best stepsize in factors of 2, going on in the direction in which it gets better."""
    best, least = plan, time(plan, 4 * cap)  # it may begin at a stepsize a quarter of the best
    for direction in (2.0, 0.5):
        for power in range(1, MOST_DOUBLINGS):
            candidate = plan.times(direction**power)
            seconds = time(candidate, least if math.isfinite(least) else 4 * cap)
            if seconds < least:
                best, least = candidate, seconds
            elif math.isfinite(least) or direction > 1:  # where it begins too large, more is no better
                break
        if best is not plan:
            break
    return best, least
