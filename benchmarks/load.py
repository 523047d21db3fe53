"""Large loads: what they take of time and memory, and that the memory is bounded.

    python benchmarks/load.py                             everything, some minutes
    python benchmarks/load.py --only workers sweep        parts of it: workers, sweep, table
    python benchmarks/load.py --markdown                  as a table for the README

- workers: 1e5 and 1e6 workers, a million arrivals each, timing only, with each event hashed and counted.
- sweep: 10,000 short runs (a grid of stepsizes × seeds) in one run folder.
- table: a run that keeps ten million rows of events, exported as CSV and as a report.

Each runs in a process of its own, whose largest memory (ru_maxrss) is told.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import asyncsim

WORKERS = """
from asyncsim import AsynchronousSGD, Exponential, NoProblem, Stop, Workers, simulate
workers = Workers({n}, {{"distribution": "exponential", "mean": "sqrt(i)"}})
run = simulate(AsynchronousSGD(0.1), NoProblem(), workers, stop=Stop(gradients=10**6))
say(arrivals=run.used + run.discarded, time=run.time)
"""

SWEEP = """
from asyncsim.sweep import tune as sweep
scenario = {{
    "workers": {{"count": 4, "compute_time": {{"distribution": "exponential", "mean": 1}}}},
    "problem": {{"name": "quadratic", "dimension": 4}}, "target": {{"squared_gradient_norm": 1e-6}},
    "methods": [{{"name": "asynchronous_sgd", "stepsize": 0.1}}], "stop": {{"iterations": 20}}, "record": {{"points": 5}},
    "sweep": {{"parameters": {{"all": {{"stepsize": {steps}}}}}, "seeds": list(range(100, 200)),
              "rule": "final_squared_gradient_norm"}},
}}
sweep(scenario, output={folder!r}, progress=False)
say()
"""

TABLE = """
import subprocess, sys, time
from asyncsim import run
from asyncsim.cli import main
begun = time.monotonic()
scenario = {{
    "workers": {{"count": 1000, "compute_time": {{"distribution": "exponential", "mean": "sqrt(i)"}}}},
    "problem": "none", "methods": [{{"name": "asynchronous_sgd", "stepsize": 0.1}}],
    "stop": {{"gradients": {gradients}}}, "record": {{"points": 200, "events": "all"}},
}}
run(scenario, output={folder!r}, progress=False, processes=1, events=False)
say(what="written")
"""

READ = """
import time
from pathlib import Path
from asyncsim import Result
result = Result.read({folder!r}, events={events})
path = {do}
size = sum(p.stat().st_size for p in ([path] if Path(path).is_file() else Path(path).rglob("*")) if p.is_file())
say(what={what!r}, megabytes_written=size / 2**20)
"""

SAY = """
import json, resource, sys, time
_begun = time.perf_counter()
def say(**facts):
    usage = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(json.dumps({"seconds": time.perf_counter() - _begun, "processor": time.process_time(),
                      "megabytes": max(usage) / 1024, **facts}))
"""


def told(program: str, **values: object) -> dict[str, float]:
    """What a process of its own says of itself."""
    environment = {**os.environ, "PYTHONPATH": str(Path(asyncsim.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", SAY + program.format(**values)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measured(only: list[str], rows: int) -> list[tuple[str, dict[str, float]]]:
    found = []
    if "workers" in only:
        for n in (10**5, 10**6):
            found.append((f"n = {n:,} workers, 1,000,000 arrivals", told(WORKERS, n=n)))
    with tempfile.TemporaryDirectory() as scratch:
        if "sweep" in only:
            found.append(
                (
                    "a sweep of 10,000 short runs",
                    told(SWEEP, folder=f"{scratch}/sweep", steps=[0.005 * (1 + j) for j in range(100)]),
                )
            )
        if "table" in only:
            folder = f"{scratch}/table"
            # an arrival is a row of assignments, and two of marks: used, and a step
            found.append((f"a run that keeps {rows:,} rows of events", told(TABLE, folder=folder, gradients=rows // 3)))
            for what, do, events in (
                ("its report", "result.report()", False),
                ("its export as CSV", f"result.export({scratch + '/csv'!r}, to='csv')", False),
            ):
                found.append((what, told(READ, folder=folder, do=do, what=what, events=events)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--only", nargs="+", choices=("workers", "sweep", "table"), default=["workers", "sweep", "table"]
    )
    parser.add_argument("--rows", type=int, default=10**7)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    if options.markdown:
        print("| load | seconds of processor | memory at most, MB | written, MB |\n|---|---|---|---|")
    for what, facts in measured(options.only, options.rows):
        cells = (f"{facts['processor']:.0f}", f"{facts['megabytes']:.0f}", f"{facts.get('megabytes_written', 0):.0f}")
        print(f"| {what} | {' | '.join(cells)} |" if options.markdown else f"{what}: {facts}", flush=True)


if __name__ == "__main__":
    main()
