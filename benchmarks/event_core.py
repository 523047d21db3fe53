"""Arrivals a second: our event cores against SimPy as everybody writes it and a bare heapq loop, in one process.

    python benchmarks/event_core.py [--n 10 1000 100000] [--arrivals 200000] [--rounds 3] [--markdown]

n workers with exponential times of mean √i; whoever arrives is sent out again. Nothing is computed (problem: none).

- *SimPy*: a generator process a worker, `yield env.timeout(…)`, one draw at a time. It keeps nothing.
- *heapq*: a loop over a heap of (time, worker), draws in blocks. It keeps nothing.
- *plain*, *block*, *compiled*: a method in Python that receives and sends, with all bookkeeping: delays, versions, counts,
  the event log with its hash. These are the three cores of `simulate(…, core=…)`, with one result.
- *SGD*: Asynchronous SGD in Python, block core; each arrival is read and makes a step.
- *rounds*: Minibatch SGD in Python, block core; each arrival is read and waits for all others.
- *counted*: Asynchronous SGD, Ringmaster ASGD (R = n) and Rennala SGD (S = n) in machine code, with the same log.

Million arrivals per second of processor time, the best of some rounds in which all take turns, less what a run takes that
ends at the first arrival (the first draws of each worker, the tables at the end); that is the row "start". What is paid
once a process, loading numba, is left out.
Memory is what Python has allocated at its highest, less the log, in bytes a worker, in the plain and the block core.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
from collections.abc import Callable
from heapq import heapify, heapreplace
from importlib.util import find_spec
from typing import Any

import numpy as np
import simpy

from asyncsim import (
    AsynchronousSGD,
    Gradient,
    MinibatchSGD,
    NoProblem,
    Record,
    RennalaSGD,
    RingmasterASGD,
    Server,
    Stop,
    Workers,
    simulate,
)

NO_RECORDS = Record(iterations=10**9)


class Resend:
    """Whoever arrives is sent out again."""

    def run(self, server: Server) -> None:
        x = server.x
        server.broadcast(Gradient(x))
        while True:
            server.send(server.receive().worker, Gradient(x))


def with_simpy(n: int, arrivals: int) -> None:
    env = simpy.Environment()
    done = env.event()
    left = arrivals

    def work(mean: float, rng: np.random.Generator) -> Any:
        nonlocal left
        while True:
            yield env.timeout(rng.exponential(mean))
            left -= 1
            if left == 0:
                done.succeed()

    rng = np.random.default_rng(0)
    for worker in range(n):
        env.process(work((worker + 1) ** 0.5, rng))
    env.run(done)


def with_heapq(n: int, arrivals: int) -> None:
    rng = np.random.default_rng(0)
    means = [(worker + 1) ** 0.5 for worker in range(n)]
    draws: list[Any] = [None] * n
    used = [64] * n

    def seconds(worker: int) -> float:
        if used[worker] == 64:
            draws[worker], used[worker] = (means[worker] * rng.standard_exponential(64)).tolist(), 0
        used[worker] += 1
        return draws[worker][used[worker] - 1]

    heap = [(seconds(worker), worker) for worker in range(n)]
    heapify(heap)
    for _ in range(arrivals):
        now, worker = heap[0]
        heapreplace(heap, (now + seconds(worker), worker))


def with_us(core: str, method: Any) -> Callable[[int, int], None]:
    def run(n: int, arrivals: int) -> None:
        workers = Workers(n, {"distribution": "exponential", "mean": "sqrt(i)"})
        made = method(n) if callable(method) else method
        simulate(made, NoProblem(), workers, stop=Stop(gradients=arrivals), record=NO_RECORDS, core=core)

    return run


def contestants() -> dict[str, Callable[[int, int], None]]:
    found = {"SimPy": with_simpy, "heapq": with_heapq}
    found |= {core: with_us(core, lambda n: Resend()) for core in ("plain", "block")}
    reading = {
        "SGD": with_us("block", lambda n: AsynchronousSGD(0.1)),
        "rounds": with_us("block", lambda n: MinibatchSGD(0.1)),
    }
    if not find_spec("numba"):
        return found | reading
    return found | {
        "compiled": with_us("compiled", lambda n: Resend()),
        **reading,
        "counted: Asynchronous SGD": with_us("compiled", lambda n: AsynchronousSGD(0.1)),
        "counted: Ringmaster": with_us("compiled", lambda n: RingmasterASGD(0.1, n)),
        "counted: Rennala": with_us("compiled", lambda n: RennalaSGD(0.1, n)),
    }


def rates(n: int, arrivals: int, rounds: int) -> tuple[dict[str, float], float]:
    """Million arrivals a second of processor time, and the start of the block core in µs a worker."""
    runs = contestants()
    start, whole = dict.fromkeys(runs, float("inf")), dict.fromkeys(runs, float("inf"))
    counts = {name: arrivals * (10 if name.startswith("counted") else 3) for name in runs}
    counts |= dict.fromkeys(("SimPy", "plain", "SGD", "rounds"), arrivals)
    for _ in range(rounds):
        for name, run in runs.items():
            start[name] = min(start[name], seconds_of(run, n, 1))
            whole[name] = min(whole[name], seconds_of(run, n, counts[name]))
    return {name: 1e-6 * counts[name] / (whole[name] - start[name]) for name in runs}, 1e6 * start["block"] / n


def seconds_of(run: Callable[[int, int], None], n: int, arrivals: int) -> float:
    begun = time.process_time()
    run(n, arrivals)
    return time.process_time() - begun


def bytes_a_worker(n: int, core: str) -> float:
    tracemalloc.start()
    try:
        with_us(core, lambda n: Resend())(n, max(1000, n // 10))
        return tracemalloc.get_traced_memory()[1] / n
    finally:
        tracemalloc.stop()


def table(rows: list[tuple[str, list[str]]], head: list[str], markdown: bool) -> str:
    width = max(len(name) for name, _ in rows)
    if markdown:
        lines = [f"| | {' | '.join(head)} |", "|---|" + "---:|" * len(head)]
        return "\n".join(lines + [f"| {name} | {' | '.join(cells)} |" for name, cells in rows])
    lines = [" " * width + "".join(f"{cell:>12}" for cell in head)]
    return "\n".join(lines + [f"{name:<{width}}" + "".join(f"{cell:>12}" for cell in cells) for name, cells in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, nargs="+", default=[10, 1000, 100_000])
    parser.add_argument("--arrivals", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    for run in contestants().values():
        run(3, 500)  # what is loaded and compiled once
    found = [rates(n, options.arrivals, options.rounds) for n in options.n]
    rows = [(name, [f"{each[name]:.2f}" for each, _ in found]) for name in found[0][0]]
    rows.append(("start, µs a worker", [f"{start:.1f}" for _, start in found]))
    for core in ("plain", "block"):
        rows.append(
            (f"bytes a worker, {core}", [f"{bytes_a_worker(n, core):.0f}" if n >= 1000 else "" for n in options.n])
        )
    print(table(rows, [f"n = {n:,}" for n in options.n], options.markdown))


if __name__ == "__main__":
    main()
