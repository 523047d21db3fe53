"""Contention: workers that share something slow each other down while they compute at the same time.

What is shared may be a host's memory bus, a GPU, a power budget. While c workers of a group compute, each of them has
the power v_i(t) · s(c), where v_i is its own power (asyncsim/times/speeds.py; 1 unless a speed is given). s is either

- min(1, C/c) of a *capacity* C, processor sharing: up to C workers don't notice each other, more share it equally; or
- 1 / slowdown(c) of a measured or assumed *slowdown*: an expression in c, a list for c = 1, 2, …, or a function of c.

Who computes: a worker from the begin of a job's first gradient to the end of its last, also while its own power is 0 (an
outage: it keeps its place), also while it goes on with what it was told to stop. One that is away (availability) does
not, and neither downlink nor uplink is computing. Several workers that begin and end at one instant are one change:
whoever is sent its next job at the moment of its arrival never left, for the others.

A worker's durations here depend on what the method asks of the others: rule 4 of the server has its exception. The
*draws* hold: the m-th gradient of worker i costs the same whatever the method, the seconds that it takes do not.

This file says what is shared; asyncsim/contended.py keeps the work that is left and moves it on.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asyncsim.parameters import Count, Positive, parameters
from asyncsim.times.expressions import evaluate_in_c
from asyncsim.times.named import is_number

SLOWDOWN = (
    "an expression in c (workers that compute at the same time), a list of numbers > 0 for c = 1, 2, … "
    "(the last one holds for more), or a function of c"
)
MEMBERS = "a list of lists of different workers 0…n−1"


@parameters
class Contention:
    """Workers that slow each other down while they compute at the same time; give `capacity` or `slowdown`.

    Parameters:
        capacity: C: while c workers that share compute, each has min(1, C/c) of its power
        slowdown: by which factor a gradient takes longer while c of them compute: an expression in c, a list for
            c = 1, 2, … (the last one holds for more), or in Python a function of c
        size: how many share one such thing, workers in their order; all of them unless given
        members: instead of size: lists of the workers 0…n−1 that share; who is in no list has its own

    >>> Contention(capacity=2).slowdowns(4)
    [1.0, 1.0, 1.0, 1.5, 2.0]
    >>> Contention(slowdown="1 + 0.25 * (c - 1)", size=3).slowdowns(3)
    [1.0, 1.0, 1.25, 1.5]
    """

    capacity: Positive | None = None
    slowdown: Any = None
    size: Count | None = None
    members: Any = None

    def __post_init__(self) -> None:
        if (self.capacity is None) == (self.slowdown is None):
            raise ValueError(
                f"Contention: capacity = {self.capacity!r}, slowdown = {self.slowdown!r}, but one of the two is needed"
            )
        if self.size is not None and self.members is not None:
            raise ValueError("Contention: size and members stand together; give one of them, or neither")
        _checked(self.members)
        self.slowdowns(8)

    def slowdowns(self, most: int) -> list[float]:
        """1 / s(c), the factor by which a gradient takes longer while c compute, for c = 0…most."""
        if self.capacity is not None:
            return [1.0, *(max(1.0, c / self.capacity) for c in range(1, most + 1))]
        found = [1.0, *(_number(c, value) for c, value in enumerate(self._given(most), start=1))]
        return found + found[-1:] * (most + 1 - len(found))

    def _given(self, most: int) -> Sequence[Any]:
        if isinstance(self.slowdown, str):
            values: list[float] = evaluate_in_c(self.slowdown, most).tolist()
            return values
        if callable(self.slowdown):
            return [self.slowdown(c) for c in range(1, most + 1)]
        if isinstance(self.slowdown, Sequence | np.ndarray) and len(self.slowdown):
            return list(self.slowdown)
        raise ValueError(f"Contention: slowdown = {self.slowdown!r:.60}, but {SLOWDOWN} is needed")

    def groups(self, workers: range) -> list["Group"]:
        """Who of `workers` shares with whom, and what that does to them."""
        if self.members is not None:
            strange = sorted({worker for group in self.members for worker in group if worker not in workers})
            if strange:
                raise ValueError(
                    f"Contention: members: {strange[0]} is no worker of {workers.start}…{workers.stop - 1}"
                )
            rows = [list(map(int, group)) for group in self.members]
        else:
            size = min(self.size or len(workers), len(workers))
            rows = [list(workers[first : first + size]) for first in range(0, len(workers), size)]
        slowdowns = self.slowdowns(max(map(len, rows)))
        return [Group(row, slowdowns) for row in rows]


@dataclass(frozen=True)
class Group:
    """Workers that share. slowdowns[c]: the factor by which a gradient takes longer while c of them compute.

    Factors rather than powers: that three share one is 3 exactly, 1/3 is not.
    """

    workers: list[int]
    slowdowns: list[float]


def contention_of(spec: Any, workers: range) -> list[Group]:
    """The groups among `workers` from what a user gives: a Contention, or a mapping of its parameters.

    >>> [group.workers for group in contention_of({"capacity": 1, "size": 2}, range(5))]
    [[0, 1], [2, 3], [4]]
    """
    if isinstance(spec, Mapping):
        for key in spec:
            if key not in Contention.__annotations__:
                raise ValueError(f"unknown key {key!r}; there are {', '.join(Contention.__annotations__)}")
        spec = Contention(**spec)
    if not isinstance(spec, Contention):
        raise ValueError(f"{spec!r:.60} is no Contention(capacity, …) or Contention(slowdown, …)")
    return spec.groups(workers)


def all_at_once(groups: Sequence[Group], n: int) -> np.ndarray:
    """(n,) by which factor each worker's gradients take longer while all of its group compute."""
    factors = np.ones(n)
    for group in groups:
        factors[group.workers] = group.slowdowns[len(group.workers)]
    return factors


def _number(c: int, value: Any) -> float:
    if is_number(value) and 0.0 < float(value) < math.inf:
        return float(value)
    raise ValueError(f"Contention: slowdown = {value!r:.60} for c = {c}, but a finite number > 0 is needed")


def _checked(members: Any) -> None:
    if members is None:
        return
    rows = [list(group) for group in members] if _is_list(members) and all(map(_is_list, members)) else None
    whole = rows is not None and all(_is_worker(worker) for group in rows for worker in group)
    if rows is None or not rows or not all(rows) or not whole:
        raise ValueError(f"Contention: members = {members!r:.60}, but {MEMBERS} is needed")
    seen: set[int] = set()
    for worker in (worker for group in rows for worker in group):
        if worker in seen:
            raise ValueError(f"Contention: members: worker {worker} stands there twice")
        seen.add(worker)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence | np.ndarray) and not isinstance(value, str)


def _is_worker(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= 0
