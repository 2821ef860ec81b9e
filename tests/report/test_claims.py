"""The claims: which evaluations are compared, by the same videos, and when a difference counts as shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.results import NAMES, write_results, write_scored

from bike.report.claims import Claim, measure_claims
from bike.report.rows import results_table

LABELS = np.arange(60) % len(NAMES)


def write_right(folder: Path, right: int) -> None:
    """An evaluation of 60 videos that has the first ``right`` of them right."""
    best = np.where(np.arange(60) < right, LABELS, (LABELS + 1) % len(NAMES))
    write_scored(folder, np.eye(len(NAMES))[best], LABELS, NAMES)


def measured(results: Path) -> dict[str, Claim]:
    return {claim.title.partition(",")[0]: claim for claim in measure_claims(results_table(results))}


def test_each_claim_compares_two_evaluations_of_the_same_videos(tmp_path: Path) -> None:
    for name, right in {
        "video-none-vcs/4x3": 30,
        "video-transf-dp/4x3": 44,
        "video-transf-vcs/1x1": 47,
        "video-transf-vcs/4x3": 48,
        "attributes": 20,
        "fuse/4x3": 54,
    }.items():
        write_right(tmp_path / name, right)
    found = measured(tmp_path)
    assert {title: (claim.better.name, claim.worse.name) for title, claim in found.items()} == {
        "Order": ("video-transf-vcs", "video-none-vcs"),
        "Saliency": ("video-transf-vcs", "video-transf-dp"),
        "Attributes": ("fuse", "video-transf-vcs"),
        "More views": ("video-transf-vcs", "video-transf-vcs"),
    }
    assert (found["More views"].better.views, found["More views"].worse.views) == ("4×3", "1×1")
    differences = {title: claim.difference for title, claim in found.items()}
    assert differences == pytest.approx({"Order": 30, "Saliency": 400 / 60, "Attributes": 10, "More views": 100 / 60})
    assert {title: claim.holds for title, claim in found.items()} == {
        "Order": True,
        "Saliency": False,  # four of sixty, all in favour: the interval is above nothing, and chance gives it too often
        "Attributes": True,
        "More views": False,  # one video of sixty
    }

    saliency = found["Saliency"]
    assert (saliency.low > 0, saliency.chance) == (True, 0.125)
    assert found["Attributes"].chance == pytest.approx(2 / 2**6)

    write_right(tmp_path / "fuse/1x1", 50)  # beside which stands the video branch in the same views
    both = [claim for claim in measure_claims(results_table(tmp_path)) if claim.title.startswith("Attributes")]
    assert [(claim.better.views, claim.worse.views, round(claim.difference)) for claim in both] == [
        ("1×1", "1×1", 5),
        ("4×3", "4×3", 10),
    ]

    write_right(tmp_path / "attributes", 56)
    claim = measured(tmp_path)["Attributes"]
    assert claim.worse.name == "attributes"  # fusion has to beat the better of its branches
    assert claim.difference < 0
    assert not claim.holds


def test_claims_without_both_evaluations_or_without_scores_are_left_out(tmp_path: Path) -> None:
    results = write_results(tmp_path)
    assert set(measured(results)) == {"Order", "Saliency", "Attributes", "More views"}
    for views in ("1x1", "4x3"):
        (results / "video-none-vcs" / views / "scores.safetensors").unlink()
    assert set(measured(results)) == {"Saliency", "Attributes", "More views"}
    write_right(tmp_path / "other" / "fuse" / "4x3", 50)
    assert measured(tmp_path / "other") == {}
