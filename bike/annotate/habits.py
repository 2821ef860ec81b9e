"""Habits of those who annotate: class ids that count from 1, and paths as Windows has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bike.annotate.entries import Annotations, Entry
from bike.errors import DataError
from bike.files.names import split_extension, tidy_path
from bike.records import VideoRecord


def count_from_zero(annotations: Annotations, first: int, source: Path, *, stop: bool) -> None:
    """Take ``first`` from every integer label, so that ids count from 0.

    Where ``first`` is 0, ids that seem to count from 1 are an error with ``stop``, and otherwise a note: class 0 has
    neither a name nor a label and all others have, or the highest label is just past the class names.

    Raises:
        DataError: see above; or a label is below ``first``.
    """
    ids = {label for entry in _entries(annotations) for label in entry.labels if isinstance(label, int)}
    names = annotations.classes
    if not ids:
        return
    if first == 0:
        unnamed = names and not names[0] and len(names) > 1 and all(names[1:])
        if names and min(ids) == 1 and (unnamed or max(ids) == len(names)):
            problem = "class ids start at 1. Give --first-id 1"
            if stop:
                raise DataError(f"{source}: {problem}, or number them from 0.")
            annotations.notes.append(f"{problem}, unless class 0 has no videos here.")
        return
    if min(ids) < first:
        raise DataError(f"{source}: has class {min(ids)}, so ids do not start at {first}. Omit --first-id.")
    for entry in _entries(annotations):
        entry.labels = tuple(label - first if isinstance(label, int) else label for label in entry.labels)
    if names and not names[0]:  # as the table numbered them
        annotations.classes = names[first:]


def from_windows(annotations: Annotations, records: Sequence[VideoRecord]) -> None:
    """Read ``jump\\\\a.mp4`` as ``jump/a.mp4``, unless a video has a backslash in its name; a note says so."""
    entries = [entry for entry in _entries(annotations) if "\\" in entry.path]
    names = [name for record in records if "\\" in record.path for name in (record.path, record.path.split("/")[-1])]
    known = {*names, *map(split_extension, names)}
    turned = [entry for entry in entries if entry.path not in known]
    for entry in turned:
        entry.path = tidy_path(entry.path.replace("\\", "/"))
    if turned:
        annotations.notes.append(f"{len(turned)} paths are written as Windows has them; \\ is read as /.")


def _entries(annotations: Annotations) -> Iterator[Entry]:
    return (entry for fold in annotations.folds.values() for entry in fold)
