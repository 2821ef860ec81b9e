"""What people call the columns of their lists, best first, and which of them a list can't be read without."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from bike.errors import DataError, first_few, one_line
from bike.files.tables import find_column, read_header, read_table
from bike.progress import log

PATH_COLUMNS = (
    "path",
    "video",
    "file",
    "filename",
    "video_path",
    "file_path",
    "filepath",
    "video_name",
    "file_name",
    "video_file",
    "clip",
    "clip_path",
)
LABEL_COLUMNS = ("label", "labels", "class", "class_id", "label_id", "category")
NAME_COLUMNS = ("name", "class_name", "label_name")
SPLIT_COLUMNS = ("split", "set", "subset")
START_COLUMNS = ("start_seconds", "start", "start_time", "time_start", "start_sec", "start_timestamp", "begin")
END_COLUMNS = ("end_seconds", "end", "end_time", "time_end", "end_sec", "end_timestamp", "stop", "stop_timestamp")
START_MILLISECONDS = ("start_ms", "start_msec", "start_milliseconds")
END_MILLISECONDS = ("end_ms", "end_msec", "end_milliseconds")
_TIMES = {*START_COLUMNS, *END_COLUMNS, *START_MILLISECONDS, *END_MILLISECONDS}
_END = "(?:start|begin|first|end|stop|last)"
_FRAMES = re.compile(rf"{_END}[ _-]?frame([ _-]?(id|idx|index|number))?|frame[ _-]?({_END}|offset)|offset")
# `labels` is there beside `label`; a lone one is read. `label.1` is what pandas makes of a second `label`.
_MORE_LABELS = re.compile(rf"labels|(?:{'|'.join(LABEL_COLUMNS)})[ ._-]?\d+")


def unread_columns(header: Sequence[str], used: Iterable[str]) -> list[str]:
    """The columns of a table that are not among ``used``, which are looked for as :func:`find_column` does."""
    read = {header[place] for name in used if (place := find_column(header, (name,))) >= 0}
    return [name for name in header if name and name not in read]


def unread_note(path: Path | str, unread: Sequence[str]) -> str:
    """The line that names columns which nothing reads."""
    return f"{path}: columns that are not read: {one_line(first_few(unread))}."


def check_unread(path: Path | str, used: Iterable[str]) -> None:
    """Refuse a list with a column that is not read and makes its rows mean something else; log the other unread ones.

    A split column is such a one where its values differ: the rows of one split are a list.

    Raises:
        DataError: times or frames of a part of a video, more labels, or several splits.
    """
    unread = unread_columns(read_header(path), used)
    splits = [name for name in unread if name.lower() in SPLIT_COLUMNS]
    for problem, remedy, found in (
        ("has times", "Make lists of it with `bike annotate`", [name for name in unread if name.lower() in _TIMES]),
        (
            "has frames at which parts of videos begin or end",
            "State these as times (start, end; seconds), and make lists of it with `bike annotate csv`",
            [name for name in unread if _FRAMES.fullmatch(name.lower())],
        ),
        (
            "has labels in several columns",
            "Write all into the first, parted by blanks; `bike annotate csv` reads them so, too",
            [name for name in unread if _MORE_LABELS.fullmatch(name.lower())],
        ),
        (
            "has rows of several splits",
            "Make a list of each with `bike annotate csv`, or keep the rows of one",
            [name for name in splits if len(_values(path, name)) > 1],
        ),
    ):
        if found:
            raise DataError(f"{path}: {problem} ({one_line(first_few(found))}). {remedy}.")
    others = [name for name in unread if name not in splits]
    if others:
        log.warning("%s", unread_note(path, others))


def _values(path: Path | str, column: str) -> set[str]:
    return {text.strip().lower() for text in read_table(path, (), (column,))[column]}
