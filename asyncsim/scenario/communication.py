"""Messages: the seconds that they take, the link that they share, and when a stop takes effect."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    create_model,
)
from pydantic_core import PydanticCustomError

from asyncsim.parameters import Positive, allowed, allows
from asyncsim.scenario.chosen import plain
from asyncsim.scenario.messages import Strict, listed, not_allowed, raise_at, said, wrong
from asyncsim.scenario.times import GivenTime, number_or_text, read_time, time_for_the_schema, varies
from asyncsim.times.communication import ALLOWED_STOPS, stop_delay
from asyncsim.times.laws import Time
from asyncsim.yaml_file import Keys, did_you_mean


@dataclasses.dataclass(frozen=True)
class GivenLink:
    """{latency: …, bandwidth: …} as the scenario has it; else like `GivenTime`."""

    latency: GivenTime
    bandwidth: Any = None

    @property
    def data(self) -> Any:
        """The plain data."""
        return {"latency": self.latency.data, **({} if self.bandwidth is None else {"bandwidth": self.bandwidth})}

    def spec(self, n: int, start: int, count: int) -> Any:
        """What `Workers` takes."""
        return {**self.data, "latency": self.latency.spec(n, start, count)}


_BANDWIDTH_WORDS = f"{allowed(Positive)} (numbers a second), inf, an expression in i and n, or a list (one a worker)"


def _message_time(value: Any, info: ValidationInfo) -> GivenTime | GivenLink:
    if isinstance(value, GivenLink):
        return value
    if not isinstance(value, Mapping) or "distribution" in value or not {"latency", "bandwidth"} & set(value):
        return read_time(value, info)
    keys = ["latency", "bandwidth"]
    problems: list[tuple[Keys, str]] = [
        ((key,), f"unknown key; allowed: {listed(keys)}{did_you_mean(key, keys)}") for key in value if key not in keys
    ]
    latency = GivenTime(0)
    try:
        latency = read_time(value.get("latency", 0), info)
    except PydanticCustomError as error:
        problems.append((("latency",), error.message()))
    except ValidationError as error:
        problems += [(("latency", *found["loc"]), found["msg"]) for found in error.errors(include_url=False)]
    bandwidth = number_or_text(value.get("bandwidth"))
    if "bandwidth" in value and not varies(bandwidth) and not (allows(Time, bandwidth) and bandwidth > 0):
        problems.append((("bandwidth",), not_allowed(bandwidth, _BANDWIDTH_WORDS)))
    raise_at(problems)
    return GivenLink(latency, bandwidth)


def _message_time_for_the_schema() -> Any:
    times = time_for_the_schema()
    link = create_model(
        "link",
        __config__=ConfigDict(extra="forbid"),
        __doc__="A link: latency + size / bandwidth seconds.",
        latency=(times, Field(0, description="seconds of a message of no size: like a time")),
        bandwidth=(float | list[float] | str | None, Field(None, description=f"allowed: {_BANDWIDTH_WORDS}")),
    )
    return times | link


MessageTimes = Annotated[
    Any,
    PlainValidator(_message_time, json_schema_input_type=_message_time_for_the_schema()),
    PlainSerializer(lambda time: plain(time.data)),
]


class CommunicationTime(Strict):
    """Seconds that messages take: times, or links {latency: …, bandwidth: …}."""

    uplink: Annotated[MessageTimes, Field(description="seconds from a worker to the server, or a link")] = GivenTime(0)
    downlink: Annotated[MessageTimes, Field(description="seconds from the server to a worker, or a link")] = GivenTime(
        0
    )


class SharedLinkEntry(Strict):
    """The server's link, which carries one message at a time."""

    capacity: Annotated[Positive, said(Positive), Field(description="numbers a second")]
    broadcast: Annotated[
        Literal["free", "counted"],
        said(Literal["free", "counted"]),
        Field(description="counted: what the server sends goes through it too, in the other direction"),
    ] = "free"


class _After(BaseModel):
    after: float


def _stop_takes_effect(value: Any) -> Any:
    try:
        stop_delay(value)
    except ValueError:
        raise wrong(not_allowed(value, ALLOWED_STOPS, ["at_once", "after_current_gradient"])) from None
    return value


StopTakesEffect = Annotated[
    Any,
    PlainValidator(_stop_takes_effect, json_schema_input_type=Literal["at_once", "after_current_gradient"] | _After),
]
