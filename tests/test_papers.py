"""The papers' experiments: their files, their grids, and the page that the command writes belong together."""

import importlib
import math
import re
import sys
from pathlib import Path

import pytest

import asyncsim
from asyncsim.scenario import from_data, load

FOLDER = Path(__file__).parent.parent / "scenarios" / "papers"
FILES = sorted(FOLDER.glob("*.yaml"))
MODULES = ("experiments", "figure", "reproduce")


@pytest.fixture(scope="module")
def papers():
    """The three files beside the scenarios, as modules."""
    sys.path.insert(0, str(FOLDER))
    try:
        yield {name: importlib.import_module(name) for name in MODULES}
    finally:
        sys.path.remove(str(FOLDER))
        for name in MODULES:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def experiments(papers):
    return {experiment.name: experiment for experiment in papers["experiments"].ALL}


def written():
    return (FOLDER / "README.md").read_text()


def outcome(papers, **given):
    """An outcome whose fields don't matter but for those given."""
    fields = {
        "settings": {}, "time": 1.0, "reached": 1, "seeds": 1, "last": 1.0, "end": 1.0, "iterations": 1, "worker_seconds": 1.0,
        "regrets": [], "at_an_end": False, "x": [0.0], "y": [1.0], "work": [0.0], "regret": [0.0],
    }  # fmt: skip
    return papers["experiments"].Outcome(**(fields | given))


def test_every_file_is_an_experiment_and_every_experiment_a_file(experiments):
    assert {path.stem for path in FILES} == set(experiments)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("full", [False, True], ids=["reduced", "full"])
def test_every_variant_of_an_experiment_is_a_scenario(papers, experiments, path, full):
    experiment, reproduce = experiments[path.stem], papers["reproduce"]
    for variant in experiment.variants:
        method = load(path).canonical()["methods"][0]
        data = reproduce.scenario_of(experiment, variant, full, reproduce.label_of(method), {}, seed=1)
        assert len(from_data(data, base=FOLDER).methods) == 1


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("full", [False, True], ids=["reduced", "full"])
def test_grids_are_for_methods_of_the_file_and_their_parameters(papers, experiments, path, full):
    scenario = load(path)
    data = scenario.canonical()
    entries = {papers["reproduce"].label_of(method): method for method in data["methods"]}
    for label, grid in experiments[path.stem].grids(data, full).items():
        assert set(grid) <= {field for entry in scenario.methods for field in type(entry).model_fields}, label
        assert label in entries


def test_seeds_of_the_table_are_not_those_of_tuning(experiments):
    for experiment in experiments.values():
        assert not set(experiment.tuning_seeds) & {*experiment.seeds, *experiment.full_seeds}, experiment.name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_head_of_a_file_says_what_the_paper_found_what_we_find_and_where_they_differ(path):
    head = path.read_text().partition("\nseeds:")[0]
    assert [words for words in ("# The paper", "# Here", "# Where they differ") if words not in head] == []


def test_every_experiment_has_its_row_and_section_on_the_page(experiments):
    for experiment in experiments.values():
        assert f"## {experiment.title}\n" in written()
        assert f"| [{experiment.name}](#" in written()


def test_links_within_the_page_lead_to_its_sections():
    anchors = {
        re.sub(r"[^\w-]", "", title.lower().replace(" ", "-")) for title in re.findall(r"^## (.*)$", written(), re.M)
    }
    assert set(re.findall(r"\]\(#([^)]*)\)", written())) <= anchors


def test_every_figure_on_the_page_is_there_and_no_other_and_all_are_small():
    named = set(re.findall(r"\]\((figures/[^)]*)\)", written()))
    files = {f"figures/{path.name}" for path in (FOLDER / "figures").iterdir()}
    assert named == files
    assert sum((FOLDER / name).stat().st_size for name in named) < 1_000_000


def test_words_of_the_experiments_stand_on_the_page(experiments):
    for experiment in experiments.values():
        assert experiment.why in written()
        assert experiment.paper_found in written()


def test_the_page_and_the_figures_are_made_of_the_outcomes_that_are_kept(papers, tmp_path, monkeypatch):
    reproduce = papers["reproduce"]
    for path in FOLDER.iterdir():
        if path.suffix in (".yaml", ".py"):
            (tmp_path / path.name).write_text(path.read_text())
    monkeypatch.setattr(reproduce, "FOLDER", tmp_path)
    reproduce._text.cache_clear()
    reproduce.write()
    assert (tmp_path / "README.md").read_text() == written()
    for path in (tmp_path / "figures").iterdir():
        assert path.read_text() == (FOLDER / "figures" / path.name).read_text()
    reproduce._text.cache_clear()


def test_what_an_experiment_came_to_reads_back_the_same(papers, experiments, tmp_path, monkeypatch):
    reproduce = papers["reproduce"]
    monkeypatch.setattr(reproduce, "OUTCOMES", tmp_path)
    found = {"as in the file": {"a": outcome(papers, time=math.inf, last=1 / 3, settings={"stepsize": 0.5})}}
    for full in (False, True):
        reproduce.keep(experiments["bias"], found, full)
    (one,) = reproduce.kept(experiments["bias"], True).values()
    assert (one["a"].time, one["a"].last, one["a"].settings) == (math.inf, 0.333333, {"stepsize": 0.5})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bias-full.json", "bias.json"]


def test_a_full_row_stands_below_the_reduced_one_and_is_marked(papers, experiments):
    found = {"as in the file": {label: outcome(papers) for label in _labels("bias")}}
    experiment = experiments["bias"]
    assert "[bias](#" in papers["reproduce"]._row(experiment, found, False)
    assert "), **full** |" in papers["reproduce"]._row(experiment, found, True)
    assert papers["reproduce"].section(experiment, found, True)[0] == "### At the full size"


def _labels(name):
    return [method.get("label") or method["name"] for method in load(FOLDER / f"{name}.yaml").canonical()["methods"]]


def test_the_length_of_a_run_is_told_from_the_part_of_its_way_that_it_has_gone(papers, experiments):
    reproduce, experiment = papers["reproduce"], experiments["bias"]
    data = reproduce.scenario_of(experiment, experiment.variants[0], False, "asynchronous_sgd", {}, seed=3)
    (run,) = asyncsim.run(from_data(data | {"stop": {"time": 20}}, base=FOLDER), progress=False).runs
    assert reproduce.share_of(run, {"time": 80}) == 0.25
    assert reproduce.share_of(run, {"time": 80, "iterations": 2 * run.iterations}) == 0.5
    assert reproduce.share_of(run, {"time": 5}) == 1.0
    assert reproduce.seconds_of(data | {"stop": {"time": 20}}) > 0


def test_a_run_is_kept_and_not_made_again(papers, experiments, tmp_path):
    reproduce, experiment = papers["reproduce"], experiments["bias"]
    data = reproduce.scenario_of(
        experiment, experiment.variants[0], False, "asynchronous_sgd", {"stepsize": 0.01}, seed=3
    )
    data["stop"] = {"time": 20}
    assert reproduce.play(data, tmp_path)["status"] == "finished"
    (file,) = tmp_path.iterdir()
    file.write_text(file.read_text().replace("finished", "read again"))
    assert reproduce.play(data, tmp_path)["status"] == "read again"
    assert list(tmp_path.iterdir()) == [file]


def test_other_settings_are_another_run(papers, experiments, tmp_path):
    reproduce, experiment = papers["reproduce"], experiments["bias"]
    for stepsize in (0.01, 0.02):
        data = reproduce.scenario_of(
            experiment, experiment.variants[0], False, "asynchronous_sgd", {"stepsize": stepsize}, seed=3
        )
        reproduce.play(data | {"stop": {"time": 20}}, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_an_order_that_does_not_come_out_is_told(papers):
    found = {"one": {"a": outcome(papers, time=5.0), "b": outcome(papers, time=2.0)}}
    (claim,) = papers["experiments"].orders(found, ("a", "b"))
    assert claim == ("a before b (5 s, 2 s)", False)
    assert papers["reproduce"].agreement([claim]) == "no"
    assert papers["reproduce"].agreement([claim, ("other", True)]) == "in 1 of 2 points"


def test_a_method_that_never_reaches_the_target_is_behind_all_that_do_and_not_before_another_such(papers):
    never, late = outcome(papers, time=math.inf), outcome(papers, time=9.0)
    assert papers["experiments"].sooner(late, never)
    assert not papers["experiments"].sooner(never, never)


def test_numbers_are_written_in_three_digits(papers):
    number = papers["experiments"].number
    assert [number(value) for value in (0.0001234, 1234.5, 12.0, 0.5, 0.0, math.inf)] == [
        "1.23e-04",
        "1230",
        "12",
        "0.5",
        "0",
        "never",
    ]


def test_the_grid_of_thresholds_is_that_of_the_paper(papers):
    assert papers["experiments"].quarters(6174) == [6174, 1543, 385, 96, 24, 6, 1]


def test_the_biased_point_is_the_weighted_mean_of_the_centres(papers):
    # two workers, centres −1 and 1, weights 1 and ½: the point is −⅓
    assert papers["experiments"].frequency_weighted(n=2) == pytest.approx(0.5 / 9)


def test_a_figure_leaves_out_what_a_logarithmic_axis_cannot_show(papers):
    text = papers["figure"].draw("a < b", {"x": ([0, 1, 2, 3], [1.0, 0.0, math.inf, 0.1])}, "s", "f")
    assert "a &lt; b" in text
    (path,) = re.findall(r'<path d="M([^"]*)"', text)
    assert path.count("L") == 1


def test_a_figure_without_any_point_is_an_error(papers):
    with pytest.raises(ValueError, match="no curve has a point"):
        papers["figure"].draw("t", {"x": ([0.0], [0.0])}, "s", "f")
