"""Running methods from Python: one run, or several methods on the same luck.

`simulate` runs one method with one seed and returns its `Run`; `compare` runs several methods with
several seeds and returns a `Result`, which shows a table, writes a report, exports. Neither needs a
scenario, a folder or a registration: a method is any object with `run(server)`. Scenarios, run folders
and resuming are in asyncsim/study.py, which comes through `execute` here too.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from asyncsim import counting
from asyncsim import log as log_
from asyncsim.allocation import ALLOCATIONS
from asyncsim.allocation.regret import Regret
from asyncsim.blocks import BlockServer
from asyncsim.checkpoint import classes_of
from asyncsim.evaluation import How, choose, memory_of
from asyncsim.folder import FolderError
from asyncsim.jobs import WorkerAwayError
from asyncsim.log import Log, Rows
from asyncsim.methods import METHODS
from asyncsim.problems import PROBLEMS, check_problem
from asyncsim.problems.problem import message_size
from asyncsim.record import TARGETS, Record, Recorder, has_test
from asyncsim.result import (
    AWAY,
    EVENT,
    INTERVAL,
    OUTCOMES,
    POWERS,
    Result,
    Run,
    events_in_order,
    shown_workers,
    unique_labels,
)
from asyncsim.server import EndOfRun, Server
from asyncsim.simulation import Simulation
from asyncsim.stop import Keeper, Playing, Stop
from asyncsim.streams import sequential
from asyncsim.theory import Knowledge, asks_theory, resolved
from asyncsim.threads import one_thread
from asyncsim.times import Workers
from asyncsim.times.absences import absences
from asyncsim.times.powers import powers
from asyncsim.update_rules import UPDATE_RULES, Plain, UpdateRule
from asyncsim.verify import VerifyingServer, server_for

if TYPE_CHECKING:
    from asyncsim.cluster import Crew, RayEngine
    from asyncsim.parallel import OnCluster
    from asyncsim.replay import Measured

# whether blocks of arrivals are made by compiled code; None leaves it to the length of the run
CORES: dict[str, bool | None] = {"auto": None, "plain": None, "block": False, "compiled": True}

Target = Mapping[str, float]


class Sink(Protocol):
    """Where a run's growing tables go while it runs (a run folder's writer, or nothing)."""

    def curve(self, row: Mapping[str, Any]) -> None: ...
    def assignments(self, rows: Rows) -> None: ...
    def marks(self, rows: Rows) -> None: ...
    def truncate(self, lengths: Mapping[str, int]) -> None: ...


def simulate(
    method: Any,
    problem: Any,
    workers: Workers,
    *,
    stop: Stop,
    seed: int = 0,
    target: Target | None = None,
    record: Record | None = None,
    label: str | None = None,
    update_rule: UpdateRule | None = None,
    verify: bool = False,
    core: str = "auto",
    engine: RayEngine | None = None,
) -> Run:
    """Run one method on simulated workers until `stop`.

    Parameters
    ----------
    method : any object with `run(server)`; parameters that say "theory" are resolved first
    problem : any object with `dimension, x0, gradient(x, rng, worker)`
    workers : how many, and the laws of their times
    stop : when to end, e.g. ``Stop(time=100)``
    seed : of all random times and gradients; equal seeds give all methods the same luck
    target : {"squared_gradient_norm": ε}, {"suboptimality": ε} or {"test_accuracy": a}
    record : how often to record, default about 200 points
    update_rule : what the server makes of a direction: Momentum(), Adam(), Muon(), or an object of your own as
        asyncsim/update_rules.py describes; plain steps unless given
    verify : whether to check at every event what the method's paper promises (asyncsim/verify.py)
    core : how events are simulated: "auto", or for comparisons "plain" (the reference, one arrival at a time), "block"
        (many at a time, asyncsim/blocks.py) or "compiled" (besides, by numba). The numbers are the same with all
    engine : RayEngine(…) (asyncsim/cluster.py) plays it on real workers instead; `stop` is then in real seconds

    Errors of the method's own code pass through, and so does the VerificationError of a check that fails; a run that
    diverges or stalls ends with that status.

    >>> from asyncsim import Exponential, Quadratic, RennalaSGD
    >>> workers = Workers(4, lambda worker: Exponential(1.0 + worker))
    >>> run = simulate(RennalaSGD(stepsize=0.5, batch_size=3), Quadratic(20), workers, stop=Stop(time=50))
    >>> run.status, run.curves["time"][-1].item()
    ('finished', 50.0)
    """
    with crew_of(engine, workers.n) as crew:
        return execute(
            method, problem, workers, stop, seed, target, record or Record(), label or name_of(method),
            update_rule=update_rule, verify=verify, crew=crew, core=core,
        )  # fmt: skip


def crew_of(engine: RayEngine | None, n: int, modules: Iterable[str] = ()) -> AbstractContextManager[Crew | None]:
    """n real workers where an engine is given; nothing for the simulation. The code of `modules` travels to them."""
    if engine is None:
        return nullcontext()
    from asyncsim.cluster import Crew

    return Crew(engine, n, modules)


@one_thread
def compare(
    methods: Sequence[Any] | Mapping[str, Any],
    problem: Any,
    workers: Workers,
    *,
    stop: Stop,
    seeds: Iterable[int] = (0,),
    target: Target | None = None,
    record: Record | None = None,
    name: str = "comparison",
    update_rule: UpdateRule | None = None,
    verify: bool = False,
    processes: int | OnCluster | None = 1,
    engine: RayEngine | None = None,
) -> Result:
    """Run several methods with several seeds; `methods` is a list, or a dict label → method.

    All of them step by the same `update_rule`. `processes`: how many runs are played side by side, each in a process of
    its own, to which your objects are copied, so that what they count themselves stays there; 1: here, one after the
    other; None: here for the first second, then on all cores that this process may use; `OnCluster(address)`: on the
    processors of a Ray cluster. The result is the same. The rest is as in `simulate`.

    >>> from asyncsim import AsynchronousSGD, Constant, HeroSGD, Quadratic
    >>> result = compare([AsynchronousSGD(0.2), HeroSGD(0.5)], Quadratic(20), Workers(4, Constant(1.0)),
    ...                  stop=Stop(time=50), seeds=[0, 1])
    >>> result
    <Result comparison: 2 methods × 2 seeds>
    """
    # both play by `execute` below
    from asyncsim import parallel, playing
    from asyncsim.progress import Progress

    named = (
        dict(methods)
        if isinstance(methods, Mapping)
        else dict(zip(unique_labels([name_of(method) for method in methods]), methods, strict=True))
    )
    if not named:
        raise ValueError("compare: no methods are given")
    seeds = list(seeds)
    check_problem(problem)
    evaluation = evaluation_of(problem, "auto", workers.n)
    for method in named.values():
        check(method, problem, workers, target, update_rule)
    if any(asks_theory(method) for method in named.values()):
        known = knowledge(problem, workers, target)
        named = {label: resolved(method, known) for label, method in named.items()}
    pairs = [(label, method, seed) for label, method in named.items() for seed in seeds]
    plan = [
        playing.Planned(number, label, method, seed, update_rule) for number, (label, method, seed) in enumerate(pairs)
    ]
    if engine is not None and isinstance(processes, parallel.OnCluster):
        raise ValueError("compare: runs with real workers (engine) are not played on a cluster as simulated ones are")
    with crew_of(engine, workers.n) as crew:
        setting = playing.Setting(
            partial(_whatever_seed, problem), workers, stop, target, record or Record(), verify, evaluation,
            keep_errors=False, crew=crew,
        )  # fmt: skip
        played = parallel.play_all(
            plan, setting, processes=1 if crew is not None else parallel.checked(processes),
            interruption=playing.Interruption(), watcher=Progress(len(plan), stop, show=False),
        )  # fmt: skip
        with closing(played):
            ended = {planned.number: run for planned, _, run in played}
    runs = tuple(ended[number] for number in range(len(plan)))
    return Result(
        name=name,
        runs=runs,
        target=dict(target) if target else None,
        problem=facts(problem),
        manifest={
            **exceptions(workers),
            "theory": proven(named, [problem], workers, target, dict.fromkeys(named, update_rule)),
        },
    )


def _whatever_seed(problem: Any, seed: int) -> Any:
    return problem


@one_thread
def execute(
    method: Any,
    problem: Any,
    workers: Workers,
    stop: Stop,
    seed: int,
    target: Target | None,
    record: Record,
    label: str,
    *,
    update_rule: UpdateRule | None = None,
    verify: bool = False,
    evaluation: str = "auto",
    core: str = "auto",
    sink: Sink | None = None,
    keeper: Keeper | None = None,
    look: Callable[[Playing], None] | None = None,
    checkpoint: bytes | None = None,
    on_error: Callable[[Exception], str] | None = None,
    crew: Crew | None = None,
    build: Callable[[], Any] | None = None,
    measured: Measured | None = None,
) -> Run:
    """One run, from its beginning or from a checkpoint; everything else in this file is built on it.

    With `on_error`, an error of the method, a law or the problem ends the run as "failed", with what
    `on_error` says of it; without, it passes through. With a `crew` (asyncsim/cluster.py) it is played by real workers,
    each of which calls `build` for its problem; what was `measured` is replayed (asyncsim/replay.py).
    """
    check(method, problem, workers, target, update_rule)
    if stop.target:
        _check_reachable(problem, target)
    if asks_theory(method):  # knowledge may be dear: laws without a mean are sampled for it
        method = resolved(method, knowledge(problem, workers, target))
    events = _Events(sink) if record.events == "all" else None
    log = _log(measured, workers.n, events, _regret(method, problem, workers))
    recorder = Recorder(problem, record, stop.time, target, sink.curve if sink is not None else None)
    engine = _engine(
        crew, measured, problem, workers, evaluation, build, label, seed, stop, log, recorder, keeper, look
    )
    made_of = (workers.n, sequential(seed, "method"), log, update_rule)
    # x⁰ is in no variable here: points live as long as somebody needs them
    server = _server(core, method, verify, engine, np.array(problem.x0), *made_of)
    verification: dict[str, Any] = {}
    try:
        if checkpoint is None:
            engine.bind(server)
        else:
            engine.resume(server, checkpoint, classes_of(method))
            if sink is not None:
                sink.truncate({"curves": len(recorder.rows), **log.lengths()})
        over = _played(method, server, _rule(core, method, problem, workers, stop, server))
        if isinstance(server, VerifyingServer):
            L, sigma2 = (getattr(problem, name, None) for name in ("L", "sigma2"))
            epsilon = (target or {}).get("squared_gradient_norm")
            verification = server.verification(Knowledge(n=workers.n, L=L, sigma2=sigma2, epsilon=epsilon))
    except Exception as error:
        # what cannot be written down or is damaged is no fault of the method's
        if on_error is None or isinstance(error, FolderError):
            raise
        over = EndOfRun("failed", on_error(error))
    now = engine.now()
    engine.close()
    if over.status != "failed":
        recorder.take(now, server.k, server.x, log)
    run = _ended(label, method, seed, over, now, engine, server, log, recorder, events)
    away, powers = _speeds(workers, seed, log, run, whole=events is not None)
    kept: dict[str, Any] = {"verification": verification, "away": away, "powers": powers, "engine": engine.facts()}
    _let_go(engine, log, over)
    return dataclasses.replace(run, parameters=parameters_of(method, update_rule), **kept)


def _let_go(engine: Any, log: Log, over: EndOfRun) -> None:
    """Free what an ended run held: points, gradients, records.

    Engine, log and server know each other, and the frames of the method hang on the end of the run. Python finds such
    circles rarely where few objects hold much, and a study of large points would keep those of many runs.
    """
    over.__traceback__ = None
    for of_this_run in (engine, log):
        vars(of_this_run).clear()


def _engine(
    crew: Crew | None,
    measured: Measured | None,
    problem: Any,
    workers: Workers,
    evaluation: str,
    build: Callable[[], Any] | None,
    label: str,
    seed: int,
    stop: Stop,
    log: Any,
    recorder: Recorder,
    keeper: Keeper | None,
    look: Callable[[Playing], None] | None,
) -> Any:
    """The engine: real workers, what was measured of them, or the simulation."""
    if measured is not None:
        from asyncsim.replay import Playback

        return Playback(measured, problem, seed, How.of(evaluation), log, recorder)
    if crew is None:
        how = choose(problem, evaluation, workers.n)
        return Simulation(problem, workers, seed, stop, log, recorder, how, keeper, look)
    from asyncsim.cluster import Cluster

    unequal = crew.options.unequal(workers)
    return Cluster(crew, build or partial(_as_it_is, problem), unequal, seed, stop, log, recorder, keeper, look, label)


def _log(measured: Measured | None, *kept: Any) -> Log:
    if measured is None:
        return Log(*kept)
    from asyncsim.replay import CheckedLog

    return CheckedLog(measured, *kept)


def _as_it_is(problem: Any) -> Any:
    return problem


def _server(
    core: str,
    method: Any,
    verify: bool,
    engine: Any,
    x0: np.ndarray,
    n: int,
    rng: np.random.Generator,
    log: Log,
    update_rule: UpdateRule | None,
) -> Server:
    if core not in CORES:
        raise ValueError(f"core = {core!r}, but one of {', '.join(CORES)} is needed")
    if core != "plain" and not verify and isinstance(engine, Simulation) and engine.by_blocks:
        return BlockServer(engine, x0, n, rng, log, update_rule, CORES[core])
    return server_for(method, verify, engine, x0, n, rng, log, update_rule)


def _regret(method: Any, problem: Any, workers: Workers) -> Regret | None:
    """The regret of the method's allocation, where it has one; laws without a mean are sampled for it."""
    if not hasattr(method, "allocation"):
        return None
    means = workers.mean_compute_times
    # where no worker has a finite mean time there is no best allocation to hold one against
    return Regret(means, getattr(method, "gradients_of_a_task", 1)) if np.isfinite(means).any() else None


def _rule(core: str, method: Any, problem: Any, workers: Workers, stop: Stop, server: Server) -> tuple[int, int] | None:
    """What is counted, where nothing but that is asked and machine code can do it; None = the method itself runs."""
    rule = counting.rule_of(method, problem)
    if rule is None or not isinstance(server, BlockServer) or server._update_rule is not None or core == "block":
        return None
    return rule if core == "compiled" or counting.pays(stop, workers.mean_times) else None


def _played(method: Any, server: Server, rule: tuple[int, int] | None = None) -> EndOfRun:
    # a diverging iterate overflows; the server notices and ends the run, numpy need not warn
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            if rule is not None:
                counting.play(cast(BlockServer, server), *rule, counting.state_of(method, server.n))
            method.run(server)
        except EndOfRun as over:
            return over
        except WorkerAwayError as away:
            return EndOfRun(
                "stalled",
                f"stalled: worker {away.worker} is away at iteration {server.k}, and the method has work for that very "
                "worker; one that gives work to whoever is idle goes on",
            )
    return EndOfRun("finished", "the method returned")


def evaluation_of(problem: Any, asked: str, n: int = 100) -> str:
    """How gradients are evaluated, as it stands in the manifest (asyncsim/evaluation.py); "auto" is found out once."""
    return str(choose(problem, asked, n))


def memory(problem: Any, evaluation: str, n: int) -> dict[str, int]:
    """Bytes that a run takes at most, for the manifest."""
    return memory_of(problem, How.of(evaluation), n)


def is_much(memory: Mapping[str, int], processes: int = 1) -> bool:
    """Whether the memory of runs side by side is worth a line before they start: 100 MB and more.

    >>> is_much({"points_bytes": 80_000_000, "groups_bytes": 0}), is_much({"points_bytes": 80_000_000, "groups_bytes": 0}, 2)
    (False, True)
    """
    return processes * (memory["points_bytes"] + memory["groups_bytes"]) >= 100_000_000


def memory_words(memory: Mapping[str, int], processes: int = 1) -> str:
    """In a line what runs side by side take at most, from what `asyncsim.evaluation.memory_of` says of one.

    >>> memory_words({"points": 101, "numbers": 1000, "number_bytes": 8, "points_bytes": 808000, "groups_bytes": 1824000})
    'memory: at most 101 points × 1,000 numbers × 8 bytes = 808 kB, and 1.82 MB for groups of gradients'
    """
    points, numbers, each = (memory[name] for name in ("points", "numbers", "number_bytes"))
    text = (
        f"memory: at most {points:,} points × {numbers:,} numbers × {each} bytes = {_bytes(memory['points_bytes'])}, "
        f"and {_bytes(memory['groups_bytes'])} for groups of gradients"
    )
    return text if processes == 1 else f"{text}, in each of {processes} processes"


def _bytes(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def check(
    method: Any, problem: Any, workers: Any, target: Target | None, update_rule: UpdateRule | None = None
) -> None:
    """Refuse what cannot be run, with a ValueError that says what is needed."""
    if isinstance(method, type):
        raise ValueError(f"{method.__name__} is a class; give an object, {method.__name__}(…)")
    if not callable(getattr(method, "run", None)):
        raise ValueError(f"a method needs run(server); {type(method).__name__} has none")
    check_problem(problem)
    if not isinstance(workers, Workers):
        raise ValueError(f"workers: Workers(count, compute_time) is needed, not {workers!r:.60}")
    if update_rule is not None:
        _check_rule(update_rule, problem)
    made_for = getattr(problem, "workers", None)
    if isinstance(made_for, int) and made_for != workers.n:
        raise ValueError(
            f"the problem was made for {made_for} workers, but there are {workers.n}; build it with n={workers.n}"
        )
    _check_target(target or {}, problem)


def _check_target(target: Target, problem: Any) -> None:
    for name, limit in target.items():
        if name not in TARGETS:
            raise ValueError(f"target: {name!r} is unknown; allowed: {', '.join(TARGETS)}")
        if not limit > 0:
            raise ValueError(f"target: {name} = {limit!r}, but a number > 0 is needed")
    if "test_accuracy" in target and not has_test(problem):
        raise ValueError("target: test_accuracy needs a problem that holds samples out and has test_accuracy(x)")
    if "suboptimality" in target and getattr(problem, "f_star", None) is None:
        raise ValueError("target: suboptimality needs a problem with a known f*; use squared_gradient_norm")


def _check_rule(update_rule: Any, problem: Any) -> None:
    if isinstance(update_rule, type) or not callable(getattr(update_rule, "start", None)):
        raise ValueError(f"update_rule: an object with start(x0, state) is needed, as Adam(); not {update_rule!r:.60}")
    update_rule.start(np.array(problem.x0), None)  # what does not fit x is refused by the rule


def _check_reachable(problem: Any, target: Target | None) -> None:
    """Refuse to wait for what no record can ever meet."""
    if not target:
        raise ValueError(
            "stop: target=True ends at the target, but no target is given; add target={'squared_gradient_norm': …}"
        )
    needed = {"squared_gradient_norm": ("full_gradient",), "suboptimality": ("value",)}
    for name in target.keys() & needed.keys():
        if not any(hasattr(problem, offered) for offered in (*needed[name], "value_and_gradient")):
            raise ValueError(
                f"stop: target=True would never end the run: the problem has neither {needed[name][0]} nor "
                f"value_and_gradient, so {name} is never known"
            )


def name_of(method: Any) -> str:
    """What a method is called: its name in the registry, its own `name`, or its class."""
    for name, cls in (*METHODS.items(), *ALLOCATIONS.items(), *UPDATE_RULES.items()):
        if type(method) is cls:
            return name
    return str(getattr(method, "name", type(method).__name__))


def parameters_of(method: Any, update_rule: UpdateRule | None = None) -> dict[str, Any]:
    """The parameters of a method that is a dataclass (another kind has none to show), and a rule that is not plain."""
    found = {}
    if dataclasses.is_dataclass(method):
        found = {field.name: _shown(getattr(method, field.name)) for field in dataclasses.fields(method)}
    if not isinstance(update_rule, Plain | None):
        found["update_rule"] = _shown(update_rule) if dataclasses.is_dataclass(update_rule) else name_of(update_rule)
    return found


def _shown(value: Any) -> Any:
    """A parameter as it is written in a scenario; one that is a description itself as a mapping."""
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    return {"name": name_of(value), **parameters_of(value)}


def knowledge(problem: Any, workers: Workers, target: Target | None) -> Knowledge:
    """What the methods may be told before the run."""
    estimated = set(getattr(problem, "estimated", ()))
    if not workers.mean_times_exact:
        estimated.add("mean_times")
    if not workers.mean_compute_times_exact:
        estimated.add("mean_compute_times")
    changing = any(part is not None for part in (workers.speed, workers.availability, workers.contention))
    known = {name: getattr(problem, name, None) for name in _OF_THE_PROBLEM}
    if known["components_sigma2"]:
        estimated.add("components_sigma2")  # it is that at x⁰
    return Knowledge(
        n=workers.n,
        mean_times=workers.mean_times(message_size(problem)),
        mean_compute_times=workers.mean_compute_times,
        constant_times=workers.constant_times,
        epsilon=(target or {}).get("squared_gradient_norm"),
        Delta=_initial_suboptimality(problem),
        compute_laws=None if changing else workers.compute_time.law,
        communication_times=_communication_times(workers, message_size(problem)),
        mean_communication_times=_mean_communication_times(workers, message_size(problem)),
        independent_times=workers.independent_times,
        heterogeneous=getattr(problem, "zeta2", 0.0) > 0,
        estimated=frozenset(estimated),
        **known,
    )


def proven(
    methods: Mapping[str, Any],
    problems: Sequence[Any],
    workers: Workers,
    target: Target | None,
    update_rules: Mapping[str, Any],
) -> dict[str, Any]:
    """label → what is proven of the method as it runs (asyncsim.theory.predictions), for the theorems' target only.

    Where each seed has a problem of its own, the bound is the largest of all. Laws that would have to be called for
    their means are left alone: of times that may change nothing is proven.
    """
    by_call = any(times.by_call for times in (workers.compute_time, workers.uplink, workers.downlink))
    if by_call or "squared_gradient_norm" not in (target or {}):
        return {}
    from asyncsim.theory.predictions import predict  # it knows the methods, which not every run needs

    known = [knowledge(problem, workers, target) for problem in problems]
    found = {label: [predict(method, each, update_rules[label]) for each in known] for label, method in methods.items()}
    return {
        label: max(each, key=lambda one: math.inf if one.seconds is None else one.seconds).plain()
        for label, each in found.items()
    }


_OF_THE_PROBLEM = ("L", "sigma2", "components", "components_sigma2", "L_minus", "L_plus", "L_plus_minus", "L_max")


def _mean_communication_times(workers: Workers, size: int) -> np.ndarray:
    sent = workers.message_seconds(size)
    means: np.ndarray = workers.downlink.means()[0] + workers.uplink.means()[0]
    return means if sent is None else means + sent


def _communication_times(workers: Workers, size: int) -> np.ndarray | None:
    down, up, sent = workers.downlink.constant, workers.uplink.constant, workers.message_seconds(size)
    if down is None or up is None or workers.shared_link is not None:
        return None
    return down + up if sent is None else down + up + sent


def _initial_suboptimality(problem: Any) -> float | None:
    """f(x⁰) − f*; where f* is not known, f(x⁰) less a lower bound of f, which does for every theorem."""
    least = getattr(problem, "f_star", None)
    least = getattr(problem, "f_lower", None) if least is None else least
    return None if least is None or not hasattr(problem, "value") else float(problem.value(problem.x0)) - least


def exceptions(workers: Workers) -> dict[str, list[str]]:
    """{"exceptions": […]}, what the report says of workers whose times depend on each other; {} where none do.

    >>> exceptions(Workers(4, 1.0))
    {}
    """
    found = {
        "shared_link": "a message waits for those of other workers, so that its times depend on what the method sent",
        "contention": "workers that compute at the same time slow each other down; what a gradient costs is the same "
        "for all methods, the seconds that it takes depend on what the others do",
    }
    said = [f"{name}: {words}" for name, words in found.items() if getattr(workers, name) is not None]
    return {"exceptions": said} if said else {}


def facts(problem: Any) -> dict[str, Any]:
    """What is known of a problem, for tables and the record."""
    name = next((name for name, cls in PROBLEMS.items() if type(problem) is cls), type(problem).__name__)
    constants = {key: getattr(problem, key, None) for key in ("L", "sigma2", "f_star")}
    known = {key: None if value is None else float(value) for key, value in constants.items()}
    found = {
        "name": name,
        "dimension": int(problem.dimension),
        **known,
        "estimated": sorted(getattr(problem, "estimated", ())),
    }
    # what `auto` is here, and how many samples the test accuracy is of
    also = {"data_sha256": "data_sha256", "kernel": "kernel_name", "test_size": "test_size"}
    found |= {key: getattr(problem, name) for key, name in also.items() if getattr(problem, name, 0)}
    return found | ({} if getattr(problem, "split_table", None) is None else {"split": _split(problem)})


SPLIT_WORKERS, SPLIT_CLASSES = 200, 20  # of a larger split this corner is kept


def _split(problem: Any) -> dict[str, Any]:
    """How the samples are shared out: the counts of each class a worker has, and how that came about."""
    table = np.asarray(problem.split_table)
    said = {key: getattr(problem, key, None) for key in ("split", "alpha", "problem_seed", "left_out")}
    classes = list(getattr(problem, "classes", range(table.shape[1])))
    return said | {
        "workers": table.shape[0],
        "samples": int(table.sum()),
        "labels": table.shape[1],
        "classes": [f"{label:g}" if isinstance(label, float) else str(label) for label in classes[:SPLIT_CLASSES]],
        "counts": table[:SPLIT_WORKERS, :SPLIT_CLASSES].tolist(),
    }


class _Events:
    """Keeps every event, in memory or in the sink."""

    def __init__(self, sink: Sink | None) -> None:
        self._sink = sink
        self._parts: list[np.ndarray] = []

    def __call__(self, ends: Rows, marks: Rows) -> None:
        if self._sink is not None:
            self._sink.assignments(ends)
            self._sink.marks(marks)
            return
        for rows in (ends, marks):
            part = np.empty(len(rows), EVENT)
            for column, name in enumerate(("time", "worker", "m", "kind", "k")):
                part[name] = rows[:, column]
            self._parts.append(part)

    def in_order(self) -> np.ndarray | None:
        return events_in_order(np.concatenate(self._parts)) if self._parts else None


def _ended(
    label: str,
    method: Any,
    seed: int,
    over: EndOfRun,
    now: float,
    engine: Any,
    server: Server,
    log: Log,
    recorder: Recorder,
    events: _Events | None,
) -> Run:
    return Run(
        label=label,
        method=name_of(method),
        parameters=parameters_of(method),
        seed=seed,
        n=server.n,
        status=over.status,
        reason=over.reason,
        iterations=server.k,
        time=now,
        wall_seconds=engine.wall_seconds,
        event_hash=log.event_hash(),
        effort={**engine.effort(), "record_seconds": recorder.seconds},
        curves=recorder.curves(),
        contributions=recorder.contributions(),
        delays=log.delays(),
        workers=_worker_counts(server, log, now, engine.held_after(now), engine.corrections()),
        intervals=_intervals(log, now),
        events=None if events is None else events.in_order(),
    )


def _worker_counts(
    server: Server, log: Log, now: float, held: np.ndarray, corrections: np.ndarray | float
) -> dict[str, np.ndarray]:
    in_flight = np.zeros(server.n, np.int64)
    # what was logged of a stopped gradient that goes on after the end of the run is not in it
    busy = log.busy_seconds - np.where(np.isfinite(held), held, 0.0) + corrections
    flying = server.at_work()
    workers = flying["worker"]  # each at most once
    in_flight[workers] = flying["cost"]
    # what a stopped one has finished is on its way; nothing of it was logged yet
    busy[workers] += np.where(flying["stopped"], held[workers], 0.0)
    busy[workers] += np.maximum(0.0, np.minimum(now, flying["computing_to"]) - flying["computing_from"])
    return {
        "sent": server.given(),
        "used": log.used,
        "discarded": log.arrived - log.used,
        "stopped": log.stopped,
        "timed_out": log.timed_out,
        "lost": log.lost,
        "in_flight": in_flight,
        "busy_seconds": busy,
        "compute_seconds": log.compute_seconds,
    }


_OUTCOME_OF_KIND = {
    log_.STOPPED: OUTCOMES.index("stopped"),
    log_.TIMED_OUT: OUTCOMES.index("timed_out"),
    log_.LOST: OUTCOMES.index("lost"),
    log_.IN_FLIGHT: OUTCOMES.index("in_flight"),
}


def _intervals(log: Log, now: float) -> np.ndarray:
    windows = log.windows(now)
    # a run that filled one window only has a first; the last of several is the last
    numbers = {1: (0,), 2: (0, 2), 3: (0, 1, 2)}[len(windows)]
    return np.concatenate([_window(window, number) for window, number in zip(windows, numbers, strict=True)])


MOST_LANES = 100  # that the picture of a whole run has


def _speeds(workers: Workers, seed: int, log: Log, run: Run, whole: bool) -> tuple[np.ndarray, np.ndarray]:
    """When the shown workers were away, and how fast while it changed, in the windows of the intervals.

    Before the first interval has ended all is known, and of the whole run where all its events were kept."""
    shown = shown_workers(run.n, min(run.n, MOST_LANES)) if whole else log.shown
    spans = [(0.0, run.time)] if whole or not len(run.intervals) else []
    for window in np.unique(run.intervals["window"]):
        rows = run.intervals[run.intervals["window"] == window]
        begin = rows["sent"].min() if window else 0.0
        spans.append((float(begin), min(run.time, float(rows["ended"].max()))))
    given = (workers, seed, shown.tolist(), spans)
    return np.array(absences(*given), AWAY), np.array(powers(*given), POWERS)


def _window(window: log_.Window, number: int) -> np.ndarray:
    rows = np.concatenate([window.ends, window.flying])
    intervals = np.zeros(len(rows), INTERVAL)
    columns = {"ended": "time", **{name: name for name in INTERVAL.names or () if name in log_.ENDS}}
    for name, column in columns.items():
        intervals[name] = rows[:, log_.ENDS.index(column)]
    intervals["window"] = number
    intervals["outcome"] = np.where(_was_used(rows, window.marks), OUTCOMES.index("used"), OUTCOMES.index("discarded"))
    # where stops take effect later, a stopped worker goes on after it was told
    intervals["ended"] = np.maximum(intervals["ended"], intervals["computing_to"])
    for kind, outcome in _OUTCOME_OF_KIND.items():
        intervals["outcome"][rows[:, log_.KIND] == kind] = outcome
    return intervals


def _was_used(rows: Rows, marks: Rows) -> np.ndarray:
    def keys(of: Rows) -> np.ndarray:
        return of[:, log_.WORKER].astype(np.int64) << 40 | of[:, log_.M].astype(np.int64)

    kinds = marks[:, log_.KIND]
    used = np.setdiff1d(keys(marks[kinds == log_.USED]), keys(marks[kinds == log_.DISCARDED]))
    return np.isin(keys(rows), used)
