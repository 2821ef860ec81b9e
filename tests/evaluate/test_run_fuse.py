"""Fusion of two finished evaluations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.fit_data import NAMES
from helpers.scores import fake_scores

from bike.errors import DataError
from bike.evaluate.results import write_results
from bike.evaluate.run_fuse import fuse_results
from bike.evaluate.scores import Scores, read_scores, write_scores
from bike.evaluate.views import mean_scores

KEYS = ["a", "b", "c", "d"]


def write(folder: Path, scores: Scores | None = None, **changes: Any) -> Path:
    write_results(folder, replace(scores or fake_scores(KEYS, 0), **changes), seconds=1.0)
    return folder


def test_fusion_matches_rows_by_key(tmp_path: Path) -> None:
    video, other = fake_scores(KEYS, 0), fake_scores(KEYS[::-1], 1, views=1, labels=(0, 2, 1, 0))
    write(tmp_path / "video", video)
    write(tmp_path / "attributes", other)
    metrics = fuse_results(tmp_path / "video", tmp_path / "attributes", tmp_path / "fused", video_weight=0.7)
    fused = read_scores(tmp_path / "fused")
    assert video.logits is not None
    assert other.logits is not None
    expected = 0.7 * mean_scores(video.logits, 2) + 0.3 * mean_scores(other.logits, 1).flip(0)
    torch.testing.assert_close(fused.scores, expected)
    assert fused.keys == KEYS
    assert metrics["videos"] == 4
    with pytest.raises(DataError, match="fused scores can't be fused again"):
        fuse_results(tmp_path / "fused", tmp_path / "attributes", tmp_path / "twice")


def test_fusion_is_of_a_video_branch_and_an_attribute_branch(tmp_path: Path) -> None:
    for name in ("video", "zero-shot", "attributes"):
        write(tmp_path / name, branch=name)
    for first in ("video", "zero-shot"):
        assert fuse_results(tmp_path / first, tmp_path / "attributes", tmp_path / "out")["videos"] == 4
    noted = write(tmp_path / "noted", branch="video", mismatch={"frames": "16, not 8"})
    metrics = fuse_results(noted, tmp_path / "attributes", tmp_path / "out")
    assert metrics["mismatch"] == {"video.frames": "16, not 8"}
    for first, second in (("video", "video"), ("video", "zero-shot"), ("attributes", "video"), ("attributes",) * 2):
        with pytest.raises(DataError, match=f"scores of the branches {first} and {second}"):
            fuse_results(tmp_path / first, tmp_path / second, tmp_path / "out")
    other = write(tmp_path / "other", names=NAMES[::-1])
    with pytest.raises(DataError, match=r"class 0 is 'blue square' and 'red square' \(2 of 3 places differ; the same"):
        fuse_results(tmp_path / "video", other, tmp_path / "out")
    bad = fake_scores(KEYS, 0)
    assert bad.logits is not None
    write_scores(tmp_path / "bad.safetensors", replace(bad, logits=bad.logits / 0))
    with pytest.raises(DataError, match=r"bad\.safetensors: scores and logits must be finite"):
        fuse_results(tmp_path / "bad.safetensors", tmp_path / "attributes", tmp_path / "out")


def test_fusion_refuses_other_videos_and_labels(tmp_path: Path) -> None:
    one, two = write(tmp_path / "one"), write(tmp_path / "two", keys=["a", "b", "c", "e"])
    three = write(tmp_path / "three", fake_scores(KEYS, 0, labels=(0, 1, 2, 1)))
    with pytest.raises(DataError, match="1 videos have scores of the video branch only: d"):
        fuse_results(one, two, tmp_path / "out")
    with pytest.raises(DataError, match="other labels"):
        fuse_results(one, three, tmp_path / "out")
    assert not (tmp_path / "out").exists()
