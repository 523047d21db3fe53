"""Answers: what the gradients are, computed when a method reads them.

In simulation a gradient is computed when it is read, so that what is discarded or stopped costs nothing. How much is
computed in one call changes the speed and nothing else: a problem may offer `gradients(X, rngs, workers)`, whose rows
have the bits of `gradient` whatever their companions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from asyncsim.jobs import ComponentGradient, Gradient, GradientDifference, Job, LocalSteps
from asyncsim.streams import Stream


class Asked(Protocol):
    """A job whose answer is wanted: of this worker, m being the number of its first gradient, `done` how many it has."""

    worker: int
    m: int
    job: Job
    done: int


class Evaluation:
    """The answers of one run.

    Parameters
    ----------
    problem : what gradients are of
    seed : of the run; gradient m of worker i has the luck of (seed, "data", i, m)
    batched : whether gradients that are read together are computed together
    """

    def __init__(self, problem: Any, seed: int, batched: bool) -> None:
        self._problem = problem
        self._data = Stream(seed, "data")
        self._batched = batched

    def answers(self, asked: Sequence[Asked]) -> Sequence[Any]:
        """The answers in this order: (d,) arrays, or (end point, gradient sum) for LocalSteps."""
        if self._batched and len(asked) > 1 and all(type(a.job) is Gradient and a.done == 1 for a in asked):
            rngs = _Rngs(self._data, [(a.worker, a.m) for a in asked])
            return list(self._problem.gradients([a.job.x for a in asked], rngs, [a.worker for a in asked]))
        return [self._answer(a) for a in asked]

    def _answer(self, a: Asked) -> Any:
        job, data = a.job, self._data
        if type(job) is Gradient:
            gradient = self._problem.gradient(job.x, data.at(a.worker, a.m), a.worker)
            for m in range(a.m + 1, a.m + a.done):
                gradient = gradient + self._problem.gradient(job.x, data.at(a.worker, m), a.worker)
            return gradient if a.done == 1 else gradient / a.done
        if isinstance(job, LocalSteps):
            return self._local_steps(a, job)
        if isinstance(job, ComponentGradient):
            return self._components(job.x, job.components[: a.done])
        if isinstance(job, GradientDifference):
            both_done = job.components[: a.done // 2]
            return self._components(job.x, both_done) - self._components(job.y, both_done)
        raise TypeError(f"no answer is known for {type(job).__name__}")

    def _components(self, x: np.ndarray, components: Sequence[int]) -> np.ndarray:
        if len(components) > 1 and hasattr(self._problem, "component_mean"):
            mean: np.ndarray = self._problem.component_mean(x, components)
            return mean
        gradient: np.ndarray = self._problem.component_gradient(x, components[0])
        for j in components[1:]:
            gradient = gradient + self._problem.component_gradient(x, j)
        return gradient if len(components) == 1 else gradient / len(components)

    def _local_steps(self, a: Asked, job: LocalSteps) -> tuple[np.ndarray, np.ndarray]:
        z, gradient_sum = job.x, np.zeros_like(job.x)
        for j in range(a.done):
            gradient = self._problem.gradient(z, self._data.at(a.worker, a.m + j), a.worker)
            gradient_sum += gradient
            z = z - job.stepsize(j) * gradient
        return z, gradient_sum


class _Rngs:
    """The data generators of some gradients (worker, m), item by item; each is valid until the next is taken."""

    def __init__(self, data: Stream, of: Sequence[tuple[int, int]]) -> None:
        self._data = data
        self._of = of

    def __len__(self) -> int:
        return len(self._of)

    def __getitem__(self, j: int) -> np.random.Generator:
        return self._data.at(*self._of[j])

    def __iter__(self) -> Iterator[np.random.Generator]:
        return (self._data.at(worker, m) for worker, m in self._of)
