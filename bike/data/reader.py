"""Reads planned batches, in this process or ahead in others."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from bike.data.order import Rows
from bike.errors import BikeError, one_line
from bike.files import reading
from bike.frames.source import FrameSource
from bike.records import Sample
from bike.workers.parent import end_with_parent

log = logging.getLogger("bike")

Plan = tuple[int, Rows]

# Through which workers hand over their batches; 64 MB in a container by default.
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108
PREFETCH = 2  # batches that each worker reads ahead
SILENT_SECONDS = 3600  # after which a worker that gives nothing is given up; remote shards may be tried for a while


class Views(Protocol):
    """One sample to its views: uint8 (V, T, 3, S, S)."""

    @property
    def sample_bytes(self) -> int:
        """Bytes of the views of a sample."""

    def __call__(self, sample: Sample, source: FrameSource, epoch: int, row: int, /) -> Tensor:
        """Read and cut them."""


@dataclass(slots=True)
class Batch:
    """Samples ready for the encoder, before normalisation.

    Attributes:
        keys: of the samples.
        index: int64 (B,), rows in the list.
        frames: uint8 (B, V, T, 3, S, S), channels last in memory; V = 1 in training, crops · clips (crop-major) in
            evaluation.
        labels: int64 (B,), the first label of each sample, -1 where there is none.
    """

    keys: list[str]
    index: Tensor
    frames: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.keys)

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory."""
        return Batch(self.keys, self.index.pin_memory(), self.frames.pin_memory(), self.labels.pin_memory())

    def share_memory(self) -> None:
        """Move it to memory that processes share, as handing it over would do later."""
        for part in (self.index, self.frames, self.labels):
            part.share_memory_()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class _Failure:
    """An error on its way from a worker, as a value: raised there it would arrive wrapped in a traceback."""

    kind: type[BikeError]
    message: str


class BatchReader(Dataset[Batch | _Failure]):
    """Makes batches from plans (epoch, rows), in this process or ahead in workers, which are kept between epochs.

    A plan says all that a batch depends on, so it does not matter who reads it, or what was read before.
    """

    def __init__(
        self, samples: Sequence[Sample], source: FrameSource, views: Views, workers: int, *, pin_memory: bool = False
    ) -> None:
        self.samples, self.source, self.views = samples, source, views
        self._workers, self._prefetch, self._pin_memory = workers, PREFETCH, pin_memory
        self._plans: list[Plan] = []
        self._ahead: DataLoader[Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_ahead": None, "_plans": []}

    def __getitem__(self, plan: Any) -> Batch | _Failure:
        """What a worker calls."""
        try:
            batch = self.read(*plan)
        except BikeError as error:
            return _Failure(type(error), str(error))
        if get_worker_info() is not None:
            try:  # here, since the thread that sends it would only print the error, and the batch be waited for
                batch.share_memory()
            except RuntimeError as error:
                return _Failure(BikeError, f"{SHARED_MEMORY}: no room for a batch ({one_line(error)[:100]}). {_ROOM}")
        return batch

    def read(self, epoch: int, rows: Rows) -> Batch:
        """Read the samples of a batch.

        Raises:
            DataError: one of them can't be read; it is named, and nothing takes its place.
        """
        samples = [self.samples[row] for row in rows]
        frames: Tensor | None = None
        for place, (row, sample) in enumerate(zip(rows, samples, strict=True)):
            with reading(f"sample {sample.key} ({sample.path})"):
                view = self.views(sample, self.source, epoch, int(row))
            if frames is None:  # the first view decides the size; channels stay last in memory, as they come
                frames = view.new_empty((len(rows), *view.movedim(2, -1).shape)).movedim(-1, 3)
            frames[place] = view
        return Batch(
            keys=[sample.key for sample in samples],
            index=torch.from_numpy(np.array(rows, dtype=np.int64)),
            # A rank without a sample in a last, small batch still takes part in the step.
            frames=torch.empty((0, 1, 1, 3, 1, 1), dtype=torch.uint8) if frames is None else frames,
            labels=torch.tensor([sample.labels[0] if sample.labels else -1 for sample in samples], dtype=torch.int64),
        )

    def batches(self, plans: list[Plan]) -> Iterator[Batch]:
        """Read planned batches one after another.

        Raises:
            DataError: a sample can't be read.
            BikeError: a worker was killed, or remote shards can't be reached.
        """
        if self._ahead is None and self._workers:
            self._workers, self._prefetch = fitting_workers(
                self._workers, max((len(rows) for _, rows in plans), default=0) * self.views.sample_bytes
            )
        if self._workers == 0 or not plans:
            for plan in plans:
                batch = self.read(*plan)
                yield batch.pin_memory() if self._pin_memory else batch
            return
        try:
            for item in self._read_ahead(plans):
                if isinstance(item, _Failure):
                    self.close()
                    raise item.kind(item.message)
                yield item
        except RuntimeError as error:
            if not any(
                words in str(error) for words in ("DataLoader worker", "DataLoader timed out")
            ):  # torch has no class of its own for this
                raise
            silent = "timed out" in str(error)
            why = f"gave nothing for {SILENT_SECONDS} s" if silent else "was killed, perhaps out of memory"
            raise BikeError(f"A loader process {why}. Use fewer workers.") from error

    def _read_ahead(self, plans: list[Plan]) -> Iterator[Batch | _Failure]:
        self._plans[:] = plans  # the very list that the DataLoader, kept with its workers, goes through again
        if self._ahead is None:
            self._ahead = DataLoader(
                self,
                batch_size=None,
                sampler=self._plans,
                num_workers=self._workers,
                collate_fn=_as_it_is,
                pin_memory=self._pin_memory,
                persistent_workers=True,
                prefetch_factor=self._prefetch,
                timeout=SILENT_SECONDS,
                worker_init_fn=partial(_begin_worker, os.getpid()),
            )
        return iter(self._ahead)

    def close(self) -> None:
        """Let the workers go; a later iteration starts new ones."""
        self._ahead = None


def fitting_workers(workers: int, batch_bytes: int) -> tuple[int, int]:
    """How many workers may read ahead, and how many batches each, so that shared memory holds all that is under way.

    Args:
        workers: wanted, at least 1.
        batch_bytes: of a batch.

    Returns:
        Workers and batches of each; 0 workers where not even one fits. Fewer than wanted are logged.
    """
    try:
        found = os.statvfs(SHARED_MEMORY)
    except OSError:  # no Linux: memory is shared in another way
        return workers, PREFETCH
    # Processes on one machine share it. Two batches more than are read ahead: one in use, one on its way.
    room = found.f_bavail * found.f_frsize // max(1, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    fitting = room // max(1, batch_bytes) - 2
    prefetch = PREFETCH if fitting >= PREFETCH * workers else 1
    chosen = max(0, min(workers, fitting // prefetch))
    if chosen < workers:
        log.warning(
            "%s: room for %d MB, and a batch has %.1f MB: %d of %d workers read ahead. %s",
            SHARED_MEMORY, room // 10**6, batch_bytes / 1e6, chosen, workers, _ROOM,
        )  # fmt: skip
    return chosen, prefetch


_ROOM = "Make the batch smaller, or the room larger (docker run --shm-size)."


def _begin_worker(parent: int, _worker: int) -> None:
    """Ctrl-C on a terminal reaches every process; the main one decides when its workers end, and they end with it."""
    end_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # how it ends them


def _as_it_is(batch: Any) -> Any:
    """Batches are made already; a lambda could not be sent to workers that are spawned."""
    return batch
