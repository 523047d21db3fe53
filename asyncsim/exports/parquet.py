"""A folder of Parquet files, one a table: runs, curves, contributions, delays, workers, intervals, away and, where they
were kept, events.

Columns and rows are those of the csv export (`asyncsim.export`), with types: outcomes, kinds and labels are
dictionaries, nan is null. Rows are written in groups of about a hundred thousand, so that a table of any
length needs the memory of one group.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asyncsim.export import SCALARS, keeps_events, kept_events, make_folder, scalars
from asyncsim.exports import needed
from asyncsim.result import AWAY, CURVES, EVENT, INTERVAL, KINDS, OUTCOMES, WORKERS, Array

if TYPE_CHECKING:
    from asyncsim.result import Result, Run

GROUP = 100_000

Part = Mapping[str, Any]  # column → values of some rows
Parts = Callable[["Result", "Run"], Iterable[Part]]


def write(result: "Result", path: Path) -> Path:
    """Write the tables into the folder `path`; an earlier export there is replaced, and nothing else."""
    arrow, parquet = needed("pyarrow", "parquet"), needed("pyarrow.parquet", "parquet")
    tables = dict(TABLES)
    if not any(keeps_events(result, run) for run in result.runs):
        del tables["events"]
    make_folder(path, {f"{name}.parquet" for name in TABLES})
    for name, (columns, parts) in tables.items():
        typed = {"label": "words", "seed": "i8", **columns}
        schema = arrow.schema([(column, _type(arrow, kind)) for column, kind in typed.items()])
        with parquet.ParquetWriter(path / f"{name}.parquet", schema) as writer:
            for table in _grouped(arrow, _batches(arrow, schema, result, parts)):
                writer.write_table(table)
    return path


def _batches(arrow: Any, schema: Any, result: "Result", parts: Parts) -> Iterator[Any]:
    for run in result.runs:
        for part in parts(result, run):
            rows = len(next(iter(part.values())))
            whole = {"label": [run.label] * rows, "seed": np.full(rows, run.seed), **part}
            columns = [arrow.array(whole[field.name], type=field.type, from_pandas=True) for field in schema]
            yield arrow.record_batch(columns, schema=schema)


def _grouped(arrow: Any, batches: Iterator[Any]) -> Iterator[Any]:
    """Batches together up to about `GROUP` rows: many runs have few rows each."""
    waiting: list[Any] = []
    for batch in batches:
        waiting.append(batch)
        if sum(each.num_rows for each in waiting) >= GROUP:
            yield arrow.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield arrow.Table.from_batches(waiting)


def _type(arrow: Any, kind: str) -> Any:
    kinds = {"words": arrow.dictionary(arrow.int32(), arrow.string()), "text": arrow.string()}
    return kinds[kind] if kind in kinds else arrow.from_numpy_dtype(np.dtype(kind))


# ---- the tables: the types of their columns, and their rows


def _runs(result: "Result", run: "Run") -> Iterator[Part]:
    yield {name: [value] for name, value in scalars(run).items()}


def _curves(result: "Result", run: "Run") -> Iterator[Part]:
    yield {name: np.asarray(run.curves[name], dtype=float) for name in CURVES}


def _contributions(result: "Result", run: "Run") -> Iterator[Part]:
    points, workers = run.contributions.shape
    yield {
        "point": np.repeat(np.arange(points), workers),
        "time": np.repeat(np.asarray(run.curves["time"], dtype=float)[:points], workers),
        "worker": np.tile(run.shown, points),
        "arrived": run.contributions.ravel(),
    }


def _delays(result: "Result", run: "Run") -> Iterator[Part]:
    yield dict(zip(("delay", "used", "arrived"), run.delays.reshape(-1, 3).T, strict=True))


def _workers(result: "Result", run: "Run") -> Iterator[Part]:
    yield {"worker": np.arange(len(run.workers["sent"])), **{name: run.workers[name] for name in WORKERS}}


def _intervals(result: "Result", run: "Run") -> Iterator[Part]:
    yield _named(run.intervals, "outcome", OUTCOMES)


def _away(result: "Result", run: "Run") -> Iterator[Part]:
    yield {name: run.away[name] for name in AWAY.names or ()}


def _events(result: "Result", run: "Run") -> Iterator[Part]:
    return (_named(part, "kind", KINDS) for part in kept_events(result, run))


def _named(rows: Array, column: str, words: Sequence[str]) -> Part:
    names = np.array(words, dtype=object)
    return {name: names[rows[name]] if name == column else rows[name] for name in rows.dtype.names or ()}


def _columns(dtype: np.dtype[Any], words: str = "") -> dict[str, str]:
    kinds = {name: dtype[name].str for name in dtype.names or ()}
    return kinds | ({words: "words"} if words else {})


_TEXTS = ("method", "parameters", "status", "reason", "event_hash")
_FLOATS = ("time", "wall_seconds", "mean_delay", "busy_share")

TABLES: dict[str, tuple[dict[str, str], Parts]] = {
    "runs": ({name: "text" if name in _TEXTS else "f8" if name in _FLOATS else "i8" for name in SCALARS[2:]}, _runs),
    "curves": (dict.fromkeys(CURVES, "f8"), _curves),
    "contributions": ({"point": "i8", "time": "f8", "worker": "i8", "arrived": "i8"}, _contributions),
    "delays": (dict.fromkeys(("delay", "used", "arrived"), "i8"), _delays),
    "workers": ({"worker": "i8"} | {name: "f8" if name.endswith("seconds") else "i8" for name in WORKERS}, _workers),
    "intervals": (_columns(INTERVAL, "outcome"), _intervals),
    "away": (_columns(AWAY), _away),
    "events": (_columns(EVENT, "kind"), _events),
}
