"""The order of an epoch, and each rank's part of a batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bike.frames.open import FrameSource
from bike.records import Sample

Rows = NDArray[np.int64]


def sample_generator(seed: int, epoch: int, row: int) -> np.random.Generator:
    """The randomness of one sample in one epoch: it depends on nothing else."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(epoch, row + 1)))


def epoch_order(
    samples: Sequence[Sample], source: FrameSource, *, seed: int, epoch: int, window: int | None = None
) -> Rows:
    """Rows of the list in the order of an epoch: each row once.

    Args:
        samples: the list.
        source: tells the shard of a video (``shard_of``) where ``window`` is given.
        seed, epoch: decide the order.
        window: None: any order. Otherwise shards come in random order, and the samples of ``window`` shards at a time
            are mixed, so that a reader needs only these at once.

    Returns:
        int64 (num_samples,).
    """
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(epoch, 0)))
    shard_of = getattr(source, "shard_of", None)
    if window is None or shard_of is None:
        return generator.permutation(len(samples))
    shards = np.array([shard_of(sample.video) for sample in samples], dtype=np.int64)
    shuffled = generator.permutation(int(shards.max()) + 1)
    group = np.empty_like(shuffled)
    group[shuffled] = np.arange(len(shuffled)) // max(1, window)
    mixed = generator.permutation(len(samples))
    order: Rows = mixed[np.argsort(group[shards[mixed]], kind="stable")]
    return order


def rank_part(rows: Rows, rank: int, world_size: int) -> Rows:
    """A rank's neighbouring rows of a batch; parts differ by at most one row and make up the batch in order."""
    return rows[rank * len(rows) // world_size : (rank + 1) * len(rows) // world_size]
