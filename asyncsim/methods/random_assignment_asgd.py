"""Asynchronous SGD with random assignment: each new point goes to a worker drawn uniformly."""

from typing import Any

from asyncsim.jobs import Gradient
from asyncsim.parameters import Positive, parameters
from asyncsim.server import Server


@parameters
class RandomAssignmentASGD:
    """Random assignment: Asynchronous SGD that gives each new point to a random worker, busy or not.

    Koloskova, Stich & Jaggi 2022 (arXiv:2206.08307), Algorithm 2, for heterogeneous data, f = (1/n)Σf_i.

    Every arrival is a step. The new point goes to a worker drawn uniformly from all n; if it is busy the point
    waits in that worker's queue, first come first served. So n points are always on their way, and every f_i is
    asked equally often, however unequal the speeds.

    Parameters:
        stepsize: γ of one gradient. The paper's bound is in delays, which are not known before the run; to be tuned.

    When not to use it: on workers of very unequal speed. Points gather in the queues of the slow ones while the
    fast ones idle, and the slowest sets the pace of all: it makes 1/n of the steps (Ringleader ASGD, Rescaled
    ASGD). One worker that never returns ends it all, once every point waits for it.

    >>> from asyncsim import Constant, Quadratic, Stop, Workers, simulate
    >>> workers = Workers(2, [Constant(1.0), Constant(3.0)])
    >>> run = simulate(RandomAssignmentASGD(stepsize=0.1), Quadratic(10), workers, stop=Stop(time=3000.0))
    >>> round(float(run.workers["used"][0]) / run.used, 1)
    0.5
    """

    stepsize: Positive

    def run(self, server: Server) -> None:
        # the first point of a queue is the one that its worker computes at
        queues: list[list[Any]] = server.state.get("queues") or [[server.x] for _ in server.workers]
        while True:
            if server.k == 0:
                server.broadcast(Gradient(server.x))
            else:
                drawn = int(server.rng.integers(server.n))
                queues[drawn].append(server.x)
                if len(queues[drawn]) == 1:
                    server.send(drawn, Gradient(server.x))
            arrival = server.receive()
            queue = queues[arrival.worker]
            queue.pop(0)
            if queue:
                server.send(arrival.worker, Gradient(queue[0]))
            server.step(self.stepsize, arrival.gradient, queues=queues)
