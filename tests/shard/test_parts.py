"""Sharding in parts: the same bytes as in one process, and nothing is merged that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.shards import Data, make_data

from bike.errors import BikeError
from bike.files.parts import MERGE, Part, Split
from bike.shard.run import ShardSummary, write_shards
from bike.shard.verify import verify_shards

SIZE_MB = 0.05


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return make_data(tmp_path_factory.mktemp("data"), [3 + number % 5 for number in range(30)])


def write(data: Data, out: Path, split: Split | None = None, **options: object) -> ShardSummary:
    chosen = {"samples": data.list, "max_size_mb": SIZE_MB, "jobs": 1, **options}
    return write_shards(frames=data.frames, destination=out, split=split, **chosen)  # type: ignore[arg-type]


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_parts_in_any_order_give_the_bytes_of_one_process(data: Data, tmp_path: Path) -> None:
    out = tmp_path / "out"
    whole = write(data, tmp_path / "whole")
    parts = [write(data, out, Part(number, 3)) for number in (2, 3, 1)]
    assert sum(part.shards for part in parts) == whole.shards > 6
    assert sum(part.videos for part in parts) == 30
    assert sum(part.bytes for part in parts) == whole.bytes
    assert write(data, out, Part(2, 3)).written == 0  # again
    assert not (out / "manifest.json").exists()
    assert write(data, out, MERGE) == whole
    assert everything(out) == everything(tmp_path / "whole")
    assert write(data, out, MERGE).written == 0  # again: nothing is left to do
    assert verify_shards(out).videos == 30


def test_what_is_not_there_is_not_merged(data: Data, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(BikeError, match="no part was begun here"):
        write(data, out, MERGE)
    for number in (1, 3):
        write(data, out, Part(number, 3))
    with pytest.raises(BikeError, match="1 of 3 parts are missing.*: 2. Run"):
        write(data, out, MERGE)
    with pytest.raises(BikeError, match="was begun in 3 parts"):
        write(data, out, Part(2, 4))
    write(data, out, Part(2, 3))
    with pytest.raises(BikeError, match="made with other settings"):
        write(data, out, MERGE, frames_per_video=2)
    lost = next((out / ".bike-parts/2-of-3").glob("*.tar"))
    lost.unlink()
    with pytest.raises(BikeError, match="1 of 3 parts are missing.*: 2. Run"):
        write(data, out, MERGE)
    assert write(data, out, Part(2, 3)).written == 1
    assert write(data, out, MERGE).videos == 30


def test_parts_write_only_what_changed(data: Data, tmp_path: Path) -> None:
    out, fewer, every = tmp_path / "out", {"samples": data.samples[:-1]}, {"samples": data.samples}
    before = write(data, out, **fewer)
    kept = everything(out)
    written = sum(write(data, out, Part(number, 3), **every).written for number in (1, 2, 3))
    assert 0 < written < before.shards / 2
    assert {name: text for name, text in everything(out).items() if not name.startswith(".bike-parts")} == kept
    assert write(data, out, MERGE, **every).written == written
    write(data, tmp_path / "whole", **every)
    assert everything(out) == everything(tmp_path / "whole")
    with pytest.raises(BikeError, match="--replace"):  # before hours of work, not after
        write(data, out, Part(1, 3), **fewer)


def test_a_lost_tar_of_a_finished_folder_is_a_part_s_work(data: Data, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(data, out)
    whole = everything(out)
    next(out.glob("*.tar")).unlink()
    assert sum(write(data, out, Part(number, 2)).written for number in (1, 2)) == 1
    assert write(data, out, MERGE).written == 1
    assert everything(out) == whole
