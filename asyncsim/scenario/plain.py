"""A scenario as plain data again: what `Scenario.canonical` is made of."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from asyncsim.scenario.chosen import ChosenMethod, plain
from asyncsim.scenario.described import DESCRIBED
from asyncsim.scenario.sweep import SweepEntry
from asyncsim.scenario.times import GivenTime
from asyncsim.scenario.workers import Group, WorkersEntry


def plain_sweep(sweep: SweepEntry) -> dict[str, Any]:
    """The section `sweep`."""
    grids = {
        label: {name: plain(grid.data) for name, grid in parameters.items()}
        for label, parameters in sweep.parameters.items()
    }
    others = {key: value for key, value in plain_section(sweep).items() if key not in ("parameters", "seeds")}
    seeds = {} if sweep.seeds is None else {"seeds": next(iter(plain_seeds(sweep.seeds).values()))}
    return {"parameters": grids, **seeds, **others}


def files_in(data: Any) -> Iterator[str]:
    """The files of traces in the plain data of times."""
    if isinstance(data, Mapping):
        if data.get("distribution") == "trace":
            yield data["file"]
        for entry in data.values():
            yield from files_in(entry)
    elif isinstance(data, list):
        for entry in data:
            yield from files_in(entry)


def plain_method(entry: ChosenMethod) -> dict[str, Any]:
    """An entry of `methods`."""
    beside = {key: getattr(entry, key) for key in ("label", "update_rule")}
    return {**plain(entry), **{key: plain(value) for key, value in beside.items() if value is not None}}


def plain_section(section: BaseModel) -> dict[str, Any]:
    """A section whose values are plain already."""
    return {key: value for key, value in section.model_dump().items() if value is not None}


def plain_times(group: Group) -> dict[str, Any]:
    """What is said of each worker of a group, but for their number."""
    return {
        "compute_time": plain((group.compute_time or GivenTime(1)).data),
        "communication_time": {
            "uplink": plain(group.communication_time.uplink.data),
            "downlink": plain(group.communication_time.downlink.data),
        },
        **{kind.word: plain(data) for kind, data in zip(DESCRIBED, group.described(), strict=True) if data is not None},
        **({} if group.contention is None else {"contention": plain_section(group.contention)}),
    }


def plain_for_all(workers: WorkersEntry) -> dict[str, Any]:
    """What all groups share."""
    link, stop = workers.shared_link, workers.stop_takes_effect
    shared = {} if link is None else {"shared_link": plain_section(link)}
    if workers.contention is not None:
        shared["contention"] = plain_section(workers.contention)
    return shared | ({} if stop == "at_once" else {"stop_takes_effect": plain(stop)})


def plain_seeds(seeds: Sequence[int]) -> dict[str, Any]:
    """`seed` or `seeds`, in the shortest form."""
    if len(seeds) == 1:
        return {"seed": seeds[0]}
    if isinstance(seeds, range):
        return {"seeds": f"{seeds[0]}..{seeds[-1]}"}
    return {"seeds": list(seeds)}
