"""Greedy: everybody works until B results are there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from asyncsim.parameters import parameters


@parameters
class Greedy:
    """Greedy task allocation (GTA): no worker is ever idle in a round.

    The allocation of Rennala SGD (Tyurin & Richtárik 2023, arXiv:2305.12387), a baseline of Maranjyan
    et al. 2025 (arXiv:2502.00775). The shortest rounds, and the most worker time: n times the length of
    the round.

    >>> Greedy().start(n=3, rng=None, state=None).next(worker=1)
    1
    """

    def start(self, n: int, rng: np.random.Generator | None, state: Any) -> _Greedy:
        return _Greedy()


class _Greedy:
    def begin(self, B: int) -> None:
        """Every round is like every other."""

    def next(self, worker: int) -> int:
        return 1

    def observe(self, worker: int, times: Sequence[float]) -> None:
        """Learns nothing."""

    def state(self) -> Any:
        return None
