"""How the time of a run grows with the number of workers, with the dimension, with the number of seeds.

    python benchmarks/growth.py [--rounds 3] [--markdown]

Processor time for one arrival (one gradient that came and was used or discarded), the best of some rounds that take
turns; the ratio is to the first row of each part. A run that costs the same for an arrival whatever n and d has ratio 1.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from asyncsim import AsynchronousSGD, Exponential, Quadratic, RennalaSGD, Stop, Workers, compare, simulate
from asyncsim.problems import PROBLEMS


def _workers(n: int) -> Workers:
    return Workers(n, lambda worker: Exponential((worker + 1) ** 0.5))


def _timing(n: int) -> Callable[[], int]:
    problem = PROBLEMS["none"]()
    return lambda: _arrived(simulate(RennalaSGD(0.1, 10), problem, _workers(n), stop=Stop(gradients=100_000)))


def _dimension(d: int) -> Callable[[], int]:
    problem = Quadratic(d, noise=0.01)
    return lambda: _arrived(simulate(AsynchronousSGD(0.001), problem, _workers(100), stop=Stop(gradients=3_000)))


def _seeds(count: int) -> Callable[[], int]:
    problem = Quadratic(100, noise=0.01)

    def go() -> int:
        methods = [AsynchronousSGD(0.001), RennalaSGD(0.5, 5)]
        return sum(
            map(_arrived, compare(methods, problem, _workers(100), stop=Stop(gradients=2_000), seeds=range(count)).runs)
        )

    return go


PARTS: dict[str, dict[str, Callable[[], int]]] = {
    "workers, timing only": {f"n = {n:,}": _timing(n) for n in (10, 100, 1_000, 10_000, 100_000)},
    "dimension, noisy quadratic": {f"d = {d:,}": _dimension(d) for d in (10, 100, 1_000, 10_000, 100_000)},
    "seeds, two methods": {f"{count} seeds": _seeds(count) for count in (1, 4, 16)},
}


def _arrived(run: Any) -> int:
    return int(run.used + run.discarded)


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--markdown", action="store_true", help="a table for a page")
    given = arguments.parse_args()
    rows = []
    for part, cases in PARTS.items():
        best = dict.fromkeys(cases, float("inf"))
        for _ in range(given.rounds):
            for name, go in cases.items():
                begun = time.process_time()
                arrived = go()
                best[name] = min(best[name], (time.process_time() - begun) / arrived)
        first = next(iter(best.values()))
        rows += [(part, name, f"{taken * 1e6:.1f}", f"{taken / first:.2f}") for name, taken in best.items()]
    heads = ("growing", "case", "µs an arrival", "ratio")
    if given.markdown:
        rows.insert(0, ("---",) * len(heads))
    for row in (heads, *rows):
        print(f"| {' | '.join(row)} |" if given.markdown else "  ".join(f"{cell:<28}" for cell in row))


if __name__ == "__main__":
    main()
