"""Annotations as people write them: ids from 1, floats, times, paths of Windows, hidden files, splits below classes."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.annotations import Desk, write_text

from bike.errors import DataError

ONE = [("path", "label", "name"), ("a.mp4", 1, "jump"), ("b.mp4", 2, "run"), ("c.mp4", 3, "sit")]


def test_ids_that_count_from_1(desk: Desk) -> None:
    with pytest.raises(DataError, match="class ids start at 1. Give --first-id 1"):
        desk.csv(ONE)
    desk.csv(ONE, first_id=1)
    assert desk.labels() == ["jump", "run", "sit"]
    assert [sample.labels for sample in desk.samples()] == [(0,), (1,), (2,)]
    with pytest.raises(DataError, match="has class 0, so ids do not start at 1"):
        desk.csv([*ONE, ("d.mp4", 0, "swim")], first_id=1)


def test_ids_that_count_from_1_with_the_policy_keep_are_noted(desk: Desk) -> None:
    audit = desk.csv(ONE, policies={"no_name": "keep"})
    assert audit.notes == ["class ids start at 1. Give --first-id 1, unless class 0 has no videos here."]


@pytest.mark.parametrize("names", ["1 jump\n2 run\n3 sit\n", "id,name\n1,jump\n2,run\n3,sit\n", "jump\nrun\nsit\n"])
def test_published_ids_that_count_from_1(desk: Desk, tmp_path: Path, names: str) -> None:
    source = write_text(tmp_path / "lists/train.txt", "a 20 1\nb 20 2\nc 20 3\n")
    labels = write_text(tmp_path / ("names.csv" if "," in names else "names.txt"), names)
    with pytest.raises(DataError, match=r"--first-id 1"):
        desk.annotate("published", source, labels=labels)
    desk.annotate("published", source, labels=labels, first_id=1)
    assert [sample.labels for sample in desk.samples()] == [(0,), (1,), (2,)]
    assert desk.labels() == ["jump", "run", "sit"]


def test_a_list_without_class_0_does_not_count_from_1(desk: Desk, tmp_path: Path) -> None:
    source = write_text(tmp_path / "val.txt", "a 20 1\nb 20 2\n")
    labels = write_text(tmp_path / "names.txt", "jump\nrun\nsit\n")
    desk.annotate("published", source, labels=labels)
    assert [sample.labels for sample in desk.samples("val")] == [(1,), (2,)]


def test_whole_floats_are_ids(desk: Desk) -> None:
    rows = [(f"v{number}.mp4", f"{number}.0", f"name {number}") for number in range(12)]
    desk.csv([("path", "label", "name"), *rows])
    assert desk.labels() == [f"name {number}" for number in range(12)]
    assert [sample.labels for sample in desk.samples()] == [(number,) for number in range(12)]


@pytest.mark.parametrize(
    ("columns", "start", "end", "expected"),
    [
        (("start_time", "end_time"), "1.5", "3", (1.5, 3.0)),
        (("Start_Timestamp", "Stop_Timestamp"), "00:00:01.5", "0:03", (1.5, 3.0)),
        (("start", "end"), "1:00:01,5", "1:00:03", (3601.5, 3603.0)),
        (("start_ms", "end_ms"), "1500", "3000", (1.5, 3.0)),
    ],
)
def test_columns_of_times(
    desk: Desk, columns: tuple[str, str], start: str, end: str, expected: tuple[float, float]
) -> None:
    desk.csv([("path", "label", *columns), ("a.mp4", "run", start, end)])
    assert desk.times() == [expected]


@pytest.mark.parametrize("word", ["1:2:3:4", "a:3", "1:b", "1,5"])
def test_times_that_are_none(desk: Desk, word: str) -> None:
    with pytest.raises(DataError, match="line 2: start and end are not times"):
        desk.csv([("path", "label", "start"), ("a.mp4", "run", word)])


def test_columns_that_are_not_read_are_noted(desk: Desk, tmp_path: Path) -> None:
    audit = desk.csv([("path", "label", "label_2", "start_frame"), ("a.mp4", "run", "jump", 7)])
    assert audit.notes == [f"{tmp_path / 'a.csv'}: columns that are not read: label_2; start_frame."]


def test_paths_of_windows(desk: Desk) -> None:
    rows = [("path", "label"), ("jump\\a.mp4", "jump"), ("C:\\data\\run\\b.mp4", "run"), ("odd\\name.mp4", "run")]
    media = ["jump/a.mp4", "run/b.mp4", "run/odd\\name.mp4"]
    audit = desk.csv(rows, media)
    assert desk.paths() == media
    assert audit.notes == ["2 paths are written as Windows has them; \\ is read as /."]
    assert not audit.findings
    rows = [("path", "label"), ("..\\a.mp4", "jump"), ("b.mp4", "jump")]
    audit = desk.csv(rows)
    assert [(row.path, row.detail) for row in audit.findings] == [("../a.mp4", "the path leaves the media folder")]


def test_hidden_annotation_files_are_passed_over(desk: Desk, tmp_path: Path) -> None:
    for name, text in {"train.txt": "a 20 0\n", "labels.csv": "id,name\n0,run\n"}.items():
        write_text(tmp_path / "lists" / name, text)
        write_text(tmp_path / "lists" / f"._{name}", "\0\5\26\7")
    assert desk.annotate("published", tmp_path / "lists").lists == {"train": 1}
    for number in range(1, 9):
        for prefix in ("", "._"):
            write_text(tmp_path / "frames/a" / f"{prefix}img_{number:05d}.jpg", "x")
    desk.annotate("published", tmp_path / "lists", tmp_path / "frames")
    assert [sample.frames for sample in desk.samples()] == [8]


def test_splits_below_classes(desk: Desk, tmp_path: Path) -> None:
    for path in ("jump/train/a.mp4", "jump/test/b.mp4", "run/train/c.mp4", "run/Validation/more/d.mp4"):
        write_text(tmp_path / "videos" / path, "x")
    audit = desk.annotate("folders", tmp_path / "videos")
    assert (audit.lists, audit.notes) == ({"train": 2, "val": 1, "test": 1}, [])
    assert desk.labels() == ["jump", "run"]
    write_text(tmp_path / "videos/sit/e.mp4", "x")
    audit = desk.annotate("folders", tmp_path / "videos")
    assert audit.lists == {"train": 5}
    assert audit.notes == [
        "folders test, train, validation below classes are not taken for splits, since other videos have none"
    ]
