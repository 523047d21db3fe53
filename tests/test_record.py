"""When records are taken, what stands in them, and that they change nothing."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import Noisy, Slope, differences, play

from asyncsim import AsynchronousSGD, Exponential, NoProblem, Record, RennalaSGD, Stop, Workers, simulate
from asyncsim.log import Log
from asyncsim.record import Recorder, value_and_gradient
from asyncsim.result import CURVES
from asyncsim.testing import resumed

HALVE = AsynchronousSGD(0.5)


def iterations(record: Record, stop: Stop) -> list[int]:
    return play(HALVE, [1.0], record=record, stop=stop).curves["iteration"].astype(int).tolist()


def test_every_so_many_seconds_one_record_and_one_at_the_end():
    run = play(HALVE, [1.0], record=Record(every=1.5), stop=Stop(time=4.0))
    assert run.curves["time"].tolist() == [0.0, 1.5, 3.0, 4.0]
    assert run.curves["iteration"].tolist() == [0, 1, 3, 4]


def test_every_so_many_iterations_one_record_and_one_at_the_end():
    assert iterations(Record(iterations=3), Stop(iterations=8)) == [0, 3, 6, 8]
    assert iterations(Record(iterations=4), Stop(iterations=8)) == [0, 4, 8]


def test_so_many_points_lie_evenly_over_a_known_time():
    run = play(HALVE, [1.0], record=Record(points=4), stop=Stop(time=10.0))
    assert run.curves["time"].tolist() == [0.0, 2.5, 5.0, 7.5, 10.0]


def test_the_records_of_a_long_run_stand_at_exact_multiples():
    run = play(HALVE, [1.0], record=Record(every=0.1), stop=Stop(time=10.0), problem=NoProblem())
    assert run.curves["time"].tolist() == [j * 0.1 for j in range(101)]


def test_where_the_end_is_unknown_records_thin_out():
    """The distance doubles after every 8 records: 0, 1…8, 10, 12…24, 28…"""
    taken = iterations(Record(points=16), Stop(iterations=100))
    assert taken[:19] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 18, 20, 22, 24, 28, 32]
    assert taken[-1] == 100


@given(st.integers(8, 400), st.integers(1, 10**6))
def test_their_number_grows_as_the_logarithm_of_the_length(points, length):
    recorder, log, k = Recorder(NoProblem(), Record(points=points), None), Log(1), 0
    while k <= length:
        assert recorder.due_at(k) or k == 0
        recorder.take(float(k), k, np.empty(0), log)
        k = int(recorder._next_iteration)
    share = max(8, points // 8)
    assert len(recorder.rows) <= 2 + share * (1 + math.log2(1 + length / share))


def test_the_first_and_the_last_state_are_always_there_and_once():
    for record in (Record(every=100.0), Record(iterations=100), Record(points=1)):
        run = play(HALVE, [1.0], record=record, stop=Stop(time=3.0))
        assert run.curves["time"].tolist() == [0.0, 3.0]
        assert run.curves["iteration"].tolist() == [0.0, 3.0]


def test_a_record_holds_value_suboptimality_norm_and_their_running_mean():
    """x = 8, 4, 2, 1: ‖∇f‖² = 64, 16, 4, 1, their means 64, 40, 28, 85/4."""
    run = play(HALVE, [1.0], record=Record(iterations=1), stop=Stop(iterations=3))
    assert tuple(run.curves) == CURVES
    assert run.curves["value"].tolist() == [32.0, 8.0, 2.0, 0.5]
    assert run.curves["suboptimality"].tolist() == [32.0, 8.0, 2.0, 0.5]
    assert run.curves["squared_gradient_norm"].tolist() == [64.0, 16.0, 4.0, 1.0]
    assert run.curves["mean_squared_gradient_norm"].tolist() == [64.0, 40.0, 28.0, 21.25]
    assert run.curves["gradients_used"].tolist() == [0, 1, 2, 3]


def test_the_running_mean_stays_infinite_where_a_diverged_iterate_is_recorded_again():
    recorder = Recorder(Slope(), Record(every=1.0), None)
    for time, x in enumerate([np.array([1e200]), np.array([1e200])]):
        recorder.take(float(time), 0, x, Log(1))
    assert recorder.curves()["squared_gradient_norm"].tolist() == [math.inf, math.inf]
    assert recorder.curves()["mean_squared_gradient_norm"].tolist() == [math.inf, math.inf]


def test_between_two_records_the_running_mean_counts_the_earlier_one():
    """Records at k = 0, 2, 3: (64 + 64 + 4)/3 = 44, then (64 + 64 + 4 + 1)/4 = 33.25."""
    run = play(HALVE, [1.0], record=Record(iterations=2), stop=Stop(iterations=3))
    assert run.curves["mean_squared_gradient_norm"].tolist() == [64.0, 44.0, 33.25]


def test_gradients_are_counted_up_to_the_record():
    run = play(
        RennalaSGD(0.1, batch_size=1, stops=True), [1.0, 3.0], record=Record(iterations=1), stop=Stop(iterations=2)
    )
    assert run.curves["gradients_used"].tolist() == [0, 1, 2]
    assert run.curves["gradients_stopped"].tolist() == [0, 0, 1]
    assert run.curves["gradients_discarded"].tolist() == [0, 0, 0]


def test_without_a_value_or_a_gradient_the_curves_show_nan():
    class Bare:
        dimension, x0 = 1, np.ones(1)

        def gradient(self, x, rng, worker):
            return x.copy()

    curves = play(HALVE, [1.0], problem=Bare(), record=Record(iterations=1), stop=Stop(iterations=2)).curves
    for name in ("value", "suboptimality", "squared_gradient_norm", "mean_squared_gradient_norm"):
        assert np.isnan(curves[name]).all()
    assert curves["iteration"].tolist() == [0, 1, 2]


def test_an_unknown_minimum_leaves_only_the_suboptimality_open():
    problem = Slope()
    problem.f_star = None
    curves = play(HALVE, [1.0], problem=problem, record=Record(iterations=1), stop=Stop(iterations=1)).curves
    assert np.isnan(curves["suboptimality"]).all()
    assert curves["value"].tolist() == [32.0, 8.0]


def test_value_and_gradient_come_from_one_pass_where_there_is_one():
    class OnePass(Slope):
        def value_and_gradient(self, x):
            return 7.0, np.array([3.0])

    assert value_and_gradient(OnePass(), np.ones(1)) == (7.0, np.array([3.0]))


def test_a_target_of_two_would_need_both_and_nan_meets_none():
    recorder = Recorder(Slope(), Record(), None, {"squared_gradient_norm": 4.0, "suboptimality": 1.0})
    assert not recorder.take(0.0, 0, np.array([2.0]), Log(1))
    assert recorder.take(1.0, 1, np.array([1.0]), Log(1))
    assert not Recorder(NoProblem(), Record(), None, {"squared_gradient_norm": 1.0}).take(0.0, 0, np.empty(0), Log(1))


@given(st.lists(st.tuples(st.floats(0, 3), st.booleans()), min_size=1, max_size=30), st.integers(0, 29))
def test_a_recorder_that_is_taken_up_goes_on_as_if_nothing_had_been(steps, cut):
    for record, stop_time in (
        (Record(every=1.0), None),
        (Record(iterations=3), None),
        (Record(points=16), None),
        (Record(points=9), 20.0),
    ):
        recorders = [Recorder(Slope(), record, stop_time) for _ in range(2)]
        time, k = 0.0, 0
        for i, (seconds, steps_on) in enumerate(steps):
            if i == cut:
                second = Recorder(Slope(), record, stop_time)
                second.restore(recorders[1].snapshot())
                recorders[1] = second
            time, k = time + seconds, k + steps_on
            for recorder in recorders:
                if recorder.due_at(k) or (recorder.next_time() or math.inf) <= time:
                    recorder.take(time, k, np.array([1.0 / (1 + k)]), Log(1))
        assert repr(recorders[0].rows) == repr(recorders[1].rows)
        assert recorders[0].next_time() == recorders[1].next_time()


def test_each_record_is_written_as_it_is_taken():
    written = []
    recorder = Recorder(Slope(), Record(iterations=1), None, write=written.append)
    recorder.take(0.0, 0, np.ones(1), Log(1))
    recorder.take(0.0, 0, np.ones(1), Log(1))
    recorder.take(1.0, 1, np.ones(1), Log(1))
    assert [row["time"] for row in written] == [0.0, 1.0]


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"every": 1.0, "points": 3}, "points and every are given, but only one"),
        ({"every": 0.0}, "every = 0.0, but a number > 0"),
        ({"points": math.inf}, "points = inf, but a number > 0"),
        ({"iterations": -1}, "iterations = -1"),
        ({"events": "some"}, "'windows' or 'all' is needed"),
        ({"checkpoint_every": -1.0}, "seconds >= 0 are needed"),
        ({"checkpoint_every": math.nan}, "seconds >= 0 are needed"),
    ],
)
def test_an_impossible_record_is_refused(record, words):
    with pytest.raises(ValueError, match=words):
        Record(**record)


def test_recording_asks_for_no_random_number_and_no_gradient_of_a_worker():
    few, many = Noisy(), Noisy()
    play(HALVE, Exponential(1.0), n=3, problem=few, record=Record(iterations=1000))
    play(HALVE, Exponential(1.0), n=3, problem=many, record=Record(every=0.01))
    assert few.drawn == many.drawn


def test_who_had_contributed_how_much_stands_beside_each_record():
    """Workers of 1 s and 3 s; what the second brings is discarded, but it has arrived."""
    run = play(HALVE, [1.0, 3.0], record=Record(every=1.5), stop=Stop(time=6.0))
    assert run.shown.tolist() == [0, 1]
    assert run.contributions.tolist() == [[0, 0], [1, 0], [3, 1], [4, 1], [6, 2]]
    assert run.contributions[-1].sum() == run.curves["gradients_used"][-1] + run.curves["gradients_discarded"][-1]


def test_of_many_workers_forty_are_followed():
    run = play(HALVE, 1.0, n=1000, problem=NoProblem(), record=Record(every=1.0), stop=Stop(time=2.0))
    assert len(run.shown) == 40
    assert run.contributions.tolist() == [[0] * 40, [1] * 40, [2] * 40]


@pytest.mark.parametrize("k", [1, 7, 20])
def test_a_run_taken_up_again_has_the_same_contributions(k):
    workers = Workers(3, lambda worker: Exponential(1.0 + worker))
    options = {"stop": Stop(iterations=30), "record": Record(iterations=4)}
    again = resumed(RennalaSGD(0.1, 2), Noisy(), workers, at=[k], **options)
    whole = simulate(RennalaSGD(0.1, 2), Noisy(), workers, **options)
    assert differences(whole, again) == []
    assert whole.contributions.dtype == again.contributions.dtype == np.int64
