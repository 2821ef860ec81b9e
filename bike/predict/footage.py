"""A video as predictions take it: when each of its pictures is shown, and chosen pictures of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bike.errors import BikeError, DataError, one_line
from bike.files.names import shown
from bike.predict.seek import SeekPlan, UntrustedError, opened, plan_seeks, read_sought
from bike.predict.windows import part_of
from bike.video.decode import Decoder, Frames, VideoInput, decode_frames
from bike.video.file import UnreadableError, VideoFile
from bike.video.stream import open_video
from bike.workers.pool import describe_failure
from bike.workers.worker import thread_worker

ARRAY_FPS = 25.0


class Footage:
    """A video, decoded in a helper process with a time limit, and only as much of it as is asked for.

    Frame numbers and pictures are those of decoding it all, as :func:`bike.video.decode.decode_frames` does. That is
    what happens where its packets can't be trusted to say where each picture is. Damage in a part that nobody asks for
    then shows; otherwise it doesn't.

    Args:
        video: a file, its bytes, a part of a file, or frames uint8 (T, H, W, 3), RGB, 25 a second.
        short_side: shrink so that the shorter side has this many px; frames that are given stay as they are.
        decoder: ``pyav``, or ``decord``, which decodes it all.
        timeout_seconds: for each look at the file.

    Attributes:
        name: of the video, for people.
        seconds: (N,) float64, when each picture is shown, from the first one on.
        fps: their rate, 0.0 when unknown.
        num_packets: how many packets were decoded to give pictures; 0 where all of it is.

    Raises:
        DataError: it is unreadable, damaged, or took too long; the message names it.
        ValueError: frames of another form.
    """

    def __init__(
        self,
        video: VideoInput | Frames,
        *,
        short_side: int | None = None,
        decoder: Decoder = "pyav",
        timeout_seconds: float = 60.0,
    ) -> None:
        self._short_side, self._decoder, self._timeout_seconds = short_side, decoder, timeout_seconds
        self.num_packets = 0
        self._array: Frames | None = None
        if isinstance(video, bytes | VideoFile | str | Path):
            self.name, self._source = _name(video), absolute(video)
            self._plan: SeekPlan = self._call(plan_video, self._source)
        else:
            self._array = array = np.asarray(video)
            if array.dtype != np.uint8 or array.ndim != 4 or array.shape[3] != 3 or not len(array):
                raise ValueError(f"frames must be uint8 (T, H, W, 3) (got {array.dtype} {array.shape})")
            self.name = f"{len(array)} frames"
            none = np.empty((0, 3), np.int64)
            self._plan = SeekPlan(np.arange(len(array)) / ARRAY_FPS, ARRAY_FPS, none[:, 0], none)
        self.seconds, self.fps = self._plan.seconds, self._plan.fps

    def frames(self, indices: Sequence[int]) -> Frames:
        """Pictures by number, uint8 (T, H, W, 3), RGB, in the order of ``indices``.

        Raises:
            DataError: as for the class.
        """
        if self._array is not None:
            return self._array[list(indices)]
        if len(self._plan.keys) and self._decoder == "pyav":
            try:
                out: Frames
                out, packets = self._call(read_sought, self._source, self._plan, list(indices), self._short_side)
            except UntrustedError:
                self._plan = replace(self._plan, keys=self._plan.keys[:0])
            else:
                self.num_packets += packets
                return out
        return decode_frames(
            self._source,
            indices,
            backend=self._decoder,
            short_side=self._short_side,
            timeout_seconds=self._timeout_seconds,
        )

    def part(self, start: float | None, end: float | None) -> range:
        """Frames between two times, seconds; None for the video's.

        Raises:
            DataError: it ends before ``start``.
        """
        try:
            return part_of(self.seconds, start, end)
        except DataError as error:
            raise DataError(f"{self.name}: {error}. Choose another part.") from None

    def _call(self, function: Callable[..., Any], *args: Any) -> Any:
        return in_helper(self.name, function, *args, timeout_seconds=self._timeout_seconds)


def in_helper(name: str, function: Callable[..., Any], *args: Any, timeout_seconds: float) -> Any:
    """What a function returns that reads the video ``name`` in a helper process.

    Raises:
        DataError: whatever goes wrong with the video. UntrustedError: as the function raised it.
    """
    try:
        return thread_worker().call(function, *args, timeout_seconds=timeout_seconds)
    except (UntrustedError, BikeError):
        raise
    except UnreadableError as error:
        reason = str(error)
    except Exception as error:  # too long, a crash, or PyAV's own: it may trip over damage
        reason = describe_failure(error, timeout_seconds)
    raise DataError(f"{name}: {reason}. Check the video, or leave it out.")


def absolute(video: VideoInput) -> bytes | VideoFile:
    """A video as a helper process finds it, which stays in the working folder that it was started in."""
    if isinstance(video, bytes):
        return video
    file = video if isinstance(video, VideoFile) else VideoFile(str(video))
    return replace(file, path=os.path.abspath(file.path))  # noqa: PTH100 (keeps what pathlib would fold)


def plan_video(source: bytes | VideoFile) -> SeekPlan:
    """The plan of a video, without key pictures where it has to be decoded whole; for a helper process.

    Raises:
        UnreadableError: not one picture decodes, or not all do.
    """
    try:
        return plan_seeks(source)
    except UntrustedError:
        pass
    with opened(source) as file, open_video(file) as video:
        seconds = np.array([video.moment_seconds for _ in video.frames()])
        if video.damage:
            raise UnreadableError(video.damage)
        none = np.empty((0, 3), np.int64)
        return SeekPlan(seconds, video.fps(), none[:, 0], none)


def _name(video: VideoInput) -> str:
    if isinstance(video, bytes):
        return f"video of {len(video)} bytes"
    return one_line(shown(str(video.path if isinstance(video, VideoFile) else video)))
