"""What is told: plans measured, and the one that is advised.

Seconds of the model are no seconds of the user's problem. What carries over is ratios: to one machine alone, of one method
to another, with a kind of machine to without. `Question.steps`, what a single machine needs, makes hours of them.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import Any

from asyncsim.advise.plans import Plan
from asyncsim.advise.question import Question
from asyncsim.result import Result

SEEDS = (0, 1, 2, 3, 4)
TOO_SLOW = 4.0  # a method that needs so many times the time of the best is not measured further


@dataclass(frozen=True, eq=False)
class Option:
    """A plan on some of the machines, measured.

    times : simulated seconds to the target on each of `SEEDS`, inf where it was not reached;
    used : the part of the used gradients that came from each kind of machine; groups : numbers of the kinds that take part;
    rate : price of an hour of them, nan where unknown.
    """

    plan: Plan
    times: tuple[float, ...]
    groups: tuple[int, ...]
    rate: float = math.nan
    used: tuple[float, ...] = ()

    @property
    def median(self) -> float:
        """Median seconds over the seeds."""
        return statistics.median(self.times)

    def sooner(self, other: Option) -> tuple[float, float, float]:
        """How many times sooner than `other`: least, median, most over the seeds on which one of them got there.

        nan where none of them did on any seed.
        """
        both = zip(self.times, other.times, strict=True)
        ratios = sorted(theirs / ours for ours, theirs in both if math.isfinite(min(ours, theirs)))
        if not ratios:
            return math.nan, math.nan, math.nan
        return ratios[0], statistics.median(ratios), ratios[-1]

    @property
    def cost(self) -> float:
        """Price of the median time, in model seconds; only ratios of it mean anything."""
        return self.median / 3600 * self.rate if math.isfinite(self.median) else math.inf


@dataclass(frozen=True, eq=False)
class Advice:
    """The answer. `options` are the methods on all machines, best first; `chosen` is one of them.

    `hero` is the fastest machine alone, one of the options but where no machine can do the work alone
    (`Question.yardstick`).
    """

    question: Question
    options: tuple[Option, ...]
    chosen: Option
    hero: Option
    tied: tuple[str, ...]
    slow: dict[str, str]  # methods that were given up, and why
    without: tuple[Option | None, ...]  # the chosen method without each kind of machine; None for the only kind
    others: dict[
        int, tuple[str, float]
    ]  # other B*: the method that is best there, how many times sooner than one machine
    cutoff: float  # t*(B*), seconds: see `cutoff`
    more: tuple[tuple[float, int], ...]  # of each kind: what twice as many would save, and how many are enough
    result: Result
    scenario: dict[str, Any]

    @property
    def too_slow(self) -> float:
        """From how many times the time of the best on a method was given up."""
        return TOO_SLOW

    @property
    def hours(self) -> float:
        """Hours of the chosen plan, nan where nobody said how many steps a single machine needs."""
        return self.hours_of(self.chosen)

    def hours_of(self, option: Option) -> float:
        """Hours of a plan on the user's problem: those of a single machine, times the ratio that was measured."""
        question = self.question
        if question.steps is None:
            return math.nan
        alone = question.steps * min(group.seconds for group in question.groups)
        return alone / 3600 * option.median / self.hero.median

    def money_of(self, option: Option) -> float:
        """What a plan costs; with unknown hours as a multiple of a single machine doing it alone, nan where that is free."""
        hours = self.hours_of(option)
        if math.isnan(hours):
            return option.cost / self.hero.cost if self.hero.cost else math.nan
        return hours * option.rate if math.isfinite(hours) else math.inf
