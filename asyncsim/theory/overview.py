"""What `asyncsim theory` shows of a scenario before any run: what is known, a table, which method and why."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from asyncsim import running, summary
from asyncsim.bounds import SYMBOLS
from asyncsim.methods import METHODS
from asyncsim.theory.parameters import Knowledge
from asyncsim.theory.predictions import Row, choice, table

if TYPE_CHECKING:
    from asyncsim.scenario import Scenario


@dataclasses.dataclass(frozen=True)
class Overview:
    """`known` and `notes` are lines of text, `headers` and `cells` the table, `sentence` who would be chosen."""

    known: list[str]
    headers: list[str]
    cells: list[list[str]]
    sentence: str
    notes: list[str]
    rows: list[Row]


def overview(scenario: Scenario, every_method: bool = False) -> Overview:
    """Theory's parameters and times for the methods of a scenario, or for all there are; nothing is run."""
    target = {} if scenario.target is None else scenario.target.model_dump(exclude_none=True)
    workers, problem = scenario.build_workers(), scenario.check_problem()
    knowledge = running.knowledge(problem, workers, target)
    methods = dict(scenario.build_methods())
    guessed: set[str] = set()
    if every_method:
        named = {type(method) for method in methods.values()}
        for name, cls in METHODS.items():
            made, known = _made(cls)
            if cls not in named and made is not None:
                methods[name] = made
                guessed |= set() if known else {name}
    rows = sorted(table(methods, knowledge, scenario.build_update_rules()), key=_place)
    return Overview(
        known=_known(knowledge),
        headers=["method", "parameters", "iterations", "time", "order", "lower bound"],
        cells=[_cells(row, rows, row.label in guessed) for row in rows],
        sentence=choice(rows, knowledge),
        notes=_notes(rows, knowledge),
        rows=rows,
    )


def _made(cls: type) -> tuple[Any, bool]:
    """A method with "theory" for all that must be given, and True; 1 where theory has nothing, and False."""
    needed = [field.name for field in dataclasses.fields(cls) if field.default is dataclasses.MISSING]
    for value in ("theory", 1):
        try:
            return cls(**dict.fromkeys(needed, value)), value == "theory"
        except ValueError:
            continue
    return None, False


def _place(row: Row) -> tuple[float, ...]:
    seconds, order = row.prediction.seconds, row.prediction.complexity
    return (math.inf if seconds is None else seconds, math.inf if order is None else order)


def _known(knowledge: Knowledge) -> list[str]:
    names = {"L": "L", "sigma2": "σ²", "Delta": "Δ", "epsilon": "ε", "components": "m", "L_max": "L_max"}
    values = [
        f"{symbol} = {'unknown' if value is None else summary.number(float(value))}"
        + (" (estimated)" if name in knowledge.estimated else "")
        for name, symbol in names.items()
        if (value := getattr(knowledge, name)) is not None or name in ("L", "sigma2", "Delta", "epsilon")
    ]
    times = knowledge.mean_times
    if times is not None:
        kind = "constant" if knowledge.constant_times else "random, mean"
        values.append(
            f"{kind} seconds a gradient from {summary.number(float(times.min()))} to {summary.number(float(times.max()))}"
        )
    data = "the workers' data differ" if knowledge.heterogeneous else "all workers have the same data"
    return [f"{knowledge.n} workers; {data}.", "; ".join(values) + "."]


def _cells(row: Row, rows: list[Row], guessed: bool) -> list[str]:
    found = row.prediction
    orders = [o for r in rows if (o := r.prediction.complexity) is not None and math.isfinite(o) and o > 0]
    order = "—" if found.complexity is None else "∞"
    if found.complexity is not None and math.isfinite(found.complexity) and orders:
        order = f"× {summary.number(found.complexity / min(orders), 3)}"
    return [
        row.label,
        "to be tuned" if guessed else "—" if row.why_not else _parameters(row.method),
        "—" if found.iterations is None else f"≤ {found.iterations:,}",
        "—" if found.seconds is None else f"{'~' if found.estimated else '≤'} {summary.number(found.seconds)} s",
        order,
        "—" if found.lower_bound is None else f"~ {summary.number(found.lower_bound)} s",
    ]


MOST = 2


def _parameters(method: Any) -> str:
    """What theory gives or must be given, and what was changed."""
    if not dataclasses.is_dataclass(method):
        return "—"
    shown = running.parameters_of(method)
    fixed = {field.name: field.default for field in dataclasses.fields(method)}
    return ", ".join(
        f"{name} = {_value(value)}"
        for name, value in shown.items()
        if not isinstance(value, Mapping) and getattr(method, name) != fixed[name]
    )


def _value(value: Any) -> str:
    if isinstance(value, float):
        return summary.number(value)
    if isinstance(value, tuple | list):
        few = ", ".join(_value(item) for item in value[:MOST])
        return f"[{few}, … {len(value)} in all]" if len(value) > MOST else f"[{few}]"
    return str(value)


def _notes(rows: list[Row], knowledge: Knowledge) -> list[str]:
    notes = [
        "time: proven seconds until the mean of ‖∇f‖² over the iterations is at most ε"
        + ("" if knowledge.constant_times else ", for random times in expectation")
        + "; ~ where it rests on estimates. A worst case: the least bound need not be the fastest method.",
        "order: the paper's time complexity, up to a constant, against the least. lower bound: up to a constant, for every "
        "method for such data.",
    ]
    if all(row.prediction.seconds is None and row.prediction.complexity is None for row in rows):
        notes = []
    said: dict[str, list[str]] = {}
    for row in rows:
        found = row.prediction
        texts = [found.how] if found.how else []
        if found.estimated:
            of = ", ".join(SYMBOLS.get(name, name) for name in found.estimated)
            texts.append(f"nothing is proven, as it rests on estimates of {of}")
        for text in (*texts, *found.missing):
            # its own name stands before it already
            said.setdefault(text.removeprefix(f"{type(row.method).__name__}: "), []).append(row.label)
    return notes + [f"{', '.join(labels)}: {text}" for text, labels in said.items()]
