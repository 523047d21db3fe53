import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import Noisy, Slope, differences, differing_numbers

from asyncsim import (
    Constant,
    Crash,
    Dropout,
    Exponential,
    Knowledge,
    LogNormal,
    MindFlayerSGD,
    MinibatchSGD,
    NoProblem,
    Quadratic,
    Record,
    RennalaSGD,
    Stop,
    Workers,
    simulate,
)
from asyncsim.running import knowledge
from asyncsim.testing import TimedOut, resumed, scripted
from asyncsim.theory import mindflayer_stepsize, mindflayer_trials

EVERY = Record(iterations=1)


def test_what_was_delivered_is_divided_by_the_number_expected():
    """Two trials of worker 0 with p = ½ and one of worker 1 with p = 1: B = 2, whatever comes; γ = ½, g(x) = x."""
    method = MindFlayerSGD(0.5, allotted_times=3.0, trials=(2, 1), success_probabilities=(0.5, 1.0))
    one_of_two, none = [0, TimedOut(0), 1], [TimedOut(0), TimedOut(1), TimedOut(0)]
    trace = scripted(method, [*one_of_two, *none, 1, 0, 0], n=2, x0=[8.0])
    assert np.concatenate(trace.iterates).tolist() == [8.0, 8.0 - 16.0 / 4, 4.0, 4.0 - 12.0 / 4]
    assert trace.workers("sent") == [0, 1, 0] * 3 + [0, 1]
    assert trace.workers("used") == [0, 1, 1, 0, 0]
    assert set(trace.delays) == {0}


def test_a_trial_is_given_up_at_its_allotted_time_and_the_next_begins():
    """Worker 0 delivers after 1 and 2 s; worker 1, who would need 3 s, gives up at 2 and 4; worker 2 makes no trial."""
    method = MindFlayerSGD(0.5, allotted_times=(2.0, 2.0, 1.0), trials=(2, 2, 0), success_probabilities=(1.0, 0.0, 1.0))
    run = simulate(method, Slope(), Workers(3, [1.0, 3.0, 1.0]), stop=Stop(iterations=3), record=EVERY)
    assert run.curves["time"].tolist() == [0.0, 4.0, 8.0, 12.0]
    assert run.workers["used"].tolist() == [6, 0, 0]
    assert run.workers["timed_out"].tolist() == [0, 6, 0]


def test_a_job_that_is_lost_with_its_worker_is_a_trial_that_failed():
    """Worker 0 is away from 10.5 to 10.6; its eleventh trial is over at 12, and the next ones take 1 s again."""
    method = MindFlayerSGD(0.5, allotted_times=2.0, trials=1, success_probabilities=1.0)
    workers = Workers(2, 1.0, availability=[Dropout(up=Constant(10.5), down=0.1, policy="lost"), None])
    run = simulate(method, Slope(), workers, stop=Stop(iterations=13), record=EVERY)
    assert run.curves["time"].tolist() == [*range(11), 12.0, 13.0, 14.0]
    assert (run.workers["used"].tolist(), run.workers["timed_out"].tolist(), run.lost) == ([12, 13], [1, 0], 0)


def test_it_goes_on_beside_workers_that_drop_out_and_one_that_crashes():
    method = MindFlayerSGD(0.5, allotted_times=2.0, trials=2, success_probabilities=0.5)
    leaving = Dropout(up=Exponential(10.0), down=Exponential(5.0), policy="lost")
    workers = Workers(3, Exponential(1.0), availability=[leaving, leaving, Crash(at=20.0)])
    run = simulate(method, Slope(), workers, stop=Stop(time=500), record=EVERY)
    assert (run.status, run.time) == ("finished", 500.0)
    assert run.iterations > 100
    again = resumed(method, Slope(), workers, stop=Stop(time=500), record=EVERY, at=[30, 60])
    assert differences(run, again) == []


def test_a_gradient_that_comes_at_the_allotted_time_is_delivered():
    method = MindFlayerSGD(0.5, allotted_times=1.0, trials=2, success_probabilities=1.0)
    run = simulate(method, Slope(), Workers(2, 1.0), stop=Stop(iterations=4))
    assert (run.used, run.timed_out, run.time) == (16, 0, 8.0)


def test_with_one_trial_that_always_succeeds_it_is_minibatch_sgd_bit_by_bit():
    workers = Workers(5, lambda worker: Exponential(1.0 + worker), uplink=0.25)
    options = {"stop": Stop(iterations=20), "seed": 4, "record": EVERY}
    never_up = MindFlayerSGD(0.3, allotted_times=1e6, trials=1, success_probabilities=1.0)
    found, minibatch = (simulate(method, Noisy(), workers, **options) for method in (never_up, MinibatchSGD(0.3)))
    assert differing_numbers(found, minibatch) == []


def test_the_estimate_has_no_bias():
    """3000 estimates of ∇f(8) = 8 with lognormal times; the step is next to nothing, so that x stays where it is."""
    workers = Workers(4, lambda worker: LogNormal(0.0, 1.0 + 3.0 * worker))
    method = MindFlayerSGD(1e-9, allotted_times=(0.5, 1.0, 2.0, 40.0), trials=2)
    run = simulate(method, Slope(), workers, stop=Stop(iterations=3000), seed=1, record=Record(iterations=10**6))
    p = np.array(run.parameters["success_probabilities"])
    moved = (8.0 - math.sqrt(2 * run.curves["value"][-1])) / (1e-9 * 3000)
    deviation = 8.0 * math.sqrt((2 * p * (1 - p)).sum()) / (2 * p.sum()) / math.sqrt(3000)
    assert abs(moved - 8.0) < 4 * deviation
    assert run.used / 3000 == pytest.approx(2 * p.sum(), rel=0.05)


def test_killed_at_several_iterations_it_ends_with_the_same_bits():
    workers = Workers(4, lambda worker: LogNormal(0.0, 1.0 + 5.0 * worker), uplink=0.1)
    method = MindFlayerSGD(0.2, trials=(3, 2, 0, 4))
    options = {"stop": Stop(time=60.0), "seed": 2, "record": EVERY}
    alone = simulate(method, Noisy(), workers, **options)
    assert alone.timed_out > 0
    assert differences(alone, resumed(method, Noisy(), workers, at=[1, 2, 7], **options)) == []


def test_a_worker_that_never_returns_costs_its_trials_only():
    """With theory it isn't asked at all."""
    times = [1.0, 2.0, math.inf]
    asked = MindFlayerSGD(0.5, allotted_times=2.0, trials=1, success_probabilities=(1.0, 1.0, 0.0))
    run = simulate(asked, Slope(), Workers(3, times), stop=Stop(iterations=5))
    assert (run.status, run.time, run.timed_out) == ("finished", 10.0, 5)
    problem, target = Quadratic(10, noise=0.1), {"squared_gradient_norm": 0.01}
    run = simulate(MindFlayerSGD("theory"), problem, Workers(3, times), stop=Stop(iterations=5), target=target)
    assert [run.parameters[name][2] for name in ("allotted_times", "success_probabilities", "trials")] == [0.0, 0.0, 0]
    assert (run.status, run.timed_out) == ("finished", 0)


def test_under_heavy_tails_it_reaches_what_rennala_sgd_does_not():
    """Lognormal times, σ = 100: half of all gradients take less than a second, a tenth longer than 10⁵⁵ seconds."""
    workers, problem = Workers(5, LogNormal(0.0, 100.0)), Quadratic(10, noise=0.0)
    mindflayer = MindFlayerSGD(0.5, trials=2)
    options = {"stop": Stop(time=1000.0), "record": EVERY}
    found, rennala = (simulate(m, problem, workers, **options) for m in (mindflayer, RennalaSGD(0.5, batch_size=5)))
    assert found.iterations >= 500
    assert rennala.iterations < found.iterations / 5
    assert found.curves["squared_gradient_norm"][-1] < 1e-3 * rennala.curves["squared_gradient_norm"][-1]


# ---- theory -------------------------------------------------------------------------------------------------------

INSTANCES = st.lists(st.tuples(st.floats(0.01, 100.0), st.floats(0.01, 1.0)), min_size=1, max_size=6)


@given(INSTANCES, st.floats(1.0, 1e4))
def test_the_trials_give_enough_gradients_in_the_least_time(instance, S):
    """Σp_iB_i ≥ S and B_iT_i ≤ T, and no other set of workers has a smaller T = (S + Σp_i)/Σ(p_i/T_i)."""
    allotted, p = np.array(instance).T
    T = min(
        (S + p[list(chosen)].sum()) / (p[list(chosen)] / allotted[list(chosen)]).sum()
        for size in range(1, len(p) + 1)
        for chosen in itertools.combinations(range(len(p)), size)
    )
    B = mindflayer_trials(allotted, p, S)
    assert p @ B >= S * (1 - 1e-9)
    assert (B * allotted).max() <= T * (1 + 1e-9)


@given(n=st.integers(1, 20), rounds=st.integers(1, 50), seconds=st.floats(0.01, 1e3))
def test_equal_workers_with_constant_times_share_the_gradients_equally(n, rounds, seconds):
    """S = n·b is exactly b trials each: the ceiling does not see the rounding of T."""
    assert mindflayer_trials(np.full(n, seconds), np.ones(n), S=n * rounds).tolist() == [rounds] * n


def test_workers_that_never_succeed_or_never_return_make_no_trial():
    assert mindflayer_trials(np.array([1.0, 2.0, math.inf]), np.array([0.0, 0.5, 1.0]), S=3).tolist() == [0, 6, 0]
    with pytest.raises(ValueError, match="no worker's trial can succeed"):
        mindflayer_trials(np.array([math.inf]), np.array([1.0]), S=1)


def test_theory_allots_the_medians_and_divides_by_what_they_give():
    times = [Constant(4.0), Exponential(2.0), LogNormal(1.0, 50.0)]
    known = knowledge(Quadratic(10, noise=0.1), Workers(3, times), {"squared_gradient_norm": 0.01})
    found = MindFlayerSGD("theory").theory(known)
    assert found["allotted_times"] == pytest.approx((4.0, 2.0 * math.log(2.0), math.e))
    assert found["success_probabilities"] == pytest.approx((1.0, 0.5, 0.5))
    B = sum(p * trials for p, trials in zip(found["success_probabilities"], found["trials"], strict=True))
    assert found["stepsize"] == mindflayer_stepsize(known.L, known.sigma2, 0.01, B)
    assert known.sigma2 / 0.01 <= B


def test_parameters_that_are_given_are_kept_and_the_others_follow_them():
    law, free = Exponential(1.0), np.zeros(2)
    known = Knowledge(n=2, L=1.0, sigma2=1.0, epsilon=0.1, compute_laws=lambda worker: law, communication_times=free)
    found = MindFlayerSGD("theory", allotted_times=2.0, trials=3).theory(known)
    p = 1 - math.exp(-2.0)
    assert found == {
        "allotted_times": 2.0,
        "trials": 3,
        "success_probabilities": pytest.approx(p),
        "stepsize": pytest.approx(0.1 * 6 * p / 2),
    }


def test_constant_communication_times_are_part_of_a_trial():
    """Also where all times are constant: the trial that takes exactly its median is not given up for rounding."""
    workers = Workers(3, [0.1, 0.2, 0.3], uplink=0.1, downlink=[0.7, 0.3, 0.1])
    run = simulate(MindFlayerSGD(0.1, trials=3), NoProblem(), workers, stop=Stop(iterations=200))
    assert run.parameters["allotted_times"] == pytest.approx((0.9, 0.6, 0.5))
    assert (run.parameters["success_probabilities"], run.timed_out, run.used) == (1.0, 0, 1800)


class Untold:
    """A law that tells no quantile."""

    def sample(self, rng, size):
        return rng.random(size)


@pytest.mark.parametrize(
    ("workers", "words"),
    [
        (Workers(2, Untold()), r"the law of worker 0, .*Untold.*, has no quantile and cdf: give allotted_times"),
        (Workers(2, lambda rng, worker, start: 1.0), "has no quantile and cdf"),
        (Workers(2, 1.0, uplink=Exponential(1.0)), r"unknown: communication_times \(uplink or downlink are random\)"),
        (Workers(2, [0.0, 1.0]), "half of the times of worker 0 are 0: give allotted_times"),
    ],
)
def test_what_theory_cannot_know_is_said(workers, words):
    with pytest.raises(ValueError, match=words):
        simulate(MindFlayerSGD(0.1, trials=2), Slope(), workers, stop=Stop(iterations=1))


def test_fewer_than_one_gradient_expected_is_refused():
    method = MindFlayerSGD(0.1, allotted_times=1.0, trials=1, success_probabilities=0.2)
    with pytest.raises(ValueError, match=r"let 0\.8 gradients be expected in a step, but at least 1 is needed"):
        simulate(method, Slope(), Workers(4, 1.0), stop=Stop(iterations=1))
    assert simulate(method, Slope(), Workers(5, 1.0), stop=Stop(iterations=1)).iterations == 1


@pytest.mark.parametrize("name", ["allotted_times", "trials", "success_probabilities"])
def test_a_list_has_one_entry_for_each_worker(name):
    parameters = {"allotted_times": 1.0, "trials": 1, "success_probabilities": 1.0, name: (1, 1)}
    with pytest.raises(ValueError, match=f"{name} has 2 numbers, but there are 3 workers"):
        simulate(MindFlayerSGD(0.1, **parameters), Slope(), Workers(3, 1.0), stop=Stop(iterations=1))
