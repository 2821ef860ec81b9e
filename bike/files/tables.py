"""CSV tables through pandas: every column as text, in and out, with errors that name the file and the line.

This is the reader of every command, so that all of them take the same forms: see :func:`read_table`.

pandas is imported where a table is read or written: it takes half a second, which helper processes need not pay.
"""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from bike.errors import DataError, first_few, one_line
from bike.files import MAX_LINE_BYTES, atomic_write, existing_file, read_text_bytes

if TYPE_CHECKING:
    from pandas import DataFrame
    from pandas._typing import WriteBuffer

_BATCH_ROWS = 50_000
MAX_COLUMNS = 10_000
SEPARATORS = ",;\t|"
_SEPARATOR_LINE = re.compile(rb'"?sep=([,;\t|])"?\r?\n', re.IGNORECASE)


def read_table(
    path: Path | str,
    needed: Sequence[str],
    others: Sequence[str] = (),
    *,
    separator: str | None = None,
    exact: bool = False,
) -> DataFrame:
    """Read a CSV file.

    Fields are parted by commas, semicolons, tabs or ``|``: by what stands in the header, or in a line ``sep=;`` before
    it, as Excel writes. Where blanks follow the separators of the header, those in the rows don't count either. Columns
    are found by their names, blanks around them and, where no other is meant, case aside.

    Args:
        path: UTF-8, with or without a byte order mark; bytes that are not UTF-8 stay as surrogates, as in file names.
            No field may have more than 131,072 characters, no line more than 16 MiB.
        needed: columns that must be there.
        others: columns that may be there.
        separator: between the fields of a row; None looks.
        exact: every row must have as many fields as the header; otherwise rows must reach to the last needed column,
            and what lies beyond the header is ignored.

    Returns:
        The columns ``needed`` and ``others``, in this order, all as text; what is not there is an empty text. The index
        is the line on which a row ends, from 2 for a plain first row. Empty lines are left out.

    Raises:
        DataError: a column is missing or there twice, there are more than 10,000, rows are too short or too long (the
            first ten are named), or it is no CSV file.
    """
    import pandas as pd

    form = _form_of(path, separator)
    header, lines, widths = _shape(form, path)
    found = [find_column(header, (name,)) for name in (*needed, *others)]
    missing = [name for name, place in zip(needed, found, strict=False) if place < 0]
    if missing:
        raise missing_column(path, missing[0], header)
    double = [header[place] for place in found if place >= 0 and header.count(header[place]) > 1]
    if double:
        raise DataError(f"{path}: {header.count(double[0])} columns are named {double[0]!r}. Keep one of them.")
    # A column that is not there has the place behind the last one.
    places = [len(header) if place < 0 else place for place in found]
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
            io.BytesIO(form.raw),
            sep=form.separator,
            skipinitialspace=form.skip_blanks,
            header=0,
            names=range(len(header)),  # by position: a header may name a column twice
            usecols=sorted({place for place in places if place < len(header)}),  # the others need no memory
            index_col=False,  # otherwise a row with one field more than the header would shift the columns
            dtype=object,
            na_filter=False,  # `nan` and `NA` are names like others
            skip_blank_lines=False,  # so that rows and lines go together
            encoding="utf-8",
            encoding_errors="surrogateescape",
        ).set_axis(lines)
    table[len(header)] = pd.Series("", index=lines, dtype=object)
    return table.loc[widths > 0, places].set_axis([*needed, *others], axis="columns")


def read_header(path: Path | str) -> list[str]:
    """The names of a CSV file's columns, without blanks around them; none where the file is empty.

    Raises:
        DataError: the file is not text, or its header not CSV.
    """
    return next(_rows(_form_of(path, None), path), (0, []))[1]


def header_words(path: Path | str) -> list[str]:
    """What would be the columns if a file were a table, in lower case: this tells tables from other text.

    Not by the reader of tables, since the first line of other text may hold a quote.
    """
    with existing_file(path).open(encoding="utf-8-sig", errors="surrogateescape") as file:
        line = file.readline(65536)
        if _SEPARATOR_LINE.match(line.encode("utf-8", "surrogateescape")):
            line = file.readline(65536)
    return [word.strip("\"' \r\n").lower() for word in re.split(f"[{re.escape(SEPARATORS)}]", line)]


def find_column(columns: Sequence[str], names: Iterable[str]) -> int:
    """The place of the first of ``names`` that is a column, as written or else with case aside; -1 for none."""
    lower: list[str] | None = None
    for name in names:
        if name in columns:
            return columns.index(name)
        lower = lower or [column.lower() for column in columns]
        if lower.count(name.lower()) == 1:
            return lower.index(name.lower())
    return -1


def missing_column(path: Path | str, name: str, columns: Sequence[str], remedy: str = "") -> DataError:
    """The error to raise where a table lacks a column; ``remedy`` says what else can be done than to add it."""
    have = one_line(", ".join(columns[:20])) or "none, the file is empty"
    return DataError(f"{path}: column {name!r} is missing (columns: {have}).{remedy}")


def seconds(text: str) -> float:
    """A time in a field: seconds, ``m:s`` or ``h:m:s`` (``00:01:02.5`` is 62.5).

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


def write_table(path: Path | str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file atomically: UTF-8, rows in the order given, ``\\n`` at their ends, quotes where needed.

    Raises:
        DataError: a row that :func:`read_table` would refuse, or read as another one.
        BikeError: the file can't be written.
    """
    import pandas as pd

    waiting = iter(rows)
    with atomic_write(path, "w") as file:
        target = cast("WriteBuffer[str]", _Rows(file, path))
        header: list[str] | bool = list(columns)
        # In batches, so that a million rows are never there as a table as well.
        while (batch := list(islice(waiting, _BATCH_ROWS))) or header:
            table = pd.DataFrame(batch, columns=list(columns), dtype=object)
            table.to_csv(target, index=False, header=header, lineterminator="\r\n")
            header = False


class _Form(NamedTuple):
    """How a table is written.

    Attributes:
        raw: its bytes from the header on.
        separator: between fields.
        skip_blanks: blanks after separators don't count.
        before: lines before the header.
    """

    raw: bytes
    separator: str
    skip_blanks: bool
    before: int


def _form_of(path: Path | str, separator: str | None) -> _Form:
    raw = read_text_bytes(path)
    raw = raw.removeprefix(codecs.BOM_UTF8)
    stated = _SEPARATOR_LINE.match(raw)
    if stated:
        separator, raw = stated[1].decode(), raw[stated.end() :]
    # From the header alone: in rows, any of the marks may be part of a name. Without what stands in quotes.
    end = raw.find(b"\n")
    header = re.sub(r'"[^"]*"', '""', raw[: len(raw) if end < 0 else end].decode("utf-8", "surrogateescape"))
    separator = separator or next((mark for mark in SEPARATORS if mark in header), ",")
    if header.count(separator) >= MAX_COLUMNS:
        raise DataError(
            f"{path}: {header.count(separator) + 1} columns; at most {MAX_COLUMNS} are allowed. Is it the right file?"
        )
    return _Form(raw, separator, f"{separator} " in header, int(stated is not None))


def _shape(form: _Form, path: Path | str) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    """The header, and of each row after it the line on which it ends and the number of its fields.

    pandas fills up rows that are too short and goes on after a stray quote, in silence. Python's own reader notices.
    """
    rows = _rows(form, path)
    _, header = next(rows, (0, []))
    # Numbers alone: lists of rows would take several times the memory of the file.
    shape = np.fromiter((number for line, row in rows for number in (line, len(row))), np.int64)
    return header, shape[::2], shape[1::2]


def _rows(form: _Form, path: Path | str) -> Iterator[tuple[int, list[str]]]:
    """The number of the line on which a row ends, and its fields; the header's without blanks around them."""
    # No translation of line ends (`newline=""`): those in quoted fields belong to the data.
    text = io.TextIOWrapper(io.BytesIO(form.raw), "utf-8", "surrogateescape", newline="")
    reader = csv.reader(text, delimiter=form.separator, skipinitialspace=form.skip_blanks, strict=True)
    try:
        yield reader.line_num + form.before, [word.strip() for word in next(reader, [])]
        for row in reader:
            yield reader.line_num + form.before, row
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num + form.before}: not CSV ({one_line(error)}).") from error


class _Rows:
    """The rows of a CSV writer, as they go into the file: with ``\\n`` at their ends, and such that they can be read.

    Python's csv module quotes only what holds a character of its own row end: with ``\\n`` alone, a file name with a
    carriage return would break its row in two.
    """

    def __init__(self, file: IO[str], path: Path | str) -> None:
        self._file_write, self._path, self._count = file.write, path, 0
        self._longest = csv.field_size_limit()

    def write(self, row: str) -> int:
        """One row, as the writer hands it over."""
        if len(row) > self._longest or "\0" in row or not row.isascii():  # few rows need a closer look
            self._check(row)
        self._count += 1
        return self._file_write(f"{row[:-2]}\n")

    def _check(self, row: str) -> None:
        problem = "a NUL byte" if "\0" in row else ""
        try:
            raw = row.encode("utf-8", "surrogateescape")
            next(csv.reader([row], strict=True))
        except (UnicodeEncodeError, csv.Error) as error:
            problem = one_line(error)[:200]
        else:
            if len(raw) > MAX_LINE_BYTES:
                problem = f"more than {MAX_LINE_BYTES >> 20} MiB"
            elif raw.decode("utf-8", "surrogateescape") != row:
                problem = "undecodable bytes that together are another character"
        if problem:
            shown = one_line(row)[:60]
            raise DataError(f"{self._path}: row {self._count} ({shown} …) can't be read back: {problem}. Correct it.")

    def __iter__(self) -> Iterator[str]:
        """pandas asks it of all that it calls a file."""
        raise TypeError("for writing only")
