"""Timing only, in machine code: methods that look at nothing but delays and counts, on a problem without numbers.

With `problem: none` the iterates of these methods have no numbers, so that a run is a table of who arrived when with
which delay. `play` makes it from the blocks of the forecast in one compiled loop, and gives the log the very rows that
the method itself would have caused:

- Asynchronous SGD: each arrival is used and makes a step;
- Ringmaster ASGD without stops: each whose delay is below the threshold is;
- Rennala SGD without stops, asking everybody all the time: those without delay are collected, and each S-th makes a step.

In all three whoever arrives is sent out again at once at x^k, so that a block is never cut. What remains is the
engine's: records, limits, checkpoints, the end. What it cannot tell in advance (asyncsim/blocks.py) goes on in Python.
"""

# What numba compiles is written for it: indices and flat arrays, functions with many arguments.

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from types import MappingProxyType
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
    from asyncsim.counted import go_on

    engine, log, forecast = server._engine, server._log, server._forecast
    forecast.compile()
    if not (server._blocked or server._enter()):
        return
    server.broadcast(Gradient(server.x))
    versions = _counted_from(server, state)
    batch = np.empty((max(threshold, 1), 2), np.int64)  # worker and m of what is collected
    collected = 0
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
        block, start = server._block, server._position
        assert block is not None  # there are no timers, so that it is a block
        stop = min(block.size, start + engine.room())
        look_at = server._k + 1 if engine.wants_to_save(server._k) else engine.next_look_at_iteration()
        ends, marks = np.empty((stop - start, len(ENDS))), np.empty((2 * (stop - start) + threshold, len(MARKS)))
        k_before = server._k
        came, made, server._k, collected = go_on(
            rule, threshold, start, stop, min(look_at, 2.0**62), server._k, versions, batch,
            collected, block.time, block.worker, block.m, block.sent, block.begins, block.ends, ends, marks,
        )  # fmt: skip
        server._position = server._base = server._step_at = start + came
        server._base_k = server._k
        forecast.settle(block, start, start + came)
        engine.counted(block.time[start : start + came])
        server._clock.advance(block.time[start + came - 1].item())
        log.add(ends[:came], marks[:made])
        log.flush_if_many()
        if server._k > k_before and (server._k >= look_at or engine.over is not None):
            # if the run ends now, or is taken up from here, the worker that came last was not sent out again
            server._open = block.worker[start + came - 1].item()
            engine.stepped()
            server._open = -1
            if not server._blocked:  # a checkpoint was written
                if not server._enter():
                    return
                server.broadcast(Gradient(server.x))
                versions = _counted_from(server, state)
        engine.look()
    _go_on_by_hand(server, rule, threshold, batch[:collected].tolist())


def _counted_from(server: BlockServer, state: Mapping[str, Any]) -> np.ndarray:
    """(n,) versions of the jobs in flight, from which the server has its points and jobs when it wants to have them."""
    versions = np.array(server._job_versions, np.int64)
    server._job_versions = versions  # type: ignore[assignment]  # the log wants to know them

    def tell() -> None:
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
