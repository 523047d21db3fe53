"""What a scenario says of its problem, and the problem of each seed: a recipe that may travel to other processes."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from asyncsim.yaml_file import Problem, ScenarioError


@dataclass
class ProblemOfSeed:
    """seed → the problem of that seed. The last one is kept, so that data are read once where seeds stand outermost.

    Parameters
    ----------
    described : a problem, or what builds one by `build(seed, base, n)`
    base : the folder that relative data paths start from
    n : how many workers share it out
    place : where it stands in the scenario, for errors

    Raises ScenarioError when its data cannot be read or do not fit.

    >>> from asyncsim.problems import Quadratic
    >>> problem_of = ProblemOfSeed(Quadratic(dimension=7), Path(), n=3)
    >>> problem_of(0).dimension, problem_of(5) is problem_of(5)
    (7, True)
    """

    described: Any
    base: Path
    n: int
    place: str = ""
    last: tuple[int, Any] | None = None

    def __call__(self, seed: int) -> Any:
        if self.last is None or self.last[0] != seed:
            self.last = None  # two at once need not fit
            self.last = (seed, self._built(seed))
        return self.last[1]

    def _built(self, seed: int) -> Any:
        if not callable(getattr(self.described, "build", None)):
            return self.described
        try:
            return self.described.build(seed, self.base, self.n)
        except (ValueError, OSError, ImportError) as error:
            raise ScenarioError([Problem(self.place, "problem", str(error))]) from error

    def __getstate__(self) -> dict[str, Any]:
        # the data are read where they are needed, they do not travel
        return {**vars(replace(self, last=None))}
