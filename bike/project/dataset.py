"""The data sets of the published rows: which lists each task uses, how many videos they have, what the classes are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

from bike.errors import ParamsError
from bike.params import read_tree
from bike.project.code import PACKAGE, shipped_root
from bike.trees.sections import Section


class Lists(Section):
    """Which lists of a data set a task uses."""

    fold: int | None = None  # official split; None where there are none, or all are used
    folds: int = 0  # number of official splits, each of which is trained and scored; 0 where it is one or none
    # word of the annotation -> list it goes into, empty for none; other words mean what they say
    splits: dict[str, str] = {}
    train: str | None = None  # list to train on; None where nothing is trained
    evaluate: str  # list that is scored
    # videos that the published number scores; those of each split, or of each list of classes
    expected: tuple[int, ...]
    expected_train: int | None = None  # entries of the train list, or of those of all splits; before shots are chosen


class Source(Section):
    """Where a data set comes from, and how much it is: as its authors say, means rounded."""

    download: str  # from whom, and what
    licence: str  # of annotation and videos
    videos: int  # that are extracted
    seconds: float  # mean length
    fps: float  # mean frame rate of the files
    size: Literal["340×256", "1280×720"]  # the measured picture size that is nearest to the files'


class Dataset(Section):
    """A data set as its authors publish it, and as the published models were measured on it."""

    title: str  # its name for people
    reader: str  # of its annotation
    needs: str  # what to bring
    source: Source  # where it comes from, for its page in docs/benchmarks
    num_classes: int  # of all lists
    published_map_batch: int | None = (
        None  # videos in a batch of the published mAP, a running mean; None: none published
    )
    labels: str | None = None  # class names under `lists/`; None for those that the annotation has
    alphabetical: bool = False  # the classes are numbered by the alphabet, whatever the order of `labels`
    classes: tuple[str, ...] = ()  # lists of class names beside `labels`: videos of each are scored against its classes
    params: dict[str, Any] = {}  # parameters of the data set; a row's own go over them
    # train, splits, base_to_novel, zeroshot: lists by task; few-shot rows have those of `train`
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


@cache
def load_datasets() -> dict[str, Dataset]:
    """The data sets of the published rows by name."""
    folder = PACKAGE / "project" / "datasets"
    return {path.stem: Dataset.model_validate(read_tree(path)) for path in sorted(folder.glob("*.yaml"))}


def class_files(dataset: Dataset) -> dict[str, str]:
    """Files of class names that a project gets: name -> text."""
    from bike.records import read_labels  # pandas, which `bike zoo` does without

    if dataset.labels is None:
        return {}
    folder = shipped_root() / "lists" / dataset.labels
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
