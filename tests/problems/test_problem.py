"""The registry, the check of a user's own problem, and what sampling tells about it."""

from pathlib import Path

import numpy as np
import pytest

from asyncsim import AsynchronousSGD, ComponentGradient, Stop, Workers, simulate
from asyncsim.parameters import described
from asyncsim.problems import (
    PROBLEMS,
    NoProblem,
    Problem,
    Quadratic,
    QuadraticSum,
    SeparateQuadratics,
    SoftmaxRegression,
    batch_matches_single,
    check_problem,
    estimate_sigma2,
)

NAMED = {
    "quadratic": {"dimension": 20},
    "logistic_regression": {"data": "digits", "positive_label": 3},
    "softmax_regression": {"data": "digits"},
    "quadratic_sum": {"components": 12, "dimension": 5, "heterogeneous": True},
    "separate_quadratics": {"noise": 0.1},
    "drift_sensitive": {},
    "mlp": {"data": "digits", "hidden": (8,), "test": 0.2},
    "cnn": {"data": "digits", "channels": (2, 3), "test": 0.2},
    "gpt": {"layers": 1, "width": 8, "context": 8, "record_samples": 50},
    "none": {},
}
BUILT = [pytest.param(name, marks=pytest.mark.torch) if name in ("cnn", "gpt") else name for name in PROBLEMS]


class Own:
    """½‖x‖² with noise, as a user would write it."""

    dimension = 3
    x0 = np.ones(3)

    def gradient(self, x, rng, worker):
        return x + rng.standard_normal(3)


def own(**changed):
    problem = Own()
    for name, value in changed.items():
        setattr(problem, name, value)
    return problem


@pytest.mark.parametrize("name", BUILT)
def test_every_registered_problem_builds_passes_the_check_and_steps_from_its_start(name):
    if name in ("cnn", "gpt"):
        pytest.importorskip("torch", reason="needs the extra torch")
    problem = PROBLEMS[name](**NAMED[name]).build(seed=1, base=Path(), n=4)
    assert isinstance(problem, Problem)
    assert check_problem(problem) is problem
    gradient = problem.gradient(problem.x0, np.random.default_rng(1), worker=0)
    assert gradient.shape == problem.x0.shape == (problem.dimension,)
    assert gradient.dtype == problem.x0.dtype
    assert gradient.flags.writeable
    assert problem.estimated <= {"L", "sigma2", "f_star", "x_star", "value", "squared_gradient_norm"}
    assert not hasattr(problem, "gradients") or batch_matches_single(problem, counts=(1, 3))


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_parameter_of_a_registered_problem_is_described(name):
    assert all(parameter.meaning for parameter in described(PROBLEMS[name]))


def test_no_problem_has_dimension_zero_and_nothing_that_reads_as_a_reached_target():
    problem = NoProblem()
    assert problem.value(problem.x0) == 0.0
    assert not hasattr(problem, "full_gradient")
    assert problem.f_star is problem.L is problem.sigma2 is None
    assert problem.gradients([problem.x0] * 3, iter(()), [0, 1, 2]).shape == (3, 0)


def test_own_problem_needs_no_more_than_three_things():
    problem = own()
    assert check_problem(problem) is problem


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"gradient": None}, r"has no method gradient; gradient\(x, rng, worker\)"),
        ({"dimension": 3.0}, "dimension = 3.0, but a whole number >= 0"),
        ({"dimension": -1}, "dimension = -1, but a whole number >= 0"),
        ({"dimension": True}, "dimension = True"),
        ({"x0": [1.0, 2.0, 3.0]}, "x0 is a list; a numpy array of float64 or float32 is needed"),
        ({"x0": np.ones(3, dtype=int)}, "x0 is an array of int64"),
        ({"x0": np.ones((3, 1))}, r"x0 has shape \(3, 1\), but dimension is 3"),
        ({"x0": np.array([0, np.nan, 0])}, r"x0\[1\] is not a finite number"),
        ({"value": 3.0}, "value = 3.0 can't be called"),
        ({"gradients": "many"}, "gradients = 'many' can't be called"),
        ({"L": -1.0}, "L = -1.0, but a finite number >= 0 is needed, or None"),
        ({"sigma2": float("inf")}, "sigma2 = inf"),
        ({"f_star": "0"}, "f_star = '0', but a finite number is needed"),
        ({"x_star": np.ones(4)}, r"x_star has shape \(4,\)"),
    ],
)
def test_what_is_wrong_with_an_own_problem_is_named(changed, message):
    with pytest.raises(ValueError, match=f"problem Own.*{message}"):
        check_problem(own(**changed))


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (Own, r"is a class; a problem is an object: Own\(…\)"),
        ("quadratic", "is a text; scenarios name problems"),
        (object(), "has no method gradient"),
    ],
)
def test_what_is_no_problem_at_all_is_refused(problem, message):
    with pytest.raises(ValueError, match=message):
        check_problem(problem)


@pytest.mark.parametrize("missing", ["dimension", "x0"])
def test_missing_attributes_are_named(missing):
    class Partial:
        def gradient(self, x, rng, worker):
            return x

    partial = Partial()
    setattr(partial, {"dimension": "x0", "x0": "dimension"}[missing], {"dimension": np.ones(2), "x0": 2}[missing])
    with pytest.raises(ValueError, match=f"problem Partial has no {missing}"):
        check_problem(partial)


def test_negative_minimum_and_unknown_constants_are_fine():
    check_problem(own(f_star=-2.0, L=None, sigma2=np.float64(0.5), value=None))


def test_variance_is_estimated_with_and_without_the_exact_gradient():
    without = estimate_sigma2(own(), np.ones(3), np.random.default_rng(1), samples=3000)
    with_it = estimate_sigma2(own(full_gradient=lambda x: x), np.ones(3), np.random.default_rng(1), samples=3000)
    assert without == pytest.approx(3, rel=0.1)
    assert with_it == pytest.approx(3, rel=0.1)
    with pytest.raises(ValueError, match="samples = 1"):
        estimate_sigma2(own(), np.ones(3), np.random.default_rng(1), samples=1)


def test_a_batch_whose_rows_lean_on_their_companions_is_found_out():
    class Leaning(Quadratic):
        def gradients(self, X, rngs, workers):
            return super().gradients(X, rngs, workers) * (1 + 1e-15 * (len(X) > 2))

    assert not batch_matches_single(Leaning(dimension=4))


def test_unbuilt_data_problem_reads_its_data_when_first_asked():
    assert check_problem(SoftmaxRegression("digits")).dimension == 650


def test_sums_of_components_are_the_same_at_once_and_one_by_one_in_a_run():
    class FullGradient:
        def run(self, server):
            while True:
                server.send(0, ComponentGradient(server.x, range(8)))
                server.step(0.5, server.receive().gradient)

    class OneByOne:
        def __init__(self, problem):
            names = ("dimension", "x0", "gradient", "value", "component_gradient")
            vars(self).update({name: getattr(problem, name) for name in names})

    def last(problem):
        return simulate(FullGradient(), problem, Workers(1, 1.0), stop=Stop(iterations=20)).curves["value"][-1]

    problem = QuadraticSum(components=8, dimension=4).build(seed=1)
    assert last(problem) == pytest.approx(last(OneByOne(problem)), rel=1e-12)


def test_a_problem_made_for_other_workers_is_refused():
    problem = SeparateQuadratics().build(n=4)
    with pytest.raises(ValueError, match="the problem was made for 4 workers, but there are 5; build it with n=5"):
        simulate(AsynchronousSGD(stepsize=0.1), problem, Workers(5, 1.0), stop=Stop(iterations=1))


def test_plain_asynchronous_sgd_settles_between_the_centres_of_the_fast_workers():
    times = np.array([1.0, 2.0, 3.0, 4.0])
    problem = SeparateQuadratics(dimension=1).build(n=4)
    run = simulate(AsynchronousSGD(stepsize=0.005), problem, Workers(4, times), stop=Stop(iterations=3000))
    weights = 1 / times / np.sum(1 / times)
    between = sum(w * problem.centre(i)[0] for i, w in enumerate(weights))
    assert np.sqrt(run.curves["squared_gradient_norm"][-1]) == pytest.approx(abs(between), abs=0.02)
