"""The section "How much sooner": times to the target as ratios with intervals (the method stands in `asyncsim.ratios`)."""

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from asyncsim import summary
from asyncsim.ratios import DRAWS, Ratio, ratios, sentence

if TYPE_CHECKING:
    from asyncsim.result import Result

ROOM = 1.15  # beyond the largest ratio, on the logarithmic axis


def how_much_sooner(result: "Result") -> str:
    """The table of ratios, and one plain sentence; nothing where there is nothing to compare."""
    rows = ratios(result)
    if len(rows) < 2:
        return ""
    most = max(
        (value for row in rows for value in (row.ratio, row.high, row.at_least) if math.isfinite(value)), default=1
    )
    least = min(
        (value for row in rows for value in (row.ratio, row.low) if math.isfinite(value) and value > 0), default=1
    )
    heads = (
        "method",
        "time to target",
        "quartiles",
        "reached",
        f"times {rows[0].label}",
        "95 % interval",
        "",
        "later with",
    )
    head = "".join(f'<th scope="col">{escape(words)}</th>' for words in heads)
    body = "".join(_row(row, place == 0, min(1.0, least), max(1.0, most) * ROOM) for place, row in enumerate(rows))
    return f"""<section class="ratios"><h2>How much sooner</h2>
<p>{escape(sentence(rows))}</p>
<p class="note">Compared seed by seed: each number is the median, over the seeds, of the method's time to the target over that
of {escape(rows[0].label)} with the same seed. The interval is a percentile bootstrap over seeds ({DRAWS:,} draws, always the
same ones); it reaches no further than what was seen, so with few seeds it is rather too narrow. Times are known up to
their resolution. (The sentence on top compares the medians of the times, which is not quite the same.) The mark is the ratio, the bar its interval, the thin line stands at 1; the axis is logarithmic.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Ratios of the times to the target">
<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div></section>"""


def _row(row: Ratio, first: bool, least: float, most: float) -> str:
    quartiles = "—" if row.seeds < 2 else f"{_time(row.lower)} to {_time(row.upper)}"
    times, interval, picture, behind = "1", "", "", ""
    if not first:
        times, interval = _times(row), _interval(row)
        picture = _picture(row, least, most)
        behind = f"{row.behind} of {row.pairs} seeds" if row.pairs else "—"
    cells = (_time(row.median), quartiles, f"{row.reached} of {row.seeds}", times, interval)
    return (
        f'<tr><th scope="row">{escape(row.label)}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        + f"<td>{picture}</td><td>{behind}</td></tr>"
    )


def _time(value: float) -> str:
    return "not reached" if math.isinf(value) else summary.seconds(value)


def _times(row: Ratio) -> str:
    if math.isinf(row.ratio):
        return "not reached" if math.isnan(row.bound) else f"over {summary.number(row.bound, 2)}"
    return summary.number(row.ratio)


def _interval(row: Ratio) -> str:
    if math.isnan(row.low):
        return "too few seeds" if row.pairs else "—"
    return f"{summary.number(row.low)} to {summary.number(row.high)}"


def _picture(row: Ratio, least: float, most: float) -> str:
    """A ratio and its interval on a logarithmic axis that all rows share; 1 is a line."""
    width = math.log(most / least) or 1.0

    def place(value: float) -> float:
        return 100 * min(1.0, max(0.0, math.log(max(value, least) / least) / width)) if math.isfinite(value) else 100.0

    parts: Sequence[str] = [f'<i class="one" style="left:{place(1.0):.1f}%"></i>']
    if not math.isnan(row.low):
        low, high = place(row.low), place(row.high)
        parts = [*parts, f'<i class="reach" style="left:{low:.1f}%;width:{max(high - low, 0.5):.1f}%"></i>']
    at = row.at_least if math.isinf(row.ratio) else row.ratio
    if not math.isnan(at):
        parts = [*parts, f'<i class="{"open" if math.isinf(row.ratio) else "at"}" style="left:{place(at):.1f}%"></i>']
    return f'<div class="axis" aria-hidden="true">{"".join(parts)}</div>'
