"""Long tables and the frames made of them."""

import math

import pytest
from factories import make_result

from asyncsim.frames import TABLES, columns
from asyncsim.result import CURVES, Result


def test_each_table_has_columns_of_one_length_that_begin_with_label_and_seed():
    result = make_result(away=True)
    for table in TABLES:
        found = columns(result, table)
        assert list(found)[:2] == ["label", "seed"]
        assert len({len(column) for column in found.values()}) == 1
        assert len(found["label"]) > 0


def test_curves_have_a_row_a_record_point():
    result = make_result()
    found = columns(result, "curves")
    assert list(found)[2:] == list(CURVES)
    assert len(found["time"]) == sum(len(run.curves["time"]) for run in result.runs)
    mine = (found["label"] == "rennala_sgd") & (found["seed"] == 1)
    assert found["value"][mine].tolist() == result.of("rennala_sgd")[1].curves["value"].tolist()


def test_runs_have_times_to_the_target_and_parameters():
    found = columns(make_result(reached={"rennala_sgd": 20.0}, methods=("rennala_sgd", "hero_sgd")), "runs")
    assert found["time_to_target"][0] == pytest.approx(20.0, abs=1.5)
    assert math.isinf(found["time_to_target"][-1])
    assert found["parameter_batch_size"].tolist() == [4, 4, 4, None, None, None]


def test_outcomes_are_words():
    assert set(columns(make_result(), "intervals")["outcome"]) <= {"used", "discarded", "stopped", "in_flight"}


def test_an_empty_result_has_empty_tables():
    for table in TABLES:
        assert all(len(column) == 0 for column in columns(Result("empty", ()), table).values())


@pytest.mark.frames
def test_another_table_is_refused():
    pytest.importorskip("pandas", reason="needs the extra frames: pip install 'asyncsim[frames]'")
    with pytest.raises(ValueError, match="no table 'curve'; there are curves, runs"):
        make_result().to_pandas("curve")


@pytest.mark.frames
def test_pandas_frames_have_the_columns():
    pd = pytest.importorskip("pandas", reason="needs the extra frames: pip install 'asyncsim[frames]'")
    for table in TABLES:
        frame = make_result().to_pandas(table)
        assert isinstance(frame, pd.DataFrame)
        assert list(frame.columns) == list(columns(make_result(), table))
    medians = make_result().to_pandas("runs").groupby("label")["time_to_target"].median()
    assert medians["ringmaster_asgd"] < medians["rennala_sgd"]


@pytest.mark.frames
def test_polars_frames_have_the_columns():
    pl = pytest.importorskip("polars", reason="needs the extra frames: pip install 'asyncsim[frames]'")
    for table in TABLES:
        frame = make_result().to_polars(table)
        assert isinstance(frame, pl.DataFrame)
        assert frame.columns == list(columns(make_result(), table))


def test_without_pandas_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    monkeypatch.setitem(__import__("sys").modules, "polars", None)
    with pytest.raises(ImportError, match=r"pip install 'asyncsim\[frames\]'"):
        make_result().to_pandas()
    with pytest.raises(ImportError, match=r"pip install 'asyncsim\[frames\]'"):
        make_result().to_polars()
