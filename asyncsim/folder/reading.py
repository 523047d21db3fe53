"""Reading a run folder, also while it is written and after its writer was killed."""

import json
import math
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from asyncsim.folder.errors import ANEW, FolderError, said
from asyncsim.folder.lock import in_use
from asyncsim.folder.manifest import read_manifest
from asyncsim.folder.tables import ASSIGNMENT, MARK, SCALARS, digest_of
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


def read_tuning(path: str | Path) -> list[dict[str, Any]]:
    """The tuning runs of a sweep that have ended: run, value and last ‖∇f‖² of each, inf where they are not known."""
    names = ("run", "value", "squared_gradient_norm")
    with open_to_read(Path(path) / "record.sqlite") as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'tuning'").fetchall():
            return []
        rows = connection.execute(f"SELECT {', '.join(names)} FROM tuning ORDER BY run").fetchall()
    return [dict(zip(names, (math.inf if value is None else value for value in row), strict=True)) for row in rows]


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
    """Run number `number`; alive: whether somebody writes it still. FolderError when there is none or it is damaged."""
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
