"""The values that a sweep tries, as a scenario writes them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsim.grids import read_grid


@pytest.mark.parametrize(
    ("data", "values"),
    [
        ([0.1, "theory", 3], (0.1, "theory", 3)),
        ({"powers_of": 5, "from": -5, "to": -3}, (0.00032, 0.0016, 0.008)),
        ({"powers_of": 2, "from": 0, "to": 3}, (1, 2, 4, 8)),
        ({"powers_of": 0.1, "from": 1, "to": 2}, (0.1, 0.01)),
        ({"from": 0, "to": 1, "count": 5}, (0.0, 0.25, 0.5, 0.75, 1.0)),
        ({"from": 0.1, "to": 0.4, "count": 4, "scale": "linear"}, (0.1, 0.2, 0.3, 0.4)),
        ({"from": 0.01, "to": 100, "count": 5, "scale": "log"}, (0.01, 0.1, 1.0, 10.0, 100.0)),
    ],
)
def test_a_grid_has_the_values_that_one_expects(data, values):
    assert read_grid(data).values == values


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (0.1, r"0.1 is no grid; allowed: a list of values, \{powers_of: 5"),
        ([], "an empty list"),
        ([1, 2, 1.0], "1.0 stands twice"),
        (list(range(10_001)), "10,001 values; allowed: up to 10,000"),
        ({}, r"the keys \(none\) make no grid"),
        ({"powers": 5, "from": 1, "to": 2}, "the keys powers, from, to make no grid"),
        ({"powers_of": 5, "from": 1}, "missing: to; the keys of this grid are powers_of, from, to"),
        ({"powers_of": 5, "from": 1, "to": 2, "scale": "log"}, "unknown: scale"),
        ({"powers_of": 5, "from": 2, "to": 1}, "`to` must be larger than `from`"),
        ({"powers_of": 1, "from": 1, "to": 2}, "a number > 0 other than 1"),
        ({"powers_of": True, "from": 1, "to": 2}, "powers_of: True, but a number is needed"),
        ({"powers_of": 10, "from": 1, "to": 2.5}, "to: 2.5, but a whole number is needed"),
        ({"powers_of": 10, "from": 300, "to": 310}, "are not all numbers that can be computed with"),
        ({"powers_of": 10, "from": -330, "to": -300}, "are not all numbers that can be computed with"),
        ({"from": 1, "to": 2, "count": 1}, "count: 1, but a number of 2 … 10,000"),
        ({"from": 2, "to": 2, "count": 2}, "`to` must be larger than `from`"),
        ({"from": 0, "to": 2, "count": 2, "scale": "log"}, "scale: log needs numbers > 0, not 0"),
        ({"from": 1, "to": 2, "count": 2, "scale": "logarithmic"}, "scale: 'logarithmic', but linear or log"),
        ({"from": 1, "to": float("inf"), "count": 2}, "to: inf, but a number is needed"),
        ({"between": [1]}, r"between: \[1\], but two numbers are needed"),
        ({"between": [2, 1]}, "the second must be larger"),
        ({"between": [0, 1], "scale": "log"}, "scale: log needs numbers > 0"),
        ({"between": ["a", 1]}, "between: 'a', but a number is needed"),
    ],
)  # fmt: skip
def test_what_is_no_grid_is_refused_with_what_is_allowed(data, words):
    with pytest.raises(ValueError, match=words):
        read_grid(data)


ENDS = st.tuples(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6)).filter(lambda ends: ends[0] < ends[1] * (1 - 1e-6))


@given(ENDS, st.integers(2, 50), st.sampled_from(["linear", "log"]))
def test_spaced_values_rise_from_one_end_to_the_other(ends, count, scale):
    values = read_grid({"from": ends[0], "to": ends[1], "count": count, "scale": scale}).values
    assert (values[0], values[-1], len(values)) == (*ends, count)
    assert list(values) == sorted(values)


@given(ENDS, st.sampled_from(["linear", "log"]), st.integers(0, 10))
def test_a_number_that_is_drawn_lies_between_and_is_the_same_for_the_same_seed(ends, scale, seed):
    grid = read_grid({"between": list(ends), "scale": scale})
    first, again = (grid.draw(np.random.default_rng(seed)) for _ in range(2))
    assert first == again
    assert ends[0] * (1 - 1e-9) <= first <= ends[1] * (1 + 1e-9)


def test_drawn_from_a_list_it_is_one_of_its_values():
    grid, rng = read_grid([1, 5, 25]), np.random.default_rng(0)
    assert {grid.draw(rng) for _ in range(50)} == {1, 5, 25}
