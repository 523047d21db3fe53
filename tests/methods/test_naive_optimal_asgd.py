"""Naive Optimal ASGD: who works, that it is Asynchronous SGD on them, what theory gives it."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import Noisy, bits, differences, play

from asyncsim import (
    AsynchronousSGD,
    Constant,
    Dropout,
    Exponential,
    Knowledge,
    LateJoin,
    NaiveOptimalASGD,
    Quadratic,
    Stop,
    Workers,
    simulate,
)
from asyncsim.testing import resumed, scripted
from asyncsim.theory import fastest_workers, largest_delay, ringmaster_stepsize


def test_a_trace_by_hand_leaves_the_others_idle():
    """γ = 1/2, g = x: x¹ = 8 − 4, x² = 4 − ½·8 at the old point, x³ = 0 − ½·4."""
    seen = scripted(NaiveOptimalASGD(0.5, workers=(0, 2)), [2, 0, 2], n=3, x0=[8.0])
    assert [x.item() for x in seen.iterates] == [8.0, 4.0, 0.0, -2.0]
    assert seen.delays == [0, 1, 1]
    assert seen.workers("sent") == [0, 2, 2, 0, 2]


@pytest.mark.parametrize(
    "availability", [Dropout(up=Constant(10.5), down=1.0, policy="lost"), LateJoin(at=5.0, policy="lost")], ids=repr
)
def test_a_chosen_worker_that_was_away_works_again(availability):
    workers = Workers(2, 1.0, availability=[availability, None])
    runs = [
        simulate(method, Noisy(), workers, stop=Stop(time=50))
        for method in (AsynchronousSGD(0.1), NaiveOptimalASGD(0.1, workers=(0, 1)))
    ]
    assert runs[0].event_hash == runs[1].event_hash
    assert all(runs[1].workers["used"] > 35)


def test_with_all_workers_it_is_asynchronous_sgd_bit_by_bit():
    workers = Workers(3, lambda worker: Exponential(1.0 + worker))
    runs = [
        simulate(method, Noisy(), workers, stop=Stop(iterations=50))
        for method in (AsynchronousSGD(0.1), NaiveOptimalASGD(0.1, workers=(0, 1, 2)))
    ]
    assert runs[0].event_hash == runs[1].event_hash
    assert bits(runs[0].curves["value"]) == bits(runs[1].curves["value"])


@given(
    times=st.lists(st.floats(0.1, 100.0) | st.just(math.inf), min_size=1, max_size=7).filter(
        lambda t: min(t) < math.inf
    ),
    noise=st.floats(0.0, 100.0),
)
def test_the_chosen_workers_have_the_least_bound_of_all_subsets(times, noise):
    """m⁻¹-weighted: (m + σ²/ε)/Σ 1/τ_i over every subset."""

    def bound(chosen):
        return (
            (len(chosen) + noise) / sum(1 / times[i] for i in chosen)
            if any(times[i] < math.inf for i in chosen)
            else math.inf
        )

    subsets = [s for size in range(1, len(times) + 1) for s in itertools.combinations(range(len(times)), size)]
    chosen = fastest_workers(np.array(times), sigma2=noise, epsilon=1.0)
    assert bound(chosen) <= min(map(bound, subsets)) * (1 + 1e-12)


def test_without_noise_one_worker_is_best_and_with_equal_times_all_are():
    assert fastest_workers(np.array([3.0, 1.0, 2.0]), sigma2=0.0, epsilon=0.1) == (1,)
    assert fastest_workers(np.full(4, 2.0), sigma2=1.0, epsilon=0.1) == (0, 1, 2, 3)


def test_theory_chooses_and_takes_the_stepsize_of_asynchronous_sgd_on_the_chosen():
    times = np.array([1.0, 90.0, 2.0, 1.0])
    knowledge = Knowledge(n=4, L=1.0, sigma2=1.0, epsilon=0.1, mean_times=times, constant_times=True)
    found = NaiveOptimalASGD("theory").theory(knowledge)
    assert found["workers"] == (0, 2, 3)
    R = largest_delay(np.array([1.0, 2.0, 1.0])) + 1
    assert found["stepsize"] == ringmaster_stepsize(1.0, 1.0, 0.1, R)


def test_theory_needs_constant_times_for_the_stepsize_only():
    options = {"stop": Stop(time=5.0), "target": {"squared_gradient_norm": 1e-3}}
    workers = Workers(3, [Exponential(1.0), Exponential(1.0), Exponential(500.0)])
    assert simulate(NaiveOptimalASGD(0.1), Quadratic(10), workers, **options).parameters["workers"] == (0, 1)
    with pytest.raises(ValueError, match="delays are bounded only for constant compute times"):
        simulate(NaiveOptimalASGD("theory"), Quadratic(10), workers, **options)


def test_a_worker_that_never_returns_is_not_chosen():
    workers = Workers(3, [1.0, math.inf, 1.5])
    run = simulate(
        NaiveOptimalASGD("theory"),
        Quadratic(10),
        workers,
        stop=Stop(iterations=50),
        target={"squared_gradient_norm": 1e-3},
    )
    assert (run.status, run.parameters["workers"]) == ("finished", (0, 2))


def test_resumed_in_the_middle_it_ends_with_the_same_bits():
    method = NaiveOptimalASGD(0.1, workers=(3, 1))
    options = {"stop": Stop(iterations=30), "seed": 2}
    workers = Workers(4, lambda worker: Exponential(1.0 + worker))
    alone = simulate(method, Noisy(), workers, **options)
    assert differences(alone, resumed(method, Noisy(), workers, at=[1, 2, 15, 29], **options)) == []


@pytest.mark.parametrize("workers", [(), (1, 1), (-1,), (0.5,), "all", 3])
def test_impossible_workers_are_refused(workers):
    with pytest.raises(ValueError, match="needed"):
        NaiveOptimalASGD(0.1, workers=workers)


def test_a_worker_beyond_the_last_is_refused_by_the_server():
    with pytest.raises(ValueError, match="workers are 0…2"):
        play(NaiveOptimalASGD(0.1, workers=(1, 3)), Constant(1.0), n=3)
