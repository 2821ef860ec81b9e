"""What every run over a list reads first: its samples, the class names, the source of frames, the model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from bike.data.map import print_of_frames
from bike.data.spatial import NUM_CROPS
from bike.errors import DataError, ParamsError, first_few
from bike.files import sha256
from bike.frames.open import FrameSource, open_source
from bike.model.encoders import Encoder
from bike.params import Evaluate, Model, Views
from bike.records import Sample, read_labels
from bike.shard.wanted import load_samples


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


def choose_views(settings: Evaluate, name: str) -> Views:
    """The view protocol of that name in ``evaluate.views``, or the one that ``4x3`` (clips x crops) spells.

    Raises:
        ParamsError: neither.
    """
    if name in settings.views:
        return settings.views[name]
    found = re.fullmatch(r"(\d{1,4})[x×](\d{1,2})", name)
    if found is None or int(found[1]) < 1 or int(found[2]) not in NUM_CROPS:
        raise ParamsError(
            f"--views: unknown (got {name!r}); clips x crops such as 4x3, with 1, 3, 5 or 10 crops, or one of "
            f"{', '.join(settings.views)}."
        )
    return Views(clips=int(found[1]), crops=int(found[2]))


def choose_model(model: Model, *, temporal: str | None = None, interaction: str | None = None) -> Model:
    """``model`` with another temporal head or interaction, where given.

    Raises:
        ParamsError: an unknown name.
    """
    for option, value, allowed in (
        ("--temporal", temporal, ("none", "transf")),
        ("--interaction", interaction, ("dp", "vcs")),
    ):
        if value not in (None, *allowed):
            raise ParamsError(f"{option}: unknown (got {value!r}); {' or '.join(allowed)} is allowed.")
    chosen = {"temporal": temporal or model.temporal, "interaction": interaction or model.interaction}
    return model.model_copy(update=chosen)


def check_input_size(model: Model, encoder: Encoder) -> int:
    """The side of the pictures the encoder takes, px.

    Raises:
        ParamsError: the params ask for another one.
    """
    if model.input_size not in (None, encoder.input_size):
        raise ParamsError(
            f"model.input_size: these weights take {encoder.input_size} px (got {model.input_size}). "
            "Leave it empty, or choose other weights."
        )
    if model.short_side is not None and model.short_side < encoder.input_size:
        raise ParamsError(
            f"model.short_side: must be at least the encoder's {encoder.input_size} px (got {model.short_side})."
        )
    return encoder.input_size


def targets_of(samples: Sequence[Sample], num_classes: int) -> torch.Tensor:
    """Which classes each sample shows, uint8 (N, K)."""
    targets = torch.zeros(len(samples), num_classes, dtype=torch.uint8)
    for row, sample in enumerate(samples):
        targets[row, list(sample.labels)] = 1
    return targets
