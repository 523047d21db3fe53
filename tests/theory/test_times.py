"""Time complexities at their corners, and the seconds that workers are proven to need."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsim import Exponential, LogNormal, NoProblem, Record, RennalaSGD, RingmasterASGD, Stop, Workers, simulate
from asyncsim.theory import (
    completion_time,
    convex_heterogeneous_complexity,
    equilibrium_time,
    harmonic_mean_reaches,
    harmonic_means,
    hero_beats_local_steps,
    heterogeneous_complexity,
    homogeneous_complexity,
    local_lower_bound,
    malenia_round,
    ringleader_round,
    ringmaster_window,
    strongly_convex_heterogeneous_complexity,
    synchronous_complexity,
    universal_times,
)

TIMES = st.lists(st.integers(1, 40), min_size=1, max_size=6)
FEW = Record(iterations=10**6)
KNOWN = {"L": 2.0, "Delta": 3.0, "sigma2": 1.5, "epsilon": 0.1}


def rounds(method, times, iterations):
    """Seconds that a method took for so many iterations on workers with constant times."""
    return simulate(method, NoProblem(), Workers(len(times), times), stop=Stop(iterations=iterations), record=FEW).time


@given(TIMES)
def test_the_harmonic_means_are_those_of_the_fastest_in_any_order(times):
    found = harmonic_means(np.array(times[::-1], dtype=float))
    for m, hm in enumerate(found, 1):
        assert hm == pytest.approx(m / sum(1 / τ for τ in sorted(times)[:m]))
    assert (np.diff(found) >= -1e-12).all()


@given(TIMES, st.floats(0, 5))
def test_the_best_prefix_is_the_best_subset(times, sigma2):
    known = KNOWN | {"sigma2": sigma2}
    subsets = (c for size in range(1, len(times) + 1) for c in itertools.combinations(times, size))
    scale = known["L"] * known["Delta"] / known["epsilon"]
    by_force = min(len(c) / sum(1 / τ for τ in c) * scale * (1 + sigma2 / (len(c) * known["epsilon"])) for c in subsets)
    assert homogeneous_complexity(np.array(times, dtype=float), **known) == pytest.approx(by_force, rel=1e-12)


@given(TIMES)
def test_a_worker_that_never_returns_changes_nothing_for_homogeneous_data_and_ends_it_all_for_heterogeneous(times):
    τ = np.array(times, dtype=float)
    assert homogeneous_complexity(np.append(τ, math.inf), **KNOWN) == homogeneous_complexity(τ, **KNOWN)
    for known in (KNOWN, {**KNOWN, "sigma2": 0.0}):
        assert heterogeneous_complexity(np.append(τ, math.inf), **known) == math.inf
    for bound, of in (
        (convex_heterogeneous_complexity, {"distance": 1.0}),
        (strongly_convex_heterogeneous_complexity, {"mu": 1.0}),
    ):
        assert bound(np.append(τ, math.inf), L=2.0, sigma2=0.0, epsilon=0.1, **of) == math.inf


@given(TIMES, st.integers(1, 12), st.booleans(), st.integers(1, 12))
def test_rennala_makes_its_steps_within_t_star_each(times, S, stops, K):
    τ = np.array(times, dtype=float)
    assert rounds(RennalaSGD(1.0, S, stops=stops), times, K) <= K * equilibrium_time(τ, S) * (1 + 1e-9)
    assert completion_time(τ, K * S, K) == pytest.approx(K * equilibrium_time(τ, S))


@given(TIMES, st.integers(1, 12), st.booleans(), st.integers(1, 40))
def test_ringmaster_makes_its_updates_within_t_star_of_each_r(times, R, stops, K):
    bound = completion_time(np.array(times, dtype=float), K, math.ceil(K / R))
    assert rounds(RingmasterASGD(1.0, R, stops=stops), times, K) <= bound * (1 + 1e-9)
    assert bound <= math.ceil(K / R) * ringmaster_window(np.array(times, dtype=float), R) / 2 * (1 + 1e-9)


@pytest.mark.parametrize("stops", [False, True])
@pytest.mark.parametrize(
    "law", [Exponential, lambda mean: LogNormal(math.log(mean) - 2.0, 2.0)], ids=["exponential", "lognormal"]
)
def test_with_random_times_the_bound_holds_on_average(law, stops):
    """Wald: the mean over 12 seeds of the time of 20 steps, whose bound is for the expected time."""
    means = [1.0, 2.0, 4.0, 9.0]
    workers = Workers(4, [law(mean) for mean in means])
    for method, K in ((RennalaSGD(1.0, 5, stops=stops), 20), (RingmasterASGD(1.0, 5, stops=stops), 100)):
        took = [
            simulate(method, NoProblem(), workers, stop=Stop(iterations=K), seed=seed, record=FEW).time
            for seed in range(12)
        ]
        assert np.mean(took) <= completion_time(np.array(means), 100, 20)


def test_rounds_that_wait_for_everybody():
    τ = np.array([1.0, 2.0, 6.0])
    assert malenia_round(τ, S=3, stops=True) == 6.0
    assert malenia_round(τ, S=3) == 12.0
    assert malenia_round(τ, S=30, stops=True) == 2 * 3.0 * 10
    assert ringleader_round(τ) == 12.0


@given(st.floats(0.01, 100), st.floats(0.01, 100), st.floats(0, 50), st.floats(0.01, 1))
def test_hero_crosses_the_rounds_where_an_exchange_costs_the_gradients_of_a_good_step(τ, h, sigma2, epsilon):
    """With so many workers that their noise is nothing, the complexities differ by at most a factor of 2 at the crossing."""
    n = 10**9
    known = {"L": 1.0, "Delta": 1.0, "sigma2": sigma2, "epsilon": epsilon}
    hero = synchronous_complexity(0.0, h, 1, 1, **known)
    all_of_them = synchronous_complexity(τ, h, n, 1, **known)
    if hero_beats_local_steps(τ, h, sigma2, epsilon):
        assert hero <= 2 * all_of_them * (1 + 1e-6)
    else:
        assert all_of_them <= 2 * hero * (1 + 1e-6)
    assert local_lower_bound(τ, h, n, **known) <= 2 * min(hero, all_of_them) * (1 + 1e-6)


# ---- the universal model


@given(TIMES, st.integers(1, 9))
def test_constant_speeds_in_the_universal_model_are_the_fixed_model(times, S):
    τ = np.array(times, dtype=float)
    found = universal_times(lambda t: t / τ, lambda counts: counts.sum() >= S, rounds=3)
    assert found[-1] == pytest.approx(rounds(RennalaSGD(1.0, S, stops=True), times, 3), rel=1e-9)


def test_speeds_that_change_and_outages():
    """Worker 0 rests from 2 to 10, worker 1 has one gradient in 4 s: five gradients are 0, 0, 1 (at 4), 1 (at 8), 0 (at 11)."""

    def work(t):
        return np.array([min(t, 2.0) + max(0.0, t - 10.0), t / 4])

    assert universal_times(work, lambda counts: counts.sum() >= 5, rounds=1)[1] == pytest.approx(11.0)


def test_both_stopping_rules_and_what_never_comes():
    speeds = np.array([1.0, 0.25])
    everybody = universal_times(lambda t: speeds * t, lambda counts: harmonic_mean_reaches(counts, 1), rounds=2)
    assert everybody.tolist() == pytest.approx([0.0, 4.0, 8.0])
    never = universal_times(lambda t: np.minimum(speeds * t, 3.0), lambda counts: counts.sum() >= 4, rounds=3)
    assert never.tolist()[1:] == [pytest.approx(4.0), math.inf, math.inf]


@pytest.mark.parametrize("horizon", [9.0, 9.5, 12.0, 15.9, 16.0, 17.9, 18.0, 1e12])
def test_what_comes_by_the_horizon_is_found_wherever_the_horizon_lies(horizon):
    found = universal_times(lambda t: np.array([t]), lambda counts: counts.sum() >= 9, rounds=3, horizon=horizon)
    all_of_them = [0.0, 9.0, 18.0, 27.0]
    assert found.tolist() == [pytest.approx(t) if t <= horizon else math.inf for t in all_of_them]


@pytest.mark.parametrize("horizon", [0.0, 8.9])
def test_what_comes_after_the_horizon_is_not_looked_for(horizon):
    found = universal_times(lambda t: np.array([t]), lambda counts: counts.sum() >= 9, rounds=1, horizon=horizon)
    assert found.tolist() == [0.0, math.inf]
