"""Rennala SGD by hand, with and without stops."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from toys import Noisy, Slope, differing_numbers

from asyncsim import Exponential, NoProblem, Record, RennalaSGD, RingmasterASGD, Stop, Workers, simulate
from asyncsim.testing import adversarial, scripted


def test_it_collects_a_batch_at_one_point_and_ignores_what_is_older():
    """S = 2, γ = ½, g(x) = x, three workers at x⁰ = 8.

    0 (first), 0 again (second): x¹ = 8 − 4 = 4. 1 comes from x⁰: ignored. 0 from x¹ (first). 2 from x⁰: ignored. 1 from
    x¹ (second): x² = 4 − 2 = 2.
    """
    trace = scripted(RennalaSGD(0.5, batch_size=2), [0, 0, 1, 0, 2, 1], n=3, x0=[8.0])
    assert np.concatenate(trace.iterates).tolist() == [8.0, 4.0, 2.0]
    assert trace.delays == [0, 0, 1, 0, 1, 0]
    assert trace.workers("used") == [0, 0, 0, 1]
    assert trace.workers("stopped") == []


def test_with_stops_everybody_starts_anew_at_each_step():
    """After 0, 0 the step stops 1 and 2; after 1, 2 it stops 0, and 1 who had been sent on: 8, 4, 2."""
    trace = scripted(RennalaSGD(0.5, batch_size=2, stops=True), [0, 0, 1, 2], n=3, x0=[8.0])
    assert np.concatenate(trace.iterates).tolist() == [8.0, 4.0, 2.0]
    assert trace.workers("stopped") == [1, 2, 0, 1]
    assert trace.workers("sent") == [0, 1, 2, 0, 0, 1, 2, 1, 0, 1, 2]


def test_the_direction_is_the_plain_mean_of_the_batch():
    """g_i = i + 1: the batch of workers 0, 2, 2 has the mean (1 + 3 + 3)/3."""
    trace = scripted(
        RennalaSGD(3.0, batch_size=3), [0, 2, 2], n=3, x0=[8.0], gradient=lambda x, worker: np.array([worker + 1.0])
    )
    assert trace.iterates[-1].tolist() == [8.0 - 3.0 * (7.0 / 3)]


@given(st.lists(st.integers(0, 100), max_size=150), st.integers(1, 6), st.integers(1, 5), st.booleans())
def test_it_never_uses_an_old_gradient_and_each_step_has_exactly_its_batch(choices, n, S, stops):
    trace = adversarial(RennalaSGD(0.1, batch_size=S, stops=stops), choices, n=n)
    steps = len(trace.iterates) - 1
    assert len(trace.workers("used")) == S * steps
    fresh = sum(delay == 0 for delay in trace.delays)
    assert S * steps <= fresh < S * (steps + 1)
    if stops:
        assert set(trace.delays) <= {0}


@given(st.integers(0, 1000), st.integers(1, 6))
def test_with_stops_a_batch_of_one_is_ringmaster_asgd_with_threshold_1(seed, n):
    options = {"stop": Stop(iterations=40), "seed": seed, "record": Record(iterations=10)}
    workers = Workers(n, Exponential(1.0))
    rennala = simulate(RennalaSGD(0.1, batch_size=1, stops=True), Noisy(), workers, **options)
    ringmaster = simulate(RingmasterASGD(0.1, threshold=1, stops=True), Noisy(), workers, **options)
    assert differing_numbers(rennala, ringmaster) == []


def test_stops_give_more_steps_in_the_same_time_when_the_batch_is_small():
    """Twenty workers of 10 s and batches of 2: without stops the old gradients are waited for."""
    workers = Workers(20, lambda worker: Exponential(10.0))
    runs = [
        simulate(RennalaSGD(0.1, batch_size=2, stops=stops), Slope(), workers, stop=Stop(time=200.0))
        for stops in (False, True)
    ]
    assert runs[1].iterations > 1.5 * runs[0].iterations
    assert runs[1].discarded == 0


def test_a_large_batch_is_no_stall_where_a_worker_never_returns():
    """One of two workers never returns; the other brings all 12,000 gradients, more than rule 8 waits for unasked."""
    workers = Workers(2, [1.0, math.inf])
    run = simulate(RennalaSGD(0.1, batch_size=12_000), NoProblem(), workers, stop=Stop(iterations=1))
    assert (run.status, run.iterations, run.time) == ("finished", 1, 12_000.0)
