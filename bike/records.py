"""The records that stages hand to each other in CSV files: manifest rows, list rows, class names."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from bike.errors import DataError, first_few
from bike.files import atomic_write, csv_writer, existing_file


@dataclass(frozen=True, slots=True)
class VideoRecord:
    """A row of ``manifest.csv``: what became of one source video. Rejected videos keep their row and a reason.

    Attributes:
        key: name of the frame pack without ``.mjpg``; letters, digits, ``_`` and ``-``.
        path: source path relative to the source folder (undecodable bytes kept as surrogates).
        status: ``ok`` or ``rejected``.
        frames: frames in the pack (what decoded, not what the header claims).
        fps: frames per second of the pack.
        width, height: pixels of the stored frames.
        seconds: duration, frames / fps.
        bytes: size of the frame pack.
        error: reason of a rejection, otherwise empty (or a remark on a video kept in part).
    """

    key: str
    path: str
    status: str
    frames: int = 0
    fps: float = 0.0
    width: int = 0
    height: int = 0
    seconds: float = 0.0
    bytes: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """A row of a list CSV: one thing to train on or to score.

    Attributes:
        key: unique in the list; the video's key, or ``<video key>-<number>`` for a trimmed instance.
        video: key of the frame pack.
        path: source path of the video, for people.
        labels: class integers; one for single-label data sets, any number (none, too) for multi-label ones.
        frames: frames of the whole pack.
        start_seconds, end_seconds: the part of the video meant; both None for the whole video.
    """

    key: str
    video: str
    path: str
    labels: tuple[int, ...]
    frames: int
    start_seconds: float | None = None
    end_seconds: float | None = None


KEY = re.compile(r"[A-Za-z0-9_-]{1,200}", re.ASCII)
MANIFEST_COLUMNS = tuple(field.name for field in fields(VideoRecord))
LIST_COLUMNS = ("key", "video", "path", "label", "frames", "start_seconds", "end_seconds")


def _rows(path: Path | str, needed: Sequence[str], others: Sequence[str] = ()) -> Iterator[tuple[int, list[str]]]:
    """Line number and values of each row, in the order of ``needed`` and ``others``; what is not there is empty."""
    try:
        with existing_file(path).open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            missing = [name for name in needed if name not in header]
            if missing:
                raise DataError(f"{path}: column {missing[0]!r} is missing (columns needed: {', '.join(needed)}).")
            width = len(header)
            # The place behind the last column is always empty.
            places = [header.index(name) if name in header else width for name in (*needed, *others)]
            enough = max(places[: len(needed)]) + 1
            for row in reader:
                if len(row) < enough:
                    if not row:
                        continue
                    raise DataError(f"{path}: line {reader.line_num} ends before column {needed[-1]!r}. Complete it.")
                if len(row) != width:
                    row = [*row[:width], *[""] * (width - len(row))]
                row.append("")
                yield reader.line_num, [row[place] for place in places]
    except csv.Error as error:
        raise DataError(f"{path}: not a CSV file ({error}).") from error


def write_manifest(path: Path | str, records: Iterable[VideoRecord]) -> None:
    """Write ``manifest.csv`` atomically, in the order given."""
    with atomic_write(path, "w") as file:
        writer = csv_writer(file)
        writer.writerow(MANIFEST_COLUMNS)
        writer.writerows([getattr(record, name) for name in MANIFEST_COLUMNS] for record in records)


def read_manifest(path: Path | str) -> list[VideoRecord]:
    """Read ``manifest.csv``.

    Raises:
        DataError: missing columns, or rows with bad values (the first ten are named).
    """
    records, bad = [], []
    needed, others = ("key", "path", "status", "frames"), ("fps", "width", "height", "seconds", "bytes", "error")
    for line, (key, source, status, frames, fps, width, height, seconds, size, error) in _rows(path, needed, others):
        try:
            rate = float(fps or 0)
            if not KEY.fullmatch(key) or not 0 <= rate < math.inf or not 0 <= int(frames or 0) < 1 << 31:
                raise ValueError
            records.append(
                VideoRecord(
                    key,
                    source,
                    status,
                    int(frames or 0),
                    rate,
                    int(width or 0),
                    int(height or 0),
                    float(seconds or 0),
                    int(size or 0),
                    error,
                )
            )
        except ValueError:
            bad.append(f"line {line}")
    if bad:
        raise DataError(f"{path}: rows with a value out of range, or a key that is none: {first_few(bad)}.")
    return records


def write_list(path: Path | str, samples: Iterable[Sample]) -> None:
    """Write a list CSV atomically, in the order given. Several labels are separated by blanks."""
    with atomic_write(path, "w") as file:
        writer = csv_writer(file)
        writer.writerow(LIST_COLUMNS)
        writer.writerows(
            (
                sample.key,
                sample.video,
                sample.path,
                " ".join(map(str, sample.labels)),
                sample.frames,
                "" if sample.start_seconds is None else repr(float(sample.start_seconds)),
                "" if sample.end_seconds is None else repr(float(sample.end_seconds)),
            )
            for sample in samples
        )


def read_list(path: Path | str) -> list[Sample]:
    """Read a list CSV written by ``bike annotate``.

    Raises:
        DataError: missing columns, rows with bad values, or keys that stand twice (the first ten are named).
    """
    samples: list[Sample] = []
    bad: list[str] = []
    seen: set[str] = set()
    others = ("video", "path", "start_seconds", "end_seconds")
    for line, (key, words, frames, video, source, start, end) in _rows(path, ("key", "label", "frames"), others):
        try:
            if key in seen or not KEY.fullmatch(key) or not KEY.fullmatch(video or key):
                raise ValueError
            seen.add(key)
            labels = tuple(map(int, words.split()))
            if any(label < 0 for label in labels):
                raise ValueError
            times = [float(text) if text else None for text in (start, end)]
            if (start or end) and not _is_span(*times):
                raise ValueError
            samples.append(Sample(key, video or key, source or key, labels, int(frames), *times))
        except ValueError:
            bad.append(f"line {line}")
    if bad:
        raise DataError(f"{path}: rows with a bad value, or a key that is none or stands twice: {first_few(bad)}.")
    return samples


def write_labels(path: Path | str, names: Sequence[str]) -> None:
    """Write class names as ``id,name``, ids counted from 0."""
    with atomic_write(path, "w") as file:
        writer = csv_writer(file)
        writer.writerow(("id", "name"))
        writer.writerows(enumerate(names))


def _is_span(start: float | None, end: float | None) -> bool:
    """Whether two times can be the start and end of a part of a video."""
    first, last = 0.0 if start is None else start, math.inf if end is None else end
    return math.isfinite(first) and (end is None or math.isfinite(last)) and first <= last


def labels_of(listing: Path, labels: Path | None) -> Path:
    """The file of class names: ``labels``, or ``labels.csv`` beside the list where that is left out.

    Raises:
        DataError: it is left out, and there is none.
    """
    path = listing.parent / "labels.csv" if labels is None else labels
    if labels is None and not path.is_file():
        raise DataError(f"{listing}: no labels.csv beside it. Name the file of class names with --labels.")
    return path


def read_labels(path: Path | str, column: Literal["name", "published"] = "name") -> list[str]:
    """Class names in order of their id, from a CSV ``id,name`` or ``id,name,published``.

    Args:
        path: the CSV.
        column: ``name`` for the words of prompts, ``published`` for the spelling of the data set's own files; a file
            or row without that spelling gives the name.

    Raises:
        DataError: the ids are not 0, 1, 2, …, or a name is empty.
    """
    pairs: dict[int, str] = {}
    for line, (number, name, spelling) in _rows(path, ("id", "name"), (column,)):
        try:
            pairs[int(number)] = (spelling or name).strip()
        except ValueError:
            raise DataError(f"{path}: line {line}: an id and a name are needed (got {number!r}, {name!r}).") from None
    if sorted(pairs) != list(range(len(pairs))) or not all(pairs.values()):
        raise DataError(f"{path}: ids must run from 0 without a gap or repetition, each with a name.")
    if not pairs:
        raise DataError(f"{path}: no class names. Write one line `id,name` for each class.")
    return [pairs[index] for index in range(len(pairs))]


def instance_range(num_frames: int, fps: float, start_seconds: float | None, end_seconds: float | None) -> range:
    """Frames of a video shown at any moment between two times.

    Args:
        num_frames: frames of the whole video, at least 1.
        fps: its frames per second, above 0.
        start_seconds, end_seconds: the part meant; None for the video's own start or end. Times outside the video are
            moved to its nearest end.

    Returns:
        A range inside ``range(num_frames)`` with at least one frame, even where the times leave none.

    Raises:
        ValueError: no frames, a rate that is not above 0, or a time that is not a number.
    """
    if num_frames < 1:
        raise ValueError(f"num_frames must be at least 1 (got {num_frames}).")
    start = 0.0 if start_seconds is None else start_seconds
    end = math.inf if end_seconds is None else end_seconds
    if not fps > 0 or math.isnan(start) or math.isnan(end):
        raise ValueError(f"fps must be above 0 and times must be numbers (got {fps}, {start_seconds}, {end_seconds}).")
    # Rounded first, so that 0.1 s at 30 fps is frame 3 and not a hair more.
    first = math.floor(round(min(max(start * fps, 0.0), num_frames - 1.0), 6))
    stop = math.ceil(round(min(max(end * fps, 0.0), float(num_frames)), 6))
    return range(first, max(first + 1, stop))
