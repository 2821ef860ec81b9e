"""Remote shards: whatever the connection does, the bytes are right or the error says why; the cache keeps its bound."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from helpers.servers import QUICK, Server
from helpers.shards import Data, frame_numbers, make_data

from bike.data.loader import evaluation_batches, training_batches
from bike.errors import BikeError, DataError
from bike.formats.shards import read_shard_manifest
from bike.frames.open import RemoteShardSource, ShardSource, open_source
from bike.frames.remote import RemoteFolder, _cached_name, cache_mb, remote_url, shard_cache
from bike.shard.run import write_shards


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return make_data(tmp_path_factory.mktemp("data"), [6] * 24)


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


def check_all(source: ShardSource, data: Data) -> None:
    for sample in data.samples:
        assert source.num_frames(sample.video) == 6
        assert frame_numbers(source.read(sample.video, [5, 0, 3])) == [5, 0, 3]


@pytest.mark.parametrize(
    ("place", "url"),
    [
        ("s3://bucket/a/b/", "s3://bucket/a/b"),
        ("http://host:80/x", "http://host:80/x"),
        (Path("https://host/x"), "https://host/x"),
        ("shards/train", None),
        ("/s3/x", None),
        ("file:///etc/passwd", None),
        ("ftp://host/x", None),
    ],
)
def test_addresses(place: Path | str, url: str | None) -> None:
    assert remote_url(place) == url


def test_folder_and_size_of_the_cache_can_be_chosen(
    server: Server, data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIKE_SHARD_CACHE", str(tmp_path))
    assert shard_cache() == tmp_path
    monkeypatch.setenv("BIKE_CACHE_GB", "0.000005")
    source = open_source(server.url, data.samples)
    with pytest.raises(BikeError, match=r"the cache may hold 0 MB. Allow a larger cache \(\$BIKE_CACHE_GB\)"):
        source.num_frames(data.samples[0].video)
    for text, size_mb in (("1.5", 1500), ("", 20_000)):
        monkeypatch.setenv("BIKE_CACHE_GB", text)
        assert cache_mb() == size_mb
    for wrong in ("much", "0", "-1", "nan", "inf"):
        monkeypatch.setenv("BIKE_CACHE_GB", wrong)
        with pytest.raises(BikeError, match=rf"\$BIKE_CACHE_GB: not a size \(got '{wrong}'\)"):
            cache_mb()
    monkeypatch.delenv("BIKE_SHARD_CACHE")
    assert shard_cache().parts[-2:] == ("bike", "shards")


def test_each_shard_is_fetched_once(server: Server, data: Data, tmp_path: Path) -> None:
    for _ in range(2):
        check_all(RemoteShardSource(server.url, cache=tmp_path, **QUICK), data)
    tars = [path.name for path in server.folder.glob("*.tar")]
    assert len(tars) >= 4
    assert [server.count(name) for name in [*tars, "index.csv", "manifest.json"]] == [*[1] * len(tars), 1, 2]
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("fault", ["503", "cut", "other bytes"])
def test_a_server_that_fails_now_and_then(server: Server, data: Data, tmp_path: Path, fault: str) -> None:
    server.fault = lambda name, number: fault if number == 0 and name != "manifest.json" else None
    check_all(RemoteShardSource(server.url, cache=tmp_path, **QUICK), data)
    assert {server.count(path.name) for path in server.folder.iterdir() if path.name != "manifest.json"} == {2}


@pytest.mark.parametrize(
    ("fault", "text"), [("404", "HTTP status 404"), ("other bytes", "SHA-256"), ("endless", "more")]
)
def test_wrong_bytes_never_reach_a_reader(server: Server, tmp_path: Path, fault: str, text: str) -> None:
    server.fault = lambda name, number: fault if name.endswith(".tar") else None
    source = RemoteShardSource(server.url, cache=tmp_path, **QUICK)
    with pytest.raises(DataError, match=text) as raised:
        source.num_frames(next(iter(source.index.keys)))
    assert server.url in str(raised.value)
    assert not list(tmp_path.glob("*.tar*"))


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (None, "HTTP status 404"),
        ('{"format": "bike-shards-1", "shards": [{"name": "../../x.tar"}]}', "not a manifest"),
        ("[" * 100_000, "not valid JSON .nested too deeply"),
    ],
)
def test_an_address_without_shards(server: Server, tmp_path: Path, manifest: str | None, said: str) -> None:
    server.folder = tmp_path
    if manifest:
        (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(DataError, match=rf"http://.*manifest.json: {said}"):
        RemoteFolder(server.url, cache=tmp_path / "cache", **QUICK)


def test_a_shard_published_again_is_fetched_again(data: Data, tmp_path: Path) -> None:
    write_shards(data.list, data.frames, tmp_path / "shards", jobs=1)
    server = Server(tmp_path / "shards")
    try:
        assert len(RemoteShardSource(server.url, cache=tmp_path / "cache").kept(data.samples[0].video).indices) == 6
        write_shards(data.list, data.frames, tmp_path / "shards", frames_per_video=2, jobs=1, replace=True)
        assert len(RemoteShardSource(server.url, cache=tmp_path / "cache").kept(data.samples[0].video).indices) == 2
    finally:
        server.close()


def test_the_cache_keeps_its_bound(server: Server, data: Data, tmp_path: Path) -> None:
    sizes = [path.stat().st_size for path in server.folder.glob("*.tar")]
    limit = 2.5 * max(sizes)
    source = RemoteShardSource(server.url, cache=tmp_path, max_cache_mb=limit / 1e6, **QUICK)
    for sample in data.samples * 2:
        assert frame_numbers(source.read(sample.video, [1])) == [1]
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= limit
    assert sum(name.endswith(".tar") for name, _ in server.requests) > len(sizes)
    assert 1 <= len(list(tmp_path.glob("*.tar"))) < len(sizes)


def test_what_was_used_last_stays(server: Server, data: Data, tmp_path: Path) -> None:
    names = sorted(path.name for path in server.folder.glob("*.tar"))[:3]
    sizes = [(server.folder / name).stat().st_size for name in names]
    index = (server.folder / "index.csv").stat().st_size
    folder = RemoteFolder(server.url, cache=tmp_path, max_cache_mb=(sum(sizes) - 1 + index) / 1e6, **QUICK)
    folder.index()
    first, second = (folder.fetch(name) for name in names[:2])
    os.utime(second, ns=(1, 1))
    os.utime(folder.index(), ns=(time.time_ns(),) * 2)
    folder.fetch(names[2])
    assert first.exists()
    assert not second.exists()


def test_downloads_of_killed_runs_make_room(server: Server, data: Data, tmp_path: Path) -> None:
    largest = max(path.stat().st_size for path in server.folder.glob("*.tar"))
    shard = read_shard_manifest(server.folder)["shards"][0]
    other = tmp_path / f"00000-{7:024x}.tar.part"
    same = tmp_path / f"{_cached_name(shard['name'], shard['sha256'])}.part"
    for left in (other, same):
        left.write_bytes(bytes(largest))
        os.utime(left, ns=(1, 1))
    source = RemoteShardSource(server.url, cache=tmp_path, max_cache_mb=1.5 * largest / 1e6, **QUICK)
    source.remote.fetch(shard["name"])
    check_all(source, data)
    assert not list(tmp_path.glob("*.part"))


def test_a_download_under_way_is_left_alone(server: Server, data: Data, tmp_path: Path) -> None:
    """However full the cache: the second download begins when the first one is done."""
    first, second = (shard["name"] for shard in read_shard_manifest(server.folder)["shards"][:2])
    largest = max(path.stat().st_size for path in server.folder.glob("*.tar"))
    folder = RemoteFolder(server.url, cache=tmp_path, max_cache_mb=1.2 * largest / 1e6, **QUICK)
    other = threading.Thread(target=folder.fetch, args=(second,))

    def fault(name: str, number: int) -> None:
        if name == first:
            other.start()
            time.sleep(0.3)
            assert server.count(second) == 0

    server.fault = fault
    assert folder.fetch(first).name.startswith(first[:5])
    other.join()
    assert (server.count(first), server.count(second)) == (1, 1)


def read_some(url: str, cache: str, limit_mb: float, videos: list[str], failures: multiprocessing.Queue[str]) -> None:
    try:
        source = RemoteShardSource(url, cache=cache, max_cache_mb=limit_mb, **QUICK)
        for video in videos:
            if frame_numbers(source.read(video, [4])) != [4]:
                failures.put(f"{video}: another frame")
    except Exception as error:
        failures.put(repr(error))


def size_now(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # another process just removed it
        return 0


def test_processes_share_a_small_cache(server: Server, data: Data, tmp_path: Path) -> None:
    largest = max(path.stat().st_size for path in server.folder.glob("*.tar"))
    videos = [sample.video for sample in data.samples]
    context = multiprocessing.get_context("fork")
    failures: multiprocessing.Queue[str] = context.Queue()
    arguments = (server.url, str(tmp_path), 2.2 * largest / 1e6)
    workers = [
        context.Process(target=read_some, args=(*arguments, videos[start:] + videos[:start], failures), daemon=True)
        for start in (0, 8, 16)
    ]
    for worker in workers:
        worker.start()
    most = 0
    while any(worker.is_alive() for worker in workers):
        most = max(most, sum(map(size_now, tmp_path.glob("*.tar*"))))
        time.sleep(0.002)
    for worker in workers:
        worker.join()
    assert failures.empty()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert 0 < most <= 2.2 * largest


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_of_remote_shards(server: Server, data: Data, shards: Path, tmp_path: Path, workers: int) -> None:
    """The window keeps reading in order: with room for two windows nothing is fetched twice in an epoch."""
    count = len(list(shards.glob("*.tar")))
    source = RemoteShardSource(server.url, cache=tmp_path, window=1, **QUICK)
    options = {"num_segments": 2, "batch_size": 4, "input_size": 16, "seed": 1}
    local = ShardSource(shards)
    streamed = training_batches(data.samples, source, workers=workers, drop_last=False, **options)
    expected = training_batches(data.samples, local, window=1, drop_last=False, **options)
    rows = []
    for one, other in zip(streamed.epoch(0), expected.epoch(0), strict=True):
        assert one.keys == other.keys
        assert torch.equal(one.frames, other.frames)
        rows += one.index.tolist()
    streamed.close()
    assert sorted(rows) == list(range(len(data.samples)))
    assert sum(name.endswith(".tar") for name, _ in server.requests) == count
    shown = [source.shard_of(data.samples[row].video) for row in rows]
    assert len([1 for a, b in pairwise(shown) if a != b]) == count - 1
    tested = evaluation_batches(data.samples, source, num_segments=2, input_size=16)
    assert sum(len(batch) for batch in tested) == len(data.samples)


def test_shards_come_before_their_turn(server: Server, data: Data, tmp_path: Path) -> None:
    count = len(list(server.folder.glob("*.tar")))
    source = RemoteShardSource(server.url, cache=tmp_path, window=1, **QUICK)
    videos = [sample.video for sample in sorted(data.samples, key=lambda sample: source.shard_of(sample.video))]
    order = list(dict.fromkeys(source.index.shards[source.shard_of(video)] for video in videos))

    def fetched() -> list[str]:
        return [name for name, _ in server.requests if name.endswith(".tar")]

    def wait_for(number: int) -> None:
        for _ in range(3000):
            if len(fetched()) >= number:
                return
            time.sleep(0.01)

    with source.prefetch(videos, 1) as ahead:
        ahead.reached(0)
        wait_for(2)
        assert fetched() == order[:2]  # the one in use and one more
        ahead.reached(len(videos))
        wait_for(count)
        assert fetched() == order
    check_all(source, data)
    assert fetched() == order


def test_nothing_is_fetched_ahead_where_the_cache_has_no_room(server: Server, data: Data, tmp_path: Path) -> None:
    largest = max(path.stat().st_size for path in server.folder.glob("*.tar"))
    source = RemoteShardSource(server.url, cache=tmp_path, window=2, max_cache_mb=2.5 * largest / 1e6, **QUICK)
    with source.prefetch([sample.video for sample in data.samples], 2) as ahead:
        ahead.reached(10)
    assert not [name for name, _ in server.requests if name.endswith(".tar")]
