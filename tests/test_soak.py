"""The soak: what it draws, what it finds, and fifty processes that are killed in the middle of their work."""

import dataclasses
import json
import random
from collections import Counter

import numpy as np
import pytest

from asyncsim import METHODS, run
from asyncsim.result import KINDS
from asyncsim.scenario import from_data
from asyncsim.study import checked_methods
from asyncsim.testing import drawn, kills, soak
from asyncsim.testing.holds import broken

FIRST = 300  # of the seeds that are tried here; which ones they are means nothing


def test_a_seed_draws_one_scenario_and_it_can_be_run():
    for seed in range(FIRST, FIRST + 60):
        data = drawn.scenario(seed)
        assert data == drawn.scenario(seed)
        scenario = from_data(json.loads(json.dumps(data)))
        checked_methods(scenario, scenario.check_problem())


def test_every_method_law_speed_and_availability_is_drawn():
    from asyncsim.times.availability import AVAILABILITIES
    from asyncsim.times.speeds import SPEEDS

    text = json.dumps([drawn.scenario(seed) for seed in range(600)])
    missing = [name for name in (*METHODS, *SPEEDS, *AVAILABILITIES) if f'"{name}"' not in text and name != "constant"]
    assert missing == []
    for word in (
        "contention",
        "shared_link",
        "groups",
        "stop_takes_effect",
        "verify",
        "update_rule",
        "per_worker",
        "lost",
    ):
        assert f'"{word}"' in text


@pytest.mark.parametrize("seed", range(FIRST + 3, FIRST + 19))
def test_a_drawn_scenario_keeps_all_rules_played_twice_and_taken_up(seed):
    assert soak.trial(seed, kill=False) == []


@pytest.fixture(scope="module")
def alone():
    return kills.undisturbed()


@pytest.mark.parametrize("ten", range(5))
def test_processes_killed_ten_times_at_random_moments_end_with_the_same_bits(alone, tmp_path, ten, record_property):
    """Every method, a checkpoint at each step, SIGKILL after times that nobody chose; never the same moments."""
    chance, tally, studies = random.Random(), Counter(), 0
    while tally["SIGKILLs"] < 10:
        what = "every method on two processes" if ten == 4 else "every method"
        most = 10 - tally["SIGKILLs"]
        assert kills.trial(what, alone[what], tmp_path / str(studies), chance, most, tally, damage=ten % 2 == 1) == []
        studies += 1
    record_property("tries", tally["SIGKILLs"])


def test_a_sweep_killed_at_random_moments_chooses_the_same(alone, tmp_path, record_property):
    tally, studies = Counter(), 0
    while tally["SIGKILLs"] < 6:
        folder = tmp_path / str(studies)
        assert kills.trial("a sweep", alone["a sweep"], folder, random.Random(), 6, tally) == []
        studies += 1
    record_property("tries", tally["SIGKILLs"])


def test_the_command_of_kills_counts_what_it_did(capsys):
    assert kills.main(["--count", "2"]) == 0
    assert "2 SIGKILLs" in capsys.readouterr().out


def test_what_a_kill_spoilt_is_told(alone, tmp_path):
    """A folder of another study stands for a resume that goes wrong."""
    folder = tmp_path / "other"
    run(kills.EVERY_METHOD | {"seed": 4}, output=folder, processes=1)
    words = kills.trial("every method", alone["every method"], folder, random.Random(), 0, Counter())
    assert any("event_hash" in each for each in words)


def test_what_goes_wrong_is_found():
    (good,) = run(kills.EVERY_METHOD | {"methods": kills.EVERY_METHOD["methods"][:1]}).runs
    assert broken(good) == []

    def changed(**changes):
        return broken(dataclasses.replace(good, **changes))

    def events(which, **changes):
        copy = good.events.copy()
        for name, value in changes.items():
            copy[name][which] = value
        return changed(events=copy)

    used = np.flatnonzero(good.events["kind"] == KINDS.index("used"))
    assert "accounted for" in changed(workers=good.workers | {"used": good.workers["used"] + 1})[0]
    assert changed(status="waiting") == ["ended as 'waiting'"]
    assert changed(iterations=19)[-1] == "k does not grow by one from step to step"
    assert changed(curves=good.curves | {"time": good.curves["time"][::-1]})[0].startswith("time goes backwards")
    assert "busy" in changed(workers=good.workers | {"busy_seconds": good.workers["busy_seconds"] + 1e6})[0]
    assert "negative delay" in changed(delays=good.delays - [100, 0, 0])[0]
    assert events(0, time=1e9) == ["time goes backwards, or beyond the end"]
    assert "a gradient was used twice" in events(
        used[1], worker=good.events["worker"][used[0]], m=good.events["m"][used[0]]
    )
    assert "a gradient was used that had not come" in events(used[0], m=10**6)


def test_the_command_tells_the_seed_that_replays_a_finding(capsys, monkeypatch):
    assert soak.main(["--seed", "310"]) == 0
    assert "1 scenarios" in capsys.readouterr().out
    monkeypatch.setattr(soak, "broken", lambda run: ["broken on purpose"])
    assert soak.main(["--seed", "310"]) == 1
    assert "python -m asyncsim.testing.soak --seed 310" in capsys.readouterr().out


def test_a_run_that_waits_for_a_heavy_tail_is_no_finding_and_one_that_waits_for_ever_is():
    data = {
        "seed": 1,
        "workers": {"count": 3, "compute_time": [0.1, 0.1, 900.0]},
        "problem": "none",
        "methods": [{"name": "malenia_sgd", "label": "all three", "stepsize": 0.1, "batch_size": 3}],
        "stop": {"iterations": 5, "gradients": 100},
    }
    (cut,) = run(data, processes=1).runs
    assert (cut.iterations, cut.reason) == (0, "100 gradients received")
    assert soak._waits_for_ever(data, cut, patience=10_000)
    assert not soak._waits_for_ever(data, cut, patience=20_000)


def test_the_tally_counts_what_was_done():
    tally = Counter()
    assert soak.trial(310, tally, kill=True) == []
    assert tally["scenarios"] == 1
    assert tally["killed studies"] == 1
    assert tally["taken up in memory"] > 0
