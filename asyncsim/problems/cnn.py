"""A small convolutional network, trained to classify images (extra torch)."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, Literal

import numpy as np

from asyncsim.parameters import Count, NonNegative, Whole, parameters
from asyncsim.problems.mlp import torch_kernels
from asyncsim.problems.network import Kernel, KernelInfo, OnKernel
from asyncsim.problems.problem import Vector
from asyncsim.problems.samples import Array, Sampled


@parameters
class CNN(OnKernel, Sampled):
    """A small convolutional network that classifies images: mean cross-entropy + (λ/2)‖x‖². Needs the extra torch.

    For each entry of `channels` a 3×3 convolution, ReLU and 2×2 max pooling (as long as there is something to pool), then
    one linear layer. x is all weights and biases in torch's order; x0 is torch's initialisation. L and f* are not known;
    σ² is estimated when asked for.

    Parameters:
        data: digits (comes with the package: 1797 images of 8×8, 10 classes), MNIST's …-images-idx3-ubyte (or .gz),
            CIFAR's .bin, a file .npz (arrays X and y), .csv, .libsvm, .svm, .txt (LIBSVM), or sklearn:NAME; paths start
            at the folder of the scenario.
        batch_size: samples in the minibatch of one stochastic gradient.
        replacement: true: the samples of a minibatch are drawn independently; false: no sample twice in one minibatch;
            epochs: a worker goes through its samples in a random order, each epoch in another one.
        scale: of the features. unit: all divided by the largest absolute value; standard: each to mean 0 and variance
            1; none: as they are.
        label_column: where a csv file has its labels, first or last.
        split: how the samples are shared out among the workers. none: every worker has all of them; even: any worker
            may get any sample; by_label: sorted by label, the first worker has the first labels; dirichlet: each
            worker's mix of labels is drawn from the symmetric Dirichlet law. All get equally many; up to n − 1 samples
            are left over, drawn at random, and are not in f.
        alpha: α of split dirichlet; 0.1 gives a worker few labels, 100 nearly equal mixes.
        problem_seed: x0, the split and what is held out are drawn from it; without it, from the seed of the run.
        test: what the test accuracy is of: a share of the samples, held out at random and not in f (0.2), or a file like
            data; 0 for none.
        channels: of the convolutions.
        image: [channels, height, width] of a sample; where the file does not say it, a square of one channel.
        regularisation: λ ≥ 0 of (λ/2)‖x‖², which covers the biases too.
        kernel: what computes gradients: torch (one by one), vmap (16 together), or auto, which is torch.
        precision: float32 or float64.
        device: cpu or cuda; x stays on the host, samples and computing are there.
        record_samples: f and ∇f of the records are over so many samples, drawn once; all of them unless given.
        sigma2_samples: σ² is estimated from so many gradients at x0; 0 leaves it unknown.

    ValueError for data that cannot be read or do not fit.

    >>> problem = CNN("digits", channels=(4,))
    >>> problem.dimension, problem.x0.dtype
    (690, dtype('float32'))
    """

    channels: tuple[Count, ...] = (8, 16)
    image: tuple[Count, ...] | None = None
    regularisation: NonNegative = 0.0
    kernel: Literal["auto", "torch", "vmap"] = "auto"
    precision: Literal["float32", "float64"] = "float32"
    device: Literal["cpu", "cuda"] = "cpu"
    record_samples: Count | None = None
    sigma2_samples: Whole = 0

    def __post_init__(self) -> None:
        if self.image is not None and len(self.image) != 3:
            raise ValueError(f"CNN: image = {self.image!r}, but [channels, height, width] is needed")
        if not self.channels:
            raise ValueError("CNN: channels is empty; without a convolution take mlp")

    @property
    def _type(self) -> Any:
        return np.dtype(self.precision).type

    def _prepare(self) -> None:
        if len(self.classes) < 2:
            raise ValueError(f"CNN: all labels of data {self.data!r} are {self.classes[0]!r}; at least 2 are needed")
        _ = self._kernel

    def _drawn_by_seed(self) -> frozenset[str]:
        return super()._drawn_by_seed() | {"x0"}

    @cached_property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of a sample."""
        shape, features = self._table.shape, self._table.samples.shape[1]
        side = math.isqrt(features)
        candidates: dict[int, tuple[int, ...]] = {2: (1, *shape), 3: shape}
        found: tuple[int, ...] = self.image or candidates.get(len(shape), (1, side, side))
        if math.prod(found) != features:
            raise ValueError(
                f"CNN: a sample of data {self.data!r} has {features} features, which are no image of shape "
                f"{list(found)}; give image: [channels, height, width]"
            )
        channels, height, width = found
        return channels, height, width

    @cached_property
    def x0(self) -> Vector:
        from asyncsim.problems.torch_model import initial_parameters

        return initial_parameters(self._module, self._seed, self.precision)

    @property
    def f_lower(self) -> float:
        return 0.0

    @property
    def kernels(self) -> tuple[KernelInfo, ...]:
        """The kernels that there are here, the first of them for `auto`."""
        return torch_kernels()

    @property
    def kernel_name(self) -> str:
        """The kernel that is used."""
        return "torch" if self.kernel == "auto" else self.kernel

    def _make_kernel(self, name: str) -> Kernel:
        from asyncsim.problems.torch_model import torch_kernel

        data = self._images(self._features), self._labels
        test = None if self._test_set is None else (self._images(self._test_set[0]), self._test_set[1])
        return torch_kernel(
            name, self._module, "cross_entropy", data, test, precision=self.precision, device=self.device
        )

    def _images(self, samples: Array) -> Array:
        return samples.reshape(-1, *self.image_shape)

    def _module(self) -> Any:
        from torch import nn

        into, height, width = self.image_shape
        layers: list[Any] = []
        for out in self.channels:
            layers += [nn.Conv2d(into, out, 3, padding=1), nn.ReLU()]
            into = out
            if min(height, width) >= 2:
                layers.append(nn.MaxPool2d(2))
                height, width = height // 2, width // 2
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(into * height * width, len(self.classes)))
