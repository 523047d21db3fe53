"""Runs of a study on a Ray cluster: each of its processors plays one run at a time.

The rules of asyncsim/parallel.py hold, with an actor in the place of a process. What is said is said in the messages of
asyncsim/_worker_process.py, as bytes; what an actor has to say is asked for, so that it waits where this process writes
more slowly than it plays. Only this process writes the run folder.

- **The same numbers.** The machines of a cluster must have the versions on which numbers depend, and read the same data
  with the same kernel; where one does not, the study ends with a line that says so. One whose processor rounds in
  another way is told: there f and ∇f differ in their last digits, as they would if it had been used alone.
- **Data files** are read where a run is played, at the path that they have here, and are compared by their hash.
  Modules that lie beside a scenario, and objects of the user's program, travel; installed packages do not.
- **Places.** An actor takes one processor. As many are started as runs wait and processors are free; machines that come
  later, and processors that others leave, are used as well. An actor that finds no place in time is given back, and its
  run is played by another; then no more are started until the cluster grows.
- What an actor had not sent yet when it died is gone; its run goes on from the last checkpoint that came here.
- When this process ends, however it does, Ray ends its actors.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from queue import Empty, Queue
from typing import Any, Self

import cloudpickle
import numpy as np

import asyncsim
from asyncsim import running
from asyncsim._worker_process import play_one, raised
from asyncsim.parallel import OnCluster, Work, cores, packed
from asyncsim.playing import Interruption, Setting
from asyncsim.ray_session import EngineError, Session, control
from asyncsim.threads import set_threads

WAITING = 4  # messages that wait in an actor until they are asked for
PATIENCE = 5.0  # seconds after which an actor that has nothing to say answers all the same
LOOK_FOR_PLACES = 5.0
NUMBERS_DEPEND_ON = ("numpy", "simpy", "scipy", "scikit-learn", "torch")


# ---- there


class Player:
    """What runs in an actor: plays one run after another. `said` and `end` have threads of their own."""

    def __init__(self) -> None:
        self._interruption = Interruption()
        self._messages: Queue[bytes] = Queue(WAITING)
        self._setting: Setting | None = None

    def begin(self, setting: bytes, numbers: Mapping[str, str], folder: str, path: Sequence[str]) -> dict[str, str]:
        """Take what all runs have in common; says who this is, and what is wrong here.

        `numbers` is what `numbers_depend_on` says there, `folder` and `path` are where relative paths begin there, and
        where modules are found: here too, where there are such folders.
        """
        found = {"host": platform.node(), "rounding": rounding()}
        if differing := _differing(numbers, numbers_depend_on()):
            return found | {"problem": differing}
        if Path(folder).is_dir():
            os.chdir(folder)
        sys.path += [each for each in path if each not in sys.path and Path(each).exists()]
        try:
            self._setting = pickle.loads(setting)
            set_threads(1)
            problem = _other_facts(self._setting)
        except Exception as error:
            problem = f"{type(error).__name__}: {error}{_hint(error)}"
        return found | ({"problem": problem} if problem else {})

    def play(self, task: bytes, checkpoint: bytes | None) -> None:
        """Play a run; all that there is to say about it is asked for by `said`."""
        if self._setting is None:
            return  # which `begin` has told
        try:
            play_one(self._tell, self._setting, task, checkpoint, self._interruption)
        except BaseException as error:  # what came of it can't be sent
            self._tell("raised", *raised(error))

    def _tell(self, *message: Any) -> None:
        self._messages.put(cloudpickle.dumps(message))

    def said(self) -> list[bytes]:
        """What there is to say since the last time, in order; waits for something for a while."""
        found: list[bytes] = []
        with suppress(Empty):
            found.append(self._messages.get(timeout=PATIENCE))
            while True:
                found.append(self._messages.get_nowait())
        return found

    def end(self, number: int) -> None:
        """End the run at its next step, because of this signal."""
        self._interruption.ask(number)


def numbers_depend_on() -> dict[str, str]:
    """The versions that must be the same on all machines."""
    found = {
        "asyncsim": asyncsim.__version__,
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "machine": platform.machine(),
    }
    for name in NUMBERS_DEPEND_ON:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _differing(here: Mapping[str, str], there: Mapping[str, str]) -> str:
    differ = [f"{name} {there.get(name, 'none')}, here {here[name]}" for name in here if there.get(name) != here[name]]
    return f"it has {'; '.join(differ)}: numbers would depend on where a run is played" if differ else ""


def _other_facts(setting: Setting) -> str:
    """How the problem is another one than the study's, in words."""
    expected = {name: value for name, value in setting.facts.items() if name != "seed"}
    if not expected:
        return ""
    found = running.facts(setting.problem(setting.facts["seed"]))
    if found.get("data_sha256") != expected.get("data_sha256", found.get("data_sha256")):
        return (
            "the data of the problem are not the same there; the same files must lie at the same path on all machines"
        )
    if found.get("kernel") != expected.get("kernel", found.get("kernel")):
        return (
            f"the kernel there is {found.get('kernel')}, here {expected['kernel']}, which give other numbers; install "
            "the same on all machines"
        )
    return ""


def _hint(error: Exception) -> str:
    if isinstance(error, ImportError):
        return "; every machine of the cluster needs what is installed here"
    return "; data are read where a run is played: they must lie at the same path on all machines"


def rounding() -> str:
    """A hash of some sums, products and functions: the same where processors (and BLAS on them) round in the same way.

    >>> rounding() == rounding()
    True
    """
    set_threads(1)
    digest = hashlib.sha256()
    drawn = np.random.Generator(np.random.Philox(key=1)).standard_normal((67, 129))
    a: Any
    for a in (drawn, drawn.astype(np.float32)):
        products = (a @ a.T, a.T @ a, a @ a[0], a.ravel() @ a.ravel())
        for found in (*products, a.sum(0), np.exp(a), np.log(np.abs(a)), np.tanh(a)):
            digest.update(np.ascontiguousarray(found).data)
    return digest.hexdigest()


# ---- here


@contextmanager
def session(where: OnCluster) -> Iterator[Session]:
    """A connection to the cluster; what is wrong with it is told as what was asked for."""
    at_least = float(where.at_most or cores()) if where.address == "local" else 1.0
    with ExitStack() as stack:
        try:
            found = stack.enter_context(Session(where.address, where.insecure, at_least, 0.0))
        except EngineError as error:
            raise _told(str(error)) from None
        yield found


def _told(words: str) -> EngineError:
    return EngineError(f"on a cluster: {words.removeprefix('engine ray: ')}")


@dataclass
class _Actor:
    """One of the actors, as it is seen from here."""

    number: int
    actor: Any
    begun: Any  # a reference, until it has begun
    since: float
    work: Work | None = None
    said: Any = None  # a reference to what it says next
    why: str = ""

    def send(self, kind: str, *about: Any) -> None:
        if kind == "play":
            self.actor.play.remote(*about)
            self.listen()
        elif kind == "end":
            control(self.actor.end).remote(*about)

    def listen(self) -> None:
        if self.said is None:
            self.said = control(self.actor.said).remote()

    def last_words(self) -> str:
        """Why it has ended."""
        return self.why


class Actors:
    """The actors of a study, started as they are needed; a context manager that ends them (`parallel.Others`)."""

    def __init__(self, where: OnCluster, setting: Setting, modules: Mapping[str, str]) -> None:
        self.setting = setting
        self._where, self._modules = where, modules
        self._all: dict[int, _Actor] = {}
        self._rounding = rounding()
        self._other_rounding: set[str] = set()
        self._room = 0  # so many actors may there be
        self._next_look = self._full_at = 0.0
        self._ours = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._session = stack.enter_context(session(self._where))
            for name in self._modules:
                _by_value(name, stack)
            self._setting = self._session.put(packed(self.setting))
            self._ours = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._all.values():
            self._session.kill(each.actor)
        self._ours.close()

    def some_free(self) -> bool:
        """Whether one has nothing to do, or another may be started."""
        return any(each.work is None for each in self._all.values()) or len(self._all) < self._places()

    def _places(self) -> int:
        """How many there may be: those that are there, and as many as processors are free."""
        settled = all(each.begun is None for each in self._all.values())  # who begins is not seen on its processor yet
        if settled and time.monotonic() >= self._next_look:
            self._look_again_later()
            free, processors = self._session.processors()
            if processors > self._full_at:
                self._room = len(self._all) + int(free)
        return self._room if self._where.at_most is None else min(self._room, self._where.at_most)

    def _look_again_later(self) -> None:
        self._next_look = time.monotonic() + LOOK_FOR_PLACES

    def free(self) -> _Actor:
        """One that has nothing to do, started where there is none."""
        for each in self._all.values():
            if each.work is None:
                return each
        number = next(number for number in range(len(self._all) + 1) if number not in self._all)
        actor = self._session.actor(Player, cpus=1.0, control=2)
        begun = actor.begin.remote(self._setting, numbers_depend_on(), str(Path.cwd()), sys.path)
        self._all[number] = started = _Actor(number, actor, begun, time.monotonic())
        return started

    def messages(self, timeout: float) -> Iterator[tuple[_Actor, tuple[Any, ...]]]:
        """What has come from those that work, each message with its sender; see `parallel.Others`."""
        asked = [(each.said if each.begun is None else each.begun, each) for each in self.working()]
        waiting = {reference: each for reference, each in asked if reference is not None}
        for reference in self._session.ready(list(waiting), timeout)[0]:
            each = waiting[reference]
            found = self._session.value(reference)
            if isinstance(found, Exception):
                yield each, self._lost(each, found)
            elif each.begun is not None:
                each.begun = None
                self._look_again_later()  # Ray tells what is free with a delay
                self._admit(found)
            else:
                each.said = None
                for message in found:
                    yield each, pickle.loads(message)
                if each.work is not None:
                    each.listen()
        for each in self.working():
            if each.begun is not None and time.monotonic() - each.since > self._where.start_timeout:
                yield each, self._given_back()

    def _lost(self, each: _Actor, error: Exception) -> tuple[str]:
        if not self._session.died(error):
            raise _told(self._session.reason(error))
        each.why = f"the cluster lost it: {self._session.reason(error)}"
        return ("died",)

    def _admit(self, about: Mapping[str, str]) -> None:
        """EngineError where an actor cannot play what is played here."""
        host = about["host"]
        if "problem" in about:
            raise _told(f"machine {host}: {about['problem']}")
        if about["rounding"] != self._rounding and host not in self._other_rounding:
            self._other_rounding.add(host)
            print(
                f"note: the processor of machine {host} rounds otherwise than this one: what it plays may differ in the "
                "last digits of f and ∇f",
                file=sys.stderr,
            )

    def _given_back(self) -> tuple[str]:
        self._room, self._full_at = len(self._all) - 1, self._session.processors()[1]
        if all(each.begun is not None for each in self._all.values()):
            raise _told(
                f"no processor was free within {self._where.start_timeout:g} s, though there should be; who else uses "
                "the cluster (`ray status`)?"
            )
        return ("homeless",)

    def remove(self, process: _Actor) -> None:
        """Forget one that has died, or has no place."""
        self._session.kill(process.actor)
        del self._all[process.number]

    def working(self) -> list[_Actor]:
        """Those that play a run."""
        return [each for each in self._all.values() if each.work is not None]


def _by_value(name: str, stack: ExitStack) -> None:
    """Let what a module of the user's has travel whole, while `stack` is open: other machines need not have its file."""
    module = sys.modules[name]
    if name not in cloudpickle.list_registry_pickle_by_value():
        cloudpickle.register_pickle_by_value(module)
        stack.callback(cloudpickle.unregister_pickle_by_value, module)
