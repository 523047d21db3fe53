"""The cluster engine on a real Ray on this machine: the same methods, the same numbers, the same order."""

import dataclasses
import itertools
import os
import re
import signal
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import pytest
import toys
from methods.test_every_method import CASES
from toys import ALL_EVENTS, Method, Noisy

from asyncsim import METHODS, Constant, Gradient, Quadratic, Record, Stop, Workers, simulate
from asyncsim.result import KINDS, Run
from asyncsim.running import execute
from asyncsim.server import EndOfRun

ray = pytest.importorskip("ray", reason="needs ray (extra ray)")
pytestmark = [pytest.mark.ray, pytest.mark.timeout(120)]

from asyncsim.cluster import Crew, RayEngine, WorkerError  # noqa: E402
from asyncsim.ray_session import EngineError  # noqa: E402

N = 3
HERE = RayEngine(cpus_per_worker=0.1)
SLEEPING = dataclasses.replace(HERE, slowdown="sleep")


@pytest.fixture(scope="module")
def one(here):
    by_value()
    with Crew(HERE, 1) as crew:
        yield crew


@pytest.fixture(scope="module")
def crews(here):
    """Actors are reused from test to test: to start one takes longer than what most tests do with it."""
    by_value()
    with ExitStack() as stack:
        yield [stack.enter_context(Crew(SLEEPING, N)) for _ in range(3)]


def by_value():
    for module in (toys, sys.modules[__name__]):  # no package that the workers' processes could import
        ray.cloudpickle.register_pickle_by_value(module)


@pytest.fixture
def three(crews):
    crews[0].options = SLEEPING
    return crews[0]


def play(method, problem, workers, crew, stop, record=ALL_EVENTS, seed=3) -> Run:
    return execute(method, problem, workers, stop, seed, None, record, "on ray", crew=crew)


@pytest.mark.parametrize("case", CASES)
def test_with_one_worker_simulation_and_ray_give_the_same_bits(case, one):
    name, parameters = CASES[case]
    method, problem, workers = METHODS[name](**parameters), Noisy(), Workers(1, Constant(0.001))
    stop = Stop(iterations=12)
    real = play(method, problem, workers, one, stop, Record(iterations=1))
    simulated = simulate(method, problem, workers, stop=stop, seed=3, record=Record(iterations=1))
    for name in ("iteration", "value", "squared_gradient_norm", "gradients_used"):
        np.testing.assert_array_equal(real.curves[name], simulated.curves[name], err_msg=name)


# times of three workers, in seconds, of which few multiples lie close together
TIMES = (0.088, 0.145, 0.239)
GAP = 0.024  # what happens closer together may change places
HORIZON = 0.72
# what a busy machine delays by more than the gaps has another order: where it did so before each worker was heard
# about twice, all is tried again so many times as slowly
SLOWER = (1.0, 2.5, 5.0, 5.0, 5.0)
ENOUGH = 0.47


def until_two_come_close(run: Run, gap: float) -> float:
    """The time up to which all that happens at different times lies at least this gap apart."""
    times = np.unique(run.events["time"].round(9))
    close = np.flatnonzero(np.diff(times) < gap)
    return float(times[close[0]] if len(close) else times[-1]) - 1e-6


def order(run: Run, until: int | float) -> dict[str, list[tuple[int, int, int]]]:
    """kind → (worker, m, k) in the order in which they happened."""
    found: dict[str, list[tuple[int, int, int]]] = {}
    for event in run.events[run.events["time"] <= until]:
        row = (int(event["worker"]), int(event["m"]), int(event["k"]))
        found.setdefault(KINDS[event["kind"]], []).append(row)
    return found


def simulated_and_real(case: str, free: SimpleQueue[Crew]) -> tuple[Run, Run, float, float]:
    """Both runs, the time up to which the real one kept up, and how many times as slow they were."""
    name, parameters = CASES[case]
    method, problem = METHODS[name](**parameters), Noisy()
    crew = free.get()
    best, share = None, -1.0
    for slower in SLOWER:
        workers = Workers(N, [Constant(slower * seconds) for seconds in TIMES])
        simulated = simulate(method, problem, workers, stop=Stop(time=slower * HORIZON), seed=3, record=ALL_EVENTS)
        until = until_two_come_close(simulated, slower * GAP)
        real = play(method, problem, workers, crew, Stop(time=until + slower * GAP))
        kept = kept_up(simulated, real, until, slower * GAP)
        if kept / until > share:
            best, share = (simulated, real, kept, slower), kept / until
        if kept >= min(until, slower * ENOUGH):
            break
    free.put(crew)
    return best


def kept_up(simulated: Run, real: Run, until: float, gap: float) -> float:
    """The time up to which every gradient arrived less than half a gap later than in the simulation."""
    arrived = KINDS.index("arrived")
    expected, got = (
        {(int(e["worker"]), int(e["m"])): float(e["time"]) for e in run.events if e["kind"] == arrived}
        for run in (simulated, real)
    )
    late = [at for key, at in expected.items() if at <= until and got.get(key, np.inf) - at >= gap / 2]
    return min(late) - 1e-6 if late else until


@pytest.fixture(scope="module")
def slept(crews):
    # workers that sleep need no processor: some runs at a time
    free = SimpleQueue()
    for crew in crews:
        free.put(crew)
    with ThreadPoolExecutor(len(crews)) as pool:
        runs = list(pool.map(simulated_and_real, CASES, itertools.repeat(free)))
    return dict(zip(CASES, runs, strict=True))


@pytest.mark.parametrize("case", CASES)
def test_with_slept_times_simulation_and_ray_give_the_same_order_of_updates(case, slept):
    simulated, real, until, slower = slept[case]
    expected, got = order(simulated, until), order(real, until + slower * GAP)
    assert until > slower * TIMES[-1] * 0.99
    for kind, rows in expected.items():
        assert got.get(kind, [])[: len(rows)] == rows, kind


@pytest.fixture(scope="module")
def stopping(crews):
    crews[0].options = SLEEPING
    method = METHODS["ringmaster_asgd"](0.1, threshold=2, stops=True)
    return play(method, Noisy(), Workers(N, list(map(Constant, TIMES))), crews[0], Stop(time=0.8))


def test_every_gradient_is_counted_once(stopping):
    run = stopping
    assert run.sent == run.used + run.discarded + run.stopped + run.timed_out + run.lost + run.in_flight
    assert run.stopped > 0


def test_how_long_stops_took_is_kept(stopping):
    measured = stopping.engine["stops_measured"]
    assert 0 < len(measured) == stopping.engine["stops"]
    assert all(0 <= told <= free for _, _, told, free in measured)
    assert {worker for worker, *_ in measured} <= set(range(N))


def test_computing_is_measured_by_the_worker_and_the_rest_is_communication(three):
    run = play(METHODS["asynchronous_sgd"](0.1), Noisy(), Workers(N, list(map(Constant, TIMES))), three, Stop(time=1))
    done = run.intervals[run.intervals["outcome"] == 0]
    computing = done["computing_to"] - done["computing_from"]
    for worker, seconds in enumerate(TIMES):
        measured = computing[done["worker"] == worker]
        assert len(measured) > 1
        assert np.all(measured >= seconds)
        assert np.all(done["sent"] <= done["computing_from"])
        assert np.all(done["computing_to"] <= done["ended"])


class KillsItself(Quadratic):
    """A worker's process dies at its third gradient, once: a file remembers it."""

    def __init__(self, folder: Path, workers: tuple[int, ...], always: bool = False) -> None:
        super().__init__(dimension=5)
        self._folder, self._workers, self._always = folder, workers, always
        self._count = 0

    def gradient(self, x, rng, worker):
        self._count += 1
        dead = self._folder / f"{worker}"
        if worker in self._workers and self._count > 3 and (self._always or not dead.exists()):
            dead.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().gradient(x, rng, worker)


@pytest.mark.parametrize("name", ["asynchronous_sgd", "ringleader_asgd", "minibatch_sgd"])
def test_a_run_goes_on_when_two_workers_are_killed(name, three, tmp_path):
    problem, workers = KillsItself(tmp_path, (0, 2)), Workers(N, Constant(0.01))
    seen = []

    def until_both_work_again(engine):
        # on a busy machine others may make all the steps before worker 2 comes to its third gradient
        seen.append(engine.iterations)
        if engine.facts()["replaced"].keys() == {"0", "2"} and not engine._starting and engine.iterations >= 60:
            engine.end(EndOfRun("finished", "both work again"))

    run = execute(
        METHODS[name](stepsize=0.1), problem, workers, Stop(time=100), 3, None, ALL_EVENTS, "killed",
        crew=three, look=until_both_work_again,
    )  # fmt: skip
    assert (run.status, run.reason) == ("finished", "both work again")
    assert run.engine["replaced"] == {"0": 1, "2": 1}
    assert run.sent == run.used + run.discarded + run.in_flight


def until_gone(engine):
    if engine.facts()["gone"]:
        engine.end(EndOfRun("finished", "one is gone"))


def test_a_worker_that_keeps_dying_is_given_up_and_the_others_go_on(three, tmp_path):
    three.options = dataclasses.replace(SLEEPING, replacements=1)
    problem, workers = KillsItself(tmp_path, (1,), always=True), Workers(N, Constant(0.02))
    method = METHODS["asynchronous_sgd"](stepsize=0.1)
    run = execute(method, problem, workers, Stop(time=100), 3, None, ALL_EVENTS, "dying", crew=three, look=until_gone)
    assert (run.status, run.reason) == ("finished", "one is gone")
    assert run.engine["gone"] == [1]
    assert run.lost == 1


class Hangs(KillsItself):
    def gradient(self, x, rng, worker):
        self._count += 1
        asleep = self._folder / f"{worker}"
        if worker in self._workers and self._count > 3 and not asleep.exists():
            asleep.touch()
            threading.Event().wait()
        return Quadratic.gradient(self, x, rng, worker)


def test_a_hung_worker_is_found_and_replaced(three, tmp_path):
    three.options = dataclasses.replace(SLEEPING, hung_after=1.0)
    problem, workers = Hangs(tmp_path, (1,)), Workers(N, Constant(0.01))
    run = play(METHODS["minibatch_sgd"](0.1), problem, workers, three, Stop(iterations=20))
    assert run.iterations == 20
    assert "1" in run.engine["replaced"]


class Raises(KillsItself):
    def gradient(self, x, rng, worker):
        self._count += 1
        before = len(list(self._folder.iterdir()))
        if worker in self._workers and self._count > 3 and (self._always or before < 2):
            (self._folder / f"{before}").touch()
            raise ArithmeticError("the data of this worker are bad")
        return Quadratic.gradient(self, x, rng, worker)


def test_a_job_that_raises_is_sent_again_and_counted(three, tmp_path):
    problem, workers = Raises(tmp_path, (1,)), Workers(N, Constant(0.01))
    run = play(METHODS["minibatch_sgd"](0.1), problem, workers, three, Stop(iterations=20))
    assert run.iterations == 20
    assert run.engine["raised"] == {"1": 2}


def test_a_worker_that_keeps_raising_fails_the_run_and_says_who_and_where(three, tmp_path):
    problem, workers = Raises(tmp_path, (1,), always=True), Workers(N, Constant(0.01))
    words = r"worker 1: ArithmeticError: the data of this worker are bad \(.*test_engine.py:\d+\)"
    with pytest.raises(WorkerError, match=words):
        play(METHODS["minibatch_sgd"](0.1), problem, workers, three, Stop(iterations=20))


def test_large_points_are_put_into_the_store_once(one, monkeypatch):
    put = []
    monkeypatch.setattr(one, "put", lambda x: put.append(x.size) or ray.put(x))
    run = play(
        METHODS["asynchronous_sgd"](0.1),
        Quadratic(dimension=20_000),
        Workers(1, Constant(0.001)),
        one,
        Stop(iterations=4),
        Record(iterations=1),
    )
    assert run.iterations == 4
    assert put == [20_000] * 4


def test_timers_and_deadlines_are_of_the_real_clock(three):
    seen = []

    def run(server):
        server.timer("tick", every=0.1)
        server.send(2, Gradient(server.x), deadline=0.15)
        while "arrived" not in seen:
            came = server.receive()
            seen.append("tick" if not hasattr(came, "worker") else ("timed out" if came.timed_out else "arrived"))
            if seen[-1] == "timed out":
                server.send(0, Gradient(server.x))

    play(Method(run), Noisy(), Workers(N, list(map(Constant, TIMES))), three, Stop(time=60))
    # worker 0 needs until 0.238 s at least, and on a busy machine longer
    assert seen[:3] == ["tick", "timed out", "tick"]
    assert set(seen[3:-1]) <= {"tick"}
    assert seen[-1] == "arrived"


def test_what_came_while_the_server_was_busy_is_taken_in_its_order_and_before_a_later_timer(three):
    came = []

    def run(server):
        server.timer("tick", every=0.9)
        server.broadcast(Gradient(server.x))
        time.sleep(1.7)
        while True:
            came.append(server.receive())

    workers = Workers(N, [Constant(1.3), Constant(0.1), Constant(0.5)])
    play(Method(run), Noisy(), workers, three, Stop(time=2))
    assert [getattr(each, "worker", "tick") for each in came] == [1, 2, "tick", 0, "tick"]


def test_a_run_tells_prometheus_how_far_it_is(one):
    method, workers = METHODS["asynchronous_sgd"](0.1), Workers(1, Constant(0.001))
    run = execute(method, Noisy(), workers, Stop(iterations=30), 7, None, ALL_EVENTS, "watched", crew=one)
    assert run.iterations == 30
    (node,) = [node for node in ray.nodes() if node["Alive"]]
    page = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    found: dict[str, float] = {}
    end = time.monotonic() + 60
    while not {"gradients", "iterations", "mean_delay", "busy_workers"} <= found.keys() and time.monotonic() < end:
        time.sleep(0.5)  # Ray shows what it was told after some seconds
        with urllib.request.urlopen(page, timeout=10) as answer:
            text = answer.read().decode()
        rows = re.findall(r'^ray_asyncsim_(\w+?)(?:_total)?\{.*run="watched seed 7".*\} (\S+)$', text, re.MULTILINE)
        found = {name: float(value) for name, value in rows}
    assert found["iterations"] >= 30
    assert found["mean_delay"] == 0


def test_what_cannot_travel_is_told_in_one_line(one):
    problem = Noisy()
    problem.lock = threading.Lock()
    with pytest.raises(EngineError, match=r"can't travel to the workers: TypeError: .*lock") as told:
        play(METHODS["asynchronous_sgd"](0.1), problem, Workers(1, Constant(0.001)), one, Stop(iterations=2))
    assert "\n" not in str(told.value)


class Copies(Quadratic):
    """Half of what a gradient takes is copying to a device and back."""

    copy_seconds = 0.0

    def gradient(self, x, rng, worker):
        time.sleep(0.06)
        self.copy_seconds += 0.03
        return super().gradient(x, rng, worker)


def test_copying_to_a_device_counts_as_communication(one):
    run = play(
        METHODS["asynchronous_sgd"](0.1), Copies(dimension=5), Workers(1, Constant(0.1)), one, Stop(iterations=5)
    )
    done = run.intervals[run.intervals["outcome"] == 0]
    assert ((done["computing_to"] - done["computing_from"]) < 0.06).all()
    assert ((done["ended"] - done["computing_to"]) >= 0.03).all()
    assert run.engine["workers"][0]["device"] == "cpu"
