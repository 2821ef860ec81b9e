"""From a decoded picture to plain 8-bit pixels: size, orientation, pixel shape, colour matrix and range."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from bike.video.color import MatrixChange
from bike.video.file import UnreadableError

Plane = NDArray[np.uint8]

# H.273 matrix coefficients -> swscale's tables. Pictures that don't say are taken for BT.601, as other decoders do.
_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
_OTHER_SYSTEMS = {
    8: "YCgCo",
    11: "YDzDx",
    13: "chroma-derived",
    14: "ICtCp",
    15: "IPT-C2",
    16: "YCgCo-Re",
    17: "YCgCo-Ro",
}
# Bit-exact: the same bytes on every processor.
SCALING = Interpolation.BICUBIC | Interpolation.BITEXACT
# For single pictures: chroma is interpolated and nothing rounded down (half a level instead of two or three).
_EXACT = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
_GRAYS = ("gray", "ya")
MAX_SIDES_RATIO = 64  # scaling the short side up, for a crop, would make the long one endless
MAX_PIXEL_ASPECT = 4  # a header that asks for more stretching is not believed


@dataclass(frozen=True, slots=True)
class Turn:
    """How a stored picture is laid out for display: rows and columns swapped first, then mirrored."""

    transpose: bool = False
    mirror_columns: bool = False
    mirror_rows: bool = False

    def apply(self, plane: Plane) -> Plane:
        """A view of ``plane`` (H, W, …), turned."""
        if self.transpose:
            plane = plane.swapaxes(0, 1)
        if self.mirror_columns:
            plane = plane[:, ::-1]
        return plane[::-1] if self.mirror_rows else plane


UPRIGHT = Turn()


@dataclass(frozen=True, slots=True)
class PicturePlan:
    """What is done to each picture of a video: scaled to ``scaled_width`` × ``scaled_height`` px, then turned."""

    scaled_width: int
    scaled_height: int
    turn: Turn = UPRIGHT

    @property
    def width(self) -> int:
        """Width of the finished picture in px."""
        return self.scaled_height if self.turn.transpose else self.scaled_width

    @property
    def height(self) -> int:
        """Height of the finished picture in px."""
        return self.scaled_width if self.turn.transpose else self.scaled_height


def plan_picture(frame: VideoFrame, pixel_aspect: Fraction | None, short_side_px: int | None) -> PicturePlan:
    """Decide the size and orientation of a video from its first picture.

    Args:
        frame: the first decoded picture.
        pixel_aspect: width / height of one stored pixel (sample aspect ratio); None or 0 for square.
        short_side_px: shrink until the shorter side has this many px; smaller pictures, and all with None, keep
            their size. Other sides become even.

    Returns:
        The plan for every picture of the video.

    Raises:
        UnreadableError: one side is more than :data:`MAX_SIDES_RATIO` times the other.
    """
    if max(frame.width, frame.height) > MAX_SIDES_RATIO * min(frame.width, frame.height):
        raise UnreadableError(f"picture too narrow ({frame.width} x {frame.height} px)")
    width, height = scaled_size(frame.width, frame.height, pixel_aspect, short_side_px)
    return PicturePlan(width, height, display_turn(frame))


def scaled_size(width: int, height: int, pixel_aspect: Fraction | None, short_side_px: int | None) -> tuple[int, int]:
    """Width and height in px with square pixels and the short side at most ``short_side_px``; never enlarged."""
    square = not pixel_aspect or not Fraction(1, MAX_PIXEL_ASPECT) <= pixel_aspect <= MAX_PIXEL_ASPECT
    shown_width = Fraction(width) if square or pixel_aspect is None else width * pixel_aspect
    short = min(shown_width, Fraction(height))
    scale = min(Fraction(1), Fraction(short_side_px) / short) if short_side_px else Fraction(1)
    if scale == 1:
        return (width if shown_width == width else _even(shown_width)), height
    if shown_width <= height:
        return round(shown_width * scale), _even(height * scale)
    return _even(shown_width * scale), round(height * scale)


def _even(length: Fraction) -> int:  # as ffmpeg's `scale=-2:256` rounds the side it is not given
    return max(2, 2 * round(length / 2))


def display_turn(frame: VideoFrame) -> Turn:
    """The turn that the video's display matrix asks for; matrices that are not quarter turns or mirrors are ignored."""
    items: Any = frame.side_data  # its stubs call it a mapping; it iterates over items
    for item in items:
        if item.type == SideDataType.DISPLAYMATRIX:
            return turn_of_matrix(np.frombuffer(bytes(item), np.int32).tolist())
    return UPRIGHT


def turn_of_matrix(matrix: list[int]) -> Turn:
    """Read a display matrix: nine 16.16 fixed-point numbers, row by row, (x, y) ↦ (a·x + c·y, b·x + d·y)."""
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    # Up to 1/64, a rotation off by about a degree, counts as 0.
    small = max(abs(a), abs(b), abs(c), abs(d)) // 64
    if min(abs(a), abs(d)) > small >= max(abs(b), abs(c)):
        return Turn(False, a < 0, d < 0)
    if min(abs(b), abs(c)) > small >= max(abs(a), abs(d)):
        return Turn(True, c < 0, b < 0)
    return UPRIGHT


def color_matrix(frame: VideoFrame) -> Colorspace:
    """The matrix that a picture's Y, Cb, Cr are to be read with.

    Raises:
        UnreadableError: its three planes are something else.
    """
    number = int(frame.colorspace)
    if number in _OTHER_SYSTEMS and not frame.format.is_rgb:
        raise UnreadableError(f"its colour system is not supported ({_OTHER_SYSTEMS[number]})")
    return Colorspace(_MATRICES.get(number, 5))


def color_range(frame: VideoFrame) -> ColorRange:
    """JPEG where black is 0 and white is 255 (or the like at other depths), MPEG where they are 16 and 235."""
    stated = frame.color_range == ColorRange.JPEG
    gray = frame.format.name.startswith(_GRAYS) and frame.color_range != ColorRange.MPEG
    full = stated or gray or frame.format.is_rgb or frame.format.name.startswith(("yuvj", "pal"))
    return ColorRange.JPEG if full else ColorRange.MPEG


def is_limited_gray(frame: VideoFrame) -> bool:
    """Whether a picture has luma alone, of limited range: the scaler takes all such formats for full range."""
    return frame.format.name.startswith(_GRAYS) and color_range(frame) == ColorRange.MPEG


def _with_chroma(gray: VideoFrame) -> VideoFrame:
    """A picture of luma alone as 8-bit 4:2:0, its luma as it is: what the scaler knows how to stretch."""
    luma = _pixels(gray.reformat(format="gray", threads=1).planes[0])
    out = VideoFrame(gray.width, gray.height, "yuv420p")
    for plane in out.planes:
        pixels = np.full((plane.height, plane.line_size), 128, np.uint8)
        if plane.width == gray.width and plane.height == gray.height:
            pixels[:, : plane.width] = luma
        plane.update(pixels.tobytes())
    out.color_range = ColorRange.MPEG
    return out


class PictureConverter:
    """Turns the decoded pictures of one video into pixels after one plan; keeps one scaling context throughout.

    HDR pictures keep their transfer curve (no tone mapping); alpha is dropped.
    """

    def __init__(self, plan: PicturePlan) -> None:
        self.plan = plan
        self._scale: Callable[..., VideoFrame] = VideoReformatter().reformat
        self._changes: dict[Colorspace, MatrixChange] = {}

    def yuv_planes(self, frame: VideoFrame) -> tuple[Plane, Plane, Plane]:
        """Full-range BT.601 planes as JPEG wants them: Y (H, W), U and V (⌈H/2⌉, ⌈W/2⌉), uint8; rows may be padded."""
        frame = _with_chroma(frame) if is_limited_gray(frame) else frame
        matrix = Colorspace.ITU601 if frame.format.is_rgb else color_matrix(frame)
        if self._needs_range_only(frame):
            luma, chroma = full_range_tables()
            tables = (luma, chroma, chroma)
            y, u, v = (self._turned(plane, table) for plane, table in zip(frame.planes, tables, strict=True))
        else:
            out = self._reformat(frame, "yuvj420p", matrix, ColorRange.JPEG, SCALING)
            y, u, v = (self._turned(plane) for plane in out.planes)
        if matrix == Colorspace.ITU601:
            return y, u, v
        if matrix not in self._changes:
            self._changes[matrix] = MatrixChange(matrix)
        return self._changes[matrix](y, u, v)

    def rgb(self, frame: VideoFrame) -> Plane:
        """RGB, uint8 (H, W, 3), contiguous."""
        frame = _with_chroma(frame) if is_limited_gray(frame) else frame
        out = self._reformat(frame, "rgb24", None, None, SCALING | _EXACT)
        plane: Any = out.planes[0]  # its rows are padded to line_size bytes
        pixels = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width * 3]
        return np.ascontiguousarray(self.plan.turn.apply(pixels.reshape(plane.height, plane.width, 3)))

    def _reformat(
        self, frame: VideoFrame, pixels: str, matrix: Any, target_range: Any, method: Interpolation
    ) -> VideoFrame:
        return self._scale(
            frame,
            self.plan.scaled_width,
            self.plan.scaled_height,
            pixels,
            src_colorspace=color_matrix(frame),
            dst_colorspace=matrix,
            interpolation=method,
            src_color_range=color_range(frame),
            dst_color_range=target_range,
            threads=1,
        )

    def _needs_range_only(self, frame: VideoFrame) -> bool:
        same_size = (frame.width, frame.height) == (self.plan.scaled_width, self.plan.scaled_height)
        return same_size and frame.format.name == "yuv420p" and color_range(frame) == ColorRange.MPEG

    def _turned(self, plane: Any, table: bytes | None = None) -> Plane:
        pixels = _pixels(plane, table)
        return pixels if self.plan.turn == UPRIGHT else np.ascontiguousarray(self.plan.turn.apply(pixels))


def _pixels(plane: Any, table: bytes | None = None) -> Plane:
    """The pixels (H, W) of a picture's plane, each replaced by its entry of ``table`` if there is one."""
    data = plane if table is None else bytearray(plane).translate(table)
    return np.frombuffer(data, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]


@lru_cache(maxsize=1)
def full_range_tables() -> tuple[bytes, bytes]:
    """What the scaler makes of every limited-range luma and chroma value, 256 bytes each.

    Where there is nothing to scale, tables are quicker than the scaler: extraction gains a twentieth at 340×256. They
    are its own answers, so that a picture is the same bytes either way.
    """
    ramp = np.arange(256, dtype=np.uint8)
    picture = VideoFrame.from_ndarray(np.stack([ramp] * 6), format="yuv420p")  # 256×4; 128×2 of either chroma
    out = VideoReformatter().reformat(
        picture,
        format="yuvj420p",
        src_colorspace=Colorspace.ITU601,
        dst_colorspace=Colorspace.ITU601,
        interpolation=SCALING,
        src_color_range=ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        threads=1,
    )
    return _pixels(out.planes[0])[0].tobytes(), _pixels(out.planes[1]).tobytes()
