"""Atomic files, keys, records and progress."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from bike.errors import BikeError, DataError, first_few, nearest
from bike.files import atomic_write, read_between, read_json, sha256, write_between, write_json
from bike.progress import progress
from bike.records import (
    Sample,
    VideoRecord,
    labels_of,
    read_labels,
    read_list,
    read_manifest,
    write_labels,
    write_list,
    write_manifest,
)


def test_an_interrupted_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_write(file, "w") as out:
        out.write("half of the n")
        raise KeyboardInterrupt
    assert file.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_file_in_the_place_of_a_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BikeError, match="can't be written"), atomic_write(tmp_path / "file" / "x"):
        pass


def test_json_round_trip_and_errors(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"ü": [1, 2.5]})
    assert read_json(tmp_path / "a.json") == {"ü": [1, 2.5]}
    (tmp_path / "b.json").write_text("{\n]")
    with pytest.raises(BikeError, match="line 2"):
        read_json(tmp_path / "b.json")
    (tmp_path / "c.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BikeError, match="UTF-8"):
        read_json(tmp_path / "c.json")
    assert len(sha256(tmp_path / "a.json")) == 64


BEFORE, AFTER, START, END = "# Title\n\nProse.\n\n", "\nMore prose: 50 %.\n", "<!-- a -->", "<!-- /a -->"


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_only_the_text_between_the_marks_changes(tmp_path: Path, line_end: str) -> None:
    path = tmp_path / "README.md"
    path.write_bytes(f"{BEFORE}{START}\nold\n{END}{AFTER}".replace("\n", line_end).encode())
    assert write_between(path, START, END, "new\nlines\n")
    assert path.read_bytes().decode() == f"{BEFORE}{START}\nnew\nlines\n{END}{AFTER}".replace("\n", line_end)
    assert read_between(path, START, END) == f"{line_end}new{line_end}lines{line_end}"
    stamp = path.stat().st_mtime_ns
    assert not write_between(path, START, END, "new\nlines\n")
    assert path.stat().st_mtime_ns == stamp


@pytest.mark.parametrize(
    "text", ["no marks", START, END, f"{END}\n{START}", f"{START}\n{START}\n{END}", f"{START}{END}{END}"]
)
def test_marks_must_be_there_once_and_in_order(tmp_path: Path, text: str) -> None:
    path = tmp_path / "README.md"
    path.write_text(text)
    with pytest.raises(BikeError, match="once each"):
        write_between(path, START, END, "new\n")
    assert path.read_text() == text


def test_a_file_for_the_marks_that_is_not_text_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    with pytest.raises(BikeError, match="no such file"):
        write_between(path, START, END, "new\n")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(BikeError, match="not UTF-8"):
        write_between(path, START, END, "new\n")


def test_manifest_round_trip(tmp_path: Path) -> None:
    records = [
        VideoRecord("a", 'dir/a,"b"\n\r.mp4', "ok", 30, 29.97, 320, 240, 1.001, 1234),
        VideoRecord("c", "\r", "ok", 1),
        VideoRecord("b", "x\udcff.mp4", "rejected", error="truncated: 12 of 300 frames"),
    ]
    write_manifest(tmp_path / "m.csv", records)
    assert read_manifest(tmp_path / "m.csv") == records
    assert (tmp_path / "m.csv").read_bytes().count(b"\r\n") == 0


def test_list_round_trip(tmp_path: Path) -> None:
    samples = [
        Sample("a-0", "a", "a.mp4", (3, 17), 300, 0.1, 12.3456789),
        Sample("a-1", "a", "a.mp4", (), 300),
        Sample("b", "b", "b.mp4", (0,), 12, 1234567.25, None),
    ]
    write_list(tmp_path / "l.csv", samples)
    assert read_list(tmp_path / "l.csv") == samples


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("key,label\na,1\n", "column 'frames' is missing"),
        ("key,label,frames\na,x,3\n", "line 2"),
        ("key,label,frames\na,1,3\na,1,3\n", "line 3"),
        ("key,label,frames\na,-1,3\n", "line 2"),
        ("key,label,frames,start_seconds,end_seconds\na,1,3,nan,\n", "line 2"),
        ("key,label,frames,start_seconds,end_seconds\na,1,3,1,inf\n", "line 2"),
        ("key,label,frames,start_seconds,end_seconds\na,1,3,5,1\n", "line 2"),
        ("key,label,frames\na,1,3\nb,1\n", "line 3 ends before column 'frames'"),
        ("", "column 'key' is missing"),
    ],
)
def test_a_bad_list_names_the_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(DataError, match=said):
        read_list(tmp_path / "l.csv")


def test_columns_come_in_any_order_and_some_may_lack(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text(
        "extra,frames,label,end_seconds,key\nx,3,1 2,4.5,a\ny,4,,,b\nz,5,0,,c,more\nz,5,0,,d\n"
    )
    assert read_list(tmp_path / "l.csv") == [
        Sample("a", "a", "a", (1, 2), 3, None, 4.5),
        Sample("b", "b", "b", (), 4),
        Sample("c", "c", "c", (0,), 5),
        Sample("d", "d", "d", (0,), 5),
    ]
    (tmp_path / "m.csv").write_text("status,key,path,frames,fps\nok,a,a.mp4,3\nrejected,b,b.mp4,,25\n")
    assert read_manifest(tmp_path / "m.csv") == [
        VideoRecord("a", "a.mp4", "ok", 3),
        VideoRecord("b", "b.mp4", "rejected", fps=25.0),
    ]
    (tmp_path / "m.csv").write_text("key,path,status,frames\na,a.mp4,ok\n")
    with pytest.raises(DataError, match="line 2 ends before column 'frames'"):
        read_manifest(tmp_path / "m.csv")


def test_labels_round_trip_and_errors(tmp_path: Path) -> None:
    write_labels(tmp_path / "l.csv", ["a, b", "<script>"])
    assert read_labels(tmp_path / "l.csv") == ["a, b", "<script>"]
    for text in ("id,name\n0,a\n2,b\n", "id,name\n0,\n", "id,name\nx,a\n", "id,name\n"):
        (tmp_path / "bad.csv").write_text(text)
        with pytest.raises(DataError, match=r"bad\.csv"):
            read_labels(tmp_path / "bad.csv")


def test_class_names_lie_beside_the_list(tmp_path: Path) -> None:
    listing, other = tmp_path / "test.csv", tmp_path / "other.csv"
    assert labels_of(listing, other) == other
    with pytest.raises(DataError, match=r"test\.csv: no labels\.csv beside it\. .* --labels"):
        labels_of(listing, None)
    write_labels(tmp_path / "labels.csv", ["a"])
    assert labels_of(listing, None) == tmp_path / "labels.csv"
    assert labels_of(listing, other) == other


def test_progress_off_a_terminal_is_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "bike")
    with progress("extract", 3, unit="videos") as job:
        job.advance(2)
        job.advance(note="1 rejected")
    assert re.fullmatch(r"extract: 3/3 videos, \S+/s, 1 rejected", caplog.messages[-1])


def test_problems_are_shortened_and_counted() -> None:
    assert first_few(["a", "b", "c"], 2) == "a; b; and 1 more"
    assert nearest("ephocs", ["epochs", "lr"]) == " Did you mean 'epochs'?"
    assert nearest("zzz", ["epochs"]) == ""
