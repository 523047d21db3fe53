"""The command line as its users meet it: what it prints, where it writes, and with which code it ends."""

import contextlib
import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import asyncsim
from asyncsim.allocation import ALLOCATIONS
from asyncsim.catalogue import allowed_words, describe, listed, registry
from asyncsim.cli import IN_ORDER, main
from asyncsim.methods import METHODS
from asyncsim.parameters import described
from asyncsim.problems import PROBLEMS
from asyncsim.result import Result
from asyncsim.times.laws import LAWS

ROOT = Path(__file__).parent.parent

SMALL = """\
name: small
workers: {count: 3, compute_time: i}
problem: {name: quadratic, dimension: 5}
methods:
  - {name: ringmaster_asgd, stepsize: 0.2, threshold: 3}
  - {name: hero_sgd, stepsize: 0.5}
stop: {time: 30}
"""

ENDLESS = SMALL.replace("{time: 30}", "{wall_clock: 60}")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder with the scenario small.yaml, as the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SMALL)
    return tmp_path


@pytest.fixture
def command(here, capsys):
    """Runs the command line in this process: (exit code, stdout, stderr)."""

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main(list(map(str, arguments)))
        return (end.value.code, *capsys.readouterr())

    return run


def process(*arguments):
    """The command line as a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(*arguments):
    """What such a process ended with: (exit code, stdout, stderr)."""
    with process(*arguments) as running:
        out, err = running.communicate(timeout=20)
    return running.returncode, out, err


def has_begun(folder):
    """Whether a first run has its row in the record."""
    record = f"file:{folder}/record.sqlite?mode=ro"
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(record, uri=True)) as opened:
        return opened.execute("select count(*) from runs").fetchone()[0] > 0
    return False


# ---- running


def test_run_prints_the_table_the_sentence_and_where_the_report_is(command):
    code, out, err = command("run", "small.yaml")
    assert code == 0
    assert err == ""
    lines = out.splitlines()
    assert lines[0].startswith("method ")
    assert {line.split()[0] for line in lines[1:3]} == {"ringmaster_asgd", "hero_sgd"}
    assert lines[3] == ""
    assert lines[4] == Result.read("runs/small").sentence()
    assert lines[-1] == "report: runs/small/report.html"


def test_a_run_says_beforehand_what_memory_it_takes_where_that_is_much(command):
    few = ("problem.dimension=200000", "workers.count=99", "stop.time=0.5", "record.points=2", "evaluation=single")
    code, _, err = command("run", "small.yaml", *few, "-p", "1")
    assert code == 0
    assert re.fullmatch(
        r"memory: at most 100 points × 200,000 numbers × 8 bytes = 160 MB, and .* for groups of gradients\n", err
    )


def test_a_second_run_gets_a_folder_of_its_own(command):
    command("run", "small.yaml", "--quiet")
    before = Path("runs/small/manifest.json").read_bytes()
    code, out, _ = command("run", "small.yaml", "--quiet")
    assert code == 0
    assert out.endswith("report: runs/small-2/report.html\n")
    assert Path("runs/small/manifest.json").read_bytes() == before


def test_changes_and_the_folder_are_told_on_the_command_line(command):
    assert command("run", "small.yaml", "stop.time=5", "seeds=0..1", "-o", "there", "-q")[0] == 0
    result = Result.read("there")
    assert len(result.runs) == 4
    assert {run.time for run in result.runs} == {5.0}
    assert Path("there/scenario.yaml").read_text() == SMALL


def test_a_folder_that_is_there_is_replaced_by_force_only(command):
    command("run", "small.yaml", "-o", "there")
    code, out, err = command("run", "small.yaml", "stop.time=5", "-o", "there")
    assert (code, out) == (2, "")
    assert "there" in err
    assert Result.read("there").runs[0].time == 30
    assert command("run", "small.yaml", "stop.time=5", "-o", "there", "--force")[0] == 0
    assert Result.read("there").runs[0].time == 5


def test_force_leaves_alone_what_is_no_run_folder(command, here):
    (here / "mine").mkdir()
    (here / "mine" / "thesis.tex").write_text("years of work")
    assert command("run", "small.yaml", "-o", "mine", "--force")[0] == 2
    assert [path.name for path in (here / "mine").iterdir()] == ["thesis.tex"]


def test_resume_of_a_finished_run_shows_it_again(command):
    _, out, _ = command("run", "small.yaml")
    code, again, _ = command("resume", "runs/small")
    assert code == 0
    assert again.splitlines()[:5] == out.splitlines()[:5]


def test_a_method_that_fails_ends_with_1_and_says_why(command, here):
    (here / "failing_code.py").write_text(
        "class Fails:\n    def run(self, server):\n        raise RuntimeError('no luck')\n"
    )
    text = SMALL.replace("{name: hero_sgd, stepsize: 0.5}", "{name: 'failing_code:Fails'}")
    (here / "small.yaml").write_text(text)
    code, out, err = command("run", "small.yaml", "--allow-code")
    assert code == 1
    assert "ringmaster_asgd" in out
    assert "failing_code:Fails, seed 0, failed: RuntimeError: no luck" in err
    assert "Traceback" not in out + err


def test_a_folder_in_use_ends_with_3(command):
    from asyncsim.folder import RunFolder

    command("run", "small.yaml")
    with RunFolder.open("runs/small"):
        code, out, err = command("resume", "runs/small")
    assert (code, out) == (3, "")
    assert "runs/small" in err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_that_can_be_resumed(here, number, code):
    (here / "endless.yaml").write_text(ENDLESS)
    with process("-m", "asyncsim", "run", "endless.yaml", "-o", "there") as running:
        deadline = time.monotonic() + 20
        while not has_begun(here / "there") and time.monotonic() < deadline:
            os.sched_yield()
        running.send_signal(number)
        out, err = running.communicate(timeout=20)
    assert running.returncode == code, err
    assert "`asyncsim resume there` goes on" in err
    assert "Traceback" not in out + err
    assert json.loads((here / "there/manifest.json").read_text())["status"] == "interrupted"


# ---- bad input

BAD = {
    "a missing file": (["run", "missing.yaml"], "missing.yaml: no such file; `asyncsim init` writes a scenario"),
    "a folder": (["check", "."], ".: this is a folder; the path of a scenario file is needed"),
    "a wrong change": (
        ["check", "small.yaml", "stop.tmie=3"],
        "command line: 'stop.tmie=3': stop.tmie: unknown key; ",
    ),
    "what theory cannot know": (
        ["check", "small.yaml", "methods.hero_sgd.stepsize=theory"],
        "small.yaml:6:5: methods.1: ",
    ),
    "an unknown starter": (["init", "x.yaml", "--from", "startr"], "no starter is called 'startr'; there are "),
    "an unknown list": (
        ["list", "method"],
        "there is no list of 'method'; there are methods, allocations, update_rules, laws, speeds, availabilities, problems, presets, starters; did",
    ),
    "an unknown name": (
        ["describe", "ringmaster"],
        "nothing is called 'ringmaster'; did you mean 'ringmaster_asgd'? `asyncsim list` shows what there is",
    ),
    "a name that is like none": (["describe", "qqq"], "nothing is called 'qqq'; `asyncsim list` shows what there is"),
    "no run folder": (["report", "."], ""),
    "no run folder to resume": (["resume", "nowhere"], ""),
    "an unknown format": (["export", ".", "--to", "xls"], "--to xls is not known; allowed: csv, npz"),
    "an unknown command": (["rnu", "small.yaml"], "Usage: "),
    "an unknown option": (["run", "small.yaml", "--quick"], "Usage: "),
    "nothing to run": (["run"], "Usage: "),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_told_on_stderr_without_a_traceback_and_ends_with_2(command, what):
    arguments, told = BAD[what]
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(told)
    assert err.strip()
    assert "Traceback" not in err
    assert not Path("runs").exists()


def test_all_that_is_wrong_is_told_at_once(command, here):
    (here / "small.yaml").write_text(SMALL.replace("0.2", "-1").replace("count", "cuont").replace("30", "soon"))
    code, _, err = command("run", "small.yaml")
    assert code == 2
    assert [line.split(": ")[0] for line in err.splitlines()] == [
        "small.yaml:2:11",
        "small.yaml:5:39",
        "small.yaml:7:14",
    ]


def test_a_full_disk_or_a_forbidden_place_is_told_in_a_line(command):
    code, _, err = command("init", "/proc/scenario.yaml")
    assert code == 2
    assert err.count("\n") == 1
    assert err.startswith("/proc/scenario.yaml: ")


def test_a_reader_that_leaves_early_gets_no_traceback(here):
    with process("-m", "asyncsim", "schema") as listing:
        listing.stdout.close()
        assert listing.stderr.read() == ""


# ---- before and after running


def test_check_shows_what_would_run(command):
    code, out, err = command("check", "small.yaml", "seeds=0..4")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "small.yaml: good. small: 3 workers, 5 seeds",
        "  ringmaster_asgd: RingmasterASGD(stepsize=0.2, threshold=3, stops=False)",
        "  hero_sgd: HeroSGD(stepsize=0.5, worker=0, local_steps=1)",
    ]
    assert not Path("runs").exists()


def test_init_writes_a_starter_that_is_good_and_overwrites_nothing(command, here):
    code, out, _ = command("init")
    assert (code, out) == (0, "scenario.yaml is written; next: asyncsim run scenario.yaml\n")
    assert command("check", "scenario.yaml")[0] == 0
    (here / "scenario.yaml").write_text("mine")
    code, _, err = command("init")
    assert (code, err) == (2, "scenario.yaml is there already; give another path, as in `asyncsim init mine.yaml`\n")
    assert (here / "scenario.yaml").read_text() == "mine"


def test_a_path_with_spaces_is_told_so_that_it_can_be_typed(command):
    code, out, _ = command("init", "my study.yaml")
    assert (code, out) == (0, "my study.yaml is written; next: asyncsim run 'my study.yaml'\n")


@pytest.mark.parametrize("name", registry("starters"))
def test_every_starter_is_good_and_says_in_its_first_line_what_it_is(command, name):
    if name in ("cnn", "gpt"):
        pytest.importorskip("torch", reason="needs the extra torch")
    assert command("init", "mine.yaml", "--from", name)[0] == 0
    assert command("check", "mine.yaml")[0] == 0
    words = dict(listed("starters"))[name]
    assert words[:1].isalpha()


def test_the_starter_explains_every_section():
    text = registry("starters")["starter"].read_text()
    for section in (
        "name",
        "seeds",
        "workers",
        "problem",
        "target",
        "methods",
        "stop",
        "record",
        "engine",
        "evaluation",
        "sweep",
    ):
        assert re.search(rf"^{section}:[^\n]*(\n  [^\n]*)?#", text, re.MULTILINE), section


def test_list_shows_everything_with_one_line_each(command):
    code, out, _ = command("list")
    assert code == 0
    for name in (*METHODS, *LAWS, *PROBLEMS, "starter"):
        assert re.search(rf"^  {name} +\S.*$", out, re.MULTILINE), name
    assert [line for line in out.splitlines() if line.endswith(":") and line[0] != " "] == [
        "methods:",
        "allocations:",
        "update_rules:",
        "laws:",
        "speeds:",
        "availabilities:",
        "problems:",
        "presets:",
        "starters:",
    ]


def test_list_of_one_kind_shows_that_kind(command):
    _, out, _ = command("list", "methods")
    assert [line.split()[0] for line in out.splitlines()] == list(METHODS)


@pytest.mark.parametrize(
    ("name", "cls"), [(name, cls) for kind in (METHODS, ALLOCATIONS, LAWS, PROBLEMS) for name, cls in kind.items()]
)
def test_describe_shows_every_parameter_with_what_is_allowed_and_its_default(command, name, cls):
    code, out, _ = command("describe", name)
    assert code == 0
    for parameter in described(cls):
        assert f"  {parameter.name}: {allowed_words(cls, parameter)}; " in out
        assert parameter.meaning, f"{name}.{parameter.name} has no meaning in its docstring"
        assert parameter.meaning in " ".join(out.split())  # it is broken into lines
    assert ">>>" not in out
    assert f"In Python: {cls.__module__}.{cls.__name__}" in out


def test_describe_gives_a_line_for_the_scenario():
    assert describe("rennala_sgd")[0].example == "{name: rennala_sgd, stepsize: …, batch_size: …}"
    assert describe("exponential")[0].example == "{distribution: exponential, mean: …}"


def test_describe_shows_all_that_share_a_name(command):
    _, out, _ = command("describe", "uniform")
    assert "uniform (an allocation)" in out
    assert "uniform (a law)" in out


def test_the_report_can_be_written_again_and_elsewhere(command):
    command("run", "small.yaml")
    Path("runs/small/report.html").unlink()
    assert command("report", "runs/small")[:2] == (0, "runs/small/report.html\n")
    assert command("report", "runs/small", "-o", "mine.html")[:2] == (0, "mine.html\n")
    assert Path("mine.html").read_text().lower().startswith("<!doctype html>")


@pytest.mark.plot
def test_figures_for_a_paper_go_beside_the_report(command):
    pytest.importorskip("matplotlib", reason="needs the extra plot: pip install 'asyncsim[plot]'")
    command("run", "small.yaml", "-q")
    code, out, _ = command("report", "runs/small", "--figures", "svg")
    assert code == 0
    assert out.split() == [
        f"runs/small/figures/curve-against-{axis}.svg" for axis in ("time", "iterations", "worker-time")
    ]
    assert all(Path(path).is_file() for path in out.split())
    code, _, err = command("report", "runs/small", "--figures", "png")
    assert (code, err) == (2, "figures can be pdf or svg, not 'png'\n")


def test_without_matplotlib_it_is_said_what_to_install(command, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    command("run", "small.yaml", "-q")
    assert command("report", "runs/small", "--figures", "pdf")[::2] == (
        2,
        "figures need matplotlib: pip install 'asyncsim[plot]'\n",
    )


def test_compare_shows_several_runs_in_one_table_and_says_what_differs(command):
    command("run", "small.yaml", "-q")
    command("run", "small.yaml", "-q", "workers.count=5", "-o", "runs/larger")
    code, out, _ = command("compare", "runs/small", "runs/larger", "-o", "both.html")
    assert code == 0
    for label in ("hero_sgd (small)", "hero_sgd (larger)", "ringmaster_asgd (small)"):
        assert label in out
    assert "- workers.count: 3 in small, 5 in larger. The same seed need not be the same luck then" in out
    assert Path("both.html").is_file()


def test_compare_refuses_different_problems_unless_asked_for(command):
    command("run", "small.yaml", "-q")
    command("run", "small.yaml", "-q", "problem.dimension=7", "-o", "runs/other")
    code, _, err = command("compare", "runs/small", "runs/other")
    assert code == 2
    assert "problem.dimension: 5 in small, 7 in other" in err
    code, out, _ = command("compare", "runs/small", "runs/other", "--anyway")
    assert code == 0
    assert "Different problems, so who is first means little" in out


def test_export_writes_files_for_other_programs(command):
    command("run", "small.yaml")
    assert command("export", "runs/small", "--to", "csv")[:2] == (0, "runs/small/csv\n")
    assert Path("runs/small/csv/curves.csv").is_file()
    assert command("export", "runs/small", "--to", "npz", "-o", "mine.npz")[:2] == (0, "mine.npz\n")
    with np.load("mine.npz", allow_pickle=False) as arrays:
        assert any(name.startswith("hero_sgd/0/") for name in arrays)


def test_the_schema_is_json(command):
    code, out, _ = command("schema")
    assert code == 0
    assert json.loads(out)["title"] == "asyncsim scenario"


def test_the_version_is_shown(command):
    assert command("--version")[:2] == (0, f"asyncsim {asyncsim.__version__}\n")


# ---- the program itself


@pytest.mark.parametrize("program", [["-m", "asyncsim"], [str(ROOT / "cli.py")]])
def test_the_module_and_the_shim_are_the_command_line(program, here):
    code, out, err = ended(*program, "check", "small.yaml")
    assert (code, err) == (0, "")
    assert out.startswith("small.yaml: good.")


def test_help_names_every_command_in_the_order_of_a_study_with_words_that_fit(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = command("--help")
    shown = [line.split()[0] for line in out.partition("Commands:\n")[2].splitlines()]
    assert code == 0
    assert tuple(shown) == IN_ORDER
    assert "..." not in out.partition("Commands:\n")[2]


def test_help_loads_nothing_that_takes_long():
    code = (
        "import sys; sys.argv[1:] = ['--help']\n"
        "from asyncsim.cli import IN_ORDER, main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    _, out, err = ended("-c", code)
    assert "Commands" in out
    slow = {
        "numpy",
        "pydantic",
        "ruamel",
        "plotly",
        "simpy",
        "torch",
        "ray",
        "scipy",
        "sklearn",
        "matplotlib",
        "sqlite3",
    }
    assert not slow & set(err.split())


def shown_on_a_terminal(columns, *arguments, **environment):
    """What the command line shows on a terminal of that width."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": str(columns), "TERM": "xterm", **environment}
    env = {key: value for key, value in env.items() if value}
    running = subprocess.Popen([sys.executable, "-m", "asyncsim", *arguments], env=env, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other side has gone
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert running.wait(20) == 0
    return shown.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [200, 80, 30])
def test_the_table_fits_the_terminal(here, columns):
    shown = shown_on_a_terminal(columns, "run", "small.yaml", "-q", NO_COLOR="")
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    table = "\n".join(lines[: max(number for number, line in enumerate(lines) if line == "")])
    assert all(len(line) <= columns for line in table.splitlines())
    assert "ringmaster_asgd" in table
    assert "hero_sgd" in table


def test_no_color_means_plain_text(here):
    assert "\x1b" not in shown_on_a_terminal(200, "run", "small.yaml", NO_COLOR="1")
