"""The contrastive loss between clips and captions."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

TARGET_SHARPNESS = 10.0
DUAL_SOFTMAX_TEMPERATURE = 1000.0


def contrastive_loss(
    logits: Float[Tensor, "B B"], labels: Int[Tensor, " B"], kind: Literal["nce", "ds"] = "nce"
) -> Float[Tensor, ""]:
    """Mean over both directions of KL(softmax(10 · G) ‖ softmax(logits)), G[i, j] = 1 where labels i and j agree.

    The objective of BIKE (Wu et al., CVPR 2023, section 3). Clips of one class are each other's positives: where the
    labels are 0, 0, 1, 2, the first row of G is 1, 1, 0, 0, and its softmax 0.5, 0.5, 0, 0 up to 2e-5. With several
    processes, give the logits of the gathered batch and the gathered labels; the mean is over its B rows.

    Args:
        logits: (B, B), clips by captions, already multiplied by exp(logit_scale). Computed in fp32 whatever their type.
        labels: (B,) class of each clip and of its caption.
        kind: ``nce``, or ``ds`` (dual softmax, Cheng et al. 2021, arXiv 2109.04290): logits are first multiplied by
            ``B · softmax_column(logits / 1000)``.

    Returns:
        A scalar, at least 0.

    Raises:
        ValueError: an unknown kind.
    """
    if kind not in ("nce", "ds"):
        raise ValueError(f"kind must be 'nce' or 'ds' (got {kind!r}).")
    with torch.autocast(logits.device.type, enabled=False):
        logits = logits.float()
        targets = torch.softmax(TARGET_SHARPNESS * (labels[:, None] == labels[None, :]).float(), dim=1)
        # G is symmetric, so the same targets serve both directions.
        return (_divergence(logits, targets, kind) + _divergence(logits.T, targets, kind)) / 2


def _divergence(logits: Tensor, targets: Tensor, kind: str) -> Tensor:
    """KL(targets ‖ softmax(logits)) summed over columns, mean over rows."""
    if kind == "ds":
        logits = logits * torch.softmax(logits / DUAL_SOFTMAX_TEMPERATURE, dim=0) * len(logits)
    # cross_entropy takes soft targets and averages over rows; less their entropy it is the divergence.
    entropy = torch.special.entr(targets).sum(1).mean()
    divergence: Tensor = cross_entropy(logits, targets) - entropy
    return divergence
