"""``media.csv``: which videos there are, with their sizes and checksums, so that DVC never holds the raw files."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bike.errors import BikeError, DataError, first_few, one_line
from bike.files import claim_file
from bike.files.names import shown
from bike.files.tables import read_table, write_table
from bike.params import load_machine
from bike.progress import log
from bike.trees.sections import stated_by
from bike.video.file import FoundVideo, UnreadableError
from bike.video.find import find_videos
from bike.video.walk import LEADS_OUT

NAME = "media.csv"
COLUMNS = ("path", "bytes", "checksum")
NO_VIDEOS = (
    "names no videos yet. Write `videos: /folder` into machine.yaml or set BIKE_VIDEOS, run `bike manifest`, then "
    "`bike check`."
)
_ENDS = 1 << 16  # bytes of each end that the quick checksum covers


@dataclass(frozen=True, slots=True)
class Medium:
    """A row of ``media.csv``."""

    path: str  # below the folder of videos (or in its tars)
    bytes: int  # size
    checksum: str  # `quick:…` over size, first and last 64 KiB, or `sha256:…` over all


def write_media(videos: Path | str, out: Path | str, *, full: bool = False, follow_links: bool = False) -> list[Medium]:
    """Write ``media.csv`` for a folder or tar of videos.

    Args:
        videos: folder (tars in it are opened) or tar.
        out: the file to write.
        full: SHA-256 over all bytes; otherwise over the size and both ends, which a copy, a cut or another encoding
            changes.
        follow_links: links that lead out of the folder are followed; otherwise they are left out, with a warning.

    Returns:
        Its rows, sorted by path; the same whatever the time or the place of the files.

    Raises:
        DataError: no videos, or some that can't be read.
        BikeError: ``out`` is there already, and is no ``media.csv``.
    """
    found = find_videos(videos, follow_links=follow_links)
    outside = [shown(video.path) for video in found if video.problem == LEADS_OUT]
    if outside:
        log.warning("%s: %d left out, each %s: %s", videos, len(outside), LEADS_OUT, first_few(outside, 3))
        found = [video for video in found if video.problem != LEADS_OUT]
    if not found:
        raise DataError(f"{videos}: nothing but links that lead out of it. Allow them with --follow-links.")
    # Without what another command could do about it: a project's videos lie where they are said to lie.
    bad = [f"{shown(video.path)} ({video.problem.partition('; --')[0]})" for video in found if video.problem]
    if bad:
        raise DataError(f"{videos}: {len(bad)} videos can't be read: {first_few(bad)}. Remove or replace them.")
    media = [Medium(video.path, _size(video), _checksum(video, full)) for video in found]
    if Path(out).is_file() and not _is_media_file(out):
        raise BikeError(f"{out}: is there already, and is no table of videos. Choose another name.")
    # Beside the videos it does no harm: only an earlier one is replaced.
    with claim_file(out, inputs=[None if Path(videos).is_dir() else videos], replace=True):
        write_table(out, COLUMNS, ((row.path, row.bytes, row.checksum) for row in media))
    return media


def write_no_media(out: Path | str) -> None:
    """Write a ``media.csv`` without rows, for a project whose videos are still to come."""
    write_table(out, COLUMNS, ())


def _is_media_file(path: Path | str) -> bool:
    """Whether a file is an earlier ``media.csv``, which is made again in a moment, and which git keeps."""
    with suppress(BikeError):
        read_media_file(path)
        return True
    return False


def read_media_file(path: Path | str) -> list[Medium]:
    """Read ``media.csv``.

    Raises:
        DataError: it is not such a file.
    """
    table = read_table(path, COLUMNS)
    try:
        return [Medium(name, int(size), checksum) for name, size, checksum in table[list(COLUMNS)].to_numpy().tolist()]
    except ValueError as error:
        raise DataError(f"{path}: not a table of videos ({one_line(error)}). Run `bike manifest` again.") from error


def check_media(
    path: Path | str, videos: Path | str | None, *, contents: bool = False, named: str | None = None
) -> list[Medium]:
    """See to it that the videos of ``media.csv`` are there, with their sizes and, if asked for, their checksums.

    ``named`` says in errors what names the folder ``videos``; None: what states it for this machine.

    Raises:
        DataError: in one line, how many are absent or other ones, and the first of them.
    """
    media = read_media_file(path)
    if not media:
        raise DataError(f"{path}: {NO_VIDEOS}")
    if videos is None:
        raise DataError(
            f"{path}: nothing says where its {len(media)} videos are on this machine. Write `videos: /folder` "
            "into machine.yaml, or set BIKE_VIDEOS."
        )
    if not Path(videos).exists():
        place = named or stated_by("videos")
        raise DataError(f"{videos}: no such folder, so the {len(media)} videos of {path} are absent. Correct {place}.")
    # Whoever wrote the file chose which links to follow; it names what they lead to, with size and checksum.
    found = find_videos(videos, listing=path, follow_links=True)
    there = {video.path: video for video in found if not video.problem}
    absent = [shown(row.path) for row in media if row.path not in there]
    if absent:
        raise DataError(
            f"{videos}: {len(absent)} of {len(media)} videos of {path} are absent: {first_few(absent, 3)}. "
            "Put them back, or run `bike manifest` to do without."
        )
    other = [shown(row.path) for row in media if _is_other(row, there[row.path], contents)]
    if other:
        raise DataError(
            f"{videos}: {len(other)} of {len(media)} videos are not those of {path}: {first_few(other, 3)}. "
            "Put those back, or run `bike manifest` to take these."
        )
    return media


def media_source(path: Path) -> tuple[Path, Path | None]:
    """Where a stage's videos are: for a ``media.csv`` this machine's folder of them, which is checked, and the file as
    the list of those to take; anything else is the videos themselves.

    Raises:
        DataError: see :func:`check_media`.
    """
    if path.name != NAME:
        return path, None
    videos = load_machine().videos
    check_media(path, videos)
    return Path(videos or ""), path


def _is_other(row: Medium, video: FoundVideo, contents: bool) -> bool:
    if row.bytes != _size(video):
        return True
    return contents and row.checksum != _checksum(video, row.checksum.startswith("sha256:"))


def _size(video: FoundVideo) -> int:
    return video.stamp[0] if video.file.num_bytes is None else video.file.num_bytes


def _checksum(video: FoundVideo, full: bool) -> str:
    size = _size(video)
    try:
        with video.file.open() as file:
            if full:
                digest = hashlib.sha256()
                while block := file.read(1 << 20):
                    digest.update(block)
                return f"sha256:{digest.hexdigest()}"
            digest = hashlib.sha256(f"{size}\0".encode())
            digest.update(file.read(_ENDS))
            file.seek(max(0, size - _ENDS), os.SEEK_SET)
            digest.update(file.read(_ENDS))
            return f"quick:{digest.hexdigest()[:24]}"
    except UnreadableError as error:
        raise DataError(f"{shown(video.path)}: {error}.") from error
