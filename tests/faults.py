"""The table of faults in the README: what may go wrong, what is promised then, how often it was tried, how it went.

    python tests/faults.py                  run the tests of all faults, write the table into README.md
    python tests/faults.py --only 3 13      run those of some; nothing is written
    python tests/faults.py --list           what is tested where; nothing is run
    python tests/faults.py --told LOG …     also put the last line of these logs (soak, kills, fuzzing) under the table

The counts are those of the run that wrote the table. A test counts as often as it is parametrized, a hypothesis test by
its examples, and one that loops over kills or damaged files says how many these were (``record_property("tries", …)``).
A fault without a test, and a test that is not there, fail tests/test_faults.py.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import functools
import platform
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- faults: written by tests/faults.py -->", "<!-- end of faults -->"


@dataclasses.dataclass(frozen=True)
class Fault:
    """One line of the table; `tests` as ``file::function`` below tests/, each with all its cases."""

    what: str
    promise: str
    tests: tuple[str, ...]


def _in(file: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{file}.py::test_{name}" for name in names)


FAULTS = {
    1: Fault(
        "a run is killed (SIGKILL) at any moment",
        "no committed row is lost; `resume` ends bit for bit as an undisturbed run",
        (
            *_in("test_study", "killed_at_any_moment_and_taken_up_it_ends_with_the_same_bits"),
            *_in("test_study", "killed_right_after_a_checkpoint_it_goes_on_from_there"),
            *_in("test_soak", "processes_killed_ten_times_at_random_moments_end_with_the_same_bits"),
            *_in("test_folder", "kill_9_loses_no_row_that_was_flushed", "rows_half_written_when_killed_do_not_count"),
            *_in("test_folder", "starts_that_were_killed_at_random_moments_never_hinder_the_next"),
            *_in("methods/test_every_method", "killed_and_taken_up_again_it_ends_with_the_same_bits"),
            *_in("methods/test_every_method", "taken_up_at_every_single_step_it_ends_with_the_same_bits"),
            *_in("test_sweep", "killed_in_the_middle_no_finished_run_is_played_again"),
            *_in("test_sweep", "a_tuning_run_that_was_killed_goes_on_from_its_checkpoint"),
            *_in("test_sweep", "killed_when_the_winners_run_it_chooses_the_same_again"),
            *_in("test_soak", "a_sweep_killed_at_random_moments_chooses_the_same"),
        ),
    ),
    2: Fault(
        "killed while a checkpoint is written",
        "the checkpoint before it is used",
        (
            *_in("test_faults", "killed_while_a_checkpoint_is_written_the_one_before_is_used"),
            *_in("test_folder", "a_checkpoint_half_written_when_killed_does_not_count"),
        ),
    ),
    3: Fault(
        "torn or flipped bytes in a checkpoint, table or manifest",
        "refused by name, the older checkpoint is used; never other numbers",
        (
            *_in("test_damage", "a_finished_folder_with_any_damage_is_refused_by_name_or_reads_the_same"),
            *_in("test_damage", "a_killed_folder_with_any_damage_is_refused_by_name_or_ends_the_same"),
            *_in("test_damage", "a_killed_sweep_with_a_damaged_checkpoint_chooses_the_same"),
            *_in("test_folder", "a_damaged_checkpoint_is_refused_by_name_and_the_older_one_is_used"),
            *_in("test_folder", "overwritten_pages_are_refused_by_the_name_of_the_file"),
            *_in("test_folder", "a_truncated_table_is_refused_also_for_going_on"),
        ),
    ),
    4: Fault(
        "disk full, or not to be written to",
        "a message, an exit code that is not 0, earlier data readable",
        (
            *_in("test_faults", "on_a_full_file_system_a_run_ends_with_a_line_and_what_it_wrote_can_be_read"),
            *_in("test_faults", "a_file_system_that_cannot_be_written_is_told_in_a_line_and_reading_goes_on"),
            *_in("test_folder", "a_full_disk_is_said_and_earlier_rows_stay_readable"),
            *_in("test_folder", "a_folder_that_may_not_be_written_can_be_read", "a_folder_that_cannot_be_made_is_said"),
            *_in("test_cli", "a_full_disk_or_a_forbidden_place_is_told_in_a_line"),
        ),
    ),
    5: Fault(
        "Ctrl-C or SIGTERM; a second one",
        "everything kept, exit code 130 or 143 after the step at hand; the second ends it at once",
        (
            *_in("test_cli", "a_signal_ends_a_run_that_can_be_resumed"),
            *_in("test_study", "a_signal_ends_it_with_everything_so_far_kept_and_it_can_be_taken_up"),
            *_in("test_faults", "the_second_signal_ends_a_step_that_never_ends"),
            *_in("test_parallel", "a_second_signal_ends_all_at_once"),
            *_in("test_parallel", "after_a_signal_each_process_ends_after_its_step_and_all_is_taken_up"),
            *_in("test_sweep", "a_signal_ends_a_sweep_with_all_kept_and_it_is_taken_up"),
        ),
    ),
    6: Fault(
        "a gradient that is NaN or infinite",
        "the run ends as diverged and says worker and iteration; it is never averaged",
        _in("test_server", "a_gradient_that_is_not_finite_ends_the_run_as_diverged"),
    ),
    7: Fault(
        "a sampled time that is NaN, negative, text, an array; +inf; only zeros",
        "an error that names worker, law and draw; +inf never returns; a guard ends time that stands still",
        (
            *_in("test_simulation", "a_time_that_is_none_is_an_error_that_names_worker_law_and_draw"),
            *_in("test_simulation", "a_sample_that_is_none_is_an_error_that_names_worker_law_and_draw"),
            *_in("test_simulation", "what_never_returns_stalls_a_method_that_waits_for_it"),
            *_in("test_simulation", "arrivals_without_time_are_an_error", "deadlines_without_time_are_an_error"),
            *_in("test_server", "steps_without_a_receive_end_the_run_with_a_named_error"),
        ),
    ),
    8: Fault(
        "time that runs backwards",
        "virtual time never decreases; real time is the monotonic clock",
        (
            *_in("test_server_machine", "the_rules_of_the_server_hold_whatever_is_done_and_wherever_it_is_killed"),
            *_in("test_verify", "time_that_runs_backwards_is_a_breach"),
            *_in("test_faults", "no_engine_reads_a_clock_that_can_be_set"),
            *_in("test_soak", "a_drawn_scenario_keeps_all_rules_played_twice_and_taken_up"),
        ),
    ),
    9: Fault(
        "a worker that never returns",
        "methods that can go on do; the others end with \"stalled: waiting for workers {…}\"",
        (
            *_in("methods/test_every_method", "a_worker_that_never_returns_stalls_only_those_that_wait_for_it"),
            *_in("test_simulation", "receiving_from_the_living_for_ever_is_a_stall_when_no_step_comes"),
        ),
    ),
    10: Fault(
        "a real worker raises, dies, hangs, answers late",
        "counted, replaced up to a limit; a late answer is dropped",
        (
            *_in("cluster/test_engine", "a_run_goes_on_when_two_workers_are_killed", "a_hung_worker_is_found_and_replaced"),
            *_in("cluster/test_engine", "a_worker_that_keeps_dying_is_given_up_and_the_others_go_on"),
            *_in("cluster/test_engine", "a_job_that_raises_is_sent_again_and_counted", "every_gradient_is_counted_once"),
            *_in("cluster/test_engine", "a_worker_that_keeps_raising_fails_the_run_and_says_who_and_where"),
            *_in("cluster/test_faults", "workers_of_a_machine_that_goes_are_replaced_where_there_is_place_else_given_up"),
            *_in("test_parallel", "a_process_that_dies_once_is_replaced_and_the_run_goes_on_from_its_checkpoint"),
            *_in("test_parallel", "a_process_that_dies_again_and_again_fails_its_run_and_no_other"),
        ),
    ),
    11: Fault(
        "the driver of a Ray run is killed",
        "nothing is left running; `resume` goes on from the last checkpoint",
        (
            *_in("cluster/test_faults", "a_driver_that_is_killed_leaves_no_processes"),
            *_in("cluster/test_faults", "a_run_whose_driver_was_killed_goes_on_from_its_last_checkpoint"),
            *_in("test_parallel", "when_the_first_process_is_killed_the_others_end_too_and_what_they_sent_can_be_taken_up"),
        ),
    ),
    12: Fault(
        "Ray absent, a wrong token, another version, no cluster there, too few processors",
        "one line, exit code 2, no hang",
        (
            *_in("cluster/test_faults", "another_token_is_refused_in_one_line", "no_token_is_refused_in_one_line"),
            *_in("cluster/test_faults", "too_few_processors_are_told_at_once"),
            *_in("test_ray_port", "a_cluster_that_does_not_let_us_in_says_nothing", "what_is_no_cluster_is_called_so"),
            *_in("test_ray_port", "another_version_of_ray_is_told_before_anything_is_tried"),
            *_in("test_ray_port", "an_address_where_no_cluster_is_is_refused", "without_ray_it_is_said_what_to_install"),
        ),
    ),
    13: Fault(
        "malformed YAML, unknown keys, wrong types, broken traces, random bytes",
        "all errors at once, file:line:column: key; never a traceback",
        (
            *_in("test_yaml_file", "what_is_broken_is_told_with_its_place_within_a_second"),
            *_in("test_yaml_file", "no_text_raises_anything_but_a_scenario_error"),
            *_in("test_yaml_file", "no_bytes_raise_anything_but_a_scenario_error", "a_folder_is_refused"),
            *_in("test_yaml_file", "a_byte_order_mark_and_crlf_are_fine"),
            *_in("test_yaml_file", "bytes_that_are_not_utf_8_are_named_with_their_place"),
            *_in("test_scenario", "what_is_wrong_is_told_with_place_key_and_what_is_allowed"),
            *_in("test_scenario", "everything_that_is_wrong_is_told_at_once_in_the_order_of_the_file"),
            *_in("test_scenario", "no_data_raise_anything_but_a_scenario_error"),
            *_in("test_cli", "bad_input_is_told_on_stderr_without_a_traceback_and_ends_with_2"),
            *_in("test_fuzz", "a_file_with_random_changes_is_read_or_refused_within_a_second"),
            *_in("test_fuzz", "what_was_found_once_is_not_found_again"),
        ),
    ),
    14: Fault(
        "an alias bomb, depth 5,000, integers of 10⁶ digits, files of 100 MB, devices",
        "refused within 1 s and 200 MB",
        (
            *_in("test_yaml_file", "an_alias_bomb_is_counted_and_not_written_out", "a_huge_file_is_not_read"),
            *_in("test_yaml_file", "a_named_pipe_or_device_of_endless_size_is_not_read"),
            *_in("test_faults", "a_bomb_is_refused_within_a_second_and_200_megabytes"),
            *_in("test_fuzz", "a_process_that_reads_broken_files_stays_small"),
            *_in("times/test_traces", "much_garbage_is_refused_at_once", "sizes_are_limited"),
        ),
    ),
    15: Fault(
        "code in a scenario: `os:system`, `__import__`, paths with ..",
        "refused unless `--allow-code`",
        (
            *_in("test_scenario", "own_code_is_not_imported_unless_it_is_allowed"),
            *_in("times/test_own_speeds_in_scenarios", "without_leave_nothing_is_imported"),
            *_in("times/test_expressions", "what_is_not_plain_arithmetic_is_refused_fast_and_by_name"),
            *_in("test_faults", "a_scenario_that_names_code_runs_none_of_it"),
        ),
    ),
    16: Fault(
        "two processes on one run folder",
        "the second exits with 3; nothing is overwritten without `--force`",
        (
            *_in("test_cli", "a_folder_in_use_ends_with_3", "a_folder_that_is_there_is_replaced_by_force_only"),
            *_in("test_cli", "force_leaves_alone_what_is_no_run_folder"),
            *_in("test_study", "two_processes_never_write_into_one_folder"),
            *_in("test_folder", "a_folder_in_use_by_another_process_is_refused_even_by_force"),
        ),
    ),
    17: Fault(
        "HTML and scripts in names",
        "escaped in report, live page and notebook",
        (
            *_in("report/test_report_page", "a_hostile_name_stays_text_everywhere"),
            *_in("report/test_report_inline", "a_hostile_name_stays_text"),
            *_in("report/test_report_tuning", "a_hostile_label_stays_text"),
            *_in("report/test_report_in_a_browser", "a_hostile_name_is_shown_as_text"),
            *_in("test_dash", "names_from_a_scenario_are_escaped_in_what_is_pushed"),
        ),
    ),
    18: Fault(
        "the live page: a foreign Host, no token, 100 clients that read nothing",
        "refused; nobody is kept waiting",
        (
            *_in("test_dash", "a_foreign_host_is_refused_even_with_the_token", "nobody_gets_in_without_the_token"),
            *_in("test_dash", "it_only_reads", "a_hundred_clients_that_read_nothing_keep_nobody_waiting"),
            *_in("test_dash", "more_connections_than_there_are_places_are_refused"),
        ),
    ),
    19: Fault(
        "who asks for metrics is slow, gone, or too many",
        "the run is the same; the refused are counted",
        (
            *_in("test_metrics", "who_asks_slowly_costs_a_run_nothing_and_too_many_are_counted"),
            *_in("test_metrics", "a_study_is_told_to_its_end_and_its_numbers_are_the_same_as_without"),
            *_in("test_metrics", "a_port_that_is_taken_is_refused_with_what_to_do"),
        ),
    ),
    20: Fault(
        "very many workers, runs, rows",
        "bounded memory, a small report (at full size: benchmarks/load.py)",
        (
            *_in("test_faults", "a_hundred_thousand_workers_take_less_than_300_megabytes"),
            *_in("test_faults", "a_run_that_keeps_every_event_takes_no_more_memory_the_longer_it_is"),
            *_in("test_blocks", "a_million_workers_cost_less_than_a_kilobyte_each"),
            *_in("test_running", "what_a_run_held_is_freed_at_its_end_without_looking_for_circles"),
            *_in("report/test_report_page", "five_methods_with_five_seeds_and_a_hundred_workers_stay_below_8_mb"),
            *_in("exports/test_events", "parts_of_any_size_give_the_events_in_the_order_in_which_they_happened"),
        ),
    ),
    21: Fault(
        "n = 1, a batch larger than n, T = 0, equal speeds, an infinitely slow worker",
        "each method does what its paper says",
        (
            *_in("methods/test_every_method", "with_one_worker_it_is_sgd_bit_by_bit"),
            *_in("methods/test_every_method", "at_its_corners_it_keeps_all_rules"),
            *_in("methods/test_every_method", "a_run_of_no_time_is_one_record"),
            *_in("methods/test_every_method", "a_worker_that_never_returns_stalls_only_those_that_wait_for_it"),
        ),
    ),
    22: Fault(
        "another PYTHONHASHSEED, number of processes, record, resume, live page",
        "the same event log, bit for bit",
        (
            *_in("test_determinism", "another_process_with_other_hash_seeds_gives_the_same_bits"),
            *_in("test_determinism", "what_is_recorded_changes_no_event_and_no_number"),
            *_in("test_determinism", "the_hash_is_the_same_on_every_machine_for_constant_times"),
            *_in("test_parallel", "with_any_number_of_processes_a_folder_holds_the_same_rows"),
            *_in("test_sweep", "with_any_number_of_processes_the_same_comes_out"),
            *_in("test_dash", "the_events_are_the_same_with_the_page_or_without"),
            *_in("test_evaluation", "however_its_gradients_are_evaluated_a_run_has_the_same_bits"),
        ),
    ),
    23: Fault(
        "no HOME, no terminal, an odd locale",
        "everything works",
        _in("test_faults", "without_home_terminal_or_locale_a_scenario_runs_and_has_its_report"),
    ),
    24: Fault(
        "simulation against Ray",
        "one worker: the same bits; times fixed by sleeping: the same order of updates",
        (
            *_in("cluster/test_engine", "with_one_worker_simulation_and_ray_give_the_same_bits"),
            *_in("cluster/test_engine", "with_slept_times_simulation_and_ray_give_the_same_order_of_updates"),
        ),
    ),
    25: Fault(
        "a run folder from somebody else names code",
        "`resume`, `replay` and `report` import nothing; nothing is unpickled",
        (
            *_in("test_faults", "a_run_folder_that_names_code_has_none_of_it_imported"),
            *_in("test_study", "own_code_is_asked_for_again_when_it_is_taken_up"),
            *_in("test_checkpoint", "nothing_is_imported_because_a_checkpoint_names_it", "nothing_is_pickled"),
            *_in("test_checkpoint", "a_file_that_holds_a_pickle_is_refused"),
            *_in("test_layers", "no_module_pickles_into_files"),
        ),
    ),
    26: Fault(
        "a name with /, .., NUL, or 10,000 letters",
        "becomes a short file name; run folders stay under the given one",
        (
            *_in("test_folder", "a_slug_is_a_safe_name_for_any_text"),
            *_in("test_faults", "whatever_its_name_a_scenario_runs_into_a_folder_under_runs"),
        ),
    ),
    27: Fault(
        "expressions that never end or fill the memory",
        "evaluated once on 1…n, with limits on powers and sizes",
        (
            *_in("times/test_expressions", "any_text_gives_finite_numbers_or_a_value_error"),
            *_in("times/test_expressions", "what_is_not_plain_arithmetic_is_refused_fast_and_by_name"),
            *_in("test_scenario", "a_thousand_wrong_groups_and_a_billion_workers_are_refused_quickly"),
        ),
    ),
    28: Fault(
        "somebody else in the network",
        "live page, metrics and our own Ray listen on this machine only, with a token",
        (
            *_in("test_dash", "it_listens_on_loopback_alone_and_says_what_browsers_must_not_do"),
            *_in("test_metrics", "only_this_machine_is_answered_and_only_what_there_is"),
            *_in("cluster/test_faults", "a_ray_of_our_own_listens_on_this_machine_only"),
            *_in("cluster/test_faults", "the_token_that_ray_writes_is_for_its_owner_only"),
        ),
    ),
    29: Fault(
        "data files whose headers claim too much",
        "sizes are checked before anything is allocated",
        (
            *_in("problems/test_data_files", "broken_npz_is_refused_before_anything_big_is_allocated"),
            *_in("problems/test_data_files", "npz_with_flipped_bytes_is_read_or_refused_but_never_crashes"),
            *_in("problems/test_data_files", "broken_idx_is_refused", "broken_cifar_is_refused"),
            *_in("problems/test_data_files", "a_bomb_is_unpacked_no_further_than_its_header_claims"),
        ),
    ),
    30: Fault(
        "a scenario is run from another folder",
        "its data paths start at its own file",
        (
            *_in("test_scenario", "relative_data_start_at_the_folder_of_the_file"),
            *_in("problems/test_data_files", "relative_paths_start_at_the_base_and_absolute_ones_stand"),
        ),
    ),
    31: Fault(
        "a file system without SQLite's write-ahead log; readers while it is written",
        "a rollback journal is used, and said; at the end one file without a journal",
        (
            *_in("test_folder", "what_was_written_reads_back_equal", "kill_9_loses_no_row_that_was_flushed"),
            *_in("test_folder", "a_closed_folder_is_one_file_without_a_journal"),
            *_in("test_folder", "closing_while_somebody_reads_keeps_everything_and_says_so"),
            *_in("test_folder", "a_run_that_is_being_written_can_be_read"),
        ),
    ),
    32: Fault(
        "a method that sends, reads, discards, stops, steps in any order, and dies at any time",
        "delay ≥ 0, a gradient is used at most once, k grows by one, sent = used + discarded + stopped + … + in flight",
        (
            *_in("test_server_machine", "the_rules_of_the_server_hold_whatever_is_done_and_wherever_it_is_killed"),
            *_in("methods/test_every_method", "every_gradient_sent_is_accounted_for"),
            *_in("methods/test_every_method", "it_survives_every_fair_order_of_arrivals"),
            *_in("test_simulation", "whatever_is_stopped_the_rest_arrives_in_order_of_time"),
        ),
    ),
    33: Fault(
        "a random scenario: methods, laws, faults, ways of evaluation",
        "played twice and taken up again it has the same bits, and keeps all rules",
        _in("test_soak", "a_drawn_scenario_keeps_all_rules_played_twice_and_taken_up"),
    ),
    34: Fault(
        "a dependency with an unwanted licence",
        "what the light install brings is under a permissive one",
        _in("test_dependencies", "the_light_install_brings_only_permissive_licences"),
    ),
}  # fmt: skip


class Counting:
    """A pytest plugin: how often each test was tried, and what became of it."""

    def __init__(self) -> None:
        self.tries: Counter[str] = Counter()
        self.bad: Counter[str] = Counter()
        self.skipped: dict[str, str] = {}
        self._examples: Counter[str] = Counter()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            hypothesis = getattr(getattr(item, "obj", None), "hypothesis", None)
            # `hypothesis.inner_test` is what plugins may replace; cases of one function share it
            if hypothesis is not None and not hasattr(hypothesis.inner_test, "counted"):
                hypothesis.inner_test = self._counted(_function(item.nodeid), hypothesis.inner_test)

    def _counted(self, name: str, test: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(test)
        def counted(*arguments: Any, **named: Any) -> Any:
            self._examples[name] += 1
            return test(*arguments, **named)

        counted.counted = True  # type: ignore[attr-defined]
        return counted

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = _function(report.nodeid)
        if report.skipped:
            self.skipped[name] = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        elif report.failed:
            self.bad[name] += 1
        if report.when == "call" and not report.skipped:
            told = [value for key, value in report.user_properties if key == "tries"]
            self.tries[name] += sum(told) if told else self._examples.pop(name, 1)


def _function(nodeid: str) -> str:
    """The function of a test, without its case; below tests/.

    >>> _function("tests/times/test_laws.py::test_one[a::b]")
    'times/test_laws.py::test_one'
    """
    return nodeid.removeprefix("tests/").partition("[")[0]


def missing(fault: Fault) -> list[str]:
    """The tests of a fault that are not there."""
    found = []
    for test in fault.tests:
        file, _, function = test.partition("::")
        path = ROOT / "tests" / file
        if not path.exists() or not re.search(rf"^def {function}\(", path.read_text(encoding="utf-8"), re.MULTILINE):
            found.append(test)
    return found


def tried(faults: Sequence[Fault]) -> Counting:
    """Run the tests of these faults, each once."""
    counting = Counting()
    tests = dict.fromkeys(test for fault in faults for test in fault.tests)
    pytest.main(
        ["-q", "-p", "no:cacheprovider", "--no-header", *(f"tests/{test}" for test in tests)], plugins=[counting]
    )
    return counting


def row(number: int, fault: Fault, counting: Counting) -> str:
    """A line of the table, in Markdown."""
    tries = sum(counting.tries[test] for test in fault.tests)
    bad = sum(counting.bad[test] for test in fault.tests)
    skipped = [test for test in fault.tests if test in counting.skipped and test not in counting.tries]
    never = [test for test in fault.tests if test not in counting.tries and test not in counting.skipped]
    words = f"**broken in {bad}**" if bad else "not run" if never or not tries else "held"
    if skipped:
        words += f" ({len(skipped)} of {len(fault.tests)} tests not run here)"
    return f"| {number} | {fault.what} | {fault.promise} | {tries:,} | {words} |"


def table(counting: Counting, logs: Sequence[str]) -> str:
    """What stands in the README between its two marks."""
    rows = [row(number, fault, counting) for number, fault in FAULTS.items()]
    held = sum(each.endswith("| held |") for each in rows)
    tests = {test for fault in FAULTS.values() for test in fault.tests}
    tries = sum(counting.tries[test] for test in tests)
    where = f"{platform.machine()}, Python {platform.python_version()}, {datetime.date.today().isoformat()}"
    return "\n".join(
        [
            BEGIN,
            f"<details><summary>{len(FAULTS)} faults, {tries:,} tries: {held} of {len(FAULTS)} promises held "
            f"(<code>python tests/faults.py</code>; {where})</summary>",
            "",
            "| | what goes wrong | what is promised | tries | result |",
            "|---:|---|---|---:|---|",
            *rows,
            "",
            *(f"- {line}" for line in logs),
            *([""] if logs else []),
            "</details>",
            END,
        ]
    )


def written(text: str, into: str) -> str:
    """`into` with the text between its marks replaced.

    >>> written(f"{BEGIN}new{END}", f"a {BEGIN}old{END} b") == f"a {BEGIN}new{END} b"
    True
    """
    before, _, rest = into.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + text + after


def main() -> int:
    """The command line; the exit code is 1 where a promise was broken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", type=int, nargs="+", choices=list(FAULTS), help="numbers of faults")
    parser.add_argument("--list", action="store_true", help="what is tested where")
    parser.add_argument("--told", type=Path, nargs="+", default=[], help="logs whose last line goes under the table")
    options = parser.parse_args()
    if options.list:
        for number, fault in FAULTS.items():
            print(f"{number}. {fault.what}: {fault.promise}", *(f"     {test}" for test in fault.tests), sep="\n")
        return 0
    chosen = FAULTS if options.only is None else {number: FAULTS[number] for number in options.only}
    counting = tried(list(chosen.values()))
    if options.only is None:
        logs = [path.read_text(encoding="utf-8").strip().splitlines()[-1] for path in options.told]
        readme = ROOT / "README.md"
        readme.write_text(written(table(counting, logs), readme.read_text(encoding="utf-8")), encoding="utf-8")
    print("\n".join(row(number, fault, counting) for number, fault in chosen.items()))
    return 1 if counting.bad else 0


if __name__ == "__main__":
    sys.exit(main())
