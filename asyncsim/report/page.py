"""The page: sections of HTML over one blob of data.

Rules:
1. Nothing is asked of a network. Style, scripts and plotly's script are inside; the content security policy names
   each script by its hash and forbids everything else, so a name that slipped through unescaped could still not run.
2. What comes from a scenario goes through `escape` (text and attributes) or `embedded` (JSON in a script element).
3. A section is a function `section(result) -> html`, in the order of `SECTIONS`; what it draws stands in the blob of
   `asyncsim.report.data`, and a script finds its places by ``data-`` attributes. Numbers and words need no script.
"""

import base64
import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from html import escape
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any

from asyncsim import summary
from asyncsim.report import data
from asyncsim.report.player import player
from asyncsim.report.ratios import how_much_sooner
from asyncsim.report.theory import theory
from asyncsim.report.tuning import tuning
from asyncsim.report.twin import twin

if TYPE_CHECKING:
    from asyncsim.result import Result

SCRIPTS = (
    *("shared.js", "intervals.js", "charts.js", "timeline.js", "heat.js"),
    *("film.js", "stage.js", "race.js", "player.js"),
    "twin.js",
)

MANY = data.COLOURS  # more methods than these are folded where each has a figure of its own
UNFOLDED = 6

OUTCOMES = {
    "used": "read by the method and applied",
    "discarded": "arrived, but too old or too late to be read: computed for nothing",
    "stopped": "called off by the server before it arrived",
    "timed_out": "met its deadline before it arrived",
    "lost": "its worker went away",
    "in_flight": "still at work when the window or the run ended",
}


def page(result: "Result") -> str:
    """The whole page as text."""
    scripts = [plotly(), *map(asset, SCRIPTS)]
    text = Template(asset("template.html")).substitute(
        policy=policy(scripts),
        title=escape(f"{result.name}: asyncsim"),
        style=asset("style.css"),
        sections="\n".join(section(result) for section in SECTIONS),
        data=embedded(data.blob(result)),
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
    )
    # half of a surrogate pair cannot be written as UTF-8
    return text.encode("utf-8", "replace").decode()


@cache
def plotly() -> str:
    """The script of the installed plotly, with nothing in it that would end a script element."""
    from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

    return str(get_plotlyjs()).replace("\r\n", "\n").replace("</script", "<\\/script").replace("<!--", "<\\!--")


def asset(name: str) -> str:
    """A file that lies beside this one, with line ends as a browser reads them (the hashes depend on it)."""
    return resources.files("asyncsim.report").joinpath(name).read_text(encoding="utf-8").replace("\r\n", "\n")


def policy(scripts: Iterable[str]) -> str:
    """The content security policy under which these inline scripts run and nothing else does."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    # plotly sets styles on elements and makes the picture that can be saved as a data: or blob: image
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def embedded(value: Any) -> str:
    r"""JSON that may stand inside a script element, whatever its texts say.

    >>> embedded({"name": "</script><!--"})
    '{"name":"\\u003c/script\\u003e\\u003c!--"}'
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


# -- sections -------------------------------------------------------------------------------------


def opening(result: "Result") -> str:
    """The title, who got there first, and why."""
    cause = summary.cause(result)
    return f"""<header>
<h1>{escape(result.name)} <small>{escape(subtitle(result))}</small></h1>
<p class="sentence">{_unbroken(escape(summary.sentence(result)))}</p>
{f'<p class="cause">{escape(cause)}</p>' if cause else ""}
{_differences(result)}</header>"""


def _unbroken(words: str) -> str:
    """No line ends between a number and its unit.

    >>> _unbroken("after 54 s, 2 times sooner")
    'after <span>54 s</span>, <span>2 times</span> sooner'
    """
    return re.sub(r"\d\S* (?:s|times)\b", r"<span>\g<0></span>", words)


def _differences(result: "Result") -> str:
    """What differs between results that were put side by side."""
    found = result.manifest.get("differences")
    if found is None:
        return ""
    lines = "".join(f"<li>{escape(str(words))}</li>" for words in found) or "<li>nothing but the methods</li>"
    return (
        f'<div class="differences"><p>These are several results. What differs between them:</p><ul>{lines}</ul></div>\n'
    )


def subtitle(result: "Result") -> str:
    """What was run, in a few words."""
    problem, n = result.problem, max((run.n for run in result.runs), default=0)
    parts = [
        summary.counted(n, "worker"),
        summary.counted(len(result.labels), "method"),
        summary.counted(len(result.seeds), "seed"),
    ]
    if problem.get("name") and data.has_objective(result):
        parts.append(f"{problem['name']} in dimension {problem.get('dimension', '?')}")
    elif not data.has_objective(result):
        parts.append("timing only")
    return " · ".join(parts)


def numbers(result: "Result") -> str:
    """The table, one row a method, the best first."""
    headers, rows = summary.table(result)
    verdict = summary.verdict(result)
    winner = verdict.best if verdict.clear else None
    head = "".join(f'<th scope="col">{escape(str(header))}</th>' for header in headers)
    body = "\n".join(_row([str(cell) for cell in row], str(row[0]) == winner) for row in rows)
    words = "Simulated seconds, wall-clock apart."
    if len(result.seeds) > 1:
        words = "Each number is the median over seeds, the largest delay that of all. " + words
    if result.target:
        words += (
            " The time to the target is that of the first record point that met it; it may have been met since the"
            " record point before, and that distance is the resolution."
        )
    return f"""<div class="scroll" tabindex="0" role="region" aria-label="Numbers of each method">
<table><thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody></table></div>
<p class="note" style="margin-top:8px">{words}</p>"""


def _row(cells: list[str], winner: bool) -> str:
    badge = '<span class="badge">first</span>' if winner else ""
    rest = "".join(f"<td>{escape(cell)}</td>" for cell in cells[1:])
    return f'<tr{" class=winner" if winner else ""}><th scope="row">{escape(cells[0])}{badge}</th>{rest}</tr>'


def outcomes(result: "Result") -> str:
    """What became of a gradient, in words; only outcomes that occurred, and those everybody asks about."""
    rows = "".join(
        f'<li><span class="swatch {css(key)}"></span><span><b>{spoken(key)}</b>: {OUTCOMES[key]}</span></li>'
        for key in occurred(result)
    )
    return f"""<ul class="words">{rows}
{AWAY if was_away(result) else ""}{POWER if changed_power(result) else ""}<li><span class="swatch idle"></span><span><b>idle</b>: the worker has nothing to do</span></li>
<li><span class="swatch trip"></span><span><b>thin ends</b>: the point on its way
to the worker, the gradient on its way back</span></li>
</ul>"""


AWAY = """<li><span class="swatch away"></span><span><b>away</b>: the worker is not there, or without power;
what it has in hand waits, begins anew or is lost</span></li>
"""

POWER = """<li><span class="swatch power"></span><span><b>the line under a lane</b>: how fast the worker is just then, dark at
its fastest, pale where it is slow</span></li>
"""


def was_away(result: "Result") -> bool:
    """Whether an absence is drawn anywhere."""
    return any(len(run.away) for run in result.runs)


def changed_power(result: "Result") -> bool:
    """Whether the line under a lane is drawn anywhere."""
    return any(len(run.powers) for run in result.runs)


def best_first(result: "Result") -> list[str]:
    """The methods in the order of the table."""
    return [method.label for method in summary.ranked(result)]


def occurred(result: "Result") -> list[str]:
    """The outcomes that the page explains."""
    here = {key for run in result.runs for key in OUTCOMES if getattr(run, key)} | {"used", "discarded", "stopped"}
    return [key for key in OUTCOMES if key in here]


def key(result: "Result", powers: bool = False) -> str:
    """The same without the words, for those who have scrolled on."""
    swatches = "".join(
        f'<span><span class="swatch {css(outcome)}"></span>{spoken(outcome)}</span>'
        for outcome in [*occurred(result), *(["away"] if was_away(result) else []), "idle"]
    )
    if powers and changed_power(result):
        swatches += '<span><span class="swatch power"></span>fast, slow</span>'
    return f'<div class="key">{swatches}</div>'


def methods(result: "Result") -> str:
    """One chip a method: the legend of all charts, and the choice of what they show."""
    chips = "".join(
        f'<label class="chip" style="--c:var(--m{i % 8})">'
        f'<input type="checkbox" checked autocomplete="off" data-method="{escape(label)}">'
        f"{_dash(i)}{escape(label)}</label>"
        for i, label in sorted(enumerate(data.styles(result)), key=lambda pair: best_first(result).index(pair[1]))
    )
    labels = best_first(result)
    presets = {"all": labels, f"best {UNFOLDED}": labels[:UNFOLDED], "none": []} if len(labels) > MANY else {}
    buttons = "".join(
        f'<button type="button" data-choose="{escape(json.dumps(chosen))}">{words}</button>'
        for words, chosen in presets.items()
    )
    keys = f'<span class="keys">{buttons}</span>' if buttons else ""
    many = " many" if buttons else ""
    return f'<div class="bar chips{many}" role="group" aria-label="Methods shown">{keys}{chips}</div>'


def _dash(i: int) -> str:
    # the same order of dashes and markers as in shared.js
    pattern = ("", "6 4", "2 3", "6 3 2 3", "10 4", "10 3 2 3")[i % 6]
    return (
        f'<svg width="30" height="10" aria-hidden="true"><line x1="0" y1="5" x2="30" y2="5" stroke="currentColor" '
        f'stroke-width="2.4" stroke-dasharray="{pattern}"/></svg>'
    )


def curves(result: "Result") -> str:
    """What was reached, against simulated time and against iterations."""
    keys, many = data.quantities(result), len(result.labels) > MANY
    if keys[0] in data.OF_THE_CLOCK:
        places = "".join(_curve("time", f"{data.QUANTITIES[key]} against simulated time", key) for key in keys)
        choices = choice("y-axis", "Vertical axis", {"linear": "linear y", "log": "log y"}, "linear")
        words = (
            "The problem has no objective: what can be compared is how many iterations and gradients fit into the time."
        )
        return _curves("How far each method gets", words, choices, places, many)
    quantity = choice("quantity", "Quantity", {key: data.QUANTITIES[key] for key in keys}, keys[0])
    places = _curve("time", "<span data-quantity-name></span> against simulated time") + _curve(
        "iteration", "<span data-quantity-name></span> against <span data-axis-name>iterations</span>"
    )
    choices = quantity + choice("y-axis", "Vertical axis", {"log": "log y", "linear": "linear y"}, "log")
    if "worker_seconds" in data.axes(result):
        others = {"iteration": "iterations", "worker_seconds": "worker time"}
        choices += choice("second", "Horizontal axis of the second chart", others, "iteration")
    return _curves("Who gets there first", _how_drawn(result), choices, places, many)


def _curves(title: str, words: str, choices: str, places: str, many: bool) -> str:
    choices += choice("x-axis", "Horizontal axis", {"linear": "linear x", "log": "log x"}, "log" if many else "linear")
    return f"""<section><h2>{title}</h2><p class="note">{words}</p>
<div class="bar">{choices}</div><div class="charts{" tall" if many else ""}">{places}</div></section>"""


def _curve(axis: str, title: str, quantity: str = "") -> str:
    fixed = f' data-quantity="{quantity}"' if quantity else ""
    place = f'<div class="chart" data-curves="{axis}"{fixed}></div>'
    return f"<figure><figcaption><h3>{title}</h3></figcaption>{place}</figure>"


def _how_drawn(result: "Result") -> str:
    words = "The seconds on the left are what you wait; iterations on the right are what theory counts."
    if "worker_seconds" in data.axes(result):
        words += " Worker time, the computing of all workers added up, is what you pay."
    if len(result.labels) > MANY:
        words += f" The best {UNFOLDED} are drawn strong, the others thin; point at a method above to see it alone."
    if len(result.seeds) > 1:
        bands = f" (drawn for up to {MANY} methods)" if len(result.labels) > MANY else ""
        words += (
            f" Lines are medians over {len(result.seeds)} seeds, bands{bands} reach from the lower to the upper quartile."
            " Between record points curves are interpolated in the logarithm; a seed that has ended counts with its"
            " last value."
        )
    return words + (" A diamond marks when the target was reached." if result.target else "")


WINDOWS = ("start of the run", "middle", "end", "whole run")


def lanes(result: "Result") -> str:
    """The timeline of the workers, a panel a method."""
    seeds = [str(seed) for seed in data.timeline_seeds(result)]
    figures = folded([_panel(label, _spent(result, label)) for label in best_first(result)], "lanes")
    packed = [panel.get(seeds[0], []) if seeds else [] for panel in data.timeline(result)["panels"].values()]
    kept = data.windows(result) | ({3} if any(len(each) > 3 for each in packed) else set())
    windows = {str(window): words for window, words in enumerate(WINDOWS) if window in kept}
    slices = any(each[3]["merged"] for each in packed if len(each) > 3)
    choices = (
        (choice("window", "Window", windows, next(iter(windows))) if len(windows) > 1 else "")
        + (choice("seed", "Seed", {seed: f"seed {seed}" for seed in seeds}, seeds[0]) if len(seeds) > 1 else "")
        + (
            # workers of several results have no common order of speed
            ""
            if result.manifest.get("origins")
            else choice("order", "Order of workers", {"worker": "by number", "speed": "fastest on top"}, "worker")
        )
    )
    keys = "".join(
        f'<button type="button" data-zoom="{what}" title="{words}">{sign}</button>'
        for what, words, sign in (
            ("out", "Zoom out (−)", "−"),
            ("in", "Zoom in (+)", "+"),
            ("whole", "Whole window (0)", "whole window"),
        )
    )
    return f"""<section class="timeline"><h2>What the workers did</h2>
<p class="note">One lane a worker (number on the left{_up_to_40(result)}), all methods on the same scale of seconds.
Drag to move; click, then turn the wheel to zoom; on the keyboard <kbd>←</kbd> <kbd>→</kbd> <kbd>+</kbd> <kbd>−</kbd>,
<kbd>0</kbd> for the whole window. Point at an interval to read it.{SLICES if slices else ""}</p>
<div class="bar">{choices}<span class="keys">{keys}</span></div>
{key(result, powers=True)}
<div class="lanes" tabindex="0" role="group"
aria-label="Timelines; arrows move, plus and minus zoom, 0 shows the whole window">{figures}</div>
<div class="tip" role="status"></div></section>"""


SLICES = """ The whole run has more gradients than a page has room for: it is cut into slices, and in each a worker has one
interval an outcome, as long as all its time with that outcome together."""


def _panel(label: str, spent: str) -> str:
    name, words = escape(label), escape(spent)
    return f"""<figure><figcaption><h3>{name}</h3><span class="note">{words}</span></figcaption>
<canvas data-lanes="{name}" role="img" aria-label="Timeline of the workers under {name}. {words}"></canvas>
<div class="hair"></div></figure>"""


def _up_to_40(result: "Result") -> str:
    return "; 40 of them were kept" if max((run.n for run in result.runs), default=0) > 40 else ""


def _spent(result: "Result", label: str) -> str:
    """How the gradients of a method ended, in per cent of those that ended."""
    total = {key: sum(getattr(run, key) for run in result.of(label)) for key in OUTCOMES if key != "in_flight"}
    ended = sum(total.values())
    if not ended:
        return "no gradient ended"
    return ", ".join(f"{percent(count, ended)} {spoken(key)}" for key, count in total.items() if count or key == "used")


def delays(result: "Result") -> str:
    """The histogram of delays, a small chart a method."""
    figures = folded(
        [
            f"<figure><figcaption><h3>{escape(label)}</h3>{escape(_delays_in_words(result, label))}</figcaption>"
            f'<div class="chart" data-delays="{escape(label)}"></div></figure>'
            for label in best_first(result)
        ],
        _grid(result.labels),
    )
    return f"""<section class="small"><h2>How old the gradients were</h2>
<p class="note">Gradients by delay, the number of iterations made since the point they were computed at; the count is
logarithmic, all seeds together.
<span class="inline"><span class="swatch used"></span> used,</span>
<span class="inline"><span class="swatch discarded"></span> arrived and not used.</span></p>
<div class="{_grid(result.labels)}">{figures}</div></section>"""


def _grid(labels: Sequence[str]) -> str:
    """The classes of a grid of small figures: six of them stand in rows of three."""
    return "charts small three" if len(labels) > MANY else "charts small"


def folded(figures: Sequence[str], grid: str) -> str:
    """A figure a method: beyond `MANY` only the best stand open, the rest under one line that opens them."""
    if len(figures) <= MANY:
        return "".join(figures)
    rest = "".join(figures[UNFOLDED:])
    more = summary.counted(len(figures) - UNFOLDED, "more method")
    return "".join(figures[:UNFOLDED]) + (
        f'<details class="more"><summary>{more}</summary><div class="{grid}">{rest}</div></details>'
    )


def _delays_in_words(result: "Result", label: str) -> str:
    runs = result.of(label)
    used = sum(int(run.delays[:, 1].sum()) for run in runs if len(run.delays))
    if not used:
        return "no gradient was used"
    mean = sum(float(run.delays[:, 0] @ run.delays[:, 1]) for run in runs if len(run.delays)) / used
    return f"used: mean {mean:.3g}, largest {max(run.largest_delay for run in runs)}"


def contributors(result: "Result") -> str:
    """Who contributed: each worker's share of the used gradients against its mean compute time."""
    silent = [
        f"{label} {count} of {result.of(label)[0].n}"
        for label in best_first(result)
        if (count := data.shares(result, label)["silent"])
    ]
    words = (
        "Each mark is a worker: its share of the gradients the method used, against the mean compute time of its"
        " gradients, all seeds together."
    )
    if silent:
        words += f" Workers of whom nothing was used are not drawn: {'; '.join(silent)}."
    return f"""<section class="dots"><h2>Who contributed</h2><p class="note">{escape(words)}</p>
<figure><div class="chart" data-shares></div></figure></section>"""


def deliveries(result: "Result") -> str:
    """Who delivered when: a heat map a method, worker × time."""
    found = data.deliveries(result)
    labels = [label for label in best_first(result) if label in found["panels"]]
    if not labels:
        return ""
    figures = folded(
        [
            f"<figure><figcaption><h3>{escape(label)}</h3></figcaption>"
            f'<canvas data-heat="{escape(label)}" role="img" aria-label="Share of the gradients that each worker'
            f' delivered over time under {escape(label)}"></canvas></figure>'
            for label in labels
        ],
        _grid(labels),
    )
    equal = 1 / max(1, found["n"])
    marks = "".join(
        f'<span style="left:{100 * math.log1p(4 * found["n"] * share) / math.log1p(4 * found["n"]):.2f}%">{words}</span>'
        for share, words in ((0.0, "nothing"), (equal, f"equal share, {100 * equal:.3g} %"), (1.0, "all"))
        if share < 1 or found["n"] > 1 or words == "all"
    )
    seeds = f" Seed {found['seed']}." if len(result.seeds) > 1 else ""
    learns = " Where an allocation learns, the colour gathers at the fast workers." if data.rivals(result) else ""
    return f"""<section class="small heat"><h2>Who delivered when</h2>
<p class="note">One lane a worker (number on the left{_up_to_40(result)}), time to the right. The colour is the worker's
share of all gradients that arrived in that slice of time, used or not, on a logarithmic scale.{seeds}{learns}</p>
<div class="ramp" aria-hidden="true"><div></div>{marks}</div>
<div class="{_grid(labels)}">{figures}</div><div class="tip" role="status"></div></section>"""


def allocations(result: "Result") -> str:
    """What the allocations cost: their regret against rounds, and time and worker time against the best of them."""
    if not data.allocating(result):
        return ""
    tables = "".join(_allocation_table(result, group) for group in data.rivals(result))
    choices = choice("rounds-axis", "Axis of the rounds", {"log": "log rounds", "linear": "linear rounds"}, "log")
    return f"""<section><h2>What the allocation of work cost</h2>
<p class="note">Regret: over all rounds before, the sum of max<sub>i</sub> a<sub>i</sub>μ<sub>i</sub> for the a<sub>i</sub>
gradients that worker i delivered for the round, minus the least that any allocation of as many gradients has, in seconds of
mean computing time. The means μ are the true ones, which no method knows. Where an allocation learns, the regret grows in the
long run as the logarithm of the rounds: a straight line on the logarithmic axis.</p>
<div class="bar">{choices}</div>
<div class="charts"><figure><figcaption><h3>Regret (s) against rounds</h3></figcaption>
<div class="chart" data-regret></div></figure></div>
{tables}</section>"""


def _allocation_table(result: "Result", group: list[str]) -> str:
    rounds = min(max((run.iterations for run in result.of(label)), default=0) for label in group)
    rows = {label: data.after_rounds(result, label, rounds) for label in group}
    optimal = [label for label in group if _allocation(result, label) == "fixed_optimal"]
    against = f"against {optimal[0]}" if optimal else "against the least"
    base = {
        name: rows[optimal[0]][name] if optimal else min(row[name] for row in rows.values())
        for name in ("time", "worker_seconds")
    }
    cells = "".join(
        f'<tr><th scope="row">{escape(label)}</th><td class="text">{escape(_allocation(result, label))}</td>'
        + "".join(
            f"<td>{summary.seconds(row[name])}</td><td>{_ratio(row[name], base[name])}</td>"
            for name in ("time", "worker_seconds")
        )
        + f"<td>{summary.seconds(row['regret'])}</td></tr>"
        for label, row in sorted(rows.items(), key=lambda pair: pair[1]["time"])
    )
    words = ("method", "allocation", "simulated time", escape(against), "worker time", escape(against), "regret")
    head = "".join(f'<th scope="col"{" class=text" if word == "allocation" else ""}>{word}</th>' for word in words)
    name = escape(result.of(group[0])[0].method)
    return f"""<div class="scroll" tabindex="0" role="region" aria-label="Cost of the allocations under {name}">
<table><thead><tr>{head}</tr></thead><tbody>{cells}</tbody></table></div>
<p class="note" style="margin-top:8px">{name} when {summary.counted(rounds, "round")} were over{_median_words(result)}. Worker time is the
computing of all assignments that had ended, stopped ones too.</p>"""


def _median_words(result: "Result") -> str:
    return ", medians over seeds" if len(result.seeds) > 1 else ""


def _allocation(result: "Result", label: str) -> str:
    chosen = result.of(label)[0].parameters.get("allocation", "")
    return str(chosen.get("name", "")) if isinstance(chosen, Mapping) else str(chosen)


def _ratio(value: float, base: float) -> str:
    return f"× {value / base:.3g}" if base > 0 else "—"


def split(result: "Result") -> str:
    """How the data are shared out among the workers, where they are."""
    found = result.problem.get("split")
    if not isinstance(found, Mapping) or not found.get("counts"):
        return ""
    counts = found["counts"]
    across, down, size = len(counts), len(counts[0]), max(1, *(sum(row) for row in counts))
    titles = across * down <= MOST_TITLES
    names = [escape(str(name)) for name in found["classes"]]
    cells = "".join(
        f'<rect x="{worker}" y="{label}" width="1" height="1" fill-opacity="{max(0.06, count / size):.3g}">'
        + (f"<title>worker {worker}: {count} of {sum(row)} samples have label {names[label]}</title>" if titles else "")
        + "</rect>"
        for worker, row in enumerate(counts)
        for label, count in enumerate(row)
        if count
    )
    rows = "".join(f"<span>{name}</span>" for name in names)
    return f"""<section class="split"><h2>How the data are split</h2>
<p class="note">{escape(_split_words(result, found))}</p>
<div class="table" style="--rows:{down}"><div class="rows" aria-hidden="true">{rows}</div>
<svg viewBox="0 0 {across} {down}" preserveAspectRatio="none" role="img"
aria-label="Samples of each label that each worker has">{cells}</svg>
<div class="ends" aria-hidden="true"><span>worker 0</span><span>{across - 1 if across > 1 else ""}</span></div></div></section>"""


MOST_TITLES = 1500


def _split_words(result: "Result", found: Mapping[str, Any]) -> str:
    kinds = {
        "even": "evenly: any worker may have any sample",
        "by_label": "sorted by label",
        "dirichlet": f"by a Dirichlet law with α = {_shown(found.get('alpha'))} for each worker",
    }
    workers, labels = int(found.get("workers") or 0), int(found.get("labels") or 0)
    words = (
        f"{found.get('samples', 0):,} samples of {summary.counted(labels, 'label')} are shared out among {summary.counted(workers, 'worker')}, "
        f"{kinds.get(str(found.get('split')), str(found.get('split')))}; all have equally many. "
    )
    if found.get("left_out"):
        words += f"{summary.counted(found['left_out'], 'sample')} left over. "
    words += "A column is a worker, a row a label; the stronger the colour, the more of the worker's samples have that label."
    if found.get("problem_seed") is not None:
        words += f" Drawn from the problem's own seed {found['problem_seed']}, the same for all runs."
    elif len(result.seeds) > 1:
        words += f" This is the split of seed {result.seeds[0]}; each seed has its own, drawn by the same law."
    if workers > len(found["counts"]) or labels > len(found["classes"]):
        words += f" Shown are the first {len(found['counts'])} workers and {len(found['classes'])} labels."
    return words


def work(result: "Result") -> str:
    """Where the work went: the outcomes of all gradients sent, a bar a method."""
    rows = "".join(_work_of(result, label) for label in best_first(result))
    return f"""<section><h2>Where the work went</h2>
<p class="note">All gradients the workers were asked for, by what became of them, all seeds together.</p>
<div class="shares">{rows}</div></section>"""


def _work_of(result: "Result", label: str) -> str:
    runs = result.of(label)
    total = {key: sum(getattr(run, key) for run in runs) for key in OUTCOMES}
    sent = sum(total.values())
    bars = "".join(
        f'<span class="{css(key)}" style="flex:{count / sent:.6f} 1 0" title="{spoken(key)}: {count:,}"></span>'
        for key, count in total.items()
        if count
    )
    words = (
        " · ".join(f"{spoken(key)} {percent(count, sent)} ({count:,})" for key, count in total.items() if count)
        or "no gradient was asked for"
    )
    stack = f'<div class="stack" aria-hidden="true">{bars}</div>'
    return f'<div class="share"><h3>{escape(label)}</h3>{stack}<p>{words}</p></div>'


def provenance(result: "Result") -> str:
    """How to read the page, the scenario, each run, and what it ran with."""
    return f"""<section><h2>Behind the numbers</h2>{_exceptions(result)}
<details><summary>How to read this page</summary>{asset("reading.html")}</details>
<details><summary>Scenario</summary><pre>{escape(_scenario_text(result))}</pre></details>
<details><summary>Runs</summary>{_runs(result)}</details>
{_self_check(result)}<details><summary>Versions and problem</summary>{_facts(result)}</details>
</section>"""


def _exceptions(result: "Result") -> str:
    """Where the rule that a worker's times depend on nothing but the seed does not hold."""
    found = result.manifest.get("exceptions") or ()
    return "".join(
        f'<p class="note">An exception to equal luck: {escape(_spaced(str(exception)))}.</p>' for exception in found
    )


def _spaced(text: str) -> str:
    return text.replace("_", " ")


def _scenario_text(result: "Result") -> str:
    if not (result.scenario_text or result.scenario):
        return "There is none: the methods were started from Python."
    return result.scenario_text or json.dumps(result.scenario, indent=2, ensure_ascii=False, default=str)


def _runs(result: "Result") -> str:
    heads = ("method", "seed", "ended", "iterations", "simulated s", "wall-clock s", "event hash")
    rows = "".join(
        f'<tr><th scope="row">{escape(run.label)}</th><td>{run.seed}</td>'
        f'<td class="text">{escape(run.reason or run.status)}</td><td>{run.iterations:,}</td><td>{run.time:.6g}</td>'
        f'<td>{run.wall_seconds:.3g}</td><td class="mono">{escape(run.event_hash)}</td></tr>'
        for run in result.runs
    )
    parameters = "".join(
        f"<dt>{escape(label)}</dt><dd>{escape(_listed(result.of(label)[0].parameters))}</dd>"
        for label in best_first(result)
    )
    head = "".join(f'<th scope="col"{" class=text" if head == "ended" else ""}>{head}</th>' for head in heads)
    return f"""<dl>{parameters}</dl><div class="scroll" tabindex="0" role="region" aria-label="Runs">
<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"""


_CHECKED = {
    "largest_delay": "largest delay",
    "largest_delay_allowed": "allowed",
    "rounds": "rounds",
    "tree_distance": "tree distance R",
    "tree_distance_allowed": "allowed",
    "applied_of_arrived": "applied of arrived",
    "tree_stepsize": "theory's γ of one gradient for this R",
}


def _self_check(result: "Result") -> str:
    """What the self-check found in each run, where the scenario says `verify: true`."""
    checked = [run for run in result.runs if run.verification]
    if not checked:
        return ""
    columns = [key for key in _CHECKED if any(key in run.verification for run in checked)]
    head = "".join(f'<th scope="col">{words}</th>' for words in ("method", "seed", *map(_CHECKED.__getitem__, columns)))
    rows = "".join(
        f'<tr><th scope="row">{escape(run.label)}</th><td>{run.seed}</td>'
        + "".join(f"<td>{_checked(run.verification.get(key))}</td>" for key in columns)
        + "</tr>"
        for run in checked
    )
    return f"""<details><summary>Self-check</summary>
<p class="note">Every event was checked as it happened, and no invariant was broken in the runs below. A run that
breaks one ends as failed and says where.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Self-check">
<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></details>
"""


def _checked(value: Any) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _facts(result: "Result") -> str:
    estimated = set(result.problem.get("estimated") or ())
    facts: dict[str, Any] = {
        f"problem {key}": f"{_shown(value)}{' (estimated)' if key in estimated else ''}"
        for key, value in result.problem.items()
        if key not in ("estimated", "split") and value is not None
    }
    # the scenario stands above in its own words, and runs have their table
    facts |= flat(
        {
            key: value
            for key, value in result.manifest.items()
            if key
            not in ("scenario", "problem", "runs", "target", "theory", "exceptions", "tuning", "differences", "origins")
        }
    )
    return (
        "<dl>"
        + "".join(f"<dt>{escape(key)}</dt><dd>{escape(_shown(value))}</dd>" for key, value in facts.items())
        + "</dl>"
    )


SECTIONS = (
    *(
        opening,
        twin,
        numbers,
        outcomes,
        methods,
        player,
        curves,
        how_much_sooner,
        tuning,
        lanes,
        delays,
        contributors,
        deliveries,
        allocations,
        work,
        theory,
        split,
    ),
    provenance,
)


# -- little helpers -------------------------------------------------------------------------------


def choice(name: str, title: str, options: Mapping[str, str], chosen: str) -> str:
    """A group of radio buttons that looks like one switch."""
    buttons = "".join(
        f'<label><input type="radio" name="{name}" value="{escape(value)}" autocomplete="off"'
        f"{' checked' if value == chosen else ''}>{escape(words)}</label>"
        for value, words in options.items()
    )
    return f'<fieldset class="choice"><legend>{title}</legend>{buttons}</fieldset>'


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one, with words for keys.

    >>> flat({"versions": {"numpy": "2"}, "seeds": [0, 1]})
    {'versions numpy': '2', 'seeds': [0, 1]}
    """
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{str(key).replace('_', ' ')}"
        leaves |= flat(value, f"{name} ") if isinstance(value, Mapping) else {name: value}
    return leaves


def percent(count: float, total: float) -> str:
    """A share in words that never rounds something to nothing or nearly all to all.

    >>> percent(1, 3), percent(1, 10**6), percent(999_999, 10**6), percent(1, 1)
    ('33 %', 'under 0.1 %', 'over 99.9 %', '100 %')
    """
    share = 100 * count / total
    if 0 < share < 0.1:
        return "under 0.1 %"
    if 99.9 < share < 100:
        return "over 99.9 %"
    return f"{share:.2g} %" if share < 1 else f"{share:.3g} %" if 99 < share < 100 else f"{share:.0f} %"


def css(outcome: str) -> str:
    """The name of an outcome as a class of style.css."""
    return outcome.replace("_", "-")


def spoken(outcome: str) -> str:
    """The name of an outcome as words."""
    return outcome.replace("_", " ")


MOST_LISTED = 12


def _listed(parameters: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {_shown(value)}" for key, value in parameters.items()) or "no parameters"


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "not known"}[value]
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        of = ", ".join(f"{key} = {_shown(item)}" for key, item in value.items() if key != "name")
        return f"{value.get('name', '')}({of})"
    if isinstance(value, list | tuple):
        few = [_shown(item) for item in value[:MOST_LISTED]]
        return ", ".join(few if len(value) <= MOST_LISTED else [*few, f"… ({len(value):,} in all)"])
    return str(value)
