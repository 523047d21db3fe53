"""`measure` writes one whole row a gradient, from threads and processes, and needs nothing but the standard library."""

import json
import math
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import asyncsim
from asyncsim.measuring import Row, began_of, header, line, measure
from asyncsim.times.traces import read_trace

PACKAGE = Path(asyncsim.__file__).parent


def test_each_gradient_is_a_row_with_its_seconds_of_computing_and_sending(tmp_path):
    with measure(tmp_path / "t.csv", worker="gpu 0", device="H100") as m:
        for _ in range(3):
            with m.gradient():
                sum(range(20_000))
            with m.send():
                pass
    trace = read_trace(tmp_path / "t.csv")
    assert trace.workers == ("gpu 0",)
    assert trace.devices == ("H100",)
    assert trace.job.tolist() == [0, 1, 2]
    assert (trace.compute_seconds > trace.send_seconds).all()
    assert (trace.start[1:] >= trace.start[:-1] + trace.compute_seconds[:-1]).all()
    assert trace.complete.all()


def test_a_gradient_that_is_not_sent_has_a_row_too(tmp_path):
    with measure(tmp_path / "t.jsonl") as m:
        for _ in range(2):
            with m.gradient(count=4):
                pass
    trace = read_trace(tmp_path / "t.jsonl")
    assert (len(trace), trace.send_seconds.tolist(), trace.gradients.tolist()) == (2, [0.0, 0.0], [4, 4])


def test_what_raises_is_written_as_stopped_and_raises_on(tmp_path):
    with measure(tmp_path / "t.csv") as m:
        with pytest.raises(RuntimeError, match="out of memory"), m.gradient():
            raise RuntimeError("out of memory")
        with m.gradient():
            pass
        with pytest.raises(OSError, match="no link"), m.send():
            raise OSError("no link")
    assert [row.outcome for row in read_trace(tmp_path / "t.csv").rows()] == ["stopped", "stopped"]


def test_a_second_run_appends_and_its_times_go_on_from_the_same_start(tmp_path):
    for _ in range(2):
        with measure(tmp_path / "t.csv") as m, m.gradient():
            pass
    trace = read_trace(tmp_path / "t.csv")
    assert len(trace) == 2
    assert 0 <= trace.start[0] < trace.start[1]
    assert (tmp_path / "t.csv").read_text().count("# asyncsim trace") == 1


def test_threads_that_share_a_measure_write_whole_rows_with_numbers_of_their_own(tmp_path):
    with measure(tmp_path / "t.csv") as m:

        def work():
            for _ in range(50):
                with m.gradient():
                    pass
                with m.send():
                    pass

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert m.rows == 200
    assert sorted(read_trace(tmp_path / "t.csv").job.tolist()) == list(range(200))


PROGRAM = """
import sys
from asyncsim.measuring import measure
with measure(sys.argv[1], worker=sys.argv[2]) as m:
    for number in range(100):
        with m.gradient():
            pass
        with m.send():
            pass
        if len(sys.argv) > 3 and number == 49:
            import os, signal
            os.kill(os.getpid(), signal.SIGKILL)
"""


def started(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    return subprocess.Popen([sys.executable, "-S", "-c", PROGRAM, *map(str, arguments)], env=environment)


def test_processes_that_begin_at_once_write_one_file_with_one_header(tmp_path):
    processes = [started(tmp_path / "t.csv", worker) for worker in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    trace = read_trace(tmp_path / "t.csv")
    assert {name: len(times) for name, times in trace.all_series().items()} == {"0": 100, "1": 100, "2": 100}
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_a_process_that_is_killed_leaves_all_rows_that_were_complete(tmp_path):
    assert started(tmp_path / "t.csv", 0, "killed").wait() == -9
    assert len(read_trace(tmp_path / "t.csv")) == 50


def test_measuring_loads_nothing_beyond_the_standard_library():
    heavy = "('numpy', 'simpy', 'pydantic')"
    code = f"import sys; from asyncsim import measure; print([name for name in sys.modules if name in {heavy}])"
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    assert (
        subprocess.run(
            [sys.executable, "-S", "-c", code], env=environment, capture_output=True, text=True, check=True
        ).stdout
        == "[]\n"
    )


def test_the_device_is_waited_for_before_each_time_is_taken(tmp_path):
    waited = []
    with measure(tmp_path / "t.csv", synchronize=lambda: waited.append(1)) as m:
        with m.gradient():
            assert len(waited) == 1
        assert len(waited) == 2


@pytest.mark.parametrize("worker", ["", "two\nlines", "x" * 201, 1.5, None, True])
def test_a_worker_that_fits_in_no_row_is_refused(tmp_path, worker):
    with pytest.raises(ValueError, match="worker = "):
        measure(tmp_path / "t.csv", worker=worker)


def test_a_file_that_is_no_measured_trace_is_not_written_into(tmp_path):
    (tmp_path / "t.csv").write_text("precious\n")
    with pytest.raises(ValueError, match="no trace that was measured"), measure(tmp_path / "t.csv"):
        pass
    assert (tmp_path / "t.csv").read_text() == "precious\n"


def test_what_is_used_in_the_wrong_order_is_told(tmp_path):
    m = measure(tmp_path / "t.csv")
    with pytest.raises(ValueError, match="not open"), m.gradient():
        pass
    with m, pytest.raises(ValueError, match="without a gradient"), m.send():
        pass
    with m, pytest.raises(ValueError, match="whole number of gradients"), m.gradient(count=0):
        pass


def test_the_beginning_is_read_from_whatever_stands_in_the_first_line():
    assert began_of(header(jsonl=True, began=3.5), jsonl=True) == 3.5
    for text in (
        "",
        "[",
        "[1]",
        '{"began": 1}',
        '{"asyncsim_trace": 1, "began": "x"}',
        "# asyncsim trace 1; began inf",
    ):
        assert began_of(text, jsonl=not text.startswith("#")) is None


def test_a_line_of_jsonl_is_an_object_and_leaves_out_an_unknown_start():
    assert "start" not in json.loads(line(Row("0", 0, math.nan, 1.0), jsonl=True))
