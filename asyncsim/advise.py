"""Advice for people who have machines, not laws: which method, with which parameters, on which of them.

What is asked for is what an engineer can measure: machines by kind and the seconds each takes for one minibatch gradient,
the seconds of a message there and back, prices, and one number for the noise: B*, how many minibatch gradients must be
averaged until a larger average no longer makes a step better (the critical batch size, in minibatches; theory's σ²/ε).

How the answer is found, and what it is worth:

1. Theory says which methods are good up to constants; the constants are measured. Every candidate runs on a *model
   problem*: the papers' tridiagonal quadratic, L = 1, dimension 100, from x0 until ‖∇f‖² is `Question.target` times
   (10⁻⁴) what it is at x0, with noise such that σ² = B*·ε. Times are gamma distributed with the means given and the
   standard deviation `jitter` times the mean. About 25 exact gradient steps lead there, so fixed costs weigh little.
2. A candidate's stepsize is climbed in factors of 2 and then refined, its threshold or batch size tried at B*/4, B* and
   4B*, on seeds that are used for nothing else; five other seeds then measure the winners. Stepsizes are told relative to
   γ₁, the best one of a single machine, and carry over to other problems to a factor of 2 or so.
3. Seconds of the model are no seconds of the user's problem. What carries over is ratios: to one machine alone, of one
   method to another, with a kind of machine to without. `steps`, what a single machine needs, makes hours of them.
4. What is within 10 % of the best on the median, or within 25 % and not clearly slower by the rules of `asyncsim.summary`,
   is called as good; among these the simplest is advised. Ranges are over the seeds.
5. A single machine that works alone sends no messages. It is measured so, whatever messages cost; a scenario cannot say
   that, so there it makes many local steps between two messages.

On a quadratic the drift of local steps does no harm, which flatters methods that make them; they are tried only where
messages cost something, and the advice says so where one wins. Running gradients are never stopped (not every program can),
but where times have heavy tails.

Each machine with data of its own (`data` = "different", f = (1/n)Σf_i): other methods are right then, those that weigh all
machines alike, and the model is the quadratic with a spread: machine i's gradients are off by a vector of its own, the same
everywhere, fast machines on one side and slow ones on the other. How unlike the data are is assumed: ζ² = ‖∇f(x0)‖², at the
start the gradients of the machines differ from their mean by as much as the mean is long. Methods that keep the machines'
gradients apart (Ringleader, Malenia, IA², Minibatch) do not care how much it is; the others do. All f_i have the same
curvature, which is kind to those that use old gradients. A machine left out is data left out, so nobody is told to; and no
single machine can do the work: ratios are to one that had the data of all.

Heavy tails (`Group.law`): a gradient may take a hundred times the usual, or never come. Then a method that can give up a
gradient (MindFlayer SGD), and the forms of Ringmaster and Rennala that stop workers, are tried as well; `seconds` is the
median, and ratios are to a fastest machine of which no gradient is ever late.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from asyncsim import running, study, summary
from asyncsim.methods import METHODS
from asyncsim.problems import PROBLEMS
from asyncsim.problems.quadratic import places
from asyncsim.record import Record
from asyncsim.result import Result
from asyncsim.stop import Stop
from asyncsim.theory import equilibrium_time, fastest_workers, mindflayer_trials
from asyncsim.times import Workers
from asyncsim.times.traces import read_trace

Data: TypeAlias = Literal["same", "different"]
DATA = ("same", "different")
HEAVY = 1.0  # measured times have a heavy tail if their deviation is more than so many times their mean
LIGHT = 0.1  # the deviation of machines without one, where nobody said it
MOST_VALUES = 400  # of measured times that are drawn again

MOST_MACHINES = 1000
MOST_KINDS = 10
MOST_AVERAGED = 1024
ASSUMED_AVERAGE = 16

TUNING_SEEDS = (1000, 1001, 1002)
SEEDS = (0, 1, 2, 3, 4)
DIMENSION = 100
TOO_SLOW = 4.0  # a method that needs so many times the time of the best is not measured further
TIED, PERHAPS_TIED = 1.1, 1.25
MOST_DOUBLINGS = 9
FINER = (2**0.5, 2**0.25)  # the last factors by which stepsizes are tried

# simplest first: among methods that are as good, the first of these is advised
SIMPLEST = (
    *("hero_sgd", "minibatch_sgd", "ringmaster_asgd", "rennala_sgd", "naive_optimal_asgd", "asynchronous_sgd"),
    *("async_batch_sgd", "async_local_sgd", "dual_local_sgd", "local_sgd", "mindflayer_sgd"),
    *("malenia_sgd", "ringleader_asgd", "ia2_sgd", "rescaled_asgd", "random_assignment_asgd"),
)
STOPS = {"stops": True}


@dataclass(frozen=True)
class Group:
    """Machines of one kind: how many, mean seconds of a minibatch gradient, of a message there and back, price an hour.

    law : the law of a gradient's seconds as a scenario has it, where it has a heavy tail; `seconds` is then the median,
    and `tail` says in words what it is.
    """

    count: int
    seconds: float
    communication: float = 0.0
    price: float | None = None
    tail: str = field(default="", repr=False)
    law: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def trip(self) -> float:
        """Seconds of a gradient with its messages."""
        return self.seconds + self.communication

    def __str__(self) -> str:
        return f"{self.count} × {summary.number(self.seconds)} s{f' ({self.tail})' if self.tail else ''}"


@dataclass(frozen=True)
class Question:
    """What is asked; `asked` reads it from texts.

    groups : the machines; jitter : standard deviation of a gradient's time over its mean;
    average : B*, None where it is not known (16 is assumed, and others are tried);
    steps : that a single machine needs with a good stepsize, None where not known;
    target : what ‖∇f‖² is to become, as a part of what it is at the start;
    data : whether all machines draw from the same data, or each has data of its own.

    >>> Question((Group(8, 0.12), Group(1, 2.0))).n
    9
    """

    groups: tuple[Group, ...]
    jitter: float = 0.1
    average: int | None = None
    steps: int | None = None
    target: float = 1e-4
    data: Data = "same"

    def __post_init__(self) -> None:
        if self.data not in DATA:
            raise ValueError(
                f"data = {self.data!r}, but {' or '.join(DATA)} is needed: whether all machines draw from the same data"
            )
        if not 1 <= len(self.groups) <= MOST_KINDS:
            raise ValueError(f"workers: 1 to {MOST_KINDS} kinds of machines are possible, not {len(self.groups)}")
        if self.n > MOST_MACHINES:
            raise ValueError(
                f"workers: {self.n} machines are too many to try all methods on; up to {MOST_MACHINES} are possible"
            )
        within("jitter", self.jitter, 0, 2, "the standard deviation of a gradient's time over its mean")
        if self.average is not None:
            within(
                "gradients to average", self.average, 1, MOST_AVERAGED, "how many minibatch gradients make a good step"
            )
        if self.steps is not None and self.steps < 1:
            raise ValueError(
                f"steps = {self.steps}, but a number >= 1 is needed: the steps that a single machine needs"
            )
        within("target", self.target, 1e-6, 0.1, "the part of the first ‖∇f‖² that is to be left")

    @property
    def n(self) -> int:
        """How many machines there are."""
        return sum(group.count for group in self.groups)

    @property
    def B(self) -> int:
        """B*, given or assumed."""
        return ASSUMED_AVERAGE if self.average is None else self.average

    @property
    def priced(self) -> bool:
        """Whether prices are known."""
        return all(group.price is not None for group in self.groups)

    @property
    def heavy(self) -> bool:
        """Whether times have heavy tails."""
        return any(group.law is not None for group in self.groups)

    @property
    def yardstick(self) -> bool:
        """Whether no machine can do the work alone, or not in time, so that ratios are to one that could."""
        return self.data == "different" or self.heavy

    @property
    def communicates(self) -> bool:
        """Whether a message takes time."""
        return any(group.communication > 0 for group in self.groups)


def within(name: str, value: float, low: float, high: float, what: str) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} = {value:g}, but {low:g} to {high:g} is needed: {what}")


# ---- reading what an engineer writes


def asked(
    workers: str,
    *,
    communication: str = "0",
    price: str | None = None,
    jitter: float = 0.1,
    average: int | None = None,
    steps: int | None = None,
    target: float = 1e-4,
    data: Data = "same",
) -> Question:
    """A question from texts: '8x0.12 4x0.35 1x2.0' is 8 machines of 0.12 s a gradient, 4 of 0.35 s and 1 of 2 s.

    Seconds may have a unit (ms, s, min). `communication` and `price` (an hour) are one number for all machines, or the
    same list with other numbers: '8x2.5 4x0.9 1x0.2'. A heavy tail stands behind the seconds, which are then the median:
    '4x0.5~lognormal(2)', '4x0.5~pareto(1.2)', or '4x0.5~hangs(0.02)' where one gradient in 50 never comes back. Raises
    ValueError that says what cannot be read.

    >>> asked("2x120ms 1x2", price="2x2.5 1x0.2").groups
    (Group(count=2, seconds=0.12, communication=0.0, price=2.5), Group(count=1, seconds=2.0, communication=0.0, price=0.2))
    """
    workers, tails = _tails(workers)
    kinds = _listed("workers", workers, seconds=True)
    for count, seconds in kinds:
        if count < 1 or not seconds > 0:
            raise ValueError(
                f"workers: {count}x{seconds:g} is no kind of machine; a count >= 1 and seconds > 0 are needed"
            )
    counts = [count for count, _ in kinds]
    messages = _one_each("communication", communication, counts, seconds=True)
    prices = [None] * len(kinds) if price is None else _one_each("price", price, counts)
    within("jitter", jitter, 0, 2, "the standard deviation of a gradient's time over its mean")
    groups = tuple(
        Group(count, seconds, message, cost, tail, _tailed(tail, seconds, jitter))
        for (count, seconds), message, cost, tail in zip(kinds, messages, prices, tails, strict=True)
    )
    return Question(groups, jitter, average, steps, target, data)


def asked_of_trace(
    path: Path,
    workers: str = "",
    *,
    price: str | None = None,
    average: int | None = None,
    steps: int | None = None,
    target: float = 1e-4,
    data: Data = "same",
) -> Question:
    """A question from measured times: machines of one device are one kind, its mean times those of the trace.

    Times whose standard deviation is above their mean have a heavy tail: they are drawn again as they were measured.

    Raises ValueError where the file is no trace, or where `workers` is given too.
    """
    if workers.strip():
        raise ValueError("--workers and --trace: give one of the two")
    trace = read_trace(path)
    computing, sending = trace.all_series(), trace.all_series("send_seconds")
    if not computing:
        raise ValueError(f"{path}: no gradient in it was computed to its end")
    kinds: dict[str, list[str]] = {}
    for worker in computing:
        rows = trace.worker == trace.workers.index(worker)
        kinds.setdefault(trace.devices[int(trace.device[rows][0])] or worker, []).append(worker)
    times = {kind: np.concatenate([computing[worker] for worker in those]) for kind, those in kinds.items()}
    heavy = {kind for kind, series in times.items() if series.std() > HEAVY * series.mean()}
    light = [series.std() / series.mean() for kind, series in times.items() if kind not in heavy for _ in series]
    jitter = round(float(np.mean(light)), 3) if light else 0.1
    prices = (
        [None] * len(kinds) if price is None else _one_each("price", price, [len(those) for those in kinds.values()])
    )
    groups = []
    for (kind, those), cost in zip(kinds.items(), prices, strict=True):
        message = float(np.concatenate([sending[worker] for worker in those]).mean())
        if kind in heavy:
            law = {"distribution": "empirical", "values": _thinned(times[kind])}
            groups.append(
                Group(len(those), float(np.median(times[kind])), message, cost, "a heavy tail, as measured", law)
            )
        else:
            groups.append(Group(len(those), float(times[kind].mean()), message, cost))
    return Question(tuple(groups), jitter, average, steps, target, data)


def _thinned(times: np.ndarray) -> list[float]:
    """At most `MOST_VALUES` times with the same mean and nearly the same spread: means of neighbours."""
    parts = np.array_split(np.sort(times), min(len(times), MOST_VALUES))
    return [six_digits(float(part.mean())) for part in parts]


_UNITS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "": 1.0}
_ENTRY = re.compile(r"(?:(\d{1,9})x)?(\d+\.?\d*(?:e[-+]?\d{1,3})?|\.\d+)([a-z]*)", re.ASCII)


_TAIL = re.compile(r"~([a-z]+)\(([^()\s]*)\)")
_TAILS = {
    "lognormal": (0.5, 100.0, "standard deviation of the logarithm"),
    "pareto": (0.1, 20.0, "exponent of the tail: the mean is infinite up to 1"),
    "hangs": (1e-4, 0.9, "part of the gradients that never come back"),
}


def _tails(workers: str) -> tuple[str, list[str]]:
    """The text without what stands behind a ~, and that for each kind of machine, "" for none."""
    entries = re.sub(r"\s*([x×*~])\s*", r"\1", workers.strip().lower()).replace(",", " ").split()
    tails = []
    for entry in entries:
        tail = entry[entry.find("~") :] if "~" in entry else ""
        match = _TAIL.fullmatch(tail)
        if tail and (match is None or match[1] not in _TAILS or not _number(match[2])):
            forms = ", ".join(f"~{name}(NUMBER)" for name in _TAILS)
            raise ValueError(f"workers: {entry[:40]!r} can't be read; behind the seconds may stand {forms}")
        if match is not None:
            low, high, what = _TAILS[match[1]]
            within(f"workers: {match[1]}", float(match[2]), low, high, what)
        tails.append(tail[1:])
    return " ".join(entry.partition("~")[0] for entry in entries), tails


def _number(text: str) -> bool:
    return re.fullmatch(r"\d{1,9}\.?\d*|\.\d+", text, re.ASCII) is not None


def _tailed(tail: str, seconds: float, jitter: float) -> dict[str, Any] | None:
    """The law with this median and tail as a scenario has it; None without a tail."""
    if not tail:
        return None
    name, given = tail[:-1].split("(")
    shape = float(given)
    if name == "lognormal":
        return {"distribution": "lognormal", "mu": six_digits(math.log(seconds)), "sigma": shape}
    if name == "pareto":
        return {"distribution": "pareto", "minimum": six_digits(seconds * 2 ** (-1 / shape)), "shape": shape}
    parts = [{"weight": 1 - shape, "law": gamma(seconds, jitter)}, {"weight": shape, "law": math.inf}]
    return {"distribution": "mixture", "parts": parts}


def gamma(seconds: float, jitter: float) -> Any:
    """A law with this mean, whose deviation is `jitter` times it, as a scenario has it."""
    if jitter == 0:
        return seconds
    shape = six_digits(1 / jitter**2)
    return {"distribution": "gamma", "shape": shape, "scale": six_digits(seconds / shape)}


def _listed(what: str, text: str, seconds: bool = False) -> list[tuple[int, float]]:
    example = "'8x0.12 4x0.35 1x2.0'"
    entries = re.sub(r"\s*[x×*]\s*", "x", text.strip().lower()).replace(",", " ").split()
    if not entries:
        raise ValueError(f"{what}: nothing is given; write COUNTx{'SECONDS' if seconds else 'NUMBER'}, as in {example}")
    found = []
    for entry in entries:
        match = _ENTRY.fullmatch(entry)
        if match is None or match[3] not in (_UNITS if seconds else ("",)):
            units = " (units: ms, s, min)" if seconds else ""
            raise ValueError(
                f"{what}: {entry[:40]!r} can't be read; write COUNTx{'SECONDS' if seconds else 'NUMBER'}{units}, as in {example}"
            )
        number = float(match[2]) * _UNITS[match[3]]
        if not math.isfinite(number):
            raise ValueError(f"{what}: {entry[:40]!r} is too large")
        found.append((int(match[1] or 1), number))
    return found


def _one_each(what: str, text: str, counts: Sequence[int], seconds: bool = False) -> list[float]:
    """One number for each kind of machine."""
    found = _listed(what, text, seconds)
    if len(found) == 1 and "x" not in text.lower():
        return [found[0][1]] * len(counts)
    if [count for count, _ in found] != list(counts):
        there, needed = ("+".join(map(str, c)) for c in ([count for count, _ in found], counts))
        raise ValueError(
            f"{what}: machines {there}, but --workers has {needed}; give one number for all, or one for each kind in the same order"
        )
    return [number for _, number in found]


# ---- the model problem


@dataclass(frozen=True)
class Model:
    """The problem on which methods are tried (see the head of this file), for one B*, jitter and kind of data.

    >>> model = Model(B=16, jitter=0.1, target=1e-4)
    >>> round(model.problem().sigma2 / model.epsilon, 3)
    16.0
    """

    B: int
    jitter: float
    target: float
    data: Data = "same"

    @cached_property
    def _start(self) -> float:
        """‖∇f(x0)‖²."""
        exact = PROBLEMS["quadratic"](dimension=DIMENSION)
        start = exact.full_gradient(exact.x0)
        return float(start @ start)

    @cached_property
    def epsilon(self) -> float:
        """ε for ‖∇f‖²."""
        return six_digits(self.target * self._start)

    def section(self, n: int) -> dict[str, Any]:
        """The problem for n machines as a scenario has it."""
        found = {
            "name": "quadratic",
            "dimension": DIMENSION,
            "noise": six_digits(math.sqrt(self.B * self.epsilon / DIMENSION)),
        }
        if self.data == "different" and n > 1:
            found["spread"] = six_digits(math.sqrt(self._start / float(np.mean(places(n) ** 2))))
        return found

    def problem(self, n: int = 1) -> Any:
        """The problem for n machines."""
        return self._made(n)[0]

    def _made(self, n: int) -> tuple[Any, str]:
        """The problem for n machines, and how its gradients are evaluated, which is found out once."""
        known: dict[int, tuple[Any, str]] = vars(self).setdefault("_problems", {})
        if n not in known:
            section = self.section(n)
            problem = PROBLEMS[section.pop("name")](**section).build(n=n)
            known[n] = problem, running.evaluation_of(problem, "auto", n)
        return known[n]

    def most_gradients(self, n: int) -> int:
        """After so many a run on n machines ends; several times what any good plan needs, so that what diverges slowly ends."""
        return 5000 + 400 * (self.B + n)

    def law(self, group: Group) -> Any:
        """The law of a gradient's time, as a scenario has it."""
        return gamma(group.seconds, self.jitter) if group.law is None else group.law

    def workers(self, groups: Sequence[Group]) -> Workers:
        """The machines as simulated workers; half of the communication is the uplink, half the downlink."""
        half = [group.communication / 2 for group in groups]
        return Workers.groups([(g.count, self.law(g), c, c) for g, c in zip(groups, half, strict=True)])

    def times(
        self, method: Any, groups: Sequence[Group], seeds: Iterable[int], *, cap: float = math.inf, points: int = 400
    ) -> list[float]:
        """Simulated seconds to the target on each seed; inf beyond `cap`, after which no further seed is run."""
        found: list[float] = []
        n = sum(group.count for group in groups)
        stop = Stop(target=True, gradients=self.most_gradients(n), time=cap if math.isfinite(cap) else None)
        target = {"squared_gradient_norm": self.epsilon}
        workers, record = self.workers(groups), Record(points=points)
        problem, evaluation = self._made(n)
        for seed in seeds:
            run = running.execute(method, problem, workers, stop, seed, target, record, "", evaluation=evaluation)
            found.append(summary.time_to_target(run, target)[0])
            if not math.isfinite(found[-1]):
                break
        return found


def six_digits(value: float) -> float:
    """A number in six digits, so that a scenario that says it means the same."""
    return float(f"{value:.6g}")


POINTS, TUNING_POINTS = 400, 160  # records thin out as a run grows, to some 2 % and 4 % of its length


# ---- candidates and their parameters


@dataclass(frozen=True)
class Plan:
    """A method with its parameters; `stepsize` stands apart as it is tuned."""

    method: str
    parameters: dict[str, Any]
    stepsize: float

    def built(self) -> Any:
        """The method as an object."""
        return METHODS[self.method](stepsize=self.stepsize, **self.parameters)

    def times(self, factor: float) -> Plan:
        """The plan with another stepsize, told in four digits."""
        return dataclasses.replace(self, stepsize=float(f"{self.stepsize * factor:.4g}"))

    def section(self) -> dict[str, Any]:
        """The method as a scenario has it."""
        return {"name": self.method, "stepsize": self.stepsize, **self.parameters}


def candidates(groups: Sequence[Group], B: int, data: Data = "same") -> dict[str, list[Plan]]:
    """Every method worth trying on these machines, with the variants of its parameters and stepsizes to begin at.

    Where theory knows the parameter (R = S = B*) it stands first.
    """
    return _for_different_data(groups, B) if data == "different" else _for_the_same_data(groups, B)


def _for_different_data(groups: Sequence[Group], B: int) -> dict[str, list[Plan]]:
    n = sum(group.count for group in groups)
    γ = min(0.5, 2 / B)
    unequal = max(group.trip for group in groups) / min(group.trip for group in groups)
    return {
        "minibatch_sgd": [
            Plan("minibatch_sgd", {"batch_size": b}, min(0.5, n * b * γ))
            for b in dict.fromkeys([max(1, math.ceil(B / n)), max(1, math.ceil(4 * B / n)), 1])
        ],
        "malenia_sgd": [
            Plan("malenia_sgd", {"batch_size": S}, min(0.5, S * γ))
            for S in dict.fromkeys([max(B, n), n, max(4 * B, n)])
        ],
        "ringleader_asgd": [
            Plan("ringleader_asgd", {"harmonic_mean": float(b)}, min(0.5, n * b * γ) / n)
            for b in dict.fromkeys([1, max(1, math.ceil(B / n)), max(1, math.ceil(4 * B / n))])
        ],
        # its oldest row is about as many updates old as arrive while the slowest machine computes
        "ia2_sgd": [Plan("ia2_sgd", {}, min(0.5, n * γ) / max(1.0, n * unequal) ** 0.5)],
        "rescaled_asgd": [Plan("rescaled_asgd", {}, min(γ, 0.5 / n))],
        "random_assignment_asgd": [Plan("random_assignment_asgd", {}, min(γ, 0.5 / n))],
    }


def _for_the_same_data(groups: Sequence[Group], B: int) -> dict[str, list[Plan]]:
    n = sum(group.count for group in groups)
    trips = np.repeat([g.trip for g in groups], [g.count for g in groups])
    hero = min(groups, key=lambda group: group.seconds)
    fastest = sum(group.count for group in groups[: groups.index(hero)])
    around = list(dict.fromkeys([B, max(1, B // 4), 4 * B]))
    γ = min(0.5, 2 / B)  # about half the best one of a single machine: its noise floor ‖∇f‖² ≈ γσ²/4 must be below ε

    def delayed(delays: int) -> float:
        return min(γ, 0.5 / max(1, min(delays, n)))

    # in a scenario the hero sends so rarely that messages cost it a tenth of the time
    K = max(1, math.ceil(10 * hero.communication / hero.seconds))
    found = {
        "hero_sgd": [Plan("hero_sgd", {"worker": fastest} | ({"local_steps": K} if K > 1 else {}), γ)],
        "ringmaster_asgd": [Plan("ringmaster_asgd", {"threshold": R}, delayed(R)) for R in around],
        "rennala_sgd": [Plan("rennala_sgd", {"batch_size": S}, min(0.5, S * γ)) for S in around],
        "asynchronous_sgd": [Plan("asynchronous_sgd", {"delay_adaptive": a}, delayed(n)) for a in (True, False)],
        "minibatch_sgd": [
            Plan("minibatch_sgd", {"batch_size": b}, min(0.5, n * b * γ))
            for b in dict.fromkeys([max(1, round(B / n)), 1])
        ],
    }
    chosen = fastest_workers(trips, float(B), 1.0)
    if len(chosen) < n:
        found["naive_optimal_asgd"] = [Plan("naive_optimal_asgd", {"workers": list(chosen)}, delayed(len(chosen)))]
    if any(group.law is not None for group in groups):
        # to stop everybody at each gradient can pay: of many a first one comes soon
        stopping = list(dict.fromkeys([*around, 1]))
        found["ringmaster_asgd"] += [Plan("ringmaster_asgd", {"threshold": R} | STOPS, delayed(R)) for R in stopping]
        found["rennala_sgd"] += [Plan("rennala_sgd", {"batch_size": S} | STOPS, min(0.5, S * γ)) for S in stopping]
        found["mindflayer_sgd"] = [
            mindflayer(groups, S, q, min(0.5, S * γ)) for q in (0.5, 0.25, 0.8) for S in stopping
        ]
    messages = max(g.communication / g.seconds for g in groups)
    if messages > 0 and n > 1:
        M = sorted({max(1, min(B, math.ceil(messages))), max(1, math.ceil(B / n))})
        lots = [(m, max(B, m * k)) for m in M for k in (1, n) if m > 1]  # k = n: a whole round may pass
        for name, key in (("async_batch_sgd", "batch_size"), ("async_local_sgd", "local_steps")):
            plans = [Plan(name, {key: m, "threshold": T}, min(γ, 0.5 / min(T, n * m))) for m, T in dict.fromkeys(lots)]
            found |= {name: plans} if plans else {}
        steps = [m for m in (*M, 2 * M[-1]) if m > 1]
        found |= {"local_sgd": [Plan("local_sgd", {"local_steps": m}, min(0.5, n * γ)) for m in steps]} if steps else {}
        found["dual_local_sgd"] = [Plan("dual_local_sgd", {"local_steps": m}, min(γ, 0.5 / (n * m))) for m in M]
    return found


def mindflayer(groups: Sequence[Group], S: int, q: float, stepsize: float) -> Plan:
    """MindFlayer SGD that gives a gradient up after the time that a part q of those that ever come takes, S expected in a step."""
    times, chances = [], []
    for group in groups:
        law = Workers(1, Model(S, LIGHT, 1e-4).law(group)).compute_time.law(0)
        ever = float(law.cdf(1e300))
        allotted = float(law.quantile(q * ever)) * (
            1 + 1e-6
        )  # a constant time that equals it must not miss it by rounding
        times += [six_digits(allotted + group.communication)] * group.count
        chances += [six_digits(float(law.cdf(allotted)))] * group.count
    trials = mindflayer_trials(np.array(times), np.array(chances), float(S))
    given = {"allotted_times": times, "success_probabilities": chances, "trials": trials.tolist()}
    return Plan("mindflayer_sgd", given, stepsize)


def played(model: Model, groups: Sequence[Group], plan: Plan, seeds: Iterable[int], **how: Any) -> list[float]:
    """Simulated seconds of a plan, as `Model.times`; the hero without messages."""
    if plan.method == "hero_sgd":
        alone = min(groups, key=lambda group: group.seconds)
        plan = Plan("hero_sgd", {"worker": 0}, plan.stepsize)
        groups = [dataclasses.replace(alone, count=1, communication=0.0)]
    return model.times(plan.built(), groups, seeds, **how)


def tuned(model: Model, groups: Sequence[Group], plans: Sequence[Plan], cap: float = math.inf) -> tuple[Plan, float]:
    """The best of `plans` with its stepsize, and its mean time on the tuning seeds; inf where none met `cap`."""

    def time(plan: Plan, cap: float) -> float:
        """Mean seconds, or inf as soon as it is sure to be above `cap` or a seed is far above."""
        left = len(TUNING_SEEDS) * cap
        found: list[float] = []
        for seed in TUNING_SEEDS:
            found += played(model, groups, plan, [seed], cap=min(1.5 * cap, left - sum(found)), points=TUNING_POINTS)
            if not math.isfinite(found[-1]):
                return math.inf
        return statistics.fmean(found)

    best, least = plans[0], math.inf
    for plan in plans:
        found, seconds = _climbed(plan, time, min(cap, least))
        if seconds < least:
            best, least = found, seconds
    if math.isinf(least):
        return best, least
    # a factor of 2 may be a factor of 2 in time, which would drown what a kind of machine adds
    for factor in FINER:
        for neighbour in (best.times(factor), best.times(1 / factor)):
            seconds = time(neighbour, least)
            if seconds < least:
                best, least = neighbour, seconds
                break
    return best, least


def _climbed(plan: Plan, time: Callable[[Plan, float], float], cap: float) -> tuple[Plan, float]:
    """`plan` with the best stepsize in factors of 2, going on in the direction in which it gets better."""
    best, least = plan, time(plan, 4 * cap)  # it may begin at a stepsize a quarter of the best
    for direction in (2.0, 0.5):
        for power in range(1, MOST_DOUBLINGS):
            candidate = plan.times(direction**power)
            seconds = time(candidate, least if math.isfinite(least) else 4 * cap)
            if seconds < least:
                best, least = candidate, seconds
            elif math.isfinite(least) or direction > 1:  # where it begins too large, more is no better
                break
        if best is not plan:
            break
    return best, least


# ---- what is measured


@dataclass(frozen=True, eq=False)
class Option:
    """A plan on some of the machines, measured.

    times : simulated seconds to the target on each of `SEEDS`, inf where it was not reached;
    used : the part of the used gradients that came from each kind of machine; groups : numbers of the kinds that take part;
    rate : price of an hour of them, nan where unknown.
    """

    plan: Plan
    times: tuple[float, ...]
    groups: tuple[int, ...]
    rate: float = math.nan
    used: tuple[float, ...] = ()

    @property
    def median(self) -> float:
        """Median seconds over the seeds."""
        return statistics.median(self.times)

    def sooner(self, other: Option) -> tuple[float, float, float]:
        """How many times sooner than `other`: least, median, most over the seeds."""
        ratios = sorted(theirs / ours for ours, theirs in zip(self.times, other.times, strict=True))
        return ratios[0], statistics.median(ratios), ratios[-1]

    @property
    def cost(self) -> float:
        """Price of the median time, in model seconds; only ratios of it mean anything."""
        return self.median / 3600 * self.rate


@dataclass(frozen=True, eq=False)
class Advice:
    """The answer. `options` are the methods on all machines, best first; `chosen` is one of them.

    `hero` is the fastest machine alone, one of the options but where no machine can do the work alone
    (`Question.yardstick`).
    """

    question: Question
    options: tuple[Option, ...]
    chosen: Option
    hero: Option
    tied: tuple[str, ...]
    slow: dict[str, str]  # methods that were given up, and why
    without: tuple[Option | None, ...]  # the chosen method without each kind of machine; None for the only kind
    others: dict[
        int, tuple[str, float]
    ]  # other B*: the method that is best there, how many times sooner than one machine
    cutoff: float  # t*(B*), seconds: see `cutoff`
    more: tuple[tuple[float, int], ...]  # of each kind: what twice as many would save, and how many are enough
    result: Result
    scenario: dict[str, Any]

    @property
    def too_slow(self) -> float:
        """From how many times the time of the best on a method was given up."""
        return TOO_SLOW

    @property
    def hours(self) -> float:
        """Hours of the chosen plan, nan where nobody said how many steps a single machine needs."""
        return self.hours_of(self.chosen)

    def hours_of(self, option: Option) -> float:
        """Hours of a plan on the user's problem: those of a single machine, times the ratio that was measured."""
        question = self.question
        if question.steps is None:
            return math.nan
        alone = question.steps * min(group.seconds for group in question.groups)
        return alone / 3600 * option.median / self.hero.median

    def money_of(self, option: Option) -> float:
        """What a plan costs; with unknown hours as a multiple of a single machine doing it alone."""
        hours = self.hours_of(option)
        return option.cost / self.hero.cost if math.isnan(hours) else hours * option.rate


def advise(question: Question, told: Callable[[str], None] = lambda words: None) -> Advice:
    """The advice for these machines, in some ten seconds. `told` hears what is being tried.

    >>> advice = advise(asked("1x1.0", average=1, target=0.1, jitter=0))
    >>> advice.chosen.plan.method
    'hero_sgd'
    """
    model = Model(question.B, question.jitter, question.target, question.data)
    plans, slow = _best_plans(model, question.groups, told)
    if all(math.isinf(time) for _, time in plans):
        raise ValueError(
            "no method reached the target on any of the seeds: gradients take too long or never come back; "
            "look at the times of these machines, or ask for a larger --target"
        )
    told("measuring the best of each method")
    scenario = scenario_of(question, model, [plan for plan, _ in plans])
    result = study.run(scenario, progress=False)
    options = _options(question, model, [plan for plan, _ in plans], result)
    if question.yardstick:
        told("measuring one machine without delays that has all the data")
        hero = _alone(question)
    else:
        hero = next(option for option in options if option.plan.method == "hero_sgd")
    tied = _tied(result, options, question.communicates)
    chosen = min((o for o in options if o.plan.method in tied), key=lambda o: SIMPLEST.index(o.plan.method))
    without = []
    for kind, group in enumerate(question.groups):
        told(f"without {group}")
        without.append(_without(question, model, chosen, kind))
    others = {}
    if question.average is None:
        for B in (question.B // 4, 4 * question.B):
            told(f"if {B} gradients were to be averaged")
            others[B] = _elsewhere(question, B)
    ordered = tuple(sorted(options, key=lambda option: option.median))
    kinds = range(len(question.groups)) if question.data == "same" else ()
    more = tuple((gain(question, kind, 2), enough(question, kind)) for kind in kinds)
    return Advice(
        question, ordered, chosen, hero, tied, slow, tuple(without), others, cutoff(question), more, result, scenario
    )


def _alone(question: Question) -> Option:
    """The fastest machine with the data of all and none of its gradients late: what others are measured against."""
    kind = min(range(len(question.groups)), key=lambda kind: question.groups[kind].seconds)
    group = question.groups[kind]
    groups = (Group(1, group.seconds),)
    model = Model(question.B, min(question.jitter, LIGHT), question.target)
    plan, _ = tuned(model, groups, candidates(groups, question.B)["hero_sgd"])
    rate = math.nan if group.price is None else group.price
    return Option(plan, _full(played(model, groups, plan, SEEDS)), (kind,), rate)


def _best_plans(
    model: Model, groups: Sequence[Group], told: Callable[[str], None], only: Sequence[str] | None = None
) -> tuple[list[tuple[Plan, float]], dict[str, str]]:
    """Each method's best plan with its time in the tuning; and those that were too slow."""
    found: list[tuple[Plan, float]] = []
    slow = {}
    least = math.inf
    always = "" if any(group.law is not None for group in groups) else "hero_sgd"
    for name, plans in candidates(groups, model.B, model.data).items():
        if only is not None and name not in only:
            continue
        told(f"tuning {name}")
        plan, time = tuned(model, groups, plans, TOO_SLOW * least)
        if (time <= TOO_SLOW * least and math.isfinite(time)) or name == always:
            found.append((plan, time))
            least = min(least, time)
        else:
            slow[name] = f"needed more than {TOO_SLOW:g} times the time of the best"
    return [(p, t) for p, t in found if t <= TOO_SLOW * least or p.method == always], slow | {
        p.method: f"needed {summary.number(t / least, 2)} times the time of the best"
        for p, t in found
        if t > TOO_SLOW * least and p.method != always
    }


def _options(question: Question, model: Model, plans: Sequence[Plan], result: Result) -> list[Option]:
    groups = question.groups
    ends = np.cumsum([group.count for group in groups])
    options = []
    for plan, label in zip(plans, result.labels, strict=True):
        runs = result.of(label)
        times = tuple(summary.time_to_target(run, result.target)[0] for run in runs)
        if plan.method == "hero_sgd" and question.communicates:
            times = _full(played(model, groups, plan, SEEDS))
        used = np.sum([run.workers["used"] for run in runs], axis=0)
        shares = tuple(float(part.sum() / max(1, used.sum())) for part in np.split(used, ends[:-1]))
        options.append(Option(plan, times, *_who(plan, groups), used=shares))
    return options


def _full(times: list[float]) -> tuple[float, ...]:
    """Times on all seeds; those after the first that was not reached were not run, and count as not reached."""
    return tuple(times + [math.inf] * (len(SEEDS) - len(times)))


def _who(plan: Plan, groups: Sequence[Group]) -> tuple[tuple[int, ...], float]:
    """Numbers of the kinds that take part, and the price of an hour of all machines that do."""
    counts = [group.count for group in groups]
    if plan.method == "hero_sgd":
        numbers = [plan.parameters["worker"]]
    else:
        numbers = list(plan.parameters.get("workers", range(sum(counts))))
    kinds = np.searchsorted(np.cumsum(counts), numbers, side="right")
    prices = [groups[kind].price for kind in kinds]
    rate = (
        math.nan
        if any(price is None for price in prices)
        else math.fsum(price for price in prices if price is not None)
    )
    return tuple(sorted(set(kinds.tolist()))), rate


def _tied(result: Result, options: Sequence[Option], communicates: bool) -> tuple[str, ...]:
    """The methods that are as good as the best: within 10 % on the median, or within 25 % and not clearly slower."""
    best = min(options, key=lambda option: option.median)
    labels = dict(zip([option.plan.method for option in options], result.labels, strict=True))
    found = []
    for option in options:
        near = option.median <= TIED * best.median
        # of the hero the result tells other times than its own where messages cost something
        told = not (communicates and "hero_sgd" in (option.plan.method, best.plan.method))
        overlap = (
            told
            and option.median <= PERHAPS_TIED * best.median
            and not _clearly(result, labels[best.plan.method], labels[option.plan.method])
        )
        if option is best or near or overlap:
            found.append(option)
    return tuple(option.plan.method for option in sorted(found, key=lambda option: option.median))


def _clearly(result: Result, best: str, other: str) -> bool:
    both = dataclasses.replace(result, runs=tuple(run for run in result.runs if run.label in (best, other)))
    said = summary.verdict(both)
    return said.clear and said.best == best


def _without(question: Question, model: Model, chosen: Option, kind: int) -> Option | None:
    """The chosen method, tuned anew, on the machines without one kind; None where no machine is left."""
    rest = tuple(group for number, group in enumerate(question.groups) if number != kind)
    if not rest:
        return None
    offered = candidates(rest, model.B, model.data)
    plans = offered.get(chosen.plan.method) or offered["ringmaster_asgd"]
    own = [p for p in plans if p.parameters == chosen.plan.parameters]
    plan, _ = tuned(model, rest, own or plans)
    times = _full(played(model, rest, plan, SEEDS))
    kept = tuple(number for number in range(len(question.groups)) if number != kind)
    return Option(plan, times, kept, _who(plan, rest)[1])


def _elsewhere(question: Question, B: int) -> tuple[str, float]:
    """What would be best for another B*: the method, and how many times sooner than a single machine (tuning seeds)."""
    model = Model(B, question.jitter, question.target, question.data)
    few = (
        "hero_sgd",
        "ringmaster_asgd",
        "rennala_sgd",
        "minibatch_sgd",
        "mindflayer_sgd",
        "malenia_sgd",
        "ringleader_asgd",
    )
    plans, _ = _best_plans(model, question.groups, lambda words: None, few)
    times = {plan.method: time for plan, time in plans}
    best = min(times, key=lambda name: times[name])
    simplest = min((name for name in times if times[name] <= TIED * times[best]), key=SIMPLEST.index)
    if question.yardstick:
        alone = statistics.fmean(_alone(dataclasses.replace(question, average=B)).times)
    else:
        alone = times["hero_sgd"]
    return simplest, alone / times[simplest]


# ---- what more machines would bring


def cutoff(question: Question) -> float:
    """t*(B*): machines whose gradient takes longer than this, with its messages, add nothing, however many there are.

    The equilibrium time of arXiv:2405.15545; what it says of seconds holds up to a factor of 2.

    >>> round(cutoff(asked("8x0.12 1x2.0", average=16)), 2)
    0.36
    """
    return equilibrium_time(_trips(question.groups), question.B)


def gain(question: Question, kind: int, factor: float) -> float:
    """By how much t*(B*) falls when there are `factor` times as many machines of a kind: 0.2 is 20 % less time.

    >>> [round(gain(asked("8x0.12 1x2.0", average=16), kind, 2), 2) for kind in (0, 1)]
    [0.33, 0.0]
    """
    groups = list(question.groups)
    groups[kind] = dataclasses.replace(groups[kind], count=round(factor * groups[kind].count))
    return 1 - equilibrium_time(_trips(groups), question.B) / cutoff(question)


def enough(question: Question, kind: int, worth: float = 0.05) -> int:
    """How many machines of a kind there can be until doubling them saves less than `worth` of the time; 0 if any does.

    >>> enough(asked("8x0.12 1x2.0", average=16), 0), enough(asked("8x0.12 1x2.0", average=16), 1)
    (256, 0)
    """
    groups = list(question.groups)

    def time(count: int) -> float:
        groups[kind] = dataclasses.replace(groups[kind], count=count)
        trips = _trips(groups)
        return equilibrium_time(trips, question.B) if len(trips) else math.inf

    count = groups[kind].count  # where the doubling of what there is saves less already, that is enough
    if math.isfinite(time(0)) and time(1) >= time(0) * (1 - 1e-12) and time(1024) >= time(0) * (1 - worth):
        return 0
    while count < 2**14 and time(2 * count) < (1 - worth) * time(count):
        count *= 2
    return count


def _trips(groups: Sequence[Group]) -> np.ndarray:
    return np.repeat([group.trip for group in groups], [group.count for group in groups])


# ---- the scenario that does it again


def scenario_of(question: Question, model: Model, plans: Sequence[Plan]) -> dict[str, Any]:
    """The measurement as a scenario."""
    groups = []
    for group in question.groups:
        half = group.communication / 2
        groups.append(
            {"count": group.count, "compute_time": model.law(group)}
            | ({"communication_time": {"uplink": half, "downlink": half}} if half else {})
        )
    return {
        "name": "advice",
        "seeds": list(SEEDS),
        "workers": {"groups": groups},
        "problem": model.section(question.n),
        "target": {"squared_gradient_norm": model.epsilon},
        "methods": [plan.section() for plan in plans],
        "stop": {"target": True, "gradients": model.most_gradients(question.n)},
        "record": {"points": POINTS},
    }


def scenario_text(advice: Advice) -> str:
    """The same as a file, with its origin at the head."""
    question, scenario = advice.question, advice.scenario
    lines = [
        f"# What `asyncsim advise` measured for {', '.join(map(str, question.groups))} a gradient; all methods with tuned stepsizes.",
        "#",
        f"# The model problem: noise such that σ² = {question.B}·ε, that is, about {question.B} gradients averaged make a good step; the",
        f"# target is {question.target:g} times the squared gradient norm at the start.",
        "",
    ]
    for key, value in scenario.items():
        if key in ("methods", "workers"):
            inner = value["groups"] if key == "workers" else value
            lines += [f"{key}:", *(["  groups:"] if key == "workers" else [])]
            lines += [f"  {'  ' if key == 'workers' else ''}- {_flow(entry)}" for entry in inner]
        else:
            lines.append(f"{key}: {_flow(value)}")
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    """A value as YAML on one line; JSON is YAML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, str):
        return value if value.isidentifier() else json.dumps(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    if value == math.inf:
        return ".inf"  # JSON has no word for it
    return json.dumps(value)


def check_free(folder: Path, force: bool) -> None:
    """ValueError if there is an advice in `folder` already, which is not to be replaced."""
    if (folder / "advice.html").exists() and not force:
        raise ValueError(f"{folder} holds an advice already; give another folder, or --force")


def write(advice: Advice, folder: Path) -> list[Path]:
    """advice.html, report.html (how the methods ran) and scenario.yaml in `folder`, which is made; where they are."""
    from asyncsim.report.advice import write_advice

    folder.mkdir(parents=True, exist_ok=True)
    scenario = folder / "scenario.yaml"
    scenario.write_text(scenario_text(advice), encoding="utf-8")
    return [write_advice(advice, folder / "advice.html"), advice.result.report(folder / "report.html"), scenario]
