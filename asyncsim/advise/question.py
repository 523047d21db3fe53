"""What is asked: machines by kind, the noise, whose data.

A machine left out is data left out where each has data of its own, so nobody is told to leave one out there; and no single
machine can do the work: ratios are to one that had the data of all. With heavy tails (`Group.law`: a gradient may take a
hundred times the usual, or never come) `seconds` is the median, and ratios are to a fastest machine of which no gradient
is ever late.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from asyncsim import summary

Data: TypeAlias = Literal["same", "different"]
DATA = ("same", "different")
LIGHT = 0.1  # the deviation of machines without one, where nobody said it

MOST_MACHINES = 1000
MOST_KINDS = 10
MOST_AVERAGED = 1024
ASSUMED_AVERAGE = 16


@dataclass(frozen=True)
class Group:
    """Machines of one kind: how many, mean seconds of a minibatch gradient, of a message there and back, price an hour.

    law : the law of a gradient's seconds as a scenario has it, where it has a heavy tail; `seconds` is then the median,
    and `tail` says in words what it is.
    """

    count: int
    seconds: float
    communication: float = 0.0
    price: float | None = None
    tail: str = field(default="", repr=False)
    law: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def trip(self) -> float:
        """Seconds of a gradient with its messages."""
        return self.seconds + self.communication

    def __str__(self) -> str:
        return f"{self.count} × {summary.number(self.seconds)} s{f' ({self.tail})' if self.tail else ''}"


@dataclass(frozen=True)
class Question:
    """What is asked; `asked` reads it from texts.

    groups : the machines; jitter : standard deviation of a gradient's time over its mean;
    average : B*, None where it is not known (16 is assumed, and others are tried);
    steps : that a single machine needs with a good stepsize, None where not known;
    target : what ‖∇f‖² is to become, as a part of what it is at the start;
    data : whether all machines draw from the same data, or each has data of its own;
    notes : what the numbers don't say, of times that were measured.

    >>> Question((Group(8, 0.12), Group(1, 2.0))).n
    9
    """

    groups: tuple[Group, ...]
    jitter: float = 0.1
    average: int | None = None
    steps: int | None = None
    target: float = 1e-4
    data: Data = "same"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.data not in DATA:
            raise ValueError(
                f"data = {self.data!r}, but {' or '.join(DATA)} is needed: whether all machines draw from the same data"
            )
        if not 1 <= len(self.groups) <= MOST_KINDS:
            raise ValueError(f"workers: 1 to {MOST_KINDS} kinds of machines are possible, not {len(self.groups)}")
        if self.n > MOST_MACHINES:
            raise ValueError(
                f"workers: {self.n} machines are too many to try all methods on; up to {MOST_MACHINES} are possible"
            )
        within("jitter", self.jitter, 0, 2, "the standard deviation of a gradient's time over its mean")
        if self.average is not None:
            within(
                "gradients to average", self.average, 1, MOST_AVERAGED, "how many minibatch gradients make a good step"
            )
        if self.steps is not None and self.steps < 1:
            raise ValueError(
                f"steps = {self.steps}, but a number >= 1 is needed: the steps that a single machine needs"
            )
        within("target", self.target, 1e-6, 0.1, "the part of the first ‖∇f‖² that is to be left")

    @property
    def n(self) -> int:
        """How many machines there are."""
        return sum(group.count for group in self.groups)

    @property
    def B(self) -> int:
        """B*, given or assumed."""
        return ASSUMED_AVERAGE if self.average is None else self.average

    @property
    def priced(self) -> bool:
        """Whether prices are known."""
        return all(group.price is not None for group in self.groups)

    @property
    def heavy(self) -> bool:
        """Whether times have heavy tails."""
        return any(group.law is not None for group in self.groups)

    @property
    def yardstick(self) -> bool:
        """Whether no machine can do the work alone, or not in time, so that ratios are to one that could."""
        return self.data == "different" or self.heavy

    @property
    def communicates(self) -> bool:
        """Whether a message takes time."""
        return any(group.communication > 0 for group in self.groups)


def within(name: str, value: float, low: float, high: float, what: str) -> None:
    """ValueError unless low <= value <= high; `what` says what is needed."""
    if not low <= value <= high:
        raise ValueError(f"{name} = {value:g}, but {low:g} to {high:g} is needed: {what}")


def gamma(seconds: float, jitter: float) -> Any:
    """A law with this mean, whose deviation is `jitter` times it, as a scenario has it."""
    if jitter == 0:
        return seconds
    shape = six_digits(1 / jitter**2)
    return {"distribution": "gamma", "shape": shape, "scale": six_digits(seconds / shape)}


def six_digits(value: float) -> float:
    """A number in six digits, so that a scenario that says it means the same."""
    return float(f"{value:.6g}")
