"""Views to scores, and two branches' scores to one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from bike.errors import ParamsError
from bike.evaluate.views import choose_views, fuse_scores, mean_scores, video_scores
from bike.params import Evaluate, Views


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
    assert video_scores(torch.randn(6, 4).half(), 3).dtype == torch.float32


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


def test_views_by_name_or_by_numbers() -> None:
    settings = Evaluate(views={"long": Views(clips=9, crops=5, dense=True)})
    assert choose_views(settings, "long").dense
    assert choose_views(settings, "4x3") == Views(clips=4, crops=3)
    for bad in ("4x2", "0x1", "x", "long1", "4x3x2"):
        with pytest.raises(ParamsError, match="--views"):
            choose_views(settings, bad)


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


def test_rows_that_do_not_divide_and_weights_out_of_range_are_the_callers_bug() -> None:
    for num_views in (0, -1, 4):
        with pytest.raises(ValueError, match="6 rows"):
            video_scores(torch.zeros(6, 3), num_views)
    for weight in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="video_weight"):
            fuse_scores(torch.zeros(1, 2), torch.zeros(1, 2), weight)
