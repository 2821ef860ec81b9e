"""What one extraction is asked to do, and what it found: small records that travel between processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bike.records import VideoRecord
from bike.video.file import VideoFile

Layout = Literal["packs", "folders"]
Backend = Literal["pyav", "ffmpeg"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How videos become frames.

    Attributes:
        short_side_px: the shorter side is shrunk to this; smaller videos keep their size.
        fps: frames per second to resample to; None keeps every frame, whatever its time.
        quality: ffmpeg's JPEG scale, 1 (best) to 31.
        backend: ``pyav`` (in process) or ``ffmpeg`` (one command per video).
        keep_partial: keep the sound beginning of a video that does not decode to its end.
        layout: ``packs`` writes ``<key>.mjpg``, ``folders`` writes ``<key>/img_00001.jpg`` and so on.
    """

    short_side_px: int = 256
    fps: float | None = None
    quality: int = 2
    backend: Backend = "pyav"
    keep_partial: bool = False
    layout: Layout = "packs"


@dataclass(frozen=True, slots=True)
class Task:
    """One video to extract: where its bytes are and where its frames go. ``path`` is what the manifest calls it."""

    key: str
    path: str
    file: VideoFile
    destination: str
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class Facts:
    """What was written for one video: size of its pictures in px, frames per second, and what ended it early, if so."""

    width: int
    height: int
    fps: float
    damage: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """The manifest row of one video, and what decides whether a later run may keep it.

    Attributes:
        record: the row.
        partial: some frames decode, but not all: ``keep_partial`` decides.
        passing: the reason may be gone next time (a crash, no permission).
        limit_seconds: the time limit that was not enough; 0 when it was.
    """

    record: VideoRecord
    partial: bool = False
    passing: bool = False
    limit_seconds: float = 0.0


def rejected(
    key: str, path: str, reason: str, *, partial: bool = False, passing: bool = False, limit_seconds: float = 0.0
) -> Result:
    """The result for a video that can't be used."""
    record = VideoRecord(key=key, path=path, status="rejected", error=reason)
    return Result(record, partial, passing, limit_seconds)


def jpeg_quality(ffmpeg_quality: int) -> int:
    """The JPEG library's quality (1 to 100) whose tables are about as coarse as ffmpeg's ``-q:v``: 2 ↦ 90, 5 ↦ 75.

    ffmpeg scales its table by q / 8, the library by (200 − 2 · quality) % from 50 up and by 5000 / quality % below.
    """
    percent = 10 * ffmpeg_quality
    return round(100 - percent / 2) if percent <= 100 else max(1, round(5000 / percent))
