"""Workers and their times: from what a user gives to what the engine asks.

A user gives times as one of

- a number (seconds for every worker; inf = never returns), or a list or array of n numbers;
- a law (anything with `sample(rng, size)`), a frozen law of scipy.stats, or a list of n laws and numbers;
- `worker -> law or number`, a callable with one positional parameter, worker = 0…n−1;
- `(rng, worker, start) -> seconds`, a callable with three, asked once a gradient with the simulated time of its start;
- what a scenario has: an expression in i = 1…n and n, or a mapping {"distribution": name, parameter: number, list of n
  numbers or expression}.

`Times.of` turns each of these into what the engine asks: `law(worker)`, `constant`, `by_call`.

Laws are made when they are asked for. A million workers with `mean: sqrt(i)` are one array of a million numbers,
checked as an array; `law(worker)` then makes the one law from its entry without checking again.

Where callables of three parameters and laws are mixed, all become callables of three: a law is then asked for one
number at a time. The times of a worker remain a function of (seed, purpose, worker, number of the gradient).
"""

import inspect
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from asyncsim.times import availability as availabilities
from asyncsim.times import speeds
from asyncsim.times.by_worker import Kind, Source, by_worker, joined
from asyncsim.times.communication import SharedLink, stop_delay
from asyncsim.times.contention import Group, all_at_once, contention_of
from asyncsim.times.expressions import evaluate
from asyncsim.times.known import as_law, independent_draws
from asyncsim.times.laws import (
    Constant,
    Exponential,
    HalfNormal,
    Law,
    ShiftedExponential,
    ShiftedHalfNormal,
    Time,
    Uniform,
)
from asyncsim.times.named import Laws, check, is_number, laws_from, of_length, worker_words
from asyncsim.times.traces import FromTrace

Floats: TypeAlias = NDArray[np.float64]
TimesSpec: TypeAlias = Any  # what stands at the head of this file; duck-typed, so no closed union says it

ALLOWED = (
    "allowed are seconds (a number >= 0, inf = never), a law, a list of one law or number a worker, a callable "
    "worker -> law, a callable (rng, worker, start) -> seconds, an expression in i and n, or "
    '{"distribution": name, …}'
)

ESTIMATED_WITH = 4096  # draws, fewer where there are many workers (see Times.means)


class Times:
    """Compute, uplink or downlink times of n workers, as the engine asks for them. Made by `Times.of`.

    n: number of workers
    constant: seconds (n,) when every worker's time is known to be constant, else None
    by_call: whether `law(worker)` is a callable (rng, worker, start) -> seconds
    """

    def __init__(self, source: Any, n: int, constant: Floats | None = None, by_call: bool = False) -> None:
        # source[worker] is the worker's law
        self._source = source
        self.n = n
        self.constant = constant
        self.by_call = by_call

    @classmethod
    def of(cls, spec: TimesSpec, n: int) -> "Times":
        """The times of n workers from anything that the head of this file lists; ValueError for anything else.

        >>> Times.of("2 * i", 3).constant
        array([2., 4., 6.])
        >>> Times.of({"distribution": "exponential", "mean": "sqrt(i)"}, 4).law(3)
        Exponential(mean=2.0)
        >>> Times.of([1.0, -1.0], 2)
        Traceback (most recent call last):
        ValueError: time = -1.0 for worker 1 (i = 2), but a number >= 0 or inf is needed
        """
        return _times(spec, range(n), n)

    def law(self, worker: int) -> Any:
        """The law of `worker` (0…n−1), with `sample(rng, size)`; with `by_call` the callable (rng, worker, start)."""
        return self._source[worker]

    def affine(self) -> tuple[str, Floats, Floats] | None:
        """Kind, shift (n,) and scale (n,) where every time is shift + scale · (a standard number of that kind), else None.

        Kinds: "exponential", "uniform", "half_normal" (the size of a normal number). In these words many workers'
        times can be drawn at once, to the bits that `law(worker).sample` gives.

        >>> Times.of({"distribution": "uniform", "low": 1, "high": "1 + i"}, 3).affine()
        ('uniform', array([1., 1., 1.]), array([1., 2., 3.]))
        """
        cls, parameters = _law_in_arrays(self._source)
        if cls not in AFFINE or self.by_call:
            return None
        kind, shift, scale = AFFINE[cls]
        found = [np.broadcast_to(np.asarray(part(parameters), np.float64), (self.n,)) for part in (shift, scale)]
        return kind, found[0], found[1]

    def means(self) -> tuple[Floats, bool]:
        """Mean seconds (n,) and whether all are exact; laws that tell no `mean` are estimated by sampling.

        Every worker is sampled with the same random numbers, so that laws that differ by a factor compare exactly; with
        n workers, 4096 draws each, down to 64 for large n. Callables of three parameters are asked at start = 0.
        """
        return self._means_from(0)

    def _means_from(self, start: int) -> tuple[Floats, bool]:
        """The same for a group of which worker `start` is the first."""
        if self.constant is not None:
            return self.constant, True
        if isinstance(self._source, _Joined):
            groups = zip(self._source.groups, self._source.starts, strict=True)
            parts = [group._means_from(start + first) for group, first in groups]
            return np.concatenate([means for means, _ in parts]), all(exact for _, exact in parts)
        if isinstance(self._source, _Same) and not self.by_call:
            mean, exact = _mean(self._source.law, start, ESTIMATED_WITH)
            return np.full(self.n, mean), exact
        draws = int(np.clip(400_000 // self.n, 64, ESTIMATED_WITH))
        found = [_mean(self._source[worker], start + worker, draws) for worker in range(self.n)]
        return np.array([mean for mean, _ in found]), all(exact for _, exact in found)

    @property
    def independent(self) -> bool:
        """Whether the times of each worker are independent draws of one law; of callables nobody knows, and it is False."""
        if self.constant is not None or self.by_call:
            return not self.by_call
        if isinstance(self._source, _Joined):
            return all(group.independent for group in self._source.groups)
        return all(
            independent_draws(self._source[worker])
            for worker in range(1 if isinstance(self._source, _Same) else self.n)
        )

    def __repr__(self) -> str:
        return f"Times(n={self.n}, worker 0: {self.law(0)!r})"


class Workers:
    """n workers with their compute and communication times.

    compute_time: of one gradient; uplink: of sending it to the server; downlink: of sending a point to the worker. Each
    is anything that `Times.of` takes, in seconds.
    speed: powers that change with time (asyncsim/times/speeds.py): one for all, a list, a callable worker -> speed, or
    {"name": …}. Then the compute time is that at power 1, and may be left out: 1.
    availability: when workers are there (asyncsim/times/availability.py), given like a speed.
    uplink and downlink may also be links, {"latency": times, "bandwidth": numbers a second (a number, a list, an
    expression)}; `shared_link` is the server's, SharedLink(capacity); `stop_takes_effect` is "at_once",
    "after_current_gradient" or {"after": seconds} (all in asyncsim/times/communication.py).
    contention: who slows whom down while they compute, Contention(capacity or slowdown, size or members)
    (asyncsim/times/contention.py); none unless given.

    Raises ValueError naming the time, the worker, what was given and what is allowed.

    >>> workers = Workers(4, compute_time={"distribution": "exponential", "mean": "sqrt(i)"}, uplink=0.5)
    >>> workers.mean_times(), workers.mean_times_exact
    (array([1.5       , 1.91421356, 2.23205081, 2.5       ]), True)
    """

    def __init__(
        self,
        count: int,
        compute_time: TimesSpec | None = None,
        uplink: TimesSpec = 0.0,
        downlink: TimesSpec = 0.0,
        *,
        speed: Any = None,
        availability: Any = None,
        shared_link: SharedLink | None = None,
        stop_takes_effect: Any = "at_once",
        contention: Any = None,
    ) -> None:
        self.n = _count(count)
        if compute_time is None and speed is None:
            raise ValueError("compute_time is missing: seconds a gradient, or a speed, are needed")
        self.compute_time = _named("compute_time", 1.0 if compute_time is None else compute_time, range(self.n), self.n)
        self.uplink, self.uplink_bandwidth = _link("uplink", uplink, range(self.n), self.n)
        self.downlink, self.downlink_bandwidth = _link("downlink", downlink, range(self.n), self.n)
        if not isinstance(shared_link, SharedLink | None):
            raise ValueError(f"shared_link = {shared_link!r:.60}, but SharedLink(capacity) or None is needed")
        self.shared_link = shared_link
        self.stop_delay = stop_delay(stop_takes_effect)
        self.speed = None if speed is None else _described(SPEED, speed, range(self.n), self.n)
        there = availability
        self.availability = None if there is None else _described(AVAILABILITY, there, range(self.n), self.n)
        self.contention: list[Group] | None = None if contention is None else _sharing(contention, range(self.n))
        self._means: tuple[Floats, bool] | None = None

    @classmethod
    def groups(cls, groups: Iterable[Sequence[Any]], **options: Any) -> "Workers":
        """Workers group after group, each (count, compute_time) or (count, compute_time, uplink, downlink, speed,
        availability, contention).

        Lists have one entry for each worker of their group. Workers keep their numbers 0…n−1 in callables, and in
        expressions i runs over the whole 1…n. `options` are those that all share: shared_link, stop_takes_effect.

        >>> Workers.groups([(2, 1.0), (2, "i")]).compute_time.constant
        array([1., 1., 3., 4.])
        """
        rows = [tuple(group) for group in groups]
        if not rows or not all(2 <= len(row) <= 7 for row in rows):
            raise ValueError(
                "groups: a list of (count, compute_time[, uplink[, downlink[, speed[, availability[, contention]]]]]), "
                "at least one, is needed"
            )
        counts = [_count(row[0], f"groups[{g}]: ") for g, row in enumerate(rows)]
        bounds = list(accumulate(counts, initial=0))
        n = bounds[-1]
        for g, row in enumerate(rows):
            if row[1] is None and _part_of(row, 4) is None:
                raise ValueError(f"groups[{g}]: compute_time is missing: seconds a gradient, or a speed, are needed")
        times = [
            _joined_links(
                [
                    _link(f"groups[{g}]: {name}", _time_of(row, part), range(*bounds[g : g + 2]), n)
                    for g, row in enumerate(rows)
                ]
            )
            for part, name in enumerate(("compute_time", "uplink", "downlink"), start=1)
        ]
        if times[0][1] is not None:
            raise ValueError("compute_time: a bandwidth belongs to an uplink or a downlink")
        speed = _grouped(SPEED, rows, 4, bounds, speeds.ConstantSpeed(power=1.0))
        there = _grouped(AVAILABILITY, rows, 5, bounds, availabilities.AlwaysThere())
        own = [g for g, row in enumerate(rows) if _part_of(row, 6) is not None]
        if own:
            if options.get("contention") is not None:
                raise ValueError(
                    f"groups[{own[0]}]: contention: all workers have one already; a worker shares one thing"
                )
            found = [_sharing(rows[g][6], range(*bounds[g : g + 2]), f"groups[{g}]: ") for g in own]
            options = {**options, "contention": [group for groups in found for group in groups]}
        return cls(n, times[0][0], *times[1:], **options, speed=speed, availability=there)

    def mean_times(self, size: int = 0) -> Floats:
        """Mean seconds (n,) of one gradient's whole trip: downlink, computing, uplink, with messages of `size` numbers.

        Waiting for a shared link is not in it. Workers with contention count as if all of their group computed.
        """
        sent = self.message_seconds(size)
        return self._mean_times()[0] if sent is None else self._mean_times()[0] + sent

    @property
    def mean_compute_times(self) -> Floats:
        """Mean seconds (n,) of computing one gradient, as a method observes them: no messages, but pauses and outages."""
        return self._compute_part()[0]

    @property
    def mean_compute_times_exact(self) -> bool:
        """Whether `mean_compute_times` is exact."""
        steady = self.speed is None and self.availability is None and self.contention is None
        return steady and self._compute_part()[1]

    def message_seconds(self, size: int) -> Floats | None:
        """What bandwidths and the shared link add to a trip (n,) with messages of `size` numbers; None = nothing."""
        bandwidths = (self.uplink_bandwidth, self.downlink_bandwidth)
        added = [size / bandwidth for bandwidth in bandwidths if bandwidth is not None]
        if self.shared_link is not None:
            passes = 2 if self.shared_link.broadcast == "counted" else 1
            added.append(np.full(self.n, passes * size / self.shared_link.capacity))
        return np.sum(added, axis=0) if added else None

    def broadcast_seconds(self, size: int) -> Floats | None:
        """What of `message_seconds` (n,) the point that is sent to the workers takes; None = nothing."""
        added = [] if self.downlink_bandwidth is None else [size / self.downlink_bandwidth]
        if self.shared_link is not None and self.shared_link.broadcast == "counted":
            added.append(np.full(self.n, size / self.shared_link.capacity))
        return np.sum(added, axis=0) if added else None

    @property
    def mean_times_exact(self) -> bool:
        """Whether `mean_times` is exact; False when a law told no mean, so that it was estimated by sampling."""
        return self._mean_times()[1]

    def _mean_times(self) -> tuple[Floats, bool]:
        if self._means is None:
            down, computing, up = self._while_there(self.downlink), self._compute_part(), self._while_there(self.uplink)
            exact = self._changes_nothing and down[1] and computing[1] and up[1]
            with np.errstate(over="ignore"):
                self._means = down[0] + computing[0] + up[0], exact
        return self._means

    def _while_there(self, times: Times) -> tuple[Floats, bool]:
        means, exact = times.means()
        if self.availability is None:
            return means, exact
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            return np.where(means == 0, 0.0, means / _shares(self.availability, self.n)), exact

    def _compute_part(self) -> tuple[Floats, bool]:
        means, exact = self._while_there(self.compute_time)
        with np.errstate(over="ignore", divide="ignore"):
            if self.speed is not None:
                means = means / _mean_powers(self.speed, self.n)
            if self.contention is not None:
                means = means * all_at_once(self.contention, self.n)
        return means, exact

    @property
    def constant_times(self) -> bool:
        """Whether every time is constant: the fixed computation model."""
        times = (self.compute_time, self.uplink, self.downlink)
        return self._changes_nothing and all(t.constant is not None for t in times)

    @property
    def independent_times(self) -> bool:
        """Whether each worker's times are independent draws of one law: nothing changes, no trace is played in order."""
        return self._changes_nothing and all(t.independent for t in (self.compute_time, self.uplink, self.downlink))

    @property
    def _changes_nothing(self) -> bool:
        """Whether laws alone decide how long a gradient takes."""
        environment = (self.speed, self.availability, self.shared_link, self.contention)
        return all(part is None for part in environment)

    def __repr__(self) -> str:
        parts = (f"{name}={getattr(self, name).law(0)!r}" for name in ("compute_time", "uplink", "downlink"))
        return f"Workers(n={self.n}, worker 0: {', '.join(parts)})"


# ---- links: (latency, bandwidth) ----------------------------------------------------------------------------------


def _link(name: str, spec: Any, workers: range, n: int) -> tuple[Times, Floats | None]:
    """The times of a link, and numbers a second (n,), None where a message of any size takes as long."""
    if isinstance(spec, tuple) and len(spec) == 2 and isinstance(spec[0], Times):
        return spec
    if not isinstance(spec, Mapping) or "distribution" in spec or not {"latency", "bandwidth"} & set(spec):
        return _named(name, spec, workers, n), None
    for key in spec:
        if key not in ("latency", "bandwidth"):
            raise ValueError(f"{name}: unknown key {key!r}; a link has latency, bandwidth")
    latency = _named(f"{name}: latency", spec.get("latency", 0.0), workers, n)
    if "bandwidth" not in spec:
        return latency, None
    given = spec["bandwidth"]
    bandwidth = _named(f"{name}: bandwidth", given, workers, n).constant
    if bandwidth is None or not (bandwidth > 0).all():
        raise ValueError(
            f"{name}: bandwidth = {given!r}, but numbers a second > 0 (a number, a list, an expression) are needed"
        )
    return latency, bandwidth


def _joined_links(links: list[tuple[Times, Floats | None]]) -> tuple[Times, Floats | None]:
    times = _joined([latency for latency, _ in links])
    if all(bandwidth is None for _, bandwidth in links):
        return times, None
    return times, np.concatenate([np.full(t.n, np.inf) if bandwidth is None else bandwidth for t, bandwidth in links])


# ---- what is described by worker: speeds --------------------------------------------------------------------------


def _described(kind: Kind, spec: Any, workers: range, n: int, where: str = "") -> Source:
    if isinstance(spec, _Whole):
        return spec.source
    try:
        return by_worker(kind, spec, workers, n)
    except ValueError as error:
        raise ValueError(f"{where}{kind.word}: {error}") from None


class _Whole:
    """What was read already, for all workers."""

    def __init__(self, source: Source) -> None:
        self.source = source


def _sharing(spec: Any, workers: range, where: str = "") -> list[Group]:
    if isinstance(spec, list) and spec and all(isinstance(group, Group) for group in spec):
        return spec  # read already, group by group
    try:
        return contention_of(spec, workers)
    except ValueError as error:
        raise ValueError(f"{where}contention: {error}") from None


def _part_of(row: Sequence[Any], part: int) -> Any:
    return row[part] if len(row) > part else None


def _time_of(row: Sequence[Any], part: int) -> Any:
    given = _part_of(row, part)
    return given if given is not None else (1.0 if part == 1 else 0.0)


def _grouped(
    kind: Kind, rows: Sequence[Sequence[Any]], part: int, bounds: Sequence[int], default: Any
) -> _Whole | None:
    """The descriptions of all groups; None where no group has one."""
    given = [_part_of(row, part) for row in rows]
    if all(spec is None for spec in given):
        return None
    found = [
        _described(kind, default if spec is None else spec, range(*bounds[g : g + 2]), bounds[-1], f"groups[{g}]: ")
        for g, spec in enumerate(given)
    ]
    return _Whole(joined(found, [b - a for a, b in pairwise(bounds)]))


def _times_by_block(spec: TimesSpec, workers: range, n: int) -> Times:
    times = _times(spec, workers, n)
    if times.by_call:
        raise ValueError("a law with `sample` is needed, not a callable (rng, worker, start)")
    return times


SPEED = Kind("speed", speeds.SPEEDS, speeds.is_speed, speeds.ALLOWED, of_number=speeds.ConstantSpeed)

AVAILABILITY = Kind(
    "availability", availabilities.AVAILABILITIES, availabilities.is_availability, availabilities.ALLOWED,
    times=_times_by_block, of_none=availabilities.AlwaysThere(),
)  # fmt: skip


def _shares(availability: Source, n: int) -> Floats:
    """The part of the time (n,) that workers are there in the long run; 1 where it is not known."""
    return np.array([float(getattr(availability[worker], "share", 1.0)) for worker in range(n)])


def _mean_powers(speed: Source, n: int) -> Floats:
    """Mean power (n,) in the long run; 1 where a speed doesn't tell."""
    return np.array([float(getattr(speed[worker], "mean_power", 1.0)) for worker in range(n)])


# ---- reading what a user gave -------------------------------------------------------------------------------------


def _named(name: str, spec: TimesSpec, workers: range, n: int) -> Times:
    try:
        return _times(spec, workers, n)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _count(count: Any, where: str = "") -> int:
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1:
        raise ValueError(f"{where}count = {count!r}, but a whole number of workers >= 1 is needed")
    return int(count)


def _times(spec: TimesSpec, workers: range, n: int) -> Times:
    """The times of `workers`, a part of the whole 0…n−1."""
    if isinstance(spec, Times):
        return _part(spec, workers, n)
    if isinstance(spec, str):
        return _constants(evaluate(spec, n, workers), workers, f"{spec!r}")
    if isinstance(spec, Mapping):
        return _by_name(spec, workers, n)
    if isinstance(spec, Sequence | np.ndarray) and not isinstance(spec, bytes | bytearray) and not is_number(spec):
        return _listed(of_length(spec, len(workers), "times"), workers)
    if is_number(spec) or isinstance(spec, Constant):
        return _constants(_spread(spec.value if isinstance(spec, Constant) else spec, workers), workers)
    return _shared(spec, workers)


def _shared(spec: Any, workers: range) -> Times:
    """Times from one law or callable."""
    if isinstance(spec, FromTrace):
        return Times(spec.laws(len(workers)), len(workers))
    if callable(spec) and not isinstance(spec, type) and not _is_law(spec) and _positional(spec) == 1:
        return _asked(spec, workers)
    law = _law(spec)
    return Times(_Same(law), len(workers), by_call=not _is_law(law))


def _by_name(spec: Mapping[str, Any], workers: range, n: int) -> Times:
    laws = laws_from(spec, workers, n)
    if isinstance(laws, list):
        return Times(laws, len(workers))
    if laws.cls is Constant:
        return _constants(_spread(laws.arrays.get("value", laws.shared.get("value")), workers), workers)
    return Times(laws if laws.varies else _Same(laws[0]), len(workers))


def _part(times: Times, workers: range, n: int) -> Times:
    if times.n == len(workers):
        return times
    if times.n == n:
        constant = None if times.constant is None else times.constant[workers.start : workers.stop]
        return Times(_Shifted(times, workers.start), len(workers), constant, times.by_call)
    raise ValueError(f"these are the times of {times.n} workers, but there are {len(workers)}")


def _constants(values: Floats, workers: range, what: str = "time") -> Times:
    check(what, values, Time, workers)
    values = values.view()
    values.flags.writeable = False
    return Times(Laws(Constant, {"value": values}), len(workers), constant=values)


def _spread(seconds: Any, workers: range) -> Floats:
    return np.broadcast_to(np.asarray(seconds, dtype=np.float64), (len(workers),))


def _listed(entries: Any, workers: range) -> Times:
    if isinstance(entries, np.ndarray) and entries.dtype.kind in "iuf":
        return _constants(entries.astype(np.float64), workers)
    if all(is_number(entry) for entry in entries):
        return _constants(np.array([float(entry) for entry in entries]), workers)
    found = [_law_of(worker, entry) for worker, entry in zip(workers, entries, strict=True)]
    if all(isinstance(law, Constant) for law in found):
        return _constants(np.array([float(law.value) for law in found]), workers)
    by_call = not all(_is_law(law) for law in found)
    return Times([_called(law) for law in found] if by_call else found, len(workers), by_call=by_call)


def _asked(function: Callable[[int], Any], workers: range) -> Times:
    # worker 0 is asked now: a mistake shows early, and the answer tells what kind of times these are. Numbers are cheap
    # enough to ask for all; laws are made when they are needed
    first = function(workers.start)
    if is_number(first):
        return _listed([first, *(function(worker) for worker in workers[1:])], workers)
    source = _Asked(function, workers.start, first)
    return Times(source, len(workers), by_call=source.by_call)


def _law(spec: Any) -> Any:
    """A law for one worker: an object with `sample`, or a callable of three parameters."""
    if is_number(spec):
        return Constant(float(spec))
    if isinstance(spec, FromTrace):
        return spec.laws(1)[0]
    if isinstance(spec, type):
        raise ValueError(f"{spec.__name__} is a class: give it its parameters, as in {spec.__name__}(…)")
    if _is_law(spec) or callable(getattr(spec, "rvs", None)):
        return as_law(spec)
    if callable(spec):
        if _positional(spec) == 3:
            return spec
        raise ValueError(
            f"{spec!r} takes {_counted(spec)}, but a callable of times takes one (worker -> law) or "
            "three ((rng, worker, start) -> seconds)"
        )
    raise ValueError(f"{spec!r} can't be understood as times; {ALLOWED}")


def _law_of(worker: int, spec: Any) -> Any:
    try:
        return _law(spec)
    except ValueError as error:
        raise ValueError(f"{worker_words(worker)}: {error}") from None


def _is_law(spec: Any) -> bool:
    return callable(getattr(spec, "sample", None)) and not isinstance(spec, type)


def _positional(function: Callable[..., Any]) -> int | None:
    """1 or 3, whichever number of positional parameters `function` is for; None when it is for neither or both."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):  # some built-in functions tell nothing
        return None
    by_position = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters):
        return None
    needed = sum(p.default is p.empty for p in by_position)
    if needed in (1, 3):
        return needed
    fitting = [number for number in (1, 3) if needed <= number <= len(by_position)]
    return fitting[0] if len(fitting) == 1 else None


def _counted(function: Callable[..., Any]) -> str:
    try:
        return f"the parameters {inspect.signature(function)}"
    except (ValueError, TypeError):
        return "parameters it doesn't tell of"


AFFINE: dict[Any, tuple[str, Callable[[Any], Any], Callable[[Any], Any]]] = {
    Exponential: ("exponential", lambda law: 0.0, lambda law: law["mean"]),
    ShiftedExponential: ("exponential", lambda law: law["shift"], lambda law: law["scale"]),
    Uniform: ("uniform", lambda law: law["low"], lambda law: law["high"] - law["low"]),
    HalfNormal: ("half_normal", lambda law: 0.0, lambda law: law["scale"]),
    ShiftedHalfNormal: ("half_normal", lambda law: law["shift"], lambda law: law["scale"]),
}


def _law_in_arrays(source: Any) -> tuple[Any, Mapping[str, Any]]:
    """The class that all laws of a source have and its parameters, each for all workers or as an array of one a worker."""
    if isinstance(source, Laws) and not source.nested:
        return source.cls, {**source.shared, **source.arrays}
    if isinstance(source, _Same):
        return type(source.law), vars(source.law) if type(source.law) in AFFINE else {}
    if isinstance(source, list) and len({type(law) for law in source}) == 1 and type(source[0]) in AFFINE:
        return type(source[0]), {key: np.array([vars(law)[key] for law in source]) for key in vars(source[0])}
    return None, {}


# ---- where a worker's law comes from: source[worker] ---------------------------------------------------------------
# Plain classes, not closures, so that workers can be sent to another process.


class _Same:
    """One law for all."""

    def __init__(self, law: Any) -> None:
        self.law = law

    def __getitem__(self, worker: int) -> Any:
        return self.law


class _Asked:
    """Laws told by the user's callable of one parameter; remembered, so that it is asked once a worker."""

    def __init__(self, function: Callable[[int], Any], start: int, first: Any) -> None:
        self.function = function
        self.start = start
        self.known = {0: _law_of(start, first)}
        self.by_call = not _is_law(self.known[0])

    def __getitem__(self, worker: int) -> Any:
        if worker not in self.known:
            i = self.start + worker
            law = _law_of(i, self.function(i))
            if not self.by_call and not _is_law(law):
                raise ValueError(
                    f"{worker_words(i)}: {law!r} takes (rng, worker, start), but worker {self.start} has a law; "
                    "where the two are mixed, give a list"
                )
            self.known[worker] = _called(law) if self.by_call else law
        return self.known[worker]


class _Shifted:
    """A group's part of the times of all workers."""

    def __init__(self, times: Times, start: int) -> None:
        self.times = times
        self.start = start

    def __getitem__(self, worker: int) -> Any:
        return self.times.law(self.start + worker)


class _Joined:
    """Group after group."""

    def __init__(self, groups: list[Times], by_call: bool) -> None:
        self.groups = groups
        self.by_call = by_call
        self.starts = list(accumulate((group.n for group in groups[:-1]), initial=0))

    def __getitem__(self, worker: int) -> Any:
        g = bisect_right(self.starts, worker) - 1
        law: Any = self.groups[g].law(worker - self.starts[g])
        return _called(law) if self.by_call else law


def _joined(groups: list[Times]) -> Times:
    if len(groups) == 1:
        return groups[0]
    n = sum(group.n for group in groups)
    constants = [group.constant for group in groups if group.constant is not None]
    if len(constants) == len(groups):
        return _constants(np.concatenate(constants), range(n))
    by_call = any(group.by_call for group in groups)
    return Times(_Joined(groups, by_call), n, by_call=by_call)


def _called(law: Any) -> Any:
    return OneByOne(law) if _is_law(law) else law


class OneByOne:
    """A law asked for one number at a time, as a callable (rng, worker, start) -> seconds."""

    def __init__(self, law: Law) -> None:
        self.law = law

    def __call__(self, rng: np.random.Generator, worker: int, start: float) -> float:
        return float(self.law.sample(rng, 1)[0])

    @property
    def numbered(self) -> Any:
        """`sample_at` of the law, where its times depend on the number of the gradient (see asyncsim.times.traces)."""
        return getattr(self.law, "sample_at", None)

    def __repr__(self) -> str:
        return f"OneByOne({self.law!r})"


# ---- means --------------------------------------------------------------------------------------------------------


def _mean(law: Any, worker: int, draws: int) -> tuple[float, bool]:
    """The mean of one worker's law and whether it is exact."""
    mean: Any = getattr(law, "mean", None)
    mean = mean() if callable(mean) else mean
    told = is_number(mean)
    exact = told and "mean" not in getattr(law, "estimated", ())
    if not told:
        rng = np.random.Generator(np.random.Philox(key=0))
        with np.errstate(over="ignore"):
            if _is_law(law):
                mean = np.mean(np.asarray(law.sample(rng, draws), dtype=np.float64))
            else:
                mean = np.mean([float(law(rng, worker, 0.0)) for _ in range(draws)])
    if not mean >= 0:
        raise ValueError(f"{worker_words(worker)}: the mean of {law!r} is {mean}, but times are >= 0")
    return float(mean), exact
