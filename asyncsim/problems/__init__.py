"""Problems: what the workers compute gradients of.

A problem is any object with

    dimension: int                          d
    x0: ndarray (d,) of float64             where every method starts
    gradient(x, rng, worker) -> (d,)        one stochastic gradient at x, a new array; all its luck comes from `rng`

and, where it can, `value(x)`, `full_gradient(x)`, `value_and_gradient(x)`, `gradients(X, rngs, workers)`, `L`, `sigma2`,
`f_star`, `x_star`, `estimated` (see `asyncsim.problems.problem.Problem`). No subclassing and no registration is needed.

The registry names those that a scenario can name. Each is a `parameters` class, and `build(seed, base)` gives the
problem that runs: `base` is the folder that relative data paths start from.

Adding one = one file and one line here.
"""

from typing import Any

from asyncsim.problems.none import NoProblem
from asyncsim.problems.problem import Problem, batch_matches_single, check_problem, estimate_sigma2
from asyncsim.problems.quadratic import Quadratic
from asyncsim.problems.regression import LogisticRegression, SoftmaxRegression

PROBLEMS: dict[str, type[Any]] = {
    "quadratic": Quadratic,
    "logistic_regression": LogisticRegression,
    "softmax_regression": SoftmaxRegression,
    "none": NoProblem,
}

__all__ = [
    "PROBLEMS",
    "LogisticRegression",
    "NoProblem",
    "Problem",
    "Quadratic",
    "SoftmaxRegression",
    "batch_matches_single",
    "check_problem",
    "estimate_sigma2",
]
