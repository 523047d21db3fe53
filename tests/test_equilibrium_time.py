"""t*(S) and e(S): how long unequal workers take to collect S gradients."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsim.theory import collection_time, equilibrium_time, page_batch_size, page_iterations, page_stepsize

TIMES = st.lists(st.floats(0.01, 100.0), min_size=1, max_size=6)
BATCH = st.integers(1, 40)


@given(TIMES, BATCH)
def test_the_best_prefix_of_the_sorted_workers_is_the_best_subset(times, S):
    subsets = (c for size in range(1, len(times) + 1) for c in itertools.combinations(times, size))
    by_force = min((S + len(c)) / sum(1 / τ for τ in c) for c in subsets)
    assert equilibrium_time(np.array(times), S) == pytest.approx(by_force, rel=1e-12)


@given(TIMES, BATCH)
def test_collecting_takes_between_half_of_it_and_all_of_it(times, S):
    t, e = equilibrium_time(np.array(times), S), collection_time(np.array(times), S)
    assert t / 2 * (1 - 1e-12) <= e < t


@given(TIMES, BATCH)
def test_workers_slower_than_it_play_no_part(times, S):
    τ = np.array(times)
    t = equilibrium_time(τ, S)
    assert equilibrium_time(τ[τ <= t * (1 + 1e-12)], S) == pytest.approx(t, rel=1e-9)
    assert equilibrium_time(np.append(τ, [t * 1.1, math.inf]), S) == pytest.approx(t, rel=1e-12)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), BATCH)
def test_the_collection_time_is_the_first_at_which_enough_is_finished(times, S):
    e = int(collection_time(np.array(times), S))
    assert sum(e // τ for τ in times) >= S > sum((e - 1) // τ for τ in times)


@given(st.floats(0.01, 100), st.integers(1, 50), BATCH)
def test_equal_workers_share(τ, n, S):
    assert equilibrium_time(np.full(n, τ), S) == pytest.approx(τ * (S / n + 1))
    assert collection_time(np.full(n, τ), S) == pytest.approx(τ * math.ceil(S / n))


def test_those_that_never_return_are_left_out_until_nobody_is_left():
    assert collection_time(np.array([2.0, math.inf]), 3) == 6.0
    assert collection_time(np.array([math.inf]), 1) == equilibrium_time(np.array([math.inf]), 1) == math.inf


def test_a_worker_that_needs_no_time_takes_none():
    assert collection_time(np.array([0.0, 1.0]), 9) == equilibrium_time(np.array([0.0, 1.0]), 9) == 0.0


@given(st.integers(1, 10**12))
def test_the_batch_size_is_the_root_rounded_up_exactly(m):
    S = page_batch_size(m)
    assert (S - 1) ** 2 < m <= S**2


@given(st.floats(0.01, 10), st.floats(0, 10), BATCH, st.floats(1e-4, 1.0))
def test_the_stepsize_of_page_meets_the_inequality_of_its_proof(L, spread, S, p):
    γ = page_stepsize(L, spread, S, p)
    assert γ * L + γ**2 * spread**2 * (1 - p) / (p * S) <= 1 + 1e-12
    assert page_iterations(1.0, 0.5, γ) >= 4 / γ
