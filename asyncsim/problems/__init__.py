"""Problems: what the workers compute gradients of.

A problem is any object with

    dimension: int                          d
    x0: ndarray (d,) of float64 or float32  where every method starts; the iterates are of the same type
    gradient(x, rng, worker) -> (d,)        one stochastic gradient at x, a new array; all its luck comes from `rng`

and, where it can, `value(x)`, `full_gradient(x)`, `value_and_gradient(x)`, `gradients(X, rngs, workers)`, `L`,
`sigma2`, `f_star`, `x_star`, `estimated` (see `asyncsim.problems.problem.Problem`). No subclassing and no
registration is needed.

Further, a finite sum f = (1/m) Σ f_j has `components` (m), `component_gradient(x, j)` and, where it is quicker than one
by one, `component_mean(x, indices)`; a problem whose workers have different f_i, with f = (1/n) Σ f_i, has
`worker_gradient(x, worker)` and `workers`, the n it was built for. Their constants are `L_minus, L_plus, L_plus_minus,
L_max` as `asyncsim.theory.Knowledge` has them, and `zeta2`, the spread of the workers' gradients at x0.

The registry names those that a scenario can name. Each is a `parameters` class, and `build(seed, base, n)` gives the
problem that runs: what is random in it is drawn from `seed`, `base` is the folder that relative data paths start from,
and `n` the number of workers that share it out.

Adding one = one file and one line here.
"""

from typing import Any

from asyncsim.problems.cnn import CNN
from asyncsim.problems.drift_sensitive import DriftSensitive
from asyncsim.problems.gpt import GPT
from asyncsim.problems.mlp import MLP
from asyncsim.problems.none import NoProblem
from asyncsim.problems.problem import Problem, batch_matches_single, check_problem, estimate_sigma2
from asyncsim.problems.quadratic import Quadratic
from asyncsim.problems.quadratic_sum import QuadraticSum
from asyncsim.problems.regression import LogisticRegression, SoftmaxRegression
from asyncsim.problems.separate_quadratics import SeparateQuadratics
from asyncsim.problems.torch_model import TorchProblem

PROBLEMS: dict[str, type[Any]] = {
    "quadratic": Quadratic,
    "quadratic_sum": QuadraticSum,
    "separate_quadratics": SeparateQuadratics,
    "drift_sensitive": DriftSensitive,
    "logistic_regression": LogisticRegression,
    "softmax_regression": SoftmaxRegression,
    "mlp": MLP,
    "cnn": CNN,
    "gpt": GPT,
    "none": NoProblem,
}

__all__ = [
    "CNN",
    "GPT",
    "MLP",
    "PROBLEMS",
    "DriftSensitive",
    "LogisticRegression",
    "NoProblem",
    "Problem",
    "Quadratic",
    "QuadraticSum",
    "SeparateQuadratics",
    "SoftmaxRegression",
    "TorchProblem",
    "batch_matches_single",
    "check_problem",
    "estimate_sigma2",
]
