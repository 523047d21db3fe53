"""The whole run in the timeline: every interval where they fit, shares in slices where they do not."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import asyncsim
from asyncsim.folder import read_intervals
from asyncsim.report import data, whole
from asyncsim.report import page as page_module
from asyncsim.report.page import page
from asyncsim.report.whole import merged
from asyncsim.result import INTERVAL, OUTCOMES, Result

SCENARIO = {
    "name": "all",
    "seeds": [0, 1],
    "workers": {"count": 5, "compute_time": "i", "communication_time": {"uplink": 0.25, "downlink": 0}},
    "problem": {"name": "quadratic", "dimension": 3},
    "methods": [
        {"name": "ringmaster_asgd", "stepsize": 0.2, "threshold": 2, "stops": True},
        {"name": "rennala_sgd", "stepsize": 0.2, "batch_size": 2},
    ],
    "stop": {"time": 40},
    "record": {"points": 10, "events": "all"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run folder in which all events were kept."""
    path = tmp_path_factory.mktemp("runs") / "all"
    asyncsim.run(SCENARIO, output=path, progress=False)
    return path


def test_what_is_read_of_the_whole_run_agrees_with_the_counts(folder):
    for run in Result.read(folder).runs:
        rows = read_intervals(folder, run.label, run.seed, range(run.n))
        for outcome in ("used", "discarded", "stopped"):
            assert np.count_nonzero(rows["outcome"] == OUTCOMES.index(outcome)) == getattr(run, outcome)


def test_it_agrees_with_the_window_that_covers_the_same_run(folder):
    (run, *_) = Result.read(folder).runs
    ended = run.intervals[run.intervals["outcome"] != OUTCOMES.index("in_flight")]
    rows = read_intervals(folder, run.label, run.seed, range(run.n))
    assert (
        rows[np.lexsort((rows["m"], rows["worker"]))].tolist()
        == ended[np.lexsort((ended["m"], ended["worker"]))].tolist()
    )


def test_only_the_asked_workers_are_read(folder):
    assert set(read_intervals(folder, "rennala_sgd", 0, [1, 3])["worker"]) == {1, 3}
    assert len(read_intervals(folder, "nobody", 0, [1])) == 0


def test_the_timeline_has_the_whole_run_of_the_first_seed_as_a_fourth_window(folder):
    panels = data.timeline(Result.read(folder))["panels"]["rennala_sgd"]
    assert len(panels["0"]) == 4
    assert len(panels["1"]) == 3
    assert panels["0"][3]["merged"] is False
    assert panels["0"][3]["end"] == pytest.approx(40.0, rel=0.05)


def test_the_page_offers_it_and_the_player_plays_it(folder, monkeypatch):
    monkeypatch.setattr(page_module, "plotly", lambda: "const Plotly = {};")
    result = Result.read(folder)
    text = page(result)
    assert "whole run" in text
    assert "cut into slices" not in text
    assert data.blob(result)["player"]["ranges"] == [{"name": "whole run", "from": 0.0, "to": 40.0}]


def test_what_does_not_fit_is_merged_and_said_to_be(folder, monkeypatch):
    monkeypatch.setattr(page_module, "plotly", lambda: "const Plotly = {};")
    monkeypatch.setattr(whole, "ROOM", 60)
    result = Result.read(folder)
    panel = data.timeline(result)["panels"]["ringmaster_asgd"]["0"][3]
    assert panel["merged"] is True
    assert sum(panel["count"]) <= 60
    assert "cut into slices" in page(result)


def test_without_all_events_there_is_no_such_window(tmp_path):
    asyncsim.run({**SCENARIO, "record": {"points": 10}}, output=tmp_path / "few", progress=False)
    assert len(data.timeline(Result.read(tmp_path / "few"))["panels"]["rennala_sgd"]["0"]) == 3


@st.composite
def lanes(draw):
    """Intervals of a few workers, one after the other in each lane."""
    parts = []
    for worker in range(draw(st.integers(1, 3))):
        lengths = draw(
            st.lists(st.tuples(st.floats(0, 2), st.floats(0.01, 3), st.integers(0, 3)), min_size=1, max_size=12)
        )
        rows = np.zeros(len(lengths), INTERVAL)
        clock = 0.0
        for i, (gap, length, outcome) in enumerate(lengths):
            rows["sent"][i] = clock + gap
            clock += gap + length
            rows["ended"][i], rows["outcome"][i] = clock, outcome
        rows["worker"], rows["m"] = worker, np.arange(len(lengths))
        parts.append(rows)
    return np.concatenate(parts)


@given(lanes(), st.integers(1, 60))
def test_merging_keeps_the_time_and_the_count_of_every_outcome_of_every_worker(rows, room):
    end = float(rows["ended"].max())
    found = merged(rows, end, room)
    for worker in np.unique(rows["worker"]):
        for outcome in range(4):
            before, after = (of[(of["worker"] == worker) & (of["outcome"] == outcome)] for of in (rows, found))
            seconds = [float((of["ended"] - of["sent"]).sum()) for of in (before, after)]
            assert seconds[1] == pytest.approx(seconds[0], abs=1e-9)
            assert after["m"].sum() == len(before)


@given(lanes(), st.integers(1, 60))
def test_merged_intervals_of_a_worker_do_not_overlap(rows, room):
    found = merged(rows, float(rows["ended"].max()), room)
    for worker in np.unique(rows["worker"]):
        mine = found[found["worker"] == worker]
        assert (mine["sent"][1:] >= mine["ended"][:-1] - 1e-9).all()


def test_a_result_that_outlived_its_folder_is_shown_without_the_whole_run(folder):
    result = dataclasses.replace(Result.read(folder), folder=folder / "moved away")
    assert len(data.timeline(result)["panels"]["rennala_sgd"]["0"]) == 3
