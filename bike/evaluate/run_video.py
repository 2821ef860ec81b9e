"""Multi-view evaluation of a video checkpoint: list and frames in, metrics and scores out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from torch import Tensor

from bike.data.inputs import read_inputs
from bike.evaluate.metrics import published_mean_average_precision
from bike.evaluate.score_list import score_list
from bike.evaluate.scores import Scores
from bike.evaluate.views import score_views
from bike.model.choose import load_video_model
from bike.model.scorer import Scorer
from bike.params import Params, Views
from bike.runtime.checkpoint import Place


def evaluate_video(
    params: Params,
    *,
    checkpoint: Path | str,
    samples: Path | str,
    frames: Path | str,
    labels: Path | str,
    out: Path | str,
    views: Views,
    temporal: str | None = None,
    interaction: str | None = None,
    published_map_batch: int | None = None,
    decoder: str = "pyav",
    place: Place = Place(),
    replace: bool = False,
) -> dict[str, Any]:
    """Score every video of a list in ``clips × crops`` views and write the results' folder.

    Args:
        params: sections ``model`` (frames, sizes, prompt: those that the file states must be the checkpoint's, see
            :func:`bike.model.choose.agree`; ``allow_mismatch``) and ``evaluate``.
        checkpoint: a video branch in the released form.
        samples: list CSV, or a published-style list of frame folders.
        frames: their shards, frame packs or frame folders.
        labels: class names, ``id,name``: those of list, shards and checkpoint, in their order, unless
            ``model.allow_mismatch`` has ``classes``.
        out: folder to write.
        views: clips and crops.
        temporal: None, or what the checkpoint's head must be.
        interaction: None for the checkpoint's own; another one has to be allowed.
        published_map_batch: also report ``map_published``, the published code's running mean over batches
            of so many videos; for comparison only.
        decoder: ``pyav`` or ``decord``, where frames are decoded from videos.
        place: where the run happens; without a state folder, ``.<name>.state`` beside ``out``.
        replace: whether a finished result of other settings may be thrown away.

    Returns:
        The content of ``metrics.json``; empty on ranks other than 0.

    Raises:
        BikeError: anything in the inputs that can't be used.
        KeyboardInterrupt: a stop was asked for; finished videos are kept.
    """
    start = time.monotonic()
    # Before the weights: a bad list is found at once.
    reading: dict[str, Any] = {
        "decoder": decoder,
        "follow_links": place.follow_links,
        "allowed": params.model.allow_mismatch,
    }
    inputs = read_inputs(samples, labels, frames, **reading)
    model = load_video_model(checkpoint, temporal=temporal, interaction=interaction)

    def finish(_: Scorer, logits: Tensor) -> tuple[Scores, dict[str, float]]:
        scores = score_views(inputs.samples, inputs.names, logits, branch="video")
        if published_map_batch is None:
            return scores, {}
        value = published_mean_average_precision(scores.scores, scores.targets, published_map_batch)
        return scores, {"map_published": round(value, 4)}

    return score_list(
        Scorer.score_frames,
        finish,
        params,
        model,
        inputs,
        trained_names=labels,
        views=views,
        out=out,
        place=place,
        kind="evaluate",
        start=start,
        read=[checkpoint, samples, frames, labels],
        finishing={"published_map_batch": published_map_batch},
        replace=replace,
    )
