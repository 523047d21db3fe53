"""Who arrives next, many arrivals at a time, as arrays.

Most methods send whoever arrives out again at once with one gradient. As long as that holds, the arrivals to come are
known: each worker's are a sum of draws, and draws are functions of (seed, worker, m). A `Forecast` holds who is at
work as arrays, one entry a worker, and makes from them a `Block` of the next arrivals. It takes nothing for granted:
making a block changes none of its numbers, `settle` takes up what was delivered of it, and what was not is forgotten.

A block is made in one of three ways, which give the same bits: each time is what the event loop computes, the time
of the sending plus downlink, computing and uplink, added in this order, and arrivals at one time come in the order of
their dispatch.

- *Renewals* (numpy): all arrivals up to a horizon, generation by generation over all workers, the last few workers
  by running sums; then sorted. Where two come at one time it does not know their order, and leaves it to
- *the heap*, the ordinary event loop in Python;
- *the loop*, the same compiled (asyncsim/compiled.py), where numba is installed and the run is long.

Only for times that are constant or drawn in blocks and depend on nobody else: `Timing.independent` says so. A law that
raises, or gives what is no time, is no error here: it may lie beyond the end of the run. `Unforeseeable` says that the
event loop must find it.
"""

from __future__ import annotations

import math
import sys
from heapq import heapify, heappop, heapreplace
from typing import TYPE_CHECKING, Any

import numpy as np

from asyncsim.streams import BLOCK
from asyncsim.timing import Timing

if TYPE_CHECKING:
    from asyncsim.compiled import Loop

Floats = np.ndarray
Whole = np.ndarray

FEW = 12  # workers whose arrivals are found one worker after the other


class Unforeseeable(Exception):  # noqa: N818 - it is no error
    """A time cannot be told in advance."""


class Block:
    """Arrivals in their order, as arrays of shape (size,), and the job that each worker is then sent.

    worker, time, m, sent, begins, ends, draw : of the gradient that arrives, with what its worker was doing when
    next_begins, next_ends, next_arrives, next_draw : of the next one, which is sent at `time`
    first : the number of dispatch of the next job of position 0; the others count on
    order : where they are in no order (`Forecast.sorts`), the position of each in the columns; else None
    times : their times in order
    once : whether nobody is sent out again, so that there is nothing in next_…
    """

    __slots__ = (
        "_backs", "_draws", "_numbers", "begins", "draw", "ends", "first", "m", "next_arrives", "next_begins", "next_draw",
        "next_ends", "once", "order", "sent", "size", "time", "times", "worker",
    )  # fmt: skip

    def __init__(
        self, columns: list[np.ndarray], first: int, order: Whole | None = None, times: Floats | None = None
    ) -> None:
        (
            self.time, self.worker, self.m, self.sent, self.begins, self.ends, self.draw,
            self.next_begins, self.next_ends, self.next_arrives, self.next_draw,
        ) = columns  # fmt: skip
        self.first = first
        self.size = len(self.time)
        self.order = order
        self.once = False
        self.times = self.time if times is None else times
        self._draws: list[float] | None = None
        self._numbers: list[int] | None = None
        self._backs: list[float] | None = None

    @property
    def draws(self) -> list[float]:
        """`draw` as Python's numbers; made when somebody asks for compute times."""
        if self._draws is None:
            self._draws = self.draw.tolist()
        return self._draws

    def comes_back(self, position: int) -> float:
        """When the worker that arrives there arrives next."""
        if self._backs is None:
            self._backs = self.next_arrives.tolist()
        return self._backs[position]

    @property
    def numbers(self) -> list[int]:
        """`m` as Python's numbers."""
        if self._numbers is None:
            self._numbers = self.m.tolist()
        return self._numbers


class Forecast:
    """Who is at work, as arrays (n,), and what comes of it.

    arrives : when the job in flight arrives; inf for a worker that has none or never returns
    m : number of the gradient in flight, of the next one where there is none
    rank : number of dispatch of the job in flight
    sent, begins, ends, draw : its times; `draw` is the compute time as it was drawn
    at_work : who has a job
    """

    def __init__(self, timing: Timing, n: int) -> None:
        self.n = n
        self.silent = timing.silent
        self.compute, self.uplink, self.downlink = timing.durations
        self.arrives = np.full(n, np.inf)
        self.m = np.zeros(n, np.int64)
        self.rank = np.zeros(n, np.int64)
        self.sent = np.zeros(n)
        self.draw = np.zeros(n)
        # without communication a worker begins when it is sent its job and ends when it arrives
        self.begins = self.sent if self.silent else np.zeros(n)
        self.ends = self.arrives if self.silent else np.full(n, np.inf)
        self.at_work = np.zeros(n, bool)
        self.loop: Loop | None = None
        self.sorts = True  # else blocks may come with their order, in arrays that the next block takes
        self._rate = 0.0  # arrivals a second, as last seen
        self._ties = False

    # ---- what happens to workers

    def send(self, workers: Whole, now: float, first: int) -> None:
        """Idle workers are sent one gradient each, in this order; `first` is the first's number of dispatch."""
        begins, ends, arrives, draw = self._way(workers, self.m[workers], np.full(len(workers), now))
        self.at_work[workers] = True
        self.rank[workers] = np.arange(first, first + len(workers))
        self.sent[workers], self.draw[workers] = now, draw
        self._set_way(workers, begins, ends, arrives)

    def idle(self, workers: Any) -> None:
        """Their jobs are over, and the numbers of their gradients used up: `m` is that of the next one."""
        self.at_work[workers] = False
        self.arrives[workers] = np.inf

    def compile(self) -> None:
        """Let the loop in machine code make the blocks where it is faster; needs numba."""
        if self.loop is None:
            from asyncsim.compiled import Loop

            self.loop = Loop(self)

    def settle(self, block: Block, start: int, stop: int) -> None:
        """The arrivals start…stop of the block came, and their workers were sent out again, or have nothing to do."""
        if block.once:
            self.idle(block.worker[start:stop])
            self.m[block.worker[start:stop]] += 1
            return
        if self.loop is not None:
            self.loop.settle(self, block, start, stop)
            return
        part = slice(start, stop)
        # a worker that stands there twice keeps what is assigned last
        workers = block.worker[part]
        self.m[workers] = block.m[part] + 1
        self.rank[workers] = np.arange(block.first + start, block.first + stop)
        self.sent[workers] = block.time[part]
        self.draw[workers] = block.next_draw[part]
        self._set_way(workers, block.next_begins[part], block.next_ends[part], block.next_arrives[part])

    def _set_way(self, workers: Whole, begins: Floats, ends: Floats, arrives: Floats) -> None:
        self.arrives[workers] = arrives
        if not self.silent:
            self.begins[workers], self.ends[workers] = begins, ends

    @property
    def waits_for_ever(self) -> bool:
        """Whether somebody at work never returns."""
        return bool((self.at_work & (self.arrives == math.inf)).any())

    # ---- the next arrivals

    def block(self, size: int, now: float, until: float, first: int) -> Block | None:
        """About `size` arrivals, up to and with those at the time `until`; None if there is none.

        `first` is the number of the next dispatch.
        """
        soonest = float(self.arrives.min())
        if soonest > until or soonest == math.inf:
            return None
        horizon = min(until, max(soonest, self._horizon(size, now)))
        if self.loop is not None:
            if not self._ties and (renewed := self.loop.renewals(self, size, horizon, first)) is not None:
                return self._learnt(renewed[0], now, renewed[1], until)
            self._ties = True
            block = self.loop.block(self, size, horizon, first)
            return self._learnt(block, now, horizon if block.size < 2 * size else float(block.times[-1]), until)
        if not self._ties:
            found = self._by_renewals(horizon, size)
            if found is not None:
                columns, horizon = found
                return self._learnt(Block(columns, first), now, horizon, until)
            self._ties = True
        columns = self._by_heap(horizon, size, first)
        return self._learnt(Block(columns, first), now, float(columns[0][-1]), until)

    def once(self, size: int, until: float, first: int) -> Block | None:
        """About `size` arrivals of those that are at work now, up to and with those at the time `until`; or None."""
        workers = np.flatnonzero(self.arrives <= min(until, sys.float_info.max))
        if not len(workers):
            return None
        if len(workers) > size:
            workers = workers[self.arrives[workers] <= np.partition(self.arrives[workers], size - 1)[size - 1]]
        workers = workers[np.lexsort((self.rank[workers], self.arrives[workers]))]
        time, sent, begins, ends, draw = (
            column[workers] for column in (self.arrives, self.sent, self.begins, self.ends, self.draw)
        )
        none = np.empty(0)
        block = Block([time, workers, self.m[workers], sent, begins, ends, draw, none, none, none, none], first)
        block.once = True
        return block

    def _learnt(self, block: Block, now: float, horizon: float, until: float) -> Block:
        """The block, after a look at how fast arrivals come; a few before an event of the clock tell little of it."""
        if horizon > now and (block.size >= 32 or horizon < until):
            self._rate = block.size / (horizon - now)
        return block

    def _horizon(self, size: int, now: float) -> float:
        if self._rate > 0.0:
            return now + size / self._rate
        soon = min(size, 64, self.n) - 1
        at: float = np.partition(self.arrives, soon)[soon]
        return at if at < math.inf else float(np.max(self.arrives, where=self.arrives < np.inf, initial=0.0))

    def _way(self, workers: Whole, m: Whole, sent: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Begin, end and arrival of the gradients m of these workers, each worker at most once, and the draws."""
        draw = self._drawn(self.compute, workers, m)
        if self.silent:
            arrives = sent + draw
            return sent, arrives, arrives, draw
        begins = sent + self._drawn(self.downlink, workers, m)
        ends = begins + draw
        return begins, ends, ends + self._drawn(self.uplink, workers, m), draw

    @staticmethod
    def _drawn(durations: Any, workers: Whole, m: Whole) -> Floats:
        try:
            draws: Floats = durations.of(workers, m)
        except Exception as error:
            raise Unforeseeable from error
        if not (draws >= 0.0).all():
            raise Unforeseeable
        return draws

    def _by_renewals(self, horizon: float, size: int) -> tuple[list[np.ndarray], float] | None:
        """Columns of a block and the time up to which it is whole; None where arrivals are at one time."""
        workers = np.flatnonzero(self.arrives <= horizon)
        now = [self.arrives[workers], workers, self.m[workers], self.sent[workers]]
        now += [self.begins[workers], self.ends[workers], self.draw[workers]]
        parts: list[list[np.ndarray]] = []
        found = 0
        while len(now[0]) > FEW:
            time, workers, m = now[:3]
            begins, ends, arrives, draw = self._way(workers, m + 1, time)
            if (arrives <= time).any():
                return None
            parts.append([*now, begins, ends, arrives, draw])
            found += len(time)
            if found > 2 * size:
                horizon, found = _shortened(parts, horizon, size), size
            on = arrives <= horizon
            now = [arrives[on], workers[on], m[on] + 1, time[on], begins[on], ends[on], draw[on]]
        for j in range(len(now[0])):
            horizon, found = self._one_by_one([column[j] for column in now], horizon, found, size, parts)
            if not found:
                return None
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        kept = columns[0] <= horizon
        if not kept.all():
            columns = [column[kept] for column in columns]
        order = np.argsort(columns[0])  # where two are equal it is of no use; a stable sort takes five times as long
        columns = [column[order] for column in columns]
        return None if (columns[0][1:] == columns[0][:-1]).any() else (columns, horizon)

    def _one_by_one(
        self, now: list[Any], horizon: float, found: int, size: int, parts: list[list[np.ndarray]]
    ) -> tuple[float, int]:
        """All arrivals of one worker up to the horizon, by running sums over what is left of a block of draws.

        The horizon and how many were found, both as they are then; found = 0 where two are at one time.
        """
        time, worker, m, sent, begins, ends, draw = now
        while time <= horizon:
            count = BLOCK - (int(m) + 1) % BLOCK
            numbers = np.arange(int(m) + 1, int(m) + 1 + count)
            draws = self._row(self.compute, worker, numbers)
            # the sums of an event loop, in its order: running sums add from left to right
            if self.silent:
                times = np.add.accumulate(np.concatenate(([time], draws)))
                begun, ended = times[:-1], times[1:]
            else:
                summands = np.empty(1 + 3 * count)
                summands[0], summands[2::3] = time, draws
                summands[1::3] = self._row(self.downlink, worker, numbers)
                summands[3::3] = self._row(self.uplink, worker, numbers)
                sums = np.add.accumulate(summands)
                times, begun, ended = sums[0::3], sums[1::3], sums[2::3]
            if (times[1:] <= times[:-1]).any():
                return horizon, 0
            came = int(np.searchsorted(times[:-1], horizon, "right"))
            before = slice(0, came - 1)
            parts.append([
                times[:came], np.full(came, worker), np.arange(m, m + came), np.append(sent, times[before]),
                np.append(begins, begun[before]), np.append(ends, ended[before]), np.append(draw, draws[before]),
                begun[:came], ended[:came], times[1 : came + 1], draws[:came],
            ])  # fmt: skip
            found += came
            if found > 2 * size:
                horizon, found = _shortened(parts, horizon, size), size
            m = m + came
            time, sent, draw = times[came], times[came - 1], draws[came - 1]
            begins, ends = begun[came - 1], ended[came - 1]
            if came < count:
                break
        return horizon, found

    def _row(self, durations: Any, worker: int, numbers: Whole) -> Floats:
        """The draws of a worker with these numbers, which lie in one block."""
        if durations.constant is not None:
            return np.full(len(numbers), durations.constant[worker])
        first = self._drawn(durations, np.array([worker]), numbers[:1])  # so that the block is there
        row: Floats = durations.drawn[worker, numbers[0] % BLOCK :].copy()
        row[0] = first[0]
        if not (row >= 0.0).all():
            raise Unforeseeable
        return row

    def _by_heap(self, horizon: float, size: int, first: int) -> list[np.ndarray]:
        """Columns of a block from the ordinary event loop."""
        workers = np.flatnonzero(self.arrives <= horizon)
        columns = (
            self.arrives, self.rank, np.arange(self.n), self.m, self.sent, self.begins, self.ends, self.draw
        )  # fmt: skip
        heap = list(zip(*(column[workers].tolist() for column in columns), strict=True))
        heapify(heap)
        rows: list[tuple[Any, ...]] = []
        number = first
        silent = self.silent
        try:
            while heap and number < first + 2 * size:
                time, _, worker, m, sent, begins, ends, draw = heap[0]
                next_begins = time if silent else time + self.downlink.draw(worker, m + 1, time)
                seconds = self.compute.draw(worker, m + 1, next_begins)
                arrives = next_ends = next_begins + seconds
                if not silent:
                    arrives = next_ends + self.uplink.draw(worker, m + 1, next_ends)
                rows.append(
                    (time, worker, m, sent, begins, ends, draw, next_begins, next_ends, arrives, seconds)
                )  # fmt: skip
                if arrives <= horizon:
                    heapreplace(heap, (arrives, number, worker, m + 1, time, next_begins, next_ends, seconds))
                else:
                    heappop(heap)
                number += 1
        except Exception as error:
            raise Unforeseeable from error
        table = zip(*rows, strict=True)
        return [np.array(column, np.int64 if j in (1, 2) else np.float64) for j, column in enumerate(table)]


def _shortened(parts: list[list[np.ndarray]], horizon: float, size: int) -> float:
    """An earlier horizon, before which about `size` of the arrivals lie that were found; none is missing there."""
    times = np.concatenate([part[0] for part in parts])
    times = times[times <= horizon]
    return float(np.partition(times, size)[size]) if len(times) > size else horizon
