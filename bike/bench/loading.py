"""Loading measured: our loader on shards against a plain one on folders of JPEGs, on one thread."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bike.bench.results import Measurement, in_turns
from bike.data.loader import evaluation_batches, training_batches
from bike.data.order import epoch_order, sample_generator
from bike.data.spatial import CLIP_MEAN, CLIP_STD, TrainCrop, draw_gray, draw_train_crop, normalize
from bike.data.temporal import test_indices, training_indices
from bike.frames.open import ShardSource
from bike.records import Sample

OURS, NORMALIZED, PLAIN = "ours, shards", "ours, normalised", "folder of JPEGs"
SEGMENTS, INPUT_SIZE, SHORT_SIDE, CLIPS, CROPS = 8, 224, 256, 4, 3
# 8 clips of floats take over 32 MiB: the C library would then get each batch's memory from the system, page by page,
# and the plain loader, which makes floats, would look slower than it is.
BATCH_SIZE = 4
PIECE_FRAMES = 32  # normalised at once, as many as an encoder takes at once on a CPU


class PlainFolder:
    """Samples from folders of JPEG files as published repositories load them: a picture at a time, with PIL.

    Whole frames are scaled (bicubic) before anything is cut out, and normalised floats are handed over. Frames and
    windows are drawn from the same numbers as by :func:`bike.data.loader.training_batches`. ``folder`` has a folder of
    ``img_00001.jpg`` … for each video key.
    """

    def __init__(self, folder: Path, samples: Sequence[Sample], *, seed: int = 0, grayscale: float = 0.2) -> None:
        self.folder, self.samples, self._seed, self._grayscale = folder, samples, seed, grayscale

    def training(self, epoch: int, row: int) -> Tensor:
        """One random clip of a sample, float32 (T, 3, S, S), normalised."""
        generator = sample_generator(self._seed, epoch, row)
        place = self.folder / self.samples[row].video
        indices = training_indices(len(os.listdir(place)), SEGMENTS, generator)
        gray = draw_gray(generator, self._grayscale)
        images = _read_scaled(place, indices)
        width, height = images[0].size
        crop = draw_train_crop(generator, height, width, grayscale=gray)
        return _to_tensor([_augment(image, crop) for image in images])

    def evaluation(self, row: int) -> Tensor:
        """All views of a sample, crop-major, float32 (crops · clips · T, 3, S, S), normalised."""
        place = self.folder / self.samples[row].video
        images = _read_scaled(place, test_indices(len(os.listdir(place)), SEGMENTS, CLIPS))
        width, height = images[0].size
        step, top = (width - INPUT_SIZE) // 4, (height - INPUT_SIZE) // 4 * 2
        boxes = [(left, top, left + INPUT_SIZE, top + INPUT_SIZE) for left in (0, 4 * step, 2 * step)]
        return _to_tensor([image.crop(box) for box in boxes for image in images])


def _read_scaled(place: Path, indices: Sequence[int]) -> list[Image.Image]:
    images = []
    for index in indices:
        with Image.open(place / f"img_{index + 1:05d}.jpg") as file:
            image = file.convert("RGB")
        shortest = min(image.size)
        size = SHORT_SIDE * image.width // shortest, SHORT_SIDE * image.height // shortest
        images.append(image if size == image.size else image.resize(size, Image.Resampling.BICUBIC))
    return images


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


def repeat_samples(samples: Sequence[Sample], count: int) -> list[Sample]:
    """``count`` rows over the same videos."""
    return [replace(samples[row % len(samples)], key=f"row{row}") for row in range(count)]


def measure_loading(
    shards: Path, folders: Path, samples: Sequence[Sample], *, kind: str, counts: tuple[int, int], rounds: int
) -> list[Measurement]:
    """Samples per second of one core, in turns, from shards and from the same frames as folders of JPEG files.

    Our training batches count twice: as they are handed over (bytes, which the training process normalises where the
    model is), and normalised on the same core. The plain loader hands over normalised floats; evaluation is normalised.
    A short round comes first to warm up: files are then in the system's cache for all. ``counts`` are the samples in a
    round of training, and of evaluation.
    """
    train, test = (repeat_samples(samples, count) for count in counts)
    source = ShardSource(shards)
    training, evaluation = f"training, {kind}", f"4×3 evaluation, {kind}"
    ways: dict[tuple[str, str], Callable[[int, int], None]] = {
        (training, OURS): partial(_train_ours, train, source, len),
        (training, NORMALIZED): partial(_train_ours, train, source, normalize),
        (training, PLAIN): partial(_train_plain, PlainFolder(folders, train), source),
        (evaluation, OURS): partial(_test_ours, test, source),
        (evaluation, PLAIN): partial(_test_plain, PlainFolder(folders, test)),
    }
    rows = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for number, (measure, name) in in_turns(list(ways), rounds, warm_up=True):
        most = len(train if measure == training else test)
        if number < 0:
            most = min(most, 2 * BATCH_SIZE)
        start = time.perf_counter()
        ways[measure, name](max(0, number), most)
        if number >= 0:
            rows.append(Measurement(measure, name, number, most / (time.perf_counter() - start), "samples/s"))
    torch.set_num_threads(threads)
    return rows


def _train_ours(
    samples: list[Sample], source: ShardSource, use: Callable[[Tensor], object], epoch: int, most: int
) -> None:
    size = min(BATCH_SIZE, most)
    batches = training_batches(
        samples[:most], source, num_segments=SEGMENTS, batch_size=size, input_size=INPUT_SIZE, drop_last=False
    )
    for batch in batches.epoch(epoch):
        use(batch.frames)


def _train_plain(plain: PlainFolder, source: ShardSource, epoch: int, most: int) -> None:
    order = epoch_order(plain.samples[:most], source, seed=0, epoch=epoch)
    for start in range(0, most, BATCH_SIZE):
        torch.stack([plain.training(epoch, int(row)) for row in order[start : start + BATCH_SIZE]])


def _test_ours(samples: list[Sample], source: ShardSource, _epoch: int, most: int) -> None:
    batches = evaluation_batches(
        samples[:most], source, num_segments=SEGMENTS, input_size=INPUT_SIZE, clips=CLIPS, crops=CROPS, batch_size=1
    )
    for batch in batches:
        for frames in torch.split(batch.frames.flatten(0, 2), PIECE_FRAMES):
            normalize(frames)


def _test_plain(plain: PlainFolder, _epoch: int, most: int) -> None:
    for row in range(most):
        plain.evaluation(row)
