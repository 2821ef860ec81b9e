"""The tar format of shards, through tarfile: equal members make equal bytes, and nothing in a header is trusted.

Not through webdataset's writer: it imports torch (3 s, 50 MB), in each of the processes that write shards.
"""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bike.errors import DataError
from bike.files import unreadable

MEMBER_NAME = re.compile(r"[A-Za-z0-9_-]{1,200}\.[a-z0-9]{1,10}", re.ASCII)
_LARGEST_MEMBER_BYTES = 8**11 - 1  # of a plain header; beyond, readers disagree
_LONGEST_EXTENDED_BYTES = 1 << 16  # it holds a name; a larger one would only fill the memory
_REMEDY = "Fetch the shard again, or write it with `bike shard`."


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a tar: its name and where its bytes lie."""

    name: str
    offset: int
    size: int


class TarWriter:
    """Writes members with fixed times and owners, so that equal members make equal tars; hashes what it writes.

    Attributes:
        offset: bytes written so far.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.offset = 0

    def add(self, name: str, payload: bytes) -> Member:
        """Append a member; returns where its payload lies.

        Raises:
            DataError: it has more than 8 GiB.
        """
        if len(payload) > _LARGEST_MEMBER_BYTES:
            raise DataError(f"{name}: {len(payload)} bytes; a member of a shard can have 8 GiB. Leave the video out.")
        header = tarfile.TarInfo(name)  # time 0, owner 0, mode 644
        header.size = len(payload)
        self._write(header.tobuf(tarfile.PAX_FORMAT))
        member = Member(name, self.offset, len(payload))
        self._write(payload)
        self._write(bytes(-len(payload) % tarfile.BLOCKSIZE))
        return member

    def close(self) -> str:
        """Write the end of the archive; returns the SHA-256 of the whole tar in hex."""
        self._write(bytes(2 * tarfile.BLOCKSIZE))
        # Filled up to a record of 10 kB, as tar writes archives.
        self._write(bytes(-self.offset % tarfile.RECORDSIZE))
        return self._hash.hexdigest()

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self.offset += len(data)


def scan_members(path: Path) -> Iterator[Member]:
    """Yield the members of a shard, reading headers only.

    Only plain files with harmless names (letters, digits, ``_``, ``-``, one dot) pass; nothing is ever unpacked.

    Raises:
        DataError: the tar is truncated or damaged, or has a member that a shard can't have: a link, a folder, a device,
            an absolute name or one with ``..``, a size past the end of the file, a duplicate name.
    """
    seen: set[str] = set()
    try:
        with path.open("rb") as file:
            for member in _walk(file.fileno(), path):
                if not MEMBER_NAME.fullmatch(member.name):
                    raise DataError(f"{path}: member {member.name[:80]!r} has a name that no shard uses. {_REMEDY}")
                if member.name in seen:
                    raise DataError(f"{path}: duplicate member {member.name!r}. {_REMEDY}")
                seen.add(member.name)
                yield member
    except OSError as error:
        raise unreadable(path, error) from error


def _walk(descriptor: int, path: Path) -> Iterator[Member]:
    """Header by header. TarFile's own loop ends at a damaged one as if nothing were wrong."""
    total, position, long_name = os.fstat(descriptor).st_size, 0, ""
    while (block := os.pread(descriptor, tarfile.BLOCKSIZE, position)) != bytes(tarfile.BLOCKSIZE):
        try:
            # Replaced, not refused: a name that is not UTF-8 is then one that no shard uses, and is reported as such.
            header = tarfile.TarInfo.frombuf(block, "utf-8", "replace")
        except tarfile.HeaderError as error:
            raise DataError(f"{path}: not a tar header at byte {position} ({error}). {_REMEDY}") from error
        start = position + tarfile.BLOCKSIZE
        # Sizes may be negative (in octal as well as in binary) and lead back forever; not every tarfile minds.
        if not 0 <= header.size <= total - start:
            raise DataError(
                f"{path}: a member at byte {position} claims {header.size} bytes of a file of {total}. {_REMEDY}"
            )
        if header.type == tarfile.XHDTYPE:
            if header.size > _LONGEST_EXTENDED_BYTES:
                raise DataError(
                    f"{path}: a header of {header.size} bytes at byte {position}; no shard has one. {_REMEDY}"
                )
            long_name = _long_name(os.pread(descriptor, header.size, start), path)
        elif header.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
            yield Member(long_name or header.name, start, header.size)
            long_name = ""  # an extended header counts for the next member only
        else:
            raise DataError(
                f"{path}: a member at byte {position} is not a plain file (type {header.type!r}). {_REMEDY}"
            )
        position = start + header.size + (-header.size % tarfile.BLOCKSIZE)


def _long_name(extended: bytes, path: Path) -> str:
    """The name in an extended header; one that states another size than the plain header is refused."""
    found = re.search(rb"(?:^|\n)\d+ path=([^\n]*)\n", extended)
    if found is None or re.search(rb"(?:^|\n)\d+ size=", extended):
        raise DataError(f"{path}: an extended header that no shard has. {_REMEDY}")
    return found[1].decode("utf-8", "replace")
