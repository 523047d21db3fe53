"""A process that plays runs for another one: what runs in it, and how the two talk.

It is started as a new interpreter (`asyncsim.parallel`), which imports this module and nothing of the user's main
program, so that a script needs no `if __name__ == "__main__":`. The two talk through one pipe. What comes:

    ("setting", pickled, modules)      before all else; `modules` are those that lie beside a scenario: name → folder
    ("play", pickled, checkpoint)      one planned run
    ("end", signal)                    end it at its next step, after a checkpoint
    ("done",)                          no more runs

and what goes back, about the one run that is being played:

    ("wrote", [(what, arguments), …])  rows for its tables, in order; checkpoints stand among them
    ("at", reached, seen)              how far it is, about ten times a second; more (or None) for who observes
    ("ended", run)
    ("raised", error, text)            an error that ends the study, and its traceback

A thread listens, so that an end is heard while a run computes, and so that this process ends as soon as the pipe does,
that is when the other one has ended, however that came. The signals of a terminal or a batch system are left to the
other process, which passes them on. Objects are pickled through this pipe only, never into a file.
"""

from __future__ import annotations

import importlib
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

import cloudpickle

from asyncsim.log import Rows
from asyncsim.playing import Interruption, Setting, play, reached, seen

SEND_EVERY = 0.1  # seconds that rows wait for others, so that a message is worth its price
SEND_BYTES = 1 << 20


def send(pipe: Connection, *message: Any) -> None:
    """Send a message; objects of the user's main program travel by value."""
    pipe.send_bytes(cloudpickle.dumps(message))


def receive(pipe: Connection) -> Any:
    """The next message; EOFError or OSError when the other process has ended."""
    return pickle.loads(pipe.recv_bytes())


class Sender:
    """The writer of a run whose tables and checkpoints are written by the other process, to which `tell` talks."""

    def __init__(self, tell: Callable[..., None]) -> None:
        self._tell = tell
        self._waiting: list[tuple[str, tuple[Any, ...]]] = []
        self._bytes = 0
        self._sent_at = time.monotonic()

    def curve(self, row: Mapping[str, Any]) -> None:
        self._add("curve", dict(row))

    def assignments(self, rows: Rows) -> None:
        # a copy: whoever gave them may write into them again before they are sent
        self._add("assignments", rows.copy(), size=rows.nbytes)

    def marks(self, rows: Rows) -> None:
        self._add("marks", rows.copy(), size=rows.nbytes)

    def truncate(self, lengths: Mapping[str, int]) -> None:
        self._add("truncate", dict(lengths))

    def save_checkpoint(self, data: bytes, k: int) -> None:
        # behind the rows that it counts on
        self._add("save_checkpoint", data, k)
        self.flush()

    def flush(self) -> None:
        """Send what waits."""
        if self._waiting:
            waiting, self._waiting, self._bytes = self._waiting, [], 0
            self._tell("wrote", waiting)
        self._sent_at = time.monotonic()

    def _add(self, what: str, *arguments: Any, size: int = 0) -> None:
        self._waiting.append((what, arguments))
        self._bytes += size
        if self._bytes >= SEND_BYTES or time.monotonic() - self._sent_at >= SEND_EVERY:
            self.flush()


def main(handle: int) -> None:
    """Play runs until there are no more, talking through the pipe with this file descriptor."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    pipe = Connection(handle)
    interruption = Interruption()
    tasks: SimpleQueue[tuple[Any, ...]] = SimpleQueue()
    threading.Thread(target=_listen, args=(pipe, tasks, interruption), daemon=True).start()
    setting: Setting | None = None
    while (task := tasks.get())[0] != "done":
        kind, pickled, besides = task
        try:
            if kind == "setting":
                _import(besides)
                setting = pickle.loads(pickled)
            elif setting is not None:
                play_one(partial(send, pipe), setting, pickled, besides, interruption)
        except BaseException as error:  # of the user's code
            send(pipe, "raised", *raised(error))
        sys.stdout.flush()


def _listen(pipe: Connection, tasks: SimpleQueue[tuple[Any, ...]], interruption: Interruption) -> None:
    try:
        while (message := receive(pipe))[0] != "done":
            if message[0] == "end":
                interruption.ask(message[1])
            else:
                tasks.put(message)
        tasks.put(message)
        receive(pipe)
    except (EOFError, OSError):
        # nobody is left to play for; threads and exit functions of the user's code must not keep it alive
        os._exit(0)


def play_one(
    tell: Callable[..., None], setting: Setting, task: bytes, checkpoint: bytes | None, interruption: Interruption
) -> None:
    """Play a run that came as (planned, whether it is kept), pickled; `tell` is told all about it, its end too."""
    try:
        planned, kept = pickle.loads(task)
        writer = Sender(tell) if kept else None
        run = play(
            setting,
            planned,
            interruption=interruption,
            writer=writer,
            look=lambda engine: tell("at", reached(engine), seen(engine, setting)),
            checkpoint=checkpoint,
        )
        if writer is not None:
            writer.flush()
    except BaseException as error:  # of the user's code, SystemExit among them: it belongs to the study
        tell("raised", *raised(error))
    else:
        tell("ended", run)


def _import(modules: Mapping[str, str]) -> None:
    """Import what lies beside a scenario, as the scenario did it: first there, and only while we look."""
    for name, folder in modules.items():
        sys.path.insert(0, folder)
        try:
            importlib.import_module(name)
        finally:
            sys.path.remove(folder)


def raised(error: BaseException) -> tuple[BaseException, str]:
    """An error as it can travel, and its traceback."""
    text = "".join(traceback.format_exception(error))
    # many exceptions can be pickled, but not made again from what they are pickled as
    try:
        again = pickle.loads(cloudpickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}"), text
    return (error if isinstance(again, type(error)) else RuntimeError(f"{type(error).__name__}: {error}")), text
