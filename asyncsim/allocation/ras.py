"""RAS, recursive allocation selection: the exact minimiser of max_i a_i s_i over Σ a_i = B."""

from __future__ import annotations

from heapq import heapify, heapreplace

import numpy as np


def recursive_allocation_selection(scores: np.ndarray, B: int, rng: np.random.Generator) -> np.ndarray:
    """argmin over a ∈ ℕⁿ, Σ a_i = B, of max_i a_i·s_i (Maranjyan et al. 2025, arXiv:2502.00775, RAS).

    Parameters
    ----------
    scores : (n,) seconds a task, ≥ 0; inf is never used
    B : tasks to give out, ≥ 1
    rng : orders the workers with score 0

    Returns
    -------
    (n,) int64, the tasks of each worker

    One task after the other goes where the worker's time stays least, (a_j + 1)·s_j; the value reached is
    the B-th smallest of all {j·s_i}. Only the B smallest scores can be used, so the heap is no larger.
    Where scores are 0 (workers not tried yet) every allocation among them has value 0: the tasks are then
    spread evenly over them, in random order, since giving all to one of them would never try the others.

    >>> recursive_allocation_selection(np.arange(1.0, 18), 23, np.random.default_rng(0))
    array([9, 4, 3, 2, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0])
    """
    allocation = np.zeros(len(scores), np.int64)
    free = np.flatnonzero(scores == 0)
    if len(free):
        order = rng.permutation(free)
        allocation[order] = B // len(free)
        allocation[order[: B % len(free)]] += 1
        return allocation
    usable = np.flatnonzero(np.isfinite(scores))
    if not len(usable):
        raise ValueError("no worker can take a task: all mean times are infinite")
    if len(usable) > B:
        usable = np.sort(usable[np.argsort(scores[usable], kind="stable")[:B]])
    heap = [(float(scores[worker]), int(worker)) for worker in usable]
    heapify(heap)
    for _ in range(B):
        worker = heap[0][1]
        allocation[worker] += 1
        heapreplace(heap, (float((allocation[worker] + 1) * scores[worker]), worker))
    return allocation
