"""What a path says: video or tar, its key, whether it leads out of its folder, how it is shown; folders of a user."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bike.errors import BikeError

_EXTENSIONS = (
    "3g2 3gp amv apng asf avi divx dv f4v flv gif h264 hevc ivf m1v m2ts m2v m4v mkv mov mp4 mpe mpeg mpg mts mxf nut "
    "ogm ogv qt rm rmvb ts vob webm wmv wtv y4m"
)
VIDEO_SUFFIXES = frozenset("." + extension for extension in _EXTENSIONS.split())  # the list of every command


def video_keys(paths: Sequence[str]) -> list[str]:
    """One shard key for each relative video path: letters, digits, ``_`` and ``-`` only, at most 120 characters.

    ``/`` becomes ``__`` and a video's extension goes: ``run/v_01.avi`` ↦ ``run__v_01``. A path with any other
    character, or a long one, gets a hash of itself at the end of its key: ``a b.mp4`` ↦ ``a_b_mp4-`` and 12 hex digits.
    So do all paths whose keys would otherwise be equal (case aside, so that packs can lie on file systems that ignore
    it): ``a.mp4`` beside ``A.avi``.
    """
    plain = [_plain_key(path) for path in paths]
    count = Counter(key.lower() for key in plain if key)
    return [
        key if key and count[key.lower()] == 1 else _hashed_key(path) for key, path in zip(plain, paths, strict=True)
    ]


def _plain_key(path: str) -> str:
    """The readable key, or an empty string where characters would be lost."""
    stem = split_extension(path)
    # A "__" of its own: a__b.mp4 would get the key of a/b.mp4.
    fits = re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]*(/[A-Za-z0-9_-]+)*", stem, re.ASCII) and "__" not in stem
    key = stem.replace("/", "__")
    return key if fits and len(key) <= 120 else ""


def _hashed_key(path: str) -> str:
    readable = re.sub(r"[^A-Za-z0-9_-]+", "_", path.replace("/", "__")).strip("-_") or "video"
    return f"{readable[:100]}-{hashlib.sha256(path.encode('utf-8', 'surrogateescape')).hexdigest()[:12]}"


def split_extension(name: str) -> str:
    """``name`` without the extension of a video file; anything else after a dot stays: ``a/b.mp4`` ↦ ``a/b``."""
    stem, _, extension = name.rpartition(".")
    return stem if stem and stem[-1] != "/" and f".{extension.lower()}" in VIDEO_SUFFIXES else name


def is_video(name: str) -> bool:
    """Whether a file name ends like a video's."""
    return split_extension(name) != name


def is_tar(name: str) -> bool:
    """Whether a file name ends like a tar's."""
    return name.lower().endswith(".tar")


def is_archive(name: str) -> bool:
    """Whether a file name ends like that of a compressed archive, which is not opened."""
    return name.lower().endswith(
        (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".zip", ".7z", ".rar")
    )


def leads_out(path: str) -> bool:
    """Whether a path could leave the folder it is joined to (absolute, or with ``..`` in it), or can't be a path."""
    return not path or path[0] == "/" or "\0" in path or (".." in path and ".." in path.split("/"))


def tidy_path(path: str) -> str:
    """Fold ``//`` and ``./`` and drop a leading ``/``; ``..`` stays, for :func:`leads_out` to see."""
    if path.startswith(("/", "./")) or "//" in path or "/./" in path or path.endswith("/"):
        return "/".join(part for part in path.split("/") if part not in ("", "."))
    return path


def shown(name: str) -> str:
    """A file name for people: quoted and escaped when it holds control characters or undecodable bytes."""
    return name if name.isprintable() else ascii(name)


def user_folder(variable: str, name: str) -> Path:
    """A folder of this user: the one that an environment variable names, or ``bike/<name>`` in the cache folder.

    Raises:
        BikeError: the variable is not set, and there is no home folder (a container's user may have none).
    """
    chosen = os.environ.get(variable)
    try:
        if chosen:
            return Path(chosen).expanduser()
        from platformdirs import user_cache_path

        return user_cache_path("bike") / name
    except RuntimeError as error:
        raise BikeError(f"{chosen or name}: this user has no home folder. Set {variable} to a folder.") from error
