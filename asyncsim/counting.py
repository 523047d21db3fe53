"""Timing only, in machine code: methods that look at nothing but delays and counts, on a problem without numbers.

With `problem: none` the iterates of these methods have no numbers, so that a run is a table of who arrived when with
which delay. `play` makes it from the blocks of the forecast in one compiled loop, and gives the log the very rows that
the method itself would have caused:

- Asynchronous SGD: each arrival is used and makes a step;
- Ringmaster ASGD without stops: each whose delay is below the threshold is;
- Rennala SGD without stops, asking everybody all the time: those without delay are collected, and each S-th makes a step.

In all three whoever arrives is sent out again at once at x^k, so that a block is never cut. What remains is the
engine's: records, limits, the end. What it cannot tell in advance (asyncsim/blocks.py) goes on in Python.
"""

# What numba compiles is written for it: indices and flat arrays, functions with many arguments.

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Any

import numpy as np

from asyncsim.allocation import Greedy
from asyncsim.blocks import BlockServer
from asyncsim.forecast import Unforeseeable
from asyncsim.jobs import Gradient
from asyncsim.log import ENDS, MARKS, USED
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


def pays(stop: Stop, means: np.ndarray) -> bool:
    """Whether a run may be long enough to load numba for it, where that is installed."""
    if not find_spec("numba"):
        return False
    if "numba" in sys.modules:
        return True
    with np.errstate(divide="ignore"):
        rate = float((1.0 / means).sum())
    ends = (stop.gradients, stop.iterations, None if stop.time is None else stop.time * rate)
    return all(end is None or end >= LONG for end in ends)


def play(server: BlockServer, rule: int, threshold: int) -> None:
    """Play the method until the run ends, with an EndOfRun."""
    from asyncsim.counted import go_on

    engine, log, forecast = server._engine, server._log, server._forecast
    forecast.compile()
    server.broadcast(Gradient(server.x))
    versions = np.zeros(server.n, np.int64)
    server._job_versions = versions  # type: ignore[assignment]  # of the jobs in flight, as the log wants to know them
    batch = np.empty((max(threshold, 1), 2), np.int64)  # worker and m of what is collected
    collected = 0
    while True:
        try:
            server._take_up_new()
            server._next_block()
        except Unforeseeable:
            break
        if not server._blocked:
            break
        block, start = server._block, server._position
        assert block is not None  # there are no timers, so that it is a block
        stop = min(block.size, start + engine.room())
        ends, marks = np.empty((stop - start, len(ENDS))), np.empty((2 * (stop - start) + threshold, len(MARKS)))
        k_before = server._k
        came, made, k, collected = go_on(
            rule, threshold, start, stop, min(engine.next_look_at_iteration(), 2.0**62), server._k, versions, batch,
            collected, block.time, block.worker, block.m, block.sent, block.begins, block.ends, ends, marks,
        )  # fmt: skip
        server._position = server._base = server._step_at = start + came
        server._k = server._base_k = k
        forecast.settle(block, start, start + came)
        engine.counted(block.time[start : start + came])
        server._clock.advance(block.times[start + came - 1])
        log.add(ends[:came], marks[:made])
        log.flush_if_many()
        if k > k_before and (k >= engine.next_look_at_iteration() or engine.over is not None):
            engine.stepped()
        engine.look()
    _go_on_by_hand(server, rule, threshold, versions, batch[:collected].tolist())


def _go_on_by_hand(server: BlockServer, rule: int, threshold: int, versions: np.ndarray, batch: list[Any]) -> None:
    """The same in Python, from where the compiled loop could not go on."""
    points = {}
    for version in np.unique(versions).tolist():
        points[version] = server._made(frozen(np.empty(0)), version)
    server._x = points.setdefault(server._k, server._made(frozen(np.empty(0)), server._k))
    if server._blocked:
        server._jobs = [Gradient(points[version]) for version in versions.tolist()]
        server._job_versions = versions.tolist()
        server._for_good = True
        server._leave()
    while True:
        arrival = server.receive()
        if rule == COLLECT:
            if arrival.delay == 0:
                batch.append([arrival.worker, arrival._asked.m])
            step = len(batch) == threshold
        else:
            batch = [[arrival.worker, arrival._asked.m]]
            step = rule == EACH or arrival.delay < threshold
        if step:
            for worker, m in batch:
                server._mark(worker, m, USED, arrival.delay, 1)
            batch = []
            server.step(0.0, np.empty(0))
        server.send(arrival.worker, Gradient(server.x))
