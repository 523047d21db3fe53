"""Laws made of laws: against their closed forms, what they know of themselves, and what is refused."""

import math
import sys
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsim.streams import Durations
from asyncsim.times import (
    Constant,
    Empirical,
    Exponential,
    Gamma,
    HalfNormal,
    LogNormal,
    Maximum,
    Minimum,
    Mixture,
    Normal,
    Pareto,
    Part,
    PerWorker,
    Scaled,
    Shifted,
    ShiftedExponential,
    Sum,
    Times,
    Truncated,
    Uniform,
    empirical,
    mixture,
)
from asyncsim.times.known import Sample, as_law, cdf_of, estimated_of, exact, mean_of, never_of, quantile_of
from asyncsim.times.special import gamma_below, mean_from, smallest
from asyncsim.times.traces import Cycled

SIZE = 2_000


def generator(key: int = 26) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=key))


def distance(law, cdf) -> float:
    """The Kolmogorov-Smirnov distance between draws of `law` and `cdf`, in units of 1/√size."""
    values = np.array([cdf(t) for t in np.sort(law.sample(generator(), SIZE)).tolist()])
    steps = np.arange(SIZE + 1) / SIZE
    return max(np.max(steps[1:] - values), np.max(values - steps[:-1])) * math.sqrt(SIZE)


class Own:
    """A law of the user's own that tells nothing: exponential with mean 3."""

    def sample(self, rng, size):
        return 3.0 * rng.standard_exponential(size)

    def __repr__(self):
        return "Own()"


class OldFrozen:
    """As a frozen law of scipy.stats: uniform from 0 to 2."""

    def rvs(self, size, random_state):
        return 2 * random_state.random(size)

    def mean(self):
        return 1.0

    def cdf(self, t):
        return np.clip(t / 2, 0, 1)

    def ppf(self, q):
        return 2 * q


class NewFrozen:
    """As a distribution of scipy >= 1.15: the same."""

    def sample(self, shape=(), *, method=None, rng=None):
        return 2 * rng.random(shape)

    def mean(self, *, method=None):
        return np.float64(1.0)

    def cdf(self, x, y=None, /, *, method=None):
        return np.clip(x / 2, 0, 1)

    def icdf(self, p, /, *, method=None):
        return np.asarray(2 * p)


# (law, the CDF in closed form, the mean in closed form)
CLOSED = [
    (2.5 * Exponential(2.0), Exponential(5.0).cdf, 5.0),
    (Exponential(2.0) / 4, Exponential(0.5).cdf, 0.5),
    (1.0 + Exponential(2.0), ShiftedExponential(1.0, 2.0).cdf, 3.0),
    (0.5 * Exponential(2.0) + 1, ShiftedExponential(1.0, 1.0).cdf, 2.0),
    (Exponential(2.0) + Exponential(2.0), lambda t: 1 - math.exp(-t / 2) * (1 + t / 2), 4.0),
    (Exponential(1.0) + Gamma(2.5, 1.0) + Exponential(1.0), Gamma(4.5, 1.0).cdf, 4.5),
    (Uniform(0, 1) + Uniform(0, 1), lambda t: t * t / 2 if t < 1 else 1 - max(0.0, 2 - t) ** 2 / 2, 1.0),
    (mixture([(3, Uniform(0, 1)), (1, Uniform(0, 4))]), lambda t: 0.75 * min(t, 1) + 0.25 * min(t / 4, 1), 0.875),
    (Truncated(Exponential(1.0), high=1.0), lambda t: math.expm1(-t) / math.expm1(-1), 1 - 1 / (math.e - 1)),
    # without memory: what is left after a long wait is the law itself, here by quantiles and not by rejection
    (Truncated(Exponential(1.0), low=9.0), lambda t: Exponential(1.0).cdf(t - 9.0), 10.0),
    (Truncated(Uniform(0, 8), low=2, high=4), Uniform(2, 4).cdf, 3.0),
    (Truncated(Pareto(1.0, 2.0), low=4.0), Pareto(4.0, 2.0).cdf, 8.0),
    (Maximum((Uniform(0, 1),) * 3), lambda t: min(t, 1) ** 3, 0.75),
    (Maximum((Exponential(1.0),) * 4), lambda t: (1 - math.exp(-t)) ** 4, 1 + 1 / 2 + 1 / 3 + 1 / 4),
    (Minimum((Exponential(1.0), Exponential(2.0), Exponential(4.0))), Exponential(4 / 7).cdf, 4 / 7),
    (Minimum((Pareto(1.0, 0.8), Pareto(1.0, 3.2))), Pareto(1.0, 4.0).cdf, 4 / 3),
    (PerWorker(1, (Constant(1.0), Exponential(2.0))), Exponential(2.0).cdf, 2.0),
]
IDS = [repr(law)[:80] for law, _, _ in CLOSED]


@pytest.mark.parametrize(("law", "cdf", "mean"), CLOSED, ids=IDS)
def test_draws_follow_the_closed_form(law, cdf, mean) -> None:
    assert distance(law, cdf) < 1.63  # the seed is fixed; one in a hundred would exceed it


@pytest.mark.parametrize(("law", "cdf", "mean"), CLOSED, ids=IDS)
def test_cdf_mean_and_quantiles_are_those_of_the_closed_form(law, cdf, mean) -> None:
    near = 1e-9 if "cdf" not in law.estimated else 0.02
    for q in (0.001, 0.1, 0.5, 0.9, 0.999):
        t = law.quantile(q)
        assert cdf(t) == pytest.approx(q, abs=near)
        assert law.cdf(t) == pytest.approx(q, abs=near)
    assert law.mean == pytest.approx(mean, rel=1e-8 if "mean" not in law.estimated else 0.02)


def test_only_sums_of_laws_and_a_heavy_tail_are_estimated_among_these() -> None:
    estimated = {repr(law): law.estimated for law, _, _ in CLOSED if law.estimated}
    assert [names for text, names in estimated.items() if text.startswith("Sum(")] == [{"cdf", "quantile"}] * 3
    assert {text for text in estimated if not text.startswith("Sum(")} == {
        "Truncated(law=Pareto(minimum=1.0, shape=2.0), low=4.0, high=inf)",
        "Minimum(laws=(Pareto(minimum=1.0, shape=0.8), Pareto(minimum=1.0, shape=3.2)))",
    } - {text for text in estimated if "0.8" in text and not estimated[text]}


def test_discrete_laws_keep_their_atoms() -> None:
    law = mixture([(1, 1.0), (2, 3.0), (1, math.inf)])
    assert [law.cdf(t) for t in (0.9, 1.0, 2.9, 3.0, 1e300, math.inf)] == [0, 0.25, 0.25, 0.75, 0.75, 1]
    assert [law.quantile(q) for q in (0, 0.25, 0.26, 0.75, 0.76, 1)] == [1, 1, 3, 3, math.inf, math.inf]
    assert law.mean == math.inf
    assert never_of(law) == 0.25
    within = Truncated(law, high=100.0)
    assert within.mean == pytest.approx(7 / 3)
    assert (within.quantile(0.3), within.quantile(0.4), never_of(within)) == (1.0, 3.0, 0.0)
    assert set(within.sample(generator(), 300).tolist()) == {1.0, 3.0}


@given(c=st.floats(1e-3, 1e3), t=st.floats(1e-3, 1e3), shift=st.floats(0, 1e3))
def test_an_atom_is_counted_at_the_very_number_that_is_drawn(c, t, shift) -> None:
    for law in (Scaled(c, Constant(t)), Shifted(shift, Constant(t)), Shifted(shift, Scaled(c, empirical([t, 2 * t])))):
        drawn = float(law.sample(generator(), 64).min())
        assert drawn == law.quantile(0.0)
        assert law.cdf(drawn) >= 0.5
        assert law.cdf(math.nextafter(drawn, 0)) <= 0.5


@given(
    factor=st.floats(1e-300, 1e300),
    t=st.one_of(st.floats(0, sys.float_info.max), st.floats(0, 1e-300), st.just(0.0)),
)
def test_a_scaled_law_counts_all_that_is_rounded_to_a_time_and_no_more(factor, t) -> None:
    asked = []

    class Listening:
        def sample(self, rng, size):
            return np.ones(size)

        def cdf(self, inner):
            asked.append(inner)
            return 0.5

    Scaled(factor, Listening()).cdf(t)
    (inner,) = asked
    assert factor * inner <= t < factor * math.nextafter(inner, math.inf)


@pytest.mark.parametrize(
    ("made", "law"),
    [
        (2 * Exponential(1.0), Scaled(2.0, Exponential(1.0))),
        (Exponential(1.0) * 2, Scaled(2.0, Exponential(1.0))),
        (np.float64(2) * Exponential(1.0), Scaled(2.0, Exponential(1.0))),
        (np.int64(2) + Exponential(1.0), Shifted(2.0, Exponential(1.0))),
        (Exponential(1.0) + 2, Shifted(2.0, Exponential(1.0))),
        (2 + 3 * Constant(1.0), Constant(5.0)),
        (Constant(2.0) + Constant(1.0), Constant(3.0)),
        (Constant(2.0) + Exponential(1.0), Shifted(2.0, Exponential(1.0))),
        (Exponential(1.0) + (Gamma(2.0, 1.0) + Uniform(0, 1)), Sum((Exponential(1.0), Gamma(2.0, 1.0), Uniform(0, 1)))),
        (sum([Exponential(1.0), Exponential(2.0)]), Sum((Shifted(0.0, Exponential(1.0)), Exponential(2.0)))),
    ],
    ids=repr,
)
def test_operators_make_laws(made, law) -> None:
    assert made == law


def test_operators_take_laws_of_the_user_on_both_sides() -> None:
    own = Own()
    assert (own + Exponential(1.0)).laws == (own, Exponential(1.0))
    assert (Exponential(1.0) + own).laws == (Exponential(1.0), own)
    assert mean_of(Exponential(1.0) + own) == pytest.approx(4.0, rel=0.03)


@pytest.mark.parametrize(
    "nonsense",
    [
        lambda: Exponential(1.0) + "1",
        lambda: "2" * Exponential(1.0),
        lambda: Exponential(1.0) * Exponential(1.0),
        lambda: Exponential(1.0) + Exponential,
        lambda: Exponential(1.0) / 0,
        lambda: Exponential(1.0) * True,
    ],
)
def test_operators_refuse_what_is_no_law_and_no_number(nonsense) -> None:
    with pytest.raises(TypeError):
        nonsense()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: -1 * Exponential(1.0), "Scaled: factor = -1.0, but a number > 0 is needed"),
        (lambda: Exponential(1.0) + -1, "Constant: value = -1.0, but a number >= 0 or inf is needed"),
        (lambda: Scaled(2.0, "exponential"), "Scaled: law = 'exponential', but a law is needed"),
        (lambda: Scaled(2.0, Exponential), "but a law is needed"),
        (lambda: Scaled(2.0, -1.0), "Constant: value = -1.0"),
        (lambda: Mixture(()), "a part with a weight > 0 is needed"),
        (lambda: mixture([(0, 1.0), (0, 2.0)]), "a part with a weight > 0 is needed"),
        (lambda: mixture([(-1, 1.0)]), "Part: weight = -1, but a number >= 0 is needed"),
        (lambda: Sum(()), "at least one law is needed"),
        (lambda: Maximum(()), "at least one law is needed"),
        (lambda: empirical([]), "at least one time is needed"),
        (lambda: empirical([1.0, -1.0]), "each a number >= 0 or inf, is needed"),
        (lambda: empirical([math.nan]), "each a number >= 0 or inf, is needed"),
        (lambda: PerWorker(2, (1.0, 2.0)), "which < the number of laws is needed"),
        (lambda: Truncated(Exponential(1.0), low=2, high=1), "low <= high is needed"),
        (lambda: Truncated(Uniform(0, 1), low=2, high=3), "no time, or nearly none, between 2 and 3"),
        (lambda: as_law(lambda worker: 1.0), "is no law; a law has sample"),
    ],
)
def test_what_is_wrong_is_told(make, message) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_truncation_that_hardly_a_draw_meets_is_told_when_it_is_drawn() -> None:
    with pytest.raises(ValueError, match="hardly a draw lies between 1000"):
        Truncated(Own(), low=1000.0).sample(generator(), 64)


# ---- laws of all kinds

SIMPLE = st.one_of(
    st.builds(Constant, st.floats(0, 10)),
    st.builds(Exponential, st.floats(0.1, 10)),
    st.builds(Gamma, st.floats(0.2, 20), st.floats(0.1, 3)),
    st.builds(LogNormal, st.floats(-1, 1), st.floats(0.1, 1)),
    st.builds(HalfNormal, st.floats(0.1, 10)),
    st.builds(lambda low, more: Uniform(low, low + more), st.floats(0, 5), st.floats(0.1, 5)),
    st.builds(Normal, st.floats(0, 5), st.floats(0.1, 5)),
    st.builds(empirical, st.lists(st.floats(0, 10), min_size=1, max_size=5)),
)


def nested(laws):
    several = st.lists(laws, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Scaled, st.floats(0.1, 10), laws),
        st.builds(Shifted, st.floats(0, 10), laws),
        st.builds(mixture, st.lists(st.tuples(st.floats(0.1, 1), laws), min_size=1, max_size=3)),
        st.builds(Maximum, several),
        st.builds(Minimum, several),
        st.builds(Sum, several),
        st.builds(PerWorker, st.just(0), several),
    )


LAW = st.recursive(SIMPLE, nested, max_leaves=4)


@given(law=LAW, key=st.integers(0, 2**32))
def test_any_composed_law_is_a_pure_function_of_generator_and_size_and_its_repr_makes_it_again(law, key) -> None:
    times = law.sample(generator(key), 64)
    assert times.shape == (64,)
    assert times.dtype == np.float64
    assert (times >= 0).all()
    again = eval(repr(law))
    assert again == law
    assert np.array_equal(times, again.sample(generator(key), 64))


@given(law=LAW, q=st.floats(0, 1), r=st.floats(0, 1))
def test_quantiles_and_cdf_of_any_composed_law_belong_together(law, q, r) -> None:
    q, r = sorted((q, r))
    low, high = law.quantile(q), law.quantile(r)
    assert 0 <= low <= high
    assert 0 <= law.cdf(low) <= law.cdf(high) <= 1
    assert law.cdf(low) >= q - 1e-6
    if low > 0:
        assert law.cdf(low * (1 - 1e-6)) <= q + 2e-3


@given(law=LAW)
def test_no_draw_lies_where_the_cdf_says_that_none_can_be(law) -> None:
    times = law.sample(generator(), 64)
    spread = {cdf_of(law, t) for t in times.tolist()}
    assert min(spread) >= 0
    assert times.min() >= law.quantile(0.0) * (1 - 1e-9) or "quantile" in estimated_of(law)
    assert times.max() <= law.quantile(1.0) * (1 + 1e-9) or "quantile" in estimated_of(law)


def test_another_weight_changes_only_the_times_that_change_their_law() -> None:
    fast, slow = Exponential(1.0), 100 + Exponential(1.0)
    some = mixture([(0.9, fast), (0.1, slow)]).sample(generator(), 640)
    more = mixture([(0.8, fast), (0.2, slow)]).sample(generator(), 640)
    assert set(np.flatnonzero(some >= 100)) < set(np.flatnonzero(more >= 100))
    assert np.array_equal(some[more < 100], more[more < 100])


# ---- what is estimated, and what users bring


def test_what_a_law_of_the_user_does_not_tell_is_estimated_and_said_to_be() -> None:
    law = Scaled(2, Own())
    assert law.estimated == {"mean", "cdf", "quantile"}
    assert law.mean == pytest.approx(6.0, rel=0.03)
    assert law.quantile(0.5) == pytest.approx(6 * math.log(2), rel=0.05)
    assert law.cdf(6.0) == pytest.approx(1 - math.exp(-1), abs=0.02)
    assert not Times.of(law, 2).means()[1]


def test_a_mixture_tells_no_less_than_its_parts() -> None:
    class Half(Own):
        mean = 3.0

    assert mixture([(1, Half()), (1, 1.0)]).estimated == {"cdf", "quantile"}
    assert mixture([(1, Half()), (1, 1.0)]).mean == 2.0
    assert exact("mean", Half())


def test_the_mean_of_a_sum_is_exact_where_its_quantiles_are_not() -> None:
    law = Exponential(1.0) + Gamma(2.0, 1.0)
    assert Times.of(law, 3).means()[1]
    assert law.estimated == {"cdf", "quantile"}
    assert Sum((Constant(1.0), Exponential(1.0), Constant(2.0))).estimated == frozenset()
    assert Sum((Constant(1.0), Exponential(1.0), Constant(2.0))).quantile(0.5) == pytest.approx(3 + math.log(2))


@pytest.mark.parametrize("frozen", [OldFrozen(), NewFrozen()], ids=["old", "new"])
def test_frozen_laws_of_scipy_of_both_kinds_are_laws(frozen) -> None:
    law = Times.of(frozen, 2).law(1)
    assert (law.mean, law.cdf(0.5), law.quantile(0.5)) == (1.0, 0.25, 1.0)
    assert law.sample(generator(), 64).shape == (64,)
    composed = Scaled(3, frozen) + 1
    assert composed.estimated == frozenset()
    assert (composed.mean, composed.quantile(0.5)) == (4.0, 4.0)
    assert composed.cdf(2.5) == pytest.approx(0.25)
    assert composed.sample(generator(), 64).min() >= 1
    assert Times.of([frozen, 1.0], 2).means()[0].tolist() == [1.0, 1.0]


def test_a_sample_stands_in_with_its_own_quantiles() -> None:
    sample = Sample(Own())
    assert sample.cdf(sample.quantile(0.3)) >= 0.3
    assert (sample.quantile(0), sample.quantile(1)) == (sample.times[0], sample.times[-1])
    with pytest.raises(ValueError, match="a probability between 0 and 1 is needed"):
        sample.quantile(2)
    assert quantile_of(Own(), 0.5) == sample.quantile(0.5)


def test_a_played_trace_keeps_its_order_when_it_is_scaled_shifted_or_chosen() -> None:
    trace = Cycled([1.0, 5.0, 2.0])
    for law in (Scaled(2, trace), Shifted(3, trace), PerWorker(0, (trace,)), 1 + Scaled(2, trace)):
        durations = Durations(0, "compute", Times.of(law, 1))
        expected = {"Scaled": [2, 10, 4], "PerWorker": [1, 5, 2]}.get(type(law).__name__)
        expected = expected or ([4, 8, 5] if law.shift == 3 else [3, 11, 5])
        assert [durations.draw(0, m, 0.0) for m in range(6)] == expected * 2
    assert not hasattr(2 * Exponential(1.0), "sample_at")


# ---- numbers


def erlang(shape: int, x: int) -> float:
    """P(shape, x) for whole shapes by its finite sum, in 60 digits."""
    with localcontext() as digits:
        digits.prec = 60
        total, term = Decimal(0), Decimal(1)
        for j in range(shape):
            total, term = total + term, term * x / (j + 1)
        return float(1 - total * (-Decimal(x)).exp())


@pytest.mark.parametrize(
    ("shape", "x"), [(1, 1), (2, 7), (5, 2), (11, 11), (12, 12), (12, 3), (13, 40), (50, 45), (200, 230), (1000, 990)]
)
def test_the_gamma_cdf_is_the_finite_sum_for_whole_shapes(shape, x) -> None:
    assert gamma_below(shape, x) == pytest.approx(erlang(shape, x), rel=1e-12)


@pytest.mark.parametrize("x", [1e-8, 1e-3, 0.3, 1.0, 2.0, 9.0, 30.0])
def test_the_gamma_cdf_is_the_error_function_for_shape_one_half(x) -> None:
    assert gamma_below(0.5, x) == pytest.approx(math.erf(math.sqrt(x)), rel=1e-12)


@pytest.mark.parametrize(
    ("freedom", "q", "t"),
    # quantiles of χ² as in printed tables
    [(1, 0.95, 3.841459), (2, 0.95, 5.991465), (5, 0.05, 1.145476), (10, 0.95, 18.307038), (30, 0.99, 50.892181)],
)
def test_gamma_quantiles_are_those_of_the_tables_of_chi_squared(freedom, q, t) -> None:
    assert Gamma(freedom / 2, 2.0).quantile(q) == pytest.approx(t, abs=6e-7)


@given(a=st.floats(0.05, 300), ratio=st.floats(0.05, 4))
def test_the_gamma_cdf_obeys_its_recurrence(a, ratio) -> None:
    x = a * ratio
    step = math.exp(a * math.log(x) - x - math.lgamma(a + 1))
    assert gamma_below(a, x) - gamma_below(a + 1, x) == pytest.approx(step, abs=1e-12 + 1e-12 * a)


@given(t=st.floats(0, 1e300))
def test_the_smallest_number_is_found_to_the_last_bit(t) -> None:
    assert smallest(lambda s: float(s >= t), 0.5) == t


def test_a_mean_with_a_heavy_tail_is_not_said_to_be_exact() -> None:
    mean, sure = mean_from(Pareto(1.0, 1.2).cdf, Pareto(1.0, 1.2).quantile)
    assert not sure
    assert mean <= Pareto(1.0, 1.2).mean
    assert Truncated(Pareto(1.0, 0.5), low=2.0).mean == math.inf
    assert Maximum((Pareto(1.0, 0.5), Exponential(1.0))).mean == math.inf
    assert Maximum((Constant(math.inf), Exponential(1.0))).mean == math.inf
    assert Minimum((Constant(math.inf), Exponential(1.0))).mean == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("law", "mean", "within"),
    [
        *((Truncated(Exponential(1.0), low=low), low + 1.0, 1e-7) for low in (9.8, 10.0, 12.0, 20.0)),
        (Truncated(Exponential(1.0), low=27.0), 28.0, 1e-5),
        (Truncated(Exponential(1.0), low=27.0, high=1e3), 28.0, 1e-5),
        (Truncated(Gamma(2.0, 1.0), low=13.0), 13.0 + 15.0 / 14.0, 1e-9),
        (Truncated(LogNormal(0.0, 1.0), low=50.0), 64.686349594, 1e-7),
        (Truncated(Normal(1.0, 0.1), low=1.45), 1.470431984483, 1e-9),
    ],
)
def test_a_law_of_which_only_the_far_tail_is_kept_has_the_mean_of_that_tail_as_an_estimate(law, mean, within) -> None:
    assert law.mean == pytest.approx(mean, rel=within)
    assert "mean" in estimated_of(law)
    drawn = law.sample(generator(), SIZE)
    assert np.isfinite(drawn).all()
    assert drawn.mean() - law.low == pytest.approx(mean - law.low, rel=0.1)
    assert law.quantile(math.nextafter(1.0, 0.0)) < math.inf
    assert law.quantile(1.0) == law.high


def test_a_law_of_which_only_the_least_times_are_kept_has_an_exact_mean() -> None:
    law = Truncated(Exponential(1.0), high=1e-6)
    assert law.mean == pytest.approx(5e-7 * (1 - 1e-6 / 6), rel=1e-12)
    assert exact("mean", law)


def test_times_that_never_come_are_kept_in_the_far_tail() -> None:
    law = Truncated(mixture([(1, Exponential(1.0)), (1e-7, Constant(math.inf))]), low=15.0)
    assert law.mean == math.inf
    assert law.quantile(0.99) == math.inf > law.quantile(0.5)


def test_a_quantile_that_is_infinite_by_rounding_makes_no_infinite_mean() -> None:
    rounding = mean_from(Exponential(1.0).cdf, lambda q: Exponential(1.0).quantile(q) if q < 1 - 1e-9 else math.inf)
    assert rounding == (pytest.approx(1.0, rel=1e-9), True)
    never = mixture([(1, Exponential(1.0)), (1e-9, Constant(math.inf))])
    assert mean_from(never.cdf, never.quantile) == (math.inf, True)


def test_an_empirical_law_and_parts_can_be_given_as_lists() -> None:
    assert Empirical([2, 1]).values == (2.0, 1.0)
    assert Mixture([Part(1, 2.0)]).parts == (Part(1, Constant(2.0)),)
    assert hash(Sum([1.0, Exponential(1.0)])) == hash(Sum((Constant(1.0), Exponential(1.0))))
