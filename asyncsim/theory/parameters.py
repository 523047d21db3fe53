"""Parameters that theory gives to the methods, and what it must know for that.

`Knowledge` is what is known of a study before it runs. A method's `theory(knowledge)` returns its
parameters from it; where something is needed that is not known, a ValueError lists all that is missing.
Symbols: L smoothness of f, σ² bound of E‖∇f(x;ξ) − ∇f(x)‖², ε the target for E‖∇f(x)‖².
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from fractions import Fraction
from heapq import heapreplace
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Knowledge:
    """What a method may be told before the run; None is unknown.

    n : number of workers;  mean_times : (n,) mean seconds of a gradient's whole trip;  mean_compute_times : (n,) mean
    seconds of computing it;
    constant_times : whether these times are exact and never change;  L, sigma2 : of the problem;  components_sigma2 :
    the spread of a finite sum, (1/m)Σ‖∇f_j − ∇f‖²;
    epsilon : the target for ‖∇f‖²;  Delta : f(x⁰) − f*, or more;  components : m of a finite sum;
    L_minus, L_plus, L_plus_minus, L_max : L₋, L₊, L± and max_i L_{f_i} of a finite sum or of the workers' f_i;
    compute_laws : worker → the law of its compute time;  communication_times : (n,) seconds of downlink and uplink
    together where these are constant;  mean_communication_times : (n,) their means;  independent_times : whether a
    worker's times are independent draws of one law;  stops_at_once : whether a stop frees its worker at once;
    point_times : (n,) the part of mean_times that grows with the points sent, of which a difference has two; None = 0;
    heterogeneous : whether the workers' data differ, so that f = (1/n)Σf_i;
    estimated : the names among these that are estimates.

    >>> Knowledge(n=4, L=1.0).need("L", "sigma2", "epsilon")
    Traceback (most recent call last):
    ValueError: unknown: sigma2 (the problem does not say it), epsilon (give the scenario a target: {squared_gradient_norm: …})
    """

    n: int
    mean_times: np.ndarray | None = None
    mean_compute_times: np.ndarray | None = None
    constant_times: bool = False
    L: float | None = None
    sigma2: float | None = None
    components_sigma2: float | None = None
    epsilon: float | None = None
    Delta: float | None = None
    components: int | None = None
    L_minus: float | None = None
    L_plus: float | None = None
    L_plus_minus: float | None = None
    L_max: float | None = None
    compute_laws: Callable[[int], Any] | None = None
    communication_times: np.ndarray | None = None
    mean_communication_times: np.ndarray | None = None
    independent_times: bool = True
    stops_at_once: bool = True
    point_times: np.ndarray | None = None
    heterogeneous: bool = False
    estimated: frozenset[str] = frozenset()

    @property
    def tells_messages(self) -> bool:
        """Whether the times of communication are known."""
        return self.mean_communication_times is not None or self.communication_times is not None

    def need(self, *names: str) -> tuple[Any, ...]:
        """The values of `names`; a ValueError that lists those that are unknown."""
        missing = [
            f"{name} ({_WHENCE.get(name, 'the problem does not say it')})"
            for name in names
            if getattr(self, name) is None
        ]
        if missing:
            raise ValueError("unknown: " + ", ".join(missing))
        return tuple(getattr(self, name) for name in names)

    def need_for(self, method: Any, **needed: tuple[str, ...]) -> None:
        """A ValueError that lists all that is unknown of what the parameters of `method` that say "theory" need.

        Others ask for nothing: who tunes γ and takes the batch size from theory need not know L.
        """
        asked = [names for parameter, names in needed.items() if _says_theory(getattr(method, parameter))]
        self.need(*dict.fromkeys(name for names in asked for name in names))


_WHENCE = {
    "components": "the problem is no finite sum; name one that is, or give the method its components",
    "Delta": "the problem knows neither f* nor a lower bound of f",
    "epsilon": "give the scenario a target: {squared_gradient_norm: …}",
    "mean_times": "no law of the workers' times is known",
    "mean_compute_times": "no law of the workers' compute times is known",
    "compute_laws": "no law of the workers' times is known",
    "communication_times": "uplink or downlink are random",
    "mean_communication_times": "no law of the workers' communication times is known",
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
        raise ValueError(
            f"{type(method).__name__}: {', '.join(asked)} = theory, but this method has no theory(knowledge)"
        )
    try:
        given = method.theory(knowledge)
    except ValueError as error:
        raise ValueError(
            f"{type(method).__name__}: {', '.join(asked)} = theory is not possible here: {error}"
        ) from None
    return dataclasses.replace(method, **{name: given[name] for name in asked})


def asks_theory(method: Any) -> bool:
    """Whether a parameter of `method`, or of a description in it, says "theory"."""
    if not dataclasses.is_dataclass(method) or isinstance(method, type):
        return _says_theory(method)
    return any(asks_theory(getattr(method, field.name)) for field in dataclasses.fields(method))


def _says_theory(value: Any) -> bool:
    return isinstance(value, str) and value == "theory"


def collected_gradients(sigma2: float, epsilon: float) -> int:
    """max{1, ⌈σ²/ε⌉}: Rennala's batch size and Ringmaster's threshold.

    Tyurin & Richtárik 2023 (arXiv:2305.12387); Maranjyan, Tyurin & Richtárik 2025 (arXiv:2501.16168).

    >>> collected_gradients(sigma2=0.1729, epsilon=0.03)
    6
    """
    return max(1, _ceil(sigma2 / epsilon))


def _ceil(number: float) -> int:
    """⌈number⌉, where what is whole but for rounding is whole: ⌈1.1/0.1⌉ = 11, though 1.1/0.1 > 11 in float64."""
    return math.ceil(number * (1 - 1e-12))


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

    >>> largest_delay(np.array([1.0, 1.0, 4.0])), largest_delay(np.array([0.1, 0.3]))
    (10, 4)
    """
    if not (np.isfinite(times).all() and (times > 0).all()):
        raise ValueError("the delays have no bound where a worker never returns, or takes no time at all")
    slowest = int(np.argmax(times))
    others = np.delete(times, slowest)
    # 0.3/0.1 is rounded to a little less than 3
    return int((np.floor(times[slowest] / others * (1 + 1e-9)) + 1).sum())


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


def harmonic_mean_reaches(counts: np.ndarray, bound: float | Fraction) -> bool:
    """Whether the harmonic mean n/Σ(1/b_i) of whole numbers b (n,) is at least `bound` > 0, exactly.

    It is 0 as long as some b_i is 0.

    Rounding at equality would change which arrival ends Malenia's step or Ringleader's phase 1.

    >>> harmonic_mean_reaches(np.array([3, 6, 2]), 3), harmonic_mean_reaches(np.array([9, 9, 0]), 1)
    (True, False)
    """
    if not counts.all():
        return False
    inverses, largest = float((1.0 / counts).sum()), len(counts) / float(bound)
    if abs(inverses - largest) > 1e-9 * largest:
        return inverses < largest
    distinct, times = np.unique(counts, return_counts=True)
    exact = sum((Fraction(c, b) for c, b in zip(times.tolist(), distinct.tolist(), strict=True)), Fraction(0))
    return Fraction(bound) * exact <= len(counts)


def ringleader_harmonic_mean(sigma2: float, epsilon: float, n: int) -> float:
    """max{1, 5σ²/(4nε)}: rows so full that `ringleader_stepsize` is 1/(8nL), whatever the speeds do.

    εB/(10Lσ²) ≥ 1/(8nL) if and only if B ≥ 5σ²/(4nε).

    >>> ringleader_harmonic_mean(sigma2=8.0, epsilon=0.1, n=10)
    10.0
    """
    return max(1.0, 1.25 * sigma2 / (n * epsilon))


def ringleader_fullness(times: np.ndarray) -> float:
    """A lower bound of the harmonic mean of a table's counts b_i when worker i always takes times[i] seconds.

    Derived here: max{1, τ_n/(3τ_avg)}. From its update in one round on, worker i fills its row for the next. That
    update comes at most τ_i after the end of phase 1, the next phase 1 ends τ_n after it at the earliest, so b_i ≥
    max{1, ⌈τ_n/τ_i⌉ − 2} ≥ τ_n/(3τ_i). (With a 2 in the place of the 3 it is wrong: nine workers of 1 s beside one of
    2.93 s come to rows of one gradient each.)

    >>> ringleader_fullness(np.array([1.0] * 9 + [2.93])), ringleader_fullness(np.array([1.0, 1.0, 1.0, 37.0]))
    (1.0, 1.2333333333333334)
    """
    longest = float(np.max(times))
    return max(1.0, longest / (3.0 * float(np.mean(times)))) if longest > 0 else 1.0


def ringleader_stepsize(L: float, sigma2: float, epsilon: float, n: int, B: float) -> float:
    """γ = min{1/(8nL), εB/(10Lσ²)} of Ringleader ASGD (arXiv:2509.22860).

    B is a lower bound of the harmonic mean of every table's counts. L fulfils ‖∇f(x) − (1/n)Σ∇f_i(y_i)‖² ≤ (L²/n)Σ‖x − y_i‖² for all x and y_i; max L_{f_i} will do.

    >>> ringleader_stepsize(L=1.0, sigma2=1.0, epsilon=0.1, n=5, B=1.0), ringleader_stepsize(1.0, 1.0, 0.1, 5, B=2.5)
    (0.01, 0.025)
    """
    return min(1.0 / (8 * n * L), epsilon * B / (10 * L * sigma2)) if sigma2 > 0 else 1.0 / (8 * n * L)


def trips(knowledge: Knowledge, gradients: float = 1) -> np.ndarray:
    """Mean seconds (n,) from sending a point to receiving an answer for which so many gradients are computed."""
    (whole,) = knowledge.need("mean_times")
    if gradients == 1:
        return np.asarray(whole, dtype=np.float64)
    messages = message_times(knowledge)
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(whole), messages + gradients * (whole - messages), np.inf)


def with_two_points(knowledge: Knowledge) -> Knowledge:
    """`knowledge` of the trips of jobs with two points, as a difference of gradients.

    >>> known = Knowledge(n=1, mean_times=np.array([5.0]), mean_communication_times=np.array([4.0]), point_times=np.array([3.0]))
    >>> trips(with_two_points(known), gradients=2)
    array([9.])
    """
    if knowledge.point_times is None:
        return knowledge
    names = ("mean_times", "communication_times", "mean_communication_times")
    known = {name: times for name in names if (times := getattr(knowledge, name)) is not None}
    return dataclasses.replace(knowledge, **{name: times + knowledge.point_times for name, times in known.items()})


def message_times(knowledge: Knowledge) -> np.ndarray:
    """Mean seconds (n,) of downlink and uplink together."""
    known = knowledge.mean_communication_times
    if known is None:
        known = knowledge.communication_times
    if known is None:
        (known,) = knowledge.need("mean_communication_times")
    return np.asarray(known, dtype=np.float64)


def fastest_worker(knowledge: Knowledge, gradients: float) -> int:
    """Who answers soonest on average, if so many gradients are computed for an answer.

    >>> times = {"mean_times": np.array([11.0, 5.0]), "mean_communication_times": np.array([10.0, 0.0])}
    >>> fastest_worker(Knowledge(n=2, **times), 1), fastest_worker(Knowledge(n=2, **times), 100)
    (1, 0)
    """
    return int(np.argmin(trips(knowledge, gradients if knowledge.tells_messages else 1)))


def fastest_workers(times: np.ndarray, sigma2: float, epsilon: float) -> tuple[int, ...]:
    """The m fastest workers, m = argmin_m (1/m Σ_{i≤m} 1/τ_i)⁻¹(1 + σ²/(mε)), of which Naive Optimal ASGD makes use.

    It minimises the lower bound of Tyurin & Richtárik 2023 (arXiv:2305.12387) on the time with m workers, which
    is this times LΔ/ε; at equal bounds the fewest.

    >>> fastest_workers(np.array([50.0, 1.0, 1.0, 2.0]), sigma2=1.0, epsilon=0.1)
    (1, 2, 3)
    """
    fastest = np.argsort(times, kind="stable")
    with np.errstate(divide="ignore"):
        rates = np.cumsum(1.0 / np.asarray(times, dtype=np.float64)[fastest])
    m = int(np.argmin((np.arange(1, len(times) + 1) + sigma2 / epsilon) / rates)) + 1
    return tuple(sorted(fastest[:m].tolist()))


def birch_stepsize(L: float, sigma2: float, epsilon: float, R: int) -> float:
    """γ = min{1/(2L), 1/(2RL), ε/(4σ²L)} of one gradient, where gradients are summed (arXiv:2505.09218, Theorem 2.4).

    R bounds the distance in the tree of points between the one a gradient is computed at and the one it is applied
    to; R = 0 is plain SGD. E‖∇f‖² averages to at most ε after 4(R + 1)LΔ/ε + 8σ²LΔ/ε² gradients.

    >>> birch_stepsize(L=1.0, sigma2=1.0, epsilon=0.4, R=10), birch_stepsize(L=1.0, sigma2=0.0, epsilon=0.4, R=0)
    (0.05, 0.5)
    """
    return min(1 / (2 * L), 1 / (2 * R * L) if R else math.inf, epsilon / (4 * sigma2 * L) if sigma2 > 0 else math.inf)


def local_steps(sigma2: float, epsilon: float, n: int) -> int:
    """K = max{1, ⌈σ²/(nε)⌉} local steps of each of n workers, so that a round has about σ²/ε gradients.

    >>> local_steps(sigma2=10.0, epsilon=0.05, n=16), local_steps(sigma2=0.0, epsilon=0.05, n=16)
    (13, 1)
    """
    return max(1, _ceil(sigma2 / (n * epsilon)))


def local_stepsize(L: float, sigma2: float, epsilon: float, n: int, K: int) -> float:
    """η_l = min{1/(2KL), √(ε/((K − 1)σ²))/(2L), nε/(4σ²L)} of canonical Local SGD with K local steps.

    The terms bound the length of a round, the drift of the local points (none for K = 1) and the noise of the mean of
    n workers. Only the orders are known (arXiv:2509.23207 discusses them); the constants are set as in
    `birch_stepsize`, so that for K = 1, bounded by noise, the server's step of one gradient, η_l/n, is the same.

    >>> local_stepsize(L=1.0, sigma2=10.0, epsilon=0.1, n=16, K=5), local_stepsize(1.0, 10.0, 0.1, n=16, K=1)
    (0.025, 0.04)
    """
    γ = 1 / (2 * K * L)
    if sigma2 > 0:
        γ = min(γ, n * epsilon / (4 * sigma2 * L))
        if K > 1:
            γ = min(γ, math.sqrt(epsilon / ((K - 1) * sigma2)) / (2 * L))
    return γ


def decaying_stepsizes(stepsize: float, n: int, K: int, log_of: str = "K") -> list[float]:
    """η_{l,j} = η_g·√(nK/((j + 1)(ln K + 1))) for j = 0…K−1, of Decaying Local SGD (arXiv:2509.23207, section 4).

    They spend the same drift as K steps of Dual Local SGD's √n·η_g: Ση_{l,j}² ≤ nK·η_g², since Σ1/j ≤ ln K + 1. With
    `log_of` = "b" the logarithm is that of b = nK, the gradients of a round.

    >>> [round(η, 3) for η in decaying_stepsizes(0.1, n=4, K=3)]
    [0.239, 0.169, 0.138]
    """
    b = n * K
    scale = b / (math.log(K if log_of == "K" else b) + 1)
    return [stepsize * math.sqrt(scale / (j + 1)) for j in range(K)]


def threshold_distance(M: int, B: int) -> int:
    """R = ⌊(B − 1)/M⌋·M + M − 1: the tree distance where chains of M gradients with delay < B gradients are applied.

    The server is ahead of a chain's beginning by a multiple of M gradients below B, the last gradient of a chain by
    M − 1 more. For M = 1 it is B − 1, that of Ringmaster ASGD.

    >>> threshold_distance(1, 8), threshold_distance(4, 20), threshold_distance(10, 50)
    (7, 19, 49)
    """
    return (B - 1) // M * M + M - 1


def mindflayer_trials(allotted_times: np.ndarray, p: np.ndarray, S: float) -> np.ndarray:
    """B_i, trials of each worker (n,) in a step of MindFlayer SGD, for at least S expected gradients.

    A trial of worker i lasts at most `allotted_times[i]` seconds T_i = τ_i + t_i and succeeds with probability p_i.
    With T = min over m of (S + Σ_{i≤m} p_i)/(Σ_{i≤m} p_i/T_i), workers sorted by T_i, those up to the best m
    make B_i = ⌈T/T_i − 1⌉ trials, the others none: then Σp_iB_i ≥ S and B_iT_i ≤ T, and T is the time of a step in the
    paper's time complexity (arXiv:2410.04285).

    >>> mindflayer_trials(np.array([1.0, 2.0, 50.0]), np.array([0.5, 0.5, 0.5]), S=5)
    array([7, 3, 0])
    """
    usable = np.flatnonzero((allotted_times > 0) & np.isfinite(allotted_times) & (p > 0))
    if not len(usable):
        raise ValueError("no worker's trial can succeed within a finite allotted time")
    order = usable[np.argsort(allotted_times[usable], kind="stable")]
    times, chances = allotted_times[order], p[order]
    T = (S + np.cumsum(chances)) / np.cumsum(chances / times)
    best = int(np.argmin(T))
    B = np.zeros(len(p), np.int64)
    # the ceiling of what is a whole number but for rounding is that number
    B[order[: best + 1]] = np.ceil(T[best] / times[: best + 1] * (1 - 1e-12) - 1)
    return B


def mindflayer_stepsize(L: float, sigma2: float, epsilon: float, B: float) -> float:
    """γ = min{1, εB/σ²}/(2L), where B = Σp_iB_i ≥ 1 gradients are expected in a step (arXiv:2410.04285).

    The estimate has E‖g‖² ≤ 2‖∇f‖² + σ²/B; E‖∇f‖² averages to at most ε after max{1, σ²/(εB)}·8LΔ/ε steps.

    >>> mindflayer_stepsize(L=1.0, sigma2=4.0, epsilon=0.5, B=2.0)
    0.125
    """
    return min(1.0, epsilon * B / sigma2 if sigma2 > 0 else 1.0) / (2 * L)
