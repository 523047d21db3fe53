"""MLflow reads back what was written for it."""

import os
import sqlite3
from pathlib import Path

import pytest

from asyncsim.export import export
from asyncsim.result import Result

pytest.importorskip("sqlalchemy", reason="needs the extra mlflow")
pytest.importorskip("alembic", reason="needs the extra mlflow")
pytestmark = [
    pytest.mark.mlflow,
    pytest.mark.timeout(180),
    pytest.mark.filterwarnings("ignore"),  # of the package's own, which this reads with
]


def test_the_store_has_a_run_for_each_of_ours_with_metrics_and_parameters(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="needs the extra mlflow")
    from mlflow import MlflowClient

    environment = dict(os.environ)
    result = Result.read(folder, events=False)
    written = export(result, tmp_path / "a folder, 100 % odd?", "mlflow")
    assert [file.name for file in written.iterdir()] == ["mlflow.db"]
    assert dict(os.environ) == environment
    (tmp_path / "store.db").write_bytes((written / "mlflow.db").read_bytes())
    client = MlflowClient(f"sqlite:///{tmp_path}/store.db")
    experiment = client.get_experiment_by_name(result.name)
    found = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(found) == {f"{run.label}, seed {run.seed}" for run in result.runs}
    run = result.runs[0]
    theirs = found[f"{run.label}, seed {run.seed}"]
    assert (theirs.data.params["threshold"], theirs.data.metrics["total_used"]) == ("2", run.used)
    history = client.get_metric_history(theirs.info.run_id, "squared_gradient_norm")
    points = sorted((metric.step, metric.timestamp, metric.value) for metric in history)
    assert [value for *_, value in points] == run.curves["squared_gradient_norm"].tolist()
    assert [stamp for _, stamp, _ in points] == [round(1000 * time) for time in run.curves["time"].tolist()]
    # the file is one, and whole
    with sqlite3.connect(written / "mlflow.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    with pytest.raises(ValueError, match=r"holds other things \(mlflow.db\)"):
        export(result, written, "mlflow")
