"""Lists as published repositories have them: ``<dir> <frames> <label>`` or ``<file> <label>``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bike.annotate.classes import read_class_file
from bike.annotate.entries import Annotations, Entry, ReadOptions, split_of_name, tidy_path
from bike.annotate.media import split_extension
from bike.annotate.reading import find_files, read_lines
from bike.errors import DataError, first_few
from bike.files import existing_dir, video_keys
from bike.records import Sample


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
    labels = find_files(folder, ("*label*.csv",))
    classes, readable = read_class_file(labels[0]) if labels and options.labels is None else ([], None)
    entries = [entry for split, path in lists.items() for entry in read_entries(path, split, options.layout)]
    return Annotations({"": entries}, classes, readable)


def read_published_list(path: Path | str, *, layout: str = "auto") -> list[Sample]:
    """Read one published list as it is, without looking at videos or class names.

    ``Sample.path`` is the folder of frames or the video file relative to the media folder, ``frames`` is 0 for video
    lists, label ``-1`` means none.

    Raises:
        DataError: lines that can't be read; the first ten are named.
    """
    entries = read_entries(Path(path), "train", layout)
    keys = video_keys([entry.path for entry in entries])
    labels = [tuple(label for label in entry.labels if isinstance(label, int)) for entry in entries]
    rows = zip(entries, keys, labels, strict=True)
    return [Sample(key, key, entry.path, ids, entry.frames) for entry, key, ids in rows]


def read_entries(path: Path, split: str, layout: str = "auto") -> list[Entry]:
    """Entries of one published list.

    A line is read from its right end, so that blanks in names do no harm. With ``auto`` the lines are ``frames`` when
    most of the first 1,000 have two integers at the end and no video file before the last one.

    Raises:
        DataError: lines that can't be read; the first ten are named.
    """
    lines = read_lines(path)
    if layout == "auto":
        layout = guess_layout([text for _, text in lines[:1000]])
    entries, bad = [], []
    for line, text in lines:
        words = text.rsplit(None, 2 if layout == "frames" else 1)
        labels = read_label_ids(words[-1])
        if (
            len(words) != (3 if layout == "frames" else 2)
            or labels is None
            or (layout == "frames" and not is_id(words[1]))
        ):
            bad.append(f"line {line}")
            continue
        frames = int(words[1]) if layout == "frames" else 0
        entries.append(Entry(tidy_path(words[0]), labels, split, frames=frames))
    if bad:
        form = "<dir> <frames> <label>" if layout == "frames" else "<file> <label>"
        raise DataError(f"{path}: `{form}` is needed: {first_few(bad)}. Correct them, or name the layout.")
    return entries


def guess_layout(lines: Sequence[str]) -> str:
    """``frames`` or ``videos``, see :func:`read_entries`."""
    frames = 0
    for line in lines:
        words = line.rsplit(None, 2)
        before = line.rsplit(None, 1)[0]
        frames += len(words) == 3 and is_id(words[1]) and split_extension(before) == before
    return "frames" if 2 * frames > len(lines) else "videos"


def read_label_ids(word: str) -> tuple[int, ...] | None:
    """``3`` or ``3,7,12``; ``-1`` for no label; None when it is neither."""
    if word == "-1":
        return ()
    parts = word.split(",")
    return tuple(int(part) for part in parts) if all(is_id(part) for part in parts) else None


def is_id(word: str) -> bool:
    """Whether ``word`` is a plain integer of reasonable length."""
    return word.isascii() and word.isdigit() and len(word) < 10
