"""The loop closed: what real workers did, held against what the simulation says of them; and what if.

`twin` runs a scenario on Ray (or takes a run folder of one), fits laws to what was measured (asyncsim/measured_laws.py),
simulates the same methods on the fitted workers with several seeds, and compares: who is first, when the target is
reached, updates a second, delays. `what_if` simulates other workers made of the fitted ones, or other methods.

1. Predicted is the median over the seeds of the simulation, measured that over the seeds that were run. An error is
   predicted / measured − 1. The range is that of the middle 80 % of the simulated seeds: a measured run is one draw, too.
2. Two distributions of delays differ by their total variation: the share of gradients that would have to have another
   delay, 0 to 1.
3. Parameters that theory gave to the measured run stay what they were; a what-if asks theory again, as its workers are
   others.
4. Nothing is fitted to the curves: only times are. Where a prediction is wrong, times hang together in a way that
   independent draws miss, or the machine was busy otherwise.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asyncsim import summary
from asyncsim.folder import FolderExists, plain
from asyncsim.measured_laws import FittedWorkers, fitted_workers
from asyncsim.methods import METHODS
from asyncsim.replay import Measured, ReplayError, measured_runs
from asyncsim.result import Result, Run
from asyncsim.yaml_file import did_you_mean, read_value

if TYPE_CHECKING:
    from asyncsim.parallel import OnCluster
    from asyncsim.scenario import Scenario

__all__ = ["Comparison", "Fitted", "Twin", "compared", "fitted", "twin", "what_if"]

SEEDS = 10  # of a simulation
MIDDLE = 0.8


# ---- fitting


@dataclass(frozen=True, eq=False)
class Fitted:
    """A run folder of real workers with the laws fitted to it."""

    measured: Result
    workers: FittedWorkers

    def scenario(
        self,
        *,
        seeds: int = SEEDS,
        workers: str | int | None = None,
        without_slowest: int = 0,
        methods: Sequence[str | Mapping[str, Any]] = (),
        anew: bool = False,
    ) -> dict[str, Any]:
        """The scenario of the measured runs on the fitted workers, as plain data; see `what_if`.

        anew: whether theory is asked again for the parameters that it gives.
        """
        was = self.measured.scenario
        groups = _fleet(self.workers, workers, without_slowest)
        effect = self.workers.stop_takes_effect
        stops = {} if effect == "at_once" else {"stop_takes_effect": effect}
        data = {key: value for key, value in was.items() if key not in ("seed", "seeds", "engine", "evaluation")}
        given = data["methods"] if anew else _as_resolved(data["methods"], self.measured)
        return data | {
            "name": f"{self.measured.name}-fitted",
            "seeds": _seeds(self.measured.seeds, seeds),
            "workers": {"groups": groups} | stops,
            "methods": [_method(entry) for entry in methods] or given,
            "stop": _stop(data["stop"]),
            "record": {**data.get("record", {}), "events": "windows"},
        }

    def write(self, path: str | Path, data: Mapping[str, Any]) -> Path:
        """Write a scenario to a file, a group of workers a line."""
        lines = [
            f"# Workers fitted to what was measured in {self.measured.folder}, with what was run there.",
            f"# Relative paths in it start from {self.measured.manifest.get('base', '.')}",
        ]
        for key, value in plain(data).items():
            if key == "workers":
                lines += ["workers:", "  groups:", *(f"    - {json.dumps(group)}" for group in value["groups"])]
                lines += [f"  {other}: {json.dumps(value[other])}" for other in value if other != "groups"]
            else:
                lines.append(f"{key}: {json.dumps(value, ensure_ascii=False)}")
        path = Path(path)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path


def fitted(folder: str | Path) -> Fitted:
    """The workers of a run folder, fitted; ReplayError where it holds no ended run on Ray with its events."""
    result, measured = measured_runs(folder)
    if not any(each.run.engine for each in measured):
        raise ReplayError(
            f"{folder} was simulated, and its laws are known; a run on real workers is needed (engine: ray)"
        )
    if not result.scenario:
        raise ReplayError(f"{folder} was not made from a scenario, so its methods can't be simulated from here")
    return Fitted(result, fitted_workers([each for each in measured if _useful(each)] or measured))


def _useful(measured: Measured) -> bool:
    return len(measured.ends) > 0


def _seeds(measured: Sequence[int], count: int) -> list[int]:
    """The seeds that were run, and more of them."""
    if count < 1:
        raise ValueError(f"seeds = {count}, but a whole number >= 1 is needed")
    found = list(measured)[: max(count, 1)]
    more = max(measured) + 1
    return [*found, *range(more, more + count - len(found))]


def _stop(stop: Mapping[str, Any]) -> dict[str, Any]:
    """On Ray simulated seconds and those of the wall are the same ones."""
    kept = {key: value for key, value in stop.items() if key != "wall_clock"}
    if "wall_clock" in stop:
        kept["time"] = min(stop["wall_clock"], kept.get("time", math.inf))
    return kept


def _as_resolved(methods: Sequence[Mapping[str, Any]], measured: Result) -> list[dict[str, Any]]:
    """The methods with what theory had given them."""
    labels = measured.labels
    return [
        {key: measured.of(label)[0].parameters.get(key, value) if value == "theory" else value for key, value in entry.items()}
        for label, entry in zip(labels, methods, strict=False)
    ]  # fmt: skip


def _method(entry: str | Mapping[str, Any]) -> dict[str, Any]:
    """A method by its name, with what theory gives it; or as a scenario has it."""
    if isinstance(entry, Mapping):
        return dict(entry)
    if entry.lstrip().startswith("{"):
        found = read_value(entry, "method")
        if not isinstance(found, Mapping):
            raise ValueError(f"{entry!r} is no method; as {{name: rennala_sgd, stepsize: 0.1, batch_size: 4}}")
        return dict(found)
    if entry not in METHODS:
        raise ValueError(f"there is no method {entry!r}; there are {', '.join(METHODS)}{did_you_mean(entry, METHODS)}")
    needed = [field.name for field in dataclasses.fields(METHODS[entry]) if field.default is dataclasses.MISSING]
    return {"name": entry, **dict.fromkeys(needed, "theory")}


# ---- other workers


def _fleet(fitted: FittedWorkers, workers: str | int | None, without_slowest: int) -> list[dict[str, Any]]:
    """The groups of the scenario: the fitted workers in their order, some left out, each so many times."""
    n = len(fitted.workers)
    if not 0 <= without_slowest < n:
        raise ValueError(f"without the {without_slowest} slowest of {n} workers nobody is left; 0…{n - 1} are allowed")
    kept = sorted(fitted.by_speed[: n - without_slowest])
    counts = _counts(workers, len(kept))
    return [
        {**fitted.workers[worker].group, "count": count} for worker, count in zip(kept, counts, strict=True) if count
    ]


def _counts(workers: str | int | None, n: int) -> list[int]:
    """How many there are to be of each of n workers.

    >>> _counts("x10", 3), _counts(5, 3), _counts(None, 2)
    ([10, 10, 10], [2, 2, 1], [1, 1])
    """
    found = re.fullmatch(r"([x×]?)(\d+)", str(workers if workers is not None else "x1").strip())
    number = int(found[2]) if found else 0
    if found is None or not 1 <= number <= 10_000_000:
        raise ValueError(f"workers = {workers!r}: allowed is x10 (each of them ten times), or how many there are to be")
    if found[1]:
        return [number] * n
    return [number // n + (worker < number % n) for worker in range(n)]


# ---- predicted against measured


@dataclass(frozen=True)
class Comparison:
    """One method: measured, predicted, and how far off. Times in seconds; nan where not known, inf not reached."""

    label: str
    time_measured: float
    time_predicted: float
    time_low: float
    time_high: float
    rate_measured: float  # updates a second
    rate_predicted: float
    delay_measured: float  # mean, of used gradients
    delay_predicted: float
    delays_apart: float  # total variation

    @property
    def time_error(self) -> float:
        """Relative error of the time to the target."""
        return _error(self.time_predicted, self.time_measured)

    @property
    def rate_error(self) -> float:
        """Relative error of the updates a second."""
        return _error(self.rate_predicted, self.rate_measured)


@dataclass(frozen=True, eq=False)
class Twin:
    """Measured and predicted, side by side."""

    measured: Result
    predicted: Result
    rows: tuple[Comparison, ...]
    warnings: tuple[str, ...] = ()
    folder: Path | None = None

    @property
    def orders(self) -> tuple[list[str], list[str]]:
        """The methods in the order in which they come in, measured and predicted."""
        measured, predicted = ([one.label for one in summary.ranked(each)] for each in (self.measured, self.predicted))
        return measured, predicted

    @property
    def worst_time_error(self) -> float:
        """The largest relative error of a time to the target; nan where none is known."""
        known = [abs(row.time_error) for row in self.rows if not math.isnan(row.time_error)]
        return max(known, default=math.nan)

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Headers and rows, the first method first."""
        timed = any(not math.isnan(row.time_measured) for row in self.rows)
        headers = ["method"]
        headers += ["to target: measured", "predicted", f"{MIDDLE:.0%} of seeds", "error"] if timed else []
        headers += ["updates/s: measured", "predicted", "error", "mean delay: measured", "predicted", "delays apart"]
        return headers, [self._row(row, timed) for row in self._in_order()]

    def _in_order(self) -> list[Comparison]:
        by_label = {row.label: row for row in self.rows}
        return [by_label[label] for label in self.orders[0]]

    @staticmethod
    def _row(row: Comparison, timed: bool) -> list[str]:
        seconds, number = summary.seconds, summary.number
        cells = [row.label]
        if timed:
            span = "—" if math.isnan(row.time_low) else f"{number(row.time_low)} to {number(row.time_high)}"
            cells += [seconds(row.time_measured), seconds(row.time_predicted), span, signed(row.time_error)]
        return [
            *cells,
            number(row.rate_measured), number(row.rate_predicted), signed(row.rate_error),
            number(row.delay_measured), number(row.delay_predicted), summary.percent(row.delays_apart),
        ]  # fmt: skip

    def sentence(self) -> str:
        """How well the simulation foretold, in one sentence."""
        measured, predicted = self.orders
        if len(measured) == 1:
            said = ""
        elif measured == predicted:
            said = f"The order of the {len(measured)} methods is as measured ({', '.join(measured)}); "
        else:
            said = f"Another order than measured ({', '.join(measured)}) was predicted ({', '.join(predicted)}); "
        rates = max((abs(row.rate_error) for row in self.rows if not math.isnan(row.rate_error)), default=math.nan)
        parts = []
        if not math.isnan(self.worst_time_error):
            parts.append(f"times to the target are off by up to {summary.percent(self.worst_time_error)}")
        if not math.isnan(rates):
            parts.append(f"updates a second {'' if parts else 'are off '}by up to {summary.percent(rates)}")
        apart = max((row.delays_apart for row in self.rows if not math.isnan(row.delays_apart)), default=math.nan)
        if not math.isnan(apart):
            parts.append(f"up to {summary.percent(apart)} of the gradients would have another delay")
        # an error of these would be infinite, and the largest error above is not theirs
        for reached, missed, words in (
            ("time_measured", "time_predicted", "when measured but not as predicted"),
            ("time_predicted", "time_measured", "as predicted but not when measured"),
        ):
            who = [
                row.label
                for row in self.rows
                if math.isfinite(getattr(row, reached)) and math.isinf(getattr(row, missed))
            ]
            if who:
                parts.append(f"the target was reached by {', '.join(who)} in the median {words}")
        text = said + (", ".join(parts) or "nothing else could be compared") + "."
        return text[0].upper() + text[1:]

    def plain(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {
            "sentence": self.sentence(),
            "orders": dict(zip(("measured", "predicted"), self.orders, strict=True)),
            "worst_time_error": self.worst_time_error,
            "methods": [{**vars(row), "time_error": row.time_error, "rate_error": row.rate_error} for row in self.rows],
            "warnings": list(self.warnings),
        }

    def report(self, path: str | Path) -> Path:
        """Write the report of what was measured, with the section Twin. Returns where it is."""
        from asyncsim.report import write_report
        from asyncsim.report.twin import manifest_entry

        manifest = {**self.measured.manifest, "twin": manifest_entry(self)}
        return write_report(replace(self.measured, manifest=manifest), Path(path))


def signed(error: float) -> str:
    """A relative error as text.

    >>> signed(0.034), signed(-0.12), signed(math.nan)
    ('+3.4 %', '−12 %', '—')
    """
    if not math.isfinite(error):
        return "—"
    return ("−" if error < 0 else "+") + summary.percent(abs(error))


def _error(predicted: float, measured: float) -> float:
    if not (math.isfinite(predicted) and math.isfinite(measured)) or measured == 0:
        return math.nan
    return predicted / measured - 1


def compared(measured: Result, predicted: Result, warnings: Sequence[str] = (), folder: Path | None = None) -> Twin:
    """Hold two results of the same methods against each other."""
    rows = tuple(
        _compared(label, measured.of(label), predicted.of(label), measured.target)
        for label in measured.labels
        if label in predicted.labels
    )
    return Twin(measured, predicted, rows, tuple(warnings), folder)


def _compared(label: str, measured: Sequence[Run], predicted: Sequence[Run], target: Any) -> Comparison:
    both = (measured, predicted)
    times = [[summary.time_to_target(run, target)[0] for run in runs] for runs in both]
    low, high = _middle(times[1])
    rates = [summary.median(run.iterations / run.time for run in runs if run.time > 0) for runs in both]
    delays = [_delays(runs) for runs in both]
    return Comparison(
        label=label,
        time_measured=summary.median(times[0]),
        time_predicted=summary.median(times[1]),
        time_low=low,
        time_high=high,
        rate_measured=rates[0],
        rate_predicted=rates[1],
        delay_measured=_mean(delays[0]),
        delay_predicted=_mean(delays[1]),
        delays_apart=total_variation(*delays),
    )


def _middle(times: Sequence[float]) -> tuple[float, float]:
    known = np.sort([time for time in times if not math.isnan(time)])
    if not len(known):
        return math.nan, math.nan
    first = int((1 - MIDDLE) / 2 * len(known))
    return float(known[first]), float(known[len(known) - 1 - first])


def _delays(runs: Sequence[Run]) -> dict[int, int]:
    """delay → gradients that were used at it, over all runs."""
    found: dict[int, int] = {}
    for run in runs:
        for delay, used, _ in run.delays.reshape(-1, 3).tolist():
            if used:
                found[delay] = found.get(delay, 0) + used
    return found


def _mean(delays: Mapping[int, int]) -> float:
    total = sum(delays.values())
    return sum(delay * count for delay, count in delays.items()) / total if total else math.nan


def total_variation(first: Mapping[int, int], second: Mapping[int, int]) -> float:
    """How far two distributions, given by counts, are apart: 0 to 1; nan where one is empty.

    >>> total_variation({0: 3, 1: 1}, {0: 1, 1: 1}), total_variation({0: 1}, {1: 5})
    (0.25, 1.0)
    """
    totals = [sum(each.values()) for each in (first, second)]
    if not all(totals):
        return math.nan
    keys = {*first, *second}
    return sum(abs(first.get(key, 0) / totals[0] - second.get(key, 0) / totals[1]) for key in keys) / 2


# ---- all of it


def twin(
    source: str | Path | Scenario,
    output: str | Path | None = None,
    *,
    address: str | None = None,
    seeds: int = SEEDS,
    overrides: Sequence[str] = (),
    force: bool = False,
    allow_code: bool = False,
    progress: bool | None = None,
    processes: int | OnCluster | None = None,
) -> Twin:
    """Run a scenario on Ray, fit its workers, simulate them, and hold the two against each other.

    Parameters
    ----------
    source : a scenario (or its file), or the run folder of one that was run on Ray
    output : a folder for measured/ and predicted/ (run folders), fitted.yaml, twin.json and twin.html; needed for a
        scenario, as real runs are not thrown away
    address : of the Ray cluster, in the place of the scenario's
    seeds : how many the simulation has

    Raises what `asyncsim.study.run` raises, and ReplayError for a folder without real runs.
    """
    output = None if output is None else Path(output)
    if isinstance(source, str | Path) and Path(source).is_dir():
        folder = _measured_folder(Path(source))
    else:
        if output is None:
            raise ValueError("twin: give a folder (output) for what is measured")
        measured = measure(
            source, output, address=address, overrides=overrides, force=force, allow_code=allow_code, progress=progress
        )
        if measured.manifest["status"] == "interrupted":
            raise KeyboardInterrupt
        folder = output / "measured"
    found = fitted(folder)
    predicted = _simulated(
        found, found.scenario(seeds=seeds), output, "predicted",
        force=force, allow_code=allow_code, progress=progress, processes=processes,
    )  # fmt: skip
    made = compared(found.measured, predicted, found.workers.warnings, output)
    if output is not None:
        (output / "twin.json").write_text(json.dumps(plain(made.plain()), indent=2, ensure_ascii=False) + "\n", "utf-8")
        made.report(output / "twin.html")
    return made


def measure(
    source: str | Path | Scenario,
    output: str | Path,
    *,
    address: str | None = None,
    overrides: Sequence[str] = (),
    force: bool = False,
    allow_code: bool = False,
    progress: bool | None = None,
) -> Result:
    """The first part of `twin`: run a scenario on Ray, into the run folder measured/ in `output`."""
    from asyncsim import study

    scenario = _on_ray(source, address, overrides, allow_code)
    return study.run(scenario, output=Path(output) / "measured", force=force, progress=progress)


def what_if(
    folder: str | Path,
    output: str | Path | None = None,
    *,
    workers: str | int | None = None,
    without_slowest: int = 0,
    methods: Sequence[str | Mapping[str, Any]] = (),
    seeds: int = SEEDS,
    overrides: Sequence[str] = (),
    anew: bool = True,
    force: bool = False,
    allow_code: bool = False,
    progress: bool | None = None,
    processes: int | OnCluster | None = None,
) -> Result:
    """Simulate the fitted workers of a run folder otherwise than they were.

    Parameters
    ----------
    folder : the run folder of a run on Ray, or what `twin` made of one
    output : a folder for fitted.yaml and simulated/, a run folder; None keeps everything in memory
    workers : "x10" has each of them ten times, 100 as many of them in turn
    without_slowest : how many of the slowest are left out, before that
    methods : in the place of those that were run: names (what must be given comes from theory), or as in a scenario
    overrides : changes of the scenario, as on the command line
    anew : whether theory is asked again for the parameters that it gave
    """
    found = fitted(_measured_folder(Path(folder)))
    data = found.scenario(seeds=seeds, workers=workers, without_slowest=without_slowest, methods=methods, anew=anew)
    return _simulated(
        found, data, None if output is None else Path(output), "simulated", overrides=overrides,
        force=force, allow_code=allow_code, progress=progress, processes=processes,
    )  # fmt: skip


def as_measured(folder: str | Path) -> str:
    """What was measured, in a line: workers, and when each method reached the target or where it ended."""
    result = Result.read(_measured_folder(Path(folder)), events=False)
    each = [
        f"{one.label} {summary.seconds(one.time_to_target)}"
        if result.target
        else f"{one.label} {summary.count(one.iterations)} iterations in {summary.seconds(one.time)}"
        for one in summary.ranked(result)
    ]
    to = f" to {summary.target_text(result.target)}" if result.target else ""
    return f"{max(run.n for run in result.runs)} workers; {', '.join(each)}{to}"


def _measured_folder(path: Path) -> Path:
    """The run folder itself, or the one that `twin` wrote into it."""
    return path / "measured" if (path / "measured" / "manifest.json").is_file() else path


def _on_ray(source: str | Path | Scenario, address: str | None, overrides: Sequence[str], allow_code: bool) -> Scenario:
    from asyncsim.scenario import Scenario, load

    if isinstance(source, Scenario):
        return source
    changes = [*overrides, *([] if address is None else [f"engine.address={address}"])]
    scenario = load(source, changes, allow_code=allow_code)
    if scenario.engine.name == "simulation":
        raise ValueError(
            f"{source}: engine is the simulation, but a twin needs real workers; add `engine: {{name: ray}}` "
            "(with slowdown: sleep they take as long as compute_time says)"
        )
    return scenario


def _simulated(
    found: Fitted,
    data: Mapping[str, Any],
    output: Path | None,
    name: str,
    *,
    overrides: Sequence[str] = (),
    force: bool,
    allow_code: bool,
    progress: bool | None,
    processes: int | OnCluster | None,
) -> Result:
    from asyncsim import study
    from asyncsim.scenario import from_data

    base = found.measured.manifest.get("base") or "."
    scenario = from_data(data, base=base, overrides=overrides, allow_code=allow_code)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        file = output / "fitted.yaml"
        if file.exists() and not force and not file.read_text(encoding="utf-8").startswith("# Workers fitted"):
            raise FolderExists(f"{file} is there already, and not ours; choose another folder")
        found.write(file, data)
    folder = None if output is None else output / name
    return study.run(scenario, output=folder, force=force, progress=progress, processes=processes)
