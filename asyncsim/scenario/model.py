"""The scenario itself, made from a file or from plain data.

What can be checked without data is checked on loading: expressions are evaluated, methods and laws are built once.
Problems are not, as that may read large files: `check_problem` does it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationError

from asyncsim import yaml_file
from asyncsim.problems.of_seed import ProblemOfSeed
from asyncsim.record import has_test
from asyncsim.result import unique_labels
from asyncsim.scenario.across import across, by_place, placed
from asyncsim.scenario.chosen import Chosen, MethodEntry, ProblemEntry, UpdateRuleEntry, as_written, object_of, plain
from asyncsim.scenario.engine import EngineEntry, named_engine
from asyncsim.scenario.messages import Strict, as_list, said
from asyncsim.scenario.names import Name, name_of_file
from asyncsim.scenario.overrides import override
from asyncsim.scenario.plain import (
    files_in,
    plain_for_all,
    plain_method,
    plain_section,
    plain_seeds,
    plain_sweep,
    plain_times,
)
from asyncsim.scenario.sections import RecordEntry, Stop, Target
from asyncsim.scenario.seeds import Seed, Seeds
from asyncsim.scenario.sweep import SweepEntry
from asyncsim.scenario.workers import WorkersEntry
from asyncsim.times.workers import Workers
from asyncsim.update_rules import Plain, UpdateRule
from asyncsim.yaml_file import Document, Keys, Problem, ScenarioError, dotted, shown

MAX_METHODS = 1_000
Evaluation = Literal["auto", "single", "batched", "prefetched"]


class Scenario(Strict):
    """A checked scenario. Made by `load` (a file) and `from_data` (plain data); frozen.

    `seeds` is what runs, whichever of seed and seeds was written. `base` is the folder that relative paths start from,
    `source` the file's text (empty if there was none), `overrides` what the command line changed. ScenarioError, with
    all that is wrong, for what is no scenario.

    >>> scenario = from_data({
    ...     "workers": {"count": 3, "compute_time": "i"}, "problem": "none", "seeds": "0..2",
    ...     "methods": [{"name": "hero_sgd", "stepsize": 0.1}], "stop": {"time": 10},
    ... })
    >>> scenario.seeds, scenario.build_workers().n, scenario.labels
    (range(0, 3), 3, ['hero_sgd'])
    """

    name: Annotated[Name, Field(description="the name of the run folder and of the report")] = "scenario"
    seed: Annotated[Seed | None, said(Seed), Field(description="the seed of all random numbers; 0 unless given")] = None
    seeds: Annotated[Seeds, Field(description="instead of seed: several, as a list or a range like 0..29")] = None
    workers: Annotated[WorkersEntry, Field(description="{count: n, compute_time: …} or {groups: […]}")]
    problem: Annotated[ProblemEntry, Field(description="{name: …, …}; `asyncsim list problems`")]
    target: Annotated[Target | None, Field(description="what is to be reached")] = None
    methods: Annotated[
        Annotated[list[MethodEntry], Field(min_length=1, max_length=MAX_METHODS), BeforeValidator(as_list)],
        Field(description="a list: - {name: …, stepsize: …}; `asyncsim list methods`"),
    ]
    update_rule: Annotated[
        UpdateRuleEntry,
        Field(description="what the server makes of a direction: plain unless given; `asyncsim list update_rules`"),
    ] = as_written(UpdateRule, Plain())
    stop: Annotated[Stop, Field(description="{time: …} or another end")]
    record: Annotated[RecordEntry, Field(description="what is kept, and how often")] = RecordEntry()
    engine: Annotated[
        EngineEntry,
        BeforeValidator(named_engine, json_schema_input_type=Literal["simulation", "ray"] | EngineEntry),
        Field(description="simulation, or {name: ray, …}: real workers"),
    ] = EngineEntry()
    evaluation: Annotated[
        Evaluation,
        said(Evaluation),
        Field(
            description="how gradients are evaluated: auto (many at once where it pays), single, batched or prefetched"
        ),
    ] = "auto"
    verify: Annotated[
        bool,
        said(bool),
        Field(description="true: check at every event what the method's paper promises; a run that breaks it fails"),
    ] = False
    sweep: Annotated[SweepEntry | None, Field(description="what `asyncsim sweep` tries; `run` leaves it alone")] = None

    _document: Document = PrivateAttr(default_factory=lambda: Document({}, ""))
    _base: Path = PrivateAttr(default=Path())
    _overrides: tuple[str, ...] = PrivateAttr(default=())
    _allow_code: bool = PrivateAttr(default=False)
    _modules: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def base(self) -> Path:
        """The folder that relative data paths start from."""
        return self._base

    @property
    def source(self) -> str:
        """The text of the file, before overrides; empty when there was none."""
        return self._document.text

    @property
    def overrides(self) -> tuple[str, ...]:
        """What the command line changed, as it was written."""
        return self._overrides

    @property
    def modules(self) -> dict[str, str]:
        """The modules of `module:attribute` names, each with the folder that was looked into first."""
        return dict(self._modules)

    def build_workers(self) -> Workers:
        """The workers 0…n−1 with their laws."""
        return self.workers.build()

    def build_methods(self) -> list[tuple[str, Any]]:
        """(label, method) of each method, in order; labels are unique."""
        return [(label, entry.build()) for label, entry in zip(self._labels(), self.methods, strict=True)]

    def build_update_rules(self) -> dict[str, Any]:
        """label → the update rule of that method: its own, or that of the scenario."""
        chosen = [self.update_rule if entry.update_rule is None else entry.update_rule for entry in self.methods]
        return dict(zip(self._labels(), map(object_of, chosen), strict=True))

    @property
    def labels(self) -> list[str]:
        """What the methods are called, in order."""
        return self._labels()

    def variant(self, place: int, changes: Mapping[str, Any]) -> Chosen:
        """The entry of method number `place` with other parameters; ValueError says what is not allowed."""
        entry = self.methods[place]
        context = {"allow_code": self._allow_code, "base": self._base, "modules": self._modules}
        try:
            varied: Chosen = type(entry).model_validate({**plain_method(entry), **changes}, context=context)
        except ValidationError as error:
            raise ValueError("; ".join(_about(found) for found in error.errors(include_url=False))) from None
        return varied

    def with_methods(self, entries: Sequence[Any]) -> Self:
        """The same scenario with these entries of methods."""
        return self.model_copy(update={"methods": list(entries)})

    def _labels(self) -> list[str]:
        return unique_labels([entry.label or entry.name for entry in self.methods])

    def problem_of_seed(self) -> ProblemOfSeed:
        """seed → problem, as `build_problem`, for one that may travel to other processes."""
        try:
            described = self.problem.build()
        except (ValueError, OSError, ImportError) as error:
            raise self.error(("problem",), str(error)) from error
        return ProblemOfSeed(described, self._base, self.workers.starts[-1], self._document.place(("problem",)))

    def build_problem(self, seed: int) -> Any:
        """The problem; ScenarioError (at `problem`) when its data cannot be read or do not fit."""
        return self.problem_of_seed()(seed)

    def trace_files(self) -> set[str]:
        """The traces that the workers play back, as the scenario names them."""
        return set(files_in(self.canonical()["workers"]))

    def check_problem(self) -> Any:
        """The problem of the first seed, after checks that need it; ScenarioError if the target does not suit it."""
        problem = self._fitting()
        if self.target and self.target.suboptimality and getattr(problem, "f_star", None) is None:
            message = f"f* of {self.problem.name} is not known, so f − f* is not either; give squared_gradient_norm"
            raise self.error(("target", "suboptimality"), message)
        if self.target and self.target.test_accuracy and not has_test(problem):
            message = f"{self.problem.name} holds no samples out, so there is no test accuracy; give the problem a test, as test: 0.2"
            raise self.error(("target", "test_accuracy"), message)
        return problem

    def _fitting(self) -> Any:
        """The problem of the first seed, if this machine has room for it."""
        try:
            problem = self.build_problem(self.seeds[0])
        except MemoryError as error:
            raise self._too_large(error) from None
        try:
            getattr(problem, "x0", None)  # made when it is first asked for, and as large as the problem
        except (MemoryError, ValueError) as error:  # numpy's words for much too large, and for larger than that
            raise self._too_large(error) from None
        return problem

    def _too_large(self, error: Exception) -> ScenarioError:
        message = f"{self.problem.name} does not fit into the memory of this machine: {error}"
        return self.error(("problem",), message)

    def error(self, road: Keys, message: str) -> ScenarioError:
        """A ScenarioError about the value at `road`, for what only shows later."""
        return ScenarioError([Problem(self._document.place(road), dotted(road), message)])

    def __reduce__(self) -> Any:
        # the models of methods and problems are made at run time, so that pickle would not find them by name
        return _again, (self.canonical(), self._base, self._allow_code)

    def canonical(self) -> dict[str, Any]:
        """The scenario as plain JSON data with all defaults, from which `from_data` makes the same scenario again."""
        times = [{"count": group.count, **plain_times(group)} for group in self.workers.parts]
        return {
            "name": self.name,
            **plain_seeds(self.seeds),
            "workers": {
                **(times[0] if self.workers.groups is None else {"groups": times}),
                **plain_for_all(self.workers),
            },
            "problem": plain(self.problem),
            **({"target": plain_section(self.target)} if self.target else {}),
            "methods": [plain_method(entry) for entry in self.methods],
            "update_rule": plain(self.update_rule),
            "stop": plain_section(self.stop),
            "record": plain_section(self.record),
            "engine": "simulation" if self.engine.name == "simulation" else plain_section(self.engine),
            "evaluation": self.evaluation,
            "verify": self.verify,
            **({"sweep": plain_sweep(self.sweep)} if self.sweep else {}),
        }


def _about(error: Any) -> str:
    return ": ".join(part for part in (dotted(error["loc"]), error["msg"]) if part)


def load(path: str | Path, overrides: Sequence[str] = (), allow_code: bool = False) -> Scenario:
    """The scenario in the file `path`, changed by `overrides` (``stop.time=100``, ``methods.0.stepsize=0.5``,
    ``methods.ringmaster_asgd.threshold=6``); ScenarioError with everything that is wrong.

    allow_code: whether names like ``module:attribute`` are imported and used.
    """
    path = Path(path)
    return _scenario(yaml_file.read(path), path.parent, name_of_file(path), allow_code, overrides)


def from_data(
    data: Mapping[str, Any],
    *,
    base: str | Path = ".",
    name: str = "scenario",
    overrides: Sequence[str] = (),
    allow_code: bool = False,
) -> Scenario:
    """The scenario in plain data (as in the file, or as `Scenario.canonical` gives it); ScenarioError as for files.

    base: the folder that relative data paths start from; name: used when the data have none; overrides: as for `load`.

    >>> scenario = from_data({
    ...     "workers": {"count": 3, "compute_time": "i"}, "problem": "none",
    ...     "methods": [{"name": "rennala_sgd", "stepsize": 0.1, "batch_size": 2}], "stop": {"time": 10},
    ... })
    >>> scenario.seeds, [label for label, method in scenario.build_methods()]
    ((0,), ['rennala_sgd'])
    """
    if not isinstance(data, Mapping):
        raise ScenarioError(f"{shown(data)} is no scenario; a mapping, a path or a Scenario is needed")
    return _scenario(Document(dict(data), ""), Path(base), name, allow_code, overrides)


def _again(data: dict[str, Any], base: Path, allow_code: bool) -> Scenario:
    return from_data(data, base=base, allow_code=allow_code)


def _scenario(document: Document, base: Path, name: str, allow_code: bool, overrides: Sequence[str]) -> Scenario:
    problems = [problem for text in overrides for problem in override(document, text)]
    problems += [*document.problems, *across(document)]
    data = {"name": name} | document.data
    modules: dict[str, str] = {}
    try:
        scenario = Scenario.model_validate(data, context={"allow_code": allow_code, "base": base, "modules": modules})
    except ValidationError as error:
        problems += [placed(document, found["loc"], found["msg"]) for found in error.errors(include_url=False)]
    if problems:
        raise ScenarioError(sorted(problems, key=by_place))
    scenario._document, scenario._base = document, base
    scenario._overrides, scenario._allow_code, scenario._modules = tuple(overrides), allow_code, modules
    seeds = scenario.seeds if scenario.seeds is not None else (scenario.seed or 0,)
    return scenario.model_copy(update={"seed": None, "seeds": seeds})


def schema() -> dict[str, Any]:
    """The JSON schema of scenario files, for completion and hints in editors."""
    made = Scenario.model_json_schema(mode="validation")
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    made["title"] = "asyncsim scenario"
    return made
