"""Fusion of two branches."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bike.evaluate.views import fuse_scores, mean_scores


def test_fusion_by_hand() -> None:
    video, attributes = torch.tensor([[0.6, 0.4]]), torch.tensor([[0.1, 0.9]])
    torch.testing.assert_close(fuse_scores(video, attributes), torch.tensor([[0.45, 0.55]]))
    torch.testing.assert_close(fuse_scores(video, attributes, 0.5), torch.tensor([[0.35, 0.65]]))


@settings(deadline=None, max_examples=40)
@given(weight=st.floats(0, 1), seed=st.integers(0, 1000))
def test_fusion_lies_between_the_branches(weight: float, seed: int) -> None:
    video, attributes = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(seed))
    video, attributes = mean_scores(video, 1), mean_scores(attributes, 1)
    fused = fuse_scores(video, attributes, weight)
    torch.testing.assert_close(fused.sum(1), torch.ones(5))
    assert (fused >= torch.minimum(video, attributes) - 1e-6).all()
    assert (fused <= torch.maximum(video, attributes) + 1e-6).all()
    assert fuse_scores(video, attributes, 1.0).equal(video)
    assert fuse_scores(video, attributes, 0.0).equal(attributes)
    assert fuse_scores(video, video, weight).allclose(video)


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan")])
def test_weight_out_of_range_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="video_weight"):
        fuse_scores(torch.zeros(1, 2), torch.zeros(1, 2), weight)
