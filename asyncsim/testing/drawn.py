"""Random scenarios, as plain data: everything that a scenario can say, in combinations nobody would think of.

`scenario(seed)` is the same for one seed and one version of this file. All are small (at most 30 workers, 60 iterations)
and valid; a drawn scenario that is refused is a finding. What is left out: wall-clock stops, real engines and files of the
user's own, whose numbers are not functions of the seed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

Entry = dict[str, Any]
Chance = random.Random

MOST_ITERATIONS = 60
ENDLESS = 30_000  # gradients; so many are received only by a run that should have stalled, or ended


def scenario(seed: int) -> Entry:
    """The scenario of a seed.

    >>> sorted(scenario(0)) == sorted(set(scenario(0)) | {"workers", "problem", "methods", "stop"})
    True
    >>> scenario(5) == scenario(5)
    True
    """
    chance = Chance(seed)
    n = chance.choice([1, 2, 3, 4, 5, 8, 13, 30])
    problem = chance.choice(PROBLEMS)(chance, n)
    drawn: Entry = {
        "name": f"drawn-{seed}",
        "seed": chance.randrange(10**6),
        "workers": _workers(chance, n),
        "problem": problem,
        "methods": _methods(chance, n, problem),
        "stop": {"iterations": chance.randint(1, MOST_ITERATIONS)},
        "record": chance.choice([{"iterations": 7}, {"points": 10}, {"every": 2.5}, {"iterations": 1}]),
    }
    drawn["record"]["events"] = "all"
    if _often(chance, 0.7):
        drawn["stop"]["time"] = chance.choice([3.0, 30.0, 300.0, 1e4])
    elif "every" in drawn["record"]:
        drawn["stop"]["time"] = 1e4  # a worker that begins anew in vain does so for 10⁵ s, with a record each 2.5 s
    if "contention" in drawn["workers"]:  # each change looks at the powers of all who share, as far as their jobs go
        drawn["stop"]["time"] = min(drawn["stop"].get("time", 300.0), 300.0)
    # a run that nothing else ends is a finding, and must end all the same
    drawn["stop"]["gradients"] = chance.randint(1, 400) if _often(chance, 0.2) else ENDLESS
    if problem["name"] != "none":
        drawn["evaluation"] = chance.choice(["auto", "auto", "single"])
        if _often(chance, 0.4):
            drawn["update_rule"] = chance.choice(UPDATE_RULES)
        if _often(chance, 0.3):
            drawn["target"] = {"squared_gradient_norm": 10.0 ** chance.randint(-4, 0)}
            drawn["stop"]["target"] = True
    if _often(chance, 0.3):
        drawn["verify"] = True
    return drawn


def _often(chance: Chance, share: float) -> bool:
    return chance.random() < share


# ---- problems and methods

UPDATE_RULES: list[Any] = [
    {"name": "momentum", "beta": 0.5}, {"name": "momentum", "beta": 0.9, "nesterov": True}, "adam",
    {"name": "muon", "norm": "l2"}, {"name": "muon", "norm": "sign"},
]  # fmt: skip

FINITE_SUM = ("quadratic_sum", "mlp", "softmax_regression")

PROBLEMS: list[Callable[[Chance, int], Entry]] = [
    lambda chance, n: {"name": "quadratic", "dimension": chance.randint(1, 40), "noise": chance.choice([0, 0.01])},
    lambda chance, n: {"name": "quadratic", "dimension": 5, "noise": 0.1, "scalar_noise": True},
    lambda chance, n: {"name": "quadratic_sum", "components": 6, "dimension": chance.randint(2, 12)},
    lambda chance, n: {"name": "quadratic_sum", "components": 2 * n, "dimension": 4, "heterogeneous": True},
    lambda chance, n: {"name": "separate_quadratics", "noise": chance.choice([0.0, 0.5])},
    lambda chance, n: {"name": "drift_sensitive"},
    lambda chance, n: {"name": "none"},
    lambda chance, n: {"name": "softmax_regression", "data": "digits", "batch_size": chance.randint(1, 4),
                    "split": chance.choice(["none", "even"])},
    lambda chance, n: {"name": "mlp", "data": "digits", "hidden": [3], "batch_size": 2,
                    "precision": chance.choice(["float32", "float64"]), "kernel": "numpy"},
]  # fmt: skip


def _methods(chance: Chance, n: int, problem: Entry) -> list[Entry]:
    names = [*METHODS, *(OF_FINITE_SUMS if problem["name"] in FINITE_SUM else {})]
    found = []
    for number in range(chance.randint(1, 3)):
        name = chance.choice(names)
        parameters = ({**METHODS, **OF_FINITE_SUMS})[name](chance, n)
        found.append({"name": name, "label": f"{number} {name}", "stepsize": chance.choice([0.02, 0.1]), **parameters})
    return found


def _allocation(chance: Chance) -> Any:
    return chance.choice(
        ["greedy", "uniform", "fixed_optimal", {"name": "ata", "alpha": 0.5}, {"name": "ata_empirical", "eta": 1.5}]
    )


def _rennala(chance: Chance, n: int) -> Entry:
    parameters: Entry = {"batch_size": chance.randint(1, 2 * n), "stops": chance.random() < 0.5}
    return parameters | ({"allocation": _allocation(chance)} if chance.random() < 0.3 else {})


def _freya(chance: Chance, n: int) -> Entry:
    parameters: Entry = {"batch_size": chance.randint(1, 6)}
    return parameters | ({"allocation": _allocation(chance)} if chance.random() < 0.3 else {})


METHODS: dict[str, Callable[[Chance, int], Entry]] = {
    "asynchronous_sgd": lambda chance, n: {"delay_adaptive": chance.random() < 0.5},
    "minibatch_sgd": lambda chance, n: {"batch_size": chance.randint(1, 3)},
    "hero_sgd": lambda chance, n: {"worker": chance.randrange(n), "local_steps": chance.randint(1, 3)},
    "rennala_sgd": _rennala,
    "ringmaster_asgd": lambda chance, n: {"threshold": chance.randint(1, n + 1), "stops": chance.random() < 0.5},
    "naive_optimal_asgd": lambda chance, n: {"workers": sorted(chance.sample(range(n), chance.randint(1, n)))},
    "malenia_sgd": lambda chance, n: {
        "stops": chance.random() < 0.5,
        "batch_size": chance.choice(["every", n, 2 * n]),
    },
    "ringleader_asgd": lambda chance, n: {
        "resend": chance.choice(["own", "latest"]),
        "harmonic_mean": chance.choice([1.0, 2.0]),
    },
    "ia2_sgd": lambda chance, n: {},
    "rescaled_asgd": lambda chance, n: {},
    "random_assignment_asgd": lambda chance, n: {},
    "local_sgd": lambda chance, n: {"local_steps": chance.randint(1, 4)},
    "dual_local_sgd": lambda chance, n: {"local_steps": chance.randint(1, 4)},
    "decaying_local_sgd": lambda chance, n: {"local_steps": chance.randint(1, 4), "log_of": chance.choice(["K", "b"])},
    "async_local_sgd": lambda chance, n: {"local_steps": chance.randint(1, 3), "threshold": chance.randint(1, 9)},
    "async_batch_sgd": lambda chance, n: {"batch_size": chance.randint(1, 3), "threshold": chance.randint(1, 9)},
    "mindflayer_sgd": lambda chance, n: {
        "allotted_times": chance.choice([0.5, 2.0, 5.0]),
        "trials": chance.randint(1, 2),
        "success_probabilities": 1.0 if n == 1 else chance.choice([0.5, 1.0]),
    },
}
OF_FINITE_SUMS: dict[str, Callable[[Chance, int], Entry]] = {
    "freya_sgd": _freya,
    "freya_page": lambda chance, n: _freya(chance, n) | {"probability": chance.choice([0.1, 0.5, 1.0])},
    "hero_page": lambda chance, n: {"batch_size": 2, "probability": 0.3, "worker": chance.randrange(n)},
    "soviet_page": lambda chance, n: {"batch_size": 2, "probability": 0.3},
    "page": lambda chance, n: {"batch_size": 4, "difference_batch_size": 2, "probability": 0.3},
}


# ---- workers


def _workers(chance: Chance, n: int) -> Entry:
    if n >= 2 and chance.random() < 0.25:
        first = chance.randint(1, n - 1)
        entry: Entry = {"groups": [{"count": first, **_of_group(chance)}, {"count": n - first, **_of_group(chance)}]}
    else:
        entry = {"count": n, **_of_group(chance)}
    if chance.random() < 0.25:
        entry["stop_takes_effect"] = chance.choice(["at_once", "after_current_gradient", {"after": 0.6}])
    if chance.random() < 0.15:
        entry["shared_link"] = {"capacity": chance.choice([5, 50, 500])}
        if chance.random() < 0.5:
            entry["shared_link"]["broadcast"] = chance.choice(["free", "counted"])
    if chance.random() < 0.25:
        entry["contention"] = chance.choice(
            [{"capacity": 2}, {"slowdown": "c ** 0.7", "size": 3}, {"slowdown": "1 + 0.15 * (c - 1)"}]
        )
    return entry


def _of_group(chance: Chance) -> Entry:
    entry: Entry = {"compute_time": _law(chance, 2)}
    if chance.random() < 0.5:
        entry["communication_time"] = {"uplink": _link(chance), "downlink": _link(chance)}
    if chance.random() < 0.35:
        entry["speed"] = chance.choice(SPEEDS)
    if chance.random() < 0.35:
        entry["availability"] = _availability(chance)
    return entry


def _link(chance: Chance) -> Any:
    return chance.choice(
        [0, 0.2, {"distribution": "exponential", "mean": 0.3}, {"latency": 0.05, "bandwidth": "20 * i"}, "0.1 * i"]
    )


SPEEDS: list[Any] = [
    0.5, "1 / i", {"name": "piecewise", "times": [2.0, 7.0], "powers": [1.0, 0.0, 2.0]},
    {"name": "periodic", "period": 6.0, "powers": [1.0, 0.25, 0.0]},
    {"name": "periodic", "period": 5.0, "powers": [1.0, 0.3], "times": [1.0], "phase": "i"},
    {"name": "outages", "mean_up": 5.0, "mean_down": 2.0}, {"name": "markov", "powers": [1, 0.1], "mean_stays": [4, 2]},
    {"name": "drift", "first": 1.0, "last": 0.1, "over": 20.0},
    {"name": "drift", "first": 0.2, "last": 2.0, "over": 10.0, "shape": "exponential"},
    {"name": "step", "at": 4.0, "before": 1.0, "after": 0.2},
]  # fmt: skip


def _availability(chance: Chance) -> Entry:
    how: Entry = {"policy": chance.choice(["restarted", "paused", "lost"]), "notice": chance.choice([0.0, 0.5, 3.0])}
    return how | chance.choice(
        [
            {"name": "dropout", "up": {"distribution": "exponential", "mean": 6.0}, "down": 1.5},
            {"name": "dropout", "up": 4.0, "down": {"distribution": "exponential", "mean": 2.0}},
            {"name": "crash", "mean": 40.0},
            {"name": "crash", "at": "5 * i"},
            {"name": "late_join", "at": "2 * (i - 1)"},
            {"name": "plugged_in", "start": 1.0, "end": 8.0, "period": 9.0, "phase": "i"},
        ]
    )


def _law(chance: Chance, depth: int) -> Any:
    simple = [
        1.0, "sqrt(i)", 0.3, {"distribution": "uniform", "low": 0.0, "high": 2.0},
        {"distribution": "exponential", "mean": "sqrt(i)"}, {"distribution": "exponential", "mean": 1.0},
        {"distribution": "shifted_exponential", "shift": 0.5, "scale": "i / n"},
        {"distribution": "normal", "mu": 1.0, "sigma": 0.6}, {"distribution": "half_normal", "scale": 1.0},
        {"distribution": "shifted_half_normal", "shift": 0.2, "scale": 1.0},
        {"distribution": "gamma", "shape": 2.0, "scale": 0.5}, {"distribution": "lognormal", "sigma": 2.0},
        {"distribution": "pareto", "minimum": 0.4, "shape": 1.2},
        {"distribution": "empirical", "values": [0.5, 1.0, 1.0, 4.0]},
        {"distribution": "empirical", "values": [1.0, 2.0, math.inf]} if chance.random() < 0.1 else 2.0,
    ]  # fmt: skip
    if depth == 0 or chance.random() < 0.7:
        return chance.choice(simple)
    inner = [_law(chance, depth - 1) for _ in range(2)]
    return chance.choice(
        [
            {"distribution": "mixture", "parts": [{"weight": 3, "law": inner[0]}, {"weight": 1, "law": inner[1]}]},
            {"distribution": "scaled", "factor": 1.5, "law": inner[0]},
            {"distribution": "shifted", "shift": 0.25, "law": inner[0]},
            {"distribution": "sum", "laws": inner},
            {"distribution": "maximum", "laws": inner},
            {"distribution": "minimum", "laws": inner},
            {"distribution": "per_worker", "which": "i % 2", "laws": inner},
            {
                "distribution": "truncated",
                "law": {"distribution": "exponential", "mean": 1.0},
                "low": 0.1,
                "high": 5.0,
            },
        ]
    )
