"""Rescaled ASGD: a trace by hand, where its compute times come from."""

import math

import numpy as np
import pytest
from toys import Noisy, bits, differences, play
from watched import Watched

from asyncsim import AsynchronousSGD, Exponential, Knowledge, RescaledASGD, Stop, Workers, simulate
from asyncsim.testing import resumed, scripted


def test_a_trace_by_hand_with_given_times():
    """τ = (1, 3), so γ_i = (½, 3/2)·γ; γ = 1/2, g = x: x¹ = 8 − ¼·8 = 6, x² = 6 − ¾·8 = 0, x³ = 0 − ¼·6."""
    seen = scripted(RescaledASGD(0.5, compute_times=(1.0, 3.0)), [0, 1, 0], n=2, x0=[8.0])
    assert [x.item() for x in seen.iterates] == [8.0, 6.0, 0.0, -1.5]


def test_only_the_ratios_of_given_times_matter():
    runs = [
        simulate(RescaledASGD(0.1, compute_times=times), Noisy(), Workers(2, [1.0, 3.0]), stop=Stop(iterations=40))
        for times in ((1.0, 3.0), (4.0, 12.0))
    ]
    assert bits(runs[0].curves["value"]) == bits(runs[1].curves["value"])


def test_constant_times_are_known_as_soon_as_every_worker_was_heard_of():
    """Worker 0 alone is of average speed; from worker 1's first gradient on γ_i/γ = τ_i/τ_avg = (½, 3/2)."""
    method = Watched(RescaledASGD(1.0), lambda server, last, direction, state: _scale(last.worker, state))
    play(method, [1.0, 3.0], stop=Stop(time=7.0), record=None)
    assert method.seen == [1.0, 1.0, 1.5, 0.5, 0.5, 0.5, 1.5, 0.5, 0.5]


def _scale(i, state):
    τ = [t for t, b in zip(state["τ"], state["b"], strict=True) if b]
    assert state["heard_of"] == len(τ)
    assert state["sum_τ"] == pytest.approx(sum(τ))
    return state["τ"][i] / np.mean(τ)


def test_random_times_are_learnt():
    n = 4
    method = Watched(RescaledASGD(0.01), lambda server, last, direction, state: list(state["τ"]))
    workers = Workers(n, lambda worker: Exponential(1.0 + worker))
    simulate(method, Noisy(), workers, stop=Stop(time=4000.0))
    assert method.seen[-1] == pytest.approx([1.0, 2.0, 3.0, 4.0], rel=0.15)


def test_with_equal_constant_times_it_is_asynchronous_sgd_bit_by_bit():
    runs = [
        simulate(m, Noisy(), Workers(4, 2.0), stop=Stop(iterations=40))
        for m in (RescaledASGD(0.1), AsynchronousSGD(0.1))
    ]
    assert bits(runs[0].curves["value"]) == bits(runs[1].curves["value"])
    assert runs[0].event_hash == runs[1].event_hash


def test_theory_takes_the_mean_times_with_communication():
    run = play(RescaledASGD(0.1, compute_times="theory"), [1.0, 3.0], uplink=0.5)
    assert run.parameters["compute_times"] == (1.5, 3.5)


@pytest.mark.parametrize("bad", [0.0, math.inf])
def test_theory_refuses_times_of_which_no_stepsize_follows(bad):
    with pytest.raises(ValueError, match="finite and above 0"):
        RescaledASGD(0.1, compute_times="theory").theory(Knowledge(n=2, mean_times=np.array([1.0, bad])))


def test_compute_times_of_zero_beside_communication_give_equal_stepsizes():
    run = play(RescaledASGD(0.1), [0.0, 0.0], uplink=1.0, stop=Stop(iterations=4))
    assert run.status == "finished"


def test_a_worker_that_never_returns_holds_nobody_up():
    run = play(RescaledASGD(0.01), [1.0, math.inf, 2.0], stop=Stop(time=20.0))
    assert (run.status, run.iterations) == ("finished", 30)


def test_resumed_in_the_middle_it_ends_with_the_same_bits():
    options = {"stop": Stop(iterations=30), "seed": 2}
    workers = Workers(4, lambda worker: Exponential(1.0 + 2 * worker), uplink=0.3)
    alone = simulate(RescaledASGD(0.05), Noisy(), workers, **options)
    assert differences(alone, resumed(RescaledASGD(0.05), Noisy(), workers, at=[1, 2, 11, 29], **options)) == []


@pytest.mark.parametrize("times", [(0.0, 1.0), (math.inf, 1.0), "online", 2.0])
def test_impossible_compute_times_are_refused(times):
    with pytest.raises(ValueError, match=r"a list, each a number > 0, or 'observed' or 'theory' is needed"):
        RescaledASGD(0.1, compute_times=times)


def test_a_list_of_another_length_than_there_are_workers_is_refused():
    with pytest.raises(ValueError, match="compute_times has 2 numbers, but there are 3 workers"):
        play(RescaledASGD(0.1, compute_times=(1.0, 2.0)), [1.0, 1.0, 1.0])
