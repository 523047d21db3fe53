"""The short sections: target, stop, record."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import annotated_types as at
from pydantic import Field, model_validator

from asyncsim.parameters import Count, NonNegative, Positive, Whole
from asyncsim.scenario.messages import Strict, listed, raise_at, said, wrong

Points = Annotated[int, at.Ge(2), at.Le(100_000)]
Share = Annotated[float, at.Gt(0), at.Le(1)]
Events = Literal["all", "windows"]


class Target(Strict):
    """What is to be reached: the one place where ε stands."""

    squared_gradient_norm: Annotated[Positive | None, said(Positive), Field(description="‖∇f(x)‖² <= ε")] = None
    suboptimality: Annotated[Positive | None, said(Positive), Field(description="f(x) − f* <= ε; f* must be known")] = (
        None
    )
    test_accuracy: Annotated[
        Share | None,
        said(Share),
        Field(description="share of held-out samples told right >= this; a problem with test"),
    ] = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [key for key in type(self).model_fields if getattr(self, key) is not None]
        if not given:
            raise wrong(f"empty; needed: one of {listed(type(self).model_fields)}")
        raise_at([((key,), f"stands beside `{given[0]}`; one target can be given") for key in given[1:]])
        return self


class Stop(Strict):
    """When a run ends: at the first of these."""

    time: Annotated[NonNegative | None, said(NonNegative), Field(description="simulated seconds")] = None
    iterations: Annotated[Whole | None, said(Whole), Field(description="iterations k")] = None
    gradients: Annotated[Whole | None, said(Whole), Field(description="gradients that arrived")] = None
    target: Annotated[bool | None, said(bool), Field(description="true: when the target is reached")] = None
    wall_clock: Annotated[Positive | None, said(Positive), Field(description="real seconds a run may take")] = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        # 0 is an end too: stop at once
        if (
            all(getattr(self, key) is None for key in ("time", "iterations", "gradients", "wall_clock"))
            and not self.target
        ):
            raise wrong(f"no end is given; needed: at least one of {listed(type(self).model_fields)}")
        return self


class RecordEntry(Strict):
    """What is kept of a run, and how often."""

    points: Annotated[
        Points | None,
        said(Points),
        Field(description="about this many points a curve, thinned as the run grows; 200 unless given"),
    ] = None
    every: Annotated[Positive | None, said(Positive), Field(description="a point every so many simulated seconds")] = (
        None
    )
    iterations: Annotated[Count | None, said(Count), Field(description="a point every so many iterations")] = None
    events: Annotated[
        Events,
        said(Events),
        Field(description="all: every event; windows: those of up to 40 workers at begin, middle and end"),
    ] = "windows"
    checkpoint_every: Annotated[
        NonNegative, said(NonNegative), Field(description="real seconds between checkpoints; 0 = at every step")
    ] = 60.0

    @model_validator(mode="before")
    @classmethod
    def _points_unless_given(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and all(data.get(key) is None for key in ("points", "every", "iterations")):
            return {**data, "points": 200}
        return data

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [key for key in ("points", "every", "iterations") if getattr(self, key) is not None]
        raise_at([((key,), f"stands beside `{given[0]}`; give one of points, every, iterations") for key in given[1:]])
        return self
