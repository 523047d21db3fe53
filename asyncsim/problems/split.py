"""Sharing labelled samples out among workers, so that their data differ as much as one wants.

All shares have the same size, so that f = (1/n) Σ f_i is the mean over all samples that are kept; the m mod n samples
that are left over are drawn at random and left out. Everything random comes from the generator given.
"""

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.intp]


def split_samples(labels: Indices, n: int, split: str, alpha: float, rng: np.random.Generator) -> Indices:
    """The samples of each worker as indices (n, ⌊m/n⌋); no sample twice, and m mod n of them nowhere.

    labels : (m,) indices of classes 0…K−1
    split : "even", any worker may get any sample; "by_label", sorted by label, so that a worker has few of them and
        neighbours have the same; "dirichlet", each worker has its own shares of the classes, drawn from the symmetric
        Dirichlet law with parameter `alpha`: small is skewed, large is even.

    >>> split_samples(np.array([1, 0, 1, 0]), 2, "by_label", 0.1, np.random.default_rng(1)).tolist()
    [[1, 3], [0, 2]]
    """
    if len(labels) < n:
        raise ValueError(f"{len(labels)} samples cannot be shared out among {n} workers; each needs at least one")
    size = len(labels) // n
    kept = rng.permutation(len(labels))[: n * size]
    if split == "dirichlet":
        return _by_counts(labels, kept, _dirichlet_counts(np.bincount(labels[kept]), n, alpha, rng))
    if split == "by_label":
        kept = kept[np.argsort(labels[kept], kind="stable")]
    return kept.reshape(n, size).astype(np.intp)


def label_counts(labels: Indices, shares: Indices, classes: int) -> npt.NDArray[np.int64]:
    """How many samples of each class each worker has, (n, K).

    >>> label_counts(np.array([1, 0, 1, 0]), np.array([[1, 3], [0, 2]]), classes=2).tolist()
    [[2, 0], [0, 2]]
    """
    return np.array([np.bincount(labels[share], minlength=classes) for share in shares])


def _dirichlet_counts(there: Indices, n: int, alpha: float, rng: np.random.Generator) -> Indices:
    """How many samples of each class a worker gets, (n, K): rows have equal sums, columns are used up.

    Each worker's shares of the classes are drawn and rounded to whole samples. Workers are served one after the other,
    in a random order; whoever finds less of a class than was drawn for it takes what is missing from the classes of
    which most is left, so that the last ones get what the others left over.
    """
    left, size = there.copy(), int(there.sum()) // n
    counts = np.zeros((n, len(left)), dtype=np.intp)
    drawn = rng.dirichlet(np.full(len(left), alpha), size=n)
    for worker in rng.permutation(n):
        counts[worker] = np.minimum(_largest_remainder(drawn[worker] * size, size), left)
        left -= counts[worker]
        while missing := size - int(counts[worker].sum()):
            fullest = int(np.argmax(left))
            more = min(missing, int(left[fullest]))
            counts[worker, fullest] += more
            left[fullest] -= more
    return counts


def _largest_remainder(parts: npt.NDArray[np.float64], total: int) -> Indices:
    """`parts`, which sum to `total`, as whole numbers that do: those with the largest fractions are rounded up."""
    whole = np.floor(parts).astype(np.intp)
    up = np.argsort(whole - parts, kind="stable")[: total - int(whole.sum())]
    whole[up] += 1
    return whole


def _by_counts(labels: Indices, kept: Indices, counts: Indices) -> Indices:
    """The samples `kept` dealt out so that worker i gets counts[i, c] of class c, (n, size)."""
    shares: list[list[Indices]] = [[] for _ in counts]
    for label, of_workers in enumerate(counts.T):
        dealt = np.split(kept[labels[kept] == label], np.cumsum(of_workers)[:-1])
        for share, part in zip(shares, dealt, strict=True):
            share.append(part)
    return np.array([np.concatenate(share) for share in shares], dtype=np.intp)
