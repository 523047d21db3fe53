"""The runs of a study on a Ray cluster: the rows are those of processes of this machine, whoever is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import test_study
import test_sweep
from own_methods import Troubled
from test_parallel import TWICE, Unsendable, has_ended, rows
from test_study import FIVE
from test_sweep import SMALL
from toys import OWN_OBJECTS, Slope, differences

from asyncsim import OnCluster, Result, Stop, Workers, cluster_runs, compare, resume, run, tune
from asyncsim.cli import _code
from asyncsim.folder import read_folder
from asyncsim.ray_session import EngineError
from asyncsim.scenario import from_data
from asyncsim.study import setting_of

ray = pytest.importorskip("ray", reason="needs ray (extra ray)")
pytestmark = [pytest.mark.ray, pytest.mark.timeout(120), pytest.mark.usefixtures("here")]

TWO = OnCluster("local", at_most=2)
ROOT = Path(__file__).parent.parent.parent


def test_a_folder_holds_the_rows_of_runs_that_were_played_here(tmp_path):
    for path, processes in (("here", 1), ("there", TWO)):
        run(TWICE, output=tmp_path / path, processes=processes)
    assert rows(tmp_path / "there") == rows(tmp_path / "here")
    test_study.assert_same(Result.read(tmp_path / "there"), Result.read(tmp_path / "here"))
    assert list((tmp_path / "there" / "checkpoints").iterdir()) == []


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    path = tmp_path_factory.mktemp("alone") / "small"
    tune(SMALL, output=path, processes=1)
    return Result.read(path)


def test_a_sweep_has_the_same_journal_the_same_winners_and_the_same_curves(alone, tmp_path):
    tune(SMALL, output=tmp_path / "x", processes=TWO)
    test_sweep.assert_same(Result.read(tmp_path / "x"), alone)


SCRIPT = OWN_OBJECTS.format(
    imports="import sys\nfrom asyncsim import OnCluster\n", processes="(1, OnCluster(sys.argv[1], at_most=1))"
)


@pytest.fixture(scope="module")
def address(here):
    return ray.get_runtime_context().gcs_address


def started(*arguments, **options):
    """A Python program of somebody's own, to which the cluster of these tests is one that is up."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    # the token is in the file that Ray has written
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}, **options,
    )  # fmt: skip


def test_own_objects_of_a_program_travel_to_a_cluster_that_is_up(address):
    out, error = started("-c", SCRIPT, address).communicate(timeout=60)
    assert error == ""
    one, two = out.splitlines()
    assert one == two
    assert len(one) > 100


def test_own_code_beside_a_scenario_travels(tmp_path):
    (tmp_path / "travelling.py").write_text((ROOT / "tests" / "own_methods.py").read_text())
    methods = [{"name": "travelling:Troubled", "at": at, "trouble": "raises"} for at in (2, 100)]
    (tmp_path / "own.yaml").write_text(json.dumps({**FIVE, "methods": methods}))
    one, two = (run(tmp_path / "own.yaml", allow_code=True, processes=processes).runs for processes in (1, TWO))
    assert [differences(a, b) for a, b in zip(one, two, strict=True)] == [[], []]
    assert one[0].reason.startswith("OwnError: worker ")
    assert f"{tmp_path}/travelling.py:" in two[0].reason


def test_a_process_there_that_dies_once_is_replaced_and_one_that_dies_again_fails_its_run_and_no_other(tmp_path):
    markers = {"once": str(tmp_path / "died"), "again": "", "never": ""}
    methods = [
        {"name": "own_methods:Troubled", "label": label, "at": 9, "marker": marker,
         "trouble": "none" if label == "never" else "dies"}
        for label, marker in markers.items()
    ]  # fmt: skip
    result = run({**FIVE, "methods": methods}, output=tmp_path / "x", allow_code=True, processes=TWO)
    for runs in (result.runs, read_folder(tmp_path / "x").runs):
        once, again, never = runs
        assert (once.status, again.status, never.status) == ("finished", "failed", "finished")
        assert once.event_hash == never.event_hash
        assert again.reason.startswith("the process that played it died 2 times: the cluster lost it: ")
        # what it had not yet sent is gone with it
        assert again.curves["iteration"].tolist() in ([], [0], [0, 7])


def test_an_error_of_own_code_passes_through():
    with pytest.raises(KeyError, match="15") as caught:
        compare(
            [Troubled(at=15, trouble="raises plainly"), Troubled()], Slope(), Workers(2, 1.0), stop=Stop(time=20),
            processes=TWO,
        )  # fmt: skip
    assert "own_methods.py" in caught.value.__notes__[0]


def test_what_cannot_travel_is_said():
    with pytest.raises(ValueError, match="cannot be sent to other processes"):
        compare([Troubled()], Unsendable(), Workers(1, 1.0), stop=Stop(time=1), processes=TWO)


# ---- who is killed, and who presses Ctrl-C

BLOCKED = {
    **{key: value for key, value in FIVE.items() if key != "methods"},
    "record": {"iterations": 1, "checkpoint_every": 0},
}


@pytest.fixture
def blocked(tmp_path, address):
    """A study on the cluster: one run has ended, and two compute for ever."""
    markers = [tmp_path / "a", tmp_path / "b"]
    methods = [
        {"name": "own_methods:Troubled", "label": "ends"},
        *({"name": "own_methods:Troubled", "at": 9, "trouble": "blocks", "label": m.name, "marker": str(m)} for m in markers),
    ]  # fmt: skip
    file = tmp_path / "blocked.yaml"
    file.write_text(json.dumps({**BLOCKED, "methods": methods}))
    arguments = [file, "-o", tmp_path / "x", "-q", "--allow-code", "--on-cluster", address, "-p", "2"]
    begun = started("-m", "asyncsim", "run", *arguments, start_new_session=True)
    try:
        end = time.monotonic() + 60
        while not all(marker.exists() for marker in markers):
            assert begun.poll() is None, begun.communicate()
            assert time.monotonic() < end
            time.sleep(0.05)
        yield begun
    finally:
        begun.kill()
        begun.communicate()


def players() -> set[int]:
    """The processes of the cluster that play runs."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"ray::Player" in (process / "cmdline").read_bytes():
                found.add(int(process.name))
        except OSError:
            continue
    return found


def test_a_driver_that_is_killed_leaves_nobody_and_what_had_ended_is_not_played_again(blocked, tmp_path):
    begun = blocked
    others = players()
    assert len(others) == 2
    begun.kill()
    begun.communicate()
    assert all(map(has_ended, others))
    before = Result.read(tmp_path / "x").runs
    assert [run.status for run in before] == ["finished", "interrupted", "interrupted"]
    after = resume(tmp_path / "x", allow_code=True, processes=TWO).runs
    assert [run.status for run in after] == ["finished"] * 3
    assert after[0].wall_seconds == before[0].wall_seconds
    one = run({**BLOCKED, "methods": [{"name": "own_methods:Troubled", "at": 100}]}, allow_code=True).runs[0]
    assert [run.event_hash for run in after] == [one.event_hash] * 3


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_ends_it_soon_and_a_second_one_at_once_and_nobody_is_left(blocked, tmp_path, times):
    begun = blocked
    others = players()
    # as a terminal does, to the whole group
    os.killpg(begun.pid, signal.SIGINT)
    assert "SIGINT: ending after the next step" in begun.stderr.readline()
    if times == 2:
        os.killpg(begun.pid, signal.SIGINT)
    error = begun.communicate()[1]
    assert begun.returncode == 130, error
    assert "Traceback" not in error
    assert ("asyncsim resume" in error) == (times == 1)
    assert all(map(has_ended, others))
    runs = Result.read(tmp_path / "x").runs
    assert all(run.iterations == 9 if times == 1 else run.iterations <= 9 for run in runs[1:])


# ---- where it can't be


def test_a_machine_with_other_versions_or_other_data_is_named(tmp_path, monkeypatch):
    digits = {"name": "softmax_regression", "data": "digits"}
    scenario = from_data({**FIVE, "problem": digits, "methods": FIVE["methods"][:1]})
    setting = replace(setting_of(scenario, "single"), facts={"seed": 0, "data_sha256": "another"})

    def begun(setting):
        with cluster_runs.Actors(TWO, setting, {}) as actors:
            started = actors.free()
            started.work = object()
            return list(actors.messages(60))

    with pytest.raises(EngineError, match=r"on a cluster: machine .*: the data of the problem are not the same there"):
        begun(setting)
    lost = replace(setting, problem=from_data({**FIVE, "problem": digits}).problem_of_seed())
    lost.problem.described = Missing()
    with pytest.raises(EngineError, match=r"no such file.*; data are read where a run is played"):
        begun(lost)
    monkeypatch.setattr(cluster_runs, "numbers_depend_on", lambda: {"numpy": "0.9"})
    with pytest.raises(EngineError, match=r"it has numpy .*, here 0\.9: numbers would depend on where a run is played"):
        begun(setting)


class Missing:
    def build(self, seed, base, n):
        raise FileNotFoundError("data.csv: no such file")


def test_who_finds_no_place_gives_its_run_back(tmp_path):
    with cluster_runs.Actors(TWO, setting_of(from_data(FIVE), "single"), {}) as actors:
        # after it was looked how many are free, somebody takes all but one
        taken = all_but(1)
        both = [give(actors), give(actors)]
        while all(each.begun is not None for each in both):
            assert list(actors.messages(60)) == []
        actors._where = replace(TWO, start_timeout=0.0)
        (waiting,) = [each for each in both if each.begun is not None]
        assert list(actors.messages(0.1)) == [(waiting, ("homeless",))]
        actors.remove(waiting)
        assert not actors.some_free()
        ray.kill(taken)


def test_processors_that_others_leave_are_used(monkeypatch):
    monkeypatch.setattr(cluster_runs, "LOOK_FOR_PLACES", 0.1)
    with cluster_runs.Actors(TWO, setting_of(from_data(FIVE), "single"), {}) as actors:
        taken = all_but(1)
        wait_until(actors.some_free)
        first = give(actors)
        while first.begun is not None:
            assert list(actors.messages(60)) == []
        assert not actors.some_free()
        ray.kill(taken)
        wait_until(actors.some_free)


def test_a_run_can_follow_at_once_on_the_processors_of_the_one_before():
    ray.kill(all_but(0))
    with cluster_runs.session(OnCluster("local", at_most=int(ray.cluster_resources()["CPU"]))):
        pass
    taken = all_but(0)
    with pytest.raises(EngineError, match=r"on a cluster: the workers need 2 CPUs, but 0 of \d+ are free"):
        cluster_runs.Actors(TWO, None, {}).__enter__()
    ray.kill(taken)


def all_but(number):
    """Somebody who takes all processors but so many, as soon as those of the tests before are given back."""

    @ray.remote
    class Other:
        def here(self):
            return True

    taken = Other.options(num_cpus=ray.cluster_resources()["CPU"] - number).remote()
    ray.get(taken.here.remote())
    return taken


def wait_until(holds):
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def give(actors):
    each = actors.free()
    each.work = object()
    return each


def test_mistakes_are_told_in_a_line(tmp_path, capsys):
    file = tmp_path / "s.yaml"
    file.write_text(json.dumps(FIVE))
    for arguments, words in {
        ("--insecure",): "give --on-cluster ADDRESS too",
        ("--on-cluster", "local", "engine.name=ray"): "engine: runs with real workers are not played on a cluster",
    }.items():
        assert _code(["run", str(file), "-o", str(tmp_path / "x"), *arguments]) == 2
        err = capsys.readouterr().err
        assert words in err
        assert err.count("\n") == 1
    with pytest.raises(ValueError, match="at_most = 0, but a whole number >= 1 is needed"):
        OnCluster(at_most=0)


def test_a_cluster_that_is_not_there_is_told_in_a_line_before_anything_is_written(tmp_path):
    (tmp_path / "s.yaml").write_text(json.dumps(FIVE))
    arguments = ["run", tmp_path / "s.yaml", "-o", tmp_path / "x", "--on-cluster", "127.0.0.1:1"]
    ended = started("-m", "asyncsim", *arguments)
    _, error = ended.communicate()
    assert ended.returncode == 2
    assert error.startswith("on a cluster: nobody answers at 127.0.0.1:1 (")
    assert error.count("\n") == 1
    assert not (tmp_path / "x").exists()
