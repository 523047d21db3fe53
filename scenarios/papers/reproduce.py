"""The papers' experiments with our numbers: `python scenarios/papers/reproduce.py`, minutes on two cores.

It tunes every method of every experiment over its grid (experiments.py), runs the winners with other seeds, holds what
came out against what the paper found, and writes README.md and figures/ beside this file. With `--full` it takes the
papers' sizes and grids; `--full --list` says how many hours that is, experiment by experiment, and how much of it is done
already. With names of experiments only these are run: `reproduce.py --full bias ata`.

1. A run is one method with one parameter setting and one seed; it is the scenario file with these put in. What a run
   left behind is kept in a folder (`--cache`), so whoever stops the command and starts it again goes on where it was. A
   change of the package's numbers, or of the scenario, makes it a new run. Runs are played by `--processes` at a time.
2. Seeds for tuning and seeds for the table are different ones.
3. Nothing is chosen by hand: the winner has the least median time to the target; where none is reached, the smallest
   last value. Where the winner stands at an end of its range of stepsizes, the table says so.
4. A claim is a comparison in code, made on the medians. The words of README.md on a claim are written by it, so a
   paper's order that does not come out is seen there.
5. What an experiment came to is kept in outcomes/, reduced and full apart; README.md and the figures are made of that. So
   whoever has hours for one experiment at its full size leaves a row marked "full", and the others stay as they are.
6. Hours are estimated by playing four seconds of every method of every variant with its smallest stepsize: right
   to a factor of 2 or so, and too much where runs end early, at the target or because they diverge.
"""

import argparse
import dataclasses
import functools
import hashlib
import itertools
import json
import math
import os
import statistics
import sys
import time
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
OUTCOMES = FOLDER / "outcomes"
HOURS = OUTCOMES / "hours.json"
SLICE = 4.0  # seconds of a run from which its length is told
POINTS = 100  # of a curve in a figure
# what the numbers of a run depend on; reports, tables and the command line may change
NUMBERS = ("allocation", "methods", "problems", "times", "jobs.py", "log.py", "record.py", "server.py", "simulation.py")

Settings = Mapping[str, Any]
Kept = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description="The papers' experiments with our numbers.")
    parser.add_argument("names", nargs="*", metavar="EXPERIMENT", help=", ".join(e.name for e in experiments.ALL))
    parser.add_argument("--full", action="store_true", help="the papers' sizes and grids: hours, see --list")
    parser.add_argument("--list", action="store_true", help="say how many runs and hours are left, and run nothing")
    parser.add_argument("--page", action="store_true", help="only write the page and its figures again from outcomes/")
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1), metavar="P")
    parser.add_argument("--cache", type=Path, default=Path("runs/papers"), metavar="DIR", help="default runs/papers")
    given = parser.parse_args()
    known = {experiment.name: experiment for experiment in experiments.ALL}
    if unknown := sorted(set(given.names) - set(known)):
        parser.error(f"no experiment is called {', '.join(unknown)}; there are {', '.join(known)}")
    if not given.page:
        chosen = [known[name] for name in given.names] or list(experiments.ALL)
        given.cache.mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor(given.processes) as pool:
            try:
                if given.list or given.full:
                    listed(chosen, given.full, given.cache, pool)
                if given.list:
                    return 0
                for experiment in chosen:
                    print(f"{experiment.name} …", file=sys.stderr, flush=True)
                    found = reproduced(experiment, given.full, given.cache, pool)
                    keep(experiment, found, given.full)
                    print("\n".join(section(experiment, found, given.full)), flush=True)
            except (KeyboardInterrupt, InterruptedError):
                pool.shutdown(wait=False, cancel_futures=True)
                print("stopped; the same command goes on from here", file=sys.stderr)
                return 130
    missing = [experiment.name for experiment in experiments.ALL if not _outcomes(experiment, False).is_file()]
    if missing:
        print(f"no page without {', '.join(missing)}", file=sys.stderr)
        return 1
    write()
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
    path = _path(scenario, data, cache)
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


def _path(scenario: Scenario, data: Mapping[str, Any], cache: Path) -> Path:
    return cache / f"{_key(scenario, data)}.json"


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


# ---- how long it takes


def listed(chosen: Sequence[Experiment], full: bool, cache: Path, pool: ProcessPoolExecutor) -> None:
    """Print how many runs there are, how many are kept already, and hours of one core for the rest; keep the hours."""
    print(f"{'experiment':26}{'runs':>7}{'kept':>7}{'hours left, of one core':>26}")
    found = {}
    for experiment in chosen:
        runs, kept, left, whole = estimate(experiment, full, cache, pool)
        print(f"{experiment.name:26}{runs:>7}{kept:>7}{left:>26.2f}", flush=True)
        found[_key_of(experiment, full)] = {"runs": runs, "hours": float(f"{whole:.2g}")}
    OUTCOMES.mkdir(exist_ok=True)
    known = json.loads(HOURS.read_text(encoding="utf-8")) if HOURS.is_file() else {}
    HOURS.write_text(json.dumps(dict(sorted((known | found).items())), indent=1) + "\n", encoding="utf-8")


def estimate(
    experiment: Experiment, full: bool, cache: Path, pool: ProcessPoolExecutor
) -> tuple[int, int, float, float]:
    """(runs, those for tuning that are kept already, hours of one core for the rest, hours for all)."""
    seeds = experiment.full_seeds if full else experiment.seeds
    samples, plans = [], []
    for variant in experiment.variants:
        data = variant_of(experiment, variant, full)
        for method in data["methods"]:
            label = label_of(method)
            settings = settings_of(experiment, data, label, full)
            tries = settings if len(settings) > 1 else []
            # with the smallest stepsize no run diverges at once; of the rest the middle
            smallest = min(tried.get("stepsize", 0.0) for tried in settings)
            least = [tried for tried in settings if tried.get("stepsize", 0.0) == smallest]
            middle = least[len(least) // 2]
            samples.append(pool.submit(seconds_of, scenario_of(experiment, variant, full, label, middle, 0)))
            jobs = [
                _tuning_job(experiment, variant, full, label, s, seed)
                for s in tries
                for seed in experiment.tuning_seeds
            ]
            plans.append((len(jobs) + len(seeds), sum(_kept(job, cache) for job in jobs)))
    costs = [sample.result() for sample in samples]
    whole = sum(cost * runs for cost, (runs, _) in zip(costs, plans, strict=True)) / 3600
    left = sum(cost * (runs - kept) for cost, (runs, kept) in zip(costs, plans, strict=True)) / 3600
    return sum(runs for runs, _ in plans), sum(kept for _, kept in plans), left, whole


def seconds_of(data: Mapping[str, Any]) -> float:
    """About how many seconds of a core a run takes: a few seconds of it, the rest in proportion."""
    begun = time.process_time()
    scenario = from_data({**data, "stop": {**data["stop"], "wall_clock": SLICE}}, base=FOLDER)
    (run,) = asyncsim.run(scenario, progress=False).runs
    spent = time.process_time() - begun
    return spent / share_of(run, data["stop"]) if run.status == "finished" else spent


def share_of(run: Any, stop: Mapping[str, Any]) -> float:
    """Which part of its way a run has gone, where it ended early: the largest of those to each of its limits."""
    reached = {"time": run.time, "iterations": run.iterations, "gradients": run.used + run.discarded}
    shares = [reached[name] / limit for name, limit in stop.items() if name in reached]
    return min(1.0, max(shares, default=1.0)) or 1.0


def _kept(data: Mapping[str, Any], cache: Path) -> bool:
    return _path(from_data(data, base=FOLDER), data, cache).is_file()


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
            jobs = [_tuning_job(experiment, variant, full, label, settings, seed) for seed in experiment.tuning_seeds]
            target = jobs[0].get("target") or {}
            runs[variant, label, place] = target, [pool.submit(play, job, cache) for job in jobs]
    outcomes = {
        key: _outcome(experiment, [job.result() for job in jobs], target) for key, (target, jobs) in runs.items()
    }
    return {
        key: (outcome.time if experiment.choose == "target" else 0.0, outcome.last) for key, outcome in outcomes.items()
    }


def _tuning_job(
    experiment: Experiment, variant: Variant, full: bool, label: str, settings: Settings, seed: int
) -> dict[str, Any]:
    """A run that is for choosing only: where the time to the target decides it ends there."""
    job: dict[str, Any] = scenario_of(experiment, variant, full, label, settings, seed)
    if experiment.choose == "target" and not experiment.of_the_mean:
        job["stop"] = job["stop"] | {"target": True}
    return job


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
    found = Outcome(
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
    x, y = _thinned(*experiment.curve(found))  # what a figure shows; the rest is not kept
    return dataclasses.replace(found, x=x, y=y, work=[], regret=[])


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


def _key_of(experiment: Experiment, full: bool) -> str:
    return f"{experiment.name}{'-full' if full else ''}"


def _outcomes(experiment: Experiment, full: bool) -> Path:
    return OUTCOMES / f"{_key_of(experiment, full)}.json"


def keep(experiment: Experiment, found: Mapping[str, Mapping[str, Outcome]], full: bool) -> None:
    """Write what an experiment came to."""
    OUTCOMES.mkdir(exist_ok=True)
    plain = {
        variant: {label: _plain(dataclasses.asdict(outcome)) for label, outcome in outcomes.items()}
        for variant, outcomes in found.items()
    }
    _outcomes(experiment, full).write_text(json.dumps(plain, ensure_ascii=False) + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    """JSON has no infinity; six digits are enough."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else str(value)
    return value


def kept(experiment: Experiment, full: bool) -> dict[str, dict[str, Outcome]]:
    """What `keep` wrote."""
    plain = json.loads(_outcomes(experiment, full).read_text(encoding="utf-8"))
    return {
        variant: {label: Outcome(**_numbers(outcome)) for label, outcome in outcomes.items()}
        for variant, outcomes in plain.items()
    }


def _numbers(plain: Mapping[str, Any]) -> dict[str, Any]:
    def number(value: Any) -> Any:
        if isinstance(value, list):
            return [number(item) for item in value]
        return float(value) if value in ("inf", "-inf", "nan") else value

    return {name: number(value) if name != "settings" else value for name, value in plain.items()}


def agreement(claims: Iterable[tuple[str, bool]]) -> str:
    holds = [hold for _, hold in claims]
    if all(holds):
        return "yes"
    return f"in {sum(holds)} of {len(holds)} points" if any(holds) else "no"


def section(experiment: Experiment, found: Mapping[str, Mapping[str, Outcome]], full: bool = False) -> list[str]:
    """What came out, as a part of the page."""
    if full:
        lines = ["### At the full size", "", *_claimed(experiment, found)]
    else:
        lines = [
            f"## {experiment.title}",
            "",
            f"File: [{experiment.name}.yaml]({experiment.name}.yaml). {experiment.source}",
            "",
            f"*The paper*: {experiment.paper_found}",
            "",
            *["*Here*:", "", *_claimed(experiment, found)],
            *[f"*Where they differ, and why*: {experiment.why}", ""],
        ]
    columns = ["variant", "method", "chosen", *(name for name, _ in experiment.columns)]
    lines += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for variant, outcomes in found.items():
        for label, outcome in outcomes.items():
            chosen = ", ".join(f"{name} {value:g}" for name, value in outcome.settings.items()) or "as in the file"
            chosen += " (end of the range)" if outcome.at_an_end else ""
            cells = [shown(outcome) for _, shown in experiment.columns]
            lines.append("| " + " | ".join([variant, label, chosen, *cells]) + " |")
    pictures = [f"![{experiment.name}, {variant}](figures/{_file(experiment, variant, full)})" for variant in found]
    return [*lines, "", *pictures, ""]


def _claimed(experiment: Experiment, found: Mapping[str, Mapping[str, Outcome]]) -> list[str]:
    return [*(f"- {'yes' if holds else '**no**'}: {words}" for words, holds in experiment.claims(found)), ""]


def _file(experiment: Experiment, variant: str, full: bool) -> str:
    places = [v.name for v in experiment.variants]
    number = f"-{places.index(variant) + 1}" if len(places) > 1 else ""
    return f"{_key_of(experiment, full)}{number}.svg"


def picture(experiment: Experiment, variant: str, outcomes: Mapping[str, Outcome], target: float | None) -> str:
    title = f"{experiment.name}: {variant}" if len(experiment.variants) > 1 else experiment.name
    curves = {label: (outcome.x, outcome.y) for label, outcome in outcomes.items()}
    return draw(title, curves, experiment.x_label, experiment.y_label, target)


def _thinned(x: Sequence[float], y: Sequence[float]) -> tuple[list[float], list[float]]:
    places = np.unique(np.linspace(0, len(x) - 1, POINTS).round().astype(int))
    return [x[place] for place in places], [y[place] for place in places]


def write() -> None:
    """The table, the sections and the figures, from what is kept."""
    figures = FOLDER / "figures"
    figures.mkdir(exist_ok=True)
    lines = [*experiments.HEAD, "", experiments.NOTE, "", *_hours(), ""]
    lines += ["| paper | experiment | the paper found | we find | agree? |", "|---|---|---|---|---|"]
    sections: list[str] = []
    drawn = set()
    for experiment in experiments.ALL:
        for full in (False, True):
            if not _outcomes(experiment, full).is_file():
                continue
            found = kept(experiment, full)
            lines.append(_row(experiment, found, full))
            sections += section(experiment, found, full)
            target = (load(FOLDER / f"{experiment.name}.yaml").canonical().get("target") or {}).get(experiment.measure)
            for variant, outcomes in found.items():
                text = picture(experiment, variant, outcomes, target if experiment.draws_target else None)
                drawn.add(_file(experiment, variant, full))
                (figures / _file(experiment, variant, full)).write_text(text, encoding="utf-8")
    for path in figures.glob("*.svg"):  # of an experiment that has lost a variant
        if path.name not in drawn:
            path.unlink()
    (FOLDER / "README.md").write_text("\n".join([*lines, "", *sections]).rstrip() + "\n", encoding="utf-8")


def _row(experiment: Experiment, found: Mapping[str, Mapping[str, Outcome]], full: bool) -> str:
    anchor = "".join(c for c in experiment.title.lower().replace(" ", "-") if c.isalnum() or c in "-_")
    cells = [
        experiment.paper,
        f"[{experiment.name}](#{anchor}){', **full**' if full else ''}",
        experiment.paper_found,
        experiment.summary(found),
        agreement(list(experiment.claims(found))),
    ]
    return f"| {' | '.join(cells)} |"


def _hours() -> list[str]:
    known = json.loads(HOURS.read_text(encoding="utf-8")) if HOURS.is_file() else {}
    said = [
        f"{experiment.name} {known[key]['hours']:g}"
        for experiment in experiments.ALL
        if (key := _key_of(experiment, True)) in known
    ]
    return [f"Hours of one core at the full size, estimated: {', '.join(said)}."] if said else []


if __name__ == "__main__":
    sys.exit(main())
