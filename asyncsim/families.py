"""The laws that `asyncsim fit` tries, each with its likelihood and how that is maximised. Numpy only.

A family is fitted to times x that are known and times c that are known to be longer (asyncsim/times/censored.py), by
the largest Σ log f(x) + Σ log P(time > c). Smallest times and shifts are the smallest x: the likelihood grows up to
there whatever the other parameter. Then

- exponential, with a shift, and Pareto: in closed form; uniform, half normal: one equation, by bisection;
- lognormal: Newton's method in 1/σ and μ/σ, in which the logarithm of the likelihood is concave (Olsen 1978);
- normal, gamma: in closed form or by one equation where all times are known, else by Nelder and Mead's method;
- the mixture of two lognormal laws: expectation-maximisation from four starts: a good local maximum, perhaps not the
  best.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from asyncsim.times.censored import Observed
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
from asyncsim.times.special import log_gamma_above, log_normal_above

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Family:
    """A law with how it is fitted.

    fit(x, c) gives a law or None; log_density(law, x) its log-densities; log_above(law, c) log P(time > c).
    """

    law: type
    parameters: int
    fit: Callable[[Floats, Floats], Any]
    log_density: Callable[[Any, Floats], Floats]
    log_above: Callable[[Any, Floats], Floats]


def fitted(name: str, times: Observed) -> Any:
    """The law of this family with the largest likelihood; None where the family has none for these times."""
    x, c = times.exact, times.beyond
    if name in _OF_LOGARITHMS and x[0] <= 0:
        return None
    try:
        with np.errstate(all="ignore"):
            return FAMILIES[name].fit(x, c)
    except (ValueError, OverflowError, ZeroDivisionError):
        return None  # times so large, small or alike that this law has no parameters for them


def log_likelihood(name: str, law: Any, times: Observed) -> float:
    """Σ log f(x) + Σ log P(time > c); nan where float64 can't hold it."""
    family = FAMILIES[name]
    try:
        with np.errstate(all="ignore"):
            found = float(family.log_density(law, times.exact).sum())
            return found + float(family.log_above(law, times.beyond).sum()) if len(times.beyond) else found
    except (ValueError, OverflowError, ZeroDivisionError):
        return math.nan


def name_of_family(law: Any) -> str:
    """Its name in `FAMILIES`."""
    return next((name for name, family in FAMILIES.items() if type(law) is family.law), "mixture")


def _fit_exponential(x: Floats, c: Floats) -> Any:
    """All seconds, of those too that were stopped, by the number of times that came to their end."""
    return Exponential(float(x.sum() + c.sum()) / len(x))


def _fit_shifted_exponential(x: Floats, c: Floats) -> Any:
    low = float(x[0])
    return ShiftedExponential(low, float((x - low).sum() + _over(c, low).sum()) / len(x)) if low > 0 else None


def _over(c: Floats, low: float) -> Floats:
    found: Floats = np.maximum(c - low, 0.0)
    return found


def _fit_uniform(x: Floats, c: Floats) -> Any:
    """From the smallest time to the largest, or to the h with Σ (h − low)/(h − c) = n + m, over the m times c > low."""
    low, high = float(x[0]), float(x[-1])
    c = c[c > low]
    if not len(c) or high == low:
        return Uniform(low, high)

    def missing(h: float) -> float:
        return float(((h - low) / (h - c)).sum()) - len(x) - len(c)

    last = float(c[-1])
    beyond = max(high - low, last - low)
    while missing(last + beyond) > 0:
        beyond *= 2
    return Uniform(low, max(high, last + _root(missing, 0.0, beyond, last)))


def _root(falling: Callable[[float], float], low: float, high: float, origin: float = 0.0) -> float:
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(origin + middle) > 0 else (low, middle)
    return high


def _fit_half_normal(x: Floats, c: Floats) -> Any:
    return HalfNormal(_half_normal_scale(x, c))


def _fit_shifted_half_normal(x: Floats, c: Floats) -> Any:
    low = float(x[0])
    return ShiftedHalfNormal(low, _half_normal_scale(x - low, _over(c, low))) if low > 0 else None


def _half_normal_scale(x: Floats, c: Floats) -> float:
    """The σ with Σ x²/σ² + Σ z h(z) = n, z = c/σ and h the hazard of a normal number."""
    squares, c = float((x * x).sum()), c[c > 0]
    scale = math.sqrt(squares / len(x))
    if not len(c):
        return scale

    def missing(logarithm: float) -> float:
        σ = math.exp(logarithm)
        return squares / σ**2 + float((c / σ * _hazards(c / σ)).sum()) - len(x)

    first = math.log(max(scale, float(c[-1])))
    low, high = math.log(scale), first
    while missing(high) > 0:
        high += 1
    return math.exp(_root(missing, low, high))


def _hazards(z: Floats) -> Floats:
    """φ(z) / P(Z > z)."""
    found: Floats = np.exp(-z * z / 2 - math.log(2 * math.pi) / 2 - log_normal_above(z))
    return found


def _fit_normal(x: Floats, c: Floats) -> Any:
    """The normal law truncated at 0: the α = −μ/σ at which var/mean² is that of the times, by bisection."""
    if len(c):
        return _fit_normal_beyond(x, c)
    mean, deviation = float(x.mean()), float(x.std())
    wanted = (deviation / mean) ** 2
    low, high = -40.0, _LARGEST_ALPHA
    if wanted <= _relative_variance(low):
        return Normal(mean, deviation)
    if wanted >= _relative_variance(high):
        return None
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _relative_variance(middle) < wanted else (low, middle)
    σ = mean / (_hazard(low) - low)
    return Normal(-low * σ, σ)


_LARGEST_ALPHA = 2.99  # beyond, the law of ours would reject nearly all it draws


def _fit_normal_beyond(x: Floats, c: Floats) -> Any:
    def law(at: Floats) -> Any:
        return Normal(float(at[0]) * math.exp(at[1]), math.exp(at[1])) if at[0] > -_LARGEST_ALPHA else None

    unstopped = _fit_lognormal(x, c) if x[0] > 0 else None  # for where to begin: its quartiles, roughly
    middle = unstopped.quantile(0.5) if unstopped else float(np.median(x))
    spread = max(float(np.concatenate([x, c]).std()), 1e-9 * middle)
    found = _maximised("normal", law, np.array([min(middle / spread, 40.0), math.log(spread)]), Observed(x, c))
    # at the edge the likelihood would grow on beyond it, towards an exponential law
    return found if found is not None and found.mu / found.sigma > -_LARGEST_ALPHA + 0.05 else None


def _hazard(α: float) -> float:
    """φ(α) / P(Z > α)."""
    return math.exp(-α * α / 2) / math.sqrt(2 * math.pi) / (math.erfc(α / math.sqrt(2)) / 2)


def _relative_variance(α: float) -> float:
    """var/mean² of Z − α given Z > α; it grows with α."""
    h = _hazard(α)
    return (1 + α * h - h * h) / (h - α) ** 2


def _fit_gamma(x: Floats, c: Floats) -> Any:
    """The shape k with log k − ψ(k) = log(mean) − mean(log), by Newton's method in 1/k."""
    if len(c):
        return _fit_gamma_beyond(x, c)
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


def _fit_gamma_beyond(x: Floats, c: Floats) -> Any:
    start = _fit_gamma(np.concatenate([x, c]), c[:0])
    if start is None:
        return None

    def law(at: Floats) -> Any:
        return Gamma(math.exp(at[0]), math.exp(at[1] - at[0])) if abs(at[0]) < 20 else None

    mean = float(x.sum() + c.sum()) / len(x)
    return _maximised("gamma", law, np.array([math.log(start.shape), math.log(mean)]), Observed(x, c))


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


def _maximised(name: str, law: Callable[[Floats], Any], start: Floats, times: Observed) -> Any:
    """The law(two numbers) of the largest likelihood, by Nelder and Mead's method; None where it finds none."""

    def lost(at: Floats) -> float:
        try:
            made = law(at)
            found = -math.inf if made is None else log_likelihood(name, made, times)
        except (ValueError, OverflowError):
            return math.inf
        return -found if math.isfinite(found) else math.inf

    corners = [start, start + np.array([0.2, 0.0]), start + np.array([0.0, 0.2])]
    tried = sorted(((lost(at), place, at) for place, at in enumerate(corners)), key=lambda each: each[:2])
    number = len(tried)
    for _ in range(400):
        (best, _, nearest), (second, _, next_), (worst, _, farthest) = tried
        if best < math.inf and worst - best < 1e-7 and float(np.abs(farthest - nearest).max()) < 1e-5:
            break
        middle = (nearest + next_) / 2
        at = 2 * middle - farthest
        found = lost(at)
        if found < best and (further := lost(3 * middle - 2 * farthest)) < found:
            at, found = 3 * middle - 2 * farthest, further
        elif found >= second:
            at = (middle + (at if found < worst else farthest)) / 2
            nearer = lost(at)
            if nearer >= min(found, worst):
                tried = [
                    tried[0],
                    *(
                        (lost(each), place, each)
                        for place, each in enumerate(((nearest + next_) / 2, (nearest + farthest) / 2), number)
                    ),
                ]
                number += 2
                tried.sort(key=lambda each: each[:2])
                continue
            found = nearer
        tried[2] = (found, number, at)
        number += 1
        tried.sort(key=lambda each: each[:2])
    return law(tried[0][2]) if tried[0][0] < math.inf else None


def _fit_lognormal(x: Floats, c: Floats) -> Any:
    logs = np.log(x)
    return LogNormal(*_normal_beyond(logs, np.log(c)))


def _normal_beyond(y: Floats, c: Floats) -> tuple[float, float]:
    """μ and σ of normal numbers y, and of others that are larger than c."""
    μ, σ = float(y.mean()), float(y.std())
    if not len(c):
        return μ, σ
    # in units of all numbers, so that any scale is the same problem
    both = np.concatenate([y, c])
    middle, unit = float(both.mean()), float(both.std()) or 1.0
    y, c = (y - middle) / unit, (c - middle) / unit
    at, n = np.array([0.0, 1.0]), len(y)  # μ/σ, 1/σ
    value = _concave(at, y, c)
    for _ in range(100):
        δ, γ = at
        residual, z = γ * y - δ, γ * c - δ
        h = _hazards(z)
        bend = h * (h - z)
        slope = np.array([residual.sum() + h.sum(), n / γ - residual @ y - h @ c])
        curve = np.array([[n + bend.sum(), -y.sum() - bend @ c], [0.0, n / γ**2 + y @ y + bend @ (c * c)]])
        curve[1, 0] = curve[0, 1]
        step = np.linalg.solve(curve, slope)
        size = 1.0
        while size > 1e-10 and not (γ + size * step[1] > 0 and _concave(at + size * step, y, c) >= value):
            size /= 2
        if size <= 1e-10:
            break
        at = at + size * step
        value = _concave(at, y, c)
        if float(np.abs(step).max()) < 1e-10:
            break
    return middle + unit * float(at[0] / at[1]), unit / float(at[1])


def _concave(at: Floats, y: Floats, c: Floats) -> float:
    δ, γ = float(at[0]), float(at[1])
    return len(y) * math.log(γ) - float(((γ * y - δ) ** 2).sum()) / 2 + float(log_normal_above(γ * c - δ).sum())


def _fit_pareto(x: Floats, c: Floats) -> Any:
    low = float(x[0])
    seconds = float(np.log(x / low).sum()) + float(np.log(np.maximum(c, low) / low).sum())
    return Pareto(low, len(x) / seconds)


def _fit_two_lognormals(x: Floats, c: Floats) -> Any:
    """Two lognormal laws by expectation-maximisation on the logarithms, the best of four starts."""
    if len(x) < 40:
        return None
    logs, longer = np.log(x), np.log(c)
    edge = len(logs) // 20
    gap = edge + int(np.argmax(np.diff(logs)[edge : len(logs) - edge])) + 1
    starts = {gap, *(int(share * len(logs)) for share in (0.5, 0.75, 0.9))}
    tried = [_two_normals(logs, longer, start) for start in sorted(starts)]
    _, weight, μ, σ, known = max(tried, key=lambda each: each[0])
    # a law of which hardly a time was seen to its end may be anywhere
    if min(known) < 5:
        return None
    from asyncsim.times.composed import mixture

    return mixture([(weight[j], LogNormal(μ[j], σ[j])) for j in (0, 1)])


def _two_normals(y: Floats, c: Floats, split: int) -> tuple[float, list[float], list[float], list[float], list[float]]:
    """Log-likelihood, weights, means, deviations of two normal laws, and how many of the y each has.

    It begins with those on both sides of a place.
    """
    least = max(0.02 * float(y.std()), 1e-6)  # a law of one point would have any likelihood
    share = (np.arange(len(y)) >= split).astype(np.float64)
    longer = (c >= y[split]).astype(np.float64)
    # until there is a law, what is longer counts as if it had ended then
    expected = [(c, c * c), (c, c * c)]
    before = -math.inf
    while True:
        weight, μ, σ, known = [], [], [], []
        for w, v, (first, second) in zip((1 - share, share), (1 - longer, longer), expected, strict=True):
            known.append(float(w.sum()))
            total = float(w.sum() + v.sum()) or 1e-300
            μ.append(float(w @ y + v @ first) / total)
            deviation = w @ (y - μ[-1]) ** 2 + v @ (second - 2 * μ[-1] * first + μ[-1] ** 2)
            σ.append(max(least, math.sqrt(max(0.0, float(deviation) / total))))
            weight.append(max(total / (len(y) + len(c)), 1e-300))
        parts = [math.log(weight[j] / σ[j]) - ((y - μ[j]) / σ[j]) ** 2 / 2 for j in (0, 1)]
        both = np.logaddexp(*parts)
        share = np.exp(parts[1] - both)
        now = float(both.sum())
        if len(c):
            above = [log_normal_above((c - μ[j]) / σ[j]) for j in (0, 1)]
            beyond = np.logaddexp(*(math.log(weight[j]) + above[j] for j in (0, 1)))
            longer = np.exp(math.log(weight[1]) + above[1] - beyond)
            now += float(beyond.sum())
            expected = [_moments_beyond(c, μ[j], σ[j]) for j in (0, 1)]
        if now - before < 1e-5 * len(y):
            return now, weight, μ, σ, known
        before = now


def _moments_beyond(c: Floats, μ: float, σ: float) -> tuple[Floats, Floats]:
    """E[Y | Y > c] and E[Y² | Y > c] of a normal number."""
    z = (c - μ) / σ
    h = _hazards(z)
    return μ + σ * h, μ * μ + 2 * μ * σ * h + σ * σ * (1 + z * h)


def _log_density_of_mixture(law: Any, x: Floats) -> Floats:
    parts = [math.log(part.weight) + _log_density_of_lognormal(part.law, x) for part in law.parts]
    total: Floats = np.logaddexp(parts[0], parts[1])
    return total


def _log_above_of_mixture(law: Any, c: Floats) -> Floats:
    parts = [math.log(part.weight) + _log_above_of_lognormal(part.law, c) for part in law.parts]
    total: Floats = np.logaddexp(parts[0], parts[1])
    return total


def _log_density_of_lognormal(law: Any, x: Floats) -> Floats:
    logs = np.log(x)
    z: Floats = (logs - law.mu) / law.sigma
    return -z * z / 2 - logs - math.log(law.sigma * math.sqrt(2 * math.pi))


def _log_above_of_lognormal(law: Any, c: Floats) -> Floats:
    return log_normal_above((np.log(c) - law.mu) / law.sigma)


def _log_density_of_normal(law: Any, x: Floats) -> Floats:
    z = (x - law.mu) / law.sigma
    kept = math.erfc(-law.mu / law.sigma / math.sqrt(2)) / 2
    density: Floats = -z * z / 2 - math.log(law.sigma * math.sqrt(2 * math.pi) * kept)
    return density


def _log_above_of_normal(law: Any, c: Floats) -> Floats:
    kept = math.erfc(-law.mu / law.sigma / math.sqrt(2)) / 2
    return log_normal_above((c - law.mu) / law.sigma) - math.log(kept)


def _log_density_of_gamma(law: Any, x: Floats) -> Floats:
    k, θ = law.shape, law.scale
    density: Floats = (k - 1) * np.log(x) - x / θ - math.lgamma(k) - k * math.log(θ)
    return density


def _log_density_of_half_normal(scale: float, x: Floats) -> Floats:
    return -((x / scale) ** 2) / 2 + math.log(math.sqrt(2 / math.pi) / scale)


def _log_above_of_half_normal(scale: float, c: Floats) -> Floats:
    return math.log(2) + log_normal_above(c / scale)


FAMILIES: dict[str, Family] = {
    "exponential": Family(
        Exponential,
        1,
        _fit_exponential,
        lambda law, x: -x / law.mean - math.log(law.mean),
        lambda law, c: -c / law.mean,
    ),
    "shifted_exponential": Family(
        ShiftedExponential,
        2,
        _fit_shifted_exponential,
        lambda law, x: -(x - law.shift) / law.scale - math.log(law.scale),
        lambda law, c: -_over(c, law.shift) / law.scale,
    ),
    "uniform": Family(
        Uniform,
        2,
        _fit_uniform,
        lambda law, x: np.full(len(x), -math.log(law.high - law.low)),
        lambda law, c: np.log1p(-_over(c, law.low) / (law.high - law.low)),
    ),
    "normal": Family(Normal, 2, _fit_normal, _log_density_of_normal, _log_above_of_normal),
    "half_normal": Family(
        HalfNormal,
        1,
        _fit_half_normal,
        lambda law, x: _log_density_of_half_normal(law.scale, x),
        lambda law, c: _log_above_of_half_normal(law.scale, c),
    ),
    "shifted_half_normal": Family(
        ShiftedHalfNormal,
        2,
        _fit_shifted_half_normal,
        lambda law, x: _log_density_of_half_normal(law.scale, x - law.shift),
        lambda law, c: _log_above_of_half_normal(law.scale, _over(c, law.shift)),
    ),
    "gamma": Family(
        Gamma, 2, _fit_gamma, _log_density_of_gamma, lambda law, c: log_gamma_above(law.shape, c / law.scale)
    ),
    "lognormal": Family(LogNormal, 2, _fit_lognormal, _log_density_of_lognormal, _log_above_of_lognormal),
    "pareto": Family(
        Pareto,
        2,
        _fit_pareto,
        lambda law, x: math.log(law.shape) + law.shape * math.log(law.minimum) - (law.shape + 1) * np.log(x),
        lambda law, c: -law.shape * np.log(np.maximum(c, law.minimum) / law.minimum),
    ),
    "constant": Family(
        Constant, 1, lambda x, c: None, lambda law, x: np.zeros(len(x)), lambda law, c: np.zeros(len(c))
    ),
    "mixture": Family(object, 5, _fit_two_lognormals, _log_density_of_mixture, _log_above_of_mixture),
}
_OF_LOGARITHMS = ("gamma", "lognormal", "pareto", "mixture")
