"""UCF-101: ``classInd.txt``, ``trainlist0N.txt``, ``testlist0N.txt``."""

from __future__ import annotations

from pathlib import Path

from bike.annotate.classes import ClassTable
from bike.annotate.entries import Annotations, Entry, ReadOptions, chosen_folds
from bike.annotate.reading import find_annotation
from bike.errors import DataError, first_few
from bike.files import existing_dir, read_lines
from bike.files.names import names_by_id, tidy_path


def read_ucf101(source: Path, options: ReadOptions) -> Annotations:
    """Read the official lists. Class ids are those of ``classInd.txt`` less one; a video's class is its folder.

    ``options.splits`` may put a list elsewhere: ``train=test, test=test`` makes one list of all videos.

    Raises:
        DataError: a line that can't be read, or a class number that contradicts the folder.
    """
    index = find_annotation(existing_dir(source), ("classInd.txt",), "UCF-101 class list")
    rows = ((f"line {line}", *text.partition(" ")[::2]) for line, text in read_lines(index))
    names = names_by_id(rows, index, first=1)
    table = ClassTable(names)
    folds = {}
    notes = []
    for fold, number in chosen_folds(options):
        lists = {split: source / f"{split}list{number:02d}.txt" for split in ("train", "test")}
        present = {split: path for split, path in lists.items() if path.is_file()}
        if present or options.fold:  # of three splits one may be absent; of the one asked for, it is noted
            notes += [f"{path.name} is not there." for path in lists.values() if not path.is_file()]
            folds[fold] = [
                entry
                for split, path in present.items()
                for entry in _read_list(path, options.splits.get(split, split), table)
            ]
    if not any(folds.values()):
        raise DataError(f"{source}: no trainlist0N.txt or testlist0N.txt. Give the folder of the official lists.")
    return Annotations(folds, names, by_name=True, notes=notes)


def _read_list(path: Path, split: str, table: ClassTable) -> list[Entry]:
    entries, bad = [], []
    for line, text in read_lines(path):
        # Train lists say the number, test lists don't; names with blanks in them are taken whole.
        name, _, number = text.rpartition(" ")
        if not (number.isascii() and number.isdigit()):
            name, number = text, ""
        folder, slash, _ = name.rpartition("/")
        label = folder.rpartition("/")[2]
        if not slash or not label:
            bad.append(f"line {line} has no class folder")
        elif number and len(number) < 6 and table.find(label)[0] not in (int(number) - 1, -1):
            bad.append(f"line {line}: class {number} is not {label}")
        else:
            entries.append(Entry(tidy_path(name), (label,), split))
    if bad:
        raise DataError(f"{path}: {first_few(bad)}. `<class>/<video> [<class number>]` is needed.")
    return entries
