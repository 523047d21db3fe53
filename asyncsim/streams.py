"""Random streams: numbers that are functions of (seed, purpose, worker, m), whoever asks and when.

Methods are compared on the same luck, and skipping, batching or moving a gradient changes no number,
because nothing is drawn *in sequence*: the generator of a worker's m-th gradient is Philox, a
counter-based generator, with the key (seed and purpose, worker) and the counter set to m. One
Generator a purpose is re-keyed for each use (about 2 µs, a new one costs about 10): the generator
that `Stream.at` returns is therefore valid until the next call only.

Compute and communication times are drawn in blocks of 64 (block b of a worker holds the draws
64b…64b+63), which makes a draw cost well under 0.1 µs. The size of the block is part of the numbers:
another size would be another luck.
"""

from __future__ import annotations

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

    def at(self, worker: int, index: int, part: int = 0) -> Draw:
        """The generator of draw `index` of `worker`; valid until the next call. Each `part` has luck of its own."""
        self._key[1] = worker
        self._counter[2] = index
        self._counter[3] = part
        self._bits.state = self._state
        generator = self._generator
        generator.worker, generator.index = worker, index
        return generator


def sequential(seed: int, purpose: str) -> np.random.Generator:
    """An ordinary generator, for what is drawn in sequence (the method's own coins)."""
    return np.random.Generator(np.random.Philox(seed=np.random.SeedSequence([seed, *purpose.encode()])))


class Durations:
    """The compute or communication times of all workers, drawn by (worker, m).

    Every time that is handed out was checked: NaN or a negative one is a ValueError that names
    worker, law and draw; +inf means that it never ends.
    """

    def __init__(self, seed: int, purpose: str, times: Times) -> None:
        self._purpose = purpose
        self._times = times
        self._stream = Stream(seed, purpose)
        self.constant: list[float] | None = None if times.constant is None else [float(t) for t in times.constant]
        if self.constant is not None:
            for worker, seconds in enumerate(self.constant):
                self._check(seconds, worker, 0)
        self._block = [-1] * times.n
        self._values: list[Any] = [None] * times.n
        self.always_zero = self.constant is not None and not any(self.constant)

    def draw(self, worker: int, m: int, start: float) -> float:
        """Seconds that the m-th gradient (or message) of `worker` takes when it begins at `start`."""
        if self.constant is not None:
            return self.constant[worker]
        if self._times.by_call:
            if start == math.inf:
                return math.inf  # what never begins never ends; the callable need not know that
            law: Any = self._times.law(worker)
            numbered = getattr(law, "numbered", None)
            if numbered is not None:
                return self._check(numbered(partial(self._stream.at, worker), m, 1)[0], worker, m)
            return self._check(law(self._stream.at(worker, m), worker, start), worker, m)
        block = m // BLOCK
        if self._block[worker] != block:
            self._refill(worker, block)
        seconds: float = self._values[worker][m % BLOCK]
        if seconds >= 0.0:
            return seconds
        return self._check(seconds, worker, m)

    def _refill(self, worker: int, block: int) -> None:
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
        # a memoryview hands out Python floats at once, and holds 8 bytes a draw
        self._values[worker] = memoryview(values)  # type: ignore[arg-type]
        self._block[worker] = block

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
