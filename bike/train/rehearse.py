"""A step or two of a training, for their time and memory; nothing is written."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import torch

from bike.runtime.distributed import World
from bike.train.branches import Branch
from bike.train.step import compute_gradients, gather_labels

if TYPE_CHECKING:
    from bike.train.fit import Batches, Updater


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What a step took.

    Attributes:
        seconds: of the last one, with the wait for its batch; the first one warms up.
        bytes: the most memory so far: of the GPU, else of this process.
        steps: of an epoch.
    """

    seconds: float
    bytes: int
    steps: int


def rehearse(branch: Branch, batches: Batches, updater: Updater, world: World) -> Rehearsed:
    """Do the first two steps of an epoch, or the only one, as :func:`bike.train.fit.fit` does them."""
    seconds, before = 0.0, time.monotonic()
    for step, (inputs, labels) in enumerate(islice(batches.epoch(0, 0), 2)):
        updater.set_rates(0, step)
        everyone, counts, _ = gather_labels(world, labels, False)
        loss = compute_gradients(branch, inputs, everyone, counts, world, updater.options)
        updater.update()
        float(loss)  # waits for the device
        before, seconds = time.monotonic(), time.monotonic() - before
    if world.device.type == "cuda":
        return Rehearsed(seconds, torch.cuda.max_memory_allocated(world.device), len(batches))
    unit = 1 if sys.platform == "darwin" else 1024
    return Rehearsed(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, len(batches))
