"""Progress on a terminal: how far, how fast, how long still. Nothing at all when there is no terminal."""

from __future__ import annotations

import math
import os
import sys
import time
from types import TracebackType
from typing import Any, Self

from asyncsim.stop import Playing, Stop


class Progress:
    """One line for a whole study: which run, its simulated time, gradients a second, time left.

    `show` None decides by itself: a terminal on stderr and no NO_COLOR.
    """

    def __init__(self, runs: int, stop: Stop, show: bool | None = None) -> None:
        self._stop = stop
        self._runs = runs
        self._done = 0.0
        self._display: Any = None
        self._task: Any = None
        self._gradients = 0.0
        self._since = 0.0
        self._rate = math.nan
        if show if show is not None else sys.stderr.isatty() and not os.environ.get("NO_COLOR"):
            self._display, self._task = _bar(runs)

    def __enter__(self) -> Self:
        if self._display is not None:
            self._display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._display is not None:
            self._display.stop()

    def begin(self, label: str, seed: int) -> None:
        """A run begins."""
        self._gradients, self._since = 0.0, time.monotonic()
        self._show(0.0, what=f"{label}, seed {seed}", at="")

    def look(self, engine: Playing) -> None:
        """Show how far the running one is."""
        if self._display is None:
            return
        now, gradients = time.monotonic(), engine.gradients
        self._rate = (gradients - self._gradients) / max(now - self._since, 1e-9)
        self._gradients, self._since = gradients, now
        self._show(self._share(engine), at=f"t = {engine.now():.4g} s, {_short(self._rate)} gradients/s")

    def end(self) -> None:
        """The running one has ended."""
        self._done += 1
        self._show(0.0)

    def _share(self, engine: Playing) -> float:
        stop, shares = self._stop, [0.0]
        for limit, at in (
            (stop.time, engine.now()),
            (stop.iterations, engine.iterations),
            (stop.gradients, engine.gradients),
            (stop.wall_clock, engine.wall_seconds),
        ):
            if limit:
                shares.append(min(1.0, at / limit))
        return max(shares)

    def _show(self, share: float, **fields: str) -> None:
        if self._display is not None:
            self._display.update(
                self._task, completed=self._done + share, count=f"{self._done:.0f}/{self._runs} runs", **fields
            )


def _bar(runs: int) -> tuple[Any, Any]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    bar = Bar(
        TextColumn("{task.fields[what]}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[count]}"),
        TextColumn("{task.fields[at]}"),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        console=Console(stderr=True),
        transient=True,
    )
    return bar, bar.add_task("", total=runs, what="", count=f"0/{runs} runs", at="")


def _short(rate: float) -> str:
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if rate >= size:
            return f"{rate / size:.3g} {unit}"
    return f"{rate:.3g}"
