"""The self-check: each rule at the head of asyncsim/verify.py can be broken, and the breach is named."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import Method, Noisy

from asyncsim import (
    AsynchronousSGD,
    AsyncLocalSGD,
    ComponentGradient,
    Constant,
    Exponential,
    Gradient,
    GradientDifference,
    Invariants,
    LocalSGD,
    LocalSteps,
    MinibatchSGD,
    NoProblem,
    Quadratic,
    RennalaSGD,
    RingleaderASGD,
    RingmasterASGD,
    Stop,
    VerificationError,
    Workers,
    mean,
    run,
    simulate,
    total,
)
from asyncsim.log import Log
from asyncsim.result import Result
from asyncsim.streams import sequential
from asyncsim.testing import _Scripted, adversarial, resumed, scripted
from asyncsim.theory import Knowledge, birch_stepsize
from asyncsim.verify import VerifyingServer

UNEQUAL = Workers(12, lambda worker: Exponential(1.0 + worker % 5))


@dataclass(frozen=True)
class Declared(Method):
    """A method from a function of the server, with what it promises."""

    promises: Invariants

    def invariants(self, n: int) -> Invariants:
        return self.promises


TREE = Invariants(tree=True)


def breach(promises: Invariants, arrivals: list[Any], n: int = 3, **options: Any) -> Any:
    """Decorate a wrong method: it runs at once; what stands for it is the error."""

    def caught(do: Any) -> VerificationError:
        with pytest.raises(VerificationError) as error:
            scripted(Declared(do, promises), arrivals, n=n, verify=True, x0=[8.0, 1.0], **options)
        return error.value

    return caught


def is_told(error: VerificationError, iteration: int, workers: tuple[int, ...], words: str) -> None:
    assert (error.iteration, error.workers) == (iteration, workers)
    assert words in str(error)
    assert str(error).startswith(f"at iteration {iteration}")


# ---- rules 1, 2, 5: what only a wrong engine or server breaks


class Wrong(_Scripted):
    """An engine whose clock, arrivals or log can be wrong."""

    backwards = twice = False

    def now(self) -> float:
        return -super().now() if self.backwards else super().now()

    def next(self) -> Any:
        before = self.at_work.copy()
        came = super().next()
        if self.twice:
            self.at_work[came.worker] = before[came.worker]
        return came


def server_on(engine: Any, n: int = 2) -> VerifyingServer:
    server = VerifyingServer(engine, np.ones(1), n, sequential(0, "method"), Log(n), invariants=Invariants())
    engine.bind(server, lambda x: x)
    return server


def test_time_that_runs_backwards_is_a_breach():
    engine = Wrong([0, 1])
    server = server_on(engine)
    server.broadcast(Gradient(server.x))
    server.receive()
    engine.backwards = True
    with pytest.raises(VerificationError, match=r"time runs backwards, from 1\.0 to -2\.0"):
        server.receive()


def test_an_answer_that_comes_twice_is_a_breach():
    engine = Wrong([1, 1])
    engine.twice = True
    server = server_on(engine)
    server.broadcast(Gradient(server.x))
    server.receive()
    with pytest.raises(VerificationError, match=r"worker 1: .* came back, but is not at work"):
        server.receive()


def test_a_k_that_jumps_is_a_breach():
    server = server_on(Wrong([]))
    server._k = 3
    with pytest.raises(VerificationError, match="k is 3 after 0 steps"):
        server.step(0.1, np.ones(1))


def test_numbers_of_gradients_with_a_gap_are_a_breach():
    server = server_on(Wrong([]))
    server._given[1] = 7
    with pytest.raises(VerificationError, match="worker 1: its next gradient has number 7, but 0 were given"):
        server.send(1, Gradient(server.x))


def test_a_negative_delay_is_a_breach():
    server = server_on(Wrong([0]))
    server.send(0, Gradient(server.x))
    server._in_flight[0].version = 5
    with pytest.raises(VerificationError, match="worker 0: its gradient has delay -5"):
        server.receive()


def test_gradients_that_are_lost_to_the_counts_are_a_breach():
    server = server_on(Wrong([0, 1]))
    server.broadcast(Gradient(server.x))
    server.receive()
    server._log.flush()
    server._log.stopped[1] += 1
    with pytest.raises(VerificationError, match=r"worker 1: sent is not used \+ discarded .*: 1 and 2 at worker 1"):
        server.verification(Knowledge(n=2))


# ---- rule 4: applied at most once


def test_an_arrival_read_again_in_a_later_iteration_is_a_breach():
    @breach(Invariants(), [2])
    def error(server):
        server.broadcast(Gradient(server.x))
        arrival = server.receive()
        server.step(0.1, arrival.gradient)
        server.step(0.1, arrival.gradient)

    is_told(error, 1, (2,), "its gradient is read again; it was used at iteration 0")


def test_so_is_one_in_a_later_sum():
    @breach(Invariants(), [2, 0])
    def error(server):
        server.broadcast(Gradient(server.x))
        first = server.receive()
        server.step(0.1, total([first]))
        server.step(0.1, total([first, server.receive()]))

    is_told(error, 1, (2,), "read again")


def test_one_gradient_twice_in_a_sum_is_a_breach():
    @breach(Invariants(), [1, 0])
    def error(server):
        server.broadcast(Gradient(server.x))
        one, other = server.receive(), server.receive()
        server.step(0.1, mean([one, other, one]))

    is_told(error, 0, (1,), "one gradient stands twice in a sum")


def test_reading_twice_within_an_iteration_and_reading_late_are_none():
    def late(server):
        server.broadcast(Gradient(server.x))
        kept = server.receive()
        now = server.receive()
        server.step(0.1, now.gradient + 0 * now.gradient)
        server.step(0.1, kept.gradient)

    assert scripted(Method(late), [0, 1], n=2, verify=True).verification == {"iterations": 2, "largest_delay": 1}


# ---- rule 6: delays


@pytest.mark.parametrize("threshold", [1, 2, 3])
def test_a_ringmaster_that_forgets_its_threshold_is_told_with_the_worker(threshold):
    @dataclass(frozen=True)
    class Forgets(AsynchronousSGD):
        def invariants(self, n):
            return Invariants(largest_delay=threshold - 1)

    with pytest.raises(VerificationError) as error:
        scripted(Forgets(0.1), [0, 0, 0, 1], n=2, verify=True)
    words = f"a gradient with delay 3 is used, but {threshold - 1} is the largest allowed"
    is_told(error.value, 3, (1,), words)


def test_a_gradient_that_was_fresh_when_it_came_and_old_when_it_is_used_has_the_delay_of_its_use():
    @breach(Invariants(largest_delay=0), [0, 1])
    def error(server):
        server.broadcast(Gradient(server.x))
        kept, used = server.receive(), server.receive()
        server.step(0.1, used.gradient)
        assert kept.delay == 0
        server.step(0.1, kept.gradient)

    is_told(error, 1, (0,), "a gradient with delay 1 is used, but 0 is the largest allowed")


# ---- rule 7: rounds

ROUNDS = Invariants(largest_delay=4, one_update_each=True)


def ringleader(server, update_by=None, filled=True):
    """Rounds of three updates, with a fault: the second update by `update_by`, or a first one too early."""
    while True:
        server.broadcast(Gradient(server.x))
        if server.k % 3 == 0 and filled:
            waiting = set(server.workers)
            while True:
                arrival = server.receive()
                arrival.gradient  # noqa: B018 - reading is using
                waiting.discard(arrival.worker)
                if not waiting:
                    break
                server.send(arrival.worker, arrival.job)
        else:
            arrival = server.receive()
            arrival.gradient  # noqa: B018
        server.step(0.1, np.zeros(2))


def test_a_second_update_in_a_round_is_a_breach():
    error = breach(ROUNDS, [0, 1, 2, 1, 1])(ringleader)
    is_told(error, 2, (1,), "it makes a second update in round 0, where each makes one")


def test_a_round_that_updates_before_all_have_delivered_is_a_breach():
    error = breach(ROUNDS, [1])(lambda server: ringleader(server, filled=False))
    is_told(error, 0, (0, 2), "round 0 begins to update before these have delivered")


def test_an_update_without_an_arrival_is_a_breach():
    @breach(ROUNDS, [0, 1, 2])
    def error(server):
        server.broadcast(Gradient(server.x))
        mean([server.receive() for _ in range(3)])
        server.step(0.1, np.zeros(2))
        server.step(0.1, np.zeros(2))

    is_told(error, 1, (), "an update without an arrival")


def test_a_row_that_grows_too_old_is_a_breach_though_each_gradient_was_young_when_it_came():
    """n = 2, bound 2. After its update in round 0 worker 0 still delivers x⁰: delay 1, but 3 at the end of round 1."""

    @breach(Invariants(largest_delay=2, one_update_each=True), [1, 0, 0, 1, 1, 0], n=2)
    def error(server):
        x0 = server.x
        server.broadcast(Gradient(x0))

        def received(again_at=None):
            arrival = server.receive()
            assert arrival.gradient is not None
            if again_at is not None:
                server.send(arrival.worker, Gradient(again_at))

        received(again_at=x0)  # 1
        received(again_at=x0)  # 0, which makes the first update and goes on at the old point
        x1 = server.step(0.1, np.zeros(2))
        received(again_at=x1)  # 0: its row of round 1 begins with x⁰
        received()  # 1
        x2 = server.step(0.1, np.zeros(2))
        server.send(1, Gradient(x2))
        received()  # 1
        server.step(0.1, np.zeros(2))
        received()  # 0, with x¹: delay 2
        server.step(0.1, np.zeros(2))

    is_told(error, 3, (0,), "its row is 3 iterations old, but 2 is the largest allowed")


@given(
    choices=st.lists(st.integers(0, 100), max_size=300), n=st.integers(1, 6), resend=st.sampled_from(["own", "latest"])
)
@settings(max_examples=40)
def test_ringleader_has_exactly_n_updates_a_round_and_rows_of_at_most_2n_minus_2(choices, n, resend):
    found = adversarial(RingleaderASGD(0.1, resend=resend), choices, n=n, verify=True).verification
    assert found["largest_delay"] <= found["largest_delay_allowed"] == 2 * n - 2
    assert found["rounds"] == found["iterations"] // n


def test_the_bound_2n_minus_2_is_attained():
    found = simulate(RingleaderASGD(0.01), Noisy(), Workers(3, [Exponential(1.0), Exponential(2.0), Exponential(9.0)]),
                     stop=Stop(iterations=600), verify=True).verification  # fmt: skip
    assert found["largest_delay"] == 4


# ---- rule 8: the tree


def test_a_gradient_applied_again_from_a_table_is_a_breach_of_c1():
    @breach(TREE, [1, 2])
    def error(server):
        server.broadcast(Gradient(server.x))
        old = server.receive().gradient
        server.step(0.1, old)
        server.step(0.1, old + server.receive().gradient)

    is_told(error, 1, (2,), "the step is neither the sum nor the mean of the 1 gradients read since the last step")


def test_a_gradient_that_was_read_and_left_out_is_a_breach_of_c1():
    @breach(TREE, [1, 2], gradient=lambda x, worker: x + worker)
    def error(server):
        server.broadcast(Gradient(server.x))
        small = min((server.receive() for _ in range(2)), key=lambda arrival: np.linalg.norm(arrival.gradient))
        server.step(0.1, small.gradient)

    is_told(error, 0, (1, 2), "one is left out, weighted, or applied again (C1)")


def test_so_is_a_weight_and_a_step_without_a_new_gradient():
    @breach(TREE, [0, 1], gradient=lambda x, worker: x + worker)
    def weighted(server):
        server.broadcast(Gradient(server.x))
        server.step(0.1, 0.75 * server.receive().gradient + 0.25 * server.receive().gradient)

    is_told(weighted, 0, (0, 1), "weighted")

    @breach(TREE, [])
    def nothing(server):
        server.step(0.1, np.ones(2))

    is_told(nothing, 0, (), "the 0 gradients read")


def test_a_gradient_rejected_after_it_was_read_is_a_breach_of_c1():
    @breach(TREE, [0])
    def error(server):
        server.broadcast(Gradient(server.x))
        arrival = server.receive()
        if np.linalg.norm(arrival.gradient) > 1:
            arrival.discard()

    is_told(error, 0, (0,), "its gradient was read and then rejected")


def test_one_rejected_unread_is_none():
    def rejects(server):
        server.broadcast(Gradient(server.x))
        server.receive().discard()
        server.step(0.1, server.receive().gradient)

    assert scripted(Declared(rejects, TREE), [0, 1], n=2, verify=True).verification["applied_of_arrived"] == 0.5


def test_a_point_that_is_no_iterate_is_a_breach_of_c2():
    @breach(TREE, [])
    def error(server):
        server.send(2, Gradient(2 * server.x))

    is_told(error, 0, (2,), "a point that is no iterate is sent, which has no place on the tree (C2)")


def test_a_difference_of_gradients_is_a_breach_of_c2():
    @breach(TREE, [])
    def error(server):
        server.send(1, GradientDifference(server.x, server.x, 0))

    is_told(error, 0, (1,), "a difference of gradients is sent")


def test_a_distance_above_the_papers_is_a_breach_of_c3():
    @breach(Invariants(tree=True, tree_distance=1), [0, 0, 0, 1])
    def error(server):
        while True:
            server.broadcast(Gradient(server.x))
            server.step(0.1, server.receive().gradient)

    is_told(error, 3, (1,), "its gradient is applied at tree distance 3, but 1 is allowed (C3)")


def test_the_mean_the_sum_and_a_point_set_outright_are_all_steps_of_the_tree():
    def steps(server):
        for step in range(3):
            server.broadcast(LocalSteps(server.x, 2, 0.1) if step == 2 else Gradient(server.x, count=2))
            batch = [server.receive() for _ in server.workers]
            if step == 0:
                server.step(0.1, mean(batch))
            elif step == 1:
                server.step(0.05, total(batch))
            else:
                server.update(sum(arrival.end_point for arrival in batch) / 2)

    found = scripted(Declared(steps, TREE), [0, 1] * 3, n=2, x0=[3.0, -1.0], gradient=lambda x, w: x + w, verify=True)
    assert found.verification == {
        "iterations": 3, "largest_delay": 0, "tree_distance": 3, "applied_of_arrived": 1.0,
    }  # fmt: skip


class Single:
    """Single precision, x far from 0."""

    dimension, x0 = 40, np.full(40, 100, np.float32)

    def gradient(self, x, rng, worker):
        assert x.dtype == np.float32
        return rng.standard_normal(40).astype(np.float32)


@pytest.mark.parametrize("n", [3, 7, 10, 50])
def test_means_and_sums_in_single_precision_are_off_by_their_rounding_and_break_nothing(n):
    def steps(server):
        for step in range(3):
            server.broadcast(Gradient(server.x, count=2))
            batch = [server.receive() for _ in server.workers]
            if step < 2:
                server.step(0.1, (mean, total)[step](batch))
            else:
                server.update(server.x - np.float32(0.3) * total(batch))

    found = simulate(Declared(steps, TREE), Single(), Workers(n, 1.0), stop=Stop(iterations=4), verify=True)
    assert found.verification["iterations"] == 3


def test_one_gradient_of_a_thousand_left_out_in_single_precision_is_a_breach():
    def steps(server):
        server.broadcast(Gradient(server.x))
        gradients = [server.receive().gradient for _ in server.workers]
        server.step(0.1, sum(gradients[1:]) / np.float32(1000))

    with pytest.raises(VerificationError, match="one is left out"):
        simulate(Declared(steps, TREE), Single(), Workers(1000, 1.0), stop=Stop(iterations=4), verify=True)


def test_an_update_that_is_not_along_the_sum_is_a_breach():
    @breach(TREE, [0], gradient=lambda x: x + np.array([0.0, 5.0]))
    def error(server):
        server.send(0, Gradient(server.x))
        server.receive().gradient  # noqa: B018
        server.update(0.5 * server.x)

    is_told(error, 0, (0,), "neither the sum nor the mean")


def test_components_are_gradients_of_the_tree():
    def steps(server):
        server.send(0, ComponentGradient(server.x, [0, 2, 1]))
        server.step(0.1, server.receive().gradient)

    found = scripted(Declared(steps, TREE), [0], n=1, gradient=lambda x, j: x + j, verify=True)
    assert found.verification["tree_distance"] == 2


@pytest.mark.parametrize(
    ("method", "R"),
    [
        (RennalaSGD(0.1, 8), 7),
        (RennalaSGD(0.1, 40), 39),
        (RingmasterASGD(0.01, 8), 7),
        (RingmasterASGD(0.01, 8, stops=True), 7),
        (RingmasterASGD(0.001, 40), 39),
        (MinibatchSGD(0.1), 11),
        (MinibatchSGD(0.1, batch_size=2), 23),
        (LocalSGD(0.05, 4), 47),
        (AsyncLocalSGD(0.01, 1, 8), 7),
        (AsyncLocalSGD(0.005, 4, 20), 19),
        (AsyncLocalSGD(0.002, 10, 50), 49),
    ],
    ids=repr,
)
def test_the_measured_distance_is_that_of_birch_sgds_table(method, R):
    found = simulate(method, NoProblem(), UNEQUAL, stop=Stop(iterations=400), verify=True).verification
    assert found["tree_distance"] == found["tree_distance_allowed"] == R


def test_the_theorems_stepsize_is_that_of_the_measured_distance():
    problem, target = Quadratic(10, noise=0.01), {"squared_gradient_norm": 1e-3}
    options = {"stop": Stop(iterations=200), "target": target, "verify": True}
    found = simulate(RingmasterASGD(0.01, 6), problem, UNEQUAL, **options).verification
    assert found["tree_stepsize"] == birch_stepsize(problem.L, problem.sigma2, 1e-3, R=5)
    assert (
        "tree_stepsize"
        not in simulate(
            RingmasterASGD(0.01, 6), NoProblem(), UNEQUAL, stop=Stop(iterations=9), verify=True
        ).verification
    )


def test_the_share_of_what_arrived_and_was_applied():
    """Rennala, B = 2, times 1 and 3: of 6 used, 2 arrive too late."""
    workers = Workers(2, [Constant(1.0), Constant(3.0)])
    found = simulate(RennalaSGD(0.5, 2), Quadratic(10), workers, stop=Stop(iterations=3), verify=True)
    assert found.verification["applied_of_arrived"] == found.used / (found.used + found.discarded) == 6 / 8


# ---- what it leaves as it was


def test_a_method_that_promises_nothing_is_held_to_the_common_rules():
    def one(server):
        server.send(0, Gradient(server.x))
        server.step(0.1, server.receive().gradient)

    assert scripted(Method(one), [0], n=2, verify=True).verification == {"iterations": 1, "largest_delay": 0}


def test_it_sees_nothing_unless_it_is_asked():
    assert simulate(RennalaSGD(0.1, 3), Noisy(), UNEQUAL, stop=Stop(iterations=5)).verification == {}


def test_a_run_that_diverges_ends_as_diverged():
    found = simulate(AsynchronousSGD(1e80), Noisy(), UNEQUAL, stop=Stop(iterations=50), verify=True)
    assert found.status == "diverged"


def test_taken_up_again_it_still_finds_a_breach_that_needs_its_memory():
    class Twice:
        """Worker 0 makes the first and the last update of each round."""

        def invariants(self, n):
            return Invariants(one_update_each=True)

        def run(self, server):
            while True:
                for worker in server.idle if server.k == 0 else [0]:
                    server.send(worker, Gradient(server.x))
                for _ in range(4 if server.k == 0 else 1):
                    arrival = server.receive()
                    arrival.gradient  # noqa: B018
                server.step(0.1, np.zeros(3))

    workers = Workers(4, [4.0, 1.0, 1.0, 1.0])
    for at in ([], [1]):
        with pytest.raises(VerificationError, match="at iteration 1, worker 0: it makes a second update in round 0"):
            resumed(Twice(), Noisy(), workers, at=at, stop=Stop(iterations=9), verify=True)


def test_deadlines_and_stops_that_keep_what_is_finished_break_nothing():
    def impatient(server):
        while True:
            server.broadcast(Gradient(server.x, count=3))
            arrival = server.receive()
            if arrival.count:
                slowest = server.in_flight()[0].worker
                server.stop(slowest, keep=True)
                server.step(0.01, arrival.gradient)

    def with_deadlines(server):
        while True:
            for worker in server.idle:
                server.send(worker, Gradient(server.x, count=3), deadline=4.0, at_deadline="partial")
            arrival = server.receive()
            if arrival.count:
                server.step(0.01, arrival.gradient)

    stopped, timed_out = (
        simulate(Declared(do, TREE), Noisy(), UNEQUAL, stop=Stop(time=60.0), verify=True)
        for do in (impatient, with_deadlines)
    )
    assert stopped.stopped > 0
    assert timed_out.timed_out > 0


# ---- in scenarios

SCENARIO = {
    "workers": {"count": 4, "compute_time": "i"},
    "problem": {"name": "quadratic", "dimension": 5, "noise": 0.01},
    "target": {"squared_gradient_norm": 0.001},
    "methods": [
        {"name": "ringmaster_asgd", "stepsize": 0.1, "threshold": 3},
        {"name": "ringleader_asgd", "stepsize": 0.05},
    ],
    "stop": {"iterations": 60},
    "verify": True,
}


def test_a_scenario_asks_for_it_and_the_folder_and_the_report_show_what_was_found(tmp_path):
    result = run(SCENARIO, output=tmp_path / "run", progress=False)
    kept = Result.read(tmp_path / "run")
    assert [found.verification for found in kept.runs] == [found.verification for found in result.runs]
    ringmaster, ringleader = (found.verification for found in kept.runs)
    assert ringmaster["tree_distance_allowed"] == 2
    assert ringleader["rounds"] == 15
    page = kept.report().read_text()
    assert re.search(r"<summary>Self-check</summary>.*?tree distance R", page, re.DOTALL)
    assert "Self-check" not in run(SCENARIO | {"verify": False}, progress=False).report(tmp_path / "r.html").read_text()


def test_a_breach_ends_its_run_as_failed_and_the_others_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(RingmasterASGD, "invariants", lambda self, n: Invariants(largest_delay=0))
    result = run(SCENARIO, output=tmp_path / "run", progress=False)
    assert [found.status for found in result.runs] == ["failed", "finished"]
    assert re.match(r"VerificationError: at iteration \d+, worker \d: a gradient with delay", result.runs[0].reason)
    assert Result.read(tmp_path / "run").runs[0].reason == result.runs[0].reason
