"""Local SGD, and what is said of the family with local steps: identities, time complexity, drift."""

import dataclasses
import functools

import numpy as np
import pytest
from toys import Noisy, bits, differences, differing_numbers

from asyncsim import (
    DecayingLocalSGD,
    DriftSensitive,
    DualLocalSGD,
    Exponential,
    HeroSGD,
    Knowledge,
    LocalSGD,
    MinibatchSGD,
    Record,
    Stop,
    Workers,
    simulate,
)
from asyncsim.testing import resumed, scripted
from asyncsim.theory import birch_stepsize, local_steps, local_stepsize

EVERY = Record(iterations=1)


def test_a_round_by_hand():
    """z: 8 → 4 → 2 at both workers, so x¹ is the mean of the end points, 2."""
    trace = scripted(LocalSGD(stepsize=0.5, local_steps=2), [1, 0, 0], n=2, x0=[8.0])
    assert [x.item() for x in trace.iterates] == [8.0, 2.0]
    assert trace.workers("sent") == [0, 1, 0, 1]
    assert trace.workers("used") == [1, 0]


def test_the_step_is_the_mean_of_the_end_points_of_workers_with_gradients_of_their_own():
    """∇f_i = x − i at worker i, one worker after the other with three local steps."""
    trace = scripted(LocalSGD(0.1, local_steps=3), [0, 1, 2], n=3, x0=[1.0, 5.0], gradient=lambda x, worker: x - worker)
    ends = [worker + 0.9**3 * (np.array([1.0, 5.0]) - worker) for worker in range(3)]
    assert trace.iterates[1] == pytest.approx(np.mean(ends, axis=0))


def test_a_round_takes_the_slowest_workers_messages_and_local_steps():
    workers = Workers(3, [1.0, 2.0, 3.0], uplink=[20.0, 10.0, 5.0], downlink=1.0)
    run = simulate(LocalSGD(0.1, local_steps=4), Noisy(), workers, stop=Stop(iterations=5), record=EVERY)
    assert run.time == 5 * (1.0 + 4 * 1.0 + 20.0)
    assert run.used == 5 * 3 * 4


def values(method, workers, iterations=12, seed=5):
    run = simulate(method, Noisy(), workers, stop=Stop(iterations=iterations), seed=seed, record=EVERY)
    return run, run.curves["value"]


def random_times(n: int) -> Workers:
    return Workers(n, lambda worker: Exponential(1.0 + worker), uplink=0.5)


@pytest.mark.parametrize("n", [1, 2, 8])
@pytest.mark.parametrize(
    "same", [LocalSGD(8 * 0.03125, 1), DualLocalSGD(0.03125, 1), DecayingLocalSGD(0.03125, 1)], ids=repr
)
def test_with_one_local_step_all_of_the_family_are_minibatch_sgd_bit_by_bit(n, same):
    """Of n = 2^p workers and stepsizes that are powers of two, so that dividing by n is exact."""
    if isinstance(same, LocalSGD):
        same = dataclasses.replace(same, stepsize=n * 0.03125)
    minibatch = values(MinibatchSGD(n * 0.03125), random_times(n))[0]
    assert differing_numbers(minibatch, values(same, random_times(n))[0]) == []


def test_with_one_local_step_they_are_minibatch_sgd_to_rounding_for_any_n():
    """Minibatch SGD multiplies the mean by nη_g, they the sum by η_g: for n = 7 that rounds differently."""
    minibatch = values(MinibatchSGD(7 * 0.03), random_times(7))[1]
    for method in (LocalSGD(7 * 0.03, 1), DualLocalSGD(0.03, 1), DecayingLocalSGD(0.03, 1)):
        run, found = values(method, random_times(7))
        assert found == pytest.approx(minibatch, rel=1e-12)
        assert run.event_hash == values(MinibatchSGD(7 * 0.03), random_times(7))[0].event_hash


def test_with_one_worker_dual_and_canonical_are_the_same_and_every_kth_iterate_of_hero_sgd():
    """The server's sum of K gradients rounds differently from Hero's K steps."""
    one = Workers(1, Exponential(1.0))
    canonical, dual = values(LocalSGD(0.05, 4), one)[1], values(DualLocalSGD(0.05, 4), one)[1]
    hero = values(HeroSGD(0.05, 0), one, iterations=48)[1]
    assert bits(canonical) == bits(dual)
    assert dual == pytest.approx(hero[::4], rel=1e-12)


def test_with_one_worker_and_one_local_step_they_are_hero_sgd_bit_by_bit():
    one = Workers(1, Exponential(1.0))
    hero = values(HeroSGD(0.05, 0), one)[1]
    for method in (LocalSGD(0.05, 1), DualLocalSGD(0.05, 1), DecayingLocalSGD(0.05, 1)):
        assert bits(values(method, one)[1]) == bits(hero)


@pytest.mark.parametrize("method", [LocalSGD(0.1, 3), DualLocalSGD(0.02, 3), DecayingLocalSGD(0.02, 3, "b")], ids=repr)
def test_killed_at_several_iterations_it_ends_with_the_same_bits(method):
    options = {"stop": Stop(time=80.0), "seed": 2, "record": EVERY}
    alone = simulate(method, Noisy(), random_times(4), **options)
    assert alone.iterations > 4
    assert differences(alone, resumed(method, Noisy(), random_times(4), at=[1, 2, 4], **options)) == []


def test_a_worker_that_never_returns_stalls_it():
    run = simulate(LocalSGD(0.1, 3), Noisy(), Workers(3, [1.0, 2.0, np.inf]), stop=Stop(time=100.0))
    assert (run.status, run.iterations) == ("stalled", 0)
    assert run.reason == "stalled: waiting for workers {2}, who never return"


def test_theory_gives_local_steps_and_stepsize():
    known = Knowledge(n=16, L=1.0, sigma2=10.0, epsilon=0.05)
    assert LocalSGD("theory", "theory").theory(known) == {
        "local_steps": 13,
        "stepsize": local_stepsize(1.0, 10.0, 0.05, 16, 13),
    }
    assert LocalSGD("theory", 40).theory(known)["stepsize"] < LocalSGD("theory", 20).theory(known)["stepsize"]
    with pytest.raises(ValueError, match=r"unknown: sigma2 .*, epsilon"):
        LocalSGD("theory", "theory").theory(Knowledge(n=16, L=1.0))


# ---- time complexity, with stepsizes from theory -------------------------------------------------------------------


class Geometric:
    """½ Σ λ_j x_j² with 20 geometric λ_j in [0.01, 1], σ² = 10."""

    dimension, L, sigma2, f_star = 20, 1.0, 10.0, 0.0
    curvature = np.geomspace(0.01, 1.0, 20)
    x0 = np.full(20, 3.0)

    def gradient(self, x, rng, worker):
        return self.curvature * x + np.sqrt(0.5) * rng.standard_normal(20)

    def value(self, x):
        return float(self.curvature @ x**2 / 2)

    def full_gradient(self, x):
        return self.curvature * x


def seconds_to_target(method, τ: float, n: int = 16) -> float:
    """Until ‖∇f‖² ≤ 0.05; a gradient takes 1 second, an exchange τ."""
    record = Record(iterations=50 if isinstance(method, HeroSGD) else 1)
    stop, target = Stop(target=True, time=1e5), {"squared_gradient_norm": 0.05}
    run = simulate(method, Geometric(), Workers(n, 1.0, uplink=τ), stop=stop, target=target, seed=1, record=record)
    assert run.reason == "target reached"
    return run.time


@functools.cache
def hero_seconds() -> float:
    """Hero SGD needs no exchange: one worker, with the stepsize that the same theorem gives it."""
    return seconds_to_target(HeroSGD(birch_stepsize(1.0, 10.0, 0.05, R=0), 0), τ=0.0, n=1)


def test_dual_decaying_and_minibatch_are_level_and_before_canonical_and_hero():
    n, τ, K = 16, 20.0, local_steps(10.0, 0.05, 16)
    η_g = birch_stepsize(1.0, 10.0, 0.05, n * K - 1)
    dual = seconds_to_target(DualLocalSGD("theory", "theory"), τ)
    assert seconds_to_target(DecayingLocalSGD("theory", "theory"), τ) == pytest.approx(dual, rel=0.1)
    assert seconds_to_target(MinibatchSGD(n * K * η_g, K), τ) == pytest.approx(dual, rel=0.1)
    assert min(seconds_to_target(LocalSGD("theory", K), τ) for K in (8, 13, 20, 40)) > 1.5 * dual
    assert hero_seconds() > 3 * dual


def test_where_an_exchange_is_dearer_than_a_heros_gradients_hero_wins():
    """τ = 800 against hσ²/ε = 200."""
    assert hero_seconds() < seconds_to_target(DualLocalSGD("theory", "theory"), τ=800.0) / 2


# ---- drift, with tuned stepsizes, on the function that shows it ---------------------------------------------------


def mean_value(method) -> float:
    """f after 1000 of 1400 seconds, a mean over the rounds and four seeds; 16 workers, an exchange takes 20 s."""
    found, workers = [], Workers(16, 1.0, uplink=20.0)
    for seed in range(4):
        run = simulate(method, DriftSensitive(), workers, stop=Stop(time=1400.0), seed=seed, record=EVERY)
        found.append(run.curves["value"][run.curves["time"] >= 1000.0].mean())
    return float(np.mean(found))


def test_with_tuned_stepsizes_canonical_local_sgd_drifts_where_dual_does_not():
    """The best of K in {1, 4, 16, 64} and stepsizes 2^−j, found beforehand; of canonical Local SGD the best three."""
    dual = mean_value(DualLocalSGD(2.0**-8, 64))
    canonical = [mean_value(LocalSGD(16 * 2.0**j, K)) for j, K in [(-8, 64), (-8, 16), (-7, 16)]]
    assert dual < 0.075
    assert min(canonical) > 1.5 * dual
