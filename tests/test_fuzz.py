"""Scenario and trace files with random changes of bytes, words, values and lines: refused, or right. Never a traceback.

The files in tests/corpus are those that once were not; they stay so that they are not again.
"""

import random
import subprocess
import sys
from pathlib import Path

import pytest

import asyncsim
from asyncsim.testing import fuzz

CORPUS = sorted(path for path in Path(__file__).with_name("corpus").iterdir() if path.suffix != ".md")
BEGINNINGS = fuzz.beginnings()


@pytest.mark.parametrize("place", range(len(BEGINNINGS)))
def test_a_file_with_random_changes_is_read_or_refused_within_a_second(tmp_path, place, record_property):
    record_property("tries", 12)
    ending, data = BEGINNINGS[place]
    chance, path = random.Random(place), tmp_path / f"case{ending}"
    for _ in range(12):
        path.write_bytes(fuzz.mutated(data, chance))
        assert fuzz.wrong(path) == "", path.read_bytes()


def test_what_was_found_once_is_not_found_again():
    assert {path.name: fuzz.wrong(path) for path in CORPUS} == dict.fromkeys((path.name for path in CORPUS), "")


def test_a_process_that_reads_broken_files_stays_small(tmp_path, record_property):
    """Hundreds of them in one process: what it takes at most, with the interpreter and all that is imported."""
    record_property("tries", 150)
    program = (
        "import random, sys\nfrom pathlib import Path\nfrom asyncsim.testing import fuzz\n"
        "chance, path = random.Random(5), Path(sys.argv[1])\nfiles = [f for f in fuzz.beginnings() if f[0] == '.yaml']\n"
        # torch alone takes half a gigabyte where it is there
        "files = [f for f in files if not any(name in f[1] for name in (b'torch', b'cnn', b'gpt'))]\n"
        "for _ in range(150):\n    path.write_bytes(fuzz.mutated(chance.choice(files)[1], chance))\n"
        "    words = fuzz.wrong(path)\n    assert not words, words\n"
        # not getrusage: its maximum also holds that of the process it was started from
        "status = dict(line.split(':', 1) for line in open('/proc/self/status'))\n"
        "print(int(status['VmHWM'].split()[0]) // 1024)\n"
    )
    environment = {"PYTHONPATH": str(Path(asyncsim.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "case.yaml")],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 300


def test_changes_are_made_and_the_same_seed_makes_the_same():
    for _, data in BEGINNINGS[:3]:
        made = [fuzz.mutated(data, random.Random(seed)) for seed in range(20)]
        assert len(set(made)) > 15
        assert made == [fuzz.mutated(data, random.Random(seed)) for seed in range(20)]


def test_what_is_wrong_is_found(tmp_path, monkeypatch):
    path = tmp_path / "case.yaml"
    path.write_text("a: 1")
    assert fuzz.wrong(path) == ""
    monkeypatch.setattr(fuzz, "load", lambda path: 1 / 0)
    assert "ZeroDivisionError" in fuzz.wrong(path)
    monkeypatch.undo()
    monkeypatch.setattr(fuzz, "SECONDS", 0.0)
    assert fuzz.wrong(path).startswith("it took ")
    monkeypatch.setattr(fuzz, "SECONDS", 1.0)
    monkeypatch.setattr(fuzz, "MEGABYTES", -1)
    assert fuzz.wrong(path).endswith(" MB")
