"""Measurements as rows: CSV out, medians and ratios as a table in a page of the documentation."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median

from bike.errors import BikeError
from bike.files import atomic_write, read_text


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
