"""Zero-shot evaluation: CLIP as it is, or a trained checkpoint on classes it never saw."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bike.data.inputs import read_inputs
from bike.errors import DataError, first_few, one_line
from bike.evaluate.metrics import top_k_accuracy
from bike.evaluate.score_list import score_list
from bike.evaluate.scores import Scores
from bike.evaluate.views import score_views, video_scores
from bike.evaluate.zeroshot import half_classes, mean_and_std, read_class_split, split_accuracy
from bike.model.choose import load_video_model
from bike.model.scorer import Scorer
from bike.params import Params, Views
from bike.progress import log
from bike.runtime.checkpoint import Place

VIDEOS_AT_ONCE = 64


def evaluate_zeroshot(
    params: Params,
    *,
    samples: Path | str,
    frames: Path | str,
    labels: Path | str,
    out: Path | str,
    views: Views,
    weights: Path | str | None = None,
    checkpoint: Path | str | None = None,
    class_splits: Sequence[Path | str] = (),
    decoder: str = "pyav",
    place: Place = Place(),
    replace: bool = False,
) -> dict[str, Any]:
    """Score every video of a list whose classes the model was not trained on.

    Three protocols, all in ``metrics.json``: all classes (``top1`` …, as in any evaluation); random halves of the
    classes (``half_top1_mean``, ``half_top1_std`` …; ``zeroshot.half_class_repeats`` of them, frames as the encoder
    gives them); given splits of the classes (``split_top1_mean`` …), videos of a split against its own classes.

    Args:
        params: sections ``model``, ``evaluate`` and ``zeroshot``; ``annotate.classes``, for ``class_splits``.
        samples, frames, labels, out, views, decoder, place, replace: as
            :func:`bike.evaluate.run_video.evaluate_video` has them.
        weights: CLIP's weights, without a head (frames averaged); None takes ``model.weights``.
        checkpoint: a trained video branch, with its own head, in place of ``weights``.
        class_splits: text files, each with the names of one split's classes, one on a line.

    Returns:
        The content of ``metrics.json``; empty on ranks other than 0.

    Raises:
        BikeError: anything in the inputs that can't be used.
        KeyboardInterrupt: a stop was asked for; finished videos are kept.
    """
    start = time.monotonic()
    reading: dict[str, Any] = {
        "decoder": decoder,
        "follow_links": place.follow_links,
        "allowed": params.model.allow_mismatch,
    }
    inputs = read_inputs(samples, labels, frames, **reading)
    absent = bool(class_splits) and params.annotate.classes == "present"
    splits = [read_class_split(path, inputs.names, absent=absent) for path in class_splits]
    model = load_video_model(checkpoint, weights or params.model.weights)
    if model.contract is not None:
        trained = {name.casefold() for name in model.contract.classes}
        if known := [name for name in inputs.names if name.casefold() in trained]:
            log.warning(
                "%s was trained on %d of the %d classes (%s): for them this is no zero-shot result",
                model.file,
                len(known),
                len(inputs.names),
                first_few([one_line(name)[:60] for name in known], 3),
            )

    def finish(scorer: Scorer, features: Tensor) -> tuple[Scores, dict[str, float]]:
        device = scorer.encoder.device
        parts = [scorer.logits(part.to(device)).cpu() for part in torch.split(features, VIDEOS_AT_ONCE)]
        logits = torch.cat(parts)
        scores = score_views(inputs.samples, inputs.names, logits, branch="zero-shot")
        halves = _halves(scorer, features, scores, params.zeroshot.half_class_repeats)
        return scores, halves | _splits(scores, logits, splits)

    return score_list(
        Scorer.features,
        finish,
        params,
        model,
        inputs,
        trained_names=None,  # others by intent
        views=views,
        out=out,
        place=place,
        kind="zero-shot",
        start=start,
        read=[checkpoint, weights, samples, frames, labels, *class_splits],
        finishing={"half_class_repeats": params.zeroshot.half_class_repeats, "class_splits": splits},
        replace=replace,
    )


def _halves(scorer: Scorer, features: Tensor, scores: Scores, repeats: int) -> dict[str, float]:
    """Random halves of the classes; nothing for fewer than 4 classes, where a half leaves no choice."""
    labelled = scores.targets.bool().any(1)
    if len(scores.names) < 4 or scores.is_multi_label or not repeats:
        return {}
    labels = scores.targets[labelled].long().argmax(1)
    present = set(labels.tolist())
    halves = [half_classes(len(scores.names), seed) for seed in range(repeats)]
    empty = [seed for seed, half in enumerate(halves) if present.isdisjoint(half)]
    if empty:
        log.warning("no half-class results: the half of seed %d has no video in this list", empty[0])
        return {}
    # The protocol has no views: all frames of a video count alike.
    found = split_accuracy(features[labelled].flatten(1, 2), scorer.classes.cpu(), labels, halves)
    return _mean_and_std("half_top1", found["top1"]) | _mean_and_std("half_top5", found["top5"])


def _splits(scores: Scores, logits: Tensor, splits: Sequence[Sequence[int]]) -> dict[str, float]:
    """Given splits of the classes: videos of each against its classes only."""
    if not splits:
        return {}
    if scores.is_multi_label:
        raise DataError("--split: videos with several labels have no accuracy over a split. Leave it out, or use mAP.")
    result: dict[str, float] = {}
    for k in (1, 5):
        values = []
        for number, split in enumerate(splits, start=1):
            columns = torch.tensor(split)
            rows = scores.targets[:, columns].bool().any(1)
            if not rows.any():
                raise DataError(f"split {number}: none of its {len(split)} classes has a video in the list.")
            truth = scores.targets[rows][:, columns].long().argmax(1)
            # Softmaxed again among the split's classes: columns of the finished scores would still compete with all.
            found = video_scores(logits[rows][:, :, columns].flatten(0, 1), scores.num_views)
            values.append(top_k_accuracy(found, truth, k))
            result[f"split{number}_top{k}"] = round(values[-1], 4)
            result[f"split{number}_videos"] = int(rows.sum())
        result |= _mean_and_std(f"split_top{k}", values)
    return result


def _mean_and_std(name: str, values: Sequence[float]) -> dict[str, float]:
    mean, std = mean_and_std(values)
    return {f"{name}_mean": round(mean, 4), f"{name}_std": round(std, 4)}
