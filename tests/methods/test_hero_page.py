"""Hero PAGE: one worker computes all sums."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sums import Sum, descent
from toys import differences

from asyncsim import Exponential, HeroPAGE, Knowledge, NoProblem, Record, Stop, Workers, simulate
from asyncsim.running import knowledge
from asyncsim.testing import resumed, scripted
from asyncsim.theory import resolved

EVERY_STEP = Record(iterations=1)
ONLY_DIFFERENCES = 1e-300


def test_a_trace_by_hand():
    """f_j(x) = (x − 2j)²/2, j = 0, 1, 2: ∇f(x) = x − 2; x⁰ = 10, γ = ½; gradient 8, then differences −4 and −2."""
    method = HeroPAGE(0.5, batch_size=2, probability=ONLY_DIFFERENCES, components=3, worker=1)
    trace = scripted(method, [1, 1, 1], n=2, x0=[10.0], gradient=lambda x, j: x - 2 * j)
    np.testing.assert_allclose([x.item() for x in trace.iterates], [10.0, 6.0, 4.0, 3.0], rtol=0, atol=1e-14)
    assert set(trace.workers("sent")) == {1}


def test_an_exact_gradient_takes_m_gradients_and_a_cheap_estimate_two_a_difference():
    method = HeroPAGE(0.5, batch_size=3, probability=ONLY_DIFFERENCES, components=10, worker=0)
    run = simulate(method, NoProblem(), Workers(2, [0.5, 9.0]), stop=Stop(iterations=3), record=EVERY_STEP)
    assert run.curves["time"].tolist()[:4] == [0.0, 5.0, 8.0, 11.0]
    assert run.used == 10 + 6 + 6


def test_others_may_never_return():
    run = simulate(HeroPAGE(0.3), Sum(), Workers(3, [np.inf, 1.0, np.inf]), stop=Stop(iterations=30))
    assert (run.status, run.parameters["worker"]) == ("finished", 1)


def test_theory_takes_the_fastest_worker_and_lists_what_is_missing():
    known = Knowledge(n=2, mean_times=np.array([2.0, 1.0]), components=16, L_minus=1.0, L_plus_minus=0.0)
    assert resolved(HeroPAGE("theory"), known) == HeroPAGE(1.0, 4, 0.2, 16, 1)
    with pytest.raises(ValueError, match=r"unknown: components \(.*\), L_minus \("):
        resolved(HeroPAGE("theory"), Knowledge(n=2))


def test_theory_chooses_for_exact_gradients_of_many_components_the_one_who_computes_fastest():
    known = knowledge(NoProblem(), Workers(2, [1.0, 5.0], uplink=[10.0, 0.0]), None)
    assert [resolved(HeroPAGE(0.1, components=m), known).worker for m in (1, 100)] == [1, 0]


def test_with_probability_1_it_is_gradient_descent():
    problem = Sum()
    method = HeroPAGE(0.3, probability=1.0, worker=2)
    run = simulate(method, problem, Workers(3, 1.0), stop=Stop(iterations=20), record=EVERY_STEP)
    values = [problem.value(x) for x in descent(problem, 0.3, 20)]
    np.testing.assert_allclose(run.curves["value"], values, rtol=0, atol=1e-12)


@given(at=st.sets(st.integers(1, 39), min_size=1, max_size=3))
@settings(max_examples=8)
def test_killed_and_taken_up_again_it_ends_with_the_same_bits(at):
    method, workers = HeroPAGE(0.3), Workers(2, Exponential(1.0))
    options = {"stop": Stop(iterations=40), "record": EVERY_STEP}
    alone = simulate(method, Sum(), workers, **options)
    assert differences(alone, resumed(method, Sum(), workers, at=at, **options)) == []
