"""The data sets of the published rows: which lists each task uses, how many videos they have, what the classes are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from bike.errors import ParamsError
from bike.params import read_tree
from bike.project.code import PACKAGE
from bike.trees.sections import Section


class Lists(Section):
    """Which lists of a data set a task uses.

    Attributes:
        fold: official split; None where there are none, or all are used.
        folds: number of official splits, each of which is trained and scored; 0 where it is one or none.
        splits: word of the annotation -> list it goes into, empty for none; other words mean what they say.
        train: list to train on; None where nothing is trained.
        evaluate: list that is scored.
        expected: videos that the published number scores; those of each split, or of each list of classes.
        expected_train: entries of the train list, or of those of all splits; before shots are chosen.
    """

    fold: int | None = None
    folds: int = 0
    splits: dict[str, str] = {}
    train: str | None = None
    evaluate: str
    expected: tuple[int, ...]
    expected_train: int | None = None


class Source(Section):
    """Where a data set comes from, and how much it is: as its authors say, means rounded.

    Attributes:
        download: from whom, and what.
        licence: of annotation and videos.
        videos: that are extracted.
        seconds: mean length.
        fps: mean frame rate of the files.
        size: the measured picture size that is nearest to the files'.
    """

    download: str
    licence: str
    videos: int
    seconds: float
    fps: float
    size: Literal["340×256", "1280×720"]


class Dataset(Section):
    """A data set as its authors publish it, and as the published models were measured on it.

    Attributes:
        title: its name for people.
        reader: of its annotation.
        needs: what to bring.
        source: where it comes from, for its page in docs/benchmarks.
        labels: class names under ``lists/``; None for those that the annotation has.
        alphabetical: the classes are numbered by the alphabet, whatever the order of ``labels``.
        classes: lists of class names beside ``labels``: videos of each are scored against its classes.
        params: parameters of the data set; a row's own go over them.
        num_classes: of all lists.
        train, splits, base_to_novel, zeroshot: lists by task; few-shot rows have those of ``train``.
    """

    title: str
    reader: str
    needs: str
    source: Source
    num_classes: int
    labels: str | None = None
    alphabetical: bool = False
    classes: tuple[str, ...] = ()
    params: dict[str, Any] = {}
    train: Lists | None = None
    splits: Lists | None = None
    base_to_novel: Lists | None = None
    zeroshot: Lists | None = None

    def lists_for(self, task: str) -> Lists:
        """The lists of a row's task.

        Raises:
            ParamsError: there are none.
        """
        found = getattr(self, task.replace("-", "_"), self.train)
        if not isinstance(found, Lists):
            raise ParamsError(f"{self.title}: no lists for the task {task} in bike/project/datasets. Correct the row.")
        return found


def load_datasets() -> dict[str, Dataset]:
    """The data sets of the published rows by name."""
    folder = PACKAGE / "project" / "datasets"
    return {path.stem: Dataset.model_validate(read_tree(path)) for path in sorted(folder.glob("*.yaml"))}


def lists_folder() -> Path:
    """The folder of class names by data set: in an installed package inside it, otherwise the checkout's."""
    shipped = PACKAGE / "shipped" / "lists"
    return shipped if shipped.is_dir() else PACKAGE.parent / "lists"


def class_files(dataset: Dataset) -> dict[str, str]:
    """Files of class names that a project gets: name -> text."""
    from bike.records import read_labels  # pandas, which `bike zoo` does without

    if dataset.labels is None:
        return {}
    folder = lists_folder() / dataset.labels
    texts = {f"classes/{name}.txt": (folder / f"{name}.txt").read_text(encoding="utf-8") for name in dataset.classes}
    names = read_labels(folder / "labels.csv", "published")
    if dataset.classes:  # only the classes of some split have videos to score
        wanted = {line.strip() for text in texts.values() for line in text.splitlines()}
        names = [name for name in names if name in wanted]
    if dataset.alphabetical:
        names = sorted(names)
    return {**texts, "classes/labels.csv": _labels_text(names)}


def _labels_text(names: Sequence[str]) -> str:
    import csv
    from io import StringIO

    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows([("id", "name"), *enumerate(names)])
    return text.getvalue()
