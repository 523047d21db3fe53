"""A result as a few lines of HTML, for a notebook: the sentence, the table, and the curve as a small picture.

No script, no style sheet and nothing outside: a notebook may be opened where none of these is allowed. Colours are told
in place and text takes the notebook's own, so that it is read in light and dark.
"""

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from asyncsim import summary
from asyncsim.report import data
from asyncsim.report.ticks import decades, steps

if TYPE_CHECKING:
    from asyncsim.result import Result

WIDTH, HEIGHT = 640, 250
LEFT, RIGHT, TOP, BOTTOM = 58, 22, 10, 38
COLOURS = ("#2f6fb2", "#d4566a", "#1f7d35", "#a88a12", "#1b93b8", "#93306f", "#7b7f83", "#b3581a")
DASHES = ("", "7 4", "2 3", "7 3 2 3", "11 4", "11 3 2 3")
MOST_ROWS = 12


def inline(result: "Result") -> str:
    """The HTML of a result, a few kilobytes."""
    if not result.runs:
        return f"<p><b>{escape(result.name)}</b>: nothing has been run.</p>"
    headers, rows = summary.table(result)
    styles = data.styles(result)
    head = "".join(
        f'<th style="text-align:{"left" if i == 0 else "right"}">{escape(h)}</th>' for i, h in enumerate(headers)
    )
    body = "".join(_row(row, styles.index(row[0])) for row in rows[:MOST_ROWS])
    more = f"<p>… and {len(rows) - MOST_ROWS} more methods</p>" if len(rows) > MOST_ROWS else ""
    return f"""<div><p><b>{escape(result.name)}</b> — {escape(summary.sentence(result))}</p>
<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}
{_picture(result)}</div>"""


def _row(row: Sequence[str], place: int) -> str:
    line = f'<svg width="26" height="8" aria-hidden="true"><line x1="0" y1="4" x2="26" y2="4" {_stroke(place)}/></svg> '
    cells = "".join(f'<td style="text-align:right;white-space:nowrap">{escape(cell)}</td>' for cell in row[1:])
    return f'<tr><th style="text-align:left;white-space:nowrap">{line}{escape(row[0])}</th>{cells}</tr>'


def _stroke(place: int) -> str:
    dash = DASHES[place % len(DASHES)]
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'fill="none" stroke="{COLOURS[place % len(COLOURS)]}" stroke-width="2"{dashes}'


def _picture(result: "Result") -> str:
    """The first quantity against simulated time; medians, on a logarithmic axis where it is one of the objective."""
    key = data.quantities(result)[0]
    labels = data.styles(result)[: data.COLOURS]
    lines = {label: data.curves(result, label)["time"][key] for label in labels}
    logarithmic = key not in data.LINEAR
    points = {
        label: [
            (x, math.log10(y) if logarithmic else y)
            for x, y in zip(line["x"], line["median"], strict=True)
            if x is not None and y is not None and (y > 0 or not logarithmic)
        ]
        for label, line in lines.items()
    }
    all_y = [y for line in points.values() for _, y in line]
    last = max((x for line in points.values() for x, _ in line), default=0.0)
    if not all_y or last <= 0:
        return ""
    low, high = min(all_y), max(all_y)
    low, high = (low - 0.5, high + 0.5) if high == low else (low, high)

    def at(x: float, y: float) -> tuple[float, float]:
        down = HEIGHT - TOP - BOTTOM
        return LEFT + (WIDTH - LEFT - RIGHT) * x / last, TOP + down * (high - y) / (high - low)

    marks = decades(low, high) if logarithmic else steps(low, high, 5)
    grid = "".join(
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at(0, y)[1]:.1f}" y2="{at(0, y)[1]:.1f}" stroke="#8884"/>'
        f'<text x="{LEFT - 6}" y="{at(0, y)[1] + 4:.1f}" text-anchor="end">{words}</text>'
        for y, words in marks
    )
    grid += "".join(
        f'<text x="{at(x, low)[0]:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{words}</text>'
        for x, words in steps(0, last, 6)
    )
    curves = "".join(
        f'<polyline points="{" ".join("{:.1f},{:.1f}".format(*at(x, y)) for x, y in line)}" '
        f"{_stroke(labels.index(label))}><title>{escape(label)}</title></polyline>"
        for label, line in points.items()
        if line
    )
    return f"""<svg viewBox="0 0 {WIDTH} {HEIGHT}" style="width:100%;max-width:{WIDTH}px" fill="currentColor"
font-family="sans-serif" font-size="11" role="img" aria-label="{escape(data.QUANTITIES[key])} against simulated time">{grid}{curves}
<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 4}" text-anchor="middle">{escape(data.QUANTITIES[key])} against simulated time (s)</text></svg>"""
