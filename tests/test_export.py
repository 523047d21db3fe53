"""Exports carry the same numbers, readable without asyncsim."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from factories import make_result

from asyncsim.export import export
from asyncsim.result import AWAY, CURVES, INTERVAL, OUTCOMES, POWERS, WORKERS, Result, Run


@pytest.fixture
def result() -> Result:
    return make_result(methods=("rennala_sgd", "rennala_sgd"), seeds=(3, 4), events=True, away=True)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def of(table: list[dict[str, str]], run: Run) -> list[dict[str, str]]:
    return [row for row in table if (row["label"], row["seed"]) == (run.label, str(run.seed))]


def test_csv_holds_every_number_exactly(result: Result, tmp_path: Path) -> None:
    folder = result.export(tmp_path / "out", to="csv")
    assert {file.name for file in folder.iterdir()} == {
        f"{name}.csv"
        for name in ("runs", "curves", "contributions", "delays", "workers", "intervals", "away", "powers", "events")
    }
    tables = {file.stem: rows(file) for file in folder.iterdir()}
    for run in result.runs:
        curves = of(tables["curves"], run)
        for name in CURVES:
            there = [float(row[name] or "nan") for row in curves]
            np.testing.assert_array_equal(there, run.curves[name])
        contributions = of(tables["contributions"], run)
        assert [int(row["arrived"]) for row in contributions] == run.contributions.ravel().tolist()
        assert [int(row["worker"]) for row in contributions[: run.n]] == run.shown.tolist()
        workers = of(tables["workers"], run)
        assert [int(row["worker"]) for row in workers] == list(range(run.n))
        for name in WORKERS:
            assert [float(row[name]) for row in workers] == run.workers[name].tolist()
        delays = of(tables["delays"], run)
        assert [[int(row[name]) for name in ("delay", "used", "arrived")] for row in delays] == run.delays.tolist()
        intervals = of(tables["intervals"], run)
        for name in set(INTERVAL.names or ()) - {"outcome"}:
            assert [float(row[name]) for row in intervals] == run.intervals[name].tolist()
        away = of(tables["away"], run)
        assert [
            (int(row["worker"]), *(float(row[name]) for name in AWAY.names[1:])) for row in away
        ] == run.away.tolist()
        powers = of(tables["powers"], run)
        assert [[float(row[name]) for name in POWERS.names] for row in powers] == [
            list(row) for row in run.powers.tolist()
        ]
        assert [OUTCOMES.index(row["outcome"]) for row in intervals] == run.intervals["outcome"].tolist()
        assert run.events is not None
        assert len(of(tables["events"], run)) == len(run.events)
        (scalars,) = of(tables["runs"], run)
        assert (scalars["status"], int(scalars["stopped"])) == ("finished", run.stopped)
        assert json.loads(scalars["parameters"]) == run.parameters


def test_csv_leaves_fields_empty_that_are_not_known(tmp_path: Path) -> None:
    curves = {name: np.array([math.nan, math.inf]) for name in CURVES}
    run = Run('a "b", c\n', "a", {}, seed=0, n=1, curves=curves)
    folder = export(Result("x", (run,)), tmp_path / "out")
    assert [row["value"] for row in of(rows(folder / "curves.csv"), run)] == ["", "inf"]
    assert not (folder / "events.csv").exists()


def test_csv_replaces_an_earlier_export_and_nothing_else(result: Result, tmp_path: Path) -> None:
    export(result, tmp_path / "out")
    folder = export(make_result(seeds=(0,)), tmp_path / "out")
    assert len(rows(folder / "runs.csv")) == 3
    assert not (folder / "events.csv").exists()
    (folder / "thesis.tex").write_text("mine")
    with pytest.raises(ValueError, match=r"holds other things \(thesis.tex\)"):
        export(result, folder)
    with pytest.raises(ValueError, match="is a file"):
        export(result, folder / "thesis.tex")


def test_npz_holds_the_arrays_under_label_and_seed_without_pickle(result: Result, tmp_path: Path) -> None:
    file = result.export(tmp_path / "out", to="npz")
    assert file == tmp_path / "out.npz"
    with np.load(file, allow_pickle=False) as arrays:
        for run in result.runs:
            where = f"{run.label}/{run.seed}"
            for name in CURVES:
                np.testing.assert_array_equal(arrays[f"{where}/{name}"], run.curves[name])
            for name in WORKERS:
                np.testing.assert_array_equal(arrays[f"{where}/workers/{name}"], run.workers[name])
            np.testing.assert_array_equal(arrays[f"{where}/contributions"], run.contributions)
            np.testing.assert_array_equal(arrays[f"{where}/shown"], run.shown)
            np.testing.assert_array_equal(arrays[f"{where}/delays"], run.delays)
            np.testing.assert_array_equal(arrays[f"{where}/intervals"], run.intervals)
            np.testing.assert_array_equal(arrays[f"{where}/away"], run.away)
            np.testing.assert_array_equal(arrays[f"{where}/powers"], run.powers)
            np.testing.assert_array_equal(arrays[f"{where}/events"], run.events)
        about = json.loads(str(arrays["manifest"]))
    assert about["target"] == result.target
    assert [run["label"] for run in about["runs"]] == ["rennala_sgd"] * 2 + ["rennala_sgd 2"] * 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.npz"]


def test_an_unknown_format_is_refused_with_the_known_ones(result: Result, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no export to 'xlsx'; there is csv, npz"):
        result.export(tmp_path / "out", to="xlsx")
