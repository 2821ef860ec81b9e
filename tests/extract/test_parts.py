"""An extraction in parts: the same bytes as in one process, and nothing is merged that is not there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.places import ROOT
from helpers.videos import digests, make_video

from bike.errors import BikeError
from bike.extract.journal import JOURNAL_NAME
from bike.extract.run import extract_videos
from bike.extract.task import Layout
from bike.files.disk import FAULT
from bike.files.parts import MERGE, Part
from bike.params import Extract
from bike.records import VideoRecord


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for number in range(6):
        make_video(folder / f"{number}.mp4", 3)
    (folder / "text.mp4").write_text("no video")
    return folder


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def parts_of(videos: Path, out: Path, *numbers: int, count: int = 3, layout: Layout = "packs") -> list[VideoRecord]:
    return [
        record
        for number in numbers
        for record in extract_videos(videos, out, jobs=1, layout=layout, split=Part(number, count))
    ]


@pytest.mark.parametrize("layout", ["packs", "folders"])
def test_parts_in_any_order_give_the_bytes_of_one_process(videos: Path, tmp_path: Path, layout: Layout) -> None:
    whole = extract_videos(videos, tmp_path / "whole", jobs=1, layout=layout)
    records = parts_of(videos, tmp_path / "out", 3, 1, 2, layout=layout)
    assert sorted(record.path for record in records) == [record.path for record in whole]
    assert not (tmp_path / "out/manifest.csv").exists()
    assert extract_videos(videos, tmp_path / "out", layout=layout, split=MERGE) == whole
    assert everything(tmp_path / "out") == everything(tmp_path / "whole")  # the journal, too
    extract_videos(videos, tmp_path / "out", layout=layout, split=MERGE)  # again: nothing is left to do
    assert everything(tmp_path / "out") == everything(tmp_path / "whole")


def test_parts_run_side_by_side_from_a_shell(videos: Path, tmp_path: Path) -> None:
    bike = f"{sys.executable} -m bike.cli extract {videos} {tmp_path / 'out'} --jobs 1"
    line = f"for i in $(seq 3); do {bike} --part $i/3 & done; wait; {bike} --merge"
    done = subprocess.run(["/bin/sh", "-c", line], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True)
    assert done.returncode == 0, done.stderr
    extract_videos(videos, tmp_path / "whole", jobs=1)
    assert everything(tmp_path / "out") == everything(tmp_path / "whole")


def test_a_part_that_was_killed_is_run_again(videos: Path, tmp_path: Path) -> None:
    extract_videos(videos, tmp_path / "whole", jobs=1)
    words = ["extract", str(videos), str(tmp_path / "out"), "--jobs", "1", "--part"]
    fault = {FAULT: f"25:kill:{tmp_path / 'count'}", "PYTHONPATH": str(ROOT)}
    killed = subprocess.run(
        [sys.executable, "-m", "bike.cli", *words, "1/2"], env={**os.environ, **fault}, start_new_session=True
    )
    assert killed.returncode == -9
    begun = list((tmp_path / "out/.bike-parts/1-of-2").glob("*.mjpg"))
    assert begun
    parts_of(videos, tmp_path / "out", 2, count=2)
    with pytest.raises(BikeError, match="1 of 2 parts are missing or not complete.*: 1. Run"):
        extract_videos(videos, tmp_path / "out", split=MERGE)
    times = [path.stat().st_mtime_ns for path in begun]
    parts_of(videos, tmp_path / "out", 1, count=2)
    assert [path.stat().st_mtime_ns for path in begun] == times  # went on, did not start over
    extract_videos(videos, tmp_path / "out", split=MERGE)
    assert everything(tmp_path / "out") == everything(tmp_path / "whole")


def test_what_is_not_there_is_not_merged(videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(BikeError, match="no part was begun here"):
        extract_videos(videos, out, split=MERGE)
    parts_of(videos, out, 1, 3)
    with pytest.raises(BikeError, match="1 of 3 parts are missing.*: 2. Run"):
        extract_videos(videos, out, split=MERGE)
    with pytest.raises(BikeError, match="was begun in 3 parts"):
        parts_of(videos, out, 2, count=4)
    parts_of(videos, out, 2)
    with pytest.raises(BikeError, match="made with other settings.* with --replace"):
        extract_videos(videos, out, options=Extract(quality=9), split=MERGE)
    with pytest.raises(BikeError, match="Give --replace"):
        extract_videos(videos, out, options=Extract(quality=9), split=Part(1, 3), jobs=1)
    assert not (out / "manifest.csv").exists()
    assert len(extract_videos(videos, out, split=MERGE)) == 7


def test_parts_do_only_what_is_new(videos: Path, tmp_path: Path) -> None:
    grown = tmp_path / "videos"
    grown.mkdir()
    for path in videos.iterdir():
        (grown / path.name).write_bytes(path.read_bytes())
    out = tmp_path / "out"
    extract_videos(grown, out, jobs=1)
    make_video(grown / "new.mp4", 4)
    assert [record.key for record in parts_of(grown, out, 1, 2, 3)] == ["new"]
    assert len(extract_videos(grown, out, split=MERGE)) == 8
    extract_videos(grown, tmp_path / "whole", jobs=1)
    assert everything(out) == everything(tmp_path / "whole")


def test_a_merge_that_is_refused_changes_nothing(videos: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "videos", tmp_path / "out"
    for name in ("0.mp4", "1.mp4"):
        make_video(source / name, 3)
    extract_videos(source, out, jobs=1)
    make_video(source / "1.mp4", 4)  # its frames are old now
    before = everything(out)
    with pytest.raises(BikeError, match="no part was begun here"):
        extract_videos(source, out, split=MERGE)
    assert everything(out) == before
    (out / ".bike-parts").mkdir()
    (source / "1.mp4").unlink()  # can't be read: there is nothing to take from a part
    (source / "1.mp4").symlink_to(tmp_path / "nowhere.mp4")
    kept, rejected = extract_videos(source, out, split=MERGE)
    assert (kept.status, rejected.status) == ("ok", "rejected")
    assert not (out / "1.mjpg").exists()


def test_frames_of_other_options_are_thrown_away_on_request_only(videos: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "out", Extract(quality=9)
    extract_videos(videos, out, jobs=1)
    before = everything(out)
    for number in (1, 2):
        extract_videos(videos, out, jobs=1, options=other, split=Part(number, 2))
    with pytest.raises(BikeError, match="--replace"):
        extract_videos(videos, out, options=other, split=MERGE)
    assert {name: data for name, data in everything(out).items() if not name.startswith(".bike-parts")} == before
    extract_videos(videos, out, options=other, split=MERGE, replace=True)
    extract_videos(videos, tmp_path / "whole", jobs=1, options=other)
    assert digests(out) == digests(tmp_path / "whole")


def test_a_video_that_crashed_in_its_part_is_rejected_and_tried_again_later(videos: Path, tmp_path: Path) -> None:
    """Such a reject is in the part's manifest, but not in its journal."""
    out = tmp_path / "out"
    parts_of(videos, out, 1, count=1)
    journal = out / ".bike-parts/1-of-1" / JOURNAL_NAME
    journal.write_text("".join(line for line in journal.read_text().splitlines(True) if "text.mp4" not in line))
    rejects = [record for record in extract_videos(videos, out, split=MERGE) if record.status != "ok"]
    assert [(record.path, record.error) for record in rejects] == [
        ("text.mp4", "not a video (no known container format)")
    ]
    assert "text.mp4" not in (out / JOURNAL_NAME).read_text()
