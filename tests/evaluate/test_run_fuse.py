"""Fusion of two finished evaluations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.fit_data import NAMES
from helpers.scores import fake_scores

from bike.errors import BikeError, DataError
from bike.evaluate.results import write_results
from bike.evaluate.run_fuse import fuse_results
from bike.evaluate.scores import Scores, read_scores, write_scores
from bike.evaluate.views import mean_scores

KEYS = ["a", "b", "c", "d"]


def write(folder: Path, scores: Scores | None = None, **changes: Any) -> Path:
    write_results(folder, replace(scores or fake_scores(KEYS, 0), **changes))
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


def test_a_fusion_of_other_scores_is_replaced_on_request_only(tmp_path: Path) -> None:
    places = [write(tmp_path / name, branch=name) for name in ("video", "attributes")]
    fuse_results(*places, tmp_path / "out")
    fuse_results(*places, tmp_path / "out")
    before = read_scores(tmp_path / "out").scores
    for number, place in enumerate(places, start=1):
        write(place, fake_scores(KEYS, number), branch=place.name)
        with pytest.raises(BikeError, match=rf"would be thrown away \(.*; other {place.name}\)"):
            fuse_results(*places, tmp_path / "out")
        assert torch.equal(read_scores(tmp_path / "out").scores, before)
        fuse_results(*places, tmp_path / "out", replace=True)
        assert not torch.equal(before, before := read_scores(tmp_path / "out").scores)


def test_fusion_is_of_a_video_branch_and_an_attribute_branch(tmp_path: Path) -> None:
    for name in ("video", "zero-shot", "attributes"):
        write(tmp_path / name, branch=name)
    for first in ("video", "zero-shot"):
        assert fuse_results(tmp_path / first, tmp_path / "attributes", tmp_path / f"{first} fused")["videos"] == 4
    noted = write(tmp_path / "noted", branch="video", mismatch={"frames": "16, not 8"})
    metrics = fuse_results(noted, tmp_path / "attributes", tmp_path / "out")
    assert metrics["mismatch"] == {"video.frames": "16, not 8"}
    write(tmp_path / "other", names=NAMES[::-1])
    write(tmp_path / "fewer", keys=["a", "b", "c", "e"])
    write(tmp_path / "moved", fake_scores(KEYS, 0, labels=(0, 1, 2, 1)))
    bad = fake_scores(KEYS, 0)
    assert bad.logits is not None
    write_scores(tmp_path / "bad", replace(bad, logits=bad.logits / 0))
    branches = (("video", "video"), ("video", "zero-shot"), ("attributes", "video"), ("attributes", "attributes"))
    for first, second, said in (
        *((one, two, f"scores of the branches {one} and {two}") for one, two in branches),
        ("video", "other", r"class 0 is 'blue square' and 'red square' \(2 of 3 places differ; the same"),
        ("video", "fewer", "1 videos have scores of the video branch only: d"),
        ("video", "moved", "other labels"),
        ("bad", "attributes", "bad: scores and logits must be finite"),
    ):
        with pytest.raises(DataError, match=said):
            fuse_results(tmp_path / first, tmp_path / second, tmp_path / "refused")
        assert not (tmp_path / "refused").exists()
