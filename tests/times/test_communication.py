"""Links, the server's shared link, and stops that take effect later, by hand and in whole runs."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import Method

from asyncsim import (
    Constant,
    Exponential,
    Gradient,
    LocalSteps,
    NoProblem,
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
from asyncsim.running import knowledge
from asyncsim.scenario import from_data
from asyncsim.testing import resumed
from asyncsim.times.communication import SharedLink, stop_delay

ALL = Record(iterations=1, events="all")


def arrivals(run):
    events = run.events
    came = events[events["kind"] == KINDS.index("arrived")]
    return list(zip(came["time"].tolist(), came["worker"].tolist(), strict=True))


def once(server):
    server.broadcast(Gradient(server.x))
    for _ in range(server.n):
        server.receive()


def play(do, workers, d=10, **options):
    return simulate(Method(do), Quadratic(d), workers, **{"stop": Stop(time=1e6), "record": ALL, **options})


# ---- links


def test_a_link_takes_its_latency_and_size_over_bandwidth():
    """10 numbers: downlink 1 + 10/5 s, computing 2 s, uplink 0.5 + 10/10 s (worker 0) or 0.5 + 10/20 s (worker 1)."""
    workers = Workers(2, 2.0, uplink={"latency": 0.5, "bandwidth": "10 * i"}, downlink={"latency": 1, "bandwidth": 5})
    assert arrivals(play(once, workers)) == [(6.0, 1), (6.5, 0)]
    assert workers.mean_times(size=10).tolist() == [6.5, 6.0]
    assert workers.mean_times().tolist() == [3.5, 3.5]


def test_a_problem_says_how_many_numbers_a_message_has():
    """5 numbers instead of 10: downlink 1, computing 2, the shared link 0.5 s an answer."""

    class Halves(Quadratic):
        message_size = 5

    workers = Workers(2, 2.0, downlink={"bandwidth": 5}, uplink={"bandwidth": 2.5}, shared_link=SharedLink(10))
    run = simulate(Method(once), Halves(10), workers, stop=Stop(time=99.0), record=ALL)
    assert arrivals(run) == [(5.5, 0), (6.0, 1)]
    assert knowledge(Halves(10), workers, None).mean_times.tolist() == [5.5, 5.5]
    timing_only = simulate(Method(once), NoProblem(message_size=5), workers, stop=Stop(time=99.0), record=ALL)
    assert timing_only.event_hash == run.event_hash
    Halves.message_size = 2.5
    with pytest.raises(ValueError, match=r"message_size = 2.5, but a whole number >= 0"):
        simulate(Method(once), Halves(10), workers, stop=Stop(time=9.0))


def test_local_steps_send_one_message_for_all_their_gradients():
    """K·h + τ: four steps of 2 s and one message of 3 s."""

    def steps(server):
        server.broadcast(LocalSteps(server.x, 4, 0.1))
        server.receive()

    assert play(steps, Workers(1, 2.0, uplink={"latency": 1, "bandwidth": 5})).time == 11.0


def test_a_bandwidth_without_bound_is_the_latency_alone():
    options = {"stop": Stop(gradients=50), "seed": 2}
    plain = Workers(3, Exponential(1.0), uplink=Exponential(0.2))
    linked = Workers(3, Exponential(1.0), uplink={"latency": Exponential(0.2), "bandwidth": math.inf})
    method = RennalaSGD(stepsize=0.1, batch_size=2)
    assert (
        simulate(method, Quadratic(5), plain, **options).event_hash
        == simulate(method, Quadratic(5), linked, **options).event_hash
    )


def test_groups_have_links_or_times():
    workers = Workers.groups([(1, 1.0, {"bandwidth": 5.0}), (2, 1.0, 0.5), (1, 1.0)])
    assert workers.uplink_bandwidth.tolist() == [5.0, math.inf, math.inf, math.inf]
    assert workers.mean_times(size=10).tolist() == [3.0, 1.5, 1.5, 1.0]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"uplink": {"bandwidth": 0}}, r"uplink: bandwidth = 0, but numbers a second > 0"),
        ({"uplink": {"bandwidth": 1, "delay": 2}}, r"uplink: unknown key 'delay'; a link has latency, bandwidth"),
        ({"downlink": {"latency": -1, "bandwidth": 1}}, r"downlink: latency: .*-1"),
        ({"shared_link": 5}, r"shared_link = 5, but SharedLink\(capacity\) or None"),
        ({"stop_takes_effect": "soon"}, r"stop_takes_effect = 'soon', but 'at_once', 'after_current_gradient' or"),
        ({"stop_takes_effect": {"after": -1}}, r"seconds >= 0"),
    ],
)
def test_what_no_link_can_be_is_refused(given, words):
    with pytest.raises(ValueError, match=words):
        Workers(2, 1.0, **given)


# ---- the server's link


def test_answers_pass_the_shared_link_one_by_one_in_the_order_in_which_they_come():
    """10 numbers at 5 a second: 2 s each. They come to the link at 1, 2 and 10 s."""
    workers = Workers(3, [2.0, 1.0, 10.0], shared_link=SharedLink(capacity=5))
    assert arrivals(play(once, workers)) == [(3.0, 1), (5.0, 0), (12.0, 2)]


def test_a_broadcast_that_counts_passes_it_too_in_the_order_of_dispatch():
    """The points are through at 2, 4 and 6 s; the answers do not wait for them, nor here for each other."""
    workers = Workers(3, 1.0, shared_link=SharedLink(capacity=5, broadcast="counted"))
    assert arrivals(play(once, workers)) == [(5.0, 0), (7.0, 1), (9.0, 2)]


def test_an_answer_that_was_stopped_after_it_came_to_the_link_is_sent_to_its_end():
    """Worker 0 comes to the link at 1 and is stopped at 2; worker 1, there at 1 too, still waits for it until 3."""

    def stops(server):
        server.broadcast(Gradient(server.x))
        server.timer("now", after=2.0)
        server.receive()
        server.stop(0)
        server.receive()

    run = play(stops, Workers(2, 1.0, shared_link=SharedLink(capacity=5)))
    assert arrivals(run) == [(5.0, 1)]
    assert run.stopped == 1


def test_an_answer_that_was_stopped_before_it_came_to_the_link_takes_no_room_there():
    def stops(server):
        server.broadcast(Gradient(server.x))
        server.timer("now", after=0.5)
        server.receive()
        server.stop(0)
        server.receive()

    assert arrivals(play(stops, Workers(2, 1.0, shared_link=SharedLink(capacity=5)))) == [(3.0, 1)]


@given(st.lists(st.floats(0.1, 20.0), min_size=1, max_size=8), st.floats(0.5, 50.0))
def test_a_shared_link_is_a_queue(times, capacity):
    free, expected = 0.0, []
    for came in sorted(times):
        free = max(free, came) + 10 / capacity
        expected.append(free)
    run = play(once, Workers(len(times), times, shared_link=SharedLink(capacity=capacity)))
    assert [time for time, _ in arrivals(run)] == expected


def test_through_a_shared_link_no_more_arrives_than_its_capacity():
    workers = Workers(50, Exponential(1.0), shared_link=SharedLink(capacity=100))
    run = simulate(RennalaSGD(stepsize=0.01, batch_size=5), Quadratic(10), workers, stop=Stop(time=50.0))
    assert 0.95 * 500 <= run.used + run.discarded <= 500


# ---- stops that take effect later


def stops_at(seconds, keep=False, job=Gradient):
    def do(server):
        server.broadcast(job(server.x))
        server.timer("now", after=seconds)
        server.receive()
        server.stop(0, keep=keep)
        if keep:
            server.receive()
        server.send(0, Gradient(server.x))
        server.receive()

    return do


@pytest.mark.parametrize(
    ("effect", "ends"),
    [
        ("at_once", 5.0 + 4.0),
        ("after_current_gradient", 8.0 + 4.0),
        ({"after": 1}, 6.0 + 4.0),
        ({"after": 60}, 12.0 + 4.0),
    ],
)
def test_what_is_sent_to_a_stopped_worker_begins_when_the_stop_takes_effect(effect, ends):
    """Three gradients of 4 s, stopped at 5 s: in the second one. Without a stop all is over at 12 s."""
    run = play(stops_at(5.0, job=lambda x: Gradient(x, count=3)), Workers(1, 4.0, stop_takes_effect=effect))
    assert run.time == ends
    assert run.workers["busy_seconds"].tolist() == [ends]
    assert (run.stopped, run.sent) == (3, 4)


@pytest.mark.parametrize(
    ("effect", "ends", "kept"), [("at_once", 6.0, 1), ("after_current_gradient", 9.0, 2), ({"after": 4}, 10.0, 2)]
)
def test_a_stop_that_keeps_sends_what_is_finished_when_it_takes_effect(effect, ends, kept):
    """Three gradients of 4 s, an uplink of 1 s, stopped at 5 s."""
    workers = Workers(1, 4.0, uplink=1.0, stop_takes_effect=effect)
    run = play(stops_at(5.0, keep=True, job=lambda x: Gradient(x, count=3)), workers)
    assert arrivals(run) == [(ends + 5.0, 0)]
    assert (run.discarded, run.stopped) == (kept + 1, 3 - kept)
    assert run.time == ends + 5.0


def test_a_job_that_the_stop_overtakes_is_never_begun():
    """The point is at the worker at 3 s; the stop is said at 1 s and takes effect at 2 s."""
    run = play(stops_at(1.0), Workers(1, 4.0, downlink=3.0, stop_takes_effect={"after": 1}))
    assert run.time == 1.0 + 3.0 + 4.0
    assert run.workers["busy_seconds"].tolist() == [4.0]


def test_a_worker_whose_current_gradient_never_ends_is_never_free_again():
    class First:
        def sample(self, rng, size):
            return np.array([math.inf] + [1.0] * (size - 1))

    run = play(stops_at(5.0), Workers(1, lambda worker: First(), stop_takes_effect="after_current_gradient"))
    assert run.status == "stalled"


@pytest.mark.parametrize("effect", ["after_current_gradient", {"after": 0.3}])
@pytest.mark.parametrize("link", [None, SharedLink(capacity=40, broadcast="counted")])
def test_a_run_is_taken_up_bit_for_bit(effect, link):
    workers = Workers(
        5, Exponential(1.0), uplink={"latency": Exponential(0.1), "bandwidth": "20 * i"}, downlink={"bandwidth": 50},
        shared_link=link, stop_takes_effect=effect,
    )  # fmt: skip
    options = {"stop": Stop(iterations=60), "seed": 3, "record": ALL}
    for method in (
        RingmasterASGD(stepsize=0.1, threshold=3, stops=True),
        RennalaSGD(stepsize=0.1, batch_size=3, stops=True),
    ):
        whole = simulate(method, Quadratic(5), workers, **options)
        again = resumed(method, Quadratic(5), workers, at=[1, 17, 18, 44], **options)
        assert again.event_hash == whole.event_hash
        assert (again.curves["value"] == whole.curves["value"]).all()
        assert all((again.workers[key] == whole.workers[key]).all() for key in whole.workers)
        total = whole.used + whole.discarded + whole.stopped + whole.timed_out + whole.lost + whole.in_flight
        assert whole.sent == total
        assert (whole.workers["busy_seconds"] <= whole.time * (1 + 1e-12)).all()


def test_when_stops_take_effect_changes_no_draw():
    """Worker 0 is never stopped: its times are the same."""

    def do(server):
        server.broadcast(Gradient(server.x))
        while True:
            came = server.receive()
            if came.worker == 0 and 1 not in server.idle:
                server.stop(1)
            server.broadcast(Gradient(server.x))

    def times(effect):
        workers = Workers(2, Exponential(1.0), stop_takes_effect=effect)
        return [time for time, worker in arrivals(play(do, workers, stop=Stop(time=30.0))) if worker == 0]

    assert times("at_once") == times("after_current_gradient") == times({"after": 2.0})


def test_stop_delays_are_read():
    assert [stop_delay(given) for given in ("at_once", "after_current_gradient", {"after": 3})] == [0.0, None, 3.0]


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


def test_a_scenario_has_them_all_and_comes_back_the_same():
    made = scenario(
        {
            "groups": [
                {
                    "count": 2,
                    "compute_time": 1,
                    "communication_time": {"uplink": {"latency": 0.5, "bandwidth": "10 * i"}},
                }
            ],
            "shared_link": {"capacity": 5},
            "stop_takes_effect": {"after": 2},
        }
    )
    workers = made.build_workers()
    assert workers.uplink_bandwidth.tolist() == [10.0, 20.0]
    assert (workers.shared_link, workers.stop_delay) == (SharedLink(5), 2.0)
    assert from_data(made.canonical()).canonical() == made.canonical()


@pytest.mark.parametrize(
    ("workers", "words"),
    [
        (
            {"communication_time": {"uplink": {"bandwidth": -1}}},
            r"communication_time.uplink.bandwidth: -1 is not allowed",
        ),
        (
            {"communication_time": {"uplink": {"bandwith": 1, "latency": 1}}},
            r"uplink.bandwith: unknown key.*did you mean 'bandwidth'",
        ),
        ({"communication_time": {"uplink": {"bandwidth": "i - 1"}}}, r"workers.communication_time.uplink.*bandwidth"),
        (
            {"communication_time": {"uplink": {"latency": {"distribution": "gama"}}}},
            r"uplink.latency.distribution: no law is called",
        ),
        ({"shared_link": {"capacity": 0}}, r"workers.shared_link.capacity: 0 is not allowed"),
        ({"shared_link": {}}, r"workers.shared_link.capacity: missing"),
        ({"stop_takes_effect": "at once"}, r"stop_takes_effect: 'at once' is not allowed; allowed: 'at_once'"),
    ],
)
def test_what_is_wrong_in_a_scenario_is_told_at_its_place(workers, words):
    with pytest.raises(ScenarioError, match=words):
        scenario({"count": 3, "compute_time": 1, **workers})


def test_a_run_without_messages_is_not_touched():
    options = {"stop": Stop(gradients=20)}
    plain = simulate(RennalaSGD(0.1, 2), NoProblem(), Workers(2, Constant(1.0)), **options)
    sized = simulate(RennalaSGD(0.1, 2), NoProblem(), Workers(2, Constant(1.0), uplink={"bandwidth": 5}), **options)
    assert plain.event_hash == sized.event_hash
