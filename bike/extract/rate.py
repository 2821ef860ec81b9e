"""Resampling to a fixed rate: each output time takes the frame shown then."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")
MAX_GAP_SECONDS = 3600.0  # damaged times must not fill the disk with copies


class RateChanger(Generic[Item]):
    """Repeats and drops frames so that they come at ``fps``.

    A frame's slot is its time, from the first frame on, times ``fps``, rounded to the nearest; it fills its slot and
    those up to the next frame's. The last one fills the slots of its duration.

    Down to 10 frames per second, slots 0 and 1 get the frames 1 and 3, the last to fall into them:

    =================  ====  ====  ====  ====  ====
    frame              0     1     2     3     end
    time, seconds      0.00  0.04  0.08  0.12  0.16
    slot (time · 10)   0     0     1     1     2
    =================  ====  ====  ====  ====  ====

    Up to 10 frames per second, slots 0 to 5 get the frames 0, 1, 1, 1, 1, 2:

    =================  ====  ====  ====  ====
    frame              0     1     2     end
    time, seconds      0.0   0.1   0.5   0.6
    slot (time · 10)   0     1     5     6
    =================  ====  ====  ====  ====

    Args:
        fps: frames per second to give out.
        frame_seconds: duration of a frame whose successor's time is not known.
    """

    def __init__(self, fps: float, frame_seconds: float) -> None:
        self._fps, self._frame_seconds = fps, frame_seconds
        self._held: list[Item] = []
        self._start: float | None = None
        self._time = 0.0
        self._given = 0

    def push(self, item: Item, moment_seconds: float | None) -> Iterator[tuple[Item, int]]:
        """Take the next frame; gives (frame, copies) pairs that are final now.

        A time that is missing, not later than the frame before, or hours later is taken as one frame duration later.
        """
        if self._start is None:
            self._start = moment_seconds or 0.0
        else:
            time = self._time + self._frame_seconds if moment_seconds is None else moment_seconds - self._start
            credible = self._time < time < self._time + MAX_GAP_SECONDS
            self._time = time if credible else self._time + self._frame_seconds
        yield from self._fill(self._slot(self._time))
        self._held = [item]

    def finish(self) -> Iterator[tuple[Item, int]]:
        """Give out the last frame; a video that has any frame gives at least one."""
        yield from self._fill(max(self._slot(self._time + self._frame_seconds), 0 if self._given else 1))

    def _fill(self, slot: int) -> Iterator[tuple[Item, int]]:
        if self._held and slot > self._given:
            yield self._held[0], slot - self._given
            self._given = slot

    def _slot(self, seconds: float) -> int:
        return math.floor(seconds * self._fps + 0.5 + 1e-6)  # halves go up, those that rounding made smaller as well
