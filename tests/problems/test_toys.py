"""The small problems of the demonstrations: separate quadratics, and the function that local steps drift on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsim.problems import DriftSensitive, SeparateQuadratics, batch_matches_single, check_problem


@given(n=st.integers(1, 9), d=st.integers(1, 4), spread=st.floats(0, 100))
def test_the_mean_of_the_workers_functions_is_minimized_at_zero_to_the_last_bit(n, d, spread):
    problem = SeparateQuadratics(dimension=d, spread=spread).build(n=n)
    x = np.linspace(1, 2, d)
    centres = np.array([problem.centre(worker) for worker in range(n)])
    assert np.array_equal(centres, -centres[::-1])
    values = [0.5 * np.sum((x - c) ** 2) for c in centres]
    assert problem.value(x) == pytest.approx(np.mean(values))
    assert problem.value(problem.x_star) == problem.f_star
    assert not problem.full_gradient(problem.x_star).any()
    own = np.array([problem.worker_gradient(x, worker) for worker in range(n)])
    assert np.allclose(own, x - centres, rtol=0, atol=1e-13)
    assert problem.zeta2 == pytest.approx(np.mean(np.sum((own - own.mean(axis=0)) ** 2, axis=1)), abs=1e-9)


def test_the_outermost_centres_are_as_far_from_the_optimum_as_the_spread_says():
    problem = SeparateQuadratics(dimension=4, spread=3.0, start=8.0).build(n=5)
    assert np.linalg.norm(problem.centre(0)) == np.linalg.norm(problem.centre(4)) == pytest.approx(3.0)
    assert np.linalg.norm(problem.x0) == pytest.approx(8.0)


def test_noise_of_a_worker_is_about_its_own_gradient_with_the_variance_stated():
    problem = SeparateQuadratics(dimension=3, noise=0.5).build(n=2)
    rng, x = np.random.default_rng(1), np.ones(3)
    noise = [problem.gradient(x, rng, 1) - problem.worker_gradient(x, 1) for _ in range(4000)]
    assert np.abs(np.mean(noise, axis=0)).max() < 0.03
    assert np.mean(np.sum(np.square(noise), axis=1)) == pytest.approx(problem.sigma2, rel=0.05)
    assert batch_matches_single(problem)


def test_separate_quadratics_need_to_know_the_workers():
    with pytest.raises(ValueError, match=r"number of workers is not known; make it by Sep.*\.build\(n=…\)"):
        SeparateQuadratics().gradient(np.zeros(2), np.random.default_rng(1), 0)


@given(x=st.floats(-50, 50))
def test_the_drift_sensitive_function_has_the_slope_of_its_value_and_both_curvatures(x):
    problem = DriftSensitive()
    at = np.array([x])
    value, gradient = problem.value_and_gradient(at)
    assert value == problem.value(at) == pytest.approx(0.5 * x * x if x >= 0 else 0.025 * x * x)
    slope = (problem.value(at + 1e-6) - problem.value(at - 1e-6)) / 2e-6
    assert gradient[0] == pytest.approx(slope, abs=1e-6)
    assert problem.value(at) >= problem.f_star == problem.value(problem.x_star)


@given(x=st.floats(-50, 50), y=st.floats(-50, 50))
def test_the_drift_sensitive_slope_is_lipschitz_with_constant_one(x, y):
    problem = DriftSensitive()
    change = abs(problem.full_gradient(np.array([x])) - problem.full_gradient(np.array([y])))[0]
    assert change <= problem.L * abs(x - y) * (1 + 1e-12)


def test_the_drift_sensitive_noise_has_the_variance_stated():
    problem = DriftSensitive(noise=5, start=-3)
    rng = np.random.default_rng(1)
    noise = [problem.gradient(problem.x0, rng, 0)[0] + 0.15 for _ in range(4000)]
    assert problem.x0.tolist() == [-3.0]
    assert np.mean(np.square(noise)) == pytest.approx(problem.sigma2, rel=0.05)
    assert batch_matches_single(problem)
    assert check_problem(problem) is problem
    assert np.array_equal(DriftSensitive(noise=0).gradient(np.array([-2.0]), rng, 0), [-0.1])
