"""Where the frames of one video are written: a pack or a folder that appears whole or not at all."""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from bike.extract.task import Layout
from bike.files import atomic_write, new_folder, remove, remove_folder, rename, sync_files, unwritable, write_bytes
from bike.formats.packs import PACK_SUFFIX

_FRAME = re.compile(r"img_\d{5,}\.jpg")


class FrameOutput(Protocol):
    """Receives the JPEGs of one video in order; counts frames and bytes."""

    num_frames: int
    num_bytes: int

    def add(self, jpeg: bytes | memoryview) -> None:
        """Append one frame."""

    def keep_first(self, num_frames: int) -> None:
        """Take back all frames but the first ``num_frames``."""


class _Pack:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._sizes = array("Q")
        self.num_frames = self.num_bytes = 0

    def add(self, jpeg: bytes | memoryview) -> None:
        self._file.write(jpeg)
        self._sizes.append(len(jpeg))
        self.num_frames += 1
        self.num_bytes += len(jpeg)

    def keep_first(self, num_frames: int) -> None:
        del self._sizes[num_frames:]
        self.num_frames, self.num_bytes = len(self._sizes), sum(self._sizes)
        self._file.truncate(self.num_bytes)
        self._file.seek(self.num_bytes)


class _Folder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.num_frames = self.num_bytes = 0

    def add(self, jpeg: bytes | memoryview) -> None:
        self.num_frames += 1
        self.num_bytes += len(jpeg)
        write_bytes(self._path(self.num_frames), jpeg)

    def keep_first(self, num_frames: int) -> None:
        for number in range(num_frames + 1, self.num_frames + 1):
            self.num_bytes -= self._path(number).stat().st_size
            remove(self._path(number))
        self.num_frames = min(num_frames, self.num_frames)

    def _path(self, number: int) -> Path:
        return self._folder / f"img_{number:05d}.jpg"


@contextmanager
def open_output(destination: Path, key: str, layout: Layout) -> Iterator[FrameOutput]:
    """Collect the frames of video ``key`` and put them in place when the block succeeds.

    Raises:
        BikeError: the destination can't be written to.
    """
    if layout == "packs":
        with atomic_write(destination / f"{key}{PACK_SUFFIX}") as file:
            yield _Pack(file)
        return
    final = destination / key
    temporary = new_folder(destination)
    try:
        yield _Folder(temporary)
        sync_files(temporary)
        remove_output(destination, key)  # a folder can take the place of an empty one only
        rename(temporary, final)
    except OSError as error:
        raise unwritable(final, error) from error
    finally:
        remove_folder(temporary, with_content=True)


def output_exists(destination: Path, key: str, layout: Layout, num_frames: int, num_bytes: int) -> bool:
    """Whether the frames of ``key`` are in place, as far as that is cheap to see."""
    try:
        if layout == "packs":
            return (destination / f"{key}{PACK_SUFFIX}").stat().st_size == num_bytes
        with os.scandir(destination / key) as files:
            return sum(1 for file in files if _FRAME.fullmatch(file.name)) == num_frames
    except OSError:
        return False


def output_there(destination: Path, key: str) -> Path | None:
    """A pack or a folder with frames that lies where the frames of ``key`` belong, whoever wrote it."""
    pack, folder = destination / f"{key}{PACK_SUFFIX}", destination / key
    if os.path.lexists(pack):
        return pack
    return folder if next(folder.glob("img_*.jpg"), None) is not None else None


def remove_output(destination: Path, key: str) -> None:
    """Remove what an earlier run wrote for ``key`` in either layout."""
    remove(destination / f"{key}{PACK_SUFFIX}")
    folder = destination / key
    if folder.is_dir() and not folder.is_symlink():
        for path in folder.glob("img_*.jpg"):
            if _FRAME.fullmatch(path.name):
                remove(path)
        remove_folder(folder)  # someone else's files stay
