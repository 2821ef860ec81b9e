"""The files of an annotation, found by name, and JSON of unknown origin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bike.errors import BikeError, DataError
from bike.files import existing_dir, read_annotation_text
from bike.files.names import is_hidden
from bike.files.parse import parse_json


def read_annotation_json(path: Path | str) -> Any:
    """Parse a JSON file of unknown origin.

    Raises:
        DataError: not JSON, nested too deeply, or with a number too long to read.
    """
    try:
        return parse_json(read_annotation_text(path, longest=None), path, "Is it the right file?")  # often one line
    except DataError:
        raise
    except BikeError as error:
        raise DataError(str(error)) from error


def find_annotation(source: Path | str, names: tuple[str, ...], what: str) -> Path:
    """The first of ``names`` (may be patterns) in the folder ``source``; ``source`` itself where it is a file.

    Raises:
        BikeError: there is no such file; the message names what was looked for.
    """
    source = Path(source)
    if source.is_file():
        return source
    found = find_files(source, names)
    if not found:
        raise DataError(f"{source}: no {what} (looked for {', '.join(names)}). Give the folder that has it.")
    return found[0]


def find_files(source: Path | str, names: tuple[str, ...]) -> list[Path]:
    """Files in ``source`` (not below, not hidden) that fit one of the patterns, in their order, then by name."""
    if not Path(source).exists():
        raise DataError(f"{source}: no such file or folder. Check the name.")
    folder = existing_dir(source)
    found: dict[Path, None] = {}
    for name in names:
        paths = sorted(path for path in folder.glob(name) if path.is_file() and not is_hidden(path.name))
        found.update(dict.fromkeys(paths))
    return list(found)
