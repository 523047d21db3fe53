"""The run folder: what is kept of a scenario's runs, while they run and after.

    DIR/manifest.json     what was run, where and with which versions; written whole (tmp, fsync, rename)
        scenario.yaml     the scenario's source text (empty when it was started from Python)
        record.sqlite     tables, listed in asyncsim/folder/tables.py; one writer, any number of readers
        checkpoints/      run-<run>.<generation>.ckpt, the last two of each unfinished run; tuning-<run>… of a sweep
        report.html       when one was written
        lock              held (flock) by the process that writes; freed by the system when that process dies

Files that are read back are checked first: the manifest against its seal, each finished run against its digest, its
events (time, worker, m, kind, k) against the event hash where they are read, checkpoints against their digests, the
tables by SQLite and by the number of rows that a checkpoint counts on. What is damaged is refused by name; an older
checkpoint is used in place of a damaged one. Only the curves of a run that has not ended yet have no digest.

Each file knows only files above it; the head of each says its rules:

- errors: what cannot be used, in words; values: what JSON and file names can hold; disk: files written whole;
- manifest; lock: who writes, and who is kept out;
- checkpoints; tables: those of record.sqlite; replacing: what may be overwritten;
- reading; writing.
"""

from asyncsim.folder.errors import FolderError, FolderExists, FolderInUse
from asyncsim.folder.lock import in_use
from asyncsim.folder.manifest import FORMAT, VERSION, read_manifest
from asyncsim.folder.reading import (
    Contents,
    count_events,
    open_to_read,
    read_assignments,
    read_events,
    read_folder,
    read_intervals,
    read_rows,
    read_tuning,
)
from asyncsim.folder.tables import APPLICATION_ID, ASSIGNMENT, MARK, TUNING
from asyncsim.folder.values import plain, slug
from asyncsim.folder.writing import ENDED, RunFolder, RunWriter, TuningWriter

__all__ = [
    "APPLICATION_ID",
    "ASSIGNMENT",
    "ENDED",
    "FORMAT",
    "MARK",
    "TUNING",
    "VERSION",
    "Contents",
    "FolderError",
    "FolderExists",
    "FolderInUse",
    "RunFolder",
    "RunWriter",
    "TuningWriter",
    "count_events",
    "in_use",
    "open_to_read",
    "plain",
    "read_assignments",
    "read_events",
    "read_folder",
    "read_intervals",
    "read_manifest",
    "read_rows",
    "read_tuning",
    "slug",
]
