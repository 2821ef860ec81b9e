"""A small CLIP trained on captioned stills, as OpenAI's was on pictures from the web."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch

from bike.errors import BikeError
from bike.model.encoders import Encoder, build
from bike.model.layers.architecture import Architecture
from bike.model.weights import save_safetensors
from bike.params import Pretrain
from bike.pretrain.step import (
    POINTS,
    CaptionBranch,
    Captioned,
    ClipUpdater,
    StillBatches,
    restore_vocabulary,
    set_feature_norm,
    shrink_vocabulary,
)
from bike.pretrain.stills import render_stills
from bike.runtime.checkpoint import Place, check_places
from bike.runtime.distributed import join_world
from bike.train.curves import latest
from bike.train.fit import Job, fit
from bike.train.settings import flat_settings
from bike.train.step import is_finite

CHECKED_STILLS = 256  # held out for the caption accuracy, and no more than are trained on
SAVE_EVERY_SECONDS = 30.0  # the state is small


@dataclass(frozen=True, slots=True)
class PretrainSummary:
    """What :func:`pretrain_clip` made.

    Attributes:
        loss: mean over the steps since the curve's last point but one.
        caption_top1: per cent of held-out stills whose nearest caption is their own.
        parameters: of the model, token table left out.
    """

    loss: float
    caption_top1: float
    parameters: int


def pretrain_clip(
    destination: Path | str,
    params: Pretrain,
    *,
    section: str = "pretrain",
    place: Place = Place(),
    replace: bool = False,
) -> PretrainSummary:
    """Train a CLIP of the size that ``params`` says on rendered stills, and write it under OpenAI's key names.

    A run that was killed goes on from its last state, and ends with the same weights and curves as one that was not.
    Ctrl-C and SIGTERM save the state after the current step.

    Args:
        destination: the safetensors file.
        params: sizes, stills, steps, seed and CPU threads.
        section: of ``params.yaml`` that they are from, for advice.
        place: state and curves (loss, learning rate, logit scale, caption accuracy). Without ``state_dir`` the state
            lies beside ``destination``; without ``save_every_seconds`` it is saved every half minute. Without
            ``device`` this runs on the CPU,
            also where there is a GPU: the model is small, and equal bytes everywhere are worth more.
        replace: whether a finished file at ``destination`` may be thrown away.

    Raises:
        BikeError: a folder can't be written to, or a saved state is damaged.
        KeyboardInterrupt: a stop was asked for; the state is saved.
    """
    destination = Path(destination)
    if place.save_every_seconds is None:
        place = dataclasses.replace(place, save_every_seconds=SAVE_EVERY_SECONDS)
    with join_world(device=place.device or "cpu", threads=params.threads) as world:
        if world.is_main:
            check_places(destination, place, replace=replace)
        checked = min(CHECKED_STILLS, params.num_images)
        stills = render_stills(params.num_images + checked, params.resolution, params.seed)
        data, encoder = Captioned(stills, checked), build_small_clip(params)
        whole = shrink_vocabulary(encoder, data.used)  # before the optimiser, which holds on to the parameters it gets
        branch = CaptionBranch(encoder.to(world.device), data)
        pictures = hashlib.sha256(data.pictures.numpy().tobytes()).hexdigest()
        job = Job(
            title="pretrain",
            section=section,
            curve="pretrain",
            points=POINTS,
            place=place,
            out=destination,
            settings=flat_settings(
                kind="pretrain",
                pretrain=params.model_dump(exclude={"feature_norm"}),
                pictures=pictures,
                captions=hashlib.sha256(data.ids.numpy().tobytes()).hexdigest(),
            ),
        )

        def write() -> None:
            restore_vocabulary(encoder.cpu(), whole, data.used)
            set_feature_norm(encoder, data, params.feature_norm)
            if not is_finite(list(encoder.parameters())):
                raise BikeError(f"The scaled weights are not numbers. Lower {section}.feature_norm or {section}.lr.")
            save_safetensors(destination, encoder)

        points = fit(branch, StillBatches(data, params, world), ClipUpdater(branch, params), world, job, write)
    return PretrainSummary(
        loss=latest(points, "pretrain/loss") or 0.0,
        caption_top1=latest(points, "pretrain/caption_top1") or 0.0,
        parameters=count_parameters(encoder),
    )


def build_small_clip(params: Pretrain) -> Encoder:
    """A fresh encoder of the sizes in ``params``, drawn from its seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(params.seed)
        return build(
            Architecture(
                embed_dim=params.embed_dim,
                input_size=params.resolution,
                vision_layers=params.vision_layers,
                vision_width=params.vision_width,
                patch_size=params.patch_size,
                text_width=params.text_width,
                text_layers=params.text_layers,
            )
        )


def count_parameters(encoder: Encoder) -> int:
    """Numbers in the model, token table left out."""
    table = encoder.token_embedding.weight.numel()
    return sum(parameter.numel() for parameter in encoder.parameters()) - table
