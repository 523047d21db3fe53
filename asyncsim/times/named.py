"""Laws by name, as scenarios have them: {"distribution": "exponential", "mean": "sqrt(i)"}.

Each parameter is a number for all workers, a list of one number a worker, or an expression in i and n. What differs
from worker to worker stays an array: it is checked as an array, once, against the annotations of the law's class, and a
law is made when it is asked for. So a million workers cost an array, not a million objects.
"""

import difflib
import typing
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import annotated_types as at
import numpy as np

from asyncsim.parameters import allowed, allows, hints
from asyncsim.times import laws
from asyncsim.times.expressions import evaluate
from asyncsim.times.laws import LAWS


class Laws:
    """Laws of one class: `laws[worker]` makes a worker's law from values that were checked before.

    values: by parameter a number for all workers or an array of one entry a worker
    """

    def __init__(self, cls: type, values: Mapping[str, Any]) -> None:
        self.cls = cls
        self.ours = cls.__module__ == laws.__name__
        self.shared = {key: value for key, value in values.items() if not isinstance(value, np.ndarray)}
        self.arrays = {key: value for key, value in values.items() if isinstance(value, np.ndarray)}

    def __getitem__(self, worker: int) -> Any:
        own = {key: value[worker].item() for key, value in self.arrays.items()}
        if not self.ours:  # its constructor may do more than ours
            return self.cls(**self.shared, **own)
        # past the constructor, whose checks were made for all workers at once and would take most of the time
        law: Any = object.__new__(self.cls)
        law.__dict__.update(self.shared, **own)
        return law


def laws_from(spec: Mapping[str, Any], workers: range, n: int) -> Laws:
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
    annotations = hints(cls)
    has = f"{name} has {', '.join(annotations)}"
    given = {key: value for key, value in spec.items() if key != "distribution"}
    for key in given:
        if key not in annotations:
            raise ValueError(f"{name}: unknown parameter {key!r}{_suggestion(key, annotations)}; {has}")
    missing = [key for key in annotations if key not in given and not hasattr(cls, key)]
    if missing:
        raise ValueError(f"{name}: {', '.join(missing)} must be given; {has}")
    values = {
        key: _entries(f"{name}: {key}", given[key], annotation, workers, n) if key in given else getattr(cls, key)
        for key, annotation in annotations.items()
    }
    _check_together(name, cls, values, workers)
    made = Laws(cls, values)
    if not made.ours:
        made[0]  # its constructor may refuse what the annotations admit
    return made


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
    wrong = ~np.broadcast_to(cls.consistent(**values), (len(workers),))
    if wrong.any():
        first = int(np.argmax(wrong))
        shown = ", ".join(f"{key} = {np.broadcast_to(value, wrong.shape)[first]:g}" for key, value in values.items())
        raise ValueError(f"{name}: {shown} for {worker_words(workers[first])}, but {cls.needs} is needed")


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
