"""Fusion of two finished evaluations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers.fit_data import NAMES
from helpers.scores import fake_scores

from bike.errors import DataError
from bike.evaluate.results import write_results
from bike.evaluate.run_fuse import fuse_results
from bike.evaluate.scores import read_scores, write_scores
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


def test_fusion_is_of_a_video_branch_and_an_attribute_branch(tmp_path: Path) -> None:
    keys = ["a", "b", "c", "d"]
    for name in ("video", "zero-shot", "attributes"):
        write_results(tmp_path / name, replace(fake_scores(keys, 0), branch=name), seconds=1.0)
    for first in ("video", "zero-shot"):
        assert fuse_results(tmp_path / first, tmp_path / "attributes", tmp_path / "out")["videos"] == 4
    noted = replace(fake_scores(keys, 0), branch="video", mismatch={"frames": "16, not 8"})
    write_results(tmp_path / "noted", noted, seconds=1.0)
    metrics = fuse_results(tmp_path / "noted", tmp_path / "attributes", tmp_path / "out")
    assert metrics["mismatch"] == {"video.frames": "16, not 8"}
    for first, second in (("video", "video"), ("video", "zero-shot"), ("attributes", "video"), ("attributes",) * 2):
        with pytest.raises(DataError, match=f"scores of the branches {first} and {second}"):
            fuse_results(tmp_path / first, tmp_path / second, tmp_path / "out")
    write_results(tmp_path / "other", replace(fake_scores(keys, 0), names=NAMES[::-1]), seconds=1.0)
    with pytest.raises(DataError, match=r"class 0 is 'blue square' and 'red square' \(2 of 3 places differ; the same"):
        fuse_results(tmp_path / "video", tmp_path / "other", tmp_path / "out")
    bad = fake_scores(keys, 0)
    assert bad.logits is not None
    write_scores(tmp_path / "bad.safetensors", replace(bad, logits=bad.logits / 0))
    with pytest.raises(DataError, match=r"bad\.safetensors: scores and logits must be finite"):
        fuse_results(tmp_path / "bad.safetensors", tmp_path / "attributes", tmp_path / "out")


def test_fusion_refuses_other_videos_and_labels(tmp_path: Path) -> None:
    write_results(tmp_path / "one", fake_scores(["a", "b", "c", "d"], 0), seconds=1.0)
    write_results(tmp_path / "two", fake_scores(["a", "b", "c", "e"], 0), seconds=1.0)
    write_results(tmp_path / "three", fake_scores(["a", "b", "c", "d"], 0, labels=(0, 1, 2, 1)), seconds=1.0)
    with pytest.raises(DataError, match="1 videos have scores of the video branch only: d"):
        fuse_results(tmp_path / "one", tmp_path / "two", tmp_path / "out")
    with pytest.raises(DataError, match="other labels"):
        fuse_results(tmp_path / "one", tmp_path / "three", tmp_path / "out")
    assert not (tmp_path / "out").exists()
