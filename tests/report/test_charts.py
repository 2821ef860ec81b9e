"""Charts: round ticks, coordinates inside the picture, numbers where they belong."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bike.report.charts import heat_map, line_chart, nice_ticks, tick_text
from bike.report.curves import Curve

VALUES = st.floats(-1e30, 1e30, allow_nan=False)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.25, 0.5, 0.75, 1]),
        (0.3, 0.9, [0.2, 0.4, 0.6, 0.8, 1.0]),
        (0, 400, [0, 100, 200, 300, 400]),
        (-3, 5, [-4, -2, 0, 2, 4, 6]),
        (0, 5e-4, [0, 2e-4, 4e-4, 6e-4]),
    ],
)
def test_ticks_are_round_and_enclose(low: float, high: float, expected: list[float]) -> None:
    assert nice_ticks(low, high, 5) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.5, "0.5"), (5e-4, "5e-4"), (2.5e-5, "2.5e-5"), (12000, "12k"), (1e6, "1000k"), (-0.25, "-0.25")],
)
def test_tick_text_is_short(value: float, text: str) -> None:
    assert tick_text(value) == text


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**7), VALUES), min_size=1, max_size=30))
def test_any_curve_stays_in_the_picture(points: list[tuple[int, float]]) -> None:
    curve = Curve("run", "loss", tuple(sorted((float(x), y) for x, y in points)))
    svg = line_chart([curve], {"run": 0})
    places = re.findall(r'(?:class="line c1" d="M|L)([\d.-]+) ([\d.-]+)', svg)
    places += re.findall(r'class="dot c1" cx="([\d.-]+)" cy="([\d.-]+)"', svg)
    assert places
    assert all(0 <= float(x) <= 340 and 0 <= float(y) <= 200 for x, y in places)
    assert not re.search(r"\b(nan|inf)\b", svg)
    assert len(re.findall('class="grid"', svg)) <= 12


def test_higher_values_are_drawn_higher() -> None:
    svg = line_chart([Curve("run", "loss", ((0.0, 1.0), (1.0, 3.0), (2.0, 2.0)))], {"run": 0})
    found = re.search(r'd="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)"', svg)
    assert found
    x0, y0, x1, y1, x2, y2 = map(float, found.groups())
    assert x0 < x1 < x2
    assert y1 < y2 < y0


def test_colours_repeat_after_the_eighth_run() -> None:
    curves = [Curve(f"r{i}", "loss", ((0.0, 1.0), (1.0, float(i)))) for i in range(10)]
    svg = line_chart(curves, {curve.run: i for i, curve in enumerate(curves)})
    assert re.findall(r'class="line c(\d)"', svg) == list("1234567812")


def test_heat_map_counts() -> None:
    counts = Counter({("a", "a"): 3, ("a", "b"): 1, ("b", "b"): 2, ("x", "a"): 7})
    svg = heat_map(["a", "b"], counts)
    assert svg.count("<rect") == 4
    assert re.findall(r'class="count[^"]*"[^>]*>(\d+)<', svg) == ["3", "1", "2"]
    assert "a: 3 of 4 as a" in svg
    assert "a: 1 of 4 as b" in svg
    assert re.findall(r'class="(hit|miss|empty)"', svg) == ["hit", "miss", "empty", "hit"]


def test_heat_map_of_many_classes_has_no_names() -> None:
    names = [f"class {i}" for i in range(100)]
    counts = Counter({(name, name): 5 for name in names}) + Counter({("class 0", "class 99"): 5})
    svg = heat_map(names, counts)
    assert "<text" not in svg
    assert sum(path.count("M") for path in re.findall(r'd="([^"]+)"', svg)) == 101
    assert "M99 0h1v1h-1z" in svg
