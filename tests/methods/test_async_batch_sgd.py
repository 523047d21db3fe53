"""What Async-Batch SGD shares with Async-Local SGD is in test_async_local_sgd.py."""

import pytest

from asyncsim import AsyncBatchSGD
from asyncsim.testing import scripted


def test_sums_of_gradients_at_one_point_are_applied_as_they_come():
    """M = 2, γ = ¼: two gradients at x move x to x/2; worker 1's are of x⁰ = 8."""
    trace = scripted(AsyncBatchSGD(0.25, batch_size=2, threshold=9), [0, 0, 1], n=2, x0=[8.0])
    assert [x.item() for x in trace.iterates] == [8.0, 4.0, 2.0, -2.0]


@pytest.mark.parametrize(("B", "accepted"), [(4, False), (5, True)])
def test_the_delay_is_counted_in_gradients_and_must_be_below_the_threshold(B, accepted):
    trace = scripted(AsyncBatchSGD(0.25, batch_size=2, threshold=B), [0, 0, 1, 1], n=2, x0=[8.0])
    assert trace.delays == [0, 0, 2, 0]
    assert trace.iterates[3].item() == (-2.0 if accepted else 1.0)
    assert len(trace.iterates) == (5 if accepted else 4)


def test_the_gradients_of_a_sum_are_the_workers_next_ones():
    trace = scripted(
        AsyncBatchSGD(1.0, batch_size=3, threshold=1), [0, 0], n=1, x0=[0.0], gradient=lambda x, worker, m: [m]
    )
    assert [x.item() for x in trace.iterates] == [0.0, -(0 + 1 + 2.0), -3.0 - (3 + 4 + 5)]
