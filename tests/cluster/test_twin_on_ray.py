"""A twin of real workers, and their runs replayed; what needs no real worker is in tests/test_twin.py."""

import json

import numpy as np
import pytest
from methods.test_every_method import CASES
from test_replay import METHODS as EVERY_METHOD
from test_twin import command, scenario

from asyncsim import replay, study
from asyncsim.result import Result
from asyncsim.twin import twin, what_if

pytestmark = [pytest.mark.ray, pytest.mark.timeout(120)]

SLEPT = {
    "workers": {"count": 3, "compute_time": [0.011, 0.018, 0.029]},
    "engine": {"name": "ray", "cpus_per_worker": 0.1, "slowdown": "sleep"},
}


@pytest.fixture(scope="module")
def replayed(here, tmp_path_factory):
    folder = tmp_path_factory.mktemp("real") / "run"
    problem = {"name": "quadratic_sum", "dimension": 4, "components": 4}
    stop = {"gradients": 18}
    study.run(scenario(**SLEPT, methods=EVERY_METHOD, problem=problem, stop=stop), output=folder, progress=False)
    return Result.read(folder), replay.exact(folder, verify=True)


@pytest.mark.parametrize("case", CASES)
def test_every_run_on_ray_is_replayed_in_the_order_that_was_measured_with_the_same_bits(case, replayed):
    run, again = (result.of(case)[0] for result in replayed)
    assert run.iterations > 0
    assert again.event_hash == run.event_hash
    for name, values in run.curves.items():
        np.testing.assert_array_equal(again.curves[name], values, err_msg=name)


def test_a_twin_of_a_small_cluster_and_what_if(here, tmp_path, capsys):
    file = tmp_path / "scenario.yaml"
    out = tmp_path / "twin"
    # what a busy machine delays is tried again more slowly
    for slower in (1, 3, 6):
        workers = {"count": 3, "compute_time": [slower * seconds for seconds in SLEPT["workers"]["compute_time"]]}
        measured = scenario(**{**SLEPT, "workers": workers}, stop={"time": 1.5 * slower}, name="small")
        file.write_text(json.dumps(measured))
        code, shown, err = command("twin", file, "-o", out, "--force", "-q", "-p", 1, "--seeds", 3, capsys=capsys)
        assert code == 0, err
        assert "to target: measured" in shown
        kept = json.loads((out / "twin.json").read_text())
        assert {method["label"] for method in kept["methods"]} == {"ringmaster_asgd", "minibatch_sgd"}
        errors = [abs(method["rate_error"]) for method in kept["methods"]]
        if max(errors) < 0.3:
            break
    assert max(errors) < 0.3
    assert (out / "twin.html").is_file()
    assert Result.read(out / "predicted").seeds == [3, 4, 5]
    again = twin(out, seeds=2, processes=1, progress=False)
    assert again.measured.folder == out / "measured"

    code, shown, err = command(
        "twin", out, "stop.time=1", "--workers", "x4", "--without-slowest", 1, "--method",
        "{name: rennala_sgd, stepsize: 0.5, batch_size: 4}", "-o", tmp_path / "if", "-q", "-p", 1, capsys=capsys,
    )  # fmt: skip
    assert code == 0, err
    assert "as it was measured: 3 workers; " in shown
    assert Result.read(tmp_path / "if" / "simulated").runs[0].n == 8
    assert what_if(out, workers=5, seeds=1, processes=1, progress=False).runs[0].n == 5

    code, shown, err = command(
        "replay", out / "measured", "--fitted", "--seeds", 2, "-o", tmp_path / "f", "-q", capsys=capsys
    )
    assert code == 0, err
