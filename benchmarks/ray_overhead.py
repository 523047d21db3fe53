"""What the cluster engine costs over a bare loop of `ray.wait`, at 8 actors that compute nothing.

    python benchmarks/ray_overhead.py [--markdown]

Both let 8 actors of the same class compute Gradients of ‖x‖²/2 on 10 numbers, one after the other, and make a step with
each that arrives. The bare loop knows nothing of delays, times, stops, faults or logs: it waits with `ray.wait`, takes the
answer with `ray.get`, and sends again. They take turns of two seconds on the same actors, so that what else the machine
does meets both; given are medians of the rates and of the ratios of neighbours. The goal: at least 90 % of the bare rate.

Nine times on 2 processors that did nothing else, Ray 2.60: 0.91, 0.91, 0.92, 0.92, 0.92, 0.94, 0.96, 0.96 and 0.99 of the
bare rate, of 770 to 1,190 arrivals a second. When the engine was told of answers by callbacks of Ray's, in another thread,
it was 0.87 to 0.93.
"""

import argparse
import os
import statistics
import time

import numpy as np

from asyncsim import METHODS, Constant, Quadratic, Record, Stop, Workers
from asyncsim.cluster import Crew, RayEngine
from asyncsim.running import execute

N, SECONDS, TURNS, DIMENSION = 8, 2.0, 7, 10


def with_engine(crew: Crew) -> float:
    """Arrivals a second of asynchronous SGD on the cluster engine."""
    run = execute(
        METHODS["asynchronous_sgd"](stepsize=1e-3), Quadratic(dimension=DIMENSION), Workers(N, Constant(1.0)),
        Stop(time=SECONDS), 0, None, Record(points=10), "engine", crew=crew,
    )  # fmt: skip
    return run.iterations / run.time


def bare(crew: Crew) -> float:
    """Arrivals a second of a loop of `ray.wait`."""
    import ray

    actors = crew._actors
    ray.get([actor.begin.remote(Here(), 0, None) for actor in actors])
    x = np.zeros(DIMENSION)

    def send(worker: int) -> object:
        return actors[worker].compute.remote(0, "Gradient", (1,), 0, x)

    begun, arrived = time.monotonic(), 0
    waiting = {send(worker): worker for worker in range(N)}
    while time.monotonic() - begun < SECONDS:
        (done,), _ = ray.wait(list(waiting))
        worker = waiting.pop(done)
        x = x - 1e-3 * ray.get(done)["answer"]
        arrived += 1
        waiting[send(worker)] = worker
    rate = arrived / (time.monotonic() - begun)
    ray.get(list(waiting))
    return rate


class Here:
    """Builds the problem on the worker."""

    def __call__(self) -> Quadratic:
        return Quadratic(dimension=DIMENSION)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--markdown", action="store_true", help="a table for a page")
    asked = parser.parse_args()
    with Crew(RayEngine(cpus_per_worker=0.1), N) as crew:
        with_engine(crew), bare(crew)  # warm
        turns = [(with_engine(crew), bare(crew)) for _ in range(TURNS)]
    engine, loop = (statistics.median(rates) for rates in zip(*turns, strict=True))
    ratio = statistics.median(ours / theirs for ours, theirs in turns)
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
    if asked.markdown:
        print(
            f"| arrivals/s, engine | arrivals/s, bare loop | ratio | |\n|---|---|---|---|\n| {engine:.0f} | {loop:.0f} | {ratio:.2f} | {load} |"
        )
    else:
        print(f"engine {engine:.0f} arrivals/s, bare loop {loop:.0f}: {ratio:.2f} of its rate ({load})")


if __name__ == "__main__":
    main()
