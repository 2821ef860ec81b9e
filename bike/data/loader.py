"""Samples to batches. Randomness is a function of (seed, epoch, row of the list); ranks and workers change nothing."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from bike.data.order import epoch_order, rank_part
from bike.data.reader import Batch, BatchReader, read_batches
from bike.data.views import EvaluationViews, TrainingViews
from bike.errors import DataError
from bike.frames.open import CachedSource, FrameSource, RemoteShardSource
from bike.frames.prefetch import ShardsAhead
from bike.records import Sample

__all__ = ["Batch", "EvaluationBatches", "TrainingBatches", "evaluation_batches", "training_batches"]


class TrainingBatches:
    """Batches of one rank, epoch after epoch; made by :func:`training_batches`.

    Iterating gives the batches of the current epoch, from where a restored state stopped. :meth:`state_dict`, called
    between two batches, says how many of this epoch were handed over.
    """

    def __init__(
        self,
        reader: BatchReader,
        source: FrameSource,
        *,
        batch_size: int,
        rank: int,
        world_size: int,
        seed: int,
        window: int | None,
        drop_last: bool,
        pin_memory: bool,
    ) -> None:
        self._reader, self._source, self._pin_memory = reader, source, pin_memory
        self._batch_size, self._rank, self._world_size = batch_size, rank, world_size
        self._seed, self._window, self._drop_last = seed, window, drop_last
        self._epoch = self._start = self._step = 0

    def __len__(self) -> int:
        """Steps of an epoch, the same on every rank."""
        num_samples = len(self._reader.samples)
        return num_samples // self._batch_size if self._drop_last else -(-num_samples // self._batch_size)

    @property
    def epoch(self) -> int:
        """The epoch whose batches come next, from 0."""
        return self._epoch

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (from 0). Another epoch begins at its first batch; the current one goes on where it was."""
        if epoch != self._epoch:
            self._epoch, self._start, self._step = epoch, 0, 0

    def __iter__(self) -> Iterator[Batch]:
        samples = self._reader.samples
        order = epoch_order(samples, self._source, seed=self._seed, epoch=self._epoch, window=self._window)
        start, self._start = self._start, 0
        self._step = start
        plans = []
        for step in range(start, len(self)):
            rows = order[step * self._batch_size : (step + 1) * self._batch_size]
            plans.append((self._epoch, rank_part(rows, self._rank, self._world_size)))
        rest = [samples[row].video for row in order[start * self._batch_size :]]
        with self._fetched_ahead(rest) as ahead:
            for number, batch in enumerate(read_batches(self._reader, plans, pin_memory=self._pin_memory)):
                if ahead is not None:
                    ahead.reached(number * self._batch_size)
                self._step += 1
                yield batch

    def _fetched_ahead(self, videos: list[str]) -> AbstractContextManager[ShardsAhead | None]:
        """Remote shards come before their turn; other sources need nothing."""
        if isinstance(self._source, RemoteShardSource) and self._window is not None:
            return self._source.fetched_ahead(videos, self._window)
        return nullcontext()

    def state_dict(self) -> dict[str, Any]:
        """Where the iteration stands: plain numbers, the same on every rank."""
        return {"epoch": self._epoch, "step": self._step, **self._identity()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was taken; the number of ranks and workers may differ.

        Raises:
            DataError: the state belongs to another list, seed, batch size, window, or (with a window) to other shards.
        """
        for name, value in self._identity().items():
            if state.get(name) != value:
                raise DataError(
                    f"loader state: {name} differs (got {state.get(name)!r}, now {value!r}). "
                    "Resume with the list and settings it was saved with, or start anew."
                )
        self._epoch, self._start = int(state["epoch"]), int(state["step"])
        self._step = self._start

    def close(self) -> None:
        """End the worker processes."""
        self._reader.close()

    def _identity(self) -> dict[str, Any]:
        keys = zlib.crc32("\n".join(sample.key for sample in self._reader.samples).encode("utf-8", "surrogateescape"))
        return {
            "seed": self._seed,
            "batch_size": self._batch_size,
            "num_samples": len(self._reader.samples),
            "list_crc32": keys,
            "window": self._window,
            "shards_crc32": self._shards_print(),
        }

    def _shards_print(self) -> int:
        """A checksum of which sample lies in which shard, where the order depends on it."""
        shard_of = getattr(self._source, "shard_of", None)
        if self._window is None or shard_of is None:
            return 0
        return zlib.crc32(np.array([shard_of(sample.video) for sample in self._reader.samples], np.int64).tobytes())


class EvaluationBatches:
    """Batches of one rank, every sample of the list exactly once over all ranks; made by :func:`evaluation_batches`."""

    def __init__(self, reader: BatchReader, *, batch_size: int, rank: int, world_size: int, pin_memory: bool) -> None:
        rows = np.arange(rank, len(reader.samples), world_size)
        if isinstance(reader.source, RemoteShardSource):  # a shard after the other: each is fetched once
            shards = np.array(
                [reader.source.shard_of(reader.samples[row].video) for row in rows.tolist()], dtype=np.int64
            )
            rows = rows[np.argsort(shards, kind="stable")]
        self._reader, self._pin_memory = reader, pin_memory
        self._plans = [(0, rows[start : start + batch_size]) for start in range(0, len(rows), batch_size)]

    def __len__(self) -> int:
        """Batches of this rank."""
        return len(self._plans)

    def __iter__(self) -> Iterator[Batch]:
        return read_batches(self._reader, self._plans, pin_memory=self._pin_memory)

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
    rank: int = 0,
    world_size: int = 1,
    seed: int = 0,
    dense: bool = False,
    augment: bool = True,
    min_area: float = 0.08,
    flip: float = 0.5,
    grayscale: float = 0.2,
    workers: int = 0,
    cache_mb: float = 0.0,
    window: int | None = None,
    drop_last: bool = True,
    pin_memory: bool = False,
) -> TrainingBatches:
    """Batches for training, one clip of one view from each sample.

    Batch b of an epoch holds rows ``order[b * batch_size : (b + 1) * batch_size]`` of a permutation drawn from
    (seed, epoch); each rank gets its part of every batch.

    Args:
        samples: rows of the list; a row that stands twice is drawn twice.
        source: where frames come from.
        num_segments: T, frames of a clip.
        batch_size: B, over all ranks.
        input_size: S, pixels.
        short_side: pixels of the short side before the centre crop, used when ``augment`` is off; None: 256 for 224,
            otherwise S. The random window is scaled once, from the stored frame.
        rank, world_size: this process among all.
        seed: of the order, the frames and the crops.
        dense: frames of a window of 128 instead of the whole video.
        augment: random window, mirror image and grayscale; otherwise the centre crop.
        min_area: smallest window as a share of the frame.
        flip, grayscale: probabilities.
        workers: processes that read ahead; 0 reads in this process.
        cache_mb: room for decoded frames in each process, for small data sets.
        window: None mixes all samples; a number mixes that many shards at a time, which keeps remote reading in order.
            Sources of remote shards ask for a window themselves.
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
    views = TrainingViews(
        num_segments=num_segments,
        input_size=input_size,
        short_side=short_side,
        seed=seed,
        dense=dense,
        augment=augment,
        min_area=min_area,
        flip=flip,
        grayscale=grayscale,
    )
    return TrainingBatches(
        BatchReader(samples, _cached(source, cache_mb), views, workers),
        source,
        batch_size=batch_size,
        rank=rank,
        world_size=world_size,
        seed=seed,
        window=getattr(source, "window", None) if window is None else window,
        drop_last=drop_last,
        pin_memory=pin_memory,
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
    cache_mb: float = 0.0,
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
        cache_mb: room for decoded frames in each process.
        pin_memory: hand over page-locked memory.

    Raises:
        ValueError: a count out of range.
        DataError: while iterating, an unreadable sample, by name.
    """
    if min(num_segments, batch_size, input_size, world_size, clips) < 1 or not 0 <= rank < world_size or workers < 0:
        raise ValueError("num_segments, batch_size, input_size, clips, world_size or rank is out of range")
    views = EvaluationViews(
        num_segments=num_segments, input_size=input_size, short_side=short_side, clips=clips, crops=crops, dense=dense
    )
    reader = BatchReader(samples, _cached(source, cache_mb), views, workers)
    return EvaluationBatches(reader, batch_size=batch_size, rank=rank, world_size=world_size, pin_memory=pin_memory)


def _cached(source: FrameSource, cache_mb: float) -> FrameSource:
    return CachedSource(source, cache_mb) if cache_mb > 0 else source
