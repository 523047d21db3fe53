"""Ringmaster ASGD by hand, without stops (Algorithm 4) and with them (Algorithm 5)."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from toys import Slope

from asyncsim import Exponential, RingmasterASGD, Stop, Workers, simulate
from asyncsim.testing import Trace, adversarial, scripted


def test_a_gradient_of_delay_r_is_ignored_and_its_worker_starts_at_the_newest_point():
    """R = 2, γ = ½, g(x) = x. 0 makes x¹ = 4 and x² = 2; 1 comes from x⁰ with δ = 2: ignored; then from x²: x³ = 1."""
    trace = scripted(RingmasterASGD(0.5, threshold=2), [0, 0, 1, 1], n=2, x0=[8.0])
    assert np.concatenate(trace.iterates).tolist() == [8.0, 4.0, 2.0, 1.0]
    assert trace.delays == [0, 0, 2, 0]
    assert trace.workers("used") == [0, 0, 1]


def test_a_gradient_of_a_delay_just_below_r_is_used():
    """R = 2: 0 makes x¹ = 4; 1 comes from x⁰ = 8 with δ = 1: 4 − 4 = 0."""
    trace = scripted(RingmasterASGD(0.5, threshold=2), [0, 1], n=2, x0=[8.0])
    assert np.concatenate(trace.iterates).tolist() == [8.0, 4.0, 0.0]


def test_with_stops_whoever_is_r_behind_starts_anew_at_once():
    """R = 2: after x² = 2 worker 1, at x⁰, is stopped and starts at x²; its gradient makes x³ = 1."""
    trace = scripted(RingmasterASGD(0.5, threshold=2, stops=True), [0, 0, 1], n=2, x0=[8.0])
    assert np.concatenate(trace.iterates).tolist() == [8.0, 4.0, 2.0, 1.0]
    assert trace.workers("stopped") == [1]
    assert trace.events[-9:-5] == [("used", 0, 1), ("step", -1, 2), ("stopped", 1, 2), ("sent", 0, 2)]
    assert trace.delays == [0, 0, 0]


def used_delays(trace: Trace) -> list[int]:
    """The delays of the arrivals that were used: each is read before the next comes."""
    came = [(event[0], following[0]) for event, following in zip(trace.events, trace.events[1:], strict=False)]
    used = [following == "used" for kind, following in came if kind == "arrived"]
    return [delay for delay, was_used in zip(trace.delays, used, strict=False) if was_used]


@given(
    st.lists(st.integers(0, 100), max_size=150), st.integers(1, 7), st.integers(1, 5), st.booleans(), st.integers(0, 40)
)
def test_no_accepted_delay_reaches_r(choices, n, R, stops, patience):
    trace = adversarial(RingmasterASGD(0.01, threshold=R, stops=stops), choices, n=n, patience=patience)
    assert all(delay < R for delay in used_delays(trace))
    assert len(trace.iterates) - 1 == len(trace.workers("used"))


@given(st.lists(st.integers(0, 100), max_size=150), st.integers(1, 7), st.integers(1, 5), st.integers(0, 40))
def test_with_stops_nothing_that_arrives_is_ignored(choices, n, R, patience):
    trace = adversarial(RingmasterASGD(0.01, threshold=R, stops=True), choices, n=n, patience=patience)
    assert trace.workers("used") == trace.workers("arrived")
    assert all(delay < R for delay in trace.delays)


def test_a_large_delay_is_ignored_however_fast_the_others_are():
    for stops in (False, True):
        workers = Workers(4, [Exponential(0.1), Exponential(0.1), Exponential(1.0), Exponential(30.0)])
        run = simulate(RingmasterASGD(0.05, threshold=5, stops=stops), Slope(), workers, stop=Stop(time=100.0))
        assert run.largest_delay == 4
        assert (run.stopped > 0, run.discarded > 0) == (stops, not stops)


def test_a_worker_that_never_returns_holds_nobody_up():
    run = simulate(RingmasterASGD(0.05, threshold=2), Slope(), Workers(2, [1.0, np.inf]), stop=Stop(time=20.0))
    assert (run.status, run.iterations) == ("finished", 20)
