"""A scenario from its file to its run folder, killed and taken up again: in real processes, at moments nobody chose.

"Alone" is a study that nobody disturbed; one that was killed, however often, must end with the same bits.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from toys import bits, differences

import asyncsim
from asyncsim import Result, ScenarioError, resume, run
from asyncsim.folder import FolderError, FolderInUse, RunFolder
from asyncsim.study import Signals, versions

FIVE = {
    "name": "five",
    "seed": 5,
    "workers": {
        "count": 4,
        "compute_time": {"distribution": "exponential", "mean": "sqrt(i)"},
        "communication_time": {"uplink": 0.1},
    },
    "problem": {"name": "quadratic", "dimension": 20},
    "methods": [
        {"name": "asynchronous_sgd", "stepsize": 0.1, "delay_adaptive": True},
        {"name": "minibatch_sgd", "stepsize": 0.5, "batch_size": 2},
        {"name": "hero_sgd", "stepsize": 0.3},
        {"name": "rennala_sgd", "stepsize": 0.5, "batch_size": 3},
        {"name": "ringmaster_asgd", "stepsize": 0.2, "threshold": 3, "stops": True},
    ],
    "stop": {"iterations": 40},
    "record": {"iterations": 7, "events": "all", "checkpoint_every": 0},
}

# A child that runs, or takes up, the study in sys.argv[1]. It is ended by the signal in sys.argv[3]: by the kernel's
# own timer after so many seconds of its run, or, when that is negative, at so many checkpoints. It plays its runs on as
# many processes as sys.argv[5] says.
CHILD = """
import json, os, signal, sys
from asyncsim import folder, study
path, when, number, scenario = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])
processes = int(sys.argv[5])
save, saved = folder.RunWriter.save_checkpoint, []
def save_and_count(*arguments):
    saved.append(save(*arguments))
    if len(saved) == -when:
        os.kill(os.getpid(), number)
if when < 0:
    folder.RunWriter.save_checkpoint = save_and_count
else:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, when)
there = os.path.exists(os.path.join(path, "manifest.json"))
result = (
    study.resume(path, processes=processes) if there
    else study.run(scenario, output=path, processes=processes)
)
print(result.manifest["status"])
"""


def child(path: Path, when: float, number: int, scenario=FIVE, processes=1) -> subprocess.CompletedProcess[str]:
    arguments = [str(path), str(when), str(int(number)), json.dumps(scenario), str(processes)]
    environment = {**os.environ, "PYTHONPATH": str(Path(asyncsim.__file__).parents[1])}
    return subprocess.run(
        [sys.executable, "-c", CHILD, *arguments], capture_output=True, text=True, env=environment, check=False
    )


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Result:
    """The study that nobody disturbed."""
    path = tmp_path_factory.mktemp("alone") / "five"
    run(FIVE, output=path)
    return Result.read(path)


def assert_same(one: Result, other: Result) -> None:
    assert [run.label for run in one.runs] == [run.label for run in other.runs]
    for a, b in zip(one.runs, other.runs, strict=True):
        assert differences(a, b) == []
        assert bits(a.events) == bits(b.events)


def test_killed_at_any_moment_and_taken_up_it_ends_with_the_same_bits(alone, tmp_path, record_property):
    """Killed between any two instructions, after times that double until it comes through; never the same moments."""
    chance = random.Random()
    statuses = []
    for doubling in range(7):
        done = child(tmp_path / "five", 0.02 * 2**doubling * chance.uniform(1, 2), signal.SIGALRM)
        assert done.returncode in (0, -signal.SIGALRM), done.stderr
        statuses.append(done.returncode)
        if done.returncode == 0:
            break
    assert statuses[0] == -signal.SIGALRM
    record_property("tries", statuses.count(-signal.SIGALRM))
    resume(tmp_path / "five")
    assert_same(Result.read(tmp_path / "five"), alone)


@pytest.mark.parametrize("checkpoints", [1, 41, 110])
def test_killed_right_after_a_checkpoint_it_goes_on_from_there(alone, tmp_path, checkpoints):
    assert child(tmp_path / "five", -checkpoints, signal.SIGKILL).returncode == -signal.SIGKILL
    resume(tmp_path / "five")
    assert_same(Result.read(tmp_path / "five"), alone)


def test_a_result_in_memory_is_that_of_the_folder(alone):
    in_memory = run(FIVE)
    assert [run.event_hash for run in in_memory.runs] == [run.event_hash for run in alone.runs]
    assert [run.used for run in in_memory.runs] == [run.used for run in alone.runs]
    assert in_memory.folder is None


def test_how_often_checkpoints_are_written_changes_nothing(alone, tmp_path):
    scenario = {**FIVE, "record": {**FIVE["record"], "checkpoint_every": 60}}
    assert_same(run(scenario, output=tmp_path / "rarely") and Result.read(tmp_path / "rarely"), alone)


@pytest.mark.parametrize(("number", "ends_with"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_second_signal_that_meets_a_finaliser_is_not_lost(number, ends_with, capsys):
    class Leaving:
        def __del__(self):
            os.kill(os.getpid(), number)
            for _ in range(1000):  # what is raised here is ignored by Python
                pass

    def signalled_twice():
        os.kill(os.getpid(), number)
        Leaving()
        time.sleep(10)

    with Signals(), pytest.raises(ends_with):
        signalled_twice()
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_everything_so_far_kept_and_it_can_be_taken_up(alone, tmp_path, number):
    done = child(tmp_path / "five", -60, number)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr
    assert f"{number.name}: ending after the next step" in done.stderr
    so_far = Result.read(tmp_path / "five")
    assert (so_far.manifest["status"], so_far.manifest["signal"]) == ("interrupted", number)
    statuses = [run.status for run in so_far.runs]
    assert statuses == ["finished", "interrupted"]
    taken_up = resume(tmp_path / "five")
    assert taken_up.manifest["status"] == "finished"
    assert_same(Result.read(tmp_path / "five"), alone)


def test_a_folder_that_is_finished_stays_as_it_is(tmp_path):
    first = run(FIVE | {"stop": {"iterations": 5}}, output=tmp_path / "short")
    again = resume(tmp_path / "short")
    assert [run.event_hash for run in again.runs] == [run.event_hash for run in first.runs]
    assert [run.wall_seconds for run in again.runs] == [run.wall_seconds for run in first.runs]


def test_seeds_stand_outermost_so_that_every_method_has_a_curve_early():
    without_seed = {key: value for key, value in FIVE.items() if key != "seed"}
    result = run({**without_seed, "seeds": [3, 4], "stop": {"iterations": 2}, "methods": FIVE["methods"][:2]})
    assert [(run.label, run.seed) for run in result.runs] == [
        ("asynchronous_sgd", 3), ("minibatch_sgd", 3), ("asynchronous_sgd", 4), ("minibatch_sgd", 4),
    ]  # fmt: skip


OWN = """
from dataclasses import dataclass
from asyncsim import Gradient
@dataclass(frozen=True)
class Breaks:
    after: int
    def run(self, server):
        while True:
            server.broadcast(Gradient(server.x))
            if server.k == self.after:
                raise KeyError("broken on purpose")
            server.step(0.1, server.receive().gradient)
"""


def test_a_method_that_fails_keeps_its_curves_and_the_other_methods(tmp_path, monkeypatch):
    (tmp_path / "own_breaking_method.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    methods = [{"name": "own_breaking_method:Breaks", "after": 3}, {"name": "hero_sgd", "stepsize": 0.5}]
    result = run({**FIVE, "methods": methods, "record": {"iterations": 1}}, output=tmp_path / "x", allow_code=True)
    broken, hero = Result.read(tmp_path / "x").runs
    assert result.manifest["status"] == "failed"
    assert (broken.status, broken.iterations, hero.status) == ("failed", 3, "finished")
    assert broken.reason.startswith("KeyError: 'broken on purpose' (")
    assert broken.reason.endswith("own_breaking_method.py:11)")
    assert broken.curves["iteration"].tolist() == [0, 1, 2, 3]


def test_own_code_is_asked_for_again_when_it_is_taken_up(tmp_path, monkeypatch):
    (tmp_path / "own_breaking_method.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    methods = [{"name": "own_breaking_method:Breaks", "after": 3}]
    run({**FIVE, "methods": methods}, output=tmp_path / "x", allow_code=True)
    with pytest.raises(ScenarioError, match="is code, which a scenario may not run"):
        resume(tmp_path / "x")
    assert resume(tmp_path / "x", allow_code=True).runs[0].status == "failed"


def test_data_that_have_changed_since_are_refused(tmp_path):
    rows = np.random.default_rng(0).normal(size=(20, 3))
    labels = (rows[:, 0] > 0).astype(int)

    def write(scale: float) -> None:
        lines = [
            ",".join([str(label), *map(repr, (row * scale).tolist())]) for row, label in zip(rows, labels, strict=True)
        ]
        (tmp_path / "points.csv").write_text("\n".join(lines) + "\n")

    write(1.0)
    problem = {"name": "logistic_regression", "data": str(tmp_path / "points.csv")}
    first = run({**FIVE, "problem": problem, "stop": {"iterations": 5}}, output=tmp_path / "x")
    assert [run.event_hash for run in resume(tmp_path / "x").runs] == [run.event_hash for run in first.runs]
    write(2.0)
    with pytest.raises(FolderError, match="the data of the problem have changed since this was started"):
        resume(tmp_path / "x")


def test_another_kernel_than_at_the_start_is_refused(tmp_path):
    problem = {"name": "mlp", "data": "digits", "hidden": [3], "batch_size": 2}
    one = {**FIVE, "methods": FIVE["methods"][:1], "problem": problem, "stop": {"iterations": 5}}
    made = run(one, output=tmp_path / "x")
    assert made.manifest["problem"]["kernel"] == "numpy"
    with RunFolder.open(tmp_path / "x") as folder:
        folder.update_manifest(problem={**made.manifest["problem"], "kernel": "abacus"})
    with pytest.raises(FolderError, match="started with the kernel abacus, and now it is numpy"):
        resume(tmp_path / "x")


def test_the_manifest_tells_how_gradients_were_evaluated_with_what_memory_and_what_it_took(tmp_path):
    lines: list[str] = []
    two = {**FIVE, "methods": FIVE["methods"][:2], "stop": {"gradients": 400}, "record": {}, "evaluation": "prefetched"}
    made = run(two, output=tmp_path / "x", tell=lines.append, processes=1)
    manifest = Result.read(tmp_path / "x").manifest
    n, d = made.runs[0].n, made.problem["dimension"]
    assert manifest["evaluation"] == "prefetched"
    assert manifest["memory"]["points_bytes"] == (n + 1) * d * 8
    assert lines == []  # so little memory is not worth a line
    for made_again in Result.read(tmp_path / "x").runs:
        of_label = manifest["effort"][made_again.label]
        assert of_label["computed"] - of_label["unread"] == made_again.used
        assert of_label["wall_seconds"] >= of_label["record_seconds"] > 0


def test_a_way_of_evaluation_that_the_problem_does_not_offer_is_refused_at_its_place(tmp_path):
    (tmp_path / "own_plain_problem.py").write_text(
        "import numpy as np\nclass Plain:\n    dimension, x0 = 1, np.ones(1)\n"
        "    def gradient(self, x, rng, worker): return x\n"
    )
    file = tmp_path / "s.yaml"
    file.write_text(
        "workers: {count: 2, compute_time: 1.0}\nproblem: 'own_plain_problem:Plain'\n"
        "methods: [{name: hero_sgd, stepsize: 0.1}]\nstop: {time: 3}\nevaluation: batched\n"
    )
    with pytest.raises(ScenarioError, match=r"5:13: evaluation: batched needs a problem with gradients"):
        run(file, allow_code=True)


def test_two_processes_never_write_into_one_folder(alone, tmp_path):
    first = run({**FIVE, "stop": {"iterations": 2}}, output=tmp_path / "x")
    with RunFolder.open(tmp_path / "x"):
        with pytest.raises(FolderInUse):
            resume(tmp_path / "x")
        done = child(tmp_path / "x", 60.0, signal.SIGKILL)
        assert done.returncode == 1
        assert "FolderInUse" in done.stderr
    assert [run.event_hash for run in resume(tmp_path / "x").runs] == [run.event_hash for run in first.runs]


def test_a_folder_that_is_there_is_replaced_by_force_only(tmp_path):
    short = {**FIVE, "stop": {"iterations": 2}}
    run(short, output=tmp_path / "x")
    with pytest.raises(FolderError):
        run(short, output=tmp_path / "x")
    run({**short, "seed": 6}, output=tmp_path / "x", force=True)
    assert Result.read(tmp_path / "x").runs[0].seed == 6


def test_the_manifest_says_what_the_numbers_depend_on(alone):
    manifest = alone.manifest
    assert manifest["evaluation"] == "batched"
    assert manifest["problem"]["name"] == "quadratic"
    assert {"asyncsim", "python", "numpy", "simpy"} <= set(manifest["versions"])
    assert manifest["versions"] == versions()


def test_another_version_is_a_warning(tmp_path):
    run({**FIVE, "stop": {"iterations": 2}}, output=tmp_path / "x")
    with RunFolder.open(tmp_path / "x") as folder:
        folder.update_manifest(versions=versions() | {"simpy": "0.0"})
        from asyncsim.study import other_versions

        assert "simpy 0.0 then" in other_versions(folder.manifest)[0]


def test_a_scenario_whose_theory_lacks_something_is_an_error_with_its_line(tmp_path):
    path = tmp_path / "lacking.yaml"
    path.write_text(
        "workers: {count: 2, compute_time: 1}\nproblem: {name: quadratic, dimension: 5}\n"
        "methods:\n  - {name: hero_sgd, stepsize: 0.5}\n  - {name: rennala_sgd, stepsize: theory, batch_size: 2}\n"
        "stop: {time: 3}\n"
    )
    with pytest.raises(
        ScenarioError, match=r"lacking.yaml:5:.*RennalaSGD: stepsize = theory is not possible here: unknown: epsilon"
    ):
        run(path)


def test_all_events_are_in_the_result_whether_there_is_a_folder_or_not(tmp_path):
    scenario = {
        "workers": {"count": 3, "compute_time": {"distribution": "exponential", "mean": 1}},
        "problem": {"name": "quadratic", "dimension": 4},
        "methods": [{"name": "rennala_sgd", "stepsize": 0.5, "batch_size": 2}],
        "stop": {"iterations": 5},
        "record": {"events": "all"},
    }
    (kept,), (read,) = asyncsim.run(scenario, output=tmp_path / "out").runs, asyncsim.run(scenario).runs
    assert len(kept.events) > 10
    assert (kept.events == read.events).all()
