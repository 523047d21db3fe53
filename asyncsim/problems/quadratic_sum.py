"""The papers' generator of many quadratics whose mean f = (1/m) Σ f_j is minimized; they differ as much as one wants.

All components share the tridiagonal matrix T = ¼·tridiag(−1, 2, −1) of `asyncsim.problems.quadratic`:
∇f_j(x) = ν_j·Tx + shift·x − β_j·e_1. So a component is two numbers, the gradient of any set of components needs only
the means of its ν and β, in O(d) however many they are, and every constant has a closed form in the ν.
"""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from asyncsim.parameters import Count, NonNegative, Positive, Whole, parameters
from asyncsim.problems.problem import Vector, frozen
from asyncsim.streams import sequential


@parameters
class QuadraticSum:
    """f = (1/m) Σ f_j, f_j(x) = ½xᵀA_jx − b_jᵀx, drawn from the seed; single f_j may be nonconvex, f never is.

    A_j = (ν_j/4)·tridiag(−1, 2, −1) + shift·I and b_j = (ν_j/4)(c_j − 1)·e_1 with ν_j = 1 + s·N(0, 1), c_j = s·N(0, 1);
    the shift makes μ the smallest eigenvalue of the mean of all A_j; x0 = (√d, 0, …, 0). The generator of the
    experiments with Freya PAGE (Tyurin, Gruntkowska, Richtárik 2024, arXiv:2405.15545). Known exactly: L = L₋, L±, L₊,
    L_max, f*, x*. σ² is exact at x0 and unbounded over all x (unless s = 0 or each worker holds
    one function), so it counts as estimated.

    Parameters:
        components: m, the number of functions in the sum.
        dimension: d, the number of unknowns.
        heterogeneity: s, how much the functions differ; 0: they are all the same.
        mu: μ, the smallest eigenvalue of the Hessian of f.
        heterogeneous: false: every worker draws from all m functions, uniformly, one a gradient; true: worker i draws
            from its own m/n functions only (one when m = n), so that the workers' f_i differ. m is a multiple
            of n.
        problem_seed: the functions are drawn from it; without it, from the seed of the run, so that seeds have other
            functions.

    >>> problem = QuadraticSum(components=100, dimension=10).build(seed=1)
    >>> full = np.mean([problem.component_gradient(problem.x0, j) for j in range(100)], axis=0)
    >>> bool(np.allclose(full, problem.full_gradient(problem.x0), rtol=0, atol=1e-14))
    True
    >>> problem.L_plus_minus < problem.L_plus, sorted(problem.estimated)
    (True, ['sigma2'])
    """

    components: Count = 1000
    dimension: Count = 50
    heterogeneity: NonNegative = 0.5
    mu: Positive = 0.01
    heterogeneous: bool = False
    problem_seed: Whole | None = None

    # set by build, in the instance's __dict__
    workers: ClassVar[int | None] = None
    _seed: ClassVar[int] = 0

    def build(self, seed: int = 0, base: Path = Path(), n: int = 1) -> Self:
        """The problem with its functions drawn; `n` workers share them out where `heterogeneous` says so."""
        if self.heterogeneous and self.components % n:
            raise ValueError(
                f"QuadraticSum: components = {self.components} cannot be shared out equally among {n} workers; "
                f"a multiple of {n} is needed, or heterogeneous: false"
            )
        built = dataclasses.replace(self)
        vars(built)["_seed"] = seed if self.problem_seed is None else self.problem_seed
        if self.heterogeneous:
            vars(built)["workers"] = n
        return built

    # -- the functions

    @cached_property
    def _drawn(self) -> tuple[Vector, Vector]:
        """ν and β, (m,) each; β_j is the first coordinate of b_j."""
        luck = self.heterogeneity * sequential(self._seed, "problem").standard_normal((self.components, 2))
        ν = 1.0 + luck[:, 0]
        return ν, ν / 4 * (luck[:, 1] - 1.0)

    @cached_property
    def _mean(self) -> tuple[float, float]:
        ν, β = self._drawn
        return float(ν.mean()), float(β.mean())

    @cached_property
    def _shares(self) -> tuple[Vector, Vector]:
        """The means of ν and β over each worker's functions, (n,) each; all as one worker unless heterogeneous."""
        ν, β = self._drawn
        return ν.reshape(-1, self._share).mean(axis=1), β.reshape(-1, self._share).mean(axis=1)

    @cached_property
    def _share(self) -> int:
        """How many functions a worker draws from; the first of worker i is `_first(i)`."""
        if not self.heterogeneous:
            return self.components
        if self.workers is None:
            raise ValueError(
                "QuadraticSum: heterogeneous, but the number of workers is unknown; make it by problem.build(seed, n=…)"
            )
        return self.components // self.workers

    def _first(self, worker: int) -> int:
        return worker * self._share if self.heterogeneous else 0

    @cached_property
    def _ends(self) -> tuple[float, float]:
        """The smallest and the largest eigenvalue of T."""
        angle = math.pi / (2 * (self.dimension + 1))
        return math.sin(angle) ** 2, math.cos(angle) ** 2

    @cached_property
    def _shift(self) -> float:
        return self.mu - min(self._mean[0] * end for end in self._ends)

    # -- constants

    @cached_property
    def x0(self) -> Vector:
        x = np.zeros(self.dimension)
        x[0] = math.sqrt(self.dimension)
        return frozen(x)

    @cached_property
    def x_star(self) -> Vector:
        ν, β = self._mean
        diagonal, beside = ν / 2 + self._shift, ν / 4
        # upwards from the last row, as only the first row of the right-hand side isn't 0: x_j = ratio_j · x_{j−1}
        ratios = np.empty(self.dimension)
        ratio = 0.0
        for j in range(self.dimension - 1, -1, -1):
            pivot = diagonal - beside * ratio
            ratios[j] = ratio = beside / pivot
        ratios[0] = β / pivot
        np.cumprod(ratios, out=ratios)
        return frozen(ratios)

    @cached_property
    def f_star(self) -> float:
        return self.value(self.x_star)

    def _largest(self, ν: Vector) -> float:
        """The largest absolute eigenvalue of any ν·T + shift·I."""
        return float(max(np.abs(ν * end + self._shift).max() for end in self._ends))

    @cached_property
    def L(self) -> float:
        """L₋, the largest eigenvalue of the mean of all A_j."""
        return self._largest(np.array(self._mean[0]))

    @property
    def L_minus(self) -> float:
        return self.L

    @cached_property
    def L_plus_minus(self) -> float:
        """L±² = ‖mean(A_j²) − (mean A_j)²‖ = var(ν)·‖T‖²: what all A_j share cancels."""
        return float(self._drawn[0].std() * self._ends[1])

    @cached_property
    def L_plus(self) -> float:
        """L₊² = ‖mean(A_j²)‖; its eigenvalues are convex in those of T, so the largest is at an end."""
        ν = self._drawn[0]
        return math.sqrt(max(float(np.mean((ν * end + self._shift) ** 2)) for end in self._ends))

    @cached_property
    def L_max(self) -> float:
        """The largest smoothness constant of the workers' f_i when they differ, else of the f_j."""
        return self._largest(self._shares[0] if self.heterogeneous else self._drawn[0])

    @cached_property
    def sigma2(self) -> float:
        """The variance of a stochastic gradient at x0, of the worker where it is largest."""
        return self._spread(self._share)

    @cached_property
    def components_sigma2(self) -> float:
        """(1/m)Σ‖∇f_j − ∇f‖² at x0."""
        return self._spread(self.components)

    def _spread(self, share: int) -> float:
        """The variance of ∇f_j(x0) within each so many successive j, where it is largest."""
        # ∇f_j(x0) = ν_j·t − β_j·e_1 + the same for all
        t = _tridiagonal(self.x0)
        ν, β = (values.reshape(-1, share) for values in self._drawn)
        ν, β = ν - ν.mean(axis=1, keepdims=True), β - β.mean(axis=1, keepdims=True)
        squares = ν**2 * float(t @ t) - 2 * ν * β * t[0] + β**2
        return max(0.0, float(squares.mean(axis=1).max()))

    @cached_property
    def zeta2(self) -> float:
        """(1/n) Σ ‖∇f_i(x0) − ∇f(x0)‖² over the workers, at the start; 0 unless they differ."""
        n = len(self._shares[0])
        exact = self.full_gradient(self.x0)
        return float(np.mean([np.sum((self.worker_gradient(self.x0, i) - exact) ** 2) for i in range(n)]))

    @property
    def estimated(self) -> frozenset[str]:
        return frozenset({"sigma2"} if self.sigma2 > 0 else ())

    # -- gradients

    def _at(self, x: Vector, ν: float, β: float) -> Vector:
        gradient = _tridiagonal(x)
        gradient *= ν
        gradient += self._shift * x
        gradient[0] -= β
        return gradient

    def full_gradient(self, x: Vector) -> Vector:
        """∇f(x), a new array (d,)."""
        return self._at(x, *self._mean)

    def value(self, x: Vector) -> float:
        """f(x)."""
        return self.value_and_gradient(x)[0]

    def value_and_gradient(self, x: Vector) -> tuple[float, Vector]:
        """f(x) and ∇f(x) from one pass."""
        gradient = self.full_gradient(x)
        # f = ½xᵀ(Ax − b) − ½bᵀx
        return 0.5 * float(x @ gradient) - 0.5 * self._mean[1] * float(x[0]), gradient

    def component_gradient(self, x: Vector, j: int) -> Vector:
        """∇f_j(x), j = 0…m−1."""
        ν, β = self._drawn
        return self._at(x, ν[j], β[j])

    def component_mean(self, x: Vector, indices: Sequence[int]) -> Vector:
        """The mean of ∇f_j(x) over `indices`, in O(d + number of indices)."""
        chosen = np.asarray(indices, dtype=np.intp)
        ν, β = self._drawn
        return self._at(x, ν[chosen].mean(), β[chosen].mean())

    def worker_gradient(self, x: Vector, worker: int) -> Vector:
        """∇f_i(x) of worker i; ∇f(x) unless heterogeneous."""
        ν, β = self._shares
        return self._at(x, ν[worker], β[worker]) if self.heterogeneous else self.full_gradient(x)

    def gradient(self, x: Vector, rng: np.random.Generator, worker: int) -> Vector:
        """∇f_j(x) of a function j drawn uniformly from those of the worker, a new array (d,)."""
        return self.component_gradient(x, self._first(worker) + int(rng.random() * self._share))

    def gradients(self, X: Sequence[Vector], rngs: Iterable[np.random.Generator], workers: Sequence[int]) -> Vector:
        """Row j is `gradient(X[j], rngs[j], workers[j])`, bit for bit; Tx is computed once for each point."""
        drawn = zip(rngs, workers, strict=True)
        return self.component_gradients(
            X, [self._first(worker) + int(rng.random() * self._share) for rng, worker in drawn]
        )

    def component_gradients(self, X: Sequence[Vector], indices: Sequence[int]) -> Vector:
        """Row s is `component_gradient(X[s], indices[s])`, bit for bit; Tx is computed once for each point."""
        rows = np.empty((len(X), self.dimension))
        parts: dict[int, tuple[Vector, Vector]] = {}
        ν, β = self._drawn
        for row, x, j in zip(rows, X, indices, strict=True):
            if id(x) not in parts:
                parts[id(x)] = _tridiagonal(x), self._shift * x
            np.multiply(parts[id(x)][0], ν[j], out=row)
            np.add(row, parts[id(x)][1], out=row)
            row[0] -= β[j]
        return rows


def _tridiagonal(x: Vector) -> Vector:
    """¼·tridiag(−1, 2, −1)·x, a new array."""
    quarter = 0.25 * x
    product = 2.0 * quarter
    product[1:] -= quarter[:-1]
    product[:-1] -= quarter[1:]
    return product
