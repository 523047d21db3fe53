"""Methods of somebody's own that block, fail and die, for processes that import them by name."""

import os
import signal
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncsim import Gradient, Server


class OwnError(Exception):
    """One of those that cannot be made again from what they are pickled as."""

    def __init__(self, worker: int, k: int) -> None:
        super().__init__(f"worker {worker} at iteration {k}")


@dataclass(frozen=True)
class Troubled:
    """Takes steps; at iteration `at` it does what `trouble` says, once where `marker` is a file to remember it by."""

    at: int = 5
    trouble: str = "none"
    marker: str = ""

    def run(self, server: Server) -> None:
        while True:
            server.broadcast(Gradient(server.x))
            arrival = server.receive()
            if server.k == self.at and not (self.marker and Path(self.marker).exists()):
                self._do(arrival)
            server.step(0.1, arrival.gradient)

    def _do(self, arrival: Any) -> None:
        if self.marker:
            Path(self.marker).touch()
        if self.trouble == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.trouble == "leaves":
            os._exit(7)
        elif self.trouble == "raises":
            raise OwnError(arrival.worker, self.at)
        elif self.trouble == "raises plainly":
            raise KeyError(self.at)
        elif self.trouble == "blocks":
            sys.stdout.write(f"blocks {os.getpid()}\n")
            sys.stdout.flush()
            threading.Event().wait()
