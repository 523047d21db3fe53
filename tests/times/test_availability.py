"""Workers that come and go: when they are there, what becomes of their jobs, and what a method sees of it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import Method, Slope

from asyncsim import (
    AsynchronousSGD,
    Constant,
    Crash,
    Dropout,
    Exponential,
    Gradient,
    HeroSGD,
    LateJoin,
    MaleniaSGD,
    MinibatchSGD,
    NaiveOptimalASGD,
    NoProblem,
    Outages,
    PluggedIn,
    ProtocolError,
    Quadratic,
    Record,
    RennalaSGD,
    RingmasterASGD,
    ScenarioError,
    Stop,
    Workers,
    simulate,
)
from asyncsim.result import KINDS
from asyncsim.scenario import from_data
from asyncsim.streams import Stream
from asyncsim.testing import resumed
from asyncsim.times.availability import AVAILABILITIES, UNIT, Presence

ALL = Record(iterations=1, events="all")
POLICIES = ("restarted", "paused", "lost")


def presence(described, worker=0, seed=0):
    stream = Stream(seed, "availability")
    return Presence(described, lambda block: stream.at(worker, block))


def happened(run, *kinds):
    events = run.events
    rows = [(float(e["time"]), int(e["worker"]), KINDS[e["kind"]]) for e in events]
    return [row for row in rows if row[2] in kinds]


def listen(server):
    while True:
        server.broadcast(Gradient(server.x))
        server.receive()


def play(do, workers, **options):
    return simulate(Method(do), Quadratic(4), workers, **{"stop": Stop(time=30.0), "record": ALL, **options})


class Away:
    """Away from 5 to 8 and from 20 on, or as given."""

    def __init__(self, policy="restarted", notice=0.0, ends=(5.0, 8.0, 20.0)):
        self.policy, self.notice, self.ends = policy, notice, ends

    def __repr__(self):
        return f"Away({self.policy!r})"

    def stays(self, blocks):
        for number, end in enumerate((*self.ends, math.inf)):
            yield end, float(number % 2 == 0)


# ---- what becomes of the job in hand


def test_restarted_begins_the_gradient_anew_on_return():
    """Gradients of 3 s: one until 3, one broken off at 5 and begun anew at 8; the last is at work for ever."""
    run = play(listen, Workers(1, 3.0, availability=Away()))
    assert [time for time, _, _ in happened(run, "arrived")] == [3.0, 11.0, 14.0, 17.0, 20.0]
    assert (run.status, run.in_flight, run.lost) == ("stalled", 1, 0)


def test_restarted_keeps_the_finished_gradients_of_the_job():
    """Two gradients of 3 s each: the second is broken off at 5 and takes from 8 to 11."""

    def two(server):
        server.broadcast(Gradient(server.x, count=2))
        assert server.receive().compute_times == (3.0, 8.0)

    assert play(two, Workers(1, 3.0, availability=Away())).time == 11.0


def test_paused_goes_on_where_it_was():
    """3, then two seconds until 5 and one from 8: 9, 12, 15, 18; two of the next are done when it leaves for ever."""
    run = play(listen, Workers(1, 3.0, availability=Away("paused")))
    assert [time for time, _, _ in happened(run, "arrived")] == [3.0, 9.0, 12.0, 15.0, 18.0]


def test_lost_jobs_never_return_and_are_written_down_when_the_server_learns_of_them():
    """Two workers, 3 s and 4 s. Worker 0 leaves at 5; after 2 s of silence its job is given up; from 8 on it is idle.

    The method broadcasts after each arrival. At 8 worker 1 answers before worker 0 is back: 0 is at work from 12 on.
    """
    run = play(listen, Workers(2, [3.0, 4.0], availability=[Away("lost", notice=2.0), None]))
    assert happened(run, "arrived", "lost")[:6] == [
        (3.0, 0, "arrived"), (4.0, 1, "arrived"), (7.0, 0, "lost"), (8.0, 1, "arrived"), (12.0, 1, "arrived"),
        (15.0, 0, "arrived"),
    ]  # fmt: skip
    assert run.lost == 2


def test_who_reports_back_before_the_server_gave_up_is_idle_at_once():
    run = play(listen, Workers(2, [3.0, 4.0], availability=[Away("lost", notice=60.0), None]))
    assert happened(run, "lost") == [(8.0, 0, "lost")]


def test_a_worker_that_is_known_to_be_away_is_not_idle_and_cannot_be_sent_a_job():
    seen = []

    def looks(server):
        server.broadcast(Gradient(server.x))
        server.receive()
        server.send(0, Gradient(server.x))
        server.timer("now", after=3.5)
        server.receive()
        seen.append((server.idle, len(server.in_flight())))
        with pytest.raises(ProtocolError, match="worker 0 is away"):
            server.send(0, Gradient(server.x))
        server.timer("later", after=2.0)
        server.receive()
        seen.append((server.idle, len(server.in_flight())))

    play(looks, Workers(2, [3.0, 90.0], availability=[Away("lost", notice=1.0), None]))
    assert seen == [([], 1), ([0], 1)]


@pytest.mark.parametrize("method", [HeroSGD(0.1, worker=1), NaiveOptimalASGD(0.1, workers=(1,))], ids=repr)
def test_a_method_that_needs_a_worker_that_is_away_is_stalled(method):
    workers = Workers(2, 1.0, availability=[None, LateJoin(at=5.0, policy="lost")])
    run = simulate(method, Quadratic(4), workers, stop=Stop(time=30.0), record=ALL)
    assert run.status == "stalled"
    assert run.reason.startswith(
        "stalled: worker 1 is away at iteration 0, and the method has work for that very worker"
    )


@pytest.mark.parametrize(
    "there", [Crash(at=3.5, policy="lost"), LateJoin(at=5.0, policy="lost"), Away("lost")], ids=repr
)
@pytest.mark.parametrize("verify", [False, True])
def test_a_method_that_goes_on_receiving_while_it_waits_for_work_that_was_lost_is_stalled(there, verify):
    """Malenia SGD sends to all at a step and then to whoever arrives: nobody sends again what was lost."""
    workers = Workers(3, [1.0, 1.5, 9.0], availability=[None, None, there])
    run = simulate(MaleniaSGD(0.1), Quadratic(4), workers, stop=Stop(iterations=40), verify=verify)
    assert run.status == "stalled"
    assert run.reason == (
        "stalled: no step over the last 10,000 arrivals, and workers {2} have been given no work since they were away or "
        "lost their job"
    )


def test_a_job_sent_to_a_worker_that_left_unnoticed_is_lost():
    def late(server):
        server.broadcast(Gradient(server.x))
        server.receive()
        server.timer("now", after=3.0)
        server.receive()
        server.send(0, Gradient(server.x))
        server.receive()

    run = play(late, Workers(2, [3.0, 10.0], availability=[Away("lost", notice=0.5), None]))
    assert happened(run, "lost") == [(6.5, 0, "lost")]


def test_who_waits_for_a_lost_job_is_stalled():
    run = simulate(
        MinibatchSGD(stepsize=0.1),
        NoProblem(),
        Workers(2, 3.0, availability=[Away("lost"), None]),
        stop=Stop(time=30.0),
    )
    assert (run.status, run.iterations, run.lost) == ("stalled", 1, 1)


def test_a_stop_comes_before_the_loss_is_known():
    def stops(server):
        server.broadcast(Gradient(server.x))
        server.receive()
        server.send(0, Gradient(server.x))
        server.timer("now", after=3.0)
        server.receive()
        server.stop(0)
        server.timer("later", after=9.0)
        server.receive()

    run = play(stops, Workers(2, [3.0, 90.0], availability=[Away("lost", notice=4.0), None]))
    assert (run.stopped, run.lost) == (1, 0)


def test_a_deadline_comes_before_the_loss_is_known_and_brings_what_was_sent_by_then():
    got = []

    def waits(server):
        server.send(0, Gradient(server.x, count=5), deadline=7.0, at_deadline="partial")
        got.append(server.receive().count)

    play(waits, Workers(1, 2.0, availability=Away("lost", notice=90.0)))
    assert got == [2]


def test_messages_are_paused_and_restarted_too():
    """The point needs 4 s: at the worker at 4, computing until 5, its answer of 2 s is sent from 8 on."""
    run = play(listen, Workers(1, 1.0, uplink=2.0, downlink=4.0, availability=Away()), stop=Stop(gradients=1))
    assert run.time == 10.0


def test_a_gradient_that_no_stay_is_long_enough_for_never_returns():
    workers = Workers(2, [10.0, 1.0], availability=PluggedIn(start=0.0, end=8.0, period=24.0))
    run = play(listen, workers, stop=Stop(time=100.0))
    assert run.workers["in_flight"].tolist()[0] == 1
    assert run.workers["discarded"].tolist() == [0, 36]


# ---- who is there when


def test_a_late_worker_begins_when_it_joins():
    run = play(listen, Workers(2, 1.0, availability=[None, LateJoin(at=3.5)]), stop=Stop(time=5.0))
    assert [time for time, worker, _ in happened(run, "arrived") if worker == 1] == [4.5]


def test_a_late_worker_is_unknown_to_the_server_before_where_jobs_get_lost():
    seen = []

    def looks(server):
        seen.append(server.idle)
        listen(server)

    run = play(looks, Workers(2, 1.0, availability=[None, LateJoin(at=3.5, policy="lost")]), stop=Stop(time=5.0))
    assert seen == [[0]]
    assert [time for time, worker, _ in happened(run, "arrived") if worker == 1] == [5.0]


def test_a_method_that_waits_for_all_stalls_where_one_joins_after_the_broadcast():
    """Worker 1 joins while worker 0 computes: nobody is away any more, and nobody has anything to do."""
    workers = Workers(2, 3.0, availability=[None, LateJoin(at=2.0, policy="lost")])
    run = simulate(MinibatchSGD(0.1), Slope(), workers, stop=Stop(time=50.0))
    assert (run.status, run.time) == ("stalled", 3.0)
    assert run.reason == "stalled: nobody is at work; workers {1} have been given no work since they were away"


def test_a_crashed_worker_never_returns():
    run = play(listen, Workers(2, 1.0, availability=[None, Crash(at=2.5)]), stop=Stop(time=9.0))
    assert [time for time, worker, _ in happened(run, "arrived") if worker == 1] == [1.0, 2.0]
    crashes = [presence(Crash(mean=10.0), worker).leaves(0.0) for worker in range(2000)]
    assert np.mean(crashes) == pytest.approx(10.0, rel=0.1)


@given(st.integers(0, 23).map(float), st.integers(0, 23).map(float), st.floats(0.0, 24.0), st.floats(0.0, 200.0))
def test_plugged_in_is_there_in_its_hours(start, end, phase, t):
    if start == end:
        return
    there = presence(PluggedIn(start=start, end=end, period=24.0, phase=phase))
    hour = (t + phase) % 24.0
    if min(abs(hour - start), abs(hour - end), hour, 24.0 - hour) > 1e-9:
        assert (there.back(t) == t) == ((start <= hour < end) if start < end else (hour >= start or hour < end))


def test_dropout_is_there_its_share_of_the_time():
    there = presence(Dropout(up=Exponential(9.0), down=3.0)).there
    assert there.work(0.0, 1e5) / 1e5 == pytest.approx(0.75, rel=0.02)


@pytest.mark.parametrize(
    ("start", "end", "share"),
    [(0.0, 24.0, 1.0), (22.0, 4.0, 0.25), (4.0, 22.0, 0.75), (24.0, 6.0, 0.25), (18, 0, 0.25)],
)
def test_plugged_in_knows_its_share_of_the_time(start, end, share):
    described = PluggedIn(start=start, end=end, period=24.0)
    assert described.share == share == presence(described).there.work(0.0, 240.0) / 240.0


@pytest.mark.parametrize("mean", [int, float, np.int64, np.float32])
def test_the_share_of_a_dropout_does_not_depend_on_how_its_means_are_written(mean):
    assert Dropout(up=Exponential(mean(90)), down=mean(10)).share == 0.9


def test_the_share_of_a_dropout_is_known_whatever_way_its_laws_tell_their_means():
    class Silent:
        def sample(self, rng, size):
            return np.full(size, 10.0)

    class Called(Silent):
        def mean(self):
            return 90

    assert Dropout(up=Called(), down=Silent()).share == 0.9


@given(st.sampled_from(["restarted", "paused"]), st.integers(0, 20), st.floats(0.0, 100.0), st.floats(0.01, 20.0))
def test_what_is_done_while_there_is_the_cost(policy, seed, start, cost):
    there = presence(Dropout(up=Exponential(6.0), down=Exponential(2.0), policy=policy), seed=seed)
    seconds = there.seconds(UNIT, start, cost)
    done = there.there.work(start, start + seconds)
    assert done == pytest.approx(cost, rel=1e-9) if policy == "paused" else done >= cost * (1 - 1e-9)
    if policy == "restarted":
        end = start + seconds
        assert there.there.work(end - cost, end) == pytest.approx(cost, rel=1e-9)


def test_power_zero_and_paused_are_the_same():
    ends = (5.0, 8.0, 20.0, 21.0)
    from asyncsim import PiecewiseSpeed

    speed = PiecewiseSpeed(times=ends, powers=(1.0, 0.0, 1.0, 0.0, 1.0))
    slow, away = Workers(1, 3.0, speed=speed), Workers(1, 3.0, availability=Away("paused", ends=ends))
    times = [[t for t, _, _ in happened(play(listen, workers), "arrived")] for workers in (slow, away)]
    assert times[0] == times[1]


def test_speed_and_availability_go_together():
    """Power 0.5 makes 3 s of a gradient of 1.5. Away from 5 to 8: paused."""
    run = play(listen, Workers(1, 1.5, speed=0.5, availability=Away("paused")), stop=Stop(time=15.0))
    assert [time for time, _, _ in happened(run, "arrived")] == [3.0, 9.0, 12.0, 15.0]


# ---- whole runs


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("notice", [0.0, 0.7])
def test_a_run_is_taken_up_bit_for_bit_and_every_gradient_is_accounted_for(policy, notice):
    workers = Workers(
        6, Exponential(1.0), uplink=Exponential(0.1), speed=[1.0, 2.0, Outages(5.0, 1.0), 1.0, 1.0, 1.0],
        availability=[
            Dropout(Exponential(4.0), Exponential(2.0), policy, notice), Dropout(Exponential(2.0), 1.0, policy, notice),
            None, PluggedIn(1.0, 8.0, 9.0, policy=policy, notice=notice), LateJoin(at=7.0, policy=policy, notice=notice),
            PluggedIn(1.0, 8.0, 9.0, policy=policy, notice=notice),
        ],
    )  # fmt: skip
    options = {"stop": Stop(iterations=60), "seed": 3, "record": ALL, "verify": True}
    for method in (
        RingmasterASGD(stepsize=0.1, threshold=3, stops=True), RennalaSGD(stepsize=0.1, batch_size=3, stops=True),
        AsynchronousSGD(stepsize=0.05),
    ):  # fmt: skip
        whole = simulate(method, Quadratic(5), workers, **options)
        again = resumed(method, Quadratic(5), workers, at=[1, 17, 18, 31, 44], **options)
        assert whole.iterations == 60
        assert again.event_hash == whole.event_hash
        assert (again.curves["value"] == whole.curves["value"]).all()
        assert (
            whole.sent == whole.used + whole.discarded + whole.stopped + whole.timed_out + whole.lost + whole.in_flight
        )
        assert (whole.lost > 0) == (policy == "lost")
        assert (whole.workers["busy_seconds"] <= whole.time * (1 + 1e-12)).all()


def test_when_a_worker_is_there_does_not_depend_on_the_method_or_on_others():
    def times(method, others):
        workers = Workers(
            1 + len(others), Exponential(1.0), availability=[Dropout(Exponential(5.0), Exponential(2.0)), *others]
        )
        run = simulate(method, NoProblem(), workers, stop=Stop(time=60.0), record=ALL)
        return [time for time, worker, _ in happened(run, "arrived") if worker == 0]

    alone = times(RennalaSGD(0.1, 1), [])
    assert alone == times(RennalaSGD(0.1, 3), [None, Crash(at=3.0)]) == times(RingmasterASGD(0.1, 2), [None])


def test_who_is_always_there_is_not_touched():
    options = {"stop": Stop(gradients=50), "seed": 2}
    plain = simulate(RennalaSGD(0.1, 2), NoProblem(), Workers(3, Exponential(1.0)), **options)
    there = simulate(RennalaSGD(0.1, 2), NoProblem(), Workers(3, Exponential(1.0), availability=[None] * 3), **options)
    assert plain.event_hash == there.event_hash


def test_mean_times_grow_with_the_time_away():
    workers = Workers(2, 3.0, availability=[None, Dropout(up=3.0, down=1.0)])
    assert workers.mean_times().tolist() == [3.0, 4.0]
    assert not workers.mean_times_exact


# ---- what is given


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": "dropout", "up": 1}, r"availability: dropout: down must be given"),
        (
            {"name": "dropout", "up": 1, "down": {"distribution": "exponentl", "mean": 1}},
            r"dropout: down = .*exponentl",
        ),
        (
            {"name": "dropout", "up": 1, "down": 1, "policy": "gone"},
            r"dropout: policy = 'gone', but 'restarted' or 'paused' or 'lost'",
        ),
        ({"name": "crash"}, r"one of the two is needed"),
        ({"name": "plugged_in", "start": 5, "end": 5}, r"two different seconds within the period"),
        ({"name": "plugged_in", "start": 24, "end": 0, "period": 24}, r"two different seconds within the period"),
        ({"name": "plugged_in", "start": 5, "end": "i - 2"}, r"plugged_in: end = 'i - 2' = -1.0 for worker 0"),
        ([None], r"1 entries, but one for each of the 3 workers"),
        (5, r"can't be understood as availability"),
    ],
)
def test_an_availability_that_cannot_be_is_refused(given, words):
    with pytest.raises(ValueError, match=words):
        Workers(3, 1.0, availability=given)


def test_parameters_differ_by_worker_and_laws_may_too():
    law = {"distribution": "exponential", "mean": "10 * i"}
    workers = Workers(
        3, 1.0, availability={"name": "dropout", "up": law, "down": "i", "policy": "lost", "notice": "i / 2"}
    )
    described = workers.availability[2]
    assert (described.up, described.down.value, described.policy, described.notice) == (
        Exponential(30.0),
        3.0,
        "lost",
        1.5,
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": "dropout", "up": 1, "down": 1, "policy": "gone"}, r"availability.policy: 'gone' is not allowed"),
        ({"name": "drop", "up": 1}, r"availability.name: no availability is called 'drop'"),
        ({"name": "late_join", "at": "j"}, r"workers.availability.at"),
        (3, r"workers.availability: 3 is not allowed"),
    ],
)
def test_what_is_wrong_in_a_scenario_is_told_at_its_place(given, words):
    with pytest.raises(ScenarioError, match=words):
        scenario(given)


def scenario(availability):
    return from_data(
        {
            "workers": {"count": 3, "compute_time": 1, "availability": availability},
            "problem": {"name": "quadratic", "dimension": 10},
            "methods": [{"name": "hero_sgd", "stepsize": 1}],
            "stop": {"time": 9},
        }
    )


def test_a_scenario_comes_back_the_same():
    made = scenario(
        {"name": "dropout", "up": {"distribution": "exponential", "mean": "i"}, "down": "i", "policy": "lost"}
    )
    assert from_data(made.canonical()).canonical() == made.canonical()
    assert made.build_workers().availability[1].policy == "lost"


def test_every_availability_of_the_registry_is_tested_here():
    assert set(AVAILABILITIES) == {"dropout", "crash", "late_join", "plugged_in"}


def test_a_job_that_was_to_have_a_deadline_is_told_lost_once_it_is_stopped_to_send_what_it_has():
    def do(server):
        server.timer("look", after=1.0)
        server.send(0, Gradient(server.x), deadline=5.0)
        server.receive()
        assert server.idle == [1]  # it left at 0.5, which only the deadline would tell
        server.stop(0, keep=True)
        server.send(1, Gradient(server.x))
        server.receive()
        assert (server.idle, server.busy) == ([1], 0)

    leaving = Dropout(up=Constant(0.5), down=Constant(100.0), policy="lost", notice=0.1)
    run = simulate(Method(do), Quadratic(4), Workers(2, 1.5, availability=[leaving, None]), stop=Stop(time=30.0))
    assert (run.status, run.lost, run.timed_out) == ("finished", 1, 0)
