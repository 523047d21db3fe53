"""What a run leaves behind, as plain data: numpy arrays, numbers and texts.

`Run` is one method with one seed; `Result` is one scenario, all its methods and seeds. The engine
makes them, the run folder keeps them (`asyncsim.folder`), the reading tools (`summary`, `export`,
`report`) know nothing else. Nothing here knows an engine, a method or a problem, and nothing is pickled.

Units: times are simulated seconds unless the name says wall; gradients are counted, not assignments.
A run that was killed before it could write its end has curves up to its last record point, and
empty arrays for what is written at the end; its totals are then read off the curves.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

STATUSES = ("finished", "interrupted", "running", "stalled", "diverged", "failed", "waiting")
OUTCOMES = ("used", "discarded", "stopped", "timed_out", "lost", "in_flight")
KINDS = ("arrived", "used", "discarded", "stopped", "timed_out", "lost", "step", "timer")

# The columns of a record point; suboptimality is nan where f* is unknown, test_accuracy where nothing is held out. worker_seconds is the computing time of
# the assignments that have ended, over all workers; regret (asyncsim.allocation.regret) is nan but for methods that
# take an allocation.
CURVES = (
    "time",
    "iteration",
    "value",
    "suboptimality",
    "squared_gradient_norm",
    "mean_squared_gradient_norm",
    "test_accuracy",
    "gradients_used",
    "gradients_discarded",
    "gradients_stopped",
    "worker_seconds",
    "regret",
)

# what can be a target; of the last more is better
TARGETS = ("squared_gradient_norm", "suboptimality", "test_accuracy")
MORE_IS_BETTER = ("test_accuracy",)

SHOWN_WORKERS = 40  # of so many it is kept what they did and when

# one entry a worker; the first seven count gradients and satisfy sent = the sum of the other six
WORKER_COUNTS = ("sent", *OUTCOMES)
WORKER_SECONDS = ("busy_seconds", "compute_seconds")
WORKERS = (*WORKER_COUNTS, *WORKER_SECONDS)

# What one assignment did. sent → computing_from is the downlink, computing_from → computing_to the computing,
# computing_to → ended the uplink. For in_flight, ended is the end of the window.
INTERVAL = np.dtype(
    [
        ("window", "i1"),  # 0 first, 1 middle, 2 last
        ("worker", "i4"),
        ("m", "i8"),  # number of its first gradient among those given to that worker
        ("sent", "f8"),
        ("computing_from", "f8"),
        ("computing_to", "f8"),
        ("ended", "f8"),
        ("outcome", "i1"),  # index into OUTCOMES
        ("k", "i8"),  # iteration at its end
        ("version", "i8"),  # iteration at which its point was made
    ]
)

# When a worker was away or without power, as far as it lies in the windows of the intervals.
AWAY = np.dtype([("worker", "i4"), ("away_from", "f8"), ("away_to", "f8")])

EVENT = np.dtype([("time", "f8"), ("worker", "i4"), ("m", "i8"), ("kind", "i1"), ("k", "i8")])  # kind: index into KINDS


def no_curves() -> dict[str, Array]:
    """Curves of a run that has no record point yet."""
    return {name: np.empty(0) for name in CURVES}


def no_contributions() -> Array:
    """Nothing known of who contributed when."""
    return np.empty((0, 0), dtype=np.int64)


def shown_workers(n: int, count: int) -> Array:
    """The `count` of n workers whose doings are kept: the first, the last, evenly between.

    >>> shown_workers(1000, 5).tolist()
    [0, 250, 500, 749, 999]
    """
    return np.linspace(0, n - 1, count).round().astype(np.int64)


def no_workers(n: int = 0) -> dict[str, Array]:
    """Counts of n workers that did nothing."""
    counts: dict[str, Array] = {name: np.zeros(n, dtype=np.int64) for name in WORKER_COUNTS}
    return counts | {name: np.zeros(n) for name in WORKER_SECONDS}


def no_delays() -> Array:
    """An empty delay histogram: columns delay, used, arrived."""
    return np.empty((0, 3), dtype=np.int64)


def no_intervals() -> Array:
    """No intervals at all."""
    return np.empty(0, dtype=INTERVAL)


def no_away() -> Array:
    """No absences at all."""
    return np.empty(0, dtype=AWAY)


@dataclass(frozen=True, eq=False)
class Run:
    """One method with one seed.

    ``curves`` has one entry a record point (`CURVES`), ``workers`` one entry a worker (`WORKERS`),
    ``contributions`` (p, s) the gradients that had arrived of each worker in ``shown`` (s,), at each record point,
    ``delays`` the full histogram with columns delay, gradients used, gradients arrived (int64),
    ``intervals`` what up to 40 workers did in a first, a middle and a last window (`INTERVAL`),
    ``away`` when these workers were away or without power in these windows (`AWAY`), the longest absences if many,
    ``events`` everything that happened (`EVENT`), only where the scenario asked for it, ``verification`` what the
    self-check found (`asyncsim.verify`), empty where none was asked for, ``effort`` what it took to compute the run:
    gradients `computed`, those `ahead` of their reading and of these the `unread` (`asyncsim.evaluation`), and the
    wall-clock `record_seconds` for the exact f and ∇f of the records, ``engine`` what a real
    cluster's workers were and what happened to them (`asyncsim.cluster`), empty in simulation.

    >>> run = Run(label="rennala_sgd", method="rennala_sgd", parameters={"batch_size": 2}, seed=0, n=1)
    >>> run
    <Run rennala_sgd seed 0: waiting, 0 iterations, 0 s>
    >>> run.used, run.largest_delay
    (0, 0)
    """

    label: str
    method: str
    parameters: dict[str, Any]
    seed: int
    n: int
    status: str = "waiting"
    reason: str = ""
    iterations: int = 0
    time: float = 0.0
    wall_seconds: float = 0.0
    event_hash: str = ""
    curves: dict[str, Array] = field(default_factory=no_curves)
    contributions: Array = field(default_factory=no_contributions)
    delays: Array = field(default_factory=no_delays)
    workers: dict[str, Array] = field(default_factory=no_workers)
    intervals: Array = field(default_factory=no_intervals)
    away: Array = field(default_factory=no_away)
    events: Array | None = None
    verification: dict[str, Any] = field(default_factory=dict)
    effort: dict[str, Any] = field(default_factory=dict)
    engine: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Run {self.label} seed {self.seed}: {self.status}, {self.iterations} iterations, {self.time:.6g} s>"

    @property
    def shown(self) -> Array:
        """The workers that the columns of ``contributions`` stand for, up to 40 of all; (s,) int64."""
        return shown_workers(self.n, self.contributions.shape[1])

    @property
    def sent(self) -> int:
        """Gradients asked for."""
        return self._total("sent")

    @property
    def used(self) -> int:
        """Gradients that were read and not rejected."""
        return self._total("used")

    @property
    def discarded(self) -> int:
        """Gradients that arrived and were never read, or were rejected."""
        return self._total("discarded")

    @property
    def stopped(self) -> int:
        """Gradients that were stopped before they arrived."""
        return self._total("stopped")

    @property
    def timed_out(self) -> int:
        """Gradients that met their deadline."""
        return self._total("timed_out")

    @property
    def lost(self) -> int:
        """Gradients whose worker went away."""
        return self._total("lost")

    @property
    def in_flight(self) -> int:
        """Gradients still being computed or on their way at the end."""
        return self._total("in_flight")

    @property
    def mean_delay(self) -> float:
        """Mean delay of the used gradients, in iterations; nan when none was used."""
        delay, used, _ = self.delays.reshape(-1, 3).T
        return float((delay * used).sum() / used.sum()) if used.sum() else math.nan

    @property
    def largest_delay(self) -> int:
        """Largest delay of a used gradient, in iterations; 0 when none was used."""
        delay, used, _ = self.delays.reshape(-1, 3).T
        return int(delay[used > 0].max(initial=0))

    @property
    def busy_share(self) -> float:
        """Part of the workers' time in which they had an assignment; nan when no time has passed."""
        busy = self.workers["busy_seconds"]
        return float(busy.sum() / (self.n * self.time)) if len(busy) and self.time > 0 else math.nan

    def _total(self, name: str) -> int:
        counts = self.workers[name]
        if len(counts) or f"gradients_{name}" not in self.curves:
            return int(counts.sum())
        # killed before its end: the last record point knows best
        curve = self.curves[f"gradients_{name}"]
        return int(curve[-1]) if len(curve) and math.isfinite(curve[-1]) else 0


@dataclass(frozen=True, eq=False)
class Result:
    """One scenario: all its methods and seeds.

    ``target`` is ``{"squared_gradient_norm": ε}``, ``{"suboptimality": ε}``, ``{"test_accuracy": a}`` or None; ``problem`` has the name,
    dimension, L, sigma2, f_star (None where unknown) and ``estimated``, the names among them that are estimates.

    >>> result = Result(name="study", runs=())
    >>> result, result.labels
    (<Result study: 0 methods × 0 seeds>, [])
    """

    name: str
    runs: tuple[Run, ...]
    target: dict[str, float] | None = None
    scenario: dict[str, Any] = field(default_factory=dict)
    manifest: dict[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    problem: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        seeds = len({run.seed for run in self.runs})
        where = f" in {self.folder}" if self.folder else ""
        return f"<Result {self.name}: {_number(len(self.labels), 'method')} × {_number(seeds, 'seed')}{where}>"

    @classmethod
    def read(cls, folder: str | Path, events: bool = True, known: dict[str, "Run"] | None = None) -> Self:
        """The result kept in a run folder, also while it is still being written or after its writer died.

        Without `events` the kept events, which may be many, stay on the disk. `known`, for who reads again and again,
        is as in `asyncsim.folder.read_folder`.
        Raises `asyncsim.folder.FolderError` when it is no run folder, or damaged.
        """
        from asyncsim.folder import read_folder

        contents = read_folder(Path(folder), events, known)
        manifest = contents.manifest
        return cls(
            name=manifest.get("name", contents.path.name),
            runs=contents.runs,
            target=manifest.get("target"),
            scenario=manifest.get("scenario") or {},
            manifest=manifest,
            folder=contents.path,
            problem=manifest.get("problem") or {},
        )

    @property
    def labels(self) -> list[str]:
        """What the methods are called, in the order of the scenario."""
        return list(dict.fromkeys(run.label for run in self.runs))

    @property
    def seeds(self) -> list[int]:
        """The seeds, in the order in which they were run."""
        return list(dict.fromkeys(run.seed for run in self.runs))

    @property
    def scenario_text(self) -> str:
        """The scenario as it was written, or nothing when the run was started from Python."""
        source = self.folder / "scenario.yaml" if self.folder else None
        return source.read_text(encoding="utf-8") if source and source.is_file() else ""

    def of(self, label: str) -> list[Run]:
        """The runs of one method, one a seed. ValueError when there is no such label."""
        found = [run for run in self.runs if run.label == label]
        if not found:
            raise ValueError(f"no method is called {label!r} here; there are {', '.join(self.labels) or 'none'}")
        return found

    def table(self) -> list[dict[str, str]]:
        """One row a method, the best first: column title → text."""
        from asyncsim.summary import table

        headers, rows = table(self)
        return [dict(zip(headers, row, strict=True)) for row in rows]

    def sentence(self) -> str:
        """Who got there first, in one sentence, or that there is no clear winner."""
        from asyncsim.summary import sentence

        return sentence(self)

    def report(self, path: str | Path | None = None) -> Path:
        """Write the report, one HTML file; without a path it goes into the run folder. Returns where it is."""
        from asyncsim.report import write_report

        if path is not None:
            return write_report(self, Path(path))
        if self.folder is None:
            raise ValueError("this result has no run folder: say where the report goes, report('report.html')")
        return write_report(self, self.folder / "report.html")

    def figures(self, folder: str | Path, to: str = "pdf") -> list[Path]:
        """Write figures for a paper into `folder`, as pdf or svg; needs matplotlib. Returns where they are."""
        from asyncsim.report.figures import write_figures

        return write_figures(self, Path(folder), to)

    def to_pandas(self, table: str = "curves") -> Any:
        """A long table as a pandas frame: curves, runs, workers, delays, intervals or away (`asyncsim.frames`)."""
        from asyncsim.frames import to_pandas

        return to_pandas(self, table)

    def to_polars(self, table: str = "curves") -> Any:
        """The same as a polars frame."""
        from asyncsim.frames import to_polars

        return to_polars(self, table)

    def _repr_html_(self) -> str:
        """What a notebook shows: the sentence, the table, the curve."""
        from asyncsim.report.inline import inline

        return inline(self)

    def export(self, path: str | Path, to: str = "csv") -> Path:
        """Write the arrays as a folder of csv files or as one npz file. Returns where they are."""
        from asyncsim.export import export

        return export(self, Path(path), to)


def meets(target: Mapping[str, float], point: Mapping[str, float]) -> bool:
    """Whether a record point meets the target.

    >>> meets({"squared_gradient_norm": 0.1}, {"squared_gradient_norm": 0.2}), meets({"test_accuracy": 0.9}, {"test_accuracy": 0.95})
    (False, True)
    """
    return all(
        point[name] >= limit if name in MORE_IS_BETTER else point[name] <= limit for name, limit in target.items()
    )


def unique_labels(wanted: Sequence[str]) -> list[str]:
    """Labels that tell all methods apart: the second of equal ones gets a 2, and so on.

    >>> unique_labels(["rennala_sgd", "hero_sgd", "rennala_sgd"])
    ['rennala_sgd', 'hero_sgd', 'rennala_sgd 2']
    """
    given, labels, numbers = set(wanted), dict[str, None](), Counter[str]()
    for label in wanted:
        candidate = label
        while candidate in labels or (candidate != label and candidate in given):
            numbers[label] = max(2, numbers[label] + 1)
            candidate = f"{label} {numbers[label]}"
        labels[candidate] = None
    return list(labels)


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


# what happens first when time and iteration are the same: the step that made the iteration
_RANK = np.argsort(np.argsort([{"step": -1}.get(kind, place) for place, kind in enumerate(KINDS)]))


def events_in_order(events: Array) -> Array:
    """Events (`EVENT`) in the order in which they happened: by time, iteration, then kind."""
    return events[np.lexsort((_RANK[events["kind"]], events["k"], events["time"]))]
