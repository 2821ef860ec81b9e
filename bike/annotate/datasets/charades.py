"""Charades: CSVs with an ``actions`` column; parts of videos for training, multi-label whole videos for testing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bike.annotate.entries import Annotations, Entry, ReadOptions
from bike.annotate.reading import Table, find_annotation, find_files, seconds
from bike.errors import DataError, first_few
from bike.files import existing_dir, read_lines
from bike.files.names import clean_class_name, distinct_names

FPS = 24.0  # of the frames that the data set's authors publish


def read_charades(source: Path, options: ReadOptions) -> Annotations:
    """Read ``Charades_v1_{train,test}.csv`` and ``Charades_v1_classes.txt``. Files are named by the id.

    An action reads ``c092 11.90 21.20``: class, start, end in seconds. Training has one entry for each action; a test
    video is one entry with all its classes, or with none.

    Raises:
        DataError: a file is missing, or rows have bad values; the first ten are named.
    """
    classes = _read_classes(
        find_annotation(existing_dir(source), ("Charades_v1_classes.txt", "*classes.txt"), "Charades class list")
    )
    entries: list[Entry] = []
    for split in ("train", "test"):
        for path in find_files(source, (f"Charades*_{split}.csv",))[:1]:
            entries.extend(_read_table(Table(path), split))
    if not entries:
        raise DataError(f"{source}: no Charades_v1_train.csv or Charades_v1_test.csv. Give the annotation's folder.")
    return Annotations({"": entries}, classes, by_name=True, fold_names=False, fps=FPS)


def _read_classes(path: Path) -> list[str]:
    names: dict[int, str] = {}
    for line, text in read_lines(path):
        code, _, name = text.partition(" ")
        label = class_of(code)
        if label != len(names):  # the official file is in order: a line out of it is a damaged one
            raise DataError(f"{path}: line {line}: `c{len(names):03d} <name>` is needed. Download the file again.")
        names[label] = clean_class_name(name, f"{path}: line {line}")
    return distinct_names(list(names.values()), path)


def class_of(code: str) -> int:
    """The class id in ``c092``; -1 for a bad code."""
    digits = code[1:]
    return int(digits) if code[:1] == "c" and digits.isascii() and digits.isdigit() and len(digits) < 7 else -1


def _read_table(table: Table, split: str) -> Iterator[Entry]:
    identifier, actions, length = (table.index(name) for name in ("id", "actions", "length"))
    bad = []
    for line, row in table.rows():
        try:
            duration = seconds(row[length] or "0")
            parts = [_read_action(text) for text in row[actions].split(";") if text.strip()]
            if not row[identifier]:
                raise ValueError("no id")
        except ValueError as error:
            bad.append(f"line {line} ({str(error)[:60]})")
            continue
        if split == "train" and parts:
            for label, start, end in parts:
                yield Entry(row[identifier], (label,), split, start, end, duration)
        else:
            labels = tuple(dict.fromkeys(label for label, _, _ in parts))
            yield Entry(row[identifier], labels, split, None, None, duration)
    if bad:
        raise DataError(f"{table.path}: rows that can't be read: {first_few(bad)}.")


def _read_action(text: str) -> tuple[int, float, float]:
    words = text.split()
    if len(words) != 3 or class_of(words[0]) < 0:
        raise ValueError(f"action {text.strip()[:30]!r}")
    return class_of(words[0]), seconds(words[1]), seconds(words[2])
