"""The perceptron: derivatives, a network computed by hand, bits of batches, and what torch computes."""

import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import asyncsim
from asyncsim import AsynchronousSGD, Constant, Exponential, Record, RennalaSGD, Stop, Workers, simulate
from asyncsim.problems import MLP, SoftmaxRegression, batch_matches_single, estimate_sigma2
from asyncsim.problems.network import fastest_kernel
from asyncsim.running import execute
from asyncsim.streams import Stream

LUCK = np.random.default_rng(26)
SAMPLES = LUCK.standard_normal((12, 3))
THREE = np.arange(12) % 3

ACTIVATIONS = pytest.mark.parametrize("activation", ["relu", "tanh"])


def mlp(**given):
    return MLP.of(SAMPLES, THREE, **{"hidden": (5, 4), "precision": "float64", "scale": "none"} | given).build(seed=1)


def somewhere(problem, seed=0):
    noise = np.random.default_rng(seed).standard_normal(problem.dimension)
    return (problem.x0 + 0.1 * noise).astype(problem.x0.dtype)


# -- derivatives


@ACTIVATIONS
@pytest.mark.parametrize("hidden", [(), (5,), (5, 4), (1, 6, 2)])
@pytest.mark.parametrize("regularisation", [0.0, 0.3])
def test_full_gradient_is_the_slope_of_the_value(activation, hidden, regularisation):
    problem = mlp(activation=activation, hidden=hidden, regularisation=regularisation)
    x = somewhere(problem)
    value, gradient = problem.value_and_gradient(x)
    step = 1e-6 * np.eye(problem.dimension)
    slope = [(problem.value(x + e) - problem.value(x - e)) / 2e-6 for e in step]
    assert np.allclose(gradient, slope, atol=1e-7)
    assert value == problem.value(x)
    assert np.array_equal(gradient, problem.full_gradient(x))


def test_a_network_of_one_neuron_a_layer_by_hand():
    """One feature a = 2 of class 0, x = (w, b, v₀, v₁, c₀, c₁) = (½, 1, 1, −1, 0, 0), tanh:

    h = tanh(½·2 + 1) = tanh 2, logits (h, −h), p₀ = σ(2h), f = −log p₀ = log(1 + exp(−2h));
    residuals (p₀ − 1, 1 − p₀) = (−q, q); ∂v = (−qh, qh); ∂c = (−q, q); back: −q·1 + q·(−1) = −2q, times 1 − h²;
    ∂w = 2·that, ∂b = that.
    """
    problem = MLP.of([[2.0], [2.0]], [0, 1], hidden=(1,), activation="tanh", scale="none", precision="float64")
    x = np.array([0.5, 1.0, 1.0, -1.0, 0.0, 0.0])
    h = np.tanh(2)
    q = 1 - 1 / (1 + np.exp(-2 * h))
    back = -2 * q * (1 - h * h)
    gradient = problem.component_gradient(x, 0)
    assert np.allclose(gradient, [2 * back, back, -q * h, q * h, -q, q], rtol=1e-14)
    assert problem.value(x) == pytest.approx((np.log1p(np.exp(-2 * h)) + np.log1p(np.exp(2 * h))) / 2)


def test_without_hidden_layers_it_is_softmax_regression():
    problem = mlp(hidden=(), regularisation=0.2)
    softmax = SoftmaxRegression.of(SAMPLES, THREE, scale="none", regularisation=0.2)
    x = somewhere(problem)
    W, c = x[:9].reshape(3, 3), x[9:]
    same = np.vstack([W.T, c]).reshape(-1)  # there the weights stand by features, the biases last
    assert problem.value(x) == pytest.approx(softmax.value(same), rel=1e-13)
    theirs = softmax.full_gradient(same).reshape(4, 3)
    assert np.allclose(problem.full_gradient(x), np.concatenate([theirs[:3].T.reshape(-1), theirs[3]]), rtol=1e-12)


@ACTIVATIONS
def test_mean_of_the_gradients_of_all_samples_is_the_full_gradient(activation):
    problem = mlp(activation=activation, regularisation=0.1)
    x = somewhere(problem)
    components = [problem.component_gradient(x, j) for j in range(12)]
    assert np.allclose(np.mean(components, axis=0), problem.full_gradient(x), rtol=1e-12, atol=1e-15)
    assert np.allclose(problem.component_mean(x, [3, 3, 7]), np.mean([components[j] for j in (3, 3, 7)], axis=0))
    assert np.allclose(problem.worker_gradient(x, 4), problem.full_gradient(x))


def test_a_minibatch_of_all_samples_is_exact():
    problem = mlp(batch_size=12, replacement=False)
    x = somewhere(problem)
    assert np.allclose(problem.gradient(x, np.random.default_rng(1), 0), problem.full_gradient(x), rtol=1e-12)


def test_the_mean_of_the_workers_gradients_is_the_full_gradient():
    problem = MLP("digits", hidden=(6,), split="dirichlet", precision="float64").build(seed=1, n=10)
    x = somewhere(problem)
    gradients = [problem.worker_gradient(x, worker) for worker in range(10)]
    assert np.allclose(np.mean(gradients, axis=0), problem.full_gradient(x), rtol=1e-10, atol=1e-14)
    exact = problem.full_gradient(problem.x0)
    spread = [np.sum((problem.worker_gradient(problem.x0, i) - exact) ** 2) for i in range(10)]
    assert problem.zeta2 == pytest.approx(np.mean(spread), rel=1e-9)
    assert MLP("digits", hidden=(6,)).build(seed=1).zeta2 == 0.0


# -- bits


@settings(max_examples=40)
@given(
    hidden=st.lists(st.integers(1, 70), max_size=3).map(tuple),
    batch_size=st.integers(1, 40),
    activation=st.sampled_from(["relu", "tanh"]),
    precision=st.sampled_from(["float32", "float64"]),
    replacement=st.sampled_from([True, False, "epochs"]),
    counts=st.lists(st.integers(1, 70), min_size=1, max_size=2),
)
def test_rows_of_a_batch_have_the_bits_of_single_gradients(
    hidden, batch_size, activation, precision, replacement, counts
):
    problem = MLP(
        "digits",
        hidden=hidden,
        batch_size=batch_size,
        activation=activation,
        precision=precision,
        replacement=replacement,
        regularisation=0.01,
    ).build(seed=1)
    assert batch_matches_single(problem, counts=counts)


def test_rows_have_the_bits_of_single_gradients_where_the_stack_would_leave_the_cache():
    problem = MLP("digits", hidden=(512, 128), batch_size=4).build(seed=1)
    assert problem.dimension == 100_234
    assert problem._kernel._together == 2
    assert batch_matches_single(problem, counts=(1, 5))


def test_two_runs_in_float32_have_the_same_bits_and_another_seed_has_others():
    problem = MLP("digits", hidden=(16,), batch_size=4, test=0.2).build(seed=3)
    workers = Workers(5, lambda i: Exponential(1.0 + i))

    def run(seed):
        return simulate(RennalaSGD(0.2, batch_size=4), problem, workers, stop=Stop(iterations=40), seed=seed)

    one, again, other = run(1), run(1), run(2)
    assert one.curves["value"].tolist() == again.curves["value"].tolist() != other.curves["value"].tolist()
    assert one.event_hash == again.event_hash


@pytest.mark.parametrize("replacement", [True, "epochs"])
@pytest.mark.parametrize("method", [AsynchronousSGD(0.05), RennalaSGD(0.1, batch_size=5)])
def test_gradients_of_a_run_have_the_same_bits_however_they_are_evaluated(method, replacement):
    problem = MLP("digits", hidden=(16,), batch_size=4, replacement=replacement).build(seed=1)
    workers, stop, record = Workers(9, lambda i: Exponential(1.0 + i)), Stop(iterations=300), Record(iterations=50)
    runs = [
        execute(method, problem, workers, stop, 3, None, record, "m", evaluation=evaluation)
        for evaluation in ("single", "batched", "prefetched 8")
    ]
    for run in runs[1:]:
        assert run.event_hash == runs[0].event_hash
        assert run.curves["value"].tolist() == runs[0].curves["value"].tolist()


# -- what it is made of


def test_x0_is_uniform_within_one_over_the_root_of_the_inputs_and_comes_from_the_seed():
    problem = MLP("digits", hidden=(100,)).build(seed=4)
    first, last = problem.x0[:6500], problem.x0[6500:]
    assert 0.99 / 8 < np.abs(first).max() <= 1 / 8
    assert 0.98 / 10 < np.abs(last).max() <= 1 / 10
    assert abs(first.mean()) < 0.005
    assert np.array_equal(problem.x0, MLP("digits", hidden=(100,)).build(seed=4).x0)
    assert not np.array_equal(problem.x0, MLP("digits", hidden=(100,)).build(seed=5).x0)
    own = (MLP("digits", hidden=(100,), problem_seed=9).build(seed=seed).x0 for seed in (4, 5))
    assert np.array_equal(*own)


def test_it_is_trained_to_tell_nine_of_ten_digits():
    problem = MLP("digits", hidden=(32,), batch_size=32, test=0.2).build(seed=1)
    run = simulate(AsynchronousSGD(0.3), problem, Workers(1, Constant(1.0)), stop=Stop(iterations=800))
    assert run.curves["test_accuracy"][-1] > 0.9
    assert run.curves["value"][0] > 2.2
    assert run.curves["value"][-1] < 0.3


def test_records_may_be_of_some_samples_only_and_say_so():
    whole, part = (
        MLP("digits", hidden=(8,), precision="float64", record_samples=count).build(seed=2) for count in (None, 100)
    )
    x = whole.x0
    assert part.value(x) != whole.value(x)
    assert part.value(x) == pytest.approx(whole.value(x), rel=0.1)
    assert whole.estimated == frozenset()
    assert part.estimated == {"value", "squared_gradient_norm"}
    assert np.array_equal(part.full_gradient(x), part.component_mean(x, part._recorded))
    assert len(np.unique(part._recorded)) == 100


def test_the_variance_is_unknown_until_it_is_asked_for():
    given = {"hidden": (8,), "batch_size": 2, "precision": "float64"}
    assert MLP("digits", **given).build(seed=1).sigma2 is None
    problem = MLP("digits", **given, sigma2_samples=300).build(seed=1)
    assert problem.estimated == {"sigma2"}
    assert problem.sigma2 == pytest.approx(estimate_sigma2(problem, problem.x0, np.random.default_rng(1), 300), rel=0.2)


def test_where_data_are_split_the_variance_is_that_of_the_worker_where_it_is_largest():
    problem = MLP("digits", hidden=(4,), split="by_label", sigma2_samples=400).build(seed=1, n=4)
    luck = Stream(problem._seed, "sigma2")
    of_each = []
    for worker in range(4):
        exact = problem.worker_gradient(problem.x0, worker).astype(float)
        gradients = [problem.gradient(problem.x0, luck.at(worker, m), worker) for m in range(100)]
        of_each.append(np.mean([np.sum((g - exact) ** 2) for g in gradients]))
    assert problem.sigma2 == pytest.approx(max(of_each))


def test_theory_says_what_it_does_not_know_of_a_network():
    workers = Workers(2, Constant(1.0))
    with pytest.raises(ValueError, match=r"unknown: L .*sigma2"):
        simulate(AsynchronousSGD("theory"), mlp(), workers, stop=Stop(time=1), target={"squared_gradient_norm": 1e-3})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"hidden": (0,)}, r"hidden = \(0,\)"),
        ({"activation": "gelu"}, "activation = 'gelu', but 'relu' or 'tanh' is needed"),
        ({"precision": "float16"}, "precision = 'float16'"),
        ({"kernel": "cupy"}, "kernel = 'cupy', but 'auto' or 'numpy' or 'torch' or 'vmap' is needed"),
        ({"replacement": "sometimes"}, "replacement = 'sometimes', but true or false or 'epochs' is needed"),
        ({"batch_size": 1798, "replacement": False}, "batch_size = 1798 without replacement, but there are 1797"),
    ],
)
def test_what_does_not_fit_is_said(wrong, message):
    with pytest.raises(ValueError, match=message):
        MLP("digits", **wrong).build()


def test_one_class_alone_is_refused():
    with pytest.raises(ValueError, match=r"all labels of data 'arrays' are 1\.0; at least 2 are needed"):
        MLP.of(SAMPLES, np.ones(12))


def test_it_travels_without_its_kernel_and_is_the_same_there():
    problem = MLP("digits", hidden=(8,), test=0.2).build(seed=1)
    copy = pickle.loads(pickle.dumps(problem))
    assert "_kernel" not in vars(copy)
    x = somewhere(problem)
    assert np.array_equal(copy.full_gradient(x), problem.full_gradient(x))
    assert copy.test_accuracy(x) == problem.test_accuracy(x)


def test_a_scenario_names_it():
    result = asyncsim.run(
        {
            "workers": {"count": 3, "compute_time": 1.0},
            "problem": {"name": "mlp", "data": "digits", "hidden": [8, 8], "test": 0.2, "replacement": "epochs"},
            "target": {"test_accuracy": 0.99},
            "methods": [{"name": "rennala_sgd", "stepsize": 0.1, "batch_size": 3}],
            "stop": {"iterations": 3},
        }
    )
    assert result.runs[0].status == "finished"
    assert (result.problem["name"], result.problem["kernel"], result.problem["test_size"]) == ("mlp", "numpy", 359)
    assert "test accuracy ≥ 0.99" in result.sentence()


# -- kernels


def test_the_kernel_is_written_by_hand_unless_another_is_asked_for():
    problem = mlp()
    assert problem.kernel_name == "numpy"
    assert problem.kernels[0].stable_rows
    with pytest.raises(ValueError, match="kernel = 'cuda', but there are numpy"):
        problem.with_kernel("cuda")


@pytest.mark.torch
@ACTIVATIONS
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_all_kernels_agree_to_rounding(activation, precision):
    pytest.importorskip("torch", reason="needs the extra torch")
    given = {"hidden": (32, 16), "activation": activation, "batch_size": 8, "regularisation": 0.01, "test": 0.2}
    problem = MLP("digits", precision=precision, **given).build(seed=2)
    x, data = somewhere(problem), Stream(3, "data")
    others = [problem.with_kernel(name) for name in ("torch", "vmap")]
    tolerance = 1e-5 if precision == "float32" else 1e-13
    for other, m in itertools.product(others, range(5)):
        ours, theirs = (each.gradient(x, data.at(0, m), 0) for each in (problem, other))
        assert theirs.dtype == ours.dtype
        assert np.abs(ours - theirs).max() < tolerance * np.abs(ours).max()
    for other in others:
        assert other.value(x) == pytest.approx(problem.value(x), rel=tolerance)
        assert other.test_accuracy(x) == problem.test_accuracy(x)
        assert np.abs(other.full_gradient(x) - problem.full_gradient(x)).max() < tolerance
        assert np.array_equal(other.x0, problem.x0)


@pytest.mark.torch
def test_a_kernel_of_torch_does_in_a_scenario_what_it_does_by_itself():
    pytest.importorskip("torch", reason="needs the extra torch")
    runs = [
        simulate(
            RennalaSGD(0.1, batch_size=3),
            MLP("digits", hidden=(8,), kernel=kernel).build(seed=1),
            Workers(3, Constant(1.0)),
            stop=Stop(iterations=5),
        )
        for kernel in ("numpy", "torch", "vmap")
    ]
    assert len({run.event_hash for run in runs}) == 1
    values = [run.curves["value"][-1] for run in runs]
    assert values == pytest.approx([values[0]] * 3, rel=1e-5)


def test_the_fastest_kernel_is_measured():
    name, taken = fastest_kernel(mlp(precision="float32"), seconds=0.005)
    assert taken[name] == min(taken.values())
    assert list(taken) == [info.name for info in mlp().kernels]
