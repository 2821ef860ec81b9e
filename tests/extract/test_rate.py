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


def test_a_rate_can_be_halved_doubled_and_kept() -> None:
    times = [number / 10 for number in range(6)]
    assert shown(times, 10, 0.1) == [0, 1, 2, 3, 4, 5]
    assert shown(times, 5, 0.1) == [0, 2, 4]
    assert shown(times, 20, 0.1) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_the_last_frame_that_falls_into_a_slot_fills_it() -> None:
    assert shown([0.0, 0.04, 0.08, 0.12], 10, 0.04) == [1, 3]


def test_a_gap_is_filled_with_what_was_shown() -> None:
    assert shown([0.0, 0.1, 0.5], 10, 0.1) == [0, 1, 1, 1, 1, 2]


def test_the_shortest_videos() -> None:
    assert shown([0.0], 0.001, 0.04) == [0]
    assert shown([], 10, 0.1) == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.001, 2), min_size=1, max_size=40), st.floats(0.5, 60))
def test_resampled_length_is_the_duration(gaps: list[float], fps: float) -> None:
    times = np.cumsum([0.0, *gaps]).tolist()
    out = shown(times, fps, 0.05)
    assert out == sorted(out)
    assert len(out) == pytest.approx((times[-1] + 0.05) * fps, abs=1)
