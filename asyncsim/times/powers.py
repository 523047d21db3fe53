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
        if isinstance(path, Unfolding):
            whole = list(pieces(path, spans[-1][1]))
            told = [
                [(max(a, begin), min(b, end), p) for a, b, p in whole if a < end and b > begin] for begin, end in spans
            ]
        else:
            told = [_smooth(path, span) for span in spans]
    except Exception:  # no run fails for its picture: of who was never asked a user's own may not unfold
        return []
    if len({power for parts in told for _, _, power in parts if power > 0.0}) < 2:
        return []
    return [part for parts in told for part in _thinned(parts) if part[2] > 0.0]


def _thinned(parts: list[Part]) -> list[Part]:
    """The parts of a span, or their means where they are many."""
    if len(parts) <= PARTS:
        return parts
    begins, ends, found = np.array(parts).T
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
