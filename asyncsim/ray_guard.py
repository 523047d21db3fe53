"""A small process that clears away what a killed driver leaves of the Ray that it had started.

Ray's own processes die with their driver, but two of them (its agents) try for a minute to report that to others that
are dead as well. The guard is told their numbers on its standard input. When that ends without "done" the driver is
gone: it waits a moment, ends those that still live, and removes the folder with their files.

Started as a file of its own with `python -I -S`: it needs the standard library only and starts in milliseconds.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO, cast

GRACE = 2.0  # seconds that Ray has to end by itself


def main() -> None:
    """Wait for the driver's end; see the head of this file."""
    told = sys.stdin.read().split()
    if told and told[-1] == "done":
        return
    time.sleep(GRACE)
    for pid in told:
        if _is_of_ray(int(pid)):
            with contextlib.suppress(OSError):
                os.kill(int(pid), signal.SIGKILL)
    shutil.rmtree(sys.argv[1], ignore_errors=True)


def _is_of_ray(pid: int) -> bool:
    # a number may have been given to somebody else meanwhile
    try:
        return b"ray" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


class Guard:
    """The guard of a driver; `watch` tells it the processes, leaving it means that all was cleared away."""

    def __init__(self, folder: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, folder],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True,
            start_new_session=True,  # what ends the driver's whole group does not end it
        )  # fmt: skip
        self._input = cast(IO[str], self._process.stdin)

    def watch(self, pids: Iterable[int]) -> None:
        """Tell which processes are to be gone when the driver is."""
        with contextlib.suppress(OSError):
            self._write("".join(f"{pid}\n" for pid in pids if pid != self._process.pid))

    def close(self) -> None:
        """All was cleared away."""
        with contextlib.suppress(OSError):
            self._write("done")
        with contextlib.suppress(OSError):
            self._input.close()
        self._process.wait()

    def _write(self, text: str) -> None:
        self._input.write(text)
        self._input.flush()


if __name__ == "__main__":
    main()
