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
    Desk,
    activitynet_replica,
    charades_replica,
    found,
    hmdb_replica,
    sthv2_replica,
    ucf_replica,
    write_rows,
    write_text,
)
from helpers.places import ROOT

from bike.errors import DataError
from bike.records import read_labels

# UCF-101


def test_ucf101(desk: Desk, tmp_path: Path) -> None:
    official = ucf_replica(tmp_path / "ucf")
    videos = sorted({f"UCF-101/{path}" for paths in official.values() for path in paths})
    assert found(desk.annotate("ucf101", tmp_path / "ucf", videos)) == []
    assert desk.labelled() == {
        name: [(f"UCF-101/{path}", (UCF_CLASSES.index(path.split("/")[0]),)) for path in paths]
        for name, paths in official.items()
    }
    for folder in ("", "split1", "split2", "split3"):
        assert read_labels(desk.out / folder / "labels.csv") == ["Apply Eye Makeup", "Handstand Pushups", "Yo Yo"]


def test_one_official_split_lies_at_the_top(desk: Desk, tmp_path: Path) -> None:
    official = ucf_replica(tmp_path / "ucf")
    desk.annotate("ucf101", tmp_path / "ucf", fold=2)
    assert {name: desk.paths(name) for name in desk.lists()} == {
        name.removeprefix("split2/"): paths for name, paths in official.items() if name.startswith("split2")
    }


@pytest.mark.parametrize("on_disk", ["v_HandstandPushups", "v_handstandpushups", "V_HANDSTAND_PUSHUPS"])
@pytest.mark.parametrize("folder", ["HandstandPushups/", "HandStandPushups/", ""])
def test_handstand_pushups_are_found_however_they_are_spelt(
    desk: Desk, tmp_path: Path, on_disk: str, folder: str
) -> None:
    official = ucf_replica(tmp_path / "ucf")
    videos = sorted({path for paths in official.values() for path in paths})
    there = [path.replace("HandstandPushups/v_HandStandPushups", folder + on_disk) for path in videos]
    audit = desk.annotate("ucf101", tmp_path / "ucf", there)
    assert audit.counts() == {("spelling", "keep"): 18}
    assert {row.detail.rsplit("_g", 1)[0] for row in audit.findings} == {f"the file is {folder}{on_disk}"}
    assert audit.lists == {name: len(paths) for name, paths in official.items()}
    audit = desk.annotate("ucf101", tmp_path / "ucf", there, policies={"spelling": "drop"})
    assert audit.lists == {name: len(paths) * 2 // 3 for name, paths in official.items()}


def test_the_class_folder_may_be_spelt_in_another_way_in_a_list(desk: Desk, tmp_path: Path) -> None:
    ucf_replica(tmp_path / "ucf")
    write_text(tmp_path / "ucf" / "testlist01.txt", "HandStandPushups/v_x_g01_c01.avi\n")
    desk.annotate("ucf101", tmp_path / "ucf", fold=1)
    assert [s.labels for s in desk.samples("test")] == [(1,)]


# HMDB-51


def test_hmdb51(desk: Desk, tmp_path: Path) -> None:
    official = hmdb_replica(tmp_path / "hmdb")
    videos = sorted({f"{name}/#{n}_Ice!Age_({name})_x&y;[1]_{n}.avi" for name in HMDB_CLASSES for n in range(6)})
    assert found(desk.annotate("hmdb51", tmp_path / "hmdb", videos)) == []  # flag 0 is annotated, too
    names = sorted(HMDB_CLASSES)
    assert desk.labelled() == {
        name: [(path, (names.index(path.split("/")[0]),)) for path in paths] for name, paths in official.items()
    }
    assert desk.labels() == ["brush hair", "kick", "kick ball"]


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
def test_kinetics(desk: Desk, tmp_path: Path, dataset: str) -> None:
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
    audit = desk.annotate(dataset, source, videos)
    assert (found(audit), audit.notes) == ([], [])
    assert desk.labelled() == {
        "train": [(videos[0], (2,)), (videos[1], (0,)), (videos[2], (0,))],
        "val": [(videos[3], (0,))],
        "test": [(videos[4], (2,))],
    }
    assert desk.text("train.txt").startswith("train/zumba/-aB3_x_000007_000017 60 2\n")


def test_kinetics_ids_are_never_folded(desk: Desk, tmp_path: Path) -> None:
    write_rows(tmp_path / "k" / "train.csv", [*KINETICS[:2]])
    with pytest.raises(DataError, match="no sample is left"):
        desk.annotate("kinetics400", tmp_path / "k", ["_ab3-X_000007_000017.mp4"])


def test_kinetics_without_class_list_or_columns(desk: Desk, tmp_path: Path) -> None:
    rows = [row[:4] for row in KINETICS]
    write_rows(tmp_path / "k" / "train.csv", rows[:3])
    write_rows(tmp_path / "k" / "test.csv", [row[1:] for row in rows[:1]] + [("abc", 1, 11)])
    audit = desk.annotate("kinetics400", tmp_path / "k")
    assert audit.lists == {"train": 2, "test": 1}
    assert "Kinetics-400 has 400" in audit.notes[0]
    assert [s.labels for s in desk.samples("test")] == [()]


# ActivityNet


def test_activitynet(desk: Desk, tmp_path: Path) -> None:
    activitynet_replica(tmp_path / "anet" / "activity_net.v1-3.min.json")
    media = ["v_-aB3_x.mp4", "train/--xx.mkv", "v_val1.webm", "v_tst1.mp4"]
    audit = desk.annotate("activitynet", tmp_path / "anet", media)
    assert found(audit) == [("past_end", "keep", "v_-aB3_x")]
    assert desk.labels() == ["BMX", "Surfing"]
    assert desk.labelled() == {
        "train": [(media[0], (1,)), (media[0], (1,)), (media[1], (0,))],
        "val": [(media[2], (1, 0))],
        "test": [(media[3], ())],
    }
    assert desk.times() == [(0.5, 2.5), (3.0, 6.0), (0.0, 6.0)]
    assert len({s.key for s in desk.samples()}) == 3
    assert desk.samples("val")[0].start_seconds is None
    assert desk.text("val.txt") == "v_val1 60 1,0\n"
    assert any("--labels" in note for note in audit.notes)


def test_activitynet_takes_the_order_of_a_label_map(desk: Desk, tmp_path: Path) -> None:
    activitynet_replica(tmp_path / "anet" / "activity_net.v1-3.min.json")
    write_text(tmp_path / "anet" / "label_map.txt", "Surfing\nBMX\n")
    audit = desk.annotate("activitynet", tmp_path / "anet")
    assert desk.labels() == ["Surfing", "BMX"]
    assert not any("--labels" in note for note in audit.notes)


# Charades


def test_charades(desk: Desk, tmp_path: Path) -> None:
    charades_replica(tmp_path / "charades")
    media = [f"Charades_v1_480/{name}.mp4" for name in ("46GP8", "EMPTY", "YSKX3", "NOACT")]
    audit = desk.annotate("charades", tmp_path / "charades", media)
    assert found(audit) == [("unannotated", "drop", "EMPTY")]
    assert [(s.labels, s.start_seconds, s.end_seconds, s.key) for s in desk.samples()] == [
        ((2,), 1.0, 4.5, "Charades_v1_480__46GP8-1"),
        ((0,), 0.0, 5.0, "Charades_v1_480__46GP8-2"),
    ]
    assert [(s.labels, s.start_seconds) for s in desk.samples("test")] == [((4, 1), None), ((), None)]
    assert desk.labels()[4] == "Holding thing 4/other"


def test_charades_frame_folders_have_24_frames_a_second(desk: Desk, tmp_path: Path) -> None:
    charades_replica(tmp_path / "charades")
    for number in range(1, 97):  # 4 s
        write_text(tmp_path / "rgb" / "46GP8" / f"46GP8-{number:06d}.jpg", "x")
    audit = desk.annotate("charades", tmp_path / "charades", tmp_path / "rgb")
    assert [(row.finding, row.detail) for row in audit.findings if row.path == "46GP8"] == [
        ("past_end", "1 to 4.5 s of 4.00 s"),
        ("past_end", "0 to 5 s of 4.00 s"),
    ]
    assert [s.end_seconds for s in desk.samples()] == [4.0, 4.0]


def test_a_charades_class_without_a_name(desk: Desk, tmp_path: Path) -> None:
    charades_replica(tmp_path / "charades")
    write_rows(tmp_path / "charades" / "Charades_v1_test.csv", [("id", "actions", "length"), ("A", "c099 1 2", "3")])
    with pytest.raises(DataError, match="no_name A"):
        desk.annotate("charades", tmp_path / "charades")


# Something-Something V2


@pytest.mark.parametrize("prefix", ["", "something-something-v2-"])
def test_sthv2(desk: Desk, tmp_path: Path, prefix: str) -> None:
    folder = tmp_path / "ssv2"
    sthv2_replica(folder)
    for path in list(folder.iterdir()):
        path.rename(folder / (prefix + path.name))
    media = ["78687.webm", "74225.webm", "1420.webm"]
    assert found(desk.annotate("sthv2", folder, media)) == []
    assert desk.labelled() == {"train": [(media[0], (1,))], "val": [(media[1], (0,))], "test": [(media[2], ())]}
    write_text(folder / "test-answers.csv", "1420;Bending something\n")
    desk.annotate("sthv2", folder, media)
    assert [s.labels for s in desk.samples("test")] == [(0,)]


# Files that are damaged: the replica's with one of them replaced, or removed (None)

LAYOUTS = {"ucf101": ucf_replica, "hmdb51": hmdb_replica, "charades": charades_replica, "sthv2": sthv2_replica}
BAD_KINETICS = ("a,x,1e400,2,val", "a,x,nan,2,val", "a,,1,2,val", "a,x,-1,2,val", "a,x,1,2,sometimes")
BAD_ACTIONS = ("c001 1.0", "x001 1 2", "c001 a 2", "c001 1 inf", "c001 1 2;;c-1 1 2")
VIDEO = {"duration": 5, "subset": "training"}
BAD_VIDEOS: list[tuple[object, str]] = [
    ({**VIDEO, "annotations": [{"segment": [1], "label": "A"}]}, "ValueError"),
    ({**VIDEO, "annotations": [{"segment": [1, "x"], "label": "A"}]}, "not a time"),
    ({**VIDEO, "annotations": [{"segment": [1, 2], "label": 3}]}, "TypeError"),
    ({"duration": 5, "subset": "elsewhere", "annotations": []}, "unknown subset"),
    ({"duration": True, "subset": "training", "annotations": []}, "not a time"),
    ([], "TypeError"),
]
BAD_TREES: list[object] = [{}, [{"template": "Bending [something]"}], [3], [{"id": "1", "template": ["x"]}], "x"]
KINETICS_HEADER = ",".join(map(str, KINETICS[0])) + "\n"
KINETICS_SAID = "rows with a bad id, time or split: line 2 .*; and 2 more"


@pytest.mark.parametrize(
    ("dataset", "file", "text", "said"),
    [
        ("ucf101", "trainlist01.txt", "YoYo/v_a.avi 1\n", "line 1: class 1 is not YoYo"),
        ("ucf101", "trainlist02.txt", "v_a.avi 1\n", "line 1 has no class folder"),
        ("ucf101", "classInd.txt", "1 A\n3 B\n", "ids must run from 1 without a gap"),
        ("ucf101", "classInd.txt", "1 A\n1 B\n", "not integers or duplicates: line 2 .* from 1"),
        ("ucf101", "classInd.txt", "1 A\n2 A\n", "duplicate class names"),
        ("ucf101", "classInd.txt", "", "no class names"),
        ("hmdb51", "kick_test_split2.txt", None, "split files are missing: "),
        ("hmdb51", "kick_test_split2.txt", "a.avi 1\nb.avi 3\n", "line 2"),
        *(
            ("kinetics400", "v.csv", f"{','.join(KINETICS[0])}\n" + 12 * f"{row}\n", KINETICS_SAID)
            for row in BAD_KINETICS
        ),
        *(("activitynet", "a.json", json.dumps({"database": {"abc": v}}), f"'abc'.*{said}") for v, said in BAD_VIDEOS),
        *(("charades", "Charades_v1_test.csv", f"id,actions,length\nA,{bad},3\n", "line 2") for bad in BAD_ACTIONS),
        *(("sthv2", "train.json", json.dumps(tree), "train") for tree in BAD_TREES),
    ],
)
def test_damaged_files_are_named(
    desk: Desk, tmp_path: Path, dataset: str, file: str, text: str | None, said: str
) -> None:
    if dataset in LAYOUTS:
        LAYOUTS[dataset](tmp_path / "source")
    if text is None:
        (tmp_path / "source" / file).unlink()
    else:
        write_text(tmp_path / "source" / file, text)
    with pytest.raises(DataError, match=said) as caught:
        desk.annotate(dataset, tmp_path / "source")
    assert file in str(caught.value)
    assert not desk.out.exists()


# The complete official files


def agrees_with_the_repository(desk: Desk, dataset: str) -> bool:
    """Whether the class names are those that the repository has."""
    return desk.text("labels.csv") == (ROOT / "lists" / dataset / "labels.csv").read_text()


def test_the_official_splits_of_ucf101(shared: Path, desk: Desk) -> None:
    source = shared / "annotations" / "ucf101"
    ids = {name: int(n) - 1 for n, name in map(str.split, (source / "classInd.txt").read_text().splitlines())}
    official: dict[str, list[tuple[str, tuple[int, ...]]]] = {}
    for split in (1, 2, 3):
        train = [line.split() for line in (source / f"trainlist0{split}.txt").read_text().splitlines()]
        test = (source / f"testlist0{split}.txt").read_text().split()
        official[f"split{split}/train"] = [(path, (int(number) - 1,)) for path, number in train]
        official[f"split{split}/test"] = [(path, (ids[path.split("/")[0]],)) for path in test]
    videos = sorted({path for rows in official.values() for path, _ in rows})
    assert len(videos) == 13_320
    assert desk.annotate("ucf101", source, videos).findings == []
    assert desk.labelled() == official
    assert agrees_with_the_repository(desk, "ucf101")


def test_the_official_splits_of_hmdb51(shared: Path, desk: Desk) -> None:
    source = shared / "annotations" / "hmdb51"
    names = sorted(path.name.removesuffix("_test_split1.txt") for path in source.glob("*_test_split1.txt"))
    official: dict[str, list[tuple[str, tuple[int, ...]]]] = {}
    videos = set()
    for split in (1, 2, 3):
        for label, name in enumerate(names):
            for line in (source / f"{name}_test_split{split}.txt").read_text().splitlines():
                video, flag = line.split()
                videos.add(f"{name}/{video}")
                if flag != "0":
                    part = "train" if flag == "1" else "test"
                    official.setdefault(f"split{split}/{part}", []).append((f"{name}/{video}", (label,)))
    assert Counter(len(rows) for rows in official.values()) == {3570: 3, 1530: 3}
    assert desk.annotate("hmdb51", source, sorted(videos)).findings == []
    assert desk.labelled() == official
    assert agrees_with_the_repository(desk, "hmdb51")


@pytest.mark.parametrize(("size", "count"), [(400, 19_906), (600, 30_000)])
def test_the_official_validation_lists_of_kinetics(shared: Path, desk: Desk, size: int, count: int) -> None:
    source = shared / "annotations" / "kinetics"
    audit = desk.annotate(f"kinetics{size}", source)
    assert (audit.lists, audit.classes, audit.findings) == ({"val": count}, size, [])
    names = (source / f"label_map_k{size}.txt").read_text().splitlines()
    assert desk.labels() == names
    with (source / f"kinetics-{size}_val.csv").open(newline="") as file:
        expected = [
            (f"{row['youtube_id']}_{int(row['time_start']):06d}_{int(row['time_end']):06d}", names.index(row["label"]))
            for row in csv.DictReader(file)
        ]
    assert [(s.path, *s.labels) for s in desk.samples("val")] == expected
    assert agrees_with_the_repository(desk, f"kinetics{size}")


def test_the_official_files_of_charades(shared: Path, desk: Desk) -> None:
    source = shared / "annotations" / "charades"
    audit = desk.annotate("charades", source)
    assert (audit.lists, audit.classes) == ({"train": 49_809, "test": 1_863}, 157)
    assert audit.counts()["unannotated", "drop"] == 174
    with (source / "Charades_v1_test.csv").open(newline="", encoding="utf-8") as file:
        expected = {
            row["id"]: {int(action[1:4]) for action in row["actions"].split(";") if action}
            for row in csv.DictReader(file)
        }
    assert {s.path: set(s.labels) for s in desk.samples("test")} == expected
    assert agrees_with_the_repository(desk, "charades")


def test_a_sample_of_activitynet_in_its_official_layout(shared: Path, desk: Desk) -> None:
    source = shared / "annotations" / "activitynet"
    tree = json.loads((source / "activity_net.v1-3.sample.json").read_text())["database"]
    parts = sum(len(video["annotations"]) for video in tree.values() if video["subset"] == "training")
    assert desk.annotate("activitynet", source).lists == {"train": parts, "val": 128, "test": 134}
    assert desk.labels() == (source / "label_map.txt").read_text().splitlines()
    assert agrees_with_the_repository(desk, "activitynet")


def test_something_something_s_class_names(shared: Path, desk: Desk, tmp_path: Path) -> None:
    sthv2_replica(tmp_path / "ssv2")
    names = (shared / "annotations" / "sthv2" / "label_map.txt").read_text().splitlines()
    (tmp_path / "ssv2" / "labels.json").unlink()
    write_text(tmp_path / "ssv2" / "label_map.txt", "\n".join(names))
    template = "Putting [something similar to other things that are already on the table]"
    write_text(tmp_path / "ssv2" / "train.json", json.dumps([{"id": "1", "template": template}]))
    write_text(tmp_path / "ssv2" / "validation.json", json.dumps([{"id": "2", "template": "Closing [something]"}]))
    desk.annotate("sthv2", tmp_path / "ssv2")
    (sample,) = desk.samples()
    assert names[sample.labels[0]] == template.replace("[", "").replace("]", "")


def test_ut_interaction(shared: Path, desk: Desk) -> None:
    folder = shared / "ut_interaction"
    audit = desk.annotate("csv", folder, folder / "videos")
    assert (audit.lists, audit.findings, audit.videos) == ({"train": 60, "test": 60}, [], 120)
    for name in ("train", "test"):
        assert Counter(s.labels[0] for s in desk.samples(name)) == dict.fromkeys(range(6), 10)
    assert desk.labels()[0] == "hand shaking"
