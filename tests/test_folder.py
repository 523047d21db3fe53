"""The run folder: what is written comes back, survives faults, and is refused when damaged."""

import json
import math
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from factories import make_result, make_run
from hypothesis import given, settings
from hypothesis import strategies as st

import asyncsim.folder
from asyncsim.folder import (
    ASSIGNMENT,
    MARK,
    FolderError,
    FolderExists,
    FolderInUse,
    RunFolder,
    RunWriter,
    in_use,
    plain,
    read_folder,
    slug,
)
from asyncsim.log import hash_of_events
from asyncsim.result import AWAY, CURVES, INTERVAL, KINDS, OUTCOMES, POWERS, WORKERS, Result, Run

POINT = dict.fromkeys(CURVES, 1.0)


def written(path: Path, result: Result, wal: bool = True) -> Result:
    """`result` after its way through a run folder."""
    manifest = {"name": result.name, "target": result.target, "scenario": result.scenario, "problem": result.problem}
    with RunFolder.create(path, manifest, "name: made by hand\n", wal=wal) as folder:
        for number, run in enumerate(result.runs):
            writer = folder.writer(number, run.label, run.method, run.parameters, run.seed, run.n)
            for row, point in enumerate(zip(*run.curves.values(), strict=True)):
                contributions = {"contributions": run.contributions[row].tolist()} if len(run.contributions) else {}
                writer.curve(dict(zip(run.curves, point, strict=True)) | contributions)
            writer.finish(run)
    return Result.read(path)


def begun(folder: RunFolder, run: int = 0) -> RunWriter:
    return folder.writer(run, "hero_sgd", "hero_sgd", {"stepsize": 0.5}, seed=run, n=2)


def assert_equal(a: Run, b: Run) -> None:
    scalars = ("label", "method", "parameters", "seed", "n", "status", "reason", "iterations", "time", "event_hash")
    assert {name: getattr(a, name) for name in scalars} == {name: getattr(b, name) for name in scalars}
    for mine, other, names in ((a.curves, b.curves, CURVES), (a.workers, b.workers, WORKERS)):
        for name in names:
            np.testing.assert_array_equal(mine[name], other[name])
            assert mine[name].dtype == other[name].dtype
    for mine, other in ((a.contributions, b.contributions), (a.shown, b.shown)):
        np.testing.assert_array_equal(mine, other)
        assert mine.dtype == other.dtype
    np.testing.assert_array_equal(a.delays, b.delays)
    assert b.delays.dtype == np.int64
    np.testing.assert_array_equal(a.intervals, b.intervals)
    assert b.intervals.dtype == INTERVAL
    np.testing.assert_array_equal(a.away, b.away)
    assert b.away.dtype == AWAY
    np.testing.assert_array_equal(a.powers, b.powers)
    assert b.powers.dtype == POWERS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "study"


@pytest.fixture
def folder(path: Path) -> Iterator[RunFolder]:
    with RunFolder.create(path, {"name": "study"}, "name: study\n") as made:
        yield made


class Child:
    """A second Python process that says a line when it got so far."""

    def __init__(self, code: str, path: Path, *arguments: str) -> None:
        package = str(Path(asyncsim.folder.__file__).parents[1])
        head = "import sys, os\nfrom asyncsim.folder import *\nfrom asyncsim.result import *\npath = sys.argv[1]\n"
        self.process = subprocess.Popen(
            [sys.executable, "-c", head + code, str(path), *arguments],
            stdout=subprocess.PIPE,
            stdin=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": package},
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


WRITES_FOR_EVER = """
folder = RunFolder.create(path, {"name": "study"}, "", wal=sys.argv[2] == "True")
writer = folder.writer(0, "hero_sgd", "hero_sgd", {}, 0, 2)
for k in range(10**9):
    writer.curve(dict.fromkeys(CURVES, float(k)))
    writer.save_checkpoint(b"state %d" % k, k) if k % 20 == 7 else None
    writer.flush()
    print(k, flush=True)
"""
WAITS = """
folder = RunFolder.create(path, {"name": "study"}, "")
writer = folder.writer(0, "hero_sgd", "hero_sgd", {}, 0, 2)
for k in range(3):
    writer.curve(dict.fromkeys(CURVES, float(k)))
writer.flush()
print("ready", flush=True)
sys.stdin.readline()
"""


# ------------------------------------------------------------------------------------------ there and back


@pytest.mark.parametrize("wal", [True, False])
def test_what_was_written_reads_back_equal(path: Path, wal: bool) -> None:
    result = make_result(methods=("rennala_sgd", "hero_sgd"), seeds=(3, 4), away=True)
    back = written(path, result, wal)
    assert (back.name, back.target, back.scenario, back.problem) == (
        *(result.name, result.target, result.scenario, result.problem),
    )
    assert back.scenario_text == "name: made by hand\n"
    assert back.manifest["journal_mode"] == ("wal" if wal else "delete")
    for mine, other in zip(result.runs, back.runs, strict=True):
        assert_equal(mine, other)


def test_numbers_that_json_and_sql_find_hard_come_back(path: Path) -> None:
    run = make_run(points=4)
    odd = {name: np.array([0.1, math.nan, math.inf, -0.0]) for name in CURVES}
    run = Run(**{**run.__dict__, "curves": odd, "time": math.inf, "parameters": {"a": math.nan, "b": np.float64(0.1)}})
    back = written(path, Result("x", (run,), target={"suboptimality": np.float64(0.1)})).runs[0]
    np.testing.assert_array_equal(back.curves["value"], odd["value"])
    assert back.time == math.inf
    assert back.parameters == {"a": None, "b": 0.1}


def test_a_run_without_any_points_workers_or_intervals_comes_back(path: Path) -> None:
    empty = Run("a", "a", {}, seed=0, n=1, status="failed", reason="no")
    assert_equal(empty, written(path, Result("x", (empty,))).runs[0])


def test_events_come_back_merged_in_order(folder: RunFolder, path: Path) -> None:
    writer = begun(folder)
    names = dict(zip(KINDS, range(len(KINDS)), strict=True))
    assignments = np.zeros((3, len(ASSIGNMENT)))
    assignments[:, :5] = [
        [1.0, 0, 0, names["arrived"], 0],
        [2.0, 1, 0, names["arrived"], 1],
        [2.0, 0, 1, names["lost"], 1],
    ]
    writer.assignments(assignments)
    marks = [[1.0, 0, 0, names["used"], 0], [1.0, -1, -1, names["step"], 1], [2.0, 1, 0, names["used"], 1]]
    writer.marks(np.array(marks))
    event_hash = hash_of_events(assignments, np.array(marks))
    writer.finish(replace(make_run("hero_sgd", n=2), event_hash=event_hash))
    events = read_folder(path).runs[0].events
    assert events is not None
    assert [(time, KINDS[kind]) for time, _, _, kind, _ in events.tolist()] == [
        (1.0, "arrived"),
        (1.0, "used"),
        (1.0, "step"),
        (2.0, "arrived"),
        (2.0, "used"),
        (2.0, "lost"),
    ]
    assert read_folder(path, events=False).runs[0].events is None


def test_events_that_nobody_asked_for_are_none(path: Path) -> None:
    assert written(path, make_result(seeds=(0,))).runs[0].events is None


def test_contributions_can_be_asked_in_sql(path: Path) -> None:
    run = written(path, make_result(methods=("rennala_sgd",), seeds=(0,))).runs[0]
    query = "SELECT point, each.key, each.value FROM curves, json_each(contributions) AS each WHERE run = 0"
    with closing(sqlite3.connect(path / "record.sqlite")) as connection:
        cells = {(point, place): count for point, place, count in connection.execute(query)}
    assert cells == {(point, place): count for (point, place), count in np.ndenumerate(run.contributions)}


def test_contributions_of_a_run_that_was_killed_are_there_up_to_its_last_record(folder: RunFolder, path: Path) -> None:
    writer = begun(folder)
    for counts in ([0, 0], [3, 1]):
        writer.curve({**POINT, "contributions": counts})
    writer.flush()
    run = read_folder(path).runs[0]
    assert run.contributions.tolist() == [[0, 0], [3, 1]]
    assert run.shown.tolist() == [0, 1]


def test_contributions_that_do_not_fit_each_other_are_damage(folder: RunFolder, path: Path) -> None:
    writer = begun(folder)
    for counts in ([0, 0], [3]):
        writer.curve({**POINT, "contributions": counts})
    writer.flush()
    with pytest.raises(FolderError, match="damaged"):
        read_folder(path)


def test_anybody_can_ask_the_tables_in_sql(path: Path) -> None:
    result = make_result(methods=("rennala_sgd",), seeds=(0,))
    written(path, result)
    with closing(sqlite3.connect(path / "record.sqlite")) as connection:
        totals = connection.execute("SELECT label, sent, used, stopped FROM totals").fetchall()
        last = connection.execute("SELECT label, iteration FROM last_points").fetchall()
        outcomes = "SELECT DISTINCT name FROM intervals JOIN outcomes USING (outcome)"
        names = {name for (name,) in connection.execute(outcomes)}
    run = result.runs[0]
    assert totals == [("rennala_sgd", run.sent, run.used, run.stopped)]
    assert last == [("rennala_sgd", run.iterations)]
    assert {"used", "stopped"} <= names <= set(OUTCOMES)


def test_rows_with_wrong_columns_are_refused(folder: RunFolder) -> None:
    writer = begun(folder)
    with pytest.raises(ValueError, match="rows need the 11 columns time, worker, m"):
        writer.assignments(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="a record point has exactly time, iteration"):
        writer.curve({"time": 1.0})


def test_the_manifest_can_be_changed_and_keeps_the_rest(folder: RunFolder, path: Path) -> None:
    folder.update_manifest(evaluation="eager", seeds=np.arange(2))
    manifest = json.loads((path / "manifest.json").read_text())
    assert (manifest["name"], manifest["evaluation"], manifest["seeds"]) == ("study", "eager", [0, 1])
    assert not list(path.glob("*.tmp"))


# ------------------------------------------------------------------------------------------ one at a time


def test_a_folder_with_anything_in_it_is_refused_and_left_as_it_was(path: Path) -> None:
    path.mkdir()
    (path / "scenario.yaml").write_text("mine")
    for force in (False, True):
        with pytest.raises(FolderExists, match="not empty and not a run folder"):
            RunFolder.create(path, {}, "", force=force)
    assert [(entry.name, entry.read_text()) for entry in path.iterdir()] == [("scenario.yaml", "mine")]


def test_a_file_is_not_replaced_by_a_folder(path: Path) -> None:
    path.write_text("mine")
    with pytest.raises(FolderExists, match="is a file"):
        RunFolder.create(path, {}, "", force=True)


def test_a_run_folder_is_replaced_only_by_force_and_other_files_stay(path: Path) -> None:
    written(path, make_result())
    (path / "notes.txt").write_text("mine")
    with pytest.raises(FolderExists, match="already holds a run"):
        RunFolder.create(path, {}, "")
    assert len(read_folder(path).runs) == 9
    RunFolder.create(path, {"name": "new"}, "", force=True).close()
    assert read_folder(path).runs == ()
    assert read_folder(path).manifest["name"] == "new"
    assert (path / "notes.txt").read_text() == "mine"


KILLED_AT_THE_START = """
import asyncsim.folder.writing as f, itertools, signal
moment, done = sys.argv[2], {}
def killed(at, real):
    def call(*arguments, **named):
        if at == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **named)
    return call
f.open_database = killed("no table", f.open_database)
f.create_tables = killed("empty tables", f.create_tables)
f.write_whole = killed("no scenario", f.write_whole)
f.RunFolder.update_manifest = killed("no manifest", f.RunFolder.update_manifest)
if moment == "half a manifest":
    real = os.fsync
    def fsync(handle):
        real(handle)
        if os.path.exists(os.path.join(path, "manifest.json.tmp")):
            os.kill(os.getpid(), signal.SIGKILL)
    os.fsync = fsync
RunFolder.create(path, {"name": "study"}, "name: study")
"""


@pytest.mark.parametrize("moment", ["no table", "empty tables", "no scenario", "no manifest", "half a manifest"])
def test_what_a_kill_leaves_of_a_start_is_replaced_without_being_asked(path: Path, moment: str) -> None:
    with Child(KILLED_AT_THE_START, path, moment) as child:
        assert child.process.wait() == -signal.SIGKILL
    assert not (path / "manifest.json").exists()
    assert (path / "lock").exists()
    RunFolder.create(path, {"name": "new"}, "").close()
    assert read_folder(path).manifest["name"] == "new"
    assert {entry.name for entry in path.iterdir()} == {
        "lock",
        "manifest.json",
        "record.sqlite",
        "scenario.yaml",
        "checkpoints",
    }


def test_starts_that_were_killed_at_random_moments_never_hinder_the_next(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Sixty processes, up to three after each other into one folder; SIGKILL wherever they are by then."""
    record_property("tries", 60)
    chance, kills = random.Random(), 0
    while kills < 60:
        path = tmp_path / str(kills)
        for _ in range(3):
            if (child := os.fork()) == 0:
                with suppress(BaseException):
                    RunFolder.create(path, {"name": "killed"}, "name: killed\n")
                    signal.pause()
                os._exit(1)  # it was refused
            time.sleep(chance.uniform(0.0, 0.02))
            os.kill(child, signal.SIGKILL)
            assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
            kills += 1
            if (path / "manifest.json").exists():
                break
        RunFolder.create(path, {"name": "new"}, "", force=(path / "manifest.json").exists()).close()
        assert read_folder(path).manifest["name"] == "new"


@pytest.mark.parametrize("lost", ["manifest", "manifest and lock", "all but an empty table"])
def test_what_holds_a_run_or_has_no_lock_of_ours_is_no_start_that_was_killed(path: Path, lost: str) -> None:
    written(path, make_result())
    (path / "manifest.json").unlink()
    if lost == "manifest and lock":
        (path / "lock").unlink()
    if lost == "all but an empty table":
        for name in ("record.sqlite", "lock"):
            (path / name).write_bytes(b"")
    before = (path / "record.sqlite").read_bytes()
    with pytest.raises(FolderExists, match="already holds a run"):
        RunFolder.create(path, {}, "")
    assert (path / "record.sqlite").read_bytes() == before


def test_an_empty_folder_can_be_used(path: Path) -> None:
    path.mkdir()
    RunFolder.create(path, {}, "").close()


def test_a_folder_in_use_by_another_process_is_refused_even_by_force(path: Path) -> None:
    with Child(WAITS, path) as child:
        assert child.line() == "ready"
        assert in_use(path)
        with pytest.raises(FolderInUse, match=f"in use by process {child.process.pid}"):
            RunFolder.open(path)
        with pytest.raises(FolderInUse):
            RunFolder.create(path, {}, "", force=True)
        child.kill()
        assert not in_use(path)
        RunFolder.open(path).close()


def test_a_folder_in_use_in_the_same_process_is_refused(folder: RunFolder, path: Path) -> None:
    with pytest.raises(FolderInUse):
        RunFolder.open(path)


def test_closing_twice_does_nothing(folder: RunFolder) -> None:
    folder.close()
    folder.close()


def test_an_error_in_the_block_is_not_hidden_by_the_closing(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), RunFolder.create(path, {}, ""):
        _ = 1 / 0
    assert not in_use(path)


# ------------------------------------------------------------------------------------------ while it is written


def test_a_run_that_is_being_written_can_be_read(path: Path) -> None:
    with Child(WAITS, path) as child:
        assert child.line() == "ready"
        run = Result.read(path).runs[0]
        assert run.status == "running"
        assert run.curves["time"].tolist() == [0.0, 1.0, 2.0]
        assert (run.iterations, run.time) == (2, 2.0)
        child.kill()
        assert Result.read(path).runs[0].status == "interrupted"


def test_a_row_is_committed_without_being_asked(folder: RunFolder, path: Path) -> None:
    writer = begun(folder)
    for _ in range(128):
        writer.curve(POINT)
    assert len(read_folder(path).runs[0].curves["time"]) > 128 - 64


@pytest.mark.parametrize("wal", [True, False])
def test_kill_9_loses_no_row_that_was_flushed(path: Path, wal: bool) -> None:
    with Child(WRITES_FOR_EVER, path, str(wal)) as child:
        said = [int(child.line()) for _ in range(50)]
        child.kill()
    run = Result.read(path).runs[0]
    assert run.status == "interrupted"
    assert run.curves["iteration"].tolist() == list(range(len(run.curves["time"])))
    assert len(run.curves["time"]) > said[-1]
    with RunFolder.open(path) as folder:
        writer = folder.writer(0, "hero_sgd", "hero_sgd", {}, 0, 2)
        state = writer.load_checkpoint()
        assert state is not None
        assert int(state.split()[1]) >= 47
        assert writer.warnings == []


HALF_WRITES_A_LOT = """
import numpy as np
folder = RunFolder.create(path, {"name": "study"}, "", wal=sys.argv[2] == "True")
writer = folder.writer(0, "hero_sgd", "hero_sgd", {}, 0, 2)
for k in range(10):
    writer.curve(dict.fromkeys(CURVES, float(k)))
folder.flush()
folder._connection.execute("PRAGMA cache_size=10")  # what is not committed goes to the disk all the same
folder._patience = 1000.0
writer.assignments(np.ones((5000, 11)))
print(folder._connection.in_transaction, flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("wal", [True, False])
def test_rows_half_written_when_killed_do_not_count(path: Path, wal: bool) -> None:
    with Child(HALF_WRITES_A_LOT, path, str(wal)) as child:
        assert child.line() == "True"
        child.kill()
    run = read_folder(path).runs[0]
    assert len(run.curves["time"]) == 10
    assert run.events is None
    with RunFolder.open(path) as folder:
        assert begun(folder).lengths() == {"curves": 10, "assignments": 0, "marks": 0}


def test_a_run_taken_up_again_goes_on_after_its_checkpoint(path: Path) -> None:
    event_hash = hash_of_events(np.empty((0, 5)), np.zeros((4, 5)))
    run = replace(make_run("hero_sgd", n=2, points=6), event_hash=event_hash)
    points = [dict(zip(CURVES, row, strict=True)) for row in zip(*(run.curves[name] for name in CURVES), strict=True)]
    with RunFolder.create(path, {}, "") as folder:
        writer = begun(folder)
        for point in points[:3]:
            writer.curve(point)
        writer.marks(np.zeros((4, len(MARK))))
        lengths = writer.lengths()
        assert lengths == {"curves": 3, "assignments": 0, "marks": 4}
        writer.curve(points[5])
        writer.marks(np.ones((1, len(MARK))))
        writer.finish(replace(run, status="interrupted"))
    assert Result.read(path, events=False).runs[0].used == run.used
    with RunFolder.open(path) as folder:
        assert folder.statuses() == {0: "interrupted"}
        writer = begun(folder)
        assert folder.statuses() == {0: "running"}
        writer.truncate(lengths)
        assert writer.lengths() == lengths
        for point in points[3:]:
            writer.curve(point)
        writer.finish(run)
        assert_equal(run, folder.read_run(0))
    back = Result.read(path).runs[0]
    assert_equal(run, back)
    assert back.events is not None
    assert len(back.events) == 4


def test_rows_that_a_checkpoint_counts_on_must_be_there(folder: RunFolder) -> None:
    writer = begun(folder)
    writer.marks(np.zeros((4, len(MARK))))
    with pytest.raises(
        FolderError, match=r"record\.sqlite is damaged: run 0 has 4 rows of marks, but its checkpoint counts 5"
    ):
        writer.truncate({"marks": 5})


def test_a_manifest_that_was_changed_does_not_fit_its_seal(folder: RunFolder, path: Path) -> None:
    folder.update_manifest(name="study")
    text = (path / "manifest.json").read_text(encoding="utf-8")
    (path / "manifest.json").write_text(text.replace("study", "stody"), encoding="utf-8")
    with pytest.raises(FolderError, match=r"manifest\.json is damaged, or was changed by hand"):
        read_folder(path)


@pytest.mark.parametrize("column", ["time", "worker", "m", "kind", "k"])
def test_events_that_were_changed_do_not_fit_their_hash(path: Path, column: str) -> None:
    with RunFolder.create(path, {}, "") as folder:
        writer = begun(folder)
        rows = np.zeros((3, len(ASSIGNMENT)))
        writer.assignments(rows)
        writer.finish(replace(make_run("hero_sgd", n=2), event_hash=hash_of_events(rows, np.empty((0, 5)))))
    assert read_folder(path).runs[0].events is not None
    with closing(sqlite3.connect(path / "record.sqlite")) as connection, connection:
        connection.execute(f"UPDATE assignments SET {column} = {column} + 1 WHERE row = 1")
    with pytest.raises(FolderError, match=r"record.sqlite: run 0 .* is damaged: its events do not fit their hash"):
        read_folder(path)


def test_another_run_under_the_same_number_is_refused(folder: RunFolder) -> None:
    begun(folder)
    with pytest.raises(FolderError, match=r"run 0 is .*hero_sgd.*the scenario has changed"):
        folder.writer(0, "rennala_sgd", "rennala_sgd", {}, seed=0, n=2)


def test_curves_can_be_thinned(folder: RunFolder, path: Path) -> None:
    writer = begun(folder)
    for _ in range(10):
        writer.curve(POINT)
    writer.replace_curves({name: np.arange(4.0) for name in CURVES})
    writer.curve(POINT)
    writer.flush()
    assert read_folder(path).runs[0].curves["time"].tolist() == [0.0, 1.0, 2.0, 3.0, 1.0]


# ------------------------------------------------------------------------------------------ one file at the end


@pytest.mark.parametrize("wal", [True, False])
def test_a_closed_folder_is_one_file_without_a_journal(path: Path, wal: bool) -> None:
    written(path, make_result(seeds=(0,)), wal)
    assert sorted(entry.name for entry in path.iterdir()) == [
        *("checkpoints", "lock", "manifest.json", "record.sqlite", "scenario.yaml")
    ]
    assert list((path / "checkpoints").iterdir()) == []


def test_closing_while_somebody_reads_keeps_everything_and_says_so(path: Path) -> None:
    folder = RunFolder.create(path, {}, "")
    begun(folder).curve(POINT)
    folder.flush()
    with closing(sqlite3.connect(path / "record.sqlite", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM curves").fetchall()
        folder.close()
        assert "could not be folded into one file" in folder.warnings[0]
    assert len(read_folder(path).runs[0].curves["time"]) == 1


READS_AS_NOBODY = """
import urllib.parse  # pathlib asks for it later, when a Python that lies in root's home cannot be read any more
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    open(os.path.join(path, "probe"), "w")
    print("writable!")
except PermissionError:
    contents = read_folder(path)
    print(contents.runs[0].status, len(contents.runs[0].curves["time"]))
"""


@pytest.fixture
def public_path() -> Iterator[Path]:
    """A folder another user can reach: the usual temporary folders are closed to others."""
    with tempfile.TemporaryDirectory() as parent:
        Path(parent).chmod(0o755)
        yield Path(parent, "study")


@pytest.mark.parametrize("killed", [False, True])
def test_a_folder_that_may_not_be_written_can_be_read(public_path: Path, killed: bool) -> None:
    if killed:
        with Child(WAITS, public_path) as child:
            child.line()
            child.kill()
        assert (public_path / "record.sqlite-wal").stat().st_size > 0
    else:
        written(public_path, Result("x", (make_run("hero_sgd", points=3),)))
    for entry in public_path.iterdir():
        entry.chmod(0o555 if entry.is_dir() else 0o444)
    public_path.chmod(0o555)
    with Child(READS_AS_NOBODY, public_path) as child:
        assert child.line() == ("interrupted 3" if killed else "finished 3")
    public_path.chmod(0o755)


def test_a_killed_folder_without_its_shared_memory_file_reads_whole(path: Path) -> None:
    with Child(WAITS, path) as child:
        child.line()
        child.kill()
    (path / "record.sqlite-shm").unlink()
    assert len(read_folder(path).runs[0].curves["time"]) == 3


# ------------------------------------------------------------------------------------------ faults


FILLS_THE_DISK = """
import resource
import numpy as np
folder = RunFolder.create(path, {"name": "study"}, "")
writer = folder.writer(0, "hero_sgd", "hero_sgd", {}, 0, 2)
for k in range(5):
    writer.curve(dict.fromkeys(CURVES, float(k)))
writer.flush()
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    for _ in range(100):
        writer.assignments(np.random.default_rng(0).random((1000, 11)))
        writer.flush()
except FolderError as error:
    print(error)
try:
    writer.save_checkpoint(bytes(10**6), 3)
except FolderError as error:
    print(error)
try:
    folder.close()
finally:
    print("closed", flush=True)
"""


def test_a_full_disk_is_said_and_earlier_rows_stay_readable(path: Path) -> None:
    with Child(FILLS_THE_DISK, path) as child:
        lines = [child.line(), child.line()]
        assert "record.sqlite" in lines[0]
        assert "what was written before is kept and readable" in lines[0]
        child.process.wait()
    run = read_folder(path).runs[0]
    assert run.curves["time"].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert run.status == "interrupted"


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError, match="file"):
        RunFolder.create(tmp_path / "file" / "study", {}, "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "is not a run folder: it has no manifest.json"),
        ("", "manifest.json is damaged"),
        ('{"format": "asyncsim run fol', "manifest.json is damaged"),
        ("[" * 100_000, "manifest.json is damaged"),
        ("\xff\xfe", "manifest.json is damaged"),
        ("[]", "was not written by asyncsim"),
        ('{"format": "else"}', "was not written by asyncsim"),
        ('{"format": "asyncsim run folder"}', "is damaged \\(version None\\)"),
        ('{"format": "asyncsim run folder", "version": 99}', "written by a newer asyncsim .*upgrade"),
        ('{"format": "asyncsim run folder", "version": 1}', "written by an older asyncsim .*anew"),
        (f'{{"format": "asyncsim run folder", "version": {asyncsim.folder.VERSION}}}', "record.sqlite is missing"),
    ],
)
def test_what_is_no_run_folder_or_has_a_damaged_manifest_is_refused(path: Path, text: str | None, said: str) -> None:
    path.mkdir()
    if text is not None:
        (path / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(FolderError, match=said):
        read_folder(path)
    with pytest.raises(FolderError, match=said):
        RunFolder.open(path)


def test_a_path_without_anything_is_refused(path: Path) -> None:
    with pytest.raises(FolderError, match="is not there"):
        read_folder(path)
    path.write_text("x")
    with pytest.raises(FolderError, match="is a file, not a run folder"):
        RunFolder.open(path)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE curves SET value = value + 1e-12 WHERE point = 3",
        "UPDATE workers SET used = used + 1 WHERE worker = 2",
        "DELETE FROM delays WHERE delay = 0",
        "UPDATE intervals SET m = 1000000 WHERE row = 5",
        "UPDATE intervals SET worker = 'x' WHERE row = 5",
        "UPDATE away SET away_to = away_to + 1 WHERE row = 1",
        "UPDATE powers SET power = power / 2 WHERE row = 1",
        "DELETE FROM powers WHERE run >= 0",
        "UPDATE runs SET iterations = 1 WHERE run = 1",
        "UPDATE runs SET parameters = '{' WHERE run = 1",
    ],
)
def test_a_changed_table_is_refused_by_the_name_of_its_run(path: Path, change: str) -> None:
    written(path, make_result(methods=("rennala_sgd",), seeds=(0, 7), away=True))
    with closing(sqlite3.connect(path / "record.sqlite")) as connection, connection:
        connection.execute(change + ("" if "run = 1" in change else " AND run = 1"))
    with pytest.raises(FolderError, match=r"record.sqlite: run 1 \(rennala_sgd, seed 7\) is damaged"):
        read_folder(path)


def test_a_folder_from_before_powers_were_kept_can_be_read_and_written(path: Path) -> None:
    result = make_result(methods=("rennala_sgd",), seeds=(0, 7))
    written(path, result)
    with closing(sqlite3.connect(path / "record.sqlite")) as connection, connection:
        connection.execute("DROP TABLE powers")
    for mine, other in zip(result.runs, read_folder(path).runs, strict=True):
        assert_equal(mine, other)
    late = make_result(methods=("rennala_sgd",), seeds=(8,), away=True).runs[0]
    with RunFolder.open(path) as folder:
        folder.writer(2, late.label, late.method, late.parameters, late.seed, late.n).finish(late)
    assert_equal(late, read_folder(path).runs[2])


@pytest.mark.parametrize(("start", "stop"), [(0, 4000), (4096, 30_000), (20, 24)])
def test_overwritten_pages_are_refused_by_the_name_of_the_file(path: Path, start: int, stop: int) -> None:
    written(path, make_result())
    database = path / "record.sqlite"
    data = bytearray(database.read_bytes())
    data[start:stop] = b"\x55" * (stop - start)
    database.write_bytes(data)
    with pytest.raises(FolderError, match=r"record\.sqlite"):
        read_folder(path)


def test_a_truncated_table_is_refused_also_for_going_on(path: Path) -> None:
    written(path, make_result())
    database = path / "record.sqlite"
    database.write_bytes(database.read_bytes()[:20_000])
    with pytest.raises(FolderError, match=r"record\.sqlite"):
        read_folder(path)
    with pytest.raises(FolderError, match=r"record\.sqlite is damaged"):
        RunFolder.open(path)
    assert not in_use(path)


# ------------------------------------------------------------------------------------------ checkpoints


def checkpoints(path: Path) -> list[str]:
    return sorted(entry.name for entry in (path / "checkpoints").iterdir())


def test_the_last_two_checkpoints_are_kept(folder: RunFolder, path: Path) -> None:
    writer = begun(folder)
    assert writer.load_checkpoint() is None
    for k in range(12):
        writer.save_checkpoint(b"state %d" % k, k)
    assert writer.load_checkpoint() == b"state 11"
    assert checkpoints(path) == ["run-0.11.ckpt", "run-0.12.ckpt"]


def test_checkpoints_of_several_runs_stay_apart(folder: RunFolder) -> None:
    first, eleventh = begun(folder, 1), begun(folder, 11)
    first.save_checkpoint(b"one", 1)
    eleventh.save_checkpoint(b"eleven", 1)
    assert (first.load_checkpoint(), eleventh.load_checkpoint()) == (b"one", b"eleven")
    first.finish(make_run("hero_sgd", n=2))
    assert eleventh.load_checkpoint() == b"eleven"


@pytest.mark.parametrize(("status", "left"), [("finished", 0), ("diverged", 0), ("interrupted", 2), ("failed", 2)])
def test_checkpoints_go_when_the_run_cannot_go_on(folder: RunFolder, path: Path, status: str, left: int) -> None:
    writer = begun(folder)
    for k in range(3):
        writer.save_checkpoint(b"state", k)
    writer.finish(Run(**{**make_run("hero_sgd", n=2).__dict__, "status": status}))
    assert len(checkpoints(path)) == left


@settings(max_examples=50)
@given(st.data())
def test_a_damaged_checkpoint_is_refused_by_name_and_the_older_one_is_used(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as parent, RunFolder.create(Path(parent, "x"), {}, "") as folder:
        writer = begun(folder)
        writer.save_checkpoint(b"older", 1)
        writer.save_checkpoint(b"newer state", 2)
        path = folder.path / "checkpoints" / "run-0.2.ckpt"
        whole = path.read_bytes()
        place = data.draw(st.integers(0, len(whole) - 1))
        if data.draw(st.booleans(), label="truncate"):
            path.write_bytes(whole[:place])
        else:
            flipped = whole[place] ^ data.draw(st.integers(1, 255))
            path.write_bytes(whole[:place] + bytes([flipped]) + whole[place + 1 :])
        assert writer.load_checkpoint() == b"older"
        assert len(writer.warnings) == 1
        assert writer.warnings[0].startswith("checkpoint run-0.2.ckpt is refused: ")
        assert writer.warnings[0].endswith("the one before it is used")


def test_when_no_checkpoint_is_whole_that_is_said(folder: RunFolder, path: Path) -> None:
    writer = begun(folder)
    for k in range(2):
        writer.save_checkpoint(b"state", k)
    for entry in (path / "checkpoints").iterdir():
        entry.write_bytes(b"")
    assert writer.load_checkpoint() is None
    assert writer.warnings[-1].endswith("no whole one is left, the run starts from its beginning")


def test_a_checkpoint_of_another_run_is_refused(folder: RunFolder, path: Path) -> None:
    begun(folder, 1).save_checkpoint(b"state", 1)
    (path / "checkpoints" / "run-1.1.ckpt").rename(path / "checkpoints" / "run-2.1.ckpt")
    writer = begun(folder, 2)
    assert writer.load_checkpoint() is None
    assert "it belongs to run 1" in writer.warnings[0]


def test_a_checkpoint_half_written_when_killed_does_not_count(folder: RunFolder, path: Path) -> None:
    writer = begun(folder)
    writer.save_checkpoint(b"state", 1)
    (path / "checkpoints" / "run-0.2.ckpt.tmp").write_bytes(b"asyncsim hal")
    assert writer.load_checkpoint() == b"state"
    writer.save_checkpoint(b"next", 2)
    assert checkpoints(path) == ["run-0.1.ckpt", "run-0.2.ckpt"]


# ------------------------------------------------------------------------------------------ names and numbers


@given(st.text())
def test_a_slug_is_a_safe_name_for_any_text(text: str) -> None:
    name = slug(text)
    assert 0 < len(name.encode()) <= 100
    assert not set(name) & set('/\\\0 \n:*?"<>|')
    assert ".." not in name
    assert not name.startswith((".", "-"))
    assert slug(name) == name


@settings(max_examples=50)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_anything_becomes_strict_json(value: object) -> None:
    assert json.loads(json.dumps(plain(value), allow_nan=False)) == plain(value)


def test_objects_json_does_not_know_are_written_as_text() -> None:
    assert plain({1: Path("a"), "s": {2, 1}, "x": np.array([1.5, np.nan])}) == {"1": "a", "s": [1, 2], "x": [1.5, None]}
