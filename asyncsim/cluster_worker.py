"""A worker of a real cluster: what runs inside each Ray actor. It knows the problem and nothing of methods.

A job is computed gradient by gradient; between two of them the worker looks whether it was told to stop. Data are
those of the simulation: the generator of this worker's m-th gradient is a function of (seed, "data", worker, m), and
an answer is put together in the simulation's order of operations, so that with one worker both give the same bits.
Components of a finite sum whose mean the problem computes in one call are such a call, without a look in between.

Every time is read from this process's monotonic clock. The driver knows the offset to its own from the ready calls.
A problem whose `device` is cuda is timed between synchronisations of the device. What a problem says in `copy_seconds`
that it has copied to its device and back is no computing: it counts as communication.

On equal machines a *slowdown* makes workers unequal on purpose:

- `sleep`: the m-th gradient takes the seconds that the scenario's compute_time draws for (seed, worker, m), or as long
  as the gradient really takes if that is more. It ends with a stop at once.
- `repeat`: every gradient is computed `factor` times (on average: 2.5 is twice and three times by turns).
- `threads`: the worker computes with so many threads of BLAS and torch.
"""

from __future__ import annotations

import math
import os
import platform
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from asyncsim.jobs import JOBS, ComponentGradient, Gradient, GradientDifference, Job, LocalSteps
from asyncsim.streams import Durations, Stream
from asyncsim.threads import set_threads

_JOB_CLASSES: dict[str, Callable[..., Job]] = {job.__name__: job for job in JOBS}


class ClusterWorker:
    """One worker of one run after another; see the head of this file.

    `compute` runs in the actor's main thread; `stop`, `finished` and `clock` in a thread of their own.
    """

    def __init__(self, worker: int) -> None:
        self._worker = worker
        self._told: dict[int, bool] = {}  # numbers of assignments told to stop; True keeps what is finished
        self._wake = threading.Event()
        self._work: _Work | None = None
        self._number = -1
        self._lock = threading.Lock()

    def begin(self, build: Callable[[], Any], seed: int, slowdown: Slowdown | None) -> dict[str, Any]:
        """Make ready for a run: build the problem, compute one gradient outside the clock. Returns who and where it is."""
        self._problem = build()
        self._data = Stream(seed, "data")
        self._slow = None if slowdown is None else slowdown.start(seed, self._worker)
        self._cuda = str(getattr(self._problem, "device", "")).startswith("cuda")
        self._threads = 1 if slowdown is None else slowdown.threads(self._worker)
        set_threads(self._threads)
        with self._lock:
            self._told.clear()
            self._number = -1
        x0 = np.array(self._problem.x0)
        with np.errstate(over="ignore", invalid="ignore"):
            self._problem.gradient(x0, self._data.at(self._worker, 0), self._worker)
        self._synchronise()
        return {
            "worker": self._worker,
            "pid": os.getpid(),
            "host": platform.node(),
            "device": self._device_name(),
            "threads": self._threads,
            "dtype": str(x0.dtype),
        }

    def _device_name(self) -> str:
        if not self._cuda:
            return "cpu"
        import torch

        return str(torch.cuda.get_device_name())

    def _copied(self) -> float:
        return float(getattr(self._problem, "copy_seconds", 0.0))

    def clock(self) -> float:
        """Seconds of this process's clock, for the offset to the driver's."""
        return time.monotonic()

    def compute(self, number: int, kind: str, fields: Sequence[Any], m: int, *points: np.ndarray) -> dict[str, Any]:
        """The answer of assignment `number`: gradients finished, their seconds, when it began and ended."""
        self._synchronise()
        begun, copied_before = time.monotonic(), self._copied()
        work = _Work(self._problem, self._data, _JOB_CLASSES[kind](*points, *fields), self._worker, m)
        with self._lock:
            self._work, self._number = work, number
            self._wake.clear()
            told = number in self._told
        seconds: list[float] = []
        with np.errstate(over="ignore", invalid="ignore"):
            last, copied = begun, copied_before
            for j in range(work.job.cost):
                if told or not self._one(work, number, m + j):
                    break
                now, copied_now = time.monotonic(), self._copied()
                seconds.append(max(0.0, now - last - (copied_now - copied)))
                last, copied = now, copied_now
                told = number in self._told
            keep = self._told.get(number)
            answer = work.answer() if keep is not False and work.done else None
        self._synchronise()
        ended = time.monotonic()
        if seconds:
            seconds[-1] += ended - last  # what had to be put together at the end
        with self._lock:
            self._work = None
            self._told = {other: keep for other, keep in self._told.items() if other > number}
        copied = self._copied() - copied_before
        return {
            "done": work.done, "answer": answer, "seconds": seconds, "begun": begun, "ended": ended, "copied": copied
        }  # fmt: skip

    def _one(self, work: _Work, number: int, m: int) -> bool:
        """One gradient, as slowly as it is to be; False when it was stopped before its end."""
        begun = time.monotonic()
        work.advance()
        self._synchronise()
        if self._slow is None:
            work.count()
            return True
        for _ in range(self._slow.again(m)):
            work.once_more()
            self._synchronise()
            if number in self._told:
                return False
        while (left := begun + self._slow.seconds(m) - time.monotonic()) > 0:
            if self._wake.wait(min(left, 3600.0)):
                self._wake.clear()
            if number in self._told:
                return False
        work.count()
        return True

    def stop(self, number: int, keep: bool) -> None:
        """Let assignment `number` end between two gradients; with `keep` what is finished is sent."""
        with self._lock:
            if number >= self._number:  # what is over needs no stop
                self._told[number] = keep
                self._wake.set()

    def finished(self, number: int) -> tuple[int, Any]:
        """How many gradients of assignment `number` are finished now, and the answer that they make."""
        with self._lock:
            work = self._work if self._number == number else None
        if work is None:
            return 0, None
        with np.errstate(over="ignore", invalid="ignore"):
            return work.so_far()

    def _synchronise(self) -> None:
        if self._cuda:
            import torch

            torch.cuda.synchronize()


class _Work:
    """A job while it is computed. The answer of `done` gradients can be had at any moment.

    Parts are kept in one attribute that is set at once, so that another thread sees a whole state.
    """

    def __init__(self, problem: Any, data: Stream, job: Job, worker: int, m: int) -> None:
        self.job = job
        self._problem, self._data, self._worker, self._m = problem, data, worker, m
        self._computed = 0
        self._state: tuple[int, Any] = (0, self._begin())
        self._next: Any = None

    @property
    def done(self) -> int:
        return self._state[0]

    def _begin(self) -> Any:
        job: Any = self.job
        return (job.x, np.zeros_like(job.x)) if type(job) is LocalSteps else None

    def advance(self) -> None:
        """Compute the next gradient; it counts once `count` is called."""
        self._next = self._after(self._state[1])

    def once_more(self) -> None:
        """Compute the same gradient again, for nothing."""
        self._after(self._state[1])

    def count(self) -> None:
        """What `advance` computed belongs to the answer."""
        self._state = (self._state[0] + 1, self._next)

    def _after(self, before: Any) -> Any:
        job, j = self.job, self._state[0]
        if isinstance(job, Gradient):
            gradient = self._gradient(job.x, j)
            return gradient if before is None else before + gradient
        if isinstance(job, LocalSteps):
            z, gradient_sum = before
            gradient = self._gradient(z, j)
            return z - job.stepsize(j) * gradient, gradient_sum + gradient
        if isinstance(job, ComponentGradient) and not self._at_once:
            gradient = self._problem.component_gradient(job.x, job.components[j])
            return gradient if before is None else before + gradient
        if isinstance(job, GradientDifference) and not self._at_once:
            x, y = (None, None) if before is None else before
            point = job.y if j % 2 else job.x
            gradient = self._problem.component_gradient(point, job.components[j // 2])
            if j % 2:
                return x, gradient if y is None else y + gradient
            return gradient if x is None else x + gradient, y
        return None

    @property
    def _at_once(self) -> bool:
        return hasattr(self._problem, "component_mean") and len(self.job.components) > 1  # type: ignore[union-attr]

    def _gradient(self, x: np.ndarray, j: int) -> Any:
        return self._problem.gradient(x, self._data.at(self._worker, self._m + j), self._worker)

    def answer(self) -> Any:
        """The answer of what is done."""
        return self._put_together(*self._state)

    def so_far(self) -> tuple[int, Any]:
        """(gradients done, their answer), for another thread."""
        done, state = self._state
        return done, self._put_together(done, state) if done else None

    def _put_together(self, done: int, state: Any) -> Any:
        job = self.job
        if isinstance(job, Gradient):
            return state if done == 1 else state / done
        if isinstance(job, ComponentGradient):
            if self._at_once:
                return self._mean(job.x, job.components[:done])
            return state if done == 1 else state / done
        if isinstance(job, GradientDifference):
            both = done // 2
            if both == 0:
                return None
            if self._at_once:
                components = job.components[:both]
                return self._mean(job.x, components) - self._mean(job.y, components)
            x, y = state
            return x - y if both == 1 else x / both - y / both
        return state

    def _mean(self, x: np.ndarray, components: Sequence[int]) -> Any:
        if len(components) == 1:
            return self._problem.component_gradient(x, components[0])
        return self._problem.component_mean(x, components)


class Slowdown:
    """How workers are made unequal on purpose, see the head of this file.

    sleep : the times whose seconds a gradient takes at least, or None
    repeat : (n,) how often each worker computes a gradient
    threads : (n,) threads of each worker
    """

    def __init__(
        self, sleep: Any = None, repeat: Sequence[float] | None = None, threads: Sequence[int] | None = None
    ) -> None:
        self._sleep, self._repeat, self._threads = sleep, repeat, threads

    def threads(self, worker: int) -> int:
        """With how many threads this worker computes."""
        return 1 if self._threads is None else int(self._threads[worker])

    def start(self, seed: int, worker: int) -> _Slow:
        """For one worker in one run."""
        durations = None if self._sleep is None else Durations(seed, "compute", self._sleep)
        return _Slow(worker, durations, 1.0 if self._repeat is None else float(self._repeat[worker]))


class _Slow:
    def __init__(self, worker: int, durations: Durations | None, factor: float) -> None:
        self._worker, self._durations, self._factor = worker, durations, factor

    def seconds(self, m: int) -> float:
        return 0.0 if self._durations is None else self._durations.draw(self._worker, m, 0.0)

    def again(self, m: int) -> int:
        # by turns, so that on average it is the factor
        return math.floor((m + 1) * self._factor) - math.floor(m * self._factor) - 1
