"""What is written: the measurement as a scenario that does it again, and the pages."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asyncsim.advise.answer import SEEDS, Advice
from asyncsim.advise.model import POINTS, Model
from asyncsim.advise.plans import Plan
from asyncsim.advise.question import Question


def scenario_of(question: Question, model: Model, plans: Sequence[Plan]) -> dict[str, Any]:
    """The measurement as a scenario."""
    groups = []
    for group in question.groups:
        half = group.communication / 2
        groups.append(
            {"count": group.count, "compute_time": model.law(group)}
            | ({"communication_time": {"uplink": half, "downlink": half}} if half else {})
        )
    return {
        "name": "advice",
        "seeds": list(SEEDS),
        "workers": {"groups": groups},
        "problem": model.section(question.n),
        "target": {"squared_gradient_norm": model.epsilon},
        "methods": [plan.section() for plan in plans],
        "stop": {"target": True, "gradients": model.most_gradients(question.n)},
        "record": {"points": POINTS},
    }


def scenario_text(advice: Advice) -> str:
    """The same as a file, with its origin at the head."""
    question, scenario = advice.question, advice.scenario
    lines = [
        f"# What `asyncsim advise` measured for {', '.join(map(str, question.groups))} a gradient; all methods with tuned stepsizes.",
        "#",
        f"# The model problem: noise such that σ² = {question.B}·ε, that is, about {question.B} gradients averaged make a good step; the",
        f"# target is {question.target:g} times the squared gradient norm at the start.",
        "",
    ]
    for key, value in scenario.items():
        if key in ("methods", "workers"):
            inner = value["groups"] if key == "workers" else value
            lines += [f"{key}:", *(["  groups:"] if key == "workers" else [])]
            lines += [f"  {'  ' if key == 'workers' else ''}- {_flow(entry)}" for entry in inner]
        else:
            lines.append(f"{key}: {_flow(value)}")
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    """A value as YAML on one line; JSON is YAML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, str):
        return value if value.isidentifier() else json.dumps(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    if value == math.inf:
        return ".inf"  # JSON has no word for it
    return json.dumps(value)


def check_free(folder: Path, force: bool) -> None:
    """ValueError if there is an advice in `folder` already, which is not to be replaced."""
    if (folder / "advice.html").exists() and not force:
        raise ValueError(f"{folder} holds an advice already; give another folder, or --force")


def write(advice: Advice, folder: Path) -> list[Path]:
    """advice.html, report.html (how the methods ran) and scenario.yaml in `folder`, which is made; where they are."""
    from asyncsim.report.advice import write_advice

    folder.mkdir(parents=True, exist_ok=True)
    scenario = folder / "scenario.yaml"
    scenario.write_text(scenario_text(advice), encoding="utf-8")
    return [write_advice(advice, folder / "advice.html"), advice.result.report(folder / "report.html"), scenario]
