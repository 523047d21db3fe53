"""Asynchronous SGD by hand, and what is true of its delays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import Noisy, differing_numbers

from asyncsim import AsynchronousSGD, Exponential, NoProblem, Record, RingmasterASGD, Stop, Workers, simulate
from asyncsim.testing import adversarial, scripted


def test_every_arrival_makes_a_step_with_its_old_gradient():
    """γ = ½, g(x) = x. Both start at x⁰ = 8.

    0 (at x⁰ = 8): 8 − 4 = 4.   1 (at x⁰ = 8): 4 − 4 = 0.   0 (at x¹ = 4): 0 − 2 = −2.   0 (at x³ = −2): −2 + 1 = −1.
    1 (at x² = 0): −1.
    """
    trace = scripted(AsynchronousSGD(0.5), [0, 1, 0, 0, 1], n=2, x0=[8.0])
    assert np.concatenate(trace.iterates).tolist() == [8.0, 4.0, 0.0, -2.0, -1.0, -1.0]
    assert trace.delays == [0, 1, 1, 0, 2]
    assert trace.workers("sent") == [0, 1, 0, 1, 0, 0, 1][: len(trace.workers("sent"))]


def test_delay_adaptive_steps_are_smaller_from_delay_n_on():
    """γ = ½, n = 2: δ ≤ 2 takes ½, δ = 4 takes ½·2/4 = ¼. 0 alone: 8, 4, 2, 1, ½; then 1 with g = 8: ½ − ¼·8 = −3/2."""
    trace = scripted(AsynchronousSGD(0.5, delay_adaptive=True), [0, 0, 0, 0, 1], n=2, x0=[8.0])
    assert np.concatenate(trace.iterates).tolist() == [8.0, 4.0, 2.0, 1.0, 0.5, -1.5]
    assert trace.delays == [0, 0, 0, 0, 4]


def test_up_to_delay_n_delay_adaptive_is_constant():
    """δ = 2 = n: 8, 4, 2, then 2 − ½·8 = −2."""
    trace = scripted(AsynchronousSGD(0.5, delay_adaptive=True), [0, 0, 1], n=2, x0=[8.0])
    assert trace.iterates[-1].tolist() == [-2.0]


@given(st.lists(st.integers(0, 100), min_size=1, max_size=200), st.integers(1, 7), st.integers(0, 30))
def test_the_mean_delay_is_at_most_n_minus_1(choices, n, patience):
    """Each step sets one worker's age to 0 and adds 1 to the ages of n − 1: the sum of T delays is ≤ (n − 1)T."""
    trace = adversarial(AsynchronousSGD(0.01), choices, n=n, patience=patience)
    assert np.mean(trace.delays) <= n - 1


def test_the_mean_delay_tends_to_n_minus_1():
    run = simulate(AsynchronousSGD(0.1), NoProblem(), Workers(7, Exponential(1.0)), stop=Stop(iterations=5000))
    assert run.mean_delay == pytest.approx(6, abs=0.05)
    assert run.mean_delay <= 6


@given(st.integers(0, 1000), st.integers(1, 6))
def test_it_is_ringmaster_asgd_with_a_threshold_that_nothing_reaches(seed, n):
    options = {"stop": Stop(iterations=60), "seed": seed, "record": Record(iterations=20)}
    workers = Workers(n, lambda worker: Exponential(1.0 + worker))
    vanilla = simulate(AsynchronousSGD(0.05), Noisy(), workers, **options)
    for stops in (False, True):
        ringmaster = simulate(RingmasterASGD(0.05, threshold=10**9, stops=stops), Noisy(), workers, **options)
        assert differing_numbers(vanilla, ringmaster) == []
