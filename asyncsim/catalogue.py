"""What can be named in a scenario: methods, their parts, laws, problems, starters. `asyncsim list` and `describe`.

Everything shown is read from the classes: the first line and the body of the docstring, the parameters with what is
allowed (their annotations), their defaults, and what the docstring says of each. So there is nothing here to keep up.
"""

import dataclasses
import difflib
import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asyncsim.parameters import Parameter, described, hints

KINDS = (
    "methods",
    "allocations",
    "update_rules",
    "laws",
    "speeds",
    "availabilities",
    "problems",
    "presets",
    "starters",
)


def registry(kind: str) -> Mapping[str, Any]:
    """What there is of `kind` (one of KINDS) by name: classes, and paths for starters."""
    if kind == "methods":
        from asyncsim.methods import METHODS

        return METHODS
    if kind == "allocations":
        from asyncsim.allocation import ALLOCATIONS

        return ALLOCATIONS
    if kind == "update_rules":
        from asyncsim.update_rules import UPDATE_RULES

        return UPDATE_RULES
    if kind == "laws":
        from asyncsim.times.laws import LAWS

        return LAWS
    if kind == "speeds":
        from asyncsim.times.speeds import SPEEDS

        return SPEEDS
    if kind == "availabilities":
        from asyncsim.times.availability import AVAILABILITIES

        return AVAILABILITIES
    if kind == "problems":
        from asyncsim.problems import PROBLEMS

        return PROBLEMS
    if kind == "presets":
        from asyncsim.times.presets import PRESETS

        return PRESETS
    there = starters()
    return {path.stem: path for path in (*sorted(there.glob("*.yaml")), *sorted(there.glob("torch/*.yaml")))}


def starters() -> Path:
    """The folder of the starter scenarios: in the installed package, or beside it in a checkout."""
    installed = Path(__file__).parent / "starters"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "scenarios"


def listed(kind: str) -> list[tuple[str, str]]:
    """(name, one line) of everything of `kind`.

    >>> dict(listed("laws"))["uniform"]
    'Uniform between two times.'
    """
    return [(name, first_line(thing)) for name, thing in registry(kind).items()]


def first_line(thing: Any) -> str:
    """The first line of a docstring, or of a starter file's comment."""
    if isinstance(thing, Path):
        return thing.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
    return inspect.cleandoc(getattr(thing, "text", None) or inspect.getdoc(thing) or "").partition("\n")[0]


@dataclasses.dataclass(frozen=True)
class Description:
    """What `describe` shows: parameters are (name, allowed, default, meaning), with "" for one that must be given."""

    name: str
    kind: str
    text: str
    parameters: list[tuple[str, str, str, str]]
    example: str
    where: str


def describe(name: str) -> list[Description]:
    """All that is called `name` (a law and an allocation may share a name); ValueError, with near names, if nothing is.

    >>> about = describe("exponential")[0]
    >>> about.kind, about.example, [parameter[0] for parameter in about.parameters]
    ('law', '{distribution: exponential, mean: …}', ['mean'])
    """
    kinds = KINDS[:-1]  # starters describe themselves
    found = [
        _description(name, kind.removesuffix("s").replace("_", " "), registry(kind)[name])
        for kind in kinds
        if name in registry(kind)
    ]
    if not found:
        near = difflib.get_close_matches(name[:100], [known for kind in kinds for known in registry(kind)], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ";"
        raise ValueError(f"nothing is called {name[:100]!r}{hint} `asyncsim list` shows what there is")
    return found


def _description(name: str, kind: str, cls: Any) -> Description:
    if kind == "preset":
        groups = "\n".join(f"  {group['count']} {group['of']}: {_flow(group['compute_time'])}" for group in cls.groups)
        text = f"{inspect.cleandoc(cls.text)}\n\nThe compute times of its groups:\n{groups}"
        where = f"Workers.groups(asyncsim.times.presets.PRESETS[{name!r}].rows())"
        return Description(name, kind, text, [], f"workers: {{preset: {name}}}  # count: …, seconds: …", where)
    parameters = [
        (
            parameter.name,
            allowed_words(cls, parameter),
            "" if parameter.default is dataclasses.MISSING else _yaml(parameter.default),
            parameter.meaning,
        )
        for parameter in described(cls)
    ]
    key = "distribution" if kind == "law" else "name"
    needed = "".join(f", {parameter}: …" for parameter, _, default, _ in parameters if not default)
    return Description(
        name, kind, _body(cls), parameters, f"{{{key}: {name}{needed}}}", f"{cls.__module__}.{cls.__name__}"
    )


def _body(cls: type) -> str:
    """The docstring without its parameters (they have a table) and without its examples in Python."""
    text = re.sub(r"^Parameters:\n(?:[ \t]+.*\n?|\n)*", "", inspect.getdoc(cls) or "", flags=re.MULTILINE)
    paragraphs = [paragraph for paragraph in re.split(r"\n\s*\n", text) if not paragraph.lstrip().startswith(">>>")]
    return "\n\n".join(paragraph.strip("\n") for paragraph in paragraphs if paragraph.strip())


def allowed_words(cls: type, parameter: Parameter) -> str:
    """What `parameter` of `cls` admits in a scenario; an allocation is named there, as methods are."""
    from asyncsim.allocation import ALLOCATIONS, Allocation

    if hints(cls)[parameter.name] is Allocation:
        return f"one of {', '.join(ALLOCATIONS)}, or {{name: …, …}}"
    return parameter.allowed.rstrip(",")


def _flow(value: Any) -> str:
    """Plain data as YAML on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(entry)}" for key, entry in value.items()) + "}"
    return "[" + ", ".join(map(_flow, value)) + "]" if isinstance(value, list) else str(value)


def _yaml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    for name, cls in registry("allocations").items():
        if type(value) is cls:
            return name
    return "null" if value is None else str(value)
