"""Extraction of a few frames of each video: those of a full one, at the same numbers, and nothing else differs."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.places import ROOT
from helpers.shards import jpegs_of
from helpers.videos import cut, digests, make_video

from bike.errors import BikeError
from bike.extract.run import extract_videos
from bike.extract.task import Backend, Layout
from bike.extract.verify import verify_extraction
from bike.files.disk import FAULT
from bike.files.parts import MERGE, Part
from bike.formats.folders import frame_files
from bike.formats.kept import placed_frames
from bike.params import Extract
from bike.records import VideoRecord, read_manifest, write_manifest

N = 4
FEW = Extract(frames_per_video=N)
COUNTED = ("frames", "fps", "width", "height", "seconds", "status", "error", "source_sha256")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Long and short ones, one whose pictures come at odd times, one whose packets are not in order, a damaged one."""
    folder = tmp_path_factory.mktemp("videos")
    make_video(folder / "long.mp4", 30)
    make_video(folder / "reordered.avi", 11, codec="mpeg4", options={"bf": "2"})
    make_video(folder / "short.mp4", N)
    make_video(folder / "times.mkv", 6, times=[0, 100, 150, 900, 1000, 1500])
    whole = tmp_path_factory.mktemp("whole") / "whole.mp4"
    cut(make_video(whole, 30, container_options={"movflags": "faststart"}), folder / "cut.mp4", 0.8)
    return folder


def frames_of(folder: Path, record: VideoRecord, layout: Layout = "packs") -> list[bytes]:
    if layout == "packs":
        return jpegs_of(folder / f"{record.key}.mjpg")
    return [file.read_bytes() for file in frame_files(folder / record.key)]


@pytest.mark.parametrize("fps", [None, 4.0, 25.0])
@pytest.mark.parametrize(("backend", "layout"), [("pyav", "packs"), ("ffmpeg", "packs"), ("pyav", "folders")])
def test_kept_frames_are_those_of_a_full_extraction(
    videos: Path, tmp_path: Path, fps: float | None, backend: Backend, layout: Layout
) -> None:
    options = Extract(fps=fps, backend=backend, keep_partial=True)
    every = extract_videos(videos, tmp_path / "all", jobs=1, layout=layout, options=options)
    few = extract_videos(
        videos, tmp_path / "few", jobs=1, layout=layout, options=options.model_copy(update={"frames_per_video": N})
    )
    assert few == read_manifest(tmp_path / "few/manifest.csv")
    assert sum(record.kept != "" for record in few) >= 3
    for whole, thin in zip(every, few, strict=True):
        assert {name: getattr(thin, name) for name in COUNTED} == {name: getattr(whole, name) for name in COUNTED}
        placed = placed_frames(whole.frames, N)
        jpegs = frames_of(tmp_path / "all", whole, layout)
        assert frames_of(tmp_path / "few", thin, layout) == [jpegs[number] for number in placed]
        assert thin.kept == ("" if whole.frames <= N else " ".join(map(str, placed)))
        assert (thin.num_kept, thin.bytes) == (len(placed), sum(len(jpegs[number]) for number in placed))
        if whole.frames <= N:
            # Bits of the picture hash that are nearly faint may differ: pixels before JPEG here, and after it there.
            assert replace(thin, picture_hash="") == replace(whole, picture_hash="")


@pytest.mark.parametrize("backend", ["pyav", "ffmpeg"])
def test_a_damaged_video_is_rejected_all_the_same(videos: Path, tmp_path: Path, backend: Backend) -> None:
    """All of it is decoded: damage between the frames that are kept is no smaller fault."""
    records = extract_videos(videos, tmp_path, jobs=1, options=Extract(frames_per_video=1, backend=backend))
    (bad,) = [record for record in records if record.status != "ok"]
    assert (bad.path, bad.kept, bad.frames) == ("cut.mp4", "", 0)
    assert bad.error.startswith("truncated: ")


def test_without_a_limit_the_manifest_is_as_ever(videos: Path, tmp_path: Path) -> None:
    listing = tmp_path / "list.txt"  # without times.mkv, whose number of frames is not known before
    listing.write_text("long.mp4\nreordered.avi\nshort.mp4\ncut.mp4\n")
    extract_videos(videos, tmp_path / "all", jobs=1, listing=listing)
    extract_videos(videos, tmp_path / "many", jobs=1, listing=listing, options=Extract(frames_per_video=30))
    assert "kept" not in (tmp_path / "all/manifest.csv").read_text().partition("\n")[0]
    assert digests(tmp_path / "all") == digests(tmp_path / "many")


def test_a_killed_run_goes_on_and_parts_merge_to_the_same_bytes(videos: Path, tmp_path: Path) -> None:
    extract_videos(videos, tmp_path / "whole", jobs=1, options=FEW)
    words = [sys.executable, "-m", "bike.cli", "extract", str(videos), "--jobs", "1", "--frames-per-video", str(N)]
    words.append(str(tmp_path / "out"))
    fault = {FAULT: f"25:kill:{tmp_path / 'count'}", "PYTHONPATH": str(ROOT)}
    assert subprocess.run(words, env={**os.environ, **fault}, start_new_session=True).returncode == -9
    assert list((tmp_path / "out").glob("*.mjpg"))
    assert not (tmp_path / "out/manifest.csv").exists()
    extract_videos(videos, tmp_path / "out", jobs=1, options=FEW)
    for split in (Part(2, 2), Part(1, 2), MERGE):
        extract_videos(videos, tmp_path / "parts", jobs=1, options=FEW, split=split)
    assert digests(tmp_path / "whole") == digests(tmp_path / "out") == digests(tmp_path / "parts")


@pytest.mark.parametrize("layout", ["packs", "folders"])
def test_another_number_asks_before_frames_are_thrown_away(videos: Path, tmp_path: Path, layout: Layout) -> None:
    first = extract_videos(videos, tmp_path, jobs=1, layout=layout, options=FEW)
    before = digests(tmp_path)
    assert extract_videos(videos, tmp_path, jobs=1, layout=layout, options=FEW) == first
    assert verify_extraction(videos, tmp_path, jobs=1).faults == []
    moved = [replace(row, kept=" ".join(str(int(word) + 1) for word in row.kept.split())) for row in first]
    write_manifest(tmp_path / "manifest.csv", moved)
    faults = verify_extraction(videos, tmp_path, jobs=1).faults
    assert len(faults) == sum(row.kept != "" for row in first) > 0
    assert all("not 4 evenly placed ones" in fault or "not rising numbers" in fault for fault in faults)
    write_manifest(tmp_path / "manifest.csv", first)
    for other in (Extract(), Extract(frames_per_video=5)):
        with pytest.raises(BikeError, match="--replace"):
            extract_videos(videos, tmp_path, jobs=1, layout=layout, options=other)
        assert digests(tmp_path) == before
    extract_videos(videos, tmp_path, jobs=1, layout=layout, options=Extract(frames_per_video=5), replace=True)
    extract_videos(videos, tmp_path, jobs=1, layout=layout, options=FEW, replace=True)
    assert digests(tmp_path) == before
