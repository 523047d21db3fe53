"""The workers: one description for all, groups, or a preset.

They are built once on loading. Where that fails, each of their times is tried alone, so that a message is about the
value that does not fit.
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Self

import annotated_types as at
from pydantic import BeforeValidator, Field, model_validator

from asyncsim.parameters import Positive, allowed, allows
from asyncsim.scenario.communication import CommunicationTime, SharedLinkEntry, StopTakesEffect
from asyncsim.scenario.contention import ContentionEntry
from asyncsim.scenario.described import DESCRIBED, AvailabilityEntry, OwnDescription, SpeedEntry
from asyncsim.scenario.messages import Strict, as_list, listed, not_allowed, raise_at, said, wrong
from asyncsim.scenario.times import GivenTime, GivenTimes
from asyncsim.times.communication import ALLOWED_STOPS, SharedLink
from asyncsim.times.presets import PRESETS
from asyncsim.times.workers import Workers
from asyncsim.yaml_file import Keys, did_you_mean

MAX_WORKERS = 10_000_000
MAX_GROUPS = 1_000

WorkerCount = Annotated[int, at.Ge(1), at.Le(MAX_WORKERS)]
_COMPUTE = "seconds a gradient: a number, an expression in i = 1…n and n, a list, or a law {distribution: …}"
_SPEED_WORDS = "how power changes with time: {name: …}, `asyncsim list speeds`; compute_time is then that at power 1"
_THERE_WORDS = "when workers are there: {name: …}, `asyncsim list availabilities`; always unless given"
_CONTENTION_WORDS = (
    "who slows whom down while they compute: {capacity: …} or {slowdown: …}, and size or members; nobody"
)


class Group(Strict):
    """Workers that share a description."""

    count: Annotated[WorkerCount, said(WorkerCount), Field(description="how many workers, a whole number >= 1")]
    compute_time: Annotated[GivenTimes | None, Field(description=_COMPUTE)] = None
    communication_time: Annotated[CommunicationTime, Field(description="seconds of messages")] = CommunicationTime()
    speed: Annotated[SpeedEntry | None, Field(description=_SPEED_WORDS)] = None
    availability: Annotated[AvailabilityEntry | None, Field(description=_THERE_WORDS)] = None
    contention: Annotated[ContentionEntry | None, Field(description=f"{_CONTENTION_WORDS} unless given")] = None

    @model_validator(mode="after")
    def _has_a_time(self) -> Self:
        if self.compute_time is None and self.speed is None:
            raise_at([(("compute_time",), f"missing; needed: {_COMPUTE}")])
        return self

    def described(self) -> list[Any]:
        """What is described by worker, in the order of `DESCRIBED`."""
        return [getattr(self, kind.word) for kind in DESCRIBED]

    def descriptions(self, n: int, start: int) -> list[Any]:
        """The same as `Workers` takes it, where worker `start` is the first, out of n."""
        return [
            data.spec(n, start, self.count) if isinstance(data, OwnDescription) else data for data in self.described()
        ]

    def times(self) -> dict[Keys, GivenTime]:
        """The three times and where they stand."""
        return {
            ("compute_time",): self.compute_time or GivenTime(1),
            ("communication_time", "uplink"): self.communication_time.uplink,
            ("communication_time", "downlink"): self.communication_time.downlink,
        }


FOR_ALL = ("shared_link", "stop_takes_effect", "contention")  # keys of workers that stand beside `groups` too


class WorkersEntry(Strict):
    """The workers: `count` and `compute_time` for all of them, or `groups`, or a `preset`."""

    count: Annotated[WorkerCount | None, said(WorkerCount), Field(description="n, how many workers")] = None
    compute_time: Annotated[GivenTimes | None, Field(description=_COMPUTE)] = None
    communication_time: Annotated[
        CommunicationTime | None, Field(description="seconds of messages: {uplink: …, downlink: …}; 0 unless given")
    ] = None
    speed: Annotated[SpeedEntry | None, Field(description=_SPEED_WORDS)] = None
    availability: Annotated[AvailabilityEntry | None, Field(description=_THERE_WORDS)] = None
    shared_link: Annotated[
        SharedLinkEntry | None, Field(description="the server's link: {capacity: numbers a second}; none unless given")
    ] = None
    stop_takes_effect: Annotated[
        StopTakesEffect, Field(description=f"when a stopped worker is free: {ALLOWED_STOPS}")
    ] = "at_once"
    contention: Annotated[ContentionEntry | None, Field(description=f"{_CONTENTION_WORDS} unless given")] = None
    groups: Annotated[
        Annotated[list[Group], Field(min_length=1, max_length=MAX_GROUPS), BeforeValidator(as_list)] | None,
        Field(description="instead of count and compute_time: a list of groups, each with count and compute_time"),
    ] = None
    preset: Annotated[
        str | None, Field(description=f"instead of compute_time: ready-made workers, one of {listed(PRESETS)}")
    ] = None
    seconds: Annotated[
        Positive | None, said(Positive), Field(description="beside preset: seconds a gradient on its reference device")
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, data: Any) -> Any:
        """Put the groups of a preset in its place: a scenario keeps what it had when presets change."""
        if not isinstance(data, Mapping) or data.get("preset") is None:
            if isinstance(data, Mapping) and data.get("seconds") is not None:
                raise_at([(("seconds",), "stands without a `preset`; give compute_time in seconds")])
            return data
        name, count, seconds = data["preset"], data.get("count"), data.get("seconds")
        problems: list[tuple[Keys, str]] = [
            ((key,), "stands beside `preset`, which allows count and seconds")
            for key in data
            if key in cls.model_fields and key not in ("preset", "count", "seconds", *FOR_ALL)
        ]
        problems += [
            ((key,), f"unknown key; allowed beside `preset`: count, seconds{did_you_mean(key, ['count', 'seconds'])}")
            for key in data
            if key not in cls.model_fields
        ]
        if not isinstance(name, str) or name not in PRESETS:
            problems.append((("preset",), not_allowed(name, f"one of {listed(PRESETS)}", list(PRESETS))))
        for key, value, annotation in (("count", count, WorkerCount), ("seconds", seconds, Positive)):
            if value is not None and not allows(annotation, value):
                problems.append(((key,), not_allowed(value, allowed(annotation))))
        raise_at(problems)
        groups = PRESETS[name].entries(count, 1.0 if seconds is None else float(seconds))
        return {"groups": groups, **{key: data[key] for key in FOR_ALL if key in data}}

    @property
    def parts(self) -> list[Group]:
        """The workers as groups, one unless `groups` was given."""
        if self.groups is not None:
            return self.groups
        messages = self.communication_time or CommunicationTime()
        return [
            Group.model_construct(
                None,
                count=self.count,
                compute_time=self.compute_time,
                communication_time=messages,
                speed=self.speed,
                availability=self.availability,
            )
        ]

    @property
    def starts(self) -> list[int]:
        """The first worker of each part, and n."""
        return [0, *itertools.accumulate(group.count for group in self.parts)]

    def build(self) -> Workers:
        """The workers; ValueError for what does not fit their number."""
        n = self.starts[-1]
        rows = [
            (
                group.count,
                *(time.spec(n, start, group.count) for time in group.times().values()),
                *group.descriptions(n, start),
                None if group.contention is None else group.contention.build(),
            )
            for start, group in zip(self.starts[:-1], self.parts, strict=True)
        ]
        return Workers.groups(rows, **self.options())

    def options(self) -> dict[str, Any]:
        """What all groups share."""
        link = self.shared_link
        return {
            "shared_link": None if link is None else SharedLink(link.capacity, link.broadcast),
            "stop_takes_effect": self.stop_takes_effect,
            "contention": None if self.contention is None else self.contention.build(),
        }

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.groups is not None:
            beside = self.model_fields_set - {"groups", *FOR_ALL}
            raise_at([((key,), "stands beside `groups`; it belongs into each group") for key in sorted(beside)])
        else:
            needed = {"count": "how many workers (or give `groups`)"}
            if self.speed is None:
                needed["compute_time"] = _COMPUTE
            raise_at(
                [((key,), f"missing; needed: {words}") for key, words in needed.items() if getattr(self, key) is None]
            )
        if self.starts[-1] > MAX_WORKERS:
            raise wrong(f"{self.starts[-1]:,} workers; allowed: up to {MAX_WORKERS:,}")
        try:
            self.build()
        except (ValueError, TypeError):
            raise_at(list(self._what_does_not_fit()))
            raise
        return self

    def _what_does_not_fit(self) -> Iterator[tuple[Keys, str]]:
        """Each time that cannot be built, tried alone: as a group between workers whose times are 0."""
        n = self.starts[-1]
        if self.contention is not None:
            yield from self._what_cannot_share(self.contention, range(n), ())
        for g, (start, group) in enumerate(zip(self.starts[:-1], self.parts, strict=True)):
            if group.contention is not None:
                yield from self._what_cannot_share(group.contention, range(start, start + group.count), ("groups", g))
            count = group.count
            for road, time in group.times().items():
                before, after = (start, 0.0), (n - start - group.count, 0.0)
                try:
                    own: list[Any] = [group.count, 1.0, 0.0, 0.0]
                    own[("compute_time", "uplink", "downlink").index(road[-1]) + 1] = time.spec(n, start, count)
                    Workers.groups([row for row in (before, own, after) if row[0]])
                except (ValueError, TypeError) as error:
                    message = re.sub(rf"^(groups\[\d+\]: )?{road[-1]}: ", "", str(error))
                    place = (*road, *_named_in(message, time.data))
                    yield (place if self.groups is None else ("groups", g, *place)), message
            for kind, data in zip(DESCRIBED, group.described(), strict=True):
                try:
                    spec = data.spec(n, start, count) if isinstance(data, OwnDescription) else data
                    row = (group.count, 1.0, *([0.0, 0.0] + [None] * (kind.part - 4)), spec)
                    Workers.groups([row for row in (before, row, after) if row[0]])
                except (ValueError, TypeError) as error:
                    message = re.sub(rf"^(groups\[\d+\]: )?{kind.word}: ", "", str(error))
                    place = (kind.word, *_named_in(message, data))
                    yield (place if self.groups is None else ("groups", g, *place)), message

    def _what_cannot_share(self, entry: ContentionEntry, workers: range, place: Keys) -> Iterator[tuple[Keys, str]]:
        if place and self.contention is not None:
            yield (*place, "contention"), "stands beside the `contention` of all workers; a worker shares one thing"
        try:
            entry.build().groups(workers)
        except ValueError as error:
            message = str(error).removeprefix("Contention: ")
            road = tuple(key for key in ("slowdown", "members") if getattr(entry, key) is not None)
            yield (*place, "contention", *road), message.removeprefix("members: ")


def _named_in(message: str, data: Any) -> Keys:
    """The parameter of a law that a message is about, as a road below the law; laws may stand inside laws."""
    road: Keys = ()
    for token in re.split(r": | = ", message):
        found = re.fullmatch(r"(\w+)(?:\.(\d+)|\[\d+\])?", token)
        if not found:
            break
        key, place = found[1], found[2]
        if isinstance(data, dict) and key in data:
            road, data = (*road, key), data[key]
            if place and isinstance(data, list):
                road, data = (*road, int(place)), data[int(place)]
    return road
