"""Charts put what was measured where it belongs, and hostile labels stay labels."""

import re
from xml.etree import ElementTree

import pytest

from shoptalk.core.scores import CalibrationBin, Rate
from shoptalk.scoring.report.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Series, curve, reliability


def rate(value: float | None, spread: float = 0.1) -> Rate:
    bounds = (None, None) if value is None else (value - spread, value + spread)
    return Rate(value=value, low=bounds[0], high=bounds[1], count=1, of=2)


def heights(svg: str) -> list[float]:
    return [float(found) for found in re.findall(r'<circle cx="[\d.]+" cy="([\d.]+)"', svg)]


def test_a_curve_falls_where_the_rate_falls_and_a_hole_is_no_point() -> None:
    series = [Series("before", "key-before", [rate(0.9), rate(0.5), rate(None), rate(0.1)])]
    svg = curve(["5 dB", "10 dB", "20 dB", "<clean>"], series, title='a "title"')
    ElementTree.fromstring(svg)
    assert heights(svg) == sorted(heights(svg)), "less error stands lower"
    assert len(heights(svg)) == 3 == svg.count('class="bar"')
    assert "&lt;clean&gt;" in svg and "100 %" in svg


def test_a_curve_of_nothing_is_drawn() -> None:
    ElementTree.fromstring(curve(["a"], [Series("x", "y", [rate(None)])], title="t"))


def test_the_reliability_of_a_calibrated_model_lies_on_the_diagonal() -> None:
    bins = [CalibrationBin(low=p, high=p, words=9, confidence=p, right=p) for p in (0.1, 0.5, 0.9)]
    svg = reliability(bins, title="t")
    ElementTree.fromstring(svg)
    points = [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', svg)]
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in zip(points, points[1:], strict=False)]
    plot = (HEIGHT - TOP - BOTTOM) / (WIDTH - LEFT - RIGHT)
    assert slopes == pytest.approx([-plot, -plot], abs=0.01)
