"""Workers that want different things: the smallest problem on which a method shows whether it is biased.

Each worker pulls x to its own centre, and the optimum is the mean of the centres. A method that uses the gradients as
they come gives fast workers more weight and settles between *their* centres: plain Asynchronous SGD at Σ w_i c_i with
w_i proportional to 1/τ_i. Methods made for heterogeneous data settle at the mean.
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
from asyncsim.problems.quadratic import places


@parameters
class SeparateQuadratics:
    """f = (1/n) Σ f_i over the workers, f_i(x) = ½‖x − c_i‖²: each worker has its own centre c_i.

    The centres stand on a line through 0, evenly, from worker 0 at −spread·u to worker n−1 at +spread·u, u = (1, …,
    1)/√d; with compute times that grow with i the fast workers stand together. Known exactly: x* = 0, f(x) = ½‖x‖² +
    f*, f* = (1/2n) Σ ‖c_i‖², L = L_max = 1, σ² = d·noise², ζ² = (1/n) Σ ‖∇f_i − ∇f‖² = 2f* everywhere.

    Parameters:
        dimension: d, the number of unknowns.
        spread: distance of the outermost centres from the optimum; 0: all workers have the same f.
        noise: standard deviation of the normal noise in each coordinate of a stochastic gradient.
        start: distance of x0 from the optimum; x0 = start·u, on the side of the last worker.

    >>> problem = SeparateQuadratics(dimension=1, spread=3).build(n=4)
    >>> [float(problem.centre(worker)[0]) for worker in range(4)], problem.f_star
    ([-3.0, -1.0, 1.0, 3.0], 2.5)
    """

    dimension: Count = 2
    spread: NonNegative = 1.0
    noise: NonNegative = 0.0
    start: NonNegative = 10.0

    workers: ClassVar[int | None] = None  # set by build, in the instance's __dict__
    L: ClassVar[float] = 1.0
    L_max: ClassVar[float] = 1.0
    estimated: ClassVar[frozenset[str]] = frozenset()

    def build(self, seed: int = 0, base: Path = Path(), n: int = 1) -> Self:
        """The problem for `n` workers; nothing is drawn."""
        built = dataclasses.replace(self)
        vars(built)["workers"] = n
        return built

    @cached_property
    def _places(self) -> Vector:
        """(n,) coordinate of each centre in the direction (1, …, 1)."""
        n = self.workers
        if n is None:
            raise ValueError(
                "SeparateQuadratics: the number of workers is not known; make it by SeparateQuadratics(…).build(n=…)"
            )
        return places(n) * (self.spread / math.sqrt(self.dimension))

    def centre(self, worker: int) -> Vector:
        """c_i, (d,)."""
        return np.full(self.dimension, self._places[worker])

    @cached_property
    def x0(self) -> Vector:
        return frozen(np.full(self.dimension, self.start / math.sqrt(self.dimension)))

    @cached_property
    def x_star(self) -> Vector:
        return frozen(np.zeros(self.dimension))

    @cached_property
    def f_star(self) -> float:
        return 0.5 * self.zeta2

    @cached_property
    def zeta2(self) -> float:
        """(1/n) Σ ‖∇f_i(x) − ∇f(x)‖², the same at every x."""
        return float(self.dimension * np.mean(self._places**2))

    @property
    def sigma2(self) -> float:
        return float(self.dimension * self.noise**2)

    def value(self, x: Vector) -> float:
        """f(x)."""
        return 0.5 * float(x @ x) + self.f_star

    def full_gradient(self, x: Vector) -> Vector:
        """∇f(x) = x, a new array (d,)."""
        return x.copy()

    def value_and_gradient(self, x: Vector) -> tuple[float, Vector]:
        """f(x) and ∇f(x)."""
        return self.value(x), self.full_gradient(x)

    def worker_gradient(self, x: Vector, worker: int) -> Vector:
        """∇f_i(x) = x − c_i of worker i, a new array (d,)."""
        gradient: Vector = x - self._places[worker]
        return gradient

    def gradient(self, x: Vector, rng: np.random.Generator, worker: int) -> Vector:
        """∇f_i(x) + noise, a new array (d,)."""
        gradient = self.worker_gradient(x, worker)
        if self.noise:
            gradient += self.noise * rng.standard_normal(self.dimension)
        return gradient

    def gradients(self, X: Sequence[Vector], rngs: Iterable[np.random.Generator], workers: Sequence[int]) -> Vector:
        """Row j is `gradient(X[j], rngs[j], workers[j])`, bit for bit."""
        rows = np.empty((len(X), self.dimension))
        for row, x, rng, worker in zip(rows, X, rngs, workers, strict=True):
            row[:] = self.gradient(x, rng, worker)
        return rows
