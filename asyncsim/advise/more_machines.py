"""What more machines would bring, or fewer: theory's equilibrium time, in seconds of a gradient."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from asyncsim.advise.question import Group, Question
from asyncsim.theory import equilibrium_time


def cutoff(question: Question) -> float:
    """t*(B*): machines whose gradient takes longer than this, with its messages, add nothing, however many there are.

    The equilibrium time of arXiv:2405.15545; what it says of seconds holds up to a factor of 2.

    >>> from asyncsim.advise import asked
    >>> round(cutoff(asked("8x0.12 1x2.0", average=16)), 2)
    0.36
    """
    return equilibrium_time(_trips(question.groups), question.B)


def gain(question: Question, kind: int, factor: float) -> float:
    """By how much t*(B*) falls when there are `factor` times as many machines of a kind: 0.2 is 20 % less time.

    >>> from asyncsim.advise import asked
    >>> [round(gain(asked("8x0.12 1x2.0", average=16), kind, 2), 2) for kind in (0, 1)]
    [0.33, 0.0]
    """
    groups = list(question.groups)
    groups[kind] = dataclasses.replace(groups[kind], count=round(factor * groups[kind].count))
    return 1 - equilibrium_time(_trips(groups), question.B) / cutoff(question)


def enough(question: Question, kind: int, worth: float = 0.05) -> int:
    """How many machines of a kind there can be until doubling them saves less than `worth` of the time; 0 if any does.

    >>> from asyncsim.advise import asked
    >>> enough(asked("8x0.12 1x2.0", average=16), 0), enough(asked("8x0.12 1x2.0", average=16), 1)
    (256, 0)
    """
    groups = list(question.groups)

    def time(count: int) -> float:
        groups[kind] = dataclasses.replace(groups[kind], count=count)
        trips = _trips(groups)
        return equilibrium_time(trips, question.B) if len(trips) else math.inf

    count = groups[kind].count  # where the doubling of what there is saves less already, that is enough
    if math.isfinite(time(0)) and time(1) >= time(0) * (1 - 1e-12) and time(1024) >= time(0) * (1 - worth):
        return 0
    while count < 2**14 and time(2 * count) < (1 - worth) * time(count):
        count *= 2
    return count


def _trips(groups: Sequence[Group]) -> np.ndarray:
    return np.repeat([group.trip for group in groups], [group.count for group in groups])
