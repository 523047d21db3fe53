"""How the advice is found: tune every candidate, measure the winners, choose.

What is within 10 % of the best on the median, or within 25 % and not clearly slower by the rules of `asyncsim.summary`, is
called as good; among these the simplest is advised. Ranges are over the seeds.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Callable, Sequence

import numpy as np

from asyncsim import study, summary
from asyncsim.advise.answer import SEEDS, TOO_SLOW, Advice, Option
from asyncsim.advise.files import scenario_of
from asyncsim.advise.model import Model
from asyncsim.advise.more_machines import cutoff, enough, gain
from asyncsim.advise.plans import Plan, candidates
from asyncsim.advise.question import LIGHT, Group, Question
from asyncsim.advise.tuning import played, tuned
from asyncsim.result import Result

TIED, PERHAPS_TIED = 1.1, 1.25

# simplest first: among methods that are as good, the first of these is advised
SIMPLEST = (
    *("hero_sgd", "minibatch_sgd", "ringmaster_asgd", "rennala_sgd", "naive_optimal_asgd", "asynchronous_sgd"),
    *("async_batch_sgd", "async_local_sgd", "dual_local_sgd", "local_sgd", "mindflayer_sgd"),
    *("malenia_sgd", "ringleader_asgd", "ia2_sgd", "rescaled_asgd", "random_assignment_asgd"),
)


def advise(question: Question, told: Callable[[str], None] = lambda words: None) -> Advice:
    """The advice for these machines, in some ten seconds. `told` hears what is being tried.

    >>> from asyncsim.advise import asked
    >>> advice = advise(asked("1x1.0", average=1, target=0.1, jitter=0))
    >>> advice.chosen.plan.method
    'hero_sgd'
    """
    model = Model(question.B, question.jitter, question.target, question.data)
    plans, slow = _best_plans(model, question.groups, told)
    if all(math.isinf(time) for _, time in plans):
        raise ValueError(
            "no method reached the target on any of the seeds: gradients take too long or never come back; "
            "look at the times of these machines, or ask for a larger --target"
        )
    told("measuring the best of each method")
    scenario = scenario_of(question, model, [plan for plan, _ in plans])
    result = study.run(scenario, progress=False)
    options = _options(question, model, [plan for plan, _ in plans], result)
    if question.yardstick:
        told("measuring one machine without delays that has all the data")
        hero = _alone(question)
    else:
        hero = next(option for option in options if option.plan.method == "hero_sgd")
    tied = _tied(result, options, question.communicates)
    chosen = min((o for o in options if o.plan.method in tied), key=lambda o: SIMPLEST.index(o.plan.method))
    without = []
    for kind, group in enumerate(question.groups):
        told(f"without {group}")
        without.append(_without(question, model, chosen, kind))
    others = {}
    if question.average is None:
        for B in (question.B // 4, 4 * question.B):
            told(f"if {B} gradients were to be averaged")
            others[B] = _elsewhere(question, B)
    ordered = tuple(sorted(options, key=lambda option: option.median))
    kinds = range(len(question.groups)) if question.data == "same" else ()
    more = tuple((gain(question, kind, 2), enough(question, kind)) for kind in kinds)
    return Advice(
        question, ordered, chosen, hero, tied, slow, tuple(without), others, cutoff(question), more, result, scenario
    )


def _alone(question: Question) -> Option:
    """The fastest machine with the data of all and none of its gradients late: what others are measured against."""
    kind = min(range(len(question.groups)), key=lambda kind: question.groups[kind].seconds)
    group = question.groups[kind]
    groups = (Group(1, group.seconds),)
    model = Model(question.B, min(question.jitter, LIGHT), question.target)
    plan, _ = tuned(model, groups, candidates(groups, question.B)["hero_sgd"])
    rate = math.nan if group.price is None else group.price
    return Option(plan, _full(played(model, groups, plan, SEEDS)), (kind,), rate)


def _best_plans(
    model: Model, groups: Sequence[Group], told: Callable[[str], None], only: Sequence[str] | None = None
) -> tuple[list[tuple[Plan, float]], dict[str, str]]:
    """Each method's best plan with its time in the tuning; and those that were too slow."""
    found: list[tuple[Plan, float]] = []
    slow = {}
    least = math.inf
    always = "" if any(group.law is not None for group in groups) else "hero_sgd"
    for name, plans in candidates(groups, model.B, model.data).items():
        if only is not None and name not in only:
            continue
        told(f"tuning {name}")
        plan, time = tuned(model, groups, plans, TOO_SLOW * least)
        if (time <= TOO_SLOW * least and math.isfinite(time)) or name == always:
            found.append((plan, time))
            least = min(least, time)
        else:
            slow[name] = f"needed more than {TOO_SLOW:g} times the time of the best"
    return [(p, t) for p, t in found if t <= TOO_SLOW * least or p.method == always], slow | {
        p.method: f"needed {summary.number(t / least, 2)} times the time of the best"
        for p, t in found
        if t > TOO_SLOW * least and p.method != always
    }


def _options(question: Question, model: Model, plans: Sequence[Plan], result: Result) -> list[Option]:
    groups = question.groups
    ends = np.cumsum([group.count for group in groups])
    options = []
    for plan, label in zip(plans, result.labels, strict=True):
        runs = result.of(label)
        times = tuple(summary.time_to_target(run, result.target)[0] for run in runs)
        if plan.method == "hero_sgd" and question.communicates:
            times = _full(played(model, groups, plan, SEEDS))
        used = np.sum([run.workers["used"] for run in runs], axis=0)
        shares = tuple(float(part.sum() / max(1, used.sum())) for part in np.split(used, ends[:-1]))
        options.append(Option(plan, times, *_who(plan, groups), used=shares))
    return options


def _full(times: list[float]) -> tuple[float, ...]:
    """Times on all seeds; those after the first that was not reached were not run, and count as not reached."""
    return tuple(times + [math.inf] * (len(SEEDS) - len(times)))


def _who(plan: Plan, groups: Sequence[Group]) -> tuple[tuple[int, ...], float]:
    """Numbers of the kinds that take part, and the price of an hour of all machines that do."""
    counts = [group.count for group in groups]
    if plan.method == "hero_sgd":
        numbers = [plan.parameters["worker"]]
    else:
        numbers = list(plan.parameters.get("workers", range(sum(counts))))
    kinds = np.searchsorted(np.cumsum(counts), numbers, side="right")
    prices = [groups[kind].price for kind in kinds]
    rate = (
        math.nan
        if any(price is None for price in prices)
        else math.fsum(price for price in prices if price is not None)
    )
    return tuple(sorted(set(kinds.tolist()))), rate


def _tied(result: Result, options: Sequence[Option], communicates: bool) -> tuple[str, ...]:
    """The methods that are as good as the best: within 10 % on the median, or within 25 % and not clearly slower."""
    best = min(options, key=lambda option: option.median)
    labels = dict(zip([option.plan.method for option in options], result.labels, strict=True))
    found = []
    for option in options:
        near = option.median <= TIED * best.median
        # of the hero the result tells other times than its own where messages cost something
        told = not (communicates and "hero_sgd" in (option.plan.method, best.plan.method))
        overlap = (
            told
            and option.median <= PERHAPS_TIED * best.median
            and not _clearly(result, labels[best.plan.method], labels[option.plan.method])
        )
        if option is best or near or overlap:
            found.append(option)
    return tuple(option.plan.method for option in sorted(found, key=lambda option: option.median))


def _clearly(result: Result, best: str, other: str) -> bool:
    both = dataclasses.replace(result, runs=tuple(run for run in result.runs if run.label in (best, other)))
    said = summary.verdict(both)
    return said.clear and said.best == best


def _without(question: Question, model: Model, chosen: Option, kind: int) -> Option | None:
    """The chosen method, tuned anew, on the machines without one kind; None where no machine is left."""
    rest = tuple(group for number, group in enumerate(question.groups) if number != kind)
    if not rest:
        return None
    offered = candidates(rest, model.B, model.data)
    plans = offered.get(chosen.plan.method) or offered["ringmaster_asgd"]
    own = [p for p in plans if p.parameters == chosen.plan.parameters]
    plan, _ = tuned(model, rest, own or plans)
    times = _full(played(model, rest, plan, SEEDS))
    kept = tuple(number for number in range(len(question.groups)) if number != kind)
    return Option(plan, times, kept, _who(plan, rest)[1])


def _elsewhere(question: Question, B: int) -> tuple[str, float]:
    """What would be best for another B*: the method, and how many times sooner than a single machine (tuning seeds)."""
    model = Model(B, question.jitter, question.target, question.data)
    few = (
        "hero_sgd",
        "ringmaster_asgd",
        "rennala_sgd",
        "minibatch_sgd",
        "mindflayer_sgd",
        "malenia_sgd",
        "ringleader_asgd",
    )
    plans, _ = _best_plans(model, question.groups, lambda words: None, few)
    times = {plan.method: time for plan, time in plans}
    best = min(times, key=lambda name: times[name])
    simplest = min((name for name in times if times[name] <= TIED * times[best]), key=SIMPLEST.index)
    if question.yardstick:
        alone = statistics.fmean(_alone(dataclasses.replace(question, average=B)).times)
    else:
        alone = times["hero_sgd"]
    return simplest, alone / times[simplest]
