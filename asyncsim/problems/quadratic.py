"""The tridiagonal quadratic on which the papers compare their methods.

It is the worst case for first-order methods: from x0 = (√d, 0, …, 0) each exact gradient step lets one more coordinate
become non-zero. The matrix is never built: Ax is three slices of x.
"""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from asyncsim.parameters import Count, NonNegative, parameters
from asyncsim.problems.problem import Vector, frozen


def places(n: int) -> Vector:
    """n numbers evenly from −1 to 1, odd in the middle to the last bit, so that their mean is 0.

    >>> places(3)
    array([-1.,  0.,  1.])
    """
    found: Vector = (2.0 * np.arange(n) - (n - 1)) / max(1, n - 1)
    return found


@parameters
class Quadratic:
    """f(x) = ½xᵀAx − bᵀx with A = ¼·tridiag(−1, 2, −1), b = ¼(−1, 0, …, 0), x0 = (√d, 0, …, 0).

    With d = 1729 and noise 0.01 it is the quadratic of Ringmaster ASGD (Maranjyan, Tyurin, Richtárik 2025,
    arXiv:2501.16168). Known exactly: L = cos²(π / (2(d+1))), the largest eigenvalue of A; σ² = d·noise²;
    x*_j = −(1 − j/(d+1)); f* = −d / (8(d+1)).

    With a `spread` the workers have different data, f = (1/n) Σ f_i: ∇f_i = ∇f + spread·p_i·u with places p_i evenly
    from −1 of worker 0 to 1 of worker n−1 and u = (1, 1, −1, −1, 1, 1, …)/√d, a direction of average curvature, so that ζ² = (1/n) Σ ‖∇f_i − ∇f‖² = spread²·mean p_i² everywhere.

    Parameters:
        dimension: d, the number of unknowns.
        noise: standard deviation of the normal noise in each coordinate of a stochastic gradient.
        scalar_noise: false: every coordinate has its own noise; true: one number is drawn a gradient and added to all
            coordinates. σ² = d·noise² either way.
        spread: ‖∇f_i − ∇f‖ of the outermost workers; 0: all have the same f.

    >>> problem = Quadratic(dimension=1729)
    >>> round(problem.value(problem.x0) - problem.f_star, 2), round(problem.sigma2, 4), round(problem.L, 6)
    (442.77, 0.1729, 0.999999)
    >>> problem.gradient(problem.x0, np.random.default_rng(26), worker=0).shape
    (1729,)
    """

    dimension: Count = 1729
    noise: NonNegative = 0.01
    scalar_noise: bool = False
    spread: NonNegative = 0.0

    workers: ClassVar[int | None] = None  # set by build where the data differ, in the instance's __dict__
    estimated: ClassVar[frozenset[str]] = frozenset()

    def build(self, seed: int = 0, base: Path = Path(), n: int = 1) -> Self:
        """The problem for `n` workers; nothing is drawn."""
        if not self.spread:
            return self
        built = dataclasses.replace(self)
        vars(built)["workers"] = n
        return built

    @cached_property
    def _offsets(self) -> Vector:
        """(n, d) what is added to a worker's gradient."""
        if self.workers is None:
            raise ValueError(
                "Quadratic: with a spread the number of workers must be known; make it by Quadratic(…).build(n=…)"
            )
        # of x shifted along (1, …, 1) the gradient hardly knows, and along (1, −1, 1, …) it knows most
        signs = np.where(np.arange(self.dimension) % 4 < 2, 1.0, -1.0)
        return np.outer(places(self.workers), signs * (self.spread / math.sqrt(self.dimension)))

    @property
    def zeta2(self) -> float:
        """(1/n) Σ ‖∇f_i(x) − ∇f(x)‖², the same at every x."""
        return float(np.mean(np.sum(self._offsets**2, axis=1))) if self.spread else 0.0

    @property
    def L_max(self) -> float | None:
        return self.L if self.spread else None

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

    def worker_gradient(self, x: Vector, worker: int) -> Vector:
        """∇f_i(x) of worker i, a new array (d,)."""
        gradient = self.full_gradient(x)
        if self.spread:
            gradient += self._offsets[worker]
        return gradient

    def gradient(self, x: Vector, rng: np.random.Generator, worker: int) -> Vector:
        """∇f_i(x) + noise, a new array (d,); without a spread `worker` doesn't matter."""
        gradient = self.worker_gradient(x, worker)
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
        if self.spread:
            rows += self._offsets[np.asarray(workers, np.intp)]
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
