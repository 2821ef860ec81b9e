"""Pixels: size, orientation, pixel shape, matrix, range and depth."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from helpers.videos import make_video, read_number, read_pack

from bike.errors import DataError
from bike.extract.ffmpeg import ffmpeg_binary
from bike.extract.run import extract_videos
from bike.params import Extract
from bike.video.color import WEIGHTS, MatrixChange
from bike.video.decode import decode_frames
from bike.video.picture import (
    SCALING,
    UPRIGHT,
    PictureConverter,
    PicturePlan,
    Turn,
    full_range_tables,
    scaled_size,
    turn_of_matrix,
)

ONE = 1 << 16
COLORS = [(200, 100, 50), (30, 180, 90), (60, 70, 200), (245, 245, 245), (12, 12, 12)]


@pytest.mark.parametrize(
    ("width", "height", "aspect", "short_side", "expected"),
    [
        (1280, 720, None, 256, (456, 256)),
        (720, 1280, None, 256, (256, 456)),
        (340, 256, Fraction(1), 256, (340, 256)),
        (320, 241, None, 256, (320, 241)),  # smaller: as it is, odd sides too
        (854, 480, Fraction(0), 256, (456, 256)),
        (340, 256, Fraction(64, 51), 256, (426, 256)),  # 16:9 in narrow pixels
        (720, 576, Fraction(16, 15), None, (768, 576)),
        (720, 480, Fraction(8, 9), 256, (342, 256)),
        (100, 100, Fraction(1, 2), 256, (50, 100)),
        (100, 100, Fraction(1000, 1), 256, (100, 100)),  # not believed
        (1, 1, None, 16, (1, 1)),
        (4000, 20, None, 256, (4000, 20)),
        (640, 480, None, 255, (340, 255)),
    ],
)
def test_scaled_size(
    width: int, height: int, aspect: Fraction | None, short_side: int | None, expected: tuple[int, int]
) -> None:
    assert scaled_size(width, height, aspect, short_side) == expected


def test_turns_move_a_corner_where_the_matrix_says() -> None:
    """Every quarter turn and mirror image, against the matrix applied to pixel centres."""
    height, width = 3, 4
    plane = np.arange(12, dtype=np.uint8).reshape(height, width)
    for a, b, c, d in [(1, 0, 0, 1), (-1, 0, 0, 1), (1, 0, 0, -1), (-1, 0, 0, -1),
                       (0, 1, -1, 0), (0, -1, 1, 0), (0, 1, 1, 0), (0, -1, -1, 0)]:  # fmt: skip
        turned = turn_of_matrix([a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30]).apply(plane)
        places = {(x, y): (a * x + c * y, b * x + d * y) for x in range(width) for y in range(height)}
        left, top = min(p for p, _ in places.values()), min(q for _, q in places.values())
        for (x, y), (p, q) in places.items():
            assert turned[q - top, p - left] == plane[y, x]


@pytest.mark.parametrize(
    "matrix", [[0] * 9, [ONE, ONE, 0, -ONE, ONE, 0, 0, 0, ONE], [-(2**31)] * 9, [ONE, 0, 0, 0, 0, 0, 0, 0, 0]]
)
def test_matrices_that_are_no_quarter_turn_are_ignored(matrix: list[int]) -> None:
    assert turn_of_matrix(matrix) == UPRIGHT


@pytest.mark.parametrize("source", list(WEIGHTS))
def test_matrix_change_agrees_with_the_way_over_rgb(source: Colorspace) -> None:
    rgb = np.random.default_rng(0).uniform(5, 250, (200, 3))
    planes = [_encode(rgb, *WEIGHTS[source]), _encode(rgb, *WEIGHTS[Colorspace.ITU601])]
    rounded = np.rint(planes[0]).clip(0, 255).astype(np.uint8)
    for (y, u, v), expected in zip(rounded, planes[1], strict=True):
        new = MatrixChange(source)(np.full((3, 3), y), np.full((2, 2), u), np.full((2, 2), v))
        assert [plane.shape for plane in new] == [(3, 3), (2, 2), (2, 2)]
        np.testing.assert_allclose([new[0][2, 2], new[1][1, 1], new[2][1, 1]], expected.clip(0, 255), atol=1.2)


def _encode(rgb: np.ndarray, red: float, blue: float) -> np.ndarray:
    y = rgb @ [red, 1 - red - blue, blue]
    return np.stack([y, (rgb[:, 2] - y) / (2 * (1 - blue)) + 128, (rgb[:, 0] - y) / (2 * (1 - red)) + 128], 1)


@pytest.mark.parametrize(
    ("codec", "pixels", "matrix", "full_range"),
    [
        ("libx264", "yuv420p", None, False),
        ("libx264", "yuv420p", 1, False),
        ("libx264", "yuv420p", 9, False),
        ("libx264", "yuv420p", 1, True),
        ("libx264", "yuv420p", None, True),
        ("libx264", "yuv444p", 1, False),
        ("libx264", "yuv420p10le", 9, False),
        ("libx264", "yuv422p", None, False),
        ("ffv1", "bgr0", None, True),
        ("ffv1", "yuva420p", None, False),
    ],
)
def test_colours_survive(tmp_path: Path, codec: str, pixels: str, matrix: int | None, full_range: bool) -> None:
    pictures = [np.full((32, 48, 3), color, np.uint8) for color in COLORS]
    video = make_video(
        tmp_path / "a.mkv", len(COLORS), width=48, height=32, codec=codec, pixels=pixels, matrix=matrix,
        full_range=full_range, pictures=pictures, options={"crf": "1"} if codec == "libx264" else None,
    )  # fmt: skip
    frames = decode_frames(video, range(len(COLORS)))
    np.testing.assert_allclose(frames.mean(axis=(1, 2)), COLORS, atol=3)
    small = decode_frames(video, range(len(COLORS)), short_side=16)
    assert small.shape == (len(COLORS), 16, 24, 3)
    np.testing.assert_allclose(small.mean(axis=(1, 2)), COLORS, atol=3)


def test_other_colour_systems_are_refused(tmp_path: Path) -> None:
    """Three planes that are not Y, Cb, Cr would come out in wrong colours."""
    with pytest.raises(DataError, match=r"its colour system is not supported \(YCgCo\)"):
        decode_frames(make_video(tmp_path / "a.mp4", 2, matrix=8), [0])


@pytest.mark.parametrize(
    ("rotation", "turn"),
    [(90, Turn(True, False, True)), (180, Turn(False, True, True)), (-90, Turn(True, True, False))],
)
def test_rotation_is_honoured(tmp_path: Path, rotation: int, turn: Turn) -> None:
    upright = decode_frames(make_video(tmp_path / "a.mp4", 3), [0, 2])
    turned = decode_frames(make_video(tmp_path / "b.mp4", 3, rotation=rotation), [0, 2])
    np.testing.assert_array_equal(turned, [turn.apply(frame) for frame in upright])
    np.testing.assert_array_equal(turned, [np.rot90(frame, rotation // 90) for frame in upright])


def test_pixels_become_square(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mp4", 3, pixel_aspect=Fraction(3, 2))
    frames = decode_frames(video, [1, 2])
    assert frames.shape == (2, 48, 120, 3)
    assert [read_number(frame) for frame in frames] == [1, 2]


def test_ribbons_are_refused(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", 2, width=2080, height=32)
    with pytest.raises(DataError, match="picture too narrow"):
        decode_frames(tmp_path / "a.mp4", [0])
    make_video(tmp_path / "b.mp4", 2, width=1280, height=32)
    assert decode_frames(tmp_path / "b.mp4", [0]).shape == (1, 32, 1280, 3)


@pytest.mark.parametrize(("width", "height"), [(96, 64), (33, 17), (1, 1)])
@pytest.mark.parametrize("turn", [UPRIGHT, Turn(transpose=True, mirror_rows=True)])
def test_tables_give_the_scalers_bytes(width: int, height: int, turn: Turn) -> None:
    """Pictures that need no scaling take another way to the same bytes, those of every value included."""
    rng = np.random.default_rng(width)
    frame = VideoFrame(width, height, "yuv420p")
    for plane in frame.planes:
        plane.update(rng.integers(0, 256, plane.height * plane.line_size, np.uint8).tobytes())
    converter = PictureConverter(PicturePlan(width, height, turn))
    out = converter._reformat(frame, "yuvj420p", Colorspace.ITU601, ColorRange.JPEG, SCALING)
    for ours, plane in zip(converter.yuv_planes(frame), out.planes, strict=True):
        expected = np.frombuffer(plane, np.uint8).reshape(plane.height, -1)[:, : plane.width]
        np.testing.assert_array_equal(ours, turn.apply(expected))
    luma, chroma = (np.frombuffer(table, np.uint8) for table in full_range_tables())
    assert (luma[16], luma[235], chroma[128]) == (0, 255, 128)
    assert (np.diff(luma.astype(int)) >= 0).all()
    assert (np.diff(chroma.astype(int)) >= 0).all()


@pytest.mark.parametrize("backend", ["pyav", "ffmpeg"])
@pytest.mark.parametrize("pixels", ["gray", "gray10le"])
def test_gray_has_the_range_it_states(tmp_path: Path, backend: str, pixels: str) -> None:
    """Luma 16 and 235 are black and white where the stream says so, and dark and light gray where it is full range."""
    levels = {"tv": {16: 0, 126: 128, 235: 255}, "pc": {16: 16, 126: 126, 235: 235}}
    for stated, shown in levels.items():
        for luma, expected in shown.items():
            scale = 4 if "10" in pixels else 1
            shade = f"format={pixels},lut={luma * scale},setparams=range={stated}"
            source = ["-f", "lavfi", "-i", "color=s=64x48:r=10:d=0.3", "-vf", shade]
            video = tmp_path / f"{pixels}{stated}{luma}.mkv"
            options = ["-pix_fmt", pixels, "-color_range", stated, "-c:v", "ffv1"]
            command = [ffmpeg_binary(), "-v", "error", *source, *options, str(video)]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
            out = tmp_path / f"{backend}{luma}{stated}"
            extract_videos(video, out, jobs=1, options=Extract(backend=backend))  # type: ignore[arg-type]
            frame = read_pack(out / f"{video.stem}.mjpg", [0])[0]
            assert np.abs(frame.astype(int) - expected).max() <= 2
            assert np.abs(decode_frames(video, [0]).astype(int) - expected).max() <= 2
