"""Times of which some are known only to be longer: the gradient was stopped, lost or not yet done.

1. Such a time is *censored*: of a gradient that was stopped after 3 s it is known that it takes more than 3 s. To leave
   these out makes times too short, as the long ones are stopped more often; to count the 3 s as a whole time does too.
2. What a worker's own seconds so far don't decide may stop it: another worker's arrival, a deadline, the end of the run.
   Then a gradient that is still going on says what all do that take longer, and the share of times up to t is estimated
   by Kaplan and Meier's product: of those still going on at t, the share that did not end then. A user who stops what
   *looks* slow breaks this.
3. Beyond the longest time that was computed to its end nothing is known but that some take longer. Where a mean or a
   quantile needs an end for these, it is the longest time seen (Efron's convention): too early, and the best one can do.
"""

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Observed:
    """Times in seconds: `exact` (n,), and of m more that they are longer than `beyond` (m,), each in ascending order.

    >>> Observed.of([3.0, 1.0], [2.0, 0.0])
    Observed(exact=array([1., 3.]), beyond=array([2.]))
    """

    exact: Floats
    beyond: Floats = field(default_factory=lambda: np.empty(0))

    @classmethod
    def of(cls, exact: Any, beyond: Any = ()) -> "Observed":
        """In order; that a time is longer than 0 says nothing, and is left out."""
        longer = np.sort(np.asarray(beyond, dtype=np.float64))
        return cls(np.sort(np.asarray(exact, dtype=np.float64)), longer[longer > 0])

    def __len__(self) -> int:
        return len(self.exact) + len(self.beyond)

    @property
    def mean(self) -> float:
        """Mean of the Kaplan-Meier estimate, in seconds."""
        times, weights = weighted(self)
        return float(self.exact.mean()) if not len(self.beyond) else float(times @ weights)


def shares(times: Observed) -> tuple[Floats, Floats]:
    """Where the estimated CDF jumps (j,), and its values there (j,): Kaplan and Meier's product.

    What was stopped at a time at which another ended was still going on then.

    >>> shares(Observed.of([1.0, 2.0, 4.0], [3.0]))
    (array([1., 2., 4.]), array([0.25, 0.5 , 1.  ]))
    """
    places, ended = np.unique(times.exact, return_counts=True)
    if not len(times.beyond):
        return places, np.cumsum(ended) / len(times.exact)
    going_on = _from(times.exact, places) + _from(times.beyond, places)
    found: Floats = 1.0 - np.cumprod((going_on - ended) / going_on, dtype=np.float64)
    return places, found


def worth(times: Observed) -> Floats:
    """How many times, none of them stopped, would tell the CDF as well, at each place (j,) where it jumps.

    From Greenwood's variance of the estimate, compared with F(1 − F)/N. Where many were stopped before, it is few.

    >>> worth(Observed.of([1.0, 2.0, 4.0, 5.0], [3.0])).round(2)
    array([5.  , 5.  , 3.68, 3.68])
    """
    places, ended = np.unique(times.exact, return_counts=True)
    if not len(times.beyond):
        return np.full(len(places), float(len(times.exact)))
    going_on = _from(times.exact, places) + _from(times.beyond, places)
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.cumprod(1.0 - ended / going_on)
        found: Floats = (1.0 - left) / (left * np.cumsum(ended / (going_on * (going_on - ended))))
    # where nothing is left, the variance is not known better than at the place before
    if not np.isfinite(found[-1]):
        found[-1] = found[-2] if len(found) > 1 else len(times)
    return found


def _from(ordered: Floats, places: Floats) -> NDArray[np.int64]:
    found: NDArray[np.int64] = len(ordered) - np.searchsorted(ordered, places, side="left")
    return found


def weighted(times: Observed) -> tuple[Floats, Floats]:
    """Times (j,) and their probabilities (j,), which sum to 1: what is not seen to its end ends at the longest time.

    >>> weighted(Observed.of([1.0], [3.0]))
    (array([1., 3.]), array([0.5, 0.5]))
    """
    places, found = shares(times)
    weights = np.diff(found, prepend=0.0)
    rest = 1.0 - float(found[-1]) if len(found) else 1.0
    if rest > 1e-12:
        places, weights = (
            np.append(places, max(times.exact.max(initial=0.0), times.beyond.max(initial=0.0))),
            np.append(weights, rest),
        )
    return places, weights / weights.sum()


def until_stopped(times: Observed) -> tuple[Floats, Floats]:
    """The same for the seconds after which gradients were stopped, had none ended before; inf = they would not be.

    >>> until_stopped(Observed.of([1.0, 4.0], [3.0]))
    (array([ 3., inf]), array([0.5, 0.5]))
    """
    if not len(times.beyond):
        return np.array([np.inf]), np.ones(1)
    places, stopped = np.unique(times.beyond, return_counts=True)
    # what ended at the very time was not stopped any more
    going_on = _from(times.beyond, places) + len(times.exact) - np.searchsorted(times.exact, places, side="right")
    left = np.cumprod(1.0 - stopped / going_on)
    weights = -np.diff(left, prepend=1.0)
    return np.append(places, np.inf), np.append(weights, left[-1])
