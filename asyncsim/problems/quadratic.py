"""The tridiagonal quadratic on which the papers compare their methods.

It is the worst case for first-order methods: from x0 = (√d, 0, …, 0) each exact gradient step lets one more coordinate
become non-zero. The matrix is never built: Ax is three slices of x.
"""

import math
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from asyncsim.parameters import Count, NonNegative, parameters
from asyncsim.problems.problem import Vector, frozen


@parameters
class Quadratic:
    """f(x) = ½xᵀAx − bᵀx with A = ¼·tridiag(−1, 2, −1), b = ¼(−1, 0, …, 0), x0 = (√d, 0, …, 0).

    With d = 1729 and noise 0.01 it is the quadratic of Ringmaster ASGD (Maranjyan, Tyurin, Richtárik 2025,
    arXiv:2501.16168). Known exactly: L = cos²(π / (2(d+1))), the largest eigenvalue of A; σ² = d·noise²;
    x*_j = −(1 − j/(d+1)); f* = −d / (8(d+1)).

    Parameters:
        dimension: d, the number of unknowns.
        noise: standard deviation of the normal noise in each coordinate of a stochastic gradient.
        scalar_noise: false: every coordinate has its own noise; true: one number is drawn a gradient and added to all
            coordinates. σ² = d·noise² either way.

    >>> problem = Quadratic(dimension=1729)
    >>> round(problem.value(problem.x0) - problem.f_star, 2), round(problem.sigma2, 4), round(problem.L, 6)
    (442.77, 0.1729, 0.999999)
    >>> problem.gradient(problem.x0, np.random.default_rng(26), worker=0).shape
    (1729,)
    """

    dimension: Count = 1729
    noise: NonNegative = 0.01
    scalar_noise: bool = False

    estimated: ClassVar[frozenset[str]] = frozenset()

    def build(self, seed: int = 0, base: Path = Path(), n: int = 1) -> Self:
        return self

    @cached_property
    def x0(self) -> Vector:
        x = np.zeros(self.dimension)
        x[0] = math.sqrt(self.dimension)
        return frozen(x)

    @cached_property
    def x_star(self) -> Vector:
        return frozen(np.arange(1, self.dimension + 1) / (self.dimension + 1) - 1)

    @property
    def L(self) -> float:
        # the eigenvalues of A are ½(1 − cos(jπ/(d+1))), j = 1…d
        return math.cos(math.pi / (2 * (self.dimension + 1))) ** 2

    @property
    def sigma2(self) -> float:
        return float(self.dimension * self.noise**2)

    @property
    def f_star(self) -> float:
        return -self.dimension / (8 * (self.dimension + 1))

    def full_gradient(self, x: Vector) -> Vector:
        """∇f(x) = Ax − b, a new array (d,)."""
        # ¼ of the difference of the differences of (−1, x, 0): the −1 in front of x is b
        steps = np.empty(self.dimension + 1)
        steps[0] = x[0] + 1.0
        steps[-1] = -x[-1]
        np.subtract(x[1:], x[:-1], out=steps[1:-1])
        gradient = steps[:-1] - steps[1:]
        gradient *= 0.25
        return gradient

    def value(self, x: Vector) -> float:
        """f(x)."""
        return self.value_and_gradient(x)[0]

    def value_and_gradient(self, x: Vector) -> tuple[float, Vector]:
        """f(x) and ∇f(x) from one pass."""
        gradient = self.full_gradient(x)
        # f = ½xᵀ(Ax − b) − ½bᵀx, and bᵀx = −¼x_1
        return 0.5 * float(x @ gradient) + 0.125 * float(x[0]), gradient

    def gradient(self, x: Vector, rng: np.random.Generator, worker: int) -> Vector:
        """∇f(x) + noise, a new array (d,); `worker` doesn't matter, all see the same f."""
        gradient = self.full_gradient(x)
        if self.noise:
            gradient += self._noise(rng)
        return gradient

    def gradients(self, X: Sequence[Vector], rngs: Iterable[np.random.Generator], workers: Sequence[int]) -> Vector:
        """Row j is `gradient(X[j], rngs[j], workers[j])`, bit for bit; ∇f is computed once for each point."""
        rows = np.empty((len(X), self.dimension))
        exact: dict[int, Vector] = {}
        for row, x in zip(rows, X, strict=True):
            if id(x) not in exact:
                exact[id(x)] = self.full_gradient(x)
            row[:] = exact[id(x)]
        if self.noise:
            for j, rng in enumerate(rngs):
                rows[j] += self._noise(rng)
        return rows

    def _noise(self, rng: np.random.Generator) -> Vector | float:
        if self.scalar_noise:
            return self.noise * rng.standard_normal()
        noise = rng.standard_normal(self.dimension)
        noise *= self.noise
        return noise
