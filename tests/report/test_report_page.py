"""The page as text: what it says, that names cannot break out of it, and that odd results have a page too."""

import dataclasses
import json
import re
from html import escape, unescape
from html.parser import HTMLParser

import numpy as np
import pytest
from factories import METHODS, make_result
from report.odd import HOSTILE, ODD

from asyncsim import summary
from asyncsim.report import page as page_module
from asyncsim.report import write_report
from asyncsim.report.page import asset, embedded, page, policy
from asyncsim.result import AWAY, POWERS, no_contributions


class Outline(HTMLParser):
    """Elements with their attributes, and the text outside of scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words, self.inside = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.inside.append(tag)

    def handle_endtag(self, tag):
        if tag in self.inside:
            while self.inside.pop() != tag:
                pass

    def handle_data(self, text):
        if not {"script", "style"} & set(self.inside):
            self.words.append(text)


@pytest.fixture(scope="module", autouse=True)
def short_plotly():
    """The page without the 5 MB that plotly adds, except where a test wants them."""
    patch = pytest.MonkeyPatch()
    patch.setattr(page_module, "plotly", lambda: "const Plotly = {};")
    yield
    patch.undo()


def test_the_page_says_who_was_first_and_why():
    result = make_result()
    words = " ".join(Outline(page(result)).words)
    assert summary.sentence(result).replace(" ", "") in words.replace(" ", "")  # a number and its unit stand in a span
    assert summary.cause(result) in words


def test_the_page_has_the_table_of_the_summary_with_its_winner_marked():
    result = make_result()
    headers, rows = summary.table(result)
    text = page(result)
    cells = [unescape(cell) for cell in re.findall(r"<td>(.*?)</td>", text.split("</table>")[0])]
    assert cells == [cell for row in rows for cell in row[1:]]
    assert all(escape(header) in text for header in headers)
    assert re.search(r'<tr class=winner><th scope="row">ringmaster_asgd', text)


def test_no_method_is_marked_when_there_is_no_clear_winner():
    assert "<tr class=winner>" not in page(make_result(reached=False, target=None, methods=("hero_sgd", "hero_sgd")))


def test_a_hostile_name_stays_text_everywhere():
    plain = make_result(methods=("rennala_sgd",), n=2, seeds=(0,))
    result = dataclasses.replace(
        plain,
        name=HOSTILE,
        scenario={"name": HOSTILE},
        manifest={HOSTILE: {HOSTILE: HOSTILE}},
        problem={"name": HOSTILE, "dimension": 3},
        runs=tuple(
            dataclasses.replace(
                run, label=HOSTILE, method=HOSTILE, reason=HOSTILE, parameters={HOSTILE: HOSTILE}, event_hash=HOSTILE
            )
            for run in plain.runs
        ),
    )
    text = page(result)
    harmless = page(plain)
    count = lambda of, tag: sum(element == tag for element, _ in Outline(of).elements)  # noqa: E731
    assert [count(text, tag) for tag in ("script", "img", "style")] == [
        count(harmless, tag) for tag in ("script", "img", "style")
    ]
    assert not any(name.startswith("on") for _, attributes in Outline(text).elements for name in attributes)
    assert not {"\u2028", "\u2029"} & set(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])["methods"] == [HOSTILE]


def test_half_a_surrogate_pair_in_a_name_can_be_written(tmp_path):
    write_report(dataclasses.replace(make_result(n=1, seeds=(0,)), name="half \ud800"), tmp_path / "report.html")


def test_embedded_json_says_the_same_as_the_value():
    assert json.loads(embedded({"a": [HOSTILE, 1.5, None]})) == {"a": [HOSTILE, 1.5, None]}
    assert not set(embedded(HOSTILE)) & set("<>&\u2028\u2029")


def test_the_policy_allows_the_pages_own_scripts_and_no_network():
    text = page(make_result(n=1, seeds=(0,)))
    allowed = unescape(
        next(a["content"] for _, a in Outline(text).elements if a.get("http-equiv") == "Content-Security-Policy")
    )
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert allowed == policy(scripts)
    assert allowed.startswith("default-src 'none'")
    assert "http" not in allowed
    assert "'unsafe-inline'" not in re.search("script-src ([^;]*)", allowed)[1]


def test_nothing_in_the_page_points_outside():
    for _, attributes in Outline(page(make_result(n=1, seeds=(0,)))).elements:
        for name in ("src", "href", "srcset", "action"):
            assert attributes.get(name, "data:").startswith(("data:", "#"))


@pytest.mark.parametrize("name", ["shared.js", "charts.js", "timeline.js", "heat.js"])
def test_our_scripts_may_stand_in_a_page(name):
    assert not re.search(r"</script|<!--|\r", asset(name), re.IGNORECASE)


@pytest.mark.parametrize("name", ODD)
def test_odd_results_have_a_page(name):
    text = page(ODD[name])
    assert "Traceback" not in text
    assert not re.search(r">(nan|inf|None)( .*)?</(td|dd|span)>", text)


def test_a_timing_only_page_shows_no_curve_of_f():
    text = page(ODD["timing only"])
    assert 'data-quantity="iteration"' in text
    assert 'value="squared_gradient_norm"' not in text


def allocated(rounds=100):
    """Two allocations of one method: the second took twice the time and three times the worker time."""
    plain = make_result(methods=("rennala_sgd", "rennala_sgd"), seeds=(0, 1), target=None)
    names = {"rennala_sgd": "fixed_optimal", "rennala_sgd 2": "uniform"}

    def run_of(run):
        slow = 1 if run.label == "rennala_sgd" else 2
        k = np.linspace(0, rounds, len(run.curves["time"]))
        curves = {
            "iteration": k,
            "time": k * slow,
            "worker_seconds": 5 * k * (2 * slow - 1),
            "regret": k * (slow - 1.0),
        }
        return dataclasses.replace(
            run,
            iterations=rounds,
            curves=run.curves | curves,
            parameters={"allocation": {"name": names[run.label], "means": list(range(1000))}},
        )

    return dataclasses.replace(plain, runs=tuple(map(run_of, plain.runs)))


def test_allocations_are_measured_against_the_fixed_optimum():
    text = page(allocated())
    cells = [unescape(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", text.split("Cost of the allocations")[1])][
        :12
    ]
    assert cells == [
        *("fixed_optimal", "100 s", "× 1", "500 s", "× 1", "0 s"),
        *("uniform", "200 s", "× 2", "1500 s", "× 3", "100 s"),
    ]
    assert "against rennala_sgd<" in text
    assert "when 100 rounds were over, medians over seeds" in text


def test_parameters_that_are_long_lists_are_shortened():
    assert "means = 0, 1, 2" in (text := page(allocated()))
    assert "… (1,000 in all)" in text


def test_without_allocations_there_is_no_regret():
    plain = make_result()
    silent = {"regret": np.full(41, np.nan)}
    runs = tuple(dataclasses.replace(run, curves=run.curves | silent) for run in plain.runs)
    text = page(dataclasses.replace(plain, runs=runs))
    assert "data-regret>" not in text
    assert "data-heat=" in text


def test_runs_that_kept_no_contributions_have_no_heat_map():
    plain = make_result()
    runs = tuple(dataclasses.replace(run, contributions=no_contributions()) for run in plain.runs)
    assert "data-heat=" not in page(dataclasses.replace(plain, runs=runs))


def test_workers_time_is_offered_only_where_it_was_recorded():
    plain = make_result()
    assert 'value="worker_seconds"' in page(plain)
    runs = tuple(dataclasses.replace(run, curves=run.curves | {"worker_seconds": np.zeros(41)}) for run in plain.runs)
    assert 'value="worker_seconds"' not in page(dataclasses.replace(plain, runs=runs))


def test_of_many_methods_six_stand_open_and_the_rest_under_one_line():
    many = page(make_result(methods=("hero_sgd",) * 9, seeds=(0,), n=2, points=5, time=10.0))
    for place in ("data-lanes=", "data-delays=", "data-heat="):
        opened, folded = re.split(
            r'<details class="more">', many.split("<section")[_section_with(many, place)], maxsplit=1
        )
        assert (opened.count(place), folded.count(place)) == (6, 3)
        assert "3 more methods" in folded
    assert many.count("data-choose=") == 3
    few = page(make_result(methods=("hero_sgd",) * 8, seeds=(0,), n=2, points=5, time=10.0))
    assert '<details class="more">' not in few
    assert "data-choose=" not in few


def _section_with(text, words):
    return next(place for place, section in enumerate(text.split("<section")) if words in section)


SPLIT = {
    "split": "dirichlet",
    "alpha": 0.1,
    "problem_seed": None,
    "left_out": 2,
    "workers": 3,
    "samples": 30,
    "labels": 2,
    "classes": ["0", HOSTILE],
    "counts": [[10, 0], [5, 5], [0, 10]],
}


def test_the_split_of_the_data_is_drawn_and_told():
    plain = make_result(n=3)
    text = page(dataclasses.replace(plain, problem=plain.problem | {"split": SPLIT}))
    section = unescape(text.split('<section class="split">')[1].split("</section>")[0])
    assert section.count("<rect ") == 4
    assert "worker 1: 5 of 10 samples have label 0" in section
    assert "30 samples of 2 labels are shared out among 3 workers, by a Dirichlet law with α = 0.1" in section
    assert "This is the split of seed 0; each seed has its own" in section
    assert "<script>alert" not in text
    assert "problem split" not in text


def test_of_a_split_among_very_many_only_a_corner_is_drawn():
    plain = make_result(n=3)
    split = SPLIT | {"workers": 1000, "counts": [[1] * 20] * 200, "labels": 20, "classes": list(map(str, range(20)))}
    text = page(dataclasses.replace(plain, problem=plain.problem | {"split": split}))
    assert "Shown are the first 200 workers and 20 labels" in text
    assert "<title>worker" not in text


def test_data_that_all_workers_share_are_no_split():
    assert "How the data are split" not in page(make_result())


def test_absences_are_explained_where_there_are_any():
    result = make_result()
    assert "swatch away" not in page(result)
    away = np.array([(0, 1.0, 2.0)], AWAY)
    absent = dataclasses.replace(result, runs=tuple(dataclasses.replace(run, away=away) for run in result.runs))
    assert page(absent).count("swatch away") == 3  # in words, and in the keys of the player and of the timeline


def test_the_line_of_speeds_is_explained_where_one_is_drawn():
    result = make_result(methods=("rennala_sgd",), seeds=(0,))
    assert "swatch power" not in page(result)
    powers = np.array([(0, 1.0, 2.0, 1.0), (0, 2.0, 3.0, 0.5)], POWERS)
    changing = dataclasses.replace(result, runs=tuple(dataclasses.replace(run, powers=powers) for run in result.runs))
    assert page(changing).count("swatch power") == 2  # in words, and in the key of the timeline


def test_what_makes_workers_depend_on_each_other_is_said_behind_the_numbers():
    result = dataclasses.replace(make_result(), manifest={"exceptions": ["shared_link: a message waits"]})
    assert "An exception to equal luck: shared link: a message waits." in page(result)


def test_the_scenario_is_shown_as_it_was_written(tmp_path):
    (tmp_path / "scenario.yaml").write_text("name: mine  # <with> a comment\n", encoding="utf-8")
    assert "name: mine  # &lt;with&gt; a comment" in page(
        dataclasses.replace(make_result(n=1, seeds=(0,)), folder=tmp_path)
    )


def test_every_run_is_listed_with_its_seed_end_and_hash():
    result = make_result(seeds=(3, 4))
    text = page(result)
    assert all(run.event_hash in text and run.reason in text for run in result.runs)


def test_writing_replaces_the_old_page_in_one_step_and_returns_its_path(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    assert write_report(make_result(n=1, seeds=(0,)), path) == path
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["record.sqlite", "scenario.yaml", "report"])
def test_writing_takes_the_place_of_a_page_only(name, tmp_path):
    path = tmp_path / name
    path.write_text("mine")
    with pytest.raises(ValueError, match=f"{name} is there already and is no page"):
        write_report(make_result(n=1, seeds=(0,)), path)
    assert path.read_text() == "mine"
    path.unlink()
    for _ in range(2):
        assert write_report(make_result(n=1, seeds=(0,)), path) == path
    with pytest.raises(ValueError, match="is a folder; a page is one file"):
        write_report(make_result(n=1, seeds=(0,)), tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_an_error_of_the_file_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_report(make_result(n=1, seeds=(0,)), tmp_path / "nowhere" / "report.html")


def test_five_methods_with_five_seeds_and_a_hundred_workers_stay_below_8_mb(tmp_path, monkeypatch):
    monkeypatch.undo()
    result = make_result(methods=(*METHODS, "minibatch_sgd", "hero_sgd"), seeds=range(5), n=100, time=300.0, points=200)
    monkeypatch.setattr(page_module, "plotly", PLOTLY)
    size = write_report(result, tmp_path / "report.html").stat().st_size
    assert 4_000_000 < size < 8_000_000


PLOTLY = page_module.plotly
