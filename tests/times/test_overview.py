"""What `asyncsim times` shows of the workers before any run."""

import json
import math
import re

import pytest

from asyncsim.cli import main
from asyncsim.report import write_times
from asyncsim.times import Constant, Exponential, LogNormal, Scaled, SharedLink, Workers, mixture
from asyncsim.times.overview import HEADERS, curve, overview, short


class Own:
    def sample(self, rng, size):
        return 3.0 * rng.standard_exponential(size)


def test_workers_that_are_alike_have_one_row():
    seen = overview(Workers(100, Exponential(2.0), uplink=0.5))
    (row,) = seen.rows
    assert (row.label, row.mean, row.communication, row.rate, row.never) == ("0…99", 2.0, 0.5, 0.4, 0.0)
    assert row.quantiles == tuple(Exponential(2.0).quantile(q) for q in (0.5, 0.9, 0.99))
    assert seen.rate == pytest.approx(40.0)
    assert not seen.estimated


def test_unequal_workers_are_shown_by_the_fastest_the_slowest_and_the_quarters():
    seen = overview(Workers(101, list(range(101, 0, -1))))
    assert [row.label for row in seen.rows] == [
        "100 (fastest)", "75 (lower quartile)", "50 (median)", "25 (upper quartile)", "0 (slowest)",
    ]  # fmt: skip
    assert [row.mean for row in seen.rows] == [1, 26, 51, 76, 101]


def test_each_group_has_its_rows():
    seen = overview(Workers.groups([(3, 1.0), (2, [5.0, 4.0])]), [range(3), range(3, 5)])
    assert [row.label for row in seen.rows] == ["group 0: 0…2", "group 1: 4 (fastest)", "group 1: 3 (slowest)"]


def test_equilibrium_times_are_those_of_the_mean_times():
    seen = overview(Workers(3, [1.0, 2.0, math.inf]))
    assert seen.equilibrium == ((1, 2.0, 1), (3, pytest.approx(10 / 3), 2), (30, pytest.approx(64 / 3), 2))
    assert seen.rate == 1.5


def test_what_rests_on_an_estimate_is_marked():
    seen = overview(Workers(2, [Scaled(2, Own()), 1.0], uplink=[0.0, Own()]))
    fast, slow = seen.rows
    assert fast.estimated == {"communication", "rate"}
    assert slow.estimated == {"mean", "cdf", "quantile", "rate"}
    assert slow.cells()[1].startswith("≈ ")
    assert fast.cells()[1] == "1"
    assert seen.words()[-1] == "≈ estimated by sampling, as a law doesn't tell it"
    assert "≈" in seen.words()[0]


def test_workers_who_may_never_return_say_how_often():
    seen = overview(Workers(1, mixture([(3, 1.0), (1, math.inf)])))
    (row,) = seen.rows
    assert (row.never, row.mean, row.rate) == (0.25, math.inf, 0.0)
    assert row.cells()[5] == "0.25"
    assert seen.words()[0] == "the worker: 0 gradients a second in the long run"
    assert seen.words()[2] == "t*(1) = ∞ s: never"


def test_the_words_say_what_an_equilibrium_time_is_and_who_plays_a_part():
    words = overview(Workers(4, compute_time=[1.0, 5.0, 50.0, 50.0])).words()
    assert words[1].startswith("t*(S), the equilibrium time: ")
    assert words[2] == "t*(1) = 2 s with the fastest worker"


def test_a_callable_of_the_user_is_asked_at_start_0():
    (row,) = overview(Workers(1, lambda rng, worker, start: 2.0 + start)).rows
    assert (row.mean, row.quantiles) == (2.0, (2.0, 2.0, 2.0))
    assert row.estimated == {"mean", "cdf", "quantile", "rate"}


def test_long_laws_are_shortened():
    assert short(mixture([(1, Exponential(1.0))] * 9)) == "Mixture(…)"


@pytest.mark.parametrize(
    "law", [Constant(2.0), Constant(0.0), Exponential(1.0), LogNormal(0, 5), mixture([(1, 1.0), (1, math.inf)])]
)
def test_curves_are_finite_and_rise(law):
    x, y = curve(law)
    assert all(map(math.isfinite, x + y))
    assert x == sorted(x)
    assert y == sorted(y)


YAML = """\
workers:
  groups:
    - {count: 2, compute_time: {distribution: gamma, shape: 2, scale: i}}
    - {count: 1, compute_time: {distribution: mixture, parts: [{weight: 9, law: 1}, {weight: 1, law: inf}]}}
problem: none
methods: [{name: rennala_sgd, stepsize: 0.1, batch_size: 2}]
stop: {iterations: 20}
"""


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s<b>.yaml").write_text(YAML)

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main(list(arguments))
        return (end.value.code, *capsys.readouterr())

    return run


def test_the_command_prints_a_table_and_what_it_means_together(command):
    code, out, err = command("times", "s<b>.yaml")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert re.split(r"  +", lines[0]) == list(HEADERS)
    assert [line.split("  ")[0] for line in lines[1:4]] == [
        "group 0: 0 (fastest)",
        "group 0: 1 (slowest)",
        "group 1: 2",
    ]
    assert lines[5] == "all 3 workers together: 0.75 gradients a second in the long run"


def test_the_command_takes_changes_and_tells_mistakes(command):
    assert "all 12 workers together" in command("times", "s<b>.yaml", "workers.groups.1.count=10")[1]
    code, out, err = command("times", "s<b>.yaml", "workers.groups.1.count=0")
    assert (code, out) == (2, "")
    assert "workers.groups.1.count" in err


def test_the_page_stands_alone_and_escapes_what_it_shows(command, tmp_path):
    code, out, _ = command("times", "s<b>.yaml", "name=</script><i>", "-o", "page.html")
    assert code == 2  # no name of a folder
    code, out, _ = command("times", "s<b>.yaml", "name=<i>", "-o", "page.html")
    assert code == 0
    assert out.splitlines()[-1] == "page: page.html"
    page = (tmp_path / "page.html").read_text()
    assert "&lt;i&gt;" in page
    assert "<i>" not in page
    found = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page)[1])
    assert found["methods"] == ["group 0: 0 (fastest)", "group 0: 1 (slowest)", "group 1: 2"]
    for label in found["methods"]:
        assert sum(found["histogram"][label]["share"]) == pytest.approx(1, abs=0.02)
        assert max(found["cdf"][label]["y"]) <= 1


def test_the_page_of_workers_without_a_finite_time_is_written_too(tmp_path):
    assert write_times("never", overview(Workers(2, math.inf)), tmp_path / "p.html").is_file()
    assert write_times("zero", overview(Workers(2, 0.0)), tmp_path / "p.html").is_file()


def test_messages_take_the_longer_the_more_they_hold():
    """Messages of 100 numbers: 0.5 + 100/50 s up, 100/100 s down, 1 s of computing."""
    workers = Workers(2, 1.0, uplink={"latency": 0.5, "bandwidth": 50}, downlink={"bandwidth": 100})
    seen = overview(workers, size=100)
    assert (seen.rows[0].communication, seen.rows[0].rate) == (3.5, 1 / 4.5)
    assert "communication: with messages of 100 numbers, one a gradient" in seen.words()
    assert overview(Workers(2, 1.0), size=100).size == 0


def test_a_shared_link_carries_no_more_than_its_capacity():
    seen = overview(Workers(40, 1.0, shared_link=SharedLink(capacity=1000.0)), size=100)
    assert (seen.rate, seen.carried) == (10.0, 10.0)
    assert any("the shared link carries 10 such messages a second" in words for words in seen.words())
