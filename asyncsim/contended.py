"""Workers that share (asyncsim/times/contention.py) in one run: the work that is left, and when it will be done.

The arrival of a job at such a worker is not known when the job is sent, as others may begin and end meanwhile. What is
known is how much of its current gradient is left, and when that would be done if nothing changed. So a job here has
events of its own, which the method never sees, in a heap of their own: its computing begins, a gradient ends, the
worker leaves or is back, a stop takes effect. When the last gradient has ended the engine sends the answer, and from
there on it is an arrival like any other.

1. At one time: these events first, in order of dispatch, then arrivals and all that the engine knows. That order changes
   no number: what begins and ends at one instant is gathered, and only when the clock is to move on is it looked at who
   computes now (`_settle`). So a worker that is sent its next job at the moment of its arrival never left, and where the
   number of those who compute is the same as before nobody's time is touched, to the last bit.
2. When it does change, what was done since the last change is taken off the work that is left: with the slowdown q in
   force (work of the path) / q. The rest takes the seconds in which the path does left · q.
3. A worker's jobs wait in a line in order of dispatch. The line is longer than one only where stops take effect later:
   the job that was stopped, for the server no longer there, is at its head until then.
4. A job that was stopped is logged when it was told to stop, with the seconds it has still to compute as they look
   then. What they became is kept as a correction of the worker's busy seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any

import numpy as np

from asyncsim.jobs import Assignment
from asyncsim.times.availability import ATTEMPTS
from asyncsim.times.contention import Group
from asyncsim.timing import Timing

BEGIN, END, LEAVE, BACK = range(4)  # what comes next of a job


class Work:
    """A job at a worker that shares, from its dispatch until its answer is there (or nobody wants it any more)."""

    __slots__ = (
        "a", "at", "begun", "computing", "cost", "due", "ends", "kept", "last", "left", "logged", "over",
        "reaches", "seconds", "since", "started", "stop_at", "tries", "what",
    )  # fmt: skip

    def __init__(self, a: Assignment, reaches: float) -> None:
        self.a = a
        self.reaches = reaches  # when the job is at its worker
        self.begun = math.inf  # when its first gradient was begun
        self.ends: list[float] = []  # when its gradients ended
        self.computing = False  # whether it counts among those who compute
        self.over = False  # whether its computing has ended, one way or another
        # the current gradient: its begin, its cost, what was left of it at `since`, seconds in all if nothing changes
        self.started = self.since = self.seconds = 0.0
        self.cost = self.left = 0.0
        self.tries = 0  # stays of the worker that this gradient has taken
        self.at, self.what = math.inf, BEGIN  # its own next event
        self.stop_at = math.inf  # when a stop takes effect
        self.last = False  # stopped: the current gradient is the last
        self.kept = False  # stopped, and what is finished will be sent
        self.logged: float | None = None  # stopped for good: the seconds of computing that were logged
        self.due = math.inf  # the earlier of the two

    def state(self) -> list[Any]:
        """For a checkpoint."""
        return [getattr(self, name) for name in self.__slots__]

    @classmethod
    def of(cls, state: list[Any]) -> Work:
        """The work that wrote `state`."""
        work = cls.__new__(cls)
        for name, value in zip(cls.__slots__, state, strict=True):
            setattr(work, name, value)
        return work


class Sharers:
    """The workers of one group: who of them computes, and the slowdown in force."""

    __slots__ = ("at_work", "slowdown", "slowdowns")

    def __init__(self, slowdowns: list[float]) -> None:
        self.slowdowns = slowdowns
        self.slowdown = 1.0
        self.at_work: dict[int, Work] = {}


class Contended:
    """The workers that share, in one run. `computed(a, at)` is told when an answer can be sent."""

    def __init__(self, timing: Timing, groups: list[Group], n: int, computed: Callable[[Assignment, float], None]):
        self._timing = timing
        self._computed = computed
        self._groups = [Sharers(group.slowdowns) for group in groups]
        self._of: list[Sharers | None] = [None] * n
        for group, sharers in zip(groups, self._groups, strict=True):
            for worker in group.workers:
                self._of[worker] = sharers
        self._works: dict[int, Work] = {}  # by number of dispatch
        self._lines: dict[int, list[Work]] = {}
        self._heap: list[tuple[float, int, int, Work]] = []
        self._serial = count()
        self._changed: list[Sharers] = []
        self._work_is_time = timing.presences is None and not timing.paced
        self._now = 0.0
        self._corrections = np.zeros(n)

    # ---- what the engine asks

    def shares(self, worker: int) -> bool:
        """Whether the worker shares with others."""
        return self._of[worker] is not None

    def start(self, a: Assignment, reaches: float) -> None:
        """A job is sent now, and is at its worker at `reaches`."""
        self._now = a.sent
        a.computing_from = a.computing_to = a.arrives = math.inf
        a.draws = []
        work = self._works[a.number] = Work(a, reaches)
        line = self._lines.setdefault(a.worker, [])
        line.append(work)
        if len(line) == 1:
            self._comes(work, work.reaches)

    def step(self, until: float) -> bool:
        """Let the next thing happen, if it happens by `until`."""
        heap = self._heap
        while True:
            while heap and heap[0][3].due != heap[0][0]:
                heappop(heap)
            at = heap[0][0] if heap else math.inf
            if self._changed and (at if at < until else until) > self._now:
                self._settle()
                continue
            if at > until or not heap:
                return False
            self._now = at
            work = heappop(heap)[3]
            work.due = math.inf
            self._happens(work)
            return True

    def computes(self, a: Assignment) -> bool:
        """Whether it is still here: sent, and its last gradient not yet ended."""
        work = self._works.get(a.number)
        return work is not None and not work.over

    def ends(self, a: Assignment) -> list[float] | None:
        """When its gradients ended, as far as they have; None for a job that was never here."""
        work = self._works.get(a.number)
        return None if work is None else work.ends

    def leave(self, a: Assignment, now: float) -> bool:
        """End its computing now; False if it had ended."""
        work = self._works.get(a.number)
        if work is None or work.over:
            return False
        self._now = now
        self._end(work)
        return True

    def forget(self, a: Assignment) -> None:
        """Its answer was received, or nobody wants it: no one will ask any more."""
        work = self._works.get(a.number)
        if work is not None and work.logged is None:
            del self._works[a.number]

    def stop_later(self, a: Assignment, now: float, delay: float | None, keep: bool) -> bool:
        """Stop it after `delay` seconds, or (None) after the current gradient; False if that is now."""
        work = self._works[a.number]
        if delay is None and (work.begun == math.inf or (work.ends and work.started == now)):
            return False
        self._now = now
        work.kept = keep
        if delay is None:
            work.last = True
        else:
            work.stop_at = min(work.stop_at, now + delay)
            if self._overtaken(work):
                return True
            self._expected(work)
        if keep:
            return True
        if work.begun == math.inf:
            a.computing_from = a.computing_to = now
        else:
            is_last = delay is None or (work.what == END and len(work.ends) + 1 == a.job.cost)
            until = min(work.stop_at, work.at) if is_last else work.stop_at
            a.computing_to = now if until == math.inf else until
        work.logged = a.computing_to - a.computing_from
        return True

    def _overtaken(self, work: Work) -> bool:
        """Drop what the stop reaches before its first gradient can begin; it keeps nobody waiting."""
        begins = work.at if work.at < math.inf else work.reaches
        if work.begun < math.inf or begins < work.stop_at:
            return False
        work.a.computing_from = work.a.computing_to = self._now
        self._end(work)
        if work.kept:
            work.a.done = 0
            self._computed(work.a, work.stop_at)
        else:
            del self._works[work.a.number]
        return True

    def never(self, a: Assignment) -> bool:
        """Whether it can be seen already that it never ends."""
        if not self.computes(a):
            return False
        return _never(self._lines[a.worker][0])

    def goes_on(self) -> bool:
        """Whether anything that happens here can lead to an arrival."""
        return any(
            not work.over and not _never(work) and (work.logged is None or len(self._lines[work.a.worker]) > 1)
            for work in self._works.values()
        )

    def waiting(self) -> Iterator[int]:
        """The workers whose answers are still to be computed."""
        return (work.a.worker for work in self._works.values() if not work.over and work.logged is None)

    def corrections(self, now: float) -> np.ndarray:
        """(n,) by how much the logged seconds of stopped jobs differ from what they have computed by `now`."""
        found = self._corrections.copy()
        for work in self._works.values():
            if work.logged is not None:
                found[work.a.worker] += max(0.0, now - work.begun) - work.logged
        return found

    # ---- what happens

    def _happens(self, work: Work) -> None:
        if work.stop_at < work.at:
            self._finish(work)
        elif work.what == BEGIN:
            self._begins(work)
        elif work.what == END:
            work.ends.append(self._now)
            work.a.draws.append(work.seconds)
            if work.last or len(work.ends) == work.a.job.cost:
                self._finish(work)
            else:
                self._next_gradient(work)
        elif work.what == LEAVE:
            self._leaves(work)
        else:
            self._is_back(work)

    def _comes(self, work: Work, at: float) -> None:
        """It is first in the line of its worker and can begin at `at`, if the worker is there."""
        presence = self._presence(work)
        at = max(at, self._now)
        at = at if presence is None or at == math.inf else presence.back(at)
        if at >= work.stop_at and work.logged is not None:
            self._end(work)  # it would only keep the next one waiting
        elif at > self._now:
            self._expects(work, at, BEGIN)
        else:
            self._begins(work)

    def _begins(self, work: Work) -> None:
        work.begun = work.a.computing_from = self._now
        self._joins(work)
        self._next_gradient(work)

    def _next_gradient(self, work: Work) -> None:
        a, now = work.a, self._now
        work.started = work.since = now
        work.cost = work.left = self._timing.cost(a.worker, a.m + len(work.ends), now)
        work.tries = 0
        presence = self._presence(work)
        if presence is not None and work.cost and (back := presence.back(now)) > now:
            self._parts(work)
            self._expects(work, back, BACK)
        else:
            self._look_ahead(work)

    def _leaves(self, work: Work) -> None:
        """Its worker is away from now on."""
        presence = self._presence(work)
        assert presence is not None  # else nobody would leave
        if presence.policy == "paused":
            self._take_off(work)
        else:
            work.left = work.cost
        work.tries += 1
        self._parts(work)
        self._expects(work, presence.back(self._now) if work.tries < ATTEMPTS else math.inf, BACK)

    def _is_back(self, work: Work) -> None:
        work.since = self._now
        self._joins(work)
        self._look_ahead(work)

    def _finish(self, work: Work) -> None:
        """Its computing ends by itself: all is done, or a stop takes effect."""
        self._end(work)
        if work.logged is None:
            a = work.a
            a.done = len(work.ends)
            if work.begun == math.inf:
                a.computing_from = a.computing_to = self._now
            self._computed(a, self._now)

    def _end(self, work: Work) -> None:
        now, a = self._now, work.a
        if work.computing:
            self._parts(work)
        work.over, work.due = True, math.inf
        if work.begun < math.inf:
            a.computing_to = now
        line = self._lines[a.worker]
        was_first = line[0] is work
        line.remove(work)
        if work.logged is not None:
            self._corrections[a.worker] += max(0.0, now - work.begun) - work.logged
            del self._works[a.number]
        if was_first and line:
            self._comes(line[0], line[0].reaches)

    # ---- who computes, and how fast

    def _joins(self, work: Work) -> None:
        sharers = self._of[work.a.worker]
        assert sharers is not None  # only workers that share come here
        sharers.at_work[work.a.worker] = work
        work.computing = True
        self._changed.append(sharers)

    def _parts(self, work: Work) -> None:
        sharers = self._of[work.a.worker]
        assert sharers is not None
        del sharers.at_work[work.a.worker]
        work.computing = False
        self._changed.append(sharers)

    def _settle(self) -> None:
        for sharers in self._changed:
            slowdown = sharers.slowdowns[len(sharers.at_work)]
            if slowdown == sharers.slowdown:
                continue
            if self._work_is_time:
                self._move_on(sharers, slowdown)
                continue
            for work in sharers.at_work.values():
                self._take_off(work)
            sharers.slowdown = slowdown
            for work in sharers.at_work.values():
                self._look_ahead(work)
        self._changed.clear()

    def _move_on(self, sharers: Sharers, slowdown: float) -> None:
        """The same where nobody has a power of its own and nobody leaves, as quick as can be: groups may be large."""
        now, before = self._now, sharers.slowdown
        sharers.slowdown = slowdown
        for work in sharers.at_work.values():
            left = work.left - (now - work.since) / before
            work.left = left = left if left > 0.0 else 0.0
            work.since = now
            seconds = left * slowdown
            started = work.started
            work.seconds = seconds = seconds if started == now else now - started + seconds
            at = started + seconds
            work.at = at if at > now else now
            self._expected(work)

    def _take_off(self, work: Work) -> None:
        """What was done since then is no longer left."""
        now = self._now
        if now > work.since:
            done = self._timing.path(work.a.worker).work(work.since, now)
            work.left = max(0.0, work.left - done / self._slowdown(work))
            work.since = now

    def _look_ahead(self, work: Work) -> None:
        """When its gradient ends if nothing changes, or its worker leaves before."""
        a, since = work.a, work.since
        path, presence = self._timing.path(a.worker), self._presence(work)
        self._timing.forget(a.worker, since)
        try:
            seconds = path.seconds(since, work.left * self._slowdown(work))
        except (ValueError, ArithmeticError) as error:
            raise ValueError(f"speed of worker {a.worker}, gradient {a.m + len(work.ends)}: {error}") from None
        work.seconds = seconds if since == work.started else since - work.started + seconds
        if presence is not None and work.cost and since + seconds > (until := presence.leaves(since)):
            if presence.policy != "paused" or work.left > path.work(since, until) / self._slowdown(work):
                self._expects(work, until, LEAVE)
                return
            work.seconds = until - work.started  # it is done as the worker leaves, but for rounding
        self._expects(work, max(since, work.started + work.seconds), END)

    def _slowdown(self, work: Work) -> float:
        sharers = self._of[work.a.worker]
        assert sharers is not None
        return sharers.slowdown

    def _presence(self, work: Work) -> Any:
        """When the worker is there, unless it takes its jobs with it when it leaves: that is the engine's."""
        presences = self._timing.presences
        presence = None if presences is None else presences[work.a.worker]
        return None if presence is None or presence.policy == "lost" else presence

    def _expects(self, work: Work, at: float, what: int) -> None:
        work.at, work.what = at, what
        self._expected(work)

    def _expected(self, work: Work) -> None:
        due = work.at if work.at < work.stop_at else work.stop_at
        if due == work.due:
            return  # it stands in the heap already
        work.due = due
        if due < math.inf:
            heap = self._heap
            heappush(heap, (due, work.a.number, next(self._serial), work))
            if len(heap) > 64 + 4 * len(self._works):  # most of them were overtaken by another time
                heap[:] = [entry for entry in heap if entry[3].due == entry[0]]
                heapify(heap)

    # ---- checkpoints

    def snapshot(self) -> dict[str, Any]:
        """For a checkpoint; the assignments in it are those of the server."""
        return {
            "now": self._now,
            "works": [work.state() for _, work in sorted(self._works.items())],
            "slowdowns": [sharers.slowdown for sharers in self._groups],
            "corrections": self._corrections,
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Become what wrote `snapshot`."""
        self._now = snapshot["now"]
        self._corrections = snapshot["corrections"]
        for sharers, slowdown in zip(self._groups, snapshot["slowdowns"], strict=True):
            sharers.slowdown = slowdown
        for state in snapshot["works"]:
            work = Work.of(state)
            worker = work.a.worker
            self._works[work.a.number] = work
            if not work.over:
                self._lines.setdefault(worker, []).append(work)
                work.due = math.inf
                self._expected(work)
            if work.computing:
                self._joins(work)


def _never(work: Work) -> bool:
    """Whether it can be seen already that its computing never ends."""
    return work.due == math.inf or (work.cost == math.inf and work.stop_at == math.inf)
