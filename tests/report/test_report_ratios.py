"""The section that says how much sooner."""

from factories import make_result

from asyncsim.ratios import ratios, sentence
from asyncsim.report.ratios import how_much_sooner


def test_it_says_the_ratios_in_words_and_in_a_table():
    result = make_result()
    text = how_much_sooner(result)
    assert sentence(ratios(result)) in text
    assert "times ringmaster_asgd" in text
    assert text.count("<tr>") == 4
    assert text.count('class="at"') == 2


def test_who_did_not_reach_the_target_has_an_open_mark():
    text = how_much_sooner(
        make_result(reached={"ringmaster_asgd": 10.0, "rennala_sgd": 20.0, "asynchronous_sgd": None})
    )
    assert text.count('class="open"') == 1
    assert "over 5.7" in text


def test_one_method_or_no_target_has_no_such_section():
    assert how_much_sooner(make_result(methods=("hero_sgd",))) == ""
    assert how_much_sooner(make_result(target=None)) == ""
