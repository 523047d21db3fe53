"""A result for other tools. What stands here needs the standard library and numpy only; asyncsim/exports/ has the rest.

csv: runs.csv, curves.csv, contributions.csv (gradients that had arrived of up to 40 workers at each record point),
delays.csv, workers.csv, intervals.csv, away.csv (when these workers were away or without power) and, where they were
kept, events.csv; every row begins with the label and the seed of its run, outcomes and kinds are written as words, nan
as an empty field. Numbers are written so that they read
back as the same floats. Rows are written one after the other: no table is held twice in memory.

npz: keys ``<label>/<seed>/<array>`` (the curves, ``contributions``, ``shown``, ``delays``, ``workers/<column>``,
``intervals``, ``away``, ``events``), and ``manifest``, a JSON text with all that is not an array. It loads with
``allow_pickle=False``.

trace: a folder with a trace (asyncsim.measuring has the format) for each run, named after its label and seed, to be
fitted or played back. It has all assignments where all events were kept, else those of the recorded windows of up to 40
workers; the file says which. An arrival counts as complete whether it was used or not, and so does a gradient that was
stopped where stops take effect after it. Of a lost one only the computing is told: what follows is silence. Traces of
real workers have the device on which each computed.

Kept events are not held at once where the result was read without them (`Result.read(folder, events=False)`): they come
from the run folder a part at a time, however many they are.
"""

import csv
import importlib
import json
import math
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asyncsim.folder import count_events, plain, read_assignments, read_events, slug
from asyncsim.measuring import Row
from asyncsim.result import AWAY, CURVES, EVENT, INTERVAL, KINDS, OUTCOMES, WORKERS, Array, Result, Run, unique_labels
from asyncsim.times.traces import write_trace

SCALARS = (
    *("label", "seed", "method", "parameters", "n", "status", "reason", "iterations", "time", "wall_seconds"),
    *("sent", "used", "discarded", "stopped", "timed_out", "lost", "in_flight"),
    *("mean_delay", "largest_delay", "busy_share", "event_hash"),
)


def export(result: Result, path: str | Path, to: str = "csv") -> Path:
    """Write `result` to `path`, a folder or a file as the format has it (`PLACES`; .npz and .json are added). Returns it.

    Raises ValueError for an unknown format, or when `path` is a folder that holds other things, or a file for a folder.
    Raises ImportError, with what to install, when the format needs a package that is not there.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     sorted(file.name for file in export(Result("study", ()), Path(parent, "out"), "csv").iterdir())
    ['away.csv', 'contributions.csv', 'curves.csv', 'delays.csv', 'intervals.csv', 'runs.csv', 'workers.csv']
    """
    if to not in FORMATS:
        raise ValueError(f"no export to {to!r}; there is {', '.join(FORMATS)}")
    return FORMATS[to](result, Path(path))


def to_csv(result: Result, path: Path) -> Path:
    """Write a folder of csv files. ValueError when something else is there."""
    tables: dict[str, tuple[Sequence[str], Callable[[Run], Iterable[Sequence[Any]]]]] = {
        "runs": (SCALARS[2:], _scalar_rows),
        "curves": (CURVES, lambda run: _column_rows([run.curves[name] for name in CURVES])),
        "contributions": (("point", "time", "worker", "arrived"), _contribution_rows),
        "delays": (("delay", "used", "arrived"), lambda run: run.delays.tolist()),
        "workers": (("worker", *WORKERS), _worker_rows),
        "intervals": (INTERVAL.names or (), lambda run: _named_rows(run.intervals, "outcome", OUTCOMES)),
        "away": (AWAY.names or (), lambda run: run.away.tolist()),
    }
    if any(keeps_events(result, run) for run in result.runs):
        tables["events"] = (EVENT.names or (), lambda run: _event_rows(result, run))
    make_folder(path, {f"{name}.csv" for name in (*tables, "events")})
    for name, (columns, rows) in tables.items():
        with (path / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["label", "seed", *columns])
            for run in result.runs:
                writer.writerows([run.label, run.seed, *map(_field, row)] for row in rows(run))
    return path


def to_npz(result: Result, path: Path) -> Path:
    """Write one npz file, array after array."""
    if path.suffix != ".npz":
        path = path.with_name(path.name + ".npz")
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name + ".tmp")
    # numpy's savez wants all arrays at once; written one at a time, a large result is held once
    with zipfile.ZipFile(scratch, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
        for key, values in _arrays(result):
            with archive.open(f"{key}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, values, allow_pickle=False)
        for run in result.runs:
            if keeps_events(result, run):
                with archive.open(f"{_key(run)}/events.npy", "w", force_zip64=True) as file:
                    _write_events(file, result, run)
    scratch.replace(path)
    return path


def to_trace(result: Result, path: Path) -> Path:
    """Write a folder with a trace for each run."""
    names = unique_labels([f"{slug(run.label)}-{run.seed}" for run in result.runs])
    make_folder(path, {f"{name}.csv" for name in names})
    for name, run in zip(names, result.runs, strict=True):
        kept_all = result.folder is not None and keeps_events(result, run)
        effect = (result.scenario or {}).get("workers", {}).get("stop_takes_effect", "at_once")
        rows = _all_rows(result.folder, run, effect) if kept_all and result.folder else _window_rows(run, effect)
        shown = len(np.unique(run.intervals["worker"]))
        which = "all assignments" if kept_all else f"the recorded windows of {shown} workers"
        about = (
            f"{'measured on Ray' if run.engine else 'simulated'}: {result.name}, {run.label}, seed {run.seed}; {which}"
        )
        write_trace(path / f"{name}.csv", rows, " ".join(about.split()))
    return path


def _elsewhere(module: str) -> Callable[[Result, Path], Path]:
    def write(result: Result, path: Path) -> Path:
        written: Path = importlib.import_module(f"asyncsim.exports.{module}").write(result, path)
        return written

    return write


FORMATS: dict[str, Callable[[Result, Path], Path]] = {
    "csv": to_csv,
    "npz": to_npz,
    "trace": to_trace,
    "parquet": _elsewhere("parquet"),
    "chrome-trace": _elsewhere("chrome_trace"),
    "tensorboard": _elsewhere("tensorboard"),
    "mlflow": _elsewhere("mlflow_store"),
    "wandb": _elsewhere("wandb_offline"),
}
PLACES = {to: to for to in FORMATS} | {"npz": "arrays.npz", "chrome-trace": "chrome-trace.json"}  # in the run folder


# ---- events


def keeps_events(result: Result, run: Run) -> bool:
    """Whether all events of a run were kept, here or in the run folder."""
    if run.events is not None:
        return True
    asked = (result.scenario or {}).get("record") or {}
    return (
        result.folder is not None
        and asked.get("events") == "all"
        and count_events(result.folder, run.label, run.seed) > 0
    )


def kept_events(result: Result, run: Run) -> Iterator[Array]:
    """The kept events of a run in parts, in the order in which they happened; nothing where they were not kept."""
    if run.events is not None:
        yield from (run.events[start : start + _CHUNK] for start in range(0, len(run.events), _CHUNK))
    elif keeps_events(result, run) and result.folder is not None:
        yield from read_events(result.folder, run.label, run.seed)


def _event_rows(result: Result, run: Run) -> Iterator[Sequence[Any]]:
    for part in kept_events(result, run):
        yield from _named_rows(part, "kind", KINDS)


def _write_events(file: Any, result: Result, run: Run) -> None:
    """As numpy's `write_array` would, without all of it in memory: the head tells how many there will be."""
    if run.events is not None:
        np.lib.format.write_array(file, run.events, allow_pickle=False)
    if run.events is not None or result.folder is None:
        return
    rows = count_events(result.folder, run.label, run.seed)
    head = {"descr": np.lib.format.dtype_to_descr(EVENT), "fortran_order": False, "shape": (rows,)}
    np.lib.format.write_array_header_1_0(file, head)
    for part in kept_events(result, run):
        file.write(part.tobytes())


# ---- traces


def _all_rows(folder: Path, run: Run, effect: Any) -> Iterator[Row]:
    jobs: Counter[int] = Counter()
    devices = {facts["worker"]: facts["device"] for facts in run.engine.get("workers", ())}
    for ended, worker, _, kind, _, _, _, computing_from, computing_to, done, cost in read_assignments(
        folder, run.label, run.seed
    ):
        outcome = "stopped" if KINDS[kind] == "arrived" and done < cost else KINDS[kind]
        row = _row(worker, jobs[worker], computing_from, computing_to, ended, outcome, int(cost), effect)
        yield row._replace(device=devices.get(int(worker), ""))
        jobs[worker] += 1


def _row(worker: int, job: int, begun: float, done: float, ended: float, outcome: str, count: int, effect: Any) -> Row:
    computed, sent = max(0.0, done - begun), max(0.0, ended - done)
    if outcome == "lost":
        sent = 0.0
    if outcome == "stopped" and count == 1 and done > ended and _went_on_to_its_end(done - ended, effect):
        outcome = "discarded"
    return Row(str(worker), job, begun, computed, sent, outcome, "", count)


def _went_on_to_its_end(seconds: float, effect: Any) -> bool:
    """Whether a gradient that went on for so many seconds after a stop was done then."""
    if isinstance(effect, dict):
        return seconds < float(effect["after"]) * (1 - 1e-9)
    return bool(effect == "after_current_gradient")


def _window_rows(run: Run, effect: Any) -> Iterator[Row]:
    """The rows of the windows, each assignment once: windows of a short run overlap, and may cut it."""
    flying = run.intervals["outcome"] == OUTCOMES.index("in_flight")
    ordered = run.intervals[np.lexsort((flying, run.intervals["m"], run.intervals["worker"]))]
    new = np.append(True, (np.diff(ordered["worker"]) != 0) | (np.diff(ordered["m"]) != 0))[: len(ordered)]
    ordered = ordered[new]
    jobs: Counter[int] = Counter()
    for row, count in zip(ordered.tolist(), _counts(ordered), strict=True):
        _, worker, _, _, computing_from, computing_to, ended, outcome, _, _ = row
        if count:
            yield _row(worker, jobs[worker], computing_from, computing_to, ended, OUTCOMES[outcome], count, effect)
            jobs[worker] += 1


def _counts(ordered: Array) -> list[int]:
    """Gradients of each assignment: up to the number of the worker's next one. 0 where that is not known.

    Assignments that follow each other begin where the one before has ended; where not, a window lies between.
    """
    counts = np.zeros(len(ordered), dtype=np.int64)
    same = (ordered["worker"][1:] == ordered["worker"][:-1]) & (ordered["window"][1:] == ordered["window"][:-1])
    counts[:-1][same] = np.diff(ordered["m"])[same]
    known = counts[counts > 0]
    if (known == 1).all():
        counts[:] = 1
    found: list[int] = counts.tolist()
    return found


def _arrays(result: Result) -> Iterator[tuple[str, Array]]:
    yield "manifest", np.array(json.dumps(plain(_description(result)), ensure_ascii=False, allow_nan=False))
    for run in result.runs:
        where = _key(run)
        for name, curve in run.curves.items():
            yield f"{where}/{name}", curve
        for name, counts in run.workers.items():
            yield f"{where}/workers/{name}", counts
        yield f"{where}/contributions", run.contributions
        yield f"{where}/shown", run.shown
        yield f"{where}/delays", run.delays
        yield f"{where}/intervals", run.intervals
        yield f"{where}/away", run.away


def _key(run: Run) -> str:
    # the two slashes of a key are ours alone
    return f"{run.label.replace('/', '_')}/{run.seed}"


def _description(result: Result) -> dict[str, Any]:
    runs = [{name: getattr(run, name) for name in SCALARS} for run in result.runs]
    words = {"outcomes": OUTCOMES, "kinds": KINDS}
    return {"name": result.name, "target": result.target, "problem": result.problem, "runs": runs, **words} | {
        "manifest": result.manifest
    }


def _scalar_rows(run: Run) -> list[list[Any]]:
    return [list(scalars(run).values())]


def scalars(run: Run) -> dict[str, Any]:
    """The row of a run in the table of runs, but its label and seed: parameters as JSON."""
    values = {name: getattr(run, name) for name in SCALARS[2:]}
    return {name: json.dumps(plain(value)) if isinstance(value, dict) else value for name, value in values.items()}


def _worker_rows(run: Run) -> Iterator[Sequence[Any]]:
    columns = [run.workers[name] for name in WORKERS]
    return _column_rows([np.arange(len(columns[0])), *columns])


def _contribution_rows(run: Run) -> Iterator[Sequence[Any]]:
    shown = run.shown.tolist()
    for point, (time, counts) in enumerate(zip(run.curves["time"].tolist(), run.contributions.tolist(), strict=False)):
        yield from ((point, time, worker, count) for worker, count in zip(shown, counts, strict=True))


def _column_rows(columns: Sequence[Array]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(columns[0]), _CHUNK):
        yield from zip(*(column[start : start + _CHUNK].tolist() for column in columns), strict=True)


def _named_rows(rows: Array | None, column: str, words: Sequence[str]) -> Iterator[Sequence[Any]]:
    if rows is None:
        return
    place = (rows.dtype.names or ()).index(column)
    for start in range(0, len(rows), _CHUNK):
        for row in rows[start : start + _CHUNK].tolist():
            yield (*row[:place], words[row[place]], *row[place + 1 :])


def _field(value: Any) -> Any:
    return "" if isinstance(value, float) and math.isnan(value) else value


def make_folder(path: Path, ours: set[str]) -> None:
    """Make the folder, or empty it of these files; ValueError when it holds others."""
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path} is a file; this export writes a folder")
    if path.is_dir() and (others := sorted({entry.name for entry in path.iterdir()} - ours)):
        raise ValueError(f"{path} holds other things ({others[0]}): choose a new or empty folder")
    path.mkdir(parents=True, exist_ok=True)
    for name in ours:
        (path / name).unlink(missing_ok=True)


_CHUNK = 10_000
