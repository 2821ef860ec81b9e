"""Resampling to a fixed rate: each output time takes the frame shown then."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
MAX_GAP_SECONDS = 3600.0  # damaged times must not fill the disk with copies


def resample(
    frames: Iterable[tuple[Item, float | None]], fps: float, frame_seconds: float
) -> Iterator[tuple[Item, int]]:
    """Repeat and drop frames so that they come at ``fps``.

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
        frames: each frame with its time in seconds. A time that is missing, not later than the frame before, or hours
            later is taken as one frame duration later.
        fps: frames per second to give out.
        frame_seconds: duration of a frame whose successor's time is not known.

    Yields:
        (frame, copies) pairs, copies ≥ 1; at least one pair for a video that has any frame.
    """
    held: Item
    start: float | None = None
    time, filled = 0.0, 0
    for frame, moment in frames:
        if start is None:
            start = moment or 0.0
        else:
            stated = math.inf if moment is None else moment - start
            time = stated if time < stated < time + MAX_GAP_SECONDS else time + frame_seconds
            # A frame goes out when its successor comes: only then is it known how many slots are its own.
            if (slot := _slot(time, fps)) > filled:
                yield held, slot - filled
                filled = slot
        held = frame
    if start is not None and (end := max(1, _slot(time + frame_seconds, fps))) > filled:
        yield held, end - filled


def _slot(seconds: float, fps: float) -> int:
    return math.floor(seconds * fps + 0.5 + 1e-6)  # halves go up, those that rounding made smaller as well
