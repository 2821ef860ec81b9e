"""Lists as `eval`, `train` and `shard` read them: the forms that people write, and what is said about others."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.annotations import charades_replica

from bike.annotate.entries import ReadOptions
from bike.annotate.run import annotate
from bike.errors import BikeError, DataError
from bike.formats.lists import load_samples, read_listing, read_rows
from bike.records import Sample, label_ids, read_labels, read_list


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
        ("path\na.mp4\n", r"column .label. is missing \(columns: path\)\. Add it; or .* `bike annotate csv`"),
        ("path,split\na.mp4,train\n", "column .label. is missing"),
        (
            "label,youtube_id,time_start,time_end\nrun,x,1,2\n",
            r"has times \(time_start; time_end\). Make lists of it with `bike annotate`",
        ),
        ("id,actions,length\nA,c092 1 2,24\nA,c092 1 2,24\n", "A is listed more than once"),
        ("id,actions,length\nA,c092 1,24\n,c092 1 2,24\n", "rows that can't be read: line 2 .*line 3 .no id"),
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


WHOLE = (None, None)
FORMS = {"path,label": "{0},0", "key,path,label,frames": "{0},{0},0,0", "key,path,status,frames": "{0},{0},ok,0"}


@pytest.mark.parametrize(
    ("columns", "values", "refused", "unread", "times"),
    [
        ("start_ms,end_ms", "1000,2000", r"has times \(start_ms; end_ms\)", "", (1.0, 2.0)),
        ("Start,Stop", "1,2", r"has times \(Start; Stop\)", "", (1.0, 2.0)),
        ("Set,x", "SPLIT,1", r"rows of several splits \(Set\).*, or keep the rows of one", "x", WHOLE),
        ("split,x", "train,1", "", "x", WHOLE),
        ("start_frame,num_frames", "7,9", r"frames .* \(start_frame\)", "start_frame; num_frames", WHOLE),
        ("First Frame,frame_end", "7,9", r"\(First Frame; frame_end\)", "First Frame; frame_end", WHOLE),
        ("offset,x", "7,9", r"frames .* \(offset\).*`bike annotate csv`", "offset; x", WHOLE),
        ("label2,x", "1,1", r"labels in several columns \(label2\)", "label2; x", WHOLE),
        ("label.1,Class 2", "1,1", r"\(label.1; Class 2\).*parted by blanks", "label.1; Class 2", WHOLE),
        ("labels,x", "1,1", r"labels in several columns \(labels\)", "labels; x", WHOLE),
        ("note,duration", "run,9", "", "note; duration", WHOLE),
    ],
)
def test_columns_that_annotate_reads_or_names_are_refused_or_named(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    columns: str,
    values: str,
    refused: str,
    unread: str,
    times: tuple[float | None, float | None],
) -> None:
    path, names = tmp_path / "a.csv", tmp_path / "names.txt"
    names.write_text("run\n")
    note = [f"{path}: columns that are not read: {unread}."] if unread else []
    for head, row in FORMS.items():
        rows = [f"{row.format(name)},{values.replace('SPLIT', name)}\n" for name in ("train", "test")]
        path.write_text(f"{head},{columns}\n{''.join(rows)}")
        caplog.clear()
        if refused:
            with pytest.raises(DataError, match=refused):
                load_samples(path)
        else:
            assert [sample.path for sample in load_samples(path)] == ["train", "test"]
            assert caplog.messages == note
        if head == "path,label":
            audit = annotate("csv", path, None, tmp_path / "out", options=ReadOptions(labels=names))
            assert [text for text in audit.notes if "columns" in text] == note
    made = {path.stem: load_samples(path) for path in (tmp_path / "out").glob("t*.csv")}
    assert set(made) == ({"train", "test"} if "SPLIT" in values else {"train"})
    assert {(s.start_seconds, s.end_seconds) for samples in made.values() for s in samples} == {times}
    assert caplog.messages == ([] if refused else note), "of lists that annotate makes all columns are read"


def annotated(dataset: str, source: Path, out: Path, **options: object) -> dict[str, list[Sample]]:
    """The lists that ``bike annotate`` makes without looking at videos."""
    annotate(dataset, source, None, out, options=ReadOptions(**options))  # type: ignore[arg-type]
    return {path.stem: read_list(path) for path in out.glob("t*.csv")}


def check_charades(source: Path, out: Path) -> None:
    lists = annotated("charades", source, out)
    names = read_labels(source / "Charades_v1_classes.txt")
    for split in ("train", "test"):
        assert load_samples(source / f"Charades_v1_{split}.csv") == lists[split]
        listing = read_listing(source / f"Charades_v1_{split}.csv", source / "Charades_v1_classes.txt")
        assert (listing.samples, listing.names) == (lists[split], names)


def test_charades_files_are_read_as_annotate_does(tmp_path: Path) -> None:
    charades_replica(tmp_path / "charades")
    with (tmp_path / "charades/Charades_v1_train.csv").open("a") as file:
        file.write("PAST,S,,,,,,,,c001 2 40;c002 7 8;c003 -1 3,6.0\nNOLEN,S,,,,,,,,c001 2 40,\n")
    check_charades(tmp_path / "charades", tmp_path / "out")
    samples = {s.key: (s.labels, s.start_seconds, s.end_seconds) for s in read_list(tmp_path / "out/train.csv")}
    assert samples["PAST-2"] == ((2,), 6.0, 6.0)
    assert samples["NOLEN-1"] == ((1,), 2.0, 40.0)


def test_the_official_charades_files_are_read_as_annotate_does(shared: Path, tmp_path: Path) -> None:
    check_charades(shared / "annotations/charades", tmp_path / "out")


@pytest.mark.parametrize(
    ("dataset", "text"),
    [
        ("published", "run/a.mp4 0\nrun//b c.mp4 1\n"),
        ("published", "/run/a 20 0\nrun/b 30 -1\nrun/c 5 1,0\n"),
        ("published", "run\\a.mp4 0\n.\\run\\b.mp4 1\n"),
        ("csv", "Class|Video\n0|run\\a.mp4\n1.0|run/b.mp4\n"),
    ],
)
def test_lists_are_read_as_annotate_does(tmp_path: Path, dataset: str, text: str) -> None:
    names, source = tmp_path / "names.txt", tmp_path / ("test.csv" if dataset == "csv" else "test.txt")
    names.write_text("run\njump\n")
    source.write_text(text)
    lists = annotated(dataset, source, tmp_path / "out", labels=names, default_split="test")
    assert lists == {"test": load_samples(source)}


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


@pytest.mark.parametrize(
    "text", ["c000 run\nc002 jump\nc003 sit\n", "c001 run\nc002 sit\n", "c000 run\nc001\nc002 sit\n"]
)
def test_class_codes_with_a_gap(tmp_path: Path, text: str) -> None:
    (tmp_path / "classes.txt").write_text(text)
    with pytest.raises(DataError, match=r"line [12]: `c00[01] <name>` is needed. Download the file again"):
        read_labels(tmp_path / "classes.txt")


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
