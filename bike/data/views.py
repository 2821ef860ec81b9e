"""One sample to its views: which frames, read once, cut and scaled; bytes all along.

A video of 10 frames in T = 4 segments, evaluated in 2 clips × 3 crops::

    frames asked for     0 2 5 7 (clip 0)  1 3 6 8 (clip 1)
    frames read          0 2 5 7 1 3 6 8, each once; a shorter video would repeat some
    crops cut            left, right, centre of each
    views                left 0, left 1, right 0, right 1, centre 0, centre 1: uint8 (6, 4, 3, S, S)

Training makes one view of it: a frame drawn out of each segment, one random window for all four.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bike.data.order import sample_generator
from bike.data.spatial import draw_gray, draw_train_crop, test_crops, train_views
from bike.data.temporal import test_indices, training_indices
from bike.errors import DataError
from bike.frames.source import FrameSource
from bike.params import Sampling
from bike.records import Sample, contradiction, instance_range


def sample_span(sample: Sample, num_frames: int, fps: float) -> range:
    """Frames of its video that a sample means: all, or those between its start and end (at least one).

    Args:
        sample: may be trimmed.
        num_frames: of the video.
        fps: their number per second; 0 when not known, which is fine for samples that are not trimmed.

    Raises:
        DataError: a trimmed sample of a video without times.
    """
    if sample.start_seconds is None and sample.end_seconds is None:
        return range(num_frames)
    if fps <= 0:
        raise DataError("trimmed, but the frames per second are not known. Write the shards with --fps.")
    return instance_range(num_frames, fps, sample.start_seconds, sample.end_seconds)


def open_span(sample: Sample, source: FrameSource) -> range:
    """:func:`sample_span` of a sample in a source, whose frames must be those that the list speaks of.

    Raises:
        DataError: they are not (:func:`bike.records.contradiction`), or as :func:`sample_span`.
    """
    count, fps = source.num_frames(sample.video), source.fps(sample.video)
    if count < sample.frames and count == source.frames_per_video:  # shards of earlier versions count what they store
        sample = replace(sample, frames=count)
    if problem := contradiction(sample, count, fps):
        raise DataError(f"{problem}. Write the list again (`bike annotate`).")
    return sample_span(sample, count, fps)


def stored_frames(sample: Sample, source: FrameSource, span: range, drawn: Sequence[int]) -> list[int]:
    """The stored frame for each drawn one: itself, or the nearest within the frames that the sample means.

    Raises:
        DataError: none of those is stored.
    """
    kept = source.kept(sample.video)
    return [kept.indices[place] for place in kept.places(drawn, span)]


@dataclass(frozen=True, slots=True)
class TrainingViews:
    """One random clip of a sample; see :func:`bike.data.loader.training_batches`."""

    num_segments: int
    input_size: int
    short_side: int | None
    seed: int
    sampling: Sampling

    @property
    def sample_bytes(self) -> int:
        """Bytes of a sample: T · 3 · S²."""
        return self.num_segments * 3 * self.input_size**2

    def __call__(self, sample: Sample, source: FrameSource, epoch: int, row: int) -> Tensor:
        """Uint8 (1, T, 3, S, S)."""
        # The order of the draws (frames, grayscale, crop) is fixed: another one would change every training.
        generator, chosen = sample_generator(self.seed, epoch, row), self.sampling
        span = open_span(sample, source)
        drawn = training_indices(len(span), self.num_segments, generator, dense=chosen.dense, first_frame=span.start)
        indices = stored_frames(sample, source, span, drawn)
        if not chosen.augment:
            frames = torch.from_numpy(source.read(sample.video, indices))
            return test_crops(frames, self.input_size, 1, short_side=self.short_side)[None]
        gray = draw_gray(generator, chosen.grayscale)  # before reading: decoders give the luma alone in less time
        frames = torch.from_numpy(source.read(sample.video, indices, gray=gray))
        height, width = frames.shape[1:3]
        crop = draw_train_crop(generator, height, width, grayscale=gray, min_area=chosen.min_area, flip=chosen.flip)
        return train_views(frames, crop, self.input_size)[None]


@dataclass(frozen=True, slots=True)
class EvaluationViews:
    """All views of a sample; see :func:`bike.data.loader.evaluation_batches`."""

    num_segments: int
    input_size: int
    short_side: int | None
    clips: int
    crops: int
    dense: bool

    @property
    def sample_bytes(self) -> int:
        """Bytes of a sample: V · T · 3 · S², 14 MB in 4×3 views of 8 frames at 224 px."""
        return self.crops * self.clips * self.num_segments * 3 * self.input_size**2

    def __call__(self, sample: Sample, source: FrameSource, epoch: int, row: int) -> Tensor:
        """Uint8 (crops · clips, T, 3, S, S), crop-major; ``epoch`` and ``row`` change nothing."""
        span = open_span(sample, source)
        drawn = test_indices(len(span), self.num_segments, self.clips, self.dense, first_frame=span.start)
        indices = stored_frames(sample, source, span, drawn)
        needed = list(dict.fromkeys(indices))  # clips overlap, and short videos repeat frames: each is decoded once
        frames = torch.from_numpy(source.read(sample.video, needed))
        cut = test_crops(frames, self.input_size, self.crops, short_side=self.short_side)
        views = cut.permute(0, 2, 3, 1).view(self.crops, len(needed), self.input_size, self.input_size, 3)
        if len(needed) < len(indices):  # put the repeats back: [0, 1] read for [0, 0, 1, 1] becomes crops of all four
            place = {index: number for number, index in enumerate(needed)}
            views = views.index_select(1, torch.tensor([place[index] for index in indices]))
        return views.reshape(-1, self.num_segments, self.input_size, self.input_size, 3).movedim(-1, 2)
