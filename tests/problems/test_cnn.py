"""The small convolutional network."""

import pickle

import numpy as np
import pytest

import asyncsim
from asyncsim.problems import CNN, batch_matches_single

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch", reason="needs the extra torch")


def cnn(**given):
    return CNN("digits", **{"channels": (2, 3)} | given).build(seed=1)


def test_full_gradient_is_the_slope_of_the_value_along_any_direction():
    problem = cnn(precision="float64", regularisation=0.1, record_samples=40)
    luck = np.random.default_rng(2)
    x = problem.x0 + 0.1 * luck.standard_normal(problem.dimension)
    for _ in range(5):
        direction = luck.standard_normal(problem.dimension)
        slope = (problem.value(x + 1e-6 * direction) - problem.value(x - 1e-6 * direction)) / 2e-6
        assert slope == pytest.approx(direction @ problem.full_gradient(x), rel=1e-6)


def test_it_has_a_convolution_an_entry_and_pools_while_it_can():
    """Digits are 8×8: 4×4, 2×2, 1×1, and the fourth has nothing to pool; 1·2·9 + 2, 2·2·9 + 2, …, 2·10 + 10."""
    problem = cnn(channels=(2, 2, 2, 2))
    assert problem.dimension == 20 + 3 * 38 + 30
    assert [type(layer).__name__ for layer in problem._module()].count("MaxPool2d") == 3


def test_kernels_agree_and_rows_of_vmap_do_not_depend_on_their_companions():
    problem = cnn(batch_size=3)
    together = problem.with_kernel("vmap")
    assert batch_matches_single(together, counts=(1, 2))
    rng = np.random.default_rng
    ours, theirs = (each.gradient(problem.x0, rng(1), 0) for each in (problem, together))
    assert np.abs(ours - theirs).max() < 1e-6
    assert cnn(kernel="vmap").kernel_name == "vmap"


def test_the_shape_of_an_image_comes_from_the_file_or_is_said(tmp_path):
    labels = np.arange(4) % 2
    np.savez(tmp_path / "flat.npz", X=np.ones((4, 12)), y=labels)
    np.savez(tmp_path / "grey.npz", X=np.ones((4, 2, 6)), y=labels)
    np.savez(tmp_path / "colour.npz", X=np.ones((4, 3, 2, 2)), y=labels)
    shapes = {name: CNN(f"{name}.npz", channels=(2,)).build(base=tmp_path).image_shape for name in ("grey", "colour")}
    assert shapes == {"grey": (1, 2, 6), "colour": (3, 2, 2)}
    assert CNN("flat.npz", image=(3, 2, 2), channels=(2,)).build(base=tmp_path).image_shape == (3, 2, 2)
    with pytest.raises(ValueError, match=r"has 12 features, which are no image of shape \[1, 3, 3\]; give image"):
        CNN("flat.npz").build(base=tmp_path)


def test_mnist_from_a_users_disk_becomes_images(tmp_path):
    images = np.random.default_rng(1).integers(256, size=(6, 28, 28), dtype=np.uint8)
    head = bytes([0, 0, 8, 3]) + b"".join(side.to_bytes(4, "big") for side in images.shape)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(head + images.tobytes())
    labels = bytes([0, 0, 8, 1, 0, 0, 0, 6, 0, 1, 2, 0, 1, 2])
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(labels)
    problem = CNN("train-images-idx3-ubyte", channels=(2,), batch_size=2).build(base=tmp_path)
    assert problem.image_shape == (1, 28, 28)
    assert np.array_equal(problem._images(problem._features), (images / np.float32(255)).astype(np.float32)[:, None])
    assert np.isfinite(problem.value(problem.x0))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"image": (8, 8)}, r"image = \(8, 8\), but \[channels, height, width\] is needed"),
        ({"channels": ()}, "channels is empty; without a convolution take mlp"),
        ({"image": (1, 8, 9)}, r"has 64 features, which are no image of shape \[1, 8, 9\]"),
        ({"kernel": "numpy"}, "kernel = 'numpy', but 'auto' or 'torch' or 'vmap' is needed"),
    ],
)
def test_what_does_not_fit_is_said(wrong, message):
    with pytest.raises(ValueError, match=message):
        cnn(**wrong)


def test_it_travels_without_its_kernel_and_is_the_same_there():
    problem = cnn(test=0.2)
    there = pickle.loads(pickle.dumps(problem))
    assert np.array_equal(there.full_gradient(problem.x0), problem.full_gradient(problem.x0))
    assert there.test_accuracy(problem.x0) == problem.test_accuracy(problem.x0)


def test_a_scenario_names_it_and_it_learns():
    result = asyncsim.run(
        {
            "workers": {"count": 2, "compute_time": 1.0},
            "problem": {"name": "cnn", "data": "digits", "channels": [4], "test": 0.2, "batch_size": 32},
            "target": {"test_accuracy": 0.8},
            "methods": [{"name": "asynchronous_sgd", "stepsize": 0.2}],
            "stop": {"time": 300, "target": True},
            "record": {"every": 20},
        }
    )
    assert result.runs[0].reason == "target reached"
