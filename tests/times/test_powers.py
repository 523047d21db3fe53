"""How fast workers were, for the picture: unfolded from the seed after the run, the same as the run met."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsim import (
    AsynchronousSGD,
    DriftSpeed,
    HeroSGD,
    MarkovSpeed,
    NoProblem,
    Outages,
    PeriodicSpeed,
    PiecewiseSpeed,
    Stop,
    Workers,
    simulate,
)
from asyncsim.times.powers import PARTS, powers
from asyncsim.times.speeds import Unfolding, path_of

WHOLE = [(0.0, 100.0)]


def done(told):
    return math.fsum(power * (end - begin) for _, begin, end, power in told)


def test_a_power_that_stays_and_one_that_is_only_there_or_not_are_not_told():
    assert powers(Workers(2, 1.0), 0, range(2), WHOLE) == []
    assert powers(Workers(2, 1.0, speed=3.0), 0, range(2), WHOLE) == []
    for mean in (5.0, 0.1):
        assert powers(Workers(2, 1.0, speed=Outages(mean_up=mean, mean_down=mean)), 0, range(2), WHOLE) == []


def test_pieces_without_power_are_left_to_the_absences():
    speed = PiecewiseSpeed(times=(5.0, 9.0), powers=(1.0, 0.0, 2.0))
    assert powers(Workers(1, 1.0, speed=speed), 0, [0], WHOLE) == [(0, 0.0, 5.0, 1.0), (0, 9.0, 100.0, 2.0)]


def test_powers_are_told_as_far_as_they_lie_in_the_spans():
    speed = PiecewiseSpeed(times=(5.0, 40.0), powers=(1.0, 0.5, 2.0))
    told = powers(Workers(1, 1.0, speed=speed), 0, [0], [(0.0, 8.0), (30.0, 50.0)])
    assert told == [(0, 0.0, 5.0, 1.0), (0, 5.0, 8.0, 0.5), (0, 30.0, 40.0, 0.5), (0, 40.0, 50.0, 2.0)]


@given(st.integers(0, 20), st.floats(0.01, 3.0))
def test_what_is_told_adds_up_to_what_can_be_done(seed, stay):
    """However often the power changes: the means over parts keep the integral."""
    workers = Workers(1, 1.0, speed=MarkovSpeed(powers=(1.0, 0.2, 0.0), mean_stays=(stay, stay, stay)))
    told = powers(workers, seed, [0], WHOLE)
    assert len(told) <= PARTS
    from asyncsim.streams import Stream

    path = path_of(workers.speed[0], lambda number: Stream(seed, "speed").at(0, number))
    assert done(told) == pytest.approx(path.work(*WHOLE[0]), rel=1e-9)


def test_a_power_that_fades_is_told_in_parts_that_do_as_much():
    told = powers(Workers(1, 1.0, speed=DriftSpeed(first=2.0, last=1.0, over=100.0)), 0, [0], WHOLE)
    assert (len(told), done(told)) == (PARTS, pytest.approx(150.0))
    assert np.all(np.diff([power for *_, power in told]) < 0)


def test_a_users_own_power_and_a_users_own_integral_are_told_alike():
    class Sine:
        step = 1.0

        def power(self, t):
            return 1.0 + 0.5 * math.sin(t / 10)

    class Integral:
        def work(self, t):
            return t + 5.0 * (1.0 - math.cos(t / 10))

        def time_of(self, work):
            raise AssertionError("the picture needs no inverse")

    one, two = (powers(Workers(1, 1.0, speed=[speed]), 0, [0], WHOLE) for speed in (Sine(), Integral()))
    np.testing.assert_allclose(one, two, atol=1e-3)
    assert len(one) == PARTS


def test_a_speed_of_the_users_own_that_cannot_unfold_ends_no_run():
    class Broken:
        def path(self, blocks):
            return Unfolding(iter([(1.0, 1.0)]))  # says nothing of what comes after

    run = simulate(HeroSGD(0.1, worker=0), NoProblem(), Workers(2, 0.5, speed=[1.0, Broken()]), stop=Stop(time=5.0))
    assert (run.status, len(run.powers)) == ("finished", 0)


def test_gradients_of_a_run_take_as_long_as_the_powers_that_it_tells():
    speed = PeriodicSpeed(period=12.0, powers=(1.0, 0.25))
    run = simulate(AsynchronousSGD(0.1), NoProblem(), Workers(3, 1.0, speed=speed), stop=Stop(time=30.0))
    whole = run.intervals[(run.intervals["window"] == 0) & (run.intervals["outcome"] == 0)]
    assert len(whole) > 20
    for row in whole:
        of_it = run.powers[run.powers["worker"] == row["worker"]]
        shared = np.minimum(of_it["power_to"], row["ended"]) - np.maximum(of_it["power_from"], row["sent"])
        assert (of_it["power"] * np.maximum(shared, 0.0)).sum() == pytest.approx(1.0)
