"""How much sooner a study is done on several processes than on one.

    python benchmarks/parallel.py [--processes 2] [--rounds 3] [--markdown]

Three studies: one whose gradients take most of the time, one whose events do, and one of many short runs, where handing
out and writing down is what there is. Each is run into a folder on one process and on several, in turns; the best of
each is shown. "times sooner" is the ratio of the wall-clock times, which says little where others use the machine; the
ratio of the processor times says what the processes cost besides, and hardly depends on others. Starting a process
costs about half a second; it is in all times, and in a study of a minute it is nothing.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from asyncsim import parallel, run

EXPONENTIAL = {"distribution": "exponential", "mean": "sqrt(i)"}
STUDIES: dict[str, dict[str, Any]] = {
    "gradients: softmax regression on the digits, 4 seeds × 2 methods": {
        "seeds": "0..3",
        "workers": {"count": 100, "compute_time": EXPONENTIAL},
        "problem": {"name": "softmax_regression", "data": "digits", "batch_size": 32},
        "methods": [
            {"name": "asynchronous_sgd", "stepsize": 0.05},
            {"name": "ringmaster_asgd", "stepsize": 0.1, "threshold": 20},
        ],
        "stop": {"gradients": 20000},
    },
    "events: timing only, 1000 workers, 4 seeds × 2 methods": {
        "seeds": "0..3",
        "workers": {"count": 1000, "compute_time": EXPONENTIAL},
        "problem": "none",
        "methods": [
            {"name": "asynchronous_sgd", "stepsize": 0.1},
            {"name": "rennala_sgd", "stepsize": 0.1, "batch_size": 50},
        ],
        "stop": {"gradients": 200000},
    },
    "short: 200 runs of 0.03 s": {
        "seeds": "0..99",
        "workers": {"count": 10, "compute_time": EXPONENTIAL},
        "problem": {"name": "quadratic", "dimension": 50},
        "methods": [
            {"name": "asynchronous_sgd", "stepsize": 0.1},
            {"name": "rennala_sgd", "stepsize": 0.1, "batch_size": 5},
        ],
        "stop": {"gradients": 500},
    },
}


def seconds(scenario: dict[str, Any], processes: int, folder: Path) -> tuple[float, float]:
    """The wall-clock time of a study that writes a folder, and the processor time of all its processes."""
    begun, before = time.perf_counter(), os.times()
    run(scenario, output=folder, force=True, progress=False, processes=processes)
    return time.perf_counter() - begun, sum(os.times()[:4]) - sum(before[:4])


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--processes", type=int, default=max(2, parallel.cores()))
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--markdown", action="store_true", help="a table for a page")
    given = arguments.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as parent:
        for name, scenario in STUDIES.items():
            times: dict[int, list[tuple[float, float]]] = {1: [], given.processes: []}
            for _ in range(given.rounds):
                for processes, taken in times.items():
                    taken.append(seconds(scenario, processes, Path(parent, "study")))
            (one, work), (several, all_work) = (map(min, zip(*taken, strict=True)) for taken in times.values())
            rows.append((name, f"{one:.1f}", f"{several:.1f}", f"{one / several:.2f}", f"{all_work / work:.2f}"))
    heads = ("study", "1 process, s", f"{given.processes} processes, s", "times sooner", "processor time")
    if given.markdown:
        for row in (heads, ("---",) * len(heads), *rows):
            print(f"| {' | '.join(row)} |")
    else:
        for row in rows:
            print("; ".join(f"{head}: {cell}" for head, cell in zip(heads, row, strict=True)))


if __name__ == "__main__":
    main()
