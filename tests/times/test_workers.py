"""Workers and their times: everything a user may give, and what the engine is told."""

import builtins
import math
import pickle
import re
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsim.parameters import Count, NonNegative, Positive, hints, parameters
from asyncsim.times import (
    LAWS,
    Constant,
    Exponential,
    Gamma,
    LogNormal,
    Normal,
    Pareto,
    ShiftedHalfNormal,
    Times,
    Uniform,
    Workers,
)


def generator() -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=26))


def in_words(value: object) -> str:
    """A name for a test, the same in every process."""
    return re.sub(" at 0x[0-9a-f]+", "", repr(value))


class Twice:
    """A law of the user's own: no registration, no mean."""

    def sample(self, rng, size):
        return 2.0 * rng.random(size)


class FrozenLaw:
    """Looks like a frozen law of scipy.stats: uniform between 0 and `width`."""

    def __init__(self, width):
        self.width = width

    def rvs(self, size, random_state):
        return self.width * random_state.random(size)

    def mean(self):
        return self.width / 2

    def cdf(self, t):
        return np.clip(t / self.width, 0, 1)

    def ppf(self, q):
        return np.float64(q * self.width)


def by_call(rng, worker, start):
    return worker + start + rng.random()


# ---- numbers ----


@pytest.mark.parametrize(
    ("spec", "constant"),
    [
        (2, [2, 2, 2]),
        (2.5, [2.5] * 3),
        (0, [0, 0, 0]),
        (math.inf, [math.inf] * 3),
        (np.float32(0.5), [0.5] * 3),
        (np.array(4), [4] * 3),
        (np.array([1, 2, 3]), [1, 2, 3]),
        ([1, 2.5, math.inf], [1, 2.5, math.inf]),
        ((1, 2, 3), [1, 2, 3]),
        (range(3), [0, 1, 2]),
        ([1, Constant(2.0), 3], [1, 2, 3]),
        (np.array([1, Constant(2.0), 3], dtype=object), [1, 2, 3]),
        (Constant(2.0), [2] * 3),
        ("sqrt(i)", np.sqrt([1, 2, 3])),
        ("n", [3, 3, 3]),
        ({"distribution": "constant", "value": 2}, [2] * 3),
        ({"distribution": "constant", "value": [1, 2, math.inf]}, [1, 2, math.inf]),
        ({"distribution": "constant", "value": "i"}, [1, 2, 3]),
        (lambda worker: worker + 1.0, [1, 2, 3]),
    ],
    ids=in_words,
)
def test_constant_times_are_told_as_an_array_and_as_laws(spec, constant) -> None:
    times = Times.of(spec, 3)
    assert times.constant.dtype == np.float64
    assert times.constant.tolist() == list(constant)
    assert not times.by_call
    assert [times.law(worker) for worker in range(3)] == [Constant(seconds) for seconds in constant]
    assert times.means()[0].tolist() == list(constant)
    assert times.means()[1]


def test_constant_times_cannot_be_changed_from_outside() -> None:
    mine = np.array([1.0, 2.0])
    times = Times.of(mine, 2)
    mine[0] = 5.0
    assert times.constant[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        times.constant[0] = 5.0


# ---- laws ----


def test_one_law_serves_all_workers() -> None:
    law = Exponential(2.0)
    times = Times.of(law, 3)
    assert all(times.law(worker) is law for worker in range(3))
    assert times.constant is None


def test_a_list_gives_each_worker_its_own_law_and_numbers_are_constants() -> None:
    times = Times.of([Exponential(2.0), 3, Twice()], 3)
    assert times.law(0) == Exponential(2.0)
    assert times.law(1) == Constant(3.0)
    assert isinstance(times.law(2), Twice)
    assert times.constant is None
    assert not times.by_call


def test_a_callable_of_one_parameter_is_asked_for_each_workers_law_once_and_when_needed() -> None:
    asked = []

    def law_of(worker):
        asked.append(worker)
        return Exponential(worker + 1.0)

    times = Times.of(law_of, 10**6)
    assert times.law(3) == Exponential(4.0)
    assert times.law(3) is times.law(3)
    assert asked == [0, 3]


def test_a_callable_may_give_numbers_to_some_workers_and_laws_to_others() -> None:
    numbers_first = Times.of(lambda worker: 1.0 if worker == 0 else Exponential(2.0), 2)
    laws_first = Times.of(lambda worker: Exponential(2.0) if worker == 0 else 1.0, 2)
    assert [numbers_first.law(0), numbers_first.law(1)] == [Constant(1.0), Exponential(2.0)]
    assert [laws_first.law(1), laws_first.law(0)] == [Constant(1.0), Exponential(2.0)]


def test_what_looks_frozen_by_scipy_is_a_law() -> None:
    law = Times.of(FrozenLaw(4.0), 2).law(1)
    assert np.array_equal(law.sample(generator(), 5), 4.0 * generator().random(5))
    assert (law.mean, law.cdf(1.0), law.quantile(0.5)) == (2.0, 0.25, 2.0)
    assert Times.of([FrozenLaw(4.0), FrozenLaw(2.0)], 2).means()[0].tolist() == [2.0, 1.0]
    assert repr(law).startswith("Frozen(")


def test_frozen_laws_of_scipy_itself_are_laws() -> None:
    stats = pytest.importorskip("scipy.stats", reason="needs the extra that brings scipy")
    times = Times.of([stats.weibull_min(1.5, scale=2.0), stats.expon(scale=3.0)], 2)
    means, exact = times.means()
    assert means[1] == pytest.approx(3.0)
    assert exact
    assert (times.law(0).sample(generator(), 64) >= 0).all()


# ---- callables asked once a gradient ----


def test_a_callable_of_three_parameters_is_handed_on_as_it_is() -> None:
    times = Times.of(by_call, 3)
    assert times.by_call
    assert times.law(2) is by_call
    assert times.constant is None


@pytest.mark.parametrize(
    "function",
    [
        lambda rng, worker, start: 1.0,
        lambda rng, worker, start, more=1: 1.0,
        lambda rng, worker, start=0.0: 1.0,
        lambda rng, worker, start, *rest, key=1: 1.0,
    ],
)
def test_parameters_with_defaults_leave_a_callable_what_it_is(function) -> None:
    assert Times.of(function, 2).by_call


def test_a_callable_of_one_parameter_may_bind_others_by_default() -> None:
    assert Times.of(lambda worker, mean=2.0: Exponential(mean), 2).law(1) == Exponential(2.0)


def test_a_bound_method_and_an_object_with_call_are_callables() -> None:
    class Own:
        def __call__(self, rng, worker, start):
            return 1.0

        def time(self, rng, worker, start):
            return 1.0

    assert Times.of(Own(), 2).by_call
    assert Times.of(Own().time, 2).by_call


@pytest.mark.parametrize(
    "spec",
    [
        [Exponential(2.0), by_call],
        lambda worker: by_call if worker == 0 else Exponential(2.0),
        Workers.groups([(1, Exponential(2.0)), (1, by_call)]).compute_time,
    ],
)
def test_where_laws_and_callables_are_mixed_all_are_callables(spec) -> None:
    times = Times.of(spec, 2)
    assert times.by_call
    seconds = [times.law(worker)(generator(), worker, 10.0) for worker in range(2)]
    assert Exponential(2.0).sample(generator(), 1)[0] in seconds
    assert any(seconds[worker] == worker + 10.0 + generator().random() for worker in range(2))


def test_a_callable_after_laws_is_an_error_that_names_the_worker() -> None:
    times = Times.of(lambda worker: Exponential(2.0) if worker == 0 else by_call, 2)
    with pytest.raises(
        ValueError, match=r"worker 1 \(i = 2\): .* takes \(rng, worker, start\), but worker 0 has a law"
    ):
        times.law(1)


# ---- laws by name ----


def test_parameters_by_name_are_numbers_lists_or_expressions() -> None:
    spec = {"distribution": "shifted_half_normal", "shift": "i", "scale": "sqrt(i)"}
    assert Times.of(spec, 9).law(8) == ShiftedHalfNormal(shift=9.0, scale=3.0)
    assert Times.of({"distribution": "uniform", "low": 1, "high": [2, 3]}, 2).law(1) == Uniform(1, 3.0)
    assert Times.of({"distribution": "gamma", "shape": np.array([2, 3]), "scale": 1}, 2).law(1) == Gamma(3.0, 1)
    assert Times.of({"distribution": "pareto", "minimum": 1, "shape": 2}, 2).law(1) == Pareto(1, 2)
    assert Times.of({"distribution": "lognormal"}, 2).law(1) == LogNormal(0.0, 1.0)
    assert Times.of({"distribution": "lognormal", "sigma": "i"}, 2).law(1) == LogNormal(0.0, 2.0)


OF_NUMBERS = sorted(name for name, cls in LAWS.items() if cls.__module__ == Constant.__module__)


@given(name=st.sampled_from(OF_NUMBERS), data=st.data(), n=st.integers(1, 5))
def test_a_law_made_from_arrays_is_the_one_its_constructor_makes(name, data, n) -> None:
    positive = st.floats(0.1, 10.0)
    cls = LAWS[name]
    lists = {key: data.draw(st.lists(positive, min_size=n, max_size=n)) for key in hints(cls)}
    if name == "uniform":
        lists["high"] = [low + high for low, high in zip(lists["low"], lists["high"], strict=True)]
    times = Times.of({"distribution": name, **lists}, n)
    for worker in range(n):
        law = cls(**{key: values[worker] for key, values in lists.items()})
        assert times.law(worker) == law
        assert repr(times.law(worker)) == repr(law)
        assert np.array_equal(times.law(worker).sample(generator(), 3), law.sample(generator(), 3))


def test_a_law_added_to_the_registry_is_made_by_its_own_constructor() -> None:
    @parameters
    class Erlang:
        stages: Count
        scale: Positive
        shift: NonNegative = 0.0

        def __post_init__(self) -> None:
            if self.stages > 100:
                raise ValueError("Erlang: too many stages")

        def sample(self, rng, size):
            return self.shift + self.scale * rng.standard_gamma(self.stages, size)

    LAWS["erlang"] = Erlang
    try:
        assert Times.of({"distribution": "erlang", "stages": "i", "scale": 2.0}, 3).law(2) == Erlang(3, 2.0)
        with pytest.raises(
            ValueError, match=r"stages = 'i / 2' = 0.5 for worker 0 \(i = 1\), but a whole number >= 1 is needed"
        ):
            Times.of({"distribution": "erlang", "stages": "i / 2", "scale": 2.0}, 3)
        with pytest.raises(ValueError, match="too many stages"):
            Times.of({"distribution": "erlang", "stages": "100 + i", "scale": 2.0}, 3)
    finally:
        del LAWS["erlang"]


# ---- mistakes ----

WRONG = [
    (-1.0, "time = -1.0, but a number >= 0 or inf is needed"),
    (math.nan, "time = nan, but a number >= 0 or inf is needed"),
    ([1.0, -2.0], "time = -2.0 for worker 1 (i = 2), but a number >= 0 or inf is needed"),
    (np.array([1.0, math.nan]), "time = nan for worker 1 (i = 2)"),
    ([Constant(1.0), math.nan], "worker 1 (i = 2): Constant: value = nan"),
    ("1 - i", "'1 - i' = -1.0 for worker 1 (i = 2), but a number >= 0 or inf is needed"),
    ("-3", "'-3' = -3.0, but a number >= 0 or inf is needed"),
    ("sqrt(j)", "unknown name 'j' (did you mean 'i'?)"),
    ([1.0], "times: 1 entries, but one for each of the 2 workers is needed"),
    ([Exponential(1.0)] * 3, "times: 3 entries, but one for each of the 2 workers is needed"),
    (np.ones((2, 2)), "times: an array of shape (2, 2), but shape (2,), one entry a worker, is needed"),
    ([1.0, "fast"], "worker 1 (i = 2): 'fast' can't be understood as times; allowed are seconds"),
    ([1.0, None], "worker 1 (i = 2): None can't be understood as times"),
    ([1.0, True], "worker 1 (i = 2): True can't be understood as times"),
    (True, "True can't be understood as times"),
    (None, "None can't be understood as times; allowed are seconds (a number >= 0, inf = never), a law, a list"),
    (b"2", "b'2' can't be understood as times"),
    (np.array(["a", "b"], dtype=object), "worker 0 (i = 1): 'a' can't be understood as times"),
    (Exponential, "Exponential is a class: give it its parameters, as in Exponential(…)"),
    ([Exponential, 1], "worker 0 (i = 1): Exponential is a class"),
    (lambda: 1.0, "takes the parameters (), but a callable of times takes one (worker -> law) or three"),
    (lambda rng, size: 1.0, "takes the parameters (rng, size), but a callable of times takes one"),
    (lambda *anything: 1.0, "takes the parameters (*anything)"),
    (lambda worker=0, b=0, c=0: 1.0, "takes the parameters (worker=0, b=0, c=0)"),
    (lambda worker, *, rng: 1.0, "takes the parameters (worker, *, rng)"),
    (builtins.min, "takes parameters it doesn't tell of"),
    (lambda worker: None, "worker 0 (i = 1): None can't be understood as times"),
    (lambda worker: Constant(1.0) if worker else -1.0, "worker 0 (i = 1): Constant: value = -1.0"),
    ({}, "{} names no distribution; known are constant, uniform"),
    ({"mean": 3}, "{'mean': 3} names no distribution"),
    ({"distribution": "exponentail"}, "unknown distribution 'exponentail' (did you mean 'exponential'?); known are"),
    ({"distribution": 3}, "unknown distribution 3; known are"),
    ({"distribution": "exponential"}, "exponential: mean must be given; exponential has mean"),
    ({"distribution": "gamma"}, "gamma: shape, scale must be given; gamma has shape, scale"),
    ({"distribution": "exponential", "maen": 1}, "exponential: unknown parameter 'maen' (did you mean 'mean'?)"),
    ({"distribution": "exponential", "mean": 0}, "exponential: mean = 0, but a number > 0, a list of them or"),
    ({"distribution": "exponential", "mean": None}, "exponential: mean = None, but a number > 0, a list of them or"),
    ({"distribution": "exponential", "mean": math.inf}, "exponential: mean = inf, but a number > 0"),
    ({"distribution": "exponential", "mean": [1, 0]}, "exponential: mean = 0.0 for worker 1 (i = 2), but a number > 0"),
    ({"distribution": "exponential", "mean": [1, "i"]}, "exponential: mean = 'i' for worker 1 (i = 2), but a number"),
    ({"distribution": "exponential", "mean": [1, 2, 3]}, "exponential: mean: 3 entries, but one for each of the 2"),
    ({"distribution": "exponential", "mean": "i - 1"}, "exponential: mean = 'i - 1' = 0.0 for worker 0 (i = 1)"),
    ({"distribution": "exponential", "mean": "i."}, "exponential: mean: expression 'i.': this can't be read"),
    (
        {"distribution": "uniform", "low": 1.5, "high": "i"},
        "uniform: low = 1.5, high = 1 for worker 0 (i = 1), but low",
    ),
    (
        {"distribution": "uniform", "low": 3, "high": 2},
        "uniform: low = 3, high = 2 for worker 0 (i = 1), but low <= high",
    ),
    (
        {"distribution": "normal", "mu": "1 - 4*(i - 1)", "sigma": 0.5},
        "mu = -3, sigma = 0.5 for worker 1 (i = 2), but mu",
    ),
]


@pytest.mark.parametrize(
    ("spec", "message"), WRONG, ids=[f"{number}-{in_words(spec):.30}" for number, (spec, _) in enumerate(WRONG)]
)
def test_a_mistake_is_a_value_error_that_says_what_where_and_what_is_allowed(spec, message) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Times.of(spec, 2)


def test_a_callable_of_one_parameter_has_its_mistakes_named_when_it_is_asked() -> None:
    times = Times.of(lambda worker: Exponential(1.0) if worker < 5 else "slow", 10)
    with pytest.raises(ValueError, match=r"worker 7 \(i = 8\): 'slow' can't be understood as times"):
        times.law(7)


@pytest.mark.parametrize("count", [0, -1, 2.0, "3", True, None])
def test_workers_are_counted_by_whole_numbers(count) -> None:
    with pytest.raises(ValueError, match="but a whole number of workers >= 1 is needed"):
        Workers(count, 1.0)


def test_workers_name_the_time_that_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"^uplink: time = -1.0, but a number >= 0 or inf is needed"):
        Workers(2, 1.0, uplink=-1.0)
    with pytest.raises(ValueError, match=r"^groups\[1\]: downlink: expression 'j': unknown name"):
        Workers.groups([(2, 1.0), (2, 1.0, 0.0, "j")])


# ---- workers, groups, means ----


def test_workers_have_no_communication_time_unless_they_are_given_one() -> None:
    workers = Workers(2, Exponential(1.0))
    assert workers.n == 2
    assert workers.uplink.constant.tolist() == workers.downlink.constant.tolist() == [0.0, 0.0]


def test_the_mean_of_a_whole_trip_adds_downlink_computing_and_uplink() -> None:
    workers = Workers(
        3, {"distribution": "exponential", "mean": "i"}, uplink=[0.0, 10.0, math.inf], downlink=Uniform(0, 1)
    )
    assert workers.mean_times().tolist() == [1.5, 12.5, math.inf]
    assert workers.mean_times_exact


def test_a_law_without_a_mean_is_estimated_and_that_is_said() -> None:
    workers = Workers(2, [Twice(), 5.0])
    assert workers.mean_times() == pytest.approx([1.0, 5.0], rel=0.05)
    assert not workers.mean_times_exact
    assert np.array_equal(workers.mean_times(), Workers(2, [Twice(), 5.0]).mean_times())


def test_estimates_of_one_law_are_the_same_for_all_workers() -> None:
    assert len(set(Workers(5, Twice()).mean_times())) == 1
    assert len(set(Workers(5, [Twice() for _ in range(5)]).mean_times())) == 1


def test_callables_of_three_parameters_are_estimated_at_start_0() -> None:
    workers = Workers(3, by_call)
    assert workers.mean_times() == pytest.approx([0.5, 1.5, 2.5], abs=0.05)
    assert not workers.mean_times_exact


def test_a_law_whose_mean_is_not_a_number_is_estimated() -> None:
    class Unsure(Twice):
        mean = None

    assert Workers(1, Unsure()).mean_times() == pytest.approx([1.0], rel=0.05)


def test_a_law_with_a_negative_mean_is_refused_by_name() -> None:
    class Negative(Twice):
        mean = -1.0

    with pytest.raises(ValueError, match=r"worker 0 \(i = 1\): the mean of .*Negative.* is -1.0, but times are >= 0"):
        Workers(1, Negative()).mean_times()


def test_groups_stand_one_after_the_other() -> None:
    workers = Workers.groups([(2, 1.0), (3, Exponential(2.0), 0.5), (1, [Normal(3.0, 1.0)], 0.0, 7.0)])
    assert workers.n == 6
    assert workers.compute_time.constant is None
    laws = [workers.compute_time.law(worker) for worker in range(6)]
    assert laws == [Constant(1.0)] * 2 + [Exponential(2.0)] * 3 + [Normal(3.0, 1.0)]
    assert workers.uplink.constant.tolist() == [0, 0, 0.5, 0.5, 0.5, 0]
    assert workers.downlink.constant.tolist() == [0, 0, 0, 0, 0, 7]
    assert workers.mean_times()[:5].tolist() == [1, 1, 2.5, 2.5, 2.5]


def test_in_groups_i_and_worker_count_all_workers_and_lists_their_own_group() -> None:
    groups = [(2, "i + n"), (1, [20.0]), (2, lambda worker: Exponential(worker + 0.5)), (1, by_call)]
    workers = Workers.groups(groups)
    assert workers.compute_time.by_call
    assert [workers.compute_time.law(w)(generator(), w, 0.0) for w in range(3)] == [7.0, 8.0, 20.0]
    assert workers.compute_time.law(4).law == Exponential(4.5)
    assert workers.compute_time.law(5) is by_call
    assert workers.mean_times() == pytest.approx([7.0, 8.0, 20.0, 3.5, 4.5, 5.5], abs=0.05)
    by_name = Workers.groups([(2, 1.0), (2, {"distribution": "uniform", "low": [1, 2], "high": "i * 10"})])
    assert by_name.compute_time.law(3) == Uniform(2.0, 40.0)


def test_times_of_all_workers_serve_a_group_by_their_part() -> None:
    constants, laws = Times.of("i", 4), Times.of({"distribution": "exponential", "mean": "i"}, 4)
    assert Workers.groups([(2, 0.0), (2, constants)]).compute_time.constant.tolist() == [0, 0, 3, 4]
    assert Workers.groups([(3, 0.0), (1, laws)]).compute_time.law(3) == Exponential(4.0)
    with pytest.raises(ValueError, match="these are the times of 4 workers, but there are 2"):
        Workers.groups([(2, constants), (3, 1.0)])


@pytest.mark.parametrize("groups", [[], [(3,)], [(1, 2, 3, 4, 5, 6, 7, 8)]])
def test_groups_need_a_count_and_a_compute_time(groups) -> None:
    with pytest.raises(ValueError, match=r"groups: a list of \(count, compute_time"):
        Workers.groups(groups)


def test_a_group_of_no_workers_is_named() -> None:
    with pytest.raises(ValueError, match=r"groups\[1\]: count = 0, but a whole number of workers >= 1 is needed"):
        Workers.groups([(1, 1.0), (0, 1.0)])


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5))
def test_one_expression_gives_the_same_times_with_and_without_groups(counts) -> None:
    n = sum(counts)
    spec = {"distribution": "gamma", "shape": "i", "scale": "n / i"}
    grouped, whole = Workers.groups([(count, spec) for count in counts]), Workers(n, spec)
    assert [grouped.compute_time.law(w) for w in range(n)] == [whole.compute_time.law(w) for w in range(n)]


def test_workers_show_themselves_and_travel_to_other_processes() -> None:
    workers = Workers.groups([(2, {"distribution": "exponential", "mean": "i"}), (1, Exponential(9.0)), (1, 3.0)])
    assert repr(workers).startswith(
        "Workers(n=4, worker 0: compute_time=Exponential(mean=1.0), uplink=Constant(value=0.0)"
    )
    assert repr(workers.compute_time) == "Times(n=4, worker 0: Exponential(mean=1.0))"
    copy = pickle.loads(pickle.dumps(workers))
    assert [copy.compute_time.law(w) for w in range(4)] == [workers.compute_time.law(w) for w in range(4)]


# ---- a million workers ----


@pytest.mark.parametrize(
    "spec",
    [
        1.0,
        "sqrt(i)",
        {"distribution": "exponential", "mean": "sqrt(i)"},
        {"distribution": "shifted_half_normal", "shift": "i", "scale": "sqrt(i)"},
        Exponential(1.0),
        lambda worker: Exponential(worker + 1.0),
    ],
    ids=in_words,
)
def test_a_million_workers_are_described_within_a_second_and_without_a_million_objects(spec) -> None:
    began = time.process_time()
    blocks = sys.getallocatedblocks()
    times = Times.of(spec, 10**6)
    assert sys.getallocatedblocks() - blocks < 10_000
    times.law(10**6 - 1).sample(generator(), 64)
    assert time.process_time() - began < 1.0
