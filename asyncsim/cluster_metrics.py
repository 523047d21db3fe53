"""What a run on Ray tells Prometheus, through Ray: its numbers stand on the metrics port of the driver's machine.

Counters and gauges with the tag `run` (the label of the method and its seed). They are renewed when the engine looks up,
about ten times a second, never at an arrival; Ray shows them after some seconds. Without ray[default] nobody reads them.
"""

from __future__ import annotations

import importlib
from typing import Any

NAMES = {
    "asyncsim_gradients": "gradients that reached the server",
    "asyncsim_iterations": "steps of the method, k",
    "asyncsim_busy_workers": "workers that have a job",
    "asyncsim_mean_delay": "mean delay of the gradients that arrived so far, in iterations",
    "asyncsim_replaced_workers": "processes of workers that were replaced",
}
COUNTERS = ("asyncsim_gradients", "asyncsim_iterations", "asyncsim_replaced_workers")


class Metrics:
    """The metrics of one run."""

    def __init__(self, run: str) -> None:
        made = importlib.import_module("ray.util.metrics")
        self._tags = {"run": run}
        self._shown: dict[str, float] = {}
        self._made: dict[str, Any] = {
            name: (made.Counter if name in COUNTERS else made.Gauge)(name, description=said, tag_keys=("run",))
            for name, said in NAMES.items()
        }

    def show(self, **values: float) -> None:
        """Renew them: gradients=…, iterations=…, and so on; counters get what came since the last time."""
        for short, value in values.items():
            name = f"asyncsim_{short}"
            before, self._shown[name] = self._shown.get(name, 0.0), value
            if name not in COUNTERS:
                self._made[name].set(value, tags=self._tags)
            elif value > before:
                self._made[name].inc(value - before, tags=self._tags)
