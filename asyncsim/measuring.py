"""Traces of measured times: the format, and `measure`, which writes one from a training loop of the user's own.

Standard library only: this runs inside programs that have no numpy, on machines where asyncsim is one copied file.

The format, version 1. A text file in UTF-8, one row a gradient (or a job of several gradients, as local steps), one of

- CSV (any name but .jsonl): comment lines begin with #; the first line that is none names the columns, in any order;
- JSONL (a name that ends in .jsonl): each line an object; a first one with the key `asyncsim_trace` is the header.

======================  ===========================================================================================
worker                  who computed it: a number or any short text
compute_seconds         seconds that computing took
job                     number of the job among those of this worker, from 0; counted where the column is missing
start                   seconds from the beginning of the trace to the beginning of the computing; else empty
send_seconds            seconds that sending the answer took; 0 where the column is missing
outcome                 arrived, used, discarded (these three were computed to their end), stopped, timed_out, lost,
                        in_flight (these four were not: their seconds are those up to then); arrived unless given
device                  what it was computed on, any short text; empty unless given
gradients               how many gradients the job had (compute_seconds is that of all of them); 1 unless given
======================  ===========================================================================================

The first two are needed, the others may be left out; other columns are errors. Seconds are finite and >= 0. The
rows of a worker stand in the order in which it made them. The comment of the first line (the header object) names
version and unit, and as `began` the Unix time of start 0, so that processes that write one file agree on it.

A row is written by one `write` to a file opened for appending, when it is complete. So many processes and threads
of one machine may share a file, and a program that is killed loses the row it was at, no other. Over a network file
system appending is not one step: there give each process its own file.
"""

import json
import math
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from operator import index
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

VERSION = 1
COMPLETE = ("arrived", "used", "discarded")
OUTCOMES = (*COMPLETE, "stopped", "timed_out", "lost", "in_flight")
MAX_NAME = 200  # characters of a worker or a device


class Row(NamedTuple):
    """One row of a trace; what its fields mean stands at the head of this file."""

    worker: str
    job: int
    start: float
    compute_seconds: float
    send_seconds: float = 0.0
    outcome: str = "arrived"
    device: str = ""
    gradients: int = 1


COLUMNS = Row._fields


def header(jsonl: bool, began: float | None = None, about: str = "") -> str:
    """The first lines of a trace.

    began: Unix time of start 0, where there is one (simulated runs have none); about: where the times come from

    >>> print(header(jsonl=False), end="")
    # asyncsim trace 1; times in seconds
    worker,job,start,compute_seconds,send_seconds,outcome,device,gradients
    """
    if jsonl:
        return (
            json.dumps(
                {"asyncsim_trace": VERSION, "unit": "seconds", "about": about, "began": began}, ensure_ascii=False
            )
            + "\n"
        )
    words = "" if began is None else f"; began {began!r}"
    more = "".join(f"# {part}\n" for part in about.splitlines())
    return f"# asyncsim trace {VERSION}; times in seconds{words}\n{more}{','.join(COLUMNS)}\n"


def line(row: Row, jsonl: bool) -> str:
    r"""A row as a line of the file; numbers read back as the same floats, an unknown start (nan) is left empty.

    >>> line(Row("gpu, old", 3, 0.5, 0.25), jsonl=False)
    '"gpu, old",3,0.5,0.25,0.0,arrived,,1\n'
    """
    # numpy's numbers show themselves otherwise than Python's
    row = row._replace(
        job=index(row.job),
        start=float(row.start),
        compute_seconds=float(row.compute_seconds),
        send_seconds=float(row.send_seconds),
        gradients=index(row.gradients),
    )
    if jsonl:
        fields = row._asdict()
        if math.isnan(row.start):
            del fields["start"]
        return json.dumps(fields, ensure_ascii=False) + "\n"
    start = "" if math.isnan(row.start) else repr(row.start)
    shown = (_quoted(row.worker), str(row.job), start, repr(row.compute_seconds), repr(row.send_seconds))
    return ",".join((*shown, row.outcome, _quoted(row.device), str(row.gradients))) + "\n"


def _quoted(text: str) -> str:
    special = any(character in text for character in ',"') or text.startswith("#") or text != text.strip()
    return '"' + text.replace('"', '""') + '"' if special else text


def is_jsonl(path: str | Path) -> bool:
    """Whether a file of this name is JSONL; else it is CSV."""
    return Path(path).suffix.lower() == ".jsonl"


def name_of(what: str, value: object) -> str:
    """A worker or device as text; ValueError unless it is a whole number or a short text of one line."""
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    fine = len(text) <= MAX_NAME and (text.isprintable() or not text)
    if not fine or (what == "worker" and not text):
        raise ValueError(
            f"{what} = {value!r:.60}, but a whole number or a text of up to {MAX_NAME} characters is needed"
        )
    return text


class measure:  # noqa: N801 (it is used as a function: with measure(…) as m)
    """Write a trace while a training loop runs: one row a gradient, for one worker.

    path: the file, CSV or (.jsonl) JSONL; one that is there is appended to. worker: number or name of this worker.
    device: what it computes on. synchronize: called before a time is taken; devices that compute in the background need
    it, as in ``synchronize=torch.cuda.synchronize``.

    A row is written when sending has ended, or at the next gradient where nothing is sent. If the body of `gradient` or
    `send` raises, the outcome is `stopped`. Threads may share one `measure`: each has its own row, all count as the
    same worker. Raises ValueError for names that don't fit in a row or a file that is no trace of ours, OSError as
    `open`.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "trace.csv")
    >>> with measure(path, worker=0, device="cpu") as m:
    ...     for _ in range(3):
    ...         with m.gradient():
    ...             _ = sum(range(1000))
    ...         with m.send():
    ...             pass
    >>> m.rows, len(path.read_text().splitlines())
    (3, 5)
    """

    def __init__(
        self,
        path: str | Path,
        worker: int | str = 0,
        device: str = "",
        synchronize: Callable[[], object] | None = None,
    ) -> None:
        self.path = Path(path)
        self.worker = name_of("worker", worker)
        self.device = name_of("device", device)
        self.rows = 0  # written so far
        self._jsonl = is_jsonl(path)
        self._synchronize = synchronize
        self._lock = threading.Lock()
        self._jobs = 0
        self._waiting: dict[int, Row] = {}  # by thread: computed, and not yet known to be sent
        self._file = -1

    def __enter__(self) -> Self:
        self._file, began = _opened(self.path, self._jsonl)
        # the wall clock is read once; what is measured is measured by the monotonic one
        self._zero = time.perf_counter() - (time.time() - began)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for thread in list(self._waiting):
            self._write(self._waiting.pop(thread))
        os.close(self._file)
        self._file = -1

    @contextmanager
    def gradient(self, count: int = 1) -> Iterator[None]:
        """Measure the computing of one gradient, or of `count` that are sent together: the with-statement's body."""
        if not isinstance(count, int) or count < 1:
            raise ValueError(f"gradient({count!r}): a whole number of gradients >= 1 is needed")
        self._flush()
        if self._file < 0:
            raise ValueError("measure is not open: gradient() belongs inside `with measure(…) as m:`")
        with self._lock:
            job, self._jobs = self._jobs, self._jobs + 1
        begun, outcome = self._now(), "stopped"
        try:
            yield
            outcome = "arrived"
        finally:
            ended = self._now()
            start, seconds = max(0.0, begun - self._zero), ended - begun
            self._waiting[threading.get_ident()] = Row(
                self.worker, job, start, seconds, 0.0, outcome, self.device, count
            )

    @contextmanager
    def send(self) -> Iterator[None]:
        """Measure the sending of the last gradient of this thread, and write its row."""
        row = self._waiting.pop(threading.get_ident(), None)
        if row is None:
            raise ValueError("send() without a gradient: it belongs after `with m.gradient():`, once")
        begun, outcome = self._now(), "stopped"
        try:
            yield
            outcome = row.outcome
        finally:
            self._write(row._replace(send_seconds=self._now() - begun, outcome=outcome))

    def _now(self) -> float:
        if self._synchronize is not None:
            self._synchronize()
        return time.perf_counter()

    def _flush(self) -> None:
        row = self._waiting.pop(threading.get_ident(), None)
        if row is not None:
            self._write(row)

    def _write(self, row: Row) -> None:
        data = line(row, self._jsonl).encode()
        if os.write(self._file, data) < len(data):
            raise OSError(f"{self.path}: the disk took only a part of a row")
        with self._lock:
            self.rows += 1


def _opened(path: Path, jsonl: bool) -> tuple[int, float]:
    """The trace opened for appending, made if it is not there, and the Unix time of its start 0."""
    if not path.exists():
        _create(path, header(jsonl, time.time()))
    with path.open("rb") as file:
        first = file.readline(1000)
    began = began_of(first.decode("utf-8", "replace"), jsonl)
    if began is None:
        raise ValueError(f"{path} is there already and is no trace that was measured: give another path")
    return os.open(path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0)), began


def _create(path: Path, text: str) -> None:
    """Make the file with its header in one step: of processes that begin at once, all see one header, and whole."""
    handle, scratch = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.chmod(scratch, 0o644)  # noqa: PTH101 (mkstemp's 0600 would hide the trace from its readers)
        with suppress(FileExistsError):
            os.link(scratch, path)
    finally:
        os.unlink(scratch)  # noqa: PTH108 (as it was made: by os)


def began_of(first_line: str, jsonl: bool) -> float | None:
    """The Unix time of start 0 in the first line of a trace; None where there is none.

    >>> began_of("# asyncsim trace 1; times in seconds; began 1763800000.5", jsonl=False)
    1763800000.5
    """
    value: Any = None
    if jsonl:
        with suppress(ValueError, RecursionError):
            found = json.loads(first_line)
            value = found.get("began") if isinstance(found, dict) and "asyncsim_trace" in found else None
    elif first_line.startswith("# asyncsim trace "):
        value = first_line.rpartition("; began ")[2]
    with suppress(ValueError, TypeError, OverflowError):
        began = float(value)
        return began if math.isfinite(began) else None
    return None
