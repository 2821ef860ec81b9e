"""Frames that changed since they were written: named with their file, wherever they are read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.servers import QUICK, Server
from helpers.shards import Data, frame_numbers, jpegs_of, make_data, write_folder

from bike.data.loader import evaluation_batches, training_batches
from bike.dataset import VideoShards
from bike.errors import DataError
from bike.files import sha256
from bike.formats.packs import add_checksum, jpeg_checksum, read_frames
from bike.frames.open import FolderSource, FrameSource, PackSource, RemoteShardSource, ShardSource
from bike.shard.run import write_shards
from bike.shard.verify import verify_shards

FRAMES, VIEWS = 6, {"num_segments": 6, "input_size": 16, "batch_size": 2}


@pytest.fixture
def data(tmp_path: Path) -> Data:
    """Two videos whose frames carry checksums, as those of `bike extract` do."""
    data = make_data(tmp_path, [FRAMES] * 2)
    for sample in data.samples:
        jpegs = jpegs_of(data.frames / f"{sample.video}.mjpg")
        (data.frames / f"{sample.video}.mjpg").write_bytes(b"".join(map(add_checksum, jpegs)))
    (data.frames / "manifest.csv").write_text(
        "key,path,status,frames,fps\n" + "".join(f"{s.key},{s.path},ok,{FRAMES},8\n" for s in data.samples)
    )
    return data


def spoil(path: Path, jpeg: bytes) -> None:
    """Change one bit in the middle of a JPEG that lies somewhere in a file."""
    whole = bytearray(path.read_bytes())
    whole[whole.index(jpeg) + len(jpeg) // 2] ^= 1
    path.write_bytes(whole)


def check_refused(read: Callable[[], object], *named: str) -> None:
    with pytest.raises(DataError, match="frame pack: frame 3 changed since it was written") as raised:
        read()
    assert "\n" not in str(raised.value)
    assert all(text in str(raised.value) for text in named)


def check_batches(source: FrameSource, data: Data, *named: str) -> None:
    video = data.samples[1].video
    assert frame_numbers(source.read(video, [2, 4])) == [2, 4]  # what is read beside it is sound
    check_refused(lambda: list(evaluation_batches(data.samples, source, **VIEWS)), video, *named)
    check_refused(lambda: list(training_batches(data.samples, source, **VIEWS).epoch(0)), video, *named)


@pytest.mark.parametrize("when", ["before", "while"])
def test_a_pack_that_was_changed_in_place(data: Data, when: str) -> None:
    video, source = data.samples[1].video, PackSource(data.frames)
    if when == "while":  # it is in use, and its frames were found
        source.read(video, range(FRAMES))
    spoil(data.frames / f"{video}.mjpg", jpegs_of(data.frames / f"{video}.mjpg")[3])
    check_batches(source, data, f"{video}.mjpg")
    check_refused(lambda: write_shards(data.list, data.frames, data.frames.parent / "out", jobs=1), f"{video}.mjpg")


def test_a_frame_of_a_folder(data: Data, tmp_path: Path) -> None:
    for sample in data.samples:
        write_folder(tmp_path / "folders" / sample.video, jpegs_of(data.frames / f"{sample.video}.mjpg"))
    video = data.samples[1].video
    spoil(tmp_path / "folders" / video / "img_00004.jpg", jpegs_of(data.frames / f"{video}.mjpg")[3])
    check_batches(FolderSource(tmp_path / "folders", data.samples), data)


@pytest.mark.parametrize("marked", [True, False])
def test_a_damaged_shard(data: Data, tmp_path: Path, marked: bool) -> None:
    """Also where the frames were written by others and have no comment."""
    video = data.samples[1].video
    if not marked:
        make_data(tmp_path, [FRAMES] * 2)
    write_shards(data.list, data.frames, tmp_path / "shards", jobs=1)
    source = ShardSource(tmp_path / "shards")
    source.read(video, range(FRAMES))
    spoil(tmp_path / "shards/00000.tar", jpegs_of(data.frames / f"{video}.mjpg")[3])
    check_batches(source, data, "00000.tar")
    stream = VideoShards(tmp_path / "shards", num_segments=FRAMES, input_size=16, train=False)
    check_refused(lambda: list(stream), "00000.tar", video)


def test_a_shard_that_was_damaged_in_the_cache(data: Data, tmp_path: Path) -> None:
    write_shards(data.list, data.frames, tmp_path / "shards", jobs=1)
    server = Server(tmp_path / "shards")
    try:
        source = RemoteShardSource(server.url, cache=tmp_path / "cache", **QUICK)
        source.read(data.samples[1].video, [0])
        (cached,) = (tmp_path / "cache").glob("*.tar")
        spoil(cached, jpegs_of(data.frames / f"{data.samples[1].video}.mjpg")[3])
        check_batches(source, data, server.url, str(cached))
        stream = VideoShards(server.url, cache=tmp_path / "cache", num_segments=FRAMES, input_size=16, **QUICK)
        check_refused(lambda: list(stream), str(cached), data.samples[1].key)
    finally:
        server.close()


def test_frames_without_checksums_are_read(data: Data, tmp_path: Path) -> None:
    """Packs and shards of versions that kept none."""
    data = make_data(tmp_path, [FRAMES] * 2)
    write_shards(data.list, data.frames, tmp_path / "shards", jobs=1)
    path = tmp_path / "shards/00000.tar"
    whole = path.read_bytes()
    assert whole.count(b'"crc32"') == 2
    path.write_bytes(whole.replace(b'"crc32"', b'"older"'))
    for source in (PackSource(data.frames), ShardSource(tmp_path / "shards")):
        assert frame_numbers(source.read(data.samples[0].video, range(FRAMES))) == list(range(FRAMES))


def test_verify_compares_checksums(data: Data, tmp_path: Path) -> None:
    """Where the SHA-256 is that of the manifest: somebody else wrote the shard so."""
    write_shards(data.list, data.frames, tmp_path / "shards", jobs=1)
    spoil(tmp_path / "shards/00000.tar", jpegs_of(data.frames / f"{data.samples[1].video}.mjpg")[3])
    manifest = json.loads((tmp_path / "shards/manifest.json").read_text())
    manifest["shards"][0]["sha256"] = sha256(tmp_path / "shards/00000.tar")
    (tmp_path / "shards/manifest.json").write_text(json.dumps(manifest))
    check_refused(lambda: verify_shards(tmp_path / "shards", jobs=1), data.samples[1].video)


def test_no_changed_byte_makes_another_picture(data: Data) -> None:
    jpeg = jpegs_of(data.frames / f"{data.samples[1].video}.mjpg")[3]
    right = read_frames(jpeg, [0, len(jpeg)], [0])
    for place in range(len(jpeg)):
        changed = bytearray(jpeg)
        changed[place] ^= 4
        try:
            found = read_frames(changed, [0, len(jpeg)], [0])
        except DataError:
            continue
        assert place >= len(jpeg) - 20  # in the comment itself
        assert (found == right).all()
    assert jpeg_checksum(jpeg, 0) != jpeg_checksum(jpeg[:-2], 0)
