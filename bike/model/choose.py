"""The model that a run works with, and whether it fits the parameters."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, cast

import torch

from bike.errors import BikeError, ParamsError
from bike.files import existing_file
from bike.model.encoders import Encoder
from bike.model.formats.fetch import resolve
from bike.model.formats.read import find_file
from bike.model.heads import Interaction, Temporal, VideoHead
from bike.model.weights import load_clip, load_released
from bike.params import Model


def choose_model(model: Model, *, temporal: str | None = None, interaction: str | None = None) -> Model:
    """``model`` with another temporal head or interaction, where given.

    Raises:
        ParamsError: an unknown name.
    """
    _check_choice(temporal, interaction)  # model_copy checks nothing
    chosen = {"temporal": temporal or model.temporal, "interaction": interaction or model.interaction}
    return model.model_copy(update=chosen)


def check_input_size(model: Model, encoder: Encoder) -> int:
    """The side of the pictures the encoder takes, px.

    Raises:
        ParamsError: the params scale frames to less than that.
    """
    if model.short_side is not None and model.short_side < encoder.input_size:
        raise ParamsError(
            f"model.short_side: must be at least the encoder's {encoder.input_size} px (got {model.short_side})."
        )
    return encoder.input_size


class VideoModel(NamedTuple):
    """A video branch and where it came from.

    Attributes:
        encoder, head: in evaluation mode, on the CPU.
        file: the checkpoint, or CLIP's weights.
    """

    encoder: Encoder
    head: VideoHead
    file: Path


def load_video_model(
    checkpoint: Path | str | None,
    weights: Path | str = "",
    *,
    temporal: str | None = None,
    interaction: str | None = None,
    seed: int | None = None,
) -> VideoModel:
    """A trained video branch, or CLIP with a new head.

    Args:
        checkpoint: a released video branch; None takes ``weights``.
        weights: CLIP's, an official name or a file.
        temporal: what the checkpoint's temporal head must be (None: any), or that of a new head (None: ``none``, the
            mean of the frames).
        interaction: in place of the checkpoint's (None keeps it), or that of a new head (None: ``dp``).
        seed: draws a new head; None where it has nothing to draw (``none``), or any draw will do.

    Raises:
        ParamsError: an unknown temporal head or interaction, or the checkpoint has another temporal head.
        BikeError: the checkpoint holds an attribute branch, or is not there.
        WeightsError: the file can't be loaded.
    """
    _check_choice(temporal, interaction)
    if checkpoint is None:
        file = find_file(resolve(weights))
        encoder = load_clip(file)
        if seed is not None:
            torch.manual_seed(seed)  # right before the head: what loading draws must not matter
        kind = cast("Temporal", temporal or "none"), cast("Interaction", interaction or "dp")
        return VideoModel(encoder, VideoHead(encoder.embed_dim, encoder.text_heads, *kind).eval(), file)
    encoder, stored, _ = load_released(existing_file(checkpoint))
    if not isinstance(stored, VideoHead):
        raise BikeError(f"{checkpoint}: holds an attribute branch; a video branch is needed here. Choose another file.")
    if temporal not in (None, stored.temporal):
        raise ParamsError(
            f"--temporal, model.temporal: {checkpoint} has the head {stored.temporal!r} (got {temporal!r}). Change one."
        )
    if interaction is not None:
        stored.interaction = cast("Interaction", interaction)
    return VideoModel(encoder, stored, Path(checkpoint))


def _check_choice(temporal: str | None, interaction: str | None) -> None:
    for option, value, allowed in (
        ("--temporal", temporal, ("none", "transf")),
        ("--interaction", interaction, ("dp", "vcs")),
    ):
        if value not in (None, *allowed):
            raise ParamsError(f"{option}: unknown (got {value!r}); {' or '.join(allowed)} is allowed.")
