"""One picture of curves over a logarithmic axis, as SVG text: enough for the figures of these experiments.

No plotting library is needed to make them again, and a figure is a few kilobytes. Coordinates are rounded to a tenth of
a pixel, and a curve has as many points as it is given, so thin it before.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 500, 34, 312
COLOURS = ("#0b6e99", "#d1495b", "#2e8b57", "#8a5fbf", "#c77700", "#555555", "#1fa3a3", "#a0522d")
MAX_DECADES = 12  # of the logarithmic axis; what is smaller is left out

Curve = tuple[Sequence[float], Sequence[float]]


def draw(title: str, curves: Mapping[str, Curve], x_label: str, y_label: str, target: float | None = None) -> str:
    """The picture of (x, y) by name; points with y ≤ 0 or not finite are left out, the target is a dashed line.

    >>> draw("f", {"a": ([0, 1], [1.0, 0.1])}, "seconds", "f − f*").count("<path")
    1
    """
    shown = {name: _drawable(*curve) for name, curve in curves.items()}
    heights = [y for _, ys in shown.values() for y in ys] + ([target] if target else [])
    if not heights:
        raise ValueError(f"{title}: no curve has a point that can be drawn on a logarithmic axis")
    highest = math.ceil(math.log10(max(heights)))
    lowest = max(min(math.floor(math.log10(min(heights))), highest - 1), highest - MAX_DECADES)
    right = max((x for xs, _ in shown.values() for x in xs), default=1.0) or 1.0

    def at(x: float, y: float) -> str:
        return f"{_x(x / right):.1f} {_y((math.log10(y) - lowest) / (highest - lowest)):.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="20" font-size="14" font-weight="bold">{escape(title)}</text>',
        f'<text x="{(LEFT + RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_label)}</text>',
        f'<text transform="translate(14 {(TOP + BOTTOM) / 2}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>',
    ]
    step = math.ceil((highest - lowest) / 8)
    for decade in range(lowest, highest + 1, step):
        y = _y((decade - lowest) / (highest - lowest))
        parts.append(f'<line x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{10.0**decade:.0e}</text>')
    for tick in _ticks(right):
        parts.append(f'<text x="{_x(tick / right):.1f}" y="{BOTTOM + 16}" text-anchor="middle">{tick:g}</text>')
    if target:
        x, y = at(0.0, target).split()
        parts.append(f'<line x1="{x}" x2="{RIGHT}" y1="{y}" y2="{y}" stroke="#000" stroke-dasharray="4 3"/>')
    parts.append(
        f'<clipPath id="c"><rect x="{LEFT}" y="{TOP}" width="{RIGHT - LEFT}" height="{BOTTOM - TOP}"/></clipPath>'
    )
    for number, (name, (xs, ys)) in enumerate(shown.items()):
        colour = COLOURS[number % len(COLOURS)]
        line = " L".join(at(x, y) for x, y in zip(xs, ys, strict=True))
        if line:
            parts.append(f'<path d="M{line}" fill="none" stroke="{colour}" stroke-width="1.6" clip-path="url(#c)"/>')
        y = TOP + 14 + 18 * number
        parts.append(
            f'<line x1="{RIGHT + 12}" x2="{RIGHT + 32}" y1="{y - 4}" y2="{y - 4}" stroke="{colour}" stroke-width="3"/>'
        )
        parts.append(f'<text x="{RIGHT + 38}" y="{y}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _drawable(xs: Sequence[float], ys: Sequence[float]) -> Curve:
    kept = [(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(x) and math.isfinite(y) and y > 0]
    return [x for x, _ in kept], [y for _, y in kept]


def _x(share: float) -> float:
    return LEFT + share * (RIGHT - LEFT)


def _y(share: float) -> float:
    return BOTTOM - share * (BOTTOM - TOP)


def _ticks(right: float) -> list[float]:
    unit = 10.0 ** math.floor(math.log10(right))
    step = next(unit * part for part in (0.1, 0.2, 0.5, 1.0, 2.0) if right / (unit * part) <= 6)
    return [step * j for j in range(math.floor(right / step + 1e-9) + 1)]
