"""Exports that need a package of their own, or a format of their own: one file a format, imported when it is asked for.

Each has `write(result, path) -> path`. What is not installed is said with the extra that brings it.
"""

import importlib
from pathlib import Path
from typing import Any


def needed(module: str, extra: str) -> Any:
    """The module; ImportError, with what to install, when it is not there.

    >>> needed("a_module_nobody_has", "parquet")
    Traceback (most recent call last):
    ...
    ImportError: this export needs the extra parquet (there is no module a_module_nobody_has): pip install 'asyncsim[parquet]'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"this export needs the extra {extra} (there is no module {error.name}): pip install 'asyncsim[{extra}]'"
        ) from None


def empty_folder(path: Path) -> Path:
    """`path` as a folder with nothing in it; ValueError when something is there, of which we cannot know whose it is."""
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path} is a file; this export writes a folder")
    if path.is_dir() and (others := sorted(entry.name for entry in path.iterdir())):
        raise ValueError(f"{path} holds other things ({others[0]}): choose a new or empty folder")
    path.mkdir(parents=True, exist_ok=True)
    return path
