"""Numbers that laws need and the standard library has not: the gamma law's CDF, quantiles and means from a CDF."""

import heapq
import math
import struct
import sys
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_NODES, _WEIGHTS = (values.tolist() for values in np.polynomial.legendre.leggauss(12))
_TERMS = 1_000_000  # of a series; as many are needed for a shape of about 10^10
_HALVINGS = 200  # of an integral; a jump takes 40
_NEVER = 0x7FF0000000000000  # the bits of +inf


def gamma_below(a: float, x: float) -> float:
    """P(a, x), the regularised lower incomplete gamma function: P(time <= x) of the gamma law with shape a, scale 1.

    By its power series below x = a + 1 and by its continued fraction above (modified Lentz), to 1e-12.

    >>> round(gamma_below(2.0, 2.0), 12), gamma_below(1.0, 0.0), gamma_below(1.0, math.inf)
    (0.59399415029, 0.0, 1.0)
    """
    if x <= 0:
        return 0.0
    if x == math.inf:
        return 1.0
    factor = _power_over_gamma(a, x)
    if x < a + 1:
        term = total = 1.0 / a
        for n in range(1, _TERMS):
            term *= x / (a + n)
            total += term
            if term < total * 1e-17:
                break
        return min(1.0, factor * total)
    return max(0.0, 1.0 - factor * _upper_fraction(a, x))


def _upper_fraction(a: float, x: float) -> float:
    """Γ(a, x)·e^x·x^−a as a continued fraction."""
    b = x + 1 - a
    c, d = math.inf, 1 / b
    value = d
    for n in range(1, _TERMS):
        numerator = n * (a - n)
        b += 2
        d = 1 / ((numerator * d + b) or 1e-300)
        c = (b + numerator / c) or 1e-300
        value *= c * d
        if abs(c * d - 1) < 1e-16:
            break
    return value


def _power_over_gamma(a: float, x: float) -> float:
    """x^a·e^−x / Γ(a)."""
    if a < 12:
        return _exp(a * math.log(x) - x - math.lgamma(a))
    # the three large terms cancel, so they are taken together: Stirling's series, and log1p where x is near a
    δ = (x - a) / a
    excess = δ - (math.log1p(δ) if abs(δ) < 0.5 else math.log(x) - math.log(a))
    rest = (1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - 1 / (1188 * a * a)) / (a * a)) / (a * a)) / (a * a)) / a
    return math.sqrt(a / (2 * math.pi)) * _exp(-a * excess - rest)


def _exp(exponent: float) -> float:
    try:
        return math.exp(exponent)
    except OverflowError:
        return math.inf


def smallest(cdf: Callable[[float], float], q: float) -> float:
    """The smallest t >= 0 with cdf(t) >= q, inf where no finite one has it.

    The bits of positive float64 numbers are ordered as the numbers are, so 63 halvings find the number itself, also
    where the CDF jumps and whatever the scale.

    >>> smallest(lambda t: t / 8, 0.25), smallest(lambda t: 0.9 * (t >= 3), 0.5), smallest(lambda t: 0.9, 0.95)
    (2.0, 3.0, inf)
    """
    low, high = 0, _NEVER
    while low < high:
        middle = (low + high) // 2
        if cdf(struct.unpack("<d", struct.pack("<q", middle))[0]) >= q:
            high = middle
        else:
            low = middle + 1
    found: float = struct.unpack("<d", struct.pack("<q", low))[0]
    return found


def mean_from(cdf: Callable[[float], float], quantile: Callable[[float], float]) -> tuple[float, bool]:
    """The mean of a law, the integral of P(time > t), and whether it is exact (to about 1e-9).

    Integrated between quantiles, one piece for each tenth of what is left of the tail. What lies beyond the last piece
    is not looked at; where the last piece is still felt, that may be much, so the mean is then not said to be exact.

    >>> mean, exact = mean_from(lambda t: -math.expm1(-t / 2), lambda q: -2 * math.log1p(-q) if q < 1 else math.inf)
    >>> round(mean, 9), exact
    (2.0, True)
    """

    def place(q: float) -> float:
        found = quantile(q)
        # a quantile that is inf through rounding alone is not what the CDF says
        return smallest(cdf, q) if found == math.inf and cdf(sys.float_info.max) >= q else found

    last = quantile(1.0)
    places = [place(q) for q in (0.0, 0.25, 0.5, 0.75, *(1 - 10.0**-d for d in range(1, 13)))]
    if last < math.inf:
        places.append(last)
    if places[-1] == math.inf:
        return math.inf, True
    pairs = list(pairwise(places))
    largest = places[0] + math.fsum((b - a) * (1.0 - cdf(a)) for a, b in pairs)  # what the mean can be at most, roughly
    pieces = [_integral(lambda t: 1.0 - cdf(t), a, b, 1e-12 * largest) for a, b in pairs]
    mean = places[0] + math.fsum(found for found, _ in pieces)
    sure = 1e-9 * mean
    return mean, math.fsum(error for _, error in pieces) <= sure and (last < math.inf or pieces[-1][0] <= sure)


def _integral(f: Callable[[float], float], a: float, b: float, enough: float) -> tuple[float, float]:
    """∫ f from a to b and about its error, halving where halving changes most, until `enough` is reached."""
    if b <= a:
        return 0.0, 0.0

    def halved(low: float, high: float) -> tuple[float, float, float, float]:
        middle = (low + high) / 2
        halves = _gauss(f, low, middle) + _gauss(f, middle, high)
        return -abs(halves - _gauss(f, low, high)), low, high, halves

    parts = [halved(a, b)]
    for _ in range(_HALVINGS):
        if -math.fsum(part[0] for part in parts) <= enough:
            break
        _, low, high, _ = heapq.heappop(parts)
        middle = (low + high) / 2
        heapq.heappush(parts, halved(low, middle))
        heapq.heappush(parts, halved(middle, high))
    return math.fsum(part[3] for part in parts), -math.fsum(part[0] for part in parts)


def _gauss(f: Callable[[float], float], a: float, b: float) -> float:
    half, middle = (b - a) / 2, (a + b) / 2
    return half * math.fsum(w * f(middle + half * node) for node, w in zip(_NODES, _WEIGHTS, strict=True))


def log_normal_above(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """log P(Z > z) of a standard normal Z, entry by entry, in the far tail too.

    >>> log_normal_above(np.array([0.0, 40.0])).round(6).tolist()
    [-0.693147, -804.608442]
    """
    found = np.log(np.array([math.erfc(value) for value in (np.minimum(z, 30.0) / math.sqrt(2)).tolist()]) / 2)
    far = z > 25
    y = z[far] ** 2
    series = np.log1p((-1 + (3 - (15 - 105 / y) / y) / y) / y)
    found[far] = -y / 2 - np.log(z[far]) - math.log(2 * math.pi) / 2 + series
    return found


def log_gamma_above(a: float, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """log P(time > x) of the gamma law with shape a, scale 1, for all x (m,) > 0 at once.

    For a above 1000 by Wilson and Hilferty's cube root, which is normal there to four digits: enough for a likelihood.

    >>> log_gamma_above(2.0, np.array([2.0, 1000.0])).round(6).tolist()
    [-0.901388, -993.091245]
    """
    if a > 1000:
        return log_normal_above((np.cbrt(x / a) - (1 - 1 / (9 * a))) * (3 * math.sqrt(a)))
    found = np.empty(len(x))
    near = x < a + 1
    power = a * np.log(x) - x - math.lgamma(a)
    found[near] = np.log1p(-np.minimum(np.exp(power[near]) * _lower_series(a, x[near]), 1 - 1e-16))
    found[~near] = power[~near] + np.log(_upper_fractions(a, x[~near]))
    return found


def _lower_series(a: float, x: NDArray[np.float64]) -> NDArray[np.float64]:
    term = total = np.full(len(x), 1 / a)
    for n in range(1, 10_000):
        term = term * x / (a + n)
        total = total + term
        if not (term > total * 1e-16).any():
            break
    return total


def _upper_fractions(a: float, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """`_upper_fraction`, entry by entry."""
    b = x + 1 - a
    c, d = np.full(len(x), np.inf), 1 / b
    value = d
    for n in range(1, 10_000):
        b = b + 2
        d = 1 / (n * (a - n) * d + b)
        c = b + n * (a - n) / c
        value = value * c * d
        if not (np.abs(c * d - 1) > 1e-15).any():
            break
    return value
