"""From seconds to frames: parts of a video, and windows over them."""

from __future__ import annotations

import numpy as np
import pytest

from bike.errors import DataError, ParamsError
from bike.predict.windows import check_part, part_of, slide

TENTHS = np.arange(30) / 10  # three seconds


@pytest.mark.parametrize(
    ("start", "end", "frames"),
    [
        (None, None, range(30)),
        (0.3, None, range(3, 30)),
        (0.1 + 0.2, 0.7, range(3, 7)),  # 0.30000000000000004
        (0.25, 0.45, range(3, 5)),
        (0.31, 0.39, range(3, 4)),  # none begins in there; this one is on screen
        (2.95, None, range(29, 30)),
        (None, 99, range(30)),
        (None, 0.01, range(1)),
    ],
)
def test_a_part_has_the_frames_that_are_shown_in_it(start: float | None, end: float | None, frames: range) -> None:
    assert part_of(TENTHS, start, end) == frames


def test_a_video_of_one_frame_and_one_that_ends_too_early() -> None:
    assert part_of(np.zeros(1), None, 5) == part_of(np.zeros(1), 0.0, None) == range(1)
    assert slide(np.zeros(1), range(1), 0.5) == [(0.0, 0.0, range(1))]
    with pytest.raises(DataError, match="ends after"):
        part_of(np.zeros(1), 0.1, None)
    with pytest.raises(DataError, match=r"ends after 3\.0 s"):
        part_of(TENTHS, 3.0, None)


@pytest.mark.parametrize(
    ("window", "stride", "expected"),
    [
        (1, None, [(0, 1, range(10)), (1, 2, range(10, 20)), (2, 3, range(20, 30))]),
        (2, 1, [(0, 2, range(20)), (1, 3, range(10, 30))]),
        (2, None, [(0, 2, range(20)), (2, 3, range(20, 30))]),  # the last is shorter
        (0.5, 2, [(0, 0.5, range(5)), (2, 2.5, range(20, 25))]),  # between them nothing is looked at
        (9, 1, [(0, 3, range(30))]),
    ],
)
def test_windows_go_on_until_one_reaches_the_end(window: float, stride: float | None, expected: list) -> None:
    found = slide(TENTHS, range(30), window, stride)
    assert [frames for _, _, frames in found] == [frames for _, _, frames in expected]
    assert [time for row in found for time in row[:2]] == pytest.approx([time for row in expected for time in row[:2]])


def test_windows_stay_in_their_part() -> None:
    assert [frames for _, _, frames in slide(TENTHS, range(5, 18), 1.0)] == [range(5, 15), range(15, 18)]


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ((-1, None, None, None), "no part"),
        ((3, 3, None, None), "no part"),
        ((None, 0, None, None), "no part"),
        ((None, None, 0, None), "--window"),
        ((None, None, 2, -1), "--stride"),
        ((float("nan"), None, None, None), "--start: must be a number"),
        ((None, float("inf"), None, None), "--end: must be a number"),
        ((None, None, float("nan"), None), "--window"),
        ((None, None, float("inf"), None), "--window: must be a number"),
        ((None, None, 1, float("inf")), "--stride: must be a number"),
        ((None, None, None, 1), "needs --window"),
    ],
)
def test_times_that_make_no_sense(times: tuple[float | None, ...], reason: str) -> None:
    with pytest.raises(ParamsError, match=reason):
        check_part(*times)
    check_part(None, None, None, None)
    check_part(1, 2, 0.5, 0.25)
