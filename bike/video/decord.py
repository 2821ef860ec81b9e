"""The second decoder, decord. Only for a helper process: it can hang while it holds the interpreter's lock."""

from __future__ import annotations

import io
from typing import IO, Any

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from bike.errors import one_line
from bike.video.file import START_BYTES, UnreadableError, names_its_container
from bike.video.picture import UPRIGHT, PictureConverter, PicturePlan, plan_picture
from bike.video.stream import open_video

_OTHER_PICTURE = 40  # mean difference, of 255, that no rounding and no choice of colour matrix explains


def decode_with_decord(file: IO[bytes], wanted: list[int], short_side_px: int | None) -> NDArray[np.uint8]:
    """Decode frames by number.

    Args:
        file: the whole video.
        wanted: frame numbers from 0.
        short_side_px: as in :func:`bike.video.picture.plan_picture`.

    Returns:
        RGB, uint8 (T, H, W, 3).

    Raises:
        UnreadableError: a container that decord is not given (MPEG-TS, for one), or can't open (AV1), no such frame, or
            a first frame that is not the one of PyAV.
    """
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    file.seek(0)
    if not names_its_container(file.read(START_BYTES)):
        # decord goes by more than the first bytes, has no list of allowed containers, and follows playlists anywhere.
        raise UnreadableError("decord is not used for this container; use pyav")
    with open_video(file) as video:  # decord does not report the pixel aspect
        first = next(iter(video.frames()))
        plan = plan_picture(first, video.pixel_aspect, short_side_px)
        expected = PictureConverter(plan).rgb(first)
    file.seek(0)
    try:
        reader = decord.VideoReader(io.BytesIO(file.read()), ctx=decord.cpu(0), num_threads=1)
        if not 0 <= min(wanted) <= max(wanted) < len(reader):
            raise UnreadableError(f"no frame {max(wanted)} (decord counts {len(reader)})")
        frames = _read_in_order(reader, [0, *wanted])
    except (decord.DECORDError, StopIteration) as error:
        raise UnreadableError(f"decord can't decode it ({one_line(error)[:120]})") from None
    if frames.shape[1:3] != (plan.height, plan.width):
        converter = PictureConverter(PicturePlan(plan.width, plan.height, UPRIGHT))
        frames = np.stack([converter.rgb(VideoFrame.from_ndarray(frame, format="rgb24")) for frame in frames])
    if np.abs(frames[0].astype(np.int16) - expected).mean() > _OTHER_PICTURE:
        raise UnreadableError("decord's first frame is another picture than pyav's; use pyav")
    return frames[1:]


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
