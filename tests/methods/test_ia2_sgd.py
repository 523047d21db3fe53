"""IA²SGD: a trace by hand, its table, its warm-up."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from toys import Noisy, Slope, differences, play, trace
from watched import Watched

from asyncsim import IA2SGD, Exponential, Record, Stop, Workers, simulate
from asyncsim.testing import adversarial, resumed, scripted


def test_a_warm_up_and_two_steps_by_hand():
    """γ = 1/2, x⁰ = 8; answers 1, 2, … of worker 0 and 10, 20, … of worker 1.

    Worker 0's 1 is replaced by its 2, both at x⁰; with worker 1's 10 the table is full: x¹ = 8 − ½·½(2 + 10) = 5.
    Then 3 replaces 2: x² = 5 − ½·½(3 + 10) = 7/4; and 20 replaces 10: x³ = 7/4 − ½·½(3 + 20) = −4.
    """
    seen = scripted(
        IA2SGD(stepsize=0.5),
        [0, 0, 1, 0, 1],
        n=2,
        x0=[8.0],
        gradient=lambda x, worker, m: [(m + 1.0) * (10 if worker else 1)],
    )
    assert [x.item() for x in seen.iterates] == [8.0, 5.0, 1.75, -4.0]
    assert seen.delays == [0, 0, 0, 1, 1]


def test_the_first_step_comes_with_the_last_workers_first_gradient_and_then_each_arrival_is_one():
    run = play(IA2SGD(0.1), [1.0, 2.5, 4.25], stop=Stop(time=6.0))
    steps = [time for time, _, _ in trace(run, "step")]
    assert steps == [4.25, 5.0, 5.0, 6.0]
    assert run.discarded == 0


@given(choices=st.lists(st.integers(0, 100), max_size=80), n=st.integers(1, 5))
def test_the_direction_is_the_mean_of_the_table_whose_rows_are_the_last_gradients(choices, n):
    def look(server, last, direction, state):
        return direction - sum(state["g"]) / n

    method = Watched(IA2SGD(0.1), look)
    trace_ = adversarial(method, choices, n=n, x0=[1.0, -1.0], gradient=lambda x, worker: x * (1 + worker))
    assert all(np.abs(difference).max() < 1e-14 for difference in method.seen)
    assert len(trace_.workers("used")) == len(trace_.workers("arrived"))


def test_one_worker_without_noise_is_gradient_descent():
    run = play(IA2SGD(0.5), [1.0], problem=Slope(8.0), stop=Stop(iterations=5), record=Record(iterations=1))
    assert run.curves["value"].tolist() == [(8.0 / 2**k) ** 2 / 2 for k in range(6)]


def test_resumed_in_the_middle_it_ends_with_the_same_bits():
    options = {"stop": Stop(iterations=30), "seed": 2}
    workers = Workers(4, lambda worker: Exponential(1.0 + 2 * worker), uplink=0.3)
    alone = simulate(IA2SGD(0.05), Noisy(), workers, **options)
    assert differences(alone, resumed(IA2SGD(0.05), Noisy(), workers, at=[1, 2, 11, 29], **options)) == []


def test_a_worker_that_never_returns_ends_the_run_as_stalled():
    run = play(IA2SGD(0.1), [1.0, 1.0, math.inf], stop=Stop(time=1e6), record=None)
    assert run.status == "stalled"
    assert run.reason.startswith("stalled: waiting for workers {2}: no step over the last 10,000 arrivals")
