"""Laws inside laws as a scenario writes them: what they become, and where mistakes are found."""

import json
import math

import pytest

import asyncsim
from asyncsim.scenario import ScenarioError, from_data, load, schema
from asyncsim.times import Constant, Exponential, LogNormal, PerWorker, Scaled, Truncated, Workers, mixture
from asyncsim.times.named import laws_from

NESTED = {
    "distribution": "mixture",
    "parts": [
        {
            "weight": 0.9,
            "law": {"distribution": "scaled", "factor": 2, "law": {"distribution": "exponential", "mean": "i"}},
        },
        {
            "weight": "0.1 / i",
            "law": {
                "distribution": "per_worker",
                "which": "(i - 1) % 2",
                "laws": ["inf", {"distribution": "truncated", "law": {"distribution": "lognormal"}, "high": 100}],
            },
        },
    ],
}


def scenario(law, count=3, **more):
    return {
        "workers": {"count": count, "compute_time": law},
        "problem": "none",
        "methods": [{"name": "rennala_sgd", "stepsize": 0.1, "batch_size": 2}],
        "stop": {"iterations": 20},
        **more,
    }


def by_hand(worker):
    i = worker + 1.0
    others = (Constant(math.inf), Truncated(LogNormal(), high=100))
    return mixture([(0.9, Scaled(2, Exponential(i))), (0.1 / i, PerWorker(worker % 2, others))])


def told(law):
    with pytest.raises(ScenarioError) as error:
        from_data(scenario(law))
    return {problem.key: problem.message for problem in error.value.problems}


def test_nested_laws_are_those_made_by_hand():
    times = from_data(scenario(NESTED)).build_workers().compute_time
    assert [times.law(worker) for worker in range(3)] == [by_hand(worker) for worker in range(3)]


def test_a_run_with_nested_laws_is_the_run_with_the_laws_made_by_hand():
    (run,) = asyncsim.run(scenario(NESTED)).runs
    method = asyncsim.RennalaSGD(0.1, batch_size=2)
    again = asyncsim.simulate(method, asyncsim.NoProblem(), Workers(3, by_hand), stop=asyncsim.Stop(iterations=20))
    assert run.event_hash == again.event_hash


def test_the_canonical_data_make_the_same_scenario_again():
    first = from_data(scenario(NESTED))
    data = json.loads(json.dumps(first.canonical()))
    again = from_data(data)
    assert again.canonical() == first.canonical()
    assert again.build_workers().compute_time.law(1) == first.build_workers().compute_time.law(1)


def test_a_law_without_expressions_is_one_object_for_all_workers():
    times = from_data(scenario({"distribution": "sum", "laws": [1, {"distribution": "gamma", "shape": 2, "scale": 1}]}))
    laws = times.build_workers().compute_time
    assert laws.law(0) is laws.law(2)


def test_measured_values_are_a_list_of_their_own_and_not_one_a_worker():
    law = from_data(scenario({"distribution": "empirical", "values": [1, "inf"]})).build_workers().compute_time.law(2)
    assert law.values == (1.0, math.inf)


def test_mistakes_are_found_at_their_place_all_at_once():
    law = {
        "distribution": "mixture",
        "parts": [
            {"weight": -1, "law": {"distribution": "exponentia", "mean": 1}},
            {"wight": 1, "law": {"distribution": "sum", "laws": [-3, {"distribution": "gamma", "shape": 1}]}},
            7,
        ],
    }
    problems = told(law)
    at = "workers.compute_time.parts."
    assert set(problems) == {
        f"{at}0.weight", f"{at}0.law.distribution", f"{at}1.weight", f"{at}1.wight", f"{at}1.law.laws.0",
        f"{at}1.law.laws.1.scale", f"{at}2",
    }  # fmt: skip
    assert problems[f"{at}0.law.distribution"].endswith("did you mean 'exponential'?")
    assert problems[f"{at}1.wight"] == "unknown key; allowed: weight, law; did you mean 'weight'?"


@pytest.mark.parametrize(
    ("law", "key", "words"),
    [
        ({"distribution": "scaled", "factor": 2, "law": {"distribution": "exponential", "mean": "2 - i"}}, "law.mean",
         "mean = '2 - i' = 0.0 for worker 1 (i = 2), but a number > 0 is needed"),
        ({"distribution": "per_worker", "which": "i", "laws": [1, 2]}, "which",
         "which = 2 for worker 1 (i = 2), but which < the number of laws is needed"),
        ({"distribution": "mixture", "parts": [{"weight": "i - 1", "law": 1}]}, None,
         "a part with a weight > 0 is needed"),
        ({"distribution": "sum", "laws": []}, "laws", "at least one"),
        ({"distribution": "maximum", "laws": 3}, "laws", "a list, each a law"),
        ({"distribution": "truncated", "law": {"distribution": "uniform", "low": 0, "high": 1}, "low": 2}, None,
         "the law has no time, or nearly none, between 2 and inf"),
        ({"distribution": "truncated", "law": 1, "low": "i", "high": 2}, "low",
         "for worker 2 (i = 3), but low <= high"),
        ({"distribution": "scaled", "factor": 2, "law": {"mean": 1}}, "law.distribution", "missing; needed: one of"),
        ({"distribution": "empirical", "values": [1, -1]}, "values", "each a number >= 0 or inf"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_workers_is_told_with_its_place(law, key, words):
    problems = told(law)
    place = "workers.compute_time" + (f".{key}" if key else "")
    assert place in problems
    assert words in problems[place]


def test_laws_stand_inside_laws_to_a_limit():
    law = {"distribution": "exponential", "mean": 1}
    for _ in range(30):
        law = {"distribution": "scaled", "factor": 1, "law": law}
    assert from_data(scenario(law)).build_workers().compute_time.law(0).mean == 1.0
    for _ in range(100):
        law = {"distribution": "scaled", "factor": 1, "law": law}
    assert list(told(law).values()) == ["laws stand inside laws more than 40 deep"]


def test_a_law_of_the_users_own_code_stands_inside_ours(tmp_path):
    (tmp_path / "own_inner_law.py").write_text(
        "class Slow:\n"
        "    def __init__(self, by):\n        self.by = by\n"
        "    def sample(self, rng, size):\n        return self.by * rng.standard_exponential(size)\n"
    )
    inner = {"distribution": "own_inner_law:Slow", "by": "10 * i"}
    law = {"distribution": "shifted", "shift": 1, "law": {"distribution": "sum", "laws": [inner, 2]}}
    with pytest.raises(ScenarioError, match="--allow-code"):
        from_data(scenario(law), base=tmp_path)
    read = from_data(scenario(law), base=tmp_path, allow_code=True)
    found = read.build_workers().compute_time.law(2)
    assert found.law.laws[0].by == 30.0
    assert from_data(read.canonical(), base=tmp_path, allow_code=True).canonical() == read.canonical()
    assert asyncsim.run(read).runs[0].status == "finished"


def test_a_list_for_a_law_of_own_code_has_one_entry_a_worker(tmp_path):
    (tmp_path / "own_listed_law.py").write_text(
        "class Slow:\n    def __init__(self, by):\n        self.by = by\n"
        "    def sample(self, rng, size):\n        return self.by * rng.standard_exponential(size)\n"
    )
    with pytest.raises(ScenarioError, match="by: 1 entries, but one for each of the 3 workers is needed"):
        from_data(scenario({"distribution": "own_listed_law:Slow", "by": [1.0]}), base=tmp_path, allow_code=True)


def test_overrides_reach_into_nested_laws(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(json.dumps(scenario(NESTED)))
    changed = load(path, ["workers.compute_time.parts.0.law.factor=7"])
    assert changed.build_workers().compute_time.law(0).parts[0].law.factor == 7


def test_the_schema_lets_laws_stand_inside_laws():
    made = schema()["$defs"]
    assert made["law_scaled"]["properties"]["law"]["$ref"] == "#/$defs/AnyTime"
    assert made["law_mixture"]["properties"]["parts"]["items"]["$ref"] == "#/$defs/part_of_mixture"
    assert made["law_truncated"]["properties"]["high"]["default"] == "inf"


def test_laws_of_python_stand_inside_a_mapping():
    made = laws_from({"distribution": "scaled", "factor": "i", "law": Exponential(2.0)}, range(3), 3)
    assert made[2] == Scaled(3.0, Exponential(2.0))
    with pytest.raises(ValueError, match=r"scaled: law: <object .* is no law"):
        laws_from({"distribution": "scaled", "factor": 1, "law": object()}, range(3), 3)
