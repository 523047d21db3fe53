"""The block core: the server of asyncsim/server.py, with arrivals that were forecast many at a time.

A method sees no difference, and the log has none: this server gives, bit for bit, what `Server` gives, which is the
reference. It is only a cheaper way to it. While every worker that arrives is sent out again at once with one
gradient, `receive` takes the next position of a block (asyncsim/forecast.py) and `send` notes the job; time, numbers
of gradients and dispatches, and the rows of the log follow from the position, for thousands of arrivals at once.

Rounds, in which whoever arrives waits for the others, are delivered by the block too: who is at work now, in the order
of their arrivals; each has nothing to do when it has come, and whatever is sent ends the block.

What is done otherwise falls into three kinds.

1.  Other sends of one gradient to idle workers, a receive without sending out again, `stop_all`, timers, records: the
    block is cut where it stands, the arrays of the forecast say how things are, and the next `receive` makes a new,
    smaller block.
2.  What arrays do not hold (other jobs, deadlines) and the stop of one worker go to the event loop: the arrays become
    assignments in the lane of the engine, and the server is the plain one until the simple pattern has held for a
    while. So do blocks that are cut all the time.
3.  What cannot be told in advance (a law that raises, 10⁶ arrivals at one instant, no step in sight while a worker
    never returns) goes to the event loop for good, which finds the error where it is.

The rows of the log are held back as positions. The *tape* has two numbers a mark: how many arrivals of the block had
been delivered, and which one was used; −1 for a step; −2 − j for any other mark, whose row j is kept whole. From it k
follows for all: it grows by one at each step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, Literal, cast

import numpy as np

from asyncsim.forecast import Block, Forecast, Unforeseeable
from asyncsim.jobs import Arrival, Asked, Assignment, Gradient, InFlight, Job, TimerFired
from asyncsim.log import (
    ARRIVED,
    COMPUTING_FROM,
    COMPUTING_TO,
    COST,
    DELAY,
    DONE,
    ENDS,
    GRADIENTS,
    KIND,
    MARKS,
    NO_MARKS,
    SENT,
    STEP,
    STOPPED,
    TIME,
    USED,
    VERSION,
    WORKER,
    K,
    Log,
    M,
)
from asyncsim.server import EndOfRun, Server
from asyncsim.simulation import Simulation
from asyncsim.update_rules import UpdateRule

LONG = 2 * 10**6  # gradients after which it pays to load numba
CUTS = 8  # blocks cut short in a row, after which the plain core goes on
SMALL, LARGE = 64, 4096  # arrivals in a block: after a deviation, and at most (with many workers n/8)
PATIENCE = 64  # arrivals that keep to the pattern before the plain core gives way again; doubled at each relapse


class BlockServer(Server):
    """A server whose engine's workers are independent of each other. Parameters as of `Server`, and:

    compiled : whether numba makes the blocks; None leaves it to the length of the run
    """

    __slots__ = (
        "_block", "_clock", "_end_versions", "_evaluation", "_job_versions", "_jobs", "_limit", "_open", "_position",
        "_tape", "_times", "_workers",
    )  # fmt: skip
    _engine: Simulation

    def __init__(
        self,
        engine: Simulation,
        x0: np.ndarray,
        n: int,
        rng: np.random.Generator,
        log: Log,
        update_rule: UpdateRule | None = None,
        compiled: bool | None = None,
    ) -> None:
        super().__init__(engine, x0, n, rng, log, update_rule)
        self._compile_at = {None: LONG if find_spec("numba") else math.inf, True: 0, False: math.inf}[compiled]
        self._clock = engine.clock
        self._evaluation = engine.evaluation
        self._forecast = Forecast(engine.timing, n)
        log.before_flush = self._hand_over
        self._blocked = True  # the arrays of the forecast say who is at work; else the assignments do
        self._jobs: list[Any] = [None] * n
        self._job_versions = [0] * n
        self._in_flight = []
        self._given = []
        self._open = -1  # the worker that came last, as long as it has nothing to do; it is not in _idle meanwhile
        self._new: list[int] = []  # workers sent out since the last receive, whose times are not known yet
        self._block: Block | None = None
        self._workers: list[int] = []  # of the block
        self._times: list[float] = []
        self._position = 0  # arrivals of the block that were delivered
        self._limit = 0  # the position at which receive has to look around …
        self._end = 0  # … and at which there is more to do than to look at the clock on the wall
        self._size = SMALL
        self._round = False  # workers that arrive wait for the others: blocks are of those at work, `_limit` stays 0 …
        self._round_limit = 0  # … and this stands in its place
        self._waited = 0  # how often in a row the first worker of a block was not sent out again
        # since the log was last given rows:
        self._base = 0
        self._base_k = 0
        self._end_versions: list[int] = []
        self._tape: list[int] = []
        self._rows: list[tuple[float, ...]] = []
        self._step_at = 0  # position at the last step
        self._look_at_k: float = 0  # the next iteration that the engine wants to see
        # of the plain core between blocks
        self._calm = 0
        self._patience = PATIENCE
        self._kept = 0  # arrivals in a row that were not sent out again
        self._expected = -1  # the worker that should be sent out again
        self._cut = 0  # how often blocks in a row were cut short
        self._for_good = False
        self.before_leaving: Callable[[], None] | None = None  # who counts for the method tells jobs and points then

    # ---- the hot path

    def receive(self) -> Any:
        position = self._position
        if position >= self._limit or self._open >= 0:
            return self._receive_slowly()
        self._position = position + 1
        self._open = worker = self._workers[position]
        self._clock._now = self._times[position]
        version = self._job_versions[worker]
        self._end_versions.append(version)
        self._steps_since_receive = 0
        arrival = _new(BlockArrival)  # its constructor would take half as long again
        arrival._server = self
        arrival._block = self._block  # type: ignore[assignment]
        arrival._position = position
        arrival._version = version
        arrival.worker = worker
        arrival.job = self._jobs[worker]
        arrival.delay = self._k - version
        arrival._answer = arrival._used_at = None
        arrival._discarded = False
        return arrival

    def send(
        self,
        worker: int,
        job: Job,
        *,
        deadline: float | None = None,
        at_deadline: Literal["drop", "partial"] = "drop",
    ) -> None:
        if type(job) is Gradient and job._count == 1 and deadline is None:
            if worker == self._open:
                version = self._k if job._x is self._x else self._version(job)
                self._jobs[worker] = job
                self._job_versions[worker] = version
                self._open = -1
                if self._evaluation.ahead is not None:
                    self._tell_of(worker, job, self._position - 1)
                return
            if self._blocked:
                if worker in self._idle:
                    self._send_another(worker, job)
                    return
            elif worker == self._expected:
                self._expected = -1
            else:
                self._calm = -1
        else:
            self._leave()
            self._calm = -1
        super().send(worker, job, deadline=deadline, at_deadline=at_deadline)

    def broadcast(self, job: Any) -> None:
        if self._open >= 0 and not self._idle:
            self.send(self._open, job(self._open) if callable(job) else job)
            return
        for worker in self.idle:
            self.send(worker, job(worker) if callable(job) else job)

    def _stepped(self) -> None:
        if self._block is None:
            super()._stepped()
            return
        self._step_at = self._position
        self._tape.extend((self._position, -1))
        engine = self._engine
        keeper = engine._keeper
        if self._k >= self._look_at_k or engine._over is not None or (keeper is not None and keeper.due(self._k)):
            self._engine.stepped()
            self._look_at_k = engine.next_look_at_iteration()
            if engine._over is not None:
                self._limit = self._end = self._position
                self._round_limit = 0

    def _read(self, arrivals: Sequence[Arrival]) -> Sequence[Any]:
        arrival = arrivals[0]
        if len(arrivals) > 1 or type(arrival) is not BlockArrival or arrival._discarded:
            return super()._read(arrivals)
        self._use(arrival)
        answers = self._engine.answers(arrivals)  # type: ignore[arg-type]
        self._check_answer(arrival, answers[0])
        return answers

    def _read_one(self, arrival: BlockArrival) -> Any:
        """What `_read` gives for one arrival, on the shortest way."""
        if arrival._discarded:
            return self._read((arrival,))[0]
        evaluation, m = self._evaluation, arrival._block.numbers[arrival._position]
        self._use(arrival)
        if evaluation.ahead is None:
            answer = evaluation.gradient(arrival.job._x, arrival.worker, m)  # type: ignore[union-attr]
        else:
            answer = evaluation.ahead.held(arrival.worker, m)
            if answer is None:
                answer = evaluation.answers((arrival,))[0]
        self._check_answer(arrival, answer)
        return answer

    def _use(self, arrival: Arrival) -> None:
        if (
            type(arrival) is BlockArrival
            and arrival._used_at is None
            and arrival._block is self._block
            and arrival._position >= self._base
        ):
            arrival._used_at = self._k
            self._tape.extend((self._position, arrival._position))
        else:
            super()._use(arrival)

    def _mark(self, worker: int, m: int, kind: int, delay: int, gradients: int) -> None:
        if self._block is None:
            super()._mark(worker, m, kind, delay, gradients)
            return
        self._tape.extend((self._position, -2 - len(self._rows)))
        self._rows.append((self._clock._now, worker, m, kind, self._k, delay, gradients))

    # ---- between blocks

    def _receive_slowly(self) -> Any:
        if not self._blocked:
            return self._receive_plainly()
        if self._position < self._round_limit:
            return self._receive_in_round()
        if self._open >= 0:
            self._let_wait()
        elif self._position < self._end:  # only time to look at the clock on the wall
            return self._receive_until_the_next_look()
        if len(self._idle) == self._n and not self._timers:
            raise self._nothing_can_come()
        self._hand_over()
        self._log.flush_if_many()
        if self._cut >= CUTS or (self._is_time_for_progress() and self._forecast.waits_for_ever):
            self._leave()
            return self._receive_plainly()
        self._steps_since_receive = 0
        self._take_up_new()
        if not self._blocked:
            return super().receive()
        try:
            timer = self._next_block()
        except Unforeseeable:
            self._for_good = True
            self._leave()
            return super().receive()
        if timer is not None:
            return self._fired(timer)
        return self._receive_of_block(cast(Block, self._block))

    def _receive_of_block(self, block: Block) -> Any:
        """Receive from what is left of a block, as much as there is room for before the engine must know."""
        if not self._position:
            self._workers, self._times = block.worker.tolist(), block.time.tolist()
        room = min(self._engine.room(), self._check_progress_at - self._arrivals_since_step - 1)
        self._end = min(block.size, self._position + room)
        return self._receive_until_the_next_look()

    def _let_wait(self) -> None:
        """The worker that came last was not sent out again; where that happens twice in a row it is a round."""
        self._waited = self._waited + 1 if self._position == 1 else 1
        self._round = self._waited > 1
        self._cut_off()

    def _receive_until_the_next_look(self) -> Any:
        """Receive, and so may the next few, before the clock on the wall is looked at again."""
        over, engine = self._engine.over, self._engine
        engine.look()
        if engine.over is not over:
            raise cast(EndOfRun, engine.over)
        limit = min(self._end, self._position + engine.arrivals_between_looks)
        if cast(Block, self._block).once:
            self._round_limit = limit
            return self._receive_in_round()
        self._limit = limit
        return self.receive()

    def _receive_in_round(self) -> BlockArrival:
        """The next position of a block whose workers wait for each other."""
        self._limit = self._round_limit
        arrival: BlockArrival = self.receive()
        worker, self._open, self._limit = self._open, -1, 0
        self._idle.add(worker)
        self._jobs[worker] = None
        return arrival

    def _is_time_for_progress(self) -> bool:
        """Whether rule 8 asks now if anybody will never return."""
        if self._arrivals_since_step + 1 < self._check_progress_at:
            return False
        if not self._forecast.waits_for_ever:
            self._check_progress_at += self._progress_interval
        return True

    def _next_block(self) -> TimerFired | None:
        """Have a block with something left in it, or a timer that fired; raises EndOfRun."""
        engine, forecast = self._engine, self._forecast
        if engine.gradients >= self._compile_at:
            self._compile_at = math.inf
            forecast.compile()
        while engine.over is None:
            if self._block is not None:
                if self._position < self._block.size:
                    return None
                self._size = self._like(self._size)
                self._end_block()
            queue, now = self._clock.queue, self._clock._now
            until = queue[0][0] if queue else math.inf
            if self._round:
                block = forecast.once(self._like(self._n), until, self._dispatched)
            else:
                block = forecast.block(self._size, now, until, self._dispatched)
            if block is None:
                timer = self._next_event()
                if timer is not None:
                    return timer
            elif engine.crowded(block.times[0], block.size):
                raise Unforeseeable
            else:
                self._block, self._base_k = block, self._k
                self._look_at_k = engine.next_look_at_iteration()
        raise engine.over

    def _next_event(self) -> TimerFired | None:
        at_work, arrives = self._forecast.at_work, self._forecast.arrives
        never = None if (arrives < math.inf).any() else np.flatnonzero(at_work).tolist()
        return self._engine.next_event(never)

    def _end_block(self) -> None:
        """Forget what was forecast and not delivered; the arrays then say how things stand."""
        block = self._block
        if block is None:
            return
        self._hand_over()
        if not block.once:
            self._dispatched = block.first + self._position - (self._open >= 0)
        self._block = None
        self._position = self._limit = self._end = self._base = self._step_at = self._round_limit = 0
        if self._open >= 0:
            worker, self._open = self._open, -1
            self._forecast.idle(worker)
            self._idle.add(worker)
            self._jobs[worker] = None

    def _cut_off(self, spared: int = 0) -> None:
        """End the block, as something was done that it does not foresee, and that for `spared` workers at once."""
        if self._block is not None:
            delivered = self._position
            self._size = self._like(delivered)
            # a new block costs about as much as the plain core takes for so many arrivals
            self._cut = self._cut + 1 if delivered + spared < 50 + self._n // 16 else 0
            self._end_block()

    def _like(self, delivered: int) -> int:
        """The size of a block after one of which so many were delivered."""
        return min(max(SMALL, 2 * delivered), max(LARGE, self._n // 8))

    def _send_another(self, worker: int, job: Gradient) -> None:
        """A gradient for a worker that has been idle for longer."""
        version = self._k if job._x is self._x else self._version(job)
        if self._block is not None:
            if self._block.once and len(self._idle) == 1:  # sent out again at once, like in no round
                self._round, self._waited = False, 0
            self._cut_off()
        self._jobs[worker] = job
        self._job_versions[worker] = version
        self._idle.discard(worker)
        self._new.append(worker)
        self._dispatched += 1

    def _take_up_new(self) -> None:
        """The times of those that were sent out since the last receive; a law that fails is left to the plain core."""
        if self._new:
            workers = np.array(self._new)
            try:
                self._forecast.send(workers, self._clock._now, self._dispatched - len(workers))
                self._tell(workers)
            except Unforeseeable:
                self._for_good = True
                self._leave()
            if len(self._new) > len(self._idle):
                self._idle = set(self._idle)  # a set keeps the room that it once needed
            self._new = []

    def _tell_of(self, worker: int, job: Job, position: int) -> None:
        """The same of one that was sent out again after this position of the block."""
        block, ahead = self._block, self._evaluation.ahead
        assert block is not None and ahead is not None  # noqa: PT018 - who asks has looked
        at = block.comes_back(position)
        if at < math.inf:
            ahead.sent(worker, block.numbers[position] + 1, job, at)

    def _tell(self, workers: np.ndarray) -> None:
        """Tell who computes ahead what was sent."""
        ahead, forecast = self._evaluation.ahead, self._forecast
        if ahead is not None:
            for worker, m, at in zip(
                workers.tolist(), forecast.m[workers].tolist(), forecast.arrives[workers].tolist(), strict=True
            ):
                if at < math.inf:
                    ahead.sent(worker, m, self._jobs[worker], at)

    def _hand_over(self) -> None:
        """Give the log the rows of what was delivered, and take it up in the arrays and the engine."""
        block, start, stop = self._block, self._base, self._position
        if block is None or (start == stop and not self._tape):
            return
        ends, marks = self._rows_of(block, start, stop)
        self._forecast.settle(block, start, stop)
        if stop > start:
            self._engine.counted(block.time[start:stop])
        self._arrivals_since_step += stop - max(start, self._step_at)
        self._base, self._base_k = stop, self._k
        self._end_versions.clear()
        self._tape.clear()
        self._rows.clear()
        self._log.add(ends, marks)

    def _rows_of(self, block: Block, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the log: the ends of the arrivals start…stop, and what is on the tape."""
        tape = np.array(self._tape, np.int64).reshape(-1, 2)
        when, what = tape[:, 0], tape[:, 1]
        steps = what == -1
        part = slice(start, stop)
        ends = np.empty((stop - start, len(ENDS)))
        ends[:, TIME] = block.time[part]
        ends[:, WORKER] = block.worker[part]
        ends[:, M] = block.m[part]
        ends[:, KIND] = ARRIVED
        # the steps that were made when fewer than p + 1 arrivals had come were made before arrival p
        ends[:, K] = self._base_k + np.searchsorted(when[steps], np.arange(start, stop), "right")
        ends[:, VERSION] = self._end_versions
        ends[:, SENT] = block.sent[part]
        ends[:, COMPUTING_FROM] = block.begins[part]
        ends[:, COMPUTING_TO] = block.ends[part]
        ends[:, DONE] = ends[:, COST] = 1
        marks = np.zeros((len(tape), len(MARKS)))
        marks[:, TIME] = block.time[when - 1]
        marks[:, WORKER] = -1
        marks[:, KIND] = STEP
        marks[:, K] = self._base_k + np.cumsum(steps)
        used = np.flatnonzero(what >= 0)
        of = ends[what[used] - start]
        marks[used, WORKER], marks[used, M], marks[used, KIND] = of[:, WORKER], of[:, M], USED
        marks[used, DELAY], marks[used, GRADIENTS] = of[:, K] - of[:, VERSION], 1
        if self._rows:
            marks[what < -1] = self._rows
        return ends, marks

    # ---- what else a method reads and does

    @property
    def idle(self) -> list[int]:
        """The workers that have nothing to do, in ascending order."""
        return sorted(self._idle) if self._open < 0 else sorted((*self._idle, self._open))

    def in_flight(self, delay_at_least: int = 0) -> list[InFlight]:
        self._leave()
        return super().in_flight(delay_at_least)

    def stop(self, worker: int, keep: bool = False) -> None:
        self._leave()
        self._calm = -1
        super().stop(worker, keep)

    def stop_all(self) -> None:
        if not self._blocked:
            super().stop_all()
            return
        if len(self._idle) + (self._open >= 0) == self._n:
            return  # nobody is at work, so that nothing was foreseen wrongly
        if self._block is not None:
            self._cut_off(spared=self._n - len(self._idle))
        self._take_up_new()
        if not self._blocked:
            super().stop_all()
            return
        forecast, now = self._forecast, self._clock._now
        workers = np.flatnonzero(forecast.at_work)
        listed = workers.tolist()
        rows = np.zeros((len(workers), len(ENDS)))
        rows[:, TIME], rows[:, WORKER], rows[:, M] = now, workers, forecast.m[workers]
        rows[:, KIND], rows[:, K], rows[:, COST] = STOPPED, self._k, 1
        rows[:, VERSION] = [self._job_versions[worker] for worker in listed]
        rows[:, SENT] = forecast.sent[workers]
        # who has not begun never does
        rows[:, COMPUTING_FROM] = np.minimum(forecast.begins[workers], now)
        rows[:, COMPUTING_TO] = np.minimum(forecast.ends[workers], now)
        forecast.idle(workers)
        forecast.m[workers] += 1
        for worker in listed:
            self._jobs[worker] = None
        self._idle.update(listed)
        self._log.add(rows, NO_MARKS)

    def timer(self, name: str, *, every: float | None = None, after: float | None = None) -> None:
        if self._block is not None and name not in self._timers:
            self._end_block()  # it may reach beyond the timer
        super().timer(name, every=every, after=after)

    def pending(self) -> list[tuple[int, Job, int]]:
        if not self._blocked:
            return super().pending()
        self._hand_over()
        forecast, jobs = self._forecast, self._jobs
        workers = [*np.flatnonzero(forecast.at_work).tolist(), *self._new]
        numbers = forecast.m[workers].tolist()
        return [(w, jobs[w], m) for w, m in zip(workers, numbers, strict=True) if w != self._open]

    def given(self) -> np.ndarray:
        if not self._blocked:
            return super().given()
        self._hand_over()
        given = self._forecast.m + self._forecast.at_work
        given[self._new] += 1
        if self._open >= 0:
            given[self._open] -= 1
        return given

    def at_work(self) -> dict[str, np.ndarray]:
        if self._blocked:
            self._hand_over()
            self._take_up_new()
        if not self._blocked:
            return super().at_work()
        forecast = self._forecast
        workers = np.flatnonzero(forecast.at_work)
        workers = workers[workers != self._open]
        return {
            "worker": workers,
            "cost": np.ones(len(workers), np.int64),
            "computing_from": forecast.begins[workers],
            "computing_to": forecast.ends[workers],
            "stopped": np.zeros(len(workers), bool),
        }

    def _assignment_of(self, worker: int) -> Assignment | None:
        if self._blocked:
            self._hand_over()
            self._take_up_new()
        if not self._blocked:
            return super()._assignment_of(worker)
        return None if worker == self._open or worker in self._idle else self._as_assignment(worker)

    def _as_assignment(self, worker: int) -> Assignment:
        forecast = self._forecast
        m, rank, sent = (column[worker].item() for column in (forecast.m, forecast.rank, forecast.sent))
        a = Assignment(worker, self._jobs[worker], self._job_versions[worker], m, rank, sent)
        a.draws = [forecast.draw[worker].item()]
        a.computing_from = forecast.begins[worker].item()
        a.computing_to = forecast.ends[worker].item()
        a.arrives = forecast.arrives[worker].item()
        return a

    # ---- to the plain core and back

    def _leave(self) -> None:
        """Let the engine's own event loop go on."""
        if not self._blocked:
            return
        if self.before_leaving is not None:
            self.before_leaving()
            self.before_leaving = None
        self._end_block()
        given = self.given().tolist()
        new, self._new = self._new, []
        self._blocked = False
        self._given = given
        self._in_flight = [None] * self._n
        for worker in np.flatnonzero(self._forecast.at_work).tolist():
            self._in_flight[worker] = self._as_assignment(worker)
        self._engine.put([a for a in self._in_flight if a is not None])
        first = self._dispatched - len(new)
        for number, worker in enumerate(new, first):
            version, m = self._job_versions[worker], self._given[worker] - 1
            a = Assignment(worker, self._jobs[worker], version, m, number, self._clock._now)
            self._in_flight[worker] = a
            self._engine.dispatch(a)
        self._jobs, self._job_versions = [], []
        self._by_version = None
        self._calm, self._expected = 0, -1
        self._cut = self._kept = self._waited = 0
        self._round = False
        self._patience *= 2

    def _receive_plainly(self) -> Any:
        """Receive by the event loop, and see whether the pattern holds in which blocks are worth while."""
        self._calm = self._calm + 1 if self._calm >= 0 and self._expected < 0 else 0
        self._kept = self._kept + 1 if self._expected >= 0 else 0
        if max(self._calm, self._kept) >= self._patience and not self._for_good:
            self._round = self._kept > 0
            if self._enter():
                return self._receive_slowly()
            self._patience *= 2
        came = super().receive()
        self._expected = came.worker if type(came) is Arrival else -1
        return came

    def _enter(self) -> bool:
        """Let the arrays say who is at work; False where they cannot hold it."""
        found = [a for a in self._in_flight if a is not None]
        if not all(map(_is_simple, found)):
            self._calm = self._kept = 0
            return False
        forecast, n = self._forecast, self._n
        forecast.m[:] = self._given
        forecast.idle(slice(None))
        workers = np.array([a.worker for a in found], np.int64)
        forecast.m[workers] -= 1
        forecast.at_work[workers] = True
        forecast.rank[workers] = [a.number for a in found]
        forecast.sent[workers] = [a.sent for a in found]
        forecast.draw[workers] = [a.draws[0] for a in found]
        forecast.begins[workers] = [a.computing_from for a in found]
        forecast.ends[workers] = [a.computing_to for a in found]
        forecast.arrives[workers] = [a.arrives for a in found]
        self._jobs, self._job_versions = [None] * n, [0] * n
        for a in found:
            self._jobs[a.worker], self._job_versions[a.worker] = a.job, a.version
        self._engine.put([])
        self._in_flight, self._given = [], []
        self._by_version = None
        self._blocked = True
        self._size = SMALL
        self._cut = 0
        return True

    def snapshot(self) -> dict[str, Any]:
        self._leave()
        return super().snapshot()

    def restore(self, snapshot: Any) -> None:
        self._leave()
        self._patience = PATIENCE
        super().restore(snapshot)


def _is_simple(a: Assignment) -> bool:
    """Whether it is one gradient, and nothing but its arrival can happen to it."""
    return type(a.job) is Gradient and a.job._count == 1 and a.deadline is None and a.outcome == ARRIVED


class BlockArrival(Arrival):
    """An arrival that is a position of a block."""

    __slots__ = ("_block", "_position", "_version")

    _server: BlockServer
    _block: Block
    _position: int
    _version: int
    count = steps = done = 1
    timed_out = False

    @property
    def _asked(self) -> Asked:
        return self  # worker, job, m and done are all that an engine wants to know

    @property
    def m(self) -> int:
        """Number of its gradient in the life of its worker."""
        return self._block.numbers[self._position]

    @property
    def gradient(self) -> np.ndarray:
        answer: np.ndarray = self._answer
        if answer is None:
            answer = self._answer = self._server._read_one(self)
        return answer

    @property
    def compute_times(self) -> tuple[float, ...]:
        return (self._block.draws[self._position],)

    @property
    def _assignment(self) -> Assignment:
        block, p = self._block, self._position
        # its number of dispatch is not known any more, and nobody needs it when it has arrived
        a = Assignment(self.worker, self.job, self._version, self.m, -1, block.sent[p].item())
        a.draws = [block.draw[p].item()]
        a.computing_from, a.computing_to, a.arrives = block.begins[p].item(), block.ends[p].item(), block.time[p].item()
        return a


_new = object.__new__
