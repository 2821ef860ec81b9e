"""Folders of numbered JPEG frames: which names count, in which order, and what is missing."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from bike.errors import DataError
from bike.files import reading
from bike.files.names import is_hidden

_FRAME_NAME = re.compile(r"(?P<stem>.*?)(?P<number>\d{1,9})\.jpe?g", re.IGNORECASE | re.DOTALL)

_WRITTEN = re.compile(r"img_\d{5,}\.jpg")  # the names that frame_name gives


def frame_name(number: int) -> str:
    """What ``bike extract`` calls the frame with this number, counted from 1: ``img_00001.jpg``."""
    return f"img_{number:05d}.jpg"


def written_frames(folder: Path) -> list[str]:
    """Names of the files of a folder that ``bike extract`` may have written, in no order; none where it can't be read.

    All others are somebody else's, ``img_1.jpg`` included.
    """
    try:
        return [name for name in os.listdir(folder) if _WRITTEN.fullmatch(name)]
    except OSError:
        return []


def is_frame(name: str) -> bool:
    """Whether a file's name is that of a frame: a JPEG whose name ends in a number, such as ``img_00001.jpg``."""
    return _frame_match(name) is not None


def _frame_match(name: str) -> re.Match[str] | None:
    return None if is_hidden(name) else _FRAME_NAME.fullmatch(name)  # ._img_00001.jpg is no frame


def order_frames(names: Iterable[str]) -> list[str]:
    """The frames among the files of a folder, in the order of their numbers.

    ``img_00001.jpg``, ``image_0001.jpg``, ``<video>-000001.jpg``, ``frame0.jpg``: all names are the same up to the
    number, and numbers run from 0 or 1 without a gap. Other files don't count.

    Raises:
        DataError: no frames, several numberings in one folder, or a number is missing.
    """
    frames: dict[int, str] = {}
    stems: set[str] = set()
    for name in names:
        if match := _frame_match(name):
            stems.add(match["stem"])
            other = frames.setdefault(int(match["number"]), name)
            # With several stems, equal numbers are no surprise: the error below says what is wrong.
            if other != name and len(stems) == 1:
                raise DataError(f"{other} and {name} have the same number. Keep one.")
    if not frames:
        raise DataError("no frames. Names that end in a number are read, such as img_00001.jpg.")
    if len(stems) > 1:
        raise DataError(f"frames of several numberings ({', '.join(sorted(stems)[:3])}). Keep one.")
    # A gap would shift every later frame in time.
    last = max(frames)
    missing = next((number for number in range(0 if 0 in frames else 1, last) if number not in frames), None)
    if missing is not None:
        raise DataError(f"frame {missing} is missing ({len(frames)} frames up to {last}). Extract the video again.")
    return [frames[number] for number in sorted(frames)]


def frame_files(folder: Path) -> list[Path]:
    """The frames of a folder in the order of their numbers.

    Raises:
        DataError: see :func:`order_frames`; or the folder can't be read.
    """
    with reading(folder):
        return [folder / name for name in order_frames(os.listdir(folder))]
