"""Fewer classes: those that have videos, renumbered, and the first half of them for training."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.annotations import UCF_CLASSES, manifest, ucf_replica

from bike.annotate.audit import Audit
from bike.annotate.entries import ReadOptions
from bike.annotate.run import annotate
from bike.errors import DataError
from bike.evaluate.zeroshot import read_class_split
from bike.params import Annotate
from bike.records import read_labels, read_list


def annotated(folder: Path, having: tuple[str, ...], fold: int | None = 1, **policies: object) -> Audit:
    """UCF-101's replica with the videos of some classes only."""
    names = ucf_replica(folder / "annotation")
    there = [name for split in ("train", "test") for name in names[f"split1/{split}"] if name.split("/")[0] in having]
    media = manifest(folder / "manifest.csv", there)
    chosen = Annotate.model_validate({"prompt_names": "published", **policies})
    options = ReadOptions(fold=fold)
    return annotate("ucf101", folder / "annotation", media, folder / "lists", policies=chosen, options=options)


def classes_of(path: Path) -> dict[str, int]:
    return {sample.path.split("/")[0]: sample.labels[0] for sample in read_list(path)}


def test_present_classes_are_renumbered_in_their_order(tmp_path: Path) -> None:
    audit = annotated(tmp_path, (UCF_CLASSES[0], UCF_CLASSES[2]), classes="present", shots=2)
    assert read_labels(tmp_path / "lists/labels.csv") == [UCF_CLASSES[0], UCF_CLASSES[2]]
    assert audit.classes == 2
    assert f"1 of 3 classes have no video: {UCF_CLASSES[1]}." in audit.notes
    for name in ("train.csv", "test.csv"):
        assert classes_of(tmp_path / "lists" / name) == {UCF_CLASSES[0]: 0, UCF_CLASSES[2]: 1}
    assert (tmp_path / "lists/test.txt").read_text().split()[2::3] == ["0", "0", "1", "1"]


def test_all_classes_keep_their_numbers(tmp_path: Path) -> None:
    annotated(tmp_path, (UCF_CLASSES[0], UCF_CLASSES[2]))
    assert read_labels(tmp_path / "lists/labels.csv") == list(UCF_CLASSES)
    assert classes_of(tmp_path / "lists/test.csv") == {UCF_CLASSES[0]: 0, UCF_CLASSES[2]: 2}


def test_training_has_the_first_half_and_the_test_list_has_all(tmp_path: Path) -> None:
    """Shots are of base classes, of which there is one more where the number is odd; both halves are named."""
    annotated(tmp_path, UCF_CLASSES, train_classes="first_half", shots=1)
    lists = tmp_path / "lists"
    assert classes_of(lists / "train.csv") == {UCF_CLASSES[0]: 0, UCF_CLASSES[1]: 1}
    assert len({sample.video for sample in read_list(lists / "train.csv")}) == 2
    assert set(classes_of(lists / "test.csv").values()) == {0, 1, 2}
    names = read_labels(lists / "labels.csv")
    assert [read_class_split(lists / name, names) for name in ("base.txt", "novel.txt")] == [[0, 1], [2]]
    with pytest.raises(DataError, match=rf"1 videos of each class are needed: 1 \({UCF_CLASSES[1]}\) has 0"):
        annotated(tmp_path / "some", (UCF_CLASSES[0], UCF_CLASSES[2]), train_classes="first_half", shots=1)
    annotated(tmp_path / "all", UCF_CLASSES)
    assert not (tmp_path / "all/lists/base.txt").exists()


def test_halves_are_of_the_present_classes(tmp_path: Path) -> None:
    annotated(tmp_path, UCF_CLASSES[1:], None, classes="present", train_classes="first_half")
    assert (tmp_path / "lists/base.txt").read_text() == f"{UCF_CLASSES[1]}\n"
    assert (tmp_path / "lists/novel.txt").read_text() == f"{UCF_CLASSES[2]}\n"
    assert set(classes_of(tmp_path / "lists/split1/train.csv").values()) == {0}


def test_a_split_of_classes_passes_over_those_that_are_absent(tmp_path: Path) -> None:
    (tmp_path / "split.txt").write_text("yoga\nzumba\n")
    assert read_class_split(tmp_path / "split.txt", ["zumba"], absent=True) == [0]
