"""How the video branch is validated between epochs."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from bike.data.inputs import Inputs
from bike.data.loader import Batch, evaluation_batches
from bike.evaluate.scores import targets_of
from bike.model.scorer import Scorer
from bike.params import Model, Train
from bike.runtime.distributed import World, collect_rows, working_type
from bike.train.branches import VideoBranch
from bike.train.outcome import validation_metrics

KEPT_BYTES = 2**28  # validation clips up to this size stay in memory between epochs


class Validation:
    """Top-1 on the validation list, one centre view, and mAP where samples have several labels.

    Calling it gives ``{"val/top1": percent}``, and ``val/map``; as in evaluation, any of a sample's labels counts.
    """

    def __init__(
        self,
        branch: VideoBranch,
        inputs: Inputs,
        *,
        model: Model,
        settings: Train,
        world: World,
        workers: int,
    ) -> None:
        self._branch, self._names, self._prompt, self._world = branch, inputs.names, model.prompt, world
        size = branch.encoder.input_size
        self._working_type = working_type(settings.precision, world.device)
        self._batches = evaluation_batches(
            inputs.samples,
            inputs.source,
            num_segments=model.frames,
            input_size=size,
            short_side=model.short_side,
            dense=settings.dense,
            batch_size=max(1, settings.batch_size // world.size),
            rank=world.rank,
            world_size=world.size,
            workers=workers,
        )
        self._targets = targets_of(inputs.samples, len(inputs.names))
        clip_bytes = model.frames * 3 * size * size
        self._keep = len(inputs.samples) * clip_bytes <= KEPT_BYTES
        self._kept: list[Batch] = []

    def __call__(self) -> dict[str, float]:
        branch = self._branch
        scorer = Scorer(  # a new one each time: where the text tower is trained, it encodes the captions again
            branch.encoder,
            branch.head,
            self._names,
            self._prompt,
            working_type=self._working_type,
            captions=branch.captions,
        )
        scores, rows = [], []
        for batch in self._read():
            known = batch.labels >= 0
            scores.append(scorer.score_frames(batch.frames)[known, 0].cpu())
            rows.append(batch.index[known])
        every_score = collect_rows(self._world, torch.cat(scores) if scores else None)
        every_row = collect_rows(self._world, torch.cat(rows) if rows else None, torch.int64)
        if not self._world.is_main or every_score is None or every_row is None:
            return {}
        return validation_metrics(every_score, self._targets[every_row])

    def _read(self) -> Iterator[Batch]:
        if self._kept:
            yield from self._kept
            return
        for batch in self._batches:
            if self._keep:
                self._kept.append(batch)
            yield batch
        if self._keep:  # nothing will be read again
            self._batches.close()
