"""Which frames of a video make a clip. Pure arithmetic; indices count from 0.

Every policy on a video of n = 10 frames with T = 4 segments, and the dense ones on n = 200, too::

    validation                0 2 5 7                            the first frame of each quarter
    test, 1 clip              0 2 5 7
    test, 3 clips             0 2 5 7   0 2 5 7   1 3 6 8        starts 0, 0.75, 1.5, rounded down
    training                  0–2 2–4 4–7 7–9                    one frame of each range, ends included
    dense test, 1 clip        0 2 4 6                            0 32 64 96, read in a circle of 10
    dense training            0 2 4 6                            a window is longer than the video: no choice
    dense test, n = 200       36 68 100 132                      the middle window of 128 frames, stride 32
    the same, 3 clips         0 32 64 96   36 68 100 132   72 104 136 168
    dense training, n = 200   s s+32 s+64 s+96                   s from 0 to 72

A trimmed instance is a range of its video's frames: take ``span = instance_range(...)``, ask for indices of
``len(span)`` frames and pass ``first_frame=span.start``. In frames 20 to 29 of a video, validation takes 20 22 25 27.
"""

from __future__ import annotations

import math

import numpy as np

DENSE_WINDOW_FRAMES = 128


def validation_indices(num_frames: int, num_segments: int, *, first_frame: int = 0) -> list[int]:
    """Frame ``int(n / T · i)`` of each segment i: the first frame of T equal parts.

    Args:
        num_frames: n, frames to choose from, at least 1; fewer than segments repeats frames.
        num_segments: T, at least 1.
        first_frame: added to every index.

    Returns:
        T indices, never decreasing, in ``[first_frame, first_frame + num_frames)``.

    Raises:
        ValueError: a count below 1, or a negative ``first_frame``.
    """
    _check_counts(num_frames, num_segments, first_frame)
    return [first_frame + int(num_frames / num_segments * i) for i in range(num_segments)]


def test_indices(
    num_frames: int,
    num_segments: int,
    num_clips: int,
    dense: bool = False,  # noqa: PT028
    *,
    first_frame: int = 0,  # noqa: PT028
) -> list[int]:
    """Frames of several clips of one video, clip after clip, as the published evaluation takes them.

    Clips start at ``linspace(0, n / T - 1, clips)``, rounded down, and take frame ``int(start + n / T · i) mod n``.
    Dense clips are windows of 128 frames with stride ``128 // T``; they start ``floor((n - 128) / (clips - 1))`` frames
    apart (all at 0 in videos of at most 128 frames, which are read in a circle). A single dense clip is the middle
    window.

    Args:
        num_frames: n, at least 1.
        num_segments: T, frames of a clip, at least 1.
        num_clips: at least 1.
        dense: windows instead of clips over the whole video.
        first_frame: added to every index.

    Returns:
        ``num_clips * num_segments`` indices in ``[first_frame, first_frame + num_frames)``, clip-major.

    Raises:
        ValueError: a count below 1, or a negative ``first_frame``.
    """
    _check_counts(num_frames, num_segments, first_frame)
    if num_clips < 1:
        raise ValueError(f"num_clips must be at least 1 (got {num_clips}).")
    if dense:
        offsets: list[float] = [_dense_stride(num_segments) * i for i in range(num_segments)]
        spare = max(0, num_frames - DENSE_WINDOW_FRAMES)
        starts = [spare // 2] if num_clips == 1 else [spare // (num_clips - 1) * k for k in range(num_clips)]
    else:
        offsets = [num_frames / num_segments * i for i in range(num_segments)]
        # With fewer frames than segments n / T - 1 is negative, and so are starts: `% num_frames` below goes round.
        starts = [math.floor(start) for start in np.linspace(0, num_frames / num_segments - 1, num_clips)]
    return [first_frame + int(start + offset) % num_frames for start in starts for offset in offsets]


test_indices.__test__ = False  # type: ignore[attr-defined]  # the name is public; pytest must not collect it


def training_bounds(num_frames: int, num_segments: int) -> tuple[list[int], list[int]]:
    """Lowest and highest frame of each training segment, both included.

    Segment i runs from ``round(s · i)`` to ``round(s · (i + 1))`` with ``s = (n - 1) / T`` (halves to even).

    Returns:
        Two lists of T indices, low and high.

    Raises:
        ValueError: a count below 1.
    """
    _check_counts(num_frames, num_segments, 0)
    size = (num_frames - 1) / num_segments  # between the first and the last frame, so that both can be drawn
    edges = [round(size * i) for i in range(num_segments + 1)]
    return edges[:-1], edges[1:]


def training_indices(
    num_frames: int,
    num_segments: int,
    generator: np.random.Generator,
    *,
    dense: bool = False,
    first_frame: int = 0,
) -> list[int]:
    """Draw one frame of each training segment, uniformly between its bounds.

    Args:
        num_frames: n, at least 1; fewer than segments repeats frames.
        num_segments: T, at least 1.
        generator: the only source of randomness.
        dense: one window of 128 frames, drawn uniformly, with stride ``128 // T``; a shorter video is read in a circle.
        first_frame: added to every index.

    Returns:
        T indices in ``[first_frame, first_frame + num_frames)``; they never decrease unless a window goes in a circle.

    Raises:
        ValueError: a count below 1, or a negative ``first_frame``.
    """
    _check_counts(num_frames, num_segments, first_frame)
    if dense:
        start = int(generator.integers(0, max(0, num_frames - DENSE_WINDOW_FRAMES), endpoint=True))
        stride = _dense_stride(num_segments)
        return [first_frame + (start + stride * i) % num_frames for i in range(num_segments)]
    low, high = training_bounds(num_frames, num_segments)
    return [first_frame + int(index) for index in generator.integers(low, high, endpoint=True)]


def _dense_stride(num_segments: int) -> int:
    return max(1, DENSE_WINDOW_FRAMES // num_segments)  # 1: more segments than the window has frames


def _check_counts(num_frames: int, num_segments: int, first_frame: int) -> None:
    if num_frames < 1 or num_segments < 1 or first_frame < 0:
        raise ValueError(
            "num_frames and num_segments must be at least 1, first_frame at least 0 "
            f"(got {num_frames}, {num_segments}, {first_frame})."
        )
