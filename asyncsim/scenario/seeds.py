"""Seeds: one, a list, or a range like 0..29."""

import collections
import re
from collections.abc import Sequence
from typing import Annotated, Any

import annotated_types as at
from pydantic import PlainValidator

from asyncsim.parameters import Whole
from asyncsim.scenario.messages import not_allowed, wrong

MAX_SEEDS = 1_000_000
MAX_SEED = 10**15


def _seeds(value: Any) -> Sequence[int]:
    """A seed, a list of seeds, or a range "0..29" (both ends in it)."""
    words = "a whole number >= 0, a list of them, or a range like 0..29 (both ends in it)"
    if isinstance(value, str) and (ends := re.fullmatch(r"\s*(\d{1,19})\s*\.\.\s*(\d{1,19})\s*", value)):
        first, last = int(ends[1]), int(ends[2])
        if first <= last < min(first + MAX_SEEDS, MAX_SEED + 1):
            value = range(first, last + 1)
    found = value if isinstance(value, range | list | tuple) else (value,)
    if len(found) > MAX_SEEDS:
        raise wrong(f"{len(found):,} seeds; allowed: up to {MAX_SEEDS:,}")
    if not found or not all(type(seed) is int and 0 <= seed <= MAX_SEED for seed in found):
        raise wrong(not_allowed(value, f"{words}, up to {MAX_SEEDS:,} of them"))
    if len(set(found)) < len(found):
        twice = next(seed for seed, times in collections.Counter(found).items() if times > 1)
        raise wrong(f"seed {twice} stands twice; the same seed is the same run")
    return found if isinstance(found, range) else tuple(found)


Seed = Annotated[int, at.Ge(0), at.Le(MAX_SEED)]
Seeds = Annotated[Any, PlainValidator(_seeds, json_schema_input_type=Whole | list[Whole] | str)]
