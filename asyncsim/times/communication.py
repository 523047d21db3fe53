"""What messages cost: links with a bandwidth, the server's shared link, and how soon a stop takes effect.

A *link* (`uplink: {latency: …, bandwidth: …}`) takes its latency, any law, and size / bandwidth seconds. The size of an
answer is `job.size` numbers; what a worker is sent is the point of its job (of a `GradientDifference` both points).
A problem may say by `message_size` how many numbers a point or an answer is on the wire instead: half of them where they
are sent as float32 for float64, more where nothing is computed (`problem: {name: none, message_size: 25000000}`).
Without a downlink the broadcast costs nothing.

The server's *shared link* carries one message at a time, in the order in which they come to it: an answer that has
passed its worker's own uplink waits until those before it are through, and then takes size / capacity seconds. With
`broadcast: counted` the points that the server sends go through it in the same way, in the other direction (the two
directions don't wait for each other), in the order of dispatch. A message that has begun to wait is sent to its end,
even where nobody wants it any more. Here a worker's times depend on the others': rule 4 of the server has its
exception, and who compares methods does not compare them on the same luck to the last message.

A *stop* reaches the worker at once, or only after its current gradient, or after some seconds. For the server the
worker is idle at once in any case; what it is sent meanwhile begins when the stop has taken effect. The time in between
is work that was stopped. A job that the worker has not begun by then is never begun. With `keep=True` it is what the
worker has finished when the stop takes effect that is sent.

That a worker computes its next gradient while the last answer is still on its way is left out: a server that gives work
to idle workers learns of them by their answers. Within a job of several gradients one answer, their sum, is sent at the
end. To send each gradient as soon as it is finished would be no gain: the last of c messages leaves the worker when the
c-th gradient is finished, as the sum does, and takes as long; where a message takes longer than a gradient it has even to
wait for those before it. Only what a deadline or a stop cuts off would be more, for c times the numbers sent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from asyncsim.jobs import Assignment, GradientDifference
from asyncsim.parameters import Positive, parameters


@parameters
class SharedLink:
    """The server's link, which carries one message at a time.

    Parameters:
        capacity: numbers a second
        broadcast: counted if what the server sends goes through it too, in the other direction; else free

    >>> SharedLink(capacity=1e6)
    SharedLink(capacity=1000000.0, broadcast='free')
    """

    capacity: Positive
    broadcast: str = "free"

    def __post_init__(self) -> None:
        if self.broadcast not in ("free", "counted"):
            raise ValueError(f"SharedLink: broadcast = {self.broadcast!r}, but 'free' or 'counted' is needed")


class Queue:
    """A shared link in one run: until when it is taken, in both directions."""

    def __init__(self, link: SharedLink) -> None:
        self._capacity = float(link.capacity)
        self.counts_broadcast = link.broadcast == "counted"
        self.taken = {"up": 0.0, "down": 0.0}

    def through(self, direction: str, at: float, size: int) -> float:
        """When a message of so many numbers that comes to the link at `at` has passed it."""
        self.taken[direction] = max(at, self.taken[direction]) + size / self._capacity
        return self.taken[direction]

    def service(self, size: int) -> float:
        """Seconds that a message takes if nobody is before it."""
        return size / self._capacity


def downlink_size(job: Any, message_size: int | None = None) -> int:
    """Numbers that the server sends with a job: its point or points."""
    size = int(job.x.size) if message_size is None else message_size
    return 2 * size if isinstance(job, GradientDifference) else size


ALLOWED_STOPS = "'at_once', 'after_current_gradient' or {'after': seconds >= 0}"


def stop_delay(given: Any) -> float | None:
    """What `stop_takes_effect` says: seconds after which it does; None = after the current gradient.

    >>> stop_delay("at_once"), stop_delay({"after": 2})
    (0.0, 2.0)
    """
    if given == "at_once":
        return 0.0
    if given == "after_current_gradient":
        return None
    seconds = given.get("after") if isinstance(given, Mapping) and set(given) == {"after"} else None
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 <= seconds < math.inf:
        return float(seconds)
    raise ValueError(f"stop_takes_effect = {given!r}, but {ALLOWED_STOPS} is needed")


def takes_effect(a: Assignment, now: float, delay: float | None) -> float:
    """When a stop that the server says at `now` takes effect at the worker."""
    if delay is not None:
        return now + delay
    end = a.computing_from
    if now < end:
        return now
    for seconds in a.draws:
        end += seconds
        if end >= now:
            return end
    return now
