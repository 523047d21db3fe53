"""A folder for TensorBoard: a subfolder for each run, with its curves, its histogram of delays and its parameters.

The step of a point is the iteration k, and its wall time is the simulated second: under "Relative" TensorBoard draws the
curves against simulated time.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asyncsim.exports import empty_folder, needed
from asyncsim.folder import plain, slug
from asyncsim.result import CURVES, unique_labels

if TYPE_CHECKING:
    from asyncsim.result import Result, Run

BINS = 100


def write(result: "Result", path: Path) -> Path:
    """Write into the folder `path`, which must be new or empty."""
    board = needed("tensorboardX", "tensorboard")
    empty_folder(path)
    names = unique_labels([f"{slug(run.label)}-{run.seed}" for run in result.runs])
    for name, run in zip(names, result.runs, strict=True):
        writer = board.SummaryWriter(str(path / name))
        try:
            _write_run(writer, run)
        finally:
            writer.close()
    return path


def _write_run(writer: Any, run: "Run") -> None:
    times, steps = run.curves["time"].tolist(), run.curves["iteration"].tolist()
    for column in CURVES:
        if column in ("time", "iteration"):
            continue
        for time, step, value in zip(times, steps, run.curves[column].tolist(), strict=True):
            if np.isfinite(value):
                writer.add_scalar(_tag(column), value, int(step), walltime=time)
    for time, step in zip(times, steps, strict=True):
        writer.add_scalar("iteration", step, int(step), walltime=time)
    _write_delays(writer, run)
    text = json.dumps(plain({"method": run.method, "seed": run.seed, "n": run.n, **run.parameters}), indent=2)
    writer.add_text("parameters", "".join(f"    {line}\n" for line in text.splitlines()), 0, walltime=0.0)


def _tag(column: str) -> str:
    """
    >>> _tag("gradients_used"), _tag("value"), _tag("worker_seconds")
    ('gradients/used', 'objective/value', 'worker_seconds')
    """
    if column.startswith("gradients_"):
        return column.replace("_", "/", 1)
    objective = ("value", "suboptimality", "squared_gradient_norm", "mean_squared_gradient_norm")
    return f"objective/{column}" if column in objective else column


def _write_delays(writer: Any, run: "Run") -> None:
    delay, used, _ = run.delays.reshape(-1, 3).T.astype(float)
    if not used.sum():
        return
    width = max(1, int(np.ceil((delay.max() + 1) / BINS)))
    bars, place = np.unique(delay // width, return_inverse=True)
    writer.add_histogram_raw(
        "delay of the used gradients",
        min=delay[used > 0].min(), max=delay[used > 0].max(), num=used.sum(),
        sum=(delay * used).sum(), sum_squares=(delay**2 * used).sum(),
        # a bucket has the delays below its limit, from the limit of the one before
        bucket_limits=((bars + 1) * width).tolist(),
        bucket_counts=np.bincount(place.ravel(), used).tolist(),
        global_step=run.iterations, walltime=run.time,
    )  # fmt: skip
