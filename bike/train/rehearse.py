"""A step or two of a training, for their time and memory; nothing is written."""

from __future__ import annotations

import re
import resource
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
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
    return Rehearsed(seconds, _most_bytes(), len(batches))


def _most_bytes() -> int:
    """The most memory that this process held, where Linux tells; otherwise a parent's share counts as well."""
    with suppress(OSError):
        if found := re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"), re.M):
            return 1024 * int(found[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
