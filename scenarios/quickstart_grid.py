"""How the parameters in quickstart.yaml were chosen: `python scenarios/quickstart_grid.py`, a few minutes on one core.

Every method gets 40 tries on the workers, the problem and the target of quickstart.yaml. Ringmaster ASGD and Rennala
SGD have a second parameter: 4 values × 10 stepsizes, a factor of 2 apart. Asynchronous SGD has two forms: 2 × 20
stepsizes over the same range; so has Minibatch SGD, with 1 and 2 gradients a worker. Hero SGD has 40 stepsizes.

A try is run with three seeds, none of which is used in quickstart.yaml, and judged by the median time to the target;
a method of which no try gets there in time, by the median of the last ‖∇f‖². A round of Minibatch SGD lasts as long as
the slowest of 100 workers, so it gets ten times as long as the others. Printed is the best try of each method, what
comes just below and above its parameters, and whether a parameter of the winner lies at the end of its range.
"""

import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncsim
from asyncsim import scenario

SEEDS = (100, 101, 102)
HORIZON = 500.0  # simulated seconds, and resolution of the times printed
RESOLUTION = 1.0
SMALLEST, LARGEST = 2.0**-7, 2.0**2

Try = tuple[float, Any]  # stepsize and the second parameter


def stepsizes(count: int) -> list[float]:
    """`count` stepsizes from SMALLEST to LARGEST, evenly spaced on a logarithmic axis."""
    ratio = LARGEST / SMALLEST
    return [float(f"{SMALLEST * ratio ** (j / (count - 1)):.3g}") for j in range(count)]


# label: (the second parameter's values, a method from stepsize and second parameter)
GRID: dict[str, tuple[tuple[Any, ...], Callable[[float, Any], Any]]] = {
    "ringmaster_asgd": ((4, 8, 16, 32), lambda γ, R: asyncsim.RingmasterASGD(stepsize=γ, threshold=R)),
    "rennala_sgd": ((4, 8, 16, 32), lambda γ, S: asyncsim.RennalaSGD(stepsize=γ, batch_size=S)),
    "hero_sgd": ((None,), lambda γ, _: asyncsim.HeroSGD(stepsize=γ)),
    "asynchronous_sgd": ((False, True), lambda γ, adaptive: asyncsim.AsynchronousSGD(stepsize=γ, delay_adaptive=adaptive)),
    "minibatch_sgd": ((1, 2), lambda γ, b: asyncsim.MinibatchSGD(stepsize=γ, batch_size=b)),
}
TRIES = 40


def outcome(method: Any, problem: Any, workers: Any, target: dict[str, float], horizon: float) -> tuple[float, float]:
    """Median over the seeds of the time to the target (inf where it is not reached) and of the last ‖∇f‖²."""
    stop = asyncsim.Stop(time=horizon, target=True)
    record = asyncsim.record.Record(every=RESOLUTION * horizon / HORIZON)
    times, norms = [], []
    for seed in SEEDS:
        run = asyncsim.simulate(method, problem, workers, stop=stop, seed=seed, target=target, record=record)
        norm = run.curves["squared_gradient_norm"][-1].item()
        reached = norm <= target["squared_gradient_norm"]
        times.append(run.time if reached else float("inf"))
        norms.append(norm if norm == norm else float("inf"))
    return statistics.median(times), statistics.median(norms)


def main() -> None:
    chosen = scenario.load(Path(__file__).with_name("quickstart.yaml"))
    problem, workers = chosen.check_problem(), chosen.build_workers()
    target = {"squared_gradient_norm": chosen.target.squared_gradient_norm}
    for label, (seconds, method) in GRID.items():
        if sys.argv[1:] and label not in sys.argv[1:]:
            continue
        horizon = HORIZON * (10 if label == "minibatch_sgd" else 1)
        axis = stepsizes(TRIES // len(seconds))
        found = {
            (γ, second): outcome(method(γ, second), problem, workers, target, horizon) for second in seconds for γ in axis
        }
        for second in seconds:
            print(label, second, " ".join(f"{γ:g}:{found[γ, second][0]:g}" for γ in axis))
        best = min(found, key=lambda pair: found[pair])
        print("BEST", label, best, found[best], flush=True)


if __name__ == "__main__":
    main()
