"""The blob the page's scripts draw: shrunk, in plain JSON, and true to what was recorded."""

import dataclasses
import json
import math

import numpy as np
import pytest
from factories import make_result, make_run
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from asyncsim.report import data
from asyncsim.result import AWAY, INTERVAL, POWERS, Result, Run


def unpacked(window):
    """The rows of a packed window as the script reads them: worker, m, four moments, outcome, k, delay."""

    def at(column, row):
        return column if isinstance(column, int) else column[row]

    rows, row = [], 0
    for worker, count in zip(window["worker"], window["count"], strict=True):
        clock = m = k = 0
        for _ in range(count):
            moments = []
            for column in ("gap", "down", "compute", "up"):
                clock += at(window[column], row)
                moments.append(window["start"] + clock * window["tick"])
            m, k = m + at(window["m"], row), k + at(window["k"], row)
            rows.append((worker, m, *moments, int(window["outcome"][row]), k, at(window["delay"], row)))
            row += 1
    return rows


def test_the_blob_is_plain_json_without_nan():
    text = json.dumps(data.blob(make_result()), allow_nan=False)
    assert set(json.loads(text)) >= {"methods", "curves", "delays", "shares", "timeline", "target", "reached"}


def test_the_median_lies_between_the_quartiles():
    x = np.arange(4.0)
    band = data.merged([(x, np.full(4, value)) for value in (1.0, 2.0, 3.0, 4.0, 5.0)])
    assert (band["lower"][0], band["median"][0], band["upper"][0]) == (2.0, 3.0, 4.0)


def test_one_seed_is_drawn_as_it_was_recorded_and_has_no_band():
    x, y = np.array([0.0, 1.0, 3.0]), np.array([1.0, 0.5, 0.25])
    assert data.merged([(x, y)]) == {"x": [0, 1, 3], "median": [1, 0.5, 0.25]}


def test_between_record_points_a_positive_curve_is_interpolated_in_its_logarithm():
    line = data.merged(
        [(np.array([0.0, 2.0]), np.array([1.0, 1e-4])), (np.array([0.0, 1.0, 2.0]), np.array([1.0, 1e-2, 1e-4]))]
    )
    assert line["lower"][1] == line["upper"][1] == pytest.approx(1e-2)


def test_between_record_points_a_curve_that_is_not_positive_stays_at_the_earlier_value():
    line = data.merged(
        [(np.array([0.0, 2.0]), np.array([0.0, 8.0])), (np.array([0.0, 1.0, 2.0]), np.array([0.0, 0.0, 8.0]))]
    )
    assert line["median"] == [0, 0, 8]


def test_a_seed_that_has_ended_counts_with_its_last_value():
    early, late = (np.array([0.0, 1.0]), np.array([1.0, 0.5])), (np.array([0.0, 3.0]), np.array([1.0, 0.5]))
    assert data.merged([early, early, late])["median"][-1] == 0.5
    assert data.merged([early, early, late])["x"][-1] == 3


def test_a_curve_that_diverged_leaves_a_gap_and_spoils_no_median():
    x = np.arange(3.0)
    broken = (x, np.array([1.0, math.nan, math.inf]))
    assert data.merged([broken])["median"] == [1, None, None]
    whole = (x, np.array([1.0, 1.0, 1.0]))
    assert data.merged([whole, whole, broken])["median"] == [1, 1, 1]


@given(
    st.lists(arrays(float, 5, elements=st.floats(allow_nan=True, allow_infinity=True)), min_size=1, max_size=4),
    st.data(),
)
def test_any_curves_can_be_merged(columns, draw):
    xs = [np.sort(draw.draw(arrays(float, 5, elements=st.floats(0, 1e9)))) for _ in columns]
    line = data.merged(list(zip(xs, columns, strict=True)), points=7)
    assert len(line["x"]) == len(line["median"]) <= 7
    json.dumps(line, allow_nan=False)


def test_long_curves_are_thinned_and_keep_both_ends():
    x = np.linspace(0, 100, 10_001)
    line = data.merged([(x, np.exp(-x))])
    assert len(line["x"]) <= data.POINTS
    assert (line["x"][0], line["x"][-1]) == (0, 100)


def test_delays_are_added_over_seeds():
    runs = [dataclasses.replace(make_run(seed=seed), delays=np.array([[0, 2, 3], [seed, 1, 1]])) for seed in (4, 5)]
    assert data.delays(runs) == {"delay": [0, 4, 5], "width": 1, "used": [4, 1, 1], "arrived": [6, 1, 1]}


def test_more_than_200_delays_are_drawn_in_bins_that_lose_no_gradient():
    table = np.stack([np.arange(1234), np.full(1234, 2), np.full(1234, 3)], axis=1)
    bars = data.delays([dataclasses.replace(make_run(), delays=table)])
    assert len(bars["delay"]) <= data.BINS
    assert (sum(bars["used"]), sum(bars["arrived"])) == (2 * 1234, 3 * 1234)
    assert all(delay % bars["width"] == 0 for delay in bars["delay"])


def test_shares_of_the_used_gradients_add_up_to_one_and_silent_workers_are_counted():
    shares = data.shares(make_result(methods=("hero_sgd",), n=8), "hero_sgd")
    assert shares["worker"] == [0]
    assert sum(shares["share"]) == pytest.approx(1)
    assert shares["silent"] == 7


def test_thousands_of_workers_are_thinned_to_a_bounded_number_of_dots():
    result = make_result(methods=("hero_sgd",), seeds=(0,), n=1)
    many = {key: np.resize(column, 5000) for key, column in result.runs[0].workers.items()}
    result = dataclasses.replace(result, runs=(dataclasses.replace(result.runs[0], n=5000, workers=many),))
    assert len(data.shares(result, "hero_sgd")["worker"]) == data.DOTS


def test_a_method_that_stops_long_work_does_not_make_its_workers_look_fast():
    # rennala_sgd stops here: what arrives of worker 7 is shorter than what it computes
    both = data.mean_times(make_result(methods=("rennala_sgd", "asynchronous_sgd"), n=8))
    alone = data.mean_times(make_result(methods=("asynchronous_sgd",), n=8))
    assert both.tolist() == alone.tolist()


def test_workers_are_as_fast_as_their_gradients_that_arrived_where_nothing_else_is_known():
    assert np.isfinite(data.mean_times(make_result(methods=("rennala_sgd",), n=2))).all()


def test_slices_of_a_heat_map_hold_every_gradient_that_arrived_once():
    result = make_result(methods=("asynchronous_sgd",), seeds=(5, 6), n=8, points=201)
    drawn = data.deliveries(result)
    panel = drawn["panels"]["asynchronous_sgd"]
    counts = np.array(panel["counts"]).reshape(-1, 8)
    assert drawn["seed"] == 5
    assert (panel["edges"][0], panel["edges"][-1]) == (0, 60)
    assert len(counts) == len(panel["edges"]) - 1 == data.SLICES
    assert counts.sum(axis=0).tolist() == result.runs[0].contributions[-1].tolist()
    assert counts.sum(axis=1).tolist() == panel["totals"]


def test_a_short_record_has_a_slice_between_each_two_points():
    panel = data.deliveries(make_result(methods=("rennala_sgd",), points=4))["panels"]["rennala_sgd"]
    assert panel["edges"] == [0, 20, 40, 60]
    assert data.deliveries(make_result(methods=("rennala_sgd",), points=1))["panels"] == {}


def test_of_many_workers_the_shares_are_shares_of_all():
    run = make_run("hero_sgd", n=3)
    wide = dataclasses.replace(run, n=1000, contributions=run.contributions[:, :2])
    panel = data._slices(wide)
    assert panel["workers"] == [0, 999]
    assert sum(panel["totals"]) == run.curves["gradients_used"][-1]


def test_allocations_are_compared_when_the_same_rounds_are_over():
    run = make_run(points=3)
    curves = run.curves | {"iteration": np.array([0, 10, 20.0]), "time": np.array([0, 5, 30.0])}
    result = Result("x", (dataclasses.replace(run, curves=curves),))
    assert data.after_rounds(result, run.label, 15)["time"] == 17.5


def test_the_more_methods_the_fewer_points_a_curve_has():
    def points(count):
        result = make_result(methods=("hero_sgd",) * count, seeds=(0,), n=1, points=500, time=10.0)
        return len(data.curves(result, "hero_sgd")["time"]["squared_gradient_norm"]["x"])

    assert (points(3), points(20)) == (data.POINTS, 100)


def test_colours_go_by_the_scenario_and_of_many_methods_to_the_best_first():
    few = make_result(methods=("hero_sgd", "rennala_sgd"), reached={"rennala_sgd": 10.0})
    assert data.styles(few) == ["hero_sgd", "rennala_sgd"]
    many = make_result(
        methods=("hero_sgd",) * 9 + ("rennala_sgd",), n=2, seeds=(0,), points=5, reached={"rennala_sgd": 10.0}
    )
    assert data.styles(many)[0] == "rennala_sgd"


@pytest.mark.parametrize("window", [0, 1, 2])
def test_packed_intervals_come_back_to_a_millionth_of_their_window(window):
    run = make_run("rennala_sgd", n=5)
    rows = run.intervals[run.intervals["window"] == window]
    packed = data._window(rows, window, 10_000)
    expected = sorted(
        (
            r["worker"],
            r["m"],
            r["sent"],
            r["computing_from"],
            r["computing_to"],
            r["ended"],
            r["outcome"],
            r["k"],
            r["k"] - r["version"],
        )
        for r in rows
    )
    assert len(expected) > 10
    np.testing.assert_allclose(unpacked(packed), expected, rtol=0, atol=packed["tick"])


def test_what_never_ends_is_drawn_up_to_the_end_of_the_window():
    rows = np.zeros(2, INTERVAL)
    rows["worker"], rows["sent"], rows["computing_from"] = [0, 1], [1.0, 2.0], [1.5, np.nan]
    rows["computing_to"], rows["ended"], rows["outcome"] = [np.inf, np.inf], [10.0, np.inf], 5
    packed = data._window(rows, 0, 10)
    assert packed["end"] == 10
    assert [row[5] for row in unpacked(packed)] == pytest.approx([10, 10], rel=1e-5)


def test_a_later_window_starts_where_its_first_assignment_ended():
    rows = np.zeros(2, INTERVAL)
    rows["window"], rows["worker"], rows["sent"] = 1, [0, 1], [10.0, 90.0]
    for column in ("computing_from", "computing_to", "ended"):
        rows[column] = [100.0, 99.0]
    packed = data._window(rows, 1, 10)
    assert (packed["start"], packed["end"]) == (99, 100)
    assert [row[2] for row in unpacked(packed)] == pytest.approx([10, 90], abs=1e-4)


def test_too_many_intervals_are_cut_at_a_moment_for_all_workers():
    run = make_run(n=5)
    rows = run.intervals[run.intervals["window"] == 0]
    packed = data._window(rows, 0, 7)
    assert len(packed["outcome"]) <= 7
    assert packed["end"] < rows["ended"].max()
    assert all(row[5] <= packed["end"] + packed["tick"] for row in unpacked(packed))


def test_a_job_sent_to_a_worker_that_is_still_at_a_stopped_one_is_drawn_from_the_end_of_that():
    rows = np.zeros(4, INTERVAL)
    rows["worker"], rows["m"], rows["outcome"] = [0, 0, 0, 1], [0, 1, 2, 0], [2, 0, 0, 0]
    rows["sent"], rows["computing_from"] = [0.0, 2.0, 8.0, 1.0], [0.0, 5.0, 8.0, 1.0]
    rows["computing_to"], rows["ended"] = [5.0, 7.0, 9.0, 9.0], [5.0, 8.0, 9.0, 9.0]
    drawn = [row[2:6] for row in unpacked(data._window(rows, 0, 10))]
    np.testing.assert_allclose(drawn, [[0, 0, 5, 5], [5, 5, 7, 8], [8, 8, 9, 9], [1, 1, 9, 9]], atol=1e-4)


def test_absences_lie_in_their_window_and_of_too_many_the_longest_are_drawn():
    rows = np.zeros(2, INTERVAL)
    rows["window"], rows["worker"] = 1, [0, 1]
    for column in ("sent", "computing_from", "computing_to", "ended"):
        rows[column] = [10.0, 20.0]
    away = np.array([(0, 0.0, 5.0), (0, 8.0, 12.0), (0, 13.0, 14.0), (2, 18.0, 30.0), (2, 31.0, 32.0)], AWAY)
    packed = data._with_away(data._window(rows, 1, 10), away, 2)
    told = [[worker, *(packed["start"] + np.array(ticks) * packed["tick"])] for worker, *ticks in packed["away"]]
    assert told == [pytest.approx([0, 10, 12]), pytest.approx([2, 18, 20])]


def test_powers_lie_in_their_window_and_of_too_many_neighbours_are_made_one():
    rows = np.zeros(2, INTERVAL)
    rows["window"], rows["worker"] = 1, [0, 1]
    for column in ("sent", "computing_from", "computing_to", "ended"):
        rows[column] = [10.0, 20.0]
    powers = np.array([(0, 0.0, 12.0, 1.0), (0, 12.0, 18.0, 0.5), (0, 18.0, 30.0, 0.1), (2, 0.0, 9.0, 1.0)], POWERS)

    def told(most):
        packed = data._with_powers(data._window(rows, 1, 10), powers, most)
        ((worker, *parts),) = packed["powers"]
        ends = packed["start"] + packed["tick"] * np.array(parts).reshape(-1, 3)[:, :2]
        return worker, ends.ravel().tolist(), parts[2::3]

    assert told(3) == (0, pytest.approx([10, 12, 12, 18, 18, 20]), [1.0, 0.5, 0.1])
    assert told(2) == (0, pytest.approx([10, 18, 18, 20]), [0.625, 0.1])
    assert told(1) == (0, pytest.approx([10, 20]), [0.52])


def test_a_window_without_absences_says_nothing_of_them():
    run = make_run(n=3)
    assert all("away" not in panel for panel in data.timeline(Result("study", (run,)))["panels"][run.label]["0"])


def test_the_timeline_holds_three_seeds_at_most():
    assert data.timeline(make_result(seeds=range(5), n=2))["seeds"] == ["0", "1", "2"]


def test_the_timeline_holds_one_seed_where_more_do_not_fit(monkeypatch):
    result = make_result(seeds=range(3), n=3)
    monkeypatch.setattr(data, "INTERVALS", 200)
    timeline = data.timeline(result)
    assert timeline["seeds"] == ["0"]
    kept = sum(
        len(window["outcome"])
        for seeds in timeline["panels"].values()
        for panel in seeds.values()
        for window in panel
        if window
    )
    assert kept <= 200


def test_all_methods_show_the_same_workers_even_those_that_were_never_asked():
    assert data.timeline(make_result(methods=("hero_sgd", "minibatch_sgd"), n=4))["workers"] == [0, 1, 2, 3]


def test_the_value_of_f_is_offered_only_where_the_smallest_value_is_unknown():
    result = make_result()
    assert "value" not in data.quantities(result)
    unknown = dataclasses.replace(
        result,
        runs=tuple(
            dataclasses.replace(run, curves=run.curves | {"suboptimality": np.full(41, np.nan)}) for run in result.runs
        ),
    )
    assert data.quantities(unknown) == ["squared_gradient_norm", "mean_squared_gradient_norm", "value"]


def test_a_timing_only_problem_is_drawn_by_its_iterations_and_gradients():
    assert data.quantities(dataclasses.replace(make_result(), problem={"name": "none", "dimension": 0})) == [
        "iteration",
        "gradients_used",
    ]


def test_a_run_that_was_killed_before_its_first_record_has_empty_parts():
    result = dataclasses.replace(make_result(), runs=(Run(label="a", method="a", parameters={}, seed=0, n=3),))
    blob = data.blob(result)
    assert blob["delays"]["a"]["delay"] == blob["shares"]["a"]["worker"] == []
    assert blob["timeline"]["panels"]["a"] == {"0": [None, None, None]}
