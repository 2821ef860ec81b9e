"""What one extraction is asked to do, and what it found: small records that travel between processes."""

from __future__ import annotations

import functools
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from bike.records import VideoRecord
from bike.video.file import VideoFile

if TYPE_CHECKING:
    from bike.params import Extract

JOURNAL_FORMAT = 3  # raise when the same options give other frames
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
        frames_per_video: scale and encode so many, see :func:`bike.formats.kept.placed_frames`; None: all.
        layout: ``packs`` writes ``<key>.mjpg``, ``folders`` writes ``<key>/img_00001.jpg`` and so on.
    """

    short_side_px: int = 256
    fps: float | None = None
    quality: int = 2
    backend: Backend = "pyav"
    keep_partial: bool = False
    frames_per_video: int | None = None
    layout: Layout = "packs"

    @classmethod
    def of(cls, options: Extract, layout: Layout) -> Recipe:
        """What the section ``extract`` asks for."""
        return cls(
            short_side_px=options.short_side,
            fps=options.fps,
            quality=options.quality,
            backend=options.backend,
            keep_partial=options.keep_partial,
            frames_per_video=options.frames_per_video,
            layout=layout,
        )


@dataclass(frozen=True, slots=True)
class Task:
    """One video to extract: where its bytes are and where its frames go. ``path`` is what the manifest calls it."""

    key: str
    path: str
    file: VideoFile
    destination: str
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class Result:
    """The manifest row of one video, and what decides whether a later run may keep it: a line of the journal.

    Attributes:
        record: the row.
        partial: some frames decode, but not all: ``keep_partial`` decides.
        transient: worth another try (a crash, no permission); such a result is not noted.
        limit_seconds: the time limit that was not enough; 0 when it was.
        stamp: of the file it was made of, see :class:`bike.video.file.FoundVideo`.
        recipe: the options it was made with, as :func:`recipe_text` says them.
        keep_partial: the option that is not in ``recipe``.
    """

    record: VideoRecord
    partial: bool = False
    transient: bool = False
    limit_seconds: float = 0.0
    stamp: tuple[int, ...] = ()
    recipe: str = ""
    keep_partial: bool = False


def rejected(
    key: str, path: str, reason: str, *, partial: bool = False, transient: bool = False, limit_seconds: float = 0.0
) -> Result:
    """The result for a video that can't be used."""
    return Result(VideoRecord(key, path, "rejected", error=reason), partial, transient, limit_seconds)


@functools.lru_cache(maxsize=8)
def recipe_text(recipe: Recipe) -> str:
    """The options that decide the frames of a sound video, as JSON; one string for all videos of a run."""
    options = {"format": JOURNAL_FORMAT, **asdict(recipe)}
    del options["keep_partial"]
    if recipe.frames_per_video is None:  # as in journals of earlier versions
        del options["frames_per_video"]
    return json.dumps(options, sort_keys=True)


def jpeg_quality(ffmpeg_quality: int) -> int:
    """The JPEG library's quality (1 to 100) whose tables are about as coarse as ffmpeg's ``-q:v``: 2 ↦ 90, 5 ↦ 75.

    ffmpeg scales its table by q / 8, the library by (200 − 2 · quality) % from 50 up and by 5000 / quality % below.
    """
    percent = 10 * ffmpeg_quality
    return round(100 - percent / 2) if percent <= 100 else max(1, round(5000 / percent))
