"""Figures for papers: one column wide, vector, with the fonts inside. Needs the extra `plot` (matplotlib).

They show what the page shows: medians over seeds with quartiles, in the same colours and dashes. 3.3 inches wide and
set in 8 points, so that they go into a column at their own size. Nothing of matplotlib's global state is touched, and
the same result gives the same file: no date is written into it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asyncsim import summary
from asyncsim.ratios import ratios
from asyncsim.report import data
from asyncsim.report.ticks import decades
from asyncsim.result import MORE_IS_BETTER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from asyncsim.result import Result

KINDS = ("pdf", "svg")
WIDTH, HEIGHT = 3.3, 2.5  # inches
# as in style.css and shared.js
COLOURS = ("#2f6fb2", "#d4566a", "#1f7d35", "#a88a12", "#1b93b8", "#93306f", "#7b7f83", "#b3581a")
DASHES: tuple[Any, ...] = (
    "-",
    (0, (4, 2)),
    (0, (1, 1.3)),
    (0, (4, 1.5, 1, 1.5)),
    (0, (7, 2)),
    (0, (7, 1.5, 1, 1.5)),
)
STYLE: Mapping[str, Any] = {
    "font.family": ["DejaVu Sans"],  # comes with matplotlib: the same on every machine
    "font.size": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "mathtext.fontset": "dejavusans",
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e7ea",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.handlelength": 2.2,
    "legend.columnspacing": 1.2,
    "pdf.fonttype": 42,  # TrueType, as journals ask for
    "svg.fonttype": "path",  # glyphs as outlines: right wherever it is opened
    "svg.hashsalt": "asyncsim",
    "path.simplify_threshold": 0.2,
}
LABELS = {
    "squared_gradient_norm": r"$\Vert\nabla f(x^k)\Vert^2$",
    "mean_squared_gradient_norm": r"mean of $\Vert\nabla f(x^k)\Vert^2$",
    "suboptimality": r"$f(x^k) - f^*$",
    "value": r"$f(x^k)$",
    "test_accuracy": "test accuracy",
    "iteration": "iteration $k$",
    "gradients_used": "gradients used",
    "time": "simulated time (s)",
    "worker_seconds": "total worker time (s)",
}
NAMES = {"time": "time", "iteration": "iterations", "worker_seconds": "worker-time"}
MOST = 8  # methods in a figure: more cannot be told apart in a column


def write_figures(result: "Result", folder: Path | str, kind: str = "pdf") -> list[Path]:
    """Write the figures of `result` into `folder` (made where it lacks), as ``pdf`` or ``svg``; returns their paths.

    ``curve-against-time`` (iterations, worker time) for the quantity of the target, else the first that is known, and
    ``time-to-target`` where there is a target that somebody reached. Of more than 8 methods the best 8 are drawn.
    Raises ValueError for another kind or when nothing was recorded, ImportError without matplotlib.
    """
    if kind not in KINDS:
        raise ValueError(f"figures can be {' or '.join(KINDS)}, not {kind!r}")
    if not result.labels or not any(len(run.curves["time"]) for run in result.runs):
        raise ValueError(f"{result.name}: nothing was recorded that could be drawn")
    mpl = _matplotlib()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with mpl.rc_context({**mpl.rcParamsDefault, **STYLE}):
        for name, figure in drawn(result).items():
            path = folder / f"{name}.{kind}"
            figure.savefig(
                path, format=kind, metadata={"Creator": None, "CreationDate" if kind == "pdf" else "Date": None}
            )
            written.append(path)
    return written


def _matplotlib() -> Any:
    try:
        import matplotlib as mpl
    except ImportError:
        raise ImportError("figures need matplotlib: pip install 'asyncsim[plot]'") from None
    return mpl


def drawn(result: "Result") -> dict[str, "Figure"]:
    """The figures by name."""
    quantity = _quantity(result)
    labels = [method.label for method in summary.ranked(result)][:MOST]
    labels = [label for label in data.styles(result) if label in labels]
    figures = {}
    for axis in data.axes(result):
        if axis != quantity:
            figures[f"curve-against-{NAMES[axis]}"] = _curve(result, labels, axis, quantity)
    if ratios(result):
        figures["time-to-target"] = _times(result, labels)
    return figures


def _quantity(result: "Result") -> str:
    known = data.quantities(result)
    wanted = [key for key in result.target or () if key in known]
    return [*wanted, *known][0]


def _figure(height: float = HEIGHT) -> tuple["Figure", "Axes"]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.add_subplot()


def _look(result: "Result", label: str) -> dict[str, Any]:
    place = data.styles(result).index(label)
    return {"color": COLOURS[place % len(COLOURS)], "linestyle": DASHES[place % len(DASHES)]}


def _curve(result: "Result", labels: Sequence[str], axis: str, quantity: str) -> "Figure":
    figure, axes = _figure()
    lines = {label: data.curves(result, label)[axis][quantity] for label in labels}
    # what is nowhere above zero has no logarithm
    logarithmic = quantity not in data.LINEAR and any((_floats(line["median"]) > 0).any() for line in lines.values())
    for label, line in lines.items():
        x, median = _floats(line["x"]), _floats(line["median"])
        if logarithmic:
            median = np.where(median > 0, median, np.nan)
        look = _look(result, label)
        if "lower" in line:
            low, high = _floats(line["lower"]), _floats(line["upper"])
            seen = np.isfinite(low) & np.isfinite(high) & ((low > 0) | (not logarithmic))
            axes.fill_between(x, low, high, where=seen, color=look["color"], alpha=0.18, linewidth=0)
        axes.plot(x, median, label=_literal(label), marker="o" if len(x) < 2 else None, markersize=3, **look)
    if logarithmic:
        axes.set_yscale("log")
    axes.set_xlabel(LABELS[axis])
    axes.set_ylabel(LABELS[quantity])
    axes.set_xlim(left=0)
    if result.target and quantity in result.target:
        _mark_target(axes, result, labels, axis, result.target[quantity])
    if len(labels) > 1:
        figure.legend(loc="outside upper center", ncols=2)
    return figure


def _mark_target(axes: "Axes", result: "Result", labels: Sequence[str], axis: str, level: float) -> None:
    axes.axhline(level, color="#1c2126", linewidth=0.7, linestyle=(0, (1, 1.5)))
    if axis != "time":
        return
    reached = {row.label: row.median for row in ratios(result) if np.isfinite(row.median)}
    for label in labels:
        if label in reached:
            colour = _look(result, label)["color"]
            axes.plot(
                reached[label],
                level,
                marker="D",
                markersize=4,
                color=colour,
                markeredgecolor="white",
                markeredgewidth=0.6,
            )


def _times(result: "Result", labels: Sequence[str]) -> "Figure":
    """Times to the target: the median of each method as a dot, the quartiles as a bar, on a logarithmic axis."""
    rows = [row for row in ratios(result) if row.label in labels]
    figure, axes = _figure(0.65 + 0.24 * len(rows))
    last = max(run.time for run in result.runs)
    for place, row in enumerate(rows):
        colour = _look(result, row.label)["color"]
        if np.isfinite(row.median):
            axes.plot([row.lower, min(row.upper, last)], [place, place], color=colour, linewidth=3, alpha=0.45)
            axes.plot(row.median, place, "o", color=colour, markersize=4.5)
        else:
            axes.plot(last, place, ">", color=colour, markersize=5, markerfacecolor="white")
    axes.set_yticks(range(len(rows)), [_literal(row.label) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xscale("log")
    low, high = np.log10(axes.get_xlim())
    axes.set_xticks(*zip(*((10.0**power, words) for power, words in decades(float(low), float(high))), strict=True))
    axes.minorticks_off()
    axes.set_xlabel(f"time to {_in_math(result)} (s)")
    axes.grid(visible=False, axis="y")
    return figure


def _literal(label: str) -> str:
    """What is between two $ would be read as a formula."""
    return label.replace("$", r"\$")


def _in_math(result: "Result") -> str:
    parts = []
    for key, limit in (result.target or {}).items():
        relation = r"$\geq$" if key in MORE_IS_BETTER else r"$\leq$"
        parts.append(f"{LABELS.get(key, key)} {relation} {summary.number(limit)}")
    return " and ".join(parts)


def _floats(values: Sequence[float | None]) -> data.Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=float)
