"""What a sharding comes to: one job a shard, each with a checksum of all that decides its bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from bike.errors import BikeError, DataError
from bike.files import check_not_read, read_json
from bike.formats.shards import FORMAT, INDEX_NAME, MANIFEST_NAME
from bike.records import MANIFEST_COLUMNS, Sample
from bike.shard.owned import check_finished, check_names, owned_shards
from bike.shard.parts import unfinished
from bike.shard.plan import PlannedShard, plan_shards
from bike.shard.wanted import wanted_videos
from bike.shard.write import ShardJob

# Hashes are no part of a shard: manifests with and without them make the same ones.
_RECORD_FIELDS = tuple(name for name in MANIFEST_COLUMNS if not name.endswith("_sha256") and name != "kept")
_SAMPLE_FIELDS = tuple(field.name for field in fields(Sample))


@dataclass(frozen=True, slots=True)
class Jobs:
    """All that is to be written, whether it is there already or not.

    Attributes:
        jobs: one a shard, in the order of their names; their folder is the destination.
        options: what the manifest says of how they are made.
        keys: of the videos.
    """

    jobs: list[ShardJob]
    options: dict[str, Any]
    keys: set[str]


def plan_jobs(
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
) -> Jobs:
    """The shards of a list; arguments and errors are those of :func:`bike.shard.run.write_shards`."""
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
        follow_links=follow_links,
        fps=fps,
        frames_per_video=frames_per_video if payload == "mjpg" else None,
    )
    if payload == "mjpg" and (kept := [video.record.num_kept for video in videos if video.record.kept]):
        frames_per_video = min(max(kept), frames_per_video or max(kept))  # the packs have no more
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
    jobs = [
        ShardJob(shard, str(destination), _inputs_checksum(shard, options, class_names), class_names, frames_per_video)
        for shard in shards
    ]
    return Jobs(jobs, options, {video.key for video in videos})


def _inputs_checksum(shard: PlannedShard, options: dict[str, Any], names: tuple[str, ...] | None) -> str:
    """A hash of everything that decides a shard's bytes; its name in files is ``recipe``."""
    # Names of the labels used, not all: a class that is added elsewhere must not make every shard again.
    used = sorted({label for video in shard.videos for sample in video.samples for label in sample.labels})
    parts: list[Any] = [FORMAT, "crc32", options["payload"], options["frames_per_video"]]
    parts += ["kept"] if options["frames_per_video"] is not None else []  # earlier versions did not say which
    parts.append([[label, names[label]] for label in used if names is not None and label < len(names)])
    digest = hashlib.sha256(json.dumps(parts).encode())
    for video in shard.videos:
        rows = [[getattr(sample, name) for name in _SAMPLE_FIELDS] for sample in video.samples]
        row = [[getattr(video.record, name) for name in _RECORD_FIELDS], rows, video.checksum]
        row += [video.record.kept] if video.record.kept else []  # only there, so that other shards stay as they were
        digest.update(json.dumps(row).encode())
    return digest.hexdigest()


def check_ours(folder: Path) -> None:
    """Refuse a folder whose ``manifest.json`` is somebody else's."""
    path = folder / MANIFEST_NAME
    content: Any = {"format": FORMAT}
    with suppress(BikeError):  # none, or a damaged one
        content = read_json(path)
    if not (isinstance(content, dict) and str(content.get("format")).startswith("bike-shards")):
        raise BikeError(f"{path}: was not written by `bike shard`. Choose another folder for the shards.")


@dataclass(frozen=True, slots=True)
class ForeseenShards:
    """What would become of a folder of shards.

    Attributes:
        new, changed, unchanged, removed: shards.
        bytes: of the new and the changed, about.
    """

    new: int
    changed: int
    unchanged: int
    removed: int
    bytes: int


def foresee_shards(plan: Jobs, destination: Path, *, replace: bool = False) -> ForeseenShards:
    """What writing a plan would do; it raises what :func:`bike.shard.run.write_shards` would. Nothing is written."""
    check_ours(destination)
    owned, names = owned_shards(destination), {job.shard.name for job in plan.jobs}
    check_names(destination, names - owned)
    check_finished(destination, plan.keys, plan.options, replace)
    todo = unfinished(plan.jobs, destination)
    changed = sum((destination / job.shard.name).exists() for job in todo)
    size = sum(video.weight for job in todo for video in job.shard.videos)
    return ForeseenShards(len(todo) - changed, changed, len(names) - len(todo), len(owned - names), size)
