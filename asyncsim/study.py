"""A scenario from its file to its run folder, and on from there.

`run` plays every method of a scenario with every seed, seeds outermost, so that all methods have a
curve early, one after the other or side by side in several processes (asyncsim/parallel.py). With a run
folder everything is written down while it happens; a run that is killed goes on from its last checkpoint
with `resume` and ends bit-identical to one left alone. A run that fails does not take the others along:
it keeps its curves so far and says why.

SIGINT and SIGTERM end what is being played at its next step, after a checkpoint (within a second, also
where no step comes); a second signal ends at once.
"""

from __future__ import annotations

import hashlib
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

import asyncsim
from asyncsim import running
from asyncsim.catalogue import starters
from asyncsim.folder import ENDED, FolderError, RunFolder, RunWriter
from asyncsim.parallel import OnCluster, checked, connected, cores, play_all
from asyncsim.playing import Interruption, Planned, Setting
from asyncsim.progress import Progress
from asyncsim.record import Record
from asyncsim.result import Result, Run
from asyncsim.scenario import Scenario, from_data, load
from asyncsim.stop import Stop
from asyncsim.theory import Knowledge, asks_theory, resolved
from asyncsim.threads import one_thread

if TYPE_CHECKING:
    from asyncsim.metrics import Metrics

RECORDED_VERSIONS = ("numpy", "simpy", "pydantic", "ruamel.yaml", "plotly", "scipy", "scikit-learn", "torch", "ray")


@one_thread
def run(
    scenario: Scenario | Mapping[str, Any] | str | Path,
    *,
    output: str | Path | None = None,
    force: bool = False,
    progress: bool | None = None,
    overrides: Sequence[str] = (),
    allow_code: bool = False,
    processes: int | OnCluster | None = None,
    tell: Callable[[str], None] | None = None,
    metrics: Metrics | None = None,
    events: bool = True,
) -> Result:
    """Run all methods of a scenario with all its seeds.

    Parameters
    ----------
    scenario : a file, a Scenario, or the same as a dict
    output : the run folder to write; None keeps everything in memory
    force : whether to replace a run folder that is already there
    progress : True, False, or None for "on a terminal"
    overrides : like on the command line, ("stop.time=100", …); for files only
    processes : how many runs are played side by side, each in a process of its own; 1: one after the other, here;
        None: here for the first second, then on all cores that this process may use; `OnCluster(address)`: on the
        processors of a Ray cluster. The result is the same.
    metrics : an open `asyncsim.metrics.Metrics`, which tells Prometheus how the runs go
    tell : is called before the first run with a line on the memory that runs take, where it is much
    events : whether the result has the events that the scenario keeps, too; without, those of a run folder stay on the
        disk, however many they are (`Result.read` reads them)

    Raises ScenarioError for a scenario that cannot be run, FolderError where the folder cannot be used.
    When a signal ends it, the result has manifest["status"] == "interrupted".

    >>> result = run({"workers": {"count": 3, "compute_time": 1.0}, "problem": {"name": "quadratic", "dimension": 5},
    ...               "methods": [{"name": "hero_sgd", "stepsize": 0.5}], "stop": {"time": 5}})
    >>> result.runs
    (<Run hero_sgd seed 0: finished, 5 iterations, 5 s>,)
    """
    scenario = asked(scenario, overrides, allow_code, processes)
    problem = scenario.check_problem()
    methods = checked_methods(scenario, problem)
    manifest = manifest_of(scenario, problem) | {"theory": theory_of(scenario, methods, problem)}
    here = 1 if isinstance(processes, OnCluster) else processes or cores()
    side_by_side = min(len(scenario.seeds) * len(methods), here)
    if tell is not None and running.is_much(manifest["memory"], side_by_side):
        tell(running.memory_words(manifest["memory"], side_by_side))
    with connected(processes):
        if output is None:
            return _play(scenario, methods, manifest, None, progress, processes, metrics)
        with RunFolder.create(output, manifest, scenario.source, force) as folder:
            folder.gives_events = events
            result = _play(scenario, methods, manifest, folder, progress, processes, metrics)
    return warned(result, folder)


@one_thread
def resume(
    folder: str | Path,
    *,
    allow_code: bool = False,
    progress: bool | None = None,
    processes: int | OnCluster | None = None,
    metrics: Metrics | None = None,
    events: bool = True,
) -> Result:
    """Go on with the runs of a folder that are not finished, on as many processes as you like; others stay as they are.

    Each goes on from its last whole checkpoint, or from its beginning if it has none, and ends
    bit-identical to one left alone. `events` as of `run`. FolderError for what is no run folder, or one that another process uses.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp()) / "mine"
    >>> small = {"workers": {"count": 3, "compute_time": 1.0}, "problem": "none",
    ...          "methods": [{"name": "hero_sgd", "stepsize": 0.5}], "stop": {"time": 5}}
    >>> run(small, output=folder).runs[0].event_hash == resume(folder).runs[0].event_hash  # nothing was left to do
    True
    """
    checked(processes)
    with RunFolder.open(folder) as opened, connected(processes):
        opened.gives_events = events
        manifest = opened.manifest
        base = Path(manifest["base"]) if manifest.get("base") else Path()
        scenario = from_data(manifest["scenario"], base=base, allow_code=allow_code)
        _check_simulated(scenario, processes)
        problem = scenario.check_problem()
        same_data(manifest, running.facts(problem), str(opened.path))
        if _traces(scenario) != {key: manifest[key] for key in ("traces",) if key in manifest}:
            raise FolderError(
                f"{opened.path}: the trace that the workers play back has changed since this was started; "
                "put the old file back, or run the scenario anew"
            )
        opened.warnings += other_versions(manifest)
        if "tuning_seeds" in manifest:
            from asyncsim import sweep

            result = sweep.play(scenario, problem, dict(manifest), opened, progress, processes, metrics)
        else:
            methods = checked_methods(scenario, problem)
            result = _play(scenario, methods, dict(manifest), opened, progress, processes, metrics)
    return warned(result, opened)


def demo(
    output: str | Path = "runs/quickstart",
    *,
    force: bool = False,
    progress: bool | None = None,
    processes: int | OnCluster | None = None,
) -> Result:
    """Run the quickstart scenario that travels with the package: five methods on the digits data, for half a minute.

    FolderError where the folder `output` holds a run, and `force` does not say to replace it. Else as `run`.
    """
    return run(starters() / "quickstart.yaml", output=output, force=force, progress=progress, processes=processes)


def warned(result: Result, folder: RunFolder) -> Result:
    """The result with what there is to say about its folder, which is closed: that may add to it."""
    return replace(result, manifest={**result.manifest, "warnings": list(folder.warnings)})


# ---- before the runs


def asked(
    scenario: str | Path | Mapping[str, Any] | Scenario,
    overrides: Sequence[str],
    allow_code: bool,
    processes: int | OnCluster | None,
) -> Scenario:
    """The scenario of a file or of data, if these processes can play it."""
    checked(processes)
    if isinstance(scenario, str | Path):
        scenario = load(scenario, overrides, allow_code=allow_code)
    elif not isinstance(scenario, Scenario):
        scenario = from_data(scenario, allow_code=allow_code)
    _check_simulated(scenario, processes)
    return scenario


def _check_simulated(scenario: Scenario, processes: int | OnCluster | None) -> None:
    """ScenarioError for real workers in the runs of a cluster: they are on it already."""
    if isinstance(processes, OnCluster) and scenario.engine.name != "simulation":
        raise scenario.error(
            ("engine",),
            "runs with real workers are not played on a cluster as simulated ones are; its `address` says where",
        )


def checked_methods(
    scenario: Scenario, problem: Any, road: Callable[[int], tuple[str | int, ...]] = lambda place: ("methods", place)
) -> list[tuple[str, Any]]:
    """The methods with what theory gives them; ScenarioError, at its line, for one that cannot run.

    `road` says where in the scenario the method number `place` stands.
    """
    workers = scenario.build_workers()
    built, rules = scenario.build_methods(), scenario.build_update_rules()
    asked = any(asks_theory(method) for _, method in built)
    knowledge = running.knowledge(problem, workers, _target(scenario)) if asked else Knowledge(n=workers.n)
    methods = []
    for place, (label, method) in enumerate(built):
        try:
            running.check(method, problem, workers, _target(scenario), rules[label])
            methods.append((label, resolved(method, knowledge)))
        except ValueError as error:
            raise scenario.error(road(place), str(error)) from error
    return methods


def _target(scenario: Scenario) -> dict[str, float] | None:
    if scenario.target is None:
        return None
    return {name: value for name, value in scenario.target.model_dump().items() if value is not None}


def theory_of(scenario: Scenario, methods: Sequence[tuple[str, Any]], problem: Any) -> dict[str, Any]:
    """What is proven of the methods as they run (`running.proven`), of the problems of all seeds."""
    # a seed of its own draws the functions, or how the samples are split where they are
    held_out = isinstance(getattr(problem, "test", None), float) and problem.test > 0
    own = getattr(problem, "problem_seed", 0) is None and (getattr(problem, "split", "") != "none" or held_out)
    problems = [problem, *(scenario.build_problem(seed) for seed in scenario.seeds[1:] if own)]
    return running.proven(
        dict(methods), problems, scenario.build_workers(), _target(scenario), scenario.build_update_rules()
    )


def manifest_of(scenario: Scenario, problem: Any) -> dict[str, Any]:
    """What is written down of a study before it begins."""
    return {
        "name": scenario.name,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "status": "running",
        "scenario": scenario.canonical(),
        "base": str(scenario.base.resolve()),
        "overrides": list(scenario.overrides),
        "seeds": list(scenario.seeds),
        "target": _target(scenario),
        "problem": running.facts(problem),
        "evaluation": (evaluation := _evaluation(scenario, problem)),
        "memory": running.memory(problem, evaluation, scenario.workers.starts[-1]),
        **running.exceptions(scenario.build_workers()),
        **_traces(scenario),
        "versions": versions(),
        "platform": {"system": platform.platform(), "machine": platform.machine(), "processors": os.cpu_count()},
    }


def _evaluation(scenario: Scenario, problem: Any) -> str:
    try:
        return running.evaluation_of(problem, scenario.evaluation, scenario.workers.starts[-1])
    except ValueError as error:
        raise scenario.error(("evaluation",), str(error).removeprefix("evaluation: ")) from error


def _traces(scenario: Scenario) -> dict[str, Any]:
    """{"traces": {file: hash}} where workers play back measured times: a resume needs the same ones."""
    found = {}
    for file in sorted(scenario.trace_files()):
        found[file] = hashlib.sha256((scenario.base / file).read_bytes()).hexdigest()
    return {"traces": found} if found else {}


def versions() -> dict[str, str]:
    """What the numbers may depend on."""
    found = {"asyncsim": asyncsim.__version__, "python": platform.python_version()}
    for name in RECORDED_VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def other_versions(manifest: Mapping[str, Any]) -> list[str]:
    """A warning where versions differ from those that the manifest was written with."""
    then, now = manifest.get("versions", {}), versions()
    differ = [f"{name} {then[name]} then, {now.get(name, 'none')} now" for name in then if then[name] != now.get(name)]
    return [f"other versions than at the start, the numbers may differ: {'; '.join(differ)}"] if differ else []


def same_data(manifest: Mapping[str, Any], now: Mapping[str, Any], folder: str) -> None:
    """FolderError unless the problem's data and kernel, as `running.facts` has them, are those of the manifest."""
    then = manifest.get("problem", {}).get("data_sha256")
    if then is not None and then != now.get("data_sha256"):
        raise FolderError(
            f"{folder}: the data of the problem have changed since this was started; "
            "put the old file back, or run the scenario anew"
        )
    kernel = manifest.get("problem", {}).get("kernel")
    if kernel is not None and kernel != now.get("kernel"):
        raise FolderError(
            f"{folder}: this was started with the kernel {kernel}, and now it is {now.get('kernel')}, which gives "
            "other numbers; install what was there, or run the scenario anew"
        )


# ---- the runs


def _play(
    scenario: Scenario,
    methods: Sequence[tuple[str, Any]],
    manifest: dict[str, Any],
    folder: RunFolder | None,
    progress: bool | None,
    processes: int | OnCluster | None,
    metrics: Metrics | None,
) -> Result:
    setting = replace(
        setting_of(scenario, manifest["evaluation"]), observed=metrics is not None, facts=facts_of(manifest)
    )
    plan = planned_runs(scenario, methods)
    if metrics is not None:
        metrics.plan(len(plan), setting.workers.n, setting.stop, setting.target)
    with Signals() as signals, Progress(len(plan), setting.stop, progress, also=metrics) as bar:
        runs = play_runs(scenario, plan, setting, folder, signals, bar, processes)
        changes = ending(runs, signals)
        if folder is not None:
            folder.update_manifest(**changes)
    return result_of(scenario, runs, {**manifest, **changes}, folder)


def facts_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What another machine must find the problem to be (`Setting.facts`)."""
    known = {name: manifest["problem"][name] for name in ("data_sha256", "kernel") if name in manifest["problem"]}
    return {"seed": manifest["seeds"][0], **known} if known else {}


def planned_runs(scenario: Scenario, methods: Sequence[tuple[str, Any]]) -> list[Planned]:
    """All runs of a scenario, seeds outermost."""
    rules = scenario.build_update_rules()
    pairs = [(label, method, seed) for seed in scenario.seeds for label, method in methods]
    return [Planned(number, label, method, seed, rules[label]) for number, (label, method, seed) in enumerate(pairs)]


def play_runs(
    scenario: Scenario,
    plan: Sequence[Planned],
    setting: Setting,
    folder: RunFolder | None,
    signals: Signals,
    bar: Progress,
    processes: int | OnCluster | None,
) -> list[Run]:
    """Play the runs that the folder does not hold yet; all that there are in the end, in the order of the plan."""
    begun = folder.statuses() if folder is not None else {}
    kept = [planned.number for planned in plan if begun.get(planned.number) in ENDED]
    runs = {number: folder.read_run(number) for number in kept} if folder is not None else {}
    todo = [planned for planned in plan if planned.number not in runs]
    bar.left_out(len(runs))

    def open_writer(planned: Planned) -> RunWriter | None:
        return None if folder is None else _writer(folder, planned, setting.workers.n)

    engine = scenario.engine.build(setting.workers.n) if todo else None
    with running.crew_of(engine, setting.workers.n, scenario.modules) as crew:
        played = play_all(
            todo, replace(setting, crew=crew), processes=1 if engine is not None else processes, interruption=signals,
            watcher=bar, open_writer=open_writer, modules=scenario.modules,
        )  # fmt: skip
        with closing(played):
            for planned, writer, run in played:
                bar.ended(run)
                runs[planned.number] = run if folder is None else _written(folder, writer, run, setting.record)
    return [runs[number] for number in sorted(runs)]


def result_of(scenario: Scenario, runs: Sequence[Run], manifest: dict[str, Any], folder: RunFolder | None) -> Result:
    """The result of a study."""
    return Result(
        name=scenario.name,
        runs=tuple(runs),
        target=manifest["target"],
        scenario=manifest["scenario"],
        manifest=manifest,
        folder=None if folder is None else folder.path,
        problem=manifest["problem"],
    )


def _effort(runs: Iterable[Run]) -> dict[str, dict[str, float]]:
    """label → what its runs took, together (`Run.effort`, and wall-clock seconds)."""
    sums: dict[str, dict[str, float]] = {}
    for run in runs:
        of_label = sums.setdefault(run.label, {})
        for name, amount in {**run.effort, "wall_seconds": run.wall_seconds}.items():
            of_label[name] = of_label.get(name, 0) + amount
    return sums


def setting_of(scenario: Scenario, evaluation: str) -> Setting:
    """What all runs of a scenario have in common; `evaluation` as it was resolved."""
    return Setting(
        problem=scenario.problem_of_seed(),
        workers=scenario.build_workers(),
        stop=Stop(**{name: value for name, value in scenario.stop.model_dump().items() if value is not None}),
        target=_target(scenario),
        record=_record(scenario),
        verify=scenario.verify,
        evaluation=evaluation,
    )


def _record(scenario: Scenario) -> Record:
    record = Record(**scenario.record.model_dump())
    # what real workers did is kept whole, to be replayed
    return record if scenario.engine.name == "simulation" else replace(record, events="all")


def _writer(folder: RunFolder, planned: Planned, n: int) -> RunWriter:
    parameters = running.parameters_of(planned.method, planned.update_rule)
    return folder.writer(planned.number, planned.label, running.name_of(planned.method), parameters, planned.seed, n)


def _written(folder: RunFolder, writer: Any, run: Run, record: Record) -> Run:
    folder.warnings += writer.warnings
    writer.finish(run)
    if record.events != "all" or not folder.gives_events:
        return run
    return replace(run, events=folder.read_run(writer.run).events)


def ending(runs: Sequence[Run], signals: Signals) -> dict[str, Any]:
    """What the manifest says of a study that has ended."""
    status = "failed" if any(run.status == "failed" for run in runs) else "finished"
    how = (status, None) if signals.received is None else ("interrupted", int(signals.received))
    return {"status": how[0], "signal": how[1], "effort": _effort(runs)}


ONCE_MORE_AFTER = 0.02  # seconds


class Signals(Interruption):
    """SIGINT and SIGTERM while a study runs: the first is remembered, the second acts at once."""

    def __init__(self) -> None:
        super().__init__()
        self._before: dict[signal.Signals, Any] = {}
        self._hook_before = sys.unraisablehook
        self._once_more: threading.Timer | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._on_signal)
            self._hook_before, sys.unraisablehook = sys.unraisablehook, self._on_unraisable
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before:
            sys.unraisablehook = self._hook_before
        if self._once_more is not None:
            self._once_more.cancel()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_unraisable(self, what: sys.UnraisableHookArgs) -> None:
        # Python ignores what is raised in a finaliser or a callback of its collector: the signal comes once more, soon
        if not isinstance(what.exc_value, KeyboardInterrupt | SystemExit):
            self._hook_before(what)
            return
        number = signal.SIGINT if isinstance(what.exc_value, KeyboardInterrupt) else signal.SIGTERM
        self._once_more = threading.Timer(ONCE_MORE_AFTER, os.kill, [os.getpid(), number])
        self._once_more.daemon = True
        self._once_more.start()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)
        self.ask(number)
        print(f"{signal.Signals(number).name}: ending after the next step; once more to end at once", file=sys.stderr)
