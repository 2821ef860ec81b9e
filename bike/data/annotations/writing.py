"""Lists on disk: our CSV, the published text form, class names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bike.data.annotations.classes import readable_name
from bike.data.annotations.entries import SPLITS
from bike.data.annotations.media import split_extension
from bike.files import atomic_write, csv_writer
from bike.records import Sample, write_list


def write_split_lists(folder: Path, lists: dict[str, list[Sample]], *, videos: bool, keyed: bool = False) -> list[str]:
    """Write ``{train,val,test}.csv`` and ``.txt`` of the splits that have samples; remove those of empty splits.

    Returns:
        Remarks: lists with parts of videos, which have no published form and get no ``.txt``.
    """
    notes = []
    for split in SPLITS:
        samples = lists.get(split, [])
        listed, published = folder / f"{split}.csv", folder / f"{split}.txt"
        parts = any(sample.start_seconds is not None for sample in samples)
        if parts:
            notes.append(f"{folder / split}.csv has parts of videos; the published form can't say that, so no .txt.")
        if not samples or parts:
            published.unlink(missing_ok=True)
        else:
            write_published(published, samples, videos=videos, keyed=keyed)
        if samples:
            write_list(listed, samples)
        else:
            listed.unlink(missing_ok=True)
    return notes


def write_published(path: Path | str, samples: Sequence[Sample], *, videos: bool = False, keyed: bool = False) -> None:
    """Write a list as published ones look: ``<dir> <frames> <label>``, or ``<file> <label>`` with ``videos``.

    Several labels are joined by commas, none is ``-1``. A path that holds a line break is replaced by the video's key;
    ``keyed`` replaces all, since ``bike extract --layout folders`` names the folders of frames by key.
    """
    with atomic_write(path, "w") as file:
        file.writelines(_published_line(sample, videos, keyed) for sample in samples)


def _published_line(sample: Sample, videos: bool, keyed: bool) -> str:
    name = sample.path if videos else split_extension(sample.path)
    if keyed or "\n" in name or "\r" in name or name != name.strip():
        name = sample.video
    label = ",".join(map(str, sample.labels)) or "-1"
    return f"{name} {label}\n" if videos else f"{name} {sample.frames} {label}\n"


def write_class_names(path: Path | str, names: Sequence[str], published: Sequence[str]) -> None:
    """Write ``labels.csv``: ``id,name``, and ``published`` where that differs for any class."""
    with atomic_write(path, "w") as file:
        writer = csv_writer(file)
        if list(names) == list(published):
            writer.writerow(("id", "name"))
            writer.writerows(enumerate(names))
        else:
            writer.writerow(("id", "name", "published"))
            writer.writerows((index, *pair) for index, pair in enumerate(zip(names, published, strict=True)))


def prompt_names(published: Sequence[str], readable: Sequence[str] | None, wanted: bool) -> list[str]:
    """Names for prompts: the published ones, or readable ones when these are ``wanted``.

    Args:
        published: all class names.
        readable: the first of them as a class file states them, None to make all by :func:`readable_name`.
        wanted: whether readable names are asked for. Two that would become equal stay as published.
    """
    if not wanted:
        return list(published)
    given = list(readable or ())
    names = given + [readable_name(name) or name for name in published[len(given) :]]
    counts = Counter(names)
    return [name if counts[name] == 1 else original for name, original in zip(names, published, strict=True)]
