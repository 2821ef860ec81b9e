"""Fusion of two finished evaluations."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.scores import fake_scores

from bike.errors import DataError
from bike.evaluate.results import write_results
from bike.evaluate.run_fuse import fuse_results
from bike.evaluate.scores import read_scores
from bike.evaluate.views import mean_scores


def test_fusion_matches_rows_by_key(tmp_path: Path) -> None:
    keys = ["a", "b", "c", "d"]
    video, other = fake_scores(keys, 0), fake_scores(keys[::-1], 1, views=1, labels=(0, 2, 1, 0))
    write_results(tmp_path / "video", video, seconds=1.0)
    write_results(tmp_path / "attributes", other, seconds=1.0)
    metrics = fuse_results(tmp_path / "video", tmp_path / "attributes", tmp_path / "fused", video_weight=0.7)
    fused = read_scores(tmp_path / "fused")
    assert video.logits is not None
    assert other.logits is not None
    expected = 0.7 * mean_scores(video.logits, 2) + 0.3 * mean_scores(other.logits, 1).flip(0)
    torch.testing.assert_close(fused.scores, expected)
    assert fused.keys == keys
    assert metrics["videos"] == 4
    with pytest.raises(DataError, match="fused scores can't be fused again"):
        fuse_results(tmp_path / "fused", tmp_path / "attributes", tmp_path / "twice")


def test_fusion_refuses_other_videos_and_labels(tmp_path: Path) -> None:
    write_results(tmp_path / "one", fake_scores(["a", "b", "c", "d"], 0), seconds=1.0)
    write_results(tmp_path / "two", fake_scores(["a", "b", "c", "e"], 0), seconds=1.0)
    write_results(tmp_path / "three", fake_scores(["a", "b", "c", "d"], 0, labels=(0, 1, 2, 1)), seconds=1.0)
    with pytest.raises(DataError, match="1 videos have scores of the video branch only: d"):
        fuse_results(tmp_path / "one", tmp_path / "two", tmp_path / "out")
    with pytest.raises(DataError, match="other labels"):
        fuse_results(tmp_path / "one", tmp_path / "three", tmp_path / "out")
    assert not (tmp_path / "out").exists()
