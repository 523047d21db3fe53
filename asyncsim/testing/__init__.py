"""Tools to test a method: arrivals in an order you choose, adversarial fair orders, forced resumes.

The servers here are the real `Server` with its rules; only the engine behind it is another one, in
which nothing arrives by time: a script says who is next (`scripted`), or a sequence of choices does,
under the one promise that nobody is passed over for ever (`adversarial`). `resumed` runs a method in
simulation and takes it up again from the bytes of a checkpoint at the iterations you name.

>>> from asyncsim import AsynchronousSGD
>>> trace = scripted(AsynchronousSGD(stepsize=0.5), arrivals=[1, 1, 0], n=2, x0=[8.0], gradient=lambda x: x)
>>> [x.item() for x in trace.iterates], trace.delays
([8.0, 4.0, 2.0, -2.0], [0, 0, 2])
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from asyncsim.jobs import Assignment, ComponentGradient, Gradient, GradientDifference, LocalSteps, TimerFired
from asyncsim.log import STOPPED, TIMED_OUT, Log
from asyncsim.record import Record
from asyncsim.result import KINDS, Run
from asyncsim.server import EndOfRun, Server
from asyncsim.stop import Stop
from asyncsim.streams import sequential
from asyncsim.theory import Knowledge
from asyncsim.update_rules import UpdateRule
from asyncsim.verify import VerifyingServer, server_for

__all__ = ["TimedOut", "Trace", "adversarial", "resumed", "scripted"]


@dataclasses.dataclass(frozen=True)
class TimedOut:
    """In a script: the deadline of `worker` comes before its answer, with `done` gradients finished."""

    worker: int
    done: int = 0


@dataclasses.dataclass
class Trace:
    """What a method did.

    iterates : x⁰, x¹, … as (d,) arrays
    events : (kind, worker, k) in order, with the kinds of `asyncsim.result.KINDS` and "sent"
    delays : the delay of each arrival, in order
    reason : why it ended
    verification : what the self-check found, where it was asked for
    """

    iterates: list[np.ndarray] = dataclasses.field(default_factory=list)
    events: list[tuple[str, int, int]] = dataclasses.field(default_factory=list)
    delays: list[int] = dataclasses.field(default_factory=list)
    reason: str = ""
    verification: dict[str, Any] = dataclasses.field(default_factory=dict)

    def workers(self, kind: str) -> list[int]:
        """The workers of the events of one kind, in order."""
        return [worker for what, worker, _ in self.events if what == kind]


def scripted(
    method: Any,
    arrivals: Iterable[int | str | TimedOut],
    *,
    n: int,
    x0: Sequence[float] | np.ndarray = (1.0,),
    gradient: Callable[..., Any] = lambda x: x,
    seed: int = 0,
    update_rule: UpdateRule | None = None,
    verify: bool = False,
) -> Trace:
    """Run `method` with arrivals in the given order and return what it did.

    Parameters
    ----------
    arrivals : who is next: a worker that is at work, the name of a pending timer, or `TimedOut(worker)`
    gradient : the answer, as a function of (x), (x, worker) or (x, worker, m); for components (x, j)
    update_rule, verify : as in `simulate`

    The run ends with the script. A worker named in it that is not at work is a ValueError.
    """
    return _run(method, _Scripted(list(arrivals)), n, x0, gradient, seed, update_rule, verify)


def adversarial(
    method: Any,
    choices: Iterable[int],
    *,
    n: int,
    x0: Sequence[float] | np.ndarray = (1.0,),
    gradient: Callable[..., Any] = lambda x: x,
    patience: int | None = None,
    seed: int = 0,
    update_rule: UpdateRule | None = None,
    verify: bool = False,
) -> Trace:
    """Run `method` while an adversary chooses who arrives, fairly.

    Each number chooses among those at work (modulo their number); but whoever was passed over
    `patience` times (default 4n) comes next. hypothesis makes good adversaries::

        @given(st.lists(st.integers(0, 100), max_size=200))
        def test_survives_every_fair_order(choices): ...
    """
    adversary = _Adversary(iter(choices), 4 * n if patience is None else patience)
    return _run(method, adversary, n, x0, gradient, seed, update_rule, verify)


def resumed(method: Any, problem: Any, workers: Any, *, at: Iterable[int], stop: Stop, **simulate_options: Any) -> Run:
    """Like `simulate`, but killed at each iteration in `at` and taken up from its checkpoint's bytes.

    A method that keeps to the order of writing ends with the same event hash and the same bits as
    `simulate` gives; one that keeps something in a local variable does not.
    """
    from asyncsim.running import execute, name_of

    options = {"seed": 0, "target": None, "record": None, "label": None, **simulate_options}
    seed, target = options.pop("seed"), options.pop("target")
    record, label = options.pop("record") or Record(), options.pop("label") or name_of(method)
    checkpoint: bytes | None = None
    for k in (*sorted(set(at)), None):
        keeper = None if k is None else _KillAt(k)
        try:
            return execute(
                method, problem, workers, stop, seed, target, record, label,
                keeper=keeper, checkpoint=checkpoint, **options,
            )  # fmt: skip
        except _Killed as killed:
            checkpoint = killed.data
    raise AssertionError("the last incarnation is never killed")


class _Killed(BaseException):
    def __init__(self, data: bytes) -> None:
        self.data = data


class _KillAt:
    def __init__(self, k: int) -> None:
        self._k = k

    def due(self, k: int) -> bool:
        return k == self._k

    def save(self, encode: Callable[[], bytes], k: int) -> None:
        raise _Killed(encode())


class _ByHand:
    """An engine without time: `now` counts the arrivals; `_next` of a subclass says who comes."""

    def __init__(self) -> None:
        self.trace = Trace()
        self.at_work: dict[int, Assignment] = {}
        self.timers: dict[str, bool] = {}
        self._arrivals = 0

    def bind(self, server: Server, gradient: Callable[..., Any]) -> None:
        self.server = server
        self._gradient = gradient
        self._arguments = len(inspect.signature(gradient).parameters)
        self.trace.iterates.append(server.x)

    def now(self) -> float:
        return float(self._arrivals)

    def dispatch(self, a: Assignment) -> None:
        a.computing_from = a.computing_to = a.arrives = self.now()
        a.draws = [1.0] * a.job.cost
        self.at_work[a.worker] = a
        self._event("sent", a.worker)

    def halt(self, a: Assignment, keep: bool) -> None:
        if keep:
            a.done = max(0, a.job.cost - 1)  # all but the one it was at
        else:
            del self.at_work[a.worker]
            self._event(KINDS[STOPPED], a.worker)

    def set_timer(self, name: str, seconds: float, repeat: bool) -> None:
        self.timers[name] = repeat

    def can_return(self, a: Assignment) -> bool:
        return True

    def next(self) -> Assignment | TimerFired:
        came = self._next()
        self._arrivals += 1
        if isinstance(came, str):
            self._event("timer", -1)
            if not self.timers[came]:
                del self.timers[came]
            return TimerFired(came)
        worker = came.worker if isinstance(came, TimedOut) else came
        a = self.at_work.pop(worker)
        if isinstance(came, TimedOut):
            a.outcome, a.done = TIMED_OUT, came.done if a.at_deadline == "partial" else 0
        a.arrives = a.computing_to = self.now()
        self.trace.delays.append(self.server.k - a.version)
        self._event(KINDS[a.outcome], worker)
        return a

    def _next(self) -> int | str | TimedOut:
        raise NotImplementedError

    def answers(self, assignments: Sequence[Assignment]) -> Sequence[Any]:
        for a in assignments:
            self._event("used", a.worker)
        return [self._answer(a) for a in assignments]

    def stepped(self) -> None:
        self.trace.iterates.append(self.server.x)
        self._event("step", -1)

    def _event(self, kind: str, worker: int) -> None:
        self.trace.events.append((kind, worker, self.server.k))

    def _of(self, x: np.ndarray, a: Assignment, m: int) -> np.ndarray:
        return np.asarray(self._gradient(*(x, a.worker, m)[: self._arguments]), dtype=np.float64)

    def _answer(self, a: Assignment) -> Any:
        job = a.job
        if isinstance(job, Gradient):
            return sum(self._of(job.x, a, a.m + c) for c in range(a.done)) / a.done
        if isinstance(job, ComponentGradient):
            return self._components(job.x, job.components[: a.done])
        if isinstance(job, GradientDifference):
            both_done = job.components[: a.done // 2]
            return self._components(job.x, both_done) - self._components(job.y, both_done)
        if isinstance(job, LocalSteps):
            return self._local_steps(a, job)
        raise TypeError(type(job).__name__)

    def _components(self, x: np.ndarray, components: Sequence[int]) -> np.ndarray:
        answers = [np.asarray(self._gradient(*(x, j)[: self._arguments]), dtype=np.float64) for j in components]
        return sum(answers[1:], answers[0]) / len(answers)

    def _local_steps(self, a: Assignment, job: LocalSteps) -> tuple[np.ndarray, np.ndarray]:
        z, gradient_sum = job.x, np.zeros_like(job.x)
        for j in range(a.done):
            g = self._of(z, a, a.m + j)
            z, gradient_sum = z - job.stepsize(j) * g, gradient_sum + g
        return z, gradient_sum


class _Scripted(_ByHand):
    def __init__(self, script: list[int | str | TimedOut]) -> None:
        super().__init__()
        self._script = script

    def _next(self) -> int | str | TimedOut:
        if self._arrivals == len(self._script):
            raise EndOfRun("finished", "the script ended")
        entry = self._script[self._arrivals]
        pending: Iterable[Any] = self.timers if isinstance(entry, str) else self.at_work
        if (entry.worker if isinstance(entry, TimedOut) else entry) not in pending:
            raise ValueError(
                f"script entry {self._arrivals}: {entry!r} is not pending; at work are {sorted(self.at_work)}, "
                f"timers {sorted(self.timers)}"
            )
        return entry


class _Adversary(_ByHand):
    def __init__(self, choices: Iterator[int], patience: int) -> None:
        super().__init__()
        self._choices = choices
        self._patience = patience
        self._passed_over: dict[int, int] = {}

    def _next(self) -> int | str | TimedOut:
        choice = next(self._choices, None)
        if choice is None:
            raise EndOfRun("finished", "the adversary has no more choices")
        waiting = sorted(self.at_work.values(), key=lambda a: a.number)
        forced = [a for a in waiting if self._passed_over.get(a.number, 0) >= self._patience]
        if not forced and self.timers and choice % (len(waiting) + 1) == len(waiting):
            return sorted(self.timers)[0]
        chosen = forced[0] if forced else waiting[choice % len(waiting)]
        for a in waiting:
            self._passed_over[a.number] = self._passed_over.get(a.number, 0) + 1
        self._passed_over.pop(chosen.number)
        return chosen.worker


def _run(
    method: Any,
    engine: _ByHand,
    n: int,
    x0: Sequence[float] | np.ndarray,
    gradient: Callable[..., Any],
    seed: int,
    update_rule: UpdateRule | None,
    verify: bool,
) -> Trace:
    made_of = (n, sequential(seed, "method"), Log(n), update_rule)
    server = server_for(method, verify, engine, np.array(x0, dtype=np.float64), *made_of)
    engine.bind(server, gradient)
    try:
        method.run(server)
        engine.trace.reason = "the method returned"
    except EndOfRun as over:
        engine.trace.reason = over.reason
    if isinstance(server, VerifyingServer):
        engine.trace.verification = server.verification(Knowledge(n=n))
    return engine.trace
