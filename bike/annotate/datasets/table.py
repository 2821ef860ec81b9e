"""Any CSV with a path and a label column."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bike.annotate.classes import fold
from bike.annotate.entries import Annotations, Entry, ReadOptions, split_of
from bike.annotate.reading import Table, find_annotation, seconds
from bike.errors import DataError, first_few, one_line
from bike.files.names import MAX_CLASSES, clean_class_name, distinct_names, tidy_path
from bike.files.tables import END_COLUMNS, LABEL_COLUMNS, PATH_COLUMNS, START_COLUMNS
from bike.records import label_ids

NAME_COLUMNS = ("name", "class_name", "label_name")
SPLIT_COLUMNS = ("split", "set", "subset")
MILLISECONDS = (("start_ms", "start_msec", "start_milliseconds"), ("end_ms", "end_msec", "end_milliseconds"))
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
    table = Table(find_annotation(source, ("annotations.csv", "labels.csv", "*.csv"), "annotation CSV"))
    table.remedy = " Name it with --path-column, --label-column and the like."
    return _TableReader(table, options).read()


class _TableReader:
    def __init__(self, table: Table, options: ReadOptions) -> None:
        self.table, self.options = table, options
        self.path = _column(table, options.path_column, PATH_COLUMNS, needed=True)
        self.label = _column(table, options.label_column, (*LABEL_COLUMNS, "name"), needed=True)
        self.name = _column(table, options.name_column, NAME_COLUMNS)
        self.split = _column(table, options.split_column, SPLIT_COLUMNS)
        self.start, self.start_unit = _time_column(table, START_COLUMNS, MILLISECONDS[0])
        self.end, self.end_unit = _time_column(table, END_COLUMNS, MILLISECONDS[1])
        self.bad: list[str] = []

    def read(self) -> Annotations:
        rows = list(self.table.rows())
        labels = {row[self.label] for _, row in rows}
        some = any(map(label_ids, labels)) or not any(label.strip() for label in labels)
        numbers = some and all(map(_NUMBERS.fullmatch, labels))
        names: dict[int, str] = {}
        entries = []
        for line, row in rows:
            where = f"{self.table.path}: line {line}"
            try:
                ids = self._labels(row[self.label], where, numbers)
                if numbers and self.name >= 0 and self.name != self.label and len(ids) == 1:
                    self._note_name(names, int(ids[0]), clean_class_name(row[self.name], where), line)
            except DataError as error:
                self.bad.append(str(error).removeprefix(f"{self.table.path}: "))
                continue
            split = split_of(row[self.split], self.options) if self.split >= 0 else self.options.default_split
            if split is None:
                self.bad.append(f"line {line}: unknown split {one_line(row[self.split])[:40]!r}")
                continue
            entries.append(Entry(tidy_path(row[self.path]), ids, split, *self._times(row, line)))
        if self.bad:
            raise DataError(
                f"{self.table.path}: {first_few(self.bad)}. Correct the rows, or say what a split is (--split a=train)."
            )
        return Annotations({"": entries}, self._classes(names, numbers), notes=self._unread())

    def _unread(self) -> list[str]:
        used = {self.path, self.label, self.name, self.split, self.start, self.end}
        unread = [name for place, name in enumerate(self.table.columns) if place not in used]
        return [f"{self.table.path}: columns that are not read: {one_line(first_few(unread))}."] if unread else []

    def _labels(self, text: str, where: str, numbers: bool) -> tuple[str | int, ...]:
        if numbers:
            ids = label_ids(text)
            if ids is None:
                raise DataError(f"{where}: label {one_line(text)[:40]!r} is not a class id; 0, 1, 2 … are, -1 is none")
            return ids
        return (clean_class_name(text, where),) if text.strip() else ()

    def _note_name(self, names: dict[int, str], label: int, name: str, line: int) -> None:
        if label >= MAX_CLASSES:
            self.bad.append(f"line {line}: label {label} is not below {MAX_CLASSES}")
            return
        known = names.setdefault(label, name)
        if known != name and fold(known) != fold(name):
            self.bad.append(f"line {line}: label {label} is {name!r} here and {known!r} before")

    def _times(self, row: Sequence[str], line: int) -> tuple[float | None, float | None]:
        words = [row[column].strip() if column >= 0 else "" for column in (self.start, self.end)]
        if not any(words):
            return None, None
        try:
            start = seconds(words[0] or "0") * self.start_unit
            return start, seconds(words[1]) * self.end_unit if words[1] else None
        except ValueError:
            self.bad.append(f"line {line}: start and end are not times (got {one_line(', '.join(words))[:40]!r})")
            return None, None

    def _classes(self, names: dict[int, str], numbers: bool) -> list[str] | None:
        if not numbers or self.options.labels is not None:
            return None
        # Ids between others have no name yet: the policy for `no_name` decides about them later.
        ordered = [names.get(index, "") for index in range(max(names, default=-1) + 1)]
        if names:
            distinct_names([name for name in ordered if name], self.table.path)
        return ordered


def _column(table: Table, wanted: str | None, usual: Sequence[str], *, needed: bool = False) -> int:
    if wanted is not None:
        return table.index(wanted)
    place = table.find(usual)
    return table.index(usual[0]) if needed and place < 0 else place


def _time_column(table: Table, usual: Sequence[str], milliseconds: Sequence[str]) -> tuple[int, float]:
    """A column of times, and its unit in seconds; the column is -1 where there is none."""
    place = table.find(usual)
    return (place, 1.0) if place >= 0 else (table.find(milliseconds), 0.001)
