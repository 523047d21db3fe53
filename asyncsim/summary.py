"""Who got there first: numbers a method, one table, one sentence, one cause.

All of it is read off a `Result`; medians are over the seeds. What the words mean:

- **Time to the target**: simulated time of the first record point that meets it. It may have been met any time
  after the record point before, so the distance between the two is its *resolution*. A run that never met it
  counts as infinitely late; the median over the seeds is then infinite unless more than half of them met it.
- **Sooner on a seed**: methods run on the same luck seed by seed, so they are compared seed by seed. A is sooner
  than B when A's record point is not later than the record point *before* B's. When B ended without the
  target earlier than A met it (iterations were up, or somebody stopped it), that seed says nothing.
- **A clear winner** is sooner than each other method on every common seed (up to five), or on 80 % of them (more).
- Without a target the last ‖∇f‖² are compared (f − f* or f where there is no gradient), at the latest time that all
  methods reached with that seed. Smaller means by more than 5 %, of f itself by any amount. Where an end is no
  result (diverged, failed) the value counts as infinite.
- **The cause** only says in which counts the two best differ. That they cause the difference is for the reader.
"""

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asyncsim.result import MORE_IS_BETTER, Result, Run, meets

SYMBOLS = {
    "squared_gradient_norm": "‖∇f‖²",
    "mean_squared_gradient_norm": "mean ‖∇f‖²",
    "suboptimality": "f − f*",
    "value": "f",
    "test_accuracy": "test accuracy",
}
_SHOWN = ("suboptimality", "value", "squared_gradient_norm", "mean_squared_gradient_norm", "test_accuracy")
# runs that ended like this never reach a target, however long one waits
_HOPELESS = ("diverged", "stalled", "failed")
_WORTHLESS = ("diverged", "failed")
_ENDED = {
    "diverged": "diverged",
    "stalled": "stalled",
    "failed": "failed",
    "interrupted": "was interrupted",
    "running": "is still running",
    "waiting": "has not begun",
}


@dataclass(frozen=True)
class MethodSummary:
    """One method over its seeds: medians, but for `largest_delay` (the largest) and the counts of runs.

    Times are simulated seconds; `time_to_target` is inf when half of the seeds or more did not reach it, nan without
    a target. Quantities that are not known are nan.
    """

    label: str
    method: str
    parameters: dict[str, Any]
    seeds: int
    statuses: dict[str, int]
    iterations: float
    time: float
    value: float
    suboptimality: float
    squared_gradient_norm: float
    mean_squared_gradient_norm: float
    test_accuracy: float
    time_to_target: float
    resolution: float
    reached: int
    used: float
    discarded: float
    stopped: float
    timed_out: float
    lost: float
    mean_delay: float
    largest_delay: int
    busy_share: float
    wall_seconds: float


@dataclass(frozen=True)
class Verdict:
    """Who won, and whether that is clear; `why` says why not. `wins` of `seeds` common seeds against the runner-up."""

    best: str | None
    runner_up: str | None
    clear: bool
    wins: int
    seeds: int
    why: str = ""


def summarise(result: Result) -> list[MethodSummary]:
    """One summary a method, in the order of the scenario."""
    return [_summary(label, result.of(label), result.target) for label in result.labels]


def ranked(result: Result) -> list[MethodSummary]:
    """The summaries, best first: by time to the target, seeds that reached it, then by the last ‖∇f‖² (or f)."""
    name = _measure(result)

    def place(summary: MethodSummary) -> tuple[float, ...]:
        values = [_or_inf(_badness(result, run, name)) for run in result.of(summary.label)]
        return (_or_inf(summary.time_to_target), -summary.reached, median(values))

    return sorted(summarise(result), key=place)


def time_to_target(run: Run, target: Mapping[str, float] | None) -> tuple[float, float]:
    """(time, resolution) in simulated seconds; (inf, nan) when never reached, (nan, nan) without a target."""
    if not target:
        return math.nan, math.nan
    times = run.curves["time"].tolist()
    met = [meets(target, {name: run.curves[name][point] for name in target}) for point in range(len(times))]
    first = met.index(True) if True in met else None
    if first is None:
        return math.inf, math.nan
    return times[first], times[first] - times[max(first - 1, 0)]


def never(run: Run) -> bool:
    """Whether a run ended in such a way that it reaches no target any more."""
    return run.status in _HOPELESS


def known_later(run: Run, time: float) -> bool:
    """Whether a run that has not reached the target is known to reach it after `time`: it went on until then, or never will."""
    return never(run) or run.time >= time


def verdict(result: Result) -> Verdict:
    """Whether there is a clear winner, by the rules at the head of this file."""
    summaries = ranked(result)
    order = [summary.label for summary in summaries]
    if len(order) < 2:
        return Verdict(order[0] if order else None, None, False, 0, 0, "there is nothing to compare with")
    best, runner_up = order[:2]
    if _measure(result) == "iterations":
        return Verdict(best, runner_up, False, 0, 0, "this problem has no function")
    if result.target and not any(summary.reached for summary in summaries):
        return Verdict(best, runner_up, False, 0, 0, _nobody(result, summaries[0]))
    compare = _sooner if result.target else _smaller
    clear_ones = []
    for other in order[1:]:  # the runner-up first: its count is the one to tell
        pairs = _pairs(result, best, other)
        outcomes = Counter(compare(result, a, b) for a, b in pairs)
        clear = outcomes[1] >= _needed(len(pairs))
        why = "" if clear else _why_not(result, best, other, pairs, outcomes)
        said = Verdict(best, other, clear, outcomes[1], len(pairs), why)
        if not clear:
            return said
        clear_ones.append(said)
    return clear_ones[0]


def sentence(result: Result) -> str:
    """Who got there first, and by how much; or that there is no clear winner, and why.

    Methods that diverged, stalled, failed or were interrupted are named behind it.
    """
    summaries = ranked(result)
    if not summaries:
        return "Nothing has been run."
    parts = [_timing_only(summaries) if _measure(result) == "iterations" else _judged(result, summaries)]
    return " ".join([*parts, *_endings(summaries)])


def cause(result: Result) -> str:
    """One sentence on where the counts of the two best methods differ; of a single method, what they are."""
    summaries = {summary.label: summary for summary in ranked(result)}
    judged = verdict(result)
    if judged.best is None:
        return "Nothing has been run."
    best = summaries[judged.best]
    if judged.runner_up is None:
        facts = [words.format(show(best)) for words, value, show in _FACTS if not math.isnan(value(best))]
        return f"{best.label} {listed(facts)}." if facts else f"{best.label} left no counts."
    other = summaries[judged.runner_up]
    facts = []
    for words, value, show in _FACTS:
        if _differ(value(best), value(other)) and show(best) != show(other):
            whose = f"{other.label}'s " if not facts else ""
            facts.append(words.format(f"{show(best)} against {whose}{show(other)}"))
    if not facts:
        return f"{best.label} and {other.label} have about the same counts of work, delay and waiting."
    return f"{best.label} {listed(facts)}."


def table(result: Result) -> tuple[list[str], list[list[str]]]:
    """(headers, rows): texts, one row a method, the best first; what is not known of any method is left out."""
    summaries = ranked(result)
    columns: list[tuple[str, Callable[[MethodSummary], str]]] = [("method", lambda s: s.label)]
    if result.target:
        columns += [("to target", _reached_text), ("resolution", lambda s: seconds(s.resolution))]
    columns += [("time", lambda s: seconds(s.time)), ("iterations", lambda s: count(s.iterations))]
    known = [name for name in _SHOWN if any(not math.isnan(getattr(s, name)) for s in summaries)]
    if "suboptimality" in known:
        known.remove("value")
    for name in known:
        columns.append((SYMBOLS[name], lambda s, name=name: number(getattr(s, name))))  # type: ignore[misc]
    for name in ("used", "discarded", "stopped", "timed_out", "lost"):
        if name in ("used", "discarded", "stopped") or any(getattr(s, name) for s in summaries):
            columns.append((name.replace("_", " "), lambda s, name=name: count(getattr(s, name))))  # type: ignore[misc]
    columns += [
        ("delay: mean, largest", lambda s: f"{number(s.mean_delay)}, {count(s.largest_delay)}"),
        ("busy", lambda s: percent(s.busy_share)),
        ("wall-clock", lambda s: seconds(s.wall_seconds)),
    ]
    if any(set(s.statuses) != {"finished"} for s in summaries):
        columns.append(("ended", _statuses_text))
    return [header for header, _ in columns], [[text(summary) for _, text in columns] for summary in summaries]


NOTABLE = 0.1  # of the wall time for records, of the gradients for those computed in vain


def effort(result: Result) -> list[str]:
    """What took time beside the gradients that were used, in sentences; nothing where it was little.

    >>> from asyncsim.result import Run
    >>> run = Run("a", "a", {}, 0, 1, wall_seconds=10.0, effort={"computed": 50, "unread": 10, "record_seconds": 1.2})
    >>> effort(Result("study", (run,)))
    ['Records took 12 % of the wall time.', 'a: 20 % of its gradients were computed ahead and never read.']
    """
    records, unread = {}, {}
    for label in result.labels:
        runs = result.of(label)
        taken = {
            name: sum(run.effort.get(name, 0) for run in runs) for name in ("computed", "unread", "record_seconds")
        }
        records[label] = taken["record_seconds"] / (sum(run.wall_seconds for run in runs) or math.inf)
        unread[label] = taken["unread"] / (taken["computed"] or math.inf)
    much = sorted(share for share in records.values() if share >= NOTABLE)
    said = []
    if much:
        least, most = percent(much[0]), percent(much[-1])
        share = most if least == most else f"up to {most}"
        of = f" of {len(much)} of {len(records)} methods" if len(much) < len(records) else ""
        said.append(f"Records took {share} of the wall time{of}.")
    return said + [
        f"{label}: {percent(share)} of its gradients were computed ahead and never read."
        for label, share in unread.items()
        if share >= NOTABLE
    ]


# ---------------------------------------------------------------------------------------------- the sentence


def _judged(result: Result, summaries: Sequence[MethodSummary]) -> str:
    judged = verdict(result)
    if len(summaries) == 1:
        return _alone(result, summaries[0])
    if not judged.clear:
        return f"There is no clear winner: {judged.why}."
    best, other = (next(s for s in summaries if s.label == label) for label in (judged.best, judged.runner_up))
    won = _won_by_time if result.target else _won_by_value
    return f"{won(result, best, other)} ({_of_seeds(judged.wins, judged.seeds)})."


def _won_by_time(result: Result, best: MethodSummary, other: MethodSummary) -> str:
    after = f"{best.label} reached {target_text(result.target)} after {seconds(best.time_to_target)}"
    if math.isinf(other.time_to_target):
        two, some = len(result.labels) == 2, _of_seeds(other.reached, other.seeds)
        if other.reached:  # with at least as many seeds as those after the runner-up
            return f"{after}; {f'{other.label} did with {some} only' if two else f'no other method did with more than {some}'}"
        return f"{after}; {f'{other.label} did not' if two else 'no other method did'} within {seconds(other.time)}"
    if best.time_to_target <= 0:
        return f"{after}, {other.label} after {seconds(other.time_to_target)}"
    return f"{after}, {_times(other.time_to_target, best.time_to_target)} sooner than {other.label}"


def _won_by_value(result: Result, best: MethodSummary, other: MethodSummary) -> str:
    name = _measure(result)
    pairs = _pairs(result, best.label, other.label)
    until = seconds(median(_common_end(result, a.seed) for a, _ in pairs))
    mine, its = (median(_or_inf(_compared(result, run, name)) for run in runs) for runs in zip(*pairs, strict=True))
    after = f"{best.label} has the smallest {SYMBOLS.get(name, name)} after {until}, {number(mine)}"
    if mine > 0 and math.isfinite(its) and name != "value":
        return f"{after}, {_times(its, mine)} smaller than {other.label}"
    return f"{after} against {number(its)} of {other.label}"


def _alone(result: Result, only: MethodSummary) -> str:
    name = _measure(result)
    last = f"{SYMBOLS[name]} = {number(getattr(only, name))}"
    time = seconds(only.time)
    if not result.target:
        return f"{only.label} ended at {last} after {time} ({_seeds(only.seeds)})."
    target = target_text(result.target)
    if not only.reached:
        return f"{only.label} did not reach {target} within {time}; it ended at {last} ({_seeds(only.seeds)})."
    some = _of_seeds(only.reached, only.seeds)
    if math.isinf(only.time_to_target):
        return f"{only.label} reached {target} with {some} only, within {time}."
    return f"{only.label} reached {target} after {seconds(only.time_to_target)} ({some})."


def _timing_only(summaries: Sequence[MethodSummary]) -> str:
    if len(summaries) > _ALL_NAMED:
        by_rate = sorted(summaries, key=lambda s: -_rate(s) if s.time > 0 else math.inf)
        most, least = ((s.label, f"{count(s.iterations)} in {seconds(s.time)}") for s in (by_rate[0], by_rate[-1]))
        return (
            f"This problem has no function, so there is no winner to name: {most[0]} made the most iterations a simulated "
            f"second, {most[1]}, {least[0]} the fewest, {least[1]} ({_seeds(summaries[0].seeds)})."
        )
    made = listed([f"{s.label} made {count(s.iterations)} iterations in {seconds(s.time)}" for s in summaries])
    return f"This problem has no function, so there is no winner to name: {made} ({_seeds(summaries[0].seeds)})."


def _nobody(result: Result, closest: MethodSummary) -> str:
    name = _measure(result)
    nobody, last = f"no method reached {target_text(result.target)}", getattr(closest, name)
    if not math.isfinite(last):  # all have diverged: none is closer than another
        return nobody
    return f"{nobody}; {closest.label} came closest with {SYMBOLS.get(name, name)} = {number(last)} after {seconds(closest.time)}"


def _endings(summaries: Sequence[MethodSummary]) -> list[str]:
    said = []
    for status, words in _ENDED.items():
        whose = [(s.label, s.statuses.get(status, 0), s.seeds) for s in summaries if s.statuses.get(status)]
        for label, times, seeds in whose:
            said.append(f"{label} {words}{'' if times == seeds else f' with {_of_seeds(times, seeds)}'}.")
    return said


def _why_not(
    result: Result, best: str, other: str, pairs: Sequence[tuple[Run, Run]], outcomes: Counter[int | None]
) -> str:
    if not pairs:
        return f"{best} and {other} have no seed in common"
    wins, losses, silent = outcomes[1], outcomes[-1], outcomes[None]
    if losses:
        word = "sooner" if result.target else "better"
        ties = f", and {outcomes[0]} too close to tell" if outcomes[0] else ""
        return f"{best} was {word} than {other} with {_of_seeds(wins, len(pairs))}, {other} with {losses}{ties}"
    if not result.target:
        name = SYMBOLS[_measure(result)]
        return f"the last {name} of {best} and {other} differ by 5 % or less with {_of_seeds(outcomes[0], len(pairs))}"
    target = target_text(result.target)
    reached = sum(math.isfinite(time_to_target(a, result.target)[0]) for a, _ in pairs)
    if reached < len(pairs):
        return f"{best} came first, but reached {target} with {_of_seeds(reached, len(pairs))} only"
    if silent:
        return f"{other} ended before the time at which {best} reached {target}"
    return _within_resolution(result, best, other, pairs)


def _within_resolution(result: Result, best: str, other: str, pairs: Sequence[tuple[Run, Run]]) -> str:
    both = [(time_to_target(a, result.target), time_to_target(b, result.target)) for a, b in pairs]
    gaps = [(abs(b[0] - a[0]), b[1]) for a, b in both if math.isfinite(a[0]) and math.isfinite(b[0])]
    ties = sum(gap <= resolution for gap, resolution in gaps)
    resolution = seconds(median(b[1] for _, b in both))
    when = seconds(median(a[0] for a, _ in both))
    reached = f"{best} and {other} both reached {target_text(result.target)} after about {when}"
    if ties == len(gaps):
        return f"{reached}; their gap of {seconds(median(gap for gap, _ in gaps))} is within the record's resolution of {resolution}"
    return f"{reached}; on {ties} of {len(pairs)} seeds they are closer than the record's resolution of {resolution}"


# ---------------------------------------------------------------------------------------------- comparing


def _pairs(result: Result, best: str, other: str) -> list[tuple[Run, Run]]:
    """The runs of both methods on the seeds they have in common."""
    others = {run.seed: run for run in result.of(other)}
    return [(run, others[run.seed]) for run in result.of(best) if run.seed in others]


def _needed(seeds: int) -> int:
    """On how many of `seeds` seeds one has to win; with none in common nobody can."""
    return max(1, seeds if seeds <= 5 else math.ceil(0.8 * seeds))


def _sooner(result: Result, a: Run, b: Run) -> int | None:
    """1 when a was sooner, −1 when b was, 0 when the record can't tell, None when one ended too early to say."""
    (time_a, resolution_a), (time_b, resolution_b) = (time_to_target(run, result.target) for run in (a, b))
    if math.isinf(time_a) and math.isinf(time_b):
        return 0
    for late, other, sign in ((time_b, b, 1), (time_a, a, -1)):
        if math.isinf(late):
            return sign if known_later(other, min(time_a, time_b)) else None
    # a hair's breadth for sums of times that should be equal
    hair = 1e-9 * max(time_a, time_b)
    if time_a < time_b and time_b - time_a >= resolution_b - hair:
        return 1
    if time_b < time_a and time_a - time_b >= resolution_a - hair:
        return -1
    return 0


def _smaller(result: Result, a: Run, b: Run) -> int | None:
    """The same for the measure, where both can be compared."""
    name = _measure(result)
    value_a, value_b = (_or_inf(_compared(result, run, name)) for run in (a, b))
    if name != "value" and not _differ(value_a, value_b):
        return 0
    return (value_a < value_b) - (value_b < value_a)


def _compared(result: Result, run: Run, name: str) -> float:
    """The run's last value up to the time that every method reached with its seed; inf when its end is no result."""
    if run.status in _WORTHLESS:
        return math.inf
    if name not in run.curves:
        return math.nan
    before = run.curves[name][run.curves["time"] <= _common_end(result, run.seed) * (1 + 1e-12)]
    return float(before[-1]) if len(before) else math.nan


def _badness(result: Result, run: Run, name: str) -> float:
    """`_compared`, turned round where more is better."""
    value = _compared(result, run, name)
    return -value if name in MORE_IS_BETTER and math.isfinite(value) else value


def _common_end(result: Result, seed: int) -> float:
    runs = [run for run in result.runs if run.seed == seed]
    return min((run.time for run in runs if run.status not in _HOPELESS), default=max(run.time for run in runs))


def _measure(result: Result) -> str:
    """What methods are compared by: the target's quantity, else ‖∇f‖², else f; iterations in timing-only runs."""
    wanted: list[str] = [*(result.target or ()), "squared_gradient_norm", "suboptimality", "value"]
    for name in wanted:
        if any(name in run.curves and not all(map(math.isnan, run.curves[name].tolist())) for run in result.runs):
            return name
    return "iterations" if any(len(run.curves["time"]) for run in result.runs) else wanted[0]


def _summary(label: str, runs: Sequence[Run], target: Mapping[str, float] | None) -> MethodSummary:
    reached = [time_to_target(run, target) for run in runs]
    last = {name: median(_last(run, name) for run in runs) for name in SYMBOLS}
    return MethodSummary(
        label=label,
        method=runs[0].method,
        parameters=runs[0].parameters,
        seeds=len(runs),
        statuses=dict(Counter(run.status for run in runs)),
        iterations=median(run.iterations for run in runs),
        time=median(run.time for run in runs),
        **last,
        time_to_target=median(time for time, _ in reached),
        resolution=median(resolution for _, resolution in reached),
        reached=sum(math.isfinite(time) for time, _ in reached),
        used=median(run.used for run in runs),
        discarded=median(run.discarded for run in runs),
        stopped=median(run.stopped for run in runs),
        timed_out=median(run.timed_out for run in runs),
        lost=median(run.lost for run in runs),
        mean_delay=median(run.mean_delay for run in runs),
        largest_delay=max(run.largest_delay for run in runs),
        busy_share=median(run.busy_share for run in runs),
        wall_seconds=median(run.wall_seconds for run in runs),
    )


def _last(run: Run, name: str) -> float:
    curve = run.curves.get(name)
    return float(curve[-1]) if curve is not None and len(curve) else math.nan


def median(values: Iterable[float]) -> float:
    """The median of the values that are known (not nan); nan when none is.

    >>> median([3.0, float("nan"), 1.0]), median([1.0, float("inf")]), median([])
    (2.0, inf, nan)
    """
    known = [float(value) for value in values if not math.isnan(value)]
    return statistics.median(known) if known else math.nan


def _or_inf(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _share_used(summary: MethodSummary) -> float:
    ended = summary.used + summary.discarded + summary.stopped + summary.timed_out + summary.lost
    return summary.used / ended if ended else math.nan


def _differ(a: float, b: float) -> bool:
    if math.isinf(a) or math.isinf(b):
        return a != b
    return abs(a - b) > 0.05 * max(abs(a), abs(b))  # false where one is nan


# ---------------------------------------------------------------------------------------------- words


def target_text(target: Mapping[str, float] | None) -> str:
    """The target as one writes it.

    >>> target_text({"squared_gradient_norm": 0.001}), target_text({"test_accuracy": 0.9})
    ('‖∇f‖² ≤ 1e-3', 'test accuracy ≥ 0.9')
    """
    limits = (
        (SYMBOLS.get(name, name.replace("_", " ")), "≥" if name in MORE_IS_BETTER else "≤", limit)
        for name, limit in (target or {}).items()
    )
    return " and ".join(f"{symbol} {sign} {number(limit)}" for symbol, sign, limit in limits)


def number(value: float, digits: int = 3) -> str:
    """A number in a few significant digits; whole parts are kept whole, in groups from five digits on.

    >>> [number(value) for value in (0.001, 0.0123456, 412.3, 123456.7, 2.5e-7, 4e12, 0.0, math.nan, math.inf)]
    ['1e-3', '0.0123', '412', '123,457', '2.5e-7', '4e12', '0', '—', '∞']
    """
    if math.isnan(value):
        return "—"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    rounded = float(f"{value:.{digits - 1}e}")
    if value == 0 or 1e-2 <= abs(rounded) < 1e6:
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded)))) if value else 0
        text = f"{value:{',' if abs(value) >= 1e4 else ''}.{decimals}f}"
        return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", "−")
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.').replace('-', '−')}e{int(exponent)}"


def seconds(value: float) -> str:
    """Seconds with their unit; — when not known, "not reached" when infinite.

    >>> seconds(412.3), seconds(0.00125), seconds(math.nan), seconds(math.inf)
    ('412 s', '1.25e-3 s', '—', 'not reached')
    """
    if math.isinf(value):
        return "not reached"
    return number(value) if math.isnan(value) else f"{number(value)} s"


def count(value: float) -> str:
    """A count; a median may lie half-way.

    >>> count(1234567), count(2.5), count(math.nan)
    ('1,234,567', '2.5', '—')
    """
    if not math.isfinite(value):
        return number(value)
    return f"{int(value):,}" if float(value).is_integer() else f"{value:,.1f}"


def counted(count: int, noun: str) -> str:
    """How many of them.

    >>> counted(1, "seed"), counted(1000, "worker")
    ('1 seed', '1,000 workers')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def percent(share: float) -> str:
    """A share in percent.

    >>> percent(0.954), percent(0.0042), percent(math.nan)
    ('95 %', '0.4 %', '—')
    """
    if math.isnan(share):
        return "—"
    return f"{100 * share:.1f} %" if 0 < share < 0.0995 else f"{100 * share:.0f} %"


def _reached_text(summary: MethodSummary) -> str:
    if summary.reached == summary.seeds:
        return seconds(summary.time_to_target)
    if not summary.reached:
        return "not reached"
    return f"{seconds(summary.time_to_target)} ({summary.reached} of {summary.seeds})"


def _statuses_text(summary: MethodSummary) -> str:
    if len(summary.statuses) == 1:
        return next(iter(summary.statuses))
    return ", ".join(f"{status} {times}" for status, times in summary.statuses.items())


def _times(larger: float, smaller: float) -> str:
    ratio = larger / smaller
    return f"{number(ratio, 2 if ratio >= 1.1 else 3)} times"


def _seeds(seeds: int) -> str:
    return "1 seed" if seeds == 1 else f"median of {seeds} seeds"


def _of_seeds(some: int, seeds: int) -> str:
    return "1 seed" if seeds == some == 1 else f"{some} of {seeds} seeds" if seeds > 1 else "0 of 1 seed"


def listed(parts: Sequence[str]) -> str:
    """The parts in a sentence.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _rate(summary: MethodSummary) -> float:
    return summary.iterations / summary.time if summary.time > 0 else math.nan


def _share_text(summary: MethodSummary) -> str:
    """The share of used gradients, with what mostly became of the rest."""
    waste = {name: getattr(summary, name) for name in ("discarded", "stopped", "timed_out", "lost")}
    most = max(waste, key=lambda name: waste[name])
    share = _share_used(summary)
    if not waste[most]:
        return percent(share)
    rest = percent(waste[most] / (summary.used + sum(waste.values())))
    return f"{percent(share)} ({rest} {most.replace('_', ' ')})"


_ALL_NAMED = 3

# what a cause is made of: words, the value by which methods differ, how it is shown
_FACTS: tuple[tuple[str, Callable[[MethodSummary], float], Callable[[MethodSummary], str]], ...] = (
    ("made {} iterations a simulated second", _rate, lambda s: number(_rate(s))),
    ("used {} of the gradients that ended", _share_used, _share_text),
    ("had a mean delay of {}", lambda s: s.mean_delay, lambda s: number(s.mean_delay)),
    ("kept its workers busy {} of the time", lambda s: s.busy_share, lambda s: percent(s.busy_share)),
)
