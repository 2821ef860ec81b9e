"""Resampling to a fixed rate: each output time takes the frame shown then."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def resample(
    frames: Iterable[tuple[Item, float]], fps: float, frame_seconds: Callable[[], float]
) -> Iterator[tuple[Item, int]]:
    """Repeat and drop frames so that they come at ``fps``.

    A frame's slot is its time times ``fps``, rounded to the nearest; it fills its slot and
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
        frames: each frame with its time in seconds, from 0 and rising (see :class:`bike.video.clock.Clock`).
        fps: frames per second to give out.
        frame_seconds: duration of the last frame, asked for once it is known.

    Yields:
        (frame, copies) pairs, copies ≥ 1; at least one pair for a video that has any frame.
    """
    held: Item
    time, filled = -1.0, 0
    for frame, time in frames:
        # A frame goes out when its successor comes: only then is it known how many slots are its own.
        if (slot := _slot(time, fps)) > filled:
            yield held, slot - filled
            filled = slot
        held = frame
    if time >= 0 and (end := num_slots(time + frame_seconds(), fps)) > filled:
        yield held, end - filled


def num_slots(seconds: float, fps: float) -> int:
    """How many frames a video of this length has at ``fps``: at least one."""
    return max(1, _slot(seconds, fps))


def _slot(seconds: float, fps: float) -> int:
    return math.floor(seconds * fps + 0.5 + 1e-6)  # halves go up, those that rounding made smaller as well
