"""What an extraction would do, and what that would take; nothing is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bike.extract.guard import check_known, check_manifest, check_rows, check_unknown
from bike.extract.journal import is_current, read_journal
from bike.extract.run import MANIFEST_NAME
from bike.extract.task import Layout, Recipe, Task
from bike.files import check_not_read
from bike.files.names import video_keys
from bike.params import Extract, Params
from bike.project.takes import estimate, footage_of
from bike.video.find import find_videos


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What would be done.

    Attributes:
        new, changed, unchanged, unreadable: videos that were not extracted yet, that would be again, that would stay
            as they are, and that would be rejected unread.
        bytes, hours: of the frame packs of the new and the changed, and of their extraction on two cores; by the
            headers of at most 20.
    """

    new: int
    changed: int
    unchanged: int
    unreadable: int
    bytes: float
    hours: float


def foresee_extraction(
    source: Path,
    destination: Path,
    *,
    listing: Path | None = None,
    options: Extract,
    layout: Layout = "packs",
    follow_links: bool = False,
    replace: bool = False,
) -> Foreseen:
    """What :func:`bike.extract.run.extract_videos` would do with the same arguments; it raises what that would."""
    recipe = Recipe.of(options, layout)
    check_not_read([destination], [source])
    check_manifest(destination / MANIFEST_NAME, source, listing)
    videos = find_videos(source, listing=listing, exclude=destination, follow_links=follow_links)
    check_rows(destination / MANIFEST_NAME, videos, replace)
    keys = video_keys([video.path for video in videos])
    known = read_journal(destination)
    check_known(destination, [known[video.path] for video in videos if video.path in known], recipe, replace)
    check_unknown(destination, keys, replace, MANIFEST_NAME)
    todo, changed, unreadable = [], 0, 0
    for video, key in zip(videos, keys, strict=True):
        result = known.get(video.path)
        task = Task(key, video.path, video.file, str(destination), recipe)
        if video.problem:
            unreadable += 1
        elif result is None or not is_current(result, task, video.stamp, options.timeout_seconds):
            todo.append(video)
            changed += result is not None
    takes = estimate(footage_of(todo), Params(extract=options))
    unchanged = len(videos) - len(todo) - unreadable
    return Foreseen(len(todo) - changed, changed, unchanged, unreadable, takes.pack_bytes, takes.extract_hours)
