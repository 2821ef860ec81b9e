"""Annotation files written by strangers: they can be refused, they can't do harm."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.annotations import write_rows, write_text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bike.annotate.entries import ReadOptions
from bike.annotate.run import DATASETS, annotate
from bike.errors import BikeError, DataError
from bike.params import Annotate
from bike.records import read_class_file, read_labels, read_list

KEEP = Annotate(missing="keep", duplicate="keep", no_name="keep", too_short="keep", unannotated="keep")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"path,label\na\0b.mp4,run\n", "line 2: has a NUL byte"),
        ("path,label\na.mp4,run\n".encode("utf-16"), "UTF-16"),
        (b"path,label\na.mp4,caf\xe9\n", "line 2: class name is not UTF-8"),
        (b'path,label\na.mp4,"run\n', "line 2: not CSV"),
        (b"path,label\na.mp4," + b"x" * 200_000 + b"\n", "not CSV .field larger than"),
        (b"path,label\na.mp4," + b"x" * 600 + b"\n", "600 characters"),
        (b"path,label\na.mp4,run,more\nb.mp4\n", "line 2 has 3; line 3 has 1"),
        (b"file,kind\na.mp4,run\n", "column 'label' is missing"),
        (b"kind,label\na.mp4,run\n", "column 'path' is missing"),
        (b"", "column 'path' is missing .columns: none"),
        (b"path,label\n", "no annotated videos"),
        (b"path,label,name\na.mp4,0,run\nb.mp4,0,jump\n", "label 0 is 'jump' here and 'run' before"),
        (b"path,label,name\na.mp4,0,run\nb.mp4,1,run\n", "duplicate class names"),
        (b"path,label,split\na.mp4,run,elsewhere\n", "line 2: unknown split 'elsewhere'"),
        (b"path,label,start,end\na.mp4,run,1,nan\n", "not times"),
        (b"\x89PNG\r\n\x1a\n\0\0", "NUL byte"),
    ],
)
def test_damaged_csv_files(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        annotate("csv", path, None, tmp_path / "out")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_formulas_and_markup_stay_plain_text(tmp_path: Path) -> None:
    names = ['=HYPERLINK("http://x")', "<script>alert(1)</script>", "[bold]x[/bold]", "@SUM(1)", "a\tb\x07\u2028c"]
    source = write_rows(tmp_path / "a.csv", [("path", "label"), *((f"{n}.mp4", name) for n, name in enumerate(names))])
    annotate("csv", source, None, tmp_path / "out")
    assert read_labels(tmp_path / "out" / "labels.csv") == sorted([*names[:4], "a b c"])


@pytest.mark.parametrize("depth", [5_000, 1_000_000])
@pytest.mark.parametrize("dataset", ["activitynet", "sthv2"])
def test_json_nested_without_end(tmp_path: Path, dataset: str, depth: int) -> None:
    for name in ("activity_net.json", "labels.json", "train.json"):
        write_text(tmp_path / name, "[" * depth + "]" * depth)
    with pytest.raises(DataError, match="nested too deeply"):
        annotate(dataset, tmp_path, None, tmp_path / "out")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"database": 3}',
        '{"database": {"a": {"subset": "training", "duration": NaN}}}',
        '{"database": {"a": {"subset": "training", "duration": ' + "9" * 5000 + "}}}",
        '{"database": {"\\ud800": {"subset": "training"}}}',
    ],
)
def test_json_that_is_not_activitynet_s(tmp_path: Path, text: str) -> None:
    path = write_text(tmp_path / "activity_net.json", text)
    with pytest.raises(DataError, match=r"activity_net\.json") as caught:
        annotate("activitynet", path, None, tmp_path / "out")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("identifier", ["../../etc/passwd", "/etc/passwd", "a/../../b", "a\nb", "x" * 5000, "a\u202eb"])
def test_ids_that_try_to_leave(tmp_path: Path, identifier: str) -> None:
    video = {"subset": "training", "duration": 5, "annotations": [{"segment": [0, 5], "label": "A"}]}
    tree = {"database": {identifier: video, "fine": video}}
    path = write_text(tmp_path / "activity_net.json", json.dumps(tree))
    annotate("activitynet", path, None, tmp_path / "out", policies=KEEP)
    for sample in read_list(tmp_path / "out" / "train.csv"):
        assert ".." not in sample.path.split("/")
        assert not sample.path.startswith("/")
        assert sample.video.replace("-", "").replace("_", "").isalnum()
        assert len(sample.key) < 200


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    write_text(tmp_path / "videos" / "run" / "a.mp4", "x")
    (tmp_path / "videos" / "run" / "loop").symlink_to(tmp_path / "videos", target_is_directory=True)
    audit = annotate("folders", tmp_path / "videos", tmp_path / "videos", tmp_path / "out")
    assert audit.lists == {"train": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,name\n0,a\n2,b\n", "without a gap"),
        ("id,name\n0,a\n0,b\n", "ids that are not integers or duplicates"),
        ("id,name\nx,a\n", "not integers"),
        ("id,name\n9999999999,a\n", "not integers"),
        ("id,name\n²,a\n", "not integers"),
        ("id,name\n0,\n", "0 characters"),
        ("id,name\n", "no class names"),
        ("", "no class names"),
        ("run\njump\nrun\n", "'run'"),
    ],
)
def test_damaged_class_files(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_class_file(write_text(tmp_path / "names.csv", text))


def test_an_integer_label_of_absurd_size(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "a.csv", [("path", "label"), ("a.mp4", 999_999_999)])
    with pytest.raises(DataError, match="not a class id"):
        annotate("csv", source, None, tmp_path / "out", policies=KEEP)
    named = write_rows(tmp_path / "b.csv", [("path", "label", "name"), ("a.mp4", 999_999_999, "x")])
    with pytest.raises(DataError, match="line 2: label 999999999 is not below"):
        annotate("csv", named, None, tmp_path / "out")


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_source_that_is_not_there(tmp_path: Path, dataset: str) -> None:
    (tmp_path / "empty").mkdir()
    for source in (tmp_path / "absent", tmp_path / "empty"):
        with pytest.raises(BikeError, match=source.name):
            annotate(dataset, source, None, tmp_path / "out")
    assert not (tmp_path / "out").exists()


NAMES = {
    "ucf101": ("classInd.txt", "trainlist01.txt"),
    "hmdb51": ("run_test_split1.txt",),
    "kinetics400": ("train.csv", "label_map_k400.txt"),
    "activitynet": ("activity_net.json", "label_map.txt"),
    "charades": ("Charades_v1_classes.txt", "Charades_v1_train.csv", "Charades_v1_test.csv"),
    "sthv2": ("labels.json", "train.json"),
    "csv": ("a.csv",),
    "published": ("train.txt", "labels.csv"),
}
HEADERS = ["", "path,label\n", "label,youtube_id,time_start,time_end,split\n", "id,actions,length\n", "id,name\n"]
CONTENT = st.one_of(
    st.binary(max_size=60),
    st.tuples(st.sampled_from(HEADERS), st.text(st.sampled_from('a1,;c0 .-"\n/[]{}:é\udcff'), max_size=60)).map(
        lambda parts: "".join(parts).encode("utf-8", "surrogateescape")
    ),
    st.recursive(
        st.one_of(st.none(), st.floats(), st.text(max_size=3)),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["database", "id", "template", "subset", "annotations", "a"]), inner)
        ),
        max_leaves=8,
    ).map(lambda tree: json.dumps(tree).encode()),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("dataset", NAMES)
def test_any_bytes_give_lists_or_one_line(tmp_path: Path, dataset: str, data: st.DataObject) -> None:
    folder = tmp_path / "source"
    folder.mkdir(exist_ok=True)
    for name in NAMES[dataset]:
        (folder / name).write_bytes(data.draw(CONTENT))
    labels = write_text(tmp_path / "names.txt", "run\njump\n")
    options = ReadOptions(labels=labels if data.draw(st.booleans()) else None)
    refused = ""
    try:
        annotate(dataset, folder, None, tmp_path / "out", policies=KEEP, options=options)
    except BikeError as error:
        refused = str(error)
    assert "\n" not in refused
    if not refused:
        names = read_labels(tmp_path / "out" / "labels.csv")
        for path in (tmp_path / "out").glob("t*.csv"):
            assert all(max(sample.labels, default=0) < len(names) for sample in read_list(path))
        for path in (tmp_path / "out").glob("*"):
            if path.is_file():
                path.unlink()
