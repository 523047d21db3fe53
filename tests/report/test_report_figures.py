"""Figures for papers, written for real: vector, fonts inside, one column wide."""

import dataclasses
import math
import re
import zlib
from itertools import pairwise

import numpy as np
import pytest
from factories import make_result
from report.odd import ODD

from asyncsim.report.figures import MOST, drawn, write_figures
from asyncsim.result import Result

pytest.importorskip("matplotlib", reason="needs the extra plot: pip install 'asyncsim[plot]'")
pytestmark = [pytest.mark.plot, pytest.mark.timeout(120)]


def streams(pdf):
    """What stands in the compressed streams of a pdf."""
    found = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    return b"\n".join(zlib.decompress(part) for part in found if part[:1] == b"x")


def test_a_pdf_is_written_one_column_wide_with_truetype_fonts_embedded(tmp_path):
    paths = write_figures(make_result(), tmp_path / "figures")
    assert [path.name for path in paths] == [
        "curve-against-time.pdf",
        "curve-against-iterations.pdf",
        "curve-against-worker-time.pdf",
        "time-to-target.pdf",
    ]
    for path in paths:
        pdf = path.read_bytes()
        box = [float(number) for number in re.search(rb"/MediaBox \[(.*?)\]", pdf).group(1).split()]
        assert box[2] == pytest.approx(3.3 * 72, abs=0.1)
        assert pdf.count(b"/FontFile2") > 0  # an embedded TrueType font
        assert b"/Type3" not in pdf
        assert b"/Subtype /Image" not in pdf
        assert b"CreationDate" not in pdf


def test_an_svg_is_written_without_pixels_and_without_fonts_to_be_found(tmp_path):
    for path in write_figures(make_result(), tmp_path, "svg"):
        text = path.read_text(encoding="utf-8")
        assert "<image" not in text
        assert "font-family" not in text
        assert "<path" in text


def test_the_same_result_gives_the_same_file(tmp_path):
    small = make_result(methods=("hero_sgd",), seeds=(0,), target=None)
    for kind in ("pdf", "svg"):
        first, second = (
            [path.read_bytes() for path in write_figures(small, tmp_path / name, kind)] for name in ("a", "b")
        )
        assert first == second


def test_lines_are_medians_between_quartiles_on_a_logarithmic_axis():
    figure = drawn(make_result())["curve-against-time"]
    axes = figure.axes[0]
    assert axes.get_yscale() == "log"
    assert [line.get_label() for line in axes.get_lines()][:3] == ["ringmaster_asgd", "rennala_sgd", "asynchronous_sgd"]
    assert len(axes.collections) == 3
    assert len({(line.get_color(), str(line.get_linestyle())) for line in axes.get_lines()[:3]}) == 3


def test_the_target_is_marked_where_it_was_reached():
    axes = drawn(make_result())["curve-against-time"].axes[0]
    diamonds = [float(line.get_xdata()[0]) for line in axes.get_lines() if line.get_marker() == "D"]
    assert len(diamonds) == 3
    assert all(a < b for a, b in pairwise(diamonds))


def test_of_many_methods_the_best_eight_are_drawn():
    figure = drawn(make_result(methods=("hero_sgd",) * 11, seeds=(0,), n=2, points=5, time=10.0))[
        "curve-against-iterations"
    ]
    names = [line.get_label() for line in figure.axes[0].get_lines() if not str(line.get_label()).startswith("_")]
    assert len(names) == MOST


@pytest.mark.parametrize("name", sorted(set(ODD) - {"killed at once"}))
def test_odd_results_have_figures_too(name):
    for figure in drawn(ODD[name]).values():
        figure.draw_without_rendering()


def with_accuracies():
    """A result with a test accuracy that rises from nothing to all, and half of it as the target."""
    result = make_result(methods=("hero_sgd", "rennala_sgd"), seeds=(0, 1), n=2)
    runs = []
    for run in result.runs:
        times = run.curves["time"]
        runs.append(dataclasses.replace(run, curves={**run.curves, "test_accuracy": times / times[-1]}))
    return dataclasses.replace(result, runs=tuple(runs), target={"test_accuracy": 0.5})


def test_an_accuracy_is_drawn_on_a_linear_axis_and_reached_from_below(tmp_path):
    figures = drawn(with_accuracies())
    axes = figures["curve-against-time"].axes[0]
    assert (axes.get_ylabel(), axes.get_yscale()) == ("test accuracy", "linear")
    assert float(axes.get_lines()[0].get_ydata()[0]) == 0.0
    assert figures["time-to-target"].axes[0].get_xlabel() == r"time to test accuracy $\geq$ 0.5 (s)"
    assert write_figures(with_accuracies(), tmp_path, "svg")


def test_a_label_that_looks_like_a_formula_is_written_as_it_is(tmp_path):
    plain = make_result(methods=("hero_sgd", "rennala_sgd"), seeds=(0,), n=2)
    label = r"$\nothing$"
    runs = tuple(dataclasses.replace(run, label=label) if run.label == "hero_sgd" else run for run in plain.runs)
    for figure in drawn(dataclasses.replace(plain, runs=runs)).values():
        figure.draw_without_rendering()


def test_what_is_nowhere_above_zero_is_drawn_on_a_linear_axis():
    plain = make_result(methods=("hero_sgd", "rennala_sgd"), seeds=(0,), n=2, target=None)
    unknown = dict.fromkeys(("squared_gradient_norm", "mean_squared_gradient_norm", "suboptimality"), math.nan)
    runs = []
    for run in plain.runs:
        curves = run.curves | {name: np.full_like(run.curves["time"], value) for name, value in unknown.items()}
        runs.append(dataclasses.replace(run, curves=curves | {"value": run.curves["value"] - 5.0}))
    figure = drawn(dataclasses.replace(plain, runs=tuple(runs)))["curve-against-time"]
    figure.draw_without_rendering()
    assert figure.axes[0].get_yscale() == "linear"
    assert float(figure.axes[0].get_lines()[0].get_ydata()[0]) < 0


def test_what_cannot_be_drawn_is_refused(tmp_path):
    with pytest.raises(ValueError, match="pdf or svg, not 'png'"):
        write_figures(make_result(), tmp_path, "png")
    for nothing in (Result("empty", ()), ODD["killed at once"]):
        with pytest.raises(ValueError, match="nothing was recorded"):
            write_figures(nothing, tmp_path)


def test_nothing_of_matplotlibs_own_settings_is_changed(tmp_path):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    write_figures(make_result(seeds=(0,), n=2, target=None), tmp_path, "svg")
    assert dict(mpl.rcParams) == before
