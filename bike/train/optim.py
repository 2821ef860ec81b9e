"""The optimiser and its learning rates, as published: AdamW, two rates, warm-up, cosine."""

from __future__ import annotations

from collections.abc import Iterable
from math import cos, pi

from torch import nn
from torch.optim import AdamW, Optimizer


def lr_factor(epoch: float | int, warmup_epochs: float | int, epochs: float | int) -> float:
    """Share of the full learning rate at a moment: linear from 0 through the warm-up, then half a cosine down to 0.

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
    """The step of an epoch whose learning rate still holds at ``step``.

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
    encoder: nn.Module | Iterable[nn.Parameter],
    head: nn.Module | Iterable[nn.Parameter],
    *,
    lr: float | int,
    clip_ratio: float | int = 0.1,
    weight_decay: float | int = 0.2,
) -> AdamW:
    """AdamW with two groups: the encoder at ``lr · clip_ratio``, the head at ``lr``. Weight decay falls on everything.

    Args:
        encoder: CLIP (with its logit scale), or its parameters.
        head: the video or attribute head, or its parameters; a head without parameters is fine.
        lr: full learning rate of the head.
        clip_ratio: the encoder's rate as a share of ``lr``.
        weight_decay: of both groups, biases, norms and scales included, as published.

    Returns:
        The optimiser, betas (0.9, 0.999), eps 1e-8. Frozen parameters are left out; a group keeps its full rate in
        ``base_lr`` for :func:`set_learning_rates`, also through ``state_dict``.

    Raises:
        ValueError: nothing is left to train.
    """
    groups = [
        {"name": name, "params": _trainable(source), "lr": rate, "base_lr": rate}
        for name, source, rate in (("encoder", encoder, lr * clip_ratio), ("head", head, lr))
    ]
    groups = [group for group in groups if group["params"]]
    if not groups:
        raise ValueError("every parameter is frozen; nothing is left to train.")
    # Fused: the same arithmetic in one pass over memory, on a CPU about a third of the time.
    return AdamW(groups, betas=(0.9, 0.999), eps=1e-8, weight_decay=weight_decay, fused=True)


def _trainable(source: nn.Module | Iterable[nn.Parameter]) -> list[nn.Parameter]:
    parameters = source.parameters() if isinstance(source, nn.Module) else source
    return [parameter for parameter in parameters if parameter.requires_grad]


def set_learning_rates(
    optimizer: Optimizer,
    *,
    epoch: int,
    step: int,
    steps_per_epoch: int,
    epochs: int,
    warmup_epochs: float | int,
    every_steps: int = 10,
) -> dict[str, float]:
    """Set the rate of every group for one step. Depends on nothing but the arguments, so a resumed run needs no state.

    Args:
        optimizer: made by :func:`build_optimizer`.
        epoch, step: both from 0; ``step`` within the epoch.
        steps_per_epoch: steps of an epoch, at least 1.
        epochs, warmup_epochs: as in :func:`lr_factor`.
        every_steps: the rate changes on steps 0, ``every_steps - 1``, ``2 · every_steps - 1``, … of an epoch.

    Returns:
        Group name -> learning rate now set.

    Raises:
        ValueError: the step lies outside the epoch.
    """
    if not 0 <= step < steps_per_epoch:
        raise ValueError(f"step must be from 0 to {steps_per_epoch - 1} (got {step}).")
    factor = lr_factor(epoch + scheduled_step(step, every_steps) / steps_per_epoch, warmup_epochs, epochs)
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
    return {group["name"]: group["lr"] for group in optimizer.param_groups}
