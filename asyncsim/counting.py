"""Timing only, in machine code: methods that look at nothing but delays and counts, on a problem without numbers.

With `problem: none` the iterates of these methods have no numbers, so that a run is a table of who arrived when with
which delay. `play` makes it from the blocks of the forecast in compiled loops (asyncsim/counted.py), and gives the log
the rows that the method itself would have caused: of each what is hashed, of those that somebody wants to see all; what
there is to count is counted in the loops.

- Asynchronous SGD: each arrival is used and makes a step;
- Ringmaster ASGD without stops: each whose delay is below the threshold is;
- Rennala SGD without stops, asking everybody all the time: those without delay are collected, and each S-th makes a step.

In all three whoever arrives is sent out again at once at x^k, so that a block is never cut. What remains is the
engine's: records, limits, checkpoints, the end. What it cannot tell in advance (asyncsim/blocks.py) goes on in Python.
"""

# What numba compiles is written for it: indices and flat arrays, functions with many arguments.

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

import numpy as np

from asyncsim.allocation import Greedy
from asyncsim.blocks import BlockServer
from asyncsim.forecast import Block, Unforeseeable
from asyncsim.jobs import Gradient
from asyncsim.log import ENDS, MARKS, USED, Log
from asyncsim.methods import METHODS
from asyncsim.problems import NoProblem
from asyncsim.server import frozen
from asyncsim.stop import Stop

LONG = 10**6  # arrivals from which on it pays to load numba
EACH, BELOW, COLLECT = range(3)


def rule_of(method: Any, problem: Any) -> tuple[int, int] | None:
    """Which of the three methods it is, with its R or S; None for what must be played by the method itself."""
    name = next((name for name, cls in METHODS.items() if type(method) is cls), None)
    if type(problem) is not NoProblem or getattr(method, "stops", False):
        return None
    match name:
        case "asynchronous_sgd":
            return EACH, 0  # also where stepsizes go by the delay, as there is nothing to step
        case "ringmaster_asgd":
            return BELOW, int(method.threshold)
        case "rennala_sgd" if type(method.allocation) is Greedy:
            return COLLECT, int(method.batch_size)
    return None


def state_of(method: Any, n: int) -> dict[str, Any]:
    """What the method gives to each step, for whoever takes the run up again. `Greedy` draws nothing."""
    if not hasattr(method, "allocation"):
        return {}
    return {"allocation": method.allocation.start(n, np.random.default_rng(0), None).state()}


def pays(stop: Stop, mean_times: Callable[[], np.ndarray]) -> bool:
    """Whether a run may be long enough to load numba for it, where that is installed."""
    if not find_spec("numba"):
        return False
    if "numba" in sys.modules:
        return True
    if any(limit is not None and limit < LONG for limit in (stop.gradients, stop.iterations)):
        return False
    with np.errstate(divide="ignore"):
        return stop.time is None or stop.time * float((1.0 / mean_times()).sum()) >= LONG


def play(server: BlockServer, rule: int, threshold: int, state: Mapping[str, Any]) -> None:
    """Play the method until the run ends, with an EndOfRun; returns where the method itself must go on.

    `state` is what the method would give to each step.
    """
    from asyncsim.counted import go_on, settle

    engine, log, forecast = server._engine, server._log, server._forecast
    regret = _RegretOfRounds(log, threshold if rule == COLLECT else 0, server._k)
    if not (server._blocked or server._enter()):
        return
    forecast.compile()
    server.broadcast(Gradient(server.x))
    versions = _counted_from(server, state)
    batch = np.empty((max(threshold, 1), 2), np.int64)  # worker and m of what is collected
    collected = 0
    room = _Room(log, threshold)
    log.flush()
    while server._blocked:
        try:
            server._take_up_new()
            if not server._blocked:
                break
            server._next_block()
        except Unforeseeable:
            server._for_good = True
            server._leave()
            break
        block, start, k_before = server._block, server._position, server._k
        assert block is not None  # there are no timers, so that it is a block
        stop = min(block.size, start + engine.room())
        look_at = server._k + 1 if engine.wants_to_save(server._k) else engine.next_look_at_iteration()
        ends, marks, whole_ends, whole_marks, at = room.of(stop - start)
        order = room.order_of(block)
        came, delay = 0, -1
        while not came:
            used, arrived = log.histograms(2 * delay + 2)
            came, made, full_ends, full_marks, server._k, collected, regret.slowest, regret.sum, delay = go_on(
                rule, threshold, start, stop, min(look_at, 2.0**62), server._k, block.first,
                versions, forecast.rank, batch, collected,
                order, block.times, block.worker, block.m, block.sent, block.begins, block.ends,
                log.used, arrived, used, regret.means, regret.tasks, regret.slowest, regret.least, regret.sum,
                *log.wanted, ends, marks, whole_ends, whole_marks, at,
            )  # fmt: skip
        _take_up(server, block, start, start + came, settle)
        engine.evaluation.count_read(made - (server._k - k_before))
        regret.tell(server._k)
        log.add_counted(ends[:came], marks[:made], at[:full_ends], whole_ends[:full_ends], whole_marks[:full_marks])
        if server._k > k_before and (server._k >= look_at or engine.over is not None):
            # if the run ends now, or is taken up from here, the worker that came last was not sent out again
            server._open = int(block.worker[order[start + came - 1]])
            engine.stepped()
            server._open = -1
            if not server._blocked:  # a checkpoint was written
                if not server._enter():
                    return
                server.broadcast(Gradient(server.x))
                versions = _counted_from(server, state)
                log.flush()
        engine.look()
    regret.tell(server._k, batch[:collected, 0].tolist())
    _go_on_by_hand(server, rule, threshold, batch[:collected].tolist())


def _take_up(server: BlockServer, block: Block, start: int, stop: int, settle: Callable[..., None]) -> None:
    """The arrivals start…stop of the block came: who is at work with what, the sums of the log, the engine's clock."""
    log, forecast, engine = server._log, server._forecast, server._engine
    if block.order is None:  # equal times stand in their order
        part: tuple[float, ...] = start, stop, -math.inf, math.inf
    else:
        part = 0, block.size, block.times[start - 1] if start else -math.inf, block.times[stop - 1]
    settle(
        *part, forecast.silent, block.worker, block.m, block.time, block.begins, block.ends,
        block.next_begins, block.next_ends, block.next_arrives, block.next_draw,
        forecast.m, forecast.sent, forecast.begins, forecast.ends, forecast.arrives, forecast.draw,
        log.arrived, log.busy_seconds, log.compute_seconds,
    )  # fmt: skip
    server._position = server._base = server._step_at = stop
    server._base_k = server._k
    engine.counted(block.times[start:stop])
    server._clock.advance(block.times[stop - 1].item())


class _Room:
    """Where rows are written, for one block after the other."""

    def __init__(self, log: Log, threshold: int) -> None:
        self._wanted = log.wanted[1]
        self._threshold = threshold
        self._rows: tuple[np.ndarray, ...] = ()
        self._size = -1

    def of(self, count: int) -> tuple[np.ndarray, ...]:
        """Ends and marks of five columns, whole ones, and positions of ends, for so many arrivals."""
        if count > self._size:
            marks = 2 * count + self._threshold
            self._size = count
            self._rows = (
                np.empty((count, 5)), np.empty((marks, 5)),
                np.empty((count, len(ENDS))), np.empty((marks, len(MARKS))), np.empty(count, np.int64),
            )  # fmt: skip
            self._in_order = np.arange(count)
        return self._rows

    def order_of(self, block: Block) -> np.ndarray:
        """Where the arrivals of a block lie, one after the other."""
        if block.order is not None:
            return block.order
        if len(self._in_order) < block.size:
            self._in_order = np.arange(block.size)
        return self._in_order


class _RegretOfRounds:
    """The regret of an allocation whose rounds are the steps of one method, to be counted where the method is.

    means : (n,) or, where there is none, (0,); tasks : of the round that goes on; slowest : their proxy time so far
    """

    def __init__(self, log: Log, batch_size: int, k: int) -> None:
        self._of = log.regret if batch_size else None
        self.means, self.tasks = np.empty(0), np.zeros(log.n, np.int64)
        self.slowest = self.least = self.sum = 0.0
        if self._of is not None:
            self.means = np.array(self._of.means, np.float64)
            self.least = self._of.least(batch_size)
            self.sum = self._of.before(k)

    def tell(self, k: int, workers: Sequence[int] = ()) -> None:
        """Tell the log: k rounds are over, and these workers have delivered their tasks for the one that goes on.

        Who they are matters to whoever goes on from there; a record and a step want to know of whole rounds only.
        """
        if self._of is not None:
            self._of.restore((k, {worker: int(self.tasks[worker]) for worker in workers}, self.sum))


def _counted_from(server: BlockServer, state: Mapping[str, Any]) -> np.ndarray:
    """(n,) versions of the jobs in flight, from which the server has its points and jobs when it wants to have them."""
    versions = np.array(server._job_versions, np.int64)
    server._job_versions = versions  # type: ignore[assignment]  # the log wants to know them
    server._forecast.sorts = False

    def tell() -> None:
        server._forecast.sorts = True
        points = {v: server._made(frozen(np.empty(0)), v) for v in {*versions.tolist(), server._k}}
        server._x, server._state = points[server._k], MappingProxyType(dict(state))
        server._jobs = [Gradient(points[version]) for version in versions.tolist()]
        server._job_versions = versions.tolist()

    server.before_leaving = tell
    return versions


def _go_on_by_hand(server: BlockServer, rule: int, threshold: int, batch: list[Any]) -> None:
    """The same in Python, from where the compiled loop could not go on."""
    while True:
        arrival = server.receive()
        mine = [arrival.worker, arrival._asked.m]
        if rule == COLLECT:
            batch += [mine] if arrival.delay == 0 else []
            step = len(batch) == threshold
        else:
            batch = [mine]
            step = rule == EACH or arrival.delay < threshold
        if step:
            for worker, m in batch:
                server._mark(worker, m, USED, arrival.delay, 1)
            batch = []
            server.step(0.0, np.empty(0))
        server.send(arrival.worker, Gradient(server.x))
