"""The lock of a run folder: one process writes; the system frees it when that process dies."""

import fcntl
import os
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from asyncsim.folder.errors import FolderError, FolderInUse, said


def in_use(path: str | Path) -> bool:
    """Whether some process is writing into this run folder now."""
    try:
        lock = os.open(Path(path) / "lock", os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks can't tell
        return False
    finally:
        os.close(lock)
    return False


def take_lock(path: Path, undo: ExitStack) -> int:
    """Hold the lock of a folder until `undo`; FolderInUse with the process that holds it."""
    with said(path / "lock"):
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    undo.callback(os.close, lock)
    # a reader that looks whether the folder is in use holds it for microseconds: not at once given up
    for patience in (0.01, 0.02, 0.05, 0.1, 0.0):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            time.sleep(patience)
        except OSError as error:
            raise FolderError(
                f"{path / 'lock'}: {error.strerror}; choose a folder on a file system with locks"
            ) from None
    holder = os.pread(lock, 20, 0).decode(errors="replace").strip()
    raise FolderInUse(f"{path} is in use by process {holder or '?'}; wait for it, or choose another folder")


def sign_lock(lock: int) -> None:
    """Write into the lock whose it is."""
    with suppress(OSError):  # only for the message above; a full disk shows itself at the first row
        signature = f"{os.getpid()}\n".encode()
        # never empty in between: a lock that is signed tells whose a half-made folder is
        os.pwrite(lock, signature, 0)
        os.truncate(lock, len(signature))
