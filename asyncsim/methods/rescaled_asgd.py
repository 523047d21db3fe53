"""Rescaled ASGD: Asynchronous SGD with stepsizes in proportion to the compute times."""

from typing import Any, Literal

import numpy as np

from asyncsim.jobs import Gradient
from asyncsim.parameters import Positive, parameters
from asyncsim.server import Server
from asyncsim.theory import Knowledge


@parameters
class RescaledASGD:
    """Rescaled ASGD: Asynchronous SGD with stepsizes in proportion to the workers' compute times.

    Mahran, Maranjyan & Richtárik 2026 (arXiv:2605.13434), for heterogeneous data, f = (1/n)Σf_i.

    Asynchronous SGD in which a gradient of worker i is stepped with γ_i = γτ_i/τ_avg: a worker that delivers
    half as often moves x twice as far each time, so that over time all f_i count alike. It needs no memory
    beyond n numbers and no worker ever waits. The τ_i are the means of the compute times observed so far, or given.

    Parameters:
        stepsize: γ, the stepsize of a worker of average speed; the slowest steps with γτ_n/τ_avg. To be tuned.
        compute_times: "observed" estimates each τ_i from the gradients that came, and τ_avg from the workers that
            were heard of; it does not see communication times. "theory" takes the mean times of the workers'
            laws, communication included; or a list of n numbers, of which only the ratios matter.

    When not to use it: when the τ_i change over time, since the means then follow too late; when a few workers are
    so slow that their large steps force a small γ on all (Ringleader ASGD); on homogeneous data, where it only
    adds variance.

    >>> from asyncsim import Constant, Quadratic, Stop, Workers, simulate
    >>> workers = Workers(2, [Constant(1.0), Constant(3.0)])
    >>> run = simulate(RescaledASGD(stepsize=0.1), Quadratic(10), workers, stop=Stop(time=9.0))
    >>> run.iterations, run.discarded
    (12, 0)
    """

    stepsize: Positive
    compute_times: tuple[Positive, ...] | Literal["observed", "theory"] = "observed"

    def run(self, server: Server) -> None:
        known = self.compute_times != "observed"
        τ = list(self.compute_times) if known else [0.0] * server.n
        if len(τ) != server.n:
            raise ValueError(f"RescaledASGD: compute_times has {len(τ)} numbers, but there are {server.n} workers")
        start: dict[str, Any] = {"τ": τ, "b": [0] * server.n, "sum_τ": sum(τ), "heard_of": server.n if known else 0}
        τ, b, sum_τ, heard_of = ((server.state or start)[key] for key in start)
        while True:
            server.broadcast(Gradient(server.x))
            arrival = server.receive()
            i = arrival.worker
            if not known:  # τ_i is the mean of the b_i times observed
                b[i] += 1
                change = (arrival.compute_times[0] - τ[i]) / b[i]
                τ[i] += change
                sum_τ += change
                heard_of += b[i] == 1
            γ_i = self.stepsize * (τ[i] * heard_of / sum_τ if sum_τ > 0 else 1.0)
            server.step(γ_i, arrival.gradient, τ=τ, b=b, sum_τ=sum_τ, heard_of=heard_of)

    def theory(self, knowledge: Knowledge) -> dict[str, Any]:
        (times,) = knowledge.need("mean_times")
        if not (np.isfinite(times) & (times > 0)).all():
            raise ValueError("every worker needs a mean time that is finite and above 0")
        return {"compute_times": tuple(times.tolist())}
