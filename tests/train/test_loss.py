"""The contrastive loss."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from safetensors.torch import load_file
from torch import Tensor

from bike.train.loss import contrastive_loss


def slow_loss(logits: Tensor, labels: Tensor, kind: str) -> Tensor:
    """The definition, written out in float64."""
    logits = logits.double()
    size = len(labels)
    same = torch.tensor([[float(a == b) for b in labels] for a in labels], dtype=torch.float64)
    target = (10 * same).exp() / (10 * same).exp().sum(1, keepdim=True)
    total = torch.zeros((), dtype=torch.float64)
    for matrix in (logits, logits.T):
        if kind == "ds":
            columns = (matrix / 1000).exp() / (matrix / 1000).exp().sum(0, keepdim=True)
            matrix = matrix * columns * size
        log_p = matrix - matrix.logsumexp(1, keepdim=True)
        total = total + (target * (target.log() - log_p)).sum() / size / 2
    return total


@pytest.mark.parametrize("kind", ["nce", "ds"])
def test_loss_and_gradient_equal_the_published_ones(golden: Path, kind: str) -> None:
    tensors = load_file(golden / "tensors.safetensors")
    logits = tensors["loss.pred"].clone().requires_grad_()
    loss = contrastive_loss(logits, tensors["loss.labels"], kind)
    loss.backward()
    torch.testing.assert_close(loss.detach(), tensors[f"loss.{kind.upper()}"][0], atol=1e-5, rtol=0)
    torch.testing.assert_close(logits.grad, tensors[f"loss.{kind.upper()}.grad"], atol=1e-6, rtol=0)


@settings(deadline=None, max_examples=40)
@given(
    size=st.integers(1, 9), classes=st.integers(1, 4), seed=st.integers(0, 1000), kind=st.sampled_from(["nce", "ds"])
)
def test_loss_is_its_definition(size: int, classes: int, seed: int, kind: str) -> None:
    rng = torch.Generator().manual_seed(seed)
    logits = 20 * torch.randn(size, size, generator=rng)
    labels = torch.randint(classes, (size,), generator=rng)
    loss = contrastive_loss(logits, labels, kind)
    torch.testing.assert_close(loss.double(), slow_loss(logits, labels, kind), atol=1e-4, rtol=1e-5)
    assert loss >= -1e-5
    # The order of the batch and the direction do not matter.
    order = torch.randperm(size, generator=rng)
    torch.testing.assert_close(
        contrastive_loss(logits[order][:, order], labels[order], kind), loss, atol=1e-4, rtol=1e-5
    )
    torch.testing.assert_close(contrastive_loss(logits.T.contiguous(), labels, kind), loss, atol=1e-4, rtol=1e-5)


def test_loss_is_least_at_its_target() -> None:
    labels = torch.tensor([0, 1, 1, 2])
    target = 10 * (labels[:, None] == labels[None, :]).float()
    assert contrastive_loss(target, labels).abs() < 1e-6
    assert contrastive_loss(target.flip(0), labels) > 1


@pytest.mark.parametrize("kind", ["nce", "ds"])
def test_loss_is_stable_and_fp32(kind: str) -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0, 5.0]] * 4).half().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = contrastive_loss(logits, torch.arange(4), kind)
    loss.backward()
    assert loss.dtype == torch.float32
    assert logits.grad is not None
    assert all(value.isfinite().all() for value in (loss, logits.grad))


def test_unknown_kind_is_refused() -> None:
    with pytest.raises((ValueError, TypeCheckError)):
        contrastive_loss(torch.zeros(2, 2), torch.zeros(2, dtype=torch.int64), "kl")  # type: ignore[arg-type]
