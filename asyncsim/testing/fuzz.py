"""Broken scenario and trace files by the thousand: never a traceback, at most a second and 200 MB each.

    python -m asyncsim.testing.fuzz --minutes 10          mutates the starters and a trace until the time is over
    python -m asyncsim.testing.fuzz --atheris 10          the same led by coverage (pip install atheris)

Whatever a file holds, it is either what it should be or refused with a ScenarioError or a TraceError. A scenario that loads
is also checked as `asyncsim check` does. What is found is written into the folder given by --keep, in a file of its own; the
tests read all such files that are kept in tests/corpus.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import re
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FunctionType, ModuleType

from asyncsim import study
from asyncsim.catalogue import starters
from asyncsim.scenario import ScenarioError, load
from asyncsim.times.traces import TraceError, read_trace

SECONDS = 1.0  # of processor time that one file may take
MEGABYTES = 200

TOKENS = (
    "1e999", "-1", ".nan", "-.inf", ".inf", "[]", "{}", "null", "true", "''", "'", '"', "10000000000", "1e30", "0", "-0.0",
    "i", "1/0", "i**i**i", "9**9**9", "__import__('os')", "[[[[", "{a: {b: {c: 1}}}", "&a *a", "*a", "!!python/none x",
    "? ", "- ", ": ", "#", "\t", "\x00", "\u2028", "0x1F", "1_000", "0..10", "9..0", "0..999999999", "theory", "inf",
    "{distribution: exponential, mean: 1}", "{name: none}", "../../etc/passwd", "os:system", "1.5", "i % 0", "sqrt(-1)",
    "{<<: {}}", "---", "...", "%YAML 1.1", "99999999999999999999999999", "é", "1e-320", "[1, [2, [3]]]", "exponential",
)  # fmt: skip
_VALUE = re.compile(rb"(?<=[:\[,] )[^\s,\[\]{}#]+")
_KEY = re.compile(rb"[a-z_]+(?=:)")


def mutated(data: bytes, chance: random.Random) -> bytes:
    """One to four changes: bytes, words, values, lines.

    >>> mutated(b"name: a", random.Random(0)) != b"name: a"
    True
    """
    for _ in range(chance.randint(1, 4)):
        data = chance.choice(_CHANGES)(data, chance)
    return data


def _places(data: bytes, chance: random.Random) -> tuple[int, int]:
    first = chance.randrange(len(data) + 1)
    return first, min(len(data), first + int(chance.paretovariate(0.7)))


def _byte(data: bytes, chance: random.Random) -> bytes:
    first, _ = _places(data, chance)
    return data[:first] + bytes([chance.randrange(256)]) + data[first + 1 :]


def _without(data: bytes, chance: random.Random) -> bytes:
    first, last = _places(data, chance)
    return data[:first] + data[last:]


def _twice(data: bytes, chance: random.Random) -> bytes:
    first, last = _places(data, chance)
    return data[:last] + data[first:last] * chance.randint(1, 3) + data[last:]


def _token(data: bytes, chance: random.Random) -> bytes:
    first, _ = _places(data, chance)
    return data[:first] + chance.choice(TOKENS).encode() + data[first:]


def _value(data: bytes, chance: random.Random) -> bytes:
    if not (found := list(_VALUE.finditer(data))):
        return data
    match = chance.choice(found)
    return data[: match.start()] + chance.choice(TOKENS).encode() + data[match.end() :]


def _key(data: bytes, chance: random.Random) -> bytes:
    if not (found := list(_KEY.finditer(data))):
        return data
    match, other = chance.choice(found), chance.choice(found)
    return data[: match.start()] + other.group() + data[match.end() :]


def _line(data: bytes, chance: random.Random) -> bytes:
    lines = data.split(b"\n")
    line = lines.pop(chance.randrange(len(lines)))
    lines.insert(chance.randrange(len(lines) + 1), chance.choice([b"", b"  ", b"\t"]) + line)
    return b"\n".join(lines)


_CHANGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _byte, _without, _twice, _token, _value, _value, _value, _key, _line,
)  # fmt: skip


def beginnings() -> list[tuple[str, bytes]]:
    """What is mutated: (ending, bytes) of the starters that need nothing else, and of a trace in both of its forms."""
    found = [path for path in sorted(starters().rglob("*.yaml")) if path.parent.name not in ("torch", "cluster")]
    files = [(".yaml", path.read_bytes()) for path in found if path.stat().st_size < 10**4]
    text = "\n".join(f'{{"worker": {m % 3}, "compute_seconds": {0.5 + m}, "device": "cpu"}}' for m in range(12)) + "\n"
    files += [(".csv", (starters() / "times" / "measured.csv").read_bytes()[:4000]), (".jsonl", text.encode())]
    return files


def wrong(path: Path) -> str:
    """What is wrong with how a file is taken: a traceback, or too much time or memory; empty if it is as it has to be.

    A file that is good may ask for a problem of 10⁸ unknowns: what building that takes is its own affair.
    """
    before, begun = _megabytes(), time.process_time()
    took: tuple[float, float] | None = None
    try:
        if path.suffix == ".yaml":
            scenario = load(path)
            took = time.process_time() - begun, _megabytes() - before
            if scenario.engine.name == "simulation":
                study.checked_methods(scenario, scenario.check_problem())
        else:
            read_trace(path)
    except (ScenarioError, TraceError):
        took = None
    except Exception:
        return traceback.format_exc()
    seconds, megabytes = took or (time.process_time() - begun, _megabytes() - before)
    if seconds > SECONDS:
        return f"it took {seconds:.1f} s"
    if megabytes > MEGABYTES:
        return f"it took {megabytes:.0f} MB"
    return ""


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# ---- the command


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the exit code is 1 when something was found."""
    parser = argparse.ArgumentParser(prog="python -m asyncsim.testing.fuzz", description="broken files by the thousand")
    parser.add_argument("--minutes", type=float, default=1.0, help="how long")
    parser.add_argument("--atheris", type=float, help="how many minutes, led by coverage")
    parser.add_argument("--seed", type=int, default=None, help="of the mutations; unless given, by the clock")
    parser.add_argument("--keep", type=Path, default=Path("found"), help="the folder for what is found")
    options = parser.parse_args(arguments)
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    if options.atheris is not None:
        _with_atheris(options.atheris, options.keep)
    chance = random.Random(time.time_ns() if options.seed is None else options.seed)
    files, tried, found, begun = beginnings(), 0, 0, time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        while time.monotonic() - begun < 60 * options.minutes:
            ending, data = chance.choice(files)
            data = mutated(data, chance)
            found += bool(_judged(data, Path(scratch, f"case{ending}"), options.keep))
            tried += 1
    print(f"{tried:,} files tried, {found} findings, {_megabytes():.0f} MB at most")
    return 1 if found else 0


def _judged(data: bytes, path: Path, keep: Path) -> str:
    path.write_bytes(data)
    if words := wrong(path):
        keep.mkdir(exist_ok=True)
        kept = keep / f"{hashlib.blake2b(data, digest_size=6).hexdigest()}{path.suffix}"
        kept.write_bytes(data)
        print(f"{kept}:\n{words}", flush=True)
    return words


def _with_atheris(minutes: float, keep: Path) -> None:
    """Led by coverage; ends the process when the time is over."""
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is not installed: pip install atheris")
    import asyncsim

    for module in [name for name in sys.modules if name.split(".")[0] == asyncsim.__name__]:
        _instrument(sys.modules[module], atheris)
    scratch = Path(tempfile.mkdtemp())
    beginning = scratch / "beginning"
    beginning.mkdir()
    for number, (ending, data) in enumerate(beginnings()):
        if ending == ".yaml":
            (beginning / str(number)).write_bytes(data)

    def one(data: bytes) -> None:
        if words := _judged(data, scratch / "case.yaml", keep):
            raise RuntimeError(words)

    atheris.Setup([sys.argv[0], f"-max_total_time={int(60 * minutes)}", "-max_len=4000", str(beginning)], one)
    atheris.Fuzz()


def _instrument(module: ModuleType, atheris: ModuleType) -> None:
    """The functions and methods of one of our modules, which were imported before atheris could look at them."""
    for owner in (module, *(value for value in vars(module).values() if isinstance(value, type))):
        for name, value in list(vars(owner).items()):
            if isinstance(value, FunctionType) and value.__module__ == module.__name__:
                with suppress(AttributeError, TypeError, RuntimeError):  # a class that may not be changed
                    setattr(owner, name, atheris.instrument_func(value))


if __name__ == "__main__":
    sys.exit(main())
