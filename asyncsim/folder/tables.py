"""Tables of record.sqlite, for anybody's SQL (floats that are nan are NULL):

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
"""

import hashlib
import math
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from asyncsim.folder.manifest import VERSION
from asyncsim.folder.values import as_json
from asyncsim.result import AWAY, CURVES, INTERVAL, KINDS, OUTCOMES, POWERS, WORKERS, Array, Run

APPLICATION_ID = 0x6173796E  # "asyn", in SQLite's header

ASSIGNMENT = ("time", "worker", "m", "kind", "k", "version", "sent", "computing_from", "computing_to", "done", "cost")
MARK = ("time", "worker", "m", "kind", "k", "delay", "gradients")

TUNING = (
    *("run", "label", "parameters", "seed", "status", "reason", "value", "capped"),
    *("time", "iterations", "squared_gradient_norm", "wall_seconds", "event_hash"),
)
TUNING_TABLE = f"CREATE TABLE IF NOT EXISTS tuning (run INTEGER PRIMARY KEY, {', '.join(TUNING[1:])})"

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
    """Make the tables and views in an empty database."""
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
    """Rows with these columns, as lists; ValueError for another shape."""
    rows = np.asarray(rows, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != len(columns):
        raise ValueError(f"rows need the {len(columns)} columns {', '.join(columns)}; got shape {rows.shape}")
    listed: list[list[float]] = rows.tolist()
    return listed


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
