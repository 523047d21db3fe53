"""What is wrong with a value, in our own words.

Errors come worded from where they arise. Every model reports in our own words (`Strict`), every value through one
message that says what is allowed (`said`); pydantic carries them, with the road to the value, which `Document.place`
turns into file:line:column. Which alternative of a union failed is never part of that road.

Nothing is guessed: a text is no number, true is not 1, an unknown key is an error. Two readings are admitted, as YAML
has no other way to write them: 1e6 where a whole number is needed, and a list where a tuple is.
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, WrapValidator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from asyncsim.parameters import allowed
from asyncsim.yaml_file import Keys, did_you_mean, shown


def wrong(message: str) -> PydanticCustomError:
    """An error that says just this."""
    # no context is given, so that braces in a message stand for themselves
    return PydanticCustomError("scenario", message)


def raise_at(problems: Sequence[tuple[Keys, str]]) -> None:
    """Raise these messages at these places below the value that is being checked."""
    if problems:
        raise ValidationError.from_exception_data(
            "scenario", [InitErrorDetails(type=wrong(text), loc=road, input=None) for road, text in problems]
        )


def not_allowed(value: Any, words: str, options: Sequence[str] = ()) -> str:
    """That `value` is not allowed, what is, and which of `options` may have been meant."""
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
    """Names in a row."""
    return ", ".join(names)


def as_list(value: Any) -> Any:
    """`value` as a list if it is a tuple, as scenarios made in Python have them."""
    return list(value) if isinstance(value, tuple) else value
