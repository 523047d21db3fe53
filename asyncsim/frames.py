"""A result as long tables, a column each: what pandas and polars make frames of.

Every row begins with the label and the seed of its run. The tables:

- ``curves``: a row a record point (`asyncsim.result.CURVES`)
- ``runs``: a row a run: status, iterations, time, time to the target, totals, delays, event hash
- ``workers``: a row a worker of a run (`asyncsim.result.WORKERS`)
- ``delays``: gradients used and arrived at each delay
- ``intervals``: what up to 40 workers did in the recorded windows, outcomes in words
- ``away``: when these workers were away or without power
- ``powers``: how fast these workers were while it changed
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from asyncsim.result import AWAY, CURVES, INTERVAL, OUTCOMES, POWERS, WORKERS, Array, Result, Run

RUN = ("method", "n", "status", "reason", "iterations", "time", "wall_seconds")
TOTALS = ("sent", *OUTCOMES, "mean_delay", "largest_delay", "busy_share", "event_hash")


def columns(result: Result, table: str) -> dict[str, Array]:
    """The columns of a table by name, all of one length.

    ValueError when there is no such table.

    >>> columns(Result("study", ()), "delays")
    {'label': array([], dtype=object), 'seed': array([], dtype=int64), 'delay': array([], dtype=int64), 'used': array([], dtype=int64), 'arrived': array([], dtype=int64)}
    """
    if table not in TABLES:
        raise ValueError(f"there is no table {table!r}; there are {', '.join(TABLES)}")
    if table == "runs":
        return _runs(result)
    names, read = TABLES[table]
    parts = [read(run) for run in result.runs]
    lengths = [len(part[0]) for part in parts]
    empty: list[Any] = [np.empty(0, dtype=np.int64) for _ in names]
    joined = [np.concatenate(column) for column in zip(*parts, strict=True)] if parts else empty
    labels = np.repeat(np.array([run.label for run in result.runs], dtype=object), lengths)
    seeds = np.repeat(np.array([run.seed for run in result.runs], dtype=np.int64), lengths)
    return {"label": labels, "seed": seeds, **dict(zip(names, joined, strict=True))}


def _runs(result: Result) -> dict[str, Array]:
    from asyncsim.summary import time_to_target

    rows = result.runs
    found: dict[str, list[Any]] = {name: [getattr(run, name) for run in rows] for name in ("label", "seed", *RUN)}
    found["time_to_target"] = [time_to_target(run, result.target)[0] for run in rows]
    found |= {name: [getattr(run, name) for run in rows] for name in TOTALS}
    # a parameter that a method does not have is None
    for name in dict.fromkeys(key for run in rows for key in run.parameters):
        found[f"parameter_{name}"] = [_plain(run.parameters.get(name)) for run in rows]
    return {name: _array(values) for name, values in found.items()}


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | str | bool) or value is None else str(value)


def _array(values: Sequence[Any]) -> Array:
    kinds = {type(value) for value in values}
    if kinds <= {int} or kinds <= {float} or kinds <= {bool}:
        return np.array(values)
    if kinds <= {int, float}:
        return np.array(values, dtype=float)
    return np.array(values, dtype=object)


def _curves(run: Run) -> list[Array]:
    points = len(run.curves["time"])
    return [np.asarray(run.curves.get(name, np.full(points, np.nan)), dtype=float) for name in CURVES]


def _workers(run: Run) -> list[Array]:
    return [np.arange(len(run.workers["sent"])), *(run.workers[name] for name in WORKERS)]


def _intervals(run: Run) -> list[Array]:
    names = np.array(OUTCOMES, dtype=object)
    return [names[run.intervals[key]] if key == "outcome" else run.intervals[key] for key in INTERVAL.names or ()]


def _delays(run: Run) -> list[Array]:
    return list(np.asarray(run.delays, dtype=np.int64).reshape(-1, 3).T)


def _away(run: Run) -> list[Array]:
    return [run.away[key] for key in AWAY.names or ()]


def _powers(run: Run) -> list[Array]:
    return [run.powers[key] for key in POWERS.names or ()]


TABLES: dict[str, tuple[Sequence[str], Callable[[Run], list[Array]]]] = {
    "curves": (CURVES, _curves),
    "runs": ((), lambda run: []),
    "workers": (("worker", *WORKERS), _workers),
    "delays": (("delay", "used", "arrived"), _delays),
    "intervals": (INTERVAL.names or (), _intervals),
    "away": (AWAY.names or (), _away),
    "powers": (POWERS.names or (), _powers),
}


def to_pandas(result: Result, table: str = "curves") -> Any:
    """The table as a pandas frame. ImportError, with what to install, when there is no pandas."""
    try:
        import pandas as pd
    except ImportError:
        raise ImportError("a pandas frame needs pandas: pip install 'asyncsim[frames]'") from None
    return pd.DataFrame(columns(result, table))


def to_polars(result: Result, table: str = "curves") -> Any:
    """The table as a polars frame. ImportError, with what to install, when there is no polars."""
    try:
        import polars as pl
    except ImportError:
        raise ImportError("a polars frame needs polars: pip install 'asyncsim[frames]'") from None
    plain = {
        name: column.tolist() if column.dtype == object else column for name, column in columns(result, table).items()
    }
    return pl.DataFrame(plain, strict=False)
