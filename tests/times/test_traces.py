"""Traces: what is written reads back the same, what is no trace is told by line, and laws play what was measured."""

import math
import string
import sys
import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import asyncsim
from asyncsim import Exponential, Quadratic, Record, RennalaSGD, Stop, Workers, read_trace, simulate, write_trace
from asyncsim.measuring import COLUMNS, OUTCOMES, Row
from asyncsim.running import knowledge
from asyncsim.scenario import ScenarioError, from_data
from asyncsim.streams import Durations
from asyncsim.theory.predictions import predict
from asyncsim.times import FromTrace, mixture
from asyncsim.times import traces as module
from asyncsim.times.composed import Scaled
from asyncsim.times.traces import BlockBootstrap, Cycled, Resampled, TraceError, trace_of

NAMES = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=20).filter(str.isprintable)
SECONDS = st.floats(0, 1e300, allow_nan=False).map(abs)
ROWS = st.builds(
    Row,
    worker=NAMES,
    job=st.integers(0, 10**17),
    start=SECONDS | st.just(math.nan),
    compute_seconds=SECONDS,
    send_seconds=SECONDS,
    outcome=st.sampled_from(OUTCOMES),
    device=NAMES | st.just(""),
    gradients=st.integers(1, 10**6),
)


def three(workers=3, times=5):
    """Worker w's m-th gradient takes 10w + m + 1 seconds."""
    return [Row(str(w), m, 0.0, 10.0 * w + m + 1) for m in range(times) for w in range(workers)]


@pytest.fixture
def file(tmp_path):
    return write_trace(tmp_path / "times.csv", three())


# ---- writing and reading


@given(rows=st.lists(ROWS, max_size=5), ending=st.sampled_from(["csv", "jsonl"]))
def test_what_is_written_reads_back_the_same(tmp_path_factory, rows, ending):
    path = tmp_path_factory.mktemp("trace") / f"t.{ending}"
    write_trace(path, rows, about="made up,\nin a test")
    assert repr(list(read_trace(path).rows())) == repr(rows)


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_numbers_of_numpy_are_written_as_pythons(tmp_path, ending):
    rows = [
        Row("0", np.int64(0), np.float64(0.5), np.float32(1.5), np.float64(0.25), gradients=np.int32(2)),
        Row("0", np.uint8(1), np.float64("nan"), np.float64(0.1), np.float32(0.0)),
    ]
    path = write_trace(tmp_path / f"t.{ending}", rows)
    written = [Row("0", 0, 0.5, 1.5, 0.25, gradients=2), Row("0", 1, math.nan, 0.1, 0.0)]
    assert repr(list(read_trace(path).rows())) == repr(written)


def test_two_columns_are_enough_and_may_stand_in_any_order(tmp_path):
    (tmp_path / "t.csv").write_text("\ufeff# mine\ncompute_seconds, worker\r\n1.5,a\r\n\r\n# a pause\r\n2.5,a\r\n")
    assert [row[:7] for row in read_trace(tmp_path / "t.csv").rows()] == [
        ("a", 0, pytest.approx(math.nan, nan_ok=True), 1.5, 0.0, "arrived", ""),
        ("a", 1, pytest.approx(math.nan, nan_ok=True), 2.5, 0.0, "arrived", ""),
    ]


def test_workers_stand_by_number_where_all_are_numbers_and_else_as_they_come():
    assert trace_of([Row(name, 0, 0.0, 1.0) for name in ("10", "9")]).workers == ("9", "10")
    assert trace_of([Row(name, 0, 0.0, 1.0) for name in ("b", "a", "9")]).workers == ("b", "a", "9")


def test_only_rows_that_were_computed_to_their_end_become_times():
    trace = trace_of([Row("0", 0, 0.0, 1.0 + k, 0.0, outcome) for k, outcome in enumerate(OUTCOMES)])
    assert trace.series("0").tolist() == [1.0, 2.0, 3.0]
    assert trace.incomplete == pytest.approx(4 / 7)


def test_a_job_of_several_gradients_counts_with_the_mean_of_them():
    assert trace_of([Row("0", 0, 0.0, 6.0, 1.0, gradients=3)]).series("0").tolist() == [2.0]


HEAD = "worker,compute_seconds\n"
WRONG = {
    "nothing": ("", "is empty; needed: a line with the columns worker, compute_seconds"),
    "only comments": ("# a\n", "is empty"),
    "an unknown column": ("worker,compute_seconds,lag\n", ":1: unknown column 'lag'; the first line names the columns"),
    "semicolons": ("worker;compute_seconds\n", ":1: unknown column 'worker;compute_seconds'"),
    "a missing column": ("worker,start\n", ":1: the column compute_seconds is missing"),
    "a column named twice": ("worker,worker,compute_seconds\n", ":1: a column is named twice"),
    "a negative time": (HEAD + "a,-1\n", ":2: compute_seconds = '-1', but finite seconds >= 0 are needed"),
    "no number": (HEAD + "a,x\n", ":2: compute_seconds = 'x'"),
    "nan": (HEAD + "a,nan\n", ":2: compute_seconds = 'nan'"),
    "inf": (HEAD + "a,1e999\n", ":2: compute_seconds = '1e999'"),
    "Python's underscores": (HEAD + "a,1_0\n", ":2: compute_seconds = '1_0'"),
    "a field too many": (HEAD + "a,1,2\n", ":2: 3 fields, but the 2 of worker,compute_seconds are needed"),
    "no worker": (HEAD + ",1\n", ":2: worker = '', but"),
    "quotes that do not end": (HEAD + '"a,1\n', ":2: this is no CSV"),
    "an unknown outcome": (
        "worker,compute_seconds,outcome\na,1,cancelled\n",
        ":2: outcome = 'cancelled', but one of arrived",
    ),
    "half a job": ("worker,compute_seconds,job\na,1,0.5\n", ":2: job = '0.5', but a whole number >= 0"),
    "no gradient": ("worker,compute_seconds,gradients\na,1,0\n", ":2: gradients = '0', but a whole number >= 1"),
    "a long line": (HEAD + "a" * 5000 + ",1\n", ":2: a line of more than 4096 bytes"),
    "bytes": (b"\xff\xfe\x00", ":1: this is no UTF-8 text"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_with_its_line(tmp_path, name):
    content, message = WRONG[name]
    path = tmp_path / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(TraceError) as error:
        read_trace(path)
    assert message in str(error.value)


WRONG_OBJECTS = {
    "no object": ("[1]\n", "is no object"),
    "no JSON": ("{\n", ":1: this is no JSON"),
    # from Python 3.13 on its parser of JSON goes as deep as a line may be long
    "nested": ("[" * 4000 + "\n", ":1: nested too deep" if sys.version_info < (3, 13) else ":1: this is no JSON"),
    "an unknown key": ('{"worker": 1, "compute_seconds": 1, "x": 1}\n', ":1: unknown key 'x'"),
    "a missing key": ('{"worker": 1}\n', ":1: compute_seconds is missing"),
    "a key twice": ('{"worker": 1, "worker": 1}\n', ":1: a key stands twice"),
    "a list for a time": ('{"worker": 1, "compute_seconds": [1]}\n', ":1: compute_seconds = [1]"),
    "true for a time": ('{"worker": 1, "compute_seconds": true}\n', ":1: compute_seconds = True"),
    "a huge number": ('{"worker": 1, "compute_seconds": 1' + "0" * 400 + "}\n", ":1: compute_seconds = 1"),
    "a broken half of a letter": ('{"worker": "\\ud800", "compute_seconds": 1}\n', ":1: worker = "),
    "an outcome that is a list": ('{"worker": 1, "compute_seconds": 1, "outcome": [1]}\n', ":1: outcome = [1]"),
}


@pytest.mark.parametrize("name", WRONG_OBJECTS)
def test_what_is_wrong_in_jsonl_is_told_with_its_line(tmp_path, name):
    content, message = WRONG_OBJECTS[name]
    (tmp_path / "t.jsonl").write_text(content)
    with pytest.raises(TraceError) as error:
        read_trace(tmp_path / "t.jsonl")
    assert message in str(error.value)


def test_up_to_ten_mistakes_are_told_at_once(tmp_path):
    (tmp_path / "t.csv").write_text(HEAD + "a,x\n" * 100)
    with pytest.raises(TraceError) as error:
        read_trace(tmp_path / "t.csv")
    assert str(error.value).count("compute_seconds = 'x'") == 10
    assert str(error.value).endswith("(only the first mistakes are shown)")


def test_a_last_row_without_an_end_is_what_a_killed_writer_leaves_and_is_dropped(tmp_path):
    for end in (b"a,2.", b"b", b"\xc3"):
        (tmp_path / "t.csv").write_bytes((HEAD + "a,1\n").encode() + end)
        trace = read_trace(tmp_path / "t.csv")
        assert (trace.compute_seconds[0], len(trace) + trace.torn) == (1.0, 2)


def test_a_path_that_is_no_file_is_told(tmp_path):
    with pytest.raises(TraceError, match="there is no such file"):
        read_trace(tmp_path / "nowhere.csv")
    with pytest.raises(TraceError, match="no regular file"):
        read_trace(tmp_path)


def test_sizes_are_limited(tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text(HEAD + "a,1\nb,1\nc,1\n")
    for limit, message in (
        ("MAX_ROWS", "more than 2 rows"),
        ("MAX_WORKERS", "more than 2 workers"),
        ("MAX_BYTES", "MB"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, limit, 2)
            with pytest.raises(TraceError, match=message):
                read_trace(tmp_path / "t.csv")


@given(content=st.binary(max_size=300), ending=st.sampled_from(["csv", "jsonl"]))
def test_garbage_is_a_trace_or_a_trace_error(tmp_path_factory, content, ending):
    path = tmp_path_factory.mktemp("garbage") / f"t.{ending}"
    path.write_bytes(content)
    try:
        read_trace(path)
    except TraceError as error:
        assert str(path) in str(error)  # noqa: PT017 (it need not be raised)


@given(text=st.lists(st.text(string.printable, max_size=30), max_size=8).map("\n".join))
def test_text_below_good_columns_is_a_trace_or_a_trace_error(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("garbage") / "t.csv"
    path.write_text(",".join(COLUMNS) + "\n" + text, newline="")
    try:
        assert len(read_trace(path)) <= 20
    except TraceError as error:
        assert str(path) in str(error)  # noqa: PT017 (it need not be raised)


def test_much_garbage_is_refused_at_once(tmp_path):
    (tmp_path / "t.csv").write_bytes(np.random.default_rng(0).bytes(10_000_000))
    (tmp_path / "lines.csv").write_text(HEAD + "a;b\n" * 1_000_000)
    begun = time.perf_counter()
    for name in ("t.csv", "lines.csv"):
        with pytest.raises(TraceError):
            read_trace(tmp_path / name)
    assert time.perf_counter() - begun < 1.0


# ---- laws


def drawn(times, worker, count, seed=0):
    durations = Durations(seed, "compute", times)
    return [durations.draw(worker, m, 0.0) for m in range(count)]


def test_cycle_takes_the_mth_measured_time_and_wraps(file):
    times = Workers(3, FromTrace(str(file))).compute_time
    assert drawn(times, 1, 12) == [11, 12, 13, 14, 15, 11, 12, 13, 14, 15, 11, 12]
    durations = Durations(0, "compute", times)
    assert [durations.draw(2, m, 0.0) for m in (1000, 3, 129)] == [21, 24, 25]


def test_a_simulation_plays_the_measured_order_exactly(file):
    method = asyncsim.MinibatchSGD(stepsize=0.1)
    run = simulate(method, asyncsim.NoProblem(), Workers(3, FromTrace(str(file))), stop=Stop(iterations=7))
    assert run.time == 21 + 22 + 23 + 24 + 25 + 21 + 22


def test_more_workers_than_measured_ones_begin_from_the_first_again(file):
    times = Workers(5, FromTrace(str(file))).compute_time
    assert [drawn(times, worker, 1)[0] for worker in range(5)] == [1, 11, 21, 1, 11]


def test_a_random_beginning_differs_by_worker_and_seed_and_is_the_same_all_along(tmp_path):
    file = write_trace(tmp_path / "t.csv", [Row("0", m, 0.0, float(m)) for m in range(1000)])
    times = Workers(3, FromTrace(str(file), begin="random")).compute_time
    begins = {(worker, seed): drawn(times, worker, 1, seed)[0] for worker in range(3) for seed in range(3)}
    assert len(set(begins.values())) == 9
    assert drawn(times, 2, 300, seed=1) == [(begins[2, 1] + m) % 1000 for m in range(300)]


def test_a_map_says_who_plays_whom(file):
    times = Workers(2, FromTrace(str(file), worker_map=("2", 0))).compute_time
    assert [drawn(times, worker, 2) for worker in range(2)] == [[21, 22], [1, 2]]


def test_pooled_workers_draw_from_all(file):
    times = Workers(1, FromTrace(str(file), worker_map="pooled", play="resample")).compute_time
    assert set(drawn(times, 0, 500)) == {10 * w + m + 1 for w in range(3) for m in range(5)}


def test_a_device_chooses_its_rows_and_a_column_its_seconds(tmp_path):
    file = write_trace(tmp_path / "t.csv", [Row("0", m, 0.0, 1.0 + m, 5.0 + m, device="ab"[m]) for m in range(2)])
    assert drawn(Workers(1, FromTrace(str(file), device="b", column="send_seconds")).compute_time, 0, 2) == [6, 6]


@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=4),
    block=st.integers(1, 150),
    first=st.integers(0, 300),
    seed=st.integers(0, 5),
)
def test_blocks_are_runs_of_one_workers_series(lengths, block, first, seed):
    """Value 1000w + m is time m of worker w: within a block m grows by one and wraps, and w stays."""
    law = BlockBootstrap(*([1000.0 * w + m for m in range(length)] for w, length in enumerate(lengths)), block=block)
    times = Durations(seed, "compute", Workers(1, law).compute_time)
    values = [times.draw(0, m, 0.0) for m in range(first, first + 200)]
    for number, (before, after) in enumerate(pairwise(values), start=first + 1):
        if number % block:
            worker = int(before // 1000)
            assert after == 1000 * worker + (before - 1000 * worker + 1) % lengths[worker]


@given(play=st.sampled_from(["cycle", "resample", "block_bootstrap"]), m=st.integers(0, 10**6), n=st.integers(1, 4))
def test_a_played_time_is_a_function_of_seed_worker_and_m_whoever_else_asks(tmp_path_factory, play, m, n):
    file = write_trace(tmp_path_factory.getbasetemp() / "law.csv", three(n, 13))
    law = FromTrace(str(file), play=play, block=7, begin="random")
    alone = Durations(3, "compute", Workers(n, law).compute_time).draw(n - 1, m, 0.0)
    busy = Durations(3, "compute", Workers(n, law).compute_time)
    for other in (m + 1, m // 2, 0, m + 64):
        for worker in range(n):
            busy.draw(worker, other, 1.0)
    assert busy.draw(n - 1, m, 9.0) == alone


def test_the_order_is_kept_where_other_workers_have_callables(file):
    laws = [FromTrace(str(file), worker_map=("1",)), lambda rng, worker, start: 1.0 + start]
    times = Workers(2, laws).compute_time
    assert times.by_call
    assert drawn(times, 0, 7) == [11, 12, 13, 14, 15, 11, 12]


def test_blocks_keep_the_autocorrelation_that_resampling_loses():
    rng = np.random.default_rng(0)
    slow = np.repeat(rng.random(200) < 0.3, 25)
    values = np.where(slow, 10.0, 1.0) + rng.random(len(slow))

    def lag_one(law):
        played = np.array(drawn(Workers(1, law).compute_time, 0, 4000))
        return np.corrcoef(played[1:], played[:-1])[0, 1]

    assert lag_one(Resampled(values)) < 0.1
    assert lag_one(BlockBootstrap(values, block=50)) > 0.8


@pytest.mark.parametrize(
    "law", [Resampled([3.0, 1.0, 2.0]), Cycled([3.0, 1.0, 2.0]), BlockBootstrap([3.0, 1.0], [2.0])], ids=repr
)
def test_a_played_law_tells_mean_quantiles_and_cdf_of_what_was_measured(law):
    assert law.mean == 2.0
    assert [law.quantile(q) for q in (0.0, 1 / 3, 0.5, 2 / 3, 1.0)] == [1, 1, 2, 2, 3]
    assert [law.cdf(t) for t in (0.5, 1.0, 2.5, 3.0)] == [0, 1 / 3, 2 / 3, 1]
    assert law.sample(np.random.default_rng(0), 7).shape == (7,)
    with pytest.raises(ValueError, match="probability"):
        law.quantile(1.5)


@pytest.mark.parametrize("times", [[], [-1.0], [math.nan], [[1.0]]])
def test_what_cannot_be_played_is_refused(times):
    with pytest.raises(ValueError, match="measured times"):
        Resampled(times)


# ---- in a scenario


def scenario(tmp_path, count=3, **law):
    return from_data(
        {
            "workers": {"count": count, "compute_time": {"distribution": "trace", "file": "times.csv", **law}},
            "problem": "none",
            "methods": [{"name": "asynchronous_sgd", "stepsize": 0.1}],
            "stop": {"time": 100},
        },
        base=tmp_path,
    )


def test_a_scenario_finds_the_trace_from_its_own_folder(tmp_path, file):
    made = scenario(tmp_path)
    assert drawn(made.build_workers().compute_time, 1, 2) == [11, 12]
    assert made.canonical()["workers"]["compute_time"] == {"distribution": "trace", "file": "times.csv"}
    assert made.trace_files() == {"times.csv"}


@pytest.mark.parametrize(
    ("law", "message"),
    [
        ({"play": "cicle"}, "workers.compute_time.play: trace: play = 'cicle', but 'cycle' or 'resample' or"),
        ({"file": "none.csv"}, "none.csv: there is no such file"),
        ({"worker_map": ["0", "1", "7"]}, "worker_map: '7' has no complete row"),
        ({"worker_map": ["0"]}, "worker_map has 1 names, but there are 3 workers here"),
        ({"device": "H100"}, "no complete row on the device 'H100'"),
        (
            {"blok": 3},
            "unknown key; allowed: distribution, file, play, column, worker_map, device, block, begin; did you mean",
        ),
    ],
)
def test_what_is_wrong_with_a_trace_in_a_scenario_is_told_with_its_place(tmp_path, file, law, message):
    with pytest.raises(ScenarioError) as error:
        scenario(tmp_path, **law)
    assert message in str(error.value)


def test_a_run_whose_trace_has_changed_is_not_taken_up_again(tmp_path, file):
    asyncsim.run(scenario(tmp_path), output=tmp_path / "run")
    assert asyncsim.resume(tmp_path / "run").runs[0].status == "finished"
    write_trace(file, three(times=4))
    with pytest.raises(Exception, match="the trace that the workers play back has changed"):
        asyncsim.resume(tmp_path / "run")


def test_a_run_with_played_times_resumes_bit_for_bit(file):
    from asyncsim.testing import resumed

    workers = Workers(3, FromTrace(str(file), play="block_bootstrap", block=3), uplink=Exponential(0.5))
    given = (asyncsim.RingmasterASGD(stepsize=0.1, threshold=2), asyncsim.Quadratic(3, noise=0.1), workers)
    alone = simulate(*given, stop=Stop(time=200), record=Record(iterations=1))
    again = resumed(*given, stop=Stop(time=200), record=Record(iterations=1), at=(1, 5, 9))
    assert alone.event_hash == again.event_hash


@pytest.mark.parametrize(
    ("play", "proven"), [("cycle", False), ("block_bootstrap", False), ("resample", True)], ids=str
)
def test_theory_says_that_nothing_is_proven_where_a_trace_is_played_in_order(file, play, proven):
    workers = Workers(3, FromTrace(str(file), play=play))
    known = knowledge(Quadratic(5, noise=0.1), workers, {"squared_gradient_norm": 0.1})
    found = predict(RennalaSGD(0.1, 2), known)
    assert known.independent_times == proven
    assert (found.seconds is not None) == proven
    assert proven or "no independent draws" in found.missing[0]


def test_times_are_dependent_too_where_one_worker_or_one_part_of_a_law_plays_a_trace_in_order(file):
    played = FromTrace(str(file)).laws(1)[0]
    assert not Workers(2, [Exponential(1.0), played]).independent_times
    assert not Workers(2, mixture([(0.5, Exponential(1.0)), (0.5, Scaled(2.0, played))])).independent_times
    assert not Workers.groups([(2, 1.0), (2, FromTrace(str(file)))]).independent_times
    assert not Workers(2, 1.0, uplink=FromTrace(str(file))).independent_times
    assert not Workers(2, lambda rng, worker, start: 1.0).independent_times
    assert Workers(2, mixture([(0.5, Exponential(1.0)), (0.5, 3.0)]), uplink=1.0).independent_times
