"""CSV tables through pandas: every column as text, in and out, with errors that name the file and the line.

pandas is imported where a table is read or written: it takes half a second, which helper processes need not pay.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from bike.errors import DataError, first_few, one_line
from bike.files import atomic_write, read_text_bytes

if TYPE_CHECKING:
    from pandas import DataFrame
    from pandas._typing import WriteBuffer

_BATCH_ROWS = 50_000


def read_table(
    path: Path | str,
    needed: Sequence[str],
    others: Sequence[str] = (),
    *,
    separator: str = ",",
    clean: Callable[[str], str] = str,
    exact: bool = False,
) -> DataFrame:
    """Read a CSV file.

    Args:
        path: UTF-8, with or without a byte order mark; bytes that are not UTF-8 stay as surrogates, as in file names.
        needed: columns that must be there.
        others: columns that may be there.
        separator: between the fields of a row.
        clean: applied to the words of the header before columns are looked for, such as ``str.strip``.
        exact: every row must have as many fields as the header; otherwise rows must reach to the last needed column,
            and what lies beyond the header is ignored.

    Returns:
        The columns ``needed`` and ``others``, in this order, all as text; what is not there is an empty text. The index
        is the line on which a row ends, from 2 for a plain first row. Empty lines are left out.

    Raises:
        DataError: a column is missing, rows are too short or too long (the first ten are named), or it is no CSV file.
    """
    import pandas as pd

    raw = read_text_bytes(path)
    header, lines, widths = _shape(raw, path, separator)
    header = [clean(word) for word in header]
    missing = [name for name in needed if name not in header]
    if missing:
        raise DataError(f"{path}: column {missing[0]!r} is missing (columns needed: {', '.join(needed)}).")
    # A column that is not there has the place behind the last one.
    places = [header.index(name) if name in header else len(header) for name in (*needed, *others)]
    last = max(places[: len(needed)], default=-1)
    bad = (widths != len(header) if exact else widths <= last) & (widths > 0)
    if bad.any() and exact:
        shown = [f"line {line} has {width}" for line, width in zip(lines[bad], widths[bad], strict=True)]
        raise DataError(f"{path}: rows need {len(header)} fields as the header has: {first_few(shown)}.")
    if bad.any():
        shown = [f"line {line} ends before column {header[last]!r}" for line in lines[bad]]
        raise DataError(f"{path}: {first_few(shown)}. Complete them.")
    table = pd.DataFrame(index=lines)
    if header:  # pandas refuses an empty file
        table = pd.read_csv(
            io.BytesIO(raw),
            sep=separator,
            header=0,
            names=range(len(header)),  # by position: a header may name a column twice
            usecols=sorted({place for place in places if place < len(header)}),  # the others need no memory
            index_col=False,  # otherwise a row with one field more than the header would shift the columns
            dtype=object,
            na_filter=False,  # `nan` and `NA` are names like others
            skip_blank_lines=False,  # so that rows and lines go together
            encoding="utf-8-sig",
            encoding_errors="surrogateescape",
        ).set_axis(lines)
    table[len(header)] = pd.Series("", index=lines, dtype=object)
    return table.loc[widths > 0, places].set_axis([*needed, *others], axis="columns")


def read_header(path: Path | str, separator: str = ",") -> list[str]:
    """The words of a CSV file's first line; none where the file is empty.

    Raises:
        DataError: the file is not text, or its first line not CSV.
    """
    return next(_rows(read_text_bytes(path), path, separator), (0, []))[1]


def write_table(path: Path | str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file atomically: UTF-8, rows in the order given, ``\\n`` at their ends, quotes where needed.

    Raises:
        BikeError: the file can't be written.
    """
    import pandas as pd

    waiting = iter(rows)
    with atomic_write(path, "w") as file:
        target = cast("WriteBuffer[str]", _RowEnds(file))
        header: list[str] | bool = list(columns)
        # In batches, so that a million rows are never there as a table as well.
        while (batch := list(islice(waiting, _BATCH_ROWS))) or header:
            table = pd.DataFrame(batch, columns=list(columns), dtype=object)
            table.to_csv(target, index=False, header=header, lineterminator="\r\n")
            header = False


def _shape(raw: bytes, path: Path | str, separator: str) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    """The header, and of each row after it the line on which it ends and the number of its fields.

    pandas fills up rows that are too short and goes on after a stray quote, in silence. Python's own reader notices.
    """
    rows = _rows(raw, path, separator)
    _, header = next(rows, (0, []))
    # Numbers alone: lists of rows would take several times the memory of the file.
    shape = np.fromiter((number for line, row in rows for number in (line, len(row))), np.int64)
    return header, shape[::2], shape[1::2]


def _rows(raw: bytes, path: Path | str, separator: str) -> Iterator[tuple[int, list[str]]]:
    # No translation of line ends (`newline=""`): those in quoted fields belong to the data.
    text = io.TextIOWrapper(io.BytesIO(raw), "utf-8-sig", "surrogateescape", newline="")
    reader = csv.reader(text, delimiter=separator, strict=True)
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num}: not CSV ({one_line(error)}).") from error


class _RowEnds:
    """Turns the ends of a CSV writer's rows into ``\\n``.

    Python's csv module quotes only what holds a character of its own row end: with ``\\n`` alone, a file name with a
    carriage return would break its row in two.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file_write = file.write

    def write(self, row: str) -> int:
        """One row, as the writer hands it over."""
        return self._file_write(f"{row[:-2]}\n")

    def __iter__(self) -> Iterator[str]:
        """pandas asks it of all that it calls a file."""
        raise TypeError("for writing only")
