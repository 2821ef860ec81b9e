"""``--verify`` finds what sizes and times hide, in folders and in tars, in packs and in frame folders."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.commands import run_bike
from helpers.videos import make_tar, make_video, numbered_picture

from bike.extract.run import extract_videos
from bike.extract.verify import verify_extraction
from bike.records import read_manifest, write_manifest


def replace_in_place(path: Path, data: bytes) -> None:
    """Other bytes of the same length, at the same time."""
    about = path.stat()
    assert len(data) == about.st_size
    path.write_bytes(data)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize("layout", ["packs", "folders"])
@pytest.mark.parametrize("in_tar", [False, True])
def test_what_sizes_and_times_hide(tmp_path: Path, layout: str, in_tar: bool) -> None:
    source, out = tmp_path / "videos", tmp_path / "out"
    for number, name in enumerate("abc"):
        make_video(source / f"{name}.mp4", 4, pictures=[numbered_picture(number + 5)] * 4)
    (source / "d.mp4").write_text("no video")
    place = source
    if in_tar:
        members = [(path.name, path.read_bytes()) for path in sorted(source.iterdir())]
        place = make_tar(tmp_path / "t.tar", members)
    records = extract_videos(place, out, jobs=1, layout=layout)  # type: ignore[arg-type]
    assert all(record.source_sha256 for record in records)
    assert verify_extraction(place, out, jobs=1).faults == []
    manifest = (out / "manifest.csv").read_bytes()
    # Another source of the same size and time; a frame changed in place; frames that are gone; a rejected source.
    for name in ("a.mp4", "d.mp4"):
        file = place if in_tar else source / name
        data = file.read_bytes()
        replace_in_place(file, flip(data, data.index((source / name).read_bytes()[:8]) + 6))
    frames = out / "b.mjpg" if layout == "packs" else out / "b/img_00002.jpg"
    replace_in_place(frames, flip(frames.read_bytes(), 400))
    (out / "c.mjpg" if layout == "packs" else out / "c/img_00004.jpg").unlink()
    faults = verify_extraction(place, out, jobs=2).faults
    assert [fault.split(":")[0] for fault in faults] == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]
    assert faults[0].endswith("the source is not the one that was extracted")
    assert faults[1].endswith("the frames (b) are not those that were written")
    assert (out / "manifest.csv").read_bytes() == manifest
    said = run_bike("extract", str(place), str(out), "--verify")
    assert said.returncode == 1
    assert said.stdout.splitlines() == [*faults, f"{out}: 4 videos, 4 faults"]


def test_sources_and_rows_without_each_other(tmp_path: Path) -> None:
    source, out = tmp_path / "videos", tmp_path / "out"
    for name in "ab":
        make_video(source / f"{name}.mp4", 3)
    extract_videos(source, out, jobs=1)
    (source / "a.mp4").rename(source / "c.mp4")
    assert verify_extraction(source, out, jobs=1).faults == [
        "a.mp4: no longer in the source",
        "c.mp4: not in the manifest",
    ]


def test_links_that_an_extraction_followed_are_followed_again(tmp_path: Path) -> None:
    source, out = tmp_path / "videos", tmp_path / "out"
    make_video(source / "a.mp4", 3)
    (source / "b.mp4").symlink_to(make_video(tmp_path / "b.mp4", 3))
    extract_videos(source, out, jobs=1, follow_links=True)
    assert verify_extraction(source, out, jobs=1, follow_links=True).faults == []
    (fault,) = verify_extraction(source, out, jobs=1).faults
    assert fault.startswith("b.mp4: a link that leads out of the folder; --follow-links")
    words = ["extract", str(source), str(out), "--verify", "--follow-links"]
    assert run_bike(*words).stdout == f"{out}: 2 videos, all right\n"


def test_a_manifest_without_hashes(tmp_path: Path) -> None:
    """As an older version wrote it: read as before, and compared by what it says."""
    source, out = make_video(tmp_path / "a.mp4", 3), tmp_path / "out"
    (record,) = extract_videos(source, out, jobs=1)
    text = (out / "manifest.csv").read_text().splitlines()
    assert text[0].endswith(",error,source_sha256,frames_sha256,picture_hash")
    (out / "manifest.csv").write_text("".join(f"{line.rsplit(',', 3)[0]}\n" for line in text))
    old = replace(record, source_sha256="", frames_sha256="", picture_hash="")
    assert read_manifest(out / "manifest.csv") == [old]
    verified = verify_extraction(source, out, jobs=1)
    assert (verified.videos, verified.unknown, verified.faults) == (1, 1, [])
    write_manifest(out / "manifest.csv", [replace(old, frames=4)])
    assert verify_extraction(source, out, jobs=1).faults == ["a.mp4: the frames (a): 3 frames, 4 in the manifest"]
