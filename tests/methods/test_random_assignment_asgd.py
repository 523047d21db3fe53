"""Asynchronous SGD with random assignment: its queues, that it asks all alike, how it ends."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import Noisy, differences, play, trace
from watched import Watched

from asyncsim import Exponential, RandomAssignmentASGD, Stop, Workers, simulate
from asyncsim.streams import sequential
from asyncsim.testing import adversarial, resumed


def test_points_drawn_for_a_busy_worker_wait_in_its_queue():
    """τ = (1, 10); the draws are those of the method's own generator.

    Worker 0 alone delivers until all points are worker 1's, which arrives at 10.
    """
    draws = sequential(0, "method").integers
    run = play(RandomAssignmentASGD(0.5), [1.0, 10.0])
    by_hand, time, waiting = [], 0, 1
    while waiting:  # worker 0 has that many points
        time, waiting = time + 1, waiting - 1
        by_hand.append((float(time), 0))
        waiting += int(draws(2)) == 0
    arrived = [(t, worker) for t, worker, _ in trace(run, "arrived")]
    assert arrived[: len(by_hand)] == by_hand
    assert arrived[len(by_hand)] == (10.0, 1)


@given(choices=st.lists(st.integers(0, 100), max_size=100), n=st.integers(1, 5), seed=st.integers(0, 10))
def test_n_points_are_always_on_their_way_and_each_worker_computes_the_first_of_its_queue(choices, n, seed):
    def look(server, last, direction, state):
        lengths = [len(queue) for queue in state["queues"]]
        at_work = {flying.worker: flying.job.x for flying in server.in_flight()}
        assert all(at_work[i] is queue[0] for i, queue in enumerate(state["queues"]) if queue)
        assert len(at_work) == sum(length > 0 for length in lengths)
        return sum(lengths)

    method = Watched(RandomAssignmentASGD(0.1), look)
    adversarial(method, choices, n=n, seed=seed)
    # the new point is drawn for at the head of the next iteration
    assert set(method.seen) <= {n - 1}


def test_all_workers_are_asked_equally_often_however_unequal_they_are():
    n = 4
    run = simulate(RandomAssignmentASGD(0.01), Noisy(), Workers(n, [0.1, 1.0, 2.0, 4.0]), stop=Stop(iterations=4000))
    expected = 4000 / n
    assert np.abs(run.workers["used"] - expected).max() < 5 * math.sqrt(expected)


def test_waiting_points_keep_their_versions():
    """A point that waits in a queue grows old there; on average no point is more than n − 1 steps old."""
    run = play(RandomAssignmentASGD(0.01), [1.0, 7.0, 9.0], stop=Stop(time=200.0))
    assert run.mean_delay <= 2
    assert run.largest_delay > 2


@pytest.mark.parametrize("at", [[1, 2, 3], [11, 29]])
def test_resumed_with_points_in_the_queues_it_ends_with_the_same_bits(at):
    method = RandomAssignmentASGD(0.05)
    options = {"stop": Stop(iterations=30), "seed": 2}
    workers = Workers(4, lambda worker: Exponential(1.0 + 4 * worker), uplink=0.3)
    alone = simulate(method, Noisy(), workers, **options)
    assert differences(alone, resumed(method, Noisy(), workers, at=at, **options)) == []


def test_a_worker_that_never_returns_gathers_all_points_and_ends_the_run():
    run = play(RandomAssignmentASGD(0.1), [1.0, math.inf, 1.0], stop=Stop(time=1e4))
    assert (run.status, run.reason) == ("stalled", "stalled: waiting for workers {1}, who never return")
