"""One planned run of a study, played: in this process or in another one, it is the same call.

A study (asyncsim/study.py, asyncsim/sweep.py, `compare`) has one `Setting`, which all its runs share, and many `Planned`
runs. Both are plain descriptions that can travel to another process (asyncsim/parallel.py); what comes back is a `Run`.
What a run needs from outside while it goes on is given to `play`: a writer for its tables and checkpoints, somebody who
looks on, and an `Interruption`, which ends it at its next step, after a checkpoint.
"""

from __future__ import annotations

import math
import signal
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from asyncsim import running
from asyncsim.log import Rows
from asyncsim.record import Record
from asyncsim.result import Run
from asyncsim.server import EndOfRun
from asyncsim.stop import Playing, Stop
from asyncsim.times import Workers

if TYPE_CHECKING:
    from asyncsim.cluster import Crew

Reached = tuple[
    float, int, int, float
]  # how far a run is: simulated seconds, iterations, gradients, wall-clock seconds


@dataclass(frozen=True)
class Setting:
    """What all runs of a study have in common.

    `problem` makes the problem of a seed. With `keep_errors` an error of the user's own code ends that run as failed;
    without, it passes through. A `crew` plays the runs on real workers, in this process. Who
    looks on is told more (`Seen`) where the runs are `observed`. `facts` is what the problem of a seed is known to be,
    ("seed", "data_sha256", "kernel"), which another machine must find too.
    """

    problem: Callable[[int], Any]
    workers: Workers
    stop: Stop
    target: Mapping[str, float] | None
    record: Record
    verify: bool = False
    evaluation: str = "auto"
    keep_errors: bool = True
    crew: Crew | None = None
    observed: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Planned:
    """One run: its number in the study, one method with one seed, and an end of its own where it has one."""

    number: int
    label: str
    method: Any
    seed: int
    update_rule: Any = None
    stop: Stop | None = None


class Writer(Protocol):
    """Where the tables and the checkpoints of one run go (`asyncsim.folder.RunWriter`)."""

    def curve(self, row: Mapping[str, Any]) -> None: ...
    def assignments(self, rows: Rows) -> None: ...
    def marks(self, rows: Rows) -> None: ...
    def truncate(self, lengths: Mapping[str, int]) -> None: ...
    def save_checkpoint(self, data: bytes, k: int) -> None: ...


def play(
    setting: Setting,
    planned: Planned,
    *,
    interruption: Interruption,
    writer: Writer | None = None,
    look: Callable[[Playing], None] | None = None,
    checkpoint: bytes | None = None,
) -> Run:
    """Play one run to its end, from its beginning or from a checkpoint; `look` is called about ten times a second."""

    def looked_on(engine: Playing) -> None:
        if look is not None:
            look(engine)
        interruption.look(engine)

    return running.execute(
        planned.method,
        setting.problem(planned.seed),
        setting.workers,
        planned.stop or setting.stop,
        planned.seed,
        setting.target,
        setting.record,
        planned.label,
        update_rule=planned.update_rule,
        verify=setting.verify,
        evaluation=setting.evaluation,
        sink=writer,
        keeper=None if writer is None else Keeper(writer, setting.record.checkpoint_every, interruption),
        look=looked_on,
        checkpoint=checkpoint,
        on_error=described if setting.keep_errors else None,
        crew=setting.crew,
        build=partial(setting.problem, planned.seed),
    )


def reached(engine: Playing) -> Reached:
    """How far a run is."""
    return engine.now(), engine.iterations, engine.gradients, engine.wall_seconds


def share(reached: Reached, stop: Stop) -> float:
    """How much of a run is done, 0…1, as far as its stop rule tells.

    >>> share((5.0, 10, 20, 0.1), Stop(time=20, gradients=40))
    0.5
    """
    limits = (stop.time, stop.iterations, stop.gradients, stop.wall_clock)
    return max([0.0, *(min(1.0, at / limit) for limit, at in zip(limits, reached, strict=True) if limit)])


DELAYS = (0, *(2**power for power in range(20)))  # bounds of the buckets that delays are counted in


@dataclass(frozen=True)
class Seen:
    """More of a running run, for metrics (asyncsim/metrics.py).

    `busy` workers; `gradients` by what became of them; `delays` of those that arrived, how many have at most each of
    `DELAYS`, and all, with the sum `delay_sum`; `point`, what the last record point tells of the objective.
    """

    busy: int
    gradients: dict[str, int]
    delays: tuple[int, ...]
    delay_sum: int
    point: dict[str, float]

    @classmethod
    def of(cls, busy: int, counts: Mapping[str, int], delays: np.ndarray, point: Mapping[str, float]) -> Seen:
        """From a log's totals and delays, and a record point.

        >>> Seen.of(0, {"arrived": 3, "used": 2}, np.array([[0, 1, 1], [3, 1, 2]]), {}).delays[:4]
        (1, 1, 1, 3)
        """
        delay, _, arrived = delays.reshape(-1, 3).T
        below = tuple(int(arrived[delay <= bound].sum()) for bound in DELAYS)
        outcomes = {
            "discarded": counts["arrived"] - counts["used"],
            **{k: v for k, v in counts.items() if k != "arrived"},
        }
        known = {name: float(value) for name, value in point.items() if not math.isnan(value)}
        return cls(busy, outcomes, (*below, int(arrived.sum())), int((delay * arrived).sum()), known)


OBJECTIVE = ("value", "suboptimality", "squared_gradient_norm", "mean_squared_gradient_norm")


def seen(engine: Playing, setting: Setting) -> Seen | None:
    """More of a running run, where somebody wants to know."""
    if not setting.observed:
        return None
    server, log, recorder = engine.parts()
    point = {name: recorder.rows[-1][name] for name in OBJECTIVE} if recorder.rows else {}
    return Seen.of(server.busy, log.totals(), log.delays(), point)


def described(error: BaseException) -> str:
    """An error of a method, law or problem in one line, with the place in the user's own code."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if "asyncsim" not in Path(frame.filename).parts
    ]
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"


class Interruption:
    """Asked for once, it ends the running run at its next step, or after a while where no step comes."""

    PATIENCE = 1.0  # seconds until the run ends even where no step comes

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._at = 0.0

    def ask(self, number: int) -> None:
        """End the run, because of this signal."""
        self.received, self._at = signal.Signals(number), time.monotonic()

    def end(self) -> EndOfRun:
        """What the run ends with."""
        name = self.received.name if self.received is not None else "a signal"
        return EndOfRun("interrupted", f"stopped by {name}")

    def look(self, engine: Playing) -> None:
        """End the run where it has not made a step for too long."""
        if self.received is not None and time.monotonic() - self._at >= self.PATIENCE:
            engine.end(self.end())


class Keeper:
    """Writes checkpoints: every so many seconds, but never more than 2 % of the time; and before an interruption."""

    def __init__(self, writer: Writer, every: float, interruption: Interruption) -> None:
        self._writer = writer
        self._every = every
        self._interruption = interruption
        self._next = time.monotonic() + every

    def due(self, k: int) -> bool:
        """Whether a checkpoint is to be written at this step."""
        return self._interruption.received is not None or time.monotonic() >= self._next

    def save(self, encode: Callable[[], bytes], k: int) -> None:
        """Write it; ends the run where that was asked for."""
        begun = time.monotonic()
        data = encode()
        self._writer.save_checkpoint(data, k)
        now = time.monotonic()
        self._next = now + (max(self._every, 50 * (now - begun)) if self._every > 0 else 0.0)
        if self._interruption.received is not None:
            raise self._interruption.end()
