"""The video branch and the attribute branch together."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def fuse_scores(
    video: Float[Tensor, "N K"], attributes: Float[Tensor, "N K"], video_weight: float | int = 0.7
) -> Float[Tensor, "N K"]:
    """Weighted sum of two branches' scores: ``w · video + (1 - w) · attributes``.

    Args:
        video, attributes: scores, each softmaxed once over raw cosines (``views.mean_scores``), rows in the same order.
        video_weight: w, from 0 (attributes alone) to 1 (video alone).

    Raises:
        ValueError: a weight outside 0 to 1.
    """
    if not 0 <= video_weight <= 1:
        raise ValueError(f"video_weight must be from 0 to 1 (got {video_weight}).")
    return video_weight * video + (1 - video_weight) * attributes
