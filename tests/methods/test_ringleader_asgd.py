"""Ringleader ASGD: its golden trace, its rounds, its bounds, what theory gives it."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from toys import Noisy, differences, play, trace
from watched import Versions, Watched

from asyncsim import Exponential, Knowledge, LogNormal, RingleaderASGD, Stop, Workers, simulate
from asyncsim.testing import adversarial, resumed, scripted
from asyncsim.theory import (
    harmonic_mean_reaches,
    ringleader_fullness,
    ringleader_harmonic_mean,
    ringleader_stepsize,
)

# update: worker, time, numbers b and versions v of the rows; τ = (41.5, 60, 87). The order of the workers is the order
# of colours on the poster of the paper.
GOLDEN = [
    (2, 87.0, (2, 1, 1), (0, 0, 0)),
    (1, 120.0, (2, 2, 1), (0, 0, 0)),
    (0, 124.5, (3, 2, 1), (0, 0, 0)),
    (1, 180.0, (1, 1, 1), (3, 2, 1)),
    (0, 207.5, (2, 1, 1), (3, 2, 1)),
    (2, 261.0, (2, 1, 2), (3, 2, 1)),
    (2, 348.0, (3, 2, 1), (5, 4, 6)),
    (1, 360.0, (3, 3, 1), (5, 4, 6)),
    (0, 373.5, (4, 3, 1), (5, 4, 6)),
]


def watched(**parameters) -> Watched:
    """Ringleader, γ = 1; tells at each step who makes it, numbers and versions of the rows, how many still owe one."""

    def look(server, last, direction, state):
        # what comes of it after its update opens the next round, so phase 1 waits for it at least
        assert state["G_next"].b[last.worker] == 0
        return last.worker, state["G"].b.tolist(), np.round(direction[1:], 9).tolist(), int(state["owes"].sum())

    return Watched(RingleaderASGD(stepsize=1.0, **parameters), look)


def test_the_golden_trace_is_reproduced_exactly():
    method = watched()
    run = play(method, [41.5, 60.0, 87.0], problem=Versions(3), stop=Stop(iterations=9))
    times = [time for time, _, _ in trace(run, "step")]
    found = [
        (worker, time, tuple(b), tuple(versions))
        for (worker, b, versions, _), time in zip(method.seen, times, strict=True)
    ]
    assert found == GOLDEN
    assert run.discarded == run.stopped == 0


def test_a_round_by_hand():
    """γ = 1/2, x⁰ = 8, answers g = 1, 2, … for worker 0's gradients, 10, 20, … for worker 1's.

    Phase 1: g = 1, 2 of worker 0 fill its row (mean 3/2), 10 of worker 1 ends the phase: x¹ = 8 − ½·½(3/2 + 10) = 41/8.
    Phase 2: worker 0's 3 joins its row (mean 2): x² = 41/8 − ½·½(2 + 10) = 17/8.
    Round 2: worker 0 fills its row with 4; worker 1's 20 makes the update: x³ = 17/8 − ½·½(4 + 20) = −31/8.
    """
    seen = scripted(
        RingleaderASGD(stepsize=0.5),
        [0, 0, 1, 0, 0, 1],
        n=2,
        x0=[8.0],
        gradient=lambda x, worker, m: [(m + 1.0) * (10 if worker else 1)],
    )
    assert [x.item() for x in seen.iterates] == [8.0, 41 / 8, 17 / 8, -31 / 8]
    # the row of worker 0 keeps its point until worker 0's own update
    assert seen.delays == [0, 0, 0, 1, 0, 1]


def test_gradients_after_a_workers_update_begin_the_next_table():
    """Worker 2 ends phase 1 and delivers twice more before the others have updated: both go into the next round."""
    method = watched()
    scripted(method, [0, 1, 2, 2, 2, 0, 1, 0, 1], n=3, x0=[0.0] * 4, gradient=_versions(3))
    assert [(worker, b) for worker, b, _, _ in method.seen] == [
        (2, [1, 1, 1]),
        (0, [2, 1, 1]),
        (1, [2, 2, 1]),
        (1, [1, 1, 2]),
    ]
    assert method.seen[3][2] == [2.0, 3.0, 1.0]


@pytest.mark.parametrize(("resend", "of_row_2"), [("own", 1.0), ("latest", 4 / 3)])
def test_latest_sends_the_newest_point_where_own_goes_on_at_the_old_one(resend, of_row_2):
    """Worker 2 ends phase 1 with x¹ and delivers once before and once after x² is made, and once after x³."""
    method = watched(resend=resend)
    scripted(method, [0, 1, 2, 2, 0, 2, 1, 2, 0, 1], n=3, x0=[0.0] * 4, gradient=_versions(3))
    worker, b, versions, _ = method.seen[3]
    assert (worker, b) == (1, [1, 1, 3])
    assert versions == pytest.approx([2.0, 3.0, of_row_2])


def test_phase_1_lasts_until_the_harmonic_mean_of_the_numbers_is_reached():
    """(1/2 (1/3 + 1/1))⁻¹ = 3/2 is exactly enough, (1/2 (1/2 + 1/1))⁻¹ = 4/3 is not."""
    for harmonic_mean, updates in ((1.5, 1), (1.51, 0)):
        method = watched(harmonic_mean=harmonic_mean)
        scripted(method, [0, 0, 1, 0], n=2, x0=[0.0] * 3, gradient=_versions(2))
        assert len(method.seen) == updates


def check_rounds(seen, n):
    """Exactly n updates a round, one of each worker; no row older than 2n − 2; phase 1 is never empty."""
    for start in range(0, len(seen), n):
        workers = [worker for worker, *_ in seen[start : start + n]]
        assert len(set(workers)) == len(workers)
        assert [owing for *_, owing in seen[start : start + n]] == list(range(n - 1, n - 1 - len(workers), -1))
    for k, (_, b, versions, _) in enumerate(seen):
        assert all(k - version <= 2 * n - 2 for version in versions)
        assert min(b) >= 1


@given(
    choices=st.lists(st.integers(0, 100), max_size=150), n=st.integers(1, 5), resend=st.sampled_from(["own", "latest"])
)
def test_in_every_fair_order_a_round_has_one_update_of_each_worker_and_no_row_is_older_than_2n_minus_2(
    choices, n, resend
):
    method = watched(resend=resend)
    adversarial(method, choices, n=n, x0=[0.0] * (1 + n), gradient=_versions(n))
    check_rounds(method.seen, n)


@given(times=st.lists(st.floats(0.1, 20.0), min_size=1, max_size=8))
@example(times=[1.0] * 7 + [2.5])
@settings(max_examples=30)
def test_with_constant_times_a_round_takes_at_most_2_tau_n_and_the_rows_are_as_full_as_promised(times):
    """B = harmonic mean of the numbers ≥ max{1, τ_n/(3τ_avg)}."""
    n = len(times)
    method = watched()
    run = play(method, times, problem=Versions(n), stop=Stop(iterations=6 * n))
    ends = [0.0, *[time for time, _, _ in trace(run, "step")][n - 1 :: n]]
    assert np.diff(ends).max() <= 2 * max(times) * (1 + 1e-12)
    promised = ringleader_fullness(np.array(times))
    assert all(n / (1 / np.array(b)).sum() >= promised * (1 - 1e-12) for _, b, _, _ in method.seen)
    check_rounds(method.seen, n)


def test_rows_of_one_gradient_each_come_where_half_of_the_longest_time_over_the_mean_is_more_than_one():
    """So τ_n/(2τ_avg) is no bound of their harmonic mean."""
    times = [1.0] * 9 + [2.93]
    method = watched()
    play(method, times, problem=Versions(10), stop=Stop(iterations=200))
    assert max(times) / (2 * np.mean(times)) > 1.2
    assert min(10 / (1 / np.array(b)).sum() for _, b, _, _ in method.seen) == 1.0


def test_with_heavy_tailed_times_the_bound_2n_minus_2_is_kept_and_attained():
    n = 3
    method = watched()
    simulate(method, Versions(n), Workers(n, LogNormal(0.0, 2.0)), stop=Stop(iterations=300))
    check_rounds(method.seen, n)
    assert max(k - min(versions) for k, (_, _, versions, _) in enumerate(method.seen)) == 2 * n - 2


def test_one_worker_alone_makes_an_update_of_each_gradient():
    run = simulate(RingleaderASGD(stepsize=0.1), Noisy(), Workers(1, 1.0), stop=Stop(iterations=20))
    assert (run.used, run.largest_delay, run.time) == (20, 0, 20.0)


@pytest.mark.parametrize("method", [RingleaderASGD(0.05, harmonic_mean=2.5), RingleaderASGD(0.05, resend="latest")])
def test_resumed_in_the_middle_of_rounds_it_ends_with_the_same_bits(method):
    options = {"stop": Stop(iterations=31), "seed": 2}
    workers = Workers(4, lambda worker: Exponential(1.0 + 2 * worker), uplink=0.3)
    alone = simulate(method, Noisy(), workers, **options)
    assert differences(alone, resumed(method, Noisy(), workers, at=[1, 2, 4, 7, 20, 21, 30], **options)) == []


def test_a_worker_that_never_returns_ends_the_run_as_stalled():
    run = play(RingleaderASGD(stepsize=0.1), [1.0, 1.0, math.inf], stop=Stop(time=1e6), record=None)
    assert run.status == "stalled"
    assert run.reason.startswith("stalled: waiting for workers {2}: no step over the last 10,000 arrivals")


@given(counts=st.lists(st.integers(0, 30), min_size=1, max_size=12), bound=st.fractions(min_value="1/10", max_value=20))
def test_the_harmonic_mean_is_compared_exactly(counts, bound):
    exact = len(counts) / sum(Fraction(1, b) for b in counts) if min(counts) else Fraction(0)
    assert harmonic_mean_reaches(np.array(counts), bound) == (exact >= bound)
    if exact:
        assert harmonic_mean_reaches(np.array(counts), exact)
        assert not harmonic_mean_reaches(np.array(counts), exact + Fraction(1, 10**30))


def test_theory_gives_the_papers_stepsize_and_for_changing_speeds_a_harmonic_mean_that_frees_it_of_the_noise():
    knowledge = {"n": 4, "L": 1.0, "L_max": 2.0, "sigma2": 1.0, "epsilon": 0.01}
    times = np.array([1.0, 1.0, 1.0, 37.0])  # τ_n/(3τ_avg) = 37/30
    method = RingleaderASGD(stepsize="theory")
    constant = method.theory(Knowledge(mean_times=times, constant_times=True, **knowledge))
    assert constant["stepsize"] == min(1 / (8 * 4 * 2), 0.01 * (37 / 30) / (10 * 2))
    random = method.theory(Knowledge(mean_times=times, **knowledge))
    assert random["stepsize"] == 0.01 / (10 * 2)
    method = RingleaderASGD(stepsize="theory", harmonic_mean="theory")
    given = method.theory(Knowledge(mean_times=times, **knowledge))
    assert given["harmonic_mean"] == ringleader_harmonic_mean(1.0, 0.01, 4) == 1.25 / 0.04
    assert given["stepsize"] == pytest.approx(1 / (8 * 4 * 2))
    assert ringleader_stepsize(L=2.0, sigma2=0.0, epsilon=0.01, n=4, B=1.0) == 1 / 64


def test_theory_tells_what_it_misses():
    with pytest.raises(ValueError, match=r"theory is not possible here: unknown: sigma2 .*, epsilon"):
        simulate(RingleaderASGD("theory"), _WithL(2), Workers(2, 1.0), stop=Stop(time=1))


class _WithL(Versions):
    L = 1.0


@pytest.mark.parametrize("parameters", [{"harmonic_mean": 0.5}, {"resend": "newest"}, {"harmonic_mean": "every"}])
def test_an_impossible_parameter_is_refused(parameters):
    with pytest.raises(ValueError, match="is needed"):
        RingleaderASGD(stepsize=0.1, **parameters)


def _versions(n):
    problem = Versions(n)
    return lambda x, worker: problem.gradient(x, None, worker)
