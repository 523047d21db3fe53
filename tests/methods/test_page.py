"""PAGE: two sizes of minibatches, in step."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sums import Sum, descent
from toys import differences

from asyncsim import PAGE, Exponential, HeroPAGE, Knowledge, NoProblem, Record, Stop, Workers, simulate
from asyncsim.testing import resumed, scripted
from asyncsim.theory import page_stepsize, resolved

EVERY_STEP = Record(iterations=1)
ONLY_DIFFERENCES = 1e-300


def unequal(n: int = 4) -> Workers:
    return Workers(n, lambda worker: Exponential(1.0 + worker))


def test_a_trace_by_hand():
    """f_j(x) = (x − 2j)²/2, j = 0, 1, 2: ∇f(x) = x − 2; x⁰ = 10, γ = ½; gradient 8, then differences −4 and −2.

    Of three components worker 0 has two and worker 1 one; of one difference worker 0 has all.
    """
    method = PAGE(0.5, batch_size=3, difference_batch_size=1, probability=ONLY_DIFFERENCES, components=3)
    trace = scripted(method, [1, 0, 0, 0], n=2, x0=[10.0], gradient=lambda x, j: x - 2 * j)
    np.testing.assert_allclose([x.item() for x in trace.iterates], [10.0, 6.0, 4.0, 3.0], rtol=0, atol=1e-14)
    assert trace.workers("sent") == [0, 1, 0, 0, 0]


def test_each_minibatch_waits_for_its_largest_share():
    method = PAGE(0.5, batch_size=7, difference_batch_size=3, probability=ONLY_DIFFERENCES, components=100)
    run = simulate(method, NoProblem(), Workers(2, 0.5), stop=Stop(iterations=3), record=EVERY_STEP)
    assert run.curves["time"].tolist()[:4] == [0.0, 2.0, 4.0, 6.0]
    assert run.used == 7 + 6 + 6


def test_a_smaller_fresh_minibatch_is_unbiased_and_drawn_with_replacement():
    problem = Sum(4)
    method = PAGE(1e-9, batch_size=3, difference_batch_size=1, probability=1.0, components=4)
    simulate(method, problem, Workers(2, 1.0), stop=Stop(iterations=2000))
    counts = np.bincount(problem.evaluated)
    assert counts.sum() == 6000
    assert np.sum((counts - 1500) ** 2) / 1500 < 16.3  # χ² of 3 degrees, 1 in 1000
    triples = np.sort(np.array(problem.evaluated).reshape(-1, 3), axis=1)
    assert (np.diff(triples, axis=1) == 0).any()


def test_on_one_worker_it_is_hero_page_bit_by_bit():
    options = {"stop": Stop(iterations=40), "record": EVERY_STEP, "label": "one"}
    page = simulate(PAGE(0.3, 12, 4, 0.25, 12), Sum(), Workers(1, Exponential(1.0)), **options)
    hero = simulate(HeroPAGE(0.3, 4, 0.25, 12, worker=0), Sum(), Workers(1, Exponential(1.0)), **options)
    assert page.event_hash == hero.event_hash
    assert page.curves["value"].tobytes() == hero.curves["value"].tobytes()


@pytest.mark.parametrize("m", [1, 12])
def test_with_probability_1_or_one_function_it_is_gradient_descent(m):
    problem = Sum(m)
    method = PAGE(0.3, probability=1.0 if m > 1 else "theory")
    run = simulate(method, problem, unequal(), stop=Stop(iterations=20), record=EVERY_STEP)
    values = [problem.value(x) for x in descent(problem, 0.3, 20)]
    np.testing.assert_allclose(run.curves["value"], values, rtol=0, atol=1e-12)


def test_a_worker_that_never_returns_blocks_it():
    run = simulate(PAGE(0.3), Sum(), Workers(3, [1.0, np.inf, 2.0]), stop=Stop(time=100.0))
    assert (run.status, run.iterations) == ("stalled", 0)


def test_theory_gives_the_parameters_of_a_finite_sum():
    known = Knowledge(n=2, components=30, L_plus=2.0)
    method = resolved(PAGE("theory"), known)
    assert method == PAGE(page_stepsize(2.0, 2.0, 5, 5 / 35), 30, 5, 5 / 35, 30)
    assert method.stepsize == pytest.approx(1 / (2 * (1 + np.sqrt((1 - 1 / 7) / (5 / 7)))))
    with pytest.raises(ValueError, match=r"unknown: components \(.*\), L_plus \("):
        resolved(PAGE("theory"), Knowledge(n=2))


@given(L_minus=st.floats(0.01, 10), spread=st.floats(0, 10), S=st.integers(1, 100), p=st.floats(1e-3, 1.0))
def test_its_stepsize_is_never_larger_than_soviet_pages(L_minus, spread, S, p):
    """L₋ and L± are both at most L₊, and L₋² + L±² bounds L₊² where the Hessians are multiples of one."""
    L_plus = float(np.hypot(L_minus, spread))
    assert page_stepsize(L_plus, L_plus, S, p) <= page_stepsize(L_minus, spread, S, p)


@given(at=st.sets(st.integers(1, 39), min_size=1, max_size=3))
@settings(max_examples=8)
def test_killed_and_taken_up_again_it_ends_with_the_same_bits(at):
    for method in (PAGE(0.3), PAGE(0.1, batch_size=6, difference_batch_size=2)):
        options = {"stop": Stop(iterations=40), "record": EVERY_STEP}
        alone = simulate(method, Sum(), unequal(), **options)
        assert differences(alone, resumed(method, Sum(), unequal(), at=at, **options)) == []
