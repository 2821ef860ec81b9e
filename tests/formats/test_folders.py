"""Folders of numbered JPEGs: `bike annotate` and `bike shard` agree on what is one."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.shards import frame_numbers, jpeg, picture
from typer.testing import CliRunner

from bike.annotate.media import read_media
from bike.cli import build_app
from bike.errors import DataError
from bike.formats.folders import frame_files
from bike.frames.open import ShardSource
from bike.records import read_list


def write_frames(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        (folder / name).write_bytes(jpeg(picture(0, number)))


@pytest.mark.parametrize(
    ("form", "first"),
    [
        ("img_{:05d}.jpg", 1),
        ("image_{:06d}.jpg", 1),
        ("image_{:04d}.jpg", 1),
        ("-x y-{:06d}.jpg", 1),
        ("frame{}.JPG", 0),
        ("{}.jpeg", 1),
    ],
)
def test_annotate_and_shard_take_the_same_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, first: int
) -> None:
    monkeypatch.chdir(tmp_path)
    write_frames(tmp_path / "frames/run/-x y", *(form.format(first + number) for number in range(12)), "cover.jpg")
    for words in (
        ["annotate", "folders", "--source", "frames", "--media", "frames", "--out", "lists"],
        ["shard", "lists/train.txt", "shards", "--frames", "frames", "--jobs", "1"],
    ):
        result = CliRunner().invoke(build_app(), words)
        assert result.exit_code == 0, result.output
    assert (tmp_path / "lists/train.txt").read_text() == "run/-x y 12 0\n"
    source = ShardSource(tmp_path / "shards")
    (sample,) = read_list(tmp_path / "lists/train.csv")
    assert frame_numbers(source.read(sample.key, [0, 9, 11])) == [0, 9, 11]


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["img_00001.jpg", "img_00003.jpg"], "frame 2 is missing (2 frames up to 3)"),
        (["img_00000.jpg", "img_00002.jpg"], "frame 1 is missing"),
        (["img_00002.jpg"], "frame 1 is missing"),
        (["img_00001.jpg", "image_0001.jpg"], "frames of several numberings (image_, img_)"),
        (["a-1.jpg", "a-01.jpg"], "have the same number"),
        (["a-1.jpg", "a-1.jpeg", "a-2.jpg"], "have the same number"),
    ],
)
def test_damaged_folders_are_refused_by_both(tmp_path: Path, names: list[str], reason: str) -> None:
    write_frames(tmp_path / "run/a", *names)
    (record,) = read_media(tmp_path).records
    assert record.status == "rejected"
    assert reason in record.error
    with pytest.raises(DataError) as caught:
        frame_files(tmp_path / "run/a")
    assert str(caught.value) == f"{tmp_path / 'run/a'}: {record.error}"


def test_a_folder_without_frames_or_none_at_all(tmp_path: Path) -> None:
    write_frames(tmp_path / "a", "cover.jpg")
    with pytest.raises(DataError, match="no frames"):
        frame_files(tmp_path / "a")
    with pytest.raises(DataError, match="no videos and no folders of frames"):
        read_media(tmp_path)
    with pytest.raises(DataError, match=r"b: can't be read \(No such file"):
        frame_files(tmp_path / "b")


def test_thumbnails_beside_videos_are_no_frames(tmp_path: Path) -> None:
    write_frames(tmp_path / "run", "v1.jpg", "v2.jpg")
    (tmp_path / "run/v1.mp4").write_text("x")
    media = read_media(tmp_path)
    assert ([record.path for record in media.records], media.kind, media.note) == (["run/v1.mp4"], "videos", "")


def test_what_there_is_less_of_is_noted(tmp_path: Path) -> None:
    write_frames(tmp_path / "run/a", "img_1.jpg")
    for name in ("b.mp4", "c.mp4"):
        (tmp_path / "run" / name).write_text("x")
    words = ["annotate", "folders", "--source", str(tmp_path), "--media", str(tmp_path), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(build_app(), words)
    assert result.exit_code == 0, result.output
    assert result.output.count("1 folders of frames beside the videos are not looked at.") == 1
    assert [sample.path for sample in read_list(tmp_path / "out/train.csv")] == ["run/b.mp4", "run/c.mp4"]
