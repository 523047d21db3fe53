"""What every run fulfils, whatever its scenario; and what two runs differ in, bit by bit."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from asyncsim.folder import open_to_read
from asyncsim.result import KINDS, OUTCOMES, STATUSES, Run

USED, DISCARDED, STEP = (KINDS.index(kind) for kind in ("used", "discarded", "step"))
ENDS = [KINDS.index(kind) for kind in ("arrived", "stopped", "timed_out", "lost")]

SAME = ("label", "seed", "n", "status", "reason", "iterations", "time", "event_hash")


def bits(x: Any) -> bytes:
    """The bits of an array or a float, to compare exactly."""
    return struct.pack("d", x) if isinstance(x, float) else np.asarray(x).tobytes()


def differences(one: Run, other: Run) -> list[str]:
    """What two runs differ in, bit by bit; wall-clock seconds and the effort of computing may."""
    found = [
        f"{name}: {getattr(one, name)!r} and {getattr(other, name)!r}"
        for name in SAME
        if getattr(one, name) != getattr(other, name)
    ]
    # a folder gives a tuple back as a list
    if (a := json.dumps(one.parameters, default=repr)) != (b := json.dumps(other.parameters, default=repr)):
        found.append(f"parameters: {a} and {b}")
    for what, mine, others in (("curve", one.curves, other.curves), ("workers'", one.workers, other.workers)):
        found += [f"{what} {name}" for name in mine if bits(mine[name]) != bits(others[name])]
    found += [
        name
        for name in ("contributions", "delays", "intervals")
        if bits(getattr(one, name)) != bits(getattr(other, name))
    ]
    return found


def broken(run: Run) -> list[str]:
    """The invariants that a run breaks, in words; empty for a run that is as it has to be.

    Of a run in memory; its events are looked through where it kept them.
    """
    found = [*_counts(run), *_curves(run)]
    if run.events is not None and len(run.events):
        found += _events(run)
    return found


def _counts(run: Run) -> Iterator[str]:
    counts = run.workers
    ways = np.sum([counts[name] for name in OUTCOMES], axis=0)
    if run.status not in STATUSES or run.status in ("running", "waiting"):
        yield f"ended as {run.status!r}"
    if (counts["sent"] != ways).any():
        yield f"sent {counts['sent'].tolist()} gradients, but {ways.tolist()} are accounted for"
    if any((counts[name] < 0).any() for name in OUTCOMES):
        yield "a count is negative"
    delay, used, arrived = run.delays.reshape(-1, 3).T
    if (delay < 0).any() or (used < 0).any() or (used > arrived).any():
        yield "the histogram of delays has a negative delay, or more used than arrived"
    if used.sum() != run.used:
        yield f"{run.used} gradients were used, {used.sum()} stand in the histogram of delays"
    if (counts["busy_seconds"] > run.time * (1 + 1e-9) + 1e-9).any() or (counts["compute_seconds"] < 0).any():
        yield "a worker was busy for longer than the run took, or computed for negative seconds"


def _curves(run: Run) -> Iterator[str]:
    for name in ("time", "iteration", "worker_seconds"):
        if (np.diff(run.curves[name]) < 0).any():
            yield f"{name} goes backwards from one record to the next"
    if run.status != "failed" and (run.curves["time"][-1], run.curves["iteration"][-1]) != (run.time, run.iterations):
        yield "the last record is not that of the end"


def _events(run: Run) -> Iterator[str]:
    events = run.events
    assert events is not None  # who asks has looked
    steps = events["k"][events["kind"] == STEP]
    if steps.tolist() != list(range(1, run.iterations + 1)):
        yield "k does not grow by one from step to step"
    if (np.diff(events["time"]) < 0).any() or (events["time"] < 0).any() or (events["time"] > run.time).any():
        yield "time goes backwards, or beyond the end"
    ended = _of(events, ENDS)
    used = _of(events, [USED])
    if len(np.unique(ended)) != len(ended):
        yield "an assignment ended twice"
    if len(np.unique(used)) != len(used):
        yield "a gradient was used twice"
    if not np.isin(used, ended).all():
        yield "a gradient was used that had not come"


def _of(events: Any, kinds: list[int]) -> Any:
    """The assignments, (worker, m) in one number, of the events of these kinds."""
    chosen = events[np.isin(events["kind"], kinds)]
    return (chosen["worker"].astype(np.int64) << 40) | chosen["m"]


def broken_tables(folder: str | Path) -> list[str]:
    """What the tables of a run folder break, in the order in which they were written."""
    backwards = (
        "SELECT count(*) FROM (SELECT time < lag(time) OVER (PARTITION BY run ORDER BY row) AS back FROM {table}) "
        "WHERE back"
    )
    twice = (
        "SELECT count(*) FROM (SELECT m < lag(m + cost) OVER (PARTITION BY run, worker ORDER BY m) AS again "
        "FROM assignments) WHERE again"
    )
    found = []
    with open_to_read(Path(folder) / "record.sqlite") as connection:
        for table in ("assignments", "marks", "curves"):
            sql = backwards.format(table=table) if table != "curves" else backwards.format(table=table).replace(
                "ORDER BY row", "ORDER BY point"
            )  # fmt: skip
            if connection.execute(sql).fetchone()[0]:
                found.append(f"time goes backwards in the table {table}")
        if connection.execute(twice).fetchone()[0]:
            found.append("a gradient's number was given twice to one worker")
        if connection.execute("SELECT count(*) FROM marks WHERE delay < 0").fetchone()[0]:
            found.append("a delay is negative")
    return found
