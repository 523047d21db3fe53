"""What a problem is, how one of the user's own is checked, and what can be found out about it by sampling."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

Vector: TypeAlias = npt.NDArray[Any]  # of float64 or float32, as x0 is


@runtime_checkable
class Problem(Protocol):
    """The least a problem has; d is `dimension`.

    `x0` is float64 or float32, and every iterate is what x0 is. Networks are trained in float32, at half the memory.

    What it may have besides, each left out or None where unknown:

    - `value(x) -> float`, `full_gradient(x) -> (d,)`, `value_and_gradient(x) -> (float, (d,))`: exact f and ∇f, used by
      the records only. Without them the record has no value or no norm, and all else runs the same.
    - `gradients(X, rngs, workers) -> (S, d)`: S stochastic gradients at once; X is a sequence of S points, often one
      object S times. Item j of `rngs` is valid until the next item is taken. Row j must be bit-equal to
      `gradient(X[j], rngs[j], workers[j])` whatever its companions; `batch_matches_single` tries that.
    - `L`, the smoothness constant; `sigma2` ≥ E‖gradient − ∇f‖²; `f_star`, or `f_lower`, below which f never is;
      `x_star` (d,).
    - `components`, m of a finite sum f = (1/m) Σ f_j, with `component_gradient(x, j) -> (d,)` and perhaps
      `component_mean(x, indices) -> (d,)`, and `component_gradients(X, indices) -> (S, d)`, whose row s is bit-equal to
      `component_gradient(X[s], indices[s])`; `L_minus`, `L_plus`, `L_plus_minus`, `L_max`.
    - `workers`, the number of workers it was made for, where they have different f_i; `worker_gradient(x, worker)`.
    - `message_size`, a whole number: how many numbers a point or an answer is where it is sent (asyncsim/times/
      communication.py); the dimension unless it is said.
    - `estimated`: the names among these that are estimates.
    """

    @property
    def dimension(self) -> int: ...

    @property
    def x0(self) -> Vector: ...

    def gradient(self, x: Vector, rng: np.random.Generator, worker: int) -> Vector: ...


P = TypeVar("P")

_FUNCTIONS = (
    "value",
    "full_gradient",
    "value_and_gradient",
    "gradients",
    "component_gradient",
    "component_mean",
    "component_gradients",
    "worker_gradient",
)
_SIGNATURE = "gradient(x, rng, worker) that returns an array (d,)"


def frozen(x: Vector) -> Vector:
    """`x` itself, made read-only."""
    x.setflags(write=False)
    return x


def check_problem(problem: P) -> P:
    """`problem` itself when a run can use it; else a ValueError that says what is missing.

    Nothing is evaluated: a gradient of the user's own may be dear, or counted.

    >>> class Mine:
    ...     dimension, x0 = 3, np.zeros(2)
    ...     def gradient(self, x, rng, worker): return x
    >>> check_problem(Mine())
    Traceback (most recent call last):
    ValueError: problem Mine: x0 has shape (2,), but dimension is 3: an array of shape (3,) is needed
    """
    what = f"problem {getattr(problem, '__name__', None) or type(problem).__name__}"
    if isinstance(problem, type):
        raise ValueError(f"{what} is a class; a problem is an object: {problem.__name__}(…)")
    if isinstance(problem, str):
        raise ValueError(
            f"problem {problem!r} is a text; scenarios name problems, Python gives an object such as Quadratic()"
        )
    if not callable(getattr(problem, "gradient", None)):
        raise ValueError(f"{what} has no method gradient; {_SIGNATURE} is needed")
    dimension = _attribute(problem, "dimension", what)
    if not _is_whole(dimension) or dimension < 0:
        raise ValueError(f"{what}: dimension = {dimension!r}, but a whole number >= 0 is needed")
    _check_point("x0", _attribute(problem, "x0", what), int(dimension), what)
    size = getattr(problem, "message_size", None)
    if size is not None and (not _is_whole(size) or size < 0):
        raise ValueError(
            f"{what}: message_size = {size!r}, but a whole number >= 0 is needed, or None for the dimension"
        )
    for name in _FUNCTIONS:
        function = getattr(problem, name, None)
        if function is not None and not callable(function):
            raise ValueError(f"{what}: {name} = {function!r} can't be called; a method is needed, or none")
    for name in ("L", "sigma2", "f_star", "L_minus", "L_plus", "L_plus_minus", "L_max"):
        _check_number(name, getattr(problem, name, None), what)
    if (x_star := getattr(problem, "x_star", None)) is not None:
        _check_point("x_star", x_star, int(dimension), what)
    return problem


def message_size(problem: Any) -> int:
    """Numbers in a message of one point or gradient.

    >>> class Halves:
    ...     dimension, message_size = 100, 50
    >>> message_size(Halves())
    50
    """
    size = getattr(problem, "message_size", None)
    return int(problem.dimension if size is None else size)


def _attribute(problem: Any, name: str, what: str) -> Any:
    if not hasattr(problem, name):
        raise ValueError(f"{what} has no {name}; a problem has dimension, x0 and {_SIGNATURE}")
    return getattr(problem, name)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _check_point(name: str, x: Any, dimension: int, what: str) -> None:
    if not isinstance(x, np.ndarray) or x.dtype not in (np.float64, np.float32):
        kind = f"an array of {x.dtype}" if isinstance(x, np.ndarray) else f"a {type(x).__name__}"
        raise ValueError(
            f"{what}: {name} is {kind}; a numpy array of float64 or float32 is needed: np.array({name}, dtype=float)"
        )
    if x.shape != (dimension,):
        raise ValueError(
            f"{what}: {name} has shape {x.shape}, but dimension is {dimension}: "
            f"an array of shape ({dimension},) is needed"
        )
    if not np.isfinite(x).all():
        raise ValueError(f"{what}: {name}[{int(np.argmin(np.isfinite(x)))}] is not a finite number")


def _check_number(name: str, value: Any, what: str) -> None:
    if value is None:
        return
    is_number = (
        isinstance(value, int | float | np.number) and not isinstance(value, bool) and math.isfinite(float(value))
    )
    if not is_number or (name != "f_star" and value < 0):
        bound = "" if name == "f_star" else " >= 0"
        raise ValueError(
            f"{what}: {name} = {value!r}, but a finite number{bound} is needed, or None when it is unknown"
        )


def estimate_sigma2(problem: Problem, x: Vector, rng: np.random.Generator, samples: int = 100) -> float:
    """E‖gradient(x) − ∇f(x)‖² from `samples` stochastic gradients of worker 0 at `x`.

    Against `full_gradient` where the problem has one, else against the samples' own mean (divided by samples − 1). It
    is the variance at this one point: theory asks for a bound over all points. Needs samples ≥ 2.

    >>> from asyncsim.problems import Quadratic
    >>> quadratic = Quadratic(dimension=100, noise=0.1)
    >>> round(estimate_sigma2(quadratic, quadratic.x0, np.random.default_rng(1)), 1), round(quadratic.sigma2, 1)
    (1.0, 1.0)
    """
    if samples < 2:
        raise ValueError(f"estimate_sigma2: samples = {samples}, but a variance needs at least 2")
    full_gradient: Callable[[Vector], Vector] | None = getattr(problem, "full_gradient", None)
    if full_gradient is not None:
        exact = full_gradient(x).astype(np.float64)
        return float(np.mean([np.sum((problem.gradient(x, rng, 0) - exact) ** 2) for _ in range(samples)]))
    # Welford's running mean: the samples themselves would be samples × d numbers
    mean, squares = np.zeros(problem.dimension), 0.0
    for count in range(1, samples + 1):
        gradient = problem.gradient(x, rng, 0)
        step = gradient - mean
        mean += step / count
        squares += float(step @ (gradient - mean))
    return squares / (samples - 1)


def batch_matches_single(problem: Any, seed: int = 0, counts: Iterable[int] = (1, 2, 33)) -> bool:
    """Whether each row of `problem.gradients` has the bits of `problem.gradient`, tried in several companies.

    Likewise for `component_gradients`, where there are any. Batches of `counts` rows at one point, at all different points and at points that repeat, each row with the
    generator it has alone. True says that it held in this trial, on this machine.

    >>> from asyncsim.problems import Quadratic
    >>> batch_matches_single(Quadratic(dimension=10))
    True
    """
    counts = tuple(counts)
    luck = np.random.default_rng(seed)
    made_for = getattr(problem, "workers", None)
    n = made_for if isinstance(made_for, int) else max(counts)
    # a network whose weights were much larger than at its start would be saturated, and all its gradients 0
    spread = math.sqrt(float(np.mean(np.square(problem.x0)))) if problem.dimension else 0.0
    noise = (luck.standard_normal(problem.dimension) for _ in range(max(counts)))
    points = [frozen((problem.x0 + (spread or 1.0) * each).astype(problem.x0.dtype)) for each in noise]

    def generator(j: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(key=[seed, j]))

    def matches(order: Sequence[int], at: Sequence[int]) -> bool:
        X = [points[j] for j in at]
        if hasattr(problem, "gradients"):
            workers = [j % n for j in order]
            rows = problem.gradients(X, map(generator, order), workers)
            singles = (problem.gradient(x, generator(j), i) for x, j, i in zip(X, order, workers, strict=True))
            if not _equal(rows, singles):
                return False
        if not hasattr(problem, "component_gradients"):
            return True
        indices = [j % problem.components for j in order]
        component_singles = (problem.component_gradient(x, j) for x, j in zip(X, indices, strict=True))
        return _equal(problem.component_gradients(X, indices), component_singles)

    return all(
        matches(order, at)
        for count in counts
        for order in (range(count), range(count)[::-1])
        for at in ([0] * count, range(count), [j // 2 for j in range(count)])
    )


def _equal(rows: Iterable[Vector], singles: Iterable[Vector]) -> bool:
    return all(np.array_equal(row, single, equal_nan=True) for row, single in zip(rows, singles, strict=True))
