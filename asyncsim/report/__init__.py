"""The report: one self-contained HTML file that shows which method got there first, and why.

`write_report` is all that others need. The page is built by `asyncsim.report.page`, its data by
`asyncsim.report.data`; neither they nor plotly are imported before a report is written.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncsim.result import Result
    from asyncsim.times.overview import Overview

__all__ = ["write_report", "write_times"]


def write_report(result: "Result", path: Path | str) -> Path:
    """Write the report of `result` to `path`, one HTML file of about 5 MB, and return the path.

    The file opens from disk and asks nothing of any network: charts, script and style are inside.
    An OSError from writing (no such folder, disk full) is left to the caller. A page that is there
    already is replaced in one step, so a reader never sees half a page; ValueError when something else is there.
    """
    from asyncsim.report.page import page

    return written(page(result), path)


def write_times(name: str, seen: "Overview", path: Path | str) -> Path:
    """Write the page on the workers' times (`asyncsim.times.overview`) to `path`; like `write_report` otherwise."""
    from asyncsim.report.times_page import times_page

    return written(times_page(name, seen), path)


def written(text: str, path: Path | str) -> Path:
    """Write a page to `path` in one step, and return the path."""
    path = Path(path)
    _check_replaceable(path)
    unfinished = path.with_name(f".{path.name}.part")
    try:
        unfinished.write_text(text, encoding="utf-8", newline="\n")
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
    return path


def _check_replaceable(path: Path) -> None:
    """A page takes the place of a page only: a slip of the pen must cost neither a scenario nor what a run has recorded."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder; a page is one file, as {path / 'report.html'}")
    if not path.exists() or path.suffix.lower() in (".html", ".htm"):
        return
    if path.is_file():
        with path.open("rb") as file:
            head = file.read(100).lstrip().lower()
        if not head or head.startswith(b"<!doctype html"):
            return
    raise ValueError(f"{path} is there already and is no page; give another file, as report.html")
