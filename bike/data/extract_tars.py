"""Videos inside tars, by position: nothing is unpacked."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from bike.data.decode_file import VideoFile
from bike.data.extract_found import FoundVideo
from bike.errors import DataError, one_line
from bike.files import existing_file


def tar_videos(path: Path | str, is_video: Callable[[str], bool]) -> list[FoundVideo]:
    """The videos of an uncompressed tar, by member name, each with the position of its bytes.

    Members that are no plain files (links, devices), whose name leads out of a folder, or that the tar's end cuts off,
    are returned with a problem. Of members with equal names the last counts, as when unpacking.

    Raises:
        DataError: not a tar, a compressed one, or a damaged one.
    """
    path = existing_file(path)
    about = path.stat()
    found: dict[str, FoundVideo] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            while (member := tar.next()) is not None:
                vars(tar)["members"] = []  # tarfile keeps every header otherwise
                if member.isdir() or not is_video(member.name):
                    continue
                name = os.path.normpath(member.name)
                stamp = (member.size, about.st_mtime_ns, member.offset_data)
                file = VideoFile(str(path), member.offset_data, member.size)
                found[name] = FoundVideo(name, file, stamp, _problem(member, about.st_size))
    except (tarfile.TarError, EOFError) as error:
        raise DataError(
            f"{path}: not a sound, uncompressed tar ({one_line(error)}). Unpack or download it again."
        ) from error
    except OSError as error:
        raise DataError(f"{path}: can't be read ({one_line(error.strerror or error)}).") from error
    return list(found.values())


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
