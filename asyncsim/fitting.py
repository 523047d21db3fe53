"""Laws fitted to measured times: which of ours fits best, how well, and what independent draws would miss.

How it is done, and what that is worth:

1. Workers whose times look alike are fitted together (`grouped`): those whose empirical CDFs are no farther apart
   than chance explains (two-sample Kolmogorov-Smirnov test at 0.1 %), or by less than 5 %, and who have the same
   device.
2. Each law is fitted by maximum likelihood (asyncsim/families.py); nothing here needs scipy.
3. Laws are ranked by BIC = q·log N − 2·log-likelihood, q the number of parameters, N of times; AIC = 2q −
   2·log-likelihood is shown beside it. BIC needs a better reason for a parameter, which matters for shifts, as
   these always fit a little better.
4. How well the best one fits tells D, the largest distance of the CDFs (Kolmogorov-Smirnov), and p, by parametric
   bootstrap: the share of samples *of the fitted law*, of the same size and fitted again, that lie farther from
   their fit. The bootstrap looks at up to 500 of the times, chosen at random. With many times a small p is usual,
   as no law is true: then D counts.
5. p and likelihoods take the times for independent. Whether they are tells the rank autocorrelation; where they are
   not, the scenario that is written says how to play the trace itself, in blocks.
6. Of a row that was not computed to its end it is known that its time is longer than the seconds it has. To leave such
   rows out would make the laws too fast, so they count as just that: in the likelihood, and by Kaplan and Meier's
   estimate of the CDF in D, in the groups, in means and in the picture (asyncsim/times/censored.py has when that is
   right). Samples of the bootstrap are stopped as the measured times were. A job of several gradients counts as one
   time, the mean of a gradient's, and so does one that was stopped: which of its gradients were done by then, and
   when, no trace tells.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from asyncsim.families import FAMILIES, fitted, log_likelihood, name_of_family
from asyncsim.times.censored import Observed, shares, until_stopped, worth
from asyncsim.times.laws import Constant
from asyncsim.times.traces import Trace, known

Floats: TypeAlias = NDArray[np.float64]
By: TypeAlias = Literal["auto", "worker", "device", "all"]
BYS = ("auto", "worker", "device", "all")

FEWEST = 8  # times that a law is fitted to; fewer are played back
LAGS = 20
BOOTSTRAPS = 99
BOOTSTRAPS_IN_ALL = 3000  # over all groups, so that a thousand workers don't take an hour
BOOTSTRAPPED = 500
COMPARED = 20_000  # times that D looks at, spread evenly
FITS_BADLY = 0.05  # a D from which on the law is said to be a poor picture of the times
FURTHEST = 0.5  # CDFs this far apart are two groups, however few times there are
UNSEEN = 0.05  # of the times may be longer than the longest that was seen to its end, before it is said
SAME = 0.05  # CDFs this near are one group, however many times show that they differ


@dataclass(frozen=True)
class Candidate:
    """A fitted law with how well it fits: log-likelihood, AIC, BIC, and D, the largest distance of the CDFs."""

    law: Any
    log_likelihood: float
    parameters: int
    aic: float
    bic: float
    distance: float


@dataclass(frozen=True, eq=False)
class FittedTimes:
    """Times of a group with the laws fitted to them, the best first.

    correlation (LAGS,) is the rank autocorrelation at lags 1, 2, …, over workers; block is the length for a block
    bootstrap where it matters, else 0; p is that of the best law, nan where there was no sense in one. beyond (m,):
    seconds after which m more times were cut short.
    """

    values: Floats
    candidates: tuple[Candidate, ...]
    p: float
    correlation: Floats
    block: int
    beyond: Floats = field(default_factory=lambda: np.empty(0))

    @property
    def observed(self) -> Observed:
        """Values and beyond, in order."""
        return Observed.of(self.values, self.beyond)

    @property
    def best(self) -> Candidate | None:
        """The best law; None where there were too few times to fit one."""
        return self.candidates[0] if self.candidates else None

    @property
    def poor(self) -> bool:
        """Whether no law here is a good picture of the times."""
        return self.best is None or (self.best.distance > FITS_BADLY and self.p < 0.05)

    @property
    def words(self) -> str:
        """How well the best law fits, in words."""
        if self.best is None:
            return f"{len(self.values)} times are too few to fit a law ({FEWEST} are needed): they are played back"
        if isinstance(self.best.law, Constant):
            return f"all {len(self.values)} times are the same"
        p = "" if math.isnan(self.p) else f", p = {self.p:.2f}"
        doubtful = self.best.distance > FITS_BADLY / 2 and self.p < 0.1
        verdict = "a poor fit" if self.poor else "a fair fit" if doubtful else "a good fit"
        stopped = f", {len(self.beyond)} more stopped before their end" if len(self.beyond) else ""
        text = f"{len(self.values)} times{stopped}; D = {self.best.distance:.3f}{p}: {verdict}"
        if self.block:
            lag = int(np.argmax(np.abs(self.correlation)))
            text += (
                f"; successive times hang together (rank autocorrelation {self.correlation[lag]:+.2f} at lag {lag + 1})"
            )
        return text


@dataclass(frozen=True, eq=False)
class FittedGroup:
    """Workers that share their laws; send is None where nothing was sent."""

    workers: tuple[str, ...]
    compute: FittedTimes
    send: FittedTimes | None
    device: str | None = None


@dataclass(frozen=True, eq=False)
class Fit:
    """What `fit` found. warnings: what the numbers don't say."""

    file: str
    groups: tuple[FittedGroup, ...]
    warnings: tuple[str, ...] = field(default=())

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Headers and rows, one a group and kind of time."""
        headers = ["workers", "times", "N", "mean s", "law", "D", "p", "lag 1", "BIC to next"]
        rows = []
        for group in self.groups:
            for kind, times in (("compute", group.compute), ("send", group.send)):
                if times is not None:
                    rows.append([short(group.workers), kind, *_row(times)])
        return headers, rows

    def scenario(self, relative_to: Path | None = None) -> str:
        """A scenario that runs, with the fitted laws; paths in it start at the folder `relative_to`."""
        from asyncsim.fit_output import scenario

        return scenario(self, relative_to)

    def picture(self, path: str | Path) -> Path:
        """Write a page that shows measured times beside the laws, one HTML file. Returns where it is."""
        from asyncsim.fit_output import picture

        return picture(self, Path(path))


def short(names: Sequence[str], most: int = 6) -> str:
    """A few names in words.

    >>> short(["0", "1", "2"]), short([str(k) for k in range(100)]), short(["a"])
    ('0…2', '0…99', 'a')
    """
    if len(names) > 2 and all(name.isdigit() for name in names):
        numbers = sorted(map(int, names))
        if numbers[-1] - numbers[0] == len(numbers) - 1:
            return f"{numbers[0]}…{numbers[-1]}"
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _row(times: FittedTimes) -> list[str]:
    stopped = f" + {len(times.beyond)} stopped" if len(times.beyond) else ""
    best, shown = times.best, [f"{len(times.values)}{stopped}", f"{times.observed.mean:.4g}"]
    if best is None:
        return [*shown, "played back", "", "", "", ""]
    further = f"{times.candidates[1].bic - best.bic:.1f}" if len(times.candidates) > 1 else ""
    p = "" if math.isnan(times.p) else f"{times.p:.2f}"
    return [*shown, in_words(best.law), f"{best.distance:.3f}", p, f"{times.correlation[0]:+.2f}", further]


def in_words(law: Any) -> str:
    """A law with four digits.

    >>> from asyncsim.times.laws import Gamma
    >>> in_words(Gamma(shape=2.123456, scale=1.0))
    'gamma(shape=2.123, scale=1)'
    """
    spec = spec_of(law)
    if spec["distribution"] == "mixture":
        return " or ".join(f"{part['weight']:.0%} {in_words(part_law)}" for part, part_law in _parts(law, spec))
    given = ", ".join(f"{key}={value:.4g}" for key, value in spec.items() if key != "distribution")
    return f"{spec['distribution']}({given})"


def _parts(law: Any, spec: dict[str, Any]) -> list[tuple[dict[str, Any], Any]]:
    return list(zip(spec["parts"], (part.law for part in law.parts), strict=True))


def spec_of(law: Any) -> dict[str, Any]:
    """A fitted law as a scenario has it.

    >>> from asyncsim.times.laws import Exponential
    >>> spec_of(Exponential(2.0))
    {'distribution': 'exponential', 'mean': 2.0}
    """
    name = next((name for name, family in FAMILIES.items() if type(law) is family.law), "mixture")
    if name == "mixture":
        return {
            "distribution": "mixture",
            "parts": [{"weight": part.weight, "law": spec_of(part.law)} for part in law.parts],
        }
    return {"distribution": name, **{key: float(value) for key, value in law.__dict__.items()}}


# ---- the laws


def candidates(values: Floats | Observed) -> list[Candidate]:
    """All laws that can be fitted to times (seconds >= 0), the best by BIC first; none for fewer than 8 whole times.

    >>> [in_words(found.law) for found in candidates(np.full(10, 2.0))]
    ['constant(value=2)']
    """
    times = _observed(values)
    if len(times.exact) < FEWEST:
        return []
    first, last = float(times.exact[0]), float(times.exact[-1])
    if last - first <= 1e-9 * last and times.beyond.max(initial=0.0) <= last:
        return [Candidate(Constant(float(np.median(times.exact))), math.inf, 1, -math.inf, -math.inf, 0.0)]
    found = [candidate for name in FAMILIES if (candidate := _candidate(name, times)) is not None]
    return sorted(found, key=lambda candidate: candidate.bic)


def _observed(values: Floats | Observed) -> Observed:
    return values if isinstance(values, Observed) else Observed.of(values)


def _candidate(name: str, times: Observed) -> Candidate | None:
    law = fitted(name, times)
    if law is None:
        return None
    likelihood = log_likelihood(name, law, times)
    if not math.isfinite(likelihood):
        return None
    q = FAMILIES[name].parameters
    # only times that were seen to their end count in BIC's N, as only these tell a density
    bic = q * math.log(len(times.exact)) - 2 * likelihood
    return Candidate(law, likelihood, q, 2 * q - 2 * likelihood, bic, distance(law, times))


def distance(law: Any, values: Floats | Observed) -> float:
    """D: the largest distance between the law's CDF and the (Kaplan-Meier) CDF of the times (Kolmogorov-Smirnov).

    Beyond the longest time that was seen to its end there is nothing to compare with.

    >>> from asyncsim.times.laws import Uniform
    >>> distance(Uniform(0.0, 1.0), np.array([0.25, 0.75]))
    0.25
    """
    times = _observed(values)
    # at a time that stands several times the CDF of the times makes one jump
    places, last = shares(times)
    first = np.append(0.0, last[:-1])
    if len(places) > COMPARED:
        chosen = np.linspace(0, len(places) - 1, COMPARED).round().astype(int)
        places, last, first = places[chosen], last[chosen], first[chosen]
    expected = _cdf(law, places)
    return float(max((last - expected).max(), (expected - first).max(), 0.0))


def _cdf(law: Any, ordered: Floats) -> Floats:
    if len(ordered) > 400:
        # the CDF is smooth between so many quantiles of the times, and some laws take long over a value
        places = spread(ordered, 400)
        between: Floats = np.interp(ordered, places, [law.cdf(float(t)) for t in places])
        return between
    return np.array([law.cdf(float(t)) for t in ordered])


def spread(ordered: Floats, most: int) -> Floats:
    """Up to `most` of values in order, spread evenly over them, the first and the last among them."""
    return ordered if len(ordered) <= most else ordered[np.linspace(0, len(ordered) - 1, most).round().astype(int)]


def p_value(best: Candidate, values: Floats | Observed, rounds: int = BOOTSTRAPS, seed: int = 0) -> float:
    """The share of samples of the law, fitted again, that lie farther from their fit; see the head of this file.

    With `rounds` samples it is at least 1/(rounds + 1). seed: the same times give the same answer.
    """
    name = name_of_family(best.law)
    rng = np.random.default_rng(seed)
    part = _part(_observed(values), rng)
    law = fitted(name, part) if len(part.exact) else None
    if law is None:
        return math.nan
    own, farther = distance(law, part), 0
    stops = until_stopped(part)
    for _ in range(rounds):
        again = _stopped(law.sample(rng, len(part)), stops, rng)
        refitted = fitted(name, again) if len(again.exact) else None
        farther += refitted is None or distance(refitted, again) >= own
    return (1 + farther) / (1 + rounds)


def _part(times: Observed, rng: np.random.Generator) -> Observed:
    """A random part: one spread evenly over the quantiles would lie nearer to its fit than any sample does."""
    if len(times) <= BOOTSTRAPPED:
        return times
    if not len(times.beyond):
        return Observed.of(rng.choice(times.exact, BOOTSTRAPPED, replace=False))
    chosen = rng.choice(len(times), BOOTSTRAPPED, replace=False)
    n = len(times.exact)
    return Observed.of(times.exact[chosen[chosen < n]], times.beyond[chosen[chosen >= n] - n])


def _stopped(drawn: Floats, stops: tuple[Floats, Floats], rng: np.random.Generator) -> Observed:
    """What is seen of times that are stopped as the measured ones were."""
    after, shares_of_stops = stops
    if len(after) == 1:
        return Observed.of(drawn)
    stopped = after[np.minimum(np.searchsorted(np.cumsum(shares_of_stops), rng.random(len(drawn))), len(after) - 1)]
    return Observed.of(drawn[drawn <= stopped], stopped[drawn > stopped])


# ---- what independent draws would miss


def correlation(series: Sequence[Floats], lags: int = LAGS) -> Floats:
    """Rank autocorrelation (lags,) at lag 1, 2, …, the mean over workers; 0 where there are too few times.

    >>> correlation([np.arange(100.0)], lags=1)
    array([0.97])
    """
    found, weights = np.zeros(lags), np.zeros(lags)
    for times in series:
        n = len(times)
        if n < 3 or times.max() == times.min():
            continue
        ranks = _ranks(times)
        ranks = ranks - ranks.mean()
        variance = float(ranks @ ranks)
        for lag in range(1, min(lags, n - 2) + 1):
            found[lag - 1] += n * float(ranks[lag:] @ ranks[:-lag]) / variance
            weights[lag - 1] += n
    return np.divide(found, weights, out=np.zeros(lags), where=weights > 0)


def _ranks(values: Floats) -> Floats:
    ordered = np.sort(values)
    return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / 2


def block_length(correlations: Floats, n: int) -> int:
    """A length for blocks that keep what hangs together; 0 where nothing does.

    It does where a lag has more than 0.1 and more than chance (4/√n). Five times the lags after which it has died away.
    """
    limit = max(0.1, 4 / math.sqrt(max(n, 1)))
    beyond = np.flatnonzero(np.abs(correlations) > limit)
    return max(20, 5 * int(beyond[-1] + 1)) if len(beyond) else 0


# ---- groups


def grouped(series: Mapping[str, Floats | Observed], devices: dict[str, str]) -> list[list[str]]:
    """Workers whose times look alike, the fastest group first: a worker joins the group before it or begins one.

    >>> rng = np.random.default_rng(0)
    >>> times = {str(k): rng.exponential([1.0, 1.0, 5.0, 5.0][k], 200) for k in range(4)}
    >>> grouped(times, {})
    [['0', '1'], ['2', '3']]
    """
    seen = {worker: _thinned(_observed(times)) for worker, times in series.items()}
    groups: list[list[str]] = []
    pooled: list[Observed] = []
    for worker in sorted(seen, key=lambda worker: _median(seen[worker])):
        times = seen[worker]
        joined = next(
            (
                g
                for g in range(len(groups))
                if devices.get(groups[g][0]) == devices.get(worker) and _alike(times, pooled[g])
            ),
            None,
        )
        if joined is None:
            groups.append([worker])
            pooled.append(times)
        else:
            groups[joined].append(worker)
            pooled[joined] = _thinned(_pooled([pooled[joined], times]))
    return [[worker for worker in series if worker in group] for group in groups]


def _pooled(parts: Sequence[Observed]) -> Observed:
    return Observed.of(np.concatenate([part.exact for part in parts]), np.concatenate([part.beyond for part in parts]))


def _thinned(times: Observed) -> Observed:
    """Up to COMPARED of them, whole and stopped ones in the same proportion."""
    kept = min(1.0, COMPARED / len(times))
    most = max(1, round(kept * len(times.exact)))
    return (
        times
        if kept == 1
        else Observed(spread(times.exact, most), spread(times.beyond, round(kept * len(times.beyond))))
    )


def _median(times: Observed) -> float:
    places, found = shares(times)
    return float(places[min(int(np.searchsorted(found, 0.5)), len(places) - 1)])


def _alike(first: Observed, second: Observed) -> bool:
    curves = [shares(times) for times in (first, second)]
    places = np.concatenate([times for times, _ in curves])
    # beyond its last whole time the curve of stopped times is not known
    known = [math.inf if found[-1] >= 1 else times[-1] for times, found in curves]
    places = places[places <= min(known)]
    if not len(places):
        return False
    at = [np.searchsorted(times, places, side="right") for times, _ in curves]
    heights = [np.append(0.0, found)[j] for (_, found), j in zip(curves, at, strict=True)]
    few = [1 / np.append(len(times), worth(times))[j] for times, j in zip((first, second), at, strict=True)]
    # the limit of the two-sample test at 0.1 %
    chance = np.sqrt(-math.log(0.001 / 2) / 2 * (few[0] + few[1]))
    return bool((np.abs(heights[0] - heights[1]) <= np.maximum(np.minimum(chance, FURTHEST), SAME)).all())


def fit(trace: str | Path | Trace, by: By = "auto", *, seed: int = 0) -> Fit:
    """Fit laws to a trace (a file, or one that was read).

    by: "auto" groups workers that look alike, "worker" fits each alone, "device" those of a device together, "all" all.
    seed: of the bootstrap. Raises ValueError for another `by`, TraceError for a file that is no trace or has no
    complete row.

    >>> from asyncsim.measuring import Row
    >>> from asyncsim.times.traces import trace_of
    >>> found = fit(trace_of([Row("0", k, 0.0, 1.0 + k % 2) for k in range(50)]))
    >>> len(found.groups), found.groups[0].compute.values.mean()
    (1, np.float64(1.5))
    """
    if by not in BYS:
        raise ValueError(f"by = {by!r}, but one of {', '.join(BYS)} is needed")
    data = trace if isinstance(trace, Trace) else known(trace)
    file = "the trace" if isinstance(trace, Trace) else str(trace)
    series, sent = data.all_series(), data.all_series("send_seconds")
    if not series:
        raise ValueError(f"{file} has no row that was computed to its end: there is nothing to fit")
    stopped, cut = data.all_stopped(), data.all_stopped("send_seconds")
    devices = _devices(data)
    seen = {name: Observed.of(times, stopped.get(name, ())) for name, times in series.items()}
    names = _groups_by(by, seen, devices)
    rounds = max(19, min(BOOTSTRAPS, BOOTSTRAPS_IN_ALL // len(names)))
    groups = []
    for members in names:
        device = devices[members[0]]
        computed = fitted_times([series[name] for name in members], rounds, seed, _joined(stopped, members))
        up = [sent[name] for name in members if name in sent]
        sends = any(times.any() for times in up)
        send = fitted_times(up, rounds, seed, _joined(cut, members)) if sends else None
        same = all(devices[name] == device for name in members)
        groups.append(FittedGroup(tuple(members), computed, send, device if same and device else None))
    return Fit(file, tuple(groups), tuple(_warnings(data, groups)))


def fitted_times(
    series: Sequence[Floats], rounds: int = BOOTSTRAPS, seed: int = 0, beyond: Floats | None = None
) -> FittedTimes:
    """The laws for the times of a group, given worker by worker in their order; others are longer than `beyond`."""
    values = np.concatenate(series)
    times = Observed.of(values, () if beyond is None else beyond)
    found = candidates(times)
    sensible = found and not isinstance(found[0].law, Constant)
    p = p_value(found[0], times, rounds, seed) if sensible else math.nan
    correlations = correlation(series)
    block = block_length(correlations, len(values)) if sensible else 0
    return FittedTimes(values, tuple(found), p, correlations, block, times.beyond)


def _joined(times: Mapping[str, Floats], members: Sequence[str]) -> Floats:
    return np.concatenate([times.get(name, np.empty(0)) for name in members])


def _groups_by(by: str, series: Mapping[str, Observed], devices: dict[str, str]) -> list[list[str]]:
    if by == "auto":
        return grouped(series, devices)
    if by == "device":
        together: dict[str, list[str]] = {}
        for name in series:
            together.setdefault(devices[name], []).append(name)
        return list(together.values())
    return [list(series)] if by == "all" else [[name] for name in series]


def _devices(trace: Trace) -> dict[str, str]:
    """worker → its device, the one it had first."""
    workers, first = np.unique(trace.worker, return_index=True)
    return {trace.workers[worker]: trace.devices[trace.device[row]] for worker, row in zip(workers, first, strict=True)}


def not_seen(trace: Trace, groups: Sequence[tuple[Sequence[str], Observed]]) -> list[str]:
    """What the times of groups of workers don't say, as the trace is not whole: sentences, without an end.

    >>> from asyncsim.measuring import Row
    >>> from asyncsim.times.traces import trace_of
    >>> trace = trace_of([Row("0", 0, 0.0, 1.0), Row("1", 0, 0.0, 9.0, outcome="stopped")])
    >>> not_seen(trace, [(["0"], Observed.of([1.0]))])[1]
    'no gradient of workers 1 was computed to its end: they are left out'
    """
    found = []
    if trace.incomplete > 0.01:
        found.append(
            f"{trace.incomplete:.0%} of the rows were not computed to their end (stopped, timed out, lost, in flight): "
            "it is counted that their times are longer"
        )
    unseen = [(workers, 1 - float(shares(times)[1][-1])) for workers, times in groups]
    if any(share > UNSEEN for _, share in unseen):
        who = "; ".join(
            f"the longest {share:.0%} of workers {short(workers)}" for workers, share in unseen if share > UNSEEN
        )
        found.append(f"some times are longer than all that were seen to their end ({who}): there the law is a guess")
    never = [name for name in trace.workers if not any(name in workers for workers, _ in groups)]
    if never:
        found.append(f"no gradient of workers {short(never)} was computed to its end: they are left out")
    if trace.torn:
        found.append("the last row is not whole, its writer was killed; it is left out")
    if (trace.gradients[trace.complete] > 1).any():
        found.append("some jobs had several gradients: their times count as means, which vary less than single ones")
    return found


def _warnings(trace: Trace, groups: Sequence[FittedGroup]) -> list[str]:
    found = not_seen(trace, [(group.workers, group.compute.observed) for group in groups])
    together = [(group, group.compute.block) for group in groups if group.compute.block]
    if together and trace.incomplete > 0.01:
        found.append("blocks of the trace have only times that were computed to their end, and are too fast")
    if together:
        who = "; ".join(f"{short(group.workers)} in blocks of {block}" for group, block in together)
        found.append(
            "successive times hang together, which independent draws miss; where that matters, play the trace by "
            f"block_bootstrap (workers {who})"
        )
    poor = "; ".join(short(group.workers) for group in groups if group.compute.poor and group.compute.best is not None)
    if poor:
        found.append(f"no law here fits well, so a scenario plays the trace itself (workers {poor})")
    return found
