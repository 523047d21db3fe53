import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsim import DecayingLocalSGD, DualLocalSGD, Knowledge
from asyncsim.testing import scripted
from asyncsim.theory import decaying_stepsizes


def test_a_round_by_hand():
    """n = K = 2 and η_g = 0.1: local stepsizes 0.1·√(4/(j + 1)/(ln 2 + 1)) for j = 0, 1."""
    trace = scripted(DecayingLocalSGD(stepsize=0.1, local_steps=2), [0, 1], n=2, x0=[8.0])
    first = 0.1 * math.sqrt(4 / (math.log(2) + 1))
    assert trace.iterates[1].item() == pytest.approx(8.0 - 0.1 * 2 * (8.0 + 8.0 * (1 - first)))


@given(
    n=st.integers(1, 10**4), K=st.integers(1, 300), stepsize=st.floats(1e-6, 1.0), log_of=st.sampled_from(["K", "b"])
)
def test_the_local_stepsizes_stay_in_the_rounds_budget(n, K, stepsize, log_of):
    """Ση² ≤ nKη_g², what K steps of Dual Local SGD spend exactly; each is smaller than the one before."""
    found = decaying_stepsizes(stepsize, n, K, log_of)
    assert sum(η**2 for η in found) <= n * K * stepsize**2 * (1 + 1e-12)
    assert found == sorted(found, reverse=True)
    assert found[0] / found[-1] == pytest.approx(math.sqrt(K))


@given(n=st.integers(1, 100), K=st.integers(2, 200))
def test_they_begin_above_dual_local_sgds_and_end_below(n, K):
    dual, found = math.sqrt(n), decaying_stepsizes(1.0, n, K)
    assert found[0] / dual == pytest.approx(math.sqrt(K / (math.log(K) + 1)))
    assert found[-1] < dual < found[0]


def test_the_logarithm_of_b_makes_them_smaller():
    assert decaying_stepsizes(1.0, 8, 4, "b")[0] < decaying_stepsizes(1.0, 8, 4, "K")[0]


def test_theory_is_that_of_dual_local_sgd():
    known = Knowledge(n=16, L=1.0, sigma2=10.0, epsilon=0.05)
    assert DecayingLocalSGD("theory", "theory").theory(known) == DualLocalSGD("theory", "theory").theory(known)
