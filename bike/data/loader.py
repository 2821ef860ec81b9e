"""Samples to batches. Randomness is a function of (seed, epoch, row of the list); ranks and workers change nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bike.data.order import epoch_order, reading_order
from bike.data.reader import Batch, BatchReader
from bike.data.views import EvaluationViews, TrainingViews
from bike.errors import DataError
from bike.frames.source import FrameSource
from bike.params import Sampling
from bike.records import Sample
from bike.runtime.distributed import rank_part

__all__ = ["Batch", "EvaluationBatches", "TrainingBatches", "evaluation_batches", "training_batches"]

PUBLISHED = Sampling()


@dataclass(frozen=True, slots=True)
class TrainingBatches:
    """Batches of one rank, any epoch from any step; made by :func:`training_batches`."""

    reader: BatchReader
    batch_size: int
    rank: int
    world_size: int
    seed: int
    window: int | None
    drop_last: bool

    def __len__(self) -> int:
        """Steps of an epoch, the same on every rank."""
        num_samples = len(self.reader.samples)
        return num_samples // self.batch_size if self.drop_last else -(-num_samples // self.batch_size)

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, one iteration at a time.

        Nothing is remembered between calls: a run that stopped after step 6 of epoch 2 goes on with ``epoch(2, 7)``, in
        a new process, with another number of ranks or workers.

        Args:
            epoch: from 0; decides the order, the frames and the crops.
            first_step: from 0 to ``len(self)``; the batches before it are neither read nor given.

        Raises:
            ValueError: a number out of range.
            DataError: an unreadable sample, by name.
        """
        if epoch < 0 or not 0 <= first_step <= len(self):
            raise ValueError(f"epoch or first_step is out of range (got {epoch}, {first_step} of {len(self)}).")
        return self._batches(epoch, first_step)

    def _batches(self, epoch: int, first_step: int) -> Iterator[Batch]:
        samples, source = self.reader.samples, self.reader.source
        # The whole epoch is ordered whatever the first step: a sample's place must not depend on where a run began.
        order = epoch_order(samples, source, seed=self.seed, epoch=epoch, window=self.window)
        plans = []
        for step in range(first_step, len(self)):
            rows = order[step * self.batch_size : (step + 1) * self.batch_size]
            plans.append((epoch, rows[rank_part(len(rows), self.rank, self.world_size)]))
        # Every rank fetches for the batches of all: their parts of a batch lie in the same window of shards.
        rest = [samples[row].video for row in order[first_step * self.batch_size :]]
        with source.prefetch(rest, self.window) as ahead:
            for number, batch in enumerate(self.reader.batches(plans)):
                # Not before the first batch: until then the reader may fork workers, and a copy of a thread's locks
                # would stay locked in them.
                ahead.reached(number * self.batch_size)
                yield batch

    def close(self) -> None:
        """End the worker processes."""
        self.reader.close()


class EvaluationBatches:
    """Batches of one rank, every sample of the list exactly once over all ranks; made by :func:`evaluation_batches`."""

    def __init__(self, reader: BatchReader, *, batch_size: int, rank: int, world_size: int) -> None:
        # No padding to equal numbers, as DistributedSampler does it: a repeated sample would count in the metrics.
        rows = reading_order(reader.samples, reader.source, np.arange(rank, len(reader.samples), world_size))
        self._reader = reader
        self._plans = [(0, rows[start : start + batch_size]) for start in range(0, len(rows), batch_size)]

    def __len__(self) -> int:
        """Batches of this rank."""
        return len(self._plans)

    def __iter__(self) -> Iterator[Batch]:
        return self._reader.batches(self._plans)

    def close(self) -> None:
        """End the worker processes."""
        self._reader.close()


def training_batches(
    samples: Sequence[Sample],
    source: FrameSource,
    *,
    num_segments: int,
    batch_size: int,
    input_size: int,
    short_side: int | None = None,
    sampling: Sampling = PUBLISHED,
    seed: int = 0,
    rank: int = 0,
    world_size: int = 1,
    workers: int = 0,
    window: int | None = None,
    drop_last: bool = True,
    pin_memory: bool = False,
) -> TrainingBatches:
    """Batches for training, one clip of one view from each sample.

    Batch b of an epoch holds rows ``order[b * batch_size : (b + 1) * batch_size]`` of a permutation drawn from
    (seed, epoch); each rank gets its part of every batch.

    Args:
        samples: rows of the list; a row that appears twice is drawn twice.
        source: where frames come from.
        num_segments: T, frames of a clip.
        batch_size: B, over all ranks.
        input_size: S, pixels.
        short_side: pixels of the short side before the centre crop, used when ``sampling.augment`` is off; None: 256
            for 224, otherwise S. The random window is scaled once, from the stored frame.
        sampling: which frames and pixels a sample draws, by default as published; section ``train`` of ``params.yaml``
            is one, too.
        seed: of the order, the frames and the crops.
        rank, world_size: this process among all.
        workers: processes that read ahead; 0 reads in this process.
        window: shards whose samples are mixed at a time, which keeps remote reading in order; None: as the source asks
            (remote shards: 4 by default; any other source: all are mixed).
        drop_last: leave out the last batch of an epoch when it is not full.
        pin_memory: hand over page-locked memory, for copies to a CUDA device.

    Raises:
        ValueError: a count out of range, or more ranks than samples in a batch.
        DataError: fewer samples than one batch. While iterating: an unreadable sample, by name.
    """
    if min(num_segments, batch_size, input_size, world_size) < 1 or not 0 <= rank < world_size or workers < 0:
        raise ValueError("num_segments, batch_size, input_size, world_size or rank is out of range")
    if batch_size < world_size:
        raise ValueError(f"a batch of {batch_size} can't be shared by {world_size} ranks")
    if len(samples) < (batch_size if drop_last else 1):
        raise DataError(
            f"training list: {len(samples)} samples, fewer than one batch of {batch_size}. Choose a smaller batch."
        )
    views = TrainingViews(num_segments, input_size, short_side, seed, sampling)
    return TrainingBatches(
        BatchReader(samples, source, views, workers, pin_memory=pin_memory),
        batch_size=batch_size,
        rank=rank,
        world_size=world_size,
        seed=seed,
        window=source.window if window is None else window,
        drop_last=drop_last,
    )


def evaluation_batches(
    samples: Sequence[Sample],
    source: FrameSource,
    *,
    num_segments: int,
    input_size: int,
    short_side: int | None = None,
    clips: int = 1,
    crops: int = 1,
    dense: bool = False,
    batch_size: int = 8,
    rank: int = 0,
    world_size: int = 1,
    workers: int = 0,
    pin_memory: bool = False,
) -> EvaluationBatches:
    """Batches for evaluation with ``crops * clips`` views of each sample, crop-major.

    Rank r gets rows r, r + world_size, …; none is repeated to fill a batch, so the last may be smaller. Remote shards
    are gone through one after another: ``Batch.index`` says which rows a batch has. Each frame of a sample is decoded
    once for all its views.

    Args:
        samples: rows of the list.
        source: where frames come from.
        num_segments: T, frames of a clip.
        input_size: S, pixels.
        short_side: pixels of the short side before cropping; None: 256 for 224, otherwise S.
        clips, crops: temporal clips; spatial crops (1, 3, 5 or 10).
        dense: dense clips.
        batch_size: samples at a time on this rank.
        rank, world_size: this process among all.
        workers: processes that read ahead; 0 reads in this process.
        pin_memory: hand over page-locked memory.

    Raises:
        ValueError: a count out of range.
        DataError: while iterating, an unreadable sample, by name.
    """
    if min(num_segments, batch_size, input_size, world_size, clips) < 1 or not 0 <= rank < world_size or workers < 0:
        raise ValueError("num_segments, batch_size, input_size, clips, world_size or rank is out of range")
    views = EvaluationViews(num_segments, input_size, short_side, clips, crops, dense)
    reader = BatchReader(samples, source, views, workers, pin_memory=pin_memory)
    return EvaluationBatches(reader, batch_size=batch_size, rank=rank, world_size=world_size)
