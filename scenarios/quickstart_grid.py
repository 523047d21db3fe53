"""How the parameters in quickstart.yaml were chosen: `python scenarios/quickstart_grid.py`, some minutes on one core.

Every method gets 44 tries on the workers, the problem and the target of quickstart.yaml, its stepsizes evenly spaced
(on a logarithmic axis) over one range for all. Ringmaster ASGD and Rennala SGD have a second parameter: 4 values × 11
stepsizes. Asynchronous SGD has two forms, and Minibatch SGD is tried with 1 and 2 gradients a worker: 2 × 22
stepsizes. Hero SGD has 44 stepsizes.

A try is run with three seeds that quickstart.yaml does not use. The best try is the one with the least median time to
the target; of two equal ones that with the smaller last ‖∇f‖². A try is given up after 500 simulated seconds; with
Minibatch SGD after 2000, as a round of it lasts as long as the slowest of the 100 workers.

The table has, for each method, the best try and the times of the two stepsizes next to it. With names of methods as
arguments only these are tried; with --all each try is printed.
"""

import argparse
import math
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import asyncsim
from asyncsim.scenario import load

SEEDS = (100, 101, 102)
TRIES = 44
SMALLEST, LARGEST = 2.0**-6, 2.0**4  # stepsizes
HORIZON = {"minibatch_sgd": 2000.0}  # simulated seconds
USUAL_HORIZON = 500.0
EVERY = 1.0  # simulated seconds between looks at ‖∇f‖²

# label: the name and values of the second parameter, and the method
Grid = Mapping[str, tuple[str, tuple[Any, ...], Callable[..., Any]]]
GRID: Grid = {
    "ringmaster_asgd": ("threshold", (4, 8, 16, 32), asyncsim.RingmasterASGD),
    "hero_sgd": ("worker", ("theory",), asyncsim.HeroSGD),
    "rennala_sgd": ("batch_size", (4, 8, 16, 32), asyncsim.RennalaSGD),
    "asynchronous_sgd": ("delay_adaptive", (False, True), asyncsim.AsynchronousSGD),
    "minibatch_sgd": ("batch_size", (1, 2), asyncsim.MinibatchSGD),
}


def stepsizes(count: int) -> list[float]:
    """`count` stepsizes from SMALLEST to LARGEST in three digits."""
    ratio = LARGEST / SMALLEST
    return [float(f"{SMALLEST * ratio ** (j / (count - 1)):.3g}") for j in range(count)]


def tries(label: str) -> list[tuple[float, Any]]:
    """(stepsize, second parameter) of every try of a method."""
    _, seconds, _ = GRID[label]
    return [(stepsize, second) for second in seconds for stepsize in stepsizes(TRIES // len(seconds))]


def outcome(method: Any, problem: Any, workers: Any, target: dict[str, float], horizon: float) -> tuple[float, float]:
    """Medians over the seeds: of the time to the target (inf where it is not reached), and of the last ‖∇f‖²."""
    times, norms = [], []
    for seed in SEEDS:
        stop, record = asyncsim.Stop(time=horizon, target=True), asyncsim.Record(every=EVERY)
        run = asyncsim.simulate(method, problem, workers, stop=stop, seed=seed, target=target, record=record)
        norm = run.curves["squared_gradient_norm"][-1].item()
        norms.append(math.inf if math.isnan(norm) else norm)
        times.append(run.time if norm <= target["squared_gradient_norm"] else math.inf)
    return statistics.median(times), statistics.median(norms)


def main() -> None:
    parser = argparse.ArgumentParser(description="The grid behind quickstart.yaml.")
    parser.add_argument("methods", nargs="*", metavar="METHOD", help=", ".join(GRID))
    parser.add_argument("--all", action="store_true", help="print each try")
    given = parser.parse_args()
    if unknown := set(given.methods) - set(GRID):
        parser.error(f"no method of the grid is called {', '.join(sorted(unknown))}; there are {', '.join(GRID)}")
    quickstart = load(Path(__file__).with_name("quickstart.yaml"))
    problem, workers = quickstart.check_problem(), quickstart.build_workers()
    target = {"squared_gradient_norm": quickstart.target.squared_gradient_norm}

    print(f"{'method':<17} {'best stepsize, and':<34} {'median':>6}  {'next smaller':>14}  {'next larger':>14}")
    for label in given.methods or GRID:
        name, _, cls = GRID[label]
        horizon = HORIZON.get(label, USUAL_HORIZON)
        found = {
            (stepsize, second): outcome(cls(stepsize, second), problem, workers, target, horizon)
            for stepsize, second in tries(label)
        }
        if given.all:
            for (stepsize, second), (time, norm) in found.items():
                print(f"  {label} {stepsize:g} {name} {second}: {time:g} s, {norm:.3g}")
        best = min(found, key=lambda pair: found[pair])
        axis = [None, *(stepsize for stepsize, second in found if second == best[1]), None]
        place = axis.index(best[0])
        smaller, larger = (
            "end of range" if stepsize is None else f"{stepsize:g}: {found[stepsize, best[1]][0]:g} s"
            for stepsize in (axis[place - 1], axis[place + 1])
        )
        words = f"{best[0]:g}, {name} {best[1]}"
        print(f"{label:<17} {words:<34} {found[best][0]:>4g} s  {smaller:>14}  {larger:>14}", flush=True)


if __name__ == "__main__":
    main()
