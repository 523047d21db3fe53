"""What the tuning runs of a sweep say: the value of a choice, and the grids so far, for the sweep and for who looks on.

A sweep's plan, as its manifest keeps it while methods are tuned: ``{label: {"rule": …, "seeds": how many, "first": the number
of its first choice, "axes": {parameter: values}, "at": [place of each choice on the axes], "parameters": [of each choice]}}``.
Tuning run number r is of choice r // seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

NOT_TRIED = math.nan  # in the place of a value


def score(rows: Sequence[Mapping[str, Any]]) -> tuple[float, float, float]:
    """What the best choice has least of, from the rows of all its tuning seeds (rule 3 of asyncsim/sweep.py).

    >>> rows = [{"value": value, "squared_gradient_norm": 1.0} for value in (3.0, math.inf, 2.0)]
    >>> score(rows)
    (3.0, 8.0, 0.0)
    """
    values = sorted(row["value"] for row in rows)
    value = values[len(values) // 2]
    if value < math.inf:
        return value, sum(min(each, value) for each in values), 0.0
    norms = sorted(row["squared_gradient_norm"] for row in rows)
    return value, float(values.count(math.inf)), norms[len(norms) // 2]


def so_far(plan: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The grids as `manifest["tuning"]` will have them, from the seeds that have ended; `NOT_TRIED` where none has.

    The `winner` is the best choice so far, of those that are not more than a seed behind, {} where none has a value;
    `best` is its value, and `tried` is (runs that have ended, all).
    """
    by_number = {row["run"]: row for row in rows}
    return {label: _so_far(about, by_number) for label, about in plan.items()}


def _so_far(about: Mapping[str, Any], rows: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    seeds, first = int(about["seeds"]), int(about["first"])
    ended = [
        [rows[number] for number in range((first + choice) * seeds, (first + choice + 1) * seeds) if number in rows]
        for choice in range(len(about["at"]))
    ]
    values: Any = _empty([len(axis) for axis in about["axes"].values()])
    compared = max(1, max(map(len, ended)) - 1)
    best, least = None, (math.inf, math.inf, math.inf)
    for choice, (at, there) in enumerate(zip(about["at"], ended, strict=True)):
        if not there:
            continue
        found = score(there)
        _put(values, at, found[0] if found[0] < math.inf else None)
        if len(there) >= compared and found[0] < math.inf and found < least:
            best, least = choice, found
    return {
        "axes": about["axes"],
        "values": values,
        "rule": about["rule"],
        "winner": {} if best is None else about["parameters"][best],
        "best": None if best is None else least[0],
        "tried": (sum(map(len, ended)), len(ended) * seeds),
        "on_edge": [],
    }


def _empty(lengths: Sequence[int]) -> Any:
    return NOT_TRIED if not lengths else [_empty(lengths[1:]) for _ in range(lengths[0])]


def _put(values: Any, at: Sequence[int], value: float | None) -> None:
    for place in at[:-1]:
        values = values[place]
    values[at[-1]] = value
