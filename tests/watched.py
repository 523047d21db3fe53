"""Looking over a method's shoulder: what it had in hand at each of its steps."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from asyncsim import Server


@dataclass
class Watched:
    """A method that runs as it would alone; `seen` gets `look(server, last arrival, direction, state)` at each step."""

    method: Any
    look: Callable[..., Any]
    seen: list[Any] = field(default_factory=list)

    def run(self, server: Server) -> None:
        self.method.run(_Between(server, self))


class _Between:
    def __init__(self, server: Server, watched: Watched) -> None:
        self._server, self._watched = server, watched

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)

    def receive(self) -> Any:
        self._last = self._server.receive()
        return self._last

    def step(self, stepsize: float, direction: np.ndarray, **state: Any) -> np.ndarray:
        self._watched.seen.append(self._watched.look(self._server, self._last, direction, state))
        return self._server.step(stepsize, direction, **state)


class Versions:
    """A problem whose iterates tell of which versions the rows of a table are.

    The direction's first number is −1, so that with γ = 1 the first number of x^k is k; worker i's gradient has n times
    the version of its point in place 1 + i, so that the direction has there the mean version of row i.
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self.dimension = 1 + n
        self.x0 = np.zeros(1 + n)

    def gradient(self, x: np.ndarray, rng: Any, worker: int) -> np.ndarray:
        gradient = np.zeros(1 + self.n)
        gradient[0] = -1.0
        gradient[1 + worker] = self.n * round(x[0])
        return gradient
