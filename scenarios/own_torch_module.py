"""A torch module of your own under three methods: `python scenarios/own_torch_module.py` (extra torch)."""

import torch
from torch import nn

from asyncsim import AsynchronousSGD, Exponential, RennalaSGD, RingmasterASGD, Stop, TorchProblem, Workers, compare

torch.manual_seed(1)
X = torch.randn(2000, 10)
y = (X[:, 0] * X[:, 1] > 0).long()  # no linear classifier can tell these two classes
module = nn.Sequential(nn.Linear(10, 32), nn.LayerNorm(32), nn.GELU(), nn.Linear(32, 2))  # or any nn.Module
problem = TorchProblem(
    module, nn.functional.cross_entropy, (X[:1500], y[:1500]), test=(X[1500:], y[1500:]), batch_size=8
)
workers = Workers(20, lambda worker: Exponential(1.0 + worker))  # seconds a gradient
methods = [AsynchronousSGD(0.1), RennalaSGD(0.4, batch_size=4), RingmasterASGD(0.2, threshold=10)]
result = compare(methods, problem, workers, stop=Stop(time=1000, target=True), target={"test_accuracy": 0.9})
print(result.sentence())
