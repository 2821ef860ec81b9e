"""Lists as `eval`, `train` and `shard` read them: the forms that people write, and what is said about others."""

from __future__ import annotations

from pathlib import Path

import pytest

from bike.errors import BikeError, DataError
from bike.formats.lists import load_samples, read_listing, read_rows
from bike.records import label_ids, read_labels


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3", (3,)), ("3,7, 12", (3, 7, 12)), ("3 7", (3, 7)), (" 10.0 ", (10,)), ("1.0 2.", (1, 2)), ("-1", ()),
        ("-1.0", ()), ("", ()), ("1.5", None), ("1,", None), ("+3", None), ("-2", None), ("1234567890", None),
        ("²", None), ("1 -1", None), ("x", None),
    ],
)  # fmt: skip
def test_label_ids(text: str, expected: tuple[int, ...] | None) -> None:
    assert label_ids(text) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "key,video,path,label,frames,start_seconds,end_seconds\nrun__a,run__a,run/a.mp4,3,0,,\n"),
        ("a.csv", "key;path;label;frames\nrun__a;run/a.mp4;3.0;0\n"),
        ("a.csv", "path,label\nrun/a.mp4,3\n"),
        ("a.csv", "sep=;\nClass; Video\n3; run/a.mp4\n"),
        ("a.csv", "video\tclass_id\nrun/a.mp4\t3.0\n"),
        ("a.txt", "run/a.mp4 3\n"),
    ],
)
def test_one_sample_in_the_forms_that_people_write(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    (sample,) = load_samples(tmp_path / name)
    assert (sample.key, sample.path, sample.labels, sample.frames) == ("run__a", "run/a.mp4", (3,), 0)


@pytest.mark.parametrize(
    ("text", "layout", "expected"),
    [
        ("d1 20 1 3 5\nd2 20 2\n", "labels", [("d1", (1, 3, 5), 20), ("d2", (2,), 20)]),
        ("a.mp4 1 3 5\nb c.mp4 2\n", "labels", [("a.mp4", (1, 3, 5), 0), ("b c.mp4", (2,), 0)]),
        ("a.mp4 1\nb.mp4 2\nc 5.mp4 1 3\n", "auto", [("a.mp4", (1,), 0), ("b.mp4", (2,), 0), ("c 5.mp4", (1, 3), 0)]),
        ("d1 20 1\nd 2 20 3\nd3 20 3\n", "auto", [("d1", (1,), 20), ("d 2", (3,), 20), ("d3", (3,), 20)]),
    ],
)
def test_lines_with_several_labels(tmp_path: Path, text: str, layout: str, expected: list[object]) -> None:
    (tmp_path / "a.txt").write_text(text)
    assert [(row.path, row.labels, row.frames) for row in read_rows(tmp_path / "a.txt", layout)] == expected


@pytest.mark.parametrize("text", ["d1 x\n", "d1 20\n", "5\n", "d1 20 1 -1\n"])
def test_lines_without_the_labels_they_need(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(DataError, match="line 1"):
        read_rows(tmp_path / "a.txt", "labels")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path\na.mp4\n", "has no label column. Make lists of it with `bike annotate`"),
        ("path,split\na.mp4,train\n", "has no label column"),
        ("id,actions,length\nA,c092 1 2,24\n", "has no label column"),
        ("path,label,start\na.mp4,1,2.5\n", "has times"),
        ("path,label\na.mp4,run\n", "line 2.*`bike annotate csv`, which numbers class names"),
        ("path,label\na.mp4,1\na.mp4,2\n", "a.mp4 is listed more than once"),
        ("d1 20 1 3\nd2 20 1 4\n", "more than two numbers at the end: line 1; line 2"),
    ],
)
def test_what_is_said_about_other_tables(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=said):
        load_samples(tmp_path / "a.csv")


def test_a_folder_is_no_list(tmp_path: Path) -> None:
    with pytest.raises(BikeError, match="is a folder; a file is needed"):
        load_samples(tmp_path)


def test_labels_without_a_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("path,label\na.mp4,2\n")
    (tmp_path / "names.txt").write_text("run\njump\n")
    with pytest.raises(DataError, match=r"a has class 2. Give the labels file that belongs to the list"):
        read_listing(tmp_path / "a.csv", tmp_path / "names.txt")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "id;name\n1;tai chi\n0;run\n"),
        ("a.csv", "sep=,\nId, Name\n0, run\n1, tai chi\n"),
        ("a.txt", "run\ntai chi\n"),
        ("a.txt", "c000 run\nc001 tai chi\n"),
        ("a.txt", "1 run\n2 tai chi\n"),
    ],
)
def test_class_names_as_people_write_them(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert read_labels(tmp_path / name) == ["run", "tai chi"]


def test_names_that_begin_with_numbers_keep_them(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("2 steps\n1 jump\n")
    assert read_labels(tmp_path / "a.txt") == ["2 steps", "1 jump"]


def test_the_published_classes_of_charades(shared: Path) -> None:
    names = read_labels(shared / "annotations/charades/Charades_v1_classes.txt")
    assert (len(names), names[0]) == (157, "Holding some clothes")


def test_one_class_is_told_and_broken_names_beside_a_list_do_no_harm(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "list.csv").write_text("path,label\na.mp4,0\n")
    (tmp_path / "other.csv").write_text("id,name\n0,run\n")
    assert read_listing(tmp_path / "list.csv", tmp_path / "other.csv").names == ["run"]
    assert caplog.messages == [
        f"{tmp_path / 'other.csv'}: one class only, so every video is right whatever a model says"
    ]
    caplog.clear()
    (tmp_path / "labels.csv").write_text("id,name\n1,run\n")
    (tmp_path / "other.csv").write_text("id,name\n0,run\n1,walk\n")
    assert read_listing(tmp_path / "list.csv", tmp_path / "other.csv").names == ["run", "walk"]
    assert [message.count("labels.csv: ") for message in caplog.messages] == [1]
    assert f"So {tmp_path / 'other.csv'} is taken without a comparison" in caplog.text
    with pytest.raises(DataError, match=r"labels\.csv: "):
        read_listing(tmp_path / "list.csv", tmp_path / "labels.csv")
