"""IA²SGD: asynchronous steps with a table of every worker's last gradient."""

from typing import Any

from asyncsim.jobs import Gradient
from asyncsim.parameters import Positive, parameters
from asyncsim.server import Server


@parameters
class IA2SGD:
    """Incremental aggregated asynchronous SGD, also published as DuDe-SGD; PIAG with stochastic gradients.

    Wang, Sun, Wai & Zhang 2024 (arXiv:2405.16966), for heterogeneous data, f = (1/n)Σf_i.

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
    (5, 8)
    """

    stepsize: Positive

    def run(self, server: Server) -> None:
        n = server.n
        g: list[Any] = server.state.get("g", [None] * n)
        ḡ: Any = server.state.get("mean", 0.0)
        while True:
            server.broadcast(Gradient(server.x))
            full = False
            while not full:
                arrival = server.receive()
                i = arrival.worker
                ḡ = ḡ + (arrival.gradient - (0.0 if g[i] is None else g[i])) / n
                g[i] = arrival.gradient
                full = server.k > 0 or all(row is not None for row in g)
                if not full:
                    server.send(i, Gradient(server.x))
            server.step(self.stepsize, ḡ, g=g, mean=ḡ)
