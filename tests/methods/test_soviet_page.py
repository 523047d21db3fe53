"""Soviet PAGE: equal shares for unequal workers."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sums import Sum, descent
from toys import differences

from asyncsim import Exponential, FreyaPAGE, HeroPAGE, Knowledge, NoProblem, Record, SovietPAGE, Stop, Workers, simulate
from asyncsim.testing import adversarial, resumed, scripted
from asyncsim.theory import resolved

EVERY_STEP = Record(iterations=1)
ONLY_DIFFERENCES = 1e-300


def unequal(n: int = 4) -> Workers:
    return Workers(n, lambda worker: Exponential(1.0 + worker))


def soviet(m: int, **parameters) -> SovietPAGE:
    return resolved(SovietPAGE(**{"stepsize": 0.3, "components": m, **parameters}), Knowledge(n=1))


def test_a_trace_by_hand():
    """f_j(x) = (x − 2j)²/2, j = 0, 1, 2: ∇f(x) = x − 2; x⁰ = 10, γ = ½, two workers.

    The exact gradient is 8, x¹ = 6; a difference is −4 for any component: g = 4, x² = 4; then −2: g = 2, x³ = 3.
    """
    method = soviet(3, stepsize=0.5, batch_size=2, probability=ONLY_DIFFERENCES)
    trace = scripted(method, [1, 0, 0, 1, 1, 0], n=2, x0=[10.0], gradient=lambda x, j: x - 2 * j)
    np.testing.assert_allclose([x.item() for x in trace.iterates], [10.0, 6.0, 4.0, 3.0], rtol=0, atol=1e-14)
    assert trace.delays == [0] * 6


@given(choices=st.lists(st.integers(0, 100), max_size=100), n=st.integers(1, 8), m=st.integers(1, 20))
def test_the_gradient_is_exact_whoever_comes_when(choices, n, m):
    problem = Sum(m)
    method = soviet(m, probability=1.0)
    trace = adversarial(method, choices, n=n, x0=problem.x0, gradient=problem.component_gradient)
    assert len(trace.iterates) == len(choices) // min(m, n) + 1
    for x, by_hand in zip(trace.iterates, descent(problem, 0.3, len(trace.iterates)), strict=False):
        np.testing.assert_allclose(x, by_hand, rtol=0, atol=1e-12)


def test_equal_workers_take_the_largest_share_each_time():
    """m = 10 on 4 workers: ⌈10/4⌉ = 3 gradients; S = 5: two differences, four gradients."""
    method = soviet(10, batch_size=5, probability=ONLY_DIFFERENCES)
    run = simulate(method, NoProblem(), Workers(4, 0.5), stop=Stop(iterations=3), record=EVERY_STEP)
    assert run.curves["time"].tolist()[:4] == [0.0, 1.5, 3.5, 5.5]


def test_with_fewer_differences_than_workers_random_ones_compute_them():
    method = soviet(4, batch_size=2, probability=ONLY_DIFFERENCES)
    run = simulate(method, NoProblem(), Workers(4, 1.0), stop=Stop(iterations=201))
    assert run.used == 4 + 200 * 2 * 2
    shares = (run.workers["used"] - 1) / 2
    assert shares.sum() == 400
    assert (abs(shares - 100) < 30).all()


def test_exact_gradients_come_with_their_probability():
    run = simulate(soviet(5, batch_size=1, probability=0.25), NoProblem(), Workers(1, 1.0), stop=Stop(iterations=801))
    exact = (run.used - 5 - 800 * 2) / 3  # five gradients instead of two
    assert 160 < exact < 240


def test_a_worker_that_never_returns_blocks_it():
    run = simulate(soviet(6), Sum(6), Workers(3, [1.0, np.inf, 2.0]), stop=Stop(time=100.0))
    assert (run.status, run.iterations) == ("stalled", 0)


@given(seed=st.integers(0, 5))
def test_on_one_worker_it_is_hero_page_bit_by_bit(seed):
    options = {"stop": Stop(iterations=40), "seed": seed, "record": EVERY_STEP, "label": "one"}
    one = simulate(soviet(12), Sum(), Workers(1, Exponential(1.0)), **options)
    hero = simulate(HeroPAGE(0.3, 4, 4 / 16, 12, worker=0), Sum(), Workers(1, Exponential(1.0)), **options)
    assert one.event_hash == hero.event_hash
    assert one.curves["value"].tobytes() == hero.curves["value"].tobytes()


def test_theory_is_that_of_freya_page():
    known = Knowledge(n=3, components=50, L_minus=1.0, L_plus_minus=0.5)
    ours, freya = resolved(SovietPAGE("theory"), known), resolved(FreyaPAGE("theory"), known)
    assert [getattr(ours, f.name) == getattr(freya, f.name) for f in fields(ours)] == [True] * 4
    assert ours.batch_size == 8


@given(at=st.sets(st.integers(1, 39), min_size=1, max_size=3))
@settings(max_examples=8)
def test_killed_and_taken_up_again_it_ends_with_the_same_bits(at):
    options = {"stop": Stop(iterations=40), "record": EVERY_STEP}
    alone = simulate(soviet(12), Sum(), unequal(), **options)
    assert differences(alone, resumed(soviet(12), Sum(), unequal(), at=at, **options)) == []


@pytest.mark.parametrize("m", [1, 12])
def test_with_probability_1_or_one_function_it_is_gradient_descent(m):
    problem = Sum(m)
    method = soviet(m, probability=1.0 if m > 1 else "theory")
    run = simulate(method, problem, unequal(), stop=Stop(iterations=20), record=EVERY_STEP)
    values = [problem.value(x) for x in descent(problem, 0.3, 20)]
    np.testing.assert_allclose(run.curves["value"], values, rtol=0, atol=1e-12)
