"""What a container promises of itself, in frames, seconds or bytes, so that a missing end shows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Any

_MAX_INDEX_BYTES = 1 << 26  # a damaged length must not ask for all memory
# Containers whose header states a duration. What FFmpeg tells of others is estimated from the data that is there, but
# for Matroska: its reader complains of a file that ends early, and headers there state what they like.
_STATE_SECONDS = frozenset(("flv", "live_flv", "asf", "ivf", "mxf", "rm"))
_ASF_PROPERTIES = bytes.fromhex("A1DCAB8C47A9CF118EE400C00C205365")  # the GUID of the object with the file's size


def promised_frames(container: Any, stream: Any, file: IO[bytes]) -> int | None:
    """Pictures in the index of formats that keep one for every frame, or in the header of an animated PNG."""
    name = container.format.name
    if name == "avi" or "mov" in name:
        listed = sum(1 for entry in stream.index_entries if entry.size > 0 and not entry.is_discard)
        if listed > 1 or stream.frames <= 1:
            return listed or None
        return int(stream.frames)
    if name == "apng":
        position = file.tell()
        file.seek(0)
        start = file.read(1 << 16)
        file.seek(position)  # where the container goes on to read
        place = start.find(b"acTL")
        return int.from_bytes(start[place + 4 : place + 8], "big") or None if place > 0 else None
    return None


def promised_seconds(container: Any, file: IO[bytes], *, believe: bool = False) -> float:
    """When the longest track ends by the container's own word; 0 where it says nothing, or has an index instead.

    With ``believe`` other headers count, too: where the reader complained, their word is better than none.
    """
    stated = (container.duration or 0) / 1e6
    if "mov" in container.format.name:  # in fragments: no index of the whole, but perhaps sidx or mehd
        index = _movie_index(file)
        return max(stated, _fragments_seconds(index)) if b"mvex" in index else 0.0
    return stated if believe or _STATE_SECONDS & set(container.format.name.split(",")) else 0.0


def is_cut_off(container: Any, file: IO[bytes]) -> bool:
    """Whether the file has fewer bytes than it says: a fragmented MP4 by its last box, an ASF by its header.

    A GIF says no size, but ends with a mark of its own.
    """
    with suppress(OSError, ValueError):
        size = file.seek(0, os.SEEK_END)
        if "mov" in container.format.name and b"mvex" in _movie_index(file):
            end = 0
            for kind, start, length in _boxes(file):
                if kind not in (b"moof", b"mdat", b"sidx", b"styp", b"emsg", b"moov", b"ftyp", b"free", b"mfra"):
                    return False  # something else behind the video is none of its business
                end = start + length
            return end != size
        if container.format.name == "gif":
            file.seek(max(0, size - 1024))
            return not file.read(1024).rstrip(b"\0\r\n").endswith(b";")  # its last byte
        if container.format.name == "asf":
            file.seek(0)
            header = file.read(1 << 16)
            place = header.find(_ASF_PROPERTIES)
            broadcast = place < 0 or header[place + 88] & 1  # its size is not known then
            return not broadcast and size < int.from_bytes(header[place + 40 : place + 48], "little")
    return False


def is_encrypted(file: IO[bytes]) -> bool:
    """Whether an MP4's index names an encrypted video track (sample entry ``encv``)."""
    return b"encv" in _movie_index(file)


def _movie_index(file: IO[bytes]) -> bytes:
    """The ``moov`` box of an MP4, empty where there is none."""
    with suppress(OSError, ValueError):
        for kind, start, length in _boxes(file):
            if kind == b"moov":
                file.seek(start)
                return file.read(min(length, _MAX_INDEX_BYTES))
    return b""


def _boxes(file: IO[bytes]) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and length of the boxes that an MP4 is a row of; the last may claim more than there is."""
    size = file.seek(0, os.SEEK_END)
    position = 0
    while position < size:
        file.seek(position)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:  # the true one is in the 64 bits after the kind
            length = int.from_bytes(header[8:16], "big")
        elif length == 0:  # the box ends with the file
            length = size - position
        yield header[4:8], position, length
        if length < 8:
            return
        position += length


def _fragments_seconds(index: bytes) -> float:
    """The duration that ``mehd`` states for all fragments together, in the time scale of ``mvhd``; 0 without it."""
    stated, header = index.find(b"mehd") + 4, index.find(b"mvhd") + 4
    if stated < 4 or header < 4:
        return 0.0
    scale_at = header + (20 if index[header] else 12)  # after the version: two times of 8 bytes, or of 4
    scale = int.from_bytes(index[scale_at : scale_at + 4], "big")
    ticks = int.from_bytes(index[stated + 4 : stated + (12 if index[stated] else 8)], "big")
    return ticks / scale if scale else 0.0
