"""What users really hand in: names that nearly agree, labels that nearly are numbers, folders that hold everything."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.annotations import found, manifest, ucf_replica, write_rows, write_text

from bike.annotate import matching
from bike.annotate.classes import fold
from bike.annotate.entries import Entry, ReadOptions
from bike.annotate.matching import _shared_folders as shared_folders
from bike.annotate.run import annotate
from bike.errors import BikeError, DataError, one_line
from bike.files.names import split_of_name
from bike.params import Annotate
from bike.records import VideoRecord, read_class_file, read_labels, read_list, read_manifest, write_manifest


def paths(folder: Path, split: str = "train") -> list[str]:
    return [sample.path for sample in read_list(folder / f"{split}.csv")]


# Files that are read are not written


def test_neighbours_of_the_source_stay(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "clips.csv", [("path", "label"), ("a.mp4", "run")])
    annotate("csv", source, None, tmp_path)  # nothing is in the way
    annotate("csv", source, None, tmp_path)  # what an earlier run wrote is replaced
    for name in ("audit.csv", "train.txt"):
        (tmp_path / name).unlink()
        annotate("csv", source, None, tmp_path)  # and what a killed one left
    write_text(tmp_path / "val.txt", "somebody's own")
    with pytest.raises(BikeError, match=r"val\.txt: is there already, and this command has no record"):
        annotate("csv", write_rows(source, [("path", "label", "split"), ("a.mp4", "run", "val")]), None, tmp_path)
    assert (tmp_path / "train.csv").is_file()  # the earlier lists stay as they are
    assert (tmp_path / "val.txt").read_text() == "somebody's own"


def test_labels_and_manifest_are_not_replaced(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "a" / "clips.csv", [("path", "label"), ("a.mp4", "0")])
    labels = write_text(tmp_path / "out" / "labels.csv", "id,name,published\n0,a person running,Run\n")
    with pytest.raises(BikeError, match="is read here"):
        annotate("csv", source, None, tmp_path / "out", options=ReadOptions(labels=labels))
    media = manifest(tmp_path / "out" / "test.csv", ["a.mp4"])
    with pytest.raises(BikeError, match="is read here"):
        annotate("csv", source, media, tmp_path / "out")


def test_lists_of_other_splits_go(tmp_path: Path) -> None:
    ucf_replica(tmp_path / "ucf")
    annotate("ucf101", tmp_path / "ucf", None, tmp_path / "out", options=ReadOptions(fold=1))
    (tmp_path / "out/train-mine.csv").write_text("of somebody")
    with pytest.raises(BikeError, match=r"finished work that would be thrown away \(\d files, .*; other split\)"):
        annotate("ucf101", tmp_path / "ucf", None, tmp_path / "out")
    annotate("ucf101", tmp_path / "ucf", None, tmp_path / "out", replace=True)
    assert [path.name for path in (tmp_path / "out").glob("t*.*")] == ["train-mine.csv"]
    assert (tmp_path / "out" / "split1" / "train.csv").is_file()
    annotate("ucf101", tmp_path / "ucf", None, tmp_path / "out", options=ReadOptions(fold=3), replace=True)
    assert not list((tmp_path / "out").glob("split*/t*.*"))
    assert (tmp_path / "out" / "train.csv").is_file()


# Labels


@pytest.mark.parametrize("label", ["3.5", "+3", "-2", "1234567890", "1.2,3"])
def test_nearly_numbers_are_no_class_names(tmp_path: Path, label: str) -> None:
    rows = [("path", "label"), ("a.mp4", "2"), ("b.mp4", "10"), ("c.mp4", label)]
    source = write_rows(tmp_path / "a.csv", rows)
    with pytest.raises(DataError, match=f"line 4: label '.*{label[-1]}' is not a class id; allowed are 0, 1, 2"):
        annotate("csv", source, None, tmp_path / "out")


@pytest.mark.parametrize("labels", [("1-1", "1-2", "2"), ("1.5", "2.5", "3.5")])
def test_names_of_digits_are_names(tmp_path: Path, labels: tuple[str, ...]) -> None:
    rows = [("path", "label"), *((f"{number}.mp4", label) for number, label in enumerate(labels))]
    annotate("csv", write_rows(tmp_path / "a.csv", rows), None, tmp_path / "out")
    assert read_labels(tmp_path / "out" / "labels.csv") == list(labels)


def test_several_labels_and_none(tmp_path: Path) -> None:
    rows = [("path", "label", "split"), ("a.mp4", "0,2", "test"), ("b.mp4", "1 2", "test"), ("c.mp4", "-1", "test")]
    source = write_rows(tmp_path / "a.csv", rows)
    labels = write_text(tmp_path / "names.txt", "run\njump\nswim\n")
    annotate("csv", source, None, tmp_path / "out", options=ReadOptions(labels=labels))
    assert [sample.labels for sample in read_list(tmp_path / "out" / "test.csv")] == [(0, 2), (1, 2), ()]


def test_all_bad_class_names_are_named(tmp_path: Path) -> None:
    rows = [("path", "label", "name"), ("a.mp4", "0", ""), ("b.mp4", "1", "jump"), ("c.mp4", "2", "x" * 501)]
    source = write_rows(tmp_path / "a.csv", rows)
    with pytest.raises(DataError, match=r"line 2: class name has 0 .*; line 4: class name has 501 "):
        annotate("csv", source, None, tmp_path / "out")


@pytest.mark.parametrize(
    "text",
    ["id;name\n0;run\n1;jump\n", '"id","name"\n"0","run"\n"1","jump"\n', "Name\tID\njump\t1\nrun\t0\n", "run\njump\n"],
)
def test_class_files_with_any_header(tmp_path: Path, text: str) -> None:
    assert read_class_file(write_text(tmp_path / "names.csv", text)) == (["run", "jump"], None)


def test_a_class_file_with_another_header_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="columns id and name are needed"):
        read_class_file(write_text(tmp_path / "names.csv", "number,word\n0,run\n"))


def test_a_duplicate_column_is_refused(tmp_path: Path) -> None:
    source = write_text(tmp_path / "a.csv", "path,label,label\na.mp4,run,jump\n")
    with pytest.raises(DataError, match="2 columns are named 'label'"):
        annotate("csv", source, None, tmp_path / "out")


def test_readable_names_survive_reading_back(tmp_path: Path) -> None:
    write_text(tmp_path / "in" / "labels.csv", "id,name,published\n0,a person running,Run\n")
    write_text(tmp_path / "in" / "train.txt", "a 60 0\n")
    annotate("published", tmp_path / "in", None, tmp_path / "out")
    assert (tmp_path / "out" / "labels.csv").read_text() == "id,name,published\n0,a person running,Run\n"
    assert read_labels(tmp_path / "out" / "labels.csv") == ["a person running"]


# Names


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("v_HandStandPushups_g01_c02", "v_HandstandPushups_g01_c02", True),
        ("brush hair", "Brush_Hair", True),
        ("g01_c02", "G01-C02", True),
        ("17_3_0", "17 3-0", True),
        ("1_12", "11_2", False),
        ("-1", "1", False),
        ("a1_2", "a12", False),
    ],
)
def test_spelling_variants(one: str, other: str, same: bool) -> None:
    assert (fold(one) == fold(other)) == same


def test_a_stray_video_makes_no_class_of_a_split(tmp_path: Path) -> None:
    for name in ("train/a/1.mp4", "val/a/2.mp4", "train/stray.mp4"):
        write_text(tmp_path / "videos" / name, "x")
    with pytest.raises(DataError, match=r"outside of class folders: train/stray\.mp4"):
        annotate("folders", tmp_path / "videos", tmp_path / "videos", tmp_path / "out")


@pytest.mark.parametrize("top", [("1", "2"), ("train", "test"), ("test", "run")])
def test_folders_that_may_be_classes(tmp_path: Path, top: tuple[str, str]) -> None:
    for name in top:
        write_text(tmp_path / "videos" / name / "a.mp4", "x")
    annotate("folders", tmp_path / "videos", tmp_path / "videos", tmp_path / "out")
    assert read_labels(tmp_path / "out" / "labels.csv") == sorted(top)
    assert paths(tmp_path / "out") == sorted(f"{name}/a.mp4" for name in top)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("k400_val", "val"),
        ("interval_train", "train"),
        ("carnival_train", "train"),
        ("trainlist01", "train"),
        ("Kinetics400Test", "test"),
        ("mytrain", "train"),
        ("list", ""),
    ],
)
def test_splits_in_file_names(name: str, split: str) -> None:
    assert split_of_name(name) == split


def test_stems_of_two_videos_become_keys_in_published_lists(tmp_path: Path) -> None:
    media = manifest(tmp_path / "manifest.csv", ["a/x.mp4", "a/x.avi", "a/y.avi"])
    rows = [("path", "label"), ("a/x.mp4", "run"), ("a/x.avi", "jump"), ("a/y.avi", "jump")]
    annotate("csv", write_rows(tmp_path / "a.csv", rows), media, tmp_path / "out")
    samples = read_list(tmp_path / "out" / "train.csv")
    names = [line.split()[0] for line in (tmp_path / "out" / "train.txt").read_text().splitlines()]
    assert names == [samples[0].video, samples[1].video, "a/y"]


def test_of_a_duplicate_video_in_a_manifest_the_accepted_one_is_taken(tmp_path: Path) -> None:
    media = manifest(tmp_path / "manifest.csv", ["a.mp4"], rejected=["a.mp4"])
    source = write_rows(tmp_path / "a.csv", [("path", "label"), ("a.mp4", "run")])
    audit = annotate("csv", source, media, tmp_path / "out")
    assert audit.lists == {"train": 1}


@pytest.mark.parametrize("form", ["{}/video.mp4", "deep/{}/rgb/video.mp4"])
def test_many_videos_of_one_name(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The work grows with the videos, not with their square."""
    compared = []
    monkeypatch.setattr(matching, "_shared_folders", lambda *paths: compared.append(1) or shared_folders(*paths))
    names = [f"id{number:05d}" for number in range(2000)]
    media = manifest(tmp_path / "manifest.csv", [f"root/{form.format(name)}" for name in names])
    rows = [("path", "label"), *((form.format(name).removeprefix("deep/"), "run") for name in names)]
    source = write_rows(tmp_path / "a.csv", rows)
    annotate("csv", source, media, tmp_path / "out")
    assert paths(tmp_path / "out") == [f"root/{form.format(name)}" for name in names]
    assert len(compared) <= len(names)


def test_of_many_videos_of_one_name_no_other_is_taken() -> None:
    """That a name alone is enough holds where it is the only one, not where one is left to compare."""
    records = [VideoRecord(f"k{number}", f"c{number}/d{number}/x.mp4", "ok") for number in range(9)]
    for count in (8, 9):
        entries = [Entry("a/d3/x.mp4", ("run",), "train")]
        assert matching.match_entries(entries, records[:count], by_name=True, fold_names=True).index == {}


def test_of_many_videos_of_one_name_the_nearest_is_taken(tmp_path: Path) -> None:
    there = [f"{name}/video.mp4" for name in "abcdefghijk"] + ["x/a/video.mp4", "video.mp4"]
    media = manifest(tmp_path / "manifest.csv", there)
    rows = [("path", "label"), ("y/b/video.avi", "run"), ("x/a/video.avi", "run"), ("q/video.avi", "run")]
    source = write_rows(tmp_path / "a.csv", rows)
    annotate("csv", source, media, tmp_path / "out")
    assert paths(tmp_path / "out") == ["b/video.mp4", "x/a/video.mp4", "video.mp4"]


# Times


def test_parts_that_meet_at_the_end_are_two(tmp_path: Path) -> None:
    media = manifest(tmp_path / "manifest.csv", ["x.mp4"], frames=300)
    rows = [("path", "label", "start", "end"), ("x.mp4", "run", 2, 400), ("x.mp4", "run", 2, 500)]
    source = write_rows(tmp_path / "a.csv", [*rows, ("x.mp4", "run", 2, 500), ("x.mp4", "run", 2, 3)])
    audit = annotate("csv", source, media, tmp_path / "out", policies=Annotate(duplicate="keep"))
    assert [kind for kind, _, _ in found(audit)].count("duplicate") == 1
    assert [sample.key for sample in read_list(tmp_path / "out" / "train.csv")] == ["x-1", "x-2", "x-3", "x-4"]


# Hostile values


@pytest.mark.parametrize("line", ["Run/v_a.avi ²", "Run/v_a.avi ٣"])
def test_digits_of_other_scripts_are_no_class_number(tmp_path: Path, line: str) -> None:
    ucf_replica(tmp_path / "ucf")
    write_text(tmp_path / "ucf" / "trainlist01.txt", f"{line}\n")
    with pytest.raises(DataError):
        annotate("ucf101", tmp_path / "ucf", None, tmp_path / "out", policies=Annotate(no_name="error"))


def test_a_missing_official_list_is_noted(tmp_path: Path) -> None:
    ucf_replica(tmp_path / "ucf")
    (tmp_path / "ucf" / "testlist02.txt").unlink()
    audit = annotate("ucf101", tmp_path / "ucf", None, tmp_path / "out")
    assert "testlist02.txt is not there." in audit.notes


def test_a_number_of_absurd_length_in_json(tmp_path: Path) -> None:
    video = '{"subset": "training", "duration": 1' + "0" * 400 + ', "annotations": []}'
    source = write_text(tmp_path / "activity_net.json", '{"database": {"abc": ' + video + "}}")
    with pytest.raises(DataError, match="videos that can't be read"):
        annotate("activitynet", source, None, tmp_path / "out")


@pytest.mark.parametrize(
    ("column", "value"),
    [("fps", "nan"), ("fps", "-25"), ("fps", "1e400"), ("frames", "-1"), ("frames", "9" * 400), ("key", "../evil")],
)
def test_manifests_with_impossible_values(tmp_path: Path, column: str, value: str) -> None:
    write_manifest(tmp_path / "m.csv", [VideoRecord("a", "a.mp4", "ok", 60, 25.0)])
    header, row = (tmp_path / "m.csv").read_text().splitlines()
    fields = dict(zip(header.split(","), row.split(","), strict=True)) | {column: value}
    write_text(tmp_path / "m.csv", f"{header}\n{','.join(fields.values())}\n")
    with pytest.raises(DataError, match=r"bad key or a value out of range: line 2"):
        read_manifest(tmp_path / "m.csv")


def test_messages_hold_no_control_characters() -> None:
    assert one_line("a\x1b]0;x\x07\n  b\udcff") == "a\\x1b]0;x\\x07 b\\udcff"
    assert one_line("Müller – 日本") == "Müller – 日本"
