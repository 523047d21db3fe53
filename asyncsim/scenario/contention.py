"""Workers that slow each other down while they compute at the same time."""

from typing import Annotated, Any, Self

from pydantic import Field, PlainValidator, model_validator

from asyncsim.parameters import Count, Positive, Whole
from asyncsim.scenario.messages import Strict, not_allowed, said, wrong
from asyncsim.times.contention import MEMBERS, SLOWDOWN, Contention

_SLOWDOWN_WORDS = SLOWDOWN.partition(", or a function")[0]


def _slowdown(value: Any) -> Any:
    try:
        Contention(slowdown=value)
    except ValueError as error:
        message = str(error).removeprefix("Contention: ")
        raise wrong(message if isinstance(value, str) else not_allowed(value, _SLOWDOWN_WORDS)) from None
    return value


def _members(value: Any) -> Any:
    try:
        Contention(capacity=1, members=value)
    except ValueError as error:
        raise wrong(str(error).removeprefix("Contention: members: ").removeprefix("Contention: ")) from None
    return value


class ContentionEntry(Strict):
    """Workers that slow each other down while they compute at the same time: a capacity or a slowdown."""

    capacity: Annotated[
        Positive | None,
        said(Positive),
        Field(description="C: while c workers that share compute, each has min(1, C/c) of its power"),
    ] = None
    slowdown: Annotated[
        Any,
        PlainValidator(_slowdown, json_schema_input_type=str | list[float] | None),
        Field(description=f"instead of capacity: by which factor a gradient takes longer: {_SLOWDOWN_WORDS}"),
    ] = None
    size: Annotated[
        Count | None, said(Count), Field(description="how many share, workers in their order; all unless given")
    ] = None
    members: Annotated[
        Any,
        PlainValidator(_members, json_schema_input_type=list[list[Whole]] | None),
        Field(description=f"instead of size: {MEMBERS}"),
    ] = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        try:
            self.build()
        except ValueError as error:
            raise wrong(str(error).removeprefix("Contention: ")) from None
        return self

    def build(self) -> Contention:
        """What `Workers` takes."""
        return Contention(self.capacity, self.slowdown, self.size, self.members)
