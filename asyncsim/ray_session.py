"""Ray itself: starting or finding a cluster, actors, references. The only file that imports ray.

A Ray started here belongs to this process, listens for it alone, and ends with it, also when it is killed: its
processes share our fate, and actors are owned by us. Every wait has a timeout. What is wrong with a cluster (none is
there, no token, another version, too few resources) is an `EngineError` in one line.

Ray's own file with the token of its authentication is made readable by its owner only. A cluster on another machine
that does not ask for a token is refused unless `insecure` is said: who reaches its port could run any code there, and
read the data.
"""

from __future__ import annotations

import importlib
import logging
import os
import socket
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["EngineError", "Session"]

REACH = 5.0  # seconds to reach a cluster's port


class EngineError(ValueError):
    """The cluster cannot be used as asked: says what is wrong and what to do. The command line exits with 2."""


class Session:
    """A connection to Ray, with `cpus` and `gpus` that must be free; a context manager."""

    def __init__(self, address: str, insecure: bool, cpus: float, gpus: float) -> None:
        self._address, self._insecure, self._cpus, self._gpus = address, insecure, cpus, gpus
        self._ours = False

    def __enter__(self) -> Session:
        try:
            self._ray: Any = importlib.import_module("ray")
        except ImportError:
            raise EngineError("engine ray: ray is not installed; pip install 'asyncsim[ray]'") from None
        if not self._ray.is_initialized():
            self._connect()
            self._ours = True
        try:
            self._look_for_resources()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._ours:
            self._ours = False
            self._ray.shutdown()

    # ---- finding or starting a cluster

    def _connect(self) -> None:
        if self._address.startswith("ray://"):
            raise EngineError(
                f"engine ray: address {self._address!r} is of the Ray client, which brings no times worth measuring; "
                "run on a machine of the cluster (`ray job submit`) with address: auto"
            )
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
        if self._address == "local":
            options |= {
                "address": "local",
                "include_dashboard": False,
                "num_cpus": max(_whole(self._cpus), os.cpu_count() or 1),
            }
            if self._gpus == 0:
                options["num_gpus"] = 0
        else:
            self._look_for_cluster()
            options["address"] = self._address
        try:
            with _private_files():
                self._ray.init(**options)
        except Exception as error:
            raise EngineError(f"engine ray: {self._address!r}: {_one_line(error)}") from None
        self._look_for_token()

    def _look_for_cluster(self) -> None:
        remote = self._address != "auto" or "RAY_ADDRESS" in os.environ
        address = os.environ.get("RAY_ADDRESS", "") if self._address == "auto" else self._address
        if remote:
            host, _, port = address.rpartition(":")
            if not host or not port.isdigit():
                raise EngineError(f"engine ray: address {address!r}; allowed: local, auto, or host:port")
            try:
                socket.create_connection((host, int(port)), REACH).close()
            except OSError as error:
                raise EngineError(
                    f"engine ray: nobody answers at {address} ({error.strerror or error}); is the cluster up, is this "
                    "its address (`ray status` there says it)?"
                ) from None
        if os.environ.get("RAY_AUTH_MODE") == "disabled" and not self._insecure and not _is_loopback(address):
            raise EngineError(
                "engine ray: RAY_AUTH_MODE is disabled, so whoever reaches the cluster can run code on it; give the "
                "cluster a token (RAY_AUTH_MODE=token on all machines), or say insecure: true"
            )

    def _look_for_token(self) -> None:
        path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path("~/.ray/auth_token").expanduser())
        try:
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                path.chmod(0o600)
        except OSError:
            return  # there is none, or it is somebody else's

    def _look_for_resources(self) -> None:
        free = self._ray.available_resources()
        for name, needed in (("CPU", self._cpus), ("GPU", self._gpus)):
            if needed > free.get(name, 0.0) + 1e-9:
                total = self._ray.cluster_resources().get(name, 0.0)
                raise EngineError(
                    f"engine ray: the workers need {needed:g} {name}s, but {free.get(name, 0.0):g} of {total:g} are free; "
                    f"fewer workers, a smaller {name.lower()}s_per_worker (a fraction is allowed), or a larger cluster"
                )

    # ---- actors and references

    def actor(self, cls: type, *arguments: Any, cpus: float, gpus: float) -> Any:
        """A new actor. Ray neither restarts it nor repeats its calls: that would be at least once, and unseen."""
        made = self._ray.remote(concurrency_groups={"control": 1})(cls)
        return made.options(num_cpus=cpus, num_gpus=gpus, max_restarts=0, max_task_retries=0).remote(*arguments)

    def kill(self, actor: Any) -> None:
        """End the actor's process."""
        self._ray.kill(actor, no_restart=True)

    def put(self, value: Any) -> Any:
        """A reference to a value in Ray's store."""
        return self._ray.put(value)

    def get(self, reference: Any, timeout: float) -> Any:
        """The value of a reference; EngineError when it does not come in time."""
        try:
            return self._ray.get(reference, timeout=timeout)
        except self._ray.exceptions.GetTimeoutError:
            raise EngineError(f"engine ray: a worker did not answer within {timeout:g} s") from None

    def all(self, references: Sequence[Any], timeout: float, late: Callable[[Sequence[int]], str]) -> list[Any]:
        """The values of all references; EngineError with what `late` says of those that do not come in time."""
        _, waiting = self._ray.wait(list(references), num_returns=len(references), timeout=timeout)
        if waiting:
            raise EngineError(f"engine ray: {late([references.index(each) for each in waiting])}")
        return [self._ray.get(reference) for reference in references]

    def died(self, error: BaseException) -> bool:
        """Whether the error says that a process or machine is gone, and not that code raised."""
        found = self._ray.exceptions
        gone = (found.RayActorError, found.WorkerCrashedError, found.ObjectLostError, found.OutOfMemoryError)
        return isinstance(error, gone)


@contextmanager
def _private_files() -> Iterator[None]:
    # what Ray writes while it starts (sockets, logs, its token) is ours alone
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _whole(number: float) -> int:
    return int(-(-number // 1))


def _is_loopback(address: str) -> bool:
    return address.rpartition(":")[0] in ("localhost", "127.0.0.1", "[::1]", "")


def _one_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines)[:400]}"
