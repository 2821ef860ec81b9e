"""What frame packs and shards will take, in bytes and hours, before they are made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av

from bike.params import Params
from bike.project.dataset import Source
from bike.project.media import Medium
from bike.records import VideoRecord
from bike.video.container import choose_track, open_container
from bike.video.file import FoundVideo, UnreadableError, VideoFile
from bike.video.find import find_videos
from bike.workers.pool import run_tasks

FRAME_BYTES = 16e3  # of 340×256 at quality 2, docs/data_engine.md
_PIXELS = 340 * 256
# Measured on two cores: frames/s of extraction by the size of the source (docs/benchmarks.md), bytes/s of sharding.
SPEEDS = {"340×256": 3662.0, "1280×720": 675.0}
SHARD_SPEED = 55e6
LOOKED_AT = 20  # videos whose headers are read


@dataclass(frozen=True, slots=True)
class Footage:
    """Videos that are alike.

    Attributes:
        count: how many.
        frames, seconds: of each.
        width, height: pixels of a frame.
    """

    count: float
    frames: float
    seconds: float
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Takes:
    """Frames, bytes and hours, of extraction on two cores."""

    decoded: float = 0.0
    kept: float = 0.0
    pack_bytes: float = 0.0
    shard_bytes: float = 0.0
    extract_hours: float = 0.0

    @property
    def shard_hours(self) -> float:
        """Hours of writing the shards."""
        return self.shard_bytes / SHARD_SPEED / 3600


def estimate(footage: Iterable[Footage], params: Params) -> Takes:
    """What videos will take under the sections ``extract`` and ``shard``; as frames of photographs do."""
    options, total = params.extract, Takes()
    for each in footage:
        kept = each.frames if options.fps is None else min(each.frames, each.seconds * options.fps)
        kept = min(kept, options.frames_per_video or kept)
        pixels = each.width * each.height
        frame_bytes = FRAME_BYTES * pixels / _PIXELS * min(1.0, options.short_side / min(each.width, each.height)) ** 2
        total = Takes(
            decoded=total.decoded + each.count * each.frames,
            kept=total.kept + each.count * kept,
            pack_bytes=total.pack_bytes + each.count * kept * frame_bytes,
            shard_bytes=total.shard_bytes + each.count * min(kept, params.shard.frames_per_video or kept) * frame_bytes,
            extract_hours=total.extract_hours + each.count * each.frames * _decode_seconds(pixels) / 3600,
        )
    return total


def _decode_seconds(pixels: int) -> float:
    """Seconds a frame, on the line through the two sizes that were measured; at least those of the smaller."""
    small, large = (1 / SPEEDS[size] for size in ("340×256", "1280×720"))
    return max(small, small + (large - small) * (pixels - _PIXELS) / (1280 * 720 - _PIXELS))


def made(records: Iterable[VideoRecord], params: Params) -> Takes:
    """What an extraction made, by its manifest, and what shards of it will take."""
    total = Takes()
    for record in records:
        kept = max(1, record.num_kept)
        share = min(kept, params.shard.frames_per_video or kept) / kept
        total = Takes(
            decoded=total.decoded + record.frames,
            kept=total.kept + record.num_kept,
            pack_bytes=total.pack_bytes + record.bytes,
            shard_bytes=total.shard_bytes + record.bytes * share,
        )
    return total


def footage_of_source(source: Source) -> Footage:
    """A data set's videos as its authors describe them."""
    width, height = map(int, source.size.split("×"))
    return Footage(source.videos, source.seconds * source.fps, source.seconds, width, height)


def look_at(media: Sequence[Medium], media_file: Path, videos: Path) -> list[Footage]:
    """The videos of ``media.csv``, as :func:`footage_of` has them."""
    listed = {row.path for row in media}
    return footage_of([v for v in find_videos(videos, listing=media_file, follow_links=True) if v.path in listed])


def footage_of(videos: Sequence[FoundVideo]) -> list[Footage]:
    """Videos by the headers of a few: each stands for those of about its size in bytes.

    Videos whose header says nothing are passed over.
    """
    ordered = sorted(videos, key=lambda video: (video.stamp[:1], video.path))  # a stamp begins with the size
    groups = min(LOOKED_AT, len(ordered))
    edges = [len(ordered) * number // groups for number in range(groups + 1)] if groups else []
    counts = {ordered[(low + high) // 2].path: high - low for low, high in pairwise(edges)}
    files = [(video.path, video.file) for video in ordered if video.path in counts]
    found: list[Footage] = []
    # In a helper process: a damaged file may hang the program that opens it.
    for outcome in run_tasks(_header, files, jobs=1, timeout_seconds=10):
        if outcome.value is not None:
            found.append(Footage(counts[outcome.task[0]], *outcome.value))
    scale = len(videos) / sum(each.count for each in found) if found else 0.0
    return [Footage(each.count * scale, each.frames, each.seconds, each.width, each.height) for each in found]


def _header(named: tuple[str, VideoFile]) -> tuple[float, float, int, int] | None:
    """Frames, seconds, width and height as a file states them; None where it does not."""
    try:
        with named[1].open() as file, open_container(file) as container:
            stream, _ = choose_track(container, file)
            seconds = (container.duration or 0) / av.time_base
            frames = stream.frames or seconds * float(stream.average_rate or 0)
            size = stream.codec_context.width, stream.codec_context.height
    except (UnreadableError, av.error.FFmpegError, OSError):
        return None
    return (float(frames), seconds, *size) if frames > 0 and min(size) > 0 else None


def hours_text(hours: float) -> str:
    """Such as ``3.4 hours``, ``12 min`` or ``less than a minute``."""
    if hours >= 1.5:
        return f"{hours:.1f} hours"
    return f"{60 * hours:.0f} min" if 60 * hours >= 1 else "less than a minute"
