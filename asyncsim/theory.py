"""What the papers prove, as functions: parameters that theory gives to the methods.

`Knowledge` is what is known of a study before it runs. A method's `theory(knowledge)` returns its
parameters from it; where something is needed that is not known, a ValueError lists all that is missing.
Symbols: L smoothness of f, σ² bound of E‖∇f(x;ξ) − ∇f(x)‖², ε the target for E‖∇f(x)‖².
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from heapq import heapreplace
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Knowledge:
    """What a method may be told before the run; None is unknown.

    n : number of workers;  mean_times : (n,) mean seconds of a gradient's whole trip;
    constant_times : whether these times are exact and never change;  L, sigma2 : of the problem;
    epsilon : the target for ‖∇f‖²;  Delta : f(x⁰) − f*;  components : m of a finite sum;
    L_minus, L_plus, L_plus_minus, L_max : L₋, L₊, L± and max_i L_{f_i} of a finite sum or of the workers' f_i;
    compute_laws : worker → the law of its compute time;  estimated : the names among these that are estimates.

    >>> Knowledge(n=4, L=1.0).need("L", "sigma2", "epsilon")
    Traceback (most recent call last):
    ValueError: unknown: sigma2 (the problem does not say it), epsilon (give the scenario a target: {squared_gradient_norm: …})
    """

    n: int
    mean_times: np.ndarray | None = None
    constant_times: bool = False
    L: float | None = None
    sigma2: float | None = None
    epsilon: float | None = None
    Delta: float | None = None
    components: int | None = None
    L_minus: float | None = None
    L_plus: float | None = None
    L_plus_minus: float | None = None
    L_max: float | None = None
    compute_laws: Callable[[int], Any] | None = None
    estimated: frozenset[str] = frozenset()

    def need(self, *names: str) -> tuple[Any, ...]:
        """The values of `names`; a ValueError that lists those that are unknown."""
        missing = [f"{name} ({_WHENCE.get(name, 'the problem does not say it')})" for name in names if getattr(self, name) is None]
        if missing:
            raise ValueError("unknown: " + ", ".join(missing))
        return tuple(getattr(self, name) for name in names)


_WHENCE = {
    "components": "the problem is no finite sum; name one that is, or give the method its components",
    "epsilon": "give the scenario a target: {squared_gradient_norm: …}",
    "mean_times": "no law of the workers' times is known",
    "compute_laws": "no law of the workers' times is known",
}


def resolved(method: Any, knowledge: Knowledge) -> Any:
    """`method` with every parameter that says "theory" replaced by what its `theory` gives.

    Parameters that are descriptions themselves (an allocation) are resolved likewise, before it.
    """
    if not dataclasses.is_dataclass(method) or isinstance(method, type):
        return method
    values = {field.name: getattr(method, field.name) for field in dataclasses.fields(method)}
    inner = {name: resolved(value, knowledge) for name, value in values.items()}
    method = dataclasses.replace(method, **{name: value for name, value in inner.items() if value is not values[name]})
    asked = [name for name, value in inner.items() if _says_theory(value)]
    if not asked:
        return method
    if not hasattr(method, "theory"):
        raise ValueError(f"{type(method).__name__}: {', '.join(asked)} = theory, but this method has no theory(knowledge)")
    try:
        given = method.theory(knowledge)
    except ValueError as error:
        raise ValueError(f"{type(method).__name__}: {', '.join(asked)} = theory is not possible here: {error}") from None
    return dataclasses.replace(method, **{name: given[name] for name in asked})


def _says_theory(value: Any) -> bool:
    return isinstance(value, str) and value == "theory"


def collected_gradients(sigma2: float, epsilon: float) -> int:
    """max{1, ⌈σ²/ε⌉}: Rennala's batch size and Ringmaster's threshold.

    Tyurin & Richtárik 2023 (arXiv:2305.12387); Maranjyan, Tyurin & Richtárik 2025 (arXiv:2501.16168).

    >>> collected_gradients(sigma2=0.1729, epsilon=0.03)
    6
    """
    return max(1, math.ceil(sigma2 / epsilon))


def batch_stepsize(L: float, sigma2: float, epsilon: float, S: int) -> float:
    """γ = min{1/L, εS/(2Lσ²)} for the mean of S gradients at one point (Rennala; S = 1 Hero; S = nb Minibatch).

    From E f(x⁺) ≤ f − (γ/2)‖∇f‖² + Lγ²σ²/(2S): the average of ‖∇f‖² is ≤ ε after 8LΔ/ε iterations
    when S ≥ σ²/ε.

    >>> batch_stepsize(L=1.0, sigma2=2.0, epsilon=0.1, S=10)
    0.25
    """
    return min(1.0 / L, epsilon * S / (2 * L * sigma2)) if sigma2 > 0 else 1.0 / L


def ringmaster_stepsize(L: float, sigma2: float, epsilon: float, R: int) -> float:
    """γ = min{1/(2RL), ε/(4Lσ²)} for delays below R (arXiv:2501.16168, main theorem).

    >>> ringmaster_stepsize(L=1.0, sigma2=1.0, epsilon=0.2, R=5)
    0.05
    """
    return min(1.0 / (2 * R * L), epsilon / (4 * L * sigma2)) if sigma2 > 0 else 1.0 / (2 * R * L)


def largest_delay(times: np.ndarray) -> int:
    """A bound on every delay of Asynchronous SGD when worker i always takes times[i] seconds.

    While the slowest worker computes once, worker j makes at most ⌊τ_n/τ_j⌋ + 1 updates.

    >>> largest_delay(np.array([1.0, 1.0, 4.0]))
    10
    """
    if not (np.isfinite(times).all() and (times > 0).all()):
        raise ValueError("the delays have no bound where a worker never returns, or takes no time at all")
    slowest = int(np.argmax(times))
    others = np.delete(times, slowest)
    return int((np.floor(times[slowest] / others) + 1).sum())


def page_batch_size(m: int) -> int:
    """S = ⌈√m⌉, the differences of a cheap estimate of PAGE for a sum of m functions (arXiv:2405.15545).

    >>> page_batch_size(1), page_batch_size(100), page_batch_size(101)
    (1, 10, 11)
    """
    return math.isqrt(m - 1) + 1


def page_probability(S: int, m: int) -> float:
    """p = S/(S + m), at which PAGE spends about as much on exact gradients as on differences (arXiv:2008.10898).

    >>> page_probability(S=10, m=90)
    0.1
    """
    return S / (S + m)


def page_stepsize(L_minus: float, L_plus_minus: float, S: int, p: float) -> float:
    """γ = 1/(L₋ + L±·√((1 − p)/(pS))) of PAGE with S differences drawn with replacement (arXiv:2405.15545).

    With f + γ/(2p)‖g − ∇f‖² as Lyapunov function and E‖g⁺ − ∇f(x⁺)‖² ≤ (1 − p)(‖g − ∇f(x)‖² + L±²/S‖x⁺ − x‖²),
    every γ with γL₋ + γ²L±²(1 − p)/(pS) ≤ 1 will do. The stepsize of the first PAGE paper has L₊ for both.

    >>> page_stepsize(L_minus=1.0, L_plus_minus=3.0, S=9, p=0.5), page_stepsize(1.0, 3.0, S=9, p=1.0)
    (0.5, 1.0)
    """
    return 1.0 / (L_minus + L_plus_minus * math.sqrt((1 - p) / (p * S)))


def page_iterations(Delta: float, epsilon: float, stepsize: float) -> int:
    """K = ⌈2Δ/(γε)⌉: E‖∇f‖² at a random one of PAGE's first K iterates is then at most ε (arXiv:2008.10898).

    >>> page_iterations(Delta=5.0, epsilon=0.1, stepsize=0.5)
    200
    """
    return math.ceil(2 * Delta / (stepsize * epsilon))


def equilibrium_time(times: np.ndarray, S: int) -> float:
    """t*(S) = min over j of (S + j)/Σ_{i≤j} 1/τ_(i), seconds, τ sorted (arXiv:2405.15545).

    Between once and twice what workers with constant times (n,) need to collect S gradients, see
    `collection_time`. Workers slower than t* play no part; a worker that never returns has τ = inf.

    >>> equilibrium_time(np.array([2.0, 2.0, 2.0]), S=6), equilibrium_time(np.array([1.0, 100.0]), S=6)
    (6.0, 7.0)
    """
    ordered = np.sort(np.asarray(times, dtype=np.float64))
    with np.errstate(divide="ignore"):
        rates = np.cumsum(1.0 / ordered)
        return float(np.min((S + np.arange(1, len(ordered) + 1)) / rates))


def collection_time(times: np.ndarray, S: int) -> float:
    """e(S) = min{t : Σ_i ⌊t/τ_i⌋ ≥ S}, seconds until workers with constant times (n,) have sent S gradients.

    It is the S-th smallest of all {j·τ_i : j ≥ 1}, and t*(S)/2 ≤ e(S) < t*(S). All workers start together
    and go on at once. S differences of PAGE take e(S) of the times 2τ.

    >>> collection_time(np.array([1.0, 3.0]), S=4), collection_time(np.array([2.0, 2.0]), S=3)
    (3.0, 4.0)
    """
    heap = [(float(τ), 1, float(τ)) for τ in np.sort(np.asarray(times, dtype=np.float64))[:S]]  # sorted: a heap
    for _ in range(S - 1):
        _, j, τ = heap[0]
        heapreplace(heap, ((j + 1) * τ, j + 1, τ))
    return heap[0][0]
