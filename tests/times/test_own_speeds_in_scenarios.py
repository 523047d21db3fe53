"""Speeds and availabilities of the user's own code in scenarios: only when allowed, asked again, never stored."""

import json
import sys

import pytest

import asyncsim
from asyncsim import study
from asyncsim.scenario import from_data, load
from asyncsim.yaml_file import ScenarioError

OWN = """
import math
from dataclasses import dataclass

@dataclass(frozen=True)
class Tides:
    period: float
    powers: tuple[float, ...] = (1.0, 3.0)
    step: float = 1.0
    def power(self, t):
        low, high = self.powers
        return low + (high - low) * (1 + math.sin(2 * math.pi * t / self.period)) / 2

class Shift:
    policy = "paused"
    def __init__(self, hours, begins=0):
        self.hours, self.begins = hours, begins
        if hours > 24:
            raise KeyError("a day has 24 hours")
    def stays(self, blocks):
        yield self.begins, 0.0
        yield self.begins + self.hours, 1.0
        end = self.begins + self.hours
        while True:
            yield end + 24 - self.hours, 0.0
            end += 24
            yield end, 1.0

noon = Shift(12, 6)
nothing = object()
"""

TEXT = """\
workers:
  count: 3
  compute_time: 1
  speed: {SPEED}
  availability: {THERE}
problem: none
methods: [{name: asynchronous_sgd, stepsize: 0.1}]
stop: {time: 100}
"""


@pytest.fixture
def written(tmp_path):
    def write(speed="1", there=""):
        (tmp_path / "own_times.py").write_text(OWN)
        path = tmp_path / "s.yaml"
        text = TEXT.replace("{SPEED}", speed)
        path.write_text(text.replace("{THERE}", there) if there else text.replace("  availability: {THERE}\n", ""))
        return path

    yield write
    sys.modules.pop("own_times", None)


def test_they_are_used_when_it_is_allowed_and_their_parameters_may_differ_by_worker(written):
    path = written(
        "{name: 'own_times:Tides', period: 10 * i, powers: [0.5, 2]}", "{name: 'own_times:Shift', hours: [6, 7, 8]}"
    )
    found = load(path, allow_code=True)
    workers = found.build_workers()
    assert [workers.speed[i].period for i in range(3)] == [10.0, 20.0, 30.0]
    assert workers.speed[2].powers == [0.5, 2]
    assert [workers.availability[i].hours for i in range(3)] == [6, 7, 8]
    assert asyncsim.run(found).runs[0].status == "finished"
    again = from_data(found.canonical(), base=path.parent, allow_code=True)
    assert again.canonical() == found.canonical()
    assert json.dumps(found.canonical())


def test_an_object_is_taken_as_it_is(written):
    workers = load(written("1", "'own_times:noon'".join(["{name: ", "}"])), allow_code=True).build_workers()
    assert workers.availability[2].begins == 6


def test_a_group_has_lists_of_its_own_workers(written):
    path = written()
    groups = (
        "groups: [{count: 1, compute_time: 1}, {count: 2, compute_time: 1, "
        "speed: {name: 'own_times:Tides', period: [7, 8]}}]"
    )
    text = path.read_text().replace("count: 3\n  compute_time: 1\n  speed: 1\n", groups + "\n")
    path.write_text(text)
    workers = load(path, allow_code=True).build_workers()
    assert [workers.speed[i].period for i in (1, 2)] == [7.0, 8.0]


@pytest.mark.parametrize(
    ("speed", "there", "place", "told"),
    [
        (
            "{name: 'own_times:Tides', period: 1}",
            "",
            "4:17: workers.speed.name",
            "is code, which a scenario may not run",
        ),
        ("1", "{name: 'own_times:noon'}", "5:24: workers.availability.name", "say --allow-code"),
        ("{name: 'os.path:../x'}", "", "4:17: workers.speed.name", "is no module:attribute"),
    ],
)
def test_without_leave_nothing_is_imported(written, speed, there, place, told):
    with pytest.raises(ScenarioError) as error:
        load(written(speed, there))
    assert place in str(error.value)
    assert told in str(error.value)
    assert "own_times" not in sys.modules


@pytest.mark.parametrize(
    ("speed", "there", "place", "told"),
    [
        ("{name: 'own_times:Missing'}", "", "4:17: workers.speed.name", "cannot be loaded: AttributeError"),
        ("{name: 'own_times:Tides', perod: 1}", "", "4:36: workers.speed.perod", "unknown key; allowed: name, period"),
        ("{name: 'own_times:Tides'}", "", "4:10: workers.speed.period", "missing"),
        (
            "{name: 'own_times:Tides', period: [1, 2]}",
            "",
            "workers.speed.period",
            "2 entries, but one for each of the 3",
        ),
        ("{name: 'own_times:nothing'}", "", "4:10: workers.speed", "can't be understood as speed"),
        ("1", "{name: 'own_times:Shift', hours: 25}", "5:17: workers.availability", "a day has 24 hours"),
        ("1", "{name: 'own_times:Shift', hours: j}", "5:17: workers.availability", "j"),
    ],
)
def test_what_is_wrong_with_them_is_told_with_its_place(written, speed, there, place, told):
    with pytest.raises(ScenarioError) as error:
        load(written(speed, there), allow_code=True)
    assert place in str(error.value), str(error.value)
    assert told in str(error.value)


def test_a_resume_asks_again_and_the_folder_stores_no_leave(written, tmp_path):
    path = written("{name: 'own_times:Tides', period: 10}")
    whole = asyncsim.run(path, output=tmp_path / "whole", allow_code=True)
    assert "allow" not in (tmp_path / "whole" / "manifest.json").read_text()
    with pytest.raises(ScenarioError, match="say --allow-code"):
        study.resume(tmp_path / "whole")
    again = study.resume(tmp_path / "whole", allow_code=True)
    assert again.runs[0].event_hash == whole.runs[0].event_hash
