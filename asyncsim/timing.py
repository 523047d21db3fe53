"""When an assignment's parts begin and end: downlink, gradients, uplink.

All of it is known when the job is sent, as no worker's time depends on another worker: the engine puts the arrival
into its lane and forgets the rest. (But for the server's shared link, asyncsim/times/communication.py: with it
`arrives` is when an answer comes to the link, and the engine asks again then. And but for workers that slow each other
down, whose jobs asyncsim/contended.py moves on step by step; it asks for the parts.) What is computed here depends on the
assignment, on the seed and on the laws and environments of its worker only. An environment (asyncsim/times/speeds.py)
needs no checkpoint: it unfolds anew from time 0, to the same pieces. What does stand in one is until when workers are
held by a stop that takes effect later, and until when the shared link is taken.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from asyncsim.jobs import Assignment, Job
from asyncsim.streams import Durations, Stream
from asyncsim.times.availability import UNIT, Presence
from asyncsim.times.communication import Queue, downlink_size, takes_effect
from asyncsim.times.speeds import Path, Unfolding, path_of


class Timing:
    """The times of all workers in one run."""

    def __init__(self, seed: int, workers: Any, message_size: int | None = None) -> None:
        self._message_size = message_size  # numbers in a point or an answer; None = the size of x
        self._costs = Durations(seed, "compute", workers.compute_time)
        self._compute: Durations | Paced | Attended = self._costs
        self._paced: Paced | None = None
        if workers.speed is not None:
            self._compute = self._paced = Paced(self._costs, workers.speed, seed, workers.n)
        self._uplink = Durations(seed, "uplink", workers.uplink)
        self._downlink = Durations(seed, "downlink", workers.downlink)
        self.presences: list[Presence] | None = None
        if workers.availability is not None:
            stream = Stream(seed, "availability")
            described = workers.availability
            self.presences = [Presence(described[i], partial(stream.at, i)) for i in range(workers.n)]
            self._compute = Attended(self._compute, self.presences)
        self.lossy = self.presences is not None and any(presence.policy == "lost" for presence in self.presences)
        bandwidths = (workers.uplink_bandwidth, workers.downlink_bandwidth)
        self._up, self._down = (None if bandwidth is None else bandwidth.tolist() for bandwidth in bandwidths)
        self.link = None if workers.shared_link is None else Queue(workers.shared_link)
        self._broadcast_waits = self.link is not None and self.link.counts_broadcast
        messages = self._up or self._down or self._broadcast_waits
        self.silent = self._uplink.always_zero and self._downlink.always_zero and not messages
        self.durations = self._costs, self._uplink, self._downlink
        self.stop_delay = workers.stop_delay
        # until when a worker is busy with what it was told to stop; where stops take effect at once nobody is
        self.held = None if self.stop_delay == 0.0 else [0.0] * workers.n

    @property
    def independent(self) -> bool:
        """Whether a worker's times are constant or drawn in blocks, and nothing else has a part in them."""
        unaffected = self._compute is self.durations[0] and self.link is None and self.held is None
        bandwidths = self._up is not None or self._down is not None
        return unaffected and not bandwidths and all(t.by_block or t.constant is not None for t in self.durations)

    def plan(self, a: Assignment) -> None:
        """Set the times of a job that is sent now: computing_from, draws, computing_to, arrives."""
        worker, m, begin = a.worker, a.m, a.sent
        if not self.silent:
            begin = self._at_worker(a)
        if self.held is not None and self.held[worker] > begin:
            begin = self.held[worker]
        if self._paced is not None:
            self._paced.forget(worker, a.sent)
        if self.presences is not None:
            begin = self._there(self.presences[worker], a.sent, begin)
        a.computing_from = begin
        cost = a.job.cost
        if cost == 1:
            seconds = self._compute.draw(worker, m, begin)
            a.draws = [seconds]
            begin += seconds
        else:
            a.draws = draws = []
            for number in range(m, m + cost):
                seconds = self._compute.draw(worker, number, begin)
                draws.append(seconds)
                begin += seconds
        a.computing_to = begin
        if not self.silent:
            begin += self._sending(a, begin)
        a.arrives = begin

    # ---- the parts, for workers whose times depend on each other

    @property
    def paced(self) -> bool:
        """Whether workers have a power of their own."""
        return self._paced is not None

    def at_worker(self, a: Assignment) -> float:
        """When a job that is sent now is at its worker."""
        return a.sent if self.silent else self._at_worker(a)

    def cost(self, worker: int, m: int, start: float) -> float:
        """What the m-th gradient of `worker`, begun at `start`, costs: seconds at power 1."""
        return self._costs.draw(worker, m, start)

    def path(self, worker: int) -> Path:
        """The worker's own power over time."""
        return UNIT if self._paced is None else self._paced.path(worker)

    def forget(self, worker: int, before: float) -> None:
        """Nobody will ask for what the worker's power, or its presence, was before."""
        if self._paced is not None:
            self._paced.forget(worker, before)
        if self.presences is not None:
            self.presences[worker].there.now = before

    # ---- the whole of it, for the others

    @staticmethod
    def _there(presence: Presence, now: float, begin: float) -> float:
        """When a worker that may be away begins: when it is back."""
        presence.there.now = now
        return begin if presence.policy == "lost" or begin == math.inf else presence.back(begin)

    def _sent(self, worker: int, start: float, seconds: float) -> float:
        """Seconds of a message that takes `seconds` while its worker is there."""
        if self.presences is None or self.presences[worker].policy == "lost":
            return seconds
        return self.presences[worker].seconds(UNIT, start, seconds)

    def _at_worker(self, a: Assignment) -> float:
        """When the job is at its worker."""
        at = a.sent
        if self._broadcast_waits and self.link is not None:
            at = self.link.through("down", at, downlink_size(a.job, self._message_size))
        if self._down is not None:
            seconds = downlink_size(a.job, self._message_size) / self._down[a.worker] + self._downlink.draw(
                a.worker, a.m, at
            )
        else:
            seconds = self._downlink.draw(a.worker, a.m, at)
        return at + self._sent(a.worker, at, seconds)

    def _sending(self, a: Assignment, start: float) -> float:
        """Seconds of the worker's own uplink."""
        seconds = self._uplink.draw(a.worker, a.m, start)
        if self._up is not None:
            seconds += self.answer_size(a.job) / self._up[a.worker]
        return self._sent(a.worker, start, seconds)

    def answer_size(self, job: Job) -> int:
        """Numbers that the answer of a job sends."""
        return job.size if self._message_size is None else self._message_size

    def uplink(self, a: Assignment, now: float) -> float:
        """Seconds until the answer has passed the worker's own uplink, if it is sent at `now`."""
        return 0.0 if self.silent else self._sending(a, now)

    def stopped(self, a: Assignment, now: float) -> float:
        """When a stop said at `now` takes effect: computing ends then, and the worker is held till then."""
        effect = now if self.stop_delay == 0.0 else takes_effect(a, now, self.stop_delay)
        if a.computing_from >= effect:
            a.computing_from = a.computing_to = now  # it never begins
            return effect
        a.computing_to = min(effect, a.computing_to)
        if self.held is not None:
            self.held[a.worker] = max(a.computing_to, self.held[a.worker])
        if a.computing_to == math.inf:
            a.computing_to = now
        return effect

    def snapshot(self, now: float) -> dict[str, Any]:
        """What the others' times depend on, for a checkpoint."""
        held = [[i, until] for i, until in enumerate(self.held or ()) if until > now]
        return {"held": held, "taken": None if self.link is None else dict(self.link.taken)}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Become the timing that wrote `snapshot`."""
        if self.held is not None:
            for worker, until in snapshot["held"]:
                self.held[worker] = until
        if self.link is not None:
            self.link.taken = snapshot["taken"]


class Attended:
    """Compute times of workers that come and go (asyncsim/times/availability.py)."""

    def __init__(self, times: Any, presences: list[Presence]) -> None:
        self._times = times
        self._presences = presences

    def draw(self, worker: int, m: int, start: float) -> float:
        """Seconds that the m-th gradient of `worker` takes when it begins at `start`."""
        presence = self._presences[worker]
        if presence.policy == "lost":
            seconds: float = self._times.draw(worker, m, start)
            return seconds
        if isinstance(self._times, Paced):
            return presence.seconds(self._times.path(worker), start, self._times.cost(worker, m, start))
        return presence.seconds(UNIT, start, self._times.draw(worker, m, start))


class Paced:
    """Compute times under changing power: the cost that the law draws, at the worker's speed."""

    def __init__(self, costs: Durations, speed: Any, seed: int, n: int) -> None:
        self._costs = costs
        self._speed = speed
        self._stream = Stream(seed, "speed")
        self._paths: list[Path | None] = [None] * n

    def path(self, worker: int) -> Path:
        """The worker's power over time, as far as it was asked for."""
        path = self._paths[worker]
        if path is None:
            path = self._paths[worker] = path_of(self._speed[worker], partial(self._stream.at, worker))
        return path

    def cost(self, worker: int, m: int, start: float) -> float:
        """What the law draws: seconds at power 1."""
        return self._costs.draw(worker, m, start)

    def forget(self, worker: int, before: float) -> None:
        """Nobody will ask for what was before."""
        path = self._paths[worker]
        if type(path) is Unfolding:
            path.now = before

    def draw(self, worker: int, m: int, start: float) -> float:
        """Seconds that the m-th gradient of `worker` takes when it begins at `start`."""
        try:
            return self.path(worker).seconds(start, self.cost(worker, m, start))
        except (ValueError, ArithmeticError) as error:
            raise ValueError(f"speed of worker {worker}, gradient {m}: {error}") from None
