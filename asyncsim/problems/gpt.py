"""A small transformer that predicts the next character of a text (extra torch)."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import annotated_types as at
import numpy as np
import numpy.typing as npt

from asyncsim.parameters import Count, NonNegative, Whole, parameters
from asyncsim.problems import data_files
from asyncsim.problems.mlp import torch_kernels
from asyncsim.problems.network import Kernel, KernelInfo, OnKernel
from asyncsim.problems.problem import Vector
from asyncsim.problems.samples import Indices
from asyncsim.problems.split import split_samples
from asyncsim.streams import sequential

Windows = npt.NDArray[np.int64]


@parameters
class GPT(OnKernel):
    """A small transformer on the characters of a text: mean cross-entropy of the next one + (λ/2)‖x‖². Needs the extra torch.

    The decoder of GPT-2 (Radford et al. 2019): learned positions, `layers` blocks of causal attention and a perceptron of
    four times the width, each behind a layer norm; no dropout. A sample is a window of `context` characters, whose targets
    are the characters that follow each of them; windows stand side by side. x is all parameters in torch's order; x0 has
    weights normal with deviation 0.02, as there. L and f* are not known; σ² is estimated when asked for.

    Parameters:
        data: a text file in UTF-8, its path from the folder of the scenario; or sums, lines such as 17+26=43.
        context: characters of a window.
        layers: blocks.
        heads: of the attention; they divide width.
        width: numbers that stand for a character.
        batch_size: windows in the minibatch of one stochastic gradient.
        replacement: true: the windows of a minibatch are drawn independently; false: no window twice in one minibatch;
            epochs: a worker goes through its windows in a random order, each epoch in another one.
        split: how the windows are shared out among the workers. none: every worker has all of them; even: any worker may
            get any window; by_position: each has a stretch of the text. All get equally many; up to n − 1 windows are
            left over, drawn at random, and are not in f.
        problem_seed: x0 and the split are drawn from it; without it, from the seed of the run.
        test: the share of the text, at its end, that the test accuracy is of, and that is not in f; 0 for none.
        regularisation: λ ≥ 0 of (λ/2)‖x‖².
        kernel: what computes gradients: torch (one by one), vmap (16 together), or auto, which is torch.
        precision: float32 or float64.
        device: cpu or cuda; x stays on the host, samples and computing are there.
        record_samples: f and ∇f of the records are over so many windows, drawn once; all of them unless given.
        sigma2_samples: σ² is estimated from so many gradients at x0; 0 leaves it unknown.

    ValueError for data that cannot be read or do not fit.

    >>> problem = GPT(context=8, layers=1, heads=2, width=8)
    >>> problem.x0.shape == (problem.dimension,), problem.x0.dtype
    (True, dtype('float32'))
    """

    data: str = "sums"
    context: Count = 32
    layers: Count = 2
    heads: Count = 2
    width: Count = 32
    batch_size: Count = 4
    replacement: bool | Literal["epochs"] = True
    split: Literal["none", "even", "by_position"] = "none"
    problem_seed: Whole | None = None
    test: Annotated[float, at.Ge(0), at.Lt(1)] = 0.0
    regularisation: NonNegative = 0.0
    kernel: Literal["auto", "torch", "vmap"] = "auto"
    precision: Literal["float32", "float64"] = "float32"
    device: Literal["cpu", "cuda"] = "cpu"
    record_samples: Count | None = None
    sigma2_samples: Whole = 0

    # set by build, in the instance's __dict__
    workers: ClassVar[int | None] = None
    _seed: ClassVar[int] = 0

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"GPT: width = {self.width} is no multiple of heads = {self.heads}")

    def build(self, seed: int = 0, base: Path = Path(), n: int = 1) -> Self:
        """The problem with its text read and cut into windows, shared out among `n` workers where `split` says so."""
        built = dataclasses.replace(self)
        vars(built)["_seed"] = seed if self.problem_seed is None else self.problem_seed
        vars(built)["_text"] = data_files.read_text(self.data, base)
        if self.split != "none":
            vars(built)["workers"] = n
        built._check_batch_size(self.split != "none")
        _ = built._kernel
        return built

    @cached_property
    def _text(self) -> str:
        return data_files.read_text(self.data)

    @property
    def data_sha256(self) -> str:
        """A digest of the text as read, by which a resumed run can see that it is the same."""
        return hashlib.sha256(self._text.encode()).hexdigest()

    @cached_property
    def characters(self) -> tuple[str, ...]:
        """The characters of the text, sorted: number j in the model is the j-th."""
        return tuple(sorted(set(self._text)))

    @cached_property
    def _windows(self) -> tuple[Windows, Windows]:
        """Samples and targets (m, context), in the order of the text."""
        number = {character: j for j, character in enumerate(self.characters)}
        text = np.array([number[character] for character in self._text], np.int64)
        m = (len(text) - 1) // self.context
        if m < 2:
            raise ValueError(
                f"GPT: data {self.data!r} has {len(text)} characters, which is less than two windows of {self.context} and "
                "the character after them"
            )
        end = m * self.context
        return text[:end].reshape(m, -1), text[1 : end + 1].reshape(m, -1)

    @cached_property
    def _learned(self) -> int:
        """How many windows, from the beginning, are not for the test."""
        m = len(self._windows[0])
        return m - min(m - 1, max(1, round(self.test * m))) if self.test else m

    @cached_property
    def _rows(self) -> Indices:
        """The windows that f is made of, worker by worker."""
        positions: Indices = np.arange(self._learned)
        if self.workers is None:
            return positions
        luck = sequential(self._seed, "problem")
        split = "even" if self.split == "even" else "by_label"  # a window's label is its place
        return split_samples(positions, self.workers, split, 1.0, luck).reshape(-1)

    @cached_property
    def _share(self) -> int:
        return len(self._rows) // (self.workers or 1)

    @property
    def components(self) -> int:
        """m, the windows that are in f."""
        return len(self._rows)

    @property
    def test_size(self) -> int:
        """How many characters the test accuracy is of; 0 where no part of the text is held out."""
        return (len(self._windows[0]) - self._learned) * self.context

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

        X, y = self._windows
        test = (X[self._learned :], y[self._learned :]) if self.test_size else None
        data = X[self._rows], y[self._rows]
        return torch_kernel(
            name, self._module, "cross_entropy", data, test, precision=self.precision, device=self.device
        )

    def _module(self) -> Any:
        return _transformer(len(self.characters), self.context, self.layers, self.heads, self.width)


def _transformer(characters: int, context: int, layers: int, heads: int, width: int) -> Any:
    """The module: (b, T) numbers of characters → (b, characters, T) logits of the next ones."""
    import torch
    from torch import nn

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.before_attention, self.before_perceptron = nn.LayerNorm(width), nn.LayerNorm(width)
            self.queries_keys_values, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.perceptron = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
            self.register_buffer("later", torch.ones(context, context).triu(1) > 0, persistent=False)

        def forward(self, z: Any) -> Any:
            z = z + self.attention(self.before_attention(z))
            return z + self.perceptron(self.before_perceptron(z))

        def attention(self, z: Any) -> Any:
            b, T, _ = z.shape
            parts = self.queries_keys_values(z).reshape(b, T, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
            queries, keys, values = parts[0], parts[1], parts[2]  # each (b, heads, T, ·)
            scores = queries @ keys.transpose(-2, -1) / math.sqrt(width // heads)
            weights = scores.masked_fill(self.later, -math.inf).softmax(dim=-1)
            return self.out((weights @ values).transpose(1, 2).reshape(b, T, width))

    class Transformer(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.character, self.position = nn.Embedding(characters, width), nn.Embedding(context, width)
            self.blocks = nn.Sequential(*(Block() for _ in range(layers)))
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, characters, bias=False)
            for name, parameter in self.named_parameters():
                if "norm" not in name and "before" not in name:
                    nn.init.zeros_(parameter) if name.endswith("bias") else nn.init.normal_(parameter, std=0.02)

        def forward(self, numbers: Any) -> Any:
            z = self.character(numbers) + self.position.weight
            return self.head(self.norm(self.blocks(z))).transpose(1, 2)

    return Transformer()
