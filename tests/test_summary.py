"""Who got there first, in a table, a sentence and a cause: honest about seeds, resolution and endings."""

import math
from dataclasses import replace

import numpy as np
import pytest
from factories import METHODS, make_result, make_run
from hypothesis import given
from hypothesis import strategies as st

from asyncsim.result import CURVES, Result, Run, no_curves
from asyncsim.summary import cause, number, ranked, sentence, summarise, table, time_to_target, verdict

TARGET = {"squared_gradient_norm": 1e-3}
FIVE = (0, 1, 2, 3, 4)
TEN = tuple(range(10))


def curve_run(label: str, seed: int, norms: list[float], end: float | None = None, **changes: object) -> Run:
    """A run with one record point a second and these ‖∇f‖²."""
    curves = {name: np.full(len(norms), math.nan) for name in CURVES}
    curves["time"] = np.arange(len(norms), dtype=float)
    curves["squared_gradient_norm"] = np.array(norms)
    run = Run(
        label,
        label,
        {},
        seed=seed,
        n=1,
        status="finished",
        time=len(norms) - 1.0 if end is None else end,
        curves=curves,
    )
    return replace(run, **changes)


def reach(run: Run) -> float:
    return time_to_target(run, TARGET)[0]


# ------------------------------------------------------------------------------------------ numbers


def test_the_time_to_the_target_is_that_of_the_first_record_point_that_meets_it() -> None:
    run = curve_run("a", 0, [1.0, 0.1, 1e-3, 0.1, 1e-4])
    assert time_to_target(run, TARGET) == (2.0, 1.0)
    assert time_to_target(run, {"squared_gradient_norm": 1.0}) == (0.0, 0.0)


def test_a_target_that_was_never_met_is_infinitely_late() -> None:
    time, resolution = time_to_target(curve_run("a", 0, [1.0, math.nan, math.inf]), TARGET)
    assert time == math.inf
    assert math.isnan(resolution)


def test_without_a_target_there_is_no_time_to_it() -> None:
    assert all(map(math.isnan, time_to_target(make_run(), None)))


def test_a_summary_has_medians_over_seeds_and_the_largest_delay_of_all() -> None:
    delays = [np.array([[seed, 1, 1]]) for seed in (0, 4, 5)]
    runs = tuple(
        curve_run("a", seed, [1.0] * points, iterations=points, delays=delays[seed])
        for seed, points in enumerate((3, 10, 4))
    )
    (summary,) = summarise(Result("x", runs))
    assert (summary.iterations, summary.time, summary.seeds) == (4, 3.0, 3)
    assert (summary.mean_delay, summary.largest_delay) == (4.0, 5)
    assert summary.statuses == {"finished": 3}


def test_the_median_time_is_infinite_when_half_of_the_seeds_did_not_get_there() -> None:
    result = make_result(methods=("hero_sgd",), seeds=(0, 1, 2, 3), reached=lambda _, seed: 9.0 if seed < 2 else None)
    (summary,) = summarise(result)
    assert summary.time_to_target == math.inf
    assert summary.reached == 2


def test_methods_are_ranked_by_time_then_by_the_last_gradient() -> None:
    result = make_result(
        methods=("minibatch_sgd", *METHODS), reached={"rennala_sgd": 30.0, "asynchronous_sgd": 20.0}, seeds=(0,)
    )
    assert [summary.label for summary in ranked(result)][:2] == ["asynchronous_sgd", "rennala_sgd"]


# ------------------------------------------------------------------------------------------ the sentence


def test_a_clear_winner_is_named_with_its_time_and_lead() -> None:
    assert sentence(make_result(seeds=FIVE)) == (
        "ringmaster_asgd reached ‖∇f‖² ≤ 1e-3 after 15 s, 2 times sooner than rennala_sgd (5 of 5 seeds)."
    )


def test_one_seed_is_one_seed() -> None:
    assert sentence(make_result(seeds=(7,))).endswith("2.1 times sooner than rennala_sgd (1 seed).")


def test_a_winner_that_alone_got_there_is_said_to_be_alone() -> None:
    assert sentence(make_result(reached={"rennala_sgd": 20.0})) == (
        "rennala_sgd reached ‖∇f‖² ≤ 1e-3 after 21 s; no other method did within 60 s (3 of 3 seeds)."
    )
    two = make_result(methods=METHODS[:2], reached={"rennala_sgd": 20.0})
    assert sentence(two).endswith("after 21 s; ringmaster_asgd did not within 60 s (3 of 3 seeds).")


def test_of_losers_that_got_there_with_some_seeds_it_is_said_with_how_many() -> None:
    def reached(label: str, seed: int) -> float | None:
        return {"rennala_sgd": 10.0, "ringmaster_asgd": 50.0 if seed < 2 else None}.get(
            label, 55.0 if seed < 1 else None
        )

    two = make_result(methods=METHODS[:2], seeds=FIVE, reached=reached)
    assert sentence(two).endswith("; ringmaster_asgd did with 2 of 5 seeds only (5 of 5 seeds).")
    three = make_result(seeds=FIVE, reached=reached)
    assert sentence(three).endswith("; no other method did with more than 2 of 5 seeds (5 of 5 seeds).")


def test_nobody_there_means_no_winner_and_the_closest_is_named() -> None:
    assert sentence(make_result(reached=False, seeds=(0,))) == (
        "There is no clear winner: no method reached ‖∇f‖² ≤ 1e-3; "
        "ringmaster_asgd came closest with ‖∇f‖² = 0.18 after 60 s."
    )


def test_of_methods_that_all_diverged_none_is_said_to_be_the_closest() -> None:
    plain = make_result(methods=("hero_sgd", "rennala_sgd"), reached=False, seeds=(0,))
    runs = []
    for run in plain.runs:
        norms = np.append(run.curves["squared_gradient_norm"][:-1], math.inf)
        runs.append(replace(run, status="diverged", curves={**run.curves, "squared_gradient_norm": norms}))
    assert sentence(replace(plain, runs=tuple(runs))) == (
        "There is no clear winner: no method reached ‖∇f‖² ≤ 1e-3. hero_sgd diverged. rennala_sgd diverged."
    )


def test_a_gap_within_the_resolution_of_the_record_is_no_win() -> None:
    result = make_result(reached={"ringmaster_asgd": 20.0, "rennala_sgd": 20.5})
    assert sentence(result) == (
        "There is no clear winner: ringmaster_asgd and rennala_sgd both reached ‖∇f‖² ≤ 1e-3 after about 21 s; "
        "their gap of 0 s is within the record's resolution of 1.5 s."
    )


def test_seeds_that_disagree_are_no_win() -> None:
    times = {"ringmaster_asgd": 20.0, "rennala_sgd": 30.0}
    result = make_result(
        reached=lambda label, seed: times.get(label, 50.0) * (0.5 if seed == 1 and label in times else 1)
    )
    swapped = make_result(
        reached=lambda label, seed: {"ringmaster_asgd": 20.0, "rennala_sgd": 10.0 if seed == 1 else 30.0}.get(label)
    )
    assert verdict(result).clear
    assert sentence(swapped) == (
        "There is no clear winner: ringmaster_asgd was sooner than rennala_sgd with 2 of 3 seeds, rennala_sgd with 1."
    )


def test_seeds_too_close_to_tell_are_counted_apart() -> None:
    times = {"ringmaster_asgd": (20, 20, 20), "rennala_sgd": (30, 20, 10)}
    result = make_result(methods=METHODS[:2], reached=lambda label, seed: float(times[label][seed]))
    judged = verdict(result)
    assert (judged.clear, judged.wins) == (False, 1)
    assert judged.why.endswith("with 1 of 3 seeds, rennala_sgd with 1, and 1 too close to tell")


@pytest.mark.parametrize(
    ("seeds", "lost", "clear"), [(FIVE, 0, True), (FIVE, 1, False), (TEN, 2, True), (TEN, 3, False)]
)
def test_a_clear_winner_wins_all_of_five_seeds_or_four_fifths_of_more(
    seeds: tuple[int, ...], lost: int, clear: bool
) -> None:
    result = make_result(
        methods=METHODS[:2],
        seeds=seeds,
        reached=lambda label, seed: 20.0 if label == "ringmaster_asgd" else (10.0 if seed < lost else 40.0),
    )
    judged = verdict(result)
    assert (judged.best, judged.clear, judged.wins) == ("ringmaster_asgd", clear, len(seeds) - lost)


def test_the_winner_has_to_beat_every_other_method_not_only_the_second() -> None:
    times = {"ringmaster_asgd": (20, 20, 20), "rennala_sgd": (30, 30, 30), "asynchronous_sgd": (10, 40, 40)}
    result = make_result(reached=lambda label, seed: float(times[label][seed]))
    judged = verdict(result)
    assert (judged.clear, judged.runner_up) == (False, "asynchronous_sgd")
    assert judged.why == "ringmaster_asgd was sooner than asynchronous_sgd with 2 of 3 seeds, asynchronous_sgd with 1"


def test_a_method_that_got_there_with_some_seeds_only_is_no_clear_winner() -> None:
    result = make_result(reached=lambda label, seed: 20.0 if (label, seed) == ("rennala_sgd", 1) else None)
    assert sentence(result) == (
        "There is no clear winner: rennala_sgd came first, but reached ‖∇f‖² ≤ 1e-3 with 1 of 3 seeds only."
    )


def test_a_run_that_ended_early_proves_nothing_about_the_time_after() -> None:
    there = curve_run("a", 0, [1.0] * 10 + [1e-4])
    short = curve_run("b", 0, [1.0] * 4)
    assert verdict(Result("x", (there, short), TARGET)).why == "b ended before the time at which a reached ‖∇f‖² ≤ 1e-3"


@pytest.mark.parametrize("status", ["diverged", "stalled", "failed"])
def test_a_run_that_ended_for_good_is_beaten_and_its_ending_said(status: str) -> None:
    there = curve_run("a", 0, [1.0] * 10 + [1e-4])
    broken = curve_run("b", 0, [1.0] * 4, status=status)
    assert sentence(Result("x", (there, broken), TARGET)) == (
        f"a reached ‖∇f‖² ≤ 1e-3 after 10 s; b did not within 3 s (1 seed). b {status}."
    )


def test_endings_with_some_seeds_are_counted() -> None:
    result = make_result(seeds=(0, 1))
    runs = [replace(run, status="interrupted") if run.seed and "ring" in run.label else run for run in result.runs]
    assert sentence(replace(result, runs=tuple(runs))).endswith("ringmaster_asgd was interrupted with 1 of 2 seeds.")


def test_methods_without_a_common_seed_are_not_compared() -> None:
    runs = (curve_run("a", 0, [1.0, 1e-4]), curve_run("b", 1, [1.0, 1.0, 1e-4]))
    assert verdict(Result("x", runs, TARGET)).why == "a and b have no seed in common"


def test_a_target_met_at_the_start_has_no_ratio() -> None:
    runs = (curve_run("a", 0, [1e-4, 1e-4]), curve_run("b", 0, [1.0, 1e-4]))
    assert sentence(Result("x", runs, TARGET)) == "a reached ‖∇f‖² ≤ 1e-3 after 0 s, b after 1 s (1 seed)."


def test_a_single_method_is_told_without_a_race() -> None:
    one = ("hero_sgd",)
    assert sentence(make_result(methods=one)) == "hero_sgd reached ‖∇f‖² ≤ 1e-3 after 15 s (3 of 3 seeds)."
    assert sentence(make_result(methods=one, reached=False, seeds=(0,))) == (
        "hero_sgd did not reach ‖∇f‖² ≤ 1e-3 within 60 s; it ended at ‖∇f‖² = 0.18 (1 seed)."
    )
    assert sentence(make_result(methods=one, reached=lambda _, seed: 20.0 if seed == 1 else None)) == (
        "hero_sgd reached ‖∇f‖² ≤ 1e-3 with 1 of 3 seeds only, within 60 s."
    )
    assert sentence(make_result(methods=one, target=None)) == (
        "hero_sgd ended at ‖∇f‖² = 9.97e-7 after 60 s (median of 3 seeds)."
    )


def test_without_a_target_the_last_gradients_are_compared() -> None:
    runs = [curve_run("a", seed, [1.0, 0.02]) for seed in (0, 1)] + [
        curve_run("b", seed, [1.0, 0.08]) for seed in (0, 1)
    ]
    assert sentence(Result("x", tuple(runs))) == (
        "a has the smallest ‖∇f‖² after 1 s, 0.02, 4 times smaller than b (2 of 2 seeds)."
    )


def test_without_a_target_a_longer_run_has_no_advantage() -> None:
    runs = (curve_run("a", 0, [1.0, 0.5, 0.4, 0.001]), curve_run("b", 0, [1.0, 0.2]))
    assert sentence(Result("x", runs)) == "b has the smallest ‖∇f‖² after 1 s, 0.2, 2.5 times smaller than a (1 seed)."


def test_without_a_target_a_few_percent_are_no_win() -> None:
    runs = (curve_run("a", 0, [1.0, 0.100]), curve_run("b", 0, [1.0, 0.104]))
    assert sentence(Result("x", runs)) == (
        "There is no clear winner: the last ‖∇f‖² of a and b differ by 5 % or less with 1 seed."
    )


def test_without_a_target_a_diverged_run_loses_whatever_its_last_point() -> None:
    runs = (curve_run("a", 0, [1.0, 0.5]), curve_run("b", 0, [1.0, 1e-9], status="diverged"))
    assert sentence(Result("x", runs)) == "a has the smallest ‖∇f‖² after 1 s, 0.5 against ∞ of b (1 seed). b diverged."


def test_without_gradients_values_are_compared_even_negative_ones() -> None:
    runs = []
    for label, value in (("a", -3.0), ("b", -2.0)):
        run = curve_run(label, 0, [math.nan, math.nan])
        runs.append(replace(run, curves=run.curves | {"value": np.array([0.0, value])}))
    assert sentence(Result("x", tuple(runs))) == "a has the smallest f after 1 s, −3 against −2 of b (1 seed)."


def test_timing_only_runs_have_no_winner() -> None:
    runs = (curve_run("a", 0, [math.nan] * 3, iterations=1200), curve_run("b", 0, [math.nan] * 3, iterations=30))
    for target in (None, TARGET):
        assert sentence(Result("x", runs, target)) == (
            "This problem has no function, so there is no winner to name: "
            "a made 1,200 iterations in 2 s and b made 30 iterations in 2 s (1 seed)."
        )
        assert verdict(Result("x", runs, target)).why == "this problem has no function"
        assert cause(Result("x", runs, target)).startswith("a made 600 against b's 15 iterations")


def test_of_more_than_three_timing_only_methods_the_quickest_and_the_slowest_are_named() -> None:
    runs = tuple(
        curve_run(label, 0, [math.nan] * 3, iterations=k) for label, k in zip("abcd", (30, 1200, 9, 70), strict=True)
    )
    assert sentence(Result("x", runs)) == (
        "This problem has no function, so there is no winner to name: b made the most iterations a simulated second, "
        "1,200 in 2 s, c the fewest, 9 in 2 s (1 seed)."
    )


def test_nothing_run_is_said() -> None:
    assert sentence(Result("x", ())) == cause(Result("x", ())) == "Nothing has been run."
    assert table(Result("x", ()))[1] == []


def test_runs_that_have_not_begun_are_no_obstacle() -> None:
    runs = tuple(Run(label, label, {}, seed=0, n=1, curves=no_curves()) for label in "ab")
    result = Result("x", runs, TARGET)
    assert "a has not begun. b has not begun." in sentence(result)
    assert cause(result).startswith("a and b have about the same counts")
    assert len(table(result)[1]) == 2


@given(st.permutations(METHODS), st.lists(st.sampled_from([None, 10.0, 20.0, 20.4, 40.0]), min_size=9, max_size=9))
def test_the_winner_does_not_depend_on_the_order_of_the_methods(order: list[str], times: list[float | None]) -> None:
    def reached(label: str, seed: int) -> float | None:
        return times[3 * METHODS.index(label) + seed]

    first = make_result(reached=reached, points=13, n=2)
    ordered = sorted(first.runs, key=lambda run: order.index(run.label))
    judged, again = verdict(first), verdict(replace(first, runs=tuple(ordered)))
    assert judged.clear == again.clear
    if judged.clear:
        assert judged.best == again.best
        best = {run.seed: reach(run) for run in first.of(judged.best or "")}
        others = [run for run in first.runs if run.label != judged.best]
        assert all(best[run.seed] < reach(run) for run in others)
    else:
        assert judged.why


# ------------------------------------------------------------------------------------------ cause and table


def test_the_cause_names_the_counts_that_differ() -> None:
    result = make_result(methods=("ringmaster_asgd", "minibatch_sgd"), seeds=(0,))
    assert cause(result) == (
        "ringmaster_asgd made 2.62 against minibatch_sgd's 0.3 iterations a simulated second, "
        "used 66 % (34 % discarded) against 100 % of the gradients that ended, had a mean delay of 3.1 against 0 "
        "and kept its workers busy 100 % against 67 % of the time."
    )


def test_the_cause_of_one_method_lists_its_counts() -> None:
    assert cause(make_result(methods=("hero_sgd",), seeds=(0,))) == (
        "hero_sgd made 0.883 iterations a simulated second, used 100 % of the gradients that ended, "
        "had a mean delay of 0 and kept its workers busy 12 % of the time."
    )


def test_equal_counts_are_no_cause() -> None:
    result = make_result(methods=("hero_sgd", "hero_sgd"), seeds=(0,))
    assert cause(result) == "hero_sgd and hero_sgd 2 have about the same counts of work, delay and waiting."


def test_the_table_has_one_row_a_method_the_best_first() -> None:
    headers, rows = table(make_result(methods=("minibatch_sgd", "ringmaster_asgd"), reached={"ringmaster_asgd": 20.0}))
    assert headers == [
        *("method", "to target", "resolution", "time", "iterations", "f − f*", "‖∇f‖²", "mean ‖∇f‖²"),
        *("used", "discarded", "stopped", "delay: mean, largest", "busy", "wall-clock"),
    ]
    assert [row[:4] for row in rows] == [
        ["ringmaster_asgd", "21 s", "1.5 s", "60 s"],
        ["minibatch_sgd", "not reached", "—", "60 s"],
    ]
    assert all(len(row) == len(headers) for row in rows)


def test_the_table_says_with_how_many_seeds_the_target_was_met() -> None:
    result = make_result(methods=("hero_sgd",), reached=lambda _, seed: 20.0 if seed else None)
    assert table(result)[1][0][1] == "21 s (2 of 3)"


def test_the_table_leaves_out_what_is_not_known_and_shows_what_is_unusual() -> None:
    runs = tuple(replace(run, status="diverged") if run.seed else run for run in make_result(target=None).runs)
    runs = tuple(replace(run, curves=run.curves | {"suboptimality": run.curves["value"] * math.nan}) for run in runs)
    lost = runs[0].workers | {"lost": np.array([3])}
    headers, rows = table(Result("x", (replace(runs[0], workers=lost), *runs[1:])))
    assert "to target" not in headers
    assert "f" in headers
    assert "f − f*" not in headers
    assert "timed out" not in headers
    assert headers[-1] == "ended"
    assert rows[0][-1] == "finished 1, diverged 2"


def test_a_lost_gradient_gives_its_column() -> None:
    run = make_run()
    lost = replace(run, workers=run.workers | {"lost": np.array([3])})
    headers, rows = table(Result("x", (lost,)))
    assert rows[0][headers.index("lost")] == "3"


@given(st.floats(min_value=1e-300, max_value=1e300))
def test_numbers_keep_three_digits(value: float) -> None:
    text = number(value)
    assert math.isclose(float(text), value, rel_tol=0.0051)
    assert len(text) <= 9


# ------------------------------------------------------------------------------------------ more is better


def accuracy_run(label: str, shares: list[float]) -> Run:
    run = curve_run(label, 0, [1.0] * len(shares))
    return replace(run, curves={**run.curves, "test_accuracy": np.array(shares)})


def test_a_target_in_the_test_accuracy_is_met_from_below() -> None:
    run = accuracy_run("a", [0.1, 0.8, 0.9, 0.7])
    assert time_to_target(run, {"test_accuracy": 0.9}) == (2.0, 1.0)
    assert time_to_target(run, {"test_accuracy": 0.95})[0] == math.inf


def test_among_methods_that_miss_it_the_one_with_the_higher_test_accuracy_comes_first() -> None:
    runs = (accuracy_run("low", [0.1, 0.3]), accuracy_run("high", [0.1, 0.6]))
    result = Result("x", runs, target={"test_accuracy": 0.9})
    assert [summary.label for summary in ranked(result)] == ["high", "low"]
    assert sentence(result) == (
        "There is no clear winner: no method reached test accuracy ≥ 0.9; high came closest with test accuracy = 0.6 "
        "after 1 s."
    )


def test_a_winner_by_test_accuracy_is_named() -> None:
    runs = (accuracy_run("slow", [0.1, 0.3, 0.4, 0.95]), accuracy_run("fast", [0.1, 0.92, 0.95, 0.95]))
    result = Result("x", runs, target={"test_accuracy": 0.9})
    assert sentence(result) == "fast reached test accuracy ≥ 0.9 after 1 s, 3 times sooner than slow (1 seed)."
