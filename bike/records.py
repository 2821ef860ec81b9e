"""The records that stages hand to each other in CSV files: manifest rows, list rows, class names."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from pathlib import Path
from typing import Literal

from bike.errors import DataError, first_few, one_line
from bike.files import read_lines
from bike.files.columns import check_unread
from bike.files.names import names_by_id, without_ids
from bike.files.tables import header_words, read_table, write_table


# Not frozen, as nothing changes them: that alone would take seconds for the rows of a large data set.
@dataclass(slots=True, unsafe_hash=True)
class VideoRecord:
    """A row of ``manifest.csv``: what became of one source video. Rejected videos keep their row and a reason.

    Attributes:
        key: name of the frame pack without ``.mjpg``; letters, digits, ``_`` and ``-``.
        path: source path relative to the source folder (undecodable bytes kept as surrogates).
        status: ``ok`` or ``rejected``.
        frames: frames of the video (what decoded, not what the header claims).
        fps: frames per second of the video.
        width, height: pixels of the stored frames.
        seconds: duration, frames / fps.
        bytes: size of the frame pack.
        error: reason of a rejection; of an accepted video a remark (kept in part, which track), mostly empty.
        source_sha256: of the source video's bytes; empty where they were not read, and in manifests before this column.
        frames_sha256: of all JPEGs end to end, which is the frame pack; empty as above.
        picture_hash: what the video looks like, 64 hexadecimal digits (:class:`bike.extract.looks.Looks`); of videos
            that look alike few of the 256 bits differ. Empty as above, and of a rejected video.
        kept: numbers of the stored frames, parted by blanks (:mod:`bike.formats.kept`); empty where all are.
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
    source_sha256: str = ""
    frames_sha256: str = ""
    picture_hash: str = ""
    kept: str = ""

    @property
    def num_kept(self) -> int:
        """Frames in the pack."""
        return self.kept.count(" ") + 1 if self.kept else self.frames


@dataclass(slots=True, unsafe_hash=True)
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


_IDS = re.compile(r"\s*\d{1,9}(?:\.0*)?(?:(?:\s*,\s*|\s+)\d{1,9}(?:\.0*)?)*\s*", re.ASCII)
_ID = re.compile(r"(\d+)(?:\.0*)?", re.ASCII)
# Files of packs and members of tars are named by keys: nothing in them can lead out of a folder.
KEY = re.compile(r"[A-Za-z0-9_-]{1,200}", re.ASCII)
MANIFEST_COLUMNS = tuple(field.name for field in fields(VideoRecord))
LIST_COLUMNS = ("key", "video", "path", "label", "frames", "start_seconds", "end_seconds")


def write_manifest(path: Path | str, records: Iterable[VideoRecord]) -> None:
    """Write ``manifest.csv`` atomically, in the order given; ``kept`` is a column where some video has it."""
    rows = list(records)
    columns = MANIFEST_COLUMNS if any(row.kept for row in rows) else MANIFEST_COLUMNS[:-1]
    write_table(path, columns, map(attrgetter(*columns), rows))


def read_manifest(path: Path | str) -> list[VideoRecord]:
    """Read ``manifest.csv``.

    Raises:
        DataError: missing columns, or rows with bad values (the first ten are named).
    """
    records, bad = [], []
    table = read_table(path, MANIFEST_COLUMNS[:4], MANIFEST_COLUMNS[4:])
    for line, key, source, status, frames, fps, width, height, seconds, size, *texts in table.itertuples(name=None):
        try:
            count, rate = int(frames or 0), float(fps or 0)  # rejected videos have empty fields
            if not KEY.fullmatch(key) or not 0 <= rate < math.inf or not 0 <= count < 1 << 31:
                raise ValueError
            numbers = int(width or 0), int(height or 0), float(seconds or 0), int(size or 0)
            records.append(VideoRecord(key, source, status, count, rate, *numbers, *texts))
        except ValueError:
            bad.append(f"line {line}")
    if bad:
        raise DataError(f"{path}: rows with a bad key or a value out of range: {first_few(bad)}.")
    return records


def write_list(path: Path | str, samples: Iterable[Sample]) -> None:
    """Write a list CSV atomically, in the order given. Several labels are separated by blanks."""
    rows = (
        (
            sample.key,
            sample.video,
            sample.path,
            " ".join(map(str, sample.labels)),
            sample.frames,
            # As floats, so that whole seconds of an integer look the same: 5.0, never 5.
            None if sample.start_seconds is None else float(sample.start_seconds),
            None if sample.end_seconds is None else float(sample.end_seconds),
        )
        for sample in samples
    )
    write_table(path, LIST_COLUMNS, rows)


def read_list(path: Path | str) -> list[Sample]:
    """Read a list CSV written by ``bike annotate``.

    Raises:
        DataError: missing columns, rows with bad values, or duplicate keys (the first ten are named).
    """
    check_unread(path, LIST_COLUMNS)
    samples: list[Sample] = []
    bad: list[str] = []
    seen: set[str] = set()
    table = read_table(path, ("key", "label", "frames"), ("video", "path", "start_seconds", "end_seconds"))
    for line, key, words, frames, video, source, start, end in table.itertuples(name=None):
        try:
            labels = label_ids(words)
            if labels is None or key in seen or not KEY.fullmatch(key) or not KEY.fullmatch(video or key):
                raise ValueError
            seen.add(key)
            first, last = (float(text) if text else None for text in (start, end))
            # Comparisons with NaN are false, so each is written to be true for what is allowed.
            if first is not None and not -math.inf < first < math.inf:
                raise ValueError
            if last is not None and not (first or 0.0) <= last < math.inf:
                raise ValueError
            if not 0 <= int(frames) < 1 << 31:
                raise ValueError
            samples.append(Sample(key, video or key, source or key, labels, int(frames), first, last))
        except ValueError:
            bad.append(f"line {line}")
    if bad:
        raise DataError(f"{path}: rows with a bad value, a bad key or a duplicate key: {first_few(bad)}.")
    return samples


def label_ids(text: str) -> tuple[int, ...] | None:
    """Class integers as they stand in a list: ``3``, ``3,7`` or ``3 7``; ``-1`` or nothing for no label.

    Of floats, whole numbers are integers: pandas writes ``3.0`` where another row has no label.

    Returns:
        The integers; None for other text, or a number of ten digits and more.
    """
    if _IDS.fullmatch(text):
        return tuple(map(int, _ID.findall(text)))
    return () if text.strip() in ("", "-1", "-1.0") else None


def write_labels(path: Path | str, names: Sequence[str]) -> None:
    """Write class names as ``id,name``, ids counted from 0."""
    write_table(path, ("id", "name"), enumerate(names))


def labels_of(listing: Path, labels: Path | None) -> Path:
    """The file of class names: ``labels``, or ``labels.csv`` beside the list where that is left out.

    Raises:
        DataError: it is left out, and there is none.
    """
    path = listing.parent / "labels.csv" if labels is None else labels
    if labels is None and not path.is_file():
        raise DataError(f"{listing}: no labels.csv beside it. Name the file of class names with --labels.")
    return path


def read_labels(path: Path | str, column: Literal["name", "published"] = "name", *, first: int = 0) -> list[str]:
    """Class names in order of their id, from a CSV ``id,name`` or ``id,name,published``, or one name a line.

    Args:
        path: the file.
        column: ``name`` for the words of prompts, ``published`` for the spelling of the data set's own files; a file
            or row without that spelling gives the name.
        first: the lowest id.

    Raises:
        DataError: ids with a gap or repetition, a name that is empty or there twice, or no names at all.
    """
    published, readable = read_class_file(path, first=first)
    return published if column == "published" or readable is None else readable


def read_class_file(path: Path | str, *, first: int = 0) -> tuple[list[str], list[str] | None]:
    """Published class names as :func:`read_labels`, and names for prompts where the file has both."""
    columns = header_words(path)
    if not {"id", "name"} <= set(columns):
        if Path(path).suffix.lower() == ".csv" and len(columns) > 1:
            raise DataError(f"{path}: columns id and name are needed. A list of names alone is a .txt, one a line.")
        lines = enumerate(without_ids(read_lines(path), path), first)
        rows = ((f"line {line}", str(index), text) for index, (line, text) in lines)
        return names_by_id(rows, path, first=first), None
    table = read_table(path, ("id", "name"), ("published",), exact=True)
    full = [(f"line {line}", *row) for line, *row in table.itertuples(name=None)]
    names = names_by_id(((where, number, name) for where, number, name, _ in full), path, first=first)
    if "published" not in columns:
        return names, None
    own = names_by_id(((where, number, other or name) for where, number, name, other in full), path, first=first)
    return own, names


def other_class(ours: Sequence[str], theirs: Sequence[str]) -> str:
    """Where two lists of class names differ first, in words; an empty text where they are equal.

    Example:
        ``["run", "walk"]`` and ``["walk", "run"]`` give ``class 0 is 'run' and 'walk' (2 of 2 places differ; the same
        names in another order)``.
    """
    places = [label for label, (one, other) in enumerate(zip(ours, theirs, strict=False)) if one != other]
    if not places:
        return "" if len(ours) == len(theirs) else f"{len(ours)} and {len(theirs)} classes"
    first = places[0]
    order = "; the same names in another order" if sorted(ours) == sorted(theirs) else ""
    one, other = (f"{one_line(names[first])[:80]!r}" for names in (ours, theirs))
    return f"class {first} is {one} and {other} ({len(places)} of {len(ours)} places differ{order})"


def contradiction(sample: Sample, num_frames: int, fps: float) -> str:
    """What of a list's row the frames of its video contradict, in words; an empty text where all is true.

    Args:
        sample: its ``frames`` must be the video's, 0 says nothing; its times may reach a frame past the end, since
            annotated times are rounded.
        num_frames: of the video.
        fps: their number per second; 0 when not known, which no time contradicts.
    """
    if sample.frames not in (0, num_frames):
        return f"{sample.frames} frames in the list, {num_frames} are there"
    last = max(sample.start_seconds or 0.0, sample.end_seconds or 0.0)
    if fps > 0 and last > (num_frames + 1) / fps:
        return f"trimmed at {last:g} s, past its end ({num_frames / fps:.2f} s)"
    return ""


def moved_inside(start: float, end: float, length: float) -> tuple[float, float]:
    """Times in seconds, moved into a video of that length; the end not before the start."""
    start = min(max(start, 0.0), length)
    return start, max(min(end, length), start)


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
