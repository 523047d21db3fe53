"""Advice for people who have machines: what is asked is understood, and what is answered is what simulation shows."""

import dataclasses
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import asyncsim
from asyncsim import Workers, study, summary
from asyncsim.advise import (
    SEEDS,
    SIMPLEST,
    Group,
    Model,
    Option,
    Plan,
    Question,
    advise,
    asked,
    asked_of_trace,
    candidates,
    check_free,
    cutoff,
    enough,
    gain,
    mindflayer,
    scenario_text,
    tuned,
    write,
)
from asyncsim.cli import main
from asyncsim.fitting import fit
from asyncsim.measuring import Row
from asyncsim.methods import METHODS
from asyncsim.report import advice as words
from asyncsim.scenario import load
from asyncsim.theory import equilibrium_time
from asyncsim.times import write_trace
from asyncsim.times.censored import Observed

pytestmark = pytest.mark.timeout(180)  # some seconds of computing each, which is long where others compute too

# fewer steps than the command takes, at which the orders are the same
QUICK = {"target": 1e-2}
QUICKER = {"target": 3e-2}

MIXED = asked("3x0.1 2x0.3 1x4.0", price="3x2 2x1 1x0.5", average=8, steps=36_000, **QUICK)


@pytest.fixture(scope="module")
def mixed():
    """The advice for six machines of three kinds."""
    return advise(MIXED)


# ---- what is asked


@pytest.mark.parametrize(
    "text",
    [
        "8x0.12 4x0.35 1x2.0",
        "8 x 0.12, 4×0.35, 2",
        "8x120ms 4x350ms 1x2s",
        "8*.12 4*3.5e-1 1*2.",
    ],
)
def test_machines_can_be_written_in_many_ways(text):
    assert [(group.count, round(group.seconds, 9)) for group in asked(text).groups] == [(8, 0.12), (4, 0.35), (1, 2.0)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "nothing is given"),
        ("  , ", "nothing is given"),
        ("8x", "'8x' can't be read"),
        ("x2", "'x2' can't be read"),
        ("8x0.12 fast", "'fast' can't be read"),
        ("8x-1", "'8x-1' can't be read"),
        ("1.5x2", "'1.5x2' can't be read"),
        ("8x1h", r"'8x1h' can't be read; write COUNTxSECONDS \(units: ms, s, min\)"),
        ("8xnan", "can't be read"),
        ("8xinf", "can't be read"),
        ("8x1e999", "can't be read|too large"),
        ("1x1e308min", "too large"),
        ("0x1", "a count >= 1 and seconds > 0"),
        ("1x0", "a count >= 1 and seconds > 0"),
        ("2000x1", "too many"),
        ("1 2 3 4 5 6 7 8 9 10 11", "1 to 10 kinds"),
    ],
)
def test_what_is_no_list_of_machines_is_told(text, said):
    with pytest.raises(ValueError, match=said):
        asked(text)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"price": "8x2.5 4x0.9"},
            r"price: machines 8\+4, but --workers has 8\+1; give one number for all, or one for each kind",
        ),
        ({"price": "2x1"}, "price: machines 2"),
        ({"price": "free"}, "price: 'free' can't be read"),
        ({"price": "1s"}, "price: '1s' can't be read"),
        ({"communication": "0.1 0.2 0.3"}, r"communication: machines 1\+1\+1"),
        ({"jitter": -0.1}, "jitter"),
        ({"jitter": math.nan}, "jitter"),
        ({"average": 0}, "gradients to average"),
        ({"average": 10**6}, "gradients to average"),
        ({"steps": 0}, "steps"),
        ({"target": 1.0}, "target"),
        ({"data": "own"}, "data = 'own', but same or different is needed"),
    ],
)
def test_other_answers_that_make_no_sense_are_told(given, said):
    with pytest.raises(ValueError, match=said):
        asked("8x0.12 1x2", **given)


def test_one_number_stands_for_all_kinds_and_a_list_for_each():
    one = asked("8x0.12 1x2", communication="50ms", price="3")
    assert [(group.communication, group.price) for group in one.groups] == [(0.05, 3.0), (0.05, 3.0)]
    each = asked("8x0.12 1x2", communication="8x0 1x0.5", price="8x2.5 1x0")
    assert [(group.communication, group.price) for group in each.groups] == [(0.0, 2.5), (0.5, 0.0)]


def test_a_heavy_tail_stands_behind_the_seconds_which_are_then_the_median():
    texts = ("lognormal(2)", "pareto(1.2)", "hangs(0.02)")
    groups = asked(" ".join(f"2x0.5~{text}" for text in texts), jitter=0.0).groups
    assert [(group.count, group.seconds, group.tail) for group in groups] == [(2, 0.5, text) for text in texts]
    laws = [Workers(1, Model(1, 0.0, 1e-4).law(group)).compute_time.law(0) for group in groups]
    assert [law.quantile(0.5) for law in laws] == pytest.approx([0.5] * 3, rel=1e-5)
    assert laws[2].cdf(1e300) == pytest.approx(0.98)
    assert str(groups[0]) == "2 × 0.5 s (lognormal(2))"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("8x1~lognormal", r"'8x1~lognormal' can't be read; behind the seconds may stand ~lognormal\(NUMBER\), ~pareto"),
        ("8x1~cauchy(1)", r"'8x1~cauchy\(1\)' can't be read"),
        ("8x1~hangs(often)", r"can't be read"),
        ("8x1~hangs(1)", "workers: hangs = 1, but 0.0001 to 0.9 is needed"),
        ("8x1~lognormal(1000)", "workers: lognormal = 1000, but 0.5 to 100 is needed"),
    ],
)
def test_what_is_no_tail_is_told(text, said):
    with pytest.raises(ValueError, match=said):
        asked(text)


@given(st.text(max_size=30))
def test_any_text_is_machines_or_a_value_error(text):
    try:
        question = asked(text)
    except ValueError:
        return
    assert all(group.count >= 1 and 0 < group.seconds < math.inf for group in question.groups)


def test_a_trace_that_cannot_be_read_is_an_error_with_a_way_out(tmp_path):
    with pytest.raises(ValueError, match="give one of the two"):
        asked_of_trace(tmp_path / "t.csv", "8x1")
    with pytest.raises((ValueError, OSError)):
        asked_of_trace(tmp_path / "t.csv")


# ---- the model


@given(st.integers(1, 1000), st.sampled_from([1e-5, 1e-4, 1e-2]))
def test_the_models_noise_is_what_was_asked_for(B, target):
    model = Model(B, 0.1, target)
    x0 = model.problem().x0
    assert model.problem().sigma2 / model.epsilon == pytest.approx(B, rel=1e-4)
    assert model.epsilon == pytest.approx(target * float(np.sum(model.problem().full_gradient(x0) ** 2)), rel=1e-4)


@pytest.mark.parametrize("jitter", [0.0, 0.1, 1.0])
def test_the_models_times_have_the_mean_and_the_deviation_that_were_given(jitter):
    workers = Model(1, jitter, 1e-4).workers((Group(2, 0.5), Group(1, 2.0, communication=1.0)))
    assert workers.mean_times() == pytest.approx([0.5, 0.5, 3.0], rel=1e-5)
    times = workers.compute_time.law(2).sample(np.random.default_rng(0), 100_000)
    assert times.std() / times.mean() == pytest.approx(jitter, abs=0.01)


@pytest.mark.parametrize("communication", ["0", "3"])
@pytest.mark.parametrize("machines", ["1x1", "8x0.12 4x0.35 1x2.0", "1x0.1 100x5"])
@pytest.mark.parametrize("average", [1, 16, 300])
def test_every_candidate_is_a_method_that_can_be_made(machines, communication, average):
    question = asked(machines, communication=communication, average=average)
    found = candidates(question.groups, question.B)
    assert (
        {"hero_sgd", "ringmaster_asgd", "rennala_sgd", "minibatch_sgd", "asynchronous_sgd"}
        <= set(found)
        <= set(METHODS)
    )
    assert set(SIMPLEST) <= set(words.WHAT)
    found |= candidates(question.groups, question.B, "different")
    found |= candidates(asked("2x1~lognormal(3) 1x2~hangs(0.6)").groups, question.B)
    assert set(found) <= set(SIMPLEST)
    for plan in (plan for plans in found.values() for plan in plans):
        assert plan.built() is not None


def test_the_hero_is_the_first_of_the_machines_that_compute_fastest():
    question = asked("2x1 2x0.5 3x0.7", communication="2x0 2x2 3x0.1", average=4)
    assert candidates(question.groups, 4)["hero_sgd"][0].parameters["worker"] == 2  # messages are none of its business


def test_tuning_finds_a_stepsize_near_the_best_of_a_fine_grid():
    groups, model = (Group(1, 1.0),), Model(8, 0.0, 0.01)
    plan, seconds = tuned(model, groups, candidates(groups, 8)["hero_sgd"])
    all_times = [
        model.times(plan.times(f).built(), groups, (1000, 1001, 1002), cap=2 * seconds) for f in np.geomspace(0.5, 2, 9)
    ]
    assert seconds <= 1.15 * min(np.mean(times) for times in all_times if len(times) == 3)


# ---- what theory says of more machines


def test_more_machines_never_make_the_equilibrium_time_longer():
    question = asked("2x0.2 3x0.5 1x4", average=10)
    for kind in range(3):
        saved = [gain(question, kind, factor) for factor in (1, 2, 4, 8)]
        assert saved[0] == 0
        assert np.all(np.diff(saved) >= -1e-12)


def test_machines_slower_than_the_cutoff_bring_nothing_and_others_do():
    question = asked("4x1.0 1x3.5 1x3.4", average=8)
    assert cutoff(question) == 3.0 == equilibrium_time(np.array([1.0] * 4 + [3.5, 3.4]), 8)
    slow = asked("4x1.0 1x50", average=8)
    assert (gain(slow, 1, 100), enough(slow, 1)) == (0.0, 0)
    assert gain(slow, 0, 2) > 0.3
    assert enough(slow, 0) >= 8


# ---- the answer


def test_what_is_advised_is_the_simplest_of_what_is_as_good_as_the_best(mixed):
    best = mixed.options[0].median
    assert mixed.options[0].plan.method in mixed.tied
    assert mixed.chosen.plan.method == min(mixed.tied, key=SIMPLEST.index)
    for option in mixed.options:
        assert (option.median <= 1.1 * best) <= (option.plan.method in mixed.tied)
        assert (option.median > 1.25 * best) <= (option.plan.method not in mixed.tied)


def test_waiting_for_a_very_slow_machine_is_not_advised_and_leaving_it_out_changes_nothing(mixed):
    assert mixed.chosen.plan.method != "minibatch_sgd"
    least, middle, most = mixed.chosen.sooner(mixed.without[2])
    assert least <= 1.1
    assert 0.9 <= middle <= 1.1
    assert most >= 0.9
    assert mixed.chosen.used[2] < 0.05
    assert mixed.more[2] == (0.0, 0)


def test_the_fast_machines_are_worth_more_than_the_slow_ones(mixed):
    lost = [mixed.chosen.sooner(without)[1] for without in mixed.without]
    assert lost[0] > lost[1] > 0.95
    assert lost[0] > 1.3
    assert sum(mixed.chosen.used) == pytest.approx(1)


def test_costs_are_the_hours_of_a_single_machine_times_the_ratio_times_the_price(mixed):
    # 36,000 steps of 0.1 s are an hour of one machine, at 2 an hour
    assert (mixed.hours_of(mixed.hero), mixed.money_of(mixed.hero)) == (1.0, 2.0)
    assert mixed.chosen.rate == 3 * 2 + 2 * 1 + 0.5
    ratio = mixed.chosen.median / mixed.hero.median
    assert mixed.hours == pytest.approx(ratio)
    assert mixed.money_of(mixed.chosen) == pytest.approx(8.5 * ratio)


def test_only_machines_that_take_part_are_paid():
    question = asked("2x0.1 2x5", price="2x3 2x1", average=1, target=0.02)
    found = advise(question)
    idle = next(option for option in found.options if option.plan.method == "naive_optimal_asgd")
    assert idle.rate == 3.0 * len(idle.plan.parameters["workers"])
    assert found.hero.rate == 3.0
    assert found.money_of(found.hero) == 1.0  # without steps: times one machine alone


@pytest.fixture(scope="module")
def rented():
    """The advice for one's own machine, which is free, beside rented ones."""
    return advise(asked("1x0.1 8x0.12", price="1x0 8x2.5", average=16, **QUICKER))


def test_where_one_machine_alone_is_free_no_price_is_told_relative_to_it(rented):
    assert rented.hero.cost == 0 < rented.chosen.cost
    assert math.isnan(rented.money_of(rented.chosen))
    said = " ".join(words.reasons(rented))
    assert "Cheapest is hero_sgd: it costs nothing, in " in said
    assert "times the time, at no cost: they are needed." in said
    assert "It costs" not in said
    headers, rows = words.methods_table(rented)
    assert "cost" not in headers
    assert {len(row) for row in rows} == {len(headers)}
    # hours make it a price
    hours = dataclasses.replace(rented, question=dataclasses.replace(rented.question, steps=36_000))
    assert hours.money_of(rented.hero) == 0
    assert "It costs about " in " ".join(words.reasons(hours))
    assert words.methods_table(hours)[0][-1] == "cost"


def test_hours_are_told_where_the_advised_plan_missed_the_target_on_a_seed(mixed):
    missed = dataclasses.replace(mixed.chosen, times=(math.inf, *mixed.chosen.times[1:]))
    said = " ".join(words.reasons(dataclasses.replace(mixed, chosen=missed)))
    assert re.search(r"that is about [^(]* \([^()]* to for ever\)", said)


def test_where_all_machines_are_free_it_is_said_once(rented):
    def free(option):
        return None if option is None else dataclasses.replace(option, rate=0.0)

    question = dataclasses.replace(
        rented.question, groups=tuple(dataclasses.replace(group, price=0.0) for group in rented.question.groups)
    )
    for steps in (None, 1000):
        found = dataclasses.replace(
            rented,
            question=dataclasses.replace(question, steps=steps),
            chosen=free(rented.chosen),
            hero=free(rented.hero),
            options=tuple(map(free, rented.options)),
            without=tuple(map(free, rented.without)),
        )
        said = " ".join(words.reasons(found))
        assert said.count("It costs nothing.") == 1
        assert "of the cost" not in said
        assert "at no cost" not in said
        words.methods_table(found)
        words.kinds_table(found)


def test_a_free_machine_that_never_gets_there_is_not_the_cheapest():
    never = Option(Plan("hero_sgd", {"worker": 0}, 0.5), (math.inf,) * 5, (0,), 0.0)
    assert never.cost == math.inf


def test_the_scenario_does_the_measurement_again(mixed, tmp_path):
    path = tmp_path / "scenario.yaml"
    path.write_text(scenario_text(mixed), encoding="utf-8")
    again = study.run(load(path), progress=False)
    assert [run.event_hash for run in again.runs] == [run.event_hash for run in mixed.result.runs]
    times = [summary.time_to_target(run, again.target)[0] for run in again.of(mixed.chosen.plan.method)]
    assert tuple(times) == mixed.chosen.times
    assert asyncsim.run(path, overrides=["seeds=[0]", "stop={iterations: 1}"]).runs


def test_the_page_and_the_text_say_the_same_and_ask_nothing_of_a_network(mixed, tmp_path):
    paths = write(mixed, tmp_path / "advice")
    assert [path.name for path in paths] == ["advice.html", "report.html", "scenario.yaml"]
    page = paths[0].read_text(encoding="utf-8")
    assert words.headline(mixed) in page
    assert not re.search(r"https?://", page.replace("http://www.w3.org/2000/svg", ""))
    assert "script-src 'none'" in page
    assert page.count("<tr") == 2 + len(mixed.options) + len(mixed.slow) + len(MIXED.groups)
    said = words.text(mixed)
    assert f"Use {mixed.chosen.plan.method}" in said
    assert "Without the slowest, 1 × 4 s, it would take " in said
    with pytest.raises(ValueError, match="holds an advice already"):
        check_free(tmp_path / "advice", force=False)
    check_free(tmp_path / "advice", force=True)


def test_one_machine_is_told_to_work_alone():
    found = advise(asked("1x1", average=2, **QUICK))
    assert found.chosen is found.hero
    assert words.headline(found) == "Use one machine alone, plain SGD on a fastest one (1 s a gradient)."
    assert found.without == (None,)
    assert words.kinds_table(found)[1][0][3] == "the only kind"


def test_where_messages_take_far_longer_than_gradients_and_noise_is_small_one_machine_is_best():
    found = advise(asked("4x0.1", communication="50", average=1, **QUICK))
    assert found.chosen is found.hero
    assert "the others bring nothing" in words.headline(found)


def test_without_the_noise_others_are_tried_and_it_is_said():
    found = advise(asked("2x1", jitter=0, target=0.1))
    assert set(found.others) == {4, 64}
    said = " ".join(words.reasons(found))
    assert "was not given; 16 is assumed" in said
    assert "with 64 " in said


def test_the_same_question_has_the_same_answer():
    question = asked("1x1 1x3", average=1, target=0.1)
    one, two = advise(question), advise(question)
    assert (one.chosen.plan, one.chosen.times, one.tied) == (two.chosen.plan, two.chosen.times, two.tied)


# ---- each machine with data of its own


@pytest.fixture(scope="module")
def own():
    """The advice for three kinds of machines with different data."""
    return advise(asked("3x0.1 2x0.3 1x1.0", average=4, steps=36_000, price="1", data="different", **QUICKER))


def test_with_different_data_only_methods_that_weigh_all_machines_alike_are_tried(own):
    tried = {option.plan.method for option in own.options} | set(own.slow)
    assert tried == {
        *("minibatch_sgd", "malenia_sgd", "ringleader_asgd", "ia2_sgd", "rescaled_asgd", "random_assignment_asgd")
    }


def test_the_machines_of_the_model_are_as_unlike_as_is_said():
    for n in (2, 5, 40):
        problem = Model(8, 0.1, 1e-4, "different").problem(n)
        start = problem.full_gradient(problem.x0)
        assert problem.zeta2 == pytest.approx(float(start @ start), rel=1e-4)


def test_a_machine_left_out_is_data_left_out_and_nobody_is_told_to(own):
    said = words.text(own)
    assert words.headline(own) == f"Use {own.chosen.plan.method} on all 6 machines."
    assert "what is learned would leave out their data" in said
    assert "leave them out" not in said
    assert "bring nothing" not in said
    headers, rows = words.kinds_table(own)
    assert "twice as many would save" not in headers
    assert all(len(row) == len(headers) for row in rows)


def test_what_is_assumed_of_different_data_is_said_and_what_ratios_are_to(own, tmp_path):
    page = write(own, tmp_path)[0].read_text(encoding="utf-8")
    assert "ζ² = ‖∇f‖²" in page
    assert "a fastest machine that had the data of all" in page
    assert "constants were simulated" in page
    assert own.hours_of(own.hero) == 1.0
    assert own.hero not in own.options


def test_the_scenario_with_different_data_does_the_measurement_again(own, tmp_path):
    path = tmp_path / "scenario.yaml"
    path.write_text(scenario_text(own), encoding="utf-8")
    again = study.run(load(path), progress=False)
    assert [run.event_hash for run in again.runs] == [run.event_hash for run in own.result.runs]


def test_a_method_whose_noise_grows_with_how_unlike_the_data_are_is_advised_with_caution(own):
    plans = {option.plan.method: option for option in own.options}
    rescaled = dataclasses.replace(own, chosen=plans.get("rescaled_asgd", own.options[0]))
    rescaled = dataclasses.replace(
        rescaled, chosen=dataclasses.replace(rescaled.chosen, plan=Plan("rescaled_asgd", {}, 0.1))
    )
    assert "Careful: rescaled_asgd is this good only if the data are no more unlike" in words.text(rescaled)
    others = dataclasses.replace(own.options[0], plan=Plan("malenia_sgd", {"batch_size": 6}, 0.1))
    assert "Careful" not in words.text(dataclasses.replace(own, chosen=others))


# ---- heavy tails


def test_machines_without_which_nothing_is_reached_are_needed(mixed):
    never = dataclasses.replace(mixed.without[2], times=(math.inf,) * 5)
    said = words.text(dataclasses.replace(mixed, without=(*mixed.without[:2], never)))
    assert "Without the slowest, 1 × 4 s, the target is not reached: they are needed." in said


@pytest.fixture(scope="module")
def heavy():
    """The advice for machines of which half of the gradients never come back."""
    return advise(asked("4x0.2~hangs(0.45)", average=2, **QUICKER))


def test_where_gradients_never_come_back_a_method_is_advised_that_gives_them_up(heavy, tmp_path):
    plan = heavy.chosen.plan
    assert plan.method == "mindflayer_sgd" or plan.parameters.get("stops")
    assert "It needs machines whose running gradient can be given up" in words.text(heavy)
    assert {"hero_sgd", "minibatch_sgd", "asynchronous_sgd"} <= set(heavy.slow)
    path = tmp_path / "scenario.yaml"
    path.write_text(scenario_text(heavy), encoding="utf-8")
    again = study.run(load(path), progress=False)
    assert [run.event_hash for run in again.runs] == [run.event_hash for run in heavy.result.runs]


def test_ratios_are_then_to_a_machine_whose_gradients_are_never_late(heavy):
    assert all(map(math.isfinite, heavy.hero.times))
    assert "a fastest machine none of whose gradients were late" in words.text(heavy)


def test_the_trials_of_mindflayer_are_told_for_each_kind_of_machine():
    groups = asked("2x0.5~lognormal(2) 1x4~pareto(1.1)", average=8).groups
    plan = mindflayer(groups, 8, 0.5, 0.1)
    assert plan.parameters["allotted_times"] == pytest.approx([0.5, 0.5, 4.0], rel=1e-4)
    assert plan.parameters["success_probabilities"] == pytest.approx([0.5] * 3, rel=1e-4)
    assert (
        sum(p * B for p, B in zip(plan.parameters["success_probabilities"], plan.parameters["trials"], strict=True))
        >= 8 - 1e-4
    )
    assert plan.built() is not None


def test_measured_times_with_a_heavy_tail_are_drawn_again_as_they_were(tmp_path):
    slow = [0.1] * 99 + [100.0]
    rows = ["worker,compute_seconds,device", *(f"0,{s},a" for s in slow), *(f"1,{s},b" for s in (0.9, 1.0, 1.1))]
    (tmp_path / "times.csv").write_text("\n".join(rows) + "\n")
    question = asked_of_trace(tmp_path / "times.csv", average=4, data="different")
    a, b = question.groups
    assert (a.seconds, a.law["distribution"], sum(a.law["values"])) == (0.1, "empirical", pytest.approx(sum(slow)))
    assert (b.seconds, b.law) == (1.0, None)
    assert question.jitter == pytest.approx(0.082)
    assert (question.data, question.heavy) == ("different", True)


def test_many_measured_times_are_thinned_to_the_same_mean(tmp_path):
    times = np.random.default_rng(0).pareto(1.5, 4000) + 0.1
    rows = ["worker,compute_seconds", *(f"0,{s!r}" for s in times.tolist())]
    (tmp_path / "times.csv").write_text("\n".join(rows) + "\n")
    (group,) = asked_of_trace(tmp_path / "times.csv").groups
    assert len(group.law["values"]) == 400
    assert np.mean(group.law["values"]) == pytest.approx(times.mean(), rel=1e-4)


@pytest.mark.parametrize("many", [399, 401, 500, 600, 5000])
def test_each_of_the_thinned_times_stands_for_as_many_measured_ones(tmp_path, many):
    times = np.random.default_rng(0).lognormal(0, 2, many)
    rows = ["worker,compute_seconds", *(f"0,{s!r}" for s in times.tolist())]
    (tmp_path / "times.csv").write_text("\n".join(rows) + "\n")
    (group,) = asked_of_trace(tmp_path / "times.csv").groups
    assert len(group.law["values"]) == min(many, 400)
    assert np.mean(group.law["values"]) == pytest.approx(times.mean(), rel=1e-4)
    assert np.median(group.law["values"]) == pytest.approx(np.median(times), rel=0.05)


def stopped_after_a_second(tmp_path, times):
    """A trace of one worker whose gradients are stopped after 1 s."""
    rows = [Row("0", j, 0.0, t) if t <= 1 else Row("0", j, 0.0, 1.0, outcome="stopped") for j, t in enumerate(times)]
    return write_trace(tmp_path / "times.csv", rows)


def test_of_stopped_rows_it_counts_that_they_are_longer_and_it_is_said(tmp_path):
    times = np.random.default_rng(0).exponential(1, 4000).tolist()
    path = stopped_after_a_second(tmp_path, times)
    question = asked_of_trace(path)
    (group,) = question.groups
    assert group.seconds == pytest.approx(np.minimum(times, 1).mean())  # the least that they can be
    assert list(question.notes) == [
        "38% of the rows were not computed to their end (stopped, timed out, lost, in flight): it is counted that their "
        "times are longer",
        "some times are longer than all that were seen to their end (the longest 38% of workers 0): there the law is a "
        "guess",
    ]
    assert question.notes == fit(path).warnings[:2]


def test_a_law_of_stopped_times_is_kaplan_and_meiers_estimate(tmp_path):
    rng = np.random.default_rng(0)
    times, stops = rng.lognormal(0, 1.5, 3000), rng.exponential(20, 3000)
    rows = [
        Row("0", j, 0.0, float(min(t, s)), outcome="arrived" if t <= s else "stopped")
        for j, (t, s) in enumerate(zip(times, stops, strict=True))
    ]
    question = asked_of_trace(write_trace(tmp_path / "times.csv", rows))
    (group,) = question.groups
    seen = Observed.of(times[times <= stops], stops[times > stops])
    assert np.mean(group.law["values"]) == pytest.approx(seen.mean, rel=1e-4)
    assert group.seconds == pytest.approx(np.median(times), rel=0.05)
    assert seen.mean > 1.2 * seen.exact.mean()
    assert question.heavy


def test_the_notes_of_a_trace_stand_on_the_page_and_are_said_by_the_command(command, tmp_path):
    path = stopped_after_a_second(tmp_path, [0.8, 0.9, 1.0, 1.2] * 5)
    code, _, err = command("--trace", str(path), "--gradients-to-average", "1", "--target", "0.1", "-o", "here")
    assert code == 0
    notes = asked_of_trace(path).notes
    assert len(notes) == 2
    assert err.splitlines() == [f"note: {note}" for note in notes]
    page = (tmp_path / "here" / "advice.html").read_text(encoding="utf-8")
    assert all(f"<p>Note: {note}.</p>" in page for note in notes)


def test_of_a_worker_all_of_whose_messages_were_cut_their_seconds_are_the_least_there_can_be(tmp_path):
    rows = [*(Row("0", j, 0.0, 1.0, 0.1) for j in range(5)), Row("1", 0, 0.0, 2.0, 0.3, "stopped")]
    first, second = asked_of_trace(write_trace(tmp_path / "times.csv", rows)).groups
    assert (first.seconds, first.communication) == pytest.approx((1.0, 0.1))
    assert (second.seconds, second.communication) == pytest.approx((2.0, 0.3))


def test_a_worker_without_a_whole_gradient_is_left_out_and_it_is_said(tmp_path):
    rows = [*(Row("0", j, 0.0, 1.0) for j in range(5)), Row("1", 0, 0.0, 9.0, outcome="stopped")]
    question = asked_of_trace(write_trace(tmp_path / "times.csv", rows))
    assert question.n == 1
    assert "no gradient of workers 1 was computed to its end: they are left out" in question.notes


def test_machines_that_never_deliver_are_told():
    with pytest.raises(ValueError, match="no method reached the target"):
        advise(asked("1x1~hangs(0.9)", average=1, data="different", target=1e-4))


# ---- against simulation of everything


@pytest.mark.parametrize(
    "question",
    [
        asked("4x0.12 2x0.35 1x2.0", average=8, **QUICK),
        asked("6x0.5", average=8, **QUICK),
        asked("1x0.1 6x1.5", average=2, **QUICK),
        asked("4x1.0 2x2.0", communication="3", average=8, **QUICK),
        asked("3x0.2 3x0.3", communication="3x0.05 3x1.0", jitter=0.8, average=4, **QUICK),
        asked("3x0.12 2x0.35 1x1.0", average=4, data="different", **QUICKER),
        asked("4x0.2~lognormal(2)", average=2, **QUICKER),
    ],
    ids=["mixed", "equal", "one fast", "far apart", "irregular", "own data", "heavy tails"],
)
def test_no_method_on_a_grid_is_much_quicker_than_what_is_advised(question):
    """The wide grids, at full size, are in benchmarks/advise_check.py."""
    found = advise(question)
    model = Model(question.B, question.jitter, question.target, question.data)
    n, B = question.n, question.B
    parameters = [("minibatch_sgd", {"batch_size": b}) for b in (1, 2)]
    if question.data == "different":
        parameters += [("malenia_sgd", {"batch_size": b * n}) for b in (1, 2, 4)]
        parameters += [("ringleader_asgd", {}), ("ia2_sgd", {}), ("rescaled_asgd", {})]
    alike = question.data == "same"
    parameters += [
        (name, {key: c})
        for c in (1, B, n)
        if alike
        for name, key in (("rennala_sgd", "batch_size"), ("ringmaster_asgd", "threshold"))
    ]
    if alike:
        parameters += [(name, {"local_steps": 4}) for name in ("local_sgd", "dual_local_sgd")]
        parameters += [("asynchronous_sgd", {})]
    cap = found.chosen.median / 1.25
    for name, chosen in parameters:
        for stepsize in (0.03, 0.06, 0.12, 0.25, 0.5, 1.0):
            plan = Plan(name, chosen, stepsize).built()
            times = model.times(plan, question.groups, SEEDS[:3], cap=1.3 * cap, points=100)
            assert len(times) < 3 or np.mean(times) > cap, (found.chosen, name, chosen, stepsize, times)


def test_adding_a_machine_never_makes_the_advised_plan_slower_beyond_noise():
    model = Model(4, 0.1, 1e-4)

    def seconds(machines):
        groups = asked(machines, average=4).groups
        plan, _ = tuned(model, groups, candidates(groups, 4)["ringmaster_asgd"])
        return np.median(model.times(plan.built(), groups, range(12)))

    before = seconds("2x0.2 1x0.5")
    for more in ("3x0.2 1x0.5", "2x0.2 2x0.5", "2x0.2 1x0.5 1x10"):
        assert seconds(more) <= 1.15 * before


def test_an_option_that_was_not_reached_is_infinitely_later():
    plan = Plan("hero_sgd", {"worker": 0}, 0.5)
    there, never = Option(plan, (1.0, 2.0), (0,)), Option(plan, (math.inf, math.inf), (0,))
    assert there.sooner(never) == (math.inf, math.inf, math.inf)
    assert Question((Group(1, 1.0),)).B == 16


def test_a_seed_on_which_neither_option_was_reached_says_nothing_of_who_is_sooner():
    plan, inf = Plan("hero_sgd", {"worker": 0}, 0.5), math.inf
    one, other = Option(plan, (1.0, 1.0, inf, 1.0, 1.0), (0,)), Option(plan, (9.0, 8.0, inf, 1.0, 2.0), (0,))
    assert one.sooner(other) == (1.0, 5.0, 9.0)
    never = Option(plan, (inf,) * 5, (0,))
    assert all(map(math.isnan, never.sooner(never)))
    assert words._range(never.sooner(never)) == "—"


# ---- the command


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Runs `asyncsim advise` in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main(["advise", *arguments])
        return (end.value.code, *capsys.readouterr())

    return run


def test_the_command_tells_the_advice_and_leaves_a_page_a_report_and_a_scenario(command):
    given = ("--workers", "2x1 1x9", "--price", "2", "--gradients-to-average", "1", "--target", "0.05", "-o", "here")
    code, out, err = command(*given)
    assert (code, err) == (0, "")
    assert out.startswith("Use ")
    assert re.search(r"^machines +of the used gradients +time without them", out, re.MULTILINE)
    assert out.splitlines()[-3:] == [
        "advice: here/advice.html",
        "report: here/report.html",
        "scenario: here/scenario.yaml",
    ]
    assert load("here/scenario.yaml").name == "advice"
    assert command(*given)[0] == 2  # there is one already
    assert command(*given, "--force", "--quiet")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "workers: nothing is given"),
        (("--workers", "8y2"), "workers: '8y2' can't be read"),
        (("--workers", "8x1", "--price", "3x1"), "price: machines 3, but --workers has 8"),
        (("--workers", "8x1", "--jitter", "9"), "jitter = 9"),
        (("--workers", "8x1", "--trace", "t.csv"), "give one of the two"),
        (("--workers", "8x1", "--data", "mine"), "data = 'mine', but same or different is needed"),
        (("--workers", "8x1~slow(2)"), "can't be read; behind the seconds may stand"),
    ],
)
def test_the_command_tells_what_cannot_be_understood_and_writes_nothing(command, tmp_path, arguments, said):
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_machines_may_be_free(command):
    given = ("--workers", "1x0.1 2x0.12", "--gradients-to-average", "2", "--target", "0.1")
    assert command(*given, "--price", "1x0 2x2.5", "-o", "one")[0] == 0
    assert command(*given, "--price", "0", "--steps", "1000", "-o", "two")[0] == 0


def test_measured_times_take_the_place_of_workers(tmp_path):
    """Two workers of one device and a slow one: two kinds of machines, with the means of their times."""
    rows = ["worker,compute_seconds,device", *(f"{w},{s},{d}" for w, s, d in _MEASURED)]
    (tmp_path / "times.csv").write_text("\n".join(rows) + "\n")
    question = asked_of_trace(tmp_path / "times.csv", "")
    assert sorted((group.count, round(group.seconds, 3)) for group in question.groups) == [(1, 2.0), (2, 0.2)]


_MEASURED = [
    (w, s, d) for w, d, times in ((0, "a", (0.1, 0.3)), (1, "a", (0.2, 0.2)), (2, "b", (1.5, 2.5))) for s in times
]
