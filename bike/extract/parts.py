"""The parts of an extraction: which videos one has, and how a merge takes their frames as if it made them now."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from bike.errors import BikeError
from bike.extract.journal import is_current, read_journal
from bike.extract.output import remove_output
from bike.extract.task import Result, Task, rejected
from bike.files import rename
from bike.files.parts import Parts
from bike.formats.packs import PACK_SUFFIX
from bike.records import read_manifest
from bike.video.file import FoundVideo
from bike.workers.pool import Outcome

Outcomes = Callable[[Iterable[Task]], Generator[Outcome[Task, Result], None, None]]


def outcomes_of_parts(
    parts: Parts, tasks: Iterable[Task], videos: Mapping[str, FoundVideo], timeout_seconds: float
) -> Outcomes:
    """What gives the outcomes of these tasks, or some of them, out of the parts' folders.

    Raises:
        BikeError: some videos were done by no part, or not as the task says; it names their parts.
    """
    groups: dict[Path, list[Task]] = {}
    for task in tasks:
        groups.setdefault(parts.folder_of(task.key), []).append(task)
    found, missing = {}, []
    for folder, group in groups.items():
        noted, crashed = read_journal(folder), _crashed(folder)
        for task in group:
            if videos[task.path].problem:
                continue  # can't be read any more: the merge rejects it
            result = noted.get(task.path)
            # In the part's folder, or moved already by a merge that was killed.
            places = (replace(task, destination=str(folder)), task)
            if result and any(is_current(result, place, videos[task.path].stamp, timeout_seconds) for place in places):
                found[task.path] = result
            elif task.path in crashed:
                found[task.path] = rejected(task.key, task.path, crashed[task.path], transient=True)
            else:
                missing.append(task.key)
    parts.check(missing)
    return partial(_take_frames, parts, found)


def _crashed(folder: Path) -> dict[str, str]:
    """Reasons by path of videos that a part rejected for now, which only its manifest says."""
    with suppress(BikeError):  # the part is not complete
        return {record.path: record.error for record in read_manifest(folder / "manifest.csv") if record.status != "ok"}
    return {}


def _take_frames(
    parts: Parts, found: Mapping[str, Result], tasks: Iterable[Task]
) -> Generator[Outcome[Task, Result], None, None]:
    """Move the frames of each task into its destination, where its part still has them."""
    for task in tasks:
        for name in (f"{task.key}{PACK_SUFFIX}", task.key):
            if (parts.folder_of(task.key) / name).exists():
                remove_output(Path(task.destination), task.key)
                # The manifest, which is written last, syncs the folder: a move that a power cut undoes is made again.
                rename(parts.folder_of(task.key) / name, Path(task.destination, name), sync=False)
        yield Outcome(task, found[task.path])
