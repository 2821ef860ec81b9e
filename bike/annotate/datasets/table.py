"""Any CSV with a path and a label column."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import repeat
from pathlib import Path

from bike.annotate.classes import fold
from bike.annotate.entries import Annotations, Entry, ReadOptions, split_of
from bike.annotate.reading import find_annotation
from bike.errors import DataError, first_few, one_line
from bike.files.columns import (
    END_COLUMNS,
    END_MILLISECONDS,
    LABEL_COLUMNS,
    NAME_COLUMNS,
    PATH_COLUMNS,
    SPLIT_COLUMNS,
    START_COLUMNS,
    START_MILLISECONDS,
    unread_columns,
    unread_note,
)
from bike.files.names import MAX_CLASSES, clean_class_name, distinct_names, tidy_path
from bike.files.tables import find_column, missing_column, read_header, read_table, seconds
from bike.records import label_ids

# Labels are meant as class ids when all look like numbers, and one is a whole one.
_NUMBERS = re.compile(r"\s*(?:[-+]?[\d.]+(?:[\s,]+|\Z))*", re.ASCII)


def read_csv(source: Path, options: ReadOptions) -> Annotations:
    """Read a CSV with columns for path and label, and, if they are there, class name, split, start and end in seconds.

    Times are seconds or ``[h:]m:s``, or milliseconds where the column is called ``start_ms``. Labels are integers
    (several are separated by blanks or commas, ``-1`` is none) or class names. Integers take their
    names from the name column; class names are numbered in alphabetical order; ``options.labels`` states both. In a
    folder, ``annotations.csv``, ``labels.csv`` or else the first CSV is read.

    Raises:
        DataError: a column is missing, or rows have bad values; the first ten are named.
    """
    path = find_annotation(source, ("annotations.csv", "labels.csv", "*.csv"), "annotation CSV")
    return _TableReader(path, options).read()


class _TableReader:
    def __init__(self, path: Path, options: ReadOptions) -> None:
        self.path, self.options, self.header = path, options, read_header(path)
        self.video = self._column(options.path_column, PATH_COLUMNS, needed=True)
        self.label = self._column(options.label_column, (*LABEL_COLUMNS, "name"), needed=True)
        self.name = self._column(options.name_column, NAME_COLUMNS)
        self.split = self._column(options.split_column, SPLIT_COLUMNS)
        self.start, self.start_unit = self._time_column(START_COLUMNS, START_MILLISECONDS)
        self.end, self.end_unit = self._time_column(END_COLUMNS, END_MILLISECONDS)
        self.bad: list[str] = []

    def read(self) -> Annotations:
        used = [self.video, self.label, self.name, self.split, self.start, self.end]
        table = read_table(self.path, [name for name in dict.fromkeys(used) if name], exact=True)
        labels = set(table[self.label])
        some = any(map(label_ids, labels)) or not any(label.strip() for label in labels)
        numbers = some and all(map(_NUMBERS.fullmatch, labels))
        names: dict[int, str] = {}
        entries = []
        columns = (table[name] if name else repeat("") for name in used)
        for line, video, label, name, word, start, end in zip(table.index, *columns, strict=False):
            where = f"{self.path}: line {line}"
            try:
                ids = self._labels(label, where, numbers)
                if numbers and self.name not in ("", self.label) and len(ids) == 1:
                    self._note_name(names, int(ids[0]), clean_class_name(name, where), line)
            except DataError as error:
                self.bad.append(str(error).removeprefix(f"{self.path}: "))
                continue
            split = split_of(word, self.options)
            if split is None:
                self.bad.append(f"line {line}: unknown split {one_line(word)[:40]!r}")
                continue
            entries.append(Entry(tidy_path(video), ids, split, *self._times(start, end, line)))
        if self.bad:
            raise DataError(
                f"{self.path}: {first_few(self.bad)}. Correct the rows, or say what a split is (--split a=train)."
            )
        unread = unread_columns(self.header, used)
        notes = [unread_note(self.path, unread)] if unread else []
        return Annotations({"": entries}, self._classes(names, numbers), notes=notes)

    def _column(self, wanted: str | None, usual: Sequence[str], *, needed: bool = False) -> str:
        """The name of a column as the header has it; an empty one where the table has none."""
        place = find_column(self.header, usual if wanted is None else (wanted,))
        if place < 0 and (needed or wanted is not None):
            remedy = " Name it with --path-column, --label-column and the like."
            raise missing_column(self.path, wanted or usual[0], self.header, remedy)
        return self.header[place] if place >= 0 else ""

    def _time_column(self, usual: Sequence[str], milliseconds: Sequence[str]) -> tuple[str, float]:
        """A column of times, and its unit in seconds."""
        name = self._column(None, usual)
        return (name, 1.0) if name else (self._column(None, milliseconds), 0.001)

    def _labels(self, text: str, where: str, numbers: bool) -> tuple[str | int, ...]:
        if numbers:
            ids = label_ids(text)
            if ids is None:
                raise DataError(
                    f"{where}: label {one_line(text)[:40]!r} is not a class id; allowed are 0, 1, 2 … and -1 for none"
                )
            return ids
        return (clean_class_name(text, where),) if text.strip() else ()

    def _note_name(self, names: dict[int, str], label: int, name: str, line: int) -> None:
        if label >= MAX_CLASSES:
            self.bad.append(f"line {line}: label {label} is not below {MAX_CLASSES}")
            return
        known = names.setdefault(label, name)
        if known != name and fold(known) != fold(name):
            self.bad.append(f"line {line}: label {label} is {name!r} here and {known!r} before")

    def _times(self, first: str, last: str, line: int) -> tuple[float | None, float | None]:
        if not first.strip() and not last.strip():
            return None, None
        try:
            start = seconds(first.strip() or "0") * self.start_unit
            return start, seconds(last.strip()) * self.end_unit if last.strip() else None
        except ValueError:
            self.bad.append(f"line {line}: start and end are not times (got {one_line(f'{first}, {last}')[:40]!r})")
            return None, None

    def _classes(self, names: dict[int, str], numbers: bool) -> list[str] | None:
        if not numbers or self.options.labels is not None:
            return None
        # Ids between others have no name yet: the policy for `no_name` decides about them later.
        ordered = [names.get(index, "") for index in range(max(names, default=-1) + 1)]
        if names:
            distinct_names([name for name in ordered if name], self.path)
        return ordered
