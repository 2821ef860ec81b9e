"""Text, JSON and checksums of files of unknown origin, and a block of text between two marks."""

from __future__ import annotations

import codecs
import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import Any

from bike.errors import BikeError, DataError
from bike.files.disk import BUFFER_BYTES, atomic_write, sweep_file, unreadable
from bike.files.parse import parse_json

MAX_LINE_BYTES = 16 << 20  # of a table or a list: a whole file without a line end is no such thing


def read_json(path: Path | str) -> Any:
    """Read a JSON file.

    Raises:
        BikeError: the file is missing, or is not JSON; see :func:`bike.files.parse.parse_json`.
    """
    return parse_json(read_text(path), path)


def read_text(path: Path | str, *, exact: bool = False) -> str:
    """Read UTF-8 text; ``exact`` keeps line ends as they are, and a byte order mark, which is dropped otherwise.

    Raises:
        BikeError: the file is missing, unreadable or not UTF-8.
    """
    path = existing_file(path)
    encoding, newline = ("utf-8", "") if exact else ("utf-8-sig", None)
    try:
        with path.open(encoding=encoding, newline=newline) as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise BikeError(f"{path}: not UTF-8 text (byte {error.start}). Is it the right file?") from error
    except OSError as error:
        raise unreadable(path, error) from error


def read_between(path: Path | str, start: str, end: str) -> str:
    """The text of a UTF-8 file between two marks, line ends as they are.

    Raises:
        BikeError: it is no plain file (a link is none), can't be read, or has the marks not once each, ``start`` first.
    """
    return _split_at_marks(path, start, end)[1]


def write_between(path: Path | str, start: str, end: str, block: str) -> bool:
    """Put ``block`` on lines of its own between two marks of a UTF-8 file, atomically; the rest keeps its bytes.

    Args:
        path: the file.
        start, end: the marks, such as ``<!-- results:start -->``.
        block: lines that end in ``\\n``; they get the line ends of the mark's line.

    Returns:
        Whether the file changed.

    Raises:
        BikeError: as :func:`read_between`, or the file can't be written.
    """
    before, old, after = _split_at_marks(path, start, end)
    new = f"\n{block}".replace("\n", "\r\n" if old.startswith("\r\n") else "\n")
    sweep_file(Path(path))
    if new != old:
        with atomic_write(path) as file:
            file.write(f"{before}{start}{new}{end}{after}".encode())
    return new != old


def _split_at_marks(path: Path | str, start: str, end: str) -> tuple[str, str, str]:
    # A pipe would be waited for, and a new file takes the place of what it is written to: links would end as files.
    if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
        raise BikeError(f"{path}: not a plain file, so its text can't be replaced. Name the file itself.")
    text = read_text(path, exact=True)
    counts = text.count(start), text.count(end)
    if counts != (1, 1) or text.index(start) > text.index(end):
        raise BikeError(
            f"{path}: needs the mark {start} and, after it, {end}, once each "
            f"(got {counts[0]} and {counts[1]}). Put them where the text belongs."
        )
    before, _, rest = text.partition(start)
    old, _, after = rest.partition(end)
    return before, old, after


def open_regular(path: Path | str) -> int:
    """A descriptor for reading a plain file; pipes and devices, which might never answer, are refused.

    Raises:
        OSError: as ``os.open``; or it is not a plain file.
    """
    # Not to block: opening a pipe would wait for its writer before its kind can be asked for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    return descriptor


def read_regular(path: Path | str) -> bytes:
    """The bytes of a plain file.

    Raises:
        OSError: as :func:`open_regular`.
    """
    with os.fdopen(open_regular(path), "rb") as file:
        return file.read()


def existing_file(path: Path | str) -> Path:
    """``path`` as a Path, or a BikeError when it is missing or a folder."""
    path = Path(path)
    if path.is_dir():
        raise BikeError(f"{path}: is a folder; a file is needed here.")
    if not path.exists():
        raise BikeError(f"{path}: no such file. Check the name, or run the stage that makes it.")
    return path


def existing_dir(path: Path | str) -> Path:
    """``path`` as a Path, or a BikeError when it is missing or not a folder."""
    path = Path(path)
    if not path.exists():
        raise BikeError(f"{path}: no such folder. Check the name, or run the stage that makes it.")
    if not path.is_dir():
        raise BikeError(f"{path}: is not a folder; a folder is needed here.")
    return path


def sha256(path: Path | str) -> str:
    """Hex SHA-256 of a file, read in blocks."""
    with existing_file(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_text_bytes(path: Path | str, *, longest: int | None = MAX_LINE_BYTES) -> bytes:
    """The bytes of a text file, read once, since it may be a pipe.

    Args:
        path: the file.
        longest: bytes that a line may have, about; reading stops at a longer one. None for any number.

    Raises:
        DataError: the file is UTF-16, compressed or binary, or has a line that is too long.
        BikeError: the file is missing or can't be read.
    """
    path = existing_file(path)
    raw = bytearray()
    line_start = 0
    try:
        with path.open("rb") as file:
            while block := file.read(BUFFER_BYTES):  # binary files may be huge: only up to the first NUL
                raw += block
                line_start = max(line_start, raw.rfind(b"\n", len(raw) - len(block)) + 1)
                if b"\0" in block or (longest is not None and len(raw) - line_start > longest):
                    break
    except OSError as error:
        raise unreadable(path, error) from error
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f"{path}: is UTF-16 text; UTF-8 is needed. Save it as UTF-8.")
    if raw.startswith(b"\x1f\x8b"):
        raise DataError(f"{path}: a compressed file; text is needed. Unpack it.")
    if b"\0" in raw:
        line = raw[: raw.index(b"\0")].count(b"\n") + 1
        raise DataError(f"{path}: line {line}: has a NUL byte; text is needed. Is it the right file?")
    if longest is not None and len(raw) - line_start > longest:
        line = raw.count(b"\n") + 1
        raise DataError(f"{path}: line {line}: has more than {longest >> 20} MiB. Is it the right file?")
    return bytes(raw)


def read_annotation_text(path: Path | str, *, longest: int | None = MAX_LINE_BYTES) -> str:
    """Read a text file as :func:`read_text_bytes`; bytes that are not UTF-8 stay as surrogates, as in file names."""
    return read_text_bytes(path, longest=longest).decode("utf-8-sig", "surrogateescape")


def read_lines(path: Path | str) -> list[tuple[int, str]]:
    """Lines that are not empty, with their numbers; ``\\r`` and blanks at the ends are dropped."""
    lines = enumerate(read_annotation_text(path).split("\n"), 1)
    return [(number, text) for number, line in lines if (text := line.strip())]
