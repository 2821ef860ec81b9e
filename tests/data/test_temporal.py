"""Frame sampling."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bike.data import temporal
from bike.data.temporal import training_bounds, training_indices, validation_indices
from bike.records import instance_range

COUNTS = {"num_frames": st.integers(1, 2000), "num_segments": st.integers(1, 77)}


def test_indices_equal_the_published_ones(golden: Path) -> None:
    cases = json.loads((golden / "sampling.json").read_text())
    assert len(cases["test"]) == 540
    for case in cases["test"]:
        frames, segments = case["frames"], case["segments"]
        assert temporal.test_indices(frames, segments, case["clips"], case["dense"]) == case["test"], case
        if "val" in case:
            assert validation_indices(frames, segments) == case["val"], case
    for case in cases["train_bounds"]:
        assert training_bounds(case["frames"], case["segments"]) == (case["low"], case["high"])


def test_indices_by_hand() -> None:
    assert validation_indices(3, 6) == [0, 0, 1, 1, 2, 2]
    assert validation_indices(10, 4, first_frame=20) == [20, 22, 25, 27]
    assert temporal.test_indices(10, 4, 3) == [0, 2, 5, 7, 0, 2, 5, 7, 1, 3, 6, 8]
    assert temporal.test_indices(2, 4, 2) == [0, 0, 1, 1, 1, 0, 0, 0]  # starts at -0.5, rounded down, and goes round
    assert temporal.test_indices(328, 2, 3, dense=True) == [0, 64, 100, 164, 200, 264]
    assert temporal.test_indices(200, 4, 1, True) == [36, 68, 100, 132]
    assert training_bounds(10, 4) == ([0, 2, 4, 7], [2, 4, 7, 9])
    assert training_bounds(1, 3) == ([0, 0, 0], [0, 0, 0])
    assert training_indices(10, 4, np.random.default_rng(0), dense=True) == [0, 2, 4, 6]


@settings(deadline=None)
@given(**COUNTS, first_frame=st.integers(0, 500), clips=st.integers(1, 10), dense=st.booleans())
def test_test_indices_stay_inside(
    num_frames: int, num_segments: int, first_frame: int, clips: int, dense: bool
) -> None:
    place = {"first_frame": first_frame}
    indices = temporal.test_indices(num_frames, num_segments, clips, dense, **place)
    assert len(indices) == clips * num_segments
    assert first_frame <= min(indices) <= max(indices) < first_frame + num_frames
    middle = validation_indices(num_frames, num_segments, **place)
    assert middle == sorted(middle) == temporal.test_indices(num_frames, num_segments, 1, **place)
    assert middle[0] == first_frame
    if not dense and num_frames >= num_segments:
        clip_rows = [indices[i : i + num_segments] for i in range(0, len(indices), num_segments)]
        assert all(row == sorted(row) for row in clip_rows)


@settings(deadline=None)
@given(**COUNTS, first_frame=st.integers(0, 500), seed=st.integers(0, 2**32))
def test_training_indices_stay_in_their_segments(
    num_frames: int, num_segments: int, first_frame: int, seed: int
) -> None:
    low, high = training_bounds(num_frames, num_segments)
    assert low[0] == 0
    assert high[-1] == num_frames - 1
    assert all(end == start for end, start in zip(high[:-1], low[1:], strict=True))
    indices = training_indices(num_frames, num_segments, np.random.default_rng(seed), first_frame=first_frame)
    assert all(a <= i - first_frame <= b for a, i, b in zip(low, indices, high, strict=True))
    assert all(type(index) is int for index in indices)
    again = training_indices(num_frames, num_segments, np.random.default_rng(seed), first_frame=first_frame)
    assert indices == again


@settings(deadline=None)
@given(**COUNTS, first_frame=st.integers(0, 500), seed=st.integers(0, 2**32))
def test_dense_training_indices_are_one_window(num_frames: int, num_segments: int, first_frame: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    indices = training_indices(num_frames, num_segments, rng, dense=True, first_frame=first_frame)
    assert len(indices) == num_segments
    assert first_frame <= min(indices) <= max(indices) < first_frame + num_frames
    stride = max(1, 128 // num_segments)
    assert all((b - a) % num_frames == stride % num_frames for a, b in pairwise(indices))
    if num_frames >= 128:
        assert indices == sorted(indices)


def test_training_draws_are_uniform_with_both_ends() -> None:
    rng = np.random.default_rng(0)
    seen = Counter(training_indices(9, 2, rng)[0] for _ in range(5000))
    assert sorted(seen) == [0, 1, 2, 3, 4]
    assert max(abs(count - 1000) for count in seen.values()) < 150
    starts = {training_indices(130, 4, rng, dense=True)[0] for _ in range(200)}
    assert starts == {0, 1, 2}


def test_instance_range_by_hand() -> None:
    assert instance_range(100, 10.0, None, None) == range(100)
    assert instance_range(100, 10.0, 2.0, 5.0) == range(20, 50)
    assert instance_range(100, 24.0, 1.04, 2.1) == range(24, 51)  # frames 24.96 and 50.4 are partly shown
    assert instance_range(100, 30.0, 0.1, 0.7) == range(3, 21)  # 0.7 · 30 is 21 and no hair more
    assert instance_range(100, 10.0, -3.0, 4.0) == range(40)
    assert instance_range(100, 10.0, 8.0, 99.0) == range(80, 100)
    assert instance_range(100, 10.0, 5.0, 5.0) == range(50, 51)
    assert instance_range(100, 10.0, 7.0, 2.0) == range(70, 71)  # ends before it starts
    assert instance_range(100, 10.0, 50.0, 60.0) == range(99, 100)  # starts past the end


@settings(deadline=None)
@given(
    num_frames=st.integers(1, 5000),
    fps=st.floats(0.01, 240),
    start=st.none() | st.floats(allow_nan=False),
    end=st.none() | st.floats(allow_nan=False),
)
def test_instance_range_is_never_empty_nor_outside(
    num_frames: int, fps: float, start: float | None, end: float | None
) -> None:
    span = instance_range(num_frames, fps, start, end)
    assert 0 <= span.start < span.stop <= num_frames
    indices = training_indices(len(span), 8, np.random.default_rng(0), first_frame=span.start)
    assert all(index in span for index in indices)


@pytest.mark.parametrize(
    "call",
    [
        lambda: validation_indices(0, 8),
        lambda: validation_indices(8, 0),
        lambda: validation_indices(8, 8, first_frame=-1),
        lambda: temporal.test_indices(8, 8, 0),
        lambda: training_bounds(0, 1),
        lambda: training_indices(0, 1, np.random.default_rng(0)),
        lambda: instance_range(0, 24.0, None, None),
        lambda: instance_range(10, 0.0, None, None),
        lambda: instance_range(10, float("nan"), None, None),
        lambda: instance_range(10, 24.0, float("nan"), 2.0),
    ],
)
def test_bad_counts_are_refused(call: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        call()  # type: ignore[operator]
