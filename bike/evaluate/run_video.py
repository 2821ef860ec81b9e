"""Multi-view evaluation of a video checkpoint: list and frames in, metrics and scores out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from bike.checkpoint import PartialRows, check_writable, discard_state, fingerprint
from bike.data.inputs import read_inputs
from bike.data.map import map_samples
from bike.distributed import join_world, wait_for_all, working_type
from bike.evaluate.metrics import published_mean_average_precision
from bike.evaluate.results import write_results
from bike.evaluate.scores import Scores, targets_of
from bike.evaluate.views import video_scores
from bike.files import sha256
from bike.model.choose import check_input_size, load_video_model
from bike.model.scorer import Scorer
from bike.params import Params, Views


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
    state_dir: Path | str | None = None,
    device: str | None = None,
    workers: int = 2,
    published_map_batch: int | None = None,
    save_every_seconds: float = 60.0,
) -> dict[str, Any]:
    """Score every video of a list in ``clips × crops`` views and write the results' folder.

    Runs in one process, or in each of those that ``torchrun`` starts: N rows come out, whatever their number. A run
    that was stopped goes on where it was.

    Args:
        params: sections ``model`` (frames, sizes, prompt) and ``evaluate``.
        checkpoint: a video branch in the released form.
        samples: list CSV, or a published-style list of frame folders.
        frames: their shards, frame packs or frame folders.
        labels: class names, ``id,name``; any names, those of another data set too.
        out: folder to write.
        views: clips and crops.
        temporal: None, or what the checkpoint's head must be.
        interaction: None for the checkpoint's own.
        state_dir: where finished videos are kept until the end; None: ``.<name>.state`` beside ``out``.
        workers: processes of the loader.
        device: ``cpu``, ``cuda``, ``cuda:1``; None takes a GPU where there is one.
        published_map_batch: also report ``map_published``, the running mean that the published code prints for batches
            of so many videos; for comparison only.
        save_every_seconds: between saves of finished videos.

    Returns:
        What stands in ``metrics.json``; empty on ranks other than 0.

    Raises:
        BikeError: anything in the inputs that can't be used.
        KeyboardInterrupt: a stop was asked for; finished videos are kept.
    """
    start, out, settings = time.monotonic(), Path(out), params.evaluate
    inputs = read_inputs(samples, labels, frames)
    encoder, head = load_video_model(checkpoint, temporal=temporal, interaction=interaction)
    size = check_input_size(params.model, encoder)
    check_writable(out)
    folder = state_beside(out) if state_dir is None else Path(state_dir)
    with join_world(device=device, threads=settings.threads) as world:
        scorer = Scorer(
            encoder.to(world.device),
            head.to(world.device),
            inputs.names,
            params.model.prompt,
            working_type=working_type(settings.precision, world.device),
        )
        job = fingerprint(
            checkpoint=sha256(checkpoint),
            heads=[head.temporal, head.interaction],
            model=params.model.model_dump(include={"frames", "short_side", "prompt"}),
            views=views.model_dump(),
            precision=settings.precision,
            inputs=inputs.checksums,
        )
        logits = map_samples(
            scorer.score_frames,
            inputs.samples,
            inputs.source,
            world=world,
            partial=PartialRows(folder, job, rank=world.rank, every_seconds=save_every_seconds),
            title=f"evaluate {views.clips}x{views.crops}",
            num_segments=params.model.frames,
            input_size=size,
            short_side=params.model.short_side,
            batch_size=settings.batch_size,
            workers=workers,
            pin_memory=world.device.type == "cuda",
            **views.model_dump(),
        )
        metrics: dict[str, Any] = {}
        if logits is not None:
            num_views = logits.shape[1]
            flat = logits.flatten(0, 1)
            scores = Scores(
                [sample.key for sample in inputs.samples],
                inputs.names,
                video_scores(flat, num_views),
                targets_of(inputs.samples, len(inputs.names)),
                flat,
                num_views,
            )
            extra: dict[str, float] = {"clips": views.clips, "crops": views.crops}
            if published_map_batch is not None:
                value = published_mean_average_precision(scores.scores, scores.targets, published_map_batch)
                extra["map_published"] = round(value, 4)
            metrics = write_results(out, scores, seconds=time.monotonic() - start, extra=extra)
            discard_state(folder)
        wait_for_all(world)
    return metrics


def state_beside(out: Path) -> Path:
    """Where a run keeps finished videos when nothing else is said."""
    return out.with_name(f".{out.name}.state")
