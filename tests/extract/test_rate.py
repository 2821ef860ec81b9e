"""Resampling: which frames a fixed rate repeats and drops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bike.extract.rate import resample


def shown(times: list[float], fps: float, frame_seconds: float) -> list[int]:
    """The number of the frame in each slot."""
    pairs = resample(enumerate(times), fps, lambda: frame_seconds)
    return [number for number, copies in pairs for _ in range(copies)]


@pytest.mark.parametrize(
    ("times", "fps", "frame_seconds", "expected"),
    [
        ([0.0, 0.1, 0.2, 0.3, 0.4, 0.5], 10, 0.1, [0, 1, 2, 3, 4, 5]),
        ([0.0, 0.1, 0.2, 0.3, 0.4, 0.5], 5, 0.1, [0, 2, 4]),
        ([0.0, 0.1, 0.2], 20, 0.1, [0, 0, 1, 1, 2, 2]),
        ([0.0, 0.04, 0.08, 0.12], 10, 0.04, [1, 3]),  # the last frame that falls into a slot fills it
        ([0.0, 0.1, 0.5], 10, 0.1, [0, 1, 1, 1, 1, 2]),  # a gap is filled with what was shown
        ([0.0], 0.001, 0.04, [0]),
        ([], 10, 0.1, []),
    ],
)
def test_each_slot_shows_its_frame(times: list[float], fps: float, frame_seconds: float, expected: list[int]) -> None:
    assert shown(times, fps, frame_seconds) == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.001, 2), min_size=1, max_size=40), st.floats(0.5, 60))
def test_resampled_length_is_the_duration(gaps: list[float], fps: float) -> None:
    times = np.cumsum([0.0, *gaps]).tolist()
    out = shown(times, fps, 0.05)
    assert out == sorted(out)
    assert len(out) == pytest.approx((times[-1] + 0.05) * fps, abs=1)
