"""The section `engine`: the simulation, or real workers on Ray."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from asyncsim.parameters import NonNegative, Positive, Whole
from asyncsim.scenario.messages import Strict, raise_at, said
from asyncsim.times.expressions import evaluate

PerWorker = float | int | str | list[float] | list[int]


class EngineEntry(Strict):
    """What plays the run: the simulation, or real workers on Ray (asyncsim/cluster.py)."""

    name: Annotated[
        Literal["simulation", "ray"],
        said(Literal["simulation", "ray"]),
        Field(description="simulation unless given; ray plays the run on real workers"),
    ] = "simulation"
    address: Annotated[
        str, said(str), Field(description="local starts a Ray of its own; auto finds the running one; host:port")
    ] = "local"
    cpus_per_worker: Annotated[
        NonNegative,
        said(NonNegative),
        Field(description="CPUs that Ray reserves for each worker; a fraction is allowed"),
    ] = 1.0
    gpus_per_worker: Annotated[
        NonNegative, said(NonNegative), Field(description="GPUs for each worker; 0.25 lets four share one")
    ] = 0.0
    slowdown: Annotated[
        Literal["none", "sleep"],
        said(Literal["none", "sleep"]),
        Field(description="sleep: a gradient takes the seconds that compute_time draws, on equal machines too"),
    ] = "none"
    repeat: Annotated[
        PerWorker | None,
        Field(
            description="how often each worker computes a gradient, to be slower: a number, a list, an expression in i"
        ),
    ] = None
    threads: Annotated[
        PerWorker | None,
        Field(description="threads of each worker: a number, a list, an expression in i; 1 unless given"),
    ] = None
    replacements: Annotated[
        Whole, said(Whole), Field(description="how often each worker may be replaced when its process dies")
    ] = 3
    hung_after: Annotated[
        Positive | None,
        said(Positive),
        Field(description="seconds after which a silent worker counts as dead; never unless given"),
    ] = None
    start_timeout: Annotated[
        Positive, said(Positive), Field(description="seconds in which all workers must be ready")
    ] = 120.0
    insecure: Annotated[
        bool, said(bool), Field(description="true: accept a cluster on other machines that asks for no token")
    ] = False

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("name", "simulation") == "simulation":
            raise_at(
                [
                    ((key,), "belongs to the engine ray; write name: ray, or leave it out")
                    for key in data
                    if key in cls.model_fields and key != "name"
                ]
            )
        return data

    def build(self, n: int) -> Any:
        """The RayEngine for n workers; None for the simulation. ValueError for numbers that do not suit."""
        if self.name == "simulation":
            return None
        from asyncsim.cluster import RayEngine

        given = {key: getattr(self, key) for key in type(self).model_fields if key not in ("name", "repeat", "threads")}
        repeat, threads = (_for_each(getattr(self, key), n, key) for key in ("repeat", "threads"))
        return RayEngine(**given, repeat=repeat, threads=None if threads is None else [int(each) for each in threads])


def _for_each(value: Any, n: int, key: str) -> list[float] | None:
    """A number >= 1 for each worker."""
    if value is None:
        return None
    numbers = (
        evaluate(value, n).tolist() if isinstance(value, str) else value if isinstance(value, list) else [value] * n
    )
    if len(numbers) != n or not all(math.isfinite(number) and number >= 1 for number in numbers):
        raise ValueError(
            f"engine: {key}: {value!r:.60} is not allowed; allowed: a number >= 1 for each of the {n} workers"
        )
    return [float(number) for number in numbers]


def named_engine(value: Any) -> Any:
    """`engine: ray` is short for {name: ray}."""
    return {"name": value} if isinstance(value, str) else value
