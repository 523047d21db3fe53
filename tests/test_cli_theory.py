"""`asyncsim theory`: what it prints before any run, and what a run says of the bounds afterwards."""

import json

import pytest

import asyncsim
from asyncsim import bounds
from asyncsim.cli import main

SMALL = """\
name: small
workers: {count: 3, compute_time: i}
problem: {name: quadratic, dimension: 4, noise: 0.3}
target: {squared_gradient_norm: 0.2}
methods:
  - {name: ringmaster_asgd, stepsize: 0.2, threshold: 3}
  - {name: hero_sgd, stepsize: 9.5}
  - {name: ia2_sgd, stepsize: 0.1}
stop: {time: 60}
"""


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Runs the command line in an empty folder with the scenario small.yaml: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SMALL)

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main(list(arguments))
        return (end.value.code, *capsys.readouterr())

    return run


def test_theory_shows_parameters_times_and_who_would_be_chosen(command, tmp_path):
    code, out, err = command("theory", "small.yaml")
    assert (code, err) == (0, "")
    for words in ("L = 0.905", "threshold = 2", "Theory would take hero_sgd: within", "ia2_sgd: no upper bound"):
        assert words in out
    assert not (tmp_path / "runs").exists()


def test_changes_are_taken_and_all_methods_are_shown(command):
    code, out, _ = command("theory", "small.yaml", "--all", "problem.noise=0.6", "workers.compute_time=1")
    assert code == 0
    assert "σ² = 1.44" in out
    assert "mindflayer_sgd" in out


def test_of_all_methods_those_for_which_theory_has_no_stepsize_show_none(command):
    _, out, _ = command("theory", "small.yaml", "--all")
    (rescaled,) = [line for line in out.splitlines() if line.startswith("rescaled_asgd ")]
    assert "to be tuned" in rescaled
    (own,) = [line for line in out.splitlines() if line.startswith("ia2_sgd ")]
    assert "stepsize = 0.1" in own


def test_what_is_unknown_is_said_without_an_error(command):
    code, out, err = command("theory", "small.yaml", "problem=none", "target=null")
    assert (code, err) == (0, "")
    assert "unknown: L (the problem does not say it), sigma2" in out


def test_mistakes_in_the_file_end_as_everywhere(command):
    code, out, err = command("theory", "small.yaml", "problem.nose=3")
    assert (code, out) == (2, "")
    assert "nose" in err


def test_a_run_writes_down_what_is_proven_for_its_own_parameters(command, tmp_path):
    assert command("run", "small.yaml", "-q")[0] == 0
    said = json.loads((tmp_path / "runs/small/manifest.json").read_text())["theory"]
    assert said["ringmaster_asgd"]["seconds"] > 0
    assert "must be below" in said["hero_sgd"]["missing"][0]
    assert "What theory says" in (tmp_path / "runs/small/report.html").read_text()


def test_a_broken_bound_is_loud(command, monkeypatch):
    monkeypatch.setattr(bounds, "breaches", lambda result: ["hero_sgd: after the proven 3 s"])
    code, _, err = command("run", "small.yaml", "-q")
    assert code == 0
    assert "BOUND BROKEN: hero_sgd: after the proven 3 s" in err


def test_where_each_seed_has_a_problem_of_its_own_the_bound_is_the_largest():
    data = {
        "workers": {"count": 2, "compute_time": 1.0},
        "problem": {"name": "quadratic_sum", "components": 5, "dimension": 3},
        "methods": [{"name": "hero_sgd", "stepsize": "theory"}, {"name": "hero_sgd", "stepsize": 0.001}],
        "target": {"squared_gradient_norm": 0.3},
        "stop": {"iterations": 1},
    }
    seconds = [
        asyncsim.run(data | {"seeds": seeds}).manifest["theory"]["hero_sgd 2"]["seconds"]
        for seeds in ([0], [1], [0, 1])
    ]
    assert seconds[0] != seconds[1]
    assert seconds[2] == max(seconds)
