"""Each official layout on a small replica, and, where the files are there, the complete official splits."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest
from helpers.annotations import (
    HMDB_CLASSES,
    UCF_CLASSES,
    activitynet_replica,
    charades_replica,
    found,
    hmdb_replica,
    manifest,
    sthv2_replica,
    ucf_replica,
    write_rows,
    write_text,
)
from helpers.places import ROOT

from bike.annotate.entries import ReadOptions
from bike.annotate.run import annotate
from bike.errors import DataError
from bike.params import Annotate
from bike.records import Sample, read_labels, read_list


def lists_of(folder: Path) -> dict[str, list[Sample]]:
    """``split1/train`` … or ``train`` … -> samples."""
    files = sorted(folder.rglob("*.csv"))
    return {
        str(path.relative_to(folder).with_suffix("")): read_list(path)
        for path in files
        if path.stem in ("train", "val", "test")
    }


# UCF-101


def test_ucf101(tmp_path: Path) -> None:
    official = ucf_replica(tmp_path / "ucf")
    videos = sorted({path for paths in official.values() for path in paths})
    media = manifest(tmp_path / "manifest.csv", [f"UCF-101/{path}" for path in videos])
    audit = annotate("ucf101", tmp_path / "ucf", media, tmp_path / "out")
    assert found(audit) == []
    lists = lists_of(tmp_path / "out")
    assert {name: [s.path.removeprefix("UCF-101/") for s in samples] for name, samples in lists.items()} == official
    for samples in lists.values():
        assert all(s.labels == (UCF_CLASSES.index(s.path.split("/")[1]),) for s in samples)
    expected = ["Apply Eye Makeup", "Handstand Pushups", "Yo Yo"]
    for folder in ("", "split1", "split2", "split3"):
        assert read_labels(tmp_path / "out" / folder / "labels.csv") == expected


def test_one_official_split_lies_at_the_top(tmp_path: Path) -> None:
    official = ucf_replica(tmp_path / "ucf")
    annotate("ucf101", tmp_path / "ucf", None, tmp_path / "out", options=ReadOptions(fold=2))
    lists = lists_of(tmp_path / "out")
    expected = {name: paths for name, paths in official.items() if name.startswith("split2")}
    assert {f"split2/{name}": [s.path for s in samples] for name, samples in lists.items()} == expected


@pytest.mark.parametrize("on_disk", ["v_HandstandPushups", "v_handstandpushups", "V_HANDSTAND_PUSHUPS"])
@pytest.mark.parametrize("folder", ["HandstandPushups/", "HandStandPushups/", ""])
def test_handstand_pushups_are_found_however_they_are_spelt(tmp_path: Path, on_disk: str, folder: str) -> None:
    official = ucf_replica(tmp_path / "ucf")
    videos = sorted({path for paths in official.values() for path in paths})
    there = [path.replace("HandstandPushups/v_HandStandPushups", folder + on_disk) for path in videos]
    media = manifest(tmp_path / "manifest.csv", there)
    audit = annotate("ucf101", tmp_path / "ucf", media, tmp_path / "out")
    assert audit.counts() == {("spelling", "keep"): 18}
    assert {row.detail.rsplit("_g", 1)[0] for row in audit.findings} == {f"the file is {folder}{on_disk}"}
    assert audit.lists == {name: len(paths) for name, paths in official.items()}
    audit = annotate("ucf101", tmp_path / "ucf", media, tmp_path / "out", policies=Annotate(spelling="drop"))
    assert audit.lists == {name: len(paths) * 2 // 3 for name, paths in official.items()}


def test_the_class_folder_may_be_spelt_in_another_way_in_a_list(tmp_path: Path) -> None:
    ucf_replica(tmp_path / "ucf")
    write_text(tmp_path / "ucf" / "testlist01.txt", "HandStandPushups/v_x_g01_c01.avi\n")
    annotate("ucf101", tmp_path / "ucf", None, tmp_path / "out", options=ReadOptions(fold=1))
    assert [s.labels for s in read_list(tmp_path / "out" / "test.csv")] == [(1,)]


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("trainlist01.txt", "YoYo/v_a.avi 1\n", "line 1: class 1 is not YoYo"),
        ("trainlist02.txt", "v_a.avi 1\n", "line 1 has no class folder"),
        ("classInd.txt", "1 A\n3 B\n", "ids must run from 1 without a gap"),
        ("classInd.txt", "1 A\n1 B\n", "not integers or duplicates: line 2 .* from 1"),
        ("classInd.txt", "1 A\n2 A\n", "duplicate class names"),
        ("classInd.txt", "", "no class names"),
    ],
)
def test_damaged_ucf101_files(tmp_path: Path, file: str, text: str, said: str) -> None:
    ucf_replica(tmp_path / "ucf")
    write_text(tmp_path / "ucf" / file, text)
    with pytest.raises(DataError, match=said) as caught:
        annotate("ucf101", tmp_path / "ucf", None, tmp_path / "out")
    assert file in str(caught.value)
    assert not (tmp_path / "out").exists()


# HMDB-51


def test_hmdb51(tmp_path: Path) -> None:
    official = hmdb_replica(tmp_path / "hmdb")
    videos = sorted({f"{name}/#{n}_Ice!Age_({name})_x&y;[1]_{n}.avi" for name in HMDB_CLASSES for n in range(6)})
    media = manifest(tmp_path / "manifest.csv", videos)
    audit = annotate("hmdb51", tmp_path / "hmdb", media, tmp_path / "out")
    assert found(audit) == []  # flag 0 is annotated, too
    lists = lists_of(tmp_path / "out")
    assert {name: [s.path for s in samples] for name, samples in lists.items()} == official
    names = sorted(HMDB_CLASSES)
    assert all(s.labels == (names.index(s.path.split("/")[0]),) for samples in lists.values() for s in samples)
    assert read_labels(tmp_path / "out" / "labels.csv") == ["brush hair", "kick", "kick ball"]


def test_hmdb51_without_one_of_its_files(tmp_path: Path) -> None:
    hmdb_replica(tmp_path / "hmdb")
    (tmp_path / "hmdb" / "kick_test_split2.txt").unlink()
    with pytest.raises(DataError, match=r"split files are missing: kick_test_split2\.txt"):
        annotate("hmdb51", tmp_path / "hmdb", None, tmp_path / "out")
    write_text(tmp_path / "hmdb" / "kick_test_split2.txt", "a.avi 1\nb.avi 3\n")
    with pytest.raises(DataError, match=r"kick_test_split2\.txt.*line 2"):
        annotate("hmdb51", tmp_path / "hmdb", None, tmp_path / "out")


# Kinetics

KINETICS = [
    ("label", "youtube_id", "time_start", "time_end", "split"),
    ("zumba", "-aB3_x", 7, 17, "train"),
    ("abseiling", "--xx", 0, 10, "train"),
    ("abseiling", "--xx", 20, 30, "train"),
    ("abseiling", "--XX", 0, 10, "validate"),
    ("zumba", "plain", 1.0, 11.0, "test"),
]


@pytest.mark.parametrize("dataset", ["kinetics400", "kinetics600", "kinetics700"])
def test_kinetics(tmp_path: Path, dataset: str) -> None:
    source = tmp_path / "kinetics"
    write_rows(source / f"{dataset}_all.csv", KINETICS)
    other = "kinetics600" if dataset == "kinetics400" else "kinetics400"
    write_rows(source / f"{other}_val.csv", [KINETICS[0], ("juggling", "other", 1, 11, "val")])
    write_text(source / f"label_map_k{dataset[-3:]}.txt", "abseiling\nyoga\nzumba\n")
    videos = [
        "train/zumba/-aB3_x_000007_000017.mp4",
        "train/abseiling/--xx_000000_000010.mp4",
        "train/abseiling/--xx_000020_000030.webm",
        "val/--XX_000000_000010.mp4",
        "plain.mp4",
    ]
    audit = annotate(dataset, source, manifest(tmp_path / "m.csv", videos), tmp_path / "out")
    assert found(audit) == []
    assert audit.notes == []
    lists = lists_of(tmp_path / "out")
    assert {name: [(s.path, s.labels) for s in samples] for name, samples in lists.items()} == {
        "train": [(videos[0], (2,)), (videos[1], (0,)), (videos[2], (0,))],
        "val": [(videos[3], (0,))],
        "test": [(videos[4], (2,))],
    }
    assert (tmp_path / "out" / "train.txt").read_text().startswith("train/zumba/-aB3_x_000007_000017 60 2\n")


def test_kinetics_ids_are_never_folded(tmp_path: Path) -> None:
    write_rows(tmp_path / "k" / "train.csv", [*KINETICS[:2]])
    media = manifest(tmp_path / "m.csv", ["_ab3-X_000007_000017.mp4"])
    with pytest.raises(DataError, match="no sample is left"):
        annotate("kinetics400", tmp_path / "k", media, tmp_path / "out")


def test_kinetics_without_class_list_or_columns(tmp_path: Path) -> None:
    rows = [row[:4] for row in KINETICS]
    write_rows(tmp_path / "k" / "train.csv", rows[:3])
    write_rows(tmp_path / "k" / "test.csv", [row[1:] for row in rows[:1]] + [("abc", 1, 11)])
    audit = annotate("kinetics400", tmp_path / "k", None, tmp_path / "out")
    assert audit.lists == {"train": 2, "test": 1}
    assert "Kinetics-400 has 400" in audit.notes[0]
    assert [s.labels for s in read_list(tmp_path / "out" / "test.csv")] == [()]


@pytest.mark.parametrize(
    "row",
    [
        ("a", "x", "1e400", 2, "val"),
        ("a", "x", "nan", 2, "val"),
        ("a", "", 1, 2, "val"),
        ("a", "x", -1, 2, "val"),
        ("a", "x", 1, 2, "sometimes"),
    ],
)
def test_damaged_kinetics_rows(tmp_path: Path, row: tuple[object, ...]) -> None:
    write_rows(tmp_path / "k" / "val.csv", [KINETICS[0], *[row] * 12])
    with pytest.raises(DataError, match=r"val\.csv: rows with a bad id, time or split: line 2 .*; and 2 more"):
        annotate("kinetics400", tmp_path / "k", None, tmp_path / "out")


# ActivityNet


def test_activitynet(tmp_path: Path) -> None:
    activitynet_replica(tmp_path / "anet" / "activity_net.v1-3.min.json")
    media = manifest(tmp_path / "m.csv", ["v_-aB3_x.mp4", "train/--xx.mkv", "v_val1.webm", "v_tst1.mp4"])
    audit = annotate("activitynet", tmp_path / "anet", media, tmp_path / "out")
    assert found(audit) == [("past_end", "keep", "v_-aB3_x")]
    assert read_labels(tmp_path / "out" / "labels.csv") == ["BMX", "Surfing"]
    lists = lists_of(tmp_path / "out")
    assert [(s.path, s.labels, s.start_seconds, s.end_seconds) for s in lists["train"]] == [
        ("v_-aB3_x.mp4", (1,), 0.5, 2.5),
        ("v_-aB3_x.mp4", (1,), 3.0, 6.0),
        ("train/--xx.mkv", (0,), 0.0, 6.0),
    ]
    assert len({s.key for s in lists["train"]}) == 3
    assert [(s.path, s.labels, s.start_seconds) for s in lists["val"]] == [("v_val1.webm", (1, 0), None)]
    assert [s.labels for s in lists["test"]] == [()]
    assert (tmp_path / "out" / "val.txt").read_text() == "v_val1 60 1,0\n"
    assert any("--labels" in note for note in audit.notes)


def test_activitynet_takes_the_order_of_a_label_map(tmp_path: Path) -> None:
    activitynet_replica(tmp_path / "anet" / "activity_net.v1-3.min.json")
    write_text(tmp_path / "anet" / "label_map.txt", "Surfing\nBMX\n")
    audit = annotate("activitynet", tmp_path / "anet", None, tmp_path / "out")
    assert read_labels(tmp_path / "out" / "labels.csv") == ["Surfing", "BMX"]
    assert not any("--labels" in note for note in audit.notes)


@pytest.mark.parametrize(
    ("video", "said"),
    [
        ({"duration": 5, "subset": "training", "annotations": [{"segment": [1], "label": "A"}]}, "ValueError"),
        ({"duration": 5, "subset": "training", "annotations": [{"segment": [1, "x"], "label": "A"}]}, "not a time"),
        ({"duration": 5, "subset": "training", "annotations": [{"segment": [1, 2], "label": 3}]}, "TypeError"),
        ({"duration": 5, "subset": "elsewhere", "annotations": []}, "unknown subset"),
        ({"duration": True, "subset": "training", "annotations": []}, "not a time"),
        ([], "TypeError"),
    ],
)
def test_damaged_activitynet_videos(tmp_path: Path, video: object, said: str) -> None:
    path = write_text(tmp_path / "activity_net.json", json.dumps({"database": {"abc": video}}))
    with pytest.raises(DataError, match=f"'abc'.*{said}"):
        annotate("activitynet", path, None, tmp_path / "out")


# Charades


def test_charades(tmp_path: Path) -> None:
    charades_replica(tmp_path / "charades")
    media = manifest(
        tmp_path / "m.csv", [f"Charades_v1_480/{name}.mp4" for name in ("46GP8", "EMPTY", "YSKX3", "NOACT")]
    )
    audit = annotate("charades", tmp_path / "charades", media, tmp_path / "out")
    assert found(audit) == [("unannotated", "drop", "EMPTY")]
    lists = lists_of(tmp_path / "out")
    assert [(s.labels, s.start_seconds, s.end_seconds, s.key) for s in lists["train"]] == [
        ((2,), 1.0, 4.5, "Charades_v1_480__46GP8-1"),
        ((0,), 0.0, 5.0, "Charades_v1_480__46GP8-2"),
    ]
    assert [(s.labels, s.start_seconds) for s in lists["test"]] == [((4, 1), None), ((), None)]
    assert read_labels(tmp_path / "out" / "labels.csv")[4] == "Holding thing 4/other"


def test_charades_frame_folders_have_24_frames_a_second(tmp_path: Path) -> None:
    charades_replica(tmp_path / "charades")
    for number in range(1, 97):  # 4 s
        write_text(tmp_path / "rgb" / "46GP8" / f"46GP8-{number:06d}.jpg", "x")
    audit = annotate("charades", tmp_path / "charades", tmp_path / "rgb", tmp_path / "out")
    assert [(row.finding, row.detail) for row in audit.findings if row.path == "46GP8"] == [
        ("past_end", "1 to 4.5 s of 4.00 s"),
        ("past_end", "0 to 5 s of 4.00 s"),
    ]
    assert [s.end_seconds for s in read_list(tmp_path / "out" / "train.csv")] == [4.0, 4.0]


@pytest.mark.parametrize("actions", ["c001 1.0", "x001 1 2", "c001 a 2", "c001 1 inf", "c001 1 2;;c-1 1 2"])
def test_damaged_charades_rows(tmp_path: Path, actions: str) -> None:
    charades_replica(tmp_path / "charades")
    write_rows(tmp_path / "charades" / "Charades_v1_test.csv", [("id", "actions", "length"), ("A", actions, "3")])
    with pytest.raises(DataError, match=r"Charades_v1_test\.csv.*line 2"):
        annotate("charades", tmp_path / "charades", None, tmp_path / "out")


def test_a_charades_class_without_a_name(tmp_path: Path) -> None:
    charades_replica(tmp_path / "charades")
    write_rows(tmp_path / "charades" / "Charades_v1_test.csv", [("id", "actions", "length"), ("A", "c099 1 2", "3")])
    with pytest.raises(DataError, match="no_name A"):
        annotate("charades", tmp_path / "charades", None, tmp_path / "out")


# Something-Something V2


@pytest.mark.parametrize("prefix", ["", "something-something-v2-"])
def test_sthv2(tmp_path: Path, prefix: str) -> None:
    folder = tmp_path / "ssv2"
    sthv2_replica(folder)
    for path in list(folder.iterdir()):
        path.rename(folder / (prefix + path.name))
    media = manifest(tmp_path / "m.csv", ["78687.webm", "74225.webm", "1420.webm"])
    audit = annotate("sthv2", folder, media, tmp_path / "out")
    assert found(audit) == []
    lists = lists_of(tmp_path / "out")
    assert {name: [(s.path, s.labels) for s in samples] for name, samples in lists.items()} == {
        "train": [("78687.webm", (1,))],
        "val": [("74225.webm", (0,))],
        "test": [("1420.webm", ())],
    }
    write_text(folder / "test-answers.csv", "1420;Bending something\n")
    annotate("sthv2", folder, media, tmp_path / "out")
    assert [s.labels for s in read_list(tmp_path / "out" / "test.csv")] == [(0,)]


@pytest.mark.parametrize(
    "tree", [{}, [{"template": "Bending [something]"}], [3], [{"id": "1", "template": ["x"]}], "x"]
)
def test_damaged_sthv2_files(tmp_path: Path, tree: object) -> None:
    sthv2_replica(tmp_path / "ssv2")
    write_text(tmp_path / "ssv2" / "train.json", json.dumps(tree))
    with pytest.raises(DataError, match=r"train\.json"):
        annotate("sthv2", tmp_path / "ssv2", None, tmp_path / "out")


# The complete official files


def test_the_official_splits_of_ucf101(shared: Path, tmp_path: Path) -> None:
    source = shared / "annotations" / "ucf101"
    numbers = dict(line.split() for line in (source / "classInd.txt").read_text().splitlines())
    official: dict[str, list[tuple[str, int]]] = {}
    for split in (1, 2, 3):
        train = [line.split() for line in (source / f"trainlist0{split}.txt").read_text().splitlines()]
        test = (source / f"testlist0{split}.txt").read_text().split()
        ids = {name: int(number) - 1 for number, name in numbers.items()}
        official[f"split{split}/train"] = [(path, int(number) - 1) for path, number in train]
        official[f"split{split}/test"] = [(path, ids[path.split("/")[0]]) for path in test]
    videos = sorted({path for rows in official.values() for path, _ in rows})
    assert len(videos) == 13_320
    audit = annotate("ucf101", source, manifest(tmp_path / "m.csv", videos), tmp_path / "out")
    assert audit.findings == []
    lists = lists_of(tmp_path / "out")
    assert {name: [(s.path, *s.labels) for s in samples] for name, samples in lists.items()} == official


def test_the_official_splits_of_hmdb51(shared: Path, tmp_path: Path) -> None:
    source = shared / "annotations" / "hmdb51"
    names = sorted(path.name.removesuffix("_test_split1.txt") for path in source.glob("*_test_split1.txt"))
    official: dict[str, list[tuple[str, int]]] = {}
    videos = set()
    for split in (1, 2, 3):
        for label, name in enumerate(names):
            for line in (source / f"{name}_test_split{split}.txt").read_text().splitlines():
                video, flag = line.split()
                videos.add(f"{name}/{video}")
                if flag != "0":
                    part = "train" if flag == "1" else "test"
                    official.setdefault(f"split{split}/{part}", []).append((f"{name}/{video}", label))
    assert Counter(len(rows) for rows in official.values()) == {3570: 3, 1530: 3}
    audit = annotate("hmdb51", source, manifest(tmp_path / "m.csv", sorted(videos)), tmp_path / "out")
    assert audit.findings == []
    lists = lists_of(tmp_path / "out")
    assert {name: [(s.path, *s.labels) for s in samples] for name, samples in lists.items()} == official


@pytest.mark.parametrize(("size", "count"), [(400, 19_906), (600, 30_000)])
def test_the_official_validation_lists_of_kinetics(shared: Path, tmp_path: Path, size: int, count: int) -> None:
    source = shared / "annotations" / "kinetics"
    audit = annotate(f"kinetics{size}", source, None, tmp_path / "out")
    assert (audit.lists, audit.classes, audit.findings) == ({"val": count}, size, [])
    names = (source / f"label_map_k{size}.txt").read_text().splitlines()
    assert read_labels(tmp_path / "out" / "labels.csv") == names
    with (source / f"kinetics-{size}_val.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    samples = read_list(tmp_path / "out" / "val.csv")
    expected = [
        (f"{row['youtube_id']}_{int(row['time_start']):06d}_{int(row['time_end']):06d}", names.index(row["label"]))
        for row in rows
    ]
    assert [(s.path, *s.labels) for s in samples] == expected


def test_the_official_files_of_charades(shared: Path, tmp_path: Path) -> None:
    source = shared / "annotations" / "charades"
    audit = annotate("charades", source, None, tmp_path / "out")
    assert audit.lists == {"train": 49_809, "test": 1_863}
    assert audit.classes == 157
    assert audit.counts()["unannotated", "drop"] == 174
    with (source / "Charades_v1_test.csv").open(newline="", encoding="utf-8") as file:
        expected = {
            row["id"]: {int(action[1:4]) for action in row["actions"].split(";") if action}
            for row in csv.DictReader(file)
        }
    assert {s.path: set(s.labels) for s in read_list(tmp_path / "out" / "test.csv")} == expected


def test_a_sample_of_activitynet_in_its_official_layout(shared: Path, tmp_path: Path) -> None:
    source = shared / "annotations" / "activitynet"
    audit = annotate("activitynet", source, None, tmp_path / "out")
    tree = json.loads((source / "activity_net.v1-3.sample.json").read_text())["database"]
    parts = sum(len(video["annotations"]) for video in tree.values() if video["subset"] == "training")
    assert audit.lists == {"train": parts, "val": 128, "test": 134}
    assert read_labels(tmp_path / "out" / "labels.csv") == (source / "label_map.txt").read_text().splitlines()


def test_something_something_s_class_names(shared: Path, tmp_path: Path) -> None:
    sthv2_replica(tmp_path / "ssv2")
    names = (shared / "annotations" / "sthv2" / "label_map.txt").read_text().splitlines()
    (tmp_path / "ssv2" / "labels.json").unlink()
    write_text(tmp_path / "ssv2" / "label_map.txt", "\n".join(names))
    template = "Putting [something similar to other things that are already on the table]"
    write_text(tmp_path / "ssv2" / "train.json", json.dumps([{"id": "1", "template": template}]))
    write_text(tmp_path / "ssv2" / "validation.json", json.dumps([{"id": "2", "template": "Closing [something]"}]))
    annotate("sthv2", tmp_path / "ssv2", None, tmp_path / "out")
    (sample,) = read_list(tmp_path / "out" / "train.csv")
    assert names[sample.labels[0]] == template.replace("[", "").replace("]", "")


def test_ut_interaction(shared: Path, tmp_path: Path) -> None:
    folder = shared / "ut_interaction"
    audit = annotate("csv", folder, folder / "videos", tmp_path / "out")
    assert (audit.lists, audit.findings, audit.videos) == ({"train": 60, "test": 60}, [], 120)
    for name in ("train", "test"):
        labels = Counter(s.labels[0] for s in read_list(tmp_path / "out" / f"{name}.csv"))
        assert labels == dict.fromkeys(range(6), 10)
    assert read_labels(tmp_path / "out" / "labels.csv")[0] == "hand shaking"


@pytest.mark.parametrize("dataset", ["ucf101", "hmdb51", "kinetics400", "kinetics600", "activitynet", "charades"])
def test_class_names_agree_with_those_in_the_repository(shared: Path, tmp_path: Path, dataset: str) -> None:
    source = shared / "annotations" / ("kinetics" if dataset.startswith("kinetics") else dataset)
    annotate(dataset, source, None, tmp_path / "out")
    ours = ROOT / "lists" / dataset / "labels.csv"
    assert (tmp_path / "out" / "labels.csv").read_text() == ours.read_text()
