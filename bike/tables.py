"""CSV tables through pandas: every column as text, in and out, with errors that name the file and the line.

pandas is imported where a table is read or written: it takes half a second, which helper processes need not pay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from bike.errors import DataError, one_line
from bike.files import atomic_write, existing_file

if TYPE_CHECKING:
    from pandas import DataFrame
    from pandas._typing import WriteBuffer


def read_table(
    path: Path | str, needed: Sequence[str], others: Sequence[str] = (), *, separator: str = ","
) -> DataFrame:
    """Read a CSV file.

    Args:
        path: UTF-8, with or without a byte order mark; bytes that are not UTF-8 stay as surrogates, as in file names.
        needed: columns that must be there.
        others: columns that may be there.
        separator: between the fields of a row.

    Returns:
        The columns ``needed`` and ``others``, in this order, all as text. What is not there is an empty text. The index
        is the number of the row, from 2 for the first one below the header.

    Raises:
        DataError: a column is missing, or the file is no table.
    """
    import pandas as pd

    try:
        table = pd.read_csv(
            existing_file(path),
            sep=separator,
            dtype=str,
            keep_default_na=False,
            na_filter=False,
            encoding="utf-8-sig",
            encoding_errors="surrogateescape",
        )
    except pd.errors.EmptyDataError:
        table = pd.DataFrame()
    except (pd.errors.ParserError, ValueError) as error:
        raise DataError(f"{path}: not a CSV file ({one_line(error)}).") from error
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise DataError(f"{path}: column {missing[0]!r} is missing (columns needed: {', '.join(needed)}).")
    table = table.reindex(columns=[*needed, *others], fill_value="")
    table.index = table.index + 2
    return table


def write_table(path: Path | str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file atomically: UTF-8, rows in the order given, ``\\n`` at their ends, quotes where needed.

    Raises:
        BikeError: the file can't be written.
    """
    import pandas as pd

    with atomic_write(path, "w") as file:
        table = pd.DataFrame(list(rows), columns=list(columns), dtype=object)
        table.to_csv(cast("WriteBuffer[str]", _RowEnds(file)), index=False, lineterminator="\r\n")


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
