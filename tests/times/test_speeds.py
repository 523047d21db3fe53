"""Speeds: how long a gradient takes at a power that changes, alone and in a whole run.

The reference for pieces is exact: fractions, a sum over the pieces one by one.
"""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsim import (
    Constant,
    ConstantSpeed,
    DriftSpeed,
    Exponential,
    Gradient,
    MarkovSpeed,
    NoProblem,
    Outages,
    PeriodicSpeed,
    PiecewiseSpeed,
    Quadratic,
    Record,
    RennalaSGD,
    RingmasterASGD,
    StepSpeed,
    Stop,
    Workers,
    simulate,
)
from asyncsim.methods import MinibatchSGD
from asyncsim.streams import Stream
from asyncsim.testing import resumed
from asyncsim.times.speeds import SPEEDS, path_of

POWERS = st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0, 3.0])
EXAMPLES = {
    "constant": ConstantSpeed(power=0.3),
    "piecewise": PiecewiseSpeed(times=(3.0, 7.0), powers=(1.0, 0.0, 0.5)),
    "periodic": PeriodicSpeed(period=10.0, powers=(1.0, 0.2), phase=4.0),
    "outages": Outages(mean_up=6.0, mean_down=2.0),
    "markov": MarkovSpeed(powers=(1.0, 0.1, 2.0), mean_stays=(4.0, 3.0, 1.0)),
    "drift": DriftSpeed(first=0.5, last=2.0, over=30.0),
    "step": StepSpeed(at=12.0, before=1.0, after=0.25),
}


def blocks(worker=0, seed=0):
    stream = Stream(seed, "speed")
    return lambda number: stream.at(worker, number)


def path(speed, worker=0, seed=0):
    return path_of(speed, blocks(worker, seed))


@st.composite
def pieces(draw):
    times = draw(st.lists(st.integers(1, 40), min_size=1, max_size=6, unique=True).map(sorted))
    return times, [draw(POWERS) for _ in range(len(times) + 1)]


def exact_end(times, powers, start, cost):
    """inf{t : V(t) >= V(start) + cost} in fractions; None = never."""
    t, left = Fraction(start), Fraction(cost)
    for end, given_power in zip([*times, None], powers, strict=True):
        if end is not None and end <= t:
            continue
        power = Fraction(given_power)
        if power and (end is None or t + left / power <= end):
            return t + left / power
        if end is None:
            return None
        left, t = left - (end - t) * power, Fraction(end)
    raise AssertionError


@given(pieces(), st.integers(0, 50), st.integers(1, 30))
def test_a_gradient_ends_when_the_integral_of_the_power_has_reached_its_cost(found, start, cost):
    times, powers = found
    expected = exact_end(times, powers, start, cost)
    seconds = path(PiecewiseSpeed(times=tuple(map(float, times)), powers=tuple(powers))).seconds(
        float(start), float(cost)
    )
    if expected is None:
        assert seconds == math.inf
    else:
        assert start + seconds == pytest.approx(float(expected), rel=1e-14)


@given(st.floats(1e-6, 1e6))
def test_power_v_is_the_fixed_model_with_time_one_over_v_to_the_last_bit(power):
    def listen(server):
        while True:
            server.broadcast(Gradient(server.x))
            server.receive()

    class Listen:
        run = staticmethod(listen)

    end = Stop(gradients=20)
    changing = simulate(Listen(), NoProblem(), Workers(2, speed=[power, 2 * power]), stop=end)
    fixed = simulate(Listen(), NoProblem(), Workers(2, [1 / power, 1 / (2 * power)]), stop=end)
    assert (changing.event_hash, changing.time) == (fixed.event_hash, fixed.time)


@given(st.floats(1e-6, 1e6), st.floats(0, 1e6))
def test_a_speed_given_in_seconds_is_the_fixed_model_to_the_last_bit(tau, start):
    assert path(ConstantSpeed(seconds=tau)).seconds(start, 1.0) == tau
    assert path(PiecewiseSpeed(times=(2e7,), powers=(1.0, 3.0))).seconds(start, tau) == tau


@given(st.sampled_from(sorted(EXAMPLES)), st.floats(1, 60), st.integers(0, 5))
def test_a_worker_that_always_works_completes_the_floor_of_the_integral_of_its_power(name, horizon, seed):
    class Listen:
        def run(self, server):
            while True:
                server.broadcast(Gradient(server.x))
                server.receive()

    run = simulate(Listen(), NoProblem(), Workers(1, speed=EXAMPLES[name]), stop=Stop(time=horizon), seed=seed)
    done = path(EXAMPLES[name], seed=seed).work(0.0, horizon)
    completed = run.sent - run.in_flight
    assert completed == math.floor(done) or (abs(done - round(done)) < 1e-9 and abs(completed - done) < 1e-8 + 1)


@given(st.sampled_from(sorted(EXAMPLES)), st.floats(0, 50), st.floats(0.01, 20))
def test_seconds_and_work_are_inverse(name, start, cost):
    of = path(EXAMPLES[name])
    seconds = of.seconds(start, cost)
    assert of.work(start, start + seconds) == pytest.approx(cost, rel=1e-9)


@given(st.sampled_from(sorted(EXAMPLES)), st.floats(0, 50), st.floats(0.01, 10), st.floats(0.01, 10))
def test_two_costs_one_after_the_other_take_as_long_as_their_sum(name, start, first, second):
    of = path(EXAMPLES[name])
    between = start + of.seconds(start, first)
    together = of.seconds(start, first + second)
    apart = between + of.seconds(between, second) - start
    # after a cost that ends with an outage ahead, the next waits for its end: the same moment either way
    assert apart == pytest.approx(together, rel=1e-9)


@pytest.mark.parametrize("shape", ["linear", "exponential"])
@given(first=st.floats(0.1, 5), last=st.floats(0.1, 5), start=st.floats(0, 20), cost=st.floats(0.01, 20))
def test_a_drift_is_what_the_integral_of_its_power_gives(shape, first, last, start, cost):
    drift = path(DriftSpeed(first=first, last=last, over=10.0, shape=shape))

    class Own:
        step = 0.5

        def power(self, t):
            return drift.power(t)

    assert drift.seconds(start, cost) == pytest.approx(path(Own()).seconds(start, cost), rel=1e-6)


def test_a_fading_power_that_never_gets_there_never_ends():
    fading = path(DriftSpeed(first=1.0, last=0.0, over=10.0))
    assert fading.seconds(0.0, 5.0) == pytest.approx(10.0)
    assert fading.seconds(0.0, 5.1) == math.inf
    assert path(StepSpeed(at=1.0, before=1.0, after=0.0)).seconds(0.5, 1.0) == math.inf


def test_a_gradient_that_is_done_as_an_outage_begins_does_not_wait_for_its_end():
    assert path(PiecewiseSpeed(times=(4.0, 9.0), powers=(1.0, 0.0, 1.0))).seconds(1.0, 3.0) == 3.0


def test_a_cost_of_nothing_takes_no_time_even_in_an_outage():
    assert path(PiecewiseSpeed(times=(4.0, 9.0), powers=(1.0, 0.0, 1.0))).seconds(5.0, 0.0) == 0.0
    assert path(ConstantSpeed(power=0.0)).seconds(5.0, 0.0) == 0.0


def test_a_phase_is_another_time_zone():
    early, late = (path(PeriodicSpeed(period=24.0, powers=(1.0, 0.5), phase=phase)) for phase in (0.0, 6.0))
    assert all(late.power(t) == early.power(t + 6.0) for t in np.arange(0.0, 60.0, 0.5))


@pytest.mark.parametrize("speed", [Outages(mean_up=9.0, mean_down=3.0), EXAMPLES["markov"]], ids=repr)
def test_in_the_long_run_the_mean_power_is_what_it_says(speed):
    done = path(speed).work(0.0, 2e5)
    assert done / 2e5 == pytest.approx(speed.mean_power, rel=0.02)


@pytest.mark.parametrize("name", ["outages", "markov"])
def test_random_changes_fall_at_the_same_times_whatever_was_asked_before(name):
    one, other = path(EXAMPLES[name]), path(EXAMPLES[name])
    for start in np.arange(0.0, 3000.0, 0.7):
        one.seconds(start, 0.1)
    assert [one.power(t) for t in np.arange(2900.0, 3000.0, 0.3)] == [
        other.power(t) for t in np.arange(2900.0, 3000.0, 0.3)
    ]
    assert path(EXAMPLES[name], worker=1).seconds(0.0, 50.0) != path(EXAMPLES[name]).seconds(0.0, 50.0)


def test_what_lies_behind_is_forgotten_and_changes_nothing():
    keeps, forgets = path(EXAMPLES["outages"]), path(EXAMPLES["outages"])
    found = []
    for start in np.arange(0.0, 60_000.0, 97.3):
        forgets.now = start
        found.append((keeps.seconds(start, 40.0), forgets.seconds(start, 40.0)))
    assert all(a == b for a, b in found)
    assert len(forgets.ends) < 9000 < len(keeps.ends)


def test_an_own_speed_is_an_object_with_power_or_with_work_and_its_inverse():
    class Squares:
        def work(self, t):
            return t * t

        def time_of(self, work):
            return math.sqrt(work)

    class Wave:
        step = 0.5

        def power(self, t):
            return 1.0 + math.cos(t)

    run = simulate(
        RennalaSGD(stepsize=0.1, batch_size=2), NoProblem(), Workers(2, speed=[Squares(), Wave()]), stop=Stop(time=10.0)
    )
    workers = run.workers
    assert (workers["sent"] - workers["in_flight"]).tolist() == [100, math.floor(10.0 + math.sin(10.0))]


@pytest.mark.parametrize(
    ("speed", "words"),
    [
        ({"name": "periodc", "period": 1}, r"speed: name = 'periodc' \(did you mean 'periodic'\?\)"),
        ({"name": "periodic", "period": 1}, r"periodic: powers must be given"),
        ({"name": "periodic", "period": 1, "powers": [0, 0]}, r"at least one > 0 is needed"),
        (
            {"name": "periodic", "period": 1, "powers": [1, "i - 2"]},
            r"powers\[1\] = 'i - 2' = -1.0 for worker 0 \(i = 1\)",
        ),
        ({"name": "outages", "mean_up": 1, "mean_down": 0}, r"outages: mean_down = 0, but a number > 0"),
        ({"name": "step", "at": 1, "before": 1, "after": 1, "during": 1}, r"unknown parameter 'during'; step has at"),
        ({"name": "piecewise", "times": [2, 1], "powers": [1, 2, 3]}, r"ascending times"),
        ({"name": "drift", "first": 0, "last": 1, "over": 1, "shape": "exponential"}, r"> 0 is needed for exponential"),
        ([1.0, -1.0, 1.0], r"speed.*-1.0"),
        ([1.0], r"1 entries, but one for each of the 3 workers"),
        (object(), r"can't be understood as speed"),
        ("i - 1 -", r"speed: "),
    ],
)
def test_a_speed_that_cannot_be_is_refused_with_what_is_allowed(speed, words):
    with pytest.raises(ValueError, match=words):
        Workers(3, speed=speed)


def test_a_power_that_is_no_number_is_told_with_worker_and_gradient():
    class Odd:
        step = 1.0

        def power(self, t):
            return math.nan

    with pytest.raises(ValueError, match=r"speed of worker 0, gradient 0: .*power\(.*\) = nan"):
        simulate(RennalaSGD(0.1, 1), NoProblem(), Workers(1, speed=Odd()), stop=Stop(time=1.0))


def test_compute_time_or_speed_must_be_given():
    with pytest.raises(ValueError, match="compute_time is missing"):
        Workers(3)
    with pytest.raises(ValueError, match=r"groups\[1\]: compute_time is missing"):
        Workers.groups([(1, 1.0), (1, None)])


def test_groups_without_a_speed_have_power_one():
    workers = Workers.groups([(1, 2.0), (2, None, 0, 0, "i"), (1, 3.0)])
    assert [workers.speed[i].power for i in range(4)] == [1.0, 2.0, 3.0, 1.0]
    assert workers.mean_times().tolist() == [2.0, 1 / 2, 1 / 3, 3.0]
    assert not workers.mean_times_exact
    assert not workers.constant_times


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_a_run_under_changing_speed_is_taken_up_bit_for_bit(name):
    workers = Workers(
        4, Exponential(1.0), speed=[EXAMPLES[name], EXAMPLES["markov"], EXAMPLES["outages"], 0.7], uplink=0.1
    )
    options = {"stop": Stop(iterations=60), "seed": 3}
    for method in (RingmasterASGD(stepsize=0.1, threshold=3, stops=True), RennalaSGD(stepsize=0.1, batch_size=3)):
        whole = simulate(method, Quadratic(5), workers, **options)
        again = resumed(method, Quadratic(5), workers, at=[1, 17, 18, 44], **options)
        assert again.event_hash == whole.event_hash
        assert (again.curves["value"] == whole.curves["value"]).all()


def test_neither_method_nor_other_workers_change_when_a_worker_is_slow():
    """Worker 0 works without a break in both runs; its arrivals fall at the same times."""

    def arrivals(method, others):
        workers = Workers(1 + len(others), Exponential(1.0), speed=[EXAMPLES["markov"], *others])
        run = simulate(method, NoProblem(), workers, stop=Stop(time=60.0), record=Record(every=1.0, events="all"))
        events = run.events
        return events["time"][(events["worker"] == 0) & (events["kind"] == 0)].tolist()

    alone = arrivals(RennalaSGD(stepsize=0.1, batch_size=1), [])
    assert alone == arrivals(RennalaSGD(stepsize=0.1, batch_size=4), [1.0, EXAMPLES["outages"]])
    assert alone == arrivals(RingmasterASGD(stepsize=0.1, threshold=2), [3.0])


def test_every_speed_of_the_registry_has_an_example_here():
    assert set(EXAMPLES) == set(SPEEDS)


def test_a_stop_loses_what_was_done_of_a_gradient():
    """Power 1 until 10, then 2. A cost of 8 begun at 5 is done at 11.5; begun anew at 7 it is done at 12.5."""

    class StopsOnce:
        def run(self, server):
            server.broadcast(Gradient(server.x))
            server.receive()
            server.send(0, Gradient(server.x))
            server.timer("now", after=2.0)
            server.receive()
            server.stop(0)
            server.send(0, Gradient(server.x))
            server.receive()

    workers = Workers(1, lambda worker: First(), speed=StepSpeed(at=10.0, before=1.0, after=2.0))
    run = simulate(StopsOnce(), NoProblem(), workers, stop=Stop(time=100.0))
    assert run.time == 12.5
    assert run.stopped == 1


class First:
    """5 seconds the first time, then 8."""

    def sample(self, rng, size):
        return np.array([5.0] + [8.0] * (size - 1))


def test_minibatch_waits_for_the_slowest_at_its_speed():
    run = simulate(
        MinibatchSGD(stepsize=0.1), NoProblem(), Workers(2, Constant(2.0), speed=[1.0, 0.5]), stop=Stop(time=9.0)
    )
    assert run.iterations == 2
