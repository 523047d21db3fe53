"""Checkpoints as bytes: a tree of plain data, points, jobs and arrivals in one npz, nothing pickled.

The tree goes into JSON, its arrays beside it. Each array stands once, however often it is referred
to, so that points that were one are one again. Iterates come back frozen and with their versions,
other arrays writable. Objects with ``state()`` are written by the name of their class and its module and
come back through its ``from_state``; the class is looked up among those the caller names, never imported.
`classes_of` finds those that a method can have: it is made of them, or its modules have them.
"""

from __future__ import annotations

import io
import json
import math
import sys
import zipfile
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import numpy as np

from asyncsim.jobs import JOBS, Arrival, Assignment

VersionOf = Callable[[Any], int | None]

_JOB_CLASSES = {job.__name__: job for job in JOBS}
_ALLOWED = (
    "numbers, text, None, arrays, points, jobs, arrivals, lists, tuples and dicts of these, and objects with "
    "state() and from_state()"
)


def check(state: Mapping[str, Any], version_of: VersionOf) -> None:
    """Raise a ValueError, naming the key, if `state` holds what a checkpoint cannot."""
    for key, value in state.items():
        _Writer(version_of).write(value, key)


def encode(tree: Any, version_of: VersionOf) -> bytes:
    """The tree as the bytes of an npz file.

    >>> tree = {"count": 3, "table": np.ones(2), "never": math.inf}
    >>> back = decode(encode(tree, lambda x: None))
    >>> back["count"], back["table"], back["never"]
    (3, array([1., 1.]), inf)
    """
    writer = _Writer(version_of)
    written = json.dumps(writer.write(tree, "checkpoint"), allow_nan=False)
    arrays = {f"a{i}": array for i, array in enumerate(writer.arrays)}
    file = io.BytesIO()
    archive = _InMemory(file, "w", allowZip64=True)
    for name, array in {"tree": np.frombuffer(written.encode(), np.uint8), **arrays}.items():
        with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array(member, array, allow_pickle=False)
    archive.close()
    return file.getvalue()


class _InMemory(zipfile.ZipFile):
    """An archive that is given up in silence where a signal ends its writing; numpy's savez would complain of it."""

    def __del__(self) -> None:
        return


def decode(
    data: bytes,
    made: Callable[[np.ndarray, int], np.ndarray] = lambda x, version: x,
    arrival: Callable[[Assignment, int], Arrival] | None = None,
    classes: Mapping[str, type] | None = None,
) -> Any:
    """The tree again. `made(array, version)` registers a point; `arrival(assignment, delay)` makes an arrival."""
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        tree = json.loads(file["tree"].tobytes().decode())
        arrays = [file[f"a{i}"] for i in range(len(file.files) - 1)]
    return _Reader(arrays, made, arrival, classes or {}).read(tree)


PARTS = 1000  # objects that a method is made of, as far as they are looked at


def classes_of(method: Any) -> dict[str, type]:
    """The classes with `from_state` that `method` can have in its state, as "module:name", and as "name" where it is its own.

    They are looked for in what has been imported: the modules of its class and its base classes, of its parts (fields,
    lists and dicts of objects, their fields, …), and the modules and classes that these have imported by name.

    >>> import fractions
    >>> sorted(classes_of(fractions.Fraction(1, 2)))
    []
    """
    own = [base.__module__ for base in type(method).__mro__]
    modules = dict.fromkeys([*own, *(base.__module__ for part in _parts(method) for base in type(part).__mro__)])
    found: dict[str, type] = {}
    for name in modules:
        for value in list(vars(sys.modules[name]).values()) if name in sys.modules and name != "builtins" else ():
            others = list(vars(value).values()) if isinstance(value, ModuleType) else [value]
            for cls in others:
                if isinstance(cls, type):
                    _add(found, cls, short=name == own[0])
    return found


def _add(found: dict[str, type], cls: type, short: bool) -> None:
    for each in (cls, *(inner for inner in vars(cls).values() if isinstance(inner, type))):
        if hasattr(each, "from_state"):
            found.setdefault(f"{each.__module__}:{each.__qualname__}", each)
            if short:
                found.setdefault(each.__qualname__, each)


def _parts(method: Any) -> list[Any]:
    """The objects that `method` is made of."""
    seen: dict[int, Any] = {}
    waiting = [method]
    while waiting and len(seen) < PARTS:
        value = waiting.pop()
        if id(value) in seen or isinstance(value, type | ModuleType | np.ndarray | str | int | float):
            continue
        seen[id(value)] = value
        if isinstance(value, Mapping):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple | set | frozenset):
            waiting += value
        else:
            slots = [slot for base in type(value).__mro__ for slot in getattr(base, "__slots__", ())]
            waiting += [*getattr(value, "__dict__", {}).values(), *(getattr(value, slot, None) for slot in slots)]
    return list(seen.values())


class _Writer:
    def __init__(self, version_of: VersionOf) -> None:
        self._version_of = version_of
        self._seen: dict[int, Any] = {}
        self.arrays: list[np.ndarray] = []

    def write(self, value: Any, key: str) -> Any:  # noqa: C901 - one case a kind of value
        match value:
            case None | bool() | int() | str():
                return value
            case float():
                # np.float64 is a float too, but its repr is none
                return value if math.isfinite(value) else {"$float": repr(float(value))}
            case np.generic():
                return self.write(value.item(), key)
            case np.ndarray():
                return self._once(value, lambda: self._array(value, key))
            case list():
                return [self.write(item, f"{key}[{i}]") for i, item in enumerate(value)]
            case range():
                return {"$range": [value.start, value.stop, value.step]}
            case tuple():
                return {"$tuple": [self.write(item, f"{key}[{i}]") for i, item in enumerate(value)]}
            case Mapping():
                return {"$dict": [[self.write(k, key), self.write(v, f"{key}[{k!r}]")] for k, v in value.items()]}
            case Assignment():
                return self._once(value, lambda: {"$assignment": self._slots(value, key)})
            case Arrival():
                return self._once(value, lambda: {"$arrival": self._arrival(value, key)})
        if type(value) in JOBS:
            return self._once(value, lambda: {"$job": [type(value).__name__, self._fields(value, key)]})
        if hasattr(value, "state") and hasattr(type(value), "from_state"):
            name = f"{type(value).__module__}:{type(value).__qualname__}"
            return {"$object": [name, self.write(value.state(), f"{key}.state()")]}
        raise ValueError(
            f"the state {key!r} holds {type(value).__name__} ({value!r:.40}), which cannot be saved and resumed; "
            f"allowed: {_ALLOWED}"
        )

    def _once(self, value: Any, write: Callable[[], Any]) -> Any:
        # the value itself is remembered too, so that its id is not used again meanwhile
        if id(value) in self._seen:
            return {"$same": self._seen[id(value)][1]}
        number = len(self._seen)
        self._seen[id(value)] = (value, number)
        return {"$number": number, **write()}

    def _array(self, value: np.ndarray, key: str) -> dict[str, Any]:
        if value.dtype.hasobject:
            raise ValueError(f"the state {key!r} is an array of objects; allowed: {_ALLOWED}")
        self.arrays.append(value)
        return {"$array": len(self.arrays) - 1, "version": self._version_of(value)}

    def _slots(self, value: Any, key: str) -> Any:
        return [self.write(getattr(value, slot, None), f"{key}.{slot}") for slot in Assignment.__slots__]

    def _fields(self, job: Any, key: str) -> Any:
        return [self.write(getattr(job, field), f"{key}.{field}") for field in type(job).__match_args__]

    def _arrival(self, a: Arrival, key: str) -> Any:
        return [self._slots_of(a._assignment, key), a.delay, a._used_at, a._discarded]

    def _slots_of(self, assignment: Assignment, key: str) -> Any:
        return self.write(assignment, f"{key}.assignment")


class _Reader:
    def __init__(
        self,
        arrays: list[np.ndarray],
        made: Callable[[np.ndarray, int], np.ndarray],
        arrival: Callable[[Assignment, int], Arrival] | None,
        classes: Mapping[str, type],
    ) -> None:
        self._arrays = arrays
        self._made = made
        self._arrival_of = arrival
        self._classes = classes
        self._known: dict[int, Any] = {}

    def read(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self.read(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$same" in node:
            return self._known[node["$same"]]
        value = self._read_marked(node)
        if "$number" in node:
            self._known[node["$number"]] = value
        return value

    def _read_marked(self, node: dict[str, Any]) -> Any:
        if "$float" in node:
            return float(node["$float"])
        if "$range" in node:
            return range(*node["$range"])
        if "$tuple" in node:
            return tuple(self.read(item) for item in node["$tuple"])
        if "$dict" in node:
            return {self.read(key): self.read(value) for key, value in node["$dict"]}
        if "$array" in node:
            return self._array(self._arrays[node["$array"]], node["version"])
        if "$assignment" in node:
            return self._assignment(node["$assignment"])
        if "$arrival" in node:
            return self._arrival(node["$arrival"])
        if "$job" in node:
            name, fields = node["$job"]
            return _JOB_CLASSES[name](*self.read(fields))
        name, state = node["$object"]
        module, _, short = name.rpartition(":")
        found = self._classes.get(name, self._classes.get(short))
        if found is None:
            raise ValueError(
                f"the checkpoint holds a {short} of {module or 'a module'}, which neither the method's modules nor those "
                "of its parts have; a class inside a function can't be found again"
            )
        return found.from_state(self.read(state))  # type: ignore[attr-defined]

    def _array(self, array: np.ndarray, version: int | None) -> np.ndarray:
        if version is None:
            return array
        array.flags.writeable = False
        return self._made(array, version)

    def _assignment(self, slots: list[Any]) -> Assignment:
        assignment = Assignment.__new__(Assignment)
        for slot, value in zip(Assignment.__slots__, self.read(slots), strict=True):
            setattr(assignment, slot, value)
        return assignment

    def _arrival(self, node: list[Any]) -> Arrival:
        if self._arrival_of is None:
            raise ValueError("this checkpoint holds arrivals, which only a server can take up")
        assignment, delay, used_at, discarded = self.read(node)
        arrival = self._arrival_of(assignment, delay)
        arrival._used_at, arrival._discarded = used_at, discarded
        return arrival
