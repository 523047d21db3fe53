"""No problem at all: dimension 0, for scenarios that ask about times only.

Every method runs unchanged on it; what costs nothing is the gradient. There is no `full_gradient`: a norm of exactly 0
would read as "target reached", while nothing was optimized.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from asyncsim.parameters import Count, Whole, parameters
from asyncsim.problems.problem import Vector


@parameters
class NoProblem:
    """Timing only: dimension 0, gradients are empty arrays, f = 0.

    Parameters:
        components: m, the number of functions in the sum, for the methods of finite sums; others don't need it.
        message_size: numbers in a message, for workers with a bandwidth; none unless given

    >>> problem = NoProblem()
    >>> gradient = problem.gradient(problem.x0, np.random.default_rng(1), worker=0)
    >>> problem.dimension, gradient.shape, problem.value(problem.x0)
    (0, (0,), 0.0)
    """

    components: Count | None = None
    message_size: Whole | None = None

    dimension: ClassVar[int] = 0
    random: ClassVar[bool] = False  # no gradient looks at its rng, so none is set up for it
    x0: ClassVar[Vector] = np.empty(0)
    L: ClassVar[None] = None
    sigma2: ClassVar[None] = None
    f_star: ClassVar[None] = None
    x_star: ClassVar[None] = None
    estimated: ClassVar[frozenset[str]] = frozenset()

    def build(self, seed: int = 0, base: Path = Path(), n: int = 1) -> Self:
        return self

    def gradient(self, x: Vector, rng: Any, worker: int) -> Vector:
        return np.empty(0)

    def gradients(self, X: Sequence[Vector], rngs: Iterable[Any], workers: Sequence[int]) -> Vector:
        return np.empty((len(X), 0))

    def component_gradient(self, x: Vector, j: int) -> Vector:
        return np.empty(0)

    def component_mean(self, x: Vector, indices: Sequence[int]) -> Vector:
        return np.empty(0)

    def value(self, x: Vector) -> float:
        return 0.0
