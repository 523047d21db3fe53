"""Labelled samples as problems use them: read, scaled, partly held out, shared out among workers, drawn in minibatches.

Where the data are split among workers, the samples that are kept are stored worker by worker, so that worker i draws
from rows i·size … (i+1)·size − 1; component j of the finite sum is sample j in this order. Samples that are held out
are in no share and not in f. What is scaled is scaled by what is seen: the scale comes from the samples that are not
held out.

How a minibatch is drawn:

- `replacement: true`. Samples are drawn as floor(m·u), u uniform of 53 bits: twice as quick as `integers` for small
  minibatches, and the probabilities of the samples differ by no more than about m/2⁵³ of each.
- `false`. No sample twice in one minibatch; minibatches are independent.
- `epochs`. A worker goes through its samples in a random order, each epoch in another one. Its m-th gradient is
  minibatch m mod q of epoch m div q, q = ⌊size/batch_size⌋: a function of (seed, worker, m), whatever was discarded,
  batched or resumed in between. What does not fill a minibatch is left out of that epoch. Numbers of gradients that
  were stopped or discarded are gone, and their samples with them. A generator that does not know its number (any but
  the engines') gives a minibatch of a random place in a random epoch, which is the same law.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypeAlias

import annotated_types as at
import numpy as np
import numpy.typing as npt

from asyncsim.parameters import Count, Positive, Whole, parameters
from asyncsim.problems import data_files
from asyncsim.problems.data_files import Table
from asyncsim.problems.split import label_counts, split_samples
from asyncsim.streams import Draw, sequential

Array: TypeAlias = npt.NDArray[Any]
Indices: TypeAlias = npt.NDArray[np.intp]
HeldOut = Annotated[float, at.Ge(0), at.Lt(1)] | str

_ARRAYS = "arrays"  # stands in `data` when the data came from Python
_ORDERS_KEPT = 2**23  # numbers of the epochs' orders that are kept at hand, 64 MiB


class Minibatches:
    """How minibatches are drawn. Needs `batch_size`, `replacement`, `_share` (samples of a worker), `workers`."""

    if TYPE_CHECKING:
        batch_size: Any
        replacement: Any
        workers: ClassVar[int | None]  # where each has a share of its own

        @property
        def _share(self) -> int: ...

    def _drawn(self, rng: np.random.Generator, worker: int) -> Indices:
        """The samples (batch_size,) of one stochastic gradient."""
        drawn: Indices
        if self.replacement is True:
            drawn = (rng.random(self.batch_size) * self._share).astype(np.intp)
        elif self.replacement == "epochs" and isinstance(rng, Draw):
            drawn = self._of_epoch(rng)
        else:
            drawn = rng.choice(self._share, self.batch_size, replace=False, shuffle=False).astype(np.intp)
        if self.workers is not None:
            drawn += worker * self._share
        return drawn

    def _all_drawn(self, rngs: Iterable[np.random.Generator], workers: Sequence[int]) -> Indices:
        """(S, batch_size): row j by generator j for worker j."""
        indices = np.empty((len(workers), self.batch_size), dtype=np.intp)
        for row, rng, worker in zip(indices, rngs, workers, strict=True):
            row[:] = self._drawn(rng, worker)
        return indices

    def _of_epoch(self, rng: Draw) -> Indices:
        epoch, place = divmod(rng.index, self._share // self.batch_size)
        orders: OrderedDict[Any, Array] = vars(self).setdefault("_orders", OrderedDict())
        key = (rng.stream.key, rng.worker, epoch)
        if key in orders:
            orders.move_to_end(key)
        else:
            orders[key] = rng.order(epoch, self._share).astype(np.intp)
            while len(orders) > max(1, _ORDERS_KEPT // self._share):
                orders.popitem(last=False)
        order: Indices = orders[key]
        return order[place * self.batch_size : (place + 1) * self.batch_size].copy()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_orders", "_kernel")}

    def _check_batch_size(self, split: bool) -> None:
        if self.replacement is not True and self.batch_size > self._share:
            whose = "a worker has" if split else "there are"
            raise ValueError(
                f"{type(self).__name__}: batch_size = {self.batch_size} without replacement, "
                f"but {whose} {self._share} samples"
            )


@parameters
class Sampled(Minibatches):
    """What problems on a table of samples share; their docstrings explain the parameters, each by itself."""

    data: str
    batch_size: Count = 1
    replacement: bool | Literal["epochs"] = True
    scale: Literal["none", "unit", "standard"] = "unit"
    label_column: Literal["first", "last"] = "first"
    split: Literal["none", "even", "by_label", "dirichlet"] = "none"
    alpha: Positive = 0.1
    problem_seed: Whole | None = None
    test: HeldOut = 0.0

    # set by build, in the instance's __dict__
    workers: ClassVar[int | None] = None
    _seed: ClassVar[int] = 0

    def build(self, seed: int = 0, base: Path = Path(), n: int = 1) -> Self:
        """The problem with its data read, checked and split among `n` workers where `split` says so.

        A relative path in `data` or `test` starts at the folder `base`. What is random in the problem is drawn from
        `problem_seed`, or from `seed` without one.
        """
        from_arrays = self.data == _ARRAYS and "_table" in vars(self)
        if from_arrays and self.split == "none" and self._drawn_by_seed() == frozenset():
            return self
        built = dataclasses.replace(self)
        vars(built)["_seed"] = seed if self.problem_seed is None else self.problem_seed
        if self.split != "none":
            vars(built)["workers"] = n
        if from_arrays:
            return built._on(self._table, vars(self).get("_tested_on"))
        table, tested_on = data_files.read(self.data, base, self.label_column), None
        if isinstance(self.test, str):
            tested_on = data_files.read_like(table, self.test, base, self.label_column)
        return built._on(table, tested_on)

    @classmethod
    def of(
        cls,
        samples: npt.ArrayLike,
        labels: npt.ArrayLike,
        *,
        tested_on: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
        **given: Any,
    ) -> Self:
        """The problem on arrays: samples (m, p), or (m, …) which are flattened, labels (m,); the rest as usual.

        `tested_on` is a pair of such arrays for the test accuracy. Where the samples are split among workers,
        `.build(n=…)` follows.
        """
        test = None if tested_on is None else data_files.of_arrays(*tested_on, "tested_on")
        return cls(data=_ARRAYS, **given)._on(data_files.of_arrays(samples, labels, _ARRAYS), test)

    @property
    def data_sha256(self) -> str:
        """A digest of the data as read, by which a resumed run can see that they are the same."""
        digest = hashlib.sha256()
        for table in (self._table, vars(self).get("_tested_on")):
            if table is not None:
                digest.update(np.ascontiguousarray(table.samples).data)
                digest.update(table.labels.astype(np.int64).data)
        return digest.hexdigest()

    def _drawn_by_seed(self) -> frozenset[str]:
        """What of the problem, but for the split, depends on the seed."""
        return frozenset({"test"} if self.test and not isinstance(self.test, str) else ())

    def _on(self, table: Table, tested_on: Table | None = None) -> Self:
        # cached properties live in the instance's __dict__, so this is what `_table` will be
        vars(self)["_table"] = table
        if tested_on is not None:
            vars(self)["_tested_on"] = self._same_kind(tested_on)
        if self.split == "none" or self.workers is not None:
            self._prepare()
        return self

    def _prepare(self) -> None:
        """Do what can fail, so that it fails when the problem is built."""
        _ = self._features

    @cached_property
    def _table(self) -> Table:
        return data_files.read(self.data, Path(), self.label_column)

    def _same_kind(self, test: Table) -> Table:
        """The test samples with their labels numbered as the others are."""
        classes = self._table.classes
        what = f"{type(self).__name__}: the samples to be tested on"
        if test.samples.shape[1] != self._table.samples.shape[1]:
            raise ValueError(
                f"{what} have {test.samples.shape[1]} features, but those of data {self.data!r} have "
                f"{self._table.samples.shape[1]}"
            )
        unknown = [label for label in test.classes if label not in classes]
        if unknown:
            raise ValueError(f"{what} have the label {unknown[0]!r}, which is not in data {self.data!r}")
        number = np.array([classes.index(label) for label in test.classes], dtype=np.intp)
        return test._replace(labels=number[test.labels], classes=classes)

    @cached_property
    def _held_out(self) -> Indices:
        """The rows of the table that are in no share and not in f, ascending."""
        if isinstance(self.test, str) or not self.test:
            return np.empty(0, dtype=np.intp)
        m = len(self._table.labels)
        count = max(1, round(self.test * m))
        if count >= m:
            raise ValueError(f"{type(self).__name__}: test = {self.test:g} of {m} samples leaves none to learn from")
        return np.sort(sequential(self._seed, "test").permutation(m)[:count].astype(np.intp))

    @cached_property
    def _rows(self) -> Indices | None:
        """The rows of the table that f is made of, worker by worker; None for all of them as they stand."""
        kept = None
        if len(self._held_out):
            kept = np.delete(np.arange(len(self._table.labels)), self._held_out)
        if self._shares is None:
            return kept
        flat = self._shares.reshape(-1)
        return flat if kept is None else kept[flat]

    @cached_property
    def _shares(self) -> Indices | None:
        """The samples (n, size) of each worker, numbered as they are after some were held out; None: all have all."""
        if self.split == "none":
            return None
        if self.workers is None:
            raise ValueError(
                f"{type(self).__name__}: split {self.split}, but the number of workers is not known; "
                "make it by problem.build(seed, n=…)"
            )
        luck = sequential(self._seed, "problem")
        try:
            return split_samples(self._kept_labels, self.workers, self.split, self.alpha, luck)
        except ValueError as error:
            raise ValueError(f"{type(self).__name__}: data {self.data!r}: {error}") from None

    @property
    def _kept_labels(self) -> Indices:
        return np.delete(self._table.labels, self._held_out) if len(self._held_out) else self._table.labels

    @cached_property
    def _labels(self) -> Indices:
        """(m,) the class of each sample that f is made of, in the order of `_features`."""
        return self._table.labels if self._rows is None else self._table.labels[self._rows]

    @cached_property
    def _features(self) -> Array:
        """(m, p), scaled, of the problem's type; worker after worker where they are split."""
        self._check_batch_size(self._shares is not None)
        samples = self._table.samples if self._rows is None else self._table.samples[self._rows]
        return self._scaled(samples)

    def _scaled(self, samples: Array) -> Array:
        shift, factor = self._scale_of_the_rest
        scaled: Array = samples.astype(self._type)  # a copy, which may be written into: data can be large
        if self.scale == "unit":
            scaled /= self._type(factor)
        elif self.scale == "standard":
            scaled -= shift.astype(self._type)
            scaled /= factor.astype(self._type)
        return scaled

    @property
    def _type(self) -> Any:
        return np.float64

    @cached_property
    def _scale_of_the_rest(self) -> tuple[Any, Any]:
        """(shift, factor) of the features, from all samples that are not held out."""
        samples = np.delete(self._table.samples, self._held_out, axis=0) if len(self._held_out) else self._table.samples
        if self.scale == "unit":
            # of unsigned bytes the absolute values are the bytes
            return 0.0, float(max(samples.max(), -samples.min(initial=0) if samples.dtype.kind == "f" else 0)) or 1.0
        if self.scale == "standard":
            # a feature that never changes says nothing: it becomes 0, whatever the rounding of its mean
            changes = samples.max(axis=0) > samples.min(axis=0)
            deviation = samples.std(axis=0, dtype=np.float64)
            return samples.mean(axis=0, dtype=np.float64), np.where(changes, deviation, np.inf)
        return 0.0, 1.0

    @cached_property
    def _test_set(self) -> tuple[Array, Indices] | None:
        """The features (t, p) and labels (t,) to be tested on; None where there are none."""
        table: Table | None = vars(self).get("_tested_on")
        if table is not None:
            return self._scaled(table.samples), table.labels
        if not len(self._held_out):
            return None
        return self._scaled(self._table.samples[self._held_out]), self._table.labels[self._held_out]

    @property
    def test_size(self) -> int:
        """How many samples the test accuracy is of; 0 where none are held out and no test data were given."""
        return 0 if self._test_set is None else len(self._test_set[1])

    @cached_property
    def _share(self) -> int:
        """How many samples a worker draws from."""
        if self._shares is not None:
            return int(self._shares.shape[1])
        return len(self._table.labels) - len(self._held_out)

    @property
    def components(self) -> int:
        """m, the samples that are in f."""
        return len(self._labels)

    @property
    def left_out(self) -> int:
        """How many samples are in no share, as shares have equal sizes; they are not in f either."""
        return len(self._table.labels) - len(self._held_out) - self.components

    @property
    def classes(self) -> tuple[float | str, ...]:
        """The labels in the data, sorted."""
        return self._table.classes

    @cached_property
    def split_table(self) -> npt.NDArray[np.int64] | None:
        """How many samples of each class each worker has, (n, K); None where all workers have all."""
        return None if self._shares is None else label_counts(self._kept_labels, self._shares, len(self.classes))
