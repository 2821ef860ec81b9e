"""What a path says: video or tar, its key, whether it leads out of its folder; folders of a user, names of classes."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from bike.errors import BikeError, DataError, first_few, one_line

MAX_CLASSES = 100_000
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


def is_hidden(name: str) -> bool:
    """Whether a file is hidden, such as the ``._a.mp4`` that macOS puts beside ``a.mp4``: no command reads those."""
    return name.rpartition("/")[2].startswith(".")


def leads_out(path: str) -> bool:
    """Whether a path could leave the folder it is joined to (absolute, or with ``..`` in it), or can't be a path."""
    return not path or path[0] == "/" or "\0" in path or (".." in path and ".." in path.split("/"))


def tidy_path(path: str) -> str:
    """Fold ``//`` and ``./`` and drop a leading ``/``; ``..`` stays, for :func:`leads_out` to see."""
    if path.startswith(("/", "./")) or "//" in path or "/./" in path or path.endswith("/"):
        return "/".join(part for part in path.split("/") if part not in ("", "."))
    return path


def split_of_name(name: str) -> str:
    """``train``, ``val`` or ``test`` where a file's name speaks of it, best at the start of a word; or empty."""
    words = re.findall(r"(?<![a-z])(train|val|test)", name.lower()) or re.findall(r"train|val|test", name.lower())
    return str(words[-1]) if words else ""


def shown(name: str) -> str:
    """A file name for people: quoted and escaped when it holds control characters or undecodable bytes."""
    return name if name.isprintable() else ascii(name)


def is_text(value: str) -> bool:
    """Whether ``value`` was valid UTF-8 in its file, as a class name has to be."""
    return value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value)


def clean_class_name(name: str, where: str) -> str:
    """A class name on one line, without control characters.

    Raises:
        DataError: it is empty, too long, or not UTF-8.
    """
    if not is_text(name):
        raise DataError(f"{where}: class name is not UTF-8 text. Save the file as UTF-8, or rename the folder.")
    if not name.isprintable():
        name = "".join(char if char.isprintable() else " " for char in name)
    name = one_line(name)
    if not name or len(name) > 500:
        raise DataError(
            f"{where}: class name has {len(name)} characters; 1 to 500 are allowed. Correct the annotation."
        )
    return name


def names_by_id(rows: Iterable[tuple[str, str, str]], path: Path | str, *, first: int = 0) -> list[str]:
    """Class names in order of their ids.

    Args:
        rows: where it is said (``line 3``), an id, and its name; in any order.
        path: the file, for errors.
        first: the lowest id.

    Raises:
        DataError: ids with a gap or repetition, a duplicate name, or no names at all.
    """
    names: dict[int, str] = {}
    bad = []
    for where, word, name in rows:
        # `²` is a digit to Python and no number to int(); longer ones than any data set has would take long to convert.
        index = int(word) if word.isascii() and word.strip().isdigit() and len(word) < 10 else -1
        if index < 0 or index in names:
            bad.append(f"{where} (id {one_line(word)[:40]!r})")
        else:
            names[index] = clean_class_name(name, f"{path}: {where}")
    remedy = f"Number the classes from {first}."
    if bad:
        raise DataError(f"{path}: ids that are not integers or duplicates: {first_few(bad)}. {remedy}")
    if first == 0 and min(names, default=0) == 1:
        remedy = "They start at 1: number them from 0, or give `bike annotate` --first-id 1."
    if sorted(names) != list(range(first, first + len(names))):
        raise DataError(f"{path}: ids must run from {first} without a gap (got {len(names)} ids). {remedy}")
    return distinct_names([names[index] for index in sorted(names)], path)


def distinct_names(names: list[str], path: Path | str) -> list[str]:
    """``names`` as they are.

    Raises:
        DataError: there are none or too many, or two classes have the same name.
    """
    if not names:
        raise DataError(f"{path}: no class names in it. Is it the right file?")
    duplicates = [repr(name) for name, count in Counter(names).items() if count > 1]
    if duplicates:
        raise DataError(f"{path}: duplicate class names: {first_few(duplicates)}. Give each class its own name.")
    if len(names) > MAX_CLASSES:
        raise DataError(f"{path}: {len(names)} classes; at most {MAX_CLASSES} are allowed. Is it the right file?")
    return names


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


def without_ids(lines: Sequence[tuple[int, str]], path: Path | str) -> Sequence[tuple[int, str]]:
    """Lines of names without the ids ``c000``, ``c001`` … or ``1``, ``2`` … before them, if all lines have one.

    Raises:
        DataError: most lines have ids as ``c000``, which no name begins with, and others lack theirs.
    """
    found = [re.fullmatch(r"(c(?=\d{3})|)(\d{1,6})\s+(\S.*)", text, re.ASCII) for _, text in lines]
    coded = 2 * sum(match is not None and match[1] == "c" for match in found) > len(lines)
    start = 0 if coded or not found[:1] or found[0] is None else min(int(found[0][2]), 1)
    right = [match is not None and int(match[2]) == index for index, match in enumerate(found, start)]
    if coded and not all(right):
        place = right.index(False)
        raise DataError(f"{path}: line {lines[place][0]}: `c{place:03d} <name>` is needed. Download the file again.")
    return [(line, match[3]) for (line, _), match in zip(lines, found, strict=True) if match] if all(right) else lines


def beside(path: Path | str, form: str) -> Path:
    """A name made from a path's own, in the same folder: ``.x.pt.state`` for ``work/x.pt`` and ``.{}.state``.

    ``.`` and ``..`` mean the folder that they lead to.
    """
    path = Path(path)
    path = path if path.name not in ("", "..") else path.resolve()
    return path.with_name(form.format(path.name))
