"""Lists on disk: our CSV, the published text form, class names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bike.annotate.audit import AUDIT_NAME
from bike.annotate.classes import readable_name
from bike.annotate.entries import SPLITS
from bike.files import atomic_write, check_not_read
from bike.files.names import leads_out, split_extension
from bike.files.tables import write_table
from bike.formats.lists import ends_in_number
from bike.records import Sample, write_labels, write_list

UNANNOTATED_NAME, LABELS_NAME = "unannotated.csv", "labels.csv"
HALVES = ("base.txt", "novel.txt")  # the class names of either half, where training has only one of them


def check_out(dataset: str, out: Path, source: Path, others: Sequence[Path | None]) -> None:
    """See to it that lists written into ``out`` replace nothing that is read, and become no part of the annotation.

    Args:
        dataset: its name.
        out: folder for the lists.
        source: the annotation's folder or file.
        others: further files that are read.

    Raises:
        BikeError: ``out`` is the folder of the annotation, or has a file that is read under the name of a list.
    """
    written = [out / f"{split}{suffix}" for split in SPLITS for suffix in (".csv", ".txt")]
    written += [out / name for name in (LABELS_NAME, UNANNOTATED_NAME, AUDIT_NAME, *HALVES)]
    # A folder of videos by class may hold its lists; other sources are searched for *.csv and *.txt by the next run.
    check_not_read([out, *written] if dataset != "folders" else written, [source, *others])


def write_split_lists(folder: Path, lists: dict[str, list[Sample]], *, videos: bool, keyed: bool = False) -> list[str]:
    """Write ``{train,val,test}.csv`` and ``.txt`` of the splits that have samples.

    Returns:
        Remarks: lists with parts of videos, which have no published form and get no ``.txt``.
    """
    notes = []
    for split in SPLITS:
        if not (samples := lists.get(split, [])):
            continue
        write_list(folder / f"{split}.csv", samples)
        if any(sample.start_seconds is not None for sample in samples):
            notes.append(f"{split}.csv has parts of videos; the published form can't say that, so no .txt.")
        else:
            write_published(folder / f"{split}.txt", samples, videos=videos, keyed=keyed)
    return notes


def write_published(path: Path | str, samples: Sequence[Sample], *, videos: bool = False, keyed: bool = False) -> None:
    """Write a list as published ones look: ``<dir> <frames> <label>``, or ``<file> <label>`` with ``videos``.

    Several labels are joined by commas, none is ``-1``. A path that holds a line break or a backslash, ends in a blank
    and a number (as if it were a label), leads out of its folder, or means two videos without their extensions is
    replaced by the video's key; ``keyed`` replaces all, since ``bike extract --layout folders`` names folders by key.
    """
    shared: set[str] = set()
    if not videos and not keyed:  # `a.mp4` and `a.avi` would be one folder of frames
        stems = Counter(map(split_extension, {sample.path for sample in samples}))
        shared = {stem for stem, count in stems.items() if count > 1}
    with atomic_write(path, "w") as file:
        file.writelines(_published_line(sample, videos, keyed, shared) for sample in samples)


def _published_line(sample: Sample, videos: bool, keyed: bool, shared: set[str]) -> str:
    name = sample.path if videos else split_extension(sample.path)
    # Lines are split at line ends and trimmed where they are read, and `\\` is read as `/`.
    odd = "\n" in name or "\r" in name or "\\" in name or name != name.strip() or (".." in name and leads_out(name))
    if keyed or odd or ends_in_number(name) or name in shared:
        name = sample.video
    label = ",".join(map(str, sample.labels)) or "-1"
    return f"{name} {label}\n" if videos else f"{name} {sample.frames} {label}\n"


def write_class_names(path: Path | str, names: Sequence[str], published: Sequence[str]) -> None:
    """Write ``labels.csv``: ``id,name``, and ``published`` where that differs for any class."""
    if list(names) == list(published):
        write_labels(path, names)
    else:
        write_table(path, ("id", "name", "published"), zip(range(len(names)), names, published, strict=True))


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
