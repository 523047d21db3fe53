"""How a result shows itself in a notebook."""

import dataclasses
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from factories import make_result
from report.odd import HOSTILE, ODD

from asyncsim import summary
from asyncsim.result import Result


def test_a_result_shows_its_sentence_its_table_and_its_curves():
    result = make_result()
    text = result._repr_html_()
    root = ET.fromstring(text)
    assert summary.sentence(result) in "".join(root.itertext())
    assert len(root.findall(".//tbody/tr")) == 3
    assert len(root.findall(".//polyline")) == 3
    assert len(text) < 40_000


def test_it_needs_no_script_no_style_sheet_and_nothing_outside():
    text = make_result()._repr_html_()
    assert not any(word in text for word in ("<script", "<style", "http", "src=", "url("))


def test_a_hostile_name_stays_text():
    plain = make_result(methods=("rennala_sgd",), n=2, seeds=(0,))
    hostile = dataclasses.replace(
        plain, name=HOSTILE, runs=tuple(dataclasses.replace(r, label=HOSTILE) for r in plain.runs)
    )
    assert "<script" not in hostile._repr_html_()
    assert "<img" not in hostile._repr_html_()


@pytest.mark.parametrize("name", sorted(ODD))
def test_odd_results_show_themselves(name):
    ET.fromstring(ODD[name]._repr_html_())


def test_nothing_that_was_run_says_so():
    assert "nothing has been run" in Result("empty", ())._repr_html_()


def test_of_very_many_methods_the_best_are_in_the_table():
    text = make_result(methods=("hero_sgd",) * 15, seeds=(0,), n=2, points=5, time=10.0)._repr_html_()
    assert "and 3 more methods" in text


def test_an_accuracy_is_drawn_on_a_linear_axis():
    plain = make_result(methods=("hero_sgd",), seeds=(0,), n=2)
    (run,) = plain.runs
    curves = {**run.curves, "test_accuracy": run.curves["time"] / run.curves["time"][-1]}
    result = dataclasses.replace(plain, runs=(dataclasses.replace(run, curves=curves),), target={"test_accuracy": 0.5})
    (line,) = ET.fromstring(result._repr_html_()).findall(".//polyline")
    points = [[float(part) for part in point.split(",")] for point in line.get("points").split()]
    assert len(points) == len(run.curves["time"])  # the accuracy of 0 at the beginning too
    falls = [a[1] - b[1] for a, b in pairwise(points)]
    assert max(falls) - min(falls) < 0.3
