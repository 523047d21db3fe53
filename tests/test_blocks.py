"""The block core gives what the plain core gives, bit by bit, whatever a method does and however long things take."""

import math
import tracemalloc
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from methods.test_every_method import every_case, make
from methods.test_golden import row_of, rows
from toys import Method, Noisy, differences

import asyncsim
from asyncsim import (
    AsynchronousSGD,
    Constant,
    Exponential,
    Gamma,
    Gradient,
    MinibatchSGD,
    NoProblem,
    Quadratic,
    Record,
    RennalaSGD,
    RingmasterASGD,
    Server,
    Stop,
    Uniform,
    Workers,
    mean,
    simulate,
)
from asyncsim.blocks import BlockServer
from asyncsim.jobs import LocalSteps, TimerFired
from asyncsim.running import execute
from asyncsim.testing import resumed

# without the extra the same is tested of what remains
FAST = ("block", "compiled") if find_spec("numba") else ("block",)
EVERYTHING = Record(iterations=3, events="all")


def assert_same(method: Any, problem: Any, workers: Workers, **options: Any) -> None:
    plain = simulate(method, problem, workers, core="plain", **options)
    for core in FAST:
        fast = simulate(method, problem, workers, core=core, **options)
        assert differences(plain, fast) == []
        if plain.events is not None:
            assert plain.events.tolist() == fast.events.tolist()


# ---- methods of every kind


@every_case
@pytest.mark.parametrize("times", ["random", "equal", "with links"])
def test_every_method_gives_the_same_under_both_cores(case, times):
    workers = {
        "random": Workers(7, lambda worker: Exponential(1.0 + worker)),
        "equal": Workers(7, 1.0),
        "with links": Workers(7, lambda worker: Uniform(1.0, 2.0 + worker), uplink=Exponential(0.2), downlink=0.1),
    }[times]
    assert_same(make(case), Noisy(), workers, stop=Stop(gradients=400), seed=3, record=EVERYTHING)


@every_case
def test_the_golden_rows_are_those_of_the_plain_core_too(case, monkeypatch):
    monkeypatch.setattr(asyncsim.running, "BlockServer", None)  # whoever asks for it fails
    monkeypatch.setattr("methods.test_golden.simulate", lambda *a, **options: simulate(*a, **options, core="plain"))
    row, kept = row_of(case), rows()[case]
    assert {**row, "f": kept["f"]} == kept


class Capricious:
    """A method that does `calm` ordinary things for each odd one, from a seed."""

    def __init__(self, seed: int, calm: int) -> None:
        self.seed, self.calm = seed, calm

    def run(self, server: Server) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.old = server.x
        self.kept: list[Any] = []
        while True:
            if len(server.idle) == server.n:
                server.broadcast(Gradient(server.x))
            came = server.receive()
            if isinstance(came, TimerFired):
                continue
            odd = self.rng.integers(self.calm + 1) == 0
            (MOVES[self.rng.integers(len(MOVES))] if odd else go_on)(self, server, came)


def go_on(self: Capricious, server: Server, came: Any) -> None:
    server.send(came.worker, Gradient(server.x))


def forget_it(self: Capricious, server: Server, came: Any) -> None:
    pass


def broadcast(self: Capricious, server: Server, came: Any) -> None:
    server.broadcast(lambda i: Gradient(server.x, count=1 + i % 2))


def stop_one(self: Capricious, server: Server, came: Any) -> None:
    if busy := [i for i in server.workers if i not in server.idle]:
        server.stop(busy[int(self.rng.integers(len(busy)))], keep=bool(self.rng.integers(2)))
    server.broadcast(Gradient(server.x))


def stop_all(self: Capricious, server: Server, came: Any) -> None:
    server.stop_all()
    server.broadcast(Gradient(server.x))


def two_gradients(self: Capricious, server: Server, came: Any) -> None:
    server.send(came.worker, Gradient(server.x, count=2))


def local_steps(self: Capricious, server: Server, came: Any) -> None:
    server.send(came.worker, LocalSteps(server.x, 3, 0.01))


def deadline(self: Capricious, server: Server, came: Any) -> None:
    server.send(came.worker, Gradient(server.x), deadline=float(self.rng.random()), at_deadline="partial")


def timer(self: Capricious, server: Server, came: Any) -> None:
    if self.rng.integers(2):
        server.send(came.worker, Gradient(server.x))
    server.timer("once", after=float(self.rng.random()))
    server.timer("again", every=0.7)


def old_point(self: Capricious, server: Server, came: Any) -> None:
    server.send(came.worker, Gradient(self.old))
    self.old = server.x


def look(self: Capricious, server: Server, came: Any) -> None:
    busy = [i for i in server.workers if i not in server.idle]
    assert sorted(worker for worker, _, _ in server.pending()) == busy
    self.kept += server.in_flight(delay_at_least=int(self.rng.integers(3)))[:0]
    server.send(came.worker, came.job)


def read_and_step(self: Capricious, server: Server, came: Any) -> None:
    self.kept = [*self.kept, came][-3:]
    found = [a.gradient for a in self.kept if a.count and not isinstance(a.job, LocalSteps)]
    if found:
        server.step(0.01, sum(found) / len(found))
    server.send(came.worker, Gradient(server.x))


def discard(self: Capricious, server: Server, came: Any) -> None:
    came.discard()
    server.send(came.worker, Gradient(server.x))


def read(self: Capricious, server: Server, came: Any) -> None:
    if came.count and not isinstance(came.job, LocalSteps):
        assert came.gradient is came.gradient
        assert len(came.compute_times) == came.count
    server.send(came.worker, came.job)


MOVES = (
    forget_it, broadcast, stop_one, stop_all, two_gradients, local_steps, deadline, timer, old_point, look,
    read_and_step, read_and_step, read_and_step, discard, read,
)  # fmt: skip


def speeds(kind: str, n: int) -> Any:
    return {
        "exponential": lambda worker: Exponential(0.1 * (1 + worker)),
        "gamma": Gamma(2.0, 0.1),
        "equal": 0.25,
        "in eighths": [0.125 * (1 + worker % 5) for worker in range(n)],
        "one is dead": [math.inf if worker == n - 1 else 0.2 + 0.01 * worker for worker in range(n)],
        "one is very fast": [0.001] + [1.0 + 0.01 * worker for worker in range(n - 1)],
        "often nothing": Rounded(0.1),
        "by call": lambda rng, worker, start: float(rng.random()),
    }[kind]


class Rounded:
    """Times that are multiples of a step, 0 among them: many arrivals at one time."""

    def __init__(self, step: float) -> None:
        self.step = step

    def sample(self, rng: np.random.Generator, size: int) -> np.ndarray:
        return self.step * rng.integers(0, 4, size)


KINDS_OF_TIMES = (
    "exponential", "gamma", "equal", "in eighths", "one is dead", "one is very fast", "often nothing", "by call",
)  # fmt: skip


@settings(max_examples=120)
@given(
    seed=st.integers(0, 10**6),
    n=st.sampled_from([1, 2, 3, 14, 40]),
    calm=st.sampled_from([0, 10, 300]),
    times=st.sampled_from(KINDS_OF_TIMES),
    link=st.sampled_from([0.0, 0.05, "random"]),
    stop=st.sampled_from([Stop(time=40.0), Stop(gradients=900), Stop(iterations=30, time=60.0)]),
    record=st.sampled_from([EVERYTHING, Record(every=0.9, events="all"), Record(points=8, events="all")]),
)
def test_whatever_a_method_does_both_cores_give_the_same(seed, n, calm, times, link, stop, record):
    link = Exponential(0.05) if link == "random" else link
    workers = Workers(n, speeds(times, n), uplink=link, downlink=0.0 if seed % 2 else link)
    stop = Stop(time=stop.time or 60.0, iterations=stop.iterations, gradients=stop.gradients or 3000)
    assert_same(Capricious(seed, calm), Noisy(), workers, stop=stop, seed=seed, record=record)


class Rounds:
    """Rounds in which whoever arrives waits for the others, with something else now and then, from a seed."""

    def __init__(self, seed: int, wait_for: int, calm: int) -> None:
        self.seed, self.wait_for, self.calm = seed, wait_for, calm

    def run(self, server: Server) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.old, self.kept = server.x, []
        while True:
            if self.rng.integers(3) == 0:
                server.stop_all()
            server.broadcast(Gradient(server.x))
            batch: list[Any] = []
            while len(batch) < min(self.wait_for, server.n) and len(server.idle) < server.n:
                came = server.receive()
                if isinstance(came, TimerFired):
                    continue
                if type(came.job) is Gradient and came.count:
                    batch.append(came)
                if self.rng.integers(self.calm + 1) == 0:
                    (*MOVES, go_on, go_on, go_on)[self.rng.integers(len(MOVES) + 3)](self, server, came)
            if batch := [came for came in batch if not came._discarded]:
                server.step(0.01, mean(batch))


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10**6),
    n=st.sampled_from([2, 14, 60, 130]),
    wait_for=st.sampled_from([1, 5, 60, 200]),
    calm=st.sampled_from([5, 100, 1000]),
    times=st.sampled_from(KINDS_OF_TIMES),
    link=st.sampled_from([0.0, 0.05]),
    stop=st.sampled_from([Stop(time=9.0), Stop(gradients=1500), Stop(iterations=30, time=60.0)]),
    record=st.sampled_from([EVERYTHING, Record(every=0.9, events="all")]),
)
def test_rounds_are_the_same_too_whoever_waits_for_whom(seed, n, wait_for, calm, times, link, stop, record):
    workers = Workers(n, speeds(times, n), uplink=link, downlink=link)
    stop = Stop(time=stop.time or 60.0, iterations=stop.iterations, gradients=stop.gradients or 3000)
    assert_same(Rounds(seed, wait_for, calm), Noisy(), workers, stop=stop, seed=seed, record=record)


@pytest.mark.parametrize("case", ["asynchronous_sgd", "rennala_sgd, stops", "ringleader_asgd", "minibatch_sgd"])
def test_gradients_computed_ahead_are_the_same_under_both_cores(case):
    workers, stop = Workers(12, lambda worker: Exponential(1.0 + worker)), Stop(gradients=1500)
    given_ = (make(case), Quadratic(10, noise=0.1), workers, stop, 5, None, EVERYTHING, "run")
    plain = execute(*given_, core="plain", evaluation="prefetched 8")
    for core in FAST:
        fast = execute(*given_, core=core, evaluation="prefetched 8")
        assert differences(plain, fast) == []
        for counted in ("computed", "ahead", "unread"):
            assert fast.effort[counted] == plain.effort[counted]


# ---- long calm runs: whole blocks, many of them


@pytest.mark.parametrize("n", [1, 8, 100])
@pytest.mark.parametrize("times", ["exponential", "equal", "one is very fast", "one is dead"])
def test_long_runs_are_the_same_too(n, times):
    workers = Workers(n, speeds(times, n))
    for method in (AsynchronousSGD(0.01), RingmasterASGD(0.01, 1 + n // 4), RennalaSGD(0.01, 1 + n // 3, stops=True)):
        assert_same(method, NoProblem(), workers, stop=Stop(gradients=7_000), seed=n)


@settings(max_examples=15)
@given(st.integers(1, 2000), st.sampled_from([1, 7, 100]), st.sampled_from(["time", "gradients", "iterations"]))
@example(1, 1, "gradients")
def test_a_run_ends_at_the_same_event(limit, n, what):
    stop = Stop(time=limit / 40) if what == "time" else Stop(**{what: limit})
    workers = Workers(n, Exponential(0.1))
    assert_same(AsynchronousSGD(0.1), Noisy(), workers, stop=stop, record=Record(points=3))


# ---- what cannot be told in advance


class Ends:
    """A law that has so many draws and then gives what is none, or fails."""

    mean = 0.02

    def __init__(self, draws: int, then: Any) -> None:
        self.draws, self.then = draws, then

    def sample_at(self, at: Any, first: int, size: int) -> np.ndarray:
        numbers = np.arange(first, first + size)
        if isinstance(self.then, float):
            return np.where(numbers < self.draws, 0.01 * (1.0 + numbers % 3), self.then)
        if numbers[-1] >= self.draws:
            raise self.then
        return 0.01 * (1.0 + numbers % 3)

    def sample(self, rng: np.random.Generator, size: int) -> np.ndarray:
        raise AssertionError("it is asked by number")


@pytest.mark.parametrize("then", [math.nan, -1.0])
def test_a_time_that_is_none_is_an_error_only_where_it_is_handed_out(then):
    workers = Workers(3, [Ends(200, then), Exponential(0.01), Exponential(0.02)])
    assert_same(AsynchronousSGD(0.1), Noisy(), workers, stop=Stop(time=0.02 * 195))
    for core in ("plain", "auto"):
        with pytest.raises(ValueError, match=r"compute time of worker 0, draw 200: the law .* gave (nan|-1.0)"):
            simulate(AsynchronousSGD(0.1), Noisy(), workers, stop=Stop(time=10.0), core=core)


def test_a_law_that_fails_does_so_where_it_is_asked_for_the_number():
    workers = Workers(2, [Ends(128, RuntimeError("the trace ends here")), Constant(0.015)])
    assert_same(AsynchronousSGD(0.1), Noisy(), workers, stop=Stop(time=0.02 * 126))
    for core in ("plain", "auto"):
        with pytest.raises(RuntimeError, match="the trace ends here"):
            simulate(AsynchronousSGD(0.1), Noisy(), workers, stop=Stop(time=10.0), core=core)


def test_time_that_stands_still_is_the_same_error(monkeypatch):
    monkeypatch.setattr("asyncsim.simulation.ARRIVALS_AT_ONE_INSTANT", 10_000)
    for core in ("plain", "auto"):
        with pytest.raises(asyncsim.NoProgressError, match=r"10,000 arrivals at the one instant 0\.0"):
            simulate(RennalaSGD(0.1, 5), NoProblem(), Workers(2, 0.0), stop=Stop(time=1.0), core=core)


def test_waiting_for_a_worker_that_never_returns_ends_at_the_same_arrival():
    def collect_for_ever(server: Server) -> None:
        server.broadcast(Gradient(server.x))
        while True:
            server.send(server.receive().worker, Gradient(server.x))

    for n in (3, 120):
        workers = Workers(n, speeds("one is dead", n))
        assert_same(Method(collect_for_ever), NoProblem(), workers, stop=Stop(gradients=10**6))
        assert simulate(Method(collect_for_ever), NoProblem(), workers, stop=Stop(gradients=10**6)).reason.startswith(
            f"stalled: waiting for workers {{{n - 1}}}: no step over the last"
        )


def test_nobody_can_come_any_more():
    def only_the_dead(server: Server) -> None:
        server.broadcast(Gradient(server.x))
        while True:
            server.receive()

    workers = Workers(3, [1.0, math.inf, math.inf])
    assert_same(Method(only_the_dead), Noisy(), workers, stop=Stop(time=10.0))
    assert simulate(Method(only_the_dead), Noisy(), workers, stop=Stop(time=10.0)).reason == (
        "stalled: waiting for workers {1, 2}, who never return"
    )


# ---- taking a run up again


@pytest.mark.parametrize("case", ["asynchronous_sgd", "rennala_sgd", "ringmaster_asgd", "ringleader_asgd", "ia2_sgd"])
@pytest.mark.parametrize("times", ["exponential", "equal"])
def test_a_run_killed_within_a_block_goes_on_to_the_same_bits(case, times):
    workers = Workers(9, speeds(times, 9), uplink=0.01)
    options = {"stop": Stop(gradients=2500), "record": Record(iterations=50, events="all"), "seed": 4}
    whole = simulate(make(case), Noisy(), workers, core="plain", **options)
    parts = resumed(make(case), Noisy(), workers, at=[7, 150, 151, 400], **options)
    assert differences(whole, parts) == []


def test_a_run_killed_within_a_round_goes_on_to_the_same_bits():
    workers = Workers(70, lambda worker: Exponential(1.0 + worker))
    options = {"stop": Stop(gradients=2500), "record": Record(iterations=5, events="all"), "seed": 4}
    whole = simulate(MinibatchSGD(0.1), Noisy(), workers, core="plain", **options)
    parts = resumed(MinibatchSGD(0.1), Noisy(), workers, at=[3, 4, 20], **options)
    assert differences(whole, parts) == []


# ---- which core it is


def test_rounds_run_by_the_block_and_come_back_to_it_after_something_else(monkeypatch):
    plainly, receive = [], BlockServer._receive_plainly
    monkeypatch.setattr(BlockServer, "_receive_plainly", lambda server: [plainly.append(server.k), receive(server)][1])

    def rounds(server: Server) -> None:
        while True:
            server.broadcast(Gradient(server.x))
            if server.k == 10:
                server.stop(5)
            batch = [server.receive() for _ in range(server.n - (server.k == 10))]
            server.step(0.1, mean(batch))

    simulate(Method(rounds), Noisy(), Workers(200, Exponential(1.0)), stop=Stop(iterations=30))
    assert set(plainly) == {10}
    assert len(plainly) <= 130  # twice the patience


def test_the_simple_pattern_runs_by_the_block_and_what_else_there_is_comes_back_to_it(monkeypatch):
    seen = []
    receive = BlockServer._receive_slowly

    def watched(server: BlockServer) -> Any:
        seen.append(server._blocked)
        return receive(server)

    monkeypatch.setattr(BlockServer, "_receive_slowly", watched)

    def one_stop(server: Server) -> None:
        server.broadcast(Gradient(server.x))
        for number in range(3000):
            arrival = server.receive()
            if number == 1000:
                server.stop((arrival.worker + 1) % server.n)
                server.broadcast(Gradient(server.x))
            else:
                server.send(arrival.worker, Gradient(server.x))

    simulate(Method(one_stop), Noisy(), Workers(4, Exponential(1.0)), stop=Stop(gradients=10**6))
    plain = seen.count(False)
    assert 64 <= plain <= 200
    assert seen[-1]
    assert len(seen) - plain < 200


@pytest.mark.parametrize(
    "workers",
    [
        Workers(3, lambda rng, worker, start: 1.0),
        Workers(3, 1.0, stop_takes_effect="after_current_gradient"),
        Workers(3, 1.0, uplink={"latency": 0.0, "bandwidth": 3.0}),
    ],
)
def test_workers_whose_times_depend_on_more_run_by_the_plain_core(workers, monkeypatch):
    monkeypatch.setattr("asyncsim.running.BlockServer", None)
    assert simulate(AsynchronousSGD(0.1), Noisy(), workers, stop=Stop(iterations=5)).iterations == 5


def test_an_unknown_core_is_refused():
    with pytest.raises(ValueError, match="core = 'fast', but one of auto, plain, block, compiled is needed"):
        simulate(AsynchronousSGD(0.1), Noisy(), Workers(2, 1.0), stop=Stop(iterations=5), core="fast")


def test_a_million_workers_cost_less_than_a_kilobyte_each():
    n = 20_000
    workers = Workers(n, {"distribution": "exponential", "mean": "sqrt(i)"})
    tracemalloc.start()
    try:
        simulate(RingmasterASGD(0.1, 1), NoProblem(), workers, stop=Stop(gradients=5000))
        assert tracemalloc.get_traced_memory()[1] / n < 1000
    finally:
        tracemalloc.stop()


def test_what_execute_is_given_is_what_it_uses(monkeypatch):
    monkeypatch.setattr("asyncsim.running.BlockServer", None)
    stop = Stop(iterations=5)
    run = execute(AsynchronousSGD(0.1), Noisy(), Workers(2, 1.0), stop, 0, None, Record(), "label", core="plain")
    assert run.iterations == 5
