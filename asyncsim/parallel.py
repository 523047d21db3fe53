"""Runs of a study side by side: several processes, each playing one run at a time.

They are processes of this machine, or actors on a Ray cluster (asyncsim/cluster_runs.py), to which the same rules apply.

Rules:
1. What comes out does not depend on the number of processes: a run is a function of its plan, each process uses one
   thread for linear algebra as a run in this process does, and runs are told apart by their numbers, never by the
   order in which they end.
2. The processes are new interpreters that know nothing of the main program (asyncsim/_worker_process.py): no fork of
   threads and locks, and no `if __name__ == "__main__":`. The user's objects travel by cloudpickle through a pipe.
3. This process alone writes the run folder; rows and checkpoints come through the pipe in the order in which they were
   written, so that a checkpoint never counts on rows that are not there. A process that sends faster than
   this one writes waits.
4. A process that dies (killed, out of memory, a crash in compiled code) takes nothing along but its run, which another
   process takes up once from its last checkpoint; when that dies too the run has failed.
5. When this process ends, however it does, the others see their pipe end and do so too. After a signal each has as
   long as a run here until its next step, and a little more; then it is ended, and its run goes on from its last
   checkpoint when it is taken up.
"""

from __future__ import annotations

import math
import os
import pickle
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import cloudpickle

from asyncsim import running
from asyncsim.playing import Interruption, Planned, Reached, Seen, Setting, Writer, play, reached, seen
from asyncsim.result import Run
from asyncsim.server import EndOfRun
from asyncsim.stop import Playing

ALONE = 1.0  # seconds that a study is played here before processes are started for it, where nobody said how many
GRACE = 0.6  # seconds that a process has after a signal, besides those that every run has
LOOK_EVERY = 0.1
ATTEMPTS = 2

_ONE_THREAD = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"),
    *("VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS"),
)


class KeptWriter(Writer, Protocol):
    """The writer of a run in the folder that this process holds."""

    def load_checkpoint(self) -> bytes | None: ...
    def so_far(self) -> Run: ...


Ended = tuple[Planned, KeptWriter | None, Run]


class Watcher(Protocol):
    """Who is told what the processes do (`asyncsim.progress.Progress`)."""

    def begin(self, label: str, seed: int, process: int = 0) -> None: ...
    def at(self, reached: Reached, process: int = 0, seen: Seen | None = None) -> None: ...
    def end(self, process: int = 0, *, begins_again: bool = False) -> None: ...


def cores() -> int:
    """How many processors this process may use: those of the machine, less what affinity and cgroups take away.

    >>> 1 <= cores() <= os.cpu_count()
    True
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"))
    return allowed if math.isinf(quota) else max(1, min(allowed, math.ceil(quota)))


def _quota(root: Path, own: Path) -> float:
    """The processors that the cgroups of this process leave to it; inf where they say nothing."""
    try:
        lines = [line.split(":", 2) for line in own.read_text().splitlines()]
    except OSError:
        return math.inf
    least = math.inf
    for _, controllers, inside in lines:
        if controllers and "cpu" not in controllers.split(","):
            continue
        files = ["cpu.cfs_quota_us", "cpu.cfs_period_us"] if controllers else ["cpu.max"]
        lowest = root / controllers / inside.lstrip("/")
        # a limit above holds for all below; in a container the path may be that of the host, and the root is ours
        for folder in (lowest, *lowest.parents):
            if folder.is_relative_to(root):
                least = min(least, _processors(folder, files))
    return least


def _processors(folder: Path, files: Iterable[str]) -> float:
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = (float(word) for name in files for word in (folder / name).read_text().split())
        if quota > 0:  # "max" is no number, and −1 says the same in the older form
            return quota / period
    return math.inf


@dataclass(frozen=True)
class OnCluster:
    """Where the runs of a study are played: in the place of a number of `processes`, on a Ray cluster that is up.

    address : "host:port", "auto" finds the cluster of this machine or RAY_ADDRESS, "local" starts a Ray of its own
    at_most : how many runs are played at a time; None: as many as it has processors free
    insecure : whether a cluster on other machines that asks for no token is accepted
    start_timeout : seconds in which a place for a run must be ready, on a processor that is free

    Each run takes one processor. What comes out is what processes of this machine make of it.

    >>> OnCluster("10.0.0.5:6379", at_most=100)
    OnCluster(address='10.0.0.5:6379', at_most=100, insecure=False, start_timeout=120.0)
    """

    address: str = "auto"
    at_most: int | None = None
    insecure: bool = False
    start_timeout: float = 120.0

    def __post_init__(self) -> None:
        if self.at_most is not None:
            _at_least_one("at_most", self.at_most)


def checked(processes: int | OnCluster | None) -> int | OnCluster | None:
    """`processes` as it was given, or ValueError."""
    if processes is not None and not isinstance(processes, OnCluster):
        _at_least_one("processes", processes)
    return processes


def _at_least_one(name: str, number: Any) -> None:
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ValueError(f"{name} = {number!r}, but a whole number >= 1 is needed; None: as many as pay")


def connected(processes: int | OnCluster | None) -> AbstractContextManager[Any]:
    """A connection to the cluster that is asked for, for several `play_all`; EngineError where there is none."""
    if not isinstance(processes, OnCluster):
        return nullcontext()
    from asyncsim.cluster_runs import session

    return session(processes)


def play_all(
    planned: Iterable[Planned],
    setting: Setting,
    *,
    processes: int | OnCluster | None,
    interruption: Interruption,
    watcher: Watcher,
    open_writer: Callable[[Planned], KeptWriter | None] = lambda planned: None,
    modules: Mapping[str, str] | None = None,
) -> Generator[Ended, None, None]:
    """Play all runs; gives each with its writer as it ends, in no certain order. To be closed.

    Parameters
    ----------
    planned : the runs, asked for one by one as somebody is free to play it
    processes : 1: here; more: side by side; None: here while that takes no more than a second, then on all cores; or
        the cluster on which they are played
    interruption : once it has come no run is begun, and those that are being played end
    open_writer : where the tables and checkpoints of a run go, None for nowhere
    modules : modules of the user's that lie beside a scenario, name → folder

    Where the setting does not keep errors, the error of the run with the smallest number passes through.
    """
    queue = iter(planned)
    if isinstance(processes, OnCluster):
        from asyncsim.cluster_runs import Actors

        with Actors(processes, setting, modules or {}) as actors:
            yield from _Shared(actors, interruption, watcher, open_writer).play(queue)
        return
    count = cores() if processes is None else processes
    if count > 1:
        first = next(queue, None)
        second = None if first is None else next(queue, None)
        queue = _chained([each for each in (first, second) if each is not None], queue)
        count = 1 if second is None else count  # one run needs no process
    if count == 1 or processes is None:
        here = _Here(setting, interruption, watcher, open_writer, math.inf if count == 1 else ALONE)
        yield from here.play(queue)
        queue = _chained(here.left, queue)
        if count == 1 or (first := next(queue, None)) is None:
            return
        queue = _chained([first], queue)
    try:
        side_by_side = _Processes(count, setting, modules or {})
    except ValueError:
        if processes is not None:
            raise
        # nobody asked for processes: what cannot travel is played here
        yield from _Here(setting, interruption, watcher, open_writer, math.inf).play(queue)
        return
    with side_by_side as others:
        yield from _Shared(others, interruption, watcher, open_writer).play(queue)


def _chained(first: Iterable[Planned], rest: Iterator[Planned]) -> Iterator[Planned]:
    yield from first
    yield from rest


# ---- in this process


class _Here:
    """Plays runs in this process, as long as its patience lasts; a run that was being played then is in `left`."""

    def __init__(
        self,
        setting: Setting,
        interruption: Interruption,
        watcher: Watcher,
        open_writer: Callable[[Planned], KeptWriter | None],
        patience: float,
    ) -> None:
        self._setting, self._interruption, self._watcher = setting, interruption, watcher
        self._open_writer = open_writer
        self._until = time.monotonic() + patience
        self._over = False
        self.left: list[Planned] = []

    def play(self, queue: Iterator[Planned]) -> Iterator[Ended]:
        while self._interruption.received is None and time.monotonic() < self._until:
            planned = next(queue, None)
            if planned is None:
                return
            self._watcher.begin(planned.label, planned.seed)
            writer = self._open_writer(planned)
            checkpoint = None if writer is None else writer.load_checkpoint()
            if writer is not None and checkpoint is None:
                writer.truncate({})
            run = play(
                self._setting,
                planned,
                interruption=self._interruption,
                writer=writer,
                look=self._look,
                checkpoint=checkpoint,
            )
            cut = self._over and run.status == "interrupted" and self._interruption.received is None
            self._watcher.end(begins_again=cut)
            if cut:
                # it begins anew in another process: a second at most is lost
                self.left.append(planned)
                return
            yield planned, writer, run

    def _look(self, engine: Playing) -> None:
        self._watcher.at(reached(engine), seen=seen(engine, self._setting))
        if time.monotonic() >= self._until:
            self._over = True
            engine.end(EndOfRun("interrupted", "goes on in a process of its own"))


# ---- in others


@dataclass
class _Process:
    """One of the other processes, as it is seen from here."""

    number: int
    process: subprocess.Popen[bytes]
    pipe: Connection
    work: Work | None = None

    def send(self, *message: Any) -> None:
        # one that has died is found out when its answers are read
        with suppress(OSError):
            self.pipe.send_bytes(cloudpickle.dumps(message))

    def last_words(self) -> str:
        """Why it has ended."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(2.0)
        code = self.process.poll()
        if code is None:
            return "it no longer answers"
        if code >= 0:
            return f"it ended by itself, with exit code {code}"
        name = signal.Signals(-code).name if -code in {int(each) for each in signal.Signals} else f"signal {-code}"
        return f"it was ended by {name}" + (", as the system does when memory runs out" if name == "SIGKILL" else "")


@dataclass
class Work:
    """A run that is handed out."""

    planned: Planned
    attempt: int = 1
    writer: KeptWriter | None = None
    told: list[str] = field(default_factory=list)  # how the processes died that played it


class Other(Protocol):
    """One who plays runs, as it is seen from here."""

    number: int
    work: Work | None

    def send(self, *message: Any) -> None: ...
    def last_words(self) -> str: ...


class Others(Protocol):
    """Those who play runs: processes of this machine, or actors elsewhere. See `_Processes` for what each does."""

    setting: Setting

    def some_free(self) -> bool: ...
    def free(self) -> Other: ...
    def messages(self, timeout: float) -> Iterator[tuple[Other, tuple[Any, ...]]]: ...
    def remove(self, process: Any) -> None: ...
    def working(self) -> Sequence[Other]: ...


def packed(thing: Any) -> bytes:
    """`thing` as it travels; ValueError when it cannot."""
    try:
        data: bytes = cloudpickle.dumps(thing)
    except Exception as error:  # objects of the user's may raise anything here
        raise ValueError(
            f"this cannot be sent to other processes ({type(error).__name__}: {error}); with processes=1 it need not"
        ) from error
    return data


class _Processes:
    """The other processes, started as they are needed; a context manager that ends them."""

    def __init__(self, count: int, setting: Setting, modules: Mapping[str, str]) -> None:
        if not sys.executable:
            raise ValueError("no Python interpreter is known here (sys.executable is empty): use processes=1")
        self.setting = setting
        self._count = count
        self._setting = packed(setting)
        self._modules = dict(modules)
        self._all: dict[int, _Process] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in self._all.values():
            if each.work is None and kind is None:
                # lets it write out what the user's code printed
                each.send("done")
            else:
                each.process.kill()
        patience = time.monotonic() + 2.0
        for each in self._all.values():
            try:
                each.process.wait(max(0.0, patience - time.monotonic()))
            except subprocess.TimeoutExpired:
                each.process.kill()
                each.process.wait()
            each.pipe.close()

    def some_free(self) -> bool:
        """Whether one has nothing to do, or another may be started."""
        return len(self.working()) < self._count

    def free(self) -> _Process:
        """One that has nothing to do, started where there is none."""
        for each in self._all.values():
            if each.work is None:
                return each
        number = next(number for number in range(self._count) if number not in self._all)
        self._all[number] = started = self._start(number)
        return started

    def _start(self, number: int) -> _Process:
        ours, theirs = Pipe()
        # the search path first: the rest of that interpreter then finds what this one would
        program = (
            "import sys; sys.path[:] = sys.argv[2:]; from asyncsim._worker_process import main; main(int(sys.argv[1]))"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(theirs.fileno()), *sys.path],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            env={**os.environ, **dict.fromkeys(_ONE_THREAD, "1")},
            process_group=0,  # a terminal's Ctrl-C comes to this process, which passes it on
        )
        theirs.close()
        started = _Process(number, process, ours)
        started.send("setting", self._setting, self._modules)
        return started

    def messages(self, timeout: float) -> Iterator[tuple[_Process, tuple[Any, ...]]]:
        """What has come from those that work, each message with its sender.

        ("died",) of one that has; ("homeless",) of one that found no place to begin.
        """
        working = self.working()
        ready = wait([each.pipe for each in working], timeout)
        for each in working:
            if each.pipe in ready:
                try:
                    yield each, pickle.loads(each.pipe.recv_bytes())
                except (EOFError, OSError):
                    yield each, ("died",)
            elif not ready and each.process.poll() is not None and not each.pipe.poll():
                yield each, ("died",)  # processes that it has forked keep its pipe open

    def remove(self, process: _Process) -> None:
        """Forget one that has died."""
        process.process.kill()  # where only its pipe has ended
        process.process.wait()
        process.pipe.close()
        del self._all[process.number]

    def working(self) -> list[_Process]:
        """Those that play a run."""
        return [each for each in self._all.values() if each.work is not None]


class _Shared:
    """Hands out the runs to the processes, writes down what they send, and looks after those that die."""

    def __init__(
        self,
        processes: Others,
        interruption: Interruption,
        watcher: Watcher,
        open_writer: Callable[[Planned], KeptWriter | None],
    ) -> None:
        self._processes, self._interruption, self._watcher = processes, interruption, watcher
        self._open_writer = open_writer
        self._again: deque[Work] = deque()
        self._raised: dict[int, BaseException] = {}  # by the number of the run

    def play(self, queue: Iterator[Planned]) -> Iterator[Ended]:
        patience = math.inf
        while True:
            self._hand_out(queue)
            if self._interruption.received is not None and patience == math.inf:
                patience = time.monotonic() + Interruption.PATIENCE + GRACE
                for each in self._processes.working():
                    each.send("end", int(self._interruption.received))
            working = self._processes.working()
            if self._raised and not any(_number(each) < min(self._raised) for each in working):
                raise self._raised[min(self._raised)]
            if not working or time.monotonic() > patience:
                break
            for each, message in self._processes.messages(LOOK_EVERY):
                ended = self._told(each, message)
                if ended is not None:
                    # it computes again while this one is written down
                    self._hand_out(queue)
                    yield ended
        for work in (*(each.work for each in working), *self._again):
            if work is not None:
                yield work.planned, work.writer, self._cut_short(work, *_INTERRUPTED)

    def _hand_out(self, queue: Iterator[Planned]) -> None:
        # after an error only what may still have a smaller number goes on, and that is being played already
        while self._interruption.received is None and not self._raised and self._processes.some_free():
            if self._again:
                work = self._again.popleft()
            elif (planned := next(queue, None)) is not None:
                work = Work(planned)
            else:
                return
            process = self._processes.free()
            self._watcher.begin(work.planned.label, work.planned.seed, process.number)
            process.work = work
            work.writer = self._open_writer(work.planned)
            checkpoint = None
            if work.writer is not None and (checkpoint := work.writer.load_checkpoint()) is None:
                work.writer.truncate({})
            process.send("play", packed((work.planned, work.writer is not None)), checkpoint)

    def _told(self, process: Other, message: tuple[Any, ...]) -> Ended | None:
        """Take in a message; the run that has ended by it, if one has."""
        work = process.work
        if work is None:
            return None
        kind, *about = message
        if kind == "wrote":
            for what, arguments in about[0]:
                getattr(work.writer, what)(*arguments)
            return None
        if kind == "at":
            self._watcher.at(about[0], process.number, about[1])
            return None
        process.work = None
        if kind == "homeless":  # it never began
            self._watcher.end(process.number, begins_again=True)
            self._processes.remove(process)
            self._again.append(work)
            return None
        again = kind == "died" and work.attempt < ATTEMPTS
        self._watcher.end(process.number, begins_again=again)
        if kind == "ended":
            return work.planned, work.writer, about[0]
        if kind == "raised":
            about[0].add_note(f"in a process of its own:\n{about[1]}")
            self._raised[work.planned.number] = about[0]
            return None
        return self._died(process, work)

    def _died(self, process: Other, work: Work) -> Ended | None:
        work.told.append(process.last_words())
        self._processes.remove(process)
        if work.attempt < ATTEMPTS:
            work.attempt += 1
            self._again.append(work)
            return None
        words = f"the process that played it died {len(work.told)} times: {'; '.join(dict.fromkeys(work.told))}"
        return work.planned, work.writer, self._cut_short(work, "failed", words)

    def _cut_short(self, work: Work, status: str, reason: str) -> Run:
        """A run that could not say its end: what there is of it."""
        planned = work.planned
        if work.writer is not None:
            return replace(work.writer.so_far(), status=status, reason=reason)
        return Run(
            label=planned.label,
            method=running.name_of(planned.method),
            parameters=running.parameters_of(planned.method, planned.update_rule),
            seed=planned.seed,
            n=self._processes.setting.workers.n,
            status=status,
            reason=reason,
        )


_INTERRUPTED = ("interrupted", "ended before its next step; it goes on from its last checkpoint, if it has one")


def _number(process: Other) -> float:
    return math.inf if process.work is None else process.work.planned.number
