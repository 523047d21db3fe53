"""Runs the benchmarks one after another and writes the tables into benchmarks/README.md, the short ones into the README.

    python benchmarks/run.py                   all (about 20 minutes on two quiet cores)
    python benchmarks/run.py event_core        only these; the others keep their tables

Each script prints ratios against something that ran in the same process, by turns; absolute times are of the machine
that is named above the tables. Nothing here is a test.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE / "README.md"

# script → what its table answers
SCRIPTS = {
    "event_core": "How many arrivals a second does the event core manage, and what do others?",
    "evaluation": "What do laziness and computing together save, against a loop written by hand?",
    "parallel": "How much sooner is a study done on several processes?",
    "growth": "How does the time of a run grow with workers, dimension and seeds?",
    "startup": "How quickly does the command line begin?",
    "ray_overhead": "What does the cluster engine cost, over a bare loop of Ray?",
    "load": "How much memory do large runs, sweeps and tables take?",
}


def head() -> str:
    """What stands above the tables."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return (
        f"*{time.strftime('%Y-%m-%d')}, {platform.machine()}, {cores} cores, Python {platform.python_version()}; "
        f"load of the machine before: {load}*"
    )


def section(name: str, arguments: list[str]) -> str:
    """One script's question, command and table."""
    command = ["python", f"benchmarks/{name}.py", "--markdown", *arguments]
    said = head()
    done = subprocess.run([sys.executable, *command[1:]], cwd=HERE.parent, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return f"## {SCRIPTS[name]}\n\n`{' '.join(command)}` · {said}\n\n{done.stdout.strip()}\n"


def kept(name: str) -> str:
    """The section of a script that is not run now."""
    if not PAGE.exists():
        return ""
    title = re.escape(f"## {SCRIPTS[name]}")
    found = re.search(rf"^{title}\n.*?(?=^## |\Z)", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return found.group(0).strip() + "\n" if found else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("scripts", nargs="*", choices=[[], *SCRIPTS], metavar="SCRIPT")
    given = parser.parse_args()
    there = [name for name in SCRIPTS if (HERE / f"{name}.py").exists()]
    sections = []
    for name in there:
        chosen = not given.scripts or name in given.scripts
        if chosen:
            print(f"{name} …", file=sys.stderr)
        sections.append(section(name, []) if chosen else kept(name))
    begin = "# Benchmarks\n\nWritten by `python benchmarks/run.py`; each table by the command above it.\n"
    PAGE.write_text("\n".join([begin, *filter(None, sections)]))


if __name__ == "__main__":
    main()
