"""The server: bookkeeping and rules, the same in simulation and on a cluster.

A method talks to a `Server` and to nothing else. The server knows k, the points and their versions,
who computes what, and what came of every gradient; the engine behind it knows time. The rules:

1.  The delay of an arrival is k now minus the version of the point it was computed at, and a
    version is the k at which the point was made. The version travels with the point (with the array
    itself) through re-sending, state and checkpoints; only the server computes it. An array that is
    no iterate is a point made at the k at which it is first sent.
2.  A method never sees a clock: only delays, observed compute times, deadlines and its timers.
3.  `methods/` imports nothing of simpy, ray, time, random, threading.
4.  Time and data of worker i's m-th gradient are functions of (seed, purpose, i, m), where m counts
    the gradients *given* to that worker: a job of cost c takes c numbers when it is sent, whether
    it is stopped or not.
5.  At one time: arrivals in order of dispatch, then deadlines, timers, churn, records, stop. A stop
    at time T includes T.
6.  A sent x is frozen: the array becomes read-only (a view of somebody's writable array is copied).
7.  A stopped job's answer is never delivered, unless the method stops it with ``keep=True``: then
    the worker sends what it has finished. A job for a busy worker, a `receive` with nobody at work
    and no timer pending, and other misuse is a `ProtocolError`, and nothing has changed.
8.  +inf never returns. The run ends as stalled when nothing can come any more, or when no step comes
    over max(10⁴, 100·n) arrivals while a worker can never return, or has been given no work since it was away or lost
    its job (a method that needs many arrivals
    for one step says so by `expect`). 10⁶ steps without a receive, or 10⁶ arrivals at one instant,
    end it with a `NoProgressError`.
9.  *Used* is a gradient that was read, at its first reading; never read is *discarded*; read and
    rejected is discarded by `Arrival.discard`. Counted in gradients,
    sent = used + discarded + stopped + timed out + lost + in flight, in timing-only runs too.
10. Workers are 0…n−1. One that is away (it has not joined yet, or it left and its job was given up) is
    neither idle nor at work until it joins; broadcast does not reach it, and a job for it is a ProtocolError
    (`WorkerAwayError`). A method that needs that very worker and does not catch this has stalled, and its run ends so.

Resuming. A run is taken up again by entering `run` once more with `x`, `k` and `state` as a step left
them. Therefore `step` or `update` is the last statement of a method's outermost loop, what follows
from the new x stands at the head of the loop, and what the head needs from earlier iterations is in
x, k or the `**state` of the last step. `state` holds numbers, text, None, arrays (they come back
writable; points come back frozen), jobs, arrivals, lists and dicts of these, and objects with
``state()`` and ``from_state()``; anything else is an error at the first step that has it.
"""

from __future__ import annotations

import math
import weakref
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, Protocol

import numpy as np

from asyncsim import checkpoint
from asyncsim.jobs import (
    JOBS,
    Arrival,
    Asked,
    Assignment,
    GradientDifference,
    InFlight,
    Job,
    LocalSteps,
    ProtocolError,
    TimerFired,
    WorkerAwayError,
    at_point,
)
from asyncsim.log import DISCARDED, LOST, STEP, STOPPED, TIMER, USED, Log
from asyncsim.update_rules import Plain, UpdateRule, UpdateRuleRun

__all__ = ["EndOfRun", "Engine", "NoProgressError", "ProtocolError", "Server"]

STEPS_WITHOUT_RECEIVE = 10**6
POINTS_BETWEEN_CLEARINGS = 256


class EndOfRun(BaseException):
    """Raised inside receive, send or step when the run is over; a method lets it pass.

    `status` is one of Run's ("finished", "stalled", "diverged", "interrupted"), `reason` says it in words.

    >>> from asyncsim import HeroSGD, NoProblem, Stop, Workers, simulate
    >>> run = simulate(HeroSGD(stepsize=0.1), NoProblem(), Workers(1, 1.0), stop=Stop(iterations=3))
    >>> run.status, run.reason
    ('finished', '3 iterations made')
    """

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class NoProgressError(RuntimeError):
    """The run goes on without getting anywhere: a million arrivals at one instant, or as many steps without a receive.

    In a run of several, that run ends with status "failed" and this as its reason; alone, it is raised by `simulate`.
    """


class Engine(Protocol):
    """All that an engine gives the server: what time it is, dispatch, halt, what comes next, the answers."""

    def now(self) -> float:
        """Seconds since the start of the run."""

    def dispatch(self, assignment: Assignment) -> None:
        """Let the worker begin; its end comes out of `next`."""

    def halt(self, assignment: Assignment, keep: bool) -> None:
        """Stop it; with `keep`, what is finished by now still comes out of `next`."""

    def next(self) -> Assignment | TimerFired:
        """Wait for what comes next: an assignment that ended, or a timer. Raises EndOfRun."""

    def set_timer(self, name: str, seconds: float, repeat: bool) -> None:
        """Let `next` return TimerFired(name) `seconds` from now (and again, with `repeat`)."""

    def answers(self, assignments: Sequence[Asked]) -> Sequence[Any]:
        """The answers of arrived assignments: (d,) arrays, or (end point, gradient sum) for LocalSteps."""

    def can_return(self, assignment: Assignment) -> bool:
        """Whether it can ever come back, as far as the engine knows."""

    def stepped(self) -> None:
        """Called at the end of every step; checkpoints are written here. Raises EndOfRun."""


class Server:
    """What a method sees. See the head of this file for the rules.

    >>> from asyncsim.jobs import Gradient
    >>> class Halving:
    ...     def run(self, server):
    ...         while True:
    ...             server.broadcast(Gradient(server.x))  # to every idle worker
    ...             arrival = server.receive()  # ProtocolError when nothing can come
    ...             server.step(0.5, arrival.gradient)
    >>> from asyncsim.testing import scripted
    >>> [x.item() for x in scripted(Halving(), arrivals=[1, 0], n=2, x0=[8.0], gradient=lambda x: x).iterates]
    [8.0, 4.0, 0.0]

    Parameters
    ----------
    engine : the engine that gives time and answers
    x0 : (d,) array, the first iterate
    n : number of workers
    rng : the method's own randomness
    log : where every event is written
    update_rule : what `step` makes of a direction; None is the plain rule
    """

    # What is read or written at every arrival has slots: an object with more than 30 attributes keeps the others in an
    # ordinary dictionary, which takes twice as long.
    __slots__ = ("__dict__", "__weakref__", "_arrivals_since_step", "_k", "_steps_since_receive", "_versions", "_x")

    def __init__(
        self,
        engine: Engine,
        x0: np.ndarray,
        n: int,
        rng: np.random.Generator,
        log: Log,
        update_rule: UpdateRule | None = None,
    ) -> None:
        self._engine = engine
        self._log = log
        # by id: a weak reference to the point, as ids come again, and the version. What died is cleared away when
        # the table has doubled: a callback for each point would cost more than the whole table
        self._versions: dict[int, tuple[weakref.ref[Any], int]] = {}
        self._clear_versions_at = POINTS_BETWEEN_CLEARINGS
        self._k = 0
        self._x = self._made(frozen(x0), 0)
        self._dimension = math.prod(x0.shape)
        self._state: Mapping[str, Any] = _NO_STATE
        # the plain rule, which nearly all runs have, is done by `step` itself
        self._update_rule = None if isinstance(update_rule, Plain) else update_rule
        self._rule = None if self._update_rule is None else self._update_rule.start(self._x, None)
        if self._rule is not None:
            checkpoint.check({"update_rule": self._rule.state()}, self._version_of)
        self._rng = rng
        self._n = n
        self._idle = set(range(n))
        self._away: set[int] = set()  # workers that the server knows to be gone; neither idle nor at work
        self._lost_jobs = 0
        self._missed: dict[
            int, int
        ] = {}  # by worker that was away or lost its job: how many gradients it had been given
        self._in_flight: list[Assignment | None] = [None] * n
        log.in_flight = self._assignment_of
        self._given = [0] * n
        self._dispatched = 0
        self._timers: dict[str, bool] = {}  # pending ones; True repeats
        self._by_version: _ByVersion | None = None
        self._arrivals_since_step = 0
        self._steps_since_receive = 0
        self._check_progress_at = max(10**4, 100 * n)
        self._progress_interval = self._check_progress_at
        self._checked_kinds: dict[str, type] = {}  # of the state that was last looked through

    # ---- what a method reads

    @property
    def x(self) -> np.ndarray:
        """The iterate x^k, shape (d,), read-only."""
        return self._x

    @property
    def k(self) -> int:
        """The iteration: how many steps or updates were made."""
        return self._k

    @property
    def n(self) -> int:
        """The number of workers."""
        return self._n

    @property
    def workers(self) -> range:
        """The workers 0…n−1."""
        return range(self._n)

    @property
    def idle(self) -> list[int]:
        """The workers that have nothing to do, in ascending order."""
        return sorted(self._idle)

    @property
    def busy(self) -> int:
        """How many workers have something to do."""
        return self._n - len(self._idle) - len(self._away)

    @property
    def rng(self) -> np.random.Generator:
        """The method's own randomness; the only source of random numbers that survives a resume."""
        return self._rng

    @property
    def state(self) -> Mapping[str, Any]:
        """What the last step or update was given as **state; empty before the first."""
        return self._state

    def in_flight(self, delay_at_least: int = 0) -> list[InFlight]:
        """Who computes at a point that is at least so many iterations old by now, oldest point first."""
        if self._by_version is None:
            self._by_version = _ByVersion(a for a in self._in_flight if a is not None)
        found = self._by_version.up_to(self._k - delay_at_least)
        return [InFlight(a.worker, a.job, self._k - a.version) for a in found]

    # ---- what a method does

    def send(
        self,
        worker: int,
        job: Job,
        *,
        deadline: float | None = None,
        at_deadline: Literal["drop", "partial"] = "drop",
    ) -> None:
        """Give `job` to an idle worker.

        With a `deadline` (seconds from now) the server waits no longer than that: an arrival with
        `timed_out` comes at that moment, with nothing in it ("drop") or with the gradients that
        reached the server by then ("partial"); so it does where the worker leaves, and takes the job with it.
        """
        if worker not in self._idle:
            raise self._cannot_send(worker)
        if type(job) not in JOBS:
            kinds = ", ".join(kind.__name__ for kind in JOBS)
            raise ProtocolError(f"send({worker}, {job!r:.60}): a job is needed, one of {kinds}")
        cost = job.cost
        if cost < 1 or (type(cost) is not int and not isinstance(cost, np.integer)):
            raise ProtocolError(
                f"send({worker}, {type(job).__name__}): a job costs a whole number of gradients, "
                f"at least one; this one {cost!r}"
            )
        if deadline is not None and (not deadline >= 0 or at_deadline not in ("drop", "partial")):
            raise ProtocolError(
                f"send({worker}, …, deadline={deadline!r}, at_deadline={at_deadline!r}): "
                "seconds >= 0 and 'drop' or 'partial' are allowed"
            )
        version = self._k if job.x is self._x and type(job) is not GradientDifference else self._version(job)
        assignment = Assignment(worker, job, version, self._given[worker], self._dispatched, self._engine.now())
        if deadline is not None:
            assignment.deadline = float(deadline)
            assignment.at_deadline = at_deadline
        self._engine.dispatch(assignment)
        self._given[worker] += cost
        self._dispatched += 1
        self._idle.discard(worker)
        self._in_flight[worker] = assignment
        if self._by_version is not None:
            self._by_version.add(assignment)

    def broadcast(self, job: Job | Callable[[int], Job]) -> None:
        """Give a job to every idle worker, in ascending order: the same one, or `job(worker)`."""
        if len(self._idle) == 1:
            (worker,) = self._idle
            self.send(worker, job(worker) if callable(job) else job)
            return
        for worker in sorted(self._idle):
            self.send(worker, job(worker) if callable(job) else job)

    def receive(self) -> Any:
        """Wait for the next arrival, or for one of the method's timers (then a `TimerFired`)."""
        if len(self._idle) + len(self._away) == self._n and not self._timers:
            raise self._nothing_can_come()
        self._steps_since_receive = 0
        came = self._engine.next()
        if isinstance(came, TimerFired):
            return self._fired(came)
        self._arrivals_since_step += 1
        if self._arrivals_since_step >= self._check_progress_at:
            self._look_for_progress()
        self._release(came)
        self._log.ended(came, self._engine.now(), self._k)
        return Arrival(self, came, self._k - came.version)

    def _nothing_can_come(self) -> BaseException:
        if self._lost_jobs or self._away:
            return EndOfRun(
                "stalled", f"stalled: nobody is at work; {self._lost_jobs} jobs were lost with their workers"
            )
        if missed := self._missed_workers():
            words = f"stalled: nobody is at work; workers {named(missed)} have been given no work since they were away"
            return EndOfRun("stalled", words)
        return ProtocolError(
            f"receive() at iteration {self._k}: nobody is at work and no timer is pending, "
            "so nothing can arrive; send or broadcast a job first"
        )

    def _fired(self, timer: TimerFired) -> TimerFired:
        if not self._timers[timer.name]:
            del self._timers[timer.name]
        self._mark(-1, 0, TIMER, 0, 0)
        return timer

    def _mark(self, worker: int, m: int, kind: int, delay: int, gradients: int) -> None:
        self._log.mark(self._engine.now(), worker, m, kind, self._k, delay, gradients)

    def expect(self, arrivals: int) -> None:
        """Say that the next step needs at least so many arrivals: rule 8 then waits for ten times as many.

        Until the next step. For methods that collect thousands of gradients for one step.
        """
        self._check_progress_at = max(self._check_progress_at, 10 * arrivals)

    def stop(self, worker: int, keep: bool = False) -> None:
        """Stop what `worker` computes; its answer is never delivered.

        With `keep=True` what it has finished (gradients or local steps) is sent and arrives through
        `receive`, with `count` gradients; until then the worker is busy.
        """
        assignment = self._in_flight[worker] if worker in range(self._n) else None
        if assignment is None:
            raise ProtocolError(
                f"stop({worker!r}) at iteration {self._k}: this worker has nothing to do"
                if worker in range(self._n)
                else f"stop({worker!r}): workers are 0…{self._n - 1}"
            )
        if keep and assignment.outcome == STOPPED:
            return  # what it had finished by then is on its way already
        assignment.outcome = STOPPED
        self._engine.halt(assignment, keep)
        if not keep:
            assignment.done = 0
            self._release(assignment)
            self._log.ended(assignment, self._engine.now(), self._k)

    def stop_all(self) -> None:
        """Stop every worker that computes, in ascending order."""
        for assignment in self._in_flight:
            if assignment is not None:
                self.stop(assignment.worker)

    def timer(self, name: str, *, every: float | None = None, after: float | None = None) -> None:
        """Let `receive` return TimerFired(name), once `after` seconds or `every` so many seconds.

        Setting a pending timer does nothing, so a loop may set it at its head.
        """
        seconds = after if every is None else every
        if (every is None) == (after is None) or seconds is None or not 0 < seconds < math.inf:
            raise ProtocolError(
                f"timer({name!r}, every={every!r}, after={after!r}): give one of the two, seconds > 0 and finite"
            )
        if name not in self._timers:
            self._timers[name] = every is not None
            self._engine.set_timer(name, float(seconds), every is not None)

    def step(self, stepsize: float, direction: np.ndarray, **state: Any) -> np.ndarray:
        """The descent step x^{k+1} = x^k − γ·direction; returns the new x. `state` survives a resume.

        With an update rule (asyncsim/update_rules.py) x^{k+1} is what the rule makes of γ and the direction.
        """
        if not math.isfinite(stepsize):
            raise ProtocolError(f"step({stepsize!r}, …) at iteration {self._k}: the stepsize must be a finite number")
        if getattr(direction, "shape", None) != self._x.shape:
            raise ProtocolError(
                f"step(…) at iteration {self._k}: the direction has {_kind(direction)}, x has shape {self._x.shape}"
            )
        if self._rule is None:
            # of dimension 0 there is nothing to add: a run that asks about times only should not pay for it
            x = _moved(self._x, float(stepsize) * direction) if self._dimension else self._x.copy()
        else:
            x = self._by_rule(self._rule, float(stepsize), direction)
        if (
            x.dtype is not self._x.dtype and x.dtype != self._x.dtype
        ):  # a float32 iterate stays one, also where a direction was made with float64
            x = x.astype(self._x.dtype)
        return self._advance(x, state)

    def update(self, x: np.ndarray, **state: Any) -> np.ndarray:
        """Set the iterate outright: x^{k+1} = x, for methods that do not step; returns it, frozen.

        No update rule has a part in it.
        """
        if getattr(x, "shape", None) != self._x.shape or x.dtype != self._x.dtype:
            raise ProtocolError(
                f"update(x) at iteration {self._k}: x has {_kind(x)}, but {_kind(self._x)} is needed, as before"
            )
        return self._advance(x if self._version_of(x) is None else x.copy(), state)

    # ---- what stays behind the rules

    def _advance(self, x: np.ndarray, state: dict[str, Any]) -> np.ndarray:
        if state and (kinds := {key: type(value) for key, value in state.items()}) != self._checked_kinds:
            checkpoint.check(state, self._version_of)
            self._checked_kinds = kinds
        self._steps_since_receive += 1
        if self._steps_since_receive >= STEPS_WITHOUT_RECEIVE:
            raise NoProgressError(
                f"{STEPS_WITHOUT_RECEIVE:,} steps without a receive, at iteration {self._k}: time stands still; "
                "the method's loop must call receive()"
            )
        self._arrivals_since_step = 0
        self._check_progress_at = self._progress_interval
        self._k += 1
        self._x = x = frozen(x)
        versions = self._versions  # as in _made, which costs a call
        versions[id(x)] = weakref.ref(x), self._k
        if len(versions) >= self._clear_versions_at:
            self._clear_versions()
        self._state = MappingProxyType(state) if state else _NO_STATE
        self._stepped()
        return self._x

    def _stepped(self) -> None:
        self._mark(-1, 0, STEP, 0, 0)
        self._engine.stepped()

    def _by_rule(self, rule: UpdateRuleRun, stepsize: float, direction: np.ndarray) -> np.ndarray:
        x = rule.step(self._x, stepsize, direction)
        if getattr(x, "shape", None) != self._x.shape or x is self._x:
            raise ValueError(
                f"{type(rule).__name__}.step gave {_kind(x)} at iteration {self._k}, but a new array of "
                f"shape {self._x.shape} is needed"
            )
        return x

    def _assignment_of(self, worker: int) -> Assignment | None:
        """What `worker` computes."""
        return self._in_flight[worker]

    def _release(self, assignment: Assignment) -> None:
        worker = assignment.worker
        self._in_flight[worker] = None
        self._idle.add(worker)
        if self._by_version is not None:
            self._by_version.remove(assignment)

    # ---- what the engine tells of workers that come and go

    def lost(self, assignment: Assignment, there: bool) -> None:
        """A job is given up; its worker is idle if it is `there`, else away until it joins."""
        assignment.outcome, assignment.done = LOST, 0
        self._lost_jobs += 1
        self._release(assignment)
        self._log.ended(assignment, self._engine.now(), self._k)
        self._missed[assignment.worker] = self._given[assignment.worker]
        if not there:
            self.left(assignment.worker)

    def left(self, worker: int) -> None:
        """An idle worker is away."""
        self._idle.discard(worker)
        self._away.add(worker)
        self._missed[worker] = self._given[worker]

    def joined(self, worker: int) -> None:
        """A worker is there, with nothing to do."""
        self._away.discard(worker)
        self._idle.add(worker)

    def _read(self, arrivals: Sequence[Arrival]) -> Sequence[Any]:
        """The answers of the arrivals; those read for the first time become used."""
        for arrival in arrivals:
            if arrival.count == 0 and not isinstance(arrival.job, LocalSteps):
                raise ProtocolError(f"{arrival!r} holds no gradient: its deadline or stop came first (count is 0)")
            _refuse_discarded(arrival)
        for arrival in arrivals:
            self._use(arrival)
        answers = self._engine.answers([arrival._asked for arrival in arrivals])
        for arrival, answer in zip(arrivals, answers, strict=True):
            self._check_answer(arrival, answer)
        return answers

    def _read_again(self, arrival: Arrival) -> None:
        """What was read once is at hand; only a server that verifies (asyncsim/verify.py) looks when."""

    def _use(self, arrival: Arrival) -> None:
        if arrival._used_at is None:
            arrival._used_at = self._k
            a = arrival._asked
            self._mark(a.worker, a.m, USED, arrival.delay, a.done)

    def _total(self, arrivals: Sequence[Arrival]) -> np.ndarray:
        # in slices: what a batch holds at once stays small, and the order of adding is the order given
        sum_: np.ndarray | None = None
        filled = [arrival for arrival in arrivals if arrival.count > 0]
        for arrival in filled:
            _refuse_discarded(arrival)
            if isinstance(arrival.job, LocalSteps):
                raise ProtocolError("total and mean add gradients; for LocalSteps add gradient_sum or end_point")
        for start in range(0, len(filled), 64):
            part = filled[start : start + 64]
            for arrival, answer in zip(part, self._read(part), strict=True):
                added = answer if arrival.count == 1 else arrival.count * answer
                if sum_ is None:
                    sum_ = added.copy()
                else:
                    sum_ += added
        return np.zeros_like(self._x) if sum_ is None else sum_

    def _check_answer(self, arrival: Arrival, answer: Any) -> None:
        vector = answer[1] if type(answer) is tuple else answer
        if getattr(vector, "shape", None) != self._x.shape:
            raise ValueError(
                f"the problem's gradient has shape {getattr(vector, 'shape', type(vector).__name__)}, "
                f"but {self._x.shape} is needed, the shape of x"
            )
        # the squared norm is finite for every gradient that a record could show
        if self._dimension and not math.isfinite(vector.dot(vector)):
            raise EndOfRun(
                "diverged",
                f"diverged at iteration {self._k}: the gradient of worker {arrival.worker} is not finite "
                "(its squared norm is inf or NaN); try a smaller stepsize",
            )

    def _discard(self, arrival: Arrival) -> None:
        a = arrival._asked
        taken_back = 0 if arrival._used_at is None else a.done
        self._mark(a.worker, a.m, DISCARDED, arrival.delay, taken_back)

    def _look_for_progress(self) -> None:
        self._check_progress_at += self._progress_interval
        gone = [a.worker for a in self._in_flight if a is not None and not self._engine.can_return(a)]
        if gone:
            raise EndOfRun(
                "stalled",
                f"stalled: waiting for workers {named(gone)}: no step over the last "
                f"{self._arrivals_since_step:,} arrivals, and they can never return",
            )
        if missed := self._missed_workers():
            raise EndOfRun(
                "stalled",
                f"stalled: no step over the last {self._arrivals_since_step:,} arrivals, and workers {named(missed)} have "
                "been given no work since they were away or lost their job",
            )

    def _missed_workers(self) -> list[int]:
        """Who has been given no work since it was away or lost its job."""
        return [worker for worker, given in sorted(self._missed.items()) if self._given[worker] == given]

    def _cannot_send(self, worker: int) -> ProtocolError:
        if worker not in range(self._n):
            return ProtocolError(f"send({worker!r}, …): workers are 0…{self._n - 1}")
        if worker in self._away:
            return WorkerAwayError(
                f"send({worker}, …) at iteration {self._k}: worker {worker} is away; only idle workers can be sent a job",
                worker,
            )
        assignment = self._assignment_of(worker)
        number = assignment.number if assignment else 0
        age = f"at the point of iteration {assignment.version}" if assignment else ""
        return ProtocolError(
            f"send({worker}, …) at iteration {self._k}: worker {worker} still computes assignment #{number} "
            f"({age}); stop({worker}) first, or wait for it with receive()"
        )

    # ---- points and their versions

    def _made(self, x: np.ndarray, version: int) -> np.ndarray:
        versions = self._versions
        versions[id(x)] = weakref.ref(x), version
        if len(versions) >= self._clear_versions_at:
            self._clear_versions()
        return x

    def _clear_versions(self) -> None:
        self._versions = {key: made for key, made in self._versions.items() if made[0]() is not None}
        self._clear_versions_at = POINTS_BETWEEN_CLEARINGS + 2 * len(self._versions)

    def _version_of(self, x: np.ndarray) -> int | None:
        made = self._versions.get(id(x))
        return made[1] if made is not None and made[0]() is x else None

    def _version(self, job: Job) -> int:
        fields = ("x", "y") if isinstance(job, GradientDifference) else ("x",)
        new = [field for field in fields if self._version_of(getattr(job, field)) is None]
        for field in new:
            point = getattr(job, field)
            if getattr(point, "shape", None) != self._x.shape or point.dtype != self._x.dtype:
                raise ProtocolError(
                    f"send(…): the point of this {type(job).__name__} has {_kind(point)}, "
                    f"the iterate has {_kind(self._x)}"
                )
        for field in new:
            self._adopt(job, field)
        version = self._version_of(job.x)
        assert version is not None  # adopted just now, if it was not known
        return version

    def _adopt(self, job: Job, field: str) -> None:
        """Freeze a point that is no iterate; it is made now, at k."""
        point = getattr(job, field)
        safe = frozen(point)
        if safe is not point:
            at_point(job, field, safe)
        self._made(safe, self._k)

    # ---- how things stand

    def pending(self) -> list[tuple[int, Job, int]]:
        """What is in flight, in no special order: worker, job and the number m of the job's first gradient.

        The inputs of these gradients are fixed, so they can be computed before they arrive; what is stopped or
        timed out was then computed for nothing.
        """
        return [(a.worker, a.job, a.m) for a in self._in_flight if a is not None]

    def given(self) -> np.ndarray:
        """(n,) int64: gradients given to each worker so far."""
        return np.array(self._given, np.int64)

    def at_work(self) -> dict[str, np.ndarray]:
        """Columns of equal length, one row a job in flight: worker, cost, computing_from, computing_to, stopped."""
        found = [a for a in self._in_flight if a is not None]
        return {
            "worker": np.array([a.worker for a in found], np.int64),
            "cost": np.array([a.job.cost for a in found], np.int64),
            "computing_from": np.array([a.computing_from for a in found]),
            "computing_to": np.array([a.computing_to for a in found]),
            "stopped": np.array([a.outcome == STOPPED for a in found], bool),
        }

    # ---- taking a run up again

    def snapshot(self) -> dict[str, Any]:
        """All that the server knows, for a checkpoint at the end of a step."""
        return {
            "k": self._k,
            "x": self._x,
            "state": dict(self._state),
            "rng": self._rng.bit_generator.state,
            "given": self.given(),
            "dispatched": self._dispatched,
            "in_flight": sorted((a for a in self._in_flight if a is not None), key=lambda a: a.number),
            "timers": dict(self._timers),
            "steps_since_receive": self._steps_since_receive,
            "away": sorted(self._away),
            "lost_jobs": self._lost_jobs,
            "missed": self._missed,
            "update_rule": None if self._rule is None else self._rule.state(),
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Become the server that wrote `snapshot`; its points were registered while it was decoded."""
        self._k = snapshot["k"]
        self._x = snapshot["x"]
        self._state = MappingProxyType(snapshot["state"])
        self._rng.bit_generator.state = snapshot["rng"]
        self._given = snapshot["given"].tolist()
        self._dispatched = snapshot["dispatched"]
        self._timers = snapshot["timers"]
        self._steps_since_receive = snapshot["steps_since_receive"]
        if self._update_rule is not None:
            self._rule = self._update_rule.start(self._x, snapshot["update_rule"])
        self._lost_jobs = snapshot["lost_jobs"]
        for worker in snapshot["away"]:
            self.left(worker)
        self._missed = snapshot["missed"]
        for assignment in snapshot["in_flight"]:
            self._in_flight[assignment.worker] = assignment
            self._idle.discard(assignment.worker)

    def encode(self, tree: Any) -> bytes:
        """`tree` as the bytes of a checkpoint; iterates keep their versions."""
        return checkpoint.encode(tree, self._version_of)

    def decode(self, data: bytes, classes: Mapping[str, type]) -> Any:
        """The tree of a checkpoint, with its points registered here."""
        return checkpoint.decode(data, self._made, lambda a, delay: Arrival(self, a, delay), classes)


_NO_STATE: Mapping[str, Any] = MappingProxyType({})


class _ByVersion:
    """The assignments in flight by version, in order of dispatch within one; O(log) to keep."""

    def __init__(self, assignments: Iterable[Assignment]) -> None:
        self._at: dict[int, dict[int, Assignment]] = {}
        self._versions: list[int] = []
        for assignment in sorted(assignments, key=lambda a: a.number):
            self.add(assignment)

    def add(self, assignment: Assignment) -> None:
        version = assignment.version
        if version not in self._at:
            self._at[version] = {}
            insort(self._versions, version)
        self._at[version][assignment.number] = assignment

    def remove(self, assignment: Assignment) -> None:
        at = self._at[assignment.version]
        del at[assignment.number]
        if not at:
            del self._at[assignment.version]
            del self._versions[bisect_left(self._versions, assignment.version)]

    def up_to(self, version: int) -> list[Assignment]:
        found: list[Assignment] = []
        for made_at in self._versions:
            if made_at > version:
                break
            found.extend(self._at[made_at].values())
        return found


def _refuse_discarded(arrival: Arrival) -> None:
    if arrival._discarded:
        raise ProtocolError(f"{arrival!r} was discarded; read it before, or do not discard it")


def _kind(x: Any) -> str:
    """What an array is, in words; what is no array has a type only."""
    return f"shape {x.shape} and type {x.dtype}" if hasattr(x, "shape") else f"type {type(x).__name__}"


def _moved(x: np.ndarray, way: np.ndarray) -> np.ndarray:
    """x − way, in the place of `way`, which is new, where that holds the same numbers."""
    in_its_place = type(x) is type(way) is np.ndarray and x.dtype is way.dtype
    moved: np.ndarray = np.subtract(x, way, way) if in_its_place else x - way
    return moved


def frozen(x: np.ndarray) -> np.ndarray:
    """`x` made read-only; a copy where somebody else could still write into it."""
    if x.base is not None:
        x = x.copy()
    x.setflags(write=False)  # three times as fast as by the flags
    return x


def named(workers: Sequence[int], at_most: int = 10) -> str:
    """{3, 17, …}: some workers for a message."""
    shown = ", ".join(str(worker) for worker in workers[:at_most])
    return "{" + shown + (f", … {len(workers) - at_most} more" if len(workers) > at_most else "") + "}"
