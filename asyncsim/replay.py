"""Exact replay: a run that kept every event, played again with what was measured in the place of time and luck.

A run on real workers can't be repeated, but it can be replayed. The engine here is the record itself: it delivers the
same answers at the same instants in the same order, lets the same timers fire and the same deadlines pass, and loses
the jobs that were lost. The method is run anew behind the same server, and every gradient is computed anew from (seed,
worker, m), one at a time, as a worker does. A replay shows that the arrivals explain all that happened; it can be
looked into, verified (asyncsim/verify.py), and repeated.

1. The record decides *when*: an answer comes when it came, a stop that keeps brings the gradients that it brought. The
   method decides *what*. Each of its sends, readings, steps and stops is held against the record as it happens; at the
   first that differs the replay ends with a `PartedError` that says where.
2. A gradient is sent at the moment of the delivery after which it was sent: what the server took to answer is the first
   part of its way to the worker. What the record says of its way is taken from the record.
3. Records of the curves are taken at the iterations and instants at which they were.
4. What methods see of compute times comes from the record: of one gradient the seconds between its begin and its end, of
   a job of several their mean, as nothing else was kept.
5. The event hash of a replay is that of the run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asyncsim import log as log_
from asyncsim.evaluation import Evaluation, How
from asyncsim.folder import RunFolder, read_folder, read_rows
from asyncsim.jobs import Assignment, TimerFired
from asyncsim.log import Log, Rows
from asyncsim.record import Recorder
from asyncsim.result import KINDS, Result, Run
from asyncsim.server import EndOfRun, Server

if TYPE_CHECKING:
    from asyncsim.scenario import Scenario

__all__ = ["Measured", "PartedError", "ReplayError", "exact", "measured_runs", "scenario_of"]


class ReplayError(ValueError):
    """A run folder can't be replayed: says why and what to do."""


class PartedError(ReplayError):
    """What is replayed goes another way than what was measured."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured in one run: `ends` and `marks` as asyncsim.log has them, in the order in which they happened."""

    run: Run
    ends: Rows
    marks: Rows

    @property
    def sent(self) -> int:
        """Gradients that were sent."""
        return self.run.sent

    @property
    def points(self) -> list[tuple[float, int]]:
        """When records were taken: (time, iteration)."""
        return [(float(t), int(k)) for t, k in zip(self.run.curves["time"], self.run.curves["iteration"], strict=True)]


class CheckedLog(Log):
    """The log of a replay: what is written has to be what was measured, and is given its time."""

    def __init__(self, measured: Measured, *rest: Any) -> None:
        super().__init__(*rest)
        self._measured = measured
        self._ends_seen = 0
        self._marks_seen = 0

    @property
    def next_end(self) -> Any:
        """The row of what ended next; None when nothing did."""
        ends = self._measured.ends
        return ends[self._ends_seen] if self._ends_seen < len(ends) else None

    @property
    def next_mark(self) -> Any:
        """The row of what the server did next; None when nothing."""
        marks = self._measured.marks
        return marks[self._marks_seen] if self._marks_seen < len(marks) else None

    @property
    def next_time(self) -> float:
        """When the next thing happened; inf when nothing did."""
        return min(
            (float(row[log_.TIME]) for row in (self.next_end, self.next_mark) if row is not None), default=math.inf
        )

    def ended(self, a: Assignment, time: float, k: int) -> None:
        row = self.next_end
        happened = (a.worker, a.m, a.outcome, k, a.version, a.done, a.job.cost)
        self._compare(row, (log_.WORKER, log_.M, log_.KIND, log_.K, log_.VERSION, log_.DONE, log_.COST), happened)
        a.sent, a.computing_from, a.computing_to = (
            float(row[c]) for c in (log_.SENT, log_.COMPUTING_FROM, log_.COMPUTING_TO)
        )
        self._ends_seen += 1
        super().ended(a, float(row[log_.TIME]), k)

    def mark(self, time: float, worker: int, m: int, kind: int, k: int, delay: int, gradients: int) -> None:
        row = self.next_mark
        # columns of marks: time, worker, m, kind, k, delay, gradients
        self._compare(row, range(log_.WORKER, log_.GRADIENTS + 1), (worker, m, kind, k, delay, gradients))
        self._marks_seen += 1
        super().mark(float(row[log_.TIME]), worker, m, kind, k, delay, gradients)

    def _compare(self, row: Any, columns: Sequence[int] | range, happened: tuple[int, ...]) -> None:
        if row is None:
            raise PartedError(f"{self.place}: {_words(happened)}, but there the measured run had ended")
        was = tuple(int(row[column]) for column in columns)
        if was != happened:
            raise PartedError(
                f"{self.place}: {_words(happened)}, but measured was: {_words(was)} (t = {row[log_.TIME]:g} s)"
            )

    @property
    def place(self) -> str:
        """Where the replay is, for a message."""
        return f"after {self._ends_seen} ended jobs and {self._marks_seen} readings, steps and timers"


def _words(event: tuple[int, ...]) -> str:
    worker, m, kind, k, *_ = event
    who = f"worker {worker}, gradient {m}, " if worker >= 0 else ""
    return f"{who}{KINDS[kind]} at iteration {k} {event[4:]}"


class Playback:
    """The engine of a replay; see the head of this file."""

    def __init__(self, measured: Measured, problem: Any, seed: int, how: How, log: CheckedLog, recorder: Recorder):
        self._measured = measured
        self._log = log
        self._recorder = recorder
        self.evaluation = Evaluation(problem, seed, how, self.now, lambda: self._server.k)
        # the last one is taken when the run is over, after all that happened at its last instant
        self._points = measured.points if measured.run.status == "failed" else measured.points[:-1]
        self._point = 0
        self._now = 0.0
        self._out: dict[int, Assignment] = {}  # in flight, by worker
        self._given = 0
        self._timers: dict[str, tuple[float, float | None]] = {}  # when it would fire, period
        self._sent_at: dict[int, list[float]] = {}  # worker → when its jobs that ended were sent, the next one last
        for worker, sent in reversed(measured.ends[:, [log_.WORKER, log_.SENT]].tolist()):
            self._sent_at.setdefault(int(worker), []).append(sent)
        self._gone = [int(worker) for worker in measured.run.engine.get("gone", ())]
        self._away: set[int] = set()
        self.gradients = 0
        self._started = time.monotonic()

    def bind(self, server: Server) -> None:
        """Begin at time 0."""
        self._server = server
        self._take_points(self._points[0][0] if self._points else 0.0)

    # ---- what the server asks

    def now(self) -> float:
        """The instant of what was delivered last; once all has happened, the end of the run."""
        return self._now if self._log.next_time < math.inf else self._measured.run.time

    def dispatch(self, a: Assignment) -> None:
        self._out[a.worker] = a
        self._given += a.job.cost
        a.computing_from, a.computing_to, a.arrives = a.sent, math.inf, math.inf
        a.draws = []
        if self.evaluation.ahead is not None:
            self.evaluation.ahead.sent(a.worker, a.m, a.job, a.sent)

    def halt(self, a: Assignment, keep: bool) -> None:
        if not keep:
            self._take_points(self._log.next_time)
            self._forget(a)

    def _forget(self, a: Assignment) -> None:
        del self._out[a.worker]
        sent = self._sent_at.get(a.worker)
        if sent:
            sent.pop()

    def set_timer(self, name: str, seconds: float, repeat: bool) -> None:
        self._timers[name] = (self._now + seconds, seconds if repeat else None)

    def can_return(self, a: Assignment) -> bool:
        return a.worker not in self._gone

    def next(self) -> Assignment | TimerFired:
        while True:
            self._let_go()
            row, mark = self._log.next_end, self._log.next_mark
            if _timer_comes_first(mark, row):
                return self._fire(float(mark[log_.TIME]))
            if row is None:
                raise self._over()
            a = self._deliver(row)
            if row[log_.KIND] == log_.LOST:
                self._server.lost(a, there=False)
                self._away.add(a.worker)
                continue
            self.gradients += a.done
            return a

    def _over(self) -> EndOfRun:
        if self._log.next_mark is not None:
            raise PartedError(f"{self._log.place}: the method waits, but measured was: {self._log.next_mark.tolist()}")
        self._take_points(math.inf)
        return EndOfRun(self._measured.run.status, self._measured.run.reason)

    def _fire(self, at: float) -> TimerFired:
        if not self._timers:
            raise PartedError(f"{self._log.place}: a timer was measured at {at:g} s, but the method has set none")
        self._take_points(at)
        self._now = at
        name = min(self._timers, key=lambda name: self._timers[name][0])
        due, period = self._timers.pop(name)
        if period is not None:
            self._timers[name] = (due + period, period)
        return TimerFired(name)

    def _deliver(self, row: Any) -> Assignment:
        a = self._out.get(int(row[log_.WORKER]))
        if a is None or a.m != int(row[log_.M]):
            doing = "nothing" if a is None else f"gradient {a.m}"
            raise PartedError(
                f"{self._log.place}: measured was gradient {int(row[log_.M])} of worker {int(row[log_.WORKER])} "
                f"({KINDS[int(row[log_.KIND])]} at {row[log_.TIME]:g} s), but this worker has {doing} to do"
            )
        at = float(row[log_.TIME])
        self._take_points(at)
        self._now = at
        self._forget(a)
        a.done, a.arrives = int(row[log_.DONE]), at
        if row[log_.KIND] == log_.TIMED_OUT:
            a.outcome = log_.TIMED_OUT
            a.draws = [math.nan] * a.job.cost
        else:
            each = float(row[log_.COMPUTING_TO] - row[log_.COMPUTING_FROM]) / max(a.done, 1)
            a.draws = [each] * a.done + [math.nan] * (a.job.cost - a.done)
        return a

    def _let_go(self) -> None:
        """Workers that were given up while they had nothing to do left no row: they are away after their last one."""
        for worker in self._gone:
            if worker not in self._away and worker not in self._out and not self._sent_at.get(worker):
                self._away.add(worker)
                self._server.left(worker)

    def _join(self) -> None:
        """After a resume those who were away had new processes: they are there at the step before their next job."""
        mark = self._log.next_mark
        until = math.inf if mark is None else float(mark[log_.TIME])
        for worker in sorted(self._away):
            sent = self._sent_at.get(worker)
            if sent and sent[-1] < until:
                self._away.discard(worker)
                self._server.joined(worker)

    def stepped(self) -> None:
        until = self._log.next_time
        # a step that ended the run has nothing after it, not even a job that was still sent
        if until == math.inf and self._given >= self._measured.sent:
            raise self._over()
        self._take_points(until if until < math.inf else -math.inf)
        if self._away:
            self._join()

    def _take_points(self, until: float) -> None:
        k = self._server.k
        while self._point < len(self._points) and self._points[self._point][1] == k:
            at = self._points[self._point][0]
            if at > until:
                return
            self._recorder.take(at, k, self._server.x, self._log)
            self._point += 1

    def answers(self, assignments: Sequence[Assignment]) -> Sequence[Any]:
        return self.evaluation.answers(assignments)

    # ---- what is asked of every engine

    def close(self) -> None:
        """Nothing goes on anywhere."""

    def effort(self) -> dict[str, Any]:
        """What was computed."""
        return self.evaluation.effort()

    def facts(self) -> dict[str, Any]:
        """What the record should say of real workers: there were none."""
        return {}

    def held_after(self, now: float) -> np.ndarray:
        """(n,) zeros."""
        return np.zeros(self._measured.run.n)

    def corrections(self) -> float:
        """Nothing."""
        return 0.0

    @property
    def wall_seconds(self) -> float:
        """Real seconds that the replay took."""
        return time.monotonic() - self._started


def _timer_comes_first(mark: Any, row: Any) -> bool:
    if mark is None or mark[log_.KIND] != log_.TIMER:
        return False
    if row is None or mark[log_.TIME] < row[log_.TIME]:
        return True
    # what the method stopped because of a timer has its time in a simulation
    return bool(mark[log_.TIME] == row[log_.TIME] and row[log_.KIND] == log_.STOPPED)


# ---- folders


def measured_runs(folder: str | Path) -> tuple[Result, list[Measured]]:
    """The runs of a folder with all that was measured; ReplayError where not every event was kept, or one goes on."""
    contents = read_folder(Path(folder), events=False)
    result = Result.read(folder, events=False)
    found = []
    for number, run in enumerate(contents.runs):
        where = f"{folder}: {run.label}, seed {run.seed}"
        if run.status == "running" or not run.event_hash:
            raise ReplayError(f"{where} has not ended; `asyncsim resume {folder}` goes on with it")
        ends, marks = (read_rows(folder, table, number) for table in ("assignments", "marks"))
        if not len(ends) and not len(marks) and (run.used or run.discarded or run.iterations):
            raise ReplayError(
                f"{where} kept no events, so there is nothing to replay; a run on Ray keeps them, "
                "a simulation with `record: {events: all}`"
            )
        found.append(Measured(run, ends, marks))
    if not found:
        raise ReplayError(f"{folder} holds no run")
    return result, found


def scenario_of(result: Result, allow_code: bool = False) -> Scenario:
    """The scenario that a folder was made from."""
    from asyncsim.scenario import from_data

    if not result.scenario:
        raise ReplayError(
            f"{result.folder} was not made from a scenario, so problem and methods can't be built anew; from Python: "
            "asyncsim.replay.exact(folder, problem=…, methods={label: method})"
        )
    base = Path(result.manifest["base"]) if result.manifest.get("base") else Path()
    return from_data(result.scenario, base=base, allow_code=allow_code)


def exact(
    folder: str | Path,
    output: str | Path | None = None,
    *,
    force: bool = False,
    allow_code: bool = False,
    verify: bool = False,
    problem: Any = None,
    methods: Mapping[str, Any] | None = None,
    tell: Callable[[str], None] | None = None,
) -> Result:
    """Replay all runs of a folder; the result's ``manifest["replay"]`` says of each how far it is the same.

    Parameters
    ----------
    folder : a run folder whose runs have ended and kept every event
    output : the run folder to write; None keeps everything in memory
    verify : whether to check at every event what the method's paper promises
    problem : the problem, or seed → problem, in the place of the scenario's
    methods : label → method, in the place of the scenario's
    tell : is called with a line on each run

    Raises ReplayError for a folder that can't be replayed, PartedError where a replay goes another way, FolderError for
    one that can't be read or written.
    """
    result, measured = measured_runs(folder)
    built = _Built.of(result, allow_code, verify, problem, methods)
    played = []
    with ExitStack() as stack:
        written = None
        if output is not None:
            manifest = {**result.manifest, "status": "running", "engine": "replay", "replay_of": str(folder)}
            source = result.scenario_text
            written = stack.enter_context(RunFolder.create(output, manifest, source, force))
        said = []
        for number, each in enumerate(measured):
            played.append(built.play(each, number, written))
            said.append(_same(each, played[-1]))
            if tell is not None:
                tell(in_words(said[-1]))
        changes = {"status": "finished", "signal": None, "replay": said, "warnings": built.warnings}
        if written is not None:
            written.update_manifest(**changes)
    return replace(
        result,
        runs=tuple(played),
        manifest={**result.manifest, **changes},
        folder=None if output is None else Path(output),
    )


@dataclass(frozen=True)
class _Built:
    """What the runs of a folder are played with."""

    methods: Mapping[str, Any]
    rules: Mapping[str, Any]
    problem: Callable[[int], Any]
    workers: Any
    target: Mapping[str, float] | None
    record: Any
    stop: Any
    evaluation: str
    verify: bool
    warnings: list[str]

    @classmethod
    def of(
        cls, result: Result, allow_code: bool, verify: bool, problem: Any, methods: Mapping[str, Any] | None
    ) -> _Built:
        from asyncsim import running, study

        scenario = scenario_of(result, allow_code)
        if any("availability" in group for group in _groups(result.scenario)):
            raise ReplayError(
                f"{result.folder} was simulated with workers that come and go, which leaves no row; "
                "run its scenario again instead: it gives the same bits"
            )
        chosen: Callable[[int], Any] = scenario.problem_of_seed()
        if problem is not None:
            chosen = problem if callable(problem) and not hasattr(problem, "gradient") else lambda seed: problem
        first = chosen(result.seeds[0])
        if problem is None:
            study.same_data(result.manifest, running.facts(first), str(result.folder))
        setting = study.setting_of(scenario, result.manifest.get("evaluation", "single"))
        on_ray = scenario.engine.name != "simulation"
        return cls(
            methods=dict(study.checked_methods(scenario, first)) if methods is None else methods,
            rules=scenario.build_update_rules(),
            problem=chosen,
            workers=setting.workers,
            target=setting.target,
            record=setting.record,
            stop=setting.stop,
            # a worker computes gradient by gradient
            evaluation="single" if on_ray else setting.evaluation,
            verify=verify,
            warnings=study.other_versions(result.manifest),
        )

    def play(self, measured: Measured, number: int, folder: RunFolder | None) -> Run:
        from asyncsim import running

        run = measured.run
        if run.label not in self.methods:
            raise ReplayError(f"no method is called {run.label!r}; there are {', '.join(self.methods)}")
        method, rule = self.methods[run.label], self.rules.get(run.label)
        writer = None
        if folder is not None:
            parameters = running.parameters_of(method, rule)
            writer = folder.writer(number, run.label, running.name_of(method), parameters, run.seed, run.n)
        try:
            played = running.execute(
                method, self.problem(run.seed), self.workers, self.stop, run.seed, self.target,
                replace(self.record, events="all"), run.label, update_rule=rule, verify=self.verify,
                evaluation=self.evaluation, sink=writer, measured=measured,
            )  # fmt: skip
        except PartedError as error:
            raise PartedError(
                f"{run.label}, seed {run.seed}: the replay parts from what was measured {error}; the same versions, data "
                "and code are needed, and a method that draws from server.rng only"
            ) from None
        if writer is not None:
            writer.finish(played)
        return played


def _groups(scenario: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    workers = scenario.get("workers", {})
    groups: list[Mapping[str, Any]] = workers.get("groups") or [workers]
    return groups


def _same(measured: Measured, again: Run) -> dict[str, Any]:
    """How far a replay is the same as what was measured."""
    run = measured.run
    kept = np.concatenate([measured.ends[:, log_.KIND], measured.marks[:, log_.KIND]]).astype(np.int64)
    kinds = np.bincount(kept, minlength=len(KINDS))
    largest = 0.0
    for name in ("value", "squared_gradient_norm"):
        before, now = run.curves[name], again.curves[name]
        if len(before) != len(now):
            largest = math.inf
            continue
        off = np.abs(before - now)[~((before == now) | (np.isnan(before) & np.isnan(now)))]
        size = max(float(np.nanmax(np.abs(before), initial=0.0)), 1e-300)
        largest = max(largest, float(off.max(initial=0.0)) / size) if not np.isnan(off).any() else math.inf
    return {
        "label": run.label,
        "seed": run.seed,
        "same_events": run.event_hash == again.event_hash,
        "same_bits": largest == 0.0,
        "difference": largest,
        "points": len(run.curves["time"]),
        **{KINDS[kind]: int(count) for kind, count in enumerate(kinds)},
    }


def in_words(same: Mapping[str, Any]) -> str:
    """What `manifest["replay"]` says of a run, as a line.

    >>> in_words({"label": "hero_sgd", "seed": 0, "same_events": True, "same_bits": True, "difference": 0.0,
    ...           "points": 3, "arrived": 5, "step": 5, "stopped": 0, "timed_out": 0, "lost": 0, "used": 5})
    'hero_sgd, seed 0: 5 arrivals, 5 readings, 5 updates in the measured order; f and ∇f are the same bits at all 3 records'
    """
    more = "".join(
        f", {same[kind]} {kind.replace('_', ' ')}" for kind in ("stopped", "timed_out", "lost") if same[kind]
    )
    order = "in the measured order" if same["same_events"] else "IN ANOTHER ORDER than measured"
    bits = f"f and ∇f are the same bits at all {same['points']} records"
    if not same["same_bits"]:
        bits = f"f and ∇f differ by up to {same['difference']:.1e} of their largest value: gradients are computed otherwise"
    return (
        f"{same['label']}, seed {same['seed']}: {same['arrived']} arrivals, {same['used']} readings, {same['step']} "
        f"updates{more} {order}; {bits}"
    )
