"""Laws by name, as scenarios have them: {"distribution": "exponential", "mean": "sqrt(i)"}.

Each parameter is a number for all workers, a list of one number a worker, or an expression in i and n. What differs
from worker to worker stays an array: it is checked as an array, once, against the annotations of the law's class, and a
law is made when it is asked for. So a million workers cost an array, not a million objects.

A parameter that is a law is again a mapping (or seconds: a number, an expression, a list of one a worker), so laws
nest. Whatever does not differ from worker to worker is made once.
"""

import difflib
import typing
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import annotated_types as at
import numpy as np

from asyncsim.parameters import allowed, allows, hints
from asyncsim.times import composed, laws
from asyncsim.times.composed import ALaw, Part
from asyncsim.times.expressions import evaluate
from asyncsim.times.known import as_law
from asyncsim.times.laws import LAWS, Constant, Time
from asyncsim.times.traces import FromTrace


class Laws:
    """Laws of one class: `laws[worker]` makes a worker's law from values that were checked before.

    values: by parameter a value for all workers, an array of one entry a worker, or again Laws or Several
    """

    def __init__(self, cls: type, values: Mapping[str, Any]) -> None:
        self.cls = cls
        self.ours = cls.__module__ in (laws.__name__, composed.__name__)
        self.arrays = {key: value for key, value in values.items() if isinstance(value, np.ndarray)}
        self.nested = {key: value for key, value in values.items() if isinstance(value, Laws | Several | Each)}
        beside = self.arrays.keys() | self.nested.keys()
        self.shared = {key: value for key, value in values.items() if key not in beside}

    @property
    def varies(self) -> bool:
        """Whether workers differ."""
        return bool(self.arrays or self.nested)

    def of(self, worker: int) -> dict[str, Any]:
        """The worker's parameters."""
        own = {key: value[worker].item() for key, value in self.arrays.items()}
        return {**self.shared, **own, **{key: value[worker] for key, value in self.nested.items()}}

    def __getitem__(self, worker: int) -> Any:
        values = self.of(worker)
        if not self.ours:  # its constructor may do more than ours
            return self.cls(**values)
        # past the constructor, whose checks were made for all workers at once and would take most of the time
        law: Any = object.__new__(self.cls)
        law.__dict__.update(values)
        return law


class Several:
    """Several parameters of one kind, some of which differ from worker to worker: `several[worker]` is a tuple."""

    def __init__(self, entries: list[Any]) -> None:
        self.entries = entries

    def __getitem__(self, worker: int) -> tuple[Any, ...]:
        return tuple(entry[worker] if isinstance(entry, Laws | Each) else entry for entry in self.entries)


class Each:
    """A law that is asked for by worker: from a list, or a callable worker -> law."""

    def __init__(self, law: Callable[[int], Any]) -> None:
        self.law = law

    def __getitem__(self, worker: int) -> Any:
        return as_law(self.law(worker))


def laws_from(spec: Mapping[str, Any], workers: range, n: int) -> Laws | list[Any]:
    """The laws of `workers`, a part of the whole 0…n−1, from a mapping; ValueError naming what is wrong with it.

    >>> laws_from({"distribution": "uniform", "low": 0, "high": "2 * i"}, range(3), 3)[1]
    Uniform(low=0, high=4.0)
    >>> laws_from({"distribution": "gamma", "shape": [1, 2, 0], "scale": 1}, range(3), 3)
    Traceback (most recent call last):
    ValueError: gamma: shape = 0.0 for worker 2 (i = 3), but a number > 0 is needed
    """
    if "distribution" not in spec:
        raise ValueError(f"{dict(spec)!r} names no distribution; known are {', '.join(LAWS)}")
    name = spec["distribution"]
    if not isinstance(name, str) or name not in LAWS:
        raise ValueError(f"unknown distribution {name!r}{_suggestion(name, LAWS)}; known are {', '.join(LAWS)}")
    cls = LAWS[name]
    if cls is FromTrace:  # its laws are made from a file, not from numbers that differ from worker to worker
        return _from_trace(spec, workers)
    made = _made(name, cls, {key: value for key, value in spec.items() if key != "distribution"}, workers, n)
    for worker in {0, len(workers) - 1} if cls.__module__ == composed.__name__ else [] if made.ours else [0]:
        cls(**made.of(worker))  # its constructor may refuse what the annotations admit
    return made


def _made(name: str, cls: type, given: Mapping[str, Any], workers: range, n: int) -> Laws:
    """Laws, or parts of laws, of this class from their parameters."""
    annotations = hints(cls)
    has = f"{name} has {', '.join(annotations)}"
    for key in given:
        if key not in annotations:
            raise ValueError(f"{name}: unknown parameter {key!r}{_suggestion(key, annotations)}; {has}")
    missing = [key for key in annotations if key not in given and not hasattr(cls, key)]
    if missing:
        raise ValueError(f"{name}: {', '.join(missing)} must be given; {has}")
    values = {
        key: _value(f"{name}: {key}", given[key], annotation, workers, n) if key in given else getattr(cls, key)
        for key, annotation in annotations.items()
    }
    _check_together(name, cls, values, workers)
    return Laws(cls, values)


def _value(what: str, value: Any, annotation: Any, workers: range, n: int) -> Any:
    """A parameter's value, checked: for all workers, or by worker."""
    if annotation == ALaw:
        return _once(_law(what, value, workers, n))
    entry = inside(annotation)
    if entry is None:
        return _entries(what, value, annotation, workers, n)
    if not isinstance(value, list | tuple):
        raise ValueError(f"{what} = {value!r:.60}, but {allowed(annotation)} is needed")
    read = _law if entry == ALaw else _part
    entries = [_once(read(f"{what}.{place}", each, workers, n)) for place, each in enumerate(value)]
    return Several(entries) if any(isinstance(each, Laws | Each) for each in entries) else tuple(entries)


def inside(annotation: Any) -> Any:
    """What `annotation`, a list of laws or of parts of laws, has as entries; None for any other annotation.

    >>> inside(tuple[float, ...]) is None
    True
    """
    if typing.get_origin(annotation) is not tuple:
        return None
    entry = typing.get_args(annotation)[0]
    return entry if entry == ALaw or (typing.get_origin(entry) is Annotated and entry.__origin__ is Part) else None


def _once(found: Any) -> Any:
    """The law itself where it is the same for all workers."""
    return found[0] if isinstance(found, Laws) and not found.varies else found


def _law(what: str, value: Any, workers: range, n: int) -> Any:
    """A law that is a parameter: the law, Laws or Each."""
    if isinstance(value, Mapping):
        try:
            found = laws_from(value, workers, n)
        except ValueError as error:
            raise ValueError(f"{what}: {error}") from None
        return Each(found.__getitem__) if isinstance(found, list) else found
    if isinstance(value, str | list | tuple | np.ndarray) or is_number(value):
        return Laws(Constant, {"value": _entries(what, value, Time, workers, n)})
    if callable(value) and not hasattr(value, "sample"):  # worker -> law, the worker among all
        return Each(lambda worker: value(workers[worker]))
    try:
        return as_law(value)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None


def _part(what: str, value: Any, workers: range, n: int) -> Any:
    if isinstance(value, Part):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(f"{what} = {value!r:.60}, but {{weight: …, law: …}} is needed")
    return _made(what, Part, value, workers, n)


def _from_trace(spec: Mapping[str, Any], workers: range) -> list[Any]:
    given = {key: value for key, value in spec.items() if key != "distribution"}
    has = hints(FromTrace)
    for key in given:
        if key not in has:
            raise ValueError(f"trace: unknown parameter {key!r}{_suggestion(key, has)}; trace has {', '.join(has)}")
    if "file" not in given:
        raise ValueError("trace: file must be given: the path of a trace")
    try:
        described = FromTrace(**given)
    except ValueError as error:
        raise ValueError(str(error).replace("FromTrace: ", "trace: ", 1)) from None
    return described.laws(len(workers))


def check(what: str, values: Any, annotation: Any, workers: range) -> None:
    """Refuse numbers (k,) of `workers` that `annotation` doesn't admit, naming the first such worker."""
    wrong = ~_admitted(annotation, values)
    if wrong.any():
        first = int(np.argmax(wrong))
        # an array without strides is one number for all
        where = "" if values.strides == (0,) else f" for {worker_words(workers[first])}"
        raise ValueError(f"{what} = {float(values[first])!r}{where}, but {allowed(annotation)} is needed")


def worker_words(worker: int) -> str:
    """How errors name a worker: 0…n−1 in Python, i = 1…n in expressions."""
    return f"worker {worker} (i = {worker + 1})"


def is_number(value: Any) -> bool:
    """Whether `value` is a real number; True, texts and arrays of more than no dimension are none."""
    if isinstance(value, np.ndarray):
        return value.ndim == 0 and value.dtype.kind in "iuf"
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def of_length(entries: Any, n: int, what: str) -> Any:
    """`entries`, a sequence or an array, when there is one for each of n workers; else a ValueError."""
    if isinstance(entries, np.ndarray) and entries.ndim != 1:
        raise ValueError(f"{what}: an array of shape {entries.shape}, but shape ({n},), one entry a worker, is needed")
    if len(entries) != n:
        raise ValueError(f"{what}: {len(entries)} entries, but one for each of the {n} workers is needed")
    return entries


def _entries(what: str, value: Any, annotation: Any, workers: range, n: int) -> Any:
    """A parameter's value, checked: as it was given for all, or an array of one entry a worker."""
    if isinstance(value, str) and not allows(annotation, value):
        try:
            entries = evaluate(value, n, workers)
        except ValueError as error:
            raise ValueError(f"{what}: {error}") from None
        what = f"{what} = {value!r}"
    elif typing.get_origin(annotation) is tuple:
        if not allows(annotation, value):
            raise ValueError(f"{what} = {value!r:.60}, but {allowed(annotation)} is needed")
        return tuple(value)
    elif isinstance(value, (list, tuple, np.ndarray)) and not is_number(value):
        for worker, entry in zip(workers, of_length(value, len(workers), what), strict=True):
            if not is_number(entry):
                raise ValueError(f"{what} = {entry!r} for {worker_words(worker)}, but {allowed(annotation)} is needed")
        entries = np.array(value, dtype=np.float64)
    elif allows(annotation, value):
        return value
    else:
        raise ValueError(f"{what} = {value!r}, but {allowed(annotation)}, a list of them or an expression is needed")
    check(what, entries, annotation, workers)
    return entries.astype(np.int64) if _is_whole(annotation) else entries


def _check_together(name: str, cls: Any, values: Mapping[str, Any], workers: range) -> None:
    if not hasattr(cls, "consistent"):
        return
    columns = {key: _column(value) for key, value in values.items()}
    wrong = ~np.broadcast_to(cls.consistent(**columns), (len(workers),))
    if wrong.any():
        first = int(np.argmax(wrong))
        numbers = {key: value for key, value in values.items() if isinstance(value, np.ndarray) or is_number(value)}
        shown = ", ".join(f"{key} = {np.broadcast_to(value, wrong.shape)[first]:g}" for key, value in numbers.items())
        found = f"{shown} for {worker_words(workers[first])}, but " if shown else ""
        raise ValueError(f"{name}: {found}{cls.needs} is needed")


def _column(value: Any) -> Any:
    """What `consistent` is shown of a parameter: numbers and arrays, also those inside parts of laws."""
    if isinstance(value, Several):
        return tuple(map(_column, value.entries))
    return SimpleNamespace(**value.shared, **value.arrays) if isinstance(value, Laws) else value


def _admitted(annotation: Any, values: Any) -> Any:
    """Entry by entry what `parameters.allows` says of one number."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        inside = _admitted(arguments[0], values)
        for bound in arguments[1:]:
            inside = inside & _within(bound, values)
        return inside
    if origin is Literal:
        return np.isin(values, [option for option in arguments if isinstance(option, float)])
    if arguments:
        return np.any([_admitted(option, values) for option in arguments], axis=0)
    if annotation is int:
        return np.isfinite(values) & (values == np.floor(values))
    return np.isfinite(values) if annotation is float else np.zeros(values.shape, dtype=bool)


def _within(bound: Any, values: Any) -> Any:
    match bound:
        case at.Gt(gt=limit):
            return values > limit
        case at.Ge(ge=limit):
            return values >= limit
        case at.Lt(lt=limit):
            return values < limit
        case at.Le(le=limit):
            return values <= limit
    return True


def _is_whole(annotation: Any) -> bool:
    return annotation is int or (typing.get_origin(annotation) is Annotated and typing.get_args(annotation)[0] is int)


def _suggestion(name: Any, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(str(name).lower(), list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
