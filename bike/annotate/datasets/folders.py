"""A folder for each class, perhaps below a folder for each split."""

from __future__ import annotations

from pathlib import Path

from bike.annotate.entries import SPLIT_WORDS, Annotations, Entry, ReadOptions
from bike.annotate.media import scan_folder
from bike.errors import DataError, first_few
from bike.files import existing_dir
from bike.files.names import clean_class_name, tidy_path
from bike.files.tables import read_table

_SPLITS = frozenset(word for word in SPLIT_WORDS if word.isalpha())  # 1 and 2 are classes here


def read_folders(source: Path, options: ReadOptions) -> Annotations:
    """Take the class from the folder that a video (or a folder of frames) lies in: ``[split/]class/[more/]video.mp4``,
    or ``class/split/[more/]video.mp4``.

    Folders at the top named as splits (``train``, ``val``, ``validation``, ``test`` …) give the split when all are, and
    there are folders below them; so do folders below the classes, when every video lies in one.
    Class names come in alphabetical order, or from ``options.labels``. Where ``source`` is a CSV with a column ``path``
    (``media.csv``), its paths are taken for those of a folder.

    Raises:
        DataError: videos lie in no class folder; the first ten are named.
    """
    frames: dict[str, list[str]] = {}
    if source.is_file():
        videos, note = sorted(map(tidy_path, read_table(source, ["path"])["path"])), ""
    else:
        videos, frames, note = scan_folder(existing_dir(source), follow_links=options.follow_links)
    paths = videos or list(frames)
    tops = {path.split("/")[0].lower() for path in paths}
    has_splits = bool(tops) and tops <= _SPLITS and any(path.count("/") > 1 for path in paths)
    below = [path.split("/")[1].lower() for path in paths if path.count("/") > 1 and not has_splits]
    splits_below = bool(below) and len(below) == len(paths) and set(below) <= _SPLITS
    notes = [note] if note else []
    if not splits_below and (words := sorted(set(below) & _SPLITS)):
        notes.append(f"folders {', '.join(words)} below classes are not taken for splits, since other videos have none")
    entries, stray = [], []
    for path in paths:
        parts = path.split("/")
        if splits_below:
            parts[:2] = parts[1::-1]
        split = SPLIT_WORDS[parts[0].lower()] if has_splits or splits_below else options.default_split
        folders = parts[1:-1] if has_splits or splits_below else parts[:-1]
        if folders:
            entries.append(Entry(path, (clean_class_name(folders[0], f"{source}/{path}"),), split))
        else:
            stray.append(path)
    if stray:
        raise DataError(
            f"{source}: videos outside of class folders: {first_few(stray)}. Put each into its class's folder."
        )
    return Annotations({"": entries}, notes=notes)
