"""What laziness and computing together save: whole runs against loops written by hand, in one process.

    python benchmarks/evaluation.py [--gradients 4000] [--rounds 5] [--markdown]

The loops are what one writes first: a heap of (time, worker), times drawn in blocks, and each gradient computed when it
is sent, by the same `problem.gradient`. They keep no log, no delays, no curves, and cannot be resumed. n = 100 workers with
exponential times of mean √i. Loop and runs take turns; the least processor time of each counts, in µs a gradient that
arrives. "times quicker" is the loop's time over ours: above 1 we are quicker. Records are left out.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from asyncsim import (
    AsynchronousSGD,
    Exponential,
    LocalSGD,
    MinibatchSGD,
    Record,
    RennalaSGD,
    RingleaderASGD,
    RingmasterASGD,
    SoftmaxRegression,
    Stop,
    Workers,
)
from asyncsim.evaluation import choose
from asyncsim.problems import PROBLEMS
from asyncsim.running import execute

N = 100
NO_RECORDS = Record(iterations=10**9)
STEP = 0.01


# ---- loops by hand


def times() -> list[Iterator[float]]:
    """The compute times of each worker."""

    def of(worker: int) -> Iterator[float]:
        rng = np.random.default_rng(worker)
        while True:
            yield from rng.exponential(np.sqrt(worker + 1.0), 256).tolist()

    return [of(worker) for worker in range(N)]


class Loop:
    """A heap of (time, worker), and the gradient of each worker, computed when it is sent."""

    def __init__(self, problem: Any) -> None:
        self.problem, self.x, self.k, self.now = problem, problem.x0.copy(), 0, 0.0
        self.rng, self.times = np.random.default_rng(0), times()
        self.made_at = [0] * N
        self.gradients = [problem.gradient(self.x, self.rng, worker) for worker in range(N)]
        self.heap = [(next(self.times[worker]), worker) for worker in range(N)]
        heapify(self.heap)

    def receive(self) -> int:
        self.now, worker = heappop(self.heap)
        return worker

    def send(self, worker: int) -> None:
        self.gradients[worker] = self.problem.gradient(self.x, self.rng, worker)
        self.made_at[worker] = self.k
        heappush(self.heap, (self.now + next(self.times[worker]), worker))

    def step(self, direction: Any) -> None:
        self.x = self.x - STEP * direction
        self.k += 1


def asynchronous(problem: Any, arrivals: int) -> None:
    loop = Loop(problem)
    for _ in range(arrivals):
        worker = loop.receive()
        loop.step(loop.gradients[worker])
        loop.send(worker)


def ringmaster(problem: Any, arrivals: int, R: int) -> None:
    loop = Loop(problem)
    for _ in range(arrivals):
        worker = loop.receive()
        if loop.k - loop.made_at[worker] < R:
            loop.step(loop.gradients[worker])
        loop.send(worker)


def rennala(problem: Any, arrivals: int, S: int) -> None:
    loop = Loop(problem)
    sum_, collected = np.zeros_like(loop.x), 0
    for _ in range(arrivals):
        worker = loop.receive()
        if loop.made_at[worker] == loop.k:
            sum_ += loop.gradients[worker]
            collected += 1
        if collected == S:
            loop.step(sum_ / S)
            sum_, collected = np.zeros_like(loop.x), 0
        loop.send(worker)


# ---- measuring


def ours(method: Any, problem: Any, evaluation: str) -> Callable[[int], dict[str, Any]]:
    workers = Workers(N, lambda worker: Exponential(np.sqrt(worker + 1.0)))

    def run(arrivals: int) -> dict[str, Any]:
        stop = Stop(gradients=arrivals)
        made = execute(method, problem, workers, stop, 0, None, NO_RECORDS, "", evaluation=evaluation)
        return {**made.effort, "used": made.used}

    return run


def least(players: dict[str, Callable[[int], Any]], arrivals: int, rounds: int) -> dict[str, float]:
    """µs of processor time an arrival, the least of some rounds in turns."""
    found = dict.fromkeys(players, float("inf"))
    for _ in range(rounds):
        for name, play in players.items():
            begun = time.process_time()
            play(arrivals)
            found[name] = min(found[name], (time.process_time() - begun) / arrivals * 1e6)
    return found


def problems() -> dict[str, Any]:
    """Gradients of about 10, 30 and 100 µs."""
    found: dict[str, Any] = {
        "softmax on the digits, minibatch 4": SoftmaxRegression("digits", batch_size=4),
        "softmax on the digits, minibatch 256": SoftmaxRegression("digits", batch_size=256),
    }
    if "mlp" in PROBLEMS:
        made = PROBLEMS["mlp"](data="digits", batch_size=4, hidden=[64])
        found["perceptron 64-64-10 on the digits, minibatch 4"] = made.build(0)
    return found


def rows(arrivals: int, rounds: int) -> Iterator[tuple[str, ...]]:
    against: dict[str, tuple[Any, Callable[[Any, int], None]]] = {
        "asynchronous_sgd": (AsynchronousSGD(STEP), asynchronous),
        "ringmaster_asgd, R = 10": (RingmasterASGD(STEP, 10), lambda p, a: ringmaster(p, a, 10)),
        "rennala_sgd, S = 10": (RennalaSGD(STEP, 10), lambda p, a: rennala(p, a, 10)),
    }
    for name, problem in problems().items():
        chosen = str(choose(problem, n=N))
        for method_name, (method, loop) in against.items():
            run = ours(method, problem, chosen)
            used = run(arrivals)["used"] / arrivals
            found = least({"loop": lambda a, loop=loop, p=problem: loop(p, a), "ours": run}, arrivals, rounds)  # type: ignore[misc]
            yield (
                name, method_name, f"{100 * used:.0f} %", f"loop {found['loop']:.0f}", f"{chosen} {found['ours']:.0f}",
                f"{found['loop'] / found['ours']:.2f}",
            )  # fmt: skip
    together = {
        "asynchronous_sgd": AsynchronousSGD(STEP),
        "ringleader_asgd": RingleaderASGD(STEP),
        "minibatch_sgd": MinibatchSGD(STEP),
        "local_sgd, K = 4": LocalSGD(STEP, 4),
    }
    for name, problem in problems().items():
        for method_name, method in together.items():
            ways = {way: ours(method, problem, way) for way in ("single", "prefetched 32")}
            effort = ways["prefetched 32"](arrivals)
            found = least(ways, arrivals, rounds)
            yield (
                name, method_name, f"{100 * effort['unread'] / effort['computed']:.1f} % unread",
                f"single {found['single']:.0f}", f"prefetched 32 {found['prefetched 32']:.0f}",
                f"{found['single'] / found['prefetched 32']:.2f}",
            )  # fmt: skip


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--gradients", type=int, default=4000, help="that arrive in a run")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--markdown", action="store_true", help="a table for a page")
    given = arguments.parse_args()
    heads = ("problem", "method", "used", "µs a gradient", "µs a gradient", "times quicker")
    if given.markdown:
        for row in (heads, ("---",) * len(heads)):
            print(f"| {' | '.join(row)} |")
    with threadpool_limits(limits=1, user_api="blas"), np.errstate(over="ignore", invalid="ignore"):
        for row in rows(given.gradients, given.rounds):
            print(f"| {' | '.join(row)} |" if given.markdown else "; ".join(row), flush=True)


if __name__ == "__main__":
    main()
