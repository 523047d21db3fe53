"""Laws fitted to measured times: which of ours fits best, how well, and what independent draws would miss.

How it is done, and what that is worth:

1. Workers whose times look alike are fitted together (`grouped`): those whose empirical CDFs are no farther apart
   than chance explains (two-sample Kolmogorov-Smirnov test at 0.1 %), or by less than 5 %, and who have the same
   device.
2. Each law is fitted by maximum likelihood, in closed form or by finding one root. Smallest time and shift coincide
   where a law has a shift. The mixture of two lognormal laws is fitted by expectation-maximisation from four
   starts: a good local maximum, perhaps not the best.
3. Laws are ranked by BIC = q·log N − 2·log-likelihood, q the number of parameters, N of times; AIC = 2q −
   2·log-likelihood is shown beside it. BIC needs a better reason for a parameter, which matters for shifts, as
   these always fit a little better.
4. How well the best one fits tells D, the largest distance of the CDFs (Kolmogorov-Smirnov), and p, by parametric
   bootstrap: the share of samples *of the fitted law*, of the same size and fitted again, that lie farther from
   their fit. The bootstrap looks at up to 500 of the times, chosen at random. With many times a small p is usual,
   as no law is true: then D counts.
5. p and likelihoods take the times for independent. Whether they are tells the rank autocorrelation; where they are
   not, the scenario that is written says how to play the trace itself, in blocks.
6. Rows that were not computed to their end are left out, and times are then too short: this is said, not repaired.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from asyncsim.times.laws import (
    Constant,
    Exponential,
    Gamma,
    HalfNormal,
    LogNormal,
    Normal,
    Pareto,
    ShiftedExponential,
    ShiftedHalfNormal,
    Uniform,
)
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
    bootstrap where it matters, else 0; p is that of the best law, nan where there was no sense in one.
    """

    values: Floats
    candidates: tuple[Candidate, ...]
    p: float
    correlation: Floats
    block: int

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
        text = f"{len(self.values)} times; D = {self.best.distance:.3f}{p}: {verdict}"
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
    best, shown = times.best, [str(len(times.values)), f"{times.values.mean():.4g}"]
    if best is None:
        return [*shown, "played back", "", "", "", ""]
    further = f"{times.candidates[1].bic - best.bic:.1f}" if len(times.candidates) > 1 else ""
    p = "" if math.isnan(times.p) else f"{times.p:.2f}"
    return [*shown, in_words(best.law), f"{best.distance:.3f}", p, f"{times.correlation[0]:+.2f}", further]


def in_words(law: Any) -> str:
    """A law with four digits.

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


# ---- the laws and their likelihoods


@dataclass(frozen=True)
class Family:
    """A law with how it is fitted: `fit(values)` gives a law or None, `log_density(law, values)` its log-densities."""

    law: type
    parameters: int
    fit: Callable[[Floats], Any]
    log_density: Callable[[Any, Floats], Floats]


def _fit_shifted_exponential(x: Floats) -> Any:
    low = float(x.min())
    return ShiftedExponential(low, float(x.mean()) - low) if low > 0 else None


def _fit_shifted_half_normal(x: Floats) -> Any:
    low = float(x.min())
    return ShiftedHalfNormal(low, math.sqrt(float(((x - low) ** 2).mean()))) if low > 0 else None


def _fit_normal(x: Floats) -> Any:
    """The normal law truncated at 0: the α = −μ/σ at which var/mean² is that of the times, by bisection."""
    mean, deviation = float(x.mean()), float(x.std())
    wanted = (deviation / mean) ** 2
    low, high = -40.0, 2.99  # beyond, the law of ours would reject nearly all it draws
    if wanted <= _relative_variance(low):
        return Normal(mean, deviation)
    if wanted >= _relative_variance(high):
        return None
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _relative_variance(middle) < wanted else (low, middle)
    σ = mean / (_hazard(low) - low)
    return Normal(-low * σ, σ)


def _hazard(α: float) -> float:
    """φ(α) / P(Z > α)."""
    return math.exp(-α * α / 2) / math.sqrt(2 * math.pi) / (math.erfc(α / math.sqrt(2)) / 2)


def _relative_variance(α: float) -> float:
    """var/mean² of Z − α given Z > α; it grows with α."""
    h = _hazard(α)
    return (1 + α * h - h * h) / (h - α) ** 2


def _fit_gamma(x: Floats) -> Any:
    """The shape k with log k − ψ(k) = log(mean) − mean(log), by Newton's method in 1/k."""
    mean, s = float(x.mean()), math.log(float(x.mean())) - float(np.log(x).mean())
    if not s > 1e-10:
        return None
    k = (3 - s + math.sqrt((s - 3) ** 2 + 24 * s)) / (12 * s)
    for _ in range(20):
        off = math.log(k) - _digamma(k) - s
        inverse = 1 / k + off / (k * k * (1 / k - _digamma(k, 1)))
        k = 1 / inverse if inverse > 0 else k / 2
        if abs(off) < 1e-13 * s:
            break
    return Gamma(k, mean / k)


def _digamma(k: float, derivative: int = 0) -> float:
    """ψ(k), or its derivative ψ'(k), from their asymptotic series beyond k = 8."""
    total = 0.0
    while k < 8:
        total += 1 / (k * k) if derivative else -1 / k
        k += 1
    y = 1 / (k * k)
    if derivative:
        return total + 1 / k + y / 2 + y / k * (1 / 6 - y * (1 / 30 - y * (1 / 42 - y / 30)))
    return total + math.log(k) - 1 / (2 * k) - y * (1 / 12 - y * (1 / 120 - y * (1 / 252 - y * (1 / 240 - y / 132))))


def _fit_lognormal(x: Floats) -> Any:
    logs = np.log(x)
    return LogNormal(float(logs.mean()), float(logs.std()))


def _fit_pareto(x: Floats) -> Any:
    low = float(x.min())
    return Pareto(low, len(x) / float(np.log(x / low).sum()))


def _fit_two_lognormals(x: Floats) -> Any:
    """Two lognormal laws by expectation-maximisation on the logarithms, the best of four starts."""
    if len(x) < 40:
        return None
    logs = np.sort(np.log(x))
    edge = len(logs) // 20
    gap = edge + int(np.argmax(np.diff(logs)[edge : len(logs) - edge])) + 1
    starts = {gap, *(int(share * len(logs)) for share in (0.5, 0.75, 0.9))}
    found = max((_maximised(logs, start) for start in sorted(starts)), key=lambda tried: tried[0])
    _, weight, μ, σ = found
    if min(weight) * len(logs) < 5:
        return None
    from asyncsim.times.composed import mixture

    return mixture([(weight[j], LogNormal(μ[j], σ[j])) for j in (0, 1)])


def _maximised(logs: Floats, split: int) -> tuple[float, list[float], list[float], list[float]]:
    """Log-likelihood, weights, means and deviations of two normal laws, from those on both sides of a place."""
    least = max(0.02 * float(logs.std()), 1e-6)  # a law of one point would have any likelihood
    share = (np.arange(len(logs)) >= split).astype(np.float64)
    before = -math.inf
    while True:
        weight, μ, σ = [], [], []
        for w in (1 - share, share):
            total = float(w.sum()) or 1e-300
            μ.append(float(w @ logs) / total)
            σ.append(max(least, math.sqrt(float(w @ (logs - μ[-1]) ** 2) / total)))
            weight.append(total / len(logs))
        parts = np.array([math.log(weight[j] / σ[j]) - ((logs - μ[j]) / σ[j]) ** 2 / 2 for j in (0, 1)])
        both = np.logaddexp(parts[0], parts[1])
        share = np.exp(parts[1] - both)
        now = float(both.sum())
        if now - before < 1e-5 * len(logs):
            return now, weight, μ, σ
        before = now


def _log_density_of_mixture(law: Any, x: Floats) -> Floats:
    parts = [math.log(part.weight) + _log_density_of_lognormal(part.law, x) for part in law.parts]
    total: Floats = np.logaddexp(parts[0], parts[1])
    return total


def _log_density_of_lognormal(law: Any, x: Floats) -> Floats:
    logs = np.log(x)
    z: Floats = (logs - law.mu) / law.sigma
    return -z * z / 2 - logs - math.log(law.sigma * math.sqrt(2 * math.pi))


def _log_density_of_normal(law: Any, x: Floats) -> Floats:
    z = (x - law.mu) / law.sigma
    kept = math.erfc(-law.mu / law.sigma / math.sqrt(2)) / 2
    density: Floats = -z * z / 2 - math.log(law.sigma * math.sqrt(2 * math.pi) * kept)
    return density


def _log_density_of_gamma(law: Any, x: Floats) -> Floats:
    k, θ = law.shape, law.scale
    density: Floats = (k - 1) * np.log(x) - x / θ - math.lgamma(k) - k * math.log(θ)
    return density


def _log_density_of_half_normal(scale: float, x: Floats) -> Floats:
    return -((x / scale) ** 2) / 2 + math.log(math.sqrt(2 / math.pi) / scale)


FAMILIES: dict[str, Family] = {
    "exponential": Family(
        Exponential, 1, lambda x: Exponential(float(x.mean())), lambda law, x: -x / law.mean - math.log(law.mean)
    ),
    "shifted_exponential": Family(
        ShiftedExponential,
        2,
        _fit_shifted_exponential,
        lambda law, x: -(x - law.shift) / law.scale - math.log(law.scale),
    ),
    "uniform": Family(
        Uniform,
        2,
        lambda x: Uniform(float(x.min()), float(x.max())),
        lambda law, x: np.full(len(x), -math.log(law.high - law.low)),
    ),
    "normal": Family(Normal, 2, _fit_normal, _log_density_of_normal),
    "half_normal": Family(
        HalfNormal,
        1,
        lambda x: HalfNormal(math.sqrt(float((x * x).mean()))),
        lambda law, x: _log_density_of_half_normal(law.scale, x),
    ),
    "shifted_half_normal": Family(
        ShiftedHalfNormal,
        2,
        _fit_shifted_half_normal,
        lambda law, x: _log_density_of_half_normal(law.scale, x - law.shift),
    ),
    "gamma": Family(Gamma, 2, _fit_gamma, _log_density_of_gamma),
    "lognormal": Family(LogNormal, 2, _fit_lognormal, _log_density_of_lognormal),
    "pareto": Family(
        Pareto,
        2,
        _fit_pareto,
        lambda law, x: math.log(law.shape) + law.shape * math.log(law.minimum) - (law.shape + 1) * np.log(x),
    ),
    "constant": Family(Constant, 1, lambda x: None, lambda law, x: np.zeros(len(x))),
    "mixture": Family(object, 5, _fit_two_lognormals, _log_density_of_mixture),
}
OF_LOGARITHMS = ("gamma", "lognormal", "pareto", "mixture")


def candidates(values: Floats) -> list[Candidate]:
    """All laws that can be fitted to `values` (seconds >= 0), the best by BIC first; none for fewer than 8 times.

    >>> [in_words(found.law) for found in candidates(np.full(10, 2.0))]
    ['constant(value=2)']
    """
    if len(values) < FEWEST:
        return []
    if values.max() - values.min() <= 1e-9 * values.max():
        return [Candidate(Constant(float(np.median(values))), math.inf, 1, -math.inf, -math.inf, 0.0)]
    ordered = np.sort(values)
    found = [candidate for name in FAMILIES if (candidate := _candidate(name, ordered)) is not None]
    return sorted(found, key=lambda candidate: candidate.bic)


def _candidate(name: str, ordered: Floats) -> Candidate | None:
    law = _fitted(name, ordered)
    if law is None:
        return None
    family, n = FAMILIES[name], len(ordered)
    with np.errstate(all="ignore"):
        log_likelihood = float(family.log_density(law, ordered).sum())
    if not math.isfinite(log_likelihood):
        return None
    q = family.parameters
    return Candidate(
        law, log_likelihood, q, 2 * q - 2 * log_likelihood, q * math.log(n) - 2 * log_likelihood, distance(law, ordered)
    )


def _fitted(name: str, x: Floats) -> Any:
    if name in OF_LOGARITHMS and x.min() <= 0:
        return None
    try:
        with np.errstate(all="ignore"):
            return FAMILIES[name].fit(x)
    except (ValueError, OverflowError, ZeroDivisionError):
        return None  # times so large, small or alike that this law has no parameters for them


def distance(law: Any, ordered: Floats) -> float:
    """D: the largest distance between the law's CDF and that of the times, which are in order (Kolmogorov-Smirnov).

    >>> distance(Uniform(0.0, 1.0), np.array([0.25, 0.75]))
    0.25
    """
    ordered = spread(ordered, COMPARED)
    n = len(ordered)
    expected = _cdf(law, ordered)
    # at a time that stands several times the CDF of the times makes one jump
    last = np.searchsorted(ordered, ordered, side="right") / n
    first = np.searchsorted(ordered, ordered, side="left") / n
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


def p_value(best: Candidate, values: Floats, rounds: int = BOOTSTRAPS, seed: int = 0) -> float:
    """The share of samples of the law, fitted again, that lie farther from their fit; see the head of this file.

    With `rounds` samples it is at least 1/(rounds + 1). seed: the same times give the same answer.
    """
    name = next((name for name, family in FAMILIES.items() if type(best.law) is family.law), "mixture")
    rng = np.random.default_rng(seed)
    # a random part: one spread evenly over the quantiles would lie nearer to its fit than any sample does
    part = values if len(values) <= BOOTSTRAPPED else rng.choice(values, BOOTSTRAPPED, replace=False)
    ordered = np.sort(part)
    law = _fitted(name, ordered)
    if law is None:
        return math.nan
    own, farther = distance(law, ordered), 0
    for _ in range(rounds):
        again = np.sort(law.sample(rng, len(ordered)))
        refitted = _fitted(name, again)
        farther += refitted is None or distance(refitted, again) >= own
    return (1 + farther) / (1 + rounds)


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


def grouped(series: dict[str, Floats], devices: dict[str, str]) -> list[list[str]]:
    """Workers whose times look alike, the fastest group first: a worker joins the group before it or begins one.

    >>> rng = np.random.default_rng(0)
    >>> times = {str(k): rng.exponential([1.0, 1.0, 5.0, 5.0][k], 200) for k in range(4)}
    >>> grouped(times, {})
    [['0', '1'], ['2', '3']]
    """
    groups: list[list[str]] = []
    pooled: list[Floats] = []
    for worker in sorted(series, key=lambda worker: float(np.median(series[worker]))):
        times = spread(np.sort(series[worker]), COMPARED)
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
            pooled[joined] = spread(np.sort(np.concatenate([pooled[joined], times])), COMPARED)
    return [[worker for worker in series if worker in group] for group in groups]


def _alike(first: Floats, second: Floats) -> bool:
    places = np.concatenate([first, second])
    shares = [np.searchsorted(times, places, side="right") / len(times) for times in (first, second)]
    # the limit of the two-sample test at 0.1 %
    chance = math.sqrt(-math.log(0.001 / 2) / 2 * (1 / len(first) + 1 / len(second)))
    return float(np.abs(shares[0] - shares[1]).max()) <= max(min(chance, FURTHEST), SAME)


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
    devices = _devices(data)
    names = _groups_by(by, series, devices)
    rounds = max(19, min(BOOTSTRAPS, BOOTSTRAPS_IN_ALL // len(names)))
    groups = []
    for members in names:
        device = devices[members[0]]
        computed = fitted_times([series[name] for name in members], rounds, seed)
        up = [sent[name] for name in members]
        send = fitted_times(up, rounds, seed) if any(times.any() for times in up) else None
        same = all(devices[name] == device for name in members)
        groups.append(FittedGroup(tuple(members), computed, send, device if same and device else None))
    return Fit(file, tuple(groups), tuple(_warnings(data, groups)))


def fitted_times(series: Sequence[Floats], rounds: int = BOOTSTRAPS, seed: int = 0) -> FittedTimes:
    """The laws for the times of a group, given worker by worker in their order."""
    values = np.concatenate(series)
    found = candidates(values)
    sensible = found and not isinstance(found[0].law, Constant)
    p = p_value(found[0], values, rounds, seed) if sensible else math.nan
    correlations = correlation(series)
    block = block_length(correlations, len(values)) if sensible else 0
    return FittedTimes(values, tuple(found), p, correlations, block)


def _groups_by(by: str, series: dict[str, Floats], devices: dict[str, str]) -> list[list[str]]:
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


def _warnings(trace: Trace, groups: Sequence[FittedGroup]) -> list[str]:
    found = []
    if trace.incomplete > 0.01:
        found.append(
            f"{trace.incomplete:.0%} of the rows were not computed to their end (stopped, timed out, lost, cut): they "
            "are left out, and as long times are stopped more often, the laws are too fast"
        )
    if trace.torn:
        found.append("the last row is not whole, its writer was killed; it is left out")
    if (trace.gradients[trace.complete] > 1).any():
        found.append("some jobs had several gradients: their times count as means, which vary less than single ones")
    together = [(group, group.compute.block) for group in groups if group.compute.block]
    if together:
        who = "; ".join(f"{short(group.workers)} in blocks of {block}" for group, block in together)
        found.append(
            "successive times hang together, which independent draws miss; where that matters, play the trace by "
            f"block_bootstrap (workers {who})"
        )
    poor = "; ".join(short(group.workers) for group in groups if group.compute.poor and group.compute.best is not None)
    if poor:
        found.append(f"no law here fits well, so a scenario resamples the trace (workers {poor})")
    return found
