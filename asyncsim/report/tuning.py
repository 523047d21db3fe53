"""The section "How the methods were tuned": each method's grid as a heat map, the winner marked.

It reads ``manifest["tuning"]``, ``{label: {"axes": {"stepsize": [...], "threshold": [...]}, "values": nested lists in the
order of the axes (null: diverged or not reached), "rule": …, "winner": {…}, "on_edge": [parameter, …], "seeds": the tuning
seeds, "reached": with how many of them the winner got there}}``. Smaller values are better under every rule. A grid of one parameter is a strip; of more than two, a map for
each choice of the others.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import product
from typing import TYPE_CHECKING, Any

from asyncsim import summary

if TYPE_CHECKING:
    from asyncsim.result import Result

RULES = {
    "time_to_target": "the time to the target, in simulated seconds",
    "final_squared_gradient_norm": "the last ‖∇f‖²",
}
LEVELS = 8  # shades of style.css
MOST_MAPS = 12  # of a grid of more than two parameters


def tuning(result: "Result") -> str:
    """A map a method that was tuned; nothing where none was."""
    found = result.manifest.get("tuning")
    if not isinstance(found, Mapping) or not found:
        return ""
    figures = "".join(_figure(str(label), grid) for label, grid in found.items())
    rules = sorted({str(grid.get("rule", "")) for grid in found.values()})
    words = " and ".join(RULES.get(rule, rule.replace("_", " ")) for rule in rules)
    ended = any(grid.get("ended_early") for grid in found.values())
    going_on = any("tried" in grid for grid in found.values())
    star = (
        "is the best so far, of the seeds that have ended; an empty cell was not tried yet"
        if going_on
        else "won and was run anew on fresh seeds"
    )
    early = ", or was ended early when it could no longer win" if ended else ""
    return f"""<section class="tuning"><h2>How the methods {"are being" if going_on else "were"} tuned</h2>
<p class="note">A cell is a choice of parameters and shows {escape(words)}: the stronger its colour the better, on a logarithmic
scale of its own for each method. ★ {star}. A hatched cell with – diverged or did not reach
the target{early}.</p>
<div class="maps">{figures}</div></section>"""


def _figure(label: str, grid: Mapping[str, Any]) -> str:
    axes = {str(name): list(values) for name, values in grid["axes"].items()}
    values = [value for value in _leaves(grid["values"]) if value is not None and math.isfinite(value)]
    winner = dict(grid.get("winner") or {})
    edge = [str(name) for name in grid.get("on_edge") or ()]
    tables = "".join(_maps(axes, grid["values"], winner, (min(values), max(values)) if values else (1.0, 1.0)))
    chosen = ", ".join(f"{_words(name)} {_cell_name(value)}" for name, value in winner.items())
    won = f"★ {chosen}" if chosen else "nothing won: every choice diverged or missed the target"
    if "tried" in grid:
        won = _so_far(grid, chosen)
    warning = ""
    if edge:
        which = " and ".join(_words(name) for name in edge)
        warning = (
            f'<p class="warning"><b>On the edge:</b> the winning {escape(which)} is the last of its grid, so the best one may'
            " lie beyond it. A wider grid would tell.</p>"
        )
    if "reached" in grid and grid["reached"] <= len(grid["seeds"]) // 2:
        what = "reached the target" if grid.get("rule") == "time_to_target" else "came to an end without diverging"
        warning += (
            f'<p class="warning"><b>Says little:</b> no choice {what} with most of the {len(grid["seeds"])} tuning seeds;'
            f" the one marked did with {grid['reached']} of them.</p>"
        )
    return (
        f'<figure><figcaption><h3>{escape(label)}</h3><span class="note">{escape(won)}</span></figcaption>'
        f"{tables}{warning}</figure>"
    )


def _so_far(grid: Mapping[str, Any], chosen: str) -> str:
    """What is known of a method that is still being tuned."""
    ended, runs = grid["tried"]
    best = f"best so far ★ {chosen}: {summary.number(grid['best'])}" if chosen else "no choice has a value yet"
    if grid.get("rule") == "time_to_target" and chosen:
        best += " s"
    return f"{ended} of {runs} runs ended; {best}"


def _maps(
    axes: Mapping[str, Sequence[Any]], values: Any, winner: Mapping[str, Any], ends: tuple[float, float]
) -> Iterator[str]:
    """The tables of a grid: the first parameter down, the second across; the others, if any, choose the table."""
    names = list(axes)
    others = names[2:]
    choices = list(product(*(range(len(axes[name])) for name in others)))
    for choice in choices[:MOST_MAPS]:
        fixed = {name: axes[name][place] for name, place in zip(others, choice, strict=True)}
        caption = ", ".join(f"{_words(name)} {_cell_name(value)}" for name, value in fixed.items())
        here = all(_same(winner.get(name), value) for name, value in fixed.items())
        yield _table(names[:2], axes, values, choice, caption, winner if here else {}, ends)
    if len(choices) > MOST_MAPS:
        yield f'<p class="note">{len(choices) - MOST_MAPS} more maps are not shown.</p>'


def _table(
    names: Sequence[str],
    axes: Mapping[str, Sequence[Any]],
    values: Any,
    choice: Sequence[int],
    caption: str,
    winner: Mapping[str, Any],
    ends: tuple[float, float],
) -> str:
    # a strip lies flat: its one parameter goes across
    down, across = (names[0], names[1]) if len(names) == 2 else (None, names[0])
    head = "".join(f'<th scope="col">{escape(_cell_name(value))}</th>' for value in axes[across])
    rows = []
    for i, row in enumerate(axes[down] if down else [None]):
        cells = []
        for j, column in enumerate(axes[across]):
            value = _at(values, ([i, j] if down else [j]) + list(choice))
            won = _same(winner.get(across), column) and (down is None or _same(winner.get(down), row))
            cells.append(_cell(value, won, ends))
        first = f'<th scope="row">{escape(_cell_name(row))}</th>' if down else ""
        rows.append(f"<tr>{first}{''.join(cells)}</tr>")
    title = f"{_words(down)} ↓ &nbsp; {_words(across)} →" if down else f"{_words(across)} →"
    corner = "<td></td>" if down else ""
    said = f"{title}{f', {escape(caption)}' if caption else ''}"
    return f"""<div class="scroll" tabindex="0" role="region" aria-label="Grid of {escape(" and ".join(map(_words, names)))}"><table>
<caption>{said}</caption><thead><tr>{corner}{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>"""


def _cell(value: float | None, won: bool, ends: tuple[float, float]) -> str:
    if value is not None and math.isnan(value):
        return '<td class="wait" title="not tried yet"></td>'
    star, strong = ("★ ", " won") if won else ("", "")
    if value is None or not math.isfinite(value):
        return f'<td class="none{strong}" title="diverged or not reached">{star}–</td>'
    return f'<td class="t{_level(value, ends)}{strong}">{star}{escape(summary.number(value))}</td>'


def _level(value: float, ends: tuple[float, float]) -> int:
    """The shade of a value, 0 for the worst to `LEVELS` − 1 for the best.

    >>> _level(1.0, (1.0, 100.0)), _level(10.0, (1.0, 100.0)), _level(100.0, (1.0, 100.0)), _level(5.0, (5.0, 5.0))
    (7, 4, 0, 7)
    """
    low, high = ends
    if low <= 0 or high <= low:
        share = 0.0 if high <= low else (value - low) / (high - low)
    else:
        share = math.log(value / low) / math.log(high / low)
    return round((LEVELS - 1) * (1 - min(1.0, max(0.0, share))))


def _leaves(values: Any) -> Iterator[float | None]:
    if isinstance(values, list | tuple):
        for each in values:
            yield from _leaves(each)
    else:
        yield values


def _at(values: Any, place: Sequence[int]) -> float | None:
    for index in place:
        values = values[index]
    return None if values is None else float(values)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, int | float) and isinstance(b, int | float):
        return math.isclose(a, b, rel_tol=1e-12)
    return bool(a == b)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _cell_name(value: Any) -> str:
    return (
        summary.number(float(value)) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
    )
