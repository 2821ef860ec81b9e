"""From seconds to frame numbers: the part of a video that is looked at, and windows that slide over it."""

from __future__ import annotations

from itertools import count
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from bike.errors import DataError, ParamsError

SHORTEST_SECONDS = 0.01  # of a window: no end of them otherwise
_ROUNDING_SECONDS = 1e-6  # times are sums of ticks; 0.1 + 0.2 must find the frame at 0.3


def check_part(start: float | None, end: float | None, window: float | None, stride: float | None) -> None:
    """Refuse times that make no sense for any video.

    Raises:
        ParamsError: no finite number, a negative start, an end before it, a length of nothing, or a stride without
            windows.
    """
    for option, value in (("--start", start), ("--end", end), ("--window", window), ("--stride", stride)):
        if value is not None and not isfinite(value):
            raise ParamsError(f"{option}: must be a number of seconds (got {value}).")
    if (start or 0.0) < 0 or (end is not None and end <= (start or 0.0)):
        raise ParamsError(
            f"--start, --end: no part of a video (got {start} and {end}); seconds, the end after the start."
        )
    for option, value in (("--window", window), ("--stride", stride)):
        if value is not None and not value >= SHORTEST_SECONDS:
            raise ParamsError(f"{option}: must be at least {SHORTEST_SECONDS} seconds (got {value}).")
    if stride is not None and window is None:
        raise ParamsError("--stride: needs --window, the length of what is looked at. Give both.")


def part_of(seconds: NDArray[np.float64], start: float | None, end: float | None) -> range:
    """Frames shown from ``start`` until before ``end``, at least the one that is on screen at the start.

    Args:
        seconds: (N,), when each frame is shown, rising.
        start, end: seconds; None for the video's.

    Raises:
        DataError: it ends before ``start``.
    """
    first, last = 0, len(seconds)
    if start is not None:
        length = seconds[-1] + _frame_seconds(seconds)
        if start > max(length - _ROUNDING_SECONDS, seconds[-1]):  # nothing says how long a single picture is shown
            raise DataError(f"it ends after {length:.1f} s, before the part to look at ({start:g} s)")
        first = int(np.searchsorted(seconds, start - _ROUNDING_SECONDS))
    if end is not None:
        last = int(np.searchsorted(seconds, end - _ROUNDING_SECONDS))
    return range(first, last) if first < last else range(max(0, first - 1), max(1, first))


def _frame_seconds(seconds: NDArray[np.float64]) -> float:
    return float(seconds[-1]) / max(1, len(seconds) - 1)


def slide(
    seconds: NDArray[np.float64], part: range, window: float, stride: float | None = None
) -> list[tuple[float, float, range]]:
    """Windows over a part of a video: start and end in seconds, and frames.

    One begins every ``stride`` seconds (None: one window after the other); the first that reaches the end is the last.

    Args:
        seconds: (N,), when each frame is shown, rising.
        part: the frames to go over.
        window, stride: seconds.
    """
    begin, finish = float(seconds[part.start]), float(seconds[part.stop - 1]) + _frame_seconds(seconds)
    found: list[tuple[float, float, range]] = []
    for number in count():
        start = begin + number * (stride or window)
        if start > finish - _ROUNDING_SECONDS and found:
            break
        frames = part_of(seconds, start, start + window)
        found.append((start, min(start + window, finish), range(frames.start, min(frames.stop, part.stop))))
        if start + window > finish - _ROUNDING_SECONDS:
            break
    return found
