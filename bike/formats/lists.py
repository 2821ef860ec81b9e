"""Lists as people have them: our CSV, an extraction manifest, ``<dir> <frames> <label>`` or ``<file> <label>``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from bike.errors import DataError, first_few, one_line
from bike.files import existing_file, read_lines, sha256
from bike.names import split_extension, tidy_path, video_keys
from bike.progress import log
from bike.records import Sample, other_class, read_labels, read_list, read_manifest


class PublishedRow(NamedTuple):
    """One line of a published list.

    Attributes:
        path: folder of frames or video file, relative to the media folder; tidied.
        labels: class integers, empty for ``-1``.
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
    own, mismatch = Path(samples_path).with_name("labels.csv"), {}
    if own.is_file():
        mismatch = check_classes(names, read_labels(own), (labels_path, own), allowed)
    elif text := _told_by_folders(samples, names):
        mismatch = _differ(f"{labels_path} and the folders in {samples_path}: other classes, {text}", allowed)
    return Listing(samples, names, {"list": sha256(samples_path), "labels": sha256(labels_path)}, mismatch)


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
            f"{text}. Give the labels file that belongs to both, or allow it with --allow-mismatch classes."
        )
    log.warning("%s (allowed)", text)
    return {"classes": text}


def load_samples(path: Path | str) -> list[Sample]:
    """Samples of a list CSV, of an extraction manifest (accepted videos, no labels), or of a published-style list.

    Raises:
        DataError: none of the three, or a bad row.
    """
    path = existing_file(path)
    # By its header: a published list has none, whatever its name ends in.
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        header = {word.strip('"') for word in file.readline(65536).strip().split(",")}
    if {"key", "status"} <= header:
        accepted = [record for record in read_manifest(path) if record.status == "ok"]
        return [Sample(record.key, record.key, record.path, (), record.frames) for record in accepted]
    if {"key", "label"} <= header:
        return read_list(path)

    rows = read_rows(path, "frames")
    duplicates = [name for name, count in Counter(row.path for row in rows).items() if count > 1]
    if duplicates:
        raise DataError(f"{path}: {duplicates[0]} is listed more than once. Keep one line of it.")
    keys = video_keys([row.path for row in rows])
    return [Sample(key, key, row.path, row.labels, row.frames) for row, key in zip(rows, keys, strict=True)]


def read_rows(path: Path, layout: str = "auto") -> list[PublishedRow]:
    """Lines of one published list.

    A line is read from its right end, so that blanks in names do no harm. With ``auto`` the lines are ``frames`` when
    most of the first 1,000 have two integers at the end and no video file before the last one.

    Raises:
        DataError: lines that can't be read; the first ten are named.
    """
    lines = read_lines(path)
    if layout == "auto":
        # By majority: one odd line must end as a bad line, not turn the frame counts of all others into names.
        layout = _guess_layout([text for _, text in lines[:1000]])
    rows, bad = [], []
    for line, text in lines:
        words = text.rsplit(None, 2 if layout == "frames" else 1)
        labels = read_label_ids(words[-1])
        if layout == "videos":
            words.insert(1, "0")  # the number of frames, which these lists do not state
        if len(words) != 3 or labels is None or not _is_id(words[1]):
            bad.append(f"line {line}")
            continue
        rows.append(PublishedRow(tidy_path(words[0]), labels, int(words[1])))
    if bad:
        form = "<dir> <frames> <label>" if layout == "frames" else "<file> <label>"
        raise DataError(f"{path}: `{form}` is needed: {first_few(bad)}. Correct them, or name the layout.")
    return rows


def _guess_layout(lines: Sequence[str]) -> str:
    frames = 0
    for line in lines:
        words = line.rsplit(None, 2)
        before = line.rsplit(None, 1)[0]
        frames += len(words) == 3 and _is_id(words[1]) and split_extension(before) == before
    return "frames" if 2 * frames > len(lines) else "videos"


def read_label_ids(word: str) -> tuple[int, ...] | None:
    """``3`` or ``3,7,12``; ``-1`` for no label; None when it is neither."""
    if word == "-1":
        return ()
    parts = word.split(",")
    return tuple(int(part) for part in parts) if all(_is_id(part) for part in parts) else None


def _is_id(word: str) -> bool:
    """Whether ``word`` is a plain integer of reasonable length."""
    return word.isascii() and word.isdigit() and len(word) < 10
