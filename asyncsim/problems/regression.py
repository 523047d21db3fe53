"""Logistic and softmax regression on data: f(x) = mean cross-entropy of a linear classifier + a regulariser.

A finite sum: component j is the cross-entropy of sample j plus the regulariser. Where the data are split among workers,
the samples that are kept are stored worker by worker, so that worker i draws from rows i·size … (i+1)·size − 1, and j
counts in this order.

One kernel. A stochastic gradient and a batch of S of them run through the same code on stacks (S, b, ·) of minibatches,
matmul going item by item, so that a row's bits depend neither on how many rows there are nor on what they are. A plain
product over all S·b samples would be quicker and would not have this property.

Diverging iterates overflow on purpose (to inf, then NaN): who runs the problem decides whether numpy warns of it, as
np.errstate costs a tenth of a small gradient. The exact passes, which are rare, are silent by themselves.

Samples are drawn as floor(m·u), u uniform of 53 bits: twice as quick as `integers` for small minibatches, and the
probabilities of the samples differ by no more than about m/2⁵³ of each.

Constants are bounds from the curvature c of the loss in the logits, ½ or ¼: with a_j the features of sample j, f is
c·λ_max(mean a_j a_jᵀ)-smooth, f_j is c·‖a_j‖²-smooth, and as ‖∇f_j(x) − ∇f_j(y)‖ ≤ c·‖a_j‖·‖(X − Y)ᵀa_j‖, L₊² of the
losses is at most c²·λ_max(mean ‖a_j‖² a_j a_jᵀ). The regulariser, common to all, adds its own constant to these but to
L±, where it cancels.
"""

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from asyncsim.parameters import Count, NonNegative, Positive, Whole, parameters
from asyncsim.problems import data_files
from asyncsim.problems.data_files import Table
from asyncsim.problems.problem import Vector, frozen
from asyncsim.problems.split import label_counts, split_samples
from asyncsim.streams import sequential

Matrix: TypeAlias = npt.NDArray[np.float64]
Tensor: TypeAlias = npt.NDArray[np.float64]  # (S, ·, ·) or (·, ·)
Indices: TypeAlias = npt.NDArray[np.intp]

_ARRAYS = "arrays"  # stands in `data` when the data came from Python
_EXACT_SIDE = 1000  # up to here the Gram matrix's eigenvalues take less than a second
_EXACT_WORK = 3e9  # n × side³ up to which the eigenvalues of the Gram matrices of all workers take about a second
_POWER_ITERATIONS = 100
_ALL = slice(None)
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
    regulariser: Literal["l2", "nonconvex"] = "l2"
    split: Literal["none", "even", "by_label", "dirichlet"] = "none"
    alpha: Positive = 0.1
    problem_seed: Whole | None = None

    # set by build, in the instance's __dict__
    workers: ClassVar[int | None] = None
    _seed: ClassVar[int] = 0

    f_star: ClassVar[None] = None
    f_lower: ClassVar[float] = 0.0  # neither losses nor regularisers are negative
    x_star: ClassVar[None] = None
    _curvature: ClassVar[float]  # bounds the eigenvalues of the loss's Hessian in the logits

    def build(self, seed: int = 0, base: Path = Path(), n: int = 1) -> Self:
        """The problem with its data read, checked and split among `n` workers where `split` says so.

        A relative path in `data` starts at the folder `base`.
        """
        from_arrays = self.data == _ARRAYS and "_table" in vars(self)
        if from_arrays and self.split == "none":
            return self
        built = dataclasses.replace(self)
        vars(built)["_seed"] = seed if self.problem_seed is None else self.problem_seed
        if self.split != "none":
            vars(built)["workers"] = n
        return built._on(self._table if from_arrays else data_files.read(self.data, base, self.label_column))

    @classmethod
    def of(cls, samples: npt.ArrayLike, labels: npt.ArrayLike, **given: Any) -> Self:
        """The problem on arrays: samples (m, p), or (m, …) which are flattened, labels (m,); the rest as usual.

        Where they are split among workers, `.build(n=…)` follows.
        """
        return cls(data=_ARRAYS, **given)._on(data_files.of_arrays(samples, labels, _ARRAYS))

    @property
    def data_sha256(self) -> str:
        """A digest of the data as read, by which a resumed run can see that they are the same."""
        table = self._table
        return hashlib.sha256(table.samples.tobytes() + table.labels.astype(np.int64).tobytes()).hexdigest()

    def _on(self, table: Table) -> Self:
        # cached properties live in the instance's __dict__, so this is what `_table` will be
        vars(self)["_table"] = table
        if self.split == "none" or self.workers is not None:
            _ = self._samples, self._targets
        return self

    @cached_property
    def _table(self) -> Table:
        return data_files.read(self.data, Path(), self.label_column)

    @cached_property
    def _shares(self) -> Indices | None:
        """The samples (n, size) of each worker as rows of the table; None where all workers have all."""
        if self.split == "none":
            return None
        if self.workers is None:
            raise ValueError(
                f"{type(self).__name__}: split {self.split}, but the number of workers is not known; "
                "make it by problem.build(seed, n=…)"
            )
        luck = sequential(self._seed, "problem")
        try:
            return split_samples(self._table.labels, self.workers, self.split, self.alpha, luck)
        except ValueError as error:
            raise ValueError(f"{type(self).__name__}: data {self.data!r}: {error}") from None

    @cached_property
    def _labels(self) -> Indices:
        """(m,) the class of each sample that is kept, in the order of `_samples`."""
        labels = self._table.labels
        return labels if self._shares is None else labels[self._shares.reshape(-1)]

    @cached_property
    def _samples(self) -> Matrix:
        """(m, p): scaled, with a last column of ones for the biases; worker after worker where they are split."""
        samples = _scaled(self._table.samples, self.scale)
        if self._shares is not None:
            samples = samples[self._shares.reshape(-1)]
        if not self.replacement and self.batch_size > self._share:
            whose = "there are" if self._shares is None else "a worker has"
            raise ValueError(
                f"{type(self).__name__}: batch_size = {self.batch_size} without replacement, "
                f"but {whose} {self._share} samples"
            )
        return np.hstack([samples, np.ones((len(samples), 1))]) if self.bias else np.ascontiguousarray(samples)

    @cached_property
    def _share(self) -> int:
        """How many samples a worker draws from."""
        return len(self._table.labels) if self._shares is None else int(self._shares.shape[1])

    @property
    def components(self) -> int:
        """m, the samples that are in f."""
        return len(self._samples)

    @property
    def left_out(self) -> int:
        """How many samples are in no share, as shares have equal sizes; they are not in f either."""
        return len(self._table.labels) - self.components

    @property
    def classes(self) -> tuple[float | str, ...]:
        """The labels in the data, sorted."""
        return self._table.classes

    @cached_property
    def split_table(self) -> npt.NDArray[np.int64] | None:
        """How many samples of each class each worker has, (n, K); None where all workers have all."""
        return None if self._shares is None else label_counts(self._table.labels, self._shares, len(self.classes))

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

    # -- constants

    @property
    def _smoothness_of_the_regulariser(self) -> float:
        # the second derivative of x²/(1 + x²) is 2(1 − 3x²)/(1 + x²)³, between −½ and 2
        return self.regularisation * (1.0 if self.regulariser == "l2" else 2.0)

    @cached_property
    def L(self) -> float:
        """The loss's curvature in the logits times λ_max(XᵀX/m), plus λ (2λ): no less than the smoothness constant.

        With over 1000 features and samples λ_max comes from power iterations, and `estimated` says so.
        """
        return float(self._curvature * _largest_eigenvalue(self._samples) + self._smoothness_of_the_regulariser)

    @property
    def L_minus(self) -> float:
        return self.L

    @cached_property
    def L_plus_minus(self) -> float:
        """No less than L±; bounded like L₊, but for the regulariser, which cancels."""
        weighted = self._samples * np.linalg.norm(self._samples, axis=1, keepdims=True)
        return float(self._curvature * np.sqrt(_largest_eigenvalue(weighted)))

    @property
    def L_plus(self) -> float:
        """No less than L₊."""
        return self.L_plus_minus + self._smoothness_of_the_regulariser

    @cached_property
    def L_max(self) -> float:
        """No less than the smoothness of any worker's f_i where the data are split, else of any sample's f_j."""
        size = 1 if self._shares is None else self._share
        parts = self._samples.reshape(-1, size, self._samples.shape[1])
        if size == 1 or len(parts) * min(parts.shape[1:]) ** 3 > _EXACT_WORK:
            largest = np.einsum("nsp,nsp->n", parts, parts) / size  # the trace: no less than the largest eigenvalue
        else:
            turned = parts.swapaxes(1, 2)
            gram = turned @ parts if parts.shape[2] <= size else parts @ turned
            largest = np.linalg.eigvalsh(gram)[:, -1] / size
        return float(self._curvature * largest.max() + self._smoothness_of_the_regulariser)

    @cached_property
    def _at_the_start(self) -> tuple[float, float]:
        """σ² of one sample (of the worker where it is largest) and ζ² at x0, both exact."""
        # the gradient of one sample is the outer product of its features and its residuals
        residuals = self._residuals(np.zeros_like(self._targets), self._targets)
        squares = np.sum(self._samples**2, axis=1) * np.sum(residuals**2, axis=1)
        features, residuals = (a.reshape(-1, self._share, a.shape[1]) for a in (self._samples, residuals))
        means = features.swapaxes(1, 2) @ residuals / self._share
        variances = squares.reshape(-1, self._share).mean(axis=1) - np.sum(means**2, axis=(1, 2))
        spread = np.sum((means - means.mean(axis=0)) ** 2, axis=(1, 2)).mean() if len(means) > 1 else 0.0
        return max(0.0, float(variances.max())), float(spread)

    @property
    def sigma2(self) -> float:
        """The exact variance E‖gradient − ∇f_i‖² at x0, of the worker where it is largest.

        Elsewhere it is another one, which is why it counts as estimated.
        """
        size = self._share
        left_over = 1.0 if self.replacement else (size - self.batch_size) / max(1, size - 1)
        return self._at_the_start[0] / self.batch_size * left_over

    @property
    def zeta2(self) -> float:
        """(1/n) Σ ‖∇f_i(x0) − ∇f(x0)‖² over the workers, at the start; 0 unless they differ."""
        return self._at_the_start[1]

    @property
    def estimated(self) -> frozenset[str]:
        smoothness = {"L", "L_minus", "L_plus", "L_plus_minus"} if min(self._samples.shape) > _EXACT_SIDE else set()
        return frozenset({"sigma2"} | smoothness)

    # -- gradients

    def gradient(self, x: Vector, rng: np.random.Generator, worker: int) -> Vector:
        """The gradient (d,) on a fresh minibatch of the worker's samples."""
        return self._on_samples(x, self._drawn(rng, worker))

    def component_gradient(self, x: Vector, j: int) -> Vector:
        """∇f_j(x), (d,), of sample j = 0…m−1."""
        return self._on_samples(x, np.array([j], dtype=np.intp))

    def component_mean(self, x: Vector, indices: Sequence[int]) -> Vector:
        """The mean of ∇f_j(x), (d,), over the samples `indices`."""
        return self._on_samples(x, np.asarray(indices, dtype=np.intp))

    def component_gradients(self, X: Sequence[Vector], indices: Sequence[int]) -> Matrix:
        """Row s is `component_gradient(X[s], indices[s])`, bit for bit."""
        points = np.stack(X[:1] if all(x is X[0] for x in X) else X)
        return self._at(
            points.reshape(len(points), self._samples.shape[1], -1), np.array(indices, dtype=np.intp)[:, None]
        )

    def worker_gradient(self, x: Vector, worker: int) -> Vector:
        """∇f_i(x), (d,), over all samples of worker i; ∇f(x) where all have all."""
        if self._shares is None:
            return self.full_gradient(x)
        own = slice(worker * self._share, (worker + 1) * self._share)
        with np.errstate(over="ignore", invalid="ignore"):
            return self._gradient(x, self._logits(x, own), own)

    def _on_samples(self, x: Vector, indices: Indices) -> Vector:
        row: Vector = self._at(x.reshape(1, self._samples.shape[1], -1), indices[None])[0]
        return row

    def gradients(self, X: Sequence[Vector], rngs: Iterable[np.random.Generator], workers: Sequence[int]) -> Matrix:
        """Row j is `gradient(X[j], rngs[j], workers[j])`, bit for bit."""
        indices = np.empty((len(X), self.batch_size), dtype=np.intp)
        for row, rng, worker in zip(indices, rngs, workers, strict=True):
            row[:] = self._drawn(rng, worker)
        rows = np.empty((len(X), self.dimension))
        for start in range(0, len(X), _STACK):
            stack = slice(start, start + _STACK)
            points = X[stack]
            if all(x is points[0] for x in points):
                points = points[:1]
            rows[stack] = self._at(np.stack(points).reshape(len(points), self._samples.shape[1], -1), indices[stack])
        return rows

    def _drawn(self, rng: np.random.Generator, worker: int) -> Indices:
        if self.replacement:
            drawn = (rng.random(self.batch_size) * self._share).astype(np.intp)
        else:
            drawn = rng.choice(self._share, self.batch_size, replace=False, shuffle=False).astype(np.intp)
        if self._shares is not None:
            drawn += worker * self._share
        return drawn

    def _at(self, points: Tensor, indices: Indices) -> Matrix:
        """The gradients (S, d) on the samples `indices` (S, b) at `points` (S, p, c), or at one (1, p, c) for all."""
        batch = self._samples.take(indices, axis=0)
        residuals = self._residuals(batch @ points, self._targets.take(indices, axis=0))
        residuals *= 1.0 / indices.shape[1]
        rows: Tensor = batch.swapaxes(1, 2) @ residuals
        if self.regularisation:
            rows += self._slope_of_the_regulariser(points)
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

    def _logits(self, x: Vector, of: slice = _ALL) -> Matrix:
        return self._samples[of] @ x.reshape(self._samples.shape[1], -1)

    def _value(self, x: Vector, logits: Matrix) -> float:
        loss = self._losses(logits, self._targets).mean()
        if self.regulariser == "nonconvex":
            # x²/(1 + x²), but without ∞/∞
            return float(loss + self.regularisation * np.sum(1.0 - 1.0 / (1.0 + x * x)))
        return float(loss + 0.5 * self.regularisation * (x @ x))

    def _gradient(self, x: Vector, logits: Matrix, of: slice = _ALL) -> Vector:
        gradient = (self._samples[of].T @ self._residuals(logits, self._targets[of])).reshape(-1)
        gradient /= len(logits)
        if self.regularisation:
            gradient += self._slope_of_the_regulariser(x)
        return gradient

    def _slope_of_the_regulariser(self, x: Tensor) -> Tensor:
        if self.regulariser == "l2":
            return self.regularisation * x
        growth = 1.0 + x * x
        growth *= growth
        slope: Tensor = (2.0 * self.regularisation) * x / growth
        return slope


@parameters
class SoftmaxRegression(_Regression):
    """Softmax regression over K classes: mean cross-entropy + (λ/2)‖x‖², x0 = 0.

    x is the matrix of weights row by row: features (and 1 for the biases, last) × K, so d = (p + 1)·K. L =
    ½·λ_max(XᵀX/m) + λ; σ² is the exact variance at x0, an estimate elsewhere; f* is not known.

    Parameters:
        data: digits (comes with the package: 1797 images of 8×8, 10 classes), a file .libsvm, .svm, .txt (LIBSVM), .csv
            or .npz (arrays X and y), or sklearn:NAME; paths start at the folder of the scenario.
        batch_size: samples in the minibatch of one stochastic gradient.
        replacement: true: the samples of a minibatch are drawn independently; false: no sample twice in one minibatch.
        regularisation: λ ≥ 0 of the regulariser, which covers the biases too; the term (λ/2)‖x‖² unless said otherwise.
        scale: of the features. unit: all divided by the largest absolute value; standard: each to mean 0 and variance
            1; none: as they are.
        bias: whether the classifier has biases.
        label_column: where a csv file has its labels, first or last.
        regulariser: what λ multiplies. l2: ½‖x‖²; nonconvex: the sum of x_j²/(1 + x_j²), which adds 2λ to L.
        split: how the samples are shared out among the workers. none: every worker has all of them; even: any worker
            may get any sample; by_label: sorted by label, the first worker has the first labels; dirichlet: each
            worker's mix of labels is drawn from the symmetric Dirichlet law. All get equally many; up to n − 1 samples
            are left over, drawn at random, and are not in f.
        alpha: α of split dirichlet; 0.1 gives a worker few labels, 100 nearly equal mixes.
        problem_seed: the split is drawn from it; without it, from the seed of the run.

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
        targets: Matrix = np.eye(len(classes))[self._labels]
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

    The larger of the two labels is +1. x is the weights, the bias last: d = p + 1. L = ¼·λ_max(XᵀX/m) + λ; σ² is the
    exact variance at x0, an estimate elsewhere; f* is not known.

    Parameters:
        data: digits (comes with the package; it has 10 classes, so give positive_label), a file .libsvm, .svm, .txt
            (LIBSVM), .csv or .npz (arrays X and y), or sklearn:NAME; paths start at the folder of the scenario.
        batch_size: samples in the minibatch of one stochastic gradient.
        replacement: true: the samples of a minibatch are drawn independently; false: no sample twice in one minibatch.
        regularisation: λ ≥ 0 of the regulariser, which covers the bias too; the term (λ/2)‖x‖² unless said otherwise.
        scale: of the features. unit: all divided by the largest absolute value; standard: each to mean 0 and variance
            1; none: as they are.
        bias: whether the classifier has a bias.
        label_column: where a csv file has its labels, first or last.
        regulariser: what λ multiplies. l2: ½‖x‖²; nonconvex: the sum of x_j²/(1 + x_j²), which adds 2λ to L.
        split: how the samples are shared out among the workers. none: every worker has all of them; even: any worker
            may get any sample; by_label: sorted by label, the first worker has the first labels; dirichlet: each
            worker's mix of labels is drawn from the symmetric Dirichlet law. All get equally many; up to n − 1 samples
            are left over, drawn at random, and are not in f.
        alpha: α of split dirichlet; 0.1 gives a worker few labels, 100 nearly equal mixes.
        problem_seed: the split is drawn from it; without it, from the seed of the run.
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
        classes, labels = self._table.classes, self._labels
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
