"""How fast workers were while it changed, for the picture of a run.

Unfolded once more from the seed when the run has ended, as absences are (`asyncsim.times.absences`), and only for workers
whose power takes two values > 0 or more in what is looked at: outages alone are absences, and a power that stays says
nothing that its intervals don't. It is a picture: a power that changes smoothly, or more often than `PARTS` times in one
span, is told as its means over `PARTS` parts of it. What contention takes from a worker depends on the others' work and is
not in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from asyncsim.streams import Stream
from asyncsim.times.absences import Span, joined, pieces
from asyncsim.times.speeds import Path, Unfolding, path_of

PARTS = 60

Part = tuple[float, float, float]


def powers(
    workers: Any, seed: int, shown: Iterable[int], spans: Sequence[Span]
) -> list[tuple[int, float, float, float]]:
    """(worker, from, to, power > 0) of the `shown` workers, by worker and time, as far as they lie in `spans` of seconds.

    >>> from asyncsim import StepSpeed, Workers
    >>> workers = Workers(2, 1.0, speed=[StepSpeed(at=4.0, before=1.0, after=0.5), 3.0])
    >>> powers(workers, seed=0, shown=[0, 1], spans=[(0.0, 10.0)])
    [(0, 0.0, 4.0, 1.0), (0, 4.0, 10.0, 0.5)]
    """
    spans = joined(sorted(span for span in spans if span[0] < span[1]))
    if not spans or workers.speed is None:
        return []
    return [(worker, *part) for worker in shown for part in _of(workers, seed, worker, spans)]


def _of(workers: Any, seed: int, worker: int, spans: Sequence[Span]) -> list[Part]:
    try:
        path = path_of(workers.speed[worker], partial(Stream(seed, "speed").at, worker))
        whole = list(pieces(path, spans[-1][1])) if isinstance(path, Unfolding) else None
        told = [part for span in spans for part in (_smooth(path, span) if whole is None else _within(whole, span))]
    except Exception:  # no run fails for its picture: of who was never asked a user's own may not unfold
        return []
    found = [part for part in told if part[2] > 0.0]
    return found if len({power for _, _, power in found}) > 1 else []


def _within(whole: Sequence[Part], span: Span) -> list[Part]:
    """The pieces within the span, or their means where they are many."""
    inside = [(max(a, span[0]), min(b, span[1]), power) for a, b, power in whole if a < span[1] and b > span[0]]
    if len(inside) <= PARTS:
        return inside
    begins, ends, found = np.array(inside).T
    bounds = np.linspace(begins[0], ends[-1], PARTS + 1)
    done = np.interp(bounds, np.append(begins, ends[-1]), np.append(0.0, np.cumsum(found * (ends - begins))))
    means = np.diff(done) / np.diff(bounds)
    return list(zip(bounds[:-1].tolist(), bounds[1:].tolist(), means.tolist(), strict=True))


def _smooth(path: Path, span: Span) -> list[Part]:
    """What any path can tell; that of a constant speed tells the same for every part."""
    bounds = np.linspace(*span, PARTS + 1).tolist()
    power = getattr(path, "power", None)  # one call, where an integral may take many
    return [
        (a, b, float(power((a + b) / 2)) if callable(power) else path.work(a, b) / (b - a)) for a, b in pairwise(bounds)
    ]
