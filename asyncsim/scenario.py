"""The scenario: what a user writes, checked and frozen.

The road: text → plain data (`asyncsim.yaml_file`) → overrides of the command line → `Scenario`, or a `ScenarioError`
that names *everything* that is wrong, each with its place. A scenario knows what was asked for and builds the pieces
(`build_problem`, `build_workers`, `build_methods`); running them is for others.

1. What is allowed stands once. Methods, problems and laws bring their parameters' annotations (`asyncsim.parameters`);
   the models for them are made from these, and so are the messages and the JSON schema.
2. Nothing is guessed: a text is no number, true is not 1, an unknown key is an error. Two readings are admitted, as
   YAML has no other way to write them: 1e6 where a whole number is needed, and a list where a tuple is.
3. Errors come worded from where they arise. Every model reports in our own words (`Strict`), every value through one
   message that says what is allowed (`said`); pydantic carries them, with the road to the value, which
   `Document.place` turns into file:line:column. Which alternative of a union failed is never part of that road.
4. A scenario holds no code. Names are looked up in the registries, then in the entry points of installed packages.
   ``module:attribute`` is refused unless `allow_code` is said; then `module` is looked for beside the file first.
5. What can be checked without data is checked on loading: expressions are evaluated, methods and laws are built once.
   Problems are not, as that may read large files: `check_problem` does it.
"""

import collections
import contextlib
import dataclasses
import functools
import importlib
import importlib.metadata
import inspect
import itertools
import math
import operator
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, ForwardRef, Literal, Self

import annotated_types as at
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    WrapValidator,
    create_model,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError
from typing_extensions import TypeAliasType

from asyncsim import yaml_file
from asyncsim.allocation import ALLOCATIONS, Allocation
from asyncsim.grids import Grid, read_grid
from asyncsim.methods import METHODS
from asyncsim.parameters import Count, NonNegative, Positive, Whole, allowed, allows, described, hints
from asyncsim.problems import PROBLEMS
from asyncsim.problems.of_seed import ProblemOfSeed
from asyncsim.record import has_test
from asyncsim.result import unique_labels
from asyncsim.times.availability import AVAILABILITIES
from asyncsim.times.communication import ALLOWED_STOPS, SharedLink, stop_delay
from asyncsim.times.composed import ALaw
from asyncsim.times.contention import MEMBERS, SLOWDOWN, Contention
from asyncsim.times.expressions import evaluate
from asyncsim.times.laws import LAWS, Time
from asyncsim.times.named import inside, of_length
from asyncsim.times.presets import PRESETS
from asyncsim.times.speeds import SPEEDS
from asyncsim.times.workers import Workers
from asyncsim.update_rules import UPDATE_RULES, Plain, UpdateRule
from asyncsim.yaml_file import Document, Keys, Problem, ScenarioError, did_you_mean, dotted, shown

__all__ = ["Problem", "Scenario", "ScenarioError", "from_data", "load", "schema"]

MAX_WORKERS = 10_000_000
MAX_SEEDS = 1_000_000
MAX_SEED = 10**15
MAX_METHODS = 1_000
MAX_NAME_BYTES = 100


# ---- messages


def wrong(message: str) -> PydanticCustomError:
    # no context is given, so that braces in a message stand for themselves
    return PydanticCustomError("scenario", message)


def raise_at(problems: Sequence[tuple[Keys, str]]) -> None:
    """Raise these messages at these places below the value that is being checked."""
    if problems:
        raise ValidationError.from_exception_data(
            "scenario", [InitErrorDetails(type=wrong(text), loc=road, input=None) for road, text in problems]
        )


def not_allowed(value: Any, words: str, options: Sequence[str] = ()) -> str:
    hint = did_you_mean(value, options) if isinstance(value, str) else ""
    return f"{shown(value)} is not allowed; allowed: {words}{hint}"


def said(annotation: Any) -> WrapValidator:
    """One message, whatever is wrong with a value that `annotation` does not admit."""
    words = allowed(annotation)

    def check(value: Any, handler: Callable[[Any], Any]) -> Any:
        for reading in _readings(value):
            with contextlib.suppress(ValidationError):
                return handler(reading)
        raise wrong(not_allowed(value, words, re.findall(r"'(\w+)'", words)))

    return WrapValidator(check)


def _readings(value: Any) -> Iterator[Any]:
    yield value
    if isinstance(value, float) and value.is_integer():
        yield int(value)
    elif isinstance(value, list):
        yield tuple(value)
    elif hasattr(value, "item") and getattr(value, "shape", None) == ():  # numpy's scalars, from Python
        yield value.item()


class Strict(BaseModel):
    """A mapping with known keys, whose errors are in our words."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        protected_namespaces=(),
        arbitrary_types_allowed=True,  # third parties annotate as they like; what YAML cannot write, it cannot give
    )

    @model_validator(mode="wrap")
    @classmethod
    def _in_our_words(cls, data: Any, handler: Callable[[Any], Self]) -> Self:
        if not isinstance(data, Mapping | cls):
            raise wrong(not_allowed(data, f"a mapping with the keys {listed(cls.model_fields)}"))
        try:
            return handler(data)
        except ValidationError as error:
            raise_at([cls._worded(found) for found in error.errors(include_url=False, include_context=False)])
            raise

    @classmethod
    def _worded(cls, error: Any) -> tuple[Keys, str]:
        road: Keys = error["loc"]
        field = cls.model_fields.get(str(road[0])) if len(road) == 1 else None
        match error["type"]:
            case "extra_forbidden" if len(road) == 1:
                keys = list(cls.model_fields)
                return road, f"unknown key; allowed: {listed(keys)}{did_you_mean(road[0], keys)}"
            case "missing" if field:
                return road, f"missing; needed: {field.description or 'a value'}"
            case "too_short":
                return road, "an empty list; at least one entry is needed"
            case "too_long":
                return road, "the list is too long"
            case "list_type":
                return road, not_allowed(error["input"], "a list")
        return road, error["msg"]


def listed(names: Any) -> str:
    return ", ".join(names)


def as_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


# ---- names


def _name(value: Any) -> str:
    words = f"a text of up to {MAX_NAME_BYTES} bytes without '/', '\\', '..', a leading '.' or control characters"
    if not isinstance(value, str) or not _fit_for_a_folder(value):
        raise wrong(not_allowed(value, words))
    return value


def _fit_for_a_folder(name: str) -> bool:
    return (
        0 < len(name.encode(errors="replace")) <= MAX_NAME_BYTES
        and name.isprintable()
        and name == name.strip()
        and not name.startswith(".")
        and not any(part in name for part in ("/", "\\", ".."))
    )


def name_of_file(path: Path) -> str:
    name = re.sub(r"[^\w.+=,@ -]+|\.\.+", "-", path.stem).strip(". ")
    return name if name and _fit_for_a_folder(name) else "scenario"


Name = Annotated[str, PlainValidator(_name, json_schema_input_type=Annotated[str, Field(max_length=MAX_NAME_BYTES)])]


# ---- seeds


def _seeds(value: Any) -> Sequence[int]:
    """A seed, a list of seeds, or a range "0..29" (both ends in it)."""
    words = "a whole number >= 0, a list of them, or a range like 0..29 (both ends in it)"
    if isinstance(value, str) and (ends := re.fullmatch(r"\s*(\d{1,19})\s*\.\.\s*(\d{1,19})\s*", value)):
        first, last = int(ends[1]), int(ends[2])
        if first <= last < min(first + MAX_SEEDS, MAX_SEED + 1):
            value = range(first, last + 1)
    found = value if isinstance(value, range | list | tuple) else (value,)
    if len(found) > MAX_SEEDS:
        raise wrong(f"{len(found):,} seeds; allowed: up to {MAX_SEEDS:,}")
    if not found or not all(type(seed) is int and 0 <= seed <= MAX_SEED for seed in found):
        raise wrong(not_allowed(value, f"{words}, up to {MAX_SEEDS:,} of them"))
    if len(set(found)) < len(found):
        twice = next(seed for seed, times in collections.Counter(found).items() if times > 1)
        raise wrong(f"seed {twice} stands twice; the same seed is the same run")
    return found if isinstance(found, range) else tuple(found)


Seed = Annotated[int, at.Ge(0), at.Le(MAX_SEED)]
Seeds = Annotated[Any, PlainValidator(_seeds, json_schema_input_type=Whole | list[Whole] | str)]


# ---- methods, problems, laws: chosen by name


class Chosen(Strict):
    """A method, problem or allocation with its parameters, as the scenario has it."""

    name: str
    made_by: ClassVar[Any]
    needed: ClassVar[tuple[str, ...]] = ("gradient", "build")
    beside: ClassVar[tuple[str, ...]] = ("name",)  # keys of an entry that are no parameters

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters by name, defaults included."""
        return {key: getattr(self, key) for key in type(self).model_fields if key not in self.beside}

    def build(self) -> Any:
        """The object itself."""
        return built_by(type(self).made_by, {key: object_of(value) for key, value in self.parameters.items()})

    @model_validator(mode="after")
    def _can_be_built(self) -> Self:
        # what parameters must fulfil together is known to the class alone
        try:
            built = self.build()
        except (ValueError, TypeError) as error:
            raise wrong(str(error)) from None
        if not any(callable(getattr(built, name, None)) for name in self.needed):
            raise wrong(f"{self.name} cannot be used here: it has no {' or '.join(self.needed)}(…)")
        return self


class ChosenMethod(Chosen):
    """A method of the comparison."""

    needed: ClassVar[tuple[str, ...]] = ("run",)
    beside: ClassVar[tuple[str, ...]] = ("name", "label", "update_rule")
    label: Annotated[Name | None, Field(description="what tables and curves call it; its name unless given")] = None
    update_rule: Any = None  # a Chosen, or None for that of the scenario; `_model_of` says what is allowed


class ChosenPart(Chosen):
    """A part of a run that is itself chosen by name: an allocation, an update rule."""

    needed: ClassVar[tuple[str, ...]] = ("start",)


@dataclasses.dataclass(frozen=True, eq=False)
class Kind:
    """What can be chosen by name: where the names are looked up, and the model an entry becomes."""

    word: str
    registry: Mapping[str, Any]
    base: type[Chosen]
    plural: str = ""

    @property
    def entry_points(self) -> str:
        return f"asyncsim.{self.plural or self.word + 's'}"


ALLOCATION = Kind("allocation", ALLOCATIONS, ChosenPart)
UPDATE_RULE = Kind("update_rule", UPDATE_RULES, ChosenPart)
METHOD = Kind("method", METHODS, ChosenMethod)
PROBLEM = Kind("problem", PROBLEMS, Chosen)
LAW = Kind("law", LAWS, Chosen)
OWN_DESCRIPTIONS = {
    "speed": Kind("speed", SPEEDS, Chosen),
    "availability": Kind("availability", AVAILABILITIES, Chosen, "availabilities"),
}

# parameters with these annotations are chosen by name in their turn: `allocation: ata` or {name: ata, alpha: 2}
BY_NAME: dict[Any, Kind] = {Allocation: ALLOCATION, UpdateRule: UPDATE_RULE}


def words_for(annotation: Any) -> str:
    """What `annotation` admits in a scenario, in words."""
    if annotation in BY_NAME:
        return f"one of {listed(BY_NAME[annotation].registry)}, or {{name: …, …}}"
    return allowed(annotation)


def looked_up(kind: Kind, name: Any, info: ValidationInfo) -> Any:
    """What `name` stands for; an error in our words when there is no such thing."""
    words = f"one of {listed(kind.registry)}"
    if not isinstance(name, str):
        raise wrong(not_allowed(name, words))
    if name in kind.registry:
        return kind.registry[name]
    if ":" in name:
        return _from_code(name, kind, info.context or {})
    for point in importlib.metadata.entry_points(group=kind.entry_points):
        if point.name == name:
            return _loaded(name, point.load)
    raise wrong(f"no {kind.word} is called {shown(name)}; allowed: {words}{did_you_mean(name, kind.registry)}")


def _from_code(name: str, kind: Kind, context: Mapping[str, Any]) -> Any:
    module, _, attribute = name.partition(":")
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*", name):
        raise wrong(f"{shown(name)} is no module:attribute; allowed: one of {listed(kind.registry)}")
    if not context.get("allow_code"):
        raise wrong(f"{shown(name)} is code, which a scenario may not run; if you trust it, say --allow-code")
    folder = str(Path(context.get("base") or ".").resolve())

    def load() -> Any:
        # beside the file first, and only while we look: sys.path is the user's
        sys.path.insert(0, folder)
        try:
            found = getattr(importlib.import_module(module), attribute)
            context.get("modules", {})[module] = folder
            return found
        finally:
            sys.path.remove(folder)

    return _loaded(name, load)


def _loaded(name: str, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except Exception as error:  # it is not our code: whatever it raises is told in one line
        raise wrong(f"{shown(name)} cannot be loaded: {type(error).__name__}: {shown(str(error), 200)}") from None


def built_by(made_by: Any, given: Mapping[str, Any]) -> Any:
    return made_by(**given) if callable(made_by) else made_by


def object_of(value: Any) -> Any:
    return value.build() if isinstance(value, Chosen) else value


@functools.cache
def _registered_model(kind: Kind, name: str) -> type[Chosen]:
    return _model_of(kind, kind.registry[name], name)


def _model_of(kind: Kind, made_by: Any, name: str) -> type[Chosen]:
    """The model of an entry that `made_by` is built from."""
    fields: dict[str, Any] = {}
    for parameter, annotation, default, meaning in parameters_of(made_by):
        words = " · ".join(part for part in (meaning, f"allowed: {words_for(annotation)}") if part)
        fields[parameter] = (_type_of(annotation), field_of(words, as_written(annotation, default)))
    fields["name"] = (Literal[name], Field(description=f"the {kind.word}"))
    if kind is METHOD:
        fields["update_rule"] = (
            _type_of(UpdateRule),
            field_of("of this method alone; else that of the scenario", None),
        )
    model = create_model(f"{kind.word}_{name}", __base__=kind.base, __doc__=first_line(made_by), **fields)
    model.made_by = made_by
    return model


def _type_of(annotation: Any) -> Any:
    if annotation in BY_NAME:
        kind = BY_NAME[annotation]
        return Annotated[Any, PlainValidator(_chosen(kind), json_schema_input_type=_registered(kind) | str)]
    return Annotated[annotation, said(annotation)]


def field_of(words: str, default: Any) -> Any:
    return Field(description=words) if default is inspect.Parameter.empty else Field(default, description=words)


def as_written(annotation: Any, default: Any) -> Any:
    """A default that is an object, as a scenario would write it."""
    if annotation not in BY_NAME:
        return default
    kind = BY_NAME[annotation]
    name = next((name for name, made_by in kind.registry.items() if type(default) is made_by), None)
    if name is None:
        return default
    given = {field.name: getattr(default, field.name) for field in dataclasses.fields(default)}
    return _registered_model(kind, name).model_validate({"name": name, **given})


def first_line(thing: Any) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0]


def parameters_of(made_by: Any) -> list[tuple[str, Any, Any, str]]:
    """(name, annotation, default, meaning) of each parameter; own code need not use our decorator."""
    if dataclasses.is_dataclass(made_by) and isinstance(made_by, type):
        annotations = hints(made_by)
        defaults = {
            field.name: field.default_factory() if callable(field.default_factory) else field.default
            for field in dataclasses.fields(made_by)
            if field.init
        }
        meanings = {parameter.name: parameter.meaning for parameter in described(made_by)}
        return [
            (
                name,
                annotations[name],
                inspect.Parameter.empty if default is dataclasses.MISSING else default,
                meanings[name],
            )
            for name, default in defaults.items()
        ]
    if not callable(made_by):
        return []
    named = [
        parameter
        for parameter in inspect.signature(made_by).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]
    return [(parameter.name, Any, parameter.default, "") for parameter in named]


def _chosen(kind: Kind) -> Callable[[Any, ValidationInfo], Chosen]:
    def validate(value: Any, info: ValidationInfo) -> Chosen:
        if isinstance(value, Chosen):
            return value
        if isinstance(value, str):  # `problem: none` is short for {name: none}
            value = {"name": value}
        if not isinstance(value, Mapping):
            raise wrong(not_allowed(value, f"a mapping with `name`: one of {listed(kind.registry)}"))
        if "name" not in value:
            raise_at([(("name",), f"missing; needed: one of {listed(kind.registry)}")])
        try:
            made_by = looked_up(kind, value["name"], info)
        except PydanticCustomError as error:
            raise_at([(("name",), error.message())])
        name = value["name"]
        model = _registered_model(kind, name) if name in kind.registry else _model_of(kind, made_by, name)
        return model.model_validate(value, context=info.context)

    return validate


def _registered(kind: Kind) -> Any:
    """The entries a scenario can hold without plugins, for the JSON schema."""
    models = [_registered_model(kind, name) for name in kind.registry]
    return Annotated[functools.reduce(operator.or_, models), Field(discriminator="name")]


MethodEntry = Annotated[Any, PlainValidator(_chosen(METHOD), json_schema_input_type=_registered(METHOD))]
ProblemEntry = Annotated[Any, PlainValidator(_chosen(PROBLEM), json_schema_input_type=_registered(PROBLEM))]
UpdateRuleEntry = Annotated[
    Any, PlainValidator(_chosen(UPDATE_RULE), json_schema_input_type=_registered(UPDATE_RULE) | str)
]


# ---- laws and workers


@dataclasses.dataclass(frozen=True)
class GivenTime:
    """A compute or communication time as the scenario has it: a number, an expression, or a law by name.

    data: the plain data; made_by: the law's class if it is none of ours, else None; base: the folder that relative
    paths of traces start from; inner: the classes that are none of ours of the laws inside this law, by name.
    """

    data: Any
    made_by: Any = None
    base: Path = Path()
    inner: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def spec(self, n: int, start: int, count: int) -> Any:
        """What `Workers` takes, for a group of `count` workers, of which `start` is the first, out of n."""
        if self.made_by is None:
            return _found_from(self.base, self._with_inner(self.data, n, start, count))
        given = {key: value for key, value in self.data.items() if key != "distribution"}
        return of_own_code(self.data["distribution"], self.made_by, given, n, range(start, start + count))

    def _with_inner(self, data: Any, n: int, start: int, count: int) -> Any:
        """`data` with the laws that are none of ours made."""
        if isinstance(data, list):
            return [self._with_inner(entry, n, start, count) for entry in data]
        if not self.inner or not isinstance(data, Mapping):
            return data
        name = data.get("distribution")
        if isinstance(name, str) and name in self.inner:
            return GivenTime(data, self.inner[name], self.base).spec(n, start, count)
        return {key: self._with_inner(entry, n, start, count) for key, entry in data.items()}


def of_own_code(name: str, made_by: Any, given: Mapping[str, Any], n: int, workers: range) -> Any:
    """A law or description that is none of ours, or worker → it where parameters differ from worker to worker."""
    # a text is an expression, a list has one entry a worker, unless the class says that it wants a text or a list
    hints_of = {key: hint for key, hint, _, _ in parameters_of(made_by) if hint is not Any}
    wanted = {
        key
        for key, hint in hints_of.items()
        if allows(hint, "text" if isinstance(given.get(key), str) else given.get(key))
    }
    own = {key: _per_worker(value, n) for key, value in given.items() if varies(value) and key not in wanted}
    for key, (entries, whole) in own.items():
        if not whole:
            of_length(entries, len(workers), key)
    shared = {key: value for key, value in given.items() if key not in own}
    made = _OfOwnCode(name, made_by, shared, own, workers.start)
    return made if own else made(workers.start)


def _found_from(base: Path, data: Any) -> Any:
    """`data` with the paths of traces as they are seen from here; laws may stand inside laws."""
    if isinstance(data, list):
        return [_found_from(base, entry) for entry in data]
    if not isinstance(data, Mapping):
        return data
    found = {
        key: _found_from(base, entry) if isinstance(entry, Mapping | list) else entry for key, entry in data.items()
    }
    if found.get("distribution") == "trace" and isinstance(found.get("file"), str):
        found["file"] = str(base / found["file"])
    return found


class _OfOwnCode:
    """worker → law or description, for those that are not in our registries."""

    def __init__(
        self, name: str, made_by: Any, shared: dict[str, Any], own: dict[str, tuple[Any, bool]], start: int
    ) -> None:
        self.name, self.made_by, self.shared, self.own, self.start = name, made_by, shared, own, start

    def __call__(self, worker: int) -> Any:
        own = {
            key: float(values[worker if whole else worker - self.start]) for key, (values, whole) in self.own.items()
        }
        try:
            return built_by(self.made_by, {**self.shared, **own})
        except (ValueError, TypeError):
            raise
        except Exception as error:  # it is not our code: whatever it raises is told in one line
            raise ValueError(f"{self.name}: {type(error).__name__}: {shown(str(error), 200)}") from error


def varies(value: Any) -> bool:
    return isinstance(value, str | list)


def _per_worker(value: Any, n: int) -> tuple[Any, bool]:
    """One number a worker, and whether of all workers (an expression) or of the group (a list)."""
    return (evaluate(value, n), True) if isinstance(value, str) else (value, False)


TIME_WORDS = f"{allowed(NonNegative)} (seconds), inf (never), an expression in i and n, a list (one a worker), or a law"


def read_time(value: Any, info: ValidationInfo) -> GivenTime:
    """Names and keys are checked here; numbers against the number of workers, when the workers are built."""
    if _depth(value) > DEEPEST_LAW:
        raise wrong(f"laws stand inside laws more than {DEEPEST_LAW} deep")
    if isinstance(value, GivenTime):
        return value
    if not isinstance(value, Mapping):
        value = number_or_text(value)
        if isinstance(value, str | list) or allows(Time, value):
            return GivenTime(value)
        raise wrong(not_allowed(value, TIME_WORDS))
    if "distribution" not in value:
        raise_at([(("distribution",), f"missing; needed: one of {listed(LAWS)}")])
    try:
        law = looked_up(LAW, value["distribution"], info)
    except PydanticCustomError as error:
        raise_at([(("distribution",), error.message())])
    known = {name: (annotation, default) for name, annotation, default, _ in parameters_of(law)}
    keys = ["distribution", *known]
    given = {key: number_or_text(entry) for key, entry in value.items()}
    inner = _Inner(info)
    laws = {key for key in given if key in known and (known[key][0] == ALaw or inside(known[key][0]))}
    given |= {key: inner.read(value[key], known[key][0], (key,)) for key in laws}
    raise_at(
        inner.problems
        + [
            ((key,), f"unknown key; allowed: {listed(keys)}{did_you_mean(key, keys)}")
            for key in given
            if key not in keys
        ]
        + [
            (
                (key,),
                not_allowed(given[key], f"{allowed(annotation)}, a list (one a worker), or an expression in i and n"),
            )
            for key, (annotation, _) in known.items()
            if key in given and key not in laws and not varies(given[key]) and not allows(annotation, given[key])
        ]
        + [
            ((key,), f"missing; needed: {allowed(annotation)}")
            for key, (annotation, default) in known.items()
            if key not in given and default is inspect.Parameter.empty
        ]
    )
    base = Path((info.context or {}).get("base") or ".")
    return GivenTime(given, None if value["distribution"] in LAWS else law, base, inner.classes)


DEEPEST_LAW = 40  # mappings and lists


def _depth(value: Any) -> int:
    """How deep mappings and lists stand inside each other, up to one more than is allowed."""
    deep, level = 0, [value]
    while level and deep <= DEEPEST_LAW:
        held = [
            list(entry.values()) if isinstance(entry, Mapping) else entry
            for entry in level
            if isinstance(entry, Mapping | list)
        ]
        deep, level = deep + bool(held), [entry for entries in held for entry in entries]
    return deep


class _Inner:
    """Reads the laws inside a law, and keeps what is wrong with them and the classes that are none of ours."""

    def __init__(self, info: ValidationInfo) -> None:
        self.info = info
        self.problems: list[tuple[Keys, str]] = []
        self.classes: dict[str, Any] = {}

    def read(self, value: Any, annotation: Any, road: Keys) -> Any:
        """The plain data of a law, or of a list of laws or of parts."""
        entry = inside(annotation)
        if entry is None:
            return self._law(value, road)
        if not isinstance(value, list | tuple) or not value:
            self.problems.append((road, not_allowed(value, f"a list, each {allowed(entry)}, at least one")))
            return value
        read = self._law if entry == ALaw else self._part
        return [read(each, (*road, place)) for place, each in enumerate(value)]

    def _law(self, value: Any, road: Keys) -> Any:
        try:
            found = read_time(value, self.info)
        except PydanticCustomError as error:
            self.problems.append((road, error.message()))
            return value
        except ValidationError as error:
            self.problems += [((*road, *found["loc"]), found["msg"]) for found in error.errors(include_url=False)]
            return value
        self.classes |= found.inner
        if found.made_by is not None:
            self.classes[found.data["distribution"]] = found.made_by
        return found.data

    def _part(self, value: Any, road: Keys) -> Any:
        keys = ("weight", "law")
        if not isinstance(value, Mapping):
            self.problems.append((road, not_allowed(value, "a mapping {weight: …, law: …}")))
            return value
        for key in value:
            if key not in keys:
                message = f"unknown key; allowed: {listed(keys)}{did_you_mean(key, keys)}"
                self.problems.append(((*road, key), message))
        self.problems += [
            ((*road, key), f"missing; needed: {words}")
            for key, words in (("weight", allowed(NonNegative)), ("law", "a law"))
            if key not in value
        ]
        weight = value.get("weight", 0)
        if not varies(weight) and not allows(NonNegative, weight):
            words = f"{allowed(NonNegative)}, a list (one a worker), or an expression in i and n"
            self.problems.append(((*road, "weight"), not_allowed(weight, words)))
        return {**value, **({"law": self._law(value["law"], (*road, "law"))} if "law" in value else {})}


def number_or_text(value: Any) -> Any:
    """`value` with `inf` read as never, wherever it stands: JSON has no other way to write it."""
    if isinstance(value, str) and value.strip() in ("inf", "+inf"):
        return math.inf
    if isinstance(value, list | tuple):
        return [number_or_text(entry) for entry in value]
    return value


@functools.cache  # asked for twice, the models would have two names
def time_for_the_schema() -> Any:
    models = []
    any_time: Any = ForwardRef("AnyTime")
    of_part: dict[str, Any] = {
        "weight": (float | list[float] | str, Field(description="how often it is drawn, compared with the others")),
        "law": (any_time, Field(description="the law")),
    }
    part: Any = create_model("part_of_mixture", __config__=ConfigDict(extra="forbid"), **of_part)
    for name, law in LAWS.items():
        fields: dict[str, Any] = {"distribution": (Literal[name], Field(description="the law"))}
        for parameter, annotation, default, meaning in parameters_of(law):
            entry = inside(annotation)
            words = f"{meaning} · allowed: {allowed(annotation)}; a list (one a worker) or an expression in i and n"
            written: Any = float | list[float] | str
            if annotation == ALaw:
                written, words = any_time, meaning
            elif entry is not None:
                written, words = list[any_time if entry == ALaw else part], meaning  # type: ignore[misc]
            fields[parameter] = (written, field_of(words, "inf" if default == math.inf else default))
        models.append(
            create_model(f"law_{name}", __config__=ConfigDict(extra="forbid"), __doc__=first_line(law), **fields)
        )
    by_name: Any = Annotated[functools.reduce(operator.or_, models), Field(discriminator="distribution")]
    number: Any = Annotated[float, Field(ge=0)]
    time: Any = TypeAliasType("AnyTime", number | str | list[float] | by_name)  # by a name, as laws stand inside laws
    for model in (part, *models):
        model.model_rebuild(_types_namespace={"AnyTime": time})
    return time


GivenTimes = Annotated[
    GivenTime,
    PlainValidator(read_time, json_schema_input_type=time_for_the_schema()),
    PlainSerializer(lambda time: plain(time.data)),
]


# ---- what else is described by worker: speeds


class OwnDescription(dict[str, Any]):
    """{name: module:attribute, parameters} of a description that is none of ours; made_by: what the name stands for."""

    made_by: Any

    def spec(self, n: int, start: int, count: int) -> Any:
        """What `Workers` takes, for a group of `count` workers, of which `start` is the first, out of n."""
        given = {key: value for key, value in self.items() if key != "name"}
        return of_own_code(self["name"], self.made_by, given, n, range(start, start + count))


@dataclasses.dataclass(frozen=True)
class Described:
    """A description of workers as the scenario has it: {name: …, parameters}, or a number or text where that is short for one.

    word: what is described; part: its place in a row of `Workers.groups`; short: what stands for a description
    """

    word: str
    part: int
    registry: Mapping[str, type]
    short: str = ""

    def read(self, value: Any, info: ValidationInfo) -> Any:
        """Names, keys and single values are checked here; what is for the workers to say, when they are built."""
        if isinstance(value, OwnDescription):
            return value
        if not isinstance(value, Mapping):
            if self.short and (isinstance(value, str | list) or allows(NonNegative, value)):
                return value
            raise wrong(not_allowed(value, self._words()))
        if "name" not in value:
            raise_at([(("name",), f"missing; needed: one of {listed(self.registry)}")])
        name = value["name"]
        try:
            made_by = looked_up(OWN_DESCRIPTIONS[self.word], name, info)
        except PydanticCustomError as error:
            raise_at([(("name",), error.message())])
        known = {key: (annotation, default) for key, annotation, default, _ in parameters_of(made_by)}
        keys = ["name", *known]
        given = {key: self._value(known[key][0], entry) if key in known else entry for key, entry in value.items()}
        raise_at(
            [
                ((key,), f"unknown key; allowed: {listed(keys)}{did_you_mean(key, keys)}")
                for key in given
                if key not in keys
            ]
            + [
                ((key,), not_allowed(given[key], _words_by_worker(annotation)))
                for key, (annotation, _) in known.items()
                if key in given and not _may_vary(annotation, given[key]) and not allows(annotation, given[key])
            ]
            + [
                ((key,), f"missing; needed: {_words_by_worker(annotation)}")
                for key, (annotation, default) in known.items()
                if key not in given and default is inspect.Parameter.empty
            ]
        )
        if name in self.registry:
            return given
        own = OwnDescription(given)
        own.made_by = made_by
        return own

    @staticmethod
    def _value(annotation: Any, value: Any) -> Any:
        return value.data if isinstance(value, GivenTime) else number_or_text(value)

    def _words(self) -> str:
        named = f"a mapping with `name`: one of {listed(self.registry)}"
        return f"{self.short}, or {named}" if self.short else named

    def for_the_schema(self) -> Any:
        """Its type, for the JSON schema."""
        models = []
        for name, cls in self.registry.items():
            fields: dict[str, Any] = {"name": (Literal[name], Field(description=f"the {self.word}"))}
            for parameter, annotation, default, meaning in parameters_of(cls):
                words = f"{meaning} · allowed: {_words_by_worker(annotation)}"
                written: Any = Any if annotation is Any else float | str | list[float | str] | None
                fields[parameter] = (written, field_of(words, default))
            models.append(
                create_model(
                    f"{self.word}_{name}", __config__=ConfigDict(extra="forbid"), __doc__=first_line(cls), **fields
                )
            )
        by_name: Any = Annotated[functools.reduce(operator.or_, models), Field(discriminator="name")]
        return by_name | float | str | list[float] if self.short else by_name


def _may_vary(annotation: Any, value: Any) -> bool:
    """Whether it is something that is read only when the workers are built: an expression, a list, a law."""
    return annotation is Any or (isinstance(value, str | list) and not _is_text(annotation))


def _is_text(annotation: Any) -> bool:
    # what admits one text only among several, or any text, is no number that an expression could give
    return allows(annotation, "paused") or allows(annotation, "linear")


def _words_by_worker(annotation: Any) -> str:
    if annotation is Any:
        return TIME_WORDS
    return (
        allowed(annotation) if _is_text(annotation) else f"{allowed(annotation)}, an expression in i and n, or a list"
    )


SPEED = Described(
    "speed", 4, SPEEDS, f"a power ({allowed(NonNegative)}), an expression in i and n, a list (one a worker)"
)
SpeedEntry = Annotated[
    Any, PlainValidator(SPEED.read, json_schema_input_type=SPEED.for_the_schema()), PlainSerializer(lambda v: plain(v))  # noqa: PLW0108 - plain stands further down
]
THERE = Described("availability", 5, AVAILABILITIES)
AvailabilityEntry = Annotated[
    Any, PlainValidator(THERE.read, json_schema_input_type=THERE.for_the_schema()), PlainSerializer(lambda v: plain(v))  # noqa: PLW0108 - plain stands further down
]
DESCRIBED = (SPEED, THERE)
_THERE_WORDS = "when workers are there: {name: …}, `asyncsim list availabilities`; always unless given"
_SPEED_WORDS = "how power changes with time: {name: …}, `asyncsim list speeds`; compute_time is then that at power 1"

WorkerCount = Annotated[int, at.Ge(1), at.Le(MAX_WORKERS)]
_COMPUTE = "seconds a gradient: a number, an expression in i = 1…n and n, a list, or a law {distribution: …}"


@dataclasses.dataclass(frozen=True)
class GivenLink:
    """{latency: …, bandwidth: …} as the scenario has it; else like `GivenTime`."""

    latency: GivenTime
    bandwidth: Any = None

    @property
    def data(self) -> Any:
        """The plain data."""
        return {"latency": self.latency.data, **({} if self.bandwidth is None else {"bandwidth": self.bandwidth})}

    def spec(self, n: int, start: int, count: int) -> Any:
        """What `Workers` takes."""
        return {**self.data, "latency": self.latency.spec(n, start, count)}


_BANDWIDTH_WORDS = f"{allowed(Positive)} (numbers a second), inf, an expression in i and n, or a list (one a worker)"


def _message_time(value: Any, info: ValidationInfo) -> GivenTime | GivenLink:
    if isinstance(value, GivenLink):
        return value
    if not isinstance(value, Mapping) or "distribution" in value or not {"latency", "bandwidth"} & set(value):
        return read_time(value, info)
    keys = ["latency", "bandwidth"]
    problems: list[tuple[Keys, str]] = [
        ((key,), f"unknown key; allowed: {listed(keys)}{did_you_mean(key, keys)}") for key in value if key not in keys
    ]
    latency = GivenTime(0)
    try:
        latency = read_time(value.get("latency", 0), info)
    except PydanticCustomError as error:
        problems.append((("latency",), error.message()))
    except ValidationError as error:
        problems += [(("latency", *found["loc"]), found["msg"]) for found in error.errors(include_url=False)]
    bandwidth = number_or_text(value.get("bandwidth"))
    if "bandwidth" in value and not varies(bandwidth) and not (allows(Time, bandwidth) and bandwidth > 0):
        problems.append((("bandwidth",), not_allowed(bandwidth, _BANDWIDTH_WORDS)))
    raise_at(problems)
    return GivenLink(latency, bandwidth)


def _message_time_for_the_schema() -> Any:
    times = time_for_the_schema()
    link = create_model(
        "link",
        __config__=ConfigDict(extra="forbid"),
        __doc__="A link: latency + size / bandwidth seconds.",
        latency=(times, Field(0, description="seconds of a message of no size: like a time")),
        bandwidth=(float | list[float] | str | None, Field(None, description=f"allowed: {_BANDWIDTH_WORDS}")),
    )
    return times | link


MessageTimes = Annotated[
    Any,
    PlainValidator(_message_time, json_schema_input_type=_message_time_for_the_schema()),
    PlainSerializer(lambda time: plain(time.data)),
]


class CommunicationTime(Strict):
    """Seconds that messages take: times, or links {latency: …, bandwidth: …}."""

    uplink: Annotated[MessageTimes, Field(description="seconds from a worker to the server, or a link")] = GivenTime(0)
    downlink: Annotated[MessageTimes, Field(description="seconds from the server to a worker, or a link")] = GivenTime(
        0
    )


class SharedLinkEntry(Strict):
    """The server's link, which carries one message at a time."""

    capacity: Annotated[Positive, said(Positive), Field(description="numbers a second")]
    broadcast: Annotated[
        Literal["free", "counted"],
        said(Literal["free", "counted"]),
        Field(description="counted: what the server sends goes through it too, in the other direction"),
    ] = "free"


_SLOWDOWN_WORDS = SLOWDOWN.partition(", or a function")[0]
_CONTENTION_WORDS = (
    "who slows whom down while they compute: {capacity: …} or {slowdown: …}, and size or members; nobody"
)


def _slowdown(value: Any) -> Any:
    try:
        Contention(slowdown=value)
    except ValueError as error:
        message = str(error).removeprefix("Contention: ")
        raise wrong(message if isinstance(value, str) else not_allowed(value, _SLOWDOWN_WORDS)) from None
    return value


def _members(value: Any) -> Any:
    try:
        Contention(capacity=1, members=value)
    except ValueError as error:
        raise wrong(str(error).removeprefix("Contention: members: ").removeprefix("Contention: ")) from None
    return value


class ContentionEntry(Strict):
    """Workers that slow each other down while they compute at the same time: a capacity or a slowdown."""

    capacity: Annotated[
        Positive | None,
        said(Positive),
        Field(description="C: while c workers that share compute, each has min(1, C/c) of its power"),
    ] = None
    slowdown: Annotated[
        Any,
        PlainValidator(_slowdown, json_schema_input_type=str | list[float] | None),
        Field(description=f"instead of capacity: by which factor a gradient takes longer: {_SLOWDOWN_WORDS}"),
    ] = None
    size: Annotated[
        Count | None, said(Count), Field(description="how many share, workers in their order; all unless given")
    ] = None
    members: Annotated[
        Any,
        PlainValidator(_members, json_schema_input_type=list[list[Whole]] | None),
        Field(description=f"instead of size: {MEMBERS}"),
    ] = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        try:
            self.build()
        except ValueError as error:
            raise wrong(str(error).removeprefix("Contention: ")) from None
        return self

    def build(self) -> Contention:
        """What `Workers` takes."""
        return Contention(self.capacity, self.slowdown, self.size, self.members)


class _After(BaseModel):
    after: float


def _stop_takes_effect(value: Any) -> Any:
    try:
        stop_delay(value)
    except ValueError:
        raise wrong(not_allowed(value, ALLOWED_STOPS, ["at_once", "after_current_gradient"])) from None
    return value


StopTakesEffect = Annotated[
    Any,
    PlainValidator(_stop_takes_effect, json_schema_input_type=Literal["at_once", "after_current_gradient"] | _After),
]


class Group(Strict):
    """Workers that share a description."""

    count: Annotated[WorkerCount, said(WorkerCount), Field(description="how many workers, a whole number >= 1")]
    compute_time: Annotated[GivenTimes | None, Field(description=_COMPUTE)] = None
    communication_time: Annotated[CommunicationTime, Field(description="seconds of messages")] = CommunicationTime()
    speed: Annotated[SpeedEntry | None, Field(description=_SPEED_WORDS)] = None
    availability: Annotated[AvailabilityEntry | None, Field(description=_THERE_WORDS)] = None
    contention: Annotated[ContentionEntry | None, Field(description=f"{_CONTENTION_WORDS} unless given")] = None

    @model_validator(mode="after")
    def _has_a_time(self) -> Self:
        if self.compute_time is None and self.speed is None:
            raise_at([(("compute_time",), f"missing; needed: {_COMPUTE}")])
        return self

    def described(self) -> list[Any]:
        """What is described by worker, in the order of `DESCRIBED`."""
        return [getattr(self, kind.word) for kind in DESCRIBED]

    def descriptions(self, n: int, start: int) -> list[Any]:
        """The same as `Workers` takes it, where worker `start` is the first, out of n."""
        return [
            data.spec(n, start, self.count) if isinstance(data, OwnDescription) else data for data in self.described()
        ]

    def times(self) -> dict[Keys, GivenTime]:
        """The three times and where they stand."""
        return {
            ("compute_time",): self.compute_time or GivenTime(1),
            ("communication_time", "uplink"): self.communication_time.uplink,
            ("communication_time", "downlink"): self.communication_time.downlink,
        }


FOR_ALL = ("shared_link", "stop_takes_effect", "contention")  # keys of workers that stand beside `groups` too


class WorkersEntry(Strict):
    """The workers: `count` and `compute_time` for all of them, or `groups`, or a `preset`."""

    count: Annotated[WorkerCount | None, said(WorkerCount), Field(description="n, how many workers")] = None
    compute_time: Annotated[GivenTimes | None, Field(description=_COMPUTE)] = None
    communication_time: Annotated[
        CommunicationTime | None, Field(description="seconds of messages: {uplink: …, downlink: …}; 0 unless given")
    ] = None
    speed: Annotated[SpeedEntry | None, Field(description=_SPEED_WORDS)] = None
    availability: Annotated[AvailabilityEntry | None, Field(description=_THERE_WORDS)] = None
    shared_link: Annotated[
        SharedLinkEntry | None, Field(description="the server's link: {capacity: numbers a second}; none unless given")
    ] = None
    stop_takes_effect: Annotated[
        StopTakesEffect, Field(description=f"when a stopped worker is free: {ALLOWED_STOPS}")
    ] = "at_once"
    contention: Annotated[ContentionEntry | None, Field(description=f"{_CONTENTION_WORDS} unless given")] = None
    groups: Annotated[
        Annotated[list[Group], Field(min_length=1, max_length=MAX_METHODS), BeforeValidator(as_list)] | None,
        Field(description="instead of count and compute_time: a list of groups, each with count and compute_time"),
    ] = None
    preset: Annotated[
        str | None, Field(description=f"instead of compute_time: ready-made workers, one of {listed(PRESETS)}")
    ] = None
    seconds: Annotated[
        Positive | None, said(Positive), Field(description="beside preset: seconds a gradient on its reference device")
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, data: Any) -> Any:
        """Put the groups of a preset in its place: a scenario keeps what it had when presets change."""
        if not isinstance(data, Mapping) or data.get("preset") is None:
            if isinstance(data, Mapping) and data.get("seconds") is not None:
                raise_at([(("seconds",), "stands without a `preset`; give compute_time in seconds")])
            return data
        name, count, seconds = data["preset"], data.get("count"), data.get("seconds")
        problems: list[tuple[Keys, str]] = [
            ((key,), "stands beside `preset`, which allows count and seconds")
            for key in data
            if key in cls.model_fields and key not in ("preset", "count", "seconds", *FOR_ALL)
        ]
        problems += [
            ((key,), f"unknown key; allowed beside `preset`: count, seconds{did_you_mean(key, ['count', 'seconds'])}")
            for key in data
            if key not in cls.model_fields
        ]
        if not isinstance(name, str) or name not in PRESETS:
            problems.append((("preset",), not_allowed(name, f"one of {listed(PRESETS)}", list(PRESETS))))
        for key, value, annotation in (("count", count, WorkerCount), ("seconds", seconds, Positive)):
            if value is not None and not allows(annotation, value):
                problems.append(((key,), not_allowed(value, allowed(annotation))))
        raise_at(problems)
        groups = PRESETS[name].entries(count, 1.0 if seconds is None else float(seconds))
        return {"groups": groups, **{key: data[key] for key in FOR_ALL if key in data}}

    @property
    def parts(self) -> list[Group]:
        """The workers as groups, one unless `groups` was given."""
        if self.groups is not None:
            return self.groups
        messages = self.communication_time or CommunicationTime()
        return [
            Group.model_construct(
                None,
                count=self.count,
                compute_time=self.compute_time,
                communication_time=messages,
                speed=self.speed,
                availability=self.availability,
            )
        ]

    @property
    def starts(self) -> list[int]:
        """The first worker of each part, and n."""
        return [0, *itertools.accumulate(group.count for group in self.parts)]

    def build(self) -> Workers:
        """The workers; ValueError for what does not fit their number."""
        n = self.starts[-1]
        rows = [
            (
                group.count,
                *(time.spec(n, start, group.count) for time in group.times().values()),
                *group.descriptions(n, start),
                None if group.contention is None else group.contention.build(),
            )
            for start, group in zip(self.starts[:-1], self.parts, strict=True)
        ]
        return Workers.groups(rows, **self.options())

    def options(self) -> dict[str, Any]:
        """What all groups share."""
        link = self.shared_link
        return {
            "shared_link": None if link is None else SharedLink(link.capacity, link.broadcast),
            "stop_takes_effect": self.stop_takes_effect,
            "contention": None if self.contention is None else self.contention.build(),
        }

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.groups is not None:
            beside = self.model_fields_set - {"groups", *FOR_ALL}
            raise_at([((key,), "stands beside `groups`; it belongs into each group") for key in sorted(beside)])
        else:
            needed = {"count": "how many workers (or give `groups`)"}
            if self.speed is None:
                needed["compute_time"] = _COMPUTE
            raise_at(
                [((key,), f"missing; needed: {words}") for key, words in needed.items() if getattr(self, key) is None]
            )
        if self.starts[-1] > MAX_WORKERS:
            raise wrong(f"{self.starts[-1]:,} workers; allowed: up to {MAX_WORKERS:,}")
        try:
            self.build()
        except (ValueError, TypeError):
            raise_at(list(self._what_does_not_fit()))
            raise
        return self

    def _what_does_not_fit(self) -> Iterator[tuple[Keys, str]]:
        """Each time that cannot be built, tried alone: as a group between workers whose times are 0."""
        n = self.starts[-1]
        if self.contention is not None:
            yield from self._what_cannot_share(self.contention, range(n), ())
        for g, (start, group) in enumerate(zip(self.starts[:-1], self.parts, strict=True)):
            if group.contention is not None:
                yield from self._what_cannot_share(group.contention, range(start, start + group.count), ("groups", g))
            count = group.count
            for road, time in group.times().items():
                before, after = (start, 0.0), (n - start - group.count, 0.0)
                try:
                    own: list[Any] = [group.count, 1.0, 0.0, 0.0]
                    own[("compute_time", "uplink", "downlink").index(road[-1]) + 1] = time.spec(n, start, count)
                    Workers.groups([row for row in (before, own, after) if row[0]])
                except (ValueError, TypeError) as error:
                    message = re.sub(rf"^(groups\[\d+\]: )?{road[-1]}: ", "", str(error))
                    place = (*road, *_named_in(message, time.data))
                    yield (place if self.groups is None else ("groups", g, *place)), message
            for kind, data in zip(DESCRIBED, group.described(), strict=True):
                try:
                    spec = data.spec(n, start, count) if isinstance(data, OwnDescription) else data
                    row = (group.count, 1.0, *([0.0, 0.0] + [None] * (kind.part - 4)), spec)
                    Workers.groups([row for row in (before, row, after) if row[0]])
                except (ValueError, TypeError) as error:
                    message = re.sub(rf"^(groups\[\d+\]: )?{kind.word}: ", "", str(error))
                    place = (kind.word, *_named_in(message, data))
                    yield (place if self.groups is None else ("groups", g, *place)), message

    def _what_cannot_share(self, entry: ContentionEntry, workers: range, place: Keys) -> Iterator[tuple[Keys, str]]:
        if place and self.contention is not None:
            yield (*place, "contention"), "stands beside the `contention` of all workers; a worker shares one thing"
        try:
            entry.build().groups(workers)
        except ValueError as error:
            message = str(error).removeprefix("Contention: ")
            road = tuple(key for key in ("slowdown", "members") if getattr(entry, key) is not None)
            yield (*place, "contention", *road), message.removeprefix("members: ")


def _named_in(message: str, data: Any) -> Keys:
    """The parameter of a law that a message is about, as a road below the law; laws may stand inside laws."""
    road: Keys = ()
    for token in re.split(r": | = ", message):
        found = re.fullmatch(r"(\w+)(?:\.(\d+)|\[\d+\])?", token)
        if not found:
            break
        key, place = found[1], found[2]
        if isinstance(data, dict) and key in data:
            road, data = (*road, key), data[key]
            if place and isinstance(data, list):
                road, data = (*road, int(place)), data[int(place)]
    return road


# ---- the other sections


Points = Annotated[int, at.Ge(2), at.Le(100_000)]
Share = Annotated[float, at.Gt(0), at.Le(1)]
Events = Literal["all", "windows"]
Evaluation = Literal["auto", "single", "batched", "prefetched"]


class Target(Strict):
    """What is to be reached: the one place where ε stands."""

    squared_gradient_norm: Annotated[Positive | None, said(Positive), Field(description="‖∇f(x)‖² <= ε")] = None
    suboptimality: Annotated[Positive | None, said(Positive), Field(description="f(x) − f* <= ε; f* must be known")] = (
        None
    )
    test_accuracy: Annotated[
        Share | None,
        said(Share),
        Field(description="share of held-out samples told right >= this; a problem with test"),
    ] = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [key for key in type(self).model_fields if getattr(self, key) is not None]
        if not given:
            raise wrong(f"empty; needed: one of {listed(type(self).model_fields)}")
        raise_at([((key,), f"stands beside `{given[0]}`; one target can be given") for key in given[1:]])
        return self


class Stop(Strict):
    """When a run ends: at the first of these."""

    time: Annotated[NonNegative | None, said(NonNegative), Field(description="simulated seconds")] = None
    iterations: Annotated[Whole | None, said(Whole), Field(description="iterations k")] = None
    gradients: Annotated[Whole | None, said(Whole), Field(description="gradients that arrived")] = None
    target: Annotated[bool | None, said(bool), Field(description="true: when the target is reached")] = None
    wall_clock: Annotated[Positive | None, said(Positive), Field(description="real seconds a run may take")] = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        # 0 is an end too: stop at once
        if (
            all(getattr(self, key) is None for key in ("time", "iterations", "gradients", "wall_clock"))
            and not self.target
        ):
            raise wrong(f"no end is given; needed: at least one of {listed(type(self).model_fields)}")
        return self


class RecordEntry(Strict):
    """What is kept of a run, and how often."""

    points: Annotated[
        Points | None,
        said(Points),
        Field(description="about this many points a curve, thinned as the run grows; 200 unless given"),
    ] = None
    every: Annotated[Positive | None, said(Positive), Field(description="a point every so many simulated seconds")] = (
        None
    )
    iterations: Annotated[Count | None, said(Count), Field(description="a point every so many iterations")] = None
    events: Annotated[
        Events,
        said(Events),
        Field(description="all: every event; windows: those of up to 40 workers at begin, middle and end"),
    ] = "windows"
    checkpoint_every: Annotated[
        NonNegative, said(NonNegative), Field(description="real seconds between checkpoints; 0 = at every step")
    ] = 60.0

    @model_validator(mode="before")
    @classmethod
    def _points_unless_given(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and all(data.get(key) is None for key in ("points", "every", "iterations")):
            return {**data, "points": 200}
        return data

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [key for key in ("points", "every", "iterations") if getattr(self, key) is not None]
        raise_at([((key,), f"stands beside `{given[0]}`; give one of points, every, iterations") for key in given[1:]])
        return self


# ---- sweeps


def _grids(value: Any) -> dict[str, dict[str, Grid]]:
    """label → parameter → grid."""
    words = "a mapping of methods, {ringmaster_asgd: {threshold: [1, 5, 25]}, all: {…}}"
    if not isinstance(value, Mapping):
        raise wrong(not_allowed(value, words))
    if not value:
        raise wrong(f"empty; needed: {words}")
    found: dict[str, dict[str, Grid]] = {}
    problems: list[tuple[Keys, str]] = []
    for label, parameters in value.items():
        if not isinstance(parameters, Mapping) or not parameters:
            problems.append(((str(label),), not_allowed(parameters, "a mapping, {stepsize: [0.1, 0.2]}")))
            continue
        for parameter, grid in parameters.items():
            try:
                found.setdefault(str(label), {})[str(parameter)] = read_grid(grid)
            except ValueError as error:
                problems.append(((str(label), str(parameter)), str(error)))
    raise_at(problems)
    return found


class RandomChoice(Strict):
    """How many choices a random sweep draws for each method."""

    count: Annotated[Count, said(Count), Field(description="choices of parameters for each method")]
    seed: Annotated[Seed, said(Seed), Field(description="the seed that they are drawn from")] = 0


Rule = Literal["time_to_target", "final_squared_gradient_norm"]


class SweepEntry(Strict):
    """What `asyncsim sweep` tries for each method, and how it chooses."""

    parameters: Annotated[
        Any,
        PlainValidator(_grids, json_schema_input_type=dict[str, dict[str, list[Any] | dict[str, Any]]]),
        Field(description="by method, as it is called, or `all`: {stepsize: {powers_of: 5, from: -5, to: 4}}"),
    ]
    seeds: Annotated[
        Seeds | None,
        Field(description="the tuning seeds, none of those of the scenario; as many, right after them, unless given"),
    ] = None
    rule: Annotated[
        Rule | None,
        said(Rule),
        Field(description="what the best choice has least of; time_to_target where there is a target, unless given"),
    ] = None
    random: Annotated[RandomChoice | None, Field(description="draw choices instead of trying all")] = None
    stop_early: Annotated[
        bool,
        said(bool),
        Field(description="true: end a run that has taken longer than the best choice so far; it cannot win any more"),
    ] = False


PerWorker = float | int | str | list[float] | list[int]


class EngineEntry(Strict):
    """What plays the run: the simulation, or real workers on Ray (asyncsim/cluster.py)."""

    name: Annotated[
        Literal["simulation", "ray"],
        said(Literal["simulation", "ray"]),
        Field(description="simulation unless given; ray plays the run on real workers"),
    ] = "simulation"
    address: Annotated[
        str, said(str), Field(description="local starts a Ray of its own; auto finds the running one; host:port")
    ] = "local"
    cpus_per_worker: Annotated[
        NonNegative,
        said(NonNegative),
        Field(description="CPUs that Ray reserves for each worker; a fraction is allowed"),
    ] = 1.0
    gpus_per_worker: Annotated[
        NonNegative, said(NonNegative), Field(description="GPUs for each worker; 0.25 lets four share one")
    ] = 0.0
    slowdown: Annotated[
        Literal["none", "sleep"],
        said(Literal["none", "sleep"]),
        Field(description="sleep: a gradient takes the seconds that compute_time draws, on equal machines too"),
    ] = "none"
    repeat: Annotated[
        PerWorker | None,
        Field(
            description="how often each worker computes a gradient, to be slower: a number, a list, an expression in i"
        ),
    ] = None
    threads: Annotated[
        PerWorker | None,
        Field(description="threads of each worker: a number, a list, an expression in i; 1 unless given"),
    ] = None
    replacements: Annotated[
        Whole, said(Whole), Field(description="how often each worker may be replaced when its process dies")
    ] = 3
    hung_after: Annotated[
        Positive | None,
        said(Positive),
        Field(description="seconds after which a silent worker counts as dead; never unless given"),
    ] = None
    start_timeout: Annotated[
        Positive, said(Positive), Field(description="seconds in which all workers must be ready")
    ] = 120.0
    insecure: Annotated[
        bool, said(bool), Field(description="true: accept a cluster on other machines that asks for no token")
    ] = False

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("name", "simulation") == "simulation":
            raise_at(
                [
                    ((key,), "belongs to the engine ray; write name: ray, or leave it out")
                    for key in data
                    if key in cls.model_fields and key != "name"
                ]
            )
        return data

    def build(self, n: int) -> Any:
        """The RayEngine for n workers; None for the simulation. ValueError for numbers that do not suit."""
        if self.name == "simulation":
            return None
        from asyncsim.cluster import RayEngine

        given = {key: getattr(self, key) for key in type(self).model_fields if key not in ("name", "repeat", "threads")}
        repeat, threads = (_for_each(getattr(self, key), n, key) for key in ("repeat", "threads"))
        return RayEngine(**given, repeat=repeat, threads=None if threads is None else [int(each) for each in threads])


def _for_each(value: Any, n: int, key: str) -> list[float] | None:
    """A number >= 1 for each worker."""
    if value is None:
        return None
    numbers = (
        evaluate(value, n).tolist() if isinstance(value, str) else value if isinstance(value, list) else [value] * n
    )
    if len(numbers) != n or not all(math.isfinite(number) and number >= 1 for number in numbers):
        raise ValueError(
            f"engine: {key}: {value!r:.60} is not allowed; allowed: a number >= 1 for each of the {n} workers"
        )
    return [float(number) for number in numbers]


def named_engine(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


# ---- the scenario


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
        problem = self.build_problem(self.seeds[0])
        if self.target and self.target.suboptimality and getattr(problem, "f_star", None) is None:
            message = f"f* of {self.problem.name} is not known, so f − f* is not either; give squared_gradient_norm"
            raise self.error(("target", "suboptimality"), message)
        if self.target and self.target.test_accuracy and not has_test(problem):
            message = f"{self.problem.name} holds no samples out, so there is no test accuracy; give the problem a test, as test: 0.2"
            raise self.error(("target", "test_accuracy"), message)
        return problem

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


def plain_sweep(sweep: SweepEntry) -> dict[str, Any]:
    grids = {
        label: {name: plain(grid.data) for name, grid in parameters.items()}
        for label, parameters in sweep.parameters.items()
    }
    others = {key: value for key, value in plain_section(sweep).items() if key not in ("parameters", "seeds")}
    seeds = {} if sweep.seeds is None else {"seeds": next(iter(plain_seeds(sweep.seeds).values()))}
    return {"parameters": grids, **seeds, **others}


def files_in(data: Any) -> Iterator[str]:
    if isinstance(data, Mapping):
        if data.get("distribution") == "trace":
            yield data["file"]
        for entry in data.values():
            yield from files_in(entry)
    elif isinstance(data, list):
        for entry in data:
            yield from files_in(entry)


def plain_method(entry: ChosenMethod) -> dict[str, Any]:
    beside = {key: getattr(entry, key) for key in ("label", "update_rule")}
    return {**plain(entry), **{key: plain(value) for key, value in beside.items() if value is not None}}


def plain_section(section: BaseModel) -> dict[str, Any]:
    return {key: value for key, value in section.model_dump().items() if value is not None}


def plain_times(group: Group) -> dict[str, Any]:
    return {
        "compute_time": plain((group.compute_time or GivenTime(1)).data),
        "communication_time": {
            "uplink": plain(group.communication_time.uplink.data),
            "downlink": plain(group.communication_time.downlink.data),
        },
        **{kind.word: plain(data) for kind, data in zip(DESCRIBED, group.described(), strict=True) if data is not None},
        **({} if group.contention is None else {"contention": plain_section(group.contention)}),
    }


def plain_for_all(workers: WorkersEntry) -> dict[str, Any]:
    link, stop = workers.shared_link, workers.stop_takes_effect
    shared = {} if link is None else {"shared_link": plain_section(link)}
    if workers.contention is not None:
        shared["contention"] = plain_section(workers.contention)
    return shared | ({} if stop == "at_once" else {"stop_takes_effect": plain(stop)})


def plain_seeds(seeds: Sequence[int]) -> dict[str, Any]:
    if len(seeds) == 1:
        return {"seed": seeds[0]}
    if isinstance(seeds, range):
        return {"seeds": f"{seeds[0]}..{seeds[-1]}"}
    return {"seeds": list(seeds)}


def plain(value: Any) -> Any:
    if isinstance(value, Chosen):
        return {"name": value.name, **plain(value.parameters)}
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return "inf" if isinstance(value, float) and value == math.inf else value


# ---- reading


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


def placed(document: Document, road: Keys, message: str) -> Problem:
    about_the_key = message.startswith(("unknown key", "stands beside"))
    return Problem(document.place(road, key=about_the_key), dotted(road), message)


def by_place(problem: Problem) -> tuple[int, int]:
    place = re.search(r":(\d+):(\d+)$", problem.place)
    return (int(place[1]), int(place[2])) if place else (sys.maxsize, 0)


def across(document: Document) -> Iterator[Problem]:
    """What sections must fulfil together; read from the data, so that it shows beside other mistakes."""
    data = document.data

    def at(*road: str | int) -> Any:
        value: Any = data
        for part in road:
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    if at("seed") is not None and at("seeds") is not None:
        yield placed(document, ("seeds",), "stands beside `seed`; give one of them")
    if at("stop", "target") is True and at("target") is None:
        yield placed(document, ("stop", "target"), "there is no `target` to reach; add one, or give another end")
    timing_only = at("problem") == "none" or at("problem", "name") == "none"
    if at("target") is not None and timing_only:
        yield placed(document, ("target",), "problem none is timing only: there is no f to reach a target; remove it")
    methods = at("methods") if isinstance(at("methods"), list) else []
    n = _count_of(at("workers"))
    for index, entry in enumerate(methods):
        worker = entry.get("worker") if isinstance(entry, Mapping) else None
        if isinstance(worker, int) and not isinstance(worker, bool) and n and worker >= n:
            yield placed(document, ("methods", index, "worker"), f"there is no worker {worker}; workers are 0…{n - 1}")
    labels = [entry.get("label") for entry in methods if isinstance(entry, Mapping)]
    for index, label in enumerate(labels):
        if isinstance(label, str) and label in labels[:index]:
            yield placed(document, ("methods", index, "label"), f"two methods are called {shown(label)}; labels differ")


def _count_of(workers: Any) -> int | None:
    groups = workers.get("groups", [workers]) if isinstance(workers, Mapping) else []
    counts = [group.get("count") for group in groups if isinstance(group, Mapping)] if isinstance(groups, list) else []
    whole = [count for count in counts if type(count) is int]
    return sum(whole) if whole and len(whole) == len(counts) else None


# ---- overrides

# giving one of these takes the place of the others
_EXCLUSIVE: dict[Keys, tuple[str, ...]] = {
    (): ("seed", "seeds"),
    ("record",): ("points", "every", "iterations"),
    ("target",): ("squared_gradient_norm", "suboptimality", "test_accuracy"),
}


def override(document: Document, text: str) -> list[Problem]:
    """Change the document as ``key=value`` says; what is wrong with the text itself comes back."""
    place = f"command line: {shown(text, 100)}"
    key, equals, value_text = text.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        return [Problem(place, "", "an override reads key=value, as stop.time=100 or methods.0.stepsize=0.5")]
    try:
        value = yaml_file.read_value(value_text, place)
        road = _road(document.data, parts)
    except ScenarioError as error:
        return [dataclasses.replace(problem, place=place) for problem in error.problems]
    except ValueError as error:
        return [Problem(place, key.strip(), str(error))]
    for other in _EXCLUSIVE.get(road[:-1], ()) if road[-1] in _EXCLUSIVE.get(road[:-1], ()) else ():
        document.data = _without(document.data, (*road[:-1], other))
    document.data = _with(document.data, road, value)
    for known in [known for known in (*document.values, *document.keys) if known[: len(road)] == road]:
        document.values.pop(known, None)
        document.keys.pop(known, None)
    for length in range(1, len(road) + 1):
        if road[:length] not in document.values:
            document.elsewhere[road[:length]] = place
    return []


def _road(data: Any, parts: Sequence[str]) -> Keys:
    """The road that dotted `parts` mean: entries of lists by number, or by their name where only one has it."""
    road: Keys = ()
    for part in parts:
        if isinstance(data, list):
            index = _entry(data, part, road)
            road, data = (*road, index), data[index]
        elif data is None or isinstance(data, dict):
            road = (*road, part)
            data = data.get(part) if data else None
        else:
            raise ValueError(f"{dotted(road)} is {shown(data)}, which has no {part!r} in it")
    return road


def _entry(entries: list[Any], part: str, road: Keys) -> int:
    if re.fullmatch(r"\d{1,9}", part):
        if int(part) < len(entries):
            return int(part)
        raise ValueError(f"{dotted(road)} has {len(entries)} entries, 0…{len(entries) - 1}")
    for key in ("label", "name"):
        found = [index for index, entry in enumerate(entries) if isinstance(entry, dict) and entry.get(key) == part]
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(
                f"{len(found)} entries of {dotted(road)} are called {part!r}; say which by number: {found}"
            )
    names = [
        str(entry[key]) for entry in entries if isinstance(entry, dict) for key in ("label", "name") if key in entry
    ]
    raise ValueError(
        f"no entry of {dotted(road)} is called {part!r}; there are {listed(names)}{did_you_mean(part, names)}"
    )


def _with(data: Any, road: Keys, value: Any) -> Any:
    """`data` with `value` at `road`; containers on the way are copied, as aliases may share them."""
    if not road:
        return value
    if isinstance(data, list):
        index = int(road[0])
        return [*data[:index], _with(data[index], road[1:], value), *data[index + 1 :]]
    data = data or {}
    return {**data, road[0]: _with(data.get(road[0]), road[1:], value)}


def _without(data: Any, road: Keys) -> Any:
    if not isinstance(data, dict) or road[0] not in data:
        return data
    if len(road) == 1:
        return {key: value for key, value in data.items() if key != road[0]}
    return {**data, road[0]: _without(data[road[0]], road[1:])}


# ---- schema


def schema() -> dict[str, Any]:
    """The JSON schema of scenario files, for completion and hints in editors."""
    made = Scenario.model_json_schema(mode="validation")
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    made["title"] = "asyncsim scenario"
    return made
