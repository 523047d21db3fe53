"""How long each method takes, before any run: proven upper bounds in seconds, and time complexities up to constants.

`predict` takes a method with the parameters that it will run with and says

- `seconds`: until (1/K)Σ_{k<K} ‖∇f(x^k)‖² ≤ ε, the quantity of the theorems, which the records have as
  mean_squared_gradient_norm. It is K iterations (asyncsim.theory.iterations) times what one takes at most
  (asyncsim.theory.times), both with their constants, so that a simulation can be held against it;
- `complexity`: the paper's time complexity, up to a constant, for theory's parameters. It orders methods;
- `lower_bound`: what no method for such data can beat by more than a constant.

What is not known stands in `missing`, in words. A bound rests on what is told of the problem: where L or σ² are
estimates (`estimated`) it is one, too. Of random times the bound is one of the expected time, for independent draws; the
slowest of several random times has no bound in its means, and is estimated by sampling the laws.

To give a method of one's own a prediction, write `predicted_time(knowledge) -> Prediction` in it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from asyncsim.allocation import Greedy
from asyncsim.methods import (
    IA2SGD,
    PAGE,
    AsyncBatchSGD,
    AsynchronousSGD,
    AsyncLocalSGD,
    DecayingLocalSGD,
    DualLocalSGD,
    FreyaPAGE,
    FreyaSGD,
    HeroPAGE,
    HeroSGD,
    LocalSGD,
    MaleniaSGD,
    MindFlayerSGD,
    MinibatchSGD,
    NaiveOptimalASGD,
    RennalaSGD,
    RingleaderASGD,
    RingmasterASGD,
    SovietPAGE,
)
from asyncsim.methods.mindflayer_sgd import chances, gradients_expected, one_each
from asyncsim.parameters import allowed, hints
from asyncsim.summary import listed, number
from asyncsim.theory import iterations, times
from asyncsim.theory.parameters import (
    Knowledge,
    decaying_stepsizes,
    equilibrium_time,
    largest_delay,
    message_times,
    page_iterations,
    resolved,
    ringleader_fullness,
    threshold_distance,
    trips,
    with_two_points,
)
from asyncsim.update_rules import Plain


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What is proven of one method with its parameters; None is not known, and `missing` says why.

    iterations : of the server, within which the mean of ‖∇f‖² is at most ε;  seconds : for them, at most;
    how : where the two come from;  complexity, lower_bound : seconds up to a constant factor;
    expected : whether `seconds` bounds the expected time only, as times or the method's own choices are random;
    recorded : whether the theorem's mean is that of the server's x^k, which is recorded; else it is over more points;
    estimated : what of it is an estimate, so that nothing is proven.

    Made by `predict`.

    >>> from asyncsim import HeroSGD
    >>> found = predict(HeroSGD(stepsize=0.5, worker=0), Knowledge(n=2, L=1.0))
    >>> found.seconds is None, found.missing[0].partition(" (")[0]
    (True, 'unknown: Delta')
    """

    iterations: int | None = None
    seconds: float | None = None
    how: str = ""
    complexity: float | None = None
    lower_bound: float | None = None
    expected: bool = False
    recorded: bool = True
    estimated: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def proven(self) -> bool:
        """Whether a simulated mean of ‖∇f‖² above ε after `seconds` contradicts a theorem."""
        return self.seconds is not None and self.recorded and not self.estimated

    def plain(self) -> dict[str, Any]:
        """As data for the run folder, whose JSON knows no infinity."""
        found = {**dataclasses.asdict(self), "estimated": list(self.estimated), "missing": list(self.missing)}
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in found.items()
        }


def predict(method: Any, knowledge: Knowledge, update_rule: Any = None) -> Prediction:
    """What theory says of `method`, whose parameters are all resolved; never a ValueError for what is not known.

    >>> from asyncsim import RennalaSGD
    >>> known = Knowledge(n=2, mean_times=np.array([1.0, 1.0]), constant_times=True, L=1.0, sigma2=1.0, epsilon=0.1, Delta=1.0)
    >>> found = predict(RennalaSGD(stepsize=0.5, batch_size=10), known)
    >>> found.iterations, found.seconds, found.how
    (40, 240.0, '40 steps of S = 10 gradients, each t*(S) = 6 s')
    """
    if hasattr(method, "predicted_time"):
        own: Prediction = method.predicted_time(knowledge)
        return own
    missing: list[str] = []
    found: dict[str, Any] = {}
    for name, ask in (("complexity", _complexity), ("lower_bound", _lower_bound)):
        try:
            found[name] = ask(method, knowledge)
        except ValueError as error:
            missing.append(str(error))
    try:
        if not isinstance(update_rule, Plain | None):
            raise ValueError("theory is about plain steps, and the update rule is another one")
        bound = _bound(method, knowledge)
    except ValueError as error:
        return Prediction(**found, missing=tuple(dict.fromkeys([*missing, str(error)])))
    return Prediction(
        iterations=bound.iterations,
        seconds=bound.seconds,
        how=bound.how,
        expected=bound.expected or not knowledge.constant_times,
        recorded=bound.recorded,
        estimated=_estimates(method, knowledge, bound),
        missing=tuple(missing),
        **found,
    )


def with_theory(method: Any) -> Any:
    """`method` with "theory" for every parameter that theory can give.

    Ringleader ASGD keeps its `harmonic_mean`, for which theory has a value where speeds change.
    """
    if not dataclasses.is_dataclass(method) or isinstance(method, type):
        return method
    of = hints(type(method))
    asked = {name: "theory" for name in of if "'theory'" in allowed(of[name]) and name != "harmonic_mean"}
    return dataclasses.replace(method, **asked) if asked else method


@dataclasses.dataclass(frozen=True)
class Row:
    """One method in the table of `asyncsim theory`; `why_not` says why theory cannot give its parameters."""

    label: str
    method: Any
    prediction: Prediction
    why_not: str = ""


def table(methods: Mapping[str, Any], knowledge: Knowledge, update_rules: Mapping[str, Any] | None = None) -> list[Row]:
    """A row for each method, with theory's parameters wherever theory has some."""
    rows = []
    for label, method in methods.items():
        rule = (update_rules or {}).get(label)
        try:
            as_run = resolved(with_theory(method), knowledge)
            rows.append(Row(label, as_run, predict(as_run, knowledge, rule)))
        except ValueError as error:
            rows.append(Row(label, method, _order_only(method, knowledge, str(error)), str(error)))
    return rows


def _order_only(method: Any, knowledge: Knowledge, why: str) -> Prediction:
    found: dict[str, Any] = {}
    for name, ask in (("complexity", _complexity), ("lower_bound", _lower_bound)):
        try:
            found[name] = ask(method, knowledge)
        except (ValueError, TypeError):  # a parameter that still says "theory" is no number
            continue
    return Prediction(**found, missing=(why,))


# ---- which would be chosen


def choice(rows: list[Row], knowledge: Knowledge) -> str:
    """Which method theory would take and why, in a sentence or two."""
    proven = sorted((r for r in rows if r.prediction.seconds is not None), key=lambda r: r.prediction.seconds or 0.0)
    ordered = sorted(
        (r for r in rows if _finite(r.prediction.complexity)), key=lambda r: r.prediction.complexity or 0.0
    )
    said = []
    if proven:
        best = proven[0]
        asides = ["as far as its estimates hold"] if best.prediction.estimated else []
        if len(proven) > 1:
            asides.append(f"next: {proven[1].label}, {_number(proven[1].prediction.seconds)} s")
        said.append(
            f"Theory would take {best.label}: within {_number(best.prediction.seconds)} s, the least upper bound"
            + (f" ({'; '.join(asides)})." if asides else ".")
        )
    elif ordered:
        said.append(f"Theory would take {ordered[0].label}, by the order of its time complexity alone.")
    else:
        said.append(
            "Theory can say nothing here: " + "; ".join(dict.fromkeys(m for r in rows for m in r.prediction.missing))
        )
    if len(ordered) > 1:
        least = ordered[0].prediction.complexity or 0.0
        equal = [r.label for r in ordered if (r.prediction.complexity or 0.0) <= least * (1 + 1e-9)]
        if len(equal) > 1:
            said.append(f"Up to constants {listed(equal)} are equal and no other is better.")
        elif proven and equal[0] != proven[0].label:
            said.append(f"Up to constants {equal[0]} is the best.")
    said += _crossover(rows, knowledge)
    return " ".join(said)


def _crossover(rows: list[Row], knowledge: Knowledge) -> list[str]:
    """Hero SGD against the methods with rounds, where a message takes time and both are asked about."""
    kinds = {type(row.method) for row in rows}
    known = (knowledge.mean_times, knowledge.mean_communication_times, knowledge.sigma2, knowledge.epsilon)
    if (
        HeroSGD not in kinds
        or not kinds & {MinibatchSGD, DualLocalSGD, DecayingLocalSGD}
        or any(v is None for v in known)
    ):
        return []
    τ, h = _message(knowledge), _slowest(knowledge)
    if not 0 < τ < math.inf or not math.isfinite(h):
        return []
    _, _, sigma2, epsilon = known
    needed = max(1.0, float(sigma2 or 0.0) / float(epsilon or 1.0))
    hero = times.hero_beats_local_steps(τ, h, float(sigma2 or 0.0), float(epsilon or 1.0))
    return [
        f"An exchange takes {_number(τ)} s and max{{1, σ²/ε}} = {_number(needed)} gradients of one worker {_number(h * needed)} s: "
        + ("the exchange is dearer, so up to constants Hero SGD wins" if hero else "the exchange is cheaper, so up to constants rounds of all workers win over Hero SGD")
        + ", on equal workers."
    ]  # fmt: skip


# ---- upper bounds, with constants


@dataclasses.dataclass(frozen=True)
class _Bound:
    iterations: int
    seconds: float
    how: str
    recorded: bool = True
    expected: bool = False
    sampled: bool = False  # the seconds are estimated by sampling the laws


def _bound(method: Any, knowledge: Knowledge) -> _Bound:
    found = BOUNDS.get(type(method))
    if found is None:
        raise ValueError("no upper bound with constants is known here for this method")
    _insist_on_data(method, knowledge)
    if not isinstance(getattr(method, "allocation", Greedy()), Greedy):
        raise ValueError("what is proven is for the greedy allocation")
    if not knowledge.constant_times and not knowledge.independent_times:
        raise ValueError("the times are no independent draws of one law a worker, for which alone something is proven")
    bound = found(method, knowledge)
    if not math.isfinite(bound.seconds):
        raise ValueError("a worker that the method waits for may never return")
    return bound


def _insist_on_data(method: Any, knowledge: Knowledge) -> None:
    if knowledge.heterogeneous and type(method) in HOMOGENEOUS:
        raise ValueError("the workers' data differ, and what is proven of this method is for equal data")
    if knowledge.heterogeneous and type(method) in SUMS:
        raise ValueError("the workers' data differ, and this method needs every worker to reach all of the data")


def _estimates(method: Any, knowledge: Knowledge, bound: _Bound) -> tuple[str, ...]:
    needed = {"L", "sigma2", "mean_times", "L_max", "L_minus", "L_plus", "L_plus_minus"}
    if isinstance(method, FreyaPAGE | SovietPAGE | HeroPAGE | PAGE):
        needed -= {"L", "sigma2", "L_max"}
    elif isinstance(method, RingleaderASGD):
        needed -= {"L_minus", "L_plus", "L_plus_minus", *({"L"} if knowledge.L_max is not None else ())}
    else:
        needed -= {"L_max", "L_minus", "L_plus", "L_plus_minus"}
    if isinstance(method, FreyaSGD):
        needed = needed - {"sigma2"} | {"components_sigma2"}
    estimated = sorted(knowledge.estimated & needed)
    return (*estimated, *(["the slowest worker's time"] if bound.sampled else []))


def _noise(knowledge: Knowledge) -> tuple[float, float, float, float]:
    Delta, L, sigma2, epsilon = knowledge.need("Delta", "L", "sigma2", "epsilon")
    return Delta, L, sigma2, epsilon


def _message(knowledge: Knowledge) -> float:
    """τ: the slowest worker's communication, in seconds; 0 where nothing is said of it."""
    return float(message_times(knowledge).max()) if knowledge.tells_messages else 0.0


def _slowest(knowledge: Knowledge) -> float:
    """h: the slowest worker's mean seconds of computing a gradient."""
    (whole,) = knowledge.need("mean_times")
    messages = message_times(knowledge) if knowledge.tells_messages else np.zeros(len(whole))
    return math.inf if not np.isfinite(whole).all() else float((whole - messages).max())


DRAWS, DRAWS_IN_ALL = 1024, 2_000_000


def _round(knowledge: Knowledge, gradients: int) -> tuple[float, bool]:
    """Mean seconds until all workers have answered a job of so many gradients, and whether that is estimated."""
    means = trips(knowledge, gradients)
    if knowledge.constant_times or not np.isfinite(means).all() or knowledge.n == 1:
        return float(means.max()), False
    laws, communication = knowledge.need("compute_laws", "communication_times")
    draws = int(np.clip(DRAWS_IN_ALL // (knowledge.n * gradients), 32, DRAWS))
    rng = np.random.Generator(np.random.Philox(key=0))
    slowest = np.zeros(draws)
    for worker in range(knowledge.n):
        drawn = np.asarray(laws(worker).sample(rng, draws * gradients), dtype=np.float64)
        np.maximum(slowest, communication[worker] + drawn.reshape(draws, gradients).sum(axis=1), out=slowest)
    return float(slowest.mean()), True


def _constant(knowledge: Knowledge, why: str) -> np.ndarray:
    (found,) = knowledge.need("mean_times")
    if not knowledge.constant_times:
        raise ValueError(why)
    return np.asarray(found, dtype=np.float64)


def _rennala(method: Any, knowledge: Knowledge) -> _Bound:
    Delta, L, sigma2, epsilon = _noise(knowledge)
    S = method.batch_size
    K = iterations.batch_iterations(Delta, L, sigma2, epsilon, S, method.stepsize)
    t = equilibrium_time(trips(knowledge), S)
    return _Bound(K, K * t, f"{K:,} steps of S = {S:,} gradients, each t*(S) = {_number(t)} s")


def _freya_sgd(method: Any, knowledge: Knowledge) -> _Bound:
    (sigma2,) = knowledge.need("components_sigma2")
    return _rennala(method, dataclasses.replace(knowledge, sigma2=sigma2))


def _ringmaster(method: Any, knowledge: Knowledge) -> _Bound:
    R = method.threshold
    K = iterations.asynchronous_iterations(*_noise(knowledge), R, method.stepsize)
    blocks = -(-K // R)
    t = times.completion_time(trips(knowledge), K, blocks)
    return _Bound(K, t, f"{K:,} updates, R = {R:,} of them within t*(R) = {_number(t / blocks)} s")


def _asynchronous(method: Any, knowledge: Knowledge) -> _Bound:
    if getattr(method, "delay_adaptive", False):
        raise ValueError("nothing with constants is proven here for delay-adaptive stepsizes")
    every = _constant(knowledge, "delays are bounded only for constant times")
    its = every[np.array(method.workers, np.intp)] if isinstance(method, NaiveOptimalASGD) else every
    R = largest_delay(its) + 1
    K = iterations.asynchronous_iterations(*_noise(knowledge), R, method.stepsize)
    t = times.completion_time(its, K, 1)
    return _Bound(K, t, f"{K:,} updates with delays below {R:,}, {_number(K / t) if t else '∞'} a second")


def _minibatch(method: Any, knowledge: Knowledge) -> _Bound:
    b = method.batch_size
    K = iterations.batch_iterations(*_noise(knowledge), knowledge.n * b, method.stepsize)
    t, sampled = _round(knowledge, b)
    return _Bound(K, K * t, f"{K:,} rounds of {_number(t)} s", sampled=sampled)


def _hero(method: Any, knowledge: Knowledge) -> _Bound:
    K = method.local_steps
    t = float(trips(knowledge, K)[method.worker])
    known = _noise(knowledge)
    if K == 1:
        steps = iterations.batch_iterations(*known, 1, method.stepsize)
        return _Bound(steps, steps * t, f"{steps:,} steps of {_number(t)} s")
    steps = iterations.batch_iterations(*known, 1, method.stepsize)
    messages = -(-steps // K)
    how = f"{steps:,} local steps, {K:,} in {_number(t)} s; the mean is over all of them, not only the server's x"
    return _Bound(messages, messages * t, how, recorded=False)


def _rounds_of_local_steps(method: Any, knowledge: Knowledge) -> _Bound:
    n, K, γ = knowledge.n, method.local_steps, method.stepsize
    local, everywhere = [γ] * K, γ
    if type(method) is LocalSGD:
        everywhere = γ / n
    elif type(method) is DualLocalSGD:
        local = [math.sqrt(n) * γ] * K
    else:
        local = decaying_stepsizes(γ, n, K, method.log_of)
    r = iterations.local_rounds(*_noise(knowledge), n, local, everywhere)
    t, sampled = _round(knowledge, K)
    return _Bound(r, r * t, f"{r:,} rounds of K = {K:,} local steps, {_number(t)} s each", sampled=sampled)


def _async_batch(method: Any, knowledge: Knowledge) -> _Bound:
    Delta, L, sigma2, epsilon = _noise(knowledge)
    M, R = method.batch_size, (method.threshold - 1) // method.batch_size + 1  # R in updates
    # a sum of M gradients is M times their mean, whose variance is σ²/M
    K = iterations.asynchronous_iterations(Delta, L, sigma2 / M, epsilon, R, M * method.stepsize)
    blocks = -(-K // R)
    t = times.completion_time(trips(knowledge, M), K, blocks)
    return _Bound(K, t, f"{K:,} updates of M = {M:,} gradients, {R:,} of them within {_number(t / blocks)} s")


def _async_local(method: Any, knowledge: Knowledge) -> _Bound:
    M, B = method.local_steps, method.threshold
    if M == 1:
        return _ringmaster(RingmasterASGD(method.stepsize, B), knowledge)
    gradients = iterations.birch_gradients(*_noise(knowledge), threshold_distance(M, B), method.stepsize)
    K, R = -(-gradients // M), (B - 1) // M + 1
    t = times.completion_time(trips(knowledge, M), K, -(-K // R))
    how = f"{gradients:,} gradients on the main branch, M = {M:,} an update; the mean is over all of them, not only the server's x"
    return _Bound(K, t, how, recorded=False)


def _malenia(method: Any, knowledge: Knowledge) -> _Bound:
    n = knowledge.n
    S = n if method.batch_size == "every" else max(n, method.batch_size)
    every = _constant(knowledge, "a step waits for every worker; that has a bound only for constant times")
    K = iterations.batch_iterations(*_noise(knowledge), S, method.stepsize)
    # a worker that ends its gradient before it heeds the stop loses as much as one that is not stopped
    t = times.malenia_round(every, S, method.stops and knowledge.stops_at_once)
    return _Bound(K, K * t, f"{K:,} steps of at most {_number(t)} s")


def _ringleader(method: Any, knowledge: Knowledge) -> _Bound:
    if method.resend != "own":
        raise ValueError("what is proven is for resend: own")
    every = _constant(knowledge, "a round waits for every worker; that has a bound only for constant times")
    Delta, L, sigma2, epsilon = _noise(knowledge)
    if knowledge.heterogeneous:
        (L,) = knowledge.need("L_max")
    n, B = knowledge.n, float(method.harmonic_mean)
    if not np.isfinite(every).all():
        raise ValueError("a worker that the method waits for may never return")
    always = max(B, ringleader_fullness(every))
    K = iterations.ringleader_iterations(Delta, L, sigma2, epsilon, n, always, method.stepsize)
    rounds, t = -(-K // n), times.ringleader_round(every, B)
    return _Bound(K, rounds * t, f"{rounds:,} rounds of n = {n:,} updates, each at most {_number(t)} s")


def _mindflayer(method: Any, knowledge: Knowledge) -> _Bound:
    T, B, p = (one_each(method, name, knowledge.n) for name in ("allotted_times", "trials", "success_probabilities"))
    if not np.allclose(p[B > 0], chances(knowledge, T)[B > 0], rtol=1e-6, atol=1e-9):
        raise ValueError("the success probabilities are not those of the workers' laws")
    K = iterations.mindflayer_iterations(*_noise(knowledge), gradients_expected(p, B), method.stepsize)
    t = float((B * T).max())
    return _Bound(K, K * t, f"{K:,} steps of at most {_number(t)} s, whatever the times")


def _differences(knowledge: Knowledge, count: int) -> np.ndarray:
    """Mean seconds (n,) of a trip for so many differences of two gradients."""
    return trips(with_two_points(knowledge), 2 * count)


def _freya_page(method: Any, knowledge: Knowledge) -> _Bound:
    every = _constant(knowledge, "the time of an exact gradient has a bound only for constant times")
    if not knowledge.stops_at_once:
        raise ValueError("the time of a sum has a bound only where stops take effect at once")
    m, S, n = method.components, method.batch_size, knowledge.n
    # the paper's bound of the expected time, quoted from memory: 12·t*(m + min{m, n} ln min{m, n}); in trials on 60 sets
    # of workers the time was never above this without the 12
    full = 12 * equilibrium_time(every, math.ceil(m + min(m, n) * math.log(min(m, n))))
    return _page(method, knowledge, full, equilibrium_time(_differences(knowledge, 1), S))


def _freya_page_order(method: Any, knowledge: Knowledge) -> float:
    full = equilibrium_time(trips(knowledge), method.components)
    return _page(method, knowledge, full, equilibrium_time(_differences(knowledge, 1), method.batch_size)).seconds


def _soviet_page(method: Any, knowledge: Knowledge) -> _Bound:
    n, m, S = knowledge.n, method.components, method.batch_size
    full, sampled = _round(knowledge, -(-m // n))
    difference, _ = _round(with_two_points(knowledge), 2 * -(-S // n))
    return _page(method, knowledge, full, difference, sampled)


def _hero_page(method: Any, knowledge: Knowledge) -> _Bound:
    full, difference = trips(knowledge, method.components), _differences(knowledge, method.batch_size)
    return _page(method, knowledge, float(full[method.worker]), float(difference[method.worker]))


def _own_page(method: Any, knowledge: Knowledge) -> _Bound:
    if method.batch_size < method.components:
        raise ValueError("what is proven of PAGE here is for an exact fresh estimate, batch_size = components")
    n = knowledge.n
    full, sampled = _round(knowledge, -(-method.components // n))
    difference, _ = _round(with_two_points(knowledge), 2 * -(-method.difference_batch_size // n))
    return _page(method, knowledge, full, difference, sampled)


def _page(method: Any, knowledge: Knowledge, full: float, difference: float, sampled: bool = False) -> _Bound:
    """K = 2Δ/(γε) iterations, the first with an exact gradient, each later one with probability p."""
    Delta, epsilon = knowledge.need("Delta", "epsilon")
    if type(method) is PAGE:
        (L_plus,) = knowledge.need("L_plus")
        L, spread, S = L_plus, L_plus, method.difference_batch_size
    else:
        (L, spread), S = knowledge.need("L_minus", "L_plus_minus"), method.batch_size
    γ, p = method.stepsize, method.probability
    if γ * L + γ**2 * spread**2 * (1 - p) / (p * S) > 1 + 1e-9:
        raise ValueError(f"nothing is proven for a stepsize of {γ:.6g}; γL₋ + γ²L±²(1 − p)/(pS) must be at most 1")
    K = page_iterations(Delta, epsilon, γ)
    t = full + (K - 1) * (p * full + (1 - p) * difference)
    how = f"{K:,} iterations, an exact gradient takes {_number(full)} s and a difference {_number(difference)} s"
    return _Bound(K, t, how, expected=True, sampled=sampled)


BOUNDS: dict[type, Callable[[Any, Knowledge], _Bound]] = {
    RennalaSGD: _rennala,
    FreyaSGD: _freya_sgd,
    RingmasterASGD: _ringmaster,
    AsynchronousSGD: _asynchronous,
    NaiveOptimalASGD: _asynchronous,
    MinibatchSGD: _minibatch,
    HeroSGD: _hero,
    LocalSGD: _rounds_of_local_steps,
    DualLocalSGD: _rounds_of_local_steps,
    DecayingLocalSGD: _rounds_of_local_steps,
    AsyncBatchSGD: _async_batch,
    AsyncLocalSGD: _async_local,
    MaleniaSGD: _malenia,
    RingleaderASGD: _ringleader,
    MindFlayerSGD: _mindflayer,
    FreyaPAGE: _freya_page,
    SovietPAGE: _soviet_page,
    HeroPAGE: _hero_page,
    PAGE: _own_page,
}

LOCAL = (LocalSGD, DualLocalSGD, DecayingLocalSGD)
SUMS = (FreyaPAGE, SovietPAGE, HeroPAGE, PAGE)
HOMOGENEOUS = {
    RennalaSGD, FreyaSGD, RingmasterASGD, AsynchronousSGD, NaiveOptimalASGD, HeroSGD, AsyncBatchSGD, AsyncLocalSGD, MindFlayerSGD,
    *LOCAL,
}  # fmt: skip


# ---- up to constants


def _complexity(method: Any, knowledge: Knowledge) -> float:
    if type(method) in SUMS:
        _insist_on_data(method, knowledge)
        method = _of_theory(method, knowledge)
        if type(method) is FreyaPAGE:
            return _freya_page_order(method, knowledge)
        return BOUNDS[type(method)](method, _certain(knowledge)).seconds
    known = {"L": 0.0, "Delta": 0.0, "sigma2": 0.0, "epsilon": 0.0}
    if type(method) not in COMPLEXITIES:
        raise ValueError("no time complexity is known here for this method")
    _insist_on_data(method, knowledge)
    known = dict(zip(known, knowledge.need(*known), strict=True))
    return COMPLEXITIES[type(method)](method, knowledge, known)


def _of_theory(method: Any, knowledge: Knowledge) -> Any:
    return resolved(dataclasses.replace(method, stepsize="theory"), knowledge)


def _certain(knowledge: Knowledge) -> Knowledge:
    # random times count with their means here
    return dataclasses.replace(knowledge, constant_times=True)


Known = Mapping[str, float]


def _local_family(method: Any, knowledge: Knowledge, known: Known) -> float:
    K = method.local_steps if hasattr(method, "local_steps") else method.batch_size
    formula = times.canonical_local_complexity if type(method) is LocalSGD else times.synchronous_complexity
    return formula(_message(knowledge), _slowest(knowledge), knowledge.n, K, **known)


def _hero_order(method: Any, knowledge: Knowledge, known: Known) -> float:
    K = method.local_steps
    t = float(trips(knowledge, K)[method.worker]) / K
    return times.synchronous_complexity(0.0, t, 1, 1, **known)


def _threshold_order(method: Any, knowledge: Knowledge, known: Known) -> float:
    """Blocks of B gradients, each t*(B), where a message brings M of them."""
    M = method.batch_size if type(method) is AsyncBatchSGD else method.local_steps
    R = (method.threshold - 1) // M + 1
    blocks = known["L"] * known["Delta"] / known["epsilon"] * (1 + known["sigma2"] / (known["epsilon"] * R * M))
    return float(blocks * equilibrium_time(trips(knowledge, M), R))


def _mindflayer_order(method: Any, knowledge: Knowledge, known: Known) -> float:
    T, B, p = (one_each(method, name, knowledge.n) for name in ("allotted_times", "trials", "success_probabilities"))
    steps = max(1.0, known["sigma2"] / (known["epsilon"] * gradients_expected(p, B)))
    return float((B * T).max()) * steps * known["L"] * known["Delta"] / known["epsilon"]


def _with_L_max(formula: Callable[..., float]) -> Callable[[Any, Knowledge, Known], float]:
    def order(method: Any, knowledge: Knowledge, known: Known) -> float:
        L = knowledge.L_max if knowledge.heterogeneous and knowledge.L_max is not None else known["L"]
        return formula(trips(knowledge), L, known["Delta"], known["sigma2"], known["epsilon"])

    return order


def _of_trips(formula: Callable[..., float]) -> Callable[[Any, Knowledge, Known], float]:
    return lambda method, knowledge, known: formula(trips(knowledge), **known)


COMPLEXITIES: dict[type, Callable[[Any, Knowledge, Known], float]] = {
    RennalaSGD: _of_trips(times.homogeneous_complexity),
    RingmasterASGD: _of_trips(times.homogeneous_complexity),
    NaiveOptimalASGD: _of_trips(times.homogeneous_complexity),
    FreyaSGD: _of_trips(times.homogeneous_complexity),
    AsynchronousSGD: _of_trips(times.asynchronous_complexity),
    MinibatchSGD: _local_family,
    LocalSGD: _local_family,
    DualLocalSGD: _local_family,
    DecayingLocalSGD: _local_family,
    HeroSGD: _hero_order,
    AsyncBatchSGD: _threshold_order,
    AsyncLocalSGD: _threshold_order,
    MindFlayerSGD: _mindflayer_order,
    MaleniaSGD: _of_trips(times.heterogeneous_complexity),
    RingleaderASGD: _with_L_max(times.heterogeneous_complexity),
    IA2SGD: _with_L_max(times.ia2_complexity),
}


def _lower_bound(method: Any, knowledge: Knowledge) -> float:
    """For the kind of data, whatever the method; of methods for finite sums the one for finite sums."""
    Delta, epsilon = knowledge.need("Delta", "epsilon")
    every = trips(knowledge)
    if type(method) in SUMS:
        (L_plus,) = knowledge.need("L_plus")
        return times.finite_sum_lower_bound(every - _free(knowledge), L_plus, Delta, epsilon, method.components)
    L, sigma2 = knowledge.need("L", "sigma2")
    if knowledge.heterogeneous:
        return times.heterogeneous_complexity(every - _free(knowledge), L, Delta, sigma2, epsilon)
    τ, h = _message(knowledge), _slowest(knowledge)
    if τ > 0 and math.isfinite(h) and np.ptp(every) <= 1e-9 * every.max():
        return times.local_lower_bound(τ, h, knowledge.n, L, Delta, sigma2, epsilon)
    return times.homogeneous_complexity(every - _free(knowledge), L, Delta, sigma2, epsilon)


def _free(knowledge: Knowledge) -> np.ndarray | float:
    # no bound for unequal workers counts messages; without them it is a smaller one, and still one
    if not knowledge.tells_messages:
        return 0.0
    messages = message_times(knowledge)
    return np.where(np.isfinite(messages), messages, 0.0)


# ---- words


def _number(value: float | None) -> str:
    return "?" if value is None else number(value)


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
