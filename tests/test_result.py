"""Runs and results are plain data that can tell their totals."""

import itertools
import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from factories import make_result, make_run

from asyncsim.result import CURVES, OUTCOMES, Result, Run, no_workers, unique_labels


def test_totals_are_sums_over_workers_and_balance() -> None:
    for run in make_result(methods=("rennala_sgd", "ringmaster_asgd", "minibatch_sgd")).runs:
        assert run.sent == run.used + run.discarded + run.stopped + run.timed_out + run.lost + run.in_flight > 0
        assert run.stopped == run.workers["stopped"].sum()


def test_delays_are_those_of_used_gradients() -> None:
    delays = np.array([[0, 3, 3], [2, 1, 4], [7, 0, 5]])
    run = Run("a", "a", {}, seed=0, n=1, delays=delays)
    assert run.mean_delay == 0.5
    assert run.largest_delay == 2  # delay 7 arrived, but was not used


def test_a_run_without_used_gradients_has_no_mean_delay() -> None:
    run = Run("a", "a", {}, seed=0, n=1)
    assert math.isnan(run.mean_delay)
    assert run.largest_delay == 0


def test_busy_share_counts_all_workers_over_the_whole_time() -> None:
    workers = no_workers(2) | {"busy_seconds": np.array([10.0, 5.0])}
    assert Run("a", "a", {}, seed=0, n=2, time=10.0, workers=workers).busy_share == 0.75


def test_busy_share_is_unknown_when_no_time_has_passed() -> None:
    assert math.isnan(Run("a", "a", {}, seed=0, n=2, workers=no_workers(2)).busy_share)


def test_a_run_that_was_killed_tells_its_totals_from_its_last_record_point() -> None:
    whole = make_run("rennala_sgd")
    killed = Run("a", "a", {}, seed=0, n=8, curves=whole.curves)
    assert killed.used == whole.curves["gradients_used"][-1] > 0
    assert killed.stopped == whole.curves["gradients_stopped"][-1]
    assert killed.sent == 0  # the curves do not know


def test_a_run_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        make_run().time = 3.0  # type: ignore[misc]


def test_runs_and_results_show_themselves_in_one_line() -> None:
    result = make_result(seeds=(3,))
    assert repr(result) == "<Result made by hand: 3 methods × 1 seed>"
    assert repr(result.runs[0]).startswith("<Run ringmaster_asgd seed 3: finished, ")
    assert "\n" not in repr(result.runs)


def test_runs_are_found_by_their_label() -> None:
    result = make_result(methods=("hero_sgd", "hero_sgd"), seeds=(4, 7))
    assert result.labels == ["hero_sgd", "hero_sgd 2"]
    assert result.seeds == [4, 7]
    assert [run.seed for run in result.of("hero_sgd 2")] == [4, 7]


def test_an_unknown_label_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no method is called 'adam' here; there are hero_sgd"):
        make_result(methods=("hero_sgd",)).of("adam")


def test_labels_stay_apart_even_when_somebody_chose_the_numbered_one() -> None:
    assert unique_labels(["a", "a", "a 2"]) == ["a", "a 3", "a 2"]


def test_the_table_comes_as_one_mapping_a_method() -> None:
    rows = make_result().table()
    assert [row["method"] for row in rows] == ["ringmaster_asgd", "rennala_sgd", "asynchronous_sgd"]


def test_the_sentence_is_that_of_the_summary() -> None:
    assert make_result().sentence().startswith("ringmaster_asgd reached")


def test_without_a_folder_the_report_needs_a_path() -> None:
    with pytest.raises(ValueError, match="say where the report goes"):
        make_result().report()


def test_a_result_from_python_has_no_scenario_text() -> None:
    assert Result("x", ()).scenario_text == ""


@pytest.mark.parametrize("method", ["ringmaster_asgd", "rennala_sgd", "minibatch_sgd", "hero_sgd"])
def test_the_factory_makes_runs_that_fit_together(method: str) -> None:
    run = make_run(method, events=True)
    assert set(run.curves) == set(CURVES)
    assert run.delays[:, 2].sum() == run.used + run.discarded
    assert run.delays[:, 1].sum() == run.used
    assert run.curves["iteration"][-1] == run.iterations
    assert set(run.intervals["window"].tolist()) == {0, 1, 2}
    assert set(run.intervals["outcome"].tolist()) <= set(range(len(OUTCOMES)))
    order = ["sent", "computing_from", "computing_to", "ended"]
    assert all((run.intervals[a] <= run.intervals[b]).all() for a, b in itertools.pairwise(order))
    assert run.events is not None
    assert (np.diff(run.events["time"]) >= 0).all()
