"""The optimiser and its learning rates, as published: AdamW, two rates, warm-up, cosine."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import cos, pi

import torch
from torch import nn
from torch.amp import GradScaler
from torch.optim import AdamW, Optimizer

from bike.params import Optimisation
from bike.runtime.distributed import working_type
from bike.train.loss import contrastive_loss
from bike.train.step import StepOptions


def lr_factor(epoch: float | int, warmup_epochs: float | int, epochs: float | int) -> float:
    """Share of the full learning rate at a moment: linear from 0 through the warm-up, then half a cosine down to 0.

    Of 30 epochs with 5 of warm-up: 0.0 at 0, 0.5 at 2.5, 1.0 at 5, 0.5 at 17.5 and 0.0 at 30.

    Args:
        epoch: epochs done so far, fractions included, at least 0; past the end counts as the end.
        warmup_epochs: length of the warm-up; 0 for none.
        epochs: length of the whole training, above 0.

    Returns:
        From 0 to 1.

    Raises:
        ValueError: a value out of range.
    """
    if epoch < 0 or warmup_epochs < 0 or epochs <= 0:
        raise ValueError(f"epochs can't be negative (got {epoch}, {warmup_epochs}, {epochs}).")
    if epoch < warmup_epochs:
        return epoch / warmup_epochs
    if epoch >= epochs:
        return 0.0
    return 0.5 * (1 + cos(pi * (epoch - warmup_epochs) / (epochs - warmup_epochs)))


def scheduled_step(step: int, every_steps: int = 10) -> int:
    """The step of an epoch whose learning rate still holds at ``step``: by default 0 for 0 to 8, 9 for 9 to 18.

    The published loop sets the rate on steps 0, 9, 19, 29, … of an epoch: 0, and each with ``(step + 1) % 10 == 0``.

    Args:
        step: from 0, within the epoch.
        every_steps: 10 as published; 1 sets it on every step.

    Raises:
        ValueError: a negative step, or ``every_steps`` below 1.
    """
    if step < 0 or every_steps < 1:
        raise ValueError(f"step must be at least 0 and every_steps at least 1 (got {step}, {every_steps}).")
    return max(0, (step + 1) // every_steps * every_steps - 1)


def build_optimizer(
    encoder: nn.Module,
    head: nn.Module,
    *,
    lr: float,
    clip_ratio: float = 0.1,
    weight_decay: float = 0.2,
) -> AdamW:
    """AdamW with two groups: the encoder at ``lr · clip_ratio``, the head at ``lr``. Weight decay falls on everything.

    Args:
        encoder: CLIP (with its logit scale).
        head: the video or attribute head; one without parameters is fine.
        lr: full learning rate of the head.
        clip_ratio: the encoder's rate as a share of ``lr``.
        weight_decay: of both groups, biases, norms and scales included, as published.

    Returns:
        The optimiser, betas (0.9, 0.999), eps 1e-8. Frozen parameters are left out; a group keeps its full rate in
        ``base_lr``, also through ``state_dict``.

    Raises:
        ValueError: nothing is left to train.
    """
    groups = [
        {"name": name, "params": [p for p in module.parameters() if p.requires_grad], "lr": rate, "base_lr": rate}
        for name, module, rate in (("encoder", encoder, lr * clip_ratio), ("head", head, lr))
    ]
    groups = [group for group in groups if group["params"]]
    if not groups:
        raise ValueError("every parameter is frozen; nothing is left to train.")
    # Fused: the same arithmetic in one pass over memory, on a CPU about a third of the time.
    return AdamW(groups, betas=(0.9, 0.999), eps=1e-8, weight_decay=weight_decay, fused=True)


class PublishedUpdater:
    """Moves a branch's weights as published; a :class:`bike.train.fit.Updater`.

    Args:
        parts: the branch's ``encoder`` and ``head``.
        settings: learning rates and their schedule, loss, parts of a batch, precision.
        steps_per_epoch: at least 1.
        device: where the branch is.
    """

    def __init__(
        self, parts: Mapping[str, nn.Module], settings: Optimisation, steps_per_epoch: int, device: torch.device
    ) -> None:
        self._settings, self._steps_per_epoch = settings, steps_per_epoch
        self.optimizer: Optimizer = build_optimizer(
            **parts, lr=settings.lr, clip_ratio=settings.clip_ratio, weight_decay=settings.weight_decay
        )
        dtype = working_type(settings.precision, device)
        # bf16 reaches as far as fp32; of fp16 small gradients would vanish.
        scaler = GradScaler(device.type) if dtype == torch.float16 else None
        self.options = StepOptions(partial(contrastive_loss, kind=settings.loss), settings.accumulate, dtype, scaler)

    def set_rates(self, epoch: int, step: int) -> None:
        """Set the rate of every group for one step. Depends on nothing else, so a resumed run needs no state.

        Args:
            epoch, step: both from 0; ``step`` within the epoch.

        Raises:
            ValueError: the step lies outside the epoch.
        """
        settings, steps = self._settings, self._steps_per_epoch
        if not 0 <= step < steps:
            raise ValueError(f"step must be from 0 to {steps - 1} (got {step}).")
        done = epoch + scheduled_step(step, settings.lr_every_steps) / steps
        factor = lr_factor(done, settings.warmup_epochs, settings.epochs)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor

    def update(self) -> None:
        """Move the weights."""
        if self.options.scaler is None:
            self.optimizer.step()
        else:
            self.options.scaler.step(self.optimizer)
            self.options.scaler.update()

    def values(self, step: int) -> dict[str, float]:
        """The learning rates."""
        return {f"train/lr_{group['name']}": group["lr"] for group in self.optimizer.param_groups}
