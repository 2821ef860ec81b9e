"""What a person names: videos, folders, tars, lists, standard input."""

from __future__ import annotations

import io
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.videos import make_tar

from bike.errors import BikeError, DataError, WeightsError
from bike.predict.inputs import check_model, check_names, named_videos


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("b.mp4", "a.mp4", "deep/c.mkv", "clip"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def paths(*words: str) -> list[str]:
    return [video.path for video in named_videos(words)]


def test_files_folders_and_lists_in_the_order_they_were_named(folder: Path) -> None:
    (folder / "deep/list.txt").write_text("../b.mp4 3\n\nc.mkv\ngone.mp4\n")
    (folder / "deep/list.csv").write_text("path,label\nc.mkv,1\n")
    assert paths("clip", "b.mp4", "a.mp4") == ["clip", "b.mp4", "a.mp4"]
    assert paths(".") == ["a.mp4", "b.mp4", "deep/c.mkv"]
    assert paths("deep/list.txt", "a.mp4") == ["deep/../b.mp4", "deep/c.mkv", "deep/gone.mp4", "a.mp4"]
    assert paths("deep/list.csv") == ["deep/c.mkv"]


def test_members_of_a_tar(folder: Path) -> None:
    make_tar(folder / "t.tar", [("x/one.mp4", b"12345"), ("/abs.mp4", b"1")])
    outside, video = named_videos(["t.tar"])
    assert outside.path == "t.tar/abs.mp4", "not a file of this machine"
    assert video.path == "t.tar/x/one.mp4"
    with video.file.open() as file:
        assert file.read() == b"12345"


def test_standard_input_takes_names_of_any_bytes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = io.BytesIO(b"b.mp4\n\n caf\xe9.mp4\r\n")
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=lines))
    assert paths("-", "a.mp4") == ["b.mp4", os.fsdecode(b" caf\xe9.mp4"), "a.mp4"]


def test_standard_input_with_the_marks_of_find_print0(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"a.mp4\0b.mp4\0")))
    with pytest.raises(DataError, match="Standard input: has a NUL byte; one path a line"):
        named_videos(["-"])


def test_class_names_that_are_empty_or_there_twice() -> None:
    for names in ("a dog,a cat", [1, 2]):  # the letters of a text would do as names
        with pytest.raises(ValueError, match="must be a list of texts"):
            check_names(names)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="one is empty"):
        check_names(["", ""])
    with pytest.raises(DataError, match=r"got a\)"):
        check_names(["a", "b", "a"])


def test_what_names_nothing_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "none").mkdir()
    (folder / "none.txt").write_text("\n")
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"\n")))
    for word, reason in (
        ("gone.mp4", "no such file"),
        ("gone.txt", "no such file"),
        ("none", "no videos"),
        ("none.txt", "names no videos"),
        ("-", "No videos"),
    ):
        with pytest.raises(BikeError, match=reason):
            named_videos([word])


def test_a_model_that_is_not_there(folder: Path) -> None:
    with pytest.raises(BikeError, match=r"gone\.pt: no such file"):
        check_model(Path("gone.pt"), None)
    with pytest.raises(WeightsError, match=r"ViT-B/23: no such file.*Did you mean 'ViT-B/32'"):
        check_model(None, "ViT-B/23")
    for checkpoint, weights in ((Path("clip"), None), (Path("deep"), None), (None, "clip"), (None, "ViT-B/32")):
        check_model(checkpoint, weights)
