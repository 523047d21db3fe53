"""Workers fitted to what was measured, predicted beside measured, and what if.

A simulated folder with every event, whose laws are known, stands in where no real worker is needed.
"""

import dataclasses
import json
import math

import numpy as np
import pytest

from asyncsim import study
from asyncsim.cli import _code
from asyncsim.measured_laws import FittedWorker, FittedWorkers, fitted_workers
from asyncsim.replay import ReplayError, measured_runs
from asyncsim.result import Result, Run
from asyncsim.scenario import from_data
from asyncsim.twin import Fitted, compared, fitted

MEANS = (0.5, 1.0, 4.0)
METHODS = [
    {"name": "ringmaster_asgd", "stepsize": 0.2, "threshold": 2, "stops": True},
    {"name": "minibatch_sgd", "stepsize": 0.5},
]


def scenario(**changes):
    return {
        "name": "cluster",
        "seed": 3,
        "workers": {
            "count": 3,
            "compute_time": {"distribution": "exponential", "mean": list(MEANS)},
            "communication_time": {"uplink": 0.1, "downlink": 0.05},
        },
        "problem": {"name": "quadratic", "dimension": 10, "noise": 0.0},
        "target": {"squared_gradient_norm": 0.02},
        "methods": METHODS,
        "stop": {"time": 500},
        "record": {"events": "all", "points": 500},
        **changes,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("twin") / "measured"
    study.run(scenario(), output=folder, progress=False, processes=1)
    return folder


@pytest.fixture(scope="module")
def known(folder):
    """The folder with laws fitted to it."""
    result, measured = measured_runs(folder)
    return Fitted(result, fitted_workers(measured))


def test_laws_are_recovered_though_slow_gradients_were_stopped(known, folder):
    _, measured = measured_runs(folder)
    assert any(each.run.stopped > 100 for each in measured)
    times = from_data(known.scenario()).build_workers()
    for worker, mean in enumerate(MEANS):
        assert times.compute_time.law(worker).mean == pytest.approx(mean, rel=0.15)
        assert times.uplink.law(worker).mean == pytest.approx(0.1)
        assert times.downlink.law(worker).mean == pytest.approx(0.05)
    assert known.workers.stop_takes_effect == "at_once"
    assert known.workers.by_speed == [0, 1, 2]


def test_the_fitted_workers_foretell_what_was_measured(known):
    predicted = study.run(known.scenario(seeds=3), progress=False, processes=1)
    found = compared(known.measured, predicted)
    assert found.orders[0] == found.orders[1]
    assert max(abs(row.rate_error) for row in found.rows) < 0.1
    assert max(row.delays_apart for row in found.rows) < 0.1
    assert found.worst_time_error < 0.5
    assert "The order of the 2 methods is as measured" in found.sentence()


def test_the_page_shows_both(known, tmp_path):
    predicted = study.run(known.scenario(seeds=2), progress=False, processes=1)
    page = compared(known.measured, predicted, ["<b> is told"]).report(tmp_path / "twin.html").read_text()
    assert "Twin: measured and foretold" in page
    assert "&lt;b&gt; is told" in page
    data = json.loads(page.split('id="twin-data">')[1].split("</script>")[0])
    assert [method["label"] for method in data["methods"]] == ["ringmaster_asgd", "minibatch_sgd"]
    assert all(len(method[kind]["x"]) > 10 for method in data["methods"] for kind in ("measured", "predicted"))
    assert sum(data["methods"][0]["delays"][0]) == pytest.approx(1.0, abs=1e-3)


def test_without_a_twin_the_page_has_no_section(folder, tmp_path):
    assert "data-twin=" not in Result.read(folder).report(tmp_path / "report.html").read_text()


def test_what_if_has_each_worker_ten_times_or_some_in_turn_or_none_of_the_slowest(known):
    def counts(**asked):
        return [
            (group["count"], group["compute_time"] == known.workers.workers[i].compute_time)
            for i, group in enumerate(known.scenario(**asked)["workers"]["groups"])
        ]

    assert counts(workers="x10") == [(10, True)] * 3
    assert counts(workers=7) == [(3, True), (2, True), (2, True)]
    assert counts(without_slowest=1) == [(1, True)] * 2
    assert counts(without_slowest=2, workers="x4") == [(4, True)]
    assert counts(workers=2) == [(1, True)] * 2
    for wrong in ({"workers": "ten"}, {"workers": "x0"}, {"without_slowest": 3}, {"seeds": 0}):
        with pytest.raises(ValueError, match=r"allowed|needed"):
            known.scenario(**wrong)


def test_what_if_takes_other_methods_by_name_or_as_a_scenario_has_them(known):
    data = known.scenario(
        methods=["rennala_sgd", "{name: hero_sgd, stepsize: 0.3}", {"name": "ia2_sgd", "stepsize": 0.1}]
    )
    assert data["methods"] == [
        {"name": "rennala_sgd", "stepsize": "theory", "batch_size": "theory"},
        {"name": "hero_sgd", "stepsize": 0.3},
        {"name": "ia2_sgd", "stepsize": 0.1},
    ]
    with pytest.raises(ValueError, match=r"there is no method 'renala'.*did you mean"):
        known.scenario(methods=["renala"])


def test_a_twin_keeps_what_theory_gave_and_a_what_if_asks_again(tmp_path):
    methods = [{"name": "ringmaster_asgd", "stepsize": "theory", "threshold": "theory"}]
    study.run(scenario(methods=methods, stop={"time": 20}), output=tmp_path / "run", progress=False, processes=1)
    result, measured = measured_runs(tmp_path / "run")
    found = Fitted(result, fitted_workers(measured))
    given = result.runs[0].parameters
    entry = found.scenario()["methods"][0]
    assert (entry["stepsize"], entry["threshold"]) == (given["stepsize"], given["threshold"])
    assert found.scenario(anew=True)["methods"][0]["stepsize"] == "theory"


def test_the_written_scenario_is_the_simulated_one(known, tmp_path):
    data = known.scenario(seeds=2, workers="x2")
    file = known.write(tmp_path / "fitted.yaml", data)
    assert study.load(file).canonical() == from_data(data).canonical()


def test_real_seconds_are_simulated_ones(known):
    was = dataclasses.replace(
        known.measured, scenario={**known.measured.scenario, "stop": {"wall_clock": 7, "time": 9}}
    )
    assert Fitted(was, known.workers).scenario()["stop"] == {"time": 7}


def test_workers_of_equal_speed_keep_their_order():
    worker = FittedWorker({}, {}, {}, 1.0)
    assert FittedWorkers((worker, worker), "at_once", ()).by_speed == [0, 1]


def with_stops(measured, seconds):
    """The measured runs, had each stop taken so many seconds: seconds(worker, told, sent)."""
    changed = []
    for each in measured:
        stopped = each.ends[each.ends[:, 3] == 3]
        rows = [
            (int(worker), 0, told, told + seconds(int(worker), told, sent))
            for told, worker, sent in stopped[:, [0, 1, 6]].tolist()
        ]
        changed.append(dataclasses.replace(each, run=dataclasses.replace(each.run, engine={"stops_measured": rows})))
    return changed


def test_stops_take_effect_as_was_measured(folder):
    _, measured = measured_runs(folder)
    soon = fitted_workers(with_stops(measured, lambda *_: 0.01)).stop_takes_effect
    assert soon == {"after": pytest.approx(0.01)}
    # exponential times have forgotten how long they took so far
    later = fitted_workers(with_stops(measured, lambda worker, *_: MEANS[worker])).stop_takes_effect
    assert later == "after_current_gradient"


def test_a_worker_that_never_finished_is_said_and_never_returns(folder):
    _, measured = measured_runs(folder)
    without = [dataclasses.replace(each, ends=each.ends[each.ends[:, 1] != 2]) for each in measured]
    found = fitted_workers(without)
    assert "worker 2 never finished a gradient" in " ".join(found.warnings)
    assert math.isinf(found.workers[2].seconds)


def test_errors_are_relative_and_unknown_ones_are_left_out():
    def result(time, value):
        curves = {
            "time": np.array([0.0, time]),
            "iteration": np.array([0.0, 10.0]),
            "squared_gradient_norm": np.array([1.0, value]),
        }
        run = Run("a", "a", {}, 0, 1, "finished", iterations=10, time=10.0)
        return Result(
            "r", (dataclasses.replace(run, curves={**run.curves, **curves}),), target={"squared_gradient_norm": 0.1}
        )

    found = compared(result(4.0, 0.05), result(5.0, 0.05))
    assert (found.rows[0].time_error, found.rows[0].rate_error) == (0.25, 0.0)
    assert found.sentence() == "Times to the target are off by up to 25 %, updates a second by up to 0 %."
    assert math.isnan(compared(result(4.0, 0.05), result(5.0, 0.5)).rows[0].time_error)
    for measured, predicted, words in (
        (0.05, 0.5, "when measured but not as predicted"),
        (0.5, 0.05, "as predicted but not when measured"),
    ):
        assert compared(result(4.0, measured), result(5.0, predicted)).sentence() == (
            f"Updates a second are off by up to 0 %, the target was reached by a in the median {words}."
        )


def test_what_was_simulated_has_no_twin(folder):
    with pytest.raises(ReplayError, match="was simulated, and its laws are known"):
        fitted(folder)


def command(*arguments, capsys):
    code = _code([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_mistakes_on_the_command_line_are_told_in_a_line(folder, tmp_path, capsys):
    file = tmp_path / "scenario.yaml"
    file.write_text(json.dumps(scenario()))
    for arguments, words in {
        ("twin", file): "a twin needs real workers",
        ("twin", file, "--workers", "x10"): "first `asyncsim twin",
        ("twin", folder): "was simulated",
        ("twin", folder, "--workers", "x10"): "was simulated",
        ("twin", tmp_path / "none.yaml"): "none.yaml: no such file",
        ("replay", tmp_path): "is not a run folder",
        ("replay", folder, "--fitted"): "was simulated",
    }.items():
        code, _, err = command(*arguments, "-o", tmp_path / "out", capsys=capsys)
        assert code == 2
        assert words in err
        assert "Traceback" not in err


def test_replay_on_the_command_line_tells_how_far_it_is_the_same(folder, tmp_path, capsys):
    code, out, _ = command("replay", folder, "-o", tmp_path / "again", "--verify", capsys=capsys)
    assert code == 0
    assert "in the measured order; f and ∇f are the same bits at all" in out
    assert (tmp_path / "again" / "report.html").is_file()
