"""Fixed optimal: the best allocation for known mean times."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from asyncsim.allocation.collect import Quotas
from asyncsim.allocation.ras import recursive_allocation_selection
from asyncsim.parameters import NonNegative, parameters
from asyncsim.theory import Knowledge

Mean = NonNegative | Literal["inf"]  # a text, as JSON has no such number


@parameters
class FixedOptimal:
    """Optimal fixed task allocation (OFTA): argmin over a of max_i a_i μ_i, for the true means μ.

    What Maranjyan et al. 2025 (arXiv:2502.00775) measure ATA against; on real workers nobody knows μ.

    Parameters:
        means: μ, mean seconds of computing a task on each worker, inf for one that is given nothing. "theory" takes
            them from the laws. Messages are not in them, as a worker's tasks are sent together, and as the times that
            ATA observes are those of tasks: the optimum is that of the model, also where messages take time.

    >>> run = FixedOptimal(means=(1.0, 2.0, 9.0)).start(n=3, rng=np.random.default_rng(0), state=None)
    >>> run.begin(3); [run.next(worker) for worker in range(3)]
    [2, 1, 0]
    """

    means: tuple[Mean, ...] | Literal["theory"] = "theory"

    def start(self, n: int, rng: np.random.Generator, state: Any) -> Quotas:
        means = np.array([float(mean) for mean in self.means])
        if means.shape != (n,):
            raise ValueError(
                f"FixedOptimal: means has shape {means.shape}, but one mean for each of {n} workers is needed"
            )
        return Quotas(lambda B: recursive_allocation_selection(means, B, rng))

    def theory(self, knowledge: Knowledge) -> dict[str, Any]:
        (times,) = knowledge.need("mean_compute_times")
        return {"means": tuple(mean if mean < math.inf else "inf" for mean in times.tolist())}
