"""Videos inside tars, by position: nothing is unpacked."""

from __future__ import annotations

import json
import logging
import os
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import IO

from bike.errors import DataError, one_line
from bike.files import existing_file, unreadable
from bike.files.names import is_video, leads_out
from bike.video.file import FoundVideo, VideoFile

log = logging.getLogger("bike")

MAX_JSON_BYTES = 1 << 20
_SCAN_BYTES = 1 << 20  # a multiple of tar's blocks


def tar_videos(path: Path | str) -> list[FoundVideo]:
    """The videos of an uncompressed tar, by member name, each with the position of its bytes.

    Members that are not plain files (links, devices), or whose name leads out of a folder, are returned with a problem.
    Of members with equal names the last counts, as when unpacking. In shards written by ``bike shard --payload mp4``
    the JSON before a video says its ``path``, and that is its name: of ``000.json`` with ``{"path": "run/a.mp4"}`` and
    ``000.mp4`` comes the video ``run/a.mp4``. Archives put end to end in one file are all read.

    Raises:
        DataError: not a tar, a compressed one, or one that is damaged or cut off, between members too.
    """
    path = existing_file(path)
    members: list[tuple[str, FoundVideo]] = []  # the path that a JSON gives a video, and the video by its member's name
    try:
        with path.open("rb") as file:
            about = os.fstat(file.fileno())
            start: int | None = 0
            while start is not None:
                if start:
                    log.warning("%s: another archive follows at byte %d; its videos are read as well", path, start)
                file.seek(start)
                start = _next_archive(file, _read_archive(file, path, about, members), about.st_size)
    except (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError) as error:
        raise DataError(
            f"{path}: not a sound, uncompressed tar ({one_line(error)}). Unpack or download it again."
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error
    return _named(members)


class _Header(tarfile.TarInfo):
    """A header whose size is never negative: some releases of tarfile follow such sizes backwards, forever."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0:
            raise tarfile.HeaderError("a member of negative size")
        return header


def _read_archive(file: IO[bytes], path: Path, about: os.stat_result, members: list[tuple[str, FoundVideo]]) -> int:
    """Add the videos of the archive that begins where ``file`` stands to ``members``; returns where it ends."""
    json_stem = json_path = ""  # the last JSON member's name without .json, and the path in it
    end = -1
    with tarfile.open(fileobj=file, mode="r:", tarinfo=_Header) as tar:
        while (member := tar.next()) is not None:
            vars(tar)["members"] = []  # tarfile keeps every header otherwise
            # An extended header may state a negative size, too, and lead back to members read before.
            if member.size < 0 or member.offset <= end:
                raise tarfile.ReadError("its members lie on each other")
            end = member.offset
            stem, extension = os.path.splitext(member.name)  # noqa: PTH122
            if extension == ".json" and member.isreg() and member.size <= MAX_JSON_BYTES:
                json_stem, json_path = stem, _json_path(tar, member)
            if member.isdir() or not is_video(member.name) or os.path.basename(stem).startswith("."):  # noqa: PTH119
                continue  # hidden ones too, such as the ._a.mp4 that macOS adds to a.mp4
            name = os.path.normpath(member.name)
            other = json_path if stem == json_stem and is_video(json_path) else ""
            stamp = (member.size, about.st_mtime_ns, member.offset_data)
            place = VideoFile(str(path), member.offset_data, member.size)
            members.append((other, FoundVideo(name, place, stamp, _problem(member))))
        # tarfile ends as quietly at a damaged header, and at the end of the file, as at the end of the archive.
        file.seek(tar.offset)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            what = "damaged" if tar.offset < about.st_size else "cut off"
            raise tarfile.ReadError(f"{what} at byte {tar.offset}, after {len(members)} videos")
        return tar.offset


def _next_archive(file: IO[bytes], end: int, size: int) -> int | None:
    """Where an archive begins behind one that ended at ``end``; None when only zeros follow, or something else."""
    file.seek(end)
    for start in range(end, size, _SCAN_BYTES):
        block = file.read(_SCAN_BYTES)
        if rest := len(block.lstrip(b"\0")):
            place = start + (len(block) - rest) // tarfile.BLOCKSIZE * tarfile.BLOCKSIZE
            file.seek(place)
            try:
                tarfile.TarInfo.frombuf(file.read(tarfile.BLOCKSIZE), "utf-8", "replace")
            except tarfile.HeaderError:
                log.warning("%s: what follows the end of the archive, at byte %d, is not read", file.name, place)
                return None
            return place
    return None


def _named(members: list[tuple[str, FoundVideo]]) -> list[FoundVideo]:
    """Each video under its JSON's path, if no other video has that, or under its member's name."""
    found: dict[str, FoundVideo] = {}
    names = {video.path for _, video in members}
    for json_path, video in members:
        free = json_path and json_path not in names and json_path not in found
        named = replace(video, path=json_path) if free else video
        found[named.path] = named
    return list(found.values())


def _json_path(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    """The video's path in a shard's JSON member; empty where it has none that could be one."""
    file = tar.extractfile(member)
    try:
        content = json.loads(file.read()) if file is not None else None
    except (ValueError, RecursionError):
        return ""
    path = content.get("path") if isinstance(content, dict) else None
    if not isinstance(path, str) or leads_out(path) or path != os.path.normpath(path):
        return ""
    try:
        path.encode("utf-8", "surrogateescape")  # a lone surrogate, which JSON may hold, is not a file name
    except UnicodeEncodeError:
        return ""
    return path


def _problem(member: tarfile.TarInfo) -> str:
    if leads_out(member.name):
        return "its name leads out of the tar's folder"
    if member.issym() or member.islnk():
        return "a link in a tar, not a file"
    if not member.isreg() or member.issparse():
        return "not a plain file in the tar"
    return ""
