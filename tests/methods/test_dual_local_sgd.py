import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsim import DualLocalSGD, Knowledge
from asyncsim.testing import scripted
from asyncsim.theory import birch_stepsize, local_steps


def test_a_round_by_hand():
    """√4 · 1/8 = 1/4: z goes 8 → 6 → 4.5 with gradients 8 + 6; x¹ = 8 − (4 · 14)/8 = 1 = 8 + ½ · 4 · (4.5 − 8)."""
    trace = scripted(DualLocalSGD(stepsize=0.125, local_steps=2), [0, 2, 1, 3], n=4, x0=[8.0])
    assert [x.item() for x in trace.iterates] == [8.0, 1.0]
    assert trace.workers("used") == [0, 2, 1, 3]


def test_the_step_is_the_sum_of_the_moves_over_the_root_of_n():
    x, n = np.array([1.0, -3.0]), 3
    trace = scripted(
        DualLocalSGD(0.1, local_steps=3), [0, 1, 2], n=n, x0=x, gradient=lambda x, worker: (worker + 1) * x
    )
    moves = [((1 - math.sqrt(n) * 0.1 * (worker + 1)) ** 3 - 1) * x for worker in range(n)]
    assert trace.iterates[1] == pytest.approx(x + np.sum(moves, axis=0) / math.sqrt(n))


@given(n=st.integers(1, 64), sigma2=st.floats(0.0, 1e4), epsilon=st.floats(1e-4, 10.0), Delta=st.floats(1e-3, 1e3))
def test_theory_needs_at_most_twelve_rounds_for_each_of_its_unit(n, sigma2, epsilon, Delta):
    """4(R + 1)LΔ/ε + 8σ²LΔ/ε² gradients, nK a round: at most 12LΔ/ε rounds."""
    known = Knowledge(n=n, L=2.0, sigma2=sigma2, epsilon=epsilon)
    found = DualLocalSGD("theory", "theory").theory(known)
    K = found["local_steps"]
    assert local_steps(sigma2, epsilon, n) == K
    assert found["stepsize"] == birch_stepsize(2.0, sigma2, epsilon, R=n * K - 1)
    gradients = 4 * n * K * 2.0 * Delta / epsilon + 8 * sigma2 * 2.0 * Delta / epsilon**2
    assert gradients / (n * K) <= 12 * 2.0 * Delta / epsilon * (1 + 1e-12)


def test_one_worker_with_one_local_step_is_not_bound_by_any_distance():
    known = Knowledge(n=1, L=1.0, sigma2=0.0, epsilon=0.1)
    assert DualLocalSGD("theory", "theory").theory(known) == {"local_steps": 1, "stepsize": 0.5}
