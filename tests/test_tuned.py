"""The grids of a sweep while it is tuned: which choice is the best so far, and what is not known yet."""

import json
import math

import pytest

from asyncsim.folder import read_manifest, read_tuning
from asyncsim.scenario import from_data
from asyncsim.sweep import Tuning, choices_of, tune
from asyncsim.tuned import so_far

PLAN = {
    "hero": {
        "rule": "time_to_target",
        "seeds": 3,
        "first": 2,
        "axes": {"stepsize": [0.1, 0.2], "threshold": [1, 4]},
        "at": [[0, 0], [0, 1], [1, 0], [1, 1]],
        "parameters": [{"stepsize": s, "threshold": t} for s in (0.1, 0.2) for t in (1, 4)],
    }
}


def row(run, value, norm=1.0):
    return {"run": run, "value": value, "squared_gradient_norm": norm}


def test_nothing_is_known_before_the_first_run():
    grid = so_far(PLAN, [])["hero"]
    assert (grid["winner"], grid["best"], grid["tried"]) == ({}, None, (0, 12))
    assert all(math.isnan(value) for line in grid["values"] for value in line)


def test_a_choice_has_the_value_of_its_seeds_so_far_and_the_best_that_is_not_far_behind_leads():
    seen = [row(6, 9.0), row(7, 5.0), row(9, 3.0), row(12, math.inf), row(13, math.inf)]
    grid = so_far(PLAN, seen)["hero"]
    assert grid["tried"] == (5, 12)
    (first, second), (third, fourth) = grid["values"]
    assert (first, second, third) == (9.0, 3.0, None)
    assert math.isnan(fourth)
    assert (grid["winner"], grid["best"]) == ({"stepsize": 0.1, "threshold": 4}, 3.0)
    # two seeds behind, it is not compared any more
    ahead = so_far(PLAN, [*seen, row(8, 9.0)])["hero"]
    assert (ahead["winner"], ahead["best"]) == ({"stepsize": 0.1, "threshold": 1}, 9.0)


def test_runs_of_other_methods_do_not_count():
    assert so_far(PLAN, [row(0, 1.0), row(5, 1.0), row(18, 1.0)])["hero"]["tried"] == (0, 12)


SMALL = {
    "workers": {"count": 3, "compute_time": "i"},
    "problem": {"name": "quadratic", "dimension": 5},
    "methods": [{"name": "hero_sgd", "stepsize": 0.5}, {"name": "ringmaster_asgd", "stepsize": 0.1, "threshold": 2}],
    "stop": {"time": 30},
}
GRID = {"parameters": {"all": {"stepsize": [0.1, 1.0]}, "ringmaster_asgd": {"threshold": [1, 3]}}, "seeds": [5, 6]}
DRAWN = {
    "parameters": {"all": {"stepsize": {"between": [0.01, 1.0], "scale": "log"}}}, "random": {"count": 4}, "seeds": [5]
}  # fmt: skip


@pytest.mark.parametrize("sweep", [GRID, DRAWN], ids=["grid", "random"])
def test_when_all_have_ended_the_grids_so_far_are_those_of_the_sweep(tmp_path, sweep):
    data = {**SMALL, "sweep": sweep}
    result = tune(data, output=tmp_path / "x", processes=1)
    assert read_manifest(tmp_path / "x")["tuning_plan"] == {}, "there is nothing left to be tried"
    scenario = from_data(data)
    plan = json.loads(json.dumps(Tuning(scenario, choices_of(scenario, scenario.check_problem()), None).plan()))
    grids = so_far(plan, read_tuning(tmp_path / "x"))
    assert grids.keys() == result.manifest["tuning"].keys()
    for label, grid in result.manifest["tuning"].items():
        for name in ("axes", "values", "rule", "winner"):
            assert grids[label][name] == grid[name], name
        ended, runs = grids[label]["tried"]
        assert ended == runs == grid["choices"] * len(sweep["seeds"])
