"""The same scenario and seed give the same events, bit by bit, whatever else is different."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from methods.test_every_method import every_case, make
from threadpoolctl import threadpool_info, threadpool_limits
from toys import Noisy, differences, trace

import asyncsim
from asyncsim import Exponential, Quadratic, Record, RennalaSGD, Stop, Workers, simulate
from asyncsim.result import Run

STOP = Stop(iterations=40)
WORKERS = Workers(
    5, lambda worker: Exponential(1.0 + worker), uplink=0.1, downlink={"distribution": "exponential", "mean": 0.2}
)


def first_difference(one: Run, other: Run) -> str | None:
    """Where two event logs part, in words."""
    for number, (a, b) in enumerate(zip(trace(one), trace(other), strict=False)):
        if a != b:
            return f"event {number}: {a} and {b}"
    return None if len(one.events) == len(other.events) else f"{len(one.events)} and {len(other.events)} events"


@every_case
def test_a_run_made_twice_has_the_same_events(case):
    runs = [
        simulate(make(case), Noisy(), WORKERS, stop=STOP, seed=6, record=Record(iterations=5, events="all"))
        for _ in range(2)
    ]
    assert first_difference(*runs) is None
    assert differences(*runs) == []


def test_another_seed_shows_where_it_parts():
    runs = [
        simulate(RennalaSGD(0.1, 2), Noisy(), WORKERS, stop=STOP, seed=s, record=Record(events="all")) for s in (1, 2)
    ]
    assert first_difference(*runs).startswith("event 0: ")


@every_case
def test_what_is_recorded_changes_no_event_and_no_number(case):
    records = [Record(iterations=1), Record(every=0.7, events="all"), Record(points=3), Record(iterations=10**6)]
    runs = [simulate(make(case), Noisy(), WORKERS, stop=STOP, seed=6, record=record) for record in records]
    for run in runs[1:]:
        assert run.event_hash == runs[0].event_hash
        assert run.curves["value"][-1] == runs[0].curves["value"][-1]
        assert run.workers["busy_seconds"].tolist() == runs[0].workers["busy_seconds"].tolist()


PROGRAM = """
from asyncsim import Exponential, Quadratic, RingmasterASGD, Stop, Workers, simulate
workers = Workers(20, lambda worker: Exponential(1.0 + worker), uplink=0.1)
run = simulate(RingmasterASGD(0.1, 4, stops=True), Quadratic(30), workers, stop=Stop(iterations=300), seed=3)
print(run.event_hash, run.curves["value"][-1].hex())
"""


@pytest.mark.parametrize("hash_seed", ["1", "random"])
def test_another_process_with_other_hash_seeds_gives_the_same_bits(hash_seed):
    def child(seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(asyncsim.__file__).parents[1])}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment, check=True
        )
        return done.stdout

    assert child(hash_seed) == child("0")


def test_the_hash_is_the_same_on_every_machine_for_constant_times():
    """Constant times, a problem without numbers: nothing here depends on a math library. Recorded once and for all."""
    from asyncsim import NoProblem

    run = simulate(RennalaSGD(0.1, 3), NoProblem(), Workers(4, [1.0, 1.5, 2.25, 7.0]), stop=Stop(time=100.0))
    assert (run.iterations, run.used, run.discarded) == PINNED[:3]
    assert run.event_hash == PINNED[3]


PINNED = (44, 132, 92, "c36b20045b7572d6b880af6d91734a78")


def test_whatever_is_computed_for_a_run_is_computed_by_one_thread():
    """With more, the last bits of what BLAS sums would depend on the number of processors and of processes."""
    seen = []

    class Watched(Quadratic):
        def value_and_gradient(self, x):
            seen.append(("record", threads_of_blas()))
            return super().value_and_gradient(x)

        def gradient(self, x, rng, worker):
            seen.append(("gradient", threads_of_blas()))
            return super().gradient(x, rng, worker)

    with threadpool_limits(limits=2, user_api="blas"):
        simulate(RennalaSGD(0.1, 2), Watched(5), WORKERS, stop=Stop(iterations=3), record=Record(iterations=1))
        assert threads_of_blas() == {2}  # as it was
    assert {kind for kind, _ in seen} == {"record", "gradient"}
    assert {tuple(threads) for _, threads in seen} == {(1,)}


def threads_of_blas():
    return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}
