"""What a reader of annotation files hands over: entries, class names, and the options that steer it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bike.errors import ParamsError

SPLITS = ("train", "val", "test")
FOLDS = ("split1", "split2", "split3")
SPLIT_WORDS: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validate": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "1": "train",
    "2": "test",
}


@dataclass(slots=True)
class Entry:
    """One annotated thing: a video, or a part of one.

    Attributes:
        path: where the annotation says the video lies, or only its name; ``//`` folded, no leading ``/``.
        labels: class names, or class integers where the file has those; empty where the labels are not public.
        split: ``train``, ``val`` or ``test``; empty for a video that the data set knows but does not use.
        start_seconds, end_seconds: the part meant; an end of None is the video's; both None for the whole video.
        seconds: the video's duration as the annotation states it, 0 when it does not.
        names: other names that the file may have on disk, without extension.
        frames: number of frames as the annotation states it, 0 when it does not.
    """

    path: str
    labels: tuple[str | int, ...]
    split: str
    start_seconds: float | None = None
    end_seconds: float | None = None
    seconds: float = 0.0
    names: tuple[str, ...] = ()
    frames: int = 0


@dataclass(slots=True)
class Annotations:
    """A data set's annotation as read, before it meets the videos.

    Attributes:
        folds: entries in official order under the fold's name; data sets without folds have one, named ``""``.
        classes: published class names in order of their ids; None: take them from the entries, in alphabetical order.
        readable: names for prompts in the same order, where a class file states them; None: make them.
        by_name: a file's name alone identifies the video, whatever folder it lies in.
        fold_names: names that differ only in case or separators mean the same video (never for random ids).
        fps: frame rate of frame folders made as the data set's authors do, 0 when unknown.
        notes: remarks for the summary.
    """

    folds: dict[str, list[Entry]]
    classes: list[str] | None = None
    readable: list[str] | None = None
    by_name: bool = False
    fold_names: bool = True
    fps: float = 0.0
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ReadOptions:
    """How to read an annotation; most data sets need none of these. A bad value is a :class:`ParamsError`.

    Attributes:
        fold: UCF-101 and HMDB-51: the official split to write, 1 to 3; None writes all three.
        labels: file of class names (CSV ``id,name[,published]``, or one name a line), instead of the data set's own.
        path_column, label_column, name_column, split_column: columns of ``csv``; None finds them by name.
        splits: ``csv``: value of the split column -> ``train``, ``val``, ``test``, or ``""`` to leave the row out.
        default_split: split of rows that state none; ``""`` leaves them out.
        layout: ``published``: what a line holds; ``auto`` looks at the first lines.
        first_id: ``csv``, ``published``: 1 where integer labels, and ids of class names, count from 1.
        follow_links: links that lead out of the folders of media, and of ``folders``, are followed.
    """

    fold: int | None = None
    labels: Path | None = None
    path_column: str | None = None
    label_column: str | None = None
    name_column: str | None = None
    split_column: str | None = None
    splits: Mapping[str, str] = field(default_factory=dict)
    default_split: str = "train"
    layout: Literal["auto", "frames", "videos", "labels"] = "auto"
    first_id: int = 0
    follow_links: bool = False

    def __post_init__(self) -> None:
        wrong = [split for split in (*self.splits.values(), self.default_split) if split not in (*SPLITS, "")]
        if wrong:
            raise ParamsError(f"split {wrong[0]!r}: unknown; {', '.join(SPLITS)} are allowed. Correct the option.")
        if self.layout not in ("auto", "frames", "videos", "labels"):
            raise ParamsError(f"layout {self.layout!r}: unknown; auto, frames, videos and labels are allowed.")
        if self.first_id not in (0, 1):
            raise ParamsError(f"first id {self.first_id}: unknown; 0 and 1 are allowed.")
        if self.fold not in (None, 1, 2, 3):
            raise ParamsError(f"split {self.fold}: unknown; the official splits are 1, 2 and 3.")


def split_of(word: str, options: ReadOptions) -> str | None:
    """The split that ``word`` of a split column stands for; None when it is unknown."""
    key = word.strip()
    if key in options.splits:
        return options.splits[key]
    return SPLIT_WORDS.get(key.lower(), None if key else options.default_split)


def chosen_folds(options: ReadOptions) -> list[tuple[str, int]]:
    """Name and number of the official splits to write: ``split1`` to ``split3``, or the chosen one without a name."""
    return [("", options.fold)] if options.fold else list(zip(FOLDS, (1, 2, 3), strict=True))
