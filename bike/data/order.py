"""The order of an epoch, and what each sample draws in it.

Nothing here counts what was drawn before: epoch 7 can be asked for first, and a run that stopped goes on with the
very order it had. Everything is drawn from (seed, epoch), and what one sample draws from (seed, epoch, row).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bike.frames.source import FrameSource
from bike.records import Sample

Rows = NDArray[np.int64]


def sample_generator(seed: int, epoch: int, row: int) -> np.random.Generator:
    """The randomness of one sample in one epoch: it depends on nothing else."""
    # spawn_key (epoch, 0) belongs to the epoch's order, so rows count from 1.
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(epoch, row + 1)))


def reading_order(samples: Sequence[Sample], source: FrameSource, rows: Rows) -> Rows:
    """Rows in the order in which they are evaluated: a remote shard after the other, so that each is fetched once."""
    if source.window is None:
        return rows
    shards = [source.shard_of(samples[row].video) for row in rows.tolist()]
    return rows[np.argsort(np.array(shards, dtype=np.int64), kind="stable")]


def batch_keys(samples: Sequence[Sample], source: FrameSource, batch_size: int) -> list[str]:
    """For each row the key that decides its part: that of the first sample in its batch.

    A part has whole batches of those that one process would make, since rounding depends on what is computed together.
    """
    order = reading_order(samples, source, np.arange(len(samples))).tolist()
    keys = [""] * len(samples)
    for place, row in enumerate(order):
        keys[row] = samples[order[place - place % batch_size]].key
    return keys


def epoch_order(
    samples: Sequence[Sample], source: FrameSource, *, seed: int, epoch: int, window: int | None = None
) -> Rows:
    """Rows of the list in the order of an epoch: each row once.

    For example, eight samples whose videos lie in shards 0, 0, 1, 1, 2, 2, 3, 3, with seed 0 in epoch 0::

        window=None   rows 7 0 1 6 5 2 3 4   shards 3 0 0 3 2 1 1 2
        window=2      rows 2 3 6 7 1 0 4 5   shards 1 1 3 3 0 0 2 2   (first 1 and 3 mixed, then 0 and 2)

    Args:
        samples: the list.
        source: says which shard a video lies in.
        seed, epoch: decide the order.
        window: None: any order. Otherwise shards come in random order, and the samples of ``window`` shards at a time
            are mixed, so that a reader needs only these at once.

    Returns:
        int64 (num_samples,).
    """
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(epoch, 0)))
    if window is None:
        return generator.permutation(len(samples))
    shards = np.array([source.shard_of(sample.video) for sample in samples], dtype=np.int64)
    shuffled = generator.permutation(int(shards.max()) + 1)
    group = np.empty_like(shuffled)  # of each shard: which window it is read in
    group[shuffled] = np.arange(len(shuffled)) // max(1, window)
    mixed = generator.permutation(len(samples))
    # A stable sort keeps the mixed order inside a group.
    order: Rows = mixed[np.argsort(group[shards[mixed]], kind="stable")]
    return order
