"""Seconds: how long workers take for so many gradients, time complexities and lower bounds.

Times are arrays (n,) of seconds a gradient, in any order; inf is a worker that never returns. τ_(1) ≤ … ≤ τ_(n) are
the same, sorted; τ_avg their mean. The functions called complexity and lower_bound are known **up to a
constant factor** only: they order methods, and say nothing of one measured time. Δ = f(x⁰) − f*, L smoothness, σ² the
bound of the noise, ε the target: E‖∇f‖² ≤ ε, or f − f* ≤ ε in the convex ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from asyncsim.theory.parameters import equilibrium_time


def harmonic_means(times: np.ndarray) -> np.ndarray:
    """hm_m = ((1/m) Σ_{i≤m} 1/τ_(i))⁻¹ of the m fastest workers, for m = 1…n; seconds, (n,).

    >>> harmonic_means(np.array([2.0, 1.0, 2.0])).tolist()
    [1.0, 1.3333333333333333, 1.5]
    """
    ordered = np.sort(np.asarray(times, dtype=np.float64))
    with np.errstate(divide="ignore"):
        return np.asarray(np.arange(1, len(ordered) + 1) / np.cumsum(1.0 / ordered))


def completion_time(times: np.ndarray, gradients: float, rounds: float) -> float:
    """min over m of (G + m·r)/Σ_{i≤m} 1/τ_(i): an upper bound of the expected seconds until G gradients are used.

    It holds for every method that keeps its workers busy all the time and lets at most one gradient of each worker
    go unused in each of r rounds (the one in flight at the end counts for the first round): Rennala SGD with r steps
    of S gradients, so that G = rS and this is r·t*(S); Ringmaster ASGD with r = ⌈G/R⌉ blocks of R updates, as what
    begins within a block has a delay below R at its end. With or without stops.

    For constant times because worker i begins at least T/τ_i gradients in T seconds, of which at most r are not used.
    For random times, independent draws of a law with mean τ_i for each worker, because of Wald's identity: the number
    of gradients that worker i has begun by the end is a stopping time, and their times add up to at least T.
    Derived here; the papers have 2·t*(S) a step (arXiv:2305.12387) and 2·t*(R) for R updates (arXiv:2501.16168).

    >>> completion_time(np.array([1.0, 1.0]), gradients=6, rounds=2), completion_time(np.array([1.0, np.inf]), 6, 2)
    (5.0, 8.0)
    """
    ordered = np.sort(np.asarray(times, dtype=np.float64))
    with np.errstate(divide="ignore"):
        rates = np.cumsum(1.0 / ordered)
        return float(np.min((gradients + rounds * np.arange(1, len(ordered) + 1)) / rates))


def ringmaster_window(times: np.ndarray, R: int) -> float:
    """2·min_m hm_m(1 + R/m): seconds in which Ringmaster ASGD surely makes R updates, from any moment on, constant times.

    The lemma of arXiv:2501.16168. If fewer than R updates came in a window of t seconds, every gradient begun in it
    would be used, and worker i ≤ m delivers at least t/τ_i − 2 of those. On average R updates take half of it,
    see `completion_time`.

    >>> ringmaster_window(np.array([1.0, 1.0]), R=6)
    8.0
    """
    return 2 * equilibrium_time(times, R)


def malenia_round(times: np.ndarray, S: float, stops: bool = False) -> float:
    """Seconds in which a step of Malenia SGD is surely over, for constant times: max{2τ_n, 3τ_avg·S/n}.

    The gradients of worker i computed at the newest point are at least ⌊t/τ_i⌋ − 1 after t seconds, which is
    t/(3τ_i) or more once t ≥ 2τ_n; so their harmonic mean is at least t/(3τ_avg), and S/n ends the step. With stops
    they are ⌊t/τ_i⌋ ≥ t/(2τ_i): max{τ_n, 2τ_avg·S/n}. Derived here.

    >>> malenia_round(np.array([1.0, 3.0]), S=4), malenia_round(np.array([1.0, 3.0]), S=4, stops=True)
    (12.0, 8.0)
    """
    times = np.asarray(times, dtype=np.float64)
    slowest, mean, n = float(times.max()), float(times.mean()), len(times)
    if n >= S:  # one gradient of everybody is enough
        return slowest if stops else 2 * slowest
    return max(slowest, 2 * mean * S / n) if stops else max(2 * slowest, 3 * mean * S / n)


def ringleader_round(times: np.ndarray, harmonic_mean: float = 1.0) -> float:
    """Seconds in which a round of Ringleader ASGD, n updates, is surely over, for constant times: 2τ_n.

    In phase 1 each worker delivers within τ_n, in phase 2 once more (arXiv:2509.22860). Where phase 1 lasts until the
    harmonic mean of the counts is B > 1, it takes max{τ_n, 2τ_avg·B} at most; derived here.

    >>> ringleader_round(np.array([41.5, 60.0, 87.0])), ringleader_round(np.array([1.0, 3.0]), harmonic_mean=2.0)
    (174.0, 11.0)
    """
    times = np.asarray(times, dtype=np.float64)
    slowest = float(times.max())
    return slowest + (slowest if harmonic_mean <= 1 else max(slowest, 2 * float(times.mean()) * harmonic_mean))


# ---- time complexities, nonconvex, up to a constant factor


def homogeneous_complexity(times: np.ndarray, L: float, Delta: float, sigma2: float, epsilon: float) -> float:
    """min_m hm_m·(LΔ/ε + σ²LΔ/(mε²)): the lower bound for homogeneous data, and Rennala SGD, Ringmaster ASGD, Naive Optimal ASGD.

    Tyurin & Richtárik 2023 (arXiv:2305.12387). No method with workers of these times is faster but by a constant.

    >>> homogeneous_complexity(np.array([1.0, 1.0, 50.0]), L=1.0, Delta=1.0, sigma2=0.2, epsilon=0.1)
    20.0
    """
    m = np.arange(1, len(times) + 1)
    return float(np.min(harmonic_means(times) * (L * Delta / epsilon) * (1 + sigma2 / (m * epsilon))))


def heterogeneous_complexity(times: np.ndarray, L: float, Delta: float, sigma2: float, epsilon: float) -> float:
    """τ_n·LΔ/ε + τ_avg·σ²LΔ/(nε²): the lower bound for heterogeneous data, and Malenia SGD; Ringleader ASGD with its own L.

    Tyurin & Richtárik 2023 (arXiv:2305.12387); Maranjyan & Richtárik 2025 (arXiv:2509.22860).

    >>> heterogeneous_complexity(np.array([1.0, 3.0]), L=1.0, Delta=1.0, sigma2=0.2, epsilon=0.1)
    50.0
    """
    times = np.asarray(times, dtype=np.float64)
    noise = _mean_if(sigma2, times) * sigma2 / (len(times) * epsilon)
    return float(L * Delta / epsilon * (times.max() + noise))


def asynchronous_complexity(times: np.ndarray, L: float, Delta: float, sigma2: float, epsilon: float) -> float:
    """hm_n·(LΔ/ε + σ²LΔ/(nε²)): Asynchronous SGD, plain or delay-adaptive, as arXiv:2501.16168 tells it.

    >>> asynchronous_complexity(np.array([1.0, 1.0]), L=1.0, Delta=1.0, sigma2=0.2, epsilon=0.1)
    20.0
    """
    return float(harmonic_means(times)[-1] * (L * Delta / epsilon) * (1 + sigma2 / (len(times) * epsilon)))


def ia2_complexity(times: np.ndarray, L_max: float, Delta: float, sigma2: float, epsilon: float) -> float:
    """(L_maxΔ/ε)(τ_n + τ_n·σ²/(nε)): IA²SGD, as arXiv:2509.22860 tells it; Minibatch SGD has the same with L.

    >>> ia2_complexity(np.array([1.0, 3.0]), L_max=1.0, Delta=1.0, sigma2=0.2, epsilon=0.1)
    60.0
    """
    return float(L_max * Delta / epsilon * np.max(times) * (1 + sigma2 / (len(times) * epsilon)))


def synchronous_complexity(
    τ: float, h: float, n: int, K: int, L: float, Delta: float, sigma2: float, epsilon: float
) -> float:
    """(τ + Kh)(LΔ/ε + σ²LΔ/(nKε²)): rounds of K gradients of n workers, h seconds each, and τ of communication.

    Minibatch SGD, Dual and Decaying Local SGD (arXiv:2509.23207); Hero SGD with n = 1. With K = max{1, ⌈σ²/(nε)⌉} it is
    τLΔ/ε + h(LΔ/ε + σ²LΔ/(nε²)), up to a constant.

    >>> synchronous_complexity(τ=20.0, h=1.0, n=2, K=1, L=1.0, Delta=1.0, sigma2=0.2, epsilon=0.1)
    420.0
    """
    return (τ + K * h) * L * Delta / epsilon * (1 + sigma2 / (n * K * epsilon))


def canonical_local_complexity(
    τ: float, h: float, n: int, K: int, L: float, Delta: float, sigma2: float, epsilon: float
) -> float:
    """(τ + Kh)(LΔ/ε + σLΔ/(√K·ε^{3/2}) + σ²LΔ/(nKε²)): canonical Local SGD with K local steps (arXiv:2509.23207).

    Its middle term is what Dual Local SGD does without. It is an upper bound for the canonical steps.

    >>> canonical_local_complexity(τ=3.0, h=1.0, n=1, K=1, L=1.0, Delta=1.0, sigma2=1.0, epsilon=1.0)
    12.0
    """
    noise = math.sqrt(sigma2 / (K * epsilon)) + sigma2 / (n * K * epsilon)
    return (τ + K * h) * L * Delta / epsilon * (1 + noise)


def local_lower_bound(τ: float, h: float, n: int, L: float, Delta: float, sigma2: float, epsilon: float) -> float:
    """min{τLΔ/ε, hσ²LΔ/ε²} + h(LΔ/ε + σ²LΔ/(nε²)): equal workers with communication, homogeneous data.

    Up to a constant no method is faster on workers that take h seconds a gradient and τ a message (as quoted in the
    discussion of arXiv:2509.23207). The better one of Hero SGD and Dual Local SGD reaches it.

    >>> local_lower_bound(τ=20.0, h=1.0, n=2, L=1.0, Delta=1.0, sigma2=0.2, epsilon=0.1)
    40.0
    """
    scale = L * Delta / epsilon
    return scale * (min(τ, h * sigma2 / epsilon) + h * (1 + sigma2 / (n * epsilon)))


def hero_beats_local_steps(τ: float, h: float, sigma2: float, epsilon: float) -> bool:
    """Whether h·max{1, σ²/ε} < τ: an exchange is dearer than the gradients one worker needs for a good step.

    Then Hero SGD has the smaller time complexity, else Minibatch, Dual and Decaying Local SGD have it. From the two
    complexities of arXiv:2509.23207, with n → ∞; equal workers.

    >>> hero_beats_local_steps(τ=20.0, h=1.0, sigma2=1.0, epsilon=0.1)
    True
    """
    return h * max(1.0, sigma2 / epsilon) < τ


def freya_complexity(times: np.ndarray, L: float, Delta: float, epsilon: float, m: int) -> float:
    """t*(m) + (LΔ/ε)·t*(⌈√m⌉): Freya PAGE for a sum of m functions (arXiv:2405.15545), L = L₋ + L±.

    >>> freya_complexity(np.array([1.0, 1.0]), L=1.0, Delta=1.0, epsilon=0.1, m=100)
    111.0
    """
    return equilibrium_time(times, m) + L * Delta / epsilon * equilibrium_time(times, math.isqrt(m - 1) + 1)


def finite_sum_lower_bound(times: np.ndarray, L_plus: float, Delta: float, epsilon: float, m: int) -> float:
    """t*(m) + (L₊Δ/(ε√m))·min_j (m + j)/Σ_{i≤j} 1/τ_(i): the lower bound for sums of m functions, tight for √m ≥ n.

    Of the form that arXiv:2405.15545 proves; the form is quoted from memory.

    >>> finite_sum_lower_bound(np.array([1.0, 1.0]), L_plus=1.0, Delta=1.0, epsilon=0.1, m=100)
    102.0
    """
    return equilibrium_time(times, m) * (1 + L_plus * Delta / (epsilon * math.sqrt(m)))


# ---- convex


def convex_homogeneous_complexity(times: np.ndarray, L: float, distance: float, sigma2: float, epsilon: float) -> float:
    """min_m hm_m·(√L·R/√ε + σ²R²/(mε²)) until f − f* ≤ ε; R = ‖x⁰ − x*‖ (arXiv:2305.12387).

    The lower bound, reached by an accelerated Rennala SGD, which is not among the methods here.

    >>> convex_homogeneous_complexity(np.array([1.0]), L=4.0, distance=1.0, sigma2=1.0, epsilon=0.25)
    20.0
    """
    m = np.arange(1, len(times) + 1)
    best = math.sqrt(L / epsilon) * distance + sigma2 * distance**2 / (m * epsilon**2)
    return float(np.min(harmonic_means(times) * best))


def convex_heterogeneous_complexity(
    times: np.ndarray, L: float, distance: float, sigma2: float, epsilon: float
) -> float:
    """τ_n·√L·R/√ε + τ_avg·σ²R²/(nε²) until f − f* ≤ ε (arXiv:2305.12387); the lower bound, and accelerated Malenia SGD.

    >>> convex_heterogeneous_complexity(np.array([1.0]), L=4.0, distance=1.0, sigma2=1.0, epsilon=0.25)
    20.0
    """
    times = np.asarray(times, dtype=np.float64)
    noise = _mean_if(sigma2, times) * sigma2 * distance**2 / (len(times) * epsilon**2)
    return float(times.max()) * math.sqrt(L / epsilon) * distance + noise


def strongly_convex_homogeneous_complexity(
    times: np.ndarray, L: float, mu: float, sigma2: float, epsilon: float
) -> float:
    """min_m hm_m·(√(L/μ) + σ²/(mεμ)) until f − f* ≤ ε, up to logarithms too (arXiv:2305.12387).

    >>> strongly_convex_homogeneous_complexity(np.array([1.0]), L=4.0, mu=1.0, sigma2=1.0, epsilon=0.25)
    6.0
    """
    m = np.arange(1, len(times) + 1)
    return float(np.min(harmonic_means(times) * (math.sqrt(L / mu) + sigma2 / (m * epsilon * mu))))


def strongly_convex_heterogeneous_complexity(
    times: np.ndarray, L: float, mu: float, sigma2: float, epsilon: float
) -> float:
    """τ_n·√(L/μ) + τ_avg·σ²/(nεμ) until f − f* ≤ ε, up to logarithms too (arXiv:2305.12387).

    >>> strongly_convex_heterogeneous_complexity(np.array([1.0]), L=4.0, mu=1.0, sigma2=1.0, epsilon=0.25)
    6.0
    """
    times = np.asarray(times, dtype=np.float64)
    return float(times.max() * math.sqrt(L / mu) + _mean_if(sigma2, times) * sigma2 / (len(times) * epsilon * mu))


def _mean_if(sigma2: float, times: np.ndarray) -> float:
    """The mean of the times where there is noise; one that is infinite, times no noise, would be no number."""
    return float(times.mean()) if sigma2 > 0 else 0.0


def ata_overhead(eta: float, B: int) -> float:
    """1 + 4η·ln B: ATA's total time over K rounds is at most this times the best fixed allocation's, plus O(ln K).

    η = max_i α_i/μ_i, how heavy the tails are against the means (arXiv:2502.00775).

    >>> ata_overhead(eta=0.0, B=23)
    1.0
    """
    return 1 + 4 * eta * math.log(B)


# ---- the universal computation model


def universal_times(
    work: Callable[[float], np.ndarray], enough: Callable[[np.ndarray], bool], rounds: int, horizon: float = 1e12
) -> np.ndarray:
    """t̄_0 = 0, t̄_k = min{t : the gradients finished in [t̄_{k−1}, t] are enough}, k = 0…rounds; seconds (rounds + 1,).

    The recursion of the universal computation model (Tyurin 2024, arXiv:2408.04929): `work(t)` is V(t) = ∫_0^t v_i,
    (n,), the gradients worker i could have computed by t, nondecreasing; a gradient begun at s is finished when V_i has
    grown by 1, so ⌊V_i(t) − V_i(s)⌋ of them are finished. `enough(counts)` says when a step can be made: for
    Rennala SGD ``counts.sum() >= S``, for Malenia SGD and Ringleader ASGD ``harmonic_mean_reaches(counts, S / n)``.
    inf where it does not come by `horizon`. Exact but for bisection, to a relative 1e-12. With r = ⌈8LΔ/ε⌉ rounds and
    S = max{1, ⌈σ²/ε⌉} it is the time of Rennala SGD with stops; with other constants the lower bound.

    >>> speeds = np.array([1.0, 0.5])  # constant: a gradient in 1 and in 2 s
    >>> universal_times(lambda t: speeds * t, lambda counts: counts.sum() >= 3, rounds=2).round(9).tolist()
    [0.0, 2.0, 4.0]
    """
    found = np.full(rounds + 1, math.inf)
    found[0] = 0.0
    for k in range(1, rounds + 1):
        begin = float(found[k - 1])
        done = work(begin)

        def over(t: float, done: np.ndarray = done) -> bool:
            # a gradient that is finished but for rounding is finished
            now = work(t)
            return enough(np.floor(now - done + 1e-12 * np.maximum(1.0, now)).astype(np.int64))

        step = max(1e-9, (begin - float(found[k - 2])) if k > 1 else 1.0)
        high = min(begin + step, horizon)
        while not over(high):
            if high >= horizon:
                return found
            step *= 2
            high = min(begin + step, horizon)
        low = begin
        while high - low > 1e-12 * max(high, 1e-300):
            middle = (low + high) / 2
            if middle in (low, high):
                break
            low, high = (low, middle) if over(middle) else (middle, high)
        found[k] = high
    return found
