"""Extraction from end to end on generated videos."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
import typer
from helpers.videos import ODD_NAMES, cut, digests, make_tar, make_video, read_number, read_pack
from typer.testing import CliRunner, Result

from bike.cli import guarded
from bike.commands.extract import extract
from bike.errors import BikeError, DataError
from bike.extract.run import extract_videos
from bike.files.names import video_keys
from bike.formats.packs import scan_offsets
from bike.params import Extract
from bike.records import VideoRecord, read_manifest


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five good videos, and three that are to be rejected."""
    folder = tmp_path_factory.mktemp("videos")
    make_video(folder / "a.mp4", 12)
    make_video(folder / "sub" / "b.avi", 9, codec="mpeg4", options={"bf": "2"})
    make_video(folder / "sub" / "tall.mp4", 5, rotation=90)
    make_video(folder / "vfr.mkv", 6, times=[0, 100, 150, 900, 1000, 1500])
    make_video(folder / "wide.mp4", 4, pixel_aspect=Fraction(2))
    whole = tmp_path_factory.mktemp("whole") / "whole.mp4"
    cut(make_video(whole, 30, container_options={"movflags": "faststart"}), folder / "cut.mp4", 0.8)
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("no video")
    (folder / "notes.txt").write_text("passed over")
    return folder


def by_path(records: list[VideoRecord]) -> dict[str, VideoRecord]:
    return {record.path: record for record in records}


@pytest.fixture(scope="module")
def extracted(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frames")
    extract_videos(videos, folder)
    return folder


def test_manifest_and_packs_say_what_is_there(extracted: Path) -> None:
    records = read_manifest(extracted / "manifest.csv")
    found = by_path(records)
    assert list(found) == sorted(found)
    assert {path: (r.frames, r.width, r.height, r.fps) for path, r in found.items() if r.status == "ok"} == {
        "a.mp4": (12, 80, 48, 10.0),
        "sub/b.avi": (9, 80, 48, 10.0),
        "sub/tall.mp4": (5, 48, 80, 10.0),
        "vfr.mkv": (6, 80, 48, round(5 / 1.5, 6)),
        "wide.mp4": (4, 160, 48, 10.0),
    }
    rejected = [record for record in records if record.status != "ok"]
    assert [record.path for record in rejected] == ["cut.mp4", "empty.mp4", "text.mp4"]
    assert re.fullmatch(r"truncated: \d+ of 30 frames", rejected[0].error)
    reasons = ["empty file (0 bytes)", "not a video (no known container format)"]
    assert [record.error for record in rejected[1:]] == reasons
    for record in records:
        pack = extracted / f"{record.key}.mjpg"
        if record.status == "ok":
            assert record.error == ""
            assert record.seconds == pytest.approx(record.frames / record.fps, abs=1e-5)
            assert pack.stat().st_size == record.bytes
            assert len(scan_offsets(pack.read_bytes())) == record.frames + 1
            if record.path != "sub/tall.mp4":
                frames = read_pack(pack, range(record.frames))
                assert [read_number(frame) for frame in frames] == list(range(record.frames))
        else:
            assert not pack.exists()
            assert (record.frames, record.bytes) == (0, 0)
    assert sorted(path.name for path in extracted.iterdir() if path.name.startswith(".")) == [".extract.jsonl"]


def test_a_second_run_does_nothing(videos: Path, extracted: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in extracted.iterdir()}
    records = extract_videos(videos, extracted, jobs=2)
    assert {path: path.stat().st_mtime_ns for path in extracted.iterdir()} == before
    assert records == read_manifest(extracted / "manifest.csv")


def test_neither_the_number_of_jobs_nor_a_tar_changes_a_byte(videos: Path, extracted: Path, tmp_path: Path) -> None:
    extract_videos(videos, tmp_path / "jobs", jobs=4)
    files = [path for path in sorted(videos.rglob("*")) if path.is_file()]
    members = [(str(path.relative_to(videos)), path.read_bytes()) for path in files]
    extract_videos(make_tar(tmp_path / "videos.tar", members), tmp_path / "tar")
    assert digests(tmp_path / "jobs") == digests(tmp_path / "tar") == digests(extracted)


def test_folders_hold_the_same_jpegs(videos: Path, extracted: Path, tmp_path: Path) -> None:
    records = extract_videos(videos, tmp_path, layout="folders")
    assert records == read_manifest(extracted / "manifest.csv")
    for record in records:
        files = sorted((tmp_path / record.key).glob("*"))
        assert len(files) == record.frames
        if files:
            assert files[0].name == "img_00001.jpg"
            assert b"".join(path.read_bytes() for path in files) == (extracted / f"{record.key}.mjpg").read_bytes()
    again = extract_videos(videos, tmp_path, replace=True)
    assert again == records
    assert not (tmp_path / "a").exists()
    assert digests(tmp_path) == digests(extracted)


def test_changed_options_redo_what_they_touch(videos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = by_path(extract_videos(videos, tmp_path))
    times = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.mjpg")}
    caplog.set_level(logging.INFO, "bike")
    partial = by_path(extract_videos(videos, tmp_path, jobs=1, options=Extract(keep_partial=True)))
    assert "extract: 7 of 8 videos are done already" in caplog.text
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in times} == times
    kept = partial.pop("cut.mp4")
    assert kept.status == "ok"
    assert kept.error == first["cut.mp4"].error == f"truncated: {kept.frames} of 30 frames"
    assert len(scan_offsets((tmp_path / "cut.mjpg").read_bytes())) == kept.frames + 1
    assert partial == {path: record for path, record in first.items() if path != "cut.mp4"}
    with pytest.raises(BikeError, match=r"thrown away \(6 videos' frames of 256 px, .* kB; other options\)"):
        extract_videos(videos, tmp_path, jobs=1, options=Extract(short_side=24))
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in times} == times
    small = by_path(extract_videos(videos, tmp_path, jobs=1, options=Extract(short_side=24), replace=True))
    assert (small["a.mp4"].width, small["a.mp4"].height, small["a.mp4"].frames) == (40, 24, 12)
    assert small["cut.mp4"].status == "rejected"
    assert not (tmp_path / "cut.mjpg").exists()
    coarse = by_path(extract_videos(videos, tmp_path, jobs=1, options=Extract(short_side=24, quality=20), replace=True))
    assert coarse["a.mp4"].bytes < small["a.mp4"].bytes


def test_a_changed_or_lost_file_is_done_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name, count in (("a.mp4", 3), ("b.mp4", 4), ("c.mp4", 5)):
        make_video(tmp_path / "in" / name, count)
    extract_videos(tmp_path / "in", tmp_path / "out")
    make_video(tmp_path / "in" / "a.mp4", 6)
    (tmp_path / "out" / "b.mjpg").unlink()
    (tmp_path / "in" / "c.mp4").unlink()
    make_video(tmp_path / "in" / "d.mp4", 2)
    caplog.set_level(logging.INFO, "bike")
    with pytest.raises(BikeError, match=r"1 not among the videos now"):
        extract_videos(tmp_path / "in", tmp_path / "out")
    records = extract_videos(tmp_path / "in", tmp_path / "out", replace=True)
    assert {record.path: record.frames for record in records} == {"a.mp4": 6, "b.mp4": 4, "d.mp4": 2}
    assert len(scan_offsets((tmp_path / "out" / "b.mjpg").read_bytes())) == 5
    assert "extract: 3/3 videos" in caplog.text


def test_a_name_that_becomes_ambiguous_gets_another_key(tmp_path: Path) -> None:
    make_video(tmp_path / "in" / "a.mp4", 3)
    extract_videos(tmp_path / "in", tmp_path / "out")
    make_video(tmp_path / "in" / "A.mkv", 4)
    records = extract_videos(tmp_path / "in", tmp_path / "out")
    assert len({record.key.lower() for record in records}) == 2
    packs = {path.name: len(scan_offsets(path.read_bytes())) - 1 for path in (tmp_path / "out").glob("*.mjpg")}
    assert packs == {f"{record.key}.mjpg": record.frames for record in records}


@pytest.mark.parametrize("backend", ["pyav", "ffmpeg"])
def test_odd_names_round_trip(tmp_path: Path, backend: str) -> None:
    data = make_video(tmp_path / "one.mp4", 2).read_bytes()
    (tmp_path / "in").mkdir()
    for name in ODD_NAMES:
        with open(os.path.join(os.fsencode(tmp_path / "in"), name), "wb") as file:  # noqa: PTH118, PTH123
            file.write(data)
    records = extract_videos(tmp_path / "in", tmp_path / "out", jobs=2, options=Extract(backend=backend))  # type: ignore[arg-type]
    assert [record.status for record in records] == ["ok"] * len(ODD_NAMES)
    again = read_manifest(tmp_path / "out" / "manifest.csv")
    assert again == records
    assert sorted(os.fsencode(record.path) for record in again) == sorted(ODD_NAMES)
    assert [record.key for record in again] == video_keys([record.path for record in again])
    packs = {path.name for path in (tmp_path / "out").glob("*.mjpg")}
    assert packs == {f"{record.key}.mjpg" for record in again}
    assert not (tmp_path / "pwned").exists()
    assert not Path("pwned").exists()


def test_odd_names_in_a_tar(tmp_path: Path) -> None:
    data = make_video(tmp_path / "one.mp4", 2).read_bytes()
    names = [*map(os.fsdecode, ODD_NAMES[:6]), "/abs.mp4", "../up.mp4"]
    tar = make_tar(tmp_path / "a.tar", [(name, data) for name in names])
    records = by_path(extract_videos(tar, tmp_path / "deep" / "out"))
    assert {path for path, record in records.items() if record.status != "ok"} == {"/abs.mp4", "../up.mp4"}
    assert all("leads out" in record.error for record in records.values() if record.status != "ok")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "deep", "one.mp4"]


def test_a_list_picks_and_missing_files_are_rejected(videos: Path, tmp_path: Path) -> None:
    listing = tmp_path / "list.txt"
    listing.write_text("a.mp4 0\nsub//b.avi 1\nnone.mp4 2\n")
    records = extract_videos(videos, tmp_path / "out", listing=listing)
    assert [(record.path, record.status, record.error) for record in records] == [
        ("a.mp4", "ok", ""),
        ("none.mp4", "rejected", "no such file"),
        ("sub/b.avi", "ok", ""),
    ]
    before = (tmp_path / "out" / "manifest.csv").stat().st_mtime_ns
    extract_videos(videos, tmp_path / "out", listing=listing)
    assert (tmp_path / "out" / "manifest.csv").stat().st_mtime_ns == before
    with pytest.raises(DataError, match=r"1 of 3 videos rejected: none\.mp4 \(no such file\)"):
        extract_videos(videos, tmp_path / "out", listing=listing, strict=True)


def test_a_hanging_video_is_given_up_and_the_rest_goes_on(tmp_path: Path) -> None:
    """A Matroska file whose second half is a terabyte of nothing, through which the reader looks for more."""
    for number in range(3):
        make_video(tmp_path / "in" / f"{number}.mp4", 4)
    hanging = make_video(tmp_path / "in" / "hang.mkv", 10)
    with hanging.open("r+b") as file:
        file.truncate(hanging.stat().st_size // 2)
        file.truncate(1 << 40)
    records = by_path(extract_videos(tmp_path / "in", tmp_path / "out", jobs=2, options=Extract(timeout_seconds=3)))
    assert records["hang.mkv"].error == "timed out after 3 s"
    assert [records[f"{number}.mp4"].frames for number in range(3)] == [4, 4, 4]
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [".extract.jsonl", "0.mjpg", "1.mjpg", "2.mjpg", "manifest.csv"]
    before = (tmp_path / "out" / "manifest.csv").stat().st_mtime_ns
    extract_videos(tmp_path / "in", tmp_path / "out", jobs=2, options=Extract(timeout_seconds=3))
    assert (tmp_path / "out" / "manifest.csv").stat().st_mtime_ns == before


def run_command(*arguments: str) -> tuple[int, str]:
    """Exit status and standard output of ``bike extract``."""
    app = typer.Typer()
    app.command()(extract)
    results: list[Result] = []
    status = guarded(lambda: results.append(CliRunner().invoke(app, arguments, catch_exceptions=False)))
    return status or results[0].exit_code, results[0].output if results else ""


def test_the_command_sums_up(videos: Path, tmp_path: Path) -> None:
    status, output = run_command(str(videos), str(tmp_path / "out"), "--jobs", "1")
    assert status == 0
    assert "5 videos, 36 frames, " in output
    assert "3 rejected" in output
    assert "  empty.mp4: empty file (0 bytes)" in output
    status, again = run_command(str(videos), str(tmp_path / "out"), "--jobs", "1", "--strict")
    assert (status, again) == (3, output)
    status, output = run_command(str(videos / "a.mp4"), str(tmp_path / "fps"), "--fps", "5", "--short-side", "24")
    assert "1 videos, 6 frames" in output


def test_a_variable_sets_the_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []
    monkeypatch.setattr("bike.extract.run.extract_videos", lambda *_, jobs, **__: given.append(jobs) or [])
    for variable, arguments in (("", ()), ("3", ()), ("3", ("--jobs", "2"))):
        monkeypatch.setenv("BIKE_JOBS", variable)
        assert run_command(str(tmp_path), str(tmp_path), *arguments)[0] == 0
    assert given == [None, 3, 2]


def test_helper_processes_stay_small() -> None:
    """Each imports what decodes, not what trains or reads tables, which takes seconds and 50 to 200 MB per core."""
    code = "import sys, bike.extract.video, bike.extract.ffmpeg; sys.exit(bool({'torch', 'pandas'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_commands_defaults_are_the_params_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Extract] = []
    monkeypatch.setattr("bike.extract.run.extract_videos", lambda *_, options, **__: given.append(options) or [])
    assert run_command(str(tmp_path), str(tmp_path))[0] == 0
    assert given == [Extract()]
    app = typer.Typer()
    app.command()(extract)
    said = {option.name: option.help for option in typer.main.get_command(app).params}
    for name, value in Extract().model_dump(exclude={"fps", "keep_partial", "frames_per_video"}).items():
        text = f"{value:g}" if isinstance(value, float) else str(value)
        assert said[name.removesuffix("_seconds")].endswith(f"Default: {text}."), name


def test_frames_beside_the_videos(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", 3)
    with pytest.raises(BikeError, match="is read here"):
        extract_videos(tmp_path, tmp_path / "../" / tmp_path.name)
    first = extract_videos(tmp_path, tmp_path / "frames")
    assert [record.path for record in first] == ["a.mp4"]
    assert extract_videos(tmp_path, tmp_path / "frames") == first
