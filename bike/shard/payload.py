"""What a shard stores for a video: its frame pack (or a part of it), a folder of JPEGs, or the video file itself."""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import simplejpeg

from bike.errors import DataError, one_line
from bike.files import reading, unreadable
from bike.formats.folders import frame_files
from bike.formats.kept import KeptFrames, placed_frames
from bike.formats.packs import jpeg_checksum, scan_offsets
from bike.records import Sample, VideoRecord, instance_range
from bike.video.file import UnreadableError, VideoFile

PayloadSource = str | VideoFile
_PIECE_BYTES = 4096  # a page, which a disk reads anyway


@dataclass(frozen=True, slots=True)
class Stored:
    """The two members of a video: JSON first, then the payload under its extension."""

    json: bytes
    payload: bytes
    extension: str


def quick_checksum(source: PayloadSource) -> tuple[int, str]:
    """Bytes of a source, and a checksum of a part of it.

    Of a file, its size and three pieces of 4 KB; of a folder, its frames' names and sizes: enough to notice that a pack
    was made again, and cheap for a million of them. ``bike shard --verify`` reads everything.

    Raises:
        DataError: there is no such file or folder, or it can't be read.
    """
    if isinstance(source, str) and Path(source).is_dir():
        sizes = [(file.name, file.stat().st_size) for file in frame_files(Path(source))]
        return sum(size for _, size in sizes), f"{zlib.crc32(repr(sizes).encode()):08x}"
    with _opened(source) as file:
        size = file.seek(0, os.SEEK_END)
        crc = zlib.crc32(str(size).encode())
        # JPEGs that were made again differ nearly everywhere, so the beginning, middle and end will do.
        for position in (0, max(0, size // 2 - _PIECE_BYTES // 2), max(0, size - _PIECE_BYTES)):
            file.seek(position)
            crc = zlib.crc32(file.read(_PIECE_BYTES), crc)
        return size, f"{crc:08x}"


@contextmanager
def _opened(source: PayloadSource) -> Iterator[IO[bytes]]:
    """A file or a part of one, open for reading; what goes wrong becomes a DataError."""
    video = source if isinstance(source, VideoFile) else VideoFile(source)
    try:
        with video.open() as file:
            yield file
    except UnreadableError as error:
        raise DataError(f"{video.path}: {error}.") from error
    except OSError as error:
        raise unreadable(video.path, error) from error


def store_video(
    source: PayloadSource,
    record: VideoRecord,
    samples: Sequence[Sample],
    *,
    names: Sequence[str] | None,
    frames_per_video: int | None,
) -> Stored:
    """Read a video's payload and describe it.

    Args:
        source: a frame pack (``.mjpg``), a folder of JPEGs, or a video file (on disk or in a tar), stored as it is.
        record: the video's row of the manifest; a zero width or height is read from the first frame.
        samples: the rows of the list that use the video.
        names: class names by label, None where there are none.
        frames_per_video: frames to keep, None for all.

    Raises:
        DataError: the payload can't be read, or does not hold as many frames as the manifest says (a video file: not
            by far, and at another rate).
    """
    if isinstance(source, VideoFile):
        _check_rate(source, record)
        whole = KeptFrames.all_of(record.frames)
        return Stored(_describe(record, samples, names, whole, None), _read(source), _extension(record.path))
    pieces, checksums = _jpegs(source)
    there, wanted = KeptFrames.parse(record.kept, record.frames), placed_frames(record.frames, frames_per_video)
    if len(pieces) != record.num_kept:
        raise DataError(
            f"{record.path}: {Path(source).name} holds {len(pieces)} frames, its record says {record.num_kept}. "
            "Write the list again (`bike annotate`), after `bike extract` where that made the frames."
        )
    places = sorted({*there.places(wanted)})  # of a pack that was thinned itself, those nearest to the wanted ones
    kept = KeptFrames(record.frames, [there.indices[place] for place in places])
    _check_samples(samples, record, kept)
    offsets = [0]
    for place in places:
        offsets.append(offsets[-1] + len(pieces[place]))
    if not (record.width and record.height):  # of a frame folder: no manifest knows its pictures
        height, width = _shape(bytes(pieces[0]), record.path)
        record = replace(record, width=width, height=height)
    described = _describe(record, samples, names, kept, offsets, [checksums[place] for place in places])
    return Stored(described, b"".join(pieces[place] for place in places), "mjpg")


def _check_samples(samples: Sequence[Sample], record: VideoRecord, kept: KeptFrames) -> None:
    """See that something is stored of every trimmed sample."""
    for sample in samples:
        if record.fps and (sample.start_seconds is not None or sample.end_seconds is not None):
            span = instance_range(record.frames, record.fps, sample.start_seconds, sample.end_seconds)
            with reading(f"{record.path}, sample {sample.key}"):
                kept.places((), span)


def _check_rate(video: VideoFile, record: VideoRecord) -> None:
    """See that a manifest counts the video's own frames: those of an extraction with ``--fps`` are others."""
    from bike.video.stream import open_video  # a decoder's 50 MB in each process, where packs need none

    try:
        with video.open() as file, open_video(file) as stream:
            count = stream.skim()
            rates = [stream.fps(count), 1 / stream.frame_seconds()]
    except UnreadableError as error:
        raise DataError(f"{record.path}: {error}.") from error
    # Some packets show nothing (VP8's references), and some headers state another rate than the frames have.
    other_rate = all(abs(rate - record.fps) > 0.03 * rate for rate in rates)
    if other_rate and abs(count - record.frames) > max(3, 0.03 * count):
        raise DataError(
            f"{record.path}: about {count} frames at {rates[0]:g} a second, the manifest says {record.frames} at "
            f"{record.fps:g}. Videos need the manifest of an extraction without --fps."
        )


def _jpegs(source: str) -> tuple[list[memoryview], list[int]]:
    """The JPEGs of a pack or folder, unchanged since they were written where they say so, and their CRC-32."""
    folder = Path(source)
    files = list(map(str, frame_files(folder))) if folder.is_dir() else [source]
    pieces = [memoryview(_read(file)) for file in files]
    with reading(source):
        if not folder.is_dir():
            pieces = [pieces[0][start:end] for start, end in pairwise(scan_offsets(pieces[0]))]
        return pieces, [jpeg_checksum(piece, number) for number, piece in enumerate(pieces)]


def _read(source: PayloadSource) -> bytes:
    with _opened(source) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        # Into one buffer: the file is unbuffered and may come in pieces, and a video can have gigabytes.
        data = bytearray(size)
        view, done = memoryview(data), 0
        while done < size and (count := file.readinto(view[done:])):  # type: ignore[attr-defined]
            done += count
        view.release()
    if done < size:
        name = source.path if isinstance(source, VideoFile) else source
        raise DataError(f"{name}: became shorter while it was read.")
    return bytes(data)


def _shape(jpeg: bytes, path: str) -> tuple[int, int]:
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(jpeg)
    except ValueError as error:
        raise DataError(f"{path}: the first frame is not a JPEG ({one_line(error)}).") from error
    return int(height), int(width)


def _extension(path: str) -> str:
    # `json` and `mjpg` mean something else in a shard.
    suffix = Path(path).suffix[1:].lower()
    return suffix if re.fullmatch(r"[a-z0-9]{1,5}", suffix, re.ASCII) and suffix not in ("json", "mjpg") else "mp4"


def _describe(
    record: VideoRecord,
    samples: Sequence[Sample],
    names: Sequence[str] | None,
    kept: KeptFrames,
    offsets: list[int] | None,
    checksums: list[int] | None = None,
) -> bytes:
    """The JSON member; ``labels`` are those of the whole video where the list has them, otherwise of all samples."""
    whole = next((s for s in samples if s.start_seconds is None and s.end_seconds is None), None)
    labels = list(whole.labels) if whole else sorted({label for s in samples for label in s.labels})
    label = labels[0] if labels else None
    content: dict[str, Any] = {
        "key": record.key,
        "path": record.path,
        "frames": record.frames,
        "fps": record.fps,
        "width": record.width,
        "height": record.height,
        "seconds": record.seconds,
        **({"kept": list(kept.indices)} if kept.text else {}),
        "offsets": offsets,
        "crc32": checksums,
        "label": label,
        "labels": labels,
        "name": names[label] if names is not None and label is not None and label < len(names) else None,
        "instances": [
            {"key": s.key, "labels": list(s.labels), "start_seconds": s.start_seconds, "end_seconds": s.end_seconds}
            for s in samples
        ],
    }
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
