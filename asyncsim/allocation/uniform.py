"""Uniform: the B tasks are spread evenly over random workers."""

from __future__ import annotations

from typing import Any

import numpy as np

from asyncsim.allocation.collect import Quotas
from asyncsim.parameters import parameters


@parameters
class Uniform:
    """Uniform task allocation (UTA): ⌊B/n⌋ tasks each, the remainder to distinct random workers.

    A baseline of Maranjyan et al. 2025 (arXiv:2502.00775). With B ≤ n it is B distinct workers with one
    task each; a round then waits for the slowest of them.

    >>> run = Uniform().start(n=4, rng=np.random.default_rng(0), state=None)
    >>> run.begin(6); sorted(run.next(worker) for worker in range(4))
    [1, 1, 2, 2]
    """

    def start(self, n: int, rng: np.random.Generator, state: Any) -> Quotas:
        def choose(B: int) -> np.ndarray:
            allocation = np.full(n, B // n)
            allocation[rng.choice(n, B % n, replace=False)] += 1
            return allocation

        return Quotas(choose)
