"""The Chrome trace can be drawn: slices of a track never overlap, times go on, everything has a name."""

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exports.reading import recorded
from factories import make_result
from hypothesis import given
from hypothesis import strategies as st

from asyncsim.export import export
from asyncsim.exports import chrome_trace
from asyncsim.exports.chrome_trace import faults
from asyncsim.result import INTERVAL, OUTCOMES, Result, Run


def traced(result: Result, path: Path) -> dict[str, Any]:
    return json.loads(export(result, path, "chrome-trace").read_text(encoding="utf-8"))


def slices(trace: dict[str, Any], process: int = 1) -> list[dict[str, Any]]:
    return [event for event in trace["traceEvents"] if event["ph"] == "X" and event["pid"] == process]


def names(trace: dict[str, Any], kind: str) -> list[str]:
    return [event["args"]["name"] for event in trace["traceEvents"] if event["ph"] == "M" and event["name"] == kind]


def test_a_whole_run_is_drawn_in_microseconds_under_the_names_of_its_outcomes(folder: Path, tmp_path: Path) -> None:
    result = Result.read(folder, events=False)
    trace = traced(result, tmp_path / "trace")
    assert faults(trace) == []
    assert names(trace, "process_name") == [f"{run.label}, seed {run.seed}" for run in result.runs]
    run = result.runs[0]
    computing = [each for each in slices(trace) if each["tid"] % 2]
    ended = Counter(each["name"] for each in computing)
    assert ended == {name: getattr(run, name.replace(" ", "_")) for name in ended}
    seconds = sum(each["dur"] for each in computing) / 1e6
    assert seconds == pytest.approx(run.workers["busy_seconds"].sum(), rel=1e-6)
    ways = Counter(each["name"] for each in slices(trace) if not each["tid"] % 2)
    assert set(ways) == {"downlink", "uplink"}
    assert max(each["ts"] + each["dur"] for each in slices(trace)) <= run.time * 1e6 + 1


def test_the_counters_tell_the_delays_and_the_record_points(folder: Path, tmp_path: Path) -> None:
    result = Result.read(folder, events=False)
    run = result.runs[0]
    counters: dict[str, list[tuple[float, float]]] = {}
    for event in traced(result, tmp_path / "trace.json")["traceEvents"]:
        if event["ph"] == "C" and event["pid"] == 1:
            counters.setdefault(event["name"], []).append((event["ts"], event["args"][event["name"]]))
    assert [value for _, value in counters["f"]] == run.curves["value"].tolist()
    assert [value for _, value in counters["iteration k"]] == run.curves["iteration"].tolist()
    expected = np.repeat(run.delays[:, 0], run.delays[:, 2])
    assert sorted(value for _, value in counters["delay"]) == expected.tolist()


def test_discarded_and_stopped_work_has_a_colour_of_its_own() -> None:
    assert set(chrome_trace.COLOURS) == set(OUTCOMES)
    assert len(set(chrome_trace.COLOURS.values())) == len(OUTCOMES)


def test_stops_that_take_effect_later_do_not_overlap_with_the_next_job(tmp_path: Path) -> None:
    workers = {
        "count": 5,
        "compute_time": {"distribution": "exponential", "mean": "i"},
        "stop_takes_effect": {"after": 0.3},
    }
    methods = [{"name": "rennala_sgd", "stepsize": 0.1, "batch_size": 2, "stops": True}]
    where = recorded(tmp_path / "run", workers=workers, methods=methods, seeds=[0])
    trace = traced(Result.read(where, events=False), tmp_path / "trace")
    assert faults(trace) == []
    assert {"stopped", "used"} <= {each["name"] for each in slices(trace)}


def test_without_kept_events_the_recorded_windows_are_drawn_each_assignment_once(tmp_path: Path) -> None:
    result = make_result(seeds=(0,))
    trace = traced(result, tmp_path / "trace")
    assert faults(trace) == []
    drawn = Counter((each["tid"], each["args"]["m"]) for each in slices(trace) if each["tid"] % 2)
    assert set(drawn.values()) == {1}
    assert "recorded windows" in trace["otherData"]["left_out"][0]


def test_a_large_study_is_cut_to_a_bounded_size_and_says_so(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(chrome_trace, "MOST", 90)
    trace = traced(make_result(seeds=range(4)), tmp_path / "trace")
    assert faults(trace) == []
    assert len([event for event in trace["traceEvents"] if event["ph"] == "X"]) <= 3 * 90
    assert len(trace["otherData"]["left_out"]) == 12


def test_a_trace_takes_the_place_of_a_trace_only(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    manifest.write_text("{}")
    with pytest.raises(ValueError, match=r"manifest\.json is there already and is no trace of ours"):
        export(make_result(seeds=(0,)), manifest, "chrome-trace")
    assert manifest.read_text() == "{}"
    for _ in range(2):
        export(make_result(seeds=(0,)), tmp_path / "trace.json", "chrome-trace")


@pytest.mark.parametrize(
    ("seconds", "unit"), [(3e-7, ", 1 s is drawn as 1e+06 s"), (4e11, ", 1 s is drawn as 0.001 s")]
)
def test_very_short_and_very_long_runs_are_drawn_in_another_unit(seconds: float, unit: str, tmp_path: Path) -> None:
    rows = np.zeros(1, INTERVAL)
    rows["computing_to"] = rows["ended"] = seconds
    run = Run("a", "a", {}, seed=0, n=1, time=seconds, intervals=rows)
    trace = traced(Result("x", (run,)), tmp_path / "trace")
    assert names(trace, "process_name") == [f"a, seed 0{unit}"]
    (only,) = slices(trace)
    assert 1 <= only["dur"] <= 1e15


TIMES = st.lists(st.floats(0, 1e6), min_size=4, max_size=4).map(sorted)


@given(st.lists(st.tuples(st.integers(0, 1), TIMES, st.integers(0, 5)), max_size=12))
def test_whatever_the_intervals_no_slices_of_a_track_overlap(tmp_path_factory, lives) -> None:
    rows = np.zeros(len(lives), INTERVAL)
    for m, (worker, times, outcome) in enumerate(lives):
        rows[m]["worker"], rows[m]["m"], rows[m]["outcome"] = worker, m, outcome
        rows[m]["sent"], rows[m]["computing_from"], rows[m]["computing_to"], rows[m]["ended"] = times
    run = Run("a", "a", {}, seed=0, n=2, time=1e6, intervals=rows)
    trace = traced(Result("x", (run,)), tmp_path_factory.mktemp("trace") / "trace")
    assert faults(trace) == []


def test_what_diverged_or_never_came_is_left_out_of_the_counters_and_cut(tmp_path: Path) -> None:
    result = make_result(methods=("hero_sgd",), seeds=(0,))
    run = result.runs[0]
    curves = {**run.curves, "value": np.where(np.arange(41) % 2, np.nan, np.inf)}
    rows = run.intervals.copy()
    rows["computing_to"][-1] = np.inf
    odd = dataclasses.replace(run, curves=curves, intervals=rows)
    trace = traced(dataclasses.replace(result, runs=(odd,)), tmp_path / "trace")
    assert faults(trace) == []
    assert not [event for event in trace["traceEvents"] if event["name"] == "f"]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"ts": -1.0}, "numbers >= 0 are needed"),
        ({"dur": None}, "numbers >= 0 are needed"),
        ({"ph": "B"}, "an event of kind 'B'"),
        ({"name": ""}, "an event of kind 'X' and name ''"),
        ({"tid": 99}, "thread 99 has no name"),
        ({"dur": 1e12}, "slices overlap"),
    ],
)
def test_the_checker_finds(change: dict[str, Any], fault: str, tmp_path: Path) -> None:
    trace = traced(make_result(seeds=(0,)), tmp_path / "trace")
    slices(trace)[0].update(change)
    assert any(fault in found for found in faults(trace))


def test_the_checker_finds_a_counter_that_goes_back_and_a_file_that_is_none() -> None:
    counters = [{"ph": "C", "pid": 1, "name": "f", "ts": ts, "args": {"f": 1.0}} for ts in (2.0, 1.0)]
    assert any("goes back" in found for found in faults({"traceEvents": counters}))
    assert faults({}) == ["there is no list traceEvents"]
