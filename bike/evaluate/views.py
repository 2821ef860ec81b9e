"""Logits of a video's views to one row of scores, and the scores of two branches to one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from bike.data.spatial import NUM_CROPS
from bike.errors import DataError, ParamsError, first_few, one_line
from bike.evaluate.scores import Branch, Scores, targets_of
from bike.params import Evaluate, Views
from bike.records import Sample


def mean_scores(logits: Float[Tensor, "NV K"], num_views: int) -> Float[Tensor, "N K"]:
    """Softmax over the classes of each view, then the mean over a video's views. Each row sums to 1.

    Args:
        logits: raw cosines, no scale; the rows of a video are neighbours.
        num_views: V, rows of a video, at least 1.

    Raises:
        ValueError: the rows can't be divided into videos.
    """
    rows, classes = logits.shape
    if num_views < 1 or rows % num_views:
        raise ValueError(f"{rows} rows can't be divided into videos of {num_views} views.")
    return logits.float().softmax(1).view(-1, num_views, classes).mean(1)  # float: fp16 would tie classes and videos


def video_scores(logits: Float[Tensor, "NV K"], num_views: int) -> Float[Tensor, "N K"]:
    """The published scores of a video: :func:`mean_scores`, and softmax once more.

    The arithmetic of the code published with BIKE (CVPR 2023); the paper (section 4, inference) only says that views
    are averaged. The second softmax changes no ranking within a video (top-k), but it changes how videos rank against
    each other (mAP). Example: one view's logits ``[ln 3, 0]`` give ``[0.75, 0.25]`` and then ``[0.62, 0.38]``.

    Args:
        logits: raw cosines, no scale; the rows of a video are neighbours.
        num_views: V, rows of a video, at least 1.

    Raises:
        ValueError: the rows can't be divided into videos.
    """
    return mean_scores(logits, num_views).softmax(1)


def score_views(
    samples: Sequence[Sample], names: Sequence[str], logits: Float[Tensor, "N V K"], *, branch: Branch
) -> Scores:
    """:func:`video_scores` of every sample of a list, with what they belong to.

    Raises:
        DataError: logits that are not finite.
    """
    num_views, flat = logits.shape[1], logits.flatten(0, 1)
    bad = [
        one_line(s.key) for s, fine in zip(samples, logits.isfinite().all(2).all(1).tolist(), strict=True) if not fine
    ]
    if bad:
        raise DataError(
            f"{len(bad)} of {len(samples)} videos have scores of NaN or infinity: {first_few(bad)}. "
            "Look at the weights with `bike weights inspect`."
        )
    targets = targets_of(samples, len(names))
    return Scores(
        [sample.key for sample in samples], list(names), video_scores(flat, num_views), targets, flat, num_views, branch
    )


def choose_views(settings: Evaluate, name: str) -> Views:
    """The view protocol of that name in ``evaluate.views``, or the one that ``4x3`` (clips x crops) spells.

    Raises:
        ParamsError: neither.
    """
    if name in settings.views:
        return settings.views[name]
    found = re.fullmatch(r"(\d{1,4})[x×](\d{1,2})", name)
    if found is None or int(found[1]) < 1 or int(found[2]) not in NUM_CROPS:
        raise ParamsError(
            f"--views: unknown (got {name!r}); clips x crops such as 4x3, with 1, 3, 5 or 10 crops, or one of "
            f"{', '.join(settings.views)}."
        )
    return Views(clips=int(found[1]), crops=int(found[2]))


def fuse_scores(
    video: Float[Tensor, "N K"], attributes: Float[Tensor, "N K"], video_weight: float | int = 0.7
) -> Float[Tensor, "N K"]:
    """Weighted sum of two branches' scores: ``w · video + (1 - w) · attributes`` (BIKE, section 3; w is its λ).

    Args:
        video, attributes: scores, each softmaxed once over raw cosines (``views.mean_scores``), rows in the same order.
        video_weight: w, from 0 (attributes alone) to 1 (video alone).

    Raises:
        ValueError: a weight outside 0 to 1.
    """
    if not 0 <= video_weight <= 1:
        raise ValueError(f"video_weight must be from 0 to 1 (got {video_weight}).")
    return video_weight * video + (1 - video_weight) * attributes
