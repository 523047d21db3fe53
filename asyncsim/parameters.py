"""Parameters of methods, laws and problems: declared once, checked everywhere.

A method, a law or a problem is a class whose annotated fields are its parameters::

    @parameters
    class RennalaSGD:
        stepsize: Stepsize
        batch_size: Count

The decorator makes it a frozen dataclass that refuses a wrong value with a ValueError naming the
class, the parameter and what is allowed. The scenario file reads the same annotations (through
pydantic), so Python and YAML share one definition of what is allowed. What a parameter means stands
in the class's docstring, section ``Parameters``; `described` reads it for ``asyncsim describe``.

Types are plain `Annotated` ones with annotated_types' bounds. A parameter that theory can supply
also takes the text ``theory``, which is replaced before the run (see `asyncsim.theory`).
"""

import dataclasses
import inspect
import math
import re
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar, dataclass_transform

import annotated_types as at

Positive = Annotated[float, at.Gt(0)]
NonNegative = Annotated[float, at.Ge(0)]
Probability = Annotated[float, at.Gt(0), at.Le(1)]
Count = Annotated[int, at.Ge(1)]
Whole = Annotated[int, at.Ge(0)]

if typing.TYPE_CHECKING:
    # who constructs a method may say "theory", but when it runs the parameter is a number: no one type says both
    Stepsize = Any
    CountOrTheory = Any
    ProbabilityOrTheory = Any
    WholeOrTheory = Any
else:
    Stepsize = Positive | Literal["theory"]
    CountOrTheory = Count | Literal["theory"]
    ProbabilityOrTheory = Probability | Literal["theory"]
    WholeOrTheory = Whole | Literal["theory"]

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Meant:
    """For `Annotated`: what a parameter admits that is no number, text or list, in words and as a test of a value."""

    words: str
    holds: Callable[[Any], bool]


@dataclass_transform(frozen_default=True)
def parameters(cls: type[T]) -> type[T]:
    """Make `cls` a frozen dataclass whose fields are checked against their annotations.

    >>> @parameters
    ... class Example:
    ...     stepsize: Stepsize
    ...     batch_size: Count = 1
    >>> Example(stepsize=0.5)
    Example(stepsize=0.5, batch_size=1)
    >>> Example(stepsize=-1.0)
    Traceback (most recent call last):
    ValueError: Example: stepsize = -1.0, but a number > 0 or 'theory' is needed
    """
    further_checks = cls.__dict__.get("__post_init__")

    def __post_init__(self: Any) -> None:  # noqa: N807 - it becomes that method
        for name, annotation in hints(cls).items():
            value = getattr(self, name)
            if not allows(annotation, value):
                raise ValueError(f"{cls.__name__}: {name} = {value!r}, but {allowed(annotation)} is needed")
        if further_checks is not None:
            further_checks(self)

    cls.__post_init__ = __post_init__  # type: ignore[attr-defined]
    return dataclasses.dataclass(frozen=True)(cls)


def hints(cls: type) -> dict[str, Any]:
    """The parameters of `cls` with their annotations, in the order of declaration."""
    found = typing.get_type_hints(cls, include_extras=True)
    return (
        {field.name: found[field.name] for field in dataclasses.fields(cls)}
        if dataclasses.is_dataclass(cls)
        else {name: annotation for name, annotation in found.items() if name in getattr(cls, "__annotations__", {})}
    )


def allows(annotation: Any, value: Any) -> bool:
    """Whether `value` is admitted by `annotation`; kinds of annotation we do not know admit all."""
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        base, *bounds = typing.get_args(annotation)
        return allows(base, value) and all(_within(bound, value) for bound in bounds)
    if origin in (typing.Union, types.UnionType):
        return any(allows(option, value) for option in typing.get_args(annotation))
    if origin is Literal:
        return any(
            value is option or (type(value) is type(option) and value == option)
            for option in typing.get_args(annotation)
        )
    if origin is tuple:  # tuple[X, ...]
        item = typing.get_args(annotation)[0]
        return isinstance(value, list | tuple | range) and all(allows(item, each) for each in value)
    if annotation is float:
        return _is_number(value) and math.isfinite(value)
    if annotation is int:
        return _is_number(value) and float(value).is_integer() and not isinstance(value, float)
    if annotation in (bool, str, type(None)):
        return value is None if annotation is type(None) else isinstance(value, annotation)
    return True


def _is_number(value: Any) -> bool:
    # numpy's scalars are numbers too; True is not one
    return not isinstance(value, bool) and hasattr(value, "__float__") and not hasattr(value, "__len__")


def _within(bound: Any, value: Any) -> bool:
    match bound:
        case at.Gt(gt=limit):
            return bool(value > limit)
        case at.Ge(ge=limit):
            return bool(value >= limit)
        case at.Lt(lt=limit):
            return bool(value < limit)
        case at.Le(le=limit):
            return bool(value <= limit)
        case Meant(holds=holds):
            return bool(holds(value))
    return True


def allowed(annotation: Any) -> str:
    """What `annotation` admits, in words.

    >>> allowed(Stepsize), allowed(Count), allowed(bool)
    ("a number > 0 or 'theory'", 'a whole number >= 1', 'true or false')
    """
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        base, *bounds = typing.get_args(annotation)
        for bound in bounds:
            if isinstance(bound, Meant):
                return bound.words
        limits = [
            f"{sign} {getattr(bound, key)}" for bound in bounds for kind, key, sign in _SIGNS if isinstance(bound, kind)
        ]
        return " ".join([allowed(base), " and ".join(limits)]).strip()
    if origin in (typing.Union, types.UnionType):
        return " or ".join(allowed(option) for option in typing.get_args(annotation))
    if origin is Literal:
        return " or ".join(repr(option) for option in typing.get_args(annotation))
    if origin is tuple:
        return f"a list, each {allowed(typing.get_args(annotation)[0])},"
    words = {
        float: "a number",
        int: "a whole number",
        bool: "true or false",
        str: "a text",
        type(None): "nothing (null)",
    }
    return words.get(annotation, str(annotation))


_SIGNS = [(at.Gt, "gt", ">"), (at.Ge, "ge", ">="), (at.Lt, "lt", "<"), (at.Le, "le", "<=")]


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One parameter as `describe` shows it; `default` is `dataclasses.MISSING` when it must be given."""

    name: str
    allowed: str
    default: Any
    meaning: str


def described(cls: type) -> list[Parameter]:
    """The parameters of `cls`, each with the sentence its docstring has for it.

    The docstring's section reads::

        Parameters:
            stepsize: γ, seconds have no place here …
                further lines are indented.
    """
    section = re.search(r"^Parameters:\n((?:[ \t]+.*\n?|\n)*)", inspect.getdoc(cls) or "", re.MULTILINE)
    entries = re.findall(r"^    (\w+): ((?:.*\n?)(?:^ {5,}.*\n?)*)", section.group(1) if section else "", re.MULTILINE)
    meanings = {name: " ".join(text.split()) for name, text in entries}
    annotations = hints(cls)
    return [
        Parameter(field.name, allowed(annotations[field.name]), field.default, meanings.get(field.name, ""))
        for field in dataclasses.fields(cls)
    ]
