"""What the methods with local steps share: a round of the synchronous ones, and parameters from theory.

In a round every worker makes K local steps z ← z − η_{l,j}·g from z = x^k and sends Σ_j g_i^j; the server waits
for all n. With h seconds a gradient and τ seconds of communication a round lasts τ + Kh. The methods differ
in the local stepsizes and in what the server does with the sum of all nK gradients.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from asyncsim.jobs import LocalSteps, read_together
from asyncsim.server import Server
from asyncsim.theory import Knowledge, birch_stepsize, collected_gradients, local_steps, threshold_distance


def sum_of_a_round(server: Server, K: int, stepsizes: float | Sequence[float]) -> np.ndarray:
    """Σ_i Σ_j g_i^j over K local steps of every worker from x^k, shape (d,), added in the order of arrival."""
    server.broadcast(LocalSteps(server.x, K, stepsizes))
    arrivals = [server.receive() for _ in server.workers]
    read_together(arrivals)
    return sum((arrival.gradient_sum for arrival in arrivals), np.zeros_like(server.x))


def local_theory(method: Any, knowledge: Knowledge) -> dict[str, float]:
    """K and η_g of Dual and of Decaying Local SGD: nK gradients a round, so at most R = nK − 1 apart in the tree."""
    K = local_steps_of(method, knowledge)
    found = {"local_steps": K}
    if method.stepsize == "theory":
        L, sigma2, epsilon = knowledge.need("L", "sigma2", "epsilon")
        found["stepsize"] = birch_stepsize(L, sigma2, epsilon, R=knowledge.n * K - 1)
    return found


def local_steps_of(method: Any, knowledge: Knowledge) -> Any:
    """K, from theory or as given; a ValueError that lists all that is unknown for it and for the stepsize."""
    knowledge.need_for(method, stepsize=("L", "sigma2", "epsilon"), local_steps=("sigma2", "epsilon"))
    if method.local_steps != "theory":
        return method.local_steps
    sigma2, epsilon = knowledge.need("sigma2", "epsilon")
    return local_steps(sigma2, epsilon, knowledge.n)


def threshold_theory(method: Any, knowledge: Knowledge, gradients: str) -> dict[str, float]:
    """M, B and γ of Async-Local and Async-Batch SGD; the parameter named `gradients` is M, those of one message."""
    noise = ("sigma2", "epsilon")
    knowledge.need_for(method, **{"stepsize": ("L", *noise), gradients: noise, "threshold": noise})
    M, B = getattr(method, gradients), method.threshold
    if M == "theory":
        sigma2, epsilon = knowledge.need(*noise)
        M = local_steps(sigma2, epsilon, knowledge.n)
    if B == "theory":
        B = collected_gradients(*knowledge.need(*noise))
    found = {gradients: M, "threshold": B}
    if method.stepsize == "theory":
        L, sigma2, epsilon = knowledge.need("L", *noise)
        found["stepsize"] = birch_stepsize(L, sigma2, epsilon, threshold_distance(M, B))
    return found
