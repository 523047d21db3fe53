"""What the README shows is run: its Python, its scenario, its command lines, its picture."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from asyncsim.scenario import from_data
from asyncsim.yaml_file import read

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)


def blocks(language):
    return [text for name, text in BLOCKS if name == language]


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_the_python_of_the_readme_runs(number, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(blocks("python")[number], f"README, block {number}", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out


def test_the_scenario_of_the_readme_is_one(tmp_path):
    for text in blocks("yaml"):
        (tmp_path / "scenario.yaml").write_text(text)
        assert from_data(read(tmp_path / "scenario.yaml").data).build_methods()


def test_what_the_readme_calls_by_its_whole_name_is_there_after_import_asyncsim():
    names = sorted(set(re.findall(r"`(asyncsim(?:\.\w+)+)", README.read_text())))
    assert {"asyncsim.replay.exact", "asyncsim.testing", "asyncsim.twin.what_if"} <= set(names)
    code = "\n".join(["import asyncsim", *names])  # in a process where nobody else has imported them
    environment = {**os.environ, "PYTHONPATH": str(README.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_commands_of_the_readme_exist():
    from typer.main import get_command

    from asyncsim.cli import app

    known = get_command(app).commands
    for line in "".join(blocks("sh")).splitlines():
        words = shlex.split(line, comments=True)
        if words and words[0] == "asyncsim":
            assert words[1] in known, line


def test_the_make_targets_of_the_readme_exist():
    targets = re.findall(r"^(\w+):", (README.parent / "Makefile").read_text(), re.MULTILINE)
    for target in re.findall(r"make ([a-z]+)", "".join(blocks("sh"))):
        assert target in targets


def test_files_and_pictures_that_the_readme_links_are_there():
    links = re.findall(r"\]\(([^)#:]+)\)", README.read_text())
    assert links
    for link in links:
        assert (README.parent / link).exists(), link


def test_the_pictures_of_the_readme_open_at_once():
    pictures = [README.parent / link for link in re.findall(r"\]\(([^)]+\.(?:png|webp|gif))\)", README.read_text())]
    assert {picture.name for picture in pictures} >= {"player.webp", "player.png"}
    assert all(picture.stat().st_size <= 2 * 2**20 for picture in pictures)
