"""Heterogeneous data, unequal speeds: where methods converge to.

f_i(x) = ½‖x − c_i‖² with the centres c_i on a line, the fast workers together at its left end. The optimum is the mean
of the centres, 0. Asynchronous SGD counts worker i as often as it delivers, 1/τ_i, and ends at Σ(1/τ_i)c_i/Σ(1/τ_i).
"""

import numpy as np
import pytest
from watched import Watched

from asyncsim import (
    IA2SGD,
    AsynchronousSGD,
    MaleniaSGD,
    MinibatchSGD,
    RandomAssignmentASGD,
    RescaledASGD,
    RingleaderASGD,
    RingmasterASGD,
    SeparateQuadratics,
    Stop,
    Uniform,
    Workers,
    simulate,
)

n = 5
τ = 1.0 + 2.0 * np.arange(n)
PROBLEM = SeparateQuadratics(dimension=1, spread=1.0, start=1.0).build(n=n)
CENTRES = np.array([PROBLEM.centre(i).item() for i in range(n)])
WEIGHTED = (CENTRES / τ).sum() / (1 / τ).sum()


def settles_at(method, workers, time: float) -> float:
    """The mean of the iterates of the second half of the run."""
    watched = Watched(method, lambda server, *_: server.x.item())
    run = simulate(watched, PROBLEM, workers, stop=Stop(time=time))
    assert run.status == "finished"
    return float(np.mean(watched.seen[len(watched.seen) // 2 :]))


def constant() -> Workers:
    return Workers(n, list(τ))


def changing() -> Workers:
    return Workers(n, [Uniform(0.5 * mean, 1.5 * mean) for mean in τ])


BIASED = [AsynchronousSGD(0.01), RingmasterASGD(0.01, threshold=200)]
UNBIASED = [
    MaleniaSGD(0.3),
    MaleniaSGD(0.3, batch_size=12, stops=True),
    MinibatchSGD(0.3),
    RingleaderASGD(0.02),
    RingleaderASGD(0.02, resend="latest"),
    RingleaderASGD(0.02, harmonic_mean=2.0),
    IA2SGD(0.02),
    RescaledASGD(0.01),
    RescaledASGD(0.01, compute_times=tuple(τ)),
    RandomAssignmentASGD(0.01),
]


@pytest.mark.parametrize("workers", [constant, changing])
@pytest.mark.parametrize("method", BIASED, ids=repr)
def test_it_settles_where_the_fast_workers_pull_it(method, workers):
    assert settles_at(method, workers(), 1500.0) == pytest.approx(WEIGHTED, abs=0.05)
    assert WEIGHTED < -0.5


@pytest.mark.parametrize("workers", [constant, changing])
@pytest.mark.parametrize("method", UNBIASED, ids=repr)
def test_it_settles_at_the_optimum(method, workers):
    time = 6000.0 if isinstance(method, RandomAssignmentASGD) else 1500.0
    assert settles_at(method, workers(), time) == pytest.approx(0.0, abs=0.05)
