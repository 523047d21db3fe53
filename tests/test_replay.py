"""A run that kept every event, replayed: the same arrivals, the same order of updates, the same bits."""

import dataclasses
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from methods.test_every_method import CASES

from asyncsim import replay, study
from asyncsim.folder import RunFolder
from asyncsim.replay import PartedError, ReplayError, exact
from asyncsim.running import name_of, parameters_of


def spec(parameters):
    """A method's parameters as a scenario has them."""
    return {
        key: {"name": name_of(value), **parameters_of(value)}
        if dataclasses.is_dataclass(value)
        else list(value)
        if isinstance(value, tuple)
        else value
        for key, value in parameters.items()
    }


METHODS = [{"label": case, "name": name, **spec(parameters)} for case, (name, parameters) in CASES.items()]


def scenario(**changes):
    return {
        "seed": 3,
        "workers": {
            "count": 3,
            "compute_time": {"distribution": "exponential", "mean": "i"},
            "communication_time": {"uplink": 0.1, "downlink": 0.05},
        },
        "problem": {"name": "quadratic_sum", "dimension": 4, "components": 4},
        "methods": METHODS,
        "stop": {"gradients": 40, "time": 40},
        "record": {"events": "all", "points": 20},
        **changes,
    }


SOME = [{"name": "ringmaster_asgd", "stepsize": 0.2, "threshold": 2, "stops": True}]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated") / "run"
    study.run(scenario(), output=folder, progress=False, processes=1)
    again = exact(folder)
    return study.Result.read(folder), again


@pytest.mark.parametrize("case", CASES)
def test_a_replay_has_the_events_of_the_run(case, simulated):
    run, again = (result.of(case)[0] for result in simulated)
    assert again.event_hash == run.event_hash
    np.testing.assert_array_equal(again.events, run.events)
    assert again.time == run.time
    np.testing.assert_array_equal(again.curves["iteration"], run.curves["iteration"])
    # rescaled_asgd steps by compute times, which are kept as begin and end
    tolerance = 1e-12 if case == "rescaled_asgd" else 0
    np.testing.assert_allclose(again.curves["value"], run.curves["value"], rtol=tolerance, atol=0)
    assert (again.status, again.iterations, again.time) == (run.status, run.iterations, run.time)
    assert again.workers["sent"].tolist() == run.workers["sent"].tolist()


@pytest.fixture
def folder(tmp_path):
    study.run(scenario(methods=SOME), output=tmp_path / "run", progress=False, processes=1)
    return tmp_path / "run"


def test_a_replay_is_a_run_folder_like_others(folder, tmp_path):
    exact(folder, tmp_path / "again", verify=True)
    again = study.Result.read(tmp_path / "again")
    assert again.manifest["replay"][0]["same_bits"]
    assert again.runs[0].event_hash == study.Result.read(folder).runs[0].event_hash
    assert again.runs[0].verification
    assert exact(tmp_path / "again").manifest["replay"][0]["same_events"]


def test_own_objects_are_given_from_python(folder):
    problem = study.from_data(scenario()).build_problem(3)
    method = study.from_data(scenario(methods=SOME)).build_methods()[0][1]
    for given in (problem, lambda seed: problem):
        again = exact(folder, problem=given, methods={"ringmaster_asgd": method})
        assert again.manifest["replay"][0]["same_bits"]


def change(folder, sql):
    with closing(sqlite3.connect(folder / "record.sqlite")) as connection:
        connection.execute(sql)
        connection.commit()


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("UPDATE assignments SET m = m + 1 WHERE row = 4", "measured was gradient"),
        ("UPDATE marks SET k = k + 1 WHERE row = 5", "but measured was"),
        ("UPDATE assignments SET version = version - 1 WHERE row = 6", "but measured was"),
        ("DELETE FROM marks WHERE row > 8", "there the measured run had ended"),
        ("DELETE FROM assignments WHERE row > 8", "the method waits, but measured was"),
    ],
)
def test_where_a_replay_goes_another_way_is_said(sql, message, folder):
    change(folder, sql)
    with pytest.raises(PartedError, match=f"ringmaster_asgd, seed 3: the replay parts .* after .*{message}"):
        exact(folder)


def test_another_method_parts_from_what_was_measured(folder):
    method = study.from_data(scenario(methods=[{**SOME[0], "threshold": 1}])).build_methods()[0][1]
    with pytest.raises(PartedError, match="parts from what was measured"):
        exact(folder, methods={"ringmaster_asgd": method})


def test_another_problem_gives_other_bits_and_says_so(folder):
    other = study.from_data(scenario(problem={"name": "quadratic", "dimension": 4})).build_problem(3)
    again = exact(folder, problem=other)
    assert not again.manifest["replay"][0]["same_bits"]
    assert "f and ∇f differ by up to" in replay.in_words(again.manifest["replay"][0])


def test_a_folder_without_events_is_refused(tmp_path):
    study.run(scenario(methods=SOME, record={"points": 5}), output=tmp_path / "run", progress=False, processes=1)
    with pytest.raises(ReplayError, match=r"kept no events.*record: \{events: all\}"):
        exact(tmp_path / "run")


def test_a_run_that_has_not_ended_is_refused(folder):
    change(folder, "UPDATE runs SET status = 'running', digest = NULL")
    with pytest.raises(ReplayError, match="has not ended; `asyncsim resume"):
        exact(folder)


def test_workers_that_come_and_go_in_a_simulation_are_refused(tmp_path):
    workers = {"count": 3, "compute_time": 1.0, "availability": {"name": "late_join", "at": "i"}}
    study.run(scenario(methods=SOME, workers=workers), output=tmp_path / "run", progress=False, processes=1)
    with pytest.raises(ReplayError, match="run its scenario again instead"):
        exact(tmp_path / "run")


def test_a_folder_that_was_made_from_python_needs_its_objects(folder):
    with RunFolder.open(folder) as opened:
        opened.update_manifest(scenario={})
    with pytest.raises(ReplayError, match=r"from Python: asyncsim\.replay\.exact"):
        exact(folder)
