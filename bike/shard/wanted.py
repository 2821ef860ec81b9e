"""What a list asks to be stored: its samples, grouped by video, with the video's record and the place of its frames."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bike.errors import DataError, first_few
from bike.files import existing_dir
from bike.files.names import leads_out
from bike.formats.lists import load_samples
from bike.formats.packs import PACK_SUFFIX
from bike.records import Sample, VideoRecord, contradiction, read_labels, read_manifest
from bike.shard.payload import PayloadSource, quick_checksum
from bike.shard.plan import PlannedVideo
from bike.video.file import FoundVideo
from bike.video.find import find_videos, problem_of
from bike.video.walk import LEADS_OUT, is_link_out

# What to do where list and frames don't fit: one for each problem; where several are needed, in this order.
_EXTRACT = "Run `bike extract` again: it makes what is missing."
_ANNOTATE = "Write the list again (`bike annotate`)."
_FPS = "Give --fps."
_NOT_THERE = "not in the manifest"


class _UnusableError(DataError):
    """A video of the list that can't be stored, and what helps."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.remedy = remedy


def wanted_videos(
    samples: Sequence[Sample] | Path | str,
    frames: Path,
    *,
    manifest: Path | str | None,
    names: Sequence[str] | None,
    media: Path | str | None,
    follow_links: bool,
    fps: float | None,
    frames_per_video: int | None,
) -> tuple[list[PlannedVideo], tuple[str, ...] | None]:
    """Group a list's samples by video and find each one's record and source; see :func:`bike.shard.run.write_shards`.

    Returns:
        The videos, in the order in which the list names them first; and class names by label, or None.

    Raises:
        DataError: videos without a record or a source, rejected ones, or files that contradict each other.
    """
    if isinstance(samples, (str, Path)):
        path = Path(samples)
        samples = load_samples(path)
        if names is None and (path.parent / "labels.csv").is_file():
            names = read_labels(path.parent / "labels.csv")
    if not samples:
        raise DataError("Nothing to shard: the list has no rows.")
    if media is None:
        existing_dir(frames)
    if manifest is None and (frames / "manifest.csv").is_file():
        manifest = frames / "manifest.csv"
    known = {record.key: record for record in read_manifest(manifest)} if manifest is not None else None
    if media is not None and known is None:
        raise DataError("payload mp4: true frame counts are needed. Give the --manifest that `bike extract` wrote.")
    files = None if media is None else {video.path: video for video in find_videos(media, follow_links=follow_links)}
    root = None if follow_links else os.path.realpath(frames)
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.video, []).append(sample)
    del samples, sample  # what was read here goes as it is turned into videos
    videos, bad, count, remedies = [], [], len(groups), set()
    for key in list(groups):
        group = groups.pop(key)
        try:
            record = _folder_record(group, frames, fps) if known is None else _known_record(key, group, known)
            source = _place(record, frames, files, root, packs=known is not None)
            videos.append(_weigh(record, group, source, frames_per_video))
        except DataError as error:
            bad.append(str(error).removesuffix("."))
            by_default = _EXTRACT if known is not None and media is None else ""  # frames are lost, or were changed
            remedies.add(error.remedy if isinstance(error, _UnusableError) else by_default)
    if bad:
        told = " ".join(remedy for remedy in (_EXTRACT, _ANNOTATE, _FPS) if remedy in remedies)
        # Some of the list: an extraction that is behind it. All of it: most likely another folder's list.
        if len(bad) == count and all(problem.endswith(_NOT_THERE) for problem in bad):
            told = f"Does the list belong to these frames? Give others. {_ANNOTATE}"
        problems = f"{len(bad)} of {count} videos of the list are not usable: {first_few(bad)}."
        raise DataError(f"{media or frames}: {problems} {told}".rstrip())
    return videos, None if names is None else tuple(names)


def is_of_size(record: VideoRecord, num_bytes: int) -> bool:
    """Whether a frame pack of so many bytes can be a record's; one of a manifest without sizes can always."""
    return record.bytes in (0, num_bytes)


def _weigh(
    record: VideoRecord, samples: list[Sample], source: PayloadSource, frames_per_video: int | None
) -> PlannedVideo:
    """A video with the bytes it will take: an upper bound, or an estimate when frames are left out."""
    size, checksum = quick_checksum(source)
    is_pack = isinstance(source, str) and source.endswith(PACK_SUFFIX)  # the manifest says sizes of packs only
    if is_pack and not is_of_size(record, size):
        raise DataError(f"{source}: {size} bytes, the manifest says {record.bytes}.")
    if frames_per_video is not None and record.num_kept > frames_per_video:
        size = size * frames_per_video // record.num_kept
    # Rather too much: JSON may escape a letter by six characters, an offset takes up to ten and a checksum eleven; 4096
    # for tar headers.
    rows = sum(120 + len(sample.key) + 8 * len(sample.labels) for sample in samples)
    described = 600 + len(record.path) * 6 + 21 * record.frames + rows
    own = tuple(_sharing(sample, record) for sample in sorted(samples, key=lambda sample: sample.key))
    return PlannedVideo(record, own, source, size + described + 4096, checksum)


def _sharing(sample: Sample, record: VideoRecord) -> Sample:
    """The same sample with the record's strings, so that a list of a million rows holds them once."""
    key = record.key if sample.key == record.key else sample.key
    path = record.path if sample.path == record.path else sample.path
    return replace(sample, key=key, video=record.key, path=path)


def _known_record(key: str, group: list[Sample], known: dict[str, VideoRecord]) -> VideoRecord:
    # A published list of an extraction into folders has keys where others have paths.
    record = known.get(key) or known.get(group[0].path)
    if record is None:
        raise _UnusableError(f"{group[0].path}: {_NOT_THERE}", _EXTRACT)
    if record.status != "ok":
        raise _UnusableError(f"{group[0].path}: rejected by the extraction ({record.error})", _ANNOTATE)
    if record.frames < 1:
        raise _UnusableError(f"{group[0].path}: 0 frames in the manifest", _EXTRACT)
    problem = next(filter(None, (contradiction(sample, record.frames, record.fps) for sample in group)), None)
    if problem is not None:
        raise _UnusableError(f"{group[0].path}: {problem}", _ANNOTATE)
    return record


def _folder_record(group: list[Sample], frames: Path, fps: float | None) -> VideoRecord:
    """A record for a published-style frame folder; its frames are counted when they are stored."""
    sample = group[0]
    if fps is None and any(s.start_seconds is not None or s.end_seconds is not None for s in group):
        raise _UnusableError(f"{sample.path}: trimmed, but the frames per second are not known", _FPS)
    rate = fps or 0.0
    seconds = sample.frames / rate if rate else 0.0
    return VideoRecord(sample.video, sample.path, "ok", sample.frames, fps=rate, seconds=seconds)


def _place(
    record: VideoRecord, frames: Path, files: dict[str, FoundVideo] | None, root: str | None, *, packs: bool
) -> PayloadSource:
    if files is not None:
        if problem := problem_of(record.path, files):
            raise DataError(f"{record.path}: {problem}.")
        return files[record.path].file
    # With a manifest the key says where frames lie; without one it is a published layout, in which the path does.
    pack = frames / f"{record.key}{PACK_SUFFIX}"
    if packs or pack.is_file():
        folder = frames / record.key  # of an extraction with folders as its layout
        if pack.is_file() or not folder.is_dir():
            return str(pack)
    else:
        folder = frames / record.path
        if leads_out(record.path):
            raise DataError(f"{record.path}: leads out of the folder. Use paths relative to it, without `..`.")
    if root is not None and is_link_out(str(folder), root, anywhere=True):
        raise DataError(f"{record.path}: {LEADS_OUT}.")
    return str(folder)
