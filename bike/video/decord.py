"""The second decoder, decord. Only for a helper process: it can hang while it holds the interpreter's lock."""

from __future__ import annotations

import io
from typing import IO, Any

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from bike.errors import one_line
from bike.video.file import START_BYTES, UnreadableError, is_indexed
from bike.video.picture import UPRIGHT, PictureConverter, PicturePlan

_OTHER_PICTURE = 40  # mean difference, of 255, that no rounding and no choice of colour matrix explains


def decode_with_decord(file: IO[bytes], wanted: list[int], expected: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Decode frames by number.

    Args:
        file: the whole video.
        wanted: frame numbers from 0.
        expected: the frames as PyAV decodes them, RGB, uint8 (T, H, W, 3).

    Returns:
        Frames of the same form and size.

    Raises:
        UnreadableError: a container that decord is not given (MPEG's streams, for one), or can't open (AV1), no such
            frame, or a frame that is another picture than PyAV's.
    """
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    file.seek(0)
    if not is_indexed(file.read(START_BYTES)):
        # decord goes by more than the first bytes, has no list of allowed containers, and follows playlists anywhere;
        # and of MPEG's streams it gives other pictures.
        raise UnreadableError("decord is not used for this container; use pyav")
    file.seek(0)
    try:
        reader = decord.VideoReader(io.BytesIO(file.read()), ctx=decord.cpu(0), num_threads=1)
        if max(wanted) >= len(reader):
            raise UnreadableError(f"no frame {max(wanted)} (decord counts {len(reader)})")
        frames = _read_in_order(reader, wanted)
    except (decord.DECORDError, StopIteration) as error:
        raise UnreadableError(f"decord can't decode it ({one_line(error)[:120]})") from None
    if frames.shape != expected.shape:
        converter = PictureConverter(PicturePlan(expected.shape[2], expected.shape[1], UPRIGHT))
        frames = np.stack([converter.rgb(VideoFrame.from_ndarray(frame, format="rgb24")) for frame in frames])
    for index, frame, other in zip(wanted, frames, expected, strict=True):
        if np.abs(frame.astype(np.int16) - other).mean() > _OTHER_PICTURE:
            raise UnreadableError(f"decord's frame {index} is another picture than pyav's; use pyav")
    return frames


def _read_in_order(reader: Any, wanted: list[int]) -> NDArray[np.uint8]:
    """Frames by number, reading on from the first: decord's seeking and skipping give wrong frames of some videos."""
    kept: dict[int, NDArray[np.uint8]] = {}
    chosen = set(wanted)
    for index in range(max(wanted) + 1):
        frame = reader.next()
        if index in chosen:
            pixels = frame.asnumpy()
            height, width = pixels.shape[:2]
            # Of some narrow videos decord takes the padding of a row for a fourth channel: 48 px, 144 bytes in 192.
            kept[index] = pixels.reshape(height, -1)[:, : 3 * width].reshape(height, width, 3)
    return np.stack([kept[index] for index in wanted])
