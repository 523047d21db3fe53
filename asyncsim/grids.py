"""The values that a sweep tries for one parameter, as a scenario writes them.

    [0.1, 0.2, theory]                      a list
    {powers_of: 5, from: -5, to: 4}         5⁻⁵, 5⁻⁴, …, 5⁴
    {from: 0.1, to: 1, count: 10}           evenly spaced, both ends in it
    {from: 0.001, to: 1, count: 7, scale: log}
    {between: [0.001, 1], scale: log}       any number there; for random sweeps only

Computed values are rounded to twelve digits, so that 5⁻⁵ is 0.00032. Where a parameter takes whole numbers only, they are
rounded to whole ones by who knows that (asyncsim/sweep.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

MOST = 10_000
FORMS = (
    "a list of values, {powers_of: 5, from: -5, to: 4}, {from: 0.1, to: 1, count: 10} with scale: linear or log, "
    "or {between: [0.001, 1]} in a random sweep"
)


@dataclass(frozen=True)
class Grid:
    """The values to try, in their order; or, where `between` is given, any number there.

    `computed` are values that nobody wrote one by one, `data` is what the scenario says.
    """

    data: Any
    values: tuple[Any, ...] = ()
    computed: bool = False
    between: tuple[float, float] | None = None
    log: bool = False

    def draw(self, rng: np.random.Generator) -> Any:
        """One of the values, or a number between."""
        if self.between is None:
            return self.values[int(rng.integers(len(self.values)))]
        low, high = map(math.log, self.between) if self.log else self.between
        drawn = low + (high - low) * rng.random()
        return _rounded(math.exp(drawn) if self.log else drawn)


def read_grid(data: Any) -> Grid:
    """The grid that a scenario describes; ValueError says what is wrong and what is allowed.

    >>> read_grid({"powers_of": 5, "from": -2, "to": 1}).values
    (0.04, 0.2, 1, 5)
    >>> read_grid({"from": 0.001, "to": 1, "count": 4, "scale": "log"}).values
    (0.001, 0.01, 0.1, 1.0)
    """
    if isinstance(data, list | tuple):
        return _listed(data)
    if not isinstance(data, Mapping):
        raise ValueError(f"{data!r:.60} is no grid; allowed: {FORMS}")
    keys = set(data)
    if "powers_of" in keys:
        return _powers(data)
    if "between" in keys:
        return _between(data)
    if "count" in keys:
        return _spaced(data)
    raise ValueError(f"the keys {', '.join(map(str, data)) or '(none)'} make no grid; allowed: {FORMS}")


def _listed(data: Any) -> Grid:
    values = list(data)
    if not values:
        raise ValueError("an empty list; at least one value is needed")
    if len(values) > MOST:
        raise ValueError(f"{len(values):,} values; allowed: up to {MOST:,}")
    for place, value in enumerate(values):
        if value in values[:place]:
            raise ValueError(f"{value!r:.60} stands twice")
    return Grid(data, tuple(values))


def _powers(data: Mapping[str, Any]) -> Grid:
    _only(data, "powers_of", "from", "to")
    base, first, last = _number(data, "powers_of"), _whole(data, "from"), _whole(data, "to")
    if not base > 0 or base == 1:
        raise ValueError(f"powers_of: {base!r}, but a number > 0 other than 1 is needed")
    if not first < last < first + MOST:
        raise ValueError(f"from: {first}, to: {last}, but `to` must be larger than `from`, by less than {MOST:,}")
    whole = float(base).is_integer()
    try:
        values = [
            int(base) ** power if whole and power >= 0 else _rounded(float(base) ** power)
            for power in range(first, last + 1)
        ]
        fine = all(0 < value < math.inf and float(value) > 0 for value in values)
    except OverflowError:
        fine = False
    if not fine:
        raise ValueError(f"{base}^{first} … {base}^{last} are not all numbers that can be computed with")
    return Grid(data, tuple(values), computed=True)


def _spaced(data: Mapping[str, Any]) -> Grid:
    _only(data, "from", "to", "count", "scale")
    first, last, count = _number(data, "from"), _number(data, "to"), _whole(data, "count")
    log = _log(data, first, last)
    if not 2 <= count <= MOST:
        raise ValueError(f"count: {count}, but a number of 2 … {MOST:,} is needed")
    if not first < last:
        raise ValueError(f"from: {first}, to: {last}, but `to` must be larger than `from`")
    inner = np.geomspace(first, last, count) if log else np.linspace(first, last, count)
    values = [float(first), *(_rounded(value) for value in inner[1:-1]), float(last)]
    return Grid(data, tuple(values), computed=True, log=log)


def _between(data: Mapping[str, Any]) -> Grid:
    _only(data, "between", "scale")
    ends = data["between"]
    if not isinstance(ends, list | tuple) or len(ends) != 2:
        raise ValueError(f"between: {ends!r:.60}, but two numbers are needed, [0.001, 1]")
    low, high = (_number({"between": end}, "between") for end in ends)
    if not low < high:
        raise ValueError(f"between: [{low}, {high}], but the second must be larger than the first")
    return Grid(data, computed=True, between=(float(low), float(high)), log=_log(data, low, high))


def _log(data: Mapping[str, Any], low: float, high: float) -> bool:
    scale = data.get("scale", "linear")
    if scale not in ("linear", "log"):
        raise ValueError(f"scale: {scale!r:.60}, but linear or log is needed")
    if scale == "log" and not low > 0:
        raise ValueError(f"scale: log needs numbers > 0, not {low}")
    return bool(scale == "log")


def _only(data: Mapping[str, Any], *keys: str) -> None:
    wrong = [str(key) for key in data if key not in keys]
    missing = [key for key in keys if key not in data and key != "scale"]
    if wrong or missing:
        what = [f"unknown: {', '.join(wrong)}"] * bool(wrong) + [f"missing: {', '.join(missing)}"] * bool(missing)
        raise ValueError(f"{'; '.join(what)}; the keys of this grid are {', '.join(keys)}")


def _number(data: Mapping[str, Any], key: str) -> float:
    value = data[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{key}: {value!r:.60}, but a number is needed")
    return value


def _whole(data: Mapping[str, Any], key: str) -> int:
    value = _number(data, key)
    if not float(value).is_integer() or abs(value) > 10**6:
        raise ValueError(f"{key}: {value!r:.60}, but a whole number is needed")
    return int(value)


def _rounded(value: float) -> float:
    return float(f"{value:.12g}")
