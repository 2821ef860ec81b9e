"""The order of an epoch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bike.data.order import batch_keys, epoch_order, reading_order
from bike.frames.files import FolderSource
from bike.records import Sample


class Sharded(FolderSource):
    """Videos ``0``, ``1``, …, two to a shard."""

    def __init__(self) -> None:
        super().__init__(Path(), [])

    def shard_of(self, video: str) -> int:
        return int(video) // 2


def samples(count: int) -> list[Sample]:
    return [Sample(str(number), str(number), str(number), (0,), 1) for number in range(count)]


def test_the_worked_example() -> None:
    assert epoch_order(samples(8), Sharded(), seed=0, epoch=0).tolist() == [7, 0, 1, 6, 5, 2, 3, 4]
    assert epoch_order(samples(8), Sharded(), seed=0, epoch=0, window=2).tolist() == [2, 3, 6, 7, 1, 0, 4, 5]


@pytest.mark.parametrize("window", [1, 2, 5])
def test_a_window_of_shards_keeps_reading_in_order(window: int) -> None:
    order = epoch_order(samples(23), Sharded(), seed=1, epoch=0, window=window)
    assert sorted(order.tolist()) == list(range(23))
    runs: list[int] = []
    for row in order.tolist():
        if row // 2 not in runs[-window:]:
            runs.append(row // 2)
    assert sorted(runs) == list(range(12))  # none comes back once the window has gone on
    orders = {tuple(epoch_order(samples(23), Sharded(), seed=1, epoch=epoch, window=window)) for epoch in range(5)}
    assert len(orders) == 5


def test_a_part_has_whole_batches_of_those_that_one_process_makes() -> None:
    near = Sharded()
    near.window = None
    assert batch_keys(samples(7), near, 3) == ["0", "0", "0", "3", "3", "3", "6"]
    far = Sharded()  # shards one after the other: rows 1 2 | 0 3 | 4
    far.window = 1
    rows = [Sample(video, video, video, (0,), 1) for video in ("2", "0", "1", "3", "4")]
    assert reading_order(rows, far, np.arange(5)).tolist() == [1, 2, 0, 3, 4]
    assert batch_keys(rows, far, 2) == ["2", "0", "0", "2", "4"]


def test_without_shards_a_window_is_the_whole_list(tmp_path: Path) -> None:
    source = FolderSource(tmp_path, samples(9))
    orders = [epoch_order(samples(9), source, seed=3, epoch=2, window=window).tolist() for window in (None, 1, 4)]
    assert orders[0] == orders[1] == orders[2] != list(range(9))
