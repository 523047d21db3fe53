"""What cannot be used of a run folder, said with the file, why, and what to do."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ANEW = "restore it from a copy, or run the scenario anew"


class FolderError(Exception):
    """A run folder can't be used; the message says which file, why, and what to do."""


class FolderExists(FolderError, ValueError):  # noqa: N818 - it says what is the case
    """Something is already there and `force` was not given."""


class FolderInUse(FolderError):  # noqa: N818 - it says what is the case
    """Another process writes into this run folder."""


@contextmanager
def said(path: Path, comfort: str = "what was written before is kept and readable") -> Iterator[None]:
    """Turn what the system says into a FolderError that names the file."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise FolderError(f"{path}: {error}; {comfort}") from error
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        # SQLite's own message quotes the damaged bytes
        raise FolderError(f"{path} is damaged ({error}); {ANEW}") from error
    except OSError as error:
        raise FolderError(f"{error.filename or path}: {error.strerror or error}") from error
