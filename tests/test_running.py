"""What is written down of a problem and of theory beside the runs."""

import gc
import json
import weakref

import numpy as np
import pytest

from asyncsim import (
    Exponential,
    HeroSGD,
    MinibatchSGD,
    Quadratic,
    RennalaSGD,
    RingmasterASGD,
    SoftmaxRegression,
    Stop,
    Workers,
    compare,
    run,
    simulate,
)
from asyncsim.running import SPLIT_CLASSES, SPLIT_WORKERS, facts


def test_a_split_of_the_data_is_told_with_its_counts():
    problem = SoftmaxRegression("digits", split="dirichlet", alpha=0.3).build(1, n=4)
    split = facts(problem)["split"]
    keys = ("split", "alpha", "problem_seed", "workers", "left_out")
    assert [split[key] for key in keys] == ["dirichlet", 0.3, None, 4, 1]
    assert split["classes"] == [str(digit) for digit in range(10)]
    assert split["counts"] == problem.split_table.tolist()
    assert split["samples"] == np.sum(split["counts"]) == 1796


def test_of_a_large_split_only_a_corner_is_kept():
    class Large:
        dimension = 1
        x0 = np.zeros(1)
        split_table = np.ones((1000, 50), int)

    split = facts(Large())["split"]
    assert np.shape(split["counts"]) == (SPLIT_WORKERS, SPLIT_CLASSES)
    assert (split["workers"], split["labels"], len(split["classes"])) == (1000, 50, SPLIT_CLASSES)
    assert len(json.dumps(split)) < 20_000


def test_where_all_workers_share_the_data_there_is_no_split():
    assert "split" not in facts(Quadratic(3))
    assert "split" not in facts(SoftmaxRegression("digits"))


def test_a_comparison_from_python_has_the_theory_that_a_scenario_has():
    workers, problem, target = (
        Workers(4, [1.0, 1.0, 2.0, 5.0]),
        Quadratic(20, noise=0.05),
        {"squared_gradient_norm": 1e-2},
    )
    methods = [RennalaSGD("theory", "theory"), RingmasterASGD("theory", "theory"), HeroSGD("theory")]
    result = compare(methods, problem, workers, stop=Stop(time=200), target=target)
    study = run(
        {
            "workers": {"count": 4, "compute_time": [1.0, 1.0, 2.0, 5.0]},
            "problem": {"name": "quadratic", "dimension": 20, "noise": 0.05},
            "target": target,
            "methods": [
                {"name": "rennala_sgd", "stepsize": "theory", "batch_size": "theory"},
                {"name": "ringmaster_asgd", "stepsize": "theory", "threshold": "theory"},
                {"name": "hero_sgd", "stepsize": "theory"},
            ],
            "stop": {"time": 200},
        }
    )
    assert result.manifest["theory"] == study.manifest["theory"]
    assert set(result.manifest["theory"]) == {"rennala_sgd", "ringmaster_asgd", "hero_sgd"}
    assert result.manifest["theory"]["rennala_sgd"]["seconds"] > 0


def test_the_report_of_a_comparison_shows_what_theory_says(tmp_path):
    result = compare(
        [RennalaSGD("theory", "theory")], Quadratic(20, noise=0.05), Workers(4, 1.0), stop=Stop(time=100),
        target={"squared_gradient_norm": 1e-2},
    )  # fmt: skip
    assert "What theory says" in result.report(tmp_path / "report.html").read_text()


def test_without_a_target_in_the_gradient_norm_a_comparison_has_no_theory():
    result = compare([HeroSGD(0.5)], Quadratic(5), Workers(2, 1.0), stop=Stop(time=5), target={"suboptimality": 0.1})
    assert result.manifest["theory"] == {}


def test_what_theory_cannot_give_a_method_is_told_before_any_run_of_a_comparison():
    with pytest.raises(ValueError, match="HeroSGD: stepsize, worker = theory is not possible here: unknown: epsilon"):
        compare([HeroSGD("theory")], Quadratic(5, noise=0.1), Workers(2, 1.0), stop=Stop(time=5))


@pytest.mark.parametrize("method", [MinibatchSGD(0.1), RingmasterASGD(0.1, 2)])
@pytest.mark.parametrize("options", [{"core": "plain"}, {"core": "auto"}, {"verify": True}])
def test_what_a_run_held_is_freed_at_its_end_without_looking_for_circles(method, options):
    seen = []

    class Watching:
        def run(self, server):
            seen.append(weakref.ref(server))
            method.run(server)

    workers = Workers(4, lambda worker: Exponential(1.0 + worker))
    gc.disable()
    try:
        simulate(Watching(), Quadratic(10, noise=0.1), workers, stop=Stop(iterations=30), **options)
        assert seen[0]() is None
    finally:
        gc.enable()
