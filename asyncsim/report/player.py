"""The section "Watch it happen": the player, and what it needs beside the timeline's intervals.

Rules:
1. It plays one seed, the first, as it was: no medians. Whoever wants those has the curves below.
2. The clock is absolute. A range is a stretch of time in which something was kept of every method that was still running;
   the first window in full detail comes first, the whole run last. Where nothing was kept of the workers the lanes say so,
   while curves and counts go on.
3. At most `MOST` methods have a panel, the best ones: side by side is to be taken in at one glance.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from asyncsim import summary
from asyncsim.report import data

if TYPE_CHECKING:
    from asyncsim.result import Result, Run

MOST = 6
POINTS = 200  # of the record, in the whole run and once more in each range
SPEEDS = {"0.25": "¼", "0.5": "½", "1": "1", "2": "2", "4": "4", "16": "16"}
WINDOWS = ("start of the run", "middle", "end")
COUNTS = ("used", "discarded", "stopped")


def player_data(result: "Result", timeline: Mapping[str, Any]) -> dict[str, Any]:
    """What the player needs: ranges of time, and of each of its methods the record of one seed at some moments."""
    seeds = timeline["seeds"][:1]
    runs = {run.label: run for run in result.runs if str(run.seed) in seeds and len(run.curves["time"])}
    labels = [label for label in summary_order(result) if label in runs][:MOST]
    panels = {label: timeline["panels"][label].get(seeds[0]) or [] for label in labels}
    ends = {label: runs[label].time for label in labels}
    if panels and all(len(windows) > 3 and windows[3] and not windows[3]["merged"] for windows in panels.values()):
        ranges = [{"name": "whole run", "from": 0.0, "to": max(ends.values())}]
    else:
        ranges = ranges_of(panels, ends)
    keys = data.quantities(result)
    return {
        "seed": seeds[0] if seeds else None,
        "labels": labels,
        "ranges": ranges,
        "runs": {label: _record(result, runs[label], keys, ranges) for label in labels},
    }


def summary_order(result: "Result") -> list[str]:
    """The methods, those of the page's best rows first where not all can be shown, else in the scenario's order."""
    best = [method.label for method in summary.ranked(result)][:MOST]
    return [label for label in result.labels if label in best]


def ranges_of(
    panels: Mapping[str, Sequence[Mapping[str, Any] | None]], ends: Mapping[str, float]
) -> list[dict[str, Any]]:
    """The stretches of time that can be played (rule 2), each with its name.

    >>> window = {"start": 0.0, "end": 8.0}
    >>> ranges_of({"a": [window], "b": [{"start": 0.0, "end": 9.0}]}, {"a": 100.0, "b": 9.0})
    [{'name': 'start of the run', 'from': 0.0, 'to': 8.0}, {'name': 'whole run', 'from': 0.0, 'to': 100.0}]
    """
    whole = max(ends.values(), default=0.0)
    found: list[dict[str, Any]] = []
    for place, name in enumerate(WINDOWS):
        kept = [(label, windows[place]) for label, windows in panels.items() if len(windows) > place]
        spans = [(label, window["start"], window["end"]) for label, window in kept if window]
        if not spans:
            continue
        begin = max(start for _, start, _ in spans)
        # who ended before has nothing more to show, and does not hold up the others
        until = [end for label, _, end in spans if end < 0.999 * ends[label]] or [end for _, _, end in spans]
        end = min(until) if place < 2 else min(max(until), whole)
        if end - begin > 0.2 * max(end - start for _, start, end in spans) or (place == 0 and end > begin):
            found.append({"name": name, "from": begin, "to": end})
    if len(found) == 1 and found[0]["to"] >= 0.999 * whole:
        return [{"name": "whole run", "from": 0.0, "to": found[0]["to"]}]
    return [*found, {"name": "whole run", "from": 0.0, "to": whole}] if whole > 0 else found


def _record(result: "Result", run: "Run", keys: Sequence[str], ranges: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    time = np.asarray(run.curves["time"], dtype=float)
    kept = _kept(time, ranges)

    def column(name: str) -> list[float | None]:
        values = np.asarray(run.curves.get(name, np.full(len(time), np.nan)), dtype=float)
        return data.shortened(values[kept])

    reached, _ = summary.time_to_target(run, result.target)
    whole = {
        name: [None if value is None else int(value) for value in column(curve)]
        for name, curve in (("k", "iteration"), ("used", "gradients_used"), ("stopped", "gradients_stopped"))
    }
    return {
        "n": run.n,
        "end": run.time if run.status != "running" else None,
        "reached": reached if np.isfinite(reached) else None,
        "t": [float(f"{value:.9g}") for value in time[kept].tolist()],
        **whole,
        "discarded": _never_read(run)[kept].astype(int).tolist(),
        "q": {key: column(key) for key in keys},
    }


def _never_read(run: "Run") -> NDArray[np.float64]:
    """Of the gradients that had arrived, those that were not used later either: a batch waits until it is whole."""
    so_far = np.nan_to_num(np.asarray(run.curves["gradients_discarded"], dtype=float))
    return np.minimum.accumulate(so_far[::-1])[::-1]


def _kept(time: NDArray[np.float64], ranges: Sequence[Mapping[str, Any]]) -> NDArray[np.int64]:
    """The record points that are kept: `POINTS` evenly of all, and as many of each range with its neighbours."""
    spans = [(0, len(time))]
    for each in ranges:
        first = max(0, int(np.searchsorted(time, each["from"], side="right")) - 1)
        spans.append((first, min(len(time), int(np.searchsorted(time, each["to"], side="right")) + 1)))
    chosen = [np.linspace(a, b - 1, min(POINTS, b - a)).round().astype(np.int64) for a, b in spans if b > a]
    return np.unique(np.concatenate(chosen)) if chosen else np.zeros(0, dtype=np.int64)


def player(result: "Result") -> str:
    """The section: a stage a method, the chart they share, and the controls."""
    from asyncsim.report.page import choice, css, key

    found = player_data(result, data.timeline(result))
    if not found["ranges"]:
        return ""
    stages = "".join(_stage(label, css) for label in found["labels"])
    speeds = choice("speed", "Speed", {value: f"{words}×" for value, words in SPEEDS.items()}, "1")
    ranges = {str(place): each["name"] for place, each in enumerate(found["ranges"])}
    choices = speeds + (choice("range", "What is played", ranges, "0") if len(ranges) > 1 else "")
    left_out = len(result.labels) - len(found["labels"])
    more = f" Of {len(result.labels)} methods the best {len(found['labels'])} are shown." if left_out else ""
    seeds = f" Seed {found['seed']}." if len(result.seeds) > 1 else ""
    return f"""<section class="player" data-playing="false"><h2>Watch it happen</h2>
<p class="note">All methods on one clock. A lane is a worker and its past; what it has in hand grows at the line <b>now</b>.
A gradient that is ready travels to the server and lands with its delay, the number of iterations made since its point: a
<span class="dot used"></span> used one moves the method on, a <span class="cross">×</span> discarded one was computed for
nothing. Messages that take no time are shown for a moment before they land.{more}{seeds}</p>
{key(result)}
<div class="stages">{stages}<figure class="race"><figcaption><h3><span data-race-name></span> so far</h3></figcaption>
<canvas data-race role="img" aria-label="What each method has reached so far; draw along it to move the clock"></canvas></figure></div>
<div class="controls" role="group" aria-label="Player: space plays and pauses, arrows move, comma and full stop go from arrival to arrival, brackets change the speed">
<span class="keys"><button type="button" data-play aria-pressed="false" title="Play or pause (space)">▶ play</button>
<button type="button" data-step="-1" title="The arrival before (,)" aria-label="The arrival before">&lsaquo;</button><button
type="button" data-step="1" title="The next arrival (.)" aria-label="The next arrival">&rsaquo;</button></span>
<input type="range" data-now min="0" max="1" step="any" value="0" autocomplete="off" aria-label="Simulated time">
<output></output>{choices}</div>
<p class="hush" role="status"></p></section>"""


def _stage(label: str, css: Any) -> str:
    name = escape(label)
    counts = "".join(
        f'<span class="none"><i class="swatch {css(count)}"></i><b data-so-far="{count}">0</b> {count}</span>'
        for count in COUNTS
    )
    return f"""<figure><figcaption><h3>{name}</h3><span class="badge">target reached</span><span class="line"><span class="k">k = <b data-so-far="k">0</b></span><span data-so-far="value"></span><span data-so-far="delay"></span></span></figcaption>
<canvas data-film="{name}" role="img" aria-label="What each worker does now under {name}, and what travels to the server"></canvas>
<p class="counts">{counts}</p></figure>"""
