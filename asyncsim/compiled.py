"""The event loop of a forecast in machine code, by numba (extra "numba"): the same numbers, several times as fast.

Nothing here is another way to compute: these are the renewals and the heap of asyncsim/forecast.py in words that numba
compiles, with draws that come from the very generators of asyncsim/streams.py, re-keyed as there. What it does not know (a law
that is not `Times.affine`) it asks for: the loop comes back, Python draws the block of 64, and the loop goes on.

The first call on a machine compiles, which takes some seconds; numba keeps the result beside this file, or in the
user's cache folder where that cannot be written.
"""

# What numba compiles is written for it: indices and flat arrays, functions with many arguments.
# ruff: noqa: C901, PLR0912

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from asyncsim.forecast import Block, Forecast, Unforeseeable
from asyncsim.streams import BLOCK, Durations

KINDS = {"exponential": 1, "uniform": 2, "half_normal": 3}
CONSTANT, ASK = 0, 4
ATTEMPTS = 40  # to find a horizon before which not too much happens
OVERFULL = -3
CROWD = 32  # times at one place, from which on sorting is left to numpy
SORTED, EQUAL, UNEVEN = range(3)
DONE, NO_TIME = -1, -2  # what the loop says when it comes back; else what it misses: 3 · worker + which


@njit(cache=True)
def _refill(worker, block, kind, drawn, block_of, shift, scale, key, counter, state, rng):  # type: ignore[no-untyped-def]
    key[1] = worker
    counter[0] = 0
    counter[2] = block
    counter[3] = 0
    state[2] = 4
    state[7] = 0
    for j in range(drawn.shape[1]):
        if kind == 1:
            number = rng.standard_exponential()
        elif kind == 2:
            number = rng.random()
        else:
            number = abs(rng.standard_normal())
        drawn[worker, j] = scale[worker] * number + shift[worker]
    block_of[worker] = block


@njit(cache=True)
def _message(worker, m, constant, drawn, block_of):  # type: ignore[no-untyped-def]
    """Seconds of a message, or −1 where Python must draw the block first."""
    if len(constant) > 0:
        return constant[worker]
    return drawn[worker, m & 63] if block_of[worker] == m >> 6 else -1.0


@njit(cache=True)
def _down(times, ranks, workers, size):  # type: ignore[no-untyped-def]
    """Let the entry at the top sink to its place in the heap of (time, rank)."""
    at = 0
    time, rank, worker = times[0], ranks[0], workers[0]
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        other = child + 1
        if other < size and (
            times[other] < times[child] or (times[other] == times[child] and ranks[other] < ranks[child])
        ):
            child = other
        if time < times[child] or (time == times[child] and rank < ranks[child]):
            break
        times[at], ranks[at], workers[at] = times[child], ranks[child], workers[child]
        at = child
    times[at], ranks[at], workers[at] = time, rank, worker


@njit(cache=True)
def _up(times, ranks, workers, at):  # type: ignore[no-untyped-def]
    time, rank, worker = times[at], ranks[at], workers[at]
    while at > 0:
        parent = (at - 1) // 2
        if times[parent] < time or (times[parent] == time and ranks[parent] < rank):
            break
        times[at], ranks[at], workers[at] = times[parent], ranks[parent], workers[parent]
        at = parent
    times[at], ranks[at], workers[at] = time, rank, worker


@njit(cache=True)
def _begin(arrives, rank, horizon, times, ranks, workers):  # type: ignore[no-untyped-def]
    """The heap of those who arrive by the horizon; its size."""
    size = 0
    for worker in range(len(arrives)):
        if arrives[worker] <= horizon:
            times[size], ranks[size], workers[size] = arrives[worker], rank[worker], worker
            _up(times, ranks, workers, size)
            size += 1
    return size


@njit(cache=True)
def _go_on(  # type: ignore[no-untyped-def]
    size, count, limit, first, horizon, silent,
    sent0, begins0, ends0, draw0, m0, floats, whole, times, ranks, workers, last,
    kind, constant, drawn, block_of, shift, scale, key, counter, state, rng,
    up_constant, up_drawn, up_block_of, down_constant, down_drawn, down_block_of,
):  # fmt: skip
    """Arrivals into the columns, from number `count` on: size of the heap, how many there are, and why it ends."""
    while size > 0 and count < limit:
        t, worker = times[0], workers[0]
        before = last[worker]
        m = m0[worker] if before < 0 else whole[1, before] + 1
        begin = t
        if not silent:
            way = _message(worker, m + 1, down_constant, down_drawn, down_block_of)
            if not way >= 0.0:
                return size, count, 3 * worker + 2
            begin = t + way
        if kind == 0:
            seconds = constant[worker]
        else:
            if block_of[worker] != (m + 1) >> 6:
                if kind == 4:
                    return size, count, 3 * worker
                _refill(worker, (m + 1) >> 6, kind, drawn, block_of, shift, scale, key, counter, state, rng)
            seconds = drawn[worker, (m + 1) & 63]
        if not seconds >= 0.0:
            return size, count, NO_TIME
        arrives = end = begin + seconds
        if not silent:
            way = _message(worker, m + 1, up_constant, up_drawn, up_block_of)
            if not way >= 0.0:
                return size, count, 3 * worker + 1
            arrives = end + way
            if before < 0:
                floats[5, count], floats[6, count] = begins0[worker], ends0[worker]
            else:
                floats[5, count], floats[6, count] = floats[7, before], floats[8, before]
            floats[7, count], floats[8, count] = begin, end
        if before < 0:
            floats[1, count], floats[2, count] = sent0[worker], draw0[worker]
        else:
            floats[1, count], floats[2, count] = floats[0, before], floats[4, before]
        whole[0, count], whole[1, count] = worker, m
        floats[0, count], floats[3, count], floats[4, count] = t, arrives, seconds
        last[worker] = count
        if arrives <= horizon:
            times[0], ranks[0] = arrives, first + count
        else:
            size -= 1
            times[0], ranks[0], workers[0] = times[size], ranks[size], workers[size]
        if size > 0:
            _down(times, ranks, workers, size)
        count += 1
    return size, count, DONE


@njit(cache=True)
def _renew(  # type: ignore[no-untyped-def]
    arrives0, horizon, silent,
    sent0, begins0, ends0, draw0, m0, floats, whole,
    kind, constant, drawn, block_of, shift, scale, key, counter, state, rng, up, down,
):  # fmt: skip
    """All arrivals up to the horizon, worker after worker: how many, OVERFULL or NO_TIME."""
    count, limit = 0, floats.shape[1]
    for worker in range(len(arrives0)):
        t = arrives0[worker]
        if not t <= horizon:
            continue
        sent, m, draw, begins, ends = sent0[worker], m0[worker], draw0[worker], begins0[worker], ends0[worker]
        while t <= horizon:
            if count == limit:
                return OVERFULL
            begin = t if silent else t + down[worker]
            if kind == 0:
                seconds = constant[worker]
            else:
                if block_of[worker] != (m + 1) >> 6:
                    _refill(worker, (m + 1) >> 6, kind, drawn, block_of, shift, scale, key, counter, state, rng)
                seconds = drawn[worker, (m + 1) & 63]
            if not seconds >= 0.0:
                return NO_TIME
            end = begin + seconds
            arrives = end if silent else end + up[worker]
            whole[0, count], whole[1, count] = worker, m
            floats[0, count], floats[1, count], floats[2, count] = t, sent, draw
            floats[3, count], floats[4, count] = arrives, seconds
            if not silent:
                floats[5, count], floats[6, count], floats[7, count], floats[8, count] = begins, ends, begin, end
            count += 1
            sent, m, draw, begins, ends, t = t, m + 1, seconds, begin, end, arrives
    return count


@njit(cache=True)
def _sort(times, lowest, highest, order, at, starts):  # type: ignore[no-untyped-def]
    """Their order, and the times in it, where no two are equal: SORTED, EQUAL or UNEVEN.

    Times of many workers lie evenly between the first and the last: each has a place of its own, or nearly.
    """
    count = len(times)
    if not lowest < highest:
        return UNEVEN
    scale = (count - 1) / (highest - lowest)
    if not scale < np.inf:
        return UNEVEN
    starts[: count + 1] = 0
    for j in range(count):
        starts[int((times[j] - lowest) * scale) + 1] += 1
    before = 0
    for place in range(1, count + 1):
        if starts[place] > CROWD:
            return UNEVEN
        before += starts[place]
        starts[place] = before
    for j in range(count):
        place = int((times[j] - lowest) * scale)
        p = starts[place]
        starts[place] = p + 1
        order[p], at[p] = j, times[j]
    for p in range(1, count):
        t = at[p]
        q = p - 1
        if at[q] < t:
            continue
        j = order[p]
        while q >= 0 and at[q] > t:
            at[q + 1], order[q + 1] = at[q], order[q]
            q -= 1
        at[q + 1], order[q + 1] = t, j
        if q >= 0 and at[q] == t:
            return EQUAL
    return SORTED


@njit(cache=True)
def _settle(  # type: ignore[no-untyped-def]
    start, stop, first, silent, worker, m, time, next_begins, next_ends, next_arrives, next_draw,
    m0, rank0, sent0, begins0, ends0, arrives0, draw0,
):  # fmt: skip
    for p in range(start, stop):
        i = worker[p]
        m0[i], rank0[i], sent0[i], draw0[i] = m[p] + 1, first + p, time[p], next_draw[p]
        arrives0[i] = next_arrives[p]
        if not silent:
            begins0[i], ends0[i] = next_begins[p], next_ends[p]


class Loop:
    """What the compiled loops need besides the forecast, for one run; makes its blocks."""

    def __init__(self, forecast: Forecast) -> None:
        n = forecast.n
        self._heap = np.empty(n), np.empty(n, np.int64), np.empty(n, np.int64)
        self._last = np.full(n, -1)
        self._room: tuple[np.ndarray, ...] | None = None
        self._durations = forecast.compute, forecast.uplink, forecast.downlink
        self._compute = _for_numba(forecast.compute)
        self._messages = [
            array
            for durations in (forecast.uplink, forecast.downlink)
            for array in (_constants(durations), durations.drawn, durations.block_of)
        ]

    def settle(self, forecast: Forecast, block: Block, start: int, stop: int) -> None:
        """What `Forecast.settle` does."""
        _settle(
            start, stop, block.first, forecast.silent, block.worker, block.m, block.time,
            block.next_begins, block.next_ends, block.next_arrives, block.next_draw,
            forecast.m, forecast.rank, forecast.sent, forecast.begins, forecast.ends, forecast.arrives, forecast.draw,
        )  # fmt: skip

    def renewals(self, forecast: Forecast, size: int, horizon: float, first: int) -> tuple[Block, float] | None:
        """The arrivals up to the horizon, or an earlier one that is returned; None where it can't tell their order."""
        if self._compute[0] == ASK or any(durations.by_block for durations in self._durations[1:]):
            return None
        silent, soonest = forecast.silent, float(forecast.arrives.min())
        floats, whole, order, at, starts = self._room_for(2 * size, silent, anew=forecast.sorts)
        for _ in range(ATTEMPTS):
            count = _renew(  # type: ignore[call-arg]
                forecast.arrives, horizon, silent,
                forecast.sent, forecast.begins, forecast.ends, forecast.draw, forecast.m,
                floats, whole, *self._compute, self._messages[0], self._messages[3],
            )  # fmt: skip
            if count != OVERFULL:
                break
            horizon = soonest + (horizon - soonest) / 4
        if count == NO_TIME:
            raise Unforeseeable
        if count <= 0:
            return None
        floats, whole, order, at = floats[:, :count], whole[:, :count], order[:count], at[:count]
        found = _sort(floats[0], soonest, horizon, order, at, starts)
        if found == UNEVEN:
            order = np.argsort(floats[0])
            at = floats[0, order]
            found = EQUAL if (at[1:] == at[:-1]).any() else SORTED
        if found == EQUAL:
            return None
        if forecast.sorts:
            return Block(_columns(floats[:, order], whole[:, order], silent), first), horizon
        return Block(_columns(floats, whole, silent), first, order, at), horizon

    def _room_for(self, limit: int, silent: bool, anew: bool) -> tuple[np.ndarray, ...]:
        """Arrays for so many arrivals; those of the last block where nobody looks at it any more."""
        if anew or self._room is None or len(self._room[2]) < limit:
            floats, whole = np.empty((5 if silent else 9, limit)), np.empty((2, limit), np.int64)
            self._room = floats, whole, np.empty(limit, np.int64), np.empty(limit), np.empty(limit + 1, np.int64)
        return self._room

    def block(self, forecast: Forecast, size: int, horizon: float, first: int) -> Block:
        """The arrivals up to the horizon, 2 · size at most."""
        silent = forecast.silent
        floats, whole = np.empty((5 if silent else 9, 2 * size)), np.empty((2, 2 * size), np.int64)
        waiting = _begin(forecast.arrives, forecast.rank, horizon, *self._heap)
        count, missing = 0, 0
        while missing != DONE:
            waiting, count, missing = _go_on(
                waiting, count, 2 * size, first, horizon, silent,
                forecast.sent, forecast.begins, forecast.ends, forecast.draw, forecast.m,
                floats, whole, *self._heap, self._last, *self._compute, *self._messages,
            )  # fmt: skip
            if missing >= 0:
                missing = self._refill(missing, forecast, whole)
            if missing == NO_TIME:
                self._last[:] = -1
                raise Unforeseeable
        self._last[whole[0, :count]] = -1
        return Block(_columns(floats[:, :count], whole[:, :count], silent), first)

    def _refill(self, missing: int, forecast: Forecast, whole: np.ndarray) -> int:
        """Draw what the loop asked for; NO_TIME where it holds what is none."""
        worker, which = divmod(missing, 3)
        durations, before = self._durations[which], self._last[worker]
        m = int(forecast.m[worker] if before < 0 else whole[1, before] + 1) + 1
        if not durations.by_block or durations.block_of[worker] == m // BLOCK:
            return NO_TIME  # it is there, and it is no time
        try:
            durations.refill(worker, m // BLOCK)
        except Exception:
            return NO_TIME
        return missing


def _columns(floats: np.ndarray, whole: np.ndarray, silent: bool) -> list[np.ndarray]:
    """As a block has them."""
    workers, m = whole
    time, sent, draw, arrives, next_draw = floats[:5]
    if silent:
        return [time, workers, m, sent, sent, time, draw, time, arrives, arrives, next_draw]
    begins, ends, next_begins, next_ends = floats[5:]
    return [time, workers, m, sent, begins, ends, draw, next_begins, next_ends, arrives, next_draw]


def _constants(durations: Durations) -> np.ndarray:
    return np.empty(0) if durations.constant is None else np.array(durations.constant)


def _for_numba(durations: Durations) -> Any:
    """kind, constant, drawn, block_of, shift, scale, key, counter, state, rng"""
    none, words = np.empty(0), np.zeros(8, np.uint64)
    tables = _constants(durations), durations.drawn, durations.block_of
    rng, found = durations.generator_and_words()
    if durations.affine is None or found is None:
        return (ASK if durations.by_block else CONSTANT), *tables, none, none, words, words, words, rng
    kind, shift, scale = durations.affine
    parts = [np.frombuffer(part, np.uint64) for part in found]
    return KINDS[kind], *tables, np.array(shift), np.array(scale), *parts, rng
