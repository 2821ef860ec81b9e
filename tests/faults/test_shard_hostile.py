"""Shards from anywhere: whatever is in a tar, an index or a manifest, the answer is one line that names it."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.shards import make_data

from bike.errors import DataError
from bike.formats.shards import parse_stored
from bike.formats.tar import TarWriter, scan_members
from bike.frames.open import ShardSource
from bike.shard.run import write_shards
from bike.shard.verify import verify_shards


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sound")
    data = make_data(root, [3] * 8)
    write_shards(data.list, data.frames, root / "shards", max_size_mb=0.03, jobs=1)
    return root / "shards"


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "shards"))


def read_all(folder: Path) -> None:
    source = ShardSource(folder)
    for key in source.index.keys:
        source.read(key, range(source.num_frames(key)))


def refused(action: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(DataError) as raised:
        action(*arguments)
    message = str(raised.value)
    assert "\n" not in message
    assert len(message) < 2000
    return message


def tar_of(path: Path, *members: tuple[tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=format) as tar:
        for info, payload in members:
            info.size = len(payload)
            tar.addfile(info, io.BytesIO(payload))
    return path


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../../x.json", "a/../b.json", "a/b.json", ".json", "a b.json", "é.json", "x.tar.gz", "a\nb.json"],
)
@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_that_no_shard_uses(tmp_path: Path, name: str, format: int) -> None:
    path = tar_of(tmp_path / "x.tar", (entry(name), b"{}"), format=format)
    assert "has a name that no shard uses" in refused(list, scan_members(path))


@pytest.mark.parametrize(
    "info",
    [
        entry("a.json", tarfile.SYMTYPE, "/etc/passwd"),
        entry("a.json", tarfile.LNKTYPE, "b.json"),
        entry("a.json", tarfile.DIRTYPE),
        entry("a.json", tarfile.CHRTYPE),
        entry("a.json", tarfile.FIFOTYPE),
        entry("a.json", tarfile.GNUTYPE_SPARSE),
    ],
    ids=lambda info: info.type.decode(),
)
def test_members_that_are_no_plain_files(tmp_path: Path, info: tarfile.TarInfo) -> None:
    assert "not a plain file" in refused(list, scan_members(tar_of(tmp_path / "x.tar", (info, b""))))


def test_duplicate_names(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "x.tar", (entry("a.json"), b"1"), (entry("a.json"), b"2"))
    assert "duplicate member" in refused(list, scan_members(path))


def with_checksum(header: bytearray) -> bytes:
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return bytes(header)


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (b"77777777777\0", "claims 8589934591 bytes"),
        (b"00000100000\0", "claims 32768 bytes"),
        (b"\x80" + b"\xff" * 11, "claims 309485009821345068724781055 bytes"),
        (b"-0000000010\0", "claims -8 bytes"),
        (b"-0000001000\0", "claims -512 bytes"),  # back to the header itself
        (b"\xff" * 12, "claims -1 bytes"),
        (b"\xff" * 10 + b"\xfe\x00", "claims -512 bytes"),
        (b"00000000zz0\0", "not a tar header"),
    ],
)
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE])
def test_sizes_that_can_not_be(tmp_path: Path, size: bytes, said: str, kind: bytes) -> None:
    header = bytearray(entry("a.json", kind).tobuf(tarfile.USTAR_FORMAT))
    header[124:136] = size
    path = tmp_path / "x.tar"
    path.write_bytes(with_checksum(header) + bytes(2048))
    assert said in refused(list, scan_members(path))


def test_extended_headers_that_claim_a_size_or_are_huge(tmp_path: Path) -> None:
    info = entry("a.json")
    info.pax_headers = {"size": "999999999999"}
    assert "extended header" in refused(list, scan_members(tar_of(tmp_path / "x.tar", (info, b"{}"))))
    info = entry("a.json")
    info.pax_headers = {"comment": "x" * 100_000}
    assert "no shard has one" in refused(list, scan_members(tar_of(tmp_path / "y.tar", (info, b"{}"))))


def test_truncated_tars(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with path.open("wb") as file:
        tar = TarWriter(file)
        tar.add("a.json", b"{}")
        tar.add("a.mjpg", b"x" * 3000)
        tar.close()
    whole = path.read_bytes()
    assert [member.size for member in scan_members(path)] == [2, 3000]
    for length in range(0, 1024 + 512 + 3072, 100):
        path.write_bytes(whole[:length])
        refused(list, scan_members(path))


GOOD: dict[str, Any] = {
    "key": "v",
    "path": "v.mp4",
    "frames": 2,
    "fps": 25.0,
    "width": 4,
    "height": 4,
    "seconds": 0.08,
    "offsets": [0, 10, 20],
    "label": 0,
    "labels": [0],
    "name": "n",
    "instances": [{"key": "v", "labels": [0], "start_seconds": None, "end_seconds": None}],
}


@pytest.mark.parametrize(
    "change",
    [
        {"key": "w"},
        {"path": 3},
        {"frames": 3},
        {"frames": 0, "offsets": [0]},
        {"frames": 1 << 70},
        {"frames": True},
        {"frames": "2"},
        {"fps": "nan"},
        {"fps": -1},
        {"fps": None},
        {"width": -4},
        {"offsets": [0, 10]},
        {"offsets": [0, 10, 21]},
        {"offsets": [0, 30, 20]},
        {"offsets": [-5, 10, 20]},
        {"offsets": [0, 10.5, 20]},
        {"offsets": [0, 1 << 80, 20]},
        {"offsets": {"0": 1}},
        {"offsets": "abc"},
        {"crc32": [1]},
        {"crc32": [1, -2]},
        {"crc32": [1, 1 << 32]},
        {"crc32": "ab"},
        {"crc32": [1, 2], "offsets": None},
        {"instances": 5},
        {"instances": [5]},
        {"instances": [{"key": "v", "labels": [-1], "start_seconds": None, "end_seconds": None}]},
        {"instances": [{"key": "", "labels": [], "start_seconds": None, "end_seconds": None}]},
        {"instances": [{"key": "v", "labels": [0], "start_seconds": 1e999, "end_seconds": None}]},
        {"instances": [{"key": "v", "labels": [0], "start_seconds": "now", "end_seconds": None}]},
    ],
    ids=str,
)
def test_jsons_that_do_not_fit(change: dict[str, Any]) -> None:
    parse_stored(json.dumps(GOOD).encode(), "v", 20, "x.tar")
    message = refused(parse_stored, json.dumps({**GOOD, **change}).encode(), "v", 20, "x.tar")
    assert message.startswith("x.tar: v: ")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[1]",
        b"\xff\xfe",
        b"[" * 1_000_000,
        b'{"a":' * 100_000,
        b'{"key": "v", "frames": ' + b"9" * 10_000 + b"}",
        b'{"key": "v"}',
        json.dumps(GOOD).encode()[:-1],
    ],
    ids=lambda data: str(data[:20]),
)
def test_bytes_that_are_no_sample(data: bytes) -> None:
    refused(parse_stored, data, "v", 20, "x.tar")


def rewrite_index(folder: Path, text: str) -> None:
    """Change the index and its checksum, as someone who means harm would."""
    (folder / "index.csv").write_text(text)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["index"]["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_an_index_that_is_not_the_manifests(folder: Path) -> None:
    text = (folder / "index.csv").read_text()
    (folder / "index.csv").write_text(text.replace("00000.tar,512,", "00000.tar,513,", 1))
    assert text != (folder / "index.csv").read_text()
    assert "index.csv: missing or changed since it was written" in refused(ShardSource, folder)


@pytest.mark.parametrize("column", [2, 3, 4, 5])
@pytest.mark.parametrize("value", ["99999999", "-1", "9" * 30, "9" * 5000, "1e3", "", "0x10", "NaN"])
def test_index_numbers_out_of_range(folder: Path, column: int, value: str) -> None:
    lines = (folder / "index.csv").read_text().splitlines()
    cells = lines[3].split(",")
    cells[column] = value
    rewrite_index(folder, "\n".join([*lines[:3], ",".join(cells), *lines[4:]]) + "\n")
    refused(ShardSource, folder)
    refused(lambda: verify_shards(folder, jobs=1))


@pytest.mark.parametrize(
    "row", ["", "a,b\n", "k,nowhere.tar,0,1,2,3\n", "../k,00000.tar,0,1,2,3\n", "k,00000.tar,0,1,2,3,4\n", "\0\n"]
)
def test_index_rows_that_do_not_belong(folder: Path, row: str) -> None:
    text = (folder / "index.csv").read_text()
    first = text.splitlines()[1] + "\n"
    rewrite_index(folder, text + (row or first))
    refused(ShardSource, folder)


def test_an_index_that_points_at_other_bytes(folder: Path) -> None:
    lines = (folder / "index.csv").read_text().splitlines()
    cells = lines[1].split(",")
    for column, shift in ((2, 3), (4, 7)):
        moved = [*cells[:column], str(int(cells[column]) + shift), *cells[column + 1 :]]
        rewrite_index(folder, "\n".join([lines[0], ",".join(moved), *lines[2:]]) + "\n")
        refused(read_all, folder)
        assert "do not lie where the index says" in refused(lambda: verify_shards(folder, jobs=1))


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"shards": []},
        {"shards": None},
        {"videos": -1},
        {"videos": 0},
        {"videos": 3},
        {"videos": 10**9},
        {"bytes": "many"},
        {"index": {"name": "../../index.csv", "bytes": 1, "sha256": ""}},
        {"index": 4},
    ],
    ids=str,
)
def test_manifests_that_do_not_fit(folder: Path, change: dict[str, Any]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, **change}))
    refused(ShardSource, folder)


@pytest.mark.parametrize("name", ["../x.tar", "/etc/passwd", "a/b.tar", "x.zip", "", 5, "x" * 300 + ".tar"])
def test_shard_names_that_lead_elsewhere(folder: Path, name: object) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["shards"][0]["name"] = name
    (folder / "manifest.json").write_text(json.dumps(manifest))
    refused(ShardSource, folder)


@pytest.mark.parametrize("text", ["", "null", "[]", "[" * 500_000, "{", '{"format": "bike-shards-1"}', "\udcff"])
def test_files_that_are_no_manifest(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    refused(ShardSource, folder)


def test_a_folder_without_a_manifest_was_not_finished(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    assert "not finished" in refused(ShardSource, folder)
    assert "not finished" in refused(lambda: verify_shards(folder, jobs=1))


def test_verify_finds_every_kind_of_damage(folder: Path) -> None:
    paths = sorted(folder.glob("*.tar"))
    assert len(paths) == 3
    flipped = bytearray(paths[0].read_bytes())
    flipped[1800] ^= 1
    paths[0].write_bytes(flipped)
    paths[1].write_bytes(paths[1].read_bytes()[:-512])
    paths[2].unlink()
    (folder / "extra.tar").write_bytes(b"")
    message = refused(lambda: verify_shards(folder, jobs=2))
    assert "4 findings" in message
    for name, what in (
        (paths[0].name, "SHA-256"),
        (paths[1].name, "the manifest says"),
        (paths[2].name, "No such file"),
        ("extra.tar", "not in the manifest"),
    ):
        assert any(name in part and what in part for part in message.split(";")), (name, what)


def test_verify_looks_at_every_frame(folder: Path) -> None:
    """A tar whose checksums all agree can still hold something else than JPEGs."""
    manifest = json.loads((folder / "manifest.json").read_text())
    row = (folder / "index.csv").read_text().splitlines()[1].split(",")
    path = folder / row[1]
    data = bytearray(path.read_bytes())
    data[int(row[4])] = 0
    path.write_bytes(data)
    shard = next(shard for shard in manifest["shards"] if shard["name"] == row[1])
    shard["sha256"] = hashlib.sha256(data).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert "no JPEG at frame 0" in refused(lambda: verify_shards(folder, jobs=1))
    assert row[0] in refused(read_all, folder)


def test_a_shard_that_shrank_or_vanished_is_named(folder: Path) -> None:
    source = ShardSource(folder)
    path = sorted(folder.glob("*.tar"))[0]
    key = next(key for key in source.index.keys if source.index.shards[source.index.place(key)[0]] == path.name)
    path.write_bytes(path.read_bytes()[:-1])
    assert path.name in refused(source.num_frames, key)
    path.unlink()
    assert path.name in refused(source.num_frames, key)
    assert "not in these shards" in refused(source.num_frames, "unknown")
