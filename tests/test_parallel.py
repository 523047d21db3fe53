"""Several processes play the runs of a study: real ones, killed by real signals; the result is that of one."""

import json
import math
import os
import select
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from own_methods import Troubled
from test_study import FIVE, assert_same, child
from toys import OWN_OBJECTS, Slope, differences

import asyncsim
from asyncsim import Quadratic, Result, Stop, Workers, compare, parallel, resume, run
from asyncsim.folder import read_folder

TWICE = {
    **{key: value for key, value in FIVE.items() if key != "seed"},
    "seeds": [5, 6],
    "methods": FIVE["methods"][2:],
    "record": {"iterations": 7, "events": "all"},
    "stop": {"iterations": 20},
}
OFTEN_KEPT = {**TWICE, "record": {**TWICE["record"], "checkpoint_every": 0}}
TESTS = Path(__file__).parent
PATH = os.pathsep.join([str(Path(asyncsim.__file__).parents[1]), str(TESTS)])


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Result:
    path = tmp_path_factory.mktemp("alone") / "twice"
    run(TWICE, output=path, processes=1)
    return Result.read(path)


def rows(folder: Path) -> dict[str, list[tuple]]:
    """All tables of a run folder, but for what the wall clock says."""
    with sqlite3.connect(folder / "record.sqlite") as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables}
        columns = [row[1] for row in connection.execute("PRAGMA table_info(runs)")]
    connection.close()
    effort = columns.index("effort")  # what was computed is the same; how long the records took is not
    assert all(json.loads(row[effort])["record_seconds"] > 0 for row in found["runs"])
    counts = [{**json.loads(row[effort]), "record_seconds": None} for row in found["runs"]]
    by_wall = {columns.index("wall_seconds"), columns.index("digest"), effort}
    found["runs"] = [tuple(v for at, v in enumerate(row) if at not in by_wall) for row in found["runs"]]
    found["effort"] = counts
    return found


def started(program: str, *arguments: str, **options) -> subprocess.Popen[str]:
    """A Python program of somebody's own, fed through a pipe, that runs."""
    begun = subprocess.Popen(
        [sys.executable, "-", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env={**os.environ, "PYTHONPATH": PATH}, **options,
    )  # fmt: skip
    begun.stdin.write(program)
    begun.stdin.close()
    begun.stdin = None
    return begun


# ---- the same result


def test_with_any_number_of_processes_a_folder_holds_the_same_rows(alone, tmp_path):
    returned = run(TWICE, output=tmp_path / "x", processes=3)
    assert_same(Result.read(tmp_path / "x"), alone)
    assert rows(tmp_path / "x") == rows(alone.folder)
    assert [(run.label, run.seed) for run in returned.runs] == [(run.label, run.seed) for run in alone.runs]
    assert list((tmp_path / "x" / "checkpoints").iterdir()) == []


def test_where_nobody_says_how_many_it_goes_over_to_processes_after_a_while(alone, tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "ALONE", 0.0)
    monkeypatch.setattr(parallel, "cores", lambda: 2)
    run(TWICE, output=tmp_path / "x")
    assert_same(Result.read(tmp_path / "x"), alone)


def test_killed_in_the_middle_it_goes_on_with_another_number_of_processes_and_redoes_no_finished_run(alone, tmp_path):
    assert child(tmp_path / "x", -50, signal.SIGKILL, OFTEN_KEPT, processes=2).returncode == -signal.SIGKILL
    before = Result.read(tmp_path / "x").runs
    assert "interrupted" in [run.status for run in before]
    resume(tmp_path / "x", processes=3)
    after = Result.read(tmp_path / "x")
    assert_same(after, alone)
    seconds = {(run.label, run.seed): run.wall_seconds for run in after.runs}
    finished = {(run.label, run.seed): run.wall_seconds for run in before if run.status == "finished"}
    assert finished
    assert finished.items() <= seconds.items()


SCRIPT = OWN_OBJECTS.format(imports="", processes="(1, 2)")


def test_own_objects_of_a_program_that_is_no_file_travel_and_it_needs_no_main_guard():
    out, error = started(SCRIPT).communicate()
    one, two = out.splitlines()
    assert one == two
    assert (len(one) > 100, error) == (True, "")


def test_own_code_beside_a_scenario_is_found_by_the_processes(tmp_path):
    (tmp_path / "lying_beside.py").write_text((TESTS / "own_methods.py").read_text())
    methods = [{"name": "lying_beside:Troubled", "at": at, "trouble": "raises"} for at in (2, 100)]
    (tmp_path / "own.yaml").write_text(json.dumps({**FIVE, "methods": methods}))
    one, two = (run(tmp_path / "own.yaml", allow_code=True, processes=processes).runs for processes in (1, 2))
    assert [differences(a, b) for a, b in zip(one, two, strict=True)] == [[], []]
    assert one[0].reason.startswith("OwnError: worker ")
    assert f"{tmp_path}/lying_beside.py:" in two[0].reason


# ---- errors


def compared(*troubles: Troubled, processes: int = 2, **options):
    workers = Workers(2, [1.0, 2.5])
    return compare(troubles, Slope(), workers, stop=Stop(iterations=20), processes=processes, **options)


def test_an_error_passes_through_with_its_place_and_it_is_that_of_the_first_run():
    methods = Troubled(at=15, trouble="raises plainly"), Troubled(at=1, trouble="raises")
    with pytest.raises(KeyError, match="15") as caught:
        compared(*methods)
    assert "own_methods.py" in caught.value.__notes__[0]


def test_an_error_that_cannot_be_pickled_comes_as_one_that_can():
    with pytest.raises(RuntimeError, match=r"^OwnError: worker 0 at iteration 3\b"):
        compared(Troubled(at=3, trouble="raises"), Troubled())


def test_a_process_that_dies_again_and_again_fails_its_run_and_no_other(tmp_path):
    methods = [
        {"name": "own_methods:Troubled", "at": 9, "trouble": trouble, "label": trouble}
        for trouble in ("dies", "leaves", "none")
    ]
    result = run({**FIVE, "methods": methods}, output=tmp_path / "x", allow_code=True, processes=2)
    assert result.manifest["status"] == "failed"
    for runs in (result.runs, read_folder(tmp_path / "x").runs):
        killed, left, well = runs
        assert (killed.status, left.status, well.status) == ("failed", "failed", "finished")
        assert killed.reason == (
            "the process that played it died 2 times: it was ended by SIGKILL, as the system does when memory runs out"
        )
        assert left.reason.endswith("it ended by itself, with exit code 7")
        assert killed.curves["iteration"].tolist() == [0, 7]


def test_a_process_that_dies_once_is_replaced_and_the_run_goes_on_from_its_checkpoint(tmp_path):
    options = [{"name": "own_methods:Troubled", "at": at, "marker": str(tmp_path / "died")} for at in (9, 100)]
    one = run({**FIVE, "methods": options}, allow_code=True, processes=1)
    (tmp_path / "died").unlink(missing_ok=True)
    dying = [{**given, "trouble": "dies"} for given in options]
    two = run({**FIVE, "methods": dying}, output=tmp_path / "x", allow_code=True, processes=2)
    assert (tmp_path / "died").exists()
    assert [run.status for run in two.runs] == ["finished", "finished"]
    assert [run.event_hash for run in one.runs] == [run.event_hash for run in two.runs]


def test_in_memory_a_run_whose_process_died_begins_anew(tmp_path):
    marker = str(tmp_path / "died")
    first = compared(Troubled(trouble="dies", marker=marker), Troubled())
    assert [run.event_hash for run in first.runs] == [run.event_hash for run in compared(Troubled(), Troubled()).runs]
    always = compared(Troubled(trouble="dies"), Troubled())
    assert [run.status for run in always.runs] == ["failed", "finished"]


def test_what_cannot_travel_is_said():
    with pytest.raises(ValueError, match=r"cannot be sent to other processes .* with processes=1 it need not"):
        compare([Troubled(), Troubled(at=2)], Unsendable(), Workers(1, 1.0), stop=Stop(time=1), processes=2)


def test_what_cannot_travel_is_played_here_where_nobody_asked_for_processes(monkeypatch):
    monkeypatch.setattr(parallel, "ALONE", 0.0)
    monkeypatch.setattr(parallel, "cores", lambda: 2)
    methods = [Troubled(), Troubled(at=2)]
    result = compare(methods, Unsendable(), Workers(1, 1.0), stop=Stop(time=5), processes=None)
    assert [run.iterations for run in result.runs] == [5, 5]


class Unsendable(Slope):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


@pytest.mark.parametrize("processes", [0, -1, 1.5, True, "2"])
def test_the_number_of_processes_is_checked(processes):
    with pytest.raises(ValueError, match=r"processes = .*, but a whole number >= 1 is needed"):
        compare([Troubled()], Quadratic(3), Workers(1, 1.0), stop=Stop(time=1), processes=processes)


# ---- signals

BLOCKED = """
import sys
from asyncsim import study
methods = [
    {"name": "own_methods:Troubled", "at": 9, "trouble": "blocks", "label": name, "marker": sys.argv[1] + name}
    for name in "ab"
]
scenario = {"workers": {"count": 4, "compute_time": "i"}, "problem": {"name": "quadratic", "dimension": 20},
            "methods": methods, "stop": {"iterations": 40}, "record": {"iterations": 1, "checkpoint_every": 0}}
result = study.run(scenario, output=sys.argv[1], processes=2, allow_code=True)
print(result.manifest["status"], [run.reason for run in result.runs])
"""


def blocked(path: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """A study whose two processes have both come to where they compute for ever; and who they are."""
    begun = started(BLOCKED, str(path))
    return begun, [int(begun.stdout.readline().removeprefix("blocks ")) for _ in range(2)]


def has_ended(process: int) -> bool:
    """Waits until a process that is not ours has ended."""
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    ended = bool(select.select([handle], [], [], 20)[0])
    os.close(handle)
    return ended


def test_when_the_first_process_is_killed_the_others_end_too_and_what_they_sent_can_be_taken_up(tmp_path):
    begun, others = blocked(tmp_path / "x")
    begun.kill()
    begun.communicate()
    assert all(map(has_ended, others))
    assert [run.status for run in Result.read(tmp_path / "x").runs] == ["interrupted", "interrupted"]
    one, two = resume(tmp_path / "x", allow_code=True, processes=1).runs
    assert (one.status, one.iterations) == ("finished", 40)
    assert one.event_hash == two.event_hash == run(unblocked(tmp_path), allow_code=True).runs[0].event_hash


def unblocked(path: Path) -> dict:
    """The scenario of a study whose processes blocked, as it would have been."""
    scenario = Result.read(path / "x").scenario
    return {**scenario, "methods": [{**scenario["methods"][0], "trouble": "none"}]}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_process_that_comes_to_no_step_after_a_signal_is_ended_and_its_checkpoint_stays(tmp_path, number):
    begun, others = blocked(tmp_path / "x")
    begun.send_signal(number)
    out, error = begun.communicate()
    assert out.startswith("interrupted ['ended before its next step; it goes on from its last checkpoint")
    assert f"{number.name}: ending after the next step" in error
    assert all(map(has_ended, others))
    result = Result.read(tmp_path / "x")
    assert [run.iterations for run in result.runs] == [9, 9]
    assert len(list((tmp_path / "x" / "checkpoints").iterdir())) == 4


def test_a_second_signal_ends_all_at_once(tmp_path):
    begun, others = blocked(tmp_path / "x")
    begun.send_signal(signal.SIGINT)
    assert "SIGINT: ending after the next step" in begun.stderr.readline()
    begun.send_signal(signal.SIGINT)
    out, error = begun.communicate()
    assert (out, error.splitlines()[-1]) == ("", "KeyboardInterrupt")
    assert all(map(has_ended, others))


def test_after_a_signal_each_process_ends_after_its_step_and_all_is_taken_up(alone, tmp_path):
    done = child(tmp_path / "x", -30, signal.SIGTERM, OFTEN_KEPT, processes=2)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr
    so_far = Result.read(tmp_path / "x")
    assert so_far.manifest["signal"] == signal.SIGTERM
    # on a busy machine a process may not come to a step in the time that it has
    late = "ended before its next step; it goes on from its last checkpoint, if it has one"
    assert {run.reason for run in so_far.runs if run.status == "interrupted"} <= {"stopped by SIGTERM", late}
    resume(tmp_path / "x", processes=1)
    assert_same(Result.read(tmp_path / "x"), alone)


# ---- how many


def test_the_cores_are_those_that_affinity_leaves():
    program = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\nimport asyncsim.parallel as p; print(p.cores())"
    assert started(program).communicate()[0] == "1\n"


def test_the_cores_are_those_that_a_cgroup_leaves(tmp_path):
    own, root = tmp_path / "cgroup", tmp_path / "root"
    inner = root / "slice" / "job"
    inner.mkdir(parents=True)
    own.write_text("0::/slice/job\n")
    assert parallel._quota(root, own) == math.inf
    (inner / "cpu.max").write_text("max 100000\n")
    assert parallel._quota(root, own) == math.inf
    (root / "slice" / "cpu.max").write_text("150000 100000\n")
    assert parallel._quota(root, own) == 1.5
    older = root / "cpu,cpuacct" / "job"
    older.mkdir(parents=True)
    own.write_text("4:cpu,cpuacct:/job\n3:memory:/job\n")
    (older / "cpu.cfs_quota_us").write_text("-1\n")
    (older / "cpu.cfs_period_us").write_text("100000\n")
    assert parallel._quota(root, own) == math.inf
    (older / "cpu.cfs_quota_us").write_text("200000\n")
    assert parallel._quota(root, own) == 2.0
    assert parallel._quota(root, tmp_path / "none") == math.inf
