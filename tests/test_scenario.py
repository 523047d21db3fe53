"""Scenarios: what they mean, what they build, and what is said about those that are wrong."""

import contextlib
import copy
import json
import math
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsim.allocation import ALLOCATIONS, ATA, Greedy
from asyncsim.methods import METHODS
from asyncsim.parameters import described
from asyncsim.problems import PROBLEMS
from asyncsim.scenario import ScenarioError, from_data, load, schema
from asyncsim.times.expressions import ALLOWED
from asyncsim.times.laws import LAWS, Exponential

GOOD = """\
workers: {count: 3, compute_time: i}
problem: {name: quadratic, dimension: 5}
methods:
  - {name: rennala_sgd, stepsize: 0.1, batch_size: 2}
  - {name: ringmaster_asgd, stepsize: 0.1, threshold: 2}
stop: {time: 10}
"""

DESIGN = """\
name: rennala-or-ringmaster
seed: 26                       # or seeds: 0..29
workers:
  count: 1000
  compute_time: {distribution: exponential, mean: "sqrt(i)"}
  communication_time: {uplink: 0, downlink: 0}
problem: {name: quadratic, dimension: 1729, noise: 0.01}
target: {squared_gradient_norm: 1.0e-4}
methods:
  - {name: rennala_sgd, stepsize: 1.0, batch_size: 6}
  - {name: ringmaster_asgd, stepsize: 0.2, threshold: 6}
  - {name: asynchronous_sgd, stepsize: theory}
stop: {time: 2000}
record: {points: 200}
engine: simulation
"""


@pytest.fixture
def scenario(tmp_path, monkeypatch):
    """Loads a text as the file s.yaml of the current folder."""
    monkeypatch.chdir(tmp_path)

    def loaded(text, *overrides, **options):
        Path("s.yaml").write_text(text)
        return load("s.yaml", overrides, **options)

    return loaded


@pytest.fixture
def problems(scenario):
    """What is wrong with a text, line by line."""

    def told(text, *overrides, **options):
        with pytest.raises(ScenarioError) as error:
            scenario(text, *overrides, **options)
        return str(error.value).split("\n")

    return told


def data(**changes):
    return {
        "workers": {"count": 3, "compute_time": 1.0},
        "problem": {"name": "quadratic", "dimension": 5},
        "methods": [{"name": "hero_sgd", "stepsize": 0.1}],
        "stop": {"time": 10},
        **changes,
    }


# ---- what a scenario means


def test_the_example_of_the_design_loads_and_builds(scenario):
    example = scenario(DESIGN)
    assert example.name == "rennala-or-ringmaster"
    assert example.seeds == (26,)
    workers = example.build_workers()
    assert workers.n == 1000
    assert workers.compute_time.law(3) == Exponential(mean=2.0)
    assert example.build_problem(26).dimension == 1729
    assert example.build_methods() == [
        ("rennala_sgd", METHODS["rennala_sgd"](stepsize=1.0, batch_size=6)),
        ("ringmaster_asgd", METHODS["ringmaster_asgd"](stepsize=0.2, threshold=6)),
        ("asynchronous_sgd", METHODS["asynchronous_sgd"](stepsize="theory")),
    ]
    assert example.source == DESIGN


def test_what_is_left_out_has_its_default(scenario):
    canonical = scenario(GOOD).canonical()
    assert canonical["name"] == "s"
    assert canonical["seed"] == 0
    assert canonical["workers"]["communication_time"] == {"uplink": 0, "downlink": 0}
    assert canonical["record"] == {"points": 200, "events": "windows", "checkpoint_every": 60.0}
    assert (canonical["engine"], canonical["evaluation"]) == ("simulation", "auto")
    assert "target" not in canonical


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("seed: 7", (7,)),
        ("seeds: 7", (7,)),
        ("seeds: 0..29", range(30)),
        ("seeds: [3, 1]", (3, 1)),
        ("seeds: 5..5", range(5, 6)),
        ("", (0,)),
    ],
)
def test_seeds_are_one_or_several(scenario, text, seeds):
    found = scenario(GOOD + text)
    assert found.seeds == seeds
    assert from_data(found.canonical()).seeds in (seeds, tuple(seeds))


@pytest.mark.parametrize("text", ["1e3", "1000"])
def test_a_whole_number_may_be_written_with_an_exponent(scenario, text):
    stop = scenario(GOOD, f"stop.iterations={text}").stop
    assert stop.iterations == 1000
    assert isinstance(stop.iterations, int)


def test_groups_of_workers_stand_one_after_the_other(scenario):
    text = GOOD.replace(
        "{count: 3, compute_time: i}",
        "{groups: [{count: 2, compute_time: 1}, {count: 2, compute_time: i, communication_time: {uplink: [5, 6]}}]}",
    )
    workers = scenario(text).build_workers()
    assert workers.compute_time.constant.tolist() == [1, 1, 3, 4]
    assert workers.uplink.constant.tolist() == [0, 0, 5, 6]


def test_a_worker_that_never_returns_is_written_inf(scenario):
    text = GOOD.replace("compute_time: i", "compute_time: [1, .inf, inf]")
    found = scenario(text)
    assert found.build_workers().compute_time.constant.tolist() == [1, math.inf, math.inf]
    assert from_data(json.loads(json.dumps(found.canonical(), allow_nan=False))).canonical() == found.canonical()


def test_equal_methods_get_labels_of_their_own(scenario):
    text = GOOD + "\n".join(["", "record: {every: 1}"])
    text = text.replace("stop:", "  - {name: rennala_sgd, stepsize: 1, batch_size: 3}\nstop:")
    assert [label for label, _ in scenario(text).build_methods()] == ["rennala_sgd", "ringmaster_asgd", "rennala_sgd 2"]


def test_a_label_names_a_method(scenario):
    found = scenario(GOOD, "methods.1.label=R = 2")
    assert [label for label, _ in found.build_methods()] == ["rennala_sgd", "R = 2"]


@pytest.mark.parametrize("written", ["greedy", "{name: greedy}", None])
def test_an_allocation_is_chosen_by_name(scenario, written):
    found = scenario(GOOD, *([f"methods.0.allocation={written}"] if written else []))
    assert found.build_methods()[0][1].allocation == Greedy()
    assert found.canonical()["methods"][0]["allocation"] == {"name": "greedy"}


def test_an_allocation_has_parameters_of_its_own(scenario):
    found = scenario(GOOD, "methods.0.allocation={name: ata, alpha: 2}")
    assert found.build_methods()[0][1].allocation == ATA(alpha=2)
    again = from_data(json.loads(json.dumps(found.canonical())))
    assert again.build_methods()[0][1].allocation == ATA(alpha=2)


def test_a_problem_without_parameters_may_be_named_alone(scenario):
    assert scenario(GOOD.replace("{name: quadratic, dimension: 5}", "none")).build_problem(0).dimension == 0


@pytest.mark.parametrize("text", [GOOD, DESIGN, GOOD + "seeds: [1, 5]\nrecord: {iterations: 10, events: all}\n"])
def test_the_canonical_form_is_json_that_loads_again_to_the_same(scenario, text):
    found = scenario(text)
    again = from_data(json.loads(json.dumps(found.canonical(), allow_nan=False)))
    assert again.canonical() == found.canonical()
    assert [method for _, method in again.build_methods()] == [method for _, method in found.build_methods()]


def test_a_scenario_is_frozen_and_can_be_sent_to_another_process(scenario):
    found = scenario(GOOD)
    with pytest.raises(ValueError, match="frozen"):
        found.name = "other"
    again = pickle.loads(pickle.dumps(found))
    assert again.canonical() == found.canonical()
    assert again.base == found.base


def test_relative_data_start_at_the_folder_of_the_file(tmp_path):
    np.savez(tmp_path / "mine.npz", X=np.eye(4), y=np.array([0, 1, 0, 1]))
    (tmp_path / "s.yaml").write_text(
        GOOD.replace("{name: quadratic, dimension: 5}", "{name: logistic_regression, data: mine.npz}")
    )
    assert load(tmp_path / "s.yaml").check_problem().dimension == 5


def test_data_that_cannot_be_read_are_told_at_the_problem(scenario):
    found = scenario(GOOD.replace("{name: quadratic, dimension: 5}", "{name: logistic_regression, data: gone.csv}"))
    with pytest.raises(ScenarioError, match=r"^s.yaml:2:10: problem: .*gone.csv"):
        found.check_problem()


def test_a_target_that_needs_what_is_not_known_is_told(scenario):
    text = GOOD.replace("{name: quadratic, dimension: 5}", "{name: softmax_regression, data: digits}")
    found = scenario(text + "target: {suboptimality: 0.1}\n")
    with pytest.raises(ScenarioError) as error:
        found.check_problem()
    assert str(error.value) == (
        "s.yaml:7:25: target.suboptimality: f* of softmax_regression is not known, so f − f* is not either; "
        "give squared_gradient_norm"
    )


# ---- what is wrong

NAMES = ", ".join(METHODS)
SECTIONS = (
    "name, seed, seeds, workers, problem, target, methods, update_rule, stop, record, engine, evaluation, verify, sweep"
)
FOLDER_NAME = "a text of up to 100 bytes without '/', '\\', '..', a leading '.' or control characters"
ARITHMETIC = f"allowed is {ALLOWED}"

# what: (text of GOOD, text instead, the lines expected after the file's name)
WRONG = {
    "an unknown section": (
        "stop:",
        "stpo: 1\nstop:",
        f"6:1: stpo: unknown key; allowed: {SECTIONS}; did you mean 'stop'?",
    ),
    "a missing section": ("stop: {time: 10}\n", "", "1:1: stop: missing; needed: {time: …} or another end"),
    "an unknown key of workers": (
        "count: 3",
        "cuont: 3, count: 3",
        "1:11: workers.cuont: unknown key; allowed: count, compute_time, communication_time, speed, availability, shared_link, stop_takes_effect, contention, groups, preset, seconds; "
        "did you mean 'count'?",
    ),
    "an unknown method": (
        "rennala_sgd",
        "renala",
        f"4:12: methods.0.name: no method is called 'renala'; allowed: one of {NAMES}; did you mean 'rennala_sgd'?",
    ),
    "a method without name": ("name: rennala_sgd, ", "", f"4:5: methods.0.name: missing; needed: one of {NAMES}"),
    "a method that is a number": (
        "{name: rennala_sgd, stepsize: 0.1, batch_size: 2}",
        "5",
        f"4:5: methods.0: 5 is not allowed; allowed: a mapping with `name`: one of {NAMES}",
    ),
    "an unknown parameter": (
        "threshold: 2",
        "treshold: 2, threshold: 2",
        "5:44: methods.1.treshold: unknown key; allowed: name, label, update_rule, stepsize, threshold, stops; "
        "did you mean 'threshold'?",
    ),
    "a stepsize of the wrong sign": (
        "stepsize: 0.1, batch",
        "stepsize: -0.1, batch",
        "4:35: methods.0.stepsize: -0.1 is not allowed; allowed: a number > 0 or 'theory'",
    ),
    "a stepsize in words": (
        "stepsize: 0.1, batch",
        "stepsize: thoery, batch",
        "4:35: methods.0.stepsize: 'thoery' is not allowed; allowed: a number > 0 or 'theory'; did you mean 'theory'?",
    ),
    "a number in quotes": (
        "batch_size: 2",
        "batch_size: '2'",
        "4:52: methods.0.batch_size: '2' is not allowed; allowed: a whole number >= 1 or 'theory'",
    ),
    "true as a number": (
        "batch_size: 2",
        "batch_size: true",
        "4:52: methods.0.batch_size: true is not allowed; allowed: a whole number >= 1 or 'theory'",
    ),
    "half a gradient": (
        "batch_size: 2",
        "batch_size: 2.5",
        "4:52: methods.0.batch_size: 2.5 is not allowed; allowed: a whole number >= 1 or 'theory'",
    ),
    "an infinite stop": ("time: 10", "time: .inf", "6:14: stop.time: inf is not allowed; allowed: a number >= 0"),
    "a time that is no number": (
        "time: 10",
        "time: .nan",
        "6:14: stop.time: nan is not allowed; allowed: a number >= 0",
    ),
    "a date": ("time: 10", "time: 2026-11-22", "6:14: stop.time: '2026-11-22' is not allowed; allowed: a number >= 0"),
    "no end": (
        "{time: 10}",
        "{}",
        "6:7: stop: no end is given; needed: at least one of time, iterations, gradients, target, wall_clock",
    ),
    "an end that is a number": (
        "{time: 10}",
        "10",
        "6:7: stop: 10 is not allowed; "
        "allowed: a mapping with the keys time, iterations, gradients, target, wall_clock",
    ),
    "a target to stop at that is not there": (
        "{time: 10}",
        "{target: true}",
        "6:16: stop.target: there is no `target` to reach; add one, or give another end",
    ),
    "an unknown allocation": (
        "batch_size: 2",
        "batch_size: 2, allocation: {name: atta}",
        f"4:74: methods.0.allocation.name: no allocation is called 'atta'; allowed: one of {', '.join(ALLOCATIONS)}; "
        "did you mean 'ata'?",
    ),
    "an allocation without what it needs": (
        "batch_size: 2",
        "batch_size: 2, allocation: ata",
        "4:67: methods.0.allocation.alpha: missing; needed: α ≥ max_i ‖X_i − μ_i‖_ψ1, seconds; 1.53 times the mean "
        "covers an exponential time. · allowed: a number > 0",
    ),
    "an unknown problem": (
        "name: quadratic, dimension: 5",
        "name: quadratics",
        f"2:17: problem.name: no problem is called 'quadratics'; allowed: one of {', '.join(PROBLEMS)}; "
        "did you mean 'quadratic'?",
    ),
    "code": (
        "name: quadratic, dimension: 5",
        "name: 'os:system'",
        "2:17: problem.name: 'os:system' is code, which a scenario may not run; if you trust it, say --allow-code",
    ),
    "code in disguise": (
        "name: quadratic, dimension: 5",
        "name: '__import__(\"os\"):x'",
        "2:17: problem.name: '__import__(\"os\"):x' is no module:attribute; allowed: one of " + ", ".join(PROBLEMS),
    ),
    "an unknown law": (
        "compute_time: i",
        "compute_time: {distribution: exponentail, mean: 1}",
        f"1:50: workers.compute_time.distribution: no law is called 'exponentail'; allowed: one of {', '.join(LAWS)}; "
        "did you mean 'exponential'?",
    ),
    "a law without name": (
        "compute_time: i",
        "compute_time: {mean: 1}",
        f"1:35: workers.compute_time.distribution: missing; needed: one of {', '.join(LAWS)}",
    ),
    "an unknown parameter of a law": (
        "compute_time: i",
        "compute_time: {distribution: exponential, maen: 1, mean: 2}",
        "1:63: workers.compute_time.maen: unknown key; allowed: distribution, mean; did you mean 'mean'?",
    ),
    "a missing parameter of a law": (
        "compute_time: i",
        "compute_time: {distribution: exponential}",
        "1:35: workers.compute_time.mean: missing; needed: a number > 0",
    ),
    "a negative mean": (
        "compute_time: i",
        "compute_time: {distribution: exponential, mean: -1}",
        "1:69: workers.compute_time.mean: -1 is not allowed; allowed: a number > 0, a list (one a worker), "
        "or an expression in i and n",
    ),
    "an unknown name in an expression": (
        "compute_time: i",
        "compute_time: sqrt(j)",
        f"1:35: workers.compute_time: expression 'sqrt(j)': unknown name 'j' (did you mean 'i'?); {ARITHMETIC}",
    ),
    "a negative time": (
        "compute_time: i",
        "compute_time: -1",
        "1:35: workers.compute_time: -1 is not allowed; allowed: a number >= 0 (seconds), inf (never), "
        "an expression in i and n, a list (one a worker), or a law",
    ),
    "a list of the wrong length": (
        "compute_time: i",
        "compute_time: [1, 2]",
        "1:35: workers.compute_time: times: 2 entries, but one for each of the 3 workers is needed",
    ),
    "workers of two kinds": (
        "count: 3, ",
        "count: 3, groups: [{count: 1, compute_time: 1}], ",
        "1:11: workers.count: stands beside `groups`; it belongs into each group",
        "1:60: workers.compute_time: stands beside `groups`; it belongs into each group",
    ),
    "no workers": (
        "count: 3",
        "count: 0",
        "1:18: workers.count: 0 is not allowed; allowed: a whole number >= 1 and <= 10000000",
    ),
    "workers that are not told": (
        "{count: 3, compute_time: i}",
        "{count: 3}",
        "1:10: workers.compute_time: missing; needed: seconds a gradient: a number, an expression in i = 1…n and n, "
        "a list, or a law {distribution: …}",
    ),
    "a worker that is not there": (
        "name: rennala_sgd, stepsize: 0.1, batch_size: 2",
        "name: hero_sgd, stepsize: 0.1, worker: 3",
        "4:45: methods.0.worker: there is no worker 3; workers are 0…2",
    ),
    "no methods": (
        GOOD[GOOD.index("methods:") : GOOD.index("stop:")],
        "methods: []\n",
        "3:10: methods: an empty list; at least one entry is needed",
    ),
    "methods that are no list": (
        GOOD[GOOD.index("methods:") : GOOD.index("stop:")],
        "methods: hero_sgd\n",
        "3:10: methods: 'hero_sgd' is not allowed; allowed: a list",
    ),
    "two methods of one label": (
        "batch_size: 2}",
        "batch_size: 2, label: a}\n  - {name: hero_sgd, stepsize: 1, label: a}",
        "5:42: methods.1.label: two methods are called 'a'; labels differ",
    ),
    "two kinds of seeds": (
        "stop:",
        "seed: 1\nseeds: 0..3\nstop:",
        "7:1: seeds: stands beside `seed`; give one of them",
    ),
    "a seed twice": (
        "stop:",
        "seeds: [1, 2, 1]\nstop:",
        "6:8: seeds: seed 1 stands twice; the same seed is the same run",
    ),
    "a range of seeds that ends early": (
        "stop:",
        "seeds: 3..1\nstop:",
        "6:8: seeds: '3..1' is not allowed; allowed: a whole number >= 0, a list of them, or a range like 0..29 "
        "(both ends in it), up to 1,000,000 of them",
    ),
    "too many seeds": (
        "stop:",
        "seeds: 0..9999999999999999999\nstop:",
        "6:8: seeds: '0..9999999999999999999' is not allowed; allowed: a whole number >= 0, a list of them, or a range "
        "like 0..29 (both ends in it), up to 1,000,000 of them",
    ),
    "a negative seed": (
        "stop:",
        "seed: -1\nstop:",
        "6:7: seed: -1 is not allowed; allowed: a whole number >= 0 and <= 1000000000000000",
    ),
    "a name that leaves the folder": (
        "stop:",
        "name: ../up\nstop:",
        f"6:7: name: '../up' is not allowed; allowed: {FOLDER_NAME}",
    ),
    "a long name": (
        "stop:",
        f"name: {'é' * 51}\nstop:",
        f"6:7: name: '{'é' * 51}' is not allowed; allowed: {FOLDER_NAME}",
    ),
    "another engine": (
        "stop:",
        "engine: {name: rayy}\nstop:",
        "6:16: engine.name: 'rayy' is not allowed; allowed: 'simulation' or 'ray'; did you mean 'ray'?",
    ),
    "an option of the other engine": (
        "stop:",
        "engine: {slowdown: sleep}\nstop:",
        "6:20: engine.slowdown: belongs to the engine ray; write name: ray, or leave it out",
    ),
    "records of two kinds": (
        "stop:",
        "record: {points: 10, every: 1}\nstop:",
        "6:22: record.every: stands beside `points`; give one of points, every, iterations",
    ),
    "two targets": (
        "stop:",
        "target: {squared_gradient_norm: 1, suboptimality: 1}\nstop:",
        "6:36: target.suboptimality: stands beside `squared_gradient_norm`; one target can be given",
    ),
    "an empty target": (
        "stop:",
        "target: {}\nstop:",
        "6:9: target: empty; needed: one of squared_gradient_norm, suboptimality, test_accuracy",
    ),
    "a target without a function": (
        "{name: quadratic, dimension: 5}",
        "none\ntarget: {squared_gradient_norm: 1}",
        "3:9: target: problem none is timing only: there is no f to reach a target; remove it",
    ),
    "an unknown setting": (
        "stop:",
        "evaluation: atuo\nstop:",
        "6:13: evaluation: 'atuo' is not allowed; allowed: 'auto' or 'single' or 'batched' or 'prefetched'; did you mean 'auto'?",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_told_with_place_key_and_what_is_allowed(problems, what):
    old, new, *expected = WRONG[what]
    assert GOOD.count(old) == 1
    assert problems(GOOD.replace(old, new)) == [f"s.yaml:{line}" for line in expected]


def test_everything_that_is_wrong_is_told_at_once_in_the_order_of_the_file(problems):
    text = """\
name: a/b
workers: {count: 3, compute_time: sqrt(j), communication_time: {uplink: [1], downlink: -1}}
problem: {name: quadratic, dimensoin: 5, noise: -1}
methods:
  - {name: renala_sgd}
  - {name: hero_sgd, stepsize: 0, worker: 9}
stop: {time: x, target: true}
stop: {}
"""
    assert [" ".join(line.split(": ")[:2]) for line in problems(text)] == [
        "s.yaml:1:7 name",
        "s.yaml:2:88 workers.communication_time.downlink",
        "s.yaml:3:28 problem.dimensoin",
        "s.yaml:3:49 problem.noise",
        "s.yaml:5:12 methods.0.name",
        "s.yaml:6:32 methods.1.stepsize",
        "s.yaml:6:43 methods.1.worker",
        "s.yaml:7:14 stop.time",
        "s.yaml:7:25 stop.target",
        "s.yaml:8:1 stop",
    ]


def test_each_time_of_each_group_that_does_not_fit_is_told(problems):
    groups = "[{count: 2, compute_time: [1]}, {count: 1, compute_time: 1, communication_time: {uplink: 1 / 0}}]"
    lines = problems(GOOD.replace("{count: 3, compute_time: i}", f"{{groups: {groups}}}"))
    assert [line.split(": ")[1] for line in lines] == [
        "workers.groups.0.compute_time",
        "workers.groups.1.communication_time.uplink",
    ]


def test_parameters_of_a_law_that_do_not_agree_are_told_with_the_worker(problems):
    lines = problems(GOOD.replace("compute_time: i", "compute_time: {distribution: uniform, low: i, high: 2}"))
    assert lines == [
        "s.yaml:1:64: workers.compute_time.low: uniform: low = 3, high = 2 for worker 2 (i = 3), "
        "but low <= high is needed"
    ]


def test_a_thousand_wrong_groups_and_a_billion_workers_are_refused_quickly(problems):
    groups = ", ".join(["{count: 10000000, compute_time: j}"] * 1000)
    lines = problems(GOOD.replace("{count: 3, compute_time: i}", f"{{groups: [{groups}]}}"))
    assert lines == ["s.yaml:1:10: workers: 10,000,000,000 workers; allowed: up to 10,000,000"]


@pytest.mark.parametrize("dimension", [10**15, 10**26])
def test_a_problem_that_fits_into_no_memory_is_told_at_its_place(dimension):
    scenario = from_data(data(problem={"name": "quadratic", "dimension": dimension}))
    with pytest.raises(ScenarioError, match="problem: quadratic does not fit into the memory of this machine"):
        scenario.check_problem()


@pytest.mark.parametrize("value", [None, 5, "a.yaml", [1]])
def test_what_is_no_mapping_is_no_scenario(value):
    with pytest.raises(ScenarioError, match="a mapping, a path or a Scenario is needed"):
        from_data(value)


def test_problems_of_plain_data_come_without_a_file():
    with pytest.raises(ScenarioError) as error:
        from_data(data(stop={"time": -1}))
    assert str(error.value) == "stop.time: -1 is not allowed; allowed: a number >= 0"


def test_plain_data_may_hold_numpy_numbers_and_tuples():
    found = from_data(data(stop={"iterations": np.int64(5), "time": np.float64(2)}, methods=tuple(data()["methods"])))
    assert (found.stop.iterations, found.stop.time) == (5, 2.0)


def test_loading_leaves_the_data_as_they_are():
    given_data = data(seeds=[1, 2])
    before = copy.deepcopy(given_data)
    from_data(given_data)
    assert given_data == before


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=5)
        | st.sampled_from(["none", "i", "0..3"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["name", "count", "compute_time", "groups", "distribution", "x"]), inner, max_size=3
            )
        ),
        max_leaves=8,
    ),
    st.sampled_from([*SECTIONS.split(", "), "other"]),
)
def test_no_data_raise_anything_but_a_scenario_error(value, section):
    with contextlib.suppress(ScenarioError):
        from_data(data(**{section: value}))


# ---- changes by the command line


def test_changes_reach_any_value(scenario):
    changed = scenario(
        GOOD,
        "stop.time=1e3",
        "methods.0.stepsize=0.5",
        "methods.ringmaster_asgd.threshold=6",
        "workers.compute_time={distribution: exponential, mean: i}",
        "record.every=0.5",
        "target.squared_gradient_norm=1e-3",
        "name=other",
    ).canonical()
    assert changed["stop"] == {"time": 1000.0}
    assert [method["stepsize"] for method in changed["methods"]] == [0.5, 0.1]
    assert changed["methods"][1]["threshold"] == 6
    assert changed["workers"]["compute_time"] == {"distribution": "exponential", "mean": "i"}
    assert changed["record"]["every"] == 0.5
    assert changed["target"] == {"squared_gradient_norm": 0.001}
    assert changed["name"] == "other"


def test_a_later_change_wins_and_all_are_remembered(scenario):
    changed = scenario(GOOD, "stop.time=1", "stop.time=2")
    assert changed.stop.time == 2
    assert changed.overrides == ("stop.time=1", "stop.time=2")


def test_a_change_takes_the_place_of_what_excludes_it(scenario):
    text = GOOD + "seed: 3\nrecord: {points: 10}\ntarget: {suboptimality: 1}\n"
    changed = scenario(text, "seeds=0..4", "record.iterations=5", "target.squared_gradient_norm=1").canonical()
    assert changed["seeds"] == "0..4"
    assert "points" not in changed["record"]
    assert changed["target"] == {"squared_gradient_norm": 1.0}


def test_a_change_to_nothing_takes_away(scenario):
    assert scenario(GOOD + "target: {suboptimality: 1}\n", "target=").target is None


def test_a_change_leaves_other_users_of_an_alias_alone(scenario):
    text = GOOD.replace("{count: 3, compute_time: i}", "{groups: [&g {count: 3, compute_time: i}, *g]}")
    changed = scenario(text, "workers.groups.0.count=5").canonical()
    assert [group["count"] for group in changed["workers"]["groups"]] == [5, 3]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            "stop.tmie=3",
            "stop.tmie: unknown key; allowed: time, iterations, gradients, target, wall_clock; did you mean 'time'?",
        ),
        ("stop.time=soon", "stop.time: 'soon' is not allowed; allowed: a number >= 0"),
        ("stop.time", "an override reads key=value, as stop.time=100 or methods.0.stepsize=0.5"),
        ("=3", "an override reads key=value, as stop.time=100 or methods.0.stepsize=0.5"),
        ("stop..time=3", "an override reads key=value, as stop.time=100 or methods.0.stepsize=0.5"),
        ("methods.2.stepsize=1", "methods.2.stepsize: methods has 2 entries, 0…1"),
        (
            "methods.ringmaster.threshold=1",
            "methods.ringmaster.threshold: no entry of methods is called 'ringmaster'; there are rennala_sgd, "
            "ringmaster_asgd; did you mean 'ringmaster_asgd'?",
        ),
        ("stop.time.unit=s", "stop.time.unit: stop.time is 10, which has no 'unit' in it"),
        (
            "stop.time=!!python/name:os.system",
            "tag '!!python/name:os.system' is not allowed; a scenario holds plain data only",
        ),
        (
            "workers.compute_time=sqrt(j)",
            f"workers.compute_time: expression 'sqrt(j)': unknown name 'j' (did you mean 'i'?); {ARITHMETIC}",
        ),
    ],
)
def test_a_change_that_is_wrong_is_told_as_written(problems, change, told):
    assert problems(GOOD, change) == [f"command line: '{change}': {told}"]


def test_a_name_that_two_methods_have_must_be_told_by_number(problems):
    text = GOOD.replace("ringmaster_asgd, stepsize: 0.1, threshold", "rennala_sgd, stepsize: 0.1, batch_size")
    assert problems(text, "methods.rennala_sgd.stepsize=1") == [
        "command line: 'methods.rennala_sgd.stepsize=1': methods.rennala_sgd.stepsize: 2 entries of methods are called "
        "'rennala_sgd'; say which by number: [0, 1]"
    ]


# ---- code and plugins

OWN = '''
from dataclasses import dataclass

class MySGD:
    """SGD of my own."""
    def __init__(self, stepsize, tries=3):
        self.stepsize, self.tries = stepsize, tries
    def run(self, server): ...

@dataclass(frozen=True)
class MyLaw:
    scale: float
    def sample(self, rng, size):
        return rng.random(size) * self.scale

class MyProblem:
    dimension, x0 = 1, [0.0]
    def gradient(self, x, rng, worker):
        return x

one_problem = MyProblem()
a_number = 5
'''


@pytest.fixture
def own_code(tmp_path):
    (tmp_path / "my_own_code.py").write_text(OWN)
    yield "my_own_code"
    sys.modules.pop("my_own_code", None)


def test_own_code_beside_the_file_is_used_when_it_is_allowed(scenario, own_code):
    text = (
        GOOD.replace("name: rennala_sgd, stepsize: 0.1, batch_size: 2", f"name: '{own_code}:MySGD', stepsize: 0.1")
        .replace("{name: quadratic, dimension: 5}", f"'{own_code}:MyProblem'")
        .replace("compute_time: i", f"compute_time: {{distribution: '{own_code}:MyLaw', scale: i}}")
    )
    found = scenario(text, allow_code=True)
    label, method = found.build_methods()[0]
    assert (label, method.stepsize, method.tries) == ("my_own_code:MySGD", 0.1, 3)
    assert found.build_problem(0).dimension == 1
    assert [found.build_workers().compute_time.law(worker).scale for worker in range(3)] == [1.0, 2.0, 3.0]
    assert str(Path.cwd()) not in sys.path
    assert pickle.loads(pickle.dumps(found)).canonical() == found.canonical()


def test_an_object_of_own_code_is_taken_as_it_is(scenario, own_code):
    text = GOOD.replace("{name: quadratic, dimension: 5}", f"'{own_code}:one_problem'")
    assert scenario(text, allow_code=True).build_problem(0).dimension == 1


def test_a_law_of_own_code_takes_its_part_of_a_group(scenario, own_code):
    law = f"{{distribution: '{own_code}:MyLaw', scale: [7, 8]}}"
    groups = f"{{groups: [{{count: 1, compute_time: 1}}, {{count: 2, compute_time: {law}}}]}}"
    workers = scenario(GOOD.replace("{count: 3, compute_time: i}", groups), allow_code=True).build_workers()
    assert [workers.compute_time.law(worker).scale for worker in (1, 2)] == [7.0, 8.0]


def test_own_code_is_not_imported_unless_it_is_allowed(problems, own_code):
    lines = problems(GOOD.replace("rennala_sgd", f"{own_code}:MySGD"))
    assert "is code, which a scenario may not run" in lines[0]
    assert own_code not in sys.modules


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("my_own_code:a_number", "my_own_code:a_number cannot be used here: it has no run(…)"),
        ("my_own_code:Missing", "'my_own_code:Missing' cannot be loaded: AttributeError: "),
        ("no_such_module:X", "'no_such_module:X' cannot be loaded: ModuleNotFoundError: "),
    ],
)
def test_own_code_that_does_not_fit_is_told(problems, own_code, name, told):
    text = GOOD.replace("name: rennala_sgd, stepsize: 0.1, batch_size: 2", f"name: '{name}'")
    assert told in problems(text, allow_code=True)[0]


def test_a_plugin_of_an_installed_package_is_found_by_its_name(tmp_path):
    # a package is installed where its folder and its metadata are on the path
    (tmp_path / "my_own_code.py").write_text(OWN)
    metadata = tmp_path / "my_plugin-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-plugin\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[asyncsim.methods]\nmy_sgd = my_own_code:MySGD\n")
    (tmp_path / "s.yaml").write_text(GOOD.replace("rennala_sgd, stepsize: 0.1, batch_size: 2", "my_sgd, stepsize: 0.1"))
    code = "from asyncsim.scenario import load; print([label for label, _ in load('s.yaml').build_methods()])"
    path = f"{tmp_path}:{Path(__file__).parent.parent}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "['my_sgd', 'ringmaster_asgd']\n"


# ---- the schema


def test_the_schema_knows_every_name_and_parameter_with_its_meaning():
    definitions = schema()["$defs"]
    for kind, registry in {"method": METHODS, "allocation": ALLOCATIONS, "problem": PROBLEMS, "law": LAWS}.items():
        for name, cls in registry.items():
            properties = definitions[f"{kind}_{name}"]["properties"]
            for parameter in described(cls):
                assert parameter.meaning in properties[parameter.name]["description"]


def test_the_schema_is_plain_json_and_forbids_unknown_keys():
    made = json.loads(json.dumps(schema(), allow_nan=False))
    assert made["additionalProperties"] is False
    assert made["required"] == ["workers", "problem", "methods", "stop"]
    assert list(made["properties"]) == SECTIONS.split(", ")
