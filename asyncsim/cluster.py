"""The cluster engine: the same server and methods on real Ray workers, under measured times.

A sibling of the simulation (asyncsim/simulation.py): neither knows the other. What the server asks of an engine is
answered by real actors, one a worker (asyncsim/cluster_worker.py), and by this process's monotonic clock, which starts
when all workers have said that they are ready.

- **Numbers.** Every assignment carries its number. An answer is taken once: what comes late, twice, or from a worker
  that was replaced meanwhile is dropped. Ray never repeats a call by itself (retries are 0).
- **Points** up to `BY_VALUE` bytes travel with the call; larger ones are put into Ray's store once and passed by
  reference as long as they live.
- **Stops** are cooperative: the worker looks between two gradients. The server's view is the simulation's: a stopped
  worker is idle at once, and a job that it is sent meanwhile begins when it has looked. How long that took is kept.
- **Deadlines and timers** are events of this process's clock. At a deadline with `partial` the worker is asked for
  what it has finished by then.
- **Times.** The worker measures its computing by its own monotonic clock; begin and end are brought to ours by the
  offset that was measured when it was made ready (half of the fastest of some round trips), and kept between `sent` and
  the arrival. What is not computing is communication: Ray, the network, and the server when it was not yet waiting.
- **Order.** What came while the server was busy is taken in the order in which it came, and before deadlines and timers
  that were due later. When that was is told by the worker's clock: the end of its computing, and the fastest way to us.
- **Faults.** A worker whose process dies, or that is silent longer than `hung_after`, is replaced, up to `replacements`
  times; the new one is sent the same job with the same number of gradients, so that methods that wait for it go on. A
  job that raises is sent again within the same limit; after that the run fails with that error. A worker that can't be
  replaced any more, or whose other is not ready within `start_timeout` (as no machine has a place for it), is away for
  good (server rule 10) and its job is lost; `Run.engine` says why. The next run of a study tries again.
- **Resuming.** Checkpoints are the simulation's; jobs in flight are sent again with their numbers.

Records are evaluated in this process while the workers go on. The order of arrivals is what happened: a run can't be
repeated bit for bit, but it can be replayed exactly (asyncsim/replay.py).
"""

from __future__ import annotations

import dataclasses
import math
import re
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

import numpy as np

from asyncsim.cluster_metrics import Metrics
from asyncsim.cluster_worker import ClusterWorker, Slowdown
from asyncsim.jobs import Assignment, ComponentGradient, Gradient, GradientDifference, Job, LocalSteps, TimerFired
from asyncsim.log import ARRIVED, STOPPED, TIMED_OUT, Log
from asyncsim.ray_session import EngineError, Session, control
from asyncsim.record import Recorder
from asyncsim.server import EndOfRun, Server, named
from asyncsim.stop import LOOK_EVERY, Keeper, Playing, Stop

BY_VALUE = 100_000  # bytes of a point up to which it travels with the call
ROUND_TRIPS = 5  # to measure the offset of a worker's clock
DEADLINE, TIMER, RECORD, STOP, REPLACED = range(5)  # order of events at one time
STOPS_KEPT = 10_000  # of so many stops it is kept how long they took


@dataclasses.dataclass(frozen=True)
class RayEngine:
    """How a run is played on Ray: `engine: {name: ray, …}` in a scenario.

    address : "local" starts a Ray of its own, "auto" finds the cluster of this machine or RAY_ADDRESS, else "host:port"
    cpus_per_worker, gpus_per_worker : what Ray reserves for each; several workers share a GPU with a fraction
    slowdown : "sleep" lets a gradient take the seconds that the scenario's compute_time draws, "none" what it takes
    repeat : (n,) numbers >= 1: how often each worker computes a gradient, to be slower
    threads : (n,) threads of each worker; 1 unless given
    replacements : how often each worker may be replaced, or a job that raised be sent again
    hung_after : seconds after which a silent worker counts as dead; None waits for ever
    start_timeout : seconds in which all workers must be ready
    insecure : whether a remote cluster without authentication is accepted

    >>> RayEngine(slowdown="sleep").address
    'local'
    """

    address: str = "local"
    cpus_per_worker: float = 1.0
    gpus_per_worker: float = 0.0
    slowdown: Literal["none", "sleep"] = "none"
    repeat: Sequence[float] | None = None
    threads: Sequence[int] | None = None
    replacements: int = 3
    hung_after: float | None = None
    start_timeout: float = 120.0
    insecure: bool = False

    def unequal(self, workers: Any) -> Slowdown | None:
        """What makes the workers unequal on purpose; None where nothing does."""
        if self.slowdown == "none" and self.repeat is None and self.threads is None:
            return None
        return Slowdown(workers.compute_time if self.slowdown == "sleep" else None, self.repeat, self.threads)


class WorkerError(RuntimeError):
    """The problem's code raised on a worker, more often than jobs are sent again."""

    def __init__(self, worker: int, error: Exception) -> None:
        cause = getattr(error, "cause", None) or error
        files = re.findall(r'File "([^"]+)", line (\d+)', str(error))
        own = [f"{file}:{line}" for file, line in files if not {"asyncsim", "ray"} & set(Path(file).parts)]
        place = f" ({own[-1]})" if own else ""
        super().__init__(f"worker {worker}: {type(cause).__name__}: {cause}{place}")


class Crew:
    """The actors of a study: started once, made ready anew for each run."""

    def __init__(self, options: RayEngine, n: int, modules: Iterable[str] = ()) -> None:
        self.options = options
        self.n = n
        self._modules = modules  # of the user's; their code travels with what is made of it
        self._session = Session(
            options.address, options.insecure, n * options.cpus_per_worker, n * options.gpus_per_worker
        )
        self._actors: list[Any] = [None] * n
        self.facts: list[dict[str, Any]] = [{}] * n

    def __enter__(self) -> Crew:
        self._session.__enter__()
        try:
            self._session.by_value(self._modules)
            self._actors = [self._new(worker) for worker in range(self.n)]
        except BaseException:
            self._session.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for actor in self._actors:
            if actor is not None:
                self._session.kill(actor)
        self._session.__exit__()

    def _new(self, worker: int) -> Any:
        return self._session.actor(
            ClusterWorker, worker, cpus=self.options.cpus_per_worker, gpus=self.options.gpus_per_worker
        )

    def begin(self, build: Callable[[], Any], seed: int, slowdown: Slowdown | None) -> list[tuple[float, float]]:
        """Make all workers ready for a run; returns the `offset` of each."""
        self._build, self._seed, self._slowdown = self._session.put(build), seed, slowdown
        everybody = list(range(self.n))
        found = dict(zip(everybody, self._ready(everybody), strict=True))
        # who has died since the last run, and was not needed, is replaced once
        dead = [worker for worker in everybody if isinstance(found[worker], Exception) and self.died(found[worker])]
        for worker in dead:
            self._actors[worker] = self._new(worker)
        found |= zip(dead, self._ready(dead), strict=True)
        for worker, facts in found.items():
            if isinstance(facts, Exception):
                raise EngineError(f"engine ray: worker {worker} could not be made ready: {self._why(facts)}")
        self.facts = [found[worker] for worker in everybody]
        return [self.offset(worker) for worker in everybody]

    def _ready(self, workers: Sequence[int]) -> list[Any]:
        calls = [self._begin(worker) for worker in workers]
        return self._session.all(
            calls, self.options.start_timeout, lambda late: self._not_ready([workers[i] for i in late])
        )

    def _begin(self, worker: int) -> Any:
        if self._actors[worker] is None:
            self._actors[worker] = self._new(worker)
        return self._actors[worker].begin.remote(self._build, self._seed, self._slowdown)

    def _why(self, error: Exception) -> str:
        reason = self._session.reason(error)
        missing = "ModuleNotFoundError" in reason or "ImportError" in reason
        return reason + ("; every machine of the cluster needs what is installed here" if missing else "")

    def _not_ready(self, late: Sequence[int]) -> str:
        return (
            f"workers {named(late)} were not ready after {self.options.start_timeout:g} s; are there enough free CPUs "
            "(`ray status`)? `start_timeout` in the engine section waits longer"
        )

    def offset(self, worker: int) -> tuple[float, float]:
        """Our monotonic clock less that of the worker's process, and the way from there: from the fastest of some trips."""
        best, offset = math.inf, 0.0
        for _ in range(ROUND_TRIPS):
            begun = time.monotonic()
            theirs = self._session.get(control(self._actors[worker].clock).remote(), self.options.start_timeout)
            ended = time.monotonic()
            if ended - begun < best:
                best, offset = ended - begun, (begun + ended) / 2 - theirs
        return offset, best / 2

    def call(self, worker: int, *arguments: Any) -> Any:
        """Let the worker compute; returns a reference to its answer."""
        return self._actors[worker].compute.remote(*arguments)

    def came(self, references: Sequence[Any], seconds: float) -> tuple[list[tuple[Any, Any]], bool]:
        """What has come of these, each with its value or error, and whether it came while we waited: at most so long."""
        if not references:
            time.sleep(seconds)
        found, waited = self._session.ready(references, seconds)
        return [(reference, self._session.value(reference)) for reference in found], waited

    def stop(self, worker: int, number: int, keep: bool) -> None:
        """Tell the worker to end this assignment at its next look."""
        control(self._actors[worker].stop).remote(number, keep)

    def finished(self, worker: int, number: int) -> tuple[int, Any]:
        """What the worker has finished of this assignment; nothing where it can't be asked."""
        try:
            done, answer = self._session.get(control(self._actors[worker].finished).remote(number), 10.0)
        except Exception:  # it died or hangs, which is found and told elsewhere
            return 0, None
        return int(done), answer

    def replace(self, worker: int) -> Any:
        """Kill the worker's actor, start another; returns a reference to what it says when it is ready."""
        self._session.kill(self._actors[worker])
        self._actors[worker] = self._new(worker)
        return self._begin(worker)

    def give_up(self, worker: int) -> None:
        """Let the worker's actor go; nobody takes its place in this run."""
        self._session.kill(self._actors[worker])
        self._actors[worker] = None

    def put(self, x: np.ndarray) -> Any:
        """A reference to a large point in Ray's store."""
        return self._session.put(x)

    def died(self, error: Exception) -> bool:
        """Whether the error says that the process is gone, and not that its code raised."""
        return self._session.died(error)


class Cluster:
    """The engine of one run. `bind` gives it its server."""

    def __init__(
        self,
        crew: Crew,
        build: Callable[[], Any],
        slowdown: Slowdown | None,
        seed: int,
        stop: Stop,
        log: Log,
        recorder: Recorder,
        keeper: Keeper | None = None,
        look: Callable[[Playing], None] | None = None,
        label: str = "",
    ) -> None:
        self._metrics = Metrics(f"{label} seed {seed}")
        self._delays = 0  # their sum
        self._crew = crew
        self._stop = stop
        self._log = log
        self._recorder = recorder
        self._keeper = keeper
        self._look = look
        self._replacements = crew.options.replacements
        self._hung_after = math.inf if crew.options.hung_after is None else crew.options.hung_after
        self._asked: dict[Any, tuple[Assignment, int]] = {}  # reference to an answer → of what, and which sending of it
        self._beginning: dict[Any, tuple[int, int]] = {}  # reference to a replacement that is made ready
        self._came: deque[tuple[float, Assignment, int, Any]] = deque()  # (arrived, of what, sending, answer or error)
        self._looked_at = self._last_arrival = 0.0
        self._out: dict[int, Assignment] = {}  # in flight, by number
        self._try: dict[int, int] = {}  # number → which sending of it is the one that counts
        self._tries = 0
        self._hung_at: deque[tuple[float, int, int]] = deque()  # (when, number, sending), in order of time
        self._events: list[tuple[float, int, int, Callable[[], None]]] = []
        self._event_number = 0
        self._timers: dict[str, tuple[float, float | None]] = {}
        self._arrived: Assignment | TimerFired | None = None  # what an event gave to `next`
        self._over: EndOfRun | None = None
        self._ended_at: float | None = None
        self._failure: Exception | None = None
        self._replaced = [0] * crew.n
        self._raised = [0] * crew.n
        self._gone: dict[int, str] = {}  # workers that are not replaced any more, and why
        self._starting: dict[int, int] = {}  # workers whose other one is not ready yet: which replacement it is
        self._points: dict[int, tuple[weakref.ref[np.ndarray], Any]] = {}
        self.stops: list[tuple[int, int, float, float]] = []  # (worker, number, told at, free again at)
        self._stops = 0
        self._stopped_at: dict[int, tuple[int, float]] = {}
        self.dropped = 0  # answers that came late or twice
        self.gradients: int = 0
        self._gradients_before = 0  # of earlier incarnations of a resumed run
        self._iteration_limit = math.inf if stop.iterations is None else stop.iterations
        self._gradient_limit = math.inf if stop.gradients is None else stop.gradients
        self._next_look = 0.0
        self._wall_before = 0.0
        self._offsets = crew.begin(build, seed, slowdown)
        self._zero = time.monotonic()

    # ---- beginning

    def bind(self, server: Server) -> None:
        """Begin at time 0: the first record, and the events that the scenario asks for."""
        self._server = server
        self._take_record(self.now())
        self._zero = time.monotonic()
        self._schedule_stop_and_records()

    def _schedule_stop_and_records(self) -> None:
        if self._stop.time is not None:
            self._at(self._stop.time, STOP, self._on_stop)
        self._schedule_record()

    def _schedule_record(self) -> None:
        at = self._recorder.next_time()
        if at is not None:
            self._at(at, RECORD, self._on_record)

    def _at(self, when: float, priority: int, event: Callable[[], None]) -> None:
        self._event_number += 1
        heappush(self._events, (when, priority, self._event_number, event))

    def _on_stop(self) -> None:
        self.end(EndOfRun("finished", f"time {self._stop.time:g} reached"))

    def _on_record(self) -> None:
        self._take_record(self.now())
        self._schedule_record()

    def _take_record(self, now: float) -> None:
        met = self._recorder.take(now, self._server.k, self._server.x, self._log)
        if met and self._stop.target:
            self._end_at(now, EndOfRun("finished", "target reached"))

    # ---- what the server asks

    def now(self) -> float:
        """Seconds since all workers were ready; the end of the run once it is over."""
        return time.monotonic() - self._zero if self._ended_at is None else self._ended_at

    def dispatch(self, a: Assignment) -> None:
        self._out[a.number] = a
        # for all that we know it computes from now on
        a.computing_from, a.computing_to, a.arrives = a.sent, math.inf, math.inf
        a.draws = []
        if a.deadline is not None:
            self._at(a.sent + a.deadline, DEADLINE, lambda: self._on_deadline(a))
        self._send(a)

    def _send(self, a: Assignment) -> None:
        if a.worker in self._starting:
            self._try[a.number] = -1  # it is sent when the worker is ready
            return
        self._tries += 1
        sending = self._try[a.number] = self._tries
        if self._hung_after < math.inf:
            self._hung_at.append((self.now() + self._hung_after, a.number, sending))
        points, fields = _parts(a.job)
        # plain numbers and lists take Ray's short way; a tuple would be pickled
        reference = self._crew.call(
            a.worker, a.number, type(a.job).__name__, list(fields), int(a.m), *map(self._travelling, points)
        )
        self._asked[reference] = a, sending

    def _travelling(self, x: np.ndarray) -> Any:
        if x.nbytes <= BY_VALUE:
            return x
        kept = self._points.get(id(x))
        if kept is None or kept[0]() is not x:
            self._points = {key: entry for key, entry in self._points.items() if entry[0]() is not None}
            kept = self._points[id(x)] = (weakref.ref(x), self._crew.put(x))
        return kept[1]

    def halt(self, a: Assignment, keep: bool) -> None:
        self._crew.stop(a.worker, a.number, keep)
        if keep:
            return
        now = self.now()
        self._stopped_at[self._try[a.number]] = (a.number, now)
        self._forget(a)
        a.computing_to = now

    def _forget(self, a: Assignment) -> None:
        del self._out[a.number]
        del self._try[a.number]

    def set_timer(self, name: str, seconds: float, repeat: bool) -> None:
        self._schedule_timer(name, self.now() + seconds, seconds if repeat else None)

    def _schedule_timer(self, name: str, at: float, period: float | None) -> None:
        self._timers[name] = (at, period)
        self._at(at, TIMER, lambda: self._on_timer(name))

    def _on_timer(self, name: str) -> None:
        at, period = self._timers.pop(name)
        if period is not None:
            self._schedule_timer(name, at + period, period)
        self._arrived = TimerFired(name)

    def can_return(self, a: Assignment) -> bool:
        return a.worker not in self._gone

    def next(self) -> Assignment | TimerFired:
        while self._over is None:
            if self._failure is not None:
                raise self._failure
            due = self._events[0][0] if self._events else math.inf
            # what arrived by then comes before the event
            if self._came and self._came[0][0] <= due:
                arrived = self._on_answer(*self._came.popleft())
                if arrived is not None:
                    return self._counted(arrived)
            elif due <= self.now():
                if self._looked_at < due:
                    self._look_for_answers(0.0)
                    continue
                heappop(self._events)[3]()
                if self._arrived is not None:
                    came_now, self._arrived = self._arrived, None
                    return came_now
            else:
                self._look_for_answers(min(due - self.now(), LOOK_EVERY))
            if time.monotonic() >= self._next_look:
                self._look_up()
        raise self._over

    def _look_for_answers(self, seconds: float) -> None:
        """Take what has come; where nothing has, wait so long for the first."""
        self._looked_at = self.now()
        found, waited = self._crew.came([*self._asked, *self._beginning], max(seconds, 0.0))
        now, came = self.now(), []
        for reference, answer in found:
            if reference in self._beginning:
                self._on_ready(*self._beginning.pop(reference), answer)
                continue
            a, sending = self._asked.pop(reference)
            failed = isinstance(answer, Exception)
            came.append((now if waited or failed else self._came_at(a, answer, now), a, sending, answer))
        for at, *what in sorted(came, key=itemgetter(0)):
            self._last_arrival = max(self._last_arrival, at)
            self._came.append((self._last_arrival, *what))
        if not found:
            self._look_for_hung()

    def _came_at(self, a: Assignment, answer: dict[str, Any], now: float) -> float:
        """When an answer that is seen only now has come; not before it can have been computed."""
        offset, way = self._offsets[a.worker]
        at: float = answer["ended"] + offset + way - self._zero
        taken: float = answer["ended"] - answer["begun"]
        return min(max(at, a.sent + taken), now)

    def _counted(self, a: Assignment) -> Assignment:
        self.gradients += a.done
        self._delays += (self._server.k - a.version) * a.done
        if self.gradients >= self._gradient_limit:
            # this arrival still reaches the method; the next receive or step ends the run
            self.end(EndOfRun("finished", f"{self.gradients} gradients received"))
        return a

    # ---- what the workers say

    def _on_answer(self, at: float, a: Assignment, sending: int, answer: Any) -> Assignment | None:
        if self._try.get(a.number) != sending:
            self._late(a, sending, answer, at)
            return None
        if isinstance(answer, Exception):
            return self._failed(a, answer)
        if answer["done"] < a.job.cost and a.outcome != STOPPED:
            self.dropped += 1  # it was told to stop what is not stopped any more: a job that was sent again
            self._send(a)
            return None
        self._forget(a)
        a.done = answer["done"]
        a.draws = answer["seconds"] + [math.nan] * (a.job.cost - len(answer["seconds"]))
        self._place(a, answer["begun"], answer["ended"] - answer["copied"], at)
        if a.done == a.job.cost == 1:
            a.draws = [a.computing_to - a.computing_from]  # to the last bit what is kept of it, for a replay
        a.answer = answer["answer"]
        return a

    def _place(self, a: Assignment, begun: float, ended: float, at: float) -> None:
        """Where its computing lay in our time: its own length, moved to between `sent` and the arrival."""
        length = min(ended - begun, at - a.sent)
        a.computing_from = min(max(begun + self._offsets[a.worker][0] - self._zero, a.sent), at - length)
        a.computing_to = a.computing_from + length
        a.arrives = at

    def _late(self, a: Assignment, sending: int, answer: Any, at: float) -> None:
        stopped = self._stopped_at.pop(sending, None)
        if stopped is None:
            self.dropped += 1
        elif not isinstance(answer, Exception):
            free = min(answer["ended"] + self._offsets[a.worker][0] - self._zero, at)
            self._stops += 1
            if len(self.stops) < STOPS_KEPT:
                self.stops.append((a.worker, stopped[0], stopped[1], max(free, stopped[1])))

    def _failed(self, a: Assignment, error: Exception) -> Assignment | None:
        if self._crew.died(error):
            self._replace(a.worker)
            return None
        self._raised[a.worker] += 1
        if self._raised[a.worker] > self._replacements:
            self._failure = WorkerError(a.worker, error)
        else:
            self._send(a)
        return None

    def _replace(self, worker: int) -> None:
        """Put another in the place of a worker that died or hangs, or let it go for good."""
        if worker in self._gone:
            return
        self._replaced[worker] += 1
        if self._replaced[worker] > self._replacements:
            self._give_up(worker, f"died or hung {_times(self._replaced[worker])}")
            return
        for a in self._of(worker):
            self._try[a.number] = -1  # whatever comes of it now is late
        try_ = self._starting[worker] = self._replaced[worker]
        self._beginning[self._crew.replace(worker)] = worker, try_
        self._at(self.now() + self._crew.options.start_timeout, REPLACED, lambda: self._on_start_timeout(worker, try_))

    def _on_start_timeout(self, worker: int, try_: int) -> None:
        if self._starting.get(worker) == try_:
            seconds = self._crew.options.start_timeout
            self._give_up(worker, f"no other was ready within {seconds:g} s: no machine has a free place for it?")

    def _give_up(self, worker: int, why: str) -> None:
        self._gone[worker] = why
        self._starting.pop(worker, None)
        self._crew.give_up(worker)
        self._lose(worker)

    def _on_ready(self, worker: int, try_: int, facts: Any) -> None:
        if self._starting.get(worker) != try_:
            return
        del self._starting[worker]
        try:
            if isinstance(facts, Exception):
                raise facts
            self._offsets[worker] = self._crew.offset(worker)
        except Exception:  # it has died, or the problem can't be built there
            self._replace(worker)
            return
        self._crew.facts[worker] = facts
        for a in self._of(worker):
            self._send(a)
            if a.outcome == STOPPED:
                self._crew.stop(worker, a.number, True)

    def _of(self, worker: int) -> list[Assignment]:
        return [a for a in self._out.values() if a.worker == worker]

    def _lose(self, worker: int) -> None:
        lost = self._of(worker)
        for a in lost:
            self._forget(a)
            a.computing_from = a.computing_to = self.now()
            self._server.lost(a, there=False)
        if not lost:
            self._server.left(worker)

    def _look_for_hung(self) -> None:
        while self._hung_at and self._hung_at[0][0] <= self.now():
            _, number, sending = self._hung_at.popleft()
            if self._try.get(number) == sending:
                self._replace(self._out[number].worker)

    def _on_deadline(self, a: Assignment) -> None:
        if self._out.get(a.number) is not a or a.outcome != ARRIVED:
            return
        done, answer = (0, None)
        if a.at_deadline == "partial":
            done, answer = self._crew.finished(a.worker, a.number)
        self._crew.stop(a.worker, a.number, False)
        now = self.now()
        self._stopped_at[self._try[a.number]] = (a.number, now)
        self._forget(a)
        a.outcome, a.done = TIMED_OUT, done
        a.draws = [math.nan] * a.job.cost
        a.computing_from, a.computing_to, a.arrives = a.sent, now, now
        a.answer = answer
        self._arrived = self._counted(a)

    # ---- looking on, ending

    def _look_up(self) -> None:
        now = time.monotonic()
        self._next_look = now + LOOK_EVERY
        self._look_for_hung()
        self._show()
        if self._stop.wall_clock is not None and self.wall_seconds >= self._stop.wall_clock:
            self.end(EndOfRun("finished", f"{self._stop.wall_clock:g} seconds of wall-clock passed"))
        if self._look is not None:
            self._look(self)

    def _show(self) -> None:
        self._metrics.show(
            gradients=self.gradients,
            iterations=self.iterations,
            busy_workers=len(self._out),
            mean_delay=self._delays / max(1, self.gradients - self._gradients_before),
            replaced_workers=sum(self._replaced),
        )

    def stepped(self) -> None:
        k, now = self._server.k, self.now()
        if self._recorder.due_at(k):
            self._take_record(now)
        if k >= self._iteration_limit:
            self._end_at(now, EndOfRun("finished", f"{k} iterations made"))
        if self._over is not None:
            raise self._over
        if self._keeper is not None and self._keeper.due(k):
            self._keeper.save(self.checkpoint, k)
        if time.monotonic() >= self._next_look:
            self._look_up()

    def end(self, over: EndOfRun) -> None:
        """End the run at the next receive or step (for whoever looks on)."""
        self._end_at(self.now(), over)

    def _end_at(self, now: float, over: EndOfRun) -> None:
        self._over, self._ended_at = over, now

    def answers(self, assignments: Sequence[Assignment]) -> Sequence[Any]:
        return [a.answer for a in assignments]

    # ---- checkpoints

    def checkpoint(self) -> bytes:
        """Everything, as bytes; called at the end of a step."""
        return self._server.encode(
            {
                "server": self._server.snapshot(),
                "log": self._log.snapshot(),
                "recorder": self._recorder.snapshot(),
                "engine": {
                    "now": self.now(),
                    "gradients": self.gradients,
                    "timers": self._timers,
                    "wall": self.wall_seconds,
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
        self._zero = time.monotonic() - engine["now"]
        self.gradients = self._gradients_before = engine["gradients"]
        self._wall_before = engine["wall"] - engine["now"]
        for a in tree["server"]["in_flight"]:
            self.dispatch(a)
            if a.outcome == STOPPED:
                self._crew.stop(a.worker, a.number, True)
        for name, (at, period) in engine["timers"].items():
            self._schedule_timer(name, at, period)
        # who was away has a new process now
        for worker in tree["server"]["away"]:
            server.joined(worker)
        self._schedule_stop_and_records()

    def close(self) -> None:
        """The run is over: let the workers end what they still compute."""
        self._show()
        for a in self._out.values():
            if a.worker not in self._gone:
                self._crew.stop(a.worker, a.number, False)
        self._asked.clear()  # what comes now is wanted by nobody

    # ---- what the run's summary asks

    def held_after(self, now: float) -> np.ndarray:
        """(n,) seconds after `now` in which workers go on with what they were told to stop: not known here."""
        return np.zeros(self._crew.n)

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
        return self._wall_before + self.now()

    def effort(self) -> dict[str, Any]:
        """What was computed is told by the counts: every gradient that was sent."""
        return {}

    def corrections(self) -> float:
        """What is to be added to the logged busy seconds: nothing."""
        return 0.0

    def facts(self) -> dict[str, Any]:
        """What happened to the workers, for the record of the run."""
        replaced = {str(worker): times for worker, times in enumerate(self._replaced) if times}
        raised = {str(worker): times for worker, times in enumerate(self._raised) if times}
        return {
            "engine": "ray",
            "workers": self._crew.facts,
            "replaced": replaced,
            "raised": raised,
            "gone": sorted(self._gone),
            "why_gone": {str(worker): why for worker, why in sorted(self._gone.items())},
            "dropped": self.dropped,
            "stops": self._stops,
            "mean_stop_seconds": float(np.mean([free - told for _, _, told, free in self.stops]))
            if self.stops
            else None,
            # the first ones, each (worker, number of the assignment, told at, free again at)
            "stops_measured": [
                (worker, number, round(told, 6), round(free, 6)) for worker, number, told, free in self.stops
            ],
        }


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _parts(job: Job) -> tuple[tuple[np.ndarray, ...], tuple[Any, ...]]:
    """The job's points, which may be large, and what else it is made of; its class takes points, then the rest."""
    match job:
        case GradientDifference():
            return (job.x, job.y), (job.j,)
        case Gradient():
            return (job.x,), (job.count,)
        case ComponentGradient():
            return (job.x,), (job.j,)
        case LocalSteps():
            return (job.x,), (job.K, job.stepsizes)
