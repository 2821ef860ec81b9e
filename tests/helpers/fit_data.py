"""A small data set of coloured squares on disk, as extraction and annotation leave one, with weights and params."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import simplejpeg
from helpers.fit import tiny_encoder
from numpy.typing import NDArray
from ruamel.yaml import YAML

from bike.model.weights import save_safetensors
from bike.records import Sample, VideoRecord, write_labels, write_list, write_manifest

NAMES = ["red square", "green square", "blue square"]
FRAMES, SIZE = 6, (20, 28)


@dataclass(frozen=True)
class DataSet:
    """Where everything lies."""

    root: Path
    frames: Path
    train: Path
    val: Path
    labels: Path
    params: Path
    weights: Path


def class_frame(label: int, number: int, frame: int) -> NDArray[np.uint8]:
    """A frame: a square of the class's colour on noise."""
    generator = np.random.default_rng(number)
    pixels = generator.integers(0, 80, (*SIZE, 3), dtype=np.uint8)
    top, left = generator.integers(0, SIZE[0] - 10), generator.integers(0, SIZE[1] - 10)
    pixels[top : top + 10, left : left + 10] = 30
    pixels[top : top + 10, left : left + 10, label] = 200 + frame
    return pixels


def make_data(
    root: Path,
    *,
    per_class: int = 4,
    val_per_class: int = 2,
    sections: dict[str, dict[str, object]] | None = None,
    text_scale: float = 1.0,
) -> DataSet:
    """Write packs, manifest, lists, class names, weights and ``params.yaml`` below ``root``."""
    data = DataSet(
        root,
        root / "frames",
        root / "train.csv",
        root / "val.csv",
        root / "labels.csv",
        root / "params.yaml",
        root / "clip.safetensors",
    )
    data.frames.mkdir(parents=True)
    records, lists = [], {data.train: [], data.val: []}
    for number in range((per_class + val_per_class) * len(NAMES)):
        label, key = number % len(NAMES), f"video{number:02d}"
        path = data.train if number < per_class * len(NAMES) else data.val
        jpegs = [simplejpeg.encode_jpeg(class_frame(label, number, i), quality=90) for i in range(FRAMES)]
        (data.frames / f"{key}.mjpg").write_bytes(b"".join(jpegs))
        records.append(VideoRecord(key, f"{key}.mp4", "ok", FRAMES, 25.0, SIZE[1], SIZE[0], FRAMES / 25))
        lists[path].append(Sample(key, key, f"{key}.mp4", (label,), FRAMES))
    write_manifest(data.frames / "manifest.csv", records)
    for path, samples in lists.items():
        write_list(path, samples)
    write_labels(data.labels, NAMES)
    save_safetensors(data.weights, tiny_encoder(text_scale=text_scale))
    write_params(data, sections or {})
    return data


def write_params(data: DataSet, sections: dict[str, dict[str, object]]) -> None:
    """Write ``params.yaml`` for the tiny model, with changes."""
    training = {"epochs": 2, "warmup_epochs": 0.5, "batch_size": 4, "lr": 1e-3, "threads": 1}
    tree = {
        "model": {"weights": str(data.weights), "frames": 3},
        "train": dict(training),
        "train_attributes": dict(training),
        "evaluate": {"batch_size": 2, "threads": 1},
    }
    for name, values in sections.items():
        tree[name] = {**tree.get(name, {}), **values}
    with data.params.open("w") as file:
        YAML().dump(tree, file)
