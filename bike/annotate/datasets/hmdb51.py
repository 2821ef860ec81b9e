"""HMDB-51: ``<class>_test_split{1,2,3}.txt`` with a flag for each video."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from bike.annotate.entries import Annotations, Entry, ReadOptions, chosen_folds
from bike.annotate.reading import find_files
from bike.errors import DataError, first_few
from bike.files import read_lines
from bike.files.names import clean_class_name, tidy_path

SPLIT_OF_FLAG = {"0": "", "1": "train", "2": "test"}


def read_hmdb51(source: Path, options: ReadOptions) -> Annotations:
    """Read the official split files. Classes come in alphabetical order; flag 0 means unused in this split.

    ``options.splits`` may say what a flag means: ``0=test, 1=test, 2=test`` makes one list of all videos.

    Raises:
        DataError: no split files, one of them missing, or lines that can't be read.
    """
    files = {path.name: path for path in find_files(source, ("*_test_split[123].txt",))}
    names = sorted({re.sub(r"_test_split[123]\.txt$", "", name) for name in files})
    if not names:
        raise DataError(f"{source}: no <class>_test_split1.txt. Give the folder of the official split files.")
    flags = {**SPLIT_OF_FLAG, **options.splits}
    folds: dict[str, list[Entry]] = {}
    missing = []
    for fold, number in chosen_folds(options):
        # Without any of its files a split was not downloaded; with some of them the folder is damaged.
        paths = {name: files.get(f"{name}_test_split{number}.txt") for name in names}
        if not any(paths.values()) and not options.fold:
            continue
        missing += [f"{name}_test_split{number}.txt" for name, path in paths.items() if path is None]
        folds[fold] = [entry for name, path in paths.items() if path for entry in _read_split(path, name, flags)]
    if missing:
        raise DataError(f"{source}: split files are missing: {first_few(missing)}. Complete the folder.")
    return Annotations(folds, [clean_class_name(name, str(source)) for name in names], by_name=True)


def _read_split(path: Path, label: str, flags: Mapping[str, str]) -> list[Entry]:
    entries, bad = [], []
    for line, text in read_lines(path):
        name, _, flag = text.rpartition(" ")
        if name.strip() and flag in flags:
            entries.append(Entry(tidy_path(f"{label}/{name.strip()}"), (label,), flags[flag]))
        else:
            bad.append(f"line {line}")
    if bad:
        raise DataError(f"{path}: `<video> <0, 1 or 2>` is needed: {first_few(bad)}. Download the file again.")
    return entries
