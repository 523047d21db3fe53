"""Who may know whom: what stands in the sources, and what is loaded when."""

import ast
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import asyncsim

PACKAGE = Path(asyncsim.__file__).parent
# allocation/regret.py belongs to the log: it tells what an allocation lost, and no method runs it
METHOD_FILES = [
    file
    for folder in ("methods", "allocation")
    for file in sorted((PACKAGE / folder).glob("*.py"))
    if file.stem != "regret"
]

HEAVY = ("torch", "ray", "scipy", "sklearn", "matplotlib", "plotly", "numba")
ENGINE = (
    "simpy", "asyncsim.simulation", "asyncsim.cluster", "asyncsim.server", "asyncsim.running", "asyncsim.study",
    "asyncsim.methods",
)  # fmt: skip
# report/twin.py and others of that folder are found by themselves
READING = ["result", "folder", "summary", "bounds", "ratios", "families", "beside", "dash", "export", "frames"]
READING += [
    ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
    for folder in ("report", "exports")
    for file in sorted((PACKAGE / folder).glob("*.py"))
]


def imported(file: Path) -> set[str]:
    """The modules that a file names in an import, wherever it stands."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def calls(file: Path) -> set[str]:
    """What a file calls, as dotted names."""
    return {
        ast.unparse(node.func)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    }


def loaded_after(code: str, *arguments: str) -> set[str]:
    """The modules that are loaded in a new interpreter after this code."""
    program = f"import sys\n{code}\nprint('|'.join(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, env=environment, check=True
    )
    return set(done.stdout.splitlines()[-1].split("|"))


@pytest.mark.parametrize("file", METHOD_FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_method_knows_no_engine_no_clock_and_no_luck_but_the_servers(file):
    tops = {name.split(".")[0] for name in imported(file)}
    assert not tops & {"simpy", "ray", "time", "random", "threading", "datetime", "asyncio"}
    engines = {"asyncsim.simulation", "asyncsim.cluster", "asyncsim.running", "asyncsim.study", "asyncsim.streams"}
    assert not imported(file) & engines
    assert not [call for call in calls(file) if call.startswith(("np.random.", "numpy.random."))]


def test_no_reading_tool_loads_an_engine():
    """All of them in one interpreter: what one loads, all load."""
    assert len(READING) > 25
    assert not loaded_after("\n".join(f"import asyncsim.{module}" for module in READING)) & set(ENGINE)


@pytest.mark.parametrize("module", ["jobs", "server"])
def test_the_rules_know_no_engine(module):
    assert not imported(PACKAGE / f"{module}.py") & {
        "simpy",
        "asyncsim.simulation",
        "asyncsim.cluster",
        "asyncsim.running",
    }


@pytest.mark.parametrize(
    "code",
    [
        "import asyncsim",
        "from asyncsim.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass",
        "from asyncsim import *",
    ],
    ids=["import asyncsim", "asyncsim --help", "from asyncsim import *"],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(code):
    assert not {name.split(".")[0] for name in loaded_after(code)} & set(HEAVY)


def test_importing_asyncsim_loads_hardly_anything():
    assert not loaded_after("import asyncsim") & {"numpy", "simpy", "pydantic", "typer", "ruamel.yaml", "rich"}


def test_importing_asyncsim_takes_no_time():
    begun = time.perf_counter()
    loaded_after("import asyncsim")
    assert time.perf_counter() - begun < 1.0  # with the interpreter's own start, on a busy machine


def test_every_public_name_is_there_and_has_a_docstring():
    for name in asyncsim.__all__:
        value = getattr(asyncsim, name)
        assert isinstance(value, (str, dict)) or value.__doc__
    assert dir(asyncsim) == asyncsim.__all__


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'Sever'"):
        _ = asyncsim.Sever


def test_no_file_of_the_core_asserts_a_users_mistake():
    """`assert` is allowed where it tells a type checker what is already sure, with a comment that says why."""
    for name in (
        "server",
        "simulation",
        "running",
        "study",
        "record",
        "streams",
        "checkpoint",
        "parameters",
        "theory/parameters",
    ):
        for line in (PACKAGE / f"{name}.py").read_text(encoding="utf-8").splitlines():
            assert not line.strip().startswith("assert ") or "#" in line, f"{name}.py: {line}"


# what goes to other processes goes through a pipe and is never written into a file
THROUGH_THE_PIPE = {"parallel.py", "_worker_process.py", "cluster_runs.py"}


def test_no_module_pickles_into_files():
    for file in PACKAGE.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        pickles = re.search(r"^\s*(import|from) (pickle|cloudpickle|dill|shelve|marshal)\b", text, re.MULTILINE)
        assert not pickles or file.name in THROUGH_THE_PIPE, file
        assert not re.search(r"\bpickle\.(dump|load|Pickler|Unpickler)\b", text), file


def test_every_exception_from_a_rule_of_the_linter_has_its_reason_beside_it():
    for file in PACKAGE.rglob("*.py"):
        lines = file.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            if re.search(r"#.*\bnoqa\b", line):
                beside = re.search(r"noqa: [A-Z0-9, ]+( - |\()\w", line)
                above = line.startswith("# ruff: noqa") and lines[number - 1].startswith("# ")
                assert beside or above, f"{file.name}:{number + 1}: {line.strip()}"
            assert "type: ignore" not in line or "type: ignore[" in line, f"{file.name}:{number + 1}"
    settings = (PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8")
    for line in re.search(r"^ignore = \[\n(.*?)^\]", settings, re.DOTALL | re.MULTILINE)[1].splitlines():
        assert re.search(r"#\s+\w", line), line
