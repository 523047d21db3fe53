"""Timing-only runs in machine code are the runs of the methods themselves, bit by bit."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_blocks import KINDS_OF_TIMES, Ends, speeds
from toys import Noisy, differences

from asyncsim import (
    AsynchronousSGD,
    Constant,
    Exponential,
    MinibatchSGD,
    Momentum,
    NoProblem,
    NoProgressError,
    Quadratic,
    Record,
    RennalaSGD,
    RingmasterASGD,
    Stop,
    Workers,
    simulate,
)
from asyncsim.allocation import Uniform
from asyncsim.counting import pays, rule_of
from asyncsim.result import Run
from asyncsim.running import execute

pytest.importorskip("numba")

METHODS = {
    "each": lambda _: AsynchronousSGD(0.1),
    "below": lambda R: RingmasterASGD(0.1, R),
    "collect": lambda S: RennalaSGD(0.1, S),
}


def plain_and_counted(method: Any, workers: Workers, **options: Any) -> tuple[Run, Run]:
    plain, counted = (simulate(method, NoProblem(), workers, core=core, **options) for core in ("plain", "compiled"))
    assert {**plain.effort, "record_seconds": 0} == {**counted.effort, "record_seconds": 0}
    return plain, counted


@settings(max_examples=80)
@given(
    method=st.sampled_from(list(METHODS)),
    threshold=st.integers(1, 40),
    n=st.sampled_from([1, 2, 5, 30]),
    times=st.sampled_from(KINDS_OF_TIMES),
    link=st.sampled_from([0.0, 0.05, "random"]),
    stop=st.sampled_from([{"time": 9.0}, {"gradients": 700}, {"iterations": 60}, {"iterations": 25, "time": 5.0}]),
    record=st.sampled_from([Record(), Record(every=0.9, events="all"), Record(iterations=3, events="all")]),
    seed=st.integers(0, 5),
)
def test_what_is_counted_is_what_the_method_would_have_done(method, threshold, n, times, link, stop, record, seed):
    link = Exponential(0.05) if link == "random" else link
    workers = Workers(n, speeds(times, n), uplink=link, downlink=link)
    limits = {"time": 40.0, "gradients": 3000} | stop
    plain, counted = plain_and_counted(
        METHODS[method](threshold), workers, stop=Stop(**limits), seed=seed, record=record
    )
    assert differences(plain, counted) == []
    if plain.events is not None:
        assert plain.events.tolist() == counted.events.tolist()


@pytest.mark.parametrize("method", METHODS)
def test_long_runs_and_many_workers(method):
    workers = Workers(3000, {"distribution": "shifted_half_normal", "shift": "i / 100", "scale": "sqrt(i)"})
    plain, counted = plain_and_counted(METHODS[method](500), workers, stop=Stop(gradients=30_000))
    assert differences(plain, counted) == []


@pytest.mark.parametrize("method", METHODS)
def test_windows_of_some_of_the_workers_and_delays_of_thousands(method):
    """Of 60 workers 40 are shown; the slowest ones' delays are beyond what the histograms have room for at first."""
    workers = Workers(60, lambda i: Constant(1.0 + i / 7) if i < 58 else Exponential(1000.0), uplink=0.01)
    plain, counted = plain_and_counted(
        METHODS[method](20), workers, stop=Stop(gradients=40_000), record=Record(every=50.0)
    )
    assert differences(plain, counted) == []
    assert set(counted.intervals["window"]) == {0, 1, 2}
    assert method == "collect" or counted.delays[-1, 0] > 2000


@pytest.mark.parametrize("method", METHODS)
def test_arrivals_in_bursts_come_in_their_order(method):
    workers = Workers(200, lambda i: Constant(1.0 + 1e-9 * ((7 * i) % 200)))
    plain, counted = plain_and_counted(METHODS[method](30), workers, stop=Stop(gradients=3000))
    assert differences(plain, counted) == []


class SavesNowAndThen:
    """A keeper that wants a checkpoint whenever k has grown by 20, and may stop the run at the last."""

    class Killed(BaseException):
        pass

    def __init__(self, kill_after: int | None = None) -> None:
        self.saved: list[bytes] = []
        self._next = 20
        self._kill_after = kill_after

    def due(self, k: int) -> bool:
        return k >= self._next

    def save(self, encode: Any, k: int) -> None:
        self.saved.append(encode())
        self._next = k + 20
        if len(self.saved) == self._kill_after:
            raise self.Killed


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("goes_on_in", ["plain", "compiled"])
def test_a_counted_run_writes_checkpoints_from_which_either_core_goes_on(method, goes_on_in):
    made, workers = METHODS[method](4), Workers(6, speeds("exponential", 6), uplink=0.01)
    given_ = (made, NoProblem(), workers, Stop(time=60.0), 3, None, Record(every=2.0, events="all"), "run")
    whole = execute(*given_, core="plain")
    keeper = SavesNowAndThen()
    assert differences(whole, execute(*given_, core="compiled", keeper=keeper)) == []
    assert len(keeper.saved) > 3
    keeper = SavesNowAndThen(kill_after=3)
    with pytest.raises(SavesNowAndThen.Killed):
        execute(*given_, core="compiled", keeper=keeper)
    assert differences(whole, execute(*given_, core=goes_on_in, checkpoint=keeper.saved[-1])) == []


@pytest.mark.parametrize("method", METHODS)
def test_what_cannot_be_told_in_advance_goes_on_in_python(method, monkeypatch):
    workers = Workers(3, [Ends(200, math.nan), Exponential(0.01), Exponential(0.02)])
    plain, counted = plain_and_counted(METHODS[method](7), workers, stop=Stop(time=0.02 * 195))
    assert differences(plain, counted) == []
    for core in ("plain", "compiled"):
        with pytest.raises(ValueError, match=r"compute time of worker 0, draw 200: the law .* gave nan"):
            simulate(METHODS[method](7), NoProblem(), workers, stop=Stop(time=10.0), core=core)
    monkeypatch.setattr("asyncsim.simulation.ARRIVALS_AT_ONE_INSTANT", 10_000)
    for core in ("plain", "compiled"):
        with pytest.raises(NoProgressError, match="10,000 arrivals at the one instant"):
            simulate(METHODS[method](7), NoProblem(), Workers(2, 0.0), stop=Stop(time=1.0), core=core)


def test_only_what_looks_at_nothing_but_delays_and_counts_is_counted():
    assert rule_of(AsynchronousSGD(0.1), NoProblem()) is not None
    for method, problem in (
        (AsynchronousSGD(0.1), Quadratic(3)),
        (AsynchronousSGD(0.1), Noisy()),
        (RingmasterASGD(0.1, 5, stops=True), NoProblem()),
        (RennalaSGD(0.1, 5, stops=True), NoProblem()),
        (RennalaSGD(0.1, 5, allocation=Uniform()), NoProblem()),
        (MinibatchSGD(0.1), NoProblem()),
    ):
        assert rule_of(method, problem) is None


def test_rules_of_stepping_are_left_to_the_method():
    workers, stop = Workers(3, Exponential(1.0)), Stop(gradients=200)
    plain, other = plain_and_counted(AsynchronousSGD(0.1), workers, stop=stop, update_rule=Momentum(0.9))
    assert differences(plain, other) == []


def test_it_pays_for_long_runs(monkeypatch):
    monkeypatch.setattr("asyncsim.counting.sys.modules", {})

    def means() -> np.ndarray:
        return np.full(1000, 10.0)

    assert pays(Stop(time=10**5), means)
    assert not pays(Stop(time=10), means)
    assert not pays(Stop(time=10**5, gradients=1000), means)
    assert not pays(Stop(iterations=1000), means)


def test_constant_times_end_in_the_same_hash_as_ever():
    from test_determinism import PINNED

    run = simulate(
        RennalaSGD(0.1, 3), NoProblem(), Workers(4, [Constant(t) for t in (1.0, 1.5, 2.25, 7.0)]),
        stop=Stop(time=100.0), core="compiled",
    )  # fmt: skip
    assert run.event_hash == PINNED[3]
