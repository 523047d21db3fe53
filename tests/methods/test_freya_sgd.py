"""Freya SGD: the first S gradients of random components, then everybody stops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sums import Sum, descent
from toys import differences

from asyncsim import (
    Exponential,
    FreyaSGD,
    Knowledge,
    NoProblem,
    QuadraticSum,
    Record,
    SoftmaxRegression,
    Stop,
    Workers,
    simulate,
)
from asyncsim.allocation import ATAEmpirical, Uniform
from asyncsim.testing import resumed, scripted
from asyncsim.theory import collection_time, resolved

EVERY_STEP = Record(iterations=1)


def unequal(n: int = 4) -> Workers:
    return Workers(n, lambda worker: Exponential(1.0 + worker))


def test_a_trace_by_hand():
    """One component, f(x) = x²/2; S = 2, γ = ½: x halves with every second arrival, who else computes is stopped."""
    method = FreyaSGD(stepsize=0.5, batch_size=2, components=1)
    trace = scripted(method, [0, 1, 2, 2], n=3, x0=[8.0], gradient=lambda x, j: x)
    assert [x.item() for x in trace.iterates] == [8.0, 4.0, 2.0]
    assert trace.workers("stopped") == [0, 2, 0, 1]
    assert trace.delays == [0, 0, 0, 0]


def test_each_component_is_drawn_equally_often():
    problem = Sum(10)
    simulate(FreyaSGD(0.1, batch_size=30, components=10), problem, unequal(), stop=Stop(iterations=200))
    counts = np.bincount(problem.evaluated)
    assert counts.sum() == 6000
    assert np.sum((counts - 600) ** 2) / 600 < 27.9  # χ² of 9 degrees, 1 in 1000


@given(quarters=st.lists(st.integers(1, 12), min_size=1, max_size=8), S=st.integers(1, 20), dead=st.integers(0, 3))
def test_a_step_takes_exactly_the_collection_time(quarters, S, dead):
    times = np.array([q / 4 for q in quarters] + [np.inf] * dead)
    method = FreyaSGD(0.1, batch_size=S, components=5)
    run = simulate(method, NoProblem(), Workers(len(times), list(times)), stop=Stop(iterations=3), record=EVERY_STEP)
    assert np.diff(run.curves["time"])[:3].tolist() == [collection_time(times, S)] * 3


def test_of_one_function_it_is_gradient_descent():
    problem = Sum(1)
    run = simulate(FreyaSGD(0.3, 3, components=1), problem, unequal(), stop=Stop(iterations=20), record=EVERY_STEP)
    values = [problem.value(x) for x in descent(problem, 0.3, 20)]
    np.testing.assert_allclose(run.curves["value"], values, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "problem",
    [
        SoftmaxRegression("digits", batch_size=32),
        SoftmaxRegression("digits", batch_size=32, split="dirichlet").build(seed=1, n=10),
        QuadraticSum(components=20, dimension=6, heterogeneous=True).build(seed=1, n=4),
    ],
    ids=["minibatches", "split data", "quadratics"],
)
def test_the_spread_of_the_components_is_no_less_than_it_is_whatever_a_worker_computes(problem):
    exact = problem.full_gradient(problem.x0)
    each = [problem.component_gradient(problem.x0, j) for j in range(problem.components)]
    spread = np.mean([np.sum((gradient - exact) ** 2) for gradient in each])
    assert spread <= problem.components_sigma2 * (1 + 1e-9)
    if getattr(problem, "zeta2", 0.0) == 0.0:
        assert spread == pytest.approx(problem.components_sigma2, rel=1e-9)


def test_theory_takes_the_spread_of_the_components():
    known = Knowledge(n=2, L=2.0, sigma2=0.1, components_sigma2=3.0, epsilon=0.5, components=40)
    assert resolved(FreyaSGD("theory"), known) == FreyaSGD(0.25, 6, 40)
    assert resolved(FreyaSGD("theory", batch_size=3), known).stepsize == 0.125
    assert resolved(FreyaSGD(1.0, 2), Knowledge(n=2, components=40)) == FreyaSGD(1.0, 2, 40)
    with pytest.raises(ValueError, match=r"unknown: components \(.*\), components_sigma2 \(.*\), epsilon \(.*\), L \("):
        resolved(FreyaSGD("theory"), Knowledge(n=2))


@given(at=st.sets(st.integers(1, 39), min_size=1, max_size=3))
@settings(max_examples=8)
def test_killed_and_taken_up_again_it_ends_with_the_same_bits(at):
    for allocation in ({}, {"allocation": Uniform()}, {"allocation": ATAEmpirical()}):
        method, options = FreyaSGD(0.2, 3, 12, **allocation), {"stop": Stop(iterations=40), "record": EVERY_STEP}
        alone = simulate(method, Sum(), unequal(), **options)
        assert differences(alone, resumed(method, Sum(), unequal(), at=at, **options)) == []
