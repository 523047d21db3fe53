"""Runs held against proven bounds: what is held, broken, or not told by the record."""

import dataclasses
import math

import numpy as np
import pytest

from asyncsim.bounds import breaches, compared
from asyncsim.result import Result, Run, no_curves

EPSILON = 0.1


def ran(norms, every=1, status="finished", seed=0):
    """A run of one iteration a second, recorded `every` so many, with these recorded ‖∇f‖²."""
    k = np.arange(len(norms)) * float(every)
    norms = np.array(norms, dtype=float)
    weighted = np.concatenate([[0.0], np.cumsum(norms[:-1] * every)])
    curves = no_curves() | {
        "time": k,
        "iteration": k,
        "squared_gradient_norm": norms,
        "mean_squared_gradient_norm": (weighted + norms) / (k + 1),
    }
    return Run("a", "hero_sgd", {}, seed, 1, status=status, curves=curves)


def study(*runs, **said):
    theory = {"a": {"seconds": 9.0, "recorded": True, "estimated": [], "missing": [], "lower_bound": 1.0} | said}
    return Result("study", tuple(runs), {"squared_gradient_norm": EPSILON}, manifest={"theory": theory})


def verdict(*runs, **said):
    (found,) = compared(study(*runs, **said))
    return found.verdict


LOW, HIGH = [0.5, *[0.01] * 9], [0.5] * 10


def test_a_mean_below_the_target_at_the_bound_holds_it():
    (found,) = compared(study(ran(LOW)))
    assert (found.verdict, found.measured, found.seconds, found.lower_bound) == ("held", 5.0, 9.0, 1.0)


def test_a_mean_above_it_breaks_it_and_is_told():
    broken = study(ran(HIGH))
    assert compared(broken)[0].verdict == "broken"
    (told,) = breaches(broken)
    assert told.startswith("a: after the proven 9 s the mean of ‖∇f‖² over the iterations is 0.5, above 0.1 (1 seed)")


def test_the_theorems_are_about_the_mean_over_the_seeds():
    assert verdict(ran(LOW), ran([0.12] * 10, seed=1)) == "held"
    assert verdict(ran(LOW), ran(HIGH, seed=1)) == "broken"


def test_runs_that_end_before_the_bound_hold_it_only_if_they_got_there():
    assert verdict(ran(LOW[:7])) == "held"
    assert verdict(ran(HIGH[:7])) == "open"
    assert verdict(ran([1.0, math.inf], status="diverged")) == "broken"


def test_a_coarse_record_breaks_no_bound():
    """Nine iterations between two records: 0.5 for all of them is too much, 0.01 may be too little."""
    assert verdict(ran([0.5, 0.01], every=9)) == "open"
    assert verdict(ran([0.5, 0.4], every=9)) == "broken"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"seconds": None, "missing": ["L is unknown"]}, "unknown"),
        ({"recorded": False}, "unknown"),
        ({"estimated": ["sigma2"]}, "estimate"),
    ],
)
def test_what_is_not_proven_cannot_be_broken(said, expected):
    result = study(ran(HIGH), **said)
    assert compared(result)[0].verdict == expected
    assert not breaches(result)


def test_without_the_theorems_target_there_is_nothing_to_hold():
    assert compared(dataclasses.replace(study(ran(LOW)), target={"suboptimality": 1.0})) == []
    assert compared(dataclasses.replace(study(ran(LOW)), manifest={})) == []
