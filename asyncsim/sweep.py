"""A sweep: each method's parameters are chosen on tuning seeds, then the winners are compared on fresh ones.

Rules:
1. A choice is a value for each parameter that the scenario's `sweep:` names for a method. Each is run with every tuning
   seed; a seed that is reported is never tuned on.
2. Of a run counts one number, its value: the time to the target, or the last ‖∇f‖². A run that diverged, failed or did
   not reach the target has the value ∞.
3. The value of a choice is that by which more than half of its seeds had come: the median, the upper one of two. The
   smallest wins; of equal ones that whose seeds have the smallest sum, what is above the value counted as the
   value; then the first. Where every choice of a method has the value ∞, fewest ∞ win, then the smallest last ‖∇f‖².
4. `stop_early` ends a run at the value that the best choice of its method has so far, and leaves out a choice that can no
   longer have a smaller one. By rule 3 neither changes who wins: what is not known any more is larger than the value
   of one that competes. Which runs are ended may depend on the number of processes, the winner never.
5. A tuning run that has ended is written down before the next begins in its place, and is never played again; one that
   was being played goes on from its checkpoint.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asyncsim import study
from asyncsim.folder import ENDED, RunFolder, TuningWriter
from asyncsim.grids import Grid
from asyncsim.parallel import OnCluster, connected, play_all
from asyncsim.playing import Planned, Setting
from asyncsim.progress import Progress
from asyncsim.record import Record
from asyncsim.result import Result, Run
from asyncsim.scenario import Scenario
from asyncsim.scenario.sweep import SweepEntry
from asyncsim.stop import Stop
from asyncsim.streams import sequential
from asyncsim.summary import number as shown
from asyncsim.summary import time_to_target
from asyncsim.threads import one_thread
from asyncsim.tuned import score
from asyncsim.yaml_file import Problem, ScenarioError, did_you_mean

if TYPE_CHECKING:
    from asyncsim.metrics import Metrics

ALL = "all"
MOST_CHOICES = 10_000
MOST_RUNS = 1_000_000
DONE = (*ENDED, "skipped")  # a tuning run that failed is tried again when a sweep is taken up


@one_thread
def tune(
    scenario: Scenario | Mapping[str, Any] | str | Path,
    *,
    output: str | Path | None = None,
    force: bool = False,
    progress: bool | None = None,
    overrides: Sequence[str] = (),
    allow_code: bool = False,
    processes: int | OnCluster | None = None,
    metrics: Metrics | None = None,
    events: bool = True,
) -> Result:
    """Choose the parameters of a scenario's methods as its `sweep:` says, then compare the winners on its seeds.

    Everything as in `asyncsim.run`. What comes back is the comparison of the winners; `manifest["tuning"]` has for each
    method that was tuned its axes, the value of each choice, the winner, and which parameters won on the edge of
    their grid; `manifest["tuning_warnings"]` says what to be careful about. A sweep that was
    interrupted or killed goes on by `asyncsim.resume`.

    >>> result = tune({"workers": {"count": 3, "compute_time": 1.0}, "problem": {"name": "quadratic", "dimension": 5},
    ...                "methods": [{"name": "hero_sgd", "stepsize": 0.5}], "stop": {"time": 20},
    ...                "sweep": {"parameters": {"hero_sgd": {"stepsize": [0.01, 0.1, 1.0, 10.0]}}}})
    >>> result.manifest["tuning"]["hero_sgd"]["winner"]
    {'stepsize': 1.0}
    """
    scenario = study.asked(scenario, overrides, allow_code, processes)
    problem = scenario.check_problem()
    choices_of(scenario, problem)  # what is wrong is said before a folder is made
    manifest = study.manifest_of(scenario, problem) | {"tuning_seeds": list(tuning_seeds(scenario)), "tuning": {}}
    with connected(processes):
        if output is None:
            return play(scenario, problem, manifest, None, progress, processes, metrics)
        with RunFolder.create(output, manifest, scenario.source, force) as folder:
            folder.gives_events = events
            result = play(scenario, problem, manifest, folder, progress, processes, metrics)
    return study.warned(result, folder)


# ---- what is tried


@dataclass(frozen=True)
class Choice:
    """One choice of parameters: which method, where on its axes, the entry, the method that runs."""

    number: int
    place: int  # of the method in the scenario
    label: str
    at: tuple[int, ...]
    parameters: dict[str, Any]
    entry: Any
    method: Any = None
    update_rule: Any = None

    @property
    def words(self) -> str:
        """The choice in words, for progress and messages."""
        return f"{self.label}, " + ", ".join(f"{name} {_said(value)}" for name, value in self.parameters.items())


def choices_of(scenario: Scenario, problem: Any) -> list[Choice]:
    """All choices of all methods, checked; ScenarioError, at the lines of `sweep:`, for what cannot be run."""
    _check_rule(scenario)
    seeds = tuning_seeds(scenario)
    choices: list[Choice] = []
    problems: list[Problem] = []
    for place, grids in _grids(scenario).items():
        try:
            choices += _choices(scenario, place, grids, len(choices))
        except ScenarioError as error:
            problems += error.problems
    if problems:
        raise ScenarioError(problems)
    if len(choices) * len(seeds) > MOST_RUNS:
        raise scenario.error(("sweep", "parameters"), f"more than {MOST_RUNS:,} runs; fewer values or seeds are needed")
    varied = scenario.with_methods([choice.entry for choice in choices])
    methods = study.checked_methods(varied, problem, lambda number: _road(scenario, choices[number].label))
    rules = varied.build_update_rules()
    return [
        replace(choice, method=method, update_rule=rules[label])
        for choice, (label, method) in zip(choices, methods, strict=True)
    ]


def _asked(scenario: Scenario) -> SweepEntry:
    if scenario.sweep is None:
        raise ScenarioError("there is no `sweep:` in this scenario, which says what to try: sweep: {parameters: {…}}")
    return scenario.sweep


def _road(scenario: Scenario, label: str) -> tuple[str, ...]:
    """Where in the scenario it stands what is tried of a method."""
    return ("sweep", "parameters", label if label in _asked(scenario).parameters else ALL)


def rule_of(scenario: Scenario) -> str:
    """What the best choice has least of."""
    return _asked(scenario).rule or ("final_squared_gradient_norm" if scenario.target is None else "time_to_target")


def tuning_seeds(scenario: Scenario) -> Sequence[int]:
    """The seeds that are tuned on; ScenarioError when one of them is reported too."""
    given = _asked(scenario).seeds
    if given is None:
        first = max(scenario.seeds) + 1
        return range(first, first + len(scenario.seeds))
    both = sorted(set(given) & set(scenario.seeds))
    if both:
        raise scenario.error(
            ("sweep", "seeds"),
            f"seed {both[0]} is one of those that the winners are compared on; tuning needs others, or the comparison "
            "would flatter what was tuned most",
        )
    return list(given)


def _check_rule(scenario: Scenario) -> None:
    rule = rule_of(scenario)
    if rule == "time_to_target" and scenario.target is None:
        raise scenario.error(("sweep", "rule"), "time_to_target needs a `target`; add one, or choose by the last ‖∇f‖²")
    if rule == "final_squared_gradient_norm" and scenario.stop.target:
        raise scenario.error(
            ("stop", "target"), "runs that end at the target all end alike; tuning by the last ‖∇f‖² needs another end"
        )
    if scenario.engine.name != "simulation":
        words = "what is tried is simulated; tune with engine: simulation, then run the winners on real workers"
        raise scenario.error(("engine",), words)
    if scenario.problem.name == "none":
        raise scenario.error(("problem",), "problem none is timing only: there is nothing to tune by")
    if _asked(scenario).stop_early and (rule != "time_to_target" or _period(scenario) is None):
        raise scenario.error(
            ("sweep", "stop_early"),
            "runs can be ended early only by the time to the target, with records by time: "
            "rule: time_to_target, and record: {every: …} or stop: {time: …}",
        )


def _grids(scenario: Scenario) -> dict[int, dict[str, Grid]]:
    """Place of a method → its grids by parameter; ScenarioError for names that mean nothing."""
    given, random = _asked(scenario).parameters, _asked(scenario).random
    labels = scenario.labels
    problems = []
    found: dict[int, dict[str, Grid]] = {}
    for label, grids in given.items():
        places = range(len(labels)) if label == ALL else [place for place, name in enumerate(labels) if name == label]
        road = ("sweep", "parameters", label)
        if not places:
            words = f"no method is called so; there are {', '.join(labels)}, and {ALL}{did_you_mean(label, labels)}"
            problems += scenario.error(road, words).problems
        for parameter, grid in grids.items() if places else ():
            having = [place for place in places if parameter in _names(scenario, place)]
            for place in having:
                found.setdefault(place, {})[parameter] = grid
            if not having:
                names = sorted({name for place in places for name in _names(scenario, place)})
                words = f"no such parameter; there are {', '.join(names)}{did_you_mean(parameter, names)}"
                problems += scenario.error((*road, parameter), words).problems
            if grid.between is not None and random is None:
                words = "any number between two can only be drawn: add random: {count: 50} to `sweep`, or give a grid"
                problems += scenario.error((*road, parameter), words).problems
    if problems:
        raise ScenarioError(problems)
    # a method's own grid goes before that of all
    for place, label in enumerate(labels):
        for parameter, grid in given.get(label, {}).items():
            found[place][parameter] = grid
    return {place: found[place] for place in sorted(found)}


def _names(scenario: Scenario, place: int) -> list[str]:
    """The keys of a method's entry that can be swept."""
    return [name for name in type(scenario.methods[place]).model_fields if name not in ("name", "label")]


def _choices(scenario: Scenario, place: int, grids: Mapping[str, Grid], first: int) -> list[Choice]:
    label = scenario.labels[place]
    random = _asked(scenario).random
    known: dict[tuple[str, str], Any] = {}

    def whole(parameter: str, value: Any) -> Any:
        """The value as the method takes it; a computed one is rounded where only whole numbers are taken."""
        key = (parameter, repr(value))
        if key not in known:
            known[key] = _admitted(scenario, place, parameter, value, grids[parameter].computed)
        return known[key]

    try:
        if random is not None:
            drawn = _drawn(grids, random.count, random.seed, label, whole)
            picked: list[tuple[tuple[int, ...], dict[str, Any]]] = [
                ((number,), parameters) for number, parameters in enumerate(drawn)
            ]
        else:
            picked = list(_product({name: axis(grid, name, whole) for name, grid in grids.items()}))
        if len(picked) > MOST_CHOICES:
            raise ValueError(f"{len(picked):,} choices; up to {MOST_CHOICES:,} are allowed")
        return [
            Choice(
                first + count, place, label, at, parameters,
                scenario.variant(place, {**parameters, "label": f"choice {first + count}"}),
            )
            for count, (at, parameters) in enumerate(picked)
        ]  # fmt: skip
    except ValueError as error:
        raise scenario.error(_road(scenario, label), f"{label}: {error}") from None


def _admitted(scenario: Scenario, place: int, parameter: str, value: Any, computed: bool) -> Any:
    try:
        taken = getattr(scenario.variant(place, {parameter: value}), parameter)
    except ValueError:
        if not computed or not isinstance(value, float) or round(value) == value:
            raise
        taken = getattr(scenario.variant(place, {parameter: round(value)}), parameter)
    # what is chosen by name in its turn stays as it is written
    return taken if isinstance(taken, int | float | str) and not isinstance(value, str) else value


def axis(grid: Grid, parameter: str, whole: Any) -> list[Any]:
    """The values of a grid as the method takes them, each once."""
    values: list[Any] = []
    for value in grid.values:
        taken = whole(parameter, value)
        if taken not in values:
            values.append(taken)
    return values


def _product(axes: Mapping[str, Sequence[Any]]) -> Iterator[tuple[tuple[int, ...], dict[str, Any]]]:
    count = math.prod(len(values) for values in axes.values())
    if count > MOST_CHOICES:
        raise ValueError(f"{count:,} choices; up to {MOST_CHOICES:,} are allowed, or random: {{count: …}}")
    for at in itertools.product(*(range(len(values)) for values in axes.values())):
        yield at, {name: values[j] for (name, values), j in zip(axes.items(), at, strict=True)}


def _drawn(grids: Mapping[str, Grid], count: int, seed: int, label: str, whole: Any) -> list[dict[str, Any]]:
    """Choices drawn for a method, no one twice; fewer than `count` where there are no more."""
    rng = sequential(seed, f"sweep {label}")
    found: dict[str, dict[str, Any]] = {}
    for _ in range(20 * count):
        if len(found) == count:
            break
        drawn = {name: whole(name, grid.draw(rng)) for name, grid in grids.items()}
        found.setdefault(repr(drawn), drawn)
    return list(found.values())


# ---- playing


def play(
    scenario: Scenario,
    problem: Any,
    manifest: dict[str, Any],
    folder: RunFolder | None,
    progress: bool | None,
    processes: int | OnCluster | None,
    metrics: Metrics | None = None,
) -> Result:
    """Play what is left of a sweep: the tuning runs, then the winners' (for `tune` and `asyncsim.resume`)."""
    setting = replace(
        study.setting_of(scenario, manifest["evaluation"]), observed=metrics is not None, facts=study.facts_of(manifest)
    )
    tuning = Tuning(scenario, choices_of(scenario, problem), folder)
    if folder is not None:
        folder.update_manifest(tuning_plan=tuning.plan())  # for who looks on
    total = len(tuning.choices) * len(tuning.seeds) + len(scenario.methods) * len(scenario.seeds)
    runs: list[Run] = []
    if metrics is not None:
        metrics.plan(total, setting.workers.n, setting.stop, setting.target)
    with study.Signals() as signals, Progress(total, setting.stop, progress, also=metrics) as bar:
        bar.left_out(sum(row["status"] in DONE for row in tuning.rows.values()))
        played = play_all(
            tuning.planned(bar), tuning.setting(setting), processes=processes, interruption=signals, watcher=bar,
            open_writer=tuning.open_writer, modules=scenario.modules,
        )  # fmt: skip
        with closing(played):
            for planned, writer, run in played:
                bar.ended(run)
                tuning.take(planned, writer, run)
        changes: dict[str, Any] = {}
        if signals.received is None:
            winners = tuning.winners()
            methods = study.checked_methods(winners, problem)
            changes = {
                "tuning": tuning.shown(),
                "tuning_warnings": tuning.warnings(),
                "tuning_plan": {},
                "scenario": winners.canonical(),
                "theory": study.theory_of(winners, methods, problem),
            }
            if folder is not None:
                folder.update_manifest(**changes)
            runs = study.play_runs(
                winners, study.planned_runs(winners, methods), setting, folder, signals, bar, processes
            )
        changes |= study.ending(runs, signals)
        if folder is not None:
            folder.update_manifest(**changes)
    return study.result_of(scenario, runs, {**manifest, **changes}, folder)


class Tuning:
    """The tuning runs of a sweep: which are left, what came out, who wins."""

    def __init__(self, scenario: Scenario, choices: Sequence[Choice], folder: RunFolder | None) -> None:
        self.scenario, self.choices = scenario, choices
        self.seeds = list(tuning_seeds(scenario))
        self.rule = rule_of(scenario)
        self.rows: dict[int, dict[str, Any]] = {row["run"]: row for row in folder.tuning()} if folder else {}
        self._folder = folder
        self._n = scenario.workers.starts[-1]
        self._early = _asked(scenario).stop_early
        self._random = _asked(scenario).random is not None
        self._stop: Stop | None = None
        self._least: dict[int, float] = {}  # by the place of the method
        for choice in choices:
            self._note(choice)

    # ---- the runs

    def setting(self, setting: Setting) -> Setting:
        """What the tuning runs have in common: they end at the target where only the time to it counts.

        Their records stand where those of longer runs would, so that an earlier end changes no time to the target.
        """
        self._stop = replace(setting.stop, target=True) if self.rule == "time_to_target" else setting.stop
        record = replace(setting.record, events="windows")
        period = _period(self.scenario)
        if self._early and period is not None:
            record = Record(every=period, checkpoint_every=record.checkpoint_every)
        return replace(setting, stop=self._stop, record=record)

    def planned(self, bar: Progress) -> Iterator[Planned]:
        """The runs that are left, each asked for when somebody is free to play it."""
        choices, seeds = range(len(self.choices)), range(len(self.seeds))
        # to be ended early a run needs one that is complete; else data are read once a seed
        order = itertools.product(choices, seeds) if self._early else ((c, s) for s in seeds for c in choices)
        for c, s in order:
            choice, number = self.choices[c], self._number(c, s)
            if self.rows.get(number, {}).get("status") in DONE:
                continue
            stop = self._stop
            least = self._least.get(choice.place, math.inf) if self._early else math.inf
            if stop is not None and least < math.inf:
                if self._hopeless(choice, least):
                    self._skip(number, least)
                    bar.left_out(1)
                    continue
                stop = replace(stop, time=min(least, math.inf if stop.time is None else stop.time))
            yield Planned(number, choice.words, choice.method, self.seeds[s], choice.update_rule, stop)

    def open_writer(self, planned: Planned) -> TuningWriter | None:
        """Where a run's checkpoints and its row go."""
        return None if self._folder is None else self._folder.tuning_writer(self._begun(planned.number), self._n)

    def take(self, planned: Planned, writer: Any, run: Run) -> None:
        """Write down a run that has ended."""
        if run.status == "interrupted":
            return
        norms = run.curves["squared_gradient_norm"]
        value = value_of(run, self.rule, self._target)
        limit = planned.stop.time if planned.stop is not None else None
        full = self._stop.time if self._stop is not None else None
        ended_early = run.status == "finished" and value == math.inf and limit != full
        row = {
            "status": run.status,
            "reason": run.reason,
            "value": value,
            "capped": limit if ended_early else None,
            "time": run.time,
            "iterations": run.iterations,
            "squared_gradient_norm": float(norms[-1]) if len(norms) and math.isfinite(norms[-1]) else math.inf,
            "wall_seconds": run.wall_seconds,
            "event_hash": run.event_hash,
        }
        self._keep(planned.number, row, writer)

    def _number(self, choice: int, seed: int) -> int:
        return choice * len(self.seeds) + seed

    def _begun(self, number: int) -> dict[str, Any]:
        choice, seed = self.choices[number // len(self.seeds)], self.seeds[number % len(self.seeds)]
        return {"run": number, "label": choice.label, "parameters": choice.parameters, "seed": seed}

    def _keep(self, number: int, row: dict[str, Any], writer: TuningWriter | None) -> None:
        if writer is not None and self._folder is not None:
            self._folder.warnings += writer.warnings
            writer.finish(row)
        self.rows[number] = self._begun(number) | row
        self._note(self.choices[number // len(self.seeds)])

    @property
    def _target(self) -> Mapping[str, float] | None:
        target = self.scenario.target
        return (
            None if target is None else {key: value for key, value in target.model_dump().items() if value is not None}
        )

    # ---- ending early

    def _note(self, choice: Choice) -> None:
        """The smallest value so far of this method, where all runs of the choice have ended."""
        if len(self._rows(choice)) == len(self.seeds):
            self._least[choice.place] = min(self._least.get(choice.place, math.inf), self.score(choice)[0])

    def _hopeless(self, choice: Choice, least: float) -> bool:
        above = sum(1 for row in self._rows(choice) if row["value"] > least)
        return above > len(self.seeds) - (len(self.seeds) // 2 + 1)

    def _skip(self, number: int, least: float) -> None:
        unknown = dict.fromkeys(("time", "squared_gradient_norm", "wall_seconds"), math.inf)
        row = {"status": "skipped", "reason": "can no longer win", "value": math.inf, "capped": least} | unknown
        row |= {"iterations": 0, "event_hash": ""}
        writer = None if self._folder is None else self._folder.tuning_writer(self._begun(number), self._n)
        self._keep(number, row, writer)

    # ---- who wins

    def _rows(self, choice: Choice) -> list[dict[str, Any]]:
        first = self._number(choice.number, 0)
        return [self.rows[number] for number in range(first, first + len(self.seeds)) if number in self.rows]

    def score(self, choice: Choice) -> tuple[float, float, float]:
        """What the best choice has least of (rule 3)."""
        return score(self._rows(choice))

    def best(self, place: int) -> Choice:
        """The winner of the method at this place of the scenario."""
        return min((choice for choice in self.choices if choice.place == place), key=self.score)

    def places(self) -> list[int]:
        """The methods that are tuned."""
        return sorted({choice.place for choice in self.choices})

    def winners(self) -> Scenario:
        """The scenario with the parameters that won."""
        entries = list(self.scenario.methods)
        for place in self.places():
            entries[place] = self.scenario.variant(place, self.best(place).parameters)
        return self.scenario.with_methods(entries)

    def plan(self) -> dict[str, Any]:
        """What is tried, as asyncsim/tuned.py describes it."""
        found = {}
        for place in self.places():
            choices = [choice for choice in self.choices if choice.place == place]
            samples = {"sample": [choice.at[0] for choice in choices]}
            found[self.scenario.labels[place]] = {
                "rule": self.rule,
                "seeds": len(self.seeds),
                "first": choices[0].number,
                "axes": samples if self._random else _axes(choices),
                "at": [list(choice.at) for choice in choices],
                "parameters": [
                    ({"sample": choice.at[0]} if self._random else {}) | choice.parameters for choice in choices
                ],
            }
        return found

    def shown(self) -> dict[str, Any]:
        """For each method its axes, the value of each choice (None: ∞), the winner, and what won on an edge."""
        return {self.scenario.labels[place]: self._shown(place) for place in self.places()}

    def _shown(self, place: int) -> dict[str, Any]:
        choices = [choice for choice in self.choices if choice.place == place]
        best = self.best(place)
        scores = {choice.at: self.score(choice)[0] for choice in choices}
        about = {"rule": self.rule, "seeds": self.seeds, "reached": self._reached(best), "choices": len(choices)}
        about |= {"ended_early": sum(row["capped"] is not None for choice in choices for row in self._rows(choice))}
        if self._random:
            return about | {
                "axes": {"sample": [choice.at[0] for choice in choices]},
                "samples": [choice.parameters for choice in choices],
                "values": [_or_none(scores[choice.at]) for choice in choices],
                "winner": {"sample": best.at[0], **best.parameters},
                "on_edge": [],
            }
        axes = _axes(choices)
        return about | {
            "axes": axes,
            "values": _nested(scores, [len(values) for values in axes.values()], ()),
            "winner": best.parameters,
            "on_edge": self._on_edge(best, axes),
        }

    def _reached(self, choice: Choice) -> int:
        return sum(row["value"] < math.inf for row in self._rows(choice))

    def _on_edge(self, best: Choice, axes: Mapping[str, Sequence[Any]]) -> list[str]:
        """The parameters whose best value is the first or last of an ordered axis, and could go on there."""
        if self.score(best)[0] == math.inf:
            return []
        return [
            name
            for (name, values), at in zip(axes.items(), best.at, strict=True)
            if _ordered(values) and at in (0, len(values) - 1) and self._goes_on(best, name, values, at)
        ]

    def _goes_on(self, best: Choice, name: str, values: Sequence[Any], at: int) -> bool:
        value = values[at]
        smallest = value == min(values)
        beyond = value - 1 if isinstance(value, int) and smallest else value / 2 if smallest else value * 2
        try:
            self.scenario.variant(best.place, {**best.parameters, name: beyond})
        except ValueError:
            return False
        return True

    def warnings(self) -> list[str]:
        """What to be careful about."""
        found = []
        for label, about in self.shown().items():
            for name in about["on_edge"]:
                values = about["axes"][name]
                end = "smallest" if about["winner"][name] == min(values) else "largest"
                found.append(
                    f"{label}: {name} = {_said(about['winner'][name])} won and is the {end} of its grid; a better one may lie beyond"
                )
            if about["reached"] <= len(self.seeds) // 2:
                what = "reached the target" if self.rule == "time_to_target" else "came to an end without diverging"
                found.append(f"{label}: no choice {what} with most of the tuning seeds; what won says little")
        failed = [row for row in self.rows.values() if row["status"] == "failed"]
        if failed:
            found.append(f"{len(failed)} tuning runs failed, the first: {failed[0]['label']}: {failed[0]['reason']}")
        return found


def value_of(run: Run, rule: str, target: Mapping[str, float] | None) -> float:
    """The one number of a run that counts; inf where it diverged, failed or did not reach the target."""
    if run.status not in ("finished", "stalled"):
        return math.inf
    if rule == "time_to_target":
        return time_to_target(run, target)[0]
    norms = run.curves["squared_gradient_norm"]
    return float(norms[-1]) if len(norms) and math.isfinite(norms[-1]) else math.inf


def _period(scenario: Scenario) -> float | None:
    """The simulated seconds from record to record; None where records go by iterations."""
    record, stop = scenario.record, scenario.stop
    if record.every is not None:
        return float(record.every)
    return stop.time / record.points if record.points is not None and stop.time else None


def _axes(choices: Sequence[Choice]) -> dict[str, list[Any]]:
    axes: dict[str, dict[int, Any]] = {}
    for choice in choices:
        for (name, value), at in zip(choice.parameters.items(), choice.at, strict=True):
            axes.setdefault(name, {})[at] = value
    return {name: [values[at] for at in sorted(values)] for name, values in axes.items()}


def _nested(scores: Mapping[tuple[int, ...], float], lengths: Sequence[int], at: tuple[int, ...]) -> Any:
    if not lengths:
        return _or_none(scores[at])
    return [_nested(scores, lengths[1:], (*at, j)) for j in range(lengths[0])]


def _or_none(value: float) -> float | None:
    return value if value < math.inf else None


def _ordered(values: Sequence[Any]) -> bool:
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    return 1 < len(numbers) == len(values) and numbers in (sorted(numbers), sorted(numbers, reverse=True))


def _said(value: Any) -> str:
    if isinstance(value, float):
        return shown(value)
    return value if isinstance(value, str) else json.dumps(value, default=str)


def table(result: Result) -> tuple[list[str], list[list[str]]]:
    """The tuned parameters, one row a method: headers and rows of texts."""
    names = {"time_to_target": "to target", "final_squared_gradient_norm": "last ‖∇f‖²"}
    headers = ["tuned method", "won", "value", "choices", "seeds that counted"]
    rows = []
    for label, about in result.manifest.get("tuning", {}).items():
        values = [value for value in _flat(about["values"]) if value is not None]
        words = ", ".join(f"{name} {_said(value)}" for name, value in about["winner"].items() if name != "sample")
        seconds = " s" if about["rule"] == "time_to_target" else ""
        value = (
            f"{names[about['rule']]} {shown(min(values))}{seconds}"
            if values
            else "target not reached"
            if seconds
            else "—"
        )
        rows.append([label, words, value, str(about["choices"]), f"{about['reached']} of {len(about['seeds'])}"])
    return headers, rows


def _flat(values: Any) -> Iterator[Any]:
    for value in values if isinstance(values, list) else [values]:
        yield from _flat(value) if isinstance(value, list) else [value]
