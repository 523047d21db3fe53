"""What happened, event by event: hashed, counted, and kept as far as asked.

Two streams of rows, each in order of time. *Ends*: one row for each assignment that ended, with the
times of its way. *Marks*: what the server did (a gradient used or discarded, a step, a timer). The
hot path appends numbers to lists, times and whole numbers apart (a list of both takes four times as long
to become an array); all counting is done on arrays, a few thousand rows at once. Who has whole arrays of
rows hands them over by `add`, and who holds some back does so when `before_flush` is called.

The event hash chains XXH3 (128 bits) over the first five columns (time, worker, m, kind, k) of each stream,
in blocks of 4096 rows, and joins the two chains at the end. Blocks of a fixed size make the hash
independent of when the log was flushed, checkpointed or resumed. It compares runs and finds damage; nobody who
means harm is kept out by it, so it need not be a cryptographic one, which would take longer than all the rest.

Always kept, bounded: counts per worker, the full histogram of delays, and the rows of up to 40
workers in three windows (the first rows, some in the middle, the last). Where the middle will be is
not known while the run goes on, so a window is opened each time the number of ends has grown by
half, and the one that lies nearest to the middle in the end is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from xxhash import xxh3_128

from asyncsim.jobs import Assignment
from asyncsim.result import KINDS, SHOWN_WORKERS, shown_workers

if TYPE_CHECKING:
    from asyncsim.allocation.regret import Regret

ARRIVED, USED, DISCARDED, STOPPED, TIMED_OUT, LOST, STEP, TIMER = range(len(KINDS))

# columns of the two streams; the first five are hashed
ENDS = ("time", "worker", "m", "kind", "k", "version", "sent", "computing_from", "computing_to", "done", "cost")
MARKS = ("time", "worker", "m", "kind", "k", "delay", "gradients")
TIME, WORKER, M, KIND, K, VERSION, SENT, COMPUTING_FROM, COMPUTING_TO, DONE, COST = range(len(ENDS))
DELAY, GRADIENTS = range(5, len(MARKS))
_END_TIMES = [TIME, SENT, COMPUTING_FROM, COMPUTING_TO]
_END_NUMBERS = [WORKER, M, KIND, K, VERSION, DONE, COST]
IN_FLIGHT = -1  # no kind of an end: still going on when a window was full

BLOCK = 4096
WINDOW = 2400  # ends in a window

Rows = np.ndarray


class Chain:
    """XXH3 over a stream of rows, in blocks of fixed size; it can be stopped and taken up."""

    def __init__(self) -> None:
        self.digest = b""
        self.rest = np.empty((0, 5))  # rows since the last whole block

    def add(self, rows: Rows) -> None:
        """Rows whose first five columns are hashed; where they have only these, whole blocks are not copied."""
        rows = rows[:, :5]
        if len(self.rest):
            taken = BLOCK - len(self.rest)
            self.rest = np.concatenate([self.rest, rows[:taken]])
            if len(self.rest) < BLOCK:
                return
            self.digest = _hash(self.digest, self.rest)
            rows = rows[taken:]
        whole = len(rows) - len(rows) % BLOCK
        for start in range(0, whole, BLOCK):
            self.digest = _hash(self.digest, np.ascontiguousarray(rows[start : start + BLOCK]))
        self.rest = rows[whole:].copy()

    def result(self) -> bytes:
        return _hash(self.digest, self.rest)


def hash_of_events(ends: Rows, marks: Rows) -> str:
    """The event hash of all ends and all marks (rows of time, worker, m, kind, k), each in order."""
    chains = Chain(), Chain()
    for chain, rows in zip(chains, (ends, marks), strict=True):
        chain.add(rows)
    return _joined(*chains)


def _joined(ends: Chain, marks: Chain) -> str:
    return _hash(ends.result(), marks.result()).hex()


def _hash(before: bytes, data: Any) -> bytes:
    state = xxh3_128(before)
    state.update(data)
    return state.digest()


class Window:
    """The rows of the shown workers from one moment on, until it is full."""

    def __init__(self, opened_at: int) -> None:
        self.opened_at = opened_at  # how many assignments had ended
        self.ends = _NO_ENDS
        self.marks = NO_MARKS
        self.flying = _NO_ENDS  # what was going on when it was full

    @property
    def full(self) -> bool:
        return len(self.ends) == WINDOW

    def add(self, ends: Rows, marks: Rows, flying: Callable[[], Rows]) -> None:
        if not self.full and len(ends):
            taken = WINDOW - len(self.ends)
            self.ends = np.concatenate([self.ends, ends[:taken]])
            if self.full:
                self.cut(np.concatenate([ends[taken:], flying()]), at=self.ends[-1, TIME])
        # gradients are read after they arrive, perhaps much later: more room for marks
        if len(self.ends) and len(self.marks) < 2 * WINDOW:
            since = marks[marks[:, TIME] >= self.ends[0, TIME]]
            self.marks = np.concatenate([self.marks, since[: 2 * WINDOW - len(self.marks)]])

    def cut(self, later: Rows, at: float) -> None:
        """End the window at this time; of what ended later, keep what was going on by then."""
        self.flying = later[later[:, SENT] < at].copy()
        for column in (TIME, COMPUTING_FROM, COMPUTING_TO):
            self.flying[:, column] = np.minimum(self.flying[:, column], at)
        # k and order must not depend on whether it was still flying when the log was flushed
        self.flying[:, K] = self.ends[-1, K] if len(self.ends) else 0
        self.flying[:, KIND] = IN_FLIGHT
        self.flying = self.flying[np.argsort(self.flying[:, WORKER], kind="stable")]


_NO_ENDS = np.empty((0, len(ENDS)))
NO_MARKS = np.empty((0, len(MARKS)))


class Tail:
    """The last rows of a stream, `size` at most."""

    def __init__(self, rows: Rows, size: int) -> None:
        self._parts = [rows]
        self._added = 0
        self._size = size

    def add(self, rows: Rows) -> None:
        self._parts.append(rows[-self._size :].copy())
        self._added += len(self._parts[-1])
        if self._added >= 2 * self._size:
            self._join()

    def _join(self) -> None:
        self._parts = [np.concatenate(self._parts)[-self._size :].copy()]
        self._added = 0

    @property
    def rows(self) -> Rows:
        self._join()
        return self._parts[0]


class Log:
    """Events of one run, for `n` workers.

    `keep(ends, marks)` receives every row when all events are to be kept; `regret` counts that of an
    allocation, where the method takes one.
    """

    def __init__(self, n: int, keep: Callable[[Rows, Rows], None] | None = None, regret: Regret | None = None) -> None:
        self.regret = regret
        self.n = n
        self.in_flight: Callable[[int], Assignment | None] = lambda worker: None  # set by the server
        self._keep = keep
        self.before_flush: Callable[[], None] = lambda: None  # set by a server that holds rows back
        self._end_times: list[float] = []
        self._end_numbers: list[int] = []
        self._mark_times: list[float] = []
        self._mark_numbers: list[int] = []
        self._parts: list[tuple[Rows, Rows]] = []
        self._waiting = 0  # rows in the parts
        self._chains = {"ends": Chain(), "marks": Chain()}
        self._ended = 0
        self._marked = 0
        self.arrived = np.zeros(n, np.int64)
        self.used = np.zeros(n, np.int64)
        self.stopped = np.zeros(n, np.int64)
        self.timed_out = np.zeros(n, np.int64)
        self.lost = np.zeros(n, np.int64)
        self.busy_seconds = np.zeros(n)
        self.compute_seconds = np.zeros(n)
        self._delays_used = np.zeros(1, np.int64)
        self._delays_arrived = np.zeros(1, np.int64)
        self.shown = shown_workers(n, min(n, SHOWN_WORKERS))
        self._is_shown = np.zeros(n, bool)
        self._is_shown[self.shown] = True
        self._first = Window(0)
        self._middles: list[Window] = []
        self._last_ends = Tail(_NO_ENDS, WINDOW)
        self._last_marks = Tail(NO_MARKS, 2 * WINDOW)
        self._next_middle = WINDOW

    # ---- the hot path

    def ended(self, a: Assignment, time: float, k: int) -> None:
        """An assignment ended: arrived, stopped, timed out or lost."""
        self._end_times.extend((time, a.sent, a.computing_from, a.computing_to))
        self._end_numbers.extend((a.worker, a.m, a.outcome, k, a.version, a.done, a.job.cost))
        if len(self._end_times) >= BLOCK * 4:
            self.flush()

    def mark(self, time: float, worker: int, m: int, kind: int, k: int, delay: int, gradients: int) -> None:
        """The server did something with a gradient, or made a step, or a timer fired."""
        self._mark_times.append(time)
        self._mark_numbers.extend((worker, m, kind, k, delay, gradients))
        if len(self._mark_times) >= 4 * BLOCK:
            self.flush()

    # ---- by blocks

    def add(self, ends: Rows, marks: Rows) -> None:
        """Rows that come after all that were given so far."""
        self._pack()
        self._parts.append((ends, marks))
        self._waiting += len(ends) + len(marks)

    @property
    def wanted(self) -> tuple[np.ndarray, bool]:
        """(n,) whose rows `add_counted` wants whole, and whether those of steps too."""
        return (self._is_shown, False) if self._keep is None else (np.ones(self.n, bool), True)

    def add_counted(self, ends: Rows, marks: Rows, at: np.ndarray, whole_ends: Rows, whole_marks: Rows) -> None:
        """Rows that the caller has counted; five columns of each, and all columns of those that are wanted.

        at : the positions of the whole ends among all. The caller may use the arrays again.
        """
        self._chains["ends"].add(ends)
        self._chains["marks"].add(marks)
        if self._keep is not None:
            whole_ends, whole_marks = whole_ends.copy(), whole_marks.copy()
        self._take(len(ends), len(marks), at, whole_ends, whole_marks)

    def histograms(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Gradients used and arrived by delay, to be counted in, with room for so many delays at least."""
        self._delays_used = _padded(self._delays_used, size)
        self._delays_arrived = _padded(self._delays_arrived, len(self._delays_used))
        self._delays_used = _padded(self._delays_used, len(self._delays_arrived))
        return self._delays_used, self._delays_arrived

    def flush_if_many(self) -> None:
        """Flush where enough rows wait to make it worth while."""
        if self._waiting >= 2 * BLOCK:
            self.flush()

    def _pack(self) -> None:
        """What was appended one by one becomes a part."""
        if not self._end_times and not self._mark_times:
            return
        ends = np.empty((len(self._end_times) // 4, len(ENDS)))
        ends[:, _END_TIMES] = np.array(self._end_times).reshape(-1, 4)
        ends[:, _END_NUMBERS] = np.array(self._end_numbers, np.int64).reshape(-1, 7)
        marks = np.empty((len(self._mark_times), len(MARKS)))
        marks[:, TIME] = self._mark_times
        marks[:, WORKER:] = np.array(self._mark_numbers, np.int64).reshape(-1, 6)
        for appended in (self._end_times, self._end_numbers, self._mark_times, self._mark_numbers):
            appended.clear()
        self._parts.append((ends, marks))
        self._waiting += len(ends) + len(marks)

    def flush(self) -> None:
        """Count and hash what was appended since the last time."""
        self.before_flush()
        self._pack()
        parts, self._parts, self._waiting = self._parts or [(_NO_ENDS, NO_MARKS)], [], 0
        ends, marks = parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts, strict=True))
        self._chains["ends"].add(ends)
        self._chains["marks"].add(marks)
        self._count_ends(ends)
        self._count_marks(marks)
        self._take(len(ends), len(marks), np.arange(len(ends)), ends, marks)

    def _take(self, ended: int, marked: int, at: np.ndarray, ends: Rows, marks: Rows) -> None:
        """Show and keep what is wanted of so many ends and marks; `at` are the positions of these ends among all."""
        shown = self._is_shown[ends[:, WORKER].astype(np.int64)]
        whose = marks[:, WORKER].astype(np.int64)
        self._show(ended, at[shown], ends[shown], marks[(whose >= 0) & self._is_shown[whose]])
        self._ended += ended
        self._marked += marked
        if self._keep is not None:
            self._keep(ends, marks)

    def _count_ends(self, ends: Rows) -> None:
        if not len(ends):
            return
        workers = ends[:, WORKER].astype(np.int64)
        kinds = ends[:, KIND]
        done, cost = ends[:, DONE], ends[:, COST]
        undone = cost - done
        self.arrived += self._sums(workers, done)
        self.stopped += self._sums(workers, undone * (kinds == STOPPED))
        self.timed_out += self._sums(workers, undone * (kinds == TIMED_OUT))
        self.lost += self._sums(workers, undone * (kinds == LOST))
        computing = ends[:, COMPUTING_TO] - ends[:, COMPUTING_FROM]
        # added one by one: sums of sums would depend, in their last bits, on when the log was flushed
        np.add.at(self.busy_seconds, workers, computing)
        np.add.at(self.compute_seconds, workers, computing * (done == cost))
        delays = ends[:, K] - ends[:, VERSION]
        self._delays_arrived = _add_counts(self._delays_arrived, delays, done)
        if self.regret is not None:
            for_this_round = (delays == 0) & (done > 0)
            self.regret.add(ends[for_this_round, K], workers[for_this_round], done[for_this_round])

    def _count_marks(self, marks: Rows) -> None:
        read = marks[(marks[:, KIND] == USED) | (marks[:, KIND] == DISCARDED)]
        if len(read):
            gradients = np.where(read[:, KIND] == USED, read[:, GRADIENTS], -read[:, GRADIENTS])
            self.used += self._sums(read[:, WORKER].astype(np.int64), gradients)
            self._delays_used = _add_counts(self._delays_used, read[:, DELAY], gradients)

    def _sums(self, workers: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        sums: np.ndarray = np.bincount(workers, gradients, self.n).astype(np.int64)
        return sums

    def _show(self, count: int, at: np.ndarray, ends: Rows, marks: Rows) -> None:
        """Put into the windows what happened to the shown workers: of `count` ends those `at` these positions."""
        while self._ended + count > self._next_middle:
            self._middles.append(Window(self._next_middle))
            self._next_middle += max(WINDOW, self._next_middle // 2)
        for window in (self._first, *self._middles):
            window.add(ends[np.searchsorted(at, window.opened_at - self._ended) :], marks, self.flying)
        # windows that began before a third of the way are behind the middle for good
        self._middles = [w for w in self._middles if w.opened_at >= (self._ended + count) // 3]
        self._last_ends.add(ends)
        self._last_marks.add(marks)

    def flying(self) -> Rows:
        """What the shown workers are doing now, as rows of ends that have not come."""
        found = [self.in_flight(int(worker)) for worker in self.shown]
        rows = [_row(a, np.inf, 0) for a in found if a is not None]
        return np.array(rows, np.float64).reshape(-1, len(ENDS))

    # ---- reading

    def totals(self) -> dict[str, int]:
        """Gradients so far, over all workers: arrived, used, stopped, timed_out, lost."""
        self.flush()
        return {name: int(getattr(self, name).sum()) for name in ("arrived", "used", "stopped", "timed_out", "lost")}

    def lengths(self) -> dict[str, int]:
        """How many rows were kept so far, where every event is kept."""
        self.flush()
        return {} if self._keep is None else {"assignments": self._ended, "marks": self._marked}

    def delays(self) -> np.ndarray:
        """(r, 3): delay, gradients used at this delay, gradients arrived at this delay."""
        self.flush()
        size = max(len(self._delays_used), len(self._delays_arrived))
        used, arrived = _padded(self._delays_used, size), _padded(self._delays_arrived, size)
        rows = np.stack([np.arange(size), used, arrived], axis=1)
        counted: np.ndarray = rows[(used != 0) | (arrived != 0)]
        return counted

    def windows(self, now: float) -> list[Window]:
        """The first, the middle and the last window; fewer when the run was short. The last ends now."""
        self.flush()
        if not self._first.full:
            self._first.cut(self.flying(), now)
            return [self._first]
        last = Window(0)
        last.ends, last.marks = self._last_ends.rows, self._last_marks.rows
        last.cut(self.flying(), now)
        middle = min(self._middles, key=lambda window: abs(window.opened_at - self._ended // 2), default=None)
        return [self._first, *([middle] if middle is not None and middle.full else []), last]

    def event_hash(self) -> str:
        """The hash of all events so far, 32 hexadecimal digits."""
        self.flush()
        return _joined(self._chains["ends"], self._chains["marks"])

    # ---- taking a run up again

    _COUNTS = (
        "arrived", "used", "stopped", "timed_out", "lost", "busy_seconds", "compute_seconds", "_delays_used",
        "_delays_arrived", "_ended", "_marked", "_next_middle",
    )  # fmt: skip

    def snapshot(self) -> dict[str, Any]:
        """All of it, for a checkpoint."""
        self.flush()
        return {
            "counts": {name: getattr(self, name) for name in self._COUNTS},
            "chains": {name: [chain.digest.hex(), chain.rest] for name, chain in self._chains.items()},
            "regret": None if self.regret is None else self.regret.state(),
            "windows": [[w.opened_at, w.ends, w.marks, w.flying] for w in (self._first, *self._middles)],
            "last": [self._last_ends.rows, self._last_marks.rows],
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Become the log that wrote `snapshot`."""
        for name, value in snapshot["counts"].items():
            setattr(self, name, value)
        for name, (digest, rest) in snapshot["chains"].items():
            self._chains[name].digest = bytes.fromhex(digest)
            self._chains[name].rest = rest
        if self.regret is not None:
            self.regret.restore(snapshot["regret"])
        windows = []
        for opened_at, ends, marks, flying in snapshot["windows"]:
            window = Window(opened_at)
            window.ends, window.marks, window.flying = ends, marks, flying
            windows.append(window)
        self._first, *self._middles = windows
        ends, marks = snapshot["last"]
        self._last_ends, self._last_marks = Tail(ends, WINDOW), Tail(marks, 2 * WINDOW)


def _row(a: Assignment, time: float, k: int) -> tuple[float, ...]:
    return (
        time, a.worker, a.m, a.outcome, k, a.version, a.sent, a.computing_from, a.computing_to, a.done, a.job.cost,
    )  # fmt: skip


def _padded(counts: np.ndarray, size: int) -> np.ndarray:
    return counts if len(counts) >= size else np.concatenate([counts, np.zeros(size - len(counts), counts.dtype)])


def _add_counts(counts: np.ndarray, delays: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    added = np.bincount(delays.astype(np.int64), gradients).astype(np.int64)
    grown = _padded(counts, len(added)).copy()
    grown[: len(added)] += added
    return grown
