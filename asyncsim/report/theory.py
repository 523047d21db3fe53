"""The section "What theory says": proven times beside measured ones.

Upper bounds have their constants and are marks on an axis of seconds. A lower bound is known up to a constant only: it is
a shade that fades out around its value, in this section and in no curve, so that nobody takes it for a barrier.
"""

import math
from html import escape
from typing import TYPE_CHECKING

from asyncsim import summary
from asyncsim.bounds import Compared, breaches, compared

if TYPE_CHECKING:
    from asyncsim.result import Result

VERDICTS = {
    "held": "held",
    "broken": "BROKEN",
    "open": "not decided",
    "estimate": "estimate",
    "unknown": "—",
}


def theory(result: "Result") -> str:
    """Measured and proven times of each method, where at least one has a proven time.

    A lower bound alone says nothing of these methods on this problem: `asyncsim theory` shows it.
    """
    rows = compared(result)
    if all(row.seconds is None for row in rows):
        return ""
    rows.sort(key=lambda row: (row.measured, math.inf if row.seconds is None else row.seconds))
    alarm = "".join(
        f'<p class="alarm" role="alert">A proven bound is broken. {escape(text)}.</p>' for text in breaches(result)
    )
    epsilon = summary.number((result.target or {})["squared_gradient_norm"])
    ends = _ends(rows)
    body = "".join(_row(row, ends) for row in rows)
    heads = (
        "method",
        "measured",
        "proven: at most",
        "bound / measured",
        "",
        "lower bound, up to a constant",
        "the bound is",
    )
    head = "".join(f'<th scope="col">{words}</th>' for words in heads)
    how = "".join(
        f"<dt>{escape(row.label)}</dt><dd>{escape('. '.join(filter(None, (row.how, row.why))) or '—')}</dd>"
        for row in rows
    )
    seeds = ", the mean over the seeds" if len(result.seeds) > 1 else ""
    return f"""<section class="theory"><h2>What theory says</h2>
{alarm}<p class="note">Theorems bound the mean of ‖∇f(xᵏ)‖² over the iterations. Measured: the simulated time at which this mean
was first at most {epsilon}{seeds}. Proven: the time at which it surely is, in expectation, for the parameters as run and the
worst function and data that have the problem's constants; so a bound is late, and the order of bounds need not be that of the
methods. The shade is the lower bound for all methods, of which only the order of magnitude is known. ● measured, ▏ proven.</p>
{_estimates(rows)}<div class="scroll" tabindex="0" role="region" aria-label="Measured and proven times">
<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>
<details><summary>Where the bounds come from, and what is missing</summary><dl>{how}</dl></details></section>"""


def _estimates(rows: list[Compared]) -> str:
    """Which bounds are no theorems, where a reader cannot miss it."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row.verdict == "estimate":
            found.setdefault(row.why, []).append(row.label)
    said = "; ".join(f"{', '.join(labels)}: {why}" for why, labels in found.items())
    if not said:
        return ""
    return f"""<p class="note"><strong>Times with ~ are estimates, not proven</strong>, and no breach of them is called: {escape(said)}.</p>
"""


def _row(row: Compared, ends: tuple[float, float]) -> str:
    ratio = "—"
    if row.seconds is not None and 0 < row.measured < math.inf:
        ratio = f"× {summary.number(row.seconds / row.measured)}"
    proven = (
        "—" if row.seconds is None else f"{'~ ' if row.verdict == 'estimate' else ''}{summary.seconds(row.seconds)}"
    )
    lower = "—" if row.lower_bound is None else f"~ {summary.seconds(row.lower_bound)}"
    broken = ' class="broken"' if row.verdict == "broken" else ""
    return (
        f'<tr{broken}><th scope="row">{escape(row.label)}</th><td>{summary.seconds(row.measured)}</td><td>{proven}</td>'
        f"<td>{ratio}</td><td>{_strip(row, ends)}</td><td>{lower}</td><td>{VERDICTS[row.verdict]}</td></tr>"
    )


def _strip(row: Compared, ends: tuple[float, float]) -> str:
    """The three times on one logarithmic axis; the table has them as numbers."""
    marks = []
    if _drawable(row.lower_bound):
        marks.append(f'<i class="lower" style="width:{_place(row.lower_bound, ends):.2f}%"></i>')
    if _drawable(row.seconds):
        marks.append(f'<i class="proven" style="left:{_place(row.seconds, ends):.2f}%"></i>')
    if _drawable(row.measured):
        marks.append(f'<i class="measured" style="left:{_place(row.measured, ends):.2f}%"></i>')
    return f'<div class="bounds" aria-hidden="true">{"".join(marks)}</div>'


def _drawable(seconds: float | None) -> bool:
    return seconds is not None and 0 < seconds < math.inf


def _ends(rows: list[Compared]) -> tuple[float, float]:
    shown = [
        x for row in rows for x in (row.measured, row.seconds, row.lower_bound) if x is not None and 0 < x < math.inf
    ]
    return (math.log(min(shown, default=1.0)), math.log(max(shown, default=1.0)))


def _place(seconds: float | None, ends: tuple[float, float]) -> float:
    low, high = ends
    return 6 + 88 * ((math.log(seconds) - low) / (high - low) if seconds and high > low else 0.5)
