"""Compute and communication times: a number, an expression, a list, or a law by name, which may hold other laws.

Names and keys are checked when a time is read, as are single numbers; what depends on how many workers there are, when
the workers are built (asyncsim/scenario/workers.py).
"""

import dataclasses
import functools
import inspect
import math
import operator
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ForwardRef, Literal

from pydantic import ConfigDict, Field, PlainSerializer, PlainValidator, ValidationError, ValidationInfo, create_model
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType

from asyncsim.parameters import NonNegative, allowed, allows
from asyncsim.scenario.chosen import LAW, built_by, field_of, first_line, looked_up, parameters_of, plain
from asyncsim.scenario.messages import listed, not_allowed, raise_at, wrong
from asyncsim.times.composed import ALaw
from asyncsim.times.expressions import evaluate
from asyncsim.times.laws import LAWS, Time
from asyncsim.times.named import inside, of_length
from asyncsim.yaml_file import Keys, did_you_mean, shown


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
    """Whether a value may differ from worker to worker: an expression or a list."""
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
