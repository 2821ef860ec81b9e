"""Shards as a source of frames: descriptors are bounded."""

from __future__ import annotations

from pathlib import Path

from helpers.shards import frame_numbers, make_data

from bike.frames.shards import ShardSource
from bike.shard.run import write_shards


def test_few_files_are_open_at_a_time(tmp_path: Path) -> None:
    data = make_data(tmp_path, [1] * 90)
    write_shards(data.list, data.frames, tmp_path / "out", max_size_mb=0.001, jobs=1)
    source = ShardSource(tmp_path / "out")
    assert len(source.index.shards) > 70
    before = len(list(Path("/proc/self/fd").iterdir()))
    for sample in data.samples:
        assert frame_numbers(source.read(sample.video, [0])) == [0]
    assert len(list(Path("/proc/self/fd").iterdir())) - before <= 64
    del source
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
