"""Whatever a method does with the server, in whatever order, and wherever it is killed: the rules hold.

hypothesis plays the method: it sends, waits, reads, reads again, discards, stops, sets timers and deadlines, steps, and asks
for what is forbidden. Workers leave, come back and lose their jobs; some never answer. At any moment the process "dies":
server, engine and log are thrown away, made anew from the bytes of the checkpoint of the last step, and the same calls are
made again. Time, iterate, arrivals and event hash must then be what they were.
"""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from toys import Noisy

from asyncsim import (
    ComponentGradient,
    Contention,
    Dropout,
    Exponential,
    Gradient,
    GradientDifference,
    LateJoin,
    LocalSteps,
    ProtocolError,
    Record,
    Stop,
    Workers,
)
from asyncsim.jobs import Arrival, TimerFired
from asyncsim.log import Log
from asyncsim.record import Recorder
from asyncsim.server import EndOfRun, Server
from asyncsim.simulation import Simulation
from asyncsim.streams import sequential

N = 4
LEAVING = Dropout(Exponential(5.0), Exponential(2.0), "lost", notice=0.5)
PLACES = {
    "always there": {"compute_time": Exponential(1.0), "uplink": 0.2},
    "some never answer": {"compute_time": [1.0, np.inf, 0.5, 1.0]},
    "equal times": {"compute_time": 1.0},
    "leaving": {"compute_time": Exponential(1.0), "availability": [LEAVING, None, LEAVING, LateJoin(4.0, "lost")]},
    "beginning anew": {"compute_time": 1.0, "availability": Dropout(Exponential(4.0), 1.0, "restarted")},
    "sharing": {"compute_time": Exponential(1.0), "contention": Contention(capacity=2)},
    "stopping late": {"compute_time": Exponential(1.0), "stop_takes_effect": "after_current_gradient"},
}
JOBS = {
    "gradient": lambda x, y: Gradient(x),
    "three": lambda x, y: Gradient(x, count=3),
    "component": lambda x, y: ComponentGradient(x, 2),
    "difference": lambda x, y: GradientDifference(x, y, (0, 3)),
    "local": lambda x, y: LocalSteps(x, 2, 0.1),
}
WORKER = st.integers(0, N - 1)


class Keeps:
    """The bytes of the checkpoint at the end of every step."""

    data: bytes | None = None

    def due(self, k: int) -> bool:
        return True

    def save(self, encode: Any, k: int) -> None:
        self.data = encode()


class Machine(RuleBasedStateMachine):
    place: str
    made = 0

    def __init__(self) -> None:
        super().__init__()
        Machine.made += 1
        self.keeper = Keeps()
        self.since: list[tuple[Any, ...]] = []  # what was done since the last step
        self.held: list[Arrival] = []
        self.over: str | None = None
        self.begin()
        self.before = 0.0
        self.last_k = 0

    def begin(self) -> None:
        """A server, an engine and a log; from the last checkpoint, where there is one."""
        problem, workers = Noisy(), Workers(N, **PLACES[self.place])
        self.log = Log(N)
        recorder = Recorder(problem, Record(iterations=3), 40.0, None)
        self.engine = Simulation(problem, workers, 5, Stop(time=40.0), self.log, recorder, keeper=self.keeper)
        self.server = Server(self.engine, problem.x0.copy(), N, sequential(5, "method"), self.log)
        if self.keeper.data is None:
            self.engine.bind(self.server)
            self.held = []
        else:
            self.engine.resume(self.server, self.keeper.data, {})
            self.held = list(self.server.state["held"])

    # ---- what a method may do; each is also done again after a crash

    def do(self, *action: Any) -> Any:
        self.since.append(action)
        return self.again(*action)

    def again(self, what: str, *details: Any) -> Any:
        try:
            return getattr(self, f"do_{what}")(*details)
        except EndOfRun as over:
            self.over = over.reason
            return None

    def do_send(self, worker: int, job: str, deadline: float | None, at: str) -> None:
        made = JOBS[job](self.server.x, self.held[0].job.x if self.held else self.server.x)
        self.server.send(worker, made, deadline=deadline, at_deadline=at)

    def do_send_on(self, worker: int) -> None:
        self.server.send(worker, self.held[0].job)

    def do_broadcast(self) -> None:
        self.server.broadcast(Gradient(self.server.x))

    def do_receive(self) -> None:
        came = self.server.receive()
        if isinstance(came, Arrival):
            assert came.delay >= 0
            assert not came.timed_out or came._assignment.deadline is not None
            self.held.append(came)
        else:
            assert isinstance(came, TimerFired)

    def do_read(self, which: int) -> None:
        arrival = self.held[which % len(self.held)]
        if arrival.count and not arrival._discarded:
            local = isinstance(arrival.job, LocalSteps)
            answer = arrival.gradient_sum if local else arrival.gradient
            assert np.isfinite(answer).all()

    def do_discard(self, which: int) -> None:
        self.held.pop(which % len(self.held)).discard()

    def do_stop(self, worker: int, keep: bool) -> None:
        self.server.stop(worker, keep=keep)

    def do_stop_all(self) -> None:
        self.server.stop_all()

    def do_timer(self, name: str, every: bool, seconds: float) -> None:
        self.server.timer(name, **{"every" if every else "after": seconds})

    # ---- the rules

    def running(self) -> bool:
        return self.over is None

    @precondition(running)
    @rule(worker=WORKER, job=st.sampled_from(sorted(JOBS)), deadline=st.sampled_from([None, None, 0.0, 0.7, 3.0]),
          at=st.sampled_from(["drop", "partial"]))  # fmt: skip
    def send(self, worker: int, job: str, deadline: float | None, at: str) -> None:
        if worker in self.server.idle:
            self.do("send", worker, job, deadline, at)
        else:
            hash_before = self.log.event_hash()
            with pytest.raises(ProtocolError, match=rf"send\({worker}, …\)"):
                self.do_send(worker, job, deadline, at)
            assert self.log.event_hash() == hash_before

    @precondition(lambda self: self.running() and self.held)
    @rule(worker=WORKER)
    def send_on(self, worker: int) -> None:
        if worker in self.server.idle:
            self.do("send_on", worker)
            assert self.server.in_flight()[0].delay >= 0

    @precondition(running)
    @rule()
    def broadcast(self) -> None:
        self.do("broadcast")
        assert self.server.idle == []

    @precondition(running)
    @rule()
    def receive(self) -> None:
        if self.server.in_flight() or self.server._timers or self.server._away:
            self.do("receive")
        elif not self.server._lost_jobs:
            with pytest.raises(ProtocolError, match="nobody is at work and no timer is pending"):
                self.server.receive()

    @precondition(lambda self: self.running() and self.held)
    @rule(which=st.integers(0, 20))
    def read(self, which: int) -> None:
        self.do("read", which)
        used = self.log.totals()["used"]
        self.do_read(which)
        assert self.log.totals()["used"] == used  # a second reading uses nothing

    @precondition(lambda self: self.running() and self.held)
    @rule(which=st.integers(0, 20))
    def discard(self, which: int) -> None:
        self.do("discard", which)

    @precondition(running)
    @rule(worker=WORKER, keep=st.booleans())
    def stop(self, worker: int, keep: bool) -> None:
        if worker in [flying.worker for flying in self.server.in_flight()]:
            self.do("stop", worker, keep)
        else:
            with pytest.raises(ProtocolError, match="this worker has nothing to do"):
                self.server.stop(worker, keep=keep)

    @precondition(running)
    @rule()
    def stop_all(self) -> None:
        self.do("stop_all")
        assert self.server.in_flight() == []

    @precondition(running)
    @rule(name=st.sampled_from("ab"), every=st.booleans(), seconds=st.sampled_from([0.5, 1.0, 5.0]))
    def timer(self, name: str, every: bool, seconds: float) -> None:
        self.do("timer", name, every, seconds)

    @precondition(running)
    @rule(by_step=st.booleans())
    def step(self, by_step: bool) -> None:
        k = self.server.k
        try:
            if by_step:
                self.server.step(0.1, np.ones(3), held=self.held)
            else:
                self.server.update(self.server.x - 0.1, held=self.held)
            self.since = []
        except EndOfRun as over:
            self.over = over.reason
        assert self.server.k == k + 1

    @precondition(running)
    @rule()
    def crash_and_resume(self) -> None:
        before = self.all()
        self.begin()
        for action in self.since:
            self.again(*action)
        assert self.all() == before

    @precondition(lambda self: not self.running())
    @rule()
    def nothing_comes_after_the_end(self) -> None:
        before = self.log.event_hash()
        with pytest.raises((EndOfRun, ProtocolError)):
            self.server.receive()
        assert self.log.event_hash() == before

    def all(self) -> tuple[Any, ...]:
        held = [(a.worker, a.delay, a.count, a._used_at, a._discarded) for a in self.held]
        flying = [(f.worker, f.delay, type(f.job)) for f in self.server.in_flight()]
        of_server = (self.server.k, self.server.x.tobytes(), self.server.idle, str(self.server.rng.bit_generator.state))
        return (self.engine.now(), self.log.event_hash(), held, flying, of_server)

    # ---- what always holds

    @invariant()
    def every_worker_is_idle_at_work_or_away(self) -> None:
        places = [*self.server.idle, *(flying.worker for flying in self.server.in_flight()), *self.server._away]
        assert sorted(places) == list(range(N))

    @invariant()
    def time_and_iterations_never_go_back(self) -> None:
        assert self.engine.now() >= self.before
        assert 0 <= self.server.k - self.last_k <= 1
        self.before, self.last_k = self.engine.now(), self.server.k

    @invariant()
    def every_gradient_sent_is_accounted_for(self) -> None:
        totals, log = self.log.totals(), self.log
        flying = np.zeros(N, dtype=np.int64)
        for each in self.server.in_flight():
            flying[each.worker] += each.job.cost
        ended = log.arrived + log.stopped + log.timed_out + log.lost
        assert (np.array(self.server._given) == ended + flying).all()
        assert 0 <= totals["used"] <= totals["arrived"]
        assert (log.used <= log.arrived).all()

    @invariant()
    def delays_are_never_negative(self) -> None:
        delays = self.log.delays()
        assert (delays >= 0).all()
        assert (delays[:, 1] <= delays[:, 2]).all()


def machine(place: str) -> Any:
    made = type(f"Machine of {place}", (Machine,), {"place": place})
    made.TestCase.settings = settings(
        max_examples=20, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
    )
    return made


@pytest.mark.parametrize("place", PLACES)
def test_the_rules_of_the_server_hold_whatever_is_done_and_wherever_it_is_killed(place, record_property):
    made = Machine.made
    machine(place).TestCase().runTest()
    record_property("tries", Machine.made - made)
