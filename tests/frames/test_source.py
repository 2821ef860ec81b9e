"""What a source must do, and what it gets for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from helpers.shards import make_data

from bike.data.loader import training_batches
from bike.frames.open import Frames, FrameSource, PackSource
from bike.frames.source import Recent
from bike.params import Sampling


class Plain(FrameSource):
    """A source of one's own, of colours only: three methods are enough."""

    def __init__(self, source: FrameSource) -> None:
        self.source = source

    def num_frames(self, video: str) -> int:
        return self.source.num_frames(video)

    def fps(self, video: str) -> float:
        return self.source.fps(video)

    def read(self, video: str, frame_indices: Sequence[int], *, gray: bool = False) -> Frames:
        return self.source.read(video, frame_indices)


def test_gray_clips_are_gray_whatever_the_source_can(tmp_path: Path) -> None:
    data = make_data(tmp_path, [5, 9, 2])
    source = PackSource(data.frames)
    options = {"num_segments": 2, "batch_size": 3, "input_size": 16, "seed": 4, "sampling": Sampling(grayscale=0.5)}
    frames = [next(training_batches(data.samples, s, **options).epoch(0)).frames for s in (source, Plain(source))]
    gray = [(batch == batch[:, :, :, :1]).all(dim=(1, 2, 3, 4, 5)) for batch in frames]
    assert gray[0].tolist() == gray[1].tolist()
    assert 0 < int(gray[0].sum()) < 3
    assert (frames[0].int() - frames[1].int()).abs().max() <= 2
    assert frames[0][~gray[0]].equal(frames[1][~gray[1]])


def test_recent_values_are_kept_and_old_ones_go() -> None:
    made: list[str] = []
    recent: Recent[str] = Recent(2)
    assert [recent.get(key, lambda key: made.append(key) or key.upper()) for key in "abacab"] == list("ABACAB")
    assert made == ["a", "b", "c", "b"]
