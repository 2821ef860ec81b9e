"""Annotation files are written by strangers: read them whole, as text, and say which line is wrong."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bike.errors import BikeError, DataError, one_line
from bike.files import existing_dir, read_annotation_text
from bike.files.names import is_hidden
from bike.files.tables import find_column, read_header, read_table
from bike.trees.parse import parse_json


def seconds(text: str) -> float:
    """A time in a CSV field: seconds, ``m:s`` or ``h:m:s`` (``00:01:02.5`` is 62.5).

    Raises:
        ValueError: no number, or not a finite one.
    """
    parts = text.split(":")
    if len(parts) > 3 or not all(part.strip().isdigit() for part in parts[:-1]):
        raise ValueError(f"time {text[:20]!r}")
    value = 0.0
    for part in parts:  # SubRip and others write a comma
        value = 60 * value + float(part.replace(",", ".") if len(parts) > 1 else part)
    if not math.isfinite(value):
        raise ValueError(f"time {text[:20]!r}")
    return value


class Table:
    """A CSV file with a header, see :func:`bike.files.tables.read_table`.

    Attributes:
        path: the file.
        columns: the header's words.
        remedy: what to do when a column is missing, with a blank before it.

    Args:
        path: the file.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.remedy = ""
        self.columns = read_header(path)

    def find(self, names: Iterable[str]) -> int:
        """Position of the first of ``names`` that is a column, or -1.

        Raises:
            DataError: there are several of this name.
        """
        place = find_column(self.columns, names)
        if place >= 0 and self.columns.count(name := self.columns[place]) > 1:
            raise DataError(f"{self.path}: {self.columns.count(name)} columns are named {name!r}. Keep one of them.")
        return place

    def index(self, name: str) -> int:
        """Position of the column ``name``.

        Raises:
            DataError: there is no such column, or more than one.
        """
        place = self.find((name,))
        if place < 0:
            have = ", ".join(self.columns[:20]) or "none, the file is empty"
            raise DataError(f"{self.path}: column {name!r} is missing (columns: {one_line(have)}).{self.remedy}")
        return place

    def rows(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Line number and fields of each row after the header; empty lines are skipped.

        Raises:
            DataError: a row has another number of fields than the header, or the file is not CSV.
        """
        table = read_table(self.path, self.columns, exact=True)
        return zip(table.index, table.itertuples(index=False, name=None), strict=True)


def read_annotation_json(path: Path | str) -> Any:
    """Parse a JSON file of unknown origin.

    Raises:
        DataError: not JSON, nested too deeply, or with a number too long to read.
    """
    try:
        return parse_json(read_annotation_text(path, longest=None), path, "Is it the right file?")  # often one line
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
    """Files in ``source`` (not below, not hidden) that fit one of the patterns, in their order, then by name."""
    if not Path(source).exists():
        raise DataError(f"{source}: no such file or folder. Check the name.")
    folder = existing_dir(source)
    found: dict[Path, None] = {}
    for name in names:
        paths = sorted(path for path in folder.glob(name) if path.is_file() and not is_hidden(path.name))
        found.update(dict.fromkeys(paths))
    return list(found)
