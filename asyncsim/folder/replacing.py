"""What may be overwritten.

Nothing is overwritten unless asked (`force`), and then only a run folder's own files. A folder in use is refused. What a
kill leaves of a start, before the manifest, holds no run, and is replaced without being asked: a lock signed by us, tables
without a row, no checkpoint.
"""

import re
import shutil
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path

from asyncsim.folder.errors import FolderError, FolderExists
from asyncsim.folder.manifest import read_manifest
from asyncsim.folder.tables import APPLICATION_ID

_OWN_FILES = ("manifest.json", "scenario.yaml", "report.html", "record.sqlite")
_ALONGSIDE = (
    "record.sqlite-wal",
    "record.sqlite-shm",
    "record.sqlite-journal",
    "manifest.json.tmp",
    "scenario.yaml.tmp",
)


def check_replaceable(path: Path, force: bool) -> None:
    """FolderExists unless nothing is there, or what may be replaced."""
    names = {entry.name for entry in path.iterdir()} - {"lock"}
    if not names:
        return
    if _half_made(path, names):
        return
    own = names <= {*_OWN_FILES, *_ALONGSIDE, "checkpoints"} and "record.sqlite" in names
    if not own:
        with suppress(FolderError):
            read_manifest(path)
            own = True
    if not own:
        raise FolderExists(
            f"{path} is not empty and not a run folder: choose another (--force replaces run folders only)"
        )
    if not force:
        raise FolderExists(f"{path} already holds a run: choose another folder, resume it, or replace it with --force")


MOST_OF_A_START = 10**6  # bytes of tables without a row


def _half_made(path: Path, names: set[str]) -> bool:
    """Whether all that is there is what `RunFolder.create` leaves when it is killed before the manifest is written."""
    made = {"record.sqlite", "scenario.yaml", "checkpoints", *_ALONGSIDE}
    if not names <= made or "record.sqlite" not in names or any((path / name).is_symlink() for name in names):
        return False
    try:
        signed = re.match(rb"\d+\n", (path / "lock").read_bytes()[:20])
        if not signed or ("checkpoints" in names and any((path / "checkpoints").iterdir())):
            return False
        files = [path / name for name in names if name.startswith("record.sqlite") and not name.endswith("-shm")]
        if sum(file.stat().st_size for file in files) > MOST_OF_A_START:
            return False
        # what a journal left half done can be told where it may be written only: in a copy
        with tempfile.TemporaryDirectory(prefix="asyncsim-") as scratch:
            for file in files:
                shutil.copyfile(file, Path(scratch, file.name))
            with closing(sqlite3.connect(Path(scratch, "record.sqlite"), timeout=1)) as connection:
                tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
                ours = connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
                rows = connection.execute("SELECT count(*) FROM runs").fetchone()[0] if "runs" in tables else 0
    except (OSError, sqlite3.Error):
        return False
    return rows == 0 and (ours or not tables)


def remove_own_files(path: Path) -> None:
    """The manifest first, so that nobody takes the rest for a run, and the tables last, by which it is known as ours."""
    *others, tables = _OWN_FILES
    for name in (*others, *_ALONGSIDE):
        (path / name).unlink(missing_ok=True)
    checkpoints = path / "checkpoints"
    if checkpoints.is_symlink():
        checkpoints.unlink()
    elif checkpoints.exists():
        shutil.rmtree(checkpoints)
    (path / tables).unlink(missing_ok=True)
