"""Logits of a video's views to one row of scores."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def mean_scores(logits: Float[Tensor, "NV K"], num_views: int) -> Float[Tensor, "N K"]:
    """Softmax over the classes of each view, then the mean over a video's views. Each row sums to 1.

    Args:
        logits: raw cosines, no scale; the rows of a video stand together.
        num_views: V, rows of a video, at least 1.

    Raises:
        ValueError: the rows can't be divided into videos.
    """
    rows, classes = logits.shape
    if num_views < 1 or rows % num_views:
        raise ValueError(f"{rows} rows can't be divided into videos of {num_views} views.")
    return logits.float().softmax(1).view(-1, num_views, classes).mean(1)


def video_scores(logits: Float[Tensor, "NV K"], num_views: int) -> Float[Tensor, "N K"]:
    """The published scores of a video: :func:`mean_scores`, and softmax once more.

    The second softmax changes no ranking within a video (top-k) but ranks videos against each other (mAP) differently.

    Args:
        logits: raw cosines, no scale; the rows of a video stand together.
        num_views: V, rows of a video, at least 1.

    Raises:
        ValueError: the rows can't be divided into videos.
    """
    return mean_scores(logits, num_views).softmax(1)
