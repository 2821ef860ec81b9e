"""The class names that come with the repository, and the reading of them."""

from __future__ import annotations

import hashlib
import re
from itertools import combinations
from pathlib import Path

import pytest
import torch
from helpers.places import ROOT
from safetensors.torch import load_file

from bike.errors import DataError
from bike.evaluate.zeroshot import mean_and_std, read_class_split, split_accuracy
from bike.records import read_labels, write_labels
from bike.text.prompts import class_prompts
from bike.text.tokenizer import tokenize

LISTS = ROOT / "lists"
COUNTS = {"kinetics400": 400, "ucf101": 101, "hmdb51": 51, "activitynet": 200, "charades": 157, "kinetics600": 600}
SPLITS = [LISTS / "kinetics600" / f"split{number}.txt" for number in (1, 2, 3)]


def labels(name: str) -> Path:
    return LISTS / name / "labels.csv"


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
@pytest.mark.parametrize("column", ["name", "published"])
def test_names_are_complete_and_distinct(name: str, count: int, column: str) -> None:
    names = read_labels(labels(name), column)
    assert len(names) == count
    assert len({one.casefold() for one in names}) == count
    assert all(one == " ".join(one.split()) and one.isascii() for one in names)


@pytest.mark.parametrize("name", ["kinetics400", "kinetics600", "ucf101", "hmdb51"])
def test_ids_follow_the_alphabet(name: str) -> None:
    names = read_labels(labels(name), "published")
    assert names == sorted(names, key=str.casefold if name == "ucf101" else None)


def test_names_equal_the_official_files(shared: Path) -> None:
    folder = shared / "annotations"

    def lines(path: str) -> list[str]:
        return [line.strip() for line in (folder / path).read_text().splitlines() if line.strip()]

    official = {
        "kinetics400": lines("kinetics/label_map_k400.txt"),
        "kinetics600": lines("kinetics/label_map_k600.txt"),
        "activitynet": lines("activitynet/label_map.txt"),
        "ucf101": [line.partition(" ")[2] for line in lines("ucf101/classInd.txt")],
        "hmdb51": sorted(lines("hmdb51/class_list.txt")),
        "charades": [line.partition(" ")[2] for line in lines("charades/Charades_v1_classes.txt")],
    }
    assert official.keys() == COUNTS.keys()
    for name, names in official.items():
        assert read_labels(labels(name), "published") == names, name


def test_kinetics_400_equals_torchvisions_list() -> None:
    # SHA-256 of _KINETICS400_CATEGORIES in torchvision 0.29.2's models/_meta.py, joined by line feeds.
    expected = "a8dafb93a1204d4ecfa904f943ce5ee0c62ddeeb1df71aa1f96983fca17d777e"
    assert hashlib.sha256("\n".join(read_labels(labels("kinetics400"))).encode()).hexdigest() == expected


def test_readable_names_are_words() -> None:
    ucf = dict(zip(read_labels(labels("ucf101"), "published"), read_labels(labels("ucf101")), strict=True))
    for published, readable in {
        "ApplyEyeMakeup": "Apply Eye Makeup",
        "CleanAndJerk": "Clean And Jerk",
        "HandstandPushups": "Handstand Pushups",
        "TaiChi": "Tai Chi",
        "YoYo": "Yo Yo",
        "Archery": "Archery",
    }.items():
        assert ucf[published] == readable
    for name in COUNTS:
        readable = read_labels(labels(name))
        published = read_labels(labels(name), "published")
        assert not any(re.search(r"_|[a-z][A-Z]", one) for one in readable)
        for words, original in zip(readable, published, strict=True):
            assert words.replace(" ", "") == original.replace("_", "").replace(" ", "")
    assert read_labels(labels("activitynet"))[3] == "BMX"


def test_names_fit_a_prompt() -> None:
    for name in COUNTS:
        ids = tokenize(class_prompts(read_labels(labels(name))))
        assert not ids[:, -30:].any()  # nothing was cut
        assert len(ids.unique(dim=0)) == COUNTS[name]


def test_prompts_of_hmdb51_equal_the_published_ones(golden: Path) -> None:
    expected = load_file(golden / "tensors.safetensors")["text_ids"]
    assert tokenize(class_prompts(read_labels(labels("hmdb51")))).equal(expected)


def test_kinetics_600_splits() -> None:
    names = read_labels(labels("kinetics600"))
    splits = [read_class_split(path, names) for path in SPLITS]
    assert [len(set(split)) for split in splits] == [160, 160, 160]
    assert all(split == sorted(split) for split in splits)
    # None of their classes is in Kinetics-400, and 217 of the 220 new classes are tested somewhere.
    seen = set(read_labels(labels("kinetics400")))
    tested = {names[label] for split in splits for label in split}
    assert not tested & seen
    assert len(tested) == 217
    assert all(80 < len(set(a) & set(b)) < 160 for a, b in combinations(splits, 2))


def test_kinetics_600_splits_are_scored() -> None:
    names = read_labels(labels("kinetics600"))
    splits = [read_class_split(path, names) for path in SPLITS]
    class_features = torch.randn(600, 32, generator=torch.Generator().manual_seed(0))
    videos = torch.arange(600)
    frames = 0.05 * class_features[:, None].expand(600, 2, 32)
    result = split_accuracy(frames, class_features, videos, splits)
    assert mean_and_std(result["top1"]) == (100, 0)


def test_bad_split_files_are_refused(tmp_path: Path) -> None:
    names = ["archery", "yoga", "zumba"]
    path = tmp_path / "split.txt"
    path.write_text("\nYoga\n\narchery \n")
    assert read_class_split(path, names) == [1, 0]
    for text, words in (
        ("yogga\n", "'yogga'.* Did you mean 'yoga'"),
        ("yoga\nYOGA\n", "duplicate class names: 'yoga'"),
        ("\n", "no class names"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=words):
            read_class_split(path, names)


def test_labels_column(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("id,name,published\n1,tai chi,TaiChi\n0,archery,\n")
    assert read_labels(path) == ["archery", "tai chi"]
    assert read_labels(path, "published") == ["archery", "TaiChi"]
    write_labels(path, ['a, "b"', "ü"])
    assert read_labels(path, "published") == ['a, "b"', "ü"]
