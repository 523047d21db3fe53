"""What both engines are told from outside: when a run ends, who keeps checkpoints, how often to look up."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from asyncsim.log import Log
    from asyncsim.record import Recorder
    from asyncsim.server import EndOfRun, Server

LOOK_EVERY = 0.1  # wall-clock seconds between two looks at progress, signals, checkpoints


@dataclass(frozen=True)
class Stop:
    """When a run ends; at least one of these. A stop at time T includes T.

    time : simulated seconds;  iterations : k;  gradients : gradients that reached the server;
    target : True ends at the first record that meets the target;  wall_clock : real seconds.

    >>> Stop(time=100.0)
    Stop(time=100.0, iterations=None, gradients=None, target=False, wall_clock=None)
    """

    time: float | None = None
    iterations: int | None = None
    gradients: int | None = None
    target: bool = False
    wall_clock: float | None = None

    def __post_init__(self) -> None:
        limits = {
            "time": self.time,
            "iterations": self.iterations,
            "gradients": self.gradients,
            "wall_clock": self.wall_clock,
        }
        for name, limit in limits.items():
            if limit is not None and not 0 <= limit < math.inf:
                raise ValueError(f"stop: {name} = {limit!r}, but a finite number >= 0 is needed")
        if not self.target and all(limit is None for limit in limits.values()):
            raise ValueError(
                "stop: nothing would ever end the run; give time, iterations, gradients, target or wall_clock"
            )


class Keeper(Protocol):
    """Who keeps checkpoints: says when one is due, and takes it."""

    def due(self, k: int) -> bool: ...
    def save(self, encode: Callable[[], bytes], k: int) -> None: ...


class Playing(Protocol):
    """An engine while it plays a run, for whoever looks on."""

    @property
    def iterations(self) -> int: ...
    @property
    def gradients(self) -> int: ...
    @property
    def wall_seconds(self) -> float: ...
    def now(self) -> float: ...
    def end(self, over: EndOfRun) -> None: ...
    def parts(self) -> tuple[Server, Log, Recorder]: ...
