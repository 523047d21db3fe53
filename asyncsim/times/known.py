"""What is known of a law, whatever kind it is: told by the law, else estimated from a sample and said to be.

A law may tell `mean`, `cdf(t)` and `quantile(q)`. What it doesn't tell is estimated from the same 16,384 draws each
time, so answers agree with each other and don't change from call to call. A law that answers by an estimate itself
names it in `estimated`.

`as_law` makes a law of what users have: a number, a law of their own, a frozen law of scipy.stats, old or new.
"""

import dataclasses
import functools
import math
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asyncsim.times.laws import Composable, Constant

DRAWS = 16_384
TOLD = ("mean", "cdf", "quantile")


def as_law(spec: Any) -> Any:
    """`spec` as something with `sample(rng, size)`; ValueError when it is nothing of the kind.

    >>> as_law(2)
    Constant(value=2.0)
    >>> as_law("two")
    Traceback (most recent call last):
    ValueError: 'two' is no law; a law has sample(rng, size), seconds are a number
    """
    if _is_number(spec):
        return Constant(float(spec))
    if not understood(spec):
        raise ValueError(f"{spec!r:.200} is no law; a law has sample(rng, size), seconds are a number")
    if isinstance(spec, Frozen):
        return spec
    if callable(getattr(spec, "icdf", None)) or callable(getattr(spec, "rvs", None)):
        return Frozen(spec)
    return spec


def understood(spec: Any) -> bool:
    """Whether `as_law` takes it."""
    if isinstance(spec, type):
        return False
    return _is_number(spec) or any(callable(getattr(spec, name, None)) for name in ("sample", "rvs"))


def independent_draws(law: Any) -> bool:
    """Whether the times of this law are independent of each other; those of a trace that is played back in order are not.

    A law that is made of others has independent times where they have.

    >>> from asyncsim.times.traces import Cycled, Resampled
    >>> independent_draws(Resampled([1.0, 2.0])), independent_draws(Cycled([1.0, 2.0]))
    (True, False)
    """
    # who answers to `sample_at` is told the number of the gradient (asyncsim.times.traces), inside other laws too
    if hasattr(law, "sample_at"):
        return False
    fields = (getattr(law, field.name) for field in dataclasses.fields(law)) if dataclasses.is_dataclass(law) else ()
    parts = (part for value in fields for part in (value if isinstance(value, tuple) else (value,)))
    return all(independent_draws(part) for part in parts if dataclasses.is_dataclass(part) or hasattr(part, "sample"))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


class Frozen(Composable):
    """A frozen law of scipy.stats as a law.

    The old kind has `rvs(size=, random_state=)` and `ppf`, the new one (scipy >= 1.15) `sample(shape, rng=)` and
    `icdf`. Both stand in sums and other laws as they are, but operators of scipy's new kind take numbers only: say
    `as_law(X) + Exponential(1.0)`, or let our law come first.
    """

    def __init__(self, frozen: Any) -> None:
        self.frozen = frozen

    def sample(self, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        """`size` times (float64 seconds)."""
        with np.errstate(all="ignore"):
            if callable(getattr(self.frozen, "rvs", None)):
                drawn = self.frozen.rvs(size=size, random_state=rng)
            else:
                drawn = self.frozen.sample(size, rng=rng)
        return np.asarray(drawn, dtype=np.float64)

    @property
    def mean(self) -> float:
        """Mean, in seconds, as scipy tells it."""
        with np.errstate(all="ignore"):
            return float(self.frozen.mean())

    def cdf(self, t: float) -> float:
        """P(time <= t)."""
        with np.errstate(all="ignore"):  # scipy integrates over what it can't divide
            return float(self.frozen.cdf(t))

    def quantile(self, q: float) -> float:
        """The t with P(time <= t) = q."""
        with np.errstate(all="ignore"):
            return float(self.frozen.icdf(q) if hasattr(self.frozen, "icdf") else self.frozen.ppf(q))

    def __repr__(self) -> str:
        law = getattr(self.frozen, "dist", None)
        if law is None:
            return f"Frozen({' '.join(repr(self.frozen).split())})"
        # the old kind shows no more than its address
        given = [*map(repr, self.frozen.args), *(f"{key}={value!r}" for key, value in self.frozen.kwds.items())]
        return f"Frozen(scipy.stats.{law.name}({', '.join(given)}))"


class Sample:
    """Draws of a law, in order: what stands in for what the law doesn't tell."""

    def __init__(self, law: Any) -> None:
        rng = np.random.Generator(np.random.Philox(key=0))
        self.times = np.sort(np.asarray(law.sample(rng, DRAWS), dtype=np.float64))

    @property
    def mean(self) -> float:
        """Their mean, in seconds."""
        with np.errstate(over="ignore"):
            return float(self.times.mean())

    def cdf(self, t: float) -> float:
        """The share that is <= t."""
        return float(np.searchsorted(self.times, t, side="right")) / len(self.times)

    def quantile(self, q: float) -> float:
        """The smallest of them that a share q doesn't exceed."""
        if not 0 <= q <= 1:
            raise ValueError(f"quantile({q!r}): a probability between 0 and 1 is needed")
        return float(self.times[max(0, math.ceil(q * len(self.times)) - 1)])


@functools.lru_cache(maxsize=64)
def _remembered(law: Any) -> Sample:
    return Sample(law)


def sampled(law: Any) -> Sample:
    """The sample of `law`, drawn once as long as it is asked for often."""
    try:
        return _remembered(law)
    except TypeError:  # no hash
        return Sample(law)


def mean_of(law: Any) -> float:
    """Mean seconds of `law`, told or estimated.

    >>> from asyncsim.times import Exponential
    >>> mean_of(Exponential(2.0)), estimated_of(Exponential(2.0))
    (2.0, frozenset())
    """
    mean: Any = getattr(law, "mean", None)
    mean = mean() if callable(mean) else mean
    return float(mean) if _is_number(mean) else sampled(law).mean


def cdf_of(law: Any, t: float) -> float:
    """P(time <= t) of `law`, told or estimated."""
    return float(law.cdf(t)) if callable(getattr(law, "cdf", None)) else sampled(law).cdf(t)


def quantile_of(law: Any, q: float) -> float:
    """The smallest t with P(time <= t) >= q, told or estimated."""
    return float(law.quantile(q)) if callable(getattr(law, "quantile", None)) else sampled(law).quantile(q)


def never_of(law: Any) -> float:
    """P(the time is +inf), which is that of a time beyond float64."""
    return 1.0 - cdf_of(law, sys.float_info.max)


def estimated_of(law: Any) -> frozenset[str]:
    """The names among mean, cdf, quantile that are estimates for `law`."""
    mean = getattr(law, "mean", None)
    untold = {name for name in ("cdf", "quantile") if not callable(getattr(law, name, None))}
    if not (callable(mean) or _is_number(mean)):
        untold.add("mean")
    return frozenset(untold) | getattr(law, "estimated", frozenset())


def exact(name: str, *laws: Any) -> bool:
    """Whether all of `laws` tell `name` without an estimate."""
    return not any(name in estimated_of(law) for law in laws)
