"""Views to scores."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from bike.evaluate.views import mean_scores, video_scores


def test_scores_equal_the_published_ones(golden: Path) -> None:
    tensors = load_file(golden / "tensors.safetensors")
    torch.testing.assert_close(video_scores(tensors["views.logits"], 12), tensors["views.scores"], atol=1e-6, rtol=0)


def test_whole_evaluations_equal_the_published_ones(golden: Path) -> None:
    tensors = load_file(golden / "eval" / "scores.safetensors")
    names = [name for name in tensors if not name.endswith(".logits")]
    assert names
    for name in names:
        logits, scores = tensors[f"{name}.logits"], tensors[name]
        views = len(logits) // len(scores)
        torch.testing.assert_close(video_scores(logits, views), scores, atol=1e-6, rtol=0, msg=name)


def test_scores_by_hand() -> None:
    logits = torch.tensor([[0.0, 0.0], [torch.tensor(3.0).log(), 0.0]])
    torch.testing.assert_close(mean_scores(logits, 2), torch.tensor([[0.625, 0.375]]))
    torch.testing.assert_close(mean_scores(logits, 1), torch.tensor([[0.5, 0.5], [0.75, 0.25]]))
    torch.testing.assert_close(video_scores(logits, 2), torch.tensor([[0.625, 0.375]]).softmax(1))


@settings(deadline=None, max_examples=40)
@given(videos=st.integers(1, 5), views=st.integers(1, 6), classes=st.integers(1, 7), seed=st.integers(0, 1000))
def test_views_are_averaged_whatever_their_order(videos: int, views: int, classes: int, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    logits = torch.randn(videos, views, classes, generator=rng)
    scores = video_scores(logits.flatten(0, 1), views)
    torch.testing.assert_close(scores.sum(1), torch.ones(videos))
    shuffled = logits[:, torch.randperm(views, generator=rng)].flatten(0, 1)
    torch.testing.assert_close(video_scores(shuffled, views), scores)
    # One video's rows do not reach another's scores, and a shift of a view's logits changes nothing.
    torch.testing.assert_close(video_scores(logits[-1] + 3, views), scores[-1:])
    assert mean_scores(logits.flatten(0, 1), views).argmax(1).equal(scores.argmax(1))


def test_half_precision_is_scored_in_fp32() -> None:
    assert video_scores(torch.randn(6, 4).half(), 3).dtype == torch.float32


@pytest.mark.parametrize("num_views", [0, -1, 4])
def test_rows_that_do_not_divide_are_refused(num_views: int) -> None:
    with pytest.raises(ValueError, match="6 rows"):
        video_scores(torch.zeros(6, 3), num_views)
