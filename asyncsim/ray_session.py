"""Ray itself: starting or finding a cluster, actors, references. Only this file and the metrics import ray.

A Ray started here belongs to this process and ends with it, also when it is killed: its processes share our fate (with
some help, asyncsim/ray_guard.py), and actors are owned by us. It asks for a token, listens on 127.0.0.1 only, and keeps its files (logs, sockets) in a folder
of its own that nobody else can enter and that is removed at the end. Ray lets its servers listen on every address of a
Linux machine whatever `_node_ip_address` says; what stops it is the switch for Windows and macOS, where it does not.

Every wait has a timeout. What is wrong with a cluster (none is there, no token or another one, another version, too few
resources, a worker that can't be built) is an `EngineError` in one line.

Ray's own file with the token of its authentication is made readable by its owner only. A cluster on another machine
that asks for no token is refused unless `insecure` is said: who reaches its port could run any code there, and read
the data. Asked is the cluster itself (asyncsim/ray_port.py), before Ray connects.
"""

from __future__ import annotations

import gc
import importlib
import logging
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from asyncsim.ray_guard import Guard
from asyncsim.ray_port import NoRayError, token_here, token_path, version_there

__all__ = ["EngineError", "Session", "control"]

AT_ONCE = 5e-4  # seconds in which Ray tells what is there already
FREED_WITHIN = 3.0  # seconds in which Ray tells that what ended before us, a run of the same program say, is free again


class EngineError(ValueError):
    """The cluster cannot be used as asked: says what is wrong and what to do. The command line exits with 2."""


class Session:
    """A connection to Ray, with `cpus` and `gpus` that must be free; a context manager."""

    def __init__(self, address: str, insecure: bool, cpus: float, gpus: float) -> None:
        self._address, self._insecure, self._cpus, self._gpus = address, insecure, cpus, gpus
        self._ours = ExitStack()

    def __enter__(self) -> Session:
        ray = sys.modules.get("ray")
        if ray is None or not ray.is_initialized():
            self._connect()
        self._ray: Any = sys.modules["ray"]
        try:
            self._look_for_resources()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._ours.close()

    # ---- finding or starting a cluster

    def _connect(self) -> None:
        try:
            with ExitStack() as meanwhile:
                self._begin(meanwhile)
        except ImportError as error:
            self._ours.close()
            raise EngineError(f"engine ray: ray is not installed ({error}); pip install 'asyncsim[ray]'") from None
        except BaseException:
            self._ours.close()
            raise
        _close_token_file()

    def _begin(self, meanwhile: ExitStack) -> None:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
        if self._address == "local":
            # Ray reads it when it is imported; later it sees to it itself
            if "ray" not in sys.modules:
                os.environ.setdefault("RAY_AUTH_MODE", "token")
            options |= self._of_its_own()
        else:
            self._look_for_cluster()
            options["address"] = self._address
        ray = importlib.import_module("ray")
        if self._address == "local" or _listens_on_loopback_only(self._address):
            meanwhile.enter_context(_on_this_machine_only())
        meanwhile.enter_context(_private_files())
        meanwhile.enter_context(_our_signals())
        self._ours.callback(ray.shutdown)
        try:
            _init(ray, options)
        except Exception as error:
            raise EngineError(f"engine ray: address {self._address}: {_one_line(error)}") from None
        if self._address == "local":
            self._guard.watch(child.pid for child in _children())
        if self._address == "auto" and "RAY_ADDRESS" not in os.environ:
            self._look_for_openness(*_host_and_port(ray.get_runtime_context().gcs_address))

    def _of_its_own(self) -> dict[str, Any]:
        # the path of a socket has at most 107 characters, so it lies in /tmp where there is one
        place = "/tmp" if os.path.isdir("/tmp") else None  # noqa: PTH112 (a text is needed)
        files = tempfile.mkdtemp(prefix="asyncsim-", dir=place)
        self._guard = Guard(files)
        self._ours.callback(self._guard.close)
        self._ours.callback(shutil.rmtree, files, ignore_errors=True)
        found = {
            "address": "local",
            "include_dashboard": False,
            "num_cpus": max(_whole(self._cpus), os.cpu_count() or 1),
            "_temp_dir": f"{files}/ray",  # Ray opens this one to everybody
        }
        return found if self._gpus else found | {"num_gpus": 0}

    def _look_for_cluster(self) -> None:
        """Ask the cluster whether it lets us in, before Ray tries."""
        if self._address.startswith("ray://"):
            raise EngineError(
                f"engine ray: address {self._address!r} is of the Ray client, which brings no times worth measuring; "
                "run on a machine of the cluster (`ray job submit`) with address: auto"
            )
        address = os.environ.get("RAY_ADDRESS", "") if self._address == "auto" else self._address
        if not address:
            return
        host, port = _host_and_port(address)
        if os.environ.get("RAY_USE_TLS") == "1":
            return  # who has no certificate is not let in, and can't be asked like this
        theirs, ours = self._look_for_openness(host, port) or self._let_in(host, port), _version_here()
        if theirs not in (ours, "unknown"):
            raise EngineError(
                f"engine ray: the cluster at {address} runs Ray {theirs}, here is Ray {ours}; install the same: "
                f"pip install ray=={theirs}"
            )

    def _look_for_openness(self, host: str, port: int) -> str | None:
        """The version of a cluster that asks for no token, which is refused on other machines; None where it asks."""
        theirs = _asked(host, port, None)
        if theirs is not None and not self._insecure and not _is_loopback(host):
            raise EngineError(
                f"engine ray: the cluster at {host}:{port} asks for no token, so whoever reaches it can run code on it "
                "and read the data; start it with RAY_AUTH_MODE=token on all machines, or say insecure (`insecure: true`, --insecure)"
            )
        return theirs

    def _let_in(self, host: str, port: int) -> str:
        token = token_here()
        if os.environ.get("RAY_AUTH_MODE", "token").lower() != "token" or token is None:
            raise EngineError(
                f"engine ray: the cluster at {host}:{port} asks for a token; set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN "
                f"(or write it to {token_path()})"
            )
        theirs = _asked(host, port, token)
        if theirs is None:
            where = "RAY_AUTH_TOKEN" if os.environ.get("RAY_AUTH_TOKEN") else str(token_path())
            raise EngineError(
                f"engine ray: the cluster at {host}:{port} does not accept the token of {where}; it must be the one "
                "that the cluster was started with"
            )
        if "RAY_AUTH_MODE" not in os.environ:
            if "ray" in sys.modules:  # it has read this when it was imported
                raise EngineError(
                    "engine ray: the cluster asks for a token; set RAY_AUTH_MODE=token before ray is imported"
                )
            os.environ["RAY_AUTH_MODE"] = "token"
        return theirs

    def _look_for_resources(self) -> None:
        all_there = self._ray.cluster_resources()
        for name, needed in (("CPU", self._cpus), ("GPU", self._gpus)):
            total = all_there.get(name, 0.0)
            free = self._free(name, needed, FREED_WITHIN if _enough(total, needed) else 0.0)
            if not _enough(free, needed):
                raise EngineError(
                    f"engine ray: the workers need {needed:g} {name}s, but {free:g} of {total:g} are free; "
                    f"fewer workers, a smaller {name.lower()}s_per_worker (a fraction is allowed), or a larger cluster"
                )

    def _free(self, name: str, needed: float, patience: float) -> float:
        """How much of a resource is free; waits so long for what is needed."""
        end = time.monotonic() + patience
        while True:
            free = float(self._ray.available_resources().get(name, 0.0))
            if _enough(free, needed) or time.monotonic() >= end:
                return free
            time.sleep(0.05)

    # ---- actors and references

    def actor(self, cls: type, *arguments: Any, cpus: float, gpus: float = 0.0, control: int = 1) -> Any:
        """A new actor. Ray neither restarts it nor repeats its calls: that would be at least once, and unseen.

        It has so many threads of `control`, beside the one in which it computes.
        """
        made = self._ray.remote(concurrency_groups={"control": control})(cls)
        return made.options(num_cpus=cpus, num_gpus=gpus, max_restarts=0, max_task_retries=0).remote(*arguments)

    def kill(self, actor: Any) -> None:
        """End the actor's process."""
        self._ray.kill(actor, no_restart=True)

    def by_value(self, modules: Iterable[str]) -> None:
        """Let the classes of these modules travel whole, as other machines need not have their files."""
        for name in modules:
            self._ray.cloudpickle.register_pickle_by_value(sys.modules[name])

    def put(self, value: Any) -> Any:
        """A reference to a value in Ray's store; EngineError for one that can't be serialised."""
        try:
            return self._ray.put(value)
        except (TypeError, ValueError, AttributeError, ImportError) as error:
            raise EngineError(f"engine ray: this can't travel to the workers: {_one_line(error)}") from None

    def get(self, reference: Any, timeout: float) -> Any:
        """The value of a reference; EngineError when it does not come in time, or its worker is gone."""
        try:
            return self._ray.get(reference, timeout=timeout)
        except self._ray.exceptions.GetTimeoutError:
            raise EngineError(f"engine ray: a worker did not answer within {timeout:g} s") from None
        except self._ray.exceptions.RayError as error:
            raise EngineError(f"engine ray: {self.reason(error)}") from None

    def all(self, references: Sequence[Any], timeout: float, late: Callable[[Sequence[int]], str]) -> list[Any]:
        """The values of all references, or the errors they have; EngineError with what `late` says of those still out."""
        _, waiting = self._ray.wait(list(references), num_returns=len(references), timeout=timeout)
        if waiting:
            raise EngineError(f"engine ray: {late([references.index(each) for each in waiting])}")
        return [self.value(reference) for reference in references]

    def ready(self, references: Sequence[Any], timeout: float) -> tuple[list[Any], bool]:
        """References whose values, or errors, are there, and whether they came while we waited for the first.

        All that are there where they came before, else the one that was waited for.
        """
        if not references:
            return [], True
        begun = time.monotonic()
        found: list[Any] = self._ray.wait(list(references), num_returns=1, timeout=timeout)[0]
        waited = time.monotonic() - begun > AT_ONCE
        if found and not waited:
            found = self._ray.wait(list(references), num_returns=len(references), timeout=0)[0]
        return found, waited

    def processors(self) -> tuple[float, float]:
        """(free now, all) processors of the cluster."""
        return (
            self._free("CPU", 0.0, 0.0),
            float(self._ray.cluster_resources().get("CPU", 0.0)),
        )

    def value(self, reference: Any) -> Any:
        """The value of a reference, or the error that it has."""
        try:
            return self._ray.get(reference)
        except Exception as error:
            return error

    def reason(self, error: BaseException) -> str:
        """What an error of a worker says, in one line: the user's error, without Ray's around it."""
        cause = getattr(error, "cause", None)
        if cause is not None:
            return _one_line(cause)
        # an actor that could not be made has its error in the text only
        lines = [line.strip() for line in str(error).splitlines()]
        found = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b.*:", line)]
        return found[-1][:400] if found else _one_line(error)

    def died(self, error: BaseException) -> bool:
        """Whether the error says that a process or machine is gone, and not that code raised."""
        found = self._ray.exceptions
        gone = (found.RayActorError, found.WorkerCrashedError, found.ObjectLostError, found.OutOfMemoryError)
        return isinstance(error, gone)


def control(method: Any) -> Any:
    """A call to an actor that does not wait for what the actor computes."""
    return method.options(concurrency_group="control")


def _init(ray: Any, options: dict[str, Any], again: bool = True) -> None:
    """ray.init; once more where a busy machine did not start all within the 30 seconds that Ray gives it."""
    before = {child.pid for child in _children()}
    try:
        ray.init(**options)
    except Exception as error:
        # Ray leaves running what it had started by then
        _end(child for child in _children() if child.pid not in before)
        ray.shutdown()
        if not again or "timed out during startup" not in str(error):
            raise
        _init(ray, options, again=False)


def _end(children: Iterable[Any]) -> None:
    """End these processes, and wait for those that are our own children: nobody else does any more."""
    pids = set()
    for child in children:
        pids.add(child.pid)
        with suppress(Exception):  # it has ended by itself
            child.kill()
    for each in gc.get_objects():
        if isinstance(each, subprocess.Popen) and each.pid in pids:
            with suppress(subprocess.TimeoutExpired):
                each.wait(5.0)


def _children() -> list[Any]:
    """The processes that this one has started, and theirs."""
    psutil = importlib.import_module("psutil")  # comes with Ray
    found: list[Any] = psutil.Process().children(recursive=True)
    return found


@contextmanager
def _private_files() -> Iterator[None]:
    # what Ray writes while it starts (sockets, logs, its token) is ours alone
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def _on_this_machine_only() -> Iterator[None]:
    name, before = _LOOPBACK, os.environ.get(_LOOPBACK)
    constants: Any = importlib.import_module("ray._private.ray_constants")
    had = getattr(constants, "ENABLE_RAY_CLUSTER", None)
    os.environ[name] = "0"  # for its processes
    constants.ENABLE_RAY_CLUSTER = False  # for ours, which read it when it was imported
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = had
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


_LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


@contextmanager
def _our_signals() -> Iterator[None]:
    """Ray puts its own handler of SIGTERM in the place of ours, and ends with another code."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit as error:
        raise (SystemExit(128 + signal.SIGTERM) if error.code == signal.SIGTERM else error) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _close_token_file() -> None:
    path = token_path()
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            path.chmod(0o600)
    except OSError:
        return  # there is none, or it is somebody else's


def _asked(host: str, port: int, token: str | None) -> str | None:
    try:
        return version_there(host, port, token)
    except NoRayError:
        raise EngineError(
            f"engine ray: what answers at {host}:{port} is no Ray cluster; its port is 6379 unless the head was started "
            "with another (8265 is the dashboard's)"
        ) from None
    except OSError as error:
        raise EngineError(
            f"engine ray: nobody answers at {host}:{port} ({error.strerror or error}); is the cluster up, is this its "
            "address (`ray status` there says it)?"
        ) from None


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise EngineError(f"engine ray: address {address!r}; allowed: local, auto, or host:port")
    return host.strip("[]"), int(port)


def _enough(free: float, needed: float) -> bool:
    return free >= needed - 1e-9  # fractions of a GPU are added up


def _whole(number: float) -> int:
    return int(-(-number // 1))


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _listens_on_loopback_only(address: str) -> bool:
    """Whether a cluster, which was asked already, can't be reached where Ray would look for 127.0.0.1: in the network."""
    address = os.environ.get("RAY_ADDRESS", "") if address == "auto" else address
    if not address or not _is_loopback((found := _host_and_port(address))[0]):
        return False
    try:
        with socket.create_connection((importlib.import_module("ray.util").get_node_ip_address(), found[1]), 2.0):
            return False
    except OSError:
        return True


def _version_here() -> str:
    try:
        return version("ray")
    except PackageNotFoundError as error:
        raise ImportError(str(error)) from None


def _one_line(error: BaseException) -> str:
    lines = [line.strip(" =") for line in str(error).splitlines() if line.strip(" =")]
    return f"{type(error).__name__}: {' '.join(lines)[:400]}"
