"""Fetching, against a real HTTP server on loopback that cuts, lies, and ignores what it is asked."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bike.errors import BikeError, WeightsError
from bike.model.formats import fetch as weights_fetch
from bike.model.formats.fetch import fetch, resolve
from bike.model.formats.official import OFFICIAL_FILES, OfficialFile, cache_folder, find_official

CONTENT = bytes(range(256)) * 12_000  # 3 MB
SHA256 = hashlib.sha256(CONTENT).hexdigest()
FILE = OfficialFile("Small", "small.pt", SHA256)


class Server(ThreadingHTTPServer):
    """Serves CONTENT; ``mode`` says how badly.

    Attributes:
        requests: path and Range header of each request.
        cuts: how many responses end early.
        statuses: answers before the first good one.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.ranges = True
        self.lengths = True
        self.cuts = 0
        self.cut_at = 1_000_000
        self.statuses: list[int] = []
        self.requests: list[tuple[str, str | None]] = []
        self.wrong_range = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, asked = self.server, self.headers.get("Range")
        server.requests.append((self.path, asked))
        if server.statuses:
            self.send_error(server.statuses.pop(0))
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and server.ranges else 0  # type: ignore[index]
        if start and start >= len(server.content):
            self.send_error(416)
            return
        body = server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            first = start + 5 if server.wrong_range else start
            self.send_header("Content-Range", f"bytes {first}-{len(server.content) - 1}/{len(server.content)}")
        if server.lengths:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.cuts > 0:
            server.cuts -= 1
            body = body[: server.cut_at]
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("BIKE_WEIGHTS_MIRROR", raising=False)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def get(server: Server, folder: Path, file: OfficialFile = FILE, **options: object) -> Path:
    return fetch(file, folder=folder, mirrors=[server.url], wait_seconds=0.001, **options)  # type: ignore[arg-type]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


def test_fetch_once(server: Server, tmp_path: Path) -> None:
    path = get(server, tmp_path / "a" / "b")
    assert path == tmp_path / "a" / "b" / "small.pt"
    assert path.read_bytes() == CONTENT
    assert names(path.parent) == {"small.pt"}
    assert get(server, path.parent) == path
    assert server.requests == [("/small.pt", None)]


def test_cut_connections_are_resumed(server: Server, tmp_path: Path) -> None:
    server.cuts = 3
    assert get(server, tmp_path, attempts=2).read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == [None, "bytes=1000000-", "bytes=2000000-", "bytes=3000000-"]


def test_cut_without_a_stated_length(server: Server, tmp_path: Path) -> None:
    """Only the checksum can tell; the file is fetched anew."""
    server.cuts, server.lengths = 1, False
    with pytest.raises(WeightsError, match="sent another file"):
        get(server, tmp_path)
    assert get(server, tmp_path).read_bytes() == CONTENT


def test_interrupted_process_goes_on_later(server: Server, tmp_path: Path) -> None:
    (tmp_path / "small.pt.part").write_bytes(CONTENT[:12_345])
    get(server, tmp_path)
    assert server.requests == [("/small.pt", "bytes=12345-")]
    assert names(tmp_path) == {"small.pt"}


def test_whole_part_needs_no_more_bytes(server: Server, tmp_path: Path) -> None:
    (tmp_path / "small.pt.part").write_bytes(CONTENT)
    get(server, tmp_path)
    assert server.requests == [("/small.pt", f"bytes={len(CONTENT)}-")]


def test_server_that_ignores_ranges(server: Server, tmp_path: Path) -> None:
    server.ranges, server.cuts = False, 1
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_server_that_sends_another_range(server: Server, tmp_path: Path) -> None:
    server.wrong_range, server.cuts = True, 1
    with pytest.raises(WeightsError, match="another range than the one from byte 1000000"):
        get(server, tmp_path, attempts=2)


def test_wrong_file(server: Server, tmp_path: Path) -> None:
    server.content = b"<html>not here</html>"
    with pytest.raises(
        WeightsError, match=r"Small: http://127.0.0.1:\d+/small.pt: sent another file \(SHA-256 "
    ) as error:
        get(server, tmp_path)
    assert "\n" not in str(error.value)
    assert "put small.pt into" in str(error.value)
    assert names(tmp_path) == set()
    assert len(server.requests) == 1


def test_part_of_something_else_is_dropped(server: Server, tmp_path: Path) -> None:
    for part in (b"x" * 500, b"x" * (len(CONTENT) + 5)):
        (tmp_path / "small.pt").unlink(missing_ok=True)
        (tmp_path / "small.pt.part").write_bytes(part)
        assert get(server, tmp_path).read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == ["bytes=500-", None, f"bytes={len(CONTENT) + 5}-", None]


def test_wrong_file_in_the_folder_is_replaced(server: Server, tmp_path: Path) -> None:
    (tmp_path / "small.pt").write_bytes(b"old")
    assert get(server, tmp_path).read_bytes() == CONTENT


def test_server_in_trouble_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.statuses = [503, 429, 500]
    assert get(server, tmp_path, attempts=4).read_bytes() == CONTENT
    (tmp_path / "small.pt").unlink()
    server.statuses = [503, 503, 503]
    with pytest.raises(WeightsError, match="HTTP status 503"):
        get(server, tmp_path, attempts=2)


def test_file_that_is_not_there_is_asked_for_once(server: Server, tmp_path: Path) -> None:
    server.statuses = [404, 404]
    with pytest.raises(WeightsError, match="HTTP status 404 Not Found"):
        get(server, tmp_path)
    assert len(server.requests) == 1


def test_no_server_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(WeightsError, match=r"127.0.0.1:9/small.pt: .*refused"):
        fetch(FILE, folder=tmp_path, mirrors=["http://127.0.0.1:9"], attempts=2, wait_seconds=0.001)


def test_mirrors_in_turn_and_their_placeholders(server: Server, tmp_path: Path) -> None:
    server.statuses = [404]
    urls = [f"{server.url}/first/", f"{server.url}/{{sha256}}/{{file}}"]
    fetch(FILE, folder=tmp_path, mirrors=urls, wait_seconds=0.001)
    assert [path for path, _ in server.requests] == ["/first/small.pt", f"/{SHA256}/small.pt"]


def test_mirror_by_environment(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIKE_WEIGHTS_MIRROR", f"{server.url}/mine")
    fetch(FILE, folder=tmp_path)
    assert server.requests == [("/mine/small.pt", None)]


@pytest.mark.parametrize("url", ["file:///etc", "ftp://example.org", "example.org"])
def test_mirror_of_another_kind(url: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="not a mirror's URL"):
        fetch(FILE, folder=tmp_path, mirrors=[url])


def test_endless_and_too_large_files(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_fetch, "MAX_BYTES", 2_000_000)
    with pytest.raises(WeightsError, match="the server offers 3072000 bytes"):
        get(server, tmp_path)
    server.lengths = False
    with pytest.raises(WeightsError, match="doesn't stop sending"):
        get(server, tmp_path)


def test_disk_too_small(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type(weights_fetch.shutil.disk_usage(tmp_path))
    monkeypatch.setattr(weights_fetch.shutil, "disk_usage", lambda _: usage(10**6, 10**6 - 10, 10))
    with pytest.raises(BikeError, match="3072000 bytes are needed and 10 are free"):
        get(server, tmp_path)


def test_folder_that_can_t_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BikeError, match="can't be written"):
        fetch(FILE, folder=tmp_path / "file" / "sub")


def test_two_at_once_fetch_once(server: Server, tmp_path: Path) -> None:
    threads = [threading.Thread(target=get, args=(server, tmp_path)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.requests) == 1
    assert (tmp_path / "small.pt").read_bytes() == CONTENT


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BIKE_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


def test_cache_folder(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder() == folder
    monkeypatch.delenv("BIKE_WEIGHTS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert cache_folder().parts[-2:] == ("bike", "weights")


def test_official_names() -> None:
    assert find_official("ViT-B/32") is OFFICIAL_FILES["ViT-B/32"]
    assert find_official("vit-b-32") is OFFICIAL_FILES["ViT-B/32"]
    assert find_official("ViT-L/14@336px") is OFFICIAL_FILES["ViT-L/14-336px"]
    assert find_official("ViT-B/8") is None
    assert all(len(file.sha256) == 64 for file in OFFICIAL_FILES.values())


def test_resolve_fetches_what_is_missing(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OFFICIAL_FILES, "Small", FILE)
    monkeypatch.setenv("BIKE_WEIGHTS_MIRROR", server.url)
    assert resolve("Small") == folder / "small.pt"
    assert resolve("small") == folder / "small.pt"
    assert len(server.requests) == 1


def test_resolve_paths(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "mine.pt").write_bytes(b"")
    assert resolve(tmp_path / "mine.pt") == tmp_path / "mine.pt"
    assert resolve(str(tmp_path)) == tmp_path
    folder.mkdir()
    (folder / "ViT-B-32.pt").write_bytes(b"put here by hand")
    assert resolve("ViT-B/32") == folder / "ViT-B-32.pt"
    assert "not OpenAI's file for ViT-B/32" in caplog.text


def test_resolve_of_neither(folder: Path) -> None:
    with pytest.raises(WeightsError, match=r"ViT-B/33: no such file, and no official name. Did you mean 'ViT-B/32'\?"):
        resolve("ViT-B/33")
    assert not folder.exists()
