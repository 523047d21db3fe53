"""How many iterations are proven to suffice: (1/K)Σ_{k<K} E‖∇f(x^k)‖² ≤ ε, with constants, for the stepsize as it is.

Each function returns the least K that its proof gives, which is at most what the papers have for their stepsizes, and
refuses (ValueError, with the limit) a stepsize for which the proof says nothing. Δ = f(x⁰) − f*, L the smoothness of
f, σ² a bound of E‖∇f(x; ξ) − ∇f(x)‖² at every x; which gradients are used must not depend on their values.

All proofs begin with E f(x⁺) ≤ f(x) − γ⟨∇f(x), E g⟩ + (Lγ²/2)E‖g‖² and add up over k.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from asyncsim.theory.parameters import birch_stepsize, ringleader_stepsize


def batch_iterations(Delta: float, L: float, sigma2: float, epsilon: float, S: float, stepsize: float) -> int:
    """K of steps with the mean of S gradients at the newest point: Rennala, Malenia, Minibatch, Hero, Freya SGD.

    (1/K)ΣE‖∇f‖² ≤ (Δ/(γK) + Lγσ²/(2S))/(1 − Lγ/2), as E‖g‖² ≤ ‖∇f‖² + σ²/S; derived here. With γ = min{1/L, εS/(2Lσ²)}
    it is at most 8LΔ/ε when S ≥ σ²/ε (arXiv:2305.12387 has 24LΔ/ε).

    >>> batch_iterations(Delta=1.0, L=1.0, sigma2=1.0, epsilon=0.1, S=10, stepsize=0.5)
    40
    >>> batch_iterations(Delta=1.0, L=1.0, sigma2=1.0, epsilon=0.1, S=10, stepsize=1.0)
    Traceback (most recent call last):
    ValueError: nothing is proven for a stepsize of 1; it must be below 1
    """
    limit = 2 * epsilon / (L * (epsilon + sigma2 / S))
    _below(stepsize, limit)
    left = epsilon * (1 - L * stepsize / 2) - L * stepsize * sigma2 / (2 * S)
    return _whole(Delta / (stepsize * left))


def asynchronous_iterations(Delta: float, L: float, sigma2: float, epsilon: float, R: int, stepsize: float) -> int:
    """K of steps with one gradient whose delay is below R: Ringmaster ASGD; Asynchronous SGD where delays are bounded.

    (1/K)ΣE‖∇f‖² ≤ 2Δ/(γK) + Lγσ² + 2γ²L²(R − 1)σ² where γ²L²(R − 1)² ≤ (1 − Lγ)/2; derived here, from
    −⟨a, b⟩ = ½(‖a − b‖² − ‖a‖² − ‖b‖²) and E‖x^k − x^{k−δ}‖² ≤ 2γ²(δΣ‖∇f‖² + δσ²). With γ = min{1/(2RL), ε/(4Lσ²)} it is
    at most 4Δ/(γε) ≤ 8RLΔ/ε + 16σ²LΔ/ε², which arXiv:2501.16168 has.

    >>> asynchronous_iterations(Delta=1.0, L=1.0, sigma2=0.0, epsilon=0.1, R=5, stepsize=0.1)
    200
    >>> asynchronous_iterations(Delta=1.0, L=1.0, sigma2=0.0, epsilon=0.1, R=5, stepsize=0.2)
    Traceback (most recent call last):
    ValueError: nothing is proven for a stepsize of 0.2; it must be at most 0.161841
    """
    d = R - 1
    # the positive root of 2d²y² + y − 1 for y = Lγ
    limit = (math.sqrt(1 + 8 * d**2) - 1) / (4 * d**2) / L if d else 1 / L
    if stepsize > limit * (1 + 1e-9):
        raise ValueError(f"nothing is proven for a stepsize of {stepsize:.6g}; it must be at most {limit:.6g}")
    noise = L * sigma2 * (stepsize + 2 * stepsize**2 * L * d)
    _noise_below(noise, epsilon, stepsize)
    return _whole(2 * Delta / (stepsize * (epsilon - noise)))


def local_rounds(
    Delta: float,
    L: float,
    sigma2: float,
    epsilon: float,
    n: int,
    local_stepsizes: Sequence[float],
    global_stepsize: float,
) -> int:
    """Rounds of Local SGD in all its forms: each of n workers makes K steps with `local_stepsizes`, x⁺ = x − η_g·ΣΣg.

    With γ = nKη_g < 1/L, a = L²·max_l 2η_lΣ_{l<j<K}Σ_{q<j}η_q < ¼ (η²K(K − 1)L² for equal local steps), and
    s = (2σ²/K)Σ_l(K − 1 − l)η_l², the drift D = (1/nK)ΣΣE‖z_i^j − x‖² obeys D(1 − 2a) ≤ 2(a/L²)‖∇f‖² + s and
    (1/r)ΣE‖∇f‖² ≤ (1 − 2a)/(1 − 4a)·[2Δ/(γr) + L²s/(1 − 2a) + Lγσ²/(nK(1 − Lγ))] after r rounds; derived here, for
    homogeneous data. For the stepsizes of Dual Local SGD and n ≥ 16 it is about the 12LΔ/ε of theory.

    >>> local_rounds(1.0, 1.0, sigma2=0.0, epsilon=0.1, n=4, local_stepsizes=[0.01] * 3, global_stepsize=0.05)
    34
    >>> local_rounds(1.0, 1.0, sigma2=0.0, epsilon=0.1, n=4, local_stepsizes=[0.3] * 3, global_stepsize=0.05)
    Traceback (most recent call last):
    ValueError: nothing is proven for local steps as long as 0.3: L times their drift is 0.735, and must be below 0.5
    """
    η, K = np.asarray(local_stepsizes, dtype=np.float64), len(local_stepsizes)
    γ = n * K * global_stepsize
    if K == 1:  # all gradients are computed at x
        return batch_iterations(Delta, L, sigma2, epsilon, n, γ)
    reached = np.concatenate([[0.0], np.cumsum(η)[:-1]])  # Σ_{q<j} η_q
    later = np.cumsum(reached[::-1])[::-1] - reached  # Σ_{l<j<K} of these
    a = L**2 * float(np.max(2 * η * later))
    if not a < 0.25:
        raise ValueError(
            f"nothing is proven for local steps as long as {η.max():.6g}: L times their drift is {math.sqrt(a):.3g}, "
            "and must be below 0.5"
        )
    if not L * γ < 1:
        raise ValueError(f"nothing is proven for a round's stepsize n·K·η_g = {γ:.6g}; it must be below {1 / L:.6g}")
    s = 2 * sigma2 / K * float(((K - 1 - np.arange(K)) * η**2).sum())
    share = (1 - 4 * a) / (1 - 2 * a)
    noise = L**2 * s / (1 - 2 * a) + L * γ * sigma2 / (n * K * (1 - L * γ))
    _noise_below(noise, share * epsilon, γ)
    return _whole(2 * Delta / (γ * (share * epsilon - noise)))


def mindflayer_iterations(Delta: float, L: float, sigma2: float, epsilon: float, B: float, stepsize: float) -> int:
    """K of MindFlayer SGD, whose step expects B = Σp_iB_i ≥ 1 gradients: E‖g‖² ≤ (1 + 1/B)‖∇f‖² + σ²/B.

    (1/K)ΣE‖∇f‖² ≤ (Δ/(γK) + Lγσ²/(2B))/(1 − Lγ(1 + 1/B)/2); derived here. With γ = min{1, εB/σ²}/(2L) it is at most
    max{1, σ²/(εB)}·8LΔ/ε, which arXiv:2410.04285 has.

    >>> mindflayer_iterations(Delta=1.0, L=1.0, sigma2=0.2, epsilon=0.1, B=2.0, stepsize=0.5)
    54
    """
    limit = 2 * epsilon / (L * (epsilon * (1 + 1 / B) + sigma2 / B))
    _below(stepsize, limit)
    left = epsilon * (1 - L * stepsize * (1 + 1 / B) / 2) - L * stepsize * sigma2 / (2 * B)
    return _whole(Delta / (stepsize * left))


def ringleader_iterations(
    Delta: float, L: float, sigma2: float, epsilon: float, n: int, B: float, stepsize: float
) -> int:
    """K = ⌈4Δ/(γε)⌉ updates of Ringleader ASGD, for γ up to min{1/(8nL), εB/(10Lσ²)} (arXiv:2509.22860).

    For that γ it is at most 32nLΔ/ε + 40σ²LΔ/(Bε²). The constants are the paper's as we know them, not derived here.
    L and B as in `ringleader_stepsize`.

    >>> ringleader_iterations(Delta=1.0, L=1.0, sigma2=0.0, epsilon=0.1, n=5, B=1.0, stepsize=0.025)
    1600
    """
    limit = ringleader_stepsize(L, sigma2, epsilon, n, B)
    if stepsize > limit * (1 + 1e-9):
        raise ValueError(f"nothing is proven for a stepsize of {stepsize:.6g}; it must be at most {limit:.6g}")
    return _whole(4 * Delta / (stepsize * epsilon))


def birch_gradients(Delta: float, L: float, sigma2: float, epsilon: float, R: int, stepsize: float) -> int:
    """4(R + 1)LΔ/ε + 8σ²LΔ/ε² gradients on the main branch of a tree with distance R (arXiv:2505.09218, Theorem 2.4).

    For γ = min{1/(2L), 1/(2RL), ε/(4σ²L)} only. The mean is over all points of the main branch: with several
    gradients a step, more than the server's x^k. The constants are the paper's.

    >>> birch_gradients(Delta=1.0, L=1.0, sigma2=0.0, epsilon=0.1, R=4, stepsize=0.125)
    200
    """
    proven = birch_stepsize(L, sigma2, epsilon, R)
    if not math.isclose(stepsize, proven, rel_tol=1e-9):
        raise ValueError(f"the proof is for a stepsize of {proven:.6g} a gradient, not {stepsize:.6g}")
    return _whole(L * Delta / epsilon * (4 * (R + 1) + 8 * sigma2 / epsilon))


def _below(stepsize: float, limit: float) -> None:
    if not stepsize < limit:
        raise ValueError(f"nothing is proven for a stepsize of {stepsize:.6g}; it must be below {limit:.6g}")


def _noise_below(noise: float, epsilon: float, stepsize: float) -> None:
    if not noise < epsilon:
        raise ValueError(
            f"nothing is proven for a stepsize of {stepsize:.6g}: the noise alone may keep the mean of ‖∇f‖² at "
            f"{noise:.3g}, above {epsilon:.3g}"
        )


def _whole(number: float) -> int:
    return max(1, math.ceil(number * (1 - 1e-12)))
