"""Self-check of a run: does it keep what its method's paper says of it?

`verify: true` in a scenario, or `verify=True` in `simulate`, puts a `VerifyingServer` in the place of the
server. It looks at every event as it happens and raises a `VerificationError`, which names the iteration
and the workers, at the first breach; nothing else changes, neither numbers nor events. An event costs a few
comparisons more; a method on the tree (below) also one addition and one norm of a gradient.

Of every method:

1.  Time does not run backwards, and k grows by one at each step.
2.  What arrives was at work and arrives once; the gradients of a worker are numbered without a gap.
3.  No delay is negative.
4.  A gradient is read within one iteration and stands once in a sum. (A method may keep what it has read: a
    table does. Reading the arrival again later would compute at an old point what was used already.)
5.  At the end, for each worker, sent = used + discarded + stopped + timed out + lost + in flight.

A method adds what its paper promises by ``invariants(n) -> Invariants``:

6.  `largest_delay`: no gradient is read when its point is older than this.
7.  `one_update_each`: n steps make a round; in it each worker triggers exactly one, every row of the table
    is filled at the first, and no row is older than `largest_delay` at the last (Ringleader ASGD).
8.  `tree`: plain SGD with one stepsize a gradient on homogeneous data, seen as a tree of points whose edges are
    gradients (Birch SGD, arXiv:2505.09218). x^k lies on the main branch, at as many edges from x⁰ as gradients were
    applied. The theorem asks for three conditions:
    C1  fresh luck: a gradient enters once, and whether it is applied does not depend on what it is. So what was
        read must be applied: each step's direction is the sum or the mean of what was read since the last.
    C2  what a gradient's point contains, x^k contains: all points sent are iterates. Local steps are applied in
        their order, so that each one's predecessors are on the main branch before it.
    C3  the distance between the point a gradient was computed at and the one it is applied to is at most R. It
        is the number of gradients on the main branch since the point was left, those of the same sum included.
    R is measured, compared with `tree_distance` where the method declares it, and gives the theorem's
    stepsize γ = min{1/(2L), 1/(2RL), ε/(4σ²L)} of one gradient.
"""

from __future__ import annotations

import dataclasses
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from asyncsim.jobs import Arrival, Assignment, GradientDifference, Job, LocalSteps
from asyncsim.server import Server, named
from asyncsim.theory import Knowledge, birch_stepsize

# What a sum may be off, as a share of the sum of the norms of its gradients: in float64 always far less than this; in
# float32, and for very many gradients, what adding them up, dividing and multiplying can cost at most
ROUNDING = 1e-9


class VerificationError(RuntimeError):
    """A run broke an invariant; `iteration` and `workers` say where.

    >>> print(VerificationError("a delay of 7 was read", iteration=12, workers=[3]))
    at iteration 12, worker 3: a delay of 7 was read
    """

    def __init__(self, message: str, iteration: int, workers: Sequence[int] = ()) -> None:
        who = f", worker {workers[0]}" if len(workers) == 1 else f", workers {named(workers)}" if workers else ""
        super().__init__(f"at iteration {iteration}{who}: {message}")
        self.iteration = iteration
        self.workers = tuple(workers)


@dataclasses.dataclass(frozen=True)
class Invariants:
    """What a method's paper promises of every run, for n workers; see rules 6 to 8 at the head of this file.

    largest_delay : of a gradient when it is read, in iterations; None is no bound
    one_update_each : whether each worker makes exactly one of the n updates of a round
    tree : whether it is plain SGD on the tree of Birch SGD
    tree_distance : the R that its paper proves, where there is one

    >>> from asyncsim import RingleaderASGD
    >>> RingleaderASGD(stepsize=0.1).invariants(n=4)
    Invariants(largest_delay=6, one_update_each=True, tree=False, tree_distance=None)
    """

    largest_delay: int | None = None
    one_update_each: bool = False
    tree: bool = False
    tree_distance: int | None = None


def promised(method: Any, n: int) -> Invariants:
    """The invariants that `method` declares for n workers; none if it declares nothing.

    >>> from asyncsim import RingmasterASGD
    >>> promised(RingmasterASGD(stepsize=0.1, threshold=5), n=100).largest_delay
    4
    """
    declared = getattr(method, "invariants", None)
    return declared(n) if callable(declared) else Invariants()


class VerifyingServer(Server):
    """The server, which checks each event before it lets it pass. Parameters as of `Server`, and:

    invariants : what the method promises
    """

    def __init__(self, *of_a_server: Any, invariants: Invariants) -> None:
        super().__init__(*of_a_server)
        self._promised = invariants
        self._last_time = -math.inf
        self._steps = 0  # k, counted here
        self._sent = [0] * self.n
        self._ended = [0] * self.n
        self._at_work: dict[int, Assignment] = {}
        self._found_delay = 0
        self._last_arrival: int | None = None  # the worker of the last one since the last step
        self._foreign = False  # the point sent last is no iterate
        self._round = _Round(self.n) if invariants.one_update_each else None
        self._tree = _Tree(self._x) if invariants.tree else None

    # ---- events

    def send(self, worker: int, job: Job, **options: Any) -> None:
        self._foreign = False
        super().send(worker, job, **options)
        self._check_time()
        a = self._in_flight[worker]
        assert a is not None  # Server.send has put it there
        if a.m != self._sent[worker]:
            raise self._breach(
                f"its next gradient has number {a.m}, but {self._sent[worker]} were given so far", worker
            )
        if self._tree is not None and (self._foreign or isinstance(job, GradientDifference)):
            what = "a difference of gradients" if isinstance(job, GradientDifference) else "a point that is no iterate"
            raise self._breach(f"{what} is sent, which has no place on the tree (C2)", worker)
        self._sent[worker] += job.cost
        self._at_work[worker] = a

    def receive(self) -> Any:
        came = super().receive()
        self._check_time()
        if isinstance(came, Arrival):
            if came.delay < 0:
                raise self._breach(f"its gradient has delay {came.delay}", came.worker)
            self._last_arrival = came.worker
        return came

    def step(self, stepsize: float, direction: np.ndarray, **state: Any) -> np.ndarray:
        if self._tree is not None and getattr(direction, "shape", None) == self._x.shape:
            self._check_sum(direction, {1, self._tree.gradients, len(self._tree.read), self.n})
        return super().step(stepsize, direction, **state)

    def update(self, x: np.ndarray, **state: Any) -> np.ndarray:
        if self._tree is not None and getattr(x, "shape", None) == self._x.shape:
            # the stepsize is in x already
            direction, sum_ = self._x - x, self._tree.sum
            square = float(sum_ @ sum_)
            factor = float(direction @ sum_) / square if square > 0 else 1.0
            # the difference of two long points has the rounding of both
            lost = _epsilon(x) * (_norm(x) + _norm(self._x)) / (factor if factor > 0 else 1.0)
            self._check_sum(direction / factor if factor > 0 else direction, {1}, lost)
        return super().update(x, **state)

    def _release(self, assignment: Assignment) -> None:
        super()._release(assignment)
        worker = assignment.worker
        if self._at_work.pop(worker, None) is not assignment:
            raise self._breach(f"{assignment!r} came back, but is not at work: it came before, or was stopped", worker)
        self._ended[worker] += assignment.job.cost

    def _read(self, arrivals: Sequence[Arrival]) -> Sequence[Any]:
        for arrival in arrivals:
            self._check_reading(arrival)
        fresh = [arrival._used_at is None for arrival in arrivals]
        if len(set(map(id, arrivals))) < len(arrivals):
            twice = sorted({a.worker for a in arrivals if sum(other is a for other in arrivals) > 1})
            raise self._breach("one gradient stands twice in a sum", *twice)
        answers = super()._read(arrivals)
        for arrival, answer, is_fresh in zip(arrivals, answers, fresh, strict=True):
            if is_fresh:
                self._enter(arrival, answer)
        return answers

    def _read_again(self, arrival: Arrival) -> None:
        self._check_reading(arrival)

    def _discard(self, arrival: Arrival) -> None:
        if self._tree is not None and arrival._used_at is not None:
            message = "its gradient was read and then rejected: the choice may depend on it (C1)"
            raise self._breach(message, arrival.worker)
        super()._discard(arrival)

    def _adopt(self, job: Job, field: str) -> None:
        super()._adopt(job, field)
        self._foreign = True

    def _advance(self, x: np.ndarray, state: dict[str, Any]) -> np.ndarray:
        self._check_time()
        if self._k != self._steps:
            raise self._breach(f"k is {self._k} after {self._steps} steps")
        if self._round is not None:
            self._check_round(self._round)
        if self._tree is not None:
            self._check_distance(self._tree)
        self._last_arrival = None
        self._steps += 1  # before the step: its checkpoint is written inside
        return super()._advance(x, state)

    # ---- checks

    def _breach(self, message: str, *workers: int) -> VerificationError:
        return VerificationError(message, self._k, workers)

    def _check_time(self) -> None:
        now = self._engine.now()
        if now < self._last_time:
            raise self._breach(f"time runs backwards, from {self._last_time!r} to {now!r}")
        self._last_time = now

    def _check_reading(self, arrival: Arrival) -> None:
        if arrival._used_at not in (None, self._k):
            message = f"its gradient is read again; it was used at iteration {arrival._used_at}"
            raise self._breach(message, arrival.worker)

    def _enter(self, arrival: Arrival, answer: Any) -> None:
        """A gradient is used."""
        delay, allowed = self._k - arrival._assignment.version, self._promised.largest_delay
        if allowed is not None and delay > allowed:
            message = f"a gradient with delay {delay} is used, but {allowed} is the largest allowed"
            raise self._breach(message, arrival.worker)
        self._found_delay = max(self._found_delay, delay)
        if self._round is not None:
            self._round.enter(arrival.worker, arrival._assignment.version)
        if self._tree is not None:
            self._tree.enter(arrival, answer)

    def _check_round(self, round_: _Round) -> None:
        k, n, worker = self._k, self.n, self._last_arrival
        if worker is None:
            raise self._breach("an update without an arrival: who makes it?")
        if worker in round_.updated:
            raise self._breach(f"it makes a second update in round {k // n}, where each makes one", worker)
        if k % n == 0 and (empty := round_.empty()):
            raise self._breach(f"round {k // n} begins to update before these have delivered", *empty)
        round_.updated.add(worker)
        if (k + 1) % n == 0:
            allowed = self._promised.largest_delay
            oldest = int(np.argmin(round_.rows))
            delay = k - int(round_.rows[oldest])
            if allowed is not None and delay > allowed:
                raise self._breach(f"its row is {delay} iterations old, but {allowed} is the largest allowed", oldest)
            self._found_delay = max(self._found_delay, delay)
            round_.end()

    def _check_sum(self, direction: np.ndarray, divisors: set[int], lost: float = 0.0) -> None:
        assert self._tree is not None
        sum_, terms = self._tree.sum, len(self._tree.read) + 4
        rounding = lost + max(ROUNDING, terms * _epsilon(sum_)) * self._tree.norms
        if not math.isfinite(float(sum_ @ sum_)):
            return  # it diverges, which is no breach
        if self._tree.read and any(_norm(d * direction - sum_) <= rounding for d in divisors if d):
            return
        workers = sorted({arrival.worker for arrival in self._tree.read})
        raise self._breach(
            f"the step is neither the sum nor the mean of the {self._tree.gradients} gradients read since the last "
            "step: one is left out, weighted, or applied again (C1)",
            *workers,
        )

    def _check_distance(self, tree: _Tree) -> None:
        allowed = self._promised.tree_distance
        for arrival, distance in tree.apply():
            if allowed is not None and distance > allowed:
                message = f"its gradient is applied at tree distance {distance}, but {allowed} is allowed (C3)"
                raise self._breach(message, arrival.worker)

    # ---- the end

    def verification(self, knowledge: Knowledge) -> dict[str, Any]:
        """What was verified, as plain numbers by name; called when the run is over. Checks rule 5."""
        log = self._log
        log.flush()
        in_flight = np.array(self._sent) - np.array(self._ended)
        discarded = log.arrived - log.used
        ways = log.used + discarded + log.stopped + log.timed_out + log.lost + in_flight
        wrong = np.flatnonzero((ways != self._sent) | (discarded < 0) | (in_flight < 0)).tolist()
        if wrong:
            raise self._breach(
                "sent is not used + discarded + stopped + timed out + lost + in flight: "
                f"{self._sent[wrong[0]]} and {ways[wrong[0]]} at worker {wrong[0]}",
                *wrong,
            )
        found: dict[str, Any] = {"iterations": self._steps, "largest_delay": self._found_delay}
        if self._promised.largest_delay is not None:
            found["largest_delay_allowed"] = self._promised.largest_delay
        if self._round is not None:
            found["rounds"] = self._steps // self.n
        return found | ({} if self._tree is None else self._of_the_tree(self._tree, knowledge))

    def _of_the_tree(self, tree: _Tree, knowledge: Knowledge) -> dict[str, Any]:
        found: dict[str, Any] = {"tree_distance": tree.distance}
        if self._promised.tree_distance is not None:
            found["tree_distance_allowed"] = self._promised.tree_distance
        arrived = int(self._log.arrived.sum())
        found["applied_of_arrived"] = tree.main.length / arrived if arrived else math.nan
        known = (knowledge.L, knowledge.sigma2, knowledge.epsilon)
        if None not in known and self._update_rule is None:
            found["tree_stepsize"] = birch_stepsize(*known, R=tree.distance)  # type: ignore[arg-type]
        return found

    # ---- taking a run up again

    def snapshot(self) -> dict[str, Any]:
        own = {
            "last_time": self._last_time,
            "found_delay": self._found_delay,
            "ended": np.array(self._ended),
            "round": None if self._round is None else self._round.state(),
            "tree": None if self._tree is None else self._tree.state(),
        }
        return super().snapshot() | {"verify": own}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        super().restore(snapshot)
        own = snapshot["verify"]
        self._steps = self._k
        self._last_time, self._found_delay = own["last_time"], own["found_delay"]
        self._sent, self._ended = list(self._given), own["ended"].tolist()
        self._at_work = {a.worker: a for a in snapshot["in_flight"]}
        if self._round is not None:
            self._round.restore(own["round"])
        if self._tree is not None:
            self._tree.restore(own["tree"])


def server_for(method: Any, verify: bool, engine: Any, x0: np.ndarray, n: int, *further: Any) -> Server:
    """The server of a run of `method`: one that verifies, or the plain one."""
    if verify:
        return VerifyingServer(engine, x0, n, *further, invariants=promised(method, n))
    return Server(engine, x0, n, *further)


_NO_ROW = 2**62


class _Round:
    """Who has made its update of this round, and the oldest version in each row of its table and of the next."""

    def __init__(self, n: int) -> None:
        self.updated: set[int] = set()
        self.rows = np.full(n, _NO_ROW)
        self.next_rows = np.full(n, _NO_ROW)

    def enter(self, worker: int, version: int) -> None:
        rows = self.next_rows if worker in self.updated else self.rows
        rows[worker] = min(rows[worker], version)

    def empty(self) -> list[int]:
        found: list[int] = np.flatnonzero(self.rows == _NO_ROW).tolist()
        return found

    def end(self) -> None:
        self.updated.clear()
        self.rows, self.next_rows = self.next_rows, np.full(len(self.rows), _NO_ROW)

    def state(self) -> list[Any]:
        return [sorted(self.updated), self.rows, self.next_rows]

    def restore(self, state: Sequence[Any]) -> None:
        updated, self.rows, self.next_rows = state
        self.updated = set(updated)


class _Tree:
    """The main branch, and what was read since the last step."""

    def __init__(self, x0: np.ndarray) -> None:
        self.main = _MainBranch()
        self.distance = 0  # R as measured
        self._zero = 0.0 * x0
        self._begin()

    def _begin(self) -> None:
        self.read: list[Arrival] = []
        self.gradients = 0
        self.sum = self._zero
        self.norms = 0.0

    def enter(self, arrival: Arrival, answer: Any) -> None:
        # the answer of local steps is (end point, sum of gradients), of other jobs the mean of gradients
        added = answer[1] if isinstance(arrival.job, LocalSteps) else arrival.count * answer
        self.read.append(arrival)
        self.gradients += arrival.count
        self.sum = self.sum + added
        self.norms += _norm(added)

    def apply(self) -> list[tuple[Arrival, int]]:
        """Put what was read on the main branch, in order; each arrival with the distance of its last gradient."""
        distances, length = [], self.main.length
        for arrival in self.read:
            if arrival.count:
                length += arrival.count
                distances.append((arrival, length - 1 - self.main.at(arrival._assignment.version)))
        self.main.add(self.gradients)
        self.distance = max([self.distance, *(distance for _, distance in distances)])
        self._begin()
        return distances

    def state(self) -> list[Any]:
        return [self.distance, self.main.state()]

    def restore(self, state: Sequence[Any]) -> None:
        self.distance, main = state
        self.main.restore(main)


class _MainBranch:
    """How many gradients lie between x⁰ and x^k, for every k so far; one entry as long as steps are equally large.

    >>> main = _MainBranch()
    >>> for gradients in (3, 3, 3, 1, 3):
    ...     main.add(gradients)
    >>> [main.at(k) for k in range(6)], main.length
    ([0, 3, 6, 9, 10, 13], 13)
    """

    def __init__(self) -> None:
        self.length = 0
        self._k = 0
        self._from: list[int] = []  # the k from which on each step has …
        self._each: list[int] = []  # … so many gradients
        self._at: list[int] = []  # the length at that k

    def add(self, gradients: int) -> None:
        if not self._each or self._each[-1] != gradients:
            self._from.append(self._k)
            self._each.append(gradients)
            self._at.append(self.length)
        self._k += 1
        self.length += gradients

    def at(self, k: int) -> int:
        if k == self._k:
            return self.length
        i = bisect_right(self._from, k) - 1
        return self._at[i] + (k - self._from[i]) * self._each[i]

    def state(self) -> list[Any]:
        return [self.length, self._k, np.array([self._from, self._each, self._at], dtype=np.int64)]

    def restore(self, state: Sequence[Any]) -> None:
        self.length, self._k, table = state
        self._from, self._each, self._at = table.tolist()


def _epsilon(x: Any) -> float:
    """Of the numbers of an array, or of a tensor."""
    return 2.0**-52 if x.dtype.itemsize == 8 else 2.0**-23


def _norm(x: np.ndarray) -> float:
    return math.sqrt(float(x @ x))
