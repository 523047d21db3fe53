"""From what a user gives for all workers to one description a worker: speeds, availability.

Given is one of: a description for all, a list of one a worker, a callable worker -> description, or what a scenario
has, a mapping {"name": …, parameter: …}. Its parameters are numbers, expressions in i and n, or lists of one number a
worker, as those of laws; in a parameter that is itself a list each entry may be an expression, and a parameter that
is a law is anything that `Times.of` takes. `source[worker]` makes a worker's description when it is asked for.
"""

import difflib
import typing
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal

import numpy as np

from asyncsim.parameters import allowed, allows, hints
from asyncsim.times.named import _entries, is_number, of_length, worker_words


class Source(typing.Protocol):
    """One description a worker."""

    def __getitem__(self, worker: int) -> Any: ...


@dataclass(frozen=True)
class Kind:
    """What can be given: its word, the registry of its names, what admits an object, how a number is read.

    times: makes Times from what is given as a law
    """

    word: str
    registry: Mapping[str, type]
    admits: Callable[[Any], bool]
    allowed: str
    of_number: Callable[[Any], Any] | None = None
    times: Callable[[Any, range, int], Any] | None = None
    of_none: Any = None


def by_worker(kind: Kind, spec: Any, workers: range, n: int) -> Source:
    """The descriptions of `workers`, a part of the whole 0…n−1; ValueError naming what is wrong."""
    if kind.admits(spec):
        return _Same(spec)
    if isinstance(spec, Mapping):
        return _named(kind, spec, workers, n)
    if kind.of_number is not None and (is_number(spec) or isinstance(spec, str)):
        return _Made(kind.of_number, _values(kind, kind.word, float, spec, workers, n))
    if isinstance(spec, Sequence | np.ndarray) and not isinstance(spec, str):
        return _List(
            [
                _one(kind, worker, entry)
                for worker, entry in zip(workers, of_length(spec, len(workers), kind.word), strict=True)
            ]
        )
    if callable(spec) and not isinstance(spec, type):
        _one(kind, workers.start, spec(workers.start))
        return _Asked(kind, spec, workers.start)
    raise ValueError(f"{spec!r:.80} can't be understood as {kind.word}; allowed are {kind.allowed}")


def joined(sources: Sequence[Source], counts: Sequence[int]) -> Source:
    """Group after group."""
    return sources[0] if len(sources) == 1 else _Joined(list(sources), list(counts))


def _one(kind: Kind, worker: int, entry: Any) -> Any:
    if kind.admits(entry):
        return entry
    if entry is None and kind.of_none is not None:
        return kind.of_none
    if kind.of_number is not None and is_number(entry):
        return kind.of_number(entry)
    raise ValueError(
        f"{worker_words(worker)}: {entry!r:.80} can't be understood as {kind.word}; allowed are {kind.allowed}"
    )


def _named(kind: Kind, spec: Mapping[str, Any], workers: range, n: int) -> Source:
    known = ", ".join(kind.registry)
    name = spec.get("name")
    if not isinstance(name, str) or name not in kind.registry:
        close = difflib.get_close_matches(str(name), list(kind.registry), n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise ValueError(f"{kind.word}: name = {name!r}{hint}, but one of {known} is needed")
    cls = kind.registry[name]
    annotations = hints(cls)
    given = {key: value for key, value in spec.items() if key != "name"}
    for key in given:
        if key not in annotations:
            raise ValueError(f"{name}: unknown parameter {key!r}; {name} has {', '.join(annotations)}")
    missing = [key for key in annotations if key not in given and not hasattr(cls, key)]
    if missing:
        raise ValueError(f"{name}: {', '.join(missing)} must be given; {name} has {', '.join(annotations)}")
    values = {key: _values(kind, f"{name}: {key}", annotations[key], value, workers, n) for key, value in given.items()}
    made = _Named(cls, values)
    differ = any(not isinstance(value, _Same) for value in values.values())
    for worker in range(len(workers)) if differ else range(1):
        try:
            made[worker]
        except ValueError as error:
            raise ValueError(f"{error} ({worker_words(workers[worker])})" if differ else str(error)) from None
    return made if differ else _Same(made[0])


def _values(kind: Kind, what: str, annotation: Any, value: Any, workers: range, n: int) -> Source:
    """A parameter's values by worker."""
    if kind.times is not None and annotation is Any:
        try:
            return _Laws(kind.times(value, workers, n))
        except ValueError as error:
            raise ValueError(f"{what} = {value!r:.60}: {error}") from None
    items = _items(annotation)
    if items is not None and isinstance(value, list | tuple | np.ndarray):
        entries = [_values(kind, f"{what}[{j}]", items, entry, workers, n) for j, entry in enumerate(value)]
        if all(isinstance(entry, _Same) for entry in entries):
            return _Same(tuple(entry[0] for entry in entries))
        return _Tuple(entries)
    if allows(annotation, value):
        return _Same(value)
    if isinstance(value, str) and allows(annotation, _A_TEXT.get(annotation, "linear")):
        raise ValueError(f"{what} = {value!r}, but {allowed(annotation)} is needed")
    found = _entries(what, value, annotation, workers, n)
    return _Numbers(found) if isinstance(found, np.ndarray) else _Same(found)


_A_TEXT = {Literal["restarted", "paused", "lost"]: "paused"}  # texts that are no expressions, by an example


def _items(annotation: Any) -> Any:
    """X of tuple[X, ...], also where None is allowed beside it."""
    if typing.get_origin(annotation) is tuple:
        return typing.get_args(annotation)[0]
    found = [_items(option) for option in typing.get_args(annotation) if typing.get_origin(option) is tuple]
    return found[0] if found else None


# Plain classes, not closures, so that workers can be sent to another process.


class _Same:
    def __init__(self, value: Any) -> None:
        self.value = value

    def __getitem__(self, worker: int) -> Any:
        return self.value


class _List:
    def __init__(self, values: list[Any]) -> None:
        self.values = values

    def __getitem__(self, worker: int) -> Any:
        return self.values[worker]


class _Numbers(_List):
    def __init__(self, values: Any) -> None:
        super().__init__(values)

    def __getitem__(self, worker: int) -> Any:
        return self.values[worker].item()


class _Tuple(_List):
    def __getitem__(self, worker: int) -> Any:
        return tuple(value[worker] for value in self.values)


class _Laws:
    def __init__(self, times: Any) -> None:
        self.times = times

    def __getitem__(self, worker: int) -> Any:
        return self.times.law(worker)


class _Made:
    def __init__(self, make: Callable[[Any], Any], values: Source) -> None:
        self.make, self.values = make, values

    def __getitem__(self, worker: int) -> Any:
        return self.make(self.values[worker])


class _Named:
    def __init__(self, cls: type, values: Mapping[str, Source]) -> None:
        self.cls, self.values = cls, dict(values)

    def __getitem__(self, worker: int) -> Any:
        return self.cls(**{key: value[worker] for key, value in self.values.items()})


class _Asked:
    def __init__(self, kind: Kind, function: Callable[[int], Any], start: int) -> None:
        self.kind, self.function, self.start = kind, function, start

    def __getitem__(self, worker: int) -> Any:
        return _one(self.kind, self.start + worker, self.function(self.start + worker))


class _Joined:
    def __init__(self, groups: list[Source], counts: list[int]) -> None:
        self.groups = groups
        self.starts = list(accumulate(counts[:-1], initial=0))

    def __getitem__(self, worker: int) -> Any:
        group = bisect_right(self.starts, worker) - 1
        return self.groups[group][worker - self.starts[group]]
