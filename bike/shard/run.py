"""Lists and frame packs to tar shards with an index; the manifest that completes them is written last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from dataclasses import replace as replaced
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from bike.errors import BikeError, DataError
from bike.files import (
    open_write,
    read_json,
    remove,
    remove_folder,
    sha256,
    sweep,
    write_json,
)
from bike.files.parts import MERGE, Part, Parts, Split, discard_parts, held_place
from bike.files.tables import write_table
from bike.formats.packs import PACK_SUFFIX
from bike.formats.shards import FORMAT, INDEX_COLUMNS, INDEX_NAME, MANIFEST_NAME, read_index_rows, read_shard_manifest
from bike.records import Sample, read_manifest
from bike.shard.jobs import check_ours, plan_jobs
from bike.shard.owned import check_finished, check_names, owned_shards
from bike.shard.parts import check_parts, take_shards, unfinished, write_part
from bike.shard.plan import PlannedShard
from bike.shard.pool import wait_for_helpers, write_all
from bike.shard.wanted import is_of_size
from bike.shard.write import WORK, ShardJob, is_whole, size_of, work_file


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
    follow_links: bool = False,
    fps: float | None = None,
    jobs: int | None = None,
    replace: bool = False,
    scheduler: str | None = None,
    split: Split | None = None,
) -> ShardSummary:
    """Write the videos of a list into WebDataset tars of at most ``max_size_mb``.

    The same input gives the same bytes, in any number of processes. A shard that is there already and would come out
    the same is kept, so a run that was killed goes on where it stopped, and a second run does nothing.

    Args:
        samples: list CSV, extraction manifest (every accepted video, without labels) or published-style list
            (``<dir> <frames> <label>``); or samples already read.
        frames: folder of frame packs, or of published-style frame folders.
        destination: folder to write to; shards of an earlier run that are not needed are removed, other files stay.
        manifest: extraction manifest; None: ``manifest.csv`` in ``frames`` where there is one.
        names: class names by label; None: ``labels.csv`` beside the list where there is one.
        max_size_mb: largest shard in MB (10^6 bytes); a video that is larger has a shard for itself.
        frames_per_video: keep this many evenly spaced frames of each video; None for all.
        payload: ``mjpg`` stores frames, ``mp4`` the video files from ``media`` as they are.
        media: the source videos (folder, list or tar), for ``payload="mp4"``.
        follow_links: source videos and frame folders may be links that lead out of their folder.
        fps: frames per second of published-style frame folders, which do not say it.
        jobs: processes; None for one per core.
        replace: whether finished shards of other settings, or of videos that the list lacks, may be thrown away.
        scheduler: address of a Dask scheduler to work on instead of this machine, as for
            :func:`bike.extract.run.extract_videos`.
        split: a part, which writes its shards that are not there yet and has its own summary; or the merge of all
            parts. See :mod:`bike.files.parts`.

    Raises:
        DataError: videos that the manifest lacks or rejects, missing or damaged packs; all are counted, ten named.
        BikeError: the destination can't be written to, has somebody else's files under the names of ours, is read, or
            has finished work that would be thrown away.
    """
    plan = plan_jobs(
        samples,
        frames,
        destination,
        manifest=manifest,
        names=names,
        max_size_mb=max_size_mb,
        frames_per_video=frames_per_video,
        payload=payload,
        media=media,
        follow_links=follow_links,
        fps=fps,
    )
    destination, options = Path(destination), plan.options
    # Planned before the lock: mistakes in the list end the run without a folder being made.
    with held_place(destination, split, "writing shards") as folder:
        check_ours(destination)
        every = [replaced(job, folder=str(folder)) for job in plan.jobs]
        planned = {job.shard.name: job.inputs_checksum for job in every}
        if isinstance(split, Part):
            check_finished(destination, plan.keys, options, replace)
            mine = [job for job in unfinished(every, destination) if split.has(job.shard.name)]
            return _part_summary(mine, folder, write_part(mine, folder, jobs, scheduler))
        if _up_to_date(destination, planned, options):
            todo = []
        else:
            owned = owned_shards(destination)
            check_names(destination, planned.keys() - owned)
            check_finished(destination, plan.keys, options, replace)
            if split == MERGE:  # before anything is replaced
                check_parts(Parts(destination), unfinished(every, destination))
            _prepare_work(destination, owned)
            todo = [job for job in every if not is_whole(job, destination)]
            # The notes of shards that were written stay when one fails, so the next run goes on from there.
            try:
                if split == MERGE:
                    take_shards(Parts(destination), todo)
                else:
                    write_all(todo, jobs, scheduler)
            finally:
                sweep(destination)
            _complete(destination, [job.shard for job in every], options, stale=owned - planned.keys())
        remove_folder(destination / WORK, with_content=True)
        if split == MERGE:
            discard_parts(destination)
        content = read_shard_manifest(destination)
    return ShardSummary(content["videos"], content["samples"], len(every), len(todo), content["bytes"])


def missing_packs(samples: Sequence[Sample], frames: Path | str) -> list[str]:
    """Keys of the videos in ``samples`` whose frame pack (or frame folder) is not in ``frames``, in list order.

    A pack of another size than ``manifest.csv`` there says is another extraction's: so it is missing, too.
    """
    folder = Path(frames)
    manifest = folder / "manifest.csv"
    known = {record.key: record for record in read_manifest(manifest)} if manifest.is_file() else {}

    def is_there(key: str, path: str) -> bool:
        pack = folder / f"{key}{PACK_SUFFIX}"
        if pack.is_file():
            return key not in known or is_of_size(known[key], pack.stat().st_size)
        return (folder / key).is_dir() or (folder / path).is_dir()

    return [
        key for key, path in dict.fromkeys((sample.video, sample.path) for sample in samples) if not is_there(key, path)
    ]


def _part_summary(jobs: Sequence[ShardJob], folder: Path, written: int) -> ShardSummary:
    videos = [video for job in jobs for video in job.shard.videos]
    num_bytes = sum((folder / job.shard.name).stat().st_size for job in jobs)
    return ShardSummary(len(videos), sum(len(video.samples) for video in videos), len(jobs), written, num_bytes)


def _up_to_date(folder: Path, planned: dict[str, str], options: dict[str, Any]) -> bool:
    try:
        content = read_shard_manifest(folder)
    except BikeError:
        return False
    # By sizes and not by checksums, which would read every byte; that is what --verify does.
    there = {shard["name"]: shard["recipe"] for shard in content["shards"]}
    sizes_right = all(size_of(folder / shard["name"]) == shard["bytes"] for shard in content["shards"])
    same = there == planned and sizes_right and all(content.get(name) == value for name, value in options.items())
    return same and (folder / INDEX_NAME).is_file() and sha256(folder / INDEX_NAME) == content["index"]["sha256"]


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
    wait_for_helpers(folder)
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
    index = {"name": INDEX_NAME, "bytes": size_of(folder / INDEX_NAME), "sha256": sha256(folder / INDEX_NAME)}
    write_json(folder / MANIFEST_NAME, {"format": FORMAT, **options, **totals, "index": index, "shards": listed})
