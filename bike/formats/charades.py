"""Charades' CSVs with an ``actions`` column: parts of videos for training, whole videos for testing."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bike.errors import DataError, first_few
from bike.files.names import split_of_name, video_keys
from bike.files.tables import read_table, seconds
from bike.records import Sample, moved_inside


class CharadesRow(NamedTuple):
    """A part of a video, or a whole one.

    Attributes:
        video: its id, which is the name of its file.
        labels: class integers; empty for a video that shows none.
        start_seconds, end_seconds: the part meant; both None for the whole video.
        seconds: the video's length as the annotation states it, 0 where it does not.
    """

    video: str
    labels: tuple[int, ...]
    start_seconds: float | None
    end_seconds: float | None
    seconds: float


def read_charades_rows(path: Path | str, *, parts: bool) -> Iterator[CharadesRow]:
    """Read ``Charades_v1_train.csv`` or ``Charades_v1_test.csv``, in which an action reads ``c092 11.90 21.20``.

    Args:
        path: a CSV with columns ``id``, ``actions`` and ``length``.
        parts: one row for each action, with its times; otherwise one for each video, with all its classes.

    Raises:
        DataError: a column is missing, or rows have bad values; the first ten are named.
    """
    bad = []
    for line, video, actions, length in read_table(path, ("id", "actions", "length"), exact=True).itertuples(name=None):
        try:
            duration = seconds(length or "0")
            shown = [_read_action(text) for text in actions.split(";") if text.strip()]
            if not video:
                raise ValueError("no id")
        except ValueError as error:
            bad.append(f"line {line} ({str(error)[:60]})")
            continue
        if parts and shown:
            yield from (CharadesRow(video, (label,), start, end, duration) for label, start, end in shown)
        else:
            yield CharadesRow(video, tuple(dict.fromkeys(label for label, _, _ in shown)), None, None, duration)
    if bad:
        raise DataError(f"{path}: rows that can't be read: {first_few(bad)}.")


def _read_action(text: str) -> tuple[int, float, float]:
    words = text.split()
    code = re.fullmatch(r"c(\d{1,6})", words[0], re.ASCII) if len(words) == 3 else None
    if code is None:
        raise ValueError(f"action {text.strip()[:30]!r}")
    return int(code[1]), seconds(words[1]), seconds(words[2])


def read_charades_samples(path: Path | str) -> list[Sample]:
    """The samples that ``bike annotate charades`` makes of a file where it does not look at the videos.

    Of the file whose name says ``train`` a sample is a part of a video, with its times moved into the length that the
    annotation states, and videos without an action are left out.

    Raises:
        DataError: see :func:`read_charades_rows`; or the same video or part twice.
    """
    parts = split_of_name(Path(path).stem) == "train"
    rows = list(read_charades_rows(path, parts=parts))
    ids = list(dict.fromkeys(row.video for row in rows))
    keys = dict(zip(ids, video_keys(ids), strict=True))
    numbers: Counter[str] = Counter()
    seen: set[object] = set()
    samples = []
    for row in rows:
        key = keys[row.video]
        identity = row.video if row.start_seconds is None else row[:4]
        if identity in seen:
            raise DataError(f"{path}: {row.video} is listed more than once. Keep one line of it.")
        seen.add(identity)
        if row.start_seconds is not None and row.end_seconds is not None:
            numbers[key] += 1
            times = moved_inside(row.start_seconds, row.end_seconds, row.seconds or math.inf)
            samples.append(Sample(f"{key}-{numbers[key]}", key, row.video, row.labels, 0, *times))
        elif row.labels or not parts:
            samples.append(Sample(key, key, row.video, row.labels, 0))
    return samples
