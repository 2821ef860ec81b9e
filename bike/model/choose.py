"""The model that a run works with, and whether it fits the parameters."""

from __future__ import annotations

from pathlib import Path

import torch

from bike.errors import BikeError, ParamsError
from bike.files import existing_file
from bike.model.encoders import Encoder
from bike.model.heads import VideoHead
from bike.model.weights import load_clip, load_released
from bike.params import Model


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
        ParamsError: the params scale frames to less than that.
    """
    if model.short_side is not None and model.short_side < encoder.input_size:
        raise ParamsError(
            f"model.short_side: must be at least the encoder's {encoder.input_size} px (got {model.short_side})."
        )
    return encoder.input_size


def load_video_model(
    checkpoint: Path | str, *, temporal: str | None = None, interaction: str | None = None
) -> tuple[Encoder, VideoHead]:
    """Encoder and video head of a released checkpoint.

    Args:
        checkpoint: the file.
        temporal: what its temporal head must be; None for any.
        interaction: in place of the stored one; None keeps it.

    Raises:
        BikeError: it holds an attribute head, or another temporal head than asked for.
        WeightsError: it can't be loaded.
    """
    encoder, head, _ = load_released(existing_file(checkpoint))
    if not isinstance(head, VideoHead):
        raise BikeError(f"{checkpoint}: holds an attribute branch. Give --attributes, or a video checkpoint.")
    if temporal not in (None, head.temporal):
        raise ParamsError(f"--temporal: {checkpoint} has the head {head.temporal!r} (got {temporal!r}). Leave it out.")
    if interaction not in (None, "dp", "vcs"):
        raise ParamsError(f"--interaction: unknown (got {interaction!r}); dp or vcs is allowed.")
    if interaction is not None:
        head.interaction = "dp" if interaction == "dp" else "vcs"
    return encoder, head


def start_model(model: Model, weights: Path, seed: int) -> tuple[Encoder, VideoHead]:
    """CLIP and a head to train: those of ``model.start_from``, or CLIP's weights and a head drawn from ``seed``.

    Raises:
        ParamsError: the checkpoint to start from has another kind of head.
        WeightsError: the file can't be loaded.
    """
    if model.start_from is not None:
        encoder, head, _ = load_released(weights)
        if not isinstance(head, VideoHead) or head.temporal != model.temporal:
            kind = head.temporal if isinstance(head, VideoHead) else "an attribute head"
            raise ParamsError(
                f"model.start_from: {weights} has another head than model.temporal (got {kind}; {model.temporal} is "
                "wanted). Change one of the two."
            )
        head.interaction = model.interaction
        return encoder, head
    encoder = load_clip(weights)
    torch.manual_seed(seed)
    return encoder, VideoHead(encoder.embed_dim, encoder.text_heads, model.temporal, model.interaction).eval()
