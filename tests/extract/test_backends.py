"""PyAV and ffmpeg: the same frames in number, time and size, whatever the video."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from helpers.videos import cut, make_tar, make_video, overwrite, read_number, read_pack

from bike.extract.run import extract_videos
from bike.params import Extract
from bike.records import VideoRecord
from bike.video.decode import decode_frames

BACKENDS = ("pyav", "ffmpeg")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    make_video(folder / "plain.mp4", 20)
    make_video(folder / "b-frames.mp4", 20, options={"bf": "3", "g": "8"})
    make_video(folder / "b-frames.avi", 20, codec="mpeg4", options={"bf": "2"})
    make_video(folder / "vp9.webm", 20, codec="libvpx-vp9")
    make_video(folder / "stream.ts", 20)
    make_video(folder / "mjpeg.mov", 20, codec="mjpeg", pixels="yuvj420p", full_range=True)
    make_video(folder / "ten-bit-2020.mp4", 6, pixels="yuv420p10le", matrix=9)
    make_video(folder / "full-444-709.mp4", 6, pixels="yuv444p", matrix=1, full_range=True)
    make_video(folder / "vfr.mkv", 8, fps=25, times=[0, 40, 80, 1000, 1040, 2500, 2540, 2600])
    make_video(folder / "late.mkv", 5, times=[5000, 5100, 5200, 5300, 5400])
    make_video(folder / "rotated.mp4", 5, rotation=-90)
    make_video(folder / "upside-down.mp4", 5, rotation=180)
    make_video(folder / "wide.mp4", 5, pixel_aspect=Fraction(4, 3))
    make_video(folder / "one.mp4", 1)
    make_video(folder / "odd.mp4", 3, width=90, height=53, pixels="yuv444p")
    whole = tmp_path_factory.mktemp("whole") / "whole.mp4"
    make_video(whole, 40, container_options={"movflags": "faststart"})
    cut(whole, folder / "cut.mp4", 0.7)
    overwrite(whole, folder / "damaged.mp4", 0.6, 0.1)
    cut(folder / "vp9.webm", folder / "cut.webm", 0.6)
    (folder / "text.mp4").write_text("no video")
    (folder / "empty.avi").write_bytes(b"")
    return folder


def extract_both(videos: Path, folder: Path, **options: object) -> dict[str, VideoRecord]:
    """Records by path; those of both backends must agree in everything but the JPEGs' bytes."""
    ours, theirs = (
        extract_videos(videos, folder / backend, jobs=2, options=Extract(backend=backend, **options))  # type: ignore[arg-type]
        for backend in BACKENDS
    )
    alike = [
        [replace(each, bytes=0, frames_sha256="", picture_hash="") for each in records] for records in (ours, theirs)
    ]
    assert alike[0] == alike[1]
    return {record.path: record for record in ours}


def test_the_same_frames(videos: Path, tmp_path: Path) -> None:
    records = extract_both(videos, tmp_path, short_side=40)
    assert {path for path, record in records.items() if record.status != "ok"} == {
        "cut.mp4", "cut.webm", "damaged.mp4", "empty.avi", "text.mp4",
    }  # fmt: skip
    for record in records.values():
        if record.status == "ok":
            packs = [read_pack(tmp_path / backend / f"{record.key}.mjpg", range(record.frames)) for backend in BACKENDS]
            upright = [np.rot90(pack, 1, (1, 2)) if record.path == "rotated.mp4" else pack for pack in packs]
            upright = [pack[:, ::-1, ::-1] if record.path == "upside-down.mp4" else pack for pack in upright]
            for pack in upright:
                assert [read_number(frame) for frame in pack] == list(range(record.frames))
            assert np.abs(packs[0].astype(float) - packs[1]).mean() < 4, record.path


def test_the_same_part_of_damaged_videos_and_of_those_in_a_tar(videos: Path, tmp_path: Path) -> None:
    records = extract_both(videos, tmp_path, keep_partial=True)
    kept = {path: record for path, record in records.items() if record.status == "ok" and record.error}
    assert set(kept) == {"cut.mp4", "cut.webm", "damaged.mp4"}
    for record in kept.values():
        for backend in BACKENDS:
            pack = read_pack(tmp_path / backend / f"{record.key}.mjpg", range(record.frames))
            assert [read_number(frame) for frame in pack] == list(range(record.frames))
    tar = make_tar(
        tmp_path / "a.tar", [(name, (videos / name).read_bytes()) for name in ("vfr.mkv", "cut.mp4", "plain.mp4")]
    )
    assert [record.frames for record in extract_both(tar, tmp_path / "out").values()] == [0, 20, 8]


@pytest.mark.parametrize("fps", [4.0, 30.0])
def test_the_same_frames_at_another_rate(videos: Path, tmp_path: Path, fps: float) -> None:
    records = extract_both(videos, tmp_path, fps=fps)
    assert records["plain.mp4"].frames == 2 * fps
    assert records["b-frames.avi"].frames == 2 * fps
    assert records["late.mkv"].frames == 0.5 * fps
    assert records["vfr.mkv"].frames == pytest.approx(2.64 * fps, abs=1)
    assert records["plain.mp4"].fps == fps
    assert records["one.mp4"].frames >= 1
    packs = [read_pack(tmp_path / backend / "vfr.mjpg", range(records["vfr.mkv"].frames)) for backend in BACKENDS]
    shown = [[read_number(frame) for frame in pack] for pack in packs]
    assert shown[0] == shown[1]
    assert shown[0] == sorted(shown[0])


def test_quality_means_the_same(tmp_path: Path) -> None:
    """The JPEG library's quality for each of ffmpeg's: files of like size and like error."""
    coarse = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8).repeat(20, 0).repeat(20, 1)
    picture = np.clip(coarse + np.random.default_rng(1).normal(0, 8, coarse.shape), 0, 255).astype(np.uint8)
    video = make_video(tmp_path / "a.mp4", 2, width=320, height=240, pictures=[picture] * 2, options={"crf": "1"})
    original = decode_frames(video, [0]).astype(float)
    sizes = []
    for quality in (2, 6, 20):
        extract_both(video, tmp_path / str(quality), quality=quality)
        packs = [tmp_path / str(quality) / backend / "a.mjpg" for backend in BACKENDS]
        ours, theirs = (pack.stat().st_size for pack in packs)
        errors = [np.abs(read_pack(pack, [0]) - original).mean() for pack in packs]
        assert 0.6 < ours / theirs < 1.6
        assert 0.6 < errors[0] / errors[1] < 1.6
        sizes.append(ours)
    assert sizes == sorted(sizes, reverse=True)


def test_random_damage_is_judged_alike(videos: Path, tmp_path: Path) -> None:
    """Bytes changed, cut out and cut off anywhere: the same verdict, never a crash or a surprise."""
    random = np.random.default_rng(7)
    folder = tmp_path / "in"
    folder.mkdir()
    sources = [videos / name for name in ("plain.mp4", "b-frames.avi", "vp9.webm", "stream.ts", "mjpeg.mov", "vfr.mkv")]
    for number in range(30):
        source = sources[number % len(sources)]
        data = bytearray(source.read_bytes())
        place = int(random.integers(len(data)))
        if number % 3 == 0:
            data[place : place + 40] = random.bytes(40)
        elif number % 3 == 1:
            del data[place : place + int(random.integers(1, 60))]
        else:
            del data[place + 1 :]
        (folder / f"{number:02d}{source.suffix}").write_bytes(data)
    reasons = {record.error for record in extract_both(folder, tmp_path / "out", keep_partial=True).values()}
    assert not [reason for reason in reasons if "unexpected" in reason or "crashed" in reason or "failed" in reason]
    assert any(reason.startswith(("damaged", "truncated")) for reason in reasons)
