"""Measurements and what is promised of them: turns, medians, ratios, and how they are written down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from statistics import median
from typing import TypeVar

from bike.files import atomic_write, read_text, write_between
from bike.files.tables import write_table

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measured value."""

    measure: str  # such as `training step`
    variant: str  # which program did it, such as `ours`
    round: int  # from 0
    value: float
    unit: str  # such as `frames/s`


@dataclass(frozen=True, slots=True)
class Target:
    """A promise about the medians of one measure."""

    what: str  # in words
    measure: str
    ours: str  # variants; the ratio is ours ÷ theirs
    theirs: str
    wanted: float  # the ratio, or our median itself where `theirs` is empty
    at_most: bool = False  # an upper bound (time, memory), not a lower one (speed)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A promise with its medians."""

    target: Target
    ours: float
    theirs: float | None
    unit: str

    @property
    def value(self) -> float:
        """The ratio, or our median where there is no other."""
        return self.ours if self.theirs is None else self.ours / self.theirs

    @property
    def kept(self) -> bool:
        """Whether the promise holds."""
        return self.value <= self.target.wanted if self.target.at_most else self.value >= self.target.wanted


def in_turns(items: Sequence[Item], rounds: int, *, warm_up: bool = False) -> Iterator[tuple[int, Item]]:
    """Each item once a round, each round starting with another item, so that other load on the machine hits them all.

    Two items and two rounds: (0, a), (0, b), (1, b), (1, a). With ``warm_up``, a round -1 comes first.
    """
    for number in range(-1 if warm_up else 0, rounds):
        for place in range(len(items)):
            yield number, items[(place + number) % len(items)]


def medians(rows: Sequence[Measurement]) -> dict[str, dict[str, float]]:
    """Median over the rounds: measure -> variant -> value, in the order of first appearance."""
    values: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        values.setdefault(row.measure, {}).setdefault(row.variant, []).append(row.value)
    return {measure: {name: median(found) for name, found in variants.items()} for measure, variants in values.items()}


def verdicts(rows: Sequence[Measurement], targets: Sequence[Target]) -> list[Verdict]:
    """Hold the medians against the targets; a target whose variants were not measured is left out."""
    found = medians(rows)
    units = {row.measure: row.unit for row in rows}
    result = []
    for target in targets:
        variants = found.get(target.measure, {})
        if {target.ours, target.theirs} - {""} <= variants.keys():
            ours, theirs = variants[target.ours], variants.get(target.theirs)
            result.append(Verdict(target, ours, theirs, units[target.measure]))
    return result


def target_table(found: Sequence[Verdict]) -> list[str]:
    """Markdown: each promise, what it is held against, both medians, the ratio, the ratio wanted, whether it holds."""
    lines = ["| what | against | medians | ratio | wanted | |", "|---|---|---|---|---|---|"]
    for verdict in found:
        target, sign = verdict.target, "≤" if verdict.target.at_most else "≥"
        if verdict.theirs is None:
            middle, value, wanted = f"{verdict.ours:,.0f} {verdict.unit}", "", f"{sign} {target.wanted:g}"
        else:
            middle = f"{_short(verdict.ours)} : {_short(verdict.theirs)} {verdict.unit}"
            value, wanted = f"**{verdict.value:.2f} ×**", f"{sign} {target.wanted:g} ×"
        mark, against = "✓" if verdict.kept else "✗", target.theirs or "–"
        lines.append(f"| {target.what} | {against} | {middle} | {value} | {wanted} | {mark} |")
    return lines


def ratio_table(rows: Sequence[Measurement], baseline: str) -> list[str]:
    """Markdown: the median of each variant, and the baseline's divided by it."""
    units = {row.measure: row.unit for row in rows}
    lines = ["| measure | variant | median | baseline ÷ this |", "|---|---|---|---|"]
    for measure, variants in medians(rows).items():
        for name, value in variants.items():
            ratio = f"{variants[baseline] / value:.2f} ×" if baseline in variants and value else ""
            lines.append(f"| {measure} | {name} | {value:.4g} {units[measure]} | {ratio} |")
    return lines


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def draw(path: Path, found: Sequence[Verdict]) -> None:
    """Draw the promised speeds as bars, the ratio wanted as a mark on each, as SVG with the same bytes every time."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    speeds = [verdict for verdict in found if not verdict.target.at_most]
    places = range(len(speeds))
    with mpl.rc_context({"svg.hashsalt": "bike", "svg.fonttype": "none", "font.size": 8}):
        figure = Figure(figsize=(9.0, 1.0 + 0.35 * len(speeds)), layout="constrained")
        axes = figure.subplots()
        bars = axes.barh(places, [verdict.value for verdict in speeds], color="#4878a8", height=0.6)
        axes.bar_label(bars, fmt="%.2f", padding=3)
        wanted = [verdict.target.wanted for verdict in speeds]
        axes.scatter(wanted, places, marker="|", s=200, color="#c44e52", zorder=2)
        axes.axvline(1, color="#888888", linewidth=0.8)
        axes.set_yticks(places, [f"{verdict.target.what}\nagainst {verdict.target.theirs}" for verdict in speeds])
        axes.invert_yaxis()
        axes.set_title("times as fast as the baseline (red: at least wanted)")
        with atomic_write(path) as file:
            figure.savefig(file, format="svg", metadata={"Date": None})


def write_report(csv_path: Path, page: Path, name: str, rows: Sequence[Measurement], lines: Sequence[str]) -> None:
    """Write all measurements as CSV, and ``lines`` into the page's section ``name``."""
    write_table(csv_path, [field.name for field in fields(Measurement)], map(astuple, rows))
    write_section(page, name, lines)


def write_section(path: Path, name: str, lines: Sequence[str]) -> None:
    """Put ``lines`` between ``<!-- name -->`` and ``<!-- /name -->`` of a page, or at its end if these are missing.

    Raises:
        BikeError: the page can't be read or written, or only one of the two marks is there.
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    text = read_text(path) if path.exists() else "# Benchmarks\n"
    if begin not in text and end not in text:  # a page may be anyone's: what it has is kept
        with atomic_write(path, "w") as file:
            file.write(f"{text.rstrip()}\n\n{begin}\n{end}\n")
    write_between(path, begin, end, "".join(f"{line}\n" for line in lines))
