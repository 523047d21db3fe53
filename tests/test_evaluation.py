"""Answers: computed one by one, together, or ahead of their reading. The numbers are always the same."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from methods.test_every_method import CASES, OF_FINITE_SUMS, every_case, make
from toys import Method, differences

from asyncsim import (
    AsynchronousSGD,
    Exponential,
    NoProblem,
    Quadratic,
    QuadraticSum,
    Record,
    RennalaSGD,
    SoftmaxRegression,
    Stop,
    Workers,
)
from asyncsim.evaluation import ENOUGH, LEAST_READ, Ahead, Evaluation, How, choose, group_within
from asyncsim.jobs import ComponentGradient, Gradient, GradientDifference, LocalSteps, mean
from asyncsim.log import Log
from asyncsim.record import Recorder
from asyncsim.running import execute
from asyncsim.server import EndOfRun, Server
from asyncsim.simulation import Simulation
from asyncsim.streams import sequential
from asyncsim.testing import resumed

FEW = Record(iterations=50)


class Together:
    """f(x) = ‖x‖²/2 on three numbers with normal noise; `calls` are the workers of each call for many gradients."""

    dimension = 3
    components = 4

    def __init__(self) -> None:
        self.x0 = np.array([1.0, -2.0, 3.0])
        self.calls: list[list[int]] = []
        self.single = 0

    def gradient(self, x, rng, worker):
        self.single += 1
        return x + 0.1 * rng.standard_normal(3)

    def gradients(self, X, rngs, workers):
        self.calls.append(list(workers))
        return np.array([x + 0.1 * rng.standard_normal(3) for x, rng in zip(X, rngs, strict=True)])

    def component_gradient(self, x, j):
        self.single += 1
        return (0.7 + 0.2 * j) * x + 0.1 * (j - 1.5)

    def component_gradients(self, X, indices):
        self.calls.append(list(indices))
        return np.array([(0.7 + 0.2 * j) * x + 0.1 * (j - 1.5) for x, j in zip(X, indices, strict=True)])

    def value(self, x):
        return float(x @ x / 2)

    def full_gradient(self, x):
        return x.copy()


def workers(n: int = 8) -> Workers:
    return Workers(n, lambda worker: Exponential(1.0 + worker), uplink=0.1)


def run(method, evaluation, *, problem=None, n=8, gradients=600, **options):
    stop = options.pop("stop", Stop(gradients=gradients))
    problem = problem or Together()
    return execute(method, problem, workers(n), stop, 5, None, FEW, "x", evaluation=evaluation, **options)


# ---- the numbers


@every_case
def test_however_its_gradients_are_evaluated_a_run_has_the_same_bits(case):
    ways = ("single", "batched", "prefetched 2", "prefetched 8", "prefetched")
    one, *others = (run(make(case), evaluation) for evaluation in ways)
    assert [differences(one, other) for other in others] == [[]] * len(others)


@every_case
def test_a_run_taken_up_again_in_the_middle_of_what_was_computed_ahead_has_the_same_bits(case):
    options = {"stop": Stop(iterations=150), "seed": 5, "record": FEW, "label": "x"}
    one = run(make(case), "single", stop=Stop(iterations=150))
    again = resumed(make(case), Together(), workers(), at=[40, 90, 91], evaluation="prefetched 8", **options)
    assert differences(one, again) == []


@given(
    case=st.sampled_from(list(CASES)),
    n=st.integers(1, 12),
    group=st.integers(1, 20),
    gradients=st.integers(1, 400),
    heavy=st.booleans(),
)
def test_the_numbers_do_not_depend_on_workers_group_or_length(case, n, group, gradients, heavy):
    law = {"distribution": "pareto", "minimum": 1.0, "shape": 1.2} if heavy else [1.0 + worker for worker in range(n)]
    one, other = (
        execute(
            make(case), Together(), Workers(n, law), Stop(gradients=gradients, time=1e5), 1, None, FEW, "x",
            evaluation=evaluation,
        )
        for evaluation in ("single", f"prefetched {group}")
    )  # fmt: skip
    assert differences(one, other) == []


def test_deadlines_partial_answers_stops_and_kept_stops_change_nothing():
    """A method that does everything that cuts an answer short, and reads it all the same."""

    def do(server: Server) -> None:
        while True:
            for worker in server.idle:
                kind = worker % 3
                job = (Gradient(server.x, 5), LocalSteps(server.x, 4, 0.01), Gradient(server.x))[kind]
                server.send(worker, job, deadline=6.0 if worker % 2 else None, at_deadline="partial")
            came = server.receive()
            if server.k % 5 == 4:
                busy = [each.worker for each in server.in_flight() if isinstance(each.job, LocalSteps)]
                for worker in busy[:1]:
                    server.stop(worker, keep=True)
                for each in server.in_flight()[-1:]:
                    server.stop(each.worker)
            if came.count == 0 and not isinstance(came.job, LocalSteps):
                server.step(0.0, np.zeros(3))
            else:
                server.step(0.01, came.gradient_sum if isinstance(came.job, LocalSteps) else came.gradient)

    one, other = (run(Method(do), evaluation, gradients=2000) for evaluation in ("single", "prefetched 8"))
    assert differences(one, other) == []
    assert one.timed_out > 50
    assert one.stopped > 50
    assert other.effort["ahead"] > 100


@pytest.mark.parametrize("problem", [Quadratic(10, noise=0.1), SoftmaxRegression("digits", batch_size=2)])
def test_problems_of_ours_have_the_same_bits_ahead(problem):
    one, other = (
        run(AsynchronousSGD(0.1), evaluation, problem=problem, gradients=300)
        for evaluation in ("single", "prefetched 8")
    )
    assert differences(one, other) == []
    assert other.effort["ahead"] > 100


@pytest.mark.parametrize("case", OF_FINITE_SUMS)
def test_components_are_computed_together_with_the_same_bits(case):
    problem = QuadraticSum(components=4, dimension=10, heterogeneity=0.01, mu=0.02).build(seed=1)
    one, *others = (run(make(case), way, problem=problem, gradients=300) for way in ("single", "batched", "prefetched"))
    assert [differences(one, other) for other in others] == [[], []]


# ---- what is computed ahead


def test_asynchronous_sgd_reads_all_it_sends_so_nearly_all_is_computed_ahead():
    problem = Together()
    made = run(AsynchronousSGD(0.1), "prefetched 4", problem=problem, n=8, gradients=1000)
    assert made.effort["computed"] == problem.single + sum(map(len, problem.calls))
    assert made.effort["ahead"] > 500
    assert made.effort["unread"] == made.effort["computed"] - made.used <= 8
    assert {len(call) for call in problem.calls} == {2, 3, 4}


def test_what_a_method_never_reads_is_never_computed_ahead():
    """Rennala's jobs in flight at a step are those that it will discard."""
    problem = Together()
    made = run(RennalaSGD(0.1, 3), "prefetched 8", problem=problem, gradients=3000)
    assert made.discarded > 500
    assert made.effort == {
        "computed": made.used,
        "ahead": 0,
        "unread": 0,
        "record_seconds": made.effort["record_seconds"],
    }


def test_what_arrived_and_waits_to_be_read_is_computed_with_the_first_that_is_read():
    """Rounds of eight, read one by one: from the second round or so on, one call each."""

    def do(server: Server) -> None:
        while True:
            server.broadcast(Gradient(server.x))
            came = [server.receive() for _ in server.workers]
            server.step(0.1, sum(arrival.gradient for arrival in came) / 8)

    problem = Together()
    made = run(Method(do), "prefetched", problem=problem, gradients=800)
    assert [len(call) for call in problem.calls[-50:]] == [8] * 50
    assert made.effort["unread"] == 0


def test_local_steps_of_many_workers_go_step_by_step_together():
    problem = Together()
    made = run(make("local_sgd, 3 steps"), "prefetched", problem=problem, gradients=1200)
    assert [len(call) for call in problem.calls[-30:]] == [8] * 30
    assert made.effort["unread"] == 0


def test_several_gradients_in_one_job_are_one_call():
    problem = Together()
    run(make("minibatch_sgd, 3 each"), "batched", problem=problem, gradients=240)
    assert {len(call) for call in problem.calls} == {24}
    assert problem.single == 0


def test_reading_together_is_one_call_also_where_points_differ():
    def do(server: Server) -> None:
        server.broadcast(lambda worker: Gradient(server.x + worker))
        server.step(0.1, mean([server.receive() for _ in server.workers]))

    problem = Together()
    run(Method(do), "batched", problem=problem)
    assert [sorted(call) for call in problem.calls] == [list(range(8))]


def test_single_components_and_differences_are_computed_together():
    def do(server: Server) -> None:
        server.broadcast(lambda worker: ComponentGradient(server.x, worker % 4))
        x = server.step(0.1, mean([server.receive() for _ in server.workers]))
        server.broadcast(lambda worker: GradientDifference(x, np.ones(3), worker % 4))
        server.step(0.1, mean([server.receive() for _ in server.workers]))

    problem = Together()
    run(Method(do), "batched", problem=problem)
    assert [len(call) for call in problem.calls] == [8, 8, 8]
    assert problem.single == 0


def test_an_error_in_what_nobody_asked_for_does_not_end_the_run():
    class Touchy(Together):
        def gradients(self, X, rngs, workers):
            if 7 in workers:
                raise ValueError("not with worker 7")
            return super().gradients(X, rngs, workers)

    one, other = (run(AsynchronousSGD(0.1), way, problem=Touchy(), gradients=600) for way in ("single", "prefetched 8"))
    assert differences(one, other) == []


def test_an_error_of_the_gradient_that_was_read_comes_through():
    class Broken(Together):
        def gradient(self, x, rng, worker):
            raise ValueError("no gradient today")

    with pytest.raises(ValueError, match="no gradient today"):
        run(AsynchronousSGD(0.1), "prefetched 8", problem=Broken())


# ---- by hand


class ByHand:
    """`Ahead` without a run: time and iteration are set, answers are the workers' numbers, calls are kept."""

    def __init__(self, group: int = 4, points: int = 10**6) -> None:
        self.time, self.k = 0.0, 0
        self.calls: list[list[int]] = []
        self.ahead = Ahead(self._compute, lambda job: True, group, points, lambda: self.time, lambda: self.k)
        self.given: dict[int, int] = {}
        self.x = np.zeros(1)

    def _compute(self, wanted):
        self.calls.append([worker for _, worker, _, _ in wanted])
        return [np.array([float(worker)]) for _, worker, _, _ in wanted]

    def send(self, worker: int, arrives: float) -> None:
        self.given[worker] = self.given.get(worker, -1) + 1
        self.ahead.sent(worker, self.given[worker], Gradient(self.x), arrives)

    def read(self, worker: int) -> float:
        (answer,) = self.ahead.answers([(Gradient(self.x), worker, self.given[worker], 1)])
        return answer.item()

    def round(self, n: int) -> None:
        """n workers are sent a job, arrive one after the other, and each is read as it comes."""
        for worker in range(n):
            self.send(worker, self.time + 1.0 + worker)
        for worker in range(n):
            self.time += 1.0
            assert self.read(worker) == worker
            self.k += 1


def test_jobs_in_flight_are_computed_in_the_order_of_their_arrival_and_waste_is_counted():
    hand = ByHand(group=4)
    for _ in range(40):
        hand.round(6)
    assert hand.calls[-2:] == [[0, 1, 2, 3], [4, 5]]  # the first four of a round with its first reading, then the rest
    before = hand.ahead.computed, hand.ahead.read
    for worker in range(6):
        hand.send(worker, hand.time + 1.0 + worker)
    hand.time += 1.0
    hand.read(0)
    assert (hand.ahead.computed - before[0], hand.ahead.read - before[1]) == (3, 0)
    hand.time += 1.0
    hand.read(1)
    assert hand.ahead.read - before[1] == 1
    hand.send(2, hand.time + 5.0)  # worker 2 was stopped and starts anew: what was computed for it is in vain
    hand.time += 10.0
    hand.read(2)
    hand.read(3)
    assert hand.ahead.read - before[1] == 2
    assert hand.calls[-1][0] == 2


def test_of_what_is_kept_there_is_never_more_than_fits():
    """Room for 40 arrays: in groups of 4, with 200 in flight, no more than 40 are held, and numbers stay right."""
    hand = ByHand(group=4, points=40)
    for worker in range(200):
        hand.send(worker, 1.0 + worker)
    most = 0
    for step, worker in enumerate(itertools.islice(itertools.cycle(range(50)), 1000)):
        hand.time = max(hand.time, float(step))
        assert hand.read(worker) == worker
        hand.send(worker, hand.time + 50.0)
        hand.k += 1
        most = max(most, sum(answer is not None for answer, *_ in hand.ahead._held.values()))
        assert hand.ahead._kept == sum(answer is not None for answer, *_ in hand.ahead._held.values())
    assert hand.ahead.computed > 100
    assert 4 <= most <= 40


def test_what_is_in_flight_is_forgotten_when_it_has_ended():
    """A method that reads nothing for a long time: the list of what is in flight stays short."""
    hand = ByHand()
    for round_ in range(20_000):
        hand.time = float(round_)
        hand.send(round_ % 10, hand.time + 1.0)
    assert len(hand.ahead._coming) <= 2048


def test_a_method_that_stops_reading_is_noticed():
    hand = ByHand(group=4)
    for _ in range(40):
        hand.round(6)
    assert hand.ahead.computed > 50
    for _ in range(400):  # from now on worker 0 alone is read, and the others are stopped
        for worker in range(6):
            hand.send(worker, hand.time + 1.0 + worker)
        hand.time += 1.0
        hand.read(0)
        hand.k += 1
    assert hand.ahead.over
    assert hand.ahead.computed - hand.ahead.read < 10 * ENOUGH / LEAST_READ


# ---- memory


def test_a_group_takes_no_more_than_half_of_the_memory():
    problem = Together()
    evaluation = Evaluation(problem, 0, How("prefetched", 32), lambda: 0.0, lambda: 0, memory=8 * 24 * 5)
    evaluation._together([(Gradient(problem.x0), worker, 0, 1) for worker in range(12)])
    assert [len(call) for call in problem.calls] == [5, 5, 2]
    assert group_within(8 * 24 * 5, 24, 32) == 5


def test_where_not_even_two_fit_nothing_is_computed_ahead():
    assert Evaluation(Together(), 0, How("prefetched", 32), lambda: 0.0, lambda: 0, memory=100).ahead is None


def test_points_are_alive_once_and_no_longer_than_somebody_needs_them():
    """n points in flight at most, and the one at hand: what is computed ahead holds no point."""
    import gc
    import weakref

    points: list[weakref.ref] = []

    def do(server: Server) -> None:
        while True:
            points.append(weakref.ref(server.x))
            server.broadcast(Gradient(server.x))
            server.step(0.1, server.receive().gradient)

    run(Method(do), "prefetched 4", gradients=500)
    gc.collect()
    alive_in_the_middle: list[int] = []

    def look(server: Server) -> None:
        seen: list[weakref.ref] = []
        while True:
            seen.append(weakref.ref(server.x))
            server.broadcast(Gradient(server.x))
            server.step(0.1, server.receive().gradient)
            alive_in_the_middle.append(sum(ref() is not None for ref in seen))

    run(Method(look), "prefetched 4", gradients=500)
    assert max(alive_in_the_middle) <= 8 + 1 + 4  # in flight, the newest, and those of the last group


# ---- which way


def test_a_problem_without_functions_for_many_is_evaluated_one_by_one():
    class Plain:
        dimension, x0 = 1, np.ones(1)

        def gradient(self, x, rng, worker):
            return x

    assert choose(Plain()).name == "single"
    with pytest.raises(ValueError, match="evaluation: batched needs a problem with gradients"):
        choose(Plain(), "batched")


def test_rows_with_other_bits_are_never_used():
    class Rounded(Together):
        def gradients(self, X, rngs, workers):
            rows = super().gradients(X, rngs, workers)
            return np.nextafter(rows, 0.0) if len(rows) > 20 else rows

    class RoundedComponents(Together):
        def component_gradients(self, X, indices):
            return np.nextafter(super().component_gradients(X, indices), 0.0)

    assert choose(Rounded()).name == choose(RoundedComponents()).name == "single"


def test_timing_only_runs_try_nothing():
    assert str(choose(NoProblem())) == "batched"


def test_groups_are_computed_ahead_where_they_are_quicker_and_workers_are_many():
    class Slow(Together):
        """A call costs the same for one as for many."""

        def gradient(self, x, rng, worker):
            sum(range(2000))
            return super().gradient(x, rng, worker)

        def gradients(self, X, rngs, workers):
            sum(range(2000))
            return super().gradients(X, rngs, workers)

    assert choose(Slow(), n=100).name == "prefetched"
    assert choose(Slow(), n=4).name == "batched"  # hardly anything is new since the last group


def test_what_was_found_is_remembered_for_the_object_and_for_equal_problems_of_ours():
    problem = Together()
    first = choose(problem)
    tried = problem.single
    assert choose(problem) == first
    assert problem.single == tried
    assert choose(Quadratic(20)) is choose(Quadratic(20))


@pytest.mark.parametrize("text", ["single", "batched", "prefetched", "prefetched 8", "batched 8"])
def test_a_way_is_written_down_and_read_again(text):
    assert str(How.of(text)) == text


@pytest.mark.parametrize("text", ["eager", "prefetched 0", "prefetched -1", "single, please", "prefetched 1e9"])
def test_another_word_is_refused(text):
    with pytest.raises(ValueError, match="is not known; allowed: auto, single, batched, prefetched"):
        How.of(text)


# ---- what it took


def test_counts_go_on_after_a_resume_and_what_was_lost_counts_as_unread():
    options = {"stop": Stop(gradients=600), "seed": 5, "record": FEW}
    alone = run(AsynchronousSGD(0.1), "prefetched 4", gradients=600)
    again = resumed(AsynchronousSGD(0.1), Together(), workers(), at=[200, 400], evaluation="prefetched 4", **options)
    assert again.used == alone.used == 600
    assert again.effort["computed"] - again.effort["unread"] == 600
    assert alone.effort["computed"] - alone.effort["unread"] == 600


def test_the_seconds_of_records_are_told():
    made = run(AsynchronousSGD(0.1), "single", gradients=300)
    assert 0 < made.effort["record_seconds"] < made.wall_seconds


def test_a_checkpoint_holds_nothing_of_what_was_computed_ahead():
    def checkpoint(evaluation: str) -> dict:
        problem, log = Together(), Log(8)
        how = choose(problem, evaluation)
        stop = Stop(iterations=300)
        engine = Simulation(problem, workers(), 5, stop, log, Recorder(problem, FEW, None), how)
        server = Server(engine, np.array(problem.x0), 8, sequential(5, "method"), log)
        engine.bind(server)
        with pytest.raises(EndOfRun, match="300 iterations"):
            AsynchronousSGD(0.1).run(server)
        tree = Server(engine, np.array(problem.x0), 8, sequential(5, "method"), Log(8)).decode(engine.checkpoint(), {})
        del tree["engine"]["wall"], tree["engine"]["evaluation"], tree["recorder"]["seconds"]
        return tree

    one, other = checkpoint("single"), checkpoint("prefetched 8")
    assert repr(one["engine"]) == repr(other["engine"])
    assert one["server"]["x"].tobytes() == other["server"]["x"].tobytes()
    assert one.keys() == other.keys()
