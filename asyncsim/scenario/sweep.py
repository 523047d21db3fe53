"""The section `sweep`: which parameters `asyncsim sweep` tries, on which seeds, and by which rule it chooses."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator

from asyncsim.grids import Grid, read_grid
from asyncsim.parameters import Count
from asyncsim.scenario.messages import Strict, not_allowed, raise_at, said, wrong
from asyncsim.scenario.seeds import Seed, Seeds
from asyncsim.yaml_file import Keys


def _grids(value: Any) -> dict[str, dict[str, Grid]]:
    """label → parameter → grid."""
    words = "a mapping of methods, {ringmaster_asgd: {threshold: [1, 5, 25]}, all: {…}}"
    if not isinstance(value, Mapping):
        raise wrong(not_allowed(value, words))
    if not value:
        raise wrong(f"empty; needed: {words}")
    found: dict[str, dict[str, Grid]] = {}
    problems: list[tuple[Keys, str]] = []
    for label, parameters in value.items():
        if not isinstance(parameters, Mapping) or not parameters:
            problems.append(((str(label),), not_allowed(parameters, "a mapping, {stepsize: [0.1, 0.2]}")))
            continue
        for parameter, grid in parameters.items():
            try:
                found.setdefault(str(label), {})[str(parameter)] = read_grid(grid)
            except ValueError as error:
                problems.append(((str(label), str(parameter)), str(error)))
    raise_at(problems)
    return found


class RandomChoice(Strict):
    """How many choices a random sweep draws for each method."""

    count: Annotated[Count, said(Count), Field(description="choices of parameters for each method")]
    seed: Annotated[Seed, said(Seed), Field(description="the seed that they are drawn from")] = 0


Rule = Literal["time_to_target", "final_squared_gradient_norm"]


class SweepEntry(Strict):
    """What `asyncsim sweep` tries for each method, and how it chooses."""

    parameters: Annotated[
        Any,
        PlainValidator(_grids, json_schema_input_type=dict[str, dict[str, list[Any] | dict[str, Any]]]),
        Field(description="by method, as it is called, or `all`: {stepsize: {powers_of: 5, from: -5, to: 4}}"),
    ]
    seeds: Annotated[
        Seeds | None,
        Field(description="the tuning seeds, none of those of the scenario; as many, right after them, unless given"),
    ] = None
    rule: Annotated[
        Rule | None,
        said(Rule),
        Field(description="what the best choice has least of; time_to_target where there is a target, unless given"),
    ] = None
    random: Annotated[RandomChoice | None, Field(description="draw choices instead of trying all")] = None
    stop_early: Annotated[
        bool,
        said(bool),
        Field(description="true: end a run that has taken longer than the best choice so far; it cannot win any more"),
    ] = False
