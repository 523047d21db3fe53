"""RAS: the exact minimiser of max_i a_i s_i, held against brute force and its closed forms."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsim.allocation import recursive_allocation_selection


def allocate(scores, B):
    return recursive_allocation_selection(np.array(scores, dtype=float), B, np.random.default_rng(0))


def best_value(scores, B):
    """The least max_i a_i s_i over all allocations, by trying them all."""
    n = len(scores)
    return min(
        max(a * s for a, s in zip(allocation, scores, strict=True))
        for allocation in itertools.product(range(B + 1), repeat=n)
        if sum(allocation) == B
    )


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, 3.7, 10.0]), min_size=1, max_size=4), st.integers(1, 6))
def test_no_allocation_is_better(scores, B):
    a = allocate(scores, B)
    assert a.sum() == B
    assert (a * np.array(scores)).max() == best_value(scores, B)


@given(st.lists(st.floats(0.01, 100.0), min_size=1, max_size=60), st.integers(1, 120))
def test_the_value_is_the_B_th_smallest_of_all_multiples(scores, B):
    a = allocate(scores, B)
    multiples = sorted(j * s for s in scores for j in range(1, B + 1))
    assert a.sum() == B
    assert (a * np.array(scores)).max() == pytest.approx(multiples[B - 1], rel=1e-12)


def test_the_papers_base_case_uses_seventeen_workers():
    """Times √i and B = 23: support 17, allocation (4, 2, 2, 2, 1, …), value √17."""
    scores = np.sqrt(np.arange(1, 52))
    a = allocate(scores, 23)
    assert a[:17].tolist() == [4, 2, 2, 2] + [1] * 13
    assert a[17:].sum() == 0
    assert (a * scores).max() == np.sqrt(17)


def test_linear_times_use_nine_workers():
    assert allocate(np.arange(1, 18), 23)[:10].tolist() == [9, 4, 3, 2, 1, 1, 1, 1, 1, 0]


@given(st.integers(1, 30), st.integers(1, 60))
def test_workers_with_score_zero_share_the_tasks_evenly(n, B):
    a = allocate(np.zeros(n), B)
    assert a.sum() == B
    assert a.max() - a.min() <= 1


def test_a_worker_that_never_returns_is_given_nothing():
    assert allocate([np.inf, 1.0, np.inf], 5).tolist() == [0, 5, 0]


def test_no_worker_that_returns_is_an_error():
    with pytest.raises(ValueError, match="all mean times are infinite"):
        allocate([np.inf, np.inf], 2)
