"""What a worker can be asked to compute, and what comes back.

A **job** is plain data: what to compute and at which point. It has a *cost* in gradients (each of
them takes its own random time, and each has its own number m in the life of its worker) and a
*size*, the numbers its answer sends to the server. The minibatch belongs to the problem: a minibatch
gradient is one gradient and costs one draw of time.

Sending a job makes it an **assignment** (who, when, the version of the point, the number of its
first gradient); its answer is an **arrival**. Answers are lazy: in simulation a gradient is computed
when it is read, so discarded work costs nothing. A gradient that was read is *used*; one that was
never read is *discarded*; one that was read and rejected is discarded by `Arrival.discard`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from asyncsim.server import Server

Point = np.ndarray


class ProtocolError(ValueError):
    """A method asked for what the rules of the server forbid; nothing has changed.

    >>> mean([])
    Traceback (most recent call last):
        ...
    asyncsim.jobs.ProtocolError: mean(…): these arrivals hold no gradient; collect at least one first
    """


class WorkerAwayError(ProtocolError):
    """A job for a worker that is away. A method that does not catch it cannot go on, and its run ends as stalled."""

    def __init__(self, message: str, worker: int) -> None:
        super().__init__(message)
        self.worker = worker


class Gradient:
    """`count` stochastic gradients at x, shape (d,); the answer's `gradient` is their mean.

    Each of the `count` gradients is one draw of the worker's compute time.

    >>> Gradient(np.zeros(3), count=2).cost
    2
    """

    # no dataclass: one is made at every sending, and a frozen dataclass takes three times as long to make
    __slots__ = ("_count", "_x")
    __match_args__ = ("x", "count")

    def __init__(self, x: Point, count: int = 1) -> None:
        self._x = x
        self._count = count

    x: Point = property(attrgetter("_x"))  # type: ignore[assignment]
    count: int = property(attrgetter("_count"))  # type: ignore[assignment]
    cost: int = property(attrgetter("_count"))  # type: ignore[assignment]

    @property
    def size(self) -> int:
        return int(self._x.size)

    def __repr__(self) -> str:
        return f"Gradient(x={self._x!r}, count={self._count!r})"


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class ComponentGradient:
    """∇f_j(x) of a finite sum; cost 1. With several components, j a sequence, the answer is their mean.

    >>> ComponentGradient(np.zeros(3), [4, 7]).cost
    2
    """

    x: Point
    j: int | Sequence[int]

    @property
    def cost(self) -> int:
        return 1 if type(self.j) is int else len(self.components)

    @property
    def components(self) -> Sequence[int]:
        return _listed(self.j)

    @property
    def size(self) -> int:
        return int(self.x.size)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class GradientDifference:
    """∇f_j(x) − ∇f_j(y) on the same component j; cost 2, as both gradients are computed.

    With several components, j a sequence, the answer is the mean of the differences. Its version is that
    of x, the point it is made for.

    >>> GradientDifference(np.ones(3), np.zeros(3), [4, 7]).cost
    4
    """

    x: Point
    y: Point
    j: int | Sequence[int]

    @property
    def cost(self) -> int:
        return 2 if type(self.j) is int else 2 * len(self.components)

    @property
    def components(self) -> Sequence[int]:
        return _listed(self.j)

    @property
    def size(self) -> int:
        return int(self.x.size)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class LocalSteps:
    """K local steps z ← z − γ_j g_j from z = x, with one stepsize or K of them; cost K.

    The answer has `end_point` (z after the steps, shape (d,)), `gradient_sum` (Σ g_j, shape (d,)) and `steps`.

    >>> job = LocalSteps(np.zeros(3), 2, stepsizes=[0.2, 0.1])
    >>> job.cost, job.stepsize(1)
    (2, 0.1)
    """

    x: Point
    K: int
    stepsizes: float | Sequence[float]

    @property
    def cost(self) -> int:
        return self.K

    @property
    def size(self) -> int:
        return int(self.x.size)

    def stepsize(self, j: int) -> float:
        """The stepsize of local step j = 0…K−1."""
        # never numpy's scalar, which would make float64 of float32
        return float(self.stepsizes if isinstance(self.stepsizes, int | float) else self.stepsizes[j])


def _listed(j: int | Sequence[int]) -> Sequence[int]:
    return [j] if isinstance(j, int | np.integer) else j


def at_point(job: Job, field: str, x: Point) -> None:
    """Let the job's `field`, "x" or "y", be this array: the one and only change that a job sees, when it is sent."""
    object.__setattr__(job, "_x" if type(job) is Gradient else field, x)


Job = Gradient | ComponentGradient | GradientDifference | LocalSteps
JOBS = (Gradient, ComponentGradient, GradientDifference, LocalSteps)


class Assignment:
    """A job on its way: sent to a worker and not yet back. Made by the server, timed by the engine.

    Times are seconds of the engine's clock: the downlink takes `sent` → `computing_from`, computing
    → `computing_to`, the uplink → `arrives`. `draws` are the compute times of its gradients.
    """

    __slots__ = (
        "answer", "arrives", "at_deadline", "computing_from", "computing_to", "deadline", "done", "draws", "job", "live", "m",
        "number", "outcome", "sent", "version", "worker",
    )  # fmt: skip

    computing_from: float  # these four are set by the engine when it dispatches
    computing_to: float
    arrives: float
    draws: list[float]

    def __init__(self, worker: int, job: Job, version: int, m: int, number: int, sent: float) -> None:
        self.worker = worker
        self.job = job
        self.version = version  # the k at which the job's point was made
        self.m = m  # number of its first gradient in the life of its worker
        self.number = number  # order of dispatch
        self.sent = sent
        self.deadline: float | None = None  # seconds after `sent`
        self.at_deadline = "drop"
        self.live = True
        self.done = job.cost  # gradients in the answer; fewer after a deadline or a stop that keeps
        self.outcome = 0  # log.ARRIVED
        self.answer: Any = None  # where it comes from a real worker; in simulation it is computed when it is read

    def __repr__(self) -> str:
        return (
            f"<assignment #{self.number}: {type(self.job).__name__} of version {self.version} at worker {self.worker}>"
        )


class Asked(Protocol):
    """What an engine must know to give an answer: an assignment, or what stands for one."""

    @property
    def worker(self) -> int: ...
    @property
    def job(self) -> Job: ...
    @property
    def m(self) -> int: ...
    @property
    def done(self) -> int: ...


class InFlight:
    """An assignment as a method sees it: who computes what, and how old its point is by now."""

    __slots__ = ("delay", "job", "worker")

    def __init__(self, worker: int, job: Job, delay: int) -> None:
        self.worker = worker
        self.job = job
        self.delay = delay


@dataclasses.dataclass(frozen=True)
class TimerFired:
    """What `receive` returns when a timer of the method fires.

    >>> class Impatient:
    ...     def run(self, server):
    ...         server.timer("tea", after=5.0)  # seconds
    ...         server.broadcast(Gradient(server.x))
    ...         print(server.receive(), server.receive())
    >>> from asyncsim.testing import scripted
    >>> _ = scripted(Impatient(), arrivals=[1, "tea"], n=2)
    <arrival from worker 1: Gradient, delay 0> TimerFired(name='tea')
    """

    name: str


class Arrival:
    """The answer of a worker.

    Attributes
    ----------
    worker : int, 0…n−1
    job : the job it was sent; `server.send(worker, arrival.job)` means "go on from the point you hold"
    delay : int ≥ 0, iterations made since its point was made, at the moment of its arrival
    compute_times : tuple of seconds, one a gradient
    count : gradients in the answer (of `GradientDifference`: differences)
    timed_out : True when a deadline ended it
    gradient : (d,) array, the mean of its gradients; reading it makes them *used*
    end_point, gradient_sum, steps : for `LocalSteps`

    ProtocolError for `gradient` of local steps, and for `end_point` or `gradient_sum` of anything else.

    >>> class Twice:
    ...     def run(self, server):
    ...         server.broadcast(Gradient(server.x))
    ...         for _ in range(2):
    ...             arrival = server.receive()
    ...             print(arrival.worker, arrival.delay, arrival.gradient)
    ...             server.step(0.5, arrival.gradient)
    >>> from asyncsim.testing import scripted
    >>> _ = scripted(Twice(), arrivals=[1, 0], n=2, x0=[8.0], gradient=lambda x: x)
    1 0 [8.]
    0 1 [8.]
    """

    __slots__ = ("_answer", "_came", "_discarded", "_server", "_used_at", "delay", "job", "worker")

    def __init__(self, server: Server, assignment: Assignment, delay: int) -> None:
        self._server = server
        self._came = assignment
        self.job: Job = assignment.job
        self._answer: Any = None
        self._used_at: int | None = None  # the iteration of its first reading
        self._discarded = False
        self.worker = assignment.worker
        self.delay = delay

    @property
    def _asked(self) -> Asked:
        return self._came

    @property
    def _assignment(self) -> Assignment:
        return self._came

    @property
    def compute_times(self) -> tuple[float, ...]:
        return tuple(self._came.draws[: self._came.done])

    @property
    def count(self) -> int:
        done = self._came.done
        return done // 2 if isinstance(self.job, GradientDifference) else done

    steps = count

    @property
    def timed_out(self) -> bool:
        return self._came.outcome == _TIMED_OUT

    @property
    def gradient(self) -> np.ndarray:
        if isinstance(self.job, LocalSteps):
            raise ProtocolError(
                f"the answer of worker {self.worker} is of LocalSteps: read end_point, gradient_sum or steps, not gradient"
            )
        answer: np.ndarray = self._read()
        return answer

    @property
    def end_point(self) -> np.ndarray:
        return self._local()[0]

    @property
    def gradient_sum(self) -> np.ndarray:
        return self._local()[1]

    def discard(self) -> None:
        """Reject it: its gradients count as discarded from now on, whether they were read or not."""
        if not self._discarded:
            self._discarded = True
            self._server._discard(self)

    def _read(self) -> Any:
        if self._answer is None:
            self._answer = self._server._read((self,))[0]
        else:
            self._server._read_again(self)
        return self._answer

    def _local(self) -> tuple[np.ndarray, np.ndarray]:
        if not isinstance(self.job, LocalSteps):
            raise ProtocolError(f"the answer of worker {self.worker} is of {type(self.job).__name__}: read gradient")
        answer: tuple[np.ndarray, np.ndarray] = self._read()
        return answer

    def __repr__(self) -> str:
        return f"<arrival from worker {self.worker}: {type(self.job).__name__}, delay {self.delay}>"


_TIMED_OUT = 4  # log.TIMED_OUT; jobs are below the log


def read_together(arrivals: Sequence[Arrival]) -> None:
    """Evaluate the answers of the arrivals together; reading them one by one afterwards finds them there."""
    for start in range(0, len(arrivals), 64):
        unread = [arrival for arrival in arrivals[start : start + 64] if arrival._answer is None]
        if unread:
            for arrival, answer in zip(unread, unread[0]._server._read(unread), strict=True):
                arrival._answer = answer


def total(arrivals: Sequence[Arrival]) -> np.ndarray:
    """The sum of all gradients of the arrivals, shape (d,), evaluated together, added in the order given.

    An arrival that a deadline left without a gradient adds nothing. ProtocolError for no arrivals at all.

    >>> class Two:
    ...     def run(self, server):
    ...         server.broadcast(Gradient(server.x, count=3))  # each answer is a mean of three
    ...         print(total([server.receive(), server.receive()]))
    >>> from asyncsim.testing import scripted
    >>> _ = scripted(Two(), arrivals=[0, 1], n=2, x0=[8.0], gradient=lambda x: x)
    [48.]
    """
    if not arrivals:
        raise ProtocolError("total([]): there is nothing to add; collect at least one arrival first")
    return arrivals[0]._server._total(arrivals)


def mean(arrivals: Sequence[Arrival]) -> np.ndarray:
    """The plain mean of all gradients of the arrivals, shape (d,), evaluated together.

    ProtocolError where they hold no gradient.

    >>> class Two:
    ...     def run(self, server):
    ...         server.broadcast(Gradient(server.x, count=3))
    ...         print(mean([server.receive(), server.receive()]))
    >>> from asyncsim.testing import scripted
    >>> _ = scripted(Two(), arrivals=[0, 1], n=2, x0=[8.0], gradient=lambda x: x)
    [8.]
    """
    gradients = sum(arrival.count for arrival in arrivals)
    if gradients == 0:
        raise ProtocolError("mean(…): these arrivals hold no gradient; collect at least one first")
    return total(arrivals) / gradients
