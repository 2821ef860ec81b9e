"""Chosen pictures of a video without decoding the rest, where its packets say surely which picture is where.

:func:`plan_seeks` reads the packets of a file, which costs little, and :func:`read_sought` decodes from the key picture
before each chosen one. Both belong in a helper process. They give the pictures and numbers of decoding it all, or raise
:class:`UntrustedError`: then decode it all.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import av
import av.logging
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from bike.video.container import READ_ERRORS, choose_track, open_container
from bike.video.file import VideoFile
from bike.video.picture import PictureConverter, plan_picture
from bike.video.stream import open_video

# In these a packet says where it is, and when its picture is shown. The rest is decoded whole.
_CONTAINERS = ("mov,mp4", "matroska", "avi", "mpegts")
_CODECS = ("h264", "hevc", "mpeg2video", "mjpeg", "vp9", "libdav1d")  # one packet, one picture: MPEG-4's may be empty
_LONGEST_STEP_SECONDS = 10.0  # a clock that jumps further may have been set anew


class UntrustedError(Exception):
    """What the packets say may not be what decoding gives."""


@dataclass(frozen=True, slots=True, eq=False)
class SeekPlan:
    """Where the N pictures of a video are.

    Attributes:
        seconds: (N,) float64, when each is shown, from the first one on.
        fps: their rate, 0.0 when unknown.
        stamps: (N,) int64, the time of presentation of each, in the stream's ticks; rising.
        keys: (K, 3) int64, of each key picture its time of presentation, its time of decoding, and where in the file
            its packet begins (bytes).
    """

    seconds: NDArray[np.float64]
    fps: float
    stamps: NDArray[np.int64]
    keys: NDArray[np.int64]


def plan_seeks(source: bytes | VideoFile) -> SeekPlan:
    """Read the packets of a video, and decode none but, where the file has no index, the first and the last.

    Raises:
        UntrustedError: decode it all: another container or codec, damage, pictures without times, or in no order.
        UnreadableError: it can't be opened.
    """
    with opened(source) as file:
        with open_video(file) as video:
            count = video.skim()
            if video.expected not in (None, count) or video.missing_end(count):
                raise UntrustedError
            fps = video.fps(count)
        with _track(file) as (container, stream):
            _check_kind(container, stream)
            # Rows, not packets: those hold the whole file.
            rows = [
                (p.pts, p.dts, p.pos, p.is_keyframe, p.is_discard, p.is_corrupt, p.duration)
                for p in container.demux(stream)
                if p.size
            ]
            plan = _plan(rows, count, fps, float(stream.time_base))
            if container.format.name == "mpegts":
                if len({row[-1] for row in rows}) > 1:  # some are single fields
                    raise UntrustedError
                pictures = _Pictures(container, stream, plan)
                pictures.at(0)
                pictures.at(count - 1)  # nothing else tells that the last packet was cut off
            return plan


def _check_kind(container: Any, stream: Any) -> None:
    name, context = container.format.name, stream.codec_context
    if not name.startswith(_CONTAINERS) or context.name not in _CODECS:
        raise UntrustedError
    if name == "avi" and context.has_b_frames:  # it has no times of presentation
        raise UntrustedError


def _plan(rows: list[tuple[Any, ...]], count: int, fps: float, tick_seconds: float) -> SeekPlan:
    if not rows or any(None in (pts, place) or corrupt for pts, _, place, _, _, corrupt, _ in rows):
        raise UntrustedError
    decoded = np.array([row[1] for row in rows if row[1] is not None])  # Matroska: not of the first few
    table = np.array([(pts, pts if dts is None else dts, place) for pts, dts, place, *_ in rows], np.int64)
    is_key, is_hidden = np.array([row[3:5] for row in rows], bool).T
    keys = table[is_key]
    stamps = np.sort(table[~is_hidden, 0])
    seconds = (stamps - stamps[:1]) * tick_seconds
    sound = (
        len(stamps) == count > 0
        and is_key[0]
        and stamps[0] >= keys[0, 0]  # no pictures that need some from before the beginning
        and all((np.diff(row) > 0).all() for row in (stamps, decoded, keys[:, 0], keys[:, 2]))
        and (np.diff(seconds) <= _LONGEST_STEP_SECONDS).all()
    )
    if not sound:
        raise UntrustedError
    return SeekPlan(seconds, fps, stamps, keys)


def read_sought(
    source: bytes | VideoFile, plan: SeekPlan, wanted: list[int], short_side: int | None
) -> tuple[NDArray[np.uint8], int]:
    """Decode chosen pictures.

    Args:
        source: the video that ``plan`` is of.
        plan: of :func:`plan_seeks`.
        wanted: numbers of pictures, from 0 to N - 1, in any order, repeats allowed.
        short_side: as for :func:`bike.video.decode.decode_frames`.

    Returns:
        uint8 (T, H, W, 3) in the order of ``wanted``, and how many packets were decoded.

    Raises:
        UntrustedError: a picture is not where the plan says, or anything was complained of.
    """
    places: dict[int, list[int]] = {0: []}  # the first picture decides the size of all
    for place, index in enumerate(wanted):
        places.setdefault(index, []).append(place)
    with opened(source) as file, _track(file) as (container, stream):
        pictures = _Pictures(container, stream, plan)
        first = pictures.at(0)
        converter = PictureConverter(plan_picture(first, stream.sample_aspect_ratio, short_side))
        out = np.empty((len(wanted), converter.plan.height, converter.plan.width, 3), np.uint8)
        for index in sorted(places):
            if places[index]:
                out[places[index]] = converter.rgb(first if index == 0 else pictures.at(index))
        return out, pictures.num_packets


class _Pictures:
    """The pictures of an open container by number, in rising order; goes on decoding, or seeks, whichever is less."""

    def __init__(self, container: Any, stream: Any, plan: SeekPlan) -> None:
        self._container, self._stream, self._plan = container, stream, plan
        self._key = -1  # the key picture that decoding began at, or passed
        self._decoded: Iterator[VideoFrame] = iter(())
        self.num_packets = 0

    def at(self, index: int) -> VideoFrame:
        stamp = int(self._plan.stamps[index])
        key = int(np.searchsorted(self._plan.keys[:, 0], stamp, side="right")) - 1
        if key != self._key:
            self._key, self._decoded = key, self._decode_from(*self._plan.keys[key].tolist())
        for frame in self._decoded:
            if frame.is_corrupt or frame.interlaced_frame:  # a picture may be two packets
                break
            if frame.pts == stamp:
                return frame
        raise UntrustedError

    def _decode_from(self, key_pts: int, key_dts: int, key_byte: int) -> Iterator[VideoFrame]:
        self._container.seek(key_dts, stream=self._stream)
        packets = self._container.demux(self._stream)
        for packet in packets:
            if (packet.pts, packet.pos) == (key_pts, key_byte):
                break
        else:
            raise UntrustedError
        while packet is not None:
            # Pictures shown before the key picture that they follow may need some from before it.
            if packet.pts is None or packet.pts >= key_pts:
                self.num_packets += packet.size > 0
                yield from packet.decode()
            packet = next(packets, None)


@contextmanager
def _track(file: IO[bytes]) -> Iterator[tuple[Any, Any]]:
    """An open container and its film.

    Raises:
        UntrustedError: at the end, where the reader or the decoder complained of anything, or failed.
    """
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)
    try:
        with av.logging.Capture() as logs, open_container(file) as container:
            yield container, choose_track(container, file)[0]
            if logs:
                raise UntrustedError
    except READ_ERRORS:
        raise UntrustedError from None


def opened(source: bytes | VideoFile) -> IO[bytes]:
    """A video's bytes as a file."""
    return io.BytesIO(source) if isinstance(source, bytes) else source.open()
