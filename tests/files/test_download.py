"""Downloads: whatever the connection does, the bytes are right or the error says why, in a bounded time."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.servers import QUICK, Server, drip, free_port, s3_store, secure_server, use_s3

from bike.errors import BikeError, DataError
from bike.files import download as module
from bike.files.download import download

CONTENT = bytes(range(256)) * 3000
SIZE = len(CONTENT)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served")
    (folder / "file").write_bytes(CONTENT)
    server = Server(folder)
    yield server
    server.close()


def get(server: Server, path: Path, **options: Any) -> bytes:
    download(f"{server.url}/file", path, **{"largest": SIZE, "sha256": SHA256, **QUICK, **options})
    return path.read_bytes()


def ranges(server: Server) -> list[str | None]:
    return [asked for _, asked in server.requests]


@pytest.mark.parametrize("fault", ["503", "429", "501", "cut", "cut, no length", "other bytes"])
@pytest.mark.parametrize("options", [{"size": SIZE}, {"resume": True}])
def test_a_server_that_fails_once(server: Server, tmp_path: Path, fault: str, options: dict[str, Any]) -> None:
    server.fault = lambda name, number: fault if number == 0 else None
    assert get(server, tmp_path / "x", **options) == CONTENT
    resumed = fault == "cut" and "resume" in options
    assert ranges(server) == [None, f"bytes={SIZE // 2}-" if resumed else None]


def test_tries_are_counted(server: Server, tmp_path: Path) -> None:
    server.fault = lambda name, number: "503"
    with pytest.raises(
        BikeError, match=r"/file: can't be fetched \(HTTP status 503 .*; 3 tries\). Check the connection"
    ):
        get(server, tmp_path / "x", attempts=3)
    assert len(server.requests) == 3


def test_tries_that_bring_something_are_not_counted(server: Server, tmp_path: Path) -> None:
    server.fault = lambda name, number: "cut" if number < 3 else None
    assert get(server, tmp_path / "x", resume=True, attempts=2) == CONTENT
    starts = [int(asked[6:-1]) if asked else 0 for asked in ranges(server)]
    assert starts == [0, SIZE // 2, SIZE * 3 // 4, SIZE * 7 // 8]


def test_an_earlier_run_is_gone_on_with(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(CONTENT[:12_345])
    assert get(server, tmp_path / "x", resume=True) == CONTENT
    assert ranges(server) == ["bytes=12345-"]
    assert get(server, tmp_path / "x", resume=True) == CONTENT
    assert ranges(server)[1:] == [f"bytes={SIZE}-"]  # whole: answered with 416


@pytest.mark.parametrize("left", [b"x" * 500, b"x" * (SIZE + 5)])
def test_what_is_there_of_another_file_is_dropped(server: Server, tmp_path: Path, left: bytes) -> None:
    (tmp_path / "x").write_bytes(left)
    assert get(server, tmp_path / "x", resume=True) == CONTENT
    assert ranges(server) == [f"bytes={len(left)}-", None]


def test_a_server_that_ignores_ranges(server: Server, tmp_path: Path) -> None:
    server.fault = lambda name, number: "cut" if number == 0 else "no ranges"
    assert get(server, tmp_path / "x", resume=True) == CONTENT
    assert len(server.requests) == 2


def test_a_server_that_sends_another_range(server: Server, tmp_path: Path) -> None:
    server.fault = lambda name, number: "cut" if number == 0 else "another range"
    with pytest.raises(BikeError, match=f"another range than the one from byte {SIZE // 2}"):
        get(server, tmp_path / "x", resume=True, attempts=2)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("part", "status 206, not with the file"),
        ("no file", "status 204, not with the file"),
        ("long length", r"a length of '9{20}'"),
    ],
)
def test_answers_that_are_no_whole_file(server: Server, tmp_path: Path, fault: str, said: str) -> None:
    server.fault = lambda name, number: fault
    with pytest.raises(BikeError, match=rf"can't be fetched \(the server .*{said}; 2 tries\)"):
        get(server, tmp_path / "x", attempts=2, sha256=None)
    server.fault = lambda name, number: fault if number < 3 else None  # of each file: two requests were above
    assert get(server, tmp_path / "x") == CONTENT


@pytest.mark.parametrize(
    "target", ["ftp://127.0.0.1/x", "file:///etc/passwd", "FILE:/etc/passwd", "data:,x", "gopher://x/"]
)
def test_a_redirect_leads_to_no_other_scheme(server: Server, tmp_path: Path, target: str) -> None:
    server.fault = lambda name, number: f"to {target}"
    with pytest.raises(DataError, match=r"/file: HTTP status 302 .*[Rr]edirect.*Check the address"):
        get(server, tmp_path / "x", sha256=None)
    assert len(server.requests) == 1
    server.fault = lambda name, number: f"to {server.url}/file" if number == 1 else None
    assert get(server, tmp_path / "x") == CONTENT


def test_a_redirect_leaves_no_encryption(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with secure_server(tmp_path, monkeypatch) as secure:
        (tmp_path / "file").write_bytes(CONTENT)
        secure.fault = lambda name, number: [f"to {server.url}/file", f"to {secure.url}/file", None][min(number, 2)]
        with pytest.raises(DataError, match=r"https://.*/file: HTTP status 302 .*redirect to http://"):
            get(secure, tmp_path / "x")
        assert server.requests == []
        assert get(secure, tmp_path / "x") == CONTENT
        server.fault = lambda name, number: f"to {secure.url}/file"  # to encryption, always
        assert get(server, tmp_path / "x") == CONTENT


@pytest.mark.parametrize("status", ["404", "403", "410", "416"])
def test_what_is_refused_is_not_asked_for_again(server: Server, tmp_path: Path, status: str) -> None:
    server.fault = lambda name, number: status
    with pytest.raises(DataError, match=f"/file: HTTP status {status} .*Check the address"):
        get(server, tmp_path / "x")
    assert len(server.requests) == 1


def test_a_wrong_file_is_fetched_once_more(server: Server, tmp_path: Path) -> None:
    server.fault = lambda name, number: "other bytes"
    with pytest.raises(DataError, match=rf"sent another file \(SHA-256 \w{{16}}…; {SHA256[:16]}… is right\), twice"):
        get(server, tmp_path / "x")
    assert len(server.requests) == 2


@pytest.mark.parametrize("fault", ["endless", "endless, no length"])
def test_no_more_is_accepted_than_was_promised(server: Server, tmp_path: Path, fault: str) -> None:
    server.fault = lambda name, number: fault
    with pytest.raises(DataError, match=f"more than the {SIZE} bytes"):
        get(server, tmp_path / "x")
    assert (tmp_path / "x").stat().st_size <= SIZE


def test_the_size_is_taken_from_the_start(server: Server, tmp_path: Path) -> None:
    sizes = []

    def fault(name: str, number: int) -> str | None:
        sizes.append((tmp_path / "x").stat().st_size)
        return "cut" if number < 2 else None

    server.fault = fault
    assert get(server, tmp_path / "x", size=SIZE) == CONTENT
    assert sizes[1:] == [SIZE, SIZE]


def test_a_disk_that_is_too_small(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type(module.shutil.disk_usage(tmp_path))
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage(10**6, 10**6 - 10, 10))
    with pytest.raises(OSError, match=f"{SIZE} bytes are needed and 10 are free"):
        get(server, tmp_path / "x")


def test_nobody_answers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(BikeError, match=r"can't be fetched \(Connection refused; 3 tries\). Check the connection"):
        download(f"http://127.0.0.1:{free_port()}/x", tmp_path / "x", largest=9, attempts=3, **QUICK)
    assert caplog.text.count("trying again") == 1


def test_a_server_that_never_answers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        begin = time.monotonic()
        with pytest.raises(BikeError, match=r"can't be fetched \(timed out; 2 tries\)"):
            download(url, tmp_path / "x", largest=9, attempts=2, timeout_seconds=0.2, pause_seconds=0)
        assert time.monotonic() - begin < 5


@pytest.mark.parametrize("scheme", ["http", "s3"])
def test_a_trickle_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    if scheme == "s3":
        pytest.importorskip("boto3")
    with drip() as endpoint:
        use_s3(monkeypatch, endpoint)
        url = f"{endpoint}/x" if scheme == "http" else "s3://bucket/x"
        with pytest.raises(BikeError, match="bytes in 0 s; 1 tries"):
            download(url, tmp_path / "x", largest=10**6, attempts=1, timeout_seconds=0.3, pause_seconds=0)


def test_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("moto")
    pytest.importorskip("boto3")
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "file").write_bytes(CONTENT)
    path = tmp_path / "x"
    with s3_store(tmp_path / "served", tmp_path / "log") as endpoint:
        use_s3(monkeypatch, endpoint)
        options = {"largest": SIZE, "sha256": SHA256, **QUICK}
        url = "s3://videos/some/where/file"
        download(url, path, size=SIZE, **options)
        assert path.read_bytes() == CONTENT
        for left in (CONTENT[: SIZE // 2], CONTENT, b"x" * 500, b"x" * (SIZE + 5)):
            path.write_bytes(left)
            download(url, path, resume=True, **options)
            assert path.read_bytes() == CONTENT
        for wrong, code in {"videos/else": "NoSuchKey", "nowhere/else": "NoSuchBucket"}.items():
            with pytest.raises(DataError, match=rf"s3://{wrong}: refused by the store \({code}\). Check the address"):
                download(f"s3://{wrong}", path, **options)
