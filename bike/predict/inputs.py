"""What a person names to recognise: videos, folders, lists, standard input; and the classes. No torch."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bike.errors import BikeError, DataError, WeightsError, first_few, nearest, one_line
from bike.files import existing_file
from bike.files.names import is_tar
from bike.model.formats.official import OFFICIAL_FILES, find_official
from bike.video.file import FoundVideo, VideoFile
from bike.video.find import find_videos, read_paths

STDIN = "-"
_LISTS = (".txt", ".csv", ".tsv")


def named_videos(words: Sequence[Path | str]) -> list[FoundVideo]:
    """Videos in the order in which they were named.

    Args:
        words: videos of any format and name; folders and tars, searched through; lists (``.txt`` with one path a line,
            ``.csv`` or ``.tsv`` with a column ``path``), whose paths lead from their own folder; ``-`` for paths on
            standard input, one a line.

    Raises:
        BikeError: a word names nothing, or there is not one video.
    """
    found: list[FoundVideo] = []
    for word in words:
        path = Path(word)
        if str(word) == STDIN:
            text = sys.stdin.buffer.read()
            if b"\0" in text:
                raise DataError("Standard input: has a NUL byte; one path a line is needed (`find -print`).")
            found += (_video(os.fsdecode(line)) for line in text.splitlines() if line.strip())
        elif path.is_dir() or is_tar(path.name):
            found += (replace(video, path=str(path / video.path.lstrip("/"))) for video in find_videos(path))
        elif path.suffix.lower() in _LISTS:
            found += (_video(str(path.parent / name)) for name in read_paths(path, path.parent))
        else:
            found.append(_video(str(existing_file(path))))
    if not found:
        raise BikeError("No videos. Name at least one file.")
    return found


def _video(path: str) -> FoundVideo:
    return FoundVideo(path, VideoFile(path))


def check_model(checkpoint: Path | None, weights: str | None) -> None:
    """Refuse a model that is not there before torch is loaded for it.

    Raises:
        BikeError: there is no such checkpoint. WeightsError: ``weights`` is neither a file nor an official name.
    """
    if checkpoint is not None and not checkpoint.is_dir():
        existing_file(checkpoint)
    if weights is not None and not Path(weights).exists() and find_official(weights) is None:
        raise WeightsError(
            f"{one_line(weights)}: no such file, and no official name.{nearest(weights, OFFICIAL_FILES)} "
            f"Official are: {', '.join(OFFICIAL_FILES)}."
        )


def check_classes(model: Path | str, names: Sequence[str] | None) -> None:
    """Refuse class names before a model is loaded, or even fetched, for them.

    Raises:
        BikeError: as :func:`check_names`; or there are none, and ``model`` is an official name of CLIP's.
    """
    if names is not None:
        check_names(names)
    elif not Path(model).exists() and find_official(str(model)) is not None:
        raise BikeError(
            f"{model}: CLIP alone has no classes. Name them (--classes 'a dog,a cat', in Python `classes`), "
            "or take a trained checkpoint."
        )


def check_names(names: Sequence[str]) -> list[str]:
    """Class names that can be told apart, as a list.

    Raises:
        ValueError: one text, or what is no text.
        DataError: fewer than two, one that is there twice, or an empty one.
    """
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"class names must be a list of texts (got {str(names)[:100]!r})")
    if len(names) < 2:
        raise DataError(f"Class names: at least two are needed (got {len(names)}). Give more, such as --classes 'a,b'.")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if not all(name.strip() for name in names):
        raise DataError("Class names: one is empty. Give each class a name.")
    if repeated:
        raise DataError(f"Class names: some are there twice (got {first_few(repeated)}). Give each class once.")
    return list(names)
