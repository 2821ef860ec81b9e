"""Sharding many videos takes little more memory than sharding few."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.places import ROOT
from helpers.shards import FPS, jpeg, picture

from bike.records import Sample, VideoRecord, write_list, write_manifest

PEAK = """
import resource, sys
from bike.shard.run import write_shards
write_shards(sys.argv[1], sys.argv[2], sys.argv[3], max_size_mb=0.5, jobs=1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak_mb(root: Path, num_videos: int) -> float:
    """Most memory of a process that shards tiny videos."""
    pack = b"".join(jpeg(picture(0, frame, 16, 16)) for frame in range(8))
    (root / "frames").mkdir(parents=True)
    keys = [f"clips__v{number:06d}" for number in range(num_videos)]
    for key in keys:
        (root / f"frames/{key}.mjpg").write_bytes(pack)
    paths = [key.replace("__", "/") + ".mp4" for key in keys]
    write_manifest(
        root / "frames/manifest.csv",
        [VideoRecord(k, p, "ok", 8, FPS, 16, 16, 1.0, len(pack)) for k, p in zip(keys, paths, strict=True)],
    )
    write_list(root / "train.csv", [Sample(k, k, p, (0,), 8) for k, p in zip(keys, paths, strict=True)])
    done = subprocess.run(
        [sys.executable, "-c", PEAK, root / "train.csv", root / "frames", root / "out"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return int(done.stdout) / 1024


def test_memory_does_not_grow_with_what_is_stored(tmp_path: Path) -> None:
    """A row of the list costs about a kilobyte; frames and shards cost nothing once they are written."""
    few, many = peak_mb(tmp_path / "few", 20), peak_mb(tmp_path / "many", 1500)
    stored = sum(path.stat().st_size for path in (tmp_path / "many/out").glob("*.tar")) / 2**20
    assert stored > 5
    assert many - few < 4


@pytest.mark.parametrize("library", ["av", "pandas", "torch", "webdataset"])
def test_helpers_load_no_large_library(library: str) -> None:
    """A decoder or pandas would take 50 MB in each process that writes shards."""
    code = f"import sys, bike.shard.run, bike.shard.write; sys.exit({library!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
