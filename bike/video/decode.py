"""Frames straight out of a video file, in a helper process with a time limit; two decoders behind one function."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from bike.errors import BikeError, DataError, one_line
from bike.files.names import shown
from bike.video.file import UnreadableError, VideoFile
from bike.video.picture import PictureConverter, plan_picture
from bike.video.stream import VideoStream, open_video
from bike.workers.pool import describe_failure
from bike.workers.worker import DiedError, TimedOutError, has_module, thread_worker

Frames = NDArray[np.uint8]
VideoInput = Path | str | bytes | VideoFile
Decoder = Literal["pyav", "decord"]


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What one pass over a video shows.

    Attributes:
        frames: pictures that decode.
        fps: their rate, 0.0 when unknown.
        width, height: px of a finished picture, upright and with square pixels.
        damage: why the video ends early, or an empty string.
    """

    frames: int
    fps: float
    width: int
    height: int
    damage: str = ""


def decode_frames(
    source: VideoInput,
    indices: Sequence[int],
    *,
    backend: Decoder = "pyav",
    short_side: int | None = None,
    timeout_seconds: float = 60.0,
) -> Frames:
    """Decode chosen frames of a video.

    Frame numbers count the pictures that decode, in display order, as :func:`probe_video` and ``bike extract`` count
    them. Pictures are upright, have square pixels, and are plain 8-bit RGB whatever the source.

    Args:
        source: a file, its bytes, or a part of a file.
        indices: frame numbers from 0, in any order, repeats allowed.
        backend: ``pyav``, or ``decord`` (extra ``decord``; fewer formats), whose frames are held against pyav's.
        short_side: shrink so that the shorter side has this many px; None, or a smaller video: as it is.
        timeout_seconds: the helper process is killed when decoding takes longer.

    Returns:
        uint8 (T, H, W, 3), in the order of ``indices``.

    Raises:
        DataError: the video is unreadable, has no such frame, or took too long; the message names it.
        BikeError: the backend is not installed.
    """
    check_decoder(backend)
    if not len(indices):
        raise ValueError("indices: none given")
    wanted = [int(index) for index in indices]
    result: Frames = _call(_decode, source, wanted, backend, short_side, timeout_seconds=timeout_seconds)
    return result


def check_decoder(name: str) -> Decoder:
    """``name`` as a decoder that can be used here.

    Raises:
        BikeError: neither ``pyav`` nor ``decord``, or not installed.
    """
    if name not in get_args(Decoder):
        raise BikeError(f"decoder: unknown (got {name!r}); pyav or decord.")
    if name == "decord" and not has_module("decord"):
        raise BikeError(
            'decoder decord: not installed. Install the extra (`pip install "bike-video[decord]"`) or use pyav.'
        )
    return cast(Decoder, name)


def probe_video(source: VideoInput, *, timeout_seconds: float = 60.0) -> VideoFacts:
    """Decode a video once for its true frame count, rate and size.

    Raises:
        DataError: it is unreadable, does not decode to its end, or took too long.
    """
    facts: VideoFacts = _call(_probe, source, timeout_seconds=timeout_seconds)
    if facts.damage:
        raise DataError(f"{_name(source)}: {facts.damage}. Get a sound copy, or leave it out.")
    return facts


def survey_video(source: VideoInput, *, timeout_seconds: float = 60.0) -> VideoFacts:
    """Decode a video once; as :func:`probe_video`, for callers that report the reason themselves.

    Raises:
        UnreadableError: nothing decodes, or it took too long; the text is the reason alone.
    """
    facts: VideoFacts = _run(_probe, source, timeout_seconds=timeout_seconds)
    return facts


def _run(function: Callable[..., Any], source: VideoInput, *args: Any, timeout_seconds: float) -> Any:
    try:
        return thread_worker().call(function, _absolute(source), *args, timeout_seconds=timeout_seconds)
    except (TimedOutError, DiedError) as error:
        raise UnreadableError(describe_failure(error, timeout_seconds), transient=True) from None


def _absolute(source: VideoInput) -> bytes | VideoFile:
    """The helper stays in the working folder that it was started in, wherever this process has gone since."""
    if isinstance(source, bytes):
        return source
    file = source if isinstance(source, VideoFile) else VideoFile(str(source))
    return VideoFile(os.path.abspath(file.path), file.start, file.num_bytes)  # noqa: PTH100


def _call(function: Callable[..., Any], source: VideoInput, *args: Any, timeout_seconds: float) -> Any:
    try:
        return _run(function, source, *args, timeout_seconds=timeout_seconds)
    except UnreadableError as error:
        raise DataError(f"{_name(source)}: {error}. Check the video, or leave it out.") from None


def _name(source: VideoInput) -> str:
    if isinstance(source, bytes):
        return f"video of {len(source)} bytes"
    return one_line(shown(str(source.path if isinstance(source, VideoFile) else source)))


def _open(source: bytes | VideoFile) -> IO[bytes]:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open()


def _probe(source: bytes | VideoFile) -> VideoFacts:
    with _open(source) as file, open_video(file) as video:
        frames = video.frames()
        plan = plan_picture(next(frames), video.pixel_aspect, None)
        for _ in frames:  # to the end: that is where counts and damage show
            pass
        return VideoFacts(video.num_frames, video.fps(), plan.width, plan.height, video.damage)


def _decode(source: bytes | VideoFile, wanted: list[int], backend: Decoder, short_side: int | None) -> Frames:
    with _open(source) as file:
        with open_video(file) as video:
            frames = _pick(video, wanted, short_side)
        if backend == "decord":
            from bike.video.decord import decode_with_decord

            return decode_with_decord(file, wanted, frames)
        return frames


def _pick(video: VideoStream, wanted: list[int], short_side: int | None) -> Frames:
    places: dict[int, list[int]] = {}
    for place, index in enumerate(wanted):
        places.setdefault(index, []).append(place)
    if min(places) < 0:
        raise UnreadableError(f"no frame {min(places)}")
    frames = video.frames()
    first = next(frames)  # it decides the size of all
    converter = PictureConverter(plan_picture(first, video.pixel_aspect, short_side))
    out = np.empty((len(wanted), converter.plan.height, converter.plan.width, 3), np.uint8)
    for index, frame in enumerate(chain([first], frames)):
        if index in places:
            out[places.pop(index)] = converter.rgb(frame)
            if not places:
                return out
    missing = f"no frame {max(places)} (it has {video.num_frames})"
    raise UnreadableError(f"{video.damage}; {missing}" if video.damage else missing)
