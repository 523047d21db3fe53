"""IA²SGD: asynchronous steps with a table of every worker's last gradient."""

from typing import Any

from asyncsim.jobs import Gradient
from asyncsim.parameters import Positive, parameters
from asyncsim.server import Server


@parameters
class IA2SGD:
    """IA²SGD: asynchronous steps with the mean of every worker's last gradient.

    Incremental aggregated asynchronous SGD, also published as DuDe-SGD; PIAG with stochastic gradients. Wang, Sun, Wai & Zhang 2024 (arXiv:2405.16966), for heterogeneous data, f = (1/n)Σf_i.

    The server keeps the last gradient g_i of every worker and their mean ḡ. Until the table is full the workers
    compute at x⁰; from then on each arrival replaces its worker's row, the server steps with ḡ at once, and the
    worker starts anew at the new point. Every step weighs all f_i alike, however unequal the speeds.

    Parameters:
        stepsize: γ of the mean of the n rows. Theory knows it only for a given number of iterations, so it is
            to be tuned.

    When not to use it: on workers of very unequal speed, where a slow worker's row ages by the arrivals of all
    others without any bound and each row is one gradient only (Ringleader ASGD bounds the one and averages the
    other); with a worker that may never return, as it waits for the first gradient of each.

    >>> from asyncsim import Constant, Quadratic, Stop, Workers, simulate
    >>> workers = Workers(2, [Constant(1.0), Constant(3.5)])
    >>> run = simulate(IA2SGD(stepsize=0.1), Quadratic(10), workers, stop=Stop(time=7.0))
    >>> run.iterations, run.used  # the first step at 3.5, when the table is full
    (6, 9)
    """

    stepsize: Positive

    def run(self, server: Server) -> None:
        n = server.n
        g: list[Any] = server.state.get("g", [0.0] * n)
        ḡ: Any = server.state.get("mean", 0.0)
        while True:
            server.broadcast(Gradient(server.x))
            missing = set(server.workers) if server.k == 0 else set()  # rows that the first step waits for
            while True:
                arrival = server.receive()
                i = arrival.worker
                ḡ = ḡ + (arrival.gradient - g[i]) / n
                g[i] = arrival.gradient
                missing.discard(i)
                if not missing:
                    break
                server.send(i, Gradient(server.x))
            server.step(self.stepsize, ḡ, g=g, mean=ḡ)
