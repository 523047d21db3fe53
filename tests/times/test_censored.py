"""Times that were cut short count as longer than that: in estimates of the CDF, in likelihoods, in what is played."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsim import Exponential, LogNormal
from asyncsim.times.censored import Observed, shares, until_stopped, weighted
from asyncsim.times.traces import Resampled

SECONDS = st.lists(st.integers(1, 9).map(float), min_size=1, max_size=30)


def test_kaplan_and_meiers_product_by_hand():
    """Of 5 one ends at 1; then one is stopped; of 3 one ends at 3; one is stopped; the last ends at 5."""
    places, found = shares(Observed.of([1.0, 3.0, 5.0], [2.0, 4.0]))
    assert places.tolist() == [1.0, 3.0, 5.0]
    assert found == pytest.approx([1 - 4 / 5, 1 - 4 / 5 * 2 / 3, 1.0])


def test_who_is_stopped_as_another_ends_was_still_going_on():
    assert shares(Observed.of([1.0], [1.0]))[1].tolist() == [0.5]


def test_without_stops_it_is_the_share_of_the_times():
    places, found = shares(Observed.of([2.0, 1.0, 2.0, 3.0]))
    assert (places.tolist(), found.tolist()) == ([1.0, 2.0, 3.0], [0.25, 0.75, 1.0])


@given(SECONDS, SECONDS)
def test_it_is_a_law_with_all_its_weight_and_no_faster_than_what_was_seen_to_its_end(exact, beyond):
    times = Observed.of(exact, beyond)
    places, weights = weighted(times)
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0).all()
    assert places.max() == max(exact + (beyond if weights[-1] > 1e-12 and places[-1] > max(exact) else []))
    assert times.mean >= np.mean(exact) - 1e-9 or min(beyond) < max(exact)
    law = Resampled(exact, beyond=beyond)
    assert law.mean == pytest.approx(float(places @ weights))
    assert law.cdf(law.quantile(0.5)) >= 0.5 - 1e-9
    assert set(law.sample(np.random.default_rng(0), 50).tolist()) <= set(places.tolist())


@given(SECONDS, SECONDS)
def test_stops_are_to_times_what_times_are_to_stops(exact, beyond):
    """Ties apart, that one is stopped before it ends is the same product with the parts changed over."""
    times = Observed.of(exact, [second + 0.5 for second in beyond])
    places, weights = until_stopped(times)
    mirrored, found = shares(Observed.of(times.beyond, times.exact))
    assert places[:-1].tolist() == mirrored.tolist()
    assert np.cumsum(weights)[:-1] == pytest.approx(found)


@pytest.mark.parametrize("law", [Exponential(2.0), LogNormal(0.0, 1.0)], ids=repr)
def test_the_estimate_comes_to_the_law_where_the_whole_times_alone_do_not(law):
    rng = np.random.default_rng(26)
    drawn, stopped = law.sample(rng, 20_000), rng.exponential(2.0, 20_000)
    times = Observed.of(drawn[drawn <= stopped], stopped[drawn > stopped])
    places, found = shares(times)
    near = places < 4
    expected = np.array([law.cdf(float(t)) for t in places[near]])
    assert np.abs(found[near] - expected).max() < 0.02
    assert np.abs(shares(Observed.of(times.exact))[1][near] - expected).max() > 0.1
