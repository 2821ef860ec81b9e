"""Fusion of two finished evaluations of the same videos."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from bike.errors import DataError, first_few, one_line
from bike.evaluate.results import claim_results, write_results
from bike.evaluate.scores import Scores, read_scores, scores_file
from bike.evaluate.views import fuse_scores, mean_scores
from bike.files import sha256
from bike.records import other_class


def fuse_results(
    video: Path | str, attributes: Path | str, out: Path | str, *, video_weight: float = 0.7, replace: bool = False
) -> dict[str, Any]:
    """Weighted sum of two branches' scores, with the same files as any evaluation.

    Args:
        video, attributes: results' folders, or their ``scores.safetensors``; rows are matched by key.
        out: folder to write.
        video_weight: weight of the video branch, 0 to 1; the other one gets the rest.
        replace: whether a finished result of another weight or of other scores may be thrown away.

    Returns:
        The content of ``metrics.json``.

    Raises:
        DataError: the two are not of the same videos, classes and labels, or not of a video and an attribute branch.
        BikeError: a file is missing, or ``out`` can't be written to.
    """
    start = time.monotonic()
    first, second = read_scores(video), read_scores(attributes)
    for name, one, other in (("video", first, second), ("attribute", second, first)):
        there = set(other.keys)
        alone = [one_line(key) for key in one.keys if key not in there]
        if alone:
            raise DataError(
                f"{len(alone)} videos have scores of the {name} branch only: {first_few(alone)}. "
                "Evaluate both on the same list."
            )
    if second.branch not in ("attributes", "") or first.branch == "attributes":
        found = [scores.branch or "unknown" for scores in (first, second)]
        raise DataError(
            f"{video}, {attributes}: scores of the branches {' and '.join(found)}. Give the video branch's first, the "
            "attribute branch's second."
        )
    if different := other_class(second.names, first.names):
        raise DataError(
            f"{attributes} and {video}: other classes, {different}. Evaluate both with the same labels file."
        )
    places = {key: row for row, key in enumerate(second.keys)}
    order = torch.tensor([places[key] for key in first.keys])
    if not torch.equal(first.targets, second.targets[order]):
        raise DataError(f"{attributes}: other labels than {video}. Evaluate both on the same list.")
    # From the logits: the scores in the files are softmaxed twice, and BIKE weighs probabilities of one softmax.
    fused = fuse_scores(_softmaxed_once(first, video), _softmaxed_once(second, attributes)[order], video_weight)
    parts = (("video", first), ("attributes", second))
    notes = {f"{name}.{key}": text for name, part in parts for key, text in part.mismatch.items()}
    scores = Scores(first.keys, first.names, fused, first.targets, branch="fused", mismatch=notes)
    settings = {"video_weight": video_weight}
    data = {name: sha256(scores_file(place)) for name, place in (("video", video), ("attributes", attributes))}
    origin = {"data": data, "params": {"fuse": settings}, "seconds": time.monotonic() - start}
    with claim_results(out, inputs=[video, attributes], settings={**settings, **data}, replace=replace) as output:
        return write_results(output, scores, origin=origin)


def _softmaxed_once(scores: Scores, place: Path | str) -> torch.Tensor:
    if scores.logits is None:
        raise DataError(f"{place}: no logits in it; fused scores can't be fused again. Give a branch's own results.")
    return mean_scores(scores.logits, scores.num_views)
