"""Traces of times: reading, writing, and laws that play them back. `asyncsim.measuring` begins with the format.

1. Reading is for files of unknown origin: what is wrong is told by line, up to ten mistakes at once; sizes are
   limited; no input gives anything but a `Trace` or a ValueError. A last line without an end that is no whole row
   is what a killed writer leaves: it is dropped and counted in `Trace.torn`.
2. Rows that were computed to their end become times (`Trace.computed`: those that are `COMPLETE`, and those that were
   cut short while their answer was being sent). What was stopped would have taken longer, nobody knows how much. Where
   many rows were stopped, what is left are the short ones: *cycle* and *block bootstrap*, which keep the order, play
   these; *resample*, and every fit, counts that the others are longer (asyncsim/times/censored.py).
3. Played times are functions of (seed, purpose, worker, m) as those of every law. *Cycle* and *block bootstrap* also
   depend on m itself, which `sample` is not told: such laws have `sample_at(at, first, size)`, the times first …
   first + size − 1, where `at(j)` is generator j of this worker (a function of seed, purpose, worker and j). The
   engine asks it in place of `sample`. Where a law is asked by `sample` all the same (inside a mixture, to
   estimate), these laws begin at a random place of the trace.
"""

import csv
import functools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from asyncsim.measuring import COLUMNS, COMPLETE, MAX_NAME, OUTCOMES, Row, header, is_jsonl, line
from asyncsim.parameters import Count, parameters
from asyncsim.times.censored import Observed, weighted

Floats: TypeAlias = NDArray[np.float64]
Generators: TypeAlias = Callable[[int], np.random.Generator]

MAX_BYTES = 500 * 2**20
MAX_ROWS = 5_000_000
MAX_LINE = 4096
MAX_WORKERS = 100_000
MAX_ERRORS = 10
NEEDED = ("worker", "compute_seconds")

# `at(PLACE)` says where a worker begins; blocks count from 0 and never get so far
PLACE = 2**63


class TraceError(ValueError):
    """A file that is no trace, with everything that is wrong with it, line by line."""


# ---- the data


@dataclass(frozen=True, eq=False)
class Trace:
    """Measured or simulated times, one entry a row in the order of the file.

    worker, device and outcome are numbers (int64) of entries in workers, devices and `asyncsim.measuring.OUTCOMES`;
    job is int64; start (nan where unknown), compute_seconds and send_seconds are float64 seconds; gradients is
    int64, how many the job had. torn: rows that were dropped, 0 or 1.

    >>> trace = trace_of([Row("a", 0, 0.0, 1.5), Row("b", 0, 0.0, 2.0), Row("a", 1, 1.5, 1.0)])
    >>> trace.workers, trace.series("a")
    (('a', 'b'), array([1.5, 1. ]))
    """

    workers: tuple[str, ...]
    devices: tuple[str, ...]
    worker: NDArray[np.int64]
    job: NDArray[np.int64]
    start: Floats
    compute_seconds: Floats
    send_seconds: Floats
    outcome: NDArray[np.int64]
    device: NDArray[np.int64]
    gradients: NDArray[np.int64]
    torn: int = 0

    def __len__(self) -> int:
        return len(self.worker)

    @property
    def complete(self) -> NDArray[np.bool_]:
        """Which rows were computed to their end, and their answer arrived."""
        return self.outcome < len(COMPLETE)

    @property
    def computed(self) -> NDArray[np.bool_]:
        """Which rows were computed to their end, though their answer may not have come.

        Of a job of several gradients that was cut short its worker may have sent a part: not counted.
        """
        found: NDArray[np.bool_] = self.complete | ((self.send_seconds > 0) & (self.gradients == 1))
        return found

    @property
    def incomplete(self) -> float:
        """The share of rows that were not computed to their end; nan when there is no row."""
        return float(1 - self.computed.mean()) if len(self) else math.nan

    def rows(self) -> Iterator[Row]:
        """The rows again."""
        for worker, job, start, computed, sent, outcome, device, count in zip(
            *(getattr(self, column).tolist() for column in COLUMNS), strict=True
        ):
            yield Row(self.workers[worker], job, start, computed, sent, OUTCOMES[outcome], self.devices[device], count)

    def series(self, worker: str, column: str = "compute_seconds", device: str | None = None) -> Floats:
        """The times of one worker in their order, of rows that came to their end, on one device where it is given.

        compute_seconds are those of one gradient: where a job had several, the mean of them.
        """
        return self.all_series(column, device).get(worker, np.empty(0))

    def all_series(self, column: str = "compute_seconds", device: str | None = None) -> dict[str, Floats]:
        """worker → its times in their order, as `series`; workers without any are left out."""
        return self._by_worker(self.computed if column == "compute_seconds" else self.complete, column, device)

    def all_stopped(self, column: str = "compute_seconds", device: str | None = None) -> dict[str, Floats]:
        """worker → the seconds after which its other times were cut short: that they are longer is all one knows."""
        cut_off = ~self.computed if column == "compute_seconds" else ~self.complete & self.computed
        return self._by_worker(cut_off & (getattr(self, column) > 0), column, device)

    def _by_worker(self, chosen: NDArray[np.bool_], column: str, device: str | None) -> dict[str, Floats]:
        if device is not None:
            chosen = chosen & (self.device == _index(self.devices, device))
        order = np.flatnonzero(chosen)[np.argsort(self.worker[chosen], kind="stable")]
        found, begins = np.unique(self.worker[order], return_index=True)
        times = getattr(self, column)[order]
        if column == "compute_seconds":
            times = times / self.gradients[order]
        parts = np.split(times, begins[1:]) if len(found) else []
        return {self.workers[worker]: part for worker, part in zip(found, parts, strict=True)}


def _index(names: Sequence[str], name: str) -> int:
    return names.index(name) if name in names else -1


def trace_of(rows: Iterable[Row], torn: int = 0) -> Trace:
    """A trace from rows. Workers are numbered as they appear, or by number where all are whole numbers."""
    columns = list(zip(*rows, strict=True)) or [()] * len(COLUMNS)
    workers, worker = _numbered(columns[0])
    devices, device = _numbered(columns[6])
    outcomes = {name: number for number, name in enumerate(OUTCOMES)}
    start, computed, sent = (np.array(columns[k], dtype=np.float64) for k in (2, 3, 4))
    return Trace(
        workers=workers,
        devices=devices,
        worker=worker,
        job=np.array(columns[1], dtype=np.int64),
        start=start,
        compute_seconds=computed,
        send_seconds=sent,
        outcome=np.array([outcomes[name] for name in columns[5]], dtype=np.int64),
        device=device,
        gradients=np.array(columns[7], dtype=np.int64),
        torn=torn,
    )


def _numbered(names: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    found = list(dict.fromkeys(names))
    if all(name.isascii() and name.isdigit() for name in found):
        found.sort(key=lambda name: (int(name), name))
    number = {name: k for k, name in enumerate(found)}
    return tuple(found), np.array([number[name] for name in names], dtype=np.int64)


# ---- writing


def write_trace(path: str | Path, rows: Iterable[Row], about: str = "") -> Path:
    """Write rows to a new file, one at a time; CSV, or JSONL where the name ends in .jsonl. Returns the path.

    about: where the times come from, for who reads the file

    >>> import tempfile
    >>> path = write_trace(Path(tempfile.mkdtemp()) / "trace.csv", [Row("0", 0, 0.0, 1.5)])
    >>> read_trace(path).compute_seconds
    array([1.5])
    """
    path = Path(path)
    jsonl = is_jsonl(path)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(header(jsonl, about=about))
        for row in rows:
            file.write(line(row, jsonl))
    return path


# ---- reading


def read_trace(path: str | Path) -> Trace:
    """The trace in a file, CSV or JSONL; TraceError with what is wrong, by line. OSError where it cannot be read.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "trace.csv"
    >>> _ = path.write_text("worker,job,start,compute_seconds\\n0,0,0.0,1.5\\n0,1,1.5,2.5\\n")
    >>> read_trace(path).compute_seconds
    array([1.5, 2.5])
    """
    path = Path(path)
    if not path.is_file():
        if path.exists():
            raise TraceError(f"{path} is no regular file; a trace is a CSV or JSONL file")
        raise TraceError(f"{path}: there is no such file; give the path of a trace, CSV or JSONL")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise TraceError(f"{path} has {size / 2**20:.0f} MB; traces of up to {MAX_BYTES / 2**20:.0f} MB are read")
    with path.open("rb") as file:
        return _Reader(str(path), is_jsonl(path)).read(file)


class _Reader:
    """Reads one file; gathers what is wrong."""

    def __init__(self, name: str, jsonl: bool) -> None:
        self.name = name
        self.jsonl = jsonl
        self.errors: list[str] = []
        self.columns: list[str] | None = list(COLUMNS) if jsonl else None
        self.jobs: dict[str, int] = {}
        self.rows: list[Row] = []

    def read(self, file: Any) -> Trace:
        torn, number = 0, 0
        while raw := file.readline(MAX_LINE + 1):
            number += 1
            if len(raw) > MAX_LINE and not raw.endswith(b"\n"):
                self._fatal(number, f"a line of more than {MAX_LINE} bytes; this is no trace")
            known = len(self.errors)
            self._line(raw, number)
            # a last line that was not written to its end is no mistake of the user's
            if len(self.errors) > known and not raw.endswith(b"\n") and self.columns and number > 1:
                del self.errors[known:]
                torn = 1
            if len(self.errors) >= MAX_ERRORS or len(self.rows) > MAX_ROWS or len(self.jobs) > MAX_WORKERS:
                break
        self._end()
        return trace_of(self.rows, torn)

    def _end(self) -> None:
        if len(self.rows) > MAX_ROWS:
            self.errors.append(f"{self.name}: more than {MAX_ROWS:,} rows; give a part of them")
        if len(self.jobs) > MAX_WORKERS:
            self.errors.append(f"{self.name}: more than {MAX_WORKERS:,} workers; give a part of them")
        if self.columns is None and not self.errors:
            self.errors.append(f"{self.name} is empty; needed: a line with the columns {', '.join(NEEDED)}, and rows")
        if self.errors:
            more = "\n(only the first mistakes are shown)" if len(self.errors) >= MAX_ERRORS else ""
            raise TraceError("\n".join(self.errors) + more)

    def _fatal(self, number: int, message: str) -> None:
        self._wrong(number, message)
        raise TraceError("\n".join(self.errors))

    def _wrong(self, number: int, message: str) -> None:
        self.errors.append(f"{self.name}:{number}: {message}")

    def _line(self, raw: bytes, number: int) -> None:
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            if self.rows and not raw.endswith(b"\n"):
                return self._wrong(number, "ends in the middle of a letter")
            self._fatal(number, "this is no UTF-8 text; a trace is a CSV or JSONL file")
        text = text.rstrip("\r\n")
        if not text.strip() or (not self.jsonl and text.startswith("#")):
            return None
        try:
            fields = self._object(text, number) if self.jsonl else self._fields(text)
            if fields is not None:
                self.rows.append(self._row(fields))
        except ValueError as error:
            if self.columns is None:
                self._fatal(number, str(error))
            self._wrong(number, str(error))

    def _fields(self, text: str) -> dict[str, str] | None:
        try:
            values = next(csv.reader([text], strict=True)) if '"' in text else text.split(",")
        except csv.Error as error:
            raise ValueError(f"this is no CSV: {error}") from None
        if self.columns is None:
            self.columns = _columns(values)
            return None
        if len(values) != len(self.columns):
            raise ValueError(
                f"{len(values)} fields, but the {len(self.columns)} of {','.join(self.columns)} are needed"
            )
        return dict(zip(self.columns, values, strict=True))

    def _object(self, text: str, number: int) -> dict[str, Any] | None:
        try:
            found = json.loads(text, object_pairs_hook=_without_doubles)
        except RecursionError:
            raise ValueError("nested too deep; each line is one object with the columns as keys") from None
        except json.JSONDecodeError as error:
            raise ValueError(f"this is no JSON: {error.msg} at character {error.pos + 1}") from None
        if not isinstance(found, dict):
            raise ValueError(f"{text[:40]!r} is no object; each line is one, with the keys {', '.join(COLUMNS)}")
        if not self.rows and "asyncsim_trace" in found:
            return None
        for key in found:
            if key not in COLUMNS:
                raise ValueError(f"unknown key {key[:60]!r}; allowed: {', '.join(COLUMNS)}")
        for key in NEEDED:
            if key not in found:
                raise ValueError(f"{key} is missing")
        return found

    def _row(self, fields: dict[str, Any]) -> Row:
        worker = _name("worker", fields["worker"])
        job = fields.get("job", "")
        job = self.jobs.get(worker, -1) + 1 if job in ("", None) else _whole("job", job)
        self.jobs[worker] = job
        start = fields.get("start", "")
        return Row(
            worker,
            job,
            math.nan if start in ("", None) else _seconds("start", start),
            _seconds("compute_seconds", fields["compute_seconds"]),
            _seconds("send_seconds", fields.get("send_seconds", 0.0)),
            _outcome(fields.get("outcome", "arrived")),
            _name("device", fields.get("device", "")),
            _whole("gradients", fields.get("gradients", 1), least=1),
        )


def _columns(values: Sequence[str]) -> list[str]:
    names = [value.strip() for value in values]
    for name in names:
        if name not in COLUMNS:
            raise ValueError(
                f"unknown column {name[:60]!r}; the first line names the columns, of {', '.join(COLUMNS)}, "
                "with commas between them"
            )
    if len(set(names)) < len(names):
        raise ValueError("a column is named twice")
    for name in NEEDED:
        if name not in names:
            raise ValueError(f"the column {name} is missing; needed are {' and '.join(NEEDED)}")
    return names


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _seconds(what: str, value: Any) -> float:
    try:
        if (isinstance(value, str) and "_" in value) or isinstance(value, bool):
            raise ValueError
        seconds = float(value)
    except (ValueError, TypeError, OverflowError):
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise ValueError(f"{what} = {value!r:.60}, but finite seconds >= 0 are needed")
    return abs(seconds)  # -0.0 is no time


def _whole(what: str, value: Any, least: int = 0) -> int:
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not (text.strip().isascii() and text.strip().isdigit() and len(text) <= 18 and int(text) >= least):
        raise ValueError(f"{what} = {value!r:.60}, but a whole number >= {least} is needed")
    return int(text)


def _name(what: str, value: Any) -> str:
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else "\n"
    fine = len(text) <= MAX_NAME and (text.isprintable() or not text)
    if not fine or (what == "worker" and not text):
        raise ValueError(
            f"{what} = {value!r:.60}, but a whole number or a text of up to {MAX_NAME} characters is needed"
        )
    return text


def _outcome(value: Any) -> str:
    name = value.strip() if isinstance(value, str) else value
    if name == "":
        return "arrived"
    if name not in OUTCOMES:
        raise ValueError(f"outcome = {value!r:.60}, but one of {', '.join(OUTCOMES)} is needed")
    return str(name)


# ---- laws


class Played:
    """What the laws that play measured times share: they know the times they choose from.

    series: the measured times of one worker, or of several who are pooled, each in its order.
    """

    def __init__(self, *series: Any) -> None:
        parts = [np.asarray(part, dtype=np.float64) for part in series]
        self.values: Floats = np.concatenate(parts) if parts else np.empty(0)
        if not len(self.values):
            raise ValueError("there are no measured times to play")
        if any(part.ndim != 1 for part in parts) or not (self.values >= 0).all():
            raise ValueError("measured times must be lists of seconds >= 0")
        self.values.flags.writeable = False
        self.lengths = [len(part) for part in parts if len(part)]
        self._sorted: Floats | None = None

    @property
    def mean(self) -> float:
        """Mean of the measured times, in seconds; in the long run that of the played ones."""
        return float(self.values.mean())

    def cdf(self, t: float) -> float:
        """The share of measured times <= t."""
        return float(np.searchsorted(self._in_order(), t, side="right") / len(self.values))

    def quantile(self, q: float) -> float:
        """The smallest measured time that a share of at least q does not exceed; ValueError unless 0 <= q <= 1."""
        if not 0 <= q <= 1:
            raise ValueError(f"quantile({q!r}): a probability between 0 and 1 is needed")
        place = math.ceil(q * len(self.values) - 1e-9) - 1
        return float(self._in_order()[max(0, place)])

    def _in_order(self) -> Floats:
        if self._sorted is None:
            self._sorted = np.sort(self.values)
        return self._sorted

    def _shown(self) -> str:
        return f"{len(self.values)} times, mean {self.mean:.4g} s"


class Resampled(Played):
    """Measured times drawn at random, without memory. Nothing comes that was not measured.

    beyond: seconds after which further times were cut short. Each measured time is as likely as any other where there
    are none, else as Kaplan and Meier's estimate has it (asyncsim/times/censored.py); what is longer than all that was
    seen to its end takes the longest seconds there are.

    >>> sorted(set(Resampled([1.0, 2.0]).sample(np.random.default_rng(0), 100).tolist()))
    [1.0, 2.0]
    >>> Resampled([1.0, 4.0], beyond=[3.0]).mean
    3.0
    """

    def __init__(self, *series: Any, beyond: Any = ()) -> None:
        super().__init__(*series)
        stopped = Observed.of(self.values, beyond)
        self._stopped = len(stopped.beyond) > 0
        if self._stopped:
            self._places, self._weights = weighted(stopped)
            self._up_to = np.cumsum(self._weights)

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """`size` times (float64 seconds)."""
        if not self._stopped:
            return self.values[rng.integers(len(self.values), size=size)]
        drawn: Floats = self._places[self._place(rng.random(size))]
        return drawn

    def _place(self, q: Any) -> Any:
        return np.minimum(np.searchsorted(self._up_to, q - 1e-12), len(self._places) - 1)

    @property
    def mean(self) -> float:
        """Mean of the estimate, in seconds."""
        return float(self._places @ self._weights) if self._stopped else super().mean

    def cdf(self, t: float) -> float:
        """The estimated share of times <= t."""
        if not self._stopped:
            return super().cdf(t)
        return float(self._weights[: np.searchsorted(self._places, t, side="right")].sum())

    def quantile(self, q: float) -> float:
        """The smallest measured time that an estimated share of at least q doesn't exceed; ValueError unless 0 <= q <= 1."""
        return float(self._places[self._place(q)]) if self._stopped and 0 <= q <= 1 else super().quantile(q)

    def __repr__(self) -> str:
        return f"<Resampled: {self._shown()}>"


class Cycled(Played):
    """Measured times in their order: the m-th gradient takes the m-th time, and after the last comes the first.

    begin: "first", or "random" for a place of the trace that is drawn once a worker and seed. Several series are played
    one after the other.

    >>> Cycled([3.0, 1.0]).sample_at(None, first=1, size=4)
    array([1., 3., 1., 3.])
    """

    def __init__(self, *series: Any, begin: str = "first") -> None:
        super().__init__(*series)
        self.begin = begin

    def sample_at(self, at: Generators | None, first: int, size: int) -> Floats:
        """The times number first … first + size − 1."""
        if self.begin == "random" and at is not None:
            first += int(at(PLACE).integers(len(self.values)))
        return self.values[np.arange(first, first + size) % len(self.values)]

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """`size` successive times from a random place (float64 seconds)."""
        return self.sample_at(None, int(rng.integers(len(self.values))), size)

    def __repr__(self) -> str:
        return f"<Cycled from the {self.begin}: {self._shown()}>".replace("the random", "a random place")


class BlockBootstrap(Played):
    """Blocks of successive measured times, each from a random place, so that what hangs together stays together.

    block: times in a block. A block that reaches the end of a worker's series goes on at its beginning; it never goes
    on in the series of another worker.

    >>> law = BlockBootstrap([1.0, 2.0, 3.0], block=3)
    >>> law.sample(np.random.default_rng(3), 3).tolist() in ([1, 2, 3], [2, 3, 1], [3, 1, 2])
    True
    """

    def __init__(self, *series: Any, block: int = 20) -> None:
        super().__init__(*series)
        if block < 1:
            raise ValueError(f"block = {block!r}, but a whole number >= 1 is needed")
        self.block = block
        lengths = np.array(self.lengths)
        begins = np.cumsum(lengths) - lengths
        self._begin, self._length = np.repeat(begins, lengths), np.repeat(lengths, lengths)

    def sample_at(self, at: Generators, first: int, size: int) -> Floats:
        """The times number first … first + size − 1: block b begins where generator b says."""
        blocks = range(first // self.block, (first + size - 1) // self.block + 1)
        places = np.array([at(number).integers(len(self.values)) for number in blocks])
        return self._run(places)[first % self.block :][:size]

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """`size` times (float64 seconds), in blocks."""
        return self._run(rng.integers(len(self.values), size=-(-size // self.block)))[:size]

    def _run(self, places: NDArray[np.int64]) -> Floats:
        begin, length = self._begin[places, None], self._length[places, None]
        within: Floats = self.values[begin + (places[:, None] - begin + np.arange(self.block)) % length].ravel()
        return within

    def __repr__(self) -> str:
        return f"<BlockBootstrap of {self.block}: {self._shown()}>"


@parameters
class FromTrace:
    """Times measured elsewhere, or written by another run, played back from a trace file.

    Which measured worker plays for which worker: `each` gives them the measured workers in turn (the first of a group
    the first, and from the beginning again where there are more workers than measured ones), `pooled` gives every
    worker the times of all, and a list has the name of a measured worker for each worker of the group. `cycle` keeps
    the order: the m-th gradient takes the m-th measured time; `resample` draws single times and forgets the order;
    `block_bootstrap` draws runs of successive times, so that slow phases stay phases. Rows that were not computed to
    their end are left out, but that their times are longer than that counts where single times are drawn.

    Parameters:
        file: the trace, CSV or JSONL; a relative path starts at the scenario's folder
        play: how it is played
        column: which of its times: compute_seconds, or send_seconds for an uplink
        worker_map: 'each', 'pooled', or a list with the name of a measured worker for each worker
        device: only what was measured on this device
        block: times in a block of block_bootstrap
        begin: where cycle begins; random for a place that differs from worker to worker and from seed to seed

    >>> FromTrace("times.csv", play="cycle").worker_map
    'each'
    """

    file: str
    play: Literal["cycle", "resample", "block_bootstrap"] = "cycle"
    column: Literal["compute_seconds", "send_seconds"] = "compute_seconds"
    worker_map: Literal["each", "pooled"] | tuple[str | int, ...] = "each"
    device: str | None = None
    block: Count = 20
    begin: Literal["first", "random"] = "first"

    def laws(self, count: int) -> list[Any]:
        """The laws of `count` workers; TraceError or ValueError where file, names and workers don't fit together."""
        series = known(self.file).all_series(self.column, self.device)
        stopped = known(self.file).all_stopped(self.column, self.device)
        if not series:
            where = "" if self.device is None else f" on the device {self.device!r}"
            raise ValueError(f"trace: file = {self.file} has no complete row{where}; {self._there()}")
        if self.worker_map == "pooled":
            return [self._law(list(series.values()), list(stopped.values()))] * count
        names = list(series)
        if isinstance(self.worker_map, str):
            wanted = [names[place % len(names)] for place in range(count)]
        else:
            wanted = [str(name) for name in self.worker_map]
        if len(wanted) != count:
            raise ValueError(f"trace: worker_map has {len(wanted)} names, but there are {count} workers here")
        made: dict[str, Any] = {}
        for name in wanted:
            if name not in series:
                raise ValueError(f"trace: worker_map: {name!r} has no complete row in {self.file}; {self._there()}")
            if name not in made:
                made[name] = self._law([series[name]], [stopped[name]] if name in stopped else [])
        return [made[name] for name in wanted]

    def _there(self) -> str:
        trace = known(self.file)
        workers, devices = ", ".join(map(repr, trace.workers[:10])), ", ".join(map(repr, trace.devices[:10]))
        more = ", …" if len(trace.workers) > 10 else ""
        return f"its workers are {workers or 'none'}{more}, its devices {devices or 'none'}"

    def _law(self, series: Sequence[Floats], stopped: Sequence[Floats]) -> Any:
        if self.play == "cycle":
            return Cycled(*series, begin=self.begin)
        if self.play == "block_bootstrap":
            return BlockBootstrap(*series, block=self.block)
        return Resampled(*series, beyond=np.concatenate(stopped) if stopped else ())


def known(file: str | Path) -> Trace:
    """The trace in a file, read once while the file stays as it is."""
    path = Path(file)
    try:
        about = path.stat()
    except OSError:
        return read_trace(path)  # which says what is wrong
    return _read_once(str(path), about.st_mtime_ns, about.st_size)


@functools.lru_cache(maxsize=8)
def _read_once(path: str, changed: int, size: int) -> Trace:
    return read_trace(path)
