"""Ratios of times to the target: compared seed by seed, with intervals that are the same on any day."""

import dataclasses
import math
import re

import numpy as np
import pytest
from factories import make_result, make_run
from hypothesis import given
from hypothesis import strategies as st

from asyncsim import summary
from asyncsim.ratios import interval, quantile, ratios, sentence


def reaching(**times):
    """Methods that reach the target after so many seconds, a list a method, one number a seed."""
    seeds = range(max(len(each) for each in times.values()))
    return make_result(
        methods=tuple(times), seeds=tuple(seeds), n=2, points=601, reached=lambda label, seed: times[label][seed]
    )


def test_a_ratio_is_the_median_of_the_ratios_seed_by_seed():
    rows = ratios(reaching(hero_sgd=[10, 20, 10], rennala_sgd=[20, 30, 50]))
    assert [row.label for row in rows] == ["hero_sgd", "rennala_sgd"]
    # 2, 1.5 and 5: the medians alone would say 3
    assert rows[1].ratio == pytest.approx(2, rel=0.02)
    assert (rows[1].low, rows[1].high) == pytest.approx((1.5, 5), rel=0.02)
    assert (rows[1].pairs, rows[1].behind) == (3, 3)
    assert rows[0].ratio == 1


def test_times_have_their_quartiles():
    rows = ratios(reaching(hero_sgd=[10, 20, 30, 40, 50], rennala_sgd=[50, 50, 50, 50, 50]))
    assert (rows[0].lower, rows[0].median, rows[0].upper) == pytest.approx((20, 30, 40), rel=0.02)


def test_who_never_reached_the_target_is_at_least_as_late_as_it_ran():
    rows = ratios(reaching(hero_sgd=[10, 10, 10], rennala_sgd=[None, None, 30]))
    assert math.isinf(rows[1].ratio)
    assert rows[1].at_least == pytest.approx(6, rel=0.02)  # 60 s without it, against 10
    assert rows[1].reached == 1
    assert re.search(r"takes over (6|5\.9) times as long as hero_sgd", sentence(rows))


def test_a_seed_that_nobody_finished_says_nothing():
    rows = ratios(reaching(hero_sgd=[10, 10, 10, None], rennala_sgd=[20, 20, 20, None]))
    assert rows[1].pairs == 3


def test_no_interval_is_given_of_two_seeds():
    rows = ratios(reaching(hero_sgd=[10, 10], rennala_sgd=[20, 40]))
    assert math.isnan(rows[1].low)
    assert sentence(rows).endswith("times as long as hero_sgd; of 2 seeds no interval can be given.")


def test_an_interval_that_contains_one_is_said_to_leave_the_order_open():
    rows = ratios(reaching(hero_sgd=[10, 20, 10, 12, 10], rennala_sgd=[12, 10, 11, 12, 13]))
    assert rows[1].low < 1 < rows[1].high
    assert "the order of the two is open" in sentence(rows)


def test_without_a_target_or_anybody_who_reached_it_there_are_no_ratios():
    assert ratios(make_result(target=None)) == []
    assert ratios(make_result(reached=False)) == []
    assert sentence([]) == ""


def test_the_same_runs_give_the_same_interval():
    result = reaching(hero_sgd=[10, 11, 12, 9, 10], rennala_sgd=[20, 31, 25, 29, 40])
    again = dataclasses.replace(result, runs=tuple(reversed(result.runs)))
    assert [row.label for row in ratios(again)] == [row.label for row in ratios(result)]
    assert repr(ratios(result)) == repr(ratios(result))  # nan is not equal to itself


@given(st.lists(st.floats(0.1, 100) | st.just(math.inf), min_size=3, max_size=12))
def test_an_interval_lies_within_what_was_seen_and_around_the_median(values):
    ordered = np.sort(np.array(values))
    low, high = interval(np.array(values))
    assert ordered[0] <= low <= quantile(ordered, 0.5) * (1 + 1e-12)
    assert quantile(ordered, 0.5) * (1 - 1e-12) <= high <= ordered[-1]


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=20), st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]))
def test_a_quantile_is_that_of_numpy(values, share):
    assert quantile(np.sort(np.array(values)), share) == pytest.approx(np.quantile(values, share), abs=1e-9)


def test_the_bootstrap_covers_the_true_median_about_as_often_as_it_says():
    rng = np.random.default_rng(7)
    inside = [low <= 1.0 <= high for low, high in (interval(np.exp(rng.normal(0, 0.3, 15))) for _ in range(120))]
    assert 0.86 <= np.mean(inside) <= 1.0


# ---- runs that ended without the target


def ended(label, seed, at, status="finished"):
    """A run that ended after so many seconds without the target."""
    run = make_run(label, seed=seed, n=2, reach=None, time=at)
    return dataclasses.replace(run, status=status)


def against(best, others):
    """hero_sgd, which reaches the target after so many seconds a seed, and the runs of others."""
    result = reaching(hero_sgd=best)
    return dataclasses.replace(result, runs=(*result.runs, *others))


@pytest.mark.parametrize("status", ["diverged", "stalled", "failed"])
def test_who_will_never_reach_the_target_has_no_bound_whenever_it_ended(status):
    for at in (1.0, 50.0):
        result = against([10, 10, 10], [ended("rennala_sgd", seed, at, status) for seed in range(3)])
        rows = ratios(result)
        assert (rows[1].ratio, rows[1].behind, rows[1].at_least) == (math.inf, 3, math.inf)
        assert math.isnan(rows[1].bound)
        assert sentence(rows) == "rennala_sgd did not reach the target with any of 3 seeds."


def test_a_run_that_ended_before_the_best_was_there_says_nothing_as_in_the_summary():
    result = against([50] * 5, [ended("rennala_sgd", seed, 20.0) for seed in range(5)])
    rows = ratios(result)
    assert (rows[1].pairs, rows[1].behind, rows[1].silent) == (0, 0, 5)
    assert math.isnan(rows[1].ratio)
    assert sentence(rows) == (
        "rennala_sgd ended before the time at which hero_sgd reached the target: how many times as long it takes is open."
    )
    assert "rennala_sgd ended before the time at which hero_sgd reached" in summary.sentence(result)


def test_only_the_seeds_that_say_something_count():
    short = [ended("rennala_sgd", seed, 20.0) for seed in range(2)]
    there = [make_run("rennala_sgd", seed=seed, n=2, reach=30.0, points=601) for seed in (2, 3, 4)]
    rows = ratios(against([40, 40, 10, 10, 10], [*short, *there]))
    assert (rows[1].pairs, rows[1].silent, rows[1].behind) == (3, 2, 3)
    assert rows[1].ratio == pytest.approx(3, rel=0.02)


def test_of_who_reached_the_target_with_some_seeds_it_is_said_with_how_many():
    rows = ratios(reaching(hero_sgd=[10] * 4, rennala_sgd=[50, 50, None, None]))
    assert sentence(rows).startswith("rennala_sgd reached the target with 2 of 4 seeds only; it takes over ")


def test_an_interval_with_one_and_infinity_in_it_leaves_the_order_open_too():
    result = reaching(hero_sgd=[10, 10, 10, None, None], rennala_sgd=[None, None, None, 20, 20])
    rows = ratios(result)
    assert (rows[1].low, rows[1].high) == (0, math.inf)
    assert "the order of the two is open" in sentence(rows)
    assert "no clear winner" in summary.sentence(result)


def test_a_bound_of_one_or_less_is_not_told():
    rows = ratios(reaching(hero_sgd=[59.9] * 3, rennala_sgd=[None] * 3))
    assert rows[1].at_least == pytest.approx(1, abs=0.01)
    same = dataclasses.replace(rows[1], at_least=1.0)
    assert "over" not in sentence([rows[0], same])


def test_methods_without_a_common_seed_are_not_compared():
    result = reaching(hero_sgd=[10], rennala_sgd=[20])
    moved = [dataclasses.replace(run, seed=1) if run.label == "rennala_sgd" else run for run in result.runs]
    rows = ratios(dataclasses.replace(result, runs=tuple(moved)))
    assert sentence(rows) == "rennala_sgd and hero_sgd have no seed that tells how many times as long one takes."
