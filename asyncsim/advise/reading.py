"""What an engineer writes, read: lists like '8x0.12 4x0.35 1x2.0', and measured times."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asyncsim.advise.question import Data, Group, Question, gamma, six_digits, within
from asyncsim.fitting import not_seen
from asyncsim.times.censored import Floats, Observed, weighted
from asyncsim.times.traces import Resampled, read_trace

HEAVY = 1.0  # measured times have a heavy tail if their deviation is more than so many times their mean
MOST_VALUES = 400  # of measured times that are drawn again


def asked(
    workers: str,
    *,
    communication: str = "0",
    price: str | None = None,
    jitter: float = 0.1,
    average: int | None = None,
    steps: int | None = None,
    target: float = 1e-4,
    data: Data = "same",
) -> Question:
    """A question from texts: '8x0.12 4x0.35 1x2.0' is 8 machines of 0.12 s a gradient, 4 of 0.35 s and 1 of 2 s.

    Seconds may have a unit (ms, s, min). `communication` and `price` (an hour) are one number for all machines, or the
    same list with other numbers: '8x2.5 4x0.9 1x0.2'. A heavy tail stands behind the seconds, which are then the median:
    '4x0.5~lognormal(2)', '4x0.5~pareto(1.2)', or '4x0.5~hangs(0.02)' where one gradient in 50 never comes back. Raises
    ValueError that says what cannot be read.

    >>> asked("2x120ms 1x2", price="2x2.5 1x0.2").groups
    (Group(count=2, seconds=0.12, communication=0.0, price=2.5), Group(count=1, seconds=2.0, communication=0.0, price=0.2))
    """
    workers, tails = _tails(workers)
    kinds = _listed("workers", workers, seconds=True)
    for count, seconds in kinds:
        if count < 1 or not seconds > 0:
            raise ValueError(
                f"workers: {count}x{seconds:g} is no kind of machine; a count >= 1 and seconds > 0 are needed"
            )
    counts = [count for count, _ in kinds]
    messages = _one_each("communication", communication, counts, seconds=True)
    prices = [None] * len(kinds) if price is None else _one_each("price", price, counts)
    within("jitter", jitter, 0, 2, "the standard deviation of a gradient's time over its mean")
    groups = tuple(
        Group(count, seconds, message, cost, tail, _tailed(tail, seconds, jitter))
        for (count, seconds), message, cost, tail in zip(kinds, messages, prices, tails, strict=True)
    )
    return Question(groups, jitter, average, steps, target, data)


def asked_of_trace(
    path: Path,
    workers: str = "",
    *,
    price: str | None = None,
    average: int | None = None,
    steps: int | None = None,
    target: float = 1e-4,
    data: Data = "same",
) -> Question:
    """A question from measured times: machines of one device are one kind, its mean times those of the trace.

    Times whose standard deviation is above their mean have a heavy tail: they are drawn again as they were measured. Of
    rows that were not computed to their end it counts that their times are longer (asyncsim/times/censored.py), and
    `Question.notes` say what that leaves open.

    Raises ValueError where the file is no trace, or where `workers` is given too.
    """
    if workers.strip():
        raise ValueError("--workers and --trace: give one of the two")
    trace = read_trace(path)
    computing, stopped = trace.all_series(), trace.all_stopped()
    sending, cut = trace.all_series("send_seconds"), trace.all_stopped("send_seconds")
    if not computing:
        raise ValueError(f"{path}: no gradient in it was computed to its end")
    kinds: dict[str, list[str]] = {}
    for worker in computing:
        rows = trace.worker == trace.workers.index(worker)
        kinds.setdefault(trace.devices[int(trace.device[rows][0])] or worker, []).append(worker)
    times = {kind: _of(those, computing, stopped) for kind, those in kinds.items()}
    deviations = {kind: _deviation(series) for kind, series in times.items()}
    heavy = {kind for kind, series in times.items() if deviations[kind] > HEAVY * series.mean}
    light = [
        deviations[kind] / series.mean for kind, series in times.items() if kind not in heavy for _ in series.exact
    ]
    jitter = round(float(np.mean(light)), 3) if light else 0.1
    prices = (
        [None] * len(kinds) if price is None else _one_each("price", price, [len(those) for those in kinds.values()])
    )
    groups = []
    for (kind, those), cost in zip(kinds.items(), prices, strict=True):
        sent = _of(those, sending, cut)
        message = sent.mean if len(sent) else 0.0
        if kind in heavy:
            law = {"distribution": "empirical", "values": _thinned(times[kind])}
            groups.append(Group(len(those), _median(times[kind]), message, cost, "a heavy tail, as measured", law))
        else:
            groups.append(Group(len(those), times[kind].mean, message, cost))
    notes = not_seen(trace, [(those, times[kind]) for kind, those in kinds.items()])
    return Question(tuple(groups), jitter, average, steps, target, data, tuple(notes))


def _of(workers: Sequence[str], whole: Mapping[str, Floats], cut: Mapping[str, Floats]) -> Observed:
    """The times of all these workers, and after how many seconds others were cut short."""
    none = np.empty(0)
    return Observed.of(*(np.concatenate([times.get(worker, none) for worker in workers]) for times in (whole, cut)))


def _deviation(times: Observed) -> float:
    """Standard deviation of the (Kaplan-Meier) estimate, in seconds."""
    if not len(times.beyond):
        return float(times.exact.std())
    places, weights = weighted(times)
    return math.sqrt(float(weights @ (places - times.mean) ** 2))


def _median(times: Observed) -> float:
    return (
        Resampled(times.exact, beyond=times.beyond).quantile(0.5)
        if len(times.beyond)
        else float(np.median(times.exact))
    )


def _thinned(times: Observed) -> list[float]:
    """At most `MOST_VALUES` times with the same mean and nearly the same spread: means of neighbours.

    Each is as likely as any other, so each is the mean of an equal share, to which a neighbour may belong in part.
    """
    if len(times.beyond):
        (places, weights), m = weighted(times), MOST_VALUES
    else:
        places, weights, m = times.exact, np.ones(len(times)), min(len(times), MOST_VALUES)
    up_to, sums = (np.append(0.0, np.cumsum(values)) for values in (weights, weights * places))
    means = np.diff(np.interp(np.linspace(0, up_to[-1], m + 1), up_to, sums)) * m / up_to[-1]
    return [six_digits(mean) for mean in means.tolist()]


_UNITS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "": 1.0}
_ENTRY = re.compile(r"(?:(\d{1,9})x)?(\d+\.?\d*(?:e[-+]?\d{1,3})?|\.\d+)([a-z]*)", re.ASCII)


_TAIL = re.compile(r"~([a-z]+)\(([^()\s]*)\)")
_TAILS = {
    "lognormal": (0.5, 100.0, "standard deviation of the logarithm"),
    "pareto": (0.1, 20.0, "exponent of the tail: the mean is infinite up to 1"),
    "hangs": (1e-4, 0.9, "part of the gradients that never come back"),
}


def _tails(workers: str) -> tuple[str, list[str]]:
    """The text without what stands behind a ~, and that for each kind of machine, "" for none."""
    entries = re.sub(r"\s*([x×*~])\s*", r"\1", workers.strip().lower()).replace(",", " ").split()
    tails = []
    for entry in entries:
        tail = entry[entry.find("~") :] if "~" in entry else ""
        match = _TAIL.fullmatch(tail)
        if tail and (match is None or match[1] not in _TAILS or not _number(match[2])):
            forms = ", ".join(f"~{name}(NUMBER)" for name in _TAILS)
            raise ValueError(f"workers: {entry[:40]!r} can't be read; behind the seconds may stand {forms}")
        if match is not None:
            low, high, what = _TAILS[match[1]]
            within(f"workers: {match[1]}", float(match[2]), low, high, what)
        tails.append(tail[1:])
    return " ".join(entry.partition("~")[0] for entry in entries), tails


def _number(text: str) -> bool:
    return re.fullmatch(r"\d{1,9}\.?\d*|\.\d+", text, re.ASCII) is not None


def _tailed(tail: str, seconds: float, jitter: float) -> dict[str, Any] | None:
    """The law with this median and tail as a scenario has it; None without a tail."""
    if not tail:
        return None
    name, given = tail[:-1].split("(")
    shape = float(given)
    if name == "lognormal":
        return {"distribution": "lognormal", "mu": six_digits(math.log(seconds)), "sigma": shape}
    if name == "pareto":
        return {"distribution": "pareto", "minimum": six_digits(seconds * 2 ** (-1 / shape)), "shape": shape}
    parts = [{"weight": 1 - shape, "law": gamma(seconds, jitter)}, {"weight": shape, "law": math.inf}]
    return {"distribution": "mixture", "parts": parts}


def _listed(what: str, text: str, seconds: bool = False) -> list[tuple[int, float]]:
    example = "'8x0.12 4x0.35 1x2.0'"
    entries = re.sub(r"\s*[x×*]\s*", "x", text.strip().lower()).replace(",", " ").split()
    if not entries:
        raise ValueError(f"{what}: nothing is given; write COUNTx{'SECONDS' if seconds else 'NUMBER'}, as in {example}")
    found = []
    for entry in entries:
        match = _ENTRY.fullmatch(entry)
        if match is None or match[3] not in (_UNITS if seconds else ("",)):
            units = " (units: ms, s, min)" if seconds else ""
            raise ValueError(
                f"{what}: {entry[:40]!r} can't be read; write COUNTx{'SECONDS' if seconds else 'NUMBER'}{units}, as in {example}"
            )
        number = float(match[2]) * _UNITS[match[3]]
        if not math.isfinite(number):
            raise ValueError(f"{what}: {entry[:40]!r} is too large")
        found.append((int(match[1] or 1), number))
    return found


def _one_each(what: str, text: str, counts: Sequence[int], seconds: bool = False) -> list[float]:
    """One number for each kind of machine."""
    found = _listed(what, text, seconds)
    if len(found) == 1 and "x" not in text.lower():
        return [found[0][1]] * len(counts)
    if [count for count, _ in found] != list(counts):
        there, needed = ("+".join(map(str, c)) for c in ([count for count, _ in found], counts))
        raise ValueError(
            f"{what}: machines {there}, but --workers has {needed}; give one number for all, or one for each kind in the same order"
        )
    return [number for _, number in found]
