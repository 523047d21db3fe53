"""What problems on networks share: f(x) = mean loss of a network with parameters x over samples + (λ/2)‖x‖².

The computing itself is a **kernel**. A kernel knows network and samples, takes points and numbers of samples, and gives
losses and gradients:

    name, random                       what it is called; whether a gradient needs luck of its own (dropout)
    one(x, indices, rng)               the mean gradient (d,) over these samples
    rows(points, indices)              (S, d): row j is `one(points[j], indices[j])` bit for bit; None where there is none
    loss_and_gradient(x, indices)      mean loss and gradient over these samples, as evaluated, without luck
    right(x)                           how many of the test samples it tells right

A run uses one kernel: the same gradient differs in its last bits from kernel to kernel. `problem.kernels` lists those a
problem has, `problem.with_kernel(name)` is the same problem on another one, `fastest_kernel` tries them.

The exact passes go through the samples in pieces and add up in float64.
"""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np

from asyncsim.problems.problem import Vector
from asyncsim.problems.samples import Array, Indices, Minibatches
from asyncsim.streams import Stream, sequential

_PIECE = 512  # samples that are evaluated together in the exact passes


class Kernel(Protocol):
    """See the head of this file."""

    @property
    def name(self) -> str: ...
    @property
    def random(self) -> bool: ...
    @property
    def rows(self) -> Any: ...

    def one(self, x: Vector, indices: Indices, rng: np.random.Generator | None = None) -> Vector: ...
    def loss_and_gradient(self, x: Vector, indices: Indices) -> tuple[float, Vector]: ...
    def right(self, x: Vector) -> int: ...


@dataclasses.dataclass(frozen=True)
class KernelInfo:
    """What can be known of a kernel before it is used.

    batched : whether the problem has `gradients` with it
    stable_rows : whether a row's bits do not depend on what shares its batch; such a kernel alone may be used for batches
    padded_to : 0, or the fixed number of rows that every batch is filled up to, so that fewer cost as much
    says : one sentence
    """

    name: str
    batched: bool
    stable_rows: bool
    padded_to: int
    says: str


class OnKernel(Minibatches):
    """A problem on samples whose gradients come from a kernel.

    Needs, besides what minibatches do: `_make_kernel(name)`, `kernels`, `kernel`, `components`, `x0`, `test_size`, `_seed`.
    """

    if TYPE_CHECKING:
        kernel: Any
        regularisation: Any
        record_samples: Any
        sigma2_samples: Any
        _seed: ClassVar[int]

        @property
        def kernels(self) -> tuple[KernelInfo, ...]: ...
        @property
        def components(self) -> int: ...
        @property
        def x0(self) -> Vector: ...
        @property
        def test_size(self) -> int: ...
        def _make_kernel(self, name: str) -> Kernel: ...

    L: ClassVar[None] = None
    f_star: ClassVar[None] = None
    x_star: ClassVar[None] = None

    @property
    def dimension(self) -> int:
        return len(self.x0)

    # -- kernels

    @cached_property
    def _kernel(self) -> Kernel:
        return self._make_kernel(self.kernel_name)

    @property
    def kernel_name(self) -> str:
        """The kernel that is used; `auto` is the first of `kernels`."""
        return str(self.kernels[0].name if self.kernel == "auto" else self.kernel)

    @property
    def copy_seconds(self) -> float:
        """Seconds of all copies between the host and a cuda device so far; 0 on the processor."""
        return float(getattr(self._kernel, "copy_seconds", 0.0))

    def with_kernel(self, name: str) -> Self:
        """The same problem, at the same x0 and on the same samples, whose gradients come from another kernel."""
        known = [info.name for info in self.kernels]
        if name not in known:
            raise ValueError(f"{type(self).__name__}: kernel = {name!r}, but there are {', '.join(known)}")
        other = copy.copy(self)
        vars(other)["kernel"] = name
        _ = other._kernel
        return other

    def __copy__(self) -> Self:
        other = object.__new__(type(self))
        vars(other).update(self.__getstate__())
        return other

    # -- stochastic gradients

    def gradient(self, x: Vector, rng: np.random.Generator, worker: int) -> Vector:
        """The gradient (d,) on a fresh minibatch of the worker's samples."""
        return self._regularised(self._kernel.one(x, self._drawn(rng, worker), rng), x)

    @property
    def gradients(self) -> Any:
        """gradients(X, rngs, workers) → (S, d), where the kernel computes rows together; else there is no such method."""
        if self._kernel.rows is None:
            raise AttributeError(f"the kernel {self.kernel_name} computes one gradient at a time")
        return self._gradients

    def _gradients(self, X: Sequence[Vector], rngs: Iterable[np.random.Generator], workers: Sequence[int]) -> Array:
        rows: Array = self._kernel.rows(X, self._all_drawn(rngs, workers))
        if self.regularisation:
            for j, x in enumerate(X):
                rows[j] += self.regularisation * x
        return rows

    def component_gradient(self, x: Vector, j: int) -> Vector:
        """∇f_j(x), (d,), of sample j = 0…m−1."""
        return self.component_mean(x, [j])

    def component_mean(self, x: Vector, indices: Sequence[int]) -> Vector:
        """The mean of ∇f_j(x), (d,), over the samples `indices`."""
        return self._pass(x, np.asarray(indices, dtype=np.intp))[1]

    def worker_gradient(self, x: Vector, worker: int) -> Vector:
        """∇f_i(x), (d,), over all samples of worker i; ∇f(x) over all samples where all have all."""
        share = self._share
        own = np.arange(share) + (0 if self.workers is None else worker * share)
        return self._pass(x, own)[1]

    # -- exact passes

    def value(self, x: Vector) -> float:
        """f(x) over all samples, or over `record_samples` of them."""
        return self.value_and_gradient(x)[0]

    def full_gradient(self, x: Vector) -> Vector:
        """∇f(x), (d,), over all samples, or over `record_samples` of them."""
        return self.value_and_gradient(x)[1]

    def value_and_gradient(self, x: Vector) -> tuple[float, Vector]:
        """f(x) and ∇f(x) from one pass over all samples, or over `record_samples` of them."""
        return self._pass(x, self._recorded)

    @cached_property
    def _recorded(self) -> Indices:
        m, asked = self.components, self.record_samples
        if asked is None or asked >= m:
            return np.arange(m)
        return np.sort(sequential(self._seed, "record").permutation(m)[:asked])

    def _pass(self, x: Vector, indices: Indices) -> tuple[float, Vector]:
        loss, gradient = 0.0, np.zeros(len(x))
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, len(indices), _PIECE):
                piece = indices[start : start + _PIECE]
                its_loss, its_gradient = self._kernel.loss_and_gradient(x, piece)
                loss += its_loss * (len(piece) / len(indices))
                gradient += its_gradient * (len(piece) / len(indices))
            if self.regularisation:
                loss += 0.5 * self.regularisation * float(np.sum(np.square(x, dtype=np.float64)))
            return loss, self._regularised(gradient.astype(x.dtype), x)

    def _regularised(self, gradient: Vector, x: Vector) -> Vector:
        if self.regularisation:
            gradient += self.regularisation * x
        return gradient

    def test_accuracy(self, x: Vector) -> float:
        """The share of the test samples (of their targets, where a sample has several) that are told right."""
        if not self.test_size:
            raise ValueError(f"{type(self).__name__}: nothing is held out to be tested on; give test")
        return self._kernel.right(x) / self.test_size

    # -- constants

    @property
    def f_lower(self) -> float | None:
        return None

    @cached_property
    def sigma2(self) -> float | None:
        """The largest over workers of E‖gradient − ∇f_i‖² at x0 from `sigma2_samples` gradients; None unless asked for."""
        if not self.sigma2_samples:
            return None
        luck = Stream(self._seed, "sigma2")
        workers = range(self.workers or 1)
        each = -(-self.sigma2_samples // len(workers))
        found = []
        for worker in workers:
            exact = self.worker_gradient(self.x0, worker).astype(np.float64)
            squares = [
                np.sum((self.gradient(self.x0, luck.at(worker, m), worker) - exact) ** 2) for m in range(max(2, each))
            ]
            found.append(float(np.mean(squares)))
        return max(found)

    @cached_property
    def zeta2(self) -> float:
        """(1/n) Σ ‖∇f_i(x0) − ∇f(x0)‖² over the workers, at the start; 0 unless they differ."""
        if self.workers is None or self.workers == 1:
            return 0.0
        gradients = np.stack([self.worker_gradient(self.x0, i) for i in range(self.workers)]).astype(np.float64)
        return float(np.mean(np.sum((gradients - gradients.mean(axis=0)) ** 2, axis=1)))

    @property
    def estimated(self) -> frozenset[str]:
        some = self.record_samples is not None and self.record_samples < self.components
        names = {"sigma2": bool(self.sigma2_samples), "value": some, "squared_gradient_norm": some}
        return frozenset(name for name, is_estimate in names.items() if is_estimate)


def fastest_kernel(problem: Any, together: int = 32, seconds: float = 0.2) -> tuple[str, Mapping[str, float]]:
    """(the kernel that takes least, seconds a gradient by kernel), each tried for `seconds` of this process' time.

    Kernels that batch are tried with `together` gradients at different points a call, as many as a run may have pending;
    with 1, and for kernels that do not batch, one at a time. A measurement: another machine may say otherwise.

    >>> from asyncsim.problems import MLP
    >>> name, taken = fastest_kernel(MLP("digits", hidden=(8,)).build(), seconds=0.01)
    >>> name in taken and min(taken.values()) == taken[name]
    True
    """
    taken = {}
    for info in problem.kernels:
        tried = problem.with_kernel(info.name)
        taken[info.name] = _seconds_a_gradient(tried, together if info.batched else 1, seconds)
    return min(taken, key=lambda name: taken[name]), taken


def _seconds_a_gradient(problem: Any, together: int, seconds: float) -> float:
    luck = Stream(0, "trial")
    points = [problem.x0 + np.asarray(1e-3 * j, problem.x0.dtype) for j in range(together)]
    workers = [j % (problem.workers or together) for j in range(together)]

    def call(m: int) -> None:
        if together > 1 and hasattr(problem, "gradients"):
            problem.gradients(points, (luck.at(worker, m) for worker in workers), workers)
        else:
            problem.gradient(points[0], luck.at(workers[0], m), workers[0])

    call(0)  # the first call compiles, allocates and warms up
    begun, calls = time.process_time(), 0
    while calls < 2 or time.process_time() - begun < seconds:
        calls += 1
        call(calls)
    return (time.process_time() - begun) / (calls * together)
