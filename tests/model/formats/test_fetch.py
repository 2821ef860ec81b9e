"""Fetching weights: once, from the first mirror that has the right file (how is the matter of test_download)."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.servers import Server, free_port

from bike.errors import BikeError, WeightsError
from bike.model.choose import load_video_model
from bike.model.formats import fetch as weights_fetch
from bike.model.formats.fetch import fetch, resolve, run_weights
from bike.model.formats.official import OFFICIAL_FILES, OfficialFile, find_official, weights_folder

CONTENT = bytes(range(256)) * 12_000  # 3 MB
SHA256 = hashlib.sha256(CONTENT).hexdigest()
FILE = OfficialFile("Small", "small.pt", SHA256)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("BIKE_WEIGHTS_MIRROR", raising=False)
    monkeypatch.setattr(weights_fetch, "PAUSE_SECONDS", 0.001)
    folder = tmp_path_factory.mktemp("served")
    (folder / "small.pt").write_bytes(CONTENT)
    server = Server(folder)
    yield server
    server.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder, not made yet."""
    monkeypatch.setenv("BIKE_WEIGHTS", str(tmp_path / "a" / "weights"))
    return tmp_path / "a" / "weights"


def get(server: Server) -> Path:
    return fetch(FILE, mirrors=[server.url])


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


def test_fetch_once(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert get(server) == folder / "small.pt"
    assert (folder / "small.pt").read_bytes() == CONTENT
    assert names(folder) == {"small.pt"}
    assert get(server) == folder / "small.pt"
    assert server.requests == [("small.pt", None)]
    monkeypatch.delenv("BIKE_WEIGHTS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert weights_folder().parts[-2:] == ("bike", "weights")


@pytest.mark.parametrize(
    ("name", "there", "asked"), [("small.pt.part", CONTENT[:12_345], "bytes=12345-"), ("small.pt", b"old", None)]
)
def test_what_a_cut_left_is_gone_on_with_and_a_wrong_file_is_replaced(
    server: Server, folder: Path, name: str, there: bytes, asked: str | None
) -> None:
    folder.mkdir(parents=True)
    (folder / name).write_bytes(there)
    server.fault = lambda name, number: "503" if number == 0 else None
    assert get(server).read_bytes() == CONTENT
    assert server.requests == [("small.pt", asked)] * 2
    assert names(folder) == {"small.pt"}


def test_wrong_file(server: Server, folder: Path) -> None:
    (server.folder / "small.pt").write_bytes(b"<html>not here</html>")
    with pytest.raises(WeightsError, match=r"Small: http://.*/small.pt: sent another file \(SHA-256 ") as error:
        get(server)
    assert "\n" not in str(error.value)
    assert "put small.pt into" in str(error.value)
    assert names(folder) <= {"small.pt.part"}


@pytest.mark.usefixtures("folder")
def test_mirrors_in_turn_and_their_placeholders(server: Server) -> None:
    server.fault = lambda name, number: "404" if number == 0 else None
    fetch(FILE, mirrors=[f"{server.url}/first/", f"{server.url}/{{sha256}}/{{file}}"])
    assert [path.split("/shards")[1] for path in server.paths] == ["/first/small.pt", f"/{SHA256}/small.pt"]


@pytest.mark.usefixtures("folder")
def test_mirror_by_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIKE_WEIGHTS_MIRROR", f"{server.url}/mine")
    fetch(FILE)
    assert server.paths[0].endswith("/mine/small.pt")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("url", ["file:///etc", "ftp://example.org", "example.org"])
def test_mirror_of_another_kind(url: str) -> None:
    with pytest.raises(WeightsError, match="not a mirror's URL"):
        fetch(FILE, mirrors=[url])


@pytest.mark.usefixtures("folder")
def test_too_large_files(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_fetch, "MAX_BYTES", 2_000_000)
    with pytest.raises(WeightsError, match="more than the 2000000 bytes that are accepted"):
        get(server)


def test_folder_that_can_t_be_made(folder: Path) -> None:
    folder.parent.write_text("")
    with pytest.raises(BikeError, match="can't be written"):
        fetch(FILE)


def test_two_at_once_fetch_once(server: Server, folder: Path) -> None:
    threads = [threading.Thread(target=get, args=(server,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.requests) == 1
    assert (folder / "small.pt").read_bytes() == CONTENT


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


def test_resolve_paths_and_of_neither(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(WeightsError, match=r"ViT-B/33: no such file, and no official name. Did you mean 'ViT-B/32'\?"):
        resolve("ViT-B/33")
    assert not folder.exists()
    (tmp_path / "mine.pt").write_bytes(b"")
    assert resolve(tmp_path / "mine.pt") == tmp_path / "mine.pt"
    assert resolve(str(tmp_path)) == tmp_path
    folder.mkdir(parents=True)
    (folder / "ViT-B-32.pt").write_bytes(b"put here by hand")
    assert resolve("ViT-B/32") == folder / "ViT-B-32.pt"
    assert "not OpenAI's file for ViT-B/32" in caplog.text


def test_a_run_without_its_weights_is_told_where_others_are_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIKE_WEIGHTS_MIRROR", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setattr(weights_fetch, "PAUSE_SECONDS", 0.001)
    fetching = r"ViT-B/32: .*`bike weights fetch ViT-B/32 --mirror URL`, or put ViT-B-32\.pt into .* yourself\."
    for weights, said in (("ViT-B/32", fetching), ("a.pt", "a.pt: no such file, and no official name")):
        with pytest.raises(WeightsError, match=said + r".* Or name other weights \(--weights, model\.weights\)\.$"):
            load_video_model(None, weights)
        with pytest.raises(WeightsError, match=said + r".* Or name other weights \(model\.weights\)\.$"):
            run_weights(weights, "model.weights")
