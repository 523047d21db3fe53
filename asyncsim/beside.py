"""Several results as one, and what differs between them.

Rules:
1. Nothing is compared in silence. Every difference in workers, seeds, target, stop and problem is a sentence in
   ``manifest["differences"]``, which the table, the page and the command line show.
2. Different problems are refused, unless asked for: a time to the same ε on another function is another question.
3. A label that several results have gets the name of its result behind it; the others stay as they are.
4. Of different targets for one quantity the strictest counts; different quantities are refused.
"""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from asyncsim.result import MORE_IS_BETTER, Result, unique_labels

# what makes a problem the same one, where the scenario does not tell
_PROBLEM = ("name", "dimension", "f_star", "data_sha256")
_SCENARIO = ("workers", "stop", "record", "update_rule", "engine", "evaluation")
_SHOWN = 90  # characters of a value


def beside(results: Sequence[Result], *, different_problems: bool = False) -> Result:
    """One result with the runs of all, and ``manifest["differences"]``, a list of sentences.

    ValueError when there are fewer than two, when one is there twice, when the targets are about different quantities, or
    when the problems differ and `different_problems` is not said.
    """
    if len(results) < 2:
        raise ValueError("there is nothing to compare with: give two run folders or more")
    folders = [result.folder.resolve() for result in results if result.folder]
    twice = [str(folder) for folder, times in Counter(folders).items() if times > 1]
    if twice:
        raise ValueError(f"{twice[0]} is given twice")
    names = _names(results)
    problem = _problem(results, names, different_problems)
    target, about_target = _target(results, names)
    differences = [
        *problem,
        *about_target,
        *_seeds(results, names),
        *_settings(results, names),
        *_versions(results, names),
    ]
    renamed = {
        label for label, times in Counter(label for result in results for label in result.labels).items() if times > 1
    }
    wanted = [
        (place, label, f"{label} ({names[place]})" if label in renamed else label)
        for place, result in enumerate(results)
        for label in result.labels
    ]
    labels = unique_labels([new for _, _, new in wanted])
    new_label = {(place, old): label for (place, old, _), label in zip(wanted, labels, strict=True)}
    return Result(
        name=" · ".join(names),
        runs=tuple(
            dataclasses.replace(run, label=new_label[place, run.label])
            for place, result in enumerate(results)
            for run in result.runs
        ),
        target=target,
        manifest={
            "differences": differences,
            "compared": {name: str(result.folder or "in memory") for name, result in zip(names, results, strict=True)},
            # whose workers a label's are: those of different results are not the same ones
            "origins": {label: names[place] for (place, _), label in new_label.items()},
            "exceptions": list(
                dict.fromkeys(each for result in results for each in result.manifest.get("exceptions") or ())
            ),
            "tuning": {
                new_label[place, label]: grid
                for place, result in enumerate(results)
                for label, grid in (result.manifest.get("tuning") or {}).items()
                if (place, label) in new_label
            },
        },
        problem=_common(results),
    )


def _names(results: Sequence[Result]) -> list[str]:
    """What the results are called: by their folders where these tell them apart, else numbered."""
    folders = [result.folder.name if result.folder else result.name for result in results]
    return unique_labels([folder or result.name for folder, result in zip(folders, results, strict=True)])


def _problem(results: Sequence[Result], names: Sequence[str], allowed: bool) -> list[str]:
    kinds = [_identity(result) for result in results]
    found = _different("problem", kinds, names)
    if found and not allowed:
        raise ValueError(
            f"the runs are about different problems, and their times don't compare: {'; '.join(found)}. Give runs on one"
            " problem, or --anyway to see them side by side"
        )
    return [f"Different problems, so who is first means little: {words}" for words in found]


def _identity(result: Result) -> dict[str, Any]:
    """What tells one problem from another: as the scenario says it, and what was found out about it."""
    said = result.scenario.get("problem")
    whole = dict(said) if isinstance(said, Mapping) else {}
    return whole | {key: result.problem.get(key) for key in _PROBLEM if key in result.problem or key not in whole}


def _common(results: Sequence[Result]) -> dict[str, Any]:
    """What is the same in the problems of all."""
    first = results[0].problem
    same = {key: value for key, value in first.items() if all(result.problem.get(key) == value for result in results)}
    return same | {"estimated": [key for key in first.get("estimated") or () if key in same]}


def _target(results: Sequence[Result], names: Sequence[str]) -> tuple[dict[str, float] | None, list[str]]:
    targets = [result.target for result in results if result.target]
    if not targets:
        return None, []
    if len({frozenset(target) for target in targets}) > 1:
        raise ValueError(
            "the targets are about different quantities: "
            + "; ".join(
                f"{name}: {', '.join(result.target or {}) or 'none'}"
                for name, result in zip(names, results, strict=True)
            )
        )
    strictest = {key: (max if key in MORE_IS_BETTER else min)(target[key] for target in targets) for key in targets[0]}
    words = []
    if any(result.target != strictest for result in results):
        each = ", ".join(
            f"{name} {_said(result.target) if result.target else 'none'}"
            for name, result in zip(names, results, strict=True)
        )
        words = [f"Different targets ({each}); the strictest, {_said(strictest)}, is used for all."]
    return strictest, words


def _said(target: Mapping[str, float]) -> str:
    from asyncsim.summary import target_text

    return target_text(target)


def _seeds(results: Sequence[Result], names: Sequence[str]) -> list[str]:
    if len({tuple(sorted(result.seeds)) for result in results}) == 1:
        return []
    common = set.intersection(*(set(result.seeds) for result in results))
    each = ", ".join(f"{name} {len(result.seeds)}" for name, result in zip(names, results, strict=True))
    shared = f"{len(common)} of them common" if common else "none of them common, so nothing is compared seed by seed"
    return [f"Different seeds ({each}; {shared})."]


def _settings(results: Sequence[Result], names: Sequence[str]) -> list[str]:
    words = []
    unknown = [name for name, result in zip(names, results, strict=True) if not result.scenario]
    if unknown:
        words.append(f"Started from Python, so their workers and settings are not known here: {', '.join(unknown)}.")
    known = [(name, result.scenario) for name, result in zip(names, results, strict=True) if result.scenario]
    for key in _SCENARIO:
        parts = [scenario.get(key) for _, scenario in known]
        for found in _different(
            key, [part if isinstance(part, Mapping) else {"": part} for part in parts], [n for n, _ in known]
        ):
            luck = " The same seed need not be the same luck then." if key == "workers" else ""
            words.append(f"{found}.{luck}")
    return words


def _versions(results: Sequence[Result], names: Sequence[str]) -> list[str]:
    versions = [{"asyncsim": (result.manifest.get("versions") or {}).get("asyncsim")} for result in results]
    return [f"{found}." for found in _different("version", versions, names)]


def _different(what: str, parts: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    """A sentence for each key in which the parts differ.

    >>> _different("workers", [{"count": 5}, {"count": 7}], ["a", "b"])
    ['workers.count: 5 in a, 7 in b']
    """
    keys = dict.fromkeys(key for part in parts for key in part)
    found = []
    for key in keys:
        values = [part.get(key) for part in parts]
        if all(value == values[0] for value in values):
            continue
        if all(isinstance(value, Mapping) for value in values):
            found += _different(f"{what}.{key}", [value or {} for value in values], names)
            continue
        each = ", ".join(f"{_short(value)} in {name}" for name, value in zip(names, values, strict=True))
        found.append(f"{what}{f'.{key}' if key else ''}: {each}")
    return found


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        text = "{" + ", ".join(f"{key}: {_short(item)}" for key, item in value.items()) + "}"
    else:
        text = "none" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
