"""Fits find the law that the times came from, say when none is right, and what they write runs."""

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import asyncsim
from asyncsim import (
    Constant,
    Exponential,
    Gamma,
    HalfNormal,
    LogNormal,
    Normal,
    Pareto,
    Quadratic,
    ShiftedExponential,
    ShiftedHalfNormal,
    Stop,
    Uniform,
    Workers,
)
from asyncsim.cli import main
from asyncsim.families import FAMILIES, fitted
from asyncsim.fitting import (
    BYS,
    block_length,
    candidates,
    correlation,
    distance,
    fit,
    grouped,
    in_words,
    p_value,
    spec_of,
)
from asyncsim.measuring import Row
from asyncsim.scenario import load
from asyncsim.times.censored import Observed
from asyncsim.times.traces import read_trace, trace_of, write_trace

STARTERS = Path(__file__).parent.parent / "scenarios"
KNOWN = [
    Exponential(2.0),
    ShiftedExponential(1.0, 2.0),
    Uniform(1.0, 3.0),
    Normal(3.0, 0.75),
    Normal(1.0, 1.0),
    HalfNormal(2.0),
    ShiftedHalfNormal(3.0, 1.0),
    Gamma(0.5, 2.0),
    Gamma(4.0, 0.5),
    LogNormal(0.0, 0.6),
    LogNormal(-3.0, 2.0),
    Pareto(1.0, 2.5),
]


def times(law, size=2000, seed=26):
    return law.sample(np.random.default_rng(seed), size)


def rows(law, workers=("0",), size=200, seed=1, **more):
    rng = np.random.default_rng(seed)
    return [
        Row(name, m, 0.0, seconds, **more)
        for name in workers
        for m, seconds in enumerate(law.sample(rng, size).tolist())
    ]


@pytest.mark.parametrize("law", KNOWN, ids=repr)
def test_the_law_is_found_with_its_parameters(law):
    best = candidates(times(law))[0]
    assert type(best.law) is type(law)
    found, true = spec_of(best.law), spec_of(law)
    for key in true.keys() - {"distribution"}:
        assert found[key] == pytest.approx(true[key], rel=0.12, abs=0.12)
    assert best.distance < 1.7 / math.sqrt(2000)
    assert p_value(best, times(law, 300), rounds=39) > 0.05


@pytest.mark.parametrize("law", KNOWN, ids=repr)
def test_no_law_of_the_family_has_a_larger_likelihood_nearby(law):
    """The shifts and ends, which lie at the smallest or largest time, can only move outwards."""
    values = times(law, 300)
    name = spec_of(law)["distribution"]
    best = next(found for found in candidates(values) if spec_of(found.law)["distribution"] == name)
    ends = {"shift": (0.99,), "minimum": (0.99,), "low": (0.99,), "high": (1.01,)}
    for key, value in spec_of(best.law).items():
        for factor in ends.get(key, (0.99, 1.01)) if key != "distribution" else ():
            other = type(best.law)(**{**best.law.__dict__, key: value * factor})
            assert FAMILIES[name].log_density(other, values).sum() <= best.log_likelihood + 1e-6


@pytest.mark.parametrize("law", KNOWN, ids=repr)
def test_densities_are_the_derivatives_of_the_cdfs(law):
    places = np.array([law.quantile(q) for q in (0.2, 0.5, 0.9)])
    step = 1e-5 * places
    slopes = [(law.cdf(t + h) - law.cdf(t - h)) / (2 * h) for t, h in zip(places, step, strict=True)]
    family = FAMILIES[spec_of(law)["distribution"]]
    assert np.exp(family.log_density(law, places)) == pytest.approx(slopes, rel=1e-4)


def test_two_kinds_of_times_are_a_mixture():
    rng = np.random.default_rng(0)
    values = np.where(rng.random(2000) < 0.9, times(LogNormal(0.0, 0.1)), times(LogNormal(2.0, 0.3)))
    best = candidates(values)[0]
    found = spec_of(best.law)
    assert [part["weight"] for part in found["parts"]] == pytest.approx([0.9, 0.1], abs=0.02)
    assert [part["law"]["mu"] for part in found["parts"]] == pytest.approx([0.0, 2.0], abs=0.1)
    assert in_words(best.law).count("lognormal") == 2
    assert p_value(best, values, rounds=19) > 0.05


def test_times_of_no_law_here_are_said_to_fit_badly():
    rng = np.random.default_rng(0)
    values = rng.choice([1.0, 5.0, 20.0], 600) + 0.01 * rng.random(600)
    found = fit(trace_of([Row("0", m, 0.0, t) for m, t in enumerate(values.tolist())]))
    assert found.groups[0].compute.poor
    assert any("no law here fits well" in warning for warning in found.warnings)
    assert "play: resample" in found.scenario()


def test_equal_times_are_constant_and_few_are_played_back():
    assert candidates(np.full(20, 0.3))[0].law == Constant(0.3)
    found = fit(trace_of(rows(Exponential(1.0), size=5)))
    assert found.groups[0].compute.best is None
    assert "too few" in found.groups[0].compute.words
    assert "distribution: trace" in found.scenario()


ANY_SECONDS = st.floats(0, 1e308) | st.sampled_from([0.0, 5e-324, 1.0, 1.0 + 1e-12])


@given(
    values=st.lists(ANY_SECONDS, min_size=8, max_size=60),
    stopped=st.lists(ANY_SECONDS, max_size=20),
)
def test_any_times_have_a_fit_or_none_and_never_an_error(values, stopped):
    found = candidates(Observed.of(values, stopped))
    assert all(0 <= candidate.distance <= 1 for candidate in found)
    bics = [candidate.bic for candidate in found]
    assert bics == sorted(bics)


@settings(max_examples=10)
@given(scale=st.floats(1e-6, 1e6), seed=st.integers(0, 3))
def test_other_units_change_the_scale_of_a_law_and_nothing_else(scale, seed):
    values = times(Gamma(3.0, 1.0), 100, seed)
    here, there = candidates(values), candidates(scale * values)
    assert {type(found.law) for found in here} == {type(found.law) for found in there}
    for found in here:
        same = next(other for other in there if type(other.law) is type(found.law))
        assert same.distance == pytest.approx(found.distance, abs=2e-3)


def test_the_distance_counts_jumps_where_times_stand_several_times():
    assert distance(Uniform(0.0, 1.0), np.array([0.5] * 4)) == 0.5


# ---- what independent draws would miss


def test_independent_times_have_no_correlation_and_slow_phases_have():
    rng = np.random.default_rng(0)
    independent = [rng.exponential(size=400) for _ in range(3)]
    assert np.abs(correlation(independent)).max() < 0.1
    assert block_length(correlation(independent), 1200) == 0
    phases = [np.repeat(rng.exponential(size=40), 10) + 0.01 * rng.random(400) for _ in range(3)]
    assert correlation(phases)[0] > 0.8
    assert 20 <= block_length(correlation(phases), 1200) <= 100


def test_a_correlated_trace_is_told_and_the_scenario_offers_blocks():
    rng = np.random.default_rng(0)
    values = np.repeat(rng.exponential(size=60), 10) + 0.3 * rng.random(600)
    found = fit(trace_of([Row("0", m, 0.0, t) for m, t in enumerate(values.tolist())]))
    assert any("hang together" in warning for warning in found.warnings)
    assert "play: block_bootstrap" in found.scenario()


def test_stopped_rows_count_as_longer_than_their_seconds_and_are_said_to():
    some = rows(Exponential(1.0)) + rows(Exponential(0.1), outcome="stopped")
    found = fit(trace_of(some))
    times = found.groups[0].compute
    assert (len(times.values), len(times.beyond)) == (200, 200)
    assert times.best.law.mean > times.values.mean()
    assert any("50% of the rows were not computed to their end" in warning for warning in found.warnings)
    assert found.table()[1][0][2] == "200 + 200 stopped"


@pytest.mark.parametrize("outcome", ["stopped", "timed_out", "lost", "in_flight"])
def test_what_was_cut_while_it_was_sent_was_computed_and_its_sending_takes_longer(outcome):
    sent = [row._replace(send_seconds=1.0 + row.compute_seconds % 0.5) for row in rows(Exponential(1.0))]
    cut = [row._replace(send_seconds=0.5, outcome=outcome) for row in sent[:50]]
    group = fit(trace_of(sent + cut)).groups[0]
    assert (len(group.compute.values), len(group.compute.beyond)) == (250, 0)
    assert (len(group.send.values), group.send.beyond.tolist()) == (200, [0.5] * 50)


def test_workers_who_finished_nothing_are_named():
    found = fit(trace_of(rows(Exponential(1.0), "ab") + rows(Exponential(1.0), "c", outcome="lost")))
    assert any("no gradient of workers c was computed to its end" in warning for warning in found.warnings)


def test_jobs_of_several_gradients_count_as_means_whether_stopped_or_not():
    done = [Row("0", m, 0.0, 4.0, gradients=4) for m in range(10)]
    found = fit(trace_of([*done, Row("0", 10, 0.0, 3.0, outcome="stopped", gradients=4)]))
    assert set(found.groups[0].compute.values.tolist()) == {1.0}
    assert found.groups[0].compute.beyond.tolist() == [0.75]


def test_workers_of_one_law_are_one_group_however_differently_they_were_stopped():
    rng = np.random.default_rng(0)
    some = []
    for name, after in (("a", 1.0), ("b", math.inf), ("c", 3.0)):
        stops = rng.exponential(after, 300) if after < math.inf else np.full(300, math.inf)
        for m, (seconds, stop) in enumerate(zip(rng.exponential(2.0, 300), stops, strict=True)):
            some.append(Row(name, m, 0.0, min(seconds, stop), outcome="arrived" if seconds <= stop else "stopped"))
    (group,) = fit(trace_of(some)).groups
    assert group.compute.best.law.mean == pytest.approx(2.0, rel=0.15)


@pytest.mark.parametrize("law", [Exponential(1.0), LogNormal(0.0, 0.8)], ids=repr)
def test_a_trace_of_ringmasters_stops_gives_back_the_laws_that_leaving_the_stopped_rows_out_misses(law, tmp_path):
    """Fast and slow workers, threshold 8: gradients of the slow ones are stopped most of the time.

    Standard errors are those of the likelihood: mean/√N for N whole exponential times; for lognormal ones no less than
    σ/√N for μ and σ/√(2N) for σ.
    """
    scenario = {
        "workers": {
            "groups": [{"count": 4, "compute_time": _spec(law)}, {"count": 4, "compute_time": _spec(law, slower=4)}]
        },
        "problem": "none",
        "methods": [{"name": "ringmaster_asgd", "stepsize": 0.1, "threshold": 8, "stops": True}],
        "stop": {"time": 600},
        "record": {"events": "all"},
    }
    asyncsim.run(scenario, output=tmp_path / "run").export(tmp_path / "out", to="trace")
    found = fit(tmp_path / "out" / "ringmaster_asgd-0.csv")
    assert [group.workers for group in found.groups] == [("0", "1", "2", "3"), ("4", "5", "6", "7")]
    slow = found.groups[1].compute
    n = len(slow.values)
    assert len(slow.beyond) > n
    name = spec_of(law)["distribution"]
    right = next(each.law for each in slow.candidates if spec_of(each.law)["distribution"] == name)
    dropped = next(each.law for each in candidates(slow.values) if spec_of(each.law)["distribution"] == name)
    if name == "exponential":
        assert abs(right.mean - 4.0) < 3 * 4.0 / math.sqrt(n)
        assert abs(dropped.mean - 4.0) > 10 * 4.0 / math.sqrt(n)
    else:
        assert abs(right.mu - math.log(4.0)) < 3 * 0.8 / math.sqrt(n)
        assert abs(right.sigma - 0.8) < 3 * 0.8 / math.sqrt(2 * n)
        assert abs(dropped.mu - math.log(4.0)) > 10 * 0.8 / math.sqrt(n)
    assert right.mean == pytest.approx(law.mean * 4, rel=0.15)
    assert dropped.mean < 0.6 * law.mean * 4
    assert slow.p > 0.05


def _spec(law, slower=1):
    if isinstance(law, Exponential):
        return {"distribution": "exponential", "mean": law.mean * slower}
    return {"distribution": "lognormal", "mu": law.mu + math.log(slower), "sigma": law.sigma}


def test_a_gradient_that_ends_after_its_stop_is_whole_where_stops_wait_for_it(tmp_path):
    law = {"distribution": "gamma", "shape": 4, "scale": 1}
    for effect, whole in (("after_current_gradient", True), ({"after": 1.0}, False)):
        scenario = {
            "workers": {"count": 6, "compute_time": law, "stop_takes_effect": effect},
            "problem": "none",
            "methods": [{"name": "ringmaster_asgd", "stepsize": 0.1, "threshold": 4, "stops": True}],
            "stop": {"time": 400},
            "record": {"events": "all"},
        }
        folder = tmp_path / str(whole)
        asyncsim.run(scenario, output=folder).export(tmp_path / f"t{whole}", to="trace")
        trace = read_trace(tmp_path / f"t{whole}" / "ringmaster_asgd-0.csv")
        stopped = [row for row in trace.rows() if row.outcome == "stopped"]
        assert any(row.compute_seconds for row in stopped) != whole
        values, beyond = (np.concatenate([*found.values(), []]) for found in (trace.all_series(), trace.all_stopped()))
        found = fitted("gamma", Observed.of(values, beyond))
        assert found.mean == pytest.approx(4.0, rel=0.1)


# ---- groups


def test_workers_that_look_alike_share_a_law_and_devices_are_kept_apart():
    laws = {"a": Exponential(1.0), "b": Exponential(5.0), "c": Exponential(1.0), "d": Exponential(5.0)}
    series = {name: times(law, 300, seed) for seed, (name, law) in enumerate(laws.items())}
    assert grouped(series, {}) == [["a", "c"], ["b", "d"]]
    assert grouped(series, {"a": "x"}) == [["a"], ["c"], ["b", "d"]] or grouped(series, {"a": "x"}) == [
        ["c"],
        ["a"],
        ["b", "d"],
    ]


def test_by_says_who_shares_a_law():
    trace = trace_of(rows(Exponential(1.0), "ab", device="x") + rows(Exponential(1.0), "c", device="y"))
    assert [len(fit(trace, by).groups) for by in BYS] == [2, 3, 2, 1]
    with pytest.raises(ValueError, match="by = 'group', but one of auto, worker, device, all"):
        fit(trace, "group")


def test_a_trace_without_a_complete_row_has_nothing_to_fit():
    with pytest.raises(ValueError, match="no row that was computed to its end"):
        fit(trace_of(rows(Exponential(1.0), outcome="lost")))


# ---- round trips


def test_simulate_then_trace_then_fit_finds_the_laws_again(tmp_path):
    scenario = {
        "workers": {
            "groups": [
                {"count": 2, "compute_time": {"distribution": "gamma", "shape": 4, "scale": 0.25}},
                {
                    "count": 1,
                    "compute_time": {"distribution": "exponential", "mean": 3},
                    "communication_time": {"uplink": {"distribution": "uniform", "low": 1, "high": 2}},
                },
            ]
        },
        "problem": "none",
        "methods": [{"name": "asynchronous_sgd", "stepsize": 0.1}],
        "stop": {"time": 1500},
        "record": {"events": "all"},
    }
    result = asyncsim.run(scenario, output=tmp_path / "run")
    assert main_code("export", tmp_path / "run", "--to", "trace") == 0
    found = fit(tmp_path / "run" / "trace" / "asynchronous_sgd-0.csv")
    assert [group.workers for group in found.groups] == [("0", "1"), ("2",)]
    fast, slow = found.groups
    assert len(fast.compute.values) == result.runs[0].used - len(slow.compute.values)
    assert spec_of(fast.compute.best.law) == {
        "distribution": "gamma",
        "shape": pytest.approx(4, rel=0.1),
        "scale": pytest.approx(0.25, rel=0.1),
    }
    assert spec_of(slow.compute.best.law)["mean"] == pytest.approx(3, rel=0.2)
    assert fast.send is None
    assert spec_of(slow.send.best.law) == {
        "distribution": "uniform",
        "low": pytest.approx(1, abs=0.02),
        "high": pytest.approx(2, abs=0.02),
    }


def test_a_run_without_all_events_is_a_trace_of_its_windows(tmp_path):
    law = {"distribution": "exponential", "mean": "i"}
    scenario = {
        "workers": {"count": 3, "compute_time": law, "communication_time": {"uplink": 0.25}},
        "problem": "none",
        "methods": [{"name": "minibatch_sgd", "stepsize": 0.1, "batch_size": 2}],
        "stop": {"time": 2000},
    }
    asyncsim.run(scenario, output=tmp_path / "run").export(tmp_path / "out", to="trace")
    path = tmp_path / "out" / "minibatch_sgd-0.csv"
    assert "the recorded windows of 3 workers" in path.read_text()
    trace = read_trace(path)
    assert set(trace.gradients[trace.complete].tolist()) == {2}
    assert [times.mean() for times in trace.all_series().values()] == pytest.approx([1, 2, 3], rel=0.25)
    assert trace.send_seconds[trace.complete] == pytest.approx(0.25)


def test_a_trace_that_was_simulated_replays_the_same_run(tmp_path):
    """Without messages and with whole seconds nothing is rounded: the replay has the same steps at the same times."""
    method, each = asyncsim.AsynchronousSGD(stepsize=0.1), asyncsim.Record(iterations=1)

    class Dice:
        def sample(self, rng, size):
            return rng.integers(1, 7, size).astype(float)

    original = asyncsim.simulate(method, Quadratic(3), Workers(4, Dice()), stop=Stop(time=300), record=each)
    result = asyncsim.Result("dice", (original,))
    result.export(tmp_path, to="trace")
    law = asyncsim.FromTrace(str(tmp_path / "asynchronous_sgd-0.csv"))
    replayed = asyncsim.simulate(method, Quadratic(3), Workers(4, law), stop=Stop(iterations=200), record=each)
    assert replayed.curves["time"].tolist() == original.curves["time"][:201].tolist()
    assert replayed.curves["value"].tolist() == original.curves["value"][:201].tolist()


def test_one_command_measures_a_loop_here_fits_it_and_simulates_it(tmp_path, monkeypatch):
    """The loop of the scenarios, a few gradients a process: real seconds of this machine."""
    source = STARTERS / "times" / "measure_a_loop.py"
    short = re.sub(r"GRADIENTS = .*", "GRADIENTS = {0: 12, 1: 12, 2: 10}", source.read_text())
    (tmp_path / "measure_a_loop.py").write_text(short)
    environment = {**os.environ, "PYTHONPATH": str(STARTERS.parent), "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "measure_a_loop.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "measured"
    assert {"measured.csv", "fitted.yaml", "fit.html", "run"} == {entry.name for entry in folder.iterdir()}
    assert (folder / "run" / "report.html").exists()
    trace = read_trace(folder / "measured.csv")
    assert (len(trace), set(trace.workers)) == (34, {"0", "1", "2"})
    seconds = {row.worker: row.compute_seconds for row in trace.rows()}
    assert all(seconds.values())
    assert load(folder / "fitted.yaml").build_workers().n == 3


# ---- what is written


@pytest.fixture
def file(tmp_path):
    some = rows(Exponential(1.0), ["null", "<script>alert(1)</script>", "a: #b"]) + rows(
        Gamma(9.0, 1.0), "x", device="T4 {"
    )
    return write_trace(
        tmp_path / "a trace.csv", [row._replace(send_seconds=0.01 * row.compute_seconds) for row in some]
    )


def main_code(*arguments):
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return end.value.code


def test_the_scenario_that_is_written_runs_from_another_folder(tmp_path, file, capsys):
    (tmp_path / "deeper").mkdir()
    target = tmp_path / "deeper" / "s.yaml"
    assert main_code("fit", file, "-o", target, "--picture", tmp_path / "fit.html") == 0
    assert "exponential(mean=" in capsys.readouterr().out
    loaded = load(target)
    assert loaded.build_workers().n == 4
    assert asyncsim.run(loaded).runs[0].status == "finished"


def test_the_alternatives_in_the_comments_run_too(tmp_path):
    rng = np.random.default_rng(0)
    values = np.repeat(rng.exponential(size=60), 10) + 0.3 * rng.random(600)
    write_trace(tmp_path / "t.csv", [Row("null", m, 0.0, t) for m, t in enumerate(values.tolist())])
    text = fit(tmp_path / "t.csv").scenario(tmp_path)
    other = re.sub(r"(?m)^( +)compute_time: .*\n +# [^\n]*?(compute_time: )", r"\1\2", text)
    assert other != text
    (tmp_path / "other.yaml").write_text(other)
    assert load(tmp_path / "other.yaml").build_workers().n == 1


def test_the_page_has_all_in_it_and_names_are_escaped(file, tmp_path):
    text = fit(file).picture(tmp_path / "fit.html").read_text()
    assert "<script>alert" not in text
    assert "Content-Security-Policy" in text
    outside = re.sub(r"(?s)<script.*?</script>", "", text)
    assert "&lt;script&gt;alert" in outside
    assert "http://" not in outside
    assert "https://" not in outside


def test_nothing_is_overwritten_without_force(file, capsys):
    assert main_code("fit", file, "-o", file) == 2
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["nowhere.csv"], ["--by", "colour"]])
def test_bad_input_is_told_without_a_traceback(file, capsys, arguments):
    given = arguments if arguments[0] != "--by" else [file, *arguments]
    assert main_code("fit", *given) == 2
    assert "Traceback" not in capsys.readouterr().err
