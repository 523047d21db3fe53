"""Laws of random times: samples against mean, quantiles and CDF; tails; what is refused."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsim.times import (
    LAWS,
    Constant,
    Exponential,
    Gamma,
    HalfNormal,
    Law,
    LogNormal,
    Normal,
    Pareto,
    ShiftedExponential,
    ShiftedHalfNormal,
    Uniform,
)

# (law, mean, standard deviation), the numbers by hand
FINITE = [
    (Constant(3.0), 3.0, 0.0),
    (Uniform(1.0, 5.0), 3.0, 4 / math.sqrt(12)),
    (Exponential(2.0), 2.0, 2.0),
    (ShiftedExponential(shift=29.0, scale=3.0), 32.0, 3.0),
    (Normal(10.0, 2.0), 10.0, 2.0),
    # truncated at its middle a normal law is a half-normal one
    (Normal(0.0, 2.0), 2 * math.sqrt(2 / math.pi), 2 * math.sqrt(1 - 2 / math.pi)),
    (Normal(-2.0, 1.0), 0.3732155, 0.3386),  # -2 + φ(2)/P(Z > 2)
    (HalfNormal(2.0), 2 * math.sqrt(2 / math.pi), 2 * math.sqrt(1 - 2 / math.pi)),
    (ShiftedHalfNormal(shift=9.0, scale=3.0), 9 + 3 * math.sqrt(2 / math.pi), 3 * math.sqrt(1 - 2 / math.pi)),
    (Gamma(shape=2.0, scale=200.0), 400.0, 200 * math.sqrt(2)),
    (Gamma(shape=0.1, scale=10.0), 1.0, 10 * math.sqrt(0.1)),
    (LogNormal(mu=1.0, sigma=0.5), math.exp(1.125), math.exp(1.125) * math.sqrt(math.expm1(0.25))),
    (Pareto(minimum=2.0, shape=3.0), 3.0, math.sqrt(3.0)),
]
HEAVY = [LogNormal(0.0, 1.0), LogNormal(0.0, 100.0), Pareto(1.0, 1.0), Pareto(0.5, 0.01)]
ALL = [law for law, _, _ in FINITE] + HEAVY
WITH_CDF = [law for law in ALL if not isinstance(law, Constant)]


def generator(key: int = 26) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=key))


@pytest.mark.parametrize(("law", "mean", "deviation"), FINITE, ids=repr)
def test_mean_is_the_one_computed_by_hand_and_the_one_sampled(law: Law, mean: float, deviation: float) -> None:
    assert law.mean == pytest.approx(mean, rel=1e-6)
    size = 20_000
    # the seed is fixed, so this can't flake; five standard errors say that the law is the right one
    assert abs(law.sample(generator(), size).mean() - mean) <= 5 * deviation / math.sqrt(size) + 1e-12


@pytest.mark.parametrize("law", WITH_CDF, ids=repr)
def test_samples_follow_the_cdf(law: Law) -> None:
    size = 2_000
    values = np.array([law.cdf(t) for t in np.sort(law.sample(generator(), size))])
    steps = np.arange(size + 1) / size
    # the Kolmogorov-Smirnov distance; 1.63 / √size would be exceeded by one seed in a hundred
    assert max(np.max(steps[1:] - values), np.max(values - steps[:-1])) < 1.63 / math.sqrt(size)


@pytest.mark.parametrize("law", WITH_CDF, ids=repr)
def test_quantile_inverts_the_cdf(law: Law) -> None:
    for q in (1e-6, 0.01, 0.25, 0.5, 0.75, 0.99, 1 - 1e-9):
        t = law.quantile(q)
        assert math.isinf(t) or law.cdf(t) == pytest.approx(q, abs=1e-9)
    assert law.cdf(-1.0) == 0.0
    assert law.cdf(math.inf) == 1.0


@pytest.mark.parametrize(
    ("law", "lowest", "highest"),
    [
        (Constant(3.0), 3.0, 3.0),
        (Uniform(1.0, 5.0), 1.0, 5.0),
        (Exponential(2.0), 0.0, math.inf),
        (ShiftedExponential(29.0, 3.0), 29.0, math.inf),
        (Normal(10.0, 1.0), 0.0, math.inf),
        (Normal(-1.0, 1.0), 0.0, math.inf),
        (HalfNormal(2.0), 0.0, math.inf),
        (ShiftedHalfNormal(9.0, 3.0), 9.0, math.inf),
        (LogNormal(1.0, 2.0), 0.0, math.inf),
        (Pareto(2.0, 3.0), 2.0, math.inf),
    ],
    ids=repr,
)
def test_quantiles_0_and_1_are_the_ends_of_the_law(law: Law, lowest: float, highest: float) -> None:
    assert law.quantile(0.0) == pytest.approx(lowest, abs=1e-12)
    assert law.quantile(1.0) == highest
    assert law.cdf(lowest - 1e-9) == 0.0


@pytest.mark.parametrize("q", [-0.1, 1.1, math.nan])
def test_a_quantile_of_no_probability_is_refused(q: float) -> None:
    for law in [*WITH_CDF, Constant(1.0)]:
        with pytest.raises(ValueError, match="a probability between 0 and 1 is needed"):
            law.quantile(q)


def test_a_constant_law_jumps_at_its_value() -> None:
    assert [Constant(2.0).cdf(t) for t in (1.9, 2.0, 2.1)] == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("law", ALL, ids=repr)
def test_samples_are_a_pure_function_of_generator_state_and_size(law: Law) -> None:
    for size in (1, 64, 1000):
        first = law.sample(generator(), size)
        assert first.shape == (size,)
        assert first.dtype == np.float64
        assert (first >= 0).all()
        law.sample(generator(1), 7)  # what was asked before leaves nothing behind
        assert np.array_equal(first, law.sample(generator(), size))


@pytest.mark.parametrize("law", ALL, ids=repr)
def test_repr_is_the_call_that_makes_the_law(law: Law) -> None:
    assert eval(repr(law)) == law


def test_every_law_in_the_registry_is_tried_here() -> None:
    own = [law for law in LAWS.values() if law.__module__ == Constant.__module__]
    assert {type(law) for law in ALL} == set(own)


def test_tails_beyond_float64_are_never_without_a_warning() -> None:
    with np.errstate(all="raise"):
        times = LogNormal(mu=0.0, sigma=1000.0).sample(generator(), 10_000)
    assert not np.isnan(times).any()
    assert np.isinf(times).any()
    assert (times == 0.0).any()
    assert LogNormal(0.0, 1000.0).mean == math.inf
    assert LogNormal(0.0, 1000.0).quantile(0.9) == math.inf


def test_lognormal_with_scale_100_has_no_nan_and_the_right_median() -> None:
    times = LogNormal(mu=0.0, sigma=100.0).sample(generator(), 10_000)
    assert not np.isnan(times).any()
    assert abs((times < 1.0).mean() - 0.5) < 0.02


def test_a_large_mean_overflows_to_never() -> None:
    with np.errstate(all="raise"):
        assert np.isinf(Exponential(1.7e308).sample(generator(), 1000)).any()


@pytest.mark.parametrize("shape", [0.5, 1.0])
def test_pareto_has_an_infinite_mean_up_to_shape_1(shape: float) -> None:
    assert Pareto(1.0, shape).mean == math.inf


@given(
    mu=st.floats(0, 100),
    sigma=st.floats(0.01, 100),
    size=st.integers(1, 200),
    key=st.integers(0, 2**32),
)
def test_rejection_gives_exactly_what_was_asked_for(mu: float, sigma: float, size: int, key: int) -> None:
    law = Normal(mu - min(mu, 2.9 * sigma), sigma)
    times = law.sample(generator(key), size)
    assert times.shape == (size,)
    assert (times >= 0).all()
    assert law.mean >= max(0.0, law.mu)


def test_rejection_at_its_limit_is_quick_enough() -> None:
    times = Normal(-3.0, 1.0).sample(generator(), 64)
    assert (times >= 0).all()
    assert 0.1 < times.mean() < 0.6  # the mean is 0.283


@given(q=st.floats(0, 1), r=st.floats(0, 1), law=st.sampled_from(WITH_CDF))
def test_quantiles_grow_with_the_probability(q: float, r: float, law: Law) -> None:
    low, high = sorted((q, r))
    assert 0 <= law.quantile(low) <= law.quantile(high)


@given(t=st.floats(0, 1e6), u=st.floats(0, 1e6), law=st.sampled_from(WITH_CDF))
def test_cdfs_grow_from_0_to_1(t: float, u: float, law: Law) -> None:
    low, high = sorted((t, u))
    assert 0 <= law.cdf(low) <= law.cdf(high) <= 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Constant(-1.0), r"Constant: value = -1.0, but a number >= 0 or inf is needed"),
        (lambda: Constant(math.nan), r"Constant: value = nan"),
        (lambda: Constant("1"), r"Constant: value = '1', but a number >= 0 or inf is needed"),
        (lambda: Uniform(3.0, 2.0), r"Uniform\(low=3.0, high=2.0\): low <= high is needed"),
        (lambda: Uniform(0.0, math.inf), r"Uniform: high = inf, but a number >= 0 is needed"),
        (lambda: Exponential(0.0), r"Exponential: mean = 0.0, but a number > 0 is needed"),
        (lambda: Exponential(math.inf), r"Exponential: mean = inf"),
        (lambda: ShiftedExponential(-1.0, 1.0), r"ShiftedExponential: shift = -1.0, but a number >= 0 is needed"),
        (lambda: Normal(-10.0, 1.0), r"Normal\(mu=-10.0, sigma=1.0\): mu >= -3 sigma"),
        (lambda: HalfNormal(True), r"HalfNormal: scale = True"),
        (lambda: Gamma(2.0, 0.0), r"Gamma: scale = 0.0, but a number > 0 is needed"),
        (lambda: LogNormal(0.0, -1.0), r"LogNormal: sigma = -1.0, but a number > 0 is needed"),
        (lambda: Pareto(0.0, 1.0), r"Pareto: minimum = 0.0, but a number > 0 is needed"),
    ],
)
def test_a_wrong_parameter_is_named_with_what_is_allowed(make: Callable[[], Law], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_constant_time_may_be_never() -> None:
    assert Constant(math.inf).mean == math.inf
    assert np.isinf(Constant(math.inf).sample(generator(), 2)).all()
