"""Heat maps of tuning: what a sweep leaves in the manifest, drawn and said in words."""

import dataclasses
import re
from html import unescape

import pytest
from factories import make_result

from asyncsim.report import page as page_module
from asyncsim.report.page import page
from asyncsim.report.tuning import tuning

GRID = {
    "axes": {"stepsize": [0.5, 1.0, 2.0], "threshold": [1, 4]},
    "values": [[40.0, 20.0], [30.0, 5.0], [None, 10.0]],
    "rule": "time_to_target",
    "winner": {"stepsize": 1.0, "threshold": 4},
    "on_edge": ["threshold"],
}
STRIP = {
    "axes": {"stepsize": [0.5, 1.0]},
    "values": [1e-4, None],
    "rule": "final_squared_gradient_norm",
    "winner": {"stepsize": 0.5},
    "on_edge": [],
}


@pytest.fixture(autouse=True)
def short_plotly(monkeypatch):
    monkeypatch.setattr(page_module, "plotly", lambda: "const Plotly = {};")


def tuned(**grids):
    result = make_result(n=2, seeds=(0,))
    return dataclasses.replace(result, manifest={**result.manifest, "tuning": grids})


def cells(text):
    return [unescape(re.sub("<.*?>", "", cell)) for cell in re.findall(r"<td[^>]*>(.*?)</td>", text)]


def test_a_grid_of_two_parameters_is_a_map_with_its_winner_marked():
    text = tuning(tuned(ringmaster_asgd=GRID))
    assert cells(text) == ["", "40", "20", "30", "★ 5", "–", "10"]
    assert re.search(r'<td class="t7 won">★ 5', text)
    assert re.search(r'<td class="t0">40', text)
    assert "★ stepsize 1, threshold 4" in text


def test_a_grid_of_one_parameter_is_a_strip():
    text = tuning(tuned(hero_sgd=STRIP))
    assert cells(text) == ["★ 1e-4", "–"]
    assert text.count("<tr>") == 2


def test_a_grid_of_three_parameters_is_a_map_for_each_value_of_the_third():
    axes = {"stepsize": [1.0, 2.0], "batch_size": [1, 2], "beta": [0.0, 0.9]}
    values = [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]
    winner = {"stepsize": 1.0, "batch_size": 1, "beta": 0.0}
    text = tuning(tuned(local_sgd={**GRID, "axes": axes, "values": values, "winner": winner, "on_edge": []}))
    assert text.count("<table>") == 2
    assert text.count("★ ") == 3  # in the words above, in the note, and in one cell
    assert cells(text)[:5] == ["", "★ 1", "3", "5", "7"]


def test_a_winner_on_the_edge_is_warned_about_in_words():
    assert "the winning threshold is the last of its grid" in tuning(tuned(ringmaster_asgd=GRID))
    assert "On the edge" not in tuning(tuned(hero_sgd=STRIP))


def test_a_winner_that_got_there_with_few_seeds_is_said_to_say_little():
    none = {**STRIP, "rule": "time_to_target", "values": [None, None], "seeds": [5, 6, 7, 8], "reached": 2}
    text = tuning(tuned(hero_sgd=none))
    assert "no choice reached the target with most of the 4 tuning seeds; the one marked did with 2 of them" in text
    assert "Says little" not in tuning(tuned(hero_sgd={**none, "reached": 3}))


def test_a_method_of_which_every_choice_failed_has_no_winner():
    text = tuning(tuned(hero_sgd={**STRIP, "values": [None, None], "winner": {}}))
    assert "nothing won" in text
    assert cells(text) == ["–", "–"]


def test_the_page_says_by_which_rule_methods_were_tuned():
    text = page(tuned(ringmaster_asgd=GRID, hero_sgd=STRIP))
    assert "the last ‖∇f‖² and the time to the target, in simulated seconds" in text
    assert "<dt>tuning" not in text


def test_it_is_said_where_runs_were_ended_early():
    words = "or was ended early when it could no longer win"
    assert words in tuning(tuned(hero_sgd={**STRIP, "ended_early": 3}))
    assert words not in tuning(tuned(hero_sgd=STRIP))


def test_without_a_sweep_there_is_no_such_section():
    assert tuning(make_result()) == ""
    assert "How the methods were tuned" not in page(make_result())


def test_a_hostile_label_stays_text():
    text = tuning(tuned(**{"<script>alert(1)</script>": GRID}))
    assert "<script>" not in text


def test_while_methods_are_tuned_the_best_so_far_leads_and_what_was_not_tried_is_empty():
    grid = {**GRID, "values": [[40.0, 20.0], [30.0, 5.0], [None, float("nan")]], "on_edge": []}
    text = tuning(tuned(ringmaster_asgd={**grid, "tried": (9, 12), "best": 5.0}))
    assert "How the methods are being tuned" in text
    assert "9 of 12 runs ended; best so far ★ stepsize 1, threshold 4: 5 s" in unescape(text)
    assert text.count('class="wait"') == 1
    nothing = tuning(
        tuned(hero_sgd={**STRIP, "values": [float("nan")] * 2, "winner": {}, "tried": (0, 4), "best": None})
    )
    assert "0 of 4 runs ended; no choice has a value yet" in nothing
