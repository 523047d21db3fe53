"""Workers that come and go: dropout and return, crashes, late joins, plugged in at night.

When a worker is there unfolds by the clock from the worker's own stream, asked or not, as speeds do
(asyncsim/times/speeds.py). What becomes of the job in hand when its worker leaves is the *policy*:

- ``restarted`` (unless another is given): the gradient or message in hand is lost and begins anew when the worker is
  back, with the same cost; the gradients of the job that were finished stay. The server has no part in it: to it the
  worker is slow.
- ``paused``: it goes on where it was when the worker is back: power 0 meanwhile.
- ``lost``: the job never returns. The server learns of it when it has heard nothing for `notice` seconds, or when the
  worker reports back, whichever is first; the job is then written down as lost. From its return on the worker is idle
  for the server. A method sees only that: nothing is received, and who broadcasts to idle workers reaches who is back.
  A method that waits for that very job waits for ever, and its run ends as stalled. A worker that is not yet there at
  the start is not idle before it joins; one that leaves while it is idle is missed only when the server sends it a job.

With ``restarted`` and ``paused`` a job that is sent to a worker that is away begins when it is back.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any, Literal

import numpy as np

from asyncsim.parameters import NonNegative, Positive, parameters
from asyncsim.times.known import mean_of
from asyncsim.times.laws import Constant
from asyncsim.times.speeds import BLOCK, Blocks, Path, Unfolding

Policy = Literal["restarted", "paused", "lost"]

ATTEMPTS = 10**4  # of a gradient to begin anew; who never stays long enough never returns


class _Unit:
    """Power 1 at all times."""

    def seconds(self, start: float, cost: float) -> float:
        return cost

    def work(self, start: float, end: float) -> float:
        return end - start


UNIT = _Unit()


class Presence:
    """When one worker is there, in one run."""

    def __init__(self, described: Any, blocks: Blocks) -> None:
        self.policy: str = getattr(described, "policy", "restarted")
        self.notice = float(getattr(described, "notice", 0.0))
        self.there = Unfolding(described.stays(blocks))

    def back(self, t: float) -> float:
        """The first moment from t on at which the worker is there; inf = never again."""
        return self._first(t, 1.0)

    def leaves(self, t: float) -> float:
        """The first moment from t on at which the worker is away; inf = never."""
        return self._first(t, 0.0)

    def _first(self, t: float, wanted: float) -> float:
        place = self.there.at(t)
        for _ in range(ATTEMPTS):  # stays too short for float64 would be looked for without end
            if self.there.powers[place] == wanted:
                return t
            t = self.there.ends[place]
            if t == math.inf:
                return t
            place = self.there.after(place)
        return math.inf

    def seconds(self, path: Path, start: float, cost: float) -> float:
        """Seconds from `start` until `cost` is done with the power of `path`, paused or restarted while away."""
        if cost == 0.0:
            return 0.0
        t = start
        for _ in range(ATTEMPTS):
            begin = math.inf if t == math.inf else self.back(t)
            if begin == math.inf:
                return math.inf
            until = self.leaves(begin)
            seconds = path.seconds(begin, cost)
            if begin + seconds <= until:
                return seconds if begin == start else begin - start + seconds
            if self.policy == "paused":
                cost -= path.work(begin, until)
                if cost <= 0.0:
                    return until - start  # it was done as the worker left, but for rounding
            t = until
        return math.inf


@parameters
class Dropout:
    """Workers drop out and return: there for a random time, away for a random time, and so on.

    Parameters:
        up: law of the seconds that a worker stays, or a number
        down: law of the seconds that it is away, or a number; inf = it never returns
        policy: what becomes of the job in hand: restarted, paused or lost
        notice: seconds of silence after which the server gives up a lost job

    >>> from asyncsim import Exponential
    >>> Dropout(up=Exponential(90.0), down=10.0).share
    0.9
    """

    up: Any
    down: Any
    policy: Policy = "restarted"
    notice: NonNegative = 0.0

    def __post_init__(self) -> None:
        for name in ("up", "down"):
            _law(name, getattr(self, name))

    @property
    def share(self) -> float:
        """The part of the time that it is there in the long run; 1 where the means are not finite numbers, or up's is 0."""
        up, down = (mean_of(_law(name, getattr(self, name))) for name in ("up", "down"))
        return up / (up + down) if 0 < up < math.inf and down < math.inf else 1.0

    def stays(self, blocks: Blocks) -> Iterator[tuple[float, float]]:
        """(end, 1 there or 0 away), alternating."""
        end, laws = 0.0, (_law("up", self.up), _law("down", self.down))
        for number in count():
            drawn = [np.asarray(law.sample(blocks(2 * number + j), BLOCK), np.float64) for j, law in enumerate(laws)]
            for law, values in zip(laws, drawn, strict=True):
                if values.shape != (BLOCK,) or not (values >= 0).all():
                    raise ValueError(f"{law!r} gave times that are negative or NaN; seconds >= 0 are needed")
            for up, down in zip(*(values.tolist() for values in drawn), strict=True):
                end += up
                yield end, 1.0
                end += down
                yield end, 0.0


def _law(name: str, given: Any) -> Any:
    if callable(getattr(given, "sample", None)) and not isinstance(given, type):
        return given
    try:
        return Constant(float(given))
    except (TypeError, ValueError):
        raise ValueError(
            f"Dropout: {name} = {given!r:.60}, but a law (with `sample`) or seconds >= 0 are needed"
        ) from None


@parameters
class Crash:
    """Workers that leave once and for ever.

    Parameters:
        at: seconds at which the worker leaves
        mean: instead of at: mean of a random moment (exponential)
        policy: what becomes of the job in hand: with lost the server gives it up; the others are the same here
        notice: seconds of silence after which the server gives up a lost job

    >>> Presence(Crash(at=5.0), None).back(6.0)
    inf
    """

    at: NonNegative | None = None
    mean: Positive | None = None
    policy: Policy = "restarted"
    notice: NonNegative = 0.0

    def __post_init__(self) -> None:
        if (self.at is None) == (self.mean is None):
            raise ValueError(f"Crash: at = {self.at!r}, mean = {self.mean!r}, but one of the two is needed")

    def stays(self, blocks: Blocks) -> Iterator[tuple[float, float]]:
        """(end, 1 there or 0 away)."""
        leaves = self.at if self.mean is None else self.mean * blocks(0).standard_exponential()
        yield float(leaves or 0.0), 1.0
        yield math.inf, 0.0


@parameters
class LateJoin:
    """Workers that join later and then stay.

    Parameters:
        at: seconds at which the worker joins
        policy: with lost the server does not know the worker before; else what it is sent waits for it
        notice: seconds of silence after which the server gives up a lost job

    >>> Presence(LateJoin(at=5.0), None).back(0.0)
    5.0
    """

    at: NonNegative
    policy: Policy = "restarted"
    notice: NonNegative = 0.0

    def stays(self, blocks: Blocks) -> Iterator[tuple[float, float]]:
        """(end, 1 there or 0 away)."""
        yield float(self.at), 0.0
        yield math.inf, 1.0


@parameters
class PluggedIn:
    """Workers that are there at the same hours of every day: phones that charge at night.

    Parameters:
        start: second of the period at which the worker comes
        end: second of the period at which it leaves; before `start` if it stays over the end of the period
        period: seconds after which all begins anew
        phase: seconds by which the worker is ahead of the others: another time zone
        policy: what becomes of the job in hand: restarted, paused or lost
        notice: seconds of silence after which the server gives up a lost job

    >>> night = Presence(PluggedIn(start=22.0, end=6.0, period=24.0), None)
    >>> night.leaves(0.0), night.back(6.0), night.leaves(22.0)
    (6.0, 22.0, 30.0)
    """

    start: NonNegative
    end: NonNegative
    period: Positive = 86400.0
    phase: float = 0.0
    policy: Policy = "restarted"
    notice: NonNegative = 0.0

    def __post_init__(self) -> None:
        never = self.start == self.period and self.end == 0  # the end of a period is the beginning of the next
        if self.start == self.end or never or max(self.start, self.end) > self.period:
            raise ValueError(
                f"PluggedIn: start = {self.start!r}, end = {self.end!r}, but two different seconds within the period "
                f"{self.period!r} are needed"
            )

    @property
    def share(self) -> float:
        """The part of the time that it is there."""
        over = 0.0 if self.end > self.start else self.period
        return (self.end - self.start + over) / self.period

    def stays(self, blocks: Blocks) -> Iterator[tuple[float, float]]:
        """(end, 1 there or 0 away), alternating."""
        over = self.end < self.start  # there as the period begins
        first, second = (self.end, self.start) if over else (self.start, self.end)
        ahead = self.phase % self.period
        for number in count():
            begin = number * self.period - ahead
            yield begin + first, float(over)
            yield begin + second, float(not over)
            yield begin + self.period, float(over)


AVAILABILITIES: Mapping[str, type] = {
    "dropout": Dropout,
    "crash": Crash,
    "late_join": LateJoin,
    "plugged_in": PluggedIn,
}

ALLOWED = 'an availability, a list of one a worker (None = always there), a callable worker -> availability, or {"name": …, …}'


@parameters
class AlwaysThere:
    """Workers that never leave: what None stands for in a list, and groups without an availability.

    Parameters:
        policy: of no consequence
    """

    policy: Policy = "restarted"

    def stays(self, blocks: Blocks) -> Iterator[tuple[float, float]]:
        """(end, 1 there)."""
        yield math.inf, 1.0


def is_availability(thing: Any) -> bool:
    """Whether `thing` says when a worker is there: anything with `stays(blocks)`; `policy`, `notice` if it has them."""
    return callable(getattr(thing, "stays", None)) and not isinstance(thing, type)
