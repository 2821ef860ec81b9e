"""Annotation files are written by strangers: read them whole, as text, and say which line is wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bike.errors import BikeError, DataError, one_line
from bike.files import existing_dir, read_annotation_text
from bike.tables import read_header, read_table
from bike.trees.parse import parse_json


def seconds(text: str) -> float:
    """A time in a CSV field.

    Raises:
        ValueError: no number, or not a finite one.
    """
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"time {text[:20]!r}")
    return value


def is_text(value: str) -> bool:
    """Whether ``value`` was valid UTF-8 in its file, as a class name has to be."""
    return value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value)


class Table:
    """A CSV file with a header; its fields may be parted by commas, semicolons or tabs.

    Attributes:
        path: the file.
        columns: the header's words.
        remedy: what to do when a column is missing, with a blank before it.

    Args:
        path: the file.
        any_case: take the header's words in lower case.
    """

    def __init__(self, path: Path | str, *, any_case: bool = False) -> None:
        self.path = Path(path)
        self.remedy = ""
        # From the header alone: in rows, any of the marks may be part of a name.
        first = read_annotation_text(path).partition("\n")[0]
        self._separator = next((mark for mark in ",;\t" if mark in first), ",")
        self._clean = (lambda word: word.strip().lower()) if any_case else str.strip
        self.columns = [self._clean(word) for word in read_header(path, self._separator)]

    def index(self, name: str) -> int:
        """Position of the column ``name``.

        Raises:
            DataError: there is no such column, or more than one.
        """
        if self.columns.count(name) > 1:
            raise DataError(f"{self.path}: {self.columns.count(name)} columns are named {name!r}. Keep one of them.")
        if name not in self.columns:
            have = ", ".join(self.columns[:20]) or "none, the file is empty"
            raise DataError(f"{self.path}: column {name!r} is missing (columns: {one_line(have)}).{self.remedy}")
        return self.columns.index(name)

    def rows(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Line number and fields of each row after the header; empty lines are skipped.

        Raises:
            DataError: a row has another number of fields than the header, or the file is not CSV.
        """
        table = read_table(self.path, self.columns, separator=self._separator, clean=self._clean, exact=True)
        return zip(table.index, table.itertuples(index=False, name=None), strict=True)


def read_annotation_json(path: Path | str) -> Any:
    """Parse a JSON file of unknown origin.

    Raises:
        DataError: not JSON, nested too deeply, or with a number too long to read.
    """
    try:
        return parse_json(read_annotation_text(path), path, "Is it the right file?")
    except DataError:
        raise
    except BikeError as error:
        raise DataError(str(error)) from error


def find_annotation(source: Path | str, names: tuple[str, ...], what: str) -> Path:
    """The first of ``names`` (may be patterns) in the folder ``source``; ``source`` itself where it is a file.

    Raises:
        BikeError: there is no such file; the message names what was looked for.
    """
    source = Path(source)
    if source.is_file():
        return source
    found = find_files(source, names)
    if not found:
        raise DataError(f"{source}: no {what} (looked for {', '.join(names)}). Give the folder that has it.")
    return found[0]


def find_files(source: Path | str, names: tuple[str, ...]) -> list[Path]:
    """Files in ``source`` (not below) that fit one of the patterns, in the order of the patterns, then by name."""
    if not Path(source).exists():
        raise DataError(f"{source}: no such file or folder. Check the name.")
    folder = existing_dir(source)
    found: dict[Path, None] = {}
    for name in names:
        found.update(dict.fromkeys(sorted(path for path in folder.glob(name) if path.is_file())))
    return list(found)
