"""Samples: what is held out, what is drawn, in which order; the same for every problem on a table of samples."""

import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsim import AsynchronousSGD, Constant, Exponential, RennalaSGD, Stop, Workers, simulate
from asyncsim.problems import MLP, LogisticRegression, SoftmaxRegression, batch_matches_single, data_files
from asyncsim.streams import Stream
from asyncsim.testing import resumed

LUCK = np.random.default_rng(26)
SAMPLES = LUCK.standard_normal((12, 3))
THREE = np.arange(12) % 3


def softmax(**given):
    return SoftmaxRegression.of(SAMPLES, THREE, **given)


# -- epochs


def minibatches(problem, worker, seed=1, count=12):
    data = Stream(seed, "data")
    return [problem._drawn(data.at(worker, m), worker).tolist() for m in range(count)]


@given(batch_size=st.integers(1, 12), worker=st.integers(0, 5), seed=st.integers(0, 99))
def test_in_an_epoch_no_sample_is_drawn_twice_and_as_many_as_fit_are_drawn(batch_size, worker, seed):
    problem = softmax(batch_size=batch_size, replacement="epochs")
    q = 12 // batch_size
    drawn = minibatches(problem, worker, seed, 3 * q)
    for epoch in range(3):
        samples = list(itertools.chain(*drawn[epoch * q : (epoch + 1) * q]))
        assert len(samples) == len(set(samples)) == q * batch_size
        assert set(samples) <= set(range(12))


def test_a_minibatch_is_a_function_of_seed_worker_and_number_whoever_asks_in_whatever_order():
    in_order = minibatches(softmax(batch_size=3, replacement="epochs"), worker=2)
    problem, data = softmax(batch_size=3, replacement="epochs"), Stream(1, "data")
    for m in reversed(range(12)):
        problem._drawn(data.at(0, m), 0)  # another worker meanwhile
        assert problem._drawn(data.at(2, m), 2).tolist() == in_order[m]
    assert in_order[:4] != in_order[4:8]
    assert in_order != minibatches(softmax(batch_size=3, replacement="epochs"), worker=1)
    assert in_order != minibatches(softmax(batch_size=3, replacement="epochs"), worker=2, seed=2)


def test_orders_that_are_no_longer_at_hand_are_made_again(monkeypatch):
    from asyncsim.problems import samples

    wanted = minibatches(softmax(batch_size=3, replacement="epochs"), worker=0)
    monkeypatch.setattr(samples, "_ORDERS_KEPT", 1)
    problem, data = softmax(batch_size=3, replacement="epochs"), Stream(1, "data")
    for m in (0, 9, 1, 5, 2):
        assert problem._drawn(data.at(0, m), 0).tolist() == wanted[m]
    assert len(problem._orders) == 1


def test_each_worker_goes_through_its_own_share():
    problem = softmax(split="even", batch_size=2, replacement="epochs").build(seed=3, n=3)
    for worker in range(3):
        epoch = itertools.chain(*minibatches(problem, worker, count=2))
        assert sorted(epoch) == list(range(4 * worker, 4 * worker + 4))


def test_a_generator_that_knows_no_number_gives_a_minibatch_of_a_random_place():
    problem, rng = softmax(batch_size=4, replacement="epochs"), np.random.default_rng(1)
    drawn = [problem._drawn(rng, 0) for _ in range(600)]
    assert all(len(set(each.tolist())) == 4 for each in drawn)
    assert np.abs(np.bincount(np.concatenate(drawn), minlength=12) - 200).max() < 50


@pytest.mark.parametrize("problem", [softmax(batch_size=5, replacement="epochs")], ids=["softmax"])
def test_epochs_change_no_bit_of_a_batch_and_are_taken_up_where_they_were(problem):
    assert batch_matches_single(problem)
    workers = Workers(4, lambda i: Exponential(1.0 + i))
    for method in (RennalaSGD(0.1, batch_size=6), AsynchronousSGD(0.05)):
        options = {"stop": Stop(iterations=30), "seed": 3}
        alone = simulate(method, problem, workers, **options)
        again = resumed(method, problem, workers, at=[2, 7, 20], **options)
        assert alone.event_hash == again.event_hash
        assert alone.curves["value"].tolist() == again.curves["value"].tolist()


def test_one_worker_that_never_wastes_a_gradient_sees_every_sample_once_an_epoch():
    problem, seen = softmax(batch_size=4, replacement="epochs"), []

    class Watched:
        dimension, x0 = problem.dimension, problem.x0

        def gradient(self, x, rng, worker):
            seen.extend(problem._drawn(rng, worker).tolist())
            return np.zeros_like(x)

    simulate(AsynchronousSGD(0.1), Watched(), Workers(1, Constant(1.0)), stop=Stop(iterations=6))
    assert sorted(seen) == sorted(2 * list(range(12)))


def test_a_minibatch_larger_than_the_share_has_no_epoch():
    with pytest.raises(ValueError, match="batch_size = 13 without replacement, but there are 12 samples"):
        softmax(batch_size=13, replacement="epochs")


def test_orders_at_hand_do_not_travel():
    problem = softmax(batch_size=3, replacement="epochs")
    wanted = minibatches(problem, worker=0)
    copy = pickle.loads(pickle.dumps(problem))
    assert "_orders" not in vars(copy)
    assert minibatches(copy, worker=0) == wanted


# -- held out


def test_a_share_of_the_samples_is_held_out_and_in_no_minibatch_and_not_in_f():
    problem = SoftmaxRegression("digits", test=0.2, scale="none", batch_size=100).build(seed=5)
    assert (problem.components, problem.test_size, problem.left_out) == (1438, 359, 0)
    digits = data_files.read("digits")
    features, labels = problem._test_set
    rows = {row.tobytes() for row in features}
    assert not rows & {row.tobytes() for row in np.ascontiguousarray(problem._features)}
    assert rows <= {row.tobytes() for row in digits.samples.astype(float)}
    assert len(labels) == 359
    assert sorted(np.concatenate([problem._rows, problem._held_out]).tolist()) == list(range(1797))


def test_what_is_held_out_comes_from_the_seed_or_from_its_own():
    def held(seed, **given):
        return SoftmaxRegression("digits", test=0.1, **given).build(seed)._held_out.tolist()

    assert held(1) == held(1) != held(2)
    assert held(1, problem_seed=7) == held(2, problem_seed=7)


@pytest.mark.parametrize("split", ["even", "by_label", "dirichlet"])
def test_what_is_held_out_is_in_no_share(split):
    problem = SoftmaxRegression("digits", test=0.2, split=split).build(seed=1, n=10)
    assert problem._shares.shape == (10, 143)
    assert problem.split_table.sum() == problem.components == 1430
    assert problem.left_out == 8
    assert not set(problem._rows.tolist()) & set(problem._held_out.tolist())
    labels = data_files.read("digits").labels
    assert np.array_equal(problem._labels, labels[problem._rows])


def test_features_are_scaled_by_what_is_not_held_out():
    problem = SoftmaxRegression("digits", test=0.3, scale="standard", bias=False).build(seed=2)
    assert np.abs(problem._features.mean(axis=0)).max() < 1e-12
    features, _ = problem._test_set
    rest = data_files.read("digits").samples[problem._rows]
    deviation = rest.std(axis=0)
    changes = deviation > 1e-9
    wanted = (data_files.read("digits").samples[problem._held_out] - rest.mean(axis=0))[:, changes] / deviation[changes]
    assert np.allclose(features[:, changes], wanted)


def test_the_test_accuracy_is_the_share_that_is_told_right():
    """Three samples, told by the largest of three logits without bias: classes 0, 2 and, of a tie, 1."""
    test = (np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 1.0]]), [0, 1, 1])
    problem = SoftmaxRegression.of(SAMPLES, THREE, bias=False, scale="none", tested_on=test)
    assert problem.test_size == 3
    assert problem.test_accuracy(np.eye(3).reshape(-1)) == pytest.approx(2 / 3)


def test_of_one_label_against_all_others_the_accuracy_counts_both():
    test = (np.array([[1.0], [-1.0], [2.0]]), [5, 3, 3])
    problem = LogisticRegression.of(
        np.array([[1.0], [2.0], [-1.0]]), [5, 3, 1], positive_label=5, bias=False, scale="none", tested_on=test
    )
    assert problem.test_accuracy(np.array([1.0])) == pytest.approx(2 / 3)


def test_test_data_may_come_from_a_file(tmp_path):
    (tmp_path / "a.csv").write_text("1,0,2\n2,3,4\n5,1,1\n")
    (tmp_path / "b.csv").write_text("5,4,2\n1,0,0\n")
    problem = SoftmaxRegression("a.csv", test="b.csv").build(base=tmp_path)
    features, labels = problem._test_set
    assert (features.tolist(), labels.tolist()) == ([[1.0, 0.5], [0.0, 0.0]], [2, 0])
    assert problem.components == 3
    assert problem.data_sha256 != SoftmaxRegression("a.csv").build(base=tmp_path).data_sha256


def test_libsvm_test_data_may_lack_the_last_features_where_all_are_0(tmp_path):
    (tmp_path / "a.libsvm").write_text("+1 1:1 3:2\n-1 2:1\n")
    (tmp_path / "b.libsvm").write_text("-1 2:2\n+1 1:2\n")
    problem = LogisticRegression("a.libsvm", test="b.libsvm", bias=False).build(base=tmp_path)
    assert problem._test_set[0].tolist() == [[0, 1, 0], [1, 0, 0]]
    assert problem.test_accuracy(np.array([1.0, -1.0, 0.0])) == 1.0
    with pytest.raises(ValueError, match=r"have 3 features, but those of data 'b.libsvm' have 2"):
        LogisticRegression("b.libsvm", test="a.libsvm").build(base=tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1,0\n", "the samples to be tested on have 1 features, but those of data 'a.csv' have 2"),
        ("7,0,1\n", "the samples to be tested on have the label 7.0, which is not in data 'a.csv'"),
    ],
)
def test_test_data_of_another_kind_are_refused(tmp_path, content, message):
    (tmp_path / "a.csv").write_text("1,0,2\n2,3,4\n")
    (tmp_path / "b.csv").write_text(content)
    with pytest.raises(ValueError, match=message):
        SoftmaxRegression("a.csv", test="b.csv").build(base=tmp_path)


def test_something_must_be_left_to_learn_from():
    with pytest.raises(ValueError, match=r"test = 0.99 of 12 samples leaves none"):
        softmax(test=0.99)
    with pytest.raises(ValueError, match=r"test = 1\.0, but a number >= 0 and < 1 or a text is needed"):
        softmax(test=1.0)


def test_nothing_is_held_out_unless_asked_for():
    problem = softmax()
    assert (problem.test_size, problem.components) == (0, 12)
    with pytest.raises(ValueError, match="nothing is held out"):
        problem.test_accuracy(problem.x0)


def test_the_curve_of_a_run_has_the_test_accuracy_and_a_target_in_it_ends_the_run():
    problem = MLP("digits", hidden=(16,), batch_size=32, test=0.2).build(seed=1)
    run = simulate(
        AsynchronousSGD(0.3),
        problem,
        Workers(2, Constant(1.0)),
        stop=Stop(time=2000, target=True),
        target={"test_accuracy": 0.9},
    )
    assert run.reason == "target reached"
    accuracy = run.curves["test_accuracy"]
    assert accuracy[0] < 0.3
    assert accuracy[-1] >= 0.9
    assert (accuracy[:-1] < 0.9).all()


def test_a_target_that_nothing_is_tested_for_is_refused():
    with pytest.raises(ValueError, match="target: test_accuracy needs a problem that holds samples out"):
        simulate(
            AsynchronousSGD(0.3), softmax(), Workers(2, Constant(1.0)), stop=Stop(time=1), target={"test_accuracy": 0.9}
        )


def test_data_of_bytes_are_scaled_as_others_are():
    images = LUCK.integers(256, size=(12, 4), dtype=np.uint8)
    for scale in ("unit", "standard", "none"):
        one, other = (SoftmaxRegression.of(X, THREE, scale=scale)._features for X in (images, images.astype(float)))
        assert np.array_equal(one, other)
