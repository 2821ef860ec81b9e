"""Videos as a source: the frames of extraction without extraction, and no decoder that can block a loader."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.videos import make_video

from bike.data.loader import evaluation_batches, training_batches
from bike.errors import DataError
from bike.extract.run import extract_videos
from bike.frames.open import FrameSource, PackSource, ShardSource, VideoSource, open_source
from bike.params import Extract, Sampling
from bike.records import Sample, VideoRecord, read_manifest, write_manifest
from bike.shard.run import write_shards
from bike.workers.worker import has_module

VIEWS = {"num_segments": 4, "input_size": 32}


def write_video(path: Path, seed: int, num_frames: int, *, height: int = 96, width: int = 128) -> None:
    """A moving picture that H.264 stores well."""
    rows, columns = np.mgrid[0:height, 0:width]
    pictures = []
    for phase in seed + np.arange(num_frames) / 5:
        waves = (rows / 17 + phase, columns / 23 - phase, (rows + columns) / 31 + seed)
        pictures.append(np.stack([128 + 100 * np.sin(wave) for wave in waves], axis=-1).astype(np.uint8))
    make_video(path, num_frames, fps=25, width=width, height=height, pictures=pictures)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos in a folder and in a tar, their packs, and shards of the videos themselves."""
    root = tmp_path_factory.mktemp("videos")
    for number, count in enumerate((12, 30, 21)):
        write_video(root / f"media/some class/v{number}.mp4", number, count)
    with tarfile.open(root / "videos.tar", "w") as tar:
        for path in sorted((root / "media").rglob("*.mp4")):
            tar.add(path, str(path.relative_to(root / "media")))
    extract_videos(root / "media", root / "frames", options=Extract(short_side=64), jobs=1)
    write_shards(
        root / "frames/manifest.csv", root / "frames", root / "shards", payload="mp4", media=root / "media", jobs=1
    )
    return root


@pytest.fixture(scope="module")
def samples(root: Path) -> list[Sample]:
    records = read_manifest(root / "frames/manifest.csv")
    return [Sample(r.key, r.key, r.path, (number,), r.frames) for number, r in enumerate(records)]


def sources(root: Path, samples: list[Sample]) -> dict[str, FrameSource]:
    return {
        "folder": VideoSource(root / "media", samples, short_side=64),
        "tar": VideoSource(root / "videos.tar", samples, manifest=root / "frames/manifest.csv", short_side=64),
        "shards": ShardSource(root / "shards", short_side=64),
    }


@pytest.mark.parametrize("kind", ["folder", "tar", "shards"])
def test_videos_give_the_frames_of_their_packs(root: Path, samples: list[Sample], kind: str) -> None:
    packs, videos = PackSource(root / "frames"), sources(root, samples)[kind]
    assert [videos.num_frames(sample.video) for sample in samples] == [12, 30, 21]
    for sample in samples:
        assert videos.fps(sample.video) == packs.fps(sample.video) == 25
        indices = [sample.frames - 1, 0, 3, 3]
        decoded, stored = videos.read(sample.video, indices), packs.read(sample.video, indices)
        assert decoded.shape == stored.shape
        assert np.abs(decoded.astype(int) - stored).mean() < 3
    options = {"batch_size": 3, "seed": 5, "sampling": Sampling(augment=False), **VIEWS}
    one, other = (next(training_batches(samples, source, **options).epoch(0)) for source in (packs, videos))
    assert one.keys == other.keys
    assert (one.frames.int() - other.frames.int()).abs().float().mean() < 3


@pytest.mark.skipif(not has_module("decord"), reason="no decord")
@pytest.mark.parametrize("place", ["media", "videos.tar", "shards"])
def test_both_decoders_give_the_same_frames(root: Path, samples: list[Sample], place: str) -> None:
    pyav, decord = (open_source(root / place, samples, decoder=name) for name in ("pyav", "decord"))
    for sample in samples:
        indices = [sample.frames - 1, 0, 3, 3]
        one, other = (source.read(sample.video, indices) for source in (pyav, decord))
        assert one.shape == other.shape == (4, 96, 128, 3)
        difference = one - other.astype(float)
        assert np.abs(difference).mean(axis=(1, 2, 3)).max() < 3
        assert np.abs(difference @ [0.299, 0.587, 0.114]).max() < 3  # brightness; colours are scaled up differently
        assert np.abs(difference).max() > 0  # it was decord that decoded


def test_shards_of_videos_are_read_where_there_is_no_proc(
    root: Path, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, video = ShardSource(root / "shards"), samples[1].video
    through_proc = source.read(video, [29, 4])
    monkeypatch.setattr("bike.frames.shards._HAS_PROC", False)
    assert np.array_equal(source.read(video, [29, 4]), through_proc)
    with pytest.raises(DataError, match=r"shards/\w+\.tar: \S+: no frame 99"):
        source.read(video, [99])


def test_videos_are_read_in_worker_processes(root: Path, samples: list[Sample]) -> None:
    source = sources(root, samples)["folder"]
    here = list(evaluation_batches(samples, source, clips=2, **VIEWS))
    ahead = evaluation_batches(samples, source, clips=2, workers=1, **VIEWS)
    for one, other in zip(here, ahead, strict=True):
        assert torch.equal(one.frames, other.frames)
    ahead.close()


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One video that takes its time to decode, as it is and in a shard."""
    root = tmp_path_factory.mktemp("long")
    write_video(root / "media/long.mp4", 0, 120, height=192, width=256)
    record = VideoRecord("long", "long.mp4", "ok", 120, 25.0, 256, 192, 4.8)
    write_manifest(root / "manifest.csv", [record])
    write_shards(root / "manifest.csv", root, root / "shards", payload="mp4", media=root / "media", jobs=1)
    return root


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("kind", ["folder", "shards"])
def test_a_decoder_that_takes_too_long_is_ended(long: Path, kind: str, workers: int) -> None:
    sample = Sample("long", "long", "long.mp4", (0,), 120)

    def source(timeout_seconds: float) -> FrameSource:
        if kind == "shards":
            return ShardSource(long / "shards", timeout_seconds=timeout_seconds)
        facts = long / "manifest.csv"
        return VideoSource(long / "media", [sample], manifest=facts, timeout_seconds=timeout_seconds)

    batches = evaluation_batches([sample], source(1e-3), workers=workers, **VIEWS)
    with pytest.raises(DataError, match=r"sample long \(long.mp4\): .*timed out after 0.001 s") as raised:
        list(batches)
    assert "\n" not in str(raised.value)
    assert "/proc/" not in str(raised.value)
    (batch,) = evaluation_batches([sample], source(60), **VIEWS)  # the next decoder is a new one
    assert batch.keys == ["long"]


def test_broken_and_missing_videos_are_named(root: Path, samples: list[Sample], tmp_path: Path) -> None:
    good = (root / "media" / samples[1].path).read_bytes()
    (tmp_path / "some class").mkdir()
    (tmp_path / samples[1].path).write_bytes(good[: len(good) // 2])
    source = VideoSource(tmp_path, samples)
    with pytest.raises(DataError, match=r"sample .*v1.mp4"):
        list(evaluation_batches(samples[1:2], source, **VIEWS))
    with pytest.raises(DataError, match="not among the videos"):
        list(evaluation_batches(samples[:1], source, **VIEWS))


def test_frame_folders_of_an_extraction_do_as_well(root: Path, samples: list[Sample], tmp_path: Path) -> None:
    extract_videos(root / "media", tmp_path / "frames", options=Extract(short_side=64), jobs=1, layout="folders")
    packs = PackSource(root / "frames")
    write_shards(tmp_path / "frames/manifest.csv", tmp_path / "frames", tmp_path / "shards", jobs=1)
    for place in (tmp_path / "frames", tmp_path / "shards"):
        source = open_source(place, samples)
        assert source.fps(samples[0].video) == 25
        for sample in samples:
            assert source.num_frames(sample.video) == sample.frames
            assert np.array_equal(source.read(sample.video, [0, 5]), packs.read(sample.video, [0, 5]))


def test_shards_of_videos_can_be_extracted(root: Path, samples: list[Sample], tmp_path: Path) -> None:
    records = extract_videos(root / "shards", tmp_path / "frames", options=Extract(short_side=64), jobs=1)
    assert [(record.path, record.status, record.frames) for record in records] == [
        (sample.path, "ok", sample.frames) for sample in samples
    ]
    assert [record.key for record in records] == [sample.video for sample in samples]
