"""Writing a run folder.

1. Curves and events are committed while they come: what was committed survives kill -9. Commits take about a
   twentieth of the time at most; the first row written a second after the last commit is committed with all before
   it, in most places every row is at once. `flush` commits the rest.
2. While running the journal is a WAL, so that others can read; where the file system can't (network drives), it is
   a rollback journal, and `journal_mode` says so. `close` folds everything into the one file record.sqlite, which can
   then be read from read-only media.
"""

import json
import math
import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from asyncsim.folder.checkpoints import Checkpoints
from asyncsim.folder.disk import fsync, write_whole
from asyncsim.folder.errors import ANEW, FolderError, FolderExists, said
from asyncsim.folder.lock import sign_lock, take_lock
from asyncsim.folder.manifest import FORMAT, VERSION, read_manifest, seal_of
from asyncsim.folder.reading import read_run
from asyncsim.folder.replacing import check_replaceable, remove_own_files
from asyncsim.folder.tables import (
    ASSIGNMENT,
    GROWING,
    INSERT,
    MARK,
    POWERS_TABLE,
    SCALARS,
    TUNING,
    TUNING_TABLE,
    create_tables,
    digest_of,
    matrix,
    open_database,
    scalars,
)
from asyncsim.folder.values import as_json, plain
from asyncsim.result import CURVES, WORKERS, Array, Run

ENDED = ("finished", "stalled", "diverged")  # these runs are over; the others can be taken up again
_TUNING_FLOATS = ("value", "time", "squared_gradient_norm", "wall_seconds")


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
        self.gives_events = True  # whether runs that are read back have the events that were kept
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
            return read_run(self._connection, run, self.path, alive=True, events=self.gives_events)

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
