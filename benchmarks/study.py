"""A whole study against its floor: scenarios/ringleader-mlp.yaml, tuned and compared on 30 seeds.

    python benchmarks/study.py [-o runs/ringleader-mlp] [--processes 2] [key=value …]

The floor is what no simulator of these methods could save: every gradient that a method used, times the least processor
time of one gradient on this machine (the quickest way of computing that the problem has, in the best group size, by turns,
before and after the study). Above it stand the events, the records of f and ∇f, what was computed and never read, and the
run folder. The same processes do all of it, so the ratio of processor times says what there is to gain.

What came out (2 cores, both taken by others most of the time; a study of 66 tuning runs and 90 runs of 20,000 s):

    gradients used 11,748,768, computed 11,748,768; the best time of one is 13.0 µs
    floor: 153 s of a processor; records of the 90 runs: 30 s
    taken: 779 s of processors, 5.08 times the floor; 1,658 s by the clock

779 s are 66 µs a gradient. Of these, by a profile of one run: the network forwards and backwards 26 (13 is the best time, in
a warm cache with nothing else; here every gradient has a point of its own of 9,610 numbers), drawing 4 images without
replacement 12, the methods' own arithmetic on tables of 100 gradients 15, events, log and rules 10.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from asyncsim import parallel, study, sweep
from asyncsim.scenario import load
from asyncsim.streams import Stream

FILE = Path(__file__).parent.parent / "scenarios" / "ringleader-mlp.yaml"


def best_gradient(problem: Any, rounds: int = 30) -> float:
    """The least processor seconds of one gradient, over group sizes."""
    data, x, best = Stream(0, "data"), np.array(problem.x0), float("inf")
    for size in (1, 8, 16, 32, 64):
        points = [x.copy() for _ in range(size)]
        for round_ in range(rounds):
            rngs = _Rngs(data, size, round_)
            begun = time.process_time()
            if size == 1:
                problem.gradient(points[0], rngs[0], 0)
            else:
                problem.gradients(points, rngs, list(range(size)))
            best = min(best, (time.process_time() - begun) / size)
    return best


class _Rngs:
    def __init__(self, data: Stream, size: int, index: int) -> None:
        self._data, self._size, self._index = data, size, index

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, j: int) -> Any:
        if j >= self._size:
            raise IndexError(j)
        return self._data.at(j, self._index)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("changes", nargs="*", metavar="key=value")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/ringleader-mlp"))
    parser.add_argument("--processes", type=int, default=parallel.cores())
    given = parser.parse_args()
    scenario = load(FILE, given.changes)
    problem = scenario.build_problem(0)
    gradient = best_gradient(problem)
    begun, before = time.perf_counter(), os.times()
    if given.output.exists():
        result = study.resume(given.output, processes=given.processes)
    else:
        result = sweep.tune(scenario, output=given.output, processes=given.processes)
    wall, work = time.perf_counter() - begun, sum(os.times()[:4]) - sum(before[:4])
    gradient = min(gradient, best_gradient(problem))

    seeds = len(scenario.seeds)
    tuned = result.manifest.get("tuning", {})
    used = computed = 0.0
    for label in result.labels:
        runs = [run for run in result.runs if run.label == label]
        choices = np.size(tuned[label]["values"]) if label in tuned else 0
        # what a run uses and computes does not depend on its stepsize, unless it diverges
        all_runs = 1 + choices * len(sweep.tuning_seeds(scenario)) / seeds
        used += all_runs * sum(run.used for run in runs)
        computed += all_runs * sum(run.effort["computed"] for run in runs)
        print(f"{label}: {tuned.get(label, {}).get('winner')}, last ‖∇f‖², median: {_last(runs):.2e}")
    records = sum(run.effort["record_seconds"] for run in result.runs)
    print(f"gradients used {used:,.0f}, computed {computed:,.0f}; the best time of one is {gradient * 1e6:.1f} µs")
    print(f"floor: {used * gradient:,.0f} s of a processor; records of the {len(result.runs)} runs: {records:,.0f} s")
    print(
        f"taken: {work:,.0f} s of processors, {work / (used * gradient):.2f} times the floor; {wall:,.0f} s by the clock"
    )


def _last(runs: Any) -> float:
    return float(np.median([run.curves["squared_gradient_norm"][-1] for run in runs]))


if __name__ == "__main__":
    main()
