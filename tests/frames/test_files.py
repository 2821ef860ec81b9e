"""Frame packs and frame folders: what is lost or damaged is named, and no path leads elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from helpers.shards import HEIGHT, WIDTH, jpeg, make_data, picture

from bike.errors import DataError
from bike.frames.files import FolderSource, PackSource
from bike.records import Sample, read_manifest, write_manifest


def test_rejected_lost_and_damaged_videos_are_named(tmp_path: Path) -> None:
    data = make_data(tmp_path, [3, 3, 3])
    first, *others = read_manifest(data.frames / "manifest.csv")
    write_manifest(data.frames / "manifest.csv", [replace(first, status="rejected"), *others])
    (data.frames / "clips__v001.mjpg").unlink()
    pack = data.frames / "clips__v002.mjpg"
    pack.write_bytes(pack.read_bytes()[:-5])
    (tmp_path / "folders/a").mkdir(parents=True)
    (tmp_path / "folders/a/img_00001.jpg").write_bytes(b"no picture")
    packs = PackSource(data.frames)
    with pytest.raises(DataError, match="no frames of clips__v000"):
        packs.num_frames("clips__v000")
    for source, video, said in (
        (packs, "clips__v001", r"clips__v001.mjpg.*bike extract"),
        (packs, "clips__v002", r"clips__v002.mjpg: frame pack: .*cut off"),
        (FolderSource(tmp_path / "folders", [Sample("a", "a", "a", (0,), 1)]), "a", "folders/a"),
    ):
        with pytest.raises(DataError, match=said):
            source.read(video, [0])


def test_pictures_that_claim_to_be_huge_are_refused(tmp_path: Path) -> None:
    """A header of a few bytes could otherwise ask for gigabytes."""
    image = bytearray(jpeg(picture(0, 0)))
    size = image.index(b"\xff\xc0") + 5
    assert image[size : size + 4] == HEIGHT.to_bytes(2) + WIDTH.to_bytes(2)
    image[size : size + 4] = (65000).to_bytes(2) * 2
    (tmp_path / "a").mkdir()
    (tmp_path / "a/img_00001.jpg").write_bytes(image)
    with pytest.raises(DataError, match="claims 65000×65000 pixels"):
        FolderSource(tmp_path, [Sample("a", "a", "a", (0,), 1)]).read("a", [0])


def test_frame_folders_lead_nowhere_else_and_their_rate_can_be_given(tmp_path: Path) -> None:
    for path in ("../x", "/etc"):
        with pytest.raises(DataError, match="leads out"):
            FolderSource(tmp_path, [Sample("a", "a", path, (0,), 1)]).num_frames("a")
    (tmp_path / "a").mkdir()
    (tmp_path / "a/img_00001.jpg").write_bytes(jpeg(picture(0, 0)))
    samples = [Sample("a", "a", "a", (0,), 1)]
    assert FolderSource(tmp_path, samples).fps("a") == 0
    assert FolderSource(tmp_path, samples, fps=12.5).fps("a") == 12.5
