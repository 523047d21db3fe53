"""The run folder: what is kept of a scenario's runs, while they run and after.

    DIR/manifest.json     what was run, where and with which versions; written whole (tmp, fsync, rename)
        scenario.yaml     the scenario's source text (empty when it was started from Python)
        record.sqlite     the tables below; one writer, any number of readers
        checkpoints/      run-<run>.<generation>.ckpt, the last two of each unfinished run; tuning-<run>… of a sweep
        report.html       when one was written
        lock              held (flock) by the process that writes; freed by the system when that process dies

Tables of record.sqlite, for anybody's SQL (floats that are nan are NULL):

    runs(run, label, method, parameters, seed, n, status, reason, iterations, time, wall_seconds, event_hash,
         verification, effort, engine, digest)
    curves(run, point, time, iteration, value, suboptimality, squared_gradient_norm, mean_squared_gradient_norm,
           test_accuracy, gradients_used, gradients_discarded, gradients_stopped, worker_seconds, regret, contributions)
                                                                                        one row a record point
    delays(run, delay, used, arrived)                                                   gradients at each delay
    workers(run, worker, sent, used, discarded, stopped, timed_out, lost, in_flight, busy_seconds, compute_seconds)
    intervals(run, row, window, worker, m, sent, computing_from, computing_to, ended, outcome, k, version)
    away(run, row, worker, away_from, away_to)          when these workers were away or without power in these windows
    powers(run, row, worker, power_from, power_to, power)                               how fast while it changed; may lack
    assignments(run, row, time, worker, m, kind, k, version, sent, computing_from, computing_to, done, cost)
    marks(run, row, time, worker, m, kind, k, delay, gradients)                         these two: events: all only
    outcomes(outcome, name), kinds(kind, name)                                          names of the numbers above
    tuning(run, label, parameters, seed, status, reason, value, capped, time, iterations, squared_gradient_norm,
           wall_seconds, event_hash)       in the folder of a sweep: its tuning runs, of which nothing else is kept;
                                           value is what the sweep's rule makes of it, capped where it was ended early
    views: totals (a run's gradients summed over workers), last_points (the last record point of each run)

curves.contributions is a JSON list of whole numbers, the gradients that had arrived of each of s workers out of n; its
entry j (0…s−1) is worker j(n−1)/(s−1), rounded to the nearest and half to the even one (`result.shown_workers`). In SQL:
SELECT point, each.key, each.value FROM curves, json_each(contributions) AS each WHERE run = 0.

Rules:
1. Curves and events are committed while they come: what was committed survives kill -9. Commits take about a
   twentieth of the time at most; the first row written a second after the last commit is committed with all before
   it, in most places every row is at once. `flush` commits the rest.
2. While running the journal is a WAL, so that others can read; where the file system can't (network drives), it is
   a rollback journal, and `journal_mode` says so. `close` folds everything into the one file record.sqlite, which can
   then be read from read-only media.
3. Nothing is overwritten unless asked (`force`), and then only a run folder's own files. A folder in use is refused.
   What a kill leaves of a start, before the manifest, holds no run, and is replaced without being asked: a lock signed
   by us, tables without a row, no checkpoint.
4. Files that are read back are checked first: the manifest against its seal, each finished run against its digest, its
   events (time, worker, m, kind, k) against the event hash where they are read, checkpoints against their digests, the
   tables by SQLite and by the number of rows that a checkpoint counts on. What is damaged is refused by name; an older
   checkpoint is used in place of a damaged one. Only the curves of a run that has not ended yet have no digest.
5. Nothing is pickled, no code is stored or named. Numbers JSON can't hold become null (nan) or the texts "inf", "-inf".
"""

import fcntl
import hashlib
import json
import math
import os
import re
import shutil
import sqlite3
import struct
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np

from asyncsim.log import hash_of_events
from asyncsim.result import (
    AWAY,
    CURVES,
    EVENT,
    INTERVAL,
    KINDS,
    OUTCOMES,
    POWERS,
    WORKERS,
    Array,
    Run,
    events_in_order,
    no_away,
    no_contributions,
    no_delays,
    no_intervals,
    no_powers,
    no_workers,
)

FORMAT = "asyncsim run folder"
VERSION = 5
ANEW = "restore it from a copy, or run the scenario anew"
APPLICATION_ID = 0x6173796E  # "asyn", in SQLite's header

ENDED = ("finished", "stalled", "diverged")  # these runs are over; the others can be taken up again

ASSIGNMENT = ("time", "worker", "m", "kind", "k", "version", "sent", "computing_from", "computing_to", "done", "cost")
MARK = ("time", "worker", "m", "kind", "k", "delay", "gradients")

TUNING = (
    *("run", "label", "parameters", "seed", "status", "reason", "value", "capped"),
    *("time", "iterations", "squared_gradient_norm", "wall_seconds", "event_hash"),
)
_TUNING_FLOATS = ("value", "time", "squared_gradient_norm", "wall_seconds")
TUNING_TABLE = f"CREATE TABLE IF NOT EXISTS tuning (run INTEGER PRIMARY KEY, {', '.join(TUNING[1:])})"

_OWN_FILES = ("manifest.json", "scenario.yaml", "report.html", "record.sqlite")
_ALONGSIDE = (
    "record.sqlite-wal",
    "record.sqlite-shm",
    "record.sqlite-journal",
    "manifest.json.tmp",
    "scenario.yaml.tmp",
)


class FolderError(Exception):
    """A run folder can't be used; the message says which file, why, and what to do."""


class FolderExists(FolderError, ValueError):  # noqa: N818 - it says what is the case
    """Something is already there and `force` was not given."""


class FolderInUse(FolderError):  # noqa: N818 - it says what is the case
    """Another process writes into this run folder."""


# ---------------------------------------------------------------------------------------------- writing


class RunFolder:
    """A run folder open for writing, by this process alone; a context manager.

    >>> import tempfile
    >>> from asyncsim.folder import read_folder
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     with RunFolder.create(Path(parent, "study"), {"name": "study"}, "name: study\\n") as folder:
    ...         writer = folder.writer(0, "rennala_sgd", "rennala_sgd", {"batch_size": 2}, seed=0, n=4)
    ...         writer.curve({name: 0.0 for name in CURVES})
    ...         writer.finish(Run("rennala_sgd", "rennala_sgd", {"batch_size": 2}, seed=0, n=4, status="finished"))
    ...     read_folder(Path(parent, "study")).runs
    (<Run rennala_sgd seed 0: finished, 0 iterations, 0 s>,)
    """

    def __init__(
        self, path: Path, lock: int, manifest: dict[str, Any], connection: sqlite3.Connection, journal_mode: str
    ) -> None:
        self.path = path
        self.manifest = manifest
        self.journal_mode = journal_mode
        self.warnings: list[str] = []
        self._lock: int | None = lock
        self._connection = connection
        self._pending = 0
        self._committed_at = time.monotonic()
        self._patience = 0.0

    @classmethod
    def create(
        cls, path: str | Path, manifest: Mapping[str, Any], scenario_text: str, force: bool = False, *, wal: bool = True
    ) -> Self:
        """Make a new run folder and hold it.

        Raises FolderExists when the path holds anything already (with `force`: anything but a run folder),
        FolderInUse when another process writes there, FolderError when it can't be written.
        """
        path = Path(path)
        if path.exists() and not path.is_dir():
            raise FolderExists(f"{path} is a file; a run folder needs a new name")
        with said(path):
            path.mkdir(parents=True, exist_ok=True)
        if not (path / "lock").exists():
            check_replaceable(path, force)  # before the lock file is made: a folder we refuse stays as it is
        with ExitStack() as undo:
            lock = take_lock(path, undo)
            check_replaceable(path, force)
            sign_lock(lock)
            with said(path):
                remove_own_files(path)
                connection, journal_mode = open_database(path / "record.sqlite", wal)
                undo.callback(connection.close)
                create_tables(connection)
                (path / "checkpoints").mkdir()
                write_whole(path / "scenario.yaml", scenario_text.encode())
            folder = cls(path, lock, dict(manifest), connection, journal_mode)
            # the manifest comes last: a folder that has one is complete
            folder.update_manifest(format=FORMAT, version=VERSION, journal_mode=journal_mode)
            undo.pop_all()
        return folder

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Hold an existing run folder to go on with it. Raises FolderError, FolderInUse."""
        path = Path(path)
        manifest = read_manifest(path)
        database = path / "record.sqlite"
        with ExitStack() as undo:
            lock = take_lock(path, undo)
            sign_lock(lock)
            if not database.is_file():
                raise FolderError(f"{database} is missing: this run folder can't be gone on with")
            with said(database):
                connection, journal_mode = open_database(database, manifest.get("journal_mode") != "delete")
                undo.callback(connection.close)
                problems = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
                (path / "checkpoints").mkdir(exist_ok=True)
            if problems != ["ok"]:
                raise FolderError(f"{database} is damaged ({problems[0]}); {ANEW}")
            folder = cls(path, lock, manifest, connection, journal_mode)
            folder.update_manifest(journal_mode=journal_mode)
            undo.pop_all()
        return folder

    def __repr__(self) -> str:
        return f"<RunFolder {self.path}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
            return
        with suppress(FolderError):  # the first error is the one to tell
            self.close()

    def update_manifest(self, **changes: Any) -> None:
        """Change these entries of manifest.json; readers see the old file or the new one, never a part."""
        self.manifest = {**self.manifest, **plain(changes)}
        sealed = {**plain(self.manifest), "seal": seal_of(self.manifest)}
        text = json.dumps(sealed, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        with said(self.path / "manifest.json"):
            write_whole(self.path / "manifest.json", text.encode())

    def writer(
        self, run: int, label: str, method: str, parameters: Mapping[str, Any], seed: int, n: int
    ) -> "RunWriter":
        """Begin run number `run`, or take it up again. FolderError when the folder holds another run by this number."""
        self._write(POWERS_TABLE, [()])
        found = self._select("SELECT label, method, seed, n FROM runs WHERE run = ?", run)
        if found and found[0] != (label, method, seed, n):
            raise FolderError(
                f"{self.path}: run {run} is {found[0]}, not {(label, method, seed, n)}; the scenario has changed"
            )
        if found:
            # what a run writes at its end holds no longer once it goes on
            self._write("UPDATE runs SET status = 'running', reason = '', digest = NULL WHERE run = ?", [(run,)])
            for table in ("delays", "workers", "intervals", "away", "powers"):
                self._write(f"DELETE FROM {table} WHERE run = ?", [(run,)])
        else:
            row = (run, label, method, as_json(parameters), seed, n)
            columns = "run, label, method, parameters, seed, n, status"
            self._write(f"INSERT INTO runs ({columns}) VALUES (?, ?, ?, ?, ?, ?, 'running')", [row])
        self.flush()
        return RunWriter(self, run)

    def tuning_writer(self, row: Mapping[str, Any], n: int) -> "TuningWriter":
        """Begin the tuning run that `row` describes by its run, label, parameters and seed, or take it up again."""
        return TuningWriter(self, row, n)

    def tuning(self) -> list[dict[str, Any]]:
        """The tuning runs that have ended: rows of `TUNING`, inf where a float is not known."""
        self._write(TUNING_TABLE, [()])
        self.flush()
        rows = self._select(f"SELECT {', '.join(TUNING)} FROM tuning ORDER BY run")
        return [
            {
                name: math.inf if value is None and name in _TUNING_FLOATS else value
                for name, value in zip(TUNING, row, strict=True)
            }
            for row in rows
        ]

    def statuses(self) -> dict[int, str]:
        """How far each run begun so far has come: run → status."""
        return dict(self._select("SELECT run, status FROM runs ORDER BY run"))

    def read_run(self, run: int) -> Run:
        """Run number `run` as it is kept. FolderError when there is none or it is damaged."""
        self.flush()
        with said(self.path / "record.sqlite"):
            return read_run(self._connection, run, self.path, alive=True, events=True)

    def flush(self) -> None:
        """Commit all rows written so far."""
        if self._connection.in_transaction:
            begin = time.monotonic()
            with said(self.path / "record.sqlite"):
                self._connection.execute("COMMIT")
            self._pending = 0
            self._committed_at = time.monotonic()
            self._patience = min(1.0, 20 * (self._committed_at - begin))

    def close(self) -> None:
        """Commit, fold the journal into record.sqlite, free the lock. Closing twice is allowed."""
        if self._lock is None:
            return
        lock, self._lock = self._lock, None
        try:
            self.flush()
            self._fold_journal()
        finally:
            with suppress(sqlite3.Error):
                self._connection.close()
            os.close(lock)

    def _fold_journal(self) -> None:
        try:
            self._connection.execute("PRAGMA busy_timeout=500")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            mode = self._connection.execute("PRAGMA journal_mode=DELETE").fetchone()[0]
        except sqlite3.Error as error:
            mode = str(error)
        if (
            mode != "delete"
        ):  # somebody reads just now, or the disk is full: nothing is lost, the -wal file stays beside it
            self.warnings.append(
                f"{self.path / 'record.sqlite'}: could not be folded into one file ({mode}); keep its -wal file with it"
            )

    def _select(self, sql: str, *values: Any) -> list[Any]:
        with said(self.path / "record.sqlite"):
            return self._connection.execute(sql, values).fetchall()

    def _write(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        with said(self.path / "record.sqlite"):
            if not self._connection.in_transaction:
                self._connection.execute("BEGIN")
            self._connection.executemany(sql, rows)
        self._pending += len(rows)

    def _commit_when_due(self, most: int) -> None:
        if self._pending >= most or time.monotonic() - self._committed_at >= self._patience:
            self.flush()

    def sync(self) -> None:
        """Commit all rows written so far, and see to it that they are on the disk."""
        # a commit to a WAL reaches the disk later; before a checkpoint that counts on the rows it must be there
        self.flush()
        journal = self.path / "record.sqlite-wal"
        if self.journal_mode == "wal" and journal.exists():
            fsync(journal)


class RunWriter:
    """What one run writes. Made by `RunFolder.writer`."""

    def __init__(self, folder: RunFolder, run: int) -> None:
        self.run = run
        self.warnings: list[str] = []
        self._folder = folder
        self._checkpoints = Checkpoints(folder.path, folder.sync, "run", run)
        self._lengths = {
            table: folder._select(f"SELECT coalesce(max({column}) + 1, 0) FROM {table} WHERE run = ?", run)[0][0]
            for table, column in GROWING
        }

    def curve(self, point: Mapping[str, Any]) -> None:
        """Add one record point: a number for each of `CURVES`, and `contributions`, whole numbers, where known."""
        if set(point) - {"contributions"} != set(CURVES):
            raise ValueError(f"a record point has exactly {', '.join(CURVES)}; got {', '.join(point)}")
        contributions = json.dumps(point.get("contributions", []), separators=(",", ":"))
        self._append("curves", [[*(float(point[name]) for name in CURVES), contributions]], most=64)

    def replace_curves(self, curves: Mapping[str, Array], contributions: Array | None = None) -> None:
        """Write all record points anew: after thinning, or after taking up a checkpoint that holds them."""
        self._folder._write("DELETE FROM curves WHERE run = ?", [(self.run,)])
        self._lengths["curves"] = 0
        points = np.column_stack([np.asarray(curves[name], dtype=np.float64) for name in CURVES]).tolist()
        lists: list[Any] = (
            [[]] * len(points) if contributions is None or not len(contributions) else contributions.tolist()
        )
        texts = (json.dumps(row, separators=(",", ":")) for row in lists)
        self._append("curves", [[*point, text] for point, text in zip(points, texts, strict=True)], most=64)

    def assignments(self, rows: Array) -> None:
        """Add ended assignments: a float64 matrix whose columns are `ASSIGNMENT`."""
        self._append("assignments", matrix(rows, ASSIGNMENT), most=50_000)

    def marks(self, rows: Array) -> None:
        """Add steps, timers and readings: a float64 matrix whose columns are `MARK`, or the first five of them."""
        rows = np.asarray(rows, dtype=np.float64)
        if rows.ndim == 2 and rows.shape[1] == 5:
            rows = np.pad(rows, ((0, 0), (0, 2)), constant_values=math.nan)
        self._append("marks", matrix(rows, MARK), most=50_000)

    def lengths(self) -> dict[str, int]:
        """How many rows each growing table has; a checkpoint keeps them for `truncate`."""
        return dict(self._lengths)

    def truncate(self, lengths: Mapping[str, int]) -> None:
        """Drop the rows written after these lengths were taken; tables not named are emptied.

        FolderError where rows that a checkpoint counts on are missing.
        """
        for table in ("assignments", "marks"):
            if (counted := int(lengths.get(table, 0))) > (there := self._lengths[table]):
                raise FolderError(
                    f"{self._folder.path / 'record.sqlite'} is damaged: run {self.run} has {there:,} rows of {table}, "
                    f"but its checkpoint counts {counted:,}; {ANEW}"
                )
        for table, column in GROWING:
            length = int(lengths.get(table, 0))
            self._folder._write(f"DELETE FROM {table} WHERE run = ? AND {column} >= ?", [(self.run, length)])
            self._lengths[table] = min(length, self._lengths[table])
        self.flush()

    def flush(self) -> None:
        """Commit all rows written so far."""
        self._folder.flush()

    def so_far(self) -> Run:
        """The run as far as it was written, for one that could not say its end."""
        return self._folder.read_run(self.run)

    def finish(self, run: Run) -> None:
        """Store what is known at the end of a run; its checkpoints go unless it can be taken up again."""
        folder = self._folder
        self.replace_curves(run.curves, run.contributions)
        workers = np.column_stack([np.asarray(run.workers[name], dtype=np.float64) for name in WORKERS])
        self._replace("delays", run.delays.tolist())
        self._replace("workers", [[worker, *row] for worker, row in enumerate(workers.tolist())])
        for table, kept in (("intervals", run.intervals), ("away", run.away), ("powers", run.powers)):
            self._replace(table, [[number, *row] for number, row in enumerate(kept.tolist())])
        update = f"UPDATE runs SET {', '.join(f'{name} = ?' for name in SCALARS)}, digest = ? WHERE run = ?"
        folder._write(update, [(*scalars(run), digest_of(run), self.run)])
        folder.sync()
        if run.status in ENDED:
            self._checkpoints.remove()

    def save_checkpoint(self, data: bytes, k: int) -> None:
        """Keep `data`, the state at iteration k, as the newest checkpoint; the one before it stays, older ones go."""
        self._checkpoints.save(data, k)

    def load_checkpoint(self) -> bytes | None:
        """The newest checkpoint that is whole, or None; what was refused and why is added to `warnings`."""
        return self._checkpoints.load(self.warnings)

    def _append(self, table: str, rows: Sequence[Sequence[Any]], most: int) -> None:
        first = self._lengths[table]
        # counted before they are written: after an interruption in between no number is given twice
        self._lengths[table] += len(rows)
        self._folder._write(INSERT[table], [(self.run, number, *row) for number, row in enumerate(rows, first)])
        self._folder._commit_when_due(most)

    def _replace(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        self._folder._write(f"DELETE FROM {table} WHERE run = ?", [(self.run,)])
        self._folder._write(INSERT[table], [(self.run, *row) for row in rows])


class TuningWriter:
    """What one tuning run of a sweep leaves: its checkpoints while it runs, one row at its end."""

    def __init__(self, folder: RunFolder, row: Mapping[str, Any], n: int) -> None:
        self.warnings: list[str] = []
        self._folder, self._row, self._n = folder, dict(row), n
        self._checkpoints = Checkpoints(folder.path, folder.sync, "tuning", int(row["run"]))

    def curve(self, point: Mapping[str, Any]) -> None: ...
    def assignments(self, rows: Array) -> None: ...
    def marks(self, rows: Array) -> None: ...
    def truncate(self, lengths: Mapping[str, int]) -> None: ...

    def so_far(self) -> Run:
        """A run that could not say its end: nothing of it is known."""
        row = self._row
        return Run(row["label"], row["label"], dict(row["parameters"]), row["seed"], self._n)

    def finish(self, row: Mapping[str, Any]) -> None:
        """Keep what is known at its end; committed at once, so that it is never done again."""
        row = self._row | dict(row)
        values = [as_json(row[name]) if name == "parameters" else plain(row[name]) for name in TUNING]
        # infinities are not in SQL: not reached, as far as a rule's value is concerned
        values = [None if value in ("inf", "-inf") else value for value in values]
        self._folder._write(f"INSERT OR REPLACE INTO tuning VALUES ({', '.join('?' * len(TUNING))})", [values])
        self._folder.flush()
        if row["status"] in ENDED:
            self._checkpoints.remove()

    def save_checkpoint(self, data: bytes, k: int) -> None:
        """As that of a `RunWriter`."""
        self._checkpoints.save(data, k)

    def load_checkpoint(self) -> bytes | None:
        """As that of a `RunWriter`."""
        return self._checkpoints.load(self.warnings)


class Checkpoints:
    """The last two checkpoints of one run, `<kind>-<run>.<generation>.ckpt`."""

    def __init__(self, folder: Path, sync: Callable[[], None], kind: str, run: int) -> None:
        self._sync, self._name, self._run = sync, f"{kind}-{run}", run
        self._path = folder / "checkpoints"

    def save(self, data: bytes, k: int) -> None:
        self._sync()  # the rows that the state counts on come first
        generations = self._found()
        newest = generations[-1][0] if generations else 0
        path = self._path / f"{self._name}.{newest + 1}.ckpt"
        with said(path):
            write_whole(path, _sealed(data, self._run, k))
            for _, old in generations[:-1]:
                old.unlink()

    def load(self, warnings: list[str]) -> bytes | None:
        generations = self._found()
        for _, path in reversed(generations):
            with said(path):
                data, fault = _unsealed(path.read_bytes(), self._run)
            if data is not None:
                return data
            warnings.append(f"checkpoint {path.name} is refused: {fault}; the one before it is used")
        if generations:
            warnings[-1] = warnings[-1].replace(
                "the one before it is used", "no whole one is left, the run starts from its beginning"
            )
        return None

    def remove(self) -> None:
        with said(self._path):
            for path in self._path.glob(f"{self._name}.*"):
                path.unlink()

    def _found(self) -> list[tuple[int, Path]]:
        matches = (
            (re.fullmatch(rf"{re.escape(self._name)}\.(\d+)\.ckpt", path.name), path) for path in self._path.iterdir()
        )
        return sorted((int(match[1]), path) for match, path in matches if match)


# ---------------------------------------------------------------------------------------------- reading


@dataclass(frozen=True)
class Contents:
    """What a run folder holds."""

    path: Path
    manifest: dict[str, Any]
    runs: tuple[Run, ...]


def read_folder(path: str | Path, events: bool = True, known: dict[str, Run] | None = None) -> Contents:
    """All that a run folder holds, also while it is being written and after its writer was killed.

    A run that nobody is writing any more and that has no end reads as interrupted, with its curves so far.
    Without `events` the kept events stay on the disk. `known` has runs that were read before without their events, by
    their digest: they are not read again, and what has ended since is added. Raises FolderError.
    """
    path = Path(path)
    manifest = read_manifest(path)
    alive = in_use(path)
    known = {} if known is None or events else known
    runs = []
    with open_to_read(path / "record.sqlite") as connection:
        for number, digest in connection.execute("SELECT run, digest FROM runs ORDER BY run").fetchall():
            run = known.get(digest) or read_run(connection, number, path, alive, events)
            if digest is not None:
                known[digest] = run
            runs.append(run)
    return Contents(path, manifest, tuple(runs))


def read_assignments(path: str | Path, label: str, seed: int) -> Iterator[tuple[Any, ...]]:
    """The ended assignments of one run (columns `ASSIGNMENT`), one by one; none unless all events were kept."""
    with open_to_read(Path(path) / "record.sqlite") as connection:
        yield from connection.execute(
            f"SELECT {', '.join(ASSIGNMENT)} FROM assignments "
            "WHERE run = (SELECT run FROM runs WHERE label = ? AND seed = ?) ORDER BY row",
            (label, seed),
        )


def read_rows(path: str | Path, table: Literal["assignments", "marks"], run: int) -> Array:
    """All rows of run number `run` in `assignments` (r, 11) or `marks` (r, 7), columns as above, in their order."""
    columns = ASSIGNMENT if table == "assignments" else MARK
    with open_to_read(Path(path) / "record.sqlite") as connection:
        sql = f"SELECT {', '.join(columns)} FROM {table} WHERE run = {int(run)} ORDER BY row"
        return _numbers(connection, sql, len(columns))


def count_tuning(path: str | Path) -> int:
    """How many tuning runs of a sweep have ended."""
    with open_to_read(Path(path) / "record.sqlite") as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'tuning'").fetchall():
            return 0
        return int(connection.execute("SELECT count(*) FROM tuning").fetchone()[0])


def count_events(path: str | Path, label: str, seed: int) -> int:
    """How many events of one run were kept."""
    with open_to_read(Path(path) / "record.sqlite") as connection:
        ours = "WHERE run = (SELECT run FROM runs WHERE label = ? AND seed = ?)"
        counts = [
            connection.execute(f"SELECT count(*) FROM {table} {ours}", (label, seed)).fetchone()[0]
            for table in ("assignments", "marks")
        ]
    return sum(counts)


def read_events(path: str | Path, label: str, seed: int, rows: int = 50_000) -> Iterator[Array]:
    """The kept events of one run (`asyncsim.result.EVENT`) in the order in which they happened, some `rows` at a time.

    However many there are, no more than a few parts are held at once: both tables are in order of time.
    """
    with open_to_read(Path(path) / "record.sqlite") as connection:
        run = connection.execute("SELECT run FROM runs WHERE label = ? AND seed = ?", (label, seed)).fetchone()
        tables = ("assignments", "marks") if run is not None else ()
        streams = [_events_of(connection, table, int(run[0]), rows) for table in tables]
        held = [_NO_EVENTS] * len(streams)
        live = [True] * len(streams)
        while any(live) or any(map(len, held)):
            for place, stream in enumerate(streams):
                # rows of one time only: there may be more of that time
                if live[place] and (not len(held[place]) or held[place]["time"][0] == held[place]["time"][-1]):
                    part = next(stream, None)
                    live[place] = part is not None
                    held[place] = held[place] if part is None else np.concatenate([held[place], part])
            upto = min((part["time"][-1] for place, part in enumerate(held) if live[place]), default=math.inf)
            ready = np.concatenate([_NO_EVENTS, *(part[part["time"] < upto] for part in held)])
            held = [part[part["time"] >= upto] for part in held]
            if len(ready):
                yield events_in_order(ready)


def _events_of(connection: sqlite3.Connection, table: str, run: int, rows: int) -> Iterator[Array]:
    found = connection.execute(f"SELECT {', '.join(EVENT.names or ())} FROM {table} WHERE run = ? ORDER BY row", (run,))
    while part := found.fetchmany(rows):
        yield np.array(part, dtype=EVENT)


_NO_EVENTS = np.empty(0, EVENT)


def read_intervals(path: str | Path, label: str, seed: int, workers: Sequence[int]) -> Array:
    """What these workers did in the whole of one run, as `asyncsim.result.INTERVAL`; nothing unless all events were kept."""
    with open_to_read(Path(path) / "record.sqlite") as connection:
        run = connection.execute("SELECT run FROM runs WHERE label = ? AND seed = ?", (label, seed)).fetchone()
        if run is None:
            return no_intervals()
        among = f"run = {int(run[0])} AND worker IN ({', '.join(str(int(worker)) for worker in workers)})"
        columns = "worker, m, sent, computing_from, computing_to, time, kind, k, version"
        ends = _numbers(connection, f"SELECT {columns} FROM assignments WHERE {among} ORDER BY row", 9)
        marks = _numbers(connection, f"SELECT worker, m, kind FROM marks WHERE {among} ORDER BY row", 3)
    rows = np.zeros(len(ends), INTERVAL)
    names = ("worker", "m", "sent", "computing_from", "computing_to", "ended", "k", "version")
    for name, column in zip(names, (0, 1, 2, 3, 4, 5, 7, 8), strict=True):
        rows[name] = ends[:, column]
    rows["ended"] = np.maximum(rows["ended"], rows["computing_to"])
    keys = ends[:, 0].astype(np.int64) << 40 | ends[:, 1].astype(np.int64)
    read = marks[:, 0].astype(np.int64) << 40 | marks[:, 1].astype(np.int64)
    used, rejected = (read[marks[:, 2] == KINDS.index(kind)] for kind in ("used", "discarded"))
    outcome = np.where(np.isin(keys, np.setdiff1d(used, rejected)), OUTCOMES.index("used"), OUTCOMES.index("discarded"))
    for kind in ("stopped", "timed_out", "lost"):
        outcome[ends[:, 6] == KINDS.index(kind)] = OUTCOMES.index(kind)
    rows["outcome"] = outcome
    return rows


def _numbers(connection: sqlite3.Connection, sql: str, columns: int) -> Array:
    """The rows of a query, all numbers, as an array (r, columns); read in pieces, so that no list of all is held."""
    found, pieces = connection.execute(sql), []
    while rows := found.fetchmany(50_000):
        pieces.append(np.array(rows, dtype=float))
    return np.concatenate(pieces) if pieces else np.empty((0, columns))


def read_manifest(path: str | Path) -> dict[str, Any]:
    """manifest.json of a run folder. FolderError when it is no run folder, damaged, or from a newer version."""
    file = Path(path) / "manifest.json"
    if not Path(path).is_dir():
        raise FolderError(f"{path} is {'a file, not a run folder' if Path(path).exists() else 'not there'}")
    if not file.is_file():
        raise FolderError(f"{path} is not a run folder: it has no manifest.json")
    try:
        manifest = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise FolderError(f"{file} is damaged ({str(error)[:80]}); {ANEW}") from None
    except OSError as error:
        raise FolderError(f"{file}: {error.strerror}") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise FolderError(f"{path} is not a run folder: its manifest.json was not written by asyncsim")
    # those of earlier versions have none
    seal = manifest.pop("seal", None)
    if seal is not None and seal != seal_of(manifest):
        raise FolderError(f"{file} is damaged, or was changed by hand: it does not fit its seal; {ANEW}")
    version = manifest.get("version")
    if not isinstance(version, int) or version < 1:
        raise FolderError(f"{file} is damaged (version {version!r}); {ANEW}")
    if version < VERSION:
        raise FolderError(
            f"{path} was written by an older asyncsim (folder version {version}, this one reads {VERSION}): "
            "read it with that one, or run the scenario anew"
        )
    if version > VERSION:
        raise FolderError(
            f"{path} was written by a newer asyncsim (folder version {version}, this one reads {VERSION}): upgrade it"
        )
    return manifest


def seal_of(manifest: Mapping[str, Any]) -> str:
    text = json.dumps(plain(manifest), sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def in_use(path: str | Path) -> bool:
    """Whether some process is writing into this run folder now."""
    try:
        lock = os.open(Path(path) / "lock", os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks can't tell
        return False
    finally:
        os.close(lock)
    return False


@contextmanager
def open_to_read(database: Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection that sees one moment of the tables. Raises FolderError."""
    if not database.is_file():
        raise FolderError(f"{database} is missing: nothing was recorded, or it was moved away")
    with said(database, ANEW), tempfile.TemporaryDirectory(prefix="asyncsim-") as scratch:
        try:
            connection = _begin_to_read(database)
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise
            # left behind by a killed writer where we may not write: the journal has to be taken in somewhere else
            for suffix in ("", "-wal", "-journal"):
                with suppress(FileNotFoundError):
                    shutil.copyfile(f"{database}{suffix}", Path(scratch, f"record.sqlite{suffix}"))
            connection = _begin_to_read(Path(scratch, "record.sqlite"), mode="rw")
        try:
            yield connection
        finally:
            connection.close()


def _begin_to_read(database: Path, mode: str = "ro") -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{database.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=10
    )
    try:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM runs").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def read_run(connection: sqlite3.Connection, number: int, folder: Path, alive: bool, events: bool) -> Run:
    names = (*SCALARS, "digest")
    row = connection.execute(f"SELECT {', '.join(names)} FROM runs WHERE run = ?", (number,)).fetchone()
    if row is None:
        raise FolderError(f"{folder}: there is no run {number}")
    kept = dict(zip(names, row, strict=True))
    where = f"{folder / 'record.sqlite'}: run {number} ({kept['label']}, seed {kept['seed']})"
    digest = kept.pop("digest")
    try:
        curves = _fetch(connection, "curves", "point", number, np.dtype([(name, "f8") for name in CURVES]))
        kept["parameters"] = json.loads(kept["parameters"])
        kept["verification"] = json.loads(kept["verification"] or "{}")
        kept["effort"] = json.loads(kept["effort"] or "{}")
        kept["engine"] = json.loads(kept["engine"] or "{}")
        kept["curves"] = {name: curves[name].copy() for name in CURVES}
        kept["contributions"] = _contributions(connection, number)
        if digest is None:
            kept |= _so_far(kept, alive)
            run = Run(**kept)
        else:
            kept |= _at_the_end(connection, number, kept)
            run = Run(**kept)
            if digest_of(run) != digest:
                raise ValueError("its tables do not fit their digest")
        return Run(**{**run.__dict__, "events": _read_events(connection, number, run.event_hash)}) if events else run
    except (TypeError, ValueError, OverflowError) as error:
        raise FolderError(f"{where} is damaged: {error}; {ANEW}") from None


def _contributions(connection: sqlite3.Connection, run: int) -> Array:
    rows = connection.execute("SELECT contributions FROM curves WHERE run = ? ORDER BY point", (run,))
    lists = [json.loads(text) for (text,) in rows]
    # a ragged table is an error of numpy's, which says that the folder is damaged
    return np.array(lists, dtype=np.int64) if lists and lists[0] else no_contributions()


def _so_far(kept: Mapping[str, Any], alive: bool) -> dict[str, Any]:
    curves = kept["curves"]
    some = len(curves["time"]) > 0
    return {
        "status": "running" if alive else "interrupted",
        "reason": "still running" if alive else "ended without a word; the curves go up to the last record point",
        "iterations": int(curves["iteration"][-1]) if some else 0,
        "time": float(curves["time"][-1]) if some else 0.0,
        "wall_seconds": kept["wall_seconds"] or 0.0,
        "event_hash": "",
        "workers": no_workers(),
        "delays": no_delays(),
        "intervals": no_intervals(),
        "away": no_away(),
        "powers": no_powers(),
    }


def _at_the_end(connection: sqlite3.Connection, number: int, kept: Mapping[str, Any]) -> dict[str, Any]:
    kinds = [(name, "f8" if name.endswith("seconds") else "i8") for name in WORKERS]
    workers = _fetch(connection, "workers", "worker", number, np.dtype(kinds))
    delays = _fetch(
        connection, "delays", "delay", number, np.dtype([(name, "i8") for name in ("delay", "used", "arrived")])
    )
    nan_for_null = {name: math.nan for name in ("time", "wall_seconds") if kept[name] is None}
    return {
        "workers": {name: workers[name].copy() for name in WORKERS},
        "delays": np.column_stack([delays[name] for name in ("delay", "used", "arrived")]),
        "intervals": _fetch(connection, "intervals", "row", number, INTERVAL),
        "away": _fetch(connection, "away", "row", number, AWAY),
        "powers": _fetch(connection, "powers", "row", number, POWERS) if _has_powers(connection) else no_powers(),
        **nan_for_null,
    }


def _has_powers(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'powers'").fetchone()[0])


def _fetch(connection: sqlite3.Connection, table: str, order: str, run: int, dtype: np.dtype[Any]) -> Array:
    # NULL is nan in a float column; a whole number is never NULL unless somebody meddled
    count = connection.execute(f"SELECT count(*) FROM {table} WHERE run = ?", (run,)).fetchone()[0]
    rows = connection.execute(
        f"SELECT {', '.join(dtype.names or ())} FROM {table} WHERE run = ? ORDER BY {order}", (run,)
    )
    return np.fromiter(rows, dtype=dtype, count=count)


def _read_events(connection: sqlite3.Connection, run: int, event_hash: str) -> Array | None:
    parts = [_fetch(connection, table, "row", run, EVENT) for table in ("assignments", "marks")]
    events = np.concatenate(parts)
    if not len(events):
        return None
    if event_hash and hash_of_events(*(_numbers_of(part) for part in parts)) != event_hash:
        raise ValueError("its events do not fit their hash")
    return events_in_order(events)


def _numbers_of(events: Array) -> Array:
    return np.column_stack([events[name].astype(np.float64) for name in EVENT.names or ()])


def digest_of(run: Run) -> str:
    """A fingerprint of everything the tables hold of an ended run, but the events (these have the event hash)."""
    seal = hashlib.blake2b(digest_size=16)
    seal.update(as_json(scalars(run)).encode())
    for values in (*(run.curves[name] for name in CURVES), *(run.workers[name] for name in WORKERS)):
        seal.update(_bare(values))
    seal.update(_bare(run.contributions))
    seal.update(_bare(run.delays))
    # of a run without such powers the digest is that of folders from before there were any
    for rows in (run.intervals, run.away, *((run.powers,) if len(run.powers) else ())):
        for name in rows.dtype.names or ():
            seal.update(_bare(rows[name]))
    return seal.hexdigest()


def scalars(run: Run) -> list[Any]:
    """The values of `SCALARS`, as SQLite takes them."""
    kinds: tuple[Callable[[Any], Any], ...] = (
        *(str, str, as_json, int, int, str, str, int, float, float, str, as_json, as_json, as_json),
    )
    return [kind(getattr(run, name)) for kind, name in zip(kinds, SCALARS, strict=True)]


def _bare(values: Array) -> bytes:
    # SQLite knows neither -0.0 nor kinds of nan; numbers kept as whole ones come back as floats or the other way round
    numbers = np.asarray(values, dtype=np.float64).ravel() + 0.0
    numbers[np.isnan(numbers)] = math.nan
    return len(numbers).to_bytes(8, "little") + numbers.astype("<f8").tobytes()


# ---------------------------------------------------------------------------------------------- tables

SCALARS = (
    *("label", "method", "parameters", "seed", "n"),
    *("status", "reason", "iterations", "time", "wall_seconds", "event_hash", "verification", "effort", "engine"),
)
GROWING = (("curves", "point"), ("assignments", "row"), ("marks", "row"))
_COUNTED = {"iteration", "gradients_used", "gradients_discarded", "gradients_stopped"}
_INTEGERS = {"worker", "window", "m", "outcome", "k", "version", "kind", "cost", "delay", "gradients"}


def _typed(names: Iterable[str], whole: Iterable[str] = _INTEGERS) -> str:
    return ", ".join(f"{name} {'INTEGER' if name in whole else 'REAL'}" for name in names)


def create_tables(connection: sqlite3.Connection) -> None:
    interval_columns = _typed(INTERVAL.names or ())
    worker_columns = _typed(WORKERS, {name for name in WORKERS if not name.endswith("seconds")})
    sums = ", ".join(f"sum({name}) AS {name}" for name in WORKERS)
    connection.executescript(
        f"""
        PRAGMA application_id = {APPLICATION_ID};
        PRAGMA user_version = {VERSION};
        BEGIN;
        CREATE TABLE runs (run INTEGER PRIMARY KEY, label TEXT, method TEXT, parameters TEXT, seed INTEGER, n INTEGER,
            status TEXT, reason TEXT, iterations INTEGER, time REAL, wall_seconds REAL, event_hash TEXT,
            verification TEXT, effort TEXT, engine TEXT, digest TEXT);
        CREATE TABLE curves (run INTEGER, point INTEGER, {_typed(CURVES, _COUNTED)}, contributions TEXT,
            PRIMARY KEY (run, point)) WITHOUT ROWID;
        CREATE TABLE delays (run INTEGER, delay INTEGER, used INTEGER, arrived INTEGER,
            PRIMARY KEY (run, delay)) WITHOUT ROWID;
        CREATE TABLE workers (run INTEGER, worker INTEGER, {worker_columns}, PRIMARY KEY (run, worker)) WITHOUT ROWID;
        CREATE TABLE intervals (run INTEGER, row INTEGER, {interval_columns}, PRIMARY KEY (run, row)) WITHOUT ROWID;
        CREATE TABLE away (run INTEGER, row INTEGER, {_typed(AWAY.names or ())}, PRIMARY KEY (run, row)) WITHOUT ROWID;
        CREATE TABLE assignments (run INTEGER, row INTEGER, {_typed(ASSIGNMENT)}, PRIMARY KEY (run, row)) WITHOUT ROWID;
        CREATE TABLE marks (run INTEGER, row INTEGER, {_typed(MARK)}, PRIMARY KEY (run, row)) WITHOUT ROWID;
        CREATE TABLE outcomes (outcome INTEGER PRIMARY KEY, name TEXT);
        CREATE TABLE kinds (kind INTEGER PRIMARY KEY, name TEXT);
        CREATE VIEW totals AS SELECT run, label, method, seed, {sums} FROM runs JOIN workers USING (run) GROUP BY run;
        CREATE VIEW last_points AS SELECT label, method, seed, curves.* FROM runs JOIN curves USING (run)
            WHERE point = (SELECT max(point) FROM curves AS others WHERE others.run = runs.run);
        COMMIT;
        """
    )
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO outcomes VALUES (?, ?)", enumerate(OUTCOMES))
    connection.executemany("INSERT INTO kinds VALUES (?, ?)", enumerate(KINDS))
    connection.execute("COMMIT")


def _insertion(table: str, columns: int) -> str:
    return f"INSERT INTO {table} VALUES ({', '.join('?' * columns)})"


# made where it is needed, so that folders from before there was one can still be read and gone on with
POWERS_TABLE = (
    f"CREATE TABLE IF NOT EXISTS powers (run INTEGER, row INTEGER, {_typed(POWERS.names or ())}, PRIMARY KEY (run, row)) "
    "WITHOUT ROWID"
)

INSERT = {
    "curves": _insertion("curves", 3 + len(CURVES)),
    "delays": _insertion("delays", 4),
    "workers": _insertion("workers", 2 + len(WORKERS)),
    "intervals": _insertion("intervals", 2 + len(INTERVAL.names or ())),
    "away": _insertion("away", 2 + len(AWAY.names or ())),
    "powers": _insertion("powers", 2 + len(POWERS.names or ())),
    "assignments": _insertion("assignments", 2 + len(ASSIGNMENT)),
    "marks": _insertion("marks", 2 + len(MARK)),
}


def matrix(rows: Array, columns: Sequence[str]) -> list[list[float]]:
    rows = np.asarray(rows, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != len(columns):
        raise ValueError(f"rows need the {len(columns)} columns {', '.join(columns)}; got shape {rows.shape}")
    listed: list[list[float]] = rows.tolist()
    return listed


def open_database(database: Path, wal: bool) -> tuple[sqlite3.Connection, str]:
    """Open for writing, with a WAL where that works: SQLite's own answer is not enough, so it is tried out."""
    if wal and not _on_network(database.parent):
        # no WAL where memory can't be shared; the other journal needs none, and says what else is wrong
        with suppress(sqlite3.OperationalError):
            return _connect(database, "wal"), "wal"
    return _connect(database, "delete"), "delete"


def _connect(database: Path, journal_mode: str) -> sqlite3.Connection:
    # readers of a rollback journal keep the writer waiting: patience
    connection = sqlite3.connect(database, isolation_level=None, timeout=60)
    try:
        mode = connection.execute(f"PRAGMA journal_mode={journal_mode}").fetchone()[0]
        if mode != journal_mode:
            raise sqlite3.OperationalError(f"journal_mode is {mode}, not {journal_mode}")
        # a commit survives kill -9 either way; with a WAL it need not wait for the disk
        connection.execute(f"PRAGMA synchronous={'NORMAL' if journal_mode == 'wal' else 'FULL'}")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


_NETWORK = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "afs",
    "lustre",
    "gpfs",
    "beegfs",
    "ceph",
    "9p",
    "fuse.sshfs",
    "fuse.glusterfs",
}


def _on_network(path: Path) -> bool:
    """Whether `path` lies on a network drive, as far as the system tells (Linux); a WAL misleads other hosts there."""
    try:
        mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()]
    except OSError:
        return False
    at = path.resolve()
    # "36 35 98:0 /root /mount/point options … - type source options"; spaces in the mount point are written \040
    kinds = {Path(words[4].replace("\\040", " ")): words[words.index("-") + 1] for words in mounts if "-" in words}
    holding = [point for point in kinds if at.is_relative_to(point)]
    return bool(holding) and kinds[max(holding, key=lambda point: len(point.parts))] in _NETWORK


# ---------------------------------------------------------------------------------------------- files

# magic, version, run, iteration, length of the data, digest of all these and the data
_SEAL = struct.Struct("<8sIQQQ32s")
_MAGIC = b"asyncsim"


def _sealed(data: bytes, run: int, k: int) -> bytes:
    head = (_MAGIC, VERSION, run, k, len(data))
    return _SEAL.pack(*head, _fingerprint(head, data)) + data


def _unsealed(file: bytes, run: int) -> tuple[bytes | None, str]:
    """The data, or None and why it is refused."""
    if len(file) < _SEAL.size:
        return None, f"it is truncated to {len(file)} bytes"
    magic, version, of_run, k, length, digest = _SEAL.unpack_from(file)
    data = file[_SEAL.size :]
    if magic != _MAGIC:
        return None, "it is not a checkpoint"
    if len(data) != length:
        return None, f"it has {len(data)} bytes of data where its head says {length}"
    if _fingerprint((magic, version, of_run, k, length), data) != digest:
        return None, "its bytes do not fit their digest"
    if (version, of_run) != (VERSION, run):
        return None, f"it belongs to run {of_run}, version {version}"
    return data, ""


def _fingerprint(head: tuple[bytes, int, int, int, int], data: bytes) -> bytes:
    seal = hashlib.blake2b(_SEAL.pack(*head, b""), digest_size=32)
    seal.update(data)
    return seal.digest()


def write_whole(path: Path, data: bytes) -> None:
    """Write so that a kill at any moment leaves the old file or the new one."""
    scratch = path.with_name(path.name + ".tmp")
    with scratch.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
    fsync(path.parent)


def fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def take_lock(path: Path, undo: ExitStack) -> int:
    with said(path / "lock"):
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    undo.callback(os.close, lock)
    # a reader that looks whether the folder is in use holds it for microseconds: not at once given up
    for patience in (0.01, 0.02, 0.05, 0.1, 0.0):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            time.sleep(patience)
        except OSError as error:
            raise FolderError(
                f"{path / 'lock'}: {error.strerror}; choose a folder on a file system with locks"
            ) from None
    holder = os.pread(lock, 20, 0).decode(errors="replace").strip()
    raise FolderInUse(f"{path} is in use by process {holder or '?'}; wait for it, or choose another folder")


def sign_lock(lock: int) -> None:
    with suppress(OSError):  # only for the message above; a full disk shows itself at the first row
        signature = f"{os.getpid()}\n".encode()
        # never empty in between: a lock that is signed tells whose a half-made folder is
        os.pwrite(lock, signature, 0)
        os.truncate(lock, len(signature))


def check_replaceable(path: Path, force: bool) -> None:
    names = {entry.name for entry in path.iterdir()} - {"lock"}
    if not names:
        return
    if _half_made(path, names):
        return
    own = names <= {*_OWN_FILES, *_ALONGSIDE, "checkpoints"} and "record.sqlite" in names
    if not own:
        with suppress(FolderError):
            read_manifest(path)
            own = True
    if not own:
        raise FolderExists(
            f"{path} is not empty and not a run folder: choose another (--force replaces run folders only)"
        )
    if not force:
        raise FolderExists(f"{path} already holds a run: choose another folder, resume it, or replace it with --force")


MOST_OF_A_START = 10**6  # bytes of tables without a row


def _half_made(path: Path, names: set[str]) -> bool:
    """Whether all that is there is what `RunFolder.create` leaves when it is killed before the manifest is written."""
    made = {"record.sqlite", "scenario.yaml", "checkpoints", *_ALONGSIDE}
    if not names <= made or "record.sqlite" not in names or any((path / name).is_symlink() for name in names):
        return False
    try:
        signed = re.match(rb"\d+\n", (path / "lock").read_bytes()[:20])
        if not signed or ("checkpoints" in names and any((path / "checkpoints").iterdir())):
            return False
        files = [path / name for name in names if name.startswith("record.sqlite") and not name.endswith("-shm")]
        if sum(file.stat().st_size for file in files) > MOST_OF_A_START:
            return False
        # what a journal left half done can be told where it may be written only: in a copy
        with tempfile.TemporaryDirectory(prefix="asyncsim-") as scratch:
            for file in files:
                shutil.copyfile(file, Path(scratch, file.name))
            with closing(sqlite3.connect(Path(scratch, "record.sqlite"), timeout=1)) as connection:
                tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
                ours = connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
                rows = connection.execute("SELECT count(*) FROM runs").fetchone()[0] if "runs" in tables else 0
    except (OSError, sqlite3.Error):
        return False
    return rows == 0 and (ours or not tables)


def remove_own_files(path: Path) -> None:
    """The manifest first, so that nobody takes the rest for a run, and the tables last, by which it is known as ours."""
    *others, tables = _OWN_FILES
    for name in (*others, *_ALONGSIDE):
        (path / name).unlink(missing_ok=True)
    checkpoints = path / "checkpoints"
    if checkpoints.is_symlink():
        checkpoints.unlink()
    elif checkpoints.exists():
        shutil.rmtree(checkpoints)
    (path / tables).unlink(missing_ok=True)


@contextmanager
def said(path: Path, comfort: str = "what was written before is kept and readable") -> Iterator[None]:
    """Turn what the system says into a FolderError that names the file."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise FolderError(f"{path}: {error}; {comfort}") from error
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        # SQLite's own message quotes the damaged bytes
        raise FolderError(f"{path} is damaged ({error}); {ANEW}") from error
    except OSError as error:
        raise FolderError(f"{error.filename or path}: {error.strerror or error}") from error


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: numpy's numbers and arrays as Python's, nan as None, infinities as text.

    >>> plain({"a": np.float64("nan"), "b": (1, np.int64(2)), "c": math.inf})
    {'a': None, 'b': [1, 2], 'c': 'inf'}
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in (sorted(value) if isinstance(value, set | frozenset) else value)]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def as_json(value: Any) -> str:
    return json.dumps(plain(value), ensure_ascii=False, allow_nan=False)


def slug(text: str) -> str:
    """`text` as the name of a file or folder: letters, digits, ``-``, ``_`` and ``.``, at most 100 bytes, never hidden.

    >>> slug("Rennala or Ringmaster?"), slug("../../etc/passwd"), slug("Müller 10⁻³"), slug("..")
    ('Rennala-or-Ringmaster', 'etc-passwd', 'Muller-10-3', 'unnamed')
    """
    letters = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    name = re.sub(r"\.{2,}", ".", re.sub(r"[^A-Za-z0-9_.-]+", "-", letters))
    return name.strip("-.")[:100].rstrip("-.") or "unnamed"
