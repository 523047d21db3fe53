"""What is written down of a run while it goes on: the curves.

A record evaluates the exact f and ∇f at x^k, and the accuracy on what is held out where something is, outside the simulated time and without any random
number, so that recording changes nothing. When records are taken:

- ``{every: s}``: each s simulated seconds;
- ``{iterations: j}``: each j iterations;
- ``{points: p}``: p records evenly over `stop: {time}` where that is given. Where the end is not
  known, records thin out as the run grows: the distance between two, in iterations, doubles after
  every p/8 records, so that their number grows as the logarithm of the run's length.

The first (time 0) and the last state are always recorded. The running mean of ‖∇f(x^k)‖² over k, which
the papers' theorems bound, counts each recorded value for the iterations until the next record.
"""

from __future__ import annotations

import math
import time as time_
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from asyncsim.log import Log
from asyncsim.result import CURVES, TARGETS, meets, no_contributions

__all__ = ["TARGETS", "Record", "Recorder", "has_test", "value_and_gradient"]


@dataclass(frozen=True)
class Record:
    """How often to record, and whether to keep every event.

    At most one of `every` (simulated seconds) and `iterations`; else about `points` records.

    >>> Record(every=0.5).points is None
    True
    """

    points: int | None = None
    every: float | None = None
    iterations: int | None = None
    events: str = "windows"
    checkpoint_every: float = 60.0

    def __post_init__(self) -> None:
        given = [name for name in ("points", "every", "iterations") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(
                f"record: {' and '.join(given)} are given, but only one of points, every, iterations can be"
            )
        for name in given:
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"record: {name} = {getattr(self, name)!r}, but a number > 0 is needed")
        if self.events not in ("windows", "all"):
            raise ValueError(f"record: events = {self.events!r}, but 'windows' or 'all' is needed")
        if not self.checkpoint_every >= 0:
            raise ValueError(f"record: checkpoint_every = {self.checkpoint_every!r}, but seconds >= 0 are needed")
        if not given:
            object.__setattr__(self, "points", 200)


class Recorder:
    """Takes the records of one run and knows whether the target is met.

    Parameters
    ----------
    problem : gives value and full_gradient (or value_and_gradient), and test_accuracy, where it has them
    record : when to record
    stop_time : the end of the run in simulated seconds, where known
    target : {"squared_gradient_norm": ε}, {"suboptimality": ε} or {"test_accuracy": a}
    write : receives each record as a dict: the names in CURVES, and `contributions`, a list of whole numbers
    """

    def __init__(
        self,
        problem: Any,
        record: Record,
        stop_time: float | None,
        target: Mapping[str, float] | None = None,
        write: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self._problem = problem
        self._f_star = getattr(problem, "f_star", None)
        self._target = dict(target or {})
        self._write = write
        self.rows: list[dict[str, float]] = []
        self._contributions: list[np.ndarray] = []  # of the shown workers, one array a row
        self._period = record.every
        if record.points is not None and stop_time is not None and stop_time > 0:
            self._period = stop_time / record.points
        self._taken_by_time = 0
        self._doubling_after = 0
        self._distance = math.inf
        if self._period is None:
            self._distance = record.iterations or 1
            self._doubling_after = 0 if record.iterations else max(8, (record.points or 0) // 8)
        self._next_iteration = self._distance
        self._taken_at_distance = 0
        self.seconds = 0.0  # of wall-clock, for f and ∇f
        self._weighted = 0.0  # Σ ‖∇f‖² over the iterations before the last record

    def next_time(self) -> float | None:
        """Simulated time of the next record, or None when records go by iterations."""
        # a product, not a running sum: the j-th record stands at exactly j periods
        return None if self._period is None else (self._taken_by_time + 1) * self._period

    @property
    def next_iteration(self) -> float:
        """The first iteration for which `due_at` is true."""
        return self._next_iteration

    def due_at(self, k: int) -> bool:
        """Whether iteration k is to be recorded."""
        return k >= self._next_iteration

    def take(self, time: float, k: int, x: np.ndarray, log: Log) -> bool:
        """Record x^k at this time, once; True when it meets the target."""
        # real time may have passed several
        while self._period is not None and time >= (self._taken_by_time + 1) * self._period:
            self._taken_by_time += 1
        if k >= self._next_iteration:
            self._plan_next(k)
        if self.rows and self.rows[-1]["time"] == time and self.rows[-1]["iteration"] == k:
            return self._met(self.rows[-1])
        row = self._evaluate(time, k, x)
        totals = log.totals()
        row["gradients_used"] = float(totals["used"])
        row["gradients_discarded"] = float(totals["arrived"] - totals["used"])
        row["gradients_stopped"] = float(totals["stopped"])
        row["worker_seconds"] = float(log.busy_seconds.sum())
        row["regret"] = math.nan if log.regret is None else log.regret.before(k)
        self.rows.append(row)
        self._contributions.append(log.arrived[log.shown])
        if self._write is not None:
            self._write({**row, "contributions": self._contributions[-1].tolist()})
        return self._met(row)

    def _plan_next(self, k: int) -> None:
        self._taken_at_distance += 1
        if self._doubling_after and self._taken_at_distance >= self._doubling_after:
            self._distance *= 2
            self._taken_at_distance = 0
        self._next_iteration = k + self._distance

    def _evaluate(self, time: float, k: int, x: np.ndarray) -> dict[str, float]:
        begun = time_.perf_counter()
        value, gradient = value_and_gradient(self._problem, x)
        self.seconds += time_.perf_counter() - begun
        with np.errstate(over="ignore", invalid="ignore"):
            # float32 has too small a range for squares
            exact = None if gradient is None else gradient.astype(np.float64, copy=False)
            norm = math.nan if exact is None else float(exact.dot(exact))
        # no iteration in between counts for nothing, also where the norm is infinite
        if self.rows and self.rows[-1]["iteration"] < k:
            before = self.rows[-1]
            self._weighted += before["squared_gradient_norm"] * (k - before["iteration"])
        return {
            "time": time,
            "iteration": float(k),
            "value": value,
            "suboptimality": math.nan if self._f_star is None else value - self._f_star,
            "squared_gradient_norm": norm,
            "mean_squared_gradient_norm": (self._weighted + norm) / (k + 1),
            "test_accuracy": _test_accuracy(self._problem, x),
        }

    def _met(self, row: Mapping[str, float]) -> bool:
        return bool(self._target) and meets(self._target, row)

    def curves(self) -> dict[str, np.ndarray]:
        """The records as arrays of shape (p,), by the names in CURVES."""
        return {name: np.array([row[name] for row in self.rows]) for name in CURVES}

    def contributions(self) -> np.ndarray:
        """(p, s) int64: gradients that had arrived of each shown worker, at each record."""
        return np.array(self._contributions, np.int64) if self._contributions else no_contributions()

    # what changes while a run goes on; the rest comes from the scenario
    _CHANGING = ("_taken_by_time", "_distance", "_next_iteration", "_taken_at_distance", "_weighted", "seconds")

    def snapshot(self) -> dict[str, Any]:
        """All of it, for a checkpoint."""
        tables = {"rows": self.curves(), "contributions": self.contributions()}
        return {**tables, **{name: getattr(self, name) for name in self._CHANGING}}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Become the recorder that wrote `snapshot`."""
        for name in self._CHANGING:
            setattr(self, name, snapshot[name])
        columns = {name: values.tolist() for name, values in snapshot["rows"].items()}
        self.rows = [
            dict(zip(CURVES, row, strict=True)) for row in zip(*(columns[name] for name in CURVES), strict=True)
        ]
        self._contributions = list(snapshot["contributions"])


def value_and_gradient(problem: Any, x: np.ndarray) -> tuple[float, np.ndarray | None]:
    """Exact f(x) and ∇f(x) as far as the problem offers them (nan, None otherwise)."""
    if x.size == 0:
        return math.nan, None
    # a diverging iterate may overflow here; the curve then shows inf
    with np.errstate(over="ignore", invalid="ignore"):
        if hasattr(problem, "value_and_gradient"):
            value, gradient = problem.value_and_gradient(x)
            return float(value), gradient
        value = float(problem.value(x)) if hasattr(problem, "value") else math.nan
        return value, problem.full_gradient(x) if hasattr(problem, "full_gradient") else None


def _test_accuracy(problem: Any, x: np.ndarray) -> float:
    if x.size == 0 or not has_test(problem):
        return math.nan
    with np.errstate(over="ignore", invalid="ignore"):
        return float(problem.test_accuracy(x))


def has_test(problem: Any) -> bool:
    """Whether the problem holds samples out to be tested on: `test_accuracy(x)`, and `test_size` other than 0."""
    return hasattr(problem, "test_accuracy") and getattr(problem, "test_size", 1) != 0
