"""A small CLIP trained on captioned stills, as OpenAI's was on pictures from the web."""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bike.checkpoint import StopRequest, discard_state, fingerprint, load_state, save_state
from bike.errors import BikeError
from bike.model.encoders import Encoder, build
from bike.model.layers.architecture import Architecture
from bike.model.weights import save_safetensors
from bike.params import Pretrain
from bike.pretrain.step import (
    Captioned,
    build_optimizer,
    caption_accuracy,
    learning_rate,
    restore_vocabulary,
    set_feature_norm,
    shrink_vocabulary,
    train_step,
)
from bike.pretrain.stills import render_stills
from bike.progress import progress
from bike.train.curves import Curves, Point

log = logging.getLogger("bike")

STATE_NAME = "state.pt"
POINTS = 60  # of the training curves
CHECKS = 10  # points that have a caption accuracy, too
CHECKED_STILLS = 256  # held out for it


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
    state_dir: Path | str | None = None,
    live_dir: Path | str | None = None,
    save_every_seconds: float = 30.0,
) -> PretrainSummary:
    """Train a CLIP of the size that ``params`` says on rendered stills, and write it under OpenAI's key names.

    A run that was killed goes on from its last state, and ends with the same weights and curves as one that was not.
    Ctrl-C and SIGTERM save the state after the current step.

    Args:
        destination: the safetensors file.
        params: sizes, stills, steps, seed and CPU threads.
        state_dir: folder of the state to go on from, removed at the end; None keeps none.
        live_dir: folder of the curves (loss, learning rate, logit scale, caption accuracy); None writes none.
        save_every_seconds: between two states.

    Raises:
        BikeError: a folder can't be written to, or a saved state is damaged.
        KeyboardInterrupt: a stop was asked for; the state is saved.
    """
    with _pinned_threads(params.threads):
        stills = render_stills(params.num_images + CHECKED_STILLS, params.resolution, params.seed)
        job = _Pretraining(params, Captioned(stills, CHECKED_STILLS), state_dir, live_dir)
        return job.run(Path(destination), save_every_seconds)


class _Pretraining:
    """A run in progress: the model, its optimiser, the next step, and the losses since the curve's last point."""

    def __init__(
        self, params: Pretrain, data: Captioned, state_dir: Path | str | None, live_dir: Path | str | None
    ) -> None:
        self.params, self.data = params, data
        self.state_path = None if state_dir is None else Path(state_dir) / STATE_NAME
        self.encoder = build_small_clip(params)
        self.whole = shrink_vocabulary(self.encoder, data.used)
        self.optimizer = build_optimizer(self.encoder, params)
        self.step = 0
        self.losses: list[float] = []
        pictures = hashlib.sha256(data.pictures.numpy().tobytes()).hexdigest()
        self.fingerprint = fingerprint(params=params.model_dump(), pictures=pictures, captions=data.ids.tolist())
        self.curves = Curves(live_dir, self._restore())

    def run(self, destination: Path, save_every_seconds: float) -> PretrainSummary:
        params, saved_at = self.params, time.monotonic()
        every, check_every = max(1, params.steps // POINTS), max(1, params.steps // CHECKS)
        with StopRequest() as stop, progress("pretrain", params.steps - self.step, unit="steps") as bar:
            while self.step < params.steps:
                self.losses.append(train_step(self.encoder, self.optimizer, self.data, self.step, params))
                self.step += 1
                last = self.step == params.steps
                if self.step % every == 0 or last:
                    self._add_point(check=last or self.step // check_every > (self.step - every) // check_every)
                bar.advance()
                if stop.requested or time.monotonic() - saved_at > save_every_seconds:
                    self._save()
                    saved_at = time.monotonic()
                if stop.requested:
                    raise KeyboardInterrupt
        self.curves.close()
        restore_vocabulary(self.encoder, self.whole, self.data.used)
        set_feature_norm(self.encoder, self.data, params.feature_norm)
        save_safetensors(destination, self.encoder)
        if self.state_path is not None:
            discard_state(self.state_path.parent)
        return PretrainSummary(
            loss=self.curves.latest("pretrain/loss") or 0.0,
            caption_top1=self.curves.latest("pretrain/caption_top1") or 0.0,
            parameters=count_parameters(self.encoder),
        )

    def _add_point(self, *, check: bool) -> None:
        values = {
            "pretrain/loss": sum(self.losses) / len(self.losses),
            "pretrain/lr": learning_rate(self.step - 1, self.params),
            "pretrain/logit_scale": float(self.encoder.logit_scale.detach().exp()),
        }
        if check:
            values["pretrain/caption_top1"] = caption_accuracy(self.encoder, self.data)
        self.losses = []
        if not math.isfinite(values["pretrain/loss"]):
            raise BikeError(f"The loss is no longer a number (step {self.step}). Lower pretrain.lr.")
        self.curves.add(self.step - 1, values)

    def _save(self) -> None:
        """Write the state: weights, optimiser, place, curves."""
        if self.state_path is None:
            return
        state: dict[str, Any] = {
            "fingerprint": self.fingerprint,
            "encoder": self.encoder.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "losses": self.losses,
            "points": self.curves.points,
        }
        save_state(self.state_path, state)

    def _restore(self) -> list[Point]:
        """Take up the state of an earlier run of the same job; returns its points."""
        state = None if self.state_path is None else load_state(self.state_path)
        if state is None:
            return []
        if state.get("fingerprint") != self.fingerprint:
            log.info("%s: belongs to another job; starting anew.", self.state_path)
            return []
        self.encoder.load_state_dict(state["encoder"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.losses = state["step"], state["losses"]
        log.info("%s: going on from step %d of %d.", self.state_path, self.step, self.params.steps)
        points: list[Point] = state["points"]
        return points


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


@contextmanager
def _pinned_threads(threads: int) -> Iterator[None]:
    """Sums over other numbers of threads round differently, so the number is part of the result."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
