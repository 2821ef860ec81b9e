"""Zero-shot protocols: classes the model never saw, scored all together, in random halves or in fixed splits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor
from torch.nn.functional import normalize

from bike.errors import DataError, first_few, nearest
from bike.evaluate.metrics import top_k_accuracy
from bike.files import read_text

LOGIT_SCALE = 100.0
CHUNK_VIDEOS = 1024  # bounds the memory of the scores of single frames


def frame_scores(
    frame_features: Float[Tensor, "N T D"], class_features: Float[Tensor, "K D"]
) -> Float64[Tensor, "N K"]:
    """Softmax over the classes of ``100 · v · c`` for each frame, then the mean over frames.

    Class features are L2-normalised here; frame features are taken as they come, as the published protocol does.
    Computed in float64: at this scale a frame's scores are near 0 or 1, so two classes that win half of the frames each
    tie in fp32. With ``100 · v · c`` of ``[60, 0]`` and ``[0, 60]`` for two frames, the mean is ``[0.5, 0.5]``.

    Returns:
        (N, K) float64; each row sums to 1.
    """
    classes = normalize(class_features.double(), dim=1).T
    chunks = torch.split(frame_features, CHUNK_VIDEOS)
    return torch.cat([(LOGIT_SCALE * chunk.double() @ classes).softmax(2).mean(1) for chunk in chunks])


def half_classes(num_classes: int, seed: int) -> list[int]:
    """First half (rounded down) of numpy's permutation of the classes after ``np.random.seed(seed)``.

    Raises:
        ValueError: fewer than 2 classes.
    """
    if num_classes < 2:
        raise ValueError(f"at least 2 classes are needed to take half of them (got {num_classes}).")
    # RandomState, not the newer default_rng: the published halves are those of the legacy generator.
    return [int(label) for label in np.random.RandomState(seed).permutation(num_classes)[: num_classes // 2]]


def read_class_split(path: Path | str, names: Sequence[str], *, absent: bool = False) -> list[int]:
    """Class integers of a fixed split, from a text file with one class name a line.

    Args:
        path: the file; empty lines are skipped.
        names: all class names in order of their ids, spelt as in the file (upper and lower case aside).
        absent: names of the file that are not among them are passed over.

    Raises:
        DataError: no names, or unknown or duplicate names; the first ten are quoted.
    """
    # The exact spelling goes first, as two names may differ in upper and lower case alone.
    ids = {name.casefold(): label for label, name in enumerate(names)} | {name: n for n, name in enumerate(names)}
    words = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    found = {word: ids.get(word, ids.get(word.casefold())) for word in words}
    unknown = [word for word, label in found.items() if label is None]
    if absent:
        words = [word for word in words if found[word] is not None]
    elif unknown:
        hint = nearest(unknown[0], names)
        raise DataError(
            f"{path}: class names that are not in the label list: {first_few(list(map(repr, unknown)))}.{hint}"
        )
    split = [label for word in words if (label := found[word]) is not None]
    repeated = list(dict.fromkeys(repr(names[label]) for label in split if split.count(label) > 1))
    if not split:
        raise DataError(f"{path}: no class names. Write one a line.")
    if repeated:
        raise DataError(f"{path}: duplicate class names: {first_few(repeated)}. Name each class once.")
    return split


def split_accuracy(
    frame_features: Float[Tensor, "N T D"],
    class_features: Float[Tensor, "K D"],
    labels: Int[Tensor, " N"],
    splits: Sequence[Sequence[int]],
) -> dict[str, list[float]]:
    """Top-1 and top-5 accuracy on each of several sets of classes: their videos only, scored against them only.

    Args:
        frame_features: features of T frames of every video.
        class_features: one embedding for each of the K classes.
        labels: class of each video.
        splits: class integers of each set.

    Returns:
        ``{"top1": [percent per split], "top5": [percent per split]}``; :func:`mean_and_std` sums them up.

    Raises:
        ValueError: no splits; a split that is empty, has a duplicate or an unknown class, or has no videos.
    """
    if not splits:
        raise ValueError("no splits were given.")
    result: dict[str, list[float]] = {"top1": [], "top5": []}
    for number, split in enumerate(splits, start=1):
        if not split or len(set(split)) < len(split) or not 0 <= min(split) <= max(split) < len(class_features):
            raise ValueError(f"split {number} must name classes from 0 to {len(class_features) - 1}, each once.")
        classes = torch.tensor(split, device=labels.device)
        matches = labels[:, None] == classes
        videos = matches.any(1)
        if not videos.any():
            raise ValueError(f"split {number}: none of its {len(split)} classes has a video.")
        scores = frame_scores(frame_features[videos], class_features[classes])
        places = matches[videos].to(torch.uint8).argmax(1)  # of a video's class in the split; argmax takes no bool
        result["top1"].append(top_k_accuracy(scores, places, 1))
        result["top5"].append(top_k_accuracy(scores, places, 5))
    return result


def half_class_accuracy(
    frame_features: Float[Tensor, "N T D"],
    class_features: Float[Tensor, "K D"],
    labels: Int[Tensor, " N"],
    repeats: int = 10,
) -> dict[str, list[float] | float]:
    """Accuracy on random halves of the classes (seeds 0, 1, …), and on all of them.

    Args:
        frame_features: features of T frames of every video.
        class_features: one embedding for each of the K classes, at least 2.
        labels: class of each video.
        repeats: number of halves.

    Returns:
        ``half_top1`` and ``half_top5``, lists of percents by seed; ``full_top1`` and ``full_top5``, percents.

    Raises:
        ValueError: fewer than 2 classes, no repeats, or a half without videos.
    """
    num_classes = len(class_features)
    halves = split_accuracy(
        frame_features, class_features, labels, [half_classes(num_classes, seed) for seed in range(repeats)]
    )
    full = split_accuracy(frame_features, class_features, labels, [range(num_classes)])
    return {
        "half_top1": halves["top1"],
        "half_top5": halves["top5"],
        "full_top1": full["top1"][0],
        "full_top5": full["top5"][0],
    }


def mean_and_std(values: Sequence[float]) -> tuple[float, float]:
    """Mean and population standard deviation, as the published tables give them.

    Raises:
        ValueError: no values.
    """
    if not values:
        raise ValueError("no values were given.")
    return float(np.mean(values)), float(np.std(values))
