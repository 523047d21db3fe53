"""Own methods and laws, without registration: from a script, from standard input, in a notebook; and from a wheel."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OWN = """
from asyncsim import Gradient, Quadratic, Stop, Workers, compare

class Mine:
    def run(self, server):
        while True:
            server.broadcast(Gradient(server.x))
            arrival = server.receive()
            server.step(0.5 / (1 + arrival.delay), arrival.gradient)

class Law:
    def sample(self, rng, size):
        return 1.0 + rng.random(size)

result = compare([Mine()], Quadratic(10), Workers(3, Law()), stop=Stop(iterations=30))
print(result.runs[0].method, result.runs[0].used)
"""


def python(*arguments, cwd, text=None, path=ROOT):
    environment = {**os.environ, "PYTHONPATH": str(path)}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, input=text, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_from_a_script(tmp_path):
    (tmp_path / "mine.py").write_text(OWN)
    assert python("mine.py", cwd=tmp_path) == "Mine 30\n"


def test_from_standard_input(tmp_path):
    assert python("-", cwd=tmp_path, text=OWN) == "Mine 30\n"


@pytest.mark.notebook
def test_in_a_notebook(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    nbformat = pytest.importorskip("nbformat", reason="needs the extra notebook: pip install 'asyncsim[notebook]'")
    nbclient = pytest.importorskip("nbclient", reason="needs the extra notebook: pip install 'asyncsim[notebook]'")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(OWN), nbformat.v4.new_code_cell("result")])
    nbclient.NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert notebook.cells[0].outputs[0].text == "Mine 30\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The package as a wheel, unpacked into a folder that has nothing else."""
    pytest.importorskip("hatchling", reason="needs the extra check: pip install 'asyncsim[check]'")
    built = tmp_path_factory.mktemp("wheel")
    pip = ["-m", "pip", "--disable-pip-version-check"]
    python(*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(built), str(ROOT), cwd=built)
    (file,) = built.glob("*.whl")
    python(*pip, "install", "--quiet", "--no-deps", "--target", str(built / "installed"), str(file), cwd=built)
    return built / "installed"


@pytest.mark.install
def test_a_wheel_carries_scenarios_data_and_report(wheel, tmp_path):
    listed = python("-m", "asyncsim", "list", "starters", cwd=tmp_path, path=wheel)
    assert "quickstart" in listed
    starter = wheel / "asyncsim" / "starters" / "quickstart.yaml"
    arguments = ["run", str(starter), "-o", "out", "seeds=0", "stop.time=20"]
    printed = python("-m", "asyncsim", *arguments, cwd=tmp_path, path=wheel)
    assert "report.html" in printed
    assert (tmp_path / "out" / "report.html").stat().st_size > 1e6
