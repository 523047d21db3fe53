"""The simulation engine: traces (time, worker, kind) compared with literal lists, and the ways a run ends.

Where a test says nothing else, gradients are those of f(x) = x²/2 and every event is kept.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import ALL_EVENTS, Method, Slope, differences, play, trace

from asyncsim import (
    AsynchronousSGD,
    Constant,
    Exponential,
    Gradient,
    MinibatchSGD,
    NoProgressError,
    RennalaSGD,
    RingmasterASGD,
    Server,
    Stop,
    Workers,
    simulate,
    simulation,
)
from asyncsim.jobs import TimerFired
from asyncsim.simulation import Clock
from asyncsim.testing import resumed


def asynchronous(server: Server) -> None:
    while True:
        server.broadcast(Gradient(server.x))
        server.step(0.1, server.receive().gradient)


def listen(server: Server) -> None:
    """Everyone always works and nothing is ever read."""
    server.broadcast(Gradient(server.x))
    while True:
        came = server.receive()
        if not isinstance(came, TimerFired):
            server.send(came.worker, Gradient(server.x))


# ---- literal traces


def test_two_workers_take_turns_by_their_times():
    """1 s and 2.5 s a gradient until 5: 0 at 1, 2, 3, 4, 5; 1 at 2.5 and 5, there first, as sent at 2.5."""
    run = play(asynchronous, [1.0, 2.5], stop=Stop(time=5.0))
    assert trace(run, "arrived") == [
        (1.0, 0, "arrived"), (2.0, 0, "arrived"), (2.5, 1, "arrived"), (3.0, 0, "arrived"), (4.0, 0, "arrived"),
        (5.0, 1, "arrived"), (5.0, 0, "arrived"),
    ]  # fmt: skip
    assert run.delays.tolist() == [[0, 3, 3], [1, 2, 2], [2, 2, 2]]
    assert run.curves["value"][-1] == pytest.approx(_by_hand() ** 2 / 2, rel=1e-15)


def _by_hand() -> float:
    """x after the arrivals above; each entry is the index of the iterate that the gradient was computed at."""
    x = [8.0]
    for at in (0, 1, 0, 2, 4, 3, 5):
        x.append(x[-1] - 0.1 * x[at])
    return x[-1]


def test_an_arrival_is_used_and_makes_a_step_at_one_time():
    run = play(asynchronous, [1.0], stop=Stop(time=2.0))
    assert trace(run) == [
        (1.0, 0, "arrived"), (1.0, 0, "used"), (1.0, -1, "step"),
        (2.0, 0, "arrived"), (2.0, 0, "used"), (2.0, -1, "step"),
    ]  # fmt: skip


def test_ties_are_broken_by_the_order_of_dispatch():
    """All take 1 s. They are sent as 2, 0, 1 and always answer in the order in which they were sent."""

    def ask(server: Server) -> None:
        for worker in (2, 0, 1):
            server.send(worker, Gradient(server.x))
        listen(server)

    assert [worker for _, worker, _ in trace(play(ask, [1.0, 1.0, 1.0], stop=Stop(time=2.0)))] == [2, 0, 1, 2, 0, 1]


@pytest.mark.parametrize("at", [{1}, {2}, {4, 5}, set(range(1, 9))])
def test_ties_are_broken_in_the_same_way_after_a_resume(at):
    """Six workers in two groups of equal times, so that many arrivals stand at one time in an order of their own."""
    times = [1.0, 2.0, 1.0, 2.0, 1.0, 2.0]
    method, options = RennalaSGD(0.1, batch_size=2), {"stop": Stop(iterations=9), "record": ALL_EVENTS}
    alone = play(method, times, **options)
    assert differences(alone, resumed(method, Slope(), Workers(6, times), at=at, **options)) == []


def test_a_message_goes_down_is_computed_and_comes_up():
    """Down 0.25, compute 1, up 0.5: arrivals at 1.75 and 3.5; the computing stands between."""
    run = play(asynchronous, [1.0], downlink=0.25, uplink=0.5, stop=Stop(time=3.6))
    assert trace(run, "arrived") == [(1.75, 0, "arrived"), (3.5, 0, "arrived")]
    row = run.intervals[0]
    assert [row[name].item() for name in ("sent", "computing_from", "computing_to", "ended")] == [0.0, 0.25, 1.25, 1.75]
    assert run.workers["compute_seconds"].tolist() == [2.0]
    assert run.busy_share == pytest.approx(2.0 / 3.6)


def test_several_gradients_take_their_times_one_after_the_other_and_one_message():
    def ask(server: Server) -> None:
        server.send(0, Gradient(server.x, count=3))
        server.receive()

    assert play(ask, [1.0], downlink=0.25, uplink=0.5).time == 3.75


def test_a_callable_law_is_told_when_the_gradient_begins():
    """Asked for seconds, the law answers the time of its start plus 1: 1, then from 1: 2, then from 3: 4."""

    def ask(server: Server) -> None:
        server.send(0, Gradient(server.x, count=3))
        assert server.receive().compute_times == (1.0, 2.0, 4.0)

    play(ask, lambda rng, worker, start: start + 1.0, n=1)


def test_a_callable_law_is_not_asked_about_what_never_begins():
    asked = []

    def law(rng, worker, start):
        asked.append(start)
        return 1.0

    assert play(asynchronous, law, n=1, downlink=math.inf).status == "stalled"
    assert asked == []


# ---- the order of what is not an arrival


def test_at_one_time_arrivals_come_then_deadlines_then_timers():
    def ask(server: Server) -> None:
        server.timer("t", after=1.0)
        server.send(0, Gradient(server.x), deadline=1.0)
        server.send(1, Gradient(server.x), deadline=1.0)
        first, second, third = (server.receive() for _ in range(3))
        assert (first.worker, first.timed_out) == (1, False)
        assert (second.worker, second.timed_out) == (0, True)
        assert third == TimerFired("t")

    play(ask, [2.0, 1.0])


def test_a_record_sees_the_steps_of_its_time_and_comes_before_the_stop():
    """A step each second, a record each second: the record at T stands after the step at T."""
    run = play(asynchronous, [1.0], record=simulation_record(every=1.0), stop=Stop(time=3.0))
    assert run.curves["time"].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert run.curves["iteration"].tolist() == [0.0, 1.0, 2.0, 3.0]


def simulation_record(**how):
    from asyncsim import Record

    return Record(**how)


def test_a_record_sees_what_a_timer_of_its_time_did():
    def by_timer(server: Server) -> None:
        while True:
            server.timer("t", every=1.0)
            server.receive()
            server.step(0.1, np.ones(1))

    run = play(by_timer, [1.0], record=simulation_record(every=1.0), stop=Stop(time=2.0))
    assert run.curves["iteration"].tolist() == [0.0, 1.0, 2.0]


def test_the_clock_runs_events_of_one_time_by_priority_and_then_in_order():
    clock, seen = Clock(), []
    for priority, name in ((5, "stop"), (1, "deadline"), (2, "timer"), (4, "record"), (2, "timer 2"), (3, "churn")):
        clock.at(1.0, priority, lambda _, name=name: seen.append(name))
    clock.run(until=2.0)
    assert seen == ["deadline", "timer", "timer 2", "churn", "record", "stop"]


# ---- how a run ends


def test_a_stop_at_a_time_includes_that_time():
    assert trace(play(asynchronous, [1.0], stop=Stop(time=2.0)), "step") == [(1.0, -1, "step"), (2.0, -1, "step")]
    assert play(asynchronous, [1.0], stop=Stop(time=math.nextafter(2.0, 0.0))).iterations == 1


def test_a_stop_at_time_0_is_a_run_of_one_record():
    run = play(asynchronous, [1.0], stop=Stop(time=0.0))
    assert (run.status, run.iterations, run.time, len(run.curves["time"])) == ("finished", 0, 0.0, 1)


def test_a_run_ends_at_its_iteration_limit():
    run = play(asynchronous, [1.0], stop=Stop(iterations=3))
    assert (run.status, run.reason, run.iterations, run.time) == ("finished", "3 iterations made", 3, 3.0)


def test_the_gradient_that_meets_the_limit_still_reaches_the_method():
    """Each arrival holds 2 gradients; the limit of 5 is met by the third arrival, of which the step is made."""

    def pairs(server: Server) -> None:
        while True:
            server.broadcast(Gradient(server.x, count=2))
            server.step(0.1, server.receive().gradient)

    run = play(pairs, [1.0], stop=Stop(gradients=5))
    assert (run.reason, run.used, run.iterations) == ("6 gradients received", 6, 3)


def test_a_run_ends_at_the_first_record_that_meets_the_target():
    """x is halved each second from 8: ‖∇f‖² = 64, 16, 4, 1."""
    run = play(AsynchronousSGD(0.5), [1.0], stop=Stop(target=True), target={"squared_gradient_norm": 4.0})
    assert (run.status, run.reason, run.iterations) == ("finished", "target reached", 2)


def test_a_target_met_at_the_start_ends_the_run_before_anything_arrives():
    run = play(AsynchronousSGD(0.5), [1.0], stop=Stop(target=True), target={"suboptimality": 32.0})
    assert (run.reason, run.iterations, run.time) == ("target reached", 0, 0.0)


def test_wall_clock_ends_a_run_that_nothing_else_would():
    run = play(asynchronous, [1.0], stop=Stop(wall_clock=0.02), record=simulation_record(iterations=10**9))
    assert (run.status, run.reason) == ("finished", "0.02 seconds of wall-clock passed")
    assert 0.02 <= run.wall_seconds < 10


def test_a_method_may_return():
    assert play(lambda server: None, [1.0]).reason == "the method returned"


def test_an_error_of_the_method_passes_through():
    with pytest.raises(ZeroDivisionError):
        play(lambda server: 1 / 0, [1.0])


@pytest.mark.parametrize(
    "limits", [{}, {"time": -1.0}, {"time": math.nan}, {"iterations": -1}, {"wall_clock": math.inf}]
)
def test_a_stop_that_is_none_is_refused(limits):
    with pytest.raises(ValueError, match=r"^stop: "):
        Stop(**limits)


# ---- never


def test_what_never_returns_stalls_a_method_that_waits_for_it():
    run = play(MinibatchSGD(0.1), [1.0, math.inf, math.inf, 2.0])
    assert run.status == "stalled"
    assert run.reason == "stalled: waiting for workers {1, 2}, who never return"
    assert run.time == 2.0
    assert run.workers["in_flight"].tolist() == [0, 1, 1, 0]


def test_a_stall_names_ten_workers_and_counts_the_rest():
    reason = play(MinibatchSGD(0.1), [math.inf] * 13).reason
    assert reason.endswith("waiting for workers {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, … 3 more}, who never return")


@pytest.mark.parametrize("link", ["uplink", "downlink"])
def test_a_link_that_never_answers_stalls_too(link):
    assert play(MinibatchSGD(0.1), [1.0, 1.0], **{link: [0.5, math.inf]}).reason.startswith(
        "stalled: waiting for workers {1}"
    )


def test_the_busy_time_of_what_never_returns_goes_on_until_the_end():
    assert play(asynchronous, [1.0, math.inf], stop=Stop(time=4.0)).workers["busy_seconds"].tolist() == [4.0, 4.0]


def test_a_deadline_or_a_timer_is_something_that_still_comes():
    def wait(server: Server) -> None:
        server.send(0, Gradient(server.x), deadline=3.0)
        assert server.receive().timed_out
        server.timer("t", after=1.0)
        server.send(0, Gradient(server.x))
        assert server.receive() == TimerFired("t")
        server.receive()

    run = play(wait, [math.inf])
    assert (run.status, run.time) == ("stalled", 4.0)


def test_receiving_from_the_living_for_ever_is_a_stall_when_no_step_comes():
    run = play(listen, [math.inf, 1.0], record=simulation_record(iterations=10**6), stop=Stop(time=1e6))
    assert run.status == "stalled"
    assert (
        run.reason
        == "stalled: waiting for workers {0}: no step over the last 10,000 arrivals, and they can never return"
    )


def test_receiving_for_ever_is_allowed_when_everybody_can_return():
    run = play(listen, [2.0, 1.0], record=simulation_record(iterations=10**6), stop=Stop(gradients=10_050))
    assert run.status == "finished"


@pytest.mark.parametrize("at", [set(), {1}])
def test_the_count_towards_a_stall_begins_anew_with_each_step_also_after_a_resume(at):
    """10 100 arrivals without a step (by 5050 s), a step, then worker 1 hangs: a stall 10 000 arrivals later."""

    def law(rng, worker, start):
        return math.inf if worker == 1 and start >= 5050 else 1.0

    def one_step_late(server: Server) -> None:
        while True:
            server.broadcast(Gradient(server.x))
            for _ in range(10_100 if server.k == 0 else 10**9):
                server.send(server.receive().worker, Gradient(server.x))
            server.step(0.1, np.ones(1))

    options = {"stop": Stop(gradients=30_000), "record": simulation_record(iterations=10**6)}
    run = resumed(Method(one_step_late), Slope(), Workers(2, law), at=at, **options)
    assert (run.iterations, run.status, run.workers["discarded"].sum()) == (1, "stalled", 20_099)


# ---- times that are none


@pytest.mark.parametrize(
    ("law", "words"),
    [
        (
            lambda rng, worker, start: math.nan,
            "compute time of worker 1, draw 0: .* gave nan; allowed: seconds >= 0, or inf",
        ),
        (lambda rng, worker, start: -1.0, "worker 1, draw 0: .* gave -1.0"),
        (lambda rng, worker, start: "soon", "worker 1, draw 0: .* gave 'soon'"),
        (lambda rng, worker, start: None, "worker 1, draw 0: .* gave None"),
    ],
)
def test_a_time_that_is_none_is_an_error_that_names_worker_law_and_draw(law, words):
    good = lambda rng, worker, start: 1.0  # noqa: E731
    with pytest.raises(ValueError, match=words):
        play(asynchronous, [good, law])


class Sampled:
    """A law of the user's own that answers as it was told."""

    mean = 1.0

    def __init__(self, answer):
        self.answer = answer

    def sample(self, rng, size):
        return self.answer(size)

    def __repr__(self):
        return "Sampled"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            lambda size: np.full(size, np.nan),
            "compute time of worker 0, draw 0: the law Sampled gave nan; allowed: seconds >= 0",
        ),
        (lambda size: np.r_[np.ones(2), -np.ones(size - 2)], "worker 0, draw 2: the law Sampled gave -1.0"),
        (lambda size: np.ones(3), r"sample\(rng, 64\) gave an array of shape \(3,\); allowed: shape \(64,\)"),
        (lambda size: 1.0, r"gave an array of shape \(1,\); allowed"),
        (
            lambda size: ["soon"] * size,
            r"worker 0, draw 0: the law Sampled gave \['soon'.*; allowed: seconds as numbers",
        ),
        (lambda size: [[1.0], [1.0, 2.0]], "allowed: seconds as numbers"),
    ],
)
def test_a_sample_that_is_none_is_an_error_that_names_worker_law_and_draw(answer, words):
    with pytest.raises(ValueError, match=words):
        play(asynchronous, Sampled(answer), n=1)


@pytest.mark.parametrize("link", ["uplink", "downlink"])
def test_a_link_names_itself(link):
    with pytest.raises(ValueError, match=f"{link} time of worker 0"):
        play(asynchronous, [1.0], **{link: Sampled(lambda size: -np.ones(size))})


def test_a_time_may_be_a_list_of_numbers_or_whole():
    assert play(asynchronous, Sampled(lambda size: [2] * size), n=1, stop=Stop(iterations=2)).time == 4.0


# ---- time that stands still


def test_arrivals_without_time_are_an_error(monkeypatch):
    monkeypatch.setattr(simulation, "ARRIVALS_AT_ONE_INSTANT", 50)
    with pytest.raises(NoProgressError, match=r"50 arrivals at the one instant 0.0: time stands still"):
        play(asynchronous, [0.0])


def test_deadlines_without_time_are_an_error(monkeypatch):
    monkeypatch.setattr(simulation, "ARRIVALS_AT_ONE_INSTANT", 50)

    def impatient(server: Server) -> None:
        while True:
            server.send(0, Gradient(server.x), deadline=0.0)
            server.receive()

    with pytest.raises(NoProgressError, match="time stands still"):
        play(impatient, [1.0])


def test_few_arrivals_at_each_of_many_instants_are_no_error(monkeypatch):
    """30 at each instant: workers of no time that are asked at each tick of a timer."""
    monkeypatch.setattr(simulation, "ARRIVALS_AT_ONE_INSTANT", 50)

    def by_timer(server: Server) -> None:
        server.timer("t", every=1.0)
        while True:
            assert server.receive() == TimerFired("t")
            for _ in range(30):
                server.send(0, Gradient(server.x))
                server.receive()

    assert play(by_timer, [0.0], stop=Stop(time=5.0)).sent == 150


# ---- stopped work in the lane


def test_stopped_work_is_cleared_away():
    """1000 stops while the first arrival is far: the lane stays short."""

    def stop_often(server: Server) -> None:
        server.send(0, Gradient(server.x))
        lane = server._engine._lane
        for _ in range(1000):
            server.send(1, Gradient(server.x))
            server.stop(1)
            assert len(lane) < 200
        assert server.receive().worker == 0

    run = play(stop_often, [100.0, 50.0], stop=Stop(time=200.0))
    assert (run.stopped, run.used + run.discarded) == (1000, 1)


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["send", "stop", "keep", "receive"])), max_size=200))
def test_whatever_is_stopped_the_rest_arrives_in_order_of_time(moves):
    def move(server: Server) -> None:
        times = [0.0]
        for worker, what in moves:
            idle = worker in server.idle
            if what == "send" and idle:
                server.send(worker, Gradient(server.x, count=1 + worker % 2))
            elif what == "stop" and not idle:
                server.stop(worker)
            elif what == "keep" and not idle:
                server.stop(worker, keep=True)
            elif what == "receive" and len(server.idle) < 6:
                server.receive()
                times.append(server._engine.now())
        assert times == sorted(times)

    run = play(move, Exponential(1.0), n=6, uplink=0.5, stop=Stop(time=1e9))
    counts = run.workers
    assert counts["sent"].tolist() == sum(counts[name] for name in ("discarded", "stopped", "in_flight")).tolist()


@given(
    times=st.lists(st.sampled_from([0.5, 1.0, 1.5, 3.0]), min_size=1, max_size=5),
    deadline=st.sampled_from([None, 0.75, 2.0]),
    at_deadline=st.sampled_from(["drop", "partial"]),
    count=st.integers(1, 3),
)
def test_sent_is_used_discarded_stopped_timed_out_and_in_flight(times, deadline, at_deadline, count):
    def mixed(server: Server) -> None:
        while True:
            for worker in server.idle:
                server.send(worker, Gradient(server.x, count=count), deadline=deadline, at_deadline=at_deadline)
            arrival = server.receive()
            if arrival.count and arrival.worker % 2 == 0:
                server.step(0.01, arrival.gradient)
            elif arrival.worker % 3 == 0:
                server.stop_all()

    run = play(mixed, times, stop=Stop(time=7.0))
    counts = run.workers
    ways = sum(counts[name] for name in ("used", "discarded", "stopped", "timed_out", "lost", "in_flight"))
    assert counts["sent"].tolist() == ways.tolist()
    assert (counts["busy_seconds"] <= 7.0 + 1e-9).all()


# ---- taking up deadlines, timers and kept stops


def busy_method(server: Server) -> None:
    """Deadlines, timers and kept stops on the way over every step."""
    while True:
        server.timer("tick", every=1.3)
        server.timer("once", after=2.7)
        for worker in server.idle:
            server.send(worker, Gradient(server.x, count=2), deadline=2.0 + worker, at_deadline="partial")
        came = server.receive()
        if isinstance(came, TimerFired):
            busy = [flying.worker for flying in server.in_flight()]
            if busy:
                server.stop(busy[0], keep=True)
            server.step(0.05, np.ones(1))
        elif came.count:
            server.step(0.1, came.gradient)
        else:
            server.step(0.0, np.ones(1))


@given(at=st.sets(st.integers(1, 29), min_size=1, max_size=4))
def test_deadlines_timers_and_kept_stops_survive_a_resume(at):
    workers = Workers(3, Exponential(1.0), uplink=0.25)
    options = {"stop": Stop(iterations=30), "record": simulation_record(every=0.9)}
    alone = simulate(Method(busy_method), Slope(), workers, **options)
    assert alone.timed_out + alone.stopped > 0
    assert differences(alone, resumed(Method(busy_method), Slope(), workers, at=at, **options)) == []


def test_a_run_over_many_workers_keeps_the_order_of_a_sorted_list():
    """Against a plain search for the least (time, number of dispatch), 50 workers of few different times."""
    times = [1.0 + (i * 7 % 5) / 4 for i in range(50)]
    run = play(listen, times, stop=Stop(time=6.0))
    pending = [(times[i], i, i) for i in range(50)]
    number, expected = 50, []
    while (first := min(pending))[0] <= 6.0:
        pending.remove(first)
        expected.append((first[0], first[2], "arrived"))
        pending.append((first[0] + times[first[2]], number, first[2]))
        number += 1
    assert sorted(trace(run)) == sorted(expected)
    assert [time for time, _, _ in trace(run)] == [time for time, _, _ in expected]


def test_constant_laws_and_plain_numbers_are_the_same_times():
    a = play(RingmasterASGD(0.1, threshold=2), [Constant(1.0), Constant(2.0)])
    b = play(RingmasterASGD(0.1, threshold=2), [1.0, 2.0])
    assert differences(a, b) == []
