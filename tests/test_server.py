"""The ten rules at the head of asyncsim/server.py, in their order, and what else a method may ask."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import Method, Slope, play, refused, trace

from asyncsim import Gradient, GradientDifference, LocalSteps, NoProgressError, Server, Stop, mean, total
from asyncsim import server as server_module
from asyncsim.jobs import Arrival, ComponentGradient, TimerFired
from asyncsim.testing import TimedOut, scripted


def on(arrivals, n=3, **options):
    """Decorate a function of the server: it runs at once, with these arrivals; its trace stands for it."""

    def run(do):
        trace = scripted(Method(do), arrivals, n=n, **options)
        assert trace.reason == "the method returned", trace.reason
        return trace

    return run


# ---- rule 1: delays and versions


def test_a_delay_counts_the_iterations_since_the_point_was_made():
    """Workers 0, 1 start at x⁰. 0 arrives (delay 0), one step; 0 starts at x¹; 1 arrives with x⁰: delay 1."""

    @on([0, 1, 0])
    def _(server: Server) -> None:
        server.broadcast(Gradient(server.x))
        delays = []
        for _ in range(3):
            arrival = server.receive()
            delays.append(arrival.delay)
            server.step(0.1, arrival.gradient)
            server.send(arrival.worker, Gradient(server.x))
        assert delays == [0, 1, 1]


def test_a_version_travels_with_a_point_that_is_sent_again():
    """Worker 0 goes on at x⁰ after two steps: its next delay is 2, not 0."""

    @on([0, 0])
    def _(server: Server) -> None:
        server.send(0, Gradient(server.x))
        arrival = server.receive()
        server.step(0.1, arrival.gradient)
        server.step(0.1, arrival.gradient)
        server.send(0, arrival.job)
        assert server.receive().delay == 2


def test_a_new_job_at_an_old_iterate_keeps_the_iterates_version():
    @on([0])
    def _(server: Server) -> None:
        old = server.x
        server.step(0.1, np.ones(1))
        server.send(0, LocalSteps(old, 2, 0.1))
        assert server.receive().delay == 1


def test_a_point_that_is_no_iterate_is_made_when_it_is_first_sent():
    @on([0, 0])
    def _(server: Server) -> None:
        server.step(0.1, np.ones(1))
        job = Gradient(np.array([5.0]))
        server.send(0, job)
        assert server.receive().delay == 0
        server.step(0.1, np.ones(1))
        server.send(0, job)
        assert server.receive().delay == 1


def test_a_version_ends_with_its_point_so_that_no_new_array_inherits_it():
    """Arrays made and forgotten in a hurry come again at old addresses; each is made when it is sent."""

    def walk(server: Server) -> None:
        kept = []
        for k in range(3000):
            kept += [server.x] if k % 100 == 0 else []
            server.step(0.1, np.ones(1))
            server.send(0, Gradient(np.ones(1)))
            assert server.receive().delay == 0
        assert len(server._versions) <= 1000
        server.send(0, Gradient(kept[3]))
        assert server.receive().delay == 3000 - 300

    play(walk, [1.0])


def test_a_differences_version_is_that_of_x():
    @on([0], gradient=lambda x, j: x)
    def _(server: Server) -> None:
        old = server.x
        x = server.step(0.1, np.ones(1))
        server.send(0, GradientDifference(x, old, 3))
        assert server.receive().delay == 0


# ---- rule 2: no clock


def test_a_method_sees_no_clock():
    shown = {name for name in dir(Server) if not name.startswith("_")}
    assert not [name for name in shown if re.search("now|clock|time(?!r)|seconds", name)]


def test_an_arrival_tells_its_compute_times_one_a_gradient():
    def one_after_the_other(server: Server) -> None:
        server.send(0, Gradient(server.x, count=3))
        assert server.receive().compute_times == (2.0, 2.0, 2.0)

    play(one_after_the_other, [2.0])


# ---- rule 3 has its test in test_layers.py


# ---- rule 4: numbers of gradients


def test_every_gradient_given_takes_a_number_stopped_or_not():
    """3 gradients, stopped; 2 local steps; then one gradient: their first numbers are 0, 3, 5."""

    def three_jobs(server: Server) -> None:
        server.send(0, Gradient(server.x, count=3))
        server.stop(0)
        server.send(0, LocalSteps(server.x, 2, 0.1))
        server.receive()
        server.send(0, Gradient(server.x))
        server.receive()

    run = play(three_jobs, [1.0])
    assert run.events["m"].tolist() == [0, 3, 5]
    assert run.sent == 6


def test_a_worker_has_the_same_luck_whatever_the_others_do(noisy):
    def luck_of_0(others: int) -> list[float]:
        noisy.drawn.clear()

        def ask(server: Server) -> None:
            for worker in range(others + 1):
                server.send(worker, Gradient(server.x, count=2))
            for _ in range(others + 1):
                assert server.receive().gradient.shape == (3,)

        play(ask, [1.0, 0.5, 2.0], problem=noisy)
        return [number for worker, number in noisy.drawn if worker == 0]

    assert luck_of_0(others=0) == luck_of_0(others=2)


# ---- rule 5: order at one time (more in test_simulation.py)


def test_arrivals_at_one_time_come_in_order_of_dispatch():
    def ask(server: Server) -> None:
        for worker in (2, 0, 1):
            server.send(worker, Gradient(server.x))
        assert [server.receive().worker for _ in range(3)] == [2, 0, 1]

    play(ask, [1.0, 1.0, 1.0])


# ---- rule 6: frozen points


def test_the_iterate_is_read_only():
    @on([])
    def _(server: Server) -> None:
        for x in (server.x, server.step(0.1, np.ones(1)), server.update(np.zeros(1))):
            with pytest.raises(ValueError, match="read-only"):
                x[0] = 1.0


def test_x0_of_the_problem_stays_its_own_and_writable(slope):
    play(lambda server: server.step(1.0, np.ones(1)), [1.0], problem=slope)
    slope.x0[0] = 3.0


def test_a_sent_point_becomes_read_only():
    @on([])
    def _(server: Server) -> None:
        point = np.array([5.0])
        server.send(0, Gradient(point))
        with pytest.raises(ValueError, match="read-only"):
            point += 1.0


def test_of_a_view_a_copy_is_sent_so_that_its_owner_can_go_on_writing():
    @on([0])
    def _(server: Server) -> None:
        table = np.zeros((2, 1))
        server.send(0, Gradient(table[1]))
        table += 7.0
        assert server.receive().gradient.tolist() == [0.0]


def test_both_points_of_a_difference_are_frozen():
    @on([])
    def _(server: Server) -> None:
        y = np.array([5.0])
        server.send(0, GradientDifference(server.x, y, 0))
        assert not y.flags.writeable


def test_update_with_an_old_iterate_makes_a_new_point():
    @on([0])
    def _(server: Server) -> None:
        first = server.x
        server.step(0.5, np.ones(1))
        again = server.update(first)
        server.send(0, Gradient(first))
        assert server.receive().delay == 2
        assert again is not first
        assert again.tolist() == first.tolist()


# ---- rule 7: stops and misuse


def test_a_stopped_answer_is_never_delivered():
    @on([1])
    def _(server: Server) -> None:
        server.broadcast(Gradient(server.x))
        server.stop(0)
        server.stop(2)
        assert server.idle == [0, 2]
        assert server.receive().worker == 1


def test_a_stop_that_keeps_sends_what_is_finished():
    """Gradients end at 1, 2, 3; worker 1 arrives at 2.5 and worker 0 is then stopped: 2 of its 3 come at once."""

    def stop_and_keep(server: Server) -> None:
        server.send(0, Gradient(server.x, count=3))
        server.send(1, Gradient(server.x))
        server.receive()
        server.stop(0, keep=True)
        assert server.idle == [1]
        arrival = server.receive()
        assert (arrival.worker, arrival.count, arrival.compute_times) == (0, 2, (1.0, 1.0))
        assert arrival.gradient.tolist() == [8.0]

    run = play(stop_and_keep, [1.0, 2.5])
    assert trace(run) == [(2.5, 1, "arrived"), (2.5, 0, "used"), (2.5, 0, "stopped")]
    assert run.workers["stopped"].tolist() == [1, 0]
    assert run.workers["used"].tolist() == [2, 0]


def test_what_a_stop_keeps_takes_the_uplink_and_is_not_grown_by_a_second_stop():
    """Stopped at 2.5 with two of four finished, there at 3.5 (uplink 1). A second stop comes late."""

    def stop_twice(server: Server) -> None:
        server.send(0, Gradient(server.x, count=4))
        server.timer("first", after=2.5)
        server.timer("second", after=3.2)
        for _ in range(2):
            assert isinstance(server.receive(), TimerFired)
            server.stop(0, keep=True)
        assert server.receive().count == 2

    run = play(stop_twice, [1.0], uplink=1.0)
    assert trace(run, "stopped") == [(3.5, 0, "stopped")]


def test_what_is_on_its_way_when_it_is_stopped_and_kept_arrives_as_it_would_have():
    def stop_late(server: Server) -> None:
        server.send(0, Gradient(server.x))
        server.timer("late", after=1.5)
        server.receive()
        server.stop(0, keep=True)
        assert server.receive().count == 1

    assert play(stop_late, [1.0], uplink=2.0).time == 3.0


def test_one_that_never_returns_can_be_stopped_with_keep():
    def stop_dead(server: Server) -> None:
        server.send(0, Gradient(server.x))
        server.send(1, Gradient(server.x))
        server.receive()
        server.stop(0, keep=True)
        arrival = server.receive()
        assert (arrival.worker, arrival.count) == (0, 0)
        with refused(server, "holds no gradient"):
            _ = arrival.gradient
        assert total([arrival]).tolist() == [0.0]

    play(stop_dead, [np.inf, 1.0])


def test_a_kept_answer_can_still_be_stopped_altogether():
    def stop_and_stop(server: Server) -> None:
        server.send(0, Gradient(server.x, count=3))
        server.send(1, Gradient(server.x))
        server.receive()
        server.stop(0, keep=True)
        server.stop(0)
        assert server.idle == [0, 1]

    run = play(stop_and_stop, [1.0, 1.5], uplink=1.0)
    assert run.workers["stopped"].tolist() == [3, 0]


def test_a_job_for_a_busy_worker_is_refused():
    @on([])
    def _(server: Server) -> None:
        server.step(0.1, np.ones(1))
        server.send(1, Gradient(server.x))
        with refused(server, r"worker 1 still computes assignment #0 \(at the point of iteration 1\); stop\(1\) first"):
            server.send(1, Gradient(server.x))


def test_a_receive_with_nobody_at_work_is_refused():
    @on([])
    def _(server: Server) -> None:
        with refused(server, "nobody is at work and no timer is pending"):
            server.receive()


@pytest.mark.parametrize("worker", [-1, 3, "theory", None])
def test_workers_outside_0_to_n_minus_1_are_refused(worker):
    @on([])
    def _(server: Server) -> None:
        with refused(server, "workers are 0…2"):
            server.send(worker, Gradient(server.x))
        with refused(server, "workers are 0…2"):
            server.stop(worker)


def test_stopping_an_idle_worker_is_refused():
    @on([])
    def _(server: Server) -> None:
        with refused(server, "this worker has nothing to do"):
            server.stop(0)


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (np.zeros(1), "a job is needed, one of Gradient, ComponentGradient, GradientDifference, LocalSteps"),
        (Gradient(np.zeros(1), count=0), "at least one; this one 0"),
        (Gradient(np.zeros(1), count=1.5), "a whole number of gradients"),
        (ComponentGradient(np.zeros(1), []), "at least one; this one 0"),
        (LocalSteps(np.zeros(1), -2, 0.1), "at least one; this one -2"),
        (Gradient(np.zeros(2)), r"has shape \(2,\) and type float64, the iterate has shape \(1,\)"),
        (Gradient(np.zeros(1, np.float32)), "type float32, the iterate has"),
        (Gradient([1.0]), "has type list"),
    ],
)
def test_what_is_no_possible_job_is_refused(job, words):
    @on([])
    def _(server: Server) -> None:
        with refused(server, words):
            server.send(0, job)


def test_a_refused_job_leaves_its_point_writable():
    @on([])
    def _(server: Server) -> None:
        point, other = np.zeros(1), np.zeros(2)
        for job in (Gradient(point, count=0), GradientDifference(other, point, 0)):
            with refused(server, "send"):
                server.send(0, job)
        with refused(server, "deadline"):
            server.send(0, Gradient(point), deadline=-1.0)
        point[0] = other[0] = 1.0


@pytest.mark.parametrize(
    "deadline", [{"deadline": -1.0}, {"deadline": np.nan}, {"deadline": 1.0, "at_deadline": "keep"}]
)
def test_impossible_deadlines_are_refused(deadline):
    @on([])
    def _(server: Server) -> None:
        with refused(server, "seconds >= 0 and 'drop' or 'partial' are allowed"):
            server.send(0, Gradient(server.x), **deadline)


@pytest.mark.parametrize("when", [{}, {"after": 1.0, "every": 1.0}, {"after": 0.0}, {"every": np.inf}, {"every": -1.0}])
def test_impossible_timers_are_refused(when):
    @on([])
    def _(server: Server) -> None:
        with refused(server, "give one of the two, seconds > 0 and finite"):
            server.timer("t", **when)


@pytest.mark.parametrize(
    ("stepsize", "direction", "words"),
    [
        (np.nan, np.ones(1), "the stepsize must be a finite number"),
        (np.inf, np.ones(1), "the stepsize must be a finite number"),
        (0.1, np.ones(2), r"the direction has shape \(2,\)"),
        (0.1, [1.0], "the direction has type list"),
    ],
)
def test_impossible_steps_are_refused(stepsize, direction, words):
    @on([])
    def _(server: Server) -> None:
        with refused(server, words):
            server.step(stepsize, direction)


@pytest.mark.parametrize("x", [np.zeros(2), np.zeros(1, np.int64), [1.0]])
def test_impossible_updates_are_refused(x):
    @on([])
    def _(server: Server) -> None:
        with refused(server, r"but shape \(1,\) and type float64 is needed"):
            server.update(x)


def test_reading_the_wrong_kind_of_answer_is_refused():
    @on([0, 1])
    def _(server: Server) -> None:
        server.send(0, LocalSteps(server.x, 2, 0.1))
        server.send(1, Gradient(server.x))
        local, gradient = server.receive(), server.receive()
        with refused(server, "read end_point, gradient_sum or steps"):
            _ = local.gradient
        with refused(server, "for LocalSteps add gradient_sum or end_point"):
            total([gradient, local])
        with refused(server, "is of Gradient: read gradient"):
            _ = gradient.end_point


def test_total_and_mean_of_nothing_are_refused():
    @on([])
    def _(server: Server) -> None:
        for add in (total, mean):
            with refused(server, "collect at least one"):
                add([])


# ---- rule 8: no progress (stalls are in test_simulation.py)


def test_steps_without_a_receive_end_the_run_with_a_named_error(monkeypatch):
    monkeypatch.setattr(server_module, "STEPS_WITHOUT_RECEIVE", 20)

    def never_receive(server: Server) -> None:
        while True:
            server.step(0.0, np.ones(1))

    with pytest.raises(NoProgressError, match="20 steps without a receive, at iteration 19"):
        scripted(Method(never_receive), [], n=1)


def test_a_receive_now_and_then_is_progress(monkeypatch):
    monkeypatch.setattr(server_module, "STEPS_WITHOUT_RECEIVE", 20)

    @on([0, 0])
    def _(server: Server) -> None:
        for _ in range(2):
            server.send(0, Gradient(server.x))
            server.receive()
            for _ in range(15):
                server.step(0.0, np.ones(1))


# ---- rule 9: used, discarded, stopped


def test_used_is_what_was_read_and_once_only():
    def read_twice(server: Server) -> None:
        server.broadcast(Gradient(server.x, count=2))
        arrivals = [server.receive() for _ in range(3)]
        assert mean(arrivals[:2]).tolist() == [8.0]
        assert arrivals[0].gradient.tolist() == [8.0]

    run = play(read_twice, [1.0, 2.0, 3.0])
    assert trace(run, "used") == [(6.0, 0, "used"), (6.0, 1, "used")]
    assert (run.sent, run.used, run.discarded) == (6, 4, 2)


def test_read_and_rejected_is_discarded_once():
    def reject(server: Server) -> None:
        server.broadcast(Gradient(server.x))
        read, unread = server.receive(), server.receive()
        assert read.gradient.tolist() == [8.0]
        for arrival in (read, read, unread):
            arrival.discard()
        with refused(server, "was discarded"):
            _ = unread.gradient
        assert read.gradient.tolist() == [8.0]

    run = play(reject, [1.0, 2.0])
    assert (run.used, run.discarded) == (0, 2)
    assert run.delays.tolist() == [[0, 0, 2]]


def test_a_discarded_arrival_in_a_batch_leaves_the_others_unread():
    @on([0, 1])
    def _(server: Server) -> None:
        server.broadcast(Gradient(server.x))
        a, b = server.receive(), server.receive()
        b.discard()
        for add in (mean, total):
            with refused(server, "was discarded"):
                add([a, b])


def test_what_nobody_reads_is_never_computed(slope):
    def read_one(server: Server) -> None:
        server.broadcast(Gradient(server.x))
        arrivals = [server.receive(), server.receive()]
        server.stop(2)
        assert arrivals[1].gradient.tolist() == [8.0]

    play(read_one, [1.0, 2.0, 3.0], problem=slope)
    assert slope.evaluated == [1]


# ---- rule 10 and the rest of what a method reads


def test_workers_are_0_to_n_minus_1():
    @on([])
    def _(server: Server) -> None:
        assert list(server.workers) == server.idle == [0, 1, 2]
        assert (server.n, server.k, dict(server.state)) == (3, 0, {})


def test_broadcast_reaches_the_idle_in_ascending_order():
    sent = on([1, 2], n=4)(_broadcasts).workers("sent")
    assert sent == [0, 1, 2, 3, 1, 2]


def _broadcasts(server: Server) -> None:
    server.broadcast(Gradient(server.x))
    server.receive()
    server.receive()
    server.broadcast(Gradient(server.x))
    server.broadcast(Gradient(server.x))


def test_broadcast_can_give_everyone_a_job_of_its_own():
    @on([1], gradient=lambda x, j: x + j)
    def _(server: Server) -> None:
        server.broadcast(lambda worker: ComponentGradient(server.x, 10 * worker))
        assert server.receive().gradient.tolist() == [11.0]


def test_in_flight_tells_the_oldest_point_first():
    """Dispatch 0 (x⁰), 1 (x¹), 2 (x⁰ again, sent last): by age 0, 2, 1; by delay ≥ 1 at k = 1: 0, 2."""

    @on([])
    def _(server: Server) -> None:
        old = server.x
        server.send(0, Gradient(old))
        server.step(0.1, np.ones(1))
        server.send(1, Gradient(server.x))
        server.send(2, Gradient(old))
        assert [(f.worker, f.delay) for f in server.in_flight()] == [(0, 1), (2, 1), (1, 0)]
        assert [f.worker for f in server.in_flight(delay_at_least=1)] == [0, 2]
        assert server.in_flight(delay_at_least=2) == []
        server.stop(0)
        assert [f.worker for f in server.in_flight(delay_at_least=1)] == [2]
        server.stop_all()
        assert server.in_flight() == []


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["send", "old", "stop", "step", "ask"])), max_size=60))
def test_in_flight_agrees_with_a_search_through_all_workers(moves):
    def move(server: Server) -> None:
        x0 = server.x
        for worker, what in moves:
            if what == "step":
                server.step(0.1, np.ones(1))
            elif what == "stop" and worker not in server.idle:
                server.stop(worker)
            elif what in ("send", "old") and worker in server.idle:
                server.send(worker, Gradient(server.x if what == "send" else x0))
            elif what == "ask":
                flying = sorted((a for a in server._in_flight if a), key=lambda a: (a.version, a.number))
                expected = [a.worker for a in flying if server.k - a.version >= worker]
                assert [f.worker for f in server.in_flight(delay_at_least=worker)] == expected

    assert scripted(Method(move), [], n=5).reason == "the method returned"


def test_one_arrival_of_many_gradients_weighs_as_many_in_a_mean():
    """Worker 0 sends two gradients of 1, worker 1 one of 4: mean (1 + 1 + 4)/3 = 2, total 6."""

    @on([0, 1], gradient=lambda x, worker: np.array([1.0, 4.0])[worker] * np.ones(1))
    def _(server: Server) -> None:
        server.send(0, Gradient(server.x, count=2))
        server.send(1, Gradient(server.x))
        arrivals = [server.receive(), server.receive()]
        assert total(arrivals).tolist() == [6.0]
        assert mean(arrivals).tolist() == [2.0]


def test_local_steps_go_down_with_one_stepsize_or_several():
    """From 8 with g = z: γ = ½, ½ gives 4, 2; γ = ½, ¼ gives 4, 3. The sums of gradients are 12."""

    @on([0, 1], x0=[8.0])
    def _(server: Server) -> None:
        server.send(0, LocalSteps(server.x, 2, 0.5))
        server.send(1, LocalSteps(server.x, 2, (0.5, 0.25)))
        one, several = server.receive(), server.receive()
        assert (one.end_point.tolist(), one.gradient_sum.tolist(), one.steps) == ([2.0], [12.0], 2)
        assert (several.end_point.tolist(), several.gradient_sum.tolist()) == ([3.0], [12.0])


def test_a_difference_is_of_one_component_at_two_points_and_costs_two():
    """g_j(x) = (j + 1)·x: (3 + 1)·(8 − 2) = 24; over j = 0 and 3 the mean of 6 and 24."""

    @on([0, 0, 0], gradient=lambda x, j: (j + 1) * x, x0=[8.0])
    def _(server: Server) -> None:
        y = np.array([2.0])
        for j, answer, count in ((3, 24.0, 1), (np.int64(3), 24.0, 1), ([0, 3], 15.0, 2)):
            server.send(0, GradientDifference(server.x, y, j))
            arrival = server.receive()
            assert (arrival.gradient.tolist(), arrival.count, arrival.job.cost) == ([answer], count, 2 * count)


# ---- deadlines


def test_at_a_deadline_the_answer_is_dropped():
    def with_deadline(server: Server) -> None:
        server.send(0, Gradient(server.x, count=3), deadline=2.5)
        arrival = server.receive()
        assert (arrival.timed_out, arrival.count, arrival.compute_times) == (True, 0, ())

    run = play(with_deadline, [1.0])
    assert trace(run) == [(2.5, 0, "timed_out")]
    assert (run.sent, run.timed_out, run.time) == (3, 3, 2.5)


def test_at_a_deadline_the_finished_part_can_be_kept():
    def with_deadline(server: Server) -> None:
        server.send(0, Gradient(server.x, count=3), deadline=2.5, at_deadline="partial")
        arrival = server.receive()
        assert (arrival.timed_out, arrival.count, arrival.gradient.tolist()) == (True, 2, [8.0])

    run = play(with_deadline, [1.0])
    assert (run.used, run.timed_out) == (2, 1)


@pytest.mark.parametrize(("uplink", "there"), [(0.5, 2), (0.6, 1), (3.0, 0), (np.inf, 0)])
def test_a_part_counts_when_it_has_reached_the_server(uplink, there):
    """Gradients end at 1, 2, 3; by the deadline 2.5 those have arrived that ended by 2.5 − uplink."""

    def with_deadline(server: Server) -> None:
        server.send(0, Gradient(server.x, count=3), deadline=2.5, at_deadline="partial")
        assert server.receive().count == there

    play(with_deadline, [1.0], uplink=uplink)


def test_a_deadline_that_is_kept_does_nothing():
    def with_deadline(server: Server) -> None:
        server.send(0, Gradient(server.x), deadline=1.0)
        arrival = server.receive()
        assert (arrival.timed_out, arrival.count) == (False, 1)
        server.send(0, Gradient(server.x))
        assert server.receive().count == 1

    assert play(with_deadline, [1.0]).timed_out == 0


def test_a_stop_takes_its_deadline_along():
    def stop_first(server: Server) -> None:
        server.send(0, Gradient(server.x), deadline=2.0)
        server.send(1, Gradient(server.x))
        server.receive()
        server.stop(0)
        server.send(0, Gradient(server.x))
        assert not server.receive().timed_out

    assert play(stop_first, [5.0, 1.0]).time == 6.0


def test_a_script_can_let_a_deadline_come():
    @on([TimedOut(1, done=2), 1])
    def _(server: Server) -> None:
        server.send(1, Gradient(server.x, count=3), deadline=1.0, at_deadline="partial")
        assert server.receive().count == 2
        server.send(1, Gradient(server.x))
        assert not server.receive().timed_out


# ---- timers


def seen(server: Server, events: int) -> list[str]:
    return [
        came.name if isinstance(came := server.receive(), TimerFired) else f"worker {came.worker}"
        for _ in range(events)
    ]


def test_a_timer_fires_once_after_or_again_every_so_many_seconds():
    def wait(server: Server) -> None:
        server.timer("once", after=1.5)
        server.timer("often", every=1.0)
        assert seen(server, 4) == ["often", "once", "often", "often"]

    run = play(wait, [1.0])
    assert trace(run) == [(1.0, -1, "timer"), (1.5, -1, "timer"), (2.0, -1, "timer"), (3.0, -1, "timer")]


def test_setting_a_pending_timer_does_nothing_and_a_fired_one_can_be_set_again():
    def wait(server: Server) -> None:
        server.timer("t", after=1.0)
        server.timer("t", after=0.1)
        server.receive()
        server.timer("t", after=0.5)
        server.receive()
        with refused(server, "no timer is pending"):
            server.receive()

    assert [time for time, _, _ in trace(play(wait, [1.0]))] == [1.0, 1.5]


def test_an_arrival_comes_before_a_timer_of_the_same_time():
    def wait(server: Server) -> None:
        server.timer("t", every=1.0)
        server.send(0, Gradient(server.x))
        assert seen(server, 2) == ["worker 0", "t"]

    play(wait, [1.0])


# ---- state and update


def test_update_sets_x_outright_and_counts_as_an_iteration():
    @on([])
    def _(server: Server) -> None:
        x = np.array([3.0])
        assert server.update(x, coins=2) is server.x
        assert (server.x.tolist(), server.k, dict(server.state)) == ([3.0], 1, {"coins": 2})
        server.step(0.5, np.ones(1))
        assert (server.x.tolist(), dict(server.state)) == ([2.5], {})


def test_state_may_hold_everything_that_the_rules_list():
    class Counter:
        def state(self):
            return {"n": 3}

        @classmethod
        def from_state(cls, state):
            return cls()

    @on([0])
    def _(server: Server) -> None:
        server.send(0, Gradient(server.x))
        arrival = server.receive()
        server.step(
            0.1, np.ones(1), number=np.float64(np.inf), text="x", nothing=None, flag=True, table=np.zeros(3),
            point=server.x,
            job=arrival.job, arrival=arrival, many=[(1, 2.0), {3: "x"}], own=Counter(), some=range(3),
        )  # fmt: skip


@pytest.mark.parametrize("bad", [{1, 2}, b"x", 1j, object(), np.array([object()]), lambda: 0])
def test_state_that_cannot_be_saved_is_an_error_at_the_first_step_that_names_the_key(bad):
    @on([])
    def _(server: Server) -> None:
        with pytest.raises(ValueError, match=r"'memory'.*allowed: numbers, text"):
            server.step(0.1, np.ones(1), memory=bad)
        with pytest.raises(ValueError, match=r"memory\['deep'\]\[1\]"):
            server.step(0.1, np.ones(1), memory={"deep": [0, bad]})
        assert server.k == 0


def test_state_that_becomes_unsavable_later_is_an_error_there():
    @on([])
    def _(server: Server) -> None:
        server.step(0.1, np.ones(1), memory=None)
        with pytest.raises(ValueError, match="'memory' holds set"):
            server.step(0.1, np.ones(1), memory={1})


# ---- what the problem answers


@pytest.mark.parametrize("answer", [np.ones(2), 1.0, [1.0]])
def test_a_gradient_of_the_wrong_shape_is_an_error_that_says_both_shapes(answer):
    class Wrong(Slope):
        def gradient(self, x, rng, worker):
            return answer

    def read(server: Server) -> None:
        server.broadcast(Gradient(server.x))
        server.receive().gradient.sum()

    with pytest.raises(ValueError, match=r"the problem's gradient has .* but \(1,\) is needed"):
        play(read, [1.0], problem=Wrong())


@pytest.mark.parametrize("number", [np.inf, np.nan, 1e200])
def test_a_gradient_that_is_not_finite_ends_the_run_as_diverged(number):
    class Steep(Slope):
        def gradient(self, x, rng, worker):
            return np.array([number])

    def read(server: Server) -> None:
        server.broadcast(Gradient(server.x))
        server.receive().gradient.sum()

    run = play(read, [1.0, 2.0], problem=Steep())
    assert run.status == "diverged"
    assert "at iteration 0: the gradient of worker 0 is not finite" in run.reason


def test_an_arrival_says_what_it_is():
    @on([2])
    def _(server: Server) -> None:
        server.broadcast(Gradient(server.x))
        assert repr(server._in_flight[1]) == "<assignment #1: Gradient of version 0 at worker 1>"
        arrival = server.receive()
        assert isinstance(arrival, Arrival)
        assert repr(arrival) == "<arrival from worker 2: Gradient, delay 0>"


def test_a_stop_of_the_run_passes_through_the_method():
    def forever(server: Server) -> None:
        while True:
            server.broadcast(Gradient(server.x))
            server.step(0.1, server.receive().gradient)

    assert play(forever, [1.0], stop=Stop(iterations=4)).iterations == 4
