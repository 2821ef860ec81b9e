"""Remote shards in a crowd: other files in the cache, forks, leftovers, servers that never end."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from helpers.servers import QUICK, Server
from helpers.shards import Data, make_data

from bike.data.loader import evaluation_batches, training_batches
from bike.download import download
from bike.errors import BikeError, DataError
from bike.formats.shards import read_shard_manifest
from bike.frames import remote
from bike.frames.open import RemoteShardSource, ShardSource
from bike.frames.remote import RemoteFolder, _in_use, _locked
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


def test_a_lock_ends_although_a_fork_has_a_copy(tmp_path: Path) -> None:
    """A loader may fork its workers while another one's thread fetches; they would keep its lock for ever."""
    with _locked(tmp_path / ".lock-1"):
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        assert _in_use(tmp_path / ".lock-1", tmp_path / "x.part")
    try:
        assert not _in_use(tmp_path / ".lock-1", tmp_path / "x.part")
        with (tmp_path / ".lock-1").open("rb") as other:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


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
    left = tmp_path / f"40000-{'a' * 24}.tar.{shard['bytes']}.part"
    left.write_bytes(b"half")
    os.utime(left, (time.time() - age_seconds,) * 2)
    monkeypatch.setattr(remote.fcntl, "flock", no_locks)
    if age_seconds:
        assert folder.fetch(shard["name"]).stat().st_size == shard["bytes"]
    else:
        assert not folder._reserve(tmp_path / "other", shard["bytes"])


def test_evaluation_fetches_each_shard_once(server: Server, data: Data, tmp_path: Path) -> None:
    largest = max(path.stat().st_size for path in server.folder.glob("*.tar"))
    source = RemoteShardSource(server.url, cache=tmp_path, max_cache_mb=1.2 * largest / 1e6, **QUICK)
    batches = evaluation_batches(data.samples, source, num_segments=2, input_size=16, short_side=16, batch_size=5)
    seen = [(row, key) for batch in batches for row, key in zip(batch.index.tolist(), batch.keys, strict=True)]
    assert sorted(seen) == [(row, sample.key) for row, sample in enumerate(data.samples)]
    tars = [name for name, _ in server.requests if name.endswith(".tar")]
    assert len(tars) == len(set(tars)) == len(source.index.shards) > 2


def test_a_state_belongs_to_its_window_and_shards(server: Server, data: Data, tmp_path: Path) -> None:
    def batches(source: Any, window: int | None) -> Any:
        return training_batches(
            data.samples, source, num_segments=2, batch_size=4, input_size=16, short_side=16, window=window
        )

    local = ShardSource(server.folder)
    state = batches(RemoteShardSource(server.url, cache=tmp_path, **QUICK), 2).state_dict()
    batches(local, 2).load_state_dict(state)
    with pytest.raises(DataError, match="window differs"):
        batches(local, None).load_state_dict(state)
    write_shards(data.list, data.frames, tmp_path / "one", jobs=1)
    with pytest.raises(DataError, match="shards_crc32 differs"):
        batches(ShardSource(tmp_path / "one"), 2).load_state_dict(state)


def test_a_server_that_refuses_ranges_nobody_asked_for(server: Server, tmp_path: Path) -> None:
    server.fault = lambda name, number: "416"
    with pytest.raises(DataError, match="HTTP status 416"):
        RemoteFolder(server.url, cache=tmp_path, **QUICK)


def test_a_trickle_is_given_up(tmp_path: Path) -> None:
    ended = threading.Event()

    class Drip(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            while not ended.wait(0.02):
                try:
                    self.wfile.write(b"x")
                except OSError:
                    return

        def log_message(self, *_: object) -> None:
            pass

    drip = ThreadingHTTPServer(("127.0.0.1", 0), Drip)
    thread = threading.Thread(target=drip.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        with pytest.raises(BikeError, match="bytes in 0 s"):
            download(
                f"http://127.0.0.1:{drip.server_port}/x",
                tmp_path / "x",
                size=100_000,
                sha256=None,
                largest=100_000,
                attempts=1,
                timeout_seconds=0.2,
                pause_seconds=0.0,
            )
    finally:
        ended.set()
        drip.shutdown()
        drip.server_close()
        thread.join()
