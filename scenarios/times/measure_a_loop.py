"""Measure a real training loop on this machine, fit laws to its times, simulate workers that have them. One command:

    python measure_a_loop.py                    # into the new folder measured/, half a minute

It leaves measured.csv (the trace), fit.html (the laws beside the measured times), fitted.yaml (a scenario with
them) and run/ with its report. After the trace, the same by hand:

    asyncsim fit measured/measured.csv -o fitted.yaml --picture fit.html
    asyncsim run fitted.yaml

The loop is ordinary: a classifier of two layers on made-up data, in numpy, a minibatch a gradient. Three processes
run it at once with batches of 32, 64 and 256, as three unequal workers; "sending" is writing the gradient to a
file. What it takes to measure it are the three lines with `m`.
"""

import multiprocessing
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from asyncsim import measure

BATCHES = {0: 32, 1: 64, 2: 256}
GRADIENTS = {0: 200, 1: 200, 2: 150}


def train(path: Path, worker: int) -> None:
    """One worker: `GRADIENTS` steps of SGD."""
    rng = np.random.default_rng(worker)
    samples = rng.standard_normal((4096, 256))
    labels = (samples[:, :4].sum(axis=1) > 0).astype(np.float64)
    first, second = 0.05 * rng.standard_normal((256, 256)), 0.05 * rng.standard_normal(256)
    with tempfile.TemporaryFile() as link, measure(path, worker=worker, device=f"batch {BATCHES[worker]}") as m:
        for _ in range(GRADIENTS[worker]):
            with m.gradient():
                batch = rng.integers(len(samples), size=BATCHES[worker])
                hidden = np.tanh(samples[batch] @ first)
                wrong = 1 / (1 + np.exp(-hidden @ second)) - labels[batch]
                of_second = hidden.T @ wrong / len(batch)
                of_first = samples[batch].T @ (np.outer(wrong, second) * (1 - hidden**2)) / len(batch)
            with m.send():
                link.seek(0)
                link.write(of_first.tobytes())
            first -= 0.5 * of_first
            second -= 0.5 * of_second


def measured(path: Path) -> Path:
    """All workers at once, each in a process of its own, into one file."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=train, args=(path, worker)) for worker in BATCHES]
    for process in workers:
        process.start()
    for process in workers:
        process.join()
    if any(process.exitcode for process in workers):
        raise SystemExit("a worker failed")
    return path


def main(folder: Path) -> None:
    """Measure, fit, simulate."""
    if folder.exists():
        raise SystemExit(f"{folder} is there already; give another name: python measure_a_loop.py FOLDER")
    folder.mkdir(parents=True)
    trace = measured(folder / "measured.csv")
    print(f"{trace}: {sum(GRADIENTS.values())} gradients of {len(BATCHES)} processes")
    for command in (
        ["fit", str(trace), "-o", str(folder / "fitted.yaml"), "--picture", str(folder / "fit.html")],
        ["run", str(folder / "fitted.yaml"), "-o", str(folder / "run")],
    ):
        print("\nasyncsim", *command, flush=True)
        subprocess.run([sys.executable, "-m", "asyncsim", *command], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "measured"))
