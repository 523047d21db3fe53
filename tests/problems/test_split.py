"""How samples are shared out among workers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsim.problems.split import _largest_remainder, label_counts, split_samples

SPLITS = ("even", "by_label", "dirichlet")
cases = st.tuples(
    st.lists(st.integers(0, 5), min_size=1, max_size=60)
    .map(np.array)
    .flatmap(lambda labels: st.tuples(st.just(labels), st.integers(1, len(labels)))),
    st.sampled_from(SPLITS),
    st.sampled_from([1e-300, 0.01, 0.1, 1.0, 100.0, 1e300]),
    st.integers(0, 2**32),
)


@given(case=cases)
def test_shares_have_equal_sizes_and_no_sample_twice_and_leave_out_only_the_remainder(case):
    (labels, n), split, alpha, seed = case
    shares = split_samples(labels, n, split, alpha, np.random.default_rng(seed))
    assert shares.shape == (n, len(labels) // n)
    assert len(np.unique(shares)) == shares.size
    assert shares.size == len(labels) - len(labels) % n
    counts = label_counts(labels, shares, 6)
    assert counts.shape == (n, 6)
    assert (counts.sum(axis=1) == shares.shape[1]).all()
    assert (counts.sum(axis=0) <= np.bincount(labels, minlength=6)).all()


@given(case=cases)
def test_a_split_is_a_function_of_the_seed(case):
    (labels, n), split, alpha, seed = case
    one, other = (split_samples(labels, n, split, alpha, np.random.default_rng(seed)) for _ in range(2))
    assert np.array_equal(one, other)


def test_samples_that_are_left_over_are_drawn_at_random():
    labels = np.zeros(11, dtype=int)
    left_over = [
        (set(range(11)) - set(split_samples(labels, 10, "even", 1.0, np.random.default_rng(seed)).reshape(-1))).pop()
        for seed in range(40)
    ]
    assert len(set(left_over)) > 7


def test_workers_have_neighbouring_labels_when_they_are_sorted():
    labels = np.tile(np.arange(5), 12)
    shares = split_samples(labels, 6, "by_label", 1.0, np.random.default_rng(1))
    assert np.array_equal(labels[shares].reshape(-1), np.repeat(np.arange(5), 12))


def skew(alpha, seed=3):
    """The mean over workers of the share of their most frequent label."""
    labels = np.repeat(np.arange(10), 200)
    counts = label_counts(labels, split_samples(labels, 20, "dirichlet", alpha, np.random.default_rng(seed)), 10)
    return float((counts.max(axis=1) / counts.sum(axis=1)).mean())


def test_small_alpha_gives_workers_few_labels_and_large_alpha_equal_mixes():
    assert skew(1e-3) > 0.85
    assert 0.5 < skew(0.1) < 0.9
    assert 0.1 <= skew(1e4) < 0.13
    assert skew(0.01) > skew(0.1) > skew(1.0) > skew(100.0)


def test_worker_numbers_say_nothing_of_who_is_served_last():
    # the last to be served get what is left over; over many seeds that is no worker in particular
    labels = np.repeat(np.arange(4), 25)
    first = np.zeros((4, 4))
    for seed in range(300):
        first += label_counts(labels, split_samples(labels, 4, "dirichlet", 0.3, np.random.default_rng(seed)), 4) ** 2
    squares = first.sum(axis=1) / 300
    assert np.ptp(squares) < 0.12 * squares.mean()


@given(parts=st.lists(st.floats(0, 1), min_size=1, max_size=8), total=st.integers(0, 50))
def test_largest_remainders_make_whole_numbers_of_the_same_sum_less_than_one_away(parts, total):
    parts = np.array(parts)
    parts = parts / parts.sum() * total if parts.sum() > 1e-9 else np.full(len(parts), total / len(parts))
    whole = _largest_remainder(parts, total)
    assert whole.sum() == total
    assert np.abs(whole - parts).max() < 1 + 1e-9


def test_more_workers_than_samples_are_refused():
    with pytest.raises(ValueError, match="3 samples cannot be shared out among 4 workers; each needs at least one"):
        split_samples(np.zeros(3, dtype=int), 4, "even", 1.0, np.random.default_rng(1))
