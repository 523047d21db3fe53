"""A function of one unknown on which local steps drift: steep on one side of the minimum and flat on the other.

On a quadratic the mean of local iterates is as good as an iterate (averaging commutes with linear gradients), so tuned
Local SGD shows no weakness there. Here workers that have stepped over the minimum come back twenty times as fast as
those that have not, and the mean of their end points is biased to the flat side: the function separates Local SGD from
Dual Local SGD and Minibatch SGD with tuned stepsizes too.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from asyncsim.parameters import NonNegative, parameters
from asyncsim.problems.problem import Vector, frozen

_FLAT = 0.05  # f'' left of the minimum; 1 right of it


@parameters
class DriftSensitive:
    """f(x) = ½x² for x ≥ 0, 0.025x² for x < 0: one unknown, convex, made to show the drift of local steps.

    Known exactly: L = 1, σ² = noise², x* = 0, f* = 0.

    Parameters:
        noise: standard deviation of the normal noise of a stochastic gradient.
        start: x0.

    >>> problem = DriftSensitive()
    >>> problem.value(np.array([-2.0])), problem.full_gradient(np.array([-2.0])), problem.full_gradient(np.array([2.0]))
    (0.1, array([-0.1]), array([2.]))
    """

    noise: NonNegative = 5.0
    start: float = -10.0

    dimension: ClassVar[int] = 1
    L: ClassVar[float] = 1.0
    f_star: ClassVar[float] = 0.0
    estimated: ClassVar[frozenset[str]] = frozenset()

    def build(self, seed: int = 0, base: Path = Path(), n: int = 1) -> Self:
        return self

    @cached_property
    def x0(self) -> Vector:
        return frozen(np.array([float(self.start)]))

    @cached_property
    def x_star(self) -> Vector:
        return frozen(np.zeros(1))

    @property
    def sigma2(self) -> float:
        return float(self.noise**2)

    def value(self, x: Vector) -> float:
        """f(x)."""
        return self.value_and_gradient(x)[0]

    def full_gradient(self, x: Vector) -> Vector:
        """f'(x), a new array (1,)."""
        return x * 1.0 if x[0] >= 0 else x * _FLAT

    def value_and_gradient(self, x: Vector) -> tuple[float, Vector]:
        """f(x) and f'(x)."""
        gradient = self.full_gradient(x)
        return 0.5 * float(x @ gradient), gradient

    def gradient(self, x: Vector, rng: np.random.Generator, worker: int) -> Vector:
        """f'(x) + noise, a new array (1,); `worker` doesn't matter."""
        gradient = self.full_gradient(x)
        if self.noise:
            gradient += self.noise * rng.standard_normal()
        return gradient

    def gradients(self, X: Sequence[Vector], rngs: Iterable[np.random.Generator], workers: Sequence[int]) -> Vector:
        """Row j is `gradient(X[j], rngs[j], workers[j])`, bit for bit."""
        rows = np.empty((len(X), 1))
        for row, x, rng in zip(rows, X, rngs, strict=True):
            row[:] = self.gradient(x, rng, 0)
        return rows
