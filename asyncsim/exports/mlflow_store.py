"""A folder for MLflow: its tracking store mlflow.db (SQLite), one experiment with one run for each of ours.

    mlflow ui --backend-store-uri sqlite:///PATH/mlflow.db

A metric's step is the iteration k, its timestamp the simulated milliseconds. The store is SQLite because MLflow has given
up the folder of files. Nothing is sent anywhere: MLflow's own reports of its use are off while it is written.
"""

import json
import logging
import math
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asyncsim.exports import empty_folder, needed
from asyncsim.folder import plain
from asyncsim.result import CURVES

if TYPE_CHECKING:
    from asyncsim.result import Result, Run

BATCH = 1000  # metrics in one call, the most that MLflow takes
LONGEST = 6000  # characters of a parameter
TOTALS = ("sent", "used", "discarded", "stopped", "timed_out", "lost", "in_flight", "mean_delay", "largest_delay")


def write(result: "Result", path: Path) -> Path:
    """Write into the folder `path`, which must be new or empty."""
    with silent(
        {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_LOGGING_LEVEL": "ERROR"},
        "alembic",
        "mlflow",
    ):
        mlflow = needed("mlflow", "mlflow")
        needed("sqlalchemy", "mlflow")
        needed("alembic", "mlflow")
        empty_folder(path)
        # made under a name that a database's address can hold, whatever the folder is called
        with tempfile.TemporaryDirectory(prefix="asyncsim-") as scratch:
            client = mlflow.MlflowClient(f"sqlite:///{scratch}/mlflow.db")
            artifacts = (path.absolute() / "artifacts").as_uri()
            experiment = client.create_experiment(result.name or "study", artifact_location=artifacts)
            for run in result.runs:
                _write_run(mlflow, client, experiment, run)
            # the engine behind the client holds the file open
            client._tracking_client.store._dispose_engine()
            shutil.move(f"{scratch}/mlflow.db", path / "mlflow.db")
    return path


@contextmanager
def silent(environment: Mapping[str, str], *loggers: str) -> Iterator[None]:
    """These variables set, these loggers and all warnings quiet, for a while: what packages say to their own developers."""
    before = {name: os.environ.get(name) for name in environment}
    levels = {name: logging.getLogger(name).level for name in loggers}
    os.environ.update(environment)
    for name in loggers:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _write_run(mlflow: Any, client: Any, experiment: str, run: "Run") -> None:
    tags = {"method": run.method, "label": run.label, "seed": str(run.seed), "event_hash": run.event_hash}
    started = client.create_run(experiment, start_time=0, tags=tags, run_name=f"{run.label}, seed {run.seed}")
    identity = started.info.run_id
    parameters = [
        mlflow.entities.Param(name, _text(value)[:LONGEST])
        for name, value in {"n": run.n, "seed": run.seed, **run.parameters}.items()
    ]
    client.log_batch(identity, params=parameters)
    metrics = [mlflow.entities.Metric(*each) for each in _metrics(run)]
    for start in range(0, len(metrics), BATCH):
        client.log_batch(identity, metrics=metrics[start : start + BATCH])
    failed = "FAILED" if run.status in ("failed", "diverged", "stalled") else "FINISHED"
    client.set_terminated(identity, failed, end_time=_milliseconds(run.time))


def _metrics(run: "Run") -> Iterator[tuple[str, float, int, int]]:
    stamps = [_milliseconds(time) for time in run.curves["time"].tolist()]
    steps = [int(step) for step in run.curves["iteration"].tolist()]
    for column in CURVES:
        for value, stamp, step in zip(run.curves[column].tolist(), stamps, steps, strict=True):
            if math.isfinite(value):
                yield column, value, stamp, step
    for name in TOTALS:
        if math.isfinite(value := float(getattr(run, name))):
            yield f"total_{name}" if name in TOTALS[:7] else name, value, _milliseconds(run.time), run.iterations


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds) if math.isfinite(seconds) else 0


def _text(value: Any) -> str:
    return json.dumps(plain(value), ensure_ascii=False) if isinstance(value, dict | list | tuple) else str(value)
