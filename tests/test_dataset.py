"""The stream of clips: every sample once, the right frames, from a folder, over HTTP and from S3."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from helpers.places import ROOT
from helpers.servers import QUICK, Server, s3_store, use_s3
from helpers.shards import Data, jpeg, make_data, picture
from torch.utils.data import DataLoader

from bike.data.temporal import training_bounds, validation_indices
from bike.dataset import VideoShards
from bike.errors import DataError
from bike.frames.open import ShardSource, open_source
from bike.records import Sample, write_list
from bike.shard.run import write_shards

SMALL = {"num_segments": 4, "input_size": 16}
WHOLE = {**SMALL, "min_area": 1.0, "flip": 0.0}
FRAMES = 12


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return make_data(tmp_path_factory.mktemp("data"), [FRAMES] * 24)


@pytest.fixture(scope="module")
def shards(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    write_shards(data.list, data.frames, folder, max_size_mb=0.06, jobs=1)
    return folder


@pytest.fixture
def server(shards: Path) -> Iterator[Server]:
    server = Server(shards)
    yield server
    server.close()


def numbers(frames: torch.Tensor) -> tuple[int, list[int]]:
    """Which video and frames of :func:`helpers.shards.picture` these are."""
    means = frames.float().mean((2, 3))
    return round(float(means[0, 0]) / 7), [round(float(mean) / 5) for mean in means[:, 1]]


def labels_by_key(data: Data) -> dict[str, int]:
    return {sample.key: sample.labels[0] for sample in data.samples}


def check_epoch(dataset: VideoShards, data: Data) -> None:
    items = list(dataset)
    assert {item["key"]: item["label"] for item in items} == labels_by_key(data)
    assert len(items) == len(data.samples)


def test_every_sample_comes_once_with_its_own_frames(data: Data, shards: Path) -> None:
    for train in (False, True):
        items = list(VideoShards(shards, train=train, **WHOLE))
        assert sorted(item["key"] for item in items) == [sample.key for sample in data.samples]
        for item in items:
            assert item["frames"].dtype == torch.uint8
            assert item["frames"].shape == (4, 3, 16, 16)
            video, frames = numbers(item["frames"])
            assert data.samples[video].key == item["key"]
            assert data.samples[video].labels[0] == item["label"]
            if train:
                low, high = training_bounds(FRAMES, 4)
                assert all(a <= frame <= b for a, frame, b in zip(low, frames, high, strict=True))
            else:
                assert frames == validation_indices(FRAMES, 4)


def test_epochs_differ_and_can_be_repeated(data: Data, shards: Path) -> None:
    dataset = VideoShards(shards, seed=3, **SMALL)

    def epoch(number: int) -> list[tuple[str, bytes]]:
        dataset.set_epoch(number)
        return [(item["key"], item["frames"].numpy().tobytes()) for item in dataset]

    first, second = epoch(0), epoch(1)
    assert first == epoch(0)
    assert [key for key, _ in first] != [key for key, _ in second]
    assert not set(first) & set(second)
    plain = [item["key"] for item in VideoShards(shards, shuffle=0, **SMALL)]
    source = ShardSource(shards)
    assert [source.shard_of(key) for key in plain] == sorted(source.shard_of(key) for key in plain)


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_and_ranks_share_the_shards(
    data: Data, shards: Path, monkeypatch: pytest.MonkeyPatch, persistent: bool
) -> None:
    """What a sample looks like depends on the epoch, and on no worker or rank."""
    dataset = VideoShards(shards, **SMALL)
    monkeypatch.setenv("WORLD_SIZE", "2")
    seen: dict[int, dict[str, torch.Tensor]] = {0: {}, 1: {}}
    for rank in (0, 1):
        monkeypatch.setenv("RANK", str(rank))
        loader = DataLoader(dataset, batch_size=4, num_workers=2, persistent_workers=persistent)
        for epoch in (0, 1):
            dataset.set_epoch(epoch)
            for batch in loader:
                for key, frames, label in zip(batch["key"], batch["frames"], batch["label"], strict=True):
                    assert key not in seen[epoch]
                    assert label == labels_by_key(data)[key]
                    seen[epoch][key] = frames
    monkeypatch.delenv("WORLD_SIZE")
    for epoch in (0, 1):
        dataset.set_epoch(epoch)
        alone = {item["key"]: item["frames"] for item in dataset}
        assert alone.keys() == seen[epoch].keys() == labels_by_key(data).keys()
        assert all(torch.equal(frames, seen[epoch][key]) for key, frames in alone.items())


def test_more_ranks_than_shards_are_refused(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "100")
    with pytest.raises(DataError, match=r"shards for 100 ranks. Write smaller shards"):
        next(iter(VideoShards(shards, **SMALL)))


def test_trimmed_and_unlabelled_samples(tmp_path: Path) -> None:
    data = make_data(tmp_path, [16] * 2)
    one = data.samples[0]
    samples = [
        Sample("early", one.video, one.path, (2, 1), 16, 0.0, 1.0),
        Sample("late", one.video, one.path, (), 16, 1.0, 2.0),
    ]
    write_list(tmp_path / "trimmed.csv", samples)
    write_shards(tmp_path / "trimmed.csv", data.frames, tmp_path / "out", jobs=1)
    items = {item["key"]: item for item in VideoShards(tmp_path / "out", train=False, **SMALL)}
    assert {key: item["label"] for key, item in items.items()} == {"early": 2, "late": -1}
    assert numbers(items["early"]["frames"])[1] == [0, 2, 4, 6]
    assert numbers(items["late"]["frames"])[1] == [8, 10, 12, 14]


def test_over_http(server: Server, data: Data, tmp_path: Path) -> None:
    server.fault = lambda name, number: "503" if number == 0 else None
    dataset = VideoShards(server.url, cache=tmp_path, **SMALL, **QUICK)
    check_epoch(dataset, data)
    check_epoch(dataset, data)
    assert {server.count(path.name) for path in server.folder.glob("*.tar")} == {2}  # the second epoch was cached


def test_wrong_bytes_never_become_clips(server: Server, tmp_path: Path) -> None:
    dataset = VideoShards(server.url, cache=tmp_path, **SMALL, **QUICK)
    server.fault = lambda name, number: "other bytes"
    with pytest.raises(DataError, match="SHA-256"):
        next(iter(dataset))


def test_from_s3(data: Data, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("moto")
    pytest.importorskip("boto3")
    with s3_store(shards, tmp_path / "log") as endpoint:
        use_s3(monkeypatch, endpoint)
        monkeypatch.setenv("BIKE_SHARD_CACHE", str(tmp_path / "cache"))
        check_epoch(VideoShards("s3://videos/some/where/", **SMALL, **QUICK), data)
        source = open_source("s3://videos/some/where", data.samples)
        assert source.read(data.samples[3].video, [2]).shape == (1, 24, 32, 3)


@pytest.mark.parametrize("damage", ["cut", "lost", "tar", "jpeg", "json", "zeros", "header"])
def test_damage_is_one_line_and_names_the_shard(data: Data, tmp_path: Path, damage: str) -> None:
    write_shards(data.list, data.frames, tmp_path, jobs=1)
    path = tmp_path / "00000.tar"
    whole = path.read_bytes()
    if damage == "lost":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(whole[:-1000])
    elif damage == "tar":
        path.write_bytes(b"x" * len(whole))
    elif damage in ("zeros", "header"):  # as tarfile sees it, the tar ends in its middle
        with tarfile.open(path) as tar:
            start = tar.getmembers()[8].offset
        hole = bytes(1024) if damage == "zeros" else whole[start : start + 100] + b"x" * 412
        path.write_bytes(whole[:start] + hole + whole[start + len(hole) :])
    elif damage == "json":
        path.write_bytes(whole.replace(b'"offsets"', b'"offsetz"', 1))
    else:
        one = jpeg(picture(0, 5))
        assert one in whole
        path.write_bytes(whole.replace(one, one[:200] + bytes(len(one) - 200), 1))
    with pytest.raises(DataError, match=rf"{tmp_path}.*") as raised:
        list(VideoShards(tmp_path, num_segments=FRAMES, input_size=16, train=False))
    assert "\n" not in str(raised.value)


def test_shards_of_video_files_and_folders_without_shards_are_refused(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no manifest.json"):
        VideoShards(tmp_path)
    text = (shards / "manifest.json").read_text().replace('"payload": "mjpg"', '"payload": "mp4"')
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(DataError, match="holds video files. Write shards of frames"):
        VideoShards(tmp_path)


def test_the_example_of_the_documents_runs(shards: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/shards.md").read_text(encoding="utf-8"), re.M | re.S)
    (block,) = [block for block in blocks if "VideoShards" in block]
    place, count = re.subn(r'"s3://[^"]*"', repr(str(shards)), block)
    assert count == 1
    names: dict[str, object] = {}
    exec(place.replace("num_workers=4", "num_workers=0").replace("range(10)", "range(1)"), names)  # noqa: S102
    assert isinstance(names["images"], torch.Tensor)
    assert names["images"].shape[1:] == (8, 3, 224, 224)


def test_extraction_and_sharding_do_without_webdataset() -> None:
    code = "import sys, bike.extract.run, bike.shard.run, bike.frames.open, bike.data.loader\n"
    code += "print([name for name in ('webdataset', 'boto3', 'aiohttp') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
