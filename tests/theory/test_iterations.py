"""Proven numbers of iterations: never more than the papers', at their stepsizes, and none beyond what is proven."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsim.theory import (
    asynchronous_iterations,
    batch_iterations,
    batch_stepsize,
    birch_gradients,
    birch_stepsize,
    local_rounds,
    local_steps,
    mindflayer_iterations,
    mindflayer_stepsize,
    ringleader_iterations,
    ringleader_stepsize,
    ringmaster_stepsize,
)

L, Δ = st.floats(0.1, 10), st.floats(0.1, 100)
NOISE, ε = st.floats(0, 10), st.floats(0.01, 1)


@given(Δ, L, NOISE, ε)
def test_rennala_needs_at_most_eight_condition_numbers(Delta, L, sigma2, epsilon):
    S = max(1, math.ceil(sigma2 / epsilon))
    γ = batch_stepsize(L, sigma2, epsilon, S)
    assert batch_iterations(Delta, L, sigma2, epsilon, S, γ) <= math.ceil(8 * L * Delta / epsilon * (1 + 1e-9))


@given(Δ, L, NOISE, ε, st.integers(1, 50))
def test_ringmaster_needs_at_most_the_papers_updates(Delta, L, sigma2, epsilon, R):
    γ = ringmaster_stepsize(L, sigma2, epsilon, R)
    paper = 8 * R * L * Delta / epsilon + 16 * sigma2 * L * Delta / epsilon**2
    assert asynchronous_iterations(Delta, L, sigma2, epsilon, R, γ) <= math.ceil(paper * (1 + 1e-9))


@given(Δ, L, NOISE, ε, st.floats(1, 100))
def test_mindflayer_needs_at_most_the_papers_steps(Delta, L, sigma2, epsilon, B):
    γ = mindflayer_stepsize(L, sigma2, epsilon, B)
    paper = max(1.0, sigma2 / (epsilon * B)) * 8 * L * Delta / epsilon
    assert mindflayer_iterations(Delta, L, sigma2, epsilon, B, γ) <= math.ceil(paper * (1 + 1e-9))


@given(Δ, L, NOISE, ε, st.integers(1, 50), st.floats(1, 20))
def test_ringleader_needs_the_papers_updates(Delta, L, sigma2, epsilon, n, B):
    γ = ringleader_stepsize(L, sigma2, epsilon, n, B)
    paper = 32 * n * L * Delta / epsilon + 40 * sigma2 * L * Delta / (B * epsilon**2)
    assert ringleader_iterations(Delta, L, sigma2, epsilon, n, B, γ) <= math.ceil(paper * (1 + 1e-9))


@given(Δ, L, st.floats(0.5, 10), ε, st.integers(4, 50))
def test_dual_local_sgd_needs_few_times_the_rounds_of_minibatch_sgd(Delta, L, sigma2, epsilon, n):
    K = local_steps(sigma2, epsilon, n)
    η = birch_stepsize(L, sigma2, epsilon, n * K - 1)
    r = local_rounds(Delta, L, sigma2, epsilon, n, [math.sqrt(n) * η] * K, η)
    assert r <= 200 * L * Delta / epsilon + 1


def test_one_local_step_is_a_batch_and_a_delay_below_one_nearly_is():
    known = (3.0, 2.0, 0.5, 0.1)
    assert local_rounds(*known, 4, [0.7], 0.02) == batch_iterations(*known, 4, 0.08)
    assert asynchronous_iterations(*known, 1, 0.01) >= batch_iterations(*known, 1, 0.01)


@pytest.mark.parametrize(
    "ask",
    [
        lambda γ: batch_iterations(1.0, 1.0, 1.0, 0.1, 1, γ),
        lambda γ: asynchronous_iterations(1.0, 1.0, 0.0, 0.1, 9, γ),
        lambda γ: mindflayer_iterations(1.0, 1.0, 1.0, 0.1, 1.0, γ),
        lambda γ: ringleader_iterations(1.0, 1.0, 1.0, 0.1, 3, 1.0, γ),
        lambda γ: birch_gradients(1.0, 1.0, 1.0, 0.1, 3, γ),
        lambda γ: local_rounds(1.0, 1.0, 1.0, 0.1, 3, [0.001] * 4, γ),
    ],
)
def test_of_long_steps_nothing_is_proven(ask):
    with pytest.raises(ValueError, match=r"nothing is proven for|the proof is for"):
        ask(0.9)


def test_noise_that_alone_keeps_the_gradient_large_is_told():
    with pytest.raises(ValueError, match=r"the noise alone may keep the mean of ‖∇f‖² at 1\.17, above 0\.1"):
        asynchronous_iterations(1.0, 1.0, 10.0, 0.1, 2, 0.1 * 0.98)
