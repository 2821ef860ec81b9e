"""Frame packs: the JPEG frames of one video, end to end in one file (a Motion-JPEG stream that any player opens).

Each JPEG that `bike extract` writes ends in a comment with the CRC-32 of the bytes before it, in a pack as in a file of
its own; JPEGs without one are read as they are.
"""

from __future__ import annotations

import mmap
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from bike.errors import DataError, one_line

Buffer = bytes | bytearray | memoryview | mmap.mmap


class Sliced(Protocol):
    """Bytes that are fetched when they are asked for, as ``data[start:stop]``."""

    def __getitem__(self, part: slice, /) -> bytes | bytearray | memoryview: ...


PACK_SUFFIX = ".mjpg"
MAX_FRAME_PIXELS = 1 << 26  # a header that claims more is not believed: a few bytes could ask for all memory
MAX_READ_PIXELS = 1 << 30  # of all frames read at once
_MAX_RATIO = 512  # of the sides: scaled up for a crop, the long one would be endless; extraction lets pass half of it
_MAX_SCANS = 64  # a progressive JPEG takes time for each of its scans, however few bytes they have
_LONG_WORK = 1 << 34  # bytes x samples; below, as many scans as fit in take a second at most
_SCANS = re.compile(rb"\xff\xda")  # an expression, since a memoryview can't count
_START, _END, _SCAN = b"\xff\xd8", 0xD9, 0xDA
# A marker inside entropy-coded data: 0xFF not followed by a stuffed zero, a restart marker or a fill byte.
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
# At the end, where no damage to the rest can hide it; in hexadecimal digits, among which no marker can be seen.
_CHECKED_END = re.compile(rb"\xff\xfe\x00\x10crc32 ([0-9a-f]{8})\xff\xd9")
_CHECKED_BYTES = 20


def add_checksum(jpeg: bytes) -> bytes:
    """The same JPEG with a comment before its end: ``crc32`` and eight hexadecimal digits."""
    body = jpeg[:-2]
    return b"%b\xff\xfe\x00\x10crc32 %08x\xff\xd9" % (body, zlib.crc32(body))


def jpeg_checksum(jpeg: bytes | bytearray | memoryview, frame: int, kept: int | None = None) -> int:
    """CRC-32 of a whole JPEG; ``frame`` is its number, for the error.

    Raises:
        DataError: it is not the one that was ``kept``; where none was, the comment in the JPEG states another.
    """
    if kept is not None:
        whole = zlib.crc32(jpeg)
        changed = whole != kept
    else:
        view = memoryview(jpeg)
        body, end = view[:-_CHECKED_BYTES], view[-_CHECKED_BYTES:]
        checksum, stated = zlib.crc32(body), _CHECKED_END.fullmatch(end)
        whole = zlib.crc32(end, checksum)
        changed = stated is not None and int(stated[1], 16) != checksum
    if changed:
        raise DataError(
            f"frame pack: frame {frame} changed since it was written (another CRC-32). "
            "Delete the file, and make or fetch it again."
        )
    return whole


def scan_offsets(data: Buffer) -> list[int]:
    """Find where each JPEG of a frame pack starts.

    Segments are skipped by their stated length, so that bytes which look like markers inside tables, comments or
    embedded thumbnails do not mislead; only entropy-coded data is searched.

    Args:
        data: a whole frame pack.

    Returns:
        Byte offsets from the start of the pack: one per frame, then the end of the last (frames + 1 numbers, rising).

    Raises:
        DataError: ``data`` is not JPEGs end to end; the message gives the offset.
    """
    with memoryview(data) as view:
        offsets = [0]
        while offsets[-1] < len(view):
            offsets.append(_end_of_jpeg(view, offsets[-1]))
            if offsets[-1] < 0:
                raise DataError(f"frame pack: the JPEG at byte {offsets[-2]} is cut off. Extract the video again.")
        return offsets


def split_stream(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut a Motion-JPEG stream that comes in blocks of any size into its JPEGs.

    Raises:
        DataError: as :func:`scan_offsets`.
    """
    held = b""  # the beginning of a JPEG whose end has not come yet
    for block in blocks:
        held += block
        start = 0
        with memoryview(held) as view:
            while start < len(view) and (end := _end_of_jpeg(view, start)) > 0:
                yield held[start:end]
                start = end
        held = held[start:]
    if held:
        raise DataError("frame pack: its last JPEG is cut off. Extract the video again.")


def _end_of_jpeg(view: memoryview, start: int) -> int:
    """Where the JPEG that begins at ``start`` ends, or -1 when the data ends first."""
    if not _START.startswith(view[start : start + 2]):
        raise DataError(f"frame pack: no JPEG starts at byte {start}. Extract the video again.")
    position = start + 2
    while position + 2 <= len(view):
        marker = view[position + 1]
        if marker == _END and view[position] == 0xFF:
            return position + 2
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if position + 4 > len(view):
            break
        length = int.from_bytes(view[position + 2 : position + 4], "big")
        if length < 2 or view[position] != 0xFF:
            raise DataError(f"frame pack: the JPEG at byte {start} is damaged. Extract the video again.")
        position += 2 + length
        if marker == _SCAN:
            found = _NEXT_MARKER.search(view, position)
            if found is None:
                break
            position = found.start()  # the next scan's tables, or the end
    return -1


def read_frames(
    data: Sliced,
    offsets: Sequence[int],
    indices: Sequence[int],
    *,
    gray: bool = False,
    checksums: Sequence[int] | None = None,
) -> NDArray[np.uint8]:
    """Decode chosen frames of a pack; other frames' bytes are not touched.

    Args:
        data: a whole frame pack, or anything that can be sliced like one.
        offsets: start of each frame and the end of the last, as :func:`scan_offsets` gives them.
        indices: frame numbers from 0, in any order; a repeated one is decoded once.
        gray: the stored luma alone, which takes two thirds of the time.
        checksums: CRC-32 of every frame, as :func:`jpeg_checksum`; None where none are kept.

    Returns:
        RGB frames, uint8 (T, H, W, 3), or luma (T, H, W, 1), in the order of ``indices``.

    Raises:
        DataError: a frame number past the end, a damaged or changed JPEG, or frames of different sizes.
    """
    num_frames = len(offsets) - 1
    # Allocated when the first header is read; the decoder writes into it, which saves a copy of every frame.
    frames: NDArray[np.uint8] | None = None
    first: dict[int, int] = {}
    for place, index in enumerate(indices):
        if not 0 <= index < num_frames:
            raise DataError(f"frame pack: no frame {index} (it has {num_frames}). Write the lists again.")
        if frames is not None and index in first:
            frames[place] = frames[first[index]]
            continue
        first[index] = place
        jpeg = data[offsets[index] : offsets[index + 1]]
        jpeg_checksum(jpeg, index, None if checksums is None else checksums[index])
        try:
            if frames is None:
                # Sizes are checked on the header alone, before any memory is asked for.
                height, width, _, _ = simplejpeg.decode_jpeg_header(jpeg)
                if height * width > MAX_FRAME_PIXELS or max(height, width) > _MAX_RATIO * min(height, width):
                    raise ValueError(f"its header claims {width}×{height} pixels")
                if len(indices) * height * width > MAX_READ_PIXELS:
                    raise ValueError(f"{len(indices)} frames of {width}×{height} pixels are too many at once")
                frames = np.empty((len(indices), height, width, 1 if gray else 3), np.uint8)
            if len(jpeg) * frames[place].size > _LONG_WORK and len(_SCANS.findall(jpeg)) > _MAX_SCANS:
                raise ValueError("it has too many scans")
            frame = simplejpeg.decode_jpeg(jpeg, "GRAY" if gray else "RGB", buffer=frames[place])
        except ValueError as error:
            raise DataError(
                f"frame pack: frame {index} can't be decoded ({one_line(error)}). Extract the video again."
            ) from error
        if frame.shape != frames.shape[1:]:
            raise DataError(f"frame pack: frame {index} has another size than the first. Extract the video again.")
    return np.empty((0, 0, 0, 3), np.uint8) if frames is None else frames
