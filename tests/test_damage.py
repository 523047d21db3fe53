"""Files of a run folder whose bytes were torn or flipped, hundreds of times at random: refused by name, or harmless.

What is never allowed: a traceback, or numbers that are other ones.
"""

import os
import random
import shutil
import signal

import pytest
from toys import bits, differences

from asyncsim import Result, resume, run, tune
from asyncsim.folder import FolderError, RunWriter, TuningWriter
from asyncsim.testing.kills import SWEEP, damage_a_checkpoint, damaged

STUDY = {
    "workers": {"count": 3, "compute_time": {"distribution": "exponential", "mean": 1}},
    "problem": {"name": "quadratic", "dimension": 4},
    "methods": [{"name": "ringmaster_asgd", "stepsize": 0.1, "threshold": 3, "stops": True}],
    "stop": {"iterations": 24},
    "record": {"iterations": 5, "events": "all", "checkpoint_every": 0},
}
CHECKPOINTS = 14


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    path = tmp_path_factory.mktemp("ended") / "run"
    run(STUDY, output=path, processes=1)
    return path


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A folder whose writer was killed by SIGKILL after some checkpoints."""
    return killed_at_a_checkpoint(RunWriter, run, STUDY, tmp_path_factory.mktemp("killed") / "run")


def killed_at_a_checkpoint(writer, play, scenario, path):
    if (child := os.fork()) == 0:
        save, saved = writer.save_checkpoint, []

        def save_and_die(*arguments):
            saved.append(save(*arguments))
            if len(saved) == CHECKPOINTS:
                os.kill(os.getpid(), signal.SIGKILL)

        writer.save_checkpoint = save_and_die
        play(scenario, output=path, processes=1)
        os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    return path


def tried(do, path):
    """What `do` makes of a folder, and why it refuses it."""
    try:
        return do(path), ""
    except FolderError as error:
        return None, str(error)


def same(one, other):
    return differences(one, other) == [] and bits(one.events) == bits(other.events)


@pytest.mark.parametrize("name", ["record.sqlite", "manifest.json"])
def test_a_finished_folder_with_any_damage_is_refused_by_name_or_reads_the_same(ended, tmp_path, name, record_property):
    record_property("tries", 100)
    (whole,) = Result.read(ended).runs
    shutil.copytree(ended, tmp_path / "run")
    chance, refused = random.Random(name), 0
    for _ in range(100):
        (tmp_path / "run" / name).write_bytes(damaged((ended / name).read_bytes(), chance))
        read, words = tried(Result.read, tmp_path / "run")
        if read is None:
            refused += 1
            assert name in words
        else:
            assert same(read.runs[0], whole)
    assert refused > 10


@pytest.mark.parametrize(
    "which", [r"newest checkpoint", "older checkpoint", "record.sqlite", "record.sqlite-wal", "manifest.json"]
)
def test_a_killed_folder_with_any_damage_is_refused_by_name_or_ends_the_same(
    ended, killed, tmp_path, which, record_property
):
    record_property("tries", 25)
    (whole,) = Result.read(ended).runs
    older, newest = sorted((killed / "checkpoints").iterdir())
    file = {"newest checkpoint": newest, "older checkpoint": older}.get(which, killed / which)
    chance, refused = random.Random(which), 0
    for number in range(25):
        path = tmp_path / str(number)
        shutil.copytree(killed, path)
        (path / file.relative_to(killed)).write_bytes(damaged(file.read_bytes(), chance))
        result, words = tried(resume, path)
        if result is None:
            refused += 1
            assert which.partition("-wal")[0] in words
        else:
            warned = [
                words for words in result.manifest["warnings"] if words.startswith(f"checkpoint {file.name} is refused")
            ]
            assert len(warned) == (which == "newest checkpoint")
            assert same(Result.read(path).runs[0], whole)
        shutil.rmtree(path)
    assert refused == 0 if "checkpoint" in which else refused > 0 or which == "record.sqlite"


def test_a_killed_sweep_with_a_damaged_checkpoint_chooses_the_same(tmp_path, record_property):
    alone = tune(SWEEP, processes=1)
    killed = killed_at_a_checkpoint(TuningWriter, tune, SWEEP, tmp_path / "killed")
    for seed in range(5):
        path = tmp_path / str(seed)
        shutil.copytree(killed, path)
        assert damage_a_checkpoint(path, random.Random(seed))
        result = resume(path, processes=1)
        assert "is refused" in result.manifest["warnings"][0]
        assert result.manifest["tuning"] == alone.manifest["tuning"]
        assert all(differences(*pair) == [] for pair in zip(result.runs, alone.runs, strict=True))
    record_property("tries", 5)
