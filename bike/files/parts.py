"""A stage in n parts, for any launcher: each part leaves a folder of its own, and a merge makes the result of them.

A part does the keys that their hash gives it, as an ordinary run in ``.bike-parts/<i>-of-<n>``, with the notes by which
such a run goes on after a kill. The merge is an ordinary run, too: it takes from those folders what it would otherwise
compute, and so writes the same bytes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bike.errors import BikeError, DataError, ParamsError, first_few
from bike.files.disk import ensure_dir, remove, remove_folder, sweep, write_json
from bike.files.lock import locked
from bike.files.text import read_json

PARTS = ".bike-parts"
MERGE: Literal["merge"] = "merge"


@dataclass(frozen=True, slots=True)
class Part:
    """Part ``number`` (from 1) of ``count``."""

    number: int
    count: int

    def has(self, key: str) -> bool:
        """Whether this part does ``key``: a rule on the key's hash, the same on every machine and for every list."""
        return _part_of(key, self.count) == self.number

    def folder(self, place: Path) -> Path:
        """Where the part of a result at ``place`` is kept until it is merged."""
        return place / PARTS / f"{self.number}-of-{self.count}"


Split = Part | Literal["merge"]  # a part of a stage, or the merge of all


def _part_of(key: str, count: int) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) % count + 1


def parse_part(text: str, variables: Mapping[str, str]) -> Part:
    """The part that ``3/64`` names, or, for ``slurm``, the one of this task of a job array.

    Args:
        text: of ``--part``.
        variables: the environment.

    Raises:
        ParamsError: no such part, no job array, or one whose numbers have gaps, so that they say no part.
    """
    if text == "slurm":
        names = [f"SLURM_ARRAY_TASK_{name}" for name in ("ID", "MIN", "MAX", "COUNT")]
        try:
            task, first, last, count = (int(variables[name]) for name in names)
        except (KeyError, ValueError):
            raise ParamsError(
                f"--part slurm: {', '.join(names)} are needed. Submit with `sbatch --array=1-N`."
            ) from None
        if last - first + 1 != count or not first <= task <= last:
            raise ParamsError(
                f"--part slurm: the array has {count} tasks numbered {first} to {last}. Submit one without "
                "gaps, or give --part i/n."
            )
        return Part(task - first + 1, count)
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text, re.ASCII)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise ParamsError(f"--part: not a part (got {text[:40]!r}); 1/n to n/n, or slurm, is allowed.")
    return Part(int(found[1]), int(found[2]))


@contextmanager
def held_place(place: Path, split: Split | None, doing: str) -> Iterator[Path]:
    """Hold the folder that a run writes to: the result's own, or the one of its part.

    The first part decides into how many the result is split. A merge holds its parts as well.

    Raises:
        BikeError: it was begun in another number of parts. BusyError: another run writes there.
    """
    folder = ensure_dir(place)
    if isinstance(split, Part):
        folder = _begin(split, place)
    with ExitStack() as held:
        held.enter_context(locked(folder, doing))
        for part in Parts(place).folders() if split == MERGE else []:
            if part.is_dir():  # a part that still runs is not taken away under its hands
                held.enter_context(locked(part, doing))
        yield folder


def _begin(part: Part, place: Path) -> Path:
    if (place / PARTS).is_symlink():  # a merge could not remove it
        raise BikeError(f"{place / PARTS}: is a link. Let {place} be one, or give another place.")
    parts = ensure_dir(place / PARTS)
    with locked(parts, "beginning a part", wait=True):
        count = _count(parts)
        if count not in (None, part.count):
            raise BikeError(
                f"{parts}: was begun in {count} parts (got --part {part.number}/{part.count}). Give --part i/{count}, "
                "or remove that folder to start over."
            )
        if count is None:
            write_json(parts / "parts.json", {"count": part.count})
    return ensure_dir(part.folder(place))


def _count(parts: Path) -> int | None:
    path = parts / "parts.json"
    if not path.is_file():
        return None
    content = read_json(path)
    count = content.get("count") if isinstance(content, dict) else None
    if type(count) is not int or count < 1:
        raise DataError(f"{path}: does not say how many parts there are. Remove {parts} to start over.")
    return count


class Parts:
    """The parts of the result at ``place``, for its merge."""

    def __init__(self, place: Path) -> None:
        self._place, self._count = place, _count(place / PARTS)

    def folders(self) -> list[Path]:
        """Of all parts, begun or not; none where no part was begun."""
        count = self._count or 0
        return [Part(number, count).folder(self._place) for number in range(1, count + 1)]

    def folder_of(self, key: str) -> Path:
        """Of the part that does ``key``; of no part, where none was begun."""
        return Part(_part_of(key, self._count or 1), self._count or 1).folder(self._place)

    def check(self, missing: Iterable[str]) -> None:
        """Refuse to merge while some keys were done by no part.

        Raises:
            BikeError: it names the parts, or says that there are none.
        """
        numbers = sorted({_part_of(key, self._count or 1) for key in missing})
        if numbers and self._count is None:
            raise BikeError(f"{self._place}: no part was begun here. Run --part 1/n to n/n, then --merge.")
        if numbers:
            raise BikeError(
                f"{self._place}: {len(numbers)} of {self._count} parts are missing or not complete, or were made with "
                f"other settings: {first_few(list(map(str, numbers)))}. Run them (again; with --replace"
                " where they have other settings), then --merge."
            )


def has_parts(place: Path) -> bool:
    """Whether parts were begun in a folder."""
    return (place / PARTS).is_dir()


def discard_parts(place: Path, ours: Callable[[Path], bool] | None = None) -> None:
    """Remove what the parts left, once the result is written.

    Args:
        place: of the result.
        ours: which files go, in a folder that people choose: any other file stays. None: all.
    """
    if not has_parts(place):
        return
    if ours is None:
        remove_folder(place / PARTS, with_content=True)
        return
    for folder in sorted((place / PARTS).glob("*-of-*")):
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            if ours(path):
                remove(path)
        sweep(folder)
        remove_folder(folder)
    if not any((place / PARTS).glob("*-of-*")):
        with suppress(FileNotFoundError):
            remove(place / PARTS / "parts.json")
        sweep(place / PARTS)
        remove_folder(place / PARTS)
