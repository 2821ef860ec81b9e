"""Metrics of scored videos. Accuracies are percent, average precision is a share; rows are videos, columns classes."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from jaxtyping import Bool, Float, Float64, Int, Int64, UInt8
from torch import Tensor

Targets = Int[Tensor, "N K"] | UInt8[Tensor, "N K"] | Bool[Tensor, "N K"]


def label_ranks(scores: Float[Tensor, "N K"], labels: Int[Tensor, " N"]) -> Int64[Tensor, " N"]:
    """Place of each video's own class when classes are sorted by falling score, from 0; equal scores in class order.

    Raises:
        ValueError: scores that are not numbers, or labels outside 0 to K - 1.
    """
    _check_scores(scores)
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < scores.shape[1]:
        raise ValueError(f"labels must be from 0 to {scores.shape[1] - 1}.")
    labels = labels.long()[:, None]
    own = scores.gather(1, labels)
    # Ties count: a model that gives all classes one score must not have every video right.
    before = torch.arange(scores.shape[1], device=scores.device) < labels
    return ((scores > own) | ((scores == own) & before)).sum(1)


def top_k_accuracy(scores: Float[Tensor, "N K"], labels: Int[Tensor, " N"], k: int = 1) -> float:
    """Percent of videos whose class is among the k best scored. 100 where there are no more than k classes.

    Raises:
        ValueError: k below 1, no videos, scores that are not numbers, or labels outside 0 to K - 1.
    """
    if k < 1 or not len(scores):
        raise ValueError(f"at least one video and k of at least 1 are needed (got {len(scores)}, {k}).")
    return float((label_ranks(scores, labels) < k).double().mean()) * 100


def class_accuracy(scores: Float[Tensor, "N K"], labels: Int[Tensor, " N"]) -> Float64[Tensor, " K"]:
    """Percent of each class's videos whose best scored class is their own; NaN for a class without videos."""
    hits = (label_ranks(scores, labels) == 0).double()
    right = torch.zeros(scores.shape[1], dtype=torch.float64, device=scores.device).index_add_(0, labels.long(), hits)
    return right / labels.bincount(minlength=scores.shape[1]) * 100


def mean_class_accuracy(scores: Float[Tensor, "N K"], labels: Int[Tensor, " N"]) -> float:
    """Mean of :func:`class_accuracy` over the classes that have videos.

    Raises:
        ValueError: no videos.
    """
    if not len(scores):
        raise ValueError("at least one video is needed.")
    return float(class_accuracy(scores, labels).nanmean())


def harmonic_mean(base: float, novel: float) -> float:
    """Harmonic mean of two accuracies: low where either is; 0 where both are 0."""
    return 2 * base * novel / (base + novel) if base + novel else 0.0


def average_precision(scores: Float[Tensor, "N K"], targets: Targets) -> Float64[Tensor, " K"]:
    """Average precision of each class: the mean, over its videos, of precision at the video's place.

    Exact and without interpolation, torchnet's ``APMeter`` in one pass over all classes. Equal scores keep the order of
    rows. A class without videos gets 0, as there.

    Args:
        scores: higher means more likely.
        targets: 1 (or True) where the video shows the class.

    Returns:
        (K,) float64, from 0 to 1.

    Raises:
        ValueError: scores that are not numbers, or targets other than 0 and 1.
    """
    _check_scores(scores)
    if not ((targets == 0) | (targets == 1)).all():
        raise ValueError("targets must be 0 or 1.")
    order = scores.sort(dim=0, descending=True, stable=True).indices  # unstable, ties would differ between devices
    truth = targets.gather(0, order).double()
    places = torch.arange(1, len(scores) + 1, dtype=torch.float64, device=scores.device)[:, None]
    return (truth.cumsum(0) / places * truth).sum(0) / truth.sum(0).clamp(min=1)  # 0 / 1 where a class has no video


def mean_average_precision(scores: Float[Tensor, "N K"], targets: Targets) -> float:
    """Mean of :func:`average_precision` over all K classes, in percent (torchnet's ``mAPMeter`` × 100).

    Raises:
        ValueError: no videos or classes, scores that are not numbers, or targets other than 0 and 1.
    """
    if not scores.numel():
        raise ValueError("at least one video and one class are needed.")
    return float(average_precision(scores, targets).mean()) * 100


def published_mean_average_precision(scores: Float[Tensor, "N K"], targets: Targets, batch_size: int) -> float:
    """The published evaluation's figure: not the mAP of all videos but a mean of running ones, in percent.

    After each batch the mAP of all videos so far is taken; reported is the mean of these, weighted by the size of the
    batches. It depends on the order of the videos and on the batch size. For comparison only.

    Where torchnet is installed (extra ``torchnet``), its ``mAPMeter`` does the work, as in the published code. Ours
    takes its place elsewhere and agrees to 1e-4 percent, as long as no class gives two videos the same score: torchnet
    leaves their order to chance.

    Args:
        scores: in the order of the list.
        targets: 1 where the video shows the class.
        batch_size: videos in a batch, over all processes, at least 1.

    Raises:
        ValueError: as :func:`mean_average_precision`, or a batch size below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1 (got {batch_size}).")
    mean_average_precision(scores, targets)  # refuses what is not a score or target, which torchnet would take
    total = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchnet was written for torch 0.3
        meter = _torchnet_meter()
        for start in range(0, len(scores), batch_size):
            end = min(start + batch_size, len(scores))
            if meter is None:
                value = mean_average_precision(scores[:end], targets[:end])
            else:
                meter.add(scores[start:end].cpu(), targets[start:end].long().cpu())
                value = float(meter.value()) * 100
            total += value * (end - start)
    return total / len(scores)


def _torchnet_meter() -> Any:
    try:
        from torchnet.meter import mAPMeter
    except ImportError:
        return None
    return mAPMeter()


def _check_scores(scores: Tensor) -> None:
    if not scores.isfinite().all():
        raise ValueError("scores hold values that are not finite numbers (NaN or infinity).")
