"""Which frames are kept of a video, and which of them stands for a drawn one."""

from __future__ import annotations

import pytest

from bike.data.temporal import test_indices as clip_indices
from bike.data.temporal import validation_indices
from bike.errors import DataError
from bike.formats.kept import KeptFrames, placed_frames

TEN = KeptFrames(10, (0, 2, 5, 7))


def kept_of(num_frames: int, frames_per_video: int) -> KeptFrames:
    return KeptFrames(num_frames, placed_frames(num_frames, frames_per_video))


def test_frames_are_placed_as_validation_draws_them() -> None:
    assert placed_frames(10, 4) == [0, 2, 5, 7] == validation_indices(10, 4)
    placed = placed_frames(300, 32)
    assert [*placed[:5], *placed[-2:], len(placed)] == [0, 9, 18, 28, 37, 281, 290, 32]
    assert placed_frames(9, 9) == placed_frames(9, 32) == placed_frames(9, None) == range(9)


@pytest.mark.parametrize(
    ("wanted", "span", "stored"),
    [
        ([0, 5, 7, 2, 2], None, [0, 5, 7, 2, 2]),  # kept themselves, in the order asked for
        ([1, 3, 6, 8], None, [0, 2, 5, 7]),  # 1 and 6 are as near to the later one: the earlier is taken
        ([4, 9], None, [5, 7]),
        ([1, 3, 4], range(1, 5), [2, 2, 2]),  # 5 is nearer to 4, but out of the span
        ([6, 8], range(6, 10), [7, 7]),
        ([5], range(5, 6), [5]),
    ],
)
def test_the_nearest_kept_frame_stands_for_one_that_is_not(
    wanted: list[int], span: range | None, stored: list[int]
) -> None:
    assert [TEN.indices[place] for place in TEN.places(wanted, span)] == stored


def test_where_all_are_kept_every_frame_is_its_own() -> None:
    assert KeptFrames.all_of(10).places([9, 0, 3], range(4, 5)) == [9, 0, 3]


@pytest.mark.parametrize("num_frames", [33, 64, 131, 299, 300, 1801])
@pytest.mark.parametrize("segments", [8, 16, 32])
def test_32_frames_hold_every_draw_of_one_clip(num_frames: int, segments: int) -> None:
    drawn, kept = validation_indices(num_frames, segments), kept_of(num_frames, 32)
    assert clip_indices(num_frames, segments, 1) == drawn
    assert [kept.indices[place] for place in kept.places(drawn)] == drawn


def test_several_clips_draw_others() -> None:
    """Why rows of four clips keep all frames."""
    drawn, kept = clip_indices(300, 8, 4), kept_of(300, 32)
    stored = [kept.indices[place] for place in kept.places(drawn)]
    assert drawn[:16] == [0, 37, 75, 112, 150, 187, 225, 262, 12, 49, 87, 124, 162, 199, 237, 274]
    assert stored[:16] == [0, 37, 75, 112, 150, 187, 225, 262, 9, 46, 84, 121, 159, 196, 234, 271]


@pytest.mark.parametrize(("span", "wanted"), [(range(3, 5), [3]), (range(8, 10), []), (None, [10]), (None, [-1])])
def test_what_is_not_there_is_refused(span: range | None, wanted: list[int]) -> None:
    with pytest.raises(DataError, match="none of the frames|no frame"):
        TEN.places(wanted, span)


@pytest.mark.parametrize("text", ["0 2 5 7", "", "0"])
def test_numbers_come_back_from_text(text: str) -> None:
    assert KeptFrames.parse(text, 10).text == text
    assert KeptFrames.parse("0 1 2", 3).text == ""


@pytest.mark.parametrize("text", ["0 10", "2 2", "5 2", "-1 3", "0  2", " ", "a", "٣", "0 2 ", "1" * 5000])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="not rising numbers below 10"):
        KeptFrames.parse(text, 10)


@pytest.mark.parametrize("text", ["1 3 6 8", "0 2 5", "3"])  # all numbers later by one; one number lost; another one
def test_numbers_that_extraction_does_not_place_are_refused(text: str) -> None:
    with pytest.raises(DataError, match="evenly placed ones of 10"):
        KeptFrames.parse(text, 10)
