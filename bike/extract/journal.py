"""The notes of an extraction: one line per finished video, so that a killed run goes on where it was."""

from __future__ import annotations

import fcntl
import functools
import json
import logging
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from bike.errors import BikeError
from bike.extract.output import output_exists
from bike.extract.task import Recipe, Result, Task
from bike.files import atomic_write, unwritable
from bike.records import KEY, VideoRecord

log = logging.getLogger("bike")

JOURNAL_NAME = ".extract.jsonl"
FORMAT = 1  # raise when the same options give other frames


@dataclass(frozen=True, slots=True)
class Entry:
    """What was done for one video, with what it depended on."""

    record: VideoRecord
    partial: bool
    stamp: tuple[int, ...]
    recipe: str
    keep_partial: bool
    limit_seconds: float

    def settles(self, task: Task, stamp: tuple[int, ...], timeout_seconds: float) -> bool:
        """Whether the entry is what the task would give now, for a file with this ``stamp``."""
        record, recipe, destination = self.record, task.recipe, Path(task.destination)
        if record.key != task.key or self.stamp != stamp or 0 < self.limit_seconds < timeout_seconds:
            return False
        if self.partial and self.keep_partial != recipe.keep_partial:
            return False
        if record.status != "ok":
            return bool(_part(self.recipe, "backend") == recipe.backend and _part(self.recipe, "format") == FORMAT)
        return self.recipe == fingerprint(recipe) and output_exists(
            destination, task.key, recipe.layout, record.frames, record.bytes
        )


@functools.lru_cache(maxsize=8)
def fingerprint(recipe: Recipe) -> str:
    """The options that decide the frames of a sound video, as text; one string for all videos of a run."""
    options = {"format": FORMAT, **asdict(recipe)}
    del options["keep_partial"]
    return json.dumps(options, sort_keys=True)


def _part(recipe: str, name: str) -> Any:
    return json.loads(recipe).get(name)


def read_journal(destination: Path) -> dict[str, Entry]:
    """Entries by video path; the last of a path counts, lines cut off by a kill are skipped."""
    entries: dict[str, Entry] = {}
    recipes: dict[str, str] = {}
    with suppress(FileNotFoundError), (destination / JOURNAL_NAME).open(encoding="utf-8", errors="replace") as file:
        for line in file:
            with suppress(ValueError, KeyError, TypeError, OverflowError, RecursionError):
                row = json.loads(line)
                if "void" in row:
                    entries.pop(row["void"], None)
                    continue
                record = _checked(VideoRecord(**row["record"]))
                recipe = recipes.get(row["recipe"]) or recipes.setdefault(row["recipe"], _checked_recipe(row["recipe"]))
                stamp = tuple(int(number) for number in row["stamp"])
                flags = bool(row["partial"]), stamp, recipe, bool(row["keep_partial"]), float(row["limit_seconds"])
                entries[record.path] = Entry(record, *flags)
    return entries


def _checked(record: VideoRecord) -> VideoRecord:
    """The record, if it can be one of ours; a journal may come from anywhere, and files are removed by its keys."""
    texts = (record.key, record.path, record.status, record.error)
    counts = (record.frames, record.width, record.height, record.bytes)
    if not all(isinstance(text, str) for text in texts) or not KEY.fullmatch(record.key):
        raise ValueError("no texts, or no key")
    if not all(type(count) is int and count >= 0 for count in counts):
        raise ValueError("no counts")
    if not all(math.isfinite(number) for number in (record.fps, record.seconds)):
        raise ValueError("no numbers")
    return record


def _checked_recipe(recipe: str) -> str:
    if not isinstance(json.loads(recipe), dict):
        raise TypeError("no options")
    return recipe


def make_entry(stamp: tuple[int, ...], result: Result, recipe: Recipe) -> Entry:
    """The entry for a result that is worth keeping."""
    return Entry(result.record, result.partial, stamp, fingerprint(recipe), recipe.keep_partial, result.limit_seconds)


def _line(entry: Entry) -> str:
    return json.dumps(asdict(entry)) + "\n"  # ASCII: any name goes through


class Journal:
    """The open journal of a run; each line reaches the file at once."""

    def __init__(self, file: IO[str], path: Path) -> None:
        self._file, self._path = file, path

    def add(self, entry: Entry) -> None:
        """Note a finished video."""
        self._write(_line(entry))

    def void(self, paths: Iterable[str]) -> None:
        """Note that what was said of these videos no longer holds."""
        self._write("".join(f"{json.dumps({'void': path})}\n" for path in paths))

    def _write(self, lines: str) -> None:
        try:
            self._file.write(lines)
            self._file.flush()
        except OSError as error:
            raise unwritable(self._path, error) from error


@contextmanager
def open_journal(destination: Path) -> Iterator[Journal]:
    """Append to the journal of ``destination``; a line left unfinished by a kill is closed first.

    Raises:
        BikeError: it can't be written.
    """
    path = destination / JOURNAL_NAME
    try:
        file = path.open("a", encoding="utf-8")
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        journal = Journal(file, path)
        try:
            if file.tell():
                file.write("\n")
                file.flush()
        except OSError as error:
            raise unwritable(path, error) from error
        yield journal
    finally:
        with suppress(OSError):
            file.close()


def rewrite_journal(destination: Path, entries: Iterable[Entry]) -> None:
    """Replace the journal by these entries."""
    with atomic_write(destination / JOURNAL_NAME, "w") as file:
        file.writelines(_line(entry) for entry in entries)


@contextmanager
def locked(destination: Path) -> Iterator[None]:
    """Hold the destination folder against a second extraction; the lock ends with the process, however it ends.

    Raises:
        BikeError: another extraction is writing there.
    """
    descriptor = os.open(destination, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BikeError(
                f"{destination}: another extraction is writing here. Wait for it, or choose another folder."
            ) from None
        except OSError:
            log.debug("%s: its file system has no locks", destination)
        yield
    finally:
        os.close(descriptor)
