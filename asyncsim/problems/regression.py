"""Logistic and softmax regression on data: f(x) = mean cross-entropy of a linear classifier + a regulariser.

A finite sum: component j is the cross-entropy of sample j plus the regulariser. How samples are read, scaled, split,
held out and drawn stands in samples.py.

One kernel. A stochastic gradient and a batch of S of them run through the same code on stacks (S, b, ·) of minibatches,
matmul going item by item, so that a row's bits depend neither on how many rows there are nor on what they are. A plain
product over all S·b samples would be quicker and would not have this property.

Diverging iterates overflow on purpose (to inf, then NaN): who runs the problem decides whether numpy warns of it, as
np.errstate costs a tenth of a small gradient. The exact passes, which are rare, are silent by themselves.

Constants are bounds from the curvature c of the loss in the logits, ½ or ¼: with a_j the features of sample j, f is
c·λ_max(mean a_j a_jᵀ)-smooth, f_j is c·‖a_j‖²-smooth, and as ‖∇f_j(x) − ∇f_j(y)‖ ≤ c·‖a_j‖·‖(X − Y)ᵀa_j‖, L₊² of the
losses is at most c²·λ_max(mean ‖a_j‖² a_j a_jᵀ). The regulariser, common to all, adds its own constant to these but to
L±, where it cancels.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from asyncsim.parameters import NonNegative, parameters
from asyncsim.problems.problem import Vector, frozen
from asyncsim.problems.samples import Indices, Sampled

Matrix: TypeAlias = npt.NDArray[np.float64]
Tensor: TypeAlias = npt.NDArray[np.float64]  # (S, ·, ·) or (·, ·)

_EXACT_SIDE = 1000  # up to here the Gram matrix's eigenvalues take less than a second
_EXACT_WORK = 3e9  # n × side³ up to which the eigenvalues of the Gram matrices of all workers take about a second
_POWER_ITERATIONS = 100
_ALL = slice(None)
_STACK = 64  # gradients computed together: more of them leave the cache


@parameters
class _Regression(Sampled):
    # What both problems share. The parameters are explained in the two docstrings: each is read by itself.

    regularisation: NonNegative = 0.0
    bias: bool = True
    regulariser: Literal["l2", "nonconvex"] = "l2"

    f_star: ClassVar[None] = None
    f_lower: ClassVar[float] = 0.0  # neither losses nor regularisers are negative
    x_star: ClassVar[None] = None
    _curvature: ClassVar[float]  # bounds the eigenvalues of the loss's Hessian in the logits

    def _prepare(self) -> None:
        _ = self._samples, self._targets

    @cached_property
    def _samples(self) -> Matrix:
        """(m, p): scaled, with a last column of ones for the biases; worker after worker where they are split."""
        return self._with_bias(self._features)

    def _with_bias(self, samples: Matrix) -> Matrix:
        return np.hstack([samples, np.ones((len(samples), 1))]) if self.bias else np.ascontiguousarray(samples)

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
        # no minibatch of an epoch has a sample twice either
        left_over = 1.0 if self.replacement is True else (size - self.batch_size) / max(1, size - 1)
        return self._at_the_start[0] / self.batch_size * left_over

    @property
    def zeta2(self) -> float:
        """(1/n) Σ ‖∇f_i(x0) − ∇f(x0)‖² over the workers, at the start; 0 unless they differ."""
        return self._at_the_start[1]

    @property
    def components_sigma2(self) -> float:
        """(1/m)Σ‖∇f_j − ∇f‖² over the samples at x0, or more where the workers' shares differ."""
        return self._at_the_start[0] + self._at_the_start[1]

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
        indices = self._all_drawn(rngs, workers)
        rows = np.empty((len(X), self.dimension))
        for start in range(0, len(X), _STACK):
            stack = slice(start, start + _STACK)
            points = X[stack]
            if all(x is points[0] for x in points):
                points = points[:1]
            rows[stack] = self._at(np.stack(points).reshape(len(points), self._samples.shape[1], -1), indices[stack])
        return rows

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

    def test_accuracy(self, x: Vector) -> float:
        """The share of the test samples that the classifier tells right; a tie between classes goes to the first."""
        if self._test_set is None:
            raise ValueError(f"{type(self).__name__}: nothing is held out; give test: 0.2, or a file")
        samples, labels = self._test_set
        with np.errstate(over="ignore", invalid="ignore"):
            logits = self._with_bias(samples) @ x.reshape(self._samples.shape[1], -1)
        return float(np.mean(self._told(logits) == self._wanted(labels)))

    def _wanted(self, labels: Indices) -> Indices:
        return labels

    def _told(self, logits: Matrix) -> Indices:
        """The class (t,) that the classifier takes each sample for."""
        raise NotImplementedError

    def _logits(self, x: Vector, of: slice = _ALL) -> Matrix:
        return self._samples[of] @ x.reshape(self._samples.shape[1], -1)

    def _value(self, x: Vector, logits: Matrix) -> float:
        loss = self._losses(logits, self._targets).mean()
        if not self.regularisation:
            return float(loss)  # 0·∞ would be no number
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
            or .npz (arrays X and y), MNIST's …-images-idx3-ubyte (or .gz), CIFAR's .bin, or sklearn:NAME; paths start
            at the folder of the scenario.
        batch_size: samples in the minibatch of one stochastic gradient.
        replacement: true: the samples of a minibatch are drawn independently; false: no sample twice in one minibatch;
            epochs: a worker goes through its samples in a random order, each epoch in another one.
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
        problem_seed: the split and what is held out are drawn from it; without it, from the seed of the run.
        test: what the test accuracy is of: a share of the samples, held out at random and not in f (0.2), or a file like
            data; 0 for none.

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

    def _told(self, logits: Matrix) -> Indices:
        told: Indices = np.argmax(logits, axis=1)
        return told

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
            (LIBSVM), .csv or .npz (arrays X and y), MNIST's …-images-idx3-ubyte (or .gz), CIFAR's .bin, or
            sklearn:NAME; paths start at the folder of the scenario.
        batch_size: samples in the minibatch of one stochastic gradient.
        replacement: true: the samples of a minibatch are drawn independently; false: no sample twice in one minibatch;
            epochs: a worker goes through its samples in a random order, each epoch in another one.
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
        problem_seed: the split and what is held out are drawn from it; without it, from the seed of the run.
        test: what the test accuracy is of: a share of the samples, held out at random and not in f (0.2), or a file like
            data; 0 for none.
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
        targets: Matrix = (labels == self._positive).astype(np.float64)[:, None]
        return targets

    @property
    def _positive(self) -> int:
        return 1 if self.positive_label is None else self._table.classes.index(self.positive_label)

    def _wanted(self, labels: Indices) -> Indices:
        wanted: Indices = (labels == self._positive).astype(np.intp)
        return wanted

    def _residuals(self, logits: Tensor, targets: Tensor) -> Tensor:
        # σ(z) from exp(−|z|), which never overflows
        small = np.exp(-np.abs(logits))
        residuals: Tensor = np.where(logits >= 0, 1.0, small)
        small += 1.0
        residuals /= small
        residuals -= targets
        return residuals

    def _told(self, logits: Matrix) -> Indices:
        told: Indices = (logits[:, 0] > 0).astype(np.intp)
        return told

    def _losses(self, logits: Matrix, targets: Matrix) -> Vector:
        # log(1 + exp(z)) − tz
        losses: Matrix = np.log1p(np.exp(-np.abs(logits))) + np.maximum(logits, 0.0) - targets * logits
        return losses[:, 0]


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
