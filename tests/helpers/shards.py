"""Small data sets of frame packs whose pictures say which video and frame they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import simplejpeg

from bike.formats.kept import KeptFrames, placed_frames
from bike.formats.packs import scan_offsets
from bike.records import Sample, VideoRecord, read_manifest, write_labels, write_list, write_manifest

HEIGHT, WIDTH, FPS = 24, 32, 8.0


def picture(video: int, frame: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A flat picture: red says the video, green the frame; blue differs from left to right."""
    image = np.empty((height, width, 3), np.uint8)
    image[..., 0] = (video * 7) % 256
    image[..., 1] = (frame * 5) % 256
    image[..., 2] = np.linspace(0, 255, width).astype(np.uint8)
    return image


def jpeg(image: np.ndarray) -> bytes:
    return simplejpeg.encode_jpeg(image, quality=95, colorsubsampling="444")


@dataclass
class Data:
    """A list with its frame packs on disk."""

    frames: Path
    list: Path
    samples: list[Sample]

    def read(self) -> list[Sample]:
        return self.samples


def make_record(folder: Path, number: int, num_frames: int, key: str | None = None) -> VideoRecord:
    """Write the pack of one video and return its row of the manifest."""
    key = key or f"clips__v{number:03d}"
    pack = b"".join(jpeg(picture(number, frame)) for frame in range(num_frames))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{key}.mjpg").write_bytes(pack)
    path = key.replace("__", "/") + ".mp4"
    return VideoRecord(key, path, "ok", num_frames, FPS, WIDTH, HEIGHT, num_frames / FPS, len(pack))


def make_data(root: Path, counts: Sequence[int], *, num_classes: int = 3) -> Data:
    """Videos with ``counts`` frames each, a manifest, a list and class names."""
    frames = root / "frames"
    records = [make_record(frames, number, count) for number, count in enumerate(counts)]
    write_manifest(frames / "manifest.csv", records)
    samples = [
        Sample(record.key, record.key, record.path, (number % num_classes,), record.frames)
        for number, record in enumerate(records)
    ]
    write_list(root / "train.csv", samples)
    write_labels(root / "labels.csv", [f"class {number}" for number in range(num_classes)])
    return Data(frames, root / "train.csv", samples)


def thin_packs(frames: Path, count: int) -> Path:
    """A folder ``thin`` beside the packs, as an extraction leaves it that keeps ``count`` frames of each video."""
    folder = frames.with_name("thin")
    folder.mkdir(exist_ok=True)
    records = []
    for record in read_manifest(frames / "manifest.csv"):
        kept = KeptFrames(record.frames, placed_frames(record.frames, count))
        jpegs = jpegs_of(frames / f"{record.key}.mjpg")
        pack = b"".join(jpegs[index] for index in kept.indices)
        (folder / f"{record.key}.mjpg").write_bytes(pack)
        records.append(replace(record, bytes=len(pack), kept=kept.text))
    write_manifest(folder / "manifest.csv", records)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def frame_numbers(frames: np.ndarray) -> list[int]:
    """Which frames of :func:`picture` these are."""
    return [round(float(frame[..., 1].mean()) / 5) for frame in frames]


def jpegs_of(pack: Path) -> list[bytes]:
    """The frames of a pack as they are stored."""
    content = pack.read_bytes()
    return [content[start:end] for start, end in pairwise(scan_offsets(content))]


def write_folder(folder: Path, jpegs: Iterable[bytes], template: str = "img_{:05d}.jpg") -> None:
    """A folder of frames, numbered from 1."""
    folder.mkdir(parents=True)
    for number, content in enumerate(jpegs, 1):
        (folder / template.format(number)).write_bytes(content)
