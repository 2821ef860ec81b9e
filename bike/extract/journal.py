"""The notes of an extraction: one line per finished video, so that a killed run resumes where it stopped."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from functools import lru_cache
from pathlib import Path
from typing import IO

from bike.extract.output import output_exists, output_there
from bike.extract.task import JOURNAL_FORMAT, Result, Task, recipe_text
from bike.files import atomic_write, open_write, sync_file, unwritable
from bike.records import KEY, VideoRecord

JOURNAL_NAME = ".extract.jsonl"


def is_current(result: Result, task: Task, stamp: tuple[int, ...], timeout_seconds: float) -> bool:
    """Whether an earlier run's result is what the task would give now, for a file with this ``stamp``."""
    record, recipe = result.record, task.recipe
    if record.key != task.key or result.stamp != stamp or 0 < result.limit_seconds < timeout_seconds:
        return False
    if result.partial and result.keep_partial != recipe.keep_partial:
        return False
    if record.status != "ok":  # the size and quality of pictures matter only where there are any
        made = json.loads(result.recipe)
        return (made.get("backend"), made.get("format")) == (recipe.backend, JOURNAL_FORMAT)
    there = output_exists(Path(task.destination), task.key, recipe.layout, record.num_kept, record.bytes)
    return there and result.recipe == recipe_text(recipe)


def read_journal(destination: Path) -> dict[str, Result]:
    """Results by video path; the last of a path counts, and lines that were cut off by a kill are skipped."""
    results: dict[str, Result] = {}
    with suppress(FileNotFoundError), (destination / JOURNAL_NAME).open(encoding="utf-8", errors="replace") as file:
        for line in file:
            with suppress(ValueError, KeyError, TypeError, RecursionError):
                row = json.loads(line)
                if "void" in row:
                    results.pop(row["void"], None)
                    continue
                record = VideoRecord(**row["record"])
                if KEY.fullmatch(record.key):  # files are removed by it
                    text = sys.intern(row["recipe"])  # one string for a million lines
                    row |= {"record": record, "stamp": tuple(row["stamp"]), "recipe": text}
                    result = Result(**row)
                    if _is_sound(record) and _is_sound(result) and _is_recipe(text):
                        results[record.path] = result
    return results


def noted_keys(destination: Path) -> set[str]:
    """Keys of videos whose frames were written, or were about to be, even if that no longer counts: those are ours."""
    keys: set[str] = set()
    with suppress(FileNotFoundError), (destination / JOURNAL_NAME).open(encoding="utf-8", errors="replace") as file:
        for line in file:
            with suppress(ValueError, KeyError, TypeError, RecursionError):
                row = json.loads(line)
                written = "begun" in row or row["record"]["status"] == "ok"  # a rejected video leaves no frames
                if written and KEY.fullmatch(key := row.get("begun") or row["record"]["key"]):
                    keys.add(key)
    return keys


_TYPES: dict[str, type | tuple[type, ...]] = {"str": str, "int": int, "float": (int, float), "bool": bool}
_FIELDS = {
    kind: [(f.name, _TYPES[str(f.type)]) for f in fields(kind) if f.type in _TYPES] for kind in (VideoRecord, Result)
}


def _is_sound(record: VideoRecord | Result) -> bool:
    """Whether every field has its type; pydantic would refuse names with undecodable bytes."""
    return all(isinstance(getattr(record, name), kind) for name, kind in _FIELDS[type(record)])


@lru_cache(maxsize=8)
def _is_recipe(text: str) -> bool:
    return isinstance(json.loads(text), dict)


def _begun(key: str) -> str:
    return f"{json.dumps({'begun': key})}\n"


def _line(result: Result) -> str:
    row = asdict(result)
    del row["transient"]
    return json.dumps(row) + "\n"  # ASCII: any name goes through


class Journal:
    """The open journal of a run; each line reaches the file at once."""

    def __init__(self, file: IO[str], path: Path) -> None:
        self._file, self._path = file, path

    def add(self, result: Result) -> None:
        """Note a finished video."""
        self.write(_line(result))

    def void(self, paths: Iterable[str]) -> None:
        """Note that what was said of these videos no longer holds."""
        self.write("".join(f"{json.dumps({'void': path})}\n" for path in paths))

    def begin(self, keys: Iterable[str]) -> None:
        """Note that the frames of videos are about to be written; on disk before the first of them."""
        self.write("".join(map(_begun, keys)), sync=True)

    def write(self, lines: str, *, sync: bool = False) -> None:
        """Append lines as they are; with ``sync`` they outlive a power cut."""
        try:
            self._file.write(lines)
            self._file.flush()
            if sync:
                sync_file(self._path)
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
        file = open_write(path, "a")
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        journal = Journal(file, path)
        if file.tell():
            journal.write("\n")
        yield journal
    finally:
        with suppress(OSError):  # what could not be written was said already
            file.close()


def rewrite_journal(destination: Path, results: Collection[Result]) -> None:
    """Replace the journal by these results, and the keys of frames that lie there without one: those stay ours."""
    unsettled = noted_keys(destination) - {result.record.key for result in results}
    with atomic_write(destination / JOURNAL_NAME, "w") as file:
        file.writelines(_begun(key) for key in sorted(unsettled) if output_there(destination, key))
        file.writelines(map(_line, results))
