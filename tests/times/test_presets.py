"""Presets: groups that run, keep their shares, scale, and say where their figures come from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import asyncsim
from asyncsim import Workers
from asyncsim.catalogue import describe
from asyncsim.scenario import ScenarioError, from_data
from asyncsim.times.presets import PRESETS


def scenario(**workers):
    methods = [{"name": "asynchronous_sgd", "stepsize": 0.1}]
    return from_data({"workers": workers, "problem": "none", "methods": methods, "stop": {"iterations": 20}})


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_runs(name):
    assert asyncsim.run(scenario(preset=name)).runs[0].iterations == 20


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_says_where_its_figures_come_from(name):
    text = " ".join(describe(name)[0].text.split())
    assert "made up" in text or "nothing here is measured" in text
    for group in PRESETS[name].groups:
        assert group["of"] in text


@given(name=st.sampled_from(sorted(PRESETS)), count=st.integers(1, 300), seconds=st.floats(1e-3, 1e3))
def test_another_count_and_other_seconds_keep_the_shape(name, count, seconds):
    preset = PRESETS[name]
    entries = preset.entries(count, seconds)
    assert sum(entry["count"] for entry in entries) == count
    if count >= 3:
        assert len(entries) == len(preset.groups)
    whole, scaled = Workers.groups(preset.rows()).mean_times(), Workers.groups(preset.rows(count, seconds)).mean_times()
    if count >= 3:
        assert scaled[0] == pytest.approx(seconds * whole[0], rel=1e-6)
        assert scaled[-1] == pytest.approx(seconds * whole[-1], rel=1e-6)


def test_a_scenario_keeps_the_groups_and_not_the_name():
    made = scenario(preset="mixed-gpus", count=8, seconds=0.5)
    assert [group["count"] for group in made.canonical()["workers"]["groups"]] == [2, 4, 2]
    assert from_data(made.canonical()).canonical() == made.canonical()


@pytest.mark.parametrize(
    ("workers", "message"),
    [
        ({"preset": "mixed-gpu"}, "workers.preset: 'mixed-gpu' is not allowed; allowed: one of mixed-gpus"),
        ({"preset": 3}, "workers.preset: 3 is not allowed"),
        ({"preset": "phones", "compute_time": 1}, "workers.compute_time: stands beside `preset`"),
        ({"preset": "phones", "cout": 1}, "workers.cout: unknown key; allowed beside `preset`: count, seconds"),
        ({"preset": "phones", "count": True}, "workers.count: true is not allowed"),
        ({"preset": "phones", "seconds": 0}, "workers.seconds: 0 is not allowed; allowed: a number > 0"),
        ({"count": 2, "compute_time": 1, "seconds": 2}, "workers.seconds: stands without a `preset`"),
    ],
)
def test_what_is_wrong_with_a_preset_is_told(workers, message):
    with pytest.raises(ScenarioError) as error:
        scenario(**workers)
    assert message in str(error.value)
