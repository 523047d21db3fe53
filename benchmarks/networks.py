"""What a network's gradients cost in whole runs: against a loop of torch, against the best loop, and beside the engine.

    python benchmarks/networks.py [--rounds 3] [--markdown]

Three questions, each with its goal, all in µs of processor time a gradient that arrives; n = 100 workers with exponential
times of mean √i, Asynchronous SGD, no records. The least of some rounds in which all take turns.

1.  *A sweep* of a perceptron with 4,810 parameters, seven stepsizes, as `asyncsim.run` plays it (processes, run folder and
    their start included), over a loop of torch: a heap of (time, worker), the gradient of each computed when it is sent, by
    autograd, on parameters that are views of one vector; played on all cores at once, as the sweep is, since processes
    side by side slow each other down. Goal: at least 5 times as quick with minibatches of 4, 4 times with 32, at 30 seeds.
2.  *A large network*, 101,770 parameters, over the best loop that computes one gradient at a time: the same numpy kernel in
    the bare loop of benchmarks/evaluation.py. Goal: not slower.
3.  *The engine's share* of a run where a gradient takes more than 100 µs: what is spent neither in the problem nor in
    the step x − γg. Goal: at most 2 %.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from heapq import heapify, heappop, heappush
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from evaluation import NO_RECORDS, STEP, N, asynchronous, least, ours, times
from threadpoolctl import threadpool_limits

from asyncsim import MLP, AsynchronousSGD, Exponential, Stop, Workers, parallel, run
from asyncsim.evaluation import choose
from asyncsim.running import execute

STEPSIZES = [2.0**-power for power in range(3, 10)]


# ---- a sweep


def with_torch(batch_size: int, arrivals: int, stepsize: float, seed: int) -> None:
    """Asynchronous SGD on the digits, as a loop of torch."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    problem = MLP("digits", batch_size=batch_size).build(seed)
    X, y = torch.tensor(problem._table.samples).float(), torch.tensor(problem._table.labels).long()
    module = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    parameters, shapes = list(module.parameters()), [p.shape for p in module.parameters()]
    sizes, loss = [p.numel() for p in parameters], nn.CrossEntropyLoss()
    rng, seconds = np.random.default_rng(seed), times()

    def gradient(x: Any) -> Any:
        for parameter, part, shape in zip(parameters, torch.split(x, sizes), shapes, strict=True):
            parameter.data = part.view(shape)
        batch = torch.from_numpy(rng.integers(0, len(y), batch_size))
        parts = torch.autograd.grad(loss(module(X[batch]), y[batch]), parameters)
        return torch.cat([part.reshape(-1) for part in parts])

    x = torch.cat([parameter.detach().reshape(-1) for parameter in parameters])
    gradients = [gradient(x) for _ in range(N)]
    heap = [(next(seconds[worker]), worker) for worker in range(N)]
    heapify(heap)
    for _ in range(arrivals):
        now, worker = heappop(heap)
        x = x - stepsize * gradients[worker]
        gradients[worker] = gradient(x)
        heappush(heap, (now + next(seconds[worker]), worker))


def seconds_with_torch(batch_size: int, arrivals: int, seed: int) -> float:
    """Processor seconds an arrival, in a process that has done it before."""
    begun = time.process_time()
    with_torch(batch_size, arrivals, STEPSIZES[3], seed)
    return (time.process_time() - begun) / arrivals


def swept(batch_size: int, arrivals: int, seeds: int, folder: Path) -> float:
    """Processor seconds of the whole sweep, with its processes and its folder."""
    before = os.times()
    run(
        {
            "seeds": f"0..{seeds - 1}",
            "workers": {"count": N, "compute_time": {"distribution": "exponential", "mean": "sqrt(i)"}},
            "problem": {"name": "mlp", "data": "digits", "batch_size": batch_size, "replacement": True},
            "methods": [
                {"name": "asynchronous_sgd", "label": f"stepsize {stepsize:g}", "stepsize": stepsize}
                for stepsize in STEPSIZES
            ],
            "stop": {"gradients": arrivals},
            "record": {"iterations": 10**9},
        },
        output=folder, force=True, progress=False, processes=parallel.cores(),
    )  # fmt: skip
    return sum(os.times()[:4]) - sum(before[:4])


def sweeps(rounds: int, arrivals: int = 20_000, seeds: int = 30) -> Iterator[tuple[str, ...]]:
    cores = parallel.cores()
    with tempfile.TemporaryDirectory() as parent, ProcessPoolExecutor(cores, get_context("spawn")) as pool:

        def torch_in_each(batch_size: int, arrivals: int) -> float:
            return statistics.mean(pool.map(partial(seconds_with_torch, batch_size, arrivals), range(cores)))

        torch_in_each(4, 10)  # the first call loads and compiles
        for batch_size, goal in ((4, "5"), (32, "4")):
            found = {"torch": float("inf"), "ours": float("inf")}
            for _ in range(rounds):
                found["torch"] = min(found["torch"], torch_in_each(batch_size, arrivals // 4))
                taken = swept(batch_size, arrivals, seeds, Path(parent, "sweep"))
                found["ours"] = min(found["ours"], taken / (arrivals * seeds * len(STEPSIZES)))
            yield row(
                f"{seeds} seeds × 7 stepsizes, 4,810 parameters, minibatch {batch_size}",
                "loop of torch", found["torch"], found["ours"], f"≥ {goal}",
            )  # fmt: skip


# ---- a large network


def large(rounds: int, arrivals: int = 1_500) -> Iterator[tuple[str, ...]]:
    luck = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "images.npz")
        np.savez(path, X=luck.random((2000, 784), np.float32), y=luck.integers(0, 10, 2000))
        for batch_size in (4, 32):
            problem = MLP(str(path), hidden=(128,), batch_size=batch_size).build(0)
            players = {
                "loop": lambda count, problem=problem: asynchronous(problem, count),
                "ours": ours(AsynchronousSGD(STEP), problem, str(choose(problem, n=N))),
            }
            found = least(players, arrivals, rounds)
            yield row(
                f"{problem.dimension:,} parameters, minibatch {batch_size}", "loop of the same kernel",
                found["loop"] / 1e6, found["ours"] / 1e6, "≥ 1",
            )  # fmt: skip


def row(what: str, against: str, loop: float, mine: float, goal: str) -> tuple[str, ...]:
    return what, f"{against} {loop * 1e6:.0f}", f"{mine * 1e6:.0f}", f"{loop / mine:.2f}", goal


# ---- the engine


class Timed:
    """A problem that notes what its gradients take."""

    def __init__(self, problem: Any) -> None:
        self._problem, self.seconds = problem, 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._problem, name)

    def gradient(self, x: Any, rng: Any, worker: int) -> Any:
        begun = time.process_time()
        found = self._problem.gradient(x, rng, worker)
        self.seconds += time.process_time() - begun
        return found


def engine(rounds: int, arrivals: int = 4_000) -> Iterator[tuple[str, ...]]:
    workers = Workers(N, lambda worker: Exponential(np.sqrt(worker + 1.0)))
    for batch_size in (256, 1024):
        problem = Timed(MLP("digits", batch_size=batch_size).build(0))
        steps = stepping(problem.dimension)
        shares, each = [], []
        for _ in range(rounds):
            problem.seconds, begun = 0.0, time.process_time()
            execute(
                AsynchronousSGD(STEP), problem, workers, Stop(gradients=arrivals), 0, None, NO_RECORDS, "",
                evaluation="single",
            )  # fmt: skip
            taken = time.process_time() - begun
            shares.append(1 - (problem.seconds + arrivals * steps()) / taken)
            each.append(problem.seconds / arrivals)
        yield (
            f"gradients of {min(each) * 1e6:.0f} µs", "", "", f"{100 * min(shares):.1f} % for the engine", "≤ 2 %",
        )  # fmt: skip


def stepping(dimension: int) -> Callable[[], float]:
    """What x − γg takes."""
    x, g = np.ones(dimension, np.float32), np.ones(dimension, np.float32)

    def seconds() -> float:
        begun = time.process_time()
        for _ in range(1000):
            x - np.float32(STEP) * g
        return (time.process_time() - begun) / 1000

    return seconds


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--markdown", action="store_true", help="a table for a page")
    given = arguments.parse_args()
    heads = ("what", "against, µs a gradient", "ours, µs a gradient", "times as quick", "goal")
    if given.markdown:
        for line in (heads, ("---",) * len(heads)):
            print(f"| {' | '.join(line)} |")
    with threadpool_limits(limits=1, user_api="blas"), np.errstate(over="ignore", invalid="ignore"):
        for part in (sweeps, large, engine):
            for line in part(given.rounds):
                print(f"| {' | '.join(line)} |" if given.markdown else "; ".join(filter(None, line)), flush=True)


if __name__ == "__main__":
    main()
