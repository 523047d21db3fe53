"""Methods, problems, laws, allocations, update rules: what is chosen by name, with its parameters.

What is allowed stands once. Methods, problems and laws bring their parameters' annotations (`asyncsim.parameters`); the
models for them are made from these, and so are the messages and the JSON schema.

A scenario holds no code. Names are looked up in the registries, then in the entry points of installed packages.
``module:attribute`` is refused unless `allow_code` is said; then `module` is looked for beside the file first.
"""

import dataclasses
import functools
import importlib
import importlib.metadata
import inspect
import math
import operator
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, PlainValidator, ValidationInfo, create_model, model_validator
from pydantic_core import PydanticCustomError

from asyncsim.allocation import ALLOCATIONS, Allocation
from asyncsim.methods import METHODS
from asyncsim.parameters import allowed, described, hints
from asyncsim.problems import PROBLEMS
from asyncsim.scenario.messages import Strict, listed, not_allowed, raise_at, said, wrong
from asyncsim.scenario.names import Name
from asyncsim.times.availability import AVAILABILITIES
from asyncsim.times.laws import LAWS
from asyncsim.times.speeds import SPEEDS
from asyncsim.update_rules import UPDATE_RULES, UpdateRule
from asyncsim.yaml_file import did_you_mean, shown


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
    """What `made_by` makes of these parameters; a thing that cannot be called is it already."""
    return made_by(**given) if callable(made_by) else made_by


def object_of(value: Any) -> Any:
    """The object that a parameter stands for."""
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
    """The field of a model, with its meaning and what is allowed in words."""
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
    """The first line of a docstring."""
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


def plain(value: Any) -> Any:
    """`value` as plain JSON data."""
    if isinstance(value, Chosen):
        return {"name": value.name, **plain(value.parameters)}
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return "inf" if isinstance(value, float) and value == math.inf else value
