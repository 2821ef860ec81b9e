"""Which video an annotated path means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bike.annotate.classes import fold
from bike.annotate.entries import Entry
from bike.files.names import leads_out, split_extension
from bike.records import VideoRecord

_FEW = 8  # videos of one name are compared one by one up to this number
_END = "/"  # of a path that has no more folders


@dataclass(slots=True)
class Matches:
    """What was found for the annotated paths.

    Attributes:
        index: annotated path -> position of the video's record; paths without a video are not in it.
        spelling: annotated path -> the video's path, where only case or separators differ.
        others: annotated path -> further videos that fit as well.
    """

    index: dict[str, int] = field(default_factory=dict)
    spelling: dict[str, str] = field(default_factory=dict)
    others: dict[str, list[int]] = field(default_factory=dict)

    def used(self) -> set[int]:
        """Positions of all records that an annotation means; of several that fit one path, the one that was taken."""
        return set(self.index.values())


def match_entries(
    entries: Iterable[Entry], records: Sequence[VideoRecord], *, by_name: bool, fold_names: bool
) -> Matches:
    """Find the video of each entry.

    A path fits a video when they are equal, or when the shorter of the two, cut at a ``/``, is the end of the longer
    one; extensions of video files do not count. Of several that fit, the one that shares most folders is taken. A path
    that fits none may be a video's key, as published lists made here say where the path can't stand in them.

    Args:
        entries: annotated paths (those that could leave the media folder match nothing).
        records: the videos.
        by_name: the file's name alone is enough when only one video has it.
        fold_names: what is still without a video is looked for among the unused ones, case and separators aside.
    """
    matches = Matches()
    by_path: dict[str, int] = {}
    for index, record in enumerate(records):
        # A manifest of two extractions may have a video twice, rejected and accepted.
        if record.path not in by_path or records[by_path[record.path]].status != "ok":
            by_path[record.path] = index
    by_stem = _NameIndex(records, range(len(records)))
    waiting: dict[str, Entry] = {}
    for entry in entries:
        path = entry.path
        if path in matches.index or path in waiting:
            continue
        if ".." in path and leads_out(path):  # `..` is looked for first since that is quick, for every entry
            waiting[path] = entry
        elif path in by_path:
            matches.index[path] = by_path[path]
        elif not _find(entry, records, by_stem, by_name, matches):
            waiting[path] = entry
    if waiting:
        by_key = {record.key: index for index, record in enumerate(records)}
        matches.index.update({path: by_key[path] for path in waiting if path in by_key})
        waiting = {path: entry for path, entry in waiting.items() if path not in by_key}
    # Last, among videos that nothing else means: a fuzzy match never takes a video from an exact one.
    if waiting and fold_names:
        _match_folded(waiting.values(), records, matches, by_name)
    return matches


class _NameIndex:
    """Videos by file name, and, where many share one (``<id>/video.mp4``), by their folders from the last one up.

    Args:
        records: the videos.
        indices: those that are to be found.
        folded: case and separators do not count.
    """

    def __init__(self, records: Sequence[VideoRecord], indices: Iterable[int], *, folded: bool = False) -> None:
        self.records, self.folded = records, folded
        self._groups: dict[str, list[int]] = {}
        self._split: dict[tuple[str, ...], dict[str, list[int]]] = {}
        for index in indices:
            stem = split_extension(records[index].path.rpartition("/")[2])
            self._groups.setdefault(fold(stem) if folded else stem, []).append(index)

    def is_alone(self, stem: str) -> bool:
        """Whether only one video has this name."""
        return len(self._groups.get(stem, ())) == 1

    def candidates(self, stem: str, folder: str) -> list[int]:
        """Videos of this name, without most of those whose folders can't be the end of ``folder``, or the reverse."""
        group = self._groups.get(stem, [])
        if len(group) <= _FEW:  # otherwise `<id>/video.mp4` would compare every entry with every video
            return group
        wanted = _folders(folder, self.folded)[::-1]
        ended: list[int] = []
        # Videos whose folders end at this depth stay candidates: the shorter path decides.
        for depth, name in enumerate(wanted):
            if len(group) <= _FEW:
                break
            parts = self._parts((stem, *wanted[:depth]), group, depth)
            ended += parts.get(_END, [])
            group = parts.get(name, [])
        return group + ended

    def _parts(self, place: tuple[str, ...], group: list[int], depth: int) -> dict[str, list[int]]:
        """The videos of a group by their folder number ``depth``, counted from the last one."""
        if place not in self._split:
            parts = self._split[place] = {}
            for index in group:
                folders = _folders(self.records[index].path.rpartition("/")[0], self.folded)
                parts.setdefault(folders[-1 - depth] if depth < len(folders) else _END, []).append(index)
        return self._split[place]


def _find(entry: Entry, records: Sequence[VideoRecord], by_stem: _NameIndex, by_name: bool, matches: Matches) -> bool:
    folder, _, name = entry.path.rpartition("/")
    for stem in (split_extension(name), *entry.names):
        candidates = by_stem.candidates(stem, folder)
        if not candidates:
            continue
        if not folder and len(candidates) == 1:  # most entries of large data sets
            matches.index[entry.path] = candidates[0]
            return True
        chosen = _choose(folder, candidates, records, by_name and by_stem.is_alone(stem), folded=False)
        if chosen:
            _note(entry.path, chosen, matches)
            return True
    return False


def _match_folded(waiting: Iterable[Entry], records: Sequence[VideoRecord], matches: Matches, by_name: bool) -> None:
    used = matches.used()
    # Names are folded here and not for all videos before, since most data sets never come here.
    by_stem = _NameIndex(records, (index for index in range(len(records)) if index not in used), folded=True)
    for entry in waiting:
        folder, _, name = entry.path.rpartition("/")
        stem = fold(split_extension(name))
        candidates = by_stem.candidates(stem, folder)
        if candidates and not leads_out(entry.path):
            chosen = _choose(folder, candidates, records, by_name and by_stem.is_alone(stem), folded=True)
            if chosen:
                _note(entry.path, chosen, matches)
                matches.spelling[entry.path] = records[chosen[0]].path


def _note(path: str, chosen: list[int], matches: Matches) -> None:
    matches.index[path] = chosen[0]
    if len(chosen) > 1:
        matches.others[path] = chosen[1:]


def _choose(
    folder: str, candidates: list[int], records: Sequence[VideoRecord], any_folder: bool, *, folded: bool
) -> list[int]:
    """The candidates that fit best, accepted videos first; usually one."""
    if len(candidates) == 1 and (any_folder or not folder):
        return candidates
    wanted = _folders(folder, folded)
    best, chosen = -1, []  # -1 is a contradiction, so only 0 and more are accepted
    for index in candidates:
        shared = _shared_folders(wanted, _folders(records[index].path.rpartition("/")[0], folded))
        if shared > best:
            best, chosen = shared, [index]
        elif shared == best >= 0:
            chosen.append(index)
    return sorted(chosen, key=lambda index: records[index].status != "ok")


def _folders(folder: str, folded: bool) -> list[str]:
    parts = folder.split("/") if folder else []
    return [fold(part) for part in parts] if folded else parts


def _shared_folders(wanted: list[str], have: list[str]) -> int:
    """How many folders at the end agree; -1 when one differs before the shorter path is used up."""
    shared = 0
    for left, right in zip(reversed(wanted), reversed(have), strict=False):
        if left != right:
            return -1
        shared += 1
    return shared
