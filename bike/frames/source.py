"""What the loader asks of a source of frames, and two small helpers of sources."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]
Value = TypeVar("Value")


@runtime_checkable
class FrameSource(Protocol):
    """Frames of videos by key. Sources can be pickled, and used in forked processes."""

    def num_frames(self, video: str) -> int:
        """Frames of the video that can be read."""

    def fps(self, video: str) -> float:
        """Frames per second of those frames; 0 when not known."""

    def read(self, video: str, frame_indices: Sequence[int]) -> Frames:
        """Decode chosen frames, each once: RGB uint8 (T, H, W, 3), in the order asked for.

        Raises:
            DataError: the video or a frame is not there, or is damaged.
        """


@runtime_checkable
class GraySource(Protocol):
    """A source that saves work where colour is not wanted: frames are stored as luma and chroma."""

    def read_gray(self, video: str, frame_indices: Sequence[int]) -> Frames:
        """As :meth:`FrameSource.read`, the stored luma alone: uint8 (T, H, W, 1)."""


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
        return os.pread(self._descriptor, part.stop - part.start, self._start + part.start)
