"""Lists as people have them: our CSV, an extraction manifest, ``<dir> <frames> <label>`` or ``<file> <label>``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from bike.errors import BikeError, DataError, first_few, one_line
from bike.files import existing_file, read_lines, sha256
from bike.files.columns import LABEL_COLUMNS, PATH_COLUMNS, check_unread
from bike.files.names import is_video, tidy_path, video_keys
from bike.files.tables import find_column, header_words, missing_column, read_table
from bike.formats.charades import read_charades_samples
from bike.progress import log
from bike.records import MANIFEST_COLUMNS, Sample, label_ids, other_class, read_labels, read_list, read_manifest


class PublishedRow(NamedTuple):
    """One line of a published list.

    Attributes:
        path: folder of frames or video file, relative to the media folder; tidied.
        labels: class integers as :func:`bike.records.label_ids`, empty for ``-1``.
        frames: number of frames, 0 where the list states none.
    """

    path: str
    labels: tuple[int, ...]
    frames: int


@dataclass(frozen=True, slots=True)
class Listing:
    """A list with its class names.

    Attributes:
        samples: rows of the list, in its order.
        names: class names by label.
        checksums: SHA-256 of the files read, for fingerprints.
        mismatch: what differs and was allowed to, for the metrics.
    """

    samples: list[Sample]
    names: list[str]
    checksums: dict[str, str]
    mismatch: dict[str, str]


def read_listing(samples_path: Path | str, labels_path: Path | str, *, allowed: Collection[str] = ()) -> Listing:
    """Read a list and its class names.

    Args:
        samples_path: list CSV, or a published-style list of frame folders.
        labels_path: CSV ``id,name``.
        allowed: with ``classes`` in it, the names may be others than those in ``labels.csv`` beside the list.

    Raises:
        DataError: no rows, no labels at all, labels without a name, or names of other classes than the list's own.
    """
    samples, names = load_samples(samples_path), read_labels(labels_path)
    if not samples:
        raise DataError(f"{samples_path}: no rows. Write the list again (`bike annotate`).")
    unnamed = [f"{s.key} has class {max(s.labels)}" for s in samples if s.labels and max(s.labels) >= len(names)]
    if unnamed:
        raise DataError(
            f"{samples_path}: classes without a name in {labels_path} (it has {len(names)}): {first_few(unnamed)}. "
            "Give the labels file that belongs to the list."
        )
    if not any(sample.labels for sample in samples):
        raise DataError(f"{samples_path}: no sample has a label. Use `bike predict` for unlabelled videos.")
    if len(names) == 1:
        log.warning("%s: one class only, so every video is right whatever a model says", labels_path)
    own = Path(samples_path).with_name("labels.csv")
    mismatch, theirs = {}, _labels_beside(own, labels_path)
    if theirs is not None:
        mismatch = check_classes(names, theirs, (labels_path, own), allowed)
    elif text := _told_by_folders(samples, names):
        mismatch = _differ(f"{labels_path} and the folders in {samples_path}: other classes, {text}", allowed)
    return Listing(samples, names, {"list": sha256(samples_path), "labels": sha256(labels_path)}, mismatch)


def _labels_beside(own: Path, chosen: Path | str) -> list[str] | None:
    """The class names beside a list; None where there are none that can be read."""
    if not own.is_file():
        return None
    try:
        return read_labels(own)
    except BikeError as error:
        log.warning("%s So %s is taken without a comparison with it.", error, chosen)
        return None


def check_classes(
    ours: Sequence[str], theirs: Sequence[str], sources: tuple[object, object], allowed: Collection[str]
) -> dict[str, str]:
    """Compare class names by label: an integer means nothing where the names behind it are others.

    Args:
        ours, theirs: names by label; ours may have more at its end, since a class that is added changes no other.
        sources: where the two come from.
        allowed: ``classes`` in it makes a difference a note.

    Returns:
        ``{"classes": …}`` with the note, for ``metrics.json``; empty where all names agree.

    Raises:
        DataError: naming the first class that differs.
    """
    other = other_class(ours[: len(theirs)], theirs)
    return _differ(f"{sources[0]} and {sources[1]}: other classes, {other}", allowed) if other else {}


def _told_by_folders(samples: Sequence[Sample], names: Sequence[str]) -> str:
    """What folders with a class's name say against the labels, as in ``ApplyLipstick/v_1 90 0``; empty for nothing.

    Only where most of such rows are in another class's folder: a few may be.
    """
    labels = {_letters(name): label for label, name in enumerate(names)}
    told = [
        (sample, labels[word])
        for sample in samples
        for word in map(_letters, PurePosixPath(sample.path).parts[:-1])
        if word in labels and sample.labels
    ]
    wrong = [(sample, label) for sample, label in told if label not in sample.labels]
    if 2 * len(wrong) <= len(told):
        return ""
    sample, label = wrong[0]
    shown = f"{one_line(sample.path)[:80]!r} has class {sample.labels[0]} and lies in the folder of class {label}"
    return f"{shown} ({len(wrong)} of {len(told)} rows)"


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name)).casefold()


def _differ(text: str, allowed: Collection[str]) -> dict[str, str]:
    if "classes" not in allowed:
        raise DataError(
            f"{text}. Give the labels file that belongs to both, or allow it: --allow-mismatch classes, or "
            "model.allow_mismatch."
        )
    log.warning("%s (allowed)", text)
    return {"classes": text}


def load_samples(path: Path | str) -> list[Sample]:
    """Samples of a list CSV, of an extraction manifest (accepted videos, no labels), of a published-style list, of
    Charades' own CSVs, or of a CSV with a path and a column of integer labels (and perhaps one of frames).

    Raises:
        DataError: none of these, a bad row, or a column that the list can't be read without
            (:func:`bike.files.columns.check_unread`).
    """
    path = existing_file(path)
    # By its header: a published list has none, whatever its name ends in.
    columns = header_words(path)
    if {"key", "status"} <= set(columns):
        check_unread(path, MANIFEST_COLUMNS)
        accepted = [record for record in read_manifest(path) if record.status == "ok"]
        return [Sample(record.key, record.key, record.path, (), record.frames) for record in accepted]
    if {"key", "label"} <= set(columns):
        return read_list(path)
    if {"id", "actions"} <= set(columns):
        return read_charades_samples(path)
    is_table = find_column(columns, PATH_COLUMNS) >= 0 or (
        {"id", "key", "youtube_id"} & set(columns) and len(columns) > 1
    )
    rows = _read_table(path, columns) if is_table else read_rows(path)
    # No list made here has a backslash in a path: `bike annotate`, which sees the videos, writes the key instead.
    names = [tidy_path(row.path.replace("\\", "/")) for row in rows]
    duplicates = [name for name, count in Counter(names).items() if count > 1]
    if duplicates:
        raise DataError(f"{path}: {duplicates[0]} is listed more than once. Keep one line of it.")
    keys = video_keys(names)
    return [Sample(key, key, name, row.labels, row.frames) for row, name, key in zip(rows, names, keys, strict=True)]


def _read_table(path: Path, columns: Sequence[str]) -> list[PublishedRow]:
    """Rows of a CSV with a path and a label column, and perhaps one of frames."""
    video, label = find_column(columns, PATH_COLUMNS), find_column(columns, LABEL_COLUMNS)
    check_unread(path, (*(columns[place] for place in (video, label) if place >= 0), "frames"))
    if video < 0 or label < 0:
        lacking, option = ("label", "--label-column") if label < 0 else ("path", "--path-column")
        remedy = f" Add it; or make lists of the file with `bike annotate csv`, where {option} names it."
        raise missing_column(path, lacking, columns, remedy)
    rows, bad = [], []
    table = read_table(path, (columns[video], columns[label]), ("frames",))
    for line, name, text, frames in table.itertuples(name=None):
        labels, number = label_ids(text), label_ids(frames)
        if labels is None or number is None or len(number) > 1:
            bad.append(f"line {line}")
        else:
            rows.append(PublishedRow(tidy_path(name), labels, *(number or (0,))))
    if bad:
        raise DataError(
            f"{path}: labels or frames that are not numbers: {first_few(bad)}. "
            "Make lists of it with `bike annotate csv`, which numbers class names."
        )
    return rows


def read_rows(path: Path, layout: str = "auto") -> list[PublishedRow]:
    """Lines of one published list.

    A line is read from its right end, so that blanks in names do no harm.

    Args:
        path: the list.
        layout: ``frames`` for ``<dir> <frames> <label>``; ``videos`` for ``<file> <label>``, where several labels may
            follow a name that ends like a video's; ``labels`` for ``<dir> <frames> <label> <label> …`` or
            ``<file> <label> <label> …``. With ``auto`` the lines are ``frames`` when most of the first 1,000 have two
            integers at the end and no video file before the last one.

    Raises:
        DataError: lines that can't be read; the first ten are named. With ``auto`` also a list most of whose lines
            have more than two numbers at the end.
    """
    lines = read_lines(path)
    guessed = layout == "auto"
    if guessed:
        # By majority: one odd line must end as a bad line, not turn the frame counts of all others into names.
        layout = _guess_layout([text for _, text in lines[:1000]])
    rows, bad, longer = [], [], []
    for line, text in lines:
        row = _read_row(text, layout)
        if row is None:
            bad.append(f"line {line}")
            continue
        rows.append(row)
        if ends_in_number(row.path):
            longer.append(f"line {line}")
    if bad:
        form = {"frames": "<dir> <frames> <label>", "videos": "<file> <label>"}.get(layout, "<dir> <frames> <label> …")
        raise DataError(
            f"{path}: `{form}` is needed: {first_few(bad)}. Correct them, or "
            "make lists of the file with `bike annotate published`, where --layout names its form."
        )
    if guessed and layout == "frames" and 2 * len(longer) > len(rows):
        raise DataError(
            f"{path}: more than two numbers at the end: {first_few(longer)}. Give `bike annotate published` "
            "--layout labels for `<dir> <frames> <label> <label> …`, or --layout frames for names that end in a "
            "number; a column of first frames can't be read."
        )
    return rows


def _read_row(text: str, layout: str) -> PublishedRow | None:
    words = text.rsplit(None, 2 if layout == "frames" else 1)
    if layout == "labels" or (layout == "videos" and not is_video(words[0])):
        count = 0
        for word in reversed(text.split()[1:]):
            if label_ids(word) is None:
                break
            count += 1
        several = text.rsplit(None, count)
        if layout == "labels" or is_video(several[0]):
            first = 1 if is_video(several[0]) else 2
            words = [several[0], *several[1:first], " ".join(several[first:])]
    if layout == "videos" or (layout == "labels" and is_video(words[0])):
        words.insert(1, "0")  # the number of frames, which these lists do not state
    labels = label_ids(words[-1]) if words[-1] else None
    frames = label_ids(words[1]) if len(words) == 3 else None
    if labels is None or frames is None or len(frames) != 1:
        return None
    return PublishedRow(tidy_path(words[0]), labels, frames[0])


def ends_in_number(name: str) -> bool:
    """Whether the last word of several is a number: in a published list it may be a name's, or a label."""
    return name[-1:].isdigit() and " " in name and label_ids(name.rsplit(None, 1)[1]) is not None


def _guess_layout(lines: Sequence[str]) -> str:
    frames = 0
    for line in lines:
        words = line.rsplit(None, 2)
        before = line.rsplit(None, 1)[0]
        frames += len(words) == 3 and bool(label_ids(words[1])) and not is_video(before)
    return "frames" if 2 * frames > len(lines) else "videos"
