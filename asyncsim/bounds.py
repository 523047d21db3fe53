"""What was measured beside what is proven: the upper bounds of asyncsim.theory.predictions, which a study writes down.

The theorems bound the mean of ‖∇f(x^k)‖² over the iterations, in expectation; the record has it as
mean_squared_gradient_norm. So the measured time is that at which this mean first is at most ε, the mean over the seeds,
and a bound of T seconds is *broken* when at the first record from T on the mean over the seeds of this quantity is
above ε. That should never be. A record of few points counts each value until the next one, which is too much
where ‖∇f‖² falls: a bound counts as broken only if the smaller of each two neighbours is too large as well.

Lower bounds are known up to a constant. They are shown, and nothing is held against them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from asyncsim.result import Result, Run

SYMBOLS = {
    "sigma2": "σ²",
    "mean_times": "the mean times",
    "mean_compute_times": "the mean compute times",
    "L_minus": "L₋",
    "L_plus": "L₊",
    "L_plus_minus": "L±",
}


@dataclass(frozen=True)
class Compared:
    """One method: measured seconds (inf: not reached), the proven bound and what came of it.

    `verdict` is "held", "broken", "open" (the runs do not tell), "estimate" (it rests on estimates) or "unknown" (there
    is no bound to hold the runs against); `why` says more, where there is more to say.
    """

    label: str
    measured: float
    seconds: float | None
    lower_bound: float | None
    verdict: str
    why: str
    how: str


def compared(result: Result) -> list[Compared]:
    """Each method of which theory was asked, in the order of the scenario; empty without a target in ‖∇f‖²."""
    said = result.manifest.get("theory") or {}
    epsilon = (result.target or {}).get("squared_gradient_norm")
    if epsilon is None:
        return []
    return [_compared(label, result.of(label), said[label], epsilon) for label in result.labels if label in said]


def breaches(result: Result) -> list[str]:
    """A sentence for every proven bound that the runs break; there should be none."""
    return [f"{each.label}: {each.why}" for each in compared(result) if each.verdict == "broken"]


def _compared(label: str, runs: list[Run], said: Mapping[str, Any], epsilon: float) -> Compared:
    seconds = said.get("seconds")
    measured = float(np.mean([_reached(run, epsilon) for run in runs]))
    verdict, why = _verdict(runs, said, epsilon, measured)
    return Compared(label, measured, seconds, said.get("lower_bound"), verdict, why, said.get("how") or "")


def _verdict(runs: list[Run], said: Mapping[str, Any], epsilon: float, measured: float) -> tuple[str, str]:
    seconds = said.get("seconds")
    if seconds is None:
        return "unknown", "; ".join(said.get("missing") or ())
    if not said.get("recorded", True):
        return "unknown", "the theorem's mean is over more points than the records have"
    if said.get("estimated"):
        return (
            "estimate",
            f"it rests on estimates of {', '.join(SYMBOLS.get(name, name) for name in said['estimated'])}",
        )
    past = [_means_from(run, seconds) for run in runs]
    known = [each for each in past if each is not None]
    if len(known) < len(runs):
        if math.isfinite(measured):
            return "held", ""
        return "open", f"the runs ended before the bound of {seconds:.6g} s"
    as_recorded, least = (float(np.mean([each[kind] for each in known])) for kind in (0, 1))
    if as_recorded <= epsilon:
        return "held", ""
    if least <= epsilon:
        return "open", "the record is too coarse to tell"
    seeds = "1 seed" if len(runs) == 1 else f"the mean over {len(runs)} seeds"
    return "broken", (
        f"after the proven {seconds:.6g} s the mean of ‖∇f‖² over the iterations is {as_recorded:.4g}, above {epsilon:.4g} ({seeds})"
        + ("; the bound is one of the expectation" if said.get("expected") or len(runs) == 1 else "")
    )


def _curve(run: Run, name: str) -> np.ndarray:
    return np.asarray(run.curves[name], dtype=np.float64)


def _reached(run: Run, epsilon: float) -> float:
    met = np.flatnonzero(_curve(run, "mean_squared_gradient_norm") <= epsilon)
    return float(_curve(run, "time")[met[0]]) if len(met) else math.inf


def _means_from(run: Run, seconds: float) -> tuple[float, float] | None:
    """The mean of ‖∇f‖² at the first record from `seconds` on, as recorded and at the least; None if there is none."""
    time, k, norm = (_curve(run, name) for name in ("time", "iteration", "squared_gradient_norm"))
    later = np.flatnonzero(time >= seconds)
    if not len(later):
        return (math.inf, math.inf) if run.status == "diverged" else None
    at = int(later[0])
    least = float((np.minimum(norm[:at], norm[1 : at + 1]) * np.diff(k[: at + 1])).sum() + norm[at]) / (k[at] + 1)
    recorded = float(_curve(run, "mean_squared_gradient_norm")[at])
    return tuple(math.inf if math.isnan(value) else value for value in (recorded, least))  # type: ignore[return-value]
