"""The tar format of shards: members written byte for byte alike, and read by offset without trusting a header."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bike.errors import DataError, one_line

BLOCK_BYTES = 512
_RECORD_BYTES = 10240
_LONGEST_NAME_BYTES = 100
MEMBER_NAME = re.compile(r"[A-Za-z0-9_-]{1,200}\.[a-z0-9]{1,10}", re.ASCII)
_LONGEST_EXTRA_HEADER_BYTES = 1 << 16
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
        """Append a member; returns where its payload lies."""
        encoded = name.encode()
        if len(encoded) > _LONGEST_NAME_BYTES:
            record = b" path=" + encoded + b"\n"
            record = b"%d" % (len(record) + 3) + record  # its length, itself included; three digits for any such name
            self._write_member(b"././@PaxHeader", b"x", record)
        member = Member(name, self.offset + BLOCK_BYTES, len(payload))
        self._write_member(encoded[:_LONGEST_NAME_BYTES], b"0", payload)
        return member

    def close(self) -> str:
        """Write the end of the archive; returns the SHA-256 of the whole tar in hex."""
        self._write(bytes(2 * BLOCK_BYTES))
        self._write(bytes(-self.offset % _RECORD_BYTES))
        return self._hash.hexdigest()

    def _write_member(self, name: bytes, kind: bytes, payload: bytes) -> None:
        self._write(_header(name, kind, len(payload)))
        self._write(payload)
        self._write(bytes(-len(payload) % BLOCK_BYTES))

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self.offset += len(data)


def _header(name: bytes, kind: bytes, size: int) -> bytes:
    """A ustar header (POSIX.1-1988), the same from every version of Python."""
    if size >= 8**11:
        raise DataError(f"{name.decode()}: {size} bytes; a member of a shard can have 8 GiB. Leave the video out.")
    header = bytearray(BLOCK_BYTES)
    for start, value in (
        (0, name),
        (100, b"0000644\0" + b"0000000\0" * 2 + b"%011o\0" % size + b"00000000000\0"),
        (148, b" " * 8 + kind),
        (257, b"ustar\x0000"),
        (329, b"0000000\0" * 2),
    ):
        header[start : start + len(value)] = value
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def scan_members(path: Path) -> Iterator[Member]:
    """Yield the members of a shard, reading headers only.

    Only plain files with harmless names (letters, digits, ``_``, ``-``, one dot) pass; nothing is ever unpacked.

    Raises:
        DataError: the tar is truncated or damaged, or has a member that a shard can't have: a link, a folder, a device,
            an absolute name or one with ``..``, a size past the end of the file, a name that stands twice.
    """
    seen: set[str] = set()
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            for member in _walk(file.fileno(), size, path):
                if not MEMBER_NAME.fullmatch(member.name):
                    raise DataError(f"{path}: member {member.name[:80]!r} has a name that no shard uses. {_REMEDY}")
                if member.name in seen:
                    raise DataError(f"{path}: member {member.name!r} stands twice. {_REMEDY}")
                seen.add(member.name)
                yield member
    except OSError as error:
        raise DataError(f"{path}: can't be read ({one_line(error.strerror or error)}).") from error


def _walk(descriptor: int, total: int, path: Path) -> Iterator[Member]:
    position, name = 0, None
    while True:
        header = os.pread(descriptor, BLOCK_BYTES, position)
        if header == bytes(BLOCK_BYTES):
            return
        if len(header) < BLOCK_BYTES:
            raise DataError(f"{path}: truncated; the end of the archive is missing after {position} bytes. {_REMEDY}")
        kind, size = _check(header, path, position)
        start = position + BLOCK_BYTES
        if start + size > total:
            raise DataError(
                f"{path}: a member at byte {position} claims {size} bytes, more than the file has ({total}). {_REMEDY}"
            )
        if kind in (b"x", b"L"):
            if size > _LONGEST_EXTRA_HEADER_BYTES:
                raise DataError(f"{path}: a header of {size} bytes at byte {position}; no shard has one. {_REMEDY}")
            name = _long_name(kind, os.pread(descriptor, size, start), path)
        elif kind in (b"0", b"\0"):
            short = header[:100].split(b"\0", 1)[0]
            prefix = header[345:500].split(b"\0", 1)[0] if header[257:262] == b"ustar" else b""
            plain = (prefix + b"/" + short if prefix else short).decode("utf-8", "replace")
            yield Member(plain if name is None else name, start, size)
            name = None
        else:
            raise DataError(f"{path}: a member at byte {position} is not a plain file (type {kind!r}). {_REMEDY}")
        position = start + size + (-size % BLOCK_BYTES)


def _check(header: bytes, path: Path, position: int) -> tuple[bytes, int]:
    """The type and size in a header whose checksum is right."""
    damaged = DataError(f"{path}: not a tar header at byte {position}. {_REMEDY}")
    try:
        stated = int(header[148:156].strip(b" \0") or b"0", 8)
        size = int(header[124:136].strip(b" \0") or b"0", 8)
    except ValueError:
        raise damaged from None
    if stated != sum(header[:148]) + 8 * 0x20 + sum(header[156:]) or size < 0:
        raise damaged
    return header[156:157], size


def _long_name(kind: bytes, payload: bytes, path: Path) -> str:
    if kind == b"L":
        return payload.rstrip(b"\0").decode("utf-8", "replace")
    found = re.search(rb"(?:^|\n)\d+ path=([^\n]*)\n", payload)
    if found is None or re.search(rb"(?:^|\n)\d+ size=", payload):
        raise DataError(f"{path}: an extended header that no shard has. {_REMEDY}")
    return found.group(1).decode("utf-8", "replace")
