"""One shard from plan to tar: what a process of the pool does."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bike.errors import BikeError, DataError
from bike.files import atomic_write, ensure_dir, locked, read_json, remove, write_json
from bike.formats.tar import TarWriter
from bike.shard.payload import store_video
from bike.shard.plan import PlannedShard

WORK = ".bike-work"


@dataclass(frozen=True, slots=True)
class ShardJob:
    """All that a process needs to write one shard."""

    shard: PlannedShard
    folder: str
    inputs_checksum: str
    names: tuple[str, ...] | None
    frames_per_video: int | None


def work_file(folder: Path, name: str) -> Path:
    """The note that a shard is whole; such notes become the index and the manifest when all shards are there."""
    return folder / WORK / f"{name}.json"


def size_of(path: Path) -> int | None:
    """Bytes of a file; None where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def is_whole(job: ShardJob, folder: Path) -> bool:
    """Whether a run wrote the job's shard into ``folder`` whole, from the same input."""
    try:
        note = read_json(work_file(folder, job.shard.name))
        return bool(note["recipe"] == job.inputs_checksum and note["bytes"] == size_of(folder / job.shard.name))
    except (BikeError, KeyError, TypeError):
        return False


def write_shard(job: ShardJob) -> list[str]:
    """Write one shard and note that it is whole; returns what is wrong with its videos (then nothing is written)."""
    # For a later run to wait for, in case this process outlives its own run (see bike.shard.pool).
    with locked(ensure_dir(Path(job.folder, WORK)) / f"{job.shard.name}.lock", "writing a shard", wait=True):
        return _write_shard(job)


def _write_shard(job: ShardJob) -> list[str]:
    problems: list[str] = []
    rows: list[list[Any]] = []
    path = Path(job.folder, job.shard.name)
    samples = sum(len(video.samples) for video in job.shard.videos)
    # Before the tar is replaced: the old note would call the new tar whole.
    remove(work_file(Path(job.folder), job.shard.name))
    with suppress(_UnusableError), atomic_write(path) as file:
        tar = TarWriter(file)
        for video in job.shard.videos:
            try:
                stored = store_video(
                    video.source,
                    video.record,
                    video.samples,
                    names=job.names,
                    frames_per_video=job.frames_per_video,
                )
            except DataError as error:
                problems.append(str(error))
                continue
            if not problems:  # after the first problem videos are only checked, to name all that are bad at once
                described = tar.add(f"{video.key}.json", stored.json)
                payload = tar.add(f"{video.key}.{stored.extension}", stored.payload)
                rows.append([video.key, described.offset, described.size, payload.offset, payload.size])
        if problems:
            raise _UnusableError
        digest = tar.close()
    if not problems:
        content = {"name": path.name, "bytes": tar.offset, "sha256": digest, "videos": len(rows), "samples": samples}
        write_json(work_file(path.parent, path.name), {**content, "recipe": job.inputs_checksum, "rows": rows})
    return problems


class _UnusableError(Exception):
    """Leaves the block of a shard that must not appear."""
