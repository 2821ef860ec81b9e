"""``bike extract --verify``: every source and every frame is what the manifest says, by reading all bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bike.errors import BikeError, DataError, one_line
from bike.extract.output import frames_sha256
from bike.extract.task import Layout
from bike.files import existing_dir
from bike.files.names import shown
from bike.formats.kept import KeptFrames
from bike.formats.packs import PACK_SUFFIX, scan_offsets
from bike.progress import progress
from bike.records import VideoRecord, read_manifest
from bike.video.file import UnreadableError, VideoFile
from bike.video.find import find_videos
from bike.workers.pool import run_tasks


@dataclass(frozen=True, slots=True)
class Verified:
    """What :func:`verify_extraction` read.

    Attributes:
        videos: rows of the manifest.
        unknown: rows without a hash of the source or of the frames: of an older version, or of a source that could not
            be read.
        faults: one line each.
    """

    videos: int
    unknown: int
    faults: list[str]


@dataclass(frozen=True, slots=True)
class _Check:
    record: VideoRecord
    file: VideoFile | None
    destination: str


def verify_extraction(
    source: Path | str,
    destination: Path | str,
    *,
    listing: Path | str | None = None,
    jobs: int | None = None,
    follow_links: bool = False,
) -> Verified:
    """Read all sources and all frames of an extraction again and compare them with its manifest.

    A second ``bike extract`` goes by sizes and times, which is quick, and which a file of equal size put back with its
    old time escapes. Nothing is written.

    Args:
        source, listing, follow_links: as for :func:`bike.extract.run.extract_videos`.
        destination: folder of the frames.
        jobs: processes; None: one per core.

    Raises:
        BikeError: no source, or no manifest.
    """
    destination = existing_dir(destination)
    records = read_manifest(destination / "manifest.csv")
    found = find_videos(source, listing=listing, exclude=destination, follow_links=follow_links)
    videos = {video.path: video for video in found}
    faults = [f"{shown(path)}: not in the manifest" for path in videos.keys() - {record.path for record in records}]
    checks = []
    for record in records:
        video = videos.get(record.path)
        if video is None or (video.problem and record.status == "ok"):
            faults.append(f"{shown(record.path)}: {video.problem if video else 'no longer in the source'}")
        file = None if video is None or video.problem else video.file
        checks.append(_Check(record, file, str(destination)))
    with progress("verify", len(checks), unit="videos") as job:
        for outcome in run_tasks(_check, checks, jobs=jobs):
            faults += outcome.get()
            job.advance()
    unknown = sum(
        not record.source_sha256 or (record.status == "ok" and not record.frames_sha256) for record in records
    )
    return Verified(len(records), unknown, sorted(faults))


def _check(check: _Check) -> list[str]:
    return [f"{shown(check.record.path)}: {fault}" for fault in _faults(check.record, check.file, check.destination)]


def _faults(record: VideoRecord, file: VideoFile | None, destination: str) -> Iterator[str]:
    if file is not None and record.source_sha256:
        try:
            if file.sha256() != record.source_sha256:
                yield "the source is not the one that was extracted"
        except UnreadableError as error:
            yield str(error)
    if record.status != "ok":
        return
    folder = Path(destination)
    pack = folder / f"{record.key}{PACK_SUFFIX}"
    try:
        KeptFrames.parse(record.kept, record.frames)
        if record.frames_sha256:
            layout: Layout = "packs" if pack.is_file() or not (folder / record.key).is_dir() else "folders"
            if frames_sha256(folder, record.key, layout) != record.frames_sha256:
                yield f"the frames ({shown(record.key)}) are not those that were written"
        elif pack.is_file():  # of a manifest without hashes: their number at least
            count = len(scan_offsets(pack.read_bytes())) - 1
            if count != record.num_kept:
                raise DataError(f"{count} frames, {record.num_kept} in the manifest")
    except (BikeError, OSError) as error:
        yield f"the frames ({shown(record.key)}): {one_line(error)}"
