"""The regret of an allocation against the fixed optimum, round by round.

A round is an iteration k; a_i^k are the tasks that worker i delivered for it, one gradient each or, where a method
says so by `gradients_of_a_task`, several (a difference of PAGE is two). Its proxy time is
max_i a_i^k μ_i, the fixed optimum for as many gradients is the least that any allocation has, and the
regret is the sum of the differences over the rounds (Maranjyan et al. 2025, arXiv:2502.00775). It uses
the true means μ of computing a gradient, which the method does not know; it is measured from the events,
not told by it. Messages are not in μ: the paper's model has none, and an allocation observes the times
of tasks, of which a worker's are sent together.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from asyncsim.allocation.ras import recursive_allocation_selection


class Regret:
    """The sum over completed rounds, fed with the gradients that arrived for each.

    >>> regret = Regret(np.array([1.0, 2.0]))
    >>> regret.add(k=np.array([0, 0, 1, 1]), workers=np.array([0, 1, 1, 1]), gradients=np.array([2, 1, 2, 1]))
    >>> regret.before(2)  # 0 for (2, 1) with the value 2; 6 - 2 for (0, 3)
    4.0
    """

    def __init__(self, means: np.ndarray, gradients_of_a_task: int = 1) -> None:
        self._of_a_task = gradients_of_a_task
        self._means = means * gradients_of_a_task
        self._optimum: dict[int, float] = {}
        self._round = 0
        self._counts: dict[int, int] = {}
        self._sum = 0.0

    def add(self, k: np.ndarray, workers: np.ndarray, gradients: np.ndarray) -> None:
        """Gradients that arrived at iteration k for iteration k, in order; all but the last round are complete.

        One entry an arrival. What is no whole number of tasks was not given out by the allocation.
        """
        whole = gradients % self._of_a_task == 0
        k, workers, gradients = k[whole], workers[whole], gradients[whole] // self._of_a_task
        for start, end in _runs_of_equal(k):
            if k[start] != self._round:
                self._close(int(k[start]))
            for worker, count in zip(workers[start:end].tolist(), gradients[start:end].tolist(), strict=True):
                self._counts[worker] = self._counts.get(worker, 0) + int(count)

    def before(self, k: int) -> float:
        """The regret of all rounds before iteration k, seconds."""
        if k > self._round:
            self._close(k)
        return self._sum

    def _close(self, next_round: int) -> None:
        if self._counts:
            value = max(count * float(self._means[worker]) for worker, count in self._counts.items())
            self._sum += value - self.least(sum(self._counts.values()))
        self._round, self._counts = next_round, {}

    @property
    def means(self) -> np.ndarray:
        """(n,) true mean seconds of a task."""
        return self._means

    def least(self, B: int) -> float:
        """The proxy time of the fixed optimum for B tasks, seconds."""
        if B not in self._optimum:
            a = recursive_allocation_selection(self._means, B, np.random.default_rng(0))
            used = a > 0
            self._optimum[B] = float((a[used] * self._means[used]).max())
        return self._optimum[B]

    def state(self) -> Any:
        """For a checkpoint."""
        return (self._round, self._counts, self._sum)

    def restore(self, state: Any) -> None:
        """Go on from what `state` returned."""
        self._round, self._counts, self._sum = state


def _runs_of_equal(values: np.ndarray) -> list[tuple[int, int]]:
    if not len(values):
        return []
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    return list(pairwise(edges))
