"""asyncsim: which distributed optimization method reaches the accuracy first, in seconds, on these workers?

A simulator of asynchronous, unequal workers. `run` plays a scenario file; `simulate` and `compare` do
the same from Python objects. See the README for the road in, `asyncsim.server` for the rules by which
methods are written.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# name → module; loaded when first asked for, so that `asyncsim --help` starts at once
_WHERE = {
    "Arrival": "jobs", "ComponentGradient": "jobs", "Gradient": "jobs", "GradientDifference": "jobs",
    "LocalSteps": "jobs", "ProtocolError": "jobs", "TimerFired": "jobs", "mean": "jobs", "total": "jobs",
    "EndOfRun": "server", "NoProgressError": "server", "Server": "server",
    "Stop": "simulation",
    "Record": "record",
    "compare": "running", "simulate": "running",
    "Result": "result", "Run": "result",
    "OnCluster": "parallel",
    "demo": "study", "resume": "study", "run": "study", "tune": "sweep",
    "Knowledge": "theory", "Prediction": "theory.predictions", "predict": "theory.predictions",
    "AsynchronousSGD": "methods", "HeroSGD": "methods", "METHODS": "methods", "MinibatchSGD": "methods",
    "RennalaSGD": "methods", "RingmasterASGD": "methods",
    "FreyaPAGE": "methods", "FreyaSGD": "methods", "HeroPAGE": "methods", "PAGE": "methods", "SovietPAGE": "methods",
    "IA2SGD": "methods", "MaleniaSGD": "methods", "NaiveOptimalASGD": "methods", "RandomAssignmentASGD": "methods",
    "RescaledASGD": "methods", "RingleaderASGD": "methods",
    "AsyncBatchSGD": "methods", "AsyncLocalSGD": "methods", "DecayingLocalSGD": "methods", "DualLocalSGD": "methods",
    "LocalSGD": "methods", "MindFlayerSGD": "methods",
    "LogisticRegression": "problems", "NoProblem": "problems", "PROBLEMS": "problems", "Quadratic": "problems",
    "DriftSensitive": "problems", "QuadraticSum": "problems", "SeparateQuadratics": "problems", "SoftmaxRegression": "problems",
    "CNN": "problems", "GPT": "problems", "MLP": "problems", "TorchProblem": "problems",
    "Empirical": "times", "Maximum": "times", "Minimum": "times", "Mixture": "times", "Part": "times",
    "PerWorker": "times", "Scaled": "times", "Shifted": "times", "Sum": "times", "Truncated": "times",
    "empirical": "times", "mixture": "times",
    "Constant": "times", "Exponential": "times", "Gamma": "times", "HalfNormal": "times", "LAWS": "times",
    "LogNormal": "times", "Normal": "times", "Pareto": "times", "ShiftedExponential": "times",
    "FromTrace": "times", "Trace": "times", "measure": "measuring", "read_trace": "times", "write_trace": "times",
    "ShiftedHalfNormal": "times", "Uniform": "times", "Workers": "times",
    "ConstantSpeed": "times", "DriftSpeed": "times", "MarkovSpeed": "times", "Outages": "times", "PeriodicSpeed": "times",
    "AVAILABILITIES": "times", "Crash": "times", "Dropout": "times", "LateJoin": "times", "PluggedIn": "times",
    "Contention": "times", "SharedLink": "times",
    "PiecewiseSpeed": "times", "SPEEDS": "times", "StepSpeed": "times",
    "Scenario": "scenario", "ScenarioError": "scenario",
    "Adam": "update_rules", "Momentum": "update_rules", "Muon": "update_rules", "Plain": "update_rules",
    "UPDATE_RULES": "update_rules",
    "Invariants": "verify", "VerificationError": "verify",
}  # fmt: skip

__all__ = sorted([*_WHERE, "__version__"])  # noqa: PLE0605 - a list, which ruff cannot see


_MODULES = ("replay", "testing", "twin")  # called by their whole names, as asyncsim.twin.what_if


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"asyncsim.{name}")
    if name not in _WHERE:
        raise AttributeError(f"module 'asyncsim' has no attribute {name!r}")
    value = getattr(import_module(f"asyncsim.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
