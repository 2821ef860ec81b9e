"""One training step on the global batch, whatever number of processes and parts it is computed in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.amp import GradScaler

from bike.model.scorer import autocast
from bike.runtime.distributed import World, gather_rows, sum_gradients
from bike.train.branches import Branch, trained_parameters
from bike.train.loss import contrastive_loss


@dataclass(frozen=True, slots=True)
class StepOptions:
    """How a step is computed.

    Attributes:
        loss: a scalar of the branch's logits and the samples' labels, both of the whole batch.
        parts: this process's samples go through the encoder in so many parts; more parts take less memory and a second
            forward pass. The loss still sees the whole batch, so the result is the same.
        working_type: for ``autocast``; None for fp32.
        scaler: for fp16; gradients come out scaled.
    """

    loss: Callable[[Tensor, Tensor], Tensor] = contrastive_loss
    parts: int = 1
    working_type: torch.dtype | None = None
    scaler: GradScaler | None = None


def compute_gradients(
    branch: Branch, inputs: Tensor, labels: Tensor, counts: Sequence[int], world: World, options: StepOptions
) -> Tensor:
    """Loss of the batch of all processes, and its gradients, equal in all of them.

    The encoder runs on this process's samples only. Its embeddings are gathered and the loss of all of them is computed
    everywhere, down to the gradient of each embedding; this process's share of those goes back through its encoder.
    With several parts the encoder runs once without and once with gradients (Gao et al. 2021, "Scaling deep contrastive
    learning batch size under memory limited setup").

    Args:
        branch: the model.
        inputs: this process's samples, first dimension the batch; may be none.
        labels: labels of *all* processes' samples in order of rank, int64 on the CPU.
        counts: samples of each process.
        world: this process.
        options: how to compute.

    Returns:
        The loss, a scalar without gradient on the branch's device.
    """
    parameters = trained_parameters(branch)
    for parameter in parameters:
        parameter.grad = None
    parts = [part for part in inputs.chunk(options.parts) if len(part)]
    keep = options.parts == 1  # the graph of the only part is kept, which saves the second pass
    with torch.set_grad_enabled(keep), autocast(world.device, options.working_type):
        outputs = [branch.embed(part) for part in parts]
    everything = gather_rows(world, _joined(outputs, branch, inputs), counts).requires_grad_()
    loss = _loss(branch, everything, labels, world, options)
    torch.autograd.backward(loss if options.scaler is None else options.scaler.scale(loss))
    # What lies behind the embeddings (head, logit scale, captions) has the whole gradient now, in every process, and
    # sum_gradients below adds up what all of them have.
    for parameter in parameters:
        if parameter.grad is not None and world.size > 1:
            parameter.grad /= world.size
    if everything.grad is not None:
        start = sum(counts[: world.rank])
        mine = everything.grad[start : start + len(inputs)]
        _send_back(branch, parts, outputs if keep else None, mine, world, options)
    sum_gradients(world, parameters)
    return loss.detach()


def gather_labels(world: World, labels: Tensor, stop: bool) -> tuple[Tensor, list[int], bool]:
    """Labels of all processes, their numbers, and whether any process wants to stop."""
    if world.size == 1:
        return labels, [len(labels)], stop
    header = gather_rows(world, torch.tensor([[len(labels), int(stop)]]), [1] * world.size)
    counts = [int(count) for count in header[:, 0]]
    return gather_rows(world, labels, counts), counts, bool(header[:, 1].any())


def is_finite(tensors: Sequence[Tensor]) -> Tensor:
    """Whether all are numbers, none infinite: a scalar bool on their device, found in one pass over each."""
    # A sum is a number only if all its parts are. It takes a tenth of the time of isfinite() or of a maximum norm, and
    # overflows by itself only beyond 3e38, far above where Adam's squares do.
    return torch.stack([tensor.detach().sum() for tensor in tensors]).isfinite().all()


def _joined(outputs: list[Tensor], branch: Branch, inputs: Tensor) -> Tensor:
    """Embeddings of all parts in fp32; for a process without samples, none of the right shape."""
    if outputs:
        return torch.cat([output.detach().float() for output in outputs])
    with torch.no_grad():
        return branch.embed(inputs.new_zeros(1, *inputs.shape[1:]))[:0].float()


def _loss(branch: Branch, embeddings: Tensor, labels: Tensor, world: World, options: StepOptions) -> Tensor:
    with autocast(world.device, options.working_type):
        logits = branch.logits(embeddings, labels)
    return options.loss(logits.float(), labels.to(logits.device))


def _send_back(
    branch: Branch,
    parts: list[Tensor],
    outputs: list[Tensor] | None,
    gradients: Tensor,
    world: World,
    options: StepOptions,
) -> None:
    """Carry the gradients of this process's embeddings back through its encoder, part by part."""
    shares = torch.split(gradients, [len(part) for part in parts])
    for number, (part, gradient) in enumerate(zip(parts, shares, strict=True)):
        if outputs is None:
            with autocast(world.device, options.working_type):
                output = branch.embed(part)
        else:
            output = outputs[number]
        if output.requires_grad:
            torch.autograd.backward(output, gradient.to(output.dtype))
