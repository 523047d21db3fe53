"""A page on the workers' times before any run: the table, what it means together, histograms and CDFs.

It has the frame, the style and the rules of the report's page (see `asyncsim.report.page`).
"""

import math
from html import escape
from string import Template
from typing import Any

import numpy as np

from asyncsim.report.page import _dash, asset, embedded, plotly, policy
from asyncsim.times.overview import HEADERS, Overview, Row, curve, times_of

SCRIPTS = ("shared.js", "times.js")
BINS = 48


def times_page(name: str, seen: Overview) -> str:
    """The whole page as text."""
    scripts = [plotly(), *map(asset, SCRIPTS)]
    words = seen.words()
    sections = f"""<header>
<h1>{escape(name)} <small>{seen.n:,} workers, before any run</small></h1>
<p class="sentence">{escape(words[0][0].upper() + words[0][1:])}.</p>
</header>
{_numbers(seen)}
<p class="note" style="margin-top:10px">{"<br>".join(map(escape, words[1:]))}</p>
<p class="note">t*(S) is the equilibrium time: within a factor of two what it takes to collect S gradients when each
worker takes its mean time. Slower workers play no part in it.</p>
{_chips(seen)}
<section><h2>How long a gradient takes</h2>
<p class="note">Compute times without communication. On the left the share of gradients that are ready by then; where
it stays below 1, the rest is later than shown, or never comes. On the right a histogram of 4,096 draws a worker.</p>
<div class="charts">
<figure><figcaption><h3>Share ready by then</h3></figcaption><div class="chart" data-times="cdf"></div></figure>
<figure><figcaption><h3>Histogram</h3></figcaption><div class="chart" data-times="histogram"></div></figure>
</div></section>"""
    text = Template(asset("template.html")).substitute(
        policy=policy(scripts),
        title=escape(f"{name}: times of the workers"),
        style=asset("style.css"),
        sections=sections,
        data=embedded(blob(seen)),
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
    )
    return text.encode("utf-8", "replace").decode()


def _numbers(seen: Overview) -> str:
    head = "".join(f'<th scope="col"{_left(place)}>{escape(header)}</th>' for place, header in enumerate(HEADERS))
    rows = "\n".join(
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join(f"<td{_left(place)}>{escape(cell)}</td>" for place, cell in enumerate(rest, start=1))
        + "</tr>"
        for first, *rest in (row.cells() for row in seen.rows)
    )
    return f"""<div class="scroll" tabindex="0" role="region" aria-label="Times of each worker">
<table><thead><tr>{head}</tr></thead><tbody>
{rows}
</tbody></table></div>"""


def _left(place: int) -> str:
    return ' class="text"' if HEADERS[place] == "compute time" else ""


def _chips(seen: Overview) -> str:
    chips = "".join(
        f'<label class="chip" style="--c:var(--m{i % 8})">'
        f'<input type="checkbox" checked autocomplete="off" data-method="{escape(row.label)}">'
        f"{_dash(i)}{escape(row.label)}</label>"
        for i, row in enumerate(seen.rows)
    )
    return f'<div class="bar chips" role="group" aria-label="Workers shown">{chips}</div>'


def blob(seen: Overview) -> dict[str, Any]:
    """What the scripts draw: by label CDFs and histograms, on a logarithmic axis where times differ that much."""
    drawn = {row.label: times_of(row.law) for row in seen.rows}
    positive = np.concatenate([times[times > 0] for times in drawn.values()]) if drawn else np.empty(0)
    log = bool(len(positive)) and _far_apart(seen.rows, positive)
    return {
        "methods": [row.label for row in seen.rows],
        "log": log,
        "cdf": {row.label: dict(zip(("x", "y"), curve(row.law), strict=True)) for row in seen.rows},
        "histogram": {label: _histogram(times, log) for label, times in drawn.items()},
    }


def _far_apart(rows: tuple[Row, ...], positive: Any) -> bool:
    medians = [row.quantiles[0] for row in rows if 0 < row.quantiles[0] < math.inf]
    apart = medians and max(medians) > 20 * min(medians)
    return bool(apart or np.quantile(positive, 0.99) > 50 * np.quantile(positive, 0.5))


def _histogram(times: Any, log: bool) -> dict[str, list[float]]:
    """Edges of bins and the share of draws in each; the last percent is left out of a linear axis."""
    times = times[times > 0] if log else times
    if not len(times):
        return {"edges": [], "share": []}
    low, high = float(times.min()), float(times.max() if log else np.quantile(times, 0.99))
    if high <= low * (1 + 1e-9):
        high = low * 1.02 + 1e-12
    edges = np.geomspace(low, high, BINS + 1) if log else np.linspace(low, high, BINS + 1)
    share = np.histogram(times, edges)[0] / len(times)
    return {"edges": edges.tolist(), "share": share.tolist()}
