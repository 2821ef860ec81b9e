"""What a video looks like, in 256 bits that another encoding, size or container hardly changes."""

from __future__ import annotations

import mmap
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from bike.errors import DataError, one_line
from bike.extract.task import Layout
from bike.files import reading
from bike.formats.folders import frame_files
from bike.formats.packs import PACK_SUFFIX, scan_offsets
from bike.video.picture import Plane

_FRAMES, _SIDE = 8, 8  # the video as a small block: frames × rows × columns
_WAVES = 128
_FAINT = 6  # gray levels, in an orthonormal transform: what codecs change, so its sign says nothing
_ONE = 1 << 10  # fixed point, so that every processor finds the same bits


class Looks:
    """Takes what a picture hash needs out of a video's frames while they are made, which costs next to nothing.

    Eight frames, evenly spread, become 8×8 gray levels each. Of the three-dimensional cosine transform of that block
    the 128 slowest waves count (frequencies in time twice), less the mean: two bits each, ``10`` for a positive one,
    ``01`` for a negative one, ``00`` for one too faint to tell. Movement has its waves, so that videos of one still
    camera differ; a black video has no bit at all. After Coskun, Sankur and Memon, "Spatio-temporal transform based
    video hashing" (IEEE Transactions on Multimedia, 2006), where every sign counts.
    """

    def __init__(self, expected: int | None) -> None:
        """``expected``: how many frames are to come, as far as is known."""
        self._expected, self._count = expected or 0, 0
        self._chosen = set(_spread(self._expected)) if self._expected else set()
        self._levels: dict[int, NDArray[np.int64]] = {}

    def see(self, luma: Plane, times: int = 1) -> None:
        """The next frame (H, W), which is stored a number of times."""
        for place in range(self._count, self._count + times):
            if place in self._chosen:
                self._levels[place] = _gray_levels(luma)
        self._count += times

    def hash(self) -> str:
        """64 hexadecimal digits, slow waves first; none where another number of frames came than was expected."""
        if abs(self._count - self._expected) * 2 * _FRAMES >= self._expected:
            return ""
        return _hash([self._levels[place] for place in _spread(self._expected)])


def written_looks(destination: Path, key: str, layout: Layout) -> str:
    """The picture hash of a video whose frames were written already, out of eight of its JPEGs.

    Raises:
        DataError: they are not there, or don't decode.
    """
    place = destination / (f"{key}{PACK_SUFFIX}" if layout == "packs" else key)
    with reading(place):
        if layout == "packs":
            with place.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                offsets = scan_offsets(data)
                jpegs = [data[offsets[index] : offsets[index + 1]] for index in _spread(len(offsets) - 1)]
        else:
            files = frame_files(place)
            jpegs = [files[index].read_bytes() for index in _spread(len(files))]
    try:
        # The decoder gives an eighth of the size for less time; fields need no more than a few pixels.
        least = {"min_height": 4 * _SIDE, "min_width": 4 * _SIDE}
        return _hash([_gray_levels(simplejpeg.decode_jpeg(jpeg, "GRAY", **least)[..., 0]) for jpeg in jpegs])
    except ValueError as error:
        raise DataError(f"{place}: a frame can't be decoded ({one_line(error)}). Extract the video again.") from error


def _spread(num_frames: int) -> list[int]:
    """Frame numbers in the middles of eight equal parts of a video."""
    return [(2 * part + 1) * num_frames // (2 * _FRAMES) for part in range(_FRAMES)]


def _gray_levels(luma: Plane) -> NDArray[np.int64]:
    """Means of 8×8 fields of a picture (H, W), in sixteenths of a gray level."""
    step = max(1, min(luma.shape) // (8 * _SIDE))  # some pixels of each field are enough
    sums: NDArray[Any] = luma[::step, ::step]
    count = np.ones((), np.int64)
    for axis, length in enumerate(sums.shape):
        edges = np.arange(_SIDE + 1) * length // _SIDE  # of a side below 8 px, pixels are repeated
        sums = np.add.reduceat(sums, edges[:-1], axis=axis, dtype=np.int64)
        count = np.multiply.outer(count, np.maximum(np.diff(edges), 1))
    return np.asarray(16 * sums // count, np.int64)


@lru_cache(maxsize=1)
def _waves() -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The transforms in time and in space, and which of the waves count: their numbers, slow ones first."""
    time, row, column = np.indices((_FRAMES, _SIDE, _SIDE)).reshape(3, -1)
    order = np.argsort((2 * time) ** 2 + row**2 + column**2, kind="stable")
    return _cosines(_FRAMES), _cosines(_SIDE), order[1 : _WAVES + 1]


def _cosines(length: int) -> NDArray[np.int64]:
    """The orthonormal cosine transform, (waves, samples), in fixed point."""
    wave, sample = np.indices((length, length))
    scale = np.sqrt(np.where(wave == 0, 1, 2) / length)
    return np.asarray(np.rint(_ONE * scale * np.cos(np.pi * wave * (2 * sample + 1) / (2 * length))), np.int64)


def _hash(levels: list[NDArray[np.int64]]) -> str:
    in_time, in_space, chosen = _waves()
    found = np.tensordot(in_time, in_space @ np.stack(levels) @ in_space.T, 1).ravel()[chosen]
    faint = _FAINT * 16 * _ONE**3
    return np.packbits(np.stack([found > faint, found < -faint], axis=1)).tobytes().hex()
