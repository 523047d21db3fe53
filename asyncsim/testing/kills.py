"""Processes that are killed by SIGKILL at moments that nobody chose, until one comes through; then every bit is compared.

    python -m asyncsim.testing.kills --count 500          studies of every method, and sweeps, on one and two processes
    python -m asyncsim.testing.kills --count 50 --whole   without damage to checkpoints

A study of every method writes a checkpoint at each step; a process plays it, is killed, another one goes on from what is
there, is killed too, and so on. After one kill in three the newest checkpoint of some run is torn, or one of its bits is
flipped, before the next process comes. What comes out at last must be, bit by bit, what an undisturbed study gives. The
exit code is 1 where it is not.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from asyncsim import study
from asyncsim.result import Result
from asyncsim.testing import drawn
from asyncsim.testing.holds import broken_tables, differences

EVERY_METHOD: dict[str, Any] = {
    "seed": 3,
    "workers": {
        "count": 4,
        "compute_time": {"distribution": "exponential", "mean": "sqrt(i)"},
        "communication_time": {"uplink": 0.1},
        "availability": {
            "name": "dropout",
            "up": {"distribution": "exponential", "mean": 9},
            "down": 1,
            "policy": "lost",
        },
    },
    "problem": {"name": "quadratic_sum", "components": 8, "dimension": 6},
    "methods": [
        {"name": name, "stepsize": 0.05, **parameters(random.Random(5), 4)}
        for name, parameters in (drawn.METHODS | drawn.OF_FINITE_SUMS).items()
    ],
    "stop": {"iterations": 20, "time": 300},
    "record": {"iterations": 5, "events": "all", "checkpoint_every": 0},
}
SWEEP: dict[str, Any] = {
    "seeds": [0, 1],
    "workers": {"count": 5, "compute_time": {"distribution": "exponential", "mean": "sqrt(i)"}},
    "problem": {"name": "quadratic", "dimension": 6, "noise": 0.05},
    "target": {"squared_gradient_norm": 0.01},
    "methods": [
        {"name": "ringmaster_asgd", "stepsize": 0.1, "threshold": 2},
        {"name": "hero_sgd", "stepsize": 0.3},
    ],
    "stop": {"time": 25},
    "record": {"points": 20, "events": "all", "checkpoint_every": 0},
    "sweep": {"parameters": {"all": {"stepsize": {"powers_of": 4, "from": -2, "to": 0}}}, "seeds": [10]},
}
STUDIES = {"every method": (EVERY_METHOD, 1), "every method on two processes": (EVERY_METHOD, 2), "a sweep": (SWEEP, 1)}


def killed_until_done(
    data: Mapping[str, Any],
    folder: Path,
    chance: random.Random,
    processes: int = 1,
    most: int = 12,
    between: Callable[[Path], None] | None = None,
) -> tuple[int, str]:
    """Play a scenario into `folder` by processes that are killed at random moments until one comes through.

    Returns how many were killed, and what the last one said if it failed. After `most` kills nobody kills any more.
    `between` is called with the folder after each kill.
    """
    kills, patience, errors = 0, 0.4, folder.with_suffix(".stderr")
    while True:
        child = _forked(lambda: _played(data, folder, processes), errors)
        within = math.inf if kills >= most else chance.uniform(0.0, patience)
        status = _waited(child, within)
        if os.WIFSIGNALED(status):
            kills += 1
            patience *= 1.15  # what one process does until it is killed must in the end be enough
            if between is not None:
                between(folder)
        elif os.WEXITSTATUS(status) == 0:
            return kills, ""
        else:
            return kills, f"after {kills} kills: a process ended with {os.WEXITSTATUS(status)}: {errors.read_text()}"


def damaged(data: bytes, chance: random.Random) -> bytes:
    """The bytes of a file with one bit flipped, or with its end torn off.

    >>> damaged(b"abc", random.Random(1)) != b"abc"
    True
    """
    if not data or chance.random() < 0.3:
        return data[: chance.randrange(len(data))] if data else data
    changed = bytearray(data)
    changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def damage_a_checkpoint(folder: Path, chance: random.Random) -> bool:
    """Damage the newest checkpoint of a run that has two; whether there was one."""
    found: dict[str, list[Path]] = {}
    for path in folder.glob("checkpoints/*.ckpt"):
        found.setdefault(path.name.partition(".")[0], []).append(path)
    with_two = [sorted(paths, key=_generation) for paths in found.values() if len(paths) > 1]
    if not with_two:
        return False
    newest = chance.choice(with_two)[-1]
    newest.write_bytes(damaged(newest.read_bytes(), chance))
    return True


def _generation(path: Path) -> int:
    return int(path.name.split(".")[1])


def trial(
    what: str, alone: Result, folder: Path, chance: random.Random, most: int, tally: Counter[str], damage: bool = True
) -> list[str]:
    """Kill one study of `STUDIES` until it comes through, and compare it with `alone`; what is wrong, in words."""
    data, processes = STUDIES[what]

    def between(path: Path) -> None:
        if damage and chance.random() < 1 / 3:
            tally["damaged checkpoints"] += damage_a_checkpoint(path, chance)

    kills, words = killed_until_done(data, folder, chance, processes, most, between)
    tally["SIGKILLs"] += kills
    tally[what] += 1
    return [words] if words else list(_other(alone, folder))


def undisturbed() -> dict[str, Result]:
    """The results of `STUDIES` that nobody disturbs, in memory."""
    from asyncsim import sweep

    study_, sweep_ = (
        study.run(EVERY_METHOD, processes=1, progress=False),
        sweep.tune(SWEEP, processes=1, progress=False),
    )
    return {what: sweep_ if data is SWEEP else study_ for what, (data, _) in STUDIES.items()}


def _other(alone: Result, folder: Path) -> Iterator[str]:
    found = Result.read(folder)
    if alone.manifest.get("tuning") != found.manifest.get("tuning"):
        yield "the sweep chose otherwise"
    if len(alone.runs) != len(found.runs):
        yield f"{len(alone.runs)} and {len(found.runs)} runs"
    for one, other in zip(alone.runs, found.runs, strict=False):
        yield from (f"{one.label}: {words}" for words in differences(one, other))
    yield from broken_tables(folder)


# ---- processes


def _played(data: Mapping[str, Any], folder: Path, processes: int) -> None:
    if (folder / "manifest.json").exists():
        study.resume(folder, progress=False, processes=processes)
    elif "sweep" in data:
        from asyncsim import sweep

        sweep.tune(data, output=folder, progress=False, processes=processes)
    else:
        study.run(data, output=folder, progress=False, processes=processes)


def _forked(do: Callable[[], None], errors: Path) -> int:
    """A copy of this process that does `do` and ends; its id. What it says goes into the file `errors`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads; those of BLAS know what a fork is
        child = os.fork()
    if child:
        return child
    try:
        said = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(said, 1)
        os.dup2(said, 2)
        do()
        os._exit(0)
    except BaseException:
        os.write(2, traceback.format_exc().encode())
        os._exit(9)


def _waited(child: int, within: float) -> int:
    """How the process ended; it is killed when it takes longer than `within` seconds."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


# ---- the command


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the exit code is 1 when something was found."""
    parser = argparse.ArgumentParser(prog="python -m asyncsim.testing.kills", description="SIGKILL at random moments")
    parser.add_argument("--count", type=int, default=50, help="how many kills")
    parser.add_argument("--whole", action="store_true", help="leave the checkpoints as they are")
    options = parser.parse_args(arguments)
    tally: Counter[str] = Counter()
    found, chance = 0, random.Random()
    with tempfile.TemporaryDirectory(prefix="asyncsim-kills-") as scratch:
        alone = undisturbed()
        while tally["SIGKILLs"] < options.count:
            what = list(STUDIES)[tally["studies"] % len(STUDIES)]
            tally["studies"] += 1
            folder, most = Path(scratch, str(tally["studies"])), options.count - tally["SIGKILLs"]
            words = trial(what, alone[what], folder, chance, min(most, 12), tally, not options.whole)
            found += bool(words)
            print(*(f"{what}: {each}" for each in words), sep="\n", end="\n" if words else "", flush=True)
            if tally["studies"] % 10 == 0:
                print(_sum(tally, found), flush=True)
    print(_sum(tally, found))
    return 1 if found else 0


def _sum(tally: Counter[str], found: int) -> str:
    kinds = ", ".join(f"{tally[what]} {what}" for what in STUDIES if tally[what])
    ended = f"{found} ended with other numbers" if found else "each ended bit for bit as the undisturbed one"
    return (
        f"{tally['SIGKILLs']:,} SIGKILLs and {tally['damaged checkpoints']} damaged checkpoints in "
        f"{tally['studies']} studies ({kinds}): {ended}"
    )


if __name__ == "__main__":
    sys.exit(main())
