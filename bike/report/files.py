"""Readers of the files that evaluations leave: numbers, per-class results, confusions, scores."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bike.errors import DataError
from bike.files import existing_file, read_json


@dataclass(frozen=True, slots=True)
class ClassResult:
    """A row of ``per_class.csv``: accuracy and average precision in percent, None for a class without videos."""

    label: int
    name: str
    videos: int
    top1: float | None
    ap: float | None


def read_per_class(path: Path | str) -> list[ClassResult]:
    """Read ``per_class.csv`` (label,name,videos,top1,ap), in the file's order."""
    found = []
    for line, row in read_table(path, ("label", "name", "videos", "top1", "ap")):
        try:
            videos = int(float(row["videos"]))
            found.append(ClassResult(int(row["label"]), row["name"], videos, _cell(row["top1"]), _cell(row["ap"])))
        except (ValueError, TypeError, OverflowError):
            raise DataError(f"{path}: line {line}: not a class with its numbers. Evaluate again.") from None
    return found


def read_confusion(path: Path | str) -> Counter[tuple[str, str]]:
    """Read ``confusion.csv``: how many videos of the first class were given the second."""
    return Counter((row["actual"], row["predicted"]) for _, row in read_table(path, ("actual", "predicted")))


def read_table(path: Path | str, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Rows of a CSV file with their line numbers.

    Raises:
        DataError: not CSV, or a column is missing.
    """
    try:
        with existing_file(path).open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.DictReader(file, restval="")
            missing = [name for name in columns if name not in (reader.fieldnames or [])]
            if missing:
                raise DataError(f"{path}: column {missing[0]!r} is missing (columns needed: {', '.join(columns)}).")
            return [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise DataError(f"{path}: not a CSV file ({error}).") from error


def read_numbers(path: Path) -> dict[str, float | None]:
    """A JSON object's numbers; other values are left out, null is kept."""
    found: Any = read_json(path)
    if not isinstance(found, dict):
        raise DataError(f"{path}: an object of numbers is needed (got {type(found).__name__}). Evaluate again.")
    numbers = {}
    for name, value in found.items():
        if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            if value is not None and not math.isfinite(value):
                raise DataError(f"{path}: {name} must be a finite number (got {value}). Evaluate again.")
            numbers[name] = None if value is None else float(value)
    return numbers


def _cell(text: str) -> float | None:
    """A percentage, or None for an empty cell or NaN."""
    value = float(text) if text.strip() else math.nan
    return value if math.isfinite(value) else None
