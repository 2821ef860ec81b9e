"""Videos inside tars, by position: nothing is unpacked."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

from bike.errors import DataError, one_line
from bike.files import existing_file
from bike.video.file import FoundVideo, VideoFile

MAX_JSON_BYTES = 1 << 20


def tar_videos(path: Path | str, is_video: Callable[[str], bool]) -> list[FoundVideo]:
    """The videos of an uncompressed tar, by member name, each with the position of its bytes.

    Members that are no plain files (links, devices), whose name leads out of a folder, or that the tar's end cuts off,
    are returned with a problem. Of members with equal names the last counts, as when unpacking. In shards written by
    ``bike shard --payload mp4`` the JSON before a video says its ``path``, and that is its name.

    Raises:
        DataError: not a tar, a compressed one, or a damaged one.
    """
    path = existing_file(path)
    about = path.stat()
    members: list[tuple[str, str, FoundVideo]] = []  # its name, the one a JSON told, and the video under its name
    told: tuple[str, str] = "", ""  # the last JSON member's name without .json, and the path in it
    end = -1
    try:
        with tarfile.open(path, "r:") as tar:
            while (member := tar.next()) is not None:
                vars(tar)["members"] = []  # tarfile keeps every header otherwise
                if member.size < 0 or member.offset <= end:
                    raise tarfile.ReadError("its members lie on each other")
                end = member.offset
                stem, extension = os.path.splitext(member.name)  # noqa: PTH122
                if extension == ".json" and member.isreg() and member.size <= MAX_JSON_BYTES:
                    told = stem, _told_path(tar, member)
                if member.isdir() or not is_video(member.name) or os.path.basename(stem).startswith("."):  # noqa: PTH119
                    continue
                name = os.path.normpath(member.name)
                other = told[1] if stem == told[0] and is_video(told[1]) else ""
                stamp = (member.size, about.st_mtime_ns, member.offset_data)
                file = VideoFile(str(path), member.offset_data, member.size)
                members.append((name, other, FoundVideo(name, file, stamp, _problem(member, about.st_size))))
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise DataError(
            f"{path}: not a sound, uncompressed tar ({one_line(error)}). Unpack or download it again."
        ) from error
    except OSError as error:
        raise DataError(f"{path}: can't be read ({one_line(error.strerror or error)}).") from error
    return _named(members)


def _named(members: list[tuple[str, str, FoundVideo]]) -> list[FoundVideo]:
    """Each video under the path that was told of it, if that is nobody else's, or under its own name."""
    found: dict[str, FoundVideo] = {}
    own = {name for name, _, _ in members}
    for name, other, video in members:
        free = other and other not in own and other not in found
        found[other if free else name] = replace(video, path=other) if free else video
    return list(found.values())


def _told_path(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    """The video's path that a shard's JSON member says; empty when it says none that could be one."""
    file = tar.extractfile(member)
    try:
        content = json.loads(file.read()) if file is not None else None
    except (ValueError, RecursionError):
        return ""
    path = content.get("path") if isinstance(content, dict) else None
    if not isinstance(path, str) or not path or "\0" in path or path != os.path.normpath(path):
        return ""
    try:
        path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return ""
    return "" if path.startswith("/") or ".." in path.split("/") else path


def _problem(member: tarfile.TarInfo, tar_bytes: int) -> str:
    if PurePosixPath(member.name).is_absolute() or ".." in PurePosixPath(member.name).parts:
        return "its name leads out of the tar's folder"
    if member.issym() or member.islnk():
        return "a link in a tar, not a file"
    if not member.isreg() or member.issparse():
        return "not a plain file in the tar"
    if member.offset_data + member.size > tar_bytes:
        return "truncated: the tar ends within it"
    return ""
