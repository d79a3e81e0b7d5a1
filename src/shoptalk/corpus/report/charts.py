"""Histograms as inline SVG."""

import math
from collections.abc import Sequence

from shoptalk.core import svg

WIDTH, HEIGHT = 420.0, 190.0
LEFT, RIGHT, TOP, BOTTOM = 36.0, 14.0, 10.0, 34.0
MOST_BARS = 30
MOST_LINES = 5
STEPS = (1.0, 2.0, 2.5, 5.0)
"""Round distances, in each power of ten."""


def histogram(values: Sequence[float], *, title: str, unit: str) -> str:
    """How often each value occurs, in about `MOST_BARS` bars of a round width; `unit` stands below the axis."""
    width = _round_step((max(values) - min(values)) / MOST_BARS)
    are_whole = all(value == int(value) for value in values)
    if are_whole:
        width = math.ceil(width)
    first = math.floor(min(values) / width + 1e-9)
    counts = [0] * (math.floor(max(values) / width + 1e-9) - first + 1)
    for value in values:
        counts[math.floor(value / width + 1e-9) - first] += 1
    tick = max(1.0, _round_step(max(counts) / MOST_LINES))
    top = tick * math.ceil(max(counts) / tick)
    plot_width, plot_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    bar_width = plot_width / len(counts)
    parts = []
    for number in range(round(top / tick) + 1):
        y = TOP + plot_height * (1 - number * tick / top)
        parts.append(svg.line(LEFT, y, WIDTH - RIGHT, y, "grid"))
        parts.append(svg.text(LEFT - 6, y + 4, f"{number * tick:g}", "end"))
    parts.append('<g class="key-after">')
    for place, count in enumerate(counts):
        height = plot_height * count / top
        x, y = LEFT + place * bar_width, TOP + plot_height - height
        box = f'x="{x + 0.5:.1f}" y="{y:.1f}" width="{max(bar_width - 1, 0.5):.1f}" height="{height:.1f}"'
        low = (first + place) * width
        parts.append(
            f'<rect {box} fill="currentColor"><title>{low:g} to {low + width:g} {unit}: {count}</title></rect>'
        )
    parts.append("</g>")
    label_step = max(1, math.ceil(len(counts) / 6))
    is_of_bars = are_whole and width == 1  # then a label names a bar, not an edge
    for place in range(0, len(counts) + (0 if is_of_bars else 1), label_step):
        x = LEFT + (place + 0.5 * is_of_bars) * bar_width
        parts.append(svg.text(x, HEIGHT - 20, f"{(first + place) * width:g}", "middle"))
    parts.append(svg.text(LEFT + plot_width / 2, HEIGHT - 4, unit, "middle"))
    return svg.picture(parts, title, width=WIDTH, height=HEIGHT)


def _round_step(least: float) -> float:
    """The smallest round number that is not below `least`; 1 if that is 0."""
    if least <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    for step in (*STEPS, 10.0):
        if step * power >= least - 1e-12:
            return step * power
    return 10 * power
