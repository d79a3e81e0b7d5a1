"""The report's two charts as inline SVG: a curve with intervals, and a reliability diagram."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from shoptalk.core import svg
from shoptalk.core.scores import CalibrationBin, Rate

WIDTH, HEIGHT = 420.0, 230.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 20.0, 10.0, 30.0
STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0)
"""Distances between lines of the grid; the smallest that needs at most five lines is taken."""


@dataclass(frozen=True)
class Series:
    """One line of a chart; `style` is a CSS class that gives its colour."""

    name: str
    style: str
    rates: Sequence[Rate]


def curve(labels: Sequence[str], series: Sequence[Series], *, title: str) -> str:
    """Rates over labelled steps with their intervals, from 0 to the highest bound."""
    highest = 0.0
    for line in series:
        for rate in line.rates:
            highest = max(highest, rate.high or rate.value or 0.0)
    steps = [step for step in STEPS if highest <= 5 * step]
    step = steps[0] if steps else highest / 5
    top = step * max(1, math.ceil(highest / step - 1e-9))
    column_width = (WIDTH - LEFT - RIGHT) / len(labels)
    centres = [LEFT + (place + 0.5) * column_width for place in range(len(labels))]
    parts = _axis(top, step)
    parts += [svg.text(x, HEIGHT - 10, label, "middle") for x, label in zip(centres, labels, strict=True)]
    for place, line in enumerate(series):
        offset = 5.0 * (place - (len(series) - 1) / 2)  # intervals of two lines would hide each other
        points: list[tuple[float, Rate]] = []
        for x, rate in zip(centres, line.rates, strict=True):
            if rate.value is not None:
                points.append((x + offset, rate))
        path = " ".join(f"{x:.1f},{_y(rate.value or 0.0, top):.1f}" for x, rate in points)
        parts.append(f'<g class="{line.style}"><polyline points="{path}" fill="none" stroke="currentColor" />')
        for x, rate in points:
            if rate.low is not None and rate.high is not None:
                parts.append(svg.line(x, _y(rate.low, top), x, _y(rate.high, top)))
            parts.append(f'<circle cx="{x:.1f}" cy="{_y(rate.value or 0.0, top):.1f}" r="3.5" fill="currentColor" />')
        parts.append("</g>")
    return svg.picture(parts, title, width=WIDTH, height=HEIGHT)


def reliability(bins: Sequence[CalibrationBin], *, title: str) -> str:
    """The part of correct words against their mean confidence; on the diagonal both are equal."""
    width = WIDTH - LEFT - RIGHT
    parts = [*_axis(1.0, 0.25), svg.line(LEFT, _y(0, 1), WIDTH - RIGHT, _y(1, 1), "grid")]
    for confidence in (0, 0.5, 1):
        parts.append(svg.text(LEFT + confidence * width, HEIGHT - 10, f"{100 * confidence:.0f} %", "middle"))
    points = [(LEFT + part.confidence * width, _y(part.right, 1.0)) for part in bins]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    parts.append(f'<g class="key-after"><polyline points="{path}" fill="none" stroke="currentColor" />')
    parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="currentColor" />' for x, y in points]
    return svg.picture([*parts, "</g>"], title, width=WIDTH, height=HEIGHT)


def _axis(top: float, step: float) -> list[str]:
    parts = []
    for tick in range(round(top / step) + 1):
        value = step * tick
        parts.append(svg.line(LEFT, _y(value, top), WIDTH - RIGHT, _y(value, top), "grid"))
        parts.append(svg.text(LEFT - 6, _y(value, top) + 4, f"{100 * value:.0f} %", "end"))
    return parts


def _y(value: float, top: float) -> float:
    return TOP + (1.0 - value / top) * (HEIGHT - TOP - BOTTOM)
