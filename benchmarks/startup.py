"""How long the command line takes to begin, and what it loads.

    python benchmarks/startup.py [--rounds 5] [--markdown]

Processor seconds of new processes, the best of some rounds; the ratio is to an interpreter that imports numpy.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

SCENARIO = """
workers: {count: 10, compute_time: 1.0}
problem: {name: quadratic, dimension: 20}
methods: [{name: hero_sgd, stepsize: 0.5}]
stop: {time: 10}
"""

COMMANDS = {
    "python -c 'import numpy'": ["-c", "import numpy"],
    "python -c 'import asyncsim'": ["-c", "import asyncsim"],
    "asyncsim --help": ["-m", "asyncsim", "--help"],
    "asyncsim list methods": ["-m", "asyncsim", "list", "methods"],
    "asyncsim check": ["-m", "asyncsim", "check", "small.yaml"],
    "asyncsim run, ten steps, with report": ["-m", "asyncsim", "run", "small.yaml", "--force", "-o", "out"],
}


def seconds(command: list[str], folder: str) -> float:
    """Processor seconds of one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], cwd=folder, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--markdown", action="store_true", help="a table for a page")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "small.yaml").write_text(SCENARIO)
        best = dict.fromkeys(COMMANDS, float("inf"))
        for _ in range(given.rounds):
            for name, command in COMMANDS.items():
                best[name] = min(best[name], seconds(command, folder))
    least = next(iter(best.values()))
    rows = [(f"`{name}`", f"{taken:.2f}", f"{taken / least:.1f}") for name, taken in best.items()]
    heads = ("command", "processor seconds", "times numpy alone")
    if given.markdown:
        rows.insert(0, ("---",) * len(heads))
    for row in (heads, *rows):
        print(f"| {' | '.join(row)} |" if given.markdown else "  ".join(f"{cell:<40}" for cell in row))


if __name__ == "__main__":
    main()
