"""Charts: numbers where they belong, whatever the values and names, and nothing that leaves the page."""

from __future__ import annotations

import base64
import io
import json
import re
from collections import Counter
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bike.report.charts import LINE_COLOURS, dense_matrix, line_chart
from bike.report.curves import Curve

FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
HOSTILE = "</text><script>alert(1)</script>\n$x$ & \x00 \u202e#000001 日本"


def curve(points: list[tuple[float, float]], *, run: str = "run", metric: str = "top1") -> Curve:
    steps, values = zip(*points, strict=True)
    return Curve(run, metric, pd.Series(values, index=steps, dtype=float))


def lines(svg: str) -> list[tuple[str, list[tuple[float, float]]]]:
    """Colour and points of every curve, in the order drawn."""
    found = re.findall(r'<path d="([^"]+)" style="fill: none; stroke: var\(--(c\d)\)', svg)
    return [(name, [(float(x), float(y)) for x, y in re.findall(r"[ML] (\S+) (\S+)", path)]) for path, name in found]


def elements(svg: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg).iter())  # noqa: S314


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**7), FLOAT32), min_size=1, max_size=30, unique_by=lambda point: point[0]))
def test_any_curve_stays_in_the_picture(points: list[tuple[int, float]]) -> None:
    svg = line_chart([curve(sorted(points))], ["run"])
    _, _, width, height = map(float, elements(svg)[0].attrib["viewBox"].split())
    ((_, places),) = lines(svg)
    assert all(0 <= x <= width and 0 <= y <= height for x, y in places)
    assert not re.search(r"\b(nan|inf)\b", svg)


def test_higher_values_are_drawn_higher_and_a_single_point_is_a_dot() -> None:
    svg = line_chart([curve([(0, 1), (1, 3), (2, 2)])], ["run"])
    ((_, [(x0, y0), (x1, y1), (x2, y2)]),) = lines(svg)
    assert x0 < x1 < x2
    assert y1 < y2 < y0
    assert "<use " not in svg
    assert "<use " in line_chart([curve([(5, 1)])], ["run"])


def test_each_run_has_its_colour_and_its_last_value() -> None:
    runs = [f"r{i}" for i in range(10)]
    svg = line_chart([curve([(0, 1), (7, i / 4)], run=run) for i, run in enumerate(runs)], runs)
    assert [colour for colour, _ in lines(svg)] == [*LINE_COLOURS, *LINE_COLOURS[:2]]
    told = json.loads(elements(svg)[0].attrib["data-plot"])["lines"]
    assert [line["points"][-1] for line in told[:2]] == [[7, 0], [7, 0.25]]


def test_a_loss_has_a_running_mean() -> None:
    noisy = [(step, float(step % 2)) for step in range(100)]
    (_, raw), (_, mean) = lines(line_chart([curve(noisy, metric="train/loss")], ["run"]))
    assert max(y for _, y in mean) - min(y for _, y in mean) < max(y for _, y in raw) - min(y for _, y in raw)
    assert len(lines(line_chart([curve(noisy, metric="lr")], ["run"]))) == 1


def test_a_curve_tells_its_values_where_it_is_drawn() -> None:
    """``data-plot`` puts every point of a curve where the curve itself goes through it."""
    points = [(0.0, 1.0), (100.0, 3.0), (200.0, 2.0)]
    svg = line_chart([curve(points, run="a<b", metric="val/top1")], ["a<b"])
    plot = json.loads(elements(svg)[0].attrib["data-plot"])
    assert plot["lines"] == [{"name": "a<b", "points": [list(point) for point in points]}]
    low, high, left, right, top, bottom = plot["axis"]
    ((_, drawn),) = lines(svg)
    assert [left + (step - low) / (high - low) * (right - left) for step, _ in points] == pytest.approx(
        [x for x, _ in drawn], abs=0.03
    )
    assert all(top <= y <= bottom for _, y in drawn)
    assert re.findall(r">(step|top-1 \(%\))<", svg) == ["step", "top-1 (%)"]


def test_a_matrix_of_many_classes_has_a_pixel_for_each_cell_and_its_names() -> None:
    names = [f"class {i}" for i in range(100)]
    counts = Counter({(name, name): 5 for name in names}) + Counter(
        {(names[7], names[90]): 3, (names[90], names[3]): 2}
    )
    dense = dense_matrix(names, counts)
    picture = Image.open(io.BytesIO(base64.b64decode(dense.picture.partition(",")[2])))
    assert picture.size == (100, 100)
    assert dense.names[:3] == [names[90], names[7], names[3]]  # the most mistakes, then what is confused with it
    assert sorted(dense.names) == sorted(names)
    found = {(dense.names[row], dense.names[column]): count for row, column, count in dense.cells}
    assert found == counts
    alpha = np.asarray(picture)[..., 3]
    assert {(row, column) for row, column in np.argwhere(alpha).tolist()} == {cell[:2] for cell in dense.cells}


@pytest.mark.parametrize("name", [HOSTILE, "", " ", "-" * 300, "$\\frac{", "%s {0}"])
def test_names_are_text_and_nothing_else(name: str) -> None:
    svg = line_chart([curve([(0, 1), (1, 2)], run=name, metric=name)], [name])
    assert {element.tag for element in elements(svg)} <= {"svg", "g", "path", "text"}


def test_nothing_comes_from_outside_and_equal_input_gives_equal_text() -> None:
    svg = line_chart([curve([(0, 1)])], ["run"])
    assert svg == line_chart([curve([(0, 1)])], ["run"])
    assert not re.search(r"http|url\(|@import|<style|<metadata", svg)
    assert not re.search(r"(fill|stroke): #", svg)  # colours are the style sheet's
