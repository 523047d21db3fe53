"""Parameters from theory: who is asked, what is missing, and the formulas at their corners."""

import dataclasses
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import Noisy, play

from asyncsim import (
    AsyncBatchSGD,
    AsynchronousSGD,
    AsyncLocalSGD,
    DecayingLocalSGD,
    DualLocalSGD,
    Exponential,
    FreyaSGD,
    HeroSGD,
    Knowledge,
    LocalSGD,
    MaleniaSGD,
    MinibatchSGD,
    NoProblem,
    Quadratic,
    Record,
    RennalaSGD,
    RingleaderASGD,
    RingmasterASGD,
    Stop,
    Workers,
    simulate,
)
from asyncsim.running import knowledge
from asyncsim.theory import (
    asks_theory,
    batch_stepsize,
    collected_gradients,
    largest_delay,
    local_steps,
    resolved,
    ringmaster_stepsize,
)

ALL = Knowledge(n=4, mean_times=np.array([2.0, 1.0, 4.0, 1.0]), constant_times=True, L=2.0, sigma2=0.5, epsilon=0.1)


def test_what_says_theory_is_replaced_and_nothing_else():
    assert resolved(RennalaSGD("theory", "theory"), ALL) == RennalaSGD(stepsize=0.25, batch_size=5)
    assert resolved(RennalaSGD(0.125, "theory", stops=True), ALL) == RennalaSGD(0.125, 5, stops=True)
    assert resolved(RennalaSGD("theory", 2), ALL).stepsize == 0.1 * 2 / (2 * 2.0 * 0.5)
    method = RingmasterASGD(0.3, 4)
    assert resolved(method, Knowledge(n=1)) == method


def test_only_who_says_theory_asks_for_knowledge():
    assert asks_theory(HeroSGD(0.5))
    assert not asks_theory(HeroSGD(0.5, worker=0))
    assert not asks_theory(object())


def test_a_run_that_does_not_ask_never_samples_the_laws_for_their_means():
    asked = []

    def law(rng, worker, start):
        asked.append(start)
        return 1.0

    play(AsynchronousSGD(0.1), law, n=1, stop=Stop(iterations=3))
    assert len(asked) <= 4


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (MinibatchSGD("theory", batch_size=3), {"stepsize": min(1 / 2, 0.1 * 12 / (2 * 2.0 * 0.5))}),
        (HeroSGD("theory"), {"stepsize": 0.1 / (2 * 2.0 * 0.5), "worker": 1}),
        (RennalaSGD("theory", "theory"), {"stepsize": min(1 / 2, 0.1 * 5 / (2 * 2.0 * 0.5)), "batch_size": 5}),
        (RingmasterASGD("theory", "theory"), {"stepsize": min(1 / 20, 0.1 / (4 * 2.0 * 0.5)), "threshold": 5}),
        # within the 4 s of worker 2, the others make at most 3, 5 and 5 updates: every delay is below 14
        (AsynchronousSGD("theory"), {"stepsize": min(1 / (2 * 14 * 2.0), 0.1 / (4 * 2.0 * 0.5))}),
    ],
)
def test_each_methods_theory_gives_its_papers_parameters(method, expected):
    found = resolved(method, ALL)
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize("method", [RennalaSGD("theory", "theory"), RingmasterASGD("theory", 3), MinibatchSGD("theory"),
                                    AsynchronousSGD("theory"), HeroSGD("theory")])  # fmt: skip
def test_what_is_missing_is_listed_all_at_once(method):
    with pytest.raises(ValueError, match="theory is not possible here") as error:
        resolved(method, Knowledge(n=4))
    missing = ("mean_times",) if type(method) is HeroSGD else ("L (the problem", "sigma2 (the problem", "epsilon (give")
    for word in (type(method).__name__, *missing):
        assert word in str(error.value)


BARE = Knowledge(n=4, sigma2=0.5, components_sigma2=0.5, epsilon=0.1)  # no L, no times


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (RennalaSGD(0.1, "theory"), RennalaSGD(0.1, 5)),
        (RingmasterASGD(0.1, "theory"), RingmasterASGD(0.1, 5)),
        (MaleniaSGD(0.1, "theory"), MaleniaSGD(0.1, 5)),
        (RingleaderASGD(0.1, "theory"), RingleaderASGD(0.1, 1.25 * 0.5 / (4 * 0.1))),
        (LocalSGD(0.1, "theory"), LocalSGD(0.1, 2)),
        (DualLocalSGD(0.1, "theory"), DualLocalSGD(0.1, 2)),
        (DecayingLocalSGD(0.1, "theory"), DecayingLocalSGD(0.1, 2)),
        (AsyncLocalSGD(0.1, "theory", "theory"), AsyncLocalSGD(0.1, 2, 5)),
        (AsyncBatchSGD(0.1, "theory", "theory"), AsyncBatchSGD(0.1, 2, 5)),
        (FreyaSGD(0.1, "theory", 7), FreyaSGD(0.1, 5, 7)),
    ],
    ids=repr,
)
def test_a_stepsize_that_is_given_asks_for_no_smoothness(method, expected):
    assert resolved(method, BARE) == expected
    with pytest.raises(ValueError, match="unknown: L "):
        resolved(dataclasses.replace(method, stepsize="theory"), BARE)


@given(st.integers(1, 400), st.integers(1, 400))
def test_what_is_whole_but_for_rounding_is_not_rounded_up(a, b):
    """σ²/ε = (a/10)/(b/100) = 10a/b; 1.1/0.1 is a little above 11 in float64."""
    assert collected_gradients(a / 10, b / 100) == math.ceil(Fraction(10 * a, b))
    assert local_steps(a / 10, b / 100, n=3) == max(1, math.ceil(Fraction(10 * a, 3 * b)))


def test_delays_are_bounded_for_constant_times_only():
    with pytest.raises(ValueError, match="bounded only for constant compute times; tune the stepsize"):
        resolved(AsynchronousSGD("theory"), dataclasses.replace(ALL, constant_times=False))


@pytest.mark.parametrize("times", [[1.0, math.inf], [1.0, 0.0]])
def test_delays_have_no_bound_where_a_worker_never_returns_or_takes_no_time(times):
    with pytest.raises(ValueError, match="no bound where a worker never returns, or takes no time"):
        largest_delay(np.array(times))


def test_a_method_without_a_theory_says_so():
    @dataclasses.dataclass(frozen=True)
    class Mine:
        stepsize: str = "theory"

        def run(self, server):
            pass

    with pytest.raises(ValueError, match=r"Mine: stepsize = theory, but this method has no theory\(knowledge\)"):
        resolved(Mine(), ALL)


def test_without_noise_the_steps_are_those_of_gradient_descent():
    assert batch_stepsize(2.0, 0.0, 0.1, 1) == 0.5
    assert ringmaster_stepsize(2.0, 0.0, 0.1, 3) == 1 / 12
    assert collected_gradients(0.0, 0.1) == 1


@given(st.lists(st.integers(1, 9), min_size=2, max_size=6))
def test_no_delay_of_asynchronous_sgd_exceeds_its_bound_for_constant_times(times):
    workers = Workers(len(times), [t / 2 for t in times])
    run = simulate(AsynchronousSGD(0.01), NoProblem(), workers, stop=Stop(time=20.0), record=Record(iterations=10**6))
    assert run.largest_delay <= largest_delay(np.array(times) / 2)


def test_knowledge_comes_from_the_problem_the_workers_and_the_target():
    found = knowledge(Quadratic(1729), Workers(2, [1.0, 2.0], uplink=0.5), {"squared_gradient_norm": 0.03})
    assert (found.n, found.constant_times, found.epsilon) == (2, True, 0.03)
    assert found.mean_times.tolist() == [1.5, 2.5]
    assert found.sigma2 == pytest.approx(0.1729)
    assert pytest.approx(1.0, abs=1e-5) == found.L


def test_what_is_estimated_is_said():
    found = knowledge(Noisy(), Workers(1, lambda rng, worker, start: 1.0), None)
    assert found.estimated == {"mean_times", "mean_compute_times"}
    sent = knowledge(Noisy(), Workers(1, 1.0, uplink=lambda rng, worker, start: 1.0), None)
    assert sent.estimated == {"mean_times"}
    assert found.mean_times.tolist() == [1.0]
    assert found.epsilon is None


@pytest.mark.parametrize(
    "method", [RennalaSGD("theory", "theory"), RingmasterASGD("theory", "theory"), MinibatchSGD("theory")]
)
def test_with_theorys_parameters_the_target_is_reached_within_the_papers_iterations(method):
    """The average of ‖∇f(x^k)‖² is ≤ ε after 4Δ/(γε) iterations, in expectation; twice that is allowed for here."""
    problem, ε = Quadratic(20, noise=0.05), 0.05
    workers = Workers(4, lambda worker: Exponential(1.0 + worker))
    γ = resolved(method, knowledge(problem, workers, {"squared_gradient_norm": ε})).stepsize
    Δ = problem.value(problem.x0) - problem.f_star
    stop = Stop(iterations=math.ceil(2 * 4 * Δ / (γ * ε)))
    run = simulate(
        method, problem, workers, stop=stop, target={"squared_gradient_norm": ε}, record=Record(iterations=1)
    )
    assert (run.curves["mean_squared_gradient_norm"] <= ε).any()
