"""Kinetics-400, -600 and -700: CSVs ``label,youtube_id,time_start,time_end,split``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bike.annotate.entries import Annotations, Entry, ReadOptions, split_of
from bike.annotate.reading import find_files
from bike.errors import DataError, first_few, one_line
from bike.files.names import clean_class_name, split_of_name
from bike.files.tables import find_column, read_header, read_table
from bike.records import read_class_file

SIZES = (400, 600, 700)


def read_kinetics(source: Path, options: ReadOptions, size: int) -> Annotations:
    """Read every annotation CSV in ``source`` (those named after another Kinetics are skipped).

    Videos are named ``<youtube id>_<start, 6 digits>_<end, 6 digits>``, or by the id alone. Class ids follow
    ``label_map_k<size>.txt`` or ``kinetics_<size>_labels.csv`` where ``source`` has it, otherwise the alphabet.

    Raises:
        DataError: no such CSV, or rows with bad values; the first ten are named.
    """
    paths = _find_tables(source, size)
    names = (f"label_map_k{size}.txt", f"kinetics_{size}_labels.csv", f"kinetics{size}_labels.csv", "label_map.txt")
    labels = find_files(source, (*names, "labels.csv")) if source.is_dir() else []
    classes, readable = read_class_file(labels[0]) if labels else (None, None)
    entries = [entry for path in paths for entry in _read_table(path, options)]
    notes = []
    if classes is None:
        classes = sorted({str(label) for entry in entries for label in entry.labels})
        if len(classes) != size and options.labels is None:
            notes.append(
                f"{len(classes)} class names in the CSVs, Kinetics-{size} has {size}: ids follow the names found. "
                f"Put label_map_k{size}.txt beside them for the official ids."
            )
    return Annotations({"": entries}, classes, readable, by_name=True, fold_names=False, notes=notes)


def _find_tables(source: Path, size: int) -> list[Path]:
    paths = [source] if source.is_file() else find_files(source, ("*.csv",))
    others = [str(other) for other in SIZES if other != size]
    tables = []
    for path in paths:
        if str(size) not in path.name and any(other in path.name for other in others):
            continue
        # Class lists beside the annotation may be CSVs too; the header shows which is which.
        if find_column(read_header(path), ["youtube_id"]) >= 0:
            tables.append(path)
    if not tables:
        raise DataError(f"{source}: no CSV with a youtube_id column for Kinetics-{size}. Give the annotation's folder.")
    return tables


def _read_table(path: Path, options: ReadOptions) -> Iterable[Entry]:
    word = split_of_name(path.stem)
    of_file = split_of(word, options) if word else options.default_split
    # Hundreds of thousands of rows have a few splits and 700 labels at most: each is worked out once.
    splits: dict[str, str | None] = {}
    labels: dict[str, tuple[str, ...]] = {"": ()}
    bad = []
    table = read_table(path, ("youtube_id", "time_start", "time_end"), ("label", "split"), exact=True)
    for line, video, start, end, name, value in table.itertuples(name=None):
        if value not in splits:
            splits[value] = split_of(value, options) if value.strip() else of_file
        if name not in labels:
            labels[name] = (clean_class_name(name, f"{path}: line {line}"),)
        try:
            first, last = int(float(start)), int(float(end))
            split = splits[value]
            if split is None or first < 0 or last < 0 or not video:
                raise ValueError
        except (ValueError, OverflowError):
            bad.append(f"line {line} ({one_line(','.join((video, start, end, value)))[:80]})")
            continue
        yield Entry(f"{video}_{first:06d}_{last:06d}", labels[name], split, None, None, 0.0, (video,))
    if bad:
        raise DataError(f"{path}: rows with a bad id, time or split: {first_few(bad)}.")
