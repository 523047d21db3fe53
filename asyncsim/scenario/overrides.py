"""Overrides: what the command line changes in a document, as ``stop.time=100``, before it is checked."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

from asyncsim import yaml_file
from asyncsim.scenario.messages import listed
from asyncsim.yaml_file import Document, Keys, Problem, ScenarioError, did_you_mean, dotted, shown

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
