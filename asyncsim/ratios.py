"""How much sooner, and how surely: times to the target as ratios, with intervals from a bootstrap over seeds.

The method. All methods meet the same luck seed by seed, so they are compared seed by seed: the ratio of a method is its time
to the target over that of the best method *with the same seed*, and the number told is the median of these ratios. The
interval is the percentile bootstrap: seeds are drawn with replacement, `DRAWS` times, each time the median ratio is taken,
and the interval reaches from the 2.5th to the 97.5th percentile. The draws come from a generator of their own with a fixed
seed, so the same runs give the same interval on any day. What it does not know: it can reach no further than the smallest
and the largest ratio that were seen, so with few seeds it is too narrow; with fewer than `LEAST` seeds none is given.

A run that ended without the target is infinitely late; what is known then is that its ratio is at least the time it ran over
the best method's time, or, where it diverged, stalled or failed, that it never gets there. Left out are seeds that say
nothing: those with which neither reached the target, and those with which one ended before the other reached it, for no
fault of its own (its iterations were up, somebody stopped it). `asyncsim.summary` goes by the same rule.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from asyncsim import summary
from asyncsim.result import Result

DRAWS = 4000
LEAST = 3
SHARE = 0.95

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ratio:
    """One method's time to the target, beside that of the best method.

    `median`, `lower`, `upper` are quartiles of the time in simulated seconds (inf: not reached); `ratio` with `low` and
    `high` its median ratio and interval (nan where none can be given), `at_least` what is known where the ratio is infinite;
    (inf: it never gets there); `pairs` the seeds that were compared, `behind` how many of them the best was sooner on,
    `silent` the seeds on which one of the two ended too early to say.
    """

    label: str
    reached: int
    seeds: int
    median: float
    lower: float
    upper: float
    ratio: float = math.nan
    low: float = math.nan
    high: float = math.nan
    at_least: float = math.nan
    pairs: int = 0
    behind: int = 0
    silent: int = 0

    @property
    def bound(self) -> float:
        """`at_least` where that is worth telling, else nan: it never gets there, or the bound is 1 or less."""
        return self.at_least if 1 < self.at_least < math.inf else math.nan


def ratios(result: Result) -> list[Ratio]:
    """A row a method, the best first; nothing without a target or when nobody reached it.

    The best is that of the report's table, its own ratio is 1.
    """
    if not result.target:
        return []
    order = [method.label for method in summary.ranked(result)]
    times = {label: _times(result, label) for label in order}
    if not order or not np.isfinite(list(times[order[0]].values())).any():
        return []
    return [_ratio(result, label, order[0], times[label], times[order[0]]) for label in order]


def _times(result: Result, label: str) -> dict[int, float]:
    return {run.seed: summary.time_to_target(run, result.target)[0] for run in result.of(label)}


def _ratio(result: Result, label: str, first: str, times: dict[int, float], best: dict[int, float]) -> Ratio:
    ordered = np.sort(np.array(list(times.values())))
    lower, middle, upper = (quantile(ordered, share) for share in (0.25, 0.5, 0.75))
    row = Ratio(label, int(np.isfinite(ordered).sum()), len(ordered), middle, lower, upper)
    if label == first:
        return replace(row, ratio=1.0, low=1.0, high=1.0, pairs=len(ordered))
    runs, bests = ({run.seed: run for run in result.of(whose)} for whose in (label, first))
    told = [seed for seed in times if seed in best and not math.isinf(min(times[seed], best[seed])) and best[seed] > 0]
    pairs = [
        seed
        for seed in told
        if (math.isfinite(times[seed]) or summary.known_later(runs[seed], best[seed]))
        and (math.isfinite(best[seed]) or summary.known_later(bests[seed], times[seed]))
    ]
    row = replace(row, silent=len(told) - len(pairs))
    if not pairs:
        return row
    each = np.array([times[seed] / best[seed] for seed in pairs])
    bounds = [
        runs[seed].time / best[seed] if math.isinf(times[seed]) and not summary.never(runs[seed]) else ratio
        for seed, ratio in zip(pairs, each.tolist(), strict=True)
    ]
    low, high = interval(each)
    return replace(
        row,
        ratio=quantile(np.sort(each), 0.5),
        low=low,
        high=high,
        at_least=quantile(np.sort(np.array(bounds)), 0.5),
        pairs=len(pairs),
        behind=int((each > 1).sum()),
    )


def interval(values: Floats, share: float = SHARE) -> tuple[float, float]:
    """The percentile bootstrap interval of the median of `values` (s,); (nan, nan) of fewer than `LEAST`.

    >>> interval(np.array([2.0, 2.0, 2.0, 2.0])), interval(np.array([1.0, 2.0]))
    ((2.0, 2.0), (nan, nan))
    """
    if len(values) < LEAST:
        return math.nan, math.nan
    rng = np.random.default_rng(0)
    drawn = np.sort(values[rng.integers(0, len(values), (DRAWS, len(values)))], axis=1)
    # an even number of seeds has two in the middle, of which one may be infinite
    low, high = drawn[:, (len(values) - 1) // 2], drawn[:, len(values) // 2]
    medians = np.sort(np.where(np.isinf(high), high, (low + high) / 2))
    return quantile(medians, (1 - share) / 2), quantile(medians, (1 + share) / 2)


def quantile(ordered: Floats, share: float) -> float:
    """A quantile of sorted values, of which some may be infinite: between a finite and an infinite one lies an infinite.

    >>> quantile(np.array([1.0, 3.0, np.inf]), 0.25), quantile(np.array([1.0, 3.0, np.inf]), 0.75)
    (2.0, inf)
    """
    place = share * (len(ordered) - 1)
    below, above = float(ordered[math.floor(place)]), float(ordered[math.ceil(place)])
    inside = place - math.floor(place)
    if inside == 0:
        return below
    return above if math.isinf(above) else below + inside * (above - below)


def sentence(rows: Sequence[Ratio]) -> str:
    """The rows in plain words: how many times longer the next best takes, and how sure that is."""
    if len(rows) < 2:
        return ""
    best, other = rows[0], rows[1]
    if math.isnan(other.ratio):
        if other.silent and not other.reached:
            return (
                f"{other.label} ended before the time at which {best.label} reached the target: how many times as long it "
                "takes is open."
            )
        return f"{other.label} and {best.label} have no seed that tells how many times as long one takes."
    open_order = " The interval contains 1: with these seeds the order of the two is open."
    sure = open_order if other.low <= 1 <= other.high else ""
    if math.isinf(other.ratio):
        words = f"{other.label} {_reached(other)}"
        if not math.isnan(other.bound):
            words += f"; it takes over {summary.number(other.bound, 2)} times as long as {best.label}"
        return f"{words}.{sure}"
    words = f"{other.label} takes {summary.number(other.ratio, 3)} times as long as {best.label}"
    if math.isnan(other.low):
        return f"{words}; of {summary.counted(other.pairs, 'seed')} no interval can be given."
    reach = f"{summary.number(other.low, 3)} to {summary.number(other.high, 3)}"
    return f"{words} (95 % interval over {other.pairs} seeds: {reach}).{sure}"


def _reached(row: Ratio) -> str:
    """With how many seeds the target was reached, of a method that missed it with some."""
    if row.reached:
        return f"reached the target with {row.reached} of {row.seeds} seeds only"
    return f"did not reach the target{'' if row.seeds == 1 else f' with any of {row.seeds} seeds'}"
