"""Runs a trained video branch on a few test clips and keeps the weight that each frame gets for the clip's class."""

from __future__ import annotations

import base64
import io
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bike.data.spatial import test_crops
from bike.data.temporal import validation_indices
from bike.data.views import open_span, stored_frames
from bike.errors import DataError
from bike.evaluate.scores import Scores
from bike.frames.open import FrameSource, open_source
from bike.model.choose import agree, check_input_size, load_video_model
from bike.model.scorer import Scorer
from bike.params import Params
from bike.records import Sample, read_labels, read_list
from bike.report.mistakes import Verdict, hardest_first, verdicts
from bike.runtime.distributed import join_world

FRAME_SIDE_PX = 120  # longer side of a frame in the page


@dataclass(frozen=True, slots=True, eq=False)
class SaliencyStrip:
    """One test clip."""

    key: str  # the sample's key
    title: str  # its class name
    frames: np.ndarray  # uint8 (T,H,W,3)
    # (T,), not negative, sums to about 1: the share of each frame in the concept spotting (SPEC: α)
    saliency: np.ndarray
    predicted: str  # the class name that the model gave
    # (T,), as `saliency`, for the class that the model gave; None where that is right
    mistaken: np.ndarray | None = None
    # Of the evaluation that the clip was chosen from: its verdict; None where there was none
    verdict: Verdict | None = None


def saliency_strips(
    checkpoint: Path,
    frames: Path,
    lists: Path,
    *,
    params: Params,
    scores: Scores | None = None,
    follow_links: bool = False,
) -> list[SaliencyStrip]:
    """Strips of ``params.report.clips`` test clips: the hardest mistakes, and a third that were recognised.

    Those that were recognised are drawn with ``params.report.seed``; all are, where there are no scores.

    Args:
        checkpoint: a video branch.
        frames: shards, frame packs or frame folders of the test split.
        lists: folder with ``test.csv`` and ``labels.csv``.
        params: ``model`` says how frames reach the encoder (T frames of the whole video, centre crop), ``evaluate``
            how many CPU threads work.
        scores: what an evaluation of the checkpoint says of the test split; it has the verdicts.
        follow_links: as for :func:`bike.frames.open.open_source`.

    Returns:
        The strips; none for a checkpoint without concept spotting.

    Raises:
        BikeError: the checkpoint is not a video branch, or frames, list and class names do not belong together.
    """
    model = load_video_model(checkpoint)
    encoder, head = model.encoder, model.head
    if head.interaction != "vcs":
        return []
    settings, agreement = agree(params.model, model)
    params = params.model_copy(update={"model": settings})
    size = check_input_size(params.model, encoder)
    names, samples = read_labels(lists / "labels.csv"), read_list(lists / "test.csv")
    agreement.check_classes(names, lists / "labels.csv")
    wrong = next((label for sample in samples for label in sample.labels if label >= len(names)), None)
    if wrong is not None:
        raise DataError(f"{lists / 'test.csv'}: class {wrong} has no name in labels.csv. Annotate again.")
    source = open_source(frames, samples, follow_links=follow_links)
    said = verdicts(scores) if scores and scores.names == names else {}
    chosen = choose_clips([s for s in samples if s.labels], said, params.report.clips, params.report.seed)
    with join_world(device="cpu", threads=params.evaluate.threads):
        scorer = Scorer(encoder, head, names, params.model.prompt)
        return [_strip(sample, said.get(sample.key), source, scorer, size, params) for sample in chosen]


def _strip(
    sample: Sample, verdict: Verdict | None, source: FrameSource, scorer: Scorer, size: int, params: Params
) -> SaliencyStrip:
    span = open_span(sample, source)
    drawn = validation_indices(len(span), params.model.frames, first_frame=span.start)
    pictures = source.read(sample.video, stored_frames(sample, source, span, drawn))
    crops = test_crops(torch.from_numpy(pictures), size, 1, short_side=params.model.short_side)
    features = scorer.features(crops[None, None])
    predicted = verdict.predicted if verdict else int(scorer.logits(features)[0, 0].argmax())
    own = sample.labels[0]
    right = predicted in sample.labels

    def saliency(label: int) -> np.ndarray:
        return scorer.saliency(features[:, 0], torch.tensor([label]))[0].numpy()

    return SaliencyStrip(
        sample.key,
        scorer.names[own],
        pictures,
        saliency(own),
        scorer.names[own if right else predicted],
        None if right else saliency(predicted),
        verdict,
    )


def choose_clips(samples: Sequence[Sample], said: Mapping[str, Verdict], count: int, seed: int) -> list[Sample]:
    """``count`` samples: the hardest mistakes first, then a third that are right, drawn with the seed.

    Samples of which nothing is said count as right; where there are too few of one kind, the other fills up.
    """
    by_key = {sample.key: sample for sample in samples}
    hardest = [by_key[verdict.key] for verdict in hardest_first(said.values()) if verdict.key in by_key]
    wrong = {sample.key for sample in hardest}
    others = choose_samples([sample for sample in samples if sample.key not in wrong], count, seed)
    hardest = hardest[: max(count - count // 3, count - len(others))]
    return [*hardest, *others[: count - len(hardest)]]


def choose_samples(samples: Sequence[Sample], count: int, seed: int) -> list[Sample]:
    """``count`` samples at random, from as many different classes as there are; the same ones for the same seed."""
    shuffled = sorted(samples, key=lambda sample: sample.key)
    random.Random(seed).shuffle(shuffled)
    turns: Counter[tuple[int, ...]] = Counter()
    order: list[tuple[int, Sample]] = []
    for sample in shuffled:
        order.append((turns[sample.labels], sample))
        turns[sample.labels] += 1
    # The first clip of each class, then the second ones; sorting is stable, so the draw decides within a turn.
    return [sample for _, sample in sorted(order, key=lambda item: item[0])[:count]]


def frame_image(frame: np.ndarray) -> str:
    """A frame uint8 (H,W,3) as a ``data:`` address of a JPEG, scaled down to :data:`FRAME_SIDE_PX`."""
    image = Image.fromarray(frame)
    image.thumbnail((FRAME_SIDE_PX, FRAME_SIDE_PX), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")
