"""What the page's scripts draw, as one blob of plain lists and numbers.

Rules:
1. Everything is shrunk here and nowhere else: curves to `POINTS` points (fewer where there are many
   methods), histograms to `BINS` bins, dots to `DOTS` a method, intervals to `INTERVALS` in all, absences and
   changes of power to `ABSENCES` and `POWERS`, heat maps to `SLICES` of time. A page stays below 8 MB whatever was run.
2. JSON knows neither NaN nor infinity. Both become null, and the page leaves a gap there.
3. Curves of several seeds are put on one grid of record points. Between two record points a positive
   quantity is interpolated in its logarithm, any other stays at the earlier value. A seed that has ended
   counts with its last value, so the median reaches the target when the median seed does.
4. What overlaps in a lane is drawn one after the other: where stops take effect later, a worker is sent its next job
   while it is still at the one that was stopped; the next one is drawn from where that ends.
5. Times of intervals are whole numbers of ticks, a tick being 2⁻²⁰ of the window. They are stored as
   differences, which keeps them short, and whole numbers add up again without drift.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from asyncsim.report.whole import ROOM, whole
from asyncsim.summary import ranked, summarise

if TYPE_CHECKING:
    from asyncsim.result import Result, Run

POINTS = 240
POINTS_IN_ALL = 2000
BINS = 100
DISTINCT_DELAYS = 200
DOTS = 1500
INTERVALS = 120_000
ABSENCES = 30_000
POWERS = 60_000
LANES = 40
SLICES = 60
COLOURS = 8  # as many as style.css has for methods
TIMELINE_SEEDS = 3
TICKS = 2**20

QUANTITIES = {
    "squared_gradient_norm": "‖∇f(xᵏ)‖²",
    "mean_squared_gradient_norm": "mean of ‖∇f(xᵏ)‖² over iterations",
    "suboptimality": "f(xᵏ) − f*",
    "value": "f(xᵏ)",
    "test_accuracy": "test accuracy",
    "iteration": "iteration k",
    "gradients_used": "gradients used",
}
OF_THE_OBJECTIVE = ("squared_gradient_norm", "mean_squared_gradient_norm", "suboptimality", "value", "test_accuracy")
OF_THE_CLOCK = ("iteration", "gradients_used")
LINEAR = (*OF_THE_CLOCK, "test_accuracy")  # all others are read by their order of magnitude
AXES = {"time": "simulated time (s)", "iteration": "iteration k", "worker_seconds": "total worker time (s)"}

Floats = NDArray[np.float64]
Rows = NDArray[Any]


def blob(result: "Result") -> dict[str, Any]:
    """Everything the scripts draw; each part stands alone, in the order of `result.labels`."""
    from asyncsim.report.player import player_data

    lanes = timeline(result)
    return {
        "methods": list(result.labels),
        "best": [method.label for method in ranked(result)],
        "styles": styles(result),
        "axes": {key: AXES[key] for key in axes(result)},
        "quantities": {key: QUANTITIES[key] for key in quantities(result)},
        "target": result.target,
        "reached": {row.label: _number(row.time_to_target) for row in summarise(result)},
        "curves": {label: curves(result, label) for label in result.labels},
        "delays": {label: delays(result.of(label)) for label in result.labels},
        "shares": {label: shares(result, label) for label in result.labels},
        "timeline": lanes,
        "player": player_data(result, lanes),
        "deliveries": deliveries(result),
        "regret": {label: regret(result, label) for label in allocating(result)},
    }


def styles(result: "Result") -> list[str]:
    """The methods in the order in which they get their colours and dashes.

    That of the scenario, so that they keep them from run to run; of more than `COLOURS` methods the best come first, so
    that these have a colour of their own.
    """
    return result.labels if len(result.labels) <= COLOURS else [method.label for method in ranked(result)]


# -- curves ---------------------------------------------------------------------------------------


def has_objective(result: "Result") -> bool:
    """Whether there is an f to draw: a timing-only problem has dimension 0 and none."""
    return result.problem.get("dimension") != 0


def quantities(result: "Result") -> list[str]:
    """What can be chosen for the vertical axis: what some run knows, f itself only where f* is unknown."""
    if not has_objective(result):
        return list(OF_THE_CLOCK)
    known = [key for key in OF_THE_OBJECTIVE if any(np.isfinite(_column(run, key)).any() for run in result.runs)]
    if "suboptimality" in known and "value" in known:
        known.remove("value")
    known.sort(key=lambda name: name not in (result.target or {}))  # the target's quantity is the first to look at
    return known or list(OF_THE_CLOCK)


def curves(result: "Result", label: str) -> dict[str, Any]:
    """For each axis and quantity the median over seeds, with quartiles where there are seeds to have them."""
    runs = result.of(label)
    points = max(POINTS // 3, min(POINTS, POINTS_IN_ALL // len(result.labels)))
    return {
        axis: {
            key: merged([(_column(run, axis), _column(run, key)) for run in runs], points) for key in quantities(result)
        }
        for axis in axes(result)
    }


def axes(result: "Result") -> list[str]:
    """What a curve can be drawn against: the workers' time only where it was recorded."""
    kept = any((_column(run, "worker_seconds") > 0).any() for run in result.runs)
    return [key for key in AXES if kept or key != "worker_seconds"]


def merged(lines: Sequence[tuple[Floats, Floats]], points: int = POINTS) -> dict[str, list[float | None]]:
    """Median and quartiles of several curves (x, y), on at most `points` of their own x (rule 3).

    >>> x = np.array([0.0, 1.0, 2.0])
    >>> merged([(x, 10.0**-x), (x, 10.0**-x)])["median"]
    [1.0, 0.1, 0.01]
    >>> merged([(x[:2], x[:2]), (x, x)])["upper"]
    [0.0, 1.0, 1.75]
    """
    lines = [_cleaned(x, y) for x, y in lines]
    lines = [(x, y) for x, y in lines if len(x)]
    if not lines:
        return {"x": [], "median": []}
    grid = np.unique(np.concatenate([x for x, _ in lines]))
    if len(grid) > points:
        grid = grid[np.unique(np.linspace(0, len(grid) - 1, points).round().astype(int))]
    values = np.stack([_at(grid, x, y) for x, y in lines])
    lower, median, upper = (_quantile(np.sort(values, axis=0), share) for share in (0.25, 0.5, 0.75))
    drawn = {"x": shortened(grid), "median": shortened(median)}
    return drawn | {"lower": shortened(lower), "upper": shortened(upper)} if len(lines) > 1 else drawn


def _quantile(ordered: Floats, share: float) -> Floats:
    """As numpy's, but between a finite and an infinite value (a seed that diverged) lies an infinite one, never nan."""
    place = share * (len(ordered) - 1)
    below, above = ordered[math.floor(place)], ordered[math.ceil(place)]
    inside = place - math.floor(place)
    with np.errstate(invalid="ignore", over="ignore"):
        between = np.where(np.isinf(above), above, below + inside * (above - below))
    return np.asarray(between if inside else below, dtype=float)


def _cleaned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Increasing x, the last value where several stand at one x, and what diverged as +inf."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    here = np.isfinite(x)
    x, y = x[here], y[here]
    last = np.append(x[1:] > x[:-1], True) if len(x) else np.zeros(0, dtype=bool)
    return x[last], np.where(np.isnan(y[last]), np.inf, y[last])


def _at(grid: Floats, x: Floats, y: Floats) -> Floats:
    """y at the points of `grid` (rule 3)."""
    left = np.clip(np.searchsorted(x, grid, side="right") - 1, 0, len(x) - 1)
    right = np.minimum(left + 1, len(x) - 1)
    width = x[right] - x[left]
    share = np.clip(np.divide(grid - x[left], width, out=np.zeros_like(grid), where=width > 0), 0, 1)
    before, after = y[left], y[right]
    smooth = (before > 0) & (after > 0) & np.isfinite(before) & np.isfinite(after) & (share > 0)
    filled = np.where(smooth, before, 1.0), np.where(smooth, after, 1.0)
    return np.where(smooth, np.exp((1 - share) * np.log(filled[0]) + share * np.log(filled[1])), before)


def _column(run: "Run", key: str) -> Floats:
    return np.asarray(run.curves.get(key, np.full(len(run.curves.get("time", ())), np.nan)), dtype=float)


# -- delays and workers ---------------------------------------------------------------------------


def delays(runs: Iterable["Run"]) -> dict[str, Any]:
    """The histogram of delays over all seeds: `delay` is the first of `width` delays a bar stands for."""
    tables = [np.asarray(run.delays, dtype=np.int64).reshape(-1, 3) for run in runs]
    rows = np.concatenate(tables) if tables else np.zeros((0, 3), dtype=np.int64)
    if not len(rows):
        return {"delay": [], "width": 1, "used": [], "arrived": []}
    largest = int(rows[:, 0].max())
    width = 1 if len(np.unique(rows[:, 0])) <= DISTINCT_DELAYS else math.ceil((largest + 1) / BINS)
    bars, place = np.unique(rows[:, 0] // width, return_inverse=True)
    used, arrived = (np.bincount(place.ravel(), weights=rows[:, column]).astype(int) for column in (1, 2))
    return {"delay": (bars * width).tolist(), "width": width, "used": used.tolist(), "arrived": arrived.tolist()}


def shares(result: "Result", label: str) -> dict[str, Any]:
    """Per worker its mean compute time and its share of the gradients this method used, over all seeds.

    `silent` counts the workers of whom nothing was used: a logarithmic axis has no place for them.
    """
    total = _totals(result.of(label))
    if total is None:
        return {"worker": [], "time": [], "share": [], "silent": 0}
    time = mean_times(result, of_the_same_workers(result, label))[: len(total["used"])]
    share = total["used"] / max(1, total["used"].sum())
    shown = np.flatnonzero((total["used"] > 0) & np.isfinite(time))
    silent = int((total["used"] == 0).sum())
    if len(shown) > DOTS:
        by_time = shown[np.argsort(time[shown], kind="stable")]
        shown = np.sort(by_time[np.linspace(0, len(by_time) - 1, DOTS).astype(int)])
    return {
        "worker": shown.tolist(),
        "time": shortened(time[shown]),
        "share": shortened(share[shown]),
        "silent": silent,
    }


def of_the_same_workers(result: "Result", label: str) -> list["Run"]:
    """The runs on the workers of this method: all, but where several results were put side by side (`asyncsim.beside`)."""
    origins = result.manifest.get("origins") or {}
    return [run for run in result.runs if origins.get(run.label) == origins.get(label)]


def mean_times(result: "Result", among: Sequence["Run"] | None = None) -> Floats:
    """Mean compute time of each worker's gradients, one number a worker for all methods; nan where none arrived.

    Where a method stops work, the long ones are stopped and those that arrive are too short on average. So runs that
    stopped nothing are asked first, and the others only about workers of whom the first know nothing.
    """
    everybody = result.runs if among is None else among
    times = np.full(max((run.n for run in result.runs), default=0), np.nan)
    complete = [run for run in everybody if not (run.stopped or run.timed_out or run.lost)]
    for runs in (complete, everybody):
        total = _totals(runs)
        if total is None:
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            found = total["compute_seconds"] / (total["used"] + total["discarded"])
        known = times[: len(found)]
        known[np.isnan(known)] = found[np.isnan(known)]
    return times


def _totals(runs: Sequence["Run"]) -> dict[str, Rows] | None:
    """Counts and seconds per worker over all runs; a run that was killed before its end has none to add."""
    whole = [run.workers for run in runs if len(run.workers["sent"]) == run.n]
    most = max((len(workers["sent"]) for workers in whole), default=0)
    return (
        {key: np.sum([_padded(workers[key], most) for workers in whole], axis=0) for key in whole[0]} if whole else None
    )


def _padded(counts: Rows, length: int) -> Rows:
    return np.concatenate([counts, np.zeros(length - len(counts), dtype=counts.dtype)])


# -- who delivered when -----------------------------------------------------------------------------


def deliveries(result: "Result") -> dict[str, Any]:
    """Gradients that arrived of each shown worker in each slice of time, of each method's first seed.

    `edges` (s + 1) bounds the slices, `counts` has their rows one after the other, a number a worker, and `totals`
    what arrived of all workers, shown or not. A method without any such record has no panel.
    """
    first = result.seeds[:1]
    panels = {run.label: panel for run in result.runs if run.seed in first and (panel := _slices(run))}
    return {"n": max((run.n for run in result.runs), default=0), "seed": first[0] if first else None, "panels": panels}


def _slices(run: "Run") -> dict[str, Any] | None:
    time, contributions = _column(run, "time"), run.contributions
    if len(time) < 2 or contributions.shape[0] != len(time) or not time[-1] > time[0]:
        return None
    wanted = np.linspace(time[0], time[-1], SLICES + 1)
    kept = np.unique(np.clip(np.searchsorted(time, wanted - 1e-9 * time[-1]), 0, len(time) - 1))
    arrived = _column(run, "gradients_used") + _column(run, "gradients_discarded")
    return {
        "edges": shortened(time[kept]),
        "workers": run.shown.tolist(),
        "counts": np.diff(contributions[kept], axis=0).ravel().tolist(),
        "totals": np.rint(np.diff(np.nan_to_num(arrived[kept]))).astype(int).tolist(),
    }


# -- allocations ------------------------------------------------------------------------------------


def allocating(result: "Result") -> list[str]:
    """The methods of which a regret is known: those that take an allocation."""
    return [label for label in result.labels if any(np.isfinite(_column(r, "regret")).any() for r in result.of(label))]


def regret(result: "Result", label: str) -> dict[str, Any]:
    """The regret against rounds: median over seeds and quartiles."""
    return merged([(_column(run, "iteration"), _column(run, "regret")) for run in result.of(label)])


def rivals(result: "Result") -> list[list[str]]:
    """The allocating methods in groups that can be compared round by round: one method, several allocations."""
    groups: dict[str, list[str]] = {}
    for label in allocating(result):
        groups.setdefault(result.of(label)[0].method, []).append(label)
    return [group for group in groups.values() if len(group) > 1]


def after_rounds(result: "Result", label: str, rounds: float) -> dict[str, float]:
    """Simulated time, total worker time and regret when so many rounds were over: medians over the seeds."""
    names = ("time", "worker_seconds", "regret")
    runs = [run for run in result.of(label) if len(_column(run, "iteration"))]
    found = {name: [np.interp(rounds, _column(run, "iteration"), _column(run, name)) for run in runs] for name in names}
    return {name: float(np.median(values)) if values else math.nan for name, values in found.items()}


# -- the timeline ---------------------------------------------------------------------------------


_TIMELINES: WeakKeyDictionary["Result", dict[str, Any]] = WeakKeyDictionary()


def timeline(result: "Result") -> dict[str, Any]:
    """`_timeline`, made once a result: several sections look at it."""
    if result not in _TIMELINES:
        _TIMELINES[result] = _timeline(result)
    return _TIMELINES[result]


def _timeline(result: "Result") -> dict[str, Any]:
    """The intervals of the first seed of each method and of at most two more, as far as they fit.

    `panels[label][seed]` is a list of the three windows (null where nothing was kept), and of the first seed also the
    whole run, where all events were kept (`asyncsim.report.whole`).
    """
    kept = timeline_seeds(result)
    panels: dict[str, dict[str, Any]] = {label: {} for label in result.labels}
    shown = [run for run in result.runs if run.seed in kept]
    everything = whole(result, [run for run in shown if run.seed == kept[0]]) if kept else {}
    room = INTERVALS - ROOM if everything else INTERVALS
    most, absences, powers = (max(room // max(1, 3 * len(shown)), 1) for room in (room, ABSENCES, POWERS))
    for run in shown:
        rows = _intervals(run)
        panels[run.label][str(run.seed)] = [
            _with_speeds(_window(rows[rows["window"] == window], window, most), run, absences, powers)
            for window in range(3)
        ]
    for label, (rows, is_merged) in everything.items():
        (run,) = [run for run in shown if run.label == label and run.seed == kept[0]]
        packed = _with_speeds(_window(rows, 0, len(rows)), run, absences, powers)
        if packed is not None:
            packed |= {"merged": is_merged, "lanes": np.unique(rows["worker"]).tolist()}
        panels[label][str(kept[0])].append(packed)
    workers = {worker for run in shown for worker in _intervals(run)["worker"].tolist()}
    # all panels show the same lanes, so that a worker a method never asks is seen to be idle; but those of several results
    # are not the same workers
    common = sorted(workers) if len(workers) <= LANES and not result.manifest.get("origins") else []
    return {
        "seeds": [str(seed) for seed in kept],
        "workers": common,
        "panels": panels,
        "times": shortened(mean_times(result)[common]),
    }


def windows(result: "Result") -> set[int]:
    """Which of the three windows there are: a short run has only the first."""
    return {window for run in result.runs for window in np.unique(_intervals(run)["window"]).tolist()} or {0}


def timeline_seeds(result: "Result") -> list[int]:
    """The seeds whose intervals the page holds: the first, and up to two more while there is room."""
    kept: list[int] = []
    room = INTERVALS
    for seed in result.seeds[:TIMELINE_SEEDS]:
        room -= sum(len(_intervals(run)) for run in result.runs if run.seed == seed)
        if room < 0 and kept:
            break
        kept.append(seed)
    return kept


def _intervals(run: "Run") -> Rows:
    rows = run.intervals
    # what has no beginning cannot be drawn; an end at infinity means the worker never came back
    return rows[np.isfinite(rows["sent"])] if rows is not None and len(rows) else np.zeros(0, dtype=_NOTHING)


_NOTHING = [("window", "i1"), ("worker", "i4"), ("sent", "f8")]


def _window(rows: Rows, window: int, most: int) -> dict[str, Any] | None:
    """One window of one run, packed (rule 5); at most `most` intervals, the earliest.

    A window holds what ended in it. Before the first end of a later window some lanes are still empty because
    nothing was kept, not because the worker was idle: the window starts there.
    """
    if not len(rows):
        return None
    moments = np.stack([rows[key] for key in ("sent", "computing_from", "computing_to", "ended")])
    end = float(moments[3][np.isfinite(moments[3])].max(initial=float(rows["sent"].max())))
    if len(rows) > most:
        end = float(np.partition(rows["sent"], most)[most])
        inside = rows["sent"] < end
        if inside.any():
            rows, moments = rows[inside][:most], moments[:, inside][:, :most]
    # each moment lies between the one before and the end: what had not happened by the end is drawn up to it
    moments = np.where(np.isfinite(moments), moments, end)
    moments[1:] = np.minimum(moments[1:], max(end, float(moments[0].max())))
    moments = np.maximum.accumulate(moments, axis=0)
    start = 0.0 if window == 0 else float(min(moments[3].min(), end))
    tick = (end - start) / TICKS or 1.0
    order = np.lexsort((rows["m"], moments[0], rows["worker"]))
    rows, moments = rows[order], moments[:, order]
    first = np.append(True, rows["worker"][1:] != rows["worker"][:-1])
    ticks = np.rint((_one_by_one(moments, first) - start) / tick).astype(np.int64)
    workers, counts = np.unique(rows["worker"], return_counts=True)
    gap = ticks[0] - np.where(first, 0, np.append(0, ticks[3][:-1]))
    return {
        "start": start,
        "end": end,
        "tick": tick,
        "worker": workers.tolist(),
        "count": counts.tolist(),
        "gap": _column_of(gap),
        "down": _column_of(ticks[1] - ticks[0]),
        "compute": _column_of(ticks[2] - ticks[1]),
        "up": _column_of(ticks[3] - ticks[2]),
        "outcome": "".join(map(str, rows["outcome"].tolist())),
        "m": _column_of(_steps(rows["m"], first)),
        "k": _column_of(_steps(rows["k"], first)),
        "delay": _column_of(np.maximum(rows["k"] - rows["version"], 0)),
    }


def _one_by_one(moments: Floats, first: NDArray[np.bool_]) -> Floats:
    """The moments, none before the end of what its worker was at (rule 4)."""
    drawn = np.array(moments)
    begins = [*np.flatnonzero(first).tolist(), len(first)]
    for begin, end in pairwise(begins):
        until = np.maximum.accumulate(moments[3, begin:end])
        drawn[:, begin + 1 : end] = np.maximum(moments[:, begin + 1 : end], until[:-1])
    return drawn


def _with_speeds(packed: dict[str, Any] | None, run: "Run", absences: int, powers: int) -> dict[str, Any] | None:
    return _with_powers(_with_away(packed, run.away, absences), run.powers, powers)


def _with_powers(packed: dict[str, Any] | None, powers: Rows, most: int) -> dict[str, Any] | None:
    """The window with `powers`: [worker, from, to, power, from, to, power, …], times in ticks, neighbours made one until
    at most `most` are left (or one a worker)."""
    if packed is None or not len(powers):
        return packed
    inside = powers[(powers["power_from"] < packed["end"]) & (powers["power_to"] > packed["start"])].copy()
    inside["power_from"] = np.maximum(inside["power_from"], packed["start"])
    inside["power_to"] = np.minimum(inside["power_to"], packed["end"])
    while len(inside) > most and len(inside) > len(np.unique(inside["worker"])):
        inside = _halved(inside)
    ticks = np.rint((np.stack([inside["power_from"], inside["power_to"]]) - packed["start"]) / packed["tick"])
    told: dict[int, list[float]] = {}
    for worker, power, begin, end in zip(
        inside["worker"].tolist(), inside["power"].tolist(), *ticks.tolist(), strict=True
    ):
        told.setdefault(worker, []).extend((int(begin), int(end), float(f"{power:.3g}")))
    return packed | {"powers": [[worker, *parts] for worker, parts in told.items()]}


def _halved(powers: Rows) -> Rows:
    """Every two neighbours of a worker as one of their mean power; what lies between them, without power, counts as 0."""
    first = np.append(True, powers["worker"][1:] != powers["worker"][:-1])
    place = np.arange(len(powers)) - np.flatnonzero(first)[np.cumsum(first) - 1]
    begins = np.flatnonzero(place % 2 == 0)
    made = powers[begins]
    made["power_to"] = powers["power_to"][np.append(begins[1:], len(powers)) - 1]
    done = np.add.reduceat(powers["power"] * (powers["power_to"] - powers["power_from"]), begins)
    made["power"] = done / (made["power_to"] - made["power_from"])
    return made


def _with_away(packed: dict[str, Any] | None, away: Rows, most: int) -> dict[str, Any] | None:
    """The window with `away`: its longest absences, as [worker, from, to, from, to, …] in ticks."""
    if packed is None or not len(away):
        return packed
    inside = away[(away["away_from"] < packed["end"]) & (away["away_to"] > packed["start"])]
    length = np.minimum(inside["away_to"], packed["end"]) - np.maximum(inside["away_from"], packed["start"])
    kept = inside[np.sort(np.argsort(-length, kind="stable")[:most])]
    ends = np.stack([kept["away_from"], kept["away_to"]], axis=1)
    ticks = np.clip(np.rint((ends - packed["start"]) / packed["tick"]), 0, TICKS).astype(np.int64)
    workers = np.unique(kept["worker"]).tolist()
    return packed | {"away": [[worker, *ticks[kept["worker"] == worker].ravel().tolist()] for worker in workers]}


def _steps(column: NDArray[np.int64], first: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Differences to the row before, whole values where a worker's rows begin."""
    return np.where(first, column, column - np.append(0, column[:-1]))


def _column_of(column: NDArray[np.int64]) -> list[int] | int:
    """A column as a list, or as the one number when all its entries are equal."""
    return int(column[0]) if (column == column[0]).all() else column.tolist()


def _number(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def shortened(values: Any) -> list[float | None]:
    """Five significant digits, null for what JSON cannot say."""
    rounded = [float(f"{value:.5g}") for value in np.asarray(values, dtype=float).tolist()]
    return [value if math.isfinite(value) else None for value in rounded]
