"""Regression as a finite sum, with data split among workers, with regularisers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from asyncsim.problems import LogisticRegression, SoftmaxRegression, batch_matches_single, check_problem, regression

LUCK = np.random.default_rng(7)
SAMPLES = LUCK.standard_normal((14, 3))
TWO, THREE = np.arange(14) % 2, np.arange(14) % 3
SPLITS = pytest.mark.parametrize("split", ["even", "by_label", "dirichlet"])


def softmax(**given):
    return SoftmaxRegression.of(SAMPLES, THREE, **given)


def logistic(**given):
    return LogisticRegression.of(SAMPLES, TWO, **given)


BOTH = pytest.mark.parametrize("kind", [softmax, logistic])


class Chosen:
    """A generator whose uniform numbers lead to the samples that the test wants."""

    def __init__(self, samples, m):
        self.uniform = (np.array(samples) + 0.5) / m

    def random(self, size):
        assert size == len(self.uniform)
        return self.uniform


# -- finite sums


@BOTH
@pytest.mark.parametrize("regulariser", ["l2", "nonconvex"])
@pytest.mark.parametrize("split", ["none", "even"])
def test_the_mean_of_all_component_gradients_is_the_full_gradient(kind, regulariser, split):
    problem = kind(regularisation=0.3, regulariser=regulariser, split=split).build(n=4)
    x = LUCK.standard_normal(problem.dimension)
    m = problem.components
    assert m == (12 if split == "even" else 14)
    mean = np.mean([problem.component_gradient(x, j) for j in range(m)], axis=0)
    assert np.allclose(mean, problem.full_gradient(x), rtol=1e-13, atol=1e-15)
    assert np.allclose(problem.component_mean(x, range(m)), mean, rtol=1e-13, atol=1e-15)
    some = np.mean([problem.component_gradient(x, j) for j in (3, 3, 8)], axis=0)
    assert np.allclose(problem.component_mean(x, [3, 3, 8]), some, rtol=1e-13, atol=1e-15)
    assert check_problem(problem) is problem


@BOTH
@pytest.mark.parametrize("regulariser", ["l2", "nonconvex"])
@settings(max_examples=20)
@given(data=st.data())
def test_constants_of_the_sum_bound_what_they_are_defined_by(kind, regulariser, data):
    problem = kind(regularisation=0.1, regulariser=regulariser)
    points = arrays(float, problem.dimension, elements=st.floats(-5, 5))
    x, y = data.draw(points), data.draw(points)
    distance = np.linalg.norm(x - y)
    change = np.array([problem.component_gradient(x, j) - problem.component_gradient(y, j) for j in range(14)])
    spread = change - change.mean(axis=0)
    slack = 1 + 1e-9
    assert np.linalg.norm(change, axis=1).max() <= problem.L_max * distance * slack + 1e-12
    assert np.linalg.norm(change.mean(axis=0)) <= problem.L_minus * distance * slack + 1e-12
    assert np.sqrt(np.mean(np.sum(change**2, axis=1))) <= problem.L_plus * distance * slack + 1e-12
    assert np.sqrt(np.mean(np.sum(spread**2, axis=1))) <= problem.L_plus_minus * distance * slack + 1e-12


@BOTH
def test_constants_of_the_sum_are_no_worse_than_the_means_over_samples(kind):
    problem = kind(regularisation=0.1)
    c = problem._curvature
    squares = np.sum(problem._samples**2, axis=1)
    assert problem.L_minus == problem.L
    assert c * squares.mean() + 0.1 >= problem.L
    assert problem.L_plus_minus <= c * np.sqrt(np.mean(squares**2))
    assert pytest.approx(problem.L_plus_minus + 0.1) == problem.L_plus
    assert pytest.approx(c * squares.max() + 0.1) == problem.L_max


# -- regularisers


@BOTH
@settings(max_examples=20)
@given(data=st.data())
def test_the_nonconvex_regulariser_is_the_sum_of_its_terms_with_their_slope(kind, data):
    problem, plain = kind(regularisation=0.7, regulariser="nonconvex"), kind()
    x = data.draw(arrays(float, problem.dimension, elements=st.floats(-3, 3)))
    value, gradient = problem.value_and_gradient(x)
    assert value - plain.value(x) == pytest.approx(0.7 * np.sum(x**2 / (1 + x**2)), abs=1e-13)
    steps = 1e-6 * np.eye(problem.dimension)
    slope = [(problem.value(x + e) - problem.value(x - e)) / 2e-6 for e in steps]
    assert np.allclose(gradient, slope, atol=1e-8)


@BOTH
def test_the_nonconvex_regulariser_adds_twice_its_weight_to_the_smoothness(kind):
    assert pytest.approx(kind().L + 1.4) == kind(regularisation=0.7, regulariser="nonconvex").L
    x = np.linspace(-2, 2, 4001)
    second = (2 - 6 * x**2) / (1 + x**2) ** 3
    assert (second.max(), second.min()) == pytest.approx((2, -0.5), abs=1e-6)


def test_the_nonconvex_regulariser_stays_finite_far_away():
    problem = logistic(regularisation=1.0, regulariser="nonconvex")
    value, gradient = problem.value_and_gradient(np.full(4, 1e200))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_rows_of_a_batch_have_the_bits_of_single_gradients_with_the_nonconvex_regulariser():
    assert batch_matches_single(softmax(regularisation=0.1, regulariser="nonconvex", batch_size=3))


# -- data split among workers


@BOTH
@SPLITS
def test_the_mean_of_the_workers_gradients_is_the_full_gradient(kind, split):
    problem = kind(split=split, regularisation=0.2).build(seed=3, n=4)
    x = LUCK.standard_normal(problem.dimension)
    own = [problem.worker_gradient(x, worker) for worker in range(4)]
    assert np.allclose(np.mean(own, axis=0), problem.full_gradient(x), rtol=1e-12, atol=1e-15)
    exact = problem.full_gradient(problem.x0)
    spread = [np.sum((problem.worker_gradient(problem.x0, worker) - exact) ** 2) for worker in range(4)]
    assert problem.zeta2 == pytest.approx(np.mean(spread), rel=1e-10)


@BOTH
@SPLITS
def test_a_worker_draws_from_its_own_samples_each_alike(kind, split):
    problem = kind(split=split).build(seed=3, n=4)
    x = LUCK.standard_normal(problem.dimension)
    squares = []
    for worker in range(4):
        drawn = [problem.gradient(x, Chosen([j], 3), worker) for j in range(3)]
        own = problem.worker_gradient(x, worker)
        assert np.allclose(np.mean(drawn, axis=0), own, rtol=1e-12, atol=1e-15)
        start = [problem.gradient(problem.x0, Chosen([j], 3), worker) for j in range(3)]
        squares.append(np.mean(np.sum((start - problem.worker_gradient(problem.x0, worker)) ** 2, axis=1)))
    assert problem.sigma2 == pytest.approx(max(squares), rel=1e-12)


@BOTH
@SPLITS
def test_the_problem_is_that_of_the_samples_that_were_dealt_out(kind, split):
    problem = kind(split=split, scale="none").build(seed=3, n=4)
    assert (problem.components, problem.left_out, problem.workers) == (12, 2, 4)
    rows = problem._shares.reshape(-1)
    labels = problem._table.labels
    alone = type(problem).of(SAMPLES[rows], labels[rows], scale="none")
    x = LUCK.standard_normal(problem.dimension)
    assert problem.value(x) == pytest.approx(alone.value(x), rel=1e-13)
    assert pytest.approx(alone.L) == problem.L
    for worker in range(4):
        own = problem._shares[worker]
        assert np.array_equal(problem.split_table[worker], np.bincount(labels[own], minlength=len(problem.classes)))


@BOTH
def test_the_largest_constant_is_that_of_the_worker_where_it_is_largest(kind, monkeypatch):
    problem = kind(split="even", regularisation=0.1).build(seed=3, n=2)
    parts = problem._samples.reshape(2, 7, 4)
    largest = max(np.linalg.eigvalsh(part.T @ part / 7)[-1] for part in parts)
    assert problem.L_max == pytest.approx(problem._curvature * largest + 0.1)
    few = kind(split="even", regularisation=0.1).build(seed=3, n=7)
    largest = max(np.linalg.eigvalsh(part.T @ part / 2)[-1] for part in few._samples.reshape(7, 2, 4))
    assert few.L_max == pytest.approx(few._curvature * largest + 0.1)
    monkeypatch.setattr(regression, "_EXACT_WORK", 1)
    bound = kind(split="even", regularisation=0.1).build(seed=3, n=2).L_max
    assert problem.L_max < bound < 4 * problem.L_max


def test_without_a_split_there_is_nothing_to_show_and_no_difference_between_workers():
    problem = softmax().build(n=4)
    x = LUCK.standard_normal(problem.dimension)
    assert problem.split_table is problem.workers is None
    assert (problem.zeta2, problem.left_out) == (0, 0)
    assert np.array_equal(problem.worker_gradient(x, 2), problem.full_gradient(x))


def test_the_split_comes_from_the_seed_or_from_its_own():
    def shares(seed, **given):
        return softmax(split="even", **given).build(seed, n=4)._shares.tolist()

    assert shares(1) == shares(1) != shares(2)
    assert shares(1, problem_seed=9) == shares(2, problem_seed=9) == shares(9)


@SPLITS
@pytest.mark.parametrize("replacement", [True, False])
def test_rows_of_a_batch_have_the_bits_of_single_gradients_where_data_are_split(split, replacement):
    given = {"batch_size": 4, "replacement": replacement, "regularisation": 0.01, "split": split}
    assert batch_matches_single(SoftmaxRegression("digits", **given).build(seed=1, n=10))


def test_heterogeneity_grows_from_even_over_dirichlet_to_sorted_labels():
    digits = {
        split: SoftmaxRegression("digits", split=split).build(seed=1, n=10)
        for split in ("even", "dirichlet", "by_label")
    }
    assert digits["even"].zeta2 * 3 < digits["dirichlet"].zeta2 < digits["by_label"].zeta2
    assert digits["even"].left_out == 7
    assert digits["by_label"].split_table.sum() == 1790
    assert (
        SoftmaxRegression("digits", split="dirichlet", alpha=1e4).build(seed=1, n=10).zeta2
        < digits["dirichlet"].zeta2 / 3
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: softmax(split="even").build(n=15), "data 'arrays': 14 samples cannot be shared out among 15 workers"),
        (lambda: softmax(split="even").component_gradient(np.zeros(12), 0), r"make it by .*build\(seed, n=…\)"),
        (
            lambda: softmax(split="even", batch_size=4, replacement=False).build(n=4),
            "batch_size = 4 without replacement, but a worker has 3 samples",
        ),
        (
            lambda: softmax(split="sorted"),
            "split = 'sorted', but 'none' or 'even' or 'by_label' or 'dirichlet' is needed",
        ),
        (lambda: softmax(alpha=0.0), "alpha = 0.0, but a number > 0 is needed"),
        (lambda: softmax(regulariser="l1"), "regulariser = 'l1'"),
    ],
)
def test_what_cannot_be_split_is_said(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()
