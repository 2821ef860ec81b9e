"""Videos to measure with, rendered on the spot: textures with the spectrum of photographs, in motion, as H.264."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from bike.workers.pool import run_tasks

FPS = 30
NUM_PATCHES = 16
_SLOPE = 1.8  # amplitude falls with frequency to this power: at quality 90 a frame of 340×256 then takes about 16 KB
_GRAIN = 1.5  # levels of noise that change with every frame


@dataclass(frozen=True, slots=True)
class ClipSet:
    """Videos of one kind."""

    width: int  # px, even, as is the height
    height: int
    frames: int  # of each video
    distinct: int  # different videos; the others are the same files under other names, because rendering is slow
    videos: int  # in all

    @property
    def name(self) -> str:
        """Such as ``1280×720``."""
        return f"{self.width}×{self.height}"

    @property
    def total_frames(self) -> int:
        """Frames of all videos."""
        return self.frames * self.videos


def make_clips(folder: Path, clips: ClipSet, *, jobs: int) -> list[Path]:
    """Render ``clips`` into ``folder``; the same on every machine with the same encoder.

    Returns:
        The files, ``clip_000.mp4`` and so on.
    """
    folder.mkdir(parents=True)
    paths = [folder / f"clip_{number:03d}.mp4" for number in range(clips.videos)]
    for outcome in run_tasks(partial(_render, clips), list(enumerate(paths[: clips.distinct])), jobs=jobs):
        outcome.get()
    for number in range(clips.distinct, clips.videos):
        link(paths[number % clips.distinct], paths[number])
    return paths


def link(source: Path, target: Path) -> None:
    """Give a file a second name, without a copy where the file system allows it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _render(clips: ClipSet, numbered: tuple[int, Path]) -> Path:
    seed, path = numbered
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = clips.width, clips.height, "yuv420p"
        stream.codec_context.thread_count = 1  # x264 writes other bytes with another number of threads
        stream.codec_context.options = {"preset": "fast", "crf": "23"}
        for number, planes in enumerate(_pictures(clips, seed)):
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))  # what the encoder still holds back for B-frames
    return path


def _pictures(clips: ClipSet, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Planar 4:2:0 pictures (3·H/2, W): a panning background, patches that cross it, flicker and grain.

    A codec finds all of it in real videos, and none of it in plain shapes: those would decode several times faster.
    """
    rng = np.random.default_rng(seed)
    width, height = clips.width, clips.height
    margin = max(8, height // 16 * 2)
    full = height + 2 * margin, width + 2 * margin
    luma = np.clip(128 + 45 * _texture(rng, *full), 16, 235).astype(np.uint8)
    chroma = [np.clip(128 + 12 * _texture(rng, full[0] // 2, full[1] // 2), 16, 240).astype(np.uint8) for _ in range(2)]
    grains = [(rng.standard_normal((height, width)) * _GRAIN).round().astype(np.int16) for _ in range(6)]
    for number in range(clips.frames):
        left = round(margin + margin * np.sin(0.021 * number + seed))
        top = round(margin + margin * np.cos(0.017 * number))
        picture = luma[top : top + height, left : left + width].astype(np.int16)
        for patch in range(NUM_PATCHES):
            size = height // (4 + patch % 2 * 2)
            angle = number * (0.02 + 0.003 * patch) + seed + patch
            x = int((width - size) * (0.5 + 0.5 * np.sin(angle)))
            y = int((height - size) * (0.5 + 0.5 * np.cos(1.3 * angle + patch)))
            from_x, from_y = patch * 37 % (full[1] - size), patch * 53 % (full[0] - size)
            picture[y : y + size, x : x + size] = luma[from_y : from_y + size, from_x : from_x + size]
        picture += grains[number % len(grains)] + round(6 * np.sin(0.1 * number))
        planes = np.empty((height * 3 // 2, width), np.uint8)
        planes[:height] = np.clip(picture, 16, 235)
        rows, columns = slice(top // 2, top // 2 + height // 2), slice(left // 2, left // 2 + width // 2)
        planes[height:].reshape(2, height // 2, width // 2)[:] = [plane[rows, columns] for plane in chroma]
        yield planes


def _texture(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float64]:
    """Noise whose spectrum falls as that of photographs does; mean 0, standard deviation 1."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    amplitude = np.maximum(frequency, 1 / max(height, width)) ** -_SLOPE
    spectrum = np.fft.rfft2(rng.standard_normal((height, width))) * amplitude
    texture = np.fft.irfft2(spectrum, (height, width))
    result: NDArray[np.float64] = (texture - texture.mean()) / texture.std()
    return result
