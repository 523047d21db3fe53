"""From what was measured in a run folder to workers of the simulation: laws of computing and of both ways, by worker.

1. *Computing* is what the worker measured, a gradient's seconds. Of gradients that were stopped, timed out or lost it is
   known that they take longer (asyncsim/times/censored.py), and so it is of what was in hand at the end. Where a worker
   had jobs of one gradient and of several, those of one are used; else a job counts as one time, the mean of a gradient's.
2. *Downlink* is from the delivery after which a gradient was sent until it was begun, so that it has what the server took
   to answer. What was sent to a worker that had just been stopped waits for the stop, and is left out.
3. *Uplink* is from the end of computing until the server took the answer.
4. *Stops* take effect as was measured: after the mean of the seconds until a stopped worker was free; or, where that is
   rather what was left of the gradient in hand, after the current gradient.
5. Laws are fitted as by `asyncsim fit` (asyncsim/fitting.py), worker by worker; times that no law fits, or too few for
   one, are drawn again as they were.
6. Laws are one for all methods of a folder, though jobs that are sent to everybody at once wait for each other and have
   longer ways. The server's own time is in the ways, as it was with these workers and methods: ten times as many workers
   would keep it busier than is simulated. What workers do to each other, and how their times hang together, is not in laws.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asyncsim import log as log_
from asyncsim.fitting import FEWEST, FITS_BADLY, candidates, p_value, spec_of
from asyncsim.replay import Measured
from asyncsim.result import OUTCOMES
from asyncsim.times.censored import Observed, weighted

ROUNDS = 19  # of the bootstrap, which only says whether a law is a poor picture
VALUES = 200  # of times that are drawn again as they were

Spec = dict[str, Any]


@dataclass(frozen=True, eq=False)
class FittedWorker:
    """What a scenario says of one worker, and its mean seconds from one gradient to the next."""

    compute_time: Spec
    uplink: Spec
    downlink: Spec
    seconds: float

    @property
    def group(self) -> dict[str, Any]:
        """As a group of a scenario."""
        return {
            "count": 1,
            "compute_time": self.compute_time,
            "communication_time": {"uplink": self.uplink, "downlink": self.downlink},
        }


@dataclass(frozen=True, eq=False)
class FittedWorkers:
    """All workers, when stops take effect, and what the numbers don't say."""

    workers: tuple[FittedWorker, ...]
    stop_takes_effect: Any
    warnings: tuple[str, ...]

    @property
    def by_speed(self) -> list[int]:
        """The workers, the fastest first."""
        return sorted(range(len(self.workers)), key=lambda worker: self.workers[worker].seconds)


@dataclass
class _Times:
    """What was seen of one worker, over all runs."""

    alone: list[float]  # seconds of jobs of one gradient
    alone_beyond: list[float]
    means: list[float]  # of jobs of several, a gradient
    means_beyond: list[float]
    uplink: list[float]
    downlink: list[float]
    after_stops: list[float]

    def compute(self) -> tuple[list[float], list[float]]:
        """The times, and those after which others were cut short."""
        if len(self.alone) >= FEWEST or len(self.alone) >= len(self.means):
            return self.alone, self.alone_beyond
        return self.means, self.means_beyond


def fitted_workers(measured: Sequence[Measured]) -> FittedWorkers:
    """The workers of some runs, fitted to what was measured in all of them."""
    n = measured[0].run.n
    seen = [_Times([], [], [], [], [], [], []) for _ in range(n)]
    for each in measured:
        _observe(each, seen)
    warnings = _warnings(measured)
    workers = []
    for worker, times in enumerate(seen):
        exact, beyond = times.compute()
        computing, compute_mean = _law(exact, beyond)
        if not exact:
            warnings.append(f"worker {worker} never finished a gradient; it is simulated as one that never returns")
        uplink, up = _law(times.uplink, [])
        downlink, down = _law(times.downlink if len(times.downlink) >= FEWEST else times.after_stops, [])
        workers.append(FittedWorker(computing, uplink, downlink, compute_mean + up + down))
    return FittedWorkers(tuple(workers), _stops(measured, seen), tuple(warnings))


# ---- what was seen


def _observe(measured: Measured, seen: list[_Times]) -> None:
    ends, marks = measured.ends, measured.marks
    kinds = ends[:, log_.KIND]
    came = np.isin(kinds, (log_.ARRIVED, log_.TIMED_OUT)) | ((kinds == log_.STOPPED) & (ends[:, log_.DONE] > 0))
    fired = marks[marks[:, log_.KIND] == log_.TIMER]
    moments = np.sort(np.concatenate([[0.0], ends[came, log_.TIME], fired[:, log_.TIME]]))
    # the delivery after which each was sent
    asked = moments[np.searchsorted(moments, ends[:, log_.SENT], side="right") - 1]
    downlink = np.maximum(ends[:, log_.COMPUTING_FROM] - asked, 0.0)
    for worker, times in enumerate(seen):
        rows = np.flatnonzero(ends[:, log_.WORKER] == worker)
        rows = rows[np.argsort(ends[rows, log_.SENT], kind="stable")]
        whole = rows[(kinds[rows] == log_.ARRIVED) & (ends[rows, log_.DONE] == ends[rows, log_.COST])]
        stopped_before = np.append(False, kinds[rows][:-1] == log_.STOPPED)[: len(rows)]
        free = rows[~stopped_before & np.isin(rows, whole)]
        times.downlink += downlink[free].tolist()
        times.after_stops += downlink[whole].tolist()
        times.uplink += np.maximum(ends[whole, log_.TIME] - ends[whole, log_.COMPUTING_TO], 0.0).tolist()
        seconds = ends[:, log_.COMPUTING_TO] - ends[:, log_.COMPUTING_FROM]
        alone = ends[:, log_.COST] == 1
        times.alone += seconds[whole[alone[whole]]].tolist()
        several = whole[~alone[whole]]
        times.means += (seconds[several] / ends[several, log_.COST]).tolist()
        cut = rows[np.isin(kinds[rows], (log_.STOPPED, log_.TIMED_OUT, log_.LOST))]
        # of these it is not known when they were begun
        way = float(np.median(downlink[free])) if len(free) else 0.0
        done = np.maximum(ends[cut, log_.TIME] - asked[cut] - way, 0.0) / ends[cut, log_.COST]
        times.alone_beyond += done[alone[cut]].tolist()
        times.means_beyond += done[~alone[cut]].tolist()
        times.alone_beyond += _in_hand(measured, worker, rows, way)


def _in_hand(measured: Measured, worker: int, rows: np.ndarray, way: float) -> list[float]:
    """Seconds that the worker's last gradient had taken when the run ended."""
    run = measured.run
    flying = run.intervals[
        (run.intervals["worker"] == worker) & (run.intervals["outcome"] == OUTCOMES.index("in_flight"))
    ]
    last = flying[~np.isin(flying["m"], measured.ends[rows, log_.M])]
    return [max(0.0, float(run.time - sent - way)) for sent in last["sent"][-1:]]


def _warnings(measured: Sequence[Measured]) -> list[str]:
    found = []
    faults = [
        f"{each.run.label}, seed {each.run.seed}: {words} {', '.join(map(str, each.run.engine[key]))}"
        for each in measured
        for key, words in (("replaced", "replaced workers"), ("gone", "workers that were given up"))
        if each.run.engine.get(key)
    ]
    if faults:
        found.append(f"faults are not in the laws ({'; '.join(faults)})")
    return found


# ---- laws


def _law(exact: Sequence[float], beyond: Sequence[float]) -> tuple[Spec, float]:
    """The law for some times as a scenario has it, and its mean; what never ended never ends."""
    if not exact:
        return {"distribution": "constant", "value": math.inf if beyond else 0.0}, math.inf if beyond else 0.0
    times = Observed.of(exact, beyond)
    found = candidates(times)
    # a law that is near enough needs no bootstrap to be taken
    if not found or (found[0].distance > FITS_BADLY and p_value(found[0], times, ROUNDS) < 0.05 + 1e-9):
        return {"distribution": "empirical", "values": _values(times)}, times.mean
    return spec_of(found[0].law), float(found[0].law.mean)


def _values(times: Observed) -> list[float]:
    """Up to VALUES times in the places of as many quantiles of what was seen."""
    if not len(times.beyond) and len(times.exact) <= VALUES:
        return [float(value) for value in times.exact]
    places, weights = weighted(times)
    middles = (np.arange(VALUES) + 0.5) / VALUES
    found = places[np.minimum(np.searchsorted(np.cumsum(weights), middles), len(places) - 1)]
    return [float(value) for value in found]


# ---- stops


def _stops(measured: Sequence[Measured], seen: Sequence[_Times]) -> Any:
    """What a scenario says of when stops take effect (rule 4)."""
    took, left = [], []
    for each in measured:
        sent = _sent_of_stopped(each)
        for worker, _, told, free in each.run.engine.get("stops_measured", ()):
            took.append(max(0.0, free - told))
            times = np.asarray(seen[worker].compute()[0])
            rows = sent.get(worker)
            if rows is None or not len(times):
                continue
            # the stop is written down right after it was told
            place = min(int(np.searchsorted(rows[:, 0], told - 1e-5)), len(rows) - 1)
            so_far = max(0.0, told - float(rows[place, 1]))
            longer = times[times > so_far]
            left.append(float(longer.mean()) - so_far if len(longer) else 0.0)
    if not took:
        return "at_once"
    mean = float(np.mean(took))
    if left and mean > 0.5 * float(np.mean(left)):
        return "after_current_gradient"
    return {"after": mean}


def _sent_of_stopped(measured: Measured) -> Mapping[int, np.ndarray]:
    """worker → (r, 2): when its gradients were stopped, and sent."""
    stopped = measured.ends[measured.ends[:, log_.KIND] == log_.STOPPED]
    return {
        int(worker): stopped[stopped[:, log_.WORKER] == worker][:, [log_.TIME, log_.SENT]]
        for worker in np.unique(stopped[:, log_.WORKER])
    }
