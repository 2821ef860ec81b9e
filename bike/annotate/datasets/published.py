"""Lists as published repositories have them: ``<dir> <frames> <label>`` or ``<file> <label>``."""

from __future__ import annotations

from pathlib import Path

from bike.annotate.entries import Annotations, Entry, ReadOptions
from bike.annotate.reading import find_files
from bike.errors import DataError
from bike.files import existing_dir
from bike.files.names import split_of_name
from bike.formats.lists import ends_in_number, read_rows
from bike.records import read_class_file


def read_published(source: Path, options: ReadOptions) -> Annotations:
    """Read published lists: one file, or the ``.txt`` files in a folder whose names say train, val or test.

    Class names come from ``options.labels`` or the CSV in the folder whose name has ``label`` in it.

    Raises:
        DataError: no list, two lists for one split, or lines that can't be read.
    """
    if source.is_file():
        lists = {split_of_name(source.stem) or options.default_split: source}
        folder = source.parent
    else:
        folder = existing_dir(source)
        lists = {}
        for path in find_files(folder, ("*.txt",)):
            split = split_of_name(path.stem)
            if split in lists:
                raise DataError(
                    f"{path}: a second {split} list beside {lists[split].name}. Give one file as the source."
                )
            if split:
                lists[split] = path
        if not lists:
            raise DataError(f"{source}: no .txt list whose name says train, val or test. Give a list file.")
    # No names (an empty list, not None, which would take them from the labels) makes every label a finding.
    labels = find_files(folder, ("*label*.csv",))
    classes, readable = (
        read_class_file(labels[0], first=options.first_id) if labels and options.labels is None else ([], None)
    )
    entries, notes = [], []
    for split, path in lists.items():
        rows = read_rows(path, options.layout)
        entries += [Entry(row.path, row.labels, split, frames=row.frames) for row in rows]
        numbered = [row.path for row in rows if options.layout == "auto" and ends_in_number(row.path)]
        if numbered:
            notes.append(
                f"{path.name}: names that end in a number: {len(numbered)}, such as {numbered[0]!r}. "
                "Where that is a label, give --layout labels."
            )
    return Annotations({"": entries}, classes, readable, notes=notes)
