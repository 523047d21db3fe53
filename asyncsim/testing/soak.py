"""A soak: random scenarios, each played twice, taken up again from checkpoints, and killed for real.

    python -m asyncsim.testing.soak --minutes 30          draws scenarios until the time is over
    python -m asyncsim.testing.soak --seed 4711           plays the one scenario of that seed again
    python -m asyncsim.testing.soak --kills 500           until so many processes were killed by SIGKILL

Of every drawn scenario (asyncsim/testing/drawn.py):

1.  It is played in memory, and every run has to fulfil the invariants of asyncsim/testing/holds.py.
2.  It is played again, and has to end with the same bits; with gradients evaluated in another way, the events have to be
    the same, and the bits too where the problem's kernels say so.
3.  Every method is killed at random iterations and taken up from the bytes of its checkpoint.
4.  One scenario in four is played into a run folder, with a checkpoint at every step, by a process that is killed with
    SIGKILL at a random moment, taken up by another one, which is killed too, and so on until one comes through. One of
    these processes in four plays its runs on two processes of its own.

All have to agree bit by bit. What does not is told with the seed that replays it; the exit code is then 1. The moments
of the SIGKILLs are nobody's choice, so a replay tries other ones.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from asyncsim import study
from asyncsim.result import Result, Run
from asyncsim.running import evaluation_of
from asyncsim.scenario import Scenario, from_data
from asyncsim.testing import resumed
from asyncsim.testing.drawn import ENDLESS
from asyncsim.testing.drawn import scenario as drawn
from asyncsim.testing.holds import broken, broken_tables, differences
from asyncsim.testing.kills import killed_until_done

Tally = Counter[str]
LONGEST = 30.0  # seconds that one scenario counts for in --minutes


def trial(seed: int, tally: Tally | None = None, kill: bool | None = None) -> list[str]:
    """What is wrong with the scenario of a seed; empty where all is as it has to be.

    `kill`: whether processes are killed too (unless given, for one seed in four). `tally` counts what was done.

    >>> trial(1, kill=False)
    []
    """
    tally = Counter() if tally is None else tally
    data = drawn(seed)
    found: list[str] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a warning of numpy's that a user would see is a finding too
            for words in _wrongs(data, random.Random(~seed), tally, seed % 4 == 0 if kill is None else kill):
                found.append(words)
    except Exception:  # whatever it is, it is a finding, and the soak goes on
        found.append(traceback.format_exc())
    tally["scenarios"] += 1
    gc.collect()  # a run that was killed in memory leaves circles behind
    return found


def _wrongs(data: Mapping[str, Any], chance: random.Random, tally: Tally, kill: bool) -> Iterator[str]:
    alone = _run(data)
    tally["runs"] += len(alone.runs)
    for run in alone.runs:
        tally[f"ended as {run.status}"] += 1
        tally["arrivals"] += sum(int(run.workers[name].sum()) for name in ("used", "discarded"))
        if run.status == "failed":
            yield f"{run.label} failed: {run.reason}"
        if sum(int(run.workers[name].sum()) for name in ("used", "discarded")) >= ENDLESS:
            tally["waited long"] += 1
            if _waits_for_ever(data, run):
                yield f"{run.label} would never have ended: {run.reason}, {run.iterations} iterations"
        yield from (f"{run.label}: {words}" for words in broken(run))
    yield from _compared("played twice", alone, _run(data))
    scenario = from_data(data)
    yield from _evaluated_otherwise(data, scenario, alone)
    yield from _resumed(scenario, alone, chance, tally)
    if kill:
        yield from _killed(data, alone, chance, tally)


def _run(data: Mapping[str, Any]) -> Result:
    result = study.run(data, processes=1, progress=False)
    if result.manifest["status"] == "interrupted":
        raise KeyboardInterrupt  # a signal came
    return result


def _waits_for_ever(data: Mapping[str, Any], run: Run, patience: int = 20 * ENDLESS) -> bool:
    """Whether a run that was cut short makes no iteration more in so many gradients: it should have stalled.

    A law with a heavy tail may well keep a method waiting for a thousand seconds, and then it goes on.
    """
    methods = [method for method in data["methods"] if method["label"] == run.label]
    stop = {**data["stop"], "iterations": run.iterations + 1, "gradients": patience}
    (longer,) = _run({**data, "methods": methods, "stop": stop}).runs
    return bool(longer.used + longer.discarded >= patience and longer.iterations <= run.iterations)


def _compared(what: str, one: Result, other: Result) -> Iterator[str]:
    if len(one.runs) != len(other.runs):
        yield f"{what}: {len(one.runs)} and {len(other.runs)} runs"
    for a, b in zip(one.runs, other.runs, strict=False):
        yield from (f"{what}: {a.label}: {words}" for words in differences(a, b))


def _evaluated_otherwise(data: Mapping[str, Any], scenario: Scenario, alone: Result) -> Iterator[str]:
    if data["problem"]["name"] == "none":
        return
    for evaluation in ("single", "batched", "prefetched"):
        try:
            evaluation_of(scenario.build_problem(scenario.seeds[0]), evaluation, alone.runs[0].n)
        except ValueError:
            continue  # this problem does not offer it, and says so
        other = _run({**data, "evaluation": evaluation})
        for a, b in zip(alone.runs, other.runs, strict=True):
            if (a.event_hash, a.status, a.used) != (b.event_hash, b.status, b.used):
                yield f"evaluation {evaluation}: {a.label}: other events ({a.status}, {b.status})"


def _resumed(scenario: Scenario, alone: Result, chance: random.Random, tally: Tally) -> Iterator[str]:
    setting = study.setting_of(scenario, alone.manifest["evaluation"])
    problem = setting.problem(scenario.seeds[0])
    rules = scenario.build_update_rules()
    for (label, method), run in zip(study.checked_methods(scenario, problem), alone.runs, strict=True):
        if run.status == "failed" or run.iterations == 0:
            continue
        at = sorted(chance.sample(range(1, run.iterations + 1), min(run.iterations, chance.randint(1, 4))))
        again = resumed(
            method, problem, setting.workers, at=at, stop=setting.stop, seed=run.seed, target=setting.target,
            record=setting.record, label=label, update_rule=rules[label], verify=setting.verify,
            evaluation=setting.evaluation,
        )  # fmt: skip
        tally["taken up in memory"] += len(at)
        yield from (f"taken up at {at}: {label}: {words}" for words in differences(run, again))


# ---- processes that are killed


def _killed(data: Mapping[str, Any], alone: Result, chance: random.Random, tally: Tally) -> Iterator[str]:
    record = {**data["record"], "checkpoint_every": 0}
    with tempfile.TemporaryDirectory(prefix="asyncsim-soak-") as scratch:
        folder = Path(scratch, "run")
        processes = 2 if chance.random() < 0.25 else 1
        kills, words = killed_until_done({**data, "record": record}, folder, chance, processes)
        tally["SIGKILLs"] += kills
        tally["killed studies"] += 1
        if words:
            yield words
            return
        found = Result.read(folder)
        yield from _compared(f"killed {kills} times", alone, found)
        yield from (f"killed {kills} times: {words}" for words in broken_tables(folder))
        yield from (f"killed {kills} times: {run.label}: {words}" for run in found.runs for words in broken(run))


# ---- the command


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the exit code is 1 when something was found."""
    options = _options(arguments)
    tally: Tally = Counter()
    seconds = 0.0
    bad: list[int] = []
    for seed in _seeds(options):
        if options.minutes is not None and seconds >= 60 * options.minutes:
            break
        if options.kills is not None and tally["SIGKILLs"] >= options.kills:
            break
        begun = time.monotonic()
        try:
            found = trial(seed, tally, True if options.kills is not None else None)
        except KeyboardInterrupt:
            break  # a signal; what was found until then is told
        # a process that was paused did nothing meanwhile, and few trials take so long
        seconds += min(time.monotonic() - begun, LONGEST)
        if found:
            bad.append(seed)
            print(f"seed {seed}: {json.dumps(drawn(seed))}")
            for words in found:
                print(f"  {words}")
            print(f"  again: python -m asyncsim.testing.soak --seed {seed}", flush=True)
        if tally["scenarios"] % options.tell == 0:
            print(_sum(tally, seconds, bad), flush=True)
    print(_sum(tally, seconds, bad))
    return 1 if bad else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m asyncsim.testing.soak", description="random scenarios, held to all rules"
    )
    how_long = parser.add_mutually_exclusive_group()
    how_long.add_argument("--minutes", type=float, help="how long, without the time it was paused")
    how_long.add_argument("--kills", type=int, help="until so many processes were killed; every scenario is")
    how_long.add_argument("--seed", type=int, help="the scenario of this seed alone, its processes killed too")
    parser.add_argument("--first", type=int, default=None, help="the first seed; unless given, by the clock")
    parser.add_argument("--tell", type=int, default=100, help="a line every so many scenarios")
    options = parser.parse_args(arguments)
    if options.minutes is None and options.kills is None and options.seed is None:
        options.minutes = 1.0
    return options


def _seeds(options: argparse.Namespace) -> Iterator[int]:
    if options.seed is not None:
        yield options.seed
        return
    seed = int(time.time()) * 1000 if options.first is None else options.first
    while True:
        yield seed
        seed += 1


def _sum(tally: Tally, seconds: float, bad: Sequence[int]) -> str:
    counts = ", ".join(f"{count:,} {what}" for what, count in sorted(tally.items()))
    times = os.times()
    cpu = times.user + times.system + times.children_user + times.children_system
    found = f"seeds with findings: {list(bad)}" if bad else "nothing found"
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return f"{seconds / 60:,.1f} min ({cpu / 60:,.1f} of processor), {megabytes:,.0f} MB at most: {counts}; {found}"


if __name__ == "__main__":
    sys.exit(main())
