"""Extraction the plain way: a loop that decodes a frame, and writes it as a JPEG file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bike.extract.task import jpeg_quality
from bike.workers.worker import has_module

QUALITY = 2
BICUBIC, BILINEAR = "decoder loop, bicubic", "decoder loop, bilinear"


@dataclass(frozen=True, slots=True)
class LoopTask:
    """A video, the folder for its frames, and their size in px."""

    path: str
    folder: str
    width: int
    height: int


def plain_decoder() -> str:
    """The decoder of the loops that we compare with: decord where it is installed, otherwise PyAV's plain interface."""
    return "decord" if has_module("decord") else "PyAV"


def plain_loops() -> dict[str, Callable[[LoopTask], int]]:
    """The loops by name; each returns how many frames it wrote.

    Both of decord's are there because its own scaling is bilinear, which takes half the time of the bicubic scaling
    that ffmpeg's command line and we do; in a loop that is bicubic as well, PIL scales what the decoder gives.
    """
    if plain_decoder() == "decord":
        return {BICUBIC: decord_loop, BILINEAR: decord_scaled_loop}
    return {BICUBIC: pyav_loop}


def decord_loop(task: LoopTask) -> int:
    """Decord decodes, PIL scales and writes one JPEG file a frame."""
    pictures = _decord_pictures(task.path)
    return _write(task, (picture.resize((task.width, task.height), _bicubic()) for picture in pictures))


def decord_scaled_loop(task: LoopTask) -> int:
    """Decord decodes and scales, PIL writes one JPEG file a frame."""
    return _write(task, _decord_pictures(task.path, width=task.width, height=task.height))


def pyav_loop(task: LoopTask) -> int:
    """PyAV decodes, PIL scales and writes one JPEG file a frame."""
    import av

    with av.open(task.path) as container:
        frames: Iterator[Any] = container.decode(video=0)
        return _write(task, (frame.to_image().resize((task.width, task.height), _bicubic()) for frame in frames))


def _decord_pictures(path: str, **size: int) -> Iterator[Any]:
    import decord
    from PIL import Image

    decord.logging.set_level(decord.logging.QUIET)
    reader = decord.VideoReader(path, ctx=decord.cpu(0), num_threads=1, **size)
    for _ in range(len(reader)):
        yield Image.fromarray(reader.next().asnumpy())


def _bicubic() -> Any:
    from PIL import Image

    return Image.Resampling.BICUBIC


def _write(task: LoopTask, pictures: Iterator[Any]) -> int:
    os.mkdir(task.folder)  # noqa: PTH102
    number = 0
    for number, picture in enumerate(pictures, start=1):
        picture.save(f"{task.folder}/img_{number:05d}.jpg", quality=jpeg_quality(QUALITY))
    return number
