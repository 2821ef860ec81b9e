"""ActivityNet 1.2 and 1.3: one JSON with segments; trimmed instances for training, whole videos for evaluation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bike.annotate.entries import Annotations, Entry, ReadOptions, split_of
from bike.annotate.reading import find_annotation, find_files, read_annotation_json
from bike.errors import DataError, first_few, one_line
from bike.files.names import clean_class_name, is_text
from bike.records import read_class_file

ALPHABETICAL = (
    "class ids are in alphabetical order; those of the published lists come with --labels lists/activitynet/labels.csv."
)


def read_activitynet(source: Path, options: ReadOptions) -> Annotations:
    """Read ``activity_net*.json``. Files are named ``v_<id>`` or ``<id>``.

    Training has one entry for each segment; a validation video is one entry with all its classes in order of
    appearance; testing videos have no labels. Class ids follow ``label_map.txt`` where ``source`` has it, otherwise the
    alphabet.

    Raises:
        DataError: not ActivityNet's layout, or videos with bad values; the first ten are named.
    """
    path = find_annotation(source, ("activity_net*.json", "*.json"), "ActivityNet JSON")
    tree = read_annotation_json(path)
    database = tree.get("database") if isinstance(tree, dict) else None
    if not isinstance(database, dict):
        raise DataError(f"{path}: no `database` of videos in it. Is it ActivityNet's JSON?")
    entries: list[Entry] = []
    bad: list[str] = []
    for name, video in database.items():
        try:
            entries.extend(_read_video(name, video, options, path))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            bad.append(f"{one_line(ascii(name)[:40])} ({type(error).__name__}: {one_line(error)[:60]})")
    if bad:
        raise DataError(f"{path}: videos that can't be read: {first_few(bad)}.")
    labels = find_files(source, ("label_map.txt",)) if source.is_dir() else []
    if labels:
        return Annotations({"": entries}, read_class_file(labels[0])[0], by_name=True, fold_names=False)
    notes = [] if options.labels is not None else [ALPHABETICAL]
    classes = sorted({str(label) for entry in entries for label in entry.labels})
    return Annotations({"": entries}, classes, by_name=True, fold_names=False, notes=notes)


def _read_video(name: str, video: dict[str, Any], options: ReadOptions, path: Path) -> Iterator[Entry]:
    if not name or not is_text(name):
        raise ValueError("a video id is needed")
    split = split_of(str(video["subset"]), options)
    seconds = _seconds(video.get("duration", 0))
    if split is None:
        raise ValueError(f"unknown subset {str(video['subset'])[:20]!r}")
    parts = []
    for item in video.get("annotations", []):
        start, end = (_seconds(time) for time in item["segment"])
        if not isinstance(item["label"], str):
            raise TypeError("a label is not text")
        parts.append((clean_class_name(item["label"], f"{path}: {name[:40]}"), start, end))
    # Training clips are cut out of a video; evaluation sees it whole and counts any of its classes.
    if split == "train" and parts:
        for label, start, end in parts:
            yield Entry(f"v_{name}", (label,), split, start, end, seconds, (name,))
    else:
        labels = tuple(dict.fromkeys(label for label, _, _ in parts))
        yield Entry(f"v_{name}", labels, split, None, None, seconds, (name,))


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{str(value)[:20]!r} is not a time in seconds")
    return float(value)
