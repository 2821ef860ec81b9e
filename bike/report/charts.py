"""Charts with matplotlib as SVG to embed in the page: text stays text, colours are the style sheet's."""

from __future__ import annotations

import base64
import io
import json
import re
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from PIL import Image

from bike.errors import one_line
from bike.report.curves import Curve, thin_out

LINE_COLOURS = tuple(f"c{number}" for number in range(1, 9))
_COLOURS = ("soft", "rule", *LINE_COLOURS)
_STYLE = {
    "svg.hashsalt": "bike",  # equal input gives equal ids
    "svg.fonttype": "none",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib and measures; the style sheet says what draws
    "text.parse_math": False,  # a class may be called $x$
    "font.size": 8,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "axes.axisbelow": True,
}


def _colour(name: str) -> str:
    """A stand-in for a colour of the style sheet, which differs between light and dark; :func:`_embed` puts it in.

    matplotlib takes real colours only, so the number in :data:`_COLOURS` travels as blue: ``#000001`` is ``rule``.
    """
    return f"#0000{_COLOURS.index(name):02x}"


@mpl.rc_context(_STYLE)  # type: ignore[arg-type]
def line_chart(curves: Sequence[Curve], runs: Sequence[str]) -> Markup:
    """Curves of one metric over steps; losses are noisy: faint, with a running mean over a twentieth of the points.

    At least one curve is needed; the place of its run in ``runs`` decides its colour. ``data-plot`` has what the page
    tells under the pointer.
    """
    figure = Figure(figsize=(4.2, 2.5), layout="constrained")
    axes: Any = figure.subplots()
    lines = []
    for curve in curves:
        points = thin_out(curve.points)
        colour = _colour(LINE_COLOURS[runs.index(curve.run) % len(LINE_COLOURS)])
        if curve.metric.endswith("loss"):
            axes.plot(points.index, points, color=colour, linewidth=0.8, alpha=0.3)
            points = points.rolling(1 + len(points) // 20, center=True, min_periods=1).mean()
        marker = "o" if len(points) == 1 else None
        axes.plot(points.index, points, color=colour, linewidth=1.5, marker=marker, markersize=4)
        drawn = [[round(step), float(f"{y:.4g}")] for step, y in zip(points.index.tolist(), points, strict=True)]
        lines.append({"name": one_line(curve.run), "points": drawn})
    axes.grid(axis="y", color=_colour("rule"), linewidth=0.7)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.margins(x=0.01)
    axes.locator_params(nbins=6)
    axes.set_xlabel("step", color=_colour("soft"))
    axes.set_ylabel(one_line(curves[0].unit), color=_colour("soft"))
    label = f"{curves[0].title} over steps"

    def plot() -> str:
        (left, bottom), (right, top) = axes.get_position().get_points().tolist()
        width, height = (72 * inches for inches in figure.get_size_inches().tolist())  # the drawing's own units
        ends = [*axes.get_xlim(), left * width, right * width, (1 - top) * height, (1 - bottom) * height]
        return json.dumps({"axis": [float(f"{end:.6g}") for end in ends], "lines": lines})

    return _embed(figure, label, plot)


@dataclass(frozen=True, slots=True)
class DenseMatrix:
    """A confusion matrix of many classes, one pixel a cell, for a page that enlarges it and names cells."""

    picture: str  # `data:` address of a PNG of K × K pixels
    names: list[str]  # K, in the order of rows and columns: what is confused lies side by side
    cells: list[tuple[int, int, int]]  # (row, column, videos) of those that are not empty


def dense_matrix(names: Sequence[str], counts: Counter[tuple[str, str]]) -> DenseMatrix:
    """The matrix of ``counts``, which are videos by (actual, predicted); the colour is the share of the row.

    A picture's colours can't follow the theme, so they suit both.
    """
    matrix = np.array([[counts[actual, predicted] for predicted in names] for actual in names])
    order = _side_by_side(matrix)
    matrix = matrix[np.ix_(order, order)]
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    pixels = np.broadcast_to(np.array([0.89, 0.45, 0.16, 1.0]), (*matrix.shape, 4)).copy()
    pixels[np.diag_indices(len(matrix))] = (0.23, 0.55, 0.83, 1.0)
    pixels[..., 3] = np.where(matrix, 0.25 + 0.75 * share, 0)
    file = io.BytesIO()
    Image.fromarray((pixels * 255).round().astype(np.uint8)).save(file, "PNG")
    address = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
    cells = [(row, column, int(matrix[row, column])) for row, column in np.argwhere(matrix).tolist()]
    return DenseMatrix(address, [one_line(names[place]) for place in order], cells)


def _side_by_side(matrix: np.ndarray) -> list[int]:
    """Places of the classes, each next to the one that it is confused with most among those not yet placed.

    The first is the one with most mistakes; whole numbers and ties by place, so that equal counts give equal orders.
    """
    both = matrix + matrix.T
    np.fill_diagonal(both, 0)
    left, total = np.ones(len(both), bool), both.sum(1)
    order = [int(total.argmax())]
    left[order] = False
    while left.any():
        closest = np.where(left, both[order[-1]], -1)
        if not closest.max():
            closest = np.where(left, total, -1)
        order.append(int(closest.argmax()))
        left[order[-1]] = False
    return order


def _embed(figure: Figure, label: str, plot: Callable[[], str]) -> Markup:
    """The figure as an ``svg`` element that fits into HTML, follows the style sheet and refers to nothing outside.

    ``plot`` gives the text of ``data-plot``; it is called when everything has its place.
    """
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the font that measures lacks some scripts; the browser's fonts draw them
        figure.savefig(file, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    root = ElementTree.fromstring(file.getvalue())  # noqa: S314 (just written by matplotlib)
    for element in root.iter():
        # HTML knows no prefixes: an svg element there has plain tags and attributes.
        element.tag = element.tag.rpartition("}")[2]
        for child in list(element):
            if child.tag.endswith(("}metadata", "}defs")) and child.find("{*}path") is None:
                element.remove(child)  # a style for the whole page, clips that nothing needs
        for name, value in list(element.attrib.items()):
            del element.attrib[name]
            if name != "clip-path":
                element.set(name.rpartition("}")[2], value if name == "id" else _tidy(value))
        if element.tag == "g":
            element.attrib.pop("id", None)
    size = {name: root.get(name, "") for name in ("viewBox", "width", "height")}
    root.attrib = {**size, "role": "img", "aria-label": one_line(label), "data-plot": plot()}
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704 (escaped by ElementTree)


def _tidy(value: str) -> str:
    """Colours of the style sheet, and hundredths of a point where matplotlib writes millionths."""
    value = re.sub(r"#0000([01][0-9a-f])", lambda match: f"var(--{_COLOURS[int(match[1], 16)]})", value)
    return re.sub(r"(\.\d\d)\d+", r"\1", value)
