"""What is discarded is chosen by times alone, so that what is used has no bias."""

import math

import numpy as np
import pytest

from asyncsim import (
    AsyncBatchSGD,
    AsyncLocalSGD,
    LogNormal,
    MaleniaSGD,
    MindFlayerSGD,
    RennalaSGD,
    RingmasterASGD,
    Stop,
    Workers,
    simulate,
)

Γ = 1e-3


class Ramp:
    """f(x) = x on one number: every gradient is 1 plus normal noise, so x tells the mean of all that was applied."""

    dimension = 1
    x0 = np.zeros(1)

    def gradient(self, x, rng, worker):
        return 1.0 + rng.standard_normal(1)

    def value(self, x):
        return float(x[0])


@pytest.mark.parametrize(
    "method",
    [
        RingmasterASGD(Γ, threshold=2),
        RingmasterASGD(Γ, threshold=2, stops=True),
        RennalaSGD(Γ, batch_size=2),
        RennalaSGD(Γ, batch_size=2, stops=True),
        MaleniaSGD(Γ, stops=True),
        AsyncLocalSGD(Γ, local_steps=2, threshold=3),
        AsyncBatchSGD(Γ, batch_size=2, threshold=3),
        MindFlayerSGD(Γ, trials=2),
    ],
    ids=repr,
)
def test_the_gradients_that_are_used_have_the_mean_of_all(method):
    run = simulate(method, Ramp(), Workers(6, LogNormal(0.0, 1.0)), stop=Stop(iterations=4000))
    assert run.used < 0.8 * run.sent
    summed = isinstance(method, AsyncLocalSGD | AsyncBatchSGD)
    slope = -run.curves["value"][-1] / (Γ * (run.used if summed else run.iterations))
    # MindFlayer divides by the number expected, which adds that number's own noise
    noise = math.sqrt(2.0 if isinstance(method, MindFlayerSGD) else 1.0)
    of_each = run.used if summed else run.iterations
    assert slope == pytest.approx(1.0, abs=4.5 * noise / math.sqrt(of_each))
