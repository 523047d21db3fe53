"""Freya PAGE: exact gradients in any order of arrivals, differences as fast as the workers allow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sums import Sum, descent
from toys import differences

from asyncsim import Constant, Exponential, FreyaPAGE, Knowledge, NoProblem, Record, SovietPAGE, Stop, Workers, simulate
from asyncsim.allocation import ATAEmpirical, FixedOptimal, Uniform
from asyncsim.methods.freya_page import Remaining
from asyncsim.testing import adversarial, resumed, scripted
from asyncsim.theory import collection_time, equilibrium_time, page_iterations, resolved

EVERY_STEP = Record(iterations=1)
ONLY_DIFFERENCES = 1e-300  # as the probability of the exact gradient: after the first, never


def unequal(n: int = 4) -> Workers:
    return Workers(n, lambda worker: Exponential(1.0 + worker))


def freya(m: int, **parameters) -> FreyaPAGE:
    return resolved(FreyaPAGE(**{"stepsize": 0.3, "components": m, **parameters}), Knowledge(n=1))


def test_a_trace_by_hand():
    """f_0 = x²/2, f_1 = (x − 2)²/2, so ∇f(x) = x − 1; x⁰ = 9, γ = ½, S = 1, whichever components are drawn.

    The exact gradient at 9 is 8, x¹ = 5. A difference is 5 − 9 = −4 for either component: g = 4, x² = 3. Then
    3 − 5 = −2: g = 2, x³ = 2.
    """
    method = FreyaPAGE(stepsize=0.5, batch_size=1, probability=ONLY_DIFFERENCES, components=2)
    # worker 1 goes on with the component that is left, and when it has that too worker 0 is stopped
    trace = scripted(method, [1, 1, 0, 1], n=2, x0=[9.0], gradient=lambda x, j: x - 2 * j)
    assert [x.item() for x in trace.iterates] == [9.0, 5.0, 3.0, 2.0]
    assert [event[:2] for event in trace.events] == [
        ("sent", 0), ("sent", 1), ("arrived", 1), ("sent", 1), ("arrived", 1), ("stopped", 0),
        ("used", 1), ("used", 1), ("step", -1),
        ("sent", 0), ("sent", 1), ("arrived", 0), ("stopped", 1), ("used", 0), ("step", -1),
        ("sent", 0), ("sent", 1), ("arrived", 1), ("stopped", 0), ("used", 1), ("step", -1),
        ("sent", 0), ("sent", 1),
    ]  # fmt: skip


@given(choices=st.lists(st.integers(0, 100), min_size=60, max_size=300), n=st.integers(1, 8), m=st.integers(1, 20))
def test_the_gradient_is_exact_whoever_comes_when(choices, n, m):
    problem = Sum(m)
    trace = adversarial(freya(m, probability=1.0), choices, n=n, x0=problem.x0, gradient=problem.component_gradient)
    # m components cannot take more than m·n arrivals
    assert len(trace.iterates) > len(choices) // (m * n)
    for x, by_hand in zip(trace.iterates, descent(problem, 0.3, len(trace.iterates)), strict=False):
        np.testing.assert_allclose(x, by_hand, rtol=0, atol=1e-12)
    assert set(trace.delays) <= {0}


@given(choices=st.lists(st.integers(0, 100), min_size=30, max_size=200), n=st.integers(2, 8), m=st.integers(1, 6))
def test_a_component_that_came_before_is_dropped_and_never_evaluated(choices, n, m):
    problem = Sum(m)
    trace = adversarial(freya(m, probability=1.0), choices, n=n, x0=problem.x0, gradient=problem.component_gradient)
    steps = len(trace.iterates) - 1
    assert len(problem.evaluated) == steps * m
    assert sorted(problem.evaluated) == sorted(list(range(m)) * steps)


def test_duplicates_count_as_discarded():
    """Three workers in step, two components: in most rounds two of the three compute the same one."""
    problem = Sum(2)
    run = simulate(freya(2, probability=1.0), problem, Workers(3, 1.0), stop=Stop(iterations=50))
    assert run.used == 100 == len(problem.evaluated)
    assert run.discarded > 0
    assert run.sent == run.used + run.discarded + run.stopped


@given(m=st.integers(1, 30), data=st.data())
def test_what_remains_is_what_was_not_removed(m, data):
    remaining, left, rng = Remaining(m), set(range(m)), np.random.default_rng(0)
    while left:
        assert {j for j in range(m) if j in remaining} == left
        assert len(remaining) == len(left)
        assert remaining.draw(rng) in left
        removed = data.draw(st.sampled_from(sorted(left)))
        remaining.remove(removed)
        left.remove(removed)
    assert not remaining


def test_each_of_those_that_remain_is_drawn_equally_often():
    remaining, rng = Remaining(10), np.random.default_rng(1)
    for j in (9, 0, 4, 8):
        remaining.remove(j)
    counts = np.bincount([remaining.draw(rng) for _ in range(6000)], minlength=10)
    assert counts[[9, 0, 4, 8]].tolist() == [0, 0, 0, 0]
    expected = 1000
    assert np.sum((counts[[1, 2, 3, 5, 6, 7]] - expected) ** 2) / expected < 20.5  # χ² of 5 degrees, 1 in 1000


@given(
    quarters=st.lists(st.integers(1, 12), min_size=1, max_size=8),
    S=st.integers(1, 20),
    dead=st.integers(0, 3),
)
def test_the_differences_take_exactly_the_collection_time_of_double_times(quarters, S, dead):
    times = np.array([q / 4 for q in quarters] + [np.inf] * dead)
    method = freya(5, batch_size=S, probability=ONLY_DIFFERENCES)
    run = simulate(method, NoProblem(), Workers(len(times), list(times)), stop=Stop(iterations=4), record=EVERY_STEP)
    assert np.diff(run.curves["time"])[1:4].tolist() == [collection_time(2 * times, S)] * 3


def test_a_worker_that_never_returns_never_blocks_it():
    run = simulate(freya(50), Sum(50), Workers(3, [1.0, np.inf, 2.0]), stop=Stop(iterations=60))
    assert (run.status, run.iterations) == ("finished", 60)
    assert run.workers["used"][1] == 0


def test_a_full_pass_over_very_many_components_is_no_stall():
    run = simulate(freya(12_000), NoProblem(), Workers(2, [1.0, np.inf]), stop=Stop(iterations=1))
    assert (run.status, run.used) == ("finished", 12_000)


def test_with_probability_1_it_is_gradient_descent():
    problem = Sum()
    run = simulate(freya(12, probability=1.0), problem, unequal(), stop=Stop(iterations=30), record=EVERY_STEP)
    values = [problem.value(x) for x in descent(problem, 0.3, 30)]
    np.testing.assert_allclose(run.curves["value"], values, rtol=0, atol=1e-12)


def test_of_one_function_it_is_gradient_descent():
    problem = Sum(1)
    run = simulate(freya(1), problem, unequal(), stop=Stop(iterations=30), record=EVERY_STEP)
    values = [problem.value(x) for x in descent(problem, 0.3, 30)]
    np.testing.assert_allclose(run.curves["value"], values, rtol=0, atol=1e-12)


def test_equal_hessians_make_every_estimate_exact_and_one_over_their_norm_the_stepsize():
    """L± = 0: a difference is the same for each component."""
    problem = Sum(20, spread=0.0)
    method = resolved(FreyaPAGE("theory"), knowledge_of(problem))
    assert method.stepsize == 1.0
    run = simulate(method, problem, unequal(), stop=Stop(iterations=5), record=EVERY_STEP)
    assert run.curves["squared_gradient_norm"][1] < 1e-28


def knowledge_of(problem: Sum) -> Knowledge:
    return Knowledge(n=4, **{name: getattr(problem, name) for name in ("components", "L_minus", "L_plus_minus")})


def test_theory_gives_the_parameters_and_they_keep_their_promise():
    problem, epsilon = Sum(25, spread=3.0), 0.1
    method = resolved(FreyaPAGE("theory"), knowledge_of(problem))
    assert (method.components, method.batch_size, method.probability) == (25, 5, 5 / 30)
    assert method.stepsize == pytest.approx(1 / (problem.L_minus + problem.L_plus_minus))
    K = page_iterations(problem.value(problem.x0) - problem.f_star, epsilon, method.stepsize)
    run = simulate(method, problem, unequal(), stop=Stop(iterations=K), record=EVERY_STEP)
    assert run.curves["squared_gradient_norm"][:-1].mean() <= epsilon


def test_theory_keeps_what_is_given_and_lists_all_that_is_missing():
    method = resolved(FreyaPAGE("theory", batch_size=2, components=8), Knowledge(n=1, L_minus=1.0, L_plus_minus=2.0))
    assert (method.batch_size, method.probability) == (2, 0.2)
    assert method.stepsize == pytest.approx(1 / (1 + 2 * np.sqrt(0.8 / 0.4)))
    with pytest.raises(ValueError, match=r"unknown: components \(.*\), L_minus \(.*\), L_plus_minus \("):
        resolved(FreyaPAGE("theory"), Knowledge(n=1))


@given(at=st.sets(st.integers(1, 39), min_size=1, max_size=3), seed=st.integers(0, 3))
@settings(max_examples=10)
def test_killed_and_taken_up_again_it_ends_with_the_same_bits(at, seed):
    options = {"stop": Stop(iterations=40), "seed": seed, "record": EVERY_STEP}
    alone = simulate(freya(12), Sum(), unequal(), **options)
    assert differences(alone, resumed(freya(12), Sum(), unequal(), at=at, **options)) == []


@pytest.mark.parametrize("allocation", [Uniform(), FixedOptimal((1.0, 2.0, 3.0, 4.0)), ATAEmpirical()])
def test_another_allocation_collects_the_differences_and_survives_a_resume(allocation):
    problem, options = Sum(), {"stop": Stop(iterations=40), "record": EVERY_STEP}
    method = freya(12, allocation=allocation)
    alone = simulate(method, problem, unequal(), **options)
    assert alone.curves["squared_gradient_norm"][-1] < 1e-3 * alone.curves["squared_gradient_norm"][0]
    assert differences(alone, resumed(method, Sum(), unequal(), at=[3, 20], **options)) == []


def test_it_beats_waiting_for_everybody():
    problem, workers = Sum(100), Workers(10, [1.0] * 9 + [20.0])
    soviet = SovietPAGE(stepsize=0.3, batch_size=10, probability=0.1, components=100)
    times = [
        simulate(m, problem, workers, stop=Stop(iterations=50)).time for m in (freya(100, probability=0.1), soviet)
    ]
    assert times[0] < times[1] / 4


def test_the_full_gradient_keeps_within_the_bound_of_twelve_equilibrium_times():
    times, m = np.sqrt(np.arange(1.0, 31)), 200
    run = simulate(freya(m, probability=1.0), NoProblem(), Workers(30, list(times)), stop=Stop(iterations=20))
    assert run.time / 20 < 12 * equilibrium_time(times, m + round(30 * np.log(30)))


def test_one_worker_computes_each_component_once():
    run = simulate(freya(9, probability=1.0), Sum(9), Workers(1, Constant(0.5)), stop=Stop(iterations=3))
    assert (run.time, run.used, run.sent) == (13.5, 27, 27)
