"""Checkpoints: the last two states of each unfinished run, each with a digest over all of it."""

import hashlib
import re
import struct
from collections.abc import Callable
from pathlib import Path

from asyncsim.folder.disk import write_whole
from asyncsim.folder.errors import said
from asyncsim.folder.manifest import VERSION

# magic, version, run, iteration, length of the data, digest of all these and the data
_SEAL = struct.Struct("<8sIQQQ32s")
_MAGIC = b"asyncsim"


def _sealed(data: bytes, run: int, k: int) -> bytes:
    head = (_MAGIC, VERSION, run, k, len(data))
    return _SEAL.pack(*head, _fingerprint(head, data)) + data


def _unsealed(file: bytes, run: int) -> tuple[bytes | None, str]:
    """The data, or None and why it is refused."""
    if len(file) < _SEAL.size:
        return None, f"it is truncated to {len(file)} bytes"
    magic, version, of_run, k, length, digest = _SEAL.unpack_from(file)
    data = file[_SEAL.size :]
    if magic != _MAGIC:
        return None, "it is not a checkpoint"
    if len(data) != length:
        return None, f"it has {len(data)} bytes of data where its head says {length}"
    if _fingerprint((magic, version, of_run, k, length), data) != digest:
        return None, "its bytes do not fit their digest"
    if (version, of_run) != (VERSION, run):
        return None, f"it belongs to run {of_run}, version {version}"
    return data, ""


def _fingerprint(head: tuple[bytes, int, int, int, int], data: bytes) -> bytes:
    seal = hashlib.blake2b(_SEAL.pack(*head, b""), digest_size=32)
    seal.update(data)
    return seal.digest()


class Checkpoints:
    """The last two checkpoints of one run, `<kind>-<run>.<generation>.ckpt`."""

    def __init__(self, folder: Path, sync: Callable[[], None], kind: str, run: int) -> None:
        self._sync, self._name, self._run = sync, f"{kind}-{run}", run
        self._path = folder / "checkpoints"

    def save(self, data: bytes, k: int) -> None:
        """Keep `data`, the state at iteration k; the one before it stays, older ones go."""
        self._sync()  # the rows that the state counts on come first
        generations = self._found()
        newest = generations[-1][0] if generations else 0
        path = self._path / f"{self._name}.{newest + 1}.ckpt"
        with said(path):
            write_whole(path, _sealed(data, self._run, k))
            for _, old in generations[:-1]:
                old.unlink()

    def load(self, warnings: list[str]) -> bytes | None:
        """The newest that is whole, or None; what is refused is added to `warnings`."""
        generations = self._found()
        for _, path in reversed(generations):
            with said(path):
                data, fault = _unsealed(path.read_bytes(), self._run)
            if data is not None:
                return data
            warnings.append(f"checkpoint {path.name} is refused: {fault}; the one before it is used")
        if generations:
            warnings[-1] = warnings[-1].replace(
                "the one before it is used", "no whole one is left, the run starts from its beginning"
            )
        return None

    def remove(self) -> None:
        """Remove all of them."""
        with said(self._path):
            for path in self._path.glob(f"{self._name}.*"):
                path.unlink()

    def _found(self) -> list[tuple[int, Path]]:
        matches = (
            (re.fullmatch(rf"{re.escape(self._name)}\.(\d+)\.ckpt", path.name), path) for path in self._path.iterdir()
        )
        return sorted((int(match[1]), path) for match, path in matches if match)
