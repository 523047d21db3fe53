"""When workers are away or without power, for the picture of a run.

Nobody writes it down while a run goes on: speeds and availabilities unfold by the clock from the seed, asked or not, so
that they are unfolded once more when it has ended. Known are speeds that are constant piece by piece and those that fade
to 0; a user's own `power(t)` is not searched for zeros. It is a picture: of a worker with more than `PIECES` changes the
first are looked at, and of more than `MOST` absences the longest are kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from asyncsim.streams import Stream
from asyncsim.times.availability import Presence
from asyncsim.times.speeds import Ramp, Unfolding, path_of

PIECES = 20_000
MOST = 4000

Span = tuple[float, float]


def absences(workers: Any, seed: int, shown: Iterable[int], spans: Sequence[Span]) -> list[tuple[int, float, float]]:
    """(worker, from, to) of the `shown` workers, by worker and time, as far as they lie in `spans` of seconds.

    >>> from asyncsim import Workers
    >>> workers = Workers(2, 1.0, availability={"name": "late_join", "at": "3 * (i - 1)"})
    >>> absences(workers, seed=0, shown=[0, 1], spans=[(0.0, 10.0)])
    [(1, 0.0, 3.0)]
    """
    spans = joined(sorted(span for span in spans if span[0] < span[1]))
    if not spans or (workers.speed is None and workers.availability is None):
        return []
    found = [
        (worker, max(begin, a), min(end, b))
        for worker in shown
        for begin, end in _of(workers, seed, worker, spans[-1][1])
        for a, b in spans
        if begin < b and end > a
    ]
    longest = sorted(found, key=lambda absence: absence[1] - absence[2])[:MOST]
    return sorted(longest)


def _of(workers: Any, seed: int, worker: int, until: float) -> list[Span]:
    try:
        return joined(sorted(_unfolded(workers, seed, worker, until)))
    except Exception:  # no run fails for its picture: of who was never asked a user's own may not unfold
        return []


def _unfolded(workers: Any, seed: int, worker: int, until: float) -> Iterator[Span]:
    if workers.availability is not None:
        presence = Presence(workers.availability[worker], partial(Stream(seed, "availability").at, worker))
        yield from _zeros(presence.there, until)
    if workers.speed is None:
        return
    path = path_of(workers.speed[worker], partial(Stream(seed, "speed").at, worker))
    if isinstance(path, Unfolding):
        yield from _zeros(path, until)
    elif isinstance(path, Ramp) and path.last == 0.0:
        yield path.over, math.inf


def _zeros(path: Unfolding, until: float) -> Iterator[Span]:
    """The pieces of power 0 that begin before `until`."""
    return ((begin, end) for begin, end, power in pieces(path, until) if power == 0.0)


def pieces(path: Unfolding, until: float) -> Iterator[tuple[float, float, float]]:
    """(from, to, power) of the pieces that begin before `until`, the first `PIECES` of them."""
    place, begin = path.at(0.0), 0.0
    for _ in range(PIECES):
        path.now = begin  # what lies before may be forgotten
        end = path.ends[place]
        yield begin, end, path.powers[place]
        if end >= until:
            return
        begin, place = end, path.after(place)


def joined(spans: Sequence[Span]) -> list[Span]:
    """Spans in order, those that touch made one."""
    joined: list[Span] = []
    for begin, end in spans:
        if joined and begin <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((begin, end))
    return joined
