"""Collecting B results at one point, by an allocation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from asyncsim.jobs import Arrival, Job
    from asyncsim.server import Server


class AllocationRun(Protocol):
    """An allocation during one run."""

    def begin(self, B: int) -> None: ...
    def next(self, worker: int) -> int: ...
    def observe(self, worker: int, times: Sequence[float]) -> None: ...
    def state(self) -> Any: ...


class Allocation(Protocol):
    """The description of an allocation; frozen, shared by runs."""

    def start(self, n: int, rng: np.random.Generator, state: Any) -> AllocationRun: ...


def collect(server: Server, job: Callable[[int], Job], B: int, allocation: AllocationRun) -> list[Arrival]:
    """B results computed at points made now, as arrivals with B results in all (a deadline may leave fewer).

    `job(tasks)` makes the job of so many tasks. Idle workers are asked first, in ascending order, then
    each worker that has delivered. What was computed at an older point (a worker that was not stopped)
    is not read, and that worker is asked again. The last arrival may bring more than was missing; an
    allocation that gives out B tasks in all avoids that.
    """
    server.expect(B)
    allocation.begin(B)
    for worker in server.idle:
        _send(server, worker, job, allocation)
    collected: list[Arrival] = []
    results = 0
    while results < B:
        arrival = server.receive()
        allocation.observe(arrival.worker, arrival.compute_times)
        if arrival.delay == 0:
            collected.append(arrival)
            results += arrival.count
        if results < B:
            _send(server, arrival.worker, job, allocation)
    return collected


def _send(server: Server, worker: int, job: Callable[[int], Job], allocation: AllocationRun) -> None:
    tasks = allocation.next(worker)
    if tasks:
        server.send(worker, job(tasks))


class Quotas:
    """The run of an allocation that fixes at the begin of a round how many tasks each worker does."""

    def __init__(self, choose: Callable[[int], np.ndarray]) -> None:
        self._choose = choose
        self._left: dict[int, int] = {}

    def begin(self, B: int) -> None:
        allocation = self._choose(B)
        self._left = {int(worker): int(allocation[worker]) for worker in np.flatnonzero(allocation)}

    def next(self, worker: int) -> int:
        return self._left.pop(worker, 0)

    def observe(self, worker: int, times: Sequence[float]) -> None:
        """Quotas that are fixed beforehand learn nothing."""

    def state(self) -> Any:
        return None
