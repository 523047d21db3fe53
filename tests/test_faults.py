"""Faults that belong to no single module, each done for real; and the table of all of them (tests/faults.py)."""

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import faults
import pytest
from toys import bits, differences

import asyncsim
from asyncsim import Result, resume, run

PACKAGE = Path(asyncsim.__file__).parent
SMALL = """\
name: small
workers: {count: 3, compute_time: {distribution: exponential, mean: i}}
problem: {name: quadratic, dimension: 5}
methods:
  - {name: ringmaster_asgd, stepsize: 0.2, threshold: 3}
stop: {time: 30}
"""
STUDY = {
    "workers": {"count": 3, "compute_time": {"distribution": "exponential", "mean": 1}},
    "problem": {"name": "quadratic", "dimension": 4},
    "methods": [{"name": "ringmaster_asgd", "stepsize": 0.1, "threshold": 3, "stops": True}],
    "stop": {"iterations": 24},
    "record": {"iterations": 5, "events": "all", "checkpoint_every": 0},
}


def command(*arguments, **environment):
    """The command line in a process of its own, in an environment that has only what is said here."""
    needed = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PACKAGE.parent)}
    return subprocess.run(
        [sys.executable, "-m", "asyncsim", *map(str, arguments)],
        env=needed | environment, capture_output=True, text=True, encoding="utf-8", errors="replace", check=False,
        stdin=subprocess.DEVNULL, timeout=50,
    )  # fmt: skip


# ---- the table


def test_every_fault_of_the_list_has_a_test_that_is_there():
    assert list(faults.FAULTS) == list(range(1, len(faults.FAULTS) + 1))
    assert all(fault.tests for fault in faults.FAULTS.values())
    assert [test for fault in faults.FAULTS.values() for test in faults.missing(fault)] == []


def test_the_readme_has_a_line_for_every_fault_with_its_promise_and_how_often_it_was_tried():
    table = (faults.ROOT / "README.md").read_text(encoding="utf-8").partition(faults.BEGIN)[2].partition(faults.END)[0]
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table.splitlines() if "|" in line]
    told = {int(cells[0]): cells for cells in rows if cells[0].isdigit()}
    assert list(told) == list(faults.FAULTS)
    for number, fault in faults.FAULTS.items():
        assert told[number][1:3] == [fault.what, fault.promise]
        assert int(told[number][3].replace(",", "")) > 0
        assert told[number][4].startswith("held")


def test_the_counts_of_the_table_are_those_of_the_tests(tmp_path, monkeypatch):
    """A parametrized test, one of hypothesis, one that says its tries, one that fails, one that is skipped."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_toy.py").write_text(
        "import pytest\nfrom hypothesis import given, settings, strategies as st\n"
        "@pytest.mark.parametrize('case', range(3))\ndef test_three(case): pass\n"
        "@settings(max_examples=7, derandomize=True, database=None)\n@given(st.floats())\ndef test_seven(x): pass\n"
        "def test_fifty(record_property): record_property('tries', 50)\n"
        "@pytest.mark.parametrize('case', range(2))\ndef test_wrong(case): assert case\n"
        "@pytest.mark.skip(reason='not here')\ndef test_skipped(): pass\n"
    )
    program = (
        f"import sys; sys.path.insert(0, {str(Path(faults.__file__).parent)!r})\nimport faults\n"
        "names = ('three', 'seven', 'fifty', 'wrong', 'skipped')\n"
        "tests = [faults.Fault('w', 'p', (f'test_toy.py::test_{name}',)) for name in names]\n"
        "counting = faults.tried(tests)\n"
        "print('\\n'.join(faults.row(1, fault, counting) for fault in tests))\n"
        "print(faults.row(1, faults.Fault('w', 'p', ('test_toy.py::test_gone',)), counting))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert [line.rpartition("| p | ")[2] for line in done.stdout.splitlines()[-6:]] == [
        "3 | held |",
        "7 | held |",
        "50 | held |",
        "2 | **broken in 1** |",
        "0 | not run (1 of 1 tests not run here) |",
        "0 | not run |",
    ]


# ---- killed while a checkpoint is written


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    path = tmp_path_factory.mktemp("alone") / "run"
    run(STUDY, output=path, processes=1)
    return Result.read(path)


MOMENTS = ["half written", "written", "synced", "renamed"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_while_a_checkpoint_is_written_the_one_before_is_used(alone, tmp_path, moment, record_property):
    """The process kills itself within the writing of its third, seventh, … checkpoint."""
    for number in (3, 7, 16):
        path = tmp_path / str(number)
        if (child := os.fork()) == 0:
            try:
                die_in_checkpoint(number, moment)
                run(STUDY, output=path, processes=1)
            finally:
                os._exit(1)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
        whole = sorted(int(file.name.split(".")[1]) for file in (path / "checkpoints").glob("*.ckpt"))
        assert whole[-1] == number - (moment != "renamed")
        resume(path, processes=1)
        (a,), (b,) = Result.read(path).runs, alone.runs
        assert differences(a, b) == []
        assert bits(a.events) == bits(b.events)
    record_property("tries", 3)


def die_in_checkpoint(number, moment):
    """SIGKILL to this process in the writing of its checkpoint of this number."""
    seen = []
    real_open, real_sync, real_replace = Path.open, os.fsync, Path.replace

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    def open_(path, *arguments, **named):
        file = real_open(path, *arguments, **named)
        if ".ckpt" in path.name and "w" in str(arguments):
            seen.append(path)
            if len(seen) == number and moment == "half written":
                file.write(b"asyncsim")
                file.flush()
                die()
        return file

    def sync(handle):
        if len(seen) == number and moment == "written":
            die()
        real_sync(handle)
        if len(seen) == number and moment == "synced":
            die()

    def replace(path, to):
        done = real_replace(path, to)
        if len(seen) == number and moment == "renamed":
            die()
        return done

    Path.open, os.fsync, Path.replace = open_, sync, replace


# ---- full, and read-only


def may_mount():
    """Whether we may mount a file system in a name space of our own; some containers allow it to nobody."""
    if not shutil.which("unshare"):
        return False
    there = ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(there, capture_output=True, check=False).returncode == 0


MAY_MOUNT = may_mount()


def in_a_small_file_system(place, script, megabytes=1):
    """What a shell script does in `place`, where a tmpfs of this size is mounted for it alone; $P is our Python.

    Where that is not allowed no file may become larger than half of that.
    """
    place.mkdir()
    mount = f"mount -t tmpfs -o size={megabytes}m tmpfs {place}" if MAY_MOUNT else f"ulimit -f {megabytes * 1000}"
    space = ["unshare", "--user", "--map-root-user", "--mount"] if MAY_MOUNT else []
    return subprocess.run(
        [*space, "sh", "-c", f"{mount} && cd {place} && {script}"],
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent), "P": sys.executable},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_on_a_full_file_system_a_run_ends_with_a_line_and_what_it_wrote_can_be_read(tmp_path):
    (tmp_path / "s.yaml").write_text(SMALL.replace("30}", "300000}\nrecord: {every: 100, events: all}"))
    done = in_a_small_file_system(
        tmp_path / "full", f"$P -m asyncsim run ../s.yaml -o run -q; echo ended with $?; cp -r run {tmp_path}/kept"
    )
    assert "ended with 2" in done.stdout, done.stderr
    assert "Traceback" not in done.stderr
    assert "run/record.sqlite: " in done.stderr
    assert "what was written before is kept and readable" in done.stderr
    (kept,) = Result.read(tmp_path / "kept").runs
    assert len(kept.curves["time"]) > 0
    assert kept.status == "interrupted"


def test_a_file_system_that_cannot_be_written_is_told_in_a_line_and_reading_goes_on(tmp_path):
    (tmp_path / "s.yaml").write_text(SMALL)
    fixed, other = ("mount -o remount,ro .", "other") if MAY_MOUNT else ("true", "/proc/other")
    done = in_a_small_file_system(
        tmp_path / "fixed",
        f"$P -m asyncsim run ../s.yaml -o run -q && {fixed} && "
        f"for words in 'run ../s.yaml -o {other}' 'resume run' 'report run -o {other}/page.html'; do "
        "$P -m asyncsim $words -q; echo $words: $?; done; "
        "$P -c \"import asyncsim; print(asyncsim.Result.read('run').runs)\"",
        megabytes=20,
    )
    assert "Traceback" not in done.stderr
    assert "Run ringmaster_asgd seed 0: finished" in done.stdout, done.stderr
    assert f"run ../s.yaml -o {other}: 2" in done.stdout
    assert f"report run -o {other}/page.html: 2" in done.stdout
    assert "Read-only file system" in done.stderr or not MAY_MOUNT


# ---- signals


ENDLESS = """
class Endless:
    def run(self, server):
        print("computing", flush=True)
        while True:
            pass
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_ends_a_step_that_never_ends(tmp_path, number):
    (tmp_path / "endless.py").write_text(ENDLESS)
    method = 'name: "endless:Endless"'
    (tmp_path / "s.yaml").write_text(SMALL.replace("name: ringmaster_asgd, stepsize: 0.2, threshold: 3", method))
    child = subprocess.Popen(
        [sys.executable, "-m", "asyncsim", "run", "s.yaml", "-o", "run", "--allow-code", "--processes", "1"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with child:
        assert child.stdout.readline() == "computing\n", child.communicate()
        child.send_signal(number)
        assert "once more to end at once" in child.stderr.readline()
        child.send_signal(number)
        told = child.communicate(timeout=20)
    assert child.returncode == 128 + number, told
    assert "Traceback" not in told[1]
    assert Result.read(tmp_path / "run").runs[0].curves["time"].tolist() == [0.0]


# ---- clocks


def test_no_engine_reads_a_clock_that_can_be_set():
    """Only the file of a measured trace says which day it was."""
    settable = {"time.time", "time.time_ns", "datetime.now", "datetime.datetime.now", "datetime.utcnow"}
    allowed = {"measuring.py", "study.py", "testing/soak.py", "testing/fuzz.py"}
    for file in PACKAGE.rglob("*.py"):
        calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(file.read_text("utf-8"))) if is_call(node)}
        assert not calls & settable or str(file.relative_to(PACKAGE)) in allowed, file


def is_call(node):
    return isinstance(node, ast.Call)


# ---- what is too large


MEGABYTES = """
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(status["VmHWM"].split()[0]) // 1024)
"""


def megabytes(program, *arguments):
    """The largest memory of a process that runs this program."""
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program + MEGABYTES, *map(str, arguments)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return int(done.stdout.splitlines()[-1])


def levels(k):
    return "\n".join(f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]" for i in range(k))


BOMBS = {
    "aliases": "a: &a [1,1,1,1,1,1,1,1,1]\n" + levels(20),
    "brackets": "a: " + "[" * 5000,
    "indentation": "".join(" " * depth + "a:\n" for depth in range(1300)),
    "an integer": "seed: " + "9" * 999_000,
    "values": "a: [" + "1," * 450_000 + "1]",
    "a power": SMALL.replace("mean: i", "mean: 9**9**9"),
    "powers of powers": SMALL.replace("mean: i", "mean: i**i**i**i"),
    "seeds": SMALL + "seeds: 0..999999999999\n",
    "workers": SMALL.replace("count: 3", "count: 100000000000"),
    "dimension": SMALL.replace("dimension: 5", "dimension: 1000000000000000"),
}
TELLS = """
import sys, time
from asyncsim.scenario import ScenarioError, load
from asyncsim import study
begun = time.process_time()
try:
    scenario = load(sys.argv[1])
    study.checked_methods(scenario, scenario.check_problem())
except ScenarioError as error:
    print(error)
else:
    sys.exit("it was not refused")
assert time.process_time() - begun < 1, time.process_time() - begun
"""


@pytest.mark.parametrize("what", [*BOMBS, "100 MB"])
def test_a_bomb_is_refused_within_a_second_and_200_megabytes(tmp_path, what):
    path = tmp_path / "bomb.yaml"
    if what == "100 MB":
        with path.open("wb") as file:
            file.truncate(100 << 20)
    else:
        path.write_text(BOMBS[what])
    assert megabytes(TELLS, path) < 200


WORKERS = """
from asyncsim import AsynchronousSGD, NoProblem, Stop, Workers, simulate
workers = Workers(10**5, {"distribution": "exponential", "mean": "sqrt(i)"})
run = simulate(AsynchronousSGD(0.1), NoProblem(), workers, stop=Stop(gradients=10**5))
assert run.used == 10**5
"""


def test_a_hundred_thousand_workers_take_less_than_300_megabytes():
    assert megabytes(WORKERS) < 300


ROWS = """
import sys
from asyncsim import run
run({
    "workers": {"count": 20, "compute_time": {"distribution": "exponential", "mean": "sqrt(i)"}}, "problem": "none",
    "methods": [{"name": "asynchronous_sgd", "stepsize": 0.1}], "stop": {"gradients": int(sys.argv[2])},
    "record": {"points": 50, "events": "all"},
}, output=sys.argv[1], progress=False, processes=1, events=False)
"""


def test_a_run_that_keeps_every_event_takes_no_more_memory_the_longer_it_is(tmp_path):
    short, long = (megabytes(ROWS, tmp_path / str(rows), rows) for rows in (20_000, 120_000))
    assert long < short + 12  # the events alone are 300,000 rows
    report = Result.read(tmp_path / "120000", events=False).report()
    assert report.stat().st_size < 8 << 20


# ---- code that others name


def test_a_scenario_that_names_code_runs_none_of_it(tmp_path):
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'was-here')!r}, 'w')\n")
    for name in ("evil:Method", "os:system", "../evil:Method", "evil", "builtins:eval", "asyncsim.cli:main", "evil.py"):
        for part in (
            SMALL.replace("ringmaster_asgd", f'"{name}"'),
            SMALL.replace("quadratic", f'"{name}"'),
            SMALL.replace("exponential", f'"{name}"'),
            SMALL.replace("count: 3", f'count: 3, speed: {{name: "{name}"}}'),
            SMALL.replace("mean: i", f"mean: \"__import__('{name}')\""),
        ):
            path = tmp_path / "s.yaml"
            path.write_text(part)
            with pytest.raises(asyncsim.ScenarioError):
                asyncsim.scenario.load(path)
    assert not (tmp_path / "was-here").exists()
    assert "evil" not in sys.modules


def test_a_run_folder_that_names_code_has_none_of_it_imported(tmp_path, monkeypatch):
    """Played with leave to use the code beside it; then everything that reads it, without."""
    monkeypatch.chdir(tmp_path)
    Path("evil.py").write_text(
        f"from pathlib import Path\nPath({str(tmp_path / 'was-here')!r}).touch()\n"
        "class Method:\n    def run(self, server): pass\n"
    )
    Path("s.yaml").write_text(
        SMALL.replace("name: ringmaster_asgd, stepsize: 0.2, threshold: 3", 'name: "evil:Method"')
    )
    assert command("run", "s.yaml", "-o", "run", "--allow-code").returncode == 0
    assert Path("was-here").exists()
    Path("was-here").unlink()
    shutil.copytree("run", "copy")
    for words in (["report"], ["export", "--to", "csv"], ["compare", "copy"], ["replay"], ["resume"]):
        done = command(words[0], "run", *words[1:])
        assert "Traceback" not in done.stderr
        assert done.returncode == (2 if words[0] in ("replay", "resume") else 0), done.stderr
        assert not Path("was-here").exists(), words


# ---- names, and bare surroundings


@pytest.mark.parametrize(
    "name", ["../../x", "a/b", "/etc/passwd", "..", ".", "x" * 10_000, "\U0001f600 é", " ", "-rf", "CON"]
)
def test_whatever_its_name_a_scenario_runs_into_a_folder_under_runs(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_text(SMALL.replace("name: small", f'name: "{name}"'), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", "from asyncsim.cli import main; main()", "run", "s.yaml", "-q"],
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 2:  # a name that is none
        assert done.stderr.startswith("s.yaml:1:7: name: ")
        return
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", "s.yaml"]
    (folder,) = (tmp_path / "runs").iterdir()
    assert len(folder.name.encode()) <= 120
    assert (folder / "manifest.json").exists()


SURROUNDINGS = {
    "no HOME": {},
    "a HOME that is not there": {"HOME": "/nonexistent/home"},
    "plain ASCII": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "an encoding that cannot write ‖∇f‖²": {"PYTHONIOENCODING": "latin-1"},
    "an unknown locale": {"LC_ALL": "xx_YY.NONE", "LANGUAGE": "zz"},
    "commas in numbers": {"LC_ALL": "de_DE.UTF-8", "LC_NUMERIC": "de_DE.UTF-8"},
    "a dumb terminal": {"TERM": "dumb", "COLUMNS": "1"},
    "a time zone that is none": {"TZ": "Nowhere/At/All"},
}


@pytest.mark.parametrize("what", SURROUNDINGS)
def test_without_home_terminal_or_locale_a_scenario_runs_and_has_its_report(tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_text(SMALL)
    done = command("run", "s.yaml", "-o", "run", **SURROUNDINGS[what])
    assert done.returncode == 0, done.stderr
    assert ("??f?\ufffd" if "PYTHONIOENCODING" in SURROUNDINGS[what] else "‖∇f‖²") in done.stdout
    assert "‖∇f‖²" in Path("run", "report.html").read_text(encoding="utf-8")
    assert command("check", "s.yaml", **SURROUNDINGS[what]).returncode == 0
