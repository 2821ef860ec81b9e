"""The loader: which samples, frames and pixels a batch holds, whoever reads them."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.shards import FPS, Data, frame_numbers, jpeg, make_data, picture, write_folder

from bike.data import reader
from bike.data.loader import Batch, evaluation_batches, training_batches
from bike.data.reader import fitting_workers
from bike.data.spatial import test_crops
from bike.data.temporal import test_indices, training_bounds
from bike.errors import BikeError, DataError
from bike.frames.open import FolderSource, Frames, FrameSource, ShardSource
from bike.params import Sampling
from bike.records import Sample
from bike.shard.run import write_shards

TRAIN: dict[str, Any] = {"num_segments": 4, "batch_size": 6, "input_size": 16, "seed": 3}
TEST: dict[str, Any] = {"num_segments": 4, "input_size": 16, "batch_size": 3}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return make_data(tmp_path_factory.mktemp("data"), [5 + number % 20 for number in range(23)])


@pytest.fixture(scope="module")
def source(data: Data, tmp_path_factory: pytest.TempPathFactory) -> ShardSource:
    folder = tmp_path_factory.mktemp("shards")
    write_shards(data.list, data.frames, folder, max_size_mb=0.06, jobs=1)
    return ShardSource(folder)


class Recorder(FrameSource):
    """A source that remembers what was asked of it."""

    def __init__(self, source: FrameSource) -> None:
        self.source, self.asked = source, [("", [0])][:0]

    def num_frames(self, video: str) -> int:
        return self.source.num_frames(video)

    def fps(self, video: str) -> float:
        return self.source.fps(video)

    def read(self, video: str, frame_indices: Sequence[int], *, gray: bool = False) -> Frames:
        self.asked.append((video, list(frame_indices)))
        return self.source.read(video, frame_indices, gray=gray)


def joined(parts: Sequence[Batch]) -> Batch:
    """Several ranks' parts of one batch."""
    return Batch(
        [key for part in parts for key in part.keys],
        torch.cat([part.index for part in parts]),
        torch.cat([part.frames for part in parts]),
        torch.cat([part.labels for part in parts]),
    )


def same(one: Batch, other: Batch) -> bool:
    pairs = ((one.index, other.index), (one.frames, other.frames), (one.labels, other.labels))
    return one.keys == other.keys and all(torch.equal(a, b) for a, b in pairs)


def test_a_batch_is_bytes_with_keys_rows_and_labels(data: Data, source: ShardSource) -> None:
    batches = training_batches(data.samples, source, **TRAIN)
    first = next(batches.epoch(0))
    assert len(batches) == 3
    assert first.frames.shape == (6, 1, 4, 3, 16, 16)
    assert first.frames.dtype == torch.uint8
    assert first.index.dtype == first.labels.dtype == torch.int64
    for key, row, label in zip(first.keys, first.index.tolist(), first.labels.tolist(), strict=True):
        assert data.samples[row].key == key
        assert data.samples[row].labels == (label,)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(data: Data, source: ShardSource, workers: int) -> None:
    here = training_batches(data.samples, source, **TRAIN)
    ahead = training_batches(data.samples, source, workers=workers, **TRAIN)
    for number in (0, 1, 0):
        assert all(map(same, here.epoch(number), ahead.epoch(number)))
    ahead.close()
    tested = evaluation_batches(data.samples, source, workers=workers, clips=2, crops=3, **TEST)
    assert all(map(same, evaluation_batches(data.samples, source, clips=2, crops=3, **TEST), tested))
    tested.close()


def test_epochs_and_seeds_differ_and_repeat(data: Data, source: ShardSource) -> None:
    batches = training_batches(data.samples, source, **TRAIN)
    zero, one, again = (list(batches.epoch(number)) for number in (0, 1, 0))
    assert all(map(same, zero, again))
    assert not any(map(same, zero, one))
    other = training_batches(data.samples, source, **{**TRAIN, "seed": 4})
    assert not any(map(same, zero, other.epoch(0)))


def test_one_sample_draws_the_same_in_any_company(data: Data, source: ShardSource) -> None:
    """What a sample looks like depends on seed, epoch and row, not on the batch size."""

    def views(batch_size: int) -> dict[str, torch.Tensor]:
        batches = training_batches(data.samples, source, **{**TRAIN, "batch_size": batch_size}).epoch(2)
        return {key: view for batch in batches for key, view in zip(batch.keys, batch.frames, strict=True)}

    large, small = views(6), views(1)
    assert len(small) == 23
    assert all(torch.equal(view, small[key]) for key, view in large.items())


@pytest.mark.parametrize(("world_size", "workers"), [(1, 0), (1, 2), (2, 0), (3, 1), (5, 0)])
def test_ranks_share_the_same_batches_and_go_on_from_any_step(
    data: Data, source: ShardSource, world_size: int, workers: int
) -> None:
    """In another process, with other ranks and workers, whatever was read before."""
    options = {**TRAIN, "drop_last": False}
    whole = list(training_batches(data.samples, source, **options).epoch(5))
    assert sorted(row for batch in whole for row in batch.index.tolist()) == list(range(23))
    assert len(whole) == 4
    ranks = [
        training_batches(data.samples, source, rank=rank, world_size=world_size, workers=workers, **options)
        for rank in range(world_size)
    ]
    for batches in ranks:
        next(batches.epoch(1))  # an epoch that was left early
    for first_step in (2, 4, 0, 3):
        rest = list(zip(*(batches.epoch(5, first_step) for batches in ranks), strict=True))
        assert len(rest) == 4 - first_step  # none after the last
        assert all(same(batch, joined(parts)) for batch, parts in zip(whole[first_step:], rest, strict=True))
    later = zip(*(batches.epoch(6) for batches in ranks), strict=True)
    assert not any(same(batch, joined(parts)) for batch, parts in zip(whole, later, strict=True))
    for batches in ranks:
        batches.close()


def test_training_frames_lie_in_their_segments(data: Data, source: ShardSource) -> None:
    recorder = Recorder(source)
    batches = training_batches(data.samples, recorder, **TRAIN)
    for number in range(6):
        list(batches.epoch(number))
    for video, indices in recorder.asked:
        low, high = training_bounds(source.num_frames(video), 4)
        assert all(a <= index <= b for a, index, b in zip(low, indices, high, strict=True))
    assert len({(video, *indices) for video, indices in recorder.asked}) > len(data.samples)


def test_training_without_augmentation_is_the_centre_crop(data: Data, source: ShardSource) -> None:
    recorder = Recorder(source)
    plain = Sampling(augment=False)
    batch = next(training_batches(data.samples, recorder, sampling=plain, **{**TRAIN, "batch_size": 1}).epoch(0))
    video, indices = recorder.asked[0]
    expected = test_crops(torch.from_numpy(source.read(video, indices)), 16, 1)
    assert torch.equal(batch.frames[0, 0], expected)


@pytest.mark.parametrize(("world_size", "batch_size"), [(1, 4), (2, 1), (3, 4), (3, 50), (30, 2)])
def test_evaluation_sees_every_sample_once(data: Data, source: ShardSource, world_size: int, batch_size: int) -> None:
    """Also where there are more processes than samples."""
    rows, keys = [], []
    for rank in range(world_size):
        batches = evaluation_batches(
            data.samples, source, rank=rank, world_size=world_size, **{**TEST, "batch_size": batch_size}
        )
        parts = list(batches)
        assert len(parts) == len(batches)
        rows += [row for part in parts for row in part.index.tolist()]
        keys += [key for part in parts for key in part.keys]
    assert sorted(rows) == list(range(23))
    assert keys == [data.samples[row].key for row in rows]


@pytest.mark.parametrize(("clips", "crops", "dense"), [(1, 1, False), (4, 3, False), (2, 5, True), (3, 10, False)])
def test_views_are_crop_major_and_frames_are_decoded_once(
    data: Data, source: ShardSource, clips: int, crops: int, dense: bool
) -> None:
    recorder = Recorder(source)
    samples = data.samples[10:12]
    (batch,) = evaluation_batches(samples, recorder, clips=clips, crops=crops, dense=dense, **TEST)
    assert batch.frames.shape == (2, crops * clips, 4, 3, 16, 16)
    assert len(recorder.asked) == 2
    for sample, views, (video, asked) in zip(samples, batch.frames, recorder.asked, strict=True):
        assert video == sample.video
        assert len(asked) == len(set(asked))
        indices = test_indices(sample.frames, 4, clips, dense)
        assert set(asked) == set(indices)
        frames = torch.from_numpy(source.read(video, indices))  # clip-major
        expected = test_crops(frames, 16, crops)  # crop-major over all clips' frames, as in the published evaluation
        assert torch.equal(views.flatten(0, 1), expected)


def test_trimmed_samples_stay_inside_their_times(data: Data, source: ShardSource) -> None:
    video = data.samples[19]
    assert video.frames == 24
    samples = [
        Sample("a", video.key, video.path, (4, 1), 24, 0.5, 1.5),
        Sample("b", video.key, video.path, (), 24, 2.0, 3.1),
        Sample("c", video.key, video.path, (0,), 24, 1.0, None),
    ]
    spans = [range(4, 12), range(16, 24), range(8, 24)]
    recorder = Recorder(source)
    (batch,) = evaluation_batches(samples, recorder, **TEST)
    assert batch.labels.tolist() == [4, -1, 0]
    for (_, asked), span in zip(recorder.asked, spans, strict=True):
        assert asked == [span.start + index for index in test_indices(len(span), 4, 1)]
    recorder.asked.clear()
    batches = training_batches(samples, recorder, **{**TRAIN, "batch_size": 3})
    for number in range(5):
        (batch,) = batches.epoch(number)
        for row, (_, asked) in zip(batch.index.tolist(), recorder.asked[-3:], strict=True):
            assert set(asked) <= set(spans[row])
    assert FPS == 8


@pytest.mark.parametrize(
    ("frames", "times", "reason"),
    [
        (24, (2.0, 3.2), "trimmed at 3.2 s, past its end (3.00 s)"),  # a frame is an eighth of a second
        (24, (3.2, None), "trimmed at 3.2 s, past its end"),
        (25, (None, None), "25 frames in the list, 24 are there"),
        (1 << 30, (0.0, 1.0), "1073741824 frames in the list"),
    ],
)
def test_a_list_that_its_frames_contradict_is_refused(
    data: Data, source: ShardSource, frames: int, times: tuple[float | None, float | None], reason: str
) -> None:
    video = data.samples[19]
    samples = [Sample("a", video.key, video.path, (0,), frames, *times)]
    with pytest.raises(DataError, match=re.escape(reason)):
        list(evaluation_batches(samples, source, **TEST))
    with pytest.raises(DataError, match=re.escape(reason)):
        list(training_batches(samples, source, **{**TRAIN, "batch_size": 1}).epoch(0))
    unknown = [Sample("a", video.key, video.path, (0,), 0)]  # 0 promises nothing
    assert len(list(evaluation_batches(unknown, source, **TEST))) == 1


def test_trimmed_samples_need_times(tmp_path: Path) -> None:
    write_folder(tmp_path / "frames/a", [jpeg(picture(0, frame)) for frame in range(3)])
    samples = [Sample("a-1", "a", "a", (0,), 3, 0.0, 1.0)]
    with pytest.raises(DataError, match=r"sample a-1 \(a\): trimmed, but the frames per second are not known"):
        list(evaluation_batches(samples, FolderSource(tmp_path / "frames", samples), **TEST))


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_sample_is_named_and_not_replaced(tmp_path: Path, workers: int) -> None:
    data = make_data(tmp_path, [6] * 5)
    write_shards(data.list, data.frames, tmp_path / "out", jobs=1)
    source = ShardSource(tmp_path / "out")
    number, _, _, offset, _ = source.index.place(data.samples[3].video)
    path = tmp_path / "out" / source.index.shards[number]
    broken = bytearray(path.read_bytes())
    broken[offset : offset + 4000] = bytes(4000)
    path.write_bytes(broken)
    batches = evaluation_batches(data.samples, source, workers=workers, **{**TEST, "batch_size": 2})
    seen: list[str] = []
    with pytest.raises(DataError, match=r"sample clips__v003 \(clips/v003.mp4\): ") as raised:
        for batch in batches:
            seen += batch.keys
    assert "\n" not in str(raised.value)
    assert seen == [sample.key for sample in data.samples[:2]]
    train = training_batches(data.samples, source, workers=workers, **{**TRAIN, "batch_size": 5})
    with pytest.raises(DataError, match="clips__v003"):
        list(train.epoch(0))
    batches.close()


def test_too_few_samples_for_a_batch(data: Data, source: ShardSource) -> None:
    with pytest.raises(DataError, match="2 samples, fewer than one batch of 6"):
        training_batches(data.samples[:2], source, **TRAIN)
    (batch,) = training_batches(data.samples[:2], source, drop_last=False, **TRAIN).epoch(0)
    assert len(batch) == 2


@pytest.mark.parametrize(
    "options",
    [
        {"rank": 2, "world_size": 2},
        {"workers": -1},
        {"batch_size": 0},
        {"batch_size": 2, "world_size": 3},
        {"num_segments": 0},
    ],
)
def test_impossible_settings_are_the_callers_bug(data: Data, source: ShardSource, options: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        training_batches(data.samples, source, **{**TRAIN, **options})


@pytest.mark.parametrize(("number", "first_step"), [(-1, 0), (0, -1), (0, 4)])
def test_steps_that_an_epoch_does_not_have_are_the_callers_bug(
    data: Data, source: ShardSource, number: int, first_step: int
) -> None:
    with pytest.raises(ValueError, match="out of range"):
        training_batches(data.samples, source, **TRAIN).epoch(number, first_step)


def test_repeated_rows_are_drawn_each_for_itself(data: Data, source: ShardSource) -> None:
    (batch,) = training_batches(data.samples[:2] * 3, source, **TRAIN).epoch(0)
    assert sorted(batch.index.tolist()) == list(range(6))
    first = [view for key, view in zip(batch.keys, batch.frames, strict=True) if key == data.samples[0].key]
    assert len(first) == 3
    assert not torch.equal(first[0], first[1])


def test_frames_are_the_pictures_they_should_be(data: Data, source: ShardSource) -> None:
    """Through shards, views and batches, a picture still says which video and frame it is."""
    (batch,) = evaluation_batches(data.samples[18:20], source, **{**TEST, "short_side": 24})
    for sample, views in zip(data.samples[18:20], batch.frames, strict=True):
        shown = views[0].permute(0, 2, 3, 1).numpy()
        assert frame_numbers(shown) == test_indices(sample.frames, 4, 1)
        assert round(float(shown[..., 0].mean()) / 7) == int(sample.key[-3:])


class Deadly(Recorder):
    """A source that takes the process down which reads it, unless that is the test's own."""

    def __init__(self, source: FrameSource) -> None:
        super().__init__(source)
        self.home = os.getpid()

    def read(self, video: str, frame_indices: Sequence[int], *, gray: bool = False) -> Frames:
        if os.getpid() != self.home:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read(video, frame_indices, gray=gray)


@pytest.mark.parametrize(
    ("room", "chosen"),
    [(64, (4, 2)), (10, (4, 2)), (9, (4, 1)), (6, (4, 1)), (5, (3, 1)), (3, (1, 1)), (2, (0, 1)), (0, (0, 1))],
)
def test_as_many_workers_as_shared_memory_holds(
    room: int, chosen: tuple[int, int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stat = os.statvfs("/")
    found = type(stat)((1, 2**20, 0, 0, room * 5, 0, 0, 0, 0, 255, 0))
    monkeypatch.setattr(os, "statvfs", lambda _: found)
    assert fitting_workers(4, 5 * 2**20) == chosen
    assert ("docker run --shm-size" in caplog.text) == (chosen[0] < 4)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")  # processes of one machine share it
    assert fitting_workers(4, 5 * 2**19) == chosen


def test_a_batch_that_shared_memory_does_not_take_is_one_line(
    data: Data, source: ShardSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: torch.Tensor) -> None:
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)")

    monkeypatch.setattr(torch.Tensor, "share_memory_", full)
    batches = training_batches(data.samples, source, workers=1, **TRAIN)
    with pytest.raises(BikeError, match=r"/dev/shm: no room for a batch .*--shm-size") as raised:
        list(batches.epoch(0))
    assert "\n" not in str(raised.value)


def test_without_room_the_same_batches_are_read_here(
    data: Data, source: ShardSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "fitting_workers", lambda workers, size: (0, 1))
    here = training_batches(data.samples, Deadly(source), workers=2, **TRAIN)  # kills any process but this
    plain = training_batches(data.samples, source, **TRAIN)
    assert all(same(one, other) for one, other in zip(here.epoch(0), plain.epoch(0), strict=True))


class Silent(Deadly):
    """A source that never gives anything, but to the test's own process."""

    def read(self, video: str, frame_indices: Sequence[int], *, gray: bool = False) -> Frames:
        while os.getpid() != self.home:
            time.sleep(1)
        return super().read(video, frame_indices, gray=gray)


@pytest.mark.parametrize(("kind", "said"), [(Deadly, "was killed"), (Silent, "gave nothing for 1 s")])
def test_a_worker_that_gives_nothing_is_one_line(
    data: Data, source: ShardSource, kind: type[Deadly], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind is Silent:
        monkeypatch.setattr(reader, "SILENT_SECONDS", 1)
    batches = training_batches(data.samples, kind(source), workers=1, **TRAIN)
    with pytest.raises(BikeError, match=f"A loader process {said}") as raised:
        list(batches.epoch(0))
    assert "\n" not in str(raised.value)
    batches.close()
