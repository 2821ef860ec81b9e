"""What a project measures: the row or kind, which lists train and are scored, how many videos, what was published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from bike.annotate.entries import ReadOptions
from bike.annotate.run import DATASETS as READERS
from bike.errors import BikeError, ParamsError, nearest, one_line
from bike.params import Params, parse_params, read_tree
from bike.project.code import PACKAGE
from bike.zoo import Preset, load_zoo, merge

NAME = "protocol.yaml"
KINDS = {
    "folders": "a folder for each class, perhaps below train, val and test",
    "csv": "a CSV with a path, a label and perhaps a name and a split column",
    "published": "lists `<file> <label>` or `<dir> <frames> <label>`, and class names",
}
# What people tune first; stated in params.yaml of their own data even where it is the default.
OWN_PARAMS: dict[str, Any] = {
    "model": {"weights": "ViT-B/32", "frames": 8, "temporal": "transf", "interaction": "vcs"},
    "train": {"epochs": 30, "batch_size": 256, "lr": 5.0e-5},
    "evaluate": {"views": {"1x1": {"clips": 1, "crops": 1}}},
}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Lists(_Section):
    """Which lists of a data set a task uses.

    Attributes:
        fold: official split; None where there are none.
        splits: word of the annotation -> list it goes into, empty for none; other words mean what they say.
        train: list to train on; None where nothing is trained.
        evaluate: list that is scored.
        expected: videos that the published number scores, or those of each list of classes.
        expected_train: entries of the train list.
    """

    fold: int | None = None
    splits: dict[str, str] = {}
    train: str | None = None
    evaluate: str
    expected: tuple[int, ...]
    expected_train: int | None = None


class Dataset(_Section):
    """A data set as its authors publish it, and as the published models were measured on it.

    Attributes:
        title: its name for people.
        reader: of its annotation.
        needs: what to bring.
        labels: class names under ``lists/``; None for those that the annotation has.
        alphabetical: the classes are numbered by the alphabet, whatever the order of ``labels``.
        classes: lists of class names beside ``labels``: videos of each are scored against its classes.
        params: parameters of the data set; a row's own go over them.
        train, zeroshot: lists by task.
    """

    title: str
    reader: str
    needs: str
    labels: str | None = None
    alphabetical: bool = False
    classes: tuple[str, ...] = ()
    params: dict[str, Any] = {}
    train: Lists | None = None
    zeroshot: Lists | None = None


class Protocol(_Section):
    """``protocol.yaml`` of a project; nobody need edit it.

    Attributes:
        name: row of the zoo, or kind of one's own data.
        title: data set, for people.
        task: which stages there are.
        reader, lists: how the annotation is read, and which lists count.
        validate_on: list to validate on while training; None for none.
        labels: file of class names in the project; None for those of the annotation.
        classes: files with the class names of one zero-shot split each.
        published: metric -> percent.
        params: the row's parameters, for comparison with what ran.
        needs: what to bring.
    """

    name: str
    title: str
    task: Literal["train", "fused", "few-shot", "zeroshot", "own"]
    reader: str
    lists: Lists
    validate_on: str | None = None
    labels: str | None = None
    classes: tuple[str, ...] = ()
    published: dict[str, float] = {}
    params: dict[str, Any] = {}
    needs: str = ""

    def read_options(self, folder: Path) -> ReadOptions:
        """How the annotation is read in a project's folder."""
        labels = None if self.labels is None else folder / self.labels
        return ReadOptions(fold=self.lists.fold, splits=self.lists.splits, labels=labels)

    def splits(self) -> list[str]:
        """The lists that become shards, each once."""
        return list(dict.fromkeys(name for name in (self.lists.train, self.validate_on, self.lists.evaluate) if name))


def load_protocol(folder: Path) -> Protocol:
    """Read ``protocol.yaml`` of a project.

    Raises:
        BikeError: there is none, or it is not one.
    """
    path = folder / NAME
    if not path.is_file():
        raise BikeError(f"{path}: no such file, so this is no project. Make one with `bike init ROW DIR`.")
    try:
        return Protocol.model_validate(read_tree(path))
    except ValidationError as error:
        raise ParamsError(f"{path}: not a protocol ({one_line(error)}). Run `bike init NAME .` again.") from error


def load_datasets() -> dict[str, Dataset]:
    """The data sets of the published rows by name."""
    folder = PACKAGE / "project" / "datasets"
    return {path.stem: Dataset.model_validate(read_tree(path)) for path in sorted(folder.glob("*.yaml"))}


def lists_folder() -> Path:
    """The folder of class names by data set: in an installed package inside it, otherwise the checkout's."""
    shipped = PACKAGE / "shipped" / "lists"
    return shipped if shipped.is_dir() else PACKAGE.parent / "lists"


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
    lists = dataset.zeroshot if row.task == "zeroshot" else dataset.train
    if lists is None:
        raise ParamsError(f"{row.name}: {dataset.title} has no lists for the task {row.task}.")
    params = merge(dataset.params, row.tree)
    if row.checkpoint is not None:
        params = merge(params, {"model": {"start_from": f"models/{row.checkpoint}.pt"}})
    files = _class_files(dataset)
    protocol = Protocol(
        name=row.name,
        title=dataset.title,
        task=row.task,
        reader=dataset.reader,
        lists=lists,
        # As published: a list of validation videos is looked at while training; there is none where test is scored.
        validate_on="val" if lists.evaluate == "val" and row.task != "zeroshot" else None,
        labels="classes/labels.csv" if dataset.labels else None,
        classes=tuple(f"classes/{name}.txt" for name in dataset.classes),
        published=row.published,
        params=params,
        needs=dataset.needs,
    )
    return protocol, params, files


def _class_files(dataset: Dataset) -> dict[str, str]:
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


def with_lists(protocol: Protocol, source: Path, folder: Path) -> Protocol:
    """The protocol once the annotation has been read: of one's own data, which lists there are and how long they are.

    Args:
        protocol: as :func:`plan` gives it.
        source: the annotation.
        folder: the project, for its class names.

    Raises:
        BikeError: the annotation can't be read, or has not the lists that the task needs.
    """
    annotations = READERS[protocol.reader](source, protocol.read_options(folder))
    counts: dict[str, int] = {}
    for entry in (entry for entries in annotations.folds.values() for entry in entries):
        counts[entry.split] = counts.get(entry.split, 0) + 1
    if protocol.task != "own":
        lacking = [name for name in protocol.splits() if not counts.get(name)]
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


def overrides(words: Sequence[str]) -> dict[str, Any]:
    """``train.lr=1e-5`` … as a tree; values are YAML.

    Raises:
        ParamsError: no such form.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    tree: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not all(key.split(".")):
            raise ParamsError(f"--set: key=value is needed (got {word!r}), such as train.lr=1e-5.")
        try:
            value = YAML(typ="safe", pure=True).load(text)
        except YAMLError as error:
            raise ParamsError(f"--set {key}: not a YAML value (got {text!r}).") from error
        for part in reversed(key.split(".")):
            value = {part: value}
        tree = merge(tree, value)
    return tree


def validated(tree: Mapping[str, Any], source: str) -> Params:
    """The parameters of a tree, or a :class:`ParamsError` that names ``source`` and what is wrong."""
    return parse_params(dict(tree), source)
