"""Charts as inline SVG. Colours are the page's CSS variables, so that they follow light and dark; text is escaped."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from markupsafe import Markup, escape

from bike.report.curves import Curve, thin_out
from bike.report.table import visible

NUM_COLOURS = 8
LABELLED_CLASSES = 40  # a matrix of more classes is drawn without names and numbers


def heat_map(names: Sequence[str], counts: Counter[tuple[str, str]]) -> Markup:
    """A confusion matrix: rows are actual classes, columns predicted ones, colour the share of the row.

    Args:
        names: classes in order; counts of other names are left out.
        counts: (actual, predicted) -> videos.
    """
    totals = Counter[str]()
    for (actual, _), count in counts.items():
        totals[actual] += count
    return _labelled(names, counts, totals) if len(names) <= LABELLED_CLASSES else _dense(names, counts, totals)


def _labelled(names: Sequence[str], counts: Counter[tuple[str, str]], totals: Counter[str]) -> Markup:
    cell = 28 if len(names) <= 24 else 22
    short = [_shorten(name) for name in names]
    left = 16 + 6.2 * max(map(len, short))
    top = 14 + 4.8 * max(map(len, short))
    width, height = left + cell * len(names) + 0.75 * top, top + cell * len(names) + 6
    parts = [_open(width, height, "Confusion matrix", css="matrix")]
    for i, name in enumerate(names):
        middle = left + cell * (i + 0.5)
        parts.append(
            Markup(
                '<text class="tick" transform="translate({:.1f} {:.1f}) rotate(-48)">{}<title>{}</title></text>'
            ).format(middle + 3, top - 7, short[i], visible(name))
        )
        parts.append(
            Markup('<text class="tick end" x="{:.1f}" y="{:.1f}">{}<title>{}</title></text>').format(
                left - 8, top + cell * (i + 0.5) + 4, short[i], visible(name)
            )
        )
    for row, actual in enumerate(names):
        for column, predicted in enumerate(names):
            count = counts[actual, predicted]
            share = count / totals[actual] if count else 0.0
            x, y = left + cell * column, top + cell * row
            kind = "hit" if row == column else "miss"
            parts.append(
                Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{}" height="{}" rx="3"').format(
                    kind if count else "empty", x + 1, y + 1, cell - 2, cell - 2
                )
            )
            if not count:
                parts.append(Markup("/>"))
                continue
            parts.append(
                Markup(
                    ' fill-opacity="{:.2f}"><title>{}: {} of {} as {}</title></rect>'
                    '<text class="count{}" x="{:.1f}" y="{:.1f}">{}</text>'
                ).format(
                    0.15 + 0.85 * share,
                    visible(actual),
                    count,
                    totals[actual],
                    visible(predicted),
                    " strong" if share > 0.5 else "",
                    x + cell / 2,
                    y + cell / 2 + 4,
                    count,
                )
            )
    return _join([*parts, Markup("</svg>")])


def _dense(names: Sequence[str], counts: Counter[tuple[str, str]], totals: Counter[str]) -> Markup:
    """One path for each of eight shades: small, however many classes."""
    place = {name: i for i, name in enumerate(names)}
    shades: dict[tuple[str, int], list[str]] = {}
    for (actual, predicted), count in sorted(counts.items()):
        if actual in place and predicted in place:
            row, column = place[actual], place[predicted]
            shade = max(1, math.ceil(8 * count / totals[actual]))
            shades.setdefault(("hit" if row == column else "miss", shade), []).append(f"M{column} {row}h1v1h-1z")
    parts = [_open(len(names), len(names), "Confusion matrix", css="matrix dense")]
    parts.append(Markup('<rect class="empty" width="{0}" height="{0}"/>').format(len(names)))
    for (kind, shade), cells in sorted(shades.items()):
        path = Markup('<path class="{}" fill-opacity="{:.2f}" d="{}"/>')
        parts.append(path.format(kind, 0.15 + 0.85 * shade / 8, "".join(cells)))
    return _join([*parts, Markup("</svg>")])


def line_chart(curves: Sequence[Curve], colours: dict[str, int]) -> Markup:
    """Curves of one metric over steps.

    Args:
        curves: at least one, each with at least one point.
        colours: run -> index of its colour.
    """
    width, height, left, right, top, bottom = 340, 200, 46, 10, 10, 26
    points = [point for curve in curves for point in curve.points]
    xs, ys = nice_ticks(*_range([x for x, _ in points]), 5), nice_ticks(*_range([y for _, y in points]), 5)
    low_x, high_x = min(x for x, _ in points), max(x for x, _ in points)
    low_y, high_y = min(ys[0], *(y for _, y in points)), max(ys[-1], *(y for _, y in points))

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - low_x) / (high_x - low_x) if high_x > low_x else 0.5
        up = (y - low_y) / (high_y - low_y) if high_y > low_y else 0.5
        return left + across * (width - left - right), height - bottom - up * (height - top - bottom)

    parts = [_open(width, height, curves[0].metric, css="lines")]
    for tick in ys:
        _, y = place(low_x, tick)
        parts.append(
            Markup('<path class="grid" d="M{} {:.1f}H{}"/><text class="tick end" x="{}" y="{:.1f}">{}</text>').format(
                left, y, width - right, left - 6, y + 3.5, tick_text(tick)
            )
        )
    for tick in (tick for tick in xs if low_x <= tick <= high_x):
        x, _ = place(tick, low_y)
        label = Markup('<text class="tick middle" x="{:.1f}" y="{}">{}</text>')
        parts.append(label.format(x, height - bottom + 16, tick_text(tick)))
    for curve in curves:
        places = [place(x, y) for x, y in thin_out(curve.points)]
        colour = colours[curve.run] % NUM_COLOURS + 1
        last = curve.points[-1]
        if len(places) == 1:
            shape = Markup('<circle class="dot c{}" cx="{:.1f}" cy="{:.1f}" r="3">').format(colour, *places[0])
            end = Markup("</circle>")
        else:
            line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
            shape, end = Markup('<path class="line c{}" d="{}">').format(colour, line), Markup("</path>")
        title = Markup("<title>{}: {} at step {}</title>")
        parts.append(shape + title.format(visible(curve.run), tick_text(last[1]), tick_text(last[0])) + end)
    return _join([*parts, Markup("</svg>")])


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """About ``count`` round numbers from just below ``low`` to just above ``high``."""
    raw = (high - low) / max(count - 1, 1)
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def tick_text(value: float) -> str:
    """A short number: 0.0005 as 5e-4, 12000 as 12k."""
    if value == 0:
        return "0"
    if abs(value) < 1e-3:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return f"{value / 1000:.4g}k" if abs(value) >= 10_000 else f"{value:.4g}"


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if high - low > 1e-12 * max(abs(low), abs(high), 1e-300):
        return low, high
    margin = 0.1 * abs(low)
    return (low - margin, high + margin) if margin else (0.0, 1.0)


def _shorten(name: str, limit: int = 36) -> str:
    text = " ".join(visible(name).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _open(width: float, height: float, label: str, *, css: str) -> Markup:
    start = Markup(
        '<svg class="{0}" viewBox="0 0 {1:.0f} {2:.0f}" width="{1:.0f}" height="{2:.0f}" role="img" aria-label="{3}">'
    )
    return start.format(css, width, height, visible(label))


def _join(parts: Sequence[Markup]) -> Markup:
    return Markup("").join(escape(part) for part in parts)
