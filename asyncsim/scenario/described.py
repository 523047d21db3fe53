"""What else is described by worker: speeds and availabilities, chosen by name as laws are."""

import dataclasses
import functools
import inspect
import operator
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, PlainSerializer, PlainValidator, ValidationInfo, create_model
from pydantic_core import PydanticCustomError

from asyncsim.parameters import NonNegative, allowed, allows
from asyncsim.scenario.chosen import OWN_DESCRIPTIONS, field_of, first_line, looked_up, parameters_of, plain
from asyncsim.scenario.messages import listed, not_allowed, raise_at, wrong
from asyncsim.scenario.times import TIME_WORDS, GivenTime, number_or_text, of_own_code
from asyncsim.times.availability import AVAILABILITIES
from asyncsim.times.speeds import SPEEDS
from asyncsim.yaml_file import did_you_mean


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
    Any, PlainValidator(SPEED.read, json_schema_input_type=SPEED.for_the_schema()), PlainSerializer(plain)
]
THERE = Described("availability", 5, AVAILABILITIES)
AvailabilityEntry = Annotated[
    Any, PlainValidator(THERE.read, json_schema_input_type=THERE.for_the_schema()), PlainSerializer(plain)
]
DESCRIBED = (SPEED, THERE)
