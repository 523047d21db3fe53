"""Workers that slow each other down: by hand, against a simulator that steps naively, and in whole runs."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import Method, differences

from asyncsim import (
    AsynchronousSGD,
    Contention,
    DriftSpeed,
    Dropout,
    Exponential,
    Gradient,
    LocalSteps,
    NoProblem,
    Outages,
    PiecewiseSpeed,
    Quadratic,
    Record,
    RennalaSGD,
    RingmasterASGD,
    ScenarioError,
    SharedLink,
    Stop,
    Workers,
    compare,
    simulate,
)
from asyncsim.result import KINDS
from asyncsim.running import knowledge
from asyncsim.scenario import from_data
from asyncsim.testing import resumed
from asyncsim.times.overview import overview

ALL = Record(iterations=1, events="all")
ONE = Contention(capacity=1)


def arrivals(run):
    events = run.events
    came = events[events["kind"] == KINDS.index("arrived")]
    return list(zip(came["time"].tolist(), came["worker"].tolist(), strict=True))


def once(server):
    server.broadcast(Gradient(server.x))
    for _ in range(server.n):
        server.receive()


def play(do, workers, **options):
    return simulate(Method(do), Quadratic(10), workers, **{"stop": Stop(time=1e6), "record": ALL, **options})


# ---- closed forms


@given(st.integers(1, 12), st.floats(0.5, 12.0), st.floats(0.1, 100.0))
def test_equal_jobs_end_together_after_their_cost_times_members_over_capacity(members, capacity, cost):
    run = play(once, Workers(members, cost, contention=Contention(capacity=capacity)))
    assert [time for time, _ in arrivals(run)] == [cost * max(1.0, members / capacity)] * members


@given(st.lists(st.floats(0.1, 20.0), min_size=1, max_size=8))
def test_processor_sharing_from_one_begin_on(costs):
    """Of capacity 1: while c are there, each has 1/c. The job of rank j ends at Σ_{i<=j} cost_i + (n-j) cost_j."""
    expected = [sum(min(cost, other) for other in costs) for cost in costs]
    run = play(once, Workers(len(costs), costs, contention=ONE))
    ended = {worker: time for time, worker in arrivals(run)}
    assert [ended[worker] for worker in range(len(costs))] == pytest.approx(expected, rel=1e-12)
    assert run.time == pytest.approx(sum(costs), rel=1e-12)  # what is shared is never idle


def test_two_jobs_that_begin_at_different_times():
    """Both cost 4, worker 1 begins at 1 s. Worker 0 has then 3 left, for 6 s: it ends at 7. Worker 1 has 1 left: 8 s."""
    assert arrivals(play(once, Workers(2, 4.0, downlink=[0.0, 1.0], contention=ONE))) == [(7.0, 0), (8.0, 1)]


def test_a_slowdown_is_a_list_an_expression_or_a_function():
    """Two compute: 1.5 times as long. Three: twice, and the last number of a list holds for more."""
    for slowdown in ([1, 1.5, 2], "1 + 0.5 * (c - 1)", lambda c: (1 + c) / 2, np.array([1.0, 1.5, 2.0])):
        assert arrivals(play(once, Workers(2, 2.0, contention=Contention(slowdown=slowdown)))) == [(3.0, 0), (3.0, 1)]
    assert play(once, Workers(5, 2.0, contention=Contention(slowdown=[1, 1.5, 2]))).time == 4.0


def test_only_those_who_share_slow_each_other_down():
    """Hosts of two workers; the fifth has one for itself."""
    workers = Workers(5, 1.0, contention=Contention(capacity=1, size=2))
    assert arrivals(play(once, workers)) == [(1.0, 4), (2.0, 0), (2.0, 1), (2.0, 2), (2.0, 3)]
    listed = Workers(5, 1.0, contention=Contention(capacity=1, members=[[4, 0, 2]]))
    assert arrivals(play(once, listed)) == [(1.0, 1), (1.0, 3), (3.0, 0), (3.0, 2), (3.0, 4)]


def test_groups_of_workers_have_a_contention_each():
    workers = Workers.groups(
        [(2, 1.0, 0.0, 0.0, None, None, ONE), (1, 1.0), (4, 1.0, 0, 0, None, None, {"capacity": 1, "size": 2})]
    )
    assert [time for time, _ in arrivals(play(once, workers))] == [1.0, *[2.0] * 6]


# ---- with everything else


def test_messages_do_not_contend():
    """Downlink 1 s, uplink 2 s; worker 1 begins when worker 0 is sending: both compute alone."""
    workers = Workers(2, 3.0, uplink=2.0, downlink=[1.0, 4.0], contention=ONE)
    assert arrivals(play(once, workers)) == [(6.0, 0), (9.0, 1)]


def test_a_worker_has_its_own_power_times_its_share():
    """Powers 1 and 1/2, half of it while both compute: worker 0 ends at 2·2; worker 1 did 1 of 3 by then, 2/0.5 s more."""
    assert arrivals(play(once, Workers(2, [2.0, 3.0], speed=[1, 0.5], contention=ONE))) == [(4.0, 0), (8.0, 1)]


def test_a_worker_without_power_keeps_its_place():
    """Worker 0 has no power from 1 to 3 s. Shared all the time: 0.5 done at 1 s, the rest of 2 from 3 to 6."""
    speeds = [PiecewiseSpeed(times=(1.0, 3.0), powers=(1.0, 0.0, 1.0)), 1.0]
    assert arrivals(play(once, Workers(2, [2.0, 3.0], speed=speeds, contention=ONE))) == [(6.0, 0), (6.0, 1)]


class Waves:
    """v(t) = 1 + sin t."""

    step = 1.0

    def __repr__(self):
        return "Waves()"

    def power(self, t):
        return 1.0 + math.sin(t)


def test_any_power_is_shared_by_the_quadrature_of_speeds():
    """V(t) = t + 1 − cos t. Of two equal jobs of cost V(6π)/2 = 3π both end at 6π; alone it would be 3π + …"""
    run = play(once, Workers(2, 3 * math.pi, speed=Waves(), contention=ONE))
    assert [time for time, _ in arrivals(run)] == pytest.approx([6 * math.pi] * 2, rel=1e-12)


def test_drift_is_shared_exactly():
    """v = 1 + t, V = t + t²/2; two jobs of cost 6 at half the power end at V = 12: t = 4."""
    run = play(once, Workers(2, 6.0, speed=DriftSpeed(first=1.0, last=11.0, over=10.0), contention=ONE))
    assert [time for time, _ in arrivals(run)] == [4.0, 4.0]


class Away:
    """Away from 2 to 5."""

    def __init__(self, policy="restarted", notice=0.0):
        self.policy, self.notice = policy, notice

    def stays(self, blocks):
        for number, end in enumerate((2.0, 5.0, math.inf)):
            yield end, float(number % 2 == 0)


@pytest.mark.parametrize(
    ("policy", "ends"),
    [
        # worker 0 has done 1 of 3 when it leaves at 2, and worker 1, alone, its 4 at 5; from then on worker 0 is alone
        ("paused", [(5.0, 1), (7.0, 0)]),
        ("restarted", [(5.0, 1), (8.0, 0)]),
        ("lost", [(5.0, 1)]),
    ],
)
def test_who_is_away_slows_nobody_down(policy, ends):
    there = [Away(policy), None]

    def waits(server):
        server.broadcast(Gradient(server.x))
        server.receive()
        server.receive()

    run = play(waits, Workers(2, [3.0, 4.0], availability=there, contention=ONE))
    assert arrivals(run) == ends
    assert (run.status, run.lost) == (("stalled", 1) if policy == "lost" else ("finished", 0))


def test_a_lost_job_is_known_after_its_notice_and_its_worker_is_back():
    def again(server):
        while True:
            server.broadcast(Gradient(server.x))
            server.receive()

    workers = Workers(2, [3.0, 4.0], availability=[Away("lost", notice=1.0), None], contention=ONE)
    run = play(again, workers, stop=Stop(time=9.0))
    lost = run.events[run.events["kind"] == KINDS.index("lost")]
    assert (lost["time"].tolist(), lost["worker"].tolist()) == ([3.0], [0])
    # worker 0 is back at 5, just after worker 1 was sent its next job; it is sent one when that has arrived
    assert arrivals(run) == [(5.0, 1), (9.0, 1)]
    assert run.workers["busy_seconds"].tolist() == [2.0, 9.0]


def test_every_gradient_of_a_job_has_its_own_cost_and_shows_the_seconds_that_it_took():
    seen = {}

    def do(server):
        server.send(0, Gradient(server.x, count=2))
        server.send(1, LocalSteps(server.x, 3, 0.1))
        for _ in range(2):
            came = server.receive()
            seen[came.worker] = came.compute_times

    class Counting:
        def sample(self, rng, size):
            return np.arange(1.0, size + 1.0)

    # costs 1, 2 and 1, 2, 3, one capacity for both: the first ones end at 2, the second ones at 6, the third at 9
    run = play(do, Workers(2, lambda worker: Counting(), contention=ONE))
    assert arrivals(run) == [(6.0, 0), (9.0, 1)]
    assert seen == {0: (2.0, 4.0), 1: (2.0, 4.0, 3.0)}


def test_a_shared_link_queues_what_has_been_computed():
    """Computed at 2 and 3; 10 numbers at 5 a second through one link: 4 and 6."""
    workers = Workers(2, [1.0, 2.0], contention=ONE, shared_link=SharedLink(capacity=5))
    assert arrivals(play(once, workers)) == [(4.0, 0), (6.0, 1)]


# ---- stops and deadlines


def stops(at, keep=False, count=1):
    def do(server):
        server.broadcast(Gradient(server.x, count=count))
        server.timer("now", after=at)
        server.receive()
        server.stop(0, keep=keep)
        for _ in range(server.n - (0 if keep else 1)):
            server.receive()

    return do


def test_stopping_one_speeds_the_others_up():
    """Both cost 4; at 2 s each has done 1. Alone worker 1 needs 3 s more."""
    assert arrivals(play(stops(2.0), Workers(2, 4.0, contention=ONE))) == [(5.0, 1)]


@pytest.mark.parametrize(
    ("effect", "ends"), [("at_once", 5.0), ({"after": 2}, 6.0), ({"after": 100}, 8.0), ("after_current_gradient", 8.0)]
)
def test_a_worker_that_goes_on_until_the_stop_takes_effect_still_shares(effect, ends):
    run = play(stops(2.0), Workers(2, 4.0, contention=ONE, stop_takes_effect=effect))
    assert arrivals(run) == [(ends, 1)]
    told = {5.0: 2.0, 6.0: 4.0, 8.0: 8.0}[ends]
    assert run.workers["busy_seconds"].tolist() == [told, ends]


def test_what_is_logged_of_a_stopped_job_is_put_right_when_others_change_its_time():
    """Worker 0 is stopped at 2 with 3 of 4 left, to end at 8 as it looks then; worker 1 is stopped at 4: at 6 it is."""

    def do(server):
        server.broadcast(Gradient(server.x))
        for worker in (0, 1):
            server.timer("now", after=2.0)
            server.receive()
            server.stop(worker)
        server.timer("end", after=20.0)
        server.receive()

    workers = Workers(2, 4.0, contention=ONE, stop_takes_effect="after_current_gradient")
    run = play(do, workers)
    assert run.workers["busy_seconds"].tolist() == [8.0, 8.0]  # who is stopped later goes on too
    at_once = Workers(2, [4.0, 6.0], contention=ONE, stop_takes_effect={"after": 3})
    assert play(do, at_once).workers["busy_seconds"].tolist() == [5.0, 7.0]
    assert play(do, at_once, stop=Stop(time=4.5)).workers["busy_seconds"].tolist() == [4.5, 4.5]


def test_what_is_sent_meanwhile_begins_when_the_stopped_job_has_ended():
    """Stopped at 2 with 3 left of 4, worker 0 is free at 8; its next gradient, alone, takes 4 s."""

    def do(server):
        stops(2.0)(server)
        server.send(0, Gradient(server.x))
        server.receive()

    def sends_at_once(server):
        server.broadcast(Gradient(server.x))
        server.timer("now", after=2.0)
        server.receive()
        server.stop(0)
        server.send(0, Gradient(server.x))
        server.receive()
        server.receive()

    later = Workers(2, 4.0, contention=ONE, stop_takes_effect="after_current_gradient")
    assert arrivals(play(do, later)) == [(8.0, 1), (12.0, 0)]
    assert arrivals(play(sends_at_once, later)) == [(8.0, 1), (12.0, 0)]
    # at once: worker 1 has 3 left, worker 0 begins anew with 4; 8 and 9
    assert arrivals(play(sends_at_once, Workers(2, 4.0, contention=ONE))) == [(8.0, 1), (9.0, 0)]


@pytest.mark.parametrize(
    ("effect", "ends", "kept"), [("at_once", 5.0, 1), ("after_current_gradient", 8.0, 2), ({"after": 2}, 7.0, 1)]
)
def test_a_stop_that_keeps_sends_what_is_finished_then(effect, ends, kept):
    """Three gradients of 2 each, at half the power 4 s each; stopped at 5 s; no uplink."""
    workers = Workers(2, 2.0, contention=ONE, stop_takes_effect=effect)
    run = play(stops(5.0, keep=True, count=3), workers)
    stopped = run.events[run.events["kind"] == KINDS.index("stopped")]
    assert (stopped["time"].tolist(), run.stopped, run.discarded) == ([ends], 3 - kept, 3 + kept)
    # worker 1 has then done half of that and is alone with the rest of 6
    assert arrivals(run) == [(ends + 6.0 - ends / 2, 1)]


@pytest.mark.parametrize(("uplink", "count"), [(0.0, 2), (0.5, 1), (5.0, 0)])
def test_a_deadline_lets_through_what_was_computed_and_sent_by_then(uplink, count):
    """Two workers, gradients of 2 that take 4 s: finished at 4 and 8; the deadline is at 8."""
    found = []

    def do(server):
        for worker in range(2):
            server.send(worker, Gradient(server.x, count=3), deadline=8.0, at_deadline="partial")
        for _ in range(2):
            found.append(server.receive())

    run = play(do, Workers(2, 2.0, uplink=uplink, contention=ONE))
    assert [(came.count, came.timed_out) for came in found] == [(count, True)] * 2
    assert run.time == 8.0


def test_what_never_ends_stalls_the_run():
    run = play(once, Workers(2, [math.inf, 2.0], contention=ONE))
    assert arrivals(run) == [(4.0, 1)]
    assert (run.status, run.reason) == ("stalled", "stalled: waiting for workers {0}, who never return")
    assert run.time == 4.0


# ---- against a simulator that steps from event to event


def naively(costs, ways, capacity, jobs):
    """Arrivals (time, worker) where each worker i is sent its next job at once, `jobs` in all each."""
    n = len(costs)
    todo = [[ways[i], *[x for m in range(jobs) for x in (costs[i][m], 2 * ways[i])][:-1], ways[i]] for i in range(n)]
    computes = [False] * n
    now, found = 0.0, []
    while any(todo):
        busy = sum(computes)
        rates = [min(1.0, capacity / busy) if computes[i] else 1.0 for i in range(n)]
        step = min(todo[i][0] / rates[i] for i in range(n) if todo[i])
        now += step
        for i in range(n):
            if not todo[i]:
                continue
            todo[i][0] -= step * rates[i]
            if todo[i][0] <= 1e-9:
                todo[i].pop(0)
                computes[i] = len(todo[i]) % 2 == 0 and len(todo[i]) > 0
                if len(todo[i]) % 2 == 1:
                    found.append((now + ways[i], i))
    return found


@settings(max_examples=25)
@given(
    st.lists(st.lists(st.integers(1, 40), min_size=3, max_size=3), min_size=1, max_size=5),
    st.lists(st.integers(1, 9), min_size=5, max_size=5),
    st.floats(0.5, 5.0),
)
def test_it_agrees_with_a_simulator_that_steps_naively(costs, ways, capacity):
    costs, ways = [[cost / 8 for cost in row] for row in costs], [way / 16 for way in ways]

    class Listed:
        def __init__(self, worker):
            self.worker = worker

        def sample(self, rng, size):
            return np.resize(costs[self.worker], size)

    n = len(costs)

    def plainly(server):
        left = [2] * server.n
        server.broadcast(Gradient(server.x))
        for _ in range(3 * server.n):
            came = server.receive()
            if left[came.worker]:
                left[came.worker] -= 1
                server.send(came.worker, Gradient(server.x))

    workers = Workers(
        n,
        [Listed(worker) for worker in range(n)],
        uplink=ways[:n],
        downlink=ways[:n],
        contention=Contention(capacity=capacity),
    )
    found = sorted(arrivals(play(plainly, workers)), key=lambda row: (row[1], row[0]))
    expected = sorted(naively(costs, ways[:n], capacity, 3), key=lambda row: (row[1], row[0]))
    assert [worker for _, worker in found] == [worker for _, worker in expected]
    assert [time for time, _ in found] == pytest.approx([time for time, _ in expected], abs=1e-7)


def test_the_work_that_is_done_is_the_capacity_times_the_time():
    """Ten workers that always compute share 4: 4·T is between the costs of what arrived and those of all that was begun."""
    drawn = [[] for _ in range(10)]

    def cost(rng, worker, start):
        drawn[worker].append(rng.exponential())
        return drawn[worker][-1]

    def do(server):
        while True:
            server.broadcast(Gradient(server.x))
            server.receive()

    run = play(do, Workers(10, cost, contention=Contention(capacity=4)), stop=Stop(time=100.0))
    begun = sum(map(sum, drawn))
    assert begun - sum(costs[-1] for costs in drawn) < 4 * 100.0 < begun
    assert run.workers["busy_seconds"] == pytest.approx(100.0)


# ---- rules


OPTIONS = [
    {},
    {"speed": Outages(mean_up=5.0, mean_down=1.0)},
    {"speed": Waves(), "uplink": Exponential(0.3), "downlink": Exponential(0.2)},
    {"availability": Dropout(up=Exponential(6.0), down=Exponential(1.0), policy="restarted")},
    {"availability": Dropout(up=Exponential(6.0), down=Exponential(1.0), policy="paused"), "uplink": 0.1},
    {"availability": Dropout(up=Exponential(9.0), down=Exponential(1.0), policy="lost", notice=0.5)},
    {"uplink": {"latency": 0.1, "bandwidth": "20 * i"}, "shared_link": SharedLink(40, "counted")},
    {"stop_takes_effect": "after_current_gradient", "downlink": Exponential(0.2)},
    {"stop_takes_effect": {"after": 0.6}, "uplink": Exponential(0.2), "downlink": Exponential(0.4)},
]
METHODS = [
    AsynchronousSGD(stepsize=0.05),
    RingmasterASGD(stepsize=0.1, threshold=3, stops=True),
    RennalaSGD(stepsize=0.1, batch_size=3, stops=True),
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_capacity_for_all_changes_no_bit(options):
    """But for busy seconds put right later, where stops take effect later or a worker leaves with its job."""
    played = {"stop": Stop(iterations=30, time=60.0), "seed": 3, "record": ALL}
    for method in METHODS:
        alone = simulate(method, Quadratic(5), Workers(4, Exponential(1.0), **options), **played)
        workers = Workers(4, Exponential(1.0), contention=Contention(capacity=4), **options)
        shared = simulate(method, Quadratic(5), workers, **played)
        found = differences(alone, shared)
        if "stop_takes_effect" in options or "availability" in options:
            found = [what for what in found if "seconds" not in what and what != "intervals"]
        assert found == []


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_run_is_taken_up_bit_for_bit_and_every_gradient_is_accounted_for(options):
    workers = Workers(5, Exponential(1.0), contention=Contention(slowdown="c ** 0.7", size=3), **options)
    played = {"stop": Stop(iterations=24, time=100.0), "seed": 3, "record": ALL}
    for method in METHODS:
        whole = simulate(method, Quadratic(5), workers, **played)
        again = resumed(method, Quadratic(5), workers, at=(1, 9, 10, 17), **played)
        assert differences(whole, again) == []
        assert whole.sent == sum(
            getattr(whole, kind) for kind in ("used", "discarded", "stopped", "timed_out", "lost", "in_flight")
        )
        assert (whole.workers["busy_seconds"] <= whole.time * (1 + 1e-12)).all()


def test_a_run_that_sets_deadlines_and_keeps_is_taken_up_at_every_step():
    def do(server):
        while True:
            for worker in server.idle:
                server.send(worker, Gradient(server.x, count=2), deadline=4.0, at_deadline="partial")
            slow = server.in_flight(delay_at_least=3)
            if slow:
                server.stop(slow[0].worker, keep=True)
            came = server.receive()
            server.step(0.1, came.gradient if came.count else 0.0 * server.x)

    for effect in ("at_once", "after_current_gradient", {"after": 0.5}):
        workers = Workers(4, Exponential(1.0), uplink=0.2, contention=ONE, stop_takes_effect=effect)
        played = {"stop": Stop(iterations=20), "record": ALL}
        whole = simulate(Method(do), Quadratic(5), workers, **played)
        assert differences(whole, resumed(Method(do), Quadratic(5), workers, at=range(1, 16), **played)) == []


def test_who_is_named_first_among_those_who_share_changes_nothing():
    def run(members):
        workers = Workers(4, Exponential(1.0), contention=Contention(capacity=1, members=members))
        return simulate(AsynchronousSGD(0.05), Quadratic(5), workers, stop=Stop(time=50.0), record=ALL).event_hash

    assert run([[0, 1, 2], [3]]) == run([[3], [2, 0, 1]])


def test_to_say_that_everybody_has_power_one_changes_no_bit():
    """Without speeds the work that is left is moved on in another, quicker place."""
    played = {"stop": Stop(iterations=100), "record": ALL}
    runs = [
        simulate(
            RingmasterASGD(stepsize=0.1, threshold=3, stops=True),
            Quadratic(5),
            Workers(6, Exponential(1.0), uplink=0.1, contention=ONE, **speed),
            **played,
        )
        for speed in ({}, {"speed": 1.0})
    ]
    assert differences(*runs) == []


def test_other_groups_change_no_time():
    def times(capacity):
        groups = [(2, Exponential(1.0), 0, 0, None, None, ONE), (2, 1.0, 0, 0, None, None, {"capacity": capacity})]
        run = simulate(AsynchronousSGD(0.01), NoProblem(), Workers.groups(groups), stop=Stop(time=40.0), record=ALL)
        return [time for time, worker in arrivals(run) if worker < 2]

    assert times(1) == times(2)


# ---- what is known before a run


def test_rates_count_with_all_of_a_group_and_nothing_is_called_independent():
    workers = Workers(4, 1.0, uplink=0.5, contention=Contention(capacity=1, members=[[0, 1, 2]]))
    assert workers.mean_times().tolist() == [3.5, 3.5, 3.5, 1.5]
    assert not workers.constant_times
    known = knowledge(Quadratic(5), workers, None)
    assert (known.independent_times, known.compute_laws, "mean_times" in known.estimated) == (False, None, True)
    seen = overview(workers)
    assert seen.rows[0].quantiles[0] == 1.0
    assert any("slow each other down" in words for words in seen.words())


def test_a_comparison_from_python_says_what_is_no_equal_luck():
    result = compare([AsynchronousSGD(0.1)], Quadratic(5), Workers(2, 1.0, contention=ONE), stop=Stop(time=5.0))
    (said,) = result.manifest["exceptions"]
    assert said.startswith("contention: ")
    assert (
        compare([AsynchronousSGD(0.1)], Quadratic(5), Workers(2, 1.0), stop=Stop(time=5.0)).manifest.get("exceptions")
        is None
    )


# ---- what is refused


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, r"capacity = None, slowdown = None, but one of the two"),
        ({"capacity": 2, "slowdown": "c"}, "one of the two"),
        ({"capacity": 0}, r"capacity = 0, but a number > 0"),
        ({"slowdown": "1 - c"}, r"slowdown = 0.0 for c = 1, but a finite number > 0"),
        ({"slowdown": "i"}, r"expression 'i': unknown name 'i'.*allowed is arithmetic in c"),
        ({"slowdown": "1 / (c - 2)"}, r"1 / 0 is inf for c = 2"),
        ({"slowdown": [1, -2]}, r"slowdown = -2 for c = 2"),
        ({"slowdown": []}, "an expression in c"),
        ({"slowdown": lambda c: "much"}, r"slowdown = 'much' for c = 1"),
        ({"capacity": 1, "size": 2, "members": [[0]]}, "size and members stand together"),
        ({"capacity": 1, "size": 0}, "size = 0"),
        ({"capacity": 1, "members": [[0, 1], [1]]}, "worker 1 stands there twice"),
        ({"capacity": 1, "members": [[0, 9]]}, r"members: 9 is no worker of 0…3"),
        ({"capacity": 1, "members": [0, 1]}, "a list of lists"),
        ({"capacity": 1, "members": []}, "a list of lists"),
        ({"capacity": 1, "member": [[0]]}, "unknown key 'member'"),
    ],
)
def test_what_cannot_be_shared_is_refused(given, words):
    with pytest.raises(ValueError, match=words):
        Workers(4, 1.0, contention=given)


def test_a_worker_shares_one_thing():
    with pytest.raises(ValueError, match=r"groups\[0\]: contention: all workers have one already"):
        Workers.groups([(2, 1.0, 0, 0, None, None, ONE)], contention=ONE)
    with pytest.raises(ValueError, match=r"contention: 3 is no Contention"):
        Workers(2, 1.0, contention=3)


# ---- in a scenario


def scenario(workers):
    return from_data(
        {
            "workers": workers,
            "problem": {"name": "quadratic", "dimension": 10},
            "methods": [{"name": "hero_sgd", "stepsize": 1}],
            "stop": {"time": 9},
        }
    )


@pytest.mark.parametrize(
    "workers",
    [
        {"count": 4, "compute_time": 1, "contention": {"capacity": 2, "size": 2}},
        {"count": 4, "compute_time": 1, "contention": {"slowdown": "1 + 0.1 * (c - 1)", "members": [[0, 3], [1, 2]]}},
        {"groups": [{"count": 4, "compute_time": 1, "contention": {"slowdown": [1, 1, 1.5]}}]},
        {"groups": [{"count": 4, "compute_time": 1}], "contention": {"capacity": 3}},
        {"preset": "mixed-gpus", "count": 4, "contention": {"capacity": 3}},
    ],
)
def test_a_scenario_has_it_and_comes_back_the_same(workers):
    made = scenario(workers)
    assert made.build_workers().contention
    assert from_data(made.canonical()).canonical() == made.canonical()


@pytest.mark.parametrize(
    ("contention", "words"),
    [
        ({"capacity": 0}, r"workers.contention.capacity: 0 is not allowed; allowed: a number > 0"),
        ({}, r"workers.contention: capacity = None, slowdown = None, but one of the two"),
        ({"capasity": 2}, r"workers.contention.capasity: unknown key.*did you mean 'capacity'"),
        ({"slowdown": "1 + d"}, r"workers.contention.slowdown: expression '1 \+ d': unknown name 'd'"),
        ({"slowdown": 3}, r"workers.contention.slowdown: 3 is not allowed; allowed: an expression in c"),
        ({"capacity": 2, "members": [[0, 7]]}, r"workers.contention.members: 7 is no worker of 0…2"),
        ({"capacity": 2, "members": 7}, r"workers.contention.members: members = 7, but a list of lists"),
        ({"capacity": 2, "size": 1.5}, r"workers.contention.size: 1.5 is not allowed"),
    ],
)
def test_what_is_wrong_in_a_scenario_is_told_at_its_place(contention, words):
    with pytest.raises(ScenarioError, match=words):
        scenario({"count": 3, "compute_time": 1, "contention": contention})


def test_contention_stands_in_a_group_or_beside_the_groups():
    group = {"count": 3, "compute_time": 1, "contention": {"capacity": 1}}
    with pytest.raises(ScenarioError, match=r"workers.groups.0.contention: stands beside the `contention` of all"):
        scenario({"groups": [group], "contention": {"capacity": 1}})
    with pytest.raises(ScenarioError, match=r"workers.groups.1.contention.members: 0 is no worker of 3…5"):
        scenario({"groups": [group, {**group, "contention": {"capacity": 1, "members": [[0, 4]]}}]})
