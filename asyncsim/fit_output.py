"""What `asyncsim fit` writes: a scenario with the fitted laws, and a page that shows them beside the measured times."""

import json
import math
import os
import textwrap
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from asyncsim.families import FAMILIES
from asyncsim.fitting import Fit, FittedGroup, FittedTimes, Floats, in_words, short, spec_of, spread
from asyncsim.times.censored import Observed, shares

DRAWN = 300  # points of a curve
CROSSES = 60
LAWS_DRAWN = 3
_WORDS = {*FAMILIES, "trace", "resample", "block_bootstrap", "send_seconds"}

_HEAD = """\
# Workers with laws fitted to measured times, written by `asyncsim fit`. The times: $file
#
# D is the largest distance between the CDFs of the law and of the measured times, p the chance that times of the
# law lie as far from their fit. Problem, methods, stepsizes and stop are a beginning: put yours.
$warnings
workers:
  groups:
$groups

problem: {name: quadratic, dimension: 100, noise: 0.01}

target: {squared_gradient_norm: 1.0e-3}

methods:
  - {name: ringmaster_asgd, stepsize: 0.2, threshold: $threshold}
  - {name: rennala_sgd, stepsize: 0.5, batch_size: $threshold}
  - {name: minibatch_sgd, stepsize: 0.5}

stop: {time: $time}
"""


def scenario(fit: Fit, relative_to: Path | None = None) -> str:
    """The scenario as text; paths in it start at the folder `relative_to`."""
    file = fit.file if relative_to is None else os.path.relpath(fit.file, relative_to)
    means = np.concatenate([[max(_mean(group), 1e-300)] * len(group.workers) for group in fit.groups])
    # some two thousand gradients, and time for the slowest to be there a few times
    seconds = max(2000 / float((1 / means).sum()), 5 * float(means.max()))
    return Template(_HEAD).substitute(
        file=_printable(file),
        warnings="".join(f"#\n{_comment(f'Note: {_printable(warning)}.')}\n" for warning in fit.warnings),
        groups="\n".join(_group(group, file) for group in fit.groups),
        threshold=max(1, len(means) // 2),
        time=f"{seconds:.3g}",
    )


def _mean(group: FittedGroup) -> float:
    return group.compute.observed.mean + (group.send.observed.mean if group.send else 0.0)


def _group(group: FittedGroup, file: str) -> str:
    on = f", on {group.device}" if group.device else ""
    lines = [
        f"    - count: {len(group.workers)}   # measured: {_printable(short(group.workers))}{_printable(on)}",
        *_time("compute_time", group.compute, group, file, "      "),
    ]
    if group.send is not None:
        lines += ["      communication_time:", *_time("uplink", group.send, group, file, "        ")]
    return "\n".join(lines)


def _time(key: str, times: FittedTimes, group: FittedGroup, file: str, indent: str) -> list[str]:
    played: dict[str, Any] = {"distribution": "trace", "file": file, "play": "resample"}
    if key == "uplink":
        played["column"] = "send_seconds"
    names: dict[str, Any] = {"worker_map": list(group.workers)}
    if times.block:
        played |= {"play": "block_bootstrap", "block": times.block}
    law = [] if times.best is None else [("the law nearest to them:", spec_of(times.best.law))]
    trace = [("from the trace, in blocks:" if times.block else "from the trace:", {**played, **names})]
    first, *others = [*trace, *law] if times.poor else [*law, *(trace if times.block else [])]
    lines = [f"{indent}# {times.words}", f"{indent}{key}: {_flow(first[1])}"]
    return lines + [f"{indent}# {words} {key}: {_flow(spec)}" for words, spec in others]


def _flow(value: Any) -> str:
    """YAML on one line; six digits are more than a fit knows.

    >>> _flow({"distribution": "gamma", "shape": 1 / 3, "file": "a b.csv"})
    '{distribution: gamma, shape: 0.333333, file: "a b.csv"}'
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, float):
        return f"{value:.6g}"
    # a name may be null, true or 1.0, which only quotes keep a text
    return str(value) if isinstance(value, int) or value in _WORDS else json.dumps(value, ensure_ascii=False)


def _comment(text: str) -> str:
    return textwrap.fill(text, 118, initial_indent="# ", subsequent_indent="# ", break_long_words=False)


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


# ---- the page


def picture(fit: Fit, path: Path) -> Path:
    """Write the page: for each group the CDFs, quantiles against quantiles, and the autocorrelation."""
    from asyncsim.report.page import asset, embedded, plotly, policy

    scripts = [plotly(), asset("fit.js")]
    shown = [(group, kind, times) for group in fit.groups for kind, times in _kinds(group)]
    name = Path(fit.file).name
    text = Template(asset("template.html")).substitute(
        policy=policy(scripts),
        title=escape(f"{name}: laws fitted by asyncsim"),
        style=asset("style.css"),
        sections=_opening(fit, name) + "".join(_section(number, *entry) for number, entry in enumerate(shown)),
        data=embedded([_drawn(times) for _, _, times in shown]),
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
    )
    path.write_text(text.encode("utf-8", "replace").decode(), encoding="utf-8", newline="\n")
    return path


def _kinds(group: FittedGroup) -> list[tuple[str, FittedTimes]]:
    return [("computing", group.compute), *([("sending", group.send)] if group.send else [])]


def _opening(fit: Fit, name: str) -> str:
    headers, rows = fit.table()
    head = "".join(f'<th scope="col">{escape(header)}</th>' for header in headers)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    notes = "".join(f"<li>{escape(warning)}</li>" for warning in fit.warnings)
    return f"""<header><h1>{escape(name)} <small>laws fitted to measured times</small></h1></header>
<div class="scroll" tabindex="0" role="region" aria-label="Fits"><table><thead><tr>{head}</tr></thead>
<tbody>{body}</tbody></table></div>
<p class="note">D: largest distance between the CDFs of times and law. p: share of samples of the law that lie
farther from their fit (the smaller, the less likely is the law; with very many times no law passes, then look at
D). lag 1: rank autocorrelation of successive times. BIC to next: how much worse the second best law is; above 10 is
a clear choice.</p>
{f"<ul>{notes}</ul>" if notes else ""}"""


def _section(number: int, group: FittedGroup, kind: str, times: FittedTimes) -> str:
    who = f"Workers {short(group.workers)}" + (f" on {group.device}" if group.device else "")
    places = "".join(
        f"<figure><figcaption><h3>{title}</h3></figcaption>"
        f'<div class="chart" data-fit="{number}" data-what="{what}"></div></figure>'
        for what, title in (
            ("cdf", "Share of times up to …"),
            ("quantiles", "Measured quantiles against those of the law"),
            ("correlation", "Rank autocorrelation by lag"),
        )
    )
    law = in_words(times.best.law) if times.best else "no law"
    stopped = ""
    if len(times.beyond):
        stopped = (
            " Of those that were stopped, as at the crosses, it is known that they take longer: the measured curve is "
            "Kaplan and Meier’s estimate, which counts that."
        )
    return f"""<section><h2>{escape(who)}: {kind}</h2>
<p class="note">{escape(law)}. {escape(times.words)}.{stopped}</p><div class="charts">{places}</div></section>"""


def _drawn(times: FittedTimes) -> dict[str, Any]:
    """What the page's script draws of one kind of times, as plain JSON data."""
    observed = times.observed
    places, heights = shares(observed)
    chosen = np.linspace(0, len(places) - 1, min(len(places), DRAWN)).round().astype(int)
    laws = [candidate.law for candidate in times.candidates[:LAWS_DRAWN]]
    low, high = float(places[0]), max(float(places[-1]), float(observed.beyond.max(initial=0.0)))
    grid = np.geomspace(low, high, DRAWN) if low > 0 and high > 20 * low else np.linspace(low, high, DRAWN)
    return {
        "log": bool(low > 0 and high > 20 * low),
        "measured": {"x": places[chosen].tolist(), "y": heights[chosen].tolist()},
        "stopped": _stopped(observed, places, heights),
        "laws": [
            {"name": in_words(law), "x": grid.tolist(), "y": [law.cdf(float(t)) for t in grid]}
            for law in laws
            if high > low
        ],
        "quantiles": _quantiles(laws[0], places, heights) if laws and high > low else {"x": [], "y": []},
        "correlation": times.correlation.tolist(),
        "chance": 2 / math.sqrt(len(times.values)),
    }


def _stopped(observed: Observed, places: Floats, heights: Floats) -> dict[str, list[float]]:
    """Where, on the measured curve, gradients were stopped."""
    some = spread(observed.beyond, CROSSES)
    curve = np.append(0.0, heights)[np.searchsorted(places, some, side="right")]
    return {"x": some.tolist(), "y": curve.tolist()}


def _quantiles(law: Any, places: Floats, heights: Floats) -> dict[str, list[float]]:
    """Up to 99 quantiles that were measured, in the middle of the jumps of the CDF, against those of the law."""
    middles = (np.append(0.0, heights[:-1]) + heights) / 2
    chosen = np.linspace(0, len(places) - 1, min(len(places), 99)).round().astype(int)
    return {"x": [law.quantile(float(q)) for q in middles[chosen]], "y": places[chosen].tolist()}
