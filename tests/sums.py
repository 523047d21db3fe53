"""A finite sum to compute by hand, for the tests of the methods that draw components."""

import numpy as np


class Sum:
    """f = (1/m)Σf_j, f_j(x) = ½a_j‖x‖² − b_jᵀx; `evaluated` lists the components whose gradients were computed.

    L₋ is the mean of a, L± its standard deviation, L₊ its root mean square; with equal a, L± = 0.
    """

    dimension = 3

    def __init__(self, m: int = 12, spread: float = 0.5, seed: int = 5) -> None:
        luck = np.random.default_rng(seed)
        self.components = m
        self.x0 = np.array([3.0, -2.0, 1.0])
        self._a = 1.0 + spread * luck.uniform(-1.0, 1.0, m)
        self._b = luck.standard_normal((m, 3))
        self.L = self.L_minus = float(self._a.mean())
        self.L_plus_minus = float(self._a.std())
        self.L_plus = float(np.sqrt(np.mean(self._a**2)))
        exact = self.full_gradient(self.x0)
        self.sigma2 = float(np.mean([np.sum((self._at(self.x0, j) - exact) ** 2) for j in range(m)]))
        self.f_star = self.value(self._b.mean(axis=0) / self.L)
        self.evaluated: list[int] = []

    def _at(self, x: np.ndarray, j: int) -> np.ndarray:
        return self._a[j] * x - self._b[j]

    def component_gradient(self, x: np.ndarray, j: int) -> np.ndarray:
        self.evaluated.append(j)
        return self._at(x, j)

    def gradient(self, x: np.ndarray, rng: np.random.Generator, worker: int) -> np.ndarray:
        return self._at(x, int(rng.integers(self.components)))

    def full_gradient(self, x: np.ndarray) -> np.ndarray:
        return self.L * x - self._b.mean(axis=0)

    def value(self, x: np.ndarray) -> float:
        return float(self.L / 2 * (x @ x) - self._b.mean(axis=0) @ x)


def descent(problem: Sum, stepsize: float, steps: int) -> list[np.ndarray]:
    """The iterates of gradient descent."""
    iterates = [problem.x0]
    for _ in range(steps):
        iterates.append(iterates[-1] - stepsize * problem.full_gradient(iterates[-1]))
    return iterates
