"""Counts, hash and windows of the log: the same wherever it was flushed, and equal to counting every event by hand."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import Method, Noisy, Slope, bits, play

from asyncsim import Exponential, Gradient, NoProblem, Record, RennalaSGD, RingmasterASGD, Stop, Workers, simulate
from asyncsim.jobs import Assignment
from asyncsim.log import ARRIVED, DISCARDED, STEP, STOPPED, USED, WINDOW, Chain, Log
from asyncsim.result import KINDS, OUTCOMES
from asyncsim.running import _intervals

POINT = np.zeros(1)


def ending_at(i: int, n: int) -> Assignment:
    """What worker i % n ends at time i; it began at i − n, when the one before ended. Every seventh is stopped."""
    a = Assignment(i % n, Gradient(POINT), max(0, i - i % 5), i // n, i, float(i - n))
    a.computing_from, a.computing_to = float(i - n), i - 1 / (3 + i % 11)
    if i % 7 == 0:
        a.outcome, a.done = STOPPED, 0
    return a


def happen(log: Log, flying: dict[int, Assignment], i: int) -> None:
    a = ending_at(i, log.n)
    log.ended(a, float(i), i)
    flying[a.worker] = ending_at(i + log.n, log.n)
    if i % 3 == 0 and a.outcome == ARRIVED:
        log.mark(float(i), a.worker, a.m, USED, i, i - a.version, 1)
    log.mark(float(i), -1, 0, STEP, i + 1, 0, 0)


def fill(log: Log, events: int, flush_at: frozenset[int] = frozenset()) -> Log:
    flying: dict[int, Assignment] = {}
    log.in_flight = flying.get
    for i in range(events):
        happen(log, flying, i)
        if i in flush_at:
            log.flush()
    return log


def everything(log: Log, now: float) -> list[bytes]:
    intervals = _intervals(log, now)
    arrays = (log.arrived, log.used, log.stopped, log.busy_seconds, log.compute_seconds, log.delays(), intervals)
    return [log.event_hash().encode(), *(bits(array) for array in arrays)]


@given(st.frozensets(st.integers(0, 299), max_size=30))
def test_hash_counts_and_windows_do_not_depend_on_when_it_was_flushed(flush_at):
    assert everything(fill(Log(7), 300, flush_at), 300.0) == everything(fill(Log(7), 300), 300.0)


@pytest.mark.parametrize("events", [WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW + 17, 13_000])
@pytest.mark.parametrize("every", [13, WINDOW - 1, 4096])
def test_this_holds_across_blocks_and_windows_too(events, every):
    flushed = fill(Log(7), events, frozenset(range(0, events, every)))
    assert everything(flushed, float(events)) == everything(fill(Log(7), events), float(events))


@given(st.integers(0, 299), st.frozensets(st.integers(0, 299), max_size=5))
def test_a_log_that_is_taken_up_goes_on_as_if_nothing_had_been(cut, flush_at):
    log = Log(7)
    flying: dict[int, Assignment] = {}
    log.in_flight = flying.get
    for i in range(300):
        if i == cut:
            snapshot, log = log.snapshot(), Log(7)
            log.restore(snapshot)
            log.in_flight = flying.get
        happen(log, flying, i)
        if i in flush_at:
            log.flush()
    assert everything(log, 300.0) == everything(fill(Log(7), 300), 300.0)


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=6))
def test_a_chain_is_the_same_however_its_rows_were_cut(lengths):
    rows = np.arange(5.0 * sum(lengths)).reshape(-1, 5)
    whole, cut = Chain(), Chain()
    whole.add(rows)
    for part in np.split(rows, np.cumsum(lengths)[:-1]):
        cut.add(part)
    assert cut.result() == whole.result()


def test_every_column_of_an_event_is_in_the_hash():
    hashes = set()
    for changed in ({}, {"time": 2.0}, {"worker": 1}, {"m": 1}, {"kind": DISCARDED}, {"k": 1}):
        log = Log(2)
        event = {"time": 1.0, "worker": 0, "m": 0, "kind": USED, "k": 0} | changed
        log.mark(*event.values(), 0, 1)
        hashes.add(log.event_hash())
    assert len(hashes) == 6


def test_the_order_of_events_is_in_the_hash():
    def hashed(*workers: int) -> str:
        log = Log(2)
        for worker in workers:
            log.mark(1.0, worker, 0, USED, 0, 0, 1)
        return log.event_hash()

    assert hashed(0, 1) != hashed(1, 0)


# ---- against counting every event by hand


def delays_by_hand(run) -> list[list[int]]:
    """These methods send a worker the newest point at the moment of its arrival, after the step if there is one. No two
    arrivals stand at one time here, so the version of its next gradient is the largest k of that time's events."""
    k_after: dict[float, int] = {}
    for event in run.events:
        k_after[float(event["time"])] = max(int(event["k"]), k_after.get(float(event["time"]), 0))
    version = dict.fromkeys(range(run.n), 0)
    delay_of, used, arrived = {}, Counter(), Counter()
    for event in run.events:
        kind, worker, m = KINDS[event["kind"]], int(event["worker"]), int(event["m"])
        if kind == "arrived":
            delay_of[worker, m] = int(event["k"]) - version[worker]
            arrived[delay_of[worker, m]] += 1
            version[worker] = k_after[float(event["time"])]
    for event in run.events:
        if KINDS[event["kind"]] == "used":
            used[delay_of[int(event["worker"]), int(event["m"])]] += 1
    return [[delay, used[delay], arrived[delay]] for delay in sorted(arrived)]


@pytest.mark.parametrize("method", [RingmasterASGD(0.1, threshold=3), RennalaSGD(0.3, batch_size=4)])
def test_the_histogram_of_delays_is_that_of_all_events(method):
    run = play(method, Exponential(1.0), n=6, stop=Stop(time=80.0), problem=Noisy())
    assert run.delays.tolist() == delays_by_hand(run)
    assert run.mean_delay == pytest.approx(np.average(run.delays[:, 0], weights=run.delays[:, 1]))


@pytest.mark.parametrize("method", [RingmasterASGD(0.1, threshold=2, stops=True), RennalaSGD(0.3, batch_size=4)])
def test_counts_and_intervals_are_those_of_all_events(method):
    run = play(method, Exponential(1.0), n=5, stop=Stop(time=60.0), problem=Noisy())
    kinds = Counter((KINDS[event["kind"]], int(event["worker"])) for event in run.events)
    outcomes = Counter((OUTCOMES[row["outcome"]], int(row["worker"])) for row in run.intervals)
    for worker in range(5):
        assert run.workers["used"][worker] == kinds["used", worker] == outcomes["used", worker]
        assert run.workers["stopped"][worker] == kinds["stopped", worker] == outcomes["stopped", worker]
        assert run.workers["discarded"][worker] == outcomes["discarded", worker]
    computing = run.intervals["computing_to"] - run.intervals["computing_from"]
    by_worker = np.bincount(run.intervals["worker"], computing, 5)
    np.testing.assert_allclose(run.workers["busy_seconds"], by_worker, rtol=1e-12)


def test_intervals_of_one_worker_do_not_overlap():
    run = simulate(
        RingmasterASGD(0.1, 3), NoProblem(), Workers(4, Exponential(1.0), uplink=0.2), stop=Stop(time=3000.0)
    )
    assert set(run.intervals["window"]) == {0, 1, 2}
    for window in range(3):
        for worker in range(4):
            rows = run.intervals[(run.intervals["window"] == window) & (run.intervals["worker"] == worker)]
            rows = rows[np.argsort(rows["sent"])]
            assert (rows["sent"] <= rows["computing_from"]).all()
            assert (rows["computing_from"] <= rows["computing_to"]).all()
            assert (rows["computing_to"] <= rows["ended"]).all()
            assert (rows["ended"][:-1] <= rows["sent"][1:]).all()


def test_the_windows_are_the_first_one_near_the_middle_and_the_last():
    run = simulate(RingmasterASGD(0.1, 3), NoProblem(), Workers(4, Exponential(1.0)), stop=Stop(gradients=40_000))
    spans = [run.intervals[run.intervals["window"] == window]["ended"] for window in range(3)]
    assert spans[0].min() < 1.0
    assert 0.3 < spans[1].mean() / run.time < 0.7
    assert spans[2].max() == run.time


def test_of_many_workers_forty_are_shown_the_first_and_the_last_among_them():
    shown = Log(1000).shown
    assert (len(shown), shown[0], shown[-1]) == (40, 0, 999)
    assert Log(3).shown.tolist() == [0, 1, 2]


def test_every_row_goes_to_whoever_keeps_them():
    kept = []
    log = fill(Log(3, lambda ends, marks: kept.append((len(ends), len(marks)))), 6000, frozenset({5}))
    log.flush()
    assert log.lengths() == {"assignments": 6000, "marks": sum(marks for _, marks in kept)}
    assert sum(ends for ends, _ in kept) == 6000
    assert Log(3).lengths() == {}


def test_a_stop_before_anything_ends_leaves_an_empty_log():
    run = play(Method(lambda server: None), [1.0], problem=Slope())
    assert (len(run.events), len(run.intervals), len(run.delays)) == (0, 0, 0)
    assert len(run.event_hash) == 32


def test_records_of_any_kind_leave_the_intervals_alone():
    def run(record: Record):
        return simulate(
            RennalaSGD(0.2, 3), Noisy(), Workers(6, Exponential(1.0)), stop=Stop(time=2500.0), record=record
        )

    few, many = run(Record(iterations=10**6)), run(Record(every=3.1))
    assert bits(few.intervals) == bits(many.intervals)
    assert bits(few.workers["busy_seconds"]) == bits(many.workers["busy_seconds"])
