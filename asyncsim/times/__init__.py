"""Compute and communication times of workers: laws, expressions in i and n, and what the engine asks."""

from asyncsim.times.laws import (
    LAWS,
    Constant,
    Exponential,
    Gamma,
    HalfNormal,
    Law,
    LogNormal,
    Normal,
    Pareto,
    ShiftedExponential,
    ShiftedHalfNormal,
    Uniform,
)
from asyncsim.times.workers import Times, Workers

__all__ = [
    "LAWS",
    "Constant",
    "Exponential",
    "Gamma",
    "HalfNormal",
    "Law",
    "LogNormal",
    "Normal",
    "Pareto",
    "ShiftedExponential",
    "ShiftedHalfNormal",
    "Times",
    "Uniform",
    "Workers",
]
