"""Laws fitted to times that were stopped now and then: no other parameters explain them better, and they come back."""

import math

import numpy as np
import pytest

from asyncsim import (
    Constant,
    Exponential,
    Gamma,
    HalfNormal,
    LogNormal,
    Normal,
    Pareto,
    ShiftedExponential,
    ShiftedHalfNormal,
    Uniform,
)
from asyncsim.families import FAMILIES, fitted, log_likelihood, name_of_family
from asyncsim.fitting import candidates, p_value, spec_of
from asyncsim.times.censored import Observed
from asyncsim.times.special import gamma_below, log_gamma_above, log_normal_above

LAWS = [
    Exponential(2.0),
    ShiftedExponential(1.0, 2.0),
    Uniform(1.0, 3.0),
    Normal(3.0, 0.75),
    Normal(1.0, 1.0),
    HalfNormal(2.0),
    ShiftedHalfNormal(3.0, 1.0),
    Gamma(0.5, 2.0),
    Gamma(4.0, 0.5),
    LogNormal(0.0, 0.6),
    LogNormal(-3.0, 2.0),
    Pareto(1.0, 2.5),
]
ENDS = {"shift": (0.99,), "minimum": (0.99,), "low": (0.99,), "high": (1.01,)}


def stopped(law, size=3000, seed=26):
    """Times of the law, stopped after exponential times of its 60 % quantile in the mean."""
    rng = np.random.default_rng(seed)
    drawn, after = law.sample(rng, size), rng.exponential(law.quantile(0.6), size)
    return Observed.of(drawn[drawn <= after], after[drawn > after])


@pytest.mark.parametrize("law", LAWS, ids=repr)
def test_the_law_is_found_though_many_times_were_stopped(law):
    times = stopped(law)
    assert 0.25 < len(times.beyond) / len(times) < 0.85
    found = spec_of(fitted(name_of_family(law), times))
    for key, true in spec_of(law).items():
        if key != "distribution":
            assert found[key] == pytest.approx(true, rel=0.12, abs=0.12)
    assert candidates(times)[0].bic <= next(other.bic for other in candidates(times) if type(other.law) is type(law))


@pytest.mark.parametrize("law", LAWS, ids=repr)
def test_no_parameters_nearby_have_a_larger_likelihood(law):
    times = stopped(law, 300)
    name = name_of_family(law)
    best = fitted(name, times)
    most = log_likelihood(name, best, times)
    for key, value in spec_of(best).items():
        for factor in ENDS.get(key, (0.99, 1.01)) if key != "distribution" else ():
            other = type(best)(**{**best.__dict__, key: value * factor})
            assert log_likelihood(name, other, times) <= most + 1e-6


@pytest.mark.parametrize("law", LAWS, ids=repr)
def test_a_single_stop_changes_a_fit_little_and_slows_it(law):
    """Whole times alone and the same with one that was stopped early are fitted by different code."""
    name, times = name_of_family(law), Observed.of(law.sample(np.random.default_rng(1), 300))
    alone, with_one = (fitted(name, each) for each in (times, Observed(times.exact, np.array([law.quantile(0.9)]))))
    assert with_one.mean == pytest.approx(alone.mean, rel=0.05)
    assert with_one.mean >= alone.mean * (1 - 1e-6)


@pytest.mark.parametrize("law", LAWS, ids=repr)
def test_the_shares_of_longer_times_are_those_of_the_law(law):
    places = np.array([law.quantile(q) for q in (0.05, 0.2, 0.5, 0.9, 0.999)])
    found = np.exp(FAMILIES[name_of_family(law)].log_above(law, places))
    assert found == pytest.approx([0.95, 0.8, 0.5, 0.1, 0.001], rel=1e-6)


def test_two_kinds_of_times_are_told_apart_though_the_long_ones_are_stopped_more_often():
    rng = np.random.default_rng(0)
    drawn = np.where(rng.random(4000) < 0.8, rng.lognormal(0.0, 0.1, 4000), rng.lognormal(2.0, 0.3, 4000))
    after = rng.exponential(10.0, 4000)
    times = Observed.of(drawn[drawn <= after], after[drawn > after])
    parts = spec_of(candidates(times)[0].law)["parts"]
    assert [part["weight"] for part in parts] == pytest.approx([0.8, 0.2], abs=0.02)
    assert [part["law"]["mu"] for part in parts] == pytest.approx([0.0, 2.0], abs=0.1)


def test_equal_times_are_constant_unless_one_that_was_stopped_took_longer():
    assert candidates(Observed.of([2.0] * 20, [1.0, 2.0]))[0].law == Constant(2.0)
    assert type(candidates(Observed.of([2.0] * 20, [3.0]))[0].law) is not Constant


def test_times_of_the_law_itself_are_no_surprise_and_others_are():
    times = stopped(Gamma(4.0, 0.5), 400)
    best = next(found for found in candidates(times) if type(found.law) is Gamma)
    assert p_value(best, times, rounds=19) > 0.05
    exponential = next(found for found in candidates(times) if type(found.law) is Exponential)
    assert p_value(exponential, times, rounds=19) == 0.05


@pytest.mark.parametrize("shape", [0.01, 0.5, 1.0, 7.3, 300.0, 5000.0])
def test_the_gamma_laws_tail_in_one_call_is_that_of_its_cdf(shape):
    x = shape * np.array([0.2, 0.9, 0.99, 1.0, 1.01, 1.1]) + 0.001
    expected = [math.log1p(-gamma_below(shape, t)) for t in x]
    assert log_gamma_above(shape, x) == pytest.approx(expected, rel=1e-3 if shape > 1000 else 1e-9, abs=1e-12)


def test_the_normal_tail_goes_over_into_its_series_without_a_step():
    z = np.array([24.999999, 25.000001])
    found = log_normal_above(z)
    assert found[1] - found[0] == pytest.approx(-25.04 * 2e-6, rel=1e-3)
    assert np.isfinite(log_normal_above(np.array([-40.0, 1e5]))).all()
