"""The papers' quadratic against its matrix, finite differences and what is known of it exactly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from asyncsim.problems import Quadratic, batch_matches_single, estimate_sigma2


def matrix(d):
    return (2 * np.eye(d) - np.eye(d, k=1) - np.eye(d, k=-1)) / 4


def vector(d):
    return -np.eye(d)[0] / 4


@given(x=st.integers(1, 12).flatmap(lambda d: arrays(float, d, elements=st.floats(-100, 100))))
def test_gradient_and_value_are_those_of_the_matrix(x):
    d, problem = len(x), Quadratic(dimension=len(x))
    A, b = matrix(d), vector(d)
    value, gradient = problem.value_and_gradient(x)
    assert np.allclose(gradient, A @ x - b, rtol=0, atol=1e-12)
    assert value == pytest.approx(x @ A @ x / 2 - b @ x, rel=1e-12, abs=1e-11)
    assert value == problem.value(x)
    assert np.array_equal(gradient, problem.full_gradient(x))


@pytest.mark.parametrize("d", [1, 2, 3, 10, 51])
def test_smoothness_constant_is_the_largest_eigenvalue(d):
    assert pytest.approx(np.linalg.eigvalsh(matrix(d))[-1], rel=1e-13) == Quadratic(dimension=d).L


@pytest.mark.parametrize("d", [1, 2, 100, 1729])
def test_gradient_vanishes_at_the_minimizer_where_the_value_is_the_minimum(d):
    problem = Quadratic(dimension=d)
    value, gradient = problem.value_and_gradient(problem.x_star)
    assert np.abs(gradient).max() < 1e-16
    assert value == pytest.approx(problem.f_star, rel=1e-12)


def test_gap_at_the_start_is_the_papers():
    problem = Quadratic(dimension=1729)
    assert problem.value(problem.x0) - problem.f_star == pytest.approx(442.77, abs=0.005)
    assert problem.sigma2 == pytest.approx(0.1729)


@pytest.mark.parametrize("scalar_noise", [False, True])
def test_noise_has_the_stated_variance_and_kind(scalar_noise):
    problem = Quadratic(dimension=50, noise=0.3, scalar_noise=scalar_noise)
    rng = np.random.default_rng(5)
    assert estimate_sigma2(problem, problem.x0, rng, samples=2000) == pytest.approx(problem.sigma2, rel=0.1)
    noise = problem.gradient(problem.x0, rng, worker=3) - problem.full_gradient(problem.x0)
    assert (np.ptp(noise) < 1e-12) == scalar_noise


def test_without_noise_the_stochastic_gradient_is_exact_and_takes_no_random_numbers():
    problem = Quadratic(dimension=7, noise=0)
    assert problem.sigma2 == 0
    assert np.array_equal(problem.gradient(problem.x0, None, worker=0), problem.full_gradient(problem.x0))


@pytest.mark.parametrize("given", [{"noise": 0}, {}, {"scalar_noise": True}, {"spread": 2.0}])
def test_rows_of_a_batch_have_the_bits_of_single_gradients(given):
    assert batch_matches_single(Quadratic(dimension=129, **given).build(n=40), counts=(1, 2, 5, 33))


@given(n=st.integers(1, 9), spread=st.floats(0.1, 100))
def test_workers_with_a_spread_differ_by_what_is_told_and_agree_in_the_mean(n, spread):
    problem = Quadratic(dimension=6, noise=0, spread=spread).build(n=n)
    exact = problem.full_gradient(problem.x0)
    away = np.array([problem.gradient(problem.x0, None, worker) - exact for worker in range(n)])
    assert np.abs(away.sum(axis=0)).max() < 1e-12 * spread
    assert (away**2).sum(axis=1).mean() == pytest.approx(problem.zeta2, rel=1e-9, abs=1e-20)
    assert np.linalg.norm(away[0]) == pytest.approx(spread if n > 1 else 0)
    assert problem.L_max == problem.L


def test_with_a_spread_the_number_of_workers_must_be_known():
    with pytest.raises(ValueError, match="with a spread the number of workers must be known"):
        Quadratic(dimension=3, spread=1.0).gradient(np.zeros(3), np.random.default_rng(0), 0)
    assert Quadratic(dimension=3).zeta2 == 0


def test_start_and_minimizer_are_read_only_and_gradients_are_new_arrays():
    problem = Quadratic(dimension=5, noise=0)
    assert not problem.x0.flags.writeable
    assert not problem.x_star.flags.writeable
    assert problem.gradient(problem.x0, None, 0).flags.writeable
    assert problem.gradient(problem.x0, None, 0) is not problem.gradient(problem.x0, None, 0)


@pytest.mark.parametrize(
    "wrong", [{"dimension": 0}, {"dimension": 2.5}, {"noise": -1}, {"noise": float("nan")}, {"scalar_noise": 1}]
)
def test_wrong_parameters_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=f"Quadratic: {next(iter(wrong))} = "):
        Quadratic(**wrong)
