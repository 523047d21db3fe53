"""Kept events come from the disk part by part, in the order in which they happened."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from exports.reading import recorded

from asyncsim.cli import main
from asyncsim.export import PLACES, export, keeps_events, kept_events
from asyncsim.exports import empty_folder
from asyncsim.folder import count_events, read_events
from asyncsim.result import KINDS, Result


@pytest.mark.parametrize("rows", [1, 2, 7, 50_000])
def test_parts_of_any_size_give_the_events_in_the_order_in_which_they_happened(folder: Path, rows: int) -> None:
    for run in Result.read(folder).runs:
        assert run.events is not None
        parts = list(read_events(folder, run.label, run.seed, rows))
        np.testing.assert_array_equal(np.concatenate(parts), run.events)
        assert count_events(folder, run.label, run.seed) == len(run.events)


def test_events_at_one_time_stay_together_however_many(tmp_path: Path) -> None:
    # equal workers answer at one instant, and stops that take effect later are logged between
    workers = {"count": 9, "compute_time": 1.0, "stop_takes_effect": {"after": 0.5}}
    methods = [
        {"name": "rennala_sgd", "stepsize": 0.1, "batch_size": 4, "stops": True},
        {"name": "minibatch_sgd", "stepsize": 0.1},
    ]
    where = recorded(tmp_path / "run", workers=workers, methods=methods, stop={"time": 12})
    for run in Result.read(where).runs:
        np.testing.assert_array_equal(np.concatenate(list(read_events(where, run.label, run.seed, 3))), run.events)


def test_no_run_has_no_events(folder: Path) -> None:
    assert list(read_events(folder, "nobody", 3)) == []
    assert count_events(folder, "nobody", 3) == 0


def test_an_export_without_events_in_memory_is_the_same_as_one_with_them(folder: Path, tmp_path: Path) -> None:
    held, lazy = Result.read(folder), Result.read(folder, events=False)
    assert all(run.events is None and keeps_events(lazy, run) for run in lazy.runs)
    for to in ("csv", "trace"):
        here, there = (export(each, tmp_path / to / str(number), to) for number, each in enumerate((held, lazy)))
        names = sorted(file.name for file in here.iterdir())
        assert names == sorted(file.name for file in there.iterdir())
        assert all((here / name).read_bytes() == (there / name).read_bytes() for name in names)
    with np.load(export(held, tmp_path / "0", "npz")) as one, np.load(export(lazy, tmp_path / "1", "npz")) as other:
        assert sorted(one) == sorted(other)
        for key in one:
            np.testing.assert_array_equal(one[key], other[key])


def test_every_event_of_a_run_is_a_row(folder: Path, tmp_path: Path) -> None:
    result = Result.read(folder, events=False)
    with (export(result, tmp_path / "csv") / "events.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(len(part) for run in result.runs for part in kept_events(result, run))
    assert {row["kind"] for row in rows} >= {"arrived", "used", "step"}
    assert {row["kind"] for row in rows} <= set(KINDS)


def test_each_format_has_a_place_of_its_own_in_the_run_folder() -> None:
    assert len(set(PLACES.values())) == len(PLACES)


def test_a_folder_that_holds_something_is_never_written_into(tmp_path: Path) -> None:
    assert empty_folder(tmp_path / "new").is_dir()
    assert empty_folder(tmp_path / "new").is_dir()
    (tmp_path / "new" / "thesis.tex").write_text("mine")
    with pytest.raises(ValueError, match=r"holds other things \(thesis.tex\)"):
        empty_folder(tmp_path / "new")
    with pytest.raises(ValueError, match="is a file"):
        empty_folder(tmp_path / "new" / "thesis.tex")


@pytest.mark.parametrize(
    ("to", "package", "extra"),
    [
        ("parquet", "pyarrow", "parquet"),
        ("tensorboard", "tensorboardX", "tensorboard"),
        ("mlflow", "mlflow", "mlflow"),
        ("wandb", "wandb", "wandb"),
    ],
)
def test_an_export_whose_package_is_missing_says_what_to_install(
    to: str, package: str, extra: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SystemExit) as ended:
        main(["export", str(folder), "--to", to, "-o", str(tmp_path / "out")])
    assert ended.value.code == 2
    assert f"pip install 'asyncsim[{extra}]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_unknown_format_is_refused_with_a_guess(folder: Path, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["export", str(folder), "--to", "parquett"])
    assert ended.value.code == 2
    assert "did you mean parquet" in capsys.readouterr().err
