"""Small videos made on the spot, whose frames can be told apart after any codec."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from bike.formats.packs import read_frames, scan_offsets

BITS = 10


def numbered_picture(number: int, *, width: int = 80, height: int = 48) -> np.ndarray:
    """A grey picture whose ten vertical bars spell ``number``.

    Top left is bright, so that turning shows; a band of noise gives every frame some bytes.
    """
    picture = np.full((height, width, 3), 128, np.uint8)
    bar = width // BITS
    for bit in range(BITS):
        picture[height // 2 :, bit * bar : (bit + 1) * bar] = 235 if number >> bit & 1 else 20
    picture[: height // 4, : width // 4] = 235
    band = slice(height // 4, height // 2)
    noise = np.random.default_rng(number).integers(60, 200, (height, width, 1), np.uint8)
    picture[band, width // 4 :] = noise[band, width // 4 :]
    return picture


def read_number(picture: np.ndarray) -> int:
    """The number that :func:`numbered_picture` drew, from a picture of any size."""
    height, width = picture.shape[:2]
    row = picture[int(height * 0.75)].mean(axis=-1)
    bar = width / BITS
    return sum(1 << bit for bit in range(BITS) if row[int((bit + 0.5) * bar)] > 128)


def make_video(
    path: Path,
    num_frames: int = 12,
    *,
    fps: int = 10,
    width: int = 80,
    height: int = 48,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    times: Sequence[int] | None = None,
    rotation: int = 0,
    pixel_aspect: Fraction | None = None,
    pictures: Sequence[np.ndarray] | None = None,
    options: dict[str, str] | None = None,
    matrix: int | None = None,
    full_range: bool = False,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write a video of numbered pictures; ``times`` gives each frame's time in ticks of 1/1000 s."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        context = stream.codec_context
        context.thread_count = 1
        if codec == "libx264":
            context.options = {"preset": "ultrafast", "crf": "12", **(options or {})}
        else:
            context.options = options or {}
        if times is not None:
            context.time_base = Fraction(1, 1000)
        if pixel_aspect is not None:
            stream.sample_aspect_ratio = pixel_aspect
        if matrix is not None:
            context.colorspace = matrix
        context.color_range = ColorRange.JPEG if full_range else ColorRange.MPEG
        if rotation:
            stream.set_display_rotation(rotation)
        for number in range(num_frames):
            picture = numbered_picture(number, width=width, height=height) if pictures is None else pictures[number]
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
                format=pixels,
                dst_colorspace=Colorspace({1: 1, 9: 9}.get(matrix or 0, 5)),
                dst_color_range=ColorRange.JPEG if full_range else ColorRange.MPEG,
            )
            frame.color_range = ColorRange.JPEG if full_range else ColorRange.MPEG
            if matrix is not None:
                frame.colorspace = matrix
            frame.pts = number if times is None else times[number]
            frame.time_base = Fraction(1, fps) if times is None else Fraction(1, 1000)
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


def read_pack(path: Path, indices: Sequence[int]) -> np.ndarray:
    """Chosen frames of a frame pack, RGB, uint8 (T, H, W, 3)."""
    data = path.read_bytes()
    return read_frames(data, scan_offsets(data), indices)


def cut(path: Path, target: Path, share: float) -> Path:
    """Copy the first ``share`` of a file."""
    data = path.read_bytes()
    target.write_bytes(data[: int(len(data) * share)])
    return target


def overwrite(path: Path, target: Path, start: float, share: float) -> Path:
    """Copy a file with a part of it zeroed."""
    data = bytearray(path.read_bytes())
    first = int(len(data) * start)
    count = int(len(data) * share)
    data[first : first + count] = bytes(count)
    target.write_bytes(data)
    return target


def make_tar(path: Path, members: Iterable[tuple[str, bytes]], format: int = tarfile.PAX_FORMAT) -> Path:
    """Write a tar of plain files; names may be of any bytes, and occur more than once."""
    with tarfile.open(path, "w", format=format, errors="surrogateescape") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix in (".mjpg", ".csv", ".jpg"))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


ODD_NAMES = [
    b"a b.mp4",
    b'it\'s "quoted".mp4',
    b"#!&;().mp4",
    b"$(touch pwned)`x`|y>z.mp4",
    b"-i.mp4",
    b"--help.mp4",
    b"concat:a|b.mp4",
    b"file%20name.mp4",
    "Äpfel_naïve_日本.mp4".encode(),
    b"latin\xe9\xff.mp4",
    b"new\nline.mp4",
    b"\x1b[31mred.mp4",
    b"comma,semi;tab\t.mp4",
    b"v" * 196 + b".mp4",
    b"Case.mp4",
    b"case.MP4",
    b"dots.in.name.mp4",
    b".mp4.mp4"[1:],
]
