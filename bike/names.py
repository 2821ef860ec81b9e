"""What a path says: video or tar, its key, whether it leads out of its folder, how it is shown."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Sequence


def video_keys(paths: Sequence[str]) -> list[str]:
    """One shard key for each relative video path: letters, digits, ``_`` and ``-`` only, at most 120 characters.

    ``/`` becomes ``__`` and the extension goes. A path with any other character, or a long one, gets a hash of itself
    at the end of its key; so do all paths whose keys would otherwise be equal (case aside, so that packs can lie on
    file systems that ignore it).
    """
    plain = [_plain_key(path) for path in paths]
    count = Counter(key.lower() for key in plain if key)
    return [
        key if key and count[key.lower()] == 1 else _hashed_key(path) for key, path in zip(plain, paths, strict=True)
    ]


def _plain_key(path: str) -> str:
    """The readable key, or an empty string where characters would be lost."""
    stem = re.sub(r"\.[A-Za-z0-9]{1,5}$", "", path)
    fits = re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]*(/[A-Za-z0-9_-]+)*", stem, re.ASCII) and "__" not in stem
    key = stem.replace("/", "__")
    return key if fits and len(key) <= 120 else ""


def _hashed_key(path: str) -> str:
    readable = re.sub(r"[^A-Za-z0-9_-]+", "_", path.replace("/", "__")).strip("-_") or "video"
    return f"{readable[:100]}-{hashlib.sha256(path.encode('utf-8', 'surrogateescape')).hexdigest()[:12]}"


_EXTENSIONS = (
    "3g2 3gp amv asf avi divx dv f4v flv gif h264 hevc ivf m1v m2ts m2v m4v mkv mov mp4 mpe mpeg mpg mts mxf nut ogm "
    "ogv qt rm rmvb ts vob webm wmv wtv y4m"
)


VIDEO_SUFFIXES = frozenset("." + extension for extension in _EXTENSIONS.split())


def is_video(name: str) -> bool:
    """Whether a file name ends like a video's."""
    return os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES  # noqa: PTH122 (a name may hold any bytes)


def is_tar(name: str) -> bool:
    """Whether a file name ends like a tar's."""
    return name.lower().endswith(".tar")


def leads_out(name: str) -> bool:
    return os.path.isabs(name) or name == ".." or name.startswith("../")  # noqa: PTH117


VIDEO_EXTENSIONS = frozenset(
    {".3g2", ".3gp", ".asf", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"}
    | {".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"}
)


def split_extension(name: str) -> str:
    """``name`` without the extension of a video file; anything else after a dot stays."""
    stem, _, extension = name.rpartition(".")
    return stem if stem and stem[-1] != "/" and "." + extension.lower() in VIDEO_EXTENSIONS else name


def tidy_path(path: str) -> str:
    """Fold ``//`` and ``./`` and drop a leading ``/``; ``..`` stays, for :func:`is_unsafe` to see."""
    if path.startswith(("/", "./")) or "//" in path or "/./" in path or path.endswith("/"):
        return "/".join(part for part in path.split("/") if part not in ("", "."))
    return path


def is_unsafe(path: str) -> bool:
    """Whether a path could leave the folder it is joined to, or is no path at all."""
    return not path or path[0] == "/" or "\0" in path or (".." in path and ".." in path.split("/"))


def shown(name: str) -> str:
    """A file name for people: quoted and escaped when it holds control characters or undecodable bytes."""
    return name if name.isprintable() else ascii(name)
