"""The small transformer on characters."""

import pickle

import numpy as np
import pytest

import asyncsim
from asyncsim.problems import GPT, batch_matches_single, data_files

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch", reason="needs the extra torch")

SMALL = {"layers": 1, "width": 8, "heads": 2, "context": 8, "record_samples": 20}


def gpt(n=1, **given):
    return GPT(**SMALL | given).build(seed=1, n=n)


def test_windows_stand_side_by_side_and_their_targets_are_the_next_characters(tmp_path):
    (tmp_path / "a.txt").write_text("abcabcabca")
    problem = GPT(**SMALL | {"data": "a.txt", "context": 4}).build(base=tmp_path)
    X, y = problem._windows
    assert problem.characters == ("a", "b", "c")
    assert X.tolist() == [[0, 1, 2, 0], [1, 2, 0, 1]]
    assert y.tolist() == [[1, 2, 0, 1], [2, 0, 1, 2]]


def test_full_gradient_is_the_slope_of_the_value_along_any_direction():
    problem = gpt(precision="float64", regularisation=0.01)
    luck = np.random.default_rng(2)
    x = problem.x0 + 0.1 * luck.standard_normal(problem.dimension)
    for _ in range(4):
        direction = luck.standard_normal(problem.dimension)
        slope = (problem.value(x + 1e-6 * direction) - problem.value(x - 1e-6 * direction)) / 2e-6
        assert slope == pytest.approx(direction @ problem.full_gradient(x), rel=1e-5)


def test_no_prediction_depends_on_what_comes_later():
    module = gpt(width=16)._module()
    numbers = torch.arange(8)[None] % 5
    changed = numbers.clone()
    changed[0, 5:] = 6
    with torch.no_grad():
        ours, theirs = module(numbers), module(changed)
    assert torch.equal(ours[..., :5], theirs[..., :5])
    assert not torch.equal(ours[..., 5:], theirs[..., 5:])


def test_it_begins_at_the_entropy_of_guessing_and_ends_below_it():
    problem = gpt(test=0.1, batch_size=16, context=16, width=16)
    characters = len(problem.characters)
    assert problem.value(problem.x0) == pytest.approx(np.log(characters), rel=0.02)
    result = asyncsim.compare(
        [asyncsim.AsynchronousSGD(0.01)],
        problem,
        asyncsim.Workers(1, asyncsim.Constant(1.0)),
        stop=asyncsim.Stop(iterations=100),
        record=asyncsim.Record(iterations=100),
        update_rule=asyncsim.Adam(),
    )
    curves = result.runs[0].curves
    assert curves["value"][-1] < 0.8 * np.log(characters)
    assert curves["test_accuracy"][-1] > curves["test_accuracy"][0] + 0.1


def test_kernels_agree_and_rows_of_vmap_do_not_depend_on_their_companions():
    problem = gpt(batch_size=2)
    together = problem.with_kernel("vmap")
    assert batch_matches_single(together, counts=(1, 2))
    ours, theirs = (each.gradient(problem.x0, np.random.default_rng(1), 0) for each in (problem, together))
    assert np.abs(ours - theirs).max() < 1e-6


def test_the_end_of_the_text_is_held_out():
    problem = gpt(test=0.25)
    X, _ = problem._windows
    m = len(X)
    assert problem.components == problem._learned == m - round(m / 4)
    assert problem.test_size == round(m / 4) * 8
    assert 0 <= problem.test_accuracy(problem.x0) <= 1
    assert gpt().test_size == 0


def test_by_position_each_worker_has_a_stretch_of_the_text():
    problem = gpt(n=5, split="by_position")
    rows = problem._rows.reshape(5, -1)
    assert problem._share == rows.shape[1]
    assert (np.diff(problem._rows) > 0).all()
    even = gpt(n=5, split="even")._rows
    assert sorted(even.tolist()) != even.tolist()
    assert problem.zeta2 > 0


def test_of_the_same_text_the_digest_is_the_same(tmp_path):
    (tmp_path / "a.txt").write_text(data_files.read_text("sums"))
    assert GPT(**SMALL | {"data": "a.txt"}).build(base=tmp_path).data_sha256 == gpt().data_sha256


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"width": 9}, "width = 9 is no multiple of heads = 2"),
        ({"context": 30000}, "which is less than two windows of 30000"),
        ({"data": "nowhere.txt"}, r"there is no file 'nowhere\.txt'"),
        ({"split": "by_label"}, "split = 'by_label', but 'none' or 'even' or 'by_position' is needed"),
        ({"batch_size": 10**6, "replacement": False}, "batch_size = 1000000 without replacement"),
    ],
)
def test_what_does_not_fit_is_said(given, message):
    with pytest.raises(ValueError, match=message):
        gpt(**given)


def test_it_travels_without_its_kernel_and_is_the_same_there():
    problem = gpt(test=0.1)
    there = pickle.loads(pickle.dumps(problem))
    assert np.array_equal(there.full_gradient(problem.x0), problem.full_gradient(problem.x0))
    assert there.test_accuracy(problem.x0) == problem.test_accuracy(problem.x0)
