"""The section "What theory says", and that a breach is loud."""

import dataclasses

from factories import make_result

from asyncsim.report.page import curves
from asyncsim.report.theory import theory

SAID = {"seconds": 50.0, "recorded": True, "estimated": [], "missing": [], "lower_bound": 3.0, "how": "12 <steps>"}


def with_theory(**said):
    result = make_result(methods=("rennala_sgd", "hero_sgd"))
    return dataclasses.replace(result, manifest=result.manifest | {"theory": dict.fromkeys(result.labels, SAID | said)})


def test_measured_and_proven_times_stand_side_by_side():
    section = theory(with_theory())
    for words in ("What theory says", "50 s", "~ 3 s", "up to a constant", "12 &lt;steps&gt;"):
        assert words in section


def test_a_lower_bound_is_drawn_in_no_curve():
    result = with_theory()
    assert curves(result) == curves(make_result(methods=("rennala_sgd", "hero_sgd")))


def test_a_breach_is_an_alarm_and_what_holds_is_none():
    assert 'role="alert"' not in theory(with_theory(seconds=1e9))
    broken = theory(with_theory(seconds=0.5))
    assert 'role="alert"' in broken
    assert "BROKEN" in broken


def test_what_is_missing_for_one_method_is_told_where_another_has_a_bound():
    result = with_theory()
    result.manifest["theory"]["hero_sgd"] = SAID | {"seconds": None, "missing": ["L is unknown"]}
    section = theory(result)
    assert "L is unknown" in section
    assert "50 s" in section


def test_a_bound_that_rests_on_estimates_is_called_one_above_the_table():
    section = theory(with_theory(estimated=["sigma2"]))
    above, _, _ = section.partition("<table>")
    assert "Times with ~ are estimates, not proven" in above
    assert "rennala_sgd, hero_sgd: it rests on estimates of σ²" in above
    assert "estimates, not proven" not in theory(with_theory())


def test_without_a_proven_time_there_is_no_section():
    assert theory(make_result()) == ""
    assert theory(with_theory(seconds=None, lower_bound=None)) == ""
    assert theory(with_theory(seconds=None, lower_bound=3.0)) == ""
