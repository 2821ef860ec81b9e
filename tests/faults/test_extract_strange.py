"""Extraction beside other people's files, from hostile tars and journals, and over what earlier runs left."""

from __future__ import annotations

import json
import os
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from helpers.videos import cut, make_tar, make_video, numbered_picture, read_number, read_pack

from bike.doctor.data import check_data
from bike.doctor.machine import check_machine
from bike.errors import BikeError, DataError
from bike.extract.journal import JOURNAL_NAME, read_journal
from bike.extract.run import extract_videos
from bike.params import Extract
from bike.video.find import find_videos, read_paths
from bike.workers.dask import run_on_dask


def first_number(pack: Path) -> int:
    data = pack.read_bytes() if pack.is_file() else (pack / "img_00001.jpg").read_bytes()
    (pack.parent / "first.tmp").write_bytes(data)
    return read_number(read_pack(pack.parent / "first.tmp", [0])[0])


def numbered(path: Path, number: int) -> Path:
    return make_video(path, 4, pictures=[numbered_picture(number)] * 4)


# What earlier runs left


@pytest.mark.parametrize("layout", ["packs", "folders"])
def test_videos_that_share_a_key_in_turn(tmp_path: Path, layout: str) -> None:
    for number, name in enumerate(("a.mp4", "a.mkv")):
        numbered(tmp_path / "videos" / name, number + 5)
    out = tmp_path / "out"
    for number, name in [(5, "a.mp4"), (6, "a.mkv"), (5, "a.mp4")]:
        (tmp_path / "list.txt").write_text(name)
        extract_videos(tmp_path / "videos", out, listing=tmp_path / "list.txt", jobs=1, layout=layout, replace=True)  # type: ignore[arg-type]
        assert first_number(out / ("a.mjpg" if layout == "packs" else "a")) == number


def test_frames_of_other_options_never_count(tmp_path: Path) -> None:
    """A run with other options that was killed at the worst moment: frames replaced, nothing noted."""
    make_video(tmp_path / "videos/a.mp4", 6)
    out = tmp_path / "out"
    (record,) = extract_videos(tmp_path / "videos", out, jobs=1, layout="folders")
    whole = {path.name: path.read_bytes() for path in (out / "a").iterdir()}
    other = extract_videos(
        tmp_path / "videos", tmp_path / "coarse", jobs=1, options=Extract(quality=20), layout="folders"
    )
    for path in (tmp_path / "coarse/a").iterdir():
        (out / "a" / path.name).write_bytes(path.read_bytes())
    assert other[0].bytes < record.bytes
    assert "bad" in [check.status for check in check_data(out)]  # the doctor adds up sizes
    with (out / JOURNAL_NAME).open("a") as file:
        file.write('{"void": "a.mp4"}\n')  # as such a run notes first
    (out / "manifest.csv").unlink()
    assert extract_videos(tmp_path / "videos", out, jobs=1, layout="folders") == [record]
    assert {path.name: path.read_bytes() for path in (out / "a").iterdir()} == whole


def test_a_rejected_video_inherits_no_frames(tmp_path: Path) -> None:
    numbered(tmp_path / "videos/b.mp4", 5)
    extract_videos(tmp_path / "videos", tmp_path / "out", jobs=1)
    (tmp_path / "videos/b.mp4").unlink()
    (tmp_path / "videos/b.mkv").write_bytes(b"no video")
    (record,) = extract_videos(tmp_path / "videos", tmp_path / "out", jobs=1, replace=True)
    assert (record.key, record.status) == ("b", "rejected")
    assert not (tmp_path / "out/b.mjpg").exists()


def test_finished_work_goes_video_by_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its note first, then its frames; those whose turn has not come stay, as a Ctrl-C may follow at once."""
    for name in "ab":
        make_video(tmp_path / f"videos/{name}.mp4", 3)
    whole = extract_videos(tmp_path / "videos", tmp_path / "out", jobs=1)
    monkeypatch.setattr("bike.extract.run._BEGUN_AT_ONCE", 1)

    def killed(_: object, tasks: Iterator[object], **__: object) -> Iterator[None]:
        next(tasks)
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr("bike.extract.run.run_tasks", killed)
    with pytest.raises(KeyboardInterrupt):
        extract_videos(tmp_path / "videos", tmp_path / "out", jobs=1, options=Extract(quality=20), replace=True)
    assert set(read_journal(tmp_path / "out")) == {"b.mp4"}
    assert [path.name for path in (tmp_path / "out").glob("*.mjpg")] == ["b.mjpg"]
    monkeypatch.undo()
    assert extract_videos(tmp_path / "videos", tmp_path / "out", jobs=1) == whole


# Other people's files


def test_a_list_is_not_replaced_by_the_manifest(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", 3)
    mine = tmp_path / "manifest.csv"
    mine.write_text("path,label\na.mp4,run\n")
    for arguments in ((mine, tmp_path), (tmp_path / "a.mp4", tmp_path)):
        with pytest.raises(BikeError, match="manifest.csv: (is read here|was not written by `bike extract`)"):
            extract_videos(*arguments, jobs=1)
    with pytest.raises(BikeError, match="is read here"):
        extract_videos(tmp_path / "a.mp4", tmp_path, listing=mine, jobs=1)
    assert mine.read_text() == "path,label\na.mp4,run\n"


def test_frames_that_are_not_ours_stay_when_a_video_is_rejected(tmp_path: Path) -> None:
    sound = make_video(tmp_path / "x/b.mp4", 20)
    cut(sound, tmp_path / "b.mp4", 0.5)
    (tmp_path / "b").mkdir()
    (tmp_path / "b/img_00001.jpg").write_text("mine")
    (tmp_path / "b.mjpg").write_text("mine")
    for _ in "ab":
        with pytest.raises(BikeError, match=r"b\.mjpg: is there already, and `bike extract` has no record"):
            extract_videos(tmp_path / "b.mp4", tmp_path, jobs=1)
        assert (tmp_path / "b/img_00001.jpg").read_text() == (tmp_path / "b.mjpg").read_text() == "mine"


def test_frames_in_the_place_of_a_rejected_video_are_not_ours(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/b.mp4").write_bytes(b"no video")
    (record,) = extract_videos(tmp_path / "videos", tmp_path / "out", jobs=1)
    assert record.status == "rejected"
    (tmp_path / "out/b.mjpg").write_text("mine")
    make_video(tmp_path / "videos/b.mp4", 3)
    with pytest.raises(BikeError, match=r"b\.mjpg: is there already, and `bike extract` has no record"):
        extract_videos(tmp_path / "videos", tmp_path / "out", jobs=1, replace=True)
    assert (tmp_path / "out/b.mjpg").read_text() == "mine"


@pytest.mark.parametrize(
    "line",
    [
        '{"record": {"key": "../victim", "path": "a.mp4", "status": "ok", "frames": 1}, "partial": false, '
        '"stamp": [1], "recipe": "{}", "keep_partial": false, "limit_seconds": 0}',
        '{"record": {"key": "a", "path": "a.mp4", "status": "ok", "frames": "x"}, "partial": false, "stamp": [1], '
        '"recipe": "{}", "keep_partial": false, "limit_seconds": 0}',
        '{"record": {"key": "a", "path": "a.mp4", "status": "ok"}, "partial": false, "stamp": [Infinity], '
        '"recipe": "{}", "keep_partial": false, "limit_seconds": 0}',
        '{"record": {"key": "a", "path": "a.mp4", "status": "no"}, "partial": false, "stamp": [1], '
        '"recipe": "zz", "keep_partial": false, "limit_seconds": 0}',
        "[" * 100_000,
        '{"void": ["a"]}',
        '"void"',
    ],
)
def test_journals_of_strangers(tmp_path: Path, line: str) -> None:
    make_video(tmp_path / "videos/a.mp4", 3)
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim/img_00001.jpg").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / JOURNAL_NAME).write_text(f"{line}\n")
    (record,) = extract_videos(tmp_path / "videos", tmp_path / "out", jobs=1)
    assert record.frames == 3
    assert (tmp_path / "victim/img_00001.jpg").read_text() == "mine"


# Sources


def test_a_tar_and_a_file_of_one_name_are_two_videos(tmp_path: Path) -> None:
    data = numbered(tmp_path / "other.mp4", 9).read_bytes()
    folder = tmp_path / "videos"
    numbered(folder / "a.mp4", 5)
    numbered(folder / "t/a.mp4", 6)
    for name in ("t.tar", "u.tar"):
        make_tar(folder / name, [("a.mp4", data)])
    records = extract_videos(folder, tmp_path / "out", jobs=1)
    assert [record.path for record in records] == ["a.mp4", "t.tar/a.mp4", "t/a.mp4", "u/a.mp4"]
    assert [first_number(tmp_path / "out" / f"{record.key}.mjpg") for record in records] == [5, 9, 6, 9]


def test_names_given_by_a_json_replace_no_others(tmp_path: Path) -> None:
    members: list[tuple[str, bytes]] = []
    for stem, path in (("000", "b.mp4"), ("001", "c.mp4"), ("002", "c.mp4"), ("003", "\ud800x.mp4")):
        members += [(f"{stem}.json", json.dumps({"path": path}).encode()), (f"{stem}.mp4", stem.encode())]
    members += [("b.mp4", b"b"), ("._b.mp4", b"what a Mac leaves")]
    found = find_videos(make_tar(tmp_path / "t.tar", members))
    assert [video.path for video in found] == ["000.mp4", "002.mp4", "003.mp4", "b.mp4", "c.mp4"]


@pytest.mark.parametrize("kind", [b"0", b"L", b"x", b"S"])
def test_tars_that_go_in_circles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: bytes) -> None:
    """A negative size in a header, with a tarfile that follows it, as that of Python 3.11.2 does."""
    monkeypatch.setattr(tarfile.TarInfo, "_block", lambda _, count: -(-count // 512) * 512)
    data = bytearray(make_tar(tmp_path / "t.tar", [("a.mp4", b"x" * 100), ("b.mp4", b"y" * 100)]).read_bytes())
    header = slice(1024, 1536)
    block = bytearray(data[header])
    block[124:136], block[156:157] = (-512).to_bytes(12, "big", signed=True), kind
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    data[header] = block
    (tmp_path / "t.tar").write_bytes(data)
    with pytest.raises(DataError, match="not a sound, uncompressed tar"):
        find_videos(tmp_path / "t.tar")


@pytest.mark.parametrize("size", ["-512", "-1", "99999999999999999999"])
def test_extended_headers_that_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: str) -> None:
    monkeypatch.setattr(tarfile.TarInfo, "_block", lambda _, count: -(-count // 512) * 512)
    with tarfile.open(tmp_path / "t.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("a.mp4")
        member.pax_headers = {"size": size}
        tar.addfile(member)
    with pytest.raises(DataError, match="not a sound, uncompressed tar"):
        find_videos(tmp_path / "t.tar")


def test_sparse_maps_that_lie(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "s.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("a.mp4")
        member.pax_headers = {"GNU.sparse.map": "abc"}
        tar.addfile(member)
    with pytest.raises(DataError, match="not a sound, uncompressed tar"):
        find_videos(tmp_path / "s.tar")


def test_lists_lead_nowhere_else(tmp_path: Path) -> None:
    make_video(tmp_path / "videos/a.mp4", 3)
    make_video(tmp_path / "secret/b.mp4", 3)
    inside, outside = tmp_path / "videos/a.mp4", tmp_path / "secret/b.mp4"
    (tmp_path / "list.txt").write_text(f"{inside}\n{outside}\n../secret/b.mp4\n..\n")
    found = find_videos(tmp_path / "videos", listing=tmp_path / "list.txt")
    (tmp_path / "link").symlink_to(tmp_path / "videos")
    linked = find_videos(tmp_path / "link", listing=tmp_path / "list.txt")
    assert [video.problem for video in linked if video.path == "a.mp4"] == [""]
    assert {video.path: video.problem for video in found} == {
        "a.mp4": "",
        str(outside): "its path leads out of the source folder",
        "../secret/b.mp4": "its path leads out of the source folder",
        "..": "its path leads out of the source folder",
    }


def test_lists_from_pipes_and_of_tars(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_text("a.mp4\nb.mp4\n"), daemon=True)
    writer.start()
    assert read_paths(tmp_path / "pipe", tmp_path) == ["a.mp4", "b.mp4"]
    writer.join()
    make_tar(tmp_path / "t.tar", [])
    (tmp_path / "list.txt").write_text("t.tar\n")
    assert [video.problem for video in find_videos(tmp_path / "list.txt")] == [
        "a tar; give it, or the folder it lies in, as the source"
    ]
    make_video(tmp_path / "v.mp4", 3)
    with pytest.raises(BikeError, match="is a file; with a list"):
        find_videos(tmp_path / "v.mp4", listing=tmp_path / "list.txt")


# The other backend


@pytest.mark.parametrize("backend", ["pyav", "ffmpeg"])
def test_pictures_that_change_their_size(tmp_path: Path, backend: str) -> None:
    parts = [
        make_video(tmp_path / f"{width}.h264", 5, width=width, height=height, options={"bf": "0"})
        for width, height in ((160, 96), (320, 240))
    ]
    stream = tmp_path / "both.h264"
    stream.write_bytes(b"".join(part.read_bytes() for part in parts))
    with av.open(str(stream)) as source, av.open(str(tmp_path / "both.ts"), "w") as target:
        out = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(packet for packet in source.demux(video=0) if packet.size):
            packet.stream = out
            packet.pts = packet.dts = 9000 * number
            target.mux(packet)
    (record,) = extract_videos(tmp_path / "both.ts", tmp_path / "out", jobs=1, options=Extract(backend=backend))  # type: ignore[arg-type]
    assert (record.status, record.frames, record.width, record.height) == ("ok", 10, 160, 96)
    assert record.error == "the picture changes from 160 x 96 to 320 x 240 px at frame 5"
    frames = read_pack(tmp_path / "out/both.mjpg", range(10))
    assert [read_number(frame) for frame in frames] == [0, 1, 2, 3, 4] * 2


# The doctor


def test_the_doctor_reads_frame_folders(tmp_path: Path) -> None:
    make_video(tmp_path / "videos/a.mp4", 6)
    extract_videos(tmp_path / "videos", tmp_path / "out", jobs=1, layout="folders")
    checks = check_data(tmp_path / "out")
    assert [check.status for check in checks] == ["ok", "ok"]
    assert checks[0].detail.startswith("frame folders of 1 videos, 6 frames")
    picture = tmp_path / "out/a/img_00001.jpg"
    picture.write_bytes(bytes(picture.stat().st_size))
    assert [check.status for check in check_data(tmp_path / "out")] == ["ok", "bad"]
    (tmp_path / "out/a/img_00003.jpg").unlink()
    assert "bad" in [check.status for check in check_data(tmp_path / "out") if check.subject == "packs"]


@pytest.mark.parametrize("program", ["#!/bin/false\n", "#!/bin/sh\nprintf '\\377'\n", "#!/bin/sh\nexit 3\n"])
def test_an_ffmpeg_that_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    path = tmp_path / "ffmpeg"
    path.write_text(program)
    path.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(path))
    (check,) = [check for check in check_machine() if check.subject == "ffmpeg"]
    assert check.status == ("ok" if "377" in program else "bad")


# Addresses


@pytest.mark.parametrize("address", ["tcp://", "tcp://[::1", "http://host:1", "tcp://host", "tcp://host:x"])
def test_addresses_that_are_none(address: str) -> None:
    pytest.importorskip("distributed")
    with pytest.raises(BikeError, match="not the address of a scheduler"):
        next(run_on_dask(abs, [1], scheduler=address, timeout_seconds=1.0))
