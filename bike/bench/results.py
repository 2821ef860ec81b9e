"""What is promised of the data engine, against what was measured: a table and a figure."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from bike.errors import BikeError
from bike.files import atomic_write, read_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, slots=True)
class Target:
    """A promise about one measure.

    Attributes:
        what: for people.
        measure: whose medians are compared.
        ours, theirs: variants; the first divided by the second is held against ``wanted``.
        wanted: the ratio, or with ``theirs`` empty the value itself.
        most: the ratio may be at most ``wanted``, not at least.
    """

    what: str
    measure: str
    ours: str
    theirs: str
    wanted: float
    most: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """A promise with its numbers; ``value`` is the ratio, or our value where there is no other."""

    target: Target
    value: float
    ours: float
    theirs: float | None
    unit: str

    @property
    def kept(self) -> bool:
        """Whether the promise holds."""
        return self.value <= self.target.wanted if self.target.most else self.value >= self.target.wanted


def verdicts(rows: Sequence[Measurement], targets: Sequence[Target]) -> list[Verdict]:
    """Hold the medians against the targets; targets whose measure is not among the rows are left out."""
    found = medians(rows)
    units = {row.measure: row.unit for row in rows}
    result = []
    for target in targets:
        variants = found.get(target.measure, {})
        if target.ours not in variants or (target.theirs and target.theirs not in variants):
            continue
        ours, theirs = variants[target.ours], variants[target.theirs] if target.theirs else None
        value = ours if theirs is None else ours / theirs
        result.append(Verdict(target, value, ours, theirs, units[target.measure]))
    return result


def target_table(found: Sequence[Verdict]) -> list[str]:
    """Markdown: what, against what, both medians, the ratio, what was wanted, whether it is so."""
    lines = ["| what | against | medians | ratio | wanted | |", "|---|---|---|---|---|---|"]
    for verdict in found:
        target, sign = verdict.target, "≤" if verdict.target.most else "≥"
        if verdict.theirs is None:
            middle, value, wanted = f"{verdict.ours:,.0f} {verdict.unit}", "", f"{sign} {target.wanted:g}"
        else:
            middle = f"{_short(verdict.ours)} : {_short(verdict.theirs)} {verdict.unit}"
            value, wanted = f"**{verdict.value:.2f} ×**", f"{sign} {target.wanted:g} ×"
        mark, against = "✓" if verdict.kept else "✗", target.theirs or "–"
        lines.append(f"| {target.what} | {against} | {middle} | {value} | {wanted} | {mark} |")
    return lines


def value_table(rows: Sequence[Measurement], prefixes: Sequence[str]) -> list[str]:
    """Markdown: the medians of all measures that begin with one of ``prefixes``, a line for each measure."""
    units = {row.measure: row.unit for row in rows}
    lines = ["| measure | medians |", "|---|---|"]
    for measure, variants in medians(rows).items():
        if measure.startswith(tuple(prefixes)):
            values = ", ".join(f"{name} {_short(value)}" for name, value in variants.items())
            lines.append(f"| {measure} ({units[measure]}) | {values} |")
    return lines


def limit_table(rows: Sequence[Measurement], jobs: int) -> list[str]:
    """Markdown: what was reached, what the steps alone would allow, and how fast each step is on its own.

    Extraction runs in ``jobs`` processes, loading in one thread; a step's speed is that of as many.
    """
    found = medians(rows)
    lines = ["| | reached | all steps | of it | each step alone |", "|---|---|---|---|---|"]
    for measure, steps in found.items():
        if not measure.startswith("steps of "):
            continue
        name = measure.removeprefix("steps of ")
        whole, items, unit = _rate_of_step(name, jobs)
        reached = min(value for key, value in found[whole].items() if key.startswith("ours"))  # all steps of it
        chosen = {part: value for part, value in steps.items() if part not in LEFT_OUT}
        limit = items / sum(chosen.values())
        alone = ", ".join(f"{part} {_short(items / value)}" for part, value in steps.items() if value > 0)
        lines.append(f"| {whole} | {_short(reached)} {unit} | {_short(limit)} | {reached / limit:.0%} | {alone} |")
    return lines


LEFT_OUT = ("write a file a frame",)  # measured for comparison; ours does not do it


def _rate_of_step(name: str, jobs: int) -> tuple[str, float, str]:
    """The measure that steps belong to, how many items in a unit of time their times stand for, and the unit."""
    whole = name.removesuffix(", a sample")
    if whole != name:
        return whole, 1e3, "samples/s"
    whole, frames = name.removesuffix(" frames").rsplit(", ", 1)
    return whole, float(frames) * jobs, "frames/s"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def draw(path: Path | str, rows: Sequence[Measurement], found: Sequence[Verdict]) -> None:
    """Draw speeds against targets, where the time of extraction goes, and cost against the number of videos, as SVG."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "bike", "svg.fonttype": "none", "font.size": 8}):
        figure = Figure(figsize=(9.0, 7.2), layout="constrained")
        FigureCanvasSVG(figure)
        axes: Any = figure.subplot_mosaic([["speed", "speed"], ["steps", "scale"]], height_ratios=[1.1, 1.0])
        _draw_speeds(axes["speed"], [verdict for verdict in found if not verdict.target.most])
        _draw_steps(axes["steps"], rows)
        _draw_scale(axes["scale"], rows)
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    with atomic_write(path) as file:
        file.write(out.getvalue())


def _draw_speeds(axes: Axes, found: Sequence[Verdict]) -> None:
    places = range(len(found))
    axes.barh(places, [verdict.value for verdict in found], color="#4878a8", height=0.6)
    for place, verdict in zip(places, found, strict=True):
        axes.plot([verdict.target.wanted] * 2, [place - 0.4, place + 0.4], color="#c44e52", linewidth=2)
        axes.text(verdict.value, place, f" {verdict.value:.2f}", va="center")
    axes.axvline(1, color="#888888", linewidth=0.8)
    axes.set_yticks(list(places), [f"{v.target.what}\nagainst {v.target.theirs}" for v in found])
    axes.invert_yaxis()
    axes.set_title("times as fast as the baseline (red: at least wanted)")


def _draw_steps(axes: Axes, rows: Sequence[Measurement]) -> None:
    found = {name: values for name, values in medians(rows).items() if name.startswith("steps of extraction")}
    left = [0.0] * len(found)
    names = list(dict.fromkeys(part for values in found.values() for part in values if part not in LEFT_OUT))
    for part in names:
        widths = [values.get(part, 0.0) for values in found.values()]
        axes.barh(range(len(found)), widths, left=left, height=0.5, label=part)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.set_yticks(range(len(found)), [name.split(", ")[1].replace(" → ", "\n→ ") for name in found])
    axes.invert_yaxis()
    axes.legend(loc="lower right", frameon=False)
    axes.set_title("extraction, seconds of a core for 300 frames")


def _draw_scale(axes: Axes, rows: Sequence[Measurement]) -> None:
    for measure, variants in medians(rows).items():
        if measure.endswith(", a video"):
            counts = [int(name.split()[0].replace(",", "")) for name in variants]
            axes.loglog(counts, list(variants.values()), marker="o", label=measure.split(",")[0])
            axes.set_xticks(counts, [f"{count:,}" for count in counts])
            axes.set_xticks([], minor=True)
    axes.set_xlabel("videos (tiny)")
    if axes.lines:
        axes.legend(frameon=False)
    axes.set_title("ms a video, start of helpers included")


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measured value.

    Attributes:
        measure: what was measured.
        variant: which program did it.
        round: which time, from 0.
        value: the result.
        unit: of the value.
    """

    measure: str
    variant: str
    round: int
    value: float
    unit: str


def write_rows(path: Path | str, rows: Sequence[Measurement]) -> None:
    """Write all measurements as CSV, atomically."""
    with atomic_write(path, "w") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Measurement)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def medians(rows: Sequence[Measurement]) -> dict[str, dict[str, float]]:
    """Median over the rounds: measure -> variant -> value, in the order of first appearance."""
    values: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        values.setdefault(row.measure, {}).setdefault(row.variant, []).append(row.value)
    return {measure: {name: median(found) for name, found in variants.items()} for measure, variants in values.items()}


def table(rows: Sequence[Measurement], baseline: str) -> list[str]:
    """A Markdown table: median of each variant, and how many times less than the baseline's it is."""
    units = {row.measure: row.unit for row in rows}
    lines = ["| measure | variant | median | baseline ÷ this |", "|---|---|---|---|"]
    for measure, variants in medians(rows).items():
        for name, value in variants.items():
            ratio = f"{variants[baseline] / value:.2f} ×" if baseline in variants and value else ""
            lines.append(f"| {measure} | {name} | {value:.4g} {units[measure]} | {ratio} |")
    return lines


def write_section(path: Path | str, name: str, lines: Sequence[str]) -> None:
    """Put ``lines`` between ``<!-- name -->`` and ``<!-- /name -->`` of a page, or at its end if these are missing.

    Raises:
        BikeError: the page can't be read or written, or only one of the two marks is there.
    """
    path = Path(path)
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    text = read_text(path) if path.exists() else "# Benchmarks\n"
    block = "\n".join([begin, *lines, end])
    if text.count(begin) == text.count(end) == 1 and text.index(begin) < text.index(end):
        text = text[: text.index(begin)] + block + text[text.index(end) + len(end) :]
    elif begin in text or end in text:
        raise BikeError(f"{path}: needs {begin} and after it {end}, once each. Mend or delete the marks.")
    else:
        text = f"{text.rstrip()}\n\n{block}\n"
    with atomic_write(path, "w") as file:
        file.write(text)
