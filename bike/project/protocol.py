"""What a project measures: the row or kind, which lists train and are scored, how many videos, what was published."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from bike.annotate.entries import ReadOptions
from bike.annotate.run import DATASETS as READERS
from bike.annotate.writing import HALVES
from bike.errors import BikeError, ParamsError, nearest
from bike.params import read_tree
from bike.project.dataset import Dataset, Lists, class_files, load_datasets
from bike.trees.overrides import merge
from bike.trees.sections import Section, validated
from bike.zoo import Preset, Task, load_zoo

NAME = "protocol.yaml"
KINDS = {
    "folders": "a folder for each class, perhaps below train, val and test",
    "csv": "a CSV with a path, a label and perhaps a name and a split column",
    "published": "lists `<file> <label>` or `<dir> <frames> <label>`, and class names",
}
# What people tune first; stated in params.yaml of their own data even where it is the default.
OWN_PARAMS: dict[str, Any] = {
    "extract": {"frames_per_video": None},  # 32 is enough where whole videos are scored in one clip of 8 or 16 frames
    "model": {"weights": "ViT-B/32", "frames": 8, "temporal": "transf", "interaction": "vcs"},
    "train": {"epochs": 30, "batch_size": 256, "lr": 5.0e-5},
    "evaluate": {"views": {"1x1": {"clips": 1, "crops": 1}}},
}


class Protocol(Section):
    """``protocol.yaml`` of a project; nobody need edit it."""

    name: str  # row of the zoo, or kind of one's own data
    title: str  # data set, for people
    task: Task | Literal["own"]  # which stages there are
    # reader, lists: how the annotation is read, and which lists count
    reader: str
    lists: Lists
    validate_on: str | None = None  # list to validate on while training; None for none
    labels: str | None = None  # file of class names in the project; None for those of the annotation
    # files with the class names of one list of classes each, whose videos are scored against them
    classes: tuple[str, ...] = ()
    num_classes: int = 0  # as published; 0 for one's own data
    published: dict[str, float] = {}  # metric -> percent
    published_map_batch: int | None = None  # videos in a batch of `map_published`; None where it is not compared
    params: dict[str, Any] = {}  # the row's parameters, for comparison with what ran
    needs: str = ""  # what to bring

    def read_options(self, folder: Path) -> ReadOptions:
        """How the annotation is read in a project's folder."""
        labels = None if self.labels is None else folder / self.labels
        return ReadOptions(fold=self.lists.fold, splits=self.lists.splits, labels=labels)

    def folds(self) -> list[str]:
        """The official splits, where each is trained and scored by itself."""
        return [f"split{number}" for number in range(1, self.lists.folds + 1)]

    def splits(self) -> list[str]:
        """The lists that become shards, each once; where there are folds, all videos become those of ``all``."""
        if self.lists.folds:
            return ["all"]
        return list(dict.fromkeys(name for name in (self.lists.train, self.validate_on, self.lists.evaluate) if name))


def load_protocol(folder: Path) -> Protocol:
    """Read ``protocol.yaml`` of a project.

    Raises:
        BikeError: there is none, or it is not one.
    """
    path = folder / NAME
    if not path.is_file():
        raise BikeError(f"{path}: no such file, so this is no project. Make one with `bike init ROW DIR`.")
    return validated(Protocol, read_tree(path), str(path))


def plan(name: str) -> tuple[Protocol, dict[str, Any], dict[str, str]]:
    """What a row or kind stands for.

    Returns:
        The protocol (of one's own data without its lists), the parameters that differ from the defaults, and the
        files of class names that belong to it: name in the project -> text.

    Raises:
        ParamsError: neither a row nor a kind; the nearest name is suggested.
    """
    if name in KINDS:
        lists = Lists(evaluate="test", expected=(0,))
        protocol = Protocol(name=name, title="own videos", task="own", reader=name, lists=lists, needs=KINDS[name])
        return protocol, OWN_PARAMS, {}
    zoo = load_zoo()
    if name not in zoo:
        known = [*KINDS, *zoo]
        raise ParamsError(
            f"{name}: no row and no kind of data.{nearest(name, known)} Kinds: {', '.join(KINDS)}. "
            "`bike zoo list` names the rows."
        )
    return _plan_row(zoo[name], load_datasets()[zoo[name].dataset])


def _plan_row(row: Preset, dataset: Dataset) -> tuple[Protocol, dict[str, Any], dict[str, str]]:
    lists = dataset.lists_for(row.task)
    params = merge(dataset.params, row.tree)
    if row.checkpoint is not None:
        params = merge(params, {"model": {"start_from": f"models/{row.checkpoint}.pt"}})
    halves = [f"lists/{name}" for name in HALVES] if row.task == "base-to-novel" else []
    protocol = Protocol(
        **row.model_dump(include={"name", "task", "published"}),
        **dataset.model_dump(include={"title", "reader", "needs", "num_classes"}),
        published_map_batch=dataset.published_map_batch if "map_published" in row.published else None,
        lists=lists,
        # As published: a list of validation videos is looked at while training; there is none where test is scored.
        validate_on="val" if lists.evaluate == "val" and row.task != "zeroshot" else None,
        labels="classes/labels.csv" if dataset.labels else None,
        classes=(*(f"classes/{name}.txt" for name in dataset.classes), *halves),
        params=params,
    )
    return protocol, params, class_files(dataset)


def with_lists(protocol: Protocol, source: Path, folder: Path) -> Protocol:
    """The protocol once the annotation has been read: of one's own data, which lists there are and how long they are.

    Raises:
        BikeError: the annotation can't be read, or has not the lists that the task needs.
    """
    annotations = READERS[protocol.reader](source, protocol.read_options(folder))
    counts: dict[str, int] = {}
    for entry in (entry for entries in annotations.folds.values() for entry in entries):
        counts[entry.split] = counts.get(entry.split, 0) + 1
    if protocol.task != "own":
        wanted = [name for name in (protocol.lists.train, protocol.lists.evaluate) if name]
        lacking = [name for name in wanted if not counts.get(name)]
        if lacking:
            raise ParamsError(f"{source}: no {' and no '.join(lacking)} list in it. It needs {protocol.needs}.")
        return protocol
    evaluate = next((name for name in ("test", "val") if counts.get(name)), None)
    if evaluate is None:
        raise ParamsError(
            f"{source}: no test and no val videos, so nothing could be scored. Put some below `test/` (folders), or "
            "say so in a `split` column (csv) or in the name of a list (published)."
        )
    lists = Lists(
        train="train" if counts.get("train") else None,
        evaluate=evaluate,
        expected=(counts[evaluate],),
        expected_train=counts.get("train"),
    )
    validate = "val" if counts.get("val") and evaluate != "val" and lists.train else None
    return protocol.model_copy(update={"lists": lists, "validate_on": validate})
