"""Loading measured: our loader on shards against a plain one on folders of JPEGs, on one thread."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bike.bench.results import Measurement
from bike.data.loader import evaluation_batches, training_batches
from bike.data.order import epoch_order, sample_generator
from bike.data.spatial import (
    CLIP_MEAN,
    CLIP_STD,
    TrainCrop,
    draw_gray,
    draw_train_crop,
    normalize,
    test_crops,
    train_views,
)
from bike.data.temporal import test_indices, training_indices
from bike.frames.open import ShardSource
from bike.records import Sample

OURS, NORMALIZED, PLAIN = "ours, shards", "ours, normalised", "folder of JPEGs"
SEGMENTS, INPUT_SIZE, SHORT_SIDE, CLIPS, CROPS = 8, 224, 256, 4, 3
BATCH_SIZE = 4  # 8 clips of floats take over 32 MiB, which the C library then fetches from the system each time
PIECE_FRAMES = 32


class PlainFolder:
    """Samples from folders of JPEG files as published repositories load them: a picture at a time, with PIL.

    Whole frames are scaled (bicubic) before anything is cut out, and normalised floats are handed over. Frames and
    windows are drawn from the same numbers as ours.

    Args:
        folder: has a folder of ``img_00001.jpg`` … for each video key.
        samples: rows of the list.
        seed, grayscale: as of :func:`bike.data.loader.training_batches`.
    """

    def __init__(self, folder: Path, samples: Sequence[Sample], *, seed: int = 0, grayscale: float = 0.2) -> None:
        self.folder, self.samples, self._seed, self._grayscale = folder, samples, seed, grayscale

    def training(self, epoch: int, row: int) -> Tensor:
        """One random clip of a sample, float32 (T, 3, S, S), normalised."""
        generator = sample_generator(self._seed, epoch, row)
        place = self.folder / self.samples[row].video
        indices = training_indices(len(os.listdir(place)), SEGMENTS, generator)
        gray = draw_gray(generator, self._grayscale)
        images = [_scale(image) for image in self._read(place, indices)]
        width, height = images[0].size
        crop = draw_train_crop(generator, height, width, grayscale=gray)
        return _to_tensor([_augment(image, crop) for image in images])

    def evaluation(self, row: int) -> Tensor:
        """All views of a sample, crop-major, float32 (crops · clips · T, 3, S, S), normalised."""
        place = self.folder / self.samples[row].video
        images = self._read(place, test_indices(len(os.listdir(place)), SEGMENTS, CLIPS))
        images = [_scale(image) for image in images]
        width, height = images[0].size
        step, top = (width - INPUT_SIZE) // 4, (height - INPUT_SIZE) // 4 * 2
        boxes = [(left, top, left + INPUT_SIZE, top + INPUT_SIZE) for left in (0, 4 * step, 2 * step)]
        return _to_tensor([image.crop(box) for box in boxes for image in images])

    def _read(self, place: Path, indices: Sequence[int]) -> list[Image.Image]:
        images = []
        for index in indices:
            with Image.open(place / f"img_{index + 1:05d}.jpg") as image:
                images.append(image.convert("RGB"))
        return images


def _scale(image: Image.Image) -> Image.Image:
    width, height = image.size
    shortest = min(width, height)
    size = (SHORT_SIDE * width // shortest, SHORT_SIDE * height // shortest)
    return image if size == image.size else image.resize(size, Image.Resampling.BICUBIC)


def _augment(image: Image.Image, crop: TrainCrop) -> Image.Image:
    box = (crop.left, crop.top, crop.left + crop.width, crop.top + crop.height)
    image = image.crop(box).resize((INPUT_SIZE, INPUT_SIZE), Image.Resampling.BILINEAR)
    if crop.flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return image.convert("L").convert("RGB") if crop.grayscale else image


def _to_tensor(images: Sequence[Image.Image]) -> Tensor:
    """Pictures side by side as channels, then floats, then each channel normalised, as such loaders commonly do."""
    stacked = torch.from_numpy(np.concatenate([np.asarray(image) for image in images], axis=2))
    channels = stacked.permute(2, 0, 1).contiguous().float().div(255)
    for channel, mean, std in zip(channels, CLIP_MEAN * len(images), CLIP_STD * len(images), strict=True):
        channel.sub_(mean).div_(std)
    return channels.view(len(images), 3, *channels.shape[1:])


@contextmanager
def single_thread() -> Iterator[None]:
    """Let torch use one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def repeat_samples(samples: Sequence[Sample], count: int) -> list[Sample]:
    """``count`` rows over the same videos."""
    return [replace(samples[row % len(samples)], key=f"row{row}") for row in range(count)]


def measure_loading(
    shards: Path, folders: Path, samples: Sequence[Sample], *, kind: str, num_train: int, num_test: int, rounds: int
) -> list[Measurement]:
    """Samples per second of one core, in turns.

    Our training batches count twice: as they are handed over (bytes, which the training process normalises where the
    model is), and normalised on the same core. The plain loader hands over normalised floats; evaluation is normalised.

    Args:
        shards: folder of shards.
        folders: the same frames as folders of JPEG files.
        samples: one row for each video.
        kind: of the frames, for the table.
        num_train, num_test: samples in a round of training and of evaluation.
        rounds: measured rounds, after a short one to warm up (files are then in the system's cache for all).
    """
    train, test = repeat_samples(samples, num_train), repeat_samples(samples, num_test)
    source = ShardSource(shards)
    plain_train, plain_test = PlainFolder(folders, train), PlainFolder(folders, test)
    plans: list[tuple[str, str, Callable[[int, int], int]]] = [
        (f"training, {kind}", OURS, partial(_train_ours, train, source, len)),
        (f"training, {kind}", NORMALIZED, partial(_train_ours, train, source, normalize)),
        (f"training, {kind}", PLAIN, partial(_train_plain, plain_train, source)),
        (f"4×3 evaluation, {kind}", OURS, partial(_test_ours, test, source)),
        (f"4×3 evaluation, {kind}", PLAIN, partial(_test_plain, plain_test)),
    ]
    sizes = {f"training, {kind}": num_train, f"4×3 evaluation, {kind}": num_test}
    rows = []
    with single_thread():
        for number in range(-1, rounds):
            for measure, name, run in plans if number % 2 else plans[::-1]:
                most = sizes[measure] if number >= 0 else min(sizes[measure], 2 * BATCH_SIZE)
                start = time.perf_counter()
                done = run(max(0, number), most)
                if number >= 0:
                    rows.append(Measurement(measure, name, number, done / (time.perf_counter() - start), "samples/s"))
        rows += _parts(source, train[: len(samples) * 4], kind, rounds)
    return rows


def _train_ours(
    samples: list[Sample], source: ShardSource, use: Callable[[Tensor], object], epoch: int, most: int
) -> int:
    done = 0
    batches = training_batches(
        samples[:most],
        source,
        num_segments=SEGMENTS,
        batch_size=min(BATCH_SIZE, most),
        input_size=INPUT_SIZE,
        drop_last=False,
    )
    batches.set_epoch(epoch)
    for batch in batches:
        use(batch.frames)
        done += len(batch)
    return done


def _train_plain(plain: PlainFolder, source: ShardSource, epoch: int, most: int) -> int:
    order = epoch_order(plain.samples[:most], source, seed=0, epoch=epoch)
    done = 0
    for start in range(0, most, BATCH_SIZE):
        batch = torch.stack([plain.training(epoch, int(row)) for row in order[start : start + BATCH_SIZE]])
        done += len(batch)
    return done


def _test_ours(samples: list[Sample], source: ShardSource, _epoch: int, most: int) -> int:
    batches = evaluation_batches(
        samples[:most], source, num_segments=SEGMENTS, input_size=INPUT_SIZE, clips=CLIPS, crops=CROPS, batch_size=1
    )
    return sum(len(batch) for batch in batches if _normalize_in_pieces(batch.frames))


def _normalize_in_pieces(frames: Tensor) -> bool:
    """Normalise as many frames at a time as an encoder takes at once on a CPU."""
    return all(len(normalize(part)) for part in torch.split(frames.flatten(0, 2), PIECE_FRAMES))


def _test_plain(plain: PlainFolder, _epoch: int, most: int) -> int:
    return sum(len(plain.evaluation(row)[None]) for row in range(most))


def _parts(source: ShardSource, samples: Sequence[Sample], kind: str, rounds: int) -> list[Measurement]:
    """Milliseconds a sample that each step of ours takes alone, for training and for 4×3 evaluation."""
    rows = []
    for number in range(rounds):
        for name, seconds in (*_training_parts(source, samples).items(), *_test_parts(source, samples).items()):
            measure, part = name
            rows.append(Measurement(f"steps of {measure}, {kind}, a sample", part, number, 1e3 * seconds, "ms"))
    return rows


def _training_parts(source: ShardSource, samples: Sequence[Sample]) -> dict[tuple[str, str], float]:
    now = time.perf_counter
    read = cut = floats = 0.0
    for row, sample in enumerate(samples):
        generator = sample_generator(0, 0, row)
        indices = training_indices(source.num_frames(sample.video), SEGMENTS, generator)
        gray = draw_gray(generator, 0.2)
        start = now()
        frames = torch.from_numpy((source.read_gray if gray else source.read)(sample.video, indices))
        there = now()
        crop = draw_train_crop(generator, frames.shape[1], frames.shape[2], grayscale=gray)
        views = train_views(frames, crop, INPUT_SIZE)
        done = now()
        normalize(views)
        read, cut, floats = read + there - start, cut + done - there, floats + now() - done
    total = len(samples)
    return {
        ("training", "read and decode JPEGs"): read / total,
        ("training", "cut and scale"): cut / total,
        ("training", "normalise"): floats / total,
    }


def _test_parts(source: ShardSource, samples: Sequence[Sample]) -> dict[tuple[str, str], float]:
    now = time.perf_counter
    read = cut = floats = 0.0
    for sample in samples:
        indices = np.unique(test_indices(source.num_frames(sample.video), SEGMENTS, CLIPS)).tolist()
        start = now()
        frames = torch.from_numpy(source.read(sample.video, indices))
        there = now()
        crops = test_crops(frames, INPUT_SIZE, CROPS)
        done = now()
        _normalize_in_pieces(crops[None, None])
        read, cut, floats = read + there - start, cut + done - there, floats + now() - done
    total = len(samples)
    return {
        ("4×3 evaluation", "read and decode JPEGs"): read / total,
        ("4×3 evaluation", "cut and scale"): cut / total,
        ("4×3 evaluation", "normalise"): floats / total,
    }
