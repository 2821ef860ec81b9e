"""Which videos to extract: those of a folder, a list, a CSV, or tars."""

from __future__ import annotations

import io
import logging
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePath

from bike.errors import BikeError, DataError, first_few, one_line, reason_of
from bike.files import read_annotation_text, unreadable
from bike.files.columns import PATH_COLUMNS
from bike.files.names import is_archive, is_hidden, is_tar, is_video, leads_out, shown
from bike.files.tables import find_column, read_header, read_table
from bike.video.file import START_BYTES, FoundVideo, VideoFile, other_kind
from bike.video.tars import tar_videos
from bike.video.walk import LEADS_OUT, is_link_out, walk_files

log = logging.getLogger("bike")


def find_videos(
    source: Path | str,
    *,
    listing: Path | str | None = None,
    exclude: Path | str | None = None,
    follow_links: bool = False,
) -> list[FoundVideo]:
    """Find the videos of a source, sorted by path.

    Args:
        source: a folder (searched through, tars in it are opened), a tar, one video, a text list with one path a line,
            or a CSV with a ``path`` column. Paths in a list are relative to its folder.
        listing: a list or CSV that picks among the videos of a folder or of tars; a named file that is not there is
            still returned, with a problem.
        exclude: a folder to leave out.
        follow_links: links that lead out of a folder are followed; otherwise they have a problem.

    Returns:
        Each video once.

    Raises:
        DataError: nothing found, or a list that can't be read.
        BikeError: no such source, or a folder that can't be read.
    """
    source = Path(source)
    if exclude is not None and os.path.realpath(exclude) == os.path.realpath(source):
        exclude = None  # frames may be written beside the videos
    if not source.exists():
        raise BikeError(f"{source}: no such file or folder. Give a folder of videos, a list, a CSV or a tar.")
    if source.is_dir():
        found = _in_folder(source, listing, exclude, follow_links=follow_links)
    elif is_tar(source.name):
        found = _picked(tar_videos(source), listing)
    elif listing is not None:
        raise BikeError(f"{source}: is a file; with a list, the source is the folder or tar that the list is about.")
    elif is_video(source.name):
        found = [_stat_video(source.name, str(source))]
    else:
        _refuse_other_kinds(source)
        found = [_stat_video(name, _join(source.parent, name)) for name in read_paths(source, source.parent)]
    if not found:
        raise DataError(f"{source}: no videos (files ending in .mp4, .avi, .webm and the like). Check the folder.")
    return sorted(found, key=lambda video: video.path)


def problem_of(path: str, found: Mapping[str, FoundVideo]) -> str:
    """Why the video that a list names is not usable, given the found ones by path; an empty text where it is.

    A folder that is a link out of the source is found in the place of the videos in it.
    """
    if path in found:
        return found[path].problem
    problems = (found[place].problem for place in map(str, PurePath(path).parents) if place in found)
    return next(filter(None, problems), "not among the videos")


def _refuse_other_kinds(source: Path) -> None:
    """Name what is given in the place of a list: a ``.tar.gz``, a picture, a web page."""
    if source.is_file():  # a list may come through a pipe, which can be read only once
        try:
            with source.open("rb") as file:
                kind = other_kind(file.read(START_BYTES))
        except OSError as error:
            raise unreadable(source, error) from error
        if kind:
            raise DataError(
                f"{source}: not a video, a tar or a list ({kind}). Give a folder of videos, or one of these."
            )


def _in_folder(
    source: Path, listing: Path | str | None, exclude: Path | str | None, *, follow_links: bool
) -> list[FoundVideo]:
    outside: list[str] = []
    walk = partial(walk_files, source, exclude=exclude, outside=None if follow_links else outside)
    if listing is not None:
        names = [_inside(name, source) for name in read_paths(listing, source)]
        root = None if follow_links else os.path.realpath(source)
        direct = [_listed(name, source, root) for name in names]
        if not any(video.problem for video in direct):
            return direct
        tars = [path for path in walk() if is_tar(path) and not is_hidden(path)]
        inside = {video.path: video for video in _videos_of_tars(source, tars, ())} if tars else {}
        return [inside.get(video.path, video) if video.problem else video for video in direct]
    found, tars, archives, passed_over = [], [], [], 0
    for path in walk():
        if is_hidden(path):
            passed_over += 1
        elif is_tar(path):
            tars.append(path)
        elif is_video(path):
            found.append(_stat_video(os.path.relpath(path, source), path))
        elif is_archive(path):
            archives.append(shown(os.path.relpath(path, source)))
        else:
            passed_over += 1
    found.extend(_videos_of_tars(source, tars, [video.path for video in found]))
    if archives:
        log.warning("%s: archives are not opened, unpack them: %s", source, first_few(sorted(archives)))
    for path in outside:
        if not is_hidden(path) and (is_video(path) or is_tar(path) or os.path.isdir(path)):  # noqa: PTH112
            found.append(_with_problem(os.path.relpath(path, source), LEADS_OUT))
    if passed_over:
        log.info("%s: files passed over (hidden, or not named like videos): %d", source, passed_over)
    return found


def _inside(name: str, folder: Path) -> str:
    """A listed path relative to ``folder`` where it lies in it."""
    if os.path.isabs(name):  # noqa: PTH117
        # As written first; then with links followed, for a list of another name of the same folder.
        for path, place in ((name, os.path.abspath(folder)), (os.path.realpath(name), os.path.realpath(folder))):  # noqa: PTH100
            relative = os.path.relpath(path, place)
            if not leads_out(relative):
                return relative
    return name


def _listed(name: str, folder: Path, root: str | None) -> FoundVideo:
    """A video that a list names; links must stay inside of ``root`` where that is given."""
    if leads_out(name):
        return _with_problem(name, "its path leads out of the source folder")
    if root is not None and is_link_out(_join(folder, name), root, anywhere=True):
        return _with_problem(name, LEADS_OUT)
    return _stat_video(name, _join(folder, name))


def _with_problem(name: str, problem: str) -> FoundVideo:
    return FoundVideo(name, VideoFile(name), (), problem)


def _videos_of_tars(source: Path, tars: Iterable[str], others: Iterable[str]) -> list[FoundVideo]:
    """Members of several tars; where tars or ``others`` share a member's name, its tar's name is put before it."""
    by_tar = {}
    for path in sorted(tars):
        tar = os.path.relpath(path, source)
        try:
            by_tar[tar] = tar_videos(path)
        except DataError as error:  # of many, a bad one is a reject
            problem = one_line(error).removeprefix(f"{one_line(path)}: ")
            by_tar[tar] = [FoundVideo(tar, VideoFile(path), (), problem)]
    count = Counter(video.path for videos in by_tar.values() for video in videos)
    count.update(others)
    found = []
    for tar, videos in by_tar.items():
        for video in videos:
            path = video.path
            if count[path] > 1:
                path = f"{os.path.splitext(tar)[0]}/{video.path}"  # noqa: PTH122
                path = path if path not in count else f"{tar}/{video.path}"
            found.append(replace(video, path=path))
    return found


def _picked(videos: list[FoundVideo], listing: Path | str | None) -> list[FoundVideo]:
    if listing is None:
        return videos
    inside = {video.path: video for video in videos}
    names = read_paths(listing, None, known=inside)
    return [inside.get(name) or FoundVideo(name, VideoFile(""), (), "not in the tar") for name in names]


def _join(folder: Path, name: str) -> str:
    return os.path.join(folder, name)  # noqa: PTH118 (keeps what pathlib would fold)


def _stat_video(name: str, path: str) -> FoundVideo:
    try:
        about = os.stat(path)  # noqa: PTH116 (keeps the name as it is)
    except FileNotFoundError:
        address = re.match(r"(https?|s3):/", name)  # normpath has made one slash of two
        problem = "an address; download it first" if address else "no such file"
        return FoundVideo(name, VideoFile(path), (), problem)
    except OSError as error:
        return FoundVideo(name, VideoFile(path), (), f"can't be read ({reason_of(error)})")
    problem = "" if stat.S_ISREG(about.st_mode) else "not a regular file"
    if not problem and is_tar(name):
        problem = "a tar; give it, or the folder it lies in, as the source"
    return FoundVideo(name, VideoFile(path), (about.st_size, about.st_mtime_ns), problem)


def read_paths(path: Path | str, folder: Path | None, *, known: Iterable[str] | None = None) -> list[str]:
    """Paths named by a text list (one a line, label numbers after it are ignored) or by a CSV's column.

    Args:
        path: the list; a .csv or .tsv is a table, see :func:`bike.files.tables.read_table` and ``PATH_COLUMNS``.
        folder: where the paths lead from; a file there decides whether a number at the end is a label.
        known: the names there are, instead of ``folder``.

    Returns:
        Normalised paths (``a//b`` and ``./a/b`` become ``a/b``; ``a\\b`` does where only that is there), each once, in
        the list's order.

    Raises:
        DataError: no such column, or an empty list.
    """
    path = Path(path)
    names = set(known or ())

    def exists(name: str) -> bool:
        return os.path.normpath(name) in names if folder is None else os.path.exists(_join(folder, name))  # noqa: PTH110

    if path.suffix.lower() in (".csv", ".tsv"):
        columns = read_header(path)
        column = columns[place] if (place := find_column(columns, PATH_COLUMNS)) >= 0 else PATH_COLUMNS[0]
        found = [name for name in read_table(path, [column])[column] if name]
    else:
        # Not splitlines(): names may hold characters at which it splits, such as U+2028.
        lines = io.StringIO(read_annotation_text(path), newline=None)
        found = [_without_labels(line.rstrip("\n"), exists) for line in lines if line.strip()]
    if not found:
        raise DataError(f"{path}: names no videos. Write one path a line, or a CSV with a `path` column.")
    return list(dict.fromkeys(os.path.normpath(_slashed(name, exists)) for name in found))


def _slashed(name: str, exists: Callable[[str], bool]) -> str:
    """A path of Windows as one of here, where that names a file and ``name`` as it stands does not."""
    slashed = name.replace("\\", "/")
    return slashed if slashed != name and not exists(name) and exists(slashed) else name


def _without_labels(line: str, exists: Callable[[str], bool]) -> str:
    """The path of a line `<path>` or `<path> <numbers>`; the last may be `3,7` or `-1`, as in published lists."""
    name = line
    while not exists(name) and not exists(name.replace("\\", "/")):
        shorter = re.fullmatch(r"(.*\S)\s+(?:\d+(?:,\d+)*|-1)\s*", name)
        if shorter is None:
            return name.strip()
        name = shorter[1]
    return name
