"""The whole run in the timeline, where all events were kept (`record: {events: all}`).

Up to `LANES` workers are shown. As many intervals as a page has room for (`ROOM`, shared by the methods) are shown as they
were. Where there are more, the run is cut into slices of equal length, and in each slice a worker has one interval an
outcome, as long as all its time with that outcome together: shares stay right, single gradients are for the windows.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from asyncsim.folder import read_intervals
from asyncsim.result import INTERVAL, OUTCOMES, Array, shown_workers

if TYPE_CHECKING:
    from asyncsim.result import Result, Run

LANES = (100, 40, 10)  # the most that can be read in time
ROOM = 100_000
MOST_READ = 2_000_000
IN_FLIGHT = OUTCOMES.index("in_flight")


def whole(result: "Result", runs: Sequence["Run"]) -> dict[str, tuple[Array, bool]]:
    """Label → (the intervals of the whole run, whether they were merged into slices), of the runs that kept all events."""
    found = {run.label: rows for run in runs if len(rows := _read(result, run))}
    if not found:
        return {}
    room = ROOM // len(found)
    ends = {run.label: run.time for run in runs}
    return {
        label: (rows, False) if len(rows) <= room else (merged(rows, ends[label], room), True)
        for label, rows in found.items()
    }


def _read(result: "Result", run: "Run") -> Array:
    # a result can outlive its folder: what it has itself is shown then
    if result.folder is None or not (result.folder / "record.sqlite").is_file() or len(run.workers["sent"]) != run.n:
        return np.empty(0, INTERVAL)
    sent = run.workers["sent"]
    choices = [shown_workers(run.n, min(run.n, lanes)) for lanes in LANES]
    workers = next((chosen for chosen in choices if sent[chosen].sum() <= MOST_READ), choices[-1])
    rows = read_intervals(result.folder, run.label, run.seed, workers.tolist())
    if not len(rows):
        return rows
    # what had not ended when the run did is not among them, but was kept of some
    flying = run.intervals[(run.intervals["outcome"] == IN_FLIGHT) & (run.intervals["ended"] >= run.time)]
    return np.concatenate([rows, flying[np.isin(flying["worker"], workers)]])


def merged(rows: Array, end: float, room: int) -> Array:
    """At most about `room` intervals with the same shares of time: see the head of this file.

    In a merged interval ``m`` is the number of gradients that ended in it, and ``version`` tells their mean delay.

    >>> rows = np.zeros(4, INTERVAL)
    >>> rows["sent"], rows["ended"], rows["outcome"] = [0, 1, 2, 3], [1, 2, 3, 4], [0, 1, 0, 0]
    >>> rows["computing_to"] = rows["ended"]
    >>> merged(rows, 4.0, 2)[["sent", "ended", "outcome", "m"]].tolist()
    [(0.0, 3.0, 0, 3), (3.0, 4.0, 1, 1)]
    """
    workers, lane = np.unique(rows["worker"], return_inverse=True)
    kinds = max(1, len(np.unique(rows["outcome"])))
    slices = max(1, room // (len(workers) * kinds))
    width = end / slices
    first = np.clip(rows["sent"] / width, 0, slices - 1).astype(np.int64)
    last = np.clip(np.ceil(rows["ended"] / width) - 1, first, slices - 1).astype(np.int64)
    # an interval that reaches over several slices has a part in each
    parts = last - first + 1
    row = np.repeat(np.arange(len(rows)), parts)
    place = np.repeat(first, parts) + _counted(parts)
    part = np.minimum(rows["ended"][row], (place + 1) * width) - np.maximum(rows["sent"][row], place * width)
    cell = ((lane.ravel()[row] * slices + place) * len(OUTCOMES)) + rows["outcome"][row]
    size = len(workers) * slices * len(OUTCOMES)
    seconds = np.bincount(cell, np.maximum(part, 0.0), size)
    ending = place == np.repeat(last, parts)
    counts = np.bincount(cell, ending, size)
    delay = np.bincount(cell, ending * (rows["k"] - rows["version"])[row], size)
    latest = np.zeros(size)
    np.maximum.at(latest, cell, rows["k"][row])
    kept = np.flatnonzero(seconds > 0)
    return _placed(kept, workers, slices, width, seconds, counts, delay, latest)


def _counted(parts: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, … within each group of so many.

    >>> _counted(np.array([2, 1, 3])).tolist()
    [0, 1, 0, 0, 1, 2]
    """
    starts = np.cumsum(parts) - parts
    return np.arange(int(parts.sum())) - np.repeat(starts, parts)


def _placed(
    kept: NDArray[np.int64],
    workers: Array,
    slices: int,
    width: float,
    seconds: Array,
    counts: Array,
    delay: Array,
    latest: Array,
) -> Array:
    """The merged intervals of a worker in a slice, one after the other from its beginning."""
    cell, outcome = kept // len(OUTCOMES), kept % len(OUTCOMES)
    before = np.cumsum(seconds[kept]) - seconds[kept]
    new = np.append(True, cell[1:] != cell[:-1])
    begin = (cell % slices) * width + before - np.maximum.accumulate(np.where(new, before, 0.0))
    rows = np.zeros(len(kept), INTERVAL)
    rows["worker"], rows["outcome"] = workers[cell // slices], outcome
    rows["sent"] = rows["computing_from"] = begin
    rows["computing_to"] = rows["ended"] = begin + seconds[kept]
    rows["m"], rows["k"] = counts[kept], latest[kept]
    rows["version"] = rows["k"] - np.rint(delay[kept] / np.maximum(counts[kept], 1)).astype(np.int64)
    return rows
