"""Shards beside other people's files, of lists that lead elsewhere, of JPEGs that are traps."""

from __future__ import annotations

import io
import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from helpers.shards import Data, contents, frame_numbers, jpeg, make_data, picture
from helpers.videos import make_video
from PIL import Image
from typer.testing import CliRunner

from bike.annotate.run import annotate
from bike.cli import build_app
from bike.errors import BikeError, DataError, ParamsError
from bike.extract.run import extract_videos
from bike.formats.packs import read_frames, scan_offsets
from bike.frames.open import FolderSource, PackSource, ShardSource
from bike.params import Extract
from bike.records import Sample, read_list, read_manifest, write_list, write_manifest
from bike.shard.run import write_shards
from bike.shard.verify import verify_shards


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return make_data(tmp_path, [5, 9, 2, 6])


# Other people's files


def test_other_tars_stay(data: Data, tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    shards.mkdir()
    (shards / "backup.tar").write_bytes(b"mine")
    (shards / "fffff.tar").write_bytes(b"mine, too")
    write_shards(data.list, data.frames, shards, max_size_mb=0.01, jobs=1)
    with pytest.raises(BikeError, match=r"thrown away \(\d+ shards, .*another max_size_mb, \d+ videos that"):
        write_shards(data.samples[:1], data.frames, shards, jobs=1)
    write_shards(data.samples[:1], data.frames, shards, jobs=1, replace=True)
    assert sorted(path.name for path in shards.glob("*.tar")) == ["00000.tar", "backup.tar", "fffff.tar"]
    assert (shards / "fffff.tar").read_bytes() == b"mine, too"


def test_another_manifest_is_not_replaced(data: Data, tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    shards.mkdir()
    (shards / "manifest.json").write_text('{"mine": 1}')
    with pytest.raises(BikeError, match="was not written by `bike shard`"):
        write_shards(data.list, data.frames, shards, jobs=1)
    assert contents(shards) == {"manifest.json": b'{"mine": 1}'}
    (shards / "manifest.json").write_text('{"format": "bike-sh')  # a damaged one is
    write_shards(data.list, data.frames, shards, jobs=1)
    verify_shards(shards, jobs=1)


@pytest.mark.parametrize("arguments", [["s3://bucket/x", "--frames", "f"], ["--verify"]])
def test_addresses_are_no_folders(tmp_path: Path, arguments: list[str]) -> None:
    result = CliRunner().invoke(build_app(), ["shard", "http://host/list.csv", *arguments])
    assert isinstance(result.exception, ParamsError)
    assert "written and checked in a folder" in str(result.exception)
    assert not (tmp_path / "s3:").exists()


@pytest.mark.parametrize(("name", "value"), [("videos", 5), ("bytes", 7), ("payload", "mp3")])
def test_a_manifest_that_contradicts_itself(data: Data, tmp_path: Path, name: str, value: object) -> None:
    shards = tmp_path / "shards"
    write_shards(data.list, data.frames, shards, jobs=1)
    content = json.loads((shards / "manifest.json").read_text())
    (shards / "manifest.json").write_text(json.dumps(content | {name: value}))
    with pytest.raises(DataError, match=name):
        verify_shards(shards, jobs=1)


def test_no_frames_is_one_line(data: Data, tmp_path: Path) -> None:
    records = [replace(record, frames=0) for record in read_manifest(data.frames / "manifest.csv")]
    write_manifest(data.frames / "manifest.csv", records)
    with pytest.raises(DataError, match=r"4 of 4 videos .* 0 frames in the manifest"):
        write_shards([replace(sample, frames=0) for sample in data.samples], data.frames, tmp_path / "shards", jobs=1)


# What leads elsewhere, or never ends


@pytest.mark.parametrize("field", ["key", "video"])
@pytest.mark.parametrize("value", ["../../outside", "/etc/passwd", "a.b", "a b"])
def test_keys_of_a_list_are_names(tmp_path: Path, field: str, value: str) -> None:
    sample = replace(Sample("a", "a", "a.mp4", (0,), 5), **{field: value})
    write_list(tmp_path / "list.csv", [sample])
    with pytest.raises(DataError, match="a bad key or a duplicate key"):
        read_list(tmp_path / "list.csv")


@pytest.mark.parametrize("frames", [-1, 1 << 31, 10**30])
def test_frame_counts_of_a_list_are_possible_ones(tmp_path: Path, frames: int) -> None:
    write_list(tmp_path / "list.csv", [Sample("a", "a", "a.mp4", (0,), frames)])
    with pytest.raises(DataError, match=r"list\.csv: rows with a bad value.*line 2"):
        read_list(tmp_path / "list.csv")


def test_pipes_are_refused(data: Data, tmp_path: Path) -> None:
    """Opening one for reading would wait for a writer."""
    key = data.samples[0].video
    write_shards(data.list, data.frames, tmp_path / "shards", jobs=1)
    folder = tmp_path / "folders" / "a"
    folder.mkdir(parents=True)
    source = (
        ShardSource(tmp_path / "shards"),
        PackSource(data.frames),
        FolderSource(tmp_path / "folders", [Sample("a", "a", "a", (0,), 1)]),
    )
    for path in (tmp_path / "shards/00000.tar", data.frames / f"{key}.mjpg", folder / "img_00001.jpg"):
        path.unlink(missing_ok=True)
        os.mkfifo(path)
    problems: list[str] = []

    def read() -> None:
        for place, video in zip(source, (key, key, "a"), strict=True):
            try:
                place.read(video, [0])
            except DataError as error:
                problems.append(str(error))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(30)
    assert len(problems) == 3
    assert all("not a plain file" in problem for problem in problems)


def many_scans(scans: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture(0, 0, 1200, 1600)).save(out, "JPEG", progressive=True)
    data = out.getvalue()
    start = data.rindex(b"\xff\xda")
    return data[:start] + data[start:-2] * scans + data[-2:]


@pytest.mark.parametrize(
    ("data", "count", "said"),
    [
        (jpeg(np.zeros((1, 3000, 3), np.uint8)), 1, "3000×1"),
        (jpeg(np.zeros((3000, 2, 3), np.uint8)), 1, "2×3000"),
        (many_scans(100), 1, "too many scans"),
        (jpeg(np.zeros((4096, 4096, 3), np.uint8)), 65, "65 frames of 4096×4096 pixels are too many at once"),
    ],
)
def test_jpegs_that_ask_for_too_much(data: bytes, count: int, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_frames(data, [0, len(data)], [0] * count)


def test_common_progressive_jpegs_are_read() -> None:
    data = many_scans(1)
    assert frame_numbers(read_frames(data, scan_offsets(data), [0])) == [0]
    assert simplejpeg.decode_jpeg_header(data)[:2] == (1200, 1600)


# Videos as they are


@pytest.mark.parametrize("fps", [None, 5.0, 20.0])
def test_videos_need_their_own_frames(tmp_path: Path, fps: float | None) -> None:
    make_video(tmp_path / "videos/a.mp4", 40, fps=10)
    extract_videos(tmp_path / "videos", tmp_path / "frames", options=Extract(fps=fps), jobs=1)
    place = tmp_path / "frames/manifest.csv", tmp_path / "frames", tmp_path / "shards"
    if fps is None:
        assert write_shards(*place, payload="mp4", media=tmp_path / "videos", jobs=1).videos == 1
        return
    with pytest.raises(DataError, match=r"about 40 frames at 10 a second, the manifest says .* without --fps"):
        write_shards(*place, payload="mp4", media=tmp_path / "videos", jobs=1)


def test_a_published_list_of_frame_folders_has_keys(tmp_path: Path) -> None:
    """`bike extract --layout folders` names folders by key, and so does the list that goes with them."""
    for name in ("run/a b.mp4", "jump/c.mp4"):
        make_video(tmp_path / "videos" / name, 10)
    extract_videos(tmp_path / "videos", tmp_path / "frames", jobs=1, options=Extract(), layout="folders")
    annotate("folders", tmp_path / "videos", tmp_path / "frames", tmp_path / "lists")
    write_shards(tmp_path / "lists/train.txt", tmp_path / "frames", tmp_path / "shards", jobs=1)
    write_shards(tmp_path / "lists/train.csv", tmp_path / "frames", tmp_path / "same", jobs=1)
    for folder in ("shards", "same"):
        assert set(ShardSource(tmp_path / folder).index.keys) == {
            record.key for record in read_manifest(tmp_path / "frames/manifest.csv")
        }
    with pytest.raises(DataError, match=r"1 of 1 .* x: not in the manifest. Does the list belong to these frames\?"):
        write_shards([Sample("x", "x", "x", (0,), 10)], tmp_path / "frames", tmp_path / "none", jobs=1)
