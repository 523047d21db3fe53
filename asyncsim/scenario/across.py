"""What sections must fulfil together, and where messages about it stand."""

import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from asyncsim.yaml_file import Document, Keys, Problem, dotted, shown


def placed(document: Document, road: Keys, message: str) -> Problem:
    """A message about the value at `road`, or about its key, at its place in the file."""
    about_the_key = message.startswith(("unknown key", "stands beside"))
    return Problem(document.place(road, key=about_the_key), dotted(road), message)


def by_place(problem: Problem) -> tuple[int, int]:
    """Line and column, to sort by; what has none comes last."""
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
