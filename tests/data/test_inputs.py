"""What a run over frames notes of its inputs: enough that results of two contents are not mixed."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from helpers.servers import Server
from helpers.shards import make_data

from bike.data.inputs import read_inputs
from bike.files import sha256
from bike.shard.run import write_shards


def test_an_address_is_known_by_what_it_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the same shards on a disk are; by the address alone, old rows would be completed with new frames."""
    monkeypatch.setenv("BIKE_SHARD_CACHE", str(tmp_path / "cache"))
    data, shards = make_data(tmp_path, [6] * 4), tmp_path / "shards"
    found = []
    with closing(Server(shards)) as server:
        for kept in (None, 2):
            write_shards(data.list, data.frames, shards, frames_per_video=kept, jobs=1, replace=True)
            for place in (shards, server.url):
                inputs = read_inputs(data.list, tmp_path / "labels.csv", place)
                found.append((inputs.checksums["frames"], sha256(shards / "manifest.json")))
    assert all(ours == theirs for ours, theirs in found)
    assert len(set(found)) == 2
