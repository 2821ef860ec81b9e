"""Lists and frame packs to tar shards with an index; the manifest that completes them is written last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, fields
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from bike.errors import BikeError, DataError, first_few
from bike.files import (
    check_not_read,
    ensure_dir,
    locked,
    open_write,
    read_json,
    remove,
    remove_folder,
    sha256,
    sweep,
    write_json,
)
from bike.files.tables import write_table
from bike.formats.shards import FORMAT, INDEX_COLUMNS, INDEX_NAME, MANIFEST_NAME, read_index_rows, read_shard_manifest
from bike.progress import progress
from bike.records import MANIFEST_COLUMNS, Sample
from bike.shard.owned import check_finished, check_names, owned_shards
from bike.shard.plan import PlannedShard, plan_shards
from bike.shard.wanted import wanted_videos
from bike.shard.write import WORK, ShardJob, work_file, write_shard
from bike.workers.pool import run_tasks

# Hashes are no part of a shard: manifests with and without them make the same ones.
_RECORD_FIELDS = tuple(name for name in MANIFEST_COLUMNS if not name.endswith("_sha256"))
_SAMPLE_FIELDS = tuple(field.name for field in fields(Sample))


@dataclass(frozen=True, slots=True)
class ShardSummary:
    """What :func:`write_shards` did.

    Attributes:
        videos, samples: stored in all; trimmed samples share their video's pack.
        shards: shards in all.
        written: shards written in this run; the others were there already.
        bytes: size of all shards.
    """

    videos: int
    samples: int
    shards: int
    written: int
    bytes: int


def write_shards(
    samples: Sequence[Sample] | Path | str,
    frames: Path | str,
    destination: Path | str,
    *,
    manifest: Path | str | None = None,
    names: Sequence[str] | None = None,
    max_size_mb: float = 512.0,
    frames_per_video: int | None = None,
    payload: str = "mjpg",
    media: Path | str | None = None,
    fps: float | None = None,
    jobs: int | None = None,
    replace: bool = False,
) -> ShardSummary:
    """Write the videos of a list into WebDataset tars of at most ``max_size_mb``.

    The same input gives the same bytes, in any number of processes. A shard that is there already and would come out
    the same is kept, so a run that was killed goes on where it stopped, and a second run does nothing.

    Args:
        samples: list CSV, extraction manifest (every accepted video, without labels) or published-style list
            (``<dir> <frames> <label>``); or samples at hand.
        frames: folder of frame packs, or of published-style frame folders.
        destination: folder to write to; shards of an earlier run that are not needed are removed, other files stay.
        manifest: extraction manifest; None: ``manifest.csv`` in ``frames`` where there is one.
        names: class names by label; None: ``labels.csv`` beside the list where there is one.
        max_size_mb: largest shard in MB (10^6 bytes); a video that is larger has a shard for itself.
        frames_per_video: keep this many evenly spaced frames of each video; None for all.
        payload: ``mjpg`` stores frames, ``mp4`` the video files from ``media`` as they are.
        media: the source videos (folder, list or tar), for ``payload="mp4"``.
        fps: frames per second of published-style frame folders, which do not say it.
        jobs: processes; None for one per core.
        replace: whether finished shards of other settings, or of videos that the list lacks, may be thrown away.

    Raises:
        DataError: videos that the manifest lacks or rejects, missing or damaged packs; all are counted, ten named.
        BikeError: the destination can't be written to, has somebody else's files under the names of ours, is read, or
            has finished work that would be thrown away.
    """
    if max_size_mb <= 0 or (frames_per_video is not None and frames_per_video < 1):
        raise ValueError("max_size_mb and frames_per_video must be positive")
    if payload not in ("mjpg", "mp4"):
        raise ValueError(f"payload must be mjpg or mp4 (got {payload!r})")
    if payload == "mp4" and media is None:
        raise DataError("payload mp4: the source videos are needed. Give --media.")
    videos, class_names = wanted_videos(
        samples,
        Path(frames),
        manifest=manifest,
        names=names,
        media=media if payload == "mp4" else None,
        fps=fps,
        frames_per_video=frames_per_video if payload == "mjpg" else None,
    )
    shards = plan_shards(videos, int(max_size_mb * 1e6))
    options: dict[str, Any] = {
        "payload": payload,
        "frames_per_video": frames_per_video,
        "max_size_mb": float(max_size_mb),
    }
    # All names, in the manifest alone: a class that is added elsewhere changes no shard.
    options["names"] = None if class_names is None else list(class_names)
    destination = Path(destination)
    written = [destination, destination / INDEX_NAME, destination / MANIFEST_NAME]
    check_not_read(written, [frames, media, manifest, samples if isinstance(samples, (str, Path)) else None])
    # Planned before the lock: mistakes in the list end the run without a folder being made.
    with locked(ensure_dir(destination), "writing shards"):
        _check_ours(destination)
        planned = {shard.name: _inputs_checksum(shard, options, class_names) for shard in shards}
        if _up_to_date(destination, planned, options):
            todo: list[PlannedShard] = []
        else:
            owned = owned_shards(destination)
            check_names(destination, planned.keys() - owned)
            check_finished(destination, {video.key for video in videos}, options, replace)
            _prepare_work(destination, owned)
            todo = [shard for shard in shards if not _finished(destination, shard.name, planned[shard.name])]
            packed = [
                ShardJob(shard, str(destination), planned[shard.name], class_names, frames_per_video) for shard in todo
            ]
            # The notes of shards that were written stay when one fails, so the next run goes on from there.
            try:
                _write_all(packed, jobs)
            finally:
                sweep(destination)
            _complete(destination, shards, options, stale=owned - planned.keys())
        remove_folder(destination / WORK, with_content=True)
        content = read_shard_manifest(destination)
    return ShardSummary(content["videos"], content["samples"], len(shards), len(todo), content["bytes"])


def missing_packs(samples: Sequence[Sample], frames: Path | str) -> list[str]:
    """Keys of the videos in ``samples`` whose frame pack (or frame folder) is not in ``frames``, in list order."""
    folder = Path(frames)
    videos = dict.fromkeys((sample.video, sample.path) for sample in samples)
    return [
        key
        for key, path in videos
        if not ((folder / f"{key}.mjpg").is_file() or (folder / key).is_dir() or (folder / path).is_dir())
    ]


def _inputs_checksum(shard: PlannedShard, options: dict[str, Any], names: tuple[str, ...] | None) -> str:
    """A hash of everything that decides a shard's bytes; its name in files is ``recipe``."""
    # Names of the labels used, not all: a class that is added elsewhere must not make every shard again.
    used = sorted({label for video in shard.videos for sample in video.samples for label in sample.labels})
    parts: list[Any] = [FORMAT, "crc32", options["payload"], options["frames_per_video"]]
    parts.append([[label, names[label]] for label in used if names is not None and label < len(names)])
    digest = hashlib.sha256(json.dumps(parts).encode())
    for video in shard.videos:
        rows = [[getattr(sample, name) for name in _SAMPLE_FIELDS] for sample in video.samples]
        row = [[getattr(video.record, name) for name in _RECORD_FIELDS], rows, video.checksum]
        digest.update(json.dumps(row).encode())
    return digest.hexdigest()


def _check_ours(folder: Path) -> None:
    """Refuse a folder whose ``manifest.json`` is somebody else's."""
    path = folder / MANIFEST_NAME
    content: Any = {"format": FORMAT}
    with suppress(BikeError):  # none, or a damaged one
        content = read_json(path)
    if not (isinstance(content, dict) and str(content.get("format")).startswith("bike-shards")):
        raise BikeError(f"{path}: was not written by `bike shard`. Choose another folder for the shards.")


def _up_to_date(folder: Path, planned: dict[str, str], options: dict[str, Any]) -> bool:
    try:
        content = read_shard_manifest(folder)
    except BikeError:
        return False
    # By sizes and not by checksums, which would read every byte; that is what --verify does.
    there = {shard["name"]: shard["recipe"] for shard in content["shards"]}
    sizes_right = all(_size(folder / shard["name"]) == shard["bytes"] for shard in content["shards"])
    same = there == planned and sizes_right and all(content.get(name) == value for name, value in options.items())
    return same and (folder / INDEX_NAME).is_file() and sha256(folder / INDEX_NAME) == content["index"]["sha256"]


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _prepare_work(folder: Path, owned: Iterable[str]) -> None:
    """Turn a folder of shards into an unfinished one whose notes tell which shards are whole, so that those are kept.

    ========================================  ==============================================================
    what an earlier run left                  what becomes of it
    ========================================  ==============================================================
    nothing                                   no notes: all shards are written
    notes, no manifest (it was interrupted)   the notes stay as they are
    manifest and index that agree             a note for each shard whose rows are all in the index
    a damaged manifest, another index         no notes: where members lie isn't known, so all are written again
    ========================================  ==============================================================

    In the last two cases earlier notes are removed, and the manifest goes last: a run that is killed in here leaves
    it, and the next one begins again.
    """
    # Helpers may outlive a run that was killed, until their shard is done. Each holds the lock of its own shard; once
    # every lock was free, nobody writes here any more: this run holds the folder, so no new helper can begin.
    for lock in ensure_dir(folder / WORK).glob("*.lock"):
        with locked(lock, "writing a shard", wait=True):
            pass
    sweep(folder)
    if not (folder / MANIFEST_NAME).is_file():
        return
    for note in (folder / WORK).iterdir():
        remove(note)
    for name in owned:  # theirs, whatever becomes of the manifest: a lock file says that a shard was begun
        open_write(folder / WORK / f"{name}.lock").close()
    with suppress(BikeError):  # damaged: without notes
        content = read_shard_manifest(folder)
        if sha256(folder / INDEX_NAME) != content["index"]["sha256"]:
            raise DataError(f"{folder / INDEX_NAME}: changed since it was written.")
        listed = {shard["name"]: shard for shard in content["shards"]}
        for name, group in groupby(read_index_rows(folder / INDEX_NAME), key=itemgetter(1)):
            rows = [[row[0], *row[2:]] for row in group]
            if name in listed and listed[name]["videos"] == len(rows):
                write_json(work_file(folder, name), {**listed[name], "rows": rows})
    # From here on the folder is unfinished: never a manifest beside shards that it doesn't describe.
    remove(folder / MANIFEST_NAME)


def _finished(folder: Path, name: str, checksum: str) -> bool:
    """Whether an earlier run wrote this shard whole, from inputs of this checksum."""
    try:
        work = read_json(work_file(folder, name))
        return bool(work["recipe"] == checksum and work["bytes"] == _size(folder / name))
    except (BikeError, KeyError, TypeError):
        return False


def _write_all(jobs_todo: list[ShardJob], jobs: int | None) -> None:
    problems: list[str] = []
    if not jobs_todo:
        return
    count = sum(len(job.shard.videos) for job in jobs_todo)
    with (
        progress("shard", count, unit="videos") as shown,
        closing(run_tasks(write_shard, jobs_todo, jobs=jobs)) as done,
    ):
        for outcome in done:
            problems.extend(outcome.get())
            shown.advance(len(outcome.task.shard.videos), f"{len(problems)} unusable" if problems else "")
    if problems:
        raise DataError(f"{len(problems)} videos can't be stored: {first_few(problems)}")


def _complete(folder: Path, shards: Sequence[PlannedShard], options: dict[str, Any], *, stale: set[str]) -> None:
    """Write the index, remove what belongs to no shard of the list, and write the manifest."""
    listed: list[dict[str, Any]] = []

    def rows() -> Iterator[list[Any]]:  # of one shard at a time
        for shard in shards:
            work = read_json(work_file(folder, shard.name))
            yield from ([key, shard.name, *numbers] for key, *numbers in work.pop("rows"))
            listed.append(work)

    write_table(folder / INDEX_NAME, INDEX_COLUMNS, rows())
    # Before the manifest: it must never lie beside shards that it does not list.
    for name in sorted(stale):
        remove(folder / name)
    totals = {name: sum(shard[name] for shard in listed) for name in ("videos", "samples", "bytes")}
    index = {"name": INDEX_NAME, "bytes": _size(folder / INDEX_NAME), "sha256": sha256(folder / INDEX_NAME)}
    write_json(folder / MANIFEST_NAME, {"format": FORMAT, **options, **totals, "index": index, "shards": listed})
