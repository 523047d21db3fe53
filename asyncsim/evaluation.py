"""Answers: what the gradients are, when they are computed, and how many in one call.

In simulation a gradient is computed when it is read, so that what is discarded or stopped costs nothing. A problem may
offer `gradients(X, rngs, workers)`, and for finite sums `component_gradients(X, indices)`, whose rows have the bits of
the single gradient whatever their companions. Then there are three ways (`How`), which differ in speed and in nothing
else, as the numbers of a run, its events and its checkpoints are the same with each:

- **single**: one by one.
- **batched**: what is read together (`mean`, `total`) is computed together.
- **prefetched**: besides, when an answer is read that is not there yet, others that will be wanted are computed in the
  same call. That can be done as the inputs of a job in flight are fixed: its point, its worker, its number m.

What will be wanted (`Ahead`). Two kinds are watched apart: jobs *in flight*, taken in the order in which they will
arrive, and answers that have arrived, at the same point, but are
*waiting* to be read. Whether the method reads them is found out on the
way, by counting and without computing anything: at a reading some of each kind are chosen as if, and it is seen what
becomes of them. Where at least three of four are read, that kind is computed ahead from then on; where that fails three
times, never more in this run. So Asynchronous SGD, which reads all it sends, has it at once; Rennala SGD, whose jobs
in flight at a step are those that it will discard, never. An answer that was computed ahead and was not read is
counted (`Evaluation.effort`). Whatever is held is bounded by `MEMORY`.

Which way is taken is found out once, by timing (`choose`), and is written down: only a choice that is written down is
the same on another day.
"""

from __future__ import annotations

import dataclasses
import math
import re
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from asyncsim.jobs import Asked, ComponentGradient, Gradient, GradientDifference, LocalSteps
from asyncsim.problems import PROBLEMS, batch_matches_single
from asyncsim.streams import Stream

STACK = 64  # gradients in one call: more of them leave the cache
GROUPS = (32, 64, 8)  # sizes of a group that are tried, the first that is nearly the best is taken
MEMORY = 256 * 2**20  # bytes that stacks and answers computed ahead may take
LEAST_READ = 0.75  # of the answers of a kind that were chosen, this part is read, or it does not pay
ENOUGH = 64  # fates by which that is judged
OFTEN = 3  # times that it did not pay, after which it is over; four times that it did make up for one
_GAIN = 0.8  # a group must take less than this part of the time of single gradients …
_BOOKKEEPING = 5e-6  # … besides these seconds for choosing and keeping a gradient
_NEARLY = 1.15
_PATIENCE = 0.1  # seconds that the trials may take together, about

NAMES = ("single", "batched", "prefetched")


@dataclasses.dataclass(frozen=True)
class How:
    """How the gradients of a run are evaluated; its text stands in the manifest and gives it back.

    `group` is the number of gradients in one call.

    >>> str(How("prefetched", 32)), How.of("prefetched 32")
    ('prefetched 32', How(name='prefetched', group=32))
    """

    name: str
    group: int = STACK

    def __str__(self) -> str:
        return self.name if self.name == "single" or self.group == STACK else f"{self.name} {self.group}"

    @classmethod
    def of(cls, text: str) -> How:
        """From "single", "batched", "prefetched", or one of these with the size of a group behind it."""
        found = re.fullmatch(rf"({'|'.join(NAMES)})(?: ([1-9][0-9]{{0,5}}))?", text)
        if found is None:
            allowed = ", ".join(NAMES)
            raise ValueError(f"evaluation: {text!r} is not known; allowed: auto, {allowed}, as in 'prefetched 32'")
        return cls(found[1], int(found[2] or STACK))


Wanted = tuple[Any, int, int, int]  # the same as (job, worker, m, done)


class Evaluation:
    """The answers of one run.

    Parameters
    ----------
    problem : what gradients are of
    seed : of the run; gradient m of worker i has the luck of (seed, "data", i, m)
    how : see `How`
    now, iteration : simulated seconds, and k
    memory : bytes that a group and what is computed ahead may take

    `ahead` wants to be told of every job that is sent; None when nothing is computed ahead (any more).
    """

    def __init__(
        self,
        problem: Any,
        seed: int,
        how: How,
        now: Callable[[], float],
        iteration: Callable[[], int],
        memory: int = MEMORY,
    ) -> None:
        self._problem = problem
        self._random = getattr(problem, "random", True)
        self._data = Stream(seed, "data")
        self._single = how.name == "single"
        # several components in one job are one call already
        self._stackable = {
            Gradient: hasattr(problem, "gradients"),
            LocalSteps: hasattr(problem, "gradients"),
            ComponentGradient: hasattr(problem, "component_gradients"),
            GradientDifference: hasattr(problem, "component_gradients"),
        }
        self._computed = self._read = self._computed_ahead = 0
        point_bytes = max(1, problem.x0.nbytes)
        self._group = group_within(memory, point_bytes, how.group)
        self.ahead: Ahead | None = None
        if how.name == "prefetched" and self._group > 1:
            points = memory // point_bytes - GROUP_COPIES * self._group
            self.ahead = Ahead(self._together, self._stacks, self._group, points, now, iteration)

    def answers(self, asked: Sequence[Asked]) -> Sequence[Any]:
        """The answers in this order: (d,) arrays, or (end point, gradient sum) for LocalSteps."""
        wanted = [(a.job, a.worker, a.m, a.done) for a in asked]
        if self.ahead is not None:
            answers = self.ahead.answers(wanted)
            if self.ahead.over:
                self._count_ahead(self.ahead)
                self.ahead = None
            return answers
        if self._single or (len(asked) == 1 and asked[0].done == 1):
            return [self._answer(*one) for one in wanted]
        return self._together(wanted)

    def gradient(self, x: np.ndarray, worker: int, m: int) -> Any:
        """The answer (d,) to one `Gradient` at x, where nothing is computed ahead."""
        self._computed += 1
        return self._problem.gradient(x, self._data.at(worker, m) if self._random else None, worker)

    # ---- what it took

    def effort(self) -> dict[str, int]:
        """Gradients `computed`, among them those `ahead` of their reading, and how many of these were `unread`."""
        ahead, read = self._computed_ahead, self._read
        if self.ahead is not None:
            ahead, read = ahead + self.ahead.computed, read + self.ahead.read
        return {"computed": self._computed, "ahead": ahead, "unread": ahead - read}

    def count_read(self, gradients: int) -> None:
        """So many were read where nobody asks for them, as there are no numbers in them (asyncsim/counting.py)."""
        self._computed += gradients

    def _count_ahead(self, ahead: Ahead) -> None:
        self._computed_ahead += ahead.computed
        self._read += ahead.read

    def restore(self, effort: dict[str, int]) -> None:
        """Go on counting after a resume; what was computed ahead is computed again."""
        self._computed, self._computed_ahead = effort["computed"], effort["ahead"]
        self._read = effort["ahead"] - effort["unread"]

    # ---- one by one

    def _answer(self, job: Any, worker: int, m: int, done: int) -> Any:
        self._computed += done
        if type(job) is Gradient:
            gradient = self._problem.gradient(job.x, self._data.at(worker, m) if self._random else None, worker)
            for number in range(m + 1, m + done):
                gradient = gradient + self._problem.gradient(job.x, self._data.at(worker, number), worker)
            return gradient if done == 1 else gradient / done
        if isinstance(job, LocalSteps):
            return self._local_steps(job, worker, m, done)
        if isinstance(job, ComponentGradient):
            return self._components(job.x, job.components[:done])
        if isinstance(job, GradientDifference):
            both_done = job.components[: done // 2]
            return self._components(job.x, both_done) - self._components(job.y, both_done)
        raise TypeError(f"no answer is known for {type(job).__name__}")

    def _components(self, x: np.ndarray, components: Sequence[int]) -> np.ndarray:
        if len(components) > 1 and hasattr(self._problem, "component_mean"):
            mean: np.ndarray = self._problem.component_mean(x, components)
            return mean
        gradient: np.ndarray = self._problem.component_gradient(x, components[0])
        for j in components[1:]:
            gradient = gradient + self._problem.component_gradient(x, j)
        return gradient if len(components) == 1 else gradient / len(components)

    def _local_steps(self, job: LocalSteps, worker: int, m: int, done: int) -> tuple[np.ndarray, np.ndarray]:
        z, gradient_sum = job.x, np.zeros_like(job.x)
        for j in range(done):
            gradient = self._problem.gradient(z, self._data.at(worker, m + j), worker)
            gradient_sum += gradient
            z = z - job.stepsize(j) * gradient
        return z, gradient_sum

    # ---- in stacks, by the same operations in the same order

    def _stacks(self, job: Any) -> bool:
        """Whether answers to such a job can be computed together with others."""
        kind = type(job)
        if kind is Gradient or kind is LocalSteps:
            return self._stackable[kind]
        return self._stackable[kind] and job.cost == (2 if kind is GradientDifference else 1)

    def _together(self, wanted: Sequence[Wanted]) -> list[Any]:
        answers: list[Any] = [None] * len(wanted)
        kinds: dict[type, list[int]] = {}
        for place, one in enumerate(wanted):
            job, _, _, done = one
            if done and self._stacks(job):
                kinds.setdefault(type(job), []).append(place)
                self._computed += done
            else:
                answers[place] = self._answer(*one)
        for kind, places in kinds.items():
            stacked: Iterable[Any] = self._stacked(kind, [wanted[place] for place in places])
            for place, answer in zip(places, stacked, strict=True):
                answers[place] = answer
        return answers

    def _stacked(self, kind: type, wanted: list[Wanted]) -> list[Any]:
        if kind is Gradient:
            return self._stacked_gradients(wanted)
        if kind is LocalSteps:
            return self._stacked_local_steps(wanted)
        at_x = self._component_rows([(job.x, job.components[0]) for job, *_ in wanted])
        if kind is ComponentGradient:
            return at_x
        at_y = self._component_rows([(job.y, job.components[0]) for job, *_ in wanted])
        return [x - y for x, y in zip(at_x, at_y, strict=True)]

    def _stacked_gradients(self, wanted: list[Wanted]) -> list[Any]:
        if all(done == 1 for *_, done in wanted):
            return self._rows([job.x for job, *_ in wanted], [(worker, m) for _, worker, m, _ in wanted])
        sums: list[Any] = [None] * len(wanted)
        places, X, of = [], [], []
        for place, (job, worker, m, done) in enumerate(wanted):
            places += [place] * done
            X += [job.x] * done
            of += [(worker, number) for number in range(m, m + done)]
        # a group at a time, so that what is held at once stays small
        for start in range(0, len(X), self._group):
            part = slice(start, start + self._group)
            for place, row in zip(places[part], self._rows(X[part], of[part]), strict=True):
                if sums[place] is None:
                    sums[place] = row.copy()
                else:
                    sums[place] += row
        return [sum_ if done == 1 else sum_ / done for (*_, done), sum_ in zip(wanted, sums, strict=True)]

    def _stacked_local_steps(self, wanted: list[Wanted]) -> list[Any]:
        answers: list[Any] = []
        for start in range(0, len(wanted), self._group):
            part = wanted[start : start + self._group]
            z, sums = [job.x for job, *_ in part], [np.zeros_like(job.x) for job, *_ in part]
            for j in range(max(done for *_, done in part)):
                going = [i for i, (*_, done) in enumerate(part) if j < done]
                of = [(part[i][1], part[i][2] + j) for i in going]
                for i, row in zip(going, self._rows([z[i] for i in going], of), strict=True):
                    sums[i] += row
                    z[i] = z[i] - part[i][0].stepsize(j) * row
            answers += zip(z, sums, strict=True)
        return answers

    def _rows(self, X: list[np.ndarray], of: list[tuple[int, int]]) -> list[Any]:
        rows: list[Any] = []
        for start in range(0, len(X), self._group):
            some, part = X[start : start + self._group], of[start : start + self._group]
            if len(some) == 1:
                rows.append(self._problem.gradient(some[0], self._data.at(*part[0]), part[0][0]))
            else:
                rows += list(self._problem.gradients(some, _Rngs(self._data, part), [worker for worker, _ in part]))
        return rows

    def _component_rows(self, of: list[tuple[np.ndarray, int]]) -> list[np.ndarray]:
        rows: list[np.ndarray] = []
        for start in range(0, len(of), self._group):
            X, indices = zip(*of[start : start + self._group], strict=True)
            rows += list(self._problem.component_gradients(X, indices))
        return rows


class _Rngs:
    """The data generators of some gradients (worker, m), item by item; each is valid until the next is taken."""

    def __init__(self, data: Stream, of: Sequence[tuple[int, int]]) -> None:
        self._data = data
        self._of = of

    def __len__(self) -> int:
        return len(self._of)

    def __getitem__(self, j: int) -> np.random.Generator:
        return self._data.at(*self._of[j])

    def __iter__(self) -> Iterator[np.random.Generator]:
        at = self._data.at
        return (at(worker, m) for worker, m in self._of)


# ---- ahead of their reading

_Entry = tuple[float, int, int, Any]  # arrives, worker, m, job
_Key = tuple[int, int]  # worker, m


class _Kind:
    """Whether the method reads what is chosen of one kind, as far as it is known.

    While it is off, a few at a time are watched (`watched`); while it is on, all that is computed.
    """

    WATCHED = 32

    def __init__(self) -> None:
        self.on = False
        self.over = False
        self.read = self.dropped = 0
        self.watched = 0  # of those that are watched now, how many were chosen
        self._failed = 0.0

    def judge(self) -> None:
        """Go by the fates since the last judgement, when they are enough."""
        settled = self.read + self.dropped
        if settled < (ENOUGH if self.on else self.WATCHED * LEAST_READ):
            return
        self.on = self.read >= LEAST_READ * settled
        self._failed = max(0.0, self._failed - 0.25) if self.on else self._failed + 1.0
        self.over = self._failed >= OFTEN
        self.read = self.dropped = self.watched = 0


class Ahead:
    """Which answers are computed besides those that are asked for, and kept until they are read.

    Parameters
    ----------
    compute : the answers to some jobs (job, worker, m, done), together
    stacks : whether a job can be among them
    group : gradients in one call
    points : arrays (d,) that may be kept
    now, iteration : simulated seconds, and k

    Whether a job has ended is told from the time at which it was to arrive and from what its worker was sent since:
    now and then that is wrong (a stop, a busy link), and then something is computed too early or in vain.
    """

    def __init__(
        self,
        compute: Callable[[Sequence[Wanted]], list[Any]],
        stacks: Callable[[Any], bool],
        group: int,
        points: int,
        now: Callable[[], float],
        iteration: Callable[[], int],
    ) -> None:
        self._compute = compute
        self._stacks = stacks
        self._group = group
        self._points = points
        self._now = now
        self._iteration = iteration
        self._latest: dict[int, int] = {}  # worker → m of the job that it was sent last
        self._coming: list[_Entry] = []  # a heap of what is in flight and was not chosen
        self._at_most = 1024  # entries of `_coming`, before those that have ended are thrown out
        self._waiting: list[_Entry] = []  # arrived in iteration _k, and neither chosen nor read
        self._k = 0
        self._held: dict[_Key, tuple[Any, _Kind, float, int]] = {}  # answer (None: only watched), arrives, done
        self._ended: dict[_Key, int] = {}  # of these, the iteration at which they were seen to have ended
        self._kept = 0  # arrays that are kept
        self._flying, self._unread = _Kind(), _Kind()
        self._turn = 0
        self._look_in = _Kind.WATCHED  # so many choices and readings from now, the fates are looked at
        self.computed = 0  # gradients computed ahead, and those of them that were read
        self.read = 0
        self.over = False

    def sent(self, worker: int, m: int, job: Any, arrives: float) -> None:
        """A job was sent, and is expected back at `arrives`."""
        self._latest[worker] = m
        if self._stacks(job):
            heappush(self._coming, (arrives, worker, m, job))
            if len(self._coming) > self._at_most:
                self._throw_out()

    def _throw_out(self) -> None:
        now = self._now()
        self._coming = [entry for entry in self._coming if not self._has_ended(entry[0], entry[1], entry[2], now)]
        heapify(self._coming)
        self._at_most = 2 * len(self._coming) + 1024

    def _has_ended(self, arrives: float, worker: int, m: int, now: float) -> bool:
        return arrives <= now or self._latest[worker] != m

    def answers(self, wanted: Sequence[Wanted]) -> list[Any]:
        """The answers in this order, some of which are there already."""
        answers: list[Any] = []
        missing: list[Wanted] = []
        surprised = False
        for one in wanted:
            held = self._held.pop((one[1], one[2]), None)
            answer = None
            if held is None:
                surprised = True
            else:
                answer = self._taken(held, one)
            answers.append(answer)
            if answer is None:
                missing.append(one)
        if missing:
            found = iter(self._with(missing, *self._companions(missing)) if surprised else self._compute(missing))
            self._look_in -= surprised
            answers = [next(found) if answer is None else answer for answer in answers]
        if self._look_in <= 0:
            self._look_at_fates()
        return answers

    def held(self, worker: int, m: int) -> Any:
        """What `answers` gives for this one gradient, on the shortest way, where it is there; else None."""
        held = self._held.get((worker, m))
        if held is None or held[0] is None or held[3] != 1 or self._look_in <= 1:
            return None
        del self._held[worker, m]
        return self._taken(held, (None, worker, m, 1))

    def _taken(self, held: tuple[Any, _Kind, float, int], one: Wanted) -> Any:
        """The answer that was held, for this reading; None where there is none."""
        answer, kind, _, done = held
        kind.read += 1
        self._look_in -= 1
        if self._ended:
            self._ended.pop((one[1], one[2]), None)
        if answer is None:
            return None
        self._kept -= _arrays(answer)
        if done != one[3]:
            return None  # it was cut short in between
        self.read += done
        return answer

    def _with(self, missing: list[Wanted], companions: list[_Entry], first_flying: int) -> list[Any]:
        """The answers to what is missing; those of the companions are kept."""
        if not companions:
            return self._compute(missing)
        try:
            answers = self._compute([*missing, *((job, worker, m, job.cost) for _, worker, m, job in companions)])
        except Exception:
            # what nobody asked for must not end the run; if it was the other one it fails again, alone
            self._give_up()
            return self._compute(missing)
        held, kind = self._held, self._unread
        for place, (arrives, worker, m, job) in enumerate(companions):
            if place == first_flying:
                kind = self._flying
            answer = _own(answers[len(missing) + place])
            held[worker, m] = (answer, kind, arrives, cost := job.cost)
            self._kept += 2 if type(answer) is tuple else 1
            self.computed += cost
        self._look_in -= len(companions)
        return [_own(answer) for answer in answers[: len(missing)]]

    def _give_up(self) -> None:
        self.over = True
        for everything in (self._held, self._ended, self._coming, self._waiting, self._latest):
            everything.clear()
        self._kept = 0

    # ---- choosing

    def _companions(self, missing: Sequence[Wanted]) -> tuple[list[_Entry], int]:
        """What to compute besides: first what waits to be read, so many, then what is in flight."""
        room = self._group - sum(_rows(job, done) for job, _, _, done in missing)
        if self._kept + 2 * self._group > self._points:
            room = min(room, self._make_room())
        self._sort_out({(worker, m) for _, worker, m, _ in missing}, missing[0][0].x)
        chosen: list[_Entry] = []
        if self._unread.on:
            room = self._choose_waiting(chosen, room)
        elif self._waiting and self._unread.watched < _Kind.WATCHED:
            self._watch(self._unread, self._waiting.pop())
        waiting = len(chosen)
        if self._flying.on:
            self._choose_coming(chosen, room)
        elif self._coming and not self._flying.over and self._flying.watched < _Kind.WATCHED:
            # not the first to arrive each time: those are read more often than the others of a group
            self._turn += 1
            self._watch(self._flying, self._coming[self._turn % min(len(self._coming), self._group)])
        return chosen, waiting

    def _sort_out(self, missing: set[_Key], x: np.ndarray) -> None:
        """Take from `_coming` what has arrived. What nobody has read waits for it until the next step.

        Only at the point that is read now: what was computed at another one is read at once, or it was too old.
        """
        k, coming, waiting = self._iteration(), self._coming, self._waiting
        if k != self._k:
            waiting.clear()
            self._k = k
        elif waiting:
            waiting[:] = [entry for entry in waiting if (entry[1], entry[2]) not in missing]
        now = self._now()
        while coming and coming[0][0] <= now:
            entry = heappop(coming)
            if not self._unread.over and entry[3].x is x and (entry[1], entry[2]) not in missing:
                waiting.append(entry)

    def _choose_waiting(self, chosen: list[_Entry], room: int) -> int:
        while room > 0 and self._waiting:
            chosen.append(self._waiting.pop())
            room -= _rows(chosen[-1][3], chosen[-1][3].cost)
        return room

    def _choose_coming(self, chosen: list[_Entry], room: int) -> None:
        coming, latest = self._coming, self._latest
        while room > 0 and coming:
            entry = heappop(coming)
            # what is not the latest was stopped, and what is held is watched or there
            if latest[entry[1]] == entry[2] and (entry[1], entry[2]) not in self._held:
                chosen.append(entry)
                room -= _rows(entry[3], entry[3].cost)

    def _watch(self, kind: _Kind, entry: _Entry) -> None:
        arrives, worker, m, _ = entry
        if (worker, m) not in self._held and self._latest[worker] == m:
            self._held[worker, m] = (None, kind, arrives, 0)
            kind.watched += 1

    # ---- what became of it

    def _look_at_fates(self) -> None:
        k, now = self._iteration(), self._now()
        for (worker, m), (_, kind, arrives, _) in list(self._held.items()):
            if self._has_ended(arrives, worker, m, now) and self._ended.setdefault((worker, m), k) < k:
                self._drop((worker, m))  # it ended before the last step and was not read
                kind.dropped += 1
        self._flying.judge()
        self._unread.judge()
        # where none that waited was ever read, there is nothing to wait for
        if self._flying.over and not self._unread.on and (self._unread.over or not self._unread.read):
            self._give_up()
        self._look_in = max(4 * self._group, len(self._held)) if self._flying.on or self._unread.on else _Kind.WATCHED

    def _make_room(self) -> int:
        """Drop what has ended, and if that is not enough the half that arrives last; how many may then be chosen."""
        self._look_at_fates()
        if self._kept + 2 * self._group > self._points:
            held = [key for key, (answer, *_) in self._held.items() if answer is not None]
            held.sort(key=lambda key: self._held[key][2])
            for key in held[len(held) // 2 :]:
                self._drop(key)
        return (self._points - self._kept) // 2

    def _drop(self, key: _Key) -> None:
        self._kept -= _arrays(self._held.pop(key)[0])
        self._ended.pop(key, None)


def _arrays(answer: Any) -> int:
    return 0 if answer is None else 2 if type(answer) is tuple else 1


def _rows(job: Any, done: int) -> int:
    """How many rows of a stack it takes at one time."""
    return 1 if type(job) is LocalSteps else done


def _own(answer: Any) -> Any:
    """An answer that is no row of a larger array, which would live as long as it."""
    return answer.copy() if type(answer) is np.ndarray and answer.base is not None else answer


# ---- which way


def choose(problem: Any, asked: str = "auto", n: int = 100) -> How:
    """The way to evaluate the gradients of `problem` with n workers: the one asked for, or by trial ("auto").

    It is single where the problem has no functions for many, or where their rows have other bits; else it goes by
    seconds a gradient, alone and in groups. Where every arrival is a step, about √n jobs in flight are new since
    the last group, so a group of that size must pay. What was found is remembered for this process.

    >>> from asyncsim import Quadratic
    >>> str(choose(Quadratic(10), "single"))
    'single'
    """
    if asked != "auto":
        how = How.of(asked)
        if how.name != "single" and not _offers_many(problem):
            raise ValueError(
                f"evaluation: {how.name} needs a problem with gradients(X, rngs, workers); "
                f"{type(problem).__name__} has none"
            )
        return how
    typical = max((size for size in GROUPS if size <= 2 * math.sqrt(n)), default=0)
    key = (*_key(problem), typical)
    known, _ = _KNOWN.get(key, (None, None))
    if known is None:
        known = _found_out(problem, typical)
        _KNOWN[key] = known, _forgetting(problem, key)
    return known


GROUP_COPIES = 4  # points, rows and what comes between, for each gradient of a group


def group_within(memory: int, point_bytes: int, wanted: int) -> int:
    """The size of a group that takes no more than half of the memory, at most as `wanted`, at least 1.

    >>> group_within(256 * 2**20, 8 * 650, 64), group_within(256 * 2**20, 8 * 10**6, 64)
    (64, 4)
    """
    return max(1, min(wanted, memory // (2 * GROUP_COPIES * point_bytes)))


def memory_of(problem: Any, how: How, n: int) -> dict[str, int]:
    """What a run with n workers takes at most, in bytes: its points, and groups with what is computed ahead.

    Points are those in flight, each alive once, and the newest; what a method keeps itself (a table) is not in it.

    >>> from asyncsim import Quadratic
    >>> memory_of(Quadratic(1000), How("prefetched", 32), n=100)
    {'points': 101, 'numbers': 1000, 'number_bytes': 8, 'points_bytes': 808000, 'groups_bytes': 1824000}
    """
    point_bytes = problem.x0.nbytes
    group = 1 if how.name == "single" else group_within(MEMORY, max(1, point_bytes), how.group)
    ahead = n if how.name == "prefetched" else 0
    return {
        "points": n + 1,
        "numbers": int(problem.dimension),
        "number_bytes": int(problem.x0.itemsize),
        "points_bytes": (n + 1) * point_bytes,
        "groups_bytes": min(MEMORY, (GROUP_COPIES * group + ahead) * point_bytes),
    }


_KNOWN: dict[Any, tuple[How, Any]] = {}


def _key(problem: Any) -> tuple[Any, ...]:
    """By what a problem is known again: a registered one by its parameters, another one as this object."""
    if type(problem) in PROBLEMS.values():
        values = tuple(repr(getattr(problem, field.name)) for field in dataclasses.fields(problem))
        return type(problem), problem.dimension, values
    return (id(problem),)


def _forgetting(problem: Any, key: Any) -> Any:
    """Lets an object's entry go with the object, as the next one may stand at its address."""
    if type(problem) in PROBLEMS.values():
        return None
    try:
        return weakref.ref(problem, lambda _: _KNOWN.pop(key, None))
    except TypeError:
        return problem  # it can't be watched, so it stays


def _offers_many(problem: Any) -> bool:
    return hasattr(problem, "gradients") or hasattr(problem, "component_gradients")


def _found_out(problem: Any, typical: int) -> How:
    if not _offers_many(problem):
        return How("single")
    if problem.dimension == 0:
        return How("batched")  # timing only: there is nothing to compute
    # one thread as in a run; what overflows at the points of the trials would not do so in a run
    with threadpool_limits(limits=1, user_api="blas"), np.errstate(over="ignore", invalid="ignore"):
        if not batch_matches_single(problem):
            return How("single")
        return _quickest(problem, typical) if hasattr(problem, "gradients") else How("batched")


def _quickest(problem: Any, typical: int) -> How:
    luck = np.random.default_rng(0)
    most = group_within(MEMORY, max(1, problem.x0.nbytes), max(GROUPS))
    points = [
        (problem.x0 + 0.1 * luck.standard_normal(problem.dimension)).astype(problem.x0.dtype) for _ in range(most)
    ]
    single = _seconds(problem, points[:8], together=False)
    if single * most > _PATIENCE:  # so dear that the trial would be, too
        return How("batched")
    seconds = {size: _seconds(problem, points[:size], together=True) for size in GROUPS if size <= most}
    if typical in seconds and seconds[typical] + _BOOKKEEPING < _GAIN * single:
        best = min(seconds.values())
        return How("prefetched", next(size for size in GROUPS if seconds.get(size, math.inf) <= _NEARLY * best))
    at_one_point = _seconds(problem, [points[0]] * most, together=True)
    return How("batched") if at_one_point <= single / _GAIN else How("single")


def _seconds(problem: Any, points: list[np.ndarray], together: bool) -> float:
    """The least of some trials, in seconds a gradient."""
    data = Stream(0, "trial of evaluation")
    n = problem.workers if isinstance(getattr(problem, "workers", None), int) else len(points)
    of = [(place % n, place) for place in range(len(points))]
    least = math.inf
    for _ in range(3):
        begun = time.perf_counter()
        if together:
            for row in problem.gradients(points, _Rngs(data, of), [worker for worker, _ in of]):
                row.copy()
        else:
            for x, (worker, m) in zip(points, of, strict=True):
                problem.gradient(x, data.at(worker, m), worker)
        least = min(least, time.perf_counter() - begun)
    return least / len(points)
