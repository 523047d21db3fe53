"""Where an axis has its ticks, and what stands beside them."""

import math

from asyncsim.summary import number


def steps(low: float, high: float, most: int) -> list[tuple[float, str]]:
    """At most about `most` ticks between two numbers, at multiples of 1, 2 or 5 times a power of ten.

    >>> steps(0.0, 60.0, 4)
    [(0.0, '0'), (20.0, '20'), (40.0, '40'), (60.0, '60')]
    """
    if not high > low:
        return [(low, number(low))]
    least = (high - low) / most
    power = 10.0 ** math.floor(math.log10(least))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [(place * step, number(place * step, 6)) for place in range(first, last + 1)]


def decades(low: float, high: float) -> list[tuple[float, str]]:
    """Ticks between two powers of ten, given and returned as exponents; finer ones where there are few decades.

    >>> decades(-3.2, 0.1)
    [(-3, '1e-3'), (-2, '0.01'), (-1, '0.1'), (0, '1')]
    """
    factors = (1, 2, 3, 5, 7) if high - low < 0.8 else (1, 2, 5) if high - low < 1.7 else (1,)
    every = max(1, math.ceil((high - low) / 6))
    return [
        (power + math.log10(factor) if factor > 1 else power, number(factor * 10.0**power))
        for power in range(math.floor(low), math.ceil(high) + 1)
        if power % every == 0
        for factor in factors
        if low <= power + math.log10(factor) <= high
    ]
