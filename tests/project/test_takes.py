"""What a project will take: worked out from what is known of its videos, and from the measured speeds."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import pytest
from helpers.places import ROOT
from helpers.videos import make_video

from bike.extract.run import extract_videos
from bike.params import Extract, Params, Shard
from bike.project.dataset import load_datasets
from bike.project.media import write_media
from bike.project.page import read_speeds
from bike.project.takes import SPEEDS, Footage, Takes, estimate, footage_of_source, look_at, made

CLIPS = Footage(count=100, frames=300, seconds=10, width=340, height=256)


def test_the_speeds_are_those_of_the_page_of_benchmarks() -> None:
    assert read_speeds(ROOT / "docs/benchmarks.md") == SPEEDS


@pytest.mark.parametrize(
    ("extract", "kept", "megabytes"),
    [
        ({}, 30000, 480),
        ({"fps": 5}, 5000, 80),
        ({"frames_per_video": 32}, 3200, 51.2),
        ({"short_side": 128}, 30000, 120),
    ],
)
def test_frames_and_bytes_follow_from_what_is_kept(extract: dict[str, int], kept: int, megabytes: float) -> None:
    takes = estimate([CLIPS], Params(extract=Extract(**extract)))
    assert (takes.decoded, takes.kept) == (30000, kept)
    assert takes.pack_bytes == takes.shard_bytes == pytest.approx(megabytes * 1e6)
    assert takes.extract_hours == pytest.approx(30000 / 3662 / 3600)
    assert takes.shard_hours == pytest.approx(megabytes / 55 / 3600)


def test_shards_may_keep_fewer_and_larger_pictures_take_longer() -> None:
    takes = estimate([CLIPS], Params(shard=Shard(frames_per_video=3)))
    assert takes.shard_bytes == pytest.approx(takes.pack_bytes / 100)
    large = Footage(1, 675 * 3600, 60, 1280, 720)
    assert estimate([large], Params()).extract_hours == pytest.approx(1)
    small = Footage(1, 3662 * 3600, 60, 80, 48)
    assert estimate([small], Params()).extract_hours == pytest.approx(1)  # not faster than what was measured
    assert estimate([CLIPS, large], Params()).decoded == 30000 + 675 * 3600


def test_a_data_set_is_as_its_authors_say() -> None:
    source = load_datasets()["ucf101"].source
    assert estimate([footage_of_source(source)], Params()).decoded == pytest.approx(13320 * 7.2 * 25)


def test_headers_of_a_few_stand_for_all_and_the_manifest_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos, params = tmp_path / "videos", Params(extract=Extract(short_side=32))
    for number in range(4):
        make_video(videos / f"{number}.mp4", 10, width=80, height=48)
    (videos / "5.mp4").write_bytes(b"no video")  # the smallest; the others stand for it
    media = write_media(videos, tmp_path / "media.csv")
    monkeypatch.setattr("bike.project.takes.LOOKED_AT", 3)
    looked = look_at(media, tmp_path / "media.csv", videos)
    assert {astuple(each)[1:] for each in looked} == {(10, 1.0, 80, 48)}
    assert sum(each.count for each in looked) == pytest.approx(5)
    assert estimate(looked, params).decoded == pytest.approx(50)
    assert look_at([], tmp_path / "media.csv", videos) == []

    records = extract_videos(videos, tmp_path / "frames", options=params.extract, jobs=1)
    packs = sum(path.stat().st_size for path in (tmp_path / "frames").glob("*.mjpg"))
    assert made(records, params) == Takes(decoded=40, kept=40, pack_bytes=packs, shard_bytes=packs)
    assert made(records, Params(shard=Shard(frames_per_video=5))).shard_bytes == pytest.approx(packs / 2)
