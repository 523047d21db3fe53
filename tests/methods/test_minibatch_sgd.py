"""Minibatch SGD by hand."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import Slope, play, trace

from asyncsim import MinibatchSGD, Stop
from asyncsim.testing import scripted


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_round_waits_for_all_and_takes_the_mean(order):
    """g_i(x) = (i + 1)x, so the mean is 2x; γ = ¼ halves x each round, in any order of arrival: 8, 4, 2."""
    trace = scripted(MinibatchSGD(0.25), [*order, *order], n=3, x0=[8.0], gradient=lambda x, worker: (worker + 1) * x)
    assert np.concatenate(trace.iterates).tolist() == [8.0, 4.0, 2.0]
    assert trace.delays == [0] * 6
    assert trace.workers("used") == [*order, *order]


def test_each_worker_may_send_a_mean_of_its_own():
    """Two each, the m-th gradient is m + 1: workers send (1 + 2)/2, then (3 + 4)/2; γ = 1: 8 − 1.5 − 3.5 = 3."""
    trace = scripted(
        MinibatchSGD(1.0, batch_size=2), [0, 1, 1, 0], n=2, x0=[8.0], gradient=lambda x, worker, m: np.array([m + 1.0])
    )
    assert np.concatenate(trace.iterates).tolist() == [8.0, 6.5, 3.0]


@given(st.lists(st.sampled_from([0.5, 1.0, 2.5]), min_size=1, max_size=5), st.integers(1, 3))
def test_a_round_lasts_as_long_as_its_slowest_worker(times, b):
    run = play(MinibatchSGD(0.1, batch_size=b), times, uplink=0.25, stop=Stop(iterations=4))
    assert run.time == 4 * (b * max(times) + 0.25)
    assert run.used == 4 * b * len(times)


def test_nothing_is_wasted_but_time():
    run = play(MinibatchSGD(0.1), [1.0, 4.0], problem=Slope(), stop=Stop(time=8.0))
    assert trace(run, "step") == [(4.0, -1, "step"), (8.0, -1, "step")]
    assert (run.discarded, run.stopped) == (0, 0)
    assert run.workers["busy_seconds"].tolist() == [2.0, 8.0]
