"""Charades: CSVs with an ``actions`` column; parts of videos for training, multi-label whole videos for testing."""

from __future__ import annotations

from pathlib import Path

from bike.annotate.entries import Annotations, Entry, ReadOptions
from bike.annotate.reading import find_annotation, find_files
from bike.errors import DataError
from bike.files import existing_dir
from bike.formats.charades import read_charades_rows
from bike.records import read_class_file

FPS = 24.0  # of the frames that the data set's authors publish


def read_charades(source: Path, options: ReadOptions) -> Annotations:
    """Read ``Charades_v1_{train,test}.csv`` and ``Charades_v1_classes.txt``. Files are named by the id.

    Training has one entry for each action; a test video is one entry with all its classes, or with none.

    Raises:
        DataError: a file is missing, or rows have bad values; the first ten are named.
    """
    classes = find_annotation(existing_dir(source), ("Charades_v1_classes.txt", "*classes.txt"), "Charades class list")
    entries = [
        Entry(row.video, row.labels, split, row.start_seconds, row.end_seconds, row.seconds)
        for split in ("train", "test")
        for path in find_files(source, (f"Charades*_{split}.csv",))[:1]
        for row in read_charades_rows(path, parts=split == "train")
    ]
    if not entries:
        raise DataError(f"{source}: no Charades_v1_train.csv or Charades_v1_test.csv. Give the annotation's folder.")
    return Annotations({"": entries}, read_class_file(classes)[0], by_name=True, fold_names=False, fps=FPS)
