"""When workers were away, for the picture: unfolded from the seed after the run, the same as the run met."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsim import (
    Crash,
    DriftSpeed,
    Dropout,
    Exponential,
    HeroSGD,
    LateJoin,
    NoProblem,
    Outages,
    PiecewiseSpeed,
    RennalaSGD,
    Stop,
    Workers,
    simulate,
)
from asyncsim.times import absences as module
from asyncsim.times.absences import absences
from asyncsim.times.speeds import Unfolding

WHOLE = [(0.0, 100.0)]


def test_workers_that_are_always_there_are_never_away():
    assert absences(Workers(3, 1.0), 0, range(3), WHOLE) == []
    assert absences(Workers(3, 1.0, speed=2.0), 0, range(3), WHOLE) == []


def test_an_absence_and_power_0_that_touch_are_one():
    workers = Workers(
        2,
        1.0,
        speed=[PiecewiseSpeed(times=(5.0, 9.0), powers=(1.0, 0.0, 2.0)), 1.0],
        availability=[LateJoin(at=6.0), Crash(at=40.0)],
    )
    assert absences(workers, 0, range(2), WHOLE) == [(0, 0.0, 9.0), (1, 40.0, 100.0)]


def test_an_absence_is_told_as_far_as_it_lies_in_the_spans():
    workers = Workers(1, 1.0, availability=Crash(at=15.0))
    assert absences(workers, 0, [0], [(0.0, 10.0), (12.0, 20.0), (30.0, 40.0)]) == [(0, 15.0, 20.0), (0, 30.0, 40.0)]


def test_a_power_that_fades_to_nothing_is_gone_from_then_on():
    assert absences(Workers(1, 1.0, speed=DriftSpeed(first=1.0, last=0.0, over=30.0)), 0, [0], WHOLE) == [
        (0, 30.0, 100.0)
    ]


@given(st.integers(0, 50), st.lists(st.floats(0.5, 90.0), min_size=2, max_size=2, unique=True).map(sorted))
def test_in_a_span_there_is_what_is_there_in_the_whole(seed, span):
    workers = Workers(2, 1.0, speed=Outages(mean_up=5.0, mean_down=2.0))
    whole = absences(workers, seed, range(2), WHOLE)
    begin, end = span
    expected = [(worker, max(a, begin), min(b, end)) for worker, a, b in whole if a < end and b > begin]
    assert absences(workers, seed, range(2), [(begin, end)]) == expected


def test_of_too_many_the_longest_are_kept(monkeypatch):
    workers = Workers(2, 1.0, speed=Outages(mean_up=1.0, mean_down=1.0))
    whole = absences(workers, 0, range(2), WHOLE)
    monkeypatch.setattr(module, "MOST", 5)
    kept = absences(workers, 0, range(2), WHOLE)
    assert kept == sorted(sorted(whole, key=lambda one: one[1] - one[2])[:5])


def test_a_speed_of_the_users_own_that_cannot_unfold_ends_no_run():
    class Broken:
        def path(self, blocks):
            return Unfolding(iter([(1.0, 1.0)]))  # says nothing of what comes after

    workers = Workers(2, 0.5, speed=[1.0, Broken()])
    run = simulate(HeroSGD(0.1, worker=0), NoProblem(), workers, stop=Stop(time=5.0))
    assert (run.status, len(run.away)) == ("finished", 0)


@pytest.mark.parametrize("policy", ["paused", "restarted"])
def test_nothing_arrives_while_its_worker_is_away(policy):
    there = Dropout(up=Exponential(9.0), down=Exponential(4.0), policy=policy)
    run = simulate(
        RennalaSGD(0.1, batch_size=3), NoProblem(), Workers(4, Exponential(1.0), availability=there), stop=Stop(time=80)
    )
    assert len(run.away) > 10
    for worker, begin, end in run.away.tolist():
        ended = run.intervals["ended"][(run.intervals["worker"] == worker) & (run.intervals["outcome"] < 2)]
        assert not ((begin + 1e-9 < ended) & (ended < end - 1e-9)).any()


def test_the_absences_of_a_run_lie_within_it():
    workers = Workers(3, Exponential(1.0), speed=Outages(mean_up=3.0, mean_down=3.0))
    run = simulate(RennalaSGD(0.1, batch_size=2), NoProblem(), workers, stop=Stop(time=40.0))
    assert run.away["away_from"].min() >= 0.0
    assert run.away["away_to"].max() <= 40.0
