"""Where a video's bytes are, and what they show without decoding."""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any, cast

from bike.errors import reason_of

# What an MP4 or QuickTime file begins with: its first box has its kind in bytes 4 to 8.
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp")
_INDEXED_STARTS = (
    b"\x1aE\xdf\xa3",  # Matroska, WebM
    b"RIFF",  # AVI
    b"FLV",
    b"0&\xb2u",  # ASF, WMV
)
_KNOWN_STARTS = (
    *_INDEXED_STARTS,
    b"GIF8",
    b"OggS",
    b"\x00\x00\x01\xba",  # MPEG program stream
    b"\x00\x00\x01\xb3",  # bare MPEG-1 or MPEG-2 video
)
START_BYTES = 512  # what other_kind looks at
# What lies under a video's name where something went wrong, by its first bytes (letters in lower case).
_OTHER_STARTS = (
    (b"version https://git-lfs", "a Git LFS pointer; run `git lfs pull`"),
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<?xml", "an XML document, such as a server's error message"),
    (b"<error", "an XML document, such as a server's error message"),
    (b"\x1f\x8b", "compressed with gzip; unpack it"),
    (b"bzh", "compressed with bzip2; unpack it"),
    (b"\xfd7zxz", "compressed with xz; unpack it"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd; unpack it"),
    (b"pk\x03\x04", "a zip archive; unpack it"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it"),
    (b"rar!", "a RAR archive; unpack it"),
    (b"%pdf", "a PDF document"),
    (b"\x89png", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"ii*\0", "a TIFF picture"),
    (b"mm\0*", "a TIFF picture"),
)


class UnreadableError(Exception):
    """Why a video can't be used; the text is written for people and does not name the file.

    Attributes:
        partial: some pictures do decode.
        transient: worth another try (no permission, a crash): the file's contents are not at fault.
    """

    def __init__(self, reason: str, *, partial: bool = False, transient: bool = False) -> None:
        super().__init__(reason)
        self.partial = partial
        self.transient = transient


@dataclass(frozen=True, slots=True)
class VideoFile:
    """Where a video's bytes are: a file, or ``num_bytes`` of it from byte ``start`` (a member of a tar)."""

    path: str
    start: int = 0
    num_bytes: int | None = None

    def open(self) -> IO[bytes]:
        """Open the bytes for reading and seeking.

        Raises:
            UnreadableError: no such file, not a regular file, or no permission.
        """
        try:
            # Not blocking: opening a named pipe would wait for somebody to write to it.
            descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise UnreadableError("not a regular file")
        except FileNotFoundError:
            raise UnreadableError("no such file", transient=True) from None
        except OSError as error:
            raise UnreadableError(f"can't be read ({reason_of(error)})", transient=True) from None
        size = os.fstat(descriptor).st_size if self.num_bytes is None else self.num_bytes
        return cast(IO[bytes], _Window(os.fdopen(descriptor, "rb", buffering=0), self.start, size))

    def sha256(self) -> str:
        """Hex SHA-256 of the bytes. Raises as :meth:`open`."""
        try:
            with self.open() as file:
                return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        except OSError as error:
            raise UnreadableError(f"can't be read ({reason_of(error)})", transient=True) from None


class _Window(io.RawIOBase):
    """A file, or a part of one that reads like a whole one; impossible seeks (of damaged videos) are quiet."""

    def __init__(self, file: IO[bytes], start: int, num_bytes: int) -> None:
        self._file, self._start, self._num_bytes, self._position = file, start, num_bytes, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._num_bytes}[whence]
        if base + offset < 0:
            return -1  # what a C library's seek returns; an exception would be printed
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        wanted = max(0, min(len(buffer), self._num_bytes - self._position))
        data = os.pread(self._file.fileno(), wanted, self._start + self._position)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def other_kind(start: bytes) -> str:
    """What a file that is no video is, by its first bytes; an empty string when that is not known."""
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "a WebP picture"
    if start[257:262] == b"ustar":
        return "a tar archive"
    if start[:2] == b"BM" and start[6:10] == bytes(4):
        return "a BMP picture"
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if re.match(rb'(\[\s*)*\{\s*["}]', text):
        return "a JSON document, such as a server's error message"
    return next((kind for mark, kind in _OTHER_STARTS if text.startswith(mark)), "")


def is_indexed(start: bytes) -> bool:
    """Whether a file begins as one container alone does that says where each picture is; MPEG's streams do not."""
    return start[4:8] in _BOXES or start.startswith(_INDEXED_STARTS)


def why_not_open(file: IO[bytes]) -> str:
    """The reason, by its first bytes, why a file has no video that could be opened."""
    with suppress(OSError):
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        start = file.read(START_BYTES)
        if size == 0:
            return "empty file (0 bytes)"
        if kind := other_kind(start):
            return f"not a video ({kind})"
        if start[4:8] in _BOXES:
            return "truncated: the index of the file (moov) is missing or cut off"
        if start.startswith(_KNOWN_STARTS):
            return "truncated: the file ends before its first frame"
        if not start.strip(b"\0"):
            return "not a video (it begins with zeros)"
    return "not a video (no known container format)"


@dataclass(frozen=True, slots=True)
class FoundVideo:
    """A video to extract.

    Attributes:
        path: its name in the manifest, relative to the source; undecodable bytes are surrogates.
        file: where its bytes are.
        stamp: changes when the bytes do: size, modification time, and position in a tar.
        problem: why it can't be read, or an empty string.
    """

    path: str
    file: VideoFile
    stamp: tuple[int, ...] = ()
    problem: str = ""
