"""What is drawn where not all frames of a video are stored: what would be drawn if they were, or the nearest of it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.shards import FPS, Data, frame_numbers, jpegs_of, make_data, thin_packs, write_folder
from torch import Tensor

from bike.data.inputs import read_inputs
from bike.data.loader import evaluation_batches, training_batches
from bike.data.views import open_span
from bike.dataset import VideoShards
from bike.errors import DataError
from bike.files import read_json, write_json
from bike.formats.shards import parse_stored
from bike.frames.open import FrameSource, open_source
from bike.frames.source import Frames
from bike.params import Sampling
from bike.records import Sample
from bike.shard.run import write_shards

N, COUNTS = 4, [3, 4, 11, 16, 40]
PLACES = ["thin", "folders", "sharded", "thinned"]
TEST: dict[str, Any] = {"input_size": 16, "batch_size": len(COUNTS)}
TRAIN: dict[str, Any] = {**TEST, "num_segments": 3, "seed": 3}


class Recorder(FrameSource):
    """A source of all frames that remembers what was asked of it."""

    def __init__(self, source: FrameSource) -> None:
        self.source = source
        self.asked: dict[str, list[int]] = {}

    def num_frames(self, video: str) -> int:
        return self.source.num_frames(video)

    def fps(self, video: str) -> float:
        return self.source.fps(video)

    def read(self, video: str, frame_indices: Sequence[int], *, gray: bool = False) -> Frames:
        self.asked[video] = list(frame_indices)
        return self.source.read(video, frame_indices, gray=gray)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """Beside the full packs: packs, folders and shards of them that hold four frames, and thinned shards of all."""
    data = make_data(tmp_path_factory.mktemp("data"), COUNTS)
    root, thin = data.frames.parent, thin_packs(data.frames, N)
    for sample in data.samples:
        write_folder(root / "folders" / sample.video, jpegs_of(thin / f"{sample.video}.mjpg"))
    (root / "folders/manifest.csv").write_bytes((thin / "manifest.csv").read_bytes())
    write_shards(data.list, thin, root / "sharded", jobs=1)
    write_shards(data.list, data.frames, root / "thinned", frames_per_video=N, jobs=1)
    return data


def open_at(data: Data, name: str) -> FrameSource:
    return open_source(data.frames.with_name(name), data.samples)


def views_of(source: FrameSource, samples: list[Sample], **options: Any) -> Tensor:
    (batch,) = evaluation_batches(samples, source, **TEST, **options)
    return batch.frames


@pytest.mark.parametrize("place", PLACES)
def test_draws_whose_frames_are_stored_are_those_of_all_frames(data: Data, place: str) -> None:
    source, every = open_at(data, place), open_at(data, "frames")
    assert [source.num_frames(sample.video) for sample in data.samples] == COUNTS
    for segments in (1, 2, 4):
        assert torch.equal(
            views_of(source, data.samples, num_segments=segments), views_of(every, data.samples, num_segments=segments)
        )


@pytest.mark.parametrize("place", PLACES)
def test_other_draws_take_the_nearest(data: Data, place: str) -> None:
    source, recorder = Recorder(open_at(data, place)), Recorder(open_at(data, "frames"))
    source.kept = source.source.kept  # type: ignore[method-assign]
    views_of(recorder, data.samples, num_segments=2, clips=3)
    views_of(source, data.samples, num_segments=2, clips=3)
    assert recorder.asked["clips__v002"] == [0, 5, 2, 7, 4, 9]  # of 11 frames 0, 2, 5 and 8 are stored
    assert source.asked["clips__v002"] == [0, 5, 2, 8]
    sampling = Sampling(augment=False)
    for epoch in range(4):
        (expected,) = training_batches(data.samples, recorder, **TRAIN, sampling=sampling).epoch(epoch)
        (batch,) = training_batches(data.samples, source, **TRAIN, sampling=sampling).epoch(epoch)
        assert batch.keys == expected.keys
        for video, drawn in recorder.asked.items():
            stored = source.kept(video).indices
            assert source.asked[video] == [min(stored, key=lambda s, d=index: (abs(s - d), s)) for index in drawn]


@pytest.mark.parametrize("place", PLACES)
def test_a_trimmed_sample_takes_no_frame_from_outside(data: Data, place: str) -> None:
    """Of 40 frames 0, 10, 20 and 30 are stored: of frames 8 to 19 the tenth alone."""
    video, source = data.samples[4], Recorder(open_at(data, place))
    source.kept = source.source.kept  # type: ignore[method-assign]
    inside = replace(video, key="inside", start_seconds=8 / FPS, end_seconds=20 / FPS)
    views_of(source, [inside], num_segments=4)
    assert source.asked[video.video] == [10]
    outside = replace(video, key="outside", start_seconds=11 / FPS, end_seconds=20 / FPS)
    text = "sample outside (clips/v004.mp4): none of the frames 11 to 19 is kept (4 of 40 are)"
    with pytest.raises(DataError, match=re.escape(text)):
        views_of(source, [outside], num_segments=4)


def test_a_stream_of_shards_takes_the_same_frames(data: Data) -> None:
    for place in ("sharded", "thinned"):
        stream = VideoShards(str(data.frames.with_name(place)), num_segments=3, input_size=16, train=False, shuffle=0)
        seen = {clip["key"]: frame_numbers(clip["frames"].permute(0, 2, 3, 1).numpy()) for clip in stream}
        assert seen["clips__v002"] == [0, 2, 8]  # for 0, 3 and 7
        assert seen["clips__v000"] == [0, 1, 2]


@pytest.mark.parametrize("place", PLACES)
def test_what_is_stored_is_told(data: Data, place: str) -> None:
    labels = data.list.with_name("labels.csv")
    told = read_inputs(data.list, labels, data.frames.with_name(place)).checksums["frames_per_video"]
    assert told == f"{N} of each video, evenly placed; for a drawn frame that is not kept the nearest was taken"
    assert "frames_per_video" not in read_inputs(data.list, labels, data.frames).checksums


def test_shards_of_earlier_versions_count_what_they_store(data: Data, tmp_path: Path) -> None:
    """They said so of every video, at a rate as much lower, and lists count all frames."""
    few = make_data(tmp_path, [N])
    write_shards(few.list, few.frames, tmp_path / "old", jobs=1)
    write_json(tmp_path / "old/manifest.json", {**read_json(tmp_path / "old/manifest.json"), "frames_per_video": N})
    source = open_source(tmp_path / "old", few.samples)
    assert open_span(replace(few.samples[0], frames=300), source) == range(N)
    with pytest.raises(DataError, match="2 frames in the list, 4 are there"):
        open_span(replace(few.samples[0], frames=2), source)


@pytest.mark.parametrize(
    "kept", [[0, 2, 5], [0, 2, 5, 11], [2, 0, 5, 8], [0, 2, 5, "8"], [0, 2, 5, True], 4, "0258", {}]
)
def test_kept_frames_that_can_not_be_are_refused(kept: object) -> None:
    content = {
        "key": "a", "path": "a.mp4", "frames": 11, "fps": 8.0, "width": 4, "height": 4,
        "offsets": [0, 1, 2, 3, 4], "kept": [0, 2, 5, 8], "instances": [],
    }  # fmt: skip
    assert parse_stored(json.dumps(content).encode(), "a", 4, "s").kept.text == "0 2 5 8"
    with pytest.raises(DataError, match="^s: a: "):
        parse_stored(json.dumps({**content, "kept": kept}).encode(), "a", 4, "s")
