"""Any torch module with a loss and data as a problem: its trainable parameters are the one flat vector x.

The iterate is a numpy array on the host, float32 unless said otherwise, whatever `device` computes: methods, server and
checkpoints are the same for all problems. Samples stay on the device; a gradient copies x there and itself back (how
long that took on cuda, in all, is in `copy_seconds`, so that a cluster's worker can tell it from computing).

What a module may do:

- Parameters that need no gradient, and buffers, are constants. A module whose buffers change when it is called
  (BatchNorm in training) is refused: x would not be all there is.
- Dropout and other luck of its own is drawn from the gradient's generator, so that the m-th gradient of worker i is the
  same whenever it is computed. Records are evaluated without it, in eval mode.
- The loss is a mean over samples. One that adds up, or weighs, would make f depend on how samples are put together: it
  is tried, and refused.

One thread of torch computes, as one of BLAS does in every run: the bits would depend on the number of processors. On
"cuda" the bits of two runs may differ where torch's own operations are not reproducible.

The kernel `torch` computes one gradient at a time, by autograd. `vmap` computes `TOGETHER` at once by torch.func and fills
every call up to that number, since the bits of a row may depend on how many there are, and of some modules do.
"""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from asyncsim.problems.mlp import TOGETHER, torch_kernels
from asyncsim.problems.network import Kernel, KernelInfo, OnKernel
from asyncsim.problems.problem import Vector, frozen
from asyncsim.problems.samples import Array, Indices
from asyncsim.problems.split import split_samples
from asyncsim.streams import sequential

Pair = tuple[Any, Any]  # samples and targets, as arrays or tensors


class TorchProblem(OnKernel):
    """f(x) = the mean loss of a torch module with parameters x over samples.

    Parameters
    ----------
    module : an nn.Module, or a function without arguments that makes one (called with torch's luck seeded by `seed`).
        It is used in the mode it is in, training as a rule.
    loss : function (outputs, targets) → scalar tensor, a mean over samples, as torch.nn.functional.cross_entropy
    data : (X, y), arrays or tensors with as many entries; numbers with a point become `precision`, whole ones int64
    batch_size : samples of one stochastic gradient
    replacement : True (independent samples), False (no sample twice in one minibatch) or "epochs"
    test : (X, y) for the test accuracy
    right : function (outputs, targets) → truth values; unless given, for whole-numbered targets, whether the largest
        output along axis 1 is the target's
    split, workers, alpha : how samples are shared out among `workers` workers: "none", "even", "by_label" (targets of one
        whole number each), "dirichlet" (the same)
    regularisation : λ of (λ/2)‖x‖²
    kernel : "auto" and "torch": one gradient at a time; "vmap": 16 together, for modules that torch.func can batch
    precision, device : "float32" or "float64"; "cpu" or "cuda"
    record_samples : f and ∇f of the records are over so many samples, drawn once; all of them unless given
    sigma2_samples : σ² is estimated from so many gradients at x0; 0 leaves it unknown
    seed : of x0 where `module` is a function, of the split, and of the samples that records use

    ValueError for what does not fit. The module given is copied and never changed; `module_at(x)` gives one with the
    parameters x. Needs the extra torch.

    >>> from torch import nn
    >>> problem = TorchProblem(nn.Linear(3, 2), nn.functional.cross_entropy, (np.eye(3), np.array([0, 1, 1])), batch_size=2)
    >>> problem.dimension, problem.x0.dtype
    (8, dtype('float32'))
    """

    alpha: float

    def __init__(
        self,
        module: Any,
        loss: Callable[[Any, Any], Any],
        data: Pair,
        *,
        batch_size: int = 1,
        replacement: bool | Literal["epochs"] = True,
        test: Pair | None = None,
        right: Callable[[Any, Any], Any] | None = None,
        split: Literal["none", "even", "by_label", "dirichlet"] = "none",
        workers: int | None = None,
        alpha: float = 0.1,
        regularisation: float = 0.0,
        kernel: Literal["auto", "torch", "vmap"] = "auto",
        precision: Literal["float32", "float64"] = "float32",
        device: str = "cpu",
        record_samples: int | None = None,
        sigma2_samples: int = 0,
        seed: int = 0,
    ) -> None:
        _check(batch_size=batch_size, replacement=replacement, split=split, kernel=kernel, precision=precision)
        self.batch_size, self.replacement, self.split, self.alpha = batch_size, replacement, split, alpha
        self.regularisation, self.kernel, self.precision, self.device = regularisation, kernel, precision, device
        self.record_samples, self.sigma2_samples = record_samples, sigma2_samples
        vars(self)["_seed"] = seed
        self._loss, self._right = loss, right
        X, y = (_host(each, precision) for each in _pair(data, "data"))
        self._test: Pair | None = None
        if test is not None:
            X_test, y_test = _pair(test, "test")
            self._test = _host(X_test, precision), _host(y_test, precision)
        if split != "none":
            if workers is None:
                raise ValueError(f"TorchProblem: split {split!r} needs the number of workers: workers=…")
            shares = self._shared_out(y, workers)
            X, y = X[shares.reshape(-1)], y[shares.reshape(-1)]
            vars(self)["workers"] = workers
        self._data = X, y
        self._check_batch_size(split != "none")
        self._module = _made(module, seed)
        _ = self._kernel

    workers: ClassVar[int | None] = None
    _seed: ClassVar[int] = 0

    def _shared_out(self, y: Array, workers: int) -> Indices:
        labels: Array = np.zeros(len(y), np.intp)
        if self.split != "even":
            if y.ndim != 1 or y.dtype.kind != "i":
                raise ValueError(
                    f"TorchProblem: split {self.split!r} goes by labels, but the targets have shape {y.shape} and type "
                    f"{y.dtype}; whole numbers, one a sample, are needed, or split='even'"
                )
            labels = np.unique(y, return_inverse=True)[1].astype(np.intp)
        return split_samples(labels, workers, self.split, self.alpha, sequential(self._seed, "problem"))

    @property
    def components(self) -> int:
        """m, the samples that are in f."""
        return len(self._data[0])

    @property
    def _share(self) -> int:
        return self.components // (self.workers or 1)

    @property
    def test_size(self) -> int:
        """How many targets the test accuracy is of; 0 where it can't be known."""
        if self._test is None or (self._right is None and self._test[1].dtype.kind != "i"):
            return 0
        return int(self._test[1].size)

    @cached_property
    def x0(self) -> Vector:
        return frozen(parameters_of(self._module, self.precision))

    @property
    def kernels(self) -> tuple[KernelInfo, ...]:
        """The kernels that there are, the first of them for `auto`; vmap only where the module's luck is not its own."""
        return torch_kernels()[:1] if self._one_by_one.random else torch_kernels()

    @cached_property
    def _one_by_one(self) -> TorchKernel:
        return TorchKernel(
            self._module, self._loss, self._data, self._test, self._right, precision=self.precision, device=self.device
        )

    def _make_kernel(self, name: str) -> Kernel:
        return self._one_by_one if name == "torch" else Batched(self._one_by_one)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_one_by_one"}

    def module_at(self, x: Vector) -> Any:
        """A copy of the module, on the host, with the parameters x."""
        import torch

        module = copy.deepcopy(self._module)
        place = 0
        with torch.no_grad():
            for parameter in _trainable(module):
                part = x[place : place + parameter.numel()]
                parameter.copy_(torch.from_numpy(np.array(part)).view(parameter.shape))
                place += parameter.numel()
        return module


class TorchKernel:
    """The kernel torch: a module bound to one flat vector, samples on the device."""

    name = "torch"
    rows = None

    def __init__(
        self,
        module: Any,
        loss: Any,
        data: Pair,
        test: Pair | None = None,
        right: Any = None,
        *,
        precision: str = "float32",
        device: str = "cpu",
    ) -> None:
        import torch

        self._torch = torch
        self._device = _device(device)
        self.loss = torch.nn.functional.cross_entropy if loss == "cross_entropy" else loss
        self._right = right or _largest_is_the_target
        self.module = copy.deepcopy(module).to(device=self._device, dtype=getattr(torch, precision))
        self.X, self.y = (self._put(each) for each in data)
        self._test = None if test is None else tuple(self._put(each) for each in test)
        self._parameters = _trainable(self.module)
        # the parameters become views of one vector, so that writing x there is all that a new point takes
        self._flat = torch.cat([parameter.detach().reshape(-1) for parameter in self._parameters])
        place = 0
        for parameter in self._parameters:
            parameter.data = self._flat[place : place + parameter.numel()].view(parameter.shape)
            place += parameter.numel()
        self._modes = [(part, part.training) for part in self.module.modules()]
        self.random = False
        self.copy_seconds = 0.0
        self._try_out()

    def one(self, x: Vector, indices: Indices, rng: np.random.Generator | None = None) -> Vector:
        torch = self._torch
        self._set(x)
        chosen = self.indexed(indices)
        luck: Any = contextlib.nullcontext()
        if self.random:
            if rng is None:
                raise ValueError("this module draws luck of its own: a generator is needed")
            luck = self._seeded(int(rng.integers(2**63)))
        with _one_thread(torch), luck:
            loss = self.loss(self.module(self.X[chosen]), self.y[chosen])
            parts = torch.autograd.grad(loss, self._parameters, materialize_grads=True, allow_unused=True)
            flat = torch.cat([part.reshape(-1) for part in parts])
            with self._copying():
                gradient: Vector = flat.cpu().numpy()
        return gradient

    @contextlib.contextmanager
    def _copying(self) -> Iterator[None]:
        """Count the seconds of a copy between host and device."""
        if self._device.type == "cpu":
            yield
            return
        self._torch.cuda.synchronize()
        begun = time.perf_counter()
        yield
        self._torch.cuda.synchronize()
        self.copy_seconds += time.perf_counter() - begun

    def loss_and_gradient(self, x: Vector, indices: Indices) -> tuple[float, Vector]:
        torch = self._torch
        self._set(x)
        chosen = self.indexed(indices)
        with _one_thread(torch), self._evaluated():
            loss = self.loss(self.module(self.X[chosen]), self.y[chosen])
            parts = torch.autograd.grad(loss, self._parameters, materialize_grads=True, allow_unused=True)
            return float(loss.detach()), torch.cat([part.reshape(-1) for part in parts]).cpu().numpy()

    def right(self, x: Vector) -> int:
        if self._test is None:
            return 0
        torch = self._torch
        self._set(x)
        found = 0
        with _one_thread(torch), self._evaluated(), torch.no_grad():
            for start in range(0, len(self._test[0]), 512):
                X, y = (each[start : start + 512] for each in self._test)
                found += int(self._right(self.module(X), y).sum())
        return found

    def indexed(self, indices: Indices) -> Any:
        """Numbers of samples as a tensor on the device."""
        return self._torch.from_numpy(np.ascontiguousarray(indices)).to(self._device)

    def _put(self, array: Any) -> Any:
        return self._torch.from_numpy(array if array.flags.writeable else array.copy()).to(self._device)

    def _set(self, x: Vector) -> None:
        if self._device.type == "cpu":
            self._flat.numpy()[...] = x
        else:
            with self._copying():
                self._flat.copy_(self._torch.from_numpy(np.array(x)))

    @contextlib.contextmanager
    def _evaluated(self) -> Iterator[None]:
        for part, _ in self._modes:
            part.training = False
        try:
            yield
        finally:
            for part, training in self._modes:
                part.training = training

    @contextlib.contextmanager
    def _seeded(self, seed: int) -> Iterator[None]:
        """Luck from `seed`; the user's own streams are left as they were."""
        devices = [self._device] if self._device.type == "cuda" else []
        with self._torch.random.fork_rng(devices=devices):
            self._torch.manual_seed(seed)
            yield

    # -- what is tried before the first gradient

    def _try_out(self) -> None:
        torch = self._torch
        some = slice(0, 2)
        with _one_thread(torch), self._seeded(0):
            before = {name: buffer.clone() for name, buffer in self.module.named_buffers()}
            luck = torch.random.get_rng_state()
            loss = self._tried(some)
            self.random = not torch.equal(luck, torch.random.get_rng_state()) or self._luck_on_the_device()
            for name, buffer in self.module.named_buffers():
                if not torch.equal(before[name], buffer):
                    raise ValueError(
                        f"the module's buffer {name!r} changes when it is called, so x is not all there is (BatchNorm in "
                        "training does that); take GroupNorm or LayerNorm, or give the module in eval mode"
                    )
            if not loss.requires_grad or loss.ndim:
                raise ValueError(
                    f"the loss gave a tensor of shape {tuple(loss.shape)}"
                    f"{'' if loss.requires_grad else ' that does not depend on the parameters'}; a mean over samples, "
                    "one number, is needed"
                )
            self._try_the_mean()

    def _luck_on_the_device(self) -> bool:
        # on the host the state of the generator tells; on a device dropout does
        dropout = self._torch.nn.modules.dropout._DropoutNd
        return self._device.type == "cuda" and any(isinstance(part, dropout) for part, _ in self._modes)

    def _tried(self, some: Any) -> Any:
        try:
            loss = self.loss(self.module(self.X[some]), self.y[some])
        except Exception as error:  # whatever the user's module or loss raises is told with what was tried
            shapes = f"samples of shape {tuple(self.X[some].shape)} and targets of shape {tuple(self.y[some].shape)}"
            raise ValueError(
                f"the module or the loss refuses {shapes}: {type(error).__name__}: {str(error)[:300]}"
            ) from error
        if not isinstance(loss, self._torch.Tensor):
            raise ValueError(f"the loss gave a {type(loss).__name__}; a tensor of one number is needed")
        return loss

    def _try_the_mean(self) -> None:
        if len(self.X) < 2:
            return
        with self._evaluated(), self._torch.no_grad():
            together = float(self._tried(slice(0, 2)))
            alone = [float(self._tried(slice(j, j + 1))) for j in (0, 1)]
        if abs(together - sum(alone) / 2) > 1e-3 * (abs(alone[0]) + abs(alone[1])) + 1e-6:
            raise ValueError(
                f"the loss of two samples, {together:g}, is not the mean of theirs, {alone[0]:g} and {alone[1]:g}: a mean "
                "over samples is needed (reduction='mean', without weights), and samples that know nothing of each other"
            )


class Batched:
    """The kernel vmap: as many gradients as `TOGETHER` in one call of torch.func, no more and no fewer."""

    name = "vmap"
    random = False

    def __init__(self, kernel: TorchKernel) -> None:
        if kernel.random:
            raise ValueError("the kernel vmap can't batch a module that draws luck of its own (dropout); take torch")
        torch = self._torch = kernel._torch
        self._kernel = kernel
        # its own copy: the other's parameters are views of one vector
        self._module = copy.deepcopy(kernel.module)
        named = [(name, p) for name, p in self._module.named_parameters() if p.requires_grad]
        self._names = [name for name, _ in named]
        self._shapes = [p.shape for _, p in named]
        self._sizes = [p.numel() for _, p in named]
        self._batched = torch.func.vmap(torch.func.grad(self._loss_at))
        self._type = named[0][1].detach().cpu().numpy().dtype
        some = np.zeros((1, min(2, len(kernel.X))), np.intp)
        try:
            self.rows([np.zeros(sum(self._sizes), self._type)], some)
        except Exception as error:  # what can't be batched shows itself as anything
            raise ValueError(
                f"the kernel vmap can't batch this module: {type(error).__name__}: {str(error)[:300]}; take torch"
            ) from error

    def _loss_at(self, parameters: dict[str, Any], X: Any, y: Any) -> Any:
        return self._kernel.loss(self._torch.func.functional_call(self._module, parameters, (X,)), y)

    def one(self, x: Vector, indices: Indices, rng: np.random.Generator | None = None) -> Vector:
        row: Vector = self.rows([x], indices[None])[0]
        return row

    def rows(self, points: Sequence[Vector], indices: Indices) -> Array:
        """Row j is `one(points[j], indices[j])`, bit for bit: every call has the same number of rows."""
        found = [
            self._filled_up(points[start : start + TOGETHER], indices[start : start + TOGETHER])
            for start in range(0, len(points), TOGETHER)
        ]
        return found[0] if len(found) == 1 else np.concatenate(found)

    def _filled_up(self, points: Sequence[Vector], indices: Indices) -> Array:
        torch, count = self._torch, len(points)
        more = TOGETHER - count
        with self._kernel._copying():
            V = torch.from_numpy(np.stack([*points, *[points[0]] * more])).to(self._kernel._device)
        chosen = self._kernel.indexed(np.concatenate([indices, np.repeat(indices[:1], more, axis=0)]))
        parts = torch.split(V, self._sizes, dim=1)
        at = {
            name: part.reshape(TOGETHER, *shape)
            for name, part, shape in zip(self._names, parts, self._shapes, strict=True)
        }
        with _one_thread(torch):
            found = self._batched(at, self._kernel.X[chosen], self._kernel.y[chosen])
            flat = torch.cat([found[name].reshape(TOGETHER, -1) for name in self._names], dim=1)
            with self._kernel._copying():
                rows: Array = flat.cpu().numpy()
        return rows[:count]

    @property
    def copy_seconds(self) -> float:
        return self._kernel.copy_seconds

    def loss_and_gradient(self, x: Vector, indices: Indices) -> tuple[float, Vector]:
        return self._kernel.loss_and_gradient(x, indices)

    def right(self, x: Vector) -> int:
        return self._kernel.right(x)


def torch_kernel(
    name: str,
    module: Callable[[], Any],
    loss: Any,
    data: Pair,
    test: Pair | None,
    *,
    seed: int = 0,
    right: Any = None,
    precision: str = "float32",
    device: str = "cpu",
) -> Kernel:
    """The kernel torch or vmap for a module of ours; its luck is not the user's."""
    kernel = TorchKernel(_made(module, seed), loss, data, test, right, precision=precision, device=device)
    return kernel if name == "torch" else Batched(kernel)


def initial_parameters(module: Callable[[], Any], seed: int, precision: str = "float32") -> Vector:
    """The parameters (d,) that a module of ours is made with."""
    return frozen(parameters_of(_made(module, seed), precision))


def parameters_of(module: Any, precision: str) -> Vector:
    """The trainable parameters (d,) of a module, one after another."""
    parts = [parameter.detach().cpu().numpy().reshape(-1) for parameter in _trainable(module)]
    return np.concatenate(parts).astype(precision)


def _made(module: Any, seed: int) -> Any:
    try:
        import torch
    except ImportError as error:
        raise ValueError("this problem needs torch: pip install 'asyncsim[torch]'") from error
    if isinstance(module, torch.nn.Module):
        return copy.deepcopy(module).cpu()
    if not callable(module):
        raise ValueError(
            f"TorchProblem: module = {module!r:.60}, but an nn.Module is needed, or a function that makes one"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = module()
    if not isinstance(made, torch.nn.Module):
        raise ValueError(f"TorchProblem: the function made a {type(made).__name__}, but an nn.Module is needed")
    return made


def _trainable(module: Any) -> list[Any]:
    found = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not found:
        raise ValueError("the module has no parameter that needs a gradient")
    return found


def _largest_is_the_target(outputs: Any, targets: Any) -> Any:
    return outputs.argmax(dim=1) == targets


def _device(name: str) -> Any:
    import torch

    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"TorchProblem: device = {name!r}, but 'cpu' or 'cuda' is needed") from error
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"TorchProblem: device = {name!r}, but 'cpu' or 'cuda' is needed")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"TorchProblem: device = {name!r}, but torch finds no such device here")
    return device


@contextlib.contextmanager
def _one_thread(torch: Any) -> Iterator[None]:
    threads = torch.get_num_threads()
    if threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _pair(data: Any, name: str) -> Pair:
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise ValueError(f"TorchProblem: {name} is a {type(data).__name__}; a pair (X, y) is needed")
    if len(data[0]) != len(data[1]) or not len(data[0]):
        raise ValueError(
            f"TorchProblem: {name} has {len(data[0])} samples and {len(data[1])} targets; as many of both are needed, "
            "at least one"
        )
    return data[0], data[1]


def _host(array: npt.ArrayLike | Any, precision: str) -> Array:
    """An array on the host: numbers with a point in `precision`, whole ones as int64."""
    values = array.detach().cpu().numpy() if hasattr(array, "detach") else np.asarray(array)
    if values.dtype.kind not in "buif":
        raise ValueError(f"TorchProblem: the data have type {values.dtype}; numbers are needed")
    return np.array(values, dtype=np.dtype(precision) if values.dtype.kind == "f" else np.int64, order="C")


def _check(**given: Any) -> None:
    allowed: dict[str, Any] = {
        "replacement": (True, False, "epochs"),
        "split": ("none", "even", "by_label", "dirichlet"),
        "kernel": ("auto", "torch", "vmap"),
        "precision": ("float32", "float64"),
    }
    for name, value in given.items():
        if name == "batch_size":
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"TorchProblem: batch_size = {value!r}, but a whole number >= 1 is needed")
        elif value not in allowed[name]:
            raise ValueError(
                f"TorchProblem: {name} = {value!r}, but one of {', '.join(map(repr, allowed[name]))} is needed"
            )
