"""Which frames of a video are stored where not all are, and which of them stands for a frame that was drawn.

A video of n = 10 frames of which N = 4 are kept::

    kept                  0 2 5 7     frame int(n / N · i), as validation draws them (bike.data.temporal)
    drawn, 2 segments     0 5         both are kept
    drawn, third clip     1 3 6 8     0 2 5 7 stand for them: the nearest, of two equally near ones the earlier

A draw of T frames over the whole video is kept in full where N / T is a power of two. With other multiples of T
rounding makes some of them their neighbours.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from bike.errors import DataError


def placed_frames(num_frames: int, frames_per_video: int | None) -> Sequence[int]:
    """Which frames of a video to keep: ``frames_per_video`` of them at ``int(n / N · i)``.

    Args:
        num_frames: n, of the video.
        frames_per_video: N; None for all. A video with at most so many keeps all.

    Returns:
        Frame numbers from 0, rising.

    Example:
        Of 10 frames 4 are 0, 2, 5 and 7; of 300 frames 32 are 0, 9, 18, 28, 37, … 281 and 290.
    """
    if frames_per_video is None or num_frames <= frames_per_video:
        return range(num_frames)
    return [int(num_frames / frames_per_video * i) for i in range(frames_per_video)]


@dataclass(frozen=True, slots=True)
class KeptFrames:
    """The stored frames of one video.

    Attributes:
        num_frames: of the video.
        indices: numbers of the stored ones, rising; ``range(num_frames)`` where all are.
    """

    num_frames: int
    indices: Sequence[int]

    @classmethod
    def all_of(cls, num_frames: int) -> Self:
        """Every frame of a video."""
        return cls(num_frames, range(num_frames))

    @classmethod
    def parse(cls, text: str, num_frames: int) -> Self:
        """The numbers as a manifest has them, parted by blanks; an empty text means all.

        Raises:
            DataError: no numbers, or not those of :func:`placed_frames` for as many.
        """
        if not text:
            return cls.all_of(num_frames)
        words = text.split(" ")
        digits = len(str(num_frames))  # of more, int() takes long or refuses
        good = all(word.isascii() and word.isdecimal() and len(word) <= digits for word in words)
        found = cls.checked([int(word) for word in words] if good else [], num_frames)
        if found.indices != list(placed_frames(num_frames, len(words))):
            raise DataError(
                f"kept frames: not {len(words)} evenly placed ones of {num_frames}. Extract the video again."
            )
        return found

    @classmethod
    def checked(cls, indices: Sequence[int], num_frames: int) -> Self:
        """Numbers of unknown origin; a DataError as :meth:`parse`."""
        rising = all(low < high for low, high in pairwise(indices))
        if not indices or not rising or indices[0] < 0 or indices[-1] >= num_frames:
            raise DataError(
                f"kept frames: not rising numbers below {num_frames}. Extract the video, or write the shards, again."
            )
        return cls(num_frames, indices)

    @property
    def text(self) -> str:
        """What :meth:`parse` reads."""
        return " ".join(map(str, self.indices)) if len(self.indices) < self.num_frames else ""

    def places(self, wanted: Sequence[int], span: range | None = None) -> list[int]:
        """Where in the store the frame that stands for each wanted one lies.

        Args:
            wanted: frame numbers of the video.
            span: the part of the video that a sample means, out of which no frame is taken; None: the whole.

        Returns:
            Places in ``indices``: of the frame itself where it is kept, else of the nearest, of two equally near ones
            the earlier.

        Raises:
            DataError: no frame of the span is kept, or the video has no such frame.
        """
        if len(self.indices) == self.num_frames:  # whoever reads it says what is past the end
            return list(wanted)
        inside = range(self.num_frames) if span is None else span
        low, high = bisect_left(self.indices, inside.start), bisect_left(self.indices, inside.stop)
        if low == high:
            raise DataError(
                f"none of the frames {inside.start} to {inside.stop - 1} is kept ({len(self.indices)} of "
                f"{self.num_frames} are). Extract all frames of videos with short samples, or more of them."
            )
        found = []
        for frame in wanted:
            if not 0 <= frame < self.num_frames:
                raise DataError(f"no frame {frame} (the video has {self.num_frames}). Write the lists again.")
            place = bisect_left(self.indices, frame, low, high)
            later_is_nearer = place < high and (
                place == low or self.indices[place] - frame < frame - self.indices[place - 1]
            )
            found.append(place if later_is_nearer else place - 1)
        return found
