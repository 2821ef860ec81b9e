"""Reads planned batches, in this process or ahead in others."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bike.data.order import Rows
from bike.errors import BikeError, DataError
from bike.frames.source import FrameSource
from bike.records import Sample

Plan = tuple[int, Rows]
Views = Callable[[Sample, FrameSource, int, int], Tensor]


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
        self._workers, self._pin_memory = workers, pin_memory
        self._plans: list[Plan] = []
        self._ahead: DataLoader[Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_ahead": None, "_plans": []}

    def __getitem__(self, plan: Any) -> Batch | _Failure:
        """What a worker calls."""
        try:
            return self.read(*plan)
        except BikeError as error:
            return _Failure(type(error), str(error))

    def read(self, epoch: int, rows: Rows) -> Batch:
        """Read the samples of a batch.

        Raises:
            DataError: one of them can't be read; it is named, and nothing takes its place.
        """
        samples = [self.samples[row] for row in rows]
        frames: Tensor | None = None
        for place, (row, sample) in enumerate(zip(rows, samples, strict=True)):
            try:
                view = self.views(sample, self.source, epoch, int(row))
            except DataError as error:
                raise DataError(f"sample {sample.key} ({sample.path}): {error}") from error
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
            if "DataLoader worker" not in str(error):  # torch has no class of its own for this
                raise
            raise BikeError("A loader process was killed, perhaps out of memory. Use fewer workers.") from error

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
                worker_init_fn=_leave_signals,
            )
        return iter(self._ahead)

    def close(self) -> None:
        """Let the workers go; a later iteration starts new ones."""
        self._ahead = None


def _leave_signals(_worker: int) -> None:
    """Ctrl-C on a terminal reaches every process; the main one decides when its workers end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # how it ends them


def _as_it_is(batch: Any) -> Any:
    """Batches are made already; a lambda could not be sent to workers that are spawned."""
    return batch
