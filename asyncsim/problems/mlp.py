"""A multilayer perceptron, trained to classify: the hand-written kernel needs numpy alone.

x holds, layer by layer, the weights (out, in) row by row and then the biases (out,): the order in which torch has the
parameters of `Sequential(Linear, ReLU, …, Linear)`, so that x means the same to every kernel.

The numpy kernel computes on stacks (S, b, ·), matmul going item by item, so that a row's bits depend neither on how many
rows there are nor on what they are. A plain product over all S·b samples would be quicker and would not have this
property. How many rows are stacked goes by d: a stack that leaves the cache is slower than one row at a time.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from asyncsim.parameters import Count, NonNegative, Whole, parameters
from asyncsim.problems.network import Kernel, KernelInfo, OnKernel
from asyncsim.problems.problem import Vector, frozen
from asyncsim.problems.samples import Array, Indices, Sampled
from asyncsim.streams import sequential

_STACK = 2**18  # numbers of the points that are computed together
_MOST = 64  # gradients computed together, whatever their size


@parameters
class MLP(OnKernel, Sampled):
    """A multilayer perceptron that classifies: mean cross-entropy + (λ/2)‖x‖², in float32 unless said otherwise.

    x is the weights (out, in) and biases of each layer in turn; x0 has all of them uniform within ±1/√in. L and f* are not
    known; σ² is estimated when asked for. The kernel numpy is written by hand and needs nothing besides; torch and vmap
    (extra torch) compute the same to rounding.

    Parameters:
        data: digits (comes with the package: 1797 images of 8×8, 10 classes), a file .libsvm, .svm, .txt (LIBSVM), .csv
            or .npz (arrays X and y), MNIST's …-images-idx3-ubyte (or .gz), CIFAR's .bin, or sklearn:NAME; paths start
            at the folder of the scenario.
        batch_size: samples in the minibatch of one stochastic gradient.
        replacement: true: the samples of a minibatch are drawn independently; false: no sample twice in one minibatch;
            epochs: a worker goes through its samples in a random order, each epoch in another one.
        scale: of the features. unit: all divided by the largest absolute value; standard: each to mean 0 and variance
            1; none: as they are.
        label_column: where a csv file has its labels, first or last.
        split: how the samples are shared out among the workers. none: every worker has all of them; even: any worker
            may get any sample; by_label: sorted by label, the first worker has the first labels; dirichlet: each
            worker's mix of labels is drawn from the symmetric Dirichlet law. All get equally many; up to n − 1 samples
            are left over, drawn at random, and are not in f.
        alpha: α of split dirichlet; 0.1 gives a worker few labels, 100 nearly equal mixes.
        problem_seed: x0, the split and what is held out are drawn from it; without it, from the seed of the run.
        test: what the test accuracy is of: a share of the samples, held out at random and not in f (0.2), or a file like
            data; 0 for none.
        hidden: the widths of the hidden layers; an empty list leaves softmax regression.
        activation: relu or tanh.
        regularisation: λ ≥ 0 of (λ/2)‖x‖², which covers the biases too.
        kernel: what computes gradients: numpy, torch (one by one), vmap (torch, 16 together), or auto, which is numpy.
        precision: float32 or float64.
        record_samples: f and ∇f of the records are over so many samples, drawn once; all of them unless given.
        sigma2_samples: σ² is estimated from so many gradients at x0; 0 leaves it unknown.

    >>> problem = MLP("digits", hidden=(32,), batch_size=4, test=0.2).build(seed=1)
    >>> problem.dimension, problem.x0.dtype, problem.components, problem.test_size
    (2410, dtype('float32'), 1438, 359)
    >>> round(problem.value(problem.x0), 1), round(problem.test_accuracy(problem.x0), 1)
    (2.3, 0.1)
    """

    hidden: tuple[Count, ...] = (64,)
    activation: Literal["relu", "tanh"] = "relu"
    regularisation: NonNegative = 0.0
    kernel: Literal["auto", "numpy", "torch", "vmap"] = "auto"
    precision: Literal["float32", "float64"] = "float32"
    record_samples: Count | None = None
    sigma2_samples: Whole = 0

    @property
    def _type(self) -> Any:
        return np.dtype(self.precision).type

    def _prepare(self) -> None:
        if len(self.classes) < 2:
            raise ValueError(f"MLP: all labels of data {self.data!r} are {self.classes[0]!r}; at least 2 are needed")
        _ = self._kernel

    def _drawn_by_seed(self) -> frozenset[str]:
        return super()._drawn_by_seed() | {"x0"}

    @property
    def sizes(self) -> tuple[int, ...]:
        """The widths of all layers, from the features to the classes."""
        return (self._table.samples.shape[1], *self.hidden, len(self.classes))

    @cached_property
    def x0(self) -> Vector:
        luck = sequential(self._seed, "x0")
        parts = []
        for into, out in pairwise(self.sizes):
            parts += [luck.uniform(-1, 1, size) / math.sqrt(into) for size in (out * into, out)]
        return frozen(np.concatenate(parts).astype(self._type))

    @property
    def f_lower(self) -> float:
        return 0.0

    @property
    def kernels(self) -> tuple[KernelInfo, ...]:
        """The kernels that there are here, the first of them for `auto`."""
        numpy = KernelInfo(
            "numpy", True, True, 0, "written by hand for this network, items of a batch one after another"
        )
        return (numpy, *torch_kernels())

    def _make_kernel(self, name: str) -> Kernel:
        if name == "numpy":
            return NumpyMLP(self.sizes, self.activation, self._features, self._labels, self._test_set)
        from asyncsim.problems.torch_model import torch_kernel

        data = self._features, self._labels
        return torch_kernel(
            name, self._module, "cross_entropy", data, self._test_set, precision=self.precision, device="cpu"
        )

    def _module(self) -> Any:
        from torch import nn

        between = {"relu": nn.ReLU, "tanh": nn.Tanh}[self.activation]
        layers: list[Any] = []
        for into, out in pairwise(self.sizes):
            layers += [nn.Linear(into, out), between()]
        return nn.Sequential(*layers[:-1])


def torch_kernels() -> tuple[KernelInfo, ...]:
    """Those that torch gives; none where it is not installed."""
    if importlib.util.find_spec("torch") is None:
        return ()
    return (
        KernelInfo("torch", False, True, 0, "torch's autograd, one gradient at a time"),
        KernelInfo("vmap", True, True, TOGETHER, f"torch.func, batches filled up to {TOGETHER} gradients"),
    )


TOGETHER = 16  # gradients in a call of the kernel vmap, always


class NumpyMLP:
    """The kernel numpy: forwards and backwards through all layers, for a stack of gradients at once."""

    name = "numpy"
    random = False

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str,
        features: Array,
        labels: Indices,
        test: tuple[Array, Indices] | None,
    ) -> None:
        self._relu = activation == "relu"
        self._features, self._labels, self._test = features, labels, test
        self._targets = np.eye(sizes[-1], dtype=features.dtype)
        self._layers = []  # (weights from, biases from, next from, out, in)
        place = 0
        for into, out in pairwise(sizes):
            self._layers.append((place, place + out * into, place + out * into + out, out, into))
            place += out * into + out
        self._d = place
        self._together = max(1, min(_MOST, _STACK // place))

    def one(self, x: Vector, indices: Indices, rng: np.random.Generator | None = None) -> Vector:
        row: Vector = self._at(x[None], indices[None])[0]
        return row

    def rows(self, points: Sequence[Vector], indices: Indices) -> Array:
        """Row j is `one(points[j], indices[j])`, bit for bit."""
        rows = np.empty((len(points), self._d), self._features.dtype)
        for start in range(0, len(points), self._together):
            stack = slice(start, start + self._together)
            at = points[stack]
            one_point = all(x is at[0] for x in at)
            self._at(at[0][None] if one_point else np.concatenate(at).reshape(len(at), -1), indices[stack], rows[stack])
        return rows

    def loss_and_gradient(self, x: Vector, indices: Indices) -> tuple[float, Vector]:
        activations = self._forwards(x[None], self._features.take(indices, axis=0)[None])
        losses = _log_of_sum_of_exp(activations[-1][0])
        losses -= activations[-1][0][np.arange(len(indices)), self._labels[indices]]
        return float(np.mean(losses, dtype=np.float64)), self._backwards(x[None], activations, indices[None])[0]

    def right(self, x: Vector) -> int:
        if self._test is None:
            return 0
        features, labels = self._test
        found = 0
        for start in range(0, len(labels), 4096):
            part = slice(start, start + 4096)
            told = self._forwards(x[None], features[None, part])[-1][0].argmax(axis=1)
            found += int(np.count_nonzero(told == labels[part]))
        return found

    def _at(self, points: Array, indices: Indices, rows: Array | None = None) -> Array:
        """The gradients (S, d) on the samples `indices` (S, b) at `points` (S, d), or at one (1, d) for all."""
        activations = self._forwards(points, self._features.take(indices, axis=0))
        return self._backwards(points, activations, indices, rows)

    def _forwards(self, points: Array, batch: Array) -> list[Array]:
        """The input (S, b, p), the output (S, b, ·) of each hidden layer, the logits."""
        activations = [batch]
        for number, (weights, biases, end, out, into) in enumerate(self._layers, start=1):
            W = points[:, weights:biases].reshape(-1, out, into)
            Z = activations[-1] @ W.swapaxes(1, 2)
            Z += points[:, None, biases:end]
            if number < len(self._layers):
                (np.maximum(Z, 0, out=Z) if self._relu else np.tanh(Z, out=Z))
            activations.append(Z)
        return activations

    def _backwards(self, points: Array, activations: list[Array], indices: Indices, rows: Array | None = None) -> Array:
        S, b = indices.shape
        rows = np.empty((S, self._d), points.dtype) if rows is None else rows
        R = _probabilities(activations.pop())
        R -= self._targets.take(self._labels.take(indices), axis=0)
        R *= R.dtype.type(1.0 / b)
        for weights, biases, end, out, into in reversed(self._layers):
            A = activations.pop()
            np.matmul(R.swapaxes(1, 2), A, out=rows[:, weights:biases].reshape(S, out, into))
            np.add.reduce(R, axis=1, out=rows[:, biases:end])
            if weights:
                R = R @ points[:, weights:biases].reshape(-1, out, into)
                if self._relu:
                    R *= A > 0
                else:
                    A *= A
                    np.subtract(1, A, out=A)
                    R *= A
        return rows


def _probabilities(logits: Array) -> Array:
    """Softmax over the last axis, in place."""
    logits -= np.maximum.reduce(logits, axis=-1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= np.add.reduce(logits, axis=-1, keepdims=True)
    return logits


def _log_of_sum_of_exp(logits: Array) -> Array:
    largest = logits.max(axis=-1)
    found: Array = np.log(np.exp(logits - largest[..., None]).sum(axis=-1)) + largest
    return found
