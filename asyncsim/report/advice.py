"""Advice in words and as a page: what `asyncsim.advise` found, for people who never read of these methods.

The same sentences and tables stand on the terminal and on the page. A number that was measured comes with its range over
the seeds; what only theory says, up to a constant, is called so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from asyncsim import summary
from asyncsim.report.page import asset, embedded, policy

if TYPE_CHECKING:
    from asyncsim.advise import Advice, Option, Plan, Question

WHAT = {
    "hero_sgd": "plain SGD on one machine, the others idle",
    "minibatch_sgd": "all machines compute at the same point, the server waits for all of them and steps with the mean",
    "rennala_sgd": "a step is the mean of the first gradients that arrive, whoever sends them; what is still being computed is dropped",
    "ringmaster_asgd": "each gradient is a step of its own when it arrives, unless it is too old",
    "asynchronous_sgd": "each gradient is a step of its own when it arrives, however old",
    "naive_optimal_asgd": "asynchronous SGD on the fastest machines only",
    "async_batch_sgd": "several gradients at one point in each message, applied when they arrive unless they are too old",
    "async_local_sgd": "several local steps in each message, applied when they arrive unless they are too old",
    "dual_local_sgd": "several local steps of every machine in a round, the server waits for all",
    "local_sgd": "several local steps of every machine in a round, then the mean of where they arrived",
    "mindflayer_sgd": "each machine tries a fixed number of gradients and gives one up when its time is over",
    "malenia_sgd": "machines compute at the same point until each has delivered and the slow ones' few gradients are balanced "
    "by enough of the others; a step is the mean over machines of their means",
    "ringleader_asgd": "asynchronous rounds with a table of each machine's gradients; in a round each machine makes one step "
    "with the mean over the table",
    "ia2_sgd": "each arriving gradient replaces its machine's last one, and a step is the mean of all machines' last ones",
    "rescaled_asgd": "asynchronous SGD whose stepsizes are larger for slower machines, so that all data count alike",
    "random_assignment_asgd": "asynchronous SGD that gives each new point to a machine drawn at random, whether busy or not",
}
UNLIKE = ("rescaled_asgd", "random_assignment_asgd")  # their noise grows with how unlike the data are
LOCAL = ("async_local_sgd", "dual_local_sgd", "local_sgd")


def headline(advice: Advice) -> str:
    """What to do, in one sentence."""
    chosen, question = advice.chosen, advice.question
    fast = summary.number(min(group.seconds for group in question.groups))
    if chosen.plan.method == "hero_sgd":
        rest = "" if question.n == 1 else "; the others bring nothing that can be told"
        return f"Use one machine alone, plain SGD on a fastest one ({fast} s a gradient){rest}."
    part = chosen.plan.parameters.get("workers")
    harmful = question.data == "same" and [
        kind for kind, option in enumerate(advice.without) if _told_without(chosen, option)[1] == "does harm"
    ]
    if harmful:  # the worst of them; without several at once was not measured
        worst = max(harmful, key=lambda kind: question.groups[kind].trip)
        group = question.groups[worst]
        return f"Use {chosen.plan.method} on {summary.counted(question.n - group.count, 'machine')}, without {group}."
    where = (
        summary.counted(question.n, "machine") if part is None else f"the {len(part)} fastest of {question.n} machines"
    )
    return f"Use {chosen.plan.method} on {'all ' if part is None else ''}{where}."


def reasons(advice: Advice) -> list[str]:
    """How much sooner, how sure, with which parameters, how long and at what price."""
    return [*_comparison(advice), *_parameters(advice), *_absolute(advice), *_slowest(advice), *_unsure(advice)]


def _comparison(advice: Advice) -> list[str]:
    chosen, hero = advice.chosen, advice.hero
    said = [f"{chosen.plan.method}: {WHAT[chosen.plan.method]}."]
    if chosen is not hero:
        said.append(f"In the model it is {_range(chosen.sooner(hero))} times as fast as {_yardstick(advice.question)}.")
    others = [name for name in advice.tied if name != chosen.plan.method]
    if others:
        said.append(
            f"No clear winner: {_and(others)} {'is' if len(others) == 1 else 'are'} as good, within 10 % or within the seeds' "
            f"differences; {chosen.plan.method} is advised as the simplest."
        )
    rest = [option for option in advice.options if option.plan.method not in advice.tied]
    if rest:
        said.append(f"Next is {rest[0].plan.method}, which needs {_range(chosen.sooner(rest[0]))} times the time.")
    return said


def _yardstick(question: Question) -> str:
    """What ratios are to."""
    parts = ["that had the data of all"] if question.data == "different" else []
    parts += ["none of whose gradients were late"] if question.heavy else []
    return f"a fastest machine {' and '.join(parts)}" if parts else "the fastest machine alone"


def _parameters(advice: Advice) -> list[str]:
    plan = advice.chosen.plan
    told = {
        "threshold": "threshold = {}: a gradient is used if fewer than so many were applied since its point was made",
        "batch_size": "batch_size = {}: " + {
            "rennala_sgd": "gradients averaged in a step",
            "async_batch_sgd": "gradients of a machine in each message",
        }.get(plan.method, "gradients of each machine in a step"),
        "local_steps": "local_steps = {}: steps on a machine between two messages",
        "harmonic_mean": "harmonic_mean = {}: how many gradients of each machine, in the harmonic mean, a round begins with",
        "stops": "stops = {}: machines that compute at an older point are stopped and start anew",
        "delay_adaptive": "delay_adaptive = {}: " + ("smaller steps for older gradients" if plan.parameters.get("delay_adaptive") else "all steps alike"),
    }  # fmt: skip
    said = [words.format(_shown(plan.parameters[name])) for name, words in told.items() if name in plan.parameters]
    if plan.method == "mindflayer_sgd":
        said += _trials(advice)
    if plan.method == "hero_sgd":
        said.append("stepsize: the one that is best for a single machine")
    else:
        ratio = plan.stepsize / advice.hero.plan.stepsize
        of = {
            "rennala_sgd": "of the mean of the batch",
            "minibatch_sgd": "of the mean of all gradients",
            "malenia_sgd": "of the mean over the machines",
            "ringleader_asgd": "of the mean over the table",
            "ia2_sgd": "of the mean over the machines",
            "mindflayer_sgd": "of the mean of a step's gradients",
            "local_sgd": "of a local step",
        }.get(plan.method, "of each gradient")
        said.append(
            f"stepsize {of}: begin near {summary.number(ratio, 2)} times the one that is best for a single machine, "
            "and try half and twice that"
        )
    return ["Parameters: " + "; ".join(said) + "."]


def _trials(advice: Advice) -> list[str]:
    """When each kind of machine gives a gradient up, and how many it tries in a step."""
    plan, first, said = advice.chosen.plan, 0, []
    for group in advice.question.groups:
        T, B, p = (plan.parameters[name][first] for name in ("allotted_times", "trials", "success_probabilities"))
        tries = "none" if B == 0 else f"{B} a step, each given up after {summary.number(T)} s ({p:.0%} come in time)"
        said.append(f"trials of a machine of {group}: {tries}")
        first += group.count
    return said


def _absolute(advice: Advice) -> list[str]:
    question, chosen, hero = advice.question, advice.chosen, advice.hero
    said = []
    if question.steps is not None:
        spread = chosen.sooner(hero)
        alone = advice.hours_of(hero)
        longest = _duration(alone / spread[0]) if spread[0] else "for ever"  # where it missed the target on a seed
        said.append(
            f"With {question.steps:,} steps of a single machine ({_duration(alone)}) that is about {_duration(alone / spread[1])}"
            + (f" ({_duration(alone / spread[2])} to {longest})." if chosen is not hero else ".")
        )
    if question.priced:
        money = advice.money_of(chosen)
        if not chosen.cost:
            said.append("It costs nothing.")
        elif question.steps is not None:
            said.append(f"It costs about {summary.number(money, 3)}.")
        elif chosen is not hero and hero.cost:
            said.append(
                f"It costs {summary.number(money, 2)} times what the fastest machine alone costs for the whole work."
            )
        said += _cheaper(advice)
    return said


def _cheaper(advice: Advice) -> list[str]:
    """The cheapest of all that was measured, where it is markedly cheaper."""
    kinds = advice.question.groups
    found = [(option, option.plan.method) for option in advice.options]
    if advice.question.data == "same":
        found += [
            (option, f"{option.plan.method} without {kinds[kind]}")
            for kind, option in enumerate(advice.without)
            if option
        ]
    option, words = min(found, key=lambda pair: pair[0].cost)
    if not option.cost < 0.9 * advice.chosen.cost:
        return []
    part, times = option.cost / advice.chosen.cost, option.median / advice.chosen.median
    price = f"{summary.number(part, 2)} of that price" if part else "it costs nothing"
    return [f"Cheapest is {words}: {price}, in {summary.number(times, 2)} times the time."]


def _slowest(advice: Advice) -> list[str]:
    """What would change without the slowest kind, and which others bring nothing."""
    kinds, chosen = advice.question.groups, advice.chosen
    if len(kinds) == 1 or chosen.plan.method == "hero_sgd":
        return []
    slowest = max(range(len(kinds)), key=lambda kind: kinds[kind].trip)
    said = []
    for kind, group in enumerate(kinds):
        without = advice.without[kind]
        words, verdict = _told_without(chosen, without)
        if without is None or (kind != slowest and verdict in ("needed", "helps")):
            continue
        cost = ""
        if advice.question.priced and chosen.cost:  # where it is free, nothing is cheaper
            cost = (
                f", at {summary.number(without.cost / chosen.cost, 2)} of the cost" if without.cost else ", at no cost"
            )
        name = f"the slowest, {group}" if kind == slowest else str(group)
        meant = VERDICTS[verdict]
        if advice.question.data == "different":
            meant = "but what is learned would leave out their data"
        reached = math.isfinite(without.median)
        took = (
            f"it would take {words.removeprefix('× ')} times the time{cost}" if reached else "the target is not reached"
        )
        said.append(f"Without {name}, {took}: {meant}.")
    return said


VERDICTS = {
    "needed": "they are needed",
    "helps": "they help",
    "does harm": "leave them out",
    "no difference that can be told": "no difference that can be told",
}


def _unsure(advice: Advice) -> list[str]:
    said = []
    question, plan = advice.question, advice.chosen.plan
    if question.data == "different":
        said.append(
            "Each machine has data of its own, so that methods that use gradients as they come (Ringmaster, Rennala, "
            "Asynchronous SGD) would learn mostly what the fast machines have and were not tried. How unlike the data are is "
            "assumed: at the start the machines' gradients differ from their mean by as much as the mean is long (ζ² = ‖∇f‖²). "
            "The methods that keep the machines' gradients apart don't depend on it; rescaled_asgd and "
            "random_assignment_asgd are the better the more alike the data are. Theory knows their order up to constants "
            "only, and the constants were simulated."
        )
    if plan.method in UNLIKE:
        rest = next((o for o in advice.options if o.plan.method not in UNLIKE), None)
        said.append(
            f"Careful: {plan.method} is this good only if the data are no more unlike than assumed. "
            + (
                f"The best of those that don't depend on it is {rest.plan.method}, which needs {_range(advice.chosen.sooner(rest))} times the time."
                if rest
                else ""
            )
        )
    if question.heavy:
        said.append(
            "Times have heavy tails: where a machine's median is given or measured the rest is drawn from the law, and the "
            "next long gradient can be longer than any seen here; look at the ranges more than at the medians."
        )
    if question.heavy and question.data == "different":
        said.append(
            "No method here is made for both heavy tails and different data: all of these wait for every machine."
        )
    if plan.method == "mindflayer_sgd" or plan.parameters.get("stops"):
        alone = next((o for o in advice.options if not _stops(o.plan)), None)
        said.append(
            "It needs machines whose running gradient can be given up. "
            + (
                f"The best that never does so is {alone.plan.method}, which needs {_range(advice.chosen.sooner(alone))} times the time."
                if alone
                else f"Every method that never does so needed more than {advice.too_slow:g} times the time."
            )
        )
    if advice.question.average is None:
        others = ", ".join(
            f"with {average} {method} ({summary.number(times, 2)} times as fast as one machine)"
            for average, (method, times) in advice.others.items()
        )
        same = {method for method, _ in advice.others.values()} == {advice.chosen.plan.method}
        said.append(
            f"How many gradients must be averaged for a good step was not given; {advice.question.B} is assumed. "
            f"{'The method is the same elsewhere' if same else 'It matters'}: {others}."
        )
    if advice.chosen.plan.method in LOCAL:
        rest = next(option for option in advice.options if option.plan.method not in LOCAL)
        said.append(
            "Careful: the model is a quadratic, on which local steps do no harm. Where they do, the best without them is "
            f"{rest.plan.method}, which needs {_range(advice.chosen.sooner(rest))} times the time here."
        )
    return said


def _stops(plan: Plan) -> bool:
    return plan.method == "mindflayer_sgd" or bool(plan.parameters.get("stops"))


def kinds_table(advice: Advice) -> tuple[list[str], list[list[str]]]:
    """What each kind of machine brings: one row a kind."""
    question, chosen = advice.question, advice.chosen
    headers = ["machines", "of the used gradients", "time without them", "verdict"]
    headers += ["an hour of them costs"] if question.priced else []
    headers += ["cost without them"] if question.priced else []
    headers += ["twice as many would save", "enough are about"] if advice.more else []
    rows = []
    for kind, group in enumerate(question.groups):
        without = advice.without[kind]
        row = [
            str(group),
            f"{chosen.used[kind]:.0%}".replace("%", " %") if chosen.used else "",
            *_told_without(chosen, without),
        ]
        if question.data == "different" and row[-1] == "does harm":
            row[-1] = "costs time, but its data count"
        if question.priced:
            row += [summary.number(group.count * (group.price or 0.0), 3)]
            row += ["" if without is None or not chosen.cost else f"× {summary.number(without.cost / chosen.cost, 2)}"]
        if not advice.more:
            rows.append(row)
            continue
        saved, enough = advice.more[kind]
        useless = group.seconds + group.communication >= advice.cutoff
        row += [
            f"{saved:.0%}".replace("%", " %") if saved >= 0.005 else "nothing",
            "none is needed" if enough == 0 or useless else f"{enough:,}",
        ]
        rows.append(row)
    return headers, rows


def _told_without(chosen: Option, without: Option | None) -> tuple[str, str]:
    if without is None:
        return "", "the only kind"
    least, middle, most = chosen.sooner(without)
    words = f"× {_range((least, middle, most))}"
    if not math.isfinite(middle):
        return "not reached", "needed"
    if least > 1 and middle > 1.5:
        return words, "needed"
    if least > 1 and middle > 1.05:
        return words, "helps"
    if most < 1 and middle < 0.95:
        return words, "does harm"
    return words, "no difference that can be told"


def methods_table(advice: Advice) -> tuple[list[str], list[list[str]]]:
    """One row a method on all machines, the quickest first."""
    headers = ["method", "time", "times as fast as one machine", "parameters"]
    known = advice.question.steps is not None
    # where one machine alone is free, only hours make a price
    priced = advice.question.priced and (known or bool(advice.hero.cost))
    headers += ["cost"] if priced else []
    rows = []
    for option in advice.options:
        hours = advice.hours_of(option)
        time = _duration(hours) if known else f"× {summary.number(option.median / advice.chosen.median, 3)}"
        own = option.plan.parameters
        parameters = {key: value for key, value in own.items() if key != "worker"}
        ratio = option.plan.stepsize / advice.hero.plan.stepsize
        shown = ", ".join(
            [f"γ {summary.number(ratio, 2)} γ₁", *(f"{key} {_shown(value)}" for key, value in parameters.items())]
        )
        money = [] if not priced else [f"{'' if known else '× '}{summary.number(advice.money_of(option), 3)}"]
        rows.append([option.plan.method, time, _range(option.sooner(advice.hero)), shown, *money])
    for method, why in advice.slow.items():
        rows.append([method, why, "", "", *([""] if priced else [])])
    return headers, rows


def about_cutoff(advice: Advice) -> str:
    """From where on slow machines bring nothing; where each has data of its own, what the slowest costs."""
    question = advice.question
    if question.data == "different":
        trips = [group.trip for group in question.groups for _ in range(group.count)]
        slowest, noise = max(trips), sum(trips) / len(trips) * question.B / len(trips)
        return (
            f"By theory, up to a constant, a step's worth of progress takes τ_n + τ_avg·B*/n = {summary.number(slowest, 2)} s + "
            f"{summary.number(noise, 2)} s: the first is the slowest machine's gradient, as its data count like everybody's; "
            "the second is for the noise, and falls with each machine."
        )
    at = summary.number(advice.cutoff, 2)
    useless = [str(g) for g in question.groups if g.seconds + g.communication > advice.cutoff]
    words = (
        f"By theory, which is right here up to a factor of 2, machines that take longer than about {at} s for a gradient with its "
        "messages bring nothing, however many there are"
    )
    return f"{words}{f': {_and(useless)}' if useless else '; all of yours are faster'}."


def text(advice: Advice) -> str:
    """The advice for a terminal, without the tables."""
    return "\n".join([headline(advice), "", *reasons(advice), about_cutoff(advice)])


def write_advice(advice: Advice, path: Path) -> Path:
    """Write the page, one HTML file without scripts."""
    page = Template(asset("template.html")).substitute(
        policy=policy([]).replace("script-src ;", "script-src 'none';"),
        title="advice: asyncsim",
        style=asset("style.css") + STYLE,
        sections=_sections(advice),
        data=embedded({}),
        scripts="",
    )
    path.write_text(page, encoding="utf-8")
    return path


CLASS = ' class="best"'

STYLE = """
.bars { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 4px 16px; align-items: center; max-width: 900px; margin-top: 8px; font-size: 13px; }
.bars .one { display: flex; align-items: center; gap: 8px; padding-right: 60px; }
.bars svg { overflow: visible; flex: none; }
.bars span { color: var(--muted); white-space: nowrap; margin-right: -60px; }
.bars rect { fill: var(--m0); } .bars .best { fill: var(--used); } .bars line { stroke: var(--ink); stroke-width: 1.2; }
@media (max-width: 600px) { .bars { grid-template-columns: minmax(0, 1fr); gap: 0; } .bars .one { margin-bottom: 6px; } }
td.wrap { white-space: normal; text-align: left; min-width: 18em; }
"""


def _sections(advice: Advice) -> str:
    question = advice.question
    machines = ", ".join(map(str, question.groups))
    facts = {
        "machines, seconds a minibatch gradient": machines,
        "seconds of a message there and back": ", ".join(summary.number(g.communication) for g in question.groups),
        "deviation of the times": f"{question.jitter:.0%} of the mean",
        "gradients to average, B*": f"{question.B}{'' if question.average else ' (assumed)'}",
        "data": "all machines draw from the same"
        if question.data == "same"
        else "each machine has its own; assumed: ζ² = ‖∇f‖² at the start, equal curvature",
        "target": f"‖∇f‖² falls to {question.target:g} of what it is at the start",
        "price of an hour": ", ".join(summary.number(g.price) for g in question.groups if g.price is not None)
        or "not given",
        "steps of a single machine": f"{question.steps:,}" if question.steps else "not given",
    }
    listed = "".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in facts.items())
    notes = [f"Note: {note}." for note in question.notes]  # which the command says before it begins
    paragraphs = "".join(f"<p>{escape(words)}</p>" for words in (*reasons(advice), *notes))
    return f"""<header><h1>Advice <small>{escape(machines)}</small></h1>
<p class="sentence">{escape(headline(advice))}</p></header>
{paragraphs}
<section><h2>All methods on all machines</h2>
<p class="note">Time to the target against that of the advised method, {summary.counted(len(advice.chosen.times), "seed")}: the bar is the median,
the line reaches from the least to the most. γ₁ is the stepsize that is best for a single machine.</p>
{_bars(advice)}
{_table(*methods_table(advice), winner=advice.chosen.plan.method)}</section>
<section><h2>What each kind of machine brings</h2>
<p class="note">The advised method was tuned anew without each kind. {_columns(advice)}</p>
{_table(*kinds_table(advice))}
<p style="margin-top:12px">{escape(about_cutoff(advice))}</p></section>
<section><h2>What this rests on</h2>
<p>Methods were simulated on a model problem, the tridiagonal quadratic on which the papers compare them, with the noise and the
machines you described and stepsizes tuned for each method. Ratios carry over to other problems better than seconds do; no
ratio here is better known than its range. To see what the machines did, open <a href="report.html">report.html</a>; to run it
again or change it, <code>asyncsim run scenario.yaml</code>.</p>
<dl>{listed}</dl></section>"""


def _columns(advice: Advice) -> str:
    if advice.more:
        return (
            "The last two columns are theory's, right up to a constant: what twice as many would save, and how many there "
            "can be until doubling them saves less than 5 %."
        )
    return "Who leaves a kind out leaves its data out: what is learned is then something else."


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]], winner: str = "") -> str:
    wide = {"parameters", "verdict"}
    head = "".join(
        f'<th scope="col"{" class=text" if header in wide else ""}>{escape(header)}</th>' for header in headers
    )
    body = "".join(
        f"<tr{' class=winner' if row[0] == winner else ''}><th scope=row>{escape(row[0])}"
        f"{'<span class=badge>advised</span>' if row[0] == winner else ''}</th>"
        + "".join(
            f"<td{' class=wrap' if header in wide else ''}>{escape(cell)}</td>"
            for header, cell in zip(headers[1:], row[1:], strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _bars(advice: Advice) -> str:
    """A bar a method: median seconds, with a line from the least to the most."""
    options = [option for option in advice.options if math.isfinite(option.median)]
    most = max(max(t for t in option.times if math.isfinite(t)) for option in options)
    rows = []
    for option in options:
        finite = [t for t in option.times if math.isfinite(t)]
        median, least, longest = (100 * seconds / most for seconds in (option.median, min(finite), max(finite)))
        ratio = summary.number(option.median / advice.chosen.median, 3)
        rows.append(
            f'<div>{escape(option.plan.method)}</div><div class="one"><svg width="{longest:.2f}%" height="14">'
            f'<rect width="{100 * median / longest:.2f}%" height="14" rx="2"{CLASS if option is advice.chosen else ""}/>'
            f'<line x1="{100 * least / longest:.2f}%" x2="100%" y1="7" y2="7"/></svg><span>× {ratio}</span></div>'
        )
    return f'<div class="bars" role="img" aria-label="Time to the target, a bar a method">{"".join(rows)}</div>'


# -- little helpers -------------------------------------------------------------------------------


def _range(spread: tuple[float, float, float]) -> str:
    """A median with its range, in two digits.

    >>> _range((4.92, 5.33, 6.24)), _range((1.0, 1.0, 1.0))
    ('5.3 (4.9 to 6.2)', '1')
    """
    least, middle, most = (summary.number(value, 2 if value >= 1.1 or value < 0.95 else 3) for value in spread)
    return middle if least == most else f"{middle} ({least} to {most})"


def _duration(hours: float) -> str:
    """

    >>> _duration(0.5), _duration(3.21), _duration(120)
    ('30 min', '3.2 h', '5 days')
    """
    if hours < 1 / 60:
        return f"{summary.number(3600 * hours, 2)} s"
    if hours < 1:
        return f"{summary.number(60 * hours, 2)} min"
    return f"{summary.number(hours, 2)} h" if hours < 72 else f"{summary.number(hours / 24, 2)} days"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"({len(value)} machines)"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _and(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
