"""Extraction the plain way: a loop that decodes a frame, and writes it as a JPEG file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bike.data.extract_recipe import jpeg_quality

QUALITY = 2


@dataclass(frozen=True, slots=True)
class LoopTask:
    """A video, the folder for its frames, and their size in px."""

    path: str
    folder: str
    width: int
    height: int


def decord_loop(task: LoopTask) -> int:
    """Decord scales, PIL writes one JPEG file a frame."""
    import decord
    from PIL import Image

    decord.logging.set_level(decord.logging.QUIET)
    reader = decord.VideoReader(task.path, ctx=decord.cpu(0), width=task.width, height=task.height, num_threads=1)
    os.mkdir(task.folder)  # noqa: PTH102
    count = len(reader)
    for number in range(count):
        picture = Image.fromarray(reader.next().asnumpy())
        picture.save(f"{task.folder}/img_{number + 1:05d}.jpg", quality=jpeg_quality(QUALITY))
    return count


def pyav_loop(task: LoopTask) -> int:
    """PyAV decodes, PIL scales and writes one JPEG file a frame."""
    import av
    from PIL import Image

    os.mkdir(task.folder)  # noqa: PTH102
    number = 0
    with av.open(task.path) as container:
        frames: Iterator[Any] = container.decode(video=0)
        for number, frame in enumerate(frames, start=1):
            picture = frame.to_image().resize((task.width, task.height), Image.Resampling.BICUBIC)
            picture.save(f"{task.folder}/img_{number:05d}.jpg", quality=jpeg_quality(QUALITY))
    return number
