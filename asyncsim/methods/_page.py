"""What the PAGE methods share: their parameters from theory, and sums that are dealt out to workers in step.

PAGE estimates ∇f of a finite sum f = (1/m)Σf_j from its own last estimate. After the step to x⁺ it
computes, with probability p, the exact gradient at x⁺, and else adds the mean of S differences
∇f_j(x⁺) − ∇f_j(x). The members of the family differ only in who computes the two sums. The papers
write step, coin, estimate; here an iteration is coin, estimate, step, with x and g in the state of the
step, which is the same sequence and can be taken up again at each step.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from asyncsim.jobs import ComponentGradient, GradientDifference, Point, mean
from asyncsim.server import Server
from asyncsim.theory import Knowledge, page_batch_size, page_probability, page_stepsize


def dealt_out(
    server: Server, workers: Sequence[int], indices: Sequence[int], x: Point, x_prev: Point | None = None
) -> np.ndarray:
    """The mean over `indices` of ∇f_j(x), or of ∇f_j(x) − ∇f_j(x_prev), shape (d,), in step.

    The indices are dealt to `workers` one by one, round and round; each computes its share as one job, and
    the server waits for all of them. Workers with an empty share stay idle.
    """
    shares = [list(indices[first :: len(workers)]) for first in range(min(len(workers), len(indices)))]
    for worker, share in zip(workers, shares, strict=False):
        server.send(worker, ComponentGradient(x, share) if x_prev is None else GradientDifference(x, x_prev, share))
    return mean([server.receive() for _ in shares])


def drawn(rng: np.random.Generator, m: int, count: int) -> list[int]:
    """`count` indices, uniform on 0…m−1 and independent: with replacement.

    >>> len(drawn(np.random.default_rng(1), m=3, count=5))
    5
    """
    indices: list[int] = rng.integers(m, size=count).tolist()  # jobs take int, not numpy's
    return indices


def page_theory(method: Any, knowledge: Knowledge, *also: str) -> dict[str, Any]:
    """The parameters of Freya, Soviet and Hero PAGE from theory; the stepsize where it is asked for."""
    asked = {"components": ["components"], "stepsize": ["L_minus", "L_plus_minus"]}
    needed = (name for field, names in asked.items() if getattr(method, field) == "theory" for name in names)
    knowledge.need(*needed, *also)
    m: Any = knowledge.components if method.components == "theory" else method.components
    S = page_batch_size(m) if method.batch_size == "theory" else method.batch_size
    p = page_probability(S, m) if method.probability == "theory" else method.probability
    found = {"components": m, "batch_size": S, "probability": p}
    if method.stepsize == "theory":
        L_minus, L_plus_minus = knowledge.need("L_minus", "L_plus_minus")
        found["stepsize"] = page_stepsize(L_minus, L_plus_minus, S, p)
    return found
