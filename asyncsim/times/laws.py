"""Laws of random times.

A law is stateless: `sample(rng, size)` is a pure function of the generator's state and of `size`, and returns `size`
float64 seconds >= 0. The engine asks in blocks, with a generator keyed by (seed, purpose, worker, block), so a law may
draw as many numbers as it likes but must remember nothing.

Tails are computed in log space. A time beyond the range of float64 is +inf, which means "never returns", and one below
it is 0; neither warns. The same holds for `mean`: inf stands for an infinite mean and for one beyond float64.

Every law has `mean`, `quantile(q)` and `cdf(t)`. Those of the laws here are exact; laws that are made of laws
(`asyncsim.times.composed`) name in `estimated` what they can only estimate. The repr of a law is the call that makes
it.

Laws compose by operators: `0.5 * Exponential(2) + 1` is a law, and so is the sum of two. There is no operator for
mixtures, as the weights would have no place in it: `mixture([(0.9, a), (0.1, b)])`.

`LAWS` names the laws for scenarios. A law of the user's own needs no registration: anything with `sample` will do.

Two parameters that must agree are compared in `consistent`, which takes numbers or arrays of one entry a worker, so
that a million workers are checked at once; `needs` says the same in words.

A parameter is called `mean` only where it is the mean of the law: the truncated normal law has mu and sigma, the
shifted laws have shift and scale.
"""

import math
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from asyncsim.parameters import NonNegative, Positive, parameters
from asyncsim.times.special import gamma_below, smallest

Seconds = NDArray[np.float64]

# seconds that may be +inf = never; Literal has no place for a float in the typing rules, but is just what is meant
Time = NonNegative | Literal[math.inf]  # type: ignore[valid-type]


@runtime_checkable
class Law(Protocol):
    """What the engine needs of a law; nothing has to inherit from it."""

    def sample(self, rng: np.random.Generator, size: int) -> Seconds:
        """`size` float64 seconds >= 0 (+inf = never), a pure function of the generator's state and `size`."""
        ...


class Composable:
    """What all laws here can do: `c * law`, `law / c`, `c + law`, `law + law`. Constants are computed at once.

    >>> 2 * Constant(3.0) + 1, Exponential(1.0) + 2 * Exponential(1.0)
    (Constant(value=7.0), Sum(laws=(Exponential(mean=1.0), Scaled(factor=2.0, law=Exponential(mean=1.0)))))
    """

    __array_ufunc__ = None  # numpy's numbers leave the operators to us

    @property
    def estimated(self) -> frozenset[str]:
        """The names among mean, cdf, quantile that are estimates."""
        return frozenset()

    def __mul__(self, factor: Any) -> Any:
        from asyncsim.times.composed import Scaled

        if not _is_number(factor):
            return NotImplemented
        scaled = Scaled(float(factor), self)
        return Constant(float(factor) * self.value) if isinstance(self, Constant) else scaled

    __rmul__ = __mul__

    def __truediv__(self, divisor: Any) -> Any:
        return self * (1 / divisor) if _is_number(divisor) and divisor else NotImplemented

    def __add__(self, other: Any) -> Any:
        return _added(self, other)

    def __radd__(self, other: Any) -> Any:
        return _added(other, self)


def _added(first: Any, second: Any) -> Any:
    from asyncsim.times.composed import Shifted, Sum
    from asyncsim.times.known import as_law, understood

    if not (understood(first) and understood(second)):
        return NotImplemented
    laws = as_law(first), as_law(second)
    if all(isinstance(law, Constant) for law in laws):
        return Constant(laws[0].value + laws[1].value)
    for fixed, law in (laws, laws[::-1]):
        if isinstance(fixed, Constant) and fixed.value < math.inf:
            return Shifted(float(fixed.value), law)
    return Sum(tuple(part for law in laws for part in (law.laws if isinstance(law, Sum) else (law,))))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


@parameters
class Constant(Composable):
    """Always the same time: the fixed computation model of the papers.

    Parameters:
        value: seconds; inf means that the worker never returns

    >>> Constant(2.0).sample(np.random.default_rng(0), 3)
    array([2., 2., 2.])
    """

    value: Time

    def sample(self, rng: np.random.Generator, size: int) -> Seconds:
        """`size` times (float64 seconds)."""
        return np.full(size, float(self.value))

    @property
    def mean(self) -> float:
        """Mean, in seconds."""
        return float(self.value)

    def cdf(self, t: float) -> float:
        """P(time <= t)."""
        return float(t >= self.value)

    def quantile(self, q: float) -> float:
        """The smallest t with P(time <= t) >= q; ValueError unless 0 <= q <= 1."""
        _probability(q)
        return float(self.value)


@parameters
class Uniform(Composable):
    """Uniform between two times.

    Parameters:
        low: shortest time, in seconds
        high: longest time, in seconds

    >>> Uniform(1.0, 3.0).mean, Uniform(1.0, 3.0).quantile(0.75)
    (2.0, 2.5)
    """

    low: NonNegative
    high: NonNegative

    needs: ClassVar[str] = "low <= high"

    @staticmethod
    def consistent(low: Any, high: Any) -> Any:
        """Whether the parameters agree, entry by entry."""
        return low <= high

    def __post_init__(self) -> None:
        _insist(self, self.consistent(self.low, self.high))

    def sample(self, rng: np.random.Generator, size: int) -> Seconds:
        """`size` times (float64 seconds)."""
        return self.low + (self.high - self.low) * rng.random(size)

    @property
    def mean(self) -> float:
        """Mean, in seconds."""
        return float(self.low / 2 + self.high / 2)

    def cdf(self, t: float) -> float:
        """P(time <= t)."""
        if t < self.low:
            return 0.0
        return 1.0 if t >= self.high else float((t - self.low) / (self.high - self.low))

    def quantile(self, q: float) -> float:
        """The t with P(time <= t) = q; ValueError unless 0 <= q <= 1."""
        return float(self.low + (self.high - self.low) * _probability(q))


@parameters
class Exponential(Composable):
    """Exponential times. They have no memory, so a stop costs nothing: methods that stop look better than elsewhere.

    Parameters:
        mean: mean, in seconds

    >>> round(Exponential(2.0).quantile(0.5), 6)
    1.386294
    """

    mean: Positive

    @np.errstate(over="ignore", under="ignore")
    def sample(self, rng: np.random.Generator, size: int) -> Seconds:
        """`size` times (float64 seconds)."""
        return self.mean * rng.standard_exponential(size)

    def cdf(self, t: float) -> float:
        """P(time <= t)."""
        return -math.expm1(-t / self.mean) if t > 0 else 0.0

    def quantile(self, q: float) -> float:
        """The t with P(time <= t) = q; ValueError unless 0 <= q <= 1."""
        return self.mean * _exponential_quantile(q)


@parameters
class ShiftedExponential(Composable):
    """A fixed time plus an exponential one.

    The ATA experiments' times 29√i + Exp(29√i) are `shift: 29*sqrt(i), scale: 29*sqrt(i)`.

    Parameters:
        shift: shortest time, in seconds
        scale: mean of the exponential part, in seconds; the mean of the whole is shift + scale

    >>> ShiftedExponential(shift=1.0, scale=2.0).mean
    3.0
    """

    shift: NonNegative
    scale: Positive

    @np.errstate(over="ignore", under="ignore")
    def sample(self, rng: np.random.Generator, size: int) -> Seconds:
        """`size` times (float64 seconds)."""
        return self.shift + self.scale * rng.standard_exponential(size)

    @property
    def mean(self) -> float:
        """Mean, in seconds."""
        return float(self.shift + self.scale)

    def cdf(self, t: float) -> float:
        """P(time <= t)."""
        return -math.expm1(-(t - self.shift) / self.scale) if t > self.shift else 0.0

    def quantile(self, q: float) -> float:
        """The t with P(time <= t) = q; ValueError unless 0 <= q <= 1."""
        return self.shift + self.scale * _exponential_quantile(q)


@parameters
class Normal(Composable):
    """Normal times, truncated at zero by rejection: a negative number is drawn again.

    Parameters:
        mu: mean before truncation, in seconds; the mean of the law itself is larger
        sigma: standard deviation before truncation, in seconds

    >>> Normal(10.0, 1.0).mean, round(Normal(0.0, 1.0).mean, 6)
    (10.0, 0.797885)
    """

    mu: float
    sigma: Positive

    needs: ClassVar[str] = "mu >= -3 sigma (below, fewer than 1 normal number in 740 is positive)"

    @staticmethod
    def consistent(mu: Any, sigma: Any) -> Any:
        """Whether rejection has a chance, entry by entry."""
        return mu >= -3 * sigma

    def __post_init__(self) -> None:
        _insist(self, self.consistent(self.mu, self.sigma))

    @np.errstate(over="ignore", under="ignore")
    def sample(self, rng: np.random.Generator, size: int) -> Seconds:
        """`size` times (float64 seconds)."""
        times = np.empty(size)
        found, asked = 0, 1
        while found < size:
            # asking for twice the part that is missing each time wastes little where few are refused and needs few
            # rounds where many are
            drawn = self.mu + self.sigma * rng.standard_normal(asked * (size - found))
            kept = drawn[drawn >= 0][: size - found]
            times[found : found + kept.size] = kept
            found += kept.size
            asked *= 2
        return times

    @property
    def mean(self) -> float:
        """Mean after truncation, in seconds: μ + σ φ(a) / P(Z > a) with a = -μ/σ."""
        a = -self.mu / self.sigma
        density = math.exp(-a * a / 2) / math.sqrt(2 * math.pi)
        return self.mu + self.sigma * density / _above(a)

    def cdf(self, t: float) -> float:
        """P(time <= t)."""
        a = -self.mu / self.sigma
        return 1.0 - _above((t - self.mu) / self.sigma) / _above(a) if t > 0 else 0.0

    def quantile(self, q: float) -> float:
        """The t with P(time <= t) = q; ValueError unless 0 <= q <= 1."""
        kept = _above(-self.mu / self.sigma)
        above = (1.0 - _probability(q)) * kept
        # from the nearer tail, where the digits are
        z = -_normal_quantile(above) if above < 0.5 else _normal_quantile((1.0 - kept) + q * kept)
        return max(0.0, self.mu + self.sigma * z)


@parameters
class HalfNormal(Composable):
    """|N(0, scale²)|: the size of a normal number.

    Parameters:
        scale: standard deviation of the normal number, in seconds; the mean is scale·√(2/π)

    >>> round(HalfNormal(1.0).mean, 6)
    0.797885
    """

    scale: Positive

    @np.errstate(over="ignore", under="ignore")
    def sample(self, rng: np.random.Generator, size: int) -> Seconds:
        """`size` times (float64 seconds)."""
        return self.scale * np.abs(rng.standard_normal(size))

    @property
    def mean(self) -> float:
        """Mean, in seconds."""
        return self.scale * math.sqrt(2 / math.pi)

    def cdf(self, t: float) -> float:
        """P(time <= t)."""
        return math.erf(t / self.scale / math.sqrt(2)) if t > 0 else 0.0

    def quantile(self, q: float) -> float:
        """The t with P(time <= t) = q; ValueError unless 0 <= q <= 1."""
        return self.scale * _half_normal_quantile(q)


@parameters
class ShiftedHalfNormal(Composable):
    """A fixed time plus the size of a normal number: the Ringmaster and Ringleader experiments' i + |N(0, i)|.

    There worker i = 1…n has `shift: i, scale: sqrt(i)`, as N(0, i) has variance i (posters of arXiv:2501.16168 and of
    arXiv:2509.22860).

    Parameters:
        shift: shortest time, in seconds
        scale: standard deviation of the normal number, in seconds; the mean is shift + scale·√(2/π)

    >>> round(ShiftedHalfNormal(shift=4.0, scale=2.0).mean, 6)
    5.595769
    """

    shift: NonNegative
    scale: Positive

    @np.errstate(over="ignore", under="ignore")
    def sample(self, rng: np.random.Generator, size: int) -> Seconds:
        """`size` times (float64 seconds)."""
        return self.shift + self.scale * np.abs(rng.standard_normal(size))

    @property
    def mean(self) -> float:
        """Mean, in seconds."""
        return self.shift + self.scale * math.sqrt(2 / math.pi)

    def cdf(self, t: float) -> float:
        """P(time <= t)."""
        return math.erf((t - self.shift) / self.scale / math.sqrt(2)) if t > self.shift else 0.0

    def quantile(self, q: float) -> float:
        """The t with P(time <= t) = q; ValueError unless 0 <= q <= 1."""
        return self.shift + self.scale * _half_normal_quantile(q)


@parameters
class Gamma(Composable):
    """Gamma times: a sum of `shape` exponential ones where shape is whole.

    Parameters:
        shape: k; below 1 most times are near zero and a few are long
        scale: θ, in seconds; the mean is shape·scale

    >>> Gamma(shape=2.0, scale=200.0).mean, round(Gamma(shape=2.0, scale=200.0).quantile(0.5), 6)
    (400.0, 335.669398)
    """

    shape: Positive
    scale: Positive

    @np.errstate(over="ignore", under="ignore")
    def sample(self, rng: np.random.Generator, size: int) -> Seconds:
        """`size` times (float64 seconds)."""
        return self.scale * rng.standard_gamma(self.shape, size)

    @property
    def mean(self) -> float:
        """Mean, in seconds."""
        return float(self.shape * self.scale)

    def cdf(self, t: float) -> float:
        """P(time <= t)."""
        return gamma_below(self.shape, t / self.scale)

    def quantile(self, q: float) -> float:
        """The t with P(time <= t) = q, by bisection; ValueError unless 0 <= q <= 1."""
        return math.inf if _probability(q) == 1 else self.scale * smallest(lambda t: gamma_below(self.shape, t), q)


@parameters
class LogNormal(Composable):
    """exp of a normal number: heavy-tailed times (sigma = 1, 10, 100 in the MindFlayer experiments).

    Parameters:
        mu: mean of the logarithm of the seconds; the median is exp(mu)
        sigma: standard deviation of the logarithm; the mean, exp(mu + sigma²/2), is reported as inf where it
            exceeds float64

    >>> LogNormal(0.0, 100.0).quantile(0.5), LogNormal(0.0, 100.0).mean
    (1.0, inf)
    """

    mu: float = 0.0
    sigma: Positive = 1.0

    @np.errstate(over="ignore", under="ignore")
    def sample(self, rng: np.random.Generator, size: int) -> Seconds:
        """`size` times (float64 seconds)."""
        return np.exp(self.mu + self.sigma * rng.standard_normal(size))

    @property
    def mean(self) -> float:
        """Mean, in seconds."""
        return _exp(self.mu + self.sigma * self.sigma / 2)

    def cdf(self, t: float) -> float:
        """P(time <= t)."""
        return 1.0 - _above((math.log(t) - self.mu) / self.sigma) if t > 0 else 0.0

    def quantile(self, q: float) -> float:
        """The t with P(time <= t) = q; ValueError unless 0 <= q <= 1."""
        return _exp(self.mu + self.sigma * _normal_quantile(_probability(q)))


@parameters
class Pareto(Composable):
    """Pareto times: P(time > t) = (minimum / t)^shape, the tail of stragglers.

    Parameters:
        minimum: shortest time, in seconds
        shape: exponent of the tail; the mean is infinite for shape <= 1, the variance for shape <= 2

    >>> Pareto(minimum=1.0, shape=2.0).mean, Pareto(minimum=1.0, shape=1.0).mean
    (2.0, inf)
    """

    minimum: Positive
    shape: Positive

    @np.errstate(over="ignore", under="ignore")
    def sample(self, rng: np.random.Generator, size: int) -> Seconds:
        """`size` times (float64 seconds)."""
        return self.minimum * np.exp(rng.standard_exponential(size) / self.shape)

    @property
    def mean(self) -> float:
        """Mean, in seconds."""
        return self.minimum * (self.shape / (self.shape - 1)) if self.shape > 1 else math.inf

    def cdf(self, t: float) -> float:
        """P(time <= t)."""
        if t <= self.minimum:
            return 0.0
        # a difference, as the quotient underflows in the far tail
        return max(0.0, -math.expm1(self.shape * (math.log(self.minimum) - math.log(t))))

    def quantile(self, q: float) -> float:
        """The t with P(time <= t) = q; ValueError unless 0 <= q <= 1."""
        return self.minimum * _exp(_exponential_quantile(q) / self.shape)


LAWS: dict[str, type] = {
    "constant": Constant,
    "uniform": Uniform,
    "exponential": Exponential,
    "shifted_exponential": ShiftedExponential,
    "normal": Normal,
    "half_normal": HalfNormal,
    "shifted_half_normal": ShiftedHalfNormal,
    "gamma": Gamma,
    "lognormal": LogNormal,
    "pareto": Pareto,
}


def _insist(law: Any, holds: bool) -> None:
    if not holds:
        raise ValueError(f"{law!r}: {law.needs} is needed")


def _probability(q: float) -> float:
    if not 0 <= q <= 1:
        raise ValueError(f"quantile({q!r}): a probability between 0 and 1 is needed")
    return q


def _exp(exponent: float) -> float:
    try:
        return math.exp(exponent)
    except OverflowError:
        return math.inf


def _exponential_quantile(q: float) -> float:
    return math.inf if _probability(q) == 1 else -math.log1p(-q)


def _above(z: float) -> float:
    """P(Z > z) of a standard normal Z, without the cancellation of 1 - cdf."""
    return math.erfc(z / math.sqrt(2)) / 2


def _normal_quantile(p: float) -> float:
    # a slow import for a function that most runs never call
    from statistics import NormalDist

    if p <= 0 or p >= 1:
        return math.inf if p >= 1 else -math.inf
    return NormalDist().inv_cdf(p)


def _half_normal_quantile(q: float) -> float:
    # by symmetry from the lower tail, which keeps its digits for q near 1
    return abs(_normal_quantile((1.0 - _probability(q)) / 2))
