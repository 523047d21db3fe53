"""Progress on a terminal: how far, how fast, how long still. Nothing at all when there is no terminal."""

from __future__ import annotations

import math
import os
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from asyncsim.playing import Reached, Seen, share
from asyncsim.result import Run
from asyncsim.stop import Stop

if TYPE_CHECKING:
    from asyncsim.metrics import Metrics


class Progress:
    """How far a study is: one line, or one for all and one for each process where there are several.

    `show` None decides by itself: a terminal on stderr and no NO_COLOR. `also` is told all that is told here.
    """

    def __init__(self, runs: int, stop: Stop, show: bool | None = None, also: Metrics | None = None) -> None:
        self._also = also
        self._stop = stop
        self._runs = runs
        self._done = 0
        self._lines: dict[int, _Line] = {}
        self._display: Any = None
        self._all: Any = None
        if show if show is not None else sys.stderr.isatty() and not os.environ.get("NO_COLOR"):
            self._display = _bars()
            self._all = self._display.add_task("", total=runs, what="", count=f"0/{runs} runs", at="")

    def __enter__(self) -> Self:
        if self._display is not None:
            self._display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._display is not None:
            self._display.stop()

    def begin(self, label: str, seed: int, process: int = 0) -> None:
        """A run begins."""
        if self._also is not None:
            self._also.begin(label, seed, process)
        self._lines[process] = line = self._lines.get(process) or _Line()
        line.begin(f"{label}, seed {seed}")
        if line.task is not None:
            self._display.reset(line.task)
        self._show(process)

    def at(self, reached: Reached, process: int = 0, seen: Seen | None = None) -> None:
        """How far a running one is."""
        if self._also is not None:
            self._also.at(reached, process, seen)
        if self._display is not None:
            self._lines[process].at(reached, share(reached, self._stop))
            self._show(process)

    def end(self, process: int = 0, *, begins_again: bool = False) -> None:
        """A running one has ended, or will be played again."""
        if self._also is not None:
            self._also.end(process, begins_again=begins_again)
        self._done += not begins_again
        self._lines.get(process, _Line()).end()
        self._show(process)

    def ended(self, run: Run) -> None:
        """What became of a run."""
        if self._also is not None:
            self._also.ended(run)

    def left_out(self, runs: int) -> None:
        """So many runs need not be played: they were before."""
        if self._also is not None:
            self._also.left_out(runs)
        self._done += runs
        if self._display is not None:
            # what took no time says nothing about the time left
            self._display.reset(self._all, total=self._runs, completed=self._done)

    def _show(self, process: int) -> None:
        if self._display is None:
            return
        counted = {
            "completed": self._done + sum(line.share for line in self._lines.values()),
            "count": f"{self._done}/{self._runs} runs",
        }
        if len(self._lines) == 1:
            self._display.update(self._all, **counted, **self._lines[process].fields())
            return
        rate = sum(line.rate for line in self._lines.values() if not math.isnan(line.rate))
        self._display.update(self._all, **counted, what="all", at=f"{_short(rate)} gradients/s")
        for line in self._lines.values():
            if line.task is None:
                line.task = self._display.add_task("", total=1.0, count="", **line.fields())
            self._display.update(line.task, completed=line.share, **line.fields())


class _Line:
    """What is shown of one process."""

    def __init__(self) -> None:
        self.task: Any = None
        self.share = 0.0
        self.rate = math.nan
        self._what, self._at = "", ""
        self._gradients, self._since = 0.0, 0.0

    def begin(self, what: str) -> None:
        self._what, self._at, self.share = what, "", 0.0
        self._gradients, self._since = 0.0, time.monotonic()

    def at(self, reached: Reached, share: float) -> None:
        now, (simulated, _, gradients, _) = time.monotonic(), reached
        self.rate = (gradients - self._gradients) / max(now - self._since, 1e-9)
        self._gradients, self._since = gradients, now
        self.share, self._at = share, f"t = {simulated:.4g} s, {_short(self.rate)} gradients/s"

    def end(self) -> None:
        self.share, self.rate = 0.0, math.nan

    def fields(self) -> dict[str, str]:
        return {"what": self._what, "at": self._at}


def _bars() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    return Bars(
        TextColumn("{task.fields[what]}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[count]}"),
        TextColumn("{task.fields[at]}"),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        console=Console(stderr=True),
        transient=True,
    )


def _short(rate: float) -> str:
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if rate >= size:
            return f"{rate / size:.3g} {unit}"
    return f"{rate:.3g}"
