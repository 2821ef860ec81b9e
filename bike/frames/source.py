"""What the loader asks of a source of frames, and two small helpers of sources."""

from __future__ import annotations

import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from bike.formats.kept import KeptFrames

Frames = NDArray[np.uint8]
Value = TypeVar("Value")


class Prefetch:
    """What is fetched ahead of an epoch: nothing, where frames are local. Use as a context around the epoch."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def reached(self, position: int) -> None:
        """The samples before ``position`` were handed over."""


class FrameSource(ABC):
    """Frames of videos by key. Sources can be pickled, and used in forked processes.

    A source must count, time and read the frames of a video. The rest is for sources whose shards are far away; its
    defaults fit all others, so that the loader treats every source alike.

    Attributes:
        window: how many shards' samples training mixes at a time; None: those of all shards.
        class_names: by label, of the list that the frames were stored for; None where they don't say.
        frames_per_video: at most so many frames of each video were stored; None: all.
        checksum: SHA-256 of the manifest that the frames were written with, or :func:`stamps_checksum` of the files
            where there is none; other frames under the same names have another one.
    """

    window: int | None = None
    class_names: Sequence[str] | None = None
    frames_per_video: int | None = None
    checksum: str = ""

    @abstractmethod
    def num_frames(self, video: str) -> int:
        """Frames of the video."""

    @abstractmethod
    def fps(self, video: str) -> float:
        """Frames per second of those frames; 0 when not known."""

    def kept(self, video: str) -> KeptFrames:
        """Which of those frames are stored; all of them, where a source does not say otherwise."""
        return KeptFrames.all_of(self.num_frames(video))

    @abstractmethod
    def read(self, video: str, frame_indices: Sequence[int], *, gray: bool = False) -> Frames:
        """Decode chosen frames, each once.

        Args:
            video: its key.
            frame_indices: frame numbers from 0, in any order, repeats allowed; for one that is not :meth:`kept` the
                nearest that is stands.
            gray: the caller takes the colour away afterwards, so the luma alone will do where that saves work.

        Returns:
            RGB, uint8 (T, H, W, 3), in the order asked for; with ``gray`` perhaps luma, uint8 (T, H, W, 1).

        Raises:
            DataError: the video or a frame is not there, or is damaged.
        """

    def shard_of(self, video: str) -> int:
        """Number of the shard that a video lies in."""
        return 0

    def prefetch(self, videos: Sequence[str], window: int | None) -> Prefetch:
        """Begin to bring an epoch's frames near.

        Args:
            videos: of the epoch's samples, in order.
            window: shards in use at a time.
        """
        return Prefetch()


def stamps_checksum(rows: Iterable[tuple[str | int, ...]]) -> str:
    """SHA-256 of names, sizes and modification times: what tells files apart without reading all of them."""
    return hashlib.sha256(json.dumps(sorted(set(rows))).encode()).hexdigest()


class Recent(Generic[Value]):
    """The last few values made, by key. Copies in other processes start empty."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[str, Value] = OrderedDict()

    def get(self, key: str, make: Callable[[str], Value]) -> Value:
        """The value for ``key``, kept from before or made now."""
        if key in self._values:
            self._values.move_to_end(key)
            return self._values[key]
        value = self._values[key] = make(key)
        if len(self._values) > self._limit:
            self._values.popitem(last=False)
        return value

    def __getstate__(self) -> dict[str, object]:
        return {"_limit": self._limit, "_values": OrderedDict()}


class FileWindow:
    """An open file from some byte on, sliced like bytes; each slice is read when asked for."""

    def __init__(self, descriptor: int, start: int) -> None:
        self._descriptor, self._start = descriptor, start

    def __getitem__(self, part: slice) -> bytes:
        # os.pread leaves the file's position alone, which forked workers share.
        return os.pread(self._descriptor, part.stop - part.start, self._start + part.start)
