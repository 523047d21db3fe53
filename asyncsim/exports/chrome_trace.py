"""What the workers did, as a Chrome trace: one JSON file that opens in Perfetto (ui.perfetto.dev) and chrome://tracing.

A process is one run; a worker has two threads in it, one for computing and one for communication. Rules:

1. A slice is one assignment's computing, or a message's way; slices of a thread follow each other and never overlap (they
   would not be drawn): where a stopped gradient goes on beside the next job, the next one is drawn from where it ends.
2. A slice is called by what became of it (used, discarded, stopped, …): Perfetto colours by name, chrome://tracing by
   ``cname``. Its arguments tell k, the version of its point, the delay and the number of the gradient.
3. Counters: the delay of what arrived, and of the record points k, f and the squared gradient norm as far as they are known.
4. Times are microseconds, a simulated second being 10⁶ of them; where a run is shorter than a millisecond or longer than
   30 years another power of 1000 is taken, and the names of the processes say so. Times are whole nanoseconds.
5. At most about `MOST` assignments are written, all of the first seed before those of the next one: where all events were
   kept, the whole run of up to 100 workers if it fits, else the recorded windows (`asyncsim.log`) as far as they fit.
   What was left out stands under ``otherData``.

`faults` checks all this for a trace that is read back.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asyncsim.export import keeps_events
from asyncsim.folder import read_intervals
from asyncsim.result import OUTCOMES, Array, shown_workers

if TYPE_CHECKING:
    from asyncsim.result import Result, Run

MOST = 60_000
LANES = (100, 40, 10)
COLOURS = {
    "used": "thread_state_running",
    "discarded": "bad",
    "stopped": "yellow",
    "timed_out": "terrible",
    "lost": "black",
    "in_flight": "grey",
}
COUNTERS = {"iteration": "iteration k", "value": "f", "squared_gradient_norm": "squared gradient norm"}
FLYING = OUTCOMES.index("in_flight")
HEAD = '{"displayTimeUnit":'

Event = dict[str, Any]


def write(result: "Result", path: Path) -> Path:
    """Write the trace; .json is added where it lacks. ValueError when something else is there."""
    if path.suffix != ".json":
        path = path.with_name(path.name + ".json")
    if path.exists() and not _is_trace(path):
        raise ValueError(f"{path} is there already and is no trace of ours; give another file")
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name + ".tmp")
    scale = _scale(max((run.time for run in result.runs), default=0.0))
    left_out: list[str] = []
    with scratch.open("w", encoding="utf-8") as file:
        file.write(f'{HEAD} "ms", "traceEvents": [')
        for number, event in enumerate(_events(result, scale, left_out)):
            file.write(",\n" if number else "\n")
            json.dump(event, file, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        about = {"study": result.name, "microseconds_in_a_simulated_second": scale, "left_out": left_out}
        file.write(f'\n], "otherData": {json.dumps(about, ensure_ascii=False)}}}\n')
    scratch.replace(path)
    return path


def _is_trace(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(HEAD)) == HEAD.encode()


def _scale(seconds: float) -> float:
    """Microseconds of the trace in a simulated second (rule 4); a trace counts nanoseconds in 64 bits.

    >>> _scale(100.0), _scale(1e-5), _scale(1e12)
    (1000000.0, 1000000000.0, 1000.0)
    """
    scale = 1e6
    while seconds * scale > 1e15:
        scale /= 1000
    while 0 < seconds * scale < 1e3:
        scale *= 1000
    return scale


def _events(result: "Result", scale: float, left_out: list[str]) -> Iterator[Event]:
    room = MOST
    runs = [run for seed in result.seeds for run in result.runs if run.seed == seed]
    share = MOST // max(1, len(result.labels))
    for process, run in enumerate(runs, 1):
        rows, whole = _rows(result, run, share)
        if room <= 0 and len(rows):
            left_out.append(f"{run.label}, seed {run.seed}: the timeline of the workers")
            rows = rows[:0]
        elif not whole:
            left_out.append(f"{run.label}, seed {run.seed}: all but {len(rows)} assignments of recorded windows")
        room -= len(rows)
        yield from _process(run, process, rows, scale)


def _rows(result: "Result", run: "Run", room: int) -> tuple[Array, bool]:
    """What is drawn of a run, and whether that is all that the workers shown did."""
    sent = run.workers["sent"]
    if len(sent) == run.n and keeps_events(result, run) and result.folder is not None:
        for lanes in LANES:
            workers = shown_workers(run.n, min(run.n, lanes))
            if sent[workers].sum() <= room:
                rows = read_intervals(result.folder, run.label, run.seed, workers.tolist())
                flying = run.intervals[(run.intervals["outcome"] == FLYING) & (run.intervals["ended"] >= run.time)]
                return np.concatenate([rows, flying[np.isin(flying["worker"], workers)]]), len(workers) == run.n
    # windows of a short run overlap, and may cut what another one has whole
    rows = run.intervals[np.lexsort((run.intervals["outcome"] == FLYING, run.intervals["m"], run.intervals["worker"]))]
    new = np.append(True, (np.diff(rows["worker"]) != 0) | (np.diff(rows["m"]) != 0))[: len(rows)]
    rows = rows[new]
    return rows[np.argsort(rows["sent"], kind="stable")][:room], False


def _process(run: "Run", process: int, rows: Array, scale: float) -> Iterator[Event]:
    unit = "" if scale == 1e6 else f", 1 s is drawn as {scale / 1e6:g} s"
    yield _name("process_name", process, f"{run.label}, seed {run.seed}{unit}")
    yield {"ph": "M", "name": "process_sort_index", "pid": process, "args": {"sort_index": process}}
    nano = _nanoseconds(rows, scale)
    for worker in np.unique(rows["worker"]).tolist():
        own = np.flatnonzero(rows["worker"] == worker)
        own = own[np.argsort(rows["sent"][own], kind="stable")]
        for thread, words, slices in (
            (2 * worker + 1, f"worker {worker}", _computing(rows[own], nano[own])),
            (2 * worker + 2, f"worker {worker}: communication", _communication(rows[own], nano[own])),
        ):
            drawn = list(_one_after_the_other(slices))
            if drawn or thread % 2:
                yield _name("thread_name", process, words, thread)
                yield {"ph": "M", "name": "thread_sort_index", "pid": process, "tid": thread, "args": {"sort_index": thread}}  # fmt: skip
            yield from ({"ph": "X", "pid": process, "tid": thread, **each} for each in drawn)
    yield from _counters(run, process, rows, nano, scale)


def _nanoseconds(rows: Array, scale: float) -> Array:
    """(r, 4) sent, computing_from, computing_to, ended; what never came ends where it was seen last."""
    times = np.stack([rows[name] for name in ("sent", "computing_from", "computing_to", "ended")], axis=1)
    times = np.minimum(times, np.where(np.isfinite(times[:, 3:]), times[:, 3:], times[:, :1]))
    nano: Array = np.rint(np.maximum.accumulate(times, axis=1) * (scale * 1e3)).astype(np.int64)
    return nano


Slice = tuple[int, int, str, str, dict[str, Any]]  # from and to in nanoseconds, name, colour, arguments


def _computing(rows: Array, nano: Array) -> Iterator[Slice]:
    for row, (_, begun, done, _) in zip(rows, nano.tolist(), strict=True):
        outcome = OUTCOMES[row["outcome"]]
        yield begun, done, outcome.replace("_", " "), COLOURS[outcome], _arguments(row)


def _communication(rows: Array, nano: Array) -> Iterator[Slice]:
    ways = [
        (begun, ended, name, row)
        for row, (sent, begun, done, came) in zip(rows, nano.tolist(), strict=True)
        for begun, ended, name in ((sent, begun, "downlink"), (done, came, "uplink"))
        if ended > begun
    ]
    for begun, ended, name, row in sorted(ways, key=lambda way: way[:2]):
        yield begun, ended, name, COLOURS[OUTCOMES[row["outcome"]]], _arguments(row)


def _arguments(row: Any) -> dict[str, Any]:
    found = {name: int(row[name]) for name in ("m", "k", "version")}
    # of what has not ended nobody knows the delay
    return found if row["outcome"] == FLYING else found | {"delay": found["k"] - found["version"]}


def _one_after_the_other(slices: Iterable[Slice]) -> Iterator[Event]:
    free = 0
    for begun, ended, name, colour, arguments in slices:
        begin = max(begun, free)
        if ended < begin or (ended == begin and begun < free):
            continue
        free = ended
        yield {"ts": begin / 1e3, "dur": (ended - begin) / 1e3, "name": name, "cname": colour, "args": arguments}


def _counters(run: "Run", process: int, rows: Array, nano: Array, scale: float) -> Iterator[Event]:
    arrived = np.flatnonzero(np.isin(rows["outcome"], [OUTCOMES.index("used"), OUTCOMES.index("discarded")]))
    arrived = arrived[np.argsort(nano[arrived, 3], kind="stable")]
    delays = (rows["k"] - rows["version"])[arrived].tolist()
    yield from _counter(process, "delay", nano[arrived, 3].tolist(), delays)
    times = np.rint(run.curves["time"] * (scale * 1e3))
    for column, words in COUNTERS.items():
        values = run.curves[column]
        known = np.isfinite(values) & np.isfinite(times)
        yield from _counter(process, words, times[known].astype(np.int64).tolist(), values[known].tolist())


def _counter(process: int, name: str, times: list[int], values: list[float]) -> Iterator[Event]:
    for nano, value in zip(times, values, strict=True):
        yield {"ph": "C", "pid": process, "name": name, "ts": nano / 1e3, "args": {name: value}}


def _name(kind: str, process: int, words: str, thread: int = 0) -> Event:
    return {"ph": "M", "name": kind, "pid": process, "tid": thread, "args": {"name": words}}


# ---- checking


def faults(trace: Mapping[str, Any]) -> list[str]:
    """What is wrong with a trace that was read back; nothing when it will be drawn as it is meant.

    >>> slices = [{"ph": "X", "pid": 1, "tid": 1, "name": "used", "ts": ts, "dur": 2.0} for ts in (0.0, 1.0)]
    >>> faults({"traceEvents": slices})
    ['process 1 has no name', 'process 1, thread 1 has no name', 'process 1, thread 1: slices overlap at 1 µs']
    """
    events = trace.get("traceEvents")
    if not isinstance(events, list):
        return ["there is no list traceEvents"]
    found: list[str] = []
    named = {(event.get("pid"), event.get("tid") if event.get("name") == "thread_name" else None)
             for event in events if event.get("ph") == "M" and event.get("args", {}).get("name")}  # fmt: skip
    ends: dict[tuple[Any, ...], int] = {}
    for event in events:
        kind, where = event.get("ph"), (event.get("pid"), event.get("tid"))
        if kind == "M":
            continue
        if kind not in ("X", "C") or not event.get("name"):
            found.append(f"an event of kind {kind!r} and name {event.get('name')!r}")
            continue
        times = [event.get("ts"), event.get("dur", 0.0)]
        if not all(isinstance(time, int | float) and math.isfinite(time) and time >= 0 for time in times):
            found.append(f"{event['name']}: times {times}, but numbers >= 0 are needed")
            continue
        begin, end = round(times[0] * 1e3), round((times[0] + times[1]) * 1e3)
        track = where if kind == "X" else (where[0], None, event["name"])
        if kind == "C" and not all(isinstance(value, int | float) for value in event.get("args", {"": None}).values()):
            found.append(f"{event['name']}: a counter needs numbers")
        if begin < ends.get(track, 0):
            what = "slices overlap" if kind == "X" else f"the counter {event['name']} goes back"
            found.append(f"{_said(track)}: {what} at {times[0]:g} µs")
        ends[track] = max(end, ends.get(track, 0))
    processes = [
        f"process {pid} has no name" for pid in sorted({track[0] for track in ends}) if (pid, None) not in named
    ]
    threads = [f"{_said(track)} has no name" for track in ends if track[1] is not None and track not in named]
    return [*processes, *threads, *found]


def _said(track: tuple[Any, ...]) -> str:
    return f"process {track[0]}" + ("" if track[1] is None else f", thread {track[1]}")
