"""Logistic and softmax regression: derivatives, unbiasedness, constants, bits of batches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from asyncsim.problems import LogisticRegression, SoftmaxRegression, batch_matches_single, regression

LUCK = np.random.default_rng(26)
SAMPLES = LUCK.standard_normal((12, 3))
TWO, THREE = np.arange(12) % 2, np.arange(12) % 3


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


@BOTH
@pytest.mark.parametrize("regularisation", [0.0, 0.3])
@settings(max_examples=20)
@given(data=st.data())
def test_full_gradient_is_the_slope_of_the_value(kind, regularisation, data):
    problem = kind(regularisation=regularisation)
    x = data.draw(arrays(float, problem.dimension, elements=st.floats(-3, 3)))
    value, gradient = problem.value_and_gradient(x)
    step = 1e-6 * np.eye(problem.dimension)
    slope = [(problem.value(x + e) - problem.value(x - e)) / 2e-6 for e in step]
    assert np.allclose(gradient, slope, atol=1e-8)
    assert value == problem.value(x)
    assert np.array_equal(gradient, problem.full_gradient(x))


@BOTH
@pytest.mark.parametrize("regularisation", [0.0, 0.3])
def test_mean_of_the_gradients_of_all_samples_is_the_full_gradient(kind, regularisation):
    problem = kind(regularisation=regularisation)
    x = LUCK.standard_normal(problem.dimension)
    gradients = [problem.gradient(x, Chosen([j], 12), worker=0) for j in range(12)]
    assert np.allclose(np.mean(gradients, axis=0), problem.full_gradient(x), rtol=1e-13, atol=1e-15)


@BOTH
def test_gradient_of_a_minibatch_is_the_mean_over_its_samples(kind):
    x = LUCK.standard_normal(kind().dimension)
    alone = [kind().gradient(x, Chosen([j], 12), worker=0) for j in (3, 3, 7, 11)]
    together = kind(batch_size=4).gradient(x, Chosen([3, 3, 7, 11], 12), worker=0)
    assert np.allclose(together, np.mean(alone, axis=0), rtol=1e-13, atol=1e-15)


@BOTH
def test_a_minibatch_of_all_samples_without_replacement_is_exact(kind):
    problem = kind(batch_size=12, replacement=False)
    x = LUCK.standard_normal(problem.dimension)
    assert np.allclose(
        problem.gradient(x, np.random.default_rng(3), 0), problem.full_gradient(x), rtol=1e-12, atol=1e-15
    )
    assert problem.sigma2 == 0


@BOTH
def test_variance_is_the_exact_one_at_the_start(kind):
    problem = kind()
    exact = problem.full_gradient(problem.x0)
    squares = [np.sum((problem.gradient(problem.x0, Chosen([j], 12), 0) - exact) ** 2) for j in range(12)]
    assert problem.sigma2 == pytest.approx(np.mean(squares), rel=1e-12)
    assert kind(batch_size=4).sigma2 == pytest.approx(problem.sigma2 / 4, rel=1e-12)
    assert problem.estimated == {"sigma2"}


@BOTH
@pytest.mark.parametrize("replacement", [False, "epochs"])
def test_variance_without_replacement_is_that_of_all_subsets(kind, replacement):
    problem = kind(batch_size=2, replacement=replacement)
    exact = problem.full_gradient(problem.x0)
    pairs = [(i, j) for i in range(12) for j in range(i)]
    drawn = kind(batch_size=2)
    squares = [np.sum((drawn.gradient(problem.x0, Chosen(pair, 12), 0) - exact) ** 2) for pair in pairs]
    assert problem.sigma2 == pytest.approx(np.mean(squares), rel=1e-12)


@BOTH
@settings(max_examples=25)
@given(data=st.data())
def test_gradients_are_lipschitz_with_the_stated_constant(kind, data):
    problem = kind(regularisation=0.1)
    points = arrays(float, problem.dimension, elements=st.floats(-5, 5))
    x, y = data.draw(points), data.draw(points)
    change = np.linalg.norm(problem.full_gradient(x) - problem.full_gradient(y))
    assert change <= problem.L * np.linalg.norm(x - y) * (1 + 1e-9) + 1e-12


def test_smoothness_constants_are_the_known_bounds():
    X = np.hstack([SAMPLES / np.abs(SAMPLES).max(), np.ones((12, 1))])
    largest = np.linalg.eigvalsh(X.T @ X / 12)[-1]
    assert pytest.approx(largest / 2 + 0.1) == softmax(regularisation=0.1).L
    assert pytest.approx(largest / 4 + 0.1) == logistic(regularisation=0.1).L


def test_smoothness_of_wide_and_long_data_is_estimated_and_said_so(monkeypatch):
    exact = softmax().L
    monkeypatch.setattr(regression, "_EXACT_SIDE", 3)
    assert pytest.approx(exact, rel=1e-3) == softmax().L
    assert softmax().estimated == {"sigma2", "L", "L_minus", "L_plus", "L_plus_minus"}


def test_smoothness_of_few_samples_with_many_features_is_exact():
    X = LUCK.standard_normal((3, 40))
    wide = SoftmaxRegression.of(X, [0, 1, 1], scale="none", bias=False)
    assert pytest.approx(np.linalg.eigvalsh(X.T @ X / 3)[-1] / 2) == wide.L


@pytest.mark.parametrize("batch_size", [1, 2, 8, 33])
@pytest.mark.parametrize("replacement", [True, False])
def test_rows_of_a_batch_have_the_bits_of_single_gradients(batch_size, replacement):
    given = {"data": "digits", "batch_size": batch_size, "replacement": replacement, "regularisation": 0.01}
    assert batch_matches_single(SoftmaxRegression(**given), counts=(1, 2, 33))
    assert batch_matches_single(LogisticRegression(**given, positive_label=3), counts=(1, 2, 33))


def test_a_batch_larger_than_one_stack_has_the_bits_of_single_gradients():
    assert batch_matches_single(SoftmaxRegression("digits"), counts=(130,))


def test_two_classes_give_the_same_value_either_way():
    x = LUCK.standard_normal(4)
    both = SoftmaxRegression.of(SAMPLES, TWO)
    weights = np.stack([np.zeros(4), x], axis=1).reshape(-1)
    assert both.value(weights) == pytest.approx(logistic().value(x), rel=1e-14)


@BOTH
def test_large_logits_neither_overflow_nor_lose_the_loss(kind):
    problem = kind()
    x = 1e6 * LUCK.standard_normal(problem.dimension)
    value, gradient = problem.value_and_gradient(x)
    assert 1e3 < value < 1e8
    assert np.isfinite(gradient).all()
    assert np.isfinite(problem.gradient(x, np.random.default_rng(1), 0)).all()


@BOTH
def test_without_a_regulariser_the_value_is_finite_where_the_square_of_x_is_not(kind):
    problem = kind()
    x = np.full(problem.dimension, 1e200)
    x[::2] *= -1
    assert np.isfinite(problem.value(x))
    assert problem.value(x) == problem.value_and_gradient(x)[0] > 1e190


@BOTH
def test_records_of_a_diverged_iterate_are_silent(kind):
    problem = kind()
    value, gradient = problem.value_and_gradient(np.full(problem.dimension, np.inf))
    assert not np.isfinite(value)
    assert not np.isfinite(gradient).all()
    assert not np.isfinite(problem.value(np.full(problem.dimension, 1e308)))


def test_gradient_descent_with_the_known_constant_lowers_the_loss_each_step():
    problem = SoftmaxRegression("digits")
    x, values = problem.x0, []
    for _ in range(30):
        value, gradient = problem.value_and_gradient(x)
        values.append(value)
        x = x - gradient / problem.L
    assert values[0] == pytest.approx(np.log(10))
    assert np.all(np.diff(values) < 0)
    assert values[-1] < 1.6


def test_every_sample_is_drawn_as_often_as_any_other():
    problem = softmax(batch_size=3)
    rng = np.random.default_rng(4)
    counts = np.bincount(np.concatenate([problem._drawn(rng, 0) for _ in range(4000)]), minlength=12)
    assert counts.sum() == 12000
    assert np.abs(counts - 1000).max() < 150


def test_features_are_scaled_as_asked():
    X = np.array([[0.0, 8.0, 0.1], [16.0, -4.0, 0.1]])
    scaled = {
        scale: SoftmaxRegression.of(X, [0, 1], scale=scale, bias=False)._samples
        for scale in ("none", "unit", "standard")
    }
    assert np.array_equal(scaled["none"], X)
    assert np.array_equal(scaled["unit"], X / 16)
    assert np.array_equal(scaled["standard"], [[-1, 1, 0], [1, -1, 0]])


def test_the_bias_is_the_last_row_of_weights():
    problem = softmax()
    x = np.zeros((4, 3))
    x[3] = [0, 100, 0]
    assert problem.value(x.reshape(-1)) == pytest.approx(100 * np.mean(THREE != 1))
    assert softmax(bias=False).dimension == 9


def test_one_label_can_stand_against_all_others():
    problem = LogisticRegression.of(SAMPLES, THREE, positive_label=2)
    assert np.array_equal(problem._targets[:, 0], THREE == 2)
    assert np.array_equal(LogisticRegression.of(SAMPLES, np.where(TWO == 1, 1, -1))._targets[:, 0], TWO)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: LogisticRegression("digits").build(), "has 10 labels, but two are needed: give positive_label"),
        (
            lambda: LogisticRegression("digits", positive_label=12).build(),
            r"positive_label = 12 is none of the labels 0\.0, 1",
        ),
        (lambda: LogisticRegression.of(SAMPLES, np.zeros(12)), "all labels are 0.0; two are needed"),
        (
            lambda: SoftmaxRegression.of(SAMPLES, np.ones(12)),
            "all labels of data 'arrays' are 1.0; at least 2 are needed",
        ),
        (
            lambda: softmax(batch_size=13, replacement=False),
            "batch_size = 13 without replacement, but there are 12 samples",
        ),
        (lambda: softmax(batch_size=0), "batch_size = 0"),
        (lambda: softmax(scale="max"), "scale = 'max', but 'none' or 'unit' or 'standard' is needed"),
        (lambda: softmax(regularisation=-1.0), "regularisation = -1.0"),
        (lambda: SoftmaxRegression(data=3), "data = 3, but a text is needed"),
    ],
)
def test_what_does_not_fit_the_data_is_said(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


def test_a_problem_on_arrays_is_built_already():
    problem = softmax()
    assert problem.build() is problem
    with pytest.raises(ValueError, match="'arrays' is not known"):
        SoftmaxRegression("arrays").build()


def test_the_digest_of_the_data_tells_other_data_from_the_same():
    changed = SAMPLES.copy()
    changed[0, 0] += 1e-9
    assert softmax().data_sha256 == softmax(scale="standard").data_sha256
    assert softmax().data_sha256 != SoftmaxRegression.of(changed, THREE).data_sha256
    assert softmax().data_sha256 != SoftmaxRegression.of(SAMPLES, TWO).data_sha256
