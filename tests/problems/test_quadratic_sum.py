"""The papers' sum of quadratics against its dense matrices: gradients, constants, minimizer, shares of the workers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncsim.problems import Quadratic, QuadraticSum, batch_matches_single, check_problem
from asyncsim.streams import sequential


def dense(problem, seed):
    """A_j (m, d, d) and b_j (m, d) as the generator is described, step by step."""
    m, d, s = problem.components, problem.dimension, problem.heterogeneity
    luck = sequential(seed, "problem").standard_normal((m, 2))
    A = np.empty((m, d, d))
    b = np.zeros((m, d))
    for j in range(m):
        ν, c = 1 + s * luck[j, 0], s * luck[j, 1]
        A[j] = ν / 4 * (2 * np.eye(d) - np.eye(d, k=1) - np.eye(d, k=-1))
        b[j, 0] = ν / 4 * (-1 + c)
    A += (problem.mu - np.linalg.eigvalsh(A.mean(axis=0))[0]) * np.eye(d)
    return A, b


sums = st.builds(
    QuadraticSum,
    components=st.integers(1, 12),
    dimension=st.integers(1, 7),
    heterogeneity=st.floats(0, 3),
    mu=st.floats(1e-3, 1),
)


@settings(max_examples=50)
@given(described=sums, seed=st.integers(0, 2**40))
def test_gradients_value_and_minimizer_are_those_of_the_matrices(described, seed):
    problem = described.build(seed)
    A, b = dense(problem, seed)
    x = np.linspace(-2, 3, problem.dimension)
    for j in range(problem.components):
        assert np.allclose(problem.component_gradient(x, j), A[j] @ x - b[j], rtol=0, atol=1e-12)
    mean_A, mean_b = A.mean(axis=0), b.mean(axis=0)
    value, gradient = problem.value_and_gradient(x)
    assert np.allclose(gradient, mean_A @ x - mean_b, rtol=0, atol=1e-12)
    assert value == pytest.approx(x @ mean_A @ x / 2 - mean_b @ x, rel=1e-11, abs=1e-11)
    assert value == problem.value(x)
    best = np.linalg.solve(mean_A, mean_b)
    assert np.allclose(problem.x_star, best, rtol=1e-9, atol=1e-9)
    assert problem.f_star == pytest.approx(-mean_b @ best / 2, rel=1e-9, abs=1e-12)


@settings(max_examples=50)
@given(described=sums, seed=st.integers(0, 2**40))
def test_constants_are_the_norms_of_the_matrices(described, seed):
    problem = described.build(seed)
    A, _ = dense(problem, seed)

    def norm(matrix):
        return np.abs(np.linalg.eigvalsh(matrix)).max()

    mean, squares = A.mean(axis=0), (A @ A).mean(axis=0)
    assert np.linalg.eigvalsh(mean)[0] == pytest.approx(problem.mu, rel=1e-9)
    assert problem.L == problem.L_minus == pytest.approx(norm(mean), rel=1e-10)
    assert problem.L_plus_minus == pytest.approx(np.sqrt(norm(squares - mean @ mean)), rel=1e-6, abs=1e-6)
    assert problem.L_plus == pytest.approx(np.sqrt(norm(squares)), rel=1e-10)
    assert problem.L_max == pytest.approx(max(map(norm, A)), rel=1e-10)
    assert problem.L_plus_minus <= problem.L_plus * (1 + 1e-12)


def test_the_minimizer_of_a_large_ill_conditioned_sum_has_no_gradient():
    problem = QuadraticSum(components=100, dimension=1000, mu=1e-6).build(seed=3)
    value, gradient = problem.value_and_gradient(problem.x_star)
    assert np.abs(gradient).max() < 1e-15 * np.abs(problem.x_star).max() + 1e-15
    assert value == problem.f_star < problem.value(problem.x0)


def test_without_heterogeneity_all_functions_are_the_shifted_quadratic():
    problem = QuadraticSum(components=3, dimension=6, heterogeneity=0, mu=0.25).build(seed=1)
    plain = Quadratic(dimension=6)
    x = np.arange(6.0)
    shift = 0.25 - np.sin(np.pi / 14) ** 2
    assert np.allclose(problem.component_gradient(x, 2), plain.full_gradient(x) + shift * x, rtol=0, atol=1e-15)
    assert problem.L_plus_minus == problem.sigma2 == 0
    assert problem.estimated == frozenset()


@given(indices=st.lists(st.integers(0, 19), min_size=1, max_size=40))
def test_mean_over_components_is_the_mean_of_their_gradients(indices):
    problem = QuadraticSum(components=20, dimension=5).build(seed=7)
    x = np.linspace(-1, 1, 5)
    one_by_one = np.mean([problem.component_gradient(x, j) for j in indices], axis=0)
    assert np.allclose(problem.component_mean(x, indices), one_by_one, rtol=0, atol=1e-15)


class Uniform:
    """A generator that gives the numbers of a list in turn."""

    def __init__(self, numbers):
        self.numbers = iter(numbers)

    def random(self):
        return next(self.numbers)


@pytest.mark.parametrize("heterogeneous", [False, True])
def test_a_worker_draws_each_of_its_functions_alike_and_its_mean_is_its_own_gradient(heterogeneous):
    problem = QuadraticSum(components=12, dimension=4, heterogeneous=heterogeneous).build(seed=2, n=3)
    x = np.array([1.0, -2.0, 0.5, 3.0])
    share = 4 if heterogeneous else 12
    own = []
    for worker in range(3):
        luck = Uniform((np.arange(share) + 0.5) / share)
        drawn = [problem.gradient(x, luck, worker) for _ in range(share)]
        first = worker * share if heterogeneous else 0
        assert all(np.array_equal(g, problem.component_gradient(x, first + j)) for j, g in enumerate(drawn))
        assert np.allclose(np.mean(drawn, axis=0), problem.worker_gradient(x, worker), rtol=0, atol=1e-14)
        own.append(problem.worker_gradient(x, worker))
    assert np.allclose(np.mean(own, axis=0), problem.full_gradient(x), rtol=0, atol=1e-14)
    assert problem.workers == (3 if heterogeneous else None)
    assert (problem.zeta2 > 0) is heterogeneous


@pytest.mark.parametrize("n", [1, 3, 12])
def test_variance_at_the_start_is_that_of_the_worker_where_it_is_largest(n):
    problem = QuadraticSum(components=12, dimension=4, heterogeneous=True).build(seed=2, n=n)
    components = np.array([problem.component_gradient(problem.x0, j) for j in range(12)]).reshape(n, 12 // n, 4)
    squares = np.sum((components - components.mean(axis=1, keepdims=True)) ** 2, axis=2).mean(axis=1)
    assert problem.sigma2 == pytest.approx(squares.max(), rel=1e-12, abs=1e-15)
    assert problem.estimated == (frozenset() if n == 12 else {"sigma2"})


def test_heterogeneity_and_largest_constant_are_those_of_the_workers():
    problem = QuadraticSum(components=6, dimension=4, heterogeneous=True).build(seed=5, n=3)
    A, b = dense(problem, 5)
    own = A.reshape(3, 2, 4, 4).mean(axis=1)
    assert problem.L_max == pytest.approx(max(np.abs(np.linalg.eigvalsh(a)).max() for a in own))
    gradients = own @ problem.x0 - b.reshape(3, 2, 4).mean(axis=1)
    assert problem.zeta2 == pytest.approx(np.mean(np.sum((gradients - gradients.mean(axis=0)) ** 2, axis=1)))
    assert QuadraticSum(components=6).build(seed=5, n=3).zeta2 == 0


def test_functions_come_from_the_seed_or_from_their_own():
    def first(seed, **given):
        return QuadraticSum(components=4, dimension=3, **given).build(seed).component_gradient(np.ones(3), 0).tolist()

    assert first(1) == first(1) != first(2)
    assert first(1, problem_seed=9) == first(2, problem_seed=9) == first(9)


@pytest.mark.parametrize("heterogeneous", [False, True])
def test_rows_of_a_batch_have_the_bits_of_single_gradients(heterogeneous):
    problem = QuadraticSum(components=12, dimension=9, heterogeneous=heterogeneous).build(seed=1, n=3)
    assert batch_matches_single(problem)
    assert check_problem(problem) is problem


def test_functions_that_cannot_be_shared_out_equally_are_refused():
    described = QuadraticSum(components=10, heterogeneous=True)
    with pytest.raises(
        ValueError, match=r"components = 10 cannot be shared out equally among 4 workers; a multiple of 4"
    ):
        described.build(n=4)
    with pytest.raises(ValueError, match=r"the number of workers is unknown; make it by problem.build\(seed, n=…\)"):
        described.gradient(described.x0, np.random.default_rng(1), 0)
    assert QuadraticSum(components=10).build(n=4).workers is None
