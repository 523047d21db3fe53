"""A folder with offline runs of Weights & Biases, one for each of ours; nothing is sent anywhere.

    wandb sync PATH/wandb/offline-run-*

sends them, whenever you like. The step of a point is the iteration k; all curves are drawn against ``time``, the simulated
seconds. Points at one iteration are one row there, the last one counts.
"""

import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asyncsim.exports import empty_folder, needed
from asyncsim.exports.mlflow_store import TOTALS, silent
from asyncsim.folder import plain, slug
from asyncsim.result import CURVES

if TYPE_CHECKING:
    from asyncsim.result import Result, Run


def write(result: "Result", path: Path) -> Path:
    """Write into the folder `path`, which must be new or empty."""
    # its settings and caches have no business in the user's home
    with tempfile.TemporaryDirectory(prefix="asyncsim-") as scratch:
        places = {f"WANDB_{name}_DIR": scratch for name in ("CONFIG", "CACHE", "DATA", "ARTIFACT")}
        with silent({"WANDB_MODE": "offline", "WANDB_SILENT": "true", **places}, "wandb"):
            wandb = needed("wandb", "wandb")
            empty_folder(path)
            try:
                for run in result.runs:
                    _write_run(wandb, result, run, path)
            finally:
                wandb.teardown()  # ends the process that writes
    return path


def _write_run(wandb: Any, result: "Result", run: "Run", path: Path) -> None:
    settings = wandb.Settings(silent=True, disable_git=True, disable_code=True, console="off", x_disable_stats=True, x_disable_meta=True)  # fmt: skip
    opened = wandb.init(
        project=slug(result.name), name=f"{run.label}, seed {run.seed}", group=run.label, dir=str(path), mode="offline",
        config={"method": run.method, "seed": run.seed, "n": run.n, **plain(run.parameters)}, settings=settings,
        reinit="finish_previous",
    )  # fmt: skip
    opened.define_metric("*", step_metric="time")
    columns = {name: run.curves[name].tolist() for name in CURVES}
    for place, step in enumerate(columns["iteration"]):
        values = {name: values[place] for name, values in columns.items()}
        opened.log({name: value for name, value in values.items() if math.isfinite(value)}, step=int(step))
    totals = {name: getattr(run, name) for name in (*TOTALS, "status", "event_hash")}
    opened.summary.update({name: value for name, value in totals.items() if not _is_nan(value)})
    opened.finish()


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
