"""Random streams: numbers that are functions of (seed, purpose, worker, m), whoever asks and when.

Methods are compared on the same luck, and skipping, batching or moving a gradient changes no number,
because nothing is drawn *in sequence*: the generator of a worker's m-th gradient is Philox, a
counter-based generator, with the key (seed and purpose, worker) and the counter set to m. One
Generator a purpose is re-keyed for each use: the generator that `Stream.at` returns is therefore valid
until the next call only. (A new one costs about 10 µs, setting `state` 2 µs, writing the words of the state
where they lie 0.2 µs. Where they lie is looked up in the state that numpy shows, and `state` is set where it
is not found.)

Compute and communication times are drawn in blocks of 64 (block b of a worker holds the draws
64b…64b+63), which makes a draw cost well under 0.1 µs. The size of the block is part of the numbers:
another size would be another luck.
"""

from __future__ import annotations

import ctypes
import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from asyncsim.times.workers import Times

BLOCK = 64


class Draw(np.random.Generator):
    """The generator of one draw. It knows whose draw it is: number `index` of `worker`, in the stream `stream`.

    A problem that goes through its samples in epochs needs the number, as where a worker is in its epoch must be a
    function of it and nothing else. Valid until the stream is asked for another.
    """

    __slots__ = ("index", "stream", "worker")

    index: int
    stream: Stream
    worker: int

    def order(self, number: int, size: int) -> np.ndarray:
        """0…size−1 in an order (size,) int64 that depends on seed, purpose, worker and `number` only.

        Before anything is drawn: the draw itself begins anew after it.

        >>> first, again = (Stream(26, "data").at(3, 7).order(0, 100) for _ in range(2))
        >>> bool((first == again).all()), sorted(first.tolist()) == list(range(100))
        (True, True)
        """
        worker, index = self.worker, self.index
        order = self.stream.at(worker, number, part=1).permutation(size)
        self.stream.at(worker, index)
        return order


class Stream:
    """The random numbers of one purpose ("compute", "uplink", "data" …), for all workers.

    >>> stream = Stream(seed=26, purpose="data")
    >>> a = stream.at(worker=3, index=7).random(2)
    >>> _ = stream.at(worker=0, index=0).random(5)
    >>> bool((stream.at(worker=3, index=7).random(2) == a).all())
    True
    """

    def __init__(self, seed: int, purpose: str) -> None:
        key = np.random.SeedSequence([seed, *purpose.encode()]).generate_state(1, np.uint64)[0]
        self.key = int(key)
        self._bits = np.random.Philox(key=[self.key, 0])
        self._generator = Draw(self._bits)
        self._generator.stream = self
        self._state: Any = self._bits.state
        self._counter = self._state["state"]["counter"]
        self._key = self._state["state"]["key"]
        self._words = _words_of(self._bits)

    def at(self, worker: int, index: int, part: int = 0) -> Draw:
        """The generator of draw `index` of `worker`; valid until the next call. Each `part` has luck of its own."""
        generator = self._generator
        generator.worker, generator.index = worker, index
        if self._words is None:
            self._key[1] = worker
            self._counter[2:] = index, part
            self._bits.state = self._state
            return generator
        key, counter, state = self._words
        key[1] = worker
        counter[0] = 0
        counter[2] = index
        counter[3] = part
        state[2] = 4  # the buffer is used up
        state[7] = 0  # and so is the half word
        return generator

    def plain(self) -> tuple[np.random.Generator, tuple[memoryview, memoryview, memoryview] | None]:
        """A plain generator on the same state, and where its words lie (None where that is not known)."""
        return np.random.Generator(self._bits), self._words


def _words_of(bits: np.random.Philox) -> tuple[memoryview, memoryview, memoryview] | None:
    """Key, counter and the state with its buffer as 64-bit words, where they lie; None where that is not as expected."""
    address = bits.ctypes.state_address
    state = _words_at(address, 8)
    # pointers to counter and key, which belong to the same object: nothing else may be read
    if not all(0 < pointer - address < 256 for pointer in state[:2]):
        return None
    counter, key = _words_at(state[0], 4), _words_at(state[1], 2)
    shown: Any = bits.state
    as_shown = [counter.tolist(), key.tolist(), state[2], state[7]] == [
        shown["state"]["counter"].tolist(), shown["state"]["key"].tolist(), shown["buffer_pos"], shown["has_uint32"],
    ]  # fmt: skip
    return (key, counter, state) if as_shown else None


def _words_at(address: int, count: int) -> memoryview:
    words: memoryview = memoryview((ctypes.c_uint64 * count).from_address(address)).cast("B").cast("Q")
    return words


def sequential(seed: int, purpose: str) -> np.random.Generator:
    """An ordinary generator, for what is drawn in sequence (the method's own coins)."""
    return np.random.Generator(np.random.Philox(seed=np.random.SeedSequence([seed, *purpose.encode()])))


def draw_standard(kind: str, rng: np.random.Generator, out: np.ndarray) -> None:
    """Fill `out` with the standard numbers of a kind (see `Times.affine`)."""
    if kind == "exponential":
        rng.standard_exponential(out=out)
    elif kind == "uniform":
        rng.random(out=out)
    else:
        rng.standard_normal(out=out)


class Durations:
    """The compute or communication times of all workers, drawn by (worker, m).

    Every time that is handed out was checked: NaN or a negative one is a ValueError that names
    worker, law and draw; +inf means that it never ends.
    """

    def __init__(self, seed: int, purpose: str, times: Times) -> None:
        self._purpose = purpose
        self._times = times
        self._stream = Stream(seed, purpose)
        self._constants = None if times.constant is None else np.array(times.constant, np.float64)
        self.constant: Any = None if self._constants is None else self._constants.data  # gives Python's floats
        if self._constants is not None:
            for worker in np.flatnonzero(~(self._constants >= 0.0))[:1]:
                self._check(self._constants[worker], int(worker), 0)
        self.always_zero = self._constants is not None and not self._constants.any()
        self.by_block = self.constant is None and not times.by_call
        # 520 bytes a worker, of which a system gives out only what is written to
        self.drawn = np.empty((times.n if self.by_block else 0, BLOCK))
        self.block_of = np.full(len(self.drawn), -1)
        self._rows, self._blocks = self.drawn.data, self.block_of.data
        self.affine = times.affine() if self.by_block else None

    def draw(self, worker: int, m: int, start: float) -> float:
        """Seconds that the m-th gradient (or message) of `worker` takes when it begins at `start`."""
        if self.constant is not None:
            always: float = self.constant[worker]
            return always
        if self._times.by_call:
            if start == math.inf:
                return math.inf  # what never begins never ends; the callable need not know that
            law: Any = self._times.law(worker)
            numbered = getattr(law, "numbered", None)
            if numbered is not None:
                return self._check(numbered(partial(self._stream.at, worker), m, 1)[0], worker, m)
            return self._check(law(self._stream.at(worker, m), worker, start), worker, m)
        block = m // BLOCK
        if self._blocks[worker] != block:
            self.refill(worker, block)
        seconds: float = self._rows[worker, m % BLOCK]
        if seconds >= 0.0:
            return seconds
        return self._check(seconds, worker, m)

    def of(self, workers: np.ndarray, m: np.ndarray) -> np.ndarray:
        """The draws m[j] of workers[j], which are constant or drawn in blocks; unchecked, and a law may raise."""
        if self._constants is not None:
            constants: np.ndarray = self._constants[workers]
            return constants
        blocks = m >> 6
        missing = self.block_of[workers] != blocks
        if missing.any():
            self.refill_all(workers[missing], blocks[missing])
        drawn: np.ndarray = self.drawn[workers, m & (BLOCK - 1)]
        return drawn

    def generator_and_words(self) -> tuple[np.random.Generator, Any]:
        """A plain generator of this stream, and key, counter and state as they lie in memory, where that is known."""
        return self._stream.plain()

    def refill_all(self, workers: np.ndarray, blocks: np.ndarray) -> None:
        """Draw these blocks of different workers."""
        if self.affine is None:
            for worker, block in zip(workers.tolist(), blocks.tolist(), strict=True):
                self.refill(worker, block)
            return
        # in parts: what is computed on the way stays in the processor's memory, and small beside the draws
        for start in range(0, len(workers), 512):
            self._refill_affine(workers[start : start + 512], blocks[start : start + 512])

    def _refill_affine(self, workers: np.ndarray, blocks: np.ndarray) -> None:
        """What a law's own `sample` does, for all at once: shift + scale · (standard number)."""
        assert self.affine is not None  # who asks has looked
        kind, shift, scale = self.affine
        drawn, at = self.drawn, self._stream.at
        for worker, block in zip(workers.tolist(), blocks.tolist(), strict=True):
            draw_standard(kind, at(worker, block), drawn[worker])
        rows = drawn[workers]
        if kind == "half_normal":
            np.abs(rows, out=rows)
        with np.errstate(over="ignore", under="ignore"):
            rows *= scale[workers, None]
            rows += shift[workers, None]
        drawn[workers] = rows
        self.block_of[workers] = blocks

    def refill(self, worker: int, block: int) -> None:
        """Draw a block of a worker."""
        law: Any = self._times.law(worker)
        if hasattr(law, "sample_at"):  # its times depend on m
            drawn = law.sample_at(partial(self._stream.at, worker), block * BLOCK, BLOCK)
        else:
            drawn = law.sample(self._stream.at(worker, block), BLOCK)
        try:
            values = np.ascontiguousarray(drawn, dtype=np.float64)
        except (TypeError, ValueError):
            raise ValueError(
                self._complaint(worker, block * BLOCK, f"gave {drawn!r:.60}", "seconds as numbers")
            ) from None
        if values.shape != (BLOCK,):
            wrong = f"sample(rng, {BLOCK}) gave an array of shape {values.shape}"
            raise ValueError(
                self._complaint(worker, block * BLOCK, wrong, f"shape ({BLOCK},): one time for each asked")
            )
        self.drawn[worker] = values
        self.block_of[worker] = block

    def _check(self, seconds: Any, worker: int, m: int) -> float:
        try:
            value = float(seconds)
        except (TypeError, ValueError):
            value = math.nan
        if value >= 0.0:
            return value
        raise ValueError(self._complaint(worker, m, f"gave {seconds!r:.60}", "seconds >= 0, or inf for never"))

    def _complaint(self, worker: int, m: int, wrong: str, allowed: str) -> str:
        return f"{self._purpose} time of worker {worker}, draw {m}: the law {self._times.law(worker)!r} {wrong}; allowed: {allowed}"
