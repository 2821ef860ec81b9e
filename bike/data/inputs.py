"""What every run over a list reads first: its samples, the class names, the source of frames, the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from bike.errors import DataError, first_few
from bike.files import sha256
from bike.formats.lists import load_samples
from bike.frames.open import FrameSource, open_source
from bike.records import Sample, read_labels


@dataclass(frozen=True, slots=True)
class Inputs:
    """A list with its class names and frames.

    Attributes:
        samples: rows of the list, in its order.
        names: class names by label.
        source: where frames come from; None where none are needed.
        prints: checksums of what was read, for fingerprints.
    """

    samples: list[Sample]
    names: list[str]
    source: FrameSource | None
    prints: dict[str, str]


def read_inputs(
    samples_path: Path | str, labels_path: Path | str, place: Path | str | None = None, *, need_labels: bool = True
) -> Inputs:
    """Read a list, its class names and the place of its frames.

    Args:
        samples_path: list CSV, or a published-style list of frame folders.
        labels_path: CSV ``id,name``.
        place: folder of shards, frame packs or frame folders; None where no frames are needed.
        need_labels: at least one sample must have a label.

    Raises:
        DataError: no rows, no labels at all, or labels without a name.
    """
    samples, names = load_samples(samples_path), read_labels(labels_path)
    if not samples:
        raise DataError(f"{samples_path}: no rows. Write the list anew (`bike annotate`).")
    unnamed = [f"{s.key} has class {max(s.labels)}" for s in samples if s.labels and max(s.labels) >= len(names)]
    if unnamed:
        raise DataError(
            f"{samples_path}: classes without a name in {labels_path} (it has {len(names)}): {first_few(unnamed)}. "
            "Give the labels file that belongs to the list."
        )
    if need_labels and not any(sample.labels for sample in samples):
        raise DataError(f"{samples_path}: no sample has a label. Use `bike predict` for unlabelled videos.")
    source = None if place is None else open_source(place, samples)
    prints = {"list": sha256(samples_path), "labels": sha256(labels_path)}
    if place is not None:
        prints["frames"] = print_of_frames(Path(place))
    return Inputs(samples, names, source, prints)


def targets_of(samples: Sequence[Sample], num_classes: int) -> torch.Tensor:
    """Which classes each sample shows, uint8 (N, K)."""
    targets = torch.zeros(len(samples), num_classes, dtype=torch.uint8)
    for row, sample in enumerate(samples):
        targets[row, list(sample.labels)] = 1
    return targets


def print_of_frames(place: Path) -> str:
    """Checksum of what describes the frames in a folder: the shards' manifest, or the extraction's."""
    for name in ("manifest.json", "manifest.csv"):
        if (place / name).is_file():
            return sha256(place / name)
    return str(place.resolve())
