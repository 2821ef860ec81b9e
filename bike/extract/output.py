"""Where the frames of one video are written: a pack or a folder that appears whole or not at all."""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from bike.errors import BikeError
from bike.extract.task import Layout
from bike.files import (
    atomic_write,
    new_folder,
    remove,
    remove_folder,
    rename,
    sha256,
    sync_files,
    unreadable,
    unwritable,
    write_bytes,
)
from bike.formats.folders import frame_files, frame_name, written_frames
from bike.formats.packs import PACK_SUFFIX


class FrameOutput(Protocol):
    """Receives the JPEGs of one video in order; counts frames and bytes, and hashes them until some are taken back."""

    num_frames: int
    num_bytes: int
    digest: hashlib._Hash | None

    def add(self, jpeg: bytes | memoryview) -> None:
        """Append one frame."""

    def keep_first(self, num_frames: int) -> None:
        """Take back all frames but the first ``num_frames``."""


class _Pack:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._sizes = array("Q")
        self.num_frames = self.num_bytes = 0
        self.digest: hashlib._Hash | None = hashlib.sha256()

    def add(self, jpeg: bytes | memoryview) -> None:
        self._file.write(jpeg)
        if self.digest is not None:
            self.digest.update(jpeg)
        self._sizes.append(len(jpeg))
        self.num_frames += 1
        self.num_bytes += len(jpeg)

    def keep_first(self, num_frames: int) -> None:
        self.digest = None
        del self._sizes[num_frames:]
        self.num_frames, self.num_bytes = len(self._sizes), sum(self._sizes)
        self._file.truncate(self.num_bytes)
        self._file.seek(self.num_bytes)


class _Folder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.num_frames = self.num_bytes = 0
        self.digest: hashlib._Hash | None = hashlib.sha256()

    def add(self, jpeg: bytes | memoryview) -> None:
        if self.digest is not None:
            self.digest.update(jpeg)
        self.num_frames += 1
        self.num_bytes += len(jpeg)
        write_bytes(self._path(self.num_frames), jpeg)

    def keep_first(self, num_frames: int) -> None:
        self.digest = None
        for number in range(num_frames + 1, self.num_frames + 1):
            self.num_bytes -= self._path(number).stat().st_size
            remove(self._path(number))
        self.num_frames = min(num_frames, self.num_frames)

    def _path(self, number: int) -> Path:
        return self._folder / frame_name(number)


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
    _check_free(final)
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
    if layout == "folders":
        return len(written_frames(destination / key)) == num_frames
    try:
        return (destination / f"{key}{PACK_SUFFIX}").stat().st_size == num_bytes
    except OSError:
        return False


def output_there(destination: Path, key: str) -> Path | None:
    """A pack or a folder with frames that lies where the frames of ``key`` belong, whoever wrote it."""
    pack, folder = destination / f"{key}{PACK_SUFFIX}", destination / key
    if os.path.lexists(pack):
        return pack
    return folder if written_frames(folder) else None


def _check_free(folder: Path) -> None:
    """Refuse to put frames in the place of a file, a link, or a folder with other files in it."""
    if folder.is_dir() and not folder.is_symlink():
        others = sorted({*os.listdir(folder)} - {*written_frames(folder)})
        taken = [folder / name for name in others]
    else:
        taken = [folder] if os.path.lexists(folder) else []
    if taken:
        raise BikeError(
            f"{taken[0]}: is where a folder of frames belongs, and `bike extract` did not write it. "
            "Move it away, or choose another folder."
        )


def frames_sha256(destination: Path, key: str, layout: Layout) -> str:
    """Hex SHA-256 of the frames of ``key``, end to end: the same for a pack and for a folder of the same JPEGs.

    Raises:
        BikeError: they are not there, or can't be read.
    """
    if layout == "packs":
        return sha256(destination / f"{key}{PACK_SUFFIX}")
    digest = hashlib.sha256()
    for file in frame_files(destination / key):
        try:
            digest.update(file.read_bytes())
        except OSError as error:
            raise unreadable(file, error) from error
    return digest.hexdigest()


def remove_output(destination: Path, key: str) -> None:
    """Remove what an earlier run wrote for ``key`` in either layout."""
    remove(destination / f"{key}{PACK_SUFFIX}")
    folder = destination / key
    if folder.is_dir() and not folder.is_symlink():
        for name in written_frames(folder):
            remove(folder / name)
        remove_folder(folder)  # someone else's files stay
