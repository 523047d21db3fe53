"""Runs the benchmarks one after another, writes their tables into benchmarks/README.md and the goals into the README.

    python benchmarks/run.py                   all (about 20 minutes on two quiet cores)
    python benchmarks/run.py event_core        only these; the others keep their tables

The README has one line for each goal (`GOALS`), with what the cell of the table says and whether that is enough.

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
README = HERE.parent / "README.md"
BEGIN, END = "<!-- goals: written by benchmarks/run.py -->", "<!-- /goals -->"

# script → what its table answers
SCRIPTS = {
    "event_core": "How many arrivals a second does the event core manage, and what do others?",
    "evaluation": "What do laziness and computing together save, against a loop written by hand?",
    "networks": "What do a network's gradients cost in whole runs?",
    "parallel": "How much sooner is a study done on several processes?",
    "growth": "How does the time of a run grow with workers, dimension and seeds?",
    "startup": "How quickly does the command line begin?",
    "ray_overhead": "What does the cluster engine cost, over a bare loop of Ray?",
    "load": "How much memory do large runs, sweeps and tables take?",
}

# what is to be reached: words, script, pattern of the row (all of its cells), column, at least (≥) or at most (≤), unit
GOALS: list[tuple[str, str, str, int, str, float, str]] = [
    ("a method in Python with all bookkeeping, n = 1,000 (with numba)", "event_core", r"^compiled\b", 2, "≥", 1.0, "M arrivals/s"),
    ("the same, n = 100,000", "event_core", r"^compiled\b", 3, "≥", 0.5, "M arrivals/s"),
    ("a worker of n = 100,000", "event_core", r"^bytes a worker, block", 3, "≤", 1000, "bytes"),
    ("timing only in machine code, n = 1,000", "event_core", r"^counted: Asynchronous", 2, "≥", 10, "M arrivals/s"),
    ("Rennala, which discards much, over a loop by hand", "evaluation", r"256.*rennala", 5, "≥", 2.0, "times as quick"),
    ("Ringmaster, which discards much, likewise", "evaluation", r"256.*ringmaster", 5, "≥", 2.0, "times as quick"),
    ("a sweep of a small network, minibatch 4, over a loop of torch", "networks", r"minibatch 4.*torch", 3, "≥", 5, "times as quick"),
    ("the same, minibatch 32", "networks", r"minibatch 32.*torch", 3, "≥", 4, "times as quick"),
    ("100,000 parameters, minibatch 4, over the best loop", "networks", r"^101.*minibatch 4 ", 3, "≥", 1, "times as quick"),
    ("100,000 parameters, minibatch 32", "networks", r"^101.*minibatch 32", 3, "≥", 1, "times as quick"),
    ("the engine's share where a gradient takes 0.1 ms", "networks", r"^gradients of", 3, "≤", 2, "%"),
    ("the cluster engine over a bare loop of `ray.wait`", "ray_overhead", r"load", 2, "≥", 0.9, "of its rate"),
]  # fmt: skip


def goals(page: str) -> str:
    """The table of the goals, from the tables of the page; a goal without figures is left out."""
    lines = ["| goal | | reached | |", "|---|---|---:|---|"]
    for words, script, pattern, column, way, bound, unit in GOALS:
        part = page.partition(f"## {SCRIPTS[script]}")[2].partition("\n## ")[0]
        rows = [line.strip("| ") for line in part.splitlines() if line.startswith("|")]
        row = next((row for row in rows if re.search(pattern, row)), None)
        if row is not None and (found := re.search(r"[\d.]+", row.split("|")[column].replace(",", ""))):
            value = float(found[0])
            reached = value >= bound if way == "≥" else value <= bound
            lines.append(f"| {words} | {way} {bound:,g} {unit} | {found[0]} | {'' if reached else 'missed'} |")
    return "\n".join(lines)


def write_goals(page: str) -> None:
    """Into the README, between its two marks."""
    text = README.read_text()
    if BEGIN not in text or END not in text:
        sys.exit(f"{README.name} has lost its marks {BEGIN} … {END}")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    README.write_text(f"{before}{BEGIN}\n{goals(page)}\n{END}{after}")


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


def kept() -> dict[str, str]:
    """The sections that the page has, by their titles; some are written by hand."""
    page = PAGE.read_text() if PAGE.exists() else ""
    found = re.findall(r"^## .*?(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)
    return {section.partition("\n")[0].removeprefix("## "): section.strip() + "\n" for section in found}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("scripts", nargs="*", choices=[[], *SCRIPTS], metavar="SCRIPT")
    given = parser.parse_args()
    for name in given.scripts or SCRIPTS:
        print(f"{name} …", file=sys.stderr)
        sections = {**kept(), SCRIPTS[name]: section(name, [])}
        titles = [title for title in SCRIPTS.values() if title in sections]
        titles += [title for title in sections if title not in titles]  # written by hand
        begin = "# Benchmarks\n\nWritten by `python benchmarks/run.py`; each table by the command above it.\n"
        page = "\n".join([begin, *(sections[title] for title in titles)])
        PAGE.write_text(page)  # at once, so that nothing is lost when a later one fails
        write_goals(page)


if __name__ == "__main__":
    main()
