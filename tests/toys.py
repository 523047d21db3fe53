"""Small real parts for tests of the core: a method from a function, problems to compute by hand, traces as lists."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from asyncsim import ProtocolError, Record, Server, Stop, Workers, simulate
from asyncsim.result import KINDS, Run
from asyncsim.testing.holds import bits, differences

__all__ = [
    "ALL_EVENTS",
    "OWN_OBJECTS",
    "Method",
    "Noisy",
    "NoisyInFloat32",
    "Slope",
    "bits",
    "differences",
    "differing_numbers",
    "play",
    "refused",
    "trace",
]

# somebody's program that is no file: prints the same line for each way to play the runs of its own method, problem and law
OWN_OBJECTS = """
{imports}from asyncsim import Gradient, Stop, Workers, compare

class Cautious:
    def run(self, server):
        while True:
            server.broadcast(Gradient(server.x))
            arrival = server.receive()
            server.step(0.5 / (1 + arrival.delay), arrival.gradient)

class Bowl:
    dimension = 2
    def __init__(self):
        import numpy as np
        self.x0 = np.ones(2)
    def gradient(self, x, rng, worker):
        return x + 0.1 * rng.standard_normal(2)
    def full_gradient(self, x):
        return x

def law(rng, worker, start):
    return 1.0 + worker + rng.random()

for processes in {processes}:
    result = compare([Cautious()], Bowl(), Workers(3, law), stop=Stop(time=50), seeds=[1, 2], processes=processes)
    print([(run.event_hash, run.curves["squared_gradient_norm"].tolist()) for run in result.runs])
"""

ALL_EVENTS = Record(iterations=1, events="all")


@dataclass(frozen=True)
class Method:
    """A method from a function of the server."""

    do: Callable[[Server], None]

    def run(self, server: Server) -> None:
        self.do(server)


class Slope:
    """f(x) = x²/2 on one number, the mean of four such; `evaluated` lists whose gradients were computed."""

    dimension = 1
    components = 4
    L = 1.0
    sigma2 = 0.0
    f_star = 0.0

    def __init__(self, x0: float = 8.0) -> None:
        self.x0 = np.array([x0])
        self.evaluated: list[int] = []

    def gradient(self, x: np.ndarray, rng: np.random.Generator, worker: int) -> np.ndarray:
        self.evaluated.append(worker)
        return x.copy()

    def component_gradient(self, x: np.ndarray, j: int) -> np.ndarray:
        self.evaluated.append(j)
        return x.copy()

    def value(self, x: np.ndarray) -> float:
        return float(x @ x / 2)

    def full_gradient(self, x: np.ndarray) -> np.ndarray:
        return x.copy()


class Noisy:
    """f(x) = ‖x‖²/2 on three numbers, with normal noise; `drawn` lists (worker, first random number).

    It is also the mean of four functions that differ in curvature and optimum.
    """

    dimension = 3
    components = 4
    L = 1.0
    sigma2 = 0.03
    f_star = 0.0

    def __init__(self) -> None:
        self.x0 = np.array([1.0, -2.0, 3.0])
        self.drawn: list[tuple[int, float]] = []

    def gradient(self, x: np.ndarray, rng: np.random.Generator, worker: int) -> np.ndarray:
        noise = rng.standard_normal(3)
        self.drawn.append((worker, float(noise[0])))
        return x + 0.1 * noise

    def component_gradient(self, x: np.ndarray, j: int) -> np.ndarray:
        return (0.7 + 0.2 * j) * x + 0.1 * (j - 1.5)

    def value(self, x: np.ndarray) -> float:
        return float(x @ x / 2)

    def full_gradient(self, x: np.ndarray) -> np.ndarray:
        return x.copy()


class NoisyInFloat32(Noisy):
    """The same in float32, as networks are trained."""

    def __init__(self) -> None:
        super().__init__()
        self.x0 = self.x0.astype(np.float32)

    def gradient(self, x: np.ndarray, rng: np.random.Generator, worker: int) -> np.ndarray:
        assert x.dtype == np.float32
        return super().gradient(x, rng, worker).astype(np.float32)

    def component_gradient(self, x: np.ndarray, j: int) -> np.ndarray:
        assert x.dtype == np.float32
        return super().component_gradient(x, j).astype(np.float32)


def play(
    method: Any,
    compute_time: Any,
    *,
    n: int | None = None,
    uplink: Any = 0.0,
    downlink: Any = 0.0,
    problem: Any = None,
    stop: Stop | None = None,
    record: Record = ALL_EVENTS,
    **options: Any,
) -> Run:
    """Simulate a method, or a function of the server, until time 10, and keep every event."""
    method = method if hasattr(method, "run") else Method(method)
    workers = Workers(n or len(compute_time), compute_time, uplink, downlink)
    return simulate(method, problem or Slope(), workers, stop=stop or Stop(time=10.0), record=record, **options)


def trace(run: Run, *kinds: str) -> list[tuple[float, int, str]]:
    """(time, worker, kind) of every event of a run that kept them, or of those of some kinds."""
    found = [(float(e["time"]), int(e["worker"]), KINDS[e["kind"]]) for e in run.events]
    return [event for event in found if not kinds or event[2] in kinds]


@contextmanager
def refused(server: Server, words: str) -> Iterator[None]:
    """A ProtocolError with these words comes, and nothing has changed."""
    before = _all_of(server)
    with pytest.raises(ProtocolError, match=words):
        yield
    assert _all_of(server) == before


def _all_of(server: Server) -> tuple[bytes, str, list[int]]:
    return server.encode(server.snapshot()), server._log.event_hash(), server.idle


def differing_numbers(one: Run, other: Run) -> list[str]:
    """What runs of two methods differ in, but for what they are called and whether they have an allocation."""
    return [what for what in differences(one, other) if not what.startswith(("label", "parameters", "curve regret"))]
