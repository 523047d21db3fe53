"""One row a method in golden.csv: a change of numbers shows itself.

If a row differs and you meant it, delete that row, run the tests twice (the first run writes the row and fails), and
commit golden.csv together with the change and its reason.

Times are constant, so the event hash depends on no random law; f is compared to 12 digits, as the last bits of sums
belong to the machine.
"""

import csv
from pathlib import Path

import pytest
from methods.test_every_method import CASES, OF_FINITE_SUMS, make, quadratic

from asyncsim import Quadratic, Record, Stop, Workers, simulate

GOLDEN = Path(__file__).with_name("golden.csv")
COLUMNS = ("case", "iterations", "time", "sent", "used", "discarded", "stopped", "f", "event_hash")


def row_of(case: str) -> dict[str, str]:
    workers = Workers(5, [1.0, 1.37, 2.25, 4.5, 11.0], uplink=0.125)
    problem = quadratic(case) if case in OF_FINITE_SUMS else Quadratic(30)
    run = simulate(make(case), problem, workers, stop=Stop(time=120.0), seed=26, record=Record(iterations=10**6))
    f = f"{run.curves['value'][-1]:.12e}"
    found = (case, run.iterations, run.time, run.sent, run.used, run.discarded, run.stopped, f, run.event_hash)
    return dict(zip(COLUMNS, map(str, found), strict=True))


def rows() -> dict[str, dict[str, str]]:
    if not GOLDEN.is_file():
        return {}
    with GOLDEN.open(newline="") as file:
        return {row["case"]: row for row in csv.DictReader(file)}


def write(kept: dict[str, dict[str, str]]) -> None:
    with GOLDEN.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept[case] for case in CASES if case in kept)


@pytest.mark.parametrize("case", CASES)
def test_a_method_gives_the_numbers_that_it_gave(case):
    kept, now = rows(), row_of(case)
    if case not in kept:
        write(kept | {case: now})
        pytest.fail(f"golden.csv had no row for {case!r}; it has one now: look at it and commit it")
    then = kept[case]
    f_then, f_now = float(then.pop("f")), float(now.pop("f"))
    assert now == then, (
        "the numbers have changed; if that is meant, delete this row of golden.csv and run the test twice"
    )
    assert f_now == pytest.approx(f_then, rel=1e-11)


def test_golden_csv_has_no_row_of_a_method_that_is_gone():
    assert set(rows()) <= set(CASES)
