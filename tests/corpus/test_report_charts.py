"""Histograms count every value once, whatever the values are."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.corpus.report import charts
from shoptalk.corpus.report.summary import Spread, parts

numbers = st.floats(-1e4, 1e4, allow_nan=False).map(lambda value: round(value, 2))


@settings(max_examples=60, deadline=None)
@given(st.lists(numbers, min_size=1, max_size=50) | st.lists(st.integers(0, 40).map(float), min_size=1, max_size=50))
def test_bars_hold_all_values(values: list[float]) -> None:
    svg = charts.histogram(values, title="<t>", unit="s")
    bars = re.findall(r"<title>(\S+) to (\S+) s: (\d+)</title>", svg)
    assert sum(int(count) for _, _, count in bars) == len(values)
    assert len(bars) <= charts.MOST_BARS + 2
    assert "&lt;t&gt;" in svg
    heights = [float(height) for height in re.findall(r'height="([\d.]+)"', svg)]
    assert max(heights) <= charts.HEIGHT


def test_shares_are_of_all_even_where_few_are_shown() -> None:
    bars = parts({"a": 1, "b": 3, "c": 4, "none": 0}, most=2)
    assert [(bar.name, bar.share, bar.length) for bar in bars] == [("c", 0.5, 1.0), ("b", 0.375, 0.75)]
    assert Spread([2.0]).at(95) == 2.0
    assert Spread([1, 2, 3]).median == 2
