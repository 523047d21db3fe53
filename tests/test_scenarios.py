"""Every scenario that travels with the package loads and runs, and the quickstart is what its head says."""

import runpy
from pathlib import Path

import pytest

import asyncsim
from asyncsim.scenario import from_data, load

FOLDER = Path(__file__).parent.parent / "scenarios"
FILES = sorted(FOLDER.glob("**/*.yaml"))
FEW = 2  # iterations
RUN = [pytest.param(path, marks=pytest.mark.torch) if path.parent.name == "torch" else path for path in FILES]


def shrunk(path):
    """The scenario with one seed and an end after a few iterations."""
    data = load(path).canonical()
    data.pop("seeds", None)
    # what is for a cluster is simulated here; tests/cluster/test_faults.py runs it on one
    data |= {"seed": 0, "stop": {"iterations": FEW}, "record": {"iterations": 1}, "engine": "simulation"}
    return from_data(data, base=path.parent)


@pytest.fixture(scope="module")
def quickstart():
    return load(FOLDER / "quickstart.yaml")


@pytest.fixture(scope="module")
def grid():
    return runpy.run_path(str(FOLDER / "quickstart_grid.py"))


@pytest.mark.parametrize("path", RUN, ids=lambda path: path.stem)
def test_a_scenario_runs(path):
    if path.parent.name == "torch":
        pytest.importorskip("torch", reason="needs the extra torch")
    result = asyncsim.run(shrunk(path))
    assert [(run.status, run.iterations) for run in result.runs] == [("finished", FEW)] * len(result.runs)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_scenario_begins_with_words_on_what_it_is(path):
    assert path.read_text().startswith("# ")


def test_names_of_scenarios_are_unique():
    assert len({path.stem for path in FILES}) == len(FILES)


@pytest.mark.torch
def test_a_torch_module_of_ones_own_is_compared_under_three_methods(capsys):
    pytest.importorskip("torch", reason="needs the extra torch")
    result = runpy.run_path(str(FOLDER / "own_torch_module.py"))["result"]
    assert [run.status for run in result.runs] == ["finished"] * 3
    assert all(run.curves["test_accuracy"][-1] >= 0.9 for run in result.runs)
    assert capsys.readouterr().out == result.sentence() + "\n"


@pytest.mark.parametrize("folder", [FOLDER, FOLDER / "times", FOLDER / "torch"], ids=lambda folder: folder.name)
def test_each_file_has_its_line_in_the_table(folder):
    table = (folder / "README.md").read_text()
    files = [path for path in folder.iterdir() if path.suffix in (".yaml", ".py", ".csv")]
    assert [path.name for path in files if f"[{path.name}]({path.name})" not in table] == []


def test_the_quickstart_is_five_methods_on_a_hundred_workers_with_five_seeds(quickstart):
    assert {entry.name for entry in quickstart.methods} == {
        "asynchronous_sgd",
        "hero_sgd",
        "minibatch_sgd",
        "rennala_sgd",
        "ringmaster_asgd",
    }
    assert quickstart.build_workers().n == 100
    assert len(quickstart.seeds) == 5


def test_the_seeds_of_the_grid_are_not_those_of_the_quickstart(quickstart, grid):
    assert not set(grid["SEEDS"]) & set(quickstart.seeds)


def test_every_method_of_the_grid_gets_the_same_number_of_tries(grid):
    assert {len(grid["tries"](label)) for label in grid["GRID"]} == {grid["TRIES"]}


def test_the_stepsizes_of_the_quickstart_are_in_the_grid_and_not_at_its_ends(quickstart, grid):
    for label, method in quickstart.build_methods():
        stepsizes = sorted(stepsize for stepsize, _ in grid["tries"](label))
        assert method.stepsize in stepsizes[1:-1], label
        assert stepsizes[0] < method.stepsize < stepsizes[-1], label


def test_batch_size_and_threshold_of_the_quickstart_are_not_at_the_ends_of_the_grid(quickstart, grid):
    methods = dict(quickstart.build_methods())
    for label, name in (("ringmaster_asgd", "threshold"), ("rennala_sgd", "batch_size")):
        values = sorted({second for _, second in grid["tries"](label)})
        assert getattr(methods[label], name) in values[1:-1], label


def test_the_winner_of_the_quickstart_is_there_first(quickstart):
    methods = dict(quickstart.build_methods())
    times = {
        label: asyncsim.simulate(
            methods[label],
            quickstart.check_problem(),
            quickstart.build_workers(),
            stop=asyncsim.Stop(time=400, target=True),
            target={"squared_gradient_norm": quickstart.target.squared_gradient_norm},
            record=asyncsim.Record(every=10),
        ).time
        for label in ("ringmaster_asgd", "hero_sgd")
    }
    assert 1.5 * times["ringmaster_asgd"] < times["hero_sgd"] < 400
