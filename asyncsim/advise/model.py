"""The model problem, on which every candidate runs.

Theory says which methods are good up to constants; the constants are measured. Every candidate runs on a *model problem*:
the papers' tridiagonal quadratic, L = 1, dimension 100, from x0 until ‖∇f‖² is `Question.target` times (10⁻⁴) what it is
at x0, with noise such that σ² = B*·ε. Times are gamma distributed with the means given and the standard deviation `jitter`
times the mean. About 25 exact gradient steps lead there, so fixed costs weigh little.

Each machine with data of its own (`data` = "different", f = (1/n)Σf_i): the model is the quadratic with a spread: machine i's
gradients are off by a vector of its own, the same everywhere, fast machines on one side and slow ones on the other. How
unlike the data are is assumed: ζ² = ‖∇f(x0)‖², at the start the gradients of the machines differ from their mean by as much
as the mean is long. Methods that keep the machines' gradients apart (Ringleader, Malenia, IA², Minibatch) do not care how
much it is; the others do. All f_i have the same curvature, which is kind to those that use old gradients.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from asyncsim import running, summary
from asyncsim.advise.question import Data, Group, gamma, six_digits
from asyncsim.problems import PROBLEMS
from asyncsim.problems.quadratic import places
from asyncsim.record import Record
from asyncsim.stop import Stop
from asyncsim.times import Workers

DIMENSION = 100


POINTS, TUNING_POINTS = 400, 160  # records thin out as a run grows, to some 2 % and 4 % of its length


@dataclass(frozen=True)
class Model:
    """The problem on which methods are tried (see the head of this file), for one B*, jitter and kind of data.

    >>> model = Model(B=16, jitter=0.1, target=1e-4)
    >>> round(model.problem().sigma2 / model.epsilon, 3)
    16.0
    """

    B: int
    jitter: float
    target: float
    data: Data = "same"

    @cached_property
    def _start(self) -> float:
        """‖∇f(x0)‖²."""
        exact = PROBLEMS["quadratic"](dimension=DIMENSION)
        start = exact.full_gradient(exact.x0)
        return float(start @ start)

    @cached_property
    def epsilon(self) -> float:
        """ε for ‖∇f‖²."""
        return six_digits(self.target * self._start)

    def section(self, n: int) -> dict[str, Any]:
        """The problem for n machines as a scenario has it."""
        found = {
            "name": "quadratic",
            "dimension": DIMENSION,
            "noise": six_digits(math.sqrt(self.B * self.epsilon / DIMENSION)),
        }
        if self.data == "different" and n > 1:
            found["spread"] = six_digits(math.sqrt(self._start / float(np.mean(places(n) ** 2))))
        return found

    def problem(self, n: int = 1) -> Any:
        """The problem for n machines."""
        return self._made(n)[0]

    def _made(self, n: int) -> tuple[Any, str]:
        """The problem for n machines, and how its gradients are evaluated, which is found out once."""
        known: dict[int, tuple[Any, str]] = vars(self).setdefault("_problems", {})
        if n not in known:
            section = self.section(n)
            problem = PROBLEMS[section.pop("name")](**section).build(n=n)
            known[n] = problem, running.evaluation_of(problem, "auto", n)
        return known[n]

    def most_gradients(self, n: int) -> int:
        """After so many a run on n machines ends; several times what any good plan needs, so that what diverges slowly ends."""
        return 5000 + 400 * (self.B + n)

    def law(self, group: Group) -> Any:
        """The law of a gradient's time, as a scenario has it."""
        return gamma(group.seconds, self.jitter) if group.law is None else group.law

    def workers(self, groups: Sequence[Group]) -> Workers:
        """The machines as simulated workers; half of the communication is the uplink, half the downlink."""
        half = [group.communication / 2 for group in groups]
        return Workers.groups([(g.count, self.law(g), c, c) for g, c in zip(groups, half, strict=True)])

    def times(
        self, method: Any, groups: Sequence[Group], seeds: Iterable[int], *, cap: float = math.inf, points: int = 400
    ) -> list[float]:
        """Simulated seconds to the target on each seed; inf beyond `cap`, after which no further seed is run."""
        found: list[float] = []
        n = sum(group.count for group in groups)
        stop = Stop(target=True, gradients=self.most_gradients(n), time=cap if math.isfinite(cap) else None)
        target = {"squared_gradient_norm": self.epsilon}
        workers, record = self.workers(groups), Record(points=points)
        problem, evaluation = self._made(n)
        for seed in seeds:
            run = running.execute(method, problem, workers, stop, seed, target, record, "", evaluation=evaluation)
            found.append(summary.time_to_target(run, target)[0])
            if not math.isfinite(found[-1]):
                break
        return found
