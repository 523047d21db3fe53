"""Laws made of laws: mixed, scaled, shifted, truncated, added, the longest or the shortest of several, resampled.

In Python by operators, `0.5 * Exponential(2) + 1`, or by the classes; in a scenario by nesting. A part may be anything
that `asyncsim.times.known.as_law` takes: seconds, a law of the user's own, a frozen law of scipy.stats. A composed law
samples its parts one after the other from the one generator, so it is a function of the generator's state and `size`
as they are.

All tell mean, CDF and quantiles. Where these follow from the parts they are exact, quantiles by bisection of the CDF to
the last bit; where they don't, they are estimated, and `estimated` names them.

A trace that is played in its order keeps the order when it is scaled, shifted or chosen for a worker. In the other laws
here each block of draws begins at a random place of it.

A CDF is right to the last bit also where a law has an atom: P(time <= t) counts what, after rounding, is <= t.
"""

import math
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeAlias

import numpy as np

from asyncsim.parameters import Meant, NonNegative, Positive, Whole, parameters
from asyncsim.times.known import as_law, cdf_of, estimated_of, exact, mean_of, quantile_of, sampled, understood
from asyncsim.times.laws import LAWS, Composable, Constant, Law, Seconds, Time, _insist, _probability
from asyncsim.times.special import mean_from, smallest

if TYPE_CHECKING:  # what is given may be more than a law; what the field then holds is one
    ALaw = Any
else:
    ALaw = Annotated[Law, Meant("a law", understood)]

LEAST_LIKELY = 1e-12  # a truncated law keeps at least this share
NEARLY_CANCELLED = 1e-4  # of a share that is smaller, within what is below its end, the mean is an estimate
LAST_LEVEL = math.nextafter(1.0, 0.0)
_TRIES = 2**20  # draws of a block of times before rejection is given up
_ALL = frozenset(("mean", "cdf", "quantile"))


def _as_laws(law: Any, *names: str) -> None:
    """Make laws of what was given for these fields of a frozen dataclass."""
    for name in names:
        value = getattr(law, name)
        made = tuple(map(as_law, value)) if isinstance(value, list | tuple) else as_law(value)
        object.__setattr__(law, name, made)


def _inherited(*laws: Any) -> frozenset[str]:
    return frozenset().union(*map(estimated_of, laws))


@parameters
class Scaled(Composable):
    """A law times a number: `factor * law`.

    Parameters:
        factor: what each time is multiplied by
        law: the law

    >>> from asyncsim.times import Exponential, Uniform
    >>> 0.5 * Uniform(0.0, 2.0), (0.5 * Uniform(0.0, 2.0)).mean
    (Scaled(factor=0.5, law=Uniform(low=0.0, high=2.0)), 0.5)
    """

    factor: Positive
    law: ALaw

    def __post_init__(self) -> None:
        _as_laws(self, "law")

    @np.errstate(over="ignore", under="ignore")
    def sample(self, rng: np.random.Generator, size: int) -> Seconds:
        """`size` times (float64 seconds)."""
        return self.factor * np.asarray(self.law.sample(rng, size), dtype=np.float64)

    @property
    def sample_at(self) -> Any:
        """As the law's own, which only laws have whose times depend on the number of the draw."""
        inner, factor = self.law.sample_at, self.factor
        return lambda at, first, size: factor * inner(at, first, size)

    @property
    def mean(self) -> float:
        """Mean, in seconds."""
        return self.factor * mean_of(self.law)

    def cdf(self, t: float) -> float:
        """P(time <= t)."""
        if t < 0:
            return 0.0
        # the largest time that is <= t once it is multiplied: up to half a unit in t's last place is rounded away, which
        # for a small factor is many of the inner numbers; from here it is a step or two
        inner = t / self.factor + math.ulp(t) / self.factor / 2
        while self.factor * inner > t:
            inner = math.nextafter(inner, -math.inf)
        while inner < math.inf and self.factor * math.nextafter(inner, math.inf) <= t:
            inner = math.nextafter(inner, math.inf)
        return cdf_of(self.law, inner)

    def quantile(self, q: float) -> float:
        """The smallest t with P(time <= t) >= q; ValueError unless 0 <= q <= 1."""
        return self.factor * quantile_of(self.law, _probability(q))

    @property
    def estimated(self) -> frozenset[str]:
        """The names among mean, cdf, quantile that are estimates."""
        return _inherited(self.law)


@parameters
class Shifted(Composable):
    """A fixed time plus a law: `shift + law`.

    Parameters:
        shift: seconds that are added to each time
        law: the law

    >>> from asyncsim.times import Exponential, Uniform
    >>> 3 + Exponential(2.0), (3 + Exponential(2.0)).mean
    (Shifted(shift=3.0, law=Exponential(mean=2.0)), 5.0)
    """

    shift: NonNegative
    law: ALaw

    def __post_init__(self) -> None:
        _as_laws(self, "law")

    @np.errstate(over="ignore", under="ignore")
    def sample(self, rng: np.random.Generator, size: int) -> Seconds:
        """`size` times (float64 seconds)."""
        return self.shift + np.asarray(self.law.sample(rng, size), dtype=np.float64)

    @property
    def sample_at(self) -> Any:
        """As the law's own, which only laws have whose times depend on the number of the draw."""
        inner, shift = self.law.sample_at, self.shift
        return lambda at, first, size: shift + inner(at, first, size)

    @property
    def mean(self) -> float:
        """Mean, in seconds."""
        return self.shift + mean_of(self.law)

    def cdf(self, t: float) -> float:
        """P(time <= t)."""
        if t < self.shift:
            return 0.0
        # half a unit in the last place: what is added below that is rounded away
        inner = (t - self.shift) + math.ulp(t) / 2
        while self.shift + inner > t:
            inner = math.nextafter(inner, -math.inf)
        return cdf_of(self.law, inner)

    def quantile(self, q: float) -> float:
        """The smallest t with P(time <= t) >= q; ValueError unless 0 <= q <= 1."""
        return self.shift + quantile_of(self.law, _probability(q))

    @property
    def estimated(self) -> frozenset[str]:
        """The names among mean, cdf, quantile that are estimates."""
        return _inherited(self.law)


@parameters
class Part:
    """One law of a mixture.

    Parameters:
        weight: how often it is drawn, compared with the others' weights
        law: the law

    >>> Mixture((Part(9, Constant(1.0)), Part(1, Constant(11.0)))).mean
    2.0
    """

    weight: NonNegative
    law: ALaw

    def __post_init__(self) -> None:
        _as_laws(self, "law")


APart: TypeAlias = Annotated[Part, Meant("{weight: …, law: …}", lambda value: isinstance(value, Part))]


@parameters
class Mixture(Composable):
    """Each time is drawn from one of several laws, chosen at random: usually quick, now and then slow, sometimes never.

    Chance decides anew for each gradient. For workers of several kinds see per_worker. In a scenario, one time in ten
    never comes with `parts: [{weight: 9, law: {distribution: exponential, mean: 1}}, {weight: 1, law: inf}]`.

    Parameters:
        parts: the laws with their weights, which need not sum to 1

    >>> from asyncsim.times import Exponential, Uniform
    >>> law = mixture([(0.9, Exponential(1.0)), (0.1, Constant(math.inf))])
    >>> law.mean, round(law.quantile(0.45), 6), law.cdf(1e300)
    (inf, 0.693147, 0.9)
    >>> law
    Mixture(parts=(Part(weight=0.9, law=Exponential(mean=1.0)), Part(weight=0.1, law=Constant(value=inf))))
    """

    parts: tuple[APart, ...]

    needs: ClassVar[str] = "a part with a weight > 0"

    @staticmethod
    def consistent(parts: Any) -> Any:
        """Whether there is anything to draw, entry by entry."""
        return sum(part.weight for part in parts) > 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))
        _insist(self, self.consistent(self.parts))

    def sample(self, rng: np.random.Generator, size: int) -> Seconds:
        """`size` times (float64 seconds)."""
        ends = np.cumsum([part.weight for part in self.parts])
        chosen = np.searchsorted(ends, ends[-1] * rng.random(size), side="right")
        # every law draws every time, so that with another weight only those times change that change their law
        drawn = np.array([part.law.sample(rng, size) for part in self.parts], dtype=np.float64)
        found: Seconds = drawn[np.minimum(chosen, len(ends) - 1), np.arange(size)]
        return found

    @property
    def _drawn(self) -> list[Part]:
        return [part for part in self.parts if part.weight > 0]

    def _mean_over_parts(self, of: Callable[[Law], float]) -> float:
        total = math.fsum(part.weight for part in self._drawn)
        return math.fsum(part.weight * of(part.law) for part in self._drawn) / total

    @property
    def mean(self) -> float:
        """Mean, in seconds."""
        means = [mean_of(part.law) for part in self._drawn]
        return math.inf if math.inf in means else self._mean_over_parts(mean_of)

    def cdf(self, t: float) -> float:
        """P(time <= t)."""
        return min(1.0, self._mean_over_parts(lambda law: cdf_of(law, t)))

    def quantile(self, q: float) -> float:
        """The smallest t with P(time <= t) >= q; ValueError unless 0 <= q <= 1."""
        if _probability(q) in (0, 1):
            return (min, max)[int(q)](quantile_of(part.law, q) for part in self._drawn)
        return smallest(self.cdf, q)

    @property
    def estimated(self) -> frozenset[str]:
        """The names among mean, cdf, quantile that are estimates."""
        return _with_quantile(_inherited(*(part.law for part in self._drawn)))


def _with_quantile(estimated: frozenset[str]) -> frozenset[str]:
    """A quantile that is found from an estimated CDF is an estimate too."""
    return estimated | {"quantile"} if "cdf" in estimated else estimated


def mixture(parts: Iterable[tuple[float, Any]]) -> Mixture:
    """The mixture of laws, or seconds, with these weights.

    >>> mixture([(3, Constant(1.0)), (1, 5.0)]).mean
    2.0
    """
    return Mixture(tuple(Part(weight, law) for weight, law in parts))


@parameters
class Truncated(Composable):
    """A law between two times: what lies outside is drawn again.

    Parameters:
        law: the law
        low: shortest time, in seconds
        high: longest time, in seconds; inf lets all long times be, also those that are never

    >>> from asyncsim.times import Exponential, Uniform
    >>> law = Truncated(Exponential(1.0), low=1.0, high=2.0)
    >>> round(law.mean, 6), law.quantile(0.0), law.quantile(1.0)
    (1.418023, 1.0, 2.0)
    """

    law: ALaw
    low: NonNegative = 0.0
    high: Time = math.inf

    needs: ClassVar[str] = "low <= high"

    @staticmethod
    def consistent(law: Any, low: Any, high: Any) -> Any:
        """Whether the parameters agree, entry by entry."""
        return low <= high

    def __post_init__(self) -> None:
        _as_laws(self, "law")
        _insist(self, self.consistent(self.law, self.low, self.high))
        self._check()

    def _check(self) -> None:
        if exact("cdf", self.law) and self._kept < LEAST_LIKELY:
            raise ValueError(f"{self!r}: the law has no time, or nearly none, between {self.low} and {self.high}")

    @cached_property
    def _below(self) -> float:
        """P(law < low)."""
        return cdf_of(self.law, math.nextafter(self.low, -math.inf))

    @cached_property
    def _kept(self) -> float:
        """P(low <= law <= high)."""
        return cdf_of(self.law, self.high) - self._below

    def sample(self, rng: np.random.Generator, size: int) -> Seconds:
        """`size` times (float64 seconds); ValueError where the law has hardly a time between the two."""
        self._check()
        if self._kept < 0.01 and exact("quantile", self.law) and exact("cdf", self.law):
            return np.array([self.quantile(q) for q in rng.random(size).tolist()], dtype=np.float64)
        times = np.empty(size)
        found, asked = 0, 1
        while found < size:
            drawn = np.asarray(self.law.sample(rng, asked * (size - found)), dtype=np.float64)
            kept = drawn[(drawn >= self.low) & (drawn <= self.high)][: size - found]
            times[found : found + kept.size] = kept
            found += kept.size
            asked *= 2
            if asked * (size - found) > _TRIES + size:
                raise ValueError(f"{self!r}: hardly a draw lies between {self.low} and {self.high}")
        return times

    def cdf(self, t: float) -> float:
        """P(time <= t)."""
        if t < self.low:
            return 0.0
        return 1.0 if t >= self.high else min(1.0, max(0.0, cdf_of(self.law, t) - self._below) / self._kept)

    def quantile(self, q: float) -> float:
        """The smallest t with P(time <= t) >= q; ValueError unless 0 <= q <= 1."""
        # in the far tail q < 1 may be rounded to the level 1, which many laws reach at inf only
        most = 1.0 if _probability(q) == 1 else LAST_LEVEL
        end = min(most, self._below + q * self._kept)
        return min(max(quantile_of(self.law, end), self.low), self.high)

    @cached_property
    def _mean(self) -> tuple[float, bool]:
        if self.high == math.inf and exact("mean", self.law) and mean_of(self.law) == math.inf:
            return math.inf, True
        if _inherited(self.law) & {"cdf", "quantile"}:
            return sampled(self).mean, False
        mean, sure = mean_from(self.cdf, self.quantile)
        # what is kept is a difference of two levels: where they are close it has few digits left
        return mean, sure and self._kept >= NEARLY_CANCELLED * (self._below + self._kept)

    @property
    def mean(self) -> float:
        """Mean, in seconds: the integral of P(time > t), or that of a sample."""
        return self._mean[0]

    @property
    def estimated(self) -> frozenset[str]:
        """The names among mean, cdf, quantile that are estimates."""
        return _inherited(self.law) - {"mean"} | (frozenset() if self._mean[1] else {"mean"})


@parameters
class Sum(Composable):
    """The sum of independent times, one of each law: loading data, then computing. `law + law`.

    The mean is exact; CDF and quantiles are estimated, unless all laws but one are constant.

    Parameters:
        laws: the laws

    >>> from asyncsim.times import Exponential, Uniform
    >>> (Exponential(2.0) + Uniform(0.0, 2.0)).mean, sorted((Exponential(2.0) + Uniform(0.0, 2.0)).estimated)
    (3.0, ['cdf', 'quantile'])
    """

    laws: tuple[ALaw, ...]

    needs: ClassVar[str] = "at least one law"

    def __post_init__(self) -> None:
        _as_laws(self, "laws")
        _insist(self, len(self.laws) > 0)

    @np.errstate(over="ignore", under="ignore")
    def sample(self, rng: np.random.Generator, size: int) -> Seconds:
        """`size` times (float64 seconds)."""
        return np.asarray(np.sum([law.sample(rng, size) for law in self.laws], axis=0), dtype=np.float64)

    @property
    def mean(self) -> float:
        """Mean, in seconds."""
        return sum(mean_of(law) for law in self.laws)

    @cached_property
    def _simple(self) -> Any:
        """The same law in a form that is known, or a sample of it."""
        random = [law for law in self.laws if not isinstance(law, Constant)]
        fixed = math.fsum(law.value for law in self.laws if isinstance(law, Constant))
        if not random or fixed == math.inf:
            return Constant(fixed)
        return Shifted(fixed, random[0]) if len(random) == 1 else sampled(self)

    def cdf(self, t: float) -> float:
        """P(time <= t)."""
        return float(self._simple.cdf(t))

    def quantile(self, q: float) -> float:
        """The smallest t with P(time <= t) >= q; ValueError unless 0 <= q <= 1."""
        return float(self._simple.quantile(_probability(q)))

    @property
    def estimated(self) -> frozenset[str]:
        """The names among mean, cdf, quantile that are estimates."""
        mean = _inherited(*self.laws) & {"mean"}
        if not isinstance(self._simple, Constant | Shifted):
            return mean | {"cdf", "quantile"}
        return mean | (estimated_of(self._simple) - {"mean"})


class _Extreme(Composable):
    """What the longest and the shortest of several times have in common."""

    laws: tuple[ALaw, ...]
    needs: ClassVar[str] = "at least one law"
    _reduce: ClassVar[Any]
    _end: ClassVar[Callable[..., float]]

    def __post_init__(self) -> None:
        _as_laws(self, "laws")
        _insist(self, len(self.laws) > 0)

    def sample(self, rng: np.random.Generator, size: int) -> Seconds:
        """`size` times (float64 seconds)."""
        found: Seconds = type(self)._reduce([np.asarray(law.sample(rng, size), np.float64) for law in self.laws])
        return found

    def cdf(self, t: float) -> float:
        """P(time <= t)."""
        raise NotImplementedError

    def quantile(self, q: float) -> float:
        """The smallest t with P(time <= t) >= q; ValueError unless 0 <= q <= 1."""
        if _probability(q) in (0, 1):
            return float(type(self)._end(quantile_of(law, q) for law in self.laws))
        return smallest(self.cdf, q)

    def _infinite(self, means: list[float]) -> bool:
        """Whether the mean is surely infinite."""
        raise NotImplementedError

    @cached_property
    def _mean(self) -> tuple[float, bool]:
        if exact("mean", *self.laws) and self._infinite([mean_of(law) for law in self.laws]):
            return math.inf, True
        if not exact("cdf", *self.laws):
            return sampled(self).mean, False
        return mean_from(self.cdf, self.quantile)

    @property
    def mean(self) -> float:
        """Mean, in seconds: the integral of P(time > t), or that of a sample."""
        return self._mean[0]

    @property
    def estimated(self) -> frozenset[str]:
        """The names among mean, cdf, quantile that are estimates."""
        return _with_quantile(_inherited(*self.laws) - {"mean"} | (frozenset() if self._mean[1] else {"mean"}))


@parameters
class Maximum(_Extreme):
    """The longest of independent times, one of each law: a gradient computed by a team that waits for its last.

    Parameters:
        laws: the laws

    >>> from asyncsim.times import Exponential, Uniform
    >>> law = Maximum((Exponential(1.0), Exponential(1.0)))
    >>> round(law.mean, 9), round(law.cdf(math.log(2)), 9)
    (1.5, 0.25)
    """

    laws: tuple[ALaw, ...]

    def __post_init__(self) -> None:
        super().__post_init__()

    _reduce = staticmethod(np.maximum.reduce)
    _end = staticmethod(max)

    def cdf(self, t: float) -> float:
        """P(time <= t)."""
        return math.prod(cdf_of(law, t) for law in self.laws)

    def _infinite(self, means: list[float]) -> bool:
        return math.inf in means


@parameters
class Minimum(_Extreme):
    """The shortest of independent times, one of each law: the same gradient computed by several, the first one counts.

    Parameters:
        laws: the laws

    >>> from asyncsim.times import Exponential, Uniform
    >>> law = Minimum((Exponential(1.0), Exponential(1.0)))
    >>> round(law.mean, 9), round(law.quantile(0.5), 6)
    (0.5, 0.346574)
    """

    laws: tuple[ALaw, ...]

    def __post_init__(self) -> None:
        super().__post_init__()

    _reduce = staticmethod(np.minimum.reduce)
    _end = staticmethod(min)

    def cdf(self, t: float) -> float:
        """P(time <= t)."""
        # where only one may be that short its own digits are kept
        within = [p for law in self.laws if (p := cdf_of(law, t)) > 0]
        return within[0] if len(within) == 1 else 1.0 - math.prod(1.0 - p for p in within)

    def _infinite(self, means: list[float]) -> bool:
        return False  # the shortest of two times with infinite means may have a finite one


@parameters
class PerWorker(Composable):
    """One of several laws, chosen by the worker: `which: "i % 3"` gives every third worker the law 0.

    In Python a list of laws, or a function worker -> law, says the same.

    Parameters:
        which: the number of the worker's law in the list, from 0; an expression in i and n
        laws: the laws

    >>> from asyncsim.times import Exponential, Uniform
    >>> PerWorker(1, (Exponential(1.0), Constant(3.0))).mean
    3.0
    """

    which: Whole
    laws: tuple[ALaw, ...]

    needs: ClassVar[str] = "which < the number of laws"

    @staticmethod
    def consistent(which: Any, laws: Any) -> Any:
        """Whether there is such a law, entry by entry."""
        return which < len(laws)

    def __post_init__(self) -> None:
        _as_laws(self, "laws")
        _insist(self, self.consistent(self.which, self.laws))

    @property
    def law(self) -> Any:
        """The worker's law."""
        return self.laws[self.which]

    def sample(self, rng: np.random.Generator, size: int) -> Seconds:
        """`size` times (float64 seconds)."""
        return np.asarray(self.law.sample(rng, size), dtype=np.float64)

    @property
    def sample_at(self) -> Any:
        """As the law's own, which only laws have whose times depend on the number of the draw."""
        return self.law.sample_at

    @property
    def mean(self) -> float:
        """Mean, in seconds."""
        return mean_of(self.law)

    def cdf(self, t: float) -> float:
        """P(time <= t)."""
        return cdf_of(self.law, t)

    def quantile(self, q: float) -> float:
        """The smallest t with P(time <= t) >= q; ValueError unless 0 <= q <= 1."""
        return quantile_of(self.law, _probability(q))

    @property
    def estimated(self) -> frozenset[str]:
        """The names among mean, cdf, quantile that are estimates."""
        return estimated_of(self.law)


@parameters
class Empirical(Composable):
    """Measured times, drawn again at random, each as often as the others. A copy of their spread, not of their order.

    Parameters:
        values: the times in seconds; inf for one that never ended

    >>> from asyncsim.times import Exponential, Uniform
    >>> law = empirical([3.0, 1.0, 2.0, 2.0])
    >>> law.mean, law.quantile(0.5), law.cdf(1.5)
    (2.0, 2.0, 0.25)
    """

    values: tuple[Time, ...]

    needs: ClassVar[str] = "at least one time"

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(map(float, self.values)))
        _insist(self, len(self.values) > 0)

    @cached_property
    def _ordered(self) -> Seconds:
        return np.sort(np.array(self.values, dtype=np.float64))

    def sample(self, rng: np.random.Generator, size: int) -> Seconds:
        """`size` times (float64 seconds)."""
        return self._ordered[rng.integers(len(self.values), size=size)]

    @property
    def mean(self) -> float:
        """Mean, in seconds."""
        return math.inf if math.inf in self.values else math.fsum(v / len(self.values) for v in self.values)

    def cdf(self, t: float) -> float:
        """P(time <= t)."""
        return float(np.searchsorted(self._ordered, t, side="right")) / len(self.values)

    def quantile(self, q: float) -> float:
        """The smallest t with P(time <= t) >= q; ValueError unless 0 <= q <= 1."""
        at = max(0, math.ceil(_probability(q) * len(self.values)) - 1)
        # q·n is rounded: the share must be what was asked for
        if at > 0 and at / len(self.values) >= q:
            at -= 1
        return float(self._ordered[at])


def empirical(samples: Iterable[float]) -> Empirical:
    """The law that draws from these seconds (any sequence, also an array).

    >>> empirical(np.array([1.0, 2.0]))
    Empirical(values=(1.0, 2.0))
    """
    return Empirical(tuple(float(seconds) for seconds in samples))


LAWS |= {
    "scaled": Scaled,
    "shifted": Shifted,
    "mixture": Mixture,
    "truncated": Truncated,
    "sum": Sum,
    "maximum": Maximum,
    "minimum": Minimum,
    "per_worker": PerWorker,
    "empirical": Empirical,
}
