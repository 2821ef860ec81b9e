"""Kinetics-400, -600 and -700: CSVs ``label,youtube_id,time_start,time_end,split``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bike.annotate.entries import Annotations, Entry, ReadOptions, split_of, split_of_name
from bike.annotate.reading import Table, find_files
from bike.errors import DataError, first_few, one_line
from bike.files.names import clean_class_name
from bike.records import read_class_file

SIZES = (400, 600, 700)


def read_kinetics(source: Path, options: ReadOptions, size: int) -> Annotations:
    """Read every annotation CSV in ``source`` (those named after another Kinetics are skipped).

    Videos are named ``<youtube id>_<start, 6 digits>_<end, 6 digits>``, or by the id alone. Class ids follow
    ``label_map_k<size>.txt`` or ``kinetics_<size>_labels.csv`` where ``source`` has it, otherwise the alphabet.

    Raises:
        DataError: no such CSV, or rows with bad values; the first ten are named.
    """
    tables = _find_tables(source, size)
    names = (f"label_map_k{size}.txt", f"kinetics_{size}_labels.csv", f"kinetics{size}_labels.csv", "label_map.txt")
    labels = find_files(source, (*names, "labels.csv")) if source.is_dir() else []
    classes, readable = read_class_file(labels[0]) if labels else (None, None)
    entries = [entry for table in tables for entry in _read_table(table, options)]
    notes = []
    if classes is None:
        classes = sorted({str(label) for entry in entries for label in entry.labels})
        if len(classes) != size and options.labels is None:
            notes.append(
                f"{len(classes)} class names in the CSVs, Kinetics-{size} has {size}: ids follow the names found. "
                f"Put label_map_k{size}.txt beside them for the official ids."
            )
    return Annotations({"": entries}, classes, readable, by_name=True, fold_names=False, notes=notes)


def _find_tables(source: Path, size: int) -> list[Table]:
    paths = [source] if source.is_file() else find_files(source, ("*.csv",))
    others = [str(other) for other in SIZES if other != size]
    tables = []
    for path in paths:
        if str(size) not in path.name and any(other in path.name for other in others):
            continue
        # Class lists beside the annotation may be CSVs too; the header shows which is which.
        table = Table(path)
        if table.find(["youtube_id"]) >= 0:
            tables.append(table)
    if not tables:
        raise DataError(f"{source}: no CSV with a youtube_id column for Kinetics-{size}. Give the annotation's folder.")
    return tables


def _read_table(table: Table, options: ReadOptions) -> Iterable[Entry]:
    identifier, start, end = (table.index(name) for name in ("youtube_id", "time_start", "time_end"))
    label, split = table.find(["label"]), table.find(["split"])
    word = split_of_name(table.path.stem)
    of_file = split_of(word, options) if word else options.default_split
    # Hundreds of thousands of rows have a few splits and 700 labels at most: each is worked out once.
    splits: dict[str, str | None] = {}
    labels: dict[str, tuple[str, ...]] = {"": ()}
    bad = []
    for line, row in table.rows():
        value = row[split] if split >= 0 else ""
        if value not in splits:
            splits[value] = split_of(value, options) if value.strip() else of_file
        name = row[label] if label >= 0 else ""
        if name not in labels:
            labels[name] = (clean_class_name(name, f"{table.path}: line {line}"),)
        try:
            first, last = int(float(row[start])), int(float(row[end]))
            where = splits[value]
            if where is None or first < 0 or last < 0 or not row[identifier]:
                raise ValueError(value)
        except (ValueError, OverflowError):
            bad.append(f"line {line} ({one_line(','.join(row))[:80]})")
            continue
        video = row[identifier]
        yield Entry(f"{video}_{first:06d}_{last:06d}", labels[name], where, None, None, 0.0, (video,))
    if bad:
        raise DataError(f"{table.path}: rows with a bad id, time or split: {first_few(bad)}.")
