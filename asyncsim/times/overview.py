"""What the workers' times look like before any run: quantiles, rates, equilibrium times. `asyncsim times FILE`.

A group whose workers are alike has one row; any other is shown by its fastest and slowest worker and by the three
between them that part it into quarters, ordered by the mean time of a gradient's whole trip.

What a law doesn't tell is estimated by sampling, and every number that rests on an estimate is marked with ≈.

Where powers change with time, the quantiles are those at power 1; rates and equilibrium times count with mean powers.
Where workers slow each other down, the quantiles are those of a worker that computes alone; rates and equilibrium times
count with all of its group computing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asyncsim.summary import count, number
from asyncsim.theory import equilibrium_time
from asyncsim.times.known import cdf_of, estimated_of, mean_of, never_of, quantile_of
from asyncsim.times.workers import Workers

QUANTILES = (0.5, 0.9, 0.99)
SHOWN = ("fastest", "lower quartile", "median", "upper quartile", "slowest")
HEADERS = ("workers", "mean", "median", "90 %", "99 %", "never", "communication", "gradients/s", "compute time")


@dataclass(frozen=True)
class Row:
    """One worker, or several that are alike.

    label: how it is called; worker: its number; law: of its compute time; mean, quantiles: of that law, in seconds;
    never: P(it never ends); communication: mean seconds of downlink and uplink; rate: gradients a second in the long
    run; estimated: the names among mean, cdf, quantile, communication, rate that rest on estimates
    """

    label: str
    worker: int
    law: Any
    mean: float
    quantiles: tuple[float, ...]
    never: float
    communication: float
    rate: float
    estimated: frozenset[str]

    def cells(self) -> list[str]:
        """What the table shows, below `HEADERS`."""
        return [
            self.label,
            self._cell("mean", self.mean),
            *(self._cell("quantile", seconds) for seconds in self.quantiles),
            self._cell("cdf", self.never) if self.never else "0",
            self._cell("communication", self.communication),
            self._cell("rate", self.rate),
            short(self.law),
        ]

    def _cell(self, name: str, value: float) -> str:
        return f"{'≈ ' if name in self.estimated else ''}{number(value)}"


@dataclass(frozen=True)
class Overview:
    """The times of all workers.

    n: workers; rows: see `Row`; rate: gradients a second of all together, in the long run;
    equilibrium: (S, t*(S) seconds, workers that play a part) for some S; estimated: whether these rest on estimates;
    speeds: whether powers change with time; size: numbers in a message, where links have bandwidths; carried: messages
    a second that the shared link carries, else inf; contention: whether workers slow each other down
    """

    n: int
    rows: tuple[Row, ...]
    rate: float
    equilibrium: tuple[tuple[int, float, int], ...]
    estimated: bool
    speeds: bool
    size: int = 0
    carried: float = math.inf
    contention: bool = False

    def words(self) -> list[str]:
        """What stands below the table."""
        about = "≈ " if self.estimated else ""
        who = f"all {count(self.n)} workers together" if self.n > 1 else "the worker"
        told = [f"{who}: {about}{number(self.rate)} gradients a second in the long run"]
        told.append(
            "t*(S), the equilibrium time: about what S gradients at one point take, from those who are fast enough"
        )
        told += [
            f"t*({S}) = {about}{number(t)} s"
            + (f" with the {_fastest(part)}" if part < self.n else "" if math.isfinite(t) else ": never")
            for S, t, part in self.equilibrium
        ]
        if self.size:
            told.append(f"communication: with messages of {count(self.size)} numbers, one a gradient")
        if self.carried < math.inf:
            told.append(
                f"the shared link carries {number(self.carried)} such messages a second; waiting for it is in no t* and "
                "in no worker's rate"
            )
        if self.speeds:
            told.append("powers change with time: quantiles are those at power 1, rates and t* count with mean powers")
        if self.contention:
            told.append(
                "workers slow each other down: mean and quantiles are those of a worker that computes alone, rates and "
                "t* count with all of its group computing"
            )
        if self.estimated or any(row.estimated for row in self.rows):
            told.append("≈ estimated by sampling, as a law doesn't tell it")
        return told


def overview(workers: Workers, groups: Sequence[range] | None = None, size: int = 0) -> Overview:
    """The times of `workers`, group by group (all are one group unless given), with messages of `size` numbers.

    >>> seen = overview(Workers(3, compute_time={"distribution": "exponential", "mean": "i"}))
    >>> [(row.label, row.mean, round(row.rate, 3)) for row in seen.rows]
    [('0 (fastest)', 1.0, 1.0), ('1', 2.0, 0.5), ('2 (slowest)', 3.0, 0.333)]
    >>> round(seen.rate, 3), seen.equilibrium[0]
    (1.833, (1, 2.0, 1))
    """
    trips, exact, messages = workers.mean_times(size), workers.mean_times_exact, workers.message_seconds(size)
    sent = np.zeros(workers.n) if messages is None else messages
    link = workers.shared_link
    carried = link.capacity / size if link is not None and size else math.inf
    chosen = [
        (f"{f'group {g}: ' if groups and len(groups) > 1 else ''}{words}", worker)
        for g, group in enumerate(groups or [range(workers.n)])
        for words, worker in _representatives(workers, group, trips)
    ]
    return Overview(
        n=workers.n,
        rows=tuple(
            _row(label, workers, worker, float(trips[worker]), float(sent[worker]), exact) for label, worker in chosen
        ),
        rate=min(math.fsum(map(_rate, trips.tolist())), carried),
        equilibrium=tuple(
            _equilibrium(trips, S) for S in sorted({1, math.isqrt(workers.n), workers.n, 10 * workers.n})
        ),
        estimated=not exact,
        speeds=workers.speed is not None,
        contention=workers.contention is not None,
        size=size if messages is not None else 0,
        carried=carried,
    )


def _fastest(workers: int) -> str:
    return "fastest worker" if workers == 1 else f"{count(workers)} fastest workers"


def _rate(seconds: float) -> float:
    return 1 / seconds if seconds > 0 else math.inf


def _equilibrium(trips: NDArray[np.float64], S: int) -> tuple[int, float, int]:
    with np.errstate(all="ignore"):
        t = equilibrium_time(trips, S)
    return S, t, int((trips < t).sum()) if math.isfinite(t) and t > 0 else len(trips)


def _representatives(workers: Workers, group: range, trips: NDArray[np.float64]) -> list[tuple[str, int]]:
    own = trips[group.start : group.stop]
    ends = {repr(workers.compute_time.law(worker)) for worker in (group[0], group[len(group) // 2], group[-1])}
    if (own == own[0]).all() and len(ends) == 1:
        return [(str(group[0]) if len(group) == 1 else f"{group[0]}…{group[-1]}", group[0])]
    order = (group.start + np.argsort(own, kind="stable")).tolist()
    if len(order) <= len(SHOWN):
        words = {0: " (fastest)", len(order) - 1: " (slowest)"}
        return [(f"{worker}{words.get(place, '')}", worker) for place, worker in enumerate(order)]
    places = [(len(order) - 1) * quarter // 4 for quarter in range(5)]
    return [(f"{order[place]} ({words})", order[place]) for place, words in zip(places, SHOWN, strict=True)]


def _row(label: str, workers: Workers, worker: int, trip: float, sent: float, exact: bool) -> Row:
    law, *ways = (_law(times, worker) for times in (workers.compute_time, workers.downlink, workers.uplink))
    rests = estimated_of(law) - {"communication"}
    if any("mean" in estimated_of(way) for way in ways):
        rests |= {"communication"}
    own_rate = {"rate"} if rests & {"mean", "communication"} or (workers_change(workers) and not exact) else set()
    return Row(
        label=label,
        worker=worker,
        law=law,
        mean=mean_of(law),
        quantiles=tuple(quantile_of(law, q) for q in QUANTILES),
        never=never_of(law),
        communication=sum(mean_of(way) for way in ways) + sent,
        rate=_rate(trip),
        estimated=frozenset(rests | own_rate),
    )


def workers_change(workers: Workers) -> bool:
    """Whether a worker's power is not always 1."""
    return workers.speed is not None or workers.contention is not None


class OfACall:
    """A callable (rng, worker, start) -> seconds as a law, at start = 0."""

    def __init__(self, function: Any, worker: int) -> None:
        self.function, self.worker = function, worker

    def sample(self, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        """`size` times (float64 seconds)."""
        return np.array([float(self.function(rng, self.worker, 0.0)) for _ in range(size)])

    def __repr__(self) -> str:
        return f"{self.function!r} at start = 0"


def _law(times: Any, worker: int) -> Any:
    law = times.law(worker)
    return law if hasattr(law, "sample") else OfACall(law, worker)


def short(law: Any, length: int = 60) -> str:
    """A law in a few words.

    >>> from asyncsim.times import Exponential, empirical
    >>> short(Exponential(1.4142135623730951)), short(empirical(range(100)), 20)
    ('Exponential(mean=1.41421)', 'Empirical(…)')
    """
    import re

    text = re.sub(r"\d+\.\d{6,}(?:e[-+]?\d+)?", lambda found: f"{float(found[0]):.6g}", repr(law))
    return text if len(text) <= length else f"{type(law).__name__}(…)"


def curve(law: Any, points: int = 160) -> tuple[list[float], list[float]]:
    """Seconds and P(time <= seconds) from the smallest to the 99.9 % quantile, as far as these are finite."""
    shares = np.concatenate([np.linspace(0.0, 0.99, points), np.linspace(0.99, 0.999, 10)[1:]])
    places = sorted({t for q in shares.tolist() if math.isfinite(t := quantile_of(law, q))})
    found = [(t, cdf_of(law, t)) for t in places]
    if len(found) == 1:  # a step
        (t, p), *_ = found
        found = [(t, 0.0), (t, p)]
    return [t for t, _ in found], [p for _, p in found]


def times_of(law: Any, draws: int = 4096) -> NDArray[np.float64]:
    """A sample for a histogram, the same each time; only finite times."""
    with np.errstate(over="ignore"):
        drawn = np.asarray(law.sample(np.random.Generator(np.random.Philox(key=1)), draws), dtype=np.float64)
    return drawn[np.isfinite(drawn)]
