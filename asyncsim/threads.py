"""How many threads compute: one, wherever numbers of a run come from.

What a run multiplies is too small for more; more would make the sums, and so the last bits, depend on the number of
processors; several processes would take them from each other; and the threads of BLAS, once used, go on spinning for a
while. A study holds the limit as a whole, as to lift it and set it again for every run costs as much as a short run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from threadpoolctl import threadpool_limits

P = ParamSpec("P")
T = TypeVar("T")


def one_thread(function: Callable[P, T]) -> Callable[P, T]:
    """Let BLAS compute with one thread while the function runs.

    >>> import numpy as np
    >>> one_thread(np.dot)(np.eye(2), np.ones(2)).tolist()
    [1.0, 1.0]
    """

    @wraps(function)
    def alone(*arguments: P.args, **named: P.kwargs) -> T:
        with threadpool_limits(limits=1, user_api="blas"):
            return function(*arguments, **named)

    return alone


def set_threads(threads: int) -> None:
    """Let BLAS and, where it is loaded, torch compute with so many threads from now on."""
    threadpool_limits(limits=threads)  # stays so: nobody takes it back
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
