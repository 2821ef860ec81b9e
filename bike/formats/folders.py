"""Folders of numbered frames: which names count, and what is missing."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from bike.errors import DataError, one_line
from bike.records import VideoRecord

IMAGE_TEMPLATES = ("img_{:05d}.jpg", "image_{:06d}.jpg", "image_{:04d}.jpg", "{video}-{:06d}.jpg")


def frame_folder_record(key: str, path: str, names: Iterable[str]) -> VideoRecord:
    """What a folder of frames holds: rejected when its names fit none of the four templates, or a frame is missing."""
    have = set(names)
    video = path.rpartition("/")[2]
    for template in IMAGE_TEMPLATES:
        if template.format(1, video=video) in have:
            count = 1
            while template.format(count + 1, video=video) in have:
                count += 1
            if count == len(have):
                return VideoRecord(key, path, "ok", frames=count)
            error = f"{len(have)} frames, but {template.format(count + 1, video=video)} is missing"
            return VideoRecord(key, path, "rejected", frames=count, error=error)
    return VideoRecord(key, path, "rejected", error="no frame 1 under a known name, such as img_00001.jpg")


_FRAME_NAME = re.compile(r"(?P<stem>.*?)(?P<number>\d{1,9})\.jpe?g", re.IGNORECASE | re.DOTALL)


def frame_files(folder: Path) -> list[Path]:
    """The frames of a published-style folder in the order of their numbers.

    Any name that ends in a number is understood (``img_00001.jpg``, ``image_0001.jpg``, ``<video>-000001.jpg``).

    Raises:
        DataError: no frames, several numberings in one folder, or a number missing in between.
    """
    frames: dict[int, Path] = {}
    stems: set[str] = set()
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise DataError(f"{folder}: can't be read ({one_line(error.strerror or error)}).") from error
    for name in names:
        match = _FRAME_NAME.fullmatch(name)
        if match:
            stems.add(match["stem"])
            frames[int(match["number"])] = folder / name
    if not frames:
        raise DataError(f"{folder}: no frames. Names that end in a number are read, such as img_00001.jpg.")
    first, last = min(frames), max(frames)
    if len(stems) > 1:
        raise DataError(f"{folder}: frames of several numberings ({', '.join(sorted(stems)[:3])}). Keep one.")
    if last - first + 1 != len(frames):
        gap = next(number for number in range(first, last) if number not in frames)
        raise DataError(f"{folder}: frame {gap} is missing ({len(frames)} frames from {first} to {last}).")
    return [frames[number] for number in sorted(frames)]
