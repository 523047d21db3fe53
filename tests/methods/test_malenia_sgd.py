"""Malenia SGD: a trace by hand, the stop rule in exact arithmetic, the mean of means, what theory gives it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import Noisy, bits, differences, play, trace
from watched import Watched

from asyncsim import Exponential, Knowledge, MaleniaSGD, RennalaSGD, SeparateQuadratics, Stop, Workers, simulate
from asyncsim.testing import adversarial, resumed, scripted


def test_a_step_by_hand_takes_the_mean_of_the_workers_means():
    """S = 3, n = 2, γ = 1/2, x⁰ = 8; answers 1, 2, … of worker 0 and 10, 20, … of worker 1.

    HM(2, 1) = 4/3 < 3/2 ≤ HM(3, 1): the step waits for worker 0's third gradient. x¹ = 8 − ½·½(2 + 10) = 5.
    Worker 1 is still at x⁰ then; its 20 is dropped. HM(3, 1) once more: x² = 5 − ½·½(5 + 30) = −15/4.
    """
    seen = scripted(
        MaleniaSGD(stepsize=0.5, batch_size=3),
        [0, 1, 0, 0, 1, 0, 0, 1, 0],
        n=2,
        x0=[8.0],
        gradient=lambda x, worker, m: [(m + 1.0) * (10 if worker else 1)],
    )
    assert [x.item() for x in seen.iterates] == [8.0, 5.0, -3.75]
    assert seen.delays == [0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert len(seen.workers("used")) == 8


def test_with_stops_nothing_is_dropped_on_arrival():
    times = [1.0, 1.6, 2.5]
    lazy = play(MaleniaSGD(0.1), times, stop=Stop(time=100.0))
    stopping = play(MaleniaSGD(0.1, stops=True), times, stop=Stop(time=100.0))
    assert (lazy.stopped, stopping.discarded, lazy.discarded > 0, stopping.stopped > 0) == (0, 0, True, True)
    # with stops a round takes 2.5; without, worker 1 may have to finish an old gradient first and then takes up to 3.2
    assert (stopping.iterations, lazy.iterations) == (40, 30)


@given(
    S=st.integers(1, 12), choices=st.lists(st.integers(0, 100), min_size=1, max_size=120), n=st.integers(1, 4),
    stops=st.booleans(),
)  # fmt: skip
def test_it_steps_at_the_first_arrival_at_which_the_harmonic_mean_is_s_over_n(S, choices, n, stops):
    """n·n ≥ S·Σ 1/B_i in whole numbers, and not so one gradient earlier."""

    def look(server, last, direction, state):
        return last.worker

    method = Watched(MaleniaSGD(0.1, batch_size=S, stops=stops), look)
    seen = adversarial(method, choices, n=n)
    B, steps = [0] * n, iter(method.seen)
    whole = math.lcm(*range(1, 200))
    delays = iter(seen.delays)
    for kind, worker, _ in seen.events:
        if kind == "step":
            last = next(steps)
            assert _enough(B, S, whole)
            B[last] -= 1
            assert not _enough(B, S, whole)
            B = [0] * n
        elif kind == "arrived" and next(delays) == 0:
            assert not _enough(B, S, whole)
            B[worker] += 1


def _enough(B, S, whole):
    return min(B) > 0 and len(B) ** 2 * whole >= S * sum(whole // b for b in B)


def test_every_waits_for_one_gradient_of_each_as_any_s_up_to_n_does():
    workers = Workers(4, lambda worker: Exponential(1.0 + worker))
    runs = [
        simulate(MaleniaSGD(0.1, batch_size=S), Noisy(), workers, stop=Stop(iterations=20), label="one")
        for S in ("every", 1, 3, 4)
    ]
    assert len({run.event_hash for run in runs}) == 1


@pytest.mark.parametrize("stops", [False, True])
def test_with_one_worker_it_is_rennala_bit_by_bit(stops):
    runs = [
        simulate(cls(stepsize=0.1, batch_size=5, stops=stops), Noisy(), Workers(1, 1.0), stop=Stop(iterations=20))
        for cls in (MaleniaSGD, RennalaSGD)
    ]
    assert bits(runs[0].curves["value"]) == bits(runs[1].curves["value"])
    assert runs[0].event_hash == runs[1].event_hash


def test_without_noise_its_direction_is_the_exact_gradient_whatever_the_speeds():
    problem = SeparateQuadratics(dimension=2).build(n=4)
    method = Watched(MaleniaSGD(0.3, batch_size=10), lambda server, last, direction, state: direction - server.x)
    simulate(method, problem, Workers(4, [0.1, 1.0, 2.0, 7.0]), stop=Stop(iterations=20))
    assert np.abs(method.seen).max() < 1e-14


def test_the_variance_of_its_direction_is_sigma2_over_n_times_the_harmonic_mean_and_at_most_sigma2_over_s():
    """τ = (1, 3, 4), S = 5: B = (5, 1, 1) at 5 < HM·n; 1/9·(1/B_1 + 1/B_2 + 1/B_3) of σ² in 2000 steps."""
    problem = SeparateQuadratics(dimension=1, spread=0.0, noise=1.0).build(n=3)
    method = Watched(
        MaleniaSGD(1e-9, batch_size=5, stops=True), lambda server, last, direction, state: (direction - server.x).item()
    )
    run = simulate(method, problem, Workers(3, [1.0, 3.0, 4.0]), stop=Stop(iterations=2000))
    B = run.workers["used"] / run.iterations
    variance = (1 / B).sum() / 9
    assert variance <= 1 / 5
    assert np.mean(method.seen) == pytest.approx(0.0, abs=4 * math.sqrt(variance / 2000))
    assert np.var(method.seen) == pytest.approx(variance, rel=0.1)


@pytest.mark.parametrize("stops", [False, True])
def test_resumed_in_the_middle_it_ends_with_the_same_bits(stops):
    method = MaleniaSGD(0.1, batch_size=9, stops=stops)
    options = {"stop": Stop(iterations=20), "seed": 2}
    workers = Workers(4, lambda worker: Exponential(1.0 + 2 * worker), uplink=0.3)
    alone = simulate(method, Noisy(), workers, **options)
    assert differences(alone, resumed(method, Noisy(), workers, at=[1, 2, 11, 19], **options)) == []


def test_a_worker_that_never_returns_ends_the_run_as_stalled():
    run = play(MaleniaSGD(0.1), [1.0, 1.0, math.inf], stop=Stop(time=1e6), record=None)
    assert run.status == "stalled"
    assert run.reason.startswith("stalled: waiting for workers {2}: no step over the last 10,000 arrivals")


def test_theory_collects_at_least_one_gradient_of_each_worker():
    few = Knowledge(n=10, L=2.0, sigma2=1.0, epsilon=0.5)  # ⌈σ²/ε⌉ = 2 < n
    many = Knowledge(n=10, L=2.0, sigma2=1.0, epsilon=0.01)
    method = MaleniaSGD("theory", batch_size="theory")
    assert method.theory(few) == {"batch_size": 10, "stepsize": 0.5}
    assert method.theory(many) == {"batch_size": 100, "stepsize": min(1 / 2, 0.01 * 100 / 4)}
    assert MaleniaSGD("theory").theory(many)["stepsize"] == 0.01 * 10 / 4
    assert MaleniaSGD("theory", batch_size=3).theory(many)["stepsize"] == 0.01 * 10 / 4


@pytest.mark.parametrize("batch_size", [0, 1.5, "all", None])
def test_an_impossible_batch_size_is_refused(batch_size):
    with pytest.raises(ValueError, match="a whole number >= 1 or 'theory' or 'every' is needed"):
        MaleniaSGD(0.1, batch_size=batch_size)


def test_the_steps_of_the_lazy_form_come_when_expected():
    """τ = (1, 3): the step at 3; worker 0 is free at 3, too, so nobody is left with old work but by ties."""
    run = play(MaleniaSGD(0.1), [1.0, 3.0], stop=Stop(iterations=3))
    assert [time for time, _, _ in trace(run, "step")] == [3.0, 6.0, 9.0]
