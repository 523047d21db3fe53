"""Results made by hand, without an engine: for the tests of everything that reads results.

The workers' lives come from a small event loop (worker i needs about √(i+1) seconds a gradient), so
counts, delays, intervals and events agree with each other; the curves are exponentials that
reach the target when the test says so.
"""

import heapq
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from asyncsim.result import (
    AWAY,
    EVENT,
    INTERVAL,
    KINDS,
    OUTCOMES,
    POWERS,
    SHOWN_WORKERS,
    Result,
    Run,
    no_away,
    no_powers,
    no_workers,
    shown_workers,
    unique_labels,
)

METHODS = ("ringmaster_asgd", "rennala_sgd", "asynchronous_sgd")
TARGET = 1e-3
LINK = 0.05  # seconds, up or down
PARAMETERS: dict[str, dict[str, Any]] = {
    "ringmaster_asgd": {"stepsize": 0.2, "threshold": 6, "stops": False},
    "rennala_sgd": {"stepsize": 1.0, "batch_size": 4, "stops": True},
    "asynchronous_sgd": {"stepsize": 0.05, "delay_adaptive": False},
    "minibatch_sgd": {"stepsize": 1.0, "batch_size": 1},
    "hero_sgd": {"stepsize": 0.5, "worker": 0},
}

Reached = bool | Mapping[str, float | None] | Callable[[str, int], float | None]


def make_result(
    methods: Sequence[str] = METHODS,
    seeds: Sequence[int] = (0, 1, 2),
    n: int = 8,
    reached: Reached = True,
    *,
    points: int = 41,
    time: float = 60.0,
    target: Mapping[str, float] | None = MappingProxyType({"squared_gradient_norm": TARGET}),
    status: Mapping[str, str] | None = None,
    events: bool = False,
    name: str = "made by hand",
    away: bool = False,
) -> Result:
    """A plausible result.

    `reached` says when each method reaches the target: True (in the order given, one clearly after the
    other), False (nobody), a mapping label → seconds or None, or a function (label, seed) → seconds or None.
    """
    runs = []
    for rank, (label, method) in enumerate(zip(unique_labels(methods), methods, strict=True)):
        for seed in seeds:
            reach = _reach(reached, label, seed, rank, time)
            runs.append(make_run(label, method, seed, n, reach, points=points, time=time, events=events, away=away))
    entries = [{"name": method} for method in methods]
    return Result(
        name=name,
        runs=tuple(_with_status(run, (status or {}).get(run.label)) for run in runs),
        target=dict(target) if target else None,
        scenario={"name": name, "seeds": list(seeds), "workers": {"count": n}, "methods": entries},
        manifest={"name": name, "versions": {"asyncsim": "0", "numpy": np.__version__}, "journal_mode": "wal"},
        problem={"name": "quadratic", "dimension": 10, "L": 1.0, "sigma2": 0.01, "f_star": 0.0, "estimated": []},
    )


def make_run(
    label: str = "ringmaster_asgd",
    method: str | None = None,
    seed: int = 0,
    n: int = 8,
    reach: float | None = 20.0,
    *,
    points: int = 41,
    time: float = 60.0,
    events: bool = False,
    away: bool = False,
) -> Run:
    """One run whose ‖∇f‖² falls to `TARGET` at `reach` seconds, or stays above it."""
    method = method or label
    life = _live(method, seed, n, time)
    return Run(
        label=label,
        method=method,
        parameters=PARAMETERS.get(method, {"stepsize": 0.1}),
        seed=seed,
        n=n,
        status="finished",
        reason=f"time {time:g} reached",
        iterations=life["iterations"],
        time=time,
        wall_seconds=0.25,
        event_hash=f"{abs(hash((len(label), seed, n))):016x}"[:16],
        curves=_curves(life, reach, points, time, seed),
        contributions=_contributions(life, n, points, time),
        delays=life["delays"],
        workers=life["workers"],
        intervals=life["intervals"],
        away=np.array([(0, 0.25 * time, 0.5 * time), (n - 1, 0.0, 0.125 * time)], AWAY) if away else no_away(),
        powers=np.array([(0, 0.0, 0.25 * time, 1.0), (0, 0.5 * time, time, 0.1)], POWERS) if away else no_powers(),
        events=life["events"] if events else None,
    )


def _with_status(run: Run, status: str | None) -> Run:
    if status is None:
        return run
    reasons = {"diverged": "diverged at iteration 40: ‖∇f‖² = inf", "stalled": "stalled: waiting for workers {3}"}
    return Run(**{**run.__dict__, "status": status, "reason": reasons.get(status, status)})


def _reach(reached: Reached, label: str, seed: int, rank: int, time: float) -> float | None:
    if callable(reached):
        return reached(label, seed)
    if isinstance(reached, Mapping):
        return reached.get(label)
    return min(0.9, 0.25 * (1 + rank)) * time if reached else None


def _curves(life: dict[str, Any], reach: float | None, points: int, time: float, seed: int) -> dict[str, np.ndarray]:
    t = np.linspace(0.0, time, points)
    slope = math.log(TARGET) / (reach if reach is not None else 4 * time)
    wiggle = 1 + 0.02 * np.sin(np.arange(points) + seed)
    # the wiggle never crosses the target on the wrong side of the asked moment
    wiggle = np.where((reach is not None) & (t >= (reach or 0.0)), np.minimum(wiggle, 1.0), np.maximum(wiggle, 1.0))
    squared = np.maximum(np.exp(slope * t), 1e-6) * wiggle
    steps = np.searchsorted(life["step_times"], t, side="right").astype(float)
    ends = {kind: np.sort(times) for kind, times in life["ends"].items()}
    return {
        "time": t,
        "iteration": steps,
        "value": squared / 2,
        "suboptimality": squared / 2,
        "squared_gradient_norm": squared,
        "mean_squared_gradient_norm": np.cumsum(squared) / np.arange(1, points + 1),
        "test_accuracy": np.full(points, np.nan),
        **{
            f"gradients_{kind}": np.searchsorted(ends[kind], t, side="right").astype(float)
            for kind in ("used", "discarded", "stopped")
        },
        "worker_seconds": t / 2,
        "regret": np.zeros(points),
    }


def _contributions(life: dict[str, Any], n: int, points: int, time: float) -> np.ndarray:
    arrived = life["events"][life["events"]["kind"] == KINDS.index("arrived")]
    t = np.linspace(0.0, time, points)
    shown = shown_workers(n, min(n, SHOWN_WORKERS))
    times = [np.sort(arrived["time"][arrived["worker"] == worker]) for worker in shown]
    return np.column_stack([np.searchsorted(column, t, side="right") for column in times]).astype(np.int64)


class _Workers:
    """n workers that are sent gradients; what they did is written down as a run has it."""

    def __init__(self, seed: int, n: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.counts = no_workers(n)
        self.delays: Counter[tuple[int, bool]] = Counter()
        self.rows: list[tuple[Any, ...]] = []
        self.events: list[tuple[float, int, int, int, int]] = []
        self.ends: dict[str, list[float]] = {outcome: [] for outcome in OUTCOMES}
        self.arrivals: list[tuple[float, int, int]] = []
        # worker → version, m, sent, computing from, computing to
        self.at_work: dict[int, tuple[int, int, float, float, float]] = {}

    def send(self, worker: int, now: float, k: int) -> None:
        begin = now + LINK
        end = begin + math.sqrt(worker + 1) * self.rng.uniform(0.7, 1.3)
        m = int(self.counts["sent"][worker])
        self.at_work[worker] = (k, m, now, begin, end)
        self.counts["sent"][worker] += 1
        heapq.heappush(self.arrivals, (end + LINK, worker, m))

    def next_arrival(self, until: float) -> tuple[float, int] | None:
        while self.arrivals and self.arrivals[0][0] <= until:
            now, worker, m = heapq.heappop(self.arrivals)
            if worker in self.at_work and self.at_work[worker][1] == m:  # else it was stopped
                return now, worker
        return None

    def end(self, worker: int, now: float, k: int, outcome: str) -> None:
        version, m, sent, begin, finish = self.at_work.pop(worker)
        begin, finish = min(begin, now), min(finish, now)
        self.rows.append((0, worker, m, sent, begin, finish, now, OUTCOMES.index(outcome), k, version))
        self.counts[outcome][worker] += 1
        self.counts["busy_seconds"][worker] += now - sent
        self.ends[outcome].append(now)
        if outcome in ("used", "discarded"):
            self.counts["compute_seconds"][worker] += finish - begin
            self.delays[k - version, outcome == "used"] += 1
            self.events.append((now, worker, m, KINDS.index("arrived"), k))
        if outcome != "in_flight":
            self.events.append((now, worker, m, KINDS.index(outcome), k))

    def histogram(self) -> np.ndarray:
        rows = [(d, self.delays[d, True], self.delays[d, True] + self.delays[d, False]) for d, _ in self.delays]
        return np.array(sorted(set(rows)), dtype=np.int64).reshape(-1, 3)


def _live(method: str, seed: int, n: int, time: float) -> dict[str, Any]:
    """What n workers do under a method: everything but the curves of f."""
    workers = _Workers(seed, n)
    team = [0] if method == "hero_sgd" else list(range(n))
    size = {"rennala_sgd": 4, "minibatch_sgd": n}.get(method, 1)
    largest_delay = {"ringmaster_asgd": 5, "rennala_sgd": 0}.get(method, math.inf)
    step_times: list[float] = []
    k = batch = 0
    for worker in team:
        workers.send(worker, 0.0, k)
    while (arrival := workers.next_arrival(time)) is not None:
        now, worker = arrival
        useful = k - workers.at_work[worker][0] <= largest_delay
        workers.end(worker, now, k, "used" if useful else "discarded")
        batch += useful
        if batch == size:
            k, batch = k + 1, 0
            step_times.append(now)
            workers.events.append((now, -1, -1, KINDS.index("step"), k))
            for other in list(workers.at_work) if method == "rennala_sgd" else []:
                workers.end(other, now, k, "stopped")
        if method != "minibatch_sgd" or batch == 0:
            for idle in set(team) - set(workers.at_work):
                workers.send(idle, now, k)
    for worker in list(workers.at_work):
        workers.end(worker, time, k, "in_flight")
    return {
        "iterations": k,
        "workers": workers.counts,
        "delays": workers.histogram(),
        "intervals": _windows(np.array(workers.rows, dtype=INTERVAL), time),
        "events": np.array(workers.events, dtype=EVENT),
        "step_times": np.array(step_times),
        "ends": {kind: np.array(times) for kind, times in workers.ends.items()},
    }


def _windows(rows: np.ndarray, time: float) -> np.ndarray:
    """The intervals that begin in the first, the middle and the last sixth of the run, up to 40 workers."""
    kept = []
    for window, start in enumerate((0.0, time * 5 / 12, time * 5 / 6)):
        inside = rows[(rows["sent"] >= start) & (rows["sent"] < start + time / 6) & (rows["worker"] < 40)]
        inside["window"] = window
        kept.append(inside)
    return np.concatenate(kept)
