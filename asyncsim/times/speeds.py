"""Speeds that change with time: the universal computation model (Tyurin, 2024, arXiv:2408.04929).

Worker i has a power v_i(t) >= 0. The law of compute times gives the *cost* of a gradient: its seconds at power 1. A
gradient of cost c that begins at t0 ends at inf{t : V(t) >= V(t0) + c}, where V is the integral of v. If V never gets
there, the gradient never ends. Stopping it loses what was done of it.

A speed is a description, the same for all times. It becomes a worker's `Path` in one run, which answers two questions:
`seconds(start, cost)`, how long a gradient takes, and `work(start, end)`, what the integral of v is.

- Powers that are constant piece by piece come from `pieces(rng)`, which unfolds them by the clock, as far as anyone has
  asked. What it draws depends on (seed, worker, number of the block) alone, so that outages fall at the same times
  whatever the method asks of the worker, and a run that is taken up again unfolds them anew.
- Seconds are computed from what is left of the cost within a piece, never from differences of two large V(t). A
  gradient that ends in the piece it began in takes cost · (1/v) seconds to the last bit: with cost 1 a worker of power
  v is the worker of the fixed model with τ = 1/v. Who has τ rather than v says `seconds: τ`, and nothing is rounded.
- A user's own speed needs no registration: an object with `power(t)` and `step` (integrated numerically, in steps so
  short that the power is smooth within one), or with `work(t)` = V(t) and its inverse `time_of(work)`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from itertools import count, pairwise
from typing import Any, Protocol

import numpy as np

from asyncsim.parameters import NonNegative, Positive, parameters
from asyncsim.times.laws import Time

Blocks = Callable[[int], np.random.Generator]  # the generator of a block; valid until the next is asked for

BLOCK = 64  # stays that are drawn together; part of the numbers, as in asyncsim/streams.py
STEPS = 10**6  # steps or pieces that one gradient may take


class Path(Protocol):
    """The power of one worker in one run."""

    def seconds(self, start: float, cost: float) -> float:
        """Seconds from `start` until `cost` is done; inf = never."""

    def work(self, start: float, end: float) -> float:
        """What is done from `start` to `end`: the integral of the power."""


# ---- paths


class Unfolding:
    """A power that is constant piece by piece; `source` yields (end, power), the first piece begins at 0.

    The last piece, if there is one, ends at inf. `now` may be set to forget what lies before it.
    """

    def __init__(self, source: Iterator[tuple[float, float]]) -> None:
        self._source = source
        self.ends: list[float] = []
        self.powers: list[float] = []
        self.now = 0.0

    def at(self, t: float) -> int:
        """The place, in `ends` and `powers`, of the piece that t (finite) is in; a piece holds its begin."""
        while not self.ends or self.ends[-1] <= t:
            self._unfold()
        return bisect_right(self.ends, t)

    def after(self, place: int) -> int:
        """The place of the next piece; what was forgotten meanwhile moves it."""
        if place + 1 == len(self.ends):
            before = len(self.ends)
            self._unfold()
            place -= before + 1 - len(self.ends)
        return place + 1

    def _unfold(self) -> None:
        last = self.ends[-1] if self.ends else 0.0
        for _ in range(STEPS):
            end, power = next(self._source)
            if end > last:
                break
        else:
            raise ValueError(f"the power changes {STEPS:,} times at the one instant {last!r}")
        if len(self.ends) % 4096 == 4095:
            forgotten = bisect_right(self.ends, self.now)
            del self.ends[:forgotten], self.powers[:forgotten]
        self.ends.append(end)
        self.powers.append(power)

    def seconds(self, start: float, cost: float) -> float:
        """Seconds from `start` until `cost` is done; inf = never."""
        if cost == 0.0:
            return 0.0
        if math.inf in (start, cost):
            return math.inf
        place = self.at(start)
        begin, waited = start, 0.0
        for _ in range(STEPS):
            end, power = self.ends[place], self.powers[place]
            needed = cost * (1.0 / power) if power else math.inf
            if begin + needed <= end:
                return waited + needed
            cost -= (end - begin) * power
            begin, waited = end, end - start
            if cost <= 0.0:
                return waited  # it ends with this piece, but for rounding
            place = self.after(place)
        raise ValueError(f"a gradient that began at {start!r} is not done after {STEPS:,} changes of the power")

    def work(self, start: float, end: float) -> float:
        """What is done from `start` to `end`: the integral of the power."""
        done, place = 0.0, self.at(start)
        while self.ends[place] < end:
            done += (self.ends[place] - start) * self.powers[place]
            start = self.ends[place]
            place = self.after(place)
        return done + (end - start) * self.powers[place]

    def power(self, t: float) -> float:
        """v(t); at a change the new one."""
        return self.powers[self.at(t)]


class Ramp:
    """A power that moves from `first` at time 0 to `last` at time `over`, linearly or exponentially, and stays there."""

    def __init__(self, first: float, last: float, over: float, exponential: bool) -> None:
        self.first, self.last, self.over = first, last, over
        self.rate = (math.log(last / first) if exponential else last - first) / over
        self.exponential = exponential

    def power(self, t: float) -> float:
        """v(t)."""
        if t >= self.over:
            return self.last
        return self.first * math.exp(self.rate * t) if self.exponential else self.first + self.rate * t

    def seconds(self, start: float, cost: float) -> float:
        """Seconds from `start` until `cost` is done; inf = never."""
        if cost == 0.0:
            return 0.0
        if math.inf in (start, cost):
            return math.inf
        if start < self.over:
            seconds = self._on_the_way(self.power(start), cost)
            if start + seconds <= self.over:
                return seconds
            cost -= self.work(start, self.over)
            waited = self.over - start
        else:
            waited = 0.0
        if cost <= 0.0:
            return waited
        return waited + (cost * (1.0 / self.last) if self.last else math.inf)

    def _on_the_way(self, power: float, cost: float) -> float:
        """Seconds until `cost` is done if the power went on changing for ever: solved without cancellation."""
        if self.exponential:
            grown = self.rate * cost / power
            return (
                math.log1p(grown) / self.rate
                if grown > -1.0 and self.rate
                else (math.inf if self.rate else cost / power)
            )
        square = power * power + 2.0 * self.rate * cost
        root = power + math.sqrt(square) if square >= 0.0 else 0.0
        return 2.0 * cost / root if root else math.inf

    def work(self, start: float, end: float) -> float:
        """What is done from `start` to `end`."""
        bend = min(max(start, self.over), end)
        seconds, power = bend - start, self.power(start)
        if start >= self.over:
            done = seconds * self.last
        elif self.exponential and self.rate:
            done = power * math.expm1(self.rate * seconds) / self.rate
        else:
            done = seconds * (power if self.exponential else power + self.rate * seconds / 2.0)
        return done + (end - bend) * self.last


class Told:
    """The user's V(t) and its inverse."""

    def __init__(self, speed: Any) -> None:
        self._speed = speed

    def seconds(self, start: float, cost: float) -> float:
        """Seconds from `start` until `cost` is done; inf = never."""
        if cost == 0.0 or math.inf in (start, cost):
            return 0.0 if cost == 0.0 else math.inf
        end = float(self._speed.time_of(float(self._speed.work(start)) + cost))
        if not end >= start:
            raise ValueError(
                f"{self._speed!r}: time_of(work({start!r}) + {cost!r}) = {end!r}, but a time >= {start!r} is needed"
            )
        return end - start

    def work(self, start: float, end: float) -> float:
        """What is done from `start` to `end`."""
        return float(self._speed.work(end)) - float(self._speed.work(start))


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
_RULE = [(float(node), float(weight)) for node, weight in zip(_NODES, _WEIGHTS, strict=True)]


class Integrated:
    """The user's v(t), integrated by Gauss's rule of 8 points, halved until two halves agree with the whole."""

    def __init__(self, speed: Any) -> None:
        self._speed = speed
        self._step = float(speed.step)
        if not 0.0 < self._step < math.inf:
            raise ValueError(f"{speed!r}: step = {speed.step!r}, but a number of seconds > 0 is needed")

    def power(self, t: float) -> float:
        """v(t), checked."""
        power = float(self._speed.power(t))
        if not 0.0 <= power < math.inf:
            raise ValueError(f"{self._speed!r}: power({t!r}) = {power!r}, but a finite number >= 0 is needed")
        return power

    def seconds(self, start: float, cost: float) -> float:
        """Seconds from `start` until `cost` is done."""
        if cost == 0.0 or math.inf in (start, cost):
            return 0.0 if cost == 0.0 else math.inf
        begin = start
        for _ in range(STEPS):
            done = self._panel(begin, begin + self._step)
            if done >= cost:
                return self._within(begin, cost) - start
            cost -= done
            begin += self._step
        raise ValueError(
            f"{self._speed!r}: a gradient begun at {start!r} is not done after {STEPS:,} steps of {self._step:g} s; "
            "for a power that stays 0, give work(t) and time_of(work), which may be inf"
        )

    def _within(self, begin: float, cost: float) -> float:
        """The root of V(t) = V(begin) + cost: Newton's steps, kept between two ends that enclose it."""
        low, high, t = begin, begin + self._step, begin + self._step / 2
        for _ in range(100):
            missing = cost - self._panel(begin, t)
            low, high = (t, high) if missing > 0.0 else (low, t)
            power = self.power(t)
            nearer = t + missing / power if power else math.inf
            nearer = nearer if low < nearer < high else (low + high) / 2
            if abs(nearer - t) <= 4e-16 * abs(t) or not low < nearer < high:
                break
            t = nearer
        return t

    def work(self, start: float, end: float) -> float:
        """What is done from `start` to `end`."""
        panels = max(1, math.ceil((end - start) / self._step))
        ends = [start + (end - start) * j / panels for j in range(panels + 1)]
        return math.fsum(self._panel(a, b) for a, b in pairwise(ends))

    def _panel(self, a: float, b: float, depth: int = 0, whole: float | None = None) -> float:
        whole = self._gauss(a, b) if whole is None else whole
        middle = (a + b) / 2
        left, right = self._gauss(a, middle), self._gauss(middle, b)
        if depth == 40 or abs(left + right - whole) <= 1e-13 * abs(whole) + 1e-300:
            return left + right
        return self._panel(a, middle, depth + 1, left) + self._panel(middle, b, depth + 1, right)

    def _gauss(self, a: float, b: float) -> float:
        middle, half = (a + b) / 2, (b - a) / 2
        return half * math.fsum(weight * self.power(middle + half * node) for node, weight in _RULE)


# ---- speeds


@parameters
class ConstantSpeed:
    """Always the same power: the fixed computation model. `speed: 2` is short for it.

    Parameters:
        power: v, what is done in a second; 0 = never anything
        seconds: τ = 1/v instead, seconds for a cost of 1

    >>> ConstantSpeed(seconds=3.0).path(None).seconds(10.0, 1.0)
    3.0
    """

    power: NonNegative | None = None
    seconds: Time | None = None

    def __post_init__(self) -> None:
        if (self.power is None) == (self.seconds is None) or self.seconds == 0:
            raise ValueError(
                f"ConstantSpeed: power = {self.power!r}, seconds = {self.seconds!r}, but one of the two is needed, "
                "seconds > 0"
            )

    @property
    def mean_power(self) -> float:
        """v."""
        return float(self.power) if self.power is not None else 1.0 / float(self.seconds or math.inf)

    def path(self, blocks: Blocks | None) -> Path:
        """The power over time."""
        return _Steady((1.0 / self.power if self.power else math.inf) if self.seconds is None else float(self.seconds))


class _Steady:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def seconds(self, start: float, cost: float) -> float:
        return cost * self._seconds if cost else 0.0

    def work(self, start: float, end: float) -> float:
        return (end - start) / self._seconds

    def power(self, t: float) -> float:
        return 1.0 / self._seconds


@parameters
class PiecewiseSpeed:
    """Powers that change at given times.

    Parameters:
        times: seconds at which the power changes, ascending, each > 0
        powers: the powers, one more than times: before the first change, after it, …; each a number or an expression

    >>> PiecewiseSpeed(times=(2.0, 5.0), powers=(1.0, 0.0, 2.0)).path(None).seconds(1.0, 3.0)
    5.0
    """

    times: tuple[Positive, ...]
    powers: tuple[NonNegative, ...]

    def __post_init__(self) -> None:
        if len(self.powers) != len(self.times) + 1 or any(
            a >= b for a, b in zip(self.times[:-1], self.times[1:], strict=True)
        ):
            raise ValueError(
                f"PiecewiseSpeed: powers = {list(self.powers)}, times = {list(self.times)}, but ascending times "
                "and one more power than times are needed"
            )

    @property
    def mean_power(self) -> float:
        """The power in the end."""
        return float(self.powers[-1])

    def path(self, blocks: Blocks | None) -> Path:
        """The power over time."""
        return Unfolding(zip((*self.times, math.inf), self.powers, strict=True))


@parameters
class StepSpeed:
    """One change: another power from a moment on.

    Parameters:
        at: seconds at which the power changes
        before: power until then
        after: power from then on

    >>> StepSpeed(at=10.0, before=1.0, after=0.5).path(None).seconds(9.0, 2.0)
    3.0
    """

    at: Positive
    before: NonNegative
    after: NonNegative

    @property
    def mean_power(self) -> float:
        """The power in the end."""
        return float(self.after)

    def path(self, blocks: Blocks | None) -> Path:
        """The power over time."""
        return Unfolding(iter(((self.at, self.before), (math.inf, self.after))))


@parameters
class PeriodicSpeed:
    """Powers that come again and again: day and night.

    Parameters:
        period: seconds after which all begins anew
        powers: the powers within a period, at least one > 0
        times: seconds of the period at which the power changes, ascending; unless given, all parts are equally long
        phase: seconds by which the worker is ahead of the others: another time zone

    >>> day_and_night = PeriodicSpeed(period=24.0, powers=(1.0, 0.25), phase=6.0)
    >>> day_and_night.path(None).seconds(0.0, 9.0)
    18.0
    """

    period: Positive
    powers: tuple[NonNegative, ...]
    times: tuple[Positive, ...] | None = None
    phase: float = 0.0

    def __post_init__(self) -> None:
        ends = [*self._changes(), self.period]
        if len(ends) != len(self.powers) or any(a >= b for a, b in pairwise(ends)):
            raise ValueError(
                f"PeriodicSpeed: powers = {list(self.powers)}, times = {self.times}, but ascending times within the "
                "period and one more power than times are needed"
            )
        if not any(self.powers):
            raise ValueError(f"PeriodicSpeed: powers = {list(self.powers)}, but at least one > 0 is needed")

    def _changes(self) -> list[float]:
        parts = len(self.powers)
        return [self.period * j / parts for j in range(1, parts)] if self.times is None else list(self.times)

    @property
    def mean_power(self) -> float:
        """The mean over a period."""
        bounds = [0.0, *self._changes(), self.period]
        return (
            sum(power * (b - a) for power, a, b in zip(self.powers, bounds[:-1], bounds[1:], strict=True)) / self.period
        )

    def path(self, blocks: Blocks | None) -> Path:
        """The power over time."""
        ends = [*self._changes(), float(self.period)]
        ahead = self.phase % self.period
        return Unfolding(
            (number * self.period + end - ahead, power)
            for number in count()
            for end, power in zip(ends, self.powers, strict=True)
        )


@parameters
class Outages:
    """Power 1, but for outages of random length at random times. What was begun goes on after an outage.

    Parameters:
        mean_up: mean seconds between outages (exponential); the worker is up at time 0
        mean_down: mean seconds of an outage (exponential)
        power: the power while up

    >>> Outages(mean_up=90.0, mean_down=10.0).mean_power
    0.9
    """

    mean_up: Positive
    mean_down: Positive
    power: Positive = 1.0

    @property
    def mean_power(self) -> float:
        """In the long run."""
        return self.power * self.mean_up / (self.mean_up + self.mean_down)

    def path(self, blocks: Blocks) -> Path:
        """The power over time."""
        return Unfolding(stays(blocks, (self.mean_up, self.mean_down), (self.power, 0.0)))


@parameters
class MarkovSpeed:
    """States of different power with exponential stays: a slow and a fast one, or more.

    Parameters:
        powers: the power in each state, at least two states, at least one power > 0; the first is that of time 0
        mean_stays: mean seconds of a stay in each state; then follows one of the others, all equally likely

    >>> MarkovSpeed(powers=(1.0, 0.1), mean_stays=(300.0, 100.0)).mean_power
    0.775
    """

    powers: tuple[NonNegative, ...]
    mean_stays: tuple[Positive, ...]

    def __post_init__(self) -> None:
        if len(self.powers) != len(self.mean_stays) or len(self.powers) < 2 or not any(self.powers):
            raise ValueError(
                f"MarkovSpeed: powers = {list(self.powers)}, mean_stays = {list(self.mean_stays)}, but one of each for "
                "two states or more is needed, and one power > 0"
            )

    @property
    def mean_power(self) -> float:
        """In the long run: all states are entered equally often."""
        done = sum(power * stay for power, stay in zip(self.powers, self.mean_stays, strict=True))
        return done / sum(self.mean_stays)

    def path(self, blocks: Blocks) -> Path:
        """The power over time."""
        return Unfolding(stays(blocks, self.mean_stays, self.powers))


def stays(blocks: Blocks, mean_stays: tuple[float, ...], powers: tuple[float, ...]) -> Iterator[tuple[float, float]]:
    """(end, power) of exponential stays in the states of a chain that begins in state 0."""
    end, state, others = 0.0, 0, len(powers) - 1
    for number in count():
        rng = blocks(number)
        lengths = rng.standard_exponential(BLOCK).tolist()
        moves = (1 + rng.integers(0, others, BLOCK)).tolist()
        for length, move in zip(lengths, moves, strict=True):
            end += mean_stays[state] * length
            yield end, powers[state]
            state = (state + move) % len(powers)


@parameters
class DriftSpeed:
    """A power that grows or fades from one value to another, and stays there.

    Parameters:
        first: power at time 0
        last: power from time `over` on
        over: seconds that it takes
        shape: linear, or exponential (both powers > 0), the same factor every second

    >>> DriftSpeed(first=1.0, last=3.0, over=2.0).path(None).seconds(0.0, 4.0)
    2.0
    """

    first: NonNegative
    last: NonNegative
    over: Positive
    shape: str = "linear"

    def __post_init__(self) -> None:
        if self.shape not in ("linear", "exponential"):
            raise ValueError(f"DriftSpeed: shape = {self.shape!r}, but 'linear' or 'exponential' is needed")
        if self.shape == "exponential" and not (self.first > 0 and self.last > 0):
            raise ValueError(
                f"DriftSpeed: first = {self.first!r}, last = {self.last!r}, but > 0 is needed for exponential drift"
            )

    @property
    def mean_power(self) -> float:
        """The power in the end."""
        return float(self.last)

    def path(self, blocks: Blocks | None) -> Path:
        """The power over time."""
        return Ramp(self.first, self.last, self.over, self.shape == "exponential")


SPEEDS: Mapping[str, type] = {
    "constant": ConstantSpeed,
    "piecewise": PiecewiseSpeed,
    "periodic": PeriodicSpeed,
    "outages": Outages,
    "markov": MarkovSpeed,
    "drift": DriftSpeed,
    "step": StepSpeed,
}

ALLOWED = (
    "a power (a number >= 0), a speed, a list of one a worker, a callable worker -> speed, an object with power(t) and "
    'step or with work(t) and time_of(work), or {"name": …, …}'
)


def path_of(speed: Any, blocks: Blocks) -> Path:
    """The path of a speed, ours or a user's own.

    >>> class Sine:
    ...     step = 1.0
    ...     def power(self, t):
    ...         return 1.0 + math.sin(t)
    >>> round(path_of(Sine(), None).seconds(0.0, 2.0 * math.pi), 12)
    6.28318530718
    """
    if callable(getattr(speed, "path", None)):
        path: Path = speed.path(blocks)
        return path
    if callable(getattr(speed, "work", None)) and callable(getattr(speed, "time_of", None)):
        return Told(speed)
    return Integrated(speed)


def is_speed(thing: Any) -> bool:
    """Whether `thing` can be a worker's speed."""
    if isinstance(thing, type):
        return False
    has = {name for name in ("path", "power", "work", "time_of") if callable(getattr(thing, name, None))}
    return "path" in has or {"work", "time_of"} <= has or ("power" in has and hasattr(thing, "step"))
