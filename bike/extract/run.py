"""Videos to frame packs: in parallel, resumable, every reject with its reason."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

from bike.errors import BikeError, DataError, first_few, one_line
from bike.extract.guard import check_known, check_manifest, check_rows, check_unknown
from bike.extract.journal import (
    Journal,
    is_current,
    open_journal,
    read_journal,
    rewrite_journal,
)
from bike.extract.output import output_exists, remove_output
from bike.extract.parts import Outcomes, outcomes_of_parts
from bike.extract.task import Layout, Recipe, Result, Task, recipe_text, rejected
from bike.extract.video import extract_video
from bike.files import check_not_read, ensure_dir, remove, sweep
from bike.files.names import shown, video_keys
from bike.files.parts import MERGE, Part, Parts, Split, discard_parts, held_place
from bike.params import Extract
from bike.progress import progress
from bike.records import VideoRecord, read_manifest, write_manifest
from bike.video.file import FoundVideo, VideoFile
from bike.video.find import find_videos
from bike.workers.pool import Outcome, describe_failure, run_tasks
from bike.workers.worker import TimedOutError

log = logging.getLogger("bike")

MANIFEST_NAME = "manifest.csv"
_BEGUN_AT_ONCE = 32  # tasks for each wait for the disk


def extract_videos(
    source: Path | str,
    destination: Path | str,
    *,
    listing: Path | str | None = None,
    options: Extract | None = None,
    jobs: int | None = None,
    layout: Layout = "packs",
    scheduler: str | None = None,
    strict: bool = False,
    follow_links: bool = False,
    replace: bool = False,
    split: Split | None = None,
) -> list[VideoRecord]:
    """Turn every video of a source into JPEG frames, and write ``manifest.csv`` last.

    A second run does nothing; after a kill it does what is left. The frames of a
    video do not depend on how many are worked on at once.

    Args:
        source: a folder (searched through; tars in it are opened), a tar, a text list, or a CSV with a ``path`` column.
        destination: folder for ``<key>.mjpg`` packs, or ``<key>/img_00001.jpg`` folders, and the manifest.
        listing: a list or CSV that picks among the videos of a folder or tar.
        options: see :class:`bike.params.Extract`.
        jobs: videos at a time; None: one per core.
        layout: ``packs`` or ``folders``.
        scheduler: address of a Dask scheduler (``tcp://…``) to work on instead of this machine; needs the extra
            ``dask`` and folders that its workers see under the same names.
        follow_links: see :func:`bike.video.find.find_videos`.
        strict: raise when any video was rejected (after the manifest is written).
        replace: whether frames made with other options or of other videos may be thrown away.
        split: a part of the videos that are not done yet, or the merge of all; see :mod:`bike.files.parts`.

    Returns:
        One record per video (of the part), sorted by path; also the rows of the manifest.

    Raises:
        DataError: no videos, a bad list, or rejected videos with ``strict``.
        BikeError: the source can't be read, the destination can't be written, holds somebody else's frames or such
            as would be thrown away, or another extraction is writing there.
    """
    options = options or Extract()
    destination = Path(destination)
    recipe = Recipe.of(options, layout)
    check_not_read([destination], [source])
    check_manifest(destination / MANIFEST_NAME, source, listing)
    videos = find_videos(source, listing=listing, exclude=destination, follow_links=follow_links)
    run = _Run(videos, ensure_dir(destination).resolve(), recipe, options, jobs, scheduler, replace)
    with held_place(destination, split, "extracting") as folder:
        check_rows(destination / MANIFEST_NAME, videos, replace)
        if isinstance(split, Part):
            run.become_part(split, folder.resolve())
        records = run.records(Parts(destination) if split == MERGE else None)
    problems = [f"{shown(r.path)} ({r.error})" for r in records if r.status != "ok"]
    if strict and problems:
        raise DataError(f"{source}: {len(problems)} of {len(records)} videos rejected: {first_few(problems)}.")
    return records


class _Run:
    """One extraction: what is there, what is left, and the results of both."""

    def __init__(
        self,
        videos: list[FoundVideo],
        destination: Path,
        recipe: Recipe,
        options: Extract,
        jobs: int | None,
        scheduler: str | None,
        replace: bool,
    ) -> None:
        self._videos = {video.path: video for video in videos}
        self._keys = dict(zip(self._videos, video_keys(list(self._videos)), strict=True))
        self._destination, self._recipe, self._options = destination, recipe, options
        self._jobs, self._scheduler, self._replace = jobs, scheduler, replace
        self._records: dict[str, VideoRecord] = {}
        self._void: list[str] = []
        self._stale: dict[str, str] = {}  # path -> key of frames that are thrown away when its turn comes

    def become_part(self, part: Part, folder: Path) -> None:
        """Do the videos of a part that are not done yet, in its folder."""
        known = read_journal(self._destination)
        for path in [path for path, key in self._keys.items() if not part.has(key) or self._is_done(path, known)]:
            del self._videos[path], self._keys[path]
        self._destination = folder

    def records(self, parts: Parts | None = None) -> list[VideoRecord]:
        """Do what is left, or take it from the parts, and write the manifest."""
        sweep(self._destination)
        known = read_journal(self._destination)
        results = [known[path] for path in self._videos if path in known]
        check_known(self._destination, results, self._recipe, self._replace)
        check_unknown(self._destination, self._keys.values(), self._replace, MANIFEST_NAME)
        outcomes: Outcomes = self._outcomes
        if parts is not None:  # refused before anything is changed
            todo = [self._task(path) for path in self._videos if not self._is_done(path, known)]
            outcomes = outcomes_of_parts(parts, todo, self._videos, self._options.timeout_seconds)
        self._forget_others(known)
        left = [path for path in self._videos if not self._is_settled(path, known)]
        if left:
            try:
                self._extract(left, known, outcomes)
            finally:
                sweep(self._destination)
            # Without the voids, and one line a video; written whole, so a kill here loses nothing.
            rewrite_journal(self._destination, [known[path] for path in sorted(known)])
        records = [self._records[path] for path in self._videos]
        self._write_manifest(records)
        if parts is not None:
            discard_parts(self._destination)
        return records

    def _forget_others(self, known: dict[str, Result]) -> None:
        """Forget videos whose key now belongs to another one: its frames will take the place of theirs.

        ================================  ================  =========================================================
        Journal                           Key now           What happens
        ================================  ================  =========================================================
        ``a.mp4`` has the key ``a``       ``a.mkv``'s       ``a.mp4`` is forgotten and its frames are removed
        ``a.mp4`` and ``a.mkv`` have it   ``a.mkv``'s       ``a.mp4`` is forgotten; the frames are ``a.mkv``'s: stay
        ``b.mp4`` has the key ``b``       nobody's          nothing: a later run may want ``b.mp4`` again
        ``c.mp4`` has the key ``c``       ``c.mp4``'s       nothing here, see :meth:`_is_settled`
        ================================  ================  =========================================================

        Keys are compared without case: ``A.mjpg`` and ``a.mjpg`` are one file on some file systems.
        """
        owner = {key.lower(): path for path, key in self._keys.items()}
        for path in [path for path, result in known.items() if owner.get(result.record.key.lower(), path) != path]:
            record = known.pop(path).record
            self._void.append(path)
            now = known.get(owner[record.key.lower()])
            if record.status == "ok" and (now is None or now.record.key.lower() != record.key.lower()):
                self._remove(record.key)

    def _is_settled(self, path: str, known: dict[str, Result]) -> bool:
        """Whether nothing is to be done for a video.

        ===========  ==================  ==========================================================  =======
        Source       Journal             What happens                                                Settled
        ===========  ==================  ==========================================================  =======
        readable     what would be made  its record is kept                                          yes
        readable     something else      forgotten and removed when its turn comes, not before       no
        readable     nothing             nothing: what lies there is replaced when it is done        no
        unreadable   anything            the video is rejected; the journal's is forgotten, removed  yes
        ===========  ==================  ==========================================================  =======

        Nothing that lies there is somebody else's: :func:`check_unknown` was first.
        """
        video, key, result = self._videos[path], self._keys[path], known.get(path)
        if video.problem:
            self._records[path] = rejected(key, path, video.problem).record
            self._remove(key)
        elif result is not None and self._is_done(path, known):
            self._records[path] = result.record
            return True
        if result is not None:
            del known[path]
            if video.problem:
                self._void.append(path)
                self._remove(result.record.key)
            else:
                self._stale[path] = result.record.key
        return bool(video.problem)

    def _is_done(self, path: str, known: dict[str, Result]) -> bool:
        """Whether the journal has what would be made now."""
        result, limit = known.get(path), self._options.timeout_seconds
        return result is not None and is_current(result, self._task(path), self._videos[path].stamp, limit)

    def _remove(self, key: str) -> None:
        remove_output(self._destination, key)

    def _extract(self, left: list[str], known: dict[str, Result], outcomes: Outcomes) -> None:
        if before := sum(not self._videos[path].problem for path in self._records):
            log.info("extract: %d of %d videos are done already", before, len(self._videos))
        remove(self._destination / MANIFEST_NAME)  # it is there only when everything is
        num_rejected = sum(record.status != "ok" for record in self._records.values())
        with (
            open_journal(self._destination) as journal,
            progress("extract", len(left), unit="videos") as job,
            # Closed however this ends: helpers must not go on writing.
            closing(outcomes(self._tasks(left, journal))) as done,
        ):
            journal.void(self._void)
            for outcome in done:
                result = self._judge(outcome)
                path = result.record.path
                if not result.transient:  # otherwise the next run tries again
                    known[path] = result
                    journal.add(result)
                self._records[path] = result.record
                num_rejected += result.record.status != "ok"
                job.advance(note=f"{num_rejected} rejected" if num_rejected else "")

    def _tasks(self, paths: Sequence[str], journal: Journal) -> Iterator[Task]:
        for start in range(0, len(paths), _BEGUN_AT_ONCE):
            some = paths[start : start + _BEGUN_AT_ONCE]
            stale = [path for path in some if path in self._stale]
            # Before anything is replaced: what was done with other options no longer counts, however this run ends.
            journal.void(stale)
            journal.begin(self._keys[path] for path in some)
            for path in stale:
                self._remove(self._stale[path])
            yield from map(self._task, some)

    def _task(self, path: str) -> Task:
        file = self._videos[path].file
        # Absolute: a Dask worker has a working folder of its own.
        file = VideoFile(os.path.abspath(file.path), file.start, file.num_bytes)  # noqa: PTH100
        return Task(self._keys[path], path, file, str(self._destination), self._recipe)

    def _outcomes(self, tasks: Iterable[Task]) -> Generator[Outcome[Task, Result], None, None]:
        limit = self._options.timeout_seconds
        if self._scheduler is not None:
            from bike.workers.dask import run_on_dask

            return run_on_dask(extract_video, tasks, scheduler=self._scheduler, timeout_seconds=limit)
        return run_tasks(extract_video, tasks, jobs=self._jobs, timeout_seconds=limit)

    def _judge(self, outcome: Outcome[Task, Result]) -> Result:
        """The result to note for a task, whatever became of it."""
        task = outcome.task
        if outcome.value is not None:
            record = outcome.value.record
            there = (self._destination, record.key, self._recipe.layout, record.num_kept, record.bytes)
            if record.status == "ok" and not output_exists(*there):
                raise BikeError(
                    f"{self._destination}: the frames of {shown(record.path)} are not there. "
                    "The folder must be the same for every machine that extracts."
                )
            # Unpickled strings are copies; reuse ours, so that a million records share them.
            record = replace(record, key=task.key, path=task.path, status=sys.intern(record.status))
            result = replace(outcome.value, record=record)
        else:  # its process may have put the frames in place before it died
            self._remove(task.key)
            error, limit = outcome.error or RuntimeError("no result"), self._options.timeout_seconds
            reason, late = one_line(describe_failure(error, limit)), isinstance(error, TimedOutError)
            result = rejected(task.key, task.path, reason, transient=not late, limit_seconds=limit if late else 0.0)
        stamp, keep_partial = self._videos[task.path].stamp, self._recipe.keep_partial
        return replace(result, stamp=stamp, recipe=recipe_text(self._recipe), keep_partial=keep_partial)

    def _write_manifest(self, records: list[VideoRecord]) -> None:
        path = self._destination / MANIFEST_NAME
        with suppress(BikeError):
            if read_manifest(path) == records:
                return
        write_manifest(path, records)
