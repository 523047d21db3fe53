"""The papers' experiments with our numbers: `python scenarios/papers/reproduce.py`, minutes on two cores.

It tunes every method of every experiment over its grid (experiments.py), runs the winners with other seeds, holds what
came out against what the paper found, and writes README.md and figures/ beside this file. With `--full` it takes the
papers' sizes and grids, which is hours, and writes FULL.md and full-figures/. With names of experiments only these are
run; a table is written when all are there.

1. A run is one method with one parameter setting and one seed; it is the scenario file with these put in. What a run
   left behind is kept in a folder (`--cache`), so whoever stops the command and starts it again goes on where it was. A
   change of the package's numbers, or of the scenario, makes it a new run.
2. Seeds for tuning and seeds for the table are different ones.
3. Nothing is chosen by hand: the winner has the least median time to the target; where none is reached, the smallest
   last value. Where the winner stands at an end of its range of stepsizes, the table says so.
4. A claim is a comparison in code, made on the medians. The words of README.md on a claim are written by it, so a
   paper's order that does not come out is seen there.
"""

import argparse
import functools
import hashlib
import itertools
import json
import math
import os
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import experiments
import numpy as np
from experiments import Experiment, Outcome, Variant
from figure import draw

import asyncsim
from asyncsim import study
from asyncsim.scenario import Scenario, from_data, load

FOLDER = Path(__file__).resolve().parent
KEPT = ("time", "iteration", "suboptimality", "squared_gradient_norm", "worker_seconds", "regret")
POINTS = 100  # of a curve in a figure
# what the numbers of a run depend on; reports, tables and the command line may change
NUMBERS = ("allocation", "methods", "problems", "times", "jobs.py", "log.py", "record.py", "server.py", "simulation.py")

Settings = Mapping[str, Any]
Kept = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description="The papers' experiments with our numbers.")
    parser.add_argument("names", nargs="*", metavar="EXPERIMENT", help=", ".join(e.name for e in experiments.ALL))
    parser.add_argument("--full", action="store_true", help="the papers' sizes and grids: hours")
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1), metavar="P")
    parser.add_argument("--cache", type=Path, default=Path("runs/papers"), metavar="DIR", help="default runs/papers")
    given = parser.parse_args()
    known = {experiment.name: experiment for experiment in experiments.ALL}
    if unknown := sorted(set(given.names) - set(known)):
        parser.error(f"no experiment is called {', '.join(unknown)}; there are {', '.join(known)}")
    given.cache.mkdir(parents=True, exist_ok=True)
    found = {}
    with ProcessPoolExecutor(given.processes) as pool:
        try:
            for experiment in [known[name] for name in given.names] or experiments.ALL:
                print(f"{experiment.name} …", file=sys.stderr, flush=True)
                found[experiment.name] = reproduced(experiment, given.full, given.cache, pool)
                print(report_of(experiment, found[experiment.name]), flush=True)
        except (KeyboardInterrupt, InterruptedError):
            pool.shutdown(wait=False, cancel_futures=True)
            print("stopped; the same command goes on from here", file=sys.stderr)
            return 130
    if len(found) == len(known):
        write(found, given.full)
    return 0


# ---- runs


@functools.cache
def _text(experiment: str, overrides: tuple[str, ...]) -> str:
    return json.dumps(load(FOLDER / f"{experiment}.yaml", overrides).canonical())


def variant_of(experiment: Experiment, variant: Variant, full: bool) -> dict[str, Any]:
    """The scenario file as plain data with the overrides of a variant, those of the paper's size before them."""
    overrides = (*(experiment.full if full else ()), *variant.overrides, *(variant.full if full else ()))
    found: dict[str, Any] = json.loads(_text(experiment.name, overrides))
    return found


def scenario_of(experiment: Experiment, variant: Variant, full: bool, label: str, settings: Settings, seed: int) -> Any:
    """The scenario file as plain data, with one method, its settings and one seed."""
    data = variant_of(experiment, variant, full)
    data.pop("seeds", None)
    data["seed"] = seed
    data["methods"] = [method | dict(settings) for method in data["methods"] if label_of(method) == label]
    return data


def label_of(method: Mapping[str, Any]) -> str:
    return str(method.get("label") or method["name"])


def play(data: Mapping[str, Any], cache: Path) -> Kept:
    """The curves of one run, from the cache if it was made before."""
    scenario = from_data(data, base=FOLDER)
    path = cache / f"{_key(scenario, data)}.json"
    if path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))
    (run,) = asyncsim.run(scenario, progress=False).runs
    if run.status == "interrupted":  # half a run is not kept
        raise InterruptedError(f"{scenario.name}: {run.reason}")
    kept: Kept = {name: [float(f"{value:.6g}") for value in run.curves[name]] for name in KEPT}
    kept["status"] = run.status
    half = path.with_suffix(f".{os.getpid()}")
    half.write_text(json.dumps(kept), encoding="utf-8")
    half.replace(path)
    return kept


def _key(scenario: Scenario, data: Mapping[str, Any]) -> str:
    """What the run depends on: the scenario, the parameters that theory gives, the code behind the numbers."""
    methods = study.checked_methods(scenario, scenario.check_problem()) if "theory" in json.dumps(data) else ()
    return hashlib.sha256(f"{json.dumps(data, sort_keys=True)} {methods!r} {_code()}".encode()).hexdigest()[:24]


@functools.cache
def _code() -> str:
    package = Path(asyncsim.__file__).parent
    files = sorted(
        path
        for name in NUMBERS
        for path in ([package / name] if name.endswith(".py") else (package / name).glob("*.py"))
    )
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


# ---- an experiment


def reproduced(
    experiment: Experiment, full: bool, cache: Path, pool: ProcessPoolExecutor
) -> dict[str, dict[str, Outcome]]:
    """By variant and label: the winner of the grid, run with the seeds of the table."""
    data = {variant.name: variant_of(experiment, variant, full) for variant in experiment.variants}
    tries = {
        (variant, label_of(method), place): settings
        for variant in experiment.variants
        for method in data[variant.name]["methods"]
        for place, settings in enumerate(settings_of(experiment, data[variant.name], label_of(method), full))
    }
    scores = _tuned(experiment, tries, full, cache, pool)
    jobs = {}
    for variant in experiment.variants:
        for method in data[variant.name]["methods"]:
            label = label_of(method)
            mine = [place for v, owner, place in tries if v is variant and owner == label]
            best = min(mine, key=lambda place: scores.get((variant, label, place), (0.0, 0.0)))
            jobs[variant, label] = (
                tries[variant, label, best],
                [
                    pool.submit(
                        play, scenario_of(experiment, variant, full, label, tries[variant, label, best], seed), cache
                    )
                    for seed in (experiment.full_seeds if full else experiment.seeds)
                ],
            )
    found: dict[str, dict[str, Outcome]] = {variant.name: {} for variant in experiment.variants}
    for (variant, label), (settings, runs) in jobs.items():
        target = data[variant.name].get("target") or {}
        found[variant.name][label] = _outcome(
            experiment, [run.result() for run in runs], target, settings, _at_an_end(settings, tries, variant, label)
        )
    return found


def settings_of(experiment: Experiment, data: Mapping[str, Any], label: str, full: bool) -> list[dict[str, Any]]:
    """Every point of a method's grid; one empty setting, the file's own, for a method without a grid."""
    grid = experiment.grids(data, full).get(label, {})
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def _tuned(
    experiment: Experiment, tries: Any, full: bool, cache: Path, pool: ProcessPoolExecutor
) -> dict[Any, tuple[float, float]]:
    """The score of every try, by variant, label and place; none where there is nothing to choose."""
    counts: dict[Any, int] = {}
    for variant, label, _ in tries:
        counts[variant, label] = counts.get((variant, label), 0) + 1
    runs = {}
    for (variant, label, place), settings in tries.items():
        if counts[variant, label] > 1:
            jobs = [scenario_of(experiment, variant, full, label, settings, seed) for seed in experiment.tuning_seeds]
            target = jobs[0].get("target") or {}
            if experiment.choose == "target" and not experiment.of_the_mean:
                for job in jobs:
                    job["stop"] = job["stop"] | {"target": True}
            runs[variant, label, place] = target, [pool.submit(play, job, cache) for job in jobs]
    outcomes = {
        key: _outcome(experiment, [job.result() for job in jobs], target) for key, (target, jobs) in runs.items()
    }
    return {
        key: (outcome.time if experiment.choose == "target" else 0.0, outcome.last) for key, outcome in outcomes.items()
    }


def _at_an_end(settings: Settings, tries: Any, variant: Variant, label: str) -> bool:
    stepsizes = sorted(
        {
            tried["stepsize"]
            for (v, method, _), tried in tries.items()
            if v is variant and method == label and "stepsize" in tried
        }
    )
    return len(stepsizes) > 1 and settings["stepsize"] in (stepsizes[0], stepsizes[-1])


def _outcome(
    experiment: Experiment,
    runs: Sequence[Kept],
    target: Mapping[str, float],
    settings: Settings | None = None,
    at_an_end: bool = False,
) -> Outcome:
    """What several seeds of one setting came to."""
    measure = experiment.measure
    grid = np.array(max((run["time"] for run in runs), key=len))
    values = np.array([_steps(run["time"], run[measure], grid) for run in runs])
    limit = target.get(measure, 0.0)
    if experiment.of_the_mean:
        mean = values.mean(axis=0)
        times, last = [_first(grid, mean, limit)], float(mean[-5:].mean())
    else:
        times = [_first(np.array(run["time"]), np.array(run[measure]), limit) for run in runs]
        last = statistics.median(_last(run[measure]) for run in runs)
    return Outcome(
        settings=dict(settings or {}),
        time=statistics.median(times),
        reached=sum(math.isfinite(time) for time in times),
        seeds=len(times),
        last=last,
        end=statistics.median(run["time"][-1] for run in runs),
        iterations=statistics.median(run["iteration"][-1] for run in runs),
        worker_seconds=statistics.median(run["worker_seconds"][-1] for run in runs),
        regrets=[
            statistics.median(run["regret"][int(share * (len(run["regret"]) - 1))] for run in runs)
            for share in (0.25, 0.5, 1.0)
        ],
        at_an_end=at_an_end,
        x=grid.tolist(),
        y=(values.mean(axis=0) if experiment.of_the_mean else np.median(values, axis=0)).tolist(),
        work=np.median([_steps(run["time"], run["worker_seconds"], grid) for run in runs], axis=0).tolist(),
        regret=np.median([_steps(run["time"], run["regret"], grid) for run in runs], axis=0).tolist(),
    )


def _steps(times: Sequence[float], values: Sequence[float], grid: np.ndarray) -> np.ndarray:
    """A curve at other times: its last point before."""
    places = np.searchsorted(np.array(times), grid, side="right") - 1
    return np.where(np.isnan(np.array(values)[places]), np.inf, np.array(values)[places])


def _first(times: np.ndarray, values: np.ndarray, limit: float) -> float:
    reached = np.flatnonzero(values <= limit)
    return float(times[reached[0]]) if len(reached) else math.inf


def _last(values: Sequence[float]) -> float:
    """The median of the last tenth of a curve, inf if it diverged: single values jump with the noise."""
    tail = values[-max(1, len(values) // 10) :]
    return math.inf if math.isnan(tail[-1]) else statistics.median(tail)


# ---- words and files


def report_of(experiment: Experiment, found: Mapping[str, Mapping[str, Outcome]]) -> str:
    """What the command prints: the section of the experiment."""
    return "\n".join(section(experiment, found, "figures"))


def agreement(claims: Iterable[tuple[str, bool]]) -> str:
    holds = [hold for _, hold in claims]
    if all(holds):
        return "yes"
    return f"in {sum(holds)} of {len(holds)} points" if any(holds) else "no"


def section(experiment: Experiment, found: Mapping[str, Mapping[str, Outcome]], figures: str) -> list[str]:
    lines = [
        f"## {experiment.title}",
        "",
        f"File: [{experiment.name}.yaml]({experiment.name}.yaml). {experiment.source}",
        "",
    ]
    lines += [f"*The paper*: {experiment.paper_found}", "", "*Here*:", ""]
    lines += [f"- {'yes' if holds else '**no**'}: {words}" for words, holds in experiment.claims(found)]
    lines += ["", f"*Where they differ, and why*: {experiment.why}", ""]
    columns = ["variant", "method", "chosen", *(name for name, _ in experiment.columns)]
    lines += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for variant, outcomes in found.items():
        for label, outcome in outcomes.items():
            chosen = ", ".join(f"{name} {value:g}" for name, value in outcome.settings.items()) or "as in the file"
            chosen += " (end of the range)" if outcome.at_an_end else ""
            cells = [shown(outcome) for _, shown in experiment.columns]
            lines.append("| " + " | ".join([variant, label, chosen, *cells]) + " |")
    lines += [
        "",
        *(f"![{experiment.name}, {variant}]({figures}/{_file(experiment, variant)})" for variant in found),
        "",
    ]
    return lines


def _file(experiment: Experiment, variant: str) -> str:
    places = [v.name for v in experiment.variants]
    return f"{experiment.name}-{places.index(variant) + 1}.svg" if len(places) > 1 else f"{experiment.name}.svg"


def picture(experiment: Experiment, variant: str, outcomes: Mapping[str, Outcome], target: float | None) -> str:
    title = f"{experiment.name}: {variant}" if len(experiment.variants) > 1 else experiment.name
    curves = {label: experiment.curve(outcome) for label, outcome in outcomes.items()}
    thin = {label: _thinned(*curve) for label, curve in curves.items()}
    return draw(title, thin, experiment.x_label, experiment.y_label, target)


def _thinned(x: Sequence[float], y: Sequence[float]) -> tuple[list[float], list[float]]:
    places = np.unique(np.linspace(0, len(x) - 1, POINTS).round().astype(int))
    return [x[place] for place in places], [y[place] for place in places]


def write(found: Mapping[str, Mapping[str, Mapping[str, Outcome]]], full: bool) -> None:
    """The table, the sections and the figures."""
    figures = FOLDER / ("full-figures" if full else "figures")
    figures.mkdir(exist_ok=True)
    lines = [*experiments.HEAD, "", experiments.FULL_NOTE if full else experiments.REDUCED_NOTE, ""]
    lines += ["| paper | experiment | the paper found | we find | agree? |", "|---|---|---|---|---|"]
    for experiment in experiments.ALL:
        claims = list(experiment.claims(found[experiment.name]))
        anchor = "".join(c for c in experiment.title.lower().replace(" ", "-") if c.isalnum() or c in "-_")
        ours = experiment.summary(found[experiment.name])
        lines.append(
            f"| {experiment.paper} | [{experiment.name}](#{anchor}) | {experiment.paper_found} | {ours} | {agreement(claims)} |"
        )
    lines.append("")
    for experiment in experiments.ALL:
        lines += section(experiment, found[experiment.name], figures.name)
        target = (load(FOLDER / f"{experiment.name}.yaml").canonical().get("target") or {}).get(experiment.measure)
        for variant, outcomes in found[experiment.name].items():
            drawn = picture(experiment, variant, outcomes, target if experiment.draws_target else None)
            (figures / _file(experiment, variant)).write_text(drawn, encoding="utf-8")
    (FOLDER / ("FULL.md" if full else "README.md")).write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
