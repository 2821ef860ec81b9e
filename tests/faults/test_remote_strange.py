"""Remote shards in a crowd: other files in the cache, leftovers, one shard after the other."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.servers import QUICK, Server
from helpers.shards import Data, make_data

from bike.data.loader import evaluation_batches
from bike.formats.shards import read_shard_manifest
from bike.frames.open import RemoteShardSource
from bike.frames.remote import RemoteFolder
from bike.shard.run import write_shards


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return make_data(tmp_path_factory.mktemp("data"), [6] * 24)


@pytest.fixture
def server(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("shards")
    write_shards(data.list, data.frames, folder, max_size_mb=0.06, jobs=1)
    server = Server(folder)
    yield server
    server.close()


def test_other_files_in_the_cache_folder_stay(server: Server, data: Data, tmp_path: Path) -> None:
    (tmp_path / "thesis.pdf").write_bytes(bytes(1 << 20))
    os.utime(tmp_path / "thesis.pdf", (1, 1))
    largest = max(path.stat().st_size for path in server.folder.glob("*.tar"))
    source = RemoteShardSource(server.url, cache=tmp_path, max_cache_mb=1.5 * largest / 1e6, **QUICK)
    for sample in data.samples:
        source.read(sample.video, [0])
    assert (tmp_path / "thesis.pdf").stat().st_size == 1 << 20


@pytest.mark.parametrize("age_seconds", [0, 3600])
def test_leftovers_where_files_can_not_be_locked(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age_seconds: int
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    shard = read_shard_manifest(server.folder)["shards"][0]
    folder = RemoteFolder(server.url, cache=tmp_path, max_cache_mb=1.2 * shard["bytes"] / 1e6, **QUICK)
    left = tmp_path / f"40000-{'a' * 24}.tar.part"
    left.write_bytes(bytes(shard["bytes"]))
    os.utime(left, (time.time() - age_seconds,) * 2)
    monkeypatch.setattr("fcntl.flock", no_locks)
    if age_seconds:
        assert folder.fetch(shard["name"]).stat().st_size == shard["bytes"]
    else:
        assert not folder._make_room(tmp_path / "other", shard["bytes"])


def test_evaluation_fetches_each_shard_once(server: Server, data: Data, tmp_path: Path) -> None:
    largest = max(path.stat().st_size for path in server.folder.glob("*.tar"))
    source = RemoteShardSource(server.url, cache=tmp_path, max_cache_mb=1.2 * largest / 1e6, **QUICK)
    batches = evaluation_batches(data.samples, source, num_segments=2, input_size=16, short_side=16, batch_size=5)
    seen = [(row, key) for batch in batches for row, key in zip(batch.index.tolist(), batch.keys, strict=True)]
    assert sorted(seen) == [(row, sample.key) for row, sample in enumerate(data.samples)]
    tars = [name for name, _ in server.requests if name.endswith(".tar")]
    assert len(tars) == len(set(tars)) == len(source.index.shards) > 2
