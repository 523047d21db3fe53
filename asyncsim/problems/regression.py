"""Logistic and softmax regression on data: f(x) = mean cross-entropy of a linear classifier + (λ/2)‖x‖².

One kernel. A stochastic gradient and a batch of S of them run through the same code on stacks (S, b, ·) of minibatches,
matmul going item by item, so that a row's bits depend neither on how many rows there are nor on what they are. A plain
product over all S·b samples would be quicker and would not have this property.

Diverging iterates overflow on purpose (to inf, then NaN): who runs the problem decides whether numpy warns of it, as
np.errstate costs a tenth of a small gradient. The exact passes, which are rare, are silent by themselves.

Samples are drawn as floor(m·u), u uniform of 53 bits: twice as quick as `integers` for small minibatches, and the
probabilities of the samples differ by no more than about m/2⁵³ of each.
"""

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from asyncsim.parameters import Count, NonNegative, parameters
from asyncsim.problems import data_files
from asyncsim.problems.data_files import Table
from asyncsim.problems.problem import Vector, frozen

Matrix: TypeAlias = npt.NDArray[np.float64]
Tensor: TypeAlias = npt.NDArray[np.float64]  # (S, ·, ·) or (·, ·)
Indices: TypeAlias = npt.NDArray[np.intp]

_ARRAYS = "arrays"  # stands in `data` when the data came from Python
_EXACT_SIDE = 1000  # up to here the Gram matrix's eigenvalues take less than a second
_POWER_ITERATIONS = 100
_STACK = 64  # gradients computed together: more of them leave the cache


@parameters
class _Regression:
    # What both problems share. The parameters are explained in the two docstrings: each is read by itself.

    data: str
    batch_size: Count = 1
    replacement: bool = True
    regularisation: NonNegative = 0.0
    scale: Literal["none", "unit", "standard"] = "unit"
    bias: bool = True
    label_column: Literal["first", "last"] = "first"

    f_star: ClassVar[None] = None
    x_star: ClassVar[None] = None
    _curvature: ClassVar[float]  # bounds the eigenvalues of the loss's Hessian in the logits

    def build(self, seed: int = 0, base: Path = Path()) -> Self:
        """The problem with its data read and checked; a relative path in `data` starts at the folder `base`."""
        if self.data == _ARRAYS and "_table" in vars(self):
            return self
        return dataclasses.replace(self)._on(data_files.read(self.data, base, self.label_column))

    @classmethod
    def of(cls, samples: npt.ArrayLike, labels: npt.ArrayLike, **given: Any) -> Self:
        """The problem on arrays: samples (m, p), or (m, …) which are flattened, labels (m,); the rest as in the constructor."""
        return cls(data=_ARRAYS, **given)._on(data_files.of_arrays(samples, labels, _ARRAYS))

    @property
    def data_sha256(self) -> str:
        """A digest of the data as read, by which a resumed run can see that they are the same."""
        table = self._table
        return hashlib.sha256(table.samples.tobytes() + table.labels.astype(np.int64).tobytes()).hexdigest()

    def _on(self, table: Table) -> Self:
        # cached properties live in the instance's __dict__, so this is what `_table` will be
        vars(self)["_table"] = table
        _ = self._samples, self._targets
        return self

    @cached_property
    def _table(self) -> Table:
        return data_files.read(self.data, Path(), self.label_column)

    @cached_property
    def _samples(self) -> Matrix:
        """(m, p): scaled, with a last column of ones for the biases."""
        samples = _scaled(self._table.samples, self.scale)
        m = len(samples)
        if not self.replacement and self.batch_size > m:
            raise ValueError(
                f"{type(self).__name__}: batch_size = {self.batch_size} without replacement, but there are {m} samples"
            )
        return np.hstack([samples, np.ones((m, 1))]) if self.bias else np.ascontiguousarray(samples)

    @cached_property
    def _targets(self) -> Matrix:
        """(m, c): the probabilities that a perfect classifier would give, c columns of logits."""
        raise NotImplementedError

    def _residuals(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The derivative of the cross-entropy in the logits (…, c), for each sample."""
        raise NotImplementedError

    def _losses(self, logits: Matrix, targets: Matrix) -> Vector:
        """The cross-entropy (m,) of each sample."""
        raise NotImplementedError

    @cached_property
    def dimension(self) -> int:
        return int(self._samples.shape[1] * self._targets.shape[1])

    @cached_property
    def x0(self) -> Vector:
        return frozen(np.zeros(self.dimension))

    @cached_property
    def L(self) -> float:
        """The curvature of the loss in the logits times λ_max(XᵀX/m), plus λ: no less than the smoothness constant.

        With over 1000 features and samples λ_max comes from power iterations, and `estimated` says so.
        """
        return float(self._curvature * _largest_eigenvalue(self._samples) + self.regularisation)

    @cached_property
    def sigma2(self) -> float:
        """The exact variance E‖gradient − ∇f‖² at x0; elsewhere it is another one, which is why it counts as estimated."""
        m = len(self._samples)
        residuals = self._residuals(np.zeros_like(self._targets), self._targets)
        mean = self._samples.T @ residuals / m
        # the gradient of one sample is the outer product of its features and its residuals
        squares = np.mean(np.sum(self._samples**2, axis=1) * np.sum(residuals**2, axis=1))
        one = max(0.0, float(squares - np.sum(mean**2)))
        left_over = 1.0 if self.replacement else (m - self.batch_size) / max(1, m - 1)
        return one / self.batch_size * left_over

    @property
    def estimated(self) -> frozenset[str]:
        return frozenset({"sigma2"} if min(self._samples.shape) <= _EXACT_SIDE else {"sigma2", "L"})

    def gradient(self, x: Vector, rng: np.random.Generator, worker: int) -> Vector:
        """The gradient (d,) on a fresh minibatch; `worker` doesn't matter, all have the same data."""
        row: Vector = self._at(x.reshape(1, self._samples.shape[1], -1), self._drawn(rng)[None])[0]
        return row

    def gradients(self, X: Sequence[Vector], rngs: Iterable[np.random.Generator], workers: Sequence[int]) -> Matrix:
        """Row j is `gradient(X[j], rngs[j], workers[j])`, bit for bit."""
        indices = np.empty((len(X), self.batch_size), dtype=np.intp)
        for row, rng in zip(indices, rngs, strict=True):
            row[:] = self._drawn(rng)
        rows = np.empty((len(X), self.dimension))
        for start in range(0, len(X), _STACK):
            stack = slice(start, start + _STACK)
            points = X[stack]
            if all(x is points[0] for x in points):
                points = points[:1]
            rows[stack] = self._at(np.stack(points).reshape(len(points), self._samples.shape[1], -1), indices[stack])
        return rows

    def _drawn(self, rng: np.random.Generator) -> Indices:
        m = len(self._samples)
        if self.replacement:
            return (rng.random(self.batch_size) * m).astype(np.intp)
        return rng.choice(m, self.batch_size, replace=False, shuffle=False).astype(np.intp)

    def _at(self, points: Tensor, indices: Indices) -> Matrix:
        """The gradients (S, d) on the samples `indices` (S, b) at `points` (S, p, c), or at one point (1, p, c) for all."""
        batch = self._samples.take(indices, axis=0)
        residuals = self._residuals(batch @ points, self._targets.take(indices, axis=0))
        residuals *= 1.0 / indices.shape[1]
        rows: Tensor = batch.swapaxes(1, 2) @ residuals
        if self.regularisation:
            rows += self.regularisation * points
        return rows.reshape(len(indices), -1)

    def value(self, x: Vector) -> float:
        """f(x) over all samples."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self._value(x, self._logits(x))

    def full_gradient(self, x: Vector) -> Vector:
        """∇f(x), (d,), over all samples."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self._gradient(x, self._logits(x))

    def value_and_gradient(self, x: Vector) -> tuple[float, Vector]:
        """f(x) and ∇f(x) from one pass over the samples."""
        with np.errstate(over="ignore", invalid="ignore"):
            logits = self._logits(x)
            return self._value(x, logits), self._gradient(x, logits)

    def _logits(self, x: Vector) -> Matrix:
        return self._samples @ x.reshape(self._samples.shape[1], -1)

    def _value(self, x: Vector, logits: Matrix) -> float:
        return float(self._losses(logits, self._targets).mean() + 0.5 * self.regularisation * (x @ x))

    def _gradient(self, x: Vector, logits: Matrix) -> Vector:
        gradient = (self._samples.T @ self._residuals(logits, self._targets)).reshape(-1)
        gradient /= len(self._samples)
        if self.regularisation:
            gradient += self.regularisation * x
        return gradient


@parameters
class SoftmaxRegression(_Regression):
    """Softmax regression over K classes: mean cross-entropy + (λ/2)‖x‖², x0 = 0.

    x is the matrix of weights row by row: features (and 1 for the biases, last) × K, so d = (p + 1)·K. L = ½·λ_max(XᵀX/m)
    + λ; σ² is the exact variance at x0, an estimate elsewhere; f* is not known.

    Parameters:
        data: digits (comes with the package: 1797 images of 8×8, 10 classes), a file .libsvm, .svm, .txt (LIBSVM), .csv or
            .npz (arrays X and y), or sklearn:NAME; paths start at the folder of the scenario.
        batch_size: samples in the minibatch of one stochastic gradient.
        replacement: true: the samples of a minibatch are drawn independently; false: no sample twice in one minibatch.
        regularisation: λ ≥ 0 of the term (λ/2)‖x‖², which covers the biases too.
        scale: of the features. unit: all divided by the largest absolute value; standard: each to mean 0 and variance 1;
            none: as they are.
        bias: whether the classifier has biases.
        label_column: where a csv file has its labels, first or last.

    >>> problem = SoftmaxRegression("digits", batch_size=4)
    >>> problem.dimension, round(problem.value(problem.x0), 6), sorted(problem.estimated)
    (650, 2.302585, ['sigma2'])
    """

    # diag(p) − ppᵀ has no eigenvalue over ½, whatever the probabilities p
    _curvature: ClassVar[float] = 0.5

    @cached_property
    def _targets(self) -> Matrix:
        classes = self._table.classes
        if len(classes) < 2:
            raise ValueError(
                f"{type(self).__name__}: all labels of data {self.data!r} are {classes[0]!r}; at least 2 are needed"
            )
        targets: Matrix = np.eye(len(classes))[self._table.labels]
        return targets

    def _residuals(self, logits: Tensor, targets: Tensor) -> Tensor:
        probabilities: Tensor = logits - np.maximum.reduce(logits, axis=-1, keepdims=True)
        np.exp(probabilities, out=probabilities)
        probabilities /= np.add.reduce(probabilities, axis=-1, keepdims=True)
        probabilities -= targets
        return probabilities

    def _losses(self, logits: Matrix, targets: Matrix) -> Vector:
        shifted = logits - logits.max(axis=1, keepdims=True)
        losses: Vector = np.log(np.exp(shifted).sum(axis=1)) - shifted[targets == 1.0]
        return losses


@parameters
class LogisticRegression(_Regression):
    """Logistic regression over two classes: mean log(1 + exp(−y aᵀx)) + (λ/2)‖x‖², y = ±1, x0 = 0.

    The larger of the two labels is +1. x is the weights, the bias last: d = p + 1. L = ¼·λ_max(XᵀX/m) + λ; σ² is the exact
    variance at x0, an estimate elsewhere; f* is not known.

    Parameters:
        data: digits (comes with the package; it has 10 classes, so give positive_label), a file .libsvm, .svm, .txt (LIBSVM),
            .csv or .npz (arrays X and y), or sklearn:NAME; paths start at the folder of the scenario.
        batch_size: samples in the minibatch of one stochastic gradient.
        replacement: true: the samples of a minibatch are drawn independently; false: no sample twice in one minibatch.
        regularisation: λ ≥ 0 of the term (λ/2)‖x‖², which covers the bias too.
        scale: of the features. unit: all divided by the largest absolute value; standard: each to mean 0 and variance 1;
            none: as they are.
        bias: whether the classifier has a bias.
        label_column: where a csv file has its labels, first or last.
        positive_label: the label that is +1, all others −1; must be given when there are more than two labels.

    >>> problem = LogisticRegression("digits", positive_label=3)
    >>> problem.dimension, round(problem.value(problem.x0), 6)
    (65, 0.693147)
    """

    positive_label: float | str | None = None

    # σ(z)(1 − σ(z)) ≤ ¼
    _curvature: ClassVar[float] = 0.25

    @cached_property
    def _targets(self) -> Matrix:
        classes, labels = self._table.classes, self._table.labels
        what = f"{type(self).__name__}: data {self.data!r}"
        if len(classes) < 2:
            raise ValueError(f"{what}: all labels are {classes[0]!r}; two are needed")
        if self.positive_label is None and len(classes) > 2:
            raise ValueError(
                f"{what} has {len(classes)} labels, but two are needed: give positive_label (one against all others), "
                "or take softmax_regression"
            )
        if self.positive_label is not None and self.positive_label not in classes:
            known = ", ".join(repr(label) for label in classes[:10]) + (", …" if len(classes) > 10 else "")
            raise ValueError(f"{what}: positive_label = {self.positive_label!r} is none of the labels {known}")
        positive = 1 if self.positive_label is None else classes.index(self.positive_label)
        targets: Matrix = (labels == positive).astype(np.float64)[:, None]
        return targets

    def _residuals(self, logits: Tensor, targets: Tensor) -> Tensor:
        # σ(z) from exp(−|z|), which never overflows
        small = np.exp(-np.abs(logits))
        residuals: Tensor = np.where(logits >= 0, 1.0, small)
        small += 1.0
        residuals /= small
        residuals -= targets
        return residuals

    def _losses(self, logits: Matrix, targets: Matrix) -> Vector:
        # log(1 + exp(z)) − tz
        losses: Matrix = np.log1p(np.exp(-np.abs(logits))) + np.maximum(logits, 0.0) - targets * logits
        return losses[:, 0]


def _scaled(samples: Matrix, scale: str) -> Matrix:
    if scale == "unit":
        return samples / (np.abs(samples).max() or 1.0)
    if scale == "standard":
        # a feature that never changes says nothing: it becomes 0, whatever the rounding of its mean
        changes = samples.max(axis=0) > samples.min(axis=0)
        standard: Matrix = (samples - samples.mean(axis=0)) / np.where(changes, samples.std(axis=0), np.inf)
        return standard
    return samples


def _largest_eigenvalue(samples: Matrix) -> float:
    """λ_max(XᵀX/m), exact when one side of X is short, else by power iterations."""
    m, p = samples.shape
    if min(m, p) <= _EXACT_SIDE:
        gram = samples.T @ samples if p <= m else samples @ samples.T
        return float(np.linalg.eigvalsh(gram)[-1] / m)
    direction: Vector = np.random.default_rng(0).standard_normal((p,))
    for _ in range(_POWER_ITERATIONS):
        direction /= np.linalg.norm(direction)
        direction = samples.T @ (samples @ direction)
    return float(np.linalg.norm(direction) / m)
