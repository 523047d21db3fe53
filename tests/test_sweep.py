"""Sweeps: tuning on seeds of their own, winners on fresh ones; killed for real and taken up again."""

import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toys import bits, differences

import asyncsim
from asyncsim import Result, ScenarioError, resume, run, tune
from asyncsim.folder import read_folder
from asyncsim.scenario import from_data
from asyncsim.summary import time_to_target
from asyncsim.sweep import Tuning, choices_of, table

SMALL = {
    "name": "small",
    "seeds": [0, 1],
    "workers": {"count": 5, "compute_time": {"distribution": "exponential", "mean": "sqrt(i)"}},
    "problem": {"name": "quadratic", "dimension": 6, "noise": 0.05},
    "target": {"squared_gradient_norm": 0.01},
    "methods": [
        {"name": "ringmaster_asgd", "stepsize": 0.1, "threshold": 2},
        {"name": "hero_sgd", "stepsize": 0.3, "label": "hero"},
    ],
    "stop": {"time": 100},
    "sweep": {
        "parameters": {
            "all": {"stepsize": {"powers_of": 4, "from": -3, "to": 2}},
            "ringmaster_asgd": {"threshold": [2, 8]},
        },
        "seeds": [10, 11, 12],
    },
}


def changed(sweep=None, **changes):
    """The small sweep with something else in it."""
    return {**SMALL, **changes, "sweep": {**SMALL["sweep"], **(sweep or {})}}


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Result:
    path = tmp_path_factory.mktemp("alone") / "small"
    tune(SMALL, output=path, processes=1)
    return Result.read(path)


def tuning_rows(folder: Path, *without: str) -> list[dict]:
    with sqlite3.connect(folder / "record.sqlite") as connection:
        connection.row_factory = sqlite3.Row
        rows = [dict(row) for row in connection.execute("SELECT * FROM tuning ORDER BY run")]
    connection.close()
    return [{key: value for key, value in row.items() if key not in without} for row in rows]


def assert_same(one: Result, other: Result) -> None:
    assert one.manifest["tuning"] == other.manifest["tuning"]
    assert [differences(a, b) for a, b in zip(one.runs, other.runs, strict=True)] == [[]] * len(one.runs)
    assert tuning_rows(one.folder, "wall_seconds") == tuning_rows(other.folder, "wall_seconds")


# ---- who wins


def test_each_choice_has_the_value_that_runs_of_its_own_give_and_the_smallest_wins(alone):
    """Each choice is run by hand, to the end, with each tuning seed; the median of three is the value."""
    about = alone.manifest["tuning"]["ringmaster_asgd"]
    assert about["axes"] == {"stepsize": [0.015625, 0.0625, 0.25, 1, 4, 16], "threshold": [2, 8]}
    for i, stepsize in enumerate(about["axes"]["stepsize"]):
        for j, threshold in enumerate(about["axes"]["threshold"]):
            method = {"name": "ringmaster_asgd", "stepsize": stepsize, "threshold": threshold}
            by_hand = run({**SMALL, "seeds": [10, 11, 12], "methods": [method]}, processes=1)
            times = sorted(time_to_target(run, SMALL["target"])[0] for run in by_hand.runs)
            assert about["values"][i][j] == (times[1] if times[1] < math.inf else None)
    best = min(value for row in about["values"] for value in row if value is not None)
    at = [about["axes"][name].index(about["winner"][name]) for name in ("stepsize", "threshold")]
    assert about["values"][at[0]][at[1]] == best


def test_the_winners_are_compared_on_the_seeds_of_the_scenario(alone):
    winners = [alone.manifest["tuning"][label]["winner"] for label in ("ringmaster_asgd", "hero")]
    methods = [{**method, **winner} for method, winner in zip(SMALL["methods"], winners, strict=True)]
    ordinary = run({**SMALL, "methods": methods}, processes=1)
    assert [differences(a, b) for a, b in zip(alone.runs, ordinary.runs, strict=True)] == [[]] * 4
    assert [(run.label, run.seed) for run in alone.runs][:2] == [("ringmaster_asgd", 0), ("hero", 0)]
    assert alone.report().exists()


def test_a_choice_that_diverges_loses_also_where_it_is_the_only_other():
    result = tune(changed({"parameters": {"hero": {"stepsize": [1e5, 0.3]}}}, target=None), processes=1)
    about = result.manifest["tuning"]["hero"]
    assert about["rule"] == "final_squared_gradient_norm"
    assert (about["values"][0], about["winner"]) == (None, {"stepsize": 0.3})
    assert about["values"][1] < 0.1


def test_where_no_choice_reaches_the_target_the_one_that_came_closest_is_taken_and_it_is_said():
    result = tune(changed({"parameters": {"hero": {"stepsize": [1e-5, 1e-3, 1e5]}}}), processes=1)
    assert result.manifest["tuning"]["hero"]["values"] == [None, None, None]
    assert result.manifest["tuning"]["hero"]["winner"] == {"stepsize": 1e-3}
    assert result.manifest["tuning"]["hero"]["on_edge"] == []
    assert result.manifest["tuning_warnings"] == [
        "hero: no choice reached the target with most of the tuning seeds; what won says little"
    ]


def score(*values: float) -> tuple:
    """The score of a choice whose runs had these values."""
    scenario = from_data(
        changed({"parameters": {"hero": {"stepsize": [0.1]}}, "seeds": [10 + j for j in range(len(values))]})
    )
    tuning = Tuning(scenario, choices_of(scenario, scenario.check_problem()), None)
    tuning.rows = {j: {"value": value, "squared_gradient_norm": 1.0} for j, value in enumerate(values)}
    return tuning.score(tuning.choices[0])


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ((5, 6, 7), (4, 6.5, 7)),  # the median counts
        ((5, 6, math.inf), (6.5, 6.5, 6.5)),  # one of three may miss the target
        ((1, 7, math.inf, 3), (1, 8, math.inf, 3)),  # of two in the middle the upper one
        ((4, 6, 9), (5, 6, 7)),  # of equal ones the sum, what is above the value counted as the value
        ((math.inf, math.inf, 9), (math.inf, math.inf, math.inf)),
    ],
)
def test_the_rule_by_which_one_choice_is_better_than_another(better, worse):
    assert score(*better) < score(*worse)


@pytest.mark.parametrize(
    ("stepsizes", "on_edge"),
    [([0.015625, 0.25, 4], []), ([0.25, 0.015625], ["stepsize"]), ([0.25, 4], ["stepsize"]), ([0.25], [])],
)
def test_a_winner_on_the_edge_of_its_grid_is_warned_about(stepsizes, on_edge):
    result = tune(changed({"parameters": {"hero": {"stepsize": stepsizes}}}), processes=1)
    assert result.manifest["tuning"]["hero"]["winner"] == {"stepsize": 0.25}
    assert result.manifest["tuning"]["hero"]["on_edge"] == on_edge
    said = f"hero: stepsize = 0.25 won and is the {'smallest' if 4 in stepsizes else 'largest'} of its grid"
    assert [warning.startswith(said) for warning in result.manifest["tuning_warnings"]] == [True] * len(on_edge)


def test_where_a_grid_cannot_go_on_its_edge_is_no_reason_to_warn():
    """A threshold of 1 is the smallest there is."""
    parameters = {"ringmaster_asgd": {"threshold": [1, 500], "stepsize": [1.0]}}
    result = tune(changed({"parameters": parameters}), processes=1)
    assert result.manifest["tuning"]["ringmaster_asgd"]["winner"]["threshold"] == 1
    assert result.manifest["tuning_warnings"] == []


# ---- what is tried


def tried(sweep, **changes):
    scenario = from_data(changed(sweep, **changes))
    return [choice.parameters for choice in choices_of(scenario, scenario.check_problem())]


def test_computed_values_of_a_whole_parameter_are_whole_and_stand_once():
    grid = {"from": 1, "to": 10, "count": 7, "scale": "log"}
    found = tried({"parameters": {"ringmaster_asgd": {"threshold": grid}}})
    assert [choice["threshold"] for choice in found] == [1, 2, 3, 5, 7, 10]
    assert {type(choice["threshold"]) for choice in found} == {int}


def test_a_grid_of_a_method_goes_before_that_of_all():
    found = tried({"parameters": {"hero": {"stepsize": [0.5]}, "all": {"stepsize": [0.1, 0.2]}}})
    assert found == [{"stepsize": 0.1}, {"stepsize": 0.2}, {"stepsize": 0.5}]


def test_theory_and_what_is_chosen_by_name_can_be_tried_too():
    update_rules = [{"name": "momentum", "beta": 0.5}, "plain"]
    found = tried({"parameters": {"hero": {"stepsize": ["theory", 0.1], "update_rule": update_rules}}})
    assert found[0] == {"stepsize": "theory", "update_rule": {"name": "momentum", "beta": 0.5}}
    assert len(found) == 4


def test_random_choices_are_those_of_their_seed_and_do_not_depend_on_other_methods():
    drawn = {"between": [0.001, 1], "scale": "log"}
    sweep = {"parameters": {"all": {"stepsize": drawn}, "ringmaster_asgd": {"threshold": [2, 8]}}}
    found = tried({**sweep, "random": {"count": 20, "seed": 7}})
    assert len(found) == 40
    assert tried({**sweep, "random": {"count": 20, "seed": 7}}) == found
    assert tried({**sweep, "random": {"count": 20, "seed": 8}}) != found
    assert tried({"parameters": {"hero": {"stepsize": drawn}}, "random": {"count": 20, "seed": 7}}) == found[20:]
    stepsizes = [choice["stepsize"] for choice in found]
    assert len(set(stepsizes)) == 40
    assert 0.001 <= min(stepsizes) < 0.03
    assert 0.1 < max(stepsizes) <= 1
    assert {choice["threshold"] for choice in found[:20]} == {2, 8}


def test_where_there_are_fewer_choices_than_are_to_be_drawn_each_is_tried_once():
    found = tried({"parameters": {"hero": {"stepsize": [0.1, 0.2]}}, "random": {"count": 50}})
    assert sorted(choice["stepsize"] for choice in found) == [0.1, 0.2]


def test_a_random_sweep_shows_each_sample_with_its_parameters():
    drawn = {"hero": {"stepsize": {"between": [0.01, 1], "scale": "log"}}}
    result = tune(changed({"parameters": drawn, "random": {"count": 4}}), processes=1)
    about = result.manifest["tuning"]["hero"]
    assert about["axes"] == {"sample": [0, 1, 2, 3]}
    best = about["winner"]["sample"]
    assert about["winner"] == {"sample": best, **about["samples"][best]}
    assert about["values"][best] == min(value for value in about["values"] if value is not None)
    assert "sample" not in table(result)[1][0][1]


@pytest.mark.parametrize("seeds", [[3], [5, 7]])
def test_unless_said_otherwise_as_many_fresh_seeds_are_tuned_on(seeds):
    scenario = changed({"parameters": {"hero": {"stepsize": [0.1]}}, "seeds": None}, seeds=seeds, stop={"time": 5})
    assert tune(scenario, processes=1).manifest["tuning_seeds"] == [max(seeds) + 1 + j for j in range(len(seeds))]


# ---- mistakes

HEAD = """
seeds: 0..2
workers: {count: 2, compute_time: 1}
problem: {name: quadratic, dimension: 5}
methods: [{name: hero_sgd, stepsize: 0.5}, {name: rennala_sgd, stepsize: 0.5, batch_size: 2}]
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stop: {time: 3}\n", "there is no `sweep:` in this scenario"),
        ("stop: {time: 3}\nsweep: {}\n", "7:8: sweep.parameters: missing; needed: by method"),
        ("stop: {time: 3}\nsweep: {parameters: {}}\n", "sweep.parameters: empty; needed: a mapping of methods"),
        ("stop: {time: 3}\nsweep: {parameters: {hero: {stepsize: [1]}}}\n",
         r":7:28: sweep.parameters.hero: no method is called so; there are hero_sgd, rennala_sgd, and all; did you mean"),
        ("stop: {time: 3}\nsweep: {parameters: {hero_sgd: {stepsise: [1]}}}\n",
         r"sweep.parameters.hero_sgd.stepsise: no such parameter; there are .*did you mean 'stepsize'"),
        ("stop: {time: 3}\nsweep: {parameters: {all: {threshold: [1]}}}\n", "sweep.parameters.all.threshold: no such parameter"),
        ("stop: {time: 3}\nsweep: {parameters: {hero_sgd: {stepsize: {from: 1}}}}\n",
         r":7:43: sweep.parameters.hero_sgd.stepsize: the keys from make no grid; allowed: a list of values"),
        ("stop: {time: 3}\nsweep: {parameters: {hero_sgd: {stepsize: [0.1, -1]}}}\n",
         r"sweep.parameters.hero_sgd: hero_sgd: stepsize: -1 is not allowed; allowed: a number > 0"),
        ("stop: {time: 3}\nsweep: {parameters: {rennala_sgd: {batch_size: [1.5]}}}\n", r"batch_size: 1.5 is not allowed"),
        ("stop: {time: 3}\nsweep: {parameters: {hero_sgd: {stepsize: {between: [0.1, 1]}}}}\n",
         r"can only be drawn: add random: \{count: 50\}"),
        ("stop: {time: 3}\nsweep: {rule: time_to_target, parameters: {all: {stepsize: [1]}}}\n",
         r"sweep.rule: time_to_target needs a `target`"),
        ("stop: {time: 3}\nsweep: {rule: best, parameters: {all: {stepsize: [1]}}}\n", r"sweep.rule: 'best' is not allowed"),
        ("stop: {time: 3}\nsweep: {seeds: 2..4, parameters: {all: {stepsize: [1]}}}\n", "seed 2 is one of those that"),
        ("stop: {time: 3}\nsweep: {stop_early: true, parameters: {all: {stepsize: [1]}}}\n", "runs can be ended early only by"),
        ("stop: {iterations: 3}\ntarget: {suboptimality: 1}\nsweep: {stop_early: true, parameters: {all: {stepsize: [1]}}}\n",
         "with records by time"),
        ("stop: {time: 3, target: true}\ntarget: {suboptimality: 1}\n"
         "sweep: {rule: final_squared_gradient_norm, parameters: {all: {stepsize: [1]}}}\n", "runs that end at the target"),
        ("stop: {time: 3}\nsweep: {parameters: {all: {stepsize: {from: 1, to: 2, count: 5000}}, "
         "rennala_sgd: {batch_size: {from: 1, to: 90, count: 90}}}}\n", r"450,000 choices; up to 10,000 are allowed"),
        ("stop: {time: 3}\nsweep: {parameters: {all: {stepsize: [theory]}}}\n",
         r"sweep.parameters.all: HeroSGD: stepsize.* = theory is not possible here: unknown: epsilon"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_sweep_is_told_where_it_stands(tmp_path, text, words):
    (tmp_path / "wrong.yaml").write_text(HEAD + text)
    with pytest.raises(ScenarioError, match=words):
        tune(tmp_path / "wrong.yaml", output=tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_timing_only_cannot_be_tuned():
    with pytest.raises(ScenarioError, match="timing only: there is nothing to tune by"):
        tune(changed(problem="none", target=None))


def test_what_is_tried_is_simulated():
    with pytest.raises(ScenarioError, match="engine: what is tried is simulated; tune with engine: simulation, then"):
        tune(changed(engine="ray"))


def test_a_scenario_with_a_sweep_runs_as_one_without_and_comes_back_from_its_plain_data(tmp_path):
    short = changed(stop={"time": 5})
    hashes = [run.event_hash for run in run(short, processes=1).runs]
    assert hashes == [run.event_hash for run in run({k: v for k, v in short.items() if k != "sweep"}, processes=1).runs]
    scenario = from_data(changed({"random": {"count": 2}, "seeds": "10..12", "rule": "time_to_target"}))
    again = from_data(json.loads(json.dumps(scenario.canonical())))
    assert again.canonical() == scenario.canonical()
    assert again.sweep.seeds == range(10, 13)


# ---- ended early


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.sampled_from([0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]), min_size=2, max_size=5, unique=True),
    st.lists(st.sampled_from([1, 2, 4, 8]), min_size=1, max_size=3, unique=True),
    st.integers(1, 4),
    st.integers(0, 1000),
)
def test_ended_early_or_not_the_same_choice_wins(stepsizes, thresholds, seeds, first):
    parameters = {"ringmaster_asgd": {"stepsize": stepsizes, "threshold": thresholds}}
    scenario = changed({"parameters": parameters, "seeds": list(range(first + 2, first + 2 + seeds))}, seeds=[first])
    scenario |= {"stop": {"time": 40}, "methods": SMALL["methods"][:1], "record": {"points": 20}}
    whole, early = (
        tune({**scenario, "sweep": {**scenario["sweep"], "stop_early": early}}, processes=1).manifest["tuning"]
        for early in (False, True)
    )
    assert early["ringmaster_asgd"]["winner"] == whole["ringmaster_asgd"]["winner"]
    for row, complete in zip(early["ringmaster_asgd"]["values"], whole["ringmaster_asgd"]["values"], strict=True):
        assert all(a in (None, b) for a, b in zip(row, complete, strict=True))


def test_what_cannot_win_is_ended_early_or_left_out(tmp_path):
    parameters = {"hero": {"stepsize": [0.25, 0.015625, 0.0625]}}
    result = tune(changed({"parameters": parameters, "stop_early": True}), output=tmp_path / "x", processes=1)
    assert result.manifest["tuning"]["hero"]["ended_early"] == 6
    rows = tuning_rows(tmp_path / "x")
    best = sorted(row["value"] for row in rows[:3])[1]
    assert [row["status"] for row in rows] == ["finished"] * 5 + ["skipped"] + ["finished"] * 2 + ["skipped"]
    assert [(row["time"], row["capped"]) for row in rows[3:5]] == [(best, best)] * 2
    assert [row["value"] for row in rows[3:6]] == [None] * 3


# ---- processes, kills, signals

CHILD = """
import json, os, signal, sys
from asyncsim import folder, resume, tune
path, when, what, number, scenario, processes = sys.argv[1], *sys.argv[2:]
calls, before = [], getattr(folder.TuningWriter, what)
def counted(*arguments):
    done = before(*arguments)
    calls.append(done)
    if len(calls) == int(when):
        os.kill(os.getpid(), int(number))
    return done
setattr(folder.TuningWriter, what, counted)
print(tune(json.loads(scenario), output=path, processes=int(processes)).manifest["status"])
"""


def child(path: Path, when: int, what: str, number: int, processes: int, scenario=SMALL):
    """A sweep in a process of its own, to which a signal comes after so many calls of a writer's method."""
    arguments = [str(path), str(when), what, str(int(number)), json.dumps(scenario), str(processes)]
    environment = {**os.environ, "PYTHONPATH": str(Path(asyncsim.__file__).parents[1])}
    return subprocess.run(
        [sys.executable, "-c", CHILD, *arguments], capture_output=True, text=True, env=environment, check=False
    )


def test_with_any_number_of_processes_the_same_comes_out(alone, tmp_path):
    tune(SMALL, output=tmp_path / "x", processes=2)
    assert_same(Result.read(tmp_path / "x"), alone)


@pytest.mark.parametrize("processes", [1, 2])
def test_killed_in_the_middle_no_finished_run_is_played_again(alone, tmp_path, processes):
    done = child(tmp_path / "x", 20, "finish", signal.SIGKILL, processes)
    assert done.returncode == -signal.SIGKILL, done.stderr
    before = tuning_rows(tmp_path / "x")
    assert len(before) == 20
    assert read_folder(tmp_path / "x").runs == ()
    resume(tmp_path / "x", processes=3 - processes)
    after = {row["run"]: row for row in tuning_rows(tmp_path / "x")}
    assert [after[row["run"]] for row in before] == before  # their wall-clock seconds too
    assert_same(Result.read(tmp_path / "x"), alone)


def test_a_tuning_run_that_was_killed_goes_on_from_its_checkpoint(tmp_path):
    often = changed(
        {"parameters": {"hero": {"stepsize": [0.25, 0.3]}}, "seeds": [10]},
        record={"iterations": 1, "checkpoint_every": 0},
    ) | {
        "target": {"squared_gradient_norm": 1e-6},
        "seeds": [0],
        "stop": {"iterations": 15},
        "methods": SMALL["methods"][1:],
    }
    tune(often, output=tmp_path / "alone", processes=1)
    assert child(tmp_path / "x", 20, "save_checkpoint", signal.SIGKILL, 1, often).returncode == -signal.SIGKILL
    assert len(list((tmp_path / "x" / "checkpoints").glob("tuning-*"))) == 2
    resumed = resume(tmp_path / "x", processes=1)
    assert_same(resumed, Result.read(tmp_path / "alone"))
    assert list((tmp_path / "x" / "checkpoints").iterdir()) == []
    assert resumed.manifest.get("warnings") == []


def test_killed_when_the_winners_run_it_chooses_the_same_again(alone, tmp_path):
    tune(SMALL, output=tmp_path / "x", processes=1)
    with sqlite3.connect(tmp_path / "x" / "record.sqlite") as connection:
        connection.execute("DELETE FROM runs WHERE run > 0")
    connection.close()
    resume(tmp_path / "x", processes=1)
    assert_same(Result.read(tmp_path / "x"), alone)


def test_a_signal_ends_a_sweep_with_all_kept_and_it_is_taken_up(alone, tmp_path):
    done = child(tmp_path / "x", 5, "finish", signal.SIGINT, 1)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr
    assert len(tuning_rows(tmp_path / "x")) == 5
    assert Result.read(tmp_path / "x").manifest["signal"] == signal.SIGINT
    assert resume(tmp_path / "x", processes=1).manifest["status"] == "finished"
    assert_same(Result.read(tmp_path / "x"), alone)


def test_tuning_runs_that_fail_lose_are_told_and_tried_again(tmp_path):
    marker = tmp_path / "failed"
    method = {"name": "own_methods:Troubled", "label": "own", "trouble": "raises", "at": 3, "marker": str(marker)}
    sweep = {"parameters": {"own": {"at": [3, 1000]}}, "seeds": [10]}
    result = tune(changed(sweep, methods=[method]), output=tmp_path / "x", allow_code=True, processes=1)
    assert result.manifest["tuning"]["own"]["winner"] == {"at": 1000}
    assert result.manifest["tuning_warnings"][-1].startswith("1 tuning runs failed, the first: own: OwnError: worker")
    again = resume(tmp_path / "x", allow_code=True, processes=1)
    assert [row["status"] for row in tuning_rows(tmp_path / "x")] == ["finished", "finished"]
    assert not [warning for warning in again.manifest["tuning_warnings"] if "failed" in warning]


def test_in_memory_a_sweep_chooses_the_same(alone):
    result = tune(SMALL, processes=1)
    assert result.manifest["tuning"] == alone.manifest["tuning"]
    assert [run.event_hash for run in result.runs] == [run.event_hash for run in alone.runs]


# ---- what is shown


def test_the_command_shows_what_won_and_the_comparison(alone, tmp_path, capsys):
    from asyncsim.cli import main

    (tmp_path / "small.yaml").write_text(json.dumps(SMALL))
    with pytest.raises(SystemExit) as ended:
        main(["sweep", str(tmp_path / "small.yaml"), "sweep.seeds=10..12", "-o", str(tmp_path / "x"), "-p", "1"])
    out, error = capsys.readouterr()
    assert ended.value.code == 0
    lines = out.splitlines()
    assert lines[0].split()[:2] == ["tuned", "method"]
    for label, line in zip(("ringmaster_asgd", "hero"), lines[1:3], strict=True):
        assert line.startswith(label)
        assert f"stepsize {alone.manifest['tuning'][label]['winner']['stepsize']:g}" in line
        assert line.endswith("3 of 3")
    assert [line.removeprefix("note: ") for line in error.splitlines()] == alone.manifest["tuning_warnings"]
    assert any(line.startswith(alone.sentence()) for line in lines)
    assert (tmp_path / "x" / "report.html").exists()


def test_the_kept_curves_are_those_of_the_winners(alone):
    kept = read_folder(alone.folder)
    assert [bits(run.curves["value"]) for run in kept.runs] == [bits(run.curves["value"]) for run in alone.runs]
    assert {row["status"] for row in tuning_rows(alone.folder)} <= {"finished", "diverged", "stalled"}
