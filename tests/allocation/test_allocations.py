"""Allocations in rounds: who is given what, what is learned, what a round costs."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsim import Constant, NoProblem, Quadratic, RennalaSGD, ShiftedExponential, Stop, Workers, simulate
from asyncsim.allocation import ALLOCATIONS, ATA, ATAEmpirical, FixedOptimal, Greedy, Uniform
from asyncsim.testing import resumed, scripted


def rennala(allocation, B):
    return RennalaSGD(stepsize=0.1, batch_size=B, allocation=allocation)


def unequal(n):
    """29√i + Exp(29√i), the times of the paper's figures."""
    return Workers(n, lambda worker: ShiftedExponential(29 * np.sqrt(worker + 1.0), 29 * np.sqrt(worker + 1.0)))


def test_greedy_gives_a_task_to_whoever_is_idle():
    trace = scripted(rennala(Greedy(), 3), [0, 0, 1, 0], n=2)
    assert trace.workers("sent") == [0, 1, 0, 0, 1, 0]


def test_greedy_is_rennalas_own_rule():
    workers = unequal(5)
    first = simulate(RennalaSGD(stepsize=0.1, batch_size=4), Quadratic(8), workers, stop=Stop(iterations=30))
    second = simulate(rennala(Greedy(), 4), Quadratic(8), workers, stop=Stop(iterations=30))
    assert first.event_hash == second.event_hash


@given(st.integers(1, 40), st.integers(1, 60), st.integers(0, 9))
def test_uniform_spreads_evenly_over_distinct_workers(n, B, seed):
    run = Uniform().start(n, np.random.default_rng(seed), None)
    run.begin(B)
    given_ = [run.next(worker) for worker in range(n)]
    assert sum(given_) == B
    assert max(given_) - min(given_) <= 1


def test_a_round_of_the_fixed_optimum_lasts_as_long_as_its_slowest_worker():
    """Times 1, 2, 9 and B = 3: (2, 1, 0), so both used workers take 2 seconds."""
    workers = Workers(3, [Constant(1.0), Constant(2.0), Constant(9.0)])
    run = simulate(rennala(FixedOptimal(), 3), NoProblem(), workers, stop=Stop(iterations=10))
    assert run.time == 20.0
    assert run.workers["used"].tolist() == [20, 10, 0]
    assert run.workers["busy_seconds"].tolist() == [20.0, 20.0, 0.0]


def test_greedy_worker_time_is_n_times_the_time_of_the_rounds():
    workers = Workers(4, Constant(1.0))
    run = simulate(RennalaSGD(0.1, 6, stops=True), NoProblem(), workers, stop=Stop(iterations=8))
    assert run.workers["busy_seconds"].sum() == pytest.approx(4 * run.time)


@pytest.mark.parametrize("allocation", [ATA(alpha=0.5), ATAEmpirical(eta=1.0), ATAEmpirical(eta=1.0, lcb="minus")])
def test_the_first_round_tries_as_many_workers_as_there_are_tasks(allocation):
    run = allocation.start(10, np.random.default_rng(0), None)
    run.begin(7)
    assert sorted(run.next(worker) for worker in range(10)) == [0] * 3 + [1] * 7


def test_untried_workers_come_before_all_others():
    run = ATAEmpirical().start(3, np.random.default_rng(0), None)
    run.observe(0, [1.0])
    run.observe(1, [1.0])
    run.begin(4)
    assert [run.next(worker) for worker in range(3)] == [0, 0, 4]


def test_the_lower_bound_of_the_empirical_form_by_hand():
    """k = 1: x = ln 2; with K = 4 tasks in 8 s, μ̂ = 2, β = √(ln 2/4) + ln 2/4; "div" is μ̂/(1 + 2ηβ)."""
    β = np.sqrt(np.log(2) / 4) + np.log(2) / 4
    run = ATAEmpirical(eta=0.5).start(1, np.random.default_rng(0), None)
    assert run._scores(np.array([2.0]), np.array([β])) == pytest.approx(2 / (1 + β))
    minus = ATAEmpirical(eta=0.5, lcb="minus").start(1, np.random.default_rng(0), None)
    assert minus._scores(np.array([2.0]), np.array([β])) == pytest.approx(max(0.0, 2 * (1 - β)))


def test_ata_learns_to_leave_the_slow_workers_out():
    """Twenty workers, B = 5: the empirical form spends most tasks on the five that the optimum uses."""
    run = simulate(
        rennala(ATAEmpirical(eta=0.766, conf_scale=0.3), 5), NoProblem(), unequal(20), stop=Stop(iterations=600)
    )
    assert run.workers["used"][:6].sum() > 0.7 * run.used


def test_ata_spends_far_less_worker_time_than_greedy():
    stop = Stop(iterations=300)
    ata = simulate(rennala(ATAEmpirical(eta=0.766), 5), NoProblem(), unequal(60), stop=stop)
    greedy = simulate(RennalaSGD(0.1, 5, stops=True), NoProblem(), unequal(60), stop=stop)
    assert ata.workers["busy_seconds"].sum() < 0.4 * greedy.workers["busy_seconds"].sum()


@pytest.mark.parametrize("name", ALLOCATIONS)
def test_an_allocation_survives_being_killed(name):
    allocation = ALLOCATIONS[name](**({"alpha": 20.0} if name == "ata" else {}))
    stop = Stop(iterations=40)
    whole = simulate(rennala(allocation, 4), Quadratic(6), unequal(7), stop=stop, seed=3)
    again = resumed(rennala(allocation, 4), Quadratic(6), unequal(7), stop=stop, seed=3, at=[1, 2, 17, 39])
    assert again.event_hash == whole.event_hash
    assert (again.curves["value"] == whole.curves["value"]).all()


@pytest.mark.parametrize("means", [(1.0, -2.0), (math.nan, 1.0), ["a", 1.0], "x"])
def test_impossible_means_are_refused(means):
    with pytest.raises(
        ValueError, match=r"FixedOptimal: means = .*, but a list, each a number >= 0 or 'inf', or 'theory'"
    ):
        FixedOptimal(means=means)


def test_theorys_means_may_be_infinite_and_give_such_a_worker_nothing():
    method = RennalaSGD(0.1, 4, allocation=FixedOptimal())
    run = simulate(method, NoProblem(), Workers(3, [1.0, 3.0, math.inf]), stop=Stop(iterations=5))
    assert (run.time, run.workers["used"].tolist()) == (15.0, [15, 5, 0])


def test_means_of_the_wrong_length_are_refused():
    with pytest.raises(ValueError, match=r"means has shape \(2,\), but one mean for each of 3 workers"):
        simulate(rennala(FixedOptimal(means=(1.0, 2.0)), 2), NoProblem(), unequal(3), stop=Stop(iterations=1))
