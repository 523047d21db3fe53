"""Ready-made workers: `workers: {preset: mixed-gpus}` in a scenario, `Workers.groups(PRESETS[name].rows())` in Python.

A preset is an illustration with a shape that real fleets have; each says in its text which of its figures come from
where, and which are made up. Measured times of your own (`asyncsim.measure`, `asyncsim fit`) are better.

A preset is groups with their shares of the workers. Another `count` keeps the shares (largest remainders, and at
least one worker a group where there are enough); `seconds` is what a gradient takes on the device that has 1 in the
preset, so all times, those of messages too, are multiplied by it. A scenario keeps the groups, not the name: it
stays what it was when a preset changes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Preset:
    """Workers in groups. groups: dicts as a scenario has them, with `of` (what they are) and `count`."""

    text: str
    groups: tuple[Mapping[str, Any], ...]

    @property
    def count(self) -> int:
        """How many workers there are unless another count is asked for."""
        return sum(group["count"] for group in self.groups)

    def entries(self, count: int | None = None, seconds: float = 1.0) -> list[dict[str, Any]]:
        """The groups as a scenario has them.

        >>> [(group["count"], group["compute_time"]["scale"]) for group in PRESETS["mixed-gpus"].entries(8, 2.0)]
        [(2, 0.08), (4, 0.1728), (2, 0.2976)]
        """
        counts = _shared(count or self.count, [group["count"] for group in self.groups])
        return [
            {
                "count": number,
                **{key: _times(value, seconds) for key, value in group.items() if key not in ("of", "count")},
            }
            for number, group in zip(counts, self.groups, strict=True)
            if number
        ]

    def rows(self, count: int | None = None, seconds: float = 1.0) -> list[tuple[Any, ...]]:
        """The groups as `Workers.groups` takes them.

        >>> from asyncsim import Workers
        >>> Workers.groups(PRESETS["phones"].rows()).n
        100
        """
        entries = self.entries(count, seconds)
        return [
            (
                group["count"],
                group["compute_time"],
                *(group.get("communication_time", {}).get(way, 0.0) for way in ("uplink", "downlink")),
            )
            for group in entries
        ]


def _times(value: Any, seconds: float) -> Any:
    """A group's times, `seconds` as long."""
    if "distribution" not in value:
        return {
            key: _times(entry, seconds) if isinstance(entry, Mapping) else entry * seconds
            for key, entry in value.items()
        }
    if value["distribution"] == "mixture":
        parts = [{"weight": part["weight"], "law": _times(part["law"], seconds)} for part in value["parts"]]
        return {"distribution": "mixture", "parts": parts}
    in_seconds = {"mean", "scale", "shift", "minimum", "low", "high", "value"}
    return {key: round(entry * seconds, 12) if key in in_seconds else entry for key, entry in value.items()}


def _shared(count: int, weights: Sequence[int]) -> list[int]:
    """`count` shared out by weight, whole, by largest remainders; nobody goes without where there is enough.

    >>> _shared(10, [8, 1, 1]), _shared(4, [100, 1, 1]), _shared(1, [2, 1])
    ([8, 1, 1], [2, 1, 1], [1, 0])
    """
    shares = [count * weight / sum(weights) for weight in weights]
    found = [int(share) for share in shares]
    for place in sorted(range(len(weights)), key=lambda place: found[place] - shares[place])[: count - sum(found)]:
        found[place] += 1
    while 0 in found and max(found) > 1:
        found[found.index(max(found))] -= 1
        found[found.index(0)] += 1
    return found


def _gamma(mean: float, shape: float) -> dict[str, Any]:
    return {"distribution": "gamma", "shape": shape, "scale": round(mean / shape, 12)}


def _stragglers(law: dict[str, Any], slow: dict[str, Any], share: float) -> dict[str, Any]:
    parts = [{"weight": 1 - share, "law": law}, {"weight": share, "law": slow}]
    return {"distribution": "mixture", "parts": parts}


PRESETS: dict[str, Preset] = {
    "mixed-gpus": Preset(
        """A rack of three GPU generations: 4 H100, 8 A100, 4 V100.

        Relative times are ratios of memory bandwidth, 3352, 1555 and 900 GB/s (as given in Table 3 of PMC10448217,
        2023): 1, 2.16 and 3.72. That is a model of training that waits for memory, not a measurement of any
        training; work that waits for 16-bit matrix products is spread wider. The numbers of devices, the 20 %
        spread of a time (gamma law of shape 25) and the messages (2 % of a gradient on the H100, each way) are made
        up.""",
        (
            {
                "of": "H100",
                "count": 4,
                "compute_time": _gamma(1.0, 25),
                "communication_time": {"uplink": 0.02, "downlink": 0.02},
            },
            {
                "of": "A100",
                "count": 8,
                "compute_time": _gamma(2.16, 25),
                "communication_time": {"uplink": 0.02, "downlink": 0.02},
            },
            {
                "of": "V100",
                "count": 4,
                "compute_time": _gamma(3.72, 25),
                "communication_time": {"uplink": 0.02, "downlink": 0.02},
            },
        ),
    ),
    "phones": Preset(
        """A hundred phones of three classes on home and mobile networks.

        An illustration, nothing here is measured: new, middling and old phones (20, 50, 30) that take 1, 2.5 and 8
        times as long as the newest, one gradient in ten six times as long as usual (other apps, heat), uploads
        slower than downloads, both with a heavy tail. Phones that leave and come back are not in it: see
        availability.""",
        tuple(
            {
                "of": of,
                "count": count,
                "compute_time": _stragglers(_gamma(mean, 4), _gamma(6 * mean, 2), 0.1),
                "communication_time": {
                    "uplink": {"distribution": "pareto", "minimum": 0.5, "shape": 1.8},
                    "downlink": {"distribution": "pareto", "minimum": 0.1, "shape": 2.5},
                },
            }
            for of, count, mean in (("new", 20, 1.0), ("middling", 50, 2.5), ("old", 30, 8.0))
        ),
    ),
    "spot-instances": Preset(
        """Twenty equal machines on the spot market, some of which share their host with busy neighbours.

        An illustration, nothing here is measured: 16 undisturbed machines with a small spread (gamma law of shape
        100), 4 that take 1.5 times as long and vary, and for all one gradient in 200 that takes 60 times as long:
        the machine was taken away and another one started. A machine that stays away for longer is not in it: see
        availability.""",
        (
            {
                "of": "undisturbed",
                "count": 16,
                "compute_time": _stragglers(_gamma(1.0, 100), _gamma(60.0, 4), 0.005),
                "communication_time": {"uplink": 0.05, "downlink": 0.05},
            },
            {
                "of": "with busy neighbours",
                "count": 4,
                "compute_time": _stragglers(_gamma(1.5, 9), _gamma(60.0, 4), 0.005),
                "communication_time": {"uplink": 0.05, "downlink": 0.05},
            },
        ),
    ),
}
