"""Several results as one: what differs is said, nonsense is refused."""

import dataclasses
from pathlib import Path

import pytest
from factories import make_result

from asyncsim.beside import beside
from asyncsim.report.data import shares
from asyncsim.report.page import page


def named(folder, **changes):
    result = make_result(methods=changes.pop("methods", ("rennala_sgd",)), seeds=changes.pop("seeds", (0, 1)), n=2)
    scenario = {
        "workers": {"count": 2, "compute_time": "sqrt(i)"},
        "problem": {"name": "quadratic"},
        "stop": {"time": 60},
    }
    return dataclasses.replace(result, **{"folder": Path("runs", folder), "scenario": scenario} | changes)


def test_labels_that_both_have_get_the_name_of_their_folder():
    result = beside([named("a", methods=("rennala_sgd", "hero_sgd")), named("b")])
    assert result.labels == ["rennala_sgd (a)", "hero_sgd", "rennala_sgd (b)"]
    assert result.name == "a · b"
    assert len(result.runs) == 6


def test_what_differs_is_said():
    slower = {"workers": {"count": 2, "compute_time": "i"}, "problem": {"name": "quadratic"}, "stop": {"time": 90}}
    result = beside([named("a"), named("b", scenario=slower, seeds=(1, 2, 3))])
    said = result.manifest["differences"]
    assert said[0] == "Different seeds (a 2, b 3; 1 of them common)."
    assert "workers.compute_time: sqrt(i) in a, i in b. The same seed need not be the same luck then" in said[1]
    assert said[2] == "stop.time: 60 in a, 90 in b."


def test_equal_settings_differ_in_nothing():
    assert beside([named("a"), named("b")]).manifest["differences"] == []


def test_different_problems_are_refused_unless_asked_for_and_then_said():
    other = named("b", problem={**named("b").problem, "dimension": 99})
    with pytest.raises(ValueError, match=r"problem.dimension: 10 in a, 99 in b.*--anyway"):
        beside([named("a"), other])
    result = beside([named("a"), other], different_problems=True)
    assert result.manifest["differences"] == [
        "Different problems, so who is first means little: problem.dimension: 10 in a, 99 in b"
    ]
    assert "dimension" not in result.problem


def test_the_strictest_of_several_targets_counts():
    result = beside([named("a"), named("b", target={"squared_gradient_norm": 1e-2}), named("c", target=None)])
    assert result.target == {"squared_gradient_norm": 1e-3}
    assert "the strictest, ‖∇f‖² ≤ 1e-3, is used for all" in result.manifest["differences"][0]


def test_the_strictest_accuracy_is_the_highest():
    result = beside([named("a", target={"test_accuracy": 0.9}), named("b", target={"test_accuracy": 0.8})])
    assert result.target == {"test_accuracy": 0.9}
    assert "the strictest, test accuracy ≥ 0.9, is used for all" in result.manifest["differences"][0]


def test_targets_about_different_quantities_are_refused():
    with pytest.raises(ValueError, match="different quantities"):
        beside([named("a"), named("b", target={"suboptimality": 1e-2})])


def test_one_result_or_one_twice_is_nothing_to_compare():
    with pytest.raises(ValueError, match="two run folders or more"):
        beside([named("a")])
    with pytest.raises(ValueError, match="given twice"):
        beside([named("a"), named("a")])


def test_results_started_from_python_say_that_their_settings_are_not_known():
    result = beside([named("a", scenario={}), named("b", scenario={})])
    assert "not known here: a, b" in result.manifest["differences"][0]


def test_the_page_says_what_differs_and_escapes_it():
    hostile = {"workers": {"count": "<script>"}, "problem": {"name": "quadratic"}, "stop": {"time": 60}}
    text = page(beside([named("a"), named("b", scenario=hostile)]))
    assert "workers.count: 2 in a, &lt;script&gt; in b" in text
    assert "nothing but the methods" in page(beside([named("a"), named("b")]))


def test_workers_of_different_results_are_not_mixed():
    few, many = named("a"), make_result(methods=("rennala_sgd",), seeds=(0, 1), n=5)
    result = beside([few, dataclasses.replace(many, folder=Path("runs", "b"))])
    assert len(shares(result, "rennala_sgd (a)")["worker"]) == 2
    for label, alone in (("rennala_sgd (a)", few), ("rennala_sgd (b)", many)):
        assert shares(result, label) == shares(alone, "rennala_sgd")
    assert "fastest on top" not in page(result)
