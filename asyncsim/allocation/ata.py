"""ATA: adaptive task allocation, by optimism about what is not known yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from asyncsim.allocation.ras import recursive_allocation_selection
from asyncsim.parameters import NonNegative, Positive, parameters


@parameters
class ATA:
    """Adaptive task allocation (ATA), for times with a known bound α on their spread.

    Maranjyan, Saad, Richtárik & Orabona 2025 (arXiv:2502.00775). Each round gives B tasks to the
    workers by RAS on the scores s_i = (μ̂_i − 2αβ_i)₊, lower confidence bounds of the mean times, where
    β_i = √(x/K_i) + x/K_i, x = ln(2k²), K_i the gradients that worker i has computed (a task is one; of Freya PAGE's
    differences two) and k the round. Together its rounds take at most (1 + 4η ln B) times as long as those of the fixed
    optimum, with η = max_i α_i/μ_i, up to O(ln k).

    Parameters:
        alpha: α ≥ max_i ‖X_i − μ_i‖_ψ1, seconds; 1.53 times the mean covers an exponential time.
        conf_scale: scales 2αβ; below 1 it tries less (the constant is very conservative).

    When not to use it: α is that of the slowest worker, so with very unequal workers the fast ones' scores stay
    0 for long (`ATAEmpirical`); lognormal and Pareto times have no finite α; where worker time costs nothing,
    `Greedy` is faster.

    >>> run = ATA(alpha=0.1).start(n=2, rng=np.random.default_rng(0), state=None)
    >>> run.begin(2); run.next(0), run.next(1)
    (1, 1)
    """

    alpha: Positive
    conf_scale: NonNegative = 1.0

    def start(self, n: int, rng: np.random.Generator, state: Any) -> _Adaptive:
        def scores(means: np.ndarray, β: np.ndarray) -> np.ndarray:
            return np.maximum(means - 2 * self.conf_scale * self.alpha * β, 0.0)

        return _Adaptive(n, rng, state, scores)


@parameters
class ATAEmpirical:
    """Adaptive task allocation, empirical form (ATA-Empirical), with a bound η on the spread in units of the mean.

    The empirical variant of Maranjyan et al. 2025 (arXiv:2502.00775): it needs η ≥ max_i α_i/μ_i only, and
    adapts to each worker. From α_i ≤ ημ_i follow the two lower confidence bounds offered here:
    μ̂(1 − 2ηβ)₊ ("minus", the paper's form as far as known) and μ̂/(1 + 2ηβ) ("div", tighter, never 0 once a
    worker was tried).

    Parameters:
        eta: η; exponential times have 1.53, 1 + Exp(1) has 0.77, uniform on (0, 1) 0.8.
        lcb: "minus" or "div", see above.
        conf_scale: scales 2ηβ; below 1 it tries less.

    When not to use it: lognormal and Pareto times have no finite η, there it is a guess; where worker time costs
    nothing, `Greedy` is faster.

    >>> run = ATAEmpirical().start(n=2, rng=np.random.default_rng(0), state=None)
    >>> run.begin(4); run.next(0) + run.next(1)
    4
    """

    eta: Positive = 1.0
    lcb: Literal["minus", "div"] = "div"
    conf_scale: NonNegative = 1.0

    def start(self, n: int, rng: np.random.Generator, state: Any) -> _Adaptive:
        def scores(means: np.ndarray, β: np.ndarray) -> np.ndarray:
            spread = 2 * self.conf_scale * self.eta * β
            return means * np.maximum(1 - spread, 0.0) if self.lcb == "minus" else means / (1 + spread)

        return _Adaptive(n, rng, state, scores)


class _Adaptive:
    """K_i tasks done, T_i seconds observed, k rounds: all that ATA remembers."""

    def __init__(self, n: int, rng: np.random.Generator, state: Any, scores: Any) -> None:
        self._rng = rng
        self._scores = scores
        self._k: int
        self._K: np.ndarray
        self._T: np.ndarray
        self._k, self._K, self._T = state or (0, np.zeros(n, np.int64), np.zeros(n))
        self._left: dict[int, int] = {}

    def begin(self, B: int) -> None:
        self._k += 1
        x = np.log(2.0 * self._k**2)
        tried = self._K > 0
        K = np.where(tried, self._K, 1)
        β = np.sqrt(x / K) + x / K
        # an untried worker has β = ∞: its score is 0
        s = np.where(tried, self._scores(self._T / K, β), 0.0)
        a = recursive_allocation_selection(s, B, self._rng)
        self._left = {int(worker): int(a[worker]) for worker in np.flatnonzero(a)}

    def next(self, worker: int) -> int:
        return self._left.pop(worker, 0)

    def observe(self, worker: int, times: Sequence[float]) -> None:
        self._K[worker] += len(times)
        self._T[worker] += sum(times)

    def state(self) -> Any:
        return (self._k, self._K, self._T)
