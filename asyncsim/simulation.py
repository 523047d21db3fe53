"""The simulation engine: unequal, random workers on SimPy's clock.

Arrivals are no SimPy events. They wait in a heap of their own, ordered by (time, number of dispatch),
and the clock merges it with SimPy's queue, where all that is rare stands: deadlines, timers, records,
the stop. At one time arrivals come first, in order of dispatch, then the events in the order of their
priorities below. A deadline or a timer fires into `next`, so that all of a method runs inside the
method's own call stack and SimPy never runs a process.

Nothing here depends on wall-clock time but what must: progress, `stop: {wall_clock}`, and the moment
of a checkpoint, which changes no number.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np
import simpy

from asyncsim.contended import Contended
from asyncsim.evaluation import Evaluation, How
from asyncsim.jobs import Asked, Assignment, TimerFired
from asyncsim.log import ARRIVED, TIMED_OUT, Log
from asyncsim.record import Recorder
from asyncsim.server import EndOfRun, NoProgressError, Server, named
from asyncsim.stop import LOOK_EVERY, Keeper, Playing, Stop
from asyncsim.timing import Timing

DEADLINE, TIMER, CHURN, RECORD, STOP = range(1, 6)  # order of SimPy events at one time; arrivals come before all

ARRIVALS_AT_ONE_INSTANT = 10**6
LOOK_AT_MOST_EVERY = 64  # arrivals and steps


class Clock(simpy.Environment):
    """SimPy's clock, which can also be set to the time of an arrival and take events at absolute times."""

    def advance(self, to: float) -> None:
        """Set the time; `to` lies between now and the next event."""
        self._now = to

    def at(self, when: float, priority: int, callback: Callable[[simpy.Event], None]) -> simpy.Event:
        """Call back at the absolute time `when`: a delay would round it, and a resume must not."""
        event = simpy.Event(self)
        event._ok, event._value = True, None
        event.callbacks.append(callback)
        heappush(self._queue, (when, priority, next(self._eid), event))  # type: ignore[misc]
        return event

    @property
    def queue(self) -> list[Any]:
        """SimPy's heap of (time, priority, number, event)."""
        return self._queue


class Simulation:
    """The engine of one run. `bind` gives it its server."""

    def __init__(
        self,
        problem: Any,
        workers: Any,
        seed: int,
        stop: Stop,
        log: Log,
        recorder: Recorder,
        how: How | None = None,
        keeper: Keeper | None = None,
        look: Callable[[Playing], None] | None = None,
    ) -> None:
        self._stop = stop
        self._log = log
        self._recorder = recorder
        self.evaluation = Evaluation(problem, seed, how or How("single"), self.now, lambda: self._server.k)
        self._keeper = keeper
        self._look = look
        self._timing = Timing(seed, workers, getattr(problem, "message_size", None))
        self._plan = self._timing.plan
        self._link = self._timing.link
        self._contended = (
            None
            if workers.contention is None
            else Contended(self._timing, workers.contention, workers.n, self._on_computed)
        )
        self._losses: dict[
            int, tuple[float, float, float]
        ] = {}  # lost at, known at, worker back at; by number of dispatch
        self._away: dict[int, float] = {}  # by worker: when it is back
        self._in_link: set[int] = set()  # by number of dispatch: answers that have come to the shared link
        self.clock = Clock()
        self._lane: list[tuple[float, int, Assignment]] = []
        self._dead = 0  # stopped assignments still in the lane
        self._never: dict[int, Assignment] = {}  # those that take for ever, by number of dispatch
        self._came: Assignment | TimerFired | None = None
        self._over: EndOfRun | None = None
        self._pending_for_method = 0  # deadlines and timers still to come
        self._deadlines: dict[int, Assignment] = {}
        self._timers: dict[str, tuple[float, float | None]] = {}  # next time, period
        self._instant = 0.0  # of the last arrival, and how many came at it
        self._arrivals_at_instant = 0
        self.gradients = 0
        self._iteration_limit = math.inf if stop.iterations is None else stop.iterations
        self._gradient_limit = math.inf if stop.gradients is None else stop.gradients
        self._next_look = 0.0
        self._looked = 0.0
        self._looking_every = self._until_look = 1  # arrivals and steps between two looks at the wall-clock
        self._started = time.monotonic()

    # ---- beginning

    def bind(self, server: Server) -> None:
        """Begin at time 0: the first record, and the events that the scenario asks for."""
        self._server = server
        self._begin_without_the_absent()
        self._take_record()
        self._schedule_stop_and_records()

    def _schedule_stop_and_records(self) -> None:
        if self._stop.time is not None:
            self.clock.at(self._stop.time, STOP, self._on_stop)
        self._schedule_record()

    def _schedule_record(self) -> None:
        at = self._recorder.next_time()
        if at is not None:
            self.clock.at(at, RECORD, self._on_record)

    def _on_stop(self, _: simpy.Event) -> None:
        self._over = EndOfRun("finished", f"time {self._stop.time:g} reached")

    def _on_record(self, _: simpy.Event) -> None:
        self._take_record()
        self._schedule_record()

    def _take_record(self) -> None:
        met = self._recorder.take(self.clock.now, self._server.k, self._server.x, self._log)
        if met and self._stop.target:
            self._over = EndOfRun("finished", "target reached")

    # ---- what the server asks

    def now(self) -> float:
        now: float = self.clock._now  # the property costs as much as the rest of a call
        return now

    def dispatch(self, a: Assignment) -> None:
        if self._contended is not None and self._contended.shares(a.worker):
            self._dispatch_contended(self._contended, a)
        else:
            self._plan(a)
            if self._timing.lossy:
                self._look_for_loss(a)
            self._expect(a)
        if a.deadline is not None:
            self._set_deadline(a)

    def _expect(self, a: Assignment) -> None:
        if a.arrives < math.inf:
            heappush(self._lane, (a.arrives, a.number, a))
            if self.evaluation.ahead is not None:
                self.evaluation.ahead.sent(a.worker, a.m, a.job, a.arrives)
        else:
            self._never[a.number] = a

    def halt(self, a: Assignment, keep: bool) -> None:
        if self._contended is not None and self._contended.computes(a):
            self._halt_contended(self._contended, a, keep)
            return
        begun = a.computing_from
        effect = self._timing.stopped(a, self.clock.now)
        if keep:
            self._send_early(a, begun, effect)
        else:
            self._leave_lane(a)
            self._forget_contended(a)
        self._forget_deadline(a)
        if a.deadline is not None and a.number in self._losses:  # without its deadline its loss is told
            self._expect_loss(a, *self._losses[a.number])

    def _send_early(self, a: Assignment, begun: float, at: float) -> None:
        """What is computed by then is sent then; what is already on its way arrives as it would have."""
        self._cut_short(a, begun, at)
        if a.number in self._in_link:
            return
        arrives = min(a.arrives, at + self._timing.uplink(a, at))
        if a.number in self._losses and arrives > self._losses[a.number][0]:
            return  # the worker leaves before that
        if arrives < a.arrives:
            self._leave_lane(a)
            a.live, a.arrives = True, arrives
            heappush(self._lane, (arrives, a.number, a))

    def _forget_deadline(self, a: Assignment) -> None:
        if self._deadlines.pop(a.number, None) is not None:
            self._pending_for_method -= 1

    def set_timer(self, name: str, seconds: float, repeat: bool) -> None:
        self._schedule_timer(name, self.clock.now + seconds, seconds if repeat else None)

    def can_return(self, a: Assignment) -> bool:
        if a.number in self._deadlines:
            return True
        return a.number not in self._never and not (self._contended is not None and self._contended.never(a))

    def next(self) -> Assignment | TimerFired:
        lane, queue = self._lane, self.clock.queue
        while self._over is None:
            while lane:
                arrives, _, a = lane[0]
                # one that was sent early stands in the lane twice; the entry with its new time is the one
                if a.live and a.arrives == arrives:
                    break
                heappop(lane)
                self._dead -= 1
            if self._contended is not None:
                coming = min(entries[0][0] if entries else math.inf for entries in (lane, queue))
                if self._contended.step(coming):
                    continue
            if lane and (not queue or lane[0][0] <= queue[0][0]):
                heappop(lane)
                if self._link is None or a.number in self._in_link:
                    return self._arrive(a)
                self._enter_link(a)
                continue
            if not lane and not self._pending_for_method and not self._computing_goes_on():
                computing = () if self._contended is None else self._contended.waiting()
                raise self._stalled(sorted([*(a.worker for a in self._never.values()), *computing]))
            self.clock.step()
            if self._came is not None:
                came, self._came = self._came, None
                return came
        raise self._over

    def _enter_link(self, a: Assignment) -> None:
        """An answer comes to the server's link, behind all that came before it."""
        assert self._link is not None  # who asks has looked
        self._in_link.add(a.number)
        a.arrives = self._link.through("up", a.arrives, self._timing.answer_size(a.job))
        heappush(self._lane, (a.arrives, a.number, a))

    def _arrive(self, a: Assignment) -> Assignment:
        self.clock.advance(a.arrives)
        self._in_link.discard(a.number)
        self._forget_contended(a)
        if a.deadline is not None:
            self._forget_deadline(a)
        self._count(a)
        return a

    def _count(self, a: Assignment) -> None:
        if a.arrives > self._instant:
            self._instant = a.arrives
            self._arrivals_at_instant = 0
        self._arrivals_at_instant += 1
        if self._arrivals_at_instant >= ARRIVALS_AT_ONE_INSTANT:
            raise NoProgressError(
                f"{ARRIVALS_AT_ONE_INSTANT:,} arrivals at the one instant {self._instant!r}: time stands still; "
                "the compute times, or deadlines, must not all be 0"
            )
        self.gradients += a.done
        if self.gradients >= self._gradient_limit:
            # this arrival still reaches the method; the next receive or step ends the run
            self._over = EndOfRun("finished", f"{self.gradients} gradients received")
        self._until_look -= 1
        if not self._until_look:
            self._look_at_clock()

    def _stalled(self, waiting: Sequence[int]) -> EndOfRun:
        return EndOfRun("stalled", f"stalled: waiting for workers {named(waiting)}, who never return")

    def stepped(self) -> None:
        k = self._server.k
        if self._recorder.due_at(k):
            self._take_record()
        if k >= self._iteration_limit:
            self._over = EndOfRun("finished", f"{k} iterations made")
        if self._over is not None:
            raise self._over
        if self._keeper is not None and self._keeper.due(k):
            self._keeper.save(self.checkpoint, k)
        self._until_look -= 1
        if not self._until_look:
            self._look_at_clock()

    def _look_at_clock(self) -> None:
        """Look up if it is time to; the wall-clock is asked every so many arrivals and steps, rarely where they fly."""
        now = time.monotonic()
        self._looking_every = min(2 * self._looking_every, LOOK_AT_MOST_EVERY) if now - self._looked < 0.005 else 1
        self._until_look = self._looking_every
        self._looked = now
        if now >= self._next_look:
            self._look_up(now)

    # ---- for a server that delivers arrivals by the block (asyncsim/blocks.py)

    @property
    def by_blocks(self) -> bool:
        """Whether it can be told in advance who arrives when."""
        return self._contended is None and self._timing.independent

    @property
    def timing(self) -> Timing:
        """When the parts of an assignment begin and end."""
        return self._timing

    def counted(self, times: np.ndarray) -> None:
        """Arrivals of one gradient each came at these times, the last of them now."""
        last = float(times[-1])
        at_last = len(times) - int(np.searchsorted(times, last, "left"))
        self._arrivals_at_instant = at_last + (0 if last > self._instant else self._arrivals_at_instant)
        self._instant = last
        self.gradients += len(times)

    def look(self) -> None:
        """Look at the wall-clock, and at what was asked of us meanwhile."""
        self._look_at_clock()

    def room(self) -> int:
        """How many arrivals may come before one that the engine must know of; that one has room for itself."""
        left = self._gradient_limit - self.gradients
        if left <= 1:
            self._over = self._over or EndOfRun("finished", f"{self.gradients + 1} gradients received")
            return 1
        return int(min(left - 1, ARRIVALS_AT_ONE_INSTANT))

    @property
    def arrivals_between_looks(self) -> int:
        """How many arrivals may come before somebody must look at the wall-clock."""
        return 4 * self._looking_every

    def next_look_at_iteration(self) -> float:
        """The next k at which `stepped` has something to do."""
        return min(self._recorder.next_iteration, self._iteration_limit)

    def put(self, assignments: Sequence[Assignment]) -> None:
        """These are in flight, with their times; nothing else is."""
        self._lane[:] = [(a.arrives, a.number, a) for a in assignments if a.arrives < math.inf]
        heapify(self._lane)
        self._never = {a.number: a for a in assignments if a.arrives == math.inf}
        self._dead = 0

    @property
    def over(self) -> EndOfRun | None:
        """What the next receive or step raises."""
        return self._over

    @property
    def keeps(self) -> bool:
        """Whether somebody keeps checkpoints, and asks at each step."""
        return self._keeper is not None

    def wants_to_save(self, k: int) -> bool:
        """Whether the next step should be one at which `stepped` is called, as a checkpoint is due."""
        return self._keeper is not None and self._keeper.due(k)

    def crowded(self, at: float, arrivals: int) -> bool:
        """Whether so many more arrivals at this time may be too many for one instant."""
        return at == self._instant and self._arrivals_at_instant + arrivals >= ARRIVALS_AT_ONE_INSTANT

    def next_event(self, never: Sequence[int] | None) -> TimerFired | None:
        """Let the clock's next event happen; the timer it was, if it was one of the method's.

        never : where nobody else is at work, the workers that never return
        """
        if never is not None and not self._pending_for_method:
            raise self._stalled(never)
        self.clock.step()
        came, self._came = self._came, None
        assert came is None or isinstance(came, TimerFired)  # with deadlines nothing goes by the block
        return came

    def _look_up(self, now: float) -> None:
        self._next_look = now + LOOK_EVERY
        if self._stop.wall_clock is not None and now - self._started >= self._stop.wall_clock:
            self._over = EndOfRun("finished", f"{self._stop.wall_clock:g} seconds of wall-clock passed")
        if self._look is not None:
            self._look(self)

    def end(self, over: EndOfRun) -> None:
        """End the run at the next receive or step (for whoever looks on)."""
        self._over = over

    # ---- workers that come and go and lose their jobs (asyncsim/times/availability.py)

    def _begin_without_the_absent(self) -> None:
        for worker, presence in enumerate(self._timing.presences or ()):
            if presence.policy == "lost" and (back := presence.back(0.0)) > 0.0:
                self._server.left(worker)
                self._expect_back(worker, back)

    def _look_for_loss(self, a: Assignment) -> None:
        """Whether the worker leaves before its answer is sent: it then never comes."""
        presence = (self._timing.presences or ())[a.worker]
        if presence.policy != "lost":
            return
        lost = presence.leaves(a.sent)
        if lost >= a.arrives:
            return
        back = presence.back(lost)
        a.arrives = math.inf
        self._expect_loss(a, lost, min(lost + presence.notice, max(back, a.sent)), back)

    def _expect_loss(self, a: Assignment, lost: float, known: float, back: float) -> None:
        self._losses[a.number] = (lost, known, back)
        if known < math.inf:
            self.clock.at(max(known, self.clock.now), self._churn(a.worker), lambda _: self._on_loss(a))

    def _on_loss(self, a: Assignment) -> None:
        if a.number not in self._losses or a.number in self._deadlines:
            return  # it was stopped, or its deadline came first, or is what the server waits for
        lost, known, back = self._losses[a.number]
        self._leave_lane(a)
        self._forget_contended(a)
        self._forget_deadline(a)
        a.computing_from = min(a.computing_from, lost)
        a.computing_to = max(a.computing_from, min(lost, a.computing_to))
        self._server.lost(a, there=back <= known)
        if back > known:
            self._expect_back(a.worker, back)

    def _expect_back(self, worker: int, back: float) -> None:
        if back < math.inf:
            self._away[worker] = back
            self.clock.at(back, self._churn(worker), lambda _: self._on_back(worker))

    def _on_back(self, worker: int) -> None:
        del self._away[worker]
        self._server.joined(worker)

    def _churn(self, worker: int) -> Any:
        # at one time in the order of workers, after a resume too; fractions stay between CHURN and what comes next
        return CHURN + worker / self._server.n

    # ---- workers that slow each other down (asyncsim/contended.py)

    def _dispatch_contended(self, contended: Contended, a: Assignment) -> None:
        leaves, reaches = self._leaves(a), self._timing.at_worker(a)
        if leaves > a.sent:
            contended.start(a, reaches)
            self._watch_for_loss(a, leaves)
            return
        # its worker is gone already, which the server cannot know
        a.computing_from = a.computing_to = a.arrives = math.inf
        a.draws = []
        self._lose(a, leaves)

    def _on_computed(self, a: Assignment, at: float) -> None:
        """The last gradient of the answer is there: it is sent."""
        a.arrives = at + self._timing.uplink(a, at)
        self._expect(a)

    def _halt_contended(self, contended: Contended, a: Assignment, keep: bool) -> None:
        now, delay = self.clock.now, self._timing.stop_delay
        self._forget_deadline(a)
        if delay != 0.0 and contended.stop_later(a, now, delay, keep):
            a.live = keep
            return
        contended.leave(a, now)
        if a.computing_from == math.inf:
            a.computing_from = a.computing_to = now
        if keep:
            self._cut_short(a, a.computing_from, now)
            self._on_computed(a, now)
        else:
            a.live = False
            contended.forget(a)

    def _forget_contended(self, a: Assignment) -> None:
        if self._contended is not None:
            self._contended.forget(a)

    def _computing_goes_on(self) -> bool:
        return self._contended is not None and self._contended.goes_on()

    def _leaves(self, a: Assignment) -> float:
        """When its worker leaves and takes the job with it."""
        presence = None if self._timing.presences is None else self._timing.presences[a.worker]
        return math.inf if presence is None or presence.policy != "lost" else presence.leaves(a.sent)

    def _watch_for_loss(self, a: Assignment, leaves: float) -> None:
        # whether the answer will be sent before is not known yet
        if self.clock.now <= leaves < math.inf:
            self.clock.at(leaves, self._churn(a.worker), lambda _: self._on_leaving(a, leaves))

    def _on_leaving(self, a: Assignment, leaves: float) -> None:
        if self._contended is None or self._contended.ends(a) is None or a.number in self._in_link or not a.live:
            return  # its answer has been sent, or nobody waits for it
        self._leave_lane(a)
        a.computing_to = min(a.computing_to, leaves)
        a.arrives = math.inf
        self._lose(a, leaves)

    def _lose(self, a: Assignment, lost: float) -> None:
        presence = (self._timing.presences or ())[a.worker]
        self._never[a.number] = a
        back = presence.back(lost)
        self._expect_loss(a, lost, min(lost + presence.notice, max(back, a.sent)), back)

    # ---- deadlines and timers, events of SimPy's clock

    def _set_deadline(self, a: Assignment) -> None:
        self._deadlines[a.number] = a
        self._pending_for_method += 1
        self.clock.at(a.sent + (a.deadline or 0.0), DEADLINE, lambda _: self._on_deadline(a))

    def _on_deadline(self, a: Assignment) -> None:
        if self._deadlines.pop(a.number, None) is None:
            return  # it arrived in time, or was stopped
        self._pending_for_method -= 1
        now = self.clock.now
        gone = self._losses[a.number][0] if a.number in self._losses else math.inf
        self._leave_lane(a)
        a.outcome = TIMED_OUT
        if a.at_deadline == "partial":
            # each finished gradient needs the uplink's time to be there by now
            up = self._timing.uplink(a, now)
            if self._link is not None:
                up += self._link.service(self._timing.answer_size(a.job))
            self._cut_short(a, a.computing_from, min(now, gone) - up)
        else:
            a.done = 0
        self._forget_contended(a)
        a.computing_from = min(a.computing_from, now)
        a.computing_to = max(a.computing_from, min(now, a.computing_to))
        a.arrives = now
        self._count(a)
        self._came = a

    def _cut_short(self, a: Assignment, begun: float, at: float) -> None:
        """Leave in the answer the gradients that are computed by `at`, where the first was begun at `begun`."""
        ends = None if self._contended is None else self._contended.ends(a)
        if ends is not None:
            a.done = bisect_right(ends, at)
            return
        finished, end = 0, begun
        for seconds in a.draws:
            end += seconds
            if end > at:
                break
            finished += 1
        a.done = finished

    def _schedule_timer(self, name: str, at: float, period: float | None) -> None:
        self._timers[name] = (at, period)
        self._pending_for_method += 1
        self.clock.at(at, TIMER, lambda _: self._on_timer(name))

    def _on_timer(self, name: str) -> None:
        at, period = self._timers.pop(name)
        self._pending_for_method -= 1
        if period is not None:
            self._schedule_timer(name, at + period, period)
        self._came = TimerFired(name)

    def _leave_lane(self, a: Assignment) -> None:
        self._losses.pop(a.number, None)
        if self._never.pop(a.number, None) is not None:
            return
        if self._contended is not None and self._contended.leave(a, self.clock.now):
            a.live = False
            return
        self._in_link.discard(a.number)
        a.live = False
        self._dead += 1
        if self._dead > 64 and self._dead > len(self._lane) // 2:
            self._lane[:] = [entry for entry in self._lane if _is_alive(entry)]
            heapify(self._lane)
            self._dead = 0

    # ---- answers

    def answers(self, assignments: Sequence[Asked]) -> Sequence[Any]:
        return self.evaluation.answers(assignments)

    # ---- checkpoints

    def checkpoint(self) -> bytes:
        """Everything, as bytes; called at the end of a step."""
        return self._server.encode(
            {
                "server": self._server.snapshot(),
                "log": self._log.snapshot(),
                "recorder": self._recorder.snapshot(),
                "engine": {
                    "now": self.clock.now,
                    "instant": self._instant,
                    "arrivals_at_instant": self._arrivals_at_instant,
                    "gradients": self.gradients,
                    "timers": self._timers,
                    "timing": self._timing.snapshot(self.clock.now),
                    "contended": None if self._contended is None else self._contended.snapshot(),
                    "in_link": sorted(self._in_link),
                    "losses": self._losses,
                    "away": self._away,
                    "evaluation": self.evaluation.effort(),
                    "wall": time.monotonic() - self._started,
                },
            }
        )

    def resume(self, server: Server, data: bytes, classes: dict[str, type]) -> None:
        """Become the engine, and make `server` the server, of the run that wrote the checkpoint."""
        self._server = server
        tree = server.decode(data, classes)
        server.restore(tree["server"])
        self._log.restore(tree["log"])
        self._recorder.restore(tree["recorder"])
        engine = tree["engine"]
        self.clock.advance(engine["now"])
        self._instant = engine["instant"]
        self._arrivals_at_instant = engine["arrivals_at_instant"]
        self.gradients = engine["gradients"]
        self._started -= engine["wall"]
        self.evaluation.restore(engine["evaluation"])
        self._timing.restore(engine["timing"])
        if self._contended is not None:
            self._contended.restore(engine["contended"])
        self._in_link = set(engine["in_link"])
        for worker, back in engine["away"].items():
            self._expect_back(worker, back)
        for a in tree["server"]["in_flight"]:
            if self._contended is None or not self._contended.computes(a):
                self._expect(a)
            if a.number in engine["losses"]:
                self._expect_loss(a, *engine["losses"][a.number])
            elif self._contended is not None and self._contended.ends(a) is not None:
                self._watch_for_loss(a, self._leaves(a))
            # one that was stopped with keep is on its way without its deadline
            if a.deadline is not None and a.outcome == ARRIVED:
                self._set_deadline(a)
        for name, (at, period) in engine["timers"].items():
            self._schedule_timer(name, at, period)
        self._schedule_stop_and_records()

    def close(self) -> None:
        """The run is over; nothing goes on anywhere."""

    def effort(self) -> dict[str, Any]:
        """What was computed, how much of it ahead of its reading, and of that unread."""
        return self.evaluation.effort()

    def facts(self) -> dict[str, Any]:
        """What the record of the run should say of the engine: nothing."""
        return {}

    def held_after(self, now: float) -> np.ndarray:
        """(n,) seconds after `now` in which workers go on with what they were told to stop."""
        return np.maximum(np.array(self._timing.held or [0.0] * self._server.n) - now, 0.0)

    def corrections(self) -> np.ndarray | float:
        """(n,) by how much the logged busy seconds differ from what was computed, as stops took effect later."""
        return 0.0 if self._contended is None else self._contended.corrections(self.clock.now)

    def parts(self) -> tuple[Server, Log, Recorder]:
        """What it plays with, for whoever looks on."""
        return self._server, self._log, self._recorder

    @property
    def iterations(self) -> int:
        """k so far."""
        return self._server.k

    @property
    def wall_seconds(self) -> float:
        """Real seconds that this run has taken, over all its incarnations."""
        return time.monotonic() - self._started


def _is_alive(entry: tuple[float, int, Assignment]) -> bool:
    return entry[2].live and entry[2].arrives == entry[0]
